//! Worker pools: one stage that hands each event to a thread of its own, GenStage's ConsumerSupervisor.
//!
//! [`workers`] and [`workers_init`] give a [`PoolBuilder`], which spawns a [`Pool`]: a consumer with manual demand (the
//! foreman), and threads that come with the first events that find none idle, and are used again. At most so many events
//! are in work at once, however many producers there are; each producer is asked for so many, and asked again when few of
//! its events are left. A worker that fails or panics ends nothing but its event.

mod builder;
mod crew;
mod foreman;
mod handle;
mod roster;
#[cfg(all(test, not(drawgate_loom)))]
mod tests;
mod worker;

pub use builder::{PoolBuilder, workers, workers_init};
pub use handle::{Counts, Pool, Working};
pub use worker::{Failure, Worker};
