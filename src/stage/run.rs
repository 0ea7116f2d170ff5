//! Starts a stage's thread and runs it: rounds, callbacks, the end.
//!
//! Guarantees: callbacks run one at a time, on the stage's thread, under no lock; a panic in one is the stage's end and
//! nobody else's. Order of an end: the mailbox closes, the name is given up, `terminate` runs, the first failure is
//! recorded, subscriptions and the outlet end, then monitors and `join` hear of it.

use super::alarms::Alarms;
use super::builder::{Builder, Declared, Keep};
use super::context::{Common, Context, Emitter};
use super::current;
use super::handle::{HandleParts, any_takes};
use super::kind::{Behaviour, HandleOf, Kind};
use super::life::{Doing, Figures, Life, Order, Sending};
use super::traits::{Init, Peer, PeerSide};
use super::{Events, Subscription};
use crate::error::{CancelReason, ExitReason, SpawnError};
use crate::link::{Cancel, Hooks, Inbox, Link, Mailbox, News, Options, Outlet, OwnSide, Round, Side, Subscriber};
use crate::runtime::Telemetry;
use crate::sync::chan::{Sender, bounded};
use crate::sync::{Arc, Clock, Latch, Patience, drop_each, isolate, not_from_guarded_code, thread};
use crate::timer::{Due, TimerId};
use std::any::Any;

/// A letter to a stage.
pub(crate) type Letter<K> = Box<dyn FnOnce(&mut Running<K>) -> anyhow::Result<()> + Send>;

/// Everything on a stage's thread.
pub(crate) struct Running<K: Behaviour> {
    body: K::Body,
    pub(crate) inbox: Inbox<K::Feed, Letter<K>>,
    pub(crate) emitter: Option<Emitter<K::Emit>>,
    pub(crate) common: Common,
    /// What was not taken of a slice, while a callback handles it.
    rest: Vec<K::Feed>,
    /// Whether a producer of it was done.
    one_was_done: bool,
}

