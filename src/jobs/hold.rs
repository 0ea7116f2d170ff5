//! What this process has of a queue's jobs: those in progress, whose leases are extended, and those to be given back.

use super::store::Run;
use crate::stage::{Doorbell, StopToken};
use crate::sync::{Arc, Mutex, Rank};
use std::collections::HashMap;
use std::sync::OnceLock;

/// One producer's.
pub(super) struct Hold {
    /// Rank `Latch`, a leaf: nothing is done under it but this.
    state: Mutex<State>,
    /// Rung when there is something to be given back, or a job may have become due.
    bell: OnceLock<Doorbell>,
}

#[derive(Default)]
struct State {
    /// No more is begun.
    closing: bool,
    in_progress: HashMap<i64, Held>,
    returned: Vec<Run>,
}

struct Held {
    attempt: i32,
    token: StopToken,
    cancelled: bool,
}

impl Hold {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Rank::Latch, State::default()), bell: OnceLock::new() })
    }

    pub(super) fn set_bell(&self, bell: Doorbell) {
        let _ = self.bell.set(bell);
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell.ring();
        }
    }

    /// From now on no more jobs are begun.
    pub(super) fn close(&self) {
        self.state.lock().closing = true;
    }
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    pub(super) fn began(&self, run: Run) -> StopToken {
        let token = StopToken::new();
        let held = Held { attempt: run.attempt, token: token.clone(), cancelled: false };
        // An earlier run of it that went on here, after its lease had run out, has lost it.
        let earlier = self.state.lock().in_progress.insert(run.id, held);
        if let Some(earlier) = earlier {
            earlier.token.stop();
        }
        token
    }

    /// Its run is over, however it went.
    pub(super) fn ended(&self, run: Run) {
        let mut state = self.state.lock();
        if state.in_progress.get(&run.id).is_some_and(|held| held.attempt == run.attempt) {
            state.in_progress.remove(&run.id);
        }
    }

    pub(super) fn give_back(&self, run: Run) {
        self.state.lock().returned.push(run);
        self.ring();
    }

    /// Those to be given back; they are the caller's now.
    pub(super) fn take_returned(&self) -> Vec<Run> {
        std::mem::take(&mut self.state.lock().returned)
    }

    pub(super) fn put_returned(&self, runs: Vec<Run>) {
        self.state.lock().returned.extend(runs);
    }

    pub(super) fn in_progress(&self) -> Vec<Run> {
        self.state.lock().in_progress.iter().map(|(id, held)| Run { id: *id, attempt: held.attempt }).collect()
    }

    /// Of these runs only those are still this process's: tells the others.
    pub(super) fn keep(&self, runs: &[Run], still: &[i64]) {
        let tokens: Vec<_> = {
            let state = self.state.lock();
            let lost = runs.iter().filter(|run| !still.contains(&run.id));
            let held = lost.filter_map(|run| state.in_progress.get(&run.id).filter(|held| held.attempt == run.attempt));
            held.map(|held| held.token.clone()).collect()
        };
        for token in tokens {
            token.stop();
        }
    }

    /// Tells the run of this job, if it is here, that it is cancelled. Returns whether it is.
    pub(super) fn cancel(&self, id: i64) -> bool {
        let token = {
            let mut state = self.state.lock();
            state.in_progress.get_mut(&id).map(|held| {
                held.cancelled = true;
                held.token.clone()
            })
        };
        match token {
            Some(token) => {
                token.stop();
                true
            }
            None => false,
        }
    }

    pub(super) fn is_cancelled(&self, run: Run) -> bool {
        self.state.lock().in_progress.get(&run.id).is_some_and(|held| held.attempt == run.attempt && held.cancelled)
    }

    /// Tells all runs that their time is up.
    pub(super) fn hurry(&self) {
        let tokens: Vec<_> = self.state.lock().in_progress.values().map(|held| held.token.clone()).collect();
        for token in tokens {
            token.stop();
        }
    }
}
