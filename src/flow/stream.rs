//! Streams: the events of a flow, a stage or a port as an iterator, on whatever thread takes them.
//!
//! A stream is a consumer without a thread: an inbox, subscriptions, and the round of every other consumer, run by whoever
//! calls `next`. It guarantees what a consumer does: at most `max_demand` events are asked for and not yet taken, and what
//! was drawn and not taken goes back to its lane. It sees no notifications.

use super::graph::{GraphState, Stopper};
use super::launch::{Launch, Start};
use crate::error::{BadOption, CancelReason, ExitReason, SpawnError, StageError, SubscribeError};
use crate::link::{Cancel, Inbox, Link, Mailbox, Outlet, Round, Subscribe, Subscriber};
use crate::runtime::Runtime;
use crate::stage::{Declared, Event, Handle, Never, Nudge, Order, Upstream, puller};
use crate::sync::{Arc, Latch, Patience, Wait, not_from_guarded_code, thread};
use crate::{Name, Port};
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

/// Events as an iterator: a pipeline inside an ordinary `for` loop. From [`Flow::stream`](crate::Flow::stream),
/// [`Handle::stream`], [`Port::stream`], or [`stream`] for several producers.
///
/// **Waiting.** [`next`](Iterator::next) blocks the calling thread until an event, or the end, is there; it holds no lock
/// meanwhile. The end is `None`, for good: every producer is done, or one failed, as its [`Cancel`] mode says, or the
/// stream was told to end by its [`stopper`](Self::stopper).
///
/// **Demand.** Nothing is asked for before the first `next`. From then on at most `max_demand` events are asked for and not
/// taken yet; an event counts as handled when the loop comes back for the next one.
///
/// **Failure.** A permanent producer (the default) that fails ends the stream behind what it had emitted, as a transient one
/// does; a temporary one is as if it were done. The loop sees an end; [`finish`](Self::finish) tells whether it was a good
/// one. The failure of a flow that nobody asks for so is [reported](crate::runtime::Telemetry::Unheard), by default in a
/// line on stderr.
///
/// **Dropping** it early cancels. What was drawn and not taken goes back to the head of its lane, for the next consumer (of a
/// broadcast it is discarded and counted); producers go on. The stages of a flow, which are the stream's own, end, and the
/// drop waits for them at most 5 s, as that of a [`Graph`](crate::Graph) does: one that is still busy then is left behind and
/// [reported](crate::runtime::Telemetry::LeftBehind). Dropping it in a panic stops them and does not wait; to a producer that
/// is a consumer that failed.
///
/// **In another flow.** A stream may be taken from on any thread, one at a time, so it may be the iterator of
/// [`from_iter`](crate::from_iter), as it is or inside adaptors. There it also ends when that source is told to end. In
/// any other callback of a stage it does not, as nothing interrupts a callback; end it by its [`stopper`](Self::stopper). A
/// stage that takes its own events waits for ever.
///
/// A source made of a stream is done when the stream ends, also by a failure. To have that fail as well, ask:
///
/// ```
/// let mut inner = drawgate::from_iter(["1", "x"]).try_map(|s| Ok(s.parse::<i32>()?)).name("parse").stream()?;
/// let outer = drawgate::source(move |out| {
///     let stopper = inner.stopper();
///     out.stop_token().on_stop(move || stopper.stop_intake()); // while this waits for the next
///     for n in &mut inner {
///         out.emit(n * 2)?;
///     }
///     Ok(inner.finish()?)
/// });
/// let failed = outer.name("double").collect().run().unwrap_err();
/// assert_eq!(failed.to_string(), "stage `double`: stage `parse`: invalid digit found in string");
/// # anyhow::Ok(())
/// ```
#[must_use = "a stream asks for nothing until it is taken from, and dropping it cancels"]
pub struct Stream<E: Send + 'static> {
    inbox: Inbox<E, Never>,
    /// What was drawn and not taken yet.
    slice: VecDeque<E>,
    /// Through which link, and how many they were.
    drawn: Option<(usize, usize)>,
    /// The stages of a flow; of other streams none.
    graph: Arc<GraphState>,
    /// Whether a closed intake is its end.
    intake: bool,
    /// The failure of a producer that ended it.
    failed: Option<StageError>,
    /// Whether somebody asked how it ended.
    asked: bool,
    name: Name,
    id: u64,
    runtime: Runtime,
}

