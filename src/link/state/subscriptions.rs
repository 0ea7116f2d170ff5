//! Subscriptions: who draws from which lane, from the arrival to the end of each.
//!
//! Pure. Whatever a subscription had asked for is asked for no more once it has ended; what stands in its lane stays for
//! others, or goes, as the dispatcher says.

use super::super::dispatch::{Arriving, Cancelled, LaneId, SubId};
use super::super::{Subscribe, Subscriber};
use super::{Effects, Mark, News, PeerNote, SLICE, Slot, State, Sub};
use crate::error::{CancelReason, ExitReason, SubscribeError};
use crate::sync::{Arc, guarded};
use std::collections::VecDeque;

impl<E: Send + 'static> State<E> {
    pub(in crate::link) fn subscribe(
        &mut self,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
        fx: &mut Effects<E>,
    ) -> Result<SubId, SubscribeError> {
        self.check_open()?;
        let arrived = self.arrive(options, who, fx);
        self.settle(None, fx);
        arrived
    }

    fn check_open(&self) -> Result<(), SubscribeError> {
        match self.ended.as_ref().or(self.fault.as_ref()) {
            Some(reason) => Err(SubscribeError::Ended { stage: self.name.clone(), reason: Some(reason.clone()) }),
            None => Ok(()),
        }
    }

    /// A consumer arrives. Does not settle.
    fn arrive(
        &mut self,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
        fx: &mut Effects<E>,
    ) -> Result<SubId, SubscribeError> {
        let slot = self.subs.iter().position(|slot| slot.sub.is_none()).unwrap_or_else(|| {
            self.subs.push(Slot { generation: 0, sub: None });
            self.subs.len() - 1
        });
        let id = SubId { slot: slot as u32, generation: self.subs[slot].generation };
        let arriving = Arriving { sub: id, name: who.name, consumer: who.id, producer: &self.name };
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
            latch: who.latch.clone(),
            name: who.name.clone(),
            consumer: who.id,
            demand: 0,
            in_hand: 0,
            options: options.clone(),
            mark: Mark::Off,
            notes: VecDeque::new(),
            confirmed: self.news.is_none(),
            manual: None,
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
            let (name, demand, extra) = (who.name.clone(), options.demand(), options.get_extra());
            news.push(News::Subscribed(PeerNote { sub: id, name, demand, extra }));
            fx.owner = true;
        }
        Ok(id)
    }

    /// The producer has heard that this consumer is there: it may draw.
    pub(in crate::link) fn confirm(&mut self, id: SubId, fx: &mut Effects<E>) {
        if let Some(sub) = self.sub(id).filter(|sub| !sub.confirmed) {
            sub.confirm(fx);
            self.settle(None, fx);
        }
    }
    /// Nobody is left to hear of them.
    pub(super) fn confirm_all(&mut self, fx: &mut Effects<E>) {
        for sub in self.subs.iter_mut().filter_map(|slot| slot.sub.as_mut()).filter(|sub| !sub.confirmed) {
            sub.confirm(fx);
        }
    }

    /// Switches to manual demand, or back, and has the consumer come and hear of it; false if it has ended.
    pub(in crate::link) fn set_manual(&mut self, id: SubId, manual: bool, fx: &mut Effects<E>) -> bool {
        let Some(sub) = self.sub(id).filter(|sub| sub.gone.is_none()) else { return false };
        sub.manual = Some(manual);
        fx.wake(&sub.latch.clone());
        let lane = sub.lane;
        self.unmark(id.slot);
        self.settle(Some(lane), fx);
        true
    }

    /// Puts a subscription of the same consumer in the place of another, in one step: nothing is dispatched between. If
    /// the old one is unknown, or somebody else's, or has ended, it is a subscription like any other. After an error the
    /// old one is as it was.
    pub(in crate::link) fn resubscribe(
        &mut self,
        old: SubId,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
        fx: &mut Effects<E>,
    ) -> Result<SubId, SubscribeError> {
        self.check_open()?;
        let mine = self.sub(old).filter(|sub| sub.gone.is_none() && sub.consumer == who.id);
        let Some((lane, before)) = mine.map(|sub| (sub.lane, sub.options.clone())) else {
            return self.subscribe(options, who, fx);
        };
        let dispatcher = &mut self.dispatcher;
        let cancelled = guarded(|| dispatcher.cancel(old, LaneId(lane as u32)));
        let new = match self.arrive(options, who, fx) {
            Ok(new) => new,
            Err(refused) => {
                let arriving = Arriving { sub: old, name: who.name, consumer: who.id, producer: &self.name };
                let dispatcher = &mut self.dispatcher;
                let back = guarded(|| dispatcher.subscribe(&arriving, &before));
                if !matches!(back, Ok(Ok(back)) if back.index() == lane) {
                    let cause = anyhow::anyhow!("a dispatcher refused a consumer the lane that it had a moment ago");
                    self.fail(ExitReason::error(cause), fx);
                }
                return Err(refused);
            }
        };
        self.leave_lane(old, cancelled, Some(new), fx);
        self.retire(old, CancelReason::Replaced, fx);
        self.settle(None, fx);
        Ok(new)
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
        let slices = |members: &[u32], subs: &[Slot<E>]| {
            members
                .iter()
                .filter_map(|slot| subs[*slot as usize].sub.as_ref())
                .map(|sub| sub.options.demand().slice())
                .min()
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
        let lane = sub.lane;
        let dispatcher = &mut self.dispatcher;
        let cancelled = guarded(|| dispatcher.cancel(id, LaneId(lane as u32)));
        self.leave_lane(id, cancelled, None, fx);
    }

    /// Takes it out of its lane; `instead` is the one that comes in its place, and has drawn nothing yet.
    fn leave_lane(
        &mut self,
        id: SubId,
        cancelled: Result<Cancelled, Arc<str>>,
        instead: Option<SubId>,
        fx: &mut Effects<E>,
    ) {
        let sub = self.sub(id).expect("bug: seen just now");
        let (lane, demand) = (sub.lane, std::mem::take(&mut sub.demand));
        self.unmark(id.slot);
        self.lanes[lane].demand -= demand;
        self.lanes[lane].members.retain(|slot| *slot != id.slot);
        self.consumers -= 1;
        if self.lanes[lane].members.iter().all(|slot| instead.is_some_and(|new| new.slot == *slot)) {
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
        let wanted = self.compute_wanted(fx);
        self.grants.lower(wanted);
    }

    /// A consumer ends a subscription, or ends. `rest` is what it had drawn and not taken, `lost` what it had in hand.
    pub(in crate::link) fn leave(&mut self, id: SubId, failed: bool, why: CancelReason, fx: &mut Effects<E>) {
        let Some(sub) = self.sub(id) else { return };
        let (lane, in_hand, note, gone) = (sub.lane, sub.in_hand, sub.note(id), sub.gone.is_some());
        self.lanes[lane].in_hand -= in_hand;
        self.detach(id, fx);
        if !gone {
            self.last_failed = failed;
        }
        self.free(id);
        if let Some(news) = self.news.as_mut().filter(|_| !gone) {
            news.push(News::Cancelled(note, why));
            fx.owner = true;
        }
        self.settle(None, fx);
    }

    /// Ends a subscription from elsewhere: takes effect for every event not yet drawn; the consumer hears of it.
    pub(in crate::link) fn cancel(&mut self, id: SubId, why: CancelReason, fx: &mut Effects<E>) -> bool {
        match self.sub(id) {
            Some(sub) if sub.gone.is_none() => {}
            _ => return false,
        }
        self.detach(id, fx);
        self.retire(id, why, fx);
        self.settle(None, fx);
        true
    }

    /// A subscription that has left its lane: its consumer has only to hear of that.
    fn retire(&mut self, id: SubId, why: CancelReason, fx: &mut Effects<E>) {
        self.last_failed = false;
        let sub = self.sub(id).expect("bug: seen just now");
        sub.gone = Some(why.clone());
        sub.notes.clear();
        let note = sub.note(id);
        fx.wake(&sub.latch.clone());
        if let Some(news) = &mut self.news {
            news.push(News::Cancelled(note, why));
            fx.owner = true;
        }
    }

    pub(in crate::link) fn is_of(&mut self, id: SubId, consumer: u64) -> bool {
        self.sub(id).is_some_and(|sub| sub.consumer == consumer)
    }

    pub(in crate::link) fn is_active(&mut self, id: SubId) -> bool {
        self.ended.is_none() && self.sub(id).is_some_and(|sub| sub.gone.is_none())
    }
}

impl<E> Sub<E> {
    /// It may draw: one that sleeps, which was for signals only, comes and marks itself for events.
    fn confirm(&mut self, fx: &mut Effects<E>) {
        self.confirmed = true;
        if self.mark == Mark::Signals {
            self.mark = Mark::Off;
            fx.wake(&self.latch);
        }
    }

    fn note(&self, id: SubId) -> PeerNote {
        let (name, demand, extra) = (self.name.clone(), self.options.demand(), self.options.get_extra());
        PeerNote { sub: id, name, demand, extra }
    }
}
