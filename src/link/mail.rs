//! The mailbox: what other threads want a stage's thread to do.
//!
//! Mail is a closure to run on the stage: a call, a subscription change, a stop. Never events, never notifications.
//!
//! # Why no call hangs in a dead mailbox
//! Taking the last mail and closing are one critical section: a letter is either among the last, and is dropped there
//! (which its sender hears), or it is refused. Model: `loom_tests::mail`.

use crate::sync::{Arc, Latch, Mutex, Rank, atomic::AtomicBool, atomic::Ordering::*};

/// Mail of a stage that is run with a `M`.
pub(crate) struct Mailbox<M> {
    latch: Arc<Latch>,
    /// Rank `Latch`: letters in order of arrival; `None` once closed.
    letters: Mutex<Option<Vec<M>>>,
    waiting: AtomicBool,
}

impl<M> Mailbox<M> {
    pub(crate) fn new(latch: Arc<Latch>) -> Self {
        Self { latch, letters: Mutex::new(Rank::Latch, Some(Vec::new())), waiting: AtomicBool::new(false) }
    }

    pub(crate) fn latch(&self) -> &Arc<Latch> {
        &self.latch
    }

    /// Leaves a letter and wakes the stage; gives it back if the mailbox is closed.
    pub(crate) fn post(&self, letter: M) -> Result<(), M> {
        let mut letters = self.letters.lock();
        match &mut *letters {
            None => return Err(letter),
            Some(letters) => letters.push(letter),
        }
        // ORDERING: Relaxed: the wake below releases it, and the owner looks after the clear that acquires that wake.
        self.waiting.store(true, Relaxed);
        drop(letters);
        self.latch.wake();
        Ok(())
    }

    /// Makes the stage look at its orders, as if there were mail.
    pub(crate) fn nudge(&self) {
        // ORDERING: Relaxed: see `post`.
        self.waiting.store(true, Relaxed);
        self.latch.wake();
    }

    /// Whether there is mail. Only after `Latch::clear` is a no final.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        // ORDERING: Relaxed: see `post`.
        self.waiting.load(Relaxed)
    }

    pub(crate) fn take(&self) -> Vec<M> {
        let mut letters = self.letters.lock();
        // ORDERING: Relaxed: under the lock, as the store in `post`.
        self.waiting.store(false, Relaxed);
        letters.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes the last mail; nothing is accepted from now on.
    pub(crate) fn close(&self) -> Vec<M> {
        self.letters.lock().take().unwrap_or_default()
    }
}
