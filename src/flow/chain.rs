//! The chain: a flow as it is written.

use super::graph::Runnable;
use super::launch::{Head, Last, Start, declare, emitting, ending};
use super::parallel::Parallel;
use super::producer::ProducerBuilder;
use super::step::{
    AnyHead, Chunks, ChunksWithin, Divert, Fed, Filter, FlatMap, Halt, Hop, Inspect, Map, Number, Numbered, One, Step,
    Take, Then, TryMap,
};
use super::stream::Stream;
use crate::Name;
use crate::error::{BadOption, SpawnError};
use crate::link::Subscribe;
use crate::runtime::Runtime;
use crate::stage::{
    Builder, Context, Declared, Draws, Events, Handle, Kind, Nothing, Out, ProducerConsumer, ProducerConsumerKind,
    Slices, StageKind, StepBody, StepKind, Stopped, Upstream, pull,
};
use crate::sync::Arc;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A graph being written, from its source down. Steps after one another share a thread; [`hop`](Self::hop) starts a new
/// one.
///
/// Every step may be dear or cheap; what runs on which thread is said by hops and parallel steps alone. A flow's end
/// (`fold`, `for_each` and others) has a thread of its own. Names are labels, for figures and errors; they are not
/// registered.
///
/// ```
/// let longest = drawgate::from_iter(["sluice", "gate", "mill"])
///     .map(str::len) // on the source's thread
///     .hop()
///     .filter(|n| n % 2 == 0) // on a second one
///     .fold(0, |longest, n| *longest = n.max(*longest)) // on a third
///     .run()?;
/// assert_eq!(longest, 6);
/// # anyhow::Ok(())
/// ```
#[must_use = "a flow does nothing until `run`, `spawn` or `stream`"]
pub struct Flow<E: Send + 'static, T: Step<E> = Hop> {
    head: Head<T::In>,
    steps: T,
    name: Option<Name>,
    runtime: Option<Runtime>,
    bad: Option<BadOption>,
    out: PhantomData<fn() -> E>,
}

/// A flow that begins with an iterator, on a thread of its own. No more is pulled than somebody downstream has asked for,
/// and each item is handed down before the next is pulled. A panic in the iterator is a failure, not an end. A
/// [`Stream`] in it ends when this source is told to.
///
/// ```
/// assert_eq!(drawgate::from_iter(1..=4).fold(0, |sum, n| *sum += n).run()?, 10);
/// # anyhow::Ok(())
/// ```
pub fn from_iter<I>(iter: I) -> Flow<I::Item>
where
    I: IntoIterator + Send + 'static,
    I::Item: Send + 'static,
{
    source(move |out| {
        let mut iter = iter.into_iter();
        loop {
            out.ready()?;
            match pull(&mut iter) {
                Some(item) => out.emit(item)?,
                None => break,
            }
        }
        // An iterator that gave up since the stage is told to end: it ends as it was told.
        if out.stop_token().is_stopping() {
            out.ready()?;
        }
        Ok(())
    })
}

/// A flow that draws from a channel others send to, on a thread of its own; done when all senders are gone.
///
/// ```
/// let (tx, rx) = crossbeam_channel::unbounded();
/// tx.send(1)?;
/// tx.send(2)?;
/// drop(tx);
/// assert_eq!(drawgate::from_receiver(rx).collect().run()?, [1, 2]);
/// # anyhow::Ok(())
/// ```
pub fn from_receiver<E: Send + 'static>(rx: crossbeam_channel::Receiver<E>) -> Flow<E> {
    source(move |out| {
        let stop = out.stop_token().channel();
        loop {
            out.ready()?;
            crossbeam_channel::select! {
                recv(rx) -> event => match event {
                    Ok(event) => out.emit(event)?,
                    Err(_) => return Ok(()),
                },
                recv(stop) -> _ => return Err(Stopped.into()),
            }
        }
    })
}

/// A flow that begins with a loop of its own (a walker, accept, read, poll), on a thread of its own. Returning ends it;
/// passing on what [`Out::emit`] returns when it is stopped is no failure, any other error is.
///
/// ```
/// let powers = drawgate::source(|out| {
///     let mut n = 1_u32;
///     loop {
///         out.emit(n)?; // waits until somebody asks
///         n *= 2;
///     }
/// });
/// assert_eq!(powers.take(4).collect().run()?, [1, 2, 4, 8]);
/// # anyhow::Ok(())
/// ```
pub fn source<E: Send + 'static>(run: impl FnOnce(&mut Out<'_, E>) -> anyhow::Result<()> + Send + 'static) -> Flow<E> {
    Flow::new(Head::Source(Box::new(run)), Hop, None)
}

