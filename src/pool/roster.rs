//! Who works at what, and how much is asked for: plain state, which owns no lock and no thread.
//!
//! Guarantees: never more events in work than `most`; a worker that was given an event has taken it before it leaves.
//! A worker is idle (`since` is `None`), taken on (`since` is set), given its event (`given`), at it, and idle again.

use super::handle::{Counts, Working};
use crate::stage::{CrewFigures, Subscription};
use crate::sync::{Arc, Awake, Latch};
use std::time::{Duration, Instant};

pub(super) struct Roster<E> {
    /// Events in work at once, and threads.
    most: usize,
    min: Option<usize>,
    workers: Vec<Place<E>>,
    asked: Vec<Asked>,
    pub(super) handled: u64,
    pub(super) failed: u64,
    pub(super) restarted: u64,
    /// Time at events that are finished, and time that threads were there which are gone.
    busy: Duration,
    served: Duration,
    /// No more events come: whoever is idle leaves.
    ended: bool,
}

/// One worker's.
struct Place<E> {
    number: usize,
    latch: Arc<Latch>,
    given: Option<Given<E>>,
    since: Option<Instant>,
    hired: Instant,
    /// Told to leave; its state is being dropped.
    leaving: bool,
}

/// An event, and whose it was.
pub(super) struct Given<E> {
    pub(super) event: E,
    pub(super) from: Subscription,
}

/// What a subscription was asked for and has not been finished.
struct Asked {
    subscription: Subscription,
    in_flight: usize,
}

/// So many are to be asked for.
pub(super) type Ask = (Subscription, usize);

/// Where the next event can go.
pub(super) enum Seat {
    /// To this worker, which was idle.
    Idle(usize),
    /// To this one, whose thread has to be started.
    New(usize, Arc<Latch>),
    /// Nowhere yet.
    Full,
}

/// What a worker does next.
pub(super) enum Next<E> {
    Event(Given<E>),
    Wait,
    Leave,
}

impl<E> Roster<E> {
    pub(super) fn new(most: usize, min: Option<usize>) -> Self {
        let (workers, asked) = (Vec::new(), Vec::new());
        let (busy, served) = (Duration::ZERO, Duration::ZERO);
        Self { most, min, workers, asked, handled: 0, failed: 0, restarted: 0, busy, served, ended: false }
    }

    fn serving(&self) -> impl Iterator<Item = &Place<E>> {
        self.workers.iter().filter(|place| !place.leaving)
    }

    pub(super) fn in_work(&self) -> usize {
        self.workers.iter().filter(|place| place.since.is_some()).count()
    }

