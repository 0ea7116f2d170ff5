//! Handles to running stages.

use super::context::Context;
use super::current;
use super::kind::Behaviour;
use super::life::{Life, Order};
use super::run::{Letter, Running};
use super::subscription::Subscription;
use super::upstream::Upstream;
use crate::Name;
use crate::error::{CallError, ExitReason, StageError, SubscribeError};
use crate::link::{DemandMode, Link, Mailbox, Notification, Outlet, Subscribe, Subscriber};
use crate::runtime::StageStats;
use crate::sync::chan::{Sender, bounded};
use crate::sync::{Arc, Clock, Deadline, Latch};
use std::any::Any;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use std::{convert::Infallible, fmt};

/// How long `call` waits unless told.
const CALL: Duration = Duration::from_secs(5);

/// The event type of the side that a stage does not have: a consumer emits `Nothing`, a producer takes `Nothing`.
///
/// It has no values and is not `Send`, so no method that needs an event type accepts it: a wrong graph does not compile.
///
/// ```
/// use drawgate::{Handle, Nothing};
///
/// let numbers: Handle<Nothing, u32> = drawgate::from_iter(1..=3).spawn()?; // draws nothing
/// let sum: Handle<u32, Nothing, u32> = drawgate::fold(0, |sum, n| *sum += n).spawn()?; // emits nothing
/// sum.subscribe(&numbers)?; // the other way round would not compile
/// assert_eq!(sum.finish()?, 6);
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
pub struct Nothing(#[allow(dead_code, reason = "it is there to have no values")] Infallible, PhantomData<*const ()>);

/// Anything that can be an event: what is `Send` and borrows nothing. [`Nothing`] is the one type that stands for none.
///
/// ```
/// use drawgate::stage::{Event, Subscription, Upstream};
/// use drawgate::{Handle, SubscribeError, prelude::*};
///
/// /// For whatever emits an `E`, and whatever takes one.
/// fn one_by_one<E: Event, Out, S>(
///     consumer: &Handle<E, Out, S>,
///     producer: &impl Upstream<E>,
/// ) -> Result<Subscription, SubscribeError> {
///     consumer.subscribe_with(producer, Subscribe::new().max_demand(1))
/// }
///
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// one_by_one(&sum, &numbers)?;
/// assert_eq!(sum.finish()?, 6);
/// # anyhow::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "this stage does not have that side: its event type there is `{Self}`",
    label = "needs a stage that has this side",
    note = "a consumer emits nothing, a producer draws nothing: `Nothing` is the event type of the side that is not there",
    note = "who draws stands on the left: `consumer.subscribe(&producer)`"
)]
pub trait Event: Send + 'static {}
#[diagnostic::do_not_recommend]
impl<E: Send + 'static> Event for E {}

/// A running stage, whatever its types: what lists and monitors hold. A cheap clone; dropping it stops nothing.
///
/// ```
/// use drawgate::{StageRef, prelude::*};
///
/// let words = Port::<String>::bounded(8).spawn()?;
/// let numbers = Port::<u32>::bounded(8).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&numbers).spawn()?;
/// let stages: [StageRef; 3] = [(*words).clone(), (*numbers).clone(), (*sum).clone()];
/// for stage in &stages {
///     stage.request_stop(ExitReason::Shutdown);
/// }
/// for stage in &stages {
///     stage.join()?;
/// }
/// assert!(stages.iter().all(|stage| matches!(stage.exit_reason(), Some(ExitReason::Shutdown))));
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct StageRef(pub(crate) Arc<Life>);

