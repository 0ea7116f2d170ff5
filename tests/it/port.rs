//! Ports: pushes that park, pushes that come later, names, senders, ends.

use crate::support::{Counting, until, watchdog};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use drawgate::error::{BadOption, PushErrorKind, SpawnError};
use drawgate::port::WeakPort;
use drawgate::prelude::*;
use drawgate::{Name, Nothing};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

fn one_by_one<E>() -> Subscribe<E> {
    Subscribe::new().max_demand(1).min_demand(0)
}

/// Keeps all it gets; `finish` gives it back.
fn keep<E: Send + 'static>(port: &Port<E>) -> Handle<E, Nothing, Vec<E>> {
    drawgate::fold(Vec::new(), |all: &mut Vec<E>, e| all.push(e)).subscribe_to(port).spawn().unwrap()
}

/// Draws one event at a time: says which it has in hand, and is done with it when told.
fn by_steps<E: Send + 'static>(port: &Port<E>) -> (Receiver<E>, Sender<()>) {
    let (tell, begun) = unbounded();
    let (go, wait) = unbounded();
    let step = move |e| {
        let _ = tell.send(e);
        let _ = wait.recv();
    };
    drawgate::for_each(step).subscribe_to_with(port, one_by_one()).spawn().unwrap();
    (begun, go)
}

/// Pushes on a thread of its own.
fn pusher<E: Send + 'static>(port: &Port<E>, event: E) -> JoinHandle<Result<(), PushError<E>>> {
    let port = port.clone();
    thread::spawn(move || port.push(event))
}

fn until_parked<E: Send + 'static>(port: &Port<E>, n: usize) {
    until(|| port.port_stats().parked == n);
}

/// Collects what a port hands to `on_lost`.
fn lost<E: Send + 'static>() -> (impl Fn(E, &Name) + Send + Sync + 'static, Receiver<(E, Name)>) {
    let (tell, told) = unbounded();
    (move |e, name: &Name| tell.send((e, name.clone())).unwrap(), told)
}

fn kind<T, E>(r: Result<T, PushError<E>>) -> PushErrorKind {
    r.err().expect("the push was refused").kind()
}

// ---- names: row 54

#[test]
fn p54_a_push_to_an_unknown_name_gives_the_event_back() {
    static NOBODY: PortName<String> = PortName::new("nobody");
    let rt = Runtime::new();
    let event = || "event".to_string();
    let refused = |e: PushError<String>| matches!(e, PushError::NoProducer(e) if e == "event");
    assert!(refused(rt.registry().push("nobody", event()).unwrap_err()));
    assert!(refused(rt.registry().try_push("nobody", event()).unwrap_err()));
    assert!(refused(rt.registry().push_timeout("nobody", event(), SECOND).unwrap_err()));
    assert!(refused(rt.registry().push_after("nobody", event(), SECOND).unwrap_err()));
    assert!(refused(NOBODY.on(&rt).push(event()).unwrap_err()));
    assert!(refused(NOBODY.on(&rt).try_push(event()).unwrap_err()));
    assert!(refused(NOBODY.on(&rt).push_after(event(), SECOND).unwrap_err()));
    assert!(refused(NOBODY.on(&rt).retry_after(event(), SECOND).unwrap_err()));
    assert!(NOBODY.on(&rt).get().is_none());
    assert_eq!(rt.registry().port::<String>("nobody").unwrap_err(), PushErrorKind::NoProducer);
}

#[test]
fn p54_a_push_to_a_port_of_another_type_gives_the_event_back() {
    static TEXTS: PortName<&str> = PortName::new("numbers");
    let rt = Runtime::new();
    let port = Port::<u32>::bounded(8).name("numbers").runtime(&rt).spawn().unwrap();
    assert!(matches!(rt.registry().push("numbers", "text"), Err(PushError::WrongType("text"))));
    assert!(matches!(rt.registry().push_after("numbers", "text", SECOND), Err(PushError::WrongType("text"))));
    assert!(matches!(TEXTS.on(&rt).push("text"), Err(PushError::WrongType("text"))));
    assert!(matches!(TEXTS.on(&rt).push_timeout("text", HOUR), Err(PushError::WrongType("text")))); // at once
    assert_eq!(rt.registry().port::<&str>("numbers").unwrap_err(), PushErrorKind::WrongType);
    assert_eq!(port.port_stats().pushed, 0);
}

#[test]
fn p54_a_push_to_a_stage_that_is_no_port_is_of_the_wrong_type() {
    let rt = Runtime::new();
    let numbers = drawgate::producer(Counting::new().0).name("numbers").runtime(&rt).spawn().unwrap();
    let refused = rt.registry().push("numbers", 7_u64);
    assert!(matches!(refused, Err(PushError::WrongType(7))), "{refused:?}");
    numbers.request_stop(ExitReason::Normal);
}

#[test]
fn p54_names_are_strings_triples_and_typed_names() {
    static ORDERS: PortName<u32> = PortName::new("orders");
    watchdog(|| {
        let rt = Runtime::new();
        let orders = Port::bounded(8).name(ORDERS).runtime(&rt).spawn().unwrap();
        let till = Port::bounded(8).name(("shop", "till", "orders")).runtime(&rt).spawn().unwrap();
        rt.registry().push("orders", 1_u32).unwrap();
        rt.registry().push(String::from("orders"), 2_u32).unwrap();
        rt.registry().push(Name::from("orders"), 3_u32).unwrap();
        ORDERS.on(&rt).push(4).unwrap();
        ORDERS.on(&rt).get().unwrap().push(5).unwrap();
        rt.registry().port::<u32>(&ORDERS).unwrap().push(6).unwrap();
        rt.registry().push(("shop", "till", "orders"), 7).unwrap();
        rt.registry().push(Name::from(("shop", "till", "orders")), 8).unwrap();
        assert!(matches!(rt.registry().push("shop/till/orders", 9), Err(PushError::NoProducer(9)))); // no triple
        let (a, b) = (keep(&orders), keep(&till));
        orders.close();
        till.close();
        assert_eq!((a.finish().unwrap(), b.finish().unwrap()), (vec![1, 2, 3, 4, 5, 6], vec![7, 8]));
        assert_eq!(till.name().to_string(), "shop/till/orders");
    });
}

#[test]
fn p54_a_typed_name_can_be_waited_for() {
    static LATER: PortName<u32> = PortName::new("later");
    watchdog(|| {
        let rt = Runtime::new();
        let (r, begins) = (rt.clone(), Arc::new(std::sync::Barrier::new(2)));
        let waiting = begins.clone();
        let push = thread::spawn(move || {
            waiting.wait();
            LATER.on(&r).push_timeout(1, HOUR)
        });
        begins.wait();
        let port = Port::bounded(8).name(LATER).runtime(&rt).spawn().unwrap();
        push.join().unwrap().unwrap();
        assert_eq!(port.port_stats().size, 1);
    });
}

#[test]
fn p54_names_of_one_runtime_are_not_those_of_another() {
    let (a, b) = (Runtime::new(), Runtime::new());
    let _in_a = Port::<u32>::bounded(8).name("orders").runtime(&a).spawn().unwrap();
    assert!(matches!(b.registry().push("orders", 1_u32), Err(PushError::NoProducer(1))));
    let _in_b = Port::<u32>::bounded(8).name("orders").runtime(&b).spawn().unwrap(); // not taken there
}

#[test]
fn p50_a_taken_name_names_its_holder_and_leaves_it_in_place() {
    watchdog(|| {
        let rt = Runtime::new();
        let first = Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn().unwrap();
        let refused = Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn().unwrap_err();
        match &refused {
            SpawnError::NameTaken { name, holder } => {
                assert_eq!((name.to_string().as_str(), holder.name()), ("orders", first.name()));
                assert!(holder.is_alive());
            }
            other => panic!("{other}"),
        }
        assert!(refused.to_string().contains("orders"), "{refused}");
        rt.registry().push("orders", 1_u32).unwrap();
        assert_eq!(first.port_stats().size, 1);

        // A name is free again once its port has ended.
        first.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert!(matches!(rt.registry().push("orders", 1_u32), Err(PushError::NoProducer(1))));
        let second = Port::<u32>::bounded(8).name("orders").runtime(&rt).spawn().unwrap();
        rt.registry().push("orders", 2_u32).unwrap();
        assert_eq!(second.port_stats().size, 1);
    });
}

