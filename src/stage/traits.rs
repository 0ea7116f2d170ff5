//! The three kinds of stage, as traits for state with several callbacks.

use super::{Context, Events, Subscription, TimerId};
use crate::Name;
use crate::error::{CancelReason, ExitReason};
use crate::link::{Demand, Extra, Notification};

/// What `init` says.
///
/// ```
/// use drawgate::{SpawnError, prelude::*, stage::Init};
///
/// struct Log { wanted: bool }
/// impl Consumer for Log {
///     type Event = String;
///     fn init(&mut self, _: &mut Context<'_>) -> anyhow::Result<Init> {
///         Ok(if self.wanted { Init::Ready } else { Init::Decline })
///     }
///     fn handle_events(&mut self, _: Events<'_, String>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         Ok(())
///     }
/// }
///
/// assert!(matches!(drawgate::consumer(Log { wanted: false }).spawn(), Err(SpawnError::Declined { .. })));
/// let log = drawgate::consumer(Log { wanted: true }).spawn()?;
/// assert!(log.is_alive());
/// # log.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Start.
    Ready,
    /// Do not: `spawn` returns [`SpawnError::Declined`](crate::SpawnError::Declined), and nothing is left of the stage.
    Decline,
}

/// The other side of a subscription.
///
/// ```
/// use drawgate::{prelude::*, stage::Peer};
///
/// struct Pair(Vec<u32>);
/// impl Consumer for Pair {
///     type Event = u32;
///     fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_>) -> anyhow::Result<()> {
///         ctx.ask(&peer.subscription, 2);
///         Ok(())
///     }
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0.extend(events);
///         if self.0.len() == 2 {
///             ctx.stop(ExitReason::Normal);
///         }
///         Ok(())
///     }
/// }
///
/// let port = Port::bounded(8).spawn()?;
/// port.push_all(vec![1, 2, 3]).map_err(|refused| refused.kind())?;
/// let pair = || drawgate::consumer(Pair(Vec::new())).subscribe_to_with(&port, Subscribe::new().manual()).spawn();
/// assert_eq!(pair()?.finish()?.0, [1, 2]); // and the third one is still in the port
/// port.push(4)?;
/// assert_eq!(pair()?.finish()?.0, [3, 4]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The other stage's name.
    pub name: Name,
    /// The subscription.
    pub subscription: Subscription,
    /// Its numbers.
    pub demand: Demand,
    /// Which side of it the other stage is.
    pub side: PeerSide,
    pub(crate) extra: Extra,
}

impl Peer {
    /// What the consumer said with [`Subscribe::with_extra`](crate::Subscribe::with_extra), if it is a `T`.
    pub fn extra<T: 'static>(&self) -> Option<&T> {
        self.extra.get()
    }
}

/// Which side of a subscription a [`Peer`] is: what a producer-consumer, which has both, wants to know.
///
/// ```
/// use drawgate::{prelude::*, stage::{Peer, PeerSide}};
///
/// #[derive(Default)]
/// struct Relay { above: usize, below: usize }
/// impl ProducerConsumer for Relay {
///     type In = u32;
///     type Out = u32;
///     fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         match peer.side {
///             PeerSide::Producer => self.above += 1,
///             PeerSide::Consumer => self.below += 1,
///         }
///         Ok(())
///     }
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         ctx.extend(events);
///         Ok(())
///     }
/// }
///
/// let (left, right) = (drawgate::from_iter(1..=3).spawn()?, drawgate::from_iter(4..=6).spawn()?);
/// let relay = drawgate::producer_consumer(Relay::default()).subscribe_to(&left).subscribe_to(&right).spawn()?;
/// assert_eq!(relay.stream()?.sum::<u32>(), 21);
/// let Relay { above, below } = relay.finish()?;
/// assert_eq!((above, below), (2, 1));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSide {
    /// It emits, and this stage draws.
    Producer,
    /// It draws, and this stage emits.
    Consumer,
}

