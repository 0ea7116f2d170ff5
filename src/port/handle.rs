//! Ports: what programs push into.

use super::TimerId;
use super::builder::PortBuilder;
use super::carrier;
use super::depot::{Depot, Place};
use crate::error::{PushError, SpawnError};
use crate::flow::Flow;
use crate::link::{Outlet, Reserved, WayIn};
use crate::runtime::Runtime;
use crate::sealed::Sealed;
use crate::stage::{Life, Order, StageRef, wait_for};
use crate::sync::{Arc, Deadline, Weak};
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

/// A producer fed from outside: a bounded queue whose consumers ask. A cheap clone. Derefs to [`StageRef`].
///
/// A push puts its event straight into a lane, on the pushing thread, and wakes a consumer only if one sleeps. `capacity`
/// bounds what stands in a lane, asked for or not; in front of a full one pushers park in the order they came. Every push
/// that fails gives its event back.
///
/// [`close`](Self::close) lets nothing more in; what was accepted is still delivered (and delayed events come when they are
/// due), then consumers hear that the port is done, and [`join`](StageRef::join) returns. With events in it and nobody
/// subscribed it waits for a consumer. [`stop`](StageRef::stop) does not wait: what is left goes to `on_lost`, or is
/// counted. A port without a name closes when its last `Port` and its last sender are gone.
///
/// ```
/// use drawgate::{PushError, prelude::*};
///
/// let port = Port::bounded(2).spawn()?;
/// port.push(1)?;
/// port.push(2)?;
/// assert!(matches!(port.try_push(3), Err(PushError::Full(3)))); // nobody has drawn yet
///
/// let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&port).spawn()?;
/// port.push(3)?; // parks until there is room
/// port.close();
/// assert_eq!(sum.finish()?, 6);
/// # anyhow::Ok(())
/// ```
pub struct Port<E> {
    stage: StageRef,
    core: Arc<Core<E>>,
    /// Of a port without a name: closes it when the last is gone.
    open: Option<Arc<KeepOpen>>,
}

struct Core<E> {
    outlet: Arc<Outlet<E>>,
    depot: Arc<Depot<E>>,
    capacity: Option<usize>,
    delay: Option<Duration>,
}

struct KeepOpen(StageRef);
impl Drop for KeepOpen {
    fn drop(&mut self) {
        self.0.0.order(Order::Close);
    }
}

impl<E> Clone for Port<E> {
    fn clone(&self) -> Self {
        Self { stage: self.stage.clone(), core: self.core.clone(), open: self.open.clone() }
    }
}
impl<E> fmt::Debug for Port<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({:?})", self.stage)
    }
}
impl<E> Deref for Port<E> {
    type Target = StageRef;
    fn deref(&self) -> &StageRef {
        &self.stage
    }
}
impl<E> Sealed for Port<E> {}

