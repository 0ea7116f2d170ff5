//! The timer's behaviour with its thread: by a manual clock, so that nothing is ordered by sleeping; a wait for a
//! channel with a limit of real time is the watchdog that turns a hang into a failure.

use super::*;
use crate::sync::ManualTime;
use crate::sync::chan::{Receiver, Sender, bounded};
use std::cell::{Cell, RefCell};

const WATCHDOG: Duration = Duration::from_secs(20);
/// More than any test here has told, so that no target ever waits.
const ROOM: usize = 16_384;

thread_local! { static START_FAILS: Cell<bool> = const { Cell::new(false) }; }

/// Asked by `Timer::start`, on the inserting thread.
pub(super) fn start_may_fail() -> io::Result<()> {
    if START_FAILS.get() { Err(io::Error::other("no more threads")) } else { Ok(()) }
}

/// A target that tells which tokens it heard, and when by its clock.
struct Told {
    clock: Clock,
    told: Sender<(u64, Instant)>,
}
impl Due for Told {
    fn due(&self, token: u64) {
        let _ = self.told.send((token, self.clock.now()));
    }
}

/// A target that does something.
struct Does<F>(F);
impl<F: Fn(u64) + Send + Sync + 'static> Due for Does<F> {
    fn due(&self, token: u64) {
        (self.0)(token);
    }
}

struct Bench {
    time: Arc<ManualTime>,
    awake: Arc<Awake>,
    timer: Arc<Timer>,
    start: Instant,
    target: Arc<Told>,
    told: Receiver<(u64, Instant)>,
}

impl Bench {
    fn new(most: usize) -> Self {
        let time = ManualTime::new();
        let clock = Clock::Manual(time.clone());
        let awake = Awake::new(true);
        let timer = Timer::new(clock.clone(), &awake, most);
        let (send, told) = bounded(ROOM);
        let target = Arc::new(Told { clock, told: send });
        Self { start: time.now(), time, awake, timer, target, told }
    }

    fn insert(&self, after: Duration, token: u64) -> TimerKey {
        self.timer.insert(self.start + after, self.target.clone(), token).expect("accepted")
    }

    fn advance(&self, by: Duration) {
        self.time.advance(by);
        self.settle();
    }

    /// Until the timer's thread sleeps, or is gone.
    fn settle(&self) {
        assert!(self.awake.wait_quiet(WATCHDOG), "the timer's thread does not come to rest");
    }

    fn heard(&self) -> Vec<u64> {
        self.settle();
        self.told.try_iter().map(|(token, _)| token).collect()
    }

