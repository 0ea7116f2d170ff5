//! stub
mod sync; mod name; mod link; pub mod error;
pub use name::Name;
pub mod stage { pub use crate::link::{Subscribe,Cancel}; }
/// stub
#[derive(Debug,Clone)] pub struct StageRef;
