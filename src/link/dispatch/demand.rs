//! One lane for all: whoever asked and is free draws.

use super::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, SubId};
use crate::error::SubscribeError;
use crate::stage::Subscribe;

/// The default dispatcher: all consumers share one lane, and whoever asked and is free draws the next events.
///
/// GenStage's `DemandDispatcher` sends an event to whoever asked for most and parks it there, also when that consumer is
/// busy. Here an event waits in the lane until a free consumer comes for it, so a slow one holds nothing but the slice
/// it is handling. With several consumers a draw takes half of its fair part at most, so that all end at about one time.
/// A consumer may subscribe several times.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::bounded(8).dispatcher(DemandDispatcher::new()).spawn()?; // as without
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&port).spawn()?;
/// port.push(40)?;
/// port.push(2)?;
/// port.close();
/// assert_eq!(sum.finish()?, 42);
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DemandDispatcher;

impl DemandDispatcher {
    /// The only one there is.
    pub fn new() -> Self {
        Self
    }
}

const ALL: LaneId = LaneId(0);

impl<E: Send + 'static> Dispatcher<E> for DemandDispatcher {
    fn subscribe(&mut self, _: &Arriving<'_>, _: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
        Ok(ALL)
    }
    fn cancel(&mut self, _: SubId, _: LaneId) -> Cancelled {
        Cancelled::KeepForNext
    }
    fn wanted(&self, _: usize, lanes: &LaneView<'_>) -> usize {
        lanes.get(ALL).map_or(0, |lane| lane.unmet.max(0) as usize)
    }
    fn choose(&self) -> Choice<E> {
        Choice::One(ALL)
    }
}
