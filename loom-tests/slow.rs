//! Larger models, for the long run: `.ci/run loom 3 slow`. Each is made of what the others check one by one.

use super::wakes::TwoOutlets;
use super::*;

/// F3.
#[test]
fn a_subscribe_among_several_pushes_and_a_stop_leaves_nobody_asleep() {
    TwoOutlets { pushes: [3, 2], stop: true, late: true, ..TwoOutlets::THIS }.explore();
}

/// F2, F3, F4, F6. A port, a stage, a consumer: three events through one place each, then the end.
#[test]
fn a_graph_of_three_hands_down_every_event_and_ends() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let mut middle = Stage::emitting(1, Side::Gate).subscribed(&port, slices_of(1));
        let below = Stage::new(2).subscribed(&middle.outlet(), slices_of(1));
        let passes_on = spawn(move || {
            while let Some(events) = middle.handle_next() {
                middle.emit(events);
            }
            assert!(middle.outlet().end(ExitReason::Done).is_empty());
            middle
        });
        let handles = demand::consume(below, vec![0, 1, 2]);
        let pushes = spawn({
            let port = port.clone();
            move || {
                for event in [0, 1, 2] {
                    push_waiting(&port, event, &Time::endless()).unwrap();
                }
                port.close();
            }
        });
        port::serve(&port, &owner);
        join([pushes]);
        let mut threads = join([passes_on, handles]);
        assert_eq!(threads[1].handle_next(), None);
    });
}

/// F2, F3. Two consumers share a producer; one of them fails at its first slice, the other is asked to handle all.
#[test]
fn a_producer_outlives_a_consumer_that_fails() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let [mut fails, other] = [2, 3].map(|id| Stage::new(id).subscribed(&outlet, slices_of(1)));
        let produces = demand::produce(producer, 3, |_| ());
        let failing = spawn(move || {
            if let Got::Slice(link, events) = fails.next() {
                fails.inbox.give_back(link, events, 0);
                fails.fail();
            }
            fails
        });
        let mut other = other;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.extend(other.handle_next().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        join([produces]);
        assert_eq!(outlet.end(ExitReason::Done), []);
        join([failing]);
    });
}

/// F2, F6. Two pushers park; one event is drawn, the deadline passes and the port is closed, all at once.
#[test]
fn two_pushers_race_a_draw_a_deadline_and_a_close() {
    explore(|| {
        let (port, time, fates) = (port(1), Time::limited(), Fates::default());
        push(&port, 0);
        let pushers = [1, 2].map(|event| port::pusher(&port, event, &time));
        let handles = port::handles_one(&port, &fates);
        time.pass();
        port.close();
        join([handles]);
        for pushed in join(pushers) {
            match pushed {
                None => {}
                Some(PushError::Timeout(event) | PushError::Closed(event)) => fates.met([event]),
                Some(other) => panic!("{other:?}"),
            }
        }
        fates.met(port::left(&port));
        fates.are_one_each_of(&[0, 1, 2]);
    });
}
