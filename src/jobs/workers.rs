//! Threads that work on a queue's jobs.

use super::hold::Hold;
use super::job::{Job, Outcome, Reserved};
use super::producer::JobProducer;
use super::queue::Queue;
use super::stats::add;
use super::store::Store;
use super::worker::{Finish, Next, Worker};
use crate::error::{BadOption, CallError, SpawnError};
use crate::registry::AsName;
use crate::stage::{
    Consumer, Context, Events, Handle, Nothing, Peer, StageRef, Subscribe, Subscription, consumer_with,
};
use crate::sync::{Arc, Clock, thread};
use crate::{ExitReason, Name, Runtime, StageError};
use std::fmt;
use std::time::Duration;

/// A worker asks for so many jobs as take it this long.
const AHEAD: Duration = Duration::from_millis(50);
/// And for so many at most.
const MOST: usize = 64;

impl<J: Send + Sync + 'static, S: Store> Queue<J, S> {
    /// Works on the queue's jobs, each outside any transaction: `f` does what takes its time, and may write what it found by
    /// [`Finish::commit`], which removes the job in the same transaction. Without that the job is removed for it, together
    /// with others.
    ///
    /// ```
    /// use drawgate::jobs::{Queue, Sqlite};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Sqlite::file(dir.path().join("shop.db"));
    /// let queue: Queue<String, _> = Queue::builder(store).open()?;
    /// queue.install()?;
    /// let (sent, mails) = std::sync::mpsc::channel();
    /// let workers = queue.work(move |mail, _| Ok(sent.send(mail.to_uppercase())?)).threads(2).spawn()?;
    /// queue.enqueue("hello".to_string())?;
    /// assert_eq!(mails.recv()?, "HELLO");
    /// workers.stop(std::time::Duration::from_secs(5))?;
    /// assert_eq!(queue.counts()?.total(), 0);
    /// # anyhow::Ok(())
    /// ```
    pub fn work<R: Into<Outcome>>(
        &self,
        f: impl Fn(&Job<J>, &mut Finish<'_, S>) -> anyhow::Result<R> + Send + Sync + 'static,
    ) -> WorkersBuilder<J, S> {
        let f = Arc::new(f);
        WorkersBuilder::new(self, move || {
            let f = f.clone();
            Ok(Box::new(move |worker: &mut Worker<J, S>, job| worker.run(job, |job, finish| f(job, finish))))
        })
    }

    /// The same with a state for each thread, which is made on that thread when it starts, and dropped there: if that fails
    /// or panics, `spawn` does. The state stays after an error or a panic of the handler.
    pub fn work_init<T: 'static, R: Into<Outcome>>(
        &self,
        init: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
        f: impl Fn(&mut T, &Job<J>, &mut Finish<'_, S>) -> anyhow::Result<R> + Send + Sync + 'static,
    ) -> WorkersBuilder<J, S> {
        let f = Arc::new(f);
        WorkersBuilder::new(self, move || {
            let (f, mut state) = (f.clone(), init()?);
            Ok(Box::new(move |worker: &mut Worker<J, S>, job| {
                worker.run(job, |job, finish| f(&mut state, job, finish));
            }))
        })
    }

    /// Works on the queue's jobs, each inside a transaction: what `f` writes and the job's removal are committed together.
    /// For handlers that do nothing but write, and are much shorter than the queue's `execution`: the job's row is locked
    /// meanwhile, so its lease cannot be extended, and who enqueues a job with the same unique key waits.
    pub fn work_in_tx<R: Into<Outcome>>(
        &self,
        f: impl Fn(&mut S::Connection, &Job<J>) -> anyhow::Result<R> + Send + Sync + 'static,
    ) -> WorkersBuilder<J, S> {
        let f = Arc::new(f);
        WorkersBuilder::new(self, move || {
            let f = f.clone();
            Ok(Box::new(move |worker: &mut Worker<J, S>, job| worker.run_in_tx(job, |tx, job| f(tx, job))))
        })
    }
}

