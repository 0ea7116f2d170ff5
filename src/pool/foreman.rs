//! The stage of a pool: draws one event at a time, and only when it can be given to a worker.
//!
//! Where it waits: for a worker, with the event still in its lane's slice, so that a stop gives it back; at the end of all
//! producers, and in `terminate`, for those in work. It sends no mail and gets none: workers ask for more by themselves.

use super::crew::Crew;
use super::roster::{Given, Roster, Seat};
use super::worker::{self, Task, Worker};
use crate::error::{CancelReason, ExitReason, SpawnError};
use crate::runtime::Telemetry;
use crate::stage::{Consumer, Context, Events, GaveUp, Init, Order, Peer, StageRef};
use crate::sync::{Arc, Deadline, Latch, thread};
use std::io;

pub(super) struct Foreman<E> {
    pub(super) crew: Arc<Crew<E>>,
    pub(super) task: Arc<Task<E>>,
    pub(super) stack_size: Option<usize>,
    /// Whether the last thread that was wanted was refused, and that was told.
    pub(super) refused: bool,
}

impl<E: Send + 'static> Foreman<E> {
    /// A worker for the next event; waits until there is one.
    fn seat(&mut self, ctx: &Context<'_>) -> anyhow::Result<usize> {
        let crew = self.crew.clone();
        loop {
            crew.room.clear();
            let now = crew.clock().now();
            let seat = crew.roster().seat(now, crew.runtime.awake());
            match seat {
                Seat::Idle(number) => return Ok(number),
                Seat::New(number, latch) => match self.start(number, latch, ctx.me()) {
                    Ok(()) => {
                        self.refused = false;
                        return Ok(number);
                    }
                    Err(cause) => self.do_without(number, cause, &ctx.me())?,
                },
                Seat::Full => {}
            }
            if matches!(ctx.common.life.ordered(), Some(Order::Stop(_))) {
                anyhow::bail!(GaveUp);
            }
            crew.room.park(crew.clock(), Deadline::NEVER);
        }
    }

    fn start(&self, number: usize, latch: Arc<Latch>, pool: StageRef) -> io::Result<()> {
        let (crew, task) = (self.crew.clone(), self.task.clone());
        let awake = crew.runtime.awake().guard();
        thread::spawn(format!("{}-{number}", pool.name()), self.stack_size, move || {
            awake.enter();
            let _awake = awake;
            worker::run(&crew, task, Worker::new(number, pool), &latch);
        })
    }

    /// The system refused a thread: goes on with those there are, and fails if there are none.
    fn do_without(&mut self, number: usize, cause: io::Error, pool: &StageRef) -> anyhow::Result<()> {
        if !self.crew.roster().refused(number) {
            return Err(SpawnError::Thread { stage: pool.name().clone(), cause }.into());
        }
        if !std::mem::replace(&mut self.refused, true) {
            self.crew.runtime.report(&Telemetry::NoThread { stage: pool.name(), cause: &cause });
        }
        Ok(())
    }
}

impl<E: Send + 'static> Consumer for Foreman<E> {
    type Event = E;

    fn init(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<Init> {
        let _ = ctx.common.life.figures.crew.set(self.crew.clone());
        let room = self.crew.room.clone();
        ctx.stop_token().on_stop(move || room.wake());
        Ok(Init::Ready)
    }

    fn handle_events(&mut self, mut events: Events<'_, E>, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let from = events.subscription().clone();
        while events.len() > 0 {
            let number = self.seat(ctx)?;
            let event = events.next().expect("bug: the event was there");
            let latch = self.crew.roster().give(number, Given { event, from: from.clone() });
            latch.wake();
        }
        Ok(())
    }

    /// Waits for those in work here and not in `terminate`, where the stop token says already that it is over.
    fn handle_done(&mut self, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.crew.wait_until(|roster: &Roster<E>| roster.in_work() == 0);
        Ok(())
    }

    fn handle_subscribe(&mut self, peer: &Peer, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        let n = self.crew.roster().subscribed(&peer.subscription);
        ctx.ask(&peer.subscription, n);
        Ok(())
    }

    fn handle_cancel(&mut self, peer: &Peer, _: &CancelReason, _: &mut Context<'_>) -> anyhow::Result<()> {
        self.crew.roster().cancelled(&peer.subscription);
        Ok(())
    }

    fn terminate(&mut self, _: &ExitReason) {
        self.crew.end();
    }
}
