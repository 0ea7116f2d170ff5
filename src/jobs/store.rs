//! What a database has to do for a queue: the [`Store`] trait, and the rows that go through it.
//!
//! Every time is the database's own clock; what comes and goes here are durations from its now. Each method is one
//! statement, or a transaction of its own, unless it says otherwise.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

/// One run of a job: its number, and how often it had been started when this was read. Together they tell whether it is
/// still the same run: whoever takes a job over starts it anew.
///
/// ```
/// use drawgate::jobs::{Queue, Run, Sqlite, Store};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// # queue.enqueue(1)?;
/// let (store, minute) = (queue.store(), Duration::from_secs(60));
/// let mut conn = store.connect()?;
/// let reserved = store.claim(&mut conn, 1, minute, None)?[0].run;
/// assert_eq!(store.start(&mut conn, &[reserved], minute)?, [reserved.id]);
/// let begun = Run { attempt: reserved.attempt + 1, ..reserved };
/// assert!(store.remove(&mut conn, &[reserved])?.is_empty()); // not that run any more
/// assert_eq!(store.remove(&mut conn, &[begun])?, [begun.id]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The job's number.
    pub id: i64,
    /// How often it has been started.
    pub attempt: i32,
}

/// When a job is due.
///
/// ```
/// use drawgate::jobs::Due;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// /// As a store for another database might say it.
/// fn sql(due: Due) -> String {
///     match due {
///         Due::Now => "now()".to_string(),
///         Due::In(delay) => format!("now() + interval '{} ms'", delay.as_millis()),
///         Due::At(time) => format!("to_timestamp({})", time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
///     }
/// }
///
/// assert_eq!(sql(Due::default()), "now()");
/// assert_eq!(sql(Due::In(Duration::from_secs(2))), "now() + interval '2000 ms'");
/// assert_eq!(sql(Due::At(UNIX_EPOCH)), "to_timestamp(0)");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// At once.
    #[default]
    Now,
    /// After so long, by the database's clock.
    In(Duration),
    /// At a time.
    At(SystemTime),
}

/// A job to be inserted.
///
/// ```
/// # use diesel::SqliteConnection;
/// use drawgate::jobs::{Due, NewJob, NewRow, Queue, Sqlite, Store, StoreError};
/// # use drawgate::jobs::{Filter, JobRow, JobState, Row, Run, Swept, Verdict};
/// # use std::time::{Duration, SystemTime};
/// # type C = SqliteConnection;
/// # type R<T> = Result<T, StoreError>;
/// # type Work<'a> = &'a mut dyn FnMut(&mut C) -> anyhow::Result<()>;
/// # macro_rules! as_the_other {
/// #     ($(fn $name:ident($($arg:ident: $type:ty),*) -> $r:ty;)*) => {
/// #         $(fn $name(&self, $($arg: $type),*) -> $r { self.0.$name($($arg),*) })*
/// #     };
/// # }
///
/// /// For tests: a store in which every job is due at once.
/// struct Hasty(Sqlite);
/// impl Store for Hasty {
///     fn insert(&self, conn: &mut SqliteConnection, rows: &[NewRow<'_>]) -> Result<Vec<Option<i64>>, StoreError> {
///         let mut rows = rows.to_vec();
///         rows.iter_mut().for_each(|row| row.due = Due::Now);
///         self.0.insert(conn, &rows)
///     }
///     // and the rest as the other one
/// #     type Connection = C;
/// #     type Error = StoreError;
/// #     as_the_other! {
/// #         fn table_name() -> &str;
/// #         fn connect() -> R<C>;
/// #         fn is_broken(conn: &mut C) -> bool;
/// #         fn install(conn: &mut C) -> R<()>;
/// #         fn transaction(conn: &mut C, f: Work<'_>) -> anyhow::Result<()>;
/// #         fn find_unique(conn: &mut C, key: &str) -> R<Option<i64>>;
/// #         fn claim(conn: &mut C, limit: usize, lease: Duration, per_key: Option<u32>) -> R<Vec<Row>>;
/// #         fn tick(conn: &mut C, name: &str, tick: SystemTime) -> R<bool>;
/// #         fn now(conn: &mut C) -> R<SystemTime>;
/// #         fn start(conn: &mut C, runs: &[Run], timeout: Duration) -> R<Vec<i64>>;
/// #         fn remove(conn: &mut C, runs: &[Run]) -> R<Vec<i64>>;
/// #         fn fail(conn: &mut C, run: Run, verdict: Verdict, cause: &str) -> R<bool>;
/// #         fn give_back(conn: &mut C, runs: &[Run]) -> R<usize>;
/// #         fn extend(conn: &mut C, runs: &[Run], timeout: Duration) -> R<Vec<i64>>;
/// #         fn sweep(conn: &mut C) -> R<Swept>;
/// #         fn requeue(conn: &mut C, id: i64) -> R<bool>;
/// #         fn cancel(conn: &mut C, id: i64) -> R<Option<JobState>>;
/// #         fn set_paused(conn: &mut C, paused: bool) -> R<()>;
/// #         fn prune(conn: &mut C, age: Option<Duration>, keep: Option<usize>) -> R<usize>;
/// #         fn counts(conn: &mut C) -> R<Vec<(JobState, u64)>>;
/// #         fn list(conn: &mut C, filter: &Filter) -> R<Vec<JobRow>>;
/// #     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<u32, _> = Queue::builder(Hasty(store)).open()?;
/// queue.install()?;
/// queue.enqueue(NewJob::new(1).schedule_in(std::time::Duration::from_secs(3600)))?;
/// assert_eq!(queue.counts()?.available, 1);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct NewRow<'a> {
    /// Its parameters, in JSON.
    pub params: &'a str,
    /// When it is due.
    pub due: Due,
    /// Lower ones go first.
    pub priority: i32,
    /// How often it may be started.
    pub max_attempts: i32,
    /// What is announced when it has ended.
    pub notify: Option<&'a str>,
    /// No two jobs that have not failed have the same one.
    pub unique_key: Option<&'a str>,
    /// Jobs with the same one are worked on a few at a time.
    pub limit_key: Option<&'a str>,
}

