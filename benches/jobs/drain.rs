//! Drains: how fast jobs that do next to nothing are worked off.

use super::by_hand::{self, ByHand};
use super::measure::{Reach, Rounds, Row, in_turn};
use super::postgres::Server;
use super::{Result, Scale};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_types::BigInt};
use drawgate::jobs::{Postgres, Queue, Sqlite, Store};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A database, empty, and ways to it.
pub(crate) struct Base<S: Store> {
    pub(crate) queue: Queue<u32, S>,
    pub(crate) open: Box<dyn Fn() -> Result<S::Connection> + Sync>,
    _server: Option<Server>,
    _dir: Option<tempfile::TempDir>,
}

impl Base<Postgres> {
    /// None if there is no server to be had.
    pub(crate) fn postgres() -> Result<Option<Self>> {
        let Some(server) = Server::new(true) else { return Ok(None) };
        let url = server.url.clone();
        let open = Box::new(move || Ok(PgConnection::establish(&url)?));
        let queue = Queue::builder(Postgres::url(&server.url)).open()?;
        Ok(Some(Self { queue, open, _server: Some(server), _dir: None }.install()?))
    }
}

impl Base<Sqlite> {
    pub(crate) fn sqlite() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("jobs.db");
        let queue = Queue::builder(Sqlite::file(&path)).open()?;
        let open = Box::new(move || {
            let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
            conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")?;
            Ok(conn)
        });
        Self { queue, open, _server: None, _dir: Some(dir) }.install()
    }
}

impl<S: Store<Connection: ByHand>> Base<S> {
    fn install(self) -> Result<Self> {
        self.queue.install()?;
        (self.open)()?.batch_execute("CREATE TABLE done (n bigint)")?;
        Ok(self)
    }

    fn fill(&self, n: u32) -> Result<()> {
        (self.open)()?.batch_execute("DELETE FROM done")?;
        for from in (0..n).step_by(10_000) {
            self.queue.enqueue_all(from..n.min(from + 10_000))?;
        }
        Ok(())
    }

    /// Jobs a second of the queue's own workers.
    fn ours(&self, n: u32, threads: usize, batched: bool) -> Result<f64> {
        self.fill(n)?;
        let before = self.queue.stats().done;
        let begun = Instant::now();
        let workers = match batched {
            true => self.queue.work(|job, _| {
                std::hint::black_box(**job);
                Ok(())
            }),
            false => self.queue.work_in_tx(|tx, job| Ok(tx.insert_done(job.id()).map(|_| ())?)),
        };
        let workers = workers.threads(threads).spawn()?;
        while self.queue.stats().done < before + u64::from(n) {
            std::thread::sleep(Duration::from_micros(200));
        }
        let took = begun.elapsed();
        workers.stop(LIMIT)?;
        Ok(f64::from(n) / took.as_secs_f64())
    }

    fn by_hand(&self, n: u32, threads: usize, batched: bool) -> Result<f64> {
        self.fill(n)?;
        let begun = Instant::now();
        let handled = match batched {
            true => by_hand::drain_in_batches(&mut (self.open)()?)?,
            false => by_hand::drain_in_transactions(&*self.open, threads)?,
        };
        let took = begun.elapsed();
        if handled != n {
            return Err(format!("by hand {handled} of {n} jobs were handled").into());
        }
        Ok(f64::from(n) / took.as_secs_f64())
    }

    fn drain(&self, scale: Scale, n: u32, threads: usize, batched: bool) -> Result<Rounds<f64>> {
        let n = scale.of(n);
        in_turn(scale, || self.ours(n, threads, batched), || self.by_hand(n, threads, batched))
    }
}

pub(crate) fn in_transactions_on_postgres(scale: Scale) -> Result<Vec<Row>> {
    let Some(base) = Base::postgres()? else { return left_out("J1") };
    let (eight, one) = (base.drain(scale, 20_000, 8, false)?, base.drain(scale, 5_000, 1, false)?);
    Ok(vec![
        Row::ratio("J1", "Postgres, a row in the job's transaction, 8 workers", "jobs/s", &eight, Reach::AtLeast(0.85)),
        Row::ratio("J1", "the same, 1 worker", "jobs/s", &one, Reach::AtLeast(0.9)),
    ])
}

pub(crate) fn batched_on_postgres(scale: Scale) -> Result<Vec<Row>> {
    let Some(base) = Base::postgres()? else { return left_out("J3") };
    let rounds = base.drain(scale, 50_000, 1, true)?;
    Ok(vec![Row::ratio("J3", "Postgres, removed in batches, 1 worker", "jobs/s", &rounds, Reach::AtLeast(0.85))])
}

