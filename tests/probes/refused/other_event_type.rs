//! A consumer draws from what emits its own type of event.
fn main() -> anyhow::Result<()> {
    let port = drawgate::Port::<String>::bounded(4).spawn()?;
    drawgate::for_each(|n: u64| println!("{n}")).subscribe_to(&port).spawn()?;
    Ok(())
}