impl<E: Send + 'static> Port<E> {
    pub(super) fn new(
        life: Arc<Life>,
        outlet: Arc<Outlet<E>>,
        depot: Arc<Depot<E>>,
        capacity: Option<usize>,
        delay: Option<Duration>,
        named: bool,
    ) -> Self {
        let stage = life.to_ref();
        let open = (!named).then(|| Arc::new(KeepOpen(stage.clone())));
        let port = Self { stage, core: Arc::new(Core { outlet, depot, capacity, delay }), open };
        if named {
            life.runtime.registry().put_port(&life.name, life.id, Arc::new(port.clone()));
        }
        port
    }

    /// A port in whose lanes `capacity` events may stand, asked for or not. At least 1.
    pub fn bounded(capacity: usize) -> PortBuilder<E> {
        PortBuilder::new(Some(capacity))
    }

    /// A port that is never full: whoever pushes faster than is handled fills the memory.
    pub fn unbounded() -> PortBuilder<E> {
        PortBuilder::new(None)
    }

    pub(crate) fn outlet(&self) -> Arc<Outlet<E>> {
        self.core.outlet.clone()
    }
    pub(super) fn depot(&self) -> &Arc<Depot<E>> {
        &self.core.depot
    }
    pub(super) fn runtime(&self) -> &Runtime {
        &self.stage.0.runtime
    }

    /// Pushes; parks while the port is full. Woken by room, and by the close or end of the port. Holds no lock while it is
    /// parked. Those who park get in in the order they came.
    ///
    /// # Errors
    /// `Closed`, also when the port closes meanwhile; `Cycle` if it would wait for ever, since every consumer of the port
    /// waits for this stage. The event is in it, and is not delivered.
    #[inline]
    pub fn push(&self, event: E) -> Result<(), PushError<E>> {
        match self.try_push(event) {
            Err(PushError::Full(event)) => self.push_slow(event, Deadline::NEVER),
            done => done,
        }
    }

    /// Pushes if there is room and nobody is parked. Never blocks.
    ///
    /// # Errors
    /// `Full` or `Closed`, with the event.
    #[inline]
    pub fn try_push(&self, event: E) -> Result<(), PushError<E>> {
        let core = &*self.core;
        if core.delay.is_some() {
            return self.try_push_delayed(event);
        }
        match core.outlet.route(&event) {
            Ok(routed) => core.outlet.enter(event, routed, false),
            Err(()) => Err(PushError::Closed(event)),
        }
    }

    /// Pushes; parks at most `limit` while the port is full.
    ///
    /// # Errors
    /// `Timeout`, no earlier than the limit, or `Closed`; the event is in it, and is not delivered.
    pub fn push_timeout(&self, event: E, limit: Duration) -> Result<(), PushError<E>> {
        match self.try_push(event) {
            Err(PushError::Full(event)) => self.push_slow(event, self.runtime().clock().after(limit)),
            done => done,
        }
    }

    /// Pushes; parks at latest until `deadline` while the port is full.
    ///
    /// # Errors
    /// As [`push_timeout`](Self::push_timeout).
    pub fn push_deadline(&self, event: E, deadline: Instant) -> Result<(), PushError<E>> {
        self.push_until(event, Deadline::at(deadline))
    }

    pub(super) fn push_until(&self, event: E, deadline: Deadline) -> Result<(), PushError<E>> {
        match self.try_push(event) {
            Err(PushError::Full(event)) => self.push_slow(event, deadline),
            done => done,
        }
    }

    #[cold]
    fn push_slow(&self, event: E, deadline: Deadline) -> Result<(), PushError<E>> {
        let outlet = &self.core.outlet;
        let Ok(routed) = outlet.route(&event) else { return Err(PushError::Closed(event)) };
        let way = if self.core.delay.is_some() { WayIn::Later } else { WayIn::Now };
        // A wait with a deadline ends by itself.
        let any_of = if deadline.is_never() { outlet.figures().consumers } else { Vec::new() };
        let free = Arc::default();
        let Ok(_waiting) = wait_for(any_of, &free) else { return Err(PushError::Cycle(event)) };
        match outlet.wait_in_line_until_free(event, routed, way, self.runtime().clock(), deadline, &free)? {
            None => Ok(()),
            Some(event) => self.deliver_later(event, routed),
        }
    }

    /// Pushes what a channel of this port accepted: it gets in after a close, too.
    pub(super) fn push_accepted(&self, event: E) -> Result<(), PushError<E>> {
        let outlet = &self.core.outlet;
        let Ok(routed) = outlet.route(&event) else { return Err(PushError::Closed(event)) };
        let way = if self.core.delay.is_some() { WayIn::AcceptedLater } else { WayIn::Accepted };
        match outlet.wait_in_line(event, routed, way, self.runtime().clock(), Deadline::NEVER)? {
            None => Ok(()),
            Some(event) => self.deliver_later(event, routed),
        }
    }

    #[cold]
    fn try_push_delayed(&self, event: E) -> Result<(), PushError<E>> {
        let Ok(routed) = self.core.outlet.route(&event) else { return Err(PushError::Closed(event)) };
        if routed.discard {
            return self.core.outlet.enter(event, routed, false);
        }
        match self.core.outlet.reserve(routed) {
            Reserved::Taken => self.deliver_later(event, routed),
            Reserved::Full => Err(PushError::Full(event)),
            Reserved::Closed => Err(PushError::Closed(event)),
        }
    }

    /// The event has its place; it comes after the port's own delay.
    fn deliver_later(&self, event: E, routed: crate::link::Routed) -> Result<(), PushError<E>> {
        let delay = self.core.delay.unwrap_or_default();
        match self.core.depot.keep(event, Place::Taken(routed), delay) {
            Ok(_) => Ok(()),
            Err(refused) => {
                self.core.outlet.unreserve(routed);
                Err(refused)
            }
        }
    }

    /// Pushes many, as many at a time as there is room for, each time under one lock; parks while the port is full. Their
    /// order is kept; events of other pushers may come between.
    ///
    /// # Errors
    /// As [`push`](Self::push); in it is what was not accepted.
    pub fn push_all(&self, events: Vec<E>) -> Result<(), PushError<Vec<E>>> {
        let outlet = &self.core.outlet;
        let plain = outlet.is_plain() && self.core.delay.is_none();
        let mut events = events.into_iter();
        loop {
            let next = if plain {
                match outlet.enter_all(events) {
                    Ok(()) => return Ok(()),
                    Err((rest, next, closed)) => {
                        events = rest;
                        if closed {
                            return Err(PushError::Closed(std::iter::once(next).chain(events).collect()));
                        }
                        next
                    }
                }
            } else {
                match events.next() {
                    Some(next) => next,
                    None => return Ok(()),
                }
            };
            if let Err(refused) = self.push(next) {
                return Err(refused.map(|next| std::iter::once(next).chain(events).collect()));
            }
        }
    }

    /// Pushes after `delay`, never earlier. The event is held by the timer; if the port is full when it is due it waits in
    /// the line for the first room. It is accepted now, so it comes also if the port is closed meanwhile, and the port ends
    /// after it; if the port is stopped, it goes to `on_lost` or is counted. Never blocks.
    ///
    /// # Errors
    /// `Closed`; `Full` if `max_delayed` are pending, or the system refuses the timer its thread. The event is in it.
    pub fn push_after(&self, event: E, delay: Duration) -> Result<TimerId, PushError<E>> {
        self.push_later(event, delay, false, false)
    }

    /// For consumers of this port: brings back what they drew. As [`push_after`](Self::push_after), but still accepted
    /// while a closed port drains; refused once it has ended.
    ///
    /// # Errors
    /// As [`push_after`](Self::push_after).
    pub fn retry_after(&self, event: E, delay: Duration) -> Result<TimerId, PushError<E>> {
        self.push_later(event, delay, false, true)
    }

    pub(crate) fn push_later(
        &self,
        event: E,
        delay: Duration,
        by_name: bool,
        late: bool,
    ) -> Result<TimerId, PushError<E>> {
        if !self.core.outlet.announce(late) {
            return Err(PushError::Closed(event));
        }
        let place = if by_name { Place::Name } else { Place::Here };
        self.core.depot.keep(event, place, delay).inspect_err(|_| self.core.outlet.recall())
    }

    /// Takes a delayed event back, if it is not due yet.
    pub fn cancel(&self, id: TimerId) -> Option<E> {
        let (event, place) = self.core.depot.cancel(id)?;
        match place {
            Place::Taken(routed) => self.core.outlet.unreserve(routed),
            Place::Here | Place::Name => self.core.outlet.recall(),
        }
        Some(event)
    }

    /// The sending end of a crossbeam channel of this capacity, for `select!` and for code that has a `Sender` already. A
    /// carrier thread owns the receiving end and pushes as any pusher. After [`close`](Self::close) it carries on until the
    /// senders are gone, and the port ends after that; a port that is closed already gives a sender that is disconnected.
    ///
    /// At capacity 0, `Ok` from a send means that the carrier has the event. Above, a channel of a port that is stopped may
    /// hold events: those are counted as lost, but for one that a sender puts in at that very moment.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn sender(&self, capacity: usize) -> Result<crossbeam_channel::Sender<E>, SpawnError> {
        carrier::start(self, capacity)
    }

    /// One that does not keep a port without a name open: for a consumer that retries.
    pub fn downgrade(&self) -> WeakPort<E> {
        WeakPort {
            stage: self.stage.clone(),
            core: self.core.clone(),
            open: self.open.as_ref().map_or_else(Weak::new, Arc::downgrade),
        }
    }

    /// Lets nothing more in: parked pushers get `Closed` and their events; what was accepted is delivered. Never blocks.
    pub fn close(&self) {
        self.core.outlet.close();
        self.stage.0.order(Order::Close);
    }

    /// Its figures; answers also while its thread is stuck.
    pub fn port_stats(&self) -> PortStats {
        let figures = self.core.outlet.figures();
        let delayed = self.core.depot.len();
        PortStats {
            size: figures.standing,
            capacity: self.core.capacity,
            parked: figures.parked,
            pending_demand: figures.demand.saturating_sub(figures.standing),
            utilization: self.core.capacity.map_or(0.0, |capacity| figures.fullest as f64 / capacity as f64),
            delayed,
            pushed: figures.counts.emitted,
            drawn: figures.counts.drawn,
            discarded: figures.counts.discarded,
            lost: figures.counts.lost,
        }
    }

    /// A flow that begins with what is pushed here. Closing the flow's intake does not close the port.
    pub fn flow(&self) -> Flow<E> {
        crate::flow::from_upstream(self)
    }
}

