//! Streams: a pipeline inside a `for` loop, how it ends, what a drop leaves, and where it may be taken from.

use crate::support::{Counting, until, watchdog};
use drawgate::dispatch::BroadcastDispatcher;
use drawgate::prelude::*;
use drawgate::runtime::Telemetry;
use drawgate::stage::{Cancel, Notification};
use drawgate::{SpawnError, Stream, SubscribeError, from_iter, testing};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

/// A port in which these stand.
fn port_of(events: impl IntoIterator<Item = u64>) -> Port<u64> {
    let port = Port::unbounded().spawn().unwrap();
    port.push_all(events.into_iter().collect()).unwrap();
    port
}

/// A source that emits these and then fails with "oops".
fn failing(events: std::ops::Range<u64>) -> drawgate::Flow<u64> {
    drawgate::source(move |out| {
        for n in events {
            out.emit(n)?;
        }
        anyhow::bail!("oops")
    })
}

/// What a runtime reports, in words.
fn reports(rt: &Runtime) -> Arc<Mutex<Vec<String>>> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let tell = all.clone();
    rt.on_event(move |event| {
        tell.lock().unwrap().push(match event {
            Telemetry::Ended { stage, reason, told } => format!("{stage} ended: {reason}, told {told}"),
            Telemetry::Unheard { stage, reason } => format!("{stage} unheard: {reason}"),
            Telemetry::LeftBehind { stage, .. } => format!("{stage} left behind"),
            other => format!("{other:?}"),
        });
    });
    all
}

// ---- events

#[test]
fn p52_a_flow_in_a_for_loop() {
    watchdog(|| {
        let mut seen = Vec::new(); // borrowed: the loop is this thread's
        for n in from_iter(0..3000).filter(|n| n % 2 == 0).hop().map(|n| n + 1).stream().unwrap() {
            seen.push(n);
        }
        assert_eq!(seen, (0..3000).step_by(2).map(|n| n + 1).collect::<Vec<_>>());
        let ordered = from_iter(0..100).parallel_map(3, |n| n * n).stream().unwrap();
        assert_eq!(ordered.collect::<Vec<_>>(), (0..100).map(|n| n * n).collect::<Vec<_>>());
        let mut any = from_iter(0..100).parallel_map_unordered(3, |n| n * n).stream().unwrap().collect::<Vec<_>>();
        any.sort_unstable();
        assert_eq!(any, (0..100).map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(drawgate::merge::<u64>([]).stream().unwrap().count(), 0);
        assert_eq!(from_iter(0_u64..).take(5).stream().unwrap().sum::<u64>(), 10);
    });
}

#[test]
fn p52_several_producers_each_with_options_of_its_own() {
    const FAR: u64 = 1 << 32;
    watchdog(|| {
        let ((a, asked_a), (b, asked_b)) = (Counting::new(), Counting::new());
        let a = drawgate::producer(a).spawn().unwrap();
        let b = drawgate::producer(Counting { next: FAR, ..b }).spawn().unwrap();
        let by_partition = Port::bounded(8).partition_by(2, |n: &u64| *n).spawn().unwrap();
        let mut stream = drawgate::stream()
            .subscribe_to_with(&a, Subscribe::new().max_demand(3).min_demand(0))
            .subscribe_to_with(&b, Subscribe::new().max_demand(7).min_demand(6))
            .subscribe_to_with(&by_partition, Subscribe::new().partition(0))
            .open()
            .unwrap();
        let (mut taken, mut of_b) = (Vec::new(), 0);
        while of_b < 10 || taken.len() < of_b + 10 {
            taken.extend(stream.next());
            of_b = taken.iter().filter(|n| **n >= FAR).count(); // one may get ahead while the other is no thread yet
        }
        assert_eq!((asked_a.recv().unwrap(), asked_b.recv().unwrap()), (3, 7));
        assert!(asked_a.try_iter().all(|n| n == 3), "asked when none is left");
        let (of_b, of_a): (Vec<u64>, Vec<u64>) = taken.into_iter().partition(|n| *n >= FAR);
        assert!(of_a.iter().copied().eq(0..of_a.len() as u64), "each in its order: {of_a:?}");
        assert!(of_b.iter().copied().eq(FAR..FAR + of_b.len() as u64), "each in its order: {of_b:?}");
        drop(stream);
        a.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();
        b.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();
    });
}

#[test]
fn p52_nothing_runs_ahead_of_demand() {
    watchdog(|| {
        let (rt, clock) = testing::runtime();
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = pulled.clone();
        let endless = std::iter::repeat_with(move || count.fetch_add(1, SeqCst));
        let options = Subscribe::new().max_demand(4).min_demand(0);
        let mut stream = from_iter(endless).hop_with(options).runtime(&rt).stream().unwrap();
        let mut pulled_after = |n: usize| {
            stream.by_ref().take(n).for_each(drop);
            clock.settle();
            pulled.load(SeqCst)
        };
        assert_eq!(pulled_after(0), 0, "nothing is asked for before the first");
        assert_eq!(pulled_after(1), 4);
        assert_eq!(pulled_after(3), 4, "the loop has not come back from the fourth");
        assert_eq!(pulled_after(1), 8);
    });
}

#[test]
fn p52_notifications_are_passed_over() {
    watchdog(|| {
        let numbers = drawgate::producer(Counting::new().0).spawn().unwrap();
        let mut stream = numbers.stream().unwrap();
        numbers.notify(&Notification::Done).unwrap();
        assert_eq!(stream.next(), Some(0));
        numbers.notify(&Notification::Halted).unwrap();
        assert!(stream.take(2000).eq(1..2001));
    });
}

// ---- the end

#[test]
fn p52_it_ends_when_all_producers_have_ended() {
    watchdog(|| {
        let (a, b) = (port_of(0..2), port_of(10..12));
        let mut stream = drawgate::stream().subscribe_to(&a).subscribe_to(&b).open().unwrap();
        a.close();
        let mut taken: Vec<u64> = stream.by_ref().take(4).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 10, 11]);
        a.join().unwrap();
        b.push(12).unwrap();
        assert_eq!(stream.next(), Some(12), "one is there still");
        b.close();
        assert_eq!((stream.next(), stream.next()), (None, None), "for good");
        assert_eq!(drawgate::stream::<u64>().open().unwrap().next(), None, "of none");
        stream.finish().unwrap();
    });
}

