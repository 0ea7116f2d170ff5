//! What stands in a lane while nobody draws, what notifications keep their place among, and what becomes of a consumer
//! whose producer ends.

use crate::support::watchdog;
use drawgate::error::{CancelReason, SubscriptionLost};
use drawgate::prelude::*;
use drawgate::runtime::Telemetry;
use drawgate::stage::{BufferKeep, Cancel, Notification, Peer};
use drawgate::{Nothing, SubscribeError, Subscription};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// Answers no demand and emits only what a call tells it to; tells why its consumers left.
struct Quiet(Option<Sender<CancelReason>>);
impl Producer for Quiet {
    type Event = u64;
    fn handle_demand(&mut self, _: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        Ok(())
    }
    fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        if let Some(left) = &self.0 {
            left.send(why.clone())?;
        }
        Ok(())
    }
}

type Emitting<S> = Handle<Nothing, u64, S>;

fn emit<S: 'static>(producer: &Emitting<S>, events: impl IntoIterator<Item = u64> + Send + 'static) {
    producer.call(|_, ctx| ctx.extend(events)).unwrap();
}
fn done<S: 'static>(producer: &Emitting<S>) {
    producer.call(|_, ctx| ctx.done()).unwrap();
}
/// All that stands for a new consumer, once the producer is done.
fn rest<S: 'static>(producer: &Emitting<S>) -> Vec<u64> {
    let all = drawgate::fold(Vec::new(), |all, event| all.push(event)).subscribe_to(producer).spawn().unwrap();
    done(producer);
    all.finish().unwrap()
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    Event(u64),
    Note(u64),
    Cancelled,
    Done,
}
use Seen::{Event, Note};

/// Tells everything it sees.
struct Log(Sender<Seen>);
impl Log {
    fn new() -> (Self, Receiver<Seen>) {
        let (tell, told) = mpsc::channel();
        (Self(tell), told)
    }
}
impl Consumer for Log {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        for event in events {
            self.0.send(Event(event))?;
        }
        Ok(())
    }
    fn handle_notification(&mut self, note: &Notification, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(self.0.send(Note(*note.get().unwrap()))?)
    }
    fn handle_cancel(&mut self, _: &Peer, why: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        match why {
            CancelReason::Down(ExitReason::Done) => Ok(()),
            _ => Ok(self.0.send(Seen::Cancelled)?),
        }
    }
    fn handle_done(&mut self, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(self.0.send(Seen::Done)?)
    }
}

fn note(n: u64) -> Notification {
    Notification::custom(n)
}
/// What a runtime reports of discarded and lost events: of which stage, how many.
fn losses(runtime: &Runtime) -> Receiver<(String, usize)> {
    let (tell, told) = mpsc::channel();
    runtime.on_event(move |event| {
        if let Telemetry::Discarded { stage, count } | Telemetry::Lost { stage, count } = event {
            let _ = tell.send((stage.to_string(), *count));
        }
    });
    told
}

// ---- buffer

