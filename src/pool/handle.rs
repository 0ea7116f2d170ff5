//! Handles to running pools.

use super::crew::Crew;
use crate::error::{BadOption, StageError, SubscribeError};
use crate::stage::{Handle, Nothing, StageRef, Subscribe, Subscription, Upstream};
use crate::sync::Arc;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// A running worker pool: a consumer, and the threads it gives its events to. A cheap clone; dropping it stops nothing.
/// Derefs to [`StageRef`].
///
/// An event counts as handled for its producer once a worker has it: a [`Port`](crate::Port) may have ended while workers
/// are still at its last events. The pool has ended when they are through and their threads have dropped their state.
///
/// It ends as any consumer does: when its producers are done, or one is lost and its cancel mode says so, or it is
/// stopped. In each case events in work are finished, and nothing that was drawn is dropped. Stopping it begins no more,
/// and no more restarts; what was not given to a worker goes back to its lane. A worker that never returns holds up the
/// end: `stop` with a limit says so.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::bounded(100).spawn()?;
/// let (begun, begins) = std::sync::mpsc::channel();
/// let (go, gone) = crossbeam_channel::bounded::<()>(0);
/// let pool = drawgate::workers(move |n: u32| {
///     begun.send(n)?;
///     let _ = gone.recv(); // something that takes its time
///     Ok(())
/// });
/// let pool = pool.threads(2).subscribe_to(&port).spawn()?;
/// port.push_all((0..4).collect()).map_err(|refused| refused.kind())?;
/// port.close();
/// begins.recv()?;
/// begins.recv()?; // and no third one
/// assert_eq!((pool.counts().running, pool.counts().handled), (2, 0));
/// pool.resize(3)?; // now there is
/// begins.recv()?;
/// drop(go);
/// assert_eq!(pool.finish()?.handled, 4);
/// # anyhow::Ok(())
/// ```
pub struct Pool<E> {
    stage: Handle<E, Nothing>,
    crew: Arc<Crew<E>>,
}

impl<E: Send + 'static> Pool<E> {
    pub(super) fn new(stage: Handle<E, Nothing>, crew: Arc<Crew<E>>) -> Self {
        Self { stage, crew }
    }

    /// Subscribes with the defaults; see [`subscribe_with`](Self::subscribe_with).
    ///
    /// # Errors
    /// Why not; then the pool is as it was.
    pub fn subscribe<U: Upstream<E> + ?Sized>(&self, to: &U) -> Result<Subscription, SubscribeError> {
        self.subscribe_with(to, Subscribe::new())
    }

    /// Draws from a handle, a port, or a name from now on, and does not wait for the pool. Of the options its demand is
    /// the pool's own: `max_demand`, `min_demand` and `manual` are ignored. Each of several producers is asked for as many
    /// events as may be in work; no more than that are drawn, whoever has them.
    ///
    /// # Errors
    /// Why not; then the pool is as it was.
    pub fn subscribe_with<U: Upstream<E> + ?Sized>(
        &self,
        to: &U,
        options: Subscribe<E>,
    ) -> Result<Subscription, SubscribeError> {
        self.stage.subscribe_with(to, options.one_by_one())
    }

    /// Its figures; answers also while every worker is stuck. The last ones, once it has ended.
    pub fn counts(&self) -> Counts {
        self.crew.roster().counts()
    }

    /// The workers that are at an event, and for how long; answers also while they are stuck.
    pub fn running(&self) -> Vec<Working> {
        let now = self.crew.clock().now();
        self.crew.roster().working(now)
    }

    /// At most `n` events are in work from now on, and at most `n` threads. Waits for nobody: more are asked for at once;
    /// fewer are given out until it is so, and idle threads above that end. `min_demand` stays, but below `n`. Nothing if
    /// the pool has ended.
    ///
    /// # Errors
    /// Names the option `threads` if `n` is 0; then the pool is as it was.
    pub fn resize(&self, n: usize) -> Result<(), BadOption> {
        check_threads(n)?;
        self.crew.resize(n);
        Ok(())
    }

    /// Waits for the pool's end, with all workers through, and gives its last figures. Failed events are a figure, and no
    /// failure of the pool.
    ///
    /// # Errors
    /// The failure the pool ended with: that of a producer, or what it was stopped with.
    pub fn finish(self) -> Result<Counts, StageError> {
        self.join()?;
        Ok(self.counts())
    }
}

pub(super) fn check_threads(n: usize) -> Result<(), BadOption> {
    match n {
        0 => Err(BadOption::new("threads", "at least 1", 0)),
        _ => Ok(()),
    }
}

impl<E> Clone for Pool<E> {
    fn clone(&self) -> Self {
        Self { stage: self.stage.clone(), crew: self.crew.clone() }
    }
}
impl<E> fmt::Debug for Pool<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?}, {:?})", *self.stage, self.crew.roster().counts())
    }
}
impl<E> Deref for Pool<E> {
    type Target = StageRef;
    fn deref(&self) -> &StageRef {
        &self.stage
    }
}

/// A pool in figures. An event that was begun is in one of `running`, `handled` and `failed`.
///
/// ```
/// let numbers = drawgate::from_iter(0..10).spawn()?;
/// let pool = drawgate::workers(|n: i32| Ok(assert!(n < 9))).on_failure(|_| ()).subscribe_to(&numbers).spawn()?;
/// let counts = pool.finish()?;
/// assert_eq!((counts.handled, counts.failed, counts.restarted, counts.threads), (9, 1, 0, 0));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Threads there are now, without those that are leaving.
    pub threads: usize,
    /// Of these, how many are at an event.
    pub running: usize,
    /// And how many are not.
    pub idle: usize,
    /// Events handled well.
    pub handled: u64,
    /// Events given up after an error or a panic.
    pub failed: u64,
    /// Times that an event was tried again.
    pub restarted: u64,
}

/// A worker that is at an event.
///
/// ```
/// let port = drawgate::Port::bounded(1).spawn()?;
/// let (begun, begins) = std::sync::mpsc::channel();
/// let (go, gone) = crossbeam_channel::bounded::<()>(0);
/// let pool = drawgate::workers(move |()| Ok(drop((begun.send(()), gone.recv())))).subscribe_to(&port).spawn()?;
/// assert!(pool.running().is_empty());
/// port.push(())?;
/// begins.recv()?;
/// assert_eq!(pool.running()[0].worker, 0);
/// # drop(go);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Working {
    /// Its number.
    pub worker: usize,
    /// How long it has been at its event, all tries together.
    pub busy: Duration,
}
