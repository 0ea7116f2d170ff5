//! The queue as a table: what goes in, and what stands there.

use crate::support::{Db, on_both, only, until};
use diesel::connection::SimpleConnection;
use drawgate::jobs::{Filter, JobError, JobState, NewJob, OnDuplicate, Queue, Run, Store, Verdict};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mail {
    to: String,
    size: u64,
    copies: Vec<Option<f64>>,
}
fn mail() -> Mail {
    Mail { to: "mill \"wheel\" \\ ü \u{1F30A}".into(), size: u64::MAX, copies: vec![Some(0.1), None] }
}

on_both! {
    p64_a_new_job_is_available_with_the_defaults
    p64_a_job_for_later_is_scheduled
    p64_parameters_come_back_as_they_went_in
    p64_parameters_that_not_both_databases_take_are_refused
    p64_many_are_enqueued_in_order
    p64_nothing_for_parameters_is_something
    p65_a_job_in_a_transaction_is_there_once_that_commits
    p66_what_is_due_becomes_available_and_not_before
    p67_what_has_expired_is_available_again_or_has_failed
    p68_a_claim_takes_at_most_what_it_asks_for_by_priority_schedule_and_number
    p68_two_claims_get_different_jobs
    p69_a_job_starts_only_if_its_reservation_stands
    p74_a_failed_job_can_be_requeued_and_no_other
    p76_several_queues_and_installing_again
    p76_an_older_table_is_brought_up_to_date
    p76_installing_again_disturbs_nobody_who_works
    p76_a_table_of_a_newer_version_is_refused
    a_unique_key_is_had_by_one_job_at_a_time
    a_unique_key_is_kept_within_a_transaction
    a_unique_key_whose_job_is_done_meanwhile_is_free
    what_is_beyond_all_measure_is_cut_or_refused
    a_paused_queue_gives_out_nothing
    failed_jobs_are_pruned_by_age_and_number
    a_page_of_jobs_at_a_time
}

fn p64_a_new_job_is_available_with_the_defaults<D: Db>(db: &D) {
    let queue = db.queue::<String>();
    let id = queue.enqueue("a".to_string()).unwrap();
    let job = only(&queue);
    assert_eq!((job.id, job.state, job.attempt, job.max_attempts, job.priority), (id, JobState::Available, 0, 5, 0));
    assert_eq!((job.expires, job.last_error, job.notify, job.unique_key), (None, None, None, None));
    let age = SystemTime::now().duration_since(job.inserted_at).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
}

fn p64_a_job_for_later_is_scheduled<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let hour = Duration::from_secs(3600);
    let later = queue.enqueue(NewJob::new(1).schedule_in(hour)).unwrap();
    let at = queue.enqueue(NewJob::new(2).schedule_at(SystemTime::now() + hour)).unwrap();
    let past = queue.enqueue(NewJob::new(3).schedule_at(SystemTime::UNIX_EPOCH)).unwrap();
    let states: Vec<_> = queue.list(&Filter::new()).unwrap().iter().map(|job| (job.id, job.state)).collect();
    assert_eq!(states, [(later, JobState::Scheduled), (at, JobState::Scheduled), (past, JobState::Available)]);
    let job = &queue.list(&Filter::new()).unwrap()[0];
    let due_in = job.schedule.duration_since(job.inserted_at).unwrap();
    assert!(due_in >= hour - Duration::from_millis(1) && due_in < hour + Duration::from_secs(1), "{due_in:?}");
}

fn p64_parameters_come_back_as_they_went_in<D: Db>(db: &D) {
    let queue = db.queue::<Mail>();
    queue.enqueue(mail()).unwrap();
    queue.enqueue_all([mail(), mail()]).unwrap();
    for job in queue.list(&Filter::new()).unwrap() {
        assert_eq!(serde_json::from_str::<Mail>(&job.params).unwrap(), mail());
    }
}

fn p64_parameters_that_not_both_databases_take_are_refused<D: Db>(db: &D) {
    let queue = db.queue::<String>();
    let refused = queue.enqueue("a\0b".to_string()).unwrap_err();
    assert!(matches!(refused, JobError::Params(_)), "{refused}");
    assert!(queue.enqueue_all(["a".to_string(), "a\0b".to_string()]).is_err());
    assert_eq!(queue.counts().unwrap().total(), 0, "none of them, then");
    queue.enqueue("a\\u0000b".to_string()).unwrap(); // that is no NUL
}

