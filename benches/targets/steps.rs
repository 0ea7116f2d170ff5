//! What each step of a flow costs an event: five of one kind, fused, against the same flow without; and a hop, which is
//! where the user writes one. In time that threads were busy, since that is what is paid; a hop also spreads it over cores.

use super::measure::{Reach, Rounds, Row, in_turn};
use super::{Result, Scale};
use drawgate::flow::Runnable;
use std::hint::black_box;
use std::time::Duration;

const EVENTS: u64 = 20_000_000;

/// Nanoseconds an event that the stages below the source were busy, all together.
fn time<A: Send + 'static>(events: u64, flow: Runnable<A>) -> Result<f64> {
    let graph = flow.spawn()?;
    let watch = graph.watch();
    black_box(graph.join()?);
    let busy: Duration = watch.snapshot().stages().iter().skip(1).map(|stage| stage.busy).sum();
    Ok(busy.as_nanos() as f64 / events as f64)
}

pub(crate) fn prices(scale: Scale) -> Result<Vec<Row>> {
    let n = scale.of(EVENTS);
    // Made on the thread of the steps, out of few: to get each from another thread would drown what is measured.
    let numbers = move || drawgate::from_iter(0..n / 1000).hop().flat_map(|i| i * 1000..(i + 1) * 1000);
    let plain = move || time(n, numbers().fold(0, |sum, n| *sum += black_box(n)));
    let mut rows = Vec::new();
    let mut row = |what: &str, times: f64, rounds: Rounds<f64>| {
        let differences: Vec<f64> =
            rounds.ours.iter().zip(&rounds.baseline).map(|(with, without)| (with - without) / times).collect();
        rows.push(Row::alone("steps", format!("one {what}"), "ns an event", &differences, Reach::Shown));
    };
    macro_rules! five {
        ($what:literal, $step:ident($($arg:expr),*)) => {
            let with = || numbers().$step($($arg),*).$step($($arg),*).$step($($arg),*).$step($($arg),*).$step($($arg),*);
            let rounds = in_turn(scale, || time(n, with().fold(0, |sum, n| *sum += black_box(n))), plain)?;
            row($what, 5.0, rounds);
        };
    }
    five!("map", map(|n| black_box(n) + 1));
    five!("try_map", try_map(|n| anyhow::Ok(black_box(n) + 1)));
    five!("filter", filter(|n| black_box(*n) != u64::MAX));
    five!("flat_map, into one", flat_map(|n| [black_box(n)]));
    five!("inspect", inspect(|n| _ = black_box(*n)));
    five!("take, of more than there is", take(usize::MAX));
    five!("hop, default demand", hop());

    let sum_all = |sum: &mut u64, chunk: Vec<u64>| *sum += chunk.into_iter().map(black_box).sum::<u64>();
    let chunks = in_turn(scale, || time(n, numbers().chunks(100).fold(0, sum_all)), plain)?;
    row("chunks of 100", 1.0, chunks);
    let within =
        in_turn(scale, || time(n, numbers().chunks_within(100, Duration::from_secs(1)).fold(0, sum_all)), plain)?;
    row("chunks of 100 within a second", 1.0, within);
    Ok(rows)
}
