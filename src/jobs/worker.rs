//! Begins jobs, has a handler work on them, and ends them: on one thread, with one connection.

use super::error::JobError;
use super::hold::Hold;
use super::job::{Job, Outcome, Reserved};
use super::queue::Queue;
use super::stats::{JobEvent, add};
use super::store::{Run, Store, Verdict};
use crate::stage::StopToken;
use crate::sync::{Clock, isolate};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

/// Completions that are kept for one statement.
const BATCH: usize = 100;
/// How long it waits after the database failed it, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a statement is tried that fails on a connection that is well.
const TRIES: u32 = 5;

/// Works on reserved jobs, one at a time, with a connection of its own, which is made when it is needed and after it broke.
/// What [`Queue::work`] has one of on each thread; for a consumer of one's own.
///
/// A panic of a handler is caught, and fails its job. Dropping a worker that has not been [flushed](Self::flush) loses no job, but
/// those that are done and not removed yet are worked on again when their leases have run out.
///
/// ```
/// use drawgate::{jobs::{Queue, Reserved, Sqlite, Worker}, prelude::*};
///
/// struct Sums { worker: Worker<u32, Sqlite>, sum: u32 }
/// impl Consumer for Sums {
///     type Event = Reserved<u32>;
///     fn handle_events(&mut self, jobs: Events<'_, Reserved<u32>>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
///         for job in jobs {
///             self.worker.work(job, |n, _| Ok(self.sum += **n));
///         }
///         self.worker.flush(); // they are done, and are removed together
///         if self.sum >= 6 {
///             ctx.stop(ExitReason::Normal);
///         }
///         Ok(())
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// queue.enqueue_all([1, 2, 3])?;
/// let jobs = queue.producer().spawn()?;
/// let sums = drawgate::consumer(Sums { worker: queue.worker(), sum: 0 }).subscribe_to(&jobs).spawn()?;
/// assert_eq!(sums.finish()?.sum, 6);
/// assert_eq!(queue.counts()?.total(), 0);
/// # jobs.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
/// # anyhow::Ok(())
/// ```
pub struct Worker<J, S: Store> {
    queue: Queue<J, S>,
    conn: Option<S::Connection>,
    /// Done, and not yet removed: their leases are still extended.
    finished: Vec<Job<J>>,
    /// Says that no more is tried after the database failed.
    stop: Option<StopToken>,
}

/// A job of a slice: begun with others, or to be begun by itself.
pub(super) enum Next<J> {
    Started(Job<J>),
    Alone(Reserved<J>),
}

impl<J: Send + 'static, S: Store> Queue<J, S> {
    /// Works on what this queue's producer emits.
    pub fn worker(&self) -> Worker<J, S> {
        Worker { queue: self.clone(), conn: None, finished: Vec::new(), stop: None }
    }
}