#[test]
fn p54_a_push_by_name_follows_a_restarted_port() {
    static ORDERS: PortName<u32> = PortName::new("orders");
    watchdog(|| {
        let rt = Runtime::new();
        let start = || Port::bounded(8).name(ORDERS).runtime(&rt).spawn().unwrap();
        let first = start();
        ORDERS.on(&rt).push(1).unwrap();
        first.stop(ExitReason::Normal, SECOND * 5).unwrap();
        let second = start();
        ORDERS.on(&rt).push(2).unwrap();
        let kept = keep(&second);
        second.close();
        assert_eq!(kept.finish().unwrap(), [2]);
        assert!(matches!(first.push(3), Err(PushError::Closed(3)))); // a handle does not follow
    });
}

// ---- the line: rows 55 to 57

#[test]
fn p55_those_who_park_in_front_of_one_slot_get_in_in_the_order_they_parked() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        port.push(0).unwrap();
        let pushers: Vec<_> = (1..=3)
            .map(|i| {
                let pusher = pusher(&port, i);
                until_parked(&port, i);
                pusher
            })
            .collect();
        let (begun, go) = by_steps(&port);
        for i in 0..=3 {
            assert_eq!(begun.recv().unwrap(), i);
            go.send(()).unwrap();
        }
        for pusher in pushers {
            pusher.join().unwrap().unwrap();
        }
    });
}

#[test]
fn p55_no_push_of_many_pushers_is_dropped_and_each_ones_events_keep_their_order() {
    const EACH: u32 = 300;
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let kept = drawgate::fold(Vec::new(), |all, e: (u32, u32)| all.push(e))
            .subscribe_to_with(&port, one_by_one())
            .spawn()
            .unwrap();
        let pushers: Vec<_> = (0..3)
            .map(|p| {
                let port = port.clone();
                thread::spawn(move || (0..EACH).for_each(|i| port.push((p, i)).unwrap()))
            })
            .collect();
        pushers.into_iter().for_each(|p| p.join().unwrap());
        port.close();
        let all = kept.finish().unwrap();
        assert_eq!(all.len(), 3 * EACH as usize);
        for p in 0..3 {
            let of_one: Vec<u32> = all.iter().filter(|(q, _)| *q == p).map(|(_, i)| *i).collect();
            assert_eq!(of_one, (0..EACH).collect::<Vec<_>>());
        }
    });
}

#[test]
fn p55_nobody_overtakes_who_is_parked_though_there_is_room_for_less() {
    watchdog(|| {
        let port = Port::bounded(4).weigh(|e: &Vec<u8>| e.len()).spawn().unwrap();
        port.push(vec![0; 3]).unwrap();
        let heavy = pusher(&port, vec![1; 2]);
        until_parked(&port, 1);
        assert!(port.try_push(vec![2]).unwrap_err().is_full()); // it would fit
        let light = pusher(&port, vec![3]);
        until_parked(&port, 2);
        let kept = keep(&port);
        heavy.join().unwrap().unwrap();
        light.join().unwrap().unwrap();
        port.close();
        assert_eq!(kept.finish().unwrap(), [vec![0; 3], vec![1; 2], vec![3]]);
    });
}

#[test]
fn p55_who_leaves_the_line_makes_way_for_those_behind() {
    watchdog(|| {
        let port = Port::bounded(4).weigh(|e: &Vec<u8>| e.len()).spawn().unwrap();
        port.push(vec![0; 3]).unwrap();
        // The heavy one is first in line; once its time is up, the light one behind it fits.
        let p = port.clone();
        let heavy = thread::spawn(move || p.push_timeout(vec![1; 2], Duration::from_millis(50)));
        until_parked(&port, 1);
        let light = pusher(&port, vec![2]);
        assert_eq!(kind(heavy.join().unwrap()), PushErrorKind::Timeout);
        light.join().unwrap().unwrap();
        let stats = port.port_stats();
        assert_eq!((stats.size, stats.utilization), (2, 1.0)); // two events, whose weight is four
    });
}

#[test]
fn p55_one_heavier_than_the_whole_capacity_enters_an_empty_lane() {
    watchdog(|| {
        let port = Port::bounded(4).weigh(|e: &Vec<u8>| e.len()).spawn().unwrap();
        port.try_push(vec![0; 100]).unwrap();
        assert!(port.try_push(vec![]).is_err()); // full to the brim, even for what weighs nothing
        let heavy = pusher(&port, vec![1; 100]);
        until_parked(&port, 1);
        let (begun, go) = by_steps(&port);
        assert_eq!(begun.recv().unwrap(), vec![0; 100]);
        heavy.join().unwrap().unwrap();
        go.send(()).unwrap();
        assert_eq!(begun.recv().unwrap(), vec![1; 100]);
    });
}

#[test]
fn p55_the_bound_counts_what_stands_asked_for_or_not() {
    watchdog(|| {
        let port = Port::bounded(2).spawn().unwrap();
        let (tell, begun) = unbounded();
        let (go, wait) = unbounded::<()>();
        // Asks for 100, and is stuck with the first.
        drawgate::for_each(move |e: u32| {
            tell.send(e).unwrap();
            let _ = wait.recv();
        })
        .subscribe_to_with(&port, Subscribe::new().max_demand(100).min_demand(99))
        .spawn()
        .unwrap();
        port.push(0).unwrap();
        begun.recv().unwrap();
        port.try_push(1).unwrap();
        port.try_push(2).unwrap();
        assert!(matches!(port.try_push(3), Err(PushError::Full(3))));
        drop(go);
    });
}

#[test]
fn p55_pushers_of_one_full_partition_do_not_stop_those_of_another() {
    watchdog(|| {
        let by_parity = PartitionDispatcher::by_index(2, |n: &u32| Some(*n as usize % 2));
        let port = Port::bounded(1).dispatcher(by_parity).spawn().unwrap();
        port.push(1).unwrap();
        let odd = pusher(&port, 3);
        until_parked(&port, 1);
        port.push(2).unwrap(); // does not park behind the odd one
        let even = pusher(&port, 4);
        until_parked(&port, 2);
        let kept = |partition| {
            drawgate::fold(Vec::new(), |all, n: u32| all.push(n))
                .subscribe_to_with(&port, Subscribe::new().partition(partition))
                .spawn()
                .unwrap()
        };
        let odds = kept(1);
        odd.join().unwrap().unwrap();
        assert_eq!(port.port_stats().parked, 1);
        let evens = kept(0);
        even.join().unwrap().unwrap();
        port.close();
        assert_eq!((odds.finish().unwrap(), evens.finish().unwrap()), (vec![1, 3], vec![2, 4]));
    });
}

#[test]
fn p55_pushers_before_a_broadcast_park_until_its_slowest_has_drawn() {
    watchdog(|| {
        let port = Port::bounded(1).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn().unwrap();
        let (slow, go) = by_steps(&port);
        let (fast, free) = by_steps(&port);
        (0..3).for_each(|_| free.send(()).unwrap());
        port.push(0).unwrap();
        assert_eq!((slow.recv().unwrap(), fast.recv().unwrap()), (0, 0));
        port.push(1).unwrap(); // held: the slow one has not asked
        let parked = pusher(&port, 2);
        until_parked(&port, 1);
        go.send(()).unwrap();
        assert_eq!((slow.recv().unwrap(), fast.recv().unwrap()), (1, 1));
        parked.join().unwrap().unwrap();
        go.send(()).unwrap();
        assert_eq!((slow.recv().unwrap(), fast.recv().unwrap()), (2, 2));
    });
}

