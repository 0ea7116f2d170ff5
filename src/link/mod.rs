//! What is between two stages: the protocol, and why it neither loses an event nor sleeps through one.
//!
//! | file        | what it is                                                            | waits? |
//! |-------------|-----------------------------------------------------------------------|--------|
//! | `queue`     | events in chunks, with notifications between them                     | pure   |
//! | `state`     | lanes, subscriptions, demand, `settle`                                | pure   |
//! | `line`      | a port's bound, and the line of pushers before it                     | pure   |
//! | `dispatch`  | which lane an event goes to                                           | pure   |
//! | `outlet`    | the mutex around `state`, and what is done after unlocking            | in `wait_in_line` |
//! | `mail`      | what other threads want a stage's thread to do                        | no     |
//! | `inbox`     | the round of a stage's thread                                         | in `next` |
//!
//! Below, C is a consumer's thread, P whoever puts an event into a lane (a producer's thread, a pusher), and "marks" are
//! a consumer's standing in a lane: *off*, *hungry* (for events, or for signals only) or *waking*.
//!
//! # F3: no event stands while a consumer that asked for it sleeps
//! Every critical section of an outlet ends with `settle`, which keeps this true whenever the outlet is unlocked:
//!
//! > *(S)* if events stand in a lane (before its first notification), nobody is hungry for them, or at least as many are
//! > waking as events stand.
//!
//! What is held back on purpose (`hold_until`, [`DemandMode::Accumulate`], a consumer that its producer has not heard of yet)
//! nobody is hungry for; its release is such a critical section.
//!
//! A thread sleeps only as the last step of a round, in which it cleared its latch, found no mail, and then, lane by
//! lane, either found something or was marked, under the lane's lock, when nothing was there. So:
//!
//! 1. *A sleeping consumer that has demand is hungry in each of its lanes, or waking.* Its marks are changed by itself, by
//!    `settle` (hungry → waking, and its latch is woken after unlocking), and by a subscribe (→ off, and woken). A wake
//!    after the clear makes the wait return ([`Latch`](crate::sync::Latch)).
//! 2. *Whoever is waking is awake, or about to be, and leaves that mark*: by a draw, which takes an event if one stands,
//!    or by unmarking: before mail runs, when something was found elsewhere, when the subscription ends. Both are critical
//!    sections, hence end with `settle`: the wake is **handed on** to the next hungry one, if an event still stands.
//!    Without this, an event stands for ever beside a sleeping consumer (`hand-on-*` in `.ci/mutants`).
//! 3. *A consumer that handles a slice may do so for ever*, so it must not be hungry or waking in a lane of others then: a
//!    wake spent on it would be lost to them. It takes its marks off lanes that it knows to be shared. A lane that was its
//!    own alone it may leave marked: there the wake is nobody else's. That changes when somebody subscribes: so **a
//!    subscribe clears every mark of its lane and wakes their owners**, who look again and mark themselves, now as sharers
//!    (`subscribe-keeps-marks` in `.ci/mutants`).
//!
//! From (S) and 1 to 3: if an event stands, no consumer with demand for it is hungry, or one is waking for it; that one
//! will draw it or hand the wake on. Models: `loom_tests::wakes`.
//!
//! # F1 and F5: demand is a level
//! Nobody sends demand up as messages that could be lost, doubled, or outlive their consumer. An outlet knows, for each
//! lane, what was asked for and not drawn; `wanted` is the dispatcher's function of that; and `told` is what the producer
//! was granted and has not emitted. After every operation what is wanted beyond `told` is granted. So an event that is
//! filtered, discarded, or given to nobody is asked for again by itself, and when a consumer leaves, what it had asked for
//! is out of `wanted` at once: grants that were not collected are taken back, and what was collected stays `told` and is
//! offset against later asks. A draw takes at most what its subscription asked for. Models: `loom_tests::demand`.
//!
//! A producer is marked *idle* in the critical section in which it collects nothing, and the grant that follows takes the
//! mark off and wakes it; a producer-consumer likewise when nothing is wanted (its **gate** is closed). While closed it is
//! marked upstream for signals only, so that an event there wakes somebody who may take it. If its gate closes while it
//! sleeps hungry upstream, it is woken for an event it may not draw: it marks itself for signals instead, which leaves
//! *waking* and hands the wake on.
//!
//! # F2: each event has one fate
//! An event is moved, under locks, from an emitter into a lane, from a lane into one slice; what a failed callback did not
//! take is given back to the head of its lane; what was in its hand is counted as lost. A pusher's event is in its entry
//! of the line, which is taken out either by `settle`, into the lane, or by its owner (see `line`). Models:
//! `loom_tests::port`, `loom_tests::ends`.
//!
//! # F6: an end reaches everybody
//! An ended outlet goes on serving its lanes. A lane is at its end when it is empty, nothing is held before it, and, if the
//! stage is `Done`, no slice of it is in hand that might still be given back. The operation that brings that about ends with
//! `settle`, which wakes everybody who is hungry in that lane, for events or signals. Models: `loom_tests::ends`.