#[test]
fn p27_what_was_emitted_without_demand_is_drawn_before_what_is_newer() {
    watchdog(|| {
        let (counting, _demands) = crate::support::Counting::new();
        let producer = drawgate::producer(counting).spawn().unwrap();
        emit(&producer, 100..103);
        assert_eq!(producer.buffered(), 3);
        let (log, told) = Log::new();
        let log = drawgate::consumer(log)
            .subscribe_to_with(&producer, Subscribe::new().max_demand(2).min_demand(1))
            .spawn()
            .unwrap();
        let first: Vec<_> = told.iter().take(5).collect();
        assert_eq!(first, [100, 101, 102, 0, 1].map(Event));
        log.request_stop(ExitReason::Normal);
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p28_a_full_buffer_keeps_the_first_or_the_last_and_reports_once_with_the_stages_name() {
    watchdog(|| {
        for (keep, kept) in [(BufferKeep::First, [0, 1, 2, 3, 4]), (BufferKeep::Last, [3, 4, 5, 6, 7])] {
            let runtime = Runtime::new();
            let reports = losses(&runtime);
            let producer = drawgate::producer(Quiet(None))
                .name("letters")
                .runtime(&runtime)
                .buffer_size(5)
                .buffer_keep(keep)
                .spawn()
                .unwrap();
            emit(&producer, 0..8);
            assert_eq!((producer.buffered(), producer.stats().discarded), (5, 3));
            assert_eq!(rest(&producer), kept);
            assert_eq!(reports.try_iter().collect::<Vec<_>>(), [("letters".to_string(), 3)]);
        }
    });
}

#[test]
fn p28_events_that_were_asked_for_are_not_counted_against_the_bound() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).buffer_size(2).buffer_keep(BufferKeep::First).spawn().unwrap();
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let all = drawgate::fold(Vec::new(), move |all, event| {
            begun.send(()).unwrap();
            let _ = going.recv(); // until `go` is dropped
            all.push(event);
        })
        .subscribe_to_with(&producer, Subscribe::new().max_demand(10).min_demand(0))
        .spawn()
        .unwrap();
        emit(&producer, [0]);
        begins.recv().unwrap(); // it is busy with 0, and has asked for nine more
        emit(&producer, 1..12);
        assert_eq!((producer.buffered(), producer.stats().discarded), (11, 0));
        emit(&producer, [12]);
        assert_eq!((producer.buffered(), producer.stats().discarded), (11, 1));
        drop(go);
        done(&producer);
        assert_eq!(all.finish().unwrap(), (0..12).collect::<Vec<_>>());
    });
}

#[test]
fn p29_a_hook_gets_the_count_in_place_of_the_report() {
    watchdog(|| {
        let runtime = Runtime::new();
        let reports = losses(&runtime);
        let (tell, told) = mpsc::channel();
        let producer = drawgate::producer(Quiet(None))
            .runtime(&runtime)
            .buffer_size(1)
            .on_discard(move |count| tell.send(count).unwrap())
            .spawn()
            .unwrap();
        emit(&producer, 0..4);
        emit(&producer, 4..6);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [3, 2]);
        assert!(reports.try_recv().is_err());
        assert_eq!(rest(&producer), [5]);
    });
}

#[test]
fn p30_an_unbounded_buffer_holds_everything_and_can_be_counted() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).buffer_unbounded().spawn().unwrap();
        for n in 1..=3 {
            emit(&producer, 0..10_000);
            assert_eq!(producer.buffered(), n * 10_000);
        }
        assert_eq!(rest(&producer).len(), 30_000);
        assert_eq!((producer.buffered(), producer.stats().discarded), (0, 0));
    });
}

#[test]
fn p30_the_buffer_can_be_counted_while_the_stage_is_stuck() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        emit(&producer, 0..3);
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        producer.cast(move |_, _| {
            begun.send(()).unwrap();
            let _ = going.recv();
        });
        begins.recv().unwrap();
        assert_eq!((producer.buffered(), producer.stats().buffered), (3, 3));
        drop(go);
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p31_what_was_emitted_while_nobody_was_subscribed_goes_to_a_later_consumer_also_the_second_time() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        emit(&producer, 0..3);
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).spawn().unwrap();
        let temporary = || Subscribe::new().cancel(Cancel::Temporary);
        let subscription = log.subscribe_with(&producer, temporary()).unwrap();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [0, 1, 2].map(Event));
        subscription.cancel();
        assert_eq!(told.recv().unwrap(), Seen::Cancelled);
        emit(&producer, 3..6);
        log.subscribe_with(&producer, temporary()).unwrap();
        done(&producer);
        assert_eq!(told.iter().take(4).collect::<Vec<_>>(), [Event(3), Event(4), Event(5), Seen::Done]);
        log.join().unwrap();
    });
}

