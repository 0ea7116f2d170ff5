//! A port's side of an outlet: its bound, and the line where pushers park in front of it.
//!
//! Pure. An entry of the line holds the event. `settle` moves it into the lane when there is room, or its owner takes it
//! out; nobody else touches it. A close or a deadline only wakes the owner, who finds its entry still there (then the
//! push failed and the event is its own again) or gone (then the event was accepted). So a push has one outcome,
//! whatever happens at the same time.

use super::state::{Effects, State, Way};
use crate::sync::{Arc, Latch};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a port has beyond a stage's outlet.
pub(super) struct Intake<E> {
    pub(super) weighed: bool,
    /// Nothing is accepted from outside any more.
    pub(super) closed: bool,
    /// Accepted and not here yet: delayed events, and carriers, that may bring more.
    pub(super) pending: usize,
    /// The line before the dispatcher, of those that place.
    line: Line<E>,
    reserved: usize,
    /// Entries that got a place and not yet came for it.
    placed: Vec<(u64, E)>,
    /// Nothing is left, which the port's thread was told.
    drained: bool,
    tickets: u64,
}

impl<E> Intake<E> {
    pub(super) fn new(weighed: bool) -> Self {
        Self {
            weighed,
            closed: false,
            pending: 0,
            line: Line::new(),
            reserved: 0,
            placed: Vec::new(),
            drained: false,
            tickets: 0,
        }
    }
}

/// First come, first served.
pub(super) struct Line<E>(VecDeque<Entry<E>>);

struct Entry<E> {
    event: E,
    weight: usize,
    /// Who parks for it; an event that was delayed has nobody.
    owner: Option<Owner>,
    /// It wants a place for later, and comes back for the event.
    reserves: bool,
}

struct Owner {
    ticket: u64,
    latch: Arc<Latch>,
    free: Free,
}

/// Set when a parked pusher can go on, though it may not have run yet.
pub(crate) type Free = Arc<AtomicBool>;

impl Owner {
    fn wake<E>(&self, fx: &mut Effects<E>) {
        // ORDERING: Relaxed: read by the thread that sets it, or by one that met it at a lock since.
        self.free.store(true, Relaxed);
        fx.wake(&self.latch);
    }
}

impl<E> Entry<E> {
    fn has(&self, ticket: u64) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.ticket == ticket)
    }
}

impl<E> Line<E> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }
    fn parked(&self) -> usize {
        self.0.iter().filter(|entry| entry.owner.is_some()).count()
    }
}

/// Why an event was not let in at once.
pub(super) enum Denied<E> {
    Full(E),
    Closed(E),
}

