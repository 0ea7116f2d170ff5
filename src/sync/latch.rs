//! The latch: the single waiting place of a thread.
//!
//! # Protocol
//! One thread owns a latch: only it clears and waits; anybody wakes. Its state is one word:
//!
//! | state    | meaning                                | left by                                    |
//! |----------|----------------------------------------|--------------------------------------------|
//! | `EMPTY`  | nobody came since the last `clear`     | `wake` → `WOKEN`; `park` → one of the last |
//! | `WOKEN`  | somebody came; `park` returns at once  | `clear` → `EMPTY`                          |
//! | `PARKED` | the owner sleeps on the condvar        | `wake` → `WOKEN`; a deadline → `EMPTY`     |
//! | `ASLEEP` | the same, and is counted as asleep     | `wake` → `WOKEN`; a deadline → `EMPTY`     |
//!
//! The owner clears, looks at everything that could concern it, and waits only if it found nothing. Whoever changes
//! something that could concern it does so first and wakes then. The owner may hand the latch on to another thread while
//! it does not wait, as a stream does that is moved.
//!
//! # Why no wake is lost
//! `clear`, `wake` and the step to `PARKED` are read-modify-writes of one word, so they are in one order. A wake before
//! the clear: the clear reads what the wake wrote (acquire, release), so the look that follows sees the change. A wake
//! after the clear: the word is `WOKEN` when the owner tries `EMPTY → PARKED`, which fails; or it is `PARKED`, and then
//! the waker takes the mutex, which the owner holds from before that step until it is inside the condvar's wait, and
//! notifies. Models: `loom_tests::latch`. What is said of `PARKED` here holds for `ASLEEP`: they differ in nothing else.
//!
//! # Why each sleep is counted once, and each wake
//! Whether the owner's thread is one that [`Awake`] counts is asked when it parks, since the next wait may be another
//! thread's, and stands in the word itself. So whoever makes the step out (a waker, or the owner at its deadline; a
//! read-modify-write, hence one of them) knows from the value it replaced whether that sleep was counted. A flag beside
//! the word would not do: an owner that is back may have set it for its next wait before a slow waker reads it.

use super::atomic::{AtomicU32, Ordering::*};
use super::{Arc, CachePadded, Clock, Condvar, Deadline, Mutex, Rank, Weak, thread};
use std::time::{Duration, Instant};

const EMPTY: u32 = 0;
const WOKEN: u32 = 1;
const PARKED: u32 = 2;
const ASLEEP: u32 = 3;

/// See the module's page.
pub(crate) struct Latch {
    state: CachePadded<AtomicU32>,
    /// Rank `Latch`, protects nothing but the step into the condvar's wait.
    gate: Mutex<()>,
    /// Predicate: `state` is neither `PARKED` nor `ASLEEP`. Notified by `wake`, once per step out of them. One waiter, the
    /// owner.
    unparked: Condvar,
    awake: Arc<Awake>,
}

impl Latch {
    /// A latch for one thread at a time, whether `awake` counts it (a stage's) or not (a pusher's).
    pub(crate) fn new(awake: &Arc<Awake>) -> Arc<Self> {
        Arc::new(Self {
            state: CachePadded::new(AtomicU32::new(EMPTY)),
            gate: Mutex::new(Rank::Latch, ()),
            unparked: Condvar::new(),
            awake: awake.clone(),
        })
    }

    /// Makes the owner look again. Never blocks, but for the short while in which the owner goes to sleep.
    #[inline]
    pub(crate) fn wake(&self) {
        // ORDERING: Release, so that the owner, whose `clear` acquires, sees what was changed before; Acquire is not
        // needed for that but makes wakes of several threads one chain.
        let was = self.state.swap(WOKEN, AcqRel);
        if was >= PARKED {
            self.unpark(was);
        }
    }

    #[cold]
    fn unpark(&self, was: u32) {
        if was == ASLEEP {
            self.awake.rise();
        }
        drop(self.gate.lock());
        self.unparked.notify_one();
    }

    /// Forgets wakes that came so far. Whatever they were for must be looked at after this.
    #[inline]
    pub(crate) fn clear(&self) {
        // ORDERING: a swap and not a store, with Acquire, so that it reads from the wake it forgets.
        self.state.swap(EMPTY, AcqRel);
    }

    #[inline]
    pub(crate) fn is_woken(&self) -> bool {
        // ORDERING: Relaxed: only a hint to stop spinning; `clear` acquires before anything is read.
        self.state.load(Relaxed) == WOKEN
    }

