//! In a flow, and where a port's own methods take a closure, its argument's type is known.
use drawgate::prelude::*;

struct Trade {
    account: u64,
}

fn main() -> anyhow::Result<()> {
    drawgate::from_iter(["a"]).map(|word| word.len()).for_each(|n| println!("{}", n.count_ones())).run()?;
    drawgate::from_iter(["a"]).to(drawgate::for_each(|word: &str| println!("{}", word.len()))).run()?;
    Port::<Trade>::bounded(4).partition_by(4, |trade| trade.account).spawn()?;
    Port::<Trade>::bounded(4).dispatcher(PartitionDispatcher::by_key(4, |trade: &Trade| trade.account)).spawn()?;
    Ok(())
}
