//! Subscriptions: who draws from which lane, from the arrival to the end of each.
//!
//! Pure. Whatever a subscription had asked for is asked for no more once it has ended; what stands in its lane stays for
//! others, or goes, as the dispatcher says.

use super::super::Subscribe;
use super::super::dispatch::{Arriving, Cancelled, LaneId, SubId};
use super::{Effects, Mark, News, PeerNote, SLICE, Slot, State, Sub};
use crate::Name;
use crate::error::{CancelReason, ExitReason, SubscribeError};
use crate::sync::{Arc, Latch, guarded};
use std::collections::VecDeque;

impl<E: Send + 'static> State<E> {
    pub(in crate::link) fn subscribe(
        &mut self,
        options: &Subscribe<E>,
        latch: &Arc<Latch>,
        name: &Name,
        consumer: u64,
        fx: &mut Effects<E>,
    ) -> Result<SubId, SubscribeError> {
        if let Some(reason) = self.ended.as_ref().or(self.fault.as_ref()) {
            return Err(SubscribeError::Ended { stage: self.name.clone(), reason: Some(reason.clone()) });
        }
        let slot = self.subs.iter().position(|slot| slot.sub.is_none()).unwrap_or_else(|| {
            self.subs.push(Slot { generation: 0, sub: None });
            self.subs.len() - 1
        });
        let id = SubId { slot: slot as u32, generation: self.subs[slot].generation };
        let arriving = Arriving { sub: id, name, consumer, producer: &self.name };
        let lane = match guarded(|| self.dispatcher.subscribe(&arriving, options)) {
            Ok(lane) => lane?.index(),
            Err(message) => {
                let reason = ExitReason::Panic(message);
                self.fail(reason.clone(), fx);
                return Err(SubscribeError::Ended { stage: self.name.clone(), reason: Some(reason) });
            }
        };
        self.grow(lane);
        self.subs[slot].sub = Some(Sub {
            lane,
            latch: latch.clone(),
            name: name.clone(),
            consumer,
            demand: 0,
            in_hand: 0,
            slice: options.slice(),
            mark: Mark::Off,
            notes: VecDeque::new(),
            dropped: false,
            gone: None,
        });
        self.lanes[lane].members.push(id.slot);
        self.consumers += 1;
        self.known = true;
        if self.consumers >= self.hold {
            self.hold = 0;
        }
        self.measure(lane);
        // Whoever was alone in this lane kept its marks while it handled; from now on that would swallow wakes.
        self.clear_marks(lane, fx);
        if let Some(news) = &mut self.news {
            news.push(News::Subscribed(PeerNote { sub: id, name: name.clone() }));
            fx.owner = true;
        }
        self.settle(None, fx);
        Ok(id)
    }

    fn clear_marks(&mut self, lane: usize, fx: &mut Effects<E>) {
        for slot in &self.lanes[lane].members {
            if let Some(sub) = self.subs[*slot as usize].sub.as_mut().filter(|sub| sub.mark != Mark::Off) {
                sub.mark = Mark::Off;
                fx.wake(&sub.latch);
            }
        }
        self.lanes[lane].hungry.clear();
        self.lanes[lane].waking = 0;
    }

    /// The lengths of chunks, after a change of subscriptions.
    fn measure(&mut self, lane: usize) {
        let slices = |members: &[u32], subs: &[Slot]| {
            members.iter().filter_map(|slot| subs[*slot as usize].sub.as_ref()).map(|sub| sub.slice).min()
        };
        self.lanes[lane].slice = slices(&self.lanes[lane].members, &self.subs).unwrap_or(SLICE);
        let used = self.lanes.iter().filter(|lane| !lane.members.is_empty());
        self.slice = used.map(|lane| lane.slice).min().unwrap_or(SLICE);
    }

    /// Takes a subscription out of its lane: what it had asked for is asked for no more.
    pub(super) fn detach(&mut self, id: SubId, fx: &mut Effects<E>) {
        let Some(sub) = self.sub(id) else { return };
        if sub.gone.is_some() {
            return;
        }
        let (lane, demand) = (sub.lane, std::mem::take(&mut sub.demand));
        self.unmark(id.slot);
        self.lanes[lane].demand -= demand;
        self.lanes[lane].members.retain(|slot| *slot != id.slot);
        self.consumers -= 1;
        let dispatcher = &mut self.dispatcher;
        let cancelled = guarded(|| dispatcher.cancel(id, LaneId(lane as u32)));
        if self.lanes[lane].members.is_empty() {
            if matches!(cancelled, Ok(Cancelled::Drop)) {
                let dropped = self.lanes[lane].queue.clear(&mut fx.trash);
                self.counts.discarded += dropped as u64;
                fx.discarded += dropped;
                self.subs[id.slot as usize].sub.as_mut().expect("bug: seen just now").dropped = true;
            } else if self.ended.is_some() {
                // Nobody can come for it any more.
                self.counts.lost += self.lanes[lane].queue.clear(&mut fx.trash) as u64;
            }
        }
        if self.consumers == 0 && self.ended.is_some() {
            self.lose_held(fx);
        }
        if let Err(message) = cancelled {
            self.fail(ExitReason::Panic(message), fx);
        }
        self.measure(lane);
        if self.consumers == 0 {
            fx.owner = true;
        }
        self.look(lane);
        self.take_back(fx);
    }

    /// Takes out of grants that were not collected what is no longer wanted; what was collected stays told.
    fn take_back(&mut self, fx: &mut Effects<E>) {
        let back = self.told.saturating_sub(self.compute_wanted(fx)).min(self.granted);
        self.granted -= back;
        self.told -= back;
    }

    /// A consumer ends a subscription, or ends. `rest` is what it had drawn and not taken, `lost` what it had in hand.
    pub(in crate::link) fn leave(&mut self, id: SubId, failed: bool, why: CancelReason, fx: &mut Effects<E>) {
        let Some(sub) = self.sub(id) else { return };
        let (lane, in_hand, name, gone) = (sub.lane, sub.in_hand, sub.name.clone(), sub.gone.is_some());
        self.lanes[lane].in_hand -= in_hand;
        self.detach(id, fx);
        if !gone {
            self.last_failed = failed;
        }
        self.free(id);
        if let Some(news) = self.news.as_mut().filter(|_| !gone) {
            news.push(News::Cancelled(PeerNote { sub: id, name }, why));
            fx.owner = true;
        }
        self.settle(None, fx);
    }

    /// Ends a subscription from elsewhere: takes effect for every event not yet drawn; the consumer hears of it.
    pub(in crate::link) fn cancel(&mut self, id: SubId, fx: &mut Effects<E>) -> bool {
        match self.sub(id) {
            Some(sub) if sub.gone.is_none() => {}
            _ => return false,
        }
        self.detach(id, fx);
        self.last_failed = false;
        let Some(sub) = self.sub(id) else { return false };
        sub.gone = Some(CancelReason::Cancelled);
        sub.notes.clear();
        let (latch, name) = (sub.latch.clone(), sub.name.clone());
        fx.wake(&latch);
        if let Some(news) = &mut self.news {
            news.push(News::Cancelled(PeerNote { sub: id, name }, CancelReason::Cancelled));
            fx.owner = true;
        }
        self.settle(None, fx);
        true
    }

    pub(in crate::link) fn is_active(&mut self, id: SubId) -> bool {
        self.ended.is_none() && self.sub(id).is_some_and(|sub| sub.gone.is_none())
    }
}