fn p64_many_are_enqueued_in_order<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let jobs = (0..1000).map(|n| NewJob::new(n).priority((n % 3) as i32).max_attempts(n + 1));
    let ids = queue.enqueue_all(jobs).unwrap();
    assert!(ids.is_sorted() && ids.len() == 1000);
    let all = queue.list(&Filter::new().limit(1000)).unwrap();
    for (n, (job, id)) in all.iter().zip(&ids).enumerate() {
        assert_eq!((job.id, &*job.params, job.priority), (*id, &*n.to_string(), n as i32 % 3));
        assert_eq!(job.max_attempts, n as i32 + 1);
    }
    assert!(queue.enqueue_all(Vec::<u32>::new()).unwrap().is_empty());
    assert_eq!(queue.stats().enqueued, 1000);
}

fn p65_a_job_in_a_transaction_is_there_once_that_commits<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let mut conn = db.conn();
    let store = db.store();
    let rolled_back = store.transaction(&mut conn, &mut |tx| {
        queue.enqueue_in(tx, 1)?;
        queue.enqueue_all_in(tx, [2, 3])?;
        anyhow::bail!("changed its mind")
    });
    assert_eq!(rolled_back.unwrap_err().to_string(), "changed its mind");
    assert_eq!(queue.counts().unwrap().total(), 0);
    store
        .transaction(&mut conn, &mut |tx| {
            queue.enqueue_in(tx, 1)?;
            assert_eq!(queue.counts()?.total(), 0, "nobody else sees it yet");
            Ok(())
        })
        .unwrap();
    assert_eq!(queue.counts().unwrap().available, 1);
}

fn p66_what_is_due_becomes_available_and_not_before<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let (store, mut conn) = (db.store(), db.conn());
    queue.enqueue(NewJob::new(1).schedule_in(Duration::from_secs(100))).unwrap();
    queue.enqueue(NewJob::new(2).schedule_in(Duration::from_secs(200))).unwrap();
    queue.enqueue(3).unwrap();
    store.claim(&mut conn, 1, Duration::from_secs(1000), None).unwrap();
    let swept = store.sweep(&mut conn).unwrap();
    assert_eq!((swept.due, swept.expired), (0, 0));
    let next = swept.next.unwrap();
    assert!(next > Duration::from_secs(40) && next <= Duration::from_secs(100), "{next:?}");
    db.pass(100);
    assert_eq!(store.sweep(&mut conn).unwrap().due, 1);
    let counts = queue.counts().unwrap();
    assert_eq!((counts.available, counts.scheduled, counts.reserved), (1, 1, 1), "what is reserved is left alone");
}

fn p67_what_has_expired_is_available_again_or_has_failed<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let (store, mut conn) = (db.store(), db.conn());
    let lease = Duration::from_secs(60);
    queue.enqueue_all([NewJob::new(1), NewJob::new(2), NewJob::new(3).max_attempts(1)]).unwrap();
    let runs: Vec<Run> = store.claim(&mut conn, 3, lease, None).unwrap().iter().map(|row| row.run).collect();
    store.start(&mut conn, &runs[1..], lease).unwrap();
    db.pass(50);
    assert_eq!(store.sweep(&mut conn).unwrap().expired, 0, "not before");
    db.pass(11);
    let swept = store.sweep(&mut conn).unwrap();
    assert_eq!((swept.expired, swept.failed), (2, 1));
    let all = queue.list(&Filter::new()).unwrap();
    let seen: Vec<_> = all.iter().map(|job| (job.state, job.attempt, job.expires)).collect();
    let again = JobState::Available;
    assert_eq!(seen, [(again, 0, None), (again, 1, None), (JobState::Failed, 1, None)]);
    assert!(all[2].last_error.as_deref().unwrap().contains("not heard of"));
    assert!(
        !store.fail(&mut conn, Run { attempt: 1, ..runs[1] }, Verdict::Failed, "late").unwrap(),
        "it is not its any more"
    );
    assert_eq!(store.remove(&mut conn, &[Run { attempt: 1, ..runs[1] }]).unwrap(), [0; 0]);
}

