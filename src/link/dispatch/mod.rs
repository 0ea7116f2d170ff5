//! Dispatchers: which lane an event goes to, and how much the producer should be asked for.
//!
//! A dispatcher is pure: it owns no lock, thread or clock and moves no event. It names lanes; the outlet moves the
//! events. One of the three here will do for nearly every program:
//!
//! * [`DemandDispatcher`]: one lane that all consumers share; whoever asked and is free gets the next event.
//! * [`BroadcastDispatcher`]: a lane a consumer; everyone gets every event, at the pace of the slowest.
//! * [`PartitionDispatcher`]: a lane a partition; a key or a hash says which.
//!
//! # Your own
//! Say with [`choose`](Dispatcher::choose) how events find their lane: all to one, by a function of the event alone
//! (run before the outlet is locked), or by [`place`](Dispatcher::place), which sees the lanes and is run under the
//! lock. A panic in any of them fails the stage whose dispatcher it is, never its consumers, and what stands in its
//! lanes can still be drawn.
//!
//! This one fills up its consumers in the order in which they came: the second gets only what the first has no room for.
//! With the feature `test-util`, `drawgate::testing::check_dispatcher` runs a dispatcher through random operations.
//!
//! ```
//! use drawgate::dispatch::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, SubId, Targets};
//! use drawgate::{SubscribeError, prelude::*};
//!
//! #[derive(Default)]
//! struct Overflow {
//!     /// Whether a lane has its consumer.
//!     taken: Vec<bool>,
//! }
//!
//! impl<E: Send + 'static> Dispatcher<E> for Overflow {
//!     fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
//!         let lane = self.taken.iter().position(|taken| !taken).unwrap_or(self.taken.len());
//!         self.taken.resize(self.taken.len().max(lane + 1), false);
//!         self.taken[lane] = true;
//!         Ok(LaneId(lane as u32))
//!     }
//!     fn cancel(&mut self, _: SubId, lane: LaneId) -> Cancelled {
//!         self.taken[lane.0 as usize] = false;
//!         Cancelled::Drop // nobody else draws from it
//!     }
//!     fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
//!         let unmet: usize = lanes.iter().filter(|lane| lane.consumers > 0).map(|lane| lane.unmet.max(0) as usize).sum();
//!         unmet.saturating_sub(held)
//!     }
//!     fn choose(&self) -> Choice<E> {
//!         Choice::Place
//!     }
//!     fn place(&mut self, _: &E, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
//!         match lanes.iter().find(|lane| lane.consumers > 0 && lane.unmet > 0) {
//!             Some(first) => targets.put(first.lane),
//!             None => targets.hold(),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let port = Port::bounded(8).dispatcher(Overflow::default()).hold_until(2).spawn()?;
//! let main = drawgate::fold(0, |n, _: char| *n += 1).spawn()?;
//! let spare = drawgate::fold(0, |n, _: char| *n += 1).spawn()?;
//! let three = main.subscribe_with(&port, Subscribe::new().manual())?;
//! spare.subscribe(&port)?;
//! three.ask(3)?;
//! port.push_all("abcde".chars().collect()).map_err(|e| e.kind())?;
//! port.close();
//! assert_eq!((main.finish()?, spare.finish()?), (3, 2));
//! # anyhow::Ok(())
//! ```

mod broadcast;
mod demand;
mod partition;

pub use broadcast::BroadcastDispatcher;
pub use demand::DemandDispatcher;
pub use partition::PartitionDispatcher;

use super::subscribe::Subscribe;
use crate::Name;
use crate::error::{BadOption, SubscribeError};
use crate::sync::Arc;
use std::fmt;

