//! Subscriptions: made, replaced, switched and cancelled while events flow.

use crate::support::{Counting, Quiet, Telling, until, watchdog};
use drawgate::dispatch::{BroadcastDispatcher, PartitionDispatcher};
use drawgate::error::CancelReason;
use drawgate::prelude::*;
use drawgate::stage::{Cancel, Demand, DemandMode, Peer, PeerSide};
use drawgate::{Nothing, SubscribeError, Subscription};
use std::sync::mpsc;

fn manual<E>() -> Subscribe<E> {
    Subscribe::new().manual()
}

type Teller = Handle<u64, Nothing, Telling<u64>>;

/// A consumer that tells its slices.
fn telling() -> (Teller, mpsc::Receiver<Vec<u64>>) {
    let (telling, slices) = Telling::new();
    (drawgate::consumer(telling).spawn().unwrap(), slices)
}

fn take(slices: &mpsc::Receiver<Vec<u64>>, n: usize) -> Vec<u64> {
    slices.iter().flatten().take(n).collect()
}

fn filled(events: std::ops::Range<u64>) -> Port<u64> {
    let port = Port::bounded(100).spawn().unwrap();
    port.push_all(events.collect()).unwrap();
    port
}

// ---- manual demand

#[test]
fn p8_nothing_arrives_until_it_is_asked_for() {
    watchdog(|| {
        let port = filled(0..10);
        let (consumer, slices) = telling();
        let subscription = consumer.subscribe_with(&port, manual()).unwrap();
        consumer.call(|_, _| ()).unwrap();
        subscription.ask(0).unwrap();
        consumer.call(|_, _| ()).unwrap();
        assert_eq!((slices.try_iter().count(), port.port_stats().size), (0, 10));
        subscription.ask(3).unwrap(); // from another thread than the consumer's, which sleeps
        assert_eq!(take(&slices, 3), [0, 1, 2]);
        consumer.call(|_, _| ()).unwrap();
        assert_eq!(port.port_stats().size, 7);
    });
}

#[test]
fn p8_a_consumer_asks_in_its_callback() {
    struct OneMore(mpsc::Sender<u64>);
    impl Consumer for OneMore {
        type Event = u64;
        fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_>) -> anyhow::Result<()> {
            ctx.ask(&peer.subscription, 1);
            Ok(())
        }
        fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
            assert_eq!(events.len(), 1);
            ctx.ask(&events.subscription().clone(), 1);
            events.for_each(|event| self.0.send(event).unwrap());
            Ok(())
        }
    }
    watchdog(|| {
        let port = filled(0..5);
        let (tell, told) = mpsc::channel();
        drawgate::consumer(OneMore(tell)).subscribe_to_with(&port, manual()).spawn().unwrap();
        assert_eq!(told.iter().take(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        port.close();
    });
}

#[test]
fn p8_asking_on_a_subscription_that_has_ended_is_an_error() {
    watchdog(|| {
        let port = filled(0..1);
        let (consumer, _slices) = telling();
        let subscription = consumer.subscribe_with(&port, manual().cancel(Cancel::Temporary)).unwrap();
        subscription.cancel();
        let refused = subscription.ask(1).unwrap_err();
        assert!(matches!(refused, SubscribeError::Ended { .. }), "{refused}");
        assert_eq!(port.port_stats().pending_demand, 0);
    });
}

#[test]
fn p9_a_subscription_is_switched_to_manual_demand_and_back() {
    watchdog(|| {
        let port = filled(0..20);
        let (consumer, slices) = telling();
        let options = Subscribe::new().max_demand(4).min_demand(2);
        let subscription = consumer.subscribe_with(&port, options).unwrap();
        assert_eq!(take(&slices, 20).len(), 20);
        subscription.set_manual(true).unwrap();
        consumer.call(|_, _| ()).unwrap();
        until(|| port.port_stats().pending_demand == 4); // asked for before
        port.push_all((20..30).collect()).unwrap();
        assert_eq!(take(&slices, 4), [20, 21, 22, 23]);
        consumer.call(|_, _| ()).unwrap();
        assert_eq!((slices.try_iter().count(), port.port_stats().size), (0, 6));
        subscription.ask(1).unwrap();
        assert_eq!(take(&slices, 1), [24]);
        subscription.set_manual(false).unwrap();
        assert_eq!(take(&slices, 5), [25, 26, 27, 28, 29]);
        until(|| port.port_stats().pending_demand == 4); // and no more than its max
    });
}

#[test]
fn p9_the_producer_may_switch_it_too() {
    struct Slow(mpsc::Sender<Subscription>, Counting);
    impl Producer for Slow {
        type Event = u64;
        fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
            peer.subscription.set_manual(true)?;
            self.0.send(peer.subscription.clone())?;
            Ok(())
        }
        fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
            self.1.handle_demand(demand, ctx)
        }
    }
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let (tell, told) = mpsc::channel();
        let producer = drawgate::producer(Slow(tell, counting)).spawn().unwrap();
        let (consumer, slices) = telling();
        consumer.subscribe_with(&producer, Subscribe::new().max_demand(2)).unwrap();
        assert_eq!(take(&slices, 2), [0, 1]); // what it had asked for by then
        consumer.call(|_, _| ()).unwrap();
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [2]);
        told.recv().unwrap().ask(3).unwrap();
        assert_eq!(take(&slices, 3), [2, 3, 4]);
    });
}

