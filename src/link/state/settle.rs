//! The end of every critical section: what can move moves, and who has something to do now is woken.
//!
//! Pure. [`settle`](State::settle) is the one place that wakes consumers and grants demand, so that whatever changed, the
//! same questions are asked of the state as it is: which pushers fit, which events have a lane, whom they, a notification
//! or an end concern, and what the producer may emit. The proof in [`link`](crate::link) rests on that.

use super::super::BufferKeep;
use super::super::dispatch::LaneView;
use super::super::queue::MOST_NOTES;
use super::{Effects, Mark, Side, State, Way};
use crate::error::ExitReason;
use crate::sync::guarded;

impl<E: Send + 'static> State<E> {
    /// Ends every critical section: puts events where they can go and decides who is woken. `lane` is the only lane
    /// that changed, if it is known.
    #[inline]
    pub(in crate::link) fn settle(&mut self, lane: Option<usize>, fx: &mut Effects<E>) {
        match lane {
            Some(lane) if self.way != Way::Placed => {
                if self.intake.is_some() {
                    self.admit(lane, fx);
                }
                if self.side != Side::Port {
                    self.look(lane); // only for what is wanted, which nobody asks of a port
                }
                self.rouse(lane, fx);
            }
            _ => self.settle_all(fx),
        }
        if self.side != Side::Port {
            self.grant(fx);
        } else {
            self.check_drained(fx);
        }
    }

    fn settle_all(&mut self, fx: &mut Effects<E>) {
        if self.way == Way::Placed {
            for i in 0..self.lanes.len() {
                self.look(i);
            }
            loop {
                self.admit_before(fx);
                if !self.place_some(fx) {
                    break;
                }
            }
            if self.side != Side::Port && self.held.events.len() > self.bound {
                let over = self.held.events.len() - self.bound;
                self.counts.discarded += over as u64;
                fx.discarded += over;
                for _ in 0..over {
                    let out = match self.keep {
                        BufferKeep::Last => self.held.pop(),
                        BufferKeep::First => self.held.events.pop_back(),
                    };
                    fx.trash.extend(out.map(|(event, _)| event));
                }
            }
        }
        for i in 0..self.lanes.len() {
            if self.intake.is_some() {
                self.admit(i, fx);
            }
            self.look(i);
            self.rouse(i, fx);
        }
    }

    /// Moves events from before the lanes into them, as far as the dispatcher says; true if any moved.
    fn place_some(&mut self, fx: &mut Effects<E>) -> bool {
        let mut moved = false;
        loop {
            while let Some(note) = self.held.note() {
                self.note_to_lanes(&note);
            }
            if self.holds() || self.fault.is_some() {
                return moved;
            }
            let Some((event, weight)) = self.held.events.front() else { return moved };
            let weight = *weight;
            self.targets.clear();
            let (dispatcher, view, targets) = (&mut self.dispatcher, &self.view, &mut self.targets);
            let (placed, copies) = match guarded(|| {
                dispatcher.place(event, &LaneView(view), targets)?;
                // All copies first: a `Clone` that panics has delivered nothing.
                let wanted = if targets.hold { 0 } else { targets.lanes.len().saturating_sub(1) };
                (0..wanted).map(|_| dispatcher.duplicate(event)).collect::<Option<Vec<E>>>().ok_or_else(|| {
                    anyhow::anyhow!("a dispatcher named several lanes for an event that it does not duplicate")
                })
            }) {
                Ok(Ok(copies)) => (Ok(()), copies),
                Ok(Err(cause)) => (Err(ExitReason::error(cause)), Vec::new()),
                Err(message) => (Err(ExitReason::Panic(message)), Vec::new()),
            };
            if let Err(reason) = placed {
                fx.trash.extend(copies);
                self.fail(reason, fx);
                return moved;
            }
            if self.targets.hold {
                return moved;
            }
            let (event, _) = self.held.pop().expect("bug: seen just now");
            moved = true;
            let lanes = std::mem::take(&mut self.targets.lanes);
            match lanes.split_last() {
                // Nobody's: counted, but not reported, since the selectors say so. What it was asked for by is unmet again,
                // so another is asked for by itself.
                None => {
                    self.counts.discarded += 1;
                    fx.trash.push(event);
                }
                Some((last, others)) => {
                    for (lane, copy) in others.iter().zip(copies) {
                        self.place_in(lane.index(), copy, weight);
                    }
                    self.place_in(last.index(), event, weight);
                }
            }
            self.targets.lanes = lanes;
        }
    }

    fn place_in(&mut self, lane: usize, event: E, weight: usize) {
        self.grow(lane);
        let slice = self.lanes[lane].slice;
        self.lanes[lane].queue.push(event, weight, slice);
        self.look(lane);
    }

    /// Wakes as many as there are events for, and whom a notification or an end concerns.
    #[inline]
    fn rouse(&mut self, i: usize, fx: &mut Effects<E>) {
        let holds = self.holds();
        let mut signal = self.ended.is_some();
        let lane = &mut self.lanes[i];
        while let Some(note) = lane.queue.note() {
            signal = true;
            self.counts.notes_dropped += u64::from(lane.members.is_empty());
            for slot in &lane.members {
                let Some(sub) = &mut self.subs[*slot as usize].sub else { continue };
                if sub.notes.len() >= MOST_NOTES {
                    sub.notes.pop_front();
                    self.counts.notes_dropped += 1;
                }
                sub.notes.push_back(note.clone());
            }
        }
        let standing = lane.queue.head_len();
        while lane.waking < standing && !holds {
            let Some(slot) = lane.hungry.pop_front() else { break };
            lane.waking += 1;
            if let Some(sub) = &mut self.subs[slot as usize].sub {
                sub.mark = Mark::Waking;
                fx.wake(&sub.latch);
            }
        }
        if signal {
            self.signal(i, fx);
        }
    }

    #[cold]
    fn signal(&mut self, i: usize, fx: &mut Effects<E>) {
        let end = self.end_of(i).is_some();
        for m in 0..self.lanes[i].members.len() {
            let slot = self.lanes[i].members[m];
            let Some(sub) = &mut self.subs[slot as usize].sub else { continue };
            if (end || !sub.notes.is_empty()) && matches!(sub.mark, Mark::Events | Mark::Signals) {
                fx.wake(&sub.latch);
                self.unmark(slot);
            }
        }
    }

    /// Why the lane ends, if nothing more can come out of it. With `Done`, slices in hand might still come back.
    pub(super) fn end_of(&self, i: usize) -> Option<ExitReason> {
        let reason = self.ended.as_ref()?;
        let lane = &self.lanes[i];
        let empty = lane.queue.len() == 0 && self.held.events.is_empty();
        let done = matches!(reason, ExitReason::Done);
        (empty && (lane.in_hand == 0 || !done)).then(|| reason.clone())
    }

    pub(super) fn compute_wanted(&mut self, fx: &mut Effects<E>) -> usize {
        if self.hold > 0 || self.ended.is_some() || self.fault.is_some() || self.consumers == 0 {
            return 0;
        }
        match guarded(|| self.dispatcher.wanted(self.held.events.len(), &LaneView(&self.view))) {
            Ok(wanted) => wanted,
            Err(message) => {
                self.fail(ExitReason::Panic(message), fx);
                0
            }
        }
    }

    #[inline]
    fn grant(&mut self, fx: &mut Effects<E>) {
        let wanted = self.compute_wanted(fx);
        self.wanted = if self.holds() { 0 } else { wanted };
        let open = match self.side {
            Side::Grants => {
                self.grants.raise(wanted);
                self.grants.any()
            }
            Side::Gate => self.wanted > 0,
            Side::Port => false,
        };
        if open && self.idle {
            self.idle = false;
            fx.owner = true;
        }
    }
}