impl<J: Send + 'static, S: Store> Worker<J, S> {
    pub(super) fn set_stop(&mut self, token: StopToken) {
        self.stop = Some(token);
    }

    /// Works on a job outside any transaction: `f` does what takes its time, and then may write in a short one, by
    /// [`Finish::commit`], which removes the job as well. Without that the job is removed for it, with others, at the next
    /// [`flush`](Self::flush); should the process die before, it is worked on again.
    ///
    /// An error or a panic fails this attempt, and is told of in the job's row. Returns whether the job was there to be
    /// worked on.
    pub fn work<R: Into<Outcome>>(
        &mut self,
        job: Reserved<J>,
        f: impl FnOnce(&Job<J>, &mut Finish<'_, S>) -> anyhow::Result<R>,
    ) -> bool {
        let Some(job) = self.start(job) else { return false };
        self.run(job, f);
        true
    }

    /// Works on a job inside one transaction: what `f` writes and the job's removal are committed together, or not at all.
    /// The job is locked meanwhile, so a statement of another's that wants it waits, or passes it by.
    ///
    /// An error or a panic rolls all of it back, fails this attempt, and is told of in the job's row. Returns whether the job
    /// was there to be worked on.
    pub fn work_in_tx<R: Into<Outcome>>(
        &mut self,
        job: Reserved<J>,
        f: impl FnOnce(&mut S::Connection, &Job<J>) -> anyhow::Result<R>,
    ) -> bool {
        let Some(job) = self.start(job) else { return false };
        self.run_in_tx(job, f);
        true
    }

    // ---- beginning

    fn start(&mut self, job: Reserved<J>) -> Option<Job<J>> {
        match self.start_all(vec![job], true).pop_front() {
            Some(Next::Started(job)) => Some(job),
            Some(Next::Alone(_)) | None => None,
        }
    }

    /// Begins those of a slice that may begin together; with `alone` all of them.
    pub(super) fn start_all(&mut self, jobs: Vec<Reserved<J>>, alone: bool) -> VecDeque<Next<J>> {
        let together = |job: &Reserved<J>| alone || job.slip.may_start_with_others();
        let runs: Vec<Run> = jobs.iter().filter(|job| together(job)).map(|job| job.slip.run).collect();
        let execution = self.queue.0.options.execution;
        let started = match runs.is_empty() {
            true => Some(Vec::new()),
            false => self.persist("starting", |store, conn| store.start(conn, &runs, execution)),
        };
        // If that is not to be had they are given back as they are dropped.
        let Some(started) = started else { return VecDeque::new() };
        let mut started: HashSet<i64> = started.into_iter().collect();
        add(&self.queue.0.figures.started, started.len());
        let mut next = VecDeque::with_capacity(jobs.len());
        for job in jobs {
            // Taken out: a reservation that ran out while it stood in the lane may have been made anew, and stand there twice.
            match (together(&job), started.remove(&job.id())) {
                (true, true) => next.push_back(Next::Started(job.started())),
                (true, false) => {
                    add(&self.queue.0.figures.lost, 1);
                    job.lost();
                }
                (false, _) => next.push_back(Next::Alone(job)),
            }
        }
        next
    }

    pub(super) fn started(&mut self, next: Next<J>) -> Option<Job<J>> {
        match next {
            Next::Started(job) => Some(job),
            Next::Alone(job) => self.start(job),
        }
    }

    // ---- working

    pub(super) fn run<R: Into<Outcome>>(
        &mut self,
        job: Job<J>,
        f: impl FnOnce(&Job<J>, &mut Finish<'_, S>) -> anyhow::Result<R>,
    ) {
        let (begun, queue) = (Clock::Real.now(), self.queue.clone());
        let mut finish = Finish::new(&queue.0.store, &mut self.conn, &job);
        let ran = isolate(|| f(&job, &mut finish).map(Into::into));
        let ended = finish.ended;
        queue.0.figures.add_worked(Clock::Real.now().saturating_duration_since(begun));
        self.forget_after_panic(&ran);
        match (ended, ran) {
            (Ended::Committed, _) => self.done(&job),
            (Ended::Lost, _) => self.lost(&job),
            (Ended::Not, Ok(Ok(Outcome::Done))) => {
                self.finished.push(job);
                if self.finished.len() >= BATCH {
                    self.flush();
                }
            }
            (Ended::Failed, Ok(Ok(Outcome::Done))) => self.not_done(&job, Ok(Err(CommitFailed.into()))),
            (Ended::Not | Ended::Failed, ran) => self.not_done(&job, ran),
        }
    }

    pub(super) fn run_in_tx<R: Into<Outcome>>(
        &mut self,
        job: Job<J>,
        f: impl FnOnce(&mut S::Connection, &Job<J>) -> anyhow::Result<R>,
    ) {
        let (begun, queue) = (Clock::Real.now(), self.queue.clone());
        let (mut f, mut outcome, mut pause) = (Some(f), Outcome::Done, Pause::default());
        let (ended, ran) = loop {
            let mut finish = Finish::new(&queue.0.store, &mut self.conn, &job);
            let ran = isolate(|| {
                finish.commit(|tx| {
                    outcome = f.take().map_or(Ok(Outcome::Done), |f| f(tx, &job).map(Into::into))?;
                    // Anything else is rolled back.
                    if outcome == Outcome::Done { Ok(()) } else { Err(NotDone.into()) }
                })
            });
            let ended = finish.ended;
            // The database failed before the handler was called: that is no attempt of the job's.
            if f.is_some() && ended == Ended::Failed {
                add(&queue.0.figures.troubles, 1);
                if pause.go_on(self.stop.as_ref(), true) {
                    continue;
                }
            }
            break (ended, ran);
        };
        queue.0.figures.add_worked(Clock::Real.now().saturating_duration_since(begun));
        self.forget_after_panic(&ran);
        match (ended, ran) {
            (Ended::Committed, _) => self.done(&job),
            (Ended::Lost, _) => self.lost(&job),
            (_, Ok(Err(cause))) if cause.is::<NotDone>() => self.not_done(&job, Ok(Ok(outcome))),
            (_, Ok(ran)) => self.not_done(&job, Ok(ran.map(|()| Outcome::Done))),
            (_, Err(message)) => self.not_done(&job, Err(message)),
        }
    }

    /// Whatever a panic left of a transaction: later ones on this connection would be a part of it, and be lost.
    fn forget_after_panic<R>(&mut self, ran: &Result<R, std::sync::Arc<str>>) {
        if ran.is_err() {
            drop(self.conn.take());
        }
    }

    /// A job that has ended makes room for another one of its limit key.
    fn make_room(&self, job: &Job<J>) {
        if self.queue.0.options.per_key.is_some() {
            job.look_again();
        }
    }

    fn done(&self, job: &Job<J>) {
        self.make_room(job);
        add(&self.queue.0.figures.done, 1);
        self.queue.tell(&JobEvent::Done { id: job.id(), attempt: job.attempt() });
    }

    fn lost(&self, job: &Job<J>) {
        self.make_room(job);
        add(&self.queue.0.figures.lost, 1);
        self.queue.tell(&JobEvent::Lost { id: job.id(), attempt: job.attempt() });
    }

    /// Ends a run that did not end well.
    fn not_done(&mut self, job: &Job<J>, ran: Result<anyhow::Result<Outcome>, std::sync::Arc<str>>) {
        let again = |delay| if job.is_last_attempt() { Verdict::Failed } else { Verdict::Retry(delay) };
        let back_off = || self.queue.back_off(job.attempt());
        let (verdict, cause) = match ran {
            Ok(Ok(Outcome::Done)) => return,
            Ok(Ok(Outcome::Retry(delay))) => (again(delay), "it is to be tried again".to_owned()),
            Ok(Ok(Outcome::Discard(reason))) => (Verdict::Failed, reason),
            Ok(Err(cause)) => (again(back_off()), format!("{cause:#}")),
            Err(message) => (again(back_off()), format!("panicked: {message}")),
        };
        let (figures, run) = (self.queue.clone(), job.run);
        let figures = &figures.0.figures;
        if job.was_cancelled() {
            let _ = self.persist("cancelling", |store, conn| store.remove(conn, &[run]));
            return self.lost(job);
        }
        let (id, attempt, cause) = (job.id(), job.attempt(), &*cause);
        match self.persist("failing", |store, conn| store.fail(conn, run, verdict, cause)) {
            Some(true) => match verdict {
                Verdict::Failed => {
                    add(&figures.failed, 1);
                    self.queue.tell(&JobEvent::Failed { id, attempt, cause });
                }
                Verdict::Retry(after) => {
                    add(&figures.retried, 1);
                    self.queue.tell(&JobEvent::Retried { id, attempt, after, cause });
                }
            },
            Some(false) => self.lost(job),
            None => {} // its lease will expire
        }
        job.look_again();
    }

    /// Removes the jobs that are done and were not removed yet, in one statement. Blocks while the database does, and tries a
    /// few times if that fails; what it cannot remove stays for the next flush.
    pub fn flush(&mut self) {
        let done = std::mem::take(&mut self.finished);
        if done.is_empty() {
            return;
        }
        let runs: Vec<Run> = done.iter().map(|job| job.run).collect();
        match self.persist("finishing", |store, conn| store.remove(conn, &runs)) {
            Some(removed) => self.removed(done, &removed),
            // One of them may be what the database does not let go of: each by itself, and what stays is tried again later.
            None => {
                for job in done {
                    let run = job.run;
                    match self.persist("finishing", |store, conn| store.remove(conn, &[run])) {
                        Some(removed) => self.removed(vec![job], &removed),
                        None => self.finished.push(job),
                    }
                }
            }
        }
    }

    fn removed(&self, done: Vec<Job<J>>, removed: &[i64]) {
        let removed: HashSet<i64> = removed.iter().copied().collect();
        for job in &done {
            match removed.contains(&job.id()) {
                true => self.done(job),
                false => self.lost(job),
            }
        }
    }

    /// Does something that has to be done, also if the database goes away and comes back meanwhile. Gives up when it is
    /// stopped, or when the connection is well and the statement is not.
    fn persist<R>(
        &mut self,
        doing: &'static str,
        f: impl Fn(&S, &mut S::Connection) -> Result<R, S::Error>,
    ) -> Option<R> {
        let store = &self.queue.0.store;
        let mut pause = Pause::default();
        loop {
            let conn = match self.conn.take() {
                Some(conn) => Ok(conn),
                None => store.connect(),
            };
            let (cause, broken) = match conn {
                Ok(mut conn) => match f(store, &mut conn) {
                    Ok(r) => {
                        self.conn = Some(conn);
                        return Some(r);
                    }
                    Err(cause) => {
                        let broken = store.is_broken(&mut conn);
                        if !broken {
                            self.conn = Some(conn);
                        }
                        (cause, broken)
                    }
                },
                Err(cause) => (cause, true),
            };
            let _: JobError = self.queue.failed(doing, cause); // counted; the producer tells of a database that is away
            if !pause.go_on(self.stop.as_ref(), broken) {
                return None;
            }
        }
    }
}

/// How long it waits between tries.
struct Pause {
    next: Duration,
    tries: u32,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST_PAUSE, tries: 0 }
    }
}