/// The events of all flows, as they come; of no flows, none.
///
/// ```
/// let all = drawgate::merge([drawgate::from_iter(0..2), drawgate::from_iter(2..4)]);
/// assert_eq!(all.fold(0, |sum, n| *sum += n).run()?, 6);
/// assert!(drawgate::merge::<i32>([]).collect().run()?.is_empty());
/// # anyhow::Ok(())
/// ```
pub fn merge<E: Send + 'static>(flows: impl IntoIterator<Item = Flow<E>>) -> Flow<E> {
    let mut starts = Vec::new();
    let (mut runtime, mut bad) = (None, None);
    for mut flow in flows {
        runtime = runtime.or_else(|| flow.runtime.take());
        bad = bad.or_else(|| flow.bad.take());
        starts.push(flow.into_lanes());
    }
    if starts.is_empty() {
        return from_iter(std::iter::empty()); // a stage that draws from nobody would wait for ever
    }
    let start: Start<E> = Box::new(move |launch, _| {
        let mut outlets = Vec::new();
        for (start, name) in starts {
            outlets.extend(start(launch, name)?);
        }
        Ok(outlets)
    });
    let mut flow = Flow::below(start, Subscribe::new(), runtime);
    flow.bad = bad;
    flow
}

/// A flow that begins with what a running stage or port emits. Closing the flow's intake ends the subscription, not the
/// stage.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::bounded(8).spawn()?;
/// let graph = drawgate::from_upstream(&port).map(|n: u32| n * 2).collect().spawn()?;
/// port.push(21)?;
/// port.close();
/// assert_eq!(graph.join()?, [42]);
/// # anyhow::Ok(())
/// ```
pub fn from_upstream<E: Send + 'static, U: Upstream<E> + ?Sized>(upstream: &U) -> Flow<E> {
    let resolve = upstream.resolve().0;
    let start: Start<E> = Box::new(move |launch, name| {
        let outlet = resolve(&launch.runtime).map_err(|cause| {
            let stage = name.unwrap_or_else(|| Name::from("step"));
            SpawnError::Subscribe { stage, cause }
        })?;
        Ok(vec![outlet])
    });
    let mut flow = Flow::below(start, Subscribe::new(), None);
    if let Head::Lanes { intake, .. } = &mut flow.head {
        *intake = true;
    }
    flow
}

impl<E: Send + 'static> Flow<E> {
    /// What comes out of stages above, with nothing done to it yet.
    fn below(start: Start<E>, options: Subscribe<E>, runtime: Option<Runtime>) -> Self {
        Self::new(Head::Lanes { start, options, name: None, intake: false }, Hop, runtime)
    }

    /// What to draw from, and its name: the stages above, if there are any, else this one.
    fn into_lanes(self) -> (Start<E>, Option<Name>) {
        match self.head {
            Head::Lanes { start, name, .. } => (start, name),
            head => (Self { head, ..self }.into_start(), None),
        }
    }

    fn after_parallel(head: Head<E>, runtime: Option<Runtime>, bad: Option<BadOption>) -> Self {
        let mut flow = Self::new(head, Hop, runtime);
        flow.bad = bad;
        flow
    }
}

