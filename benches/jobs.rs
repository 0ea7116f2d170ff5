//! The job queue against loops written by hand on the same database, in turn.
//!
//! `cargo bench --bench jobs --features jobs-sqlite,jobs-postgres -- [J1 J3 ..] [--rounds N] [--quick]`
//!
//! Postgres is a server of the program's own, with its defaults (it waits for the disk at each commit), on a Unix socket;
//! without one installed its cases are left out. SQLite is a file in WAL mode with `synchronous = NORMAL`. A drain is timed
//! from the start of the workers until the last job is gone; the jobs are enqueued before. As in `targets`: a ratio is ours by
//! the baseline, the median over rounds with its quartiles; read the ratios. Writes `jobs.json` into the target directory.

#[path = "jobs/by_hand.rs"]
mod by_hand;
#[path = "jobs/drain.rs"]
mod drain;
#[path = "jobs/enqueue.rs"]
mod enqueue;
#[allow(dead_code, reason = "made for `targets`, which measures more")]
#[path = "targets/measure.rs"]
mod measure;
#[allow(dead_code, reason = "made for tests, which stop it, too")]
#[path = "../tests/jobs/postgres.rs"]
mod postgres;

use measure::{Row, machine};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How much is run.
#[derive(Clone, Copy)]
struct Scale {
    rounds: usize,
    quick: bool,
}

impl Scale {
    /// A number of jobs, or a fiftieth of it.
    fn of(self, n: u32) -> u32 {
        if self.quick { n / 50 } else { n }
    }
}

type Target = (&'static str, fn(Scale) -> Result<Vec<Row>>);
const TARGETS: [Target; 6] = [
    ("J1", drain::in_transactions_on_postgres),
    ("J3", drain::batched_on_postgres),
    ("J4", drain::on_sqlite),
    ("J7", drain::transactions_a_job),
    ("J9", drain::claims_beside_failed_jobs),
    ("J10", enqueue::both),
];

fn main() -> Result<()> {
    let (mut chosen, mut rounds, mut quick) = (Vec::new(), None, false);
    let mut args = env::args().skip(1).filter(|arg| arg != "--bench"); // cargo says so
    while let Some(arg) = args.next() {
        match &*arg {
            "--rounds" => rounds = Some(args.next().ok_or("--rounds needs a number")?.parse::<usize>()?.max(1)),
            "--quick" => quick = true,
            id if TARGETS.iter().any(|(target, _)| *target == id) => chosen.push(id.to_owned()),
            other => return Err(format!("unknown option or target {other}").into()),
        }
    }
    let scale = Scale { rounds: rounds.unwrap_or(if quick { 1 } else { 5 }), quick };
    println!("{}\n{} round(s) in turn\n\n{}", machine(), scale.rounds, Row::HEAD);
    let mut rows = Vec::new();
    for (_, run) in TARGETS.iter().filter(|(id, _)| chosen.is_empty() || chosen.iter().any(|c| c == id)) {
        for row in run(scale)? {
            println!("{row}");
            rows.push(row.json());
        }
    }
    let program = env::current_exe()?;
    let file = program.ancestors().nth(3).ok_or("not below a target directory")?.join("jobs.json");
    fs::write(&file, format!("{:#}\n", serde_json::Value::from(rows)))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}
