//! F3 under switches: demand held back and released, manual demand and back, a subscription in the place of another, and
//! the first draw, which waits for the producer to have heard of the consumer.

use super::demand::consume;
use super::*;
use crate::link::News;
use crate::link::dispatch::PartitionDispatcher;

/// A stage whose own outlet tells it who subscribes.
fn told_of_subscribers(id: u64, dispatcher: impl Dispatcher<E>) -> Stage {
    let mut stage = Stage::new(id);
    let options = Options { news: true, ..options(Side::Grants, None, dispatcher) };
    stage.own = Some(Outlet::new(options, Hooks::default(), stage.inbox.mail.latch(), awake()));
    stage
}

/// Answers demand with the next of `all` numbers, and confirms who subscribes.
fn produce(mut producer: Stage, all: usize) -> JoinHandle<Stage> {
    spawn(move || {
        let mut next = 0;
        while next < all {
            let Got::Told(told) = producer.next() else { panic!("it draws from nobody and gets no mail") };
            for news in told.news {
                if let News::Subscribed(peer) = news {
                    producer.outlet().confirm(peer.sub);
                }
            }
            let until = all.min(next + told.granted);
            if until > next {
                producer.emit((next..until).map(|n| n as E));
            }
            next = until;
        }
        producer
    })
}

#[test]
fn a_release_of_demand_wakes_the_producer() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        outlet.switch(DemandMode::Accumulate);
        let consumer = Stage::new(2).subscribed(&outlet, slices_of(1));
        let threads = [produce(producer, 1), consume(consumer, vec![0])];
        outlet.switch(DemandMode::Forward);
        join(threads);
    });
}

#[test]
fn a_release_of_demand_wakes_consumers_for_what_was_held_back() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        outlet.switch(DemandMode::Accumulate);
        let consumer = Stage::new(2).subscribed(&outlet, slices_of(1));
        emit(&outlet, [0]);
        let consumes = consume(consumer, vec![0]);
        outlet.switch(DemandMode::Forward);
        join([consumes]);
    });
}

#[test]
fn a_consumer_draws_what_stands_once_the_producer_has_heard_of_it() {
    explore(|| {
        let mut producer = told_of_subscribers(1, DemandDispatcher::new());
        let consumer = Stage::new(2).subscribed(&producer.outlet(), slices_of(1));
        producer.emit([0]);
        let consumes = consume(consumer, vec![0, 0]);
        join([produce(producer, 1), consumes]);
    });
}

#[test]
fn an_end_lets_a_consumer_draw_that_the_producer_never_heard_of() {
    explore(|| {
        let producer = told_of_subscribers(1, DemandDispatcher::new());
        let consumer = Stage::new(2).subscribed(&producer.outlet(), slices_of(1));
        emit(&producer.outlet(), [0]);
        let consumes = consume(consumer, vec![0]);
        assert!(producer.outlet().end(ExitReason::Normal).is_empty());
        join([consumes]);
    });
}

#[test]
fn a_consumer_that_is_switched_back_from_manual_demand_asks() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let mut consumer = Stage::new(2);
        let sub = consumer.subscribe(&outlet, slices_of(1).manual());
        let threads = [produce(producer, 1), consume(consumer, vec![0])];
        assert!(outlet.set_manual(sub, false));
        join(threads);
    });
}

/// It was woken for an event, and comes for the switch instead: another takes the event.
#[test]
fn a_wake_is_handed_on_when_its_owner_is_switched_to_manual_demand() {
    explore(|| {
        let port = port(2);
        let mut first = Stage::new(1);
        let sub = first.subscribe(&port, slices_of(1));
        let second = Stage::new(2).subscribed(&port, slices_of(1));
        let fates = Fates::default();
        let threads = [first, second].map(|mut stage| {
            let fates = fates.clone();
            spawn(move || {
                while let Some(events) = stage.handle_next() {
                    fates.met(events);
                }
            })
        });
        let switches = spawn({
            let port = port.clone();
            move || port.set_manual(sub, true)
        });
        push(&port, 0);
        push(&port, 1);
        join([switches]);
        port.close();
        assert!(port.end_port(ExitReason::Done, true).is_empty());
        join(threads);
        fates.are_one_each_of(&[0, 1]);
    });
}

/// The same consumer takes its partition again, for other numbers, while events come.
#[test]
fn a_subscription_takes_the_place_of_another_and_nothing_is_lost() {
    explore(|| {
        let port = outlet_with(Side::Port, Some(4), &nobody(), PartitionDispatcher::by_index(1, |_: &E| Some(0)));
        let mut consumer = Stage::new(1);
        let old = consumer.subscribe(&port, slices_of(1).partition(0));
        let pushes = spawn({
            let port = port.clone();
            move || {
                push(&port, 0);
                push(&port, 1);
            }
        });
        let options = slices_of(2).partition(0);
        let new = Link::replacing(old, port.clone(), &options, consumer.who(&Name::from("c"))).unwrap();
        consumer.inbox.links.push(new);
        let consumer = consume(consumer, vec![0, 1]);
        join([pushes]);
        join([consumer]);
    });
}
