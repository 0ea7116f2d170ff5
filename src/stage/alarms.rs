//! Timers of a stage to itself.
//!
//! The timer's thread leaves a letter when one is due; here is who decides, on the stage's thread, whether it still counts.
//! So one that was cancelled is never heard of, also if it was due already.

use crate::error::TimerError;
use crate::runtime::Runtime;
use crate::sync::Arc;
use crate::timer::{Due, TimerId, TimerKey};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::time::{Duration, Instant};

/// The shortest interval: a tick of the timer.
const TICK: Duration = Duration::from_millis(1);

pub(crate) struct Alarms {
    /// Leaves the letters.
    target: Arc<dyn Due>,
    pending: BTreeMap<TimerId, Alarm>,
    next: u64,
}

struct Alarm {
    /// None for a doorbell, and for one that is too far away to be written down.
    entry: Option<(TimerKey, Instant)>,
    every: Option<Duration>,
    /// Of a doorbell: whether it was rung since its callback began last.
    rung: Option<Arc<AtomicBool>>,
}

/// Has the `handle_timer` of the stage that made it called: [`Context::doorbell`](super::Context::doorbell). A cheap clone.
///
/// ```
/// # use drawgate::{prelude::*, stage::{Doorbell, TimerId}};
/// # struct Counts(u32);
/// # impl Consumer for Counts {
/// #     type Event = ();
/// #     fn handle_events(&mut self, _: Events<'_, ()>, _: &mut Context<'_>) -> anyhow::Result<()> { Ok(()) }
/// #     fn handle_timer(&mut self, _: TimerId, _: &mut Context<'_>) -> anyhow::Result<()> { Ok(self.0 += 1) }
/// # }
/// let counts = drawgate::consumer(Counts(0)).spawn()?;
/// let bell = counts.call(|_, ctx| ctx.doorbell())?;
/// bell.ring();
/// assert_eq!(counts.call(|counts, _| counts.0)?, 1);
/// counts.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
/// bell.ring(); // nobody hears it
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Doorbell {
    target: Arc<dyn Due>,
    id: TimerId,
    rung: Arc<AtomicBool>,
}

impl Doorbell {
    /// What `handle_timer` is called with.
    pub fn id(&self) -> TimerId {
        self.id
    }

    /// Has `handle_timer` called, between two other callbacks. Rings that come before it begins are one. Never blocks; nothing
    /// if the stage has ended, or has cancelled it as a timer.
    pub fn ring(&self) {
        // ORDERING: AcqRel: whoever finds it rung knows that what it did before is seen by the callback that is to come.
        if !self.rung.swap(true, AcqRel) {
            self.target.due(self.id.0);
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doorbell({:?})", self.id)
    }
}

impl Alarms {
    pub(super) fn new(target: Arc<dyn Due>) -> Self {
        Self { target, pending: BTreeMap::new(), next: 0 }
    }

    pub(super) fn set(
        &mut self,
        after: Duration,
        every: Option<Duration>,
        runtime: &Runtime,
    ) -> Result<TimerId, TimerError> {
        let every = every.map(|every| every.max(TICK));
        self.next += 1;
        let id = TimerId(self.next);
        let at = runtime.clock().after(every.unwrap_or(after)).instant();
        let entry = at.map(|at| self.insert(id, at, runtime)).transpose()?;
        self.pending.insert(id, Alarm { entry, every, rung: None });
        Ok(id)
    }

    pub(super) fn doorbell(&mut self) -> Doorbell {
        self.next += 1;
        let (id, rung) = (TimerId(self.next), Arc::new(AtomicBool::new(false)));
        self.pending.insert(id, Alarm { entry: None, every: None, rung: Some(rung.clone()) });
        Doorbell { target: self.target.clone(), id, rung }
    }

    fn insert(&self, id: TimerId, at: Instant, runtime: &Runtime) -> Result<(TimerKey, Instant), TimerError> {
        Ok((runtime.timer().insert(at, self.target.clone(), id.0)?, at))
    }

    pub(super) fn cancel(&mut self, id: TimerId, runtime: &Runtime) -> bool {
        let Some(alarm) = self.pending.remove(&id) else { return false };
        if let Some((key, _)) = alarm.entry {
            runtime.timer().cancel(key);
        }
        true
    }

    /// One is due: whether it still counts. One of an interval is set again, for the next moment that is to come: a stage
    /// that was busy for several hears of them once.
    pub(super) fn due(&mut self, id: TimerId, runtime: &Runtime) -> Result<bool, TimerError> {
        let Some(alarm) = self.pending.get(&id) else { return Ok(false) };
        if let Some(rung) = &alarm.rung {
            // ORDERING: AcqRel: what whoever rings from now on did before is seen by another callback.
            rung.swap(false, AcqRel);
            return Ok(true);
        }
        match (alarm.entry, alarm.every) {
            (Some((_, at)), Some(every)) => {
                let next = next_after(at, every, runtime.clock().now());
                let entry = next.map(|at| self.insert(id, at, runtime)).transpose()?;
                self.pending.insert(id, Alarm { entry, every: Some(every), rung: None });
            }
            _ => drop(self.pending.remove(&id)),
        }
        Ok(true)
    }

    pub(super) fn clear(&mut self, runtime: &Runtime) {
        for (_, alarm) in std::mem::take(&mut self.pending) {
            if let Some((key, _)) = alarm.entry {
                runtime.timer().cancel(key);
            }
        }
    }
}

/// The first of `at + every`, `at + 2 * every`, ... that is after `now`, if it can be written down.
fn next_after(at: Instant, every: Duration, now: Instant) -> Option<Instant> {
    let missed = now.saturating_duration_since(at).as_nanos() / every.as_nanos();
    let missed = u32::try_from(missed).ok()?;
    at.checked_add(every.checked_mul(missed.checked_add(1)?)?)
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;

    #[test]
    fn an_interval_keeps_its_beat_and_leaves_out_what_was_missed() {
        let (base, s) = (Clock::Real.now(), Duration::from_secs(1));
        assert_eq!(next_after(base, s, base), Some(base + s));
        assert_eq!(next_after(base, s, base + s / 2), Some(base + s));
        assert_eq!(next_after(base, s, base + s), Some(base + 2 * s));
        assert_eq!(next_after(base, s, base + 7 * s / 2), Some(base + 4 * s));
        assert_eq!(next_after(base, Duration::MAX, base), None);
    }
}