impl<'a> NewRow<'a> {
    /// With the queue's defaults: due at once, priority 0, five attempts.
    pub fn new(params: &'a str) -> Self {
        let (notify, unique_key, limit_key) = (None, None, None);
        Self { params, due: Due::Now, priority: 0, max_attempts: 5, notify, unique_key, limit_key }
    }
}

/// A job that was reserved.
///
/// ```
/// use drawgate::jobs::{NewJob, Queue, Sqlite, Store};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<String, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// queue.enqueue("grind rye".to_string())?;
/// queue.enqueue(NewJob::new("stop the mill".to_string()).priority(-1))?;
/// let mut conn = queue.store().connect()?;
/// let rows = queue.store().claim(&mut conn, 10, Duration::from_secs(60), None)?;
/// let seen: Vec<_> = rows.iter().map(|row| (row.priority, row.params.as_str(), row.run.attempt)).collect();
/// assert_eq!(seen, [(-1, "\"stop the mill\"", 0), (0, "\"grind rye\"", 0)]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Row {
    /// Which one.
    pub run: Run,
    /// How often it may be started.
    pub max_attempts: i32,
    /// Lower ones go first.
    pub priority: i32,
    /// How long ago it was due.
    pub late: Duration,
    /// Its parameters, in JSON.
    pub params: String,
    /// What is announced when it has ended.
    pub notify: Option<String>,
}

/// Where a job is in its life: EctoJob's states, by their names in the table.
///
/// ```
/// use drawgate::jobs::{Filter, JobState, NewJob, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// queue.enqueue(NewJob::new(1).schedule_in(std::time::Duration::from_secs(3600)))?;
/// queue.enqueue(2)?;
/// assert_eq!(queue.counts()?.of(JobState::Available), 1);
/// let later = queue.list(&Filter::new().state(JobState::Scheduled))?;
/// assert_eq!((later.len(), later[0].state.as_str()), (1, "SCHEDULED"));
/// assert_eq!(JobState::from_name("IN_PROGRESS"), Some(JobState::InProgress));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// `SCHEDULED`: due later.
    Scheduled,
    /// `AVAILABLE`: waits to be reserved.
    Available,
    /// `RESERVED`: somebody has it, and has not begun.
    Reserved,
    /// `IN_PROGRESS`: somebody works on it.
    InProgress,
    /// `RETRY`: it failed, and is due again later.
    Retry,
    /// `FAILED`: it failed for the last time, or was given up.
    Failed,
}

impl JobState {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Available, Self::Reserved, Self::InProgress, Self::Retry, Self::Failed];

    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Available => "AVAILABLE",
            Self::Reserved => "RESERVED",
            Self::InProgress => "IN_PROGRESS",
            Self::Retry => "RETRY",
            Self::Failed => "FAILED",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a run that did not end well.
