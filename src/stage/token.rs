//! Says that a stage is being stopped, to code that blocks somewhere the stage cannot see.

use crate::sync::chan::{Receiver, Sender, bounded};
use crate::sync::{Arc, Mutex, Rank, isolate};
use std::fmt;

/// Says that a stage is being stopped, to code of yours that blocks elsewhere: on a socket, in a `recv`.
///
/// A cheap clone. Set when the stage is stopped, told to take in nothing more, or has ended.
///
/// ```
/// use std::sync::mpsc;
///
/// let (send, lines) = mpsc::channel();
/// let wake = send.clone();
/// let source = drawgate::source(move |out| {
///     out.stop_token().on_stop(move || {
///         let _ = wake.send(None); // a socket would be shut down
///     });
///     while let Some(line) = lines.recv()? { // blocks, and knows nothing of the stage
///         out.emit(line)?;
///     }
///     Ok(())
/// });
/// let (tell, told) = mpsc::channel();
/// let graph = source.try_for_each(move |line: &str| Ok(tell.send(line)?)).spawn()?;
/// send.send(Some("a line"))?;
/// assert_eq!(told.recv()?, "a line");
/// graph.stopper().stop_intake(); // the source may be in `recv` now, and is woken
/// graph.join()?;
/// assert!(send.send(Some("late")).is_err()); // it has returned
/// # anyhow::Ok(())
/// ```
#[derive(Clone)]
pub struct StopToken(Arc<Inner>);

struct Inner {
    /// Rank `Latch`, a leaf.
    state: Mutex<State>,
    never: Receiver<()>,
}

struct State {
    stopping: bool,
    hooks: Vec<Box<dyn FnOnce() + Send>>,
    /// Dropped on a stop, which is what `channel` hears.
    open: Option<Sender<()>>,
}

impl StopToken {
    pub(crate) fn new() -> Self {
        let (open, never) = bounded(0);
        let state = State { stopping: false, hooks: Vec::new(), open: Some(open) };
        Self(Arc::new(Inner { state: Mutex::new(Rank::Latch, state), never }))
    }

    pub(crate) fn stop(&self) {
        let mut state = self.0.state.lock();
        state.stopping = true;
        let open = state.open.take();
        let hooks = std::mem::take(&mut state.hooks);
        drop(state);
        drop(open);
        for hook in hooks {
            let _ = isolate(hook);
        }
    }

    /// Whether the stop has come.
    pub fn is_stopping(&self) -> bool {
        self.0.state.lock().stopping
    }

    /// Runs `f` once when the stop comes, on the thread that asks for it; at once if it has come. It should wake what
    /// blocks and return: shut the socket down, connect to the listener. A panic in it is dropped.
    pub fn on_stop(&self, f: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state.lock();
        if state.stopping {
            drop(state);
            f();
        } else {
            state.hooks.push(Box::new(f));
        }
    }

    /// A channel that is disconnected by the stop, for `select!`. Nothing is ever sent on it.
    pub fn channel(&self) -> crossbeam_channel::Receiver<()> {
        self.0.never.clone()
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopToken").field("is_stopping", &self.is_stopping()).finish()
    }
}
