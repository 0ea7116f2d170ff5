//! Ctrl-C: the first one stops the intake, so that what is in flight is still counted; the second one ends at once.

use drawgate::flow::Stopper;
use std::{
    process,
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    came: bool,
    running: Option<Stopper>,
}

impl Interrupt {
    /// From now on a Ctrl-C stops the intake of the graph that runs. `stopped` is called once that is done.
    pub(crate) fn listen(stopped: impl Fn() + Send + 'static) -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        ctrlc::set_handler(move || {
            if handler.came() {
                // Not by `stop_now`: it would wait for a read that hangs.
                process::exit(130);
            }
            handler.first();
            stopped();
        })?;
        Ok(interrupt)
    }

    pub(crate) fn came(&self) -> bool {
        self.with(|state| state.came)
    }

    /// The graph that runs now is the one to stop.
    pub(crate) fn stops(&self, graph: Stopper) {
        self.with(|state| {
            if state.came {
                graph.stop_intake();
            }
            state.running = Some(graph);
        });
    }

    fn first(&self) {
        self.with(|state| {
            state.came = true;
            if let Some(graph) = &state.running {
                graph.stop_intake();
            }
        });
    }

    /// Nothing that runs in here panics or blocks, so a poisoned lock would still guard a sound state.
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