impl Pause {
    /// Waits, longer each time. Returns whether to try again: while the database is away until it is stopped, or a few times
    /// if nothing says so.
    fn go_on(&mut self, stop: Option<&StopToken>, away: bool) -> bool {
        self.tries += 1;
        let never = crossbeam_channel::never();
        let ended = stop.map_or(never, StopToken::channel).recv_timeout(self.next);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        let stopped = ended.is_err_and(|e| !e.is_timeout());
        !stopped && ((away && stop.is_some()) || self.tries < TRIES)
    }
}

impl<J, S: Store> fmt::Debug for Worker<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({:?})", self.queue)
    }
}

/// Rolls a transaction back whose handler says that its job is not done.
#[derive(Debug)]
struct NotDone;
impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job is not done")
    }
}
impl std::error::Error for NotDone {}

/// A handler went on after its commit had failed.
#[derive(Debug)]
struct CommitFailed;
impl fmt::Display for CommitFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its commit failed, and the handler returned as if it were done")
    }
}
impl std::error::Error for CommitFailed {}

/// The job is no longer this worker's: it was taken over after its lease expired, or was cancelled.
#[derive(Debug)]
pub(super) struct Lost;
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job is no longer this worker's")
    }
}
impl std::error::Error for Lost {}

/// How a handler writes what it found and removes its job, in one transaction.
///
/// ```
/// use diesel::{Connection, RunQueryDsl, SqliteConnection, connection::SimpleConnection, sql_query, sql_types::Text};
/// use drawgate::jobs::{Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.db");
/// # let queue: Queue<String, _> = Queue::builder(Sqlite::file(&path)).open()?;
/// # queue.install()?;
/// let mut shop = SqliteConnection::establish(path.to_str().unwrap())?;
/// shop.batch_execute("CREATE TABLE labels (text TEXT)")?;
/// let (tell, told) = std::sync::mpsc::channel();
/// let workers = queue.work(move |item, finish| {
///     let label = item.to_uppercase(); // what takes its time holds no transaction open
///     finish.commit(|tx| Ok(sql_query("INSERT INTO labels VALUES (?)").bind::<Text, _>(label).execute(tx)?))?;
///     Ok(tell.send(())?)
/// });
/// let workers = workers.threads(1).spawn()?;
/// queue.enqueue("flour".to_string())?;
/// told.recv()?;
/// assert_eq!(queue.counts()?.total(), 0); // gone, in the same transaction
/// assert_eq!(sql_query("DELETE FROM labels WHERE text = 'FLOUR'").execute(&mut shop)?, 1);
/// workers.stop(std::time::Duration::from_secs(5))?;
/// # anyhow::Ok(())
/// ```
pub struct Finish<'a, S: Store> {
    store: &'a S,
    conn: &'a mut Option<S::Connection>,
    hold: &'a Hold,
    run: Run,
    ended: Ended,
}

