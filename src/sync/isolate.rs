//! The one place where panics of user code are caught.
//!
//! Guarantees: a panic becomes an `Err` with its message and goes no further. Under loom nothing is caught, since an
//! assertion of a model that fails inside would leave the model green.
//!
//! `guarded` is for user code that runs while a lock is held (selectors, `Clone`, custom dispatchers): it also notes
//! that, so that such code coming back for the same lock is a panic with a message and not a deadlock.

use super::Arc;
use std::cell::Cell;

thread_local! { static IN_GUARDED: Cell<bool> = const { Cell::new(false) }; }

/// Runs user code; a panic is an `Err` with its message.
#[cfg(not(all(test, drawgate_loom)))]
pub(crate) fn isolate<R>(f: impl FnOnce() -> R) -> Result<R, Arc<str>> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).map_err(|payload| {
        let message = message_of(&*payload);
        // A payload whose own `Drop` panics would otherwise unwind through the caller.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(payload)));
        message
    })
}
#[cfg(all(test, drawgate_loom))]
pub(crate) fn isolate<R>(f: impl FnOnce() -> R) -> Result<R, Arc<str>> {
    Ok(f())
}

/// Drops things of the user's one by one, so that a `Drop` that panics keeps nobody from going on: neither the caller nor
/// the other things, of which a second such panic would abort the process. Returns the first message.
pub(crate) fn drop_each<T>(things: impl IntoIterator<Item = T>) -> Result<(), Arc<str>> {
    things.into_iter().map(|thing| isolate(|| drop(thing))).fold(Ok(()), Result::and)
}

#[cfg(not(all(test, drawgate_loom)))]
fn message_of(payload: &(dyn std::any::Any + Send)) -> Arc<str> {
    if let Some(s) = payload.downcast_ref::<&'static str>() {
        Arc::from(*s)
    } else if let Some(s) = payload.downcast_ref::<String>() {
        Arc::from(s.as_str())
    } else {
        Arc::from("a panic whose payload is not text")
    }
}

/// Runs user code that is called under a lock.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> Result<R, Arc<str>> {
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            IN_GUARDED.set(self.0);
        }
    }
    let reset = Reset(IN_GUARDED.replace(true));
    let r = isolate(f);
    drop(reset);
    r
}

/// Called by a lock that is not free at once, or out of order, and by whatever waits for another stage, which may need the
/// lock that guarded code runs under.
pub(crate) fn not_from_guarded_code() {
    if IN_GUARDED.try_with(Cell::get).unwrap_or(false) {
        panic!("a selector, `Clone` or dispatcher called a stage, and must not: it runs under the lock of its own");
    }
}
