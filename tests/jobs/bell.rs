//! The bell: jobs that come from elsewhere are served at once, though nobody looks for an hour.

use crate::postgres::Server;
use crate::support::{Db, InPostgres, InSqlite, on_both, run, until};
use diesel::connection::SimpleConnection;
use diesel::result::Error as DbError;
use diesel::{Connection, PgConnection};
use drawgate::jobs::{Listening, NewJob, Postgres, Queue, Ring, Run, Sqlite, Store, StoreError, Workers};
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

on_both! {
    p65_a_job_enqueued_in_the_users_transaction_wakes_a_worker_when_it_commits
    p73_a_job_of_another_process_is_served_at_once
    p73_a_job_of_another_process_for_later_is_served_when_it_is_due
    dropping_the_listener_ends_its_thread
}

/// A queue that is swept each hour, and a worker that tells what it gets.
fn worker<D: Db>(db: &D) -> (Workers<u32, D::Store>, mpsc::Receiver<u32>) {
    let queue = db.builder::<u32>().poll(HOUR).open().unwrap();
    queue.install().unwrap();
    let (tell, told) = mpsc::channel();
    let workers = queue.work(move |job, _| Ok(tell.send(**job)?)).threads(1).spawn().unwrap();
    (workers, told)
}

/// A ring that is heard, and what lives as long as it.
fn ring() -> (Ring, mpsc::Receiver<()>, Weak<()>) {
    let (tell, told) = mpsc::channel();
    let alive = Arc::new(Mutex::new(tell));
    let gone = Arc::new(());
    let weak = Arc::downgrade(&gone);
    let ring = move || {
        let _ = (&gone, alive.lock().unwrap().send(()));
    };
    (Box::new(ring), told, weak)
}

fn p65_a_job_enqueued_in_the_users_transaction_wakes_a_worker_when_it_commits<D: Db>(db: &D) {
    let (workers, told) = worker(db);
    let queue = workers.queue();
    let mut conn = db.conn();
    for n in 0..10 {
        let rolled_back = conn.transaction(|tx| {
            queue.enqueue_in(tx, 1000 + n).unwrap();
            Err::<(), _>(DbError::RollbackTransaction)
        });
        assert!(rolled_back.is_err());
        conn.transaction(|tx| queue.enqueue_in(tx, n).map_err(|_| DbError::RollbackTransaction)).unwrap();
        assert_eq!(told.recv().unwrap(), n);
        until(|| queue.counts().unwrap().total() == 0); // nobody is about to look
    }
    workers.stop(SOON).unwrap();
    assert!(told.try_recv().is_err());
}

const ELSEWHERE: &str = "DRAWGATE_TEST_ENQUEUES_IN";

/// Enqueues a job in another process.
fn elsewhere<D: Db>(db: &D, job: u32, delay: Duration) {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "bell::in_another_process"]);
    process.env(ELSEWHERE, format!("{} {job} {} {}", db.table(), delay.as_millis(), db.url()));
    let out = process.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

fn enqueue<S: Store>(store: S, job: NewJob<u32>) {
    Queue::<u32, S>::builder(store).open().unwrap().enqueue(job).unwrap();
}

/// Not a test: what `elsewhere` starts.
#[test]
fn in_another_process() {
    let Ok(told) = std::env::var(ELSEWHERE) else { return };
    let [table, job, delay, url] = told.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let delay = Duration::from_millis(delay.parse().unwrap());
    let job = NewJob::new(job.parse::<u32>().unwrap()).schedule_in(delay);
    match url.starts_with('/') {
        true => enqueue(Sqlite::file(url).table(table).unwrap(), job),
        false => enqueue(Postgres::url(url).table(table).unwrap(), job),
    }
}

fn p73_a_job_of_another_process_is_served_at_once<D: Db>(db: &D) {
    let (workers, told) = worker(db);
    let queue = workers.queue();
    for n in 0..3 {
        elsewhere(db, n, Duration::ZERO);
        assert_eq!(told.recv().unwrap(), n);
        until(|| queue.counts().unwrap().total() == 0);
    }
    workers.stop(SOON).unwrap();
}

