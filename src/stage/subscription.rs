//! One link between a producer and a consumer, as a handle.

use crate::Name;
use crate::error::{CancelReason, ExitReason, SubscribeError};
use crate::link::{Outlet, SubId};
use crate::sync::Arc;
use std::fmt;

/// One subscription. A cheap clone; dropping it does not cancel.
///
/// ```
/// use drawgate::prelude::*;
///
/// let (tell, told) = std::sync::mpsc::channel();
/// let port = Port::bounded(8).spawn()?;
/// port.push_all(vec![1, 2, 3]).map_err(|refused| refused.kind())?;
/// let consumer = drawgate::try_for_each(move |n: u32| Ok(tell.send(n)?)).spawn()?;
/// let subscription = consumer.subscribe_with(&port, Subscribe::new().manual())?;
/// subscription.ask(2)?; // from any thread
/// assert_eq!((told.recv()?, told.recv()?), (1, 2));
/// subscription.cancel_with(ExitReason::Normal);
/// assert!(!subscription.is_active());
/// assert_eq!(port.port_stats().size, 1); // the third one is still there
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Subscription {
    pub(crate) id: SubId,
    pub(crate) outlet: Arc<dyn Asked>,
}

/// An outlet, whatever its events.
pub(crate) trait Asked: Send + Sync {
    fn ask(&self, id: SubId, n: usize) -> bool;
    fn cancel(&self, id: SubId, why: CancelReason) -> bool;
    /// Cancels it because its consumer, if it is this one, has another in its place.
    fn replace(&self, id: SubId, consumer: u64);
    fn set_manual(&self, id: SubId, manual: bool) -> bool;
    fn is_active(&self, id: SubId) -> bool;
    fn name(&self) -> &Name;
    fn address(&self) -> *const ();
}
impl<E: Send + 'static> Asked for Outlet<E> {
    fn ask(&self, id: SubId, n: usize) -> bool {
        Outlet::ask(self, id, n)
    }
    fn cancel(&self, id: SubId, why: CancelReason) -> bool {
        Outlet::cancel(self, id, why)
    }
    fn replace(&self, id: SubId, consumer: u64) {
        Outlet::replace(self, id, consumer);
    }
    fn set_manual(&self, id: SubId, manual: bool) -> bool {
        Outlet::set_manual(self, id, manual)
    }
    fn is_active(&self, id: SubId) -> bool {
        Outlet::is_active(self, id)
    }
    fn name(&self) -> &Name {
        Outlet::name(self)
    }
    fn address(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }
}

impl Subscription {
    pub(crate) fn new<E: Send + 'static>(id: SubId, outlet: &Arc<Outlet<E>>) -> Self {
        Self { id, outlet: outlet.clone() }
    }

    /// Asks for `n` events, for a subscription with manual demand; from any thread. A sleeping consumer is woken if they
    /// are there. Asking for 0 is nothing. Never blocks.
    ///
    /// # Errors
    /// [`SubscribeError::Ended`] if the subscription or its producer has ended.
    pub fn ask(&self, n: usize) -> Result<(), SubscribeError> {
        match self.outlet.ask(self.id, n) {
            true => Ok(()),
            false => Err(SubscribeError::Ended { stage: self.outlet.name().clone(), reason: None }),
        }
    }

    /// Ends it, for every event that was not drawn yet: those stay with the producer for other consumers (of a broadcast
    /// they are discarded and counted). The consumer then follows its cancel mode. Nothing if it has ended. Never blocks.
    pub fn cancel(&self) {
        self.outlet.cancel(self.id, CancelReason::Cancelled);
    }

    /// The same with a reason, which both sides hear: a consumer that ends by it ends with this reason, and one that is
    /// [`Transient`](crate::stage::Cancel::Transient) lives on if it is `Normal` or `Shutdown`.
    pub fn cancel_with(&self, reason: ExitReason) {
        self.outlet.cancel(self.id, CancelReason::CancelledWith(reason));
    }

    /// Switches to manual demand, as [`Subscribe::manual`](crate::Subscribe::manual), or back; from either side, from any
    /// thread. What was asked for stays asked for. Switched back, the consumer asks for what is missing to its `max_demand`
    /// once it has no more than its `min_demand`. Takes effect when the consumer's callback returns. Never blocks.
    ///
    /// # Errors
    /// [`SubscribeError::Ended`] if the subscription has ended.
    pub fn set_manual(&self, manual: bool) -> Result<(), SubscribeError> {
        match self.outlet.set_manual(self.id, manual) {
            true => Ok(()),
            false => Err(SubscribeError::Ended { stage: self.outlet.name().clone(), reason: None }),
        }
    }

    /// Whether events may still come through it.
    pub fn is_active(&self) -> bool {
        self.outlet.is_active(self.id)
    }

    /// The producer's name.
    pub fn producer(&self) -> &Name {
        self.outlet.name()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription(to {:?})", self.outlet.name())
    }
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.outlet.address() == other.outlet.address()
    }
}
impl Eq for Subscription {}
