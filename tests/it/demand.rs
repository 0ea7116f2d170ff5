//! How much is asked for, in which slices it comes, and what a producer-consumer makes of both.

use crate::support::{Counting, Quiet, Telling, until, watchdog};
use drawgate::prelude::*;
use drawgate::stage::Cancel;
use drawgate::{Nothing, SpawnError, SubscribeError, Upstream};
use std::sync::mpsc;

/// The lengths of the first `n` slices of a consumer with these options, over a counting producer.
fn lengths(options: Subscribe<u64>, n: usize) -> Vec<usize> {
    watchdog(move || {
        let producer = drawgate::producer(Counting::new().0).spawn().unwrap();
        let (telling, slices) = Telling::new();
        drawgate::consumer(telling).subscribe_to_with(&producer, options).spawn().unwrap();
        slices.iter().take(n).map(|slice| slice.len()).collect()
    })
}

#[test]
fn p1_by_default_1000_are_asked_for_and_come_in_slices_of_500() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (telling, slices) = Telling::new();
        drawgate::consumer(telling).subscribe_to(&producer).spawn().unwrap();
        assert_eq!(demands.recv().unwrap(), 1000);
        assert_eq!(slices.recv().unwrap(), (0..500).collect::<Vec<_>>());
        assert_eq!(slices.recv().unwrap(), (500..1000).collect::<Vec<_>>());
    });
}

#[test]
fn p2_100_and_80_give_slices_of_20() {
    assert_eq!(lengths(Subscribe::new().max_demand(100).min_demand(80), 20), [20; 20]);
}

#[test]
fn p2_100_and_20_give_slices_of_80_and_20_of_the_first_hundred() {
    assert_eq!(lengths(Subscribe::new().max_demand(100).min_demand(20), 2), [80, 20]);
}

#[test]
fn p2_1_and_0_give_events_one_by_one() {
    assert_eq!(lengths(Subscribe::new().max_demand(1).min_demand(0), 10), [1; 10]);
    assert_eq!(lengths(Subscribe::new().max_demand(1), 10), [1; 10], "0 is the default minimum of 1");
}

#[test]
fn p3_a_consumer_busy_with_its_first_slice_has_caused_one_grant_of_its_maximum() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (telling, slices, _gate) = Telling::gated();
        let options = Subscribe::new().max_demand(100).min_demand(50);
        drawgate::consumer(telling).subscribe_to_with(&producer, options).spawn().unwrap();
        assert_eq!(slices.recv().unwrap().len(), 50);
        producer.call(|_, _| ()).unwrap(); // it has emitted what it was asked for
        assert_eq!(producer.buffered(), 50);
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [100]);
    });
}

#[test]
fn p3_trickled_events_are_not_asked_for_again_one_by_one() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let (quiet, demands) = Quiet::new();
        let producer = drawgate::producer(quiet).runtime(&rt).spawn().unwrap();
        let (telling, slices) = Telling::new();
        let options = Subscribe::new().max_demand(10).min_demand(5);
        drawgate::consumer(telling).runtime(&rt).subscribe_to_with(&producer, options).spawn().unwrap();
        clock.settle();
        let trickle = |n| {
            for event in 0..n {
                producer.call(move |_, ctx| ctx.emit(event)).unwrap();
                assert_eq!(slices.recv().unwrap(), [event]);
            }
            clock.settle();
            demands.try_iter().collect::<Vec<_>>()
        };
        assert_eq!(trickle(4), [10]);
        assert_eq!(trickle(1), [5], "in flight has fallen to the minimum");
        assert_eq!(trickle(4), [0; 0]);
        assert_eq!(trickle(1), [5]);
    });
}

/// Tries to subscribe with bad options, in both ways, and returns what was said.
fn refused(options: Subscribe<u64>) -> String {
    watchdog(move || {
        let (rt, clock) = drawgate::testing::runtime();
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).runtime(&rt).spawn().unwrap();

        let declared = drawgate::for_each(|_: u64| ()).runtime(&rt).subscribe_to_with(&producer, options.clone());
        let Err(SpawnError::Subscribe { cause: SubscribeError::BadOption(at_start), .. }) = declared.spawn() else {
            panic!("started with {options:?}");
        };
        let consumer = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
        let Err(SubscribeError::BadOption(later)) = consumer.subscribe_with(&producer, options) else {
            panic!("subscribed");
        };
        assert_eq!(at_start, later);

        clock.settle();
        assert!(producer.stats().consumers.is_empty(), "nothing was subscribed");
        assert!(demands.try_recv().is_err(), "nothing was asked for");
        consumer.call(|_, _| ()).expect("the consumer is as it was");
        later.to_string()
    })
}

