//! Flows: what their steps do, how they end, and what is in flight meanwhile.

use crate::support::watchdog;
use drawgate::flow::Parallel;
use drawgate::prelude::*;
use drawgate::runtime::Telemetry;
use drawgate::stage::{DemandMode, Init};
use drawgate::{RunError, SpawnError, from_iter, from_upstream};
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// Counts what is between two places, and the most there ever was.
#[derive(Clone, Default)]
struct Between(Arc<(AtomicUsize, AtomicUsize)>);
impl Between {
    fn enter(&self) {
        let now = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(now, SeqCst);
    }
    fn leave(&self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

// ---- steps

#[test]
fn steps_do_what_they_say_in_order() {
    watchdog(|| {
        let all = from_iter(0..20)
            .filter(|n| n % 2 == 0)
            .hop()
            .map(|n| n + 1)
            .flat_map(|n| [n, -n])
            .try_map(|n| Ok(n * 10))
            .collect();
        let expected: Vec<_> = (0..20).step_by(2).flat_map(|n| [(n + 1) * 10, (n + 1) * -10]).collect();
        assert_eq!(all.run().unwrap(), expected);
    });
}

#[test]
fn merge_gives_the_events_of_all_each_flows_in_order() {
    watchdog(|| {
        let flows = (0..4_u64).map(|i| from_iter((0..1000).map(move |n| i * 1000 + n)).filter(|n| n % 2 == 0));
        let all = drawgate::merge(flows.map(|flow| flow.hop())).collect().run().unwrap();
        for i in 0..4 {
            let of_one: Vec<_> = all.iter().copied().filter(|n| n / 1000 == i).collect();
            assert_eq!(of_one, (0..1000).step_by(2).map(|n| i * 1000 + n).collect::<Vec<_>>());
        }
        assert_eq!(all.len(), 2000);
        assert_eq!(drawgate::merge([from_iter(0..0), from_iter(0..3)]).collect().run().unwrap(), [0, 1, 2]);
    });
}

#[test]
fn take_ends_an_endless_source() {
    watchdog(|| {
        let endless = || 0_u64..;
        for n in [0, 1, 5, 3000] {
            let expected: Vec<_> = (0..n).collect();
            assert_eq!(
                from_iter(endless()).take(n as usize).collect().run().unwrap(),
                expected,
                "on the source's thread"
            );
            assert_eq!(from_iter(endless()).hop().take(n as usize).collect().run().unwrap(), expected, "at the end");
            let between = from_iter(endless()).hop().take(n as usize).hop().collect();
            assert_eq!(between.run().unwrap(), expected, "between two hops");
            let parallel = from_iter(endless()).parallel_map(2, |n| n).take(n as usize).collect();
            assert_eq!(parallel.run().unwrap(), expected, "below a parallel step");
        }
    });
}

#[test]
fn what_a_step_below_take_has_gathered_comes_out() {
    watchdog(|| {
        let expected = vec![vec![0, 1], vec![2, 3], vec![4]];
        assert_eq!(from_iter(0..).take(5).chunks(2).collect().run().unwrap(), expected);
        assert_eq!(from_iter(0..).hop().take(5).chunks(2).collect().run().unwrap(), expected);
        assert_eq!(from_iter(0..).hop().take(5).chunks(2).hop().collect().run().unwrap(), expected);
        assert_eq!(from_iter(0..).parallel_map(2, |n| n).take(5).chunks(2).collect().run().unwrap(), expected);
        assert_eq!(from_iter(0..).chunks(2).take(1).collect().run().unwrap(), [[0, 1]], "and nothing above it");
    });
}

#[test]
fn chunks_gathers_and_the_last_may_be_shorter() {
    watchdog(|| {
        assert_eq!(from_iter(0..5).chunks(2).collect().run().unwrap(), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(from_iter(0..4).hop().chunks(2).collect().run().unwrap(), [[0, 1], [2, 3]]);
        assert!(from_iter(0..0).chunks(2).collect().run().unwrap().is_empty());
    });
}

#[test]
fn divert_errors_hands_them_over_and_goes_on() {
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let sum = from_iter(["1", "x", "2", "y"])
            .map(|s| s.parse::<i32>().map_err(|e| anyhow::anyhow!("{s}: {e}")))
            .divert_errors(move |cause| tell.send(cause.to_string()).unwrap())
            .fold(0, |sum, n| *sum += n);
        assert_eq!(sum.run().unwrap(), 3);
        let diverted: Vec<_> = told.try_iter().collect();
        assert_eq!(diverted, ["x: invalid digit found in string", "y: invalid digit found in string"]);
    });
}

/// Emits each event twice, and at the end how many there were.
struct Twice(u64);
impl ProducerConsumer for Twice {
    type In = u64;
    type Out = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.0 += events.len() as u64;
        ctx.extend(events.flat_map(|n| [n, n]));
        Ok(())
    }
    fn handle_done(&mut self, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        ctx.emit(self.0);
        Ok(())
    }
}
/// Gathers all.
#[derive(Default)]
struct All(Vec<u64>);
impl Consumer for All {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.0.extend(events);
        Ok(())
    }
}