impl<E: Send + 'static> Stream<E> {
    fn new(runtime: Runtime, intake: bool) -> Self {
        not_from_guarded_code(); // it subscribes where that code runs
        let mail = Arc::new(Mailbox::new(Latch::new(runtime.awake())));
        let id = runtime.next_id();
        Self {
            inbox: Inbox::new(mail.clone(), runtime.clock().clone(), Patience::new(Wait::default())),
            slice: VecDeque::new(),
            drawn: None,
            graph: GraphState::new(Some(mail)),
            intake,
            failed: None,
            asked: false,
            name: Name::from(format!("stream-{id}")),
            id,
            runtime,
        }
    }

    fn open(runtime: Runtime, declared: Vec<Declared<E>>) -> Result<Self, SubscribeError> {
        for Declared { options, .. } in &declared {
            check(options)?;
        }
        let mut stream = Self::new(runtime, true);
        let found = declared.into_iter().map(|declared| Ok(((declared.upstream)(&stream.runtime)?, declared.options)));
        for (outlet, options) in found.collect::<Result<Vec<_>, SubscribeError>>()? {
            stream.subscribe(outlet, &options)?;
        }
        Ok(stream)
    }

    /// Starts the stages of a flow. `above` is what those started last are called, `intake` says that they are somebody
    /// else's.
    pub(super) fn of_flow(
        runtime: Runtime,
        start: Start<E>,
        above: Option<Name>,
        options: &Subscribe<E>,
        intake: bool,
    ) -> Result<Self, SpawnError> {
        let mut stream = Self::new(runtime, intake);
        let name = stream.name.clone();
        let cannot = |cause| SpawnError::Subscribe { stage: name.clone(), cause };
        check(options).map_err(|cause| cannot(cause.into()))?;
        let mut launch = Launch { runtime: stream.runtime.clone(), graph: Some(stream.graph.clone()) };
        let mut over = false;
        let started = start(&mut launch, above).and_then(|outlets| {
            outlets.into_iter().try_for_each(|outlet| match stream.subscribe(outlet, options) {
                // It ended before anybody could ask it for anything.
                Err(SubscribeError::Ended { stage, reason }) => {
                    let why = reason.map_or(CancelReason::NoProducer, CancelReason::Down);
                    over |= stream.is_over_without(&stage, options.cancel, &why);
                    Ok(())
                }
                subscribed => subscribed.map_err(cannot),
            })
        });
        match started {
            Ok(()) => {
                if over {
                    stream.leave();
                }
                Ok(stream)
            }
            Err(cause) => {
                stream.asked = true;
                stream.leave();
                stream.graph.give_up();
                Err(cause)
            }
        }
    }

    fn subscribe(&mut self, outlet: Arc<Outlet<E>>, options: &Subscribe<E>) -> Result<(), SubscribeError> {
        let who = Subscriber { name: &self.name, id: self.id, latch: self.inbox.mail.latch() };
        let link = Link::new(outlet, options, who)?;
        self.inbox.links.push(link);
        Ok(())
    }

    /// Waits for the end of what feeds it, and says whether it was a good one: `Ok` unless there was a failure. Called early
    /// it cancels, as a drop does.
    ///
    /// Blocks until every stage of the flow has ended, as [`Graph::join`](crate::Graph::join) does; a stream of anything
    /// else waits for nobody.
    ///
    /// # Errors
    /// Of a flow, the first failure; after it the other stages get 5 s to stop, and those that do not are named in the error
    /// and go on. Of other streams, the failure of the producer that ended it.
    ///
    /// ```
    /// let mut numbers = drawgate::from_iter(["1", "2", "x"]).try_map(|s| Ok(s.parse::<i32>()?)).name("parse").stream()?;
    /// let sum: i32 = numbers.by_ref().sum();
    /// assert_eq!(sum, 3);
    /// assert_eq!(numbers.finish().unwrap_err().to_string(), "stage `parse`: invalid digit found in string");
    /// # anyhow::Ok(())
    /// ```
    pub fn finish(mut self) -> Result<(), StageError> {
        self.asked = true;
        self.leave();
        self.graph.order(&Order::Close);
        self.graph.outcome()?;
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Ends it from elsewhere, as from a thread that waits for signals. [`stop_intake`](Stopper::stop_intake) closes the
    /// sources of a flow, and what is inside still comes; a stream of anything else ends at its next draw, and the producer
    /// goes on. [`stop_now`](Stopper::stop_now) stops every stage of a flow, and ends any stream at its next draw. A `next`
    /// that waits is woken by either; of what was drawn already nothing is lost.
    ///
    /// ```
    /// use drawgate::prelude::*;
    /// let port = Port::bounded(8).spawn()?;
    /// let events = port.stream()?;
    /// let stopper = events.stopper();
    /// port.push(1)?;
    /// let taken: Vec<i32> = events.inspect(|_| stopper.stop_now()).collect();
    /// assert_eq!(taken, [1]);
    /// assert!(port.try_push(2).is_ok()); // the port goes on
    /// # anyhow::Ok(())
    /// ```
    pub fn stopper(&self) -> Stopper {
        Stopper(self.graph.clone())
    }

    /// Ends all subscriptions; what was not taken goes back.
    fn leave(&mut self) {
        if let Some((link, _)) = self.drawn.take() {
            let rest = Vec::from(std::mem::take(&mut self.slice));
            self.inbox.give_back(link, rest, 0);
        }
        let why = match &self.failed {
            Some(failed) => CancelReason::Down(failed.reason.clone()),
            None => CancelReason::Cancelled,
        };
        self.inbox.leave_all(self.failed.is_some() || thread::panicking(), &why);
    }

    /// A producer is there no more: whether that is the end, though there are others.
    fn is_over_without(&mut self, producer: &Name, cancel: Cancel, why: &CancelReason) -> bool {
        if matches!(why, CancelReason::Down(ExitReason::Done)) {
            return false;
        }
        let Some(reason) = cancel.ends_with(producer, why) else { return false };
        if reason.is_failure() {
            self.failed.get_or_insert_with(|| StageError::new(producer.clone(), reason));
        }
        true
    }

    /// In the iterator of a source: what that is told wakes this.
    fn listen(&self) {
        if let Some(source) = puller() {
            let mail: Arc<dyn Nudge> = self.inbox.mail.clone();
            source.pulls_from(&mail);
        }
    }

    /// Whether it was told to end.
    fn is_stopped(&self) -> bool {
        if let Some(source) = puller().filter(|source| source.ordered().is_some()) {
            source.nudge.nudge(); // which may not have come yet: the source must not take this for an end of its own
            return true;
        }
        match self.graph.ordered() {
            Some(Order::Stop(_)) => true,
            Some(Order::Close) => self.intake,
            None => false,
        }
    }

    /// Draws the next slice, and takes its first event.
    #[inline(never)]
    fn draw(&mut self) -> Option<E> {
        not_from_guarded_code();
        if let Some((link, n)) = self.drawn.take() {
            self.inbox.handled(link, n);
        }
        self.listen();
        while !self.inbox.links.is_empty() {
            match self.inbox.next(None, None) {
                Round::Slice(link) => {
                    self.drawn = Some((link, self.inbox.buffer.len()));
                    // The storage goes back and forth: no copy, no allocation.
                    let used = Vec::from(std::mem::take(&mut self.slice));
                    self.slice = VecDeque::from(std::mem::replace(&mut self.inbox.buffer, used));
                    return self.slice.pop_front();
                }
                Round::Mail => {
                    drop(self.inbox.mail.take());
                    if self.is_stopped() {
                        self.leave();
                    }
                }
                Round::Ended(link, why) => {
                    let link = self.inbox.remove(link);
                    if self.is_over_without(link.outlet.name(), link.demand.cancel, &why) {
                        self.leave();
                    }
                }
                Round::Note(_) | Round::Told(_) => {}
            }
        }
        None
    }
}

