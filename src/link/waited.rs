//! Where the time of a stage's thread goes while it waits: written by that thread alone, read by anybody at any time.
//!
//! A wait that is going on counts as well, so that a stage that sleeps does not look busy.

use crate::sync::atomic::Figure;
use crate::sync::{Arc, Clock, Deadline, Latch, Patience};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

/// What a stage waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// Events, or demand while none was there to be had.
    Work,
    /// Room downstream.
    Room,
}

/// Times in nanoseconds, by the real clock.
pub(crate) struct Waited {
    base: Instant,
    idle: Figure,
    held_back: Figure,
    /// When the wait that is going on began, counted from `base`, twice, and what for in the lowest bit; or `NONE`.
    since: Figure,
}

const NONE: u64 = u64::MAX;

impl Default for Waited {
    fn default() -> Self {
        Self { base: Clock::Real.now(), idle: Figure::new(0), held_back: Figure::new(0), since: Figure::new(NONE) }
    }
}

impl Waited {
    /// Waits at the latch until it is woken, and counts the time.
    pub(crate) fn wait(&self, what: WaitFor, patience: &mut Patience, latch: &Arc<Latch>, clock: &Clock) {
        let waited = patience.wait(latch, clock, Deadline::NEVER, |from| self.begin(what, from));
        self.end(what, waited);
    }

    fn begin(&self, what: WaitFor, from: Instant) {
        let from = nanos(from.saturating_duration_since(self.base));
        // ORDERING: Release, as in `end`: whoever sees it sees the times before it.
        self.since.store(from * 2 + u64::from(what == WaitFor::Room), Release);
    }

    fn end(&self, what: WaitFor, waited: Duration) {
        let figure = match what {
            WaitFor::Work => &self.idle,
            WaitFor::Room => &self.held_back,
        };
        // ORDERING: one writer; Release, so that whoever sees this time sees that its wait is over, or that a later one is on.
        self.since.store(NONE, Release);
        figure.store(figure.load(Relaxed) + nanos(waited), Release);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.since.load(Acquire) != NONE
    }

    /// The times until `now`: idle, and held back.
    pub(crate) fn until(&self, now: Instant) -> (Duration, Duration) {
        // ORDERING: Acquire, times first: a time that counts a wait says that `since` is no longer that one's.
        let [mut idle, mut held_back] =
            [&self.idle, &self.held_back].map(|figure| Duration::from_nanos(figure.load(Acquire)));
        let since = self.since.load(Acquire);
        if since != NONE {
            let lasted = now.saturating_duration_since(self.base + Duration::from_nanos(since / 2));
            match since % 2 {
                0 => idle += lasted,
                _ => held_back += lasted,
            }
        }
        (idle, held_back)
    }
}

fn nanos(time: Duration) -> u64 {
    // Half of what fits: some three hundred years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2 - 1)
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_wait_that_is_going_on_counts() {
        let waited = Waited::default();
        let at = |seconds: u32| waited.base + seconds * SECOND;
        waited.begin(WaitFor::Work, at(1));
        assert_eq!(waited.until(at(4)), (3 * SECOND, Duration::ZERO));
        waited.end(WaitFor::Work, 4 * SECOND);
        assert_eq!(waited.until(at(9)), (4 * SECOND, Duration::ZERO));
        waited.begin(WaitFor::Room, at(9));
        assert_eq!(waited.until(at(11)), (4 * SECOND, 2 * SECOND));
        waited.end(WaitFor::Room, 3 * SECOND);
        assert_eq!(waited.until(at(20)), (4 * SECOND, 3 * SECOND));
    }
}
