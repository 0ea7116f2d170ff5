//! A stage's closure says what it takes: the compiler does not learn it from the flow that the stage is put into.
fn main() -> anyhow::Result<()> {
    drawgate::from_iter(["a"]).to(drawgate::for_each(|word| println!("{}", word.len()))).run()?;
    Ok(())
}
