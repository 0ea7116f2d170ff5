//! Flows: a whole graph in one chain.
//!
//! A flow is written from its source down. Steps after one another are fused and share a thread; [`Flow::hop`] starts a new
//! one, and so does a parallel step. Nothing runs before `run`, `spawn` or `stream`.

mod chain;
mod graph;
mod launch;
mod parallel;
mod producer;
mod step;
mod stream;

pub use chain::{Flow, from_iter, from_receiver, from_upstream, merge, source};
pub use graph::{Graph, Runnable, Stopper, Watch};
pub use parallel::Parallel;
pub use producer::ProducerBuilder;
pub use step::{Hop, Step, Then};
pub use stream::{Stream, StreamBuilder, stream};

pub use crate::error::RunError;
pub use crate::stage::{Out, Stopped};
