//! The timer: one thread that tells targets when their moment has come, for everything in a runtime that comes later.
//!
//! Guarantees: never early, by the runtime's clock, and by less than a tick (1 ms) late plus what the system takes to
//! wake a thread; entries due together go by (tick, order of arrival). For each entry that is accepted exactly one
//! happens: `cancel` returns true, or `due` is called, or the timer is dropped first. The thread starts with the first
//! entry, sleeps until the next one is due, costs nothing while there is none, and ends when the timer is dropped.
//!
//! Does not run user code, and does not wait for it: `due` runs on the one thread, so it must be short. It runs with no
//! lock held, so it may insert and cancel; should it panic, the others are told all the same.
//!
//! [`wheel`] decides what is due and is pure; here is only what waits.
//!
//! # Why no entry is slept through
//! `sleeps_to` is the tick the thread sleeps towards, 0 while it is about to look anyway. The thread clears its latch,
//! reads the clock, and then, in one critical section, takes what is due and writes `sleeps_to` from the wheel. An
//! insert before that section is in the wheel when it is asked; one after it compares its tick with what was written
//! and, if earlier, wakes the latch, which was cleared before; so the thread does not go to sleep, or not for long.
//! Later ticks need no wake, since the thread looks at the whole wheel each time.

mod wheel;

use crate::sync::{Arc, Awake, Clock, Deadline, Latch, Mutex, Rank, isolate, thread};
use once_cell::sync::OnceCell;
use std::time::{Duration, Instant};
use std::{io, mem};
use wheel::{Key, Wheel};

#[cfg(all(test, not(drawgate_loom)))]
mod tests;

/// Who is told. `due` runs on the timer's thread: it must not block and runs no user code.
///
/// The timer may hold the last reference to a target, and then drops it: on its thread after `due`, else on that of
/// whoever cancels or drops the timer.
pub(crate) trait Due: Send + Sync + 'static {
    fn due(&self, token: u64);
}

/// Why an entry was not accepted.
#[derive(Debug)]
pub(crate) enum Refused {
    /// As many are pending as may be.
    Full,
    /// The timer's thread could not be started; the next insert tries again.
    Thread(io::Error),
}

/// Something that comes later, to cancel it by: a delayed event of a port, with [`Port::cancel`](crate::Port::cancel), or a
/// timer of a stage, with [`Context::cancel_timer`](crate::Context::cancel_timer). Means nothing to another port or stage.
///
/// ```
/// use drawgate::prelude::*;
/// use std::time::Duration;
///
/// let port = Port::bounded(8).spawn()?;
/// let reminder = port.push_after("not paid", Duration::from_secs(60))?;
/// assert_eq!(port.cancel(reminder), Some("not paid")); // it was paid in time
/// assert_eq!(port.cancel(reminder), None);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub(crate) u64);

/// One entry that was accepted, of the timer that gave it out. Long out of date it still means no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey(Key);

/// See the module's page.
pub(crate) struct Timer {
    shared: Arc<Shared>,
    awake: Arc<Awake>,
    /// Filled by the first insert whose thread starts.
    started: OnceCell<()>,
}

struct Shared {
    clock: Clock,
    /// Tick 0.
    base: Instant,
    most: usize,
    latch: Arc<Latch>,
    /// Rank `Timer`, a leaf: the entries, what the thread sleeps towards, and whether it is to end. Neither the clock
    /// is read nor the latch woken under it, nor is a target called or dropped.
    state: Mutex<State>,
}

struct State {
    wheel: Wheel<Entry>,
    sleeps_to: u64,
    stopped: bool,
}

struct Entry {
    target: Arc<dyn Due>,
    token: u64,
}

/// How many entries are handled in one critical section, so that no insert waits for long when very many are due.
const BATCH: usize = 256;
const NANOS_A_TICK: u32 = 1_000_000;

