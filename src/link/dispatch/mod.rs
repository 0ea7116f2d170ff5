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
pub type Router<E> = dyn Fn(&E) -> Route + Send + Sync;

/// Where a router sends one event.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// One lane of an outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u32);

impl LaneId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the lanes look like.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Its events wait for the next consumer.
    KeepForNext,
    /// Its events are dropped and counted as discarded.
    Drop,
}