fn p68_a_claim_takes_at_most_what_it_asks_for_by_priority_schedule_and_number<D: Db>(db: &D) {
    let queue = db.queue::<String>();
    let job = |name: &str| NewJob::new(name.to_string());
    queue.enqueue_all([job("c"), job("d"), job("a").priority(-1), job("e").priority(1)]).unwrap();
    queue.enqueue(job("b").schedule_at(SystemTime::now() - Duration::from_secs(50))).unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    let mut claim = |n| -> Vec<String> {
        let rows = store.claim(&mut conn, n, Duration::from_secs(60), None).unwrap();
        rows.iter().map(|row| serde_json::from_str(&row.params).unwrap()).collect()
    };
    assert_eq!(claim(2), ["a", "b"]);
    assert_eq!(claim(10), ["c", "d", "e"]);
    assert!(claim(10).is_empty());
}

fn p68_two_claims_get_different_jobs<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all(0..200).unwrap();
    let ids: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let claim = || {
            let (store, mut conn) = (db.store(), db.conn());
            let mut ids = Vec::new();
            loop {
                let rows = store.claim(&mut conn, 7, Duration::from_secs(60), None).unwrap();
                if rows.is_empty() {
                    return ids;
                }
                assert!(rows.len() <= 7);
                ids.extend(rows.iter().map(|row| row.run.id));
            }
        };
        let claims: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).collect()
    });
    let mut all = ids.concat();
    all.sort();
    all.dedup();
    assert_eq!((ids.concat().len(), all.len()), (200, 200));
}

fn p69_a_job_starts_only_if_its_reservation_stands<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let ids = queue.enqueue_all([1, 2, 3]).unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    let lease = Duration::from_secs(60);
    let runs: Vec<Run> = store.claim(&mut conn, 3, lease, None).unwrap().iter().map(|row| row.run).collect();
    let mut wrong = runs.clone();
    wrong[0].attempt = 1; // another attempt
    store.give_back(&mut conn, &runs[1..2]).unwrap(); // no longer reserved
    assert_eq!(store.start(&mut conn, &wrong, Duration::from_secs(300)).unwrap(), [ids[2]]);
    let job = &queue.list(&Filter::new()).unwrap()[2];
    assert_eq!((job.state, job.attempt), (JobState::InProgress, 1));
    let lease = job.expires.unwrap().duration_since(job.updated_at).unwrap();
    assert_eq!(lease.as_secs(), 300, "times the attempt, which is the first");
    db.pass(61);
    assert!(store.start(&mut conn, &runs[..1], lease).unwrap().is_empty(), "it has expired");
    // The third attempt has three times as long.
    db.execute("UPDATE {t} SET attempt = 2, state = 'AVAILABLE'");
    let rows = store.claim(&mut conn, 1, lease, None).unwrap();
    store.start(&mut conn, &[rows[0].run], Duration::from_secs(300)).unwrap();
    let all = queue.list(&Filter::new().state(JobState::InProgress)).unwrap();
    assert_eq!(all[0].expires.unwrap().duration_since(all[0].updated_at).unwrap().as_secs(), 900);
}

fn p74_a_failed_job_can_be_requeued_and_no_other<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let id = queue.enqueue(1).unwrap();
    assert!(matches!(queue.requeue(id), Err(JobError::NotFailed { .. })));
    assert!(matches!(queue.requeue(id + 1), Err(JobError::NotFailed { .. })));
    let (store, mut conn) = (db.store(), db.conn());
    let rows = store.claim(&mut conn, 1, Duration::from_secs(60), None).unwrap();
    store.start(&mut conn, &[rows[0].run], Duration::from_secs(60)).unwrap();
    assert!(store.fail(&mut conn, Run { id, attempt: 1 }, Verdict::Failed, "no \0 good").unwrap());
    let job = only(&queue);
    assert_eq!((job.state, job.expires, job.last_error.as_deref()), (JobState::Failed, None, Some("no \u{FFFD} good")));
    queue.requeue(id).unwrap();
    let job = only(&queue);
    assert_eq!((job.state, job.attempt, job.expires), (JobState::Scheduled, 0, None));
    assert_eq!(store.sweep(&mut conn).unwrap().due, 1);
}

