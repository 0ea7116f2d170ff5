//! Whoever subscribes need not keep the subscription: no warning.
#![deny(warnings)]

fn main() -> anyhow::Result<()> {
    let numbers = drawgate::from_iter(0..3_u64).spawn()?;
    let sum = drawgate::fold(0, |sum, n: u64| *sum += n).spawn()?;
    sum.subscribe(&numbers)?;
    assert_eq!(sum.finish()?, 3);
    Ok(())
}
