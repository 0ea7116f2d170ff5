//! The behaviour of the public API. Files mirror `src`; names of tests that begin with `p<row>_` are rows of the list of
//! GenStage's and Bloccs' behaviours that this crate matches.

#![allow(missing_docs)]

mod demand;
mod dispatch;
mod ends;
mod flow;
mod life;
mod notifications;
mod pool;
mod port;
mod stream;
mod subscriptions;
mod support;
mod timers;