/// What a thread does with a job that has begun.
type Hand<J, S> = Box<dyn FnMut(&mut Worker<J, S>, Job<J>)>;
type MakeHand<J, S> = Arc<dyn Fn() -> anyhow::Result<Hand<J, S>> + Send + Sync>;

/// Threads that work on a queue, before they run.
///
/// ```
/// use drawgate::jobs::{Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<String, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// let workers = queue.work(|_, _| Ok(())).threads(2).name("mails").spawn()?;
/// let names: Vec<_> = workers.stages().iter().map(|stage| stage.name().to_string()).collect();
/// assert_eq!(names, ["mails", "mails-0", "mails-1"]);
/// workers.stop(std::time::Duration::from_secs(5))?;
/// let refused = queue.work(|_, _| Ok(())).threads(0).spawn().unwrap_err();
/// assert!(refused.to_string().contains("`threads` must be at least 1"), "{refused}");
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct WorkersBuilder<J, S: Store> {
    queue: Queue<J, S>,
    make: MakeHand<J, S>,
    threads: usize,
    name: Option<Name>,
    runtime: Option<Runtime>,
}

impl<J: Send + 'static, S: Store> WorkersBuilder<J, S> {
    fn new(queue: &Queue<J, S>, make: impl Fn() -> anyhow::Result<Hand<J, S>> + Send + Sync + 'static) -> Self {
        Self { queue: queue.clone(), make: Arc::new(make), threads: thread::cores(), name: None, runtime: None }
    }

    /// How many jobs are worked on at once, each on a thread of its own with a connection of its own. At least 1. Defaults to
    /// the number of threads that can run at once; take more for work that waits, and where a database can commit for
    /// several at once.
    pub fn threads(mut self, n: usize) -> Self {
        self.threads = n;
        self
    }

    /// Registers the producer under this name in its runtime, and the threads under it with a number. Defaults to a name made
    /// of the kind and a number, which for the producer is not registered.
    pub fn name(mut self, name: impl AsName) -> Self {
        self.name = Some(name.to_name());
        self
    }

    /// Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Starts a producer, and the threads.
    ///
    /// # Errors
    /// The database cannot be reached, or has no such table; an option; a thread that the system refuses. Nothing is left
    /// then.
    pub fn spawn(self) -> Result<Workers<J, S>, SpawnError> {
        let runtime = self.runtime.unwrap_or_else(|| Runtime::global().clone());
        let name = self.name.clone().unwrap_or_else(|| Name::from("jobs"));
        if self.threads == 0 {
            let cause = BadOption::new("threads", "at least 1", 0);
            return Err(SpawnError::BadOption { stage: name, cause });
        }
        let hold = Hold::new();
        let mut producer = self.queue.producer_with_hold(hold.clone()).runtime(&runtime);
        if let Some(name) = self.name {
            producer = producer.name(name);
        }
        let mut workers = Workers { queue: self.queue, hold, producer: producer.spawn()?, threads: Vec::new() };
        for n in 0..self.threads {
            let (queue, make, hold) = (workers.queue.clone(), self.make.clone(), workers.hold.clone());
            let stage = consumer_with(move || {
                Ok(Working { worker: queue.worker(), hand: make()?, hold, appetite: Appetite::default(), from: None })
            });
            let options = Subscribe::new().manual().max_demand(MOST / 2);
            let stage = stage.runtime(&runtime).name(format!("{}-{n}", workers.producer.name()));
            match stage.subscribe_to_with(&workers.producer, options).spawn() {
                Ok(stage) => workers.threads.push(stage.erase()),
                Err(cause) => {
                    let _ = workers.stop(Duration::from_secs(5));
                    return Err(cause);
                }
            }
        }
        Ok(workers)
    }
}

impl<J, S: Store> fmt::Debug for WorkersBuilder<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkersBuilder({:?}, {} threads)", self.queue, self.threads)
    }
}

