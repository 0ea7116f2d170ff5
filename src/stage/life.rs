//! The record of a running stage: its name, its end, who waits for that, its figures. Outlives the thread.
//!
//! Guarantees: an end is recorded once; everybody who waits for it is woken with the reason. Knows no event types.

use super::StageRef;
use super::token::StopToken;
use crate::error::ExitReason;
use crate::runtime::Runtime;
use crate::sync::atomic::Figure;
use crate::sync::chan::{Receiver, Sender, bounded};
use crate::sync::{Arc, CachePadded, Clock, Condvar, Deadline, Mutex, Rank, Weak};
use crate::{Name, link};
use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// What a stage is told from outside, besides mail.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Take in nothing more; what is inside is still handled.
    Close,
    Stop(ExitReason),
}

/// Wakes a stage whatever its mail is made of.
pub(crate) trait Nudge: Send + Sync {
    fn nudge(&self);
}
impl<M: Send> Nudge for link::Mailbox<M> {
    fn nudge(&self) {
        link::Mailbox::nudge(self);
    }
}

/// Outlet figures of a stage, whatever its events.
pub(crate) trait Sending: Send + Sync {
    fn figures(&self) -> link::OutletFigures;
}
impl<E: Send + 'static> Sending for link::Outlet<E> {
    fn figures(&self) -> link::OutletFigures {
        link::Outlet::figures(self)
    }
}

/// The threads that a stage gives its events to.
pub(crate) trait Crewed: Send + Sync {
    fn figures(&self) -> CrewFigures;
}
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrewFigures {
    /// Threads there are now, and how many of them are at an event.
    pub(crate) threads: usize,
    pub(crate) running: usize,
    /// Added up over all threads there were.
    pub(crate) busy: Duration,
    pub(crate) idle: Duration,
}

/// Hears of a failure before anybody downstream does.
pub(crate) trait Watcher: Send + Sync {
    fn ending(&self, stage: &Name, reason: &ExitReason);
    /// After everybody who waits for that stage has heard.
    fn ended(&self);
}

pub(crate) struct Life {
    pub(crate) id: u64,
    pub(crate) name: Name,
    pub(crate) runtime: Runtime,
    pub(crate) nudge: Arc<dyn Nudge>,
    pub(crate) sending: Option<Arc<dyn Sending>>,
    pub(crate) kind: StageKind,
    pub(crate) token: StopToken,
    pub(crate) figures: CachePadded<Figures>,
    watchers: Vec<Arc<dyn Watcher>>,
    /// Rank `Life`.
    state: Mutex<State>,
    /// Predicate: `state.reason.is_some()`. Notified once, by the stage's thread, when it has ended.
    ended: Condvar,
    /// Disconnected then, for those who wait for something else as well.
    gone: Receiver<()>,
}

/// Which of the three it is.
///
/// ```
/// use drawgate::{prelude::*, stage::StageKind};
///
/// let port = Port::bounded(8).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&port).spawn()?;
/// assert_eq!((port.stats().kind, sum.stats().kind), (StageKind::Port, StageKind::Consumer));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageKind {
    /// Emits only.
    Producer,
    /// Draws and emits.
    ProducerConsumer,
    /// Draws only.
    Consumer,
    /// A port: emits what is pushed.
    Port,
}

#[derive(Default)]
struct State {
    reason: Option<ExitReason>,
    order: Option<Order>,
    /// Of a source: the stream that its iterator waits in, or did last.
    pulls_from: Option<Weak<dyn Nudge>>,
    monitors: Vec<Sender<ExitReason>>,
    /// How many wait for the end, or own it.
    waiters: usize,
    /// The other end of `gone`.
    alive: Option<Sender<()>>,
    last_state: Option<Box<dyn Any + Send>>,
}

/// Counted by the stage's thread alone, read by anybody.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) started: std::sync::OnceLock<Instant>,
    pub(crate) ended: std::sync::OnceLock<Instant>,
    pub(crate) events_in: Figure,
    pub(crate) slices: Figure,
    pub(crate) waited: Arc<link::Waited>,
    /// Of a worker pool.
    pub(crate) crew: std::sync::OnceLock<Arc<dyn Crewed>>,
    /// A `Doing`.
    doing: Figure,
}

