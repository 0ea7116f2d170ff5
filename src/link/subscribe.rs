//! What a consumer says when it subscribes.

use crate::Name;
use crate::error::{BadOption, CancelReason, ExitReason, SubscriptionLost};
use crate::sync::{Arc, Latch};
use std::any::Any;
use std::fmt;

/// What happens to a consumer when a producer of it fails or cancels. A producer that is done is neither: it ends its
/// subscriptions only.
///
/// ```
/// use drawgate::{prelude::*, stage::Cancel};
///
/// let port = Port::bounded(8).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let first = sum.subscribe_with(&port, Subscribe::new().cancel(Cancel::Temporary))?;
/// first.cancel_with(ExitReason::error(anyhow::anyhow!("not today")));
/// let second = sum.subscribe(&port)?; // it lives on, and may subscribe again
/// second.cancel_with(ExitReason::Normal); // that one was permanent
/// assert_eq!(sum.finish()?, 0);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cancel {
    /// The consumer ends too, with the producer's reason, or with one that says the subscription was lost. The default.
    #[default]
    Permanent,
    /// The consumer ends too, unless the producer was stopped with `Normal` or `Shutdown`.
    Transient,
    /// The consumer lives on.
    Temporary,
}

/// Who subscribes.
#[derive(Clone, Copy)]
pub(crate) struct Subscriber<'a> {
    pub(crate) name: &'a Name,
    /// The consumer's number: two subscriptions with equal ones are one stage's.
    pub(crate) id: u64,
    /// Where its thread waits.
    pub(crate) latch: &'a Arc<Latch>,
}

/// The numbers of a subscription, as its two sides see them in a [`Peer`](crate::stage::Peer).
///
/// ```
/// use drawgate::{prelude::*, stage::{Demand, Peer}};
///
/// struct Asks(Option<Demand>);
/// impl Consumer for Asks {
///     type Event = u32;
///     fn handle_events(&mut self, _: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         Ok(())
///     }
///     fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0 = Some(peer.demand);
///         Ok(())
///     }
/// }
///
/// let port = Port::bounded(8).spawn()?;
/// let asks = drawgate::consumer(Asks(None)).subscribe_to_with(&port, Subscribe::new().max_demand(10)).spawn()?;
/// port.close();
/// let demand = asks.finish()?.0;
/// assert!(demand.is_some_and(|demand| (demand.max, demand.min, demand.manual) == (10, 5, false)));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Demand {
    /// `max_demand`.
    pub max: usize,
    /// `min_demand`.
    pub min: usize,
    /// Whether it began with manual demand.
    pub manual: bool,
    /// What happens to the consumer when the producer fails or cancels.
    pub cancel: Cancel,
}

impl Demand {
    /// How long the consumer's slices are.
    #[inline]
    pub(crate) fn slice(&self) -> usize {
        if self.manual { self.max } else { self.max - self.min }
    }
}

impl Cancel {
    /// The reason with which a consumer ends that lost this producer by something else than its being done; nothing if it
    /// lives on.
    pub(crate) fn ends_with(self, producer: &Name, why: &CancelReason) -> Option<ExitReason> {
        let reason = match why {
            CancelReason::Down(reason) | CancelReason::CancelledWith(reason) => reason.clone(),
            CancelReason::Replaced => return None,
            CancelReason::Cancelled | CancelReason::NoProducer => {
                ExitReason::error(SubscriptionLost { producer: producer.clone(), reason: why.clone() })
            }
        };
        let ends = match self {
            Self::Permanent => true,
            Self::Transient => !matches!(reason, ExitReason::Normal | ExitReason::Shutdown),
            Self::Temporary => false,
        };
        ends.then_some(reason)
    }
}

/// Options of one subscription, GenStage's: at most `max_demand` events are asked for and not yet handled, and more are
/// asked for when `min_demand` or fewer are left.
///
/// Defaults to 1000/500, permanent, automatic demand, because those suit events that take up to some tens of
/// microseconds each. Take small numbers (2/1, 1/0) where an event takes milliseconds: what one consumer has asked for
/// and is handling, no other can take.
///
/// ```
/// use drawgate::{Subscribe, stage::Cancel};
/// let options = Subscribe::<u32>::new().max_demand(10).min_demand(5).cancel(Cancel::Transient);
/// assert!(format!("{options:?}").contains("max_demand: 10"));
/// ```
#[must_use]
pub struct Subscribe<E> {
    max: usize,
    min: Option<usize>,
    pub(crate) cancel: Cancel,
    pub(crate) manual: bool,
    /// With manual demand: asked for at the start.
    pub(crate) first: usize,
    partition: Option<Result<usize, &'static str>>,
    selector: Option<Selector<E>>,
    extra: Extra,
}

