//! Which consumer gets which event: the three dispatchers, and those of one's own.

use crate::support::{Counting, Quiet, Telling, watchdog};
use drawgate::dispatch::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, Route, SubId, Targets};
use drawgate::prelude::*;
use drawgate::stage::Cancel;
use drawgate::stage::Wait;
use drawgate::{Nothing, SpawnError, SubscribeError, Subscription};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

fn one_by_one<E>() -> Subscribe<E> {
    Subscribe::new().max_demand(1)
}

fn manual<E>() -> Subscribe<E> {
    Subscribe::new().manual().cancel(Cancel::Temporary)
}

/// The first `n` events of what a consumer tells.
fn take<E>(slices: &mpsc::Receiver<Vec<E>>, n: usize) -> Vec<E> {
    slices.iter().flatten().take(n).collect()
}

type Teller<E> = Handle<E, Nothing, Telling<E>>;

/// A consumer that tells its slices, subscribed with these options.
fn telling<E: Send + 'static>(
    producer: &(impl drawgate::Upstream<E> + ?Sized),
    options: Subscribe<E>,
) -> (Teller<E>, Subscription, mpsc::Receiver<Vec<E>>) {
    let (telling, slices) = Telling::new();
    let consumer = drawgate::consumer(telling).spawn().unwrap();
    let subscription = consumer.subscribe_with(producer, options).unwrap();
    (consumer, subscription, slices)
}

// ---- demand

#[test]
fn p15_the_consumer_that_waits_longest_gets_the_event() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let port = Port::bounded(8).runtime(&rt).spawn().unwrap();
        let (told, takers) = mpsc::channel();
        for consumer in 0..3 {
            let told = told.clone();
            drawgate::for_each(move |_: u64| told.send(consumer).unwrap_or(()))
                .runtime(&rt)
                .subscribe_to_with(&port, one_by_one())
                .spawn()
                .unwrap();
        }
        let takers: Vec<_> = (0..9)
            .map(|event| {
                clock.settle();
                port.push(event).unwrap();
                takers.recv().unwrap()
            })
            .collect();
        let mut first = takers[..3].to_vec();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2], "each in its turn");
        assert_eq!((&takers[3..6], &takers[6..]), (&takers[..3], &takers[..3]), "in the same order");
    });
}

#[test]
fn p15_a_busy_consumer_holds_nothing_that_a_free_one_could_handle() {
    watchdog(|| {
        let port = Port::bounded(100).spawn().unwrap();
        let (told, events) = mpsc::channel();
        let (go, gate) = crossbeam_channel::bounded::<()>(0);
        for _ in 0..2 {
            let (told, gate) = (told.clone(), gate.clone());
            drawgate::for_each(move |event: u64| {
                if event == 0 {
                    let _ = gate.recv(); // whoever gets this one is busy from now on
                }
                let _ = told.send(event);
            })
            .subscribe_to(&port) // asks for 1000
            .spawn()
            .unwrap();
        }
        for event in 0..100 {
            port.push(event).unwrap();
        }
        // One of the two is busy or will be; all the same the other 99 are handled, but for what came in the slice of
        // event 0, which is at most a quarter of what stood.
        let handled: Vec<_> = events.iter().take(75).collect();
        assert!(!handled.contains(&0));
        drop(go);
        let mut all: Vec<_> = handled.into_iter().chain(events.iter().take(25)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        port.close();
        port.join().unwrap();
    });
}

#[test]
fn p15_events_asked_for_by_a_busy_consumer_go_to_a_free_one() {
    watchdog(|| {
        let producer = drawgate::producer(Counting::new().0).spawn().unwrap();
        let (busy, first, gate) = Telling::gated();
        let options = Subscribe::new().max_demand(10).min_demand(9);
        drawgate::consumer(busy).subscribe_to_with(&producer, options).spawn().unwrap();
        assert_eq!(first.recv().unwrap(), [0]);
        producer.call(|_, _| ()).unwrap();
        assert_eq!(producer.buffered(), 9, "what the busy one asked for");

        let (_, free, slices) = telling(&producer, manual());
        free.ask(9).unwrap();
        assert_eq!(take(&slices, 9), (1..10).collect::<Vec<_>>());
        drop(gate);
    });
}

/// How often a race is run: who is woken may come before or after what is done to it.
const ROUNDS: usize = 20;

/// Two consumers of one port, who tell what they handle, in the order in which they wait; with their subscriptions.
struct Pair {
    port: Port<u64>,
    handled: mpsc::Receiver<(usize, u64)>,
    consumers: Vec<Handle<u64, Nothing>>,
    subscriptions: Vec<Subscription>,
    /// Who has waited longest.
    next: usize,
}

fn pair() -> Pair {
    let (rt, clock) = drawgate::testing::runtime();
    let port = Port::bounded(8).runtime(&rt).spawn().unwrap();
    let (told, handled) = mpsc::channel();
    let consumers: Vec<_> = (0..2)
        .map(|me| {
            let told = told.clone();
            let consumer = drawgate::for_each(move |event: u64| told.send((me, event)).unwrap_or(()));
            consumer.runtime(&rt).wait(Wait::Park).spawn().unwrap()
        })
        .collect();
    let options = || Subscribe::new().cancel(Cancel::Temporary);
    let subscriptions = consumers.iter().map(|c| c.subscribe_with(&port, options()).unwrap()).collect();
    clock.settle();
    port.push(0).unwrap();
    let next = 1 - handled.recv().unwrap().0;
    clock.settle();
    Pair { port, handled, consumers, subscriptions, next }
}

#[test]
fn p16_a_consumer_that_is_woken_and_cancelled_hands_the_wake_on() {
    watchdog(|| {
        for _ in 0..ROUNDS {
            let pair = pair();
            pair.port.push(1).unwrap(); // wakes the next one, whose subscription is gone before it comes, or just not
            pair.subscriptions[pair.next].cancel();
            assert_eq!(pair.handled.recv().unwrap().1, 1);
            pair.port.push(2).unwrap();
            assert_eq!(pair.handled.recv().unwrap(), (1 - pair.next, 2));
        }
    });
}

#[test]
fn p16_a_consumer_that_is_woken_and_stopped_hands_the_wake_on() {
    watchdog(|| {
        for _ in 0..ROUNDS {
            let pair = pair();
            pair.port.push(1).unwrap();
            pair.consumers[pair.next].request_stop(ExitReason::Normal);
            assert_eq!(pair.handled.recv().unwrap().1, 1);
            pair.consumers[pair.next].join().unwrap();
            pair.port.push(2).unwrap();
            assert_eq!(pair.handled.recv().unwrap(), (1 - pair.next, 2));
        }
    });
}

#[test]
fn p16_a_consumer_that_is_woken_and_finds_work_elsewhere_hands_the_wake_on() {
    watchdog(|| {
        for _ in 0..ROUNDS {
            let (rt, clock) = drawgate::testing::runtime();
            let own = Port::bounded(8).runtime(&rt).spawn().unwrap();
            let shared = Port::bounded(8).runtime(&rt).spawn().unwrap();
            let (told, handled) = mpsc::channel();
            let (go, gate) = mpsc::channel::<()>();
            let busy = told.clone();
            let both = drawgate::for_each(move |event: u64| {
                if event == 9 {
                    let _ = gate.recv(); // busy elsewhere from now on
                }
                let _ = busy.send(event);
            });
            both.runtime(&rt).wait(Wait::Park).subscribe_to(&own).subscribe_to(&shared).spawn().unwrap();
            clock.settle();
            let other = drawgate::for_each(move |event: u64| told.send(event).unwrap_or(()));
            other.runtime(&rt).wait(Wait::Park).subscribe_to(&shared).spawn().unwrap();
            clock.settle();
            // Whoever is woken for the event of the shared port, it is handled: by the other if that one is busy.
            shared.push(1).unwrap();
            own.push(9).unwrap();
            shared.push(2).unwrap();
            let mut events = [handled.recv().unwrap(), handled.recv().unwrap()];
            events.sort_unstable();
            assert_eq!(events, [1, 2]);
            drop(go);
            assert_eq!(handled.recv().unwrap(), 9);
        }
    });
}

#[test]
fn p17_what_was_told_when_its_consumer_cancels_is_offset_against_later_asks() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let (quiet, demands) = Quiet::new();
        let producer = drawgate::producer(quiet).runtime(&rt).spawn().unwrap();
        let consumer = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
        let first = consumer.subscribe_with(&producer, manual()).unwrap();
        first.ask(10).unwrap();
        assert_eq!(demands.recv().unwrap(), 10);
        first.cancel();

        let second = consumer.subscribe_with(&producer, manual()).unwrap();
        second.ask(10).unwrap();
        clock.settle();
        assert!(demands.try_recv().is_err(), "those 10 are owed already");
        second.ask(5).unwrap();
        assert_eq!(demands.recv().unwrap(), 5);
    });
}

