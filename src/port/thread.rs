//! A port's thread: lets in what is due, and ends the port when it is closed and nothing is left.
//!
//! It is not on the way of a push: that goes from the pushing thread straight into a lane.

use super::depot::{Depot, Place};
use crate::error::{ExitReason, SpawnError};
use crate::link::{Outlet, Side, WaitFor};
use crate::sealed::Sealed;
use crate::stage::{Behaviour, Builder, Context, Emits, Emitter, Handle, Init, Kind, Life, Never, Nothing, Running};
use crate::sync::Arc;
use std::fmt;
use std::marker::PhantomData;

/// A port, as a kind of stage.
pub(super) struct PortKind<E>(PhantomData<fn() -> E>);
impl<E> Sealed for PortKind<E> {}

pub(super) struct PortBody<E> {
    pub(super) depot: Arc<Depot<E>>,
    pub(super) close_when_abandoned: bool,
    pub(super) unit: (),
}
impl<E> fmt::Debug for PortBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortBody")
    }
}

impl<E: Send + 'static> Kind for PortKind<E> {
    type In = Nothing;
    type Out = E;
    type State = ();
    type Feed = Never;
    type Emit = E;
    type Body = PortBody<E>;
    fn start(builder: Builder<Self>) -> Result<Handle<Nothing, E>, SpawnError> {
        crate::stage::start(builder).map(crate::stage::HandleParts::into_handle)
    }
}
impl<E: Send + 'static> Emits for PortKind<E> {}

impl<E: Send + 'static> Behaviour for PortKind<E> {
    const SIDE: Option<Side> = Some(Side::Port);
    fn state(body: &mut PortBody<E>) -> &mut () {
        &mut body.unit
    }
    fn into_state(_: PortBody<E>) {}
    fn out(emitter: Option<&mut Emitter<E>>) -> Option<&mut Emitter<E>> {
        emitter
    }

    fn init(body: &mut PortBody<E>, ctx: &mut Context<'_, E>) -> anyhow::Result<Init> {
        if let Some(emitter) = &ctx.emitter {
            body.depot.belongs_to(&ctx.common.life, &emitter.outlet);
        }
        Ok(Init::Ready)
    }

    fn main(running: &mut Running<Self>) -> ExitReason {
        let outlet = running.emitter.as_ref().map(|emitter| emitter.outlet.clone()).expect("bug: a port emits");
        let depot = running.body().depot.clone();
        let close_when_abandoned = running.body().close_when_abandoned;
        loop {
            let mail = running.inbox.mail.clone();
            mail.latch().clear();
            if mail.is_waiting() {
                if let Err(reason) = running.mail() {
                    return reason;
                }
            }
            let mut lost = Vec::new();
            for delayed in depot.take_due() {
                let arrived = match delayed.place {
                    Place::Taken(routed) => outlet.arrive(delayed.event, routed, true),
                    Place::Here | Place::Name => match outlet.route(&delayed.event) {
                        Ok(routed) => outlet.arrive(delayed.event, routed, false),
                        Err(()) => {
                            outlet.recall();
                            Err(delayed.event)
                        }
                    },
                };
                lost.extend(arrived.err());
            }
            depot.lose(lost);
            let seen = outlet.intake();
            if let Some(reason) = seen.fault {
                return reason;
            }
            if seen.abandoned_by_failure && close_when_abandoned && !outlet.is_closed() {
                outlet.close();
                continue;
            }
            if seen.drained {
                return ExitReason::Done;
            }
            // Predicate: mail, something due, a fault, or a closed port with nothing left.
            running.inbox.wait(WaitFor::Work);
        }
    }

    fn left(body: &mut PortBody<E>, _: &Arc<Outlet<E>>, mut left: Vec<E>, _: &Arc<Life>) {
        left.extend(body.depot.end());
        body.depot.lose(left);
    }
}
