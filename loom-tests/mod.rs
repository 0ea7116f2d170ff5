//! Models of the wake-up and demand protocols: the library's own code in every interleaving that loom's bound allows.
//!
//! | file     | what is modelled                                                     | of docs/design.md |
//! |----------|----------------------------------------------------------------------|-------------------|
//! | `latch`  | the waiting place of a thread                                        | F3                |
//! | `mail`   | letters, and a mailbox that closes                                   | F3, F6            |
//! | `wakes`  | who is woken for an event, a notification, a gate                    | F3, F4            |
//! | `demand` | grants, what is taken back, what is offset                           | F1, F3, F5        |
//! | `port`   | pushers, their line, deadlines, `close`                              | F2, F4, F6        |
//! | `ends`   | how an end travels, and what becomes of what is left                 | F2, F6            |
//! | `slow`   | larger ones, for the long run only                                   | F2, F3            |
//!
//! One invariant a model, named as a sentence. `.ci/mutants` breaks the library a line at a time, and the model that a
//! mutant names must turn red. A handler that may last for ever is a thread that waits until somebody else has handled
//! the other event: a wake that was swallowed is then a deadlock, which loom reports.
//!
//! Run with `.ci/run loom`. What each model took is printed with `--nocapture`.

mod demand;
mod ends;
mod latch;
mod mail;
mod port;
mod slow;
mod switches;
mod wakes;

use crate::Name;
use crate::error::{CancelReason, ExitReason, PushError};
use crate::link::dispatch::{DemandDispatcher, Dispatcher};
use crate::link::{
    DemandMode, Hooks, Inbox, Link, Mailbox, Note, Options, Outlet, OwnSide, Round, Side, Staged, SubId, Subscribe,
    Subscriber, Told, WayIn,
};
use crate::sync::{Arc, Awake, Clock, Deadline, Latch, ManualTime, Patience, Wait};
use loom::sync::{Condvar, Mutex};
use loom::thread::{JoinHandle, spawn};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Events are numbers.
type E = u8;

/// Runs a model in every interleaving with at most `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless told.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_branches = 10_000;
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let clock = Clock::Real;
    let from = clock.now();
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{name}: {} executions, {:.1} s", executions.load(Relaxed), (clock.now() - from).as_secs_f64());
}

fn awake() -> &'static Arc<Awake> {
    // Holds nothing of loom's, so that executions may share it.
    static AWAKE: OnceLock<Arc<Awake>> = OnceLock::new();
    AWAKE.get_or_init(|| Awake::new(false))
}

/// The latch of a thread that is not modelled.
fn nobody() -> Arc<Latch> {
    Latch::new(awake())
}

/// The outlet of a stage with a demand dispatcher.
fn outlet(side: Side, bound: Option<usize>, owner: &Arc<Latch>) -> Arc<Outlet<E>> {
    outlet_with(side, bound, owner, DemandDispatcher::new())
}

fn outlet_with(side: Side, bound: Option<usize>, owner: &Arc<Latch>, dispatcher: impl Dispatcher<E>) -> Arc<Outlet<E>> {
    Outlet::new(options(side, bound, dispatcher), Hooks::default(), owner, awake())
}

fn options(side: Side, bound: Option<usize>, dispatcher: impl Dispatcher<E>) -> Options<E> {
    Options { bound, ..Options::new(Name::from("p"), side, Box::new(dispatcher)) }
}

/// A port of this capacity whose thread is not modelled.
fn port(capacity: usize) -> Arc<Outlet<E>> {
    outlet(Side::Port, Some(capacity), &nobody())
}

/// A consumer whose thread is not modelled.
fn somebody(outlet: &Outlet<E>, options: Subscribe<E>, id: u64) -> SubId {
    outlet.subscribe(&options, Subscriber { name: &Name::from("c"), id, latch: &nobody() }).unwrap()
}

/// A push that finds room.
fn push(port: &Outlet<E>, event: E) {
    let routed = port.route(&event).expect("routers of models do not fail");
    assert!(port.enter(event, routed, false).is_ok(), "{event} had no room");
}

/// A push that waits for room. An `Err` did not get in.
fn push_waiting(port: &Outlet<E>, event: E, time: &Time) -> Result<(), PushError<E>> {
    let routed = port.route(&event).expect("routers of models do not fail");
    port.wait_in_line(event, routed, WayIn::Now, &time.clock(), time.deadline).map(|_| ())
}

/// A clock that stands until it is moved, and a moment it has not reached.
#[derive(Clone)]
struct Time {
    manual: Arc<ManualTime>,
    deadline: Deadline,
}

impl Time {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(1);

    /// With a deadline.
    fn limited() -> Self {
        let manual = ManualTime::new();
        let deadline = Clock::Manual(manual.clone()).after(Self::LIMIT);
        Self { manual, deadline }
    }
    fn endless() -> Self {
        Self { deadline: Deadline::NEVER, ..Self::limited() }
    }
    fn clock(&self) -> Clock {
        Clock::Manual(self.manual.clone())
    }
    /// The deadline comes.
    fn pass(&self) {
        self.manual.advance(Self::LIMIT);
    }
}

/// Emits as a callback that returns does.
fn emit(outlet: &Outlet<E>, events: impl IntoIterator<Item = E>) -> Told {
    let mut staged = Staged::default();
    for event in events {
        outlet.stage(event, &mut staged);
    }
    outlet.emit(&mut staged)
}

/// Slices of this length, and as many asked for.
fn slices_of(n: usize) -> Subscribe<E> {
    Subscribe::new().max_demand(n).min_demand(0)
}

