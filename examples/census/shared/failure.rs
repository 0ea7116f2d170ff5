//! What went wrong with one path; and the place where it is told, once, and counted.

use std::{
    collections::HashSet,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A file or directory that could not be read, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    path: PathBuf,
    cause: io::Error,
}

impl Failure {
    pub(crate) fn new(path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Self { path: path.into(), cause }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Shown(&self.path), self.cause)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A path for people: one line, and no control character of it reaches the terminal.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

/// Tells failures as they come, and remembers eight bytes of each, since the second walk meets what the first one met.
///
/// A cheap clone; any thread may tell.
#[derive(Clone)]
pub(crate) struct Failures {
    told: Arc<Mutex<HashSet<u64>>>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Failures {
    /// `tell` gets one line for each failure.
    pub(crate) fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { told: Arc::default(), tell: Arc::new(tell) }
    }

    pub(crate) fn tell(&self, failure: &dyn fmt::Display) {
        let line = failure.to_string();
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        // A thread that panicked in here has left the set as it was, or with one more entry: both are sound.
        let new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(hasher.finish());
        if new {
            (self.tell)(&line);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}