// ---- demand mode

/// What a producer was told, after it has handled everything up to now.
fn told_to(producer: &Handle<Nothing, u64, Counting>, demands: &mpsc::Receiver<usize>) -> Vec<usize> {
    producer.call(|_, _| ()).unwrap();
    producer.call(|_, _| ()).unwrap(); // a demand that came with the first letter is handled after it
    demands.try_iter().collect()
}

#[test]
fn p32_demand_is_held_back_from_the_start_and_released_ask_by_ask() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).demand_mode(DemandMode::Accumulate).spawn().unwrap();
        assert_eq!(producer.demand_mode(), DemandMode::Accumulate);
        let (consumer, slices) = telling();
        let subscription = consumer.subscribe_with(&producer, manual()).unwrap();
        for n in [3, 1, 2] {
            subscription.ask(n).unwrap();
        }
        assert_eq!(told_to(&producer, &demands), [0; 0]);
        producer.set_demand_mode(DemandMode::Forward).unwrap();
        assert_eq!(take(&slices, 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(told_to(&producer, &demands), [3, 1, 2]);
        subscription.ask(4).unwrap();
        assert_eq!(take(&slices, 4), [6, 7, 8, 9]);
        assert_eq!(producer.demand_mode(), DemandMode::Forward);
    });
}

#[test]
fn p32_it_is_switched_at_run_time_and_twice_loses_nothing() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        let (consumer, slices) = telling();
        let subscription = consumer.subscribe_with(&producer, manual()).unwrap();
        subscription.ask(2).unwrap();
        assert_eq!(take(&slices, 2), [0, 1]);
        // In a call, so that the stage hears of nothing between.
        let asks = subscription.clone();
        producer
            .call(move |_, ctx| {
                ctx.set_demand_mode(DemandMode::Accumulate);
                asks.ask(3).unwrap();
                ctx.set_demand_mode(DemandMode::Forward);
                ctx.set_demand_mode(DemandMode::Accumulate);
                asks.ask(1).unwrap();
            })
            .unwrap();
        assert_eq!(told_to(&producer, &demands), [2]);
        producer.set_demand_mode(DemandMode::Forward).unwrap();
        assert_eq!(take(&slices, 4), [2, 3, 4, 5]);
        assert_eq!(told_to(&producer, &demands), [3, 1]);
    });
}

