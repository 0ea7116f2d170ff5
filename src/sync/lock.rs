//! Mutex, rwlock and condvar, with lock ranks that debug builds assert (F7).
//!
//! Guarantees: a thread that takes a lock whose rank is not above all it holds panics in a debug build, naming both;
//! so two threads never wait for each other's locks. A lock is never poisoned: what panics under one is user code that
//! is guarded (`guarded`), or a bug.
//!
//! Does not check anything in release builds but one thing: user code that runs under a lock (a selector, a `Clone`, a
//! dispatcher) and comes back for the same stage is told by a panic, which its guard turns into the stage's failure.

use std::ops::{Deref, DerefMut};

#[cfg(all(test, drawgate_loom))]
use loom::sync as raw;
#[cfg(not(all(test, drawgate_loom)))]
use parking_lot as raw;

/// The order in which locks may be taken: a later one under an earlier one, never two of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The registry's map.
    Registry,
    /// A stage's life: its end, who waits for it, its monitors; a graph's first failure; who waits for whom.
    Life,
    /// An outlet: never two.
    Outlet,
    /// A latch or a mailbox: leaves, but for the timer's.
    Latch,
    /// The timer's entries, the manual clock's sleepers.
    Timer,
}

#[cfg(all(debug_assertions, not(all(test, drawgate_loom))))]
mod held {
    use super::Rank;
    use std::cell::RefCell;
    thread_local! { static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) }; }

    pub(super) fn take(rank: Rank) {
        // `try_with`: a lock taken while the thread's locals are being dropped is not checked.
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            let highest = held.iter().max().copied();
            if let Some(highest) = highest.filter(|h| *h >= rank) {
                drop(held);
                crate::sync::isolate::not_from_guarded_code();
                panic!("bug: a lock of rank {rank:?} was taken while one of rank {highest:?} was held");
            }
            held.push(rank);
        });
    }
    pub(super) fn give(rank: Rank) {
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if let Some(at) = held.iter().rposition(|h| *h == rank) {
                held.remove(at);
            }
        });
    }
}
#[cfg(not(all(debug_assertions, not(all(test, drawgate_loom)))))]
mod held {
    use super::Rank;
    #[inline(always)]
    pub(super) fn take(_: Rank) {}
    #[inline(always)]
    pub(super) fn give(_: Rank) {}
}

/// A mutex with a rank.
pub(crate) struct Mutex<T> {
    rank: Rank,
    raw: raw::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        Self { rank, raw: raw::Mutex::new(value) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        held::take(self.rank);
        MutexGuard { rank: self.rank, raw: Some(self.lock_raw()) }
    }

    #[cfg(not(all(test, drawgate_loom)))]
    #[inline]
    fn lock_raw(&self) -> raw::MutexGuard<'_, T> {
        match self.raw.try_lock() {
            Some(guard) => guard,
            None => self.lock_slow(),
        }
    }

    #[cfg(not(all(test, drawgate_loom)))]
    #[cold]
    fn lock_slow(&self) -> raw::MutexGuard<'_, T> {
        super::isolate::not_from_guarded_code();
        self.raw.lock()
    }

    #[cfg(all(test, drawgate_loom))]
    fn lock_raw(&self) -> raw::MutexGuard<'_, T> {
        self.raw.lock().expect("bug: a model's mutex is never poisoned")
    }
}

/// Unlocks when dropped.
pub(crate) struct MutexGuard<'a, T> {
    rank: Rank,
    /// `None` only inside `Condvar::wait` and in `drop`.
    raw: Option<raw::MutexGuard<'a, T>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        self.raw.as_ref().expect("bug: guard without lock")
    }
}
impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.raw.as_mut().expect("bug: guard without lock")
    }
}
impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.raw.take().is_some() {
            held::give(self.rank);
        }
    }
}

/// A condvar of one waiter or of waiters with one predicate. Its user writes the predicate above it.
pub(crate) struct Condvar(raw::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(raw::Condvar::new())
    }

    #[cfg(not(all(test, drawgate_loom)))]
    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard.raw.as_mut().expect("bug: guard without lock"));
        guard
    }

    /// Waits until notified or `at`, whichever is first; may also return for no reason.
    #[cfg(not(all(test, drawgate_loom)))]
    pub(crate) fn wait_until<'a, T>(&self, mut guard: MutexGuard<'a, T>, at: std::time::Instant) -> MutexGuard<'a, T> {
        self.0.wait_until(guard.raw.as_mut().expect("bug: guard without lock"), at);
        guard
    }

    #[cfg(all(test, drawgate_loom))]
    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let raw = guard.raw.take().expect("bug: guard without lock");
        guard.raw = Some(self.0.wait(raw).expect("bug: a model's mutex is never poisoned"));
        guard
    }

    /// Time does not pass in a model: only a manual clock ends a wait there.
    #[cfg(all(test, drawgate_loom))]
    pub(crate) fn wait_until<'a, T>(&self, guard: MutexGuard<'a, T>, _: std::time::Instant) -> MutexGuard<'a, T> {
        self.wait(guard)
    }

    #[inline]
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
    #[inline]
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A map that is read often. Never held across anything: a reader clones out what it came for.
pub(crate) struct RwLock<T> {
    rank: Rank,
    raw: raw::RwLock<T>,
}

impl<T> RwLock<T> {
    pub(crate) fn new(rank: Rank, value: T) -> Self {
        Self { rank, raw: raw::RwLock::new(value) }
    }

    pub(crate) fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        held::take(self.rank);
        #[cfg(not(all(test, drawgate_loom)))]
        let guard = self.raw.read();
        #[cfg(all(test, drawgate_loom))]
        let guard = self.raw.read().expect("bug: a model's lock is never poisoned");
        let r = f(&guard);
        drop(guard);
        held::give(self.rank);
        r
    }

    pub(crate) fn write<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        held::take(self.rank);
        #[cfg(not(all(test, drawgate_loom)))]
        let mut guard = self.raw.write();
        #[cfg(all(test, drawgate_loom))]
        let mut guard = self.raw.write().expect("bug: a model's lock is never poisoned");
        let r = f(&mut guard);
        drop(guard);
        held::give(self.rank);
        r
    }
}

#[cfg(all(test, debug_assertions, not(drawgate_loom)))]
mod tests {
    use super::*;
    use std::panic::AssertUnwindSafe;

    #[test]
    fn f7_a_lock_below_one_that_is_held_is_told_with_both_ranks() {
        let outlet = Mutex::new(Rank::Outlet, ());
        let latch = Mutex::new(Rank::Latch, ());
        {
            let _a = outlet.lock();
            let _b = latch.lock(); // in order: fine
        }
        let told = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let _b = latch.lock();
            let _a = outlet.lock();
        }));
        let message = told.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("rank Outlet") && message.contains("rank Latch"), "{message}");
        drop(outlet.lock()); // what was held by the thread that panicked was given back
    }

    #[test]
    fn f7_two_outlets_at_once_are_told() {
        let (a, b) = (Mutex::new(Rank::Outlet, ()), Mutex::new(Rank::Outlet, ()));
        let _a = a.lock();
        assert!(std::panic::catch_unwind(AssertUnwindSafe(|| drop(b.lock()))).is_err());
    }
}
