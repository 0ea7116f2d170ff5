//! A consumer's callback cannot emit.
use drawgate::prelude::*;

struct Echo;
impl Consumer for Echo {
    type Event = u64;
    fn handle_events(&mut self, events: Events<'_, u64>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        ctx.extend(events);
        Ok(())
    }
}

fn main() {}
