//! The process that is killed: it works on jobs in three ways, and ends by itself only when nobody holds its input
//! open.

use crate::database::Database;
use diesel::connection::SimpleConnection;
use drawgate::jobs::{Job, Queue};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Read as _},
    thread,
    time::Duration,
};

/// How a job is worked on. Each way has a queue of its own, so that what each promises can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Way {
    /// The handler runs inside a transaction: `work_in_tx`. Its effect is there once.
    InTx,
    /// It writes at its end, in the transaction that removes the job: `finish.commit`. Its effect is there once.
    Commit,
    /// It writes in no transaction with the job's. Its effect is there at least once.
    Plain,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::InTx, Self::Commit, Self::Plain];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InTx => "in_tx",
            Self::Commit => "commit",
            Self::Plain => "plain",
        }
    }

    /// The queue's.
    pub(crate) fn table(self) -> String {
        format!("torture_{}", self.name())
    }

    pub(crate) fn is_once(self) -> bool {
        self != Self::Plain
    }
}

/// A job: what it is called in `torture_ordered`, and how long it takes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) number: i64,
    pub(crate) takes: Duration,
}

pub(crate) type Tasks<D> = Queue<Task, <D as Database>::Store>;

pub(crate) fn open<D: Database>(database: &D, way: Way, lease: Duration) -> anyhow::Result<Tasks<D>> {
    let queue = Queue::builder(database.store(way)?)
        .reservation(lease)
        .execution(lease)
        // Each start counts, and nearly all that is started here is killed: any job may meet each of the kills, and on
        // a busy machine a process may be late to extend a lease as well. So no number of attempts that is worth
        // limiting says anything of a job. (A process takes over what was started before one by one: a kill costs one
        // of those at most.)
        .max_attempts(1_000_000)
        // What a process that was killed had reserved is to be found soon, also by others.
        .poll(Duration::from_millis(50))
        .back_off(|_| Duration::from_millis(10))
        .open()?;
    Ok(queue)
}

/// What a process is told to do.
pub(crate) struct Orders {
    pub(crate) worker: u64,
    /// In milliseconds.
    pub(crate) lease: u64,
    pub(crate) ways: Vec<Way>,
}

pub(crate) fn work<D: Database>(database: &D, orders: &Orders) -> anyhow::Result<()> {
    let worker = orders.worker;
    let mut running = Vec::new();
    for way in &orders.ways {
        let queue = open(database, *way, Duration::from_millis(orders.lease))?;
        let workers = match way {
            Way::InTx => queue.work_in_tx(move |tx, job| {
                effect(tx, Way::InTx, job, worker)?;
                take_time(job);
                Ok(())
            }),
            Way::Commit => queue.work(move |job, finish| {
                take_time(job);
                finish.commit(|tx| {
                    effect(tx, Way::Commit, job, worker)?;
                    thread::sleep(job.takes.min(Duration::from_millis(1))); // so that kills hit here, too
                    Ok(())
                })
            }),
            Way::Plain => queue.work(move |job, finish| {
                take_time(job);
                effect(finish.connection()?, Way::Plain, job, worker)
            }),
        };
        running.push(workers.threads(2).spawn()?);
    }
    io::stdin().read_to_end(&mut Vec::new())?; // until the one who kills has gone, or wants it to end
    for workers in &running {
        workers.stop(Duration::from_secs(30))?;
    }
    Ok(())
}

fn take_time(job: &Job<Task>) {
    thread::sleep(job.takes);
}

fn effect(conn: &mut impl SimpleConnection, way: Way, job: &Job<Task>, worker: u64) -> anyhow::Result<()> {
    let (way, number, attempt) = (way.name(), job.number, job.attempt());
    Ok(conn.batch_execute(&format!("INSERT INTO torture_done VALUES ('{way}', {number}, {attempt}, {worker})"))?)
}