/// One thread's state.
struct Working<J, S: Store> {
    worker: Worker<J, S>,
    hand: Hand<J, S>,
    hold: Arc<Hold>,
    appetite: Appetite,
    from: Option<Subscription>,
}

/// How many jobs a thread asks for: as many as it handles in a short time, so that long ones are not kept from others, and
/// short ones need no claim each. Pure.
#[derive(Default)]
struct Appetite {
    /// Of one job, of late.
    mean: Option<Duration>,
    /// Asked for and not handled.
    in_flight: usize,
}

impl Appetite {
    fn handled(&mut self, n: usize, took: Duration) {
        self.in_flight = self.in_flight.saturating_sub(n);
        let each = took / u32::try_from(n.max(1)).unwrap_or(u32::MAX);
        self.mean = Some(self.mean.map_or(each, |mean| (mean * 3 + each) / 4));
    }

    fn most(&self) -> usize {
        let Some(mean) = self.mean else { return 1 };
        let n = AHEAD.as_nanos() / mean.as_nanos().max(1);
        usize::try_from(n).unwrap_or(MOST).clamp(1, MOST)
    }

    /// What to ask for now.
    fn ask(&mut self) -> usize {
        let most = self.most();
        match self.in_flight <= most / 2 {
            true => most - std::mem::replace(&mut self.in_flight, most),
            false => 0,
        }
    }
}

impl<J: Send + 'static, S: Store> Consumer for Working<J, S> {
    type Event = Reserved<J>;

    fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        self.worker.set_stop(ctx.stop_token());
        self.from = Some(peer.subscription.clone());
        ctx.ask(&peer.subscription, self.appetite.ask());
        Ok(())
    }

    fn handle_events(&mut self, events: Events<'_, Reserved<J>>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let (jobs, begun) = (events.into_vec(), Clock::Real.now());
        let n = jobs.len();
        if self.hold.is_closing() {
            drop(jobs); // given back
            return Ok(());
        }
        let mut next = self.worker.start_all(jobs, false);
        let mut flushed = begun;
        while let Some(job) = next.pop_front() {
            // Others may wait for what is done: room for one more of a key, a lease.
            if Clock::Real.now().saturating_duration_since(flushed) > AHEAD {
                self.worker.flush();
                flushed = Clock::Real.now();
            }
            if matches!(&job, Next::Alone(_)) && self.hold.is_closing() {
                continue; // given back
            }
            if let Some(job) = self.worker.started(job) {
                (self.hand)(&mut self.worker, job);
            }
        }
        self.worker.flush();
        self.appetite.handled(n, Clock::Real.now().saturating_duration_since(begun));
        if let Some(from) = &self.from {
            ctx.ask(from, self.appetite.ask());
        }
        Ok(())
    }
}

/// Running threads that work on a queue. Dropping it stops nothing: they go on until the process ends, whose jobs others take
/// over when their leases have run out.
///
/// ```
/// use drawgate::jobs::{Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// # let queue: Queue<String, _> = Queue::builder(store).open()?;
/// # queue.install()?;
/// let (sent, mails) = std::sync::mpsc::channel();
/// let workers = queue.work(move |mail, _| Ok(sent.send(mail.to_string())?)).threads(1).spawn()?;
/// workers.queue().enqueue("hello".to_string())?;
/// assert_eq!(mails.recv()?, "hello");
/// workers.stop(std::time::Duration::from_secs(5))?;
/// queue.enqueue("too late".to_string())?;
/// assert_eq!(queue.counts()?.available, 1); // for those who come next
/// # anyhow::Ok(())
/// ```
pub struct Workers<J, S: Store> {
    queue: Queue<J, S>,
    hold: Arc<Hold>,
    producer: Handle<Nothing, Reserved<J>, JobProducer<J, S>>,
    threads: Vec<Handle<Reserved<J>, Nothing>>,
}

