//! A slice of events being handled.

use super::Subscription;
use std::fmt;

/// The events of one slice, as an iterator that takes them out one by one; its storage is used again.
///
/// Returning `Ok` from the callback means that the whole slice is handled, taken or not. If the callback fails or panics,
/// what it did not take goes back to the head of its lane, for the next consumer; the event in hand is lost and counted.
/// So take an event only when you begin to handle it. (Once one was taken, one is taken to be in hand.)
///
/// ```
/// use drawgate::prelude::*;
///
/// struct Prices(u32);
/// impl Consumer for Prices {
///     type Event = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         anyhow::ensure!(!events.as_slice().contains(&0), "a price of 0"); // nothing was taken, so all goes back
///         for price in events {
///             self.0 += price;
///         }
///         Ok(())
///     }
/// }
///
/// let port = Port::bounded(8).spawn()?;
/// port.push_all(vec![3, 0, 4]).map_err(|refused| refused.kind())?;
/// let prices = drawgate::consumer(Prices(0)).spawn()?;
/// let ended = prices.monitor();
/// prices.subscribe(&port)?;
/// assert_eq!(ended.recv()?.to_string(), "a price of 0");
/// port.close();
/// assert_eq!(port.stream()?.collect::<Vec<_>>(), [3, 0, 4]);
/// # anyhow::Ok(())
/// ```
pub struct Events<'a, E> {
    drain: std::vec::Drain<'a, E>,
    /// What was not taken.
    rest: &'a mut Vec<E>,
    whole: &'a mut bool,
    subscription: &'a Subscription,
}

impl<'a, E> Events<'a, E> {
    pub(crate) fn new(
        slice: &'a mut Vec<E>,
        rest: &'a mut Vec<E>,
        whole: &'a mut bool,
        subscription: &'a Subscription,
    ) -> Self {
        Self { drain: slice.drain(..), rest, whole, subscription }
    }

    /// What was not taken yet. Takes nothing.
    pub fn as_slice(&self) -> &[E] {
        self.drain.as_slice()
    }

    /// Takes all that is left: if the callback fails after this, all of it is lost and counted.
    pub fn into_vec(mut self) -> Vec<E> {
        *self.whole = true;
        self.drain.by_ref().collect()
    }

    /// Puts back what was taken last and turned out not to be handled. Nothing can be taken after it.
    pub(crate) fn untake(self, event: E) {
        self.rest.push(event); // the others follow
    }

    /// Through which subscription they came.
    pub fn subscription(&self) -> &Subscription {
        self.subscription
    }
}

impl<E> Iterator for Events<'_, E> {
    type Item = E;
    #[inline]
    fn next(&mut self) -> Option<E> {
        self.drain.next()
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.drain.size_hint()
    }
}
impl<E> ExactSizeIterator for Events<'_, E> {}
impl<E> std::iter::FusedIterator for Events<'_, E> {}

impl<E> Drop for Events<'_, E> {
    fn drop(&mut self) {
        self.rest.extend(self.drain.by_ref());
    }
}

impl<E> fmt::Debug for Events<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} left)", self.drain.len())
    }
}