impl<E: Send + 'static, T: Step<E>> Flow<E, T> {
    fn new(head: Head<T::In>, steps: T, runtime: Option<Runtime>) -> Self {
        Self { head, steps, name: None, runtime, bad: None, out: PhantomData }
    }

    fn then<P: One<In = E>>(self, step: P) -> Flow<P::Out, Then<T, P>> {
        Flow {
            head: self.head,
            steps: Then { before: self.steps, step },
            name: self.name,
            runtime: self.runtime,
            bad: self.bad,
            out: PhantomData,
        }
    }

    /// The stage that is being written, to be started, and drawn from.
    fn into_start(self) -> Start<E> {
        let Self { head, steps, name, .. } = self;
        Box::new(move |launch, given| {
            Ok(vec![emitting(head, steps, given.or(name), Last::default(), launch)?.outlet()])
        })
    }

    /// Names the stage that is being written: the source or the steps since the last hop, or, right after a parallel step,
    /// its threads. A label, for figures and errors.
    pub fn name(mut self, name: &str) -> Self {
        let name = Name::from(name);
        match &mut self.head {
            Head::Lanes { name: above, .. } | Head::Ordered { name: above, .. } if !T::FUSED => *above = Some(name),
            _ => self.name = Some(name),
        }
        self
    }

    /// What it runs in. Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Turns each event into another.
    pub fn map<O: Send + 'static, F: FnMut(E) -> O + Send + 'static>(self, f: F) -> Flow<O, impl Step<O>> {
        self.then(Map(f, PhantomData))
    }

    /// Turns each event into another, or fails: an error ends the graph. To go on after errors, `map` to a `Result` and
    /// [`divert_errors`](Flow::divert_errors).
    pub fn try_map<O: Send + 'static, F: FnMut(E) -> anyhow::Result<O> + Send + 'static>(
        self,
        f: F,
    ) -> Flow<O, impl Step<O>> {
        self.then(TryMap(f, PhantomData))
    }

    /// Lets some events through.
    pub fn filter<F: FnMut(&E) -> bool + Send + 'static>(self, f: F) -> Flow<E, impl Step<E>> {
        self.then(Filter(f, PhantomData))
    }

    /// Turns each event into any number of others.
    pub fn flat_map<O, F>(self, f: F) -> Flow<O::Item, impl Step<O::Item>>
    where
        O: IntoIterator + 'static,
        O::Item: Send + 'static,
        F: FnMut(E) -> O + Send + 'static,
    {
        self.then(FlatMap(f, PhantomData))
    }

    /// Looks at each event.
    pub fn inspect<F: FnMut(&E) + Send + 'static>(self, f: F) -> Flow<E, impl Step<E>> {
        self.then(Inspect(f, PhantomData))
    }

    /// Gathers `n` events at a time; the last chunk may be shorter. At least 1. What was gathered counts as handled: it comes
    /// out at every end but a failure and a `stop_now`, where it is lost.
    ///
    /// ```
    /// let sums = drawgate::from_iter(1..=5).chunks(2).map(|chunk| chunk.iter().sum::<i32>());
    /// assert_eq!(sums.collect().run()?, [3, 7, 5]);
    /// # anyhow::Ok(())
    /// ```
    pub fn chunks(mut self, n: usize) -> Flow<Vec<E>, impl Step<Vec<E>>> {
        if n == 0 {
            self.bad.get_or_insert(BadOption::new("chunks", "at least 1", 0));
        }
        self.then(Chunks { n, chunk: Vec::new() })
    }

    /// Gathers `n` events at a time, at least 1, or fewer when `time` has passed since the slice in which the first of them came
    /// was handled. Events that nobody asked for are not waited for: a chunk whose time has come goes down, asked for or not.
    /// What was gathered is lost where that of [`chunks`](Self::chunks) is. Directly after a source it takes a thread of its own, since a source that blocks hears no timer.
    ///
    /// ```
    /// use std::time::Duration;
    /// let (tx, rx) = crossbeam_channel::bounded(8);
    /// let graph = drawgate::from_receiver(rx).chunks_within(100, Duration::from_millis(1)).collect().spawn()?;
    /// tx.send('a')?; // and then nothing for a while
    /// drop(tx);
    /// assert_eq!(graph.join()?, [['a']]);
    /// # anyhow::Ok(())
    /// ```
    pub fn chunks_within(mut self, n: usize, time: Duration) -> Flow<Vec<E>, impl Step<Vec<E>>> {
        if n == 0 {
            self.bad.get_or_insert(BadOption::new("chunks_within", "at least 1", 0));
        }
        self.then(ChunksWithin { chunks: Chunks { n, chunk: Vec::new() }, time, until: None })
    }

    /// The first `n` events; then the sources are stopped.
    pub fn take(self, n: usize) -> Flow<E, impl Step<E>> {
        self.then(Take { left: n, of: PhantomData })
    }

    /// A thread boundary, with default demand.
    pub fn hop(self) -> Flow<E> {
        self.hop_with(Subscribe::new())
    }

    /// A thread boundary.
    pub fn hop_with(mut self, options: Subscribe<E>) -> Flow<E> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take());
        let mut flow = Flow::below(self.into_start(), options, runtime);
        flow.bad = bad;
        flow
    }

    /// Does `f` on `n` threads and hands the results down in the order of the input. At most `4 * n` events are in flight.
    /// `f` may block or burn CPU; a panic in it ends the graph. For what may fail, return a `Result` and
    /// [`divert_errors`](Flow::divert_errors).
    pub fn parallel_map<O: Send + 'static>(self, n: usize, f: impl Fn(E) -> O + Send + Sync + 'static) -> Flow<O> {
        self.parallel_map_with(Parallel::new(n), f)
    }

    /// The same with options.
    pub fn parallel_map_with<O: Send + 'static>(
        mut self,
        options: Parallel,
        f: impl Fn(E) -> O + Send + Sync + 'static,
    ) -> Flow<O> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take().or(options.check().err()));
        let f = Arc::new(f);
        let numbered = self.then(Number { next: 0, of: PhantomData });
        let make = move || {
            let f = f.clone();
            Ok(move |Numbered { number, event }| Numbered { number, event: f(event) })
        };
        let start = workers(numbered.into_start(), None, false, options, make);
        let mut below = Subscribe::new().max_demand(options.demand()).manual();
        below.first = options.demand();
        Flow::after_parallel(Head::Ordered { start, options: below, name: None }, runtime, bad)
    }

    /// Does `f` on `n` threads and hands the results down as they come. At most `4 * n` events are in flight.
    pub fn parallel_map_unordered<O: Send + 'static>(
        self,
        n: usize,
        f: impl Fn(E) -> O + Send + Sync + 'static,
    ) -> Flow<O> {
        self.parallel_map_unordered_with(Parallel::new(n), f)
    }

    /// The same with options.
    pub fn parallel_map_unordered_with<O: Send + 'static>(
        self,
        options: Parallel,
        f: impl Fn(E) -> O + Send + Sync + 'static,
    ) -> Flow<O> {
        let f = Arc::new(f);
        self.parallel_map_init(options, || Ok(()), move |(), event| f(event))
    }

    /// Does `f` on several threads, each of which makes its own `S` first (a connection, a decoder, a buffer), and hands
    /// the results down as they come. An error of `init` is what `spawn` or `run` returns.
    ///
    /// ```
    /// use drawgate::flow::Parallel;
    /// let lengths = drawgate::from_iter(["a", "bc"])
    ///     .parallel_map_init(Parallel::new(2), || Ok(String::new()), |scratch, word| {
    ///         scratch.clear();
    ///         scratch.push_str(word);
    ///         scratch.len()
    ///     })
    ///     .fold(0, |sum, n| *sum += n);
    /// assert_eq!(lengths.run()?, 3);
    /// # anyhow::Ok(())
    /// ```
    pub fn parallel_map_init<S: 'static, O: Send + 'static>(
        mut self,
        options: Parallel,
        init: impl Fn() -> anyhow::Result<S> + Send + Sync + 'static,
        f: impl Fn(&mut S, E) -> O + Send + Sync + 'static,
    ) -> Flow<O> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take().or(options.check().err()));
        let (init, f) = (Arc::new(init), Arc::new(f));
        let make = move || {
            let (mut state, f) = (init()?, f.clone());
            Ok(move |event| f(&mut state, event))
        };
        // Stages above are drawn from directly, if nothing is done to their events here.
        let Self { head, steps, name, .. } = self;
        let (above, above_name, intake) = match steps.unstepped(AnyHead(Box::new(head))) {
            Ok(AnyHead(head)) => match *head {
                Head::Lanes { start, name, intake, .. } => (start, name, intake),
                head => (Flow { name, ..Flow::new(head, Hop, None) }.into_start(), None, false),
            },
            Err((steps, head)) => (Flow { name, ..Flow::new(*head.0, steps, None) }.into_start(), None, false),
        };
        let start = workers(above, above_name, intake, options, make);
        let below = Subscribe::new().max_demand(options.demand());
        let head = Head::Lanes { start, options: below, name: None, intake: false };
        Flow::after_parallel(head, runtime, bad)
    }

    /// A hop into a stage of your own.
    pub fn through<B: ProducerConsumer<In = E>>(mut self, mut stage: Builder<ProducerConsumerKind<B>>) -> Flow<B::Out> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take());
        let above = self.into_start();
        let start: Start<B::Out> = Box::new(move |launch, given: Option<Name>| {
            let outlets = above(launch, None)?;
            stage.declared.extend(declare(outlets, &Subscribe::new()));
            let step = given.or_else(|| stage.name.clone()).unwrap_or_else(|| Name::from("through"));
            stage.name.get_or_insert_with(|| step.clone());
            Ok(vec![launch.start(stage, &step)?.outlet()])
        });
        let mut flow = Flow::below(start, Subscribe::new(), runtime);
        flow.bad = bad;
        flow
    }

    /// Ends in a stage of your own; its state is what `run` gives.
    pub fn to<K>(mut self, mut stage: Builder<K>) -> Runnable<K::State>
    where
        K: Draws + Kind<In = E, Out = Nothing>,
        K::State: Send,
    {
        let (runtime, bad) = (self.runtime.take(), self.bad.take());
        let above = self.into_start();
        Runnable::new(
            runtime,
            Box::new(move |launch, given| {
                check(bad, given.as_ref())?;
                let outlets = above(launch, None)?;
                let declared: Vec<Declared<K::Feed>> = declare(outlets, &Subscribe::new());
                stage.declared.extend(declared);
                let step = given.or_else(|| stage.name.clone()).unwrap_or_else(|| Name::from("end"));
                stage.name.get_or_insert_with(|| step.clone());
                Ok(launch.start(stage, &step)?.0.clone())
            }),
        )
    }

    fn end<A: Send + 'static>(mut self, init: A, f: impl FnMut(&mut A, E) -> Fed + Send + 'static) -> Runnable<A> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take());
        let Self { head, steps, name, .. } = self;
        Runnable::new(
            runtime,
            Box::new(move |launch, given| {
                check(bad, given.as_ref().or(name.as_ref()))?;
                ending(head, steps, name, given, launch, init, f)
            }),
        )
    }

    /// Does something with each event.
    pub fn for_each(self, mut f: impl FnMut(E) + Send + 'static) -> Runnable<()> {
        self.end((), move |(), event| {
            f(event);
            Ok(())
        })
    }

    /// The same for what may fail: an error ends the graph, and is what `run` returns.
    pub fn try_for_each(self, mut f: impl FnMut(E) -> anyhow::Result<()> + Send + 'static) -> Runnable<()> {
        self.end((), move |(), event| f(event).map_err(Halt::Failed))
    }

    /// Gathers events into a value, which `run` gives.
    pub fn fold<A: Send + 'static>(self, init: A, mut f: impl FnMut(&mut A, E) + Send + 'static) -> Runnable<A> {
        self.end(init, move |state, event| {
            f(state, event);
            Ok(())
        })
    }

    /// Gathers all events, which `run` gives.
    pub fn collect(self) -> Runnable<Vec<E>> {
        self.fold(Vec::new(), |all, event| all.push(event))
    }

    /// Starts what is written, and hands its events to whoever takes them from the stream: the end of this flow has no
    /// thread of its own. Right after a hop or a parallel step the stream draws from the stages above, with the hop's
    /// options; else its demand is the default.
    ///
    /// # Errors
    /// A stage could not be started; those that were are told to stop.
    ///
    /// ```
    /// let mut longest = "";
    /// let words = drawgate::from_iter(["sluice", "gate", "mill"]).filter(|word| word.len() > 4).hop();
    /// for word in words.stream()? {
    ///     longest = word;
    /// }
    /// assert_eq!(longest, "sluice");
    /// # anyhow::Ok(())
    /// ```
    pub fn stream(mut self) -> Result<Stream<E>, SpawnError> {
        let runtime = self.runtime.take().unwrap_or_else(|| Runtime::global().clone());
        check(self.bad.take(), self.name.as_ref())?;
        // Stages above are drawn from directly, if nothing is done to their events here.
        let Self { head, steps, name, .. } = self;
        let started = |start| (start, None, Subscribe::new(), false);
        let (start, above, options, intake) = match steps.unstepped(AnyHead(Box::new(head))) {
            Ok(AnyHead(head)) => match *head {
                Head::Lanes { start, options, name, intake } => (start, name, options, intake),
                head => started(Flow { name, ..Flow::new(head, Hop, None) }.into_start()),
            },
            Err((steps, head)) => started(Flow { name, ..Flow::new(*head.0, steps, None) }.into_start()),
        };
        Stream::of_flow(runtime, start, above, &options, intake)
    }

    /// Starts what is written; others may subscribe to its end. Its stages end when the source is done, or when nobody
    /// draws from them any more.
    ///
    /// # Errors
    /// A stage could not be started.
    pub fn spawn(self) -> Result<Handle<Nothing, E>, SpawnError> {
        self.into_producer().spawn()
    }

    /// The same with a word on how its last stage emits: who gets which event, and from when on.
    ///
    /// ```
    /// use drawgate::prelude::*;
    /// let numbers = drawgate::from_iter(1..=3).into_producer().dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn()?;
    /// let sum = drawgate::fold(0, |sum, n: i32| *sum += n).subscribe_to(&numbers).spawn()?;
    /// let product = drawgate::fold(1, |product, n: i32| *product *= n).subscribe_to(&numbers).spawn()?;
    /// assert_eq!((sum.finish()?, product.finish()?), (6, 6)); // both had all of them
    /// # anyhow::Ok(())
    /// ```
    pub fn into_producer(mut self) -> ProducerBuilder<E> {
        let (runtime, bad) = (self.runtime.take(), self.bad.take());
        let Self { head, steps, name, .. } = self;
        ProducerBuilder::new(runtime, move |launch, last| {
            check(bad, name.as_ref())?;
            emitting(head, steps, name, last, launch)
        })
    }
}

