//! A flow that runs, owned: the first failure ends the rest.

use super::launch::Launch;
use crate::Name;
use crate::error::{ExitReason, RunError, SpawnError, StageError};
use crate::runtime::{Runtime, Telemetry};
use crate::snapshot::Snapshot;
use crate::stage::{Life, Nudge, Order, StageRef, Watcher};
use crate::sync::{Arc, Clock, Condvar, Deadline, Mutex, Rank, thread};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// What the others get to stop in after a failure, and what a drop waits.
const GRACE: Duration = Duration::from_secs(5);

/// What the stages of a graph share.
pub(super) struct GraphState {
    /// Rank `Life`.
    state: Mutex<State>,
    /// Predicate: `alive == 0`, or a failure was recorded. Notified by each end and each failure.
    changed: Condvar,
    /// Of a stream: whoever takes from it, and waits for events.
    end: Option<Arc<dyn Nudge>>,
}

#[derive(Default)]
struct State {
    stages: Vec<(Name, Arc<Life>)>,
    alive: usize,
    first: Option<(StageError, Instant)>,
    /// Given to stages that start after it.
    order: Option<Order>,
}

impl GraphState {
    pub(super) fn new(end: Option<Arc<dyn Nudge>>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Rank::Life, State::default()), changed: Condvar::new(), end })
    }

    /// A stage is about to start, and may end before it is added.
    pub(super) fn announce(&self) {
        self.state.lock().alive += 1;
    }
    pub(super) fn recall(&self) {
        self.state.lock().alive -= 1;
        self.changed.notify_all();
    }
    pub(super) fn add(&self, step: &Name, life: &Arc<Life>) {
        let order = {
            let mut state = self.state.lock();
            state.stages.push((step.clone(), life.clone()));
            state.order.clone()
        };
        if let Some(order) = order {
            life.order(order);
        }
    }

    fn lives(&self) -> Vec<(Name, Arc<Life>)> {
        self.state.lock().stages.clone()
    }

    pub(super) fn order(&self, order: &Order) {
        let lives = {
            let mut state = self.state.lock();
            if !matches!((&state.order, order), (Some(Order::Stop(_)), Order::Close)) {
                state.order = Some(order.clone());
            }
            state.stages.clone()
        };
        for (_, life) in lives {
            life.order(order.clone());
        }
        if let Some(end) = &self.end {
            end.nudge();
        }
    }

    /// What it was told to do from elsewhere. After a failure that is nothing: the end hears of it behind what was emitted.
    pub(super) fn ordered(&self) -> Option<Order> {
        let state = self.state.lock();
        state.order.clone().filter(|_| state.first.is_none())
    }

    /// Waits until all have ended; after a failure, or with a limit, no longer than that. Says who still runs.
    fn wait(&self, limit: Option<Duration>) -> (Option<StageError>, Vec<Name>) {
        let until = limit.and_then(|limit| Clock::Real.after(limit).instant());
        let mut state = self.state.lock();
        while state.alive > 0 {
            let since_failure = state.first.as_ref().map(|(_, at)| *at + GRACE);
            let at = match (until, since_failure) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            match at {
                None => state = self.changed.wait(state),
                Some(at) if Deadline::at(at).passed(&Clock::Real) => break,
                Some(at) => state = self.changed.wait_until(state, at),
            }
        }
        let first = state.first.as_ref().map(|(first, _)| first.clone());
        let stages = if state.alive > 0 { state.stages.clone() } else { Vec::new() };
        drop(state);
        let stuck = stages.iter().filter(|(_, life)| !life.has_ended()).map(|(_, life)| life.name.clone()).collect();
        (first, stuck)
    }
}

impl GraphState {
    /// Waits until all have ended, and says whether well: else the first failure. After it the others get 5 s.
    pub(super) fn outcome(&self) -> Result<(), StageError> {
        match self.wait(None) {
            (None, _) => Ok(()),
            (Some(mut first), stuck) => {
                first.stuck = stuck;
                Err(first)
            }
        }
    }

