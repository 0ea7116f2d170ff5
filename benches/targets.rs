//! The crate against its targets: each figure beside a baseline written by hand, run in turn.
//!
//! `cargo bench --bench targets -- [T1 T5 ..] [--rounds N] [--quick]`; the part `steps` has no target, but shows what a step
//! of a flow costs.
//!
//! - Each round runs ours and the baseline one after the other, beginning with the other one each time. A figure is the
//!   median over the rounds; a ratio is ours by the baseline, the median of the rounds' ratios with its quartiles. The
//!   machine may be faster or slower from minute to minute; a round is seconds long.
//! - Everything is built with the public API, as a user would. Threads are started and joined within what is measured.
//! - What is measured of a whole process (CPU, memory, one core) runs in a process of its own: this program again.
//! - Latencies are open-loop: from the moment an event was meant to be sent until its handler sees it.
//! - `--quick` is to see that all this works: one round, few events; its figures mean nothing.
//!
//! Prints a table, and writes `targets.json` into the target directory: `[{id, case, figure, baseline, unit, ratio,
//! quartiles, reach, met}]`, where `baseline`, `ratio`, `reach` and `met` are null where there is none. Without a baseline
//! `reach` is about the figure, else about the ratio.

#[path = "targets/allocations.rs"]
mod allocations;
#[path = "targets/call.rs"]
mod call;
#[path = "targets/graphs.rs"]
mod graphs;
#[path = "targets/measure.rs"]
mod measure;
#[path = "targets/port.rs"]
mod port;
#[path = "targets/steps.rs"]
mod steps;
#[path = "targets/three_stages.rs"]
mod three_stages;
#[path = "targets/timers.rs"]
mod timers;

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
    /// A number of events, or a hundredth of it.
    fn of(self, n: u64) -> u64 {
        if self.quick { (n / 100).max(100) } else { n }
    }
}

/// A target, or several that come from the same run.
type Target = (&'static str, fn(Scale) -> Result<Vec<Row>>);
const TARGETS: [Target; 15] = [
    ("T1", |scale| three_stages::target("T1", scale)),
    ("T2", |scale| three_stages::target("T2", scale)),
    ("T3", |scale| three_stages::target("T3", scale)),
    ("T4", |scale| three_stages::target("T4", scale)),
    ("T5", |scale| port::throughput("T5", &[1], 1.5, scale)),
    ("T6", |scale| port::throughput("T6", &[4, 16], 2.0, scale)),
    ("T7", port::paced),
    ("T8", port::back_to_back),
    ("T9", call::round_trip),
    ("T10", timers::million),
    ("T11", graphs::idle),
    ("T12", graphs::trickle),
    ("T13", allocations::steady),
    ("T14", three_stages::one_core),
    ("steps", steps::prices),
];

/// What this program does when it runs a part in a process of its own: prints one line of JSON.
type Child = (&'static str, fn(&[String]) -> Result<serde_json::Value>);
const CHILDREN: [Child; 3] =
    [("three-stages", three_stages::child), ("timers", timers::child), ("graph", graphs::child)];

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect(); // cargo says so
    if args.first().is_some_and(|arg| arg == "--child") {
        let [_, name, rest @ ..] = &*args else { return Err("--child needs a part".into()) };
        let (_, run) = CHILDREN.iter().find(|(child, _)| child == name).ok_or("no such part")?;
        println!("{}", run(rest)?);
        return Ok(());
    }
    let (chosen, scale) = options(&args)?;
    println!("{}", machine());
    println!(
        "{} round(s) in turn; median; ratio with quartiles{}\n",
        scale.rounds,
        if scale.quick { "; quick" } else { "" }
    );
    println!("{}", Row::HEAD);
    let mut rows = Vec::new();
    for (_, run) in TARGETS.iter().filter(|(id, _)| chosen.is_empty() || chosen.iter().any(|c| c == id)) {
        for row in run(scale)? {
            println!("{row}");
            rows.push(row.json());
        }
    }
    let program = env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or("not below a target directory")?;
    let file = target.join("targets.json");
    fs::write(&file, format!("{:#}\n", serde_json::Value::from(rows)))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn options(args: &[String]) -> Result<(Vec<String>, Scale)> {
    let (mut chosen, mut rounds, mut quick) = (Vec::new(), None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match &**arg {
            "--rounds" => rounds = Some(args.next().ok_or("--rounds needs a number")?.parse::<usize>()?.max(1)),
            "--quick" => quick = true,
            id if TARGETS.iter().any(|(target, _)| *target == id) => chosen.push(id.to_owned()),
            other => return Err(format!("unknown option or target {other}").into()),
        }
    }
    Ok((chosen, Scale { rounds: rounds.unwrap_or(if quick { 1 } else { 7 }), quick }))
}
