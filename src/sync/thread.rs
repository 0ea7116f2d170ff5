//! Threads: named, with a stack size of choice. Never joined: a stage's end is told by its own record.

use std::io;

/// Starts a named thread.
#[allow(clippy::disallowed_methods, reason = "this is the place that may")]
pub(crate) fn spawn(name: String, stack: Option<usize>, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(bytes) = stack {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(f).map(drop)
}

/// How many threads can run at once; 1 if the system does not say.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

#[allow(clippy::disallowed_methods, reason = "this is the place that may")]
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

pub(crate) fn panicking() -> bool {
    std::thread::panicking()
}