impl<K: Behaviour> Running<K> {
    /// Runs a callback, hands over what it emitted, applies what it asked for. A failure is the stage's end.
    fn callback<R>(
        &mut self,
        doing: Doing,
        f: impl FnOnce(&mut K::Body, &mut Context<'_, K::Out>) -> anyhow::Result<R>,
    ) -> Result<R, ExitReason> {
        self.common.life.figures.set_doing(doing);
        let ran = isolate(|| {
            let mut ctx = Context { emitter: K::out(self.emitter.as_mut()), common: &mut self.common };
            let ran = f(&mut self.body, &mut ctx);
            if let Some(emitter) = self.emitter.as_mut().filter(|_| ran.is_ok()) {
                emitter.flush();
            }
            ran
        });
        self.after_callback(ran)
    }

    fn after_callback<R>(&mut self, ran: Result<anyhow::Result<R>, Arc<str>>) -> Result<R, ExitReason> {
        for (subscription, n) in self.common.asks.drain(..) {
            self.inbox.ask(subscription.id, subscription.outlet.address(), n);
        }
        let reason = match ran {
            Ok(Ok(r)) => return Ok(r),
            Ok(Err(cause)) => match self.common.life.ordered() {
                Some(Order::Stop(reason)) if cause.is::<GaveUp>() => reason,
                _ => reason_of(cause),
            },
            Err(message) => ExitReason::Panic(message),
        };
        if let Some(emitter) = &mut self.emitter {
            emitter.abandon();
        }
        Err(reason)
    }

    /// Runs a closure of a call or cast.
    pub(crate) fn with_state(
        &mut self,
        f: impl FnOnce(&mut K::State, &mut Context<'_, K::Out>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut ctx = Context { emitter: K::out(self.emitter.as_mut()), common: &mut self.common };
        f(K::state(&mut self.body), &mut ctx)
    }

    /// A slice: its callback, and what becomes of it if that fails.
    fn slice(&mut self, link: usize) -> Result<(), ExitReason> {
        let mut slice = std::mem::take(&mut self.inbox.buffer);
        let n = slice.len();
        let subscription = {
            let link = &self.inbox.links[link];
            Subscription::new(link.sub, &link.outlet)
        };
        let mut whole = false;
        self.common.life.figures.set_doing(Doing::HandleEvents);
        let ran = isolate(|| {
            let events = Events::new(&mut slice, &mut self.rest, &mut whole, &subscription);
            let mut ctx = Context { emitter: K::out(self.emitter.as_mut()), common: &mut self.common };
            let ran = K::events(&mut self.body, events, &mut ctx);
            if let Some(emitter) = self.emitter.as_mut().filter(|_| ran.is_ok()) {
                emitter.flush();
            }
            ran
        });
        let ran = match ran {
            Ok(Ok(())) if !self.common.leaves_rest => drop_each(self.rest.drain(..)).map(Ok),
            failed => failed,
        };
        let gave_up = matches!(&ran, Ok(Err(cause)) if cause.is::<GaveUp>());
        let figures = &self.common.life.figures;
        Figures::add(&figures.events_in, n as u64);
        Figures::add(&figures.slices, 1);
        let ran = self.after_callback(ran);
        match &ran {
            Ok(()) if self.common.leaves_rest => self.inbox.give_back(link, std::mem::take(&mut self.rest), 0),
            Ok(()) => {
                slice.clear();
                self.inbox.buffer = slice;
                self.inbox.handled(link, n);
            }
            Err(_) => {
                let rest = std::mem::take(&mut self.rest);
                let lost = match whole {
                    _ if gave_up => 0,
                    true => n - rest.len(),
                    false => usize::from(rest.len() < n),
                };
                if lost > 0 {
                    self.common.life.report(&Telemetry::Lost { stage: &self.common.life.name, count: lost });
                }
                self.inbox.give_back(link, rest, lost);
            }
        }
        ran
    }

    /// A subscription ended: says so, then does what its cancel mode says.
    fn link_ended(&mut self, link: usize, why: &CancelReason) -> Result<(), ExitReason> {
        let link = self.inbox.remove(link);
        let (producer, cancel) = (link.outlet.name().clone(), link.demand.cancel);
        let peer = peer_of(&link);
        drop(link);
        self.callback(Doing::HandleCancel, |body, ctx| K::cancelled(body, &peer, why, ctx))?;
        self.unlinked(&producer, cancel, why)
    }

    /// What a consumer does without a producer it had: once one was done, the last to go, for whatever reason, is its end.
    fn unlinked(&mut self, producer: &crate::Name, cancel: Cancel, why: &CancelReason) -> Result<(), ExitReason> {
        match why {
            CancelReason::Down(ExitReason::Done) => self.one_was_done = true,
            CancelReason::Replaced => return Ok(()),
            why => {
                if let Some(reason) = cancel.ends_with(producer, why) {
                    self.common.finish.get_or_insert(reason);
                }
            }
        }
        if self.one_was_done && self.inbox.links.is_empty() && self.common.finish.is_none() {
            self.callback(Doing::HandleDone, |body, ctx| K::done(body, ctx))?;
            self.common.finish.get_or_insert(ExitReason::Done);
        }
        Ok(())
    }

    pub(crate) fn add_link(&mut self, link: Link<K::Feed>) -> anyhow::Result<()> {
        let peer = peer_of(&link);
        self.inbox.links.push(link);
        self.callback(Doing::HandleSubscribe, |body, ctx| K::subscribed(body, &peer, ctx))
            .map_err(|reason| Ended(reason).into())
    }

    /// A timer of the stage's own is due.
    fn alarm(&mut self, id: TimerId) -> anyhow::Result<()> {
        let Common { alarms, life, .. } = &mut self.common;
        if alarms.due(id, &life.runtime)? {
            self.callback(Doing::HandleTimer, |body, ctx| K::timer(body, id, ctx)).map_err(Ended)?;
        }
        Ok(())
    }

    /// Runs what has come in the mail, and looks at orders.
    pub(crate) fn mail(&mut self) -> Result<(), ExitReason> {
        let mut letters = self.inbox.mail.take().into_iter();
        let read = letters.try_for_each(|letter| self.read(letter));
        let _ = drop_each(letters); // after a failure: callers in them hear that by their replies' end
        read?;
        match self.common.life.ordered() {
            Some(Order::Stop(reason)) => Err(reason),
            Some(Order::Close) if K::SIDE == Some(Side::Port) => {
                if let Some(emitter) = &self.emitter {
                    emitter.outlet.close();
                }
                Ok(())
            }
            Some(Order::Close) if self.inbox.is_intake && !self.inbox.links.is_empty() => {
                self.inbox.leave_all(false, &CancelReason::Cancelled);
                self.callback(Doing::HandleDone, |body, ctx| K::done(body, ctx))?;
                Err(ExitReason::Done)
            }
            // A stage that is fed by others ends when they do; one that is not, now.
            Some(Order::Close) if self.inbox.links.is_empty() && self.emitter.is_some() => Err(ExitReason::Done),
            Some(Order::Close) | None => Ok(()),
        }
    }

    fn read(&mut self, letter: Letter<K>) -> Result<(), ExitReason> {
        self.common.life.figures.set_doing(Doing::Call);
        let ran = isolate(|| {
            letter(self)?;
            if let Some(emitter) = &mut self.emitter {
                emitter.flush();
            }
            anyhow::Ok(())
        });
        self.after_callback(ran)?;
        self.common.finish.take().map_or(Ok(()), Err)
    }

    /// News of the stage's own outlet.
    pub(crate) fn told(&mut self, told: crate::link::Told) -> Result<(), ExitReason> {
        if let Some(reason) = told.fault {
            return Err(reason);
        }
        if let Some(emitter) = &mut self.emitter {
            emitter.granted += told.granted;
        }
        for news in told.news {
            let Some(emitter) = &self.emitter else { break };
            let outlet = emitter.outlet.clone();
            let peer = |note: crate::link::PeerNote| Peer {
                name: note.name,
                subscription: Subscription::new(note.sub, &outlet),
                demand: note.demand,
                side: PeerSide::Consumer,
                extra: note.extra,
            };
            match news {
                News::Subscribed(note) => {
                    let (sub, peer) = (note.sub, peer(note));
                    self.callback(Doing::HandleSubscribe, |body, ctx| K::subscribed(body, &peer, ctx))?;
                    outlet.confirm(sub);
                }
                News::Cancelled(note, why) => {
                    let peer = peer(note);
                    self.callback(Doing::HandleCancel, |body, ctx| K::cancelled(body, &peer, &why, ctx))?;
                }
            }
        }
        if told.abandoned && self.inbox.ends_abandoned {
            return Err(ExitReason::Done);
        }
        Ok(())
    }

    /// Waits for the next thing to do.
    pub(crate) fn next(&mut self) -> Round {
        let told = self.emitter.as_mut().and_then(|emitter| emitter.told.take());
        let own = self.emitter.as_ref().map(|emitter| &*emitter.outlet as &dyn OwnSide);
        self.inbox.next(own, told)
    }
}

/// Leaves a letter with a stage when a timer of it is due.
struct Rings<K: Behaviour>(Arc<Mailbox<Letter<K>>>);
impl<K: Behaviour> Due for Rings<K> {
    fn due(&self, token: u64) {
        let _ = self.0.post(Box::new(move |running: &mut Running<K>| running.alarm(TimerId(token)))); // if it has ended, it is over
    }
}

fn peer_of<E: Send + 'static>(link: &Link<E>) -> Peer {
    Peer {
        name: link.outlet.name().clone(),
        subscription: Subscription::new(link.sub, &link.outlet),
        demand: link.demand,
        side: PeerSide::Producer,
        extra: link.extra.clone(),
    }
}

/// The rounds of a stage with callbacks.
pub(crate) fn rounds<K: Behaviour>(running: &mut Running<K>) -> ExitReason {
    loop {
        if let Some(reason) = running.common.finish.take() {
            return reason;
        }
        // Mail first: a producer that is asked for more each time it emits would never read any.
        let granted = match running.inbox.mail.is_waiting() {
            true => 0,
            false => running.emitter.as_mut().map_or(0, |emitter| std::mem::take(&mut emitter.granted)),
        };
        let ran = if granted > 0 && K::SIDE == Some(Side::Grants) {
            running.callback(Doing::HandleDemand, |body, ctx| K::demand(body, granted, ctx))
        } else {
            match running.next() {
                Round::Mail => running.mail(),
                Round::Slice(link) => running.slice(link),
                Round::Note(note) => running.callback(Doing::HandleNotification, |body, ctx| K::note(body, &note, ctx)),
                Round::Ended(link, why) => running.link_ended(link, &why),
                Round::Told(told) => running.told(told),
            }
        };
        if let Err(reason) = ran {
            return reason;
        }
    }
}

/// Passes a reason through `anyhow`, for letters.
#[derive(Debug)]
struct Ended(ExitReason);
impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}
impl std::error::Error for Ended {}

