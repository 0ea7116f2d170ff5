//! Turns what a flow says into running stages.

use super::graph::GraphState;
use super::parallel::Ordered;
use super::step::{Fed, Halt, Numbered, Step};
use crate::Name;
use crate::error::{ExitReason, SpawnError};
use crate::link::{Outlet, Subscribe};
use crate::runtime::Runtime;
use crate::stage::{
    Builder, Context, Declared, EmitOptions, Emits, Events, Handle, HandleOf, Kind, Life, Nothing, Out, Resolve,
    Running, SinkBody, SinkKind, Sinks, Slices, SourceBody, SourceKind, SourceSink, StageKind, StepBody, StepKind,
    StopToken, Stopped, keep,
};
use crate::sync::Arc;
use crate::timer::TimerId;
use std::marker::PhantomData;
use std::time::Instant;

/// The stages of one flow while they are being started, from the source down.
pub(super) struct Launch {
    pub(super) runtime: Runtime,
    /// Of a flow that is owned as a graph.
    pub(super) graph: Option<Arc<GraphState>>,
}

impl Launch {
    /// Starts one stage of the flow, as a part of its graph; it ends when nobody draws from it any more. `step` is what it is
    /// called in figures.
    pub(super) fn start<K: Kind>(&mut self, mut builder: Builder<K>, step: &Name) -> Result<HandleOf<K>, SpawnError> {
        builder.ends_abandoned = true;
        self.start_as_is(builder, step)
    }

    /// Starts a stage that emits, with what was said of it as the flow's last.
    fn start_emitting<K: Emits>(
        &mut self,
        mut builder: Builder<K>,
        step: &Name,
        last: Last<K::Out>,
    ) -> Result<HandleOf<K>, SpawnError> {
        builder.emit = last.emit;
        builder.ends_abandoned = !last.outlives_consumers;
        self.start_as_is(builder, step)
    }

    fn start_as_is<K: Kind>(&mut self, mut builder: Builder<K>, step: &Name) -> Result<HandleOf<K>, SpawnError> {
        builder.runtime.get_or_insert_with(|| self.runtime.clone());
        if let Some(graph) = &self.graph {
            graph.announce();
            builder = builder.watched(graph.clone());
        }
        let started = builder.spawn();
        if let Some(graph) = &self.graph {
            match &started {
                Ok(handle) => graph.add(step, &handle.0),
                Err(SpawnError::BadOption { .. } | SpawnError::NameTaken { .. } | SpawnError::Thread { .. }) => {
                    graph.recall();
                }
                Err(_) => {} // it got a thread, which tells its end
            }
        }
        started
    }
}

/// What is said of a stage that emits, where it is the last of a flow that others draw from.
pub(super) struct Last<E> {
    pub(super) emit: EmitOptions<E>,
    pub(super) outlives_consumers: bool,
}
impl<E> Default for Last<E> {
    fn default() -> Self {
        Self { emit: EmitOptions::default(), outlives_consumers: false }
    }
}

/// Starts the stages above a place in the flow, and gives the outlets to draw from. The name is for those started last.
pub(super) type Start<E> = Box<dyn FnOnce(&mut Launch, Option<Name>) -> Result<Vec<Arc<Outlet<E>>>, SpawnError> + Send>;

/// How the stage that is being written gets its events.
pub(super) enum Head<I> {
    /// It is a source.
    Source(SourceFn<I>),
    /// It draws from stages above.
    Lanes { start: Start<I>, options: Subscribe<I>, name: Option<Name>, intake: bool },
    /// It puts numbered events of parallel stages into order.
    Ordered { start: Start<Numbered<I>>, options: Subscribe<Numbered<I>>, name: Option<Name> },
}
pub(super) type SourceFn<I> = Box<dyn FnOnce(&mut Out<'_, I>) -> anyhow::Result<()> + Send>;

pub(super) fn declare<E: Send + 'static>(outlets: Vec<Arc<Outlet<E>>>, options: &Subscribe<E>) -> Vec<Declared<E>> {
    let resolve = |outlet: Arc<Outlet<E>>| Box::new(move |_: &Runtime| Ok(outlet)) as Resolve<E>;
    outlets.into_iter().map(|outlet| Declared { upstream: resolve(outlet), options: options.clone() }).collect()
}

fn named<K: Kind>(mut builder: Builder<K>, name: Option<Name>, default: &'static str) -> (Builder<K>, Name) {
    let step = name.unwrap_or_else(|| Name::from(default));
    builder.name = Some(step.clone());
    (builder, step)
}