#[test]
fn p52_what_ended_before_it_was_drawn_from_is_an_end_too() {
    watchdog(|| {
        for _ in 0..50 {
            let stream: Stream<u64> = drawgate::source(|_| Ok(())).hop().stream().unwrap();
            assert_eq!(stream.count(), 0);
            let mut stream = failing(0..0).name("read").hop().stream().unwrap();
            assert_eq!(stream.next(), None);
            assert_eq!(stream.finish().unwrap_err().to_string(), "stage \"read\": oops".replace('"', "`"));
        }
    });
}

#[test]
fn p52_a_failure_in_the_flow_ends_it_and_finish_tells() {
    watchdog(|| {
        let mut stream = from_iter(0..10)
            .hop()
            .try_map(|n| if n < 5 { Ok(n) } else { anyhow::bail!("no {n}") })
            .name("check")
            .hop()
            .map(|n| n)
            .stream()
            .unwrap();
        let mut taken = Vec::new();
        for n in &mut stream {
            taken.push(n);
        }
        assert!(taken.len() <= 5 && taken.iter().copied().eq(0..taken.len()), "{taken:?}");
        let failed = stream.finish().unwrap_err();
        assert_eq!((failed.to_string().as_str(), failed.stuck.len()), ("stage `check`: no 5", 0));
    });
}

#[test]
fn p52_what_was_emitted_before_a_failure_comes_first() {
    watchdog(|| {
        let mut stream = failing(0..100).name("read").stream().unwrap();
        assert!(stream.by_ref().eq(0..100));
        assert_eq!(stream.finish().unwrap_err().to_string(), "stage `read`: oops");
    });
}

