//! Every error of the crate, and the reasons for which stages end.
//!
//! Guarantees: an error names the stage or the option and the value it is about; a push that fails gives its event
//! back; a normal end is a value and no error. `Display` is written by hand: a derive would double the core's tree.

use crate::{Name, StageRef, sync::Arc, timer::Refused};
use std::{error::Error, fmt, io, time::Duration};

/// Why a stage ended. Many hear of one reason (every consumer, monitor and `join`), hence the `Arc`s.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::<u32>::bounded(8).spawn()?;
/// let ended = port.monitor();
/// port.close(); // nothing more to emit
/// assert!(matches!(ended.recv()?, ExitReason::Done));
///
/// let parsed = drawgate::from_iter(["1", "x"]).try_map(|s| Ok(s.parse::<i32>()?)).collect().spawn()?;
/// let failed = parsed.join().unwrap_err();
/// let ExitReason::Error(cause) = failed.reason else { anyhow::bail!("no callback returned an error") };
/// assert!(cause.is::<std::num::ParseIntError>());
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExitReason {
    /// It had nothing more to emit, or all it drew from was done.
    Done,
    /// It was stopped with this reason.
    Normal,
    /// It was stopped as part of something larger that ends.
    Shutdown,
    /// A callback returned an error.
    Error(Arc<anyhow::Error>),
    /// A callback panicked, with this message.
    Panic(Arc<str>),
}

impl ExitReason {
    /// An error as a reason.
    pub fn error(cause: impl Into<anyhow::Error>) -> Self {
        Self::Error(Arc::new(cause.into()))
    }

    /// Whether this is a failure: an error or a panic.
    ///
    /// ```
    /// use drawgate::ExitReason;
    /// assert!(!ExitReason::Done.is_failure() && !ExitReason::Shutdown.is_failure());
    /// assert!(ExitReason::Panic("oops".into()).is_failure());
    /// ```
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Panic(_))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            // `{:#}` also tells the causes behind it, as anyhow does.
            Self::Error(cause) if f.alternate() => write!(f, "{cause:#}"),
            Self::Error(cause) => write!(f, "{cause}"),
            Self::Panic(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// Why a subscription ended, as its two sides are told.
///
/// ```
/// use drawgate::{error::CancelReason, prelude::*, stage::Peer};
///
/// struct Last(Option<CancelReason>);
/// impl Consumer for Last {
///     type Event = u32;
///     fn handle_events(&mut self, _: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         Ok(())
///     }
///     fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.0 = Some(why.clone());
///         Ok(())
///     }
/// }
///
/// let port = Port::bounded(8).spawn()?;
/// let last = drawgate::consumer(Last(None)).subscribe_to(&port).spawn()?;
/// port.close();
/// assert!(matches!(last.finish()?.0, Some(CancelReason::Down(ExitReason::Done))));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CancelReason {
    /// One side cancelled it.
    Cancelled,
    /// One side cancelled it, and said why.
    CancelledWith(ExitReason),
    /// The consumer put another subscription in its place, which ends nobody.
    Replaced,
    /// The other side ended, for this reason.
    Down(ExitReason),
    /// It was declared on a builder, and there was no such producer. Found inside [`SubscriptionLost`] only: `handle_cancel` is
    /// about subscriptions that were made.
    NoProducer,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::CancelledWith(reason) => write!(f, "cancelled: {reason}"),
            Self::Replaced => f.write_str("another subscription took its place"),
            Self::Down(reason) => write!(f, "the other side ended: {reason}"),
            Self::NoProducer => f.write_str("no such producer"),
        }
    }
}

/// A permanent consumer lost the producer it drew from by something else than an end: the cause inside
/// [`ExitReason::Error`] of that consumer.
///
/// ```
/// use drawgate::error::{CancelReason, SubscriptionLost};
/// use drawgate::prelude::*;
///
/// let port = Port::<u32>::bounded(8).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let ended = sum.monitor();
/// sum.subscribe(&port)?.cancel(); // says no reason
/// let ExitReason::Error(cause) = ended.recv()? else { anyhow::bail!("it lives without its producer") };
/// let lost = cause.downcast_ref::<SubscriptionLost>();
/// assert!(lost.is_some_and(|lost| lost.producer == *port.name() && matches!(lost.reason, CancelReason::Cancelled)));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriptionLost {
    /// Whom it drew from.
    pub producer: Name,
    /// What happened.
    pub reason: CancelReason,
}

