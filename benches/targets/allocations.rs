//! T13: heap allocations, counted by the test `allocations`, which has an allocator of its own.

use super::measure::{Reach, Row};
use super::{Result, Scale};
use std::env;
use std::process::Command;

pub(crate) fn steady(_: Scale) -> Result<Vec<Row>> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or("not below a target directory")?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet", "--release", "--test", "allocations", "--target-dir"]).arg(target);
    let output = cargo.args(["--", "--nocapture"]).current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let numbers = |line: &str| -> Option<[f64; 3]> {
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().ok()
    };
    let counted = printed.lines().filter_map(|line| line.strip_prefix("steady: ")).find_map(numbers);
    let [allocations, events, slices] = counted.ok_or_else(|| {
        format!("the test does not say what it counted: {printed}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    let per = |n: f64, what: &str| {
        Row::alone("T13", format!("allocations per {what}"), "", &[allocations / n], Reach::AtMost(0.0))
    };
    Ok(vec![per(events, "event"), per(slices, "slice")])
}