/// Tells each demand, then waits for a permit.
struct Slow(mpsc::Sender<usize>, mpsc::Receiver<()>);

impl Producer for Slow {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        let _ = self.0.send(demand);
        let _ = self.1.recv();
        Ok(())
    }
}

#[test]
fn p17_what_was_not_told_yet_when_its_consumer_cancels_is_never_told() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let ((told, demands), (go, gate)) = (mpsc::channel(), mpsc::channel());
        let producer = drawgate::producer(Slow(told, gate)).runtime(&rt).spawn().unwrap();
        let consumer = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
        let stays = consumer.subscribe_with(&producer, manual()).unwrap();
        let leaves = consumer.subscribe_with(&producer, manual()).unwrap();
        stays.ask(1).unwrap();
        assert_eq!(demands.recv().unwrap(), 1);
        // The producer is busy with that, so the next two are granted and not yet told.
        leaves.ask(100).unwrap();
        stays.ask(2).unwrap();
        leaves.cancel();
        drop(go);
        clock.settle();
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [2]);
    });
}

#[test]
fn p18_with_several_hungry_consumers_each_draws_a_fair_part() {
    watchdog(|| {
        let port = Port::bounded(80).spawn().unwrap();
        let options = || Subscribe::new().max_demand(200).min_demand(0);
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let (telling, slices, gate) = Telling::gated();
                drawgate::consumer(telling).subscribe_to_with(&port, options()).spawn().unwrap();
                (slices, gate)
            })
            .collect();
        port.push_all((0..80).collect()).unwrap();
        // Each takes half of a fourth of what stands, and is busy from then on.
        let mut first: Vec<_> = consumers.iter().map(|(slices, _)| slices.recv().unwrap().len()).collect();
        first.sort_unstable();
        assert_eq!(first, [7, 8, 9, 10]); // an eighth of 53, 61, 70 and 80, rounded up
        assert_eq!(port.port_stats().size, 80 - 34);
    });
}

// ---- broadcast

/// A counting producer that broadcasts, and its demands.
fn broadcasting(hold_until: usize) -> (Handle<Nothing, u64, Counting>, mpsc::Receiver<usize>) {
    let (counting, demands) = Counting::new();
    let producer = drawgate::producer(counting).dispatcher(BroadcastDispatcher::new()).hold_until(hold_until);
    (producer.spawn().unwrap(), demands)
}

#[test]
fn p19_everyone_gets_every_event_in_order() {
    watchdog(|| {
        let (producer, _) = broadcasting(3);
        let consumers: Vec<_> = [1, 10, 100].map(|max| telling(&producer, Subscribe::new().max_demand(max))).into();
        for (.., slices) in &consumers {
            assert_eq!(take(slices, 500), (0..500).collect::<Vec<_>>());
        }
    });
}