fn p73_a_job_of_another_process_for_later_is_served_when_it_is_due<D: Db>(db: &D) {
    let (workers, told) = worker(db);
    elsewhere(db, 2, HOUR);
    elsewhere(db, 1, Duration::from_millis(500));
    assert_eq!(told.recv().unwrap(), 1);
    workers.stop(SOON).unwrap();
}

fn dropping_the_listener_ends_its_thread<D: Db>(db: &D) {
    let queue = db.queue::<u32>();
    let (ring, told, alive) = ring();
    let listening = queue.store().listen(ring).unwrap().unwrap();
    queue.enqueue(1).unwrap();
    told.recv().unwrap();
    assert_eq!(alive.strong_count(), 1);
    drop(listening);
    until(|| alive.strong_count() == 0);
}

// --- SQLite ---

#[test]
fn sqlite_a_queue_with_nothing_to_do_writes_nothing() {
    run(|db: &InSqlite| {
        let (workers, told) = worker(db);
        let queue = workers.queue();
        let (ring, rings, _alive) = ring();
        let _listening = queue.store().listen(ring).unwrap().unwrap();
        let mut conn = db.conn();
        for n in 0..20 {
            conn.transaction(|tx| queue.enqueue_in(tx, n).map_err(|_| DbError::RollbackTransaction)).unwrap();
        }
        assert_eq!(told.iter().take(20).count(), 20);
        // Longer than a producer that was rung waits before it looks when the next job is due. It would never end if
        // what a ring brings about made the bell ring.
        let mut version = -1;
        let silent = || {
            let now = InSqlite::number(&mut conn, "SELECT data_version AS v FROM pragma_data_version");
            rings.recv_timeout(Duration::from_millis(300)).is_err() && std::mem::replace(&mut version, now) == now
        };
        until(silent);
        workers.stop(SOON).unwrap();
    });
}

#[test]
fn sqlite_a_claim_and_a_sweep_that_find_nothing_write_nothing() {
    run(|db: &InSqlite| {
        let queue = db.queue::<u32>();
        queue.enqueue(NewJob::new(1).schedule_in(HOUR)).unwrap();
        let (store, mut conn, mut other) = (db.store(), db.conn(), db.conn());
        let mut version = || InSqlite::number(&mut other, "SELECT data_version AS v FROM pragma_data_version");
        let before = version();
        assert_eq!(store.claim(&mut conn, 10, HOUR, None).unwrap().len(), 0);
        assert_eq!(store.claim(&mut conn, 10, HOUR, Some(1)).unwrap().len(), 0);
        let swept = store.sweep(&mut conn).unwrap();
        assert_eq!((swept.due, swept.expired), (0, 0));
        assert_eq!(store.start(&mut conn, &[Run { id: 1, attempt: 0 }], HOUR).unwrap(), [0_i64; 0]);
        assert_eq!(version(), before);
        queue.enqueue(2).unwrap();
        assert_ne!(version(), before, "and that would be seen");
    });
}

#[test]
fn sqlite_what_is_no_new_job_does_not_ring() {
    run(|db: &InSqlite| {
        let queue = db.queue::<u32>();
        db.execute("CREATE TABLE flour (n integer)");
        let (ring, rings, _alive) = ring();
        let _listening = queue.store().listen(ring).unwrap().unwrap();
        let silent = || rings.recv_timeout(Duration::from_millis(200)).is_err();
        db.execute("INSERT INTO flour VALUES (1)");
        assert!(silent(), "another table");
        queue.pause().unwrap();
        queue.enqueue(1).unwrap();
        assert!(silent(), "nobody may have it");
        queue.resume().unwrap();
        rings.recv().unwrap();
        let (store, mut conn) = (db.store(), db.conn());
        let claimed = store.claim(&mut conn, 10, HOUR, None).unwrap();
        until(&silent);
        store.start(&mut conn, &[claimed[0].run], HOUR).unwrap();
        assert!(silent(), "the job's own way");
        queue.enqueue(NewJob::new(2).schedule_in(HOUR)).unwrap();
        rings.recv().unwrap();
        queue.enqueue(NewJob::new(3).schedule_in(HOUR * 2)).unwrap();
        assert!(silent(), "later than what is known");
        queue.enqueue(NewJob::new(4).schedule_in(HOUR / 2)).unwrap();
        rings.recv().unwrap();
    });
}