#[test]
fn p4_a_maximum_of_0_is_refused() {
    assert_eq!(refused(Subscribe::new().max_demand(0)), "option `max_demand` must be at least 1, and was 0");
}

#[test]
fn p4_a_minimum_that_is_not_below_the_maximum_is_refused() {
    for min in [10, 11] {
        assert_eq!(
            refused(Subscribe::new().max_demand(10).min_demand(min)),
            format!("option `min_demand` must be below max_demand, which is 10, and was {min}")
        );
    }
}

#[test]
fn p5_a_producer_without_subscriber_is_asked_for_nothing() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).runtime(&rt).spawn().unwrap();
        clock.settle();
        assert!(demands.try_recv().is_err());

        // Nor when its last one has left.
        let (telling, _) = Telling::new();
        let consumer = drawgate::consumer(telling).runtime(&rt).spawn().unwrap();
        let subscription = consumer.subscribe_with(&producer, Subscribe::new().manual()).unwrap();
        subscription.cancel();
        clock.settle();
        producer.call(|_, ctx| ctx.emit(0)).unwrap();
        clock.settle();
        assert!(demands.try_recv().is_err());
    });
}

/// Tells which producer each slice is from, and waits for a permit before it handles the next.
struct Whence {
    told: mpsc::Sender<(String, Vec<u64>)>,
    gate: mpsc::Receiver<()>,
}

impl Consumer for Whence {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let producer = events.subscription().producer().to_string();
        if self.told.send((producer, events.into_vec())).is_err() {
            ctx.stop(ExitReason::Normal);
        }
        let _ = self.gate.recv(); // an error: the gate is open for good
        Ok(())
    }
}

/// A producer that counts, under this name.
fn counting(rt: &Runtime, name: &'static str) -> (Handle<Nothing, u64, Counting>, mpsc::Receiver<usize>) {
    let (counting, demands) = Counting::new();
    (drawgate::producer(counting).name(name).runtime(rt).spawn().unwrap(), demands)
}

/// A consumer of two producers, what it tells, and its gate.
type Fed = (Handle<u64, Nothing, Whence>, mpsc::Receiver<(String, Vec<u64>)>, mpsc::Sender<()>);

fn fed_by(rt: &Runtime, a: &impl Upstream<u64>, b: &impl Upstream<u64>) -> Fed {
    let ((told, slices), (go, gate)) = (mpsc::channel(), mpsc::channel());
    let consumer = drawgate::consumer(Whence { told, gate })
        .runtime(rt)
        .subscribe_to_with(a, Subscribe::new().max_demand(4).min_demand(3))
        .subscribe_to_with(b, Subscribe::new().max_demand(5).min_demand(4))
        .spawn()
        .unwrap();
    (consumer, slices, go)
}

#[test]
fn p6_demand_and_slices_of_two_producers_are_kept_apart() {
    watchdog(|| {
        let rt = Runtime::new();
        let ((a, told_a), (b, told_b)) = (counting(&rt, "a"), counting(&rt, "b"));
        let (_consumer, slices, go) = fed_by(&rt, &a, &b);
        assert_eq!((told_a.recv().unwrap(), told_b.recv().unwrap()), (4, 5));
        drop(go);
        let (of_a, of_b): (Vec<_>, Vec<_>) = slices.iter().take(100).partition(|(from, _)| from == "a");
        for of_one in [of_a, of_b] {
            let events: Vec<u64> = of_one.into_iter().flat_map(|(_, slice)| slice).collect();
            assert_eq!(events, (0..events.len() as u64).collect::<Vec<_>>());
        }
    });
}

