//! Names of stages and ports, and who has them.
//!
//! Guarantees: a name belongs to one stage at a time; it is reserved before the stage's thread starts and found once its
//! `init` has succeeded; a stage that ends takes out its own entry and never its successor's. A look-up clones the handle
//! out and holds no lock afterwards.

use crate::error::{CallError, PushError, PushErrorKind, SpawnError, SubscribeError};
use crate::link::Outlet;
use crate::port::{Port, PortName};
use crate::sealed::Sealed;
use crate::stage::{Handle, Life, StageRef};
use crate::sync::{Arc, Awake, Clock, Deadline, Latch, Mutex, Rank, RwLock};
use crate::{Name, port::TimerId};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// Anything that names a stage or a port.
///
/// ```
/// use drawgate::{Name, prelude::*, registry::AsName};
/// static ORDERS: PortName<u32> = PortName::new("orders");
///
/// fn is_open(rt: &Runtime, name: impl AsName) -> bool {
///     rt.registry().stage(name).is_some()
/// }
///
/// let rt = Runtime::new();
/// let port = Port::bounded(8).name(ORDERS).runtime(&rt).spawn()?;
/// assert!(is_open(&rt, ORDERS) && is_open(&rt, "orders") && is_open(&rt, Name::from("orders")));
/// assert!(!is_open(&rt, ("shop", "till", "orders"))); // another name
/// # port.close();
/// # anyhow::Ok(())
/// ```
pub trait AsName: Sealed {
    #[doc(hidden)]
    fn to_name(&self) -> Name;
}
impl AsName for str {
    fn to_name(&self) -> Name {
        Name::from(self)
    }
}
impl AsName for String {
    fn to_name(&self) -> Name {
        Name::from(self.as_str())
    }
}
impl AsName for Name {
    fn to_name(&self) -> Name {
        self.clone()
    }
}
impl AsName for (&str, &str, &str) {
    fn to_name(&self) -> Name {
        Name::from(*self)
    }
}
impl<E> AsName for PortName<E> {
    fn to_name(&self) -> Name {
        Name::from(self.as_str())
    }
}
impl<T: AsName + ?Sized> AsName for &T {
    fn to_name(&self) -> Name {
        (**self).to_name()
    }
}

/// A name that a port of `E` may take: any untyped one, or a [`PortName<E>`](PortName).
///
/// ```
/// use drawgate::{SpawnError, prelude::*, registry::NamesPort};
/// static ORDERS: PortName<u32> = PortName::new("orders");
///
/// fn open(rt: &Runtime, name: impl NamesPort<u32>) -> Result<Port<u32>, SpawnError> {
///     Port::bounded(8).name(name).runtime(rt).spawn()
/// }
///
/// let rt = Runtime::new();
/// let ports = [open(&rt, ORDERS)?, open(&rt, "returns")?, open(&rt, ("shop", "till", "mails"))?];
/// assert_eq!(ports.map(|port| port.name().to_string()), ["orders", "returns", "shop/till/mails"]);
/// # anyhow::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a port of `{E}`",
    label = "the name of a port with other events",
    note = "the type in a `PortName<E>` is the event type of its port"
)]
pub trait NamesPort<E>: AsName {}
impl<E> NamesPort<E> for str {}
impl<E> NamesPort<E> for String {}
impl<E> NamesPort<E> for Name {}
impl<E> NamesPort<E> for (&str, &str, &str) {}
impl<E> NamesPort<E> for PortName<E> {}
impl<E, T: NamesPort<E> + ?Sized> NamesPort<E> for &T {}

impl Sealed for str {}
impl Sealed for String {}
impl Sealed for Name {}
impl Sealed for (&str, &str, &str) {}
impl<E> Sealed for PortName<E> {}
impl<T: Sealed + ?Sized> Sealed for &T {}

/// Who has which name. One belongs to each [`Runtime`](crate::Runtime); a cheap clone.
///
/// ```
/// use drawgate::{PushError, prelude::*};
/// let orders = Port::<u32>::bounded(8).name(("shop", "till", "orders")).spawn()?;
/// let registry = Runtime::global().registry();
/// registry.push(("shop", "till", "orders"), 7_u32)?;
/// assert_eq!(orders.port_stats().size, 1);
/// assert!(matches!(registry.push("nobody", 7_u32), Err(PushError::NoProducer(7))));
/// assert!(matches!(registry.push(("shop", "till", "orders"), "text"), Err(PushError::WrongType("text"))));
/// # orders.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Registry {
    /// Rank `Registry`. Never held while anything else happens.
    entries: Arc<RwLock<HashMap<Name, Entry>>>,
    /// Rank `Latch`: those who wait for a name to come.
    waiting: Arc<Mutex<Vec<Arc<Latch>>>>,
}

