//! Every event to everybody, at the pace of the slowest.

use super::{Arriving, Cancelled, Choice, Dispatcher, LaneId, LaneView, SubId, Targets};
use crate::error::SubscribeError;
use crate::link::subscribe::Selector;
use crate::stage::Subscribe;

/// Gives every consumer every event; the producer is asked for what the slowest can take.
///
/// An event is copied (`Clone`) for all consumers but one, so put large ones into an `Arc`. It is held before the lanes
/// until every consumer has asked. With [`Subscribe::selector`] a consumer gets only what it selects; what nobody selects
/// is counted as discarded, and another is asked for. Who subscribes later does not get what was dispatched before; to
/// miss nothing at the start use `hold_until` on the builder. A consumer may subscribe once. What stands for a consumer
/// that leaves is discarded and counted.
///
/// ```
/// use drawgate::prelude::*;
/// let port = Port::bounded(8).dispatcher(BroadcastDispatcher::new()).hold_until(2).spawn()?;
/// let sum = drawgate::fold(0, |sum, n: u32| *sum += n).subscribe_to(&port).spawn()?;
/// let odd = drawgate::fold(0, |count, _: u32| *count += 1)
///     .subscribe_to_with(&port, Subscribe::new().selector(|n| n % 2 == 1))
///     .spawn()?;
/// port.push_all(vec![1, 2, 3]).map_err(|e| e.kind())?;
/// port.close();
/// assert_eq!((sum.finish()?, odd.finish()?), (6, 2));
/// # anyhow::Ok(())
/// ```
#[derive(Default)]
pub struct BroadcastDispatcher {
    /// By lane.
    consumers: Vec<Option<Consumer>>,
}

struct Consumer {
    id: u64,
    /// A `Selector` of the event type, which this struct does not carry.
    selector: Option<Box<dyn std::any::Any + Send>>,
}

impl std::fmt::Debug for BroadcastDispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BroadcastDispatcher").field("consumers", &self.consumers.iter().flatten().count()).finish()
    }
}

impl BroadcastDispatcher {
    /// Without consumers.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<E: Clone + Send + 'static> Dispatcher<E> for BroadcastDispatcher {
    fn subscribe(&mut self, consumer: &Arriving<'_>, options: &Subscribe<E>) -> Result<LaneId, SubscribeError> {
        if self.consumers.iter().flatten().any(|c| c.id == consumer.consumer) {
            return Err(SubscribeError::Twice { producer: consumer.producer.clone() });
        }
        let selector = options.get_selector().map(|s| Box::new(s) as Box<dyn std::any::Any + Send>);
        let new = Some(Consumer { id: consumer.consumer, selector });
        let lane = match self.consumers.iter().position(Option::is_none) {
            Some(free) => {
                self.consumers[free] = new;
                free
            }
            None => {
                self.consumers.push(new);
                self.consumers.len() - 1
            }
        };
        Ok(LaneId(lane as u32))
    }

    fn cancel(&mut self, _: SubId, lane: LaneId) -> Cancelled {
        self.consumers[lane.index()] = None;
        Cancelled::Drop
    }

    fn wanted(&self, held: usize, lanes: &LaneView<'_>) -> usize {
        let least = lanes.iter().filter(|lane| lane.consumers > 0).map(|lane| lane.unmet).min();
        least.map_or(0, |unmet| (unmet.max(0) as usize).saturating_sub(held))
    }

    fn choose(&self) -> Choice<E> {
        Choice::Place
    }

    fn place(&mut self, event: &E, lanes: &LaneView<'_>, targets: &mut Targets) -> anyhow::Result<()> {
        let mut any = false;
        for lane in lanes.iter().filter(|lane| lane.consumers > 0) {
            any = true;
            if lane.unmet <= 0 {
                targets.hold();
                return Ok(());
            }
            let consumer = self.consumers.get(lane.lane.index()).and_then(Option::as_ref);
            let selector = consumer.and_then(|c| c.selector.as_ref()).and_then(|s| s.downcast_ref::<Selector<E>>());
            if selector.is_none_or(|select| select(event)) {
                targets.put(lane.lane);
            }
        }
        if !any {
            targets.hold();
        }
        Ok(())
    }

    fn duplicate(&self, event: &E) -> Option<E> {
        Some(event.clone())
    }
}
