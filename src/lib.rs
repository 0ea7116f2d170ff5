//! Threads and bounded channels, but the consumer asks first.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod error;
pub mod flow;
mod link;
pub mod message;
mod name;
pub mod port;
pub mod registry;
pub mod runtime;
mod snapshot;
pub mod stage;
mod sync;
#[cfg(feature = "test-util")]
pub mod testing;
mod timer;

/// Which lane an event goes to.
pub mod dispatch {
    pub use crate::link::dispatch::*;
}

#[cfg(all(test, drawgate_loom))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;

pub use error::{CallError, ExitReason, PushError, RunError, SpawnError, StageError, SubscribeError};
pub use flow::{Flow, Graph, Runnable, from_iter, from_receiver, from_upstream, merge, source};
pub use message::Message;
pub use name::Name;
pub use port::{Port, PortName, WeakPort};
pub use registry::Registry;
pub use runtime::Runtime;
pub use snapshot::{Snapshot, StageStats};
pub use stage::{
    Builder, Cancel, Consumer, Context, Events, Handle, Nothing, Producer, ProducerConsumer, StageRef, StopToken,
    Stopped, Subscribe, Subscription, Upstream, consumer, consumer_with, filter, flat_map, fold, for_each, map,
    producer, producer_consumer, producer_consumer_with, producer_with, to_sender, try_for_each, try_map,
};

/// What nearly every program names. No free functions: `drawgate::map` reads better than a bare `map`.
pub mod prelude {
    pub use crate::dispatch::{BroadcastDispatcher, DemandDispatcher, PartitionDispatcher};
    pub use crate::{
        Consumer, Context, Events, ExitReason, Flow, Handle, Message, Port, PortName, Producer, ProducerConsumer,
        PushError, Runtime, Subscribe,
    };
}

pub(crate) mod sealed {
    #[allow(unnameable_types, reason = "that is its purpose")]
    pub trait Sealed {}
}
