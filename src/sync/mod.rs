//! The one shim between this crate and the machine: the only folder that names parking_lot, `std::thread`,
//! `Instant::now` or loom. Channels that users hand in or get are crossbeam's, there as well as here.
//!
//! Everything that waits, waits here or through what is here: [`Latch`] is the waiting place of every thread of the
//! crate, [`Clock`] its time, [`Mutex`] its locks, with their ranks. Under the crate's own cfg `drawgate_loom` (tests
//! only) the same names are loom's, so that models run the library's code itself.

mod clock;
mod isolate;
#[cfg_attr(all(test, drawgate_loom), allow(dead_code, reason = "models neither count threads nor spin"))]
mod latch;
#[allow(clippy::disallowed_types, reason = "this is the place that may")]
mod lock;
#[cfg_attr(all(test, drawgate_loom), allow(dead_code, reason = "models do not spin"))]
pub(crate) mod thread;

#[cfg(any(test, feature = "test-util"))]
pub(crate) use clock::ManualTime;
pub(crate) use clock::{Clock, Deadline};
pub(crate) use isolate::{drop_each, guarded, isolate, not_from_guarded_code};
pub use latch::Wait;
pub(crate) use latch::{Awake, Latch, Patience};
pub(crate) use lock::{Condvar, Mutex, MutexGuard, Rank, RwLock};

/// Channels that users see and replies that are waited for with a limit. Never used in code that loom models.
pub(crate) mod chan {
    #[cfg(feature = "test-util")]
    pub(crate) use crossbeam_channel::unbounded;
    pub(crate) use crossbeam_channel::{Receiver, Sender, bounded};
}

pub(crate) use crossbeam_utils::CachePadded;
/// Always std's: loom's cannot become `Arc<dyn Trait>`, and no count is part of a protocol here.
pub(crate) use std::sync::{Arc, Weak};

/// Atomics, std's or loom's.
pub(crate) mod atomic {
    #[cfg(all(test, drawgate_loom))]
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32};
    pub(crate) use std::sync::atomic::Ordering;
    #[cfg(not(all(test, drawgate_loom)))]
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
    /// A figure that nothing is decided by; std's also under loom, where each access would only multiply executions.
    pub(crate) type Figure = std::sync::atomic::AtomicU64;
}
