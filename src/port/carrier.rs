//! Carriers: from a crossbeam channel into a port.

use super::handle::Port;
use crate::error::{ExitReason, SpawnError};
use crate::sync::chan::{Receiver, Sender, bounded};
use crate::sync::thread;
use crossbeam_channel::select;

pub(super) fn start<E: Send + 'static>(port: &Port<E>, capacity: usize) -> Result<Sender<E>, SpawnError> {
    let (tx, rx) = bounded(capacity);
    // The port waits for its carriers before it ends. One that is closed gets none: then the channel is disconnected.
    if !port.outlet().announce(false) {
        return Ok(tx);
    }
    let ended = port.monitor();
    let carrier = port.clone();
    let name = port.name().clone();
    thread::spawn(format!("{name}-carrier"), None, move || carry(&carrier, &rx, &ended)).map_err(|cause| {
        port.outlet().recall();
        SpawnError::Thread { stage: name, cause }
    })?;
    Ok(tx)
}

/// Blocks in `recv` until there is an event, all senders are gone, or the port has ended; then in the port's line, as any
/// pusher, but also after a close.
fn carry<E: Send + 'static>(port: &Port<E>, rx: &Receiver<E>, ended: &Receiver<ExitReason>) {
    let outlet = port.outlet();
    loop {
        let event = select! {
            recv(rx) -> event => event,
            recv(ended) -> _ => break,
        };
        let Ok(event) = event else { break };
        if let Err(refused) = port.push_accepted(event) {
            port.depot().lose(vec![refused.into_event()]);
            break;
        }
    }
    // Whatever crossbeam accepted and the port did not.
    port.depot().lose(rx.try_iter().collect());
    outlet.recall();
}
