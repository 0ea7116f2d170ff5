//! Stages that are one closure.

use super::builder::{Builder, keep};
use super::context::{Context, Emitter};
use super::kind::{Behaviour, Draws, Emits, Kind, Never};
use super::life::{Order, StageKind};
use super::run;
use super::{Events, Handle, Nothing, TimerId};
use crate::error::{ExitReason, SpawnError};
use crate::link::Side;
use crate::sealed::Sealed;
use std::fmt;
use std::marker::PhantomData;

/// What a stage of steps does with a slice: one dynamic call a slice, none an event.
pub(crate) trait Slices<I, O>: 'static {
    fn events(&mut self, events: Events<'_, I>, ctx: &mut Context<'_, O>) -> anyhow::Result<()>;
    /// The one timer that it sets is due.
    fn timer(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let _ = ctx;
        Ok(())
    }
    fn done(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let _ = ctx;
        Ok(())
    }
    /// Whether nothing will ever come out of it.
    fn is_over(&self) -> bool {
        false
    }
}
/// The same for a stage at the end, with a state that `call` sees and `finish` gives back.
pub(crate) trait Sinks<I, A>: 'static {
    fn events(&mut self, state: &mut A, events: Events<'_, I>, ctx: &mut Context<'_>) -> anyhow::Result<()>;
    fn timer(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (state, ctx);
        Ok(())
    }
    fn done(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let _ = (state, ctx);
        Ok(())
    }
    fn is_over(&self) -> bool {
        false
    }
}

/// Closures between a producer and a consumer.
///
/// ```
/// use drawgate::{Builder, stage::StepKind};
///
/// fn lengths() -> Builder<StepKind<&'static str, usize>> {
///     drawgate::map(str::len)
/// }
///
/// let words = drawgate::from_iter(["sluice", "gate"]).spawn()?;
/// let lengths = lengths().subscribe_to(&words).spawn()?;
/// assert_eq!(lengths.stream()?.collect::<Vec<_>>(), [6, 4]);
/// # anyhow::Ok(())
/// ```
pub struct StepKind<I, O>(PhantomData<fn(I) -> O>);
impl<I, O> Sealed for StepKind<I, O> {}

#[doc(hidden)]
#[allow(unnameable_types, reason = "named by a hidden associated type only")]
pub struct StepBody<I, O> {
    pub(crate) slices: Box<dyn Slices<I, O>>,
    pub(crate) unit: (),
}

impl<I: Send + 'static, O: Send + 'static> Kind for StepKind<I, O> {
    type In = I;
    type Out = O;
    type State = ();
    type Feed = I;
    type Emit = O;
    type Body = StepBody<I, O>;
    fn start(builder: Builder<Self>) -> Result<Handle<I, O>, SpawnError> {
        run::spawn(builder)
    }
}
impl<I: Send + 'static, O: Send + 'static> Behaviour for StepKind<I, O> {
    const SIDE: Option<Side> = Some(Side::Gate);
    fn state(body: &mut StepBody<I, O>) -> &mut () {
        &mut body.unit
    }
    fn into_state(_: StepBody<I, O>) {}
    fn out(emitter: Option<&mut Emitter<O>>) -> Option<&mut Emitter<O>> {
        emitter
    }
    fn init(body: &mut StepBody<I, O>, ctx: &mut Context<'_, O>) -> anyhow::Result<super::Init> {
        if body.slices.is_over() {
            ctx.done();
        }
        Ok(super::Init::Ready)
    }
    fn events(body: &mut StepBody<I, O>, events: Events<'_, I>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        body.slices.events(events, ctx)
    }
    fn timer(body: &mut StepBody<I, O>, _: TimerId, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        body.slices.timer(ctx)
    }
    fn done(body: &mut StepBody<I, O>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        body.slices.done(ctx)
    }
}
impl<I: Send + 'static, O: Send + 'static> Emits for StepKind<I, O> {}
impl<I: Send + 'static, O: Send + 'static> Draws for StepKind<I, O> {}

/// A closure at the end; its state is what `finish` and `run` give back.
///
/// ```
/// use drawgate::{Builder, stage::SinkKind};
///
/// fn sum() -> Builder<SinkKind<u32, u64>> { // takes `u32`, its state is a `u64`
///     drawgate::fold(0, |sum, n| *sum += u64::from(n))
/// }
/// assert_eq!(drawgate::from_iter(1..=3).to(sum()).run()?, 6);
/// # anyhow::Ok(())
/// ```
pub struct SinkKind<I, A>(PhantomData<fn(I) -> A>);
impl<I, A> Sealed for SinkKind<I, A> {}

#[doc(hidden)]
#[allow(unnameable_types, reason = "named by a hidden associated type only")]
pub struct SinkBody<I, A> {
    pub(crate) sink: Box<dyn Sinks<I, A>>,
    pub(crate) state: A,
}

