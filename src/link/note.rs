//! Notifications: words that travel among the events without being any.

use crate::sync::Arc;
use std::{any::Any, fmt};

/// A word to every consumer of a stage, handled by `handle_notification` after exactly the events that stood before it.
///
/// It needs no demand. At most 1024 wait in one place; beyond that the oldest is dropped and counted.
#[derive(Clone)]
#[non_exhaustive]
pub enum Notification {
    /// A unit of work is complete; what follows belongs to the next.
    Done,
    /// The producer pauses.
    Halted,
    /// Anything of yours.
    Custom(Arc<dyn Any + Send + Sync>),
}

impl Notification {
    /// A value of yours as a notification.
    ///
    /// ```
    /// let note = drawgate::stage::Notification::custom(7_u8);
    /// assert_eq!(note.get::<u8>(), Some(&7));
    /// ```
    pub fn custom(value: impl Any + Send + Sync) -> Self {
        Self::Custom(Arc::new(value))
    }

    /// The value of a custom one, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        match self {
            Self::Custom(value) => value.downcast_ref(),
            Self::Done | Self::Halted => None,
        }
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Halted => "Halted",
            Self::Custom(_) => "Custom(..)",
        })
    }
}