/// Chooses lanes for events of type `E`. See the [module](self).
///
/// ```
/// use drawgate::dispatch::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, SubId};
/// use drawgate::{Name, SubscribeError, prelude::*};
///
/// /// One consumer at a time.
/// struct Exclusive(Option<Name>);
/// impl<E: Send + 'static> Dispatcher<E> for Exclusive {
///     fn subscribe(&mut self, consumer: &Arriving<'_>, _: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
///         if let Some(holder) = self.0.clone() {
///             return Err(SubscribeError::PartitionTaken { partition: "all".into(), holder });
///         }
///         self.0 = Some(consumer.name.clone());
///         Ok(LaneId(0))
///     }
///     fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
///         self.0 = None;
///         Cancelled::KeepForNext
///     }
///     fn wanted(&self, _: usize, lanes: &LaneView<'_>) -> usize {
///         lanes.get(LaneId(0)).map_or(0, |lane| lane.unmet.max(0) as usize)
///     }
///     fn choose(&self) -> Choice<E> {
///         Choice::One(LaneId(0))
///     }
/// }
///
/// let port = Port::bounded(8).dispatcher(Exclusive(None)).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&port).spawn()?;
/// let second = drawgate::for_each(|_: u32| ()).subscribe_to(&port).spawn();
/// assert!(second.is_err_and(|refused| refused.to_string().contains("partition all is taken by")));
/// port.push(7)?;
/// port.close();
/// assert_eq!(sum.finish()?, 7);
/// # anyhow::Ok(())
/// ```
pub trait Dispatcher<E>: Send + 'static {
    /// A consumer arrives: names the lane it draws from, which it may share. Lanes are small numbers, made as named.
    ///
    /// # Errors
    /// A consumer that this dispatcher does not take.
    fn subscribe(&mut self, consumer: &Arriving<'_>, options: &Subscribe<E>) -> Result<LaneId, SubscribeError>;

    /// A consumer left. Says what becomes of the lane if that was the last one drawing from it.
    ///
    /// A resubscribe to the same producer is a `cancel` and a `subscribe` with nothing between. If that is refused, the old
    /// subscription is subscribed again, with its own options, and must get the lane that it had, or the stage fails.
    fn cancel(&mut self, consumer: SubId, lane: LaneId) -> Cancelled;

    /// How many more events the lanes could take for consumers that asked, given how many are held before them. A
    /// function of what it is given and of the subscriptions, never of earlier calls.
    fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize;

    /// How events find their lane. Asked once.
    fn choose(&self) -> Choice<E>;

    /// Names the lanes of one event, for [`Choice::Place`]: any number of them, or none, or [`Targets::hold`].
    ///
    /// # Errors
    /// Fail the stage; the event is lost and counted.
    fn place(&mut self, event: &E, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
        let _ = (event, lanes);
        targets.hold();
        Ok(())
    }

    /// Checks the options it was made with; asked when the stage is started.
    ///
    /// # Errors
    /// Which option, what it must be, what it was.
    fn check(&self) -> Result<(), BadOption> {
        Ok(())
    }

    /// A copy of an event, asked for when it has several targets; `None` fails the stage.
    fn duplicate(&self, event: &E) -> Option<E> {
        let _ = event;
        None
    }
}

/// A consumer that subscribes.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// Refuses whoever is there already. Else as `DemandDispatcher`.
/// struct Once(Vec<(SubId, u64)>);
/// impl Dispatcher<u32> for Once {
///     fn subscribe(&mut self, new: &Arriving<'_>, _: &Subscribe<u32>) -> Result<LaneId, SubscribeError> {
///         if self.0.iter().any(|(_, consumer)| *consumer == new.consumer) {
///             return Err(SubscribeError::Twice { producer: new.producer.clone() });
///         }
///         self.0.push((new.sub, new.consumer));
///         Ok(LaneId(0))
///     }
///     fn cancel(&mut self, left: SubId, _: LaneId) -> Cancelled {
///         self.0.retain(|(sub, _)| *sub != left);
///         Cancelled::KeepForNext
///     }
///     // ...
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       Dispatcher::<u32>::wanted(&DemandDispatcher::new(), held, lanes)
/// #   }
/// #   fn choose(&self) -> Choice<u32> {
/// #       Choice::One(LaneId(0))
/// #   }
/// }
///
/// let port = Port::bounded(8).dispatcher(Once(Vec::new())).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&port).spawn()?;
/// assert!(matches!(sum.subscribe(&port), Err(SubscribeError::Twice { .. })));
/// # sum.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Arriving<'a> {
    /// The new subscription.
    pub sub: SubId,
    /// The consumer's name.
    pub name: &'a Name,
    /// The consumer itself: two subscriptions with equal numbers are one stage's.
    pub consumer: u64,
    /// The producer's name.
    pub producer: &'a Name,
}

