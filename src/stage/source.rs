//! Sources that are a loop of their own: a walker, an accept, a read.

use super::builder::Builder;
use super::context::Emitter;
use super::kind::{Behaviour, Emits, Kind, Never};
use super::life::Doing;
use super::run::{self, Running};
use super::{Handle, Nothing, StopToken};
use crate::error::{ExitReason, SpawnError};
use crate::link::{Round, Side};
use crate::sealed::Sealed;
use crate::sync::isolate;
use std::fmt;
use std::marker::PhantomData;

/// Where a [`source`](crate::source) puts its events, one by one.
///
/// ```
/// use drawgate::flow::{Out, Stopped};
///
/// /// The marks of a ruler: a walk through a tree.
/// fn marks(height: u32, out: &mut Out<'_, u32>) -> Result<(), Stopped> {
///     if height > 0 {
///         marks(height - 1, out)?;
///         out.emit(height)?;
///         marks(height - 1, out)?;
///     }
///     Ok(())
/// }
///
/// let ruler = drawgate::source(|out| Ok(marks(30, out)?)); // it is walked only as far as somebody asks
/// assert_eq!(ruler.take(7).collect().run()?, [1, 2, 1, 3, 1, 2, 1]);
/// # anyhow::Ok(())
/// ```
pub struct Out<'a, E> {
    sink: &'a mut dyn SourceSink<E>,
}

/// A source's stage, with whatever steps are fused into it.
pub(crate) trait SourceSink<E> {
    fn ready(&mut self) -> Result<(), Stopped>;
    fn put(&mut self, event: E) -> Result<(), Stopped>;
    fn stop_token(&self) -> StopToken;
}

impl<'a, E> Out<'a, E> {
    pub(crate) fn new(sink: &'a mut dyn SourceSink<E>) -> Self {
        Self { sink }
    }

    /// Waits until somebody downstream asks for an event: before making one that is dear. Calls and casts to the stage are
    /// served meanwhile.
    ///
    /// # Errors
    /// [`Stopped`] when the source should end. Passing it up with `?` is no failure.
    pub fn ready(&mut self) -> Result<(), Stopped> {
        self.sink.ready()
    }

    /// Waits until somebody downstream asks for an event, then hands it down at once. Calls and casts to the stage are
    /// served meanwhile.
    ///
    /// # Errors
    /// [`Stopped`] when the source should end; the event is dropped. Passing it up with `?` is no failure.
    pub fn emit(&mut self, event: E) -> Result<(), Stopped> {
        self.sink.ready()?;
        self.sink.put(event)
    }

    /// Wire it to whatever wakes the call that blocks elsewhere.
    pub fn stop_token(&self) -> StopToken {
        self.sink.stop_token()
    }
}

impl<E> fmt::Debug for Out<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Out(..)")
    }
}

/// A source is told to end: it was stopped, its intake was closed, or nobody draws from it any more.
///
/// ```
/// let (tell, told) = std::sync::mpsc::channel();
/// let numbers = drawgate::source(move |out| {
///     for n in 0.. {
///         if let Err(stopped) = out.emit(n) {
///             tell.send("closed")?; // puts its things away
///             return Err(stopped.into()); // no failure
///         }
///     }
///     Ok(())
/// });
/// assert_eq!(numbers.take(2).collect().run()?, [0, 1]);
/// assert_eq!(told.recv()?, "closed");
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stage was stopped")
    }
}
impl std::error::Error for Stopped {}

/// A source.
///
/// ```
/// use drawgate::stage::{HandleOf, SourceKind};
///
/// let numbers: HandleOf<SourceKind<u32>> = drawgate::from_iter(1..=3).spawn()?; // a `Handle<Nothing, u32>`
/// assert_eq!(numbers.stream()?.sum::<u32>(), 6);
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
pub struct SourceKind<E>(PhantomData<fn() -> E>);
impl<E> Sealed for SourceKind<E> {}

/// The loop, until it runs.
#[doc(hidden)]
#[allow(unnameable_types, reason = "named by a hidden associated type only")]
pub struct SourceBody<E: Send + 'static> {
    pub(crate) run: Option<RunSource<E>>,
    pub(crate) unit: (),
}
pub(crate) type RunSource<E> = Box<dyn FnOnce(&mut Running<SourceKind<E>>) -> anyhow::Result<()>>;
impl<E: Send + 'static> fmt::Debug for SourceBody<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceBody")
    }
}

impl<E: Send + 'static> Kind for SourceKind<E> {
    type In = Nothing;
    type Out = E;
    type State = ();
    type Feed = Never;
    type Emit = E;
    type Body = SourceBody<E>;
    fn start(builder: Builder<Self>) -> Result<Handle<Nothing, E>, SpawnError> {
        run::spawn(builder)
    }
}
impl<E: Send + 'static> Emits for SourceKind<E> {}

impl<E: Send + 'static> Behaviour for SourceKind<E> {
    const SIDE: Option<Side> = Some(Side::Gate);
    const SOURCE: bool = true;
    fn state(body: &mut SourceBody<E>) -> &mut () {
        &mut body.unit
    }
    fn into_state(_: SourceBody<E>) {}
    fn out(emitter: Option<&mut Emitter<E>>) -> Option<&mut Emitter<E>> {
        emitter
    }

    fn main(running: &mut Running<Self>) -> ExitReason {
        let run = running.body().run.take().expect("bug: a source runs once");
        running.common.life.figures.set_doing(Doing::Source);
        let ran = isolate(|| run(running));
        match ran {
            Err(message) => ExitReason::Panic(message),
            // Whatever it was told to end with; if it returned by itself, it is done.
            Ok(Ok(())) => running.common.finish.take().unwrap_or(ExitReason::Done),
            Ok(Err(cause)) if cause.is::<Stopped>() => running.common.finish.take().unwrap_or(ExitReason::Done),
            Ok(Err(cause)) => ExitReason::error(cause),
        }
    }
}

impl<E: Send + 'static> Running<SourceKind<E>> {
    /// Waits for demand; runs mail meanwhile.
    #[inline]
    pub(crate) fn wait_for_demand(&mut self) -> Result<(), Stopped> {
        let emitter = self.emitter.as_ref().expect("bug: a source emits");
        let open = emitter.told.as_ref().is_some_and(|told| told.wanted > 0 && !told.abandoned && told.fault.is_none());
        if open && !self.inbox.mail.is_waiting() && self.common.finish.is_none() {
            return Ok(());
        }
        self.wait_for_demand_slow()
    }

    #[cold]
    fn wait_for_demand_slow(&mut self) -> Result<(), Stopped> {
        loop {
            if self.common.finish.is_some() {
                return Err(Stopped);
            }
            let ran = match self.next() {
                Round::Told(told) => {
                    let open = told.wanted > 0;
                    let kept = crate::link::Told { wanted: told.wanted, slice: told.slice, ..Default::default() };
                    let heard = self.told(told);
                    if heard.is_ok() && open {
                        if let Some(emitter) = &mut self.emitter {
                            emitter.told = Some(kept);
                        }
                        return Ok(());
                    }
                    heard
                }
                Round::Mail => self.mail(),
                Round::Slice(_) | Round::Note(..) | Round::Ended(..) => Ok(()),
            };
            if let Err(reason) = ran {
                self.common.finish.get_or_insert(reason);
            }
        }
    }

    /// Puts one event into its lane at once.
    #[inline]
    pub(crate) fn put(&mut self, event: E) {
        self.emitter.as_mut().expect("bug: a source emits").emit_now(event);
    }
}
