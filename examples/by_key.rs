//! Fan out by key to four workers, each key in order.
use drawgate::prelude::*;
use std::collections::HashMap;

struct Trade {
    account: u64,
    amount: i64,
}

#[derive(Default)]
struct Worker {
    balance: HashMap<u64, i64>,
}
impl Consumer for Worker {
    type Event = Trade;
    fn handle_events(&mut self, trades: Events<'_, Trade>, _: &mut Context<'_>) -> anyhow::Result<()> {
        for t in trades {
            *self.balance.entry(t.account).or_default() += t.amount;
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let trades = drawgate::Port::bounded(1024).partition_by(4, |t: &Trade| t.account).spawn()?;
    let mut workers = Vec::new();
    for i in 0..4 {
        let worker = drawgate::consumer(Worker::default()).name(format!("worker-{i}"));
        workers.push(worker.subscribe_to_with(&trades, Subscribe::new().partition(i)).spawn()?);
    }
    for n in 0..10_000 {
        trades.push(Trade { account: n % 97, amount: 1 }).map_err(|e| e.kind())?;
    }
    trades.close();
    let mut all = HashMap::new();
    for worker in workers {
        all.extend(worker.finish()?.balance); // the state comes back
    }
    println!("{} accounts", all.len());
    Ok(())
}
