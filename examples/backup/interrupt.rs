//! Ctrl-C: the first one lets the copies that run end; the second one ends at once, which is as safe as `kill -9` is.

use std::{
    process,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel},
    time::Duration,
};

/// Nothing is ever sent: the first Ctrl-C drops the sender.
pub(crate) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// `came` is called at the first one.
    pub(crate) fn listen(came: impl Fn() + Send + 'static) -> Result<Self, ctrlc::Error> {
        let (sender, receiver) = channel();
        let mut sender = Some(sender);
        ctrlc::set_handler(move || match sender.take() {
            Some(_) => came(),
            None => process::exit(130),
        })?;
        Ok(Self(receiver))
    }

    pub(crate) fn came(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits for one. Returns whether it came.
    pub(crate) fn comes_within(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}