impl fmt::Display for SubscriptionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the subscription to {:?} was lost: {}", self.producer, self.reason)
    }
}
impl Error for SubscriptionLost {}

/// A stage that did not end well: what `join`, `finish` and `run` return.
///
/// ```
/// let parsed = drawgate::from_iter(["1", "x"]).try_map(|s| Ok(s.parse::<i32>()?)).name("parse").collect().spawn()?;
/// let failed = parsed.join().unwrap_err();
/// assert!(failed.stage == "parse".into() && failed.reason.is_failure());
/// assert_eq!(failed.to_string(), "stage `parse`: invalid digit found in string");
/// assert!(failed.stuck.is_empty()); // the other stages have stopped
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageError {
    /// Which stage.
    pub stage: Name,
    /// Why it ended.
    pub reason: ExitReason,
    /// Stages that did not stop within the limit after that, and go on running.
    pub stuck: Vec<Name>,
}

impl StageError {
    pub(crate) fn new(stage: Name, reason: ExitReason) -> Self {
        Self { stage, reason, stuck: Vec::new() }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {:?}: {}", self.stage, self.reason)?;
        match self.stuck.is_empty() {
            true => Ok(()),
            false => write!(f, " (still running: {:?})", self.stuck),
        }
    }
}
impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            // The cause itself is in the message; what is behind it is not.
            ExitReason::Error(cause) => (***cause).source(),
            _ => None,
        }
    }
}

/// An option out of range: which, what it must be, what it was.
///
/// ```
/// let pool = drawgate::workers(|_: u32| Ok(())).threads(2).spawn()?;
/// let refused = pool.resize(0).unwrap_err(); // and the pool is as it was
/// assert_eq!((refused.option, &*refused.must, &*refused.value), ("threads", "at least 1", "0"));
/// # pool.request_stop(drawgate::ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadOption {
    /// The option's name, as the method that sets it is called.
    pub option: &'static str,
    /// What it must be.
    pub must: String,
    /// What it was.
    pub value: String,
}

impl BadOption {
    pub(crate) fn new(option: &'static str, must: impl Into<String>, value: impl fmt::Display) -> Self {
        Self { option, must: must.into(), value: value.to_string() }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}` must be {}, and was {}", self.option, self.must, self.value)
    }
}
impl Error for BadOption {}

/// Why a stage could not be started. No thread, name or subscription of it is left.
///
/// ```
/// use drawgate::{SpawnError, prelude::*};
///
/// let rt = Runtime::new();
/// let open = || Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn();
/// let first = open()?;
/// let Err(SpawnError::NameTaken { holder, .. }) = open() else { anyhow::bail!("two have one name") };
/// first.close();
/// holder.join()?; // from here on the name is free
/// assert!(open().is_ok());
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// `init` failed or panicked.
    Init {
        /// The stage.
        stage: Name,
        /// What `init` returned.
        cause: anyhow::Error,
    },
    /// `init` returned [`Init::Decline`](crate::stage::Init::Decline).
    Declined {
        /// The stage.
        stage: Name,
    },
    /// The name belongs to somebody.
    NameTaken {
        /// The name.
        name: Name,
        /// Who has it.
        holder: StageRef,
    },
    /// An option is out of range.
    BadOption {
        /// The stage.
        stage: Name,
        /// Which option.
        cause: BadOption,
    },
    /// A subscription that was declared is not possible.
    Subscribe {
        /// The stage.
        stage: Name,
        /// Why not.
        cause: SubscribeError,
    },
    /// The system refused a thread.
    Thread {
        /// The stage, or the part of the library, it was for.
        stage: Name,
        /// What the system said.
        cause: io::Error,
    },
    /// `init` took longer than the limit. The stage ends when it returns.
    Timeout {
        /// The stage.
        stage: Name,
        /// The limit.
        after: Duration,
    },
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init { stage, cause } => write!(f, "stage {stage:?} could not be initialised: {cause}"),
            Self::Declined { stage } => write!(f, "stage {stage:?} declined to start"),
            Self::NameTaken { name, holder } => write!(f, "the name {name:?} is taken by {holder:?}"),
            Self::BadOption { stage, cause } => write!(f, "stage {stage:?}: {cause}"),
            Self::Subscribe { stage, cause } => write!(f, "stage {stage:?} could not subscribe: {cause}"),
            Self::Thread { stage, cause } => write!(f, "no thread for stage {stage:?}: {cause}"),
            Self::Timeout { stage, after } => write!(f, "stage {stage:?} was not initialised within {after:?}"),
        }
    }
}
impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The causes themselves are in the message; what is behind them is not.
            Self::Init { cause, .. } => cause.source(),
            Self::Thread { cause, .. } => cause.source(),
            Self::BadOption { .. } | Self::Subscribe { .. } => None,
            Self::Declined { .. } | Self::NameTaken { .. } | Self::Timeout { .. } => None,
        }
    }
}

