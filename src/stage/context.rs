//! What a callback can do: its last argument.

use super::alarms::{Alarms, Doorbell};
use super::handle::{AnyTakes, Intake};
use super::life::{Life, Order};
use super::{Event, Nothing, StageRef, StopToken, Subscribe, Subscription, Upstream};
use crate::error::{ExitReason, SubscribeError, TimerError};
use crate::link::{DemandMode, Notification, Outlet, Staged, Told};
use crate::runtime::{Runtime, Telemetry};
use crate::sync::{Arc, drop_each};
use crate::timer::TimerId;
use std::fmt;
use std::time::Duration;

/// The stage's own surroundings, given to every callback. `Out` is what the stage emits: for a consumer it is
/// [`Nothing`], and the methods that emit are not there.
///
/// ```
/// use drawgate::prelude::*;
///
/// struct UpTo(u32);
/// impl ProducerConsumer for UpTo {
///     type In = u32;
///     type Out = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
///         for event in events {
///             if event > self.0 {
///                 ctx.done(); // when this callback returns
///                 break;
///             }
///             ctx.emit(event);
///         }
///         Ok(())
///     }
/// }
///
/// let numbers = drawgate::from_iter(1..).spawn()?; // for ever
/// let few = drawgate::producer_consumer(UpTo(3)).subscribe_to(&numbers).spawn()?;
/// assert_eq!(few.stream()?.collect::<Vec<_>>(), [1, 2, 3]);
/// # numbers.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
pub struct Context<'a, Out = Nothing> {
    pub(crate) emitter: Option<&'a mut Emitter<Out>>,
    pub(crate) common: &'a mut Common,
}

/// The part of a context that knows no event type.
pub(crate) struct Common {
    pub(crate) life: Arc<Life>,
    pub(crate) takes: AnyTakes,
    /// Set by `done` and `stop`.
    pub(crate) finish: Option<ExitReason>,
    /// Set by a callback of the library's own that ends its stage: what it did not take of its slice goes back.
    pub(crate) leaves_rest: bool,
    pub(crate) asks: Vec<(Subscription, usize)>,
    pub(crate) alarms: Alarms,
}

/// Events of callbacks on their way into the stage's outlet.
pub(crate) struct Emitter<E> {
    pub(crate) outlet: Arc<Outlet<E>>,
    staged: Staged<E>,
    slice: usize,
    /// What the last operation said, but for the grants, which are added up here.
    pub(crate) told: Option<Told>,
    pub(crate) granted: usize,
    /// `flush`, for code that does not know that events are `Send`.
    pub(crate) hand_down: fn(&mut Self),
}

impl<E: Send + 'static> Emitter<E> {
    pub(crate) fn new(outlet: Arc<Outlet<E>>) -> Self {
        let slice = outlet.tell(false).slice;
        Self { outlet, staged: Staged::default(), slice, told: None, granted: 0, hand_down: Self::flush }
    }

    #[inline]
    fn emit(&mut self, event: E) {
        self.outlet.stage(event, &mut self.staged);
        if self.staged.len() >= self.slice {
            self.flush();
        }
    }

    /// A chunk at a time: to ask for each event whether the chunk is full costs as much as a cheap callback.
    #[inline]
    fn extend(&mut self, mut events: impl Iterator<Item = E>) {
        loop {
            let room = self.slice.saturating_sub(self.staged.len()).max(1);
            self.outlet.stage_all(events.by_ref().take(room), &mut self.staged);
            if self.staged.len() < self.slice {
                return;
            }
            self.flush();
        }
    }

    /// Puts one event into its lane at once; says whether more is wanted.
    #[inline]
    pub(crate) fn emit_now(&mut self, event: E) {
        self.outlet.stage(event, &mut self.staged);
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        if !self.staged.is_empty() {
            let told = self.outlet.emit(&mut self.staged);
            self.note(told);
        }
    }

    /// Keeps what an operation said.
    pub(crate) fn note(&mut self, mut told: Told) {
        self.granted += std::mem::take(&mut told.granted);
        self.slice = told.slice;
        if let Some(earlier) = &mut self.told {
            told.news.splice(..0, std::mem::take(&mut earlier.news));
        }
        self.told = Some(told);
    }

    /// A callback failed: what it emitted and did not flush is lost, and counted.
    pub(crate) fn abandon(&mut self) {
        let lost = self.staged.len();
        if lost > 0 {
            self.outlet.count_lost(lost);
            let _ = drop_each(std::mem::take(&mut self.staged).into_events());
        }
    }
}

