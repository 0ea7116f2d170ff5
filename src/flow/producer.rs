//! A flow that others draw from, before it runs.

use super::launch::{Last, Launch};
use crate::dispatch::{Dispatcher, PartitionDispatcher};
use crate::error::SpawnError;
use crate::link::DemandMode;
use crate::runtime::Runtime;
use crate::stage::{Handle, Nothing};
use std::fmt;
use std::hash::Hash;

type StartLast<E> = Box<dyn FnOnce(&mut Launch, Last<E>) -> Result<Handle<Nothing, E>, SpawnError> + Send>;

/// A flow as a producer, before it runs: [`Flow::into_producer`](super::Flow::into_producer). GenStage's `from_enumerable`
/// with its options.
///
/// ```
/// let numbers = drawgate::from_iter(0..6).into_producer().partition_by(2, |n| n % 2).hold_until(2).spawn()?;
/// let draw = |partition| {
///     let all = drawgate::fold(Vec::new(), |all, n: i32| all.push(n));
///     all.subscribe_to_with(&numbers, drawgate::Subscribe::new().partition(partition)).spawn()
/// };
/// let (a, b) = (draw(0)?, draw(1)?);
/// let (a, b) = (a.finish()?, b.finish()?);
/// assert_eq!(a.len() + b.len(), 6);
/// assert!(a.is_empty() || a.iter().all(|n| n % 2 == a[0] % 2));
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct ProducerBuilder<E> {
    start: StartLast<E>,
    last: Last<E>,
    runtime: Option<Runtime>,
}

impl<E: Send + 'static> ProducerBuilder<E> {
    pub(super) fn new(
        runtime: Option<Runtime>,
        start: impl FnOnce(&mut Launch, Last<E>) -> Result<Handle<Nothing, E>, SpawnError> + Send + 'static,
    ) -> Self {
        Self { start: Box::new(start), last: Last::default(), runtime }
    }

    /// Who gets which event. Defaults to [`DemandDispatcher`](crate::dispatch::DemandDispatcher): whoever asked and is
    /// free.
    pub fn dispatcher(mut self, dispatcher: impl Dispatcher<E>) -> Self {
        self.last.emit.dispatcher = Some(Box::new(dispatcher));
        self
    }

    /// [`PartitionDispatcher::by_key`], with the closure's argument inferred.
    pub fn partition_by<Q: Hash>(self, n: usize, key: impl Fn(&E) -> Q + Send + Sync + 'static) -> Self {
        self.dispatcher(PartitionDispatcher::by_key(n, key))
    }

    /// Whether demand reaches it from the start. Defaults to [`DemandMode::Forward`]; see [`Handle::set_demand_mode`].
    pub fn demand_mode(mut self, mode: DemandMode) -> Self {
        self.last.emit.mode = mode;
        self
    }

    /// Holds events and demand until `consumers` have subscribed. Defaults to 0. No item is pulled before somebody asks in
    /// any case.
    pub fn hold_until(mut self, consumers: usize) -> Self {
        self.last.emit.hold_until = consumers;
        self
    }

    /// Whether it waits for new consumers when the last one has left, other than by the end of the flow. Defaults to no:
    /// then it ends. (GenStage's `on_cancel`, where the default is to wait.) What stands when its source is done and nobody
    /// is subscribed is lost, and counted.
    pub fn outlives_consumers(mut self, yes: bool) -> Self {
        self.last.outlives_consumers = yes;
        self
    }

    /// Starts it. Its stages end when the source is done.
    ///
    /// # Errors
    /// A stage could not be started.
    pub fn spawn(self) -> Result<Handle<Nothing, E>, SpawnError> {
        let runtime = self.runtime.unwrap_or_else(|| Runtime::global().clone());
        (self.start)(&mut Launch { runtime, graph: None }, self.last)
    }
}

impl<E> fmt::Debug for ProducerBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProducerBuilder(..)")
    }
}