/// Why a subscription was not made. The consumer is as it was.
///
/// ```
/// use drawgate::{SubscribeError, prelude::*};
///
/// let all = drawgate::fold(Vec::new(), |all, n: u32| all.push(n)).spawn()?;
/// assert!(matches!(all.subscribe("nobody"), Err(SubscribeError::NoProducer { .. })));
///
/// let port = Port::bounded(8).spawn()?;
/// let refused = all.subscribe_with(&port, Subscribe::new().max_demand(0));
/// assert!(matches!(refused, Err(SubscribeError::BadOption(cause)) if cause.option == "max_demand"));
///
/// all.subscribe(&port)?; // nothing has happened to it
/// port.push(7)?;
/// port.close();
/// assert_eq!(all.finish()?, [7]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubscribeError {
    /// An option is out of range.
    BadOption(BadOption),
    /// Nothing has this name.
    NoProducer {
        /// The name.
        name: Name,
    },
    /// What has this name emits something else, or nothing.
    WrongType {
        /// The name.
        name: Name,
        /// The event type of the consumer.
        wanted: &'static str,
    },
    /// What was offered is not what the stage draws, if it draws anything.
    NotDrawn {
        /// The stage that would subscribe.
        stage: Name,
        /// The event type that it was offered.
        offered: &'static str,
    },
    /// The dispatcher takes a consumer once only.
    Twice {
        /// The producer.
        producer: Name,
    },
    /// The partition has a consumer.
    PartitionTaken {
        /// The partition.
        partition: String,
        /// Its consumer.
        holder: Name,
    },
    /// The producer, or the consumer itself, has ended.
    Ended {
        /// Which of them.
        stage: Name,
        /// Why it ended, if it has said so yet.
        reason: Option<ExitReason>,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadOption(cause) => fmt::Display::fmt(cause, f),
            Self::NoProducer { name } => write!(f, "nothing is named {name:?}"),
            Self::WrongType { name, wanted } => write!(f, "{name:?} does not emit `{wanted}`"),
            Self::NotDrawn { stage, offered } => write!(f, "stage {stage:?} does not draw `{offered}`"),
            Self::Twice { producer } => {
                write!(f, "already subscribed to {producer:?}, whose dispatcher takes a consumer once")
            }
            Self::PartitionTaken { partition, holder } => write!(f, "partition {partition} is taken by {holder:?}"),
            Self::Ended { stage, reason: Some(reason) } => write!(f, "stage {stage:?} has ended: {reason}"),
            Self::Ended { stage, reason: None } => write!(f, "stage {stage:?} has ended"),
        }
    }
}
impl Error for SubscribeError {}
impl From<BadOption> for SubscribeError {
    fn from(cause: BadOption) -> Self {
        Self::BadOption(cause)
    }
}

