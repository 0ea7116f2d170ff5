//! The queue: its options, and what it does from any thread.

use super::error::JobError;
use super::hold::Hold;
use super::job::{NewJob, OnDuplicate};
use super::stats::{Figures, JobEvent, QueueStats, add};
use super::store::{Filter, JobRow, JobState, NewRow, Store};
use crate::error::BadOption;
use crate::sync::{Arc, Clock, Mutex, Rank, Weak, isolate};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::{Duration, Instant};

/// How parameters are written down, as JSON, and read.
pub(super) struct Codec<J> {
    pub(super) encode: Encode<J>,
    pub(super) decode: Decode<J>,
}
type Encode<J> = Box<dyn Fn(&J) -> anyhow::Result<String> + Send + Sync>;
type Decode<J> = Box<dyn Fn(&str) -> anyhow::Result<J> + Send + Sync>;

pub(super) type OnEvent = Box<dyn Fn(&JobEvent<'_>) + Send + Sync>;
pub(super) type BackOff = Box<dyn Fn(u32) -> Duration + Send + Sync>;

/// A queue before it is opened: EctoJob's options, with its defaults.
///
/// ```
/// use drawgate::jobs::{Filter, Queue, Sqlite};
/// use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.db");
/// let queue: Queue<String, _> = Queue::builder(Sqlite::file(&path))
///     .max_attempts(3)
///     .back_off(|attempt| Duration::from_secs(5) * attempt)
///     .keep_failed(1000)
///     .open()?;
/// queue.install()?;
/// queue.enqueue("hello".to_string())?;
/// assert_eq!(queue.list(&Filter::new())?[0].max_attempts, 3);
/// let refused = Queue::<String, _>::builder(Sqlite::file(&path)).max_attempts(0).open().unwrap_err();
/// assert_eq!(refused.to_string(), "option `max_attempts` must be at least 1, and was 0");
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `open`"]
pub struct QueueBuilder<J, S> {
    store: S,
    codec: Option<Codec<J>>,
    pub(super) options: Options,
}

pub(super) struct Options {
    pub(super) reservation: Duration,
    pub(super) execution: Duration,
    pub(super) max_attempts: u32,
    pub(super) poll: Duration,
    pub(super) back_off: BackOff,
    pub(super) per_key: Option<u32>,
    /// Failed jobs are removed that are older, and all but so many.
    pub(super) keep_failed: (Option<Duration>, Option<usize>),
    pub(super) on_event: Option<OnEvent>,
}

impl<J: Send + 'static, S: Store> QueueBuilder<J, S> {
    /// How long a job may be reserved and not begun before another process may have it. Defaults to 60 s.
    pub fn reservation(mut self, time: Duration) -> Self {
        self.options.reservation = time;
        self
    }

    /// How long after its worker was last heard of a job that was begun is taken over, times the attempt. While the process
    /// lives it is heard of three times as often, so a job may take longer. Defaults to 300 s.
    pub fn execution(mut self, time: Duration) -> Self {
        self.options.execution = time;
        self
    }

    /// How often a job may be started before it has failed for good. At least 1. Defaults to 5.
    pub fn max_attempts(mut self, n: u32) -> Self {
        self.options.max_attempts = n;
        self
    }

    /// At least so often a producer looks into the table whether or not it was told of anything; it does so sooner when a job
    /// is to become due sooner. Defaults to 60 s.
    pub fn poll(mut self, every: Duration) -> Self {
        self.options.poll = every;
        self
    }

    /// How long after a failure of this attempt, counted from 1, a job is tried again. Add jitter here. Defaults to
    /// 30 s × (attempt + 1), as EctoJob's; which is also what counts if it panics.
    pub fn back_off(mut self, f: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        self.options.back_off = Box::new(f);
        self
    }

    /// So many jobs with the same [`limit_key`](NewJob::limit_key) are reserved or worked on at once, over all processes that say
    /// so. At least 1. Defaults to no limit. Claims then wait for each other, cost about twice as much, and a producer that was
    /// asked for more than it found looks again each second, since nobody tells when another process makes room.
    pub fn limit_per_key(mut self, n: u32) -> Self {
        self.options.per_key = Some(n);
        self
    }

    /// Removes jobs that failed for good longer ago than this, each time a producer has nothing better to do. Defaults to
    /// keeping them.
    pub fn keep_failed_for(mut self, age: Duration) -> Self {
        self.options.keep_failed.0 = Some(age);
        self
    }

    /// Likewise all but the newest so many of those that failed for good.
    pub fn keep_failed(mut self, n: usize) -> Self {
        self.options.keep_failed.1 = Some(n);
        self
    }

    /// Hears what becomes of jobs in this process: for logs and metrics. Runs on the thread where it happens, under no lock; a
    /// panic in it is dropped.
    pub fn on_event(mut self, f: impl Fn(&JobEvent<'_>) + Send + Sync + 'static) -> Self {
        self.options.on_event = Some(Box::new(f));
        self
    }

    /// Writes parameters down in another way than serde's JSON, as text that is kept as a JSON string.
    pub fn encoding(
        mut self,
        encode: impl Fn(&J) -> anyhow::Result<String> + Send + Sync + 'static,
        decode: impl Fn(&str) -> anyhow::Result<J> + Send + Sync + 'static,
    ) -> Self {
        self.codec = Some(Codec {
            encode: Box::new(move |params| Ok(serde_json::to_string(&encode(params)?)?)),
            decode: Box::new(move |json| decode(&serde_json::from_str::<String>(json)?)),
        });
        self
    }

    fn check(&self) -> Result<(), BadOption> {
        let times = [
            ("reservation", self.options.reservation),
            ("execution", self.options.execution),
            ("poll", self.options.poll),
        ];
        for (option, time) in times {
            if time < Duration::from_millis(1) {
                return Err(BadOption::new(option, "at least 1 ms", format!("{time:?}")));
            }
        }
        match (self.options.max_attempts, self.options.per_key) {
            (0, _) => Err(BadOption::new("max_attempts", "at least 1", 0)),
            (_, Some(0)) => Err(BadOption::new("limit_per_key", "at least 1", 0)),
            _ => Ok(()),
        }
    }

    fn finish(self, codec: Codec<J>) -> Result<Queue<J, S>, JobError> {
        self.check()?;
        Ok(Queue(Arc::new(Inner {
            store: self.store,
            codec,
            options: self.options,
            figures: Figures::default(),
            idle: Mutex::new(Rank::Latch, Vec::new()),
            holds: Mutex::new(Rank::Latch, Vec::new()),
        })))
    }

    /// Checks the options. Nothing is connected yet.
    ///
    /// # Errors
    /// Names the option.
    pub fn open(mut self) -> Result<Queue<J, S>, JobError>
    where
        J: Serialize + DeserializeOwned,
    {
        let json = Codec {
            encode: Box::new(|params: &J| Ok(serde_json::to_string(params)?)),
            decode: Box::new(|json: &str| Ok(serde_json::from_str(json)?)),
        };
        let codec = self.codec.take().unwrap_or(json);
        self.finish(codec)
    }
}

impl<J, S> fmt::Debug for QueueBuilder<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder").field("poll", &self.options.poll).finish_non_exhaustive()
    }
}

