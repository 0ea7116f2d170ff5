//! Notifications: words that travel among the events without being any.

use crate::sync::Arc;
use std::{any::Any, fmt};

/// A word to every consumer of a stage, handled by `handle_notification` after exactly the events that stood before it.
///
/// It needs no demand. At most 1024 wait in one place; beyond that the oldest is dropped and counted.
///
/// ```
/// use drawgate::{prelude::*, stage::Notification};
///
/// #[derive(Default)]
/// struct Days(Vec<u32>, u32);
/// impl Consumer for Days {
///     type Event = u32;
///     fn handle_events(&mut self, events: Events<'_, u32>, _: &mut Context<'_>) -> anyhow::Result<()> {
///         self.1 += events.sum::<u32>();
///         Ok(())
///     }
///     fn handle_notification(&mut self, note: &Notification, _: &mut Context<'_>) -> anyhow::Result<()> {
///         if let Notification::Done = note {
///             self.0.push(std::mem::take(&mut self.1));
///         }
///         Ok(())
///     }
/// }
///
/// let orders = drawgate::map(|n: u32| n).spawn()?;
/// let days = drawgate::consumer(Days::default()).subscribe_to(&orders).spawn()?;
/// orders.call(|_, ctx| {
///     ctx.extend([1, 2]);
///     ctx.notify(&Notification::Done); // the day is over
///     ctx.extend([3, 4]);
///     ctx.notify(&Notification::Done);
/// })?;
/// orders.request_stop(ExitReason::Normal);
/// assert_eq!(days.finish()?.0, [3, 7]);
/// # anyhow::Ok(())
/// ```
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
