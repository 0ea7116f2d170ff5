//! Jobs, on both databases: each test is one body, run over a store of each.
#![cfg(all(unix, feature = "jobs-sqlite", feature = "jobs-postgres"))]

mod faults;
mod postgres;
mod queue;
mod support;
mod work;
