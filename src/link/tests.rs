//! The outlet's state against naive models, by random operation lists: F1, F5, F8, (S) of [`super`], order, and counts.
//!
//! The models are flat lists of numbers. They know nothing of chunks, marks or slots.

use super::dispatch::{BroadcastDispatcher, Choice, DemandDispatcher, Dispatcher, PartitionDispatcher, SubId};
use super::line::Denied;
use super::state::{Drawn, Effects, MarkAs, Options, Side, State};
use super::{BufferKeep, Subscribe, Subscriber};
use crate::Name;
use crate::error::{CancelReason, ExitReason};
use crate::sync::{Arc, Awake, Latch};
use std::collections::{BTreeMap, VecDeque};

const PARTITIONS: usize = 3;
const SEEDS: u64 = 400;
const STEPS: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Demand,
    Partition,
    Broadcast,
}

/// Which partition an event goes to.
fn partition_of(event: u32) -> Option<usize> {
    let i = event as usize % (PARTITIONS + 1);
    (i < PARTITIONS).then_some(i)
}

/// A consumer, as the thread that draws knows itself.
struct Consumer {
    id: SubId,
    latch: Arc<Latch>,
    /// Of the model.
    lane: usize,
    asked: usize,
    drawn: usize,
    demand: usize,
    hand: Vec<u32>,
    /// Sleeps since the last draw; for events, or for signals only.
    asleep: Option<MarkAs>,
    cancelled: bool,
    /// Of a broadcast: takes only multiples of this.
    selects: u32,
}

impl Consumer {
    fn is_woken(&self) -> bool {
        self.latch.is_woken()
    }
    fn sleeps_for_events(&self) -> bool {
        self.asleep == Some(MarkAs::Events) && self.demand > 0 && !self.is_woken()
    }
    fn wakes_up(&mut self) {
        self.latch.clear();
        self.asleep = None;
    }
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<u32>,
    demand: usize,
    members: usize,
}

impl Lane {
    /// What stands beyond what was asked for.
    fn rest(&self) -> usize {
        self.queue.len().saturating_sub(self.demand)
    }
    fn unmet(&self) -> isize {
        self.demand as isize - self.queue.len() as isize
    }
}

struct World {
    kind: Kind,
    keep: BufferKeep,
    bound: usize,
    state: State<u32>,
    consumers: Vec<Consumer>,
    /// Lanes of the model: one, one a partition, or one a consumer that ever was.
    lanes: Vec<Lane>,
    held: VecDeque<u32>,
    /// Granted and collected, granted and not yet collected; of both, less what was emitted.
    collected: usize,
    granted: usize,
    next: u32,
    numbers: u64,
    handled: Vec<u32>,
    lost: Vec<u32>,
    trash: Vec<u32>,
    model_trash: Vec<u32>,
    /// Discarded by a partition function, to make room, or with a lane.
    discarded: u64,
    /// Given back to a lane that had been dropped.
    given_up: usize,
    /// Copies that a broadcast made, less what nobody selected.
    copies: i64,
}

impl World {
    fn new(kind: Kind, rng: &mut fastrand::Rng) -> Self {
        let dispatcher: Box<dyn Dispatcher<u32>> = match kind {
            Kind::Demand => Box::new(DemandDispatcher::new()),
            Kind::Partition => Box::new(PartitionDispatcher::by_index(PARTITIONS, |e: &u32| partition_of(*e))),
            Kind::Broadcast => Box::new(BroadcastDispatcher::new()),
        };
        let (bound, keep) = (rng.usize(0..8), if rng.bool() { BufferKeep::First } else { BufferKeep::Last });
        let choice = dispatcher.choose();
        let options =
            Options { bound: Some(bound), keep, ..Options::new(Name::from("producer"), Side::Grants, dispatcher) };
        let lanes = match kind {
            Kind::Demand => 1,
            Kind::Partition => PARTITIONS,
            Kind::Broadcast => 0,
        };
        let mut state = State::new(options, &choice);
        if matches!(choice, Choice::Route(_)) {
            state.grow(PARTITIONS - 1); // as the first events to each would
        }
        Self {
            kind,
            keep,
            bound,
            state,
            consumers: Vec::new(),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            held: VecDeque::new(),
            collected: 0,
            granted: 0,
            next: 0,
            numbers: 0,
            handled: Vec::new(),
            lost: Vec::new(),
            trash: Vec::new(),
            model_trash: Vec::new(),
            discarded: 0,
            given_up: 0,
            copies: 0,
        }
    }

