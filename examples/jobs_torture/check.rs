//! What must be in the database when all is done, and what is.

use crate::database::Database;
use crate::work::{Tasks, Way};
use anyhow::ensure;
use std::{collections::BTreeMap, fmt, time::Duration};

/// What was enqueued.
#[derive(Default)]
pub(crate) struct Expected {
    /// So many numbers were used.
    pub(crate) numbers: i64,
    pub(crate) committed: BTreeMap<Way, u64>,
    pub(crate) rolled_back: u64,
}

pub(crate) struct Summary {
    pub(crate) rounds: u64,
    pub(crate) kills: u64,
    pub(crate) took: Duration,
    rolled_back: u64,
    ways: Vec<(Way, Figures)>,
}

struct Figures {
    jobs: usize,
    /// Those that were begun more than once.
    taken_over: usize,
    /// Those whose effect is there more than once.
    repeated: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, kills, took, rolled_back, ways } = self;
        let jobs: usize = ways.iter().map(|(_, figures)| figures.jobs).sum();
        writeln!(f, "{rounds} rounds, {kills} kills, {jobs} jobs in {:.1} s; all are there", took.as_secs_f64())?;
        for (way, Figures { jobs, taken_over, repeated }) in ways {
            write!(f, "  {:<15} {jobs:>6} jobs, {taken_over:>5} taken over, ", way.name())?;
            match way.is_once() {
                true => writeln!(f, "each done once")?,
                false => writeln!(f, "each done at least once, {repeated} more than once")?,
            }
        }
        write!(f, "  rolled back     {rolled_back:>6} jobs, none done")
    }
}

/// One job, by what is in the two tables.
#[derive(Default)]
struct Seen {
    ordered: bool,
    done: usize,
    attempt: i32,
}

/// # Errors
/// The first difference, with its jobs.
pub(crate) fn check<D: Database>(
    database: &D,
    conn: &mut D::Conn,
    queues: &[(Way, Tasks<D>)],
    expected: &Expected,
) -> anyhow::Result<Summary> {
    for (way, queue) in queues {
        let left = queue.list(&Default::default())?;
        ensure!(left.is_empty(), "jobs are left in {}, or have failed: {left:#?}", way.table());
    }
    let mut ways = Vec::new();
    for way in Way::ALL {
        let jobs = look::<D>(conn, way)?;
        let ordered = jobs.values().filter(|seen| seen.ordered).count() as u64;
        let committed = expected.committed.get(&way).copied().unwrap_or(0);
        ensure!(ordered == committed, "{database}: {ordered} jobs of {way:?} are ordered, {committed} were committed");
        let such = |wrong: &dyn Fn(&Seen) -> bool| -> Vec<i64> {
            jobs.iter().filter(|(_, seen)| wrong(seen)).map(|(job, _)| *job).collect()
        };
        let ghosts = such(&|seen| !seen.ordered);
        ensure!(ghosts.is_empty(), "done though their transaction was rolled back, of {way:?}: {ghosts:?}");
        let lost = such(&|seen| seen.done == 0);
        ensure!(lost.is_empty(), "lost, of {way:?}: {lost:?}");
        let repeated = such(&|seen| seen.done > 1);
        ensure!(repeated.is_empty() || !way.is_once(), "done more than once, of {way:?}: {repeated:?}");
        let taken_over = such(&|seen| seen.attempt > 1).len();
        ways.push((way, Figures { jobs: jobs.len(), taken_over, repeated: repeated.len() }));
    }
    Ok(Summary { rounds: 0, kills: 0, took: Duration::ZERO, rolled_back: expected.rolled_back, ways })
}

fn look<D: Database>(conn: &mut D::Conn, way: Way) -> anyhow::Result<BTreeMap<i64, Seen>> {
    let mut jobs: BTreeMap<i64, Seen> = BTreeMap::new();
    let name = way.name();
    for line in D::lines(conn, &format!("SELECT job, 0 AS attempt FROM torture_ordered WHERE way = '{name}'"))? {
        jobs.entry(line.job).or_default().ordered = true;
    }
    for line in D::lines(conn, &format!("SELECT job, attempt FROM torture_done WHERE way = '{name}'"))? {
        let seen = jobs.entry(line.job).or_default();
        seen.done += 1;
        seen.attempt = seen.attempt.max(line.attempt);
    }
    Ok(jobs)
}