/// Why a call brought no value.
///
/// ```
/// use drawgate::{CallError, prelude::*};
/// use std::time::Duration;
///
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let me = sum.clone();
/// let inner = sum.call(move |_, _| me.call(|sum, _| *sum))?; // a stage that waits for itself
/// assert!(matches!(inner, Err(CallError::Cycle(_))));
///
/// sum.stop(ExitReason::Normal, Duration::from_secs(5))?;
/// assert!(matches!(sum.call(|sum, _| *sum), Err(CallError::Ended { .. })));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The limit passed. The closure may still run; its value is dropped.
    Timeout {
        /// The stage.
        stage: Name,
        /// The limit.
        after: Duration,
    },
    /// The stage has ended, or ended before it answered.
    Ended {
        /// The stage.
        stage: Name,
        /// Why, if it has said so yet.
        reason: Option<ExitReason>,
    },
    /// Who would wait for whom, in a ring, beginning with the caller.
    Cycle(Vec<Name>),
    /// The closure dropped its [`Reply`](crate::stage::Reply), or panicked.
    ReplyDropped {
        /// The stage.
        stage: Name,
    },
    /// Nothing has this name.
    NoStage {
        /// The name.
        name: Name,
    },
    /// What has this name is another kind of stage, or has another state.
    WrongType {
        /// The name.
        name: Name,
        /// The type of the handle that was asked for.
        wanted: &'static str,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { stage, after } => write!(f, "stage {stage:?} did not answer within {after:?}"),
            Self::Ended { stage, reason: Some(reason) } => write!(f, "stage {stage:?} has ended: {reason}"),
            Self::Ended { stage, reason: None } => write!(f, "stage {stage:?} has ended"),
            Self::Cycle(ring) => write!(f, "waiting would never end: {}", Ring(ring)),
            Self::ReplyDropped { stage } => write!(f, "stage {stage:?} dropped its reply"),
            Self::NoStage { name } => write!(f, "nothing is named {name:?}"),
            Self::WrongType { name, wanted } => write!(f, "{name:?} is no `{wanted}`"),
        }
    }
}
impl Error for CallError {}

struct Ring<'a>(&'a [Name]);
impl fmt::Display for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in self.0 {
            write!(f, "{name:?} waits for ")?;
        }
        self.0.first().map_or(Ok(()), |first| write!(f, "{first:?}"))
    }
}

/// Why a push did not happen. Every kind gives the event back, never delivered and never to be.
///
/// `?` in a function that returns [`anyhow::Result`] needs an event that is `Sync`, since the error holds it; of any other
/// say `.map_err(|refused| refused.kind())?`.
///
/// ```
/// use drawgate::PushError;
/// let refused = PushError::Full("event");
/// assert_eq!(refused.to_string(), "the port is full");
/// assert_eq!(refused.into_event(), "event");
/// ```
#[non_exhaustive]
pub enum PushError<E> {
    /// No room, and the push does not wait; or too many delayed events are pending.
    Full(E),
    /// No room until the deadline.
    Timeout(E),
    /// The port takes nothing any more.
    Closed(E),
    /// Nothing has this name.
    NoProducer(E),
    /// The name belongs to something that takes no events of this type.
    WrongType(E),
    /// Waiting would never end: every consumer of the port waits for the pusher.
    Cycle(E),
}

/// What kind of [`PushError`] it was: without the event, for `?` where the event is not `Sync`.
///
/// ```
/// use drawgate::{error::PushErrorKind, prelude::*};
/// use std::cell::Cell; // `Send`, and not `Sync`
///
/// let port = Port::bounded(1).spawn()?;
/// port.push(Cell::new(1)).map_err(|refused| refused.kind())?;
/// let refused = port.try_push(Cell::new(2)).map_err(|refused| refused.kind());
/// assert_eq!(refused, Err(PushErrorKind::Full));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PushErrorKind {
    /// See [`PushError::Full`].
    Full,
    /// See [`PushError::Timeout`].
    Timeout,
    /// See [`PushError::Closed`].
    Closed,
    /// See [`PushError::NoProducer`].
    NoProducer,
    /// See [`PushError::WrongType`].
    WrongType,
    /// See [`PushError::Cycle`].
    Cycle,
}