    /// What follows an operation: wakes, and what was discarded.
    fn after(&mut self, mut fx: Effects<u32>) {
        fx.wake_all();
        self.trash.append(&mut fx.trash);
    }

    // ---- operations, on both

    fn subscribe(&mut self, rng: &mut fastrand::Rng) {
        let awake = Awake::new(false);
        let latch = Latch::new(&awake);
        self.numbers += 1;
        let partition = rng.usize(0..PARTITIONS);
        let selects = rng.u32(1..3);
        let options = Subscribe::new().max_demand(10).partition(partition).selector(move |e: &u32| e % selects == 0);
        let mut fx = Effects::new();
        let subscribed = self.state.subscribe(
            &options,
            Subscriber { name: &Name::from("consumer"), id: self.numbers, latch: &latch },
            &mut fx,
        );
        self.after(fx);
        let taken = self.kind == Kind::Partition && self.lanes[partition].members > 0;
        assert_eq!(subscribed.is_err(), taken);
        let Ok(id) = subscribed else { return };
        let lane = match self.kind {
            Kind::Demand => 0,
            Kind::Partition => partition,
            Kind::Broadcast => {
                self.lanes.push(Lane::default());
                self.lanes.len() - 1
            }
        };
        self.lanes[lane].members += 1;
        let (asked, drawn, demand, hand, asleep, cancelled) = (0, 0, 0, Vec::new(), None, false);
        self.consumers.push(Consumer { id, latch, lane, asked, drawn, demand, hand, asleep, cancelled, selects });
        // Whoever sleeps in a lane that is now shared looks again.
        for other in self.consumers.iter().filter(|c| c.lane == lane && c.asleep.is_some()) {
            assert!(other.is_woken());
        }
    }

    fn draw(&mut self, i: usize, ask: usize, max: usize, mark: MarkAs) {
        self.consumers[i].wakes_up();
        let c = &mut self.consumers[i];
        self.handled.append(&mut c.hand); // the draw reports it
        let mut out = Vec::new();
        let mut fx = Effects::new();
        let drawn = self.state.draw(c.id, ask, max, mark, &mut out, &mut fx);
        if c.cancelled {
            assert!(matches!(drawn, Drawn::Ended(CancelReason::Cancelled)) && out.is_empty());
            self.consumers.swap_remove(i);
            return self.after(fx);
        }
        c.asked += ask;
        c.demand += ask;
        let lane = &mut self.lanes[c.lane];
        lane.demand += ask;
        let most = match lane.members {
            1 => max.min(c.demand),
            n => max.min(c.demand).min(lane.queue.len().div_ceil(2 * n)),
        };
        match drawn {
            Drawn::Events => {
                assert!(!out.is_empty() && out.len() <= most);
                c.drawn += out.len();
                assert!(c.drawn <= c.asked, "F1");
                c.demand -= out.len();
                lane.demand -= out.len();
                assert!(out.iter().copied().eq(lane.queue.drain(..out.len())), "order");
                c.hand = out;
            }
            Drawn::Nothing { .. } => {
                assert!(most == 0 || lane.queue.is_empty(), "something stood");
                c.asleep = (mark != MarkAs::Not).then_some(mark);
                if mark == MarkAs::Events && c.demand == 0 {
                    c.asleep = Some(MarkAs::Signals);
                }
            }
            Drawn::Ended(why) => {
                assert!(matches!(why, CancelReason::Down(ExitReason::Done)));
                assert!(lane.queue.is_empty() && self.held.is_empty());
                lane.members -= 1;
                lane.demand -= c.demand;
                self.consumers.swap_remove(i);
            }
            Drawn::Note(_) | Drawn::Switched { .. } => unreachable!(),
        }
        self.after(fx);
    }

