//! Threads and bounded channels, but the consumer asks first.
//!
//! A program that blocks or burns CPU is built of **stages**: OS threads that hand events downstream, only as fast as
//! somebody downstream asked for them. No async. This page is a tour; the programs in `examples/` are the next step.
//!
//! ```text
//!    push · try_push · push_timeout · push_after · sender()      handle_demand(n)
//!                      │                                               │
//!                ┌─────▼─────┐                                  ┌──────▼──────┐
//!                │   Port    │                                  │  Producer   │
//!                └─────┬─────┘                                  └──────┬──────┘
//!                      └──────────────────┬────────────────────────────┘
//!                              ┌──────────▼──────────┐
//!                    events    │     dispatcher      │    demand
//!                      │       │  lane  lane  lane   │       ▲
//!                      ▼       └──────────┬──────────┘       │
//!                                 draw    │   ▲  ask
//!                              ┌──────────▼───┴──────┐
//!                              │  ProducerConsumer   │    which emits in turn, or
//!                              │      Consumer       │    which ends it
//!                              └─────────────────────┘
//! ```
//!
//! Events go down, demand goes up, and nothing else connects two stages. An event waits in a **lane** of its producer
//! until a consumer that asked for it comes for it, so a consumer that is slow, stuck or gone holds no more than what
//! it is handling.
//!
//! # A first flow
//!
//! A [`Flow`] is a whole graph in one chain. Steps after one another share a thread; [`hop`](Flow::hop) and the
//! parallel steps start new ones, and the end has one of its own. Nothing runs before [`run`](flow::Runnable::run).
//!
//! ```
//! let longest = drawgate::from_iter(["the gate", "is raised", "to let water through"]) // a thread
//!     .flat_map(|line| line.split(' ').collect::<Vec<_>>()) // on the same one
//!     .parallel_map(4, str::len) // four more; their results come in order
//!     .fold(0, |longest, n| *longest = n.max(*longest)) // and one that ends it
//!     .run()?;
//! assert_eq!(longest, 7);
//! # anyhow::Ok(())
//! ```
//!
//! It may begin with an iterator ([`from_iter`]), a loop that reads or accepts ([`source`]), a channel
//! ([`from_receiver`]), or what somebody else emits ([`from_upstream`]); and end in a value ([`fold`](Flow::fold),
//! [`collect`](Flow::collect)), an action ([`for_each`](Flow::for_each)) or a stage of yours ([`to`](Flow::to)).
//!
//! Or its events come to you: [`stream`](Flow::stream) makes a [`Stream`] of it, an iterator on your own thread. A handle
//! and a port have one too, and [`stream()`](stream()) is one over several. What the loop does not come for is not made, and
//! leaving the loop ends the flow.
//!
//! ```
//! let mut squares = drawgate::from_iter(1_u64..).parallel_map(4, |n| n * n).stream()?;
//! let mut sum = 0;
//! for square in squares.by_ref().take_while(|n| *n <= 100) {
//!     sum += square;
//! }
//! squares.finish()?; // whether it ended well
//! assert_eq!(sum, 385);
//! # anyhow::Ok(())
//! ```
//!
//! # Back-pressure
//!
//! A consumer asks for at most [`max_demand`](Subscribe::max_demand) events that it has not handled yet; a source that
//! nobody asks does nothing. So memory is bounded by what you allow, and there is nothing to switch on. Here the source
//! could go on for ever, and is pulled five times:
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicUsize, Ordering::SeqCst}};
//! let pulled = Arc::new(AtomicUsize::new(0));
//! let count = pulled.clone();
//! let endless = std::iter::repeat_with(move || count.fetch_add(1, SeqCst));
//! let first = drawgate::from_iter(endless).take(5).collect().run()?;
//! assert_eq!(first, [0, 1, 2, 3, 4]);
//! assert_eq!(pulled.load(SeqCst), 5);
//! # anyhow::Ok(())
//! ```
//!
//! # Stages by hand
//!
//! Where a graph is no line, or a stage has several callbacks, start them one by one, as in Elixir's GenStage:
//! implement [`Producer`], [`ProducerConsumer`] or [`Consumer`], or take a closure ([`map`], [`fold`] and others),
//! `spawn`, and subscribe. A [`Handle`] looks at the state while it runs ([`call`](Handle::call)) and gives it back at
//! the end ([`finish`](Handle::finish)). Who knows GenStage finds each of its functions, callbacks and options in
//! `docs/coming-from-genstage.md`.
//!
//! ```
//! use drawgate::prelude::*;
//!
//! #[derive(Default)]
//! struct Average { sum: f64, n: u32 }
//! impl Consumer for Average {
//!     type Event = f64;
//!     fn handle_events(&mut self, events: Events<'_, f64>, _: &mut Context<'_>) -> anyhow::Result<()> {
//!         for event in events {
//!             self.sum += event;
//!             self.n += 1;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let numbers = drawgate::from_iter([1.0, 2.0, 6.0]).spawn()?;
//! let squares = drawgate::map(|x: f64| x * x).subscribe_to(&numbers).spawn()?;
//! let average = drawgate::consumer(Average::default()).name("average").spawn()?;
//! average.subscribe_with(&squares, Subscribe::new().max_demand(10))?; // or later, or to several
//! let Average { sum, n } = average.finish()?;
//! assert_eq!((sum, n), (41.0, 3));
//! # anyhow::Ok(())
//! ```
//!
//! Who gets which event is the producer's [`dispatcher`](Builder::dispatcher): whoever is free (the default), everybody
//! ([`BroadcastDispatcher`](dispatch::BroadcastDispatcher)), or by key ([`partition_by`](Builder::partition_by)).
//!
//! # Ports
//!
//! A [`Port`] is a producer that the rest of the program pushes into, from any thread. What to do when it is full is
//! the pusher's choice, and a push that fails gives its event back:
//!
//! ```
//! use drawgate::{PushError, prelude::*};
//! use std::time::Duration;
//!
//! let port = Port::bounded(2).spawn()?;
//! port.push(1)?; // waits while it is full
//! port.try_push(2)?; // never waits
//! let refused = port.push_timeout(3, Duration::from_millis(1)); // waits so long
//! assert!(matches!(refused, Err(PushError::Timeout(3))));
//!
//! let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&port).spawn()?;
//! port.push_after(4, Duration::from_millis(1))?; // comes later, also if the port is closed meanwhile
//! port.close(); // no more in; what is in is delivered
//! assert_eq!(sum.finish()?, 7);
//! # anyhow::Ok(())
//! ```
//!
//! # Names
//!
//! A stage or port with a [`name`](Builder::name) is found by it; a [`PortName`] is a name that knows its event type,
//! shared by modules that know nothing else of each other. Names belong to a [`Runtime`]: the global one, or a test's
//! own. (In a flow a name is a label for figures and errors only.)
//!
//! ```
//! use drawgate::{PushError, prelude::*};
//! static MAILS: PortName<String> = PortName::new("mails-of-the-tour");
//!
//! let port = Port::bounded(8).name(MAILS).spawn()?;
//! MAILS.push("hello".into())?; // from anywhere
//! port.close();
//! assert_eq!(port.flow().collect().run()?, ["hello"]);
//! port.join()?;
//! assert!(matches!(MAILS.push("late".into()), Err(PushError::NoProducer(_))));
//! # anyhow::Ok(())
//! ```
//!
//! # Failure
//!
//! Callbacks of yours return [`anyhow::Result`], where they may fail. An error or a panic ends the stage: what it had
//! not begun goes back to its lane, the event in its hand is lost and counted, and whoever waits for it is told. A
//! consumer whose producer failed follows the [`Cancel`] mode of its subscription. In a flow the first failure ends the
//! rest, and is what `run` returns:
//!
//! ```
//! let failed = drawgate::from_iter(["1", "x", "3"])
//!     .try_map(|s| Ok(s.parse::<i32>()?))
//!     .name("parse")
//!     .collect()
//!     .run()
//!     .unwrap_err();
//! assert_eq!(failed.to_string(), "stage `parse`: invalid digit found in string");
//!
//! // To go on after errors, let them travel as values.
//! let good = drawgate::from_iter(["1", "x", "3"]).map(|s| Ok(s.parse::<i32>()?)).divert_errors(drop).collect().run()?;
//! assert_eq!(good, [1, 3]);
//! # anyhow::Ok(())
//! ```
//!
//! A stage that fails and that nobody waits for prints one line to stderr, unless [`Runtime::on_event`] listens.
//!
//! # Shutdown
//!
//! An end travels down behind the last event: when a source is done, or a port is closed and empty, its consumers are
//! done in turn. To end a flow from elsewhere (a signal, a deadline) take its [`Stopper`](flow::Stopper): the intake
//! closes, what is inside is handled, and `join` has the result.
//!
//! ```
//! let graph = drawgate::from_iter(0..u64::MAX).fold(0_u64, |count, _| *count += 1).spawn()?;
//! graph.stopper().stop_intake(); // `stop_now` does not wait for what is inside
//! assert!(graph.join()? < u64::MAX);
//! # anyhow::Ok(())
//! ```
//!
//! Stopping is cooperative: it is heard between two callbacks. Code of yours that blocks elsewhere is woken through a
//! [`StopToken`]. Dropping a [`Graph`] closes its intake and waits, at most 5 s, and so does dropping the stream of a flow;
//! dropping a [`Handle`] stops nothing; a port without a name closes when its last [`Port`] is gone, as a channel does.
//!
//! # Looking inside
//!
//! Every stage counts. [`Runtime::snapshot`] and [`Graph::snapshot`] are the live graph as a value: a table that ends
//! in a verdict, and Graphviz. [`Graph::watch`] outlives `join`.
//!
//! ```
//! let graph = drawgate::from_iter(0..1000).name("count").hop().map(|n| n * 2).name("double").for_each(drop).spawn()?;
//! let watch = graph.watch();
//! graph.join()?;
//! let figures = watch.snapshot(); // `{figures}` is the table
//! let double = &figures.stages()[1];
//! assert_eq!((double.name.to_string(), double.events_in), ("double".to_string(), 1000));
//! # anyhow::Ok(())
//! ```
//!
//! # Tuning
//!
//! The defaults suit events that take up to some tens of microseconds each. What may be worth a thought:
//!
//! - **Demand.** What one consumer has asked for and is handling no other can take. Where an event takes milliseconds
//!   and several consumers share a producer, ask for few: `Subscribe::new().max_demand(2)`. The parallel steps of a
//!   flow do so by themselves ([`Parallel::in_flight`](flow::Parallel::in_flight)); give them more where an event is
//!   light.
//! - **Hops.** An event that takes less than a microsecond is not worth a thread boundary: let it share a thread with
//!   its neighbours, or hand down [`chunks`](Flow::chunks).
//! - **Waiting.** A thread with nothing to do spins for a moment, then sleeps ([`stage::Wait::Adaptive`]). `Park` saves
//!   that CPU; `Spin` never sleeps, for a stage with a core of its own.
//!
//! ```
//! use drawgate::{prelude::*, stage::Wait};
//! let port = Port::bounded(1000).spawn()?;
//! let worker = || {
//!     drawgate::fold(0, |sum, n: u64| *sum += n)
//!         .wait(Wait::Park)
//!         .subscribe_to_with(&port, Subscribe::new().max_demand(2))
//!         .spawn()
//! };
//! let (a, b) = (worker()?, worker()?);
//! port.push_all((0..100).collect()).map_err(|e| e.kind())?;
//! port.close();
//! assert_eq!(a.finish()? + b.finish()?, 4950);
//! # anyhow::Ok(())
//! ```
//!
//! # Which one do I need?
//!
//! | you have                                                        | take                                           |
//! |-----------------------------------------------------------------|------------------------------------------------|
//! | data in memory, and only CPU to spend on it                     | rayon: it splits, and hands nothing over       |
//! | two threads and one queue between them                          | a bounded crossbeam channel                    |
//! | tens of thousands of connections that mostly wait               | async: a thread for each is too dear           |
//! | work that must outlive the process                              | `jobs`, a queue in your database; or a broker  |
//! | steps that read, block, compute and write, one after the other  | a [`Flow`]                                     |
//! | events that each take long, and must not end each other         | a pool of [`workers`]                          |
//! | a program that takes in events and must not be overrun          | a [`Port`], and stages or a flow behind it     |
//! | a graph with state, several consumers, a life of its own        | stages by hand                                 |
//!
//! They mix: [`from_receiver`], [`to_sender`] and [`Port::sender`] speak to crossbeam's channels, and a stage's closure
//! may well call rayon.

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod error;
pub mod flow;
#[cfg(feature = "jobs")]
pub mod jobs;
mod link;
pub mod message;
mod name;
pub mod pool;
pub mod port;
pub mod registry;
pub mod runtime;
mod snapshot;
pub mod stage;
mod sync;
#[cfg(feature = "test-util")]
pub mod testing;
mod timer;

#[cfg(all(test, drawgate_loom))]
#[path = "../loom-tests/mod.rs"]
mod loom_tests;

pub use error::{CallError, ExitReason, PushError, RunError, SpawnError, StageError, SubscribeError};
pub use flow::{Flow, Graph, Runnable, Stream, from_iter, from_receiver, from_upstream, merge, source, stream};
pub use link::dispatch;
pub use message::Message;
pub use name::Name;
pub use pool::{Pool, workers, workers_init};
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

/// The same for the page that maps EctoJob to this crate.
#[cfg(all(doctest, feature = "jobs-sqlite"))]
#[doc = include_str!("../docs/coming-from-ectojob.md")]
struct ComingFromEctoJob;

/// The README's programs, compiled and run with the doc tests.
#[cfg(all(doctest, feature = "jobs-postgres"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same for the page that maps GenStage to this crate.
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-genstage.md")]
struct ComingFromGenStage;

pub(crate) mod sealed {
    #[allow(unnameable_types, reason = "that is its purpose")]
    pub trait Sealed {}
}
