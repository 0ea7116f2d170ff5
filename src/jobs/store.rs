//! What a database has to do for a queue: the [`Store`] trait, and the rows that go through it.
//!
//! Every time is the database's own clock; what comes and goes here are durations from its now. Each method is one
//! statement, or a transaction of its own, unless it says otherwise.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

/// One run of a job: its number, and how often it had been started when this was read. Together they tell whether it is
/// still the same run: whoever takes a job over starts it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The job's number.
    pub id: i64,
    /// How often it has been started.
    pub attempt: i32,
}

/// When a job is due.
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
#[derive(Clone, Debug)]
#[non_exhaustive]
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

/// A job that was reserved.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is due again after so long.
    Retry(Duration),
    /// It is given up.
    Failed,
}

/// What a sweep found.
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
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
    /// When it was enqueued.
    pub inserted_at: SystemTime,
    /// When its row was changed last.
    pub updated_at: SystemTime,
}

/// Which jobs to list.
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
pub type Ring = Box<dyn Fn() + Send + Sync>;

/// A store's thread that listens. Dropping it ends that, and waits for nothing.
pub trait Listening: Send + fmt::Debug {}

/// A table of jobs in some database. The crate brings two ([`Sqlite`](super::Sqlite) and [`Postgres`](super::Postgres)); implement it for another
/// database, or for another driver.
///
/// A store is bound to one table. It is shared by threads, and each brings a connection of its own to every call.
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