///
/// ```
/// use drawgate::jobs::{JobState, Queue, Run, Sqlite, Store, Verdict};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// # queue.enqueue_all([1, 2])?;
/// let (store, minute) = (queue.store(), Duration::from_secs(60));
/// let mut conn = store.connect()?;
/// let rows = store.claim(&mut conn, 2, minute, None)?;
/// for (row, verdict) in rows.iter().zip([Verdict::Retry(minute), Verdict::Failed]) {
///     store.start(&mut conn, &[row.run], minute)?;
///     let begun = Run { attempt: row.run.attempt + 1, ..row.run };
///     assert!(store.fail(&mut conn, begun, verdict, "the river is frozen")?);
/// }
/// assert_eq!((queue.counts()?.retry, queue.counts()?.failed), (1, 1));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is due again after so long.
    Retry(Duration),
    /// It is given up.
    Failed,
}

/// What a sweep found.
///
/// ```
/// use drawgate::jobs::{NewJob, Queue, Run, Sqlite, Store, Verdict};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// let (store, hour) = (queue.store(), Duration::from_secs(3600));
/// let mut conn = store.connect()?;
/// queue.enqueue(1)?;
/// let run = store.claim(&mut conn, 1, hour, None)?[0].run;
/// store.start(&mut conn, &[run], hour)?;
/// store.fail(&mut conn, Run { attempt: 1, ..run }, Verdict::Retry(Duration::ZERO), "once more")?;
/// queue.enqueue(NewJob::new(2).schedule_in(hour))?;
/// let swept = store.sweep(&mut conn)?;
/// assert_eq!((swept.due, swept.expired, swept.failed), (1, 0, 0)); // the first one's time has come again
/// assert!(swept.next.is_some_and(|next| next <= hour)); // until the second one is due
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs whose time has come.
    pub due: usize,
    /// Jobs whose holder's lease has expired, and that are available again.
    pub expired: usize,
    /// Of those whose lease has expired, the ones that were at their last attempt, and have failed.
    pub failed: usize,
    /// When the next one is due, or expires.
    pub next: Option<Duration>,
}

/// One job as it stands in the table.
///
/// ```
/// use drawgate::jobs::{Filter, JobRow, JobState, NewJob, Queue, Sqlite};
///
/// /// A line of a page for those who look after the queue.
/// fn line(job: &JobRow) -> String {
///     let JobRow { state, params, attempt, last_error, .. } = job;
///     format!("{state} {params}, started {attempt} times: {}", last_error.as_deref().unwrap_or("-"))
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<String, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// queue.enqueue(NewJob::new("rye".to_string()).unique("rye"))?;
/// let jobs = queue.list(&Filter::new())?;
/// assert_eq!(line(&jobs[0]), "AVAILABLE \"rye\", started 0 times: -");
/// assert_eq!((jobs[0].state, jobs[0].unique_key.as_deref()), (JobState::Available, Some("rye")));
/// assert!(jobs[0].schedule <= jobs[0].updated_at);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its number.
    pub id: i64,
    /// Where it is in its life.
    pub state: JobState,
    /// How often it has been started.
    pub attempt: i32,
    /// How often it may be.
    pub max_attempts: i32,
    /// Lower ones go first.
    pub priority: i32,
    /// Its parameters, in JSON.
    pub params: String,
    /// When it is, or was, due.
    pub schedule: SystemTime,
    /// When its holder loses it.
    pub expires: Option<SystemTime>,
    /// What its last failure was.
    pub last_error: Option<String>,
    /// What is announced when it has ended.
    pub notify: Option<String>,
    /// No two jobs that have not failed have the same one.
    pub unique_key: Option<String>,
    /// Jobs with the same one are worked on a few at a time.
    pub limit_key: Option<String>,
    /// When it was enqueued.
    pub inserted_at: SystemTime,
    /// When its row was changed last.
    pub updated_at: SystemTime,
}

/// Which jobs to list.
///
/// ```
/// use drawgate::jobs::{Filter, JobState, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// queue.enqueue_all(1..=5)?;
/// let mut pages = Vec::new();
/// let mut filter = Filter::new().state(JobState::Available).limit(2);
/// while let [.., last] = queue.list(&filter)?.as_slice() {
///     pages.push(last.params.clone());
///     filter = filter.after(last.id);
/// }
/// assert_eq!(pages, ["2", "4", "5"]); // where each page ends
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those with greater numbers: for the next page.
    pub after: i64,
    /// At most so many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { state: None, after: 0, limit: 100 }
    }
}

impl Filter {
    /// All jobs, a hundred at a time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those in this state.
    #[must_use]
    pub fn state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only those with greater numbers: for the next page.
    #[must_use]
    pub fn after(mut self, id: i64) -> Self {
        self.after = id;
        self
    }

    /// At most so many. Defaults to 100.
    #[must_use]
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = n;
        self
    }
}