pub(crate) fn on_sqlite(scale: Scale) -> Result<Vec<Row>> {
    let base = Base::sqlite()?;
    let (each, batched) = (base.drain(scale, 50_000, 1, false)?, base.drain(scale, 100_000, 1, true)?);
    Ok(vec![
        Row::ratio("J4", "SQLite, a row in the job's transaction, 1 worker", "jobs/s", &each, Reach::AtLeast(0.85)),
        Row::ratio("J4", "SQLite, removed in batches, 1 worker", "jobs/s", &batched, Reach::AtLeast(0.7)),
    ])
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    v: i64,
}

/// Commits so far. The server counts each connection's when that has been idle for a moment, or ends.
fn commits(base: &Base<Postgres>) -> Result<i64> {
    std::thread::sleep(Duration::from_millis(1500));
    let mut conn = (base.open)()?;
    let sql = "SELECT xact_commit AS v FROM pg_stat_database WHERE datname = current_database()";
    Ok(diesel::sql_query(sql).get_result::<Number>(&mut conn)?.v)
}

pub(crate) fn transactions_a_job(scale: Scale) -> Result<Vec<Row>> {
    let Some(base) = Base::postgres()? else { return left_out("J7") };
    let n = scale.of(20_000);
    let count = |threads, batched| -> Result<Vec<f64>> {
        (0..scale.rounds)
            .map(|_| {
                base.fill(n)?;
                let before = commits(&base)?;
                base.work_off(n, threads, batched)?;
                Ok((commits(&base)? - before) as f64 / f64::from(n))
            })
            .collect()
    };
    Ok(vec![
        Row::alone("J7", "transactions a job of J1, 8 workers", "", &count(8, false)?, Reach::AtMost(1.1)),
        Row::alone("J7", "transactions a job of J3", "", &count(1, true)?, Reach::AtMost(0.05)),
    ])
}

impl Base<Postgres> {
    fn work_off(&self, n: u32, threads: usize, batched: bool) -> Result<()> {
        let before = self.queue.stats().done;
        let workers = match batched {
            true => self.queue.work(|_, _| Ok(())),
            false => self.queue.work_in_tx(|tx, job| Ok(tx.insert_done(job.id()).map(|_| ())?)),
        };
        let workers = workers.threads(threads).spawn()?;
        while self.queue.stats().done < before + u64::from(n) {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(workers.stop(LIMIT)?)
    }
}

/// A claim of a hundred, beside a million failed jobs and beside none.
pub(crate) fn claims_beside_failed_jobs(scale: Scale) -> Result<Vec<Row>> {
    fn claims<S: Store<Connection: ByHand>>(base: &Base<S>) -> Result<f64> {
        base.queue.enqueue_all(0..2000)?;
        let (store, mut conn) = (base.queue.store(), (base.open)()?);
        let begun = Instant::now();
        for _ in 0..20 {
            let claimed = store.claim(&mut conn, 100, LIMIT, None)?;
            if claimed.len() != 100 {
                return Err(format!("{} were claimed", claimed.len()).into());
            }
        }
        let took = begun.elapsed().as_secs_f64() / 20.0 * 1e3;
        conn.batch_execute("DELETE FROM jobs WHERE state = 'RESERVED'")?;
        Ok(took)
    }
    fn row<S: Store<Connection: ByHand>>(scale: Scale, name: &str, full: &Base<S>, empty: &Base<S>) -> Result<Row> {
        let n = scale.of(1_000_000);
        for from in (0..n).step_by(50_000) {
            full.queue.enqueue_all(from..n.min(from + 50_000))?;
            (full.open)()?.batch_execute("UPDATE jobs SET state = 'FAILED' WHERE state = 'AVAILABLE'")?;
        }
        (full.open)()?.batch_execute(S::Connection::TIDY)?;
        let rounds = in_turn(scale, || claims(full), || claims(empty))?;
        let case = format!("{name}, a claim of 100 beside {n} failed jobs, and beside none");
        Ok(Row::ratio("J9", case, "ms", &rounds, Reach::AtMost(1.2)))
    }
    let mut rows = vec![row(scale, "SQLite", &Base::sqlite()?, &Base::sqlite()?)?];
    if let (Some(full), Some(empty)) = (Base::postgres()?, Base::postgres()?) {
        rows.push(row(scale, "Postgres", &full, &empty)?);
    }
    Ok(rows)
}

pub(crate) fn left_out(id: &str) -> Result<Vec<Row>> {
    println!("{id} left out: there is no Postgres server");
    Ok(Vec::new())
}
