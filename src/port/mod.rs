//! Ports: producers fed from outside, with a bound.

mod builder;
mod carrier;
mod depot;
mod handle;
mod name;
mod shelf;
mod thread;

pub use crate::timer::TimerId;
pub use builder::PortBuilder;
pub use handle::{Port, PortStats, WeakPort};
pub use name::{On, PortName};
