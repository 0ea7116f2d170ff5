//! T9: a call to a stage that is awake, and its answer.

use super::measure::{Epoch, Latency, Reach, Row, in_turn};
use super::{Result, Scale};
use crossbeam_channel::bounded;
use std::thread;

pub(crate) fn round_trip(scale: Scale) -> Result<Vec<Row>> {
    let calls = scale.of(100_000);
    let rounds = in_turn(scale, || ours(calls), || by_hand(calls))?;
    let case = "`call`, hot; two `bounded(1)` hops";
    Ok(Latency::rows("T9", case, &rounds, Reach::AtMost(1.5), Reach::Shown))
}

fn ours(calls: u64) -> Result<Latency> {
    let port = drawgate::Port::<u64>::bounded(1).spawn()?;
    let stage = drawgate::fold(0u64, |sum, n| *sum += n).subscribe_to(&port).spawn()?;
    let epoch = Epoch::now();
    let mut took = Vec::new();
    for _ in 0..calls {
        let from = epoch.nanos();
        stage.call(|sum, _| {
            *sum += 1;
            *sum
        })?;
        took.push(epoch.nanos() - from);
    }
    port.close();
    assert_eq!(stage.finish()?, calls);
    Latency::of(took)
}

fn by_hand(calls: u64) -> Result<Latency> {
    let (ask, asked) = bounded::<u64>(1);
    let (answer, answered) = bounded(1);
    let stage = thread::spawn(move || {
        let mut sum = 0;
        for n in asked {
            sum += n;
            answer.send(sum).unwrap();
        }
        sum
    });
    let epoch = Epoch::now();
    let mut took = Vec::new();
    for _ in 0..calls {
        let from = epoch.nanos();
        ask.send(1)?;
        answered.recv()?;
        took.push(epoch.nanos() - from);
    }
    drop(ask);
    assert_eq!(stage.join().unwrap(), calls);
    Latency::of(took)
}
