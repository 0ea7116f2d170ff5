//! Jobs that come back by the clock.

use crate::support::{Db, LIMIT, on_both, until};
use drawgate::jobs::{Filter, NewJob};
use drawgate::prelude::*;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

on_both! {
    each_tick_is_enqueued_once_over_all_processes
    a_tick_that_was_remembered_is_not_enqueued_again
    an_expression_or_a_zone_that_is_none_is_refused
}

fn each_tick_is_enqueued_once_over_all_processes<D: Db>(db: &D) {
    let seconds = |tick: SystemTime| tick.duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Three queues, as in three processes, that all say the same.
    let clocks: Vec<_> = (0..3)
        .map(|_| {
            let periodic = db.queue::<u64>().periodic();
            let periodic = periodic.every("each second", "* * * * * *", "Asia/Tokyo", seconds).unwrap();
            periodic.spawn().unwrap()
        })
        .collect();
    let queue = db.queue::<u64>();
    until(|| queue.counts().unwrap().available >= 3);
    for clock in clocks {
        clock.stop(ExitReason::Normal, LIMIT).unwrap();
    }
    let ticks: Vec<u64> = queue.list(&Filter::new()).unwrap().iter().map(|job| job.params.parse().unwrap()).collect();
    assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
}

fn a_tick_that_was_remembered_is_not_enqueued_again<D: Db>(db: &D) {
    use drawgate::jobs::Store;
    let (_queue, store, mut conn) = (db.queue::<u32>(), db.store(), db.conn());
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut tick = |name: &str, seconds| store.tick(&mut conn, name, at(seconds)).unwrap();
    assert!(tick("a", 9));
    assert!(!tick("a", 9) && !tick("a", 8), "that was done");
    assert!(tick("a", 10) && tick("b", 1));
    let (ours, its) = (SystemTime::now(), store.now(&mut conn).unwrap());
    assert!(its + Duration::from_secs(1) > ours && ours + Duration::from_secs(1) > its, "the same machine's clock");
}

fn an_expression_or_a_zone_that_is_none_is_refused<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let every = |cron: &str, zone: &str| queue.periodic().every("a", cron, zone, |_| NewJob::new(1)).map(|_| ());
    assert!(every("0 9 * * MON-FRI", "Europe/Berlin").is_ok());
    assert!(every("0 25 * * *", "UTC").unwrap_err().to_string().contains("`cron` must be an expression"));
    let refused = every("0 9 * * *", "Middle/Earth").unwrap_err();
    assert_eq!(refused.to_string(), "option `zone` must be one of the IANA database, and was Middle/Earth");
}
