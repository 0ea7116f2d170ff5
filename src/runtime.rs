//! What the stages of one program share: names, timer, clock, reports, the live graph.

use crate::Name;
use crate::error::ExitReason;
use crate::registry::Registry;
use crate::snapshot::Snapshot;
use crate::stage::Life;
use crate::sync::{Arc, Awake, Clock, Mutex, Rank, Weak, isolate};
use crate::timer::Timer;
use once_cell::sync::Lazy;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use crate::snapshot::StageStats;

/// What the stages of one program share. [`Runtime::global`] unless a builder says `.runtime(&rt)`: take one of your own
/// for a test, or for a part of a program that should not share names with the rest. A cheap clone.
///
/// ```
/// use drawgate::prelude::*;
/// let rt = Runtime::new();
/// let port = Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn()?;
/// assert!(rt.registry().stage("orders").is_some());
/// assert!(Runtime::global().registry().stage("orders").is_none());
/// # port.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    registry: Registry,
    clock: Clock,
    awake: Arc<Awake>,
    timer: Arc<Timer>,
    /// Rank `Life`: stages that run.
    live: Mutex<Vec<Weak<Life>>>,
    /// Rank `Life`.
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    next: u64,
    on_event: Vec<(u64, OnEvent)>,
    on_thread_start: Option<OnThreadStart>,
}
type OnThreadStart = Arc<dyn Fn(&Name) + Send + Sync>;
type OnEvent = Arc<dyn Fn(&Telemetry<'_>) + Send + Sync>;

/// Numbers of stages, over all runtimes.
static IDS: AtomicU64 = AtomicU64::new(1);
static GLOBAL: Lazy<Runtime> = Lazy::new(Runtime::new);

/// Delayed events that may be pending in one runtime.
const TIMERS: usize = 16_000_000;

impl Runtime {
    /// One of your own, with nothing in it. Its timer's thread starts with the first delayed event.
    #[allow(clippy::new_without_default, reason = "what is shared should be said, not come by default")]
    pub fn new() -> Self {
        Self::with_clock(Clock::Real)
    }

    pub(crate) fn with_clock(clock: Clock) -> Self {
        let awake = Awake::new(matches!(clock, Clock::Manual(_)));
        let timer = Timer::new(clock.clone(), &awake, TIMERS);
        Self(Arc::new(Inner {
            registry: Registry::new(),
            clock,
            awake,
            timer,
            live: Mutex::new(Rank::Life, Vec::new()),
            hooks: Mutex::new(Rank::Life, Hooks::default()),
        }))
    }

    /// The one that everything runs in that does not say otherwise.
    pub fn global() -> &'static Self {
        &GLOBAL
    }

    /// Its names.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The stages that run now, in figures. Never waits for a stage.
    pub fn snapshot(&self) -> Snapshot {
        let live: Vec<_> = self.0.live.lock().iter().filter_map(Weak::upgrade).collect();
        Snapshot::of(&live)
    }

    /// Calls `f` at the start of each of its stages' threads, on that thread, with the stage's name: for pinning and
    /// priorities. If it panics, that stage is not started. Also on the thread of a pool's worker, before its first event;
    /// there a panic is a failure of that event.
    pub fn on_thread_start(&self, f: impl Fn(&Name) + Send + Sync + 'static) {
        self.0.hooks.lock().on_thread_start = Some(Arc::new(f));
    }

    /// Calls `handler` at every [`Telemetry`] event, on the thread where it happens, under no lock. While there is one,
    /// nothing is printed to stderr by default. A panic in it is dropped.
    pub fn on_event(&self, handler: impl Fn(&Telemetry<'_>) + Send + Sync + 'static) -> HandlerId {
        let mut hooks = self.0.hooks.lock();
        hooks.next += 1;
        let id = hooks.next;
        hooks.on_event.push((id, Arc::new(handler)));
        HandlerId(id)
    }

    /// Takes a handler away again.
    pub fn remove_handler(&self, id: HandlerId) {
        let removed = {
            let mut hooks = self.0.hooks.lock();
            let at = hooks.on_event.iter().position(|(i, _)| *i == id.0);
            at.map(|at| hooks.on_event.remove(at))
        };
        drop(removed);
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }
    pub(crate) fn awake(&self) -> &Arc<Awake> {
        &self.0.awake
    }
    pub(crate) fn timer(&self) -> &Arc<Timer> {
        &self.0.timer
    }
    pub(crate) fn next_id(&self) -> u64 {
        // ORDERING: Relaxed: only has to be another number each time.
        IDS.fetch_add(1, Relaxed)
    }

    pub(crate) fn thread_started(&self, name: &Name) {
        let hook = self.0.hooks.lock().on_thread_start.clone();
        if let Some(hook) = hook {
            hook(name);
        }
    }

    pub(crate) fn enter(&self, life: &Arc<Life>) {
        self.0.live.lock().push(Arc::downgrade(life));
    }
    pub(crate) fn leave(&self, life: &Arc<Life>) {
        self.0.live.lock().retain(|l| l.as_ptr() != Arc::as_ptr(life) && l.strong_count() > 0);
    }

    /// Tells the handlers; prints one line if there are none and it is something that nobody should miss.
    pub(crate) fn report(&self, event: &Telemetry<'_>) {
        let handlers: Vec<OnEvent> = self.0.hooks.lock().on_event.iter().map(|(_, f)| f.clone()).collect();
        if handlers.is_empty() {
            if let Some(line) = event.line() {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "drawgate: {line}"); // not `eprintln`, which panics without stderr
            }
        }
        for handler in handlers {
            let _ = isolate(|| handler(event));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("registry", &self.0.registry).finish_non_exhaustive()
    }
}

/// A handler of [`Runtime::on_event`].
///
/// ```
/// use drawgate::prelude::*;
///
/// let rt = Runtime::new();
/// let (tell, told) = std::sync::mpsc::channel();
/// let handler = rt.on_event(move |event| drop(tell.send(format!("{event:?}"))));
/// Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn()?.close();
/// assert!(told.recv()?.contains("orders")); // it has ended
/// rt.remove_handler(handler);
/// assert!(told.recv().is_err()); // the closure is dropped, and its end of the channel
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerId(u64);

/// Something happened that a program may want to hear of.
///
/// ```
/// use drawgate::{prelude::*, runtime::Telemetry};
///
/// let rt = Runtime::new();
/// let (tell, told) = std::sync::mpsc::channel();
/// rt.on_event(move |event| {
///     if let Telemetry::Discarded { stage, count } = event {
///         let _ = tell.send((stage.to_string(), *count));
///     }
/// });
/// let quiet = drawgate::map(|n: u32| n).name("quiet").buffer_size(3).runtime(&rt).spawn()?;
/// quiet.call(|_, ctx| ctx.extend(1..=5))?; // nobody has asked
/// assert_eq!(told.recv()?, ("quiet".to_string(), 2));
/// # quiet.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Telemetry<'a> {
    /// Events were dropped to make room, with a broadcast consumer that left, or by a partition function.
    Discarded {
        /// Whose events.
        stage: &'a Name,
        /// How many.
        count: usize,
    },
    /// Events were in the hand of a callback that failed, or left when nobody was there to take them.
    Lost {
        /// Where.
        stage: &'a Name,
        /// How many.
        count: usize,
    },
    /// The system refused the library a thread: the timer's, one that hands on what is lost, or a worker's.
    NoThread {
        /// Whom it was for.
        stage: &'a Name,
        /// What the system said.
        cause: &'a std::io::Error,
    },
    /// A worker of a pool failed or panicked, and its event was given up.
    WorkerFailed {
        /// The pool's stage.
        stage: &'a Name,
        /// The number of the worker.
        worker: usize,
        /// What the last try ended with.
        reason: &'a ExitReason,
    },
    /// A graph, or the stream of a flow, was dropped, and a stage of it did not stop in the time that it was given: it goes
    /// on, and nobody waits for it any more.
    LeftBehind {
        /// Which.
        stage: &'a Name,
        /// How long it was waited for.
        after: Duration,
    },
    /// A graph, or the stream of a flow, was dropped, and nobody asked it for the failure that it ended with. The stage's
    /// `Ended`, which came before, said that somebody was told.
    Unheard {
        /// Which stage failed first.
        stage: &'a Name,
        /// Why.
        reason: &'a ExitReason,
    },
    /// Something went wrong that ended nothing: what [`Context::report`](crate::Context::report) says.
    Trouble {
        /// Where.
        stage: &'a Name,
        /// What.
        cause: &'a anyhow::Error,
    },
    /// A stage ended.
    Ended {
        /// Which.
        stage: &'a Name,
        /// Why.
        reason: &'a ExitReason,
        /// Whether anybody waits for its end, or owns it, and so hears of it.
        told: bool,
    },
}

