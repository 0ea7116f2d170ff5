//! Notifications where they are least plain: under cancel, resubscribe, other dispatchers, demand held back.

use crate::support::{Quiet, watchdog};
use drawgate::dispatch::{BroadcastDispatcher, Dispatcher, PartitionDispatcher};
use drawgate::prelude::*;
use drawgate::stage::{Cancel, DemandMode, Notification};
use drawgate::{Nothing, Subscription};
use std::sync::{Arc, mpsc};

/// What a consumer heard, in order.
#[derive(Debug, PartialEq)]
enum Heard {
    Event(u64),
    Note(u32),
}
use Heard::{Event, Note};

struct Hears(mpsc::Sender<Heard>);
impl Consumer for Hears {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        events.for_each(|event| self.0.send(Event(event)).unwrap());
        Ok(())
    }
    fn handle_notification(&mut self, note: &Notification, _: &mut Context<'_>) -> anyhow::Result<()> {
        if let Notification::Custom(note) = note {
            self.0.send(Note(*note.downcast_ref().unwrap()))?;
        }
        Ok(())
    }
}

fn note(n: u32) -> Notification {
    Notification::Custom(Arc::new(n))
}

type Hearer = Handle<u64, Nothing, Hears>;

fn hearer() -> (Hearer, mpsc::Receiver<Heard>) {
    let (tell, told) = mpsc::channel();
    (drawgate::consumer(Hears(tell)).spawn().unwrap(), told)
}

fn temporary() -> Subscribe<u64> {
    Subscribe::new().cancel(Cancel::Temporary)
}

/// What came until now; all of it is handled.
fn heard(consumer: &Hearer, told: &mpsc::Receiver<Heard>) -> Vec<Heard> {
    consumer.call(|_, _| ()).unwrap();
    consumer.call(|_, _| ()).unwrap();
    told.try_iter().collect()
}

fn producer(dispatcher: impl Dispatcher<u64>) -> Handle<Nothing, u64, Quiet> {
    drawgate::producer(Quiet::new().0).dispatcher(dispatcher).spawn().unwrap()
}

#[test]
fn p34_a_consumer_that_was_cancelled_hears_no_more_and_others_do() {
    watchdog(|| {
        let producer = producer(BroadcastDispatcher::new());
        let ((stays, told), (leaves, silent)) = (hearer(), hearer());
        stays.subscribe(&producer).unwrap();
        let subscription = leaves.subscribe_with(&producer, temporary()).unwrap();
        producer.call(|_, _| ()).unwrap(); // has heard of both
        producer.notify(&note(1)).unwrap();
        assert_eq!((told.recv().unwrap(), silent.recv().unwrap()), (Note(1), Note(1)));
        subscription.cancel();
        producer.notify(&note(2)).unwrap();
        assert_eq!(told.recv().unwrap(), Note(2));
        assert_eq!(heard(&leaves, &silent), []);
    });
}

#[test]
fn p34_what_stands_for_the_old_subscription_is_not_heard_through_the_new_one() {
    watchdog(|| {
        let (first, second) = (producer(BroadcastDispatcher::new()), producer(BroadcastDispatcher::new()));
        let (consumer, told) = hearer();
        let old: Subscription = consumer.subscribe(&first).unwrap();
        first.call(|_, _| ()).unwrap();
        first.notify(&note(1)).unwrap();
        assert_eq!(told.recv().unwrap(), Note(1));
        consumer.resubscribe(&old, &second, Subscribe::new()).unwrap();
        second.call(|_, _| ()).unwrap();
        first.notify(&note(2)).unwrap();
        second.notify(&note(3)).unwrap();
        assert_eq!(told.recv().unwrap(), Note(3));
        assert_eq!(heard(&consumer, &told), []);
    });
}

#[test]
fn p34_on_the_same_partition_the_new_one_hears_in_place_what_stands_there() {
    watchdog(|| {
        let producer = producer(PartitionDispatcher::by_index(1, |_: &u64| Some(0)));
        let (consumer, told) = hearer();
        let old = consumer.subscribe_with(&producer, Subscribe::new().partition(0).manual()).unwrap();
        producer
            .call(|_, ctx| {
                ctx.emit(1);
                ctx.notify(&note(2));
                ctx.emit(3);
            })
            .unwrap();
        consumer.resubscribe(&old, &producer, Subscribe::new().partition(0)).unwrap();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [Event(1), Note(2), Event(3)]);
    });
}

#[test]
fn p34_with_demand_held_back_they_keep_their_place_behind_what_is_held_too() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet::new().0).demand_mode(DemandMode::Accumulate).spawn().unwrap();
        let (consumer, told) = hearer();
        consumer.subscribe(&producer).unwrap();
        producer
            .call(|_, ctx| {
                ctx.emit(1);
                ctx.notify(&note(2));
            })
            .unwrap();
        assert_eq!(heard(&consumer, &told), []);
        producer.notify(&note(3)).unwrap();
        producer.set_demand_mode(DemandMode::Forward).unwrap();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [Event(1), Note(2), Note(3)]);
    });
}
