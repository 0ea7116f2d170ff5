//! Demand: what is delivered, granted, taken back, offset, and asked for again.

use super::*;
use crate::link::dispatch::{BroadcastDispatcher, PartitionDispatcher};
use loom::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

/// A producer that answers demand with the next numbers, and ends its thread once it has emitted `all`.
pub(super) fn produce(
    mut producer: Stage,
    all: usize,
    mut emitted: impl FnMut(usize) + Send + 'static,
) -> JoinHandle<Stage> {
    spawn(move || {
        let mut next = 0;
        while next < all {
            let Got::Told(told) = producer.next() else { panic!("it draws from nobody and gets no mail") };
            let until = next + told.granted;
            emitted(until);
            producer.emit((next..until).map(|n| n as E));
            next = until;
        }
        producer
    })
}

/// A consumer that handles `all` events, in order.
pub(super) fn consume(mut consumer: Stage, all: Vec<E>) -> JoinHandle<Stage> {
    spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < all.len() {
            seen.extend(consumer.handle_next().unwrap());
        }
        assert_eq!(seen, all);
        consumer
    })
}

/// F1. Two consumers that ask by hand, one of them from elsewhere, and more events than they asked for.
#[test]
fn delivered_never_exceeds_asked() {
    explore(|| {
        let port = port(4);
        let mut stages = [Stage::new(1), Stage::new(2)];
        let subs = stages.each_mut().map(|stage| stage.subscribe(&port, slices_of(4).manual()));
        let asked = Arc::new([1, 0].map(AtomicUsize::new));
        port.ask(subs[0], 1);
        let threads = stages.map(|mut stage| {
            let (asked, me) = (asked.clone(), stage.id as usize - 1);
            spawn(move || {
                let mut delivered = 0;
                while let Some(events) = stage.handle_next() {
                    delivered += events.len();
                    assert!(delivered <= asked[me].load(Relaxed), "consumer {me}: {delivered}");
                }
                delivered
            })
        });
        let asks = spawn({
            let (port, asked) = (port.clone(), asked.clone());
            move || {
                for _ in 0..2 {
                    asked[1].fetch_add(1, Relaxed);
                    port.ask(subs[1], 1);
                }
            }
        });
        for event in 0..3 {
            push(&port, event);
        }
        join([asks]);
        assert!(port.end(ExitReason::Done).is_empty());
        assert_eq!(join(threads), [1, 2]);
    });
}

/// F1: of each consumer at most `max_demand` events are asked for and not yet handled.
#[test]
fn demand_never_exceeds_max() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let consumer = Stage::new(2).subscribed(&producer.outlet(), Subscribe::new().max_demand(2).min_demand(1));
        let handled = Arc::new(AtomicUsize::new(0));
        let produces = produce(producer, 3, {
            let handled = handled.clone();
            move |emitted| assert!(emitted <= handled.load(Relaxed) + 2)
        });
        let mut consumer = consumer;
        while handled.load(Relaxed) < 3 {
            let Got::Slice(link, events) = consumer.next() else { panic!("nothing ends") };
            assert_eq!(events.len(), 1);
            handled.fetch_add(1, Relaxed);
            consumer.inbox.handled(link, 1);
        }
        join([produces]);
    });
}

/// F1: granted exactly once, however the consumer's asks and the producer's looks fall.
#[test]
fn demand_is_never_granted_twice() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let subs = [2, 3].map(|id| somebody(&outlet, slices_of(4), id));
        let asks = subs.map(|sub| {
            let outlet = outlet.clone();
            spawn(move || {
                outlet.ask(sub, 1);
            })
        });
        let mut granted = 0;
        let mut producer = producer;
        while granted < 2 {
            let Got::Told(told) = producer.next() else { panic!("it draws from nobody and gets no mail") };
            granted += told.granted;
        }
        join(asks);
        assert_eq!(granted + outlet.tell(false).granted, 2);
    });
}

/// F5: nothing is granted for a consumer that left. What it had asked for and nobody had collected is taken back.
#[test]
fn cancel_returns_unused_demand() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let [leaves, stays] = [1, 2].map(|id| somebody(&outlet, slices_of(4), id));
        outlet.ask(leaves, 2);
        let has_left = Arc::new(AtomicBool::new(false));
        let consumers = spawn({
            let (outlet, has_left) = (outlet.clone(), has_left.clone());
            move || {
                outlet.leave(leaves, false, CancelReason::Cancelled);
                has_left.store(true, Release);
                outlet.ask(stays, 1);
            }
        });
        let (mut before, mut after) = (0, 0);
        for _ in 0..2 {
            let is_after = has_left.load(Acquire);
            let granted = outlet.tell(true).granted;
            *(if is_after { &mut after } else { &mut before }) += granted;
        }
        join([consumers]);
        after += outlet.tell(false).granted;
        // Collected in time: offset against what the other asks for. Too late: only that.
        assert_eq!(before + after, before.max(1));
        assert!(after <= 1);
    });
}