/// What a callback of the library's own returns when it stops waiting because its stage is being stopped: no failure, and
/// nothing was in its hand.
#[derive(Debug)]
pub(crate) struct GaveUp;
impl std::fmt::Display for GaveUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stage was stopped")
    }
}
impl std::error::Error for GaveUp {}

fn reason_of(cause: anyhow::Error) -> ExitReason {
    match cause.downcast::<Ended>() {
        Ok(Ended(reason)) => reason,
        Err(cause) => ExitReason::error(cause),
    }
}

/// What a stage begins with, made by the thread that spawns it and taken along to its own.
struct Seed<K: Behaviour> {
    make: super::builder::Make<K::Body>,
    mail: Arc<Mailbox<Letter<K>>>,
    outlet: Option<Arc<Outlet<K::Emit>>>,
    life: Arc<Life>,
    declared: Vec<Declared<K::Feed>>,
    keep: Option<Keep<K::State>>,
    patience: Patience,
    ends_abandoned: bool,
    is_intake: bool,
}

/// Starts a stage: returns when `init` has succeeded, or says why not; then nothing is left of it.
pub(crate) fn spawn<K: Behaviour>(builder: Builder<K>) -> Result<HandleOf<K>, SpawnError> {
    start(builder).map(|parts| parts.into_handle())
}