#[test]
fn p32_events_emitted_meanwhile_are_held_too() {
    watchdog(|| {
        for dispatcher in ["demand", "broadcast"] {
            let (quiet, demands) = Quiet::new();
            let mut producer = drawgate::producer(quiet).demand_mode(DemandMode::Accumulate);
            if dispatcher == "broadcast" {
                producer = producer.dispatcher(BroadcastDispatcher::new());
            }
            let producer = producer.spawn().unwrap();
            let (consumer, slices) = telling();
            let subscription = consumer.subscribe_with(&producer, manual()).unwrap();
            subscription.ask(5).unwrap();
            producer.call(|_, ctx| ctx.extend(0..3)).unwrap();
            consumer.call(|_, _| ()).unwrap();
            assert_eq!((slices.try_iter().count(), producer.buffered()), (0, 3), "{dispatcher}");
            producer.set_demand_mode(DemandMode::Forward).unwrap();
            assert_eq!(take(&slices, 3), [0, 1, 2]);
            assert_eq!(demands.recv().unwrap(), 2, "{dispatcher}: of the five, what was not there already");
        }
    });
}

#[test]
fn p32_what_is_cancelled_meanwhile_is_not_released() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).demand_mode(DemandMode::Accumulate).spawn().unwrap();
        let (first, _) = telling();
        let (second, slices) = telling();
        let leaves = first.subscribe_with(&producer, manual().cancel(Cancel::Temporary)).unwrap();
        let stays = second.subscribe_with(&producer, manual()).unwrap();
        stays.ask(2).unwrap();
        leaves.ask(7).unwrap();
        leaves.cancel();
        producer.set_demand_mode(DemandMode::Forward).unwrap();
        assert_eq!(take(&slices, 2), [0, 1]);
        assert_eq!(told_to(&producer, &demands), [2]);
    });
}

#[test]
fn p32_the_end_of_a_stage_that_holds_back_lets_its_events_through() {
    watchdog(|| {
        let (quiet, _demands) = Quiet::new();
        let producer = drawgate::producer(quiet).demand_mode(DemandMode::Accumulate).spawn().unwrap();
        let (consumer, slices) = telling();
        consumer.subscribe(&producer).unwrap();
        producer.call(|_, ctx| ctx.extend(0..3)).unwrap();
        producer.cast(|_, ctx| ctx.done());
        consumer.join().unwrap();
        assert_eq!(take(&slices, 3), [0, 1, 2]);
        producer.join().unwrap();
        assert!(producer.set_demand_mode(DemandMode::Forward).is_err());
    });
}

// ---- subscribing

#[test]
fn p37_by_handle_by_name_declared_or_later() {
    watchdog(|| {
        let port = Port::bounded(8).name("p37").spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let tells = |n: u64| {
            let tell = tell.clone();
            drawgate::for_each(move |event: u64| tell.send((n, event)).unwrap())
        };
        let declared = tells(1).subscribe_to(&port).spawn().unwrap();
        port.push(0).unwrap();
        assert_eq!(told.recv().unwrap(), (1, 0));
        declared.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();

        let by_name = tells(2).subscribe_to("p37").spawn().unwrap();
        port.push(1).unwrap();
        assert_eq!(told.recv().unwrap(), (2, 1));
        by_name.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();

        let later = tells(3).spawn().unwrap();
        later.subscribe("p37").unwrap();
        port.push(2).unwrap();
        assert_eq!(told.recv().unwrap(), (3, 2));
        port.close();
        later.join().unwrap();
    });
}

#[test]
fn p37_subscribing_waits_for_neither_side() {
    watchdog(|| {
        let (quiet, _demands) = Quiet::new();
        let producer = drawgate::producer(quiet).spawn().unwrap();
        let consumer = drawgate::for_each(|_: u64| ()).spawn().unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let (gone, gate_too) = mpsc::channel::<()>();
        producer.cast(move |_, _| _ = gate.recv());
        consumer.cast(move |(), _| _ = gate_too.recv());
        let subscription = consumer.subscribe(&producer).unwrap(); // both are stuck
        assert!(subscription.is_active());
        drop((go, gone));
        producer.cast(|_, ctx| ctx.done());
        consumer.join().unwrap();
    });
}

