//! Jobs at work: producers, workers, failures, ends.

use crate::support::{Db, on_both, only, until};
use diesel::connection::SimpleConnection;
use drawgate::jobs::{Filter, JobState, NewJob, Outcome, Reserved};
use drawgate::prelude::*;
use std::sync::mpsc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

on_both! {
    p70_what_a_handler_writes_and_the_removal_of_its_job_are_one
    p71_a_handler_that_fails_or_panics_leaves_its_cause_and_no_other_job_notices
    p72_without_demand_nothing_is_claimed_and_demand_is_kept
    p73_a_job_of_this_process_is_served_at_once
    a_handler_says_what_becomes_of_its_job
    p80_a_stop_gives_back_what_was_not_begun
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
    queue.enqueue_all((0..20).map(|n| NewJob::new(n).max_attempts(1))).unwrap(); // begun one by one
    let (begun, begins) = mpsc::channel();
    let (go, gone) = crossbeam_channel::bounded::<()>(0);
    let workers = queue.work(move |job, _| {
        begun.send(**job)?;
        let _ = gone.recv();
        Ok(())
    });
    let workers = workers.threads(2).spawn().unwrap();
    begins.recv().unwrap();
    begins.recv().unwrap();
    let late = workers.stop(Duration::from_millis(1)).unwrap_err();
    assert!(late.to_string().contains("did not answer within 1ms"), "{late}");
    drop(go);
    workers.stop(SOON).unwrap();
    let counts = queue.counts().unwrap();
    assert_eq!((counts.available, counts.total()), (18, 18));
    assert!(queue.list(&Filter::new()).unwrap().iter().all(|job| job.attempt == 0));
    let _ = only::<u32, D::Store>;
}