/// How far a handler has come with the end of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Not,
    Committed,
    /// It tried to, and may try again.
    Failed,
    /// Somebody else has the job.
    Lost,
}

impl<'a, S: Store> Finish<'a, S> {
    fn new<J>(store: &'a S, conn: &'a mut Option<S::Connection>, job: &'a Job<J>) -> Self {
        Self { store, conn, hold: job.hold(), run: job.run, ended: Ended::Not }
    }
}

impl<S: Store> Finish<'_, S> {
    /// Removes the job and runs `f`, in one transaction, and commits: when this returns `Ok` it is done, whatever the handler
    /// returns after that. If somebody else has taken the job over, `f` is not run.
    ///
    /// # Errors
    /// What `f` returns, or the database; then all of it was rolled back, and the handler may try again. (If the connection was
    /// lost during the commit itself, nobody knows; a second try finds out.) A job that was taken over, or cancelled here, is an
    /// error, too. A panic in `f` rolls back and fails the attempt.
    pub fn commit<T>(&mut self, f: impl FnOnce(&mut S::Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        anyhow::ensure!(self.ended != Ended::Committed, "the job is done already");
        self.ended = Ended::Failed;
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.store.connect()?,
        };
        let (mut f, mut value, run, store, hold) = (Some(f), None, self.run, self.store, self.hold);
        // First of all: whether it is still ours is found before anything is done.
        let done = store.transaction(&mut conn, &mut |conn| {
            if store.remove(conn, &[run])?.is_empty() {
                return Err(Lost.into());
            }
            value = f.take().map(|f| f(conn)).transpose()?;
            if hold.is_cancelled(run) { Err(Lost.into()) } else { Ok(()) }
        });
        match done {
            Ok(()) => {
                *self.conn = Some(conn);
                self.ended = Ended::Committed;
                value.ok_or_else(|| anyhow::anyhow!("the store did not run the transaction"))
            }
            Err(cause) => {
                if !store.is_broken(&mut conn) {
                    *self.conn = Some(conn);
                }
                if cause.is::<Lost>() && !hold.is_cancelled(run) {
                    self.ended = Ended::Lost;
                }
                Err(cause)
            }
        }
    }

    /// A connection, in no transaction, to look something up before the job is done.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn connection(&mut self) -> Result<&mut S::Connection, S::Error> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.store.connect()?,
        };
        Ok(self.conn.insert(conn))
    }
}

impl<S: Store> fmt::Debug for Finish<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finish({:?})", self.run)
    }
}