impl<E: Send + 'static> Iterator for Stream<E> {
    type Item = E;

    /// Takes the next event; blocks until there is one, or the end. Woken by an event, the end of a producer, a stop.
    #[inline]
    fn next(&mut self) -> Option<E> {
        match self.slice.pop_front() {
            None => self.draw(),
            event => event,
        }
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.slice.len(), None)
    }
}
impl<E: Send + 'static> FusedIterator for Stream<E> {}

impl<E: Send + 'static> Drop for Stream<E> {
    fn drop(&mut self) {
        self.leave();
        if !self.asked {
            self.graph.abandon(&self.runtime);
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Stream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let producers: Vec<_> = self.inbox.links.iter().map(|link| link.outlet.name()).collect();
        f.debug_struct("Stream").field("producers", &producers).finish_non_exhaustive()
    }
}

fn check<E>(options: &Subscribe<E>) -> Result<(), BadOption> {
    options.check()?;
    match options.manual {
        true => Err(BadOption::new("manual", "left out of a stream, which asks by itself", "set")),
        false => Ok(()),
    }
}

/// A stream over several producers, each with options of its own. What comes from each is in its order; between them it is
/// taken in turn, where events stand.
///
/// ```
/// use drawgate::prelude::*;
/// let (urgent, bulk) = (Port::bounded(8).spawn()?, Port::bounded(100).spawn()?);
/// let jobs = drawgate::stream().subscribe_to(&urgent).subscribe_to_with(&bulk, Subscribe::new().max_demand(2)).open()?;
/// bulk.push_all(vec![1, 2, 3]).map_err(|e| e.kind())?;
/// urgent.push(10)?;
/// urgent.close();
/// bulk.close();
/// assert_eq!(jobs.sum::<i32>(), 16); // ends when both are done
/// # anyhow::Ok(())
/// ```
pub fn stream<E: Send + 'static>() -> StreamBuilder<E> {
    StreamBuilder { declared: Vec::new(), runtime: None }
}