/// A stage that emits: GenStage's producer.
///
/// Every callback runs on the stage's own thread, one at a time. An error or a panic in one ends the stage with that as
/// its reason; `terminate` still runs.
///
/// ```
/// use drawgate::prelude::*;
///
/// struct Counter(u64);
/// impl Producer for Counter {
///     type Event = u64;
///     fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
///         ctx.extend((self.0..).take(demand));
///         self.0 += demand as u64;
///         if self.0 >= 10_000 {
///             ctx.done();
///         }
///         Ok(())
///     }
/// }
///
/// let counter = drawgate::producer(Counter(0)).spawn()?;
/// let count = drawgate::fold(0, |count, _: u64| *count += 1).subscribe_to(&counter).spawn()?;
/// assert!(count.finish()? >= 10_000);
/// # anyhow::Ok(())
/// ```
pub trait Producer: 'static {
    /// What it emits.
    type Event: Send + 'static;

    /// Runs first. An error or `Decline` is what `spawn` returns.
    ///
    /// # Errors
    /// End the stage.
    fn init(&mut self, ctx: &mut Context<'_, Self::Event>) -> anyhow::Result<Init> {
        let _ = ctx;
        Ok(Init::Ready)
    }

    /// `demand` more events are asked for. Emit as many, now or later; what is emitted beyond it waits in the buffer. Not
    /// told twice: what is not emitted now stays owed. Never 0.
    ///
    /// # Errors
    /// End the stage.
    fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, Self::Event>) -> anyhow::Result<()>;

    /// A consumer subscribed. It draws nothing before this has returned.
    ///
    /// # Errors
    /// End the stage.
    fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_, Self::Event>) -> anyhow::Result<()> {
        let _ = (peer, ctx);
        Ok(())
    }

    /// A consumer left, and why; a failed one may have lost the event it had in hand.
    ///
    /// # Errors
    /// End the stage.
    fn handle_cancel(
        &mut self,
        peer: &Peer,
        why: &CancelReason,
        ctx: &mut Context<'_, Self::Event>,
    ) -> anyhow::Result<()> {
        let _ = (peer, why, ctx);
        Ok(())
    }

    /// A timer that [`Context::send_after`] or [`Context::send_interval`] set is due.
    ///
    /// # Errors
    /// End the stage.
    fn handle_timer(&mut self, timer: TimerId, ctx: &mut Context<'_, Self::Event>) -> anyhow::Result<()> {
        let _ = (timer, ctx);
        Ok(())
    }

    /// Runs last, whatever the reason, unless `init` did not succeed.
    fn terminate(&mut self, reason: &ExitReason) {
        let _ = reason;
    }
}