pub(crate) type Selector<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// A value of the user's, for the other side or the dispatcher.
#[derive(Clone, Default)]
pub(crate) struct Extra(Option<Arc<dyn Any + Send + Sync>>);
impl Extra {
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}
impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

impl<E> Clone for Subscribe<E> {
    fn clone(&self) -> Self {
        Self { selector: self.selector.clone(), extra: self.extra.clone(), ..*self }
    }
}

impl<E> fmt::Debug for Subscribe<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("max_demand", &self.max)
            .field("min_demand", &self.min_demand_or_default())
            .field("cancel", &self.cancel)
            .field("manual", &self.manual)
            .field("partition", &self.partition)
            .field("selector", &self.selector.is_some())
            .field("extra", &self.extra)
            .finish()
    }
}

impl<E> Default for Subscribe<E> {
    fn default() -> Self {
        Self {
            max: 1000,
            min: None,
            cancel: Cancel::Permanent,
            manual: false,
            first: 0,
            partition: None,
            selector: None,
            extra: Extra::default(),
        }
    }
}

impl<E> Subscribe<E> {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most this many events are asked for and not yet handled. At least 1. Defaults to 1000, as GenStage's.
    pub fn max_demand(mut self, n: usize) -> Self {
        self.max = n;
        self
    }

    /// More is asked for when this many or fewer are left; the consumer's slices are `max_demand - min_demand` long.
    /// Must be below `max_demand`. Defaults to half of it.
    pub fn min_demand(mut self, n: usize) -> Self {
        self.min = Some(n);
        self
    }

    /// What happens when the producer fails or cancels. Defaults to [`Cancel::Permanent`].
    pub fn cancel(mut self, mode: Cancel) -> Self {
        self.cancel = mode;
        self
    }

    /// The number of the partition to draw, of a numbered [`PartitionDispatcher`](crate::dispatch::PartitionDispatcher).
    pub fn partition(mut self, index: usize) -> Self {
        self.partition = Some(Ok(index));
        self
    }

    /// The name of the partition to draw, of a named [`PartitionDispatcher`](crate::dispatch::PartitionDispatcher).
    pub fn partition_named(mut self, name: &'static str) -> Self {
        self.partition = Some(Err(name));
        self
    }

    /// Only these events, of a [`BroadcastDispatcher`](crate::dispatch::BroadcastDispatcher); other dispatchers ignore it.
    /// Runs on whatever thread dispatches, under the outlet's lock: keep it short. If it panics, the producer fails.
    pub fn selector(mut self, keep: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.selector = Some(Arc::new(keep));
        self
    }

    /// A value of your own, for the other side's `handle_subscribe` ([`Peer::extra`](crate::stage::Peer::extra)) or a dispatcher
    /// of your own. There is one; a second takes its place.
    ///
    /// ```
    /// use drawgate::Subscribe;
    /// struct Tenant(&'static str);
    /// let options = Subscribe::<u32>::new().with_extra(Tenant("acme"));
    /// assert_eq!(options.extra::<Tenant>().map(|tenant| tenant.0), Some("acme"));
    /// ```
    pub fn with_extra<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extra = Extra(Some(Arc::new(value)));
        self
    }

    /// The value of [`with_extra`](Self::with_extra), if it is a `T`: for a dispatcher of your own.
    pub fn extra<T: 'static>(&self) -> Option<&T> {
        self.extra.get()
    }

    /// Nothing is asked for by itself: the consumer asks with `Context::ask` or `Subscription::ask`.
    pub fn manual(mut self) -> Self {
        self.manual = true;
        self
    }

    pub(crate) fn demand(&self) -> Demand {
        Demand { max: self.max, min: self.min_demand_or_default(), manual: self.manual, cancel: self.cancel }
    }
    /// Manual demand, one event a slice: what a worker pool makes of it.
    pub(crate) fn one_by_one(mut self) -> Self {
        (self.max, self.min, self.manual) = (1, None, true);
        self
    }

    pub(crate) fn get_extra(&self) -> Extra {
        self.extra.clone()
    }
    pub(crate) fn max(&self) -> usize {
        self.max
    }
    pub(crate) fn min_demand_or_default(&self) -> usize {
        self.min.unwrap_or(self.max / 2)
    }
    pub(crate) fn get_partition(&self) -> Option<Result<usize, &'static str>> {
        self.partition
    }
    pub(crate) fn get_selector(&self) -> Option<Selector<E>> {
        self.selector.clone()
    }

    pub(crate) fn check(&self) -> Result<(), BadOption> {
        if self.max == 0 {
            return Err(BadOption::new("max_demand", "at least 1", 0));
        }
        match self.min {
            Some(min) if min >= self.max => {
                Err(BadOption::new("min_demand", format!("below max_demand, which is {}", self.max), min))
            }
            _ => Ok(()),
        }
    }
}