    /// Sleeps until somebody wakes or the deadline passes; returns at once if somebody has since `clear`.
    pub(crate) fn park(self: &Arc<Self>, clock: &Clock, deadline: Deadline) {
        let manual = match (clock, deadline.instant()) {
            (Clock::Manual(time), Some(at)) => {
                if !time.enter(at, self) {
                    return;
                }
                Some((time, at))
            }
            _ => None,
        };
        let counted = self.awake.counts_this_thread();
        let parked = if counted { ASLEEP } else { PARKED };
        let mut guard = self.gate.lock();
        // ORDERING: Release pairs with the swap in `wake`, as the clear before it; Acquire with a wake that came first.
        if self.state.compare_exchange(EMPTY, parked, AcqRel, Acquire).is_ok() {
            if counted {
                self.awake.sink();
            }
            // ORDERING: Acquire: reads from the wake that ends the sleep.
            while self.state.load(Acquire) == parked {
                match deadline.instant() {
                    Some(at) if manual.is_none() => {
                        guard = self.unparked.wait_until(guard, at);
                        // The step out of `parked` is the waker's or ours, never both: who makes it counts us awake.
                        if deadline.passed(clock)
                            && self.state.compare_exchange(parked, EMPTY, AcqRel, Acquire).is_ok()
                            && counted
                        {
                            self.awake.rise();
                        }
                    }
                    _ => guard = self.unparked.wait(guard),
                }
            }
        }
        drop(guard);
        if let Some((time, at)) = manual {
            time.leave(at, self);
        }
    }
}

/// How many threads of a runtime are not asleep, against how many can run.
///
/// Counted by whoever makes the step: the sleeper when it goes to sleep, its waker when it wakes it. So zero means that
/// all sleep and nobody is on the way.
pub(crate) struct Awake {
    #[cfg(not(all(test, drawgate_loom)))]
    count: CachePadded<super::atomic::AtomicUsize>,
    cores: usize,
    /// Present with a manual clock only. Predicate: `count == 0`; notified by whoever brings it there.
    quiet: Option<Quiet>,
}

struct Quiet {
    lock: Mutex<()>,
    fell: Condvar,
}

impl Awake {
    pub(crate) fn new(watched: bool) -> Arc<Self> {
        Arc::new(Self {
            #[cfg(not(all(test, drawgate_loom)))]
            count: CachePadded::new(super::atomic::AtomicUsize::new(0)),
            cores: thread::cores(),
            quiet: watched.then(|| Quiet { lock: Mutex::new(Rank::Timer, ()), fell: Condvar::new() }),
        })
    }

    /// A thread starts, or is woken.
    #[inline]
    pub(crate) fn rise(&self) {
        // ORDERING: Relaxed publishes nothing: a hint for spinning. For a manual clock's `settle` the latch's word and
        // the quiet lock order it.
        #[cfg(not(all(test, drawgate_loom)))]
        self.count.fetch_add(1, Relaxed);
    }

    /// A thread ends, or goes to sleep.
    #[inline]
    pub(crate) fn sink(&self) {
        #[cfg(not(all(test, drawgate_loom)))]
        if let (1, Some(quiet)) = (self.count.fetch_sub(1, AcqRel), &self.quiet) {
            drop(quiet.lock.lock());
            quiet.fell.notify_all();
        }
    }

    /// A thread that starts awake; counted until the guard is dropped. Made by the one who starts it, and entered by the
    /// thread itself.
    pub(crate) fn guard(self: &Arc<Self>) -> AwakeGuard {
        self.rise();
        AwakeGuard(self.clone())
    }

    #[cfg(not(all(test, drawgate_loom)))]
    fn counts_this_thread(self: &Arc<Self>) -> bool {
        COUNTED_BY.try_with(|by| by.borrow().as_ptr() == Arc::as_ptr(self)).unwrap_or(false)
    }
    #[cfg(all(test, drawgate_loom))]
    fn counts_this_thread(self: &Arc<Self>) -> bool {
        true // in a model nothing is counted
    }

    #[inline]
    fn may_spin(&self) -> bool {
        #[cfg(not(all(test, drawgate_loom)))]
        return self.count.load(Relaxed) <= self.cores;
        #[cfg(all(test, drawgate_loom))]
        return self.cores == usize::MAX;
    }