// ---- a consumer that fails

/// What a consumer does to its slice before it fails.
type Takes = fn(Events<'_, u64>) -> anyhow::Result<()>;

struct Failing(Takes);
impl Consumer for Failing {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, _: &mut Context<'_>) -> anyhow::Result<()> {
        (self.0)(events)
    }
}

/// Lets a consumer fail at a slice of 0..10; gives what the next one gets, and how many were counted as lost.
fn after_failure(takes: Takes) -> (Vec<u64>, u64) {
    let runtime = Runtime::new();
    let reports = losses(&runtime);
    let (tell, told) = mpsc::channel();
    let producer = drawgate::producer(Quiet(Some(tell))).runtime(&runtime).spawn().unwrap();
    emit(&producer, 0..10);
    let failing = drawgate::consumer(Failing(takes))
        .name("failing")
        .runtime(&runtime)
        .subscribe_to_with(&producer, Subscribe::new().max_demand(10).min_demand(0))
        .spawn()
        .unwrap();
    assert!(failing.join().is_err());
    // The producer is told, and why.
    assert!(matches!(told.recv().unwrap(), CancelReason::Down(reason) if reason.is_failure()));
    emit(&producer, [10]);
    let (rest, lost) = (rest(&producer), producer.stats().lost);
    let reported: Vec<_> = reports.try_iter().collect();
    match lost {
        0 => assert!(reported.is_empty()),
        n => assert_eq!(reported, [("failing".to_string(), n as usize)]),
    }
    (rest, lost)
}

#[test]
fn p33_what_a_failed_consumer_had_not_taken_goes_to_the_next_and_the_one_in_hand_is_lost() {
    watchdog(|| {
        let third: Takes = |mut events| {
            assert_eq!(events.nth(2), Some(2));
            anyhow::bail!("no good")
        };
        assert_eq!(after_failure(third), ((3..=10).collect(), 1));
        let first_panics: Takes = |mut events| panic!("at {:?}", events.next());
        assert_eq!(after_failure(first_panics), ((1..=10).collect(), 1));
    });
}

#[test]
fn p33_a_consumer_that_took_nothing_loses_nothing() {
    watchdog(|| {
        let looks: Takes = |events| anyhow::bail!("do not like {:?}", events.as_slice());
        assert_eq!(after_failure(looks), ((0..=10).collect(), 0));
    });
}

#[test]
fn p33_a_consumer_that_took_all_at_once_loses_what_it_took() {
    watchdog(|| {
        let takes_all: Takes = |mut events| {
            events.next(); // this one is in hand as well
            anyhow::bail!("do not like {:?}", events.into_vec())
        };
        assert_eq!(after_failure(takes_all), (vec![10], 10));
    });
}

#[test]
fn p33_a_failed_consumers_rest_goes_to_one_that_sleeps_beside_it() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        let one = || Subscribe::new().max_demand(4).min_demand(0);
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        let failing = drawgate::try_for_each(move |_: u64| {
            begun.send(()).unwrap();
            let _ = going.recv();
            anyhow::bail!("no good")
        })
        .subscribe_to_with(&producer, one())
        .spawn()
        .unwrap();
        emit(&producer, 0..4);
        begins.recv().unwrap(); // it has drawn all four
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).subscribe_to_with(&producer, one()).spawn().unwrap();
        drop(go);
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [1, 2, 3].map(Event));
        assert!(failing.join().is_err());
        log.request_stop(ExitReason::Normal);
        producer.request_stop(ExitReason::Normal);
    });
}

// ---- notifications

#[test]
fn p34_a_notification_comes_after_exactly_the_events_before_it() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        producer
            .call(|_, ctx| {
                ctx.extend([0, 1]);
                ctx.notify(&note(2));
                ctx.extend([2, 3]);
            })
            .unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).subscribe_to(&producer).spawn().unwrap();
        done(&producer);
        log.join().unwrap();
        let seen: Vec<_> = told.try_iter().collect();
        assert_eq!(seen, [Event(0), Event(1), Note(2), Event(2), Event(3), Seen::Done]);
    });
}