#[test]
fn p6_a_slow_producer_does_not_hold_back_another() {
    watchdog(|| {
        let rt = Runtime::new();
        let ((a, _), (quiet, told)) = (counting(&rt, "a"), Quiet::new());
        let slow = drawgate::producer(quiet).name("slow").runtime(&rt).spawn().unwrap();
        let (_consumer, slices, go) = fed_by(&rt, &a, &slow);
        drop(go);
        assert_eq!(told.recv().unwrap(), 5);
        assert_eq!(slices.iter().take(100).filter(|(from, _)| from == "a").count(), 100);
        assert!(told.try_recv().is_err(), "it owes what it was asked for, and is asked for no more");
    });
}

/// Two producers, and a consumer of both in its first slice while events of both stand.
fn two_busy(rt: &Runtime) -> Fed {
    let ((a, told_a), (b, told_b)) = (counting(rt, "a"), counting(rt, "b"));
    let fed = fed_by(rt, &a, &b);
    // Both have answered their first demand, in full.
    assert_eq!((told_a.recv().unwrap(), told_b.recv().unwrap()), (4, 5));
    a.call(|_, _| ()).unwrap();
    b.call(|_, _| ()).unwrap();
    fed
}

#[test]
fn p6_a_busy_producer_does_not_starve_another() {
    watchdog(|| {
        let (_consumer, slices, go) = two_busy(&Runtime::new());
        let mut turns = Vec::new();
        for _ in 0..6 {
            turns.push(slices.recv().unwrap().0);
            go.send(()).unwrap();
        }
        assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
    });
}

#[test]
fn p6_a_busy_producer_does_not_starve_another_when_calls_come_between() {
    watchdog(|| {
        let (consumer, slices, go) = two_busy(&Runtime::new());
        let mut turns = Vec::new();
        for _ in 0..6 {
            turns.push(slices.recv().unwrap().0);
            consumer.cast(|_, _| ()); // runs before the next slice
            go.send(()).unwrap();
        }
        assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
    });
}

#[test]
fn p7_two_subscriptions_of_one_pair_are_each_its_own() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (telling, slices) = Telling::new();
        let consumer = drawgate::consumer(telling).spawn().unwrap();
        let manual = || Subscribe::new().manual().cancel(Cancel::Temporary);
        let one = consumer.subscribe_with(&producer, manual()).unwrap();
        let two = consumer.subscribe_with(&producer, manual()).unwrap();
        assert_ne!(one, two);
        let take = |n: usize| slices.iter().flatten().take(n).collect::<Vec<_>>();

        one.ask(2).unwrap();
        assert_eq!((demands.recv().unwrap(), take(2)), (2, vec![0, 1]));
        two.ask(3).unwrap();
        assert_eq!((demands.recv().unwrap(), take(3)), (3, vec![2, 3, 4]));

        one.cancel();
        assert!(!one.is_active() && two.is_active());
        assert!(matches!(one.ask(1), Err(SubscribeError::Ended { .. })));
        two.ask(1).unwrap();
        assert_eq!((demands.recv().unwrap(), take(1)), (1, vec![5]));
    });
}

#[test]
fn p7_the_demand_of_two_subscriptions_of_one_pair_adds_up() {
    watchdog(|| {
        let (rt, (quiet, demands)) = (Runtime::new(), Quiet::new());
        let producer = drawgate::producer(quiet).runtime(&rt).spawn().unwrap();
        drawgate::for_each(|_: u64| ())
            .runtime(&rt)
            .subscribe_to_with(&producer, Subscribe::new().max_demand(10))
            .subscribe_to_with(&producer, Subscribe::new().max_demand(7))
            .spawn()
            .unwrap();
        let mut told = 0;
        while told < 17 {
            told += demands.recv().unwrap();
        }
        assert_eq!(told, 17);
    });
}

/// A doubling stage that tells its slices.
struct Doubling(mpsc::Sender<Vec<u64>>);

impl ProducerConsumer for Doubling {
    type In = u64;
    type Out = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        let _ = self.0.send(events.as_slice().to_vec());
        ctx.extend(events.map(|n| 2 * n));
        Ok(())
    }
}

