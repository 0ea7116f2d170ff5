//! Jobs at work: producers, workers, failures, ends.

use crate::support::{Db, on_both, only, until};
use diesel::connection::SimpleConnection;
use drawgate::jobs::{Filter, JobState, NewJob, Outcome, Queue, Reserved, Store};
use drawgate::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

on_both! {
    p70_what_a_handler_writes_and_the_removal_of_its_job_are_one
    p71_a_handler_that_fails_or_panics_leaves_its_cause_and_no_other_job_notices
    p72_without_demand_nothing_is_claimed_and_demand_is_kept
    p73_a_job_of_this_process_is_served_at_once
    a_handler_says_what_becomes_of_its_job
    p80_a_stop_gives_back_what_was_not_begun
    a_limit_of_jobs_of_one_key_at_once_holds_over_processes
    a_claim_of_few_of_a_key_takes_others_in_their_order
    a_key_with_many_jobs_does_not_hide_others
    what_happens_to_jobs_can_be_heard
    old_failed_jobs_are_removed_in_passing
}

fn p70_what_a_handler_writes_and_the_removal_of_its_job_are_one<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("CREATE TABLE {t}_done (n integer)");
    let table = db.table().to_owned();
    queue.enqueue_all(0..50).unwrap();
    let write = move |tx: &mut D::Conn, n: u32| tx.batch_execute(&format!("INSERT INTO {table}_done VALUES ({n})"));
    let write2 = write.clone();
    let in_tx = queue.work_in_tx(move |tx, job| Ok(write(tx, **job)?)).threads(3).spawn().unwrap();
    let apart = queue.work(move |job, finish| finish.commit(|tx| Ok(write2(tx, **job)?))).threads(3).spawn().unwrap();
    until(|| queue.counts().unwrap().total() == 0);
    for workers in [in_tx, apart] {
        workers.stop(SOON).unwrap();
    }
    let mut conn = db.conn();
    assert_eq!(D::number(&mut conn, &format!("SELECT count(*) AS v FROM {}_done", db.table())), 50);
    assert_eq!(D::number(&mut conn, &format!("SELECT count(DISTINCT n) AS v FROM {}_done", db.table())), 50);
    assert_eq!((queue.stats().done, queue.stats().started), (50, 50));
}

fn p71_a_handler_that_fails_or_panics_leaves_its_cause_and_no_other_job_notices<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("CREATE TABLE {t}_done (n integer)");
    let table = db.table().to_owned();
    queue.enqueue_all([NewJob::new(0), NewJob::new(1), NewJob::new(2), NewJob::new(3).max_attempts(1)]).unwrap();
    let handler = move |tx: &mut D::Conn, job: &drawgate::jobs::Job<u32>| {
        tx.batch_execute(&format!("INSERT INTO {table}_done VALUES ({})", **job))?;
        match **job {
            1 => anyhow::bail!("the mill is closed"),
            2 => panic!("the wheel is broken"),
            3 => anyhow::bail!("for the last time"),
            _ => Ok(()),
        }
    };
    let workers = queue.work_in_tx(handler).threads(1).spawn().unwrap();
    until(|| queue.stats().done + queue.stats().retried + queue.stats().failed == 4);
    workers.stop(SOON).unwrap();
    let all = queue.list(&Filter::new()).unwrap();
    let seen: Vec<_> = all.iter().map(|job| (job.state, job.attempt, job.last_error.as_deref().unwrap())).collect();
    let (retry, failed) = (JobState::Retry, JobState::Failed);
    let (closed, broken) = ("the mill is closed", "panicked: the wheel is broken");
    assert_eq!(seen, [(retry, 1, closed), (retry, 1, broken), (failed, 1, "for the last time")]);
    let delay = all[0].schedule.duration_since(all[0].updated_at).unwrap();
    assert_eq!(delay.as_secs(), 60, "30 s times the attempt and one");
    let mut conn = db.conn();
    assert_eq!(D::number(&mut conn, &format!("SELECT sum(n) AS v FROM {}_done", db.table())), 0, "nothing half done");
}