    fn report(&mut self, i: usize, ask: usize) {
        let c = &mut self.consumers[i];
        self.handled.append(&mut c.hand);
        let mut fx = Effects::new();
        self.state.report(c.id, ask, &mut fx);
        if !c.cancelled {
            c.asked += ask;
            c.demand += ask;
            self.lanes[c.lane].demand += ask;
        }
        self.after(fx);
    }

    /// From another thread: whoever sleeps for signals only has to look again.
    fn ask(&mut self, i: usize, n: usize) {
        let c = &mut self.consumers[i];
        let mut fx = Effects::new();
        assert_eq!(self.state.ask(c.id, n, &mut fx), !c.cancelled);
        if !c.cancelled {
            c.asked += n;
            c.demand += n;
            self.lanes[c.lane].demand += n;
        }
        self.after(fx);
        let c = &self.consumers[i];
        assert!(c.cancelled || c.asleep != Some(MarkAs::Signals) || c.is_woken());
    }

    fn unmark(&mut self, i: usize) {
        self.consumers[i].wakes_up();
        let mut fx = Effects::new();
        self.state.unmarked(self.consumers[i].id, &mut fx);
        self.after(fx);
    }

    /// Out of the model's lane: its demand goes with it, and in a broadcast what stood for it.
    fn detach(&mut self, i: usize) {
        let c = &mut self.consumers[i];
        let lane = &mut self.lanes[c.lane];
        lane.members -= 1;
        lane.demand -= std::mem::take(&mut c.demand);
        if self.kind == Kind::Broadcast {
            self.discarded += lane.queue.len() as u64;
            self.model_trash.extend(lane.queue.drain(..));
        }
        let back = (self.collected + self.granted).saturating_sub(self.wanted()).min(self.granted);
        self.granted -= back;
    }

    /// Fails with `taken` events of its slice taken, or leaves with all of it handled.
    fn leave(&mut self, i: usize, taken: Option<usize>) {
        let mut fx = Effects::new();
        let (id, cancelled) = (self.consumers[i].id, self.consumers[i].cancelled);
        let mut hand = std::mem::take(&mut self.consumers[i].hand);
        if let Some(taken) = taken {
            let rest = hand.split_off(taken.min(hand.len()));
            let lost = usize::from(!hand.is_empty());
            self.lost.extend(hand.pop());
            if cancelled && self.kind == Kind::Broadcast {
                self.model_trash.extend(&rest);
                self.given_up += rest.len();
            } else {
                let queue = &mut self.lanes[self.consumers[i].lane].queue;
                rest.iter().rev().for_each(|e| queue.push_front(*e));
            }
            self.state.give_back(id, rest, &[], lost, &mut fx);
        }
        self.handled.append(&mut hand);
        self.state.leave(id, taken.is_some(), CancelReason::Cancelled, &mut fx);
        self.after(fx);
        if !cancelled {
            self.detach(i);
        }
        self.consumers.swap_remove(i);
    }

    fn cancel(&mut self, i: usize) {
        let mut fx = Effects::new();
        let before = self.consumers[i].cancelled;
        assert_eq!(self.state.cancel(self.consumers[i].id, CancelReason::Cancelled, &mut fx), !before);
        self.after(fx);
        if !before {
            assert!(self.consumers[i].is_woken());
            self.detach(i);
            self.consumers[i].cancelled = true;
        }
    }

