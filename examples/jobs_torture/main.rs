//! Kills processes that work on a queue, again and again, and then counts: each job's effect is in the database once.
//!
//! `cargo run --release --features jobs-sqlite,jobs-postgres --example jobs_torture -- --rounds 1000 --sqlite`
//!
//! One process enqueues, in transactions of its own, of which some are rolled back. Several others, this program again,
//! work on the jobs, and are ended by SIGKILL at random moments and replaced. At the end one that nobody kills works on
//! what is left, and what is in the database is compared with what was committed.
//!
//! `work.rs` is the part that uses the queue: three ways to work on jobs, and what each of them promises.

// The library keeps locks, threads and clocks behind one module of its own; programs that use it need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod check; //    what must be in the database at the end
mod database; // what differs between SQLite and Postgres
#[cfg(unix)]
#[allow(dead_code, unreachable_pub, reason = "the tests of the queue use all of it")]
#[path = "../../tests/jobs/postgres.rs"]
mod postgres; // a server of one's own, as the tests have
mod rounds; //   enqueue, kill, replace
mod work; //     what is killed

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use database::{Database, InPostgres, InSqlite};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};
use work::{Orders, Way};

/// Kill processes that work on a queue of jobs, and compare what they leave with what was enqueued
#[derive(Parser)]
#[command(name = "jobs_torture", version)]
struct Arguments {
    #[command(flatten)]
    database: Which,
    /// With this server instead of one of its own: tables named torture_* are made there, and dropped
    #[arg(long, requires = "postgres", conflicts_with = "sqlite")]
    url: Option<String>,
    /// With this file instead of one of its own, which must not be there yet
    #[arg(long, requires = "sqlite", conflicts_with = "postgres")]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// On SQLite
    #[arg(long)]
    sqlite: bool,
    /// On Postgres
    #[arg(long)]
    postgres: bool,
}

#[derive(Args)]
struct Options {
    /// How often to enqueue, wait a random time of at most 200 ms, kill, and replace
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// Processes that work at once
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Makes the random choices those of an earlier run; the moments at which the kills hit are the machine's
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Subcommand)]
enum Hidden {
    /// Works on jobs until its standard input ends
    #[command(hide = true)]
    Work {
        #[arg(long)]
        worker: u64,
        /// In milliseconds
        #[arg(long)]
        lease: u64,
        #[arg(long = "way", value_enum)]
        ways: Vec<Way>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "jobs_torture: {e:#}"); // if stderr is gone, there is nobody to tell
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { database, url, file, options, hidden } = arguments;
    if database.sqlite {
        let dir = tempfile::Builder::new().prefix("jobs_torture-").tempdir()?;
        let file = file.unwrap_or_else(|| dir.path().join("torture.db"));
        let done = go(&InSqlite { file }, &options, hidden);
        if done.is_err() {
            let _kept = dir.keep(); // to be looked at
        }
        return done;
    }
    match url {
        Some(url) => go(&InPostgres { url }, &options, hidden),
        #[cfg(unix)]
        None => {
            let server =
                postgres::Server::new(false).context("no `initdb` found: install Postgres' server, or give a --url")?;
            go(&InPostgres { url: server.url.clone() }, &options, hidden)
        }
        #[cfg(not(unix))]
        None => anyhow::bail!("give a --url"),
    }
}

fn go(database: &impl Database, options: &Options, hidden: Option<Hidden>) -> anyhow::Result<()> {
    match hidden {
        Some(Hidden::Work { worker, lease, ways }) => work::work(database, &Orders { worker, lease, ways }),
        None => {
            let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
            let summary = rounds::run(database, options.rounds, options.workers, seed)
                .with_context(|| format!("on {database}, with --rounds {} --seed {seed}", options.rounds))?;
            writeln!(io::stdout(), "on {database}, seed {seed}: {summary}")?;
            Ok(())
        }
    }
}
