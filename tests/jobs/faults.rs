//! What goes wrong: databases that go away, handlers that do what they should not, leases that run out.

use crate::postgres::Server;
use crate::support::{Db, InSqlite, LIMIT, on_both, only, run, until};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use drawgate::jobs::{Filter, JobState, NewJob, Postgres, Queue, Sqlite, Store};
use drawgate::prelude::*;
use drawgate::runtime::Telemetry;
use std::sync::mpsc;
use std::time::Duration;

on_both! {
    p67_a_job_that_was_taken_over_is_not_ended_by_its_first_worker
    p70_a_statement_that_failed_and_was_not_minded_commits_nothing
    p71_parameters_that_do_not_parse_fail_their_job_and_no_other
    p79_a_worker_that_has_lost_its_job_is_told
    p79_a_lease_is_extended_while_its_handler_lives_and_no_longer
    a_job_that_is_cancelled_while_it_runs_is_told_and_leaves_nothing
    a_job_that_kills_its_process_is_started_alone_the_next_time
    a_back_off_that_panics_ends_no_worker
    p80_a_lease_is_extended_while_a_stop_waits_for_its_handler
    parameters_whose_reading_panics_fail_their_job_and_no_other
    a_handler_that_panics_after_its_commit_leaves_no_transaction_behind
    a_job_that_is_cancelled_commits_nothing_also_if_its_handler_does_not_mind
    a_commit_that_failed_is_no_end_of_a_job
    installing_again_waits_for_no_transaction
}

/// A handler behind a gate: tells each job, and goes on when it is let.
type Gate = (mpsc::Sender<u32>, crossbeam_channel::Receiver<()>);
fn gate() -> (Gate, mpsc::Receiver<u32>, crossbeam_channel::Sender<()>) {
    let (begun, begins) = mpsc::channel();
    let (go, gone) = crossbeam_channel::bounded(0);
    ((begun, gone), begins, go)
}

fn p67_a_job_that_was_taken_over_is_not_ended_by_its_first_worker<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("CREATE TABLE {t}_done (n integer)");
    queue.enqueue_all([1, 2]).unwrap();
    let ((begun, gone), begins, go) = gate();
    let table = db.table().to_owned();
    let workers = queue.work(move |job, finish| {
        begun.send(**job)?;
        let _ = gone.recv();
        match **job {
            1 => finish.commit(|tx| Ok(tx.batch_execute(&format!("INSERT INTO {table}_done VALUES (1)"))?)),
            _ => Ok(()),
        }
    });
    let workers = workers.threads(2).spawn().unwrap();
    let _both: Vec<u32> = begins.iter().take(2).collect();
    db.pass(100_000); // their leases are over, and somebody else has them
    let (store, mut conn) = (db.store(), db.conn());
    until(|| store.sweep(&mut conn).unwrap().expired + queue.counts().unwrap().available as usize >= 2);
    let rows = store.claim(&mut conn, 2, Duration::from_secs(1000), None).unwrap();
    // Its own producer may have been quicker: then they are reserved for it, which is as good.
    drop(go);
    until(|| queue.stats().lost == 2);
    assert_eq!(queue.stats().done, 0);
    drop(rows);
    assert_eq!(D::number(&mut conn, &format!("SELECT count(*) AS v FROM {}_done", db.table())), 0);
    workers.stop(LIMIT).unwrap();
    assert_eq!(queue.counts().unwrap().total(), 2);
}