#[test]
fn p52_cancel_modes_say_whose_failure_is_the_end() {
    watchdog(|| {
        let mode = |cancel| Subscribe::new().cancel(cancel);
        // Temporary: it goes on with the others.
        let (bad, good) = (failing(0..2).name("bad").spawn().unwrap(), port_of(10..12));
        let mut stream = drawgate::stream()
            .subscribe_to_with(&bad, mode(Cancel::Temporary))
            .subscribe_to_with(&good, mode(Cancel::Permanent))
            .open()
            .unwrap();
        let mut taken: Vec<u64> = stream.by_ref().take(4).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 10, 11]);
        assert!(bad.join().is_err());
        good.push(12).unwrap();
        assert_eq!(stream.next(), Some(12));
        good.close();
        assert_eq!(stream.next(), None);
        stream.finish().unwrap();
        // The others: it ends, though another stands by.
        for cancel in [Cancel::Permanent, Cancel::Transient] {
            let (bad, good) = (failing(0..2).name("bad").spawn().unwrap(), Port::<u64>::bounded(8).spawn().unwrap());
            let mut stream =
                drawgate::stream().subscribe_to_with(&bad, mode(cancel)).subscribe_to(&good).open().unwrap();
            assert!(stream.by_ref().eq(0..2));
            good.push(12).unwrap();
            assert_eq!((stream.next(), good.port_stats().size), (None, 1), "it has left");
            assert_eq!(stream.finish().unwrap_err().to_string(), "stage `bad`: oops");
        }
        // A stop is no failure, and a transient one is not even an end.
        for (cancel, then) in [(Cancel::Permanent, None), (Cancel::Transient, Some(12))] {
            let (stopped, good) = (Port::<u64>::bounded(8).spawn().unwrap(), port_of([]));
            let mut stream =
                drawgate::stream().subscribe_to_with(&stopped, mode(cancel)).subscribe_to(&good).open().unwrap();
            stopped.stop(ExitReason::Shutdown, crate::support::LIMIT).unwrap();
            let pusher = good.clone();
            let pushes = std::thread::spawn(move || pusher.push(12).unwrap());
            if then.is_some() {
                assert_eq!(stream.next(), then);
            } else {
                while stream.next().is_some() {} // it may have come first
            }
            pushes.join().unwrap();
            stream.finish().unwrap();
        }
    });
}

#[test]
fn p52_a_failure_that_nobody_asks_for_is_reported() {
    watchdog(|| {
        let rt = Runtime::new();
        let told = reports(&rt);
        let stream = || failing(0..3).name("read").runtime(&rt).stream().unwrap();
        assert_eq!(stream().count(), 3);
        let ended = "read ended: oops, told true";
        assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [ended, "read unheard: oops"]);
        let mut asked = stream();
        asked.by_ref().for_each(drop);
        asked.finish().unwrap_err();
        assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [ended], "whoever asks has heard");
        // Nobody owns a stage by itself: it reports its own.
        let stage = failing(0..3).name("read").runtime(&rt).spawn().unwrap();
        assert_eq!(stage.stream().unwrap().count(), 3);
        stage.join().unwrap_err();
        until(|| !told.lock().unwrap().is_empty());
        assert!(told.lock().unwrap()[0].starts_with("read ended: oops"));
    });
}

// ---- cancelling

#[test]
fn p52_an_early_drop_cancels_and_what_was_drawn_goes_back() {
    watchdog(|| {
        let port = port_of(0..20);
        let mut stream =
            drawgate::stream().subscribe_to_with(&port, Subscribe::new().max_demand(12).min_demand(2)).open().unwrap();
        assert!(stream.by_ref().take(3).eq(0..3));
        assert_eq!(port.port_stats().size, 10, "ten were drawn");
        drop(stream);
        let stats = port.port_stats();
        assert_eq!((stats.size, stats.drawn, stats.pending_demand, stats.lost), (17, 3, 0, 0));
        port.close();
        assert!(port.stream().unwrap().eq(3..20), "the next consumer draws it first, in order");
        port.join().unwrap();
    });
}

#[test]
fn p52_a_finish_before_the_end_cancels_as_a_drop_does() {
    watchdog(|| {
        let port = port_of(0..5);
        let mut stream = port.stream().unwrap();
        assert_eq!(stream.next(), Some(0));
        stream.finish().unwrap();
        assert_eq!(port.port_stats().size, 4);
        let mut endless = from_iter(0_u64..).hop().map(|n| n * 2).stream().unwrap();
        assert_eq!(endless.nth(3), Some(6));
        endless.finish().unwrap();
    });
}

