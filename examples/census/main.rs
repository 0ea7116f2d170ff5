//! Takes stock of directory trees: files, bytes, lines and words by type, the largest files, files with equal content.
//!
//! `cargo run --release --example census -- PATH...`
//!
//! - Counts are those of `find -H PATH... -type f` and of `LC_ALL=C wc` on each file; `shared/count.rs` says what a word is.
//! - Memory: a bounded number of files is in flight, and each is read in pieces. A tree of any size takes a few bytes for
//!   each distinct file size; looking for equal files takes some 150 bytes for each file of one round
//!   (`--compare-at-once`), and the result as much as there is to print.
//! - What cannot be read is told on stderr with its path, once, and counted; the rest goes on.
//! - Exit code: 0; 1 if there were such errors; 2 for a bad command line; 130 if Ctrl-C made the result partial.
//!
//! `flows.rs` is the part to read: the three stages, and what stops them. What each does to a file is in `shared/`.

// The library keeps locks, threads and clocks behind one module of its own; programs that use it need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod flows; //     the core: walker, counters, merger
mod interrupt; // Ctrl-C
mod progress; //  the bar on a terminal
mod shared; //    what does not depend on threads

use clap::Parser;
use flows::Census;
use interrupt::Interrupt;
use progress::Progress;
use shared::{failure::Failures, options::Options, report::Report};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Take stock of directory trees: files, bytes, lines and words by type, the largest files, files with equal content
#[derive(Parser)]
#[command(name = "census", version)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// End with a table of the stages and which of them is the bottleneck (on stderr with --json)
    #[arg(long)]
    stages: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(io::stderr(), "census: {e:#}"); // if stderr is gone, there is nobody to tell
            ExitCode::FAILURE
        }
    }
}

fn run(Args { options, stages }: Args) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let (tell, stopping) = (progress.clone(), progress.clone());
    let failures = Failures::new(move |line| tell.say(line));
    let interrupt = Interrupt::listen(move || stopping.say("stopping; what is in flight is still counted"))?;

    let mut census = Census { options, failures, progress, interrupt, stages: Vec::new() };
    let (stock, equal) = census.take()?;

    let report = Report::new(stock, equal, census.failures.count(), census.interrupt.came());
    report.print(&census.options)?;
    if stages {
        print_stages(&census)?;
    }
    Ok(report.exit_code().into())
}

fn print_stages(census: &Census) -> io::Result<()> {
    let mut out: Box<dyn io::Write> = if census.options.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    for (what, stages) in &census.stages {
        writeln!(out, "\n{what}\n{}", stages.snapshot())?;
    }
    Ok(())
}