fn p76_several_queues_and_installing_again<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| queue.install().unwrap());
        }
    });
    assert_eq!(queue.counts().unwrap().available, 1);
    // Another one, of another type, beside it; and names that are none.
    let beside = Queue::<String, _>::builder(db.beside("other").unwrap()).open().unwrap();
    beside.install().unwrap();
    beside.enqueue("b".to_string()).unwrap();
    assert_eq!((queue.counts().unwrap().available, beside.counts().unwrap().available), (1, 1));
    for name in ["1st", "a; DROP TABLE b", "", "a.b.c"] {
        let refused = db.beside(name).err().unwrap();
        assert!(refused.to_string().contains("`table` must be"), "{refused}");
    }
}

fn p76_an_older_table_is_brought_up_to_date<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    // As EctoJob's: without what came later.
    db.execute("DROP INDEX {t}_unique");
    db.execute("ALTER TABLE {t} DROP COLUMN unique_key");
    db.execute("ALTER TABLE {t} DROP COLUMN last_error");
    db.execute("DROP TABLE {t}_settings");
    assert!(queue.counts().is_ok() && queue.enqueue(2).is_err());
    queue.install().unwrap();
    queue.enqueue(NewJob::new(2).unique("two")).unwrap();
    assert_eq!(queue.counts().unwrap().available, 2);
}

fn p76_installing_again_disturbs_nobody_who_works<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let workers = queue.work(|_, _| Ok(())).threads(3).spawn().unwrap();
    for n in 0..200 {
        queue.enqueue_all([n; 20]).unwrap();
        queue.install().unwrap();
    }
    until(|| queue.counts().unwrap().total() == 0);
    workers.stop(Duration::from_secs(60)).unwrap();
    assert_eq!((queue.stats().troubles, queue.stats().done), (0, 4000));
}

fn p76_a_table_of_a_newer_version_is_refused<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("UPDATE {t}_settings SET value = '999' WHERE name = 'layout'");
    let refused = queue.install().unwrap_err();
    assert!(refused.to_string().contains("has layout 999"), "{refused}");
}

fn a_unique_key_is_had_by_one_job_at_a_time<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let job = |n| NewJob::new(n).unique("report");
    let first = queue.enqueue(job(1)).unwrap();
    assert_eq!(queue.enqueue(job(2)).unwrap(), first, "the first will do");
    let refused = queue.enqueue(NewJob::new(3).unique_or("report", OnDuplicate::Refuse)).unwrap_err();
    assert!(matches!(&refused, JobError::Duplicate { id: Some(id), .. } if *id == first), "{refused}");
    let ids =
        queue.enqueue_all([NewJob::new(4), job(5), NewJob::new(6).unique("other"), NewJob::new(7).unique("other")]);
    let ids = ids.unwrap();
    assert_eq!((ids[1], ids[2]), (first, ids[3]));
    assert!(ids[0] > first && ids[2] > ids[0]);
    assert!(queue.enqueue_all([NewJob::new(8), NewJob::new(9).unique_or("other", OnDuplicate::Refuse)]).is_err());
    assert_eq!(queue.counts().unwrap().available, 3, "all or none");
    let (store, mut conn) = (db.store(), db.conn());
    let rows = store.claim(&mut conn, 1, Duration::from_secs(60), None).unwrap();
    store.start(&mut conn, &[rows[0].run], Duration::from_secs(60)).unwrap();
    assert_eq!(queue.enqueue(job(10)).unwrap(), first, "also while it is worked on");
    store.remove(&mut conn, &[Run { id: first, attempt: 1 }]).unwrap();
    assert!(queue.enqueue(job(11)).unwrap() > first);
}

fn a_paused_queue_gives_out_nothing<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    queue.pause().unwrap();
    queue.pause().unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    assert!(store.claim(&mut conn, 1, Duration::from_secs(60), None).unwrap().is_empty());
    queue.resume().unwrap();
    assert_eq!(store.claim(&mut conn, 1, Duration::from_secs(60), None).unwrap().len(), 1);
}

