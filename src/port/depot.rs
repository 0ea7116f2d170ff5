//! The depot: events of a port that come later, held for the timer.
//!
//! Guarantees: an event in here is handed to the port's thread when it is due, or taken out by `cancel`, or goes to
//! `on_lost` with its port, or, pushed by name, follows the name. The timer's thread only moves it to the due list, or to
//! that of the port which has the name by then; it runs no user code.

use super::handle::Port;
use super::shelf::Shelf;
use crate::Name;
use crate::error::PushError;
use crate::link::{Outlet, Routed};
use crate::runtime::Telemetry;
use crate::stage::Life;
use crate::sync::{Arc, Mutex, Rank, Weak, drop_each, isolate, thread};
use crate::timer::{Due, Refused, TimerId, TimerKey};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Numbers of delayed events, over all ports, so that one is never taken for another.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub(super) struct Depot<E> {
    /// Rank `Timer`, a leaf.
    state: Mutex<State<E>>,
    /// Set before the port can be pushed into.
    life: OnceLock<Arc<Life>>,
    outlet: OnceLock<Arc<Outlet<E>>>,
    on_lost: Option<Arc<OnLost<E>>>,
    most: usize,
    /// For the timer, and for threads that report what is lost.
    me: Weak<Self>,
}
pub(super) type OnLost<E> = dyn Fn(E, &Name) + Send + Sync;

struct State<E> {
    delayed: Shelf<Delayed<E>>,
    due: VecDeque<Delayed<E>>,
    ended: bool,
}

impl<E> State<E> {
    /// Whether the port's thread is to be woken: only for the first, since it takes all that it finds, and whoever put
    /// the first wakes it, or is about to.
    fn put_due(&mut self, delayed: Delayed<E>) -> bool {
        self.due.push_back(delayed);
        self.due.len() == 1
    }
}

pub(super) struct Delayed<E> {
    pub(super) event: E,
    pub(super) place: Place,
    key: Option<TimerKey>,
}

#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Accepted by this port, which waits for it.
    Here,
    /// The same, but it follows the port's name.
    Name,
    /// It has its place in the lane already.
    Taken(Routed),
}