/// A queue of jobs of one type, in a table of the user's database. A cheap clone.
///
/// What it does by itself (enqueue, requeue, count) runs on connections of its own, which are opened as needed and kept;
/// each blocks as long as the database does.
///
/// ```
/// use drawgate::jobs::{Filter, NewJob, Queue, Sqlite};
/// use std::time::Duration;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Mail { to: String }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<Mail, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// let welcome = queue.enqueue(Mail { to: "mill".to_string() })?;
/// queue.enqueue(NewJob::new(Mail { to: "bakery".to_string() }).schedule_in(Duration::from_secs(3600)))?;
/// assert_eq!((queue.counts()?.available, queue.counts()?.scheduled), (1, 1));
/// assert!(queue.cancel(welcome)?);
/// let left = queue.list(&Filter::new())?;
/// assert_eq!(left.len(), 1);
/// assert_eq!(left[0].params, r#"{"to":"bakery"}"#);
/// # anyhow::Ok(())
/// ```
pub struct Queue<J, S: Store>(pub(super) Arc<Inner<J, S>>);

pub(super) struct Inner<J, S: Store> {
    pub(super) store: S,
    pub(super) codec: Codec<J>,
    pub(super) options: Options,
    pub(super) figures: Figures,
    /// Rank `Latch`, a leaf. Connections that nobody uses, and since when.
    idle: Mutex<Vec<(S::Connection, Instant)>>,
    /// Rank `Latch`, a leaf. Of the producers of this process.
    holds: Mutex<Vec<Weak<Hold>>>,
}