/// F5. Whether what the consumer that leaves had asked for was collected and emitted, or not: the other gets the three it
/// asks for, and nothing more is granted.
#[test]
fn what_was_told_already_is_offset_against_later_asks() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let leaves = somebody(&outlet, slices_of(4), 3);
        outlet.ask(leaves, 2);
        let consumer = Stage::new(2).subscribed(&outlet, Subscribe::new().max_demand(4).manual());
        let stays = consumer.inbox.links[0].sub;
        let produces = produce(producer, 3, |_| ());
        let consumes = consume(consumer, vec![0, 1, 2]);
        outlet.leave(leaves, false, CancelReason::Cancelled);
        outlet.ask(stays, 3);
        let threads = join([produces, consumes]);
        assert_eq!((outlet.tell(false).granted, outlet.figures().standing), (0, 0));
        drop(threads);
    });
}

/// F3. The producer sleeps until somebody asks; the first to do so may have left before it wakes up.
#[test]
fn a_grant_wakes_an_idle_producer_whatever_was_taken_back() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let [leaves, stays] = [2, 3].map(|id| somebody(&outlet, slices_of(4), id));
        let produces = produce(producer, 1, |_| ());
        outlet.ask(leaves, 1);
        outlet.leave(leaves, false, CancelReason::Cancelled);
        outlet.ask(stays, 1);
        join([produces]);
    });
}

/// F3. A source is not granted numbers: it emits while anything is wanted.
#[test]
fn a_source_is_woken_when_something_is_wanted() {
    explore(|| {
        let mut source = Stage::emitting(1, Side::Gate);
        source.inbox.is_source = true;
        let below = Stage::new(2).subscribed(&source.outlet(), slices_of(1));
        let emits = spawn(move || {
            for event in [0, 1] {
                let Got::Told(told) = source.next() else { panic!("it draws from nobody and gets no mail") };
                assert!(told.wanted > 0);
                source.emit([event]);
            }
            source
        });
        join([consume(below, vec![0, 1]), emits]);
    });
}

/// F3. The router drops the first event.
#[test]
fn a_discarded_event_is_asked_for_again() {
    explore(|| {
        let router = PartitionDispatcher::by_index(1, |event: &E| (*event > 0).then_some(0));
        let producer = Stage::emitting_by(1, Side::Grants, router);
        let consumer = Stage::new(2).subscribed(&producer.outlet(), slices_of(1).partition(0));
        let produces = produce(producer, 2, |_| ());
        join([produces, consume(consumer, vec![1])]);
    });
}

/// F3. Each of two consumers selects half of the events.
#[test]
fn an_event_that_a_selector_drops_is_asked_for_again() {
    explore(|| {
        let producer = Stage::emitting_by(1, Side::Grants, BroadcastDispatcher::new());
        let consumers = [0, 1].map(|rest| {
            let options = slices_of(2).selector(move |event: &E| *event > 0 && event % 2 == rest);
            Stage::new(2 + u64::from(rest)).subscribed(&producer.outlet(), options)
        });
        let produces = produce(producer, 3, |_| ());
        let [even, odd] = consumers;
        join([produces, consume(even, vec![2]), consume(odd, vec![1])]);
    });
}

/// F3: to everybody, at the pace of the slowest, who here asks last.
#[test]
fn a_broadcast_event_reaches_everybody_who_asked() {
    explore(|| {
        let producer = Stage::emitting_by(1, Side::Grants, BroadcastDispatcher::new());
        let outlet = producer.outlet();
        let [eager, mut slow] = [2, 3].map(Stage::new);
        let eager = eager.subscribed(&outlet, slices_of(1));
        let asks_late = slow.subscribe(&outlet, slices_of(1).manual());
        let threads = [produce(producer, 1, |_| ()), consume(eager, vec![0]), consume(slow, vec![0])];
        outlet.ask(asks_late, 1);
        join(threads);
    });
}

/// F3: an event that came before anybody asked is held, and placed by whichever ask is the last.
#[test]
fn a_broadcast_event_is_held_until_everybody_has_asked() {
    explore(|| {
        let port = outlet_with(Side::Port, Some(1), &nobody(), BroadcastDispatcher::new());
        let mut consumers = [1, 2].map(Stage::new);
        let subs = consumers.each_mut().map(|consumer| consumer.subscribe(&port, slices_of(1).manual()));
        let threads = consumers.map(|consumer| consume(consumer, vec![0]));
        push(&port, 0);
        let asks = spawn({
            let port = port.clone();
            move || port.ask(subs[0], 1)
        });
        port.ask(subs[1], 1);
        join([asks]);
        join(threads);
    });
}