/// Starts the stage that is being written as one that emits.
pub(super) fn emitting<E: Send + 'static, T: Step<E>>(
    head: Head<T::In>,
    steps: T,
    name: Option<Name>,
    last: Last<E>,
    launch: &mut Launch,
) -> Result<Handle<Nothing, E>, SpawnError> {
    match head {
        // A source may block, and then hears no timer: the steps get a thread of their own.
        head @ Head::Source(_) if T::TIMED => {
            let outlet = emitting(head, super::Hop, name, Last::default(), launch)?.outlet();
            let start: Start<T::In> = Box::new(move |_, _| Ok(vec![outlet]));
            let head = Head::Lanes { start, options: Subscribe::new(), name: None, intake: false };
            emitting(head, steps, None, last, launch)
        }
        Head::Source(run) => {
            let make = move || {
                let body = move |running: &mut Running<SourceKind<E>>| {
                    let mut sink = Fused { steps, running };
                    if sink.steps.is_over() {
                        return Ok(());
                    }
                    let ran = run(&mut Out::new(&mut sink));
                    match ran {
                        Err(cause) if !cause.is::<Stopped>() => Err(cause),
                        // Also if a step has all it wants or the intake was closed: what was gathered still comes out.
                        ran if sink.ends_well() => sink.done().and(ran),
                        ran => ran,
                    }
                };
                Ok(SourceBody { run: Some(Box::new(body)), unit: () })
            };
            let builder = Builder::<SourceKind<E>>::new("source", StageKind::Producer, Box::new(make));
            let (builder, step) = named(builder, name, "source");
            launch.start_emitting(builder, &step, last).map(Handle::fed)
        }
        Head::Lanes { start, options, name: above, intake } => {
            let outlets = start(launch, above)?;
            let make = move || {
                Ok(StepBody {
                    slices: Box::new(Plain { steps, alarm: Alarm::default() }) as Box<dyn Slices<T::In, E>>,
                    unit: (),
                })
            };
            let builder = Builder::<StepKind<T::In, E>>::new("step", StageKind::ProducerConsumer, Box::new(make));
            let (mut builder, step) = named(builder, name, "step");
            builder.declared = declare(outlets, &options);
            builder.is_intake = intake;
            launch.start_emitting(builder, &step, last).map(Handle::fed)
        }
        Head::Ordered { start, options, name: above } => {
            let outlets = start(launch, above)?;
            let make = move || {
                let slices = Sorted { order: Ordered::default(), steps, alarm: Alarm::default() };
                Ok(StepBody { slices: Box::new(slices) as Box<dyn Slices<Numbered<T::In>, E>>, unit: () })
            };
            let kind = StageKind::ProducerConsumer;
            let builder = Builder::<StepKind<Numbered<T::In>, E>>::new("step", kind, Box::new(make));
            let (mut builder, step) = named(builder, name, "step");
            builder.declared = declare(outlets, &options);
            launch.start_emitting(builder, &step, last).map(Handle::fed)
        }
    }
}

/// Starts the stage that is being written as the flow's end.
pub(super) fn ending<E: Send + 'static, T: Step<E>, A: Send + 'static>(
    head: Head<T::In>,
    steps: T,
    name: Option<Name>,
    given: Option<Name>,
    launch: &mut Launch,
    init: A,
    f: impl FnMut(&mut A, E) -> Fed + Send + 'static,
) -> Result<Arc<Life>, SpawnError> {
    fn life<I, A>(handle: Handle<I, Nothing, A>) -> Arc<Life> {
        handle.0.clone()
    }
    match head {
        // A source and its end do not share a thread: the end has one of its own, which is what a flow promises.
        Head::Source(_) => {
            let outlet = emitting(head, steps, name, Last::default(), launch)?.outlet();
            let start: Start<E> = Box::new(move |_, _| Ok(vec![outlet]));
            let head = Head::Lanes { start, options: Subscribe::new(), name: None, intake: false };
            ending(head, super::Hop, None, given, launch, init, f)
        }
        Head::Lanes { start, options, name: above, intake } => {
            let outlets = start(launch, above)?;
            let make = move || {
                let sink = End(PlainEnd { steps, f, alarm: Alarm::default() }, PhantomData);
                Ok(SinkBody { sink: Box::new(sink) as Box<dyn Sinks<T::In, A>>, state: init })
            };
            let builder = Builder::<SinkKind<T::In, A>>::new("end", StageKind::Consumer, Box::new(make));
            let (mut builder, step) = named(builder, given.or(name), "end");
            builder.declared = declare(outlets, &options);
            builder.is_intake = intake;
            builder.keep = Some(keep);
            launch.start(builder, &step).map(life)
        }
        Head::Ordered { start, options, name: above } => {
            let outlets = start(launch, above)?;
            let make = move || {
                let sink = End(SortedEnd { order: Ordered::default(), steps, f, alarm: Alarm::default() }, PhantomData);
                Ok(SinkBody { sink: Box::new(sink) as Box<dyn Sinks<Numbered<T::In>, A>>, state: init })
            };
            let builder = Builder::<SinkKind<Numbered<T::In>, A>>::new("end", StageKind::Consumer, Box::new(make));
            let (mut builder, step) = named(builder, given.or(name), "end");
            builder.declared = declare(outlets, &options);
            builder.keep = Some(keep);
            launch.start(builder, &step).map(life)
        }
    }
}

