//! Steps: what a flow does to its events between two hops, fused by the compiler into one loop.

use super::launch::Head;
use crate::sealed::Sealed;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// Why a step takes nothing more.
#[doc(hidden)]
#[derive(Debug)]
#[allow(unnameable_types, reason = "named by hidden methods only")]
pub enum Halt {
    /// It has all it wants.
    Done,
    Failed(anyhow::Error),
}
/// What became of an event.
#[doc(hidden)]
pub(super) type Fed = Result<(), Halt>;

/// The steps of a flow since its last hop, down to events of type `O`. Not implemented by users.
///
/// ```
/// use drawgate::{Flow, flow::Step};
///
/// /// A step of one's own, made of others.
/// fn words<T: Step<String>>(lines: Flow<String, T>) -> Flow<String, impl Step<String>> {
///     lines.flat_map(|line| line.split(' ').map(String::from).collect::<Vec<_>>()).filter(|word| !word.is_empty())
/// }
///
/// let lines = drawgate::from_iter(["the  gate", "is raised"]).map(String::from);
/// assert_eq!(words(lines).collect().run()?, ["the", "gate", "is", "raised"]);
/// # anyhow::Ok(())
/// ```
pub trait Step<O>: Sealed + Send + Sized + 'static {
    /// What goes in at the top.
    type In: Send + 'static;
    /// Whether there is any step.
    #[doc(hidden)]
    const FUSED: bool;
    /// Whether a step gathers events for a time, so that its stage needs a timer.
    #[doc(hidden)]
    const TIMED: bool;
    #[doc(hidden)]
    fn feed(&mut self, event: Self::In, sink: &mut impl FnMut(O) -> Fed) -> Fed;
    /// The end: what was gathered comes out.
    #[doc(hidden)]
    fn done(&mut self, sink: &mut impl FnMut(O) -> Fed) -> Fed;
    /// Whether nothing will ever come out.
    #[doc(hidden)]
    fn is_over(&self) -> bool;
    /// When the first of what is gathered has to come out. What was begun since the last time counts from `now`.
    #[doc(hidden)]
    fn deadline(&mut self, now: Instant) -> Option<Instant>;
    /// What has to come out by `now` does.
    #[doc(hidden)]
    fn ring(&mut self, now: Instant, sink: &mut impl FnMut(O) -> Fed) -> Fed;
    /// If there is no step, what the events come from, as it is.
    #[doc(hidden)]
    fn unstepped(self, head: AnyHead<Self::In>) -> Result<AnyHead<O>, (Self, AnyHead<Self::In>)> {
        Err((self, head))
    }
}

/// How a stage gets its events, for code that is not to look inside.
#[doc(hidden)]
#[allow(unnameable_types, reason = "named by a hidden method only")]
pub struct AnyHead<I>(pub(super) Box<Head<I>>);
impl<I> fmt::Debug for AnyHead<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyHead")
    }
}

/// No step yet: the flow has just hopped.
///
/// ```
/// use drawgate::{Flow, flow::Hop};
///
/// fn squares(n: u64) -> Flow<u64, Hop> { // or `Flow<u64>`
///     drawgate::from_iter(0..n).map(|n| n * n).hop()
/// }
/// assert_eq!(squares(4).collect().run()?, [0, 1, 4, 9]);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hop;
impl Sealed for Hop {}
impl<E: Send + 'static> Step<E> for Hop {
    type In = E;
    const FUSED: bool = false;
    const TIMED: bool = false;
    #[inline]
    fn feed(&mut self, event: E, sink: &mut impl FnMut(E) -> Fed) -> Fed {
        sink(event)
    }
    fn done(&mut self, _: &mut impl FnMut(E) -> Fed) -> Fed {
        Ok(())
    }
    fn is_over(&self) -> bool {
        false
    }
    fn deadline(&mut self, _: Instant) -> Option<Instant> {
        None
    }
    fn ring(&mut self, _: Instant, _: &mut impl FnMut(E) -> Fed) -> Fed {
        Ok(())
    }
    fn unstepped(self, head: AnyHead<E>) -> Result<AnyHead<E>, (Self, AnyHead<E>)> {
        Ok(head)
    }
}