/// Says once that a panic ends the whole program, where it was built so.
#[cfg(panic = "abort")]
fn warn_of_abort() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        use std::io::Write;
        let line = "drawgate: built with panic = \"abort\": a panic in a stage ends the program, not the stage";
        let _ = writeln!(std::io::stderr(), "{line}");
    });
}

pub(crate) fn start<K: Behaviour>(builder: Builder<K>) -> Result<HandleParts<K>, SpawnError> {
    #[cfg(panic = "abort")]
    warn_of_abort();
    not_from_guarded_code(); // the stage may subscribe where that code runs
    let runtime = builder.runtime.unwrap_or_else(|| crate::Runtime::global().clone());
    let id = runtime.next_id();
    let name = builder.name.unwrap_or_else(|| crate::Name::from(format!("{}-{id}", builder.default_name)));
    if let Some(cause) = builder.bad {
        return Err(SpawnError::BadOption { stage: name, cause });
    }
    let latch = Latch::new(runtime.awake());
    let mail = Arc::new(Mailbox::<Letter<K>>::new(latch.clone()));
    let outlet = K::SIDE.map(|side| {
        let on_discard = builder.emit.on_discard;
        let (rt, stage) = (runtime.clone(), name.clone());
        let hooks = Hooks {
            on_discard: on_discard
                .unwrap_or_else(|| Box::new(move |count| rt.report(&Telemetry::Discarded { stage: &stage, count }))),
            weigh: builder.emit.weigh,
        };
        let options = Options {
            name: name.clone(),
            side,
            dispatcher: builder.emit.dispatcher.unwrap_or_else(|| Box::new(crate::dispatch::DemandDispatcher::new())),
            bound: builder.emit.bound.unwrap_or(match side {
                Side::Gate => None,
                Side::Grants | Side::Port => Some(super::builder::BUFFER),
            }),
            keep: builder.emit.keep,
            hold_until: builder.emit.hold_until,
            mode: builder.emit.mode,
            weighed: hooks.weigh.is_some(),
            news: builder.emit.news,
        };
        if let Err(cause) = options.dispatcher.check() {
            return Err(SpawnError::BadOption { stage: name.clone(), cause });
        }
        Ok(Outlet::new(options, hooks, &latch, runtime.awake()))
    });
    let outlet = outlet.transpose()?;
    let sending = outlet.clone().map(|outlet| outlet as Arc<dyn Sending>);
    let life = Life::new(id, name.clone(), runtime.clone(), builder.kind, mail.clone(), sending, builder.watchers);
    let named = builder.named;
    if named {
        let emits = outlet.clone().map(|outlet| outlet as Arc<dyn Any + Send + Sync>);
        let handle = HandleParts::<K> { life: life.clone(), mail: mail.clone(), outlet: outlet.clone() }.into_handle();
        runtime.registry().reserve(&name, &life, Arc::new(handle), emits)?;
    }
    let seed = Seed::<K> {
        make: builder.make,
        mail: mail.clone(),
        outlet: outlet.clone(),
        life: life.clone(),
        declared: builder.declared,
        keep: builder.keep,
        patience: Patience::new(builder.wait),
        ends_abandoned: builder.ends_abandoned,
        is_intake: builder.is_intake,
    };
    let (started, begun) = bounded(1);
    let awake = runtime.awake().guard();
    let spawned = thread::spawn(name.to_string(), builder.stack_size, move || {
        awake.enter();
        let _awake = awake;
        run(seed, &started);
    });
    if let Err(cause) = spawned {
        runtime.registry().remove(&name, id);
        life.end(ExitReason::Shutdown, None); // somebody may have found the name taken, and wait for its holder's end
        return Err(SpawnError::Thread { stage: name, cause });
    }
    let parts = HandleParts { life: life.clone(), mail, outlet };
    let after = builder.start_timeout;
    let outcome = match after {
        None => begun.recv().ok(),
        Some(after) => match begun.recv_timeout(after) {
            Ok(outcome) => Some(outcome),
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => None,
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {
                life.order(Order::Stop(ExitReason::Shutdown));
                return Err(SpawnError::Timeout { stage: name, after });
            }
        },
    };
    match outcome.expect("bug: a stage's thread always says how it began") {
        Ok(()) => Ok(parts),
        Err(e) => Err(e),
    }
}