#[test]
fn sqlite_a_database_in_memory_has_no_bell() {
    assert!(Sqlite::file(":memory:").listen(Box::new(|| ())).unwrap().is_none());
}

/// A commit that takes long is written, and told, long before it can be seen.
#[test]
fn sqlite_a_commit_that_takes_long_is_seen() {
    run(|db: &InSqlite| {
        let queue = db.queue::<u32>();
        let (ring, rings, _alive) = ring();
        let _listening = queue.store().listen(ring).unwrap().unwrap();
        let mut conn = db.conn();
        conn.batch_execute("PRAGMA synchronous = FULL").unwrap();
        for n in 0..100 {
            conn.transaction(|tx| queue.enqueue_in(tx, n).map_err(|_| DbError::RollbackTransaction)).unwrap();
            rings.recv().unwrap();
            assert_eq!(queue.store().claim(&mut db.conn(), 10, HOUR, None).unwrap().len(), 1);
        }
    });
}

// --- Postgres ---

/// Who listens for a table, by the server's own account.
fn listeners(conn: &mut PgConnection, table: &str) -> i64 {
    let sql = format!(
        "SELECT coalesce(sum(pid), 0) AS v FROM pg_stat_activity WHERE application_name = 'drawgate-bell {table}'"
    );
    InPostgres::number(conn, &sql)
}

fn cut(conn: &mut PgConnection, table: &str) {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) AS v FROM pg_stat_activity WHERE application_name = 'drawgate-bell {table}'"
    );
    assert_eq!(InPostgres::number(conn, &sql), 1);
}

#[test]
fn p77_the_listeners_connection_is_cut_and_it_comes_back() {
    run(|db: &InPostgres| {
        let (workers, told) = worker(db);
        let queue = workers.queue();
        let mut conn = db.conn();
        let enqueue = |conn: &mut PgConnection, n| {
            queue.enqueue_in(conn, n).unwrap();
            assert_eq!(told.recv().unwrap(), n);
            until(|| queue.counts().unwrap().total() == 0);
        };
        for n in 0..5 {
            let first = listeners(&mut conn, db.table());
            cut(&mut conn, db.table());
            enqueue(&mut conn, 2 * n); // nobody hears it: it rings when it is back
            until(|| ![0, first].contains(&listeners(&mut conn, db.table())));
            enqueue(&mut conn, 2 * n + 1);
        }
        workers.stop(SOON).unwrap();
        until(|| listeners(&mut conn, db.table()) == 0);
    });
}

#[test]
fn dropping_the_listener_of_a_server_that_is_away_ends_its_thread() {
    let Some(server) = Server::new(false) else { return };
    let queue = Queue::<u32, _>::builder(Postgres::url(&server.url)).poll(HOUR).open().unwrap();
    queue.install().unwrap();
    let (ring, told, alive) = ring();
    let listening = queue.store().listen(ring).unwrap().unwrap();
    server.pg_ctl(&["-m", "fast", "-w", "stop"]);
    assert!(told.try_recv().is_err());
    drop(listening);
    until(|| alive.strong_count() == 0);
}