/// One of two to whom a producer broadcasts asks for nothing, until it goes.
fn goes_while_another_waits(go: fn(&Outlet<E>, SubId)) {
    explore(move || {
        let producer = Stage::emitting_by(1, Side::Grants, BroadcastDispatcher::new());
        let outlet = producer.outlet();
        let slow = somebody(&outlet, slices_of(1), 3);
        let eager = Stage::new(2).subscribed(&outlet, slices_of(1));
        let threads = [produce(producer, 1, |_| ()), consume(eager, vec![0])];
        go(&outlet, slow);
        join(threads);
    });
}

/// F3.
#[test]
fn a_slow_consumer_that_leaves_holds_nobody_back() {
    goes_while_another_waits(|outlet, slow| outlet.leave(slow, false, CancelReason::Cancelled));
}

/// F3.
#[test]
fn a_slow_consumer_that_is_cancelled_holds_nobody_back() {
    goes_while_another_waits(|outlet, slow| assert!(outlet.cancel(slow, CancelReason::Cancelled)));
}

/// F3. A consumer with manual demand sleeps beside an event, until somebody asks on its behalf.
#[test]
fn an_ask_from_elsewhere_wakes_a_consumer_that_had_asked_for_nothing() {
    explore(|| {
        let port = port(1);
        let mut consumer = Stage::new(1);
        let sub = consumer.subscribe(&port, slices_of(1).manual());
        let consumes = consume(consumer, vec![0]);
        let asks = spawn({
            let port = port.clone();
            move || assert!(port.ask(sub, 1))
        });
        push(&port, 0);
        join([asks]);
        join([consumes]);
    });
}

/// F3. Nobody draws from the stage in the middle, so it draws nothing; but what it may hold is made ready for it.
#[test]
fn a_stage_with_a_closed_gate_asks_all_the_same() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let mut middle = Stage::emitting(2, Side::Gate).subscribed(&producer.outlet(), slices_of(1));
        let stop = middle.mail();
        let produces = produce(producer, 1, |_| ());
        let draws = spawn(move || {
            assert_eq!(middle.handle_next(), None);
            middle
        });
        let threads = join([produces]);
        assert_eq!(threads[0].outlet().figures().standing, 1);
        stop.post(Letter::Stop).unwrap();
        join([draws]);
    });
}

/// F3. The consumer below leaves right after the stage in the middle emitted, before it looks at its latch again.
#[test]
fn a_stage_whose_last_consumer_leaves_hears_of_it() {
    explore(|| {
        let port = port(1);
        let mut middle = Stage::emitting(1, Side::Gate).subscribed(&port, slices_of(1));
        middle.inbox.ends_abandoned = true;
        let own = middle.outlet();
        let below = somebody(&own, slices_of(1), 3);
        own.ask(below, 4);
        let emits = spawn(move || {
            loop {
                match middle.next() {
                    Got::Slice(link, events) => {
                        middle.inbox.handled(link, events.len());
                        middle.emit(events);
                    }
                    Got::Told(told) => {
                        assert!(told.abandoned);
                        return middle;
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        push(&port, 0);
        own.leave(below, false, CancelReason::Cancelled);
        join([emits]);
    });
}

/// F3. A grant and the news of a subscriber come with an emit, and mail comes before the next round.
#[test]
fn what_an_emit_was_told_outlives_the_mail_that_comes_first() {
    explore(|| {
        let mut producer = Stage::new(1);
        let own = options(Side::Grants, None, DemandDispatcher::new());
        let own = Outlet::new(Options { news: true, ..own }, Hooks::default(), producer.inbox.mail.latch(), awake());
        producer.own = Some(own.clone());
        let mail = producer.mail();
        let produces = spawn(move || {
            let (mut granted, mut news, mut letters) = (0, 0, 0);
            producer.emit([]);
            while (granted, news, letters) != (1, 1, 1) {
                match producer.next() {
                    Got::Told(told) => {
                        granted += told.granted;
                        news += told.news.len();
                        producer.emit([]);
                    }
                    Got::Mail(read) => letters += read.len(),
                    other => panic!("{other:?}"),
                }
            }
            producer
        });
        let subscribes = spawn(move || {
            let sub = somebody(&own, slices_of(1), 3);
            own.ask(sub, 1);
        });
        mail.post(Letter::Number(1)).unwrap();
        join([subscribes]);
        join([produces]);
    });
}