fn events(n: usize) -> String {
    if n == 1 { "1 event".into() } else { format!("{n} events") }
}

impl Telemetry<'_> {
    fn line(&self) -> Option<String> {
        match self {
            Self::Discarded { stage, count } => Some(format!("stage {stage:?} discarded {}", events(*count))),
            Self::Lost { stage, count } => Some(format!("stage {stage:?} lost {}", events(*count))),
            Self::WorkerFailed { stage, worker, reason } => {
                Some(format!("worker {worker} of stage {stage:?} failed: {reason:#}"))
            }
            Self::LeftBehind { stage, after } => {
                Some(format!("stage {stage:?} did not stop within {after:?} of its graph's drop: left behind"))
            }
            Self::Trouble { stage, cause } => Some(format!("stage {stage:?}: {cause:#}")),
            Self::NoThread { stage, cause } => Some(format!("no thread for stage {stage:?}: {cause}")),
            Self::Unheard { stage, reason } => Some(format!("stage {stage:?} failed: {reason:#}")),
            Self::Ended { stage, reason, told: false } if reason.is_failure() => {
                Some(format!("stage {stage:?} failed: {reason:#}"))
            }
            Self::Ended { .. } => None,
        }
    }
}

impl Life {
    pub(crate) fn report(&self, event: &Telemetry<'_>) {
        self.runtime.report(event);
    }
}