    fn emit(&mut self, n: usize) {
        let events: Vec<u32> = (self.next..self.next + n as u32).collect();
        self.next += n as u32;
        let mut fx = Effects::new();
        match self.kind {
            Kind::Demand => {
                self.state.put_chunk(&mut events.clone(), Some(0), &mut fx);
                self.state.settle(Some(0), &mut fx);
                self.take_in(0, &events);
            }
            Kind::Partition => {
                for lane in 0..PARTITIONS {
                    let mut chunk =
                        events.iter().copied().filter(|e| partition_of(*e) == Some(lane)).collect::<Vec<_>>();
                    self.take_in(lane, &chunk);
                    self.state.put_chunk(&mut chunk, Some(lane), &mut fx);
                }
                let nowhere = events.iter().filter(|e| partition_of(**e).is_none()).count();
                self.discarded += nowhere as u64;
                self.state.put_nowhere(nowhere, &mut fx);
                self.state.settle(None, &mut fx);
            }
            Kind::Broadcast => {
                self.state.put_chunk(&mut events.clone(), None, &mut fx);
                self.held.extend(&events);
                self.state.settle(None, &mut fx);
            }
        }
        self.after(fx);
        let told = (self.collected + self.granted).saturating_sub(n);
        self.collected = self.collected.saturating_sub(n);
        self.granted = told - self.collected;
    }

    /// A chunk comes into a lane of the model, which discards what is beyond its bound.
    fn take_in(&mut self, lane: usize, chunk: &[u32]) {
        let lane = &mut self.lanes[lane];
        lane.queue.extend(chunk);
        let over = lane.rest().saturating_sub(self.bound).min(chunk.len());
        let from = match self.keep {
            BufferKeep::Last => lane.demand,
            BufferKeep::First => lane.queue.len() - over,
        };
        if over > 0 {
            self.model_trash.extend(lane.queue.drain(from..from + over));
            self.discarded += over as u64;
        }
    }

    /// A broadcast places what all have asked for, and then discards what it cannot hold.
    fn place(&mut self) {
        let active = |c: &&Consumer| !c.cancelled;
        while !self.held.is_empty()
            && self.consumers.iter().any(|c| active(&c))
            && self.consumers.iter().filter(active).all(|c| self.lanes[c.lane].unmet() > 0)
        {
            let event = self.held.pop_front().unwrap();
            let before = self.copies;
            for c in self.consumers.iter().filter(|c| !c.cancelled && event % c.selects == 0) {
                self.lanes[c.lane].queue.push_back(event);
                self.copies += 1;
            }
            if self.copies == before {
                self.model_trash.push(event);
                self.discarded += 1;
            } else {
                self.copies -= 1;
            }
        }
        let over = self.held.len().saturating_sub(self.bound);
        self.discarded += over as u64;
        match self.keep {
            BufferKeep::Last => self.model_trash.extend(self.held.drain(..over)),
            BufferKeep::First => self.model_trash.extend(self.held.split_off(self.held.len() - over)),
        }
    }

    fn wanted(&self) -> usize {
        let used = self.lanes.iter().filter(|lane| lane.members > 0);
        let most = match self.kind {
            _ if used.clone().count() == 0 => 0,
            Kind::Demand => self.lanes[0].unmet(),
            Kind::Partition => {
                let unmet = self.lanes.iter().map(|lane| lane.unmet().max(0)).sum::<isize>();
                let room = self.lanes.iter().map(|lane| self.bound as isize + lane.unmet()).min().unwrap();
                unmet.min(room)
            }
            Kind::Broadcast => used.map(Lane::unmet).min().unwrap() - self.held.len() as isize,
        };
        most.max(0) as usize
    }

    /// The model's grants after an operation.
    fn grant(&mut self) {
        if self.kind == Kind::Broadcast {
            self.place();
        }
        self.granted += self.wanted().saturating_sub(self.collected + self.granted);
    }

    fn collect(&mut self) {
        let told = self.state.tell(false);
        assert_eq!((told.granted, told.wanted), (self.granted, self.wanted()), "demand is a level");
        self.collected += std::mem::take(&mut self.granted);
        if self.consumers.iter().all(|c| c.cancelled) {
            assert_eq!((told.granted, told.wanted), (0, 0), "F5");
        }
    }

    // ---- what is always so