/// The whole of a stage's thread.
fn run<K: Behaviour>(seed: Seed<K>, started: &Sender<Result<(), SpawnError>>) {
    let Seed { make, mail, outlet, life, declared, keep, patience, ends_abandoned, is_intake } = seed;
    let name = life.name.clone();
    let registry = life.runtime.registry().clone();
    current::set(&life);
    let cannot = |cause: anyhow::Error| SpawnError::Init { stage: name.clone(), cause };
    let give_up = |error: SpawnError, reason: ExitReason| {
        let _ = drop_each(mail.close());
        registry.remove(&name, life.id);
        if let Some(outlet) = &outlet {
            let _ = drop_each(outlet.end(reason.clone()));
        }
        life.end(reason, None);
        life.tell_watchers();
        let _ = started.send(Err(error)); // room for one; whoever spawned may have given up waiting
    };
    let body = match isolate(|| {
        life.runtime.thread_started(&name);
        make()
    }) {
        Ok(Ok(body)) => body,
        Ok(Err(cause)) => return give_up(cannot(cause), ExitReason::Shutdown),
        Err(message) => return give_up(cannot(anyhow::anyhow!("panicked: {message}")), ExitReason::Panic(message)),
    };
    let mut inbox = Inbox::new(mail.clone(), life.runtime.clock().clone(), patience);
    inbox.waited = life.figures.waited.clone();
    inbox.ends_abandoned = ends_abandoned;
    inbox.is_source = K::SOURCE;
    inbox.is_intake = is_intake;
    let alarms = Alarms::new(Arc::new(Rings::<K>(mail.clone())));
    let takes = any_takes::<K>(&mail);
    let common = Common { life: life.clone(), takes, finish: None, leaves_rest: false, asks: Vec::new(), alarms };
    let emitter = outlet.clone().map(Emitter::new);
    let mut running = Running { body, inbox, emitter, common, rest: Vec::new(), one_was_done: false };
    match running.callback(Doing::Init, |body, ctx| K::init(body, ctx)) {
        Ok(Init::Ready) => {}
        Ok(Init::Decline) => return give_up(SpawnError::Declined { stage: name.clone() }, ExitReason::Shutdown),
        Err(ExitReason::Error(cause)) => {
            let reason = ExitReason::error(anyhow::anyhow!("{cause:#}"));
            // Nobody else has it yet: whoever spawned gets it as it was.
            let cause = Arc::try_unwrap(cause).unwrap_or_else(|cause| anyhow::anyhow!("{cause:#}"));
            return give_up(cannot(cause), reason);
        }
        Err(reason) => return give_up(cannot(anyhow::anyhow!("{reason}")), reason),
    }
    // Declared subscriptions: one that is impossible fails the start; a producer that is not there counts as a cancel.
    let who = Subscriber { name: &name, id: life.id, latch: mail.latch() };
    let mut lost = Vec::new();
    for declared in declared {
        let cancel = declared.options.cancel;
        let linked = (declared.upstream)(&life.runtime).and_then(|outlet| Link::new(outlet, &declared.options, who));
        match linked {
            Ok(link) => match running.add_link(link) {
                Ok(()) => {}
                Err(cause) => {
                    let reason = reason_of(cause);
                    let _ = isolate(|| K::terminate(&mut running.body, &reason));
                    running.inbox.leave_all(true, &CancelReason::Down(reason.clone()));
                    return give_up(cannot(anyhow::anyhow!("{reason}")), reason);
                }
            },
            Err(cause) => match cause {
                crate::SubscribeError::NoProducer { name: producer } => {
                    lost.push((producer, cancel, CancelReason::NoProducer));
                }
                crate::SubscribeError::Ended { stage, reason } => {
                    let why = reason.map_or(CancelReason::NoProducer, CancelReason::Down);
                    lost.push((stage, cancel, why));
                }
                cause => {
                    let _ = isolate(|| K::terminate(&mut running.body, &ExitReason::Shutdown));
                    running.inbox.leave_all(false, &CancelReason::Cancelled);
                    return give_up(SpawnError::Subscribe { stage: name.clone(), cause }, ExitReason::Shutdown);
                }
            },
        }
    }
    // A port is published by whoever starts it, as something that can be pushed into.
    if K::SIDE != Some(Side::Port) {
        registry.publish(&name, life.id);
    }
    let _ = life.figures.started.set(Clock::Real.now());
    life.runtime.enter(&life);
    let _ = started.send(Ok(()));
    for (producer, cancel, why) in lost {
        if let Err(reason) = running.unlinked(&producer, cancel, &why) {
            running.common.finish.get_or_insert(reason);
        }
    }
    let reason = match isolate(|| K::main(&mut running)) {
        Ok(reason) => reason,
        Err(message) => ExitReason::Panic(message),
    };
    end(running, reason, keep);
}

