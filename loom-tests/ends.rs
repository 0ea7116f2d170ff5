//! Ends: of outlets, of subscriptions, of consumers that fail; and what becomes of what is left.

use super::*;
use crate::error::SubscribeError;
use crate::link::dispatch::{Arriving, BroadcastDispatcher, Cancelled, Choice, LaneId, LaneView, Targets};

/// Handles what comes until all it draws from has ended.
fn handles_all(mut consumer: Stage, fates: &Fates) -> JoinHandle<Stage> {
    let fates = fates.clone();
    spawn(move || {
        while let Some(events) = consumer.handle_next() {
            fates.met(events);
        }
        consumer
    })
}

/// F6. One of them has the last slice in hand when the others look.
#[test]
fn an_end_reaches_everybody_who_shares_the_lane() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let fates = Fates::default();
        let consumers = [1, 2].map(|id| handles_all(Stage::new(id).subscribed(&outlet, slices_of(1)), &fates));
        emit(&outlet, [0]);
        assert!(outlet.end(ExitReason::Done).is_empty());
        join(consumers);
        fates.are_one_each_of(&[0]);
    });
}

/// F6, F4: the end of a finite graph travels down behind the last event.
#[test]
fn an_end_travels_down_behind_the_last_event() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let mut middle = Stage::emitting(1, Side::Gate).subscribed(&outlet, slices_of(1));
        let fates = Fates::default();
        let below = handles_all(Stage::new(2).subscribed(&middle.outlet(), slices_of(1)), &fates);
        let passes_on = spawn(move || {
            while let Some(events) = middle.handle_next() {
                middle.emit(events);
            }
            assert!(middle.outlet().end(ExitReason::Done).is_empty());
            middle
        });
        emit(&outlet, [0]);
        assert!(outlet.end(ExitReason::Done).is_empty());
        join([passes_on, below]);
        fates.are_one_each_of(&[0]);
    });
}

/// F6. Nobody draws from the stage.
#[test]
fn an_end_reaches_a_stage_whose_gate_is_closed() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let mut stage = Stage::emitting(1, Side::Gate).subscribed(&outlet, slices_of(1));
        let hears = spawn(move || {
            assert!(matches!(stage.next(), Got::Ended(..)));
            stage
        });
        outlet.end(ExitReason::Done);
        join([hears]);
    });
}

/// F6. C1 has handled the last slice and goes on to a letter, whose closure may last for ever.
#[test]
fn an_end_does_not_wait_for_mail_of_whoever_handled_the_last_slice() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let [mut c1, mut c2] = [1, 2].map(|id| Stage::new(id).subscribed(&outlet, slices_of(1)));
        let (mail, heard) = (c1.mail(), Tally::new());
        let first = spawn({
            let heard = heard.clone();
            move || {
                loop {
                    match c1.next() {
                        Got::Slice(link, events) => c1.inbox.handled(link, events.len()),
                        Got::Mail(_) => heard.wait_for(1),
                        Got::Ended(..) => return c1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
        let second = spawn(move || {
            while c2.handle_next().is_some() {}
            heard.add(1);
            c2
        });
        emit(&outlet, [0]);
        outlet.end(ExitReason::Done);
        let _ = mail.post(Letter::Number(1));
        join([first, second]);
    });
}

/// F6. The same, but C1 goes on to an event of another outlet.
#[test]
fn an_end_does_not_wait_for_the_next_slice_of_whoever_handled_the_last() {
    explore(|| {
        let outlets = [(); 2].map(|()| outlet(Side::Grants, None, &nobody()));
        let mut c1 = Stage::new(1);
        for outlet in &outlets {
            c1.subscribe(outlet, slices_of(1));
        }
        let mut c2 = Stage::new(2).subscribed(&outlets[0], slices_of(1));
        let heard = Tally::new();
        let first = spawn({
            let heard = heard.clone();
            move || {
                loop {
                    match c1.next() {
                        Got::Slice(_, events) if events == [1] => break,
                        Got::Slice(link, events) => c1.inbox.handled(link, events.len()),
                        _ => {}
                    }
                }
                heard.wait_for(1);
                c1
            }
        });
        let second = spawn(move || {
            while c2.handle_next().is_some() {}
            heard.add(1);
            c2
        });
        emit(&outlets[0], [0]);
        outlets[0].end(ExitReason::Done);
        emit(&outlets[1], [1]);
        join([first, second]);
    });
}

/// F2, F6. A consumer fails, gives its slice back, and then lasts for ever in `terminate`; another handles it.
#[test]
fn a_slice_given_back_after_the_end_is_handled_by_another() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let [mut fails, mut other] = [1, 2].map(|id| Stage::new(id).subscribed(&outlet, slices_of(1)));
        let handled = Tally::new();
        let failing = spawn({
            let handled = handled.clone();
            move || {
                if let Got::Slice(link, events) = fails.next() {
                    fails.inbox.give_back(link, events, 0);
                    handled.wait_for(1);
                    fails.fail();
                }
                fails
            }
        });
        let handling = spawn(move || {
            let mut events = Vec::new();
            while let Some(more) = other.handle_next() {
                handled.add(more.len());
                events.extend(more);
            }
            assert_eq!(events, [0]);
            other
        });
        emit(&outlet, [0]);
        assert!(outlet.end(ExitReason::Done).is_empty());
        join([failing, handling]);
    });
}