    fn check(&mut self, rests: &[usize]) {
        // Both stand alike.
        let standing = self.held.len() + self.lanes.iter().map(|lane| lane.queue.len()).sum::<usize>();
        assert_eq!(self.state.standing(), standing);
        assert_eq!(self.state.demand(), self.lanes.iter().map(|lane| lane.demand).sum::<usize>());
        if self.kind != Kind::Broadcast {
            for (lane, model) in self.state.lanes.iter().zip(&self.lanes) {
                assert_eq!((lane.queue.len(), lane.demand), (model.queue.len(), model.demand));
            }
        }
        // F8: what a cancel or a failure did not set free is within the bound.
        for (lane, before) in self.state.lanes.iter().zip(rests) {
            let rest = lane.queue.len().saturating_sub(lane.demand);
            assert!(rest <= self.bound.max(*before), "F8: {rest} beyond what was asked for, {} allowed", self.bound);
        }
        assert!(self.held.len() <= self.bound, "F8");
        // (S): nobody sleeps for events that stand, unless as many are on their way.
        for (i, lane) in self.lanes.iter().enumerate() {
            let here = || self.consumers.iter().filter(|c| c.lane == i && !c.cancelled);
            if here().any(Consumer::sleeps_for_events) {
                let waking = here().filter(|c| c.asleep.is_some() && c.is_woken()).count();
                assert!(waking >= lane.queue.len(), "{} stand, {waking} are waking", lane.queue.len());
            }
        }
        // F2, by count.
        let counts = self.state.counts;
        let hands = self.consumers.iter().map(|c| c.hand.len()).sum::<usize>();
        assert_eq!(counts.emitted, u64::from(self.next));
        assert_eq!(counts.drawn as usize, self.handled.len() + hands + self.lost.len() + self.given_up);
        assert_eq!(counts.lost as usize, self.lost.len() + self.given_up);
        assert_eq!(counts.discarded, self.discarded);
        let fates = counts.drawn + counts.discarded + standing as u64;
        assert_eq!(fates as i64, counts.emitted as i64 + self.copies);
    }

    /// F2, by number: every event has the fates it should have.
    fn account(&mut self) {
        let mut fates: BTreeMap<u32, usize> = BTreeMap::new();
        let all = self.handled.iter().chain(&self.lost).chain(&self.model_trash);
        all.for_each(|e| *fates.entry(*e).or_default() += 1);
        if self.kind != Kind::Broadcast {
            let emitted = (0..self.next).filter(|e| self.kind == Kind::Demand || partition_of(*e).is_some());
            assert!(fates.into_iter().eq(emitted.map(|e| (e, 1))), "each exactly once");
        }
    }

    fn step(&mut self, rng: &mut fastrand::Rng) {
        let before: Vec<usize> =
            self.state.lanes.iter().map(|lane| lane.queue.len().saturating_sub(lane.demand)).collect();
        let mut rests = before;
        rests.resize(16, 0);
        let i = match self.consumers.len() {
            0 => 0,
            n => rng.usize(0..n),
        };
        let some = !self.consumers.is_empty();
        let awake = some && (self.consumers[i].asleep.is_none() || self.consumers[i].is_woken());
        let mark = [MarkAs::Not, MarkAs::Events, MarkAs::Signals][rng.usize(0..3)];
        match rng.u32(0..100) {
            0..8 if self.consumers.len() < 4 => self.subscribe(rng),
            8..45 if awake => self.draw(i, rng.usize(0..5), rng.usize(0..6), mark),
            45..50 if awake => self.report(i, rng.usize(0..3)),
            50..55 if some => self.ask(i, rng.usize(1..3)),
            55..60 if awake => self.unmark(i),
            60..63 if awake => {
                let taken = rng.bool().then(|| rng.usize(0..=self.consumers[i].hand.len()));
                self.leave(i, taken);
                rests = vec![usize::MAX; 16];
            }
            63..66 if some => {
                self.cancel(i);
                rests = vec![usize::MAX; 16];
            }
            66..90 => self.emit(rng.usize(0..7)),
            _ => self.collect(),
        }
        self.grant();
        self.check(&rests);
        self.trash.sort_unstable();
        self.model_trash.sort_unstable();
        assert_eq!(self.trash, self.model_trash);
    }