/// Hears that there may be jobs; called from a thread of the store's. It does not block.
///
/// ```
/// use drawgate::jobs::Ring;
/// use std::sync::mpsc;
/// let (rung, bell) = mpsc::channel();
/// let ring: Ring = Box::new(move || drop(rung.send(()))); // a queue's own wakes its producer
/// let thread = std::thread::spawn(move || ring()); // a store's, which has heard of something
/// assert!(bell.recv().is_ok());
/// # thread.join().unwrap();
/// ```
pub type Ring = Box<dyn Fn() + Send + Sync>;

/// A store's thread that listens. Dropping it ends that, and waits for nothing.
///
/// ```
/// use drawgate::jobs::{Listening, Ring};
/// use std::{sync::mpsc, thread};
///
/// /// What comes through here is news of jobs. When it is dropped the thread ends.
/// #[derive(Debug)]
/// struct Ear(mpsc::Sender<()>);
/// impl Listening for Ear {}
///
/// /// What a store's `listen` may do.
/// fn listen(ring: Ring) -> Ear {
///     let (news, heard) = mpsc::channel();
///     thread::spawn(move || heard.iter().for_each(|()| ring()));
///     Ear(news)
/// }
///
/// let (rung, bell) = mpsc::channel();
/// let ear = listen(Box::new(move || drop(rung.send(()))));
/// ear.0.send(())?;
/// assert!(bell.recv().is_ok());
/// drop(ear);
/// assert!(bell.recv().is_err()); // the thread has ended
/// # anyhow::Ok(())
/// ```
pub trait Listening: Send + fmt::Debug {}

