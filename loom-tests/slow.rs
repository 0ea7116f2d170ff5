//! Larger models, for the long run: `.ci/run loom 3 slow`. Each is made of what the others check one by one.

use super::wakes::TwoOutlets;
use super::*;

/// F3.
#[test]
fn a_subscribe_among_several_pushes_and_a_stop_leaves_nobody_asleep() {
    TwoOutlets { pushes: [3, 2], stop: true, late: true, ..TwoOutlets::THIS }.explore();
}

/// F2, F3, F4, F6. A port, a stage, a consumer: two events through one place each, then the end.
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
        let handles = demand::consume(below, vec![0, 1]);
        let pushes = spawn({
            let port = port.clone();
            move || {
                for event in [0, 1] {
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

/// F2, F3. Two consumers share a producer; one of them fails at its first slice, the other is asked to handle three.
#[test]
fn a_producer_outlives_a_consumer_that_fails() {
    explore(|| {
        let producer = Stage::emitting(1, Side::Grants);
        let outlet = producer.outlet();
        let [mut fails, mut other] = [2, 3].map(|id| Stage::new(id).subscribed(&outlet, slices_of(1)));
        let (emitted, fates) = (Arc::new(AtomicUsize::new(0)), Fates::default());
        let produces = demand::produce(producer, 3, {
            let emitted = emitted.clone();
            move |n| emitted.store(n, Relaxed)
        });
        let failing = spawn(move || {
            if let Got::Slice(link, events) = fails.next() {
                fails.inbox.give_back(link, events, 0);
                fails.fail();
            }
            fails
        });
        for _ in 0..3 {
            fates.met(other.handle_next().unwrap());
        }
        other.leave();
        join([produces]);
        fates.met(outlet.end(ExitReason::Done));
        join([failing]);
        let all: Vec<E> = (0..emitted.load(Relaxed) as E).collect();
        let lost = outlet.figures().counts.lost;
        assert_eq!(lost + all.iter().map(|event| fates.count(*event) as u64).sum::<u64>(), all.len() as u64);
        assert!(all.iter().all(|event| fates.count(*event) <= 1));
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
