//! One stage before it runs.

use super::kind::{Draws, Emits, HandleOf, Kind};
use super::life::{StageKind, Watcher};
use super::traits::{Consumer, Producer, ProducerConsumer};
use super::upstream::Upstream;
use super::{ConsumerKind, ProducerConsumerKind, ProducerKind};
use crate::Name;
use crate::dispatch::{Dispatcher, PartitionDispatcher};
use crate::error::{BadOption, SpawnError, SubscribeError};
use crate::link::{BufferKeep, DemandMode, Outlet, Subscribe};
use crate::registry::AsName;
use crate::runtime::Runtime;
use crate::sync::{Arc, Wait};
use std::any::Any;
use std::fmt;
use std::time::Duration;

/// What a buffer holds unless told.
pub(crate) const BUFFER: usize = 10_000;

/// One stage before it runs. Options are checked when it is spawned.
///
/// ```
/// use drawgate::prelude::*;
/// let numbers = drawgate::from_iter(0..10).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: i32| *sum += n)
///     .name("sum")
///     .subscribe_to_with(&numbers, Subscribe::new().max_demand(4))
///     .spawn()?;
/// assert_eq!(sum.finish()?, 45);
///
/// // An option out of range is an error that names it, and nothing was started.
/// let refused = drawgate::for_each(|_: i32| ()).subscribe_to_with(&numbers, Subscribe::new().max_demand(0)).spawn();
/// assert!(refused.unwrap_err().to_string().contains("`max_demand` must be at least 1, and was 0"));
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder<K: Kind> {
    pub(crate) name: Option<Name>,
    /// Whether the name was given, and so has to be known to others.
    pub(crate) named: bool,
    pub(crate) default_name: &'static str,
    pub(crate) kind: StageKind,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) wait: Wait,
    pub(crate) stack_size: Option<usize>,
    pub(crate) start_timeout: Option<Duration>,
    pub(crate) make: Make<K::Body>,
    pub(crate) keep: Option<Keep<K::State>>,
    pub(crate) emit: EmitOptions<K::Emit>,
    pub(crate) declared: Vec<Declared<K::Feed>>,
    pub(crate) ends_abandoned: bool,
    /// Whether a closed intake ends it though others feed it.
    pub(crate) is_intake: bool,
    pub(crate) watchers: Vec<Arc<dyn Watcher>>,
    pub(crate) bad: Option<BadOption>,
}

/// Keeps the last state for `finish`.
pub(crate) type Keep<S> = fn(S) -> Box<dyn Any + Send>;
pub(crate) type Make<B> = Box<dyn FnOnce() -> anyhow::Result<B> + Send>;

/// Options of the sending half.
pub(crate) struct EmitOptions<E> {
    pub(crate) dispatcher: Option<Box<dyn Dispatcher<E>>>,
    /// `Some(None)`: without bound.
    pub(crate) bound: Option<Option<usize>>,
    pub(crate) keep: BufferKeep,
    pub(crate) on_discard: Option<Box<dyn Fn(usize) + Send + Sync>>,
    pub(crate) weigh: Option<Box<crate::link::Weigh<E>>>,
    pub(crate) hold_until: usize,
    pub(crate) mode: DemandMode,
    pub(crate) news: bool,
}

impl<E> Default for EmitOptions<E> {
    fn default() -> Self {
        Self {
            dispatcher: None,
            bound: None,
            keep: BufferKeep::Last,
            on_discard: None,
            weigh: None,
            hold_until: 0,
            mode: DemandMode::default(),
            news: false,
        }
    }
}

/// A subscription to be made at the start.
pub(crate) struct Declared<E> {
    pub(crate) upstream: Resolve<E>,
    pub(crate) options: Subscribe<E>,
}
pub(crate) type Resolve<E> = Box<dyn FnOnce(&Runtime) -> Result<Arc<Outlet<E>>, SubscribeError> + Send>;

impl<K: Kind> Builder<K> {
    pub(crate) fn new(default_name: &'static str, kind: StageKind, make: Make<K::Body>) -> Self {
        Self {
            name: None,
            named: false,
            default_name,
            kind,
            runtime: None,
            wait: Wait::default(),
            stack_size: None,
            start_timeout: None,
            make,
            keep: None,
            emit: EmitOptions {
                news: matches!(kind, StageKind::Producer | StageKind::ProducerConsumer),
                ..EmitOptions::default()
            },
            declared: Vec::new(),
            ends_abandoned: false,
            is_intake: false,
            watchers: Vec::new(),
            bad: None,
        }
    }

    /// Registers it under this name in its runtime; the thread has the name too. Defaults to one made of the kind and a
    /// number, which is not registered.
    pub fn name(mut self, name: impl AsName) -> Self {
        self.name = Some(name.to_name());
        self.named = true;
        self
    }