impl Timer {
    /// A timer that keeps at most `most` entries over all. Starts no thread yet.
    pub(crate) fn new(clock: Clock, awake: &Arc<Awake>, most: usize) -> Arc<Self> {
        let base = clock.now();
        let state = State { wheel: Wheel::new(), sleeps_to: 0, stopped: false };
        let shared = Arc::new(Shared {
            clock,
            base,
            // The wheel's places are numbered in 32 bits.
            most: most.min(u32::MAX as usize - 1),
            latch: Latch::new(awake),
            state: Mutex::new(Rank::Timer, state),
        });
        Arc::new(Self { shared, awake: awake.clone(), started: OnceCell::new() })
    }

    /// Has `target` told at `at`, or soon if that has passed. Never blocks; may be called with an outlet locked, and
    /// from `due`.
    pub(crate) fn insert(&self, at: Instant, target: Arc<dyn Due>, token: u64) -> Result<TimerKey, Refused> {
        self.started.get_or_try_init(|| self.start()).map_err(Refused::Thread)?;
        let tick = self.shared.tick_after(at);
        let mut state = self.shared.state.lock();
        if state.wheel.len() >= self.shared.most {
            drop(state); // before the target is
            return Err(Refused::Full);
        }
        let key = state.wheel.insert(tick, Entry { target, token });
        let sooner = tick < state.sleeps_to;
        if sooner {
            state.sleeps_to = tick;
        }
        drop(state);
        if sooner {
            self.shared.latch.wake();
        }
        Ok(TimerKey(key))
    }

    /// Takes an entry back. True if it was still pending: then `due` is not called for it. If false, `due` was called,
    /// is being called or is about to be, unless a `cancel` before this one had returned true.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        let entry = self.shared.state.lock().wheel.cancel(key.0);
        entry.is_some()
    }

    /// How many entries wait for their moment.
    #[cfg(all(test, not(drawgate_loom)))]
    pub(crate) fn pending(&self) -> usize {
        self.shared.state.lock().wheel.len()
    }

    fn start(&self) -> io::Result<()> {
        #[cfg(all(test, not(drawgate_loom)))]
        tests::start_may_fail()?;
        let shared = self.shared.clone();
        let awake = self.awake.guard();
        thread::spawn("drawgate-timer".into(), None, move || {
            awake.enter();
            let _awake = awake;
            shared.run();
        })
    }
}

impl Drop for Timer {
    /// Ends the thread, which finishes the batch in its hands, and drops what was still pending. Waits for neither.
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        let wheel = mem::replace(&mut state.wheel, Wheel::new());
        drop(state);
        self.shared.latch.wake();
        for entry in wheel.into_values() {
            let _ = isolate(|| drop(entry));
        }
    }
}

impl Shared {
    /// The thread's loop.
    fn run(&self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.latch.clear();
            let now = self.tick_before(self.clock.now());
            let mut state = self.state.lock();
            if state.stopped {
                return;
            }
            let more = state.wheel.advance(now, BATCH, &mut batch);
            let next = state.wheel.next_deadline();
            state.sleeps_to = if more { 0 } else { next.unwrap_or(u64::MAX) };
            let spare = state.wheel.shed();
            drop(state);
            drop(spare);
            for Entry { target, token } in batch.drain(..) {
                // Twice, since a target whose `Drop` panics while it unwinds from `due` would abort the process.
                let _ = isolate(|| target.due(token));
                let _ = isolate(|| drop(target));
            }
            if !more {
                self.latch.park(&self.clock, next.map_or(Deadline::NEVER, |tick| self.deadline(tick)));
            }
        }
    }

    /// The first tick that is not before `at`: an entry is never early.
    fn tick_after(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        ticks(since, since.subsec_nanos().div_ceil(NANOS_A_TICK))
    }

    /// The last tick that is not after `at`.
    fn tick_before(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        ticks(since, since.subsec_nanos() / NANOS_A_TICK)
    }

    /// When a tick begins; one too far away to be written down never does.
    fn deadline(&self, tick: u64) -> Deadline {
        self.base.checked_add(Duration::from_millis(tick)).map_or(Deadline::NEVER, Deadline::at)
    }
}

fn ticks(since: Duration, of_the_last_second: u32) -> u64 {
    since.as_secs().saturating_mul(1000).saturating_add(of_the_last_second.into())
}