/// What a callback does when a step takes nothing more: what steps below it have gathered comes out.
fn halted<O>(fed: Fed, ctx: &mut Context<'_, O>, done: impl FnOnce(&mut Context<'_, O>) -> Fed) -> anyhow::Result<()> {
    match fed {
        Ok(()) => Ok(()),
        Err(Halt::Done) => {
            ctx.stop(ExitReason::Done);
            ctx.common.leaves_rest = true;
            match done(ctx) {
                Ok(()) | Err(Halt::Done) => Ok(()),
                Err(Halt::Failed(cause)) => Err(cause),
            }
        }
        Err(Halt::Failed(cause)) => Err(cause),
    }
}
/// The same at the end, where nothing is left to come out.
fn at_end<O>(fed: Fed, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
    halted(fed, ctx, |_| Ok(()))
}

/// The timer of a stage whose steps gather events for a time.
#[derive(Default)]
struct Alarm(Option<(TimerId, Instant)>);

impl Alarm {
    /// Sets it for what the steps have gathered.
    fn set<O, E: Send + 'static>(&mut self, steps: &mut impl Step<E>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let now = ctx.runtime().clock().now();
        let at = steps.deadline(now);
        if self.0.map(|(_, at)| at) != at {
            if let Some((id, _)) = self.0.take() {
                ctx.cancel_timer(id);
            }
            if let Some(at) = at {
                self.0 = Some((ctx.send_after(at.saturating_duration_since(now))?, at));
            }
        }
        Ok(())
    }
}

/// A source with its steps.
struct Fused<'a, E: Send + 'static, T> {
    steps: T,
    running: &'a mut Running<SourceKind<E>>,
}

impl<E: Send + 'static, T: Step<E>> Fused<'_, E, T> {
    fn fed(&mut self, fed: Fed) -> Result<(), Stopped> {
        fed.map_err(|halt| {
            let finish = &mut self.running.common.finish;
            match halt {
                Halt::Done => drop(finish.get_or_insert(ExitReason::Done)),
                Halt::Failed(cause) => *finish = Some(ExitReason::error(cause)),
            }
            Stopped
        })
    }
    /// Whether it was not stopped, and has not failed.
    fn ends_well(&self) -> bool {
        matches!(self.running.common.finish, None | Some(ExitReason::Done))
    }
    fn done(&mut self) -> anyhow::Result<()> {
        let running = &mut *self.running;
        let fed = self.steps.done(&mut |event| {
            running.put(event);
            Ok(())
        });
        Ok(self.fed(fed)?)
    }
}
impl<E: Send + 'static, T: Step<E>> SourceSink<T::In> for Fused<'_, E, T> {
    #[inline]
    fn ready(&mut self) -> Result<(), Stopped> {
        self.running.wait_for_demand()
    }
    #[inline]
    fn put(&mut self, event: T::In) -> Result<(), Stopped> {
        let running = &mut *self.running;
        let fed = self.steps.feed(event, &mut |event| {
            running.put(event);
            Ok(())
        });
        self.fed(fed)
    }
    fn stop_token(&self) -> StopToken {
        self.running.common.life.token.clone()
    }
}

/// What a step's sink does in a stage that emits.
fn emits<O: Send + 'static>(ctx: &mut Context<'_, O>) -> impl FnMut(O) -> Fed {
    |event| {
        ctx.emit(event);
        Ok(())
    }
}

/// What is the same for steps over events as they come and in order.
fn after_slice<O: Send + 'static, T: Step<O>>(
    steps: &mut T,
    alarm: &mut Alarm,
    fed: Fed,
    ctx: &mut Context<'_, O>,
) -> anyhow::Result<()> {
    halted(fed, ctx, |ctx| steps.done(&mut emits(ctx)))?;
    if T::TIMED { alarm.set(steps, ctx) } else { Ok(()) }
}
fn after_timer<O: Send + 'static, T: Step<O>>(
    steps: &mut T,
    alarm: &mut Alarm,
    ctx: &mut Context<'_, O>,
) -> anyhow::Result<()> {
    alarm.0 = None;
    let fed = steps.ring(ctx.runtime().clock().now(), &mut emits(ctx));
    after_slice(steps, alarm, fed, ctx)
}

