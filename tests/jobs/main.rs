//! Jobs, on both databases: each test is one body, run over a store of each.
#![cfg(unix)]

mod bell;
mod faults;
mod periodic;
mod postgres;
mod queue;
mod support;
mod work;
