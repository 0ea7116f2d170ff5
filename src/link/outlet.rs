//! The outlet: the sending half of a stage, one mutex around [`State`](super::state::State).
//!
//! Every operation is one critical section that ends with `settle`; what that decided is done after unlocking: wakes
//! first, then the report of discards, then the drop of what was discarded, so that a `Drop` of the user's that panics
//! eats no wake. An outlet needs no thread of its own: asks and draws go on serving it after its stage has ended.
//!
//! Nothing here blocks but [`Outlet::wait_in_line`].

use super::dispatch::{Choice, Route, Router, SubId};
use super::line::{Denied, Free};
use super::state::{Counts, Drawn, Effects, MarkAs, Options, State, Told, Way};
use super::{DemandMode, Note, Subscribe, Subscriber};
use crate::Name;
use crate::error::{CancelReason, ExitReason, PushError, SubscribeError};
use crate::sync::{Arc, Awake, CachePadded, Clock, Deadline, Latch, Mutex, Patience, Rank, Wait, drop_each, isolate};

/// See the module's page.
pub(crate) struct Outlet<E> {
    /// Rank `Outlet`: never two. Protects everything about lanes, demand and the line.
    state: CachePadded<Mutex<State<E>>>,
    router: Option<Arc<Router<E>>>,
    /// Where the thread of the stage waits.
    owner: Arc<Latch>,
    hooks: Hooks<E>,
    awake: Arc<Awake>,
    name: Name,
}

/// Code that is run after unlocking, or before locking.
pub(crate) struct Hooks<E> {
    pub(crate) on_discard: Box<dyn Fn(usize) + Send + Sync>,
    pub(crate) weigh: Option<Box<Weigh<E>>>,
}
pub(crate) type Weigh<E> = dyn Fn(&E) -> usize + Send + Sync;

impl<E> Default for Hooks<E> {
    fn default() -> Self {
        Self { on_discard: Box::new(|_| ()), weigh: None }
    }
}

/// Events on their way from a callback to the lanes: those of one flush.
pub(crate) struct Staged<E> {
    /// Of outlets without a router.
    chunk: Vec<E>,
    /// Of outlets with one: by lane.
    lanes: Vec<Vec<E>>,
    nowhere: usize,
    len: usize,
    /// A router named something that is not there.
    astray: Option<&'static str>,
    /// How many went there.
    lost: usize,
}

impl<E> Default for Staged<E> {
    fn default() -> Self {
        Self { chunk: Vec::new(), lanes: Vec::new(), nowhere: 0, len: 0, astray: None, lost: 0 }
    }
}

impl<E> Staged<E> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.chunk.len() + self.len
    }
    /// Whether there is anything to tell the outlet.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.len == 0
    }
    pub(crate) fn into_events(self) -> impl Iterator<Item = E> {
        self.chunk.into_iter().chain(self.lanes.into_iter().flatten())
    }
}

/// Where an event goes and what it weighs: found before locking.
#[derive(Clone, Copy)]
pub(crate) struct Routed {
    /// `None`: before the dispatcher.
    lane: Option<usize>,
    weight: usize,
    /// Nowhere: it needs no room, and no delay.
    pub(crate) discard: bool,
}

/// An outlet in figures.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutletFigures {
    pub(crate) standing: usize,
    /// What a push that could go to any lane finds taken.
    pub(crate) fullest: usize,
    pub(crate) demand: usize,
    pub(crate) parked: usize,
    pub(crate) counts: Counts,
    pub(crate) consumers: Vec<(u64, Name)>,
}

