//! The same census three more times, without the library: on one thread, with rayon, with crossbeam channels.
//!
//! `cargo run --release --example by_hand -- rayon|crossbeam|one PATH...`
//!
//! What is done to a file, and what is printed, is `census`'s own code (`../census/shared`); only the wiring differs, a file
//! each, written as one would who has no library for it. No progress bar, no table of stages, and Ctrl-C ends them
//! without a word of what was counted.

// The library keeps locks, threads and clocks behind one module of its own; programs that use it need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod crossbeam_way;
mod one_thread;
mod rayon_way;
#[path = "../census/shared/mod.rs"]
mod shared;

use clap::{Parser, ValueEnum};
use shared::{failure::Failures, options::Options, report::Report};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Take stock of directory trees, with threads wired by hand
#[derive(Parser)]
#[command(name = "by_hand", version)]
struct Args {
    /// What the wiring is made of
    way: Way,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, ValueEnum)]
enum Way {
    /// No threads: a loop
    One,
    /// `par_bridge` and a fold for each thread
    Rayon,
    /// A thread that walks, a bounded channel, threads that count
    Crossbeam,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(io::stderr(), "by_hand: {e:#}"); // if stderr is gone, there is nobody to tell
            ExitCode::FAILURE
        }
    }
}

fn run(Args { way, options }: Args) -> anyhow::Result<ExitCode> {
    let failures = Failures::new(|line| drop(writeln!(io::stderr(), "by_hand: {line}")));
    let (stock, equal) = match way {
        Way::One => one_thread::take_stock(&options, &failures),
        Way::Rayon => rayon_way::take_stock(&options, &failures)?,
        Way::Crossbeam => crossbeam_way::take_stock(&options, &failures),
    };
    let report = Report::new(stock, equal, failures.count(), false);
    report.print(&options)?;
    Ok(report.exit_code().into())
}