/// Lets one connection through to the server's socket.
fn let_through(gate: &TcpListener, url: &str) -> TcpStream {
    let folder = url.split_whitespace().find_map(|pair| pair.strip_prefix("host=")).unwrap();
    let (mut ours, _) = gate.accept().unwrap();
    let mut server = UnixStream::connect(format!("{folder}/.s.PGSQL.5432")).unwrap();
    let (kept, mut back, mut forth) =
        (ours.try_clone().unwrap(), ours.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut ours, &mut forth));
    std::thread::spawn(move || std::io::copy(&mut server, &mut back));
    kept
}

#[test]
fn p77_it_ends_while_a_server_keeps_it_waiting() {
    run(|db: &InPostgres| {
        let gate = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = gate.local_addr().unwrap().port();
        let url = format!("postgres://drawgate@127.0.0.1:{port}/postgres?sslmode=prefer");
        let (ring, told, alive) = ring();
        db.queue::<u32>();
        let store = Postgres::url(&url).table(db.table()).unwrap();
        let listens = std::thread::spawn(move || store.listen(ring).unwrap().unwrap());
        let passed = let_through(&gate, &db.url());
        let listening: Box<dyn Listening> = listens.join().unwrap();
        db.queue::<u32>().enqueue(1).unwrap();
        told.recv().unwrap();
        passed.shutdown(Shutdown::Both).unwrap();
        let (mut silent, _) = gate.accept().unwrap(); // it comes back
        silent.read_exact(&mut [0; 8]).unwrap();
        let before = Instant::now();
        drop(listening);
        silent.read_to_end(&mut Vec::new()).unwrap();
        until(|| alive.strong_count() == 0);
        assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    });
}

fn refused(url: &str) -> std::io::Error {
    match Postgres::url(url).listen(Box::new(|| ())) {
        Err(StoreError::Listen(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p77_passwords_are_given_in_each_way_the_server_asks() {
    let Some(server) = Server::new(false) else { return };
    let mut conn = PgConnection::establish(&server.url).unwrap();
    let users = "SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'pa ss';
        SET password_encryption = 'scram-sha-256'; CREATE ROLE new LOGIN PASSWORD 'pa ss';
        CREATE ROLE plain LOGIN PASSWORD 'pa ss'; CREATE ROLE stranger LOGIN";
    conn.batch_execute(users).unwrap();
    let hba = "local all drawgate trust\nlocal all old md5\nlocal all new scram-sha-256\nlocal all plain password\n";
    std::fs::write(server.data.join("pg_hba.conf"), hba).unwrap();
    server.pg_ctl(&["reload"]);
    let as_user = |user: &str| server.url.replace("user=drawgate", &format!("user={user}"));
    until(|| PgConnection::establish(&as_user("stranger")).is_err());
    for user in ["old", "new", "plain"] {
        let url = as_user(user);
        let listening = Postgres::url(&format!("{url} password='pa ss' sslmode=require")).listen(Box::new(|| ()));
        assert!(listening.is_ok(), "{user}: {listening:?}"); // by a socket there is no TLS, and libpq does not mind
        let wrong = refused(&format!("{url} password=pass"));
        assert_eq!(wrong.kind(), std::io::ErrorKind::PermissionDenied, "{wrong}");
        assert!(wrong.to_string().contains("password authentication failed"), "{wrong}");
        assert_eq!(refused(&url).kind(), std::io::ErrorKind::PermissionDenied);
    }
    let stranger = refused(&as_user("stranger"));
    assert_eq!(stranger.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(stranger.to_string().contains("no pg_hba.conf entry"), "{stranger}");
}

#[test]
fn p77_what_the_listener_cannot_do_is_told() {
    let tls = refused("postgres://a@127.0.0.1:1/b?sslmode=verify-full");
    assert_eq!(tls.kind(), std::io::ErrorKind::Unsupported);
    assert!(tls.to_string().contains("`sslmode=verify-full`"), "{tls}");
    assert_eq!(refused("host=127.0.0.1 port=1 user=a").kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(refused("host=/nowhere user=a").kind(), std::io::ErrorKind::NotFound);
    assert_eq!(refused("user='a").kind(), std::io::ErrorKind::InvalidInput);
}
