//! Worker pools: how many at once, what becomes of events that fail, restarts, figures, resizing, ends.

use crate::support::{Counting, until, watchdog};
use crossbeam_channel::Sender as Go;
use drawgate::error::BadOption;
use drawgate::pool::{Counts, PoolBuilder};
use drawgate::prelude::*;
use drawgate::runtime::Telemetry;
use drawgate::stage::Doing;
use drawgate::{CallError, Pool, SpawnError};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Workers that tell each event, and are at it until they get a permit; dropping what sends those opens for good.
fn gated() -> (PoolBuilder<u64>, Receiver<u64>, Go<()>) {
    let (begun, begins) = mpsc::channel();
    let (go, gone) = crossbeam_channel::bounded(0);
    let workers = drawgate::workers(move |event| {
        begun.send(event)?;
        let _ = gone.recv();
        Ok(())
    });
    (workers, begins, go)
}

fn port(events: std::ops::Range<u64>) -> Port<u64> {
    let port = Port::bounded(100).spawn().unwrap();
    port.push_all(events.collect()).unwrap();
    port
}

fn handled(pool: &Pool<u64>, n: u64) {
    until(|| pool.counts().handled == n);
}

/// Runs them over so many events, to the end.
fn counted(workers: PoolBuilder<u64>, events: u64) -> Counts {
    let numbers = drawgate::from_iter(0..events).spawn().unwrap();
    workers.subscribe_to(&numbers).spawn().unwrap().finish().unwrap()
}

/// A runtime, and what it tells of workers that failed.
fn telling() -> (Runtime, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let rt = Runtime::new();
    rt.on_event(move |event| {
        if let Telemetry::WorkerFailed { stage, worker, reason, .. } = event {
            tell.send(format!("{worker} of {stage}: {reason}")).unwrap();
        }
    });
    (rt, told)
}

// ---- how many at once

#[test]
fn p53_each_event_has_a_worker_and_there_are_never_more_than_threads() {
    watchdog(|| {
        let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (begun, begins) = mpsc::channel();
        let (go, gone) = crossbeam_channel::bounded::<()>(0);
        let seen = most.clone();
        let workers = drawgate::workers(move |n: u64| {
            seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            begun.send(n)?;
            gone.recv()?;
            now.fetch_sub(1, SeqCst);
            Ok(())
        });
        // Two producers: what bounds it is not their demand alone.
        let (a, b) = (port(0..10), port(10..20));
        let pool = workers.threads(3).subscribe_to(&a).subscribe_to(&b).spawn().unwrap();
        let mut all: HashSet<u64> = begins.iter().take(3).collect();
        until(|| a.stats().buffered + b.stats().buffered == 16); // one more was drawn, and waits for a worker
        assert_eq!(pool.counts().running, 3);
        a.close();
        b.close();
        for _ in 0..17 {
            go.send(()).unwrap();
            all.insert(begins.recv().unwrap());
        }
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        assert_eq!(pool.finish().unwrap().handled, 20);
        assert_eq!((all.len(), most.load(SeqCst)), (20, 3));
    });
}

#[test]
fn p53_more_is_asked_for_when_the_count_falls_to_min_demand() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (workers, begins, go) = gated();
        let pool = workers.threads(4).min_demand(1).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(demands.recv(), Ok(4));
        for round in 1..4 {
            assert_eq!(begins.iter().take(if round == 1 { 4 } else { 3 }).count(), if round == 1 { 4 } else { 3 });
            for done in 0..3 {
                assert!(demands.try_recv().is_err(), "asked after {done} of round {round}");
                go.send(()).unwrap();
                handled(&pool, 3 * (round - 1) + done + 1);
            }
            assert_eq!(demands.recv(), Ok(3), "the fourth is still at it");
        }
        pool.request_stop(ExitReason::Normal);
        drop(go);
    });
}

#[test]
fn p53_by_default_each_event_that_is_through_is_asked_for_again() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (workers, begins, go) = gated();
        let pool = workers.threads(4).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(demands.recv(), Ok(4));
        assert_eq!(begins.iter().take(4).count(), 4);
        for _ in 0..5 {
            go.send(()).unwrap();
            assert_eq!(demands.recv(), Ok(1));
        }
        pool.request_stop(ExitReason::Normal);
        drop(go);
    });
}

