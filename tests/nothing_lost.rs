//! A long run with random pushes, cancels, panics, restarts and stops, that accounts for every event by number: one that
//! was pushed with `Ok` is handled once, or lost or discarded and counted; one that was handed back reaches nobody.
//!
//! Takes a few seconds; `NOTHING_LOST_SECONDS` makes it longer, and `NOTHING_LOST_SEED` begins with another round than
//! the first.

#![allow(missing_docs)]

use drawgate::prelude::*;
use drawgate::{Nothing, Subscription, WeakPort};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PUSHERS: usize = 4;
const EACH: u32 = 500;
const NAME: &str = "events";
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Handled,
    /// In the hand of a consumer that failed.
    InHand,
    /// Given to `on_lost`.
    Lost,
}

/// What became of each event.
#[derive(Default)]
struct Ledger {
    accepted: Mutex<Vec<u32>>,
    returned: Mutex<Vec<u32>>,
    fates: Mutex<HashMap<u32, Vec<Fate>>>,
    next: AtomicU32,
}

impl Ledger {
    fn met(&self, event: u32, fate: Fate) {
        lock(&self.fates).entry(event).or_default().push(fate);
    }
    fn with(&self, fate: Fate) -> u64 {
        lock(&self.fates).values().flatten().filter(|f| **f == fate).count() as u64
    }
    fn pushed<R>(&self, event: u32, outcome: Result<R, PushError<u32>>) {
        match outcome {
            Ok(_) => lock(&self.accepted).push(event),
            Err(refused) => {
                assert_eq!(refused.into_event(), event, "another event came back");
                lock(&self.returned).push(event);
            }
        }
    }
    /// Accepted ones nobody has met: they may only have been counted.
    fn missing(&self) -> u64 {
        let fates = lock(&self.fates);
        lock(&self.accepted).iter().filter(|e| !fates.contains_key(*e)).count() as u64
    }
}

/// A consumer that panics holds no lock of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics under it")
}

/// Handles events, brings some back for later, and fails now and then.
struct Worker {
    ledger: Arc<Ledger>,
    port: WeakPort<u32>,
    rng: fastrand::Rng,
    reliable: bool,
}

impl Consumer for Worker {
    type Event = u32;
    fn handle_events(&mut self, events: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
        if !self.reliable && self.rng.u32(0..100) == 0 {
            anyhow::bail!("on purpose, with nothing taken");
        }
        if !self.reliable && self.rng.u32(0..200) == 0 {
            events.into_vec().into_iter().for_each(|e| self.ledger.met(e, Fate::InHand));
            panic!("on purpose, with all taken");
        }
        for event in events {
            match self.rng.u32(0..300) {
                0 if !self.reliable => {
                    self.ledger.met(event, Fate::InHand);
                    panic!("on purpose, with one in hand");
                }
                1..10 if !self.reliable => {
                    let delay = Duration::from_micros(self.rng.u64(0..2000));
                    let again = self.port.upgrade().map(|port| port.retry_after(event, delay));
                    if !matches!(again, Some(Ok(_))) {
                        self.ledger.met(event, Fate::Handled);
                    }
                }
                _ => self.ledger.met(event, Fate::Handled),
            }
        }
        Ok(())
    }
}

type Running = (Handle<u32, Nothing, Worker>, Option<Subscription>);

