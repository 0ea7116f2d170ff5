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
pub type HandleOf<K> = Handle<<K as Kind>::In, <K as Kind>::Out, <K as Kind>::State>;

/// A kind that emits.
pub trait Emits: Kind<Emit = <Self as Kind>::Out> {}
/// A kind that draws.
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