/// A port that is not kept open by this. Made by [`Port::downgrade`].
///
/// ```
/// use drawgate::prelude::*;
/// use std::time::Duration;
///
/// let port = Port::<Message<u32>>::bounded(8).spawn()?;
/// let back = port.downgrade(); // a `Port` in its own consumer would keep it open for ever
/// let tried = drawgate::fold(Vec::new(), move |tried, message: Message<u32>| {
///     tried.push((message.data, message.attempt()));
///     if message.attempt() < 3 {
///         if let Some(port) = back.upgrade() {
///             let _ = port.retry_after(message.next_attempt(), Duration::from_millis(1));
///         }
///     }
/// });
/// let tried = tried.subscribe_to(&port).spawn()?;
/// port.push(7.into())?;
/// drop(port); // the last one: it closes, and ends when the retries are through
/// assert_eq!(tried.finish()?, [(7, 1), (7, 2), (7, 3)]);
/// # anyhow::Ok(())
/// ```
pub struct WeakPort<E> {
    stage: StageRef,
    core: Arc<Core<E>>,
    open: Weak<KeepOpen>,
}
impl<E> Clone for WeakPort<E> {
    fn clone(&self) -> Self {
        Self { stage: self.stage.clone(), core: self.core.clone(), open: self.open.clone() }
    }
}
impl<E> fmt::Debug for WeakPort<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakPort({:?})", self.stage)
    }
}
impl<E: Send + 'static> WeakPort<E> {
    /// The port, unless it has ended. One that is closed stays closed.
    pub fn upgrade(&self) -> Option<Port<E>> {
        self.stage.is_alive().then(|| Port {
            stage: self.stage.clone(),
            core: self.core.clone(),
            open: self.open.upgrade(),
        })
    }
}

