//! T10: a million events due over 1 to 10 s, by `Port::push_after` and by the crate `timer`.
//!
//! Not quite the same is compared, to our disadvantage: ours goes from the timer through the port to a consumer's thread,
//! the other's callback runs on its timer's thread and only notes the time. Late is until the handler, or the callback.

use super::measure::{Latency, Reach, Row, child as process, cpu, in_turn, memory, number};
use super::{Result, Scale};
use drawgate::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

pub(crate) fn million(scale: Scale) -> Result<Vec<Row>> {
    // 10 s take 10 s: quick ones are due over a tenth of that.
    let (n, tenths) = if scale.quick { ("20000", "1") } else { ("1000000", "10") };
    let run = |what: &'static str| move || process(false, &["timers", what, n, tenths]);
    let rounds = in_turn(scale, run("ours"), run("timer"))?;
    let figure = |key: &'static str| rounds.figure(move |printed| number(printed, key));
    let row = |case: &str, key, unit, reach| {
        Row::ratio("T10", format!("1 M timers, {case}; `timer`"), unit, &figure(key), reach)
    };
    Ok(vec![
        row("schedule", "schedule", "ns", Reach::AtMost(0.6)),
        row("CPU", "cpu", "s", Reach::AtMost(0.2)),
        row("memory", "memory", "MB", Reach::AtMost(0.5)),
        row("late p50", "p50", "µs", Reach::Shown),
        row("late p99.9", "p999", "µs", Reach::Shown),
        row("late max", "max", "µs", Reach::Shown),
        Row::alone("T10", "1 M timers, early", "events", &figure("early").ours, Reach::AtMost(0.0)),
        Row::alone("T10", "1 M timers, late p99", "µs", &figure("p99").ours, Reach::AtMost(2000.0)),
        Row::alone("T10", "1 M timers by `timer`, late p99", "µs", &figure("p99").baseline, Reach::Shown),
    ])
}

pub(crate) fn child(args: &[String]) -> Result<Value> {
    let [what, n, tenths] = args else { return Err("which timer, how many, over how long?".into()) };
    let (n, tenths) = (n.parse()?, tenths.parse()?);
    match &**what {
        "ours" => ours(n, tenths),
        "timer" => by_timer(n, tenths),
        _ => Err("no such timer".into()),
    }
}

/// What a handler or callback notes: how late each was, in nanoseconds, and how many were early.
struct Late {
    nanos: Vec<u64>,
    early: u64,
}

impl Late {
    /// With its memory in use already, so that it does not count as the timer's.
    fn for_all(n: usize) -> Self {
        let mut nanos = vec![1; n];
        nanos.clear();
        Self { nanos, early: 0 }
    }
    fn note(&mut self, due: Instant) {
        let now = Instant::now();
        self.early += u64::from(now < due);
        self.nanos.push(now.saturating_duration_since(due).as_nanos() as u64);
    }
}

/// Delays from 1 to 10 times so many tenths of a second, always the same ones.
fn delays(n: usize, tenths: u64) -> impl Iterator<Item = Duration> {
    let mut random = 1u64;
    (0..n).map(move |_| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (from, to) = (tenths * 100_000_000, tenths * 1_000_000_000);
        Duration::from_nanos(from + (random >> 11) % (to - from))
    })
}

fn report(schedule: Duration, cpu: f64, memory: f64, late: Late) -> Result<Value> {
    let (n, early) = (late.nanos.len(), late.early);
    let Latency { p50, p99, p999, max } = Latency::of(late.nanos)?;
    Ok(json!({
        "schedule": schedule.as_nanos() as f64 / n as f64, "cpu": cpu, "memory": memory, "early": early,
        "p50": p50, "p99": p99, "p999": p999, "max": max,
    }))
}

fn ours(n: usize, tenths: u64) -> Result<Value> {
    let late = Late::for_all(n);
    let (memory_before, cpu_before) = (memory("VmRSS")?, cpu()?);
    let port = Port::bounded(1024).spawn()?;
    let (done, all) = mpsc::channel();
    let note = move |late: &mut Late, due| {
        late.note(due);
        if late.nanos.len() == n {
            let _ = done.send(());
        }
    };
    let consumer = drawgate::fold(late, note).subscribe_to(&port).spawn()?;
    let start = Instant::now();
    for delay in delays(n, tenths) {
        port.push_after(Instant::now() + delay, delay)?;
    }
    let schedule = start.elapsed();
    all.recv()?;
    let (cpu, memory) = (cpu()? - cpu_before, memory("VmHWM")? - memory_before); // before the threads are gone
    port.close();
    report(schedule, cpu, memory, consumer.finish()?)
}

fn by_timer(n: usize, tenths: u64) -> Result<Value> {
    let late = Arc::new(Mutex::new(Late::for_all(n)));
    let (memory_before, cpu_before) = (memory("VmRSS")?, cpu()?);
    let timer = timer::Timer::new();
    let (done, all) = mpsc::channel();
    let start = Instant::now();
    for delay in delays(n, tenths) {
        let (due, late, done) = (Instant::now() + delay, late.clone(), done.clone());
        let note = move || {
            let mut late = late.lock().unwrap();
            late.note(due);
            if late.nanos.len() == n {
                let _ = done.send(());
            }
        };
        timer.schedule_with_delay(chrono::Duration::from_std(delay)?, note).ignore();
    }
    let schedule = start.elapsed();
    all.recv()?;
    let (cpu, memory) = (cpu()? - cpu_before, memory("VmHWM")? - memory_before);
    let late = std::mem::replace(&mut *late.lock().unwrap(), Late { nanos: Vec::new(), early: 0 });
    report(schedule, cpu, memory, late)
}