impl StageRef {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.0.name
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        !self.0.has_ended()
    }

    /// Why it ended, if it has.
    pub fn exit_reason(&self) -> Option<ExitReason> {
        self.0.reason()
    }

    /// Asks it to stop with this reason, and waits at most `limit` for its end. It stops between two callbacks; what it
    /// had not drawn stays with its producers, what stands in its lanes is still delivered. Stopping a stopped stage is
    /// fine.
    ///
    /// # Errors
    /// [`CallError::Timeout`] names it if it does not stop within the limit, which goes on; [`CallError::Cycle`] if it
    /// waits for the caller.
    pub fn stop(&self, reason: ExitReason, limit: Duration) -> Result<(), CallError> {
        self.request_stop(reason);
        let _waiting =
            current::wait_for(vec![(self.0.id, self.0.name.clone())], &Arc::default()).map_err(CallError::Cycle)?;
        match self.0.wait(Clock::Real.after(limit)) {
            Some(_) => Ok(()),
            None => Err(CallError::Timeout { stage: self.0.name.clone(), after: limit }),
        }
    }

    /// Asks it to stop, and does not wait.
    pub fn request_stop(&self, reason: ExitReason) {
        self.0.order(Order::Stop(reason));
    }

    /// Waits for its end. `Ok` unless it failed.
    ///
    /// # Errors
    /// The failure; or, called by the stage itself, that this would never end.
    pub fn join(&self) -> Result<(), StageError> {
        match self.wait_end(Deadline::NEVER)? {
            Some(reason) if reason.is_failure() => Err(StageError::new(self.0.name.clone(), reason)),
            Some(_) | None => Ok(()),
        }
    }

    /// Waits at most `limit` for its end; the reason, if it came.
    ///
    /// # Errors
    /// Called by the stage itself, or by one that it waits for: that this would never end.
    pub fn join_timeout(&self, limit: Duration) -> Result<Option<ExitReason>, StageError> {
        self.wait_end(Clock::Real.after(limit))
    }

    pub(crate) fn wait_end(&self, deadline: Deadline) -> Result<Option<ExitReason>, StageError> {
        let _waiting = current::wait_for(vec![(self.0.id, self.0.name.clone())], &Arc::default())
            .map_err(|ring| StageError::new(self.0.name.clone(), ExitReason::error(CallError::Cycle(ring))))?;
        Ok(self.0.wait(deadline))
    }

    /// A channel that gets the reason when the stage ends, at once if it has.
    pub fn monitor(&self) -> crossbeam_channel::Receiver<ExitReason> {
        let (tell, told) = bounded(1);
        self.0.monitor(tell);
        told
    }

    /// Its figures; answers also while the stage is stuck.
    pub fn stats(&self) -> StageStats {
        StageStats::of(&self.0)
    }
}

impl fmt::Debug for StageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.0.kind, self.0.name)
    }
}

/// Leaves calls with a stage whatever its own type is: the one place where a stage's state is erased.
trait Post<Out, S>: Send + Sync {
    fn post(&self, letter: Closure<Out, S>) -> bool;
}
type Closure<Out, S> = Box<dyn FnOnce(&mut S, &mut Context<'_, Out>) -> anyhow::Result<()> + Send>;

impl<K: Behaviour> Post<K::Out, K::State> for Mailbox<Letter<K>> {
    fn post(&self, letter: Closure<K::Out, K::State>) -> bool {
        Mailbox::post(self, Box::new(move |running: &mut Running<K>| running.with_state(letter))).is_ok()
    }
}

struct Erased<Out, S>(Arc<dyn Post<Out, S>>);
impl<Out: 'static, S: 'static> Post<Out, ()> for Erased<Out, S> {
    fn post(&self, letter: Closure<Out, ()>) -> bool {
        self.0.post(Box::new(move |_, ctx| letter(&mut (), ctx)))
    }
}

/// Adds a link to a stage that draws.
pub(crate) trait Takes<E: Send + 'static>: Send + Sync {
    fn latch(&self) -> &Arc<Latch>;
    /// Gives the link back if the stage has ended.
    fn add(&self, link: Link<E>) -> bool;
}
impl<K: Behaviour> Takes<K::Feed> for Mailbox<Letter<K>> {
    fn latch(&self) -> &Arc<Latch> {
        Mailbox::latch(self)
    }
    fn add(&self, link: Link<K::Feed>) -> bool {
        Mailbox::post(self, Box::new(move |running: &mut Running<K>| running.add_link(link))).is_ok()
    }
}

/// A stage's [`Takes`] with the event type forgotten: an `Arc<dyn Takes<In>>`, for a stage that draws.
pub(crate) type AnyTakes = Arc<dyn Any + Send + Sync>;