impl<J: Send + 'static, S: Store> Workers<J, S> {
    /// Reserves no more jobs, gives back at once what was reserved and not begun, and waits at most `limit` for the runs that
    /// have begun. Those that take longer are told by their token, and are left behind: one that ends after all is still
    /// removed, unless its lease has run out. Stopping twice is fine.
    ///
    /// # Errors
    /// Names a thread that has not ended in time.
    pub fn stop(&self, limit: Duration) -> Result<(), CallError> {
        let (begun, step) = (Clock::Real.now(), self.queue.0.options.execution / 3);
        self.hold.close();
        self.producer.request_stop(ExitReason::Normal);
        let mut late = None;
        for stage in std::iter::once(&*self.producer).chain(self.threads.iter().map(|thread| &**thread)) {
            loop {
                let left = limit.saturating_sub(Clock::Real.now().saturating_duration_since(begun));
                match stage.join_timeout(left.min(step)) {
                    Ok(Some(_)) => break,
                    // The producer, which extended their leases, is gone.
                    Ok(None) if left > step => self.beat(),
                    _ => {
                        late = late.or_else(|| Some(stage.name().clone()));
                        break;
                    }
                }
            }
        }
        self.give_back();
        match late {
            None => Ok(()),
            Some(stage) => {
                self.hold.hurry();
                for thread in &self.threads {
                    thread.request_stop(ExitReason::Shutdown); // also one that waits for the database
                }
                Err(CallError::Timeout { stage, after: limit })
            }
        }
    }

    fn beat(&self) {
        let (runs, execution) = (self.hold.in_progress(), self.queue.0.options.execution);
        if let Ok(still) = self.queue.with("extending leases", |store, conn| store.extend(conn, &runs, execution)) {
            self.hold.keep(&runs, &still);
        }
    }

    /// What is left when the producer has ended, and gives back no more.
    fn give_back(&self) {
        let runs = self.hold.take_returned();
        if !runs.is_empty() {
            match self.queue.with("giving back", |store, conn| store.give_back(conn, &runs)) {
                Ok(n) => add(&self.queue.0.figures.given_back, n),
                Err(_) => self.hold.put_returned(runs), // counted; a second `stop` tries again
            }
        }
    }

    /// Waits until all of them have ended, as they do when they are stopped.
    ///
    /// # Errors
    /// The first failure.
    pub fn join(&self) -> Result<(), StageError> {
        let ended = self.threads.iter().map(|thread| thread.join()).fold(Ok(()), Result::and);
        self.producer.request_stop(ExitReason::Normal);
        let ended = ended.and(self.producer.join());
        self.give_back();
        ended
    }

    /// The queue they work on.
    pub fn queue(&self) -> &Queue<J, S> {
        &self.queue
    }

    /// The producer's stage, and those of the threads.
    pub fn stages(&self) -> Vec<StageRef> {
        let threads = self.threads.iter().map(|thread| StageRef::clone(thread));
        std::iter::once(StageRef::clone(&self.producer)).chain(threads).collect()
    }
}

impl<J, S: Store> fmt::Debug for Workers<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({:?}, {} threads)", self.queue, self.threads.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_asks_for_one_job_until_it_knows_how_long_they_take() {
        let mut appetite = Appetite::default();
        assert_eq!((appetite.ask(), appetite.ask()), (1, 0));
        appetite.handled(1, Duration::from_millis(200));
        assert_eq!((appetite.ask(), appetite.ask()), (1, 0), "long ones are asked for one by one");
    }

    #[test]
    fn short_jobs_are_asked_for_ahead_and_when_half_of_them_are_left() {
        let mut appetite = Appetite::default();
        assert_eq!(appetite.ask(), 1);
        appetite.handled(1, Duration::from_millis(5));
        assert_eq!(appetite.ask(), 10);
        appetite.handled(4, Duration::from_millis(20));
        assert_eq!(appetite.ask(), 0, "six are more than half");
        appetite.handled(1, Duration::from_millis(5));
        assert_eq!(appetite.ask(), 5);
        for _ in 0..50 {
            appetite.handled(1, Duration::ZERO);
        }
        assert_eq!(appetite.most(), MOST);
    }
}
