//! A test kit for dispatchers: random operations, and what must hold whatever a dispatcher does.

use crate::Name;
use crate::dispatch::Dispatcher;
use crate::error::{CancelReason, ExitReason};
use crate::link::{
    DemandMode, Drawn, Hooks, MarkAs, Options, Outlet, Side, Staged, SubId, Subscribe, Subscriber, Told,
};
use crate::runtime::Runtime;
use crate::sync::{Arc, Latch};
use std::collections::BTreeMap;

/// Runs a dispatcher through random operations (consumers subscribe and resubscribe, ask, draw, leave and are cancelled; the
/// producer emits, more than it was asked for at times, holds demand back, and ends), and checks what must hold whatever it does:
///
/// - no consumer gets more than it asked for, or the same event twice;
/// - no event is lost: each is delivered, or counted as discarded, or left at the end when nobody is subscribed;
/// - what it wants is a function of what it sees: asked again, it says the same, and the producer is not granted more;
/// - it does not starve: when every consumer has asked for more than there is, nothing is held back, and the producer is
///   asked for more;
/// - after everybody has left it takes new consumers as at the start.
///
/// `make` makes a dispatcher as it is at the start; `event` the n-th event, and `number` tells which one it is;
/// `options` are those of the n-th consumer to arrive, of which there are at most eight at a time and it is said which
/// numbers are free: 0 to 7. A refused subscription is nothing.
///
/// ```
/// use drawgate::{Subscribe, dispatch::{DemandDispatcher, PartitionDispatcher}, testing::check_dispatcher};
/// check_dispatcher(DemandDispatcher::new, |n| n, |n: &u64| *n, |_| Subscribe::new());
/// check_dispatcher(
///     || PartitionDispatcher::by_index(8, |n: &u64| Some(*n as usize % 8)),
///     |n| n,
///     |n: &u64| *n,
///     |consumer| Subscribe::new().partition(consumer),
/// );
/// ```
///
/// # Panics
/// If something does not hold: with what, and the number of the run.
#[track_caller]
pub fn check_dispatcher<E: Send + 'static, D: Dispatcher<E>>(
    make: impl Fn() -> D,
    event: impl Fn(u64) -> E,
    number: impl Fn(&E) -> u64,
    options: impl Fn(usize) -> Subscribe<E>,
) {
    for run in 0..RUNS {
        let mut check = Check::new(run, Box::new(make()), &number);
        for _ in 0..STEPS {
            check.step(&event, &options);
        }
        check.finish(&event, &options);
    }
}

const RUNS: u64 = 200;
const STEPS: usize = 120;
/// More than all consumers together ask for in a run.
const ENDLESS: usize = 100_000;
/// Consumers at a time.
const PLACES: usize = 8;

/// Marsaglia's xorshift: enough to vary a test.
struct Random(u64);
impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

struct Consumer {
    sub: SubId,
    asked: usize,
    got: usize,
    seen: Vec<u64>,
    cancelled: bool,
}

struct Check<'a, E: Send + 'static> {
    run: u64,
    random: Random,
    outlet: Arc<Outlet<E>>,
    latch: Arc<Latch>,
    number: &'a dyn Fn(&E) -> u64,
    consumers: [Option<Consumer>; PLACES],
    emitted: u64,
    granted: usize,
    /// How often each event was delivered.
    delivered: BTreeMap<u64, usize>,
}