impl<E> PushError<E> {
    /// The event that was not pushed.
    pub fn into_event(self) -> E {
        match self {
            Self::Full(e) | Self::Timeout(e) | Self::Closed(e) => e,
            Self::NoProducer(e) | Self::WrongType(e) | Self::Cycle(e) => e,
        }
    }

    /// What kind it is.
    pub fn kind(&self) -> PushErrorKind {
        match self {
            Self::Full(_) => PushErrorKind::Full,
            Self::Timeout(_) => PushErrorKind::Timeout,
            Self::Closed(_) => PushErrorKind::Closed,
            Self::NoProducer(_) => PushErrorKind::NoProducer,
            Self::WrongType(_) => PushErrorKind::WrongType,
            Self::Cycle(_) => PushErrorKind::Cycle,
        }
    }

    /// Whether it is worth trying again.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    pub(crate) fn map<F>(self, f: impl FnOnce(E) -> F) -> PushError<F> {
        match self {
            Self::Full(e) => PushError::Full(f(e)),
            Self::Timeout(e) => PushError::Timeout(f(e)),
            Self::Closed(e) => PushError::Closed(f(e)),
            Self::NoProducer(e) => PushError::NoProducer(f(e)),
            Self::WrongType(e) => PushError::WrongType(f(e)),
            Self::Cycle(e) => PushError::Cycle(f(e)),
        }
    }
}
impl<E> fmt::Debug for PushError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushError::{:?}(..)", self.kind())
    }
}
impl<E> fmt::Display for PushError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind(), f)
    }
}
impl<E> Error for PushError<E> {}

impl fmt::Display for PushErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the port is full",
            Self::Timeout => "the port stayed full until the deadline",
            Self::Closed => "the port is closed",
            Self::NoProducer => "no port has this name",
            Self::WrongType => "the port of this name takes another type of event",
            Self::Cycle => "every consumer of the port waits for this push",
        })
    }
}
impl Error for PushErrorKind {}

/// Why a flow brought no result.
///
/// ```
/// use drawgate::{RunError, SpawnError};
///
/// let failed = drawgate::from_iter(["1", "x"]).try_map(|s| Ok(s.parse::<i32>()?)).name("parse").collect().run();
/// assert!(matches!(failed, Err(RunError::Stage(failed)) if failed.stage == "parse".into()));
///
/// let refused = drawgate::from_iter([1, 2]).chunks(0).collect().run(); // nothing has run
/// assert!(matches!(refused, Err(RunError::Spawn(SpawnError::BadOption { cause, .. })) if cause.option == "chunks"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// A stage could not be started; those that were have been stopped.
    Spawn(SpawnError),
    /// A stage failed; the others were stopped.
    Stage(StageError),
}
impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn(cause) => fmt::Display::fmt(cause, f),
            Self::Stage(cause) => fmt::Display::fmt(cause, f),
        }
    }
}
impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spawn(cause) => cause.source(),
            Self::Stage(cause) => cause.source(),
        }
    }
}
impl From<SpawnError> for RunError {
    fn from(cause: SpawnError) -> Self {
        Self::Spawn(cause)
    }
}
impl From<StageError> for RunError {
    fn from(cause: StageError) -> Self {
        Self::Stage(cause)
    }
}

/// A stage cannot have a timer.
///
/// ```
/// use drawgate::{error::TimerError, prelude::*};
/// use std::time::Duration;
///
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).spawn()?;
/// let timer: Result<_, TimerError> = sum.call(|_, ctx| ctx.send_after(Duration::from_secs(60)))?;
/// assert!(timer.is_ok()); // the callback may do without, or end its stage with `?`
/// assert_eq!(TimerError::Full.to_string(), "the runtime's timer takes no more entries");
/// # sum.request_stop(ExitReason::Normal);
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TimerError {
    /// As many entries are pending in the runtime's timer as it takes: 16 million.
    Full,
    /// The system refuses the timer its thread.
    Thread(std::io::Error),
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the runtime's timer takes no more entries"),
            Self::Thread(cause) => write!(f, "no thread for the timer: {cause}"),
        }
    }
}
impl std::error::Error for TimerError {}

impl From<Refused> for TimerError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::Thread(cause) => Self::Thread(cause),
        }
    }
}
