//! Who is woken: for an event (F3), for a notification (F3, F4), by a gate.

use super::*;

/// Two outlets: C1 draws from both, C2 from the first. The handler of C1 lasts until all events of the first outlet but
/// those in its own hand are handled.
pub(super) struct TwoOutlets {
    /// In which C1 looks at them.
    pub(super) order: [usize; 2],
    /// Into the first and the second.
    pub(super) pushes: [u8; 2],
    /// C1 is told to stop.
    pub(super) stop: bool,
    /// C2 subscribes while all else is going on.
    pub(super) late: bool,
}

impl TwoOutlets {
    pub(super) const THIS: Self = Self { order: [0, 1], pushes: [1, 1], stop: false, late: false };

    pub(super) fn explore(self) {
        let Self { order, pushes, stop, late } = self;
        explore(move || {
            let outlets = [port(4), port(4)];
            let mut c1 = Stage::new(1);
            for which in order {
                c1.subscribe(&outlets[which], slices_of(4));
            }
            let mut c2 = Stage::new(2);
            if !late {
                c2.subscribe(&outlets[0], slices_of(4));
            }
            let (to_c1, to_c2) = (c1.mail(), c2.mail());
            // Of the first outlet: what C1 or C2 has drawn, and what C2 has handled.
            let (drawn, handled) = (Tally::new(), Tally::new());
            let all = usize::from(pushes[0]);

            let second = spawn({
                let (p1, drawn, handled) = (outlets[0].clone(), drawn.clone(), handled.clone());
                move || {
                    if late {
                        c2.subscribe(&p1, slices_of(4));
                    }
                    while let Some(events) = c2.handle_next() {
                        handled.add(events.len());
                        if drawn.add(events.len()) == all {
                            break;
                        }
                    }
                    c2
                }
            });
            let third = spawn({
                let p1 = outlets[0].clone();
                move || (0..pushes[0]).for_each(|n| push(&p1, n))
            });
            let fourth = (pushes[1] > 0 || stop).then(|| {
                let p2 = outlets[1].clone();
                spawn(move || {
                    (0..pushes[1]).for_each(|n| push(&p2, 4 + n));
                    if stop {
                        let _ = to_c1.post(Letter::Stop);
                    }
                })
            });
            // This thread is C1: so it can get far before it is preempted.
            if let Some(events) = c1.handle_next() {
                let mine = events.iter().filter(|event| **event < 4).count();
                if drawn.add(mine) == all {
                    let _ = to_c2.post(Letter::Stop);
                }
                handled.wait_for(all - mine);
            }
            join(fourth.into_iter().chain([third]));
            join([second]);
            assert_eq!(outlets[0].figures().standing, 0);
        });
    }
}

