//! A lane a partition: a key or a hash says which.

use super::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, Route, Router, SubId};
use crate::Name;
use crate::error::{BadOption, SubscribeError};
use crate::stage::Subscribe;
use crate::sync::Arc;
use std::hash::{BuildHasher, Hash};

/// Sends each event to the partition that its key names. A consumer draws one partition, said when it subscribes
/// ([`Subscribe::partition`], [`Subscribe::partition_named`]).
///
/// Events of a partition are handled in order. A partition without a consumer keeps its events for the next one, up to
/// its bound, and so does one whose consumer left. A backed-up partition does not stop the others below its bound.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::bounded(8).dispatcher(PartitionDispatcher::by_index(2, |n: &u32| Some(*n as usize % 2))).spawn()?;
/// let odd = drawgate::fold(Vec::new(), |all, n: u32| all.push(n))
///     .subscribe_to_with(&port, Subscribe::new().partition(1))
///     .spawn()?;
/// let even = drawgate::fold(Vec::new(), |all, n: u32| all.push(n))
///     .subscribe_to_with(&port, Subscribe::new().partition(0))
///     .spawn()?;
/// port.push_all(vec![1, 2, 3]).map_err(|e| e.kind())?;
/// port.close();
/// assert_eq!((odd.finish()?, even.finish()?), (vec![1, 3], vec![2]));
/// # anyhow::Ok(())
/// ```
pub struct PartitionDispatcher<E> {
    router: Arc<Router<E>>,
    names: Option<Vec<&'static str>>,
    /// By lane: its consumer.
    holders: Vec<Option<Name>>,
}

impl<E> std::fmt::Debug for PartitionDispatcher<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionDispatcher").field("partitions", &self.holders.len()).finish_non_exhaustive()
    }
}

impl<E: Send + 'static> PartitionDispatcher<E> {
    /// Events with equal keys go to the same of `n` partitions, in order. Which one is the same in every run of one build
    /// of the program.
    pub fn by_key<K: Hash>(n: usize, key: impl Fn(&E) -> K + Send + Sync + 'static) -> Self {
        // Fixed keys: the same event goes to the same partition in every run.
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        Self::by_index(n, move |event| {
            // The high half of the product: an even spread without a division.
            Some(((u128::from(hasher.hash_one(key(event))) * n as u128) >> 64) as usize)
        })
    }

    /// You number the partition, from 0; `None` discards and counts the event and has it asked for again.
    ///
    /// A number that is not below `n` gives a pusher its event back and fails the stage.
    pub fn by_index(n: usize, hash: impl Fn(&E) -> Option<usize> + Send + Sync + 'static) -> Self {
        let router = move |event: &E| match hash(event) {
            Some(i) if i < n => Route::Lane(LaneId(i as u32)),
            Some(_) => Route::Unknown("a number that is not below the number of partitions"),
            None => Route::Discard,
        };
        Self { router: Arc::new(router), names: None, holders: vec![None; n] }
    }

    /// You name the partition; `None` discards and counts the event and has it asked for again.
    ///
    /// A name that is not among `names` gives a pusher its event back and fails the stage.
    pub fn named<const N: usize>(
        names: [&'static str; N],
        key: impl Fn(&E) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let router = move |event: &E| match key(event) {
            Some(name) => match names.iter().position(|n| *n == name) {
                Some(i) => Route::Lane(LaneId(i as u32)),
                None => Route::Unknown(name),
            },
            None => Route::Discard,
        };
        Self { router: Arc::new(router), names: Some(names.to_vec()), holders: vec![None; N] }
    }

    fn lane_of(&self, options: &Subscribe<E>) -> Result<usize, BadOption> {
        match (&self.names, options.get_partition()) {
            (None, Some(Ok(i))) if i < self.holders.len() => Ok(i),
            (Some(names), Some(Err(name))) if names.contains(&name) => {
                Ok(names.iter().position(|n| *n == name).expect("bug: contained and not found"))
            }
            (None, was) => {
                let must = format!("a number below {}", self.holders.len());
                let was =
                    was.map_or("not set".into(), |w| w.map_or_else(|name| format!("`{name}`"), |i| i.to_string()));
                Err(BadOption::new("partition", must, was))
            }
            (Some(names), was) => {
                let was =
                    was.map_or("not set".into(), |w| w.map_or_else(|name| format!("`{name}`"), |i| i.to_string()));
                Err(BadOption::new("partition_named", format!("one of {names:?}"), was))
            }
        }
    }
}

impl<E: Send + 'static> Dispatcher<E> for PartitionDispatcher<E> {
    fn subscribe(&mut self, consumer: &Arriving<'_>, options: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
        let lane = self.lane_of(options)?;
        match &mut self.holders[lane] {
            Some(holder) => Err(SubscribeError::PartitionTaken {
                partition: match &self.names {
                    Some(names) => names[lane].into(),
                    None => lane.to_string(),
                },
                holder: holder.clone(),
            }),
            free => {
                *free = Some(consumer.name.clone());
                Ok(LaneId(lane as u32))
            }
        }
    }

    fn cancel(&mut self, _: SubId, lane: LaneId) -> Cancelled {
        self.holders[lane.index()] = None;
        Cancelled::KeepForNext
    }

    fn wanted(&self, _: usize, lanes: &LaneView<'_>) -> usize {
        let unmet: isize = lanes.iter().map(|lane| lane.unmet.max(0)).sum();
        let room = lanes.iter().map(|lane| lane.room.max(0)).min().unwrap_or(0);
        unmet.min(room) as usize
    }

    fn check(&self) -> Result<(), BadOption> {
        match self.holders.len() {
            0 => Err(BadOption::new("partitions", "at least 1", 0)),
            _ => Ok(()),
        }
    }

    fn choose(&self) -> Choice<E> {
        Choice::Route(self.router.clone())
    }
}