#[test]
fn p53_its_number_of_threads_is_what_it_asks_for_whatever_the_subscription_says() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (workers, begins, go) = gated();
        let options = Subscribe::new().max_demand(50).min_demand(40);
        let pool = workers.threads(2).subscribe_to_with(&producer, options).spawn().unwrap();
        assert_eq!(demands.recv(), Ok(2));
        assert_eq!(begins.iter().take(2).count(), 2);
        go.send(()).unwrap();
        assert_eq!(demands.recv(), Ok(1));
        pool.request_stop(ExitReason::Normal);
        drop(go);
    });
}

#[test]
fn p53_a_thread_is_started_only_when_none_is_idle() {
    watchdog(|| {
        let (seen, ids) = mpsc::channel();
        let port = port(0..0);
        let workers = drawgate::workers(move |_: u64| Ok(seen.send(thread::current().id())?));
        let pool = workers.threads(4).subscribe_to(&port).spawn().unwrap();
        assert_eq!(pool.counts(), Counts::default(), "none before the first event");
        for n in 1..=20 {
            port.push(n).unwrap();
            handled(&pool, n);
        }
        let ids: HashSet<ThreadId> = ids.try_iter().collect();
        assert_eq!((ids.len(), pool.counts().threads, pool.counts().idle), (1, 1, 1));
    });
}

#[test]
fn p53_options_of_a_subscription_are_kept_but_for_its_demand() {
    watchdog(|| {
        let (seen, told) = mpsc::channel();
        let port = Port::bounded(10).partition_by(2, |n: &u64| *n).spawn().unwrap();
        let pool = drawgate::workers(move |n: u64| Ok(seen.send(n)?)).threads(2).spawn().unwrap();
        let options = || Subscribe::new().max_demand(5).min_demand(4);
        pool.subscribe_with(&port, options().partition(0)).unwrap();
        let other = drawgate::fold(0, |count: &mut u64, _: u64| *count += 1);
        let other = other.subscribe_to_with(&port, options().partition(1)).spawn().unwrap();
        port.push_all((0..10).collect()).unwrap();
        port.close();
        let (mine, others) = (pool.finish().unwrap().handled, other.finish().unwrap());
        assert_eq!(mine + others, 10);
        assert_eq!(told.iter().count() as u64, mine);
    });
}

// ---- state

#[test]
fn p53_each_worker_makes_a_state_on_its_own_thread_and_drops_it_there_before_the_end() {
    struct Own(Rc<ThreadId>, mpsc::Sender<(ThreadId, ThreadId)>);
    impl Drop for Own {
        fn drop(&mut self) {
            self.1.send((*self.0, thread::current().id())).unwrap();
        }
    }
    watchdog(|| {
        let (dropped, drops) = mpsc::channel();
        let both = Arc::new(Barrier::new(2));
        let workers = drawgate::workers_init(
            move |_| Ok(Own(Rc::new(thread::current().id()), dropped.clone())),
            move |own, _: u64| {
                both.wait(); // neither does all of it
                assert_eq!(*own.0, thread::current().id());
                Ok(())
            },
        );
        assert_eq!(counted(workers.threads(2), 20).handled, 20);
        let threads: HashSet<ThreadId> = drops
            .try_iter()
            .map(|(made, dropped)| {
                assert_eq!(made, dropped);
                made
            })
            .collect();
        assert_eq!(threads.len(), 2);
    });
}

/// Makes numbered states; event 1 ends as told. Returns which state each event saw.
fn states(one: fn() -> anyhow::Result<()>) -> Vec<(usize, u64)> {
    watchdog(move || {
        let (made, (seen, told)) = (AtomicUsize::new(0), mpsc::channel());
        let workers = drawgate::workers_init(
            move |worker| {
                assert_eq!(worker.number(), 0);
                Ok(made.fetch_add(1, SeqCst))
            },
            move |state, n| {
                seen.send((*state, n))?;
                if n == 1 { one() } else { Ok(()) }
            },
        );
        let counts = counted(workers.threads(1).on_failure(|_| ()), 3);
        assert_eq!((counts.handled, counts.failed), (2, 1));
        told.iter().collect()
    })
}