/// What a stage does at a given moment, for a look at one that is stuck. Each name is that of the callback.
///
/// ```
/// use drawgate::{prelude::*, stage::Doing};
/// use std::sync::mpsc;
///
/// let ((begun, begins), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
/// let port = Port::bounded(8).spawn()?;
/// let slow = drawgate::try_for_each(move |n: u32| {
///     begun.send(n)?;
///     let _ = gone.recv(); // something that takes its time
///     Ok(())
/// });
/// let slow = slow.subscribe_to(&port).spawn()?;
/// port.push(7)?;
/// begins.recv()?;
/// assert_eq!(slow.stats().doing, Doing::HandleEvents); // answers though the stage is stuck
/// drop(go);
/// port.close();
/// slow.join()?;
/// assert_eq!(slow.stats().doing, Doing::Ended);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It has a thread, and no callback has run yet.
    #[default]
    Starting,
    /// It sleeps, or hopes for a wake: nothing is to be done, or nobody downstream wants more.
    Waiting,
    /// `init`.
    Init,
    /// `handle_demand`.
    HandleDemand,
    /// `handle_events`, or the closure of a stage that is one.
    HandleEvents,
    /// `handle_subscribe`.
    HandleSubscribe,
    /// `handle_cancel`.
    HandleCancel,
    /// `handle_notification`.
    HandleNotification,
    /// `handle_timer`.
    HandleTimer,
    /// `handle_done`.
    HandleDone,
    /// A closure that came with `call` or `cast`; or it was looking at its mail.
    Call,
    /// The loop of a source, or its iterator.
    Source,
    /// `terminate`.
    Terminate,
    /// It has ended.
    Ended,
}

impl Doing {
    const ALL: [Self; 14] = [
        Self::Starting,
        Self::Waiting,
        Self::Init,
        Self::HandleDemand,
        Self::HandleEvents,
        Self::HandleSubscribe,
        Self::HandleCancel,
        Self::HandleNotification,
        Self::HandleTimer,
        Self::HandleDone,
        Self::Call,
        Self::Source,
        Self::Terminate,
        Self::Ended,
    ];
}

#[cfg(all(test, not(drawgate_loom)))]
#[test]
fn what_a_stage_does_is_read_as_it_was_written() {
    for (i, doing) in Doing::ALL.into_iter().enumerate() {
        assert_eq!(doing as usize, i, "{doing:?}");
    }
}

impl Figures {
    /// By the stage's thread, before it runs code of the user's.
    #[inline]
    pub(crate) fn set_doing(&self, doing: Doing) {
        // ORDERING: Relaxed: nothing is decided by it.
        self.doing.store(doing as u64, Relaxed);
    }
    pub(crate) fn doing(&self) -> Doing {
        let doing = Doing::ALL.get(self.doing.load(Relaxed) as usize).copied().unwrap_or_default();
        match doing {
            _ if self.ended.get().is_some() => Doing::Ended,
            Doing::Terminate | Doing::Starting | Doing::Init => doing,
            _ if self.waited.is_waiting() => Doing::Waiting,
            doing => doing,
        }
    }
    /// Adds to a figure that only this thread writes.
    #[inline]
    pub(crate) fn add(figure: &Figure, n: u64) {
        // ORDERING: Relaxed: one writer, and nothing is decided by it.
        figure.store(figure.load(Relaxed) + n, Relaxed);
    }
}

impl Life {
    #[allow(clippy::too_many_arguments, reason = "made in one place, with names")]
    pub(crate) fn new(
        id: u64,
        name: Name,
        runtime: Runtime,
        kind: StageKind,
        nudge: Arc<dyn Nudge>,
        sending: Option<Arc<dyn Sending>>,
        watchers: Vec<Arc<dyn Watcher>>,
    ) -> Arc<Self> {
        let waiters = watchers.len();
        let (alive, gone) = bounded(0);
        Arc::new(Self {
            id,
            name,
            runtime,
            nudge,
            sending,
            kind,
            token: StopToken::new(),
            figures: CachePadded::new(Figures::default()),
            watchers,
            state: Mutex::new(Rank::Life, State { waiters, alive: Some(alive), ..State::default() }),
            ended: Condvar::new(),
            gone,
        })
    }

