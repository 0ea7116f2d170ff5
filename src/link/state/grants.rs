//! What a producer is granted: demand is a level, handed over as numbers.
//!
//! Pure. The lanes say how much is wanted; what of it the producer was not told yet is granted. While demand is held back
//! ([`DemandMode::Accumulate`]) each rise is kept by itself instead, and released later one by one.

use super::super::DemandMode;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Grants {
    /// Granted and not yet emitted.
    told: usize,
    /// Of that, what the producer has not collected: first rises that had been held back, one by one, ...
    released: VecDeque<usize>,
    /// ... then the rest, as one sum.
    granted: usize,
    /// Rises that are held back, of which the producer was told nothing.
    held: VecDeque<usize>,
    mode: DemandMode,
}

impl Grants {
    pub(super) fn new(mode: DemandMode) -> Self {
        Self { mode, ..Self::default() }
    }
    #[inline]
    pub(super) fn mode(&self) -> DemandMode {
        self.mode
    }

    /// So much is wanted now: grants what is new of it.
    #[inline]
    pub(super) fn raise(&mut self, wanted: usize) {
        match self.mode {
            DemandMode::Forward => {
                let more = wanted.saturating_sub(self.told);
                self.granted += more;
                self.told += more;
            }
            DemandMode::Accumulate => {
                let more = wanted.saturating_sub(self.told + sum(&self.held));
                if more > 0 {
                    self.held.push_back(more);
                }
            }
        }
    }

    /// No more than this is wanted any longer: takes the rest back, the newest first, of what was not collected. What was
    /// collected stays told, and is set off against what is wanted later.
    pub(super) fn lower(&mut self, wanted: usize) {
        let mut back = (self.told + sum(&self.held)).saturating_sub(wanted);
        back -= take_newest(&mut self.held, back);
        let granted = back.min(self.granted);
        self.granted -= granted;
        self.told -= granted;
        self.told -= take_newest(&mut self.released, back - granted);
    }

    /// `n` were emitted; what was emitted unasked answers grants that were not collected, and what is held back.
    #[inline]
    pub(super) fn emitted(&mut self, n: usize) {
        if !self.held.is_empty() {
            self.answer_held(n.saturating_sub(self.told));
        }
        self.told = self.told.saturating_sub(n);
        if self.released.is_empty() {
            self.granted = self.granted.min(self.told);
        } else {
            let over = (sum(&self.released) + self.granted).saturating_sub(self.told);
            let granted = over.min(self.granted);
            self.granted -= granted;
            take_newest(&mut self.released, over - granted);
        }
    }

    #[cold]
    fn answer_held(&mut self, n: usize) {
        let mut left = n;
        while let Some(oldest) = self.held.front_mut().filter(|_| left > 0) {
            let taken = left.min(*oldest);
            *oldest -= taken;
            left -= taken;
            if *oldest == 0 {
                self.held.pop_front();
            }
        }
    }

    /// The producer comes for what it was granted: each rise that was held back by itself, else all there is.
    #[inline]
    pub(super) fn collect(&mut self) -> usize {
        self.released.pop_front().unwrap_or_else(|| std::mem::take(&mut self.granted))
    }

    /// The same for a producer that comes to emit and would add to what it has: nothing while rises wait for their turn.
    #[inline]
    pub(super) fn collect_along(&mut self) -> usize {
        if self.released.is_empty() { std::mem::take(&mut self.granted) } else { 0 }
    }

    /// Whether there is something to collect.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.granted > 0 || !self.released.is_empty()
    }

    pub(super) fn switch(&mut self, mode: DemandMode) {
        match (self.mode, mode) {
            (DemandMode::Forward, DemandMode::Accumulate) => {
                let rest = std::mem::take(&mut self.granted);
                self.held.append(&mut self.released);
                self.held.extend((rest > 0).then_some(rest));
                self.told -= sum(&self.held);
            }
            (DemandMode::Accumulate, DemandMode::Forward) => {
                self.told += sum(&self.held);
                self.released.append(&mut self.held);
            }
            (DemandMode::Forward, DemandMode::Forward) | (DemandMode::Accumulate, DemandMode::Accumulate) => {}
        }
        self.mode = mode;
    }
}