#[test]
fn p53_the_state_is_made_again_after_a_panic() {
    assert_eq!(states(|| panic!("one")), [(0, 0), (0, 1), (1, 2)]);
}

#[test]
fn p53_the_state_is_kept_after_an_error() {
    assert_eq!(states(|| anyhow::bail!("one")), [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn p53_a_state_that_cannot_be_made_is_a_failure_of_the_event_and_tried_with_the_next() {
    watchdog(|| {
        let tries = AtomicUsize::new(0);
        let (rt, told) = telling();
        let init = move |_: &_| match tries.fetch_add(1, SeqCst) {
            0 => anyhow::bail!("no connection"),
            1 => panic!("no memory"),
            _ => Ok(()),
        };
        let workers = drawgate::workers_init(init, |(), _| Ok(())).name("made").runtime(&rt);
        let counts = counted(workers.threads(1), 5);
        assert_eq!((counts.handled, counts.failed), (3, 2));
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told, ["0 of made: no connection", "0 of made: panicked: no memory"]);
    });
}

#[test]
fn p53_the_runtimes_hook_runs_on_each_workers_thread_before_its_first_event() {
    watchdog(|| {
        let rt = Runtime::new();
        let (tell, told) = mpsc::channel();
        rt.on_thread_start(move |name| {
            tell.send((name.to_string(), thread::current().id())).unwrap();
            assert!(thread::current().name() != Some("hooked-0"), "refused");
        });
        let (seen, ids) = mpsc::channel();
        let workers = drawgate::workers(move |_: u64| Ok(seen.send(thread::current().id())?));
        let workers = workers.threads(1).name("hooked").runtime(&rt).on_failure(|_| ());
        let counts = counted(workers, 3);
        assert_eq!((counts.handled, counts.failed), (2, 1), "a panic in it is the event's");
        let told: Vec<_> = told.try_iter().map(|(name, id)| (name, id == ids.recv().unwrap())).collect();
        assert_eq!(told, [("hooked".to_string(), false), ("hooked".to_string(), true)]);
    });
}

// ---- failures

#[test]
fn p53_an_error_or_a_panic_is_counted_and_told_and_ends_nothing_but_its_event() {
    watchdog(|| {
        let (rt, told) = telling();
        let workers = drawgate::workers(|n| match n {
            3 => anyhow::bail!("three"),
            5 => panic!("five"),
            _ => Ok(()),
        });
        let counts = counted(workers.threads(1).name("odd").runtime(&rt), 10);
        assert_eq!((counts.handled, counts.failed, counts.restarted), (8, 2, 0));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["0 of odd: three", "0 of odd: panicked: five"]);
    });
}

#[test]
fn p53_a_failed_event_is_not_tried_again_unless_asked() {
    watchdog(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let fails = move |_| {
            count.fetch_add(1, SeqCst);
            anyhow::bail!("always")
        };
        let counts = counted(drawgate::workers(fails).on_failure(|_| ()), 1);
        assert_eq!((counts.failed, counts.restarted, calls.load(SeqCst)), (1, 0, 1));
    });
}

#[test]
fn p53_with_restart_it_is_tried_so_often_again_and_then_given_up() {
    watchdog(|| {
        let (failed, told) = mpsc::channel();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let workers = drawgate::workers(move |n| match (n, count.fetch_add(1, SeqCst)) {
            (0, 0) => panic!("first"),
            (0, 1) => anyhow::bail!("second"),
            (0, _) => Ok(()),
            _ => panic!("always"),
        });
        let workers = workers.threads(1).restart(2).on_failure(move |failure| {
            failed.send((failure.tries, failure.reason.to_string())).unwrap();
        });
        let counts = counted(workers, 2);
        assert_eq!((counts.handled, counts.failed, counts.restarted), (1, 1, 4));
        assert_eq!(calls.load(SeqCst), 6);
        assert_eq!(told.iter().collect::<Vec<_>>(), [(3, "panicked: always".to_string())]);
    });
}

