//! A job on its way: before it is enqueued, once it is reserved, and while it is worked on.

use super::hold::Hold;
use super::store::{Due, Row, Run};
use crate::stage::StopToken;
use crate::sync::Arc;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A job to be enqueued, with options. Its parameters alone are one, too.
///
/// ```
/// use drawgate::jobs::NewJob;
/// use std::time::Duration;
/// let reminder = NewJob::new("water the mill").schedule_in(Duration::from_secs(60)).priority(-1).unique("water");
/// assert_eq!(reminder.params(), &"water the mill");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a job is nothing until it is enqueued"]
pub struct NewJob<J> {
    pub(super) params: J,
    pub(super) due: Due,
    pub(super) priority: i32,
    pub(super) max_attempts: Option<u32>,
    pub(super) notify: Option<String>,
    pub(super) unique: Option<(String, OnDuplicate)>,
    pub(super) limit_key: Option<String>,
}

/// What enqueuing does if another job has the same unique key.
///
/// ```
/// use drawgate::jobs::{JobError, NewJob, OnDuplicate, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<String, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// let water = |then| NewJob::new("water the mill".to_string()).unique_or("water", then);
/// let first = queue.enqueue(water(OnDuplicate::Keep))?;
/// assert_eq!(queue.enqueue(water(OnDuplicate::Keep))?, first);
/// let refused = queue.enqueue(water(OnDuplicate::Refuse)).unwrap_err();
/// assert!(matches!(refused, JobError::Duplicate { id: Some(id), .. } if id == first));
/// assert_eq!(queue.counts()?.total(), 1);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Nothing: the other one will do, and its number is returned. The default.
    #[default]
    Keep,
    /// [`JobError::Duplicate`](super::JobError::Duplicate).
    Refuse,
}

impl<J> NewJob<J> {
    /// With the defaults: due at once, priority 0, as many attempts as the queue says.
    pub fn new(params: J) -> Self {
        Self { params, due: Due::Now, priority: 0, max_attempts: None, notify: None, unique: None, limit_key: None }
    }

    /// What it is about.
    pub fn params(&self) -> &J {
        &self.params
    }

    /// Due at a time, by the database's clock. One that has passed is at once.
    pub fn schedule_at(mut self, time: SystemTime) -> Self {
        self.due = Due::At(time);
        self
    }

    /// Due after so long, counted by the database's clock from when it is enqueued.
    pub fn schedule_in(mut self, delay: Duration) -> Self {
        self.due = Due::In(delay);
        self
    }

    /// Lower ones go first. Defaults to 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How often it may be started before it has failed for good. At least 1. Defaults to what the queue says.
    pub fn max_attempts(mut self, n: u32) -> Self {
        self.max_attempts = Some(n);
        self
    }

    /// What is announced when a run of it has ended.
    pub fn notify(mut self, payload: impl Into<String>) -> Self {
        self.notify = Some(payload.into());
        self
    }

    /// No two jobs of the queue have the same key, from when one is enqueued until it is done or has failed for good.
    pub fn unique(self, key: impl Into<String>) -> Self {
        self.unique_or(key, OnDuplicate::Keep)
    }

    /// The same, with a word on what a second one does.
    pub fn unique_or(mut self, key: impl Into<String>, then: OnDuplicate) -> Self {
        self.unique = Some((key.into(), then));
        self
    }

    /// Jobs with the same key, as those of one tenant or for one host, are worked on only so many at once as the queue's
    /// [`limit_per_key`](super::QueueBuilder::limit_per_key) says, over all processes.
    pub fn limit_key(mut self, key: impl Into<String>) -> Self {
        self.limit_key = Some(key.into());
        self
    }
}

impl<J> From<J> for NewJob<J> {
    fn from(params: J) -> Self {
        Self::new(params)
    }
}

/// A job that is reserved for this process, and not begun: the event of a queue's producer. Dropping it gives it back.
///
/// A [`Worker`](super::Worker) begins it. If nobody has done so within the queue's `reservation`, another process may.
///
/// ```
/// use drawgate::{ExitReason, jobs::{Queue, Reserved, Sqlite}};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<String, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// let id = queue.enqueue("hello".to_string())?;
/// let jobs = queue.producer().spawn()?;
/// let (tell, told) = std::sync::mpsc::channel();
/// let mut worker = queue.worker();
/// let mails = drawgate::for_each(move |mail: Reserved<String>| {
///     let _ = tell.send((mail.id(), mail.params().clone(), mail.attempt()));
///     worker.work(mail, |_, _| Ok(())); // from here on it is begun
///     worker.flush();
/// });
/// let mails = mails.subscribe_to(&jobs).spawn()?;
/// assert_eq!(told.recv()?, (id, "hello".to_string(), 0));
/// mails.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
/// jobs.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
/// assert_eq!(queue.counts()?.total(), 0);
/// # anyhow::Ok(())
/// ```
pub struct Reserved<J> {
    pub(super) params: J,
    pub(super) slip: Slip,
}

/// What is known of a reserved job whatever it is about; gives it back when dropped.
pub(super) struct Slip {
    pub(super) run: Run,
    pub(super) max_attempts: i32,
    pub(super) priority: i32,
    pub(super) late: Duration,
    pub(super) notify: Option<String>,
    pub(super) hold: Arc<Hold>,
    /// Whether it was begun, or found to be somebody else's.
    pub(super) gone: bool,
}