/// A table of jobs in some database. The crate brings two ([`Sqlite`](super::Sqlite) and [`Postgres`](super::Postgres)); implement it for another
/// database, or for another driver.
///
/// A store is bound to one table. It is shared by threads, and each brings a connection of its own to every call.
///
/// ```
/// use drawgate::jobs::{Filter, JobState, Queue, Sqlite, Store};
/// use std::time::Duration;
///
/// /// In whatever database: how long the oldest job that waits has been due.
/// fn oldest<S: Store>(store: &S) -> Result<Option<Duration>, S::Error> {
///     let mut conn = store.connect()?;
///     let now = store.now(&mut conn)?; // not this machine's
///     let waiting = store.list(&mut conn, &Filter::new().state(JobState::Available))?;
///     Ok(waiting.iter().map(|job| now.duration_since(job.schedule).unwrap_or_default()).max())
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// assert_eq!(oldest(queue.store())?, None);
/// queue.enqueue(1)?;
/// assert!(oldest(queue.store())?.is_some());
/// # anyhow::Ok(())
/// ```
pub trait Store: Send + Sync + 'static {
    /// What the user's transactions run on.
    type Connection: Send + 'static;
    /// What its statements fail with.
    type Error: Error + Send + Sync + 'static;

    /// The table, for names and messages.
    fn table_name(&self) -> &str;

    /// A connection of one's own.
    ///
    /// # Errors
    /// The database's.
    fn connect(&self) -> Result<Self::Connection, Self::Error>;

    /// Whether this connection is of no more use.
    fn is_broken(&self, conn: &mut Self::Connection) -> bool;

    /// Makes the table, its indexes and what else there is, or brings an older one up to date. Safe when several processes
    /// do it at once.
    ///
    /// # Errors
    /// The database's.
    fn install(&self, conn: &mut Self::Connection) -> Result<(), Self::Error>;

    /// Runs `f` in a transaction that may write, and commits if it returns `Ok`; else, or when it panics, nothing of it is
    /// left. Returning `Ok` means that it is committed: a store on which a statement that failed spoils the transaction
    /// says so here.
    ///
    /// # Errors
    /// What `f` returns; the database's.
    fn transaction(
        &self,
        conn: &mut Self::Connection,
        f: &mut dyn FnMut(&mut Self::Connection) -> anyhow::Result<()>,
    ) -> anyhow::Result<()>;

    /// Inserts jobs, within the transaction the connection is in, if any. Returns their numbers in order; none for one
    /// whose unique key another job has.
    ///
    /// # Errors
    /// The database's.
    fn insert(&self, conn: &mut Self::Connection, rows: &[NewRow<'_>]) -> Result<Vec<Option<i64>>, Self::Error>;

    /// The job that has this unique key and has not failed.
    ///
    /// # Errors
    /// The database's.
    fn find_unique(&self, conn: &mut Self::Connection, key: &str) -> Result<Option<i64>, Self::Error>;

    /// Reserves at most `limit` available jobs for `lease`, by priority, schedule and number, in that order; none that
    /// somebody else has or holds locked, and none while the queue is paused. With `per_key` no more jobs of one limit key are
    /// reserved or in progress at once, over all processes. Never waits for another claim, but with `per_key`.
    ///
    /// # Errors
    /// The database's.
    fn claim(
        &self,
        conn: &mut Self::Connection,
        limit: usize,
        lease: Duration,
        per_key: Option<u32>,
    ) -> Result<Vec<Row>, Self::Error>;

    /// Remembers that what is called `name` has happened at `tick`, within the transaction the connection is in. Returns
    /// whether that is later than what was remembered: to one process only, if several say it.
    ///
    /// # Errors
    /// The database's.
    fn tick(&self, conn: &mut Self::Connection, name: &str, tick: SystemTime) -> Result<bool, Self::Error>;

    /// The database's clock.
    ///
    /// # Errors
    /// The database's.
    fn now(&self, conn: &mut Self::Connection) -> Result<SystemTime, Self::Error>;

    /// Starts those of these that are still reserved as they were: counts the attempt, and sets the lease to `timeout`
    /// times the attempt. Returns the numbers of those.
    ///
    /// # Errors
    /// The database's.
    fn start(&self, conn: &mut Self::Connection, runs: &[Run], timeout: Duration) -> Result<Vec<i64>, Self::Error>;

    /// Removes those of these that are still in progress, within the transaction the connection is in, if any. Returns their
    /// numbers.
    ///
    /// # Errors
    /// The database's.
    fn remove(&self, conn: &mut Self::Connection, runs: &[Run]) -> Result<Vec<i64>, Self::Error>;

    /// Says what becomes of a run that failed, if it is still in progress. Returns whether it was.
    ///
    /// # Errors
    /// The database's.
    fn fail(&self, conn: &mut Self::Connection, run: Run, verdict: Verdict, cause: &str) -> Result<bool, Self::Error>;

    /// Makes those of these that are still reserved available again.
    ///
    /// # Errors
    /// The database's.
    fn give_back(&self, conn: &mut Self::Connection, runs: &[Run]) -> Result<usize, Self::Error>;

    /// Extends the leases of runs in progress, as `start` sets them. Returns the numbers of those that are still in
    /// progress; one that somebody holds locked is.
    ///
    /// # Errors
    /// The database's.
    fn extend(&self, conn: &mut Self::Connection, runs: &[Run], timeout: Duration) -> Result<Vec<i64>, Self::Error>;

    /// Makes available what is due, and what has expired.
    ///
    /// # Errors
    /// The database's.
    fn sweep(&self, conn: &mut Self::Connection) -> Result<Swept, Self::Error>;

    /// Schedules a job that has failed, for now, as if it had never been started. Returns whether it had failed.
    ///
    /// # Errors
    /// The database's.
    fn requeue(&self, conn: &mut Self::Connection, id: i64) -> Result<bool, Self::Error>;

    /// Removes a job, unless somebody holds it locked. Returns the state it was in, if it is gone.
    ///
    /// # Errors
    /// The database's.
    fn cancel(&self, conn: &mut Self::Connection, id: i64) -> Result<Option<JobState>, Self::Error>;

    /// Has claims find nothing, in all processes, or ends that.
    ///
    /// # Errors
    /// The database's.
    fn set_paused(&self, conn: &mut Self::Connection, paused: bool) -> Result<(), Self::Error>;

    /// Removes failed jobs: those that have been so for longer than `age`, and of the others all but the newest `keep`.
    ///
    /// # Errors
    /// The database's.
    fn prune(
        &self,
        conn: &mut Self::Connection,
        age: Option<Duration>,
        keep: Option<usize>,
    ) -> Result<usize, Self::Error>;

    /// How many jobs are in each state; a state without jobs need not be there.
    ///
    /// # Errors
    /// The database's.
    fn counts(&self, conn: &mut Self::Connection) -> Result<Vec<(JobState, u64)>, Self::Error>;

    /// Jobs as they stand, by number.
    ///
    /// # Errors
    /// The database's.
    fn list(&self, conn: &mut Self::Connection, filter: &Filter) -> Result<Vec<JobRow>, Self::Error>;

    /// Has `ring` called, from a thread of its own, whenever jobs may have come from elsewhere. Only a hint: it may ring for
    /// nothing, and what it misses a sweep finds. Nothing if the database has no such thing.
    ///
    /// # Errors
    /// Why it cannot listen.
    fn listen(&self, ring: Ring) -> Result<Option<Box<dyn Listening>>, Self::Error> {
        let _ = ring;
        Ok(None)
    }
}