/// One more step.
///
/// ```
/// use drawgate::{Flow, flow::Step};
///
/// fn even() -> Flow<u32, impl Step<u32>> { // a `Then` of `Hop` and the filter
///     drawgate::from_iter(1..=4).filter(|n| n % 2 == 0)
/// }
/// assert_eq!(even().collect().run()?, [2, 4]);
/// # anyhow::Ok(())
/// ```
pub struct Then<T, P> {
    pub(super) before: T,
    pub(super) step: P,
}
impl<T, P> Sealed for Then<T, P> {}
impl<T, P> fmt::Debug for Then<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Then(..)")
    }
}

/// One step by itself.
#[allow(unnameable_types, reason = "only as a bound inside")]
pub trait One: Send + 'static {
    type In: Send + 'static;
    type Out: Send + 'static;
    fn feed(&mut self, event: Self::In, sink: &mut impl FnMut(Self::Out) -> Fed) -> Fed;
    fn done(&mut self, sink: &mut impl FnMut(Self::Out) -> Fed) -> Fed {
        let _ = sink;
        Ok(())
    }
    fn is_over(&self) -> bool {
        false
    }
    const TIMED: bool = false;
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }
    fn ring(&mut self, now: Instant, sink: &mut impl FnMut(Self::Out) -> Fed) -> Fed {
        let _ = (now, sink);
        Ok(())
    }
}

impl<T, P> Step<P::Out> for Then<T, P>
where
    P: One,
    T: Step<P::In>,
{
    type In = T::In;
    const FUSED: bool = true;
    const TIMED: bool = T::TIMED || P::TIMED;
    #[inline]
    fn feed(&mut self, event: T::In, sink: &mut impl FnMut(P::Out) -> Fed) -> Fed {
        let step = &mut self.step;
        self.before.feed(event, &mut |event| step.feed(event, sink))
    }
    fn done(&mut self, sink: &mut impl FnMut(P::Out) -> Fed) -> Fed {
        let step = &mut self.step;
        match self.before.done(&mut |event| step.feed(event, sink)) {
            Err(failed @ Halt::Failed(_)) => return Err(failed),
            Ok(()) | Err(Halt::Done) => {} // those below a step that has all it wants are at their end, too
        }
        self.step.done(sink)
    }
    fn is_over(&self) -> bool {
        self.step.is_over() || self.before.is_over()
    }
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let (before, own) = (self.before.deadline(now), self.step.deadline(now));
        before.into_iter().chain(own).min()
    }
    fn ring(&mut self, now: Instant, sink: &mut impl FnMut(P::Out) -> Fed) -> Fed {
        let step = &mut self.step;
        self.before.ring(now, &mut |event| step.feed(event, sink))?;
        self.step.ring(now, sink)
    }
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident<$($g:ident),*; $f:ident: $bound:path> ($in:ty => $out:ty)
       |$me:ident, $event:ident, $sink:ident| $body:expr;)*) => { $(
        $(#[$doc])*
        pub(super) struct $name<$($g,)* $f>(pub(super) $f, pub(super) PhantomData<fn($($g),*)>);
        impl<$($g,)* $f> fmt::Debug for $name<$($g,)* $f> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
        impl<$($g: Send + 'static,)* $f: $bound + Send + 'static> One for $name<$($g,)* $f> {
            type In = $in;
            type Out = $out;
            #[inline]
            fn feed(&mut self, $event: $in, $sink: &mut impl FnMut($out) -> Fed) -> Fed {
                let $me = &mut self.0;
                $body
            }
        }
    )* };
}

steps! {
    /// See `Flow::map`.
    Map<I, O; F: FnMut(I) -> O> (I => O) |f, event, sink| sink(f(event));
    /// See `Flow::try_map`.
    TryMap<I, O; F: FnMut(I) -> anyhow::Result<O>> (I => O) |f, event, sink| sink(f(event).map_err(Halt::Failed)?);
    /// See `Flow::filter`.
    Filter<E; F: FnMut(&E) -> bool> (E => E) |f, event, sink| if f(&event) { sink(event) } else { Ok(()) };
    /// See `Flow::inspect`.
    Inspect<E; F: FnMut(&E)> (E => E) |f, event, sink| {
        f(&event);
        sink(event)
    };
    /// See `Flow::divert_errors`.
    Divert<E; F: FnMut(anyhow::Error)> (anyhow::Result<E> => E) |f, event, sink| match event {
        Ok(event) => sink(event),
        Err(cause) => {
            f(cause);
            Ok(())
        }
    };
}

/// See `Flow::flat_map`.
pub(super) struct FlatMap<I, T, F>(pub(super) F, pub(super) PhantomData<fn(I) -> T>);
impl<I, T, F> fmt::Debug for FlatMap<I, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlatMap")
    }
}
impl<I: Send + 'static, T: IntoIterator + 'static, F: FnMut(I) -> T + Send + 'static> One for FlatMap<I, T, F>
where
    T::Item: Send + 'static,
{
    type In = I;
    type Out = T::Item;
    fn feed(&mut self, event: I, sink: &mut impl FnMut(T::Item) -> Fed) -> Fed {
        (self.0)(event).into_iter().try_for_each(sink)
    }
}