/// Steps over a slice, as it comes.
struct Plain<T> {
    steps: T,
    alarm: Alarm,
}
impl<O: Send + 'static, T: Step<O>> Slices<T::In, O> for Plain<T> {
    fn events(&mut self, mut events: Events<'_, T::In>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let fed = events.try_for_each(|event| self.steps.feed(event, &mut emits(ctx)));
        after_slice(&mut self.steps, &mut self.alarm, fed, ctx)
    }
    fn timer(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        after_timer(&mut self.steps, &mut self.alarm, ctx)
    }
    fn done(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let fed = self.steps.done(&mut emits(ctx));
        at_end(fed, ctx)
    }
    fn is_over(&self) -> bool {
        self.steps.is_over()
    }
}

/// Steps over numbered events, in the order of their numbers.
struct Sorted<I, T> {
    order: Ordered<I>,
    steps: T,
    alarm: Alarm,
}
impl<O: Send + 'static, T: Step<O>> Slices<Numbered<T::In>, O> for Sorted<T::In, T> {
    fn events(&mut self, events: Events<'_, Numbered<T::In>>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        self.order.put(events);
        let fed = self.order.release(|event| self.steps.feed(event, &mut emits(ctx)));
        self.order.ask(ctx);
        after_slice(&mut self.steps, &mut self.alarm, fed, ctx)
    }
    fn timer(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        after_timer(&mut self.steps, &mut self.alarm, ctx)
    }
    fn done(&mut self, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
        let fed = self.steps.done(&mut emits(ctx));
        at_end(fed, ctx)
    }
    fn is_over(&self) -> bool {
        self.steps.is_over()
    }
}

/// The same at the end of a flow, where `f` gets what comes out.
fn after_last_slice<E: Send + 'static, T: Step<E>>(
    steps: &mut T,
    alarm: &mut Alarm,
    fed: Fed,
    ctx: &mut Context<'_>,
    mut f: impl FnMut(E) -> Fed,
) -> anyhow::Result<()> {
    halted(fed, ctx, |_| steps.done(&mut f))?;
    if T::TIMED { alarm.set(steps, ctx) } else { Ok(()) }
}
fn after_last_timer<E: Send + 'static, T: Step<E>>(
    steps: &mut T,
    alarm: &mut Alarm,
    ctx: &mut Context<'_>,
    mut f: impl FnMut(E) -> Fed,
) -> anyhow::Result<()> {
    alarm.0 = None;
    let fed = steps.ring(ctx.runtime().clock().now(), &mut f);
    after_last_slice(steps, alarm, fed, ctx, f)
}

struct PlainEnd<T, F> {
    steps: T,
    f: F,
    alarm: Alarm,
}
impl<E: Send + 'static, T: Step<E>, A: 'static, F: FnMut(&mut A, E) -> Fed + 'static> Sinks<T::In, A>
    for End<PlainEnd<T, F>, E>
{
    fn events(&mut self, state: &mut A, mut events: Events<'_, T::In>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let PlainEnd { steps, f, alarm } = &mut self.0;
        let fed = events.try_for_each(|event| steps.feed(event, &mut |event| f(state, event)));
        after_last_slice(steps, alarm, fed, ctx, |event| f(state, event))
    }
    fn timer(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let PlainEnd { steps, f, alarm } = &mut self.0;
        after_last_timer(steps, alarm, ctx, |event| f(state, event))
    }
    fn done(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let PlainEnd { steps, f, .. } = &mut self.0;
        at_end(steps.done(&mut |event| f(state, event)), ctx)
    }
    fn is_over(&self) -> bool {
        self.0.steps.is_over()
    }
}

struct SortedEnd<I, T, F> {
    order: Ordered<I>,
    steps: T,
    f: F,
    alarm: Alarm,
}
impl<E: Send + 'static, T: Step<E>, A: 'static, F: FnMut(&mut A, E) -> Fed + 'static> Sinks<Numbered<T::In>, A>
    for End<SortedEnd<T::In, T, F>, E>
{
    fn events(
        &mut self,
        state: &mut A,
        events: Events<'_, Numbered<T::In>>,
        ctx: &mut Context<'_>,
    ) -> anyhow::Result<()> {
        let SortedEnd { order, steps, f, alarm } = &mut self.0;
        order.put(events);
        let fed = order.release(|event| steps.feed(event, &mut |event| f(state, event)));
        order.ask(ctx);
        after_last_slice(steps, alarm, fed, ctx, |event| f(state, event))
    }
    fn timer(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let SortedEnd { steps, f, alarm, .. } = &mut self.0;
        after_last_timer(steps, alarm, ctx, |event| f(state, event))
    }
    fn done(&mut self, state: &mut A, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let SortedEnd { steps, f, .. } = &mut self.0;
        at_end(steps.done(&mut |event| f(state, event)), ctx)
    }
    fn is_over(&self) -> bool {
        self.0.steps.is_over()
    }
}

/// Says which events come out of the steps of an end.
struct End<S, E>(S, PhantomData<fn(E)>);