    pub(crate) fn reason(&self) -> Option<ExitReason> {
        self.state.lock().reason.clone()
    }

    /// Gives an order; a stop is not taken back by a close.
    pub(crate) fn order(&self, order: Order) {
        let mut state = self.state.lock();
        if state.reason.is_some() || matches!((&state.order, &order), (Some(_), Order::Close)) {
            return;
        }
        state.order.get_or_insert(order.clone());
        if matches!(order, Order::Stop(_)) && matches!(state.order, Some(Order::Close)) {
            state.order = Some(order);
        }
        let pulls_from = state.pulls_from.clone();
        drop(state);
        self.token.stop();
        self.nudge.nudge();
        if let Some(stream) = pulls_from.and_then(|stream| stream.upgrade()) {
            stream.nudge();
        }
    }

    /// Says what its iterator is about to wait in, so that an order wakes that, too: at once if there is one already.
    pub(crate) fn pulls_from(&self, stream: &Arc<dyn Nudge>) {
        let mut state = self.state.lock();
        state.pulls_from = Some(Arc::downgrade(stream));
        let ordered = state.order.is_some();
        drop(state);
        if ordered {
            stream.nudge();
        }
    }

    pub(crate) fn ordered(&self) -> Option<Order> {
        self.state.lock().order.clone()
    }

    /// Before anybody downstream hears of the end.
    pub(crate) fn ending(&self, reason: &ExitReason) {
        for watcher in &self.watchers {
            watcher.ending(&self.name, reason);
        }
    }

    /// Records the end and wakes all who wait for it. Returns whether anybody was told.
    pub(crate) fn end(&self, reason: ExitReason, last_state: Option<Box<dyn Any + Send>>) -> bool {
        let mut state = self.state.lock();
        let told = state.waiters > 0 || !state.monitors.is_empty();
        state.reason = Some(reason.clone());
        state.last_state = last_state;
        let monitors = std::mem::take(&mut state.monitors);
        let alive = state.alive.take();
        drop(state);
        drop(alive);
        self.ended.notify_all();
        for monitor in monitors {
            let _ = monitor.try_send(reason.clone()); // has room for one; nobody may be listening any more
        }
        told
    }

    pub(crate) fn tell_watchers(&self) {
        for watcher in &self.watchers {
            watcher.ended();
        }
    }

    /// Waits for the end; nothing if the deadline came first. Woken by `end` only.
    pub(crate) fn wait(&self, deadline: Deadline) -> Option<ExitReason> {
        let mut state = self.state.lock();
        state.waiters += 1;
        while state.reason.is_none() {
            match deadline.instant() {
                None => state = self.ended.wait(state),
                // In real time also with a manual clock: whoever waits for a thread waits for the machine.
                Some(at) if Clock::Real.now() < at => state = self.ended.wait_until(state, at),
                Some(_) => break,
            }
        }
        state.waiters -= 1;
        state.reason.clone()
    }

    /// A channel that is disconnected by the end.
    pub(crate) fn gone(&self) -> &Receiver<()> {
        &self.gone
    }

    pub(crate) fn monitor(&self, monitor: Sender<ExitReason>) {
        let mut state = self.state.lock();
        match state.reason.clone() {
            None => state.monitors.push(monitor),
            Some(reason) => {
                drop(state);
                let _ = monitor.try_send(reason);
            }
        }
    }

    /// The state that the stage ended with: for the first who asks.
    pub(crate) fn take_state(&self) -> Option<Box<dyn Any + Send>> {
        self.state.lock().last_state.take()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().reason.is_some()
    }

    pub(crate) fn to_ref(self: &Arc<Self>) -> StageRef {
        StageRef(self.clone())
    }
}
