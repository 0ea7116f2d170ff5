//! A port takes a typed name only if that is a name for its own type of event.
use drawgate::prelude::*;

static NUMBERS: PortName<u64> = PortName::new("numbers");

fn main() -> anyhow::Result<()> {
    Port::<String>::bounded(4).name(NUMBERS).spawn()?;
    Ok(())
}