#[test]
fn p37_a_stage_subscribes_itself_in_its_own_callback() {
    watchdog(|| {
        let port = filled(0..3);
        let all = drawgate::fold(Vec::new(), |all, n: u64| all.push(n)).spawn().unwrap();
        let (me, to) = (all.clone(), port.clone());
        all.call(move |_, _| drop(me.subscribe(&to).unwrap())).unwrap();
        port.close();
        assert_eq!(all.finish().unwrap(), [0, 1, 2]);
    });
}

#[test]
fn p37_many_to_many_added_and_removed_while_events_flow() {
    watchdog(|| {
        let ports: Vec<Port<u64>> = (0..3).map(|_| Port::bounded(16).spawn().unwrap()).collect();
        let (tell, told) = mpsc::channel();
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let tell = tell.clone();
                drawgate::for_each(move |n: u64| tell.send(n).unwrap()).spawn().unwrap()
            })
            .collect();
        drop(tell);
        let options = || Subscribe::new().max_demand(4).cancel(Cancel::Temporary);
        // One that stays, for each port, so that all of it is handled in the end.
        for (port, consumer) in ports.iter().zip(&consumers) {
            consumer.subscribe_with(port, options()).unwrap();
        }
        let pushers: Vec<_> = ports
            .iter()
            .cloned()
            .enumerate()
            .map(|(i, port)| std::thread::spawn(move || (0..3000).for_each(|n| port.push(3 * n + i as u64).unwrap())))
            .collect();
        let mut rng = fastrand::Rng::with_seed(37);
        let mut made: Vec<Subscription> = Vec::new();
        while pushers.iter().any(|pusher| !pusher.is_finished()) {
            let consumer = rng.choice(&consumers).unwrap();
            if made.len() < 6 && rng.bool() {
                made.extend(consumer.subscribe_with(rng.choice(&ports).unwrap(), options()));
            } else if !made.is_empty() {
                made.swap_remove(rng.usize(0..made.len())).cancel();
            }
            consumer.call(|(), _| ()).unwrap(); // so that this thread does not run ahead of them
        }
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        for port in &ports {
            port.close();
            port.join().unwrap();
        }
        for consumer in &consumers {
            consumer.request_stop(ExitReason::Normal);
        }
        drop(consumers);
        let mut handled: Vec<u64> = told.iter().collect();
        handled.sort_unstable();
        assert_eq!(handled, (0..9000).collect::<Vec<_>>());
    });
}

// ---- cancelling

#[test]
fn p41_a_cancel_takes_effect_for_every_event_not_yet_drawn() {
    watchdog(|| {
        let port = Port::bounded(100).spawn().unwrap();
        let (telling, slices, go) = Telling::gated();
        let first = drawgate::consumer(telling).spawn().unwrap();
        let options = Subscribe::new().max_demand(10).min_demand(8).cancel(Cancel::Temporary);
        let subscription = first.subscribe_with(&port, options).unwrap();
        port.push_all((0..10).collect()).unwrap();
        let drawn = slices.recv().unwrap();
        subscription.cancel();
        drop(go);
        let (second, rest) = {
            let (telling, rest) = Telling::new();
            (drawgate::consumer(telling).spawn().unwrap(), rest)
        };
        second.subscribe(&port).unwrap();
        let n = drawn.len() as u64;
        assert!(n <= 2);
        assert_eq!(drawn, (0..n).collect::<Vec<_>>());
        assert_eq!(take(&rest, 10 - n as usize), (n..10).collect::<Vec<_>>());
        first.call(|_, _| ()).unwrap();
        assert_eq!(slices.try_iter().count(), 0);
    });
}

#[test]
fn p41_a_broadcast_lane_goes_with_its_consumer_and_is_counted() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let (telling, slices, _go) = Telling::gated();
        let slow = drawgate::consumer(telling).spawn().unwrap();
        let options = Subscribe::new().max_demand(3).min_demand(2).cancel(Cancel::Temporary);
        let subscription = slow.subscribe_with(&port, options).unwrap();
        port.push_all(vec![0, 1, 2]).unwrap();
        assert_eq!(slices.recv().unwrap(), [0]);
        subscription.cancel();
        assert_eq!((port.port_stats().size, port.port_stats().discarded), (0, 2));
    });
}

