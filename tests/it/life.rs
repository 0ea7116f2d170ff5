//! Calls, starts, stops, failures, and iterators as stages.

use crate::support::{until, watchdog};
use drawgate::error::CancelReason;
use drawgate::prelude::*;
use drawgate::stage::{Init, Notification, Peer, Reply};
use drawgate::{CallError, Nothing, SpawnError, SubscribeError};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const LONG: Duration = Duration::MAX;

/// A consumer that is called, and otherwise does nothing.
type Sum = Handle<u64, Nothing, u64>;
fn sum() -> Sum {
    drawgate::fold(0, |sum, n: u64| *sum += n).spawn().unwrap()
}
/// A producer that emits only what a call tells it to.
fn quiet() -> Handle<Nothing, u64, Quiet> {
    drawgate::producer(Quiet).spawn().unwrap()
}
struct Quiet;
impl Producer for Quiet {
    type Event = u64;
    fn handle_demand(&mut self, _: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Keeps a stage's thread busy until it is dropped.
struct Busy(#[allow(dead_code, reason = "what counts is when it is dropped")] Sender<()>);
fn occupy<I, O: 'static, S: 'static>(stage: &Handle<I, O, S>) -> Busy {
    let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
    stage.cast(move |_, _| {
        begun.send(()).unwrap();
        let _ = going.recv();
    });
    begins.recv().unwrap();
    Busy(go)
}

/// Tells when it is dropped.
struct OnDrop(Sender<()>);
impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

// ---- calls

#[test]
fn p44_a_call_returns_the_closures_value() {
    watchdog(|| {
        let sum = sum();
        assert_eq!(sum.call(|sum, _| std::mem::replace(sum, 7)).unwrap(), 0);
        assert_eq!(sum.call(|sum, _| *sum).unwrap(), 7);
        sum.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p44_what_a_call_emits_is_there_before_its_reply() {
    watchdog(|| {
        let producer = quiet();
        for n in 1..=100 {
            assert_eq!(producer.call(move |_, ctx| ctx.emit(n)).map(|()| producer.buffered()).unwrap(), n as usize);
        }
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p44_a_deferred_reply_may_come_from_another_thread() {
    watchdog(|| {
        let sum = sum();
        let deferred: u64 = sum
            .call_deferred(LONG, |sum, reply, _| {
                let n = *sum;
                std::thread::spawn(move || reply.send(n + 1));
            })
            .unwrap();
        assert_eq!(deferred, 1);
        sum.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p44_a_dropped_reply_is_an_error_and_not_a_hang() {
    watchdog(|| {
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).name("p44-drops").spawn().unwrap();
        let dropped = sum.call_deferred(LONG, |_, reply: Reply<u64>, _| drop(reply)).unwrap_err();
        assert_eq!(dropped.to_string(), "stage `p44-drops` dropped its reply");
        sum.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p45_a_call_to_an_ended_stage_fails_at_once_with_its_reason() {
    watchdog(|| {
        let sum = sum();
        sum.stop(ExitReason::Shutdown, LONG).unwrap();
        let ended = |e| matches!(e, CallError::Ended { reason: Some(ExitReason::Shutdown), .. });
        assert!(ended(sum.call_timeout(LONG, |_, _| ()).unwrap_err()));
        assert!(ended(sum.call_deferred(LONG, |_, reply, _| reply.send(())).unwrap_err()));
        sum.cast(|_, _| unreachable!());
    });
}

#[test]
fn p45_calls_that_wait_in_the_mail_of_a_stage_that_ends_fail() {
    watchdog(|| {
        let sum = sum();
        let busy = occupy(&sum);
        let calls: Vec<_> = (0..4)
            .map(|i| {
                let (sum, (posted, post)) = (sum.clone(), mpsc::channel());
                let call = std::thread::spawn(move || {
                    posted.send(()).unwrap();
                    match i % 2 {
                        0 => sum.call_timeout(LONG, |_, _| ()),
                        _ => sum.call_deferred(LONG, |_, reply, _| reply.send(())),
                    }
                });
                post.recv().unwrap(); // it is posted by now, or finds the mailbox closed: both must fail or be served
                call
            })
            .collect();
        sum.cast(|_, ctx| ctx.stop(ExitReason::Normal));
        drop(busy);
        for call in calls {
            let outcome = call.join().unwrap();
            assert!(matches!(outcome, Ok(()) | Err(CallError::Ended { .. })), "{outcome:?}");
        }
        sum.join().unwrap();
    });
}

#[test]
fn p45_calls_behind_one_that_stops_the_stage_fail() {
    watchdog(|| {
        let sum = sum();
        let (sum2, busy) = (sum.clone(), occupy(&sum));
        sum.cast(move |_, ctx| {
            ctx.stop(ExitReason::Normal);
            // Posted from inside, so surely behind this one, and surely before the end.
            sum2.cast(|_, _| unreachable!());
        });
        drop(busy);
        sum.join().unwrap();
        assert!(matches!(sum.call(|_, _| ()), Err(CallError::Ended { reason: Some(ExitReason::Normal), .. })));
    });
}

#[test]
fn p45_a_caller_whose_reply_the_stage_keeps_hears_of_its_end() {
    watchdog(|| {
        // `finish` could still give the state back, and the reply in it.
        let keeps = drawgate::fold(None::<Reply<u64>>, |_, _: u64| ()).spawn().unwrap();
        let (stage, (kept, is_kept)) = (keeps.clone(), mpsc::channel());
        let call = std::thread::spawn(move || {
            stage.call_deferred(LONG, move |state, reply, _| {
                *state = Some(reply);
                kept.send(()).unwrap();
            })
        });
        is_kept.recv().unwrap();
        keeps.request_stop(ExitReason::Normal);
        let ended = call.join().unwrap().unwrap_err();
        assert!(matches!(ended, CallError::Ended { reason: Some(ExitReason::Normal), .. }), "{ended:?}");
    });
}

#[test]
fn p45_the_late_value_of_a_call_that_timed_out_is_dropped() {
    watchdog(|| {
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).name("p45-late").spawn().unwrap();
        let busy = occupy(&sum);
        let (tell, dropped) = mpsc::channel();
        let late = sum.call_timeout(Duration::ZERO, move |_, _| OnDrop(tell)).map(drop).unwrap_err();
        assert_eq!(late.to_string(), "stage `p45-late` did not answer within 0ns");
        drop(busy);
        dropped.recv().unwrap();
        assert_eq!(sum.call(|sum, _| *sum).unwrap(), 0); // and the stage goes on
        sum.request_stop(ExitReason::Normal);
    });
}

// ---- rings

fn ring(outcome: Result<(), CallError>) -> Vec<String> {
    match outcome {
        Err(CallError::Cycle(ring)) => ring.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn p46_calling_oneself_is_an_error_that_names_the_ring() {
    watchdog(|| {
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).name("p46-self").spawn().unwrap();
        let me = sum.clone();
        let inner = sum.call(move |_, _| me.call(|_, _| ())).unwrap();
        assert_eq!(inner.clone().unwrap_err().to_string(), "waiting would never end: `p46-self` waits for `p46-self`");
        assert_eq!(ring(inner), ["p46-self"]);
        sum.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p46_waiting_for_ones_own_end_is_an_error() {
    watchdog(|| {
        let sum = sum();
        let me = sum.clone();
        let (joined, stopped) = sum.call(move |_, _| (me.join(), me.stop(ExitReason::Normal, LONG))).unwrap();
        assert!(joined.unwrap_err().to_string().contains("waiting would never end"));
        assert!(matches!(stopped, Err(CallError::Cycle(_))));
        sum.join().unwrap(); // the stop was asked for all the same
    });
}

#[test]
fn p46_calling_each_other_in_a_ring_is_an_error_that_names_the_ring() {
    watchdog(|| {
        let stages =
            ["p46-a", "p46-b", "p46-c"].map(|name| drawgate::fold(0, |_, _: u64| ()).name(name).spawn().unwrap());
        let [a, b, c] = stages.clone();
        let outcome = stages[0].call(move |_, _| b.call(move |_, _| c.call(move |_, _| a.call(|_, _| ()))));
        assert_eq!(ring(outcome.unwrap().unwrap().unwrap()), ["p46-c", "p46-a", "p46-b"]);
        stages.iter().for_each(|stage| stage.request_stop(ExitReason::Normal));
    });
}

#[test]
fn p46_calling_back_one_whose_call_was_answered_is_no_ring() {
    watchdog(|| {
        let (a, b) = (sum(), sum());
        for _ in 0..2000 {
            let (a2, b2, (tell, told)) = (a.clone(), b.clone(), mpsc::channel());
            a.cast(move |_, _| {
                let back = b2.clone();
                // Left behind for `b` by the call, so run when that has its answer, though `a` may not have woken yet.
                b2.call(move |_, _| back.cast(move |_, _| tell.send(a2.call(|_, _| ())).unwrap())).unwrap();
            });
            told.recv().unwrap().unwrap();
        }
        a.request_stop(ExitReason::Normal);
        b.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p46_pushing_into_ones_own_full_port_is_an_error() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let (own, (tell, told)) = (port.clone(), mpsc::channel());
        let consumer = drawgate::for_each(move |n: u64| {
            if n == 0 {
                own.push(1).unwrap(); // there is room
                tell.send(own.push(2)).unwrap();
            }
        })
        .subscribe_to(&port)
        .spawn()
        .unwrap();
        port.push(0).unwrap();
        assert!(matches!(told.recv().unwrap(), Err(PushError::Cycle(2))));
        port.close();
        consumer.join().unwrap();
    });
}

#[test]
fn p46_a_push_with_a_limit_is_in_no_ring() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let pushing = sum();
        let (own, (go, going), (tell, told)) = (pushing.clone(), mpsc::channel::<()>(), mpsc::channel());
        let consumer = drawgate::for_each(move |n: u64| {
            if n == 0 {
                let _ = going.recv();
                tell.send(own.call_timeout(Duration::ZERO, |_, _| ())).unwrap();
            }
        })
        .subscribe_to(&port)
        .spawn()
        .unwrap();
        port.push(0).unwrap();
        until(|| port.stats().buffered == 0); // it has 0 in hand
        port.push(1).unwrap();
        let full = port.clone();
        pushing.cast(move |_, _| full.push_timeout(2, Duration::from_secs(3600)).unwrap());
        until(|| port.stats().parked == 1);
        drop(go);
        // The one that is called waits for the caller, but not for ever.
        assert!(matches!(told.recv().unwrap(), Err(CallError::Timeout { .. })));
        port.close();
        consumer.join().unwrap();
        pushing.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p46_stages_of_flows_that_have_the_same_label_are_not_taken_for_one_another() {
    watchdog(|| {
        // Two ends, both called `end`: the first pushes into what the second draws from, which is held up by a third.
        let ports = [(); 3].map(|()| Port::bounded(1).spawn().unwrap());
        let passes_on = |from: usize, to: usize| {
            let to = ports[to].clone();
            drawgate::from_upstream(&ports[from]).for_each(move |n: u64| to.push(n).unwrap()).spawn().unwrap()
        };
        let graphs = [passes_on(0, 1), passes_on(1, 2)];
        let (go, going) = mpsc::channel::<()>();
        let all = drawgate::fold(Vec::new(), move |all, n: u64| {
            let _ = going.recv();
            all.push(n);
        })
        .subscribe_to(&ports[2])
        .spawn()
        .unwrap();
        let first = ports[0].clone();
        let pushes = std::thread::spawn(move || (0..20).for_each(|n| first.push(n).unwrap()));
        until(|| ports.iter().all(|port| port.stats().parked == 1));
        drop(go);
        pushes.join().unwrap();
        for (port, graph) in ports.iter().zip(graphs) {
            port.close();
            graph.join().unwrap();
        }
        ports[2].close();
        assert_eq!(all.finish().unwrap(), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn p46_a_push_is_no_ring_while_another_consumer_can_make_room() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let one = || Subscribe::new().max_demand(1);
        let (own, (tell, told)) = (port.clone(), mpsc::channel());
        let pushing = drawgate::for_each(move |n: u64| {
            if n == 0 {
                own.push(1).unwrap();
                tell.send(None).unwrap();
                tell.send(Some(own.push(2))).unwrap();
            }
        })
        .subscribe_to_with(&port, one())
        .spawn()
        .unwrap();
        port.push(0).unwrap();
        assert!(told.recv().unwrap().is_none()); // it holds 0, and 1 stands
        let other = drawgate::for_each(|_: u64| ()).subscribe_to_with(&port, one()).spawn().unwrap();
        // Whether the push came before the other consumer or after decides only who is asked; it must not hang.
        assert!(matches!(told.recv().unwrap(), Some(Ok(()) | Err(PushError::Cycle(2)))));
        port.close();
        pushing.join().unwrap();
        other.join().unwrap();
    });
}

// ---- stops

/// Tells what happens to it.
struct Told(Sender<String>);
impl Producer for Told {
    type Event = u64;
    fn handle_demand(&mut self, _: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        Ok(())
    }
    fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        Ok(self.0.send(format!("producer: {why}"))?)
    }
}
impl ProducerConsumer for Told {
    type In = u64;
    type Out = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        ctx.extend(events);
        Ok(())
    }
    fn terminate(&mut self, reason: &ExitReason) {
        self.0.send(format!("terminate: {reason}")).unwrap();
    }
}
impl Consumer for Told {
    type Event = u64;
    fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }
    fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(self.0.send(format!("consumer: {why}"))?)
    }
}

#[test]
fn p47_stop_runs_terminate_with_the_reason_then_ends_both_sides() {
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let producer = drawgate::producer(Told(tell.clone())).spawn().unwrap();
        let between = drawgate::producer_consumer(Told(tell.clone())).subscribe_to(&producer).spawn().unwrap();
        let consumer = drawgate::consumer(Told(tell)).subscribe_to(&between).spawn().unwrap();
        between.stop(ExitReason::Shutdown, LONG).unwrap();
        let mut seen: Vec<_> = told.iter().take(3).collect();
        assert_eq!(seen.remove(0), "terminate: shutdown");
        seen.sort();
        assert_eq!(seen, ["consumer: the other side ended: shutdown", "producer: the other side ended: shutdown"]);
        assert!(matches!(between.exit_reason(), Some(ExitReason::Shutdown)));
        // Stopping a stopped stage is fine, and changes nothing.
        between.stop(ExitReason::Normal, LONG).unwrap();
        assert!(matches!(between.exit_reason(), Some(ExitReason::Shutdown)));
        consumer.join().unwrap();
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p47_a_stage_that_does_not_stop_in_time_is_reported_by_name() {
    watchdog(|| {
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).name("p47-stuck").spawn().unwrap();
        let busy = occupy(&sum);
        let stuck = sum.stop(ExitReason::Normal, Duration::ZERO).unwrap_err();
        assert!(matches!(&stuck, CallError::Timeout { stage, .. } if stage.to_string() == "p47-stuck"));
        assert!(sum.is_alive());
        drop(busy);
        sum.join().unwrap(); // it stops as soon as it can
    });
}

#[test]
fn p47_what_stands_in_a_stopped_stages_lanes_is_still_delivered() {
    watchdog(|| {
        let producer = quiet();
        let all = drawgate::fold(Vec::new(), |all, n: u64| all.push(n)).subscribe_to(&producer).spawn().unwrap();
        let busy = occupy(&all);
        producer.call(|_, ctx| ctx.extend(0..5000)).unwrap();
        producer.stop(ExitReason::Normal, LONG).unwrap();
        drop(busy);
        assert_eq!(all.finish().unwrap(), (0..5000).collect::<Vec<_>>());
    });
}

#[test]
fn monitors_get_the_reason_of_the_end_also_after_it() {
    watchdog(|| {
        let sum = sum();
        let before = [sum.monitor(), sum.monitor()];
        sum.request_stop(ExitReason::Shutdown);
        for monitor in before {
            assert!(matches!(monitor.recv().unwrap(), ExitReason::Shutdown));
        }
        assert!(matches!(sum.monitor().recv().unwrap(), ExitReason::Shutdown));
    });
}

#[test]
fn a_stop_token_tells_code_that_blocks_elsewhere() {
    watchdog(|| {
        let sum = sum();
        let token = sum.call(|_, ctx| ctx.stop_token()).unwrap();
        assert!(!token.is_stopping());
        let ((tell, told), channel) = (mpsc::channel(), token.channel());
        token.on_stop(|| panic!("a panic in a hook is dropped"));
        token.on_stop(move || tell.send(()).unwrap());
        let busy = occupy(&sum);
        sum.request_stop(ExitReason::Normal);
        told.recv().unwrap(); // while the stage is still busy
        assert!(token.is_stopping());
        assert!(channel.recv().is_err(), "disconnected, for `select!`");
        drop(busy);
        let (tell, told) = mpsc::channel();
        token.on_stop(move || tell.send(()).unwrap()); // too late: at once
        told.recv().unwrap();
        sum.join().unwrap();
    });
}

#[test]
fn a_stop_token_is_set_when_the_stage_ends_by_itself() {
    watchdog(|| {
        let sum = sum();
        let token = sum.call(|_, ctx| ctx.stop_token()).unwrap();
        sum.call(|_, ctx| ctx.stop(ExitReason::Normal)).unwrap();
        assert!(token.channel().recv().is_err());
        sum.join().unwrap();
    });
}

#[test]
fn finish_gives_the_state_to_the_first_who_asks() {
    watchdog(|| {
        let numbers = drawgate::from_iter(0..10_u64).spawn().unwrap();
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).subscribe_to(&numbers).spawn().unwrap();
        let second = sum.clone();
        assert_eq!(sum.finish().unwrap(), 45);
        assert!(second.finish().unwrap_err().to_string().contains("given to somebody already"));
    });
}

// ---- starts

/// A consumer whose `init` does this.
struct Starts(fn() -> anyhow::Result<Init>);
impl Consumer for Starts {
    type Event = u64;
    fn init(&mut self, _: &mut Context<'_>) -> anyhow::Result<Init> {
        (self.0)()
    }
    fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }
    fn terminate(&mut self, _: &ExitReason) {
        unreachable!("it never began");
    }
}

/// Spawns what cannot start, and sees that nothing is left of it.
fn not_started(init: fn() -> anyhow::Result<Init>) -> SpawnError {
    let runtime = Runtime::new();
    let producer = drawgate::producer(Quiet).runtime(&runtime).spawn().unwrap();
    let start =
        |init| drawgate::consumer(Starts(init)).name("starts").runtime(&runtime).subscribe_to(&producer).spawn();
    let refused = start(init).unwrap_err();
    assert!(runtime.registry().stage("starts").is_none());
    assert!(producer.stats().consumers.is_empty());
    assert_eq!(runtime.snapshot().stages().len(), 1); // the producer alone
    let again = drawgate::for_each(|_: u64| ()).name("starts").runtime(&runtime).spawn().unwrap(); // the name is free
    again.stop(ExitReason::Normal, LONG).unwrap();
    producer.request_stop(ExitReason::Normal);
    refused
}

#[test]
fn p48_an_init_that_fails_declines_or_panics_is_what_spawn_says_and_nothing_is_left() {
    watchdog(|| {
        let failed = not_started(|| anyhow::bail!("no database"));
        assert_eq!(failed.to_string(), "stage `starts` could not be initialised: no database");
        let declined = not_started(|| Ok(Init::Decline));
        assert!(matches!(&declined, SpawnError::Declined { stage } if stage.to_string() == "starts"));
        let panicked = not_started(|| panic!("oops"));
        assert_eq!(panicked.to_string(), "stage `starts` could not be initialised: panicked: oops");
    });
}

#[test]
fn p48_the_cause_of_a_failed_init_can_be_asked_for() {
    watchdog(|| {
        let failed = not_started(|| Err(std::io::Error::other("no database").into()));
        let SpawnError::Init { cause, .. } = failed else { panic!("{failed}") };
        assert_eq!(cause.downcast_ref::<std::io::Error>().unwrap().to_string(), "no database");
    });
}

#[test]
fn p48_a_state_that_cannot_be_made_is_an_error_of_spawn() {
    watchdog(|| {
        let failed = drawgate::consumer_with(|| -> anyhow::Result<Starts> { anyhow::bail!("no file") }).spawn();
        assert!(matches!(failed, Err(SpawnError::Init { cause, .. }) if cause.to_string() == "no file"));
        let panicked = drawgate::consumer_with(|| -> anyhow::Result<Starts> { panic!("oops") }).spawn();
        assert!(matches!(panicked, Err(SpawnError::Init { cause, .. }) if cause.to_string() == "panicked: oops"));
    });
}

#[test]
fn p48_a_declared_subscription_that_is_impossible_takes_the_others_back() {
    watchdog(|| {
        let runtime = Runtime::new();
        let producer = drawgate::producer(Quiet).name("numbers").runtime(&runtime).spawn().unwrap();
        let text = Port::<String>::bounded(1).name("text").runtime(&runtime).spawn().unwrap();
        let builder = || drawgate::for_each(|_: u64| ()).name("c").runtime(&runtime).subscribe_to(&producer);
        let bad = builder().subscribe_to_with(&producer, Subscribe::new().max_demand(2).min_demand(2)).spawn();
        assert_eq!(
            bad.unwrap_err().to_string(),
            "stage `c` could not subscribe: option `min_demand` must be below max_demand, which is 2, and was 2"
        );
        let wrong = builder().subscribe_to("text").spawn().unwrap_err();
        assert_eq!(wrong.to_string(), "stage `c` could not subscribe: `text` does not emit `u64`");
        assert!(producer.stats().consumers.is_empty() && text.stats().consumers.is_empty());
        builder().spawn().unwrap().stop(ExitReason::Normal, LONG).unwrap(); // the name is free
        producer.request_stop(ExitReason::Normal);
        text.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p48_terminate_runs_when_init_did_and_the_start_failed_after_it() {
    watchdog(|| {
        let producer = quiet();
        let (fails, told) = Fails::new("subscribe", false);
        let failed = drawgate::consumer(fails).name("p48-late").subscribe_to(&producer).spawn().unwrap_err();
        assert_eq!(failed.to_string(), "stage `p48-late` could not be initialised: no good at subscribe");
        assert_eq!(told.recv().unwrap(), "no good at subscribe");
        let (fine, told) = Fails::new("nowhere", false);
        let bad = Subscribe::new().max_demand(0);
        assert!(drawgate::consumer(fine).subscribe_to_with(&producer, bad).spawn().is_err());
        assert_eq!(told.recv().unwrap(), "shutdown");
        assert!(producer.stats().consumers.is_empty());
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p50_a_taken_name_is_an_error_that_names_the_holder() {
    watchdog(|| {
        let runtime = Runtime::new();
        let spawn = || drawgate::for_each(|_: u64| ()).name("taken").runtime(&runtime).spawn();
        let first = spawn().unwrap();
        let refused = spawn().unwrap_err();
        assert_eq!(refused.to_string(), "the name `taken` is taken by Consumer taken");
        let SpawnError::NameTaken { holder, .. } = refused else { panic!("{refused}") };
        holder.stop(ExitReason::Normal, LONG).unwrap();
        assert!(!first.is_alive());
        spawn().unwrap().stop(ExitReason::Normal, LONG).unwrap();
    });
}

#[test]
fn p50_a_name_is_taken_while_its_holder_starts_and_found_only_after() {
    watchdog(|| {
        let runtime = Runtime::new();
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let rt = runtime.clone();
        let starting = std::thread::spawn(move || {
            let slow = move || -> anyhow::Result<Starts> {
                begun.send(())?;
                let _ = going.recv();
                anyhow::bail!("in the end not")
            };
            drawgate::consumer_with(slow).name("slow").runtime(&rt).spawn()
        });
        begins.recv().unwrap();
        assert!(runtime.registry().stage("slow").is_none());
        let spawn = || drawgate::for_each(|_: u64| ()).name("slow").runtime(&runtime).spawn();
        let SpawnError::NameTaken { holder, .. } = spawn().unwrap_err() else { panic!("the name is free") };
        drop(go);
        assert!(starting.join().unwrap().is_err());
        assert!(holder.join_timeout(LONG).unwrap().is_some()); // whoever waits for it hears
        spawn().unwrap().stop(ExitReason::Normal, LONG).unwrap();
    });
}

#[test]
fn a_thread_that_cannot_be_spawned_is_an_error_that_names_the_stage_whose_name_is_free_again() {
    watchdog(|| {
        let runtime = Runtime::new();
        let (tell, dropped) = mpsc::channel();
        let guard = OnDrop(tell);
        let refused = drawgate::for_each(move |_: u64| _ = &guard)
            .name("huge")
            .runtime(&runtime)
            .stack_size(usize::MAX / 2)
            .spawn()
            .unwrap_err();
        assert!(matches!(&refused, SpawnError::Thread { stage, .. } if stage.to_string() == "huge"), "{refused}");
        assert!(refused.to_string().starts_with("no thread for stage `huge`: "), "{refused}");
        dropped.recv().unwrap(); // nothing is left of it
        let again = drawgate::for_each(|_: u64| ()).name("huge").runtime(&runtime).spawn().unwrap();
        again.stop(ExitReason::Normal, LONG).unwrap();
    });
}

#[test]
fn a_start_that_takes_too_long_is_an_error_and_the_stage_ends_when_it_can() {
    watchdog(|| {
        let runtime = Runtime::new();
        let (go, going) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let slow = move || {
            let _ = going.recv();
            Ok(Slow(OnDrop(tell)))
        };
        let late = drawgate::consumer_with(slow)
            .name("slow")
            .runtime(&runtime)
            .start_timeout(Duration::from_millis(1))
            .spawn()
            .unwrap_err();
        assert_eq!(late.to_string(), "stage `slow` was not initialised within 1ms");
        drop(go);
        told.recv().unwrap();
    });
}
struct Slow(#[allow(dead_code, reason = "what counts is when it is dropped")] OnDrop);
impl Consumer for Slow {
    type Event = u64;
    fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

#[test]
fn on_thread_start_runs_on_each_stages_thread_with_its_name() {
    watchdog(|| {
        let runtime = Runtime::new();
        let (tell, told) = mpsc::channel();
        runtime.on_thread_start(move |name| {
            assert_ne!(name.to_string(), "unlucky", "no core for it");
            let thread = std::thread::current().name().unwrap().to_string();
            tell.send((name.to_string(), thread)).unwrap();
        });
        let graph = drawgate::from_iter(0..3).name("numbers").parallel_map(2, |n| n).name("work").collect().name("all");
        assert_eq!(graph.runtime(&runtime).run().unwrap(), [0, 1, 2]);
        let seen: Vec<_> = told.try_iter().collect();
        assert_eq!(seen, ["numbers", "work-1", "work-2", "all"].map(|s| (s.to_string(), s.to_string())));
        let refused = drawgate::for_each(|_: u64| ()).name("unlucky").runtime(&runtime).spawn().unwrap_err();
        assert!(refused.to_string().contains("no core for it"), "{refused}");
    });
}

// ---- failures

/// Panics, or fails, in the callback of this name.
struct Fails {
    at: &'static str,
    panics: bool,
    ended: Option<Sender<String>>,
}
impl Fails {
    fn new(at: &'static str, panics: bool) -> (Self, Receiver<String>) {
        let (ended, told) = mpsc::channel();
        (Self { at, panics, ended: Some(ended) }, told)
    }
    fn reach(&mut self, at: &str) -> anyhow::Result<()> {
        match (self.at == at, self.panics) {
            (true, true) => panic!("oops at {at}"),
            (true, false) => anyhow::bail!("no good at {at}"),
            _ => Ok(()),
        }
    }
    fn end(&mut self, reason: &ExitReason) {
        if let Some(ended) = self.ended.take() {
            ended.send(reason.to_string()).unwrap();
        }
        let _ = self.reach("terminate");
    }
}
impl Producer for Fails {
    type Event = u64;
    fn handle_demand(&mut self, n: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        ctx.extend((0..).take(n.min(10)));
        self.reach("demand")
    }
    fn handle_subscribe(&mut self, _: &Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.reach("subscribe")
    }
    fn handle_cancel(&mut self, _: &Peer, _: &CancelReason, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.reach("cancel")
    }
    fn terminate(&mut self, reason: &ExitReason) {
        self.end(reason);
    }
}
impl Consumer for Fails {
    type Event = u64;
    fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.reach("events")
    }
    fn handle_done(&mut self, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.reach("done")
    }
    fn handle_subscribe(&mut self, _: &Peer, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.reach("subscribe")
    }
    fn handle_cancel(&mut self, _: &Peer, _: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.reach("cancel")
    }
    fn handle_notification(&mut self, _: &Notification, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.reach("notification")
    }
    fn terminate(&mut self, reason: &ExitReason) {
        self.end(reason);
    }
}

/// The failure a stage ends with.
fn failure(at: &str, panics: bool) -> String {
    if panics { format!("panicked: oops at {at}") } else { format!("no good at {at}") }
}

#[test]
fn p49_a_failure_in_any_callback_of_a_producer_is_its_reason_and_terminate_hears_it() {
    watchdog(|| {
        for (at, panics) in
            [("demand", true), ("demand", false), ("subscribe", true), ("cancel", true), ("cancel", false)]
        {
            let (fails, told) = Fails::new(at, panics);
            let producer = drawgate::producer(fails).spawn().unwrap();
            let consumer = sum();
            let subscription = consumer
                .subscribe_with(&producer, Subscribe::new().cancel(drawgate::stage::Cancel::Temporary))
                .unwrap();
            if at == "cancel" {
                subscription.cancel();
            }
            assert_eq!(producer.join().unwrap_err().reason.to_string(), failure(at, panics));
            assert_eq!(told.recv().unwrap(), failure(at, panics));
            consumer.call(|_, _| ()).unwrap(); // nobody else
            consumer.request_stop(ExitReason::Normal);
        }
    });
}

#[test]
fn p49_a_failure_in_any_callback_of_a_consumer_is_its_reason_and_terminate_hears_it() {
    watchdog(|| {
        for at in ["events", "notification", "done", "cancel", "subscribe"] {
            for panics in [true, false] {
                let producer = quiet();
                let (fails, told) = Fails::new(at, panics);
                let consumer = drawgate::consumer(fails).spawn().unwrap();
                let subscription = consumer.subscribe(&producer).unwrap();
                match at {
                    "events" => producer.call(|_, ctx| ctx.emit(1)).unwrap(),
                    "notification" => producer.notify(&Notification::Done).unwrap(),
                    "done" => producer.call(|_, ctx| ctx.done()).unwrap(),
                    "cancel" => subscription.cancel(),
                    _ => {}
                }
                assert_eq!(consumer.join().unwrap_err().reason.to_string(), failure(at, panics));
                assert_eq!(told.recv().unwrap(), failure(at, panics));
                if at != "done" {
                    producer.call(|_, _| ()).unwrap(); // nobody else
                }
                producer.request_stop(ExitReason::Normal);
            }
        }
    });
}

#[test]
fn p49_a_panic_in_terminate_is_the_reason_unless_there_was_a_failure_before() {
    watchdog(|| {
        let (fails, _told) = Fails::new("terminate", true);
        let stage = drawgate::consumer(fails).spawn().unwrap();
        stage.request_stop(ExitReason::Normal);
        assert_eq!(stage.join().unwrap_err().reason.to_string(), "panicked: oops at terminate");

        let (fails, _told) = Fails::new("terminate", true);
        let stage = drawgate::consumer(fails).spawn().unwrap();
        stage.cast(|_, _| panic!("oops at first"));
        assert_eq!(stage.join().unwrap_err().reason.to_string(), "panicked: oops at first");
    });
}

#[test]
fn p49_a_panic_in_a_call_ends_the_stage_and_the_caller_hears() {
    watchdog(|| {
        let sum = sum();
        let caller = sum.call_timeout(LONG, |_, _| panic!("oops {}", 7)).unwrap_err();
        assert!(matches!(caller, CallError::Ended { .. }), "{caller:?}");
        assert_eq!(sum.join().unwrap_err().reason.to_string(), "panicked: oops 7");
    });
}

#[test]
fn p49_the_process_the_registry_and_the_timer_go_on_after_a_panic() {
    watchdog(|| {
        let runtime = Runtime::new();
        let panics = |port: &Port<u64>| {
            drawgate::for_each(|n: u64| assert_ne!(n, 13)).name("reads").runtime(&runtime).subscribe_to(port).spawn()
        };
        let port = Port::bounded(8).name("numbers").runtime(&runtime).spawn().unwrap();
        let first = panics(&port).unwrap();
        port.push(13).unwrap();
        assert!(first.join().is_err());
        // The name is free for a successor, which the port serves; the timer still fires.
        let second = panics(&port).unwrap();
        runtime.registry().push("numbers", 1_u64).unwrap();
        runtime.registry().push_after("numbers", 2_u64, Duration::from_millis(1)).unwrap();
        port.close();
        second.join().unwrap();
        assert_eq!(second.stats().events_in, 2);
    });
}

/// An event, or a state, whose drop panics.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);
impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("a drop that panics");
    }
}

/// Emits bombs when called.
struct Bombs;
impl Producer for Bombs {
    type Event = Bomb;
    fn handle_demand(&mut self, _: usize, _: &mut Context<'_, Bomb>) -> anyhow::Result<()> {
        Ok(())
    }
}
fn plant<S: 'static>(producer: &Handle<Nothing, Bomb, S>, dropped: &Arc<AtomicUsize>, n: usize) {
    let dropped = dropped.clone();
    producer.call(move |_, ctx| ctx.extend((0..n).map(|_| Bomb(dropped.clone())))).unwrap();
}

#[test]
fn a_drop_that_panics_in_a_handler_is_that_stages_failure() {
    watchdog(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let producer = drawgate::producer(Bombs).spawn().unwrap();
        plant(&producer, &dropped, 3);
        let consumer = drawgate::for_each(|bomb: Bomb| drop(bomb)).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(consumer.join().unwrap_err().reason.to_string(), "panicked: a drop that panics");
        producer.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!((dropped.load(SeqCst), producer.stats().lost), (3, 3));
    });
}

/// Handles a slice by looking at it.
struct Looks;
impl Consumer for Looks {
    type Event = Bomb;
    fn handle_events(&mut self, _: Events<'_, Bomb>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

#[test]
fn drops_that_panic_when_a_slice_was_handled_untaken_end_the_stage_and_not_the_process() {
    watchdog(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let producer = drawgate::producer(Bombs).spawn().unwrap();
        plant(&producer, &dropped, 3);
        let consumer = drawgate::consumer(Looks).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(consumer.join().unwrap_err().reason.to_string(), "panicked: a drop that panics");
        producer.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!(dropped.load(SeqCst), 3);
    });
}

#[test]
fn drops_that_panic_of_discarded_events_keep_nobody_from_ending() {
    watchdog(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let producer = drawgate::producer(Bombs).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let [a, b] = [(), ()].map(|()| drawgate::consumer(Looks).spawn().unwrap());
        let busy = [occupy(&a), occupy(&b)];
        for consumer in [&a, &b] {
            consumer.subscribe_with(&producer, Subscribe::new().manual()).unwrap().ask(3).unwrap();
        }
        plant(&producer, &dropped, 3);
        // Their lanes are dropped with them.
        a.request_stop(ExitReason::Normal);
        b.request_stop(ExitReason::Normal);
        drop(busy);
        a.join().unwrap();
        b.join().unwrap();
        producer.call(|_, _| ()).unwrap();
        producer.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!((dropped.load(SeqCst), producer.stats().discarded), (6, 6));
    });
}

#[test]
fn drops_that_panic_of_a_full_buffers_events_are_counted_and_harm_nobody() {
    watchdog(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let producer = drawgate::producer(Bombs).buffer_size(1).spawn().unwrap();
        plant(&producer, &dropped, 4);
        assert_eq!((dropped.load(SeqCst), producer.stats().discarded), (3, 3));
        producer.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!((dropped.load(SeqCst), producer.stats().lost), (4, 1));
    });
}

#[test]
fn drops_that_panic_of_what_a_failed_callback_emitted_leave_its_reason() {
    watchdog(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let producer = drawgate::producer(Bombs).spawn().unwrap();
        let fuse = dropped.clone();
        producer.cast(move |_, ctx| {
            ctx.extend((0..3).map(|_| Bomb(fuse.clone())));
            panic!("oops");
        });
        assert_eq!(producer.join().unwrap_err().reason.to_string(), "panicked: oops");
        assert_eq!((dropped.load(SeqCst), producer.stats().lost), (3, 3));
    });
}

#[test]
fn a_state_whose_drop_panics_keeps_nobody_waiting() {
    watchdog(|| {
        struct State(#[allow(dead_code, reason = "for its drop")] Bomb);
        impl Consumer for State {
            type Event = u64;
            fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
                Ok(())
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let fuse = dropped.clone();
        let stage = drawgate::consumer_with(move || Ok(State(Bomb(fuse)))).spawn().unwrap();
        stage.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!(dropped.load(SeqCst), 1);
    });
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_is_still_a_reason() {
    watchdog(|| {
        let sum = sum();
        sum.cast(|_, _| std::panic::panic_any(Bomb(Arc::default())));
        assert_eq!(sum.join().unwrap_err().reason.to_string(), "panicked: a panic whose payload is not text");
    });
}

#[test]
fn errors_name_the_stage_and_keep_the_cause() {
    watchdog(|| {
        let words = drawgate::from_iter(["1", "x"]).spawn().unwrap();
        let check = drawgate::try_for_each(|s: &str| {
            s.parse::<i32>()?;
            Ok(())
        })
        .name("errors-name")
        .subscribe_to(&words)
        .spawn()
        .unwrap();
        let failed = check.join().unwrap_err();
        assert_eq!(failed.to_string(), "stage `errors-name`: invalid digit found in string");
        let ExitReason::Error(cause) = failed.reason else { panic!("{failed}") };
        assert!(cause.downcast_ref::<std::num::ParseIntError>().is_some());
    });
}

// ---- iterators

#[test]
fn p51_from_iter_ends_with_its_iterator() {
    watchdog(|| {
        let numbers = drawgate::from_iter(0..5_u64).spawn().unwrap();
        let all = drawgate::fold(Vec::new(), |all, n: u64| all.push(n)).subscribe_to(&numbers).spawn().unwrap();
        assert_eq!(all.finish().unwrap(), [0, 1, 2, 3, 4]);
        numbers.join().unwrap();
        assert!(matches!(numbers.exit_reason(), Some(ExitReason::Done)));
    });
}

#[test]
fn p51_from_iter_pulls_no_more_than_was_asked() {
    watchdog(|| {
        let (runtime, clock) = drawgate::testing::runtime();
        let (pulls, pulled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, endless) = (pulls.clone(), std::iter::repeat(0_u64));
        let numbers = drawgate::from_iter(endless.inspect(move |_| _ = count.fetch_add(1, SeqCst)))
            .runtime(&runtime)
            .spawn()
            .unwrap();
        clock.settle();
        assert_eq!(pulls.load(SeqCst), 0, "nobody has subscribed");
        let count = pulled.clone();
        let consumer =
            drawgate::for_each(move |_: u64| _ = count.fetch_add(1, SeqCst)).runtime(&runtime).spawn().unwrap();
        let subscription = consumer.subscribe_with(&numbers, Subscribe::new().manual()).unwrap();
        clock.settle();
        assert_eq!(pulls.load(SeqCst), 0, "nobody has asked");
        for asked in [3, 1, 2] {
            let before = pulls.load(SeqCst);
            subscription.ask(asked).unwrap();
            clock.settle();
            assert_eq!(pulls.load(SeqCst) - before, asked);
        }
        assert_eq!(pulled.load(SeqCst), 6);
        consumer.request_stop(ExitReason::Normal);
        numbers.join().unwrap();
    });
}

#[test]
fn p51_from_iter_stops_when_its_last_consumer_left() {
    watchdog(|| {
        let (tell, dropped) = mpsc::channel();
        let guard = OnDrop(tell);
        let numbers =
            drawgate::from_iter(std::iter::from_fn(move || Some(std::mem::size_of_val(&guard)))).spawn().unwrap();
        let [a, b] = [(), ()].map(|()| drawgate::for_each(|_: usize| ()).subscribe_to(&numbers).spawn().unwrap());
        a.stop(ExitReason::Normal, LONG).unwrap();
        assert!(numbers.is_alive());
        b.stop(ExitReason::Normal, LONG).unwrap();
        numbers.join().unwrap();
        assert!(matches!(numbers.exit_reason(), Some(ExitReason::Done)));
        dropped.recv().unwrap();
    });
}

#[test]
fn p51_an_iterator_that_panics_is_a_failure_and_not_an_end() {
    watchdog(|| {
        let numbers = drawgate::from_iter((0..10).inspect(|n| assert_ne!(*n, 3, "oops"))).spawn().unwrap();
        let all = drawgate::fold(0, |n, _: i32| *n += 1).subscribe_to(&numbers).spawn().unwrap();
        let failed = numbers.join().unwrap_err();
        assert!(failed.reason.to_string().contains("oops"), "{failed}");
        // Its consumer gets what came before, and hears that it was no end.
        assert!(all.join().unwrap_err().reason.to_string().contains("oops"));
        assert_eq!(all.stats().events_in, 3);
    });
}

#[test]
fn a_source_serves_calls_while_it_waits_for_demand_and_is_stopped_without_failure() {
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let numbers = drawgate::source(move |out| {
            tell.send(format!("{:?}", out.emit(0)))?;
            let stopped = out.emit(1);
            tell.send(format!("{stopped:?}"))?;
            Ok(stopped?)
        })
        .spawn()
        .unwrap();
        assert_eq!(numbers.call(|(), ctx| ctx.is_stopping()).ok(), Some(false)); // nobody has asked yet
        assert!(told.try_recv().is_err());
        let consumer = drawgate::for_each(|_: i32| ()).spawn().unwrap();
        let subscription = consumer.subscribe_with(&numbers, Subscribe::new().manual()).unwrap();
        subscription.ask(1).unwrap();
        assert_eq!(told.recv().unwrap(), "Ok(())");
        numbers.call(|(), _| ()).unwrap(); // it waits again
        numbers.stop(ExitReason::Normal, LONG).unwrap();
        assert_eq!(told.recv().unwrap(), "Err(Stopped)");
        assert!(matches!(numbers.exit_reason(), Some(ExitReason::Normal)));
        consumer.join().unwrap();
    });
}

#[test]
fn a_wrong_name_or_type_is_a_typed_error_that_names_it() {
    watchdog(|| {
        let runtime = Runtime::new();
        let port = Port::<String>::bounded(1).name("text").runtime(&runtime).spawn().unwrap();
        let sum = drawgate::fold(0, |sum, n: u64| *sum += n).name("sum").runtime(&runtime).spawn().unwrap();
        assert!(
            matches!(sum.subscribe("nobody"), Err(SubscribeError::NoProducer { name }) if name.to_string() == "nobody")
        );
        assert_eq!(sum.subscribe("text").unwrap_err().to_string(), "`text` does not emit `u64`");
        assert_eq!(sum.subscribe("sum").unwrap_err().to_string(), "`sum` does not emit `u64`"); // it emits nothing
        for (options, message) in [
            (Subscribe::new().max_demand(0), "option `max_demand` must be at least 1, and was 0"),
            (
                Subscribe::new().max_demand(3).min_demand(4),
                "option `min_demand` must be below max_demand, which is 3, and was 4",
            ),
        ] {
            assert_eq!(
                sum.subscribe_with("numbers", options.clone()).unwrap_err().to_string(),
                "nothing is named `numbers`"
            );
            let numbers = drawgate::producer(Quiet).runtime(&runtime).spawn().unwrap();
            assert_eq!(sum.subscribe_with(&numbers, options).unwrap_err().to_string(), message);
            assert!(numbers.stats().consumers.is_empty());
            numbers.request_stop(ExitReason::Normal);
        }
        sum.request_stop(ExitReason::Normal);
        port.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p45_every_call_is_answered_or_fails_whenever_the_stage_ends() {
    watchdog(|| {
        for _ in 0..200 {
            let sum = sum();
            let start = Arc::new(Barrier::new(3));
            let callers: Vec<_> = (0..2)
                .map(|i| {
                    let (sum, start) = (sum.clone(), start.clone());
                    std::thread::spawn(move || {
                        start.wait();
                        match i {
                            0 => sum.call_timeout(LONG, |_, _| ()),
                            _ => sum.call_deferred(LONG, |_, reply, _| reply.send(())),
                        }
                    })
                })
                .collect();
            start.wait();
            sum.request_stop(ExitReason::Normal);
            for caller in callers {
                let outcome = caller.join().unwrap();
                assert!(matches!(outcome, Ok(()) | Err(CallError::Ended { .. })), "{outcome:?}");
            }
        }
    });
}

#[test]
fn stats_say_what_a_stage_does_also_while_it_is_stuck() {
    use drawgate::stage::Doing;
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let ((go, gate), (stuck, is_stuck)) = (mpsc::channel::<()>(), mpsc::channel());
        let stage = drawgate::for_each(move |_: u64| {
            stuck.send(()).unwrap();
            let _ = gate.recv();
        })
        .subscribe_to(&port)
        .spawn()
        .unwrap();
        until(|| stage.stats().doing == Doing::Waiting);
        port.push(1).unwrap();
        is_stuck.recv().unwrap();
        assert_eq!(stage.stats().doing, Doing::HandleEvents);
        drop(go);
        let ((go, gate), (stuck, is_stuck)) = (mpsc::channel::<()>(), mpsc::channel());
        stage.cast(move |(), _| {
            stuck.send(()).unwrap();
            let _ = gate.recv();
        });
        is_stuck.recv().unwrap();
        assert_eq!(stage.stats().doing, Doing::Call);
        drop(go);
        port.close();
        stage.join().unwrap();
        assert_eq!(stage.stats().doing, Doing::Ended);
    });
}

// ---- by name

#[test]
fn p44_a_stage_is_called_by_its_name() {
    watchdog(|| {
        let rt = Runtime::new();
        let sum = drawgate::fold(0_u64, |sum, n: u32| *sum += u64::from(n)).name("sum").runtime(&rt).spawn().unwrap();
        let port = Port::<u32>::bounded(1).name("port").runtime(&rt).spawn().unwrap();
        let found: Handle<u32, Nothing, u64> = rt.registry().handle("sum").unwrap();
        assert_eq!(
            found
                .call(|sum, _| {
                    *sum += 40;
                    *sum
                })
                .unwrap(),
            40
        );
        found.subscribe(&port).unwrap();
        port.push(2).unwrap();
        port.close();
        assert_eq!(sum.finish().unwrap(), 42);
        let gone = rt.registry().handle::<u32, Nothing, u64>("sum").unwrap_err();
        assert_eq!(gone.to_string(), "nothing is named `sum`");
    });
}

#[test]
fn p44_a_name_with_other_types_is_an_error_that_says_so() {
    watchdog(|| {
        let rt = Runtime::new();
        let sum = drawgate::fold(0_u64, |sum, n: u32| *sum += u64::from(n)).name("sum").runtime(&rt).spawn().unwrap();
        let port = Port::<u32>::bounded(1).name("port").runtime(&rt).spawn().unwrap();
        let wrong = rt.registry().handle::<u32, Nothing, u32>("sum").unwrap_err();
        assert!(matches!(wrong, CallError::WrongType { .. }) && wrong.to_string().contains("`sum` is no"), "{wrong}");
        assert!(matches!(rt.registry().handle::<u32, Nothing, ()>("port"), Err(CallError::WrongType { .. })));
        sum.request_stop(ExitReason::Normal);
        port.close();
    });
}
