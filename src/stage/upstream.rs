//! What events can be drawn from: a handle, a port, or a name of one.

use super::builder::Resolve;
use super::handle::Handle;
use crate::error::SubscribeError;
use crate::link::Outlet;
use crate::registry::AsName;
use crate::sealed::Sealed;
use crate::sync::Arc;
use crate::{Name, Port, PortName};

/// Something events of type `E` can be drawn from: a [`Handle`], a [`Port`], or a name of one. Not implemented by users.
///
/// ```
/// use drawgate::{SubscribeError, Upstream, prelude::*};
/// static NUMBERS: PortName<u32> = PortName::new("numbers-of-upstream");
///
/// fn next<U: Upstream<u32> + ?Sized>(from: &U) -> Result<Option<u32>, SubscribeError> {
///     Ok(drawgate::stream().subscribe_to(from).open()?.next())
/// }
///
/// let port = Port::bounded(8).name(NUMBERS).spawn()?;
/// port.push_all(vec![1, 2, 3]).map_err(|refused| refused.kind())?;
/// assert_eq!((next(&port)?, next(&NUMBERS)?, next("numbers-of-upstream")?), (Some(1), Some(2), Some(3)));
/// # port.close();
/// # port.join()?;
/// # anyhow::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "cannot draw events of type `{E}` from `{Self}`",
    label = "does not emit `{E}`",
    note = "the first type of a `Handle<In, Out, S>` is what it takes, the second what it emits; `Nothing` means that it emits nothing",
    note = "put a `drawgate::map` stage between the two to change the event type"
)]
pub trait Upstream<E>: Sealed {
    #[doc(hidden)]
    fn resolve(&self) -> Resolved<E>;
}

/// How to find an outlet once the runtime is known.
#[doc(hidden)]
#[allow(missing_debug_implementations, unnameable_types, reason = "only passed on inside")]
pub struct Resolved<E>(pub(crate) Resolve<E>);

fn found<E: Send + 'static>(outlet: Result<Arc<Outlet<E>>, SubscribeError>) -> Resolved<E> {
    Resolved(Box::new(move |_| outlet))
}
fn by_name<E: Send + 'static>(name: Name) -> Resolved<E> {
    Resolved(Box::new(move |runtime| runtime.registry().outlet(&name)))
}

impl<I: 'static, E: Send + 'static, S: 'static> Upstream<E> for Handle<I, E, S> {
    fn resolve(&self) -> Resolved<E> {
        found(Ok(self.outlet()))
    }
}
impl<I, E, S> Sealed for Handle<I, E, S> {}
impl<E: Send + 'static> Upstream<E> for Port<E> {
    fn resolve(&self) -> Resolved<E> {
        found(Ok(self.outlet()))
    }
}
impl<E: Send + 'static> Upstream<E> for PortName<E> {
    fn resolve(&self) -> Resolved<E> {
        by_name(self.to_name())
    }
}
impl<E: Send + 'static> Upstream<E> for str {
    fn resolve(&self) -> Resolved<E> {
        by_name(Name::from(self))
    }
}
impl<E: Send + 'static> Upstream<E> for Name {
    fn resolve(&self) -> Resolved<E> {
        by_name(self.clone())
    }
}