pub(crate) fn any_takes<K: Behaviour>(mail: &Arc<Mailbox<Letter<K>>>) -> AnyTakes {
    let takes: Arc<dyn Takes<K::Feed>> = mail.clone();
    Arc::new(takes)
}

/// The side of a stage that draws `E`.
pub(crate) struct Intake<'a, E> {
    life: &'a Arc<Life>,
    takes: &'a Arc<dyn Takes<E>>,
}

impl<'a, E: Send + 'static> Intake<'a, E> {
    /// Nothing if the stage draws something else.
    pub(crate) fn of(life: &'a Arc<Life>, takes: &'a AnyTakes) -> Option<Self> {
        Some(Self { life, takes: takes.downcast_ref()? })
    }

    pub(crate) fn subscribe<U: Upstream<E> + ?Sized>(
        &self,
        to: &U,
        options: &Subscribe<E>,
    ) -> Result<Subscription, SubscribeError> {
        let outlet = (to.resolve().0)(&self.life.runtime)?;
        self.add(Link::new(outlet, options, self.subscriber())?)
    }

    pub(crate) fn resubscribe<U: Upstream<E> + ?Sized>(
        &self,
        old: &Subscription,
        to: &U,
        options: &Subscribe<E>,
    ) -> Result<Subscription, SubscribeError> {
        let outlet = (to.resolve().0)(&self.life.runtime)?;
        if old.outlet.address() == Arc::as_ptr(&outlet).cast() {
            return self.add(Link::replacing(old.id, outlet, options, self.subscriber())?);
        }
        let new = self.add(Link::new(outlet, options, self.subscriber())?)?;
        old.outlet.replace(old.id, self.life.id);
        Ok(new)
    }

    fn subscriber(&self) -> Subscriber<'_> {
        Subscriber { name: &self.life.name, id: self.life.id, latch: self.takes.latch() }
    }

    fn add(&self, link: Link<E>) -> Result<Subscription, SubscribeError> {
        let subscription = Subscription::new(link.sub, &link.outlet);
        match self.takes.add(link) {
            true => Ok(subscription),
            false => Err(SubscribeError::Ended { stage: self.life.name.clone(), reason: self.life.reason() }),
        }
    }
}

/// What spawning gives, before it is a handle.
pub(crate) struct HandleParts<K: Behaviour> {
    pub(crate) life: Arc<Life>,
    pub(crate) mail: Arc<Mailbox<Letter<K>>>,
    pub(crate) outlet: Option<Arc<Outlet<K::Emit>>>,
}
impl<K: Behaviour> HandleParts<K> {
    pub(crate) fn into_handle(self) -> Handle<K::In, K::Out, K::State> {
        Handle {
            stage: self.life.to_ref(),
            takes: any_takes::<K>(&self.mail),
            post: self.mail,
            outlet: self.outlet.map(|outlet| outlet as Arc<dyn Any + Send + Sync>),
            ends: PhantomData,
        }
    }
}

/// A running stage that takes `In`, emits `Out` and has state `S` (`()` for closures). A cheap clone; dropping it stops
/// nothing. Derefs to [`StageRef`].
///
/// ```
/// use drawgate::prelude::*;
/// struct App {
///     sum: Handle<u64, drawgate::Nothing, u64>, // takes u64, emits nothing, its state is a u64
/// }
/// let numbers = drawgate::from_iter(0..5_u64).spawn()?;
/// let app = App { sum: drawgate::fold(0, |sum, n: u64| *sum += n).subscribe_to(&numbers).spawn()? };
/// assert_eq!(app.sum.finish()?, 10);
/// # anyhow::Ok(())
/// ```
pub struct Handle<In, Out, S = ()> {
    stage: StageRef,
    post: Arc<dyn Post<Out, S>>,
    takes: AnyTakes,
    /// An `Arc<Outlet<Out>>`, for a stage that emits.
    outlet: Option<Arc<dyn Any + Send + Sync>>,
    ends: PhantomData<fn(In) -> Out>,
}