#[test]
fn p55_push_all_keeps_its_order_and_parks_as_a_push_does() {
    watchdog(|| {
        let port = Port::bounded(3).spawn().unwrap();
        let kept = keep(&port);
        port.push_all((0..1000).collect()).unwrap();
        port.push_all(Vec::new()).unwrap();
        port.close();
        assert_eq!(kept.finish().unwrap(), (0..1000).collect::<Vec<_>>());
        match port.push_all(vec![1, 2]) {
            Err(PushError::Closed(rest)) => assert_eq!(rest, [1, 2]),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn p55_push_all_gives_back_what_did_not_get_in_before_a_close() {
    watchdog(|| {
        for routed in [false, true] {
            let mut builder = Port::bounded(3);
            if routed {
                builder = builder.partition_by(1, |n: &i32| *n);
            }
            let port = builder.spawn().unwrap();
            let p = port.clone();
            let push = thread::spawn(move || p.push_all((0..10).collect()));
            until_parked(&port, 1);
            port.close();
            match push.join().unwrap() {
                Err(PushError::Closed(rest)) => assert_eq!(rest, (3..10).collect::<Vec<_>>()),
                other => panic!("{other:?}"),
            }
            assert_eq!(port.port_stats().size, 3);
        }
    });
}

#[test]
fn p56_a_bounded_wait_ends_no_earlier_than_its_limit_and_gives_the_event_back() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        port.push("first").unwrap();
        let limit = Duration::from_millis(30);
        let from = Instant::now();
        assert!(matches!(port.push_timeout("second", limit), Err(PushError::Timeout("second"))));
        assert!(from.elapsed() >= limit, "{:?}", from.elapsed());
        let deadline = Instant::now() + limit;
        assert!(matches!(port.push_deadline("third", deadline), Err(PushError::Timeout("third"))));
        assert!(Instant::now() >= deadline);
        let kept = keep(&port);
        port.close();
        assert_eq!(kept.finish().unwrap(), ["first"]); // the others are not delivered later
    });
}

#[test]
fn p56_a_deadline_that_has_passed_still_takes_room_that_is_there() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let past = Instant::now();
        port.push_deadline(1, past).unwrap();
        assert!(matches!(port.push_deadline(2, past), Err(PushError::Timeout(2))));
        assert!(matches!(port.push_timeout(2, Duration::ZERO), Err(PushError::Timeout(2))));
        assert_eq!(port.port_stats().parked, 0);
    });
}

type How = Box<dyn FnOnce(Port<i32>) -> Result<(), PushError<i32>> + Send>;

#[test]
fn p56_a_bounded_wait_is_measured_by_the_runtimes_clock() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let port = Port::bounded(1).runtime(&rt).spawn().unwrap();
        port.push(1).unwrap();
        let parked = |how: How| {
            let p = port.clone();
            thread::spawn(move || how(p))
        };
        let now = clock.now();
        let pushers =
            [parked(Box::new(|p| p.push_timeout(2, HOUR))), parked(Box::new(move |p| p.push_deadline(2, now + HOUR)))];
        until_parked(&port, 2);
        clock.advance(HOUR - TICK);
        assert_eq!(port.port_stats().parked, 2);
        clock.advance(TICK);
        for pusher in pushers {
            assert_eq!(kind(pusher.join().unwrap()), PushErrorKind::Timeout);
        }
    });
}

#[test]
fn p56_stages_settle_while_a_stage_is_parked_in_a_push() {
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let (full, fed) =
            (Port::bounded(1).runtime(&rt).spawn().unwrap(), Port::bounded(1).runtime(&rt).spawn().unwrap());
        full.push(0).unwrap();
        let out = full.clone();
        let carry =
            drawgate::for_each(move |n: i32| out.push(n).unwrap()).runtime(&rt).subscribe_to(&fed).spawn().unwrap();
        fed.push(1).unwrap();
        until_parked(&full, 1);
        clock.advance(HOUR);
        let kept = keep(&full);
        fed.close();
        carry.join().unwrap();
        full.close();
        assert_eq!(kept.finish().unwrap(), [0, 1]);
    });
}

#[test]
fn p56_a_close_wakes_all_who_are_parked_with_their_events() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        port.push(0).unwrap();
        let p = port.clone();
        let bounded = thread::spawn(move || p.push_timeout(1, HOUR));
        let free = pusher(&port, 2);
        until_parked(&port, 2);
        port.close();
        assert!(matches!(bounded.join().unwrap(), Err(PushError::Closed(1))));
        assert!(matches!(free.join().unwrap(), Err(PushError::Closed(2))));
        let kept = keep(&port);
        assert_eq!(kept.finish().unwrap(), [0]);
    });
}

#[test]
fn p56_a_stop_wakes_all_who_are_parked_with_their_events() {
    watchdog(|| {
        let (on_lost, lost) = lost();
        let port = Port::bounded(1).on_lost(on_lost).spawn().unwrap();
        port.push(0).unwrap();
        let parked = [pusher(&port, 1), pusher(&port, 1)];
        until_parked(&port, 2);
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        for parked in parked {
            assert!(matches!(parked.join().unwrap(), Err(PushError::Closed(1))));
        }
        drop(port);
        assert_eq!(lost.recv().unwrap().0, 0);
        assert!(lost.try_recv().is_err()); // what was parked is its pusher's, and not lost
    });
}

#[test]
fn p57_an_unbounded_port_never_parks() {
    watchdog(|| {
        let port = Port::unbounded().spawn().unwrap();
        (0..100_000).for_each(|n: u32| port.try_push(n).unwrap());
        let stats = port.port_stats();
        assert_eq!((stats.size, stats.capacity, stats.utilization), (100_000, None, 0.0));
        let sum = drawgate::fold(0_u64, |sum, n: u32| *sum += u64::from(n)).subscribe_to(&port).spawn().unwrap();
        port.close();
        assert_eq!(sum.finish().unwrap(), 4_999_950_000);
    });
}

// ---- events that come later: row 58

mod later {
    use super::*;
    use drawgate::testing::{self, ManualClock};

    static ORDERS: PortName<u32> = PortName::new("orders");

    /// A port in a runtime whose time stands still, and one that keeps what comes out of it.
    struct Setup {
        rt: Runtime,
        clock: ManualClock,
        port: Port<u32>,
        kept: Handle<u32, Nothing, Vec<u32>>,
    }

    fn setup() -> Setup {
        let (rt, clock) = testing::runtime();
        let port = Port::bounded(8).runtime(&rt).spawn().unwrap();
        let kept = keep_in(&rt, &port);
        Setup { rt, clock, port, kept }
    }

    fn keep_in(rt: &Runtime, port: &Port<u32>) -> Handle<u32, Nothing, Vec<u32>> {
        drawgate::fold(Vec::new(), |all: &mut Vec<u32>, e| all.push(e)).runtime(rt).subscribe_to(port).spawn().unwrap()
    }

    impl Setup {
        fn seen(&self) -> Vec<u32> {
            self.kept.call(|all, _| all.clone()).unwrap()
        }
    }

    #[test]
    fn p58_a_delayed_event_arrives_when_its_delay_is_over_and_not_before() {
        watchdog(|| {
            let s = setup();
            s.port.push_after(1, SECOND).unwrap();
            assert_eq!((s.port.port_stats().delayed, s.port.port_stats().size), (1, 0));
            s.clock.advance(SECOND - TICK);
            assert_eq!(s.seen(), [0; 0]);
            s.clock.advance(TICK);
            assert_eq!(s.seen(), [1]);
            assert_eq!(s.port.port_stats().delayed, 0);
        });
    }

    #[test]
    fn p58_those_due_together_keep_the_order_in_which_they_came() {
        watchdog(|| {
            let s = setup();
            s.port.push_after(3, SECOND * 2).unwrap();
            s.port.push_after(1, SECOND).unwrap();
            s.port.push_after(2, SECOND).unwrap();
            s.clock.advance(SECOND);
            s.port.push_after(4, SECOND).unwrap();
            s.clock.advance(SECOND);
            assert_eq!(s.seen(), [1, 2, 3, 4]);
        });
    }