    /// Waits until every thread sleeps; false if that took longer than `limit`, in real time. Only with a manual clock.
    #[cfg(not(all(test, drawgate_loom)))]
    #[cfg_attr(not(feature = "test-util"), allow(dead_code, reason = "only a manual clock of users asks"))]
    pub(crate) fn wait_quiet(&self, limit: Duration) -> bool {
        let Some(quiet) = &self.quiet else { return true };
        let at = Clock::Real.now() + limit;
        let mut guard = quiet.lock.lock();
        while self.count.load(Acquire) > 0 {
            if Clock::Real.now() >= at {
                return false;
            }
            guard = quiet.fell.wait_until(guard, at);
        }
        true
    }
}

thread_local! { static COUNTED_BY: std::cell::RefCell<Weak<Awake>> = const { std::cell::RefCell::new(Weak::new()) }; }

/// See [`Awake::guard`].
pub(crate) struct AwakeGuard(Arc<Awake>);
impl AwakeGuard {
    /// This thread is the one that is counted.
    pub(crate) fn enter(&self) {
        COUNTED_BY.set(Arc::downgrade(&self.0));
    }
}
impl Drop for AwakeGuard {
    fn drop(&mut self) {
        self.0.sink();
    }
}

/// How a stage's thread waits.
///
/// ```
/// use drawgate::stage::Wait;
///
/// let numbers = drawgate::from_iter(1..=100).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).wait(Wait::Park).subscribe_to(&numbers).spawn()?;
/// assert_eq!(sum.finish()?, 5050); // how it waits changes nothing else
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Sleeps at once: the least CPU, a wake of about ten microseconds each time.
    Park,
    /// Spins for a moment while there are cores to spare, then yields within a budget that is learned from how long the
    /// last sleeps took, then sleeps. The default.
    #[default]
    Adaptive,
    /// Never sleeps: for a stage with a core of its own. Burns that core, also when there is nothing to do.
    Spin,
}

/// How long a thread hopes for a wake before it sleeps: spinning, yielding, parking.
///
/// What was measured (two cores and one): spinning helps only while no more threads are awake than there are cores;
/// yielding costs little and saves a wake of ten microseconds; how much yielding pays is learned from how long the last
/// park lasted. Long spins lose everywhere, and a budget that only shrinks ends at parking always.
pub(crate) struct Patience {
    wait: Wait,
    budget: u32,
}

impl Patience {
    const SPIN: u32 = 64;
    const MOST: u32 = 64;
    const FIRST: u32 = 8;
    const LEAST: u32 = 2;
    /// A park shorter than this would have been better spent yielding.
    const SHORT: Duration = Duration::from_micros(100);

    pub(crate) fn new(wait: Wait) -> Self {
        Self { wait, budget: Self::MOST }
    }

    /// Waits at the latch. Returns how long it slept or yielded; nothing if spinning was enough. Says when it begins to.
    #[cfg(not(all(test, drawgate_loom)))]
    pub(crate) fn wait(
        &mut self,
        latch: &Arc<Latch>,
        clock: &Clock,
        deadline: Deadline,
        begins: impl FnOnce(Instant),
    ) -> Duration {
        match self.wait {
            Wait::Park => {
                let from = Clock::Real.now();
                begins(from);
                latch.park(clock, deadline);
                since(from)
            }
            Wait::Spin => {
                let from = Clock::Real.now();
                begins(from);
                while !latch.is_woken() {
                    for _ in 0..Self::SPIN {
                        std::hint::spin_loop();
                    }
                    if !deadline.is_never() && deadline.passed(clock) {
                        break;
                    }
                }
                since(from)
            }
            Wait::Adaptive => {
                if latch.awake.may_spin() {
                    for _ in 0..Self::SPIN {
                        if latch.is_woken() {
                            return Duration::ZERO;
                        }
                        std::hint::spin_loop();
                    }
                }
                let from = Clock::Real.now();
                begins(from);
                for _ in 0..self.budget {
                    if latch.is_woken() {
                        return since(from);
                    }
                    thread::yield_now();
                }
                let parks = Clock::Real.now();
                latch.park(clock, deadline);
                self.budget = if since(parks) < Self::SHORT {
                    (self.budget * 2).clamp(Self::FIRST, Self::MOST)
                } else {
                    (self.budget / 2).max(Self::LEAST)
                };
                since(from)
            }
        }
    }

    #[cfg(all(test, drawgate_loom))]
    pub(crate) fn wait(
        &mut self,
        latch: &Arc<Latch>,
        clock: &Clock,
        deadline: Deadline,
        _: impl FnOnce(Instant),
    ) -> Duration {
        latch.park(clock, deadline);
        Duration::ZERO
    }
}

#[cfg(not(all(test, drawgate_loom)))]
fn since(from: Instant) -> Duration {
    Clock::Real.now().saturating_duration_since(from)
}
