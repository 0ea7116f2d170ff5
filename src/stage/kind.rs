//! What a builder builds: the kinds of stage, and how each of them turns into callbacks.

use super::builder::Builder;
use super::context::{Context, Emitter};
use super::life::Life;
use super::run::{self, Running};
use super::traits::{Consumer, Init, Peer, Producer, ProducerConsumer};
use super::{Events, Handle, Nothing};
use crate::error::{CancelReason, ExitReason, SpawnError};
use crate::link::{Notification, Outlet, Side};
use crate::runtime::Telemetry;
use crate::sealed::Sealed;
use crate::sync::{Arc, drop_each};
use crate::timer::TimerId;
use std::marker::PhantomData;

/// What a [`Builder`] builds. Not implemented by users.
///
/// ```
/// use drawgate::stage::{HandleOf, Kind, Wait};
/// use drawgate::{Builder, SpawnError};
///
/// /// Starts whatever it is, as this program starts all of its stages.
/// fn start<K: Kind>(stage: Builder<K>) -> Result<HandleOf<K>, SpawnError> {
///     stage.wait(Wait::Park).stack_size(256 * 1024).spawn()
/// }
///
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let squares = start(drawgate::map(|n: u32| n * n).subscribe_to(&numbers))?;
/// let sum = start(drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&squares))?;
/// assert_eq!(sum.finish()?, 14);
/// # anyhow::Ok(())
/// ```
pub trait Kind: Sealed + Sized + 'static {
    /// What the stage draws, or [`Nothing`].
    type In: 'static;
    /// What it emits, or [`Nothing`].
    type Out: 'static;
    /// What `call` sees and `finish` gives back.
    type State: 'static;
    /// `In`, or something that has no values but is `Send`.
    #[doc(hidden)]
    type Feed: Send + 'static;
    /// `Out`, or something that has no values but is `Send`.
    #[doc(hidden)]
    type Emit: Send + 'static;
    /// What lives on the stage's thread.
    #[doc(hidden)]
    type Body: 'static;
    #[doc(hidden)]
    fn start(builder: Builder<Self>) -> Result<HandleOf<Self>, SpawnError>;
}
/// The handle of a stage of this kind.
///
/// ```
/// use drawgate::{prelude::*, stage::{ConsumerKind, HandleOf}};
///
/// struct Count(u32);
/// impl Consumer for Count {
///     type Event = char;
///     fn handle_events(&mut self, events: Events<'_, char>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0 += events.count() as u32;
///         Ok(())
///     }
/// }
///
/// struct App {
///     count: HandleOf<ConsumerKind<Count>>, // a `Handle<char, Nothing, Count>`
/// }
/// let letters = drawgate::from_iter("gate".chars()).spawn()?;
/// let app = App { count: drawgate::consumer(Count(0)).subscribe_to(&letters).spawn()? };
/// assert_eq!(app.count.finish()?.0, 4);
/// # anyhow::Ok(())
/// ```
pub type HandleOf<K> = Handle<<K as Kind>::In, <K as Kind>::Out, <K as Kind>::State>;

/// A kind that emits.
///
/// ```
/// use drawgate::{Builder, stage::Emits};
///
/// fn patient<K: Emits>(stage: Builder<K>) -> Builder<K> {
///     stage.buffer_unbounded().hold_until(1)
/// }
///
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let squares = patient(drawgate::map(|n: u32| n * n)).subscribe_to(&numbers).spawn()?;
/// assert_eq!(squares.stream()?.sum::<u32>(), 14);
/// # anyhow::Ok(())
/// ```
pub trait Emits: Kind<Emit = <Self as Kind>::Out> {}
/// A kind that draws.
///
/// ```
/// use drawgate::{Builder, Subscribe, Upstream, stage::Draws};
///
/// fn one_by_one<K: Draws>(stage: Builder<K>, producer: &impl Upstream<K::In>) -> Builder<K> {
///     stage.subscribe_to_with(producer, Subscribe::new().max_demand(1))
/// }
///
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let sum = one_by_one(drawgate::fold(0, |sum, n: u32| *sum += n), &numbers).spawn()?;
/// assert_eq!(sum.finish()?, 6);
/// # anyhow::Ok(())
/// ```
pub trait Draws: Kind<Feed = <Self as Kind>::In> {}