impl<I: Send + 'static, A: 'static> Kind for SinkKind<I, A> {
    type In = I;
    type Out = Nothing;
    type State = A;
    type Feed = I;
    type Emit = Never;
    type Body = SinkBody<I, A>;
    fn start(builder: Builder<Self>) -> Result<Handle<I, Nothing, A>, SpawnError> {
        run::spawn(builder)
    }
}
impl<I: Send + 'static, A: 'static> Behaviour for SinkKind<I, A> {
    const SIDE: Option<Side> = None;
    fn state(body: &mut SinkBody<I, A>) -> &mut A {
        &mut body.state
    }
    fn into_state(body: SinkBody<I, A>) -> A {
        body.state
    }
    fn out(_: Option<&mut Emitter<Never>>) -> Option<&mut Emitter<Nothing>> {
        None
    }
    fn init(body: &mut SinkBody<I, A>, ctx: &mut Context<'_>) -> anyhow::Result<super::Init> {
        if body.sink.is_over() {
            ctx.stop(ExitReason::Done);
        }
        Ok(super::Init::Ready)
    }
    fn events(body: &mut SinkBody<I, A>, events: Events<'_, I>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.sink.events(&mut body.state, events, ctx)
    }
    fn timer(body: &mut SinkBody<I, A>, _: TimerId, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.sink.timer(&mut body.state, ctx)
    }
    fn done(body: &mut SinkBody<I, A>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        body.sink.done(&mut body.state, ctx)
    }
}
impl<I: Send + 'static, A: 'static> Draws for SinkKind<I, A> {}

macro_rules! opaque { ($($t:ident<$a:ident, $b:ident>),*) => { $(impl<$a, $b> fmt::Debug for $t<$a, $b> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(stringify!($t))
    }
})* } }
opaque!(StepKind<I, O>, SinkKind<I, A>, StepBody<I, O>, SinkBody<I, A>);

/// A slice's closure as [`Slices`].
struct Each<F>(F);
impl<I: 'static, O: 'static, F> Slices<I, O> for Each<F>
where
    F: FnMut(Events<'_, I>, &mut Context<'_, O>) -> anyhow::Result<()> + 'static,
{
    fn events(&mut self, events: Events<'_, I>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        (self.0)(events, ctx)
    }
}
impl<I: 'static, A: 'static, F> Sinks<I, A> for Each<F>
where
    F: FnMut(&mut A, Events<'_, I>, &mut Context<'_>) -> anyhow::Result<()> + 'static,
{
    fn events(&mut self, state: &mut A, events: Events<'_, I>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        (self.0)(state, events, ctx)
    }
}

fn step<I: Send + 'static, O: Send + 'static>(
    name: &'static str,
    f: impl FnMut(Events<'_, I>, &mut Context<'_, O>) -> anyhow::Result<()> + Send + 'static,
) -> Builder<StepKind<I, O>> {
    let make = move || Ok(StepBody { slices: Box::new(Each(f)) as Box<dyn Slices<I, O>>, unit: () });
    let mut builder = Builder::new(name, StageKind::ProducerConsumer, Box::new(make));
    builder.keep = Some(keep);
    builder.emit.news = false;
    builder
}

fn sink<I: Send + 'static, A: Send + 'static>(
    name: &'static str,
    state: A,
    f: impl FnMut(&mut A, Events<'_, I>, &mut Context<'_>) -> anyhow::Result<()> + Send + 'static,
) -> Builder<SinkKind<I, A>> {
    let make = move || Ok(SinkBody { sink: Box::new(Each(f)) as Box<dyn Sinks<I, A>>, state });
    let mut builder = Builder::new(name, StageKind::Consumer, Box::new(make));
    builder.keep = Some(keep);
    builder
}

/// A stage that turns each event into another.
///
/// ```
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let doubled = drawgate::map(|n: i32| n * 2).subscribe_to(&numbers).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&doubled).spawn()?;
/// assert_eq!(sum.finish()?, 12);
/// # anyhow::Ok(())
/// ```
pub fn map<I: Send + 'static, O: Send + 'static>(
    mut f: impl FnMut(I) -> O + Send + 'static,
) -> Builder<StepKind<I, O>> {
    step("map", move |events, ctx| {
        ctx.extend(events.map(&mut f));
        Ok(())
    })
}

/// A stage that turns each event into another, or fails: an error ends the stage. To go on after errors, emit the
/// `Result` with [`map`].
///
/// ```
/// let words = drawgate::from_iter(["1", "x"]).spawn()?;
/// let parsed = drawgate::try_map(|s: &str| Ok(s.parse::<i32>()?)).name("parse").subscribe_to(&words).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&parsed).spawn()?;
/// assert_eq!(sum.finish().unwrap_err().reason.to_string(), "invalid digit found in string");
/// # anyhow::Ok(())
/// ```
pub fn try_map<I: Send + 'static, O: Send + 'static>(
    mut f: impl FnMut(I) -> anyhow::Result<O> + Send + 'static,
) -> Builder<StepKind<I, O>> {
    step("try_map", move |events, ctx| {
        for event in events {
            ctx.emit(f(event)?);
        }
        Ok(())
    })
}

