//! Three counting stages: as a flow, and by hand as in GenStage.
use drawgate::prelude::*;

struct Counter(u64);
impl Producer for Counter {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, out: &mut Context<'_, u64>) -> anyhow::Result<()> {
        out.extend((self.0..).take(demand));
        self.0 += demand as u64;
        if self.0 > 1_000_000 {
            out.done();
        }
        Ok(())
    }
}

fn flow() -> anyhow::Result<()> {
    let sum = drawgate::from_iter(0..1_000_000u64).hop().map(|n| n * 2).hop().fold(0, |sum, n| *sum += n).run()?;
    assert_eq!(sum, 999_999_000_000);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    flow()?;
    let a = drawgate::producer(Counter(0)).spawn()?;
    let b = drawgate::map(|n: u64| n * 2).spawn()?;
    let c = drawgate::fold(0u64, |sum, n: u64| *sum += n).spawn()?;
    c.subscribe(&b)?; // from the bottom up
    b.subscribe_with(&a, Subscribe::new().max_demand(100))?;
    println!("{}", c.finish()?); // ends because `a` is done, and gives the sum back
    Ok(())
}