struct Entry {
    id: u64,
    life: Arc<Life>,
    published: bool,
    /// Its `Handle<In, Out, S>`.
    handle: Erased,
    /// A `Port<E>`, or an `Arc<Outlet<E>>` of a stage that emits.
    emits: Option<Erased>,
}
type Erased = Arc<dyn Any + Send + Sync>;

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::new(RwLock::new(Rank::Registry, HashMap::new())),
            waiting: Arc::new(Mutex::new(Rank::Latch, Vec::new())),
        }
    }

    /// Takes a name for a stage that is being started.
    pub(crate) fn reserve(
        &self,
        name: &Name,
        life: &Arc<Life>,
        handle: Erased,
        emits: Option<Erased>,
    ) -> Result<(), SpawnError> {
        self.entries.write(|entries| match entries.get(name.key()) {
            Some(entry) => Err(SpawnError::NameTaken { name: name.clone(), holder: entry.life.to_ref() }),
            None => {
                let entry = Entry { id: life.id, life: life.clone(), published: false, handle, emits };
                entries.insert(name.clone(), entry);
                Ok(())
            }
        })
    }

    pub(crate) fn publish(&self, name: &Name, id: u64) {
        self.entries.write(|entries| {
            if let Some(entry) = entries.get_mut(name.key()).filter(|entry| entry.id == id) {
                entry.published = true;
            }
        });
        self.tell_waiting();
    }

    /// Wakes those who wait for a name: they look again.
    fn tell_waiting(&self) {
        let waiting = self.waiting.lock().clone(); // woken after unlocking: a latch is of the same rank
        for latch in waiting {
            latch.wake();
        }
    }

    /// The port of this name, which may come until the deadline. Woken by any name that is published.
    pub(crate) fn wait_for_port<E: Send + 'static>(
        &self,
        key: &str,
        awake: &Arc<Awake>,
        clock: &Clock,
        deadline: Deadline,
    ) -> Result<Port<E>, PushErrorKind> {
        let latch = Latch::new(awake);
        self.waiting.lock().push(latch.clone());
        let found = loop {
            latch.clear();
            match self.port_by_key(key) {
                // Predicate: something of this name was published, or the deadline passed.
                Err(PushErrorKind::NoProducer) if !deadline.passed(clock) => latch.park(clock, deadline),
                found => break found,
            }
        };
        self.waiting.lock().retain(|l| !Arc::ptr_eq(l, &latch));
        found
    }

    /// What a port puts in place of its outlet, so that it can be pushed into.
    pub(crate) fn put_port(&self, name: &Name, id: u64, port: Arc<dyn Any + Send + Sync>) {
        self.entries.write(|entries| {
            if let Some(entry) = entries.get_mut(name.key()).filter(|entry| entry.id == id) {
                entry.emits = Some(port);
                entry.published = true;
            }
        });
        self.tell_waiting();
    }

    pub(crate) fn remove(&self, name: &Name, id: u64) {
        let entry = self.entries.write(|entries| match entries.get(name.key()) {
            Some(entry) if entry.id == id => entries.remove(name.key()),
            _ => None,
        });
        drop(entry); // after unlocking: it may be the last handle of something
    }

    fn find(&self, name: &str) -> Option<(Arc<Life>, Option<Erased>)> {
        self.entries.read(|entries| {
            let entry = entries.get(name).filter(|entry| entry.published)?;
            Some((entry.life.clone(), entry.emits.clone()))
        })
    }

    pub(crate) fn outlet<E: Send + 'static>(&self, name: &Name) -> Result<Arc<Outlet<E>>, SubscribeError> {
        let Some((_, emits)) = self.find(name.key()) else {
            return Err(SubscribeError::NoProducer { name: name.clone() });
        };
        let wrong = || SubscribeError::WrongType { name: name.clone(), wanted: std::any::type_name::<E>() };
        let emits = emits.ok_or_else(wrong)?;
        match emits.downcast::<Outlet<E>>() {
            Ok(outlet) => Ok(outlet),
            Err(emits) => emits.downcast_ref::<Port<E>>().map(Port::outlet).ok_or_else(wrong),
        }
    }

    pub(crate) fn port_by_key<E: Send + 'static>(&self, key: &str) -> Result<Port<E>, PushErrorKind> {
        let (_, emits) = self.find(key).ok_or(PushErrorKind::NoProducer)?;
        emits.as_ref().and_then(|emits| emits.downcast_ref::<Port<E>>()).cloned().ok_or(PushErrorKind::WrongType)
    }

    /// The port of this name.
    ///
    /// # Errors
    /// `NoProducer` if nothing has the name, `WrongType` if something else has it.
    pub fn port<E: Send + 'static>(&self, name: impl AsName) -> Result<Port<E>, PushErrorKind> {
        self.port_by_key(name.to_name().key())
    }

    /// The stage or port of this name.
    pub fn stage(&self, name: impl AsName) -> Option<StageRef> {
        self.find(name.to_name().key()).map(|(life, _)| life.to_ref())
    }

    /// The handle of the stage of this name, to subscribe it, call it, or switch its demand mode. The types are those of
    /// the [`Handle`]: what it takes, what it emits, its state.
    ///
    /// ```
    /// use drawgate::{Nothing, prelude::*};
    /// drawgate::fold(40, |sum, n: u32| *sum += n).name("sum").spawn()?;
    /// // Elsewhere:
    /// let sum: Handle<u32, Nothing, u32> = Runtime::global().registry().handle("sum")?;
    /// sum.call(|sum, _| *sum += 2)?;
    /// sum.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
    /// assert_eq!(sum.finish()?, 42);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::NoStage`] if nothing has the name, [`CallError::WrongType`] if the stage has other types. What can be
    /// pushed into is had by [`port`](Self::port).
    pub fn handle<In: 'static, Out: 'static, S: 'static>(
        &self,
        name: impl AsName,
    ) -> Result<Handle<In, Out, S>, CallError> {
        let name = name.to_name();
        let handle = self.entries.read(|entries| {
            let entry = entries.get(name.key()).filter(|entry| entry.published)?;
            Some(entry.handle.clone())
        });
        let handle = handle.ok_or_else(|| CallError::NoStage { name: name.clone() })?;
        let handle = handle.downcast_ref::<Handle<In, Out, S>>().cloned();
        handle.ok_or_else(|| CallError::WrongType { name, wanted: std::any::type_name::<Handle<In, Out, S>>() })
    }

    fn with_port<E: Send + 'static, R>(
        &self,
        name: impl AsName,
        event: E,
        push: impl FnOnce(&Port<E>, E) -> Result<R, PushError<E>>,
    ) -> Result<R, PushError<E>> {
        match self.port_by_key(name.to_name().key()) {
            Ok(port) => push(&port, event),
            Err(PushErrorKind::WrongType) => Err(PushError::WrongType(event)),
            Err(_) => Err(PushError::NoProducer(event)),
        }
    }

    /// [`Port::push`], by name.
    ///
    /// # Errors
    /// As that, and `NoProducer` or `WrongType`.
    pub fn push<E: Send + 'static>(&self, name: impl AsName, event: E) -> Result<(), PushError<E>> {
        self.with_port(name, event, Port::push)
    }

    /// [`Port::try_push`], by name.
    ///
    /// # Errors
    /// As that, and `NoProducer` or `WrongType`.
    pub fn try_push<E: Send + 'static>(&self, name: impl AsName, event: E) -> Result<(), PushError<E>> {
        self.with_port(name, event, Port::try_push)
    }

    /// [`Port::push_timeout`], by name. Does not wait for the name to come, as
    /// [`PortName::push_timeout`](crate::PortName::push_timeout) does.
    ///
    /// # Errors
    /// As that, and `NoProducer` or `WrongType`.
    pub fn push_timeout<E: Send + 'static>(
        &self,
        name: impl AsName,
        event: E,
        limit: Duration,
    ) -> Result<(), PushError<E>> {
        self.with_port(name, event, |port, event| port.push_timeout(event, limit))
    }

    /// [`Port::push_after`], by name, which is looked up again when the event is due: it follows a restarted port.
    ///
    /// # Errors
    /// As that, and `NoProducer` or `WrongType`.
    pub fn push_after<E: Send + 'static>(
        &self,
        name: impl AsName,
        event: E,
        delay: Duration,
    ) -> Result<TimerId, PushError<E>> {
        self.with_port(name, event, |port, event| port.push_later(event, delay, true, false))
    }

    /// All names, in no order.
    pub fn names(&self) -> Vec<Name> {
        self.entries.read(|entries| entries.iter().filter(|(_, e)| e.published).map(|(name, _)| name.clone()).collect())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names()).finish()
    }
}