#[test]
fn p52_an_early_drop_of_a_broadcast_stream_discards_its_copies() {
    watchdog(|| {
        let port = Port::bounded(10).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn().unwrap();
        let all = drawgate::fold(0, |sum, n: u64| *sum += n).subscribe_to(&port).spawn().unwrap();
        let mut stream = port.stream().unwrap();
        port.push_all(vec![1, 2, 3, 4]).unwrap();
        assert_eq!(stream.next(), Some(1));
        drop(stream);
        port.push(5).unwrap();
        port.close();
        assert_eq!(all.finish().unwrap(), 15, "the other gets all");
        assert_eq!(port.stream().unwrap_err().to_string(), format!("stage {:?} has ended: done", port.name()));
    });
}

#[test]
fn p52_an_early_drop_ends_the_stages_of_a_flow() {
    watchdog(|| {
        let rt = Runtime::new();
        let told = reports(&rt);
        let (_tx, rx) = crossbeam_channel::unbounded::<u64>();
        let silent = drawgate::from_receiver(rx).name("silent");
        let endless = from_iter(0_u64..).name("endless").hop().map(|n| n + 1).name("step");
        let mut stream = drawgate::merge([silent, endless.hop()]).runtime(&rt).stream().unwrap();
        assert!(stream.by_ref().take(5).eq(1..6));
        drop(stream);
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        told.sort();
        let ended = ["endless", "silent", "step"].map(|name| format!("{name} ended: done, told true"));
        assert_eq!(told, ended, "before the drop returns");
    });
}

#[test]
fn p52_a_drop_in_a_panic_stops_and_does_not_wait() {
    watchdog(|| {
        let rt = Runtime::new();
        let told = reports(&rt);
        let (go, gate) = mpsc::channel::<()>();
        let (stuck, is_stuck) = mpsc::channel();
        let flow = drawgate::source(move |out| {
            out.emit(0)?;
            let _ = stuck.send(());
            let _ = gate.recv(); // deaf
            out.emit(1)?;
            Ok(())
        });
        let mut stream = flow.name("deaf").runtime(&rt).stream().unwrap();
        let port = Port::unbounded().close_when_abandoned().runtime(&rt).spawn();
        let port = port.unwrap();
        port.push_all(vec![0, 1, 2]).unwrap();
        let mut events = port.stream().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            assert_eq!((stream.next(), events.next()), (Some(0), Some(0)));
            is_stuck.recv().unwrap();
            panic!("in the loop");
        }));
        assert_eq!(*panicked.unwrap_err().downcast::<&str>().unwrap(), "in the loop");
        assert!(told.lock().unwrap().is_empty(), "nothing was waited for, and nothing is said");
        drop(go);
        until(|| !told.lock().unwrap().is_empty());
        assert_eq!(told.lock().unwrap()[0], "deaf ended: shutdown, told true");
        assert_eq!(port.port_stats().size, 2, "what was drawn went back");
        until(|| port.try_push(3).is_err()); // closed: its last consumer failed
    });
}

// ---- stopping

#[test]
fn p52_a_stopper_ends_it_from_elsewhere() {
    watchdog(|| {
        // The intake of a flow: what is inside still comes.
        let mut stream = from_iter(0_u64..).hop().map(|n| n + 1).stream().unwrap();
        assert_eq!(stream.next(), Some(1));
        stream.stopper().stop_intake();
        let rest: Vec<_> = stream.by_ref().collect();
        assert!(rest.iter().copied().eq(2..rest.len() as u64 + 2));
        stream.finish().unwrap();
        // Somebody else's stage, while the loop waits: it goes on.
        for flow in [false, true] {
            let stop: [fn(&drawgate::flow::Stopper); 2] = [|s| s.stop_intake(), |s| s.stop_now()];
            for stop in stop {
                let port = port_of([]);
                let stream = if flow { port.flow().stream().unwrap() } else { port.stream().unwrap() };
                let stopper = stream.stopper();
                let loops = std::thread::spawn(move || stream.count());
                until(|| port.port_stats().pending_demand > 0);
                stop(&stopper);
                assert_eq!(loops.join().unwrap(), 0);
                port.push(1).unwrap();
                assert_eq!(port.port_stats().pending_demand, 0);
            }
        }
        let (_tx, rx) = crossbeam_channel::unbounded::<u64>();
        let mut stream = drawgate::from_receiver(rx).stream().unwrap();
        stream.stopper().stop_now();
        assert_eq!(stream.next(), None);
        stream.finish().unwrap();
    });
}