#[test]
fn p19_the_producer_is_asked_for_the_common_minimum_once() {
    watchdog(|| {
        let (producer, demands) = broadcasting(0);
        let (_, a, of_a) = telling(&producer, manual());
        let (_, b, of_b) = telling(&producer, manual());
        a.ask(5).unwrap();
        b.ask(3).unwrap();
        assert_eq!(demands.recv().unwrap(), 3);
        assert_eq!((take(&of_a, 3), take(&of_b, 3)), (vec![0, 1, 2], vec![0, 1, 2]));
        b.ask(4).unwrap();
        assert_eq!(demands.recv().unwrap(), 2, "as many as the slower one can take");
        assert_eq!((take(&of_a, 2), take(&of_b, 2)), (vec![3, 4], vec![3, 4]));
        producer.call(|_, _| ()).unwrap();
        assert!(demands.try_recv().is_err());
    });
}

#[test]
fn p19_events_wait_for_the_slowest_consumer() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let (_, fast, of_fast) = telling(&port, manual());
        let (_, slow, of_slow) = telling(&port, manual());
        fast.ask(8).unwrap();
        slow.ask(1).unwrap();
        port.push_all((0..8).collect()).unwrap();
        assert_eq!((take(&of_fast, 1), take(&of_slow, 1)), (vec![0], vec![0]));
        assert_eq!(port.port_stats().size, 7, "held before the lanes");
        slow.ask(7).unwrap();
        assert_eq!((take(&of_fast, 7), take(&of_slow, 7)), ((1..8).collect(), (1..8).collect()));
    });
}

#[test]
fn p20_a_new_subscriber_does_not_get_what_was_dispatched_before() {
    watchdog(|| {
        let (producer, _) = broadcasting(0);
        let (_, old, of_old) = telling(&producer, manual());
        old.ask(3).unwrap();
        assert_eq!(take(&of_old, 3), [0, 1, 2]);
        let (_, new, of_new) = telling(&producer, manual());
        old.ask(2).unwrap();
        new.ask(2).unwrap();
        assert_eq!((take(&of_old, 2), take(&of_new, 2)), (vec![3, 4], vec![3, 4]));
    });
}