impl<In, Out, S> Clone for Handle<In, Out, S> {
    fn clone(&self) -> Self {
        Self {
            stage: self.stage.clone(),
            post: self.post.clone(),
            takes: self.takes.clone(),
            outlet: self.outlet.clone(),
            ends: PhantomData,
        }
    }
}
impl<In, Out, S> fmt::Debug for Handle<In, Out, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.stage)
    }
}
impl<In, Out, S> Deref for Handle<In, Out, S> {
    type Target = StageRef;
    fn deref(&self) -> &StageRef {
        &self.stage
    }
}

// The bounds stand on the methods, where the compiler can say what is wrong when they do not hold.
impl<In, Out, S> Handle<In, Out, S> {
    /// Subscribes with the defaults; see [`subscribe_with`](Self::subscribe_with).
    ///
    /// # Errors
    /// Why not; then the stage is as it was.
    pub fn subscribe<U: Upstream<In> + ?Sized>(&self, to: &U) -> Result<Subscription, SubscribeError>
    where
        In: Event,
    {
        self.subscribe_with(to, Subscribe::new())
    }

    /// Draws from a handle, a port, or a name from now on. Does not wait for this stage, which asks for its first events
    /// when its callback returns.
    ///
    /// # Errors
    /// Why not; then the stage is as it was.
    pub fn subscribe_with<U: Upstream<In> + ?Sized>(
        &self,
        to: &U,
        options: Subscribe<In>,
    ) -> Result<Subscription, SubscribeError>
    where
        In: Event,
    {
        self.intake().subscribe(to, &options)
    }

    /// Puts a subscription in the place of another one of this stage, which is cancelled, whatever its cancel mode, and
    /// not mourned. To the same producer it is one step: no event is dispatched between, and a partition is not free for a
    /// moment; of a broadcast, events that stood for the old one are discarded and counted. If the old one is unknown or has ended, this is [`subscribe_with`](Self::subscribe_with).
    ///
    /// ```
    /// use drawgate::prelude::*;
    /// let (first, second) = (Port::bounded(8).spawn()?, Port::bounded(8).spawn()?);
    /// let all = drawgate::fold(Vec::new(), |all, n: u32| all.push(n)).spawn()?;
    /// let old = all.subscribe(&first)?;
    /// all.resubscribe(&old, &second, Subscribe::new())?;
    /// first.push(1)?; // stays there
    /// second.push(2)?;
    /// second.close();
    /// assert_eq!(all.finish()?, [2]);
    /// assert_eq!(first.port_stats().size, 1);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// Why not; then the stage is as it was, with the old subscription.
    pub fn resubscribe<U: Upstream<In> + ?Sized>(
        &self,
        old: &Subscription,
        to: &U,
        options: Subscribe<In>,
    ) -> Result<Subscription, SubscribeError>
    where
        In: Event,
    {
        self.intake().resubscribe(old, to, &options)
    }

    fn intake(&self) -> Intake<'_, In>
    where
        In: Event,
    {
        Intake::of(&self.stage.0, &self.takes).expect("bug: a stage that takes events can be given links")
    }
}