// ---- where it is taken from

#[test]
fn p52_nested_in_from_iter() {
    watchdog(|| {
        let inner = from_iter(0..1000_u64).parallel_map(2, |n| n * 2).stream().unwrap();
        let outer = from_iter(inner.filter(|n| n % 3 == 0)).hop().map(|n| n + 1);
        let expected: Vec<_> = (0..1000).map(|n| n * 2).filter(|n| n % 3 == 0).map(|n| n + 1).collect();
        assert_eq!(outer.collect().run().unwrap(), expected);
    });
}

#[test]
fn p52_nested_it_hears_that_its_source_is_told_to_end() {
    watchdog(|| {
        let waits = |port: &Port<u64>| until(|| port.port_stats().pending_demand > 0);
        for now in [true, false] {
            let port = port_of([]);
            let graph = from_iter(port.stream().unwrap().map(|n| n + 1)).chunks(10).collect().spawn().unwrap();
            port.push(1).unwrap();
            until(|| port.port_stats().drawn == 1);
            waits(&port);
            match now {
                true => graph.stopper().stop_now(),
                false => graph.stopper().stop_intake(),
            }
            let all = graph.join().unwrap();
            if !now {
                assert_eq!(all, [[2]], "what is inside comes out");
            }
            assert_eq!(port.port_stats().pending_demand, 0);
        }
        let port = port_of([]);
        let stage = from_iter(port.stream().unwrap()).spawn().unwrap();
        let all = drawgate::fold(0, |sum, n: u64| *sum += n).subscribe_to(&stage).spawn().unwrap();
        waits(&port);
        stage.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();
        assert!(matches!(stage.exit_reason(), Some(ExitReason::Normal)), "no end of its own");
        assert!(all.join_timeout(crate::support::LIMIT).unwrap().is_some());
    });
}

#[test]
fn p52_a_stream_in_a_callback_is_not_cut_short_by_a_closed_intake() {
    watchdog(|| {
        let port = port_of([]);
        let (inner, (told, begun)) = (port.stream().unwrap(), mpsc::channel());
        let inner = Mutex::new(Some(inner));
        let graph = from_iter([()])
            .map(move |()| {
                told.send(()).unwrap();
                inner.lock().unwrap().take().unwrap().sum::<u64>()
            })
            .collect()
            .spawn()
            .unwrap();
        begun.recv().unwrap();
        until(|| port.port_stats().pending_demand > 0);
        graph.stopper().stop_intake();
        port.push_all(vec![1, 2]).unwrap();
        port.close();
        assert_eq!(graph.join().unwrap(), [3]);
    });
}

#[test]
fn p52_it_may_be_moved_to_another_thread_in_the_middle() {
    watchdog(|| {
        let port = port_of(0..10);
        let mut stream = port.stream().unwrap();
        assert!(stream.by_ref().take(3).eq(0..3));
        let (mut stream, middle) = std::thread::spawn(move || {
            let middle: Vec<_> = stream.by_ref().take(8).collect(); // one more than stand
            (stream, middle)
        })
        .tap(|_| port.push(10).unwrap())
        .join()
        .unwrap();
        assert!(middle.into_iter().eq(3..11));
        port.push(11).unwrap();
        assert_eq!(stream.next(), Some(11));
    });
}

trait Tap: Sized {
    fn tap(self, f: impl FnOnce(&Self)) -> Self {
        f(&self);
        self
    }
}
impl<T> Tap for T {}