#[test]
fn p53_a_clone_that_panics_is_a_failure_of_its_event() {
    struct Fragile(u64);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 1, "fragile");
            Self(self.0)
        }
    }
    watchdog(|| {
        let fragile = drawgate::from_iter((0..3).map(Fragile)).spawn().unwrap();
        let workers = drawgate::workers(|_: Fragile| Ok(())).threads(1).restart(1).on_failure(|_| panic!("hook"));
        let counts = workers.subscribe_to(&fragile).spawn().unwrap().finish().unwrap();
        assert_eq!((counts.handled, counts.failed), (2, 1));
    });
}

#[test]
fn p53_the_hook_may_end_the_pool_with_the_first_failure() {
    watchdog(|| {
        let workers = drawgate::workers(|_| anyhow::bail!("first"));
        let workers = workers.threads(1).name("strict");
        let workers = workers.on_failure(|failure| failure.pool.request_stop(failure.reason.clone()));
        let numbers = drawgate::from_iter(0..u64::MAX).spawn().unwrap();
        let failed = workers.subscribe_to(&numbers).spawn().unwrap().finish().unwrap_err();
        assert_eq!(failed.to_string(), "stage `strict`: first");
    });
}

// ---- figures, resizing

#[test]
fn p53_counts_and_children_are_listed_while_workers_are_stuck() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..2);
        let pool = workers.threads(3).subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.iter().take(2).count(), 2);
        let counts = pool.counts();
        assert_eq!((counts.threads, counts.running, counts.idle, counts.handled), (2, 2, 0, 0));
        let children: HashSet<usize> = pool.running().iter().map(|child| child.worker).collect();
        assert_eq!(children, HashSet::from([0, 1]));
        let before = pool.running()[0].busy;
        until(|| pool.running()[0].busy > before);
        go.send(()).unwrap();
        handled(&pool, 1);
        let counts = pool.counts();
        assert_eq!((counts.threads, counts.running, counts.idle), (2, 1, 1));
        assert_eq!(pool.running().len(), 1);
        drop(go);
        handled(&pool, 2);
        assert_eq!(pool.running(), []);
    });
}

#[test]
fn p53_resized_up_it_begins_more_at_once() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..4);
        let pool = workers.threads(1).subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.recv(), Ok(0));
        pool.resize(3).unwrap();
        assert_eq!(begins.iter().take(2).collect::<HashSet<_>>(), HashSet::from([1, 2]));
        assert_eq!(pool.counts().running, 3);
        port.close();
        drop(go);
        assert_eq!(pool.finish().unwrap().handled, 4);
    });
}

#[test]
fn p53_resized_up_it_gives_out_the_event_that_waits_for_a_worker() {
    watchdog(|| {
        let (workers, begins, _go) = gated();
        let (a, b) = (port(0..1), port(1..2));
        let pool = workers.threads(1).subscribe_to(&a).subscribe_to(&b).spawn().unwrap();
        begins.recv().unwrap();
        until(|| a.stats().buffered + b.stats().buffered == 0);
        pool.resize(2).unwrap();
        begins.recv().unwrap();
    });
}

#[test]
fn p53_resized_down_it_begins_fewer_and_idle_threads_end() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..3);
        let pool = workers.threads(3).subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.iter().take(3).count(), 3);
        pool.resize(1).unwrap(); // waits for nobody
        assert_eq!(pool.counts().running, 3);
        port.push_all((3..6).collect()).unwrap();
        for _ in 0..2 {
            go.send(()).unwrap();
        }
        handled(&pool, 2);
        until(|| pool.counts().threads == 1);
        assert_eq!(pool.counts().running, 1, "and no other was begun");
        assert!(begins.try_recv().is_err());
        for n in 3..6 {
            go.send(()).unwrap();
            assert_eq!(begins.recv(), Ok(n), "one at a time");
            assert_eq!(pool.counts().running, 1);
        }
        port.close();
        drop(go);
        assert_eq!(pool.finish().unwrap().handled, 6);
    });
}

#[test]
fn p53_resized_down_idle_threads_end_at_once() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..3);
        let pool = workers.threads(3).subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.iter().take(3).count(), 3);
        drop(go);
        until(|| pool.counts().idle == 3);
        pool.resize(1).unwrap();
        until(|| pool.counts().threads == 1);
    });
}