    #[test]
    fn p58_an_event_due_at_a_full_port_goes_in_at_the_first_room() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(1).runtime(&rt).spawn().unwrap();
            let other = Port::bounded(1).runtime(&rt).spawn().unwrap();
            port.push(1).unwrap();
            port.push_after(2, SECOND).unwrap();
            other.push_after(9, SECOND * 2).unwrap();
            clock.advance(SECOND);
            assert_eq!((port.port_stats().size, port.port_stats().delayed), (1, 0));
            assert_eq!(port.port_stats().parked, 0); // nobody waits for it
            let behind = pusher(&port, 3);
            until_parked(&port, 1);
            clock.advance(SECOND); // the timer is not held up by it
            assert_eq!(other.port_stats().size, 1);
            let kept = keep_in(&rt, &port);
            behind.join().unwrap().unwrap();
            port.close();
            assert_eq!(kept.finish().unwrap(), [1, 2, 3]);
        });
    }

    #[test]
    fn p58_an_event_by_name_follows_a_restarted_port() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let start = || Port::bounded(8).name(ORDERS).runtime(&rt).spawn().unwrap();
            let first = start();
            ORDERS.on(&rt).push_after(1, SECOND).unwrap();
            rt.registry().push_after("orders", 2_u32, SECOND).unwrap();
            ORDERS.on(&rt).retry_after(3, SECOND).unwrap();
            first.stop(ExitReason::Normal, SECOND * 5).unwrap();
            let second = start();
            clock.advance(SECOND - TICK);
            assert_eq!(second.port_stats().size, 0);
            clock.advance(TICK);
            assert_eq!((first.port_stats().lost, second.port_stats().size), (0, 3));
            let kept = keep_in(&rt, &second);
            second.close();
            assert_eq!(kept.finish().unwrap(), [1, 2, 3]);
        });
    }

    #[test]
    fn p58_an_event_whose_name_is_gone_reaches_on_lost_and_a_counter() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let (on_lost, lost) = lost();
            let port = Port::bounded(8).name(ORDERS).on_lost(on_lost).runtime(&rt).spawn().unwrap();
            ORDERS.on(&rt).push_after(1, SECOND).unwrap();
            port.stop(ExitReason::Normal, SECOND * 5).unwrap();
            assert!(lost.is_empty()); // somebody might take the name until it is due
            clock.advance(SECOND);
            assert_eq!(lost.recv().unwrap(), (1, Name::from("orders")));
            assert_eq!(port.port_stats().lost, 1);
        });
    }

    #[test]
    fn p58_a_name_that_another_type_has_by_then_is_gone() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let (on_lost, lost) = lost();
            let port = Port::bounded(8).name(ORDERS).on_lost(on_lost).runtime(&rt).spawn().unwrap();
            ORDERS.on(&rt).push_after(1, SECOND).unwrap();
            port.stop(ExitReason::Normal, SECOND * 5).unwrap();
            let other = Port::<String>::bounded(8).name("orders").runtime(&rt).spawn().unwrap();
            clock.advance(SECOND);
            assert_eq!(lost.recv().unwrap().0, 1);
            assert_eq!(other.port_stats().size, 0);
        });
    }

    #[test]
    fn p58_an_event_by_handle_is_lost_with_its_port_and_not_before() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let (on_lost, lost) = lost();
            let port = Port::bounded(8).name(ORDERS).on_lost(on_lost).runtime(&rt).spawn().unwrap();
            let id = port.push_after(1, SECOND).unwrap();
            port.push_after(2, SECOND).unwrap();
            port.stop(ExitReason::Normal, SECOND * 5).unwrap();
            assert_eq!([lost.recv().unwrap().0, lost.recv().unwrap().0], [1, 2]);
            assert_eq!((port.port_stats().lost, port.port_stats().delayed), (2, 0));
            assert!(port.cancel(id).is_none());
            let next = Port::bounded(8).name(ORDERS).runtime(&rt).spawn().unwrap();
            clock.advance(SECOND);
            assert_eq!((next.port_stats().size, lost.len()), (0, 0));
        });
    }

    #[test]
    fn p58_beyond_max_delayed_it_is_full() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(8).max_delayed(2).runtime(&rt).spawn().unwrap();
            let first = port.push_after(1, SECOND).unwrap();
            port.push_after(2, SECOND).unwrap();
            assert!(matches!(port.push_after(3, SECOND), Err(PushError::Full(3))));
            assert!(matches!(port.retry_after(3, SECOND), Err(PushError::Full(3))));
            assert_eq!(port.cancel(first), Some(1)); // makes room
            port.push_after(4, SECOND).unwrap();
            clock.advance(SECOND);
            port.push_after(5, SECOND).unwrap(); // those are due
            clock.advance(SECOND);
            let kept = keep_in(&rt, &port);
            port.close();
            assert_eq!(kept.finish().unwrap(), [2, 4, 5]); // a refused one is not waited for
        });
    }

    #[test]
    fn p58_a_cancelled_one_is_given_back_and_never_arrives() {
        watchdog(|| {
            let s = setup();
            let (one, two) = (s.port.push_after(1, SECOND).unwrap(), s.port.push_after(2, SECOND).unwrap());
            assert_eq!(s.port.cancel(one), Some(1));
            assert_eq!(s.port.cancel(one), None);
            let other = Port::<u32>::bounded(8).runtime(&s.rt).spawn().unwrap();
            assert_eq!(other.cancel(two), None); // not its own
            s.clock.advance(SECOND);
            assert_eq!(s.port.cancel(two), None); // too late
            assert_eq!(s.seen(), [2]);
            s.port.close();
            s.port.join().unwrap(); // does not wait for what was cancelled
        });
    }

    #[test]
    fn p58_an_accepted_one_survives_a_close() {
        watchdog(|| {
            let s = setup();
            s.port.push_after(1, SECOND).unwrap();
            s.port.close();
            assert!(matches!(s.port.push_after(2, SECOND), Err(PushError::Closed(2))));
            s.clock.advance(SECOND - TICK);
            assert!(s.port.is_alive());
            s.clock.advance(TICK);
            assert_eq!(s.kept.finish().unwrap(), [1]);
            s.port.join().unwrap();
        });
    }

    #[test]
    fn p58_a_delay_beyond_all_time_waits_until_it_is_cancelled() {
        watchdog(|| {
            let s = setup();
            let id = s.port.push_after(1, Duration::MAX).unwrap();
            s.clock.advance(HOUR * 24 * 365);
            assert_eq!(s.seen(), [0; 0]);
            assert_eq!(s.port.cancel(id), Some(1));
        });
    }

    #[test]
    fn p58_a_delayed_event_goes_to_its_partition_or_is_discarded() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let below_two = PartitionDispatcher::by_index(2, |n: &u32| (*n < 2).then_some(*n as usize));
            let (tell, told) = unbounded();
            let port = Port::bounded(8)
                .dispatcher(below_two)
                .on_discard(move |n| tell.send(n).unwrap())
                .runtime(&rt)
                .spawn()
                .unwrap();
            port.push_after(1, SECOND).unwrap();
            port.push_after(7, SECOND).unwrap();
            port.close();
            clock.advance(SECOND);
            assert_eq!(told.recv().unwrap(), 1);
            let kept = drawgate::fold(Vec::new(), |all, n: u32| all.push(n))
                .subscribe_to_with(&port, Subscribe::new().partition(1))
                .spawn()
                .unwrap();
            assert_eq!(kept.finish().unwrap(), [1]);
            port.join().unwrap();
        });
    }

    // ---- a port with a delay: row 59

    #[test]
    fn p59_a_port_with_a_delay_shifts_each_push_and_does_not_park_below_its_bound() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(4).delay(SECOND * 10).runtime(&rt).spawn().unwrap();
            let kept = keep_in(&rt, &port);
            port.push(1).unwrap();
            clock.advance(SECOND);
            port.try_push(2).unwrap();
            port.push_all(vec![3, 4]).unwrap();
            assert!(port.try_push(5).unwrap_err().is_full()); // each has its place from the start
            assert_eq!((port.port_stats().delayed, port.port_stats().size), (4, 0));
            let seen = || kept.call(|all, _| all.clone()).unwrap();
            clock.advance(SECOND * 9 - TICK);
            assert_eq!(seen(), [0; 0]);
            clock.advance(TICK);
            assert_eq!(seen(), [1]);
            clock.advance(SECOND);
            assert_eq!(seen(), [1, 2, 3, 4]);
        });
    }

    #[test]
    fn p59_who_parks_before_a_delayed_port_waits_for_a_place_and_then_the_delay() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(1).delay(SECOND * 10).runtime(&rt).spawn().unwrap();
            let kept = keep_in(&rt, &port);
            let seen = || kept.call(|all, _| all.clone()).unwrap();
            port.push(1).unwrap();
            let second = pusher(&port, 2);
            until_parked(&port, 1);
            clock.advance(SECOND * 10);
            second.join().unwrap().unwrap(); // has the place that the first left
            assert_eq!(seen(), [1]); // which was not put off by who parks behind it
            clock.advance(SECOND * 10 - TICK);
            assert_eq!(seen(), [1]);
            clock.advance(TICK);
            assert_eq!(seen(), [1, 2]);
        });
    }

    #[test]
    fn p59_what_a_delayed_port_took_in_survives_its_close_and_who_is_parked_is_refused() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(1).delay(SECOND).runtime(&rt).spawn().unwrap();
            let kept = keep_in(&rt, &port);
            port.push(1).unwrap();
            let second = pusher(&port, 2);
            until_parked(&port, 1);
            port.close();
            assert!(matches!(second.join().unwrap(), Err(PushError::Closed(2))));
            clock.advance(SECOND);
            assert_eq!(kept.finish().unwrap(), [1]);
            port.join().unwrap();
        });
    }

    #[test]
    fn p59_a_stop_hands_what_a_delayed_port_took_in_to_on_lost() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let (on_lost, lost) = lost();
            let port = Port::bounded(4).delay(SECOND).on_lost(on_lost).runtime(&rt).spawn().unwrap();
            port.push_all(vec![1, 2, 3]).unwrap();
            port.stop(ExitReason::Normal, SECOND * 5).unwrap();
            assert_eq!(lost.try_iter().map(|(e, _)| e).collect::<Vec<_>>(), [1, 2, 3]);
            clock.advance(SECOND);
            assert!(lost.is_empty());
        });
    }

    #[test]
    fn p59_what_a_partition_function_discards_needs_no_place_in_a_full_delayed_port() {
        watchdog(|| {
            let (rt, _clock) = testing::runtime();
            let only_zero = PartitionDispatcher::by_index(1, |n: &u32| (*n == 0).then_some(0));
            let port =
                Port::bounded(1).delay(SECOND).dispatcher(only_zero).runtime(&rt).on_discard(|_| ()).spawn().unwrap();
            port.push(0).unwrap();
            port.push(7).unwrap();
            assert_eq!(port.port_stats().discarded, 1);
        });
    }

    #[test]
    fn p59_what_comes_through_a_sender_is_shifted_too() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(4).delay(SECOND).runtime(&rt).spawn().unwrap();
            let kept = keep_in(&rt, &port);
            let tx = port.sender(0).unwrap();
            tx.send(1).unwrap();
            drop(tx);
            port.close();
            until(|| port.port_stats().delayed == 1);
            clock.advance(SECOND - TICK);
            assert_eq!(kept.call(|all, _| all.clone()).unwrap(), [0; 0]);
            clock.advance(TICK);
            assert_eq!(kept.finish().unwrap(), [1]);
        });
    }

    #[test]
    fn p63_a_port_whose_last_consumer_left_without_failing_stays_open() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port = Port::bounded(8).close_when_abandoned().runtime(&rt).spawn().unwrap();
            let start = || drawgate::for_each(|_: u32| ()).runtime(&rt).spawn().unwrap();
            let (failing, leaving) = (start(), start());
            failing.subscribe(&port).unwrap();
            let subscription = leaving.subscribe(&port).unwrap();
            failing.cast(|_, _| panic!("on purpose"));
            assert!(failing.join().is_err());
            subscription.cancel();
            clock.settle();
            port.try_push(1).unwrap();
        });
    }

    #[test]
    fn p63_a_retry_is_accepted_while_a_closed_port_drains_and_refused_when_it_has_ended() {
        watchdog(|| {
            let (rt, clock) = testing::runtime();
            let port: Port<Message<u32>> = Port::bounded(8).runtime(&rt).spawn().unwrap();
            let again = port.downgrade();
            let (tell, begun) = unbounded();
            let step = move |seen: &mut Vec<(u32, u32)>, message: Message<u32>| {
                seen.push((message.data, message.attempt()));
                if message.attempt() < 3 {
                    let port = again.upgrade().unwrap();
                    port.retry_after(message.next_attempt(), SECOND).unwrap();
                }
                tell.send(()).unwrap();
            };
            let kept = drawgate::fold(Vec::new(), step).runtime(&rt).subscribe_to(&port).spawn().unwrap();
            port.push(Message::new(7)).unwrap();
            port.close();
            assert_eq!(kind(port.push_after(Message::new(8), SECOND)), PushErrorKind::Closed);
            for _ in 0..2 {
                begun.recv().unwrap();
                clock.advance(SECOND - TICK);
                assert!(port.is_alive());
                clock.advance(TICK);
            }
            assert_eq!(kept.finish().unwrap(), [(7, 1), (7, 2), (7, 3)]);
            port.join().unwrap();
            assert_eq!(kind(port.retry_after(Message::new(9), SECOND)), PushErrorKind::Closed);
        });
    }
}

