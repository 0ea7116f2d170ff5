//! Events need not be `Sync`; an error says its kind without the event.
use std::cell::Cell;

fn main() -> anyhow::Result<()> {
    let port = drawgate::Port::<Cell<u64>>::bounded(4).spawn()?;
    port.push(Cell::new(1)).map_err(|refused| refused.kind())?;
    Ok(())
}
