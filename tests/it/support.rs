//! What tests share: a watchdog, a producer that counts, a consumer that tells.

use drawgate::prelude::*;
use std::sync::mpsc;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test on a thread of its own: a hang is a failure with a name, not a stuck build.
#[track_caller]
pub fn watchdog<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
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
pub struct Counting {
    pub next: u64,
    pub demands: mpsc::Sender<usize>,
}

impl Counting {
    pub fn new() -> (Self, mpsc::Receiver<usize>) {
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