struct Round {
    rng: fastrand::Rng,
    rt: Runtime,
    ledger: Arc<Ledger>,
    partitions: usize,
    ports: Vec<Port<u32>>,
    workers: Vec<Running>,
    /// Whether it ends by a stop, and is stopped and started again on the way.
    stops: bool,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rt = Runtime::new();
        rt.on_event(|_| ()); // what fails here does so on purpose
        let (partitions, stops) = (rng.usize(0..3), rng.bool());
        let ledger = Arc::default();
        let mut round = Self { rng, rt, ledger, partitions, ports: Vec::new(), workers: Vec::new(), stops };
        round.start_port();
        round
    }

    fn port(&self) -> Port<u32> {
        self.ports.last().expect("there is always one").clone()
    }

    fn start_port(&mut self) {
        let ledger = self.ledger.clone();
        let mut builder = match self.rng.u32(0..4) {
            0 => Port::unbounded(),
            n => Port::bounded(1 << (2 * n - 2)),
        };
        if self.rng.u32(0..4) == 0 {
            builder = builder.delay(Duration::from_micros(300));
        }
        if self.partitions > 0 {
            let n = self.partitions;
            // Every eleventh goes nowhere.
            let by_number = PartitionDispatcher::by_index(n, move |e: &u32| (e % 11 != 0).then_some(*e as usize % n));
            builder = builder.dispatcher(by_number);
        }
        let on_lost = move |event, _: &drawgate::Name| ledger.met(event, Fate::Lost);
        let port = builder.name(NAME).runtime(&self.rt).on_lost(on_lost).on_discard(|_| ()).spawn();
        self.ports.push(port.expect("the name is free"));
    }

    fn start_worker(&mut self, reliable: bool) {
        let (ledger, port) = (self.ledger.clone(), self.port());
        let worker = Worker { ledger, port: port.downgrade(), rng: self.rng.fork(), reliable };
        let max = self.rng.usize(1..20);
        let mut options = Subscribe::new().max_demand(max).min_demand(self.rng.usize(0..max));
        if self.partitions > 0 {
            options = options.partition(self.rng.usize(0..self.partitions));
        }
        let worker = drawgate::consumer(worker).runtime(&self.rt).spawn().expect("it has nothing to fail at");
        // Refused if somebody has the partition.
        let subscription = match self.rng.bool() {
            true => worker.subscribe_with(&port, options),
            false => worker.subscribe_with(NAME, options),
        };
        match subscription {
            Ok(subscription) => self.workers.push((worker, Some(subscription))),
            Err(_) => worker.request_stop(ExitReason::Normal),
        }
    }

    /// Pushes in every way there is.
    fn start_pusher(&mut self, gone: Arc<AtomicU32>) -> JoinHandle<()> {
        let (ledger, mut rng, rt) = (self.ledger.clone(), self.rng.fork(), self.rt.clone());
        // What a channel holds at the moment of a stop may be lost; at capacity 0 it holds nothing.
        let capacity = if self.stops { 0 } else { rng.usize(0..4) };
        let (port, tx) = (self.port(), self.port().sender(capacity).expect("a thread"));
        thread::spawn(move || {
            for _ in 0..EACH {
                let event = ledger.next.fetch_add(1, SeqCst);
                let soon = Duration::from_micros(rng.u64(0..1500));
                match rng.u32(0..10) {
                    0 => ledger.pushed(event, port.try_push(event)),
                    1 => ledger.pushed(event, port.push_timeout(event, soon)),
                    2 => ledger.pushed(event, port.push_after(event, soon)),
                    3 => ledger.pushed(event, rt.registry().push(NAME, event)),
                    4 => ledger.pushed(event, rt.registry().push_after(NAME, event, soon)),
                    5 => ledger.pushed(event, tx.send(event).map_err(|e| PushError::Closed(e.into_inner()))),
                    6 => match port.push_after(event, soon * 3) {
                        Ok(id) => match port.cancel(id) {
                            Some(back) => ledger.pushed(event, Err::<(), _>(PushError::Closed(back))),
                            None => ledger.pushed(event, Ok(())),
                        },
                        refused => ledger.pushed(event, refused),
                    },
                    7 => {
                        let many: Vec<u32> = (0..5).map(|_| ledger.next.fetch_add(1, SeqCst)).chain([event]).collect();
                        let back = match port.push_all(many.clone()) {
                            Ok(()) => Vec::new(),
                            Err(refused) => refused.into_event(),
                        };
                        assert!(many.ends_with(&back), "what comes back is the rest, in order");
                        lock(&ledger.accepted).extend(&many[..many.len() - back.len()]);
                        lock(&ledger.returned).extend(back);
                    }
                    _ => ledger.pushed(event, port.push(event)),
                }
            }
            drop((port, tx));
            gone.fetch_add(1, SeqCst);
        })
    }

    fn disturb(&mut self) {
        self.workers.retain(|(worker, _)| worker.is_alive());
        match self.rng.u32(0..400) {
            _ if self.workers.len() < 2 => self.start_worker(false),
            0..4 => self.start_worker(false),
            4..8 => {
                let i = self.rng.usize(0..self.workers.len());
                if let Some(subscription) = self.workers[i].1.take() {
                    subscription.cancel();
                }
            }
            8..12 => {
                let i = self.rng.usize(0..self.workers.len());
                self.workers[i].0.request_stop(ExitReason::Normal);
            }
            12 if self.stops && self.ports.len() < 4 => {
                self.port().stop(ExitReason::Normal, LIMIT).expect("a port stops");
                self.start_port();
            }
            _ => thread::yield_now(),
        }
    }

    fn run(mut self) {
        let gone = Arc::new(AtomicU32::new(0));
        let pushers: Vec<_> = (0..PUSHERS).map(|_| self.start_pusher(gone.clone())).collect();
        while (gone.load(SeqCst) as usize) < PUSHERS {
            self.disturb();
        }
        pushers.into_iter().for_each(|p| p.join().expect("a pusher's own checks"));
        let port = self.port();
        if self.stops {
            port.stop(ExitReason::Normal, LIMIT).expect("a port stops");
        } else {
            port.close();
            while port.is_alive() {
                self.workers.retain(|(worker, _)| worker.is_alive());
                if self.workers.len() < 1 + self.partitions {
                    self.start_worker(true);
                }
                thread::yield_now();
            }
            port.join().expect("a closed port is done");
        }
        for (worker, _) in &self.workers {
            worker.request_stop(ExitReason::Normal);
            let _ = worker.join(); // some fail on purpose
        }
        self.account();
    }

    /// Lost or discarded, by the ports' own figures.
    fn counted(&self) -> u64 {
        self.ports.iter().map(Port::port_stats).map(|stats| stats.lost + stats.discarded).sum()
    }

    fn account(self) {
        let ledger = &*self.ledger;
        // Threads of the library that bring in what comes late may still be at it: events by name, and carriers.
        while ledger.with(Fate::InHand) + ledger.with(Fate::Lost) + ledger.missing() != self.counted() {
            thread::yield_now();
        }
        let fates = lock(&ledger.fates);
        for (event, fates) in &*fates {
            assert_eq!(fates.len(), 1, "event {event} met {fates:?}");
        }
        for event in &*lock(&ledger.returned) {
            assert!(!fates.contains_key(event), "event {event} was handed back, and {:?}", fates[event]);
        }
        let lost: u64 = self.ports.iter().map(|port| port.port_stats().lost).sum();
        let discarded: u64 = self.ports.iter().map(|port| port.port_stats().discarded).sum();
        let known = fates.values().flatten().filter(|f| **f != Fate::Handled).count() as u64;
        assert!(lost >= known, "{known} are known to be lost, {lost} were counted");
        if self.partitions == 0 {
            assert_eq!(discarded, 0);
        }
        if !self.stops {
            assert_eq!(lost, known, "after a close nothing is lost but what was in a hand");
            assert!(fates.values().flatten().all(|f| *f != Fate::Lost));
        }
    }
}

#[test]
fn f2_every_event_has_one_fate() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().expect("a number"));
    let limit = Duration::from_secs(number("NOTHING_LOST_SECONDS", 3));
    let first = number("NOTHING_LOST_SEED", 0);
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let on_purpose = info.payload().downcast_ref::<&str>().is_some_and(|text| text.starts_with("on purpose"));
        if !on_purpose {
            shown(info);
        }
    }));
    let from = Instant::now();
    for seed in first.. {
        if seed > first && from.elapsed() >= limit {
            break;
        }
        let (done, told) = mpsc::channel();
        let round = thread::spawn(move || {
            Round::new(seed).run();
            let _ = done.send(());
        });
        match told.recv_timeout(LIMIT) {
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("round {seed} hangs"),
            _ => assert!(round.join().is_ok(), "round {seed} failed"),
        }
    }
}
