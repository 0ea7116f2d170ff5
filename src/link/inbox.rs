//! The inbox: the receiving half of a stage, and the round of its thread.
//!
//! [`Inbox::next`] is the one place where a stage's thread decides what to do and where it waits. It knows no runtime and
//! no callbacks, so that loom can run it whole. The order of its steps is what the proof in [`super`] rests on.

use super::dispatch::SubId;
use super::mail::Mailbox;
use super::outlet::{Outlet, OwnSide};
use super::state::{Drawn, MarkAs, Told};
use super::{Demand, Extra, Note, Subscribe, Subscriber, WaitFor, Waited};
use crate::error::{CancelReason, SubscribeError};
use crate::sync::{Arc, Clock, Patience};

/// One subscription, as its consumer keeps it.
pub(crate) struct Link<E: Send + 'static> {
    pub(crate) outlet: Arc<Outlet<E>>,
    pub(crate) sub: SubId,
    /// Its numbers; `manual` as it is now.
    pub(crate) demand: Demand,
    pub(crate) extra: Extra,
    /// Asked for and not yet handled; counts asks that were not yet sent.
    in_flight: usize,
    /// To be asked with the next operation.
    ask: usize,
    marked: Marked,
    /// The outlet knows it no more.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    No,
    Alone,
    Shared,
}

impl<E: Send + 'static> Link<E> {
    /// Subscribes, and asks for the first events.
    pub(crate) fn new(
        outlet: Arc<Outlet<E>>,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
    ) -> Result<Self, SubscribeError> {
        let sub = outlet.subscribe(options, who)?;
        Ok(Self::made(outlet, sub, options))
    }

    /// The same in the place of another subscription of this consumer, to the same outlet, in one step.
    pub(crate) fn replacing(
        old: SubId,
        outlet: Arc<Outlet<E>>,
        options: &Subscribe<E>,
        who: Subscriber<'_>,
    ) -> Result<Self, SubscribeError> {
        let sub = outlet.resubscribe(old, options, who)?;
        Ok(Self::made(outlet, sub, options))
    }

    fn made(outlet: Arc<Outlet<E>>, sub: SubId, options: &Subscribe<E>) -> Self {
        let ask = if options.manual { options.first } else { options.max() };
        let (demand, extra) = (options.demand(), options.get_extra());
        Self { outlet, sub, demand, extra, in_flight: ask, ask, marked: Marked::No, ended: false }
    }

    /// It was switched to manual demand, or back; `asked` are asked for and not drawn, and none is in hand.
    fn switched(&mut self, manual: bool, asked: usize) {
        self.demand.manual = manual;
        self.in_flight = asked;
        self.handled(0);
    }

    fn leave(mut self, failed: bool, why: CancelReason) {
        self.ended = true;
        self.outlet.leave(self.sub, failed, why);
    }

    /// `n` events were handled: asks for more once few are in flight, as GenStage does.
    fn handled(&mut self, n: usize) {
        self.in_flight = self.in_flight.saturating_sub(n);
        let Demand { max, min, manual, .. } = self.demand;
        if !manual && self.in_flight <= min {
            self.ask += max - self.in_flight;
            self.in_flight = max;
        }
    }
}

impl<E: Send + 'static> Drop for Link<E> {
    /// A link that never reached its consumer, because that had ended.
    fn drop(&mut self) {
        if !self.ended {
            self.outlet.leave(self.sub, false, CancelReason::Cancelled);
        }
    }
}

/// What the thread of a stage does next.
pub(crate) enum Round {
    /// There is mail.
    Mail,
    /// Events of this link are in the buffer.
    Slice(usize),
    Note(Note),
    Ended(usize, CancelReason),
    /// The stage's own outlet has something to say.
    Told(Told),
}

/// See the module's page.
pub(crate) struct Inbox<E: Send + 'static, M> {
    pub(crate) mail: Arc<Mailbox<M>>,
    pub(crate) links: Vec<Link<E>>,
    /// The slice that was drawn.
    pub(crate) buffer: Vec<E>,
    /// Drawn last, and not yet reported handled.
    last: Option<usize>,
    /// Whose turn it is to be looked at first: the one after the one drawn last, also if mail came since.
    turn: usize,
    /// What the stage's own outlet told when mail came first.
    kept: Option<Told>,
    pub(crate) clock: Clock,
    pub(crate) patience: Patience,
    pub(crate) waited: Arc<Waited>,
    /// Whether the stage wants to hear that all its consumers have left.
    pub(crate) ends_abandoned: bool,
    /// Whether it runs when anything is wanted, without drawing or being granted.
    pub(crate) is_source: bool,
    /// Whether it is where a graph takes events in from outside.
    pub(crate) is_intake: bool,
}