impl<In, Out: Send + 'static, S> Handle<In, Out, S> {
    pub(crate) fn outlet(&self) -> Arc<Outlet<Out>> {
        let outlet = self.outlet.clone().expect("bug: a stage that emits has an outlet");
        outlet.downcast().expect("bug: the outlet of a stage has its event type")
    }

    /// Says something to every consumer, after exactly the events emitted so far. Needs no demand, survives discards.
    /// Returns once it has its place. Never blocks.
    ///
    /// # Errors
    /// [`CallError::Ended`] if the stage has ended.
    pub fn notify(&self, note: &Notification) -> Result<(), CallError> {
        if let Some(reason) = self.stage.0.reason() {
            return Err(CallError::Ended { stage: self.stage.name().clone(), reason: Some(reason) });
        }
        self.outlet().notify(note);
        Ok(())
    }

    /// Holds demand back, or lets it through; GenStage's `demand/2`. With [`DemandMode::Accumulate`] consumers go on asking,
    /// but the stage hears nothing of it and nothing is drawn. Back at [`DemandMode::Forward`] it gets a `handle_demand` for
    /// each rise of demand that was held back, in their order (what was asked for and taken back meanwhile is not among
    /// them). Never blocks.
    ///
    /// ```
    /// use drawgate::{prelude::*, stage::DemandMode};
    /// let numbers = drawgate::producer(Numbers(0)).demand_mode(DemandMode::Accumulate).spawn()?;
    /// let first = drawgate::fold(0, |n, _: u64| *n += 1).subscribe_to(&numbers).spawn()?;
    /// let second = drawgate::fold(0, |n, _: u64| *n += 1).subscribe_to(&numbers).spawn()?;
    /// numbers.set_demand_mode(DemandMode::Forward)?; // both are there
    /// assert_eq!(first.finish()? + second.finish()?, 2000);
    ///
    /// struct Numbers(u64);
    /// impl Producer for Numbers {
    ///     type Event = u64;
    ///     fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
    ///         ctx.extend((self.0..2000).take(demand));
    ///         self.0 += demand as u64;
    ///         if self.0 >= 2000 {
    ///             ctx.done();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::Ended`] if the stage has ended.
    pub fn set_demand_mode(&self, mode: DemandMode) -> Result<(), CallError> {
        if let Some(reason) = self.stage.0.reason() {
            return Err(CallError::Ended { stage: self.stage.name().clone(), reason: Some(reason) });
        }
        self.outlet().switch(mode);
        Ok(())
    }

    /// Whether demand is held back at present.
    pub fn demand_mode(&self) -> DemandMode {
        self.outlet().mode()
    }

    /// How many events stand in its lanes, or before them.
    pub fn buffered(&self) -> usize {
        self.outlet().figures().standing
    }
}