/// A [`Stream`] before it is opened. Made by [`stream`].
///
/// ```
/// use drawgate::SubscribeError;
/// let refused = drawgate::stream::<u32>().subscribe_to("nobody").open();
/// assert!(matches!(refused, Err(SubscribeError::NoProducer { .. })));
/// ```
#[must_use = "a builder does nothing until `open`"]
pub struct StreamBuilder<E> {
    declared: Vec<Declared<E>>,
    runtime: Option<Runtime>,
}

impl<E: Send + 'static> StreamBuilder<E> {
    /// Subscribes when it is opened, with the defaults. To a handle, a port, or a name.
    pub fn subscribe_to<U: Upstream<E> + ?Sized>(self, to: &U) -> Self {
        self.subscribe_to_with(to, Subscribe::new())
    }

    /// The same with options. Not [`manual`](Subscribe::manual) ones: a stream asks by itself.
    pub fn subscribe_to_with<U: Upstream<E> + ?Sized>(mut self, to: &U, options: Subscribe<E>) -> Self {
        self.declared.push(Declared { upstream: to.resolve().0, options });
        self
    }

    /// Where names are looked up, and whose clock, in tests, knows that it waits. Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Makes the subscriptions. Of no producers, the stream is at its end.
    ///
    /// # Errors
    /// An option is out of range, a name is unknown, or a producer has ended or refuses: then there is no subscription.
    pub fn open(self) -> Result<Stream<E>, SubscribeError> {
        Stream::open(self.runtime.unwrap_or_else(|| Runtime::global().clone()), self.declared)
    }
}

impl<E> fmt::Debug for StreamBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamBuilder").field("producers", &self.declared.len()).finish_non_exhaustive()
    }
}

impl<In: 'static, Out, S: 'static> Handle<In, Out, S> {
    /// Its events as an iterator, with default demand; dropping that cancels, and the stage goes on. For options, and for
    /// several producers, see [`stream`].
    ///
    /// # Errors
    /// The stage has ended, or its dispatcher refuses.
    ///
    /// ```
    /// let numbers = drawgate::from_iter(1..=4).spawn()?;
    /// let even = drawgate::filter(|n: &i32| n % 2 == 0).subscribe_to(&numbers).spawn()?;
    /// assert_eq!(even.stream()?.collect::<Vec<_>>(), [2, 4]);
    /// # anyhow::Ok(())
    /// ```
    pub fn stream(&self) -> Result<Stream<Out>, SubscribeError>
    where
        Out: Event,
    {
        stream().runtime(&self.0.runtime).subscribe_to(self).open()
    }
}

impl<E: Send + 'static> Port<E> {
    /// Its events as an iterator, with default demand; dropping that cancels, and the port goes on. It ends when the port is
    /// closed and empty. For options, and for several producers, see [`stream`].
    ///
    /// # Errors
    /// The port has ended, or its dispatcher refuses.
    ///
    /// ```
    /// use drawgate::prelude::*;
    /// let port = Port::bounded(8).spawn()?;
    /// port.push_all(vec![1, 2, 3]).map_err(|e| e.kind())?;
    /// let first: Vec<i32> = port.stream()?.take(2).collect(); // what is left stays in the port
    /// port.close();
    /// assert_eq!((first, port.stream()?.collect()), (vec![1, 2], vec![3]));
    /// # anyhow::Ok(())
    /// ```
    pub fn stream(&self) -> Result<Stream<E>, SubscribeError> {
        stream().runtime(&self.0.runtime).subscribe_to(self).open()
    }
}