/// See `Flow::take`.
#[derive(Debug)]
pub(super) struct Take<E> {
    pub(super) left: usize,
    pub(super) of: PhantomData<fn(E)>,
}
impl<E: Send + 'static> One for Take<E> {
    type In = E;
    type Out = E;
    #[inline]
    fn feed(&mut self, event: E, sink: &mut impl FnMut(E) -> Fed) -> Fed {
        let Some(left) = self.left.checked_sub(1) else { return Err(Halt::Done) };
        self.left = left;
        sink(event)?;
        if left == 0 { Err(Halt::Done) } else { Ok(()) }
    }
    fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// See `Flow::chunks`.
#[derive(Debug)]
pub(super) struct Chunks<E> {
    pub(super) n: usize,
    pub(super) chunk: Vec<E>,
}
impl<E: Send + 'static> One for Chunks<E> {
    type In = E;
    type Out = Vec<E>;
    #[inline]
    fn feed(&mut self, event: E, sink: &mut impl FnMut(Vec<E>) -> Fed) -> Fed {
        self.chunk.push(event);
        if self.chunk.len() < self.n {
            return Ok(());
        }
        let next = Vec::with_capacity(self.n);
        sink(std::mem::replace(&mut self.chunk, next))
    }
    fn done(&mut self, sink: &mut impl FnMut(Vec<E>) -> Fed) -> Fed {
        match std::mem::take(&mut self.chunk) {
            chunk if chunk.is_empty() => Ok(()),
            chunk => sink(chunk),
        }
    }
}

/// See `Flow::chunks_within`.
#[derive(Debug)]
pub(super) struct ChunksWithin<E> {
    pub(super) chunks: Chunks<E>,
    pub(super) time: Duration,
    /// When the chunk that is gathered has to come out; nothing until that was asked for since it was begun.
    pub(super) until: Option<Instant>,
}
impl<E: Send + 'static> One for ChunksWithin<E> {
    type In = E;
    type Out = Vec<E>;
    const TIMED: bool = true;
    #[inline]
    fn feed(&mut self, event: E, sink: &mut impl FnMut(Vec<E>) -> Fed) -> Fed {
        if self.chunks.chunk.is_empty() {
            self.until = None;
        }
        self.chunks.feed(event, sink)
    }
    fn done(&mut self, sink: &mut impl FnMut(Vec<E>) -> Fed) -> Fed {
        self.chunks.done(sink)
    }
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.chunks.chunk.is_empty() {
            return None;
        }
        if self.until.is_none() {
            self.until = now.checked_add(self.time);
        }
        self.until
    }
    fn ring(&mut self, now: Instant, sink: &mut impl FnMut(Vec<E>) -> Fed) -> Fed {
        match self.until {
            Some(until) if until <= now => self.chunks.done(sink),
            _ => Ok(()),
        }
    }
}

/// An event with its place in the order of the input.
#[derive(Debug)]
pub(super) struct Numbered<E> {
    pub(super) number: u64,
    pub(super) event: E,
}

/// Numbers events, for a parallel step that keeps their order.
#[derive(Debug)]
pub(super) struct Number<E> {
    pub(super) next: u64,
    pub(super) of: PhantomData<fn(E)>,
}
impl<E: Send + 'static> One for Number<E> {
    type In = E;
    type Out = Numbered<E>;
    #[inline]
    fn feed(&mut self, event: E, sink: &mut impl FnMut(Numbered<E>) -> Fed) -> Fed {
        let number = self.next;
        self.next += 1;
        sink(Numbered { number, event })
    }
}
