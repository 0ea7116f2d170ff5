//! A port: pushers, the line they park in, deadlines, `close`, and when it has ended.

use super::*;

/// What is still in the port when nobody draws any more.
pub(super) fn left(port: &Outlet<E>) -> Vec<E> {
    port.end_port(ExitReason::Normal, false)
}

/// Pushes on a thread of its own; returns what was handed back.
pub(super) fn pusher(port: &Arc<Outlet<E>>, event: E, time: &Time) -> JoinHandle<Option<PushError<E>>> {
    let (port, time) = (port.clone(), time.clone());
    spawn(move || push_waiting(&port, event, &time).err())
}

/// Handles one slice, on a thread of its own; then leaves.
pub(super) fn handles_one(port: &Arc<Outlet<E>>, fates: &Fates) -> JoinHandle<()> {
    let mut consumer = Stage::new(1).subscribed(port, slices_of(1));
    let fates = fates.clone();
    spawn(move || {
        fates.met(consumer.handle_next().unwrap_or_default());
        consumer.leave();
    })
}

/// The thread of a port: ends it when all that it accepted is handled.
pub(super) fn serve(port: &Outlet<E>, owner: &Arc<Latch>) {
    loop {
        owner.clear();
        if port.intake().drained {
            assert!(port.end_port(ExitReason::Done, true).is_empty());
            return;
        }
        owner.park(&Clock::Real, Deadline::NEVER);
    }
}

/// F2.
#[test]
fn push_races_deadline_and_nothing_is_lost() {
    explore(|| {
        let (port, time, fates) = (port(1), Time::limited(), Fates::default());
        push(&port, 0);
        let pushes = pusher(&port, 1, &time);
        let handles = handles_one(&port, &fates);
        time.pass();
        join([handles]);
        match join([pushes]).pop().unwrap() {
            None => {}
            Some(PushError::Timeout(event)) => fates.met([event]),
            Some(other) => panic!("{other:?}"),
        }
        fates.met(left(&port));
        fates.are_one_each_of(&[0, 1]);
    });
}

/// F6.
#[test]
fn a_deadline_ends_the_wait_of_a_parked_pusher() {
    explore(|| {
        let (port, time) = (port(1), Time::limited());
        push(&port, 0);
        let pushes = pusher(&port, 1, &time);
        time.pass();
        assert!(matches!(join([pushes])[0], Some(PushError::Timeout(1))));
    });
}

/// F6.
#[test]
fn close_wakes_every_waiter() {
    explore(|| {
        let (port, time) = (port(1), Time::endless());
        push(&port, 0);
        let pushers = [1, 2].map(|event| pusher(&port, event, &time));
        port.close();
        let [a, b] = &*join(pushers) else { panic!("two pushers") };
        assert!(matches!((a, b), (Some(PushError::Closed(1)), Some(PushError::Closed(2)))));
    });
}

/// F2.
#[test]
fn push_races_close_and_nothing_is_lost() {
    explore(|| {
        let (port, time, fates) = (port(1), Time::endless(), Fates::default());
        push(&port, 0);
        let pushes = pusher(&port, 1, &time);
        let handles = handles_one(&port, &fates);
        port.close();
        join([handles]);
        match join([pushes]).pop().unwrap() {
            None => {}
            Some(PushError::Closed(event)) => fates.met([event]),
            Some(other) => panic!("{other:?}"),
        }
        fates.met(left(&port));
        fates.are_one_each_of(&[0, 1]);
    });
}

/// F6, F2: a port that is stopped waits for nobody; what it held is handed back once, to whom it belongs.
#[test]
fn a_stop_wakes_every_pusher_and_hands_back_what_stands() {
    explore(|| {
        let (port, time, fates) = (port(1), Time::endless(), Fates::default());
        push(&port, 0);
        assert!(port.announce(false));
        let pushes = pusher(&port, 1, &time);
        let arrives = spawn({
            let (port, fates) = (port.clone(), fates.clone());
            move || {
                let routed = port.route(&2).unwrap();
                if let Err(event) = port.arrive(2, routed, false) {
                    fates.met([event]);
                }
            }
        });
        fates.met(left(&port));
        for pushed in join([pushes]) {
            match pushed {
                None => {}
                Some(PushError::Closed(event)) => fates.met([event]),
                Some(other) => panic!("{other:?}"),
            }
        }
        join([arrives]);
        fates.are_one_each_of(&[0, 1, 2]);
        assert_eq!(port.figures().standing, 0);
    });
}