#[test]
fn p53_resized_down_while_nothing_stands_it_keeps_to_it_though_it_had_asked_for_more() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..0);
        let pool = workers.threads(3).subscribe_to(&port).spawn().unwrap();
        until(|| !port.stats().consumers.is_empty());
        pool.resize(1).unwrap();
        port.push_all((0..6).collect()).unwrap();
        port.close();
        for n in 0..6 {
            assert_eq!(begins.recv(), Ok(n));
            assert_eq!((pool.counts().running, pool.counts().threads), (1, 1));
            go.send(()).unwrap();
        }
        assert_eq!(pool.finish().unwrap().handled, 6);
    });
}

// ---- options

#[test]
fn p53_options_out_of_range_are_refused_and_nothing_is_started() {
    let refused = |workers: PoolBuilder<u64>| match workers.name("refused").spawn() {
        Err(SpawnError::BadOption { cause, .. }) => cause.to_string(),
        other => panic!("{other:?}"),
    };
    let workers = || drawgate::workers(|_| Ok(()));
    assert_eq!(refused(workers().threads(0)), "option `threads` must be at least 1, and was 0");
    let min = "option `min_demand` must be below threads, which is 4, and was 4";
    assert_eq!(refused(workers().threads(4).min_demand(4)), min);
    let pool = workers().threads(2).name("refused").spawn().expect("the name was never taken");
    let BadOption { option, value, .. } = pool.resize(0).unwrap_err();
    assert_eq!((option, &*value), ("threads", "0"));
    pool.request_stop(ExitReason::Normal);
}

#[test]
fn p53_a_pool_without_a_single_thread_fails_and_its_event_stays_with_the_producer() {
    watchdog(|| {
        let port = port(0..1);
        let workers = drawgate::workers(|_| Ok(())).stack_size(usize::MAX / 2).name("none");
        let failed = workers.subscribe_to(&port).spawn().unwrap().finish().unwrap_err();
        let ExitReason::Error(cause) = &failed.reason else { panic!("{failed}") };
        assert!(matches!(cause.downcast_ref(), Some(SpawnError::Thread { stage, .. }) if stage.to_string() == "none"));
        port.close();
        assert_eq!(port.flow().collect().run().unwrap(), [0]);
    });
}

// ---- ends

#[test]
fn p53_when_its_producers_are_done_its_workers_finish_and_then_it_is_done() {
    watchdog(|| {
        let (begun, begins) = mpsc::channel();
        let (go, gone) = crossbeam_channel::bounded::<()>(0);
        let workers = drawgate::workers_init(
            |worker| Ok(worker.stop_token()),
            move |stop, n: u64| {
                begun.send(n)?;
                let _ = gone.recv();
                anyhow::ensure!(!stop.is_stopping(), "a producer that is done stops nobody");
                Ok(())
            },
        );
        let port = port(0..5);
        let pool = workers.threads(5).subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.iter().take(5).count(), 5);
        port.close();
        port.join().unwrap(); // for the port they are handled
        assert!(pool.join_timeout(Duration::from_millis(20)).unwrap().is_none(), "it waits");
        assert_eq!(pool.counts().running, 5);
        drop(go);
        pool.join().unwrap();
        assert_eq!(pool.counts(), {
            let mut all = Counts::default();
            all.handled = 5;
            all
        });
        assert!(matches!(pool.exit_reason(), Some(ExitReason::Done)));
        assert!(begins.recv().is_err(), "the closure is dropped, though the handle lives");
    });
}

#[test]
fn p53_when_a_producer_fails_its_workers_finish_and_it_fails_too() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let (counting, _demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let pool = workers.threads(2).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(begins.iter().take(2).count(), 2);
        producer.request_stop(ExitReason::error(anyhow::anyhow!("broken")));
        let _ = producer.join();
        assert_eq!(pool.counts().running, 2);
        drop(go);
        assert_eq!(pool.join().unwrap_err().reason.to_string(), "broken");
        assert_eq!((pool.counts().handled, pool.counts().threads), (2, 0));
    });
}