#[test]
fn p34_a_notification_with_nothing_before_it_comes_at_once_without_demand() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).spawn().unwrap();
        let subscription = log.subscribe_with(&producer, Subscribe::new().manual()).unwrap();
        producer.notify(&note(0)).unwrap();
        assert_eq!(told.recv().unwrap(), Note(0));

        emit(&producer, [0]);
        producer.notify(&note(1)).unwrap();
        log.call(|_, _| ()).unwrap(); // it has looked since
        assert!(told.try_recv().is_err(), "an event stands before this one, and was not asked for");
        subscription.ask(1).unwrap();
        assert_eq!(told.iter().take(2).collect::<Vec<_>>(), [Event(0), Note(1)]);
        log.request_stop(ExitReason::Normal);
        producer.request_stop(ExitReason::Normal);
    });
}

#[test]
fn p34_a_notification_stays_when_the_events_before_it_were_discarded() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).buffer_size(2).spawn().unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).spawn().unwrap();
        let subscription = log.subscribe_with(&producer, Subscribe::new().manual()).unwrap();
        emit(&producer, [0, 1]);
        producer.notify(&note(2)).unwrap();
        emit(&producer, [2, 3]); // 0 and 1 make room
        assert_eq!(told.recv().unwrap(), Note(2));
        subscription.ask(10).unwrap();
        done(&producer);
        log.join().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event(2), Event(3), Seen::Done]);
    });
}

#[test]
fn p34_a_notification_reaches_every_consumer_of_a_broadcast() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).dispatcher(BroadcastDispatcher::new()).spawn().unwrap();
        let logs: Vec<_> = (0..3)
            .map(|_| {
                let (log, told) = Log::new();
                (drawgate::consumer(log).subscribe_to(&producer).spawn().unwrap(), told)
            })
            .collect();
        emit(&producer, [0]);
        producer.notify(&note(1)).unwrap();
        emit(&producer, [1]);
        done(&producer);
        for (log, told) in logs {
            log.join().unwrap();
            assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event(0), Note(1), Event(1), Seen::Done]);
        }
    });
}

#[test]
fn p35_several_notifications_keep_their_order_between_consumers_that_share_a_lane() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        let logs: Vec<_> = (0..2)
            .map(|_| {
                let (log, told) = Log::new();
                let few = Subscribe::new().max_demand(4);
                (drawgate::consumer(log).subscribe_to_with(&producer, few).spawn().unwrap(), told)
            })
            .collect();
        const N: u64 = 1000;
        producer
            .call(|_, ctx| {
                for n in 0..N {
                    ctx.emit(n);
                    if n % 7 == 0 {
                        ctx.notify(&note(n));
                    }
                }
                ctx.done();
            })
            .unwrap();
        let mut events = Vec::new();
        for (log, told) in logs {
            log.join().unwrap();
            let seen: Vec<_> = told.try_iter().collect();
            let notes: Vec<_> = seen.iter().filter_map(|s| if let Note(n) = s { Some(*n) } else { None }).collect();
            assert_eq!(notes, (0..N).step_by(7).collect::<Vec<_>>(), "each gets all of them, in order");
            let mut last = None; // note `n` stands between the events `n` and `n + 1`
            for seen in seen {
                match seen {
                    Event(n) => {
                        assert!(last.is_none_or(|last| n > last), "event {n} after the notification {last:?}");
                        events.push(n);
                        last = last.max(Some(n));
                    }
                    Note(n) => {
                        assert!(last.is_none_or(|last| n >= last), "notification {n} after the event {last:?}");
                        last = Some(n);
                    }
                    _ => {}
                }
            }
        }
        events.sort_unstable();
        assert_eq!(events, (0..N).collect::<Vec<_>>());
    });
}