/// EctoJob's.
fn back_off(attempt: u32) -> Duration {
    Duration::from_secs(30).saturating_mul(attempt.saturating_add(1))
}

/// Connections that are kept while nobody uses them.
const IDLE: usize = 4;
/// How often a job is enqueued whose unique key another one has each time, and no job has when that is looked for.
const KEEP_TRIES: u32 = 100;
/// A connection that was idle for so long is tried before it is used.
const STALE: Duration = Duration::from_secs(5);

impl<J, S: Store> Clone for Queue<J, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
impl<J, S: Store> fmt::Debug for Queue<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.0.store.table_name())
    }
}

impl<J: Send + 'static, S: Store> Queue<J, S> {
    /// A queue in this store.
    pub fn builder(store: S) -> QueueBuilder<J, S> {
        QueueBuilder {
            store,
            codec: None,
            options: Options {
                reservation: Duration::from_secs(60),
                execution: Duration::from_secs(300),
                max_attempts: 5,
                poll: Duration::from_secs(60),
                back_off: Box::new(back_off),
                per_key: None,
                keep_failed: (None, None),
                on_event: None,
            },
        }
    }

    /// The store it is in.
    pub fn store(&self) -> &S {
        &self.0.store
    }

    /// Makes the table, or brings an older one up to date. Safe at every start of every process.
    ///
    /// # Errors
    /// The database's; or that a newer version of this crate made the table.
    pub fn install(&self) -> Result<(), JobError> {
        self.with("installing", |store, conn| store.install(conn))
    }

    // ---- enqueuing

    /// Enqueues a job, by itself: when this returns it is committed. Returns its number.
    ///
    /// # Errors
    /// The database's; parameters that cannot be written down; an option of the job's; a duplicate, if that is refused. If the
    /// database went away while it was to commit, nobody knows whether it did: enqueue with a unique key to do it again.
    pub fn enqueue(&self, job: impl Into<NewJob<J>>) -> Result<i64, JobError> {
        let encoded = [self.encode(job.into())?];
        let ids = self.on_connection("enqueuing", |conn| self.enqueue_encoded(conn, &encoded))??;
        self.ring();
        Ok(ids.first().copied().unwrap_or(0))
    }

    /// Enqueues a job in the transaction that this connection is in. It exists, and wakes workers, once that has committed.
    /// Returns its number.
    ///
    /// ```
    /// # use drawgate::jobs::{Queue, Sqlite};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("shop.db");
    /// # let queue: Queue<String, _> = Queue::builder(Sqlite::file(&path)).open()?;
    /// # queue.install()?;
    /// use diesel::{Connection, connection::SimpleConnection};
    /// let mut shop = diesel::SqliteConnection::establish(path.to_str().unwrap())?;
    /// shop.batch_execute("CREATE TABLE orders (item TEXT)")?;
    /// shop.transaction(|tx| {
    ///     tx.batch_execute("INSERT INTO orders VALUES ('flour')")?;
    ///     queue.enqueue_in(tx, "confirm: flour".to_string())?;
    ///     anyhow::Ok(())
    /// })?;
    /// assert_eq!(queue.counts()?.available, 1);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn enqueue_in(&self, tx: &mut S::Connection, job: impl Into<NewJob<J>>) -> Result<i64, JobError> {
        let ids = self.enqueue_encoded(tx, &[self.encode(job.into())?])?;
        Ok(ids.first().copied().unwrap_or(0))
    }

    /// Enqueues many in one statement: all of them, or after an error none. Returns their numbers, in order; of one whose
    /// unique key is taken that of the job that has it.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn enqueue_all<N: Into<NewJob<J>>>(&self, jobs: impl IntoIterator<Item = N>) -> Result<Vec<i64>, JobError> {
        let (encoded, mut ids) = (self.encode_all(jobs)?, Ok(Vec::new()));
        let done = self.with_any("enqueuing", |store, conn| {
            store.transaction(conn, &mut |conn| {
                ids = self.enqueue_encoded(conn, &encoded);
                match &ids {
                    Ok(_) => Ok(()),
                    Err(refused) => anyhow::bail!("{refused}"), // which is told of below, as it is
                }
            })
        });
        if ids.is_ok() {
            done?;
        }
        self.ring();
        ids
    }

    /// The same in the transaction that this connection is in.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue). The transaction should be rolled back then.
    pub fn enqueue_all_in<N: Into<NewJob<J>>>(
        &self,
        tx: &mut S::Connection,
        jobs: impl IntoIterator<Item = N>,
    ) -> Result<Vec<i64>, JobError> {
        let encoded = self.encode_all(jobs)?;
        self.enqueue_encoded(tx, &encoded)
    }

    /// Enqueues a job that comes by the clock, unless that was done for this tick, here or elsewhere.
    #[cfg(feature = "jobs-cron")]
    pub(super) fn enqueue_once(&self, name: &str, tick: std::time::SystemTime, job: NewJob<J>) -> Result<(), JobError> {
        let encoded = [self.encode(job)?];
        self.with_any("enqueuing", |store, conn| {
            store.transaction(conn, &mut |conn| {
                if store.tick(conn, name, tick)? {
                    self.insert(conn, &encoded)?; // one whose unique key is taken is there already
                }
                Ok(())
            })
        })?;
        self.ring();
        Ok(())
    }

    fn encode_all<N: Into<NewJob<J>>>(&self, jobs: impl IntoIterator<Item = N>) -> Result<Vec<Encoded>, JobError> {
        jobs.into_iter().map(|job| self.encode(job.into())).collect()
    }

    /// Inserts, and finds the jobs that have the unique keys already.
    fn enqueue_encoded(&self, conn: &mut S::Connection, encoded: &[Encoded]) -> Result<Vec<i64>, JobError> {
        let ids = self.insert(conn, encoded)?;
        encoded.iter().zip(ids).map(|(encoded, id)| id.map_or_else(|| self.keep(conn, encoded), Ok)).collect()
    }

    /// What enqueuing returns if another job has the unique key.
    fn keep(&self, conn: &mut S::Connection, encoded: &Encoded) -> Result<i64, JobError> {
        let Some((key, then)) = &encoded.job.unique else { return Ok(0) };
        for _ in 0..KEEP_TRIES {
            let found = self.0.store.find_unique(conn, key).map_err(|cause| self.failed("enqueuing", cause))?;
            match (found, then) {
                (Some(id), OnDuplicate::Keep) => return Ok(id),
                (id, OnDuplicate::Refuse) => return Err(JobError::Duplicate { key: key.clone(), id }),
                (None, OnDuplicate::Keep) => {} // that job has been done since: it will not do for this one
            }
            if let Some(id) = self.insert(conn, std::slice::from_ref(encoded))?.pop().flatten() {
                return Ok(id);
            }
        }
        Err(JobError::Duplicate { key: key.clone(), id: None })
    }

    fn encode(&self, job: NewJob<J>) -> Result<Encoded, JobError> {
        let params = (self.0.codec.encode)(&job.params).and_then(checked).map_err(JobError::Params)?;
        let max_attempts = job.max_attempts.unwrap_or(self.0.options.max_attempts);
        if max_attempts == 0 {
            return Err(BadOption::new("max_attempts", "at least 1", 0).into());
        }
        for (what, text) in [("notify", &job.notify), ("limit_key", &job.limit_key)] {
            no_nul(what, text.as_deref())?;
        }
        no_nul("unique", job.unique.as_ref().map(|(key, _)| &**key))?;
        let NewJob { due, priority, notify, unique, limit_key, .. } = job;
        let max_attempts = i32::try_from(max_attempts).unwrap_or(i32::MAX);
        let job = NewJob { params: (), due, priority, max_attempts: None, notify, unique, limit_key };
        Ok(Encoded { params, max_attempts, job })
    }

    fn insert(&self, conn: &mut S::Connection, encoded: &[Encoded]) -> Result<Vec<Option<i64>>, JobError> {
        let rows: Vec<_> = encoded.iter().map(Encoded::row).collect();
        let ids = self.0.store.insert(conn, &rows).map_err(|cause| self.failed("enqueuing", cause))?;
        add(&self.0.figures.enqueued, ids.iter().flatten().count());
        Ok(ids)
    }

    // ---- what stands in the table

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// The database's.
    pub fn counts(&self) -> Result<Counts, JobError> {
        let counts = self.with("counting", |store, conn| store.counts(conn))?;
        let mut all = Counts::default();
        for (state, n) in counts {
            *all.of_mut(state) += n;
        }
        Ok(all)
    }

    /// Jobs as they stand, by number, a page at a time.
    ///
    /// # Errors
    /// The database's.
    pub fn list(&self, filter: &Filter) -> Result<Vec<JobRow>, JobError> {
        self.with("listing", |store, conn| store.list(conn, filter))
    }

    /// Has a job that failed for good tried again, from the first attempt.
    ///
    /// # Errors
    /// [`JobError::NotFailed`] if it has not failed, or is not there; the database's.
    pub fn requeue(&self, id: i64) -> Result<(), JobError> {
        let was = self.with("requeuing", |store, conn| store.requeue(conn, id))?;
        if !was {
            return Err(JobError::NotFailed { id });
        }
        self.ring();
        Ok(())
    }

    /// Removes a job, whatever its state. One that is being worked on in this process is told by its token, and what it
    /// writes in its transaction is rolled back; elsewhere it is told when its lease is next extended, and one that is inside
    /// its transaction there is left alone. Returns whether it is, or will be, gone.
    ///
    /// # Errors
    /// The database's.
    pub fn cancel(&self, id: i64) -> Result<bool, JobError> {
        let here = self.holds().iter().filter(|hold| hold.cancel(id)).count() > 0;
        let gone = self.with("cancelling", |store, conn| store.cancel(conn, id))?;
        // One that has begun between the two.
        let here = here || self.holds().iter().filter(|hold| hold.cancel(id)).count() > 0;
        Ok(here || gone.is_some())
    }

    /// Has nobody reserve jobs of this queue, in any process, until [`resume`](Self::resume). Those that were reserved are still
    /// worked on.
    ///
    /// # Errors
    /// The database's.
    pub fn pause(&self) -> Result<(), JobError> {
        self.with("pausing", |store, conn| store.set_paused(conn, true))
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// The database's.
    pub fn resume(&self) -> Result<(), JobError> {
        self.with("resuming", |store, conn| store.set_paused(conn, false))?;
        self.ring();
        Ok(())
    }

    /// Removes jobs that failed for good longer ago than `age`, and of the others all but the newest `keep`. Returns how many.
    ///
    /// # Errors
    /// The database's.
    pub fn prune(&self, age: Option<Duration>, keep: Option<usize>) -> Result<usize, JobError> {
        self.with("pruning", |store, conn| store.prune(conn, age, keep))
    }

    /// What it has done in this process.
    pub fn stats(&self) -> QueueStats {
        self.0.figures.read()
    }

    // ---- inside

    /// Tells the producers of this process that there may be jobs.
    fn ring(&self) {
        for hold in self.holds() {
            hold.ring();
        }
    }

    fn holds(&self) -> Vec<Arc<Hold>> {
        let mut holds = self.0.holds.lock();
        holds.retain(|hold| hold.strong_count() > 0);
        holds.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn add_hold(&self, hold: &Arc<Hold>) {
        self.0.holds.lock().push(Arc::downgrade(hold));
    }

    /// How long after a failure of this attempt a job is tried again. A panic in the user's function is as if there were none.
    pub(super) fn back_off(&self, attempt: u32) -> Duration {
        isolate(|| (self.0.options.back_off)(attempt)).unwrap_or_else(|_| back_off(attempt))
    }

    pub(super) fn tell(&self, event: &JobEvent<'_>) {
        if let Some(on_event) = &self.0.options.on_event {
            let _ = isolate(|| on_event(event));
        }
    }

    pub(super) fn failed(&self, doing: &'static str, cause: S::Error) -> JobError {
        add(&self.0.figures.troubles, 1);
        JobError::Store { table: self.0.store.table_name().to_owned(), doing, cause: Box::new(cause) }
    }

    /// Does something on a connection of the queue's own.
    pub(super) fn with<R>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&S, &mut S::Connection) -> Result<R, S::Error>,
    ) -> Result<R, JobError> {
        let done = self.on_connection(doing, |conn| f(&self.0.store, conn))?;
        done.map_err(|cause| self.failed(doing, cause))
    }

    fn with_any(
        &self,
        doing: &'static str,
        f: impl FnOnce(&S, &mut S::Connection) -> anyhow::Result<()>,
    ) -> Result<(), JobError> {
        let done = self.on_connection(doing, |conn| f(&self.0.store, conn))?;
        done.map_err(|cause| {
            add(&self.0.figures.troubles, usize::from(cause.is::<S::Error>()));
            JobError::Store { table: self.0.store.table_name().to_owned(), doing, cause: cause.into() }
        })
    }

    /// The same with whatever error; a connection that is of no more use is not kept.
    fn on_connection<R, E>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&mut S::Connection) -> Result<R, E>,
    ) -> Result<Result<R, E>, JobError> {
        let mut conn = self.take_connection(doing)?;
        let done = f(&mut conn);
        if done.is_ok() || !self.0.store.is_broken(&mut conn) {
            self.put_connection(conn);
        }
        Ok(done)
    }

    fn take_connection(&self, doing: &'static str) -> Result<S::Connection, JobError> {
        loop {
            let idle = self.0.idle.lock().pop();
            match idle {
                None => return self.0.store.connect().map_err(|cause| self.failed(doing, cause)),
                Some((mut conn, since)) => {
                    let stale = Clock::Real.now().saturating_duration_since(since) > STALE;
                    if !(stale && self.0.store.is_broken(&mut conn)) {
                        return Ok(conn);
                    }
                }
            }
        }
    }

    fn put_connection(&self, conn: S::Connection) {
        let dropped = {
            let mut idle = self.0.idle.lock();
            match idle.len() < IDLE {
                true => {
                    idle.push((conn, Clock::Real.now()));
                    None
                }
                false => Some(conn),
            }
        };
        drop(dropped);
    }
}

