//! Timers of a stage to itself, and steps that gather for a time.

use crate::support::watchdog;
use drawgate::prelude::*;
use drawgate::stage::TimerId;
use drawgate::testing::ManualClock;
use drawgate::{Nothing, Runtime};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const S: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

/// Tells each timer that is due; behind a gate, waits in each until that is dropped.
struct Told(mpsc::Sender<TimerId>, Option<mpsc::Receiver<()>>);
impl Consumer for Told {
    type Event = u64;
    fn handle_events(&mut self, _: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }
    fn handle_timer(&mut self, timer: TimerId, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.0.send(timer)?;
        if let Some(gate) = &self.1 {
            let _ = gate.recv();
        }
        Ok(())
    }
}

type Stage = Handle<u64, Nothing, Told>;

fn stage() -> (Stage, mpsc::Receiver<TimerId>, Runtime, ManualClock) {
    let (rt, clock) = drawgate::testing::runtime();
    let (tell, told) = mpsc::channel();
    (drawgate::consumer(Told(tell, None)).runtime(&rt).spawn().unwrap(), told, rt, clock)
}

/// Moves the clock, and lets everybody who is woken by that do what there is to do.
fn pass(clock: &ManualClock, time: Duration) {
    clock.advance(time);
    clock.settle();
}

#[test]
fn a_timer_comes_no_earlier_than_its_delay_and_once() {
    watchdog(|| {
        let (stage, told, _rt, clock) = stage();
        let id = stage.call(|_, ctx| ctx.send_after(S).unwrap()).unwrap();
        pass(&clock, S - TICK);
        assert!(told.try_recv().is_err());
        pass(&clock, TICK);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [id]);
        pass(&clock, 10 * S);
        assert!(told.try_recv().is_err());
        assert!(!stage.call(move |_, ctx| ctx.cancel_timer(id)).unwrap(), "it is over");
    });
}

#[test]
fn timers_come_in_the_order_in_which_they_are_due() {
    watchdog(|| {
        let (stage, told, _rt, clock) = stage();
        let set = |n: u32| stage.call(move |_, ctx| ctx.send_after(n * S).unwrap()).unwrap();
        let [third, first, second] = [3, 1, 2].map(set);
        pass(&clock, 5 * S);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [first, second, third]);
    });
}

#[test]
fn a_timer_that_is_cancelled_is_not_heard_of_also_if_it_was_due() {
    watchdog(|| {
        let ((tell, told), (witness, seen)) = (mpsc::channel(), mpsc::channel());
        let stage = drawgate::consumer(Told(tell, None)).spawn().unwrap();
        let other = drawgate::consumer(Told(witness, None)).spawn().unwrap();
        let cancelled = stage.call(move |_, ctx| {
            let id = ctx.send_after(Duration::ZERO).unwrap();
            // One thread tells all timers in their order: once a later one was heard of, this one was due.
            other.call(|_, ctx| ctx.send_after(5 * TICK).unwrap()).unwrap();
            seen.recv().unwrap();
            ctx.cancel_timer(id)
        });
        assert!(cancelled.unwrap());
        stage.call(|_, _| ()).unwrap();
        assert!(told.try_recv().is_err());
    });
}

#[test]
fn an_interval_keeps_its_beat_until_it_is_cancelled() {
    watchdog(|| {
        let (stage, told, _rt, clock) = stage();
        let id = stage.call(|_, ctx| ctx.send_interval(S).unwrap()).unwrap();
        for _ in 0..3 {
            pass(&clock, S - TICK);
            assert!(told.try_recv().is_err());
            pass(&clock, TICK);
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [id]);
        }
        assert!(stage.call(move |_, ctx| ctx.cancel_timer(id)).unwrap());
        pass(&clock, 10 * S);
        assert!(told.try_recv().is_err());
    });
}

#[test]
fn a_stage_that_is_busy_for_several_beats_hears_of_them_once() {
    watchdog(|| {
        let ((go, gate), (tell, told)) = (mpsc::channel(), mpsc::channel());
        let stage = drawgate::consumer(Told(tell, Some(gate))).spawn().unwrap();
        let id = stage.call(|_, ctx| ctx.send_interval(5 * TICK).unwrap()).unwrap();
        told.recv().unwrap(); // and it is busy
        let until = Instant::now() + 50 * TICK;
        while Instant::now() < until {
            std::thread::yield_now();
        }
        stage.cast(move |_, ctx| _ = ctx.cancel_timer(id)); // comes after what the timer has left by now
        drop(go);
        stage.call(|_, _| ()).unwrap();
        assert!(told.try_iter().count() <= 1);
    });
}

#[test]
fn the_end_of_a_stage_takes_its_timers_along() {
    watchdog(|| {
        let (stage, told, _rt, clock) = stage();
        stage.call(|_, ctx| ctx.send_interval(S).unwrap()).unwrap();
        stage.call(|_, ctx| ctx.send_after(Duration::MAX).unwrap()).unwrap(); // one that never comes
        stage.stop(ExitReason::Normal, crate::support::LIMIT).unwrap();
        pass(&clock, 10 * S);
        assert!(told.try_recv().is_err());
    });
}

