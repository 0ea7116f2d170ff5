//! A flow runs when it has an end.
fn main() -> anyhow::Result<()> {
    drawgate::from_iter(0..3_u64).map(|n| n + 1).run()?;
    Ok(())
}