#[test]
fn p20_a_slow_one_that_is_cancelled_frees_the_rest_at_once() {
    watchdog(|| {
        let (producer, demands) = broadcasting(0);
        let (_, fast, of_fast) = telling(&producer, manual());
        let (_, slow, _of_slow) = telling(&producer, manual());
        fast.ask(5).unwrap();
        producer.call(|_, _| ()).unwrap();
        assert!(demands.try_recv().is_err(), "nothing while the slow one has not asked");
        slow.cancel();
        assert_eq!(demands.recv().unwrap(), 5);
        assert_eq!(take(&of_fast, 5), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn p20_what_stands_for_one_that_leaves_is_discarded_and_counted() {
    watchdog(|| {
        let (told, discarded) = mpsc::channel();
        let (counting, _) = Counting::new();
        let producer = drawgate::producer(counting)
            .dispatcher(BroadcastDispatcher::new())
            .on_discard(move |n| told.send(n).unwrap_or(()))
            .spawn()
            .unwrap();
        let (busy, slices, _gate) = Telling::gated();
        let busy = drawgate::consumer(busy).spawn().unwrap();
        let options = Subscribe::new().max_demand(10).min_demand(9).cancel(Cancel::Temporary);
        let subscription = busy.subscribe_with(&producer, options).unwrap();
        assert_eq!(slices.recv().unwrap(), [0]);
        producer.call(|_, _| ()).unwrap();
        assert_eq!(producer.buffered(), 9);
        subscription.cancel();
        assert_eq!((producer.buffered(), discarded.recv().unwrap(), producer.stats().discarded), (0, 9, 9));
    });
}

#[test]
fn p20_the_first_events_are_held_until_so_many_have_subscribed() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn().unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        let (_, a, of_a) = telling(&port, manual());
        a.ask(3).unwrap();
        assert_eq!(port.port_stats().size, 3, "held");
        let (_, b, of_b) = telling(&port, manual());
        b.ask(3).unwrap();
        assert_eq!((take(&of_a, 3), take(&of_b, 3)), (vec![1, 2, 3], vec![1, 2, 3]));
    });
}

#[test]
fn events_of_one_lane_are_held_until_so_many_have_subscribed() {
    watchdog(|| {
        let port = Port::bounded(8).hold_until(2).spawn().unwrap();
        let (_, a, of_a) = telling(&port, manual());
        a.ask(1).unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        assert_eq!(port.port_stats().size, 3, "held");
        let (_, _b, of_b) = telling(&port, manual());
        assert_eq!(take(&of_a, 1), [1]);
        a.ask(2).unwrap();
        assert_eq!(take(&of_a, 2), [2, 3]);
        port.close();
        assert!(of_b.iter().next().is_none());
    });
}

#[test]
fn p20_demand_is_held_until_so_many_have_subscribed() {
    watchdog(|| {
        let (producer, demands) = broadcasting(2);
        let (_, a, of_a) = telling(&producer, manual());
        a.ask(3).unwrap();
        producer.call(|_, _| ()).unwrap();
        assert!(demands.try_recv().is_err());
        let (_, b, of_b) = telling(&producer, manual());
        b.ask(3).unwrap();
        assert_eq!(demands.recv().unwrap(), 3);
        assert_eq!((take(&of_a, 3), take(&of_b, 3)), (vec![0, 1, 2], vec![0, 1, 2]));
    });
}

#[test]
fn p21_a_selector_lets_only_its_own_events_through() {
    watchdog(|| {
        let (producer, _) = broadcasting(2);
        let (.., all) = telling(&producer, Subscribe::new().max_demand(10));
        let (.., odd) = telling(&producer, Subscribe::new().max_demand(10).selector(|n| n % 2 == 1));
        assert_eq!(take(&all, 100), (0..100).collect::<Vec<_>>());
        assert_eq!(take(&odd, 100), (0..100).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

#[test]
fn p21_what_was_filtered_is_asked_for_again() {
    watchdog(|| {
        let (producer, demands) = broadcasting(0);
        let (_, odd, slices) = telling(&producer, manual().selector(|n| n % 2 == 1));
        odd.ask(4).unwrap();
        assert_eq!(take(&slices, 4), [1, 3, 5, 7]);
        producer.call(|_, _| ()).unwrap();
        // 4 of which 2 went through, 2 of which 1, 1 that did not, 1 that did.
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [4, 2, 1, 1]);
        assert_eq!(producer.stats().discarded, 4); // counted, and no loss
    });
}

#[test]
fn p21_what_was_filtered_is_asked_for_again_also_if_it_was_all() {
    watchdog(|| {
        let (producer, demands) = broadcasting(0);
        let (_, late, slices) = telling(&producer, manual().selector(|n| *n >= 1000));
        late.ask(10).unwrap();
        assert_eq!(take(&slices, 10), (1000..1010).collect::<Vec<_>>());
        producer.call(|_, _| ()).unwrap();
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [10; 101]);
    });
}

#[test]
fn p22_subscribing_the_same_consumer_twice_is_an_error() {
    watchdog(|| {
        let (producer, _) = broadcasting(0);
        let (consumer, first, slices) = telling(&producer, manual());
        match consumer.subscribe_with(&producer, manual()) {
            Err(SubscribeError::Twice { producer: name }) => assert_eq!(&name, producer.name()),
            other => panic!("{other:?}"),
        }
        assert_eq!(producer.stats().consumers.len(), 1);
        first.ask(2).unwrap();
        assert_eq!(take(&slices, 2), [0, 1], "the first one goes on");

        // Another time, when the first has ended.
        first.cancel();
        let second = consumer.subscribe_with(&producer, manual()).unwrap();
        second.ask(2).unwrap();
        assert_eq!(take(&slices, 2), [2, 3]);
    });
}

#[test]
fn p22_declaring_the_same_subscription_twice_starts_nothing() {
    watchdog(|| {
        let (producer, _) = broadcasting(0);
        let twice = drawgate::for_each(|_: u64| ()).subscribe_to(&producer).subscribe_to(&producer).spawn();
        assert!(matches!(twice, Err(SpawnError::Subscribe { cause: SubscribeError::Twice { .. }, .. })));
        assert!(producer.stats().consumers.is_empty(), "the first is undone");
    });
}

// ---- partition

fn by_parity() -> PartitionDispatcher<u64> {
    PartitionDispatcher::by_index(2, |n: &u64| Some(*n as usize % 2))
}

fn by_index_below(n: usize) -> PartitionDispatcher<u64> {
    PartitionDispatcher::by_index(n, |n: &u64| Some(*n as usize))
}

fn by_name() -> PartitionDispatcher<u64> {
    PartitionDispatcher::named(["even", "odd"], |n: &u64| Some(if n % 2 == 0 { "even" } else { "odd" }))
}

#[test]
fn p23_an_event_goes_to_the_partition_that_its_number_says() {
    watchdog(|| {
        let producer = drawgate::producer(Counting::new().0).dispatcher(by_parity()).spawn().unwrap();
        let (.., even) = telling(&producer, Subscribe::new().max_demand(10).partition(0));
        let (.., odd) = telling(&producer, Subscribe::new().max_demand(10).partition(1));
        assert_eq!(take(&even, 100), (0..100).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(take(&odd, 100), (0..100).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

#[test]
fn p23_an_event_goes_to_the_partition_that_its_name_says() {
    watchdog(|| {
        let port = Port::bounded(100).dispatcher(by_name()).spawn().unwrap();
        let (.., odd) = telling(&port, Subscribe::new().partition_named("odd"));
        let (.., even) = telling(&port, Subscribe::new().partition_named("even"));
        port.push_all((0..100).collect()).unwrap();
        assert_eq!(take(&even, 50), (0..50).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(take(&odd, 50), (0..50).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

#[test]
fn p23_events_with_equal_keys_go_to_one_partition_in_order() {
    watchdog(|| {
        let port = Port::bounded(1000).partition_by(3, |n: &u64| n % 10).spawn().unwrap();
        let consumers: Vec<_> = (0..3)
            .map(|partition| {
                drawgate::fold(Vec::new(), |all, n: u64| all.push(n))
                    .subscribe_to_with(&port, Subscribe::new().partition(partition))
                    .spawn()
                    .unwrap()
            })
            .collect();
        port.push_all((0..1000).collect()).unwrap();
        port.close();
        let partitions: Vec<Vec<u64>> = consumers.into_iter().map(|c| c.finish().unwrap()).collect();
        for key in 0..10 {
            let of_key: Vec<Vec<u64>> = partitions
                .iter()
                .map(|events| events.iter().copied().filter(|n| n % 10 == key).collect::<Vec<_>>())
                .filter(|events| !events.is_empty())
                .collect();
            assert_eq!(of_key, [(0..100).map(|n| 10 * n + key).collect::<Vec<_>>()]);
        }
    });
}

#[test]
fn p23_what_belongs_to_no_partition_is_discarded_counted_and_asked_for_again() {
    watchdog(|| {
        let (told, discarded) = mpsc::channel();
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting)
            .dispatcher(PartitionDispatcher::by_index(1, |n: &u64| (*n >= 10).then_some(0)))
            .on_discard(move |n| told.send(n).unwrap_or(()))
            .spawn()
            .unwrap();
        let (_, subscription, slices) = telling(&producer, manual().partition(0));
        subscription.ask(4).unwrap();
        assert_eq!(take(&slices, 4), [10, 11, 12, 13]);
        producer.call(|_, _| ()).unwrap();
        assert_eq!(demands.try_iter().collect::<Vec<_>>(), [4, 4, 4, 2]);
        assert_eq!(discarded.try_iter().collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(producer.stats().discarded, 10);
    });
}

#[test]
fn p23_what_is_pushed_for_no_partition_is_discarded_and_counted() {
    watchdog(|| {
        let port = Port::bounded(1).dispatcher(PartitionDispatcher::by_index(1, |_: &u64| None)).spawn().unwrap();
        port.push_all((0..10).collect()).unwrap();
        assert_eq!((port.port_stats().discarded, port.port_stats().size), (10, 0));
    });
}

#[test]
fn p23_an_unknown_partition_gives_a_pusher_its_event_back_and_fails_the_port() {
    let numbered = || PartitionDispatcher::by_index(2, |n: &u64| Some(*n as usize));
    let named = || PartitionDispatcher::named(["0", "1"], |n: &u64| Some(if *n < 2 { "0" } else { "2" }));
    for (dispatcher, says) in [(numbered(), "not below"), (named(), "2")] {
        watchdog(move || {
            let port = Port::bounded(8).dispatcher(dispatcher).spawn().unwrap();
            port.push(1).unwrap();
            assert_eq!(port.push(2).unwrap_err().into_event(), 2);
            let failure = port.join().unwrap_err().to_string();
            assert!(failure.contains("unknown partition") && failure.contains(says), "{failure}");
        });
    }
}

#[test]
fn p23_an_unknown_partition_fails_a_stage_that_emits_for_it() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet::new().0).dispatcher(by_index_below(2)).spawn().unwrap();
        let (_, subscription, slices) = telling(&producer, manual().partition(1));
        producer.call(|_, ctx| ctx.extend([1, 2])).unwrap();
        let failure = producer.join().unwrap_err().to_string();
        assert!(failure.contains("unknown partition"), "{failure}");
        subscription.ask(1).ok();
        assert_eq!(slices.recv().unwrap(), [1], "what stands can be drawn");
        assert_eq!(producer.stats().lost, 1);
    });
}

#[test]
fn p23_an_unknown_partition_is_not_forgotten_for_what_is_emitted_after_it() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet::new().0).dispatcher(by_index_below(2)).spawn().unwrap();
        producer
            .call(|_, ctx| {
                for event in [2, 3, 1] {
                    ctx.emit(event);
                    ctx.flush();
                }
            })
            .unwrap();
        assert!(producer.join().unwrap_err().to_string().contains("unknown partition"));
        assert_eq!(producer.stats().lost, 3, "two that had no partition, one that had no consumer");
    });
}

#[test]
fn p23_every_event_for_an_unknown_partition_is_counted() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet::new().0).dispatcher(by_index_below(2)).spawn().unwrap();
        producer.call(|_, ctx| ctx.extend(2..7)).unwrap();
        producer.join().unwrap_err();
        assert_eq!(producer.stats().lost, 5);
    });
}

#[test]
fn p23_a_partition_taken_twice_is_an_error_that_names_the_holder() {
    watchdog(|| {
        let rt = Runtime::new();
        let taken = |port: &Port<u64>, options: fn() -> Subscribe<u64>| {
            let holder = drawgate::for_each(|_: u64| ()).name("holder").runtime(&rt);
            let holder = holder.subscribe_to_with(port, options()).spawn().unwrap();
            let second = drawgate::for_each(|_: u64| ()).runtime(&rt).spawn().unwrap();
            let refused = second.subscribe_with(port, options());
            holder.stop(ExitReason::Normal, std::time::Duration::from_secs(5)).unwrap();
            second.subscribe_with(port, options()).expect("free again");
            match refused {
                Err(SubscribeError::PartitionTaken { partition, holder, .. }) => (partition, holder.to_string()),
                other => panic!("{other:?}"),
            }
        };
        let numbered = Port::bounded(8).dispatcher(by_parity()).runtime(&rt).spawn().unwrap();
        assert_eq!(taken(&numbered, || Subscribe::new().partition(1)), ("1".into(), "holder".into()));
        let named = Port::bounded(8).dispatcher(by_name()).runtime(&rt).spawn().unwrap();
        assert_eq!(taken(&named, || Subscribe::new().partition_named("odd")), ("odd".into(), "holder".into()));
    });
}

#[test]
fn p23_subscribing_to_no_partition_or_an_unknown_one_is_an_error_that_names_it() {
    watchdog(|| {
        let numbered = Port::bounded(8).dispatcher(by_parity()).spawn().unwrap();
        let named = Port::bounded(8).dispatcher(by_name()).spawn().unwrap();
        let consumer = drawgate::for_each(|_: u64| ()).spawn().unwrap();
        let refused = |port: &Port<u64>, options| consumer.subscribe_with(port, options).unwrap_err().to_string();
        for (options, was) in [
            (Subscribe::new().partition(2), "2"),
            (Subscribe::new(), "not set"),
            (Subscribe::new().partition_named("odd"), "`odd`"),
        ] {
            let says = format!("option `partition` must be a number below 2, and was {was}");
            assert_eq!(refused(&numbered, options), says);
        }
        for (options, was) in [
            (Subscribe::new().partition_named("prime"), "`prime`"),
            (Subscribe::new(), "not set"),
            (Subscribe::new().partition(0), "0"),
        ] {
            let says = format!("option `partition_named` must be one of [\"even\", \"odd\"], and was {was}");
            assert_eq!(refused(&named, options), says);
        }
        assert!(numbered.stats().consumers.is_empty() && named.stats().consumers.is_empty());
    });
}

#[test]
fn p23_no_partitions_at_all_are_refused() {
    let refused = Port::bounded(8).dispatcher(PartitionDispatcher::by_index(0, |_: &u64| None)).spawn().unwrap_err();
    assert!(refused.to_string().contains("`partitions` must be at least 1, and was 0"), "{refused}");
}

#[test]
fn p24_events_of_a_partition_without_consumer_wait_for_one() {
    watchdog(|| {
        let port = Port::bounded(50).dispatcher(by_parity()).spawn().unwrap();
        let (.., even) = telling(&port, Subscribe::new().partition(0));
        port.push_all((0..100).collect()).unwrap();
        assert_eq!(take(&even, 50), (0..50).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(port.port_stats().size, 50);
        let (.., odd) = telling(&port, Subscribe::new().partition(1));
        assert_eq!(take(&odd, 50), (0..50).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

#[test]
fn p24_a_full_partition_of_a_port_does_not_stop_the_others() {
    watchdog(|| {
        let port = Port::bounded(5).dispatcher(by_parity()).spawn().unwrap();
        let (.., even) = telling(&port, Subscribe::new().partition(0));
        port.push_all(vec![1, 3, 5, 7, 9]).unwrap();
        assert!(matches!(port.try_push(11), Err(PushError::Full(11))));
        for n in 0..100 {
            port.push(2 * n).unwrap();
        }
        assert_eq!(take(&even, 100), (0..100).map(|n| 2 * n).collect::<Vec<_>>());
    });
}

#[test]
fn p24_a_backed_up_partition_of_a_producer_does_not_stop_the_others_below_its_bound() {
    watchdog(|| {
        let (counting, demands) = Counting::new();
        let producer = drawgate::producer(counting).dispatcher(by_parity()).buffer_size(5).spawn().unwrap();
        let (.., even) = telling(&producer, Subscribe::new().max_demand(4).partition(0));
        // Five odd ones may stand, and no more is asked for then.
        assert_eq!(take(&even, 5), [0, 2, 4, 6, 8]);
        let told = |()| demands.try_iter().sum::<usize>();
        producer.call(|_, _| ()).unwrap();
        assert_eq!((told(()), producer.buffered(), producer.stats().discarded), (10, 5, 0));
        // Its consumer comes and asks: the others go on.
        let (.., odd) = telling(&producer, Subscribe::new().max_demand(4).partition(1));
        assert_eq!(take(&odd, 100), (0..100).map(|n| 2 * n + 1).collect::<Vec<_>>());
        assert_eq!(take(&even, 90), (5..95).map(|n| 2 * n).collect::<Vec<_>>());
    });
}

#[test]
fn p25_what_waits_when_its_consumer_cancels_is_kept_for_the_next_in_order() {
    watchdog(|| {
        let port = Port::bounded(100).dispatcher(by_parity()).spawn().unwrap();
        let (_, first, slices) = telling(&port, manual().partition(1));
        port.push_all((0..20).collect()).unwrap();
        first.ask(3).unwrap();
        assert_eq!(take(&slices, 3), [1, 3, 5]);
        first.cancel();
        port.push_all((20..30).collect()).unwrap();
        let (_, second, slices) = telling(&port, manual().partition(1));
        second.ask(12).unwrap();
        assert_eq!(take(&slices, 12), (3..15).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

// ---- user code that panics

/// What a stage's failure says.
fn failure(stage: &drawgate::StageRef) -> String {
    stage.join().unwrap_err().reason.to_string()
}

/// A consumer that has drawn one event and waits at its gate, so that what else it asked for stands. It ends with its
/// producer.
fn at_its_gate<E: Send + 'static>(
    producer: &(impl drawgate::Upstream<E> + ?Sized),
) -> (Teller<E>, mpsc::Receiver<Vec<E>>, mpsc::Sender<()>) {
    let (telling, slices, gate) = Telling::gated();
    let consumer = drawgate::consumer(telling).spawn().unwrap();
    consumer.subscribe_with(producer, Subscribe::new().max_demand(10).min_demand(9)).unwrap();
    (consumer, slices, gate)
}

#[test]
fn p26_a_panic_in_a_selector_gives_a_pusher_its_event_back_and_fails_the_port() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let select = |n: &u64| if *n == 3 { panic!("no threes") } else { true };
        let (_, a, all) = telling(&port, manual());
        let (_, b, some) = telling(&port, manual().selector(select));
        a.ask(8).unwrap();
        b.ask(8).unwrap();
        port.push_all(vec![1, 2]).unwrap();
        assert!(matches!(port.push(3), Err(PushError::Closed(3))));
        assert!(matches!(port.push(4), Err(PushError::Closed(4))));
        assert_eq!(failure(&port), "panicked: no threes");
        assert_eq!((take(&all, 2), take(&some, 2)), (vec![1, 2], vec![1, 2]), "what stood is drawn");
        assert_eq!(port.port_stats().pushed, 2);
    });
}

#[test]
fn p26_a_panic_in_a_selector_fails_a_producer_and_leaves_its_lanes_drawable() {
    watchdog(|| {
        let producer =
            drawgate::producer(Quiet::new().0).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn().unwrap();
        let (consumer, slices, gate) = at_its_gate(&producer);
        let select = |n: &u64| if *n == 3 { panic!("no threes") } else { true };
        let (_other, ..) = telling(&producer, Subscribe::new().selector(select).cancel(Cancel::Temporary));
        producer.call(|_, ctx| ctx.extend(1..=4)).unwrap();
        assert_eq!(failure(&producer), "panicked: no threes");
        assert_eq!(producer.stats().lost, 2, "3 and what stood behind it");
        drop(gate);
        assert_eq!(take(&slices, 2), [1, 2]);
        assert_eq!(failure(&consumer), "panicked: no threes", "it hears that after what stood");
    });
}

#[test]
fn p26_a_panic_in_a_selector_that_a_consumer_caused_by_asking_is_not_the_consumers() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let (consumer, subscription, _slices) = telling(&port, manual().selector(|_: &u64| panic!("at once")));
        port.push(1).unwrap(); // held, since nobody has asked
        let _ = subscription.ask(1); // runs the selector on this thread
        assert_eq!(failure(&port), "panicked: at once");
        consumer.call(|_, _| ()).expect("it lives on, as its cancel mode says");
        assert_eq!(port.port_stats().lost, 1);
    });
}

/// Cannot be copied if it is a 3.
#[derive(Debug, PartialEq)]
struct Single(u64);

impl Clone for Single {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 3, "no copies of threes");
        Self(self.0)
    }
}

#[test]
fn p26_an_event_whose_clone_panics_is_given_back_and_reaches_nobody() {
    watchdog(|| {
        let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let consumers = [0; 3].map(|_| telling(&port, Subscribe::new().manual()));
        for (_, subscription, _) in &consumers {
            subscription.ask(8).unwrap();
        }
        port.push_all((1..=2).map(Single).collect()).unwrap();
        assert_eq!(port.push(Single(3)).unwrap_err().into_event(), Single(3));
        assert!(failure(&port).contains("no copies of threes"));
        for (consumer, _, slices) in consumers {
            consumer.join().unwrap_err();
            assert_eq!(take(&slices, 2), [Single(1), Single(2)]);
            assert_eq!(slices.try_iter().count(), 0);
        }
    });
}

/// A key that cannot be hashed if it is a 3.
struct Unhashable(u64);

impl std::hash::Hash for Unhashable {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        assert_ne!(self.0, 3, "no hash of threes");
        state.write_u64(self.0);
    }
}