#[test]
fn through_and_to_put_stages_of_ones_own_into_a_flow() {
    watchdog(|| {
        let flow = from_iter(10..13_u64).through(drawgate::producer_consumer(Twice(0)));
        assert_eq!(flow.to(drawgate::consumer(All::default())).run().unwrap().0, [10, 10, 11, 11, 12, 12, 3]);
    });
}

#[test]
fn from_upstream_draws_from_what_runs_already_and_leaves_it_running() {
    watchdog(|| {
        let port = Port::bounded(8).spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let graph = drawgate::from_upstream(&port)
            .map(|n: u64| n * 2)
            .for_each(move |n| tell.send(n).unwrap())
            .spawn()
            .unwrap();
        port.push(1).unwrap();
        assert_eq!(told.recv().unwrap(), 2);
        graph.stopper().stop_intake();
        graph.join().unwrap();
        assert!(port.is_alive());
        port.request_stop(ExitReason::Normal);
    });
}

// ---- parallel steps

#[test]
fn parallel_map_keeps_the_order_with_at_most_four_a_thread_in_flight() {
    watchdog(|| {
        for n in [1, 2, 3, 8] {
            let between = Between::default();
            let (enter, leave) = (between.clone(), between.clone());
            let mut rng = fastrand::Rng::with_seed(n as u64);
            let all = from_iter((0..2000_u64).inspect(move |_| enter.enter()))
                .map(move |n| (n, rng.u32(..2000)))
                .parallel_map(n, |(n, work)| (0..work).fold(n, |n, _| std::hint::black_box(n)))
                .fold(Vec::new(), move |all, n| {
                    leave.leave();
                    all.push(n);
                });
            assert_eq!(all.run().unwrap(), (0..2000).collect::<Vec<_>>());
            assert!(between.most() <= 4 * n, "{} in flight with {n} threads", between.most());
        }
    });
}

