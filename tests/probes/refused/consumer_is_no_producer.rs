//! Nobody can draw from a consumer.
fn main() -> anyhow::Result<()> {
    let first = drawgate::for_each(|n: u64| println!("{n}")).spawn()?;
    let second = drawgate::for_each(|n: u64| println!("{n}")).spawn()?;
    second.subscribe(&first)?;
    Ok(())
}