/// A port for two units of weight; events weigh one, but for the first, which weighs two.
fn weighed_port() -> Arc<Outlet<E>> {
    let weigh = |event: &E| if *event == 1 { 2 } else { 1 };
    let hooks = Hooks { weigh: Some(Box::new(weigh)), ..Hooks::default() };
    let options = Options { weighed: true, ..options(Side::Port, Some(2), DemandDispatcher::new()) };
    Outlet::new(options, hooks, &nobody(), awake())
}

/// F3, of pushers: the heavy one in front gives up, and there is room for the light one behind it.
#[test]
fn whoever_leaves_the_line_lets_in_those_behind() {
    explore(|| {
        let (port, time) = (weighed_port(), Time::limited());
        push(&port, 0);
        let heavy = pusher(&port, 1, &time);
        let light = pusher(&port, 2, &Time::endless());
        time.pass();
        let [heavy, light] = &*join([heavy, light]) else { panic!("two pushers") };
        assert!(matches!((heavy, light), (Some(PushError::Timeout(1)), None)));
    });
}

/// F4: the way in is a line.
#[test]
fn who_comes_later_queues_behind() {
    explore(|| {
        let port = weighed_port();
        push(&port, 0);
        let heavy = pusher(&port, 1, &Time::endless());
        let is_parked = port.figures().parked == 1;
        let routed = port.route(&2).unwrap();
        match port.enter(2, routed, false) {
            Ok(()) => assert!(!is_parked),
            Err(PushError::Full(2)) => {}
            Err(other) => panic!("{other:?}"),
        }
        port.close();
        join([heavy]);
    });
}

/// F4: per pusher, events are drawn in push order. F3: a draw lets in who is parked.
#[test]
fn events_of_a_pusher_are_drawn_in_push_order() {
    explore(|| {
        let (port, time) = (port(1), Time::endless());
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(2));
        let one = spawn({
            let (port, time) = (port.clone(), time.clone());
            move || [0, 1].map(|event| push_waiting(&port, event, &time).is_ok())
        });
        let other = pusher(&port, 2, &time);
        let mut drawn = Vec::new();
        while drawn.len() < 3 {
            drawn.extend(consumer.handle_next().unwrap());
        }
        assert_eq!(drawn.iter().filter(|event| **event < 2).collect::<Vec<_>>(), [&0, &1]);
        assert!(join([other])[0].is_none());
        join([one]);
    });
}

/// F4: delayed events have no owner who waits for them, so several may stand in line. F3: nor does anybody push.
#[test]
fn delayed_events_are_drawn_in_the_order_they_came() {
    explore(|| {
        let port = port(1);
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(2));
        assert!(port.announce(false) && port.announce(false));
        push(&port, 0);
        let handles = spawn(move || {
            let mut drawn = Vec::new();
            while drawn.len() < 3 {
                drawn.extend(consumer.handle_next().unwrap());
            }
            assert_eq!(drawn, [0, 1, 2]);
            consumer
        });
        for event in [1, 2] {
            let routed = port.route(&event).unwrap();
            assert!(port.arrive(event, routed, false).is_ok());
        }
        join([handles]);
    });
}

/// F6: everybody who waits for its end hears of it; F2: not before all is handled.
#[test]
fn a_closed_port_ends_when_its_last_event_is_handled() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let fates = Fates::default();
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(1));
        let handles = spawn({
            let fates = fates.clone();
            move || {
                while let Some(events) = consumer.handle_next() {
                    fates.met(events);
                }
                consumer
            }
        });
        let closes = spawn({
            let port = port.clone();
            move || {
                push(&port, 0);
                port.close();
            }
        });
        serve(&port, &owner);
        fates.are_one_each_of(&[0]);
        join([closes]);
        join([handles]);
    });
}