/// How events find their lane.
///
/// ```
/// use drawgate::dispatch::{BroadcastDispatcher, Choice, DemandDispatcher, Dispatcher, PartitionDispatcher};
///
/// let shared: Choice<u32> = DemandDispatcher::new().choose();
/// assert!(matches!(shared, Choice::One(_)));
/// let parity = PartitionDispatcher::by_index(2, |n: &u32| Some(*n as usize % 2)).choose();
/// assert!(matches!(parity, Choice::Route(_)));
/// let copied: Choice<u32> = BroadcastDispatcher::new().choose();
/// assert!(matches!(copied, Choice::Place));
/// ```
#[non_exhaustive]
pub enum Choice<E> {
    /// All go to this lane.
    One(LaneId),
    /// The event alone decides; run by who emits or pushes, before the outlet is locked.
    Route(Arc<Router<E>>),
    /// [`Dispatcher::place`] decides, under the lock; events it holds back wait before the lanes.
    Place,
}

impl<E> fmt::Debug for Choice<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(lane) => write!(f, "One({lane:?})"),
            Self::Route(_) => f.write_str("Route(..)"),
            Self::Place => f.write_str("Place"),
        }
    }
}

/// Says where an event goes, from the event alone.
///
/// ```
/// use drawgate::dispatch::{Choice, LaneId, Route, Router};
/// use std::sync::Arc;
///
/// let small: Arc<Router<u32>> = Arc::new(|n| if *n < 10 { Route::Lane(LaneId(0)) } else { Route::Lane(LaneId(1)) });
/// assert_eq!((small(&7), small(&70)), (Route::Lane(LaneId(0)), Route::Lane(LaneId(1))));
/// let choice = Choice::Route(small); // for `Dispatcher::choose`
/// ```
pub type Router<E> = dyn Fn(&E) -> Route + Send + Sync;

/// Where a router sends one event.
///
/// ```
/// use drawgate::dispatch::{Choice, Dispatcher, LaneId, PartitionDispatcher, Route};
///
/// let by_digit = PartitionDispatcher::by_index(10, |n: &u32| (*n > 0).then_some(*n as usize));
/// let Choice::Route(route) = by_digit.choose() else { panic!("the event alone decides") };
/// assert_eq!(route(&7), Route::Lane(LaneId(7)));
/// assert_eq!(route(&0), Route::Discard);
/// assert!(matches!(route(&10), Route::Unknown(_)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// Into this lane.
    Lane(LaneId),
    /// Nowhere: discarded, counted, and asked for again.
    Discard,
    /// To something that is not there: gives a pusher its event back and fails the stage.
    Unknown(&'static str),
}

/// One subscription of an outlet.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// Says how many are left when one leaves. Else as `DemandDispatcher`.
/// struct Told(Vec<SubId>, std::sync::mpsc::Sender<usize>);
/// impl Dispatcher<u32> for Told {
///     fn subscribe(&mut self, new: &Arriving<'_>, _: &Subscribe<u32>) -> Result<LaneId, SubscribeError> {
///         self.0.push(new.sub);
///         Ok(LaneId(0))
///     }
///     fn cancel(&mut self, left: SubId, _: LaneId) -> Cancelled {
///         self.0.retain(|sub| *sub != left);
///         let _ = self.1.send(self.0.len());
///         Cancelled::KeepForNext
///     }
///     // ...
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       Dispatcher::<u32>::wanted(&DemandDispatcher::new(), held, lanes)
/// #   }
/// #   fn choose(&self) -> Choice<u32> {
/// #       Choice::One(LaneId(0))
/// #   }
/// }
///
/// let (tell, left) = std::sync::mpsc::channel();
/// let port = Port::bounded(8).dispatcher(Told(Vec::new(), tell)).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let subscriptions = [sum.subscribe(&port)?, sum.subscribe(&port)?]; // a shared lane allows it
/// subscriptions[0].cancel_with(ExitReason::Normal);
/// assert_eq!(left.recv()?, 1);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// One lane of an outlet.
///
/// ```
/// use drawgate::dispatch::{Choice, Dispatcher, LaneId, PartitionDispatcher, Route};
///
/// let parity = PartitionDispatcher::by_index(2, |n: &u32| Some(*n as usize % 2)); // a lane a partition
/// let Choice::Route(route) = parity.choose() else { panic!("the event alone decides") };
/// assert_eq!(route(&7), Route::Lane(LaneId(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u32);