#[test]
fn p38_a_cancel_with_a_reason_ends_the_consumer_with_it_as_its_mode_says() {
    watchdog(|| {
        let oops = || ExitReason::error(anyhow::anyhow!("oops"));
        for (mode, reason, ends) in [
            (Cancel::Permanent, ExitReason::Shutdown, true),
            (Cancel::Transient, ExitReason::Shutdown, false),
            (Cancel::Transient, ExitReason::Normal, false),
            (Cancel::Transient, oops(), true),
            (Cancel::Temporary, oops(), false),
        ] {
            let port = filled(0..1);
            let (consumer, _slices) = telling();
            let subscription = consumer.subscribe_with(&port, Subscribe::new().cancel(mode)).unwrap();
            subscription.cancel_with(reason.clone());
            if ends {
                let ended = consumer.join_timeout(crate::support::LIMIT).unwrap().unwrap();
                assert_eq!(ended.to_string(), reason.to_string());
            } else {
                consumer.call(|_, _| ()).unwrap();
                assert!(consumer.is_alive(), "{mode:?} {reason}");
            }
        }
    });
}

// ---- resubscribing

/// Tells why each of its subscriptions ended.
struct Mourner(mpsc::Sender<String>, mpsc::Sender<Vec<u64>>);
impl Consumer for Mourner {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.1.send(events.collect())?;
        Ok(())
    }
    fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.0.send(format!("{why:?}"))?;
        Ok(())
    }
}

#[test]
fn p42_a_subscription_takes_the_place_of_another_and_nobody_ends() {
    watchdog(|| {
        let ((tell, cancels), (slices, handled)) = (mpsc::channel(), mpsc::channel());
        let consumer = drawgate::consumer(Mourner(tell, slices)).spawn().unwrap();
        let (first, second) = (filled(0..3), filled(10..13));
        let old = consumer.subscribe(&first).unwrap(); // permanent
        assert_eq!(take(&handled, 3), [0, 1, 2]);
        let new = consumer.resubscribe(&old, &second, Subscribe::new()).unwrap();
        assert_eq!(take(&handled, 3), [10, 11, 12]);
        assert_eq!(cancels.recv().unwrap(), "Replaced");
        assert!(!old.is_active() && new.is_active());
        first.push(3).unwrap();
        second.push(13).unwrap();
        assert_eq!(take(&handled, 1), [13]);
        assert_eq!(first.port_stats().size, 1);
    });
}

#[test]
fn p42_in_one_step_on_the_same_partition() {
    watchdog(|| {
        let port = Port::bounded(2000).dispatcher(PartitionDispatcher::by_index(1, |_: &u64| Some(0))).spawn().unwrap();
        let (consumer, slices) = telling();
        let options = || Subscribe::new().partition(0);
        let mut subscription = consumer.subscribe_with(&port, options()).unwrap();
        let pushes = std::thread::spawn({
            let port = port.clone();
            move || (0..2000).for_each(|n| port.push(n).unwrap())
        });
        let mut demand = 0;
        while !pushes.is_finished() {
            demand = demand % 50 + 1;
            let options = options().max_demand(demand);
            subscription = consumer.resubscribe(&subscription, &port, options).unwrap(); // it is never taken
        }
        pushes.join().unwrap();
        assert_eq!(take(&slices, 2000), (0..2000).collect::<Vec<_>>());
    });
}

