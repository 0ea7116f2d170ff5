//! The thread of a worker: one event after the other, each for itself.
//!
//! Guarantees: an error or a panic, also of making the state, of a `Clone` or of a hook, ends nothing but the event. The
//! state is made on this thread, by the first event that needs it, and dropped on it, before the pool's end is told.

use super::crew::Crew;
use super::roster::Given;
use crate::error::ExitReason;
use crate::runtime::Telemetry;
use crate::stage::{StageRef, StopToken};
use crate::sync::{Arc, Latch, drop_each, isolate};

/// One worker of a pool, as the closure that makes its state is told.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}};
/// let asleep = Arc::new(AtomicBool::new(true));
/// let alarm = asleep.clone();
/// let numbers = drawgate::from_iter(0..3).spawn()?;
/// let pool = drawgate::workers_init(
///     move |worker| {
///         let alarm = alarm.clone();
///         worker.stop_token().on_stop(move || alarm.store(false, SeqCst)); // wakes what may block
///         Ok((worker.number(), worker.stop_token()))
///     },
///     |(number, stop), _: i32| {
///         assert!(*number < 2 && !stop.is_stopping());
///         Ok(())
///     },
/// );
/// let counts = pool.threads(2).subscribe_to(&numbers).spawn()?.finish()?;
/// assert_eq!((counts.handled, asleep.load(SeqCst)), (3, false));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Worker {
    number: usize,
    pool: StageRef,
}

impl Worker {
    pub(super) fn new(number: usize, pool: StageRef) -> Self {
        Self { number, pool }
    }

    /// Its number: the lowest that no other worker of the pool has, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The pool's stage. A worker may ask it to stop; to wait for its end would never end.
    pub fn pool(&self) -> &StageRef {
        &self.pool
    }

    /// Says when the pool is being stopped, or ends for another reason than that all producers are done. The pool waits for
    /// the event in work, so code of yours that blocks should hear it.
    pub fn stop_token(&self) -> StopToken {
        self.pool.0.token.clone()
    }
}

/// An event that was given up: what [`on_failure`](super::PoolBuilder::on_failure) gets.
///
/// ```
/// use drawgate::ExitReason;
/// let (failed, told) = std::sync::mpsc::channel();
/// let words = drawgate::from_iter(["1", "x"]).spawn()?;
/// let pool = drawgate::workers(|word: &str| {
///     word.parse::<i32>()?;
///     Ok(())
/// });
/// let pool = pool.on_failure(move |failure| failed.send((failure.tries, failure.reason.to_string())).unwrap());
/// pool.subscribe_to(&words).spawn()?.join()?;
/// assert_eq!(told.recv()?, (1, "invalid digit found in string".to_string()));
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The pool's stage, which may be asked to stop.
    pub pool: &'a StageRef,
    /// The number of the worker.
    pub worker: usize,
    /// How often it was tried.
    pub tries: u32,
    /// What the last try ended with: [`ExitReason::Error`] or [`ExitReason::Panic`].
    pub reason: &'a ExitReason,
}

/// What a worker does with its events; it holds the worker's state.
pub(super) type Hand<E> = Box<dyn FnMut(E) -> anyhow::Result<()>>;
pub(super) type MakeHand<E> = Box<dyn Fn(&Worker) -> anyhow::Result<Hand<E>> + Send + Sync>;
/// How often a failed event is tried again, and how it is kept for that.
pub(super) type Restarts<E> = (u32, fn(&E) -> E);
pub(super) type OnFailure = Box<dyn Fn(&Failure<'_>) + Send + Sync>;

/// What all workers of a pool do.
pub(super) struct Task<E> {
    pub(super) make: MakeHand<E>,
    pub(super) restarts: Option<Restarts<E>>,
    pub(super) on_failure: Option<OnFailure>,
}

/// The whole of a worker's thread.
pub(super) fn run<E>(crew: &Crew<E>, task: Arc<Task<E>>, worker: Worker, latch: &Arc<Latch>) {
    let number = worker.number;
    let mut seat = At { crew, task: &task, worker: &worker, hand: None, began: false };
    while let Some(Given { event, from }) = crew.next(number, latch) {
        let well = seat.handle(event);
        crew.finished(number, &from, well);
    }
    let _ = drop_each(seat.hand);
    drop(task); // what it holds is the user's, and is dropped by the pool's stage when all workers have left
    crew.left(number);
}

struct At<'a, E> {
    crew: &'a Crew<E>,
    task: &'a Task<E>,
    worker: &'a Worker,
    hand: Option<Hand<E>>,
    /// Whether the runtime has been told of this thread.
    began: bool,
}

impl<E> At<'_, E> {
    /// Tries an event as often as it may be. Returns whether it was handled; if not, that was told.
    fn handle(&mut self, mut event: E) -> bool {
        let pool = &self.worker.pool;
        let mut tries = 1;
        loop {
            let again = self.task.restarts.filter(|(times, _)| tries <= *times);
            let mut spare = None;
            let ran = isolate(|| {
                spare = again.map(|(_, keep)| keep(&event));
                if !std::mem::replace(&mut self.began, true) {
                    self.crew.runtime.thread_started(pool.name());
                }
                let hand = match &mut self.hand {
                    Some(hand) => hand,
                    none => none.insert((self.task.make)(self.worker)?),
                };
                hand(event)
            });
            let reason = match ran {
                Ok(Ok(())) => {
                    let _ = drop_each(spare);
                    return true;
                }
                Ok(Err(cause)) => ExitReason::error(cause),
                Err(message) => {
                    let _ = drop_each(self.hand.take()); // whatever a panic left of it
                    ExitReason::Panic(message)
                }
            };
            match spare {
                Some(spare) if !pool.0.token.is_stopping() => event = spare,
                spare => {
                    let _ = drop_each(spare);
                    self.give_up(tries, &reason);
                    return false;
                }
            }
            self.crew.roster().restarted += 1;
            tries += 1;
        }
    }

    fn give_up(&self, tries: u32, reason: &ExitReason) {
        self.crew.roster().failed += 1;
        let (pool, worker) = (&self.worker.pool, self.worker.number);
        match &self.task.on_failure {
            None => self.crew.runtime.report(&Telemetry::WorkerFailed { stage: pool.name(), worker, reason }),
            Some(hook) => {
                let _ = isolate(|| hook(&Failure { pool, worker, tries, reason }));
            }
        }
    }
}