/// A job whose parameters are written down.
struct Encoded {
    params: String,
    max_attempts: i32,
    job: NewJob<()>,
}

impl Encoded {
    fn row(&self) -> NewRow<'_> {
        NewRow {
            params: &self.params,
            due: self.job.due,
            priority: self.job.priority,
            max_attempts: self.max_attempts,
            notify: self.job.notify.as_deref(),
            unique_key: self.job.unique.as_ref().map(|(key, _)| key.as_str()),
            limit_key: self.job.limit_key.as_deref(),
        }
    }
}

/// Text that both databases can hold.
fn no_nul(option: &'static str, text: Option<&str>) -> Result<(), BadOption> {
    match text.filter(|text| text.contains('\0')) {
        Some(text) => Err(BadOption::new(option, "text without a NUL", format!("{text:?}"))),
        None => Ok(()),
    }
}

/// Parameters that both databases can hold.
fn checked(json: String) -> anyhow::Result<String> {
    fn has_nul(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(s) => s.contains('\0'),
            serde_json::Value::Array(all) => all.iter().any(has_nul),
            serde_json::Value::Object(all) => all.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
            _ => false,
        }
    }
    if json.contains("\\u0000") && has_nul(&serde_json::from_str(&json)?) {
        anyhow::bail!("a string in them holds a NUL, which Postgres does not take");
    }
    Ok(json)
}

/// How many jobs are in each state.
///
/// ```
/// use drawgate::jobs::{Counts, JobState};
/// let counts = Counts { available: 2, failed: 1, ..Counts::default() };
/// assert_eq!((counts.total(), counts.of(JobState::Failed)), (3, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Due later.
    pub scheduled: u64,
    /// Wait to be reserved.
    pub available: u64,
    /// Reserved, and not begun.
    pub reserved: u64,
    /// Being worked on.
    pub in_progress: u64,
    /// Failed, and due again later.
    pub retry: u64,
    /// Failed for good.
    pub failed: u64,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> u64 {
        JobState::ALL.into_iter().map(|state| self.of(state)).sum()
    }

    /// Those in one state.
    pub fn of(&self, state: JobState) -> u64 {
        let mut counts = *self;
        *counts.of_mut(state)
    }

    fn of_mut(&mut self, state: JobState) -> &mut u64 {
        match state {
            JobState::Scheduled => &mut self.scheduled,
            JobState::Available => &mut self.available,
            JobState::Reserved => &mut self.reserved,
            JobState::InProgress => &mut self.in_progress,
            JobState::Retry => &mut self.retry,
            JobState::Failed => &mut self.failed,
        }
    }
}
