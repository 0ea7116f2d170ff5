//! What the foreman, the workers and the handles of one pool share: the roster, and where the foreman waits.

use super::roster::{Ask, Given, Next, Roster};
use crate::runtime::Runtime;
use crate::stage::{CrewFigures, Crewed, Subscription};
use crate::sync::{Arc, Clock, Deadline, Latch, Mutex, MutexGuard, Rank};

pub(super) struct Crew<E> {
    /// Rank `Life`. Nothing else is locked under it, and no code of the user's runs.
    roster: Mutex<Roster<E>>,
    /// Where the foreman waits for workers. Woken at every change that it could wait for.
    pub(super) room: Arc<Latch>,
    pub(super) runtime: Runtime,
}

impl<E> Crew<E> {
    pub(super) fn new(most: usize, min: Option<usize>, runtime: &Runtime) -> Arc<Self> {
        Arc::new(Self {
            roster: Mutex::new(Rank::Life, Roster::new(most, min)),
            room: Latch::new(runtime.awake()),
            runtime: runtime.clone(),
        })
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster<E>> {
        self.roster.lock()
    }

    pub(super) fn clock(&self) -> &Clock {
        self.runtime.clock()
    }

    /// Waits, on the foreman's thread, until it is so. Woken by workers.
    pub(super) fn wait_until(&self, is_so: impl Fn(&Roster<E>) -> bool) {
        loop {
            self.room.clear();
            if is_so(&self.roster()) {
                return;
            }
            self.room.park(self.clock(), Deadline::NEVER);
        }
    }

    /// What this worker does next; it waits at its latch until there is something.
    pub(super) fn next(&self, number: usize, latch: &Arc<Latch>) -> Option<Given<E>> {
        loop {
            latch.clear();
            let next = self.roster().next(number);
            match next {
                Next::Event(given) => return Some(given),
                Next::Leave => return None,
                Next::Wait => latch.park(self.clock(), Deadline::NEVER),
            }
        }
    }

    pub(super) fn finished(&self, number: usize, from: &Subscription, well: bool) {
        let now = self.clock().now();
        let ask = self.roster().finished(number, from, well, now);
        self.room.wake();
        ask_for(ask);
    }

    pub(super) fn left(&self, number: usize) {
        let now = self.clock().now();
        self.roster().left(number, now);
        self.room.wake();
    }

    pub(super) fn resize(&self, most: usize) {
        let (asks, latches) = self.roster().resize(most);
        wake(latches);
        self.room.wake();
        ask_for(asks);
    }

    /// Lets whoever is in work finish, and waits until all have left.
    pub(super) fn end(&self) {
        let latches = self.roster().end();
        wake(latches);
        self.wait_until(Roster::is_empty);
    }
}

impl<E: Send> Crewed for Crew<E> {
    fn figures(&self) -> CrewFigures {
        let now = self.clock().now();
        self.roster().figures(now)
    }
}

fn wake(latches: Vec<Arc<Latch>>) {
    for latch in latches {
        latch.wake();
    }
}

fn ask_for(asks: impl IntoIterator<Item = Ask>) {
    for (subscription, n) in asks {
        let _ = subscription.ask(n); // one that has ended needs no more
    }
}