/// Fills the place of an event type that a stage does not have, inside; as [`Nothing`] does outside.
pub(crate) use std::convert::Infallible as Never;

/// How a kind runs. The defaults do nothing.
pub(crate) trait Behaviour: Kind {
    const SIDE: Option<Side>;
    /// Whether it runs when anything is wanted, in a loop of its own.
    const SOURCE: bool = false;
    fn state(body: &mut Self::Body) -> &mut Self::State;
    fn into_state(body: Self::Body) -> Self::State;
    fn out(emitter: Option<&mut Emitter<Self::Emit>>) -> Option<&mut Emitter<Self::Out>>;

    fn init(body: &mut Self::Body, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<Init> {
        let _ = (body, ctx);
        Ok(Init::Ready)
    }
    fn demand(body: &mut Self::Body, n: usize, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (body, n, ctx);
        Ok(())
    }
    fn events(
        body: &mut Self::Body,
        events: Events<'_, Self::Feed>,
        ctx: &mut Context<'_, Self::Out>,
    ) -> anyhow::Result<()> {
        let _ = (body, events, ctx);
        Ok(())
    }
    fn done(body: &mut Self::Body, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (body, ctx);
        Ok(())
    }
    fn note(body: &mut Self::Body, note: &Notification, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (body, note, ctx);
        Ok(())
    }
    fn subscribed(body: &mut Self::Body, peer: &Peer, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (body, peer, ctx);
        Ok(())
    }
    fn cancelled(
        body: &mut Self::Body,
        peer: &Peer,
        why: &CancelReason,
        ctx: &mut Context<'_, Self::Out>,
    ) -> anyhow::Result<()> {
        let _ = (body, peer, why, ctx);
        Ok(())
    }
    fn timer(body: &mut Self::Body, timer: TimerId, ctx: &mut Context<'_, Self::Out>) -> anyhow::Result<()> {
        let _ = (body, timer, ctx);
        Ok(())
    }
    fn terminate(body: &mut Self::Body, reason: &ExitReason) {
        let _ = (body, reason);
    }
    /// Events that the stage's end leaves and nobody is there to take.
    fn left(body: &mut Self::Body, outlet: &Arc<Outlet<Self::Emit>>, left: Vec<Self::Emit>, life: &Arc<Life>) {
        let _ = body;
        if !left.is_empty() {
            outlet.count_lost(left.len());
            life.report(&Telemetry::Lost { stage: &life.name, count: left.len() });
            let _ = drop_each(left);
        }
    }
    /// Runs the stage until its end.
    fn main(running: &mut Running<Self>) -> ExitReason {
        run::rounds(running)
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident<$g:ident: $trait:ident> : $in:ty, $out:ty, $feed:ty, $emit:ty, $side:expr;
     $($emitter:tt)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<$g>(PhantomData<fn() -> $g>);
        impl<$g: $trait> Sealed for $name<$g> {}
        impl<$g: $trait> Kind for $name<$g> {
            type In = $in;
            type Out = $out;
            type State = $g;
            type Feed = $feed;
            type Emit = $emit;
            type Body = $g;
            fn start(builder: Builder<Self>) -> Result<Handle<$in, $out, $g>, SpawnError> {
                run::spawn(builder)
            }
        }
        impl<$g: $trait> Behaviour for $name<$g> {
            const SIDE: Option<Side> = $side;
            fn state(body: &mut $g) -> &mut $g {
                body
            }
            fn into_state(body: $g) -> $g {
                body
            }
            fn init(body: &mut $g, ctx: &mut Context<'_, $out>) -> anyhow::Result<Init> {
                body.init(ctx)
            }
            fn subscribed(body: &mut $g, peer: &Peer, ctx: &mut Context<'_, $out>) -> anyhow::Result<()> {
                body.handle_subscribe(peer, ctx)
            }
            fn cancelled(
                body: &mut $g,
                peer: &Peer,
                why: &CancelReason,
                ctx: &mut Context<'_, $out>,
            ) -> anyhow::Result<()> {
                body.handle_cancel(peer, why, ctx)
            }
            fn timer(body: &mut $g, timer: TimerId, ctx: &mut Context<'_, $out>) -> anyhow::Result<()> {
                body.handle_timer(timer, ctx)
            }
            fn terminate(body: &mut $g, reason: &ExitReason) {
                body.terminate(reason);
            }
            $($emitter)*
        }
    };
}

kind! {
    /// A [`Producer`] of yours.
    ///
    /// ```
    /// use drawgate::{Builder, prelude::*, stage::ProducerKind};
    ///
    /// struct Once(Option<u32>);
    /// impl Producer for Once {
    ///     type Event = u32;
    ///     fn handle_demand(&mut self, _: usize, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
    ///         ctx.extend(self.0.take());
    ///         ctx.done();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn once(n: u32) -> Builder<ProducerKind<Once>> {
    ///     drawgate::producer(Once(Some(n)))
    /// }
    /// assert_eq!(once(7).spawn()?.stream()?.collect::<Vec<_>>(), [7]);
    /// # anyhow::Ok(())
    /// ```
    ProducerKind<P: Producer>: Nothing, P::Event, Never, P::Event, Some(Side::Grants);
    fn out(emitter: Option<&mut Emitter<P::Event>>) -> Option<&mut Emitter<P::Event>> {
        emitter
    }
    fn demand(body: &mut P, n: usize, ctx: &mut Context<'_, P::Event>) -> anyhow::Result<()> {
        body.handle_demand(n, ctx)
    }
}
impl<P: Producer> Emits for ProducerKind<P> {}

kind! {
    /// A [`ProducerConsumer`] of yours.
    ///
    /// ```
    /// use drawgate::{Builder, prelude::*, stage::ProducerConsumerKind};
    ///
    /// struct Twice;
    /// impl ProducerConsumer for Twice {
    ///     type In = char;
    ///     type Out = char;
    ///     fn handle_events(&mut self, events: Events<'_, char>, ctx: &mut Context<'_, char>) -> anyhow::Result<()> {
    ///         ctx.extend(events.flat_map(|event| [event, event]));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn twice() -> Builder<ProducerConsumerKind<Twice>> {
    ///     drawgate::producer_consumer(Twice)
    /// }
    /// assert_eq!(drawgate::from_iter("ab".chars()).through(twice()).collect().run()?, ['a', 'a', 'b', 'b']);
    /// # anyhow::Ok(())
    /// ```
    ProducerConsumerKind<B: ProducerConsumer>: B::In, B::Out, B::In, B::Out, Some(Side::Gate);
    fn out(emitter: Option<&mut Emitter<B::Out>>) -> Option<&mut Emitter<B::Out>> {
        emitter
    }
    fn events(body: &mut B, events: Events<'_, B::In>, ctx: &mut Context<'_, B::Out>) -> anyhow::Result<()> {
        body.handle_events(events, ctx)
    }
    fn done(body: &mut B, ctx: &mut Context<'_, B::Out>) -> anyhow::Result<()> {
        body.handle_done(ctx)
    }
    fn note(body: &mut B, note: &Notification, ctx: &mut Context<'_, B::Out>) -> anyhow::Result<()> {
        body.handle_notification(note, ctx)
    }
}
impl<B: ProducerConsumer> Emits for ProducerConsumerKind<B> {}
impl<B: ProducerConsumer> Draws for ProducerConsumerKind<B> {}

kind! {
    /// A [`Consumer`] of yours.
    ///
    /// ```
    /// use drawgate::{Builder, prelude::*, stage::ConsumerKind};
    ///
    /// struct Last(Option<u32>);
    /// impl Consumer for Last {
    ///     type Event = u32;
    ///     fn handle_events(&mut self, events: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
    ///         self.0 = events.last().or(self.0);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn last() -> Builder<ConsumerKind<Last>> {
    ///     drawgate::consumer(Last(None))
    /// }
    /// assert_eq!(drawgate::from_iter(1..=3).to(last()).run()?.0, Some(3));
    /// # anyhow::Ok(())
    /// ```
    ConsumerKind<C: Consumer>: C::Event, Nothing, C::Event, Never, None;
    fn out(_: Option<&mut Emitter<Never>>) -> Option<&mut Emitter<Nothing>> {
        None
    }
    fn events(body: &mut C, events: Events<'_, C::Event>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.handle_events(events, ctx)
    }
    fn done(body: &mut C, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.handle_done(ctx)
    }
    fn note(body: &mut C, note: &Notification, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.handle_notification(note, ctx)
    }
}
impl<C: Consumer> Draws for ConsumerKind<C> {}