impl<E: Send + 'static, M> Inbox<E, M> {
    pub(crate) fn new(mail: Arc<Mailbox<M>>, clock: Clock, patience: Patience) -> Self {
        Self {
            mail,
            links: Vec::new(),
            buffer: Vec::new(),
            last: None,
            turn: 0,
            kept: None,
            clock,
            patience,
            waited: Arc::default(),
            ends_abandoned: false,
            is_source: false,
            is_intake: false,
        }
    }

    /// The slice of this link was handled, all of it.
    pub(crate) fn handled(&mut self, link: usize, n: usize) {
        self.links[link].handled(n);
    }

    /// The callback failed: what it did not take goes back, `lost` were in its hand.
    pub(crate) fn give_back(&mut self, link: usize, rest: Vec<E>, lost: usize) {
        let link = &self.links[link];
        link.outlet.give_back(link.sub, rest, lost);
        self.last = None;
    }

    /// Adds to what a link with manual demand asks for with its next operation.
    pub(crate) fn ask(&mut self, sub: SubId, outlet: *const (), n: usize) -> bool {
        let link = self.links.iter_mut().find(|l| l.sub == sub && Arc::as_ptr(&l.outlet).cast() == outlet);
        match link {
            Some(link) => {
                link.ask += n;
                link.in_flight += n;
                true
            }
            None => false,
        }
    }

    pub(crate) fn remove(&mut self, link: usize) -> Link<E> {
        self.last = None;
        self.turn -= usize::from(link < self.turn);
        self.links.remove(link)
    }

    /// Ends all subscriptions.
    pub(crate) fn leave_all(&mut self, failed: bool, why: &CancelReason) {
        for link in self.links.drain(..) {
            link.leave(failed, why.clone());
        }
        self.last = None;
    }

    /// Reports the last slice handled, with the ask that follows from it: before drawing elsewhere, running mail or
    /// sleeping.
    pub(crate) fn report(&mut self) {
        if let Some(last) = self.last.take() {
            let link = &mut self.links[last];
            link.outlet.report(link.sub, std::mem::take(&mut link.ask));
        }
    }

    /// Takes marks off lanes that others share, so that a wake meant for whoever is free does not end here.
    fn unmark_shared(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.marked == Marked::Shared) {
            link.outlet.unmark(link.sub);
            link.marked = Marked::No;
        }
    }

    /// One operation at one link.
    #[inline]
    fn look(&mut self, i: usize, open: bool, mark: MarkAs) -> Option<Round> {
        let link = &mut self.links[i];
        let max = if open { link.demand.slice() } else { 0 };
        if self.last == Some(i) {
            self.last = None;
        }
        let found = match link.outlet.draw(link.sub, std::mem::take(&mut link.ask), max, mark, &mut self.buffer) {
            Drawn::Nothing { shared } => {
                link.marked = match (mark, shared) {
                    (MarkAs::Not, _) => Marked::No,
                    (_, true) => Marked::Shared,
                    (_, false) => Marked::Alone,
                };
                return None;
            }
            Drawn::Switched { manual, asked } => {
                link.switched(manual, asked);
                return self.look(i, open, mark);
            }
            Drawn::Events => Round::Slice(i),
            Drawn::Note(note) => Round::Note(note),
            Drawn::Ended(why) => {
                link.ended = true;
                Round::Ended(i, why)
            }
        };
        link.marked = Marked::No;
        if matches!(found, Round::Slice(_)) {
            self.last = Some(i);
            self.turn = i + 1;
        }
        if self.links.len() > 1 {
            self.unmark_shared();
        }
        Some(found)
    }

    /// Looks at every link, beginning after the one drawn last.
    fn look_at_all(&mut self, open: bool, mark: MarkAs) -> Option<Round> {
        let (n, turn) = (self.links.len(), self.turn);
        (0..n).find_map(|k| self.look((turn + k) % n, open, mark))
    }

    /// The next thing to do; sleeps until there is one.
    ///
    /// `own` is the stage's own outlet, if it emits, and `told` what the last operation there said.
    pub(crate) fn next(&mut self, own: Option<&dyn OwnSide>, told: Option<Told>) -> Round {
        let mut told = Told::joined(self.kept.take(), told);
        loop {
            if self.links.len() != 1 || self.mail.is_waiting() {
                self.report();
            }
            self.mail.latch().clear();
            if self.mail.is_waiting() {
                self.report();
                self.unmark_shared();
                self.kept = told;
                return Round::Mail;
            }
            let mut open = true;
            // Whether what the own outlet told is older than the clear, which may have forgotten a wake of it.
            let mut stale = false;
            if let Some(own) = own {
                // A producer is told its grants and marked idle in one step; a producer-consumer only looks.
                let now = match told.take() {
                    Some(now) if !self.links.is_empty() || self.is_notable(&now) => {
                        stale = true;
                        now
                    }
                    _ => own.tell(self.links.is_empty()),
                };
                if self.is_notable(&now) {
                    self.report();
                    self.unmark_shared();
                    return Round::Told(now);
                }
                open = now.wanted > 0 && !self.links.is_empty();
            }
            if open {
                // With one link, looking and marking are one step.
                let found = if self.links.len() > 1 { self.look_at_all(true, MarkAs::Not) } else { None };
                if let Some(found) = found {
                    return found;
                }
                if let Some(found) = self.look_at_all(true, MarkAs::Events) {
                    return found;
                }
                if stale {
                    continue;
                }
            } else if !self.links.is_empty() {
                // The ask goes up alone, so that upstream works on; only a grant takes the idle mark off.
                let now = own.map(|own| own.tell(true)).unwrap_or_default();
                if now.wanted > 0 || self.is_notable(&now) {
                    told = Some(now);
                    continue;
                }
                if let Some(found) = self.look_at_all(false, MarkAs::Signals) {
                    return found;
                }
            }
            self.wait(if open { WaitFor::Work } else { WaitFor::Room });
        }
    }

    /// Waits until something has come; what, has to be looked for.
    pub(crate) fn wait(&mut self, what: WaitFor) {
        self.waited.wait(what, &mut self.patience, self.mail.latch(), &self.clock);
    }

    fn is_notable(&self, told: &Told) -> bool {
        told.granted > 0
            || told.fault.is_some()
            || !told.news.is_empty()
            || (told.abandoned && self.ends_abandoned)
            || (self.is_source && told.wanted > 0)
    }
}