/// A stage that draws and emits: GenStage's producer-consumer. It draws only while somebody downstream has asked.
///
/// Every callback runs on the stage's own thread, one at a time. An error or a panic in one ends the stage with that as
/// its reason; `terminate` still runs.
///
/// ```
/// use drawgate::prelude::*;
///
/// struct Pairs(Option<u32>);
/// impl ProducerConsumer for Pairs {
///     type In = u32;
///     type Out = (u32, u32);
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_, (u32, u32)>) -> anyhow::Result<()> {
///         for event in events {
///             match self.0.take() {
///                 Some(first) => ctx.emit((first, event)),
///                 None => self.0 = Some(event),
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let pairs = drawgate::from_iter(1..=4).through(drawgate::producer_consumer(Pairs(None))).collect().run()?;
/// assert_eq!(pairs, [(1, 2), (3, 4)]);
/// # anyhow::Ok(())
/// ```
pub trait ProducerConsumer: 'static {
    /// What it draws.
    type In: Send + 'static;
    /// What it emits.
    type Out: Send + 'static;

    /// Runs first. An error or `Decline` is what `spawn` returns.
    ///
    /// # Errors
    /// End the stage.
    fn init(&mut self, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<Init> {
        let _ = ctx;
        Ok(Init::Ready)
    }

    /// A slice of events. Emit any number for them; what goes beyond the demand waits in the buffer, without bound unless
    /// `buffer_size` says one.
    ///
    /// # Errors
    /// End the stage; what was not taken of the slice goes back.
    fn handle_events(&mut self, events: Events<'_, Self::In>, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()>;

    /// All producers are done: the last chance to emit what was gathered. The stage is done after this.
    ///
    /// # Errors
    /// End the stage.
    fn handle_done(&mut self, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// A subscription was made, on either side.
    ///
    /// # Errors
    /// End the stage.
    fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (peer, ctx);
        Ok(())
    }

    /// A subscription ended, on either side.
    ///
    /// # Errors
    /// End the stage.
    fn handle_cancel(
        &mut self,
        peer: &Peer,
        why: &CancelReason,
        ctx: &mut Context<'_, Self::Out>,
    ) -> anyhow::Result<()> {
        let _ = (peer, why, ctx);
        Ok(())
    }

    /// A notification, after exactly the events that stood before it. Pass it on with `ctx.notify` if consumers should
    /// have it too. Comes also while the gate is closed.
    ///
    /// # Errors
    /// End the stage.
    fn handle_notification(&mut self, note: &Notification, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (note, ctx);
        Ok(())
    }

    /// A timer that [`Context::send_after`] or [`Context::send_interval`] set is due.
    ///
    /// # Errors
    /// End the stage.
    fn handle_timer(&mut self, timer: TimerId, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (timer, ctx);
        Ok(())
    }

    /// Runs last, whatever the reason, unless `init` did not succeed.
    fn terminate(&mut self, reason: &ExitReason) {
        let _ = reason;
    }
}

/// A stage that draws: GenStage's consumer.
///
/// Every callback runs on the stage's own thread, one at a time. An error or a panic in one ends the stage with that as
/// its reason; `terminate` still runs.
///
/// ```
/// use drawgate::prelude::*;
///
/// #[derive(Default)]
/// struct Longest(String);
/// impl Consumer for Longest {
///     type Event = String;
///     fn handle_events(&mut self, events: Events<'_, String>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0 = events.chain([std::mem::take(&mut self.0)]).max_by_key(String::len).unwrap_or_default();
///         Ok(())
///     }
/// }
///
/// let words = drawgate::from_iter(["a", "sluice", "gate"].map(String::from)).spawn()?;
/// let longest = drawgate::consumer(Longest::default()).subscribe_to(&words).spawn()?;
/// assert_eq!(longest.finish()?.0, "sluice");
/// # anyhow::Ok(())
/// ```
pub trait Consumer: 'static {
    /// What it draws.
    type Event: Send + 'static;

    /// Runs first. An error or `Decline` is what `spawn` returns.
    ///
    /// # Errors
    /// End the stage.
    fn init(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<Init> {
        let _ = ctx;
        Ok(Init::Ready)
    }

    /// A slice of events.
    ///
    /// # Errors
    /// End the stage; what was not taken of the slice goes back.
    fn handle_events(&mut self, events: Events<'_, Self::Event>, ctx: &mut Context<'_>) -> anyhow::Result<()>;

    /// All producers are done. The stage is done after this.
    ///
    /// # Errors
    /// End the stage.
    fn handle_done(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// A subscription was made.
    ///
    /// # Errors
    /// End the stage.
    fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (peer, ctx);
        Ok(())
    }

    /// A subscription ended, and why.
    ///
    /// # Errors
    /// End the stage.
    fn handle_cancel(&mut self, peer: &Peer, why: &CancelReason, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (peer, why, ctx);
        Ok(())
    }

    /// A notification, after exactly the events that stood before it.
    ///
    /// # Errors
    /// End the stage.
    fn handle_notification(&mut self, note: &Notification, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (note, ctx);
        Ok(())
    }

    /// A timer that [`Context::send_after`] or [`Context::send_interval`] set is due.
    ///
    /// # Errors
    /// End the stage.
    fn handle_timer(&mut self, timer: TimerId, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (timer, ctx);
        Ok(())
    }

    /// Runs last, whatever the reason, unless `init` did not succeed.
    fn terminate(&mut self, reason: &ExitReason) {
        let _ = reason;
    }
}
