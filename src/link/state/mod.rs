//! What an outlet's mutex protects: lanes, subscriptions, demand, and `settle`, which decides who is woken.
//!
//! Pure: methods take input and leave what is to be done after unlocking in [`Effects`]. They own no lock, thread or
//! clock. Code of the user's (a dispatcher, a selector, a `Clone`) runs guarded. The protocol and its
//! proof stand in [`super`].

mod grants;
mod settle;
mod subscriptions;

use super::dispatch::{Choice, Dispatcher, LaneId, LaneState, SubId, Targets};
use super::line::{Intake, Line};
use super::queue::{MOST_NOTES, Queue};
use super::{BufferKeep, Demand, DemandMode, Extra, Note, Subscribe};
use crate::Name;
use crate::error::{CancelReason, ExitReason};
use crate::sync::{Arc, Latch};
use grants::Grants;
use std::collections::VecDeque;

/// Chunks are this long while nobody says how long his slices are.
const SLICE: usize = 500;

pub(super) struct State<E> {
    pub(super) dispatcher: Box<dyn Dispatcher<E>>,
    pub(super) way: Way,
    pub(super) lanes: Vec<Lane<E>>,
    /// What dispatchers see, kept up to date lane by lane.
    view: Vec<LaneState>,
    subs: Vec<Slot<E>>,
    pub(super) consumers: usize,
    /// Whether anybody ever subscribed, and whether the last one to leave had failed.
    pub(super) known: bool,
    pub(super) last_failed: bool,
    /// Events and demand are held until this many have subscribed; 0 from then on.
    hold: usize,
    pub(super) held: Held<E>,
    /// `buffer_size` of a stage, `capacity` of a port.
    pub(super) bound: usize,
    keep: BufferKeep,
    side: Side,
    grants: Grants,
    wanted: usize,
    pub(super) idle: bool,
    pub(super) slice: usize,
    pub(super) ended: Option<ExitReason>,
    pub(super) fault: Option<ExitReason>,
    pub(super) intake: Option<Intake<E>>,
    news: Option<Vec<News>>,
    targets: Targets,
    pub(super) counts: Counts,
    pub(super) name: Name,
}

/// How events find their lane, without the router, which runs before locking.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    One(usize),
    Routed,
    Placed,
}

/// Who stands behind the outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A producer: it is granted numbers of events.
    Grants,
    /// A producer-consumer, or a source: it looks whether anything is wanted.
    Gate,
    /// A port: nobody is asked.
    Port,
}

pub(super) struct Lane<E> {
    pub(super) queue: Queue<E>,
    /// Asked for and not yet drawn, of all that draw here.
    pub(super) demand: usize,
    /// Drawn and not yet reported handled.
    pub(super) in_hand: usize,
    /// Slots of subscriptions.
    members: Vec<u32>,
    /// Those marked for events, the one that has been hungry longest first.
    hungry: VecDeque<u32>,
    /// How many were woken for events of this lane and have not drawn since.
    waking: usize,
    /// Where pushers park in front of this lane.
    pub(super) line: Line<E>,
    /// Room taken by events that come later.
    pub(super) reserved: usize,
    slice: usize,
}

struct Slot<E> {
    generation: u32,
    sub: Option<Sub<E>>,
}

struct Sub<E> {
    lane: usize,
    latch: Arc<Latch>,
    name: Name,
    consumer: u64,
    options: Subscribe<E>,
    demand: usize,
    in_hand: usize,
    mark: Mark,
    notes: VecDeque<Note>,
    /// Whether the producer, if it wants to hear of it, has heard that it is there. Nothing is drawn before.
    confirmed: bool,
    /// Set for a consumer that has to hear that it was switched to manual demand, or back.
    manual: Option<bool>,
    /// Its lane was dropped when it was cancelled.
    dropped: bool,
    /// Set once it draws from no lane any more and has only to hear of that.
    gone: Option<CancelReason>,
}

/// A consumer's standing in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Off,
    /// In its lane's `hungry`.
    Events,
    /// Sleeps, and is woken for a notification or an end only.
    Signals,
    /// Woken for an event.
    Waking,
}

