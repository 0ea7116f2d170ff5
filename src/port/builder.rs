//! A port before it runs.

use super::depot::{Depot, OnLost};
use super::handle::Port;
use super::thread::{PortBody, PortKind};
use crate::Name;
use crate::dispatch::{Dispatcher, PartitionDispatcher};
use crate::error::{BadOption, SpawnError};
use crate::registry::NamesPort;
use crate::runtime::Runtime;
use crate::stage::{Builder, StageKind, start};
use crate::sync::{Arc, Wait};
use std::fmt;
use std::time::Duration;

/// A port before it runs. Options are checked when it is spawned.
///
/// ```
/// use drawgate::{PushError, SpawnError, prelude::*};
///
/// let lines = Port::bounded(10).weigh(|line: &String| line.len()).spawn()?; // ten bytes, and not ten lines
/// lines.try_push("a gate".into())?;
/// assert!(matches!(lines.try_push("a sluice".into()), Err(PushError::Full(line)) if line == "a sluice"));
///
/// let refused = Port::<u32>::bounded(0).spawn();
/// assert!(matches!(refused, Err(SpawnError::BadOption { cause, .. }) if cause.option == "capacity"));
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct PortBuilder<E> {
    capacity: Option<usize>,
    name: Option<Name>,
    runtime: Option<Runtime>,
    dispatcher: Option<Box<dyn Dispatcher<E>>>,
    weigh: Option<Box<crate::link::Weigh<E>>>,
    on_discard: Option<Box<dyn Fn(usize) + Send + Sync>>,
    close_when_abandoned: bool,
    delay: Option<Duration>,
    hold_until: usize,
    max_delayed: usize,
    on_lost: Option<Arc<OnLost<E>>>,
    stack_size: Option<usize>,
}

/// Delayed events of one port that may be pending unless told.
const MAX_DELAYED: usize = 1_000_000;

impl<E: Send + 'static> PortBuilder<E> {
    pub(super) fn new(capacity: Option<usize>) -> Self {
        Self {
            capacity,
            name: None,
            runtime: None,
            dispatcher: None,
            weigh: None,
            on_discard: None,
            close_when_abandoned: false,
            delay: None,
            hold_until: 0,
            max_delayed: MAX_DELAYED,
            on_lost: None,
            stack_size: None,
        }
    }

    /// Registers it under this name in its runtime. A port with a name stays open until it is closed; one without closes
    /// when its last [`Port`] and its last sender are gone.
    pub fn name(mut self, name: impl NamesPort<E>) -> Self {
        self.name = Some(name.to_name());
        self
    }

    /// Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Who gets which event. Defaults to [`DemandDispatcher`](crate::dispatch::DemandDispatcher): whoever asked and is
    /// free.
    pub fn dispatcher(mut self, dispatcher: impl Dispatcher<E>) -> Self {
        self.dispatcher = Some(Box::new(dispatcher));
        self
    }

    /// [`PartitionDispatcher::by_key`], with the closure's argument inferred. The key is taken on the pushing thread.
    pub fn partition_by<Q: std::hash::Hash>(self, n: usize, key: impl Fn(&E) -> Q + Send + Sync + 'static) -> Self {
        self.dispatcher(PartitionDispatcher::by_key(n, key))
    }

    /// [`PartitionDispatcher::named`], with the closure's argument inferred.
    pub fn partition_named<const N: usize>(
        self,
        names: [&'static str; N],
        key: impl Fn(&E) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.dispatcher(PartitionDispatcher::named(names, key))
    }

    /// Makes the capacity one of weight (bytes, rows) and not of events. The function runs on the pushing thread, before
    /// any lock; if it panics, the pusher gets its event back and the port fails. An event heavier than the whole capacity
    /// enters an empty lane.
    pub fn weigh(mut self, weight: impl Fn(&E) -> usize + Send + Sync + 'static) -> Self {
        self.weigh = Some(Box::new(weight));
        self
    }

    /// Closes it when its last consumer has failed, so that nobody parks for ever. What stands then waits for another
    /// consumer, or for a stop.
    pub fn close_when_abandoned(mut self) -> Self {
        self.close_when_abandoned = true;
        self
    }

    /// Delivers every push this much later. A push takes its place in the capacity at once. If the timer takes no more
    /// ([`max_delayed`](Self::max_delayed) does not count here), or the system refuses it its thread, the push is `Full`, also
    /// one that could wait. Defaults to none.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Holds events until `consumers` have subscribed: no broadcast misses the first ones. Defaults to 0.
    pub fn hold_until(mut self, consumers: usize) -> Self {
        self.hold_until = consumers;
        self
    }

    /// How many delayed events may be pending; beyond it `push_after` is `Full`. Defaults to 1 000 000, because each costs
    /// about 100 bytes and the event.
    pub fn max_delayed(mut self, n: usize) -> Self {
        self.max_delayed = n;
        self
    }

    /// Gets every event that reaches nobody (the port was stopped, a delayed event's name is gone when it is due), with the
    /// port's name, in place of the report to the runtime. They are counted in both cases. Runs on the port's thread, or one of its own.
    pub fn on_lost(mut self, f: impl Fn(E, &Name) + Send + Sync + 'static) -> Self {
        self.on_lost = Some(Arc::new(f));
        self
    }

    /// Gets the number of events that were discarded (by a partition function, with a broadcast consumer that left), in
    /// place of the report to the runtime.
    pub fn on_discard(mut self, f: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_discard = Some(Box::new(f));
        self
    }

    /// The stack of its thread, in bytes.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// An option out of range, a taken name, or no thread. Nothing is left of it then.
    pub fn spawn(self) -> Result<Port<E>, SpawnError> {
        let depot = Depot::new(self.max_delayed, self.on_lost);
        let body = PortBody { depot: depot.clone(), close_when_abandoned: self.close_when_abandoned, unit: () };
        let mut builder = Builder::<PortKind<E>>::new("port", StageKind::Port, Box::new(|| Ok(body)));
        builder.runtime = self.runtime;
        builder.named = self.name.is_some();
        builder.name = self.name;
        builder.stack_size = self.stack_size;
        builder.wait = Wait::Park; // it is not on the way of any event
        builder.emit.dispatcher = self.dispatcher;
        builder.emit.weigh = self.weigh;
        builder.emit.on_discard = self.on_discard;
        builder.emit.hold_until = self.hold_until;
        builder.emit.bound = Some(self.capacity);
        if self.capacity == Some(0) {
            builder.bad = Some(BadOption::new("capacity", "at least 1", 0));
        }
        let named = builder.named;
        let parts = start(builder)?;
        let outlet = parts.outlet.expect("bug: a port emits");
        Ok(Port::new(parts.life, outlet, depot, self.capacity, self.delay, named))
    }
}

impl<E> fmt::Debug for PortBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PortBuilder");
        shown.field("capacity", &self.capacity).field("name", &self.name).finish_non_exhaustive()
    }
}