#[test]
fn a_failing_timer_callback_is_the_stages_end() {
    struct Fails;
    impl Producer for Fails {
        type Event = u64;
        fn init(&mut self, ctx: &mut Context<'_, u64>) -> anyhow::Result<drawgate::stage::Init> {
            ctx.send_after(S)?;
            Ok(drawgate::stage::Init::Ready)
        }
        fn handle_demand(&mut self, _: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
            Ok(())
        }
        fn handle_timer(&mut self, _: TimerId, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
            anyhow::bail!("no good at the timer")
        }
    }
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let stage = drawgate::producer(Fails).name("timed").runtime(&rt).spawn().unwrap();
        clock.advance(S);
        assert_eq!(stage.join().unwrap_err().to_string(), "stage `timed`: no good at the timer");
    });
}

#[test]
fn a_timer_emits_as_any_callback_does() {
    struct Ticks(u64);
    impl Producer for Ticks {
        type Event = u64;
        fn handle_demand(&mut self, _: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
            ctx.send_interval(S)?;
            Ok(())
        }
        fn handle_timer(&mut self, _: TimerId, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
            ctx.emit(self.0);
            self.0 += 1;
            if self.0 == 3 {
                ctx.done();
            }
            Ok(())
        }
    }
    watchdog(|| {
        let (rt, clock) = drawgate::testing::runtime();
        let ticks = drawgate::producer(Ticks(0)).runtime(&rt).spawn().unwrap();
        let all = drawgate::fold(Vec::new(), |all, n: u64| all.push(n));
        let all = all.runtime(&rt).subscribe_to(&ticks).spawn().unwrap();
        for _ in 0..3 {
            clock.settle();
            clock.advance(S);
        }
        assert_eq!(all.finish().unwrap(), [0, 1, 2]);
    });
}

// ---- chunks_within

#[test]
fn chunks_within_a_time_come_when_they_are_full_or_their_time_has_come() {
    watchdog(|| {
        for (parallel, ends_there) in [(false, false), (false, true), (true, false), (true, true)] {
            let (rt, clock) = drawgate::testing::runtime();
            let port = Port::bounded(16).runtime(&rt).spawn().unwrap();
            let (tell, told) = mpsc::channel();
            // After a hop, after a parallel step; in the last stage, or in one above it.
            let chunks = match parallel {
                false => drawgate::from_upstream(&port),
                true => drawgate::from_upstream(&port).parallel_map(2, |n: u64| n),
            }
            .chunks_within(3, S);
            let tells = move |chunk: Vec<u64>| tell.send(chunk).unwrap();
            let graph = match ends_there {
                true => chunks.for_each(tells).runtime(&rt).spawn().unwrap(),
                false => chunks.hop().for_each(tells).runtime(&rt).spawn().unwrap(),
            };
            let push = |events: Vec<u64>| {
                events.into_iter().for_each(|event| port.push(event).unwrap());
                clock.settle();
            };
            push(vec![0, 1]);
            pass(&clock, S - TICK);
            assert!(told.try_recv().is_err());
            pass(&clock, TICK);
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [vec![0, 1]]);
            // A full one does not wait, and the next one's time begins with its first event.
            push(vec![2, 3, 4]);
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [vec![2, 3, 4]]);
            pass(&clock, S / 2);
            push(vec![5]);
            pass(&clock, S / 2);
            push(vec![6]);
            assert!(told.try_recv().is_err());
            pass(&clock, S / 2);
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [vec![5, 6]]);
            push(vec![7]);
            port.close();
            graph.join().unwrap();
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [vec![7]]);
        }
    });
}

#[test]
fn chunks_within_a_time_come_though_the_source_blocks() {
    watchdog(|| {
        let ((tx, rx), (tell, told)) = (mpsc::channel(), mpsc::channel());
        let chunks = drawgate::from_iter(rx).map(|n: u64| n + 1).chunks_within(10, TICK);
        let graph = chunks.for_each(move |chunk| tell.send(chunk).unwrap()).spawn().unwrap();
        tx.send(1).unwrap();
        assert_eq!(told.recv().unwrap(), [2]);
        drop(tx);
        graph.join().unwrap();
    });
}

#[test]
fn chunks_within_checks_its_number() {
    let refused = drawgate::from_iter(0..3).chunks_within(0, S).collect().run().unwrap_err();
    assert!(refused.to_string().contains("`chunks_within` must be at least 1"), "{refused}");
}

// ---- doorbells

#[test]
fn a_doorbell_is_heard_once_for_all_rings_before_and_again_after() {
    watchdog(|| {
        let (tell, told) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let stage = drawgate::consumer(Told(tell, Some(gate))).spawn().unwrap();
        let bell = stage.call(|_, ctx| ctx.doorbell()).unwrap();
        bell.ring();
        assert_eq!(told.recv().unwrap(), bell.id()); // it is in its callback
        for _ in 0..3 {
            bell.clone().ring();
        }
        drop(go);
        assert_eq!(told.recv().unwrap(), bell.id());
        stage.call(|_, _| ()).unwrap();
        assert!(told.try_recv().is_err(), "three rings, one callback");
        let id = bell.id();
        assert!(stage.call(move |_, ctx| ctx.cancel_timer(id)).unwrap());
        bell.ring();
        stage.call(|_, _| ()).unwrap();
        assert!(told.try_recv().is_err(), "it was cancelled");
        stage.stop(ExitReason::Normal, 20 * S).unwrap();
        bell.ring();
    });
}