/// F2: a slice in hand may come back, so the port waits for it. F6.
#[test]
fn a_closed_port_waits_for_a_slice_that_is_given_back() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let fates = Fates::default();
        let [mut fails, mut handles] = [1, 2].map(|id| Stage::new(id).subscribed(&port, slices_of(1)));
        push(&port, 0);
        let fails = spawn(move || {
            if let Got::Slice(link, events) = fails.next() {
                fails.inbox.give_back(link, events, 0);
                fails.fail();
            }
            fails
        });
        let handles = spawn({
            let fates = fates.clone();
            move || {
                while let Some(events) = handles.handle_next() {
                    fates.met(events);
                }
                handles
            }
        });
        port.close();
        serve(&port, &owner);
        fates.are_one_each_of(&[0]);
        join([fails, handles]);
    });
}

/// F6. A consumer that stops with its last slice does not report it by itself.
#[test]
fn a_closed_port_ends_when_the_consumer_of_its_last_event_leaves() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let fates = Fates::default();
        push(&port, 0);
        let handles = handles_one(&port, &fates);
        port.close();
        serve(&port, &owner);
        fates.are_one_each_of(&[0]);
        join([handles]);
    });
}

/// F6, F2: an event that was accepted before the close comes after it.
#[test]
fn a_closed_port_waits_for_a_delayed_event() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let fates = Fates::default();
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(1));
        assert!(port.announce(false));
        let handles = spawn({
            let fates = fates.clone();
            move || {
                while let Some(events) = consumer.handle_next() {
                    fates.met(events);
                }
                consumer
            }
        });
        let closes = spawn({
            let port = port.clone();
            move || port.close()
        });
        let routed = port.route(&0).unwrap();
        assert!(port.arrive(0, routed, false).is_ok());
        serve(&port, &owner);
        fates.are_one_each_of(&[0]);
        join([closes]);
        join([handles]);
    });
}

/// F2, F6: an event with a delay takes its place when it is pushed, and comes when the port may have closed.
#[test]
fn a_closed_port_waits_for_an_event_that_has_taken_its_place() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        let fates = Fates::default();
        let mut consumer = Stage::new(1).subscribed(&port, slices_of(1));
        push(&port, 0);
        let handles = spawn({
            let fates = fates.clone();
            move || {
                while let Some(events) = consumer.handle_next() {
                    fates.met(events);
                }
                consumer
            }
        });
        let pushes = spawn({
            let (port, fates) = (port.clone(), fates.clone());
            move || {
                let (routed, time) = (port.route(&1).unwrap(), Time::endless());
                match port.wait_in_line(1, routed, WayIn::Later, &time.clock(), time.deadline) {
                    Ok(Some(event)) => assert!(port.arrive(event, routed, true).is_ok()),
                    Err(PushError::Closed(event)) => fates.met([event]),
                    other => panic!("{other:?}"),
                }
            }
        });
        port.close();
        serve(&port, &owner);
        join([pushes]);
        join([handles]);
        fates.are_one_each_of(&[0, 1]);
    });
}

/// F2. The same, but the port is stopped and waits for nobody.
#[test]
fn an_event_that_has_taken_its_place_is_its_pushers_when_the_port_is_stopped() {
    explore(|| {
        let (port, fates) = (port(1), Fates::default());
        push(&port, 0);
        let pushes = spawn({
            let (port, fates) = (port.clone(), fates.clone());
            move || {
                let (routed, time) = (port.route(&1).unwrap(), Time::endless());
                match port.wait_in_line(1, routed, WayIn::Later, &time.clock(), time.deadline) {
                    Ok(Some(event)) => fates.met(port.arrive(event, routed, true).err()),
                    Err(PushError::Closed(event)) => fates.met([event]),
                    other => panic!("{other:?}"),
                }
            }
        });
        let handles = handles_one(&port, &fates);
        fates.met(left(&port));
        join([pushes, handles]);
        fates.are_one_each_of(&[0, 1]);
    });
}

/// F6: a delayed event is cancelled, or a carrier has nothing more to bring.
#[test]
fn a_closed_port_does_not_wait_for_what_was_recalled() {
    explore(|| {
        let owner = nobody();
        let port = outlet(Side::Port, Some(1), &owner);
        assert!(port.announce(false));
        let recalls = spawn({
            let port = port.clone();
            move || port.recall()
        });
        port.close();
        serve(&port, &owner);
        join([recalls]);
    });
}
