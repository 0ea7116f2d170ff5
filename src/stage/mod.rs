//! Stages: a state, and the thread that runs its callbacks.
//!
//! Three traits for state with several callbacks ([`Producer`], [`ProducerConsumer`], [`Consumer`]), functions for stages
//! that are one closure ([`map`], [`filter`], [`fold`] and others), a [`Builder`] to start them, a [`Handle`] to what runs.

mod alarms;
mod builder;
mod closures;
mod context;
mod current;
mod events;
mod handle;
mod kind;
mod life;
mod run;
mod source;
mod subscription;
mod token;
mod traits;
mod upstream;

pub use crate::link::{BufferKeep, Cancel, Demand, DemandMode, Notification, Subscribe};
pub use crate::sync::Wait;
pub use crate::timer::TimerId;
pub use alarms::Doorbell;
pub use builder::{
    Builder, consumer, consumer_with, producer, producer_consumer, producer_consumer_with, producer_with,
};
pub use closures::{SinkKind, StepKind, filter, flat_map, fold, for_each, map, to_sender, try_for_each, try_map};
pub use context::Context;
pub use events::Events;
pub use handle::{Event, Handle, Nothing, Reply, StageRef};
pub use kind::{ConsumerKind, Draws, Emits, HandleOf, Kind, ProducerConsumerKind, ProducerKind};
pub use life::{Doing, StageKind};
pub use source::{Out, SourceKind, Stopped};
pub use subscription::Subscription;
pub use token::StopToken;
pub use traits::{Consumer, Init, Peer, PeerSide, Producer, ProducerConsumer};
pub use upstream::Upstream;

pub(crate) use builder::{Declared, EmitOptions, Resolve, keep};
pub(crate) use closures::{SinkBody, Sinks, Slices, StepBody};
pub(crate) use context::Emitter;
pub(crate) use current::{pull, puller, wait_for};
pub(crate) use handle::HandleParts;
pub(crate) use kind::{Behaviour, Never};
pub(crate) use life::{CrewFigures, Crewed, Life, Nudge, Order, Watcher};
pub(crate) use run::{GaveUp, Running, start};
pub(crate) use source::{SourceBody, SourceSink};
