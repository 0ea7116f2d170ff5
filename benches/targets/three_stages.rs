//! T1 to T4 and T14: count, double, sum, each in a thread of its own.

use super::measure::{Reach, Rounds, Row, child as process, in_turn, rate};
use super::{Result, Scale};
use crossbeam_channel::bounded;
use drawgate::prelude::*;
use serde_json::{Value, json};
use std::thread;
use std::time::Instant;

struct Case {
    id: &'static str,
    max: usize,
    min: usize,
    events: u64,
    by_hand: fn(u64) -> f64,
    what: &'static str,
    reach: f64,
}

const CASES: [Case; 4] = [
    Case {
        id: "T1",
        max: 1000,
        min: 500,
        events: 20_000_000,
        by_hand: |events| by_hand(events, 500, 2),
        what: "`Vec` of 500, `bounded(2)`",
        reach: 1.3,
    },
    Case {
        id: "T2",
        max: 8000,
        min: 7500,
        events: 60_000_000,
        by_hand: |events| by_hand(events, 500, 16),
        what: "`Vec` of 500, `bounded(16)`",
        reach: 0.9,
    },
    Case {
        id: "T3",
        max: 10,
        min: 5,
        events: 600_000,
        by_hand: |events| by_hand(events, 5, 2),
        what: "`Vec` of 5, `bounded(2)`",
        reach: 1.5,
    },
    Case {
        id: "T4",
        max: 1,
        min: 0,
        events: 100_000,
        by_hand: by_hand_with_tokens,
        what: "`bounded(1)`, a token up, an event down",
        reach: 1.8,
    },
];

fn case(id: &str) -> Result<&'static Case> {
    Ok(CASES.iter().find(|case| case.id == id).ok_or("no such case")?)
}

pub(crate) fn target(id: &'static str, scale: Scale) -> Result<Vec<Row>> {
    let case = case(id)?;
    let rounds = run(case, scale)?;
    let what = format!("three stages, {}/{}; {}", case.max, case.min, case.what);
    Ok(vec![Row::ratio(id, what, "Mev/s", &rounds, Reach::AtLeast(case.reach))])
}

fn run(case: &Case, scale: Scale) -> Result<Rounds<f64>> {
    let events = scale.of(case.events);
    in_turn(scale, || ours(events, case.max, case.min), || Ok((case.by_hand)(events)))
}

/// T14: each of them on one core, by hand too.
pub(crate) fn one_core(scale: Scale) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in &CASES {
        let printed = process(
            true,
            &["three-stages", case.id, &scale.rounds.to_string(), if scale.quick { "quick" } else { "" }],
        )?;
        let rounds = Rounds {
            ours: serde_json::from_value(printed["ours"].clone())?,
            baseline: serde_json::from_value(printed["baseline"].clone())?,
        };
        let what = format!("{} on one core", case.id);
        rows.push(Row::ratio("T14", what, "Mev/s", &rounds, Reach::AtLeast(1.0)));
    }
    Ok(rows)
}

pub(crate) fn child(args: &[String]) -> Result<Value> {
    let [id, rounds, quick] = args else { return Err("which case?".into()) };
    let rounds = run(case(id)?, Scale { rounds: rounds.parse()?, quick: quick == "quick" })?;
    Ok(json!({ "ours": rounds.ours, "baseline": rounds.baseline }))
}

/// Emits the numbers below `end`, as many as are asked for.
struct Count {
    next: u64,
    end: u64,
}

impl Producer for Count {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        let until = self.end.min(self.next + demand as u64);
        ctx.extend(self.next..until);
        self.next = until;
        if until == self.end {
            ctx.done();
        }
        Ok(())
    }
}

fn ours(events: u64, max: usize, min: usize) -> Result<f64> {
    let demand = || Subscribe::new().max_demand(max).min_demand(min);
    let start = Instant::now();
    let count = drawgate::producer(Count { next: 0, end: events }).spawn()?;
    let double = drawgate::map(|n: u64| n * 2).subscribe_to_with(&count, demand()).spawn()?;
    let add = |sum: &mut u64, n: u64| *sum = sum.wrapping_add(n);
    let sum = drawgate::fold(0, add).subscribe_to_with(&double, demand()).spawn()?;
    let sum = sum.finish()?;
    let rate = rate(events, start);
    assert_eq!(sum, events * (events - 1));
    count.join()?;
    double.join()?;
    Ok(rate)
}

fn by_hand(events: u64, batch: u64, capacity: usize) -> f64 {
    let (to_double, counted) = bounded::<Vec<u64>>(capacity);
    let (to_sum, doubled) = bounded::<Vec<u64>>(capacity);
    let start = Instant::now();
    let count = thread::spawn(move || {
        let mut next = 0;
        while next < events {
            let until = events.min(next + batch);
            to_double.send((next..until).collect()).unwrap();
            next = until;
        }
    });
    let double = thread::spawn(move || {
        for mut batch in counted {
            batch.iter_mut().for_each(|n| *n *= 2);
            to_sum.send(batch).unwrap();
        }
    });
    let mut sum = 0u64;
    for batch in doubled {
        for n in batch {
            sum = sum.wrapping_add(n);
        }
    }
    let rate = rate(events, start);
    assert_eq!(sum, events * (events - 1));
    count.join().unwrap();
    double.join().unwrap();
    rate
}

/// An event goes down when a token for it has come up, hop by hop.
fn by_hand_with_tokens(events: u64) -> f64 {
    let (to_double, counted) = bounded::<u64>(1);
    let (to_sum, doubled) = bounded::<u64>(1);
    let (ask_count, asked_count) = bounded::<()>(1);
    let (ask_double, asked_double) = bounded::<()>(1);
    let start = Instant::now();
    let count = thread::spawn(move || {
        for n in 0..events {
            asked_count.recv().unwrap();
            to_double.send(n).unwrap();
        }
    });
    let double = thread::spawn(move || {
        for _ in 0..events {
            ask_count.send(()).unwrap();
            let n = counted.recv().unwrap();
            asked_double.recv().unwrap();
            to_sum.send(n * 2).unwrap();
        }
    });
    let mut sum = 0u64;
    for _ in 0..events {
        ask_double.send(()).unwrap();
        sum = sum.wrapping_add(doubled.recv().unwrap());
    }
    let rate = rate(events, start);
    assert_eq!(sum, events * (events - 1));
    count.join().unwrap();
    double.join().unwrap();
    rate
}
