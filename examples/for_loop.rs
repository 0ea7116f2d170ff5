//! A pipeline inside an ordinary `for` loop: other threads do the work, this one keeps the results, and its borrows.
use drawgate::prelude::*;
use std::collections::BTreeMap;

fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

fn main() -> anyhow::Result<()> {
    let mut by_last_digit = BTreeMap::new();
    let mut primes = drawgate::from_iter(1_000_000..) // endless: it is pulled as the loop goes
        .parallel_map(4, |n: u64| is_prime(n).then_some(n))
        .stream()?;
    for n in primes.by_ref().flatten().take(1000) {
        *by_last_digit.entry(n % 10).or_insert(0) += 1; // no lock, no channel: the loop is this thread's
    }
    primes.finish()?; // ends the four threads; an `Err` if one of them failed
    println!("the first thousand primes above a million, by last digit: {by_last_digit:?}");

    // Several producers, each with options of its own.
    let (orders, ticks) = (Port::bounded(100).spawn()?, Port::bounded(100).spawn()?);
    let events = drawgate::stream().subscribe_to(&orders).subscribe_to_with(&ticks, Subscribe::new().max_demand(1));
    let mut events = events.open()?;
    orders.push("order 1")?;
    ticks.push("tick")?;
    for event in events.by_ref().take(2) {
        println!("{event}");
    }
    drop(events); // cancels; the ports go on
    orders.push("order 2")?;
    orders.close();
    assert_eq!(orders.stream()?.collect::<Vec<_>>(), ["order 2"]);
    Ok(())
}
