//! The process that kills: it enqueues, waits a moment, kills some of those that work, and replaces them.

use crate::check::{Expected, Summary, check};
use crate::database::Database;
use crate::work::{Task, Tasks, Way, open};
use anyhow::{Context as _, bail};
use diesel::connection::SimpleConnection;
use drawgate::jobs::Store;
use fastrand::Rng;
use indicatif::ProgressBar;
use std::{
    env,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the clean worker may take at the end.
const DRAIN: Duration = Duration::from_secs(120);

pub(crate) fn run<D: Database>(database: &D, rounds: u64, workers: usize, seed: u64) -> anyhow::Result<Summary> {
    let (begun, mut rng) = (Instant::now(), Rng::with_seed(seed));
    database.make_tables()?;
    let mut queues = Vec::new();
    for way in Way::ALL {
        let queue = open(database, way, Duration::from_millis(100))?;
        queue.install()?;
        queues.push((way, queue));
    }
    let mut conn = database.connect()?;
    let mut expected = Expected::default();
    let mut herd = Herd { database, rng: rng.fork(), spawned: 0 };
    let mut killed = 0;
    let mut running = (0..workers).map(|_| herd.random()).collect::<anyhow::Result<Vec<_>>>()?;

    let bar = ProgressBar::new(rounds); // on stderr, and only if that is a terminal
    for _ in 0..rounds {
        for (way, queue) in &queues {
            enqueue::<D>(&mut conn, *way, queue, &mut rng, &mut expected)?;
        }
        thread::sleep(Duration::from_micros(rng.u64(0..200_000)));
        let one = rng.usize(0..workers);
        for (n, worker) in running.iter_mut().enumerate() {
            if n == one || rng.u8(0..3) == 0 {
                worker.kill()?;
                killed += 1;
                *worker = herd.random()?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    for mut worker in running {
        worker.kill()?;
        killed += 1;
    }

    let clean = herd.spawn(150, &Way::ALL)?;
    let until = Instant::now() + DRAIN;
    for (way, queue) in &queues {
        while left(queue)? > 0 {
            if Instant::now() > until {
                bail!("not done after {DRAIN:?} without kills: of {way:?} {:?}", queue.counts()?);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    clean.end()?;
    let mut summary = check(database, &mut conn, &queues, &expected)?;
    (summary.rounds, summary.kills, summary.took) = (rounds, killed, begun.elapsed());
    Ok(summary)
}

/// Jobs that are still to be worked on. One that has failed is not, and is found by the check.
fn left<S: Store>(queue: &drawgate::jobs::Queue<Task, S>) -> anyhow::Result<u64> {
    let counts = queue.counts()?;
    Ok(counts.total() - counts.failed)
}

/// Orders some jobs, and enqueues them, in one transaction; every fourth is rolled back.
fn enqueue<D: Database>(
    conn: &mut D::Conn,
    way: Way,
    queue: &Tasks<D>,
    rng: &mut Rng,
    expected: &mut Expected,
) -> anyhow::Result<()> {
    let first = expected.numbers;
    let jobs = rng.i64(1..40);
    expected.numbers += jobs;
    let commits = rng.u8(0..4) > 0;
    let task = |number| Task { number, takes: takes(way, rng) };
    let tasks: Vec<Task> = (first..first + jobs).map(task).collect();
    let rows: Vec<_> = tasks.iter().map(|task| format!("('{}', {})", way.name(), task.number)).collect();
    let mut tasks = Some(tasks);
    let done = queue.store().transaction(conn, &mut |tx| {
        tx.batch_execute(&format!("INSERT INTO torture_ordered VALUES {}", rows.join(", ")))?;
        queue.enqueue_all_in(tx, tasks.take().into_iter().flatten())?;
        if commits { Ok(()) } else { bail!(RolledBack) }
    });
    match done {
        Ok(()) => *expected.committed.entry(way).or_insert(0) += jobs as u64,
        Err(cause) if cause.is::<RolledBack>() => expected.rolled_back += jobs as u64,
        Err(cause) => return Err(cause).context("enqueuing"),
    }
    Ok(())
}

/// Mostly little. Some take longer than a lease, which is extended meanwhile; not those that hold a transaction open,
/// since on SQLite all others would wait for them.
fn takes(way: Way, rng: &mut Rng) -> Duration {
    match (way, rng.u8(0..100)) {
        (Way::Commit | Way::Plain, 0) => Duration::from_millis(350),
        (Way::InTx, 0..50) => Duration::from_micros(rng.u64(0..3000)),
        (_, 0..50) => Duration::from_micros(rng.u64(0..10_000)),
        _ => Duration::ZERO,
    }
}

#[derive(Debug)]
struct RolledBack;
impl std::fmt::Display for RolledBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rolled back on purpose")
    }
}
impl std::error::Error for RolledBack {}

/// Starts processes.
struct Herd<'a, D> {
    database: &'a D,
    rng: Rng,
    spawned: u64,
}

impl<D: Database> Herd<'_, D> {
    /// One that works in one, two or all ways, with a lease of its own.
    fn random(&mut self) -> anyhow::Result<Worker> {
        let mut ways = Way::ALL;
        self.rng.shuffle(&mut ways);
        let (n, lease) = (self.rng.usize(1..=ways.len()), self.rng.u64(100..=300));
        self.spawn(lease, &ways[..n])
    }

    fn spawn(&mut self, lease: u64, ways: &[Way]) -> anyhow::Result<Worker> {
        self.spawned += 1;
        let mut command = Command::new(env::current_exe()?);
        command.args(self.database.arguments()).arg("work");
        command.args(["--worker", &self.spawned.to_string(), "--lease", &lease.to_string()]);
        for way in ways {
            let name = clap::ValueEnum::to_possible_value(way).expect("bug: all ways have names");
            command.args(["--way", name.get_name()]);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("starting a worker")?;
        Ok(Worker { number: self.spawned, child })
    }
}

struct Worker {
    number: u64,
    child: Child,
}

impl Worker {
    /// Ends it at once, by SIGKILL. It must not have ended by itself.
    fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("worker {} ended by itself: {status}", self.number);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Has it end by itself.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "worker {} did not end well: {status}", self.number);
        Ok(())
    }
}
