//! A job queue in the user's own database: EctoJob's, for programs that block.
//!
//! A job is a row of a table beside the user's own tables. It is enqueued in the user's transaction, so it exists if and
//! only if that commits; and it is removed in the transaction of the work itself, so the work's writes are there once.
//!
//! ```text
//! Queue           enqueue (in the user's transaction) · requeue · cancel · pause · counts
//!    │
//! JobProducer     demand ─► claim; woken by the bell, and when a job becomes due; extends leases
//!    │  reserved jobs, drawn by whoever is free
//! Workers         begin ─► handler ─► its writes and the job's removal in one transaction; else retry or failed
//! ```
//!
//! The states, their names and the defaults are EctoJob's: a job is `SCHEDULED` or `AVAILABLE`, then `RESERVED`, then
//! `IN_PROGRESS`; then it is gone, or due again as `RETRY`, or `FAILED` for good. Who holds one has a lease; when that
//! expires, since a process died, another takes the job over. Times are the database's clock, never the process's.
//!
//! | feature         | store                                                              |
//! |-----------------|--------------------------------------------------------------------|
//! | `jobs-sqlite`   | [`Sqlite`]: a file, compiled in; several processes of one machine  |
//! | `jobs-postgres` | [`Postgres`]: several processes and machines                       |
//! | `jobs`          | none: implement [`Store`]                                          |
//!
//! With `jobs-cron` jobs come back by the clock: [`Queue::periodic`].

#[cfg(any(feature = "jobs-sqlite", feature = "jobs-postgres"))]
mod diesel;
mod error;
mod hold;
mod job;
#[cfg(feature = "jobs-cron")]
mod periodic;
mod producer;
mod queue;
mod stats;
mod store;
mod worker;
mod workers;

#[cfg(feature = "jobs-postgres")]
pub use diesel::Postgres;
#[cfg(feature = "jobs-sqlite")]
pub use diesel::Sqlite;
#[cfg(any(feature = "jobs-sqlite", feature = "jobs-postgres"))]
pub use diesel::{Sql, StoreError};
pub use error::JobError;
pub use job::{Job, NewJob, OnDuplicate, Outcome, Reserved};
#[cfg(feature = "jobs-cron")]
pub use periodic::Periodic;
pub use producer::JobProducer;
pub use queue::{Counts, Queue, QueueBuilder};
pub use stats::{JobEvent, QueueStats};
pub use store::{Due, Filter, JobRow, JobState, Listening, NewRow, Ring, Row, Run, Store, Swept, Verdict};
pub use worker::{Finish, Worker};
pub use workers::{Workers, WorkersBuilder};