#[test]
fn a_slow_event_of_parallel_map_holds_the_others_up_after_a_bounded_number() {
    watchdog(|| {
        let ((go, gate), pulled) = (mpsc::channel::<()>(), Arc::new(AtomicUsize::new(0)));
        let gate = std::sync::Mutex::new(gate);
        let (count, (tell, told)) = (pulled.clone(), mpsc::channel());
        let graph = from_iter((0..1000).inspect(move |_| _ = count.fetch_add(1, SeqCst)))
            .parallel_map(3, move |n| {
                if n == 0 {
                    let _ = gate.lock().unwrap().recv(); // until `go` is dropped
                } else {
                    let _ = tell.send(n);
                }
                n
            })
            .collect()
            .spawn()
            .unwrap();
        // While 0 is in hand the other two threads do two each, which wait for it below, and hold two each undone.
        let done = told.iter().take(4).max().unwrap();
        assert!(done < 12);
        assert!(pulled.load(SeqCst) <= 12);
        drop(go);
        assert_eq!(graph.join().unwrap(), (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn parallel_map_unordered_gives_each_event_once_with_as_few_in_flight() {
    watchdog(|| {
        for n in [1, 2, 8] {
            let between = Between::default();
            let (enter, leave) = (between.clone(), between.clone());
            let all = from_iter((0..2000_u64).inspect(move |_| enter.enter())).parallel_map_unordered(n, |n| n).fold(
                Vec::new(),
                move |all, n| {
                    leave.leave();
                    all.push(n);
                },
            );
            let mut all = all.run().unwrap();
            all.sort_unstable();
            assert_eq!(all, (0..2000).collect::<Vec<_>>());
            assert!(between.most() <= 4 * n, "{} in flight with {n} threads", between.most());
        }
    });
}

#[test]
fn threads_of_a_parallel_step_work_at_the_same_time() {
    watchdog(|| {
        for ordered in [true, false] {
            let meet = Arc::new(Barrier::new(4));
            let work = move |n: u64| {
                meet.wait(); // opens when four are here
                n
            };
            let numbers = from_iter(0..400);
            let flow = if ordered { numbers.parallel_map(4, work) } else { numbers.parallel_map_unordered(4, work) };
            assert_eq!(flow.fold(0, |count, _| *count += 1).run().unwrap(), 400);
        }
    });
}

#[test]
fn parallel_map_in_flight_can_be_said() {
    watchdog(|| {
        let between = Between::default();
        let (enter, leave) = (between.clone(), between.clone());
        let flow = from_iter((0..5000_u64).inspect(move |_| enter.enter()))
            .parallel_map_with(Parallel::new(2).in_flight(64), |n| n)
            .for_each(move |_| leave.leave());
        flow.run().unwrap();
        assert!(between.most() <= 64, "{} in flight", between.most());
    });
}

#[test]
fn parallel_map_init_makes_a_state_on_each_thread_and_its_failure_is_the_flows() {
    watchdog(|| {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let flow =
            from_iter(0..100_u64).parallel_map_init(Parallel::new(3), move || Ok(count.fetch_add(1, SeqCst)), |_, n| n);
        assert_eq!(flow.fold(0, |sum, n| *sum += n).run().unwrap(), 4950);
        assert_eq!(made.load(SeqCst), 3);
        let failed = from_iter(0..100_u64)
            .parallel_map_init(Parallel::new(3), || -> anyhow::Result<()> { anyhow::bail!("no database") }, |(), n| n)
            .name("look-up")
            .collect()
            .run()
            .unwrap_err();
        assert_eq!(failed.to_string(), "stage `look-up-1` could not be initialised: no database");
    });
}

// ---- ends

#[test]
fn the_first_failure_ends_the_graph_and_is_returned_with_its_stage() {
    watchdog(|| {
        let check = |flow: drawgate::Runnable<()>, message: &str| {
            let failed = flow.run().unwrap_err();
            assert_eq!(failed.to_string(), message);
            assert!(matches!(failed, RunError::Stage(failed) if failed.stuck.is_empty()));
        };
        let bad = |n: u64| if n < 100 { Ok(n) } else { anyhow::bail!("no good: {n}") };
        check(from_iter(0..).try_map(bad).name("numbers").for_each(drop), "stage `numbers`: no good: 100");
        check(from_iter(0..).hop().try_map(bad).name("check").for_each(drop), "stage `check`: no good: 100");
        check(
            from_iter(0..).hop().try_map(bad).name("check").hop().map(|n| n).name("below").for_each(drop),
            "stage `check`: no good: 100",
        );
        check(from_iter(0..).try_for_each(move |n| bad(n).map(drop)).name("end"), "stage `end`: no good: 100");
        check(
            from_iter(0_u64..).parallel_map(1, |n| assert!(n < 100, "no good")).name("work").for_each(drop),
            "stage `work-1`: panicked: no good",
        );
        check(
            drawgate::source(|_| anyhow::bail!("no file")).name("read").for_each(|_: u64| ()),
            "stage `read`: no file",
        );
    });
}

#[test]
fn a_stage_that_does_not_stop_after_a_failure_is_named_as_stuck() {
    watchdog(|| {
        let ((go, going), (begun, begins)) = (mpsc::channel::<()>(), mpsc::channel());
        let failed = drawgate::merge([
            drawgate::source(move |_| {
                begun.send(())?;
                let _ = going.recv(); // hears no stop
                Ok(())
            })
            .name("deaf"),
            drawgate::source(move |_| {
                begins.recv()?;
                anyhow::bail!("no good")
            })
            .name("fails"),
        ])
        .for_each(|_: u64| ())
        .run()
        .unwrap_err();
        assert_eq!(failed.to_string(), "stage `fails`: no good (still running: [`deaf`])");
        drop(go);
    });
}

#[test]
fn a_stage_that_cannot_start_stops_those_that_have() {
    watchdog(|| {
        struct Declines;
        impl Consumer for Declines {
            type Event = u64;
            fn init(&mut self, _: &mut Context<'_>) -> anyhow::Result<Init> {
                Ok(Init::Decline)
            }
            fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
                Ok(())
            }
        }
        let runtime = Runtime::new();
        let flow = from_iter(0..).hop().to(drawgate::consumer(Declines)).name("last").runtime(&runtime);
        assert!(
            matches!(flow.run(), Err(RunError::Spawn(SpawnError::Declined { stage })) if stage.to_string() == "last")
        );
        assert!(runtime.snapshot().stages().is_empty());
    });
}

#[test]
fn a_stage_that_starts_too_late_ends_with_its_graph() {
    watchdog(|| {
        let runtime = Runtime::new();
        let (go, going) = mpsc::channel::<()>();
        let slow = move || {
            let _ = going.recv();
            Ok(All::default())
        };
        let hold = std::sync::Mutex::new(Some(go));
        runtime.on_thread_start(move |name| {
            if name.to_string() == "last" {
                drop(hold.lock().unwrap().take()); // it takes a little longer than it may
            }
        });
        let slow = drawgate::consumer_with(slow).start_timeout(Duration::ZERO);
        let flow = from_iter(0..).hop().to(slow).name("last").runtime(&runtime);
        // It may be so quick that it is in time; else nothing of it is left, either.
        match flow.spawn() {
            Ok(graph) => {
                graph.stopper().stop_now();
                drop(graph);
            }
            Err(late) => assert!(matches!(late, SpawnError::Timeout { .. }), "{late}"),
        }
        assert!(runtime.snapshot().stages().is_empty());
    });
}

#[test]
fn options_out_of_range_are_errors_and_nothing_is_started() {
    watchdog(|| {
        let runtime = Runtime::new();
        runtime.on_thread_start(|name| unreachable!("{name} was started"));
        let message = |flow: Flow<u64>| flow.runtime(&runtime).collect().run().unwrap_err().to_string();
        let zero = from_iter(0..10_u64).chunks(0).map(|_| 0);
        assert_eq!(message(zero.hop()), "stage `flow`: option `chunks` must be at least 1, and was 0");
        let zero = from_iter(0..10_u64).parallel_map(0, |n| n);
        assert_eq!(message(zero), "stage `flow`: option `threads` must be at least 1, and was 0");
        let few = from_iter(0..10_u64).parallel_map_with(Parallel::new(2).in_flight(3), |n| n);
        let must = "option `in_flight` must be at least twice the number of threads, which is 2, and was 3";
        assert_eq!(message(few), format!("stage `flow`: {must}"));
    });
}

#[test]
fn a_hop_with_bad_demand_is_an_error_that_names_the_stage() {
    watchdog(|| {
        let refused =
            from_iter(0..10).hop_with(Subscribe::new().max_demand(0)).collect().name("end").run().unwrap_err();
        let must = "option `max_demand` must be at least 1, and was 0";
        assert_eq!(refused.to_string(), format!("stage `end` could not subscribe: {must}"));
    });
}

/// A flow of numbers that tells what its source has emitted and its end has handled.
fn endless() -> (drawgate::Runnable<u64>, Arc<AtomicUsize>, mpsc::Receiver<()>) {
    let (emitted, (tell, begun)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
    let count = emitted.clone();
    let flow = drawgate::source(move |out| {
        loop {
            out.emit(())?;
            count.fetch_add(1, SeqCst);
        }
    });
    let flow = flow.hop().fold(0, move |handled, ()| {
        *handled += 1;
        let _ = tell.send(());
    });
    (flow, emitted, begun)
}

#[test]
fn stop_intake_lets_what_is_inside_be_handled() {
    watchdog(|| {
        let (flow, emitted, begun) = endless();
        let graph = flow.spawn().unwrap();
        begun.recv().unwrap();
        graph.stopper().stop_intake();
        assert_eq!(graph.join().unwrap(), emitted.load(SeqCst) as u64);
    });
}

#[test]
fn stop_intake_lets_out_what_a_step_of_the_source_has_gathered() {
    watchdog(|| {
        let (begun, begins) = mpsc::channel();
        let numbers = drawgate::source(move |out| {
            for n in 0..3 {
                out.emit(n)?;
            }
            let _ = begun.send(());
            let stop = out.stop_token().channel();
            let _ = stop.recv();
            out.ready().map_err(Into::into)
        });
        let graph = numbers.chunks(10).collect().spawn().unwrap();
        begins.recv().unwrap();
        graph.stopper().stop_intake();
        assert_eq!(graph.join().unwrap(), [[0, 1, 2]]);
    });
}

#[test]
fn stop_now_gives_what_the_last_stage_has() {
    watchdog(|| {
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let graph = from_iter(0..u64::MAX)
            .fold(Vec::new(), move |all, n| {
                all.push(n);
                let _ = begun.send(());
                let _ = going.recv();
            })
            .spawn()
            .unwrap();
        begins.recv().unwrap();
        graph.stopper().stop_now(); // while the first is in hand
        drop(go);
        let all = graph.join().unwrap();
        assert!(!all.is_empty() && all.len() <= 1000, "{} handled after the stop", all.len());
        assert!(all.iter().copied().eq(0..all.len() as u64));
    });
}

#[test]
fn dropping_a_graph_drains_it() {
    watchdog(|| {
        let (flow, emitted, handled) = endless();
        let graph = flow.spawn().unwrap();
        handled.recv().unwrap();
        let watch = graph.watch();
        drop(graph);
        assert_eq!(handled.try_iter().count() + 1, emitted.load(SeqCst)); // all of it, when `drop` returns
        assert_eq!(watch.snapshot().stages().last().unwrap().events_in, emitted.load(SeqCst) as u64);
    });
}

#[test]
fn dropping_a_graph_leaves_a_source_behind_that_does_not_stop_and_says_so() {
    watchdog(|| {
        let rt = Runtime::new();
        let (tell, told) = mpsc::channel();
        rt.on_event(move |event| {
            if let Telemetry::LeftBehind { stage, .. } = event {
                let _ = tell.send(stage.to_string());
            }
        });
        let (_silent, socket) = mpsc::channel::<u8>();
        let reads = drawgate::source(move |out| {
            while let Ok(byte) = socket.recv() {
                out.emit(byte)?;
            }
            Ok(())
        });
        drop(reads.name("reader").for_each(|_| ()).runtime(&rt).spawn().unwrap());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["reader", "end"]);
    });
}

#[test]
fn dropping_a_graph_in_a_panic_stops_it_without_waiting() {
    watchdog(|| {
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let graph = from_iter(0..)
            .for_each(move |_| {
                let _ = begun.send(());
                let _ = going.recv();
            })
            .spawn()
            .unwrap();
        let stages = graph.stages();
        begins.recv().unwrap();
        let panicked = std::thread::spawn(move || {
            let _graph = graph;
            panic!("while it is owned");
        });
        assert!(panicked.join().is_err()); // though the handler is still busy
        drop(go);
        for stage in stages {
            let reason = stage.join_timeout(Duration::MAX).unwrap().unwrap();
            assert!(matches!(reason, ExitReason::Shutdown | ExitReason::Done), "{reason}");
        }
    });
}

#[test]
fn a_graphs_figures_outlive_it() {
    watchdog(|| {
        let graph = from_iter(0..100)
            .name("numbers")
            .parallel_map(2, |n| n)
            .name("work")
            .collect()
            .name("all")
            .spawn()
            .unwrap();
        let watch = graph.watch();
        assert_eq!(graph.join().unwrap().len(), 100);
        let stages = watch.snapshot().stages().to_vec();
        let figures: Vec<_> =
            stages.iter().map(|s| (s.name.to_string(), s.threads, s.events_in, s.events_out)).collect();
        let name = |s: &str| s.to_string();
        assert_eq!(figures, [(name("numbers"), 1, 0, 100), (name("work"), 2, 100, 100), (name("all"), 1, 100, 0)]);
    });
}

// ---- channels

#[test]
fn from_receiver_ends_with_its_senders_and_is_stopped_while_it_waits() {
    watchdog(|| {
        let (tx, rx) = crossbeam_channel::bounded(1);
        let sending = std::thread::spawn(move || (0..100).for_each(|n| tx.send(n).unwrap()));
        assert_eq!(drawgate::from_receiver(rx).collect().run().unwrap(), (0..100).collect::<Vec<_>>());
        sending.join().unwrap();

        let (tx, rx) = crossbeam_channel::unbounded();
        let (tell, told) = mpsc::channel();
        let graph = drawgate::from_receiver(rx).inspect(move |_| tell.send(()).unwrap()).collect().spawn().unwrap();
        tx.send(1).unwrap();
        told.recv().unwrap();
        graph.stopper().stop_intake(); // nobody sends any more
        assert_eq!(graph.join().unwrap(), [1]);
        drop(tx);
    });
}

#[test]
fn from_receiver_takes_no_more_than_was_asked() {
    watchdog(|| {
        let (tx, rx) = crossbeam_channel::unbounded();
        (0..10).for_each(|n| tx.send(n).unwrap());
        let numbers = drawgate::from_receiver(rx.clone()).spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let consumer = drawgate::for_each(move |n: i32| tell.send(n).unwrap()).spawn().unwrap();
        let subscription = consumer.subscribe_with(&numbers, Subscribe::new().manual()).unwrap();
        subscription.ask(3).unwrap();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
        numbers.call(|(), _| ()).unwrap(); // it waits for demand
        assert_eq!(rx.len(), 7);
        numbers.request_stop(ExitReason::Normal);
        consumer.join().unwrap();
    });
}

#[test]
fn to_sender_waits_for_room_and_is_done_when_nobody_receives() {
    watchdog(|| {
        let (tx, rx) = crossbeam_channel::bounded(2);
        let numbers = from_iter(0..u64::MAX).spawn().unwrap();
        let sender = drawgate::to_sender(tx).subscribe_to(&numbers).spawn().unwrap();
        assert!(rx.iter().take(5000).eq(0..5000));
        drop(rx);
        sender.join().unwrap();
        assert!(matches!(sender.exit_reason(), Some(ExitReason::Done)));
        numbers.join().unwrap();
    });
}

#[test]
fn to_sender_can_be_stopped_while_it_waits_for_room_and_gives_back_what_it_has_not_sent() {
    watchdog(|| {
        let (tx, rx) = crossbeam_channel::bounded(2);
        let port = Port::bounded(100).spawn().unwrap();
        port.push_all((0..10).collect()).unwrap();
        let sender = drawgate::to_sender(tx).subscribe_to(&port).spawn().unwrap();
        crate::support::until(|| rx.is_full());
        sender.stop(ExitReason::Normal, Duration::MAX).unwrap();
        assert!(matches!(sender.exit_reason(), Some(ExitReason::Normal)), "{:?}", sender.exit_reason());
        assert_eq!(rx.iter().collect::<Vec<_>>(), [0, 1]);
        // The rest stands where it stood, for another; none is lost.
        let rest = drawgate::fold(Vec::new(), |rest, n: u64| rest.push(n)).subscribe_to(&port).spawn().unwrap();
        port.close();
        assert_eq!(rest.finish().unwrap(), (2..10).collect::<Vec<_>>());
        assert_eq!(port.stats().lost, 0);
    });
}

// ---- lines as they come

/// What makes the test below one half of a pipe.
const CHILD: &str = "DRAWGATE_TEST_READS_LINES";

#[test]
fn lines_of_stdin_are_handled_as_they_come() {
    if std::env::var_os(CHILD).is_some() {
        // The child: answers each line. On stderr, since libtest writes to stdout.
        let lines = drawgate::from_iter(BufReader::new(std::io::stdin()).lines());
        lines.hop().for_each(|line| eprintln!("got {}", line.unwrap())).run().unwrap();
        return;
    }
    watchdog(|| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "flow::lines_of_stdin_are_handled_as_they_come", "--nocapture"])
            .env(CHILD, "1")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ask = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        for n in 0..10 {
            // The next is written only when this one was answered: a reader that waits for more would hang here.
            writeln!(ask, "{n}").unwrap();
            let got = answers.find(|answer| answer.starts_with("got ")).unwrap();
            assert_eq!(got, format!("got {n}"));
        }
        drop(ask);
        assert!(child.wait().unwrap().success());
    });
}

// ---- a flow that others draw from

#[test]
fn p20_a_flow_is_a_producer_with_a_dispatcher_that_waits_for_its_consumers() {
    watchdog(|| {
        let numbers = from_iter(0..1000_u64).map(|n| n * 2).into_producer();
        let numbers = numbers.dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn().unwrap();
        let all = || drawgate::fold(Vec::new(), |all, n: u64| all.push(n)).subscribe_to(&numbers).spawn().unwrap();
        let (a, b) = (all(), all());
        let expected: Vec<_> = (0..1000).map(|n| n * 2).collect();
        assert_eq!(a.finish().unwrap(), expected);
        assert_eq!(b.finish().unwrap(), expected);
    });
}

#[test]
fn p32_a_flow_that_accumulates_pulls_nothing_before_it_is_told_to() {
    watchdog(|| {
        let (pull, pulled) = std::sync::mpsc::channel();
        let numbers = from_iter((0..3_u64).inspect(move |n| pull.send(*n).unwrap())).into_producer();
        let numbers = numbers.demand_mode(DemandMode::Accumulate).spawn().unwrap();
        let all = drawgate::fold(Vec::new(), |all, n: u64| all.push(n)).subscribe_to(&numbers).spawn().unwrap();
        all.call(|_, _| ()).unwrap(); // it has asked
        numbers.call(|(), _| ()).unwrap(); // and the source has had its turn
        assert!(pulled.try_recv().is_err());
        numbers.set_demand_mode(DemandMode::Forward).unwrap();
        assert_eq!(all.finish().unwrap(), [0, 1, 2]);
        assert_eq!(pulled.iter().count(), 3);
    });
}

#[test]
fn a_flow_outlives_its_consumers_if_it_is_told_to() {
    watchdog(|| {
        type Numbers = Handle<drawgate::Nothing, u64>;
        let first = |numbers: &Numbers| from_upstream(numbers).take(1).collect().run().unwrap()[0];
        for steps in [false, true] {
            let make = move || match steps {
                false => from_iter(0..).into_producer(),
                true => from_iter(0..).hop().map(|n| n).into_producer(),
            };
            let stays = make().outlives_consumers(true).spawn().unwrap();
            assert_eq!(first(&stays), 0);
            assert_eq!(first(&stays), 1, "what stands is kept for the next");
            stays.stop(ExitReason::Normal, Duration::from_secs(20)).unwrap();
            let goes = make().spawn().unwrap();
            assert_eq!(first(&goes), 0);
            goes.join().unwrap();
        }
    });
}

#[test]
fn a_producer_of_a_flow_refuses_what_its_flow_refuses() {
    let refused = from_iter(0..3_u64).chunks(0).name("none").into_producer().spawn().unwrap_err();
    assert!(refused.to_string().contains("`n`") || refused.to_string().contains("chunks"), "{refused}");
    let refused = from_iter(0..3_u64).into_producer().partition_by(0, |n| *n).spawn().unwrap_err();
    assert!(matches!(refused, SpawnError::BadOption { .. }), "{refused}");
}

#[test]
fn what_a_step_wants_no_more_of_goes_back_to_the_lane() {
    watchdog(|| {
        let port = Port::bounded(100).spawn().unwrap();
        port.push_all((0..10).collect()).unwrap();
        assert_eq!(from_upstream(&port).take(1).collect().run().unwrap(), [0]);
        assert_eq!(from_upstream(&port).take(2).hop().collect().run().unwrap(), [1, 2]);
        let (tx, rx) = crossbeam_channel::bounded::<u32>(1);
        drop(rx);
        drawgate::to_sender(tx).subscribe_to(&port).spawn().unwrap().join().unwrap();
        port.close();
        assert_eq!(from_upstream(&port).collect().run().unwrap(), (3..10).collect::<Vec<_>>());
        assert_eq!(port.port_stats().lost, 0);
    });
}
