//! T11 and T12: what a graph of 100 stages costs that has nothing, or little, to do.
//!
//! A chain: a port, 98 stages, one at the end. What is pushed passes all of them.

use super::measure::{Epoch, Reach, Row, child as process, cpu, in_turn, number};
use super::{Result, Scale};
use drawgate::prelude::*;
use drawgate::stage::Wait;
use serde_json::{Value, json};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const STAGES: usize = 100;

/// T11: all are parked.
pub(crate) fn idle(scale: Scale) -> Result<Vec<Row>> {
    let seconds = if scale.quick { "1" } else { "10" };
    let mut used = Vec::new();
    for _ in 0..scale.rounds.min(3) {
        used.push(number(&process(false, &["graph", "idle", "adaptive", seconds])?, "cpu") * 1e3);
    }
    let what = format!("{STAGES} stages, idle, CPU in {seconds} s");
    Ok(vec![Row::alone("T11", what, "ms", &used, Reach::AtMost(5.0))])
}

/// T12: ten events a second through each.
pub(crate) fn trickle(scale: Scale) -> Result<Vec<Row>> {
    let seconds = if scale.quick { "1" } else { "5" };
    let run = |wait: &'static str| move || process(false, &["graph", "trickle", wait, seconds]);
    let rounds = in_turn(scale, run("adaptive"), run("park"))?.figure(|printed| number(printed, "cpu") * 1e3);
    let what = format!("{STAGES} stages, 10 events a second each, CPU in {seconds} s; `Park`");
    Ok(vec![Row::ratio("T12", what, "ms", &rounds, Reach::AtMost(1.5))])
}

pub(crate) fn child(args: &[String]) -> Result<Value> {
    let [what, wait, seconds] = args else { return Err("which graph?".into()) };
    let wait = if wait == "park" { Wait::Park } else { Wait::default() };
    let seconds: u64 = seconds.parse()?;

    let port = Port::<u64>::bounded(1024).spawn()?;
    let mut last = drawgate::map(|n: u64| n + 1).wait(wait).subscribe_to(&port).spawn()?;
    for _ in 2..STAGES - 1 {
        last = drawgate::map(|n: u64| n + 1).wait(wait).subscribe_to(&last).spawn()?;
    }
    let (passed, through) = mpsc::channel();
    let end = drawgate::for_each(move |n: u64| passed.send(n).unwrap()).wait(wait).subscribe_to(&last).spawn()?;
    port.push(0)?;
    assert_eq!(through.recv()?, STAGES as u64 - 2);
    thread::sleep(Duration::from_secs(1)); // until all are parked

    let from = cpu()?;
    if what == "trickle" {
        let epoch = Epoch::now();
        for i in 0..10 * seconds {
            thread::sleep(Duration::from_nanos((i * 100_000_000).saturating_sub(epoch.nanos())));
            port.push(i)?;
            assert_eq!(through.recv()?, i + STAGES as u64 - 2);
        }
    } else {
        thread::sleep(Duration::from_secs(seconds));
    }
    let used = cpu()? - from;
    port.close();
    end.join()?;
    Ok(json!({ "cpu": used }))
}