    /// What the thread sleeps towards, as time since the start.
    fn sleeps_to(&self) -> Option<Duration> {
        self.settle();
        self.time.next().map(|at| at - self.start)
    }
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

#[test]
fn nothing_is_early() {
    let bench = Bench::new(1000);
    let delays: Vec<Duration> = (0..200).map(|n| us(n * n * 37 + n)).collect();
    for (token, delay) in delays.iter().enumerate() {
        bench.insert(*delay, token as u64);
    }
    for _ in 0..7000 {
        bench.time.advance(us(250));
    }
    let mut heard = Vec::new();
    while heard.len() < delays.len() {
        heard.push(bench.told.recv_timeout(WATCHDOG).expect("told in time"));
    }
    for (token, at) in heard {
        assert!(at >= bench.start + delays[token as usize], "{token} was early");
    }
    bench.insert(Duration::ZERO, 1000); // passed long ago
    assert_eq!(bench.heard(), [1000]);
}

#[test]
fn an_entry_between_two_ticks_goes_with_the_later_one() {
    let bench = Bench::new(10);
    bench.insert(us(2300), 1);
    bench.advance(us(2300));
    assert!(bench.heard().is_empty());
    bench.advance(us(699));
    assert!(bench.heard().is_empty());
    bench.advance(us(1));
    assert_eq!(bench.heard(), [1]);
}

#[test]
fn due_entries_go_by_tick_then_order_of_arrival() {
    let bench = Bench::new(10_000);
    let mut expected = Vec::new();
    for token in 0..3000 {
        let tick = token * 7919 % 500 + 1;
        bench.insert(ms(tick), token);
        expected.push((tick, token));
    }
    expected.sort_unstable();
    bench.advance(ms(1000)); // all at once: several batches and cascades
    assert_eq!(bench.heard(), expected.into_iter().map(|(_, token)| token).collect::<Vec<_>>());
}

#[test]
fn a_cancelled_entry_is_not_told_and_one_that_was_told_is_not_cancelled() {
    let bench = Bench::new(10);
    let (a, b) = (bench.insert(ms(5), 1), bench.insert(ms(5), 2));
    assert_eq!(bench.timer.pending(), 2);
    assert!(bench.timer.cancel(a));
    assert!(!bench.timer.cancel(a));
    assert_eq!(bench.timer.pending(), 1);
    bench.advance(ms(5));
    assert_eq!(bench.heard(), [2]);
    assert!(!bench.timer.cancel(b));
    assert_eq!(bench.timer.pending(), 0);
}

#[test]
fn for_each_entry_exactly_one_of_cancel_and_due_happens() {
    let bench = Bench::new(100_000);
    const ROUNDS: u64 = 200;
    const EACH: u64 = 50;
    let mut cancelled = Vec::new();
    for round in 0..ROUNDS {
        let keys: Vec<_> =
            (0..EACH).map(|n| (round * EACH + n, bench.insert(ms(round + 1), round * EACH + n))).collect();
        bench.time.advance(ms(1)); // and without waiting for what that begins
        cancelled.extend(keys.into_iter().rev().filter(|(_, key)| bench.timer.cancel(*key)).map(|(token, _)| token));
    }
    bench.advance(ms(10));
    let mut all = bench.heard();
    all.extend(&cancelled);
    all.sort_unstable();
    assert_eq!(all, (0..ROUNDS * EACH).collect::<Vec<_>>());
}

#[test]
fn beyond_the_bound_an_entry_is_refused_until_one_has_gone() {
    let bench = Bench::new(2);
    let first = bench.insert(ms(1), 1);
    bench.insert(ms(2), 2);
    let insert = |token| bench.timer.insert(bench.start + ms(3), bench.target.clone(), token);
    assert!(matches!(insert(3), Err(Refused::Full)));
    assert!(bench.timer.cancel(first));
    insert(4).expect("room for one");
    assert!(matches!(insert(5), Err(Refused::Full)));
    bench.advance(ms(2));
    insert(6).expect("room for one");
    bench.advance(ms(1));
    assert_eq!(bench.heard(), [2, 4, 6]);
}

#[test]
fn the_thread_sleeps_to_the_first_entry_and_for_ever_without_one() {
    let bench = Bench::new(10);
    assert_eq!(bench.sleeps_to(), None);
    let late = bench.insert(ms(900_000), 1);
    assert_eq!(bench.sleeps_to(), Some(ms(900_000)), "one sleep, however far");
    bench.insert(ms(950_000), 2);
    assert_eq!(bench.sleeps_to(), Some(ms(900_000)));
    let early = bench.insert(ms(30), 3);
    assert_eq!(bench.sleeps_to(), Some(ms(30)), "an earlier one wakes it");
    assert!(bench.timer.cancel(early));
    assert!(bench.timer.cancel(late));
    bench.advance(ms(30));
    assert_eq!(bench.sleeps_to(), Some(ms(950_000)));
    bench.advance(ms(949_970));
    assert_eq!((bench.heard(), bench.sleeps_to()), (vec![2], None));
}

#[test]
fn a_panic_in_due_or_in_the_drop_of_a_target_is_no_end_of_the_timer() {
    struct Explodes;
    impl Due for Explodes {
        fn due(&self, _: u64) {
            panic!("on purpose: due");
        }
    }
    impl Drop for Explodes {
        fn drop(&mut self) {
            panic!("on purpose: drop");
        }
    }
    let bench = Bench::new(10);
    bench.insert(ms(1), 1);
    bench.timer.insert(bench.start + ms(1), Arc::new(Explodes), 0).unwrap();
    bench.insert(ms(1), 2);
    bench.insert(ms(2), 3);
    bench.advance(ms(1));
    assert_eq!(bench.heard(), [1, 2]);
    bench.advance(ms(1));
    assert_eq!(bench.heard(), [3]);
    // Those that are pending when the timer is dropped are dropped one by one, too.
    for _ in 0..2 {
        bench.timer.insert(bench.start + ms(9), Arc::new(Explodes), 0).unwrap();
    }
}

#[test]
fn due_may_insert_and_cancel() {
    let bench = Bench::new(10);
    let (timer, target, start) = (Arc::downgrade(&bench.timer), bench.target.clone(), bench.start);
    let victim = bench.insert(ms(2), 99);
    let does = Does(move |token| {
        let timer = timer.upgrade().expect("there while its thread runs this");
        assert!(timer.cancel(victim));
        timer.insert(start, target.clone(), token + 1).unwrap(); // due at once
        timer.insert(start + ms(3), target.clone(), token + 2).unwrap();
    });
    bench.timer.insert(start + ms(1), Arc::new(does), 10).unwrap();
    bench.advance(ms(1));
    assert_eq!(bench.heard(), [11]);
    bench.advance(ms(2));
    assert_eq!(bench.heard(), [12]);
}

#[test]
fn the_thread_starts_with_the_first_entry_and_ends_with_the_timer() {
    thread_local! { static TELLS: RefCell<Option<Sender<&'static str>>> = const { RefCell::new(None) }; }
    let bench = Bench::new(10);
    let threads = |timer: &Timer| Arc::strong_count(&timer.shared) - 1;
    assert_eq!(threads(&bench.timer), 0);
    let (send, ended) = bounded(ROOM);
    // The value's sender is dropped with the thread's locals: when the thread is gone indeed.
    let does = Does(move |_| {
        send.send("due").unwrap();
        TELLS.set(Some(send.clone()));
    });
    bench.timer.insert(bench.start, Arc::new(does), 0).unwrap();
    assert_eq!(threads(&bench.timer), 1);
    bench.insert(ms(1000), 1);
    assert_eq!(threads(&bench.timer), 1, "one thread for all");
    assert_eq!(ended.recv_timeout(WATCHDOG), Ok("due"));
    bench.settle();
    let Bench { timer, target, told, .. } = bench;
    drop((timer, target));
    assert!(told.recv_timeout(WATCHDOG).unwrap_err().is_disconnected(), "what was pending is dropped untold");
    assert!(ended.recv_timeout(WATCHDOG).unwrap_err().is_disconnected(), "the thread does not end");
}

#[test]
fn the_last_reference_may_go_in_due() {
    let bench = Bench::new(10);
    let (send, ended) = bounded::<()>(ROOM);
    let slot = Arc::new(Mutex::new(Rank::Life, None::<Arc<Timer>>));
    let held = slot.clone();
    let does = Does(move |_| {
        let _until_the_target_is_gone = &send;
        let last = held.lock().take();
        drop(last);
    });
    let at = bench.start + ms(1);
    bench.timer.insert(at, Arc::new(does), 0).unwrap();
    let Bench { timer, time, .. } = bench;
    *slot.lock() = Some(timer);
    time.advance(ms(1));
    assert!(ended.recv_timeout(WATCHDOG).unwrap_err().is_disconnected());
}

#[test]
fn a_thread_that_does_not_start_refuses_the_entry_and_the_next_insert_tries_again() {
    let bench = Bench::new(10);
    START_FAILS.set(true);
    let refused = bench.timer.insert(bench.start, bench.target.clone(), 1);
    assert!(matches!(refused, Err(Refused::Thread(e)) if e.to_string() == "no more threads"));
    assert_eq!(bench.timer.pending(), 0);
    START_FAILS.set(false);
    bench.insert(ms(0), 2);
    assert_eq!(bench.told.recv_timeout(WATCHDOG).unwrap().0, 2);
}

#[test]
fn by_the_real_clock_nothing_is_early_either_and_many_threads_may_insert() {
    let clock = Clock::Real;
    let timer = Timer::new(clock.clone(), &Awake::new(false), usize::MAX);
    let (send, told) = bounded(ROOM);
    const EACH: u64 = 500;
    for n in 0..4 {
        let (timer, clock, send) = (timer.clone(), clock.clone(), send.clone());
        let inserts = move || {
            for m in 0..EACH {
                let (at, clock, send) = (clock.now() + us(m * 13), clock.clone(), send.clone());
                let does = Does(move |token| send.send((token, clock.now() >= at)).unwrap());
                timer.insert(at, Arc::new(does), n * EACH + m).expect("accepted");
            }
        };
        thread::spawn(format!("inserts {n}"), None, inserts).expect("a thread");
    }
    let mut tokens = Vec::new();
    while tokens.len() < 4 * EACH as usize {
        let (token, in_time) = told.recv_timeout(WATCHDOG).expect("told");
        assert!(in_time, "{token} was early");
        tokens.push(token);
    }
    tokens.sort_unstable();
    assert_eq!(tokens, (0..4 * EACH).collect::<Vec<_>>());
}

#[test]
fn an_instant_beyond_all_ticks_waits_for_ever() {
    let bench = Bench::new(10);
    let mut far = bench.start;
    for bit in (0..63).rev() {
        far = far.checked_add(Duration::from_secs(1 << bit)).unwrap_or(far);
    }
    let key = bench.timer.insert(far, bench.target.clone(), 1).unwrap();
    bench.insert(ms(1), 2);
    bench.advance(ms(1));
    assert_eq!(bench.heard(), [2]);
    assert!(bench.timer.cancel(key));
}