#[test]
fn p36_notify_returns_once_the_notification_has_its_place() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        emit(&producer, [0]);
        producer.notify(&note(0)).unwrap();
        emit(&producer, [1]);
        producer.notify(&note(1)).unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).subscribe_to(&producer).spawn().unwrap();
        done(&producer);
        log.join().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event(0), Note(0), Event(1), Note(1), Seen::Done]);
    });
}

#[test]
fn p36_notify_needs_no_free_stage_and_fails_on_one_that_has_ended() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).name("p36-gone").spawn().unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).subscribe_to(&producer).spawn().unwrap();
        let ((begun, begins), (go, going)) = (mpsc::channel(), mpsc::channel::<()>());
        producer.cast(move |_, _| {
            begun.send(()).unwrap();
            let _ = going.recv();
        });
        begins.recv().unwrap();
        producer.notify(&note(0)).unwrap();
        assert_eq!(told.recv().unwrap(), Note(0));
        drop(go);
        done(&producer);
        log.join().unwrap();
        producer.join().unwrap();
        assert_eq!(producer.notify(&note(1)).unwrap_err().to_string(), "stage `p36-gone` has ended: done");
    });
}

// ---- cancel modes and done

/// What a consumer with this mode does once its producer has ended, or its subscription was cancelled, in this way:
/// `None` if it lives on.
fn fate(mode: Cancel, end: impl FnOnce(&Emitting<Quiet>, &Subscription)) -> Option<ExitReason> {
    let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
    let (log, told) = Log::new();
    let log = drawgate::consumer(log).spawn().unwrap();
    let subscription = log.subscribe_with(&producer, Subscribe::new().cancel(mode)).unwrap();
    end(&producer, &subscription);
    assert_eq!(told.recv().unwrap(), Seen::Cancelled);
    let fate = match log.call(|_, _| ()) {
        Ok(()) => None,
        Err(_) => log.join_timeout(Duration::MAX).unwrap(),
    };
    log.request_stop(ExitReason::Normal);
    producer.request_stop(ExitReason::Normal);
    fate
}
fn stops(reason: ExitReason) -> impl FnOnce(&Emitting<Quiet>, &Subscription) {
    |producer, _| producer.request_stop(reason)
}
fn cancels(_: &Emitting<Quiet>, subscription: &Subscription) {
    subscription.cancel();
}
fn is_lost(reason: &ExitReason) -> bool {
    matches!(reason, ExitReason::Error(cause) if cause.downcast_ref::<SubscriptionLost>()
        .is_some_and(|lost| matches!(lost.reason, CancelReason::Cancelled | CancelReason::NoProducer)))
}

#[test]
fn p38_a_permanent_consumer_ends_with_the_producers_reason() {
    watchdog(|| {
        let fate = |reason| fate(Cancel::Permanent, stops(reason)).unwrap();
        assert!(matches!(fate(ExitReason::Normal), ExitReason::Normal));
        assert!(matches!(fate(ExitReason::Shutdown), ExitReason::Shutdown));
        let failed = ExitReason::error(anyhow::anyhow!("no good"));
        assert_eq!(fate(failed).to_string(), "no good");
        assert!(matches!(fate(ExitReason::Panic("oops".into())), ExitReason::Panic(m) if &*m == "oops"));
    });
}

#[test]
fn p38_a_permanent_consumer_that_is_cancelled_says_so() {
    watchdog(|| assert!(is_lost(&fate(Cancel::Permanent, cancels).unwrap())));
}

#[test]
fn p38_a_transient_consumer_ends_unless_the_reason_was_normal_or_shutdown() {
    watchdog(|| {
        assert!(fate(Cancel::Transient, stops(ExitReason::Normal)).is_none());
        assert!(fate(Cancel::Transient, stops(ExitReason::Shutdown)).is_none());
        let failed = ExitReason::error(anyhow::anyhow!("no good"));
        assert_eq!(fate(Cancel::Transient, stops(failed)).unwrap().to_string(), "no good");
        assert!(is_lost(&fate(Cancel::Transient, cancels).unwrap()));
    });
}