#[test]
fn p58_a_delay_is_never_shorter_by_the_machines_clock() {
    watchdog(|| {
        let port = Port::bounded(8).spawn().unwrap();
        let (tell, told) = unbounded();
        drawgate::for_each(move |pushed: Instant| tell.send(pushed.elapsed()).unwrap())
            .subscribe_to(&port)
            .spawn()
            .unwrap();
        let delays = [0, 1, 3, 20].map(Duration::from_millis);
        for delay in delays {
            port.push_after(Instant::now(), delay).unwrap();
            let after = told.recv().unwrap();
            assert!(after >= delay, "{after:?} is less than {delay:?}");
        }
    });
}

// ---- what travels with an event: row 60

#[test]
fn p60_metadata_of_a_push_arrives_with_its_event() {
    struct From(&'static str);
    watchdog(|| {
        let port = Port::bounded(8).spawn().unwrap();
        let kept = keep(&port);
        port.push(Message::new(1).with(From("till"))).unwrap();
        port.push(Message::new(2)).unwrap();
        port.push_after(Message::new(3).with(From("timer")).next_attempt(), TICK).unwrap();
        port.close();
        let told: Vec<_> = kept
            .finish()
            .unwrap()
            .into_iter()
            .map(|m| (m.data, m.attempt(), m.meta.get::<From>().map(|from| from.0)))
            .collect();
        assert_eq!(told, [(1, 1, Some("till")), (2, 1, None), (3, 2, Some("timer"))]);
    });
}

#[test]
fn p60_a_refused_push_gives_the_metadata_back_too() {
    let port = Port::bounded(1).spawn().unwrap();
    port.push(Message::new(1)).unwrap();
    let refused = port.try_push(Message::new(2).with("why")).unwrap_err().into_event();
    assert_eq!((refused.data, refused.meta.get::<&str>()), (2, Some(&"why")));
}

// ---- figures: row 61

#[test]
fn p61_stats_answer_while_the_ports_thread_is_stuck() {
    watchdog(|| {
        let (stuck, is_stuck) = bounded(0);
        let (free, wait) = bounded::<()>(0);
        // A delayed event arrives on the port's thread, which so runs the hook.
        let only_zero = PartitionDispatcher::by_index(1, |n: &u32| (*n == 0).then_some(0));
        let port = Port::bounded(2)
            .dispatcher(only_zero)
            .on_discard(move |_| {
                stuck.send(()).unwrap();
                let _ = wait.recv();
            })
            .spawn()
            .unwrap();
        port.push_after(7, Duration::ZERO).unwrap();
        is_stuck.recv().unwrap();
        port.push(0).unwrap(); // a push does not need that thread either
        port.push(0).unwrap();
        let parked = pusher(&port, 0);
        until_parked(&port, 1);
        port.push_after(0, HOUR).unwrap();
        let stats = port.port_stats();
        assert_eq!((stats.size, stats.capacity, stats.parked, stats.utilization), (2, Some(2), 1, 1.0));
        assert_eq!((stats.delayed, stats.pushed, stats.drawn, stats.discarded, stats.lost), (1, 3, 0, 1, 0));
        let stage = port.stats();
        assert_eq!((stage.buffered, stage.parked, stage.discarded), (2, 1, 1));
        drop(free);
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert!(parked.join().unwrap().is_err());
    });
}

#[test]
fn p61_stats_answer_while_the_port_hands_out_what_is_lost() {
    watchdog(|| {
        let (stuck, is_stuck) = bounded(0);
        let (free, wait) = bounded::<()>(0);
        let port = Port::bounded(4)
            .on_lost(move |_: u32, _| {
                let _ = stuck.send(());
                let _ = wait.recv();
            })
            .spawn()
            .unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        port.request_stop(ExitReason::Normal);
        is_stuck.recv().unwrap();
        let stats = port.port_stats();
        assert_eq!((stats.size, stats.pushed, stats.lost), (0, 3, 3));
        assert!(matches!(port.push(4), Err(PushError::Closed(4))));
        drop((is_stuck, free));
        port.join().unwrap();
    });
}

#[test]
fn p61_stats_tell_what_is_asked_for_and_not_there() {
    watchdog(|| {
        let port = Port::<u32>::bounded(8).spawn().unwrap();
        assert_eq!(port.port_stats().pending_demand, 0);
        let _kept =
            drawgate::for_each(|_: u32| ()).subscribe_to_with(&port, Subscribe::new().max_demand(10)).spawn().unwrap();
        until(|| port.port_stats().pending_demand == 10);
    });
}

// ---- senders: row 62

#[test]
fn p62_a_full_port_makes_the_channel_full() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let tx = port.sender(1).unwrap();
        tx.send(0).unwrap(); // in the port
        tx.send(1).unwrap(); // in the carrier's hand
        until_parked(&port, 1);
        tx.send(2).unwrap(); // in the channel
        assert_eq!(tx.try_send(3), Err(crossbeam_channel::TrySendError::Full(3)));
        let kept = keep(&port);
        tx.send(3).unwrap();
        drop(tx);
        port.close();
        assert_eq!(kept.finish().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn p62_a_sender_can_be_selected_on() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let tx = port.sender(0).unwrap();
        let kept = keep(&port);
        crossbeam_channel::select! {
            send(tx, 7) -> sent => sent.unwrap(),
            default(crate::support::LIMIT) => panic!("the carrier does not receive"),
        }
        drop(tx);
        port.close();
        assert_eq!(kept.finish().unwrap(), [7]);
    });
}