    /// The end: what stands is drawn by whoever is there, or given back; then all hear of it.
    fn end(&mut self) {
        let mut fx = Effects::new();
        let left = self.state.end(ExitReason::Done, &mut fx);
        self.after(fx);
        self.trash.clear(); // from here on only numbers are compared
        for lane in self.lanes.iter_mut().filter(|lane| lane.members == 0) {
            lane.queue.clear();
        }
        if self.consumers.iter().all(|c| c.cancelled) {
            self.held.clear();
        }
        self.model_trash.extend(left);
        for i in 0..self.consumers.len() {
            let c = &self.consumers[i];
            let in_hand = self.consumers.iter().any(|o| o.lane == c.lane && !o.hand.is_empty());
            let over = self.lanes[c.lane].queue.is_empty() && self.held.is_empty() && !in_hand;
            assert!(!over || c.asleep.is_none() || c.is_woken(), "F6: nobody sleeps through the end");
        }
        let mut rounds = 0;
        while !self.consumers.is_empty() {
            rounds += 1;
            assert!(rounds < 10_000, "the end does not come");
            let i = rounds % self.consumers.len();
            self.draw(i, 3, 4, MarkAs::Not);
            if self.kind == Kind::Broadcast {
                self.place();
            }
        }
        self.account();
    }
}

fn random_operations(kind: Kind) {
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(kind, &mut rng);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..STEPS).for_each(|_| world.step(&mut rng));
            world.end();
        }));
        if let Err(panic) = ran {
            eprintln!("{kind:?}, seed {seed}, bound {}, keep {:?}", world.bound, world.keep);
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn f8_a_shared_lane_agrees_with_a_flat_list() {
    random_operations(Kind::Demand);
}

#[test]
fn f8_partitions_agree_with_flat_lists() {
    random_operations(Kind::Partition);
}

#[test]
fn f8_a_broadcast_agrees_with_a_flat_list_a_consumer() {
    random_operations(Kind::Broadcast);
}

/// A port's lane and its line, as two flat lists of events and weights.
#[test]
fn a_ports_line_lets_in_in_order_and_never_beyond_the_bound() {
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let bound = rng.usize(1..8);
        let dispatcher = Box::new(DemandDispatcher::new());
        let choice: Choice<u32> = dispatcher.choose();
        let options =
            Options { bound: Some(bound), weighed: true, ..Options::new(Name::from("port"), Side::Port, dispatcher) };
        let mut state = State::new(options, &choice);
        let awake = Awake::new(false);
        let (consumer, owner) = (Latch::new(&awake), Latch::new(&awake));
        let sub = state
            .subscribe(
                &Subscribe::new(),
                Subscriber { name: &Name::from("c"), id: 1, latch: &consumer },
                &mut Effects::new(),
            )
            .expect("nobody else is there");
        let moved = Arc::default();
        let weight_of = |e: u32| e as usize % 5 + usize::from(e % 11 == 0) * 20; // some weigh nothing, some more than all
        let (mut lane, mut line, mut reserved) =
            (VecDeque::new(), VecDeque::<(u64, u32, bool)>::new(), VecDeque::new());
        let fits = |lane: &VecDeque<u32>, reserved: &VecDeque<u32>, e: u32| {
            let taken: usize = lane.iter().chain(reserved).map(|e| weight_of(*e)).sum();
            taken == 0 || taken + weight_of(e) <= bound
        };
        for next in 0..200_u32 {
            let mut fx = Effects::new();
            let weight = weight_of(next);
            match rng.u32(0..10) {
                0..4 => {
                    let free = line.is_empty() && fits(&lane, &reserved, next);
                    let later = rng.u32(0..4) == 0;
                    let entered = match later {
                        true => state.reserve(Some(0), weight),
                        false => state.enter(next, weight, Some(0), false, &mut fx).is_ok(),
                    };
                    assert_eq!(entered, free);
                    match (entered, later) {
                        (true, true) => reserved.push_back(next),
                        (true, false) => lane.push_back(next),
                        (false, _) => {
                            let ticket = state.join(next, weight, Some(0), Some((&owner, &moved)), later);
                            line.push_back((ticket, next, later));
                        }
                    }
                }
                4 if !line.is_empty() => {
                    let (ticket, event, _) = line.remove(rng.usize(0..line.len())).unwrap();
                    assert_eq!(state.withdraw(ticket, Some(0), &mut fx), Some(event));
                    assert_eq!(state.withdraw(ticket, Some(0), &mut fx), None);
                }
                5 if !reserved.is_empty() => {
                    let event = reserved.pop_front().unwrap();
                    if rng.bool() {
                        // It comes for its place, whoever is in line.
                        let came = state.take_place(event, weight_of(event), Some(0), &mut fx);
                        assert!(!matches!(came, Err(Denied::Full(_) | Denied::Closed(_))));
                        lane.push_back(event);
                    } else {
                        state.unreserve(Some(0), weight_of(event));
                        state.settle(Some(0), &mut fx);
                    }
                }
                _ => {
                    let (n, mut out) = (rng.usize(0..4), Vec::new());
                    state.draw(sub, n, n, MarkAs::Not, &mut out, &mut fx);
                    assert!(out.iter().copied().eq(lane.drain(..out.len())));
                }
            }
            while let Some((ticket, event, later)) = line.front().copied() {
                if !fits(&lane, &reserved, event) {
                    break;
                }
                line.pop_front();
                assert!(!state.in_line(ticket, Some(0)));
                assert_eq!(state.placed(ticket), later.then_some(event));
                match later {
                    true => reserved.push_back(event),
                    false => lane.push_back(event),
                }
            }
            assert_eq!((state.standing(), state.parked()), (lane.len(), line.len()), "seed {seed}");
            let weight = state.lanes[0].queue.weight();
            let heaviest = lane.iter().map(|e| weight_of(*e)).max().unwrap_or(0);
            assert!(weight <= bound.max(heaviest), "F8: {weight} stand, {bound} may");
        }
    }
}