pub mod dispatch;
mod inbox;
mod line;
mod mail;
mod note;
mod outlet;
mod queue;
mod state;
mod subscribe;
#[cfg(all(test, not(drawgate_loom)))]
mod tests;
mod waited;

pub(crate) use dispatch::SubId;
pub(crate) use inbox::{Inbox, Link, Round};
pub(crate) use mail::Mailbox;
pub(crate) use note::Notification as Note;
pub use note::Notification;
pub(crate) use outlet::{Hooks, Outlet, OutletFigures, OwnSide, Reserved, Routed, Staged, WayIn, Weigh};
#[cfg(feature = "test-util")]
pub(crate) use state::{Drawn, MarkAs};
pub(crate) use state::{News, Options, PeerNote, Side, Told};
pub use subscribe::{Cancel, Demand, Subscribe};
pub(crate) use subscribe::{Extra, Subscriber};
pub(crate) use waited::{WaitFor, Waited};

/// Whether a producer is told of demand.
///
/// ```
/// use drawgate::stage::DemandMode;
///
/// let numbers = drawgate::from_iter(1..=100).spawn()?;
/// numbers.set_demand_mode(DemandMode::Accumulate)?;
/// let sum = || drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&numbers).spawn();
/// let (first, second) = (sum()?, sum()?);
/// assert_eq!(numbers.stats().events_out, 0); // the first one has asked, and waits
/// numbers.set_demand_mode(DemandMode::Forward)?; // both are there
/// assert_eq!(first.finish()? + second.finish()?, 5050);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DemandMode {
    /// As it comes. The default.
    #[default]
    Forward,
    /// Demand is held back, and so are events: nothing is drawn. Back at `Forward` the producer is told of each rise of
    /// demand by itself, in the order in which they came. For a producer that should not begin before all its consumers
    /// are there.
    Accumulate,
}

/// What a full buffer keeps.
///
/// ```
/// use drawgate::{prelude::*, stage::BufferKeep};
///
/// let kept = |keep| -> anyhow::Result<Vec<u32>> {
///     let quiet = drawgate::map(|n: u32| n).buffer_size(2).buffer_keep(keep).on_discard(|_| ()).spawn()?;
///     quiet.call(|_, ctx| ctx.extend(1..=5))?; // nobody has asked
///     let all = drawgate::fold(Vec::new(), |all, n: u32| all.push(n)).subscribe_to(&quiet).spawn()?;
///     quiet.request_stop(ExitReason::Normal); // what it has emitted is still delivered
///     Ok(all.finish()?)
/// };
/// assert_eq!(kept(BufferKeep::First)?, [1, 2]);
/// assert_eq!(kept(BufferKeep::Last)?, [4, 5]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferKeep {
    /// The oldest: what comes when it is full is discarded.
    First,
    /// The newest: the oldest are discarded to make room. The default.
    #[default]
    Last,
}