    /// The owner is dropped, and has not asked how it ends.
    pub(super) fn abandon(&self, runtime: &Runtime) {
        if thread::panicking() {
            self.order(&Order::Stop(ExitReason::Shutdown));
            return;
        }
        self.order(&Order::Close);
        let (first, stuck) = self.wait(Some(GRACE));
        if !stuck.is_empty() {
            self.order(&Order::Stop(ExitReason::Shutdown));
        }
        for stage in &stuck {
            runtime.report(&Telemetry::LeftBehind { stage, after: GRACE });
        }
        if let Some(StageError { stage, reason, .. }) = &first {
            runtime.report(&Telemetry::Unheard { stage, reason });
        }
    }

    /// A stage could not be started: ends those that were.
    pub(super) fn give_up(&self) {
        self.order(&Order::Stop(ExitReason::Shutdown));
        let (_, _stuck) = self.wait(Some(GRACE));
    }
}

impl Watcher for GraphState {
    fn ending(&self, stage: &Name, reason: &ExitReason) {
        if !reason.is_failure() {
            return;
        }
        {
            let mut state = self.state.lock();
            if state.first.is_some() {
                return;
            }
            state.first = Some((StageError::new(stage.clone(), reason.clone()), Clock::Real.now()));
        }
        self.changed.notify_all();
        self.order(&Order::Stop(ExitReason::Shutdown));
    }
    fn ended(&self) {
        self.state.lock().alive -= 1;
        self.changed.notify_all();
    }
}

/// Starts the stages of a flow and gives its last one.
type StartAll = Box<dyn FnOnce(&mut Launch, Option<Name>) -> Result<Arc<Life>, SpawnError> + Send>;

/// A flow with an end: nothing is open, so it can be run.
///
/// ```
/// fn total(prices: Vec<u32>) -> drawgate::Runnable<u32> {
///     drawgate::from_iter(prices).fold(0, |total, price| *total += price).name("total")
/// }
///
/// assert_eq!(total(vec![1, 2, 3]).run()?, 6); // waits for the end
/// let graph = total(vec![4, 5]).spawn()?; // does not
/// assert_eq!(graph.join()?, 9);
/// # anyhow::Ok(())
/// ```
#[must_use = "does nothing until `run` or `spawn`"]
pub struct Runnable<A> {
    start: StartAll,
    name: Option<Name>,
    runtime: Option<Runtime>,
    result: PhantomData<fn() -> A>,
}

impl<A: Send + 'static> Runnable<A> {
    pub(super) fn new(runtime: Option<Runtime>, start: StartAll) -> Self {
        Self { start, name: None, runtime, result: PhantomData }
    }

    /// Names the last stage.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(Name::from(name));
        self
    }

    /// What it runs in. Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Starts its stages.
    ///
    /// # Errors
    /// A stage could not be started; those that were are told to stop.
    pub fn spawn(self) -> Result<Graph<A>, SpawnError> {
        let runtime = self.runtime.unwrap_or_else(|| Runtime::global().clone());
        let state = GraphState::new(None);
        let mut launch = Launch { runtime, graph: Some(state.clone()) };
        match (self.start)(&mut launch, self.name) {
            Ok(last) => Ok(Graph { state, last, joined: false, result: PhantomData }),
            Err(cause) => {
                state.give_up();
                Err(cause)
            }
        }
    }

    /// Starts it, waits for the end, gives the last stage's state. The first stage that fails ends the others.
    ///
    /// # Errors
    /// A stage could not be started, or failed: which, and why.
    pub fn run(self) -> Result<A, RunError> {
        Ok(self.spawn()?.join()?)
    }
}