#[test]
fn p42_also_when_the_old_one_is_unknown_or_somebody_elses() {
    watchdog(|| {
        let (first, second) = (filled(0..0), filled(0..4));
        let (consumer, slices) = telling();
        let old = consumer.subscribe_with(&first, Subscribe::new().cancel(Cancel::Temporary)).unwrap();
        old.cancel();
        let new = consumer.resubscribe(&old, &second, Subscribe::new()).unwrap();
        assert_eq!(take(&slices, 4), [0, 1, 2, 3]);

        let (other, others) = telling();
        other.resubscribe(&new, &second, Subscribe::new()).unwrap();
        assert!(new.is_active(), "it is not the other's to replace");
        consumer.request_stop(ExitReason::Normal);
        consumer.join().unwrap();
        second.push(4).unwrap();
        assert_eq!(take(&others, 1), [4]);
    });
}

#[test]
fn p42_after_an_error_the_old_one_is_as_it_was() {
    watchdog(|| {
        let by_two = PartitionDispatcher::by_index(2, |n: &u64| Some(*n as usize % 2));
        let port = Port::bounded(10).dispatcher(by_two).spawn().unwrap();
        let (even, evens) = telling();
        let (odd, _odds) = telling();
        let old = even.subscribe_with(&port, Subscribe::new().partition(0)).unwrap();
        odd.subscribe_with(&port, Subscribe::new().partition(1)).unwrap();
        let taken = even.resubscribe(&old, &port, Subscribe::new().partition(1)).unwrap_err();
        assert!(matches!(taken, SubscribeError::PartitionTaken { .. }), "{taken}");
        let bad = even.resubscribe(&old, &port, Subscribe::new().max_demand(0)).unwrap_err();
        assert!(bad.to_string().contains("max_demand"), "{bad}");
        assert!(even.resubscribe(&old, "nobody", Subscribe::new()).is_err());
        assert!(old.is_active());
        port.push_all(vec![0, 2]).unwrap();
        assert_eq!(take(&evens, 2), [0, 2]);
    });
}

#[test]
fn p42_a_broadcast_consumer_is_never_twice_there() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let (consumer, slices) = telling();
        let old = consumer.subscribe(&port).unwrap();
        let odd = Subscribe::new().selector(|n: &u64| n % 2 == 1);
        consumer.resubscribe(&old, &port, odd).unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        assert_eq!(take(&slices, 2), [1, 3]);
    });
}

#[test]
fn p42_what_stood_for_the_old_selector_does_not_reach_the_new_one() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let (consumer, slices) = telling();
        let (go, gate) = mpsc::channel::<()>();
        consumer.cast(move |_, _| _ = gate.recv());
        let old = consumer.subscribe_with(&port, manual()).unwrap();
        old.ask(2).unwrap();
        port.push_all(vec![2, 4]).unwrap(); // stand for it
        let odd = Subscribe::new().selector(|n: &u64| n % 2 == 1);
        consumer.resubscribe(&old, &port, odd).unwrap();
        assert_eq!((port.port_stats().size, port.port_stats().discarded), (0, 2));
        drop(go);
        port.push_all(vec![5, 6, 7]).unwrap();
        assert_eq!(take(&slices, 2), [5, 7]);
    });
}

// ---- both sides hear

type Heard = (&'static str, String, Option<Demand>);

struct Hears(mpsc::Sender<Heard>, Option<mpsc::Receiver<()>>);
impl Producer for Hears {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        ctx.extend((0..demand as u64).take(3));
        Ok(())
    }
    fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.0.send(("producer", peer.name.to_string(), Some(peer.demand)))?;
        if let Some(gate) = &self.1 {
            let _ = gate.recv();
        }
        Ok(())
    }
    fn handle_cancel(&mut self, peer: &Peer, why: &CancelReason, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.0.send(("producer", format!("{} {why:?}", peer.name), None))?;
        Ok(())
    }
}
struct Middle(mpsc::Sender<(String, PeerSide)>);
impl ProducerConsumer for Middle {
    type In = u64;
    type Out = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        ctx.extend(events);
        Ok(())
    }
    fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        self.0.send((peer.name.to_string(), peer.side))?;
        Ok(())
    }
}