#[test]
fn p62_what_senders_put_in_and_left_is_delivered_in_each_ones_order() {
    const EACH: u32 = 500;
    watchdog(|| {
        for capacity in [0, 1, 16] {
            let port = Port::bounded(2).spawn().unwrap();
            let kept = keep(&port);
            let first = port.sender(capacity).unwrap();
            let second = port.sender(capacity).unwrap(); // a channel of its own
            let senders: Vec<_> = [first.clone(), first, second]
                .into_iter()
                .zip(0_u32..)
                .map(|(tx, who)| thread::spawn(move || (0..EACH).for_each(|i| tx.send((who, i)).unwrap())))
                .collect();
            port.close(); // carries on until the senders are gone
            senders.into_iter().for_each(|s| s.join().unwrap());
            let mut next = HashMap::new();
            let all = kept.finish().unwrap();
            assert_eq!(all.len() as u32, 3 * EACH);
            for (who, i) in all {
                assert_eq!(*next.entry(who).and_modify(|n| *n += 1).or_insert(0), i);
            }
        }
    });
}

#[test]
fn p62_at_capacity_0_every_ok_before_a_stop_is_handled_lost_to_the_hook_or_counted() {
    watchdog(|| {
        let seen = Arc::new(AtomicUsize::new(0));
        let (s, l) = (seen.clone(), seen.clone());
        let port = Port::bounded(2).on_lost(move |_, _| _ = l.fetch_add(1, SeqCst)).spawn().unwrap();
        drawgate::for_each(move |_: u32| _ = s.fetch_add(1, SeqCst)).subscribe_to(&port).spawn().unwrap();
        let tx = port.sender(0).unwrap();
        let (enough, told) = bounded(1);
        let send = thread::spawn(move || {
            let mut n = 0;
            while tx.send(n).is_ok() {
                n += 1;
                if n == 100 {
                    enough.send(()).unwrap();
                }
            }
            n as usize
        });
        told.recv().unwrap();
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        let sent = send.join().unwrap();
        until(|| seen.load(SeqCst) == sent);
    });
}

#[test]
fn p62_what_a_partition_function_discards_of_a_sender_does_not_keep_the_port_from_ending() {
    watchdog(|| {
        let only_zero = PartitionDispatcher::by_index(1, |n: &u32| (*n == 0).then_some(0));
        let port = Port::bounded(1).dispatcher(only_zero).on_discard(|_| ()).spawn().unwrap();
        let tx = port.sender(0).unwrap();
        tx.send(7).unwrap();
        drop(tx);
        port.close();
        port.join().unwrap();
        assert_eq!((port.port_stats().discarded, port.port_stats().pushed), (1, 1));
    });
}

#[test]
fn p62_a_sender_of_a_closed_or_stopped_port_is_disconnected() {
    watchdog(|| {
        let port = Port::<u32>::bounded(2).spawn().unwrap();
        let early = port.sender(4).unwrap();
        port.close();
        let late = port.sender(4).unwrap();
        assert!(late.send(1).is_err());
        early.send(2).unwrap(); // the port waits for it
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        until(|| early.send(3).is_err());
        assert!(port.sender(0).unwrap().send(4).is_err());
    });
}

#[test]
fn p63_a_port_without_a_name_closes_when_its_last_handle_is_gone() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let kept = keep(&port);
        let second = port.clone();
        port.push(1).unwrap();
        drop(port);
        second.push(2).unwrap();
        drop(second);
        assert_eq!(kept.finish().unwrap(), [1, 2]);
    });
}

#[test]
fn p63_a_port_without_a_name_closes_when_its_last_sender_is_gone() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let (kept, ended) = (keep(&port), port.monitor());
        let tx = port.sender(1).unwrap();
        drop(port);
        tx.send(1).unwrap();
        assert!(ended.is_empty());
        drop(tx);
        assert_eq!(kept.finish().unwrap(), [1]);
        assert!(matches!(ended.recv().unwrap(), ExitReason::Done));
    });
}

#[test]
fn p63_a_port_with_a_name_stays_open_without_handles() {
    watchdog(|| {
        let rt = Runtime::new();
        let port = Port::<u32>::bounded(4).name("orders").runtime(&rt).spawn().unwrap();
        drop(port);
        rt.registry().push("orders", 1_u32).unwrap();
        let port = rt.registry().port::<u32>("orders").unwrap();
        let kept = keep(&port);
        port.close();
        assert_eq!(kept.finish().unwrap(), [1]);
    });
}

#[test]
fn p63_a_weak_port_does_not_keep_it_open() {
    watchdog(|| {
        let port = Port::bounded(2).spawn().unwrap();
        let weak: WeakPort<u32> = port.downgrade();
        weak.upgrade().unwrap().push(1).unwrap();
        let strong = weak.upgrade().unwrap();
        drop(port);
        strong.push(2).unwrap(); // an upgraded one does
        let ended = strong.monitor();
        drop(strong);
        // Closed, and not ended, since it is full: what upgrades now does not open it again.
        until(|| weak.upgrade().is_some_and(|port| kind(port.try_push(3)) == PushErrorKind::Closed));
        let kept = keep(&weak.upgrade().unwrap());
        assert_eq!(kept.finish().unwrap(), [1, 2]);
        ended.recv().unwrap();
        assert!(weak.upgrade().is_none());
    });
}