impl<A> fmt::Debug for Runnable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A running flow, owned. The first stage that fails ends the others, and is what [`join`](Self::join) returns.
///
/// Dropping it closes its intake and waits at most 5 s for what is inside; a stage that is still busy then, as a source
/// that reads from a silent socket, is left behind and [reported](crate::runtime::Telemetry::LeftBehind), as is a
/// [failure](crate::runtime::Telemetry::Unheard) that nobody asks for any more. Dropping it in a panic stops it and does
/// not wait.
///
/// ```
/// let graph = drawgate::from_iter(0..u64::MAX).fold(0, |count: &mut u64, _| *count += 1).spawn()?;
/// let stopper = graph.stopper();
/// stopper.stop_intake(); // from a signal handler, say
/// assert!(graph.join()? < u64::MAX); // what was taken in is counted
/// # anyhow::Ok(())
/// ```
#[must_use = "dropping a graph ends it"]
pub struct Graph<A> {
    state: Arc<GraphState>,
    last: Arc<Life>,
    joined: bool,
    result: PhantomData<fn() -> A>,
}

impl<A: Send + 'static> Graph<A> {
    /// Waits for the end and gives the last stage's state.
    ///
    /// # Errors
    /// The first failure. After it the others get 5 s to stop; those that do not are named in the error and go on.
    pub fn join(mut self) -> Result<A, StageError> {
        self.joined = true;
        self.state.outcome()?;
        let no_state = || {
            let cause = anyhow::anyhow!("its state was made on its own thread and stayed there");
            StageError::new(self.last.name.clone(), ExitReason::error(cause))
        };
        let state = self.last.take_state().ok_or_else(no_state)?;
        state.downcast().map(|state| *state).map_err(|_| no_state())
    }
}

impl<A> Graph<A> {
    /// Ends it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.state.clone())
    }

    /// Its stages in figures, now.
    pub fn snapshot(&self) -> Snapshot {
        self.watch().snapshot()
    }

    /// Its figures, also after its end.
    pub fn watch(&self) -> Watch {
        Watch(self.state.clone())
    }

    /// Its stages, from the source down.
    pub fn stages(&self) -> Vec<StageRef> {
        self.state.lives().iter().map(|(_, life)| life.to_ref()).collect()
    }
}

impl<A> Drop for Graph<A> {
    fn drop(&mut self) {
        if !self.joined {
            self.state.abandon(&self.last.runtime);
        }
    }
}

impl<A> fmt::Debug for Graph<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Graph").field(&self.stages()).finish()
    }
}

/// A graph's figures; outlives it.
///
/// ```
/// let graph = drawgate::from_iter(0..100).name("count").for_each(drop).spawn()?;
/// let watch = graph.watch(); // for a thread that shows progress, say
/// graph.join()?;
/// let figures = watch.snapshot(); // as they were at the end
/// assert_eq!(figures.stages()[0].events_out, 100);
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Watch(Arc<GraphState>);
impl Watch {
    /// Its stages in figures, now, or as they were at the end. Threads of one step are one row.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of_steps(self.0.lives().iter().map(|(step, life)| (step, life)))
    }
}
impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// Ends a graph, or a stream, from elsewhere, as from a thread that waits for signals. Never blocks.
///
/// ```
/// let (tell, told) = std::sync::mpsc::sync_channel(1);
/// let graph = drawgate::from_iter(1_u64..) // for ever
///     .fold(0, move |count, _| {
///         *count += 1;
///         if *count == 10 {
///             let _ = tell.send(());
///         }
///     })
///     .spawn()?;
/// let stopper = graph.stopper();
/// std::thread::spawn(move || {
///     let _ = told.recv(); // a signal, say
///     stopper.stop_intake();
/// });
/// assert!(graph.join()? >= 10); // what was taken in is counted
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Stopper(pub(super) Arc<GraphState>);
impl Stopper {
    /// Closes the intake: sources end, what is inside is still handled, and `join` returns its result.
    pub fn stop_intake(&self) {
        self.0.order(&Order::Close);
    }
    /// Stops every stage after the callback it is in. What is inside is not handled; `join` returns what the last stage
    /// has.
    pub fn stop_now(&self) {
        self.0.order(&Order::Stop(ExitReason::Shutdown));
    }
}
impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopper")
    }
}