#[test]
fn p53_stopped_it_finishes_what_is_in_work_and_begins_no_more() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let port = port(0..5);
        let pool = workers.threads(2).name("stopped").subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.iter().take(2).collect::<HashSet<_>>(), HashSet::from([0, 1]));
        let late = pool.stop(ExitReason::Normal, Duration::from_millis(1)).unwrap_err();
        assert!(matches!(late, CallError::Timeout { stage, .. } if stage.to_string() == "stopped"));
        assert_eq!(pool.counts().running, 2);
        drop(go);
        assert_eq!(pool.finish().unwrap().handled, 2);
        port.close();
        assert_eq!(port.flow().collect().run().unwrap(), [2, 3, 4]);
    });
}

#[test]
fn p53_stopped_while_an_event_waits_for_a_worker_that_event_goes_back() {
    watchdog(|| {
        let (workers, begins, go) = gated();
        let (a, b) = (port(0..1), port(1..2));
        let pool = workers.threads(1).subscribe_to(&a).subscribe_to(&b).spawn().unwrap();
        let first = begins.recv().unwrap();
        until(|| a.stats().buffered + b.stats().buffered == 0);
        pool.request_stop(ExitReason::Normal);
        until(|| a.stats().buffered + b.stats().buffered == 1); // while the other is still at it
        drop(go);
        pool.join().unwrap();
        let left = if first == 0 { b } else { a };
        left.close();
        assert_eq!(left.flow().collect().run().unwrap(), [1 - first]);
    });
}

#[test]
fn p53_a_worker_hears_of_a_stop_and_tries_no_more() {
    watchdog(|| {
        let (begun, begins) = mpsc::channel();
        let workers = drawgate::workers_init(
            |worker| Ok(worker.stop_token()),
            move |stop, n: u64| {
                begun.send(n)?;
                let _ = stop.channel().recv(); // blocks until it is heard
                anyhow::bail!("interrupted")
            },
        );
        let port = port(0..2);
        let workers = workers.threads(1).restart(u32::MAX).on_failure(|_| ());
        let pool = workers.subscribe_to(&port).spawn().unwrap();
        assert_eq!(begins.recv(), Ok(0));
        pool.request_stop(ExitReason::Shutdown);
        let counts = pool.finish().unwrap();
        // The other one stays, or was given out in the moment between the worker's hearing and the pool's.
        assert_eq!((counts.restarted, counts.failed as usize + port.stats().buffered), (0, 2));
    });
}

#[test]
fn p53_a_manual_clock_waits_for_workers() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let port = Port::bounded(10).runtime(&rt).spawn().unwrap();
        let pool = drawgate::workers(|_: u64| {
            thread::yield_now();
            Ok(())
        });
        let pool = pool.runtime(&rt).threads(2);
        let pool = pool.subscribe_to(&port).spawn().unwrap();
        for n in 1..100 {
            port.push_after(n, Duration::from_secs(60)).unwrap();
            clock.advance(Duration::from_secs(60));
            assert_eq!(pool.counts().handled, n);
        }
    });
}

#[test]
fn a_busy_pool_is_busy_in_its_figures() {
    watchdog(|| {
        let rt = Runtime::new();
        let (workers, begins, go) = gated();
        let port = Port::bounded(100).runtime(&rt).spawn().unwrap();
        let pool = workers.threads(2).name("pool").runtime(&rt).subscribe_to(&port).spawn().unwrap();
        let figures = || pool.stats();
        assert_eq!((figures().threads, figures().busy), (0, Duration::ZERO));
        for n in 0..2 {
            port.push(n).unwrap();
            begins.recv().unwrap();
        }
        until(|| figures().busy > Duration::ZERO);
        assert_eq!((figures().threads, figures().doing), (2, Doing::HandleEvents));
        assert_eq!((figures().idle, figures().utilization()), (Duration::ZERO, 1.0));
        assert_eq!(rt.snapshot().bottleneck().unwrap().name.to_string(), "pool");
        go.send(()).unwrap();
        go.send(()).unwrap();
        handled(&pool, 2);
        until(|| figures().idle > Duration::ZERO && figures().doing == Doing::Waiting);
        let before = figures();
        port.close();
        drop(go);
        pool.join().unwrap();
        assert_eq!((figures().threads, figures().doing), (0, Doing::Ended));
        let last = figures();
        assert!(last.busy >= before.busy && last.idle >= before.idle, "threads that are gone count: {last:?}");
        assert_eq!((last.busy, last.idle), (figures().busy, figures().idle), "they stand still");
    });
}
