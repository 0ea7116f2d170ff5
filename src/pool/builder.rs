//! A pool before it runs.

use super::crew::Crew;
use super::foreman::Foreman;
use super::handle::{Pool, check_threads};
use super::worker::{Failure, Hand, MakeHand, OnFailure, Restarts, Task, Worker};
use crate::Name;
use crate::error::{BadOption, SpawnError};
use crate::registry::AsName;
use crate::runtime::Runtime;
use crate::stage::{Builder, ConsumerKind, Declared, Handle, Nothing, StageKind, Subscribe, Upstream};
use crate::sync::{Arc, thread};
use std::fmt;

/// A pool of threads that do something with each event, one event a thread: for events that take long, or block. An error
/// or a panic ends nothing but its event, which is counted and told.
///
/// ```
/// let (sizes, told) = std::sync::mpsc::channel();
/// let words = drawgate::from_iter(["a", "sluice", "gate"]).spawn()?;
/// let pool = drawgate::workers(move |word: &str| Ok(sizes.send(word.len())?)).threads(2).subscribe_to(&words).spawn()?;
/// assert_eq!(pool.finish()?.handled, 3);
/// assert_eq!(told.iter().sum::<usize>(), 11);
/// # anyhow::Ok(())
/// ```
pub fn workers<E: Send + 'static>(f: impl Fn(E) -> anyhow::Result<()> + Send + Sync + 'static) -> PoolBuilder<E> {
    let f = Arc::new(f);
    PoolBuilder::new(Box::new(move |_| {
        let f = f.clone();
        Ok(Box::new(move |event| f(event)) as Hand<E>)
    }))
}

/// The same with a state for each thread: a connection, a buffer, a random generator.
///
/// `init` runs on the worker's own thread, when it has its first event; the state stays and is dropped there, so it need not
/// be `Send`. It is made again after a panic, and kept after an error. If making it fails or panics, that is a failure of
/// the event.
///
/// ```
/// let numbers = drawgate::from_iter(0..100_u8).spawn()?;
/// let (sums, told) = std::sync::mpsc::channel();
/// let pool = drawgate::workers_init(
///     |_| Ok(Vec::with_capacity(64)), // used again for each event of the thread
///     move |buffer, n: u8| {
///         buffer.clear();
///         buffer.extend(n.to_string().bytes());
///         Ok(sums.send(buffer.len())?)
///     },
/// );
/// assert_eq!(pool.threads(2).subscribe_to(&numbers).spawn()?.finish()?.handled, 100);
/// assert_eq!(told.iter().sum::<usize>(), 190);
/// # anyhow::Ok(())
/// ```
pub fn workers_init<E: Send + 'static, S: 'static>(
    init: impl Fn(&Worker) -> anyhow::Result<S> + Send + Sync + 'static,
    f: impl Fn(&mut S, E) -> anyhow::Result<()> + Send + Sync + 'static,
) -> PoolBuilder<E> {
    let f = Arc::new(f);
    PoolBuilder::new(Box::new(move |worker| {
        let (mut state, f) = (init(worker)?, f.clone());
        Ok(Box::new(move |event| f(&mut state, event)) as Hand<E>)
    }))
}

/// A worker pool before it runs. Options are checked when it is spawned.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
/// let numbers = drawgate::from_iter(0..10).spawn()?;
/// let calls = AtomicU32::new(0);
/// let pool = drawgate::workers(move |_: i32| match calls.fetch_add(1, SeqCst) {
///     0 => anyhow::bail!("not yet"),
///     _ => Ok(()),
/// });
/// let pool = pool.threads(4).min_demand(1).restart(3).name("numbers").subscribe_to(&numbers).spawn()?;
/// let counts = pool.finish()?;
/// assert_eq!((counts.handled, counts.restarted, counts.failed), (10, 1, 0));
///
/// let refused = drawgate::workers(|_: i32| Ok(())).threads(0).spawn().unwrap_err();
/// assert!(refused.to_string().contains("`threads` must be at least 1, and was 0"));
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct PoolBuilder<E: Send + 'static> {
    threads: Option<usize>,
    min: Option<usize>,
    name: Option<Name>,
    runtime: Option<Runtime>,
    stack_size: Option<usize>,
    declared: Vec<Declared<E>>,
    make: MakeHand<E>,
    restarts: Option<Restarts<E>>,
    on_failure: Option<OnFailure>,
}

/// The stage, with its state still known, and what it shares.
type Started<E> = (Handle<E, Nothing, Foreman<E>>, Arc<Crew<E>>);