/// F3. This and the next four are the scenarios in which a model without the hand-on rule gets stuck.
#[test]
fn a_wake_is_handed_on_when_its_owner_finds_work_elsewhere() {
    TwoOutlets { order: [1, 0], ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn a_wake_is_handed_on_whatever_its_owner_looks_at_first() {
    TwoOutlets { order: [0, 1], ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn a_wake_is_handed_on_when_its_owner_is_stopped() {
    TwoOutlets { pushes: [1, 0], stop: true, ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn as_many_wakes_are_handed_on_as_events_stand() {
    TwoOutlets { order: [1, 0], pushes: [3, 1], ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn as_many_wakes_are_handed_on_as_events_stand_when_their_owner_is_stopped() {
    TwoOutlets { pushes: [3, 1], stop: true, ..TwoOutlets::THIS }.explore();
}

/// F3. This and the next two are those in which one gets stuck that keeps the marks when somebody subscribes.
#[test]
fn a_subscribe_to_a_lane_that_was_one_consumers_alone_leaves_nobody_asleep() {
    TwoOutlets { late: true, ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn a_subscribe_to_the_lane_looked_at_last_leaves_nobody_asleep() {
    TwoOutlets { order: [1, 0], late: true, ..TwoOutlets::THIS }.explore();
}

/// F3.
#[test]
fn a_subscribe_among_several_pushes_leaves_nobody_asleep() {
    TwoOutlets { order: [1, 0], pushes: [3, 1], late: true, ..TwoOutlets::THIS }.explore();
}

/// F3. The handler of each lasts until the other has an event, too.
#[test]
fn a_subscribe_wakes_those_whose_marks_it_takes() {
    explore(|| {
        let port = port(2);
        let mut stages = [Stage::new(1), Stage::new(2)];
        stages[0].subscribe(&port, slices_of(1));
        let busy = [Tally::new(), Tally::new()];
        let threads = stages.map(|mut stage| {
            let (port, busy, me) = (port.clone(), busy.clone(), stage.id as usize - 1);
            spawn(move || {
                if me == 1 {
                    stage.subscribe(&port, slices_of(1));
                }
                stage.handle_next().unwrap();
                busy[me].add(1);
                busy[1 - me].wait_for(1);
                stage
            })
        });
        push(&port, 0);
        push(&port, 1);
        join(threads);
    });
}

/// F3. C1 is cancelled by another thread.
#[test]
fn a_wake_is_handed_on_when_its_owner_is_cancelled() {
    explore(|| {
        let port = port(1);
        let mut c1 = Stage::new(1);
        let sub = c1.subscribe(&port, slices_of(1));
        let mut c2 = Stage::new(2).subscribed(&port, slices_of(1));
        let to_c2 = c2.mail();
        let first = spawn(move || {
            if c1.handle_next().is_some() {
                let _ = to_c2.post(Letter::Stop);
            }
            c1
        });
        let second = spawn(move || {
            c2.handle_next();
            c2
        });
        let cancels = spawn({
            let port = port.clone();
            move || assert!(port.cancel(sub, CancelReason::Cancelled))
        });
        push(&port, 0);
        join([cancels]);
        join([first, second]);
        assert_eq!(port.figures().standing, 0);
    });
}

/// A consumer that shares `port` with one that finds `instead` of the event it was woken for, and is busy with that until
/// the event is handled.
fn beside_one_who_is_busy(port: &Arc<Outlet<E>>, mut busy: Stage, instead: fn(&Got) -> bool) -> [JoinHandle<Stage>; 2] {
    let mut free = Stage::new(2).subscribed(port, slices_of(1));
    let to_free = free.mail();
    let handled = Tally::new();
    let first = spawn({
        let handled = handled.clone();
        move || {
            let mut met = false;
            while !met {
                let got = busy.next();
                met = instead(&got);
                match got {
                    Got::Slice(link, events) => {
                        busy.inbox.handled(link, events.len());
                        if handled.add(events.len()) == 1 {
                            let _ = to_free.post(Letter::Stop);
                        }
                    }
                    other => drop(other),
                }
            }
            handled.wait_for(1);
            busy
        }
    });
    let second = spawn(move || {
        if let Some(events) = free.handle_next() {
            handled.add(events.len());
        }
        free
    });
    [first, second]
}

/// F3.
#[test]
fn a_wake_is_handed_on_when_its_owner_finds_mail_first() {
    explore(|| {
        let port = port(1);
        let busy = Stage::new(1).subscribed(&port, slices_of(1));
        let mail = busy.mail();
        let threads = beside_one_who_is_busy(&port, busy, |got| matches!(got, Got::Mail(_)));
        let sender = spawn(move || mail.post(Letter::Number(1)).unwrap());
        push(&port, 0);
        join([sender]);
        join(threads);
    });
}

/// F3.
#[test]
fn a_wake_is_handed_on_when_its_owner_hears_from_its_own_outlet_first() {
    explore(|| {
        let port = port(1);
        let mut busy = Stage::new(1);
        let own = options(Side::Gate, None, DemandDispatcher::new());
        let own = Outlet::new(Options { news: true, ..own }, Hooks::default(), busy.inbox.mail.latch(), awake());
        busy.own = Some(own.clone());
        busy.subscribe(&port, slices_of(1));
        let below = somebody(&own, slices_of(1), 3);
        own.ask(below, 4);
        assert_eq!(own.tell(false).news.len(), 1);
        let threads =
            beside_one_who_is_busy(&port, busy, |got| matches!(got, Got::Told(told) if !told.news.is_empty()));
        let subscribes = spawn(move || {
            somebody(&own, slices_of(1), 4);
        });
        push(&port, 0);
        join([subscribes]);
        join(threads);
    });
}

/// F3. C1 is woken for an event that C2 takes, then a notification comes for both, then another event.
#[test]
fn a_wake_is_handed_on_when_its_owner_finds_a_notification_first() {
    explore(|| {
        let port = port(2);
        let stages = [Stage::new(1), Stage::new(2)].map(|stage| stage.subscribed(&port, slices_of(1)));
        let handled = Tally::new();
        let [mut c1, mut c2] = stages;
        let first = spawn({
            let handled = handled.clone();
            move || {
                // Its handler of the notification lasts until what stands behind it is handled.
                while let Got::Slice(link, events) = c1.next() {
                    c1.inbox.handled(link, events.len());
                }
                handled.wait_for(1);
                c1
            }
        });
        let second = spawn(move || {
            while c2.handle_next() != Some(vec![1]) {}
            handled.add(1);
            c2
        });
        push(&port, 0);
        port.notify(&Note::Done);
        push(&port, 1);
        join([first, second]);
    });
}

/// F3, PARITY row 14. C1 is woken for an event, but whoever drew from it has left meanwhile.
#[test]
fn a_wake_is_handed_on_when_the_gate_of_its_owner_has_closed() {
    explore(|| {
        let port = port(1);
        let mut c1 = Stage::emitting(1, Side::Gate).subscribed(&port, slices_of(1));
        let mut c2 = Stage::new(2).subscribed(&port, slices_of(1));
        let (to_c1, to_c2) = (c1.mail(), c2.mail());
        let own = c1.outlet();
        let below = somebody(&own, slices_of(1), 3);
        own.ask(below, 1);
        let first = spawn(move || {
            if c1.handle_next().is_some() {
                let _ = to_c2.post(Letter::Stop);
            }
            c1
        });
        let second = spawn(move || {
            if c2.handle_next().is_some() {
                let _ = to_c1.post(Letter::Stop);
            }
            c2
        });
        let leaves = spawn(move || own.leave(below, false, CancelReason::Cancelled));
        push(&port, 0);
        join([leaves]);
        join([first, second]);
        assert_eq!(port.figures().standing, 0);
    });
}

/// F3. The whole way: an event stands above, the gate opens when the consumer below asks, the event goes down.
#[test]
fn a_gate_that_opens_lets_through_what_stands_above() {
    explore(|| {
        let port = port(1);
        let mut middle = Stage::emitting(1, Side::Gate).subscribed(&port, slices_of(1));
        let mut below = Stage::new(2).subscribed(&middle.outlet(), slices_of(1));
        let first = spawn(move || {
            if let Some(events) = middle.handle_next() {
                middle.emit(events);
            }
            middle
        });
        let second = spawn(move || {
            assert_eq!(below.handle_next(), Some(vec![0]));
            below
        });
        push(&port, 0);
        join([first, second]);
    });
}

/// F4: it keeps its place, and no slice spans it.
#[test]
fn a_notification_comes_behind_what_was_emitted_before_it() {
    explore(|| {
        let port = port(4);
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(4));
        let emits = spawn(move || {
            push(&port, 0);
            port.notify(&Note::Done);
            push(&port, 1);
        });
        let mut seen = Vec::new();
        while seen.len() < 3 {
            match consumer.next() {
                Got::Slice(link, events) => {
                    consumer.inbox.handled(link, events.len());
                    seen.extend(events);
                }
                Got::Note => seen.push(9),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [0, 9, 1]);
        join([emits]);
    });
}

/// F3.
#[test]
fn a_notification_wakes_everybody_who_shares_the_lane() {
    explore(|| {
        let port = port(4);
        let hear = [1, 2].map(|id| {
            let mut consumer = Stage::new(id).subscribed(&port, slices_of(1));
            spawn(move || {
                assert!(matches!(consumer.next(), Got::Note));
                consumer
            })
        });
        port.notify(&Note::Done);
        join(hear);
    });
}

/// F3. Nobody draws from the stage, so its gate is closed.
#[test]
fn a_notification_wakes_a_stage_whose_gate_is_closed() {
    explore(|| {
        let port = port(4);
        let mut stage = Stage::emitting(1, Side::Gate).subscribed(&port, slices_of(1));
        let hears = spawn(move || {
            assert!(matches!(stage.next(), Got::Note));
            stage
        });
        port.notify(&Note::Done);
        join([hears]);
    });
}