#[test]
fn p38_a_temporary_consumer_lives_on() {
    watchdog(|| {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Panic("oops".into())] {
            assert!(fate(Cancel::Temporary, stops(reason)).is_none());
        }
        assert!(fate(Cancel::Temporary, cancels).is_none());
    });
}

#[test]
fn p39_a_consumer_of_two_finite_producers_gets_all_of_both_then_is_done_then_ends() {
    watchdog(|| {
        let (a, b) = (drawgate::producer(Quiet(None)).spawn().unwrap(), drawgate::from_iter(100..200).spawn().unwrap());
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).subscribe_to(&a).subscribe_to(&b).spawn().unwrap();
        b.join().unwrap(); // one is done before the other has begun
        emit(&a, 0..100);
        done(&a);
        log.join().unwrap();
        assert!(matches!(log.exit_reason(), Some(ExitReason::Done)));
        let mut seen: Vec<_> = told.try_iter().collect();
        assert_eq!(seen.pop(), Some(Seen::Done));
        let mut events: Vec<_> = seen.into_iter().map(|s| if let Event(n) = s { n } else { panic!("{s:?}") }).collect();
        events.sort_unstable();
        assert_eq!(events, (0..200).collect::<Vec<_>>());
    });
}

/// Ends a lost subscription and a done one of the same consumer, in this order.
fn lost_and_done(done_first: bool) -> Option<ExitReason> {
    let (a, b) = (drawgate::producer(Quiet(None)).spawn().unwrap(), drawgate::producer(Quiet(None)).spawn().unwrap());
    let (log, told) = Log::new();
    let temporary = || Subscribe::new().cancel(Cancel::Temporary);
    let log =
        drawgate::consumer(log).subscribe_to_with(&a, temporary()).subscribe_to_with(&b, temporary()).spawn().unwrap();
    let lose = || {
        a.request_stop(ExitReason::Shutdown);
        assert_eq!(told.recv().unwrap(), Seen::Cancelled);
    };
    if done_first {
        done(&b);
        b.join().unwrap();
        log.call(|_, _| ()).unwrap();
        lose();
    } else {
        lose();
        done(&b);
    }
    assert_eq!(told.recv().unwrap(), Seen::Done);
    log.join_timeout(Duration::MAX).unwrap()
}

#[test]
fn p39_the_last_subscription_to_end_need_not_be_the_one_that_was_done() {
    watchdog(|| {
        assert!(matches!(lost_and_done(false), Some(ExitReason::Done)));
        assert!(matches!(lost_and_done(true), Some(ExitReason::Done)));
    });
}

#[test]
fn p40_subscribing_by_hand_to_what_is_not_there_is_an_error_and_changes_nothing() {
    watchdog(|| {
        let runtime = Runtime::new();
        let dead = drawgate::producer(Quiet(None)).name("dead").runtime(&runtime).spawn().unwrap();
        dead.stop(ExitReason::Normal, Duration::MAX).unwrap();
        let producer = drawgate::producer(Quiet(None)).runtime(&runtime).spawn().unwrap();
        let (log, told) = Log::new();
        let log = drawgate::consumer(log).runtime(&runtime).subscribe_to(&producer).spawn().unwrap();

        let ended = log.subscribe(&dead).unwrap_err();
        assert!(matches!(&ended, SubscribeError::Ended { stage, reason: Some(ExitReason::Normal) }
            if stage.to_string() == "dead"));
        let unknown = log.subscribe("nobody").unwrap_err();
        assert_eq!(unknown.to_string(), "nothing is named `nobody`");
        let by_name = log.subscribe("dead").unwrap_err(); // its name went with it
        assert!(matches!(by_name, SubscribeError::NoProducer { .. }));

        emit(&producer, [0]);
        done(&producer);
        log.join().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Event(0), Seen::Done]);
    });
}

