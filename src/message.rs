//! Data with metadata: an event like any other.

use std::any::{Any, TypeId};
use std::fmt;

/// Data with metadata and a count of attempts: `Port<Message<T>>` is how metadata travels with a push.
///
/// ```
/// use drawgate::Message;
/// struct From(&'static str);
///
/// let message = Message::new(7).with(From("till"));
/// assert_eq!((message.data, message.attempt()), (7, 1));
/// assert_eq!(message.meta.get::<From>().map(|from| from.0), Some("till"));
/// assert_eq!(message.next_attempt().attempt(), 2);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Message<T> {
    /// What it is about.
    pub data: T,
    /// What else is known.
    pub meta: Metadata,
    attempt: u32,
}

impl<T> Message<T> {
    /// Without metadata, at its first attempt.
    pub fn new(data: T) -> Self {
        Self { data, meta: Metadata::default(), attempt: 1 }
    }
    /// Attaches a value, to be found again by its type; one of the same type is replaced.
    pub fn with<M: Send + Sync + 'static>(mut self, meta: M) -> Self {
        self.meta.insert(meta);
        self
    }
    /// 1 at first; raised by each [`next_attempt`](Self::next_attempt).
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
    /// For a retry: the same, one attempt later.
    pub fn next_attempt(mut self) -> Self {
        self.attempt = self.attempt.saturating_add(1);
        self
    }
    /// The same metadata with other data.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Message<U> {
        Message { data: f(self.data), meta: self.meta, attempt: self.attempt }
    }
}
impl<T> From<T> for Message<T> {
    fn from(data: T) -> Self {
        Self::new(data)
    }
}

/// A small map by type. Empty it is one word and allocates nothing.
///
/// ```
/// let mut meta = drawgate::message::Metadata::default();
/// assert_eq!(meta.insert(1_u8), None);
/// assert_eq!(meta.insert(2_u8), Some(1));
/// assert_eq!((meta.get::<u8>(), meta.get::<u16>()), (Some(&2), None));
/// assert_eq!(std::mem::size_of_val(&meta), std::mem::size_of::<usize>());
/// ```
#[derive(Default)]
#[allow(clippy::box_collection, reason = "one word while it is empty, as nearly all are")]
pub struct Metadata(Option<Box<Vec<(TypeId, Value)>>>);
type Value = Box<dyn Any + Send + Sync>;

impl Metadata {
    /// The value of this type.
    pub fn get<M: 'static>(&self) -> Option<&M> {
        let (_, value) = self.0.as_ref()?.iter().find(|(id, _)| *id == TypeId::of::<M>())?;
        value.downcast_ref()
    }
    /// Puts a value in; gives back the one of the same type that it replaces.
    pub fn insert<M: Send + Sync + 'static>(&mut self, value: M) -> Option<M> {
        let values = self.0.get_or_insert_with(Box::default);
        let value: Value = Box::new(value);
        match values.iter_mut().find(|(id, _)| *id == TypeId::of::<M>()) {
            Some((_, old)) => std::mem::replace(old, value).downcast().ok().map(|old| *old),
            None => {
                values.push((TypeId::of::<M>(), value));
                None
            }
        }
    }
    /// Takes a value out.
    pub fn remove<M: 'static>(&mut self) -> Option<M> {
        let values = self.0.as_mut()?;
        let at = values.iter().position(|(id, _)| *id == TypeId::of::<M>())?;
        values.swap_remove(at).1.downcast().ok().map(|value| *value)
    }
}
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} values)", self.0.as_ref().map_or(0, |values| values.len()))
    }
}