impl<E: Send + 'static> Depot<E> {
    pub(super) fn new(most: usize, on_lost: Option<Arc<OnLost<E>>>) -> Arc<Self> {
        let state = State { delayed: Shelf::new(), due: VecDeque::new(), ended: false };
        Arc::new_cyclic(|me| Self {
            state: Mutex::new(Rank::Timer, state),
            life: OnceLock::new(),
            outlet: OnceLock::new(),
            on_lost,
            most,
            me: me.clone(),
        })
    }

    pub(super) fn belongs_to(&self, life: &Arc<Life>, outlet: &Arc<Outlet<E>>) {
        let _ = self.life.set(life.clone());
        let _ = self.outlet.set(outlet.clone());
    }

    fn life(&self) -> &Arc<Life> {
        self.life.get().expect("bug: a depot is used when its port has started")
    }

    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        state.delayed.len() + state.due.len()
    }

    /// Keeps an event until it is due: `Closed` if the port has ended, `Full` if there are too many or the timer does not
    /// take it.
    pub(super) fn keep(&self, event: E, place: Place, delay: Duration) -> Result<TimerId, PushError<E>> {
        // ORDERING: Relaxed: only has to be another number each time.
        let number = NUMBERS.fetch_add(1, Relaxed);
        let token = {
            let mut state = self.state.lock();
            if state.ended {
                return Err(PushError::Closed(event));
            }
            // What has its place already is bounded by the capacity.
            if state.delayed.len() >= self.most && !matches!(place, Place::Taken(_)) {
                return Err(PushError::Full(event));
            }
            state.delayed.insert(number, Delayed { event, place, key: None })
        };
        let runtime = &self.life().runtime;
        let at = runtime.clock().after(delay).instant();
        // A moment too far away to be written down: it stays until it is cancelled, or the port ends.
        let Some(at) = at else { return Ok(TimerId(token)) };
        let me = self.me.upgrade().expect("bug: used, and so alive");
        match runtime.timer().insert(at, me, token) {
            Ok(key) => {
                if let Some(delayed) = self.state.lock().delayed.get_mut(token) {
                    delayed.key = Some(key);
                }
                Ok(TimerId(token))
            }
            Err(refused) => {
                if let Refused::Thread(cause) = &refused {
                    self.life().report(&Telemetry::NoThread { stage: &self.life().name, cause });
                }
                self.refused(token)
            }
        }
    }

    /// Takes back what the timer does not take.
    fn refused(&self, token: u64) -> Result<TimerId, PushError<E>> {
        match self.state.lock().delayed.remove(token) {
            Some(refused) => Err(PushError::Full(refused.event)),
            None => Ok(TimerId(token)), // the port has ended meanwhile, and counted it
        }
    }

    pub(super) fn cancel(&self, id: TimerId) -> Option<(E, Place)> {
        let delayed = self.state.lock().delayed.remove(id.0)?;
        if let Some(key) = delayed.key {
            self.life().runtime.timer().cancel(key);
        }
        Some((delayed.event, delayed.place))
    }

    /// What is due, for the port's thread.
    pub(super) fn take_due(&self) -> VecDeque<Delayed<E>> {
        std::mem::take(&mut self.state.lock().due)
    }

    /// The port has ended: everything that does not follow its name.
    pub(super) fn end(&self) -> Vec<E> {
        let mut state = self.state.lock();
        state.ended = true;
        let mut left: Vec<E> = std::mem::take(&mut state.due).into_iter().map(|delayed| delayed.event).collect();
        let stay = state.delayed.take_all_that(|delayed| !matches!(delayed.place, Place::Name));
        left.extend(stay.into_iter().map(|delayed| delayed.event));
        left
    }

    /// Events that reach nobody: to `on_lost`, or counted. Runs user code.
    pub(super) fn lose(&self, left: Vec<E>) {
        if left.is_empty() {
            return;
        }
        let life = self.life();
        if let Some(outlet) = self.outlet.get() {
            outlet.count_lost(left.len());
        }
        match &self.on_lost {
            Some(on_lost) => {
                for event in left {
                    let _ = isolate(|| on_lost(event, &life.name));
                }
            }
            None => {
                life.report(&Telemetry::Lost { stage: &life.name, count: left.len() });
                let _ = drop_each(left);
            }
        }
    }

    /// An event due that outlived its port: to whoever has the name by now.
    fn follow(&self, event: E) {
        let life = self.life();
        let lost = match life.runtime.registry().port_by_key::<E>(life.name.key()) {
            Ok(port) => match port.take_due(event) {
                Ok(()) => return,
                Err(event) => event,
            },
            Err(_) => event,
        };
        // Not here: `on_lost` is the user's, and this is the timer's thread.
        let me = self.me.upgrade().expect("bug: used, and so alive");
        let spawned = thread::spawn(format!("{}-lost", life.name), None, move || me.lose(vec![lost]));
        if let Err(cause) = spawned {
            life.report(&Telemetry::NoThread { stage: &life.name, cause: &cause });
            if let Some(outlet) = self.outlet.get() {
                outlet.count_lost(1);
            }
        }
    }
}

impl<E: Send + 'static> Port<E> {
    /// Takes over an event that was due for an earlier port of this name.
    fn take_due(&self, event: E) -> Result<(), E> {
        if !self.outlet().announce(true) {
            return Err(event);
        }
        self.depot().put_due(event)
    }
}

impl<E: Send + 'static> Depot<E> {
    fn put_due(&self, event: E) -> Result<(), E> {
        let first = {
            let mut state = self.state.lock();
            if state.ended {
                return Err(event);
            }
            state.put_due(Delayed { event, place: Place::Here, key: None })
        };
        if first {
            self.life().nudge.nudge();
        }
        Ok(())
    }
}

impl<E: Send + 'static> Due for Depot<E> {
    fn due(&self, token: u64) {
        let put = {
            let mut state = self.state.lock();
            let Some(delayed) = state.delayed.remove(token) else { return };
            match state.ended {
                false => Ok(state.put_due(delayed)),
                true => Err(delayed),
            }
        };
        match put {
            Ok(true) => self.life().nudge.nudge(),
            Ok(false) => {}
            Err(delayed) => self.follow(delayed.event),
        }
    }
}