#[test]
fn p40_an_ended_consumer_cannot_subscribe_and_leaves_nothing_with_the_producer() {
    watchdog(|| {
        let producer = drawgate::producer(Quiet(None)).spawn().unwrap();
        let log = drawgate::consumer(Log::new().0).spawn().unwrap();
        log.stop(ExitReason::Normal, Duration::MAX).unwrap();
        let refused = log.subscribe(&producer).unwrap_err();
        assert!(matches!(refused, SubscribeError::Ended { reason: Some(ExitReason::Normal), .. }));
        assert!(producer.stats().consumers.is_empty());
        producer.request_stop(ExitReason::Normal);
    });
}

/// What a consumer with this mode does that declares a subscription to something by name.
fn declared_fate(mode: Cancel, runtime: &Runtime, name: &str) -> Option<ExitReason> {
    let options = Subscribe::new().cancel(mode);
    let log = drawgate::consumer(Log::new().0).runtime(runtime).subscribe_to_with(name, options).spawn().unwrap();
    let fate = match log.call(|_, _| ()) {
        Ok(()) => None,
        Err(_) => log.join_timeout(Duration::MAX).unwrap(),
    };
    log.request_stop(ExitReason::Normal);
    fate
}

#[test]
fn p40_a_declared_producer_that_is_not_there_counts_as_a_cancel() {
    watchdog(|| {
        let runtime = Runtime::new();
        let permanent = declared_fate(Cancel::Permanent, &runtime, "nobody").unwrap();
        assert!(is_lost(&permanent));
        assert_eq!(permanent.to_string(), "the subscription to `nobody` was lost: no such producer");
        assert!(is_lost(&declared_fate(Cancel::Transient, &runtime, "nobody").unwrap()));
        assert!(declared_fate(Cancel::Temporary, &runtime, "nobody").is_none());
    });
}

#[test]
fn p40_a_declared_producer_that_has_ended_counts_as_a_cancel_for_its_reason() {
    watchdog(|| {
        let ended = |reason: ExitReason| {
            let dead = drawgate::producer(Quiet(None)).spawn().unwrap();
            dead.stop(reason, Duration::MAX).unwrap();
            dead
        };
        let fate = |mode, dead: &Emitting<Quiet>| {
            let options = Subscribe::new().cancel(mode);
            let (log, _told) = Log::new();
            let log = drawgate::consumer(log).subscribe_to_with(dead, options).spawn().unwrap();
            let fate = match log.call(|_, _| ()) {
                Ok(()) => None,
                Err(_) => log.join_timeout(Duration::MAX).unwrap(),
            };
            log.request_stop(ExitReason::Normal);
            fate
        };
        let normal = ended(ExitReason::Normal);
        assert!(matches!(fate(Cancel::Permanent, &normal), Some(ExitReason::Normal)));
        assert!(fate(Cancel::Transient, &normal).is_none());
        let failed = ended(ExitReason::Panic("oops".into()));
        assert!(matches!(fate(Cancel::Transient, &failed), Some(ExitReason::Panic(_))));
        assert!(fate(Cancel::Temporary, &failed).is_none());
        // One that was done ends a consumer that has nothing else.
        assert!(matches!(fate(Cancel::Temporary, &ended(ExitReason::Done)), Some(ExitReason::Done)));
    });
}

#[test]
fn p40_a_declared_producer_that_was_done_still_lets_the_consumer_finish() {
    watchdog(|| {
        let dead = drawgate::producer(Quiet(None)).spawn().unwrap();
        done(&dead);
        dead.join().unwrap();
        let (log, told) = Log::new();
        drawgate::consumer(log).subscribe_to(&dead).spawn().unwrap().join().unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Seen::Done]);
    });
}
