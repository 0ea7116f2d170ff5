//! For tests of programs that use timers and deadlines: a clock that moves only when told.
//!
//! Behind the feature `test-util`.

use crate::runtime::Runtime;
use crate::sync::{Arc, Clock, ManualTime};
use std::fmt;
use std::time::{Duration, Instant};

/// How long a stage may be busy, in real time, before waiting for it is a failure of the test.
const WATCHDOG: Duration = Duration::from_secs(5);

/// A runtime whose time stands still until it is told to move.
///
/// ```
/// use drawgate::{prelude::*, testing};
/// use std::time::Duration;
///
/// let (rt, clock) = testing::runtime();
/// let port = Port::bounded(8).runtime(&rt).spawn()?;
/// let seen = drawgate::fold(Vec::new(), |seen, n: u32| seen.push(n)).runtime(&rt).subscribe_to(&port).spawn()?;
/// port.push_after(7, Duration::from_secs(60))?;
/// clock.advance(Duration::from_secs(59)); // returns when every stage of `rt` waits again
/// assert!(seen.call(|seen, _| seen.is_empty())?);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(seen.call(|seen, _| seen.clone())?, [7]);
/// # anyhow::Ok(())
/// ```
pub fn runtime() -> (Runtime, ManualClock) {
    let time = ManualTime::new();
    let runtime = Runtime::with_clock(Clock::Manual(time.clone()));
    (runtime.clone(), ManualClock { time, runtime })
}

/// The clock of a runtime made by [`runtime`]. A cheap clone.
#[derive(Clone)]
pub struct ManualClock {
    time: Arc<ManualTime>,
    runtime: Runtime,
}

impl ManualClock {
    /// What time it is.
    pub fn now(&self) -> Instant {
        self.time.now()
    }

    /// Moves time on, step by step from one moment that something waits for to the next, and returns when every stage of
    /// the runtime waits again.
    ///
    /// # Panics
    /// If a stage is still busy after 5 s of real time. Stages with [`Wait::Spin`](crate::stage::Wait::Spin) always are.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.settle();
        let end = self.time.now() + by;
        while let Some(next) = self.time.next().filter(|next| *next <= end) {
            self.time.advance(next.saturating_duration_since(self.time.now()));
            self.settle();
        }
        self.time.advance(end.saturating_duration_since(self.time.now()));
        self.settle();
    }

    /// Returns when every stage of the runtime waits.
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    #[track_caller]
    pub fn settle(&self) {
        assert!(self.runtime.awake().wait_quiet(WATCHDOG), "a stage is still busy after {WATCHDOG:?}");
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManualClock")
    }
}