impl<E: Send + 'static> State<E> {
    fn intake(&mut self) -> &mut Intake<E> {
        self.intake.as_mut().expect("bug: a push into something that is no port")
    }

    /// Whether an event of this weight has room. One that is heavier than the whole bound enters an empty lane.
    #[inline]
    fn fits(&self, lane: Option<usize>, weight: usize) -> bool {
        let (stands, reserved) = match lane {
            Some(lane) => (self.lanes[lane].queue.weight(), self.lanes[lane].reserved),
            None => (self.fullest(), self.intake.as_ref().map_or(0, |intake| intake.reserved)),
        };
        let taken = stands + reserved;
        taken == 0 || taken.saturating_add(weight) <= self.bound
    }

    fn line(&mut self, lane: Option<usize>) -> &mut Line<E> {
        match lane {
            Some(lane) => &mut self.lanes[lane].line,
            None => &mut self.intake().line,
        }
    }

    /// Lets an event in if there is room and nobody is before it. `accepted` ones came in before a close.
    #[inline]
    pub(super) fn enter(
        &mut self,
        event: E,
        weight: usize,
        lane: Option<usize>,
        accepted: bool,
        fx: &mut Effects<E>,
    ) -> Result<(), Denied<E>> {
        if self.ended.is_some() || self.fault.is_some() || (self.intake().closed && !accepted) {
            return Err(Denied::Closed(event));
        }
        if !self.line(lane).0.is_empty() || !self.fits(lane, weight) {
            return Err(Denied::Full(event));
        }
        self.let_in(event, weight, lane, fx)
    }

    /// An event comes for the place it took with [`reserve`](Self::reserve): whoever is in line came after it.
    pub(super) fn take_place(
        &mut self,
        event: E,
        weight: usize,
        lane: Option<usize>,
        fx: &mut Effects<E>,
    ) -> Result<(), Denied<E>> {
        self.unreserve(lane, weight);
        if self.ended.is_some() || self.fault.is_some() {
            return Err(Denied::Closed(event));
        }
        self.let_in(event, weight, lane, fx)
    }

    #[inline]
    fn let_in(&mut self, event: E, weight: usize, lane: Option<usize>, fx: &mut Effects<E>) -> Result<(), Denied<E>> {
        self.put(event, weight, lane);
        self.settle(lane, fx);
        if self.fault.is_some() && lane.is_none() {
            // The dispatcher failed at this event: if it is still there, it was not accepted.
            if let Some((event, weight)) = self.held.events.pop_back() {
                self.held.weight -= weight;
                self.counts.emitted -= 1;
                return Err(Denied::Closed(event));
            }
        }
        Ok(())
    }

    /// Joins the line; the ticket is for [`withdraw`](Self::withdraw).
    pub(super) fn join(
        &mut self,
        event: E,
        weight: usize,
        lane: Option<usize>,
        owner: Option<(&Arc<Latch>, &Free)>,
        reserves: bool,
    ) -> u64 {
        let intake = self.intake();
        intake.tickets += 1;
        let ticket = intake.tickets;
        let owner = owner.map(|(latch, free)| Owner { ticket, latch: latch.clone(), free: free.clone() });
        self.line(lane).0.push_back(Entry { event, weight, owner, reserves });
        ticket
    }

    /// Whether the entry of this ticket is still in line.
    pub(super) fn in_line(&mut self, ticket: u64, lane: Option<usize>) -> bool {
        self.line(lane).0.iter().any(|entry| entry.has(ticket))
    }

    /// The event of an entry that got a place for later.
    pub(super) fn placed(&mut self, ticket: u64) -> Option<E> {
        let placed = &mut self.intake().placed;
        let at = placed.iter().position(|(t, _)| *t == ticket)?;
        Some(placed.swap_remove(at).1)
    }

    /// Takes an entry out of the line, if it is still there.
    pub(super) fn withdraw(&mut self, ticket: u64, lane: Option<usize>, fx: &mut Effects<E>) -> Option<E> {
        let line = self.line(lane);
        let at = line.0.iter().position(|entry| entry.has(ticket))?;
        let entry = line.0.remove(at).expect("bug: found just now");
        self.settle(lane, fx); // whoever stood behind it may fit
        Some(entry.event)
    }

    /// Moves entries of one lane's line into it, as far as there is room.
    #[inline]
    pub(super) fn admit(&mut self, lane: usize, fx: &mut Effects<E>) {
        if self.way != Way::Placed && !self.lanes[lane].line.0.is_empty() {
            self.admit_slow(Some(lane), fx);
        }
    }

    /// The same for the line before the dispatcher.
    pub(super) fn admit_before(&mut self, fx: &mut Effects<E>) {
        if self.intake.as_ref().is_some_and(|intake| !intake.line.0.is_empty()) {
            self.admit_slow(None, fx);
        }
    }

    #[cold]
    fn admit_slow(&mut self, lane: Option<usize>, fx: &mut Effects<E>) {
        if self.ended.is_some() || self.fault.is_some() {
            return;
        }
        while let Some(weight) = self.line(lane).0.front().map(|entry| entry.weight) {
            if !self.fits(lane, weight) {
                return;
            }
            let entry = self.line(lane).0.pop_front().expect("bug: seen just now");
            match (entry.owner, entry.reserves) {
                (Some(owner), true) => {
                    *self.reserved(lane) += entry.weight;
                    self.intake().placed.push((owner.ticket, entry.event));
                    owner.wake(fx);
                }
                (owner, _) => {
                    self.put(entry.event, entry.weight, lane);
                    if let Some(owner) = owner {
                        owner.wake(fx);
                    }
                }
            }
        }
    }

    /// Nothing gets in any more; whoever is parked comes and takes its event back.
    pub(super) fn close(&mut self, fx: &mut Effects<E>) {
        self.intake().closed = true;
        self.wake_line(fx);
        self.settle(None, fx);
    }

    /// Wakes all that are parked.
    pub(super) fn wake_line(&mut self, fx: &mut Effects<E>) {
        let lanes = self.lanes.iter().map(|lane| &lane.line);
        for entry in lanes.chain(self.intake.as_ref().map(|intake| &intake.line)).flat_map(|line| &line.0) {
            if let Some(owner) = &entry.owner {
                owner.wake(fx);
            }
        }
    }

    /// Takes events without an owner out of all lines: the port ends without waiting for them.
    pub(super) fn empty_lines(&mut self, left: &mut Vec<E>) {
        let lanes = self.lanes.iter_mut().map(|lane| &mut lane.line);
        for line in lanes.chain(self.intake.as_mut().map(|intake| &mut intake.line)) {
            let (owned, orphans) = std::mem::take(&mut line.0).into_iter().partition(|entry| entry.owner.is_some());
            line.0 = owned;
            left.extend(VecDeque::into_iter(orphans).map(|entry| entry.event));
        }
    }

    /// Takes a place for an event that comes later; false if there is none.
    pub(super) fn reserve(&mut self, lane: Option<usize>, weight: usize) -> bool {
        if !self.line(lane).0.is_empty() || !self.fits(lane, weight) {
            return false;
        }
        *self.reserved(lane) += weight;
        true
    }

    /// Gives such a place up again.
    pub(super) fn unreserve(&mut self, lane: Option<usize>, weight: usize) {
        *self.reserved(lane) -= weight;
    }

    fn reserved(&mut self, lane: Option<usize>) -> &mut usize {
        match lane {
            Some(lane) => &mut self.lanes[lane].reserved,
            None => &mut self.intake().reserved,
        }
    }

    /// Whether a closed port has nothing left, here or in anybody's hand.
    pub(super) fn is_drained(&self) -> bool {
        let Some(intake) = &self.intake else { return false };
        intake.closed
            && intake.pending == 0
            && intake.reserved == 0
            && intake.line.0.is_empty()
            && self.held.events.is_empty()
            && self
                .lanes
                .iter()
                .all(|lane| lane.queue.len() == 0 && lane.in_hand == 0 && lane.reserved == 0 && lane.line.0.is_empty())
    }

    /// Tells the port's thread, each time it comes about, that nothing is left: until it has ended, more may arrive.
    #[inline]
    pub(super) fn check_drained(&mut self, fx: &mut Effects<E>) {
        if self.intake.as_ref().is_some_and(|intake| intake.closed) {
            let drained = self.is_drained();
            if !std::mem::replace(&mut self.intake().drained, drained) && drained {
                fx.owner = true;
            }
        }
    }

    /// Events accepted that come later, or carriers that bring some.
    pub(super) fn pending(&mut self, more: isize, fx: &mut Effects<E>) {
        let intake = self.intake();
        intake.pending = intake.pending.checked_add_signed(more).expect("bug: more came than was announced");
        self.check_drained(fx);
    }

    pub(super) fn parked(&self) -> usize {
        let lanes = self.lanes.iter().map(|lane| lane.line.parked()).sum::<usize>();
        lanes + self.intake.as_ref().map_or(0, |intake| intake.line.parked())
    }
}