#[test]
fn p26_a_panic_in_a_hash_gives_a_pusher_its_event_back_and_fails_the_port() {
    watchdog(|| {
        let port = Port::bounded(8).partition_by(1, |n: &u64| Unhashable(*n)).spawn().unwrap();
        port.push_all(vec![1, 2]).unwrap();
        let (telling, slices, gate) = Telling::gated();
        let consumer = drawgate::consumer(telling).spawn().unwrap();
        consumer.subscribe_with(&port, one_by_one().partition(0)).unwrap();
        assert_eq!(slices.recv().unwrap(), [1]);
        assert!(matches!(port.push(3), Err(PushError::Closed(3))));
        assert!(failure(&port).contains("no hash of threes"));
        drop(gate);
        assert_eq!(slices.recv().unwrap(), [2], "what stood is drawn");
        assert!(failure(&consumer).contains("no hash of threes"));
    });
}

#[test]
fn p26_a_panic_in_a_hash_fails_a_producer_and_leaves_its_lanes_drawable() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet::new().0).partition_by(1, |n: &u64| Unhashable(*n)).spawn().unwrap();
        let (telling, slices, gate) = Telling::gated();
        let consumer = drawgate::consumer(telling).spawn().unwrap();
        consumer.subscribe_with(&producer, one_by_one().partition(0)).unwrap();
        producer.call(|_, ctx| ctx.extend([1, 2])).unwrap();
        assert!(producer.call(|_, ctx| ctx.extend([3, 4])).is_err());
        assert!(failure(&producer).contains("no hash of threes"));
        assert_eq!(slices.recv().unwrap(), [1]);
        drop(gate);
        assert_eq!(slices.recv().unwrap(), [2], "what stood is drawn");
        assert!(failure(&consumer).contains("no hash of threes"));
    });
}