impl<E: Send + 'static> PoolBuilder<E> {
    fn new(make: MakeHand<E>) -> Self {
        Self {
            threads: None,
            min: None,
            name: None,
            runtime: None,
            stack_size: None,
            declared: Vec::new(),
            make,
            restarts: None,
            on_failure: None,
        }
    }

    /// At most this many events are in work at once, each on a thread of its own: what is `max_demand` of other consumers.
    /// At least 1. Defaults to the number of threads that can run at once, because that suits work that burns CPU; take
    /// more for work that waits.
    pub fn threads(mut self, n: usize) -> Self {
        self.threads = Some(n);
        self
    }

    /// A producer is asked for more when this many or fewer of its events are left. Must be below `threads`. Defaults to
    /// `threads - 1`, because with GenStage's half of it up to half of the threads have nothing to do while events stand
    /// that take long. Less asks seldom, and for more at a time: for a producer to which each ask is dear.
    pub fn min_demand(mut self, n: usize) -> Self {
        self.min = Some(n);
        self
    }

    /// Registers it under this name in its runtime; its threads have the name and a number. Defaults to `workers` and a
    /// number, which is not registered.
    pub fn name(mut self, name: impl AsName) -> Self {
        self.name = Some(name.to_name());
        self
    }

    /// Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// The stack of each worker's thread, in bytes. Defaults to what the standard library takes, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Tries an event that failed or panicked again, at once and on the same thread, up to so many times. Defaults to 0,
    /// because an event that fails may have had half of its effect. A clone of the event is made before each try but the
    /// last. A pool that is being stopped tries no more.
    pub fn restart(mut self, times: u32) -> Self
    where
        E: Clone,
    {
        self.restarts = Some((times, E::clone));
        self
    }

    /// Gets each event's failure when it is given up, in place of the report to the runtime. Runs on the worker's thread,
    /// under no lock, before the event counts as finished; a panic in it is dropped. To end the pool with the first failure,
    /// let it call `failure.pool.request_stop(failure.reason.clone())`.
    pub fn on_failure(mut self, f: impl Fn(&Failure<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Box::new(f));
        self
    }

    /// Subscribes when it starts, with the defaults. To a handle, a port, or a name.
    pub fn subscribe_to<U: Upstream<E> + ?Sized>(self, to: &U) -> Self {
        self.subscribe_to_with(to, Subscribe::new())
    }

    /// The same with options, of which the demand is the pool's own; see [`Pool::subscribe_with`].
    pub fn subscribe_to_with<U: Upstream<E> + ?Sized>(mut self, to: &U, options: Subscribe<E>) -> Self {
        self.declared.push(Declared { upstream: to.resolve().0, options: options.one_by_one() });
        self
    }

    /// Starts its stage, makes the declared subscriptions, and returns when that has succeeded. Workers' threads start when
    /// events come and none is idle. If the system refuses one, the pool goes on with those it has, and tells the runtime;
    /// if it has none, it fails with [`SpawnError::Thread`] as the cause, and the event goes back to its lane.
    ///
    /// # Errors
    /// Which of that failed. No thread, name or subscription is left then.
    pub fn spawn(self) -> Result<Pool<E>, SpawnError> {
        let (stage, crew) = self.start()?;
        Ok(Pool::new(stage.erase(), crew))
    }

    pub(super) fn start(self) -> Result<Started<E>, SpawnError> {
        let bad = self.check().err();
        let runtime = self.runtime.unwrap_or_else(|| Runtime::global().clone());
        let crew = Crew::new(self.threads.unwrap_or_else(thread::cores), self.min, &runtime);
        let task = Arc::new(Task { make: self.make, restarts: self.restarts, on_failure: self.on_failure });
        let foreman = Foreman { crew: crew.clone(), task, stack_size: self.stack_size, refused: false };
        let make = Box::new(move || Ok(foreman));
        let mut stage =
            Builder::<ConsumerKind<Foreman<E>>>::new("workers", StageKind::Consumer, make).runtime(&runtime);
        if let Some(name) = self.name {
            stage = stage.name(name);
        }
        stage.declared = self.declared;
        stage.bad = bad;
        Ok((stage.spawn()?, crew))
    }

    fn check(&self) -> Result<(), BadOption> {
        let threads = self.threads.unwrap_or_else(thread::cores);
        check_threads(threads)?;
        match self.min {
            Some(min) if min >= threads => {
                Err(BadOption::new("min_demand", format!("below threads, which is {threads}"), min))
            }
            _ => Ok(()),
        }
    }
}

impl<E: Send + 'static> fmt::Debug for PoolBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder").field("name", &self.name).field("threads", &self.threads).finish_non_exhaustive()
    }
}