impl<'a, E: Send + 'static> Check<'a, E> {
    fn new(run: u64, dispatcher: Box<dyn Dispatcher<E>>, number: &'a dyn Fn(&E) -> u64) -> Self {
        let runtime = Runtime::new();
        let latch = Latch::new(runtime.awake());
        let options = Options::new(Name::from("checked"), Side::Grants, dispatcher);
        let outlet = Outlet::new(options, Hooks::default(), &latch, runtime.awake());
        Self {
            run,
            random: Random(run.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1),
            outlet,
            latch,
            number,
            consumers: [const { None }; PLACES],
            emitted: 0,
            granted: 0,
            delivered: BTreeMap::new(),
        }
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        assert!(holds, "{what} (run {}, after {} events)", self.run, self.emitted);
    }

    #[track_caller]
    fn told(&mut self, told: Told) {
        if let Some(reason) = &told.fault {
            panic!("the dispatcher failed: {reason} (run {})", self.run);
        }
        self.granted += told.granted;
    }

    /// What was held back and is released is told ask by ask.
    #[track_caller]
    fn hear_all(&mut self) {
        let before = self.granted;
        loop {
            let told = self.outlet.tell(false);
            let nothing_new = told.granted == 0;
            self.told(told);
            if nothing_new {
                return;
            }
            self.must(self.granted - before < ENDLESS, "asked again and again, it wants more each time");
        }
    }

    #[track_caller]
    fn step(&mut self, event: &impl Fn(u64) -> E, options: &impl Fn(usize) -> Subscribe<E>) {
        let place = self.random.below(PLACES);
        match self.random.below(12) {
            0 | 1 => self.subscribe(place, options),
            2 => self.leave(place),
            10 => self.resubscribe(place, options),
            11 => {
                let mode = if self.random.below(3) == 0 { DemandMode::Accumulate } else { DemandMode::Forward };
                self.outlet.switch(mode);
            }
            3..=5 => {
                let n = self.random.below(6);
                self.ask(place, n);
            }
            6 | 7 => {
                let most = 1 + self.random.below(6);
                self.draw(place, most);
            }
            _ => {
                let n = self.random.below(1 + self.granted.min(8)) + usize::from(self.random.below(8) == 0);
                self.emit(n, event);
            }
        }
        self.hear_all();
        self.outlet.switch(self.outlet.mode()); // changes nothing, and settles
        let again = self.outlet.tell(false).granted;
        self.must(again == 0, "asked twice for what is wanted, with nothing in between, it wants more");
    }

    #[track_caller]
    fn subscribe(&mut self, place: usize, options: &impl Fn(usize) -> Subscribe<E>) {
        if self.consumers[place].is_none() {
            let options = options(place).manual();
            let name = Name::from(format!("consumer-{place}"));
            let who = Subscriber { name: &name, id: place as u64, latch: &self.latch };
            if let Ok(sub) = self.outlet.subscribe(&options, who) {
                let new = Consumer { sub, asked: 0, got: 0, seen: Vec::new(), cancelled: false };
                self.consumers[place] = Some(new);
            }
        }
    }

    #[track_caller]
    fn resubscribe(&mut self, place: usize, options: &impl Fn(usize) -> Subscribe<E>) {
        let Some(old) = self.consumers[place].take() else { return };
        let options = options(place).manual();
        let name = Name::from(format!("consumer-{place}"));
        let who = Subscriber { name: &name, id: place as u64, latch: &self.latch };
        let resubscribed = self.outlet.resubscribe(old.sub, &options, who);
        let Ok(sub) = resubscribed else {
            self.consumers[place] = Some(old);
            return;
        };
        let heard = self.outlet.draw(old.sub, 0, 1, MarkAs::Not, &mut Vec::new());
        self.must(matches!(heard, Drawn::Ended(_)), "a subscription goes on that another took the place of");
        self.consumers[place] = Some(Consumer { sub, asked: 0, got: 0, cancelled: false, ..old });
    }

    fn leave(&mut self, place: usize) {
        if self.random.below(2) == 0 {
            if let Some(consumer) = self.consumers[place].take() {
                self.outlet.leave(consumer.sub, false, CancelReason::Cancelled);
            }
        } else if let Some(consumer) = &mut self.consumers[place] {
            self.outlet.cancel(consumer.sub, CancelReason::Cancelled);
            consumer.cancelled = true;
        }
    }

    fn ask(&mut self, place: usize, n: usize) {
        if let Some(consumer) = self.consumers[place].as_mut().filter(|consumer| !consumer.cancelled) {
            self.outlet.ask(consumer.sub, n);
            consumer.asked += n;
        }
    }

    #[track_caller]
    fn draw(&mut self, place: usize, most: usize) -> bool {
        let Some(mut consumer) = self.consumers[place].take() else { return false };
        let mut slice = Vec::new();
        match self.outlet.draw(consumer.sub, 0, most, MarkAs::Not, &mut slice) {
            Drawn::Events => {
                for event in &slice {
                    let number = (self.number)(event);
                    self.must(number < self.emitted, "a consumer got an event that nobody emitted");
                    self.must(!consumer.seen.contains(&number), "a consumer got an event twice");
                    consumer.seen.push(number);
                    *self.delivered.entry(number).or_default() += 1;
                }
                consumer.got += slice.len();
                self.must(consumer.got <= consumer.asked, "a consumer got more than it asked for");
                self.must(!consumer.cancelled, "a consumer got an event after it was cancelled");
                self.consumers[place] = Some(consumer);
                true
            }
            Drawn::Ended(_) => false,
            Drawn::Nothing { .. } | Drawn::Note(_) | Drawn::Switched { .. } => {
                self.consumers[place] = Some(consumer);
                false
            }
        }
    }

    #[track_caller]
    fn emit(&mut self, n: usize, event: &impl Fn(u64) -> E) {
        let mut staged = Staged::default();
        for _ in 0..n {
            self.outlet.stage(event(self.emitted), &mut staged);
            self.emitted += 1;
        }
        let told = self.outlet.emit(&mut staged);
        self.granted = self.granted.saturating_sub(n);
        self.told(told);
    }

    /// Everybody asks for more than there is; then everybody leaves, and one comes after all.
    #[track_caller]
    fn finish(&mut self, event: &impl Fn(u64) -> E, options: &impl Fn(usize) -> Subscribe<E>) {
        self.outlet.switch(DemandMode::Forward);
        for place in 0..PLACES {
            self.draw(place, 1); // whoever was cancelled hears of it
            self.subscribe(place, options);
        }
        let there = self.consumers.iter().flatten().count();
        self.must(there > 0, "it takes no consumer");
        let plenty = self.emitted as usize + 100;
        for place in 0..PLACES {
            self.ask(place, plenty);
        }
        while (0..PLACES).any(|place| self.draw(place, 7)) {}
        self.hear_all();
        let standing = self.outlet.figures().standing;
        let unserved =
            "everybody has asked for more than there is, and events are held back or stand where nobody draws";
        self.must(standing == 0 || there < PLACES, unserved);
        self.must(
            self.granted > 0,
            "every consumer has asked, nothing is there, and the producer is asked for nothing",
        );
        self.emit(1, event);

        let left = self.outlet.end(ExitReason::Done).len();
        while (0..PLACES).any(|place| self.draw(place, 7)) {}
        let figures = self.outlet.figures();
        let counts = figures.counts;
        let undelivered = (0..self.emitted).filter(|number| !self.delivered.contains_key(number)).count();
        let accounted = counts.discarded as usize + counts.lost as usize + figures.standing + left;
        self.must(undelivered <= accounted, "an event was neither delivered nor counted");
        self.must(counts.emitted == self.emitted, "events were put in that nobody emitted");
        let ended = (0..PLACES).all(|place| self.consumers[place].is_none()) || figures.standing > 0;
        self.must(ended, "the producer is done and nothing is left, but a consumer does not hear of it");
    }
}