#[test]
fn p52_a_manual_clock_knows_whether_the_thread_that_waits_is_a_stages() {
    watchdog(|| {
        let (rt, clock) = testing::runtime();
        let port = Port::<u64>::bounded(8).runtime(&rt).spawn().unwrap();
        // Made here, taken from on a stage's thread: its sleep counts.
        let sum = from_iter(port.stream().unwrap()).runtime(&rt).fold(0, |sum, n| *sum += n).spawn().unwrap();
        for _ in 0..20 {
            clock.settle();
            port.push(1).unwrap();
        }
        clock.settle();
        assert_eq!(port.port_stats().drawn, 20);
        port.close();
        assert_eq!(sum.join().unwrap(), 20);

        // Made on a stage's thread, which takes from it, and taken from elsewhere after that: that sleep does not.
        let port = Port::<u64>::bounded(8).runtime(&rt).spawn().unwrap();
        let (give, given) = mpsc::channel();
        let (events, stages) = (port.clone(), rt.clone());
        let stage = drawgate::fold((), |(), _: u64| ()).runtime(&rt).spawn().unwrap();
        stage.cast(move |(), _| {
            let one_by_one = Subscribe::new().max_demand(1);
            let mut stream = drawgate::stream().runtime(&stages).subscribe_to_with(&events, one_by_one).open().unwrap();
            assert_eq!(stream.next(), Some(1));
            give.send(stream).unwrap();
        });
        clock.settle();
        port.push(1).unwrap();
        let mut stream = given.recv().unwrap();
        clock.settle();
        let loops = std::thread::spawn(move || {
            let first = stream.next();
            (first, stream)
        });
        until(|| port.port_stats().pending_demand == 1);
        for _ in 0..1000 {
            std::thread::yield_now(); // it goes to sleep, in this while or later
            clock.settle();
        }
        port.push(2).unwrap();
        assert_eq!(loops.join().unwrap().0, Some(2));
        clock.settle();
        stage.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();
    });
}

// ---- names and options

#[test]
fn p52_over_a_name() {
    watchdog(|| {
        static NUMBERS: PortName<u64> = PortName::new("p52-numbers");
        let rt = Runtime::new();
        let (named, global) = (Port::<u64>::bounded(8).name("p52").runtime(&rt), Port::bounded(8).name(NUMBERS));
        let (named, global) = (named.spawn().unwrap(), global.spawn().unwrap());
        named.push(1).unwrap();
        global.push(2).unwrap();
        named.close();
        global.close();
        let by_name = drawgate::stream::<u64>().runtime(&rt).subscribe_to("p52").open().unwrap();
        assert_eq!(by_name.collect::<Vec<_>>(), [1]);
        assert_eq!(drawgate::stream().subscribe_to(&NUMBERS).open().unwrap().collect::<Vec<u64>>(), [2]);
    });
}

#[test]
fn p52_what_cannot_be_drawn_from_is_an_error_and_nobody_is_subscribed() {
    watchdog(|| {
        let rt = Runtime::new();
        let named = Port::<u64>::bounded(8).name("p52").runtime(&rt).spawn().unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        struct Host(Arc<AtomicUsize>);
        impl Producer for Host {
            type Event = u64;
            fn handle_demand(&mut self, _: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
                Ok(())
            }
            fn handle_subscribe(&mut self, _: &drawgate::stage::Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
                self.0.fetch_add(1, SeqCst);
                Ok(())
            }
        }
        let host = drawgate::producer(Host(seen.clone())).spawn().unwrap();
        let with = || drawgate::stream::<u64>().runtime(&rt).subscribe_to(&host);
        let refused = with().subscribe_to("nobody").open().unwrap_err();
        assert!(matches!(refused, SubscribeError::NoProducer { name } if name.to_string() == "nobody"));
        let options = Subscribe::new().max_demand(0);
        let refused = with().subscribe_to_with(&named, options).open().unwrap_err();
        assert_eq!(refused.to_string(), "option `max_demand` must be at least 1, and was 0");
        let refused = with().subscribe_to_with(&named, Subscribe::new().manual()).open().unwrap_err();
        assert!(refused.to_string().starts_with("option `manual` must be left out"), "{refused}");
        let refused = drawgate::stream::<String>().runtime(&rt).subscribe_to("p52").open().unwrap_err();
        assert!(matches!(refused, SubscribeError::WrongType { .. }));
        let refused = from_iter(0..1).hop_with(Subscribe::new().max_demand(0)).stream().unwrap_err();
        assert!(matches!(refused, SpawnError::Subscribe { cause: SubscribeError::BadOption(_), .. }));
        let refused = drawgate::from_upstream::<u64, _>("nobody").stream().unwrap_err();
        assert!(matches!(refused, SpawnError::Subscribe { cause: SubscribeError::NoProducer { .. }, .. }));
        let refused = from_iter(0..1).chunks(0).stream().unwrap_err();
        assert!(matches!(refused, SpawnError::BadOption { .. }));
        host.call(|_, _| ()).unwrap();
        assert_eq!(seen.load(SeqCst), 0);
    });
}