/// The end of a stage.
fn end<K: Behaviour>(running: Running<K>, mut reason: ExitReason, keep: Option<Keep<K::State>>) {
    let Running { mut body, mut inbox, emitter, mut common, rest, .. } = running;
    common.alarms.clear(&common.life.runtime);
    let life = common.life;
    let _ = drop_each(inbox.mail.close()); // callers in it hear that by their replies' end
    let _ = drop_each(rest);
    let _ = drop_each(std::mem::take(&mut inbox.buffer));
    life.runtime.registry().remove(&life.name, life.id);
    life.token.stop();
    life.figures.set_doing(Doing::Terminate);
    match isolate(|| K::terminate(&mut body, &reason)) {
        Err(message) if !reason.is_failure() => reason = ExitReason::Panic(message),
        Ok(()) | Err(_) => {}
    }
    life.ending(&reason);
    inbox.leave_all(reason.is_failure(), &CancelReason::Down(reason.clone()));
    if let Some(emitter) = emitter {
        let left = match K::SIDE {
            Some(Side::Port) => emitter.outlet.end_port(reason.clone(), matches!(reason, ExitReason::Done)),
            _ => emitter.outlet.end(reason.clone()),
        };
        if inbox.ends_abandoned && !reason.is_failure() {
            // A step of a flow that nobody wants more of, as above a `take`: counted, and no news.
            emitter.outlet.count_lost(left.len());
            let _ = drop_each(left);
        } else {
            K::left(&mut body, &emitter.outlet, left, &life);
        }
    }
    let state = isolate(|| match keep {
        Some(keep) => Some(keep(K::into_state(body))),
        None => {
            drop(body);
            None
        }
    });
    let _ = life.figures.ended.set(Clock::Real.now());
    life.runtime.leave(&life);
    let told = life.end(reason.clone(), state.unwrap_or_default());
    life.report(&Telemetry::Ended { stage: &life.name, reason: &reason, told });
    life.tell_watchers();
    current::clear();
}

impl<K: Behaviour> Running<K> {
    pub(crate) fn body(&mut self) -> &mut <K as Kind>::Body {
        &mut self.body
    }
}