impl Slip {
    pub(super) fn new(row: &mut Row, hold: &Arc<Hold>) -> Self {
        Self {
            run: row.run,
            max_attempts: row.max_attempts,
            priority: row.priority,
            late: row.late,
            notify: row.notify.take(),
            hold: hold.clone(),
            gone: false,
        }
    }

    /// Whether it may be started with others in one statement. Should the process die, the attempt of all of them counts,
    /// though one alone was being worked on: so only a job that was never started, and has attempts to spare. One that kills
    /// its process does so alone the next time, and takes no other along.
    pub(super) fn may_start_with_others(&self) -> bool {
        self.run.attempt == 0 && self.max_attempts > 1
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.gone {
            self.hold.give_back(self.run);
        }
    }
}

impl<J> Reserved<J> {
    /// Its number.
    pub fn id(&self) -> i64 {
        self.slip.run.id
    }

    /// What it is about.
    pub fn params(&self) -> &J {
        &self.params
    }

    /// How often it was started before.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.slip.run.attempt).unwrap_or(0)
    }

    /// Its priority.
    pub fn priority(&self) -> i32 {
        self.slip.priority
    }

    /// How long it had been due when it was reserved.
    pub fn late(&self) -> Duration {
        self.slip.late
    }

    pub(super) fn started(mut self) -> Job<J> {
        self.slip.gone = true;
        let run = Run { attempt: self.slip.run.attempt + 1, ..self.slip.run };
        let token = self.slip.hold.began(run);
        Job { params: self.params, slip: self.slip, run, token }
    }

    /// Somebody else has it.
    pub(super) fn lost(mut self) {
        self.slip.gone = true;
    }
}

impl<J> fmt::Debug for Reserved<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reserved({}, attempt {})", self.slip.run.id, self.slip.run.attempt)
    }
}

/// A job that is being worked on: what a handler gets. Derefs to its parameters.
///
/// ```
/// use drawgate::jobs::{Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<String, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// let (begun, begins) = std::sync::mpsc::channel();
/// let workers = queue.work(move |sacks, _| {
///     begun.send((sacks.to_uppercase(), sacks.attempt(), sacks.is_last_attempt()))?;
///     while !sacks.is_cancelled() {
///         std::thread::yield_now(); // grinds one sack after the other
///     }
///     Ok(())
/// });
/// let workers = workers.threads(1).spawn()?;
/// let id = queue.enqueue("rye".to_string())?;
/// assert_eq!(begins.recv()?, ("RYE".to_string(), 1, false));
/// assert!(queue.cancel(id)?); // else it would go on for ever
/// workers.stop(std::time::Duration::from_secs(5))?;
/// # anyhow::Ok(())
/// ```
pub struct Job<J> {
    params: J,
    slip: Slip,
    pub(super) run: Run,
    token: StopToken,
}

impl<J> Job<J> {
    /// Its number.
    pub fn id(&self) -> i64 {
        self.run.id
    }

    /// What it is about.
    pub fn params(&self) -> &J {
        &self.params
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.run.attempt).unwrap_or(0)
    }

    /// Whether a failure of this attempt would be the last.
    pub fn is_last_attempt(&self) -> bool {
        self.run.attempt >= self.slip.max_attempts
    }

    /// What is announced when it has ended.
    pub fn notify(&self) -> Option<&str> {
        self.slip.notify.as_deref()
    }

    /// Says that there is no use in going on: the job was cancelled, somebody else has taken it over, or the workers were to
    /// stop and their time is up. For handlers that take long. Of a job that was cancelled or taken over nothing is committed.
    pub fn token(&self) -> StopToken {
        self.token.clone()
    }

    pub(super) fn hold(&self) -> &Hold {
        &self.slip.hold
    }

    /// Whether it was cancelled in this process.
    pub(super) fn was_cancelled(&self) -> bool {
        self.slip.hold.is_cancelled(self.run)
    }

    /// Has the producer look when the next job is due.
    pub(super) fn look_again(&self) {
        self.slip.hold.ring();
    }

    /// Whether the token says so.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_stopping()
    }
}

impl<J> std::ops::Deref for Job<J> {
    type Target = J;
    fn deref(&self) -> &J {
        &self.params
    }
}

impl<J> Drop for Job<J> {
    fn drop(&mut self) {
        self.slip.hold.ended(self.run);
    }
}

impl<J> fmt::Debug for Job<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({}, attempt {})", self.run.id, self.run.attempt)
    }
}

/// What a handler that returns `Ok` says of its job.
///
/// ```
/// use drawgate::jobs::{Filter, JobState, Outcome, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<String, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// let (tell, told) = std::sync::mpsc::channel();
/// let workers = queue.work(move |to, _| {
///     tell.send(())?;
///     Ok(if to.contains('@') { Outcome::Done } else { Outcome::Discard("no address".to_string()) })
/// });
/// let workers = workers.threads(1).spawn()?;
/// queue.enqueue("the mill".to_string())?;
/// told.recv()?;
/// workers.stop(std::time::Duration::from_secs(5))?; // waits for the run that has begun
/// let failed = queue.list(&Filter::new().state(JobState::Failed))?;
/// assert_eq!(failed[0].last_error.as_deref(), Some("no address"));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and is removed. What `()` means.
    #[default]
    Done,
    /// It is not done, and is due again after so long; the attempt counts. What the handler wrote in its transaction is rolled
    /// back. At the last attempt it has failed.
    Retry(Duration),
    /// It has failed, for this reason, and is not tried again. What the handler wrote in its transaction is rolled back.
    Discard(String),
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Done
    }
}