fn p72_without_demand_nothing_is_claimed_and_demand_is_kept<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all([1, 2]).unwrap();
    let jobs = queue.producer().spawn().unwrap();
    jobs.call(|_, _| ()).unwrap();
    assert_eq!(queue.counts().unwrap().available, 2, "nobody has asked");
    let (tell, told) = mpsc::channel();
    let hear = drawgate::for_each(move |job: Reserved<u32>| tell.send(job).unwrap()).spawn().unwrap();
    let subscription = hear.subscribe_with(&jobs, Subscribe::new().manual().max_demand(10)).unwrap();
    subscription.ask(3).unwrap();
    let held: Vec<_> = told.iter().take(2).collect();
    assert_eq!(held.iter().map(|job| *job.params()).collect::<Vec<_>>(), [1, 2]);
    queue.enqueue_all([3, 4]).unwrap(); // meets what is left of the demand, and no more
    assert_eq!(*told.recv().unwrap().params(), 3);
    jobs.call(|_, _| ()).unwrap();
    assert_eq!(queue.counts().unwrap().available, 1 + 1, "the fourth, and the third, which was dropped, is given back");
    drop(held);
    until(|| queue.counts().unwrap().available == 4);
    jobs.stop(ExitReason::Normal, SOON).unwrap();
}

fn p73_a_job_of_this_process_is_served_at_once<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let (tell, told) = mpsc::channel();
    let workers = queue.work(move |job, _| Ok(tell.send(**job)?)).threads(2).spawn().unwrap();
    for n in 0..10 {
        queue.enqueue(n).unwrap();
        assert_eq!(told.recv().unwrap(), n);
    }
    queue.enqueue(NewJob::new(10).schedule_in(Duration::from_millis(1))).unwrap();
    assert_eq!(told.recv().unwrap(), 10);
    workers.stop(SOON).unwrap();
    assert_eq!(queue.counts().unwrap().total(), 0);
}

fn a_handler_says_what_becomes_of_its_job<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all([NewJob::new(0), NewJob::new(1), NewJob::new(2), NewJob::new(1).max_attempts(1)]).unwrap();
    let handler = |n: u32| match n {
        1 => Outcome::Retry(Duration::from_secs(7)),
        2 => Outcome::Discard("no such mill".into()),
        _ => Outcome::Done,
    };
    let workers = queue.work(move |job, _| Ok(handler(**job))).threads(1).spawn().unwrap();
    until(|| queue.stats().done + queue.stats().retried + queue.stats().failed == 4);
    workers.stop(SOON).unwrap();
    let all = queue.list(&Filter::new()).unwrap();
    let seen: Vec<_> = all.iter().map(|job| (job.state, job.attempt, job.last_error.as_deref().unwrap())).collect();
    let again = "it is to be tried again";
    assert_eq!(
        seen,
        [(JobState::Retry, 1, again), (JobState::Failed, 1, "no such mill"), (JobState::Failed, 1, again)]
    );
    assert_eq!(all[0].schedule.duration_since(all[0].updated_at).unwrap().as_secs(), 7);
}

fn p80_a_stop_gives_back_what_was_not_begun<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let job = |n| NewJob::new(n).max_attempts(1); // begun one by one
    let (begun, begins) = mpsc::channel();
    let (go, gone) = crossbeam_channel::bounded::<()>(0);
    let workers = queue.work(move |job, _| {
        if **job >= 100 {
            begun.send(**job)?;
            let _ = gone.recv();
        }
        Ok(())
    });
    let workers = workers.threads(2).spawn().unwrap();
    queue.enqueue_all((0..100).map(job)).unwrap(); // short ones, so that more and more are asked for ahead
    until(|| queue.stats().done == 100);
    queue.enqueue_all((100..200).map(job)).unwrap();
    begins.recv().unwrap();
    begins.recv().unwrap();
    until(|| queue.counts().unwrap().reserved > 0);
    let late = workers.stop(Duration::from_millis(1)).unwrap_err();
    assert!(late.to_string().contains("did not answer within 1ms"), "{late}");
    drop(go);
    workers.stop(SOON).unwrap();
    let counts = queue.counts().unwrap();
    assert_eq!((counts.available, counts.total()), (98, 98));
    assert!(queue.list(&Filter::new()).unwrap().iter().all(|job| job.attempt == 0));
}

