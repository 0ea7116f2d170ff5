//! A dispatcher's closure says what it takes, or it is given to `partition_by`: see `accepted`.
use drawgate::prelude::*;

struct Trade {
    account: u64,
}

fn main() -> anyhow::Result<()> {
    Port::<Trade>::bounded(4).dispatcher(PartitionDispatcher::by_key(4, |trade| trade.account)).spawn()?;
    Ok(())
}