#[test]
fn p10_a_doubling_stage_gives_its_consumer_doubled_events_in_order() {
    for upstream_first in [true, false] {
        watchdog(move || {
            let producer = drawgate::producer(Counting::new().0).spawn().unwrap();
            let (told, drawn) = mpsc::channel();
            let doubling = drawgate::producer_consumer(Doubling(told)).spawn().unwrap();
            let (telling, slices) = Telling::new();
            let consumer = drawgate::consumer(telling).spawn().unwrap();
            let up = || doubling.subscribe_with(&producer, Subscribe::new().max_demand(100).min_demand(80)).unwrap();
            let down = || consumer.subscribe_with(&doubling, Subscribe::new().max_demand(100).min_demand(50)).unwrap();
            match upstream_first {
                true => (up(), down()),
                false => {
                    let down = down();
                    (up(), down)
                }
            };
            assert_eq!(drawn.recv().unwrap(), (0..20).collect::<Vec<_>>());
            let events: Vec<u64> = slices.iter().flatten().take(1000).collect();
            assert_eq!(events, (0..1000).map(|n| 2 * n).collect::<Vec<_>>());
        });
    }
}

#[test]
fn p11_a_stage_whose_consumer_stopped_asking_leaves_at_most_its_maximum_standing_upstream() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).runtime(&rt).spawn().unwrap();
        let stage = drawgate::map(|n: u64| n)
            .runtime(&rt)
            .subscribe_to_with(&producer, Subscribe::new().max_demand(10).min_demand(5))
            .spawn()
            .unwrap();
        let (telling, slices) = Telling::new();
        let consumer = drawgate::consumer(telling).runtime(&rt).spawn().unwrap();
        let subscription = consumer.subscribe_with(&stage, Subscribe::new().manual()).unwrap();

        clock.settle();
        assert_eq!((producer.buffered(), stage.stats().events_in), (10, 0), "it has asked, and draws nothing");

        subscription.ask(5).unwrap(); // one slice
        assert_eq!(slices.iter().flatten().take(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        clock.settle();
        assert_eq!((producer.buffered(), stage.stats().events_in), (10, 5));
        assert_eq!(demands.try_iter().sum::<usize>(), 15);

        // What stands there a sibling may take.
        let (telling, slices) = Telling::new();
        let sibling = drawgate::consumer(telling).runtime(&rt).spawn().unwrap();
        sibling.subscribe_with(&producer, Subscribe::new().manual()).unwrap().ask(10).unwrap();
        assert_eq!(slices.iter().flatten().take(10).collect::<Vec<_>>(), (5..15).collect::<Vec<_>>());
    });
}

#[test]
fn p12_a_stage_that_emits_nothing_for_its_input_keeps_asking() {
    watchdog(|| {
        let producer = drawgate::producer(Counting::new().0).spawn().unwrap();
        let rare = drawgate::filter(|n: &u64| n % 10_000 == 9_999)
            .subscribe_to_with(&producer, Subscribe::new().max_demand(100))
            .spawn()
            .unwrap();
        let (telling, slices) = Telling::new();
        let consumer = drawgate::consumer(telling).spawn().unwrap();
        consumer.subscribe_with(&rare, Subscribe::new().max_demand(1)).unwrap();
        assert_eq!(slices.iter().take(2).collect::<Vec<_>>(), [[9_999], [19_999]]);
    });
}

#[test]
fn p12_surplus_is_kept_in_order_without_bound() {
    const MANY: u64 = 25_000; // beyond the bound that a producer's buffer has
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let producer = drawgate::producer(Counting::new().0).runtime(&rt).spawn().unwrap();
        let many = drawgate::flat_map(|n: u64| n * MANY..(n + 1) * MANY)
            .runtime(&rt)
            .subscribe_to_with(&producer, Subscribe::new().max_demand(1))
            .spawn()
            .unwrap();
        let (telling, slices) = Telling::new();
        let consumer = drawgate::consumer(telling).runtime(&rt).spawn().unwrap();
        let subscription = consumer.subscribe_with(&many, Subscribe::new().manual()).unwrap();

        subscription.ask(1).unwrap();
        assert_eq!(slices.recv().unwrap(), [0]);
        clock.settle();
        assert_eq!((many.buffered() as u64, many.stats().events_in), (MANY - 1, 1), "one slice for one ask");

        subscription.ask(2 * MANY as usize - 1).unwrap();
        let events: Vec<u64> = slices.iter().flatten().take(2 * MANY as usize - 1).collect();
        assert_eq!(events, (1..2 * MANY).collect::<Vec<_>>());
        assert_eq!(many.stats().discarded, 0);
    });
}