/// A stage that lets some events through. What it drops is asked for again by itself.
///
/// ```
/// let numbers = drawgate::from_iter(1..=4).spawn()?;
/// let even = drawgate::filter(|n: &i32| n % 2 == 0).subscribe_to(&numbers).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&even).spawn()?;
/// assert_eq!(sum.finish()?, 6);
/// # anyhow::Ok(())
/// ```
pub fn filter<E: Send + 'static>(mut f: impl FnMut(&E) -> bool + Send + 'static) -> Builder<StepKind<E, E>> {
    step("filter", move |events, ctx| {
        ctx.extend(events.filter(&mut f));
        Ok(())
    })
}

/// A stage that turns each event into any number of others. What goes beyond the demand waits in its buffer.
///
/// ```
/// let lines = drawgate::from_iter(["a b", "c"]).spawn()?;
/// let words = drawgate::flat_map(|line: &str| line.split(' ').collect::<Vec<_>>()).subscribe_to(&lines).spawn()?;
/// let count = drawgate::fold(0, |count, _: &str| *count += 1).subscribe_to(&words).spawn()?;
/// assert_eq!(count.finish()?, 3);
/// # anyhow::Ok(())
/// ```
pub fn flat_map<I: Send + 'static, T: IntoIterator>(
    mut f: impl FnMut(I) -> T + Send + 'static,
) -> Builder<StepKind<I, T::Item>>
where
    T::Item: Send + 'static,
{
    step("flat_map", move |events, ctx| {
        for event in events {
            ctx.extend(f(event));
        }
        Ok(())
    })
}

/// A stage at the end that does something with each event.
///
/// ```
/// let (seen, told) = std::sync::mpsc::channel();
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// drawgate::for_each(move |n: i32| seen.send(n).unwrap()).subscribe_to(&numbers).spawn()?.join()?;
/// assert_eq!(told.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// # anyhow::Ok(())
/// ```
pub fn for_each<E: Send + 'static>(mut f: impl FnMut(E) + Send + 'static) -> Builder<SinkKind<E, ()>> {
    sink("for_each", (), move |_, events, _| {
        events.for_each(&mut f);
        Ok(())
    })
}

/// The same for what may fail: an error ends the stage.
///
/// ```
/// let words = drawgate::from_iter(["1", "x"]).spawn()?;
/// let check = drawgate::try_for_each(|s: &str| s.parse::<i32>().map(|_| ()).map_err(Into::into)).subscribe_to(&words).spawn()?;
/// assert!(check.join().is_err());
/// # anyhow::Ok(())
/// ```
pub fn try_for_each<E: Send + 'static>(
    mut f: impl FnMut(E) -> anyhow::Result<()> + Send + 'static,
) -> Builder<SinkKind<E, ()>> {
    sink("try_for_each", (), move |_, mut events, _| events.try_for_each(&mut f))
}

/// A stage at the end that gathers events into a value: `finish` gives it back, `call` looks at it on the way.
///
/// ```
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// let all = drawgate::fold(Vec::new(), |all, n: i32| all.push(n)).subscribe_to(&numbers).spawn()?;
/// assert_eq!(all.finish()?, [1, 2, 3]);
/// # anyhow::Ok(())
/// ```
pub fn fold<E: Send + 'static, A: Send + 'static>(
    init: A,
    mut f: impl FnMut(&mut A, E) + Send + 'static,
) -> Builder<SinkKind<E, A>> {
    sink("fold", init, move |state, events, _| {
        for event in events {
            f(state, event);
        }
        Ok(())
    })
}

/// A stage at the end that sends each event on. A full channel is back-pressure; when all receivers are gone the stage
/// is done. Stopping it does not wait for room. In either case what was not sent goes back to its lane.
///
/// ```
/// let (tx, rx) = crossbeam_channel::bounded(1);
/// let numbers = drawgate::from_iter(1..=3).spawn()?;
/// drawgate::to_sender(tx).subscribe_to(&numbers).spawn()?;
/// assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// # anyhow::Ok(())
/// ```
pub fn to_sender<E: Send + 'static>(tx: crossbeam_channel::Sender<E>) -> Builder<SinkKind<E, ()>> {
    sink("to_sender", (), move |(), mut events, ctx| {
        let stop = ctx.stop_token().channel();
        while events.len() > 0 {
            // Room first, so that no event is in hand while it waits.
            let mut room = crossbeam_channel::Select::new();
            let sending = room.send(&tx);
            room.recv(&stop);
            if room.ready() != sending {
                match ctx.common.life.ordered() {
                    Some(Order::Stop(_)) => anyhow::bail!(run::GaveUp),
                    _ => {
                        let mut room = crossbeam_channel::Select::new();
                        room.send(&tx);
                        room.ready();
                    }
                }
            }
            let Some(event) = events.next() else { break };
            if let Err(refused) = tx.send(event) {
                events.untake(refused.into_inner());
                ctx.stop(ExitReason::Done);
                ctx.common.leaves_rest = true;
                return Ok(());
            }
        }
        Ok(())
    })
}