/// A port in figures.
///
/// ```
/// use drawgate::prelude::*;
/// use std::time::Duration;
///
/// let port = Port::bounded(4).spawn()?;
/// port.push_all(vec![1, 2]).map_err(|refused| refused.kind())?;
/// port.push_after(3, Duration::from_secs(60))?;
/// let figures = port.port_stats();
/// assert_eq!((figures.size, figures.capacity, figures.delayed), (2, Some(4), 1));
/// assert_eq!(figures.utilization, 0.5);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PortStats {
    /// Events that stand in it.
    pub size: usize,
    /// Its capacity, in events or weight; `None` if unbounded.
    pub capacity: Option<usize>,
    /// Pushers parked in front of it.
    pub parked: usize,
    /// Events its consumers have asked for beyond those that stand.
    pub pending_demand: usize,
    /// What stands in the fullest lane by `capacity`, in weight if events are weighed: from 1.0 on a push waits. 0 without
    /// a bound.
    pub utilization: f64,
    /// Delayed events pending.
    pub delayed: usize,
    /// Events accepted so far, discarded ones included.
    pub pushed: u64,
    /// Events drawn so far.
    pub drawn: u64,
    /// Events discarded so far: by a partition function, because no selector wanted them, or with a broadcast consumer that
    /// left.
    pub discarded: u64,
    /// Events lost so far.
    pub lost: u64,
}