/// F4.
#[test]
fn what_is_given_back_is_drawn_before_what_came_later() {
    explore(|| {
        let port = port(2);
        let [mut fails, mut other] = [1, 2].map(|id| Stage::new(id).subscribed(&port, slices_of(1)));
        let (stop, took) = (other.mail(), Tally::new());
        push(&port, 0);
        push(&port, 1);
        let failing = spawn({
            let took = took.clone();
            move || {
                let Got::Slice(link, events) = fails.next() else { panic!("two events and nobody else") };
                fails.inbox.give_back(link, events, 0);
                fails.fail();
                took.add(1);
                fails
            }
        });
        took.wait_for(1);
        assert_eq!([other.handle_next(), other.handle_next()], [Some(vec![0]), Some(vec![1])]);
        drop(stop);
        join([failing]);
    });
}

/// F2. What nobody is subscribed to take is handed back; a subscriber that came in time gets it.
#[test]
fn an_event_that_stands_at_the_end_is_delivered_or_handed_back() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let fates = Fates::default();
        let comes = spawn({
            let (outlet, fates) = (outlet.clone(), fates.clone());
            move || {
                let mut consumer = Stage::new(1);
                let subscribed = consumer.try_subscribe(&outlet, slices_of(1)).is_some();
                if subscribed {
                    fates.met(consumer.handle_next().expect("it came before the end"));
                }
                consumer
            }
        });
        emit(&outlet, [0]);
        fates.met(outlet.end(ExitReason::Done));
        join([comes]);
        fates.are_one_each_of(&[0]);
    });
}

/// F2. The last consumer leaves without having drawn, before the end or after it.
#[test]
fn an_event_that_nobody_is_left_to_draw_is_handed_back_or_counted() {
    explore(|| {
        let outlet = outlet(Side::Grants, None, &nobody());
        let mut consumer = Stage::new(1).subscribed(&outlet, slices_of(1));
        emit(&outlet, [0]);
        let leaves = spawn(move || {
            consumer.leave();
            consumer
        });
        let handed_back = outlet.end(ExitReason::Done).len() as u64;
        join([leaves]);
        assert_eq!(handed_back + outlet.figures().counts.lost, 1);
        assert_eq!(outlet.figures().standing, 0);
    });
}

/// F2. A consumer fails whose subscription is cancelled at the same time, and nobody else draws from its lane: what it
/// gives back was dispatched to it alone.
#[test]
fn a_slice_given_back_by_a_consumer_that_was_cancelled_is_counted() {
    explore(|| {
        let port = outlet_with(Side::Port, Some(2), &nobody(), BroadcastDispatcher::new());
        let mut consumer = Stage::new(1);
        let sub = consumer.subscribe(&port, slices_of(1));
        let fails = spawn(move || {
            let got = consumer.next();
            let drew = matches!(got, Got::Slice(..));
            if let Got::Slice(link, events) = got {
                consumer.inbox.give_back(link, events, 0);
            }
            consumer.fail();
            drew
        });
        push(&port, 0);
        port.cancel(sub, CancelReason::Cancelled);
        let drew = join([fails]) == [true];
        let figures = port.figures();
        assert_eq!(figures.standing as u64 + figures.counts.discarded + figures.counts.lost, 1);
        assert!(!drew || figures.standing == 0, "the next consumer would get it");
    });
}

/// F6: once.
#[test]
fn a_consumer_that_is_cancelled_hears_of_it_once() {
    explore(|| {
        let port = port(1);
        let mut consumer = Stage::new(1);
        let sub = consumer.subscribe(&port, slices_of(1));
        let hears = spawn(move || {
            assert!(matches!(consumer.next(), Got::Ended(0, CancelReason::Cancelled)));
            consumer
        });
        let cancels = spawn({
            let port = port.clone();
            move || port.cancel(sub, CancelReason::Cancelled)
        });
        let mine = port.cancel(sub, CancelReason::Cancelled);
        assert!(mine != join([cancels])[0]);
        join([hears]);
    });
}

/// F6, F2. Events are held before the lanes of an outlet that has ended, and its dispatcher fails at one of them.
#[test]
fn an_end_is_heard_though_the_dispatcher_fails_after_it() {
    struct Fails(BroadcastDispatcher);
    impl Dispatcher<E> for Fails {
        fn subscribe(&mut self, consumer: &Arriving<'_>, options: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
            self.0.subscribe(consumer, options)
        }
        fn cancel(&mut self, consumer: SubId, lane: LaneId) -> Cancelled {
            Dispatcher::<E>::cancel(&mut self.0, consumer, lane)
        }
        fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
            Dispatcher::<E>::wanted(&self.0, held, lanes)
        }
        fn choose(&self) -> Choice<E> {
            Choice::Place
        }
        fn place(&mut self, event: &E, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
            anyhow::ensure!(*event == 0 || lanes.iter().all(|lane| lane.unmet <= 0), "asked to place the second event");
            self.0.place(event, lanes, targets)
        }
    }
    explore(|| {
        let outlet = outlet_with(Side::Grants, None, &nobody(), Fails(BroadcastDispatcher::new()));
        let fates = Fates::default();
        let handles = handles_all(Stage::new(1).subscribed(&outlet, slices_of(1)), &fates);
        emit(&outlet, [0, 1, 2]);
        let left = outlet.end(ExitReason::Done);
        join([handles]);
        fates.are_one_each_of(&[0]);
        assert_eq!(left.len() as u64 + outlet.figures().counts.lost, 2);
        assert_eq!(outlet.figures().standing, 0);
    });
}