/// A dispatcher with one lane for all that panics in one of its methods, once it is told to.
struct Faulty {
    at: &'static str,
    told: Arc<AtomicBool>,
}

impl Faulty {
    fn trip(&self, here: &str) {
        assert!(self.at != here || !self.told.load(SeqCst), "tripped at {here}");
    }
}

impl Dispatcher<u64> for Faulty {
    fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<u64>) -> Result<LaneId, SubscribeError> {
        self.trip("subscribe");
        Ok(LaneId(0))
    }
    fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
        self.trip("cancel");
        Cancelled::KeepForNext
    }
    fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
        self.trip("wanted");
        lanes.iter().map(|lane| lane.unmet.max(0) as usize).sum::<usize>().saturating_sub(held)
    }
    fn choose(&self) -> Choice<u64> {
        let (at, told) = (self.at, self.told.clone());
        match self.at {
            "place" => Choice::Place,
            "route" => Choice::Route(Arc::new(move |_| {
                Faulty { at, told: told.clone() }.trip("route");
                Route::Lane(LaneId(0))
            })),
            _ => Choice::One(LaneId(0)),
        }
    }
    fn place(&mut self, _: &u64, _: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
        self.trip("place");
        targets.put(LaneId(0));
        Ok(())
    }
}

#[test]
fn p26_a_panic_in_a_dispatcher_fails_its_stage_and_leaves_its_lanes_drawable() {
    for at in ["subscribe", "cancel", "wanted", "place", "route"] {
        watchdog(move || {
            let told = Arc::new(AtomicBool::new(false));
            let faulty = Faulty { at, told: told.clone() };
            let producer = drawgate::producer(Quiet::new().0).dispatcher(faulty).spawn().unwrap();
            let (_, other, _slices) = telling(&producer, manual());
            let (consumer, slices, gate) = at_its_gate(&producer);
            producer.call(|_, ctx| ctx.extend(1..=3)).unwrap();
            assert_eq!(slices.recv().unwrap(), [1]);

            told.store(true, SeqCst);
            match at {
                "subscribe" => {
                    let refused = drawgate::for_each(|_: u64| ()).spawn().unwrap().subscribe(&producer);
                    assert!(matches!(refused, Err(SubscribeError::Ended { .. })), "{refused:?}");
                }
                "cancel" => other.cancel(),
                _ => producer.cast(|_, ctx| ctx.emit(4)),
            }
            assert_eq!(failure(&producer), format!("panicked: tripped at {at}"));
            drop(gate);
            assert_eq!(take(&slices, 2), [2, 3], "{at}");
            assert_eq!(failure(&consumer), format!("panicked: tripped at {at}"));
        });
    }
}