impl LaneId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the lanes look like.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// A lane a consumer; an event goes where the fewest stand.
/// struct Shortest(u32);
/// impl Dispatcher<char> for Shortest {
///     fn place(&mut self, _: &char, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
///         match lanes.iter().filter(|lane| lane.consumers > 0).min_by_key(|lane| lane.standing) {
///             Some(shortest) => targets.put(shortest.lane),
///             None => targets.hold(),
///         }
///         Ok(())
///     }
///     // ...
/// #   fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<char>) -> Result<LaneId, SubscribeError> {
/// #       self.0 += 1;
/// #       Ok(LaneId(self.0 - 1))
/// #   }
/// #   fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
/// #       Cancelled::Drop
/// #   }
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       let unmet = lanes.iter().filter(|lane| lane.consumers > 0).map(|lane| lane.unmet.max(0) as usize);
/// #       unmet.sum::<usize>().saturating_sub(held)
/// #   }
/// #   fn choose(&self) -> Choice<char> {
/// #       Choice::Place
/// #   }
/// }
///
/// let port = Port::bounded(8).dispatcher(Shortest(0)).spawn()?;
/// let consumer = || drawgate::fold(String::new(), |all, c: char| all.push(c)).spawn();
/// let (first, second) = (consumer()?, consumer()?);
/// let manual = || Subscribe::new().manual();
/// let ask = [first.subscribe_with(&port, manual())?, second.subscribe_with(&port, manual())?];
/// port.push_all("abcd".chars().collect()).map_err(|refused| refused.kind())?; // nobody has asked: all four stand
/// port.close();
/// for subscription in ask {
///     subscription.ask(4)?;
/// }
/// assert_eq!((first.finish()?, second.finish()?), ("ac".to_string(), "bd".to_string()));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LaneView<'a>(pub(super) &'a [LaneState]);

impl LaneView<'_> {
    /// Every lane, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = LaneState> + '_ {
        self.0.iter().copied()
    }
    /// One lane.
    pub fn get(&self, lane: LaneId) -> Option<LaneState> {
        self.0.get(lane.index()).copied()
    }
}

/// One lane in figures.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// A lane a consumer; an event goes to whoever has asked for most, as GenStage's does.
/// struct Hungriest(u32);
/// impl Dispatcher<char> for Hungriest {
///     fn place(&mut self, _: &char, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
///         match lanes.iter().filter(|lane| lane.unmet > 0).max_by_key(|lane| lane.unmet) {
///             Some(hungriest) => targets.put(hungriest.lane),
///             None => targets.hold(),
///         }
///         Ok(())
///     }
///     // ...
/// #   fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<char>) -> Result<LaneId, SubscribeError> {
/// #       self.0 += 1;
/// #       Ok(LaneId(self.0 - 1))
/// #   }
/// #   fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
/// #       Cancelled::Drop
/// #   }
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       let unmet = lanes.iter().filter(|lane| lane.consumers > 0).map(|lane| lane.unmet.max(0) as usize);
/// #       unmet.sum::<usize>().saturating_sub(held)
/// #   }
/// #   fn choose(&self) -> Choice<char> {
/// #       Choice::Place
/// #   }
/// }
///
/// let port = Port::bounded(8).dispatcher(Hungriest(0)).spawn()?;
/// let consumer = || drawgate::fold(String::new(), |all, c: char| all.push(c)).spawn();
/// let (few, many) = (consumer()?, consumer()?);
/// few.subscribe_with(&port, Subscribe::new().manual())?.ask(1)?;
/// many.subscribe_with(&port, Subscribe::new().manual())?.ask(2)?;
/// port.push_all("abc".chars().collect()).map_err(|refused| refused.kind())?;
/// port.close();
/// assert_eq!((few.finish()?, many.finish()?), ("c".to_string(), "ab".to_string()));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneState {
    /// Its number.
    pub lane: LaneId,
    /// How many subscriptions draw from it.
    pub consumers: usize,
    /// Asked for, less what stands: negative when more stands than was asked for.
    pub unmet: isize,
    /// How much more may stand: its bound, and what was asked for, less what stands.
    pub room: isize,
    /// Events in it.
    pub standing: usize,
}

