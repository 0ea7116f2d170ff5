//! By a typed name goes only its own type of event.
use drawgate::prelude::*;

static NUMBERS: PortName<u64> = PortName::new("numbers");

fn main() -> anyhow::Result<()> {
    NUMBERS.push("one")?;
    Ok(())
}