fn failed_jobs_are_pruned_by_age_and_number<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all(0..10).unwrap();
    db.execute("UPDATE {t} SET state = 'FAILED' WHERE id <= 5");
    db.pass(3600);
    db.execute("UPDATE {t} SET state = 'FAILED' WHERE id BETWEEN 6 AND 8");
    let mut conn = db.conn();
    conn.batch_execute(&format!("UPDATE {} SET updated_at = inserted_at WHERE id BETWEEN 6 AND 8", db.table()))
        .unwrap();
    assert_eq!(queue.prune(Some(Duration::from_secs(1800)), None).unwrap(), 5);
    assert_eq!(queue.prune(None, Some(1)).unwrap(), 2);
    let counts = queue.counts().unwrap();
    assert_eq!((counts.failed, counts.available), (1, 2));
}

fn a_page_of_jobs_at_a_time<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let ids = queue.enqueue_all(0..5).unwrap();
    let page = |filter: &Filter| -> Vec<i64> { queue.list(filter).unwrap().iter().map(|job| job.id).collect() };
    assert_eq!(page(&Filter::new().limit(2)), ids[..2]);
    assert_eq!(page(&Filter::new().limit(2).after(ids[1])), ids[2..4]);
    assert!(page(&Filter::new().state(JobState::Failed)).is_empty());
    assert!(queue.cancel(ids[0]).unwrap() && !queue.cancel(ids[0]).unwrap());
    assert_eq!(page(&Filter::new()), ids[1..]);
}

fn a_unique_key_is_kept_within_a_transaction<D: Db>(db: &D) {
    let (queue, store, mut conn) = (db.queue::<u32>(), db.store(), db.conn());
    let job = || NewJob::new(1).unique("report");
    store
        .transaction(&mut conn, &mut |tx| {
            let first = queue.enqueue_in(tx, job())?;
            assert_eq!(queue.enqueue_in(tx, job())?, first);
            assert_eq!(queue.enqueue_all_in(tx, [job(), job()])?, [first, first]);
            Ok(())
        })
        .unwrap();
    assert_eq!(queue.counts().unwrap().total(), 1);
}

fn what_is_beyond_all_measure_is_cut_or_refused<D: Db>(db: &D) {
    let queue = db.builder::<u32>().reservation(Duration::MAX).execution(Duration::MAX).open().unwrap();
    queue.install().unwrap();
    queue.enqueue(NewJob::new(1).schedule_in(Duration::MAX).max_attempts(u32::MAX)).unwrap();
    db.execute("UPDATE {t} SET state = 'AVAILABLE', attempt = 1000000");
    let (store, mut conn) = (db.store(), db.conn());
    let run = store.claim(&mut conn, 1, Duration::MAX, None).unwrap()[0].run;
    store.start(&mut conn, &[run], Duration::MAX).unwrap();
    let run = Run { attempt: run.attempt + 1, ..run };
    assert_eq!(store.extend(&mut conn, &[run], Duration::MAX).unwrap(), [run.id]);
    assert!(store.fail(&mut conn, run, Verdict::Retry(Duration::MAX), "later").unwrap());
    assert!(store.sweep(&mut conn).unwrap().next.unwrap() > Duration::from_secs(86_400 * 365 * 90));
    for refused in [
        NewJob::new(1).max_attempts(0),
        NewJob::new(1).unique("a\0b"),
        NewJob::new(1).limit_key("a\0b"),
        NewJob::new(1).notify("a\0b"),
    ] {
        assert!(matches!(queue.enqueue(refused).unwrap_err(), JobError::BadOption(_)));
    }
}

fn a_unique_key_whose_job_is_done_meanwhile_is_free<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let workers = queue.work(|_, _| Ok(())).threads(2).spawn().unwrap();
    // Each is done about when the next one comes: between the statement that finds the key taken, and the one that looks by
    // whom.
    for n in 0..1000 {
        queue.enqueue(NewJob::new(n).unique("report")).unwrap();
        queue.enqueue_all([NewJob::new(n).unique("other"), NewJob::new(n).unique("report")]).unwrap();
    }
    workers.stop(Duration::from_secs(60)).unwrap();
}

fn p64_nothing_for_parameters_is_something<D: Db>(db: &D) {
    let queue = db.queue::<()>();
    queue.enqueue(()).unwrap();
    queue.enqueue_all([(), ()]).unwrap();
    queue.enqueue_all([NewJob::new(()).unique("a"), NewJob::new(()).priority(1)]).unwrap();
    assert!(queue.list(&Filter::new()).unwrap().iter().all(|job| job.params == "null"));
    assert_eq!(queue.counts().unwrap().available, 5);
}