#[test]
fn p43_a_stage_in_the_middle_knows_which_side_the_other_is() {
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let port = Port::<u64>::bounded(1).name("p43-port").spawn().unwrap();
        let middle = drawgate::producer_consumer(Middle(tell)).subscribe_to(&port).spawn().unwrap();
        assert_eq!(told.recv().unwrap(), ("p43-port".into(), PeerSide::Producer));
        drawgate::for_each(|_: u64| ()).name("p43-end").subscribe_to(&middle).spawn().unwrap();
        assert_eq!(told.recv().unwrap(), ("p43-end".into(), PeerSide::Consumer));
        port.close();
        middle.join().unwrap();
    });
}

struct HearsToo(mpsc::Sender<Heard>, mpsc::Sender<u64>);
impl Consumer for HearsToo {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        events.for_each(|event| self.1.send(event).unwrap());
        Ok(())
    }
    fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.0.send(("consumer", peer.name.to_string(), Some(peer.demand)))?;
        Ok(())
    }
    fn handle_cancel(&mut self, peer: &Peer, why: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.0.send(("consumer", format!("{} {why:?}", peer.name), None))?;
        Ok(())
    }
}

#[test]
fn p43_both_sides_hear_of_each_other_with_the_options() {
    watchdog(|| {
        let ((tell, told), (handle, _handled)) = (mpsc::channel(), mpsc::channel());
        let producer = drawgate::producer(Hears(tell.clone(), None)).name("p43-above").spawn().unwrap();
        let consumer = drawgate::consumer(HearsToo(tell, handle)).name("p43-below").spawn().unwrap();
        let options = Subscribe::new().max_demand(7).min_demand(3).cancel(Cancel::Temporary);
        let subscription = consumer.subscribe_with(&producer, options).unwrap();
        let mut heard: Vec<Heard> = told.iter().take(2).collect();
        heard.sort_by_key(|(side, ..)| *side);
        for ((side, name, demand), expected) in heard.iter().zip([("consumer", "p43-above"), ("producer", "p43-below")])
        {
            let demand = demand.unwrap();
            assert_eq!((*side, &**name), expected);
            assert_eq!((demand.max, demand.min, demand.manual, demand.cancel), (7, 3, false, Cancel::Temporary));
        }
        subscription.cancel_with(ExitReason::Shutdown);
        let mut heard: Vec<(&str, String)> = told.iter().take(2).map(|(side, what, _)| (side, what)).collect();
        heard.sort();
        let both = ["p43-above", "p43-below"].map(|name| format!("{name} CancelledWith(Shutdown)"));
        assert_eq!(heard, ["consumer", "producer"].into_iter().zip(both).collect::<Vec<_>>());
    });
}

#[test]
fn p43_nothing_is_delivered_before_both_have_heard() {
    watchdog(|| {
        let ((tell, told), (handle, handled)) = (mpsc::channel(), mpsc::channel());
        let (go, gate) = mpsc::channel();
        let producer = drawgate::producer(Hears(tell.clone(), Some(gate))).spawn().unwrap();
        producer.call(|_, ctx| ctx.extend([10, 11])).unwrap(); // stand before anybody subscribes
        let consumer = drawgate::consumer(HearsToo(tell, handle)).subscribe_to(&producer).spawn().unwrap();
        let _both: Vec<Heard> = told.iter().take(2).collect(); // the producer is in its callback
        consumer.call(|_, _| ()).unwrap();
        assert_eq!(handled.try_iter().count(), 0);
        go.send(()).unwrap();
        assert_eq!(handled.iter().take(3).collect::<Vec<_>>(), [10, 11, 0]);
    });
}