// ---- close, drain, stop: row 63

#[test]
fn p63_all_that_was_pushed_with_ok_is_handled_after_a_close() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let kept = keep(&port);
        let pushers: Vec<_> = (0..4_u32)
            .map(|p| {
                let port = port.clone();
                thread::spawn(move || (0..).take_while(|i| port.push((p, *i)).is_ok()).count())
            })
            .collect();
        until(|| port.port_stats().pushed > 100);
        port.close();
        let pushed: usize = pushers.into_iter().map(|p| p.join().unwrap()).sum();
        assert_eq!(kept.finish().unwrap().len(), pushed);
        port.join().unwrap();
        assert!(matches!(port.exit_reason(), Some(ExitReason::Done)));
    });
}

#[test]
fn p63_a_closed_port_waits_for_the_slice_in_hand() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let (begun, go) = by_steps(&port);
        port.push(1).unwrap();
        begun.recv().unwrap();
        port.close();
        let ended = port.monitor();
        // It is in nobody's hand but the consumer's, which may still bring it back.
        port.retry_after(2, Duration::ZERO).unwrap();
        go.send(()).unwrap();
        assert_eq!(begun.recv().unwrap(), 2);
        assert!(ended.is_empty());
        go.send(()).unwrap();
        assert!(matches!(ended.recv().unwrap(), ExitReason::Done));
    });
}

#[test]
fn p63_a_closed_port_with_events_waits_for_a_consumer() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        port.push_all(vec![1, 2]).unwrap();
        port.close();
        let ended = port.monitor();
        let kept = keep(&port);
        assert_eq!(kept.finish().unwrap(), [1, 2]);
        ended.recv().unwrap();
    });
}

#[test]
fn p63_every_way_in_is_shut_after_a_close() {
    watchdog(|| {
        let only_zero = PartitionDispatcher::by_index(1, |n: &u32| (*n == 0).then_some(0));
        let port = Port::bounded(4).dispatcher(only_zero).spawn().unwrap();
        port.push(0).unwrap(); // keeps it from ending
        port.close();
        port.close(); // again is fine
        for event in [0, 7] {
            // 7 would be discarded.
            assert!(matches!(port.push(event), Err(PushError::Closed(e)) if e == event));
            assert!(matches!(port.try_push(event), Err(PushError::Closed(e)) if e == event));
            assert!(matches!(port.push_timeout(event, HOUR), Err(PushError::Closed(e)) if e == event));
            assert!(matches!(port.push_deadline(event, Instant::now()), Err(PushError::Closed(e)) if e == event));
            assert!(matches!(port.push_after(event, SECOND), Err(PushError::Closed(e)) if e == event));
            assert!(matches!(port.push_all(vec![event]), Err(PushError::Closed(e)) if e == [event]));
        }
        assert_eq!(port.port_stats().discarded, 0);
    });
}

#[test]
fn p63_a_stopped_port_hands_its_leftovers_to_on_lost_in_order() {
    watchdog(|| {
        let (on_lost, lost) = lost();
        let port = Port::bounded(4).name("leaving").runtime(&Runtime::new()).on_lost(on_lost).spawn().unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        port.stop(ExitReason::Shutdown, SECOND * 5).unwrap();
        let name = Name::from("leaving");
        assert_eq!(lost.try_iter().collect::<Vec<_>>(), [(1, name.clone()), (2, name.clone()), (3, name)]);
        assert_eq!(port.port_stats().lost, 3);
    });
}

#[test]
fn p63_leftovers_of_a_stopped_port_without_a_hook_are_counted_and_reported() {
    watchdog(|| {
        let rt = Runtime::new();
        let (tell, told) = unbounded();
        rt.on_event(move |event| {
            if let drawgate::runtime::Telemetry::Lost { stage, count } = event {
                tell.send((stage.to_string(), *count)).unwrap();
            }
        });
        let port = Port::bounded(4).name("leaving").runtime(&rt).spawn().unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [("leaving".into(), 3)]);
        assert_eq!(port.port_stats().lost, 3);
    });
}

#[test]
fn p63_consumers_of_a_stopped_port_hear_its_reason_and_draw_no_more() {
    watchdog(|| {
        let port = Port::bounded(4).spawn().unwrap();
        let (tell, begun) = unbounded();
        let (go, wait) = unbounded();
        let step = move |n: u32| {
            tell.send(n).unwrap();
            wait.recv().unwrap();
        };
        let consumer = drawgate::for_each(step).subscribe_to_with(&port, one_by_one()).spawn().unwrap();
        port.push_all(vec![1, 2, 3]).unwrap();
        begun.recv().unwrap();
        port.stop(ExitReason::Shutdown, SECOND * 5).unwrap();
        go.send(()).unwrap();
        consumer.join().unwrap();
        assert!(matches!(consumer.exit_reason(), Some(ExitReason::Shutdown)));
        assert!(begun.is_empty());
        let stats = port.port_stats();
        assert_eq!((stats.drawn, stats.lost), (1, 2));
    });
}

#[test]
fn p63_a_port_whose_last_consumer_failed_closes_if_told_to() {
    watchdog(|| {
        let port = Port::bounded(1).close_when_abandoned().spawn().unwrap();
        let (tell, begun) = bounded(0);
        let fails = move |_: u32| {
            tell.send(()).unwrap();
            anyhow::bail!("cannot")
        };
        let consumer = drawgate::try_for_each(fails).subscribe_to_with(&port, one_by_one()).spawn().unwrap();
        port.push(1).unwrap();
        port.push(2).unwrap();
        let parked = pusher(&port, 3);
        until_parked(&port, 1);
        begun.recv().unwrap();
        assert!(consumer.join().is_err());
        assert!(matches!(parked.join().unwrap(), Err(PushError::Closed(3))));
        let next = keep(&port);
        assert_eq!(next.finish().unwrap(), [2]); // what stood waits for another
    });
}

// ---- waiting in a ring

#[test]
fn p46_pushing_without_a_deadline_into_ones_own_full_port_is_a_cycle() {
    watchdog(|| {
        let port = Port::bounded(1).name("own").runtime(&Runtime::new()).spawn().unwrap();
        let own = port.clone();
        let (tell, told) = unbounded();
        let step = move |n: u32| {
            own.push(n + 1).unwrap(); // there is room for one
            tell.send(own.push(n + 2)).unwrap();
            tell.send(own.push_all(vec![n + 3, n + 4]).map_err(|e| PushError::Cycle(e.into_event()[0]))).unwrap();
            tell.send(own.push_timeout(n + 5, TICK)).unwrap(); // ends by itself
            anyhow::bail!("enough")
        };
        let consumer = drawgate::try_for_each(step).subscribe_to_with(&port, one_by_one()).spawn().unwrap();
        port.push(0).unwrap();
        assert!(matches!(told.recv().unwrap(), Err(PushError::Cycle(2))));
        assert!(matches!(told.recv().unwrap(), Err(PushError::Cycle(3))));
        assert!(matches!(told.recv().unwrap(), Err(PushError::Timeout(5))));
        assert!(consumer.join().is_err());
        assert_eq!(port.port_stats().size, 1);
    });
}

#[test]
fn p46_pushing_into_ones_own_port_parks_while_another_consumer_is_free_to_draw() {
    watchdog(|| {
        let port = Port::bounded(1).spawn().unwrap();
        let (first, go) = by_steps(&port);
        port.push(0).unwrap();
        first.recv().unwrap(); // busy
        let own = port.clone();
        let (tell, told) = unbounded();
        let step = move |n: u32| {
            if n == 1 {
                own.push(2).unwrap();
                tell.send(own.push(3)).unwrap(); // the other one will make room
            } else {
                tell.send(Ok(())).unwrap();
            }
        };
        drawgate::for_each(step).subscribe_to_with(&port, one_by_one()).spawn().unwrap();
        port.push(1).unwrap();
        until_parked(&port, 1);
        go.send(()).unwrap();
        told.recv().unwrap().unwrap();
        drop(go);
    });
}