impl<In, Out: 'static, S: 'static> Handle<In, Out, S> {
    /// Runs `f` on the stage's thread, between two callbacks, and waits at most 5 s for its value. What it emits is handed
    /// down before the value comes back.
    ///
    /// # Errors
    /// See [`call_timeout`](Self::call_timeout).
    pub fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut S, &mut Context<'_, Out>) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.call_timeout(CALL, f)
    }

    /// The same with a limit of its own.
    ///
    /// # Errors
    /// The limit passed (the closure may still run, its value is dropped); the stage ended, before or meanwhile; the stage
    /// waits for the caller. A panic in `f` ends the stage.
    pub fn call_timeout<R: Send + 'static>(
        &self,
        limit: Duration,
        f: impl FnOnce(&mut S, &mut Context<'_, Out>) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.ask_for(limit, true, move |state, ctx, reply| {
            let value = f(state, ctx);
            if let Some(emitter) = &mut ctx.emitter {
                (emitter.hand_down)(emitter);
            }
            reply.send(value);
        })
    }

    /// Runs `f` on the stage's thread; the value may be sent later, and from elsewhere, through the [`Reply`].
    ///
    /// # Errors
    /// As `call_timeout`; and [`CallError::ReplyDropped`] if the reply was dropped.
    pub fn call_deferred<R: Send + 'static>(
        &self,
        limit: Duration,
        f: impl FnOnce(&mut S, Reply<R>, &mut Context<'_, Out>) + Send + 'static,
    ) -> Result<R, CallError> {
        self.ask_for(limit, false, move |state, ctx, reply| f(state, reply, ctx))
    }

    fn ask_for<R: Send + 'static>(
        &self,
        limit: Duration,
        at_once: bool,
        f: impl FnOnce(&mut S, &mut Context<'_, Out>, Reply<R>) + Send + 'static,
    ) -> Result<R, CallError> {
        let life = &self.stage.0;
        let ended = || CallError::Ended { stage: life.name.clone(), reason: life.reason() };
        let waiting =
            current::wait_for(vec![(life.id, life.name.clone())], &Arc::default()).map_err(CallError::Cycle)?;
        let (tell, told) = bounded(1);
        let reply = Reply { waiting: waiting.clone(), tell };
        let begun = Arc::new(AtomicBool::new(false));
        let begins = begun.clone();
        let letter = move |state: &mut S, ctx: &mut Context<'_, Out>| {
            // ORDERING: Relaxed: read after the reply's end, which is a message of this thread's.
            begins.store(true, Relaxed);
            f(state, ctx, reply);
            Ok(())
        };
        if !self.post.post(Box::new(letter)) {
            return Err(ended());
        }
        let lost = || match !at_once && begun.load(Relaxed) {
            true => CallError::ReplyDropped { stage: life.name.clone() },
            false => ended(),
        };
        let late = || CallError::Timeout { stage: life.name.clone(), after: limit };
        use crossbeam_channel::{RecvTimeoutError, TryRecvError};
        if at_once {
            // The stage runs the letter or drops it: either is heard here.
            return told.recv_timeout(limit).map_err(|e| match e {
                RecvTimeoutError::Timeout => late(),
                RecvTimeoutError::Disconnected => lost(),
            });
        }
        // A reply that somebody keeps may outlive the stage.
        crossbeam_channel::select! {
            recv(told) -> value => value.map_err(|_| lost()),
            recv(life.gone()) -> _ => told.try_recv().map_err(|e| match e {
                TryRecvError::Empty => ended(),
                TryRecvError::Disconnected => lost(),
            }),
            default(limit) => Err(late()),
        }
    }

    /// Runs `f` on the stage's thread, between two callbacks, and does not wait. Nothing if the stage has ended.
    pub fn cast(&self, f: impl FnOnce(&mut S, &mut Context<'_, Out>) + Send + 'static) {
        self.post.post(Box::new(move |state, ctx| {
            f(state, ctx);
            Ok(())
        }));
    }

    /// Waits for the stage's end and gives its state back: to the first who asks.
    ///
    /// # Errors
    /// The failure it ended with; or that there is no state to give: somebody has it, or it was made on the stage's own
    /// thread (`consumer_with` and its like) and stays there.
    pub fn finish(self) -> Result<S, StageError>
    where
        S: Send,
    {
        self.stage.join()?;
        let failed = |cause: NoState| StageError::new(self.stage.name().clone(), ExitReason::error(cause));
        let state = self.stage.0.take_state().ok_or_else(|| failed(NoState))?;
        state.downcast().map(|state| *state).map_err(|_| failed(NoState))
    }

    /// For stages of a flow, whose input is taken.
    pub(crate) fn fed(self) -> Handle<Nothing, Out, S> {
        Handle { stage: self.stage, post: self.post, takes: self.takes, outlet: self.outlet, ends: PhantomData }
    }

    /// Forgets the type of the state, so that handles of different stages can be kept together. `finish` of it gives no
    /// state.
    pub fn erase(self) -> Handle<In, Out> {
        Handle {
            stage: self.stage,
            post: Arc::new(Erased(self.post)),
            takes: self.takes,
            outlet: self.outlet,
            ends: PhantomData,
        }
    }
}

/// There is no state for `finish`.
#[derive(Clone, Copy, Debug)]
struct NoState;
impl fmt::Display for NoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its state was given to somebody already, or was made on the stage's own thread and stayed there")
    }
}
impl std::error::Error for NoState {}

/// Answers a deferred call. Dropping it without sending is [`CallError::ReplyDropped`] for the caller.
///
/// ```
/// use drawgate::{prelude::*, stage::Reply};
/// use std::time::Duration;
///
/// let port = Port::bounded(8).spawn()?;
/// let next = drawgate::fold(None, |waiting: &mut Option<Reply<u32>>, n| {
///     if let Some(reply) = waiting.take() {
///         reply.send(n);
///     }
/// });
/// let next = next.subscribe_to(&port).spawn()?;
/// let limit = Duration::from_secs(5);
/// let answer = next.call_deferred(limit, move |waiting, reply, _| {
///     *waiting = Some(reply); // the stage goes on: the next event is the answer
///     let _ = port.push(7);
/// })?;
/// assert_eq!(answer, 7);
/// # anyhow::Ok(())
/// ```
#[must_use]
pub struct Reply<R> {
    // Dropped first: from the answer on nobody waits.
    waiting: current::Waiting,
    tell: Sender<R>,
}
impl<R> Reply<R> {
    /// Sends the value; from any thread. Nothing if the caller waits no more.
    pub fn send(self, value: R) {
        drop(self.waiting);
        let _ = self.tell.send(value);
    }
}
impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(..)")
    }
}