fn a_limit_of_jobs_of_one_key_at_once_holds_over_processes<D: Db>(db: &D) {
    let few = || {
        let queue = db.builder::<u32>().limit_per_key(2).open().unwrap();
        queue.install().unwrap();
        queue
    };
    // Two queues, as in two processes.
    let (a, b) = (few(), few());
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let work = |queue: &Queue<u32, D::Store>| {
        let (now, most) = (now.clone(), most.clone());
        let handler = move |job: &drawgate::jobs::Job<u32>, _: &mut drawgate::jobs::Finish<'_, D::Store>| {
            if **job % 2 == 0 {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, SeqCst);
            }
            Ok(())
        };
        queue.work(handler).threads(3).spawn().unwrap()
    };
    let key = |n: u32| if n % 2 == 0 { NewJob::new(n).limit_key("even") } else { NewJob::new(n) };
    let workers = [work(&a), work(&b)];
    a.enqueue_all((0..100).map(key)).unwrap();
    until(|| a.counts().unwrap().total() == 0);
    for workers in workers {
        workers.stop(SOON).unwrap();
    }
    assert!(most.load(SeqCst) <= 2, "{most:?} at once");
    assert_eq!(a.stats().done + b.stats().done, 100);
}

fn a_claim_of_few_of_a_key_takes_others_in_their_order<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let tenant = |n: u32| NewJob::new(n).limit_key("tenant");
    queue.enqueue_all([tenant(0), tenant(1), tenant(2), NewJob::new(3), tenant(4), NewJob::new(5)]).unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    let lease = Duration::from_secs(60);
    let mut claim = |n| -> Vec<String> {
        store.claim(&mut conn, n, lease, Some(2)).unwrap().into_iter().map(|row| row.params).collect()
    };
    assert_eq!(claim(3), ["0", "1", "3"]);
    assert_eq!(claim(3), ["5"], "two of the key are reserved");
    db.execute("DELETE FROM {t} WHERE id IN (SELECT min(id) FROM {t})");
    assert_eq!(claim(3), ["2"], "there is room for one");
}

fn what_happens_to_jobs_can_be_heard<D: Db>(db: &D) {
    let (tell, told) = mpsc::channel();
    let queue = db.builder::<u32>().on_event(move |event| drop(tell.send(format!("{event:?}")))).open().unwrap();
    queue.install().unwrap();
    let handler = |n: u32| match n {
        1 => Outcome::Retry(Duration::from_secs(7)),
        2 => Outcome::Discard("no such mill".into()),
        _ => Outcome::Done,
    };
    queue.enqueue_all([0, 1, 2]).unwrap();
    let workers = queue.work(move |job, _| Ok(handler(**job))).threads(1).spawn().unwrap();
    until(|| queue.stats().done + queue.stats().retried + queue.stats().failed == 3);
    workers.stop(SOON).unwrap();
    let heard: Vec<String> = told.try_iter().filter(|event| !event.starts_with("Claimed")).collect();
    let has = |what: &str| heard.iter().filter(|event| event.contains(what)).count();
    assert_eq!((heard.len(), has("Done"), has("Retried"), has("after: 7s"), has("no such mill")), (3, 1, 1, 1, 1));
}

fn old_failed_jobs_are_removed_in_passing<D: Db>(db: &D) {
    let day = Duration::from_secs(86_400);
    let queue = db.builder::<u32>().keep_failed_for(day).keep_failed(1).open().unwrap();
    queue.install().unwrap();
    queue.enqueue_all(0..3).unwrap();
    db.execute("UPDATE {t} SET state = 'FAILED'");
    db.pass(2 * 86_400);
    queue.enqueue_all(3..6).unwrap();
    db.execute("UPDATE {t} SET state = 'FAILED' WHERE state = 'AVAILABLE'");
    let jobs = queue.producer().spawn().unwrap();
    until(|| queue.counts().unwrap().failed == 1);
    assert_eq!(only(&queue).params, "5");
    jobs.stop(ExitReason::Normal, SOON).unwrap();
}

fn a_key_with_many_jobs_does_not_hide_others<D: Db>(db: &D) {
    let queue = db.builder::<u32>().limit_per_key(1).open().unwrap();
    queue.install().unwrap();
    queue.enqueue_all((0..3000).map(|n| NewJob::new(n).limit_key("many"))).unwrap();
    queue.enqueue_all([3000, 3001]).unwrap();
    let (begun, begins) = mpsc::channel();
    let (go, gone) = crossbeam_channel::bounded::<()>(0);
    let workers = queue.work(move |job, _| {
        begun.send(**job)?;
        let _ = gone.recv();
        Ok(())
    });
    let workers = workers.threads(3).spawn().unwrap();
    let mut three: Vec<u32> = begins.iter().take(3).collect();
    three.sort();
    assert_eq!(three, [0, 3000, 3001]);
    let _ = workers.stop(Duration::ZERO);
    drop(go);
    workers.stop(SOON).unwrap();
}