#[test]
fn p13_a_stage_handles_what_its_producer_left_before_it_hears_of_the_end() {
    for failed in [false, true] {
        watchdog(move || {
            let producer = drawgate::producer(Quiet::new().0).name(format!("p13-{failed}")).spawn().unwrap();
            let stage = drawgate::map(|n: u64| n).subscribe_to(&producer).spawn().unwrap();
            let (telling, slices) = Telling::new();
            let consumer = drawgate::consumer(telling).spawn().unwrap();
            // Without demand the stage's gate is closed, so that all of it stands when the producer ends.
            let subscription = consumer.subscribe_with(&stage, Subscribe::new().manual()).unwrap();
            let reason = if failed { ExitReason::error(anyhow::anyhow!("worn out")) } else { ExitReason::Done };
            producer
                .call(move |_, ctx| {
                    ctx.extend(0..10);
                    ctx.stop(reason);
                })
                .unwrap();
            assert_eq!(producer.join().is_err(), failed);
            stage.call(|_, _| ()).expect("it has heard of nothing yet");

            subscription.ask(10).unwrap();
            assert_eq!(slices.iter().flatten().take(10).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            let end = stage.monitor().recv().unwrap();
            assert_eq!(end.to_string(), if failed { "worn out" } else { "done" });
            let end = consumer.monitor().recv().unwrap();
            assert_eq!(end.to_string(), if failed { "worn out" } else { "done" });
        });
    }
}

#[test]
fn p14_an_event_for_a_stage_whose_gate_has_closed_goes_to_its_sibling() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let port = Port::bounded(8).runtime(&rt).spawn().unwrap();
        let one_by_one = || Subscribe::new().max_demand(1);
        let stages: Vec<_> = (0..2)
            .map(|_| drawgate::map(|n: u64| n).runtime(&rt).subscribe_to_with(&port, one_by_one()).spawn().unwrap())
            .collect();
        // Each has two consumers, of which one alone asks. When that one leaves, the gate closes and nobody tells the
        // stage, which goes on sleeping as hungry.
        let asking: Vec<_> = stages
            .iter()
            .map(|stage| {
                let idle = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
                idle.subscribe_with(stage, Subscribe::new().manual()).unwrap();
                let consumer = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
                let options = Subscribe::new().manual().cancel(Cancel::Temporary);
                let subscription = consumer.subscribe_with(stage, options).unwrap();
                subscription.ask(10).unwrap();
                subscription
            })
            .collect();
        let handled = || [stages[0].stats().events_in, stages[1].stats().events_in];

        clock.settle();
        port.push(0).unwrap();
        clock.settle();
        // Who did not get this one has been hungry longest, and is woken for the next.
        let next = handled().iter().position(|n| *n == 0).unwrap();
        asking[next].cancel();
        port.push(1).unwrap();
        clock.settle();
        let mut expected = [2, 2];
        expected[next] = 0;
        assert_eq!(handled(), expected);
        assert_eq!(port.port_stats().size, 0);
    });
}

#[test]
fn p17_a_producer_that_asks_what_is_wanted_hears_that_a_consumer_has_left() {
    watchdog(|| {
        let (quiet, told) = Quiet::new();
        let producer = drawgate::producer(quiet).spawn().unwrap();
        let wanted = |producer: &Handle<_, u64, Quiet>| producer.call(|_, ctx| ctx.demand()).unwrap();
        assert_eq!(wanted(&producer), 0);
        let draw = || drawgate::for_each(|_: u64| ()).spawn().unwrap();
        let (a, b) = (draw(), draw());
        let first = a.subscribe_with(&producer, Subscribe::new().max_demand(10)).unwrap();
        let _second = b.subscribe_with(&producer, Subscribe::new().max_demand(5)).unwrap();
        let mut heard = 0;
        while heard < 15 {
            heard += told.recv().unwrap();
        }
        assert_eq!(wanted(&producer), 15);
        let after = producer
            .call(|_, ctx| {
                ctx.extend(0..2);
                ctx.demand()
            })
            .unwrap();
        assert_eq!(after, 13, "what was emitted just now is given");
        until(|| a.stats().events_in + b.stats().events_in == 2);
        first.cancel();
        a.request_stop(ExitReason::Normal);
        until(|| wanted(&producer) <= 5);
        b.request_stop(ExitReason::Normal);
        until(|| wanted(&producer) == 0);
    });
}