    /// Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// How its thread waits. Defaults to [`Wait::Adaptive`].
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The stack of its thread, in bytes. Defaults to what the standard library takes, 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// How long `spawn` waits for `init`. Defaults to as long as it takes.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = Some(limit);
        self
    }

    /// Starts its thread, runs `init` there, makes the declared subscriptions, and returns when that has succeeded.
    ///
    /// A declared producer that is not there, or has ended, counts as an immediate cancel: the stage starts, and ends at
    /// once if its cancel mode says so.
    ///
    /// # Errors
    /// Which of that failed. No thread, name or subscription is left then.
    pub fn spawn(self) -> Result<HandleOf<K>, SpawnError> {
        K::start(self)
    }

    pub(crate) fn watched(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watchers.push(watcher);
        self
    }
}

impl<K: Emits> Builder<K> {
    /// Who gets which event. Defaults to [`DemandDispatcher`](crate::dispatch::DemandDispatcher): whoever asked and is
    /// free.
    pub fn dispatcher(mut self, dispatcher: impl Dispatcher<K::Out>) -> Self {
        self.emit.dispatcher = Some(Box::new(dispatcher));
        self
    }

    /// How many events may stand in a lane beyond what was asked for. Defaults to 10 000, as GenStage's; without bound for
    /// a producer-consumer.
    pub fn buffer_size(mut self, events: usize) -> Self {
        self.emit.bound = Some(Some(events));
        self
    }

    /// Lets the buffer grow without bound.
    pub fn buffer_unbounded(mut self) -> Self {
        self.emit.bound = Some(None);
        self
    }

    /// What a full buffer keeps. Defaults to the newest.
    pub fn buffer_keep(mut self, keep: BufferKeep) -> Self {
        self.emit.keep = keep;
        self
    }

    /// Gets the number of events that were discarded, each time, in place of the report to the runtime. Runs on the
    /// thread that emitted them, under no lock.
    pub fn on_discard(mut self, f: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.emit.on_discard = Some(Box::new(f));
        self
    }

    /// [`PartitionDispatcher::by_key`], with the closure's argument inferred.
    pub fn partition_by<Q: std::hash::Hash>(self, n: usize, key: impl Fn(&K::Out) -> Q + Send + Sync + 'static) -> Self
    where
        K::Out: Send,
    {
        self.dispatcher(PartitionDispatcher::by_key(n, key))
    }

    /// Whether demand reaches it from the start. Defaults to [`DemandMode::Forward`]; see [`Handle::set_demand_mode`](super::Handle::set_demand_mode).
    pub fn demand_mode(mut self, mode: DemandMode) -> Self {
        self.emit.mode = mode;
        self
    }

    /// Holds events and demand until `consumers` have subscribed: no broadcast misses the first events. Defaults to 0.
    pub fn hold_until(mut self, consumers: usize) -> Self {
        self.emit.hold_until = consumers;
        self
    }
}

impl<K: Draws> Builder<K> {
    /// Subscribes when it starts, with the defaults. To a handle, a port, or a name.
    pub fn subscribe_to<U: Upstream<K::In> + ?Sized>(self, to: &U) -> Self {
        self.subscribe_to_with(to, Subscribe::new())
    }

    /// The same with options.
    pub fn subscribe_to_with<U: Upstream<K::In> + ?Sized>(mut self, to: &U, options: Subscribe<K::In>) -> Self {
        self.declared.push(Declared { upstream: to.resolve().0, options });
        self
    }
}

/// The [`Keep`] of states that may leave their thread.
pub(crate) fn keep<S: Send + 'static>(state: S) -> Box<dyn Any + Send> {
    Box::new(state)
}

/// A producer with this state.
///
/// ```
/// use drawgate::prelude::*;
///
/// struct Countdown(u32);
/// impl Producer for Countdown {
///     type Event = u32;
///     fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         for _ in 0..demand {
///             if self.0 == 0 {
///                 ctx.done();
///                 break;
///             }
///             ctx.emit(self.0);
///             self.0 -= 1;
///         }
///         Ok(())
///     }
/// }
///
/// let countdown = drawgate::producer(Countdown(3)).spawn()?;
/// assert_eq!(countdown.stream()?.collect::<Vec<_>>(), [3, 2, 1]);
/// # anyhow::Ok(())
/// ```
pub fn producer<P: Producer + Send>(state: P) -> Builder<ProducerKind<P>> {
    let mut builder = Builder::new("producer", StageKind::Producer, Box::new(|| Ok(state)));
    builder.keep = Some(keep);
    builder
}

/// A producer-consumer with this state.
///
/// ```
/// use drawgate::prelude::*;
///
/// #[derive(Default)]
/// struct Changes(Option<u32>);
/// impl ProducerConsumer for Changes {
///     type In = u32;
///     type Out = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         for event in events {
///             if self.0.replace(event) != Some(event) {
///                 ctx.emit(event);
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let prices = drawgate::from_iter([3, 3, 4, 3]).spawn()?;
/// let changes = drawgate::producer_consumer(Changes::default()).subscribe_to(&prices).spawn()?;
/// assert_eq!(changes.stream()?.collect::<Vec<_>>(), [3, 4, 3]);
/// # anyhow::Ok(())
/// ```
pub fn producer_consumer<B: ProducerConsumer + Send>(state: B) -> Builder<ProducerConsumerKind<B>> {
    let mut builder = Builder::new("producer-consumer", StageKind::ProducerConsumer, Box::new(|| Ok(state)));
    builder.keep = Some(keep);
    builder
}

