//! Ctrl-C: stop the intake, drain what is inside, report; a second Ctrl-C stops at once. Given a number, it ends by itself
//! after as many events.
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static PARTIAL: AtomicBool = AtomicBool::new(false);

fn main() -> anyhow::Result<()> {
    let events = std::env::args().nth(1).map_or(Ok(u64::MAX), |n| n.parse())?;
    let graph = drawgate::from_iter(0..events)
        .name("numbers")
        .parallel_map(2, u64::count_ones)
        .name("count")
        .fold(0, |sum, ones| *sum += u64::from(ones))
        .name("sum")
        .spawn()?;
    let stopper = graph.stopper();
    ctrlc::set_handler(move || match PARTIAL.swap(true, Relaxed) {
        false => stopper.stop_intake(), // `join` below returns when the rest is through
        true => stopper.stop_now(),
    })?;
    let stages = graph.watch(); // outlives the graph
    let sum: u64 = graph.join()?;
    println!("{sum}{}", if PARTIAL.load(Relaxed) { " (partial)" } else { "" });
    eprint!("{}", stages.snapshot());
    Ok(())
}