/// Where one event goes: one lane, several, none (then it is filtered out and asked for again), or held back.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// Everything goes to the till; what is large goes to the auditor as well.
/// struct Audit;
/// impl Dispatcher<u32> for Audit {
///     fn subscribe(&mut self, consumer: &Arriving<'_>, _: &Subscribe<u32>) -> Result<LaneId, SubscribeError> {
///         Ok(LaneId((*consumer.name == "auditor".into()) as u32))
///     }
///     fn place(&mut self, amount: &u32, _: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
///         targets.put(LaneId(0));
///         if *amount > 100 {
///             targets.put(LaneId(1));
///         }
///         Ok(())
///     }
///     fn duplicate(&self, amount: &u32) -> Option<u32> {
///         Some(*amount)
///     }
///     // ...
/// #   fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
/// #       Cancelled::Drop
/// #   }
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       let unmet = lanes.iter().map(|lane| lane.unmet.max(0) as usize).min();
/// #       unmet.unwrap_or(0).saturating_sub(held)
/// #   }
/// #   fn choose(&self) -> Choice<u32> {
/// #       Choice::Place
/// #   }
/// }
///
/// let rt = Runtime::new();
/// let port = Port::bounded(8).dispatcher(Audit).hold_until(2).runtime(&rt).spawn()?;
/// let sum = |name| drawgate::fold(0, |sum, n: u32| *sum += n).name(name).runtime(&rt).subscribe_to(&port).spawn();
/// let (till, auditor) = (sum("till")?, sum("auditor")?);
/// port.push_all(vec![50, 500, 5]).map_err(|refused| refused.kind())?;
/// port.close();
/// assert_eq!((till.finish()?, auditor.finish()?), (555, 500));
/// # anyhow::Ok(())
/// ```
#[derive(Debug, Default)]
pub struct Targets {
    pub(super) lanes: Vec<LaneId>,
    pub(super) hold: bool,
}

impl Targets {
    /// Also into this lane.
    pub fn put(&mut self, lane: LaneId) {
        self.lanes.push(lane);
    }
    /// Not yet: the event, and those behind it, wait before the lanes until something changes.
    pub fn hold(&mut self) {
        self.hold = true;
    }
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
        self.hold = false;
    }
}

/// What becomes of a lane whose last consumer left.
///
/// ```
/// # use drawgate::{SubscribeError, dispatch::*, prelude::*};
/// /// What the last consumer leaves is of no use to the next. Else as `DemandDispatcher`.
/// struct Fresh;
/// impl Dispatcher<u32> for Fresh {
///     fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
///         Cancelled::Drop
///     }
///     // ...
/// #   fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<u32>) -> Result<LaneId, SubscribeError> {
/// #       Ok(LaneId(0))
/// #   }
/// #   fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
/// #       Dispatcher::<u32>::wanted(&DemandDispatcher::new(), held, lanes)
/// #   }
/// #   fn choose(&self) -> Choice<u32> {
/// #       Choice::One(LaneId(0))
/// #   }
/// }
///
/// let port = Port::bounded(8).dispatcher(Fresh).on_discard(|_| ()).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let subscription = sum.subscribe_with(&port, Subscribe::new().manual())?;
/// port.push(7)?; // stands, since nobody has asked
/// subscription.cancel_with(ExitReason::Normal);
/// assert_eq!((port.port_stats().size, port.port_stats().discarded), (0, 1));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Its events wait for the next consumer.
    KeepForNext,
    /// Its events are dropped and counted as discarded.
    Drop,
}