/// A letter to a stage of a model.
#[derive(Debug, PartialEq, Eq)]
enum Letter {
    Stop,
    Number(u8),
}

/// A stage without callbacks: its inbox, and its own outlet if it emits.
struct Stage {
    inbox: Inbox<E, Letter>,
    own: Option<Arc<Outlet<E>>>,
    /// What the last operation on its own outlet said.
    told: Option<Told>,
    id: u64,
}

/// What a stage does next, with the events taken out of the inbox.
#[derive(Debug)]
enum Got {
    Mail(Vec<Letter>),
    Slice(usize, Vec<E>),
    Note,
    Ended(usize, CancelReason),
    Told(Told),
}

impl Stage {
    fn new(id: u64) -> Self {
        let inbox = Inbox::new(Arc::new(Mailbox::new(nobody())), Clock::Real, Patience::new(Wait::Park));
        Self { inbox, own: None, told: None, id }
    }

    /// With an outlet of its own.
    fn emitting(id: u64, side: Side) -> Self {
        Self::emitting_by(id, side, DemandDispatcher::new())
    }
    fn emitting_by(id: u64, side: Side, dispatcher: impl Dispatcher<E>) -> Self {
        let mut stage = Self::new(id);
        stage.own = Some(outlet_with(side, None, stage.inbox.mail.latch(), dispatcher));
        stage
    }

    fn subscribed(mut self, outlet: &Arc<Outlet<E>>, options: Subscribe<E>) -> Self {
        self.subscribe(outlet, options);
        self
    }
    fn subscribe(&mut self, outlet: &Arc<Outlet<E>>, options: Subscribe<E>) -> SubId {
        self.try_subscribe(outlet, options).expect("the outlet has not ended")
    }
    fn try_subscribe(&mut self, outlet: &Arc<Outlet<E>>, options: Subscribe<E>) -> Option<SubId> {
        let link = Link::new(outlet.clone(), &options, self.who(&Name::from("c"))).ok()?;
        let sub = link.sub;
        self.inbox.links.push(link);
        Some(sub)
    }

    fn who<'a>(&'a self, name: &'a Name) -> Subscriber<'a> {
        Subscriber { name, id: self.id, latch: self.inbox.mail.latch() }
    }

    fn mail(&self) -> Arc<Mailbox<Letter>> {
        self.inbox.mail.clone()
    }
    fn outlet(&self) -> Arc<Outlet<E>> {
        self.own.clone().expect("it emits")
    }

    /// The next thing to do; sleeps until there is one.
    fn next(&mut self) -> Got {
        let own = self.own.as_ref().map(|own| &**own as &dyn OwnSide);
        match self.inbox.next(own, self.told.take()) {
            Round::Mail => Got::Mail(self.inbox.mail.take()),
            Round::Slice(link) => {
                let mut slice = Vec::new();
                std::mem::swap(&mut slice, &mut self.inbox.buffer);
                assert!(!slice.is_empty());
                Got::Slice(link, slice)
            }
            Round::Note(_) => Got::Note,
            Round::Ended(link, why) => {
                drop(self.inbox.remove(link));
                Got::Ended(link, why)
            }
            Round::Told(told) => Got::Told(told),
        }
    }

    /// The next slice, handled at once; nothing if the stage is told to stop, or if all it drew from has ended.
    fn handle_next(&mut self) -> Option<Vec<E>> {
        loop {
            match self.next() {
                Got::Slice(link, events) => {
                    self.inbox.handled(link, events.len());
                    return Some(events);
                }
                Got::Mail(_) => {
                    self.leave();
                    return None;
                }
                Got::Ended(..) if self.inbox.links.is_empty() => return None,
                Got::Ended(..) | Got::Note | Got::Told(_) => {}
            }
        }
    }

    fn emit(&mut self, events: impl IntoIterator<Item = E>) {
        self.told = Some(emit(&self.outlet(), events));
    }

    fn leave(&mut self) {
        self.inbox.leave_all(false, &CancelReason::Down(ExitReason::Normal));
    }
    fn fail(&mut self) {
        self.inbox.leave_all(true, &CancelReason::Down(ExitReason::Panic("oops".into())));
    }
}

/// What became of each event, by its number. No part of what is modelled: costs no executions.
#[derive(Clone, Default)]
struct Fates(Arc<[AtomicUsize; 8]>);

impl Fates {
    fn met(&self, events: impl IntoIterator<Item = E>) {
        for event in events {
            self.0[usize::from(event)].fetch_add(1, Relaxed);
        }
    }
    fn count(&self, event: E) -> usize {
        self.0[usize::from(event)].load(Relaxed)
    }
    /// Each of these met one fate, and no other event met any.
    fn are_one_each_of(&self, events: &[E]) {
        for event in 0..8 {
            let wanted = usize::from(events.contains(&event));
            assert_eq!(self.count(event), wanted, "fates of event {event}");
        }
    }
}

/// A number that grows, and the one thread that waits for it, as a handler of a user's may.
#[derive(Clone)]
struct Tally(Arc<(Mutex<usize>, Condvar)>);

impl Tally {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(0), Condvar::new())))
    }
    /// Returns what it is now.
    fn add(&self, n: usize) -> usize {
        let mut count = self.0.0.lock().unwrap();
        *count += n;
        let now = *count;
        drop(count);
        self.0.1.notify_one();
        now
    }
    fn wait_for(&self, n: usize) {
        let mut count = self.0.0.lock().unwrap();
        while *count < n {
            count = self.0.1.wait(count).unwrap();
        }
    }
}

/// Waits for threads, and hands back what they return, so that it is dropped when nothing is going on any more.
fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
