//! Which stage a thread is, and which stages wait for which, so that waiting in a ring is an error and not a hang.
//!
//! Only consulted where a thread is about to wait for a stage: never on the data path.

use super::life::Life;
use crate::Name;
use crate::sync::{Arc, Mutex, Rank, not_from_guarded_code};
use once_cell::sync::Lazy;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

thread_local! { static CURRENT: RefCell<Option<Arc<Life>>> = const { RefCell::new(None) }; }

thread_local! {
    /// Whether the stage is in its iterator, which makes the next event.
    static PULLING: Cell<bool> = const { Cell::new(false) };
}

/// Rank `Life`: who waits for whom, over all runtimes.
static WAITS: Lazy<Mutex<HashMap<u64, Waits>>> = Lazy::new(|| Mutex::new(Rank::Life, HashMap::new()));

struct Waits {
    /// Which of the waits of this thread it is.
    number: u64,
    /// It goes on when any of these does.
    for_any_of: Vec<(u64, Name)>,
    /// Set once it can go on, though it may not have run yet.
    free: Arc<AtomicBool>,
}

pub(super) fn set(life: &Arc<Life>) {
    CURRENT.with(|current| *current.borrow_mut() = Some(life.clone()));
}
pub(super) fn clear() {
    CURRENT.with(|current| *current.borrow_mut() = None);
}

/// Takes the next event of a source out of its iterator. What waits inside may give up when the stage is told to end:
/// nothing that is made there is emitted after that.
#[inline]
pub(crate) fn pull<T>(iter: &mut impl Iterator<Item = T>) -> Option<T> {
    PULLING.set(true);
    let item = iter.next();
    PULLING.set(false); // after a panic the stage ends
    item
}

/// The stage in whose iterator the calling code is, if it is in one.
pub(crate) fn puller() -> Option<Arc<Life>> {
    if !PULLING.get() {
        return None;
    }
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Published until the first of its clones is dropped. Whoever answers has one, and drops it before the answer: from then
/// on the thread that waits can go on, though it may not have run yet.
#[derive(Clone)]
#[must_use]
pub(crate) struct Waiting(Option<(u64, u64)>);
impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((me, number)) = self.0 {
            let mut waits = WAITS.lock();
            if waits.get(&me).is_some_and(|waits| waits.number == number) {
                waits.remove(&me);
            }
        }
    }
}

/// Numbers of waits.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Publishes that this thread, if it is a stage, waits for any of these stages. `Err` names the ring that would make,
/// beginning with this stage. Who waits for none, but for a moment or for somebody who may come, is in no ring; nor is
/// one that was set `free`.
pub(crate) fn wait_for(any_of: Vec<(u64, Name)>, free: &Arc<AtomicBool>) -> Result<Waiting, Vec<Name>> {
    not_from_guarded_code();
    if any_of.is_empty() {
        return Ok(Waiting(None));
    }
    let me = CURRENT.try_with(|current| current.borrow().as_ref().map(|life| (life.id, life.name.clone())));
    let Ok(Some((me, name))) = me else { return Ok(Waiting(None)) };
    let mut waits = WAITS.lock();
    let mut ring = vec![(me, name)];
    if any_of.iter().all(|(id, name)| leads_to(&waits, *id, name, me, &mut ring)) {
        return Err(ring.into_iter().map(|(_, name)| name).collect());
    }
    // ORDERING: Relaxed: only has to be another number each time.
    let number = NUMBERS.fetch_add(1, Relaxed);
    waits.insert(me, Waits { number, for_any_of: any_of, free: free.clone() });
    Ok(Waiting(Some((me, number))))
}

/// Whether `from` can go on only when `goal` does.
fn leads_to(waits: &HashMap<u64, Waits>, from: u64, name: &Name, goal: u64, ring: &mut Vec<(u64, Name)>) -> bool {
    if from == goal {
        return true;
    }
    // ORDERING: Relaxed: set before a lock that this thread has met since, or by this thread.
    let Some(next) = waits.get(&from).filter(|waits| !waits.free.load(Relaxed)) else { return false };
    if ring.iter().any(|(id, _)| *id == from) {
        return true; // a ring of others, or one that is being followed already
    }
    ring.push((from, name.clone()));
    let stuck = next.for_any_of.iter().all(|(id, name)| leads_to(waits, *id, name, goal, ring));
    if !stuck {
        ring.pop();
    }
    stuck
}
