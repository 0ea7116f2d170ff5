//! For tests of programs that use this crate: a clock that moves only when told, a consumer that keeps what it gets, a kit
//! for dispatchers.
//!
//! Behind the feature `test-util`.

mod dispatcher;

pub use dispatcher::check_dispatcher;

use crate::error::SpawnError;
use crate::link::Subscribe;
use crate::runtime::Runtime;
use crate::stage::{self, Builder, Handle, Nothing, SinkKind, StageRef, Upstream};
use crate::sync::chan::{Receiver, Sender, unbounded};
use crate::sync::{Arc, Clock, ManualTime};
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

/// How long a stage may be busy, in real time, before waiting for it is a failure of the test.
const WATCHDOG: Duration = Duration::from_secs(5);

/// A runtime whose time stands still until it is told to move.
///
/// ```
/// use drawgate::{prelude::*, testing};
/// use std::time::Duration;
///
/// let (rt, clock) = testing::runtime();
/// let port = Port::bounded(8).runtime(&rt).spawn()?;
/// let seen = drawgate::fold(Vec::new(), |seen, n: u32| seen.push(n)).runtime(&rt).subscribe_to(&port).spawn()?;
/// port.push_after(7, Duration::from_secs(60))?;
/// clock.advance(Duration::from_secs(59)); // returns when every stage of `rt` waits again
/// assert!(seen.call(|seen, _| seen.is_empty())?);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(seen.call(|seen, _| seen.clone())?, [7]);
/// # anyhow::Ok(())
/// ```
pub fn runtime() -> (Runtime, ManualClock) {
    let time = ManualTime::new();
    let runtime = Runtime::with_clock(Clock::Manual(time.clone()));
    (runtime.clone(), ManualClock { time, runtime })
}

/// The clock of a runtime made by [`runtime`]. A cheap clone.
///
/// ```
/// use drawgate::{prelude::*, stage::TimerId, testing};
/// use std::time::Duration;
///
/// struct Beats(u32);
/// impl Consumer for Beats {
///     type Event = ();
///     fn handle_events(&mut self, _: Events<'_, ()>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         Ok(())
///     }
///     fn handle_timer(&mut self, _: TimerId, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0 += 1;
///         Ok(())
///     }
/// }
///
/// let (rt, clock) = testing::runtime();
/// let beats = drawgate::consumer(Beats(0)).runtime(&rt).spawn()?;
/// beats.call(|_, ctx| ctx.send_interval(Duration::from_secs(60)))??;
/// clock.advance(Duration::from_secs(3600)); // takes no time
/// assert_eq!(beats.call(|beats, _| beats.0)?, 60);
/// # beats.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct ManualClock {
    time: Arc<ManualTime>,
    runtime: Runtime,
}

impl ManualClock {
    /// What time it is.
    pub fn now(&self) -> Instant {
        self.time.now()
    }

    /// Moves time on, step by step from one moment that something waits for to the next, and returns when every stage of
    /// the runtime waits again.
    ///
    /// # Panics
    /// If a stage is still busy after 5 s of real time. Stages with [`Wait::Spin`](crate::stage::Wait::Spin) always are.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        self.settle();
        let end = self.time.now() + by;
        while let Some(next) = self.time.next().filter(|next| *next <= end) {
            self.time.advance(next.saturating_duration_since(self.time.now()));
            self.settle();
        }
        self.time.advance(end.saturating_duration_since(self.time.now()));
        self.settle();
    }

    /// Returns when every stage of the runtime waits.
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    #[track_caller]
    pub fn settle(&self) {
        assert!(self.runtime.awake().wait_quiet(WATCHDOG), "a stage is still busy after {WATCHDOG:?}");
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManualClock")
    }
}

/// A consumer that keeps what it gets, for a test to look at.
///
/// ```
/// use drawgate::testing;
/// let numbers = drawgate::from_iter(0..1000).spawn()?;
/// let seen = testing::recorder().subscribe_to(&numbers).spawn()?;
/// assert_eq!(seen.take(3), [0, 1, 2]); // waits for them
/// # anyhow::Ok(())
/// ```
pub fn recorder<E: Send + 'static>() -> RecorderBuilder<E> {
    let (tell, told) = unbounded();
    let seen: Sender<E> = tell;
    let stage = stage::for_each(move |event: E| {
        let _ = seen.send(event); // the test may have what it wants
    });
    RecorderBuilder { stage, told }
}

/// A [`Recorder`] before it runs.
///
/// ```
/// use drawgate::{prelude::*, testing};
///
/// let (rt, clock) = testing::runtime();
/// let port = Port::bounded(8).runtime(&rt).spawn()?;
/// let few = Subscribe::new().max_demand(1);
/// let seen = testing::recorder().runtime(&rt).subscribe_to_with(&port, few).spawn()?;
/// port.push(7)?;
/// clock.settle();
/// assert_eq!(seen.take_all(), [7]);
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct RecorderBuilder<E: Send + 'static> {
    stage: Builder<SinkKind<E, ()>>,
    told: Receiver<E>,
}

impl<E: Send + 'static> RecorderBuilder<E> {
    /// What it runs in.
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.stage = self.stage.runtime(runtime);
        self
    }
    /// Subscribes when it starts.
    pub fn subscribe_to<U: Upstream<E> + ?Sized>(mut self, to: &U) -> Self {
        self.stage = self.stage.subscribe_to(to);
        self
    }
    /// The same with options.
    pub fn subscribe_to_with<U: Upstream<E> + ?Sized>(mut self, to: &U, options: Subscribe<E>) -> Self {
        self.stage = self.stage.subscribe_to_with(to, options);
        self
    }
    /// Starts it.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn(self) -> Result<Recorder<E>, SpawnError> {
        Ok(Recorder { stage: self.stage.spawn()?, told: self.told })
    }
}

impl<E: Send + 'static> fmt::Debug for RecorderBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecorderBuilder")
    }
}

/// See [`recorder`]. Derefs to [`StageRef`].
///
/// ```
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let seen = drawgate::testing::recorder().subscribe_to(&numbers).spawn()?;
/// assert_eq!(seen.take(2), [1, 2]); // waits for them
/// seen.join()?;
/// assert_eq!(seen.take_all(), [3]); // does not wait
/// # anyhow::Ok(())
/// ```
pub struct Recorder<E> {
    stage: Handle<E, Nothing>,
    told: Receiver<E>,
}

impl<E> Recorder<E> {
    /// Waits for `n` events and takes them.
    ///
    /// # Panics
    /// If they do not come within 5 s of real time, or the stage ends before: with how many did.
    #[track_caller]
    pub fn take(&self, n: usize) -> Vec<E> {
        let until = Clock::Real.now() + WATCHDOG;
        let mut taken = Vec::new();
        while taken.len() < n {
            match self.told.recv_deadline(until) {
                Ok(event) => taken.push(event),
                Err(why) => panic!("{} of {n} events came: {why}", taken.len()),
            }
        }
        taken
    }

    /// Takes what has come so far. Waits for nothing.
    pub fn take_all(&self) -> Vec<E> {
        self.told.try_iter().collect()
    }
}

impl<E> Deref for Recorder<E> {
    type Target = StageRef;
    fn deref(&self) -> &StageRef {
        &self.stage
    }
}
impl<E> fmt::Debug for Recorder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({:?})", &**self)
    }
}
