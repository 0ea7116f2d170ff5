//! Time: the machine's monotonic clock, or one that moves only when told.
//!
//! A wait with a limit is always a [`Latch`] wait with a [`Deadline`]. With the real clock the latch's condvar times
//! out; with a manual one the latch is entered with the clock, and moving the clock wakes it. So tests and models need
//! no sleep, and in a model, where timed waits never fire, a deadline is still something that can pass.

use super::{Arc, Latch, Mutex, Weak};
use std::time::{Duration, Instant};

/// What a runtime takes its time from.
#[derive(Clone)]
pub(crate) enum Clock {
    Real,
    #[cfg_attr(not(any(test, feature = "test-util")), allow(dead_code, reason = "made by tests"))]
    Manual(Arc<ManualTime>),
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the place that may")]
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Real => Instant::now(),
            Clock::Manual(time) => time.now(),
        }
    }

    /// The moment `limit` from now; one too far away to be written down never comes.
    pub(crate) fn after(&self, limit: Duration) -> Deadline {
        Deadline(self.now().checked_add(limit))
    }
}

/// The moment a wait ends at latest, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) const NEVER: Self = Self(None);

    pub(crate) fn at(at: Instant) -> Self {
        Self(Some(at))
    }
    pub(crate) fn instant(&self) -> Option<Instant> {
        self.0
    }
    pub(crate) fn passed(&self, clock: &Clock) -> bool {
        self.0.is_some_and(|at| clock.now() >= at)
    }
    pub(crate) fn is_never(&self) -> bool {
        self.0.is_none()
    }
}

/// A time that stands still until it is moved.
pub(crate) struct ManualTime {
    base: Instant,
    /// Rank `Timer`, a leaf: the time since `base`, and the latches of those who wait for a moment.
    state: Mutex<ManualState>,
}

struct ManualState {
    since: Duration,
    sleepers: Vec<(Instant, Weak<Latch>)>,
}

impl ManualTime {
    #[cfg(any(test, feature = "test-util"))]
    #[allow(clippy::disallowed_methods, reason = "this is the place that may")]
    pub(crate) fn new() -> Arc<Self> {
        let state = ManualState { since: Duration::ZERO, sleepers: Vec::new() };
        Arc::new(Self { base: Instant::now(), state: Mutex::new(super::Rank::Timer, state) })
    }

    pub(crate) fn now(&self) -> Instant {
        self.base + self.state.lock().since
    }

    /// Enters a latch to be woken at `at`. Returns false, and enters nothing, if that moment is here.
    pub(super) fn enter(&self, at: Instant, latch: &Arc<Latch>) -> bool {
        let mut state = self.state.lock();
        if self.base + state.since >= at {
            return false;
        }
        state.sleepers.retain(|(_, l)| l.strong_count() > 0);
        state.sleepers.push((at, Arc::downgrade(latch)));
        true
    }

    /// Takes a latch out again, once per `enter`.
    pub(super) fn leave(&self, at: Instant, latch: &Arc<Latch>) {
        let mut state = self.state.lock();
        if let Some(i) = state.sleepers.iter().position(|(t, l)| *t == at && l.as_ptr() == Arc::as_ptr(latch)) {
            state.sleepers.swap_remove(i);
        }
    }

    /// The earliest moment somebody waits for.
    #[cfg_attr(not(feature = "test-util"), allow(dead_code, reason = "only a manual clock of users asks"))]
    pub(crate) fn next(&self) -> Option<Instant> {
        self.state.lock().sleepers.iter().map(|(at, _)| *at).min()
    }

    /// Moves time on and wakes whom that concerns.
    #[cfg_attr(not(any(test, feature = "test-util")), allow(dead_code, reason = "time is moved by tests"))]
    pub(crate) fn advance(&self, by: Duration) {
        let mut due = Vec::new();
        let mut state = self.state.lock();
        state.since += by;
        let now = self.base + state.since;
        state.sleepers.retain(|(at, latch)| {
            let later = *at > now;
            if !later {
                due.extend(latch.upgrade());
            }
            later
        });
        drop(state);
        for latch in due {
            latch.wake();
        }
    }
}