#[test]
fn p43_both_sides_get_what_the_consumer_said_besides() {
    struct Tenant(&'static str);
    struct Asks(mpsc::Sender<(PeerSide, &'static str)>);
    impl Asks {
        fn hear(&self, peer: &Peer) {
            assert!(peer.extra::<u8>().is_none(), "it is something else");
            self.0.send((peer.side, peer.extra::<Tenant>().map_or("nobody", |tenant| tenant.0))).unwrap();
        }
    }
    impl ProducerConsumer for Asks {
        type In = u64;
        type Out = u64;
        fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
            ctx.extend(events);
            Ok(())
        }
        fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
            self.hear(peer);
            Ok(())
        }
        fn handle_cancel(&mut self, peer: &Peer, _: &CancelReason, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
            self.hear(peer);
            Ok(())
        }
    }
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let above = drawgate::producer_consumer(Asks(tell.clone())).spawn().unwrap();
        let below = drawgate::producer_consumer(Asks(tell)).spawn().unwrap();
        let options = Subscribe::new().cancel(Cancel::Temporary).with_extra("replaced").with_extra(Tenant("acme"));
        let subscription = below.subscribe_with(&above, options).unwrap();
        let heard = |n| {
            let mut heard: Vec<_> = told.iter().take(n).collect();
            heard.sort_by_key(|(side, _)| *side as u8);
            heard
        };
        assert_eq!(heard(2), [(PeerSide::Producer, "acme"), (PeerSide::Consumer, "acme")]);
        subscription.cancel();
        assert_eq!(heard(2), [(PeerSide::Producer, "acme"), (PeerSide::Consumer, "acme")]);
        let _plain = below.subscribe_with(&above, Subscribe::new().cancel(Cancel::Temporary)).unwrap();
        assert_eq!(heard(2), [(PeerSide::Producer, "nobody"), (PeerSide::Consumer, "nobody")]);
    });
}

// ---- by the stage itself

#[test]
fn p37_a_stage_subscribes_itself_in_init_and_in_callbacks() {
    struct Finds(Port<u64>, Vec<u64>, mpsc::Sender<String>);
    impl Consumer for Finds {
        type Event = u64;
        fn init(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<drawgate::stage::Init> {
            ctx.subscribe::<u64, _>("p37-first", Subscribe::new().cancel(Cancel::Temporary))?;
            let wrong = ctx.subscribe::<u8, _>("p37-first", Subscribe::new()).unwrap_err();
            self.2.send(wrong.to_string())?;
            Ok(drawgate::stage::Init::Ready)
        }
        fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
            self.1.extend(events);
            Ok(())
        }
        fn handle_subscribe(&mut self, peer: &Peer, _: &mut Context<'_>) -> anyhow::Result<()> {
            Ok(self.2.send(format!("to {}", peer.name))?)
        }
        fn handle_cancel(&mut self, lost: &Peer, _: &CancelReason, ctx: &mut Context<'_>) -> anyhow::Result<()> {
            if &*lost.name.to_string() == "p37-first" {
                let next = ctx.subscribe(&self.0, Subscribe::new().manual())?;
                ctx.resubscribe(&next, &self.0, Subscribe::new())?;
            }
            Ok(())
        }
    }
    watchdog(|| {
        let first = Port::<u64>::bounded(8).name("p37-first").spawn().unwrap();
        let next = Port::bounded(8).name("p37-next").spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let finds = drawgate::consumer(Finds(next.clone(), Vec::new(), tell)).name("p37-finds").spawn().unwrap();
        assert_eq!(told.recv().unwrap(), "stage `p37-finds` does not draw `u8`");
        assert_eq!(told.recv().unwrap(), "to p37-first");
        first.push(1).unwrap();
        until(|| finds.stats().events_in == 1);
        first.request_stop(ExitReason::Shutdown);
        assert_eq!(told.iter().take(2).collect::<Vec<_>>(), ["to p37-next", "to p37-next"]);
        next.push(2).unwrap();
        next.close();
        assert_eq!(finds.finish().unwrap().1, [1, 2]);
    });
}

#[test]
fn p37_what_a_producer_is_offered_it_does_not_draw() {
    watchdog(|| {
        let port = filled(0..1);
        let producer = drawgate::producer(Quiet::new().0).spawn().unwrap();
        let refused = producer.call(move |_, ctx| ctx.subscribe(&port, Subscribe::new()).unwrap_err()).unwrap();
        assert!(matches!(refused, SubscribeError::NotDrawn { offered: "u64", .. }), "{refused}");
    });
}
