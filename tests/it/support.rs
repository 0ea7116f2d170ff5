//! What tests share: a watchdog, a producer that counts, a consumer that tells.

use drawgate::prelude::*;
use std::sync::mpsc;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test on a thread of its own: a hang is a failure with a name, not a stuck build.
#[track_caller]
pub(crate) fn watchdog<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let r = f();
        let _ = done.send(());
        r
    });
    match told.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs: not done within {LIMIT:?}"),
        _ => match thread.join() {
            Ok(r) => r,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Answers a demand of n with the next n integers, at once, and tells each demand.
pub(crate) struct Counting {
    pub(crate) next: u64,
    pub(crate) demands: mpsc::Sender<usize>,
}

impl Counting {
    pub(crate) fn new() -> (Self, mpsc::Receiver<usize>) {
        let (demands, told) = mpsc::channel();
        (Self { next: 0, demands }, told)
    }
}

impl Producer for Counting {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, ctx: &mut Context<'_, u64>) -> anyhow::Result<()> {
        let _ = self.demands.send(demand);
        ctx.extend(self.next..self.next + demand as u64);
        self.next += demand as u64;
        Ok(())
    }
}

/// Tells each demand, and answers none.
pub(crate) struct Quiet(mpsc::Sender<usize>);

impl Quiet {
    pub(crate) fn new() -> (Self, mpsc::Receiver<usize>) {
        let (demands, told) = mpsc::channel();
        (Self(demands), told)
    }
}

impl Producer for Quiet {
    type Event = u64;
    fn handle_demand(&mut self, demand: usize, _: &mut Context<'_, u64>) -> anyhow::Result<()> {
        let _ = self.0.send(demand);
        Ok(())
    }
}

/// Tells each slice; behind a gate, waits after each for a permit. Stops when nobody listens any more.
pub(crate) struct Telling<E> {
    slices: mpsc::Sender<Vec<E>>,
    gate: Option<mpsc::Receiver<()>>,
}

impl<E> Telling<E> {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<E>>) {
        let (slices, told) = mpsc::channel();
        (Self { slices, gate: None }, told)
    }

    /// With its gate, which dropping opens for good.
    pub(crate) fn gated() -> (Self, mpsc::Receiver<Vec<E>>, mpsc::Sender<()>) {
        let ((slices, told), (go, gate)) = (mpsc::channel(), mpsc::channel());
        (Self { slices, gate: Some(gate) }, told, go)
    }
}

impl<E: Send + 'static> Consumer for Telling<E> {
    type Event = E;
    fn handle_events(&mut self, events: Events<'_, E>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        if self.slices.send(events.into_vec()).is_err() {
            ctx.stop(ExitReason::Normal);
        }
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        Ok(())
    }
}

/// Looks until it is so, without sleeping: for what other threads bring about and no call waits for. Inside a watchdog.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}