impl<Out> Context<'_, Out> {
    /// Ends the stage when this callback returns, with this reason. Its consumers hear it after the events that stand for
    /// them.
    pub fn stop(&mut self, reason: ExitReason) {
        self.common.finish.get_or_insert(reason);
    }

    /// Draws from a handle, a port, or a name from now on, as [`Handle::subscribe_with`](super::Handle::subscribe_with) does from outside: for
    /// a stage that finds its producer, or another one after a loss, by itself. Its `handle_subscribe` comes after this
    /// callback. `E` is what the stage draws.
    ///
    /// ```
    /// use drawgate::{prelude::*, error::CancelReason, stage::{Cancel, Peer}};
    /// struct Follower { sum: u64, next: Port<u64> }
    /// impl Consumer for Follower {
    ///     type Event = u64;
    ///     fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
    ///         self.sum += events.sum::<u64>();
    ///         Ok(())
    ///     }
    ///     fn handle_cancel(&mut self, lost: &Peer, _: &CancelReason, ctx: &mut Context<'_>) -> anyhow::Result<()> {
    ///         if lost.name != *self.next.name() {
    ///             ctx.subscribe(&self.next, Subscribe::new())?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let (first, next) = (Port::bounded(8).spawn()?, Port::bounded(8).spawn()?);
    /// next.push(40)?;
    /// let stays = Subscribe::new().cancel(Cancel::Temporary);
    /// let follower = Follower { sum: 0, next: next.clone() };
    /// let follower = drawgate::consumer(follower).subscribe_to_with(&first, stays).spawn()?;
    /// first.request_stop(ExitReason::Shutdown);
    /// next.push(2)?;
    /// next.close();
    /// assert_eq!(follower.finish()?.sum, 42);
    /// # anyhow::Ok(())
    /// ```
    ///
    /// # Errors
    /// Why not; then the stage is as it was. [`SubscribeError::NotDrawn`] if `E` is not what it draws.
    pub fn subscribe<E: Event, U: Upstream<E> + ?Sized>(
        &mut self,
        to: &U,
        options: Subscribe<E>,
    ) -> Result<Subscription, SubscribeError> {
        self.intake()?.subscribe(to, &options)
    }

    /// The same in the place of another subscription of the stage: see [`Handle::resubscribe`](super::Handle::resubscribe).
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe); then the stage is as it was, with the old subscription.
    pub fn resubscribe<E: Event, U: Upstream<E> + ?Sized>(
        &mut self,
        old: &Subscription,
        to: &U,
        options: Subscribe<E>,
    ) -> Result<Subscription, SubscribeError> {
        self.intake()?.resubscribe(old, to, &options)
    }

    fn intake<E: Event>(&self) -> Result<Intake<'_, E>, SubscribeError> {
        let life = &self.common.life;
        let offered = std::any::type_name::<E>();
        Intake::of(life, &self.common.takes)
            .ok_or_else(|| SubscribeError::NotDrawn { stage: life.name.clone(), offered })
    }

    /// Asks for `n` more events of a subscription with manual demand, when this callback has returned. Asking on one that
    /// has ended is nothing.
    pub fn ask(&mut self, subscription: &Subscription, n: usize) {
        self.common.asks.push((subscription.clone(), n));
    }

    /// Has the stage's `handle_timer` called once, no earlier than `delay` from now, by the runtime's clock; between two other
    /// callbacks, so a stage that is busy hears of it when it no longer is. GenStage's `Process.send_after(self(), ..)`.
    ///
    /// # Errors
    /// The timer is full, or the system refuses it its thread.
    pub fn send_after(&mut self, delay: Duration) -> Result<TimerId, TimerError> {
        let common = &mut *self.common;
        common.alarms.set(delay, None, &common.life.runtime)
    }

    /// The same every so often, at least a millisecond, until it is cancelled or the stage ends. The beat is kept, however
    /// long callbacks take; a stage that is busy for several beats hears of them once.
    ///
    /// # Errors
    /// As [`send_after`](Self::send_after). If the timer is full when the next beat is to be set, the stage fails with that.
    pub fn send_interval(&mut self, every: Duration) -> Result<TimerId, TimerError> {
        let common = &mut *self.common;
        common.alarms.set(every, Some(every), &common.life.runtime)
    }

    /// Takes a timer of this stage back: from now on `handle_timer` is not called for it. False if it has been, or was
    /// cancelled already.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        let common = &mut *self.common;
        common.alarms.cancel(timer, &common.life.runtime)
    }

    /// A bell that any thread can ring, to have `handle_timer` called with [`Doorbell::id`]: for a stage that looks at
    /// something of its own when told to. GenStage's `handle_info`, without the message.
    ///
    /// ```
    /// use drawgate::{prelude::*, stage::{Doorbell, Init, TimerId}};
    /// struct Rung(std::sync::mpsc::Sender<Doorbell>);
    /// impl Producer for Rung {
    ///     type Event = &'static str;
    ///     fn init(&mut self, ctx: &mut Context<'_, &'static str>) -> anyhow::Result<Init> {
    ///         self.0.send(ctx.doorbell())?;
    ///         Ok(Init::Ready)
    ///     }
    ///     fn handle_demand(&mut self, _: usize, _: &mut Context<'_, &'static str>) -> anyhow::Result<()> {
    ///         Ok(())
    ///     }
    ///     fn handle_timer(&mut self, _: TimerId, ctx: &mut Context<'_, &'static str>) -> anyhow::Result<()> {
    ///         ctx.emit("rung");
    ///         Ok(ctx.done())
    ///     }
    /// }
    /// let (give, given) = std::sync::mpsc::channel();
    /// let rung = drawgate::producer(Rung(give)).hold_until(1).spawn()?;
    /// let all = drawgate::fold(Vec::new(), |all, word: &str| all.push(word)).subscribe_to(&rung).spawn()?;
    /// given.recv()?.ring();
    /// assert_eq!(all.finish()?, ["rung"]);
    /// # anyhow::Ok(())
    /// ```
    pub fn doorbell(&mut self) -> Doorbell {
        self.common.alarms.doorbell()
    }

    /// Tells the runtime's handlers of something that went wrong and ends nothing, as a connection that is made anew. Without a
    /// handler it is one line on stderr. See [`Telemetry::Trouble`](crate::runtime::Telemetry::Trouble).
    ///
    /// ```
    /// use drawgate::{Runtime, runtime::Telemetry};
    /// let rt = Runtime::new();
    /// let (tell, told) = std::sync::mpsc::channel();
    /// rt.on_event(move |event| {
    ///     if let Telemetry::Trouble { cause, .. } = event {
    ///         let _ = tell.send(cause.to_string());
    ///     }
    /// });
    /// let stage = drawgate::for_each(|_: u32| ()).runtime(&rt).spawn()?;
    /// stage.call(|_, ctx| ctx.report(&anyhow::anyhow!("no answer, trying again")))?;
    /// assert_eq!(told.recv()?, "no answer, trying again");
    /// # stage.request_stop(drawgate::ExitReason::Normal);
    /// # anyhow::Ok(())
    /// ```
    pub fn report(&self, cause: &anyhow::Error) {
        let life = &self.common.life;
        life.report(&Telemetry::Trouble { stage: &life.name, cause });
    }

    /// Says when the stage is being stopped, for code that blocks elsewhere.
    pub fn stop_token(&self) -> StopToken {
        self.common.life.token.clone()
    }

    /// Whether the stage has been told to stop, or to take in nothing more: for callbacks that take long.
    pub fn is_stopping(&self) -> bool {
        matches!(self.common.life.ordered(), Some(Order::Stop(_) | Order::Close))
    }

    /// The stage itself.
    pub fn me(&self) -> StageRef {
        self.common.life.to_ref()
    }

    /// What it runs in.
    pub fn runtime(&self) -> &Runtime {
        &self.common.life.runtime
    }
}

