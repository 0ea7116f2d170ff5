//! What a step holds on to goes to the step's thread.
use std::rc::Rc;

fn main() -> anyhow::Result<()> {
    let one = Rc::new(1);
    drawgate::from_iter(0..3_u64).map(move |n| n + *one).collect().run()?;
    Ok(())
}