#[test]
fn p26_a_panic_in_a_dispatcher_of_a_port_gives_a_pusher_its_event_back() {
    for at in ["place", "route"] {
        watchdog(move || {
            let told = Arc::new(AtomicBool::new(false));
            let port = Port::bounded(8).dispatcher(Faulty { at, told: told.clone() }).spawn().unwrap();
            let (consumer, slices, gate) = at_its_gate(&port);
            port.push_all(vec![1, 2, 3]).unwrap();
            assert_eq!(slices.recv().unwrap(), [1]);
            told.store(true, SeqCst);
            assert!(matches!(port.push(4), Err(PushError::Closed(4))));
            assert_eq!(failure(&port), format!("panicked: tripped at {at}"));
            drop(gate);
            assert_eq!(take(&slices, 2), [2, 3], "{at}");
            assert_eq!(failure(&consumer), format!("panicked: tripped at {at}"));
            let stats = port.port_stats();
            assert_eq!((stats.pushed, stats.drawn, stats.lost), (3, 3, 0));
        });
    }
}

#[test]
fn p26_a_selector_that_calls_its_own_stage_is_detected() {
    type Calls = fn(&Port<u64>);
    let calls: [Calls; 5] = [
        |port| drop(port.try_push(0)),
        |port| drop(port.push(0)),
        |port| _ = port.port_stats(),
        |port| drop(port.join()),
        |port| drop(drawgate::for_each(|_: u64| ()).subscribe_to(port).spawn()),
    ];
    for call in calls {
        watchdog(move || {
            let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
            let own = port.clone();
            let select = move |n: &u64| {
                if *n == 2 {
                    call(&own);
                }
                true
            };
            let (_, subscription, slices) = telling(&port, manual().selector(select));
            subscription.ask(8).unwrap();
            port.push(1).unwrap();
            assert!(matches!(port.push(2), Err(PushError::Closed(2))));
            let failure = failure(&port);
            assert!(failure.contains("dispatcher called a stage"), "{failure}");
            assert_eq!(slices.recv().unwrap(), [1]);
        });
    }
}