    /// Whether nobody is left, nor leaving.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    fn place(&mut self, number: usize) -> &mut Place<E> {
        self.workers.iter_mut().find(|place| place.number == number).expect("bug: a worker has its place until it left")
    }

    // ---- the foreman's side

    /// Takes a worker on for the next event: the idle one with the lowest number, else a new one.
    pub(super) fn seat(&mut self, now: Instant, awake: &Arc<Awake>) -> Seat {
        if self.in_work() >= self.most {
            return Seat::Full;
        }
        let idle = self.workers.iter_mut().filter(|place| place.since.is_none() && !place.leaving);
        if let Some(place) = idle.min_by_key(|place| place.number) {
            place.since = Some(now);
            return Seat::Idle(place.number);
        }
        let number = (0..).find(|n| self.workers.iter().all(|place| place.number != *n)).expect("bug: numbers end");
        let latch = Latch::new(awake);
        let (since, latch) = (Some(now), latch);
        self.workers.push(Place { number, latch: latch.clone(), given: None, since, hired: now, leaving: false });
        Seat::New(number, latch)
    }

    /// Gives an event to a worker that was taken on for it. Returns whom to wake.
    pub(super) fn give(&mut self, number: usize, given: Given<E>) -> Arc<Latch> {
        let place = self.place(number);
        place.given = Some(given);
        place.latch.clone()
    }

    /// Its thread could not be started. Returns whether there are others.
    pub(super) fn refused(&mut self, number: usize) -> bool {
        self.workers.retain(|place| place.number != number);
        self.serving().next().is_some()
    }

    pub(super) fn subscribed(&mut self, subscription: &Subscription) -> usize {
        self.asked.push(Asked { subscription: subscription.clone(), in_flight: self.most });
        self.most
    }

    pub(super) fn cancelled(&mut self, subscription: &Subscription) {
        self.asked.retain(|asked| asked.subscription != *subscription);
    }

    /// Nothing more comes and nothing more is asked for. Returns whom to wake.
    pub(super) fn end(&mut self) -> Vec<Arc<Latch>> {
        self.ended = true;
        self.asked.clear();
        self.workers.iter().map(|place| place.latch.clone()).collect()
    }

    // ---- the workers' side

    /// What this worker does next.
    pub(super) fn next(&mut self, number: usize) -> Next<E> {
        let surplus = self.ended || self.serving().count() > self.most;
        let place = self.place(number);
        match place.given.take() {
            Some(given) => Next::Event(given),
            None if surplus && place.since.is_none() => {
                place.leaving = true;
                Next::Leave
            }
            None => Next::Wait,
        }
    }

    /// This worker is through with its event. GenStage's rule: once `min_demand` or fewer of a producer's events are in
    /// flight, it is asked for what is missing.
    pub(super) fn finished(&mut self, number: usize, from: &Subscription, well: bool, now: Instant) -> Option<Ask> {
        if let Some(since) = self.place(number).since.take() {
            self.busy += now.saturating_duration_since(since);
        }
        self.handled += u64::from(well);
        let (most, min) = (self.most, self.min_demand());
        let asked = self.asked.iter_mut().find(|asked| asked.subscription == *from)?;
        asked.in_flight = asked.in_flight.saturating_sub(1);
        if asked.in_flight <= min { asked.fill(most) } else { None }
    }

    /// This worker is gone.
    pub(super) fn left(&mut self, number: usize, now: Instant) {
        let hired = self.place(number).hired;
        self.served += now.saturating_duration_since(hired);
        self.workers.retain(|place| place.number != number);
    }

    // ---- anybody's

    fn min_demand(&self) -> usize {
        self.min.unwrap_or(usize::MAX).min(self.most - 1)
    }

    /// From now on at most so many. Returns what to ask for, and whom to wake.
    pub(super) fn resize(&mut self, most: usize) -> (Vec<Ask>, Vec<Arc<Latch>>) {
        self.most = most;
        let asks = self.asked.iter_mut().filter_map(|asked| asked.fill(most)).collect();
        (asks, self.serving().map(|place| place.latch.clone()).collect())
    }

    pub(super) fn counts(&self) -> Counts {
        let (threads, running) = (self.serving().count(), self.in_work());
        let (handled, failed, restarted) = (self.handled, self.failed, self.restarted);
        Counts { threads, running, idle: threads - running, handled, failed, restarted }
    }

    pub(super) fn figures(&self, now: Instant) -> CrewFigures {
        let since = |from: Instant| now.saturating_duration_since(from);
        let busy = self.busy + self.workers.iter().filter_map(|place| place.since).map(since).sum::<Duration>();
        let there = self.served + self.workers.iter().map(|place| since(place.hired)).sum::<Duration>();
        let (threads, running) = (self.serving().count(), self.in_work());
        CrewFigures { threads, running, busy, idle: there.saturating_sub(busy) }
    }

    pub(super) fn working(&self, now: Instant) -> Vec<Working> {
        let working = |place: &Place<E>| {
            let busy = now.saturating_duration_since(place.since?);
            Some(Working { worker: place.number, busy })
        };
        self.workers.iter().filter_map(working).collect()
    }
}

impl Asked {
    /// What is missing to `most`, if anything.
    fn fill(&mut self, most: usize) -> Option<Ask> {
        let missing = most.checked_sub(self.in_flight).filter(|n| *n > 0)?;
        self.in_flight = most;
        Some((self.subscription.clone(), missing))
    }
}
