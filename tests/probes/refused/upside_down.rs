//! The consumer subscribes to the producer, not the other way round.
fn main() -> anyhow::Result<()> {
    let producer = drawgate::from_iter(0..3_u64).spawn()?;
    let consumer = drawgate::for_each(|n: u64| println!("{n}")).spawn()?;
    producer.subscribe(&consumer)?;
    Ok(())
}
