//! Parallel steps: several threads share one lane, and, if wanted, their results are put back into order.
//!
//! For order each event gets a number where it is emitted, by a step fused into the stage above, and the stage below
//! releases results by number. A result that waits for an earlier one counts as in flight: the stage below asks a thread
//! for another only when it has released one of that thread's. So a slow event holds the others up after a bounded number.

use super::step::{Fed, Numbered};
use crate::error::BadOption;
use crate::stage::{Context, Events, Subscription};
use std::collections::BTreeMap;

/// Options of a parallel step.
///
/// ```
/// use drawgate::flow::Parallel;
/// let squares = drawgate::from_iter(0..100_u64)
///     .parallel_map_with(Parallel::new(2).in_flight(64), |n| n * n) // light work: more at a time
///     .collect()
///     .run()?;
/// assert_eq!(squares[9], 81);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Parallel {
    pub(super) threads: usize,
    in_flight: Option<usize>,
}

impl Parallel {
    /// With this many threads. At least 1.
    pub fn new(threads: usize) -> Self {
        Self { threads, in_flight: None }
    }

    /// At most this many events between the stage above and the one below. At least twice the number of threads. Defaults
    /// to four times that, because for work that is worth a thread it is enough, and what one thread holds no other can
    /// take. Take more where an event takes less than some tens of microseconds.
    pub fn in_flight(mut self, events: usize) -> Self {
        self.in_flight = Some(events);
        self
    }

    pub(super) fn check(&self) -> Result<(), BadOption> {
        if self.threads == 0 {
            return Err(BadOption::new("threads", "at least 1", 0));
        }
        match self.in_flight {
            Some(n) if n < 2 * self.threads => {
                let must = format!("at least twice the number of threads, which is {}", self.threads);
                Err(BadOption::new("in_flight", must, n))
            }
            _ => Ok(()),
        }
    }

    /// What each thread asks for above, and is asked for below: as much as its part allows. It works as long as one is
    /// wanted below, so the rest of a slice, which is half of what it asks for, may go beyond.
    pub(super) fn demand(&self) -> usize {
        let threads = self.threads.max(1);
        let part = self.in_flight.unwrap_or(4 * threads) / threads;
        let most = 2 * (part + 1) / 5;
        if in_flight(most) <= part { most.max(1) } else { most - 1 }
    }
}

/// The most events of one thread between the stage above and the one below, if it asks for `demand` above and is asked for
/// as many below.
fn in_flight(demand: usize) -> usize {
    (2 * demand + demand.div_ceil(2)).saturating_sub(1)
}

/// Events by number, until their turn comes.
pub(super) struct Ordered<E> {
    next: u64,
    early: BTreeMap<u64, (E, usize)>,
    /// Whom they came from, and how many of each were released and not asked for again.
    from: Vec<(Subscription, usize)>,
}

impl<E> Default for Ordered<E> {
    fn default() -> Self {
        Self { next: 0, early: BTreeMap::new(), from: Vec::new() }
    }
}

impl<E> Ordered<E> {
    pub(super) fn put(&mut self, events: Events<'_, Numbered<E>>) {
        let from = self.from.iter().position(|(known, _)| known == events.subscription()).unwrap_or_else(|| {
            self.from.push((events.subscription().clone(), 0));
            self.from.len() - 1
        });
        self.early.extend(events.map(|numbered| (numbered.number, (numbered.event, from))));
    }

    /// Gives out those whose turn it is.
    pub(super) fn release(&mut self, mut f: impl FnMut(E) -> Fed) -> Fed {
        while let Some((event, from)) = self.early.remove(&self.next) {
            self.next += 1;
            self.from[from].1 += 1;
            f(event)?;
        }
        Ok(())
    }

    /// Asks for as many as were released.
    pub(super) fn ask<O>(&mut self, ctx: &mut Context<'_, O>) {
        for (subscription, released) in self.from.iter_mut().filter(|(_, released)| *released > 0) {
            ctx.ask(subscription, std::mem::take(released));
        }
    }
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_parallel_step_checks_its_options() {
        assert_eq!(Parallel::new(0).check().unwrap_err().option, "threads");
        let refused = Parallel::new(4).in_flight(7).check().unwrap_err();
        assert_eq!((refused.option, &*refused.value), ("in_flight", "7"));
        assert!(Parallel::new(4).in_flight(8).check().is_ok());
    }

    #[test]
    fn each_thread_asks_for_as_much_as_its_part_allows() {
        for threads in 1..10 {
            assert_eq!(in_flight(Parallel::new(threads).demand()), 4);
            for part in 2..300 {
                let demand = Parallel::new(threads).in_flight(part * threads).demand();
                assert!(demand > 0 && in_flight(demand) <= part && in_flight(demand + 1) > part, "{demand} of {part}");
            }
        }
    }
}
