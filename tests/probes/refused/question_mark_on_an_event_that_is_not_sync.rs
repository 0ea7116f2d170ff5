//! `?` turns an error into `anyhow`'s, which must be `Sync`, and with it the event inside: see `accepted`.
use std::cell::Cell;

fn main() -> anyhow::Result<()> {
    let port = drawgate::Port::<Cell<u64>>::bounded(4).spawn()?;
    port.push(Cell::new(1))?;
    Ok(())
}