/// A consumer with this state.
///
/// ```
/// use drawgate::prelude::*;
/// use std::collections::BTreeMap;
///
/// #[derive(Default)]
/// struct Tally(BTreeMap<char, u32>);
/// impl Consumer for Tally {
///     type Event = char;
///     fn handle_events(&mut self, events: Events<'_, char>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         for event in events {
///             *self.0.entry(event).or_default() += 1;
///         }
///         Ok(())
///     }
/// }
///
/// let letters = drawgate::from_iter("sluices".chars()).spawn()?;
/// let tally = drawgate::consumer(Tally::default()).subscribe_to(&letters).spawn()?;
/// assert_eq!(tally.finish()?.0[&'s'], 2);
/// # anyhow::Ok(())
/// ```
pub fn consumer<C: Consumer + Send>(state: C) -> Builder<ConsumerKind<C>> {
    let mut builder = Builder::new("consumer", StageKind::Consumer, Box::new(|| Ok(state)));
    builder.keep = Some(keep);
    builder
}

/// A producer whose state is made on the stage's own thread: it need not be `Send`, and an error is what `spawn` returns.
/// Since it stays on that thread, `finish` cannot give it back.
///
/// ```
/// use drawgate::{SpawnError, prelude::*};
/// use std::{cell::RefCell, rc::Rc};
///
/// struct Deck(Rc<RefCell<Vec<u32>>>); // not `Send`
/// impl Producer for Deck {
///     type Event = u32;
///     fn handle_demand(&mut self, _: usize, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         ctx.extend(self.0.take()); // what goes beyond the demand waits in the buffer
///         ctx.done();
///         Ok(())
///     }
/// }
///
/// let deck = drawgate::producer_with(|| Ok(Deck(Rc::new(RefCell::new(vec![7, 8, 9]))))).spawn()?;
/// assert_eq!(deck.stream()?.collect::<Vec<_>>(), [7, 8, 9]);
///
/// let refused = drawgate::producer_with::<Deck>(|| anyhow::bail!("no cards")).spawn();
/// assert!(matches!(refused, Err(SpawnError::Init { cause, .. }) if cause.to_string() == "no cards"));
/// # anyhow::Ok(())
/// ```
pub fn producer_with<P: Producer>(
    make: impl FnOnce() -> anyhow::Result<P> + Send + 'static,
) -> Builder<ProducerKind<P>> {
    Builder::new("producer", StageKind::Producer, Box::new(make))
}

/// A producer-consumer whose state is made on the stage's own thread; see [`producer_with`].
///
/// ```
/// use drawgate::prelude::*;
/// use std::{cell::Cell, rc::Rc};
///
/// struct Sums(Rc<Cell<u32>>); // not `Send`
/// impl ProducerConsumer for Sums {
///     type In = u32;
///     type Out = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         for event in events {
///             self.0.set(self.0.get() + event);
///             ctx.emit(self.0.get());
///         }
///         Ok(())
///     }
/// }
///
/// let sums = drawgate::producer_consumer_with(|| Ok(Sums(Rc::default())));
/// assert_eq!(drawgate::from_iter([1, 2, 3]).through(sums).collect().run()?, [1, 3, 6]);
/// # anyhow::Ok(())
/// ```
pub fn producer_consumer_with<B: ProducerConsumer>(
    make: impl FnOnce() -> anyhow::Result<B> + Send + 'static,
) -> Builder<ProducerConsumerKind<B>> {
    Builder::new("producer-consumer", StageKind::ProducerConsumer, Box::new(make))
}

/// A consumer whose state is made on the stage's own thread; see [`producer_with`].
///
/// ```
/// use drawgate::prelude::*;
/// use std::{cell::Cell, rc::Rc, sync::mpsc};
///
/// struct Sum(Rc<Cell<u32>>, mpsc::Sender<u32>); // not `Send`
/// impl Consumer for Sum {
///     type Event = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0.set(self.0.get() + events.sum::<u32>());
///         Ok(())
///     }
///     fn terminate(&mut self, _: &ExitReason) {
///         let _ = self.1.send(self.0.get());
///     }
/// }
///
/// let (tell, told) = mpsc::channel();
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let sum = drawgate::consumer_with(move || Ok(Sum(Rc::default(), tell))).subscribe_to(&numbers).spawn()?;
/// sum.join()?;
/// assert_eq!(told.recv()?, 6);
/// # anyhow::Ok(())
/// ```
pub fn consumer_with<C: Consumer>(
    make: impl FnOnce() -> anyhow::Result<C> + Send + 'static,
) -> Builder<ConsumerKind<C>> {
    Builder::new("consumer", StageKind::Consumer, Box::new(make))
}

impl<K: Kind> fmt::Debug for Builder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}