/// Several workers on one lane, with the defaults, and events that take one unit of time each, or now and then many: how far
/// apart the workers end.
fn spread_of_ends(workers: usize, costs: &[u64]) -> u64 {
    let awake = Awake::new(false);
    let owner = Latch::new(&awake);
    let options = Options::new(Name::from("producer"), Side::Port, Box::new(DemandDispatcher::new()));
    let outlet = super::Outlet::new(options, super::Hooks::default(), &owner, &awake);
    let subscribe: Subscribe<u32> = Subscribe::new();
    let name = Name::from("worker");
    let subs: Vec<SubId> = (0..workers as u64)
        .map(|id| outlet.subscribe(&subscribe, Subscriber { name: &name, id, latch: &owner }).unwrap())
        .collect();
    for sub in &subs {
        outlet.ask(*sub, subscribe.max());
    }
    for event in 0..costs.len() as u32 {
        let routed = outlet.route(&event).unwrap();
        assert!(outlet.enter(event, routed, false).is_ok());
    }
    let mut busy_until = vec![0; workers];
    loop {
        // Whoever is free first draws first.
        let next = (0..workers).min_by_key(|i| busy_until[*i]).unwrap();
        let mut slice = Vec::new();
        match outlet.draw(subs[next], 0, subscribe.demand().slice(), MarkAs::Not, &mut slice) {
            Drawn::Events => busy_until[next] += slice.iter().map(|event| costs[*event as usize]).sum::<u64>(),
            _ => break,
        }
    }
    busy_until.iter().max().unwrap() - busy_until.iter().min().unwrap()
}

#[test]
fn workers_that_share_a_lane_end_within_two_events_of_each_other() {
    for workers in [2, 4, 7] {
        for events in [1, 10, 100, 1000, 3000] {
            let spread = spread_of_ends(workers, &vec![10; events]);
            assert!(spread <= 20, "{workers} workers, {events} events of 10 ms: {spread} ms");
        }
    }
}

#[test]
fn a_heavy_event_holds_up_only_what_was_drawn_with_it() {
    // One in a hundred takes a hundred times as long: what was drawn behind one waits for it, and that is the spread.
    let costs: Vec<u64> = (0..2000).map(|n| if n % 100 == 37 { 100 } else { 1 }).collect();
    let spread = spread_of_ends(4, &costs);
    assert!(spread <= 200, "{spread}");
}