fn p70_a_statement_that_failed_and_was_not_minded_commits_nothing<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("CREATE TABLE {t}_done (n integer)");
    queue.enqueue(NewJob::new(1).max_attempts(1)).unwrap();
    let table = db.table().to_owned();
    let workers = queue.work_in_tx(move |tx, _| {
        tx.batch_execute(&format!("INSERT INTO {table}_done VALUES (1)"))?;
        let _ = tx.batch_execute("INSERT INTO nowhere VALUES (1)");
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    until(|| queue.stats().done + queue.stats().failed == 1);
    workers.stop(LIMIT).unwrap();
    let written = D::number(&mut db.conn(), &format!("SELECT count(*) AS v FROM {}_done", db.table()));
    // SQLite goes on after a statement that failed; Postgres spoils the transaction. Either is all or nothing.
    let (done, left) = (queue.stats().done, queue.counts().unwrap().failed);
    assert!((done, left, written) == (1, 0, 1) || (done, left, written) == (0, 1, 0), "{done} {left} {written}");
}

fn p71_parameters_that_do_not_parse_fail_their_job_and_no_other<D: Db>(db: &D) {
    let strings = Queue::<String, _>::builder(db.store()).open().unwrap();
    strings.install().unwrap();
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    strings.enqueue("no number".to_string()).unwrap();
    strings.enqueue(NewJob::new("no number, once".to_string()).max_attempts(1)).unwrap();
    queue.enqueue(2).unwrap();
    let workers = queue.work(|_, _| Ok(())).threads(2).spawn().unwrap();
    until(|| queue.stats().done == 2 && queue.stats().retried == 1 && queue.stats().failed == 1);
    workers.stop(LIMIT).unwrap();
    let all = queue.list(&Filter::new()).unwrap();
    let states: Vec<_> = all.iter().map(|job| (job.state, job.attempt)).collect();
    assert_eq!(states, [(JobState::Retry, 1), (JobState::Failed, 1)]);
    assert!(all.iter().all(|job| job.last_error.as_deref().unwrap().contains("do not parse: invalid type")));
}

fn p79_a_lease_is_extended_while_its_handler_lives_and_no_longer<D: Db>(db: &D) {
    let queue = db.builder::<u32>().execution(Duration::from_millis(300)).open().unwrap();
    queue.install().unwrap();
    queue.enqueue(1).unwrap();
    let ((begun, gone), begins, go) = gate();
    let workers = queue.work(move |job, _| {
        begun.send(**job)?;
        let _ = gone.recv();
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    begins.recv().unwrap();
    let first = only(&queue).expires.unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    until(|| {
        assert_eq!(store.sweep(&mut conn).unwrap().expired, 0, "its handler lives");
        only(&queue).expires.unwrap() > first + Duration::from_secs(1)
    });
    assert_eq!((only(&queue).state, only(&queue).attempt), (JobState::InProgress, 1));
    workers.stop(Duration::from_millis(1)).unwrap_err(); // left behind: nobody extends it any more
    until(|| store.sweep(&mut conn).unwrap().expired == 1);
    drop(go);
    workers.stop(LIMIT).unwrap();
    assert_eq!((queue.stats().lost, queue.stats().done), (1, 0));
}

fn p79_a_worker_that_has_lost_its_job_is_told<D: Db>(db: &D) {
    let queue = db.builder::<u32>().execution(Duration::from_millis(300)).open().unwrap();
    queue.install().unwrap();
    queue.enqueue(1).unwrap();
    let (begun, begins) = mpsc::channel();
    let workers = queue.work(move |job, _| {
        begun.send(())?;
        let _ = job.token().channel().recv(); // until it is disconnected
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    begins.recv().unwrap();
    db.execute("UPDATE {t} SET attempt = attempt + 1"); // somebody else has begun it anew
    until(|| queue.stats().lost == 1);
    workers.stop(LIMIT).unwrap();
    assert_eq!(queue.counts().unwrap().in_progress, 1, "the other's");
}

fn a_job_that_is_cancelled_while_it_runs_is_told_and_leaves_nothing<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let id = queue.enqueue(1).unwrap();
    let (begun, begins) = mpsc::channel();
    let workers = queue.work(move |job, _| {
        begun.send(())?;
        let _ = job.token().channel().recv(); // until it is disconnected
        anyhow::ensure!(!job.is_cancelled(), "gave up");
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    begins.recv().unwrap();
    assert!(queue.cancel(id).unwrap());
    until(|| queue.stats().lost == 1);
    assert_eq!(queue.counts().unwrap().total(), 0);
    workers.stop(LIMIT).unwrap();
    assert!(!queue.cancel(id).unwrap());
}

fn a_job_that_kills_its_process_is_started_alone_the_next_time<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all(0..4).unwrap();
    // As a process leaves it that was killed with all of them begun.
    db.execute("UPDATE {t} SET state = 'AVAILABLE', attempt = 1");
    let ((begun, gone), begins, go) = gate();
    let workers = queue.work(move |job, _| {
        begun.send(**job)?;
        let _ = gone.recv();
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    for done in 0..4 {
        begins.recv().unwrap();
        let counts = queue.counts().unwrap();
        assert!(counts.in_progress <= done + 1, "those that are done, and one: {counts:?}");
        go.send(()).unwrap();
    }
    until(|| queue.counts().unwrap().total() == 0);
    workers.stop(LIMIT).unwrap();
}

#[test]
fn p77_a_queue_outlives_a_database_that_dies_and_comes_back() {
    let Some(server) = Server::new(false) else { return };
    let (rt, (tell, told)) = (Runtime::new(), mpsc::channel());
    rt.on_event(move |event| {
        if let Telemetry::Trouble { cause, .. } = event {
            let _ = tell.send(cause.to_string());
        }
    });
    let queue: Queue<u32, _> =
        Queue::builder(Postgres::url(&server.url)).execution(Duration::from_secs(2)).open().unwrap();
    queue.install().unwrap();
    let mut conn = PgConnection::establish(&server.url).unwrap();
    conn.batch_execute("CREATE TABLE done (n integer)").unwrap();
    queue.enqueue_all(0..2000).unwrap();
    let insert = |tx: &mut PgConnection, job: &drawgate::jobs::Job<u32>| {
        Ok(tx.batch_execute(&format!("INSERT INTO done VALUES ({})", **job))?)
    };
    let workers = queue.work_in_tx(insert).threads(4).runtime(&rt).spawn().unwrap();
    for done in [100, 700, 1300] {
        until(|| queue.stats().done >= done);
        server.pg_ctl(&["-m", "immediate", "stop"]);
        until(|| queue.stats().troubles > 0);
        server.pg_ctl(&["-w", "start"]);
    }
    // What was begun and not ended is retried when its lease is over, or its worker said so.
    until(|| {
        let Ok(mut conn) = PgConnection::establish(&server.url) else { return false };
        let _ = conn.batch_execute("UPDATE jobs SET schedule = statement_timestamp() WHERE state = 'RETRY'");
        queue.counts().is_ok_and(|counts| counts.total() == 0)
    });
    workers.stop(LIMIT).unwrap();
    let mut conn = PgConnection::establish(&server.url).unwrap();
    let written = <crate::support::InPostgres as Db>::number(&mut conn, "SELECT count(*) AS v FROM done");
    let different = <crate::support::InPostgres as Db>::number(&mut conn, "SELECT count(DISTINCT n) AS v FROM done");
    assert_eq!((written, different), (2000, 2000), "each once");
    assert!(told.try_iter().count() >= 1, "and it was told");
}

#[test]
fn p77_a_queue_outlives_a_file_that_somebody_else_has_locked() {
    fn body(db: &InSqlite) {
        let store = db.beside("mails").unwrap().busy_timeout(Duration::from_millis(20));
        let queue: Queue<u32, Sqlite> = Queue::builder(store).open().unwrap();
        queue.install().unwrap();
        queue.enqueue_all(0..500).unwrap();
        let workers = queue.work(|_, _| Ok(())).threads(2).spawn().unwrap();
        let mut other: SqliteConnection = db.conn();
        for _ in 0..3 {
            let before = queue.stats().troubles;
            other.batch_execute("BEGIN IMMEDIATE").unwrap();
            until(|| queue.stats().troubles > before || queue.stats().done == 500);
            other.batch_execute("COMMIT").unwrap();
        }
        until(|| queue.stats().done == 500);
        workers.stop(LIMIT).unwrap();
        assert_eq!(queue.counts().unwrap().total(), 0);
    }
    run(body);
}

fn a_back_off_that_panics_ends_no_worker<D: Db>(db: &D) {
    let queue = db.builder::<u32>().back_off(|_| panic!("no idea")).open().unwrap();
    queue.install().unwrap();
    queue.enqueue_all([1, 2]).unwrap();
    let fail = |_: &drawgate::jobs::Job<u32>, _: &mut drawgate::jobs::Finish<'_, D::Store>| -> anyhow::Result<()> {
        anyhow::bail!("no good")
    };
    let workers = queue.work(fail).threads(1).spawn().unwrap();
    until(|| queue.stats().retried == 2);
    workers.stop(LIMIT).unwrap();
    let all = queue.list(&Filter::new().state(JobState::Retry)).unwrap();
    assert_eq!(all[0].schedule.duration_since(all[0].updated_at).unwrap().as_secs(), 60);
}

fn parameters_whose_reading_panics_fail_their_job_and_no_other<D: Db>(db: &D) {
    let decode = |text: &str| match text.parse() {
        Ok(n) => Ok(n),
        Err(_) => panic!("no number"),
    };
    let queue = db.builder::<u32>().encoding(|n| Ok(n.to_string()), decode).open().unwrap();
    queue.install().unwrap();
    let words = Queue::<String, _>::builder(db.store()).open().unwrap();
    words.enqueue(NewJob::new("x".to_string()).max_attempts(1)).unwrap();
    queue.enqueue_all([1, 2]).unwrap();
    let workers = queue.work(|_, _| Ok(())).threads(1).spawn().unwrap();
    until(|| queue.stats().done == 2 && queue.stats().failed == 1);
    workers.stop(LIMIT).unwrap();
    assert!(only(&queue).last_error.unwrap().contains("panicked: no number"));
}

fn a_handler_that_panics_after_its_commit_leaves_no_transaction_behind<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue_all(0..5).unwrap();
    let workers = queue.work(|job, finish| {
        finish.commit(|_| Ok(()))?;
        if **job == 0 {
            let conn = finish.connection()?;
            conn.batch_execute("BEGIN")?; // and never ended
            panic!("after all");
        }
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    until(|| queue.counts().unwrap().total() == 0); // as others see it
    workers.stop(LIMIT).unwrap();
    assert_eq!(queue.stats().done, 5);
}

fn a_job_that_is_cancelled_commits_nothing_also_if_its_handler_does_not_mind<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    db.execute("CREATE TABLE {t}_done (n integer)");
    let id = queue.enqueue(1).unwrap();
    let ((begun, gone), begins, go) = gate();
    let table = db.table().to_owned();
    let workers = queue.work(move |job, finish| {
        begun.send(**job)?;
        let _ = gone.recv();
        let _ = finish.commit(|tx| Ok(tx.batch_execute(&format!("INSERT INTO {table}_done VALUES (1)"))?));
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    begins.recv().unwrap();
    assert!(queue.cancel(id).unwrap());
    drop(go);
    until(|| queue.stats().lost == 1);
    workers.stop(LIMIT).unwrap();
    assert_eq!(D::number(&mut db.conn(), &format!("SELECT count(*) AS v FROM {}_done", db.table())), 0);
    assert_eq!(queue.counts().unwrap().total(), 0);
}

fn a_commit_that_failed_is_no_end_of_a_job<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    let workers = queue.work(|_, finish| {
        let _ = finish.commit(|tx| Ok(tx.batch_execute("INSERT INTO nowhere VALUES (1)")?));
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    until(|| queue.stats().retried == 1);
    workers.stop(LIMIT).unwrap();
    assert!(only(&queue).last_error.unwrap().contains("its commit failed"));
}

fn installing_again_waits_for_no_transaction<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    queue.enqueue(1).unwrap();
    let mut conn = db.conn();
    conn.batch_execute(&format!("BEGIN; SELECT * FROM {} WHERE id = 0", db.table())).unwrap();
    queue.install().unwrap(); // would wait for whoever has so much as read the table
    conn.batch_execute("COMMIT").unwrap();
}

fn p80_a_lease_is_extended_while_a_stop_waits_for_its_handler<D: Db>(db: &D) {
    let queue = db.builder::<u32>().execution(Duration::from_millis(300)).open().unwrap();
    queue.install().unwrap();
    queue.enqueue(1).unwrap();
    let ((begun, gone), begins, go) = gate();
    let workers = queue.work(move |job, _| {
        begun.send(**job)?;
        let _ = gone.recv();
        Ok(())
    });
    let workers = workers.threads(1).spawn().unwrap();
    begins.recv().unwrap();
    let first = only(&queue).expires.unwrap();
    let (store, mut conn) = (db.store(), db.conn());
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| workers.stop(LIMIT));
        until(|| {
            let expired = store.sweep(&mut conn).unwrap().expired;
            expired > 0 || only(&queue).expires.is_some_and(|at| at > first + Duration::from_secs(1))
        });
        drop(go);
        stopping.join().unwrap().unwrap();
    });
    assert_eq!((queue.stats().done, queue.stats().lost), (1, 0));
}