/// How a consumer wants to be marked if nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkAs {
    Not,
    Events,
    Signals,
}

/// What a draw found.
#[derive(Debug)]
pub(crate) enum Drawn {
    /// Events are in the buffer.
    Events,
    Note(Note),
    /// It was switched to manual demand, or back; so many are asked for and not drawn.
    Switched {
        manual: bool,
        asked: usize,
    },
    /// The subscription has ended; it is known no more.
    Ended(CancelReason),
    /// Nothing; and, if it was asked for, the consumer is marked: alone in its lane, or among others.
    Nothing {
        shared: bool,
    },
}

/// What the producer's own thread is told by each operation of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// New demand, to be answered with that many events.
    pub(crate) granted: usize,
    /// What is wanted now: the gate is open if it is not 0.
    pub(crate) wanted: usize,
    /// How long chunks should be.
    pub(crate) slice: usize,
    /// Everybody who ever subscribed has left.
    pub(crate) abandoned: bool,
    /// A dispatcher failed.
    pub(crate) fault: Option<ExitReason>,
    pub(crate) news: Vec<News>,
}

impl Told {
    /// What was told twice, as if it had been told at once.
    pub(super) fn joined(earlier: Option<Self>, now: Option<Self>) -> Option<Self> {
        let (Some(earlier), Some(now)) = (&earlier, &now) else { return earlier.or(now) };
        let (granted, news) = (earlier.granted + now.granted, [&*earlier.news, &*now.news].concat());
        Some(Self { granted, news, fault: now.fault.clone(), ..*now })
    }
}

/// A change of subscriptions, for a producer that wants to hear of it.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Subscribed(PeerNote),
    Cancelled(PeerNote, CancelReason),
}

#[derive(Clone, Debug)]
pub(crate) struct PeerNote {
    pub(crate) sub: SubId,
    pub(crate) name: Name,
    pub(crate) demand: Demand,
    pub(crate) extra: Extra,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Put into lanes, or before them.
    pub(crate) emitted: u64,
    pub(crate) drawn: u64,
    /// Dropped to make room, with a lane, or by a router.
    pub(crate) discarded: u64,
    /// In the hand of a consumer that failed, or left when nobody was there to take it.
    pub(crate) lost: u64,
    /// Notifications that reached nobody.
    pub(crate) notes_dropped: u64,
}

/// What is done after unlocking, in this order.
pub(super) struct Effects<E> {
    pub(super) owner: bool,
    first: Option<Arc<Latch>>,
    more: Vec<Arc<Latch>>,
    pub(super) discarded: usize,
    pub(super) trash: Vec<E>,
}

impl<E> Effects<E> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { owner: false, first: None, more: Vec::new(), discarded: 0, trash: Vec::new() }
    }
    pub(super) fn wake(&mut self, latch: &Arc<Latch>) {
        match &self.first {
            None => self.first = Some(latch.clone()),
            Some(_) => self.more.push(latch.clone()),
        }
    }
    #[inline]
    pub(super) fn wake_all(&mut self) {
        if let Some(first) = self.first.take() {
            first.wake();
            for latch in self.more.drain(..) {
                latch.wake();
            }
        }
    }
}

/// Events before the lanes, of dispatchers that place.
pub(super) struct Held<E> {
    pub(super) events: VecDeque<(E, usize)>,
    marks: VecDeque<(u64, Note)>,
    taken: u64,
    pub(super) weight: usize,
}

impl<E> Held<E> {
    fn new() -> Self {
        Self { events: VecDeque::new(), marks: VecDeque::new(), taken: 0, weight: 0 }
    }
    pub(super) fn push(&mut self, event: E, weight: usize) {
        self.events.push_back((event, weight));
        self.weight += weight;
    }
    fn pop(&mut self) -> Option<(E, usize)> {
        let (event, weight) = self.events.pop_front()?;
        self.taken += 1;
        self.weight -= weight;
        Some((event, weight))
    }
    fn note(&mut self) -> Option<Note> {
        match self.marks.front() {
            Some((at, _)) if *at <= self.taken => self.marks.pop_front().map(|(_, note)| note),
            _ => None,
        }
    }
}