#[test]
fn p46_who_waits_with_a_deadline_is_in_no_ring() {
    watchdog(|| {
        // `a` waits for room in a full port, for an hour at most; whoever waits for `a` waits for no ring.
        let full = Port::bounded(1).spawn().unwrap();
        full.push(0).unwrap();
        let (to_a, to_b) = (Port::bounded(1).spawn().unwrap(), Port::bounded(1).spawn().unwrap());
        let out = full.clone();
        let a = drawgate::for_each(move |n: u32| out.push_timeout(n, HOUR).unwrap())
            .subscribe_to_with(&to_a, one_by_one())
            .spawn()
            .unwrap();
        to_a.push(1).unwrap();
        until_parked(&full, 1);
        to_a.push(2).unwrap(); // full now
        let (out, (tell, told)) = (to_a.clone(), unbounded());
        let b = drawgate::for_each(move |n: u32| tell.send(out.push(n)).unwrap()).subscribe_to(&to_b).spawn().unwrap();
        to_b.push(3).unwrap();
        until(|| to_a.port_stats().parked == 1 || !told.is_empty());
        let kept = keep(&full);
        told.recv().unwrap().unwrap();
        to_b.close();
        b.join().unwrap();
        to_a.close();
        a.join().unwrap();
        full.close();
        assert_eq!(kept.finish().unwrap(), [0, 1, 2, 3]);
    });
}

#[test]
fn p46_who_was_let_in_is_in_no_ring_though_it_has_not_run_yet() {
    // Two consumers push into each other's full port. One makes room for the other before it parks itself.
    watchdog(|| {
        for _ in 0..300 {
            let (to_a, to_b) = (Port::bounded(1).spawn().unwrap(), Port::bounded(1).spawn().unwrap());
            let start = |from: &Port<u32>, to: &Port<u32>| {
                let (out, (tell, told), (go, wait)) = (to.clone(), unbounded(), unbounded());
                let step = move |n: u32| {
                    if n < 100 {
                        let _ = wait.recv();
                        tell.send(out.push(n + 100)).unwrap();
                    }
                };
                let stage = drawgate::for_each(step).subscribe_to_with(from, one_by_one()).spawn().unwrap();
                (stage, told, go)
            };
            let (a, a_told, a_goes) = start(&to_a, &to_b);
            let (b, b_told, b_goes) = start(&to_b, &to_a);
            to_b.push(1).unwrap(); // `b` takes it, and waits
            until(|| to_b.port_stats().drawn == 1);
            to_b.push(2).unwrap(); // stands
            to_a.push(3).unwrap();
            a_goes.send(()).unwrap();
            until_parked(&to_b, 1); // `a`, which waits for `b`
            to_a.push(100).unwrap(); // stands
            (0..2).for_each(|_| b_goes.send(()).unwrap());
            // `b` waits for `a`: a ring.
            assert!(matches!(b_told.recv().unwrap(), Err(PushError::Cycle(101))));
            // Then it draws the next, which lets `a` in: whom it may wait for now.
            b_told.recv().unwrap().unwrap();
            a_told.recv().unwrap().unwrap();
            to_a.close();
            to_b.close();
            a.join().unwrap();
            b.join().unwrap();
        }
    });
}

// ---- bad input

#[test]
fn a_capacity_of_zero_is_refused_by_name() {
    let rt = Runtime::new();
    let refused = Port::<u32>::bounded(0).name("orders").runtime(&rt).spawn().unwrap_err();
    match &refused {
        SpawnError::BadOption { stage, cause: BadOption { option, value, .. } } => {
            assert_eq!((stage, *option, value.as_str()), (&Name::from("orders"), "capacity", "0"));
        }
        other => panic!("{other}"),
    }
    assert!(refused.to_string().contains("`capacity` must be at least 1, and was 0"), "{refused}");
    assert!(rt.registry().names().is_empty());
}

#[test]
fn a_partition_count_of_zero_is_refused() {
    let refused = Port::<u32>::bounded(1).partition_by(0, |n| *n).spawn().unwrap_err();
    assert!(refused.to_string().contains("`partitions` must be at least 1, and was 0"), "{refused}");
}

#[test]
fn a_port_whose_thread_cannot_be_spawned_leaves_no_name() {
    let rt = Runtime::new();
    // More than a process can address.
    let refused = Port::<u32>::bounded(1).name("orders").runtime(&rt).stack_size(1 << 60).spawn().unwrap_err();
    assert!(matches!(&refused, SpawnError::Thread { stage, .. } if *stage == Name::from("orders")), "{refused}");
    Port::<u32>::bounded(1).name("orders").runtime(&rt).spawn().unwrap();
}

#[test]
fn a_weighing_function_that_panics_fails_the_port_and_gives_the_event_back() {
    watchdog(|| {
        let port = Port::bounded(8)
            .weigh(|n: &u32| match n {
                7 => panic!("seven"),
                _ => 1,
            })
            .spawn()
            .unwrap();
        port.push(1).unwrap();
        assert!(matches!(port.push(7), Err(PushError::Closed(7))));
        let failed = port.join().unwrap_err();
        assert!(matches!(&failed.reason, ExitReason::Panic(message) if &**message == "seven"), "{failed}");
        assert_eq!(failed.stage, *port.name());
        assert_eq!(port.port_stats().lost, 1);
    });
}

#[test]
fn an_unknown_partition_fails_the_port_and_gives_the_event_back() {
    watchdog(|| {
        let by_name = |n: &u32| Some(if *n == 7 { "elsewhere" } else { "here" });
        let port = Port::bounded(1).partition_named(["here"], by_name).spawn().unwrap();
        port.push(1).unwrap();
        let parked = pusher(&port, 2);
        until_parked(&port, 1);
        assert!(matches!(port.push(7), Err(PushError::Closed(7))));
        let failed = port.join().unwrap_err();
        assert!(failed.to_string().contains("elsewhere"), "{failed}");
        assert!(matches!(parked.join().unwrap(), Err(PushError::Closed(2))));
    });
}

#[test]
fn hooks_that_panic_end_nothing() {
    watchdog(|| {
        let only_zero = PartitionDispatcher::by_index(1, |n: &u32| (*n == 0).then_some(0));
        let port = Port::bounded(8)
            .dispatcher(only_zero)
            .on_discard(|_| panic!("on purpose"))
            .on_lost(|_, _| panic!("on purpose"))
            .spawn()
            .unwrap();
        port.push(7).unwrap();
        port.push_all(vec![0, 0]).unwrap();
        assert!(port.is_alive());
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert_eq!((port.port_stats().discarded, port.port_stats().lost), (1, 2));
    });
}

#[test]
fn an_event_whose_drop_panics_ends_nothing_but_its_dropper() {
    struct Mine(bool);
    impl Drop for Mine {
        fn drop(&mut self) {
            if self.0 {
                panic!("on purpose");
            }
        }
    }
    watchdog(|| {
        let port = Port::bounded(8).spawn().unwrap();
        port.push(Mine(true)).unwrap();
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert_eq!(port.port_stats().lost, 1);
    });
}

#[test]
fn a_push_from_within_on_lost_is_closed_and_no_deadlock() {
    watchdog(|| {
        let own: Arc<Mutex<Option<Port<u32>>>> = Arc::default();
        let (tell, told) = unbounded();
        let hook = own.clone();
        let port = Port::bounded(8)
            .on_lost(move |n, _| {
                let own = hook.lock().unwrap().clone().unwrap();
                tell.send((kind(own.push(n)), own.port_stats().lost)).unwrap();
            })
            .spawn()
            .unwrap();
        *own.lock().unwrap() = Some(port.clone());
        port.push(1).unwrap();
        port.stop(ExitReason::Normal, SECOND * 5).unwrap();
        assert_eq!(told.recv().unwrap(), (PushErrorKind::Closed, 1));
        own.lock().unwrap().take();
    });
}