impl<E: Send + 'static, T: Step<anyhow::Result<E>>> Flow<anyhow::Result<E>, T> {
    /// Hands each error to `f` (count it, print it) and goes on with the rest.
    ///
    /// ```
    /// let mut failed = 0;
    /// let sum = drawgate::from_iter(["1", "x", "2"])
    ///     .map(|s| Ok(s.parse::<i32>()?))
    ///     .divert_errors(|cause| eprintln!("skipped: {cause}"))
    ///     .fold(0, |sum, n| *sum += n)
    ///     .run()?;
    /// assert_eq!(sum, 3);
    /// # anyhow::Ok(())
    /// ```
    pub fn divert_errors(self, f: impl FnMut(anyhow::Error) + Send + 'static) -> Flow<E, impl Step<E>> {
        self.then(Divert(f, PhantomData))
    }
}

fn check(bad: Option<BadOption>, name: Option<&Name>) -> Result<(), SpawnError> {
    match bad {
        Some(cause) => Err(SpawnError::BadOption { stage: name.cloned().unwrap_or_else(|| Name::from("flow")), cause }),
        None => Ok(()),
    }
}

/// Starts the threads of a parallel step: they share the lane above, and each has one of its own below.
fn workers<I, O, F>(
    above: Start<I>,
    above_name: Option<Name>,
    intake: bool,
    options: Parallel,
    make: impl Fn() -> anyhow::Result<F> + Send + Sync + 'static,
) -> Start<O>
where
    I: Send + 'static,
    O: Send + 'static,
    F: FnMut(I) -> O + 'static,
{
    struct Each<F>(F);
    impl<I: 'static, O: Send + 'static, F: FnMut(I) -> O + 'static> Slices<I, O> for Each<F> {
        fn events(&mut self, events: Events<'_, I>, ctx: &mut Context<'_, O>) -> anyhow::Result<()> {
            for event in events {
                ctx.emit((self.0)(event));
            }
            Ok(())
        }
    }
    Box::new(move |launch, name| {
        let outlets = above(launch, above_name)?;
        let step = name.unwrap_or_else(|| Name::from("parallel"));
        let make = Arc::new(make);
        let mut below = Vec::new();
        for i in 0..options.threads {
            let make = make.clone();
            let body = move || Ok(StepBody { slices: Box::new(Each(make()?)) as Box<dyn Slices<I, O>>, unit: () });
            let mut stage = Builder::<StepKind<I, O>>::new("parallel", StageKind::ProducerConsumer, Box::new(body));
            stage.name = Some(Name::from(format!("{step}-{}", i + 1)));
            stage.declared = declare(outlets.clone(), &Subscribe::new().max_demand(options.demand()));
            stage.is_intake = intake;
            stage.emit.news = false;
            below.push(launch.start(stage, &step)?.outlet());
        }
        Ok(below)
    })
}

impl<E: Send + 'static, T: Step<E>> fmt::Debug for Flow<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("name", &self.name).finish_non_exhaustive()
    }
}