// The bounds stand on the methods, where the compiler can say what is wrong when they do not hold.
impl<Out> Context<'_, Out> {
    fn emitter(&mut self) -> &mut Emitter<Out> {
        self.emitter.as_mut().expect("bug: a stage that emits has an outlet")
    }

    /// Emits one event. Events of a callback go down in chunks: at each full one, and when it returns.
    #[inline]
    pub fn emit(&mut self, event: Out)
    where
        Out: Event,
    {
        self.emitter().emit(event);
    }

    /// Emits several.
    #[inline]
    pub fn extend(&mut self, events: impl IntoIterator<Item = Out>)
    where
        Out: Event,
    {
        self.emitter().extend(events.into_iter());
    }

    /// How many events its consumers have asked for and were not given, now; what this callback emitted counts as given. For
    /// a producer that finds events later, in a timer or a call: so it need not count what `handle_demand` told it, nor
    /// take off what a consumer that left had asked for.
    ///
    /// ```
    /// use drawgate::prelude::*;
    /// struct Found(Vec<u32>);
    /// impl Producer for Found {
    ///     type Event = u32;
    ///     fn handle_demand(&mut self, _: usize, ctx: &mut Context<'_, u32>) -> anyhow::Result<()> {
    ///         let n = ctx.demand().min(self.0.len());
    ///         ctx.extend(self.0.drain(..n));
    ///         Ok(())
    ///     }
    /// }
    /// let found = drawgate::producer(Found(vec![1])).spawn()?;
    /// let all = drawgate::fold(Vec::new(), |all, n: u32| all.push(n))
    ///     .subscribe_to_with(&found, Subscribe::new().max_demand(3))
    ///     .spawn()?;
    /// let missing = found.call(|found, ctx| {
    ///     found.0.extend([2, 3, 4, 5]);
    ///     found.handle_demand(0, ctx)?;
    ///     ctx.done();
    ///     anyhow::Ok(found.0.len())
    /// })??;
    /// assert!(all.finish()?.len() + missing == 5);
    /// # anyhow::Ok(())
    /// ```
    pub fn demand(&mut self) -> usize
    where
        Out: Event,
    {
        let emitter = self.emitter();
        emitter.flush();
        emitter.outlet.wanted()
    }

    /// Hands over what was emitted so far, before the callback returns.
    pub fn flush(&mut self)
    where
        Out: Event,
    {
        self.emitter().flush();
    }

    /// Says something to every consumer, after exactly the events emitted so far. Needs no demand; survives discards.
    pub fn notify(&mut self, note: &Notification)
    where
        Out: Event,
    {
        let emitter = self.emitter();
        emitter.flush();
        emitter.outlet.notify(note);
    }

    /// See [`Handle::set_demand_mode`](super::Handle::set_demand_mode).
    pub fn set_demand_mode(&mut self, mode: DemandMode)
    where
        Out: Event,
    {
        let emitter = self.emitter();
        emitter.flush();
        emitter.outlet.switch(mode);
    }

    /// No more events: what is in the lanes is still delivered, then consumers hear that this producer is done. The stage
    /// ends with [`ExitReason::Done`] when this callback returns. What stands where nobody is subscribed by then is lost,
    /// and counted: `hold_until`, or a demand that is answered and nothing more, waits for consumers.
    pub fn done(&mut self)
    where
        Out: Event,
    {
        self.stop(ExitReason::Done);
    }
}

impl<Out> fmt::Debug for Context<'_, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context(of {:?})", self.common.life.name)
    }
}