impl<E: Send + 'static> Outlet<E> {
    pub(crate) fn new(options: Options<E>, hooks: Hooks<E>, owner: &Arc<Latch>, awake: &Arc<Awake>) -> Arc<Self> {
        let choice = options.dispatcher.choose();
        let name = options.name.clone();
        let state = State::new(options, &choice);
        let router = match choice {
            Choice::Route(router) => Some(router),
            Choice::One(_) | Choice::Place => None,
        };
        let state = CachePadded::new(Mutex::new(Rank::Outlet, state));
        Arc::new(Self { state, router, owner: owner.clone(), hooks, awake: awake.clone(), name })
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// One critical section, and what follows it.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut State<E>, &mut Effects<E>) -> R) -> R {
        let mut fx = Effects::new();
        let mut state = self.state.lock();
        let r = f(&mut state, &mut fx);
        drop(state);
        if fx.owner {
            self.owner.wake();
        }
        fx.wake_all();
        if fx.discarded > 0 || !fx.trash.is_empty() {
            self.after(fx);
        }
        r
    }

    #[cold]
    fn after(&self, fx: Effects<E>) {
        if fx.discarded > 0 {
            let _ = isolate(|| (self.hooks.on_discard)(fx.discarded));
        }
        let _ = drop_each(fx.trash);
    }

    // ---- subscriptions

    pub(crate) fn subscribe(&self, options: &Subscribe<E>, who: Subscriber<'_>) -> Result<SubId, SubscribeError> {
        options.check()?;
        self.with(|state, fx| state.subscribe(options, who, fx))
    }

    pub(crate) fn leave(&self, id: SubId, failed: bool, why: CancelReason) {
        self.with(|state, fx| state.leave(id, failed, why, fx));
    }
    /// A subscription of the same consumer takes the place of another, in one step.
    pub(crate) fn resubscribe(
        &self,
        old: SubId,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
    ) -> Result<SubId, SubscribeError> {
        options.check()?;
        self.with(|state, fx| state.resubscribe(old, options, who, fx))
    }
    /// Cancels a subscription of this consumer, which has another in its place.
    pub(crate) fn replace(&self, id: SubId, consumer: u64) {
        self.with(|state, fx| {
            if state.is_of(id, consumer) {
                state.cancel(id, CancelReason::Replaced, fx);
            }
        });
    }
    pub(crate) fn cancel(&self, id: SubId, why: CancelReason) -> bool {
        self.with(|state, fx| state.cancel(id, why, fx))
    }
    /// The producer has heard of a consumer, which may draw from now on.
    pub(crate) fn confirm(&self, id: SubId) {
        self.with(|state, fx| state.confirm(id, fx));
    }
    pub(crate) fn set_manual(&self, id: SubId, manual: bool) -> bool {
        self.with(|state, fx| state.set_manual(id, manual, fx))
    }
    pub(crate) fn ask(&self, id: SubId, n: usize) -> bool {
        self.with(|state, fx| state.ask(id, n, fx))
    }
    pub(crate) fn is_active(&self, id: SubId) -> bool {
        self.with(|state, _| state.is_active(id))
    }

    // ---- the consumer's side

    #[inline]
    pub(crate) fn draw(&self, id: SubId, ask: usize, max: usize, mark: MarkAs, out: &mut Vec<E>) -> Drawn {
        self.with(|state, fx| state.draw(id, ask, max, mark, out, fx))
    }
    pub(crate) fn report(&self, id: SubId, ask: usize) {
        self.with(|state, fx| state.report(id, ask, fx));
    }
    pub(crate) fn unmark(&self, id: SubId) {
        self.with(|state, fx| state.unmarked(id, fx));
    }
    pub(crate) fn give_back(&self, id: SubId, rest: Vec<E>, lost: usize) {
        let weights: Vec<usize> = match &self.hooks.weigh {
            Some(_) => rest.iter().map(|event| self.weigh(event).unwrap_or(1)).collect(),
            None => Vec::new(),
        };
        self.with(|state, fx| state.give_back(id, rest, &weights, lost, fx));
    }

    // ---- the producer's side

    /// Stages one event; a panic of the router is the caller's.
    #[inline]
    pub(crate) fn stage(&self, event: E, staged: &mut Staged<E>) {
        match &self.router {
            None => staged.chunk.push(event),
            Some(router) => Self::stage_routed(router, event, staged),
        }
    }

    /// Stages several.
    #[inline]
    pub(crate) fn stage_all(&self, events: impl Iterator<Item = E>, staged: &mut Staged<E>) {
        match &self.router {
            None => staged.chunk.extend(events),
            Some(router) => events.for_each(|event| Self::stage_routed(router, event, staged)),
        }
    }

    fn stage_routed(router: &Arc<Router<E>>, event: E, staged: &mut Staged<E>) {
        staged.len += 1;
        match router(&event) {
            Route::Lane(lane) => {
                while staged.lanes.len() <= lane.index() {
                    staged.lanes.push(Vec::new());
                }
                staged.lanes[lane.index()].push(event);
            }
            Route::Discard => staged.nowhere += 1,
            Route::Unknown(what) => {
                staged.astray = Some(what);
                staged.lost += 1;
            }
        }
    }

    /// Hands over what was staged and takes what was granted.
    #[inline]
    pub(crate) fn emit(&self, staged: &mut Staged<E>) -> Told {
        let fault = staged.astray.take().map(|what| ExitReason::error(Astray(what)));
        self.with(|state, fx| {
            match state.way {
                Way::One(lane) => {
                    state.put_chunk(&mut staged.chunk, Some(lane), fx);
                    state.settle(Some(lane), fx);
                }
                Way::Placed => {
                    state.put_chunk(&mut staged.chunk, None, fx);
                    state.settle(None, fx);
                }
                Way::Routed => {
                    for (lane, chunk) in staged.lanes.iter_mut().enumerate().filter(|(_, chunk)| !chunk.is_empty()) {
                        state.grow(lane);
                        state.put_chunk(chunk, Some(lane), fx);
                    }
                    state.put_nowhere(std::mem::take(&mut staged.nowhere), fx);
                    staged.len = 0;
                    if let Some(reason) = fault {
                        state.counts.lost += std::mem::take(&mut staged.lost) as u64;
                        state.fail(reason, fx);
                    }
                    state.settle(None, fx);
                }
            }
            state.tell_along()
        })
    }

    /// What is granted or wanted now, without emitting. With `idle` the producer is marked to be woken for a grant, if there
    /// is none.
    #[inline]
    pub(crate) fn tell(&self, idle: bool) -> Told {
        self.with(|state, _| state.tell(idle))
    }

    /// How many more events consumers want.
    pub(crate) fn wanted(&self) -> usize {
        self.with(|state, _| state.wanted_now())
    }

    /// Holds demand back, or lets it through.
    pub(crate) fn switch(&self, mode: DemandMode) {
        self.with(|state, fx| state.switch(mode, fx));
    }
    pub(crate) fn mode(&self) -> DemandMode {
        self.with(|state, _| state.mode())
    }

    pub(crate) fn notify(&self, note: &Note) {
        self.with(|state, fx| {
            state.notify(note);
            state.settle(None, fx);
        });
    }

    /// Nothing more comes. Returns what nobody is subscribed to take.
    pub(crate) fn end(&self, reason: ExitReason) -> Vec<E> {
        self.with(|state, fx| state.end(reason, fx))
    }

    pub(crate) fn count_lost(&self, n: usize) {
        self.with(|state, _| state.counts.lost += n as u64);
    }

    /// A dispatcher or router failed outside of the lock.
    pub(crate) fn fail(&self, reason: ExitReason) {
        self.with(|state, fx| state.fail(reason, fx));
    }

    // ---- a port's side

    fn weigh(&self, event: &E) -> Result<usize, Arc<str>> {
        match &self.hooks.weigh {
            None => Ok(1),
            Some(weigh) => isolate(|| weigh(event)),
        }
    }

    /// Finds out where an event goes. If that fails, so does the port.
    #[inline]
    pub(crate) fn route(&self, event: &E) -> Result<Routed, ()> {
        if self.router.is_none() && self.hooks.weigh.is_none() {
            return Ok(Routed { lane: None, weight: 1, discard: false });
        }
        self.route_slow(event)
    }

    fn route_slow(&self, event: &E) -> Result<Routed, ()> {
        let routed = self.weigh(event).and_then(|weight| {
            let Some(router) = &self.router else { return Ok(Ok(Routed { lane: None, weight, discard: false })) };
            isolate(|| match router(event) {
                Route::Lane(lane) => Ok(Routed { lane: Some(lane.index()), weight, discard: false }),
                Route::Discard => Ok(Routed { lane: None, weight, discard: true }),
                Route::Unknown(what) => Err(what),
            })
        });
        match routed {
            Ok(Ok(routed)) => Ok(routed),
            Ok(Err(what)) => {
                self.fail(ExitReason::error(Astray(what)));
                Err(())
            }
            Err(message) => {
                self.fail(ExitReason::Panic(message));
                Err(())
            }
        }
    }

    #[inline]
    fn lane_of(state: &mut State<E>, routed: Routed) -> Option<usize> {
        match state.way {
            Way::One(lane) => Some(lane),
            Way::Placed => None,
            Way::Routed => {
                if let Some(lane) = routed.lane {
                    state.grow(lane);
                }
                routed.lane
            }
        }
    }

    /// Lets an event in if there is room: `Full` or `Closed`. `accepted` ones are let in after a close, too.
    #[inline]
    pub(crate) fn enter(&self, event: E, routed: Routed, accepted: bool) -> Result<(), PushError<E>> {
        self.with(|state, fx| {
            let lane = Self::lane_of(state, routed);
            Self::enter_at(state, event, routed, lane, accepted, fx).map_err(|denied| match denied {
                Denied::Full(event) => PushError::Full(event),
                Denied::Closed(event) => PushError::Closed(event),
            })
        })
    }

    #[inline]
    fn enter_at(
        state: &mut State<E>,
        event: E,
        routed: Routed,
        lane: Option<usize>,
        accepted: bool,
        fx: &mut Effects<E>,
    ) -> Result<(), Denied<E>> {
        if !routed.discard {
            return state.enter(event, routed.weight, lane, accepted, fx);
        }
        if Self::refuses(state, accepted) {
            return Err(Denied::Closed(event));
        }
        state.put_nowhere(1, fx);
        fx.trash.push(event);
        state.settle(lane, fx); // it may have been the last of a closed port
        Ok(())
    }

    /// Lets in as many as there is room for, in order, under one lock; `Err` holds the rest, and whether the port is
    /// closed.
    pub(crate) fn enter_all(&self, mut events: std::vec::IntoIter<E>) -> Result<(), (std::vec::IntoIter<E>, E, bool)> {
        self.with(|state, fx| {
            let plain = Routed { lane: None, weight: 1, discard: false };
            let lane = Self::lane_of(state, plain);
            while let Some(event) = events.next() {
                match state.enter(event, 1, lane, false, fx) {
                    Ok(()) => {}
                    Err(Denied::Full(event)) => return Err((events, event, false)),
                    Err(Denied::Closed(event)) => return Err((events, event, true)),
                }
            }
            Ok(())
        })
    }

    /// Whether events find their lane without code of the user's.
    pub(crate) fn is_plain(&self) -> bool {
        self.router.is_none() && self.hooks.weigh.is_none()
    }

    fn refuses(state: &State<E>, accepted: bool) -> bool {
        let closed = !accepted && state.intake.as_ref().is_some_and(|intake| intake.closed);
        closed || state.ended.is_some() || state.fault.is_some()
    }

    /// Enters, or parks in the line until there is room, the port closes or the deadline passes. [`WayIn::Later`] and
    /// [`WayIn::AcceptedLater`] get a place and their event back.
    ///
    /// Blocks the calling thread at a latch of its own. Woken by: `settle` when it moved the entry into the lane, `close`,
    /// the end of the port, the deadline. Holds no lock while it waits.
    pub(crate) fn wait_in_line(
        &self,
        event: E,
        routed: Routed,
        way: WayIn,
        clock: &Clock,
        deadline: Deadline,
    ) -> Result<Option<E>, PushError<E>> {
        self.wait_in_line_until_free(event, routed, way, clock, deadline, &Arc::default())
    }

    /// The same, with a flag that is set by whoever wakes it for room or an end, at once.
    pub(crate) fn wait_in_line_until_free(
        &self,
        event: E,
        routed: Routed,
        way: WayIn,
        clock: &Clock,
        deadline: Deadline,
        free: &Free,
    ) -> Result<Option<E>, PushError<E>> {
        let accepted = matches!(way, WayIn::Accepted | WayIn::AcceptedLater);
        let later = matches!(way, WayIn::Later | WayIn::AcceptedLater) && !routed.discard;
        let latch = Latch::new(&self.awake);
        let (ticket, lane) = {
            let joined = self.with(|state, fx| {
                let lane = Self::lane_of(state, routed);
                let denied = match later {
                    true if Self::refuses(state, accepted) => Err(Denied::Closed(event)),
                    true if state.reserve(lane, routed.weight) => return Ok(Err(Some(event))),
                    true => Err(Denied::Full(event)),
                    false => Self::enter_at(state, event, routed, lane, accepted, fx),
                };
                match denied {
                    Ok(()) => Ok(Err(None)),
                    Err(Denied::Closed(event)) => Err(PushError::Closed(event)),
                    Err(Denied::Full(event)) => {
                        let ticket = state.join(event, routed.weight, lane, Some((&latch, free)), later);
                        Ok(Ok((ticket, lane)))
                    }
                }
            })?;
            match joined {
                Ok(entry) => entry,
                Err(entered) => return Ok(entered),
            }
        };
        let mut patience = Patience::new(Wait::Adaptive);
        loop {
            latch.clear();
            // Predicate: the entry is gone from the line, or the port takes nothing, or the deadline passed.
            let outcome = self.with(|state, fx| {
                if !state.in_line(ticket, lane) {
                    return Some(Ok(state.placed(ticket)));
                }
                let closed = Self::refuses(state, accepted);
                if !closed && !deadline.passed(clock) {
                    return None;
                }
                let event = state.withdraw(ticket, lane, fx).expect("bug: seen in line just now");
                Some(Err(if closed { PushError::Closed(event) } else { PushError::Timeout(event) }))
            });
            match outcome {
                Some(outcome) => return outcome,
                None => patience.wait(&latch, clock, deadline, |_| {}),
            };
        }
    }

    /// An accepted event that was delayed arrives: into its lane, or into the line, where nobody waits for it. Gives it
    /// back if the port has ended.
    pub(crate) fn arrive(&self, event: E, routed: Routed, reserved: bool) -> Result<(), E> {
        self.with(|state, fx| {
            let lane = Self::lane_of(state, routed);
            let entered = if reserved {
                state.take_place(event, routed.weight, lane, fx)
            } else {
                state.pending(-1, fx);
                Self::enter_at(state, event, routed, lane, true, fx)
            };
            match entered {
                Ok(()) => Ok(()),
                Err(Denied::Closed(event)) => Err(event),
                Err(Denied::Full(event)) => {
                    state.join(event, routed.weight, lane, None, false);
                    state.settle(lane, fx);
                    Ok(())
                }
            }
        })
    }

    /// Takes a place in the lane for an event that comes later.
    pub(crate) fn reserve(&self, routed: Routed) -> Reserved {
        self.with(|state, _| {
            if Self::refuses(state, false) {
                return Reserved::Closed;
            }
            let lane = Self::lane_of(state, routed);
            match state.reserve(lane, routed.weight) {
                true => Reserved::Taken,
                false => Reserved::Full,
            }
        })
    }

    pub(crate) fn unreserve(&self, routed: Routed) {
        self.with(|state, fx| {
            let lane = Self::lane_of(state, routed);
            state.unreserve(lane, routed.weight);
            state.settle(lane, fx);
        });
    }

    /// Announces an event, or a carrier, that the port has to wait for; false if it has ended, or, unless `late`, closed.
    pub(crate) fn announce(&self, late: bool) -> bool {
        self.with(|state, fx| {
            if Self::refuses(state, late) {
                return false;
            }
            state.pending(1, fx);
            true
        })
    }

    /// What was announced does not come any more.
    pub(crate) fn recall(&self) {
        self.with(|state, fx| state.pending(-1, fx));
    }

    pub(crate) fn close(&self) {
        self.with(|state, fx| state.close(fx));
    }
    pub(crate) fn is_closed(&self) -> bool {
        self.with(|state, _| state.ended.is_some() || state.intake.as_ref().is_some_and(|intake| intake.closed))
    }

    /// What a port's thread looks at.
    pub(crate) fn intake(&self) -> IntakeSeen {
        self.with(|state, _| IntakeSeen {
            drained: state.is_drained(),
            abandoned_by_failure: state.known && state.consumers == 0 && state.last_failed,
            fault: state.fault.clone(),
        })
    }

    /// Ends a port: everything that is left anywhere, and that nobody is subscribed to take, is given back; parked
    /// pushers come for what is theirs. Unless `drained`, or its dispatcher failed, nothing is drawn any more.
    pub(crate) fn end_port(&self, reason: ExitReason, drained: bool) -> Vec<E> {
        self.with(|state, fx| {
            let mut left = state.end(reason, fx);
            state.wake_line(fx);
            state.empty_lines(&mut left);
            if !drained && state.fault.is_none() {
                state.empty(&mut left);
            }
            state.settle(None, fx);
            left
        })
    }

    // ---- figures

    pub(crate) fn figures(&self) -> OutletFigures {
        self.with(|state, _| OutletFigures {
            standing: state.standing(),
            fullest: state.fullest(),
            demand: state.demand(),
            parked: state.parked(),
            counts: state.counts,
            consumers: state.consumers().map(|(id, name)| (id, name.clone())).collect(),
        })
    }
}

/// How an event comes into a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayIn {
    Now,
    /// It was accepted before, and is let in after a close, too.
    Accepted,
    /// It only takes a place now.
    Later,
    /// Both.
    AcceptedLater,
}

/// See [`Outlet::reserve`].
pub(crate) enum Reserved {
    Taken,
    Full,
    Closed,
}

/// See [`Outlet::intake`].
pub(crate) struct IntakeSeen {
    pub(crate) drained: bool,
    pub(crate) abandoned_by_failure: bool,
    pub(crate) fault: Option<ExitReason>,
}

/// An event was routed to something that is not there.
#[derive(Debug)]
struct Astray(&'static str);
impl std::fmt::Display for Astray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event was routed to an unknown partition: {}", self.0)
    }
}
impl std::error::Error for Astray {}

/// An outlet as its own stage's thread sees it, whatever its events.
pub(crate) trait OwnSide {
    fn tell(&self, idle: bool) -> Told;
}
impl<E: Send + 'static> OwnSide for Outlet<E> {
    fn tell(&self, idle: bool) -> Told {
        Outlet::tell(self, idle)
    }
}