// ---- the kit for dispatchers

mod kit {
    use super::*;
    use drawgate::dispatch::BroadcastDispatcher;
    use drawgate::testing::check_dispatcher;

    /// Fills its consumers up in the order in which they came; with a fault, if one is asked for.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        /// Asks for more each time it is asked.
        Greedy,
        /// Asks for nothing.
        Idle,
        /// Puts each event twice into a lane.
        Twice,
        /// Lets no event through.
        Holds,
        Panics,
    }
    struct Overflow {
        taken: Vec<bool>,
        fault: Fault,
        asked: std::cell::Cell<usize>,
    }
    impl Overflow {
        fn with(fault: Fault) -> Self {
            Self { taken: Vec::new(), fault, asked: 0.into() }
        }
    }
    impl Dispatcher<u64> for Overflow {
        fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<u64>) -> Result<LaneId, SubscribeError> {
            let lane = self.taken.iter().position(|taken| !taken).unwrap_or(self.taken.len());
            self.taken.resize(self.taken.len().max(lane + 1), false);
            self.taken[lane] = true;
            Ok(LaneId(lane as u32))
        }
        fn cancel(&mut self, _: SubId, lane: LaneId) -> Cancelled {
            self.taken[lane.0 as usize] = false;
            Cancelled::Drop
        }
        fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
            self.asked.set(self.asked.get() + 1);
            let unmet = lanes.iter().filter(|lane| lane.consumers > 0).map(|lane| lane.unmet.max(0) as usize);
            match self.fault {
                Fault::Greedy => self.asked.get(),
                Fault::Idle => 0,
                _ => unmet.sum::<usize>().saturating_sub(held),
            }
        }
        fn choose(&self) -> Choice<u64> {
            Choice::Place
        }
        fn place(&mut self, event: &u64, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
            assert!(self.fault != Fault::Panics || event % 10 < 9, "no nines");
            let first = lanes.iter().find(|lane| lane.consumers > 0 && lane.unmet > 0);
            match first {
                Some(first) if self.fault != Fault::Holds => {
                    targets.put(first.lane);
                    if self.fault == Fault::Twice {
                        targets.put(first.lane);
                    }
                }
                _ => targets.hold(),
            }
            Ok(())
        }
        fn duplicate(&self, event: &u64) -> Option<u64> {
            Some(*event)
        }
    }

    /// What the kit says of it.
    fn said_of(fault: Fault) -> String {
        let check = move || check_dispatcher(|| Overflow::with(fault), |n| n, |n| *n, |_| Subscribe::new());
        match std::panic::catch_unwind(check) {
            Ok(()) => String::new(),
            Err(message) => message.downcast_ref::<String>().cloned().unwrap(),
        }
    }

    #[test]
    fn the_dispatchers_of_the_crate_pass_the_kit() {
        check_dispatcher(DemandDispatcher::new, |n| n, |n: &u64| *n, |_| Subscribe::new());
        check_dispatcher(BroadcastDispatcher::new, |n| n, |n: &u64| *n, |_| Subscribe::new());
        let odd = |n: &u64| n % 2 == 1;
        check_dispatcher(
            BroadcastDispatcher::new,
            |n| n,
            |n: &u64| *n,
            |i| match i {
                0 => Subscribe::new().selector(odd),
                _ => Subscribe::new(),
            },
        );
        let by_eight = || PartitionDispatcher::by_index(8, |n: &u64| Some(*n as usize % 8).filter(|n| *n != 5));
        check_dispatcher(by_eight, |n| n, |n: &u64| *n, |consumer| Subscribe::new().partition(consumer));
    }

    #[test]
    fn a_dispatcher_of_a_users_passes_the_kit() {
        assert_eq!(said_of(Fault::None), "");
    }

    #[test]
    fn the_kit_finds_what_is_wrong_with_a_dispatcher() {
        for (fault, says) in [
            (Fault::Greedy, "it wants more"),
            (Fault::Idle, "the producer is asked for nothing"),
            (Fault::Twice, "got an event twice"),
            (Fault::Holds, "events are held back"),
            (Fault::Panics, "the dispatcher failed: panicked: no nines"),
        ] {
            let said = said_of(fault);
            assert!(said.contains(says), "{says}: {said:?}");
        }
    }
}