pub(crate) struct Options<E> {
    pub(crate) name: Name,
    pub(crate) side: Side,
    pub(crate) dispatcher: Box<dyn Dispatcher<E>>,
    /// `None`: unbounded.
    pub(crate) bound: Option<usize>,
    pub(crate) keep: BufferKeep,
    pub(crate) hold_until: usize,
    pub(crate) mode: DemandMode,
    pub(crate) weighed: bool,
    pub(crate) news: bool,
}

impl<E> Options<E> {
    /// Without bound, and with nothing else that need not be said.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn new(name: Name, side: Side, dispatcher: Box<dyn Dispatcher<E>>) -> Self {
        Self {
            name,
            side,
            dispatcher,
            bound: None,
            keep: BufferKeep::Last,
            hold_until: 0,
            mode: DemandMode::Forward,
            weighed: false,
            news: false,
        }
    }
}

impl<E: Send + 'static> State<E> {
    pub(super) fn new(options: Options<E>, choice: &Choice<E>) -> Self {
        let port = options.side == Side::Port;
        let mut state = Self {
            way: match choice {
                Choice::One(lane) => Way::One(lane.index()),
                Choice::Route(_) => Way::Routed,
                Choice::Place => Way::Placed,
            },
            dispatcher: options.dispatcher,
            lanes: Vec::new(),
            view: Vec::new(),
            subs: Vec::new(),
            consumers: 0,
            known: false,
            last_failed: false,
            hold: options.hold_until,
            held: Held::new(),
            bound: options.bound.unwrap_or(usize::MAX),
            keep: options.keep,
            side: options.side,
            grants: Grants::new(options.mode),
            wanted: 0,
            idle: false,
            slice: SLICE,
            ended: None,
            fault: None,
            intake: port.then(|| Intake::new(options.weighed)),
            news: options.news.then(Vec::new),
            targets: Targets::default(),
            counts: Counts::default(),
            name: options.name,
        };
        if let Way::One(lane) = state.way {
            state.grow(lane);
        }
        state
    }

    pub(super) fn weighed(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.weighed)
    }

    /// Makes lanes up to this one.
    pub(super) fn grow(&mut self, lane: usize) {
        while self.lanes.len() <= lane {
            self.lanes.push(Lane {
                queue: Queue::new(self.weighed()),
                demand: 0,
                in_hand: 0,
                members: Vec::new(),
                hungry: VecDeque::new(),
                waking: 0,
                line: Line::new(),
                reserved: 0,
                slice: SLICE,
            });
            let lane = LaneId((self.lanes.len() - 1) as u32);
            self.view.push(LaneState { lane, consumers: 0, unmet: 0, room: 0, standing: 0 });
            self.look(lane.index());
        }
    }

    /// Whether nothing is drawn or placed at present, whoever asked.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.hold > 0 || self.grants.mode() == DemandMode::Accumulate
    }

    pub(super) fn switch(&mut self, mode: DemandMode, fx: &mut Effects<E>) {
        self.grants.switch(mode);
        self.settle(None, fx);
    }
    pub(super) fn mode(&self) -> DemandMode {
        self.grants.mode()
    }

    /// Brings the view of one lane up to date.
    #[inline]
    fn look(&mut self, i: usize) {
        let lane = &self.lanes[i];
        let standing = lane.queue.len();
        let unmet = lane.demand as isize - standing as isize;
        let bound = isize::try_from(self.bound).unwrap_or(isize::MAX);
        let view = &mut self.view[i];
        view.consumers = lane.members.len();
        view.unmet = unmet;
        view.room = bound.saturating_add(unmet);
        view.standing = standing;
    }

    fn sub(&mut self, id: SubId) -> Option<&mut Sub<E>> {
        let slot = self.subs.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.sub.as_mut() } else { None }
    }

    fn free(&mut self, id: SubId) {
        let slot = &mut self.subs[id.slot as usize];
        slot.sub = None;
        slot.generation = slot.generation.wrapping_add(1);
    }

    // ---- the consumer's side

    /// One operation of a consumer: reports its last slice handled, asks for `ask` more, takes up to `max` events into
    /// `out`, which is empty, and marks it if nothing was there.
    pub(super) fn draw(
        &mut self,
        id: SubId,
        ask: usize,
        max: usize,
        mark: MarkAs,
        out: &mut Vec<E>,
        fx: &mut Effects<E>,
    ) -> Drawn {
        if self.sub(id).is_none() {
            return Drawn::Ended(CancelReason::Cancelled);
        }
        self.unmark(id.slot);
        let holds = self.holds();
        let sub = self.subs[id.slot as usize].sub.as_mut().expect("bug: seen just now");
        let i = sub.lane;
        let lane = &mut self.lanes[i];
        lane.in_hand -= std::mem::take(&mut sub.in_hand);
        let shared = lane.members.len() > 1;
        let drawn = if let Some(why) = sub.gone.take() {
            self.free(id);
            Drawn::Ended(why)
        } else {
            sub.demand += ask;
            lane.demand += ask;
            if let Some(note) = sub.notes.pop_front() {
                Drawn::Note(note)
            } else if let Some(manual) = sub.manual.take() {
                Drawn::Switched { manual, asked: sub.demand }
            } else {
                let mut most = if holds || !sub.confirmed { 0 } else { max.min(sub.demand) };
                if shared && most > 0 {
                    // Half of a fair part: with slow events the last to end is not far behind the first.
                    most = most.min(lane.queue.len().div_ceil(2 * lane.members.len()));
                }
                let n = if most > 0 { lane.queue.take(most, out) } else { 0 };
                if n > 0 {
                    sub.demand -= n;
                    sub.in_hand = n;
                    lane.demand -= n;
                    lane.in_hand += n;
                    self.counts.drawn += n as u64;
                    Drawn::Events
                } else if let Some(reason) = self.end_of(i) {
                    self.detach(id, fx);
                    self.free(id);
                    Drawn::Ended(CancelReason::Down(reason))
                } else {
                    let sub = self.subs[id.slot as usize].sub.as_mut().expect("bug: seen just now");
                    match mark {
                        MarkAs::Not => {}
                        MarkAs::Events if sub.demand > 0 && sub.confirmed => {
                            sub.mark = Mark::Events;
                            self.lanes[i].hungry.push_back(id.slot);
                        }
                        MarkAs::Events | MarkAs::Signals => sub.mark = Mark::Signals,
                    }
                    Drawn::Nothing { shared }
                }
            }
        };
        self.settle(Some(i), fx);
        drawn
    }

    /// Reports the last slice handled and asks, without drawing.
    pub(super) fn report(&mut self, id: SubId, ask: usize, fx: &mut Effects<E>) {
        let Some(sub) = self.sub(id) else { return };
        let (lane, in_hand) = (sub.lane, std::mem::take(&mut sub.in_hand));
        let ask = if sub.gone.is_none() { ask } else { 0 };
        sub.demand += ask;
        self.lanes[lane].in_hand -= in_hand;
        self.lanes[lane].demand += ask;
        self.settle(Some(lane), fx);
    }

    /// Asks on behalf of a consumer, from any thread; false if the subscription has ended.
    pub(super) fn ask(&mut self, id: SubId, n: usize, fx: &mut Effects<E>) -> bool {
        let ended = self.ended.is_some();
        let Some(sub) = self.sub(id).filter(|sub| sub.gone.is_none()) else { return false };
        let lane = sub.lane;
        sub.demand += n;
        if sub.mark == Mark::Signals {
            sub.mark = Mark::Off; // it comes and marks itself for events
            fx.wake(&sub.latch.clone());
        }
        self.lanes[lane].demand += n;
        self.settle(Some(lane), fx);
        !ended
    }

    /// Takes a consumer's mark off; whoever was woken for it and does not come hands the wake on.
    pub(super) fn unmarked(&mut self, id: SubId, fx: &mut Effects<E>) {
        let Some(lane) = self.sub(id).map(|sub| sub.lane) else { return };
        self.unmark(id.slot);
        self.settle(Some(lane), fx);
    }

    fn unmark(&mut self, slot: u32) {
        let Some(sub) = self.subs.get_mut(slot as usize).and_then(|slot| slot.sub.as_mut()) else { return };
        let lane = &mut self.lanes[sub.lane];
        match sub.mark {
            Mark::Off | Mark::Signals => {}
            Mark::Events => lane.hungry.retain(|s| *s != slot),
            Mark::Waking => lane.waking -= 1,
        }
        sub.mark = Mark::Off;
    }

    /// What a failed consumer had drawn and not taken goes back to the head of its lane; `lost` were in its hand.
    pub(super) fn give_back(&mut self, id: SubId, rest: Vec<E>, weights: &[usize], lost: usize, fx: &mut Effects<E>) {
        let Some(sub) = self.sub(id) else {
            self.counts.lost += (lost + rest.len()) as u64;
            fx.trash.extend(rest);
            return;
        };
        let (lane, dropped) = (sub.lane, sub.dropped);
        let in_hand = std::mem::take(&mut sub.in_hand);
        self.lanes[lane].in_hand -= in_hand;
        self.counts.lost += lost as u64;
        if dropped || (self.ended.is_some() && self.lanes[lane].members.is_empty()) {
            self.counts.lost += rest.len() as u64; // nobody can come for it any more
            fx.trash.extend(rest);
        } else {
            self.counts.drawn -= rest.len() as u64;
            self.lanes[lane].queue.give_back(rest, weights);
        }
        self.settle(Some(lane), fx);
    }

    // ---- the producer's side

    /// Puts one event into its lane.
    #[inline]
    pub(super) fn put(&mut self, event: E, weight: usize, lane: Option<usize>) {
        self.counts.emitted += 1;
        match lane {
            Some(lane) => {
                let slice = self.lanes[lane].slice;
                self.lanes[lane].queue.push(event, weight, slice);
            }
            None => self.held.push(event, weight),
        }
    }

    /// Puts a chunk into one lane, or before all of them, and discards what is beyond the bound.
    pub(super) fn put_chunk(&mut self, chunk: &mut Vec<E>, lane: Option<usize>, fx: &mut Effects<E>) {
        let n = chunk.len();
        self.counts.emitted += n as u64;
        self.grants.emitted(n);
        match lane {
            Some(i) => {
                let lane = &mut self.lanes[i];
                lane.queue.append(chunk, lane.slice);
                let buffered = lane.queue.len().saturating_sub(lane.demand);
                // Never more than what came: what a cancel set free stays.
                let over = buffered.saturating_sub(self.bound).min(n);
                if over > 0 {
                    let at = match self.keep {
                        BufferKeep::Last => lane.demand,
                        BufferKeep::First => lane.queue.len() - over,
                    };
                    lane.queue.cut(at, over, &mut fx.trash);
                    self.counts.discarded += over as u64;
                    fx.discarded += over;
                }
            }
            None => {
                for event in chunk.drain(..) {
                    self.held.push(event, 1);
                }
            }
        }
    }

    /// Counts events that a router or a filter dropped before they came here.
    pub(super) fn put_nowhere(&mut self, n: usize, fx: &mut Effects<E>) {
        self.grants.emitted(n);
        self.counts.emitted += n as u64;
        self.counts.discarded += n as u64;
        fx.discarded += n;
    }

    pub(super) fn notify(&mut self, note: &Note) {
        if self.way == Way::Placed && !self.held.events.is_empty() {
            if self.held.marks.len() >= MOST_NOTES {
                self.held.marks.pop_front();
                self.counts.notes_dropped += 1;
            }
            let at = self.held.taken + self.held.events.len() as u64;
            self.held.marks.push_back((at, note.clone()));
        } else {
            self.note_to_lanes(note);
        }
    }

    fn note_to_lanes(&mut self, note: &Note) {
        for lane in &mut self.lanes {
            if self.way == Way::Placed && lane.members.is_empty() {
                continue; // not a lane at present
            }
            if !lane.queue.mark(note.clone()) {
                self.counts.notes_dropped += 1;
            }
        }
    }

    /// What the producer is told when it comes to emit: takes what was granted along.
    pub(super) fn tell_along(&mut self) -> Told {
        let granted = self.grants.collect_along();
        self.told(granted)
    }

    /// What the producer is told in its round: takes what was granted, and marks it idle, if it says so and nothing is
    /// wanted.
    pub(super) fn tell(&mut self, idle: bool) -> Told {
        let granted = self.grants.collect();
        let nothing = match self.side {
            Side::Grants => granted == 0,
            Side::Gate => self.wanted == 0,
            Side::Port => false,
        };
        self.idle = idle && nothing;
        self.told(granted)
    }

    pub(super) fn wanted_now(&self) -> usize {
        self.wanted
    }

    fn told(&mut self, granted: usize) -> Told {
        Told {
            granted,
            wanted: self.wanted,
            slice: self.slice,
            abandoned: self.known && self.consumers == 0,
            fault: self.fault.clone(),
            news: self.news.as_mut().map(std::mem::take).unwrap_or_default(),
        }
    }

    /// Nothing more comes. Lanes are drawn on; consumers hear of it when theirs is empty. Gives back what nobody is
    /// there to draw.
    pub(super) fn end(&mut self, reason: ExitReason, fx: &mut Effects<E>) -> Vec<E> {
        if self.ended.is_none() {
            self.ended = Some(reason);
        }
        self.hold = 0;
        self.grants.switch(DemandMode::Forward);
        self.confirm_all(fx);
        let mut left = Vec::new();
        // A dispatcher that failed places nothing any more.
        if self.fault.is_some() || self.consumers == 0 {
            left.extend(self.empty_held());
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.members.is_empty()) {
            lane.queue.clear(&mut left);
        }
        self.settle(None, fx);
        left
    }

    /// Takes everything out that stands anywhere.
    pub(super) fn empty(&mut self, left: &mut Vec<E>) {
        left.extend(self.empty_held());
        for lane in &mut self.lanes {
            lane.queue.clear(left);
        }
    }

    fn empty_held(&mut self) -> impl Iterator<Item = E> + use<E> {
        self.held.weight = 0;
        self.held.marks.clear();
        std::mem::take(&mut self.held.events).into_iter().map(|(event, _)| event)
    }

    /// What is held before the lanes of an ended outlet is placed no more.
    fn lose_held(&mut self, fx: &mut Effects<E>) {
        let before = fx.trash.len();
        fx.trash.extend(self.empty_held());
        self.counts.lost += (fx.trash.len() - before) as u64;
    }

    /// A dispatcher failed: nothing is placed any more, and the producer hears of it.
    pub(super) fn fail(&mut self, reason: ExitReason, fx: &mut Effects<E>) {
        if self.fault.is_none() {
            self.fault = Some(reason);
            fx.owner = true;
            if self.ended.is_some() {
                self.lose_held(fx); // or its consumers would wait for them
            }
        }
    }

    // ---- figures

    pub(super) fn standing(&self) -> usize {
        self.held.events.len() + self.lanes.iter().map(|lane| lane.queue.len()).sum::<usize>()
    }
    /// What stands in the fullest lane, and before the lanes, by weight.
    pub(super) fn fullest(&self) -> usize {
        self.held.weight + self.lanes.iter().map(|lane| lane.queue.weight()).max().unwrap_or(0)
    }
    pub(super) fn demand(&self) -> usize {
        self.lanes.iter().map(|lane| lane.demand).sum()
    }
    pub(super) fn consumers(&self) -> impl Iterator<Item = (u64, &Name)> {
        self.subs
            .iter()
            .filter_map(|slot| slot.sub.as_ref())
            .filter(|sub| sub.gone.is_none())
            .map(|s| (s.consumer, &s.name))
    }
}
