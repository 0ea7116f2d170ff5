//! Names that know the event type of their port.

use super::TimerId;
use super::handle::Port;
use crate::Name;
use crate::error::{PushError, PushErrorKind};
use crate::registry::AsName;
use crate::runtime::Runtime;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A name that knows its event type; `const`, so that it can be a `static` shared by modules. Looked up each time, in
/// [`Runtime::global`] unless [`on`](Self::on) says otherwise.
///
/// ```
/// use drawgate::{PushError, prelude::*};
///
/// struct Order(u64);
/// static ORDERS: PortName<Order> = PortName::new("orders-of-the-shop");
///
/// assert!(matches!(ORDERS.push(Order(1)), Err(PushError::NoProducer(Order(1))))); // nobody has the name yet
/// let port = Port::bounded(8).name(ORDERS).spawn()?;
/// let sum = drawgate::fold(0, |sum, order: Order| *sum += order.0).subscribe_to(&ORDERS).spawn()?;
/// ORDERS.push(Order(2))?;
/// port.close();
/// assert_eq!(sum.finish()?, 2);
/// # anyhow::Ok(())
/// ```
pub struct PortName<E>(&'static str, PhantomData<fn(E)>);
impl<E> Clone for PortName<E> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<E> Copy for PortName<E> {}
impl<E> fmt::Debug for PortName<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortName({})", self.0)
    }
}
impl<E> PortName<E> {
    /// A name.
    pub const fn new(name: &'static str) -> Self {
        Self(name, PhantomData)
    }
    /// The name as text.
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
    /// The same name in another runtime: a test's own.
    pub fn on<'a>(&self, runtime: &'a Runtime) -> On<'a, E> {
        On { name: *self, runtime }
    }
}

macro_rules! pushes {
    ($on:expr, $(#[$doc:meta] $name:ident($($arg:ident: $t:ty),*) -> $r:ty;)*) => { $(
        #[$doc]
        ///
        /// # Errors
        /// As that, and `NoProducer` if nobody has the name, `WrongType` if something else has it.
        pub fn $name(&self, event: E $(, $arg: $t)*) -> Result<$r, PushError<E>> {
            #[allow(clippy::redundant_closure_call, reason = "what `self` is differs")]
            $on(self).$name(event $(, $arg)*)
        }
    )* };
}

impl<E: Send + 'static> PortName<E> {
    pushes! { |name: &Self| name.on(Runtime::global()),
        #[doc = "[`Port::push`] to whatever has the name now."]
        push() -> ();
        #[doc = "[`Port::try_push`] to whatever has the name now."]
        try_push() -> ();
        #[doc = "[`Port::push_timeout`]; also waits for the name to come, within the limit."]
        push_timeout(limit: Duration) -> ();
        #[doc = "[`Port::push_after`]; the name is looked up again when the event is due, so it follows a restarted port."]
        push_after(delay: Duration) -> TimerId;
        #[doc = "[`Port::retry_after`]; follows the name as `push_after`."]
        retry_after(delay: Duration) -> TimerId;
    }

    /// The port that has the name now.
    pub fn get(&self) -> Option<Port<E>> {
        self.on(Runtime::global()).get()
    }
}

/// A [`PortName`] in a certain runtime.
///
/// ```
/// use drawgate::prelude::*;
/// static ORDERS: PortName<u32> = PortName::new("orders-of-a-test");
///
/// let rt = Runtime::new(); // the test's own
/// let port = Port::bounded(8).name(ORDERS).runtime(&rt).spawn()?;
/// ORDERS.on(&rt).push(7)?;
/// assert_eq!(port.port_stats().size, 1);
/// assert!(ORDERS.get().is_none()); // nobody has the name in the global one
/// # anyhow::Ok(())
/// ```
pub struct On<'a, E> {
    name: PortName<E>,
    runtime: &'a Runtime,
}
impl<E> fmt::Debug for On<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "On({})", self.name.0)
    }
}

impl<E: Send + 'static> On<'_, E> {
    fn with<R>(&self, event: E, push: impl FnOnce(&Port<E>, E) -> Result<R, PushError<E>>) -> Result<R, PushError<E>> {
        match self.runtime.registry().port_by_key(self.name.0) {
            Ok(port) => push(&port, event),
            Err(PushErrorKind::WrongType) => Err(PushError::WrongType(event)),
            Err(_) => Err(PushError::NoProducer(event)),
        }
    }

    /// See [`PortName::push`].
    ///
    /// # Errors
    /// As there.
    pub fn push(&self, event: E) -> Result<(), PushError<E>> {
        self.with(event, Port::push)
    }
    /// See [`PortName::try_push`].
    ///
    /// # Errors
    /// As there.
    pub fn try_push(&self, event: E) -> Result<(), PushError<E>> {
        self.with(event, Port::try_push)
    }
    /// See [`PortName::push_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn push_timeout(&self, event: E, limit: Duration) -> Result<(), PushError<E>> {
        let clock = self.runtime.clock();
        let deadline = clock.after(limit);
        match self.runtime.registry().wait_for_port(self.name.0, self.runtime.awake(), clock, deadline) {
            Ok(port) => port.push_until(event, deadline),
            Err(PushErrorKind::WrongType) => Err(PushError::WrongType(event)),
            Err(_) => Err(PushError::NoProducer(event)),
        }
    }
    /// See [`PortName::push_after`].
    ///
    /// # Errors
    /// As there.
    pub fn push_after(&self, event: E, delay: Duration) -> Result<TimerId, PushError<E>> {
        self.with(event, |port, event| port.push_later(event, delay, true, false))
    }
    /// See [`PortName::retry_after`].
    ///
    /// # Errors
    /// As there.
    pub fn retry_after(&self, event: E, delay: Duration) -> Result<TimerId, PushError<E>> {
        self.with(event, |port, event| port.push_later(event, delay, true, true))
    }
    /// The port that has the name now.
    pub fn get(&self) -> Option<Port<E>> {
        self.runtime.registry().port_by_key(self.name.0).ok()
    }
    /// The name itself.
    pub fn name(&self) -> Name {
        self.name.to_name()
    }
}
