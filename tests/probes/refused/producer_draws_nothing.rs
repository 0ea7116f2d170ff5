//! A producer draws from nobody.
fn main() -> anyhow::Result<()> {
    let first = drawgate::from_iter(0..3_u64).spawn()?;
    let second = drawgate::from_iter(0..3_u64).spawn()?;
    second.subscribe(&first)?;
    Ok(())
}