#[inline]
fn sum(rises: &VecDeque<usize>) -> usize {
    rises.iter().sum()
}

/// Takes up to `n` out of the newest; returns how many it took.
fn take_newest(rises: &mut VecDeque<usize>, n: usize) -> usize {
    let mut left = n;
    while let Some(newest) = rises.back_mut().filter(|_| left > 0) {
        let taken = left.min(*newest);
        *newest -= taken;
        left -= taken;
        if *newest == 0 {
            rises.pop_back();
        }
    }
    n - left
}

#[cfg(all(test, not(drawgate_loom)))]
mod tests {
    use super::*;
    use DemandMode::{Accumulate, Forward};

    fn collected(grants: &mut Grants) -> Vec<usize> {
        std::iter::from_fn(|| Some(grants.collect()).filter(|n| *n > 0)).collect()
    }

    #[test]
    fn demand_is_a_level() {
        let mut grants = Grants::default();
        grants.raise(10);
        grants.raise(10);
        assert_eq!(collected(&mut grants), [10]);
        grants.emitted(4); // they stand: 6 are wanted still
        grants.raise(6);
        assert!(collected(&mut grants).is_empty());
        grants.raise(8);
        assert_eq!(collected(&mut grants), [2]);
    }

    #[test]
    fn what_is_held_back_is_released_one_by_one() {
        let mut grants = Grants::default();
        grants.raise(3);
        grants.switch(Accumulate); // before it was collected
        grants.raise(5);
        grants.raise(9);
        assert!(collected(&mut grants).is_empty());
        grants.switch(Forward);
        grants.raise(10);
        assert_eq!(grants.collect(), 3);
        assert_eq!(grants.collect_along(), 0);
        grants.switch(Accumulate); // again, with two of them still there
        grants.switch(Forward);
        assert_eq!(collected(&mut grants), [2, 4, 1]);
    }

    #[test]
    fn what_is_wanted_no_longer_is_taken_from_the_newest() {
        let mut grants = Grants::default();
        grants.raise(2);
        assert_eq!(grants.collect(), 2);
        grants.switch(Accumulate);
        grants.raise(5);
        grants.raise(9);
        grants.lower(4);
        grants.switch(Forward);
        assert_eq!(collected(&mut grants), [2]);
        grants.lower(1); // it was told 4, and is left with them
        grants.raise(4);
        assert!(collected(&mut grants).is_empty());
    }

    /// Against the naive statement: told and held are never more than was ever wanted, and never more than is wanted
    /// now but for what was collected before.
    #[test]
    fn random_operations_keep_the_books() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut grants = Grants::default();
            let (mut wanted, mut owed) = (0_usize, 0_usize);
            for _ in 0..200 {
                match rng.u32(0..6) {
                    0 => {
                        wanted += rng.usize(1..9);
                        grants.raise(wanted);
                    }
                    1 => {
                        wanted -= rng.usize(0..=wanted);
                        grants.lower(wanted);
                    }
                    2 => owed += grants.collect(),
                    3 => owed += grants.collect_along(),
                    4 => {
                        let n = rng.usize(0..=wanted);
                        grants.emitted(n);
                        (wanted, owed) = (wanted - n, owed.saturating_sub(n));
                        grants.raise(wanted);
                    }
                    _ => grants.switch(if rng.bool() { Forward } else { Accumulate }),
                }
                let uncollected = sum(&grants.released) + grants.granted;
                assert!(grants.told >= uncollected);
                assert_eq!(grants.mode == Accumulate, grants.mode != Forward);
                assert!(grants.mode == Accumulate || grants.held.is_empty());
                // Nobody waits for ever: what is wanted is owed, can be collected, or is held back.
                assert!(owed + uncollected + sum(&grants.held) >= wanted, "{wanted} wanted, {owed} owed");
            }
        }
    }
}
