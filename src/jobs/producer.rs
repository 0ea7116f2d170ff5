//! The producer of a queue: reserves jobs as demand arrives.
//!
//! It looks into the table when somebody asks for more, when its bell rings, and when a job is to become due or a lease to
//! expire, at least every `poll`. What it finds wrong with the database it reports, and tries again; demand is kept.

use super::hold::Hold;
use super::job::{Reserved, Slip};
use super::queue::Queue;
use super::stats::{JobEvent, add};
use super::store::{Listening, Row, Run, Store, Verdict};
use crate::ExitReason;
use crate::stage::{Builder, Context, Doorbell, Init, Producer, ProducerKind, TimerId, producer_with};
use crate::sync::{Arc, Clock, isolate};
use std::fmt;
use std::time::{Duration, Instant};

/// The most that one claim asks for.
const MOST: usize = 1000;
/// So many claims in a row, before anything else has its turn.
const ROUNDS: usize = 10;
/// How long it waits, where jobs have limit keys, before it looks whether there is room for one more.
const ROOM: Duration = Duration::from_secs(1);
/// After a ring the next due time is looked up within this, once for all rings meanwhile.
const SOON: Duration = Duration::from_millis(100);
/// And when what is due is locked by somebody.
const LOCKED: Duration = Duration::from_millis(500);
/// How long it waits after the database failed it, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<J: Send + 'static, S: Store> Queue<J, S> {
    /// A producer of this queue's jobs, as an ordinary stage: it reserves as many as are asked for, those with the lowest
    /// priority first, then those that are due longest. A [`Worker`](super::Worker) begins and ends them. It has a connection
    /// of its own, and one more for its bell, where the store has one.
    ///
    /// It lives until it is stopped; then what stands in its lane is still drawn, and what nobody draws is given back. While the
    /// database is away it waits, and tells so once ([`Telemetry::Trouble`](crate::runtime::Telemetry::Trouble)); what was
    /// asked for stays asked for. Its start fails if the database cannot be reached, or has no such table. A panic of the
    /// parameters' reading fails that job alone.
    pub fn producer(&self) -> Builder<ProducerKind<JobProducer<J, S>>> {
        self.producer_with_hold(Hold::new())
    }

    pub(super) fn producer_with_hold(&self, hold: Arc<Hold>) -> Builder<ProducerKind<JobProducer<J, S>>> {
        let queue = self.clone();
        producer_with(move || {
            Ok(JobProducer {
                queue,
                hold,
                conn: None,
                bell: None,
                listening: None,
                sweep: None,
                beat: None,
                pruned: None,
                trouble: None,
            })
        })
    }
}

/// The state of a queue's producer: what [`Queue::producer`] starts.
///
/// ```
/// use drawgate::jobs::{JobProducer, Queue, Reserved, Sqlite};
/// use drawgate::{ExitReason, Handle, Nothing};
///
/// /// The stages of a mill.
/// struct Mill {
///     jobs: Handle<Nothing, Reserved<String>, JobProducer<String, Sqlite>>,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<String, _> = Queue::builder(store).open()?;
/// queue.install()?;
/// queue.enqueue("rye".to_string())?;
/// let mill = Mill { jobs: queue.producer().spawn()? };
/// assert_eq!(queue.counts()?.available, 1); // nobody asks, so nothing is reserved
/// mill.jobs.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
/// # anyhow::Ok(())
/// ```
pub struct JobProducer<J, S: Store> {
    queue: Queue<J, S>,
    hold: Arc<Hold>,
    conn: Option<S::Connection>,
    bell: Option<Doorbell>,
    listening: Option<Box<dyn Listening>>,
    /// When it sweeps next.
    sweep: Option<Sweep>,
    beat: Option<TimerId>,
    /// When it pruned last.
    pruned: Option<Instant>,
    /// Since the database failed it: how long it waits before the next try.
    trouble: Option<Duration>,
}

struct Sweep {
    timer: TimerId,
    /// None if that is beyond all times.
    at: Option<Instant>,
}

type Ctx<'a, 'b, J> = &'a mut Context<'b, Reserved<J>>;

impl<J: Send + 'static, S: Store> JobProducer<J, S> {
    /// Does something on its connection. After a failure there is none, and a time for the next try.
    fn with<R>(
        &mut self,
        doing: &'static str,
        ctx: Ctx<'_, '_, J>,
        f: impl FnOnce(&S, &mut S::Connection) -> Result<R, S::Error>,
    ) -> Option<R> {
        let queue = self.queue.clone();
        let store = &queue.0.store;
        let done = match self.conn.take() {
            Some(conn) => Ok(conn),
            None => store.connect(),
        };
        let done = done.and_then(|mut conn| f(store, &mut conn).map(|r| (r, conn)));
        match done {
            Ok((r, conn)) => {
                self.conn = Some(conn);
                Some(r)
            }
            Err(cause) => {
                let first = self.trouble.is_none();
                let pause = self.trouble.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                self.trouble = Some(pause);
                let error = queue.failed(doing, cause);
                if first {
                    ctx.report(&error.into());
                }
                self.set_sweep(pause, ctx);
                None
            }
        }
    }

    fn sweeps_within(&self, time: Duration) -> bool {
        self.sweep.as_ref().and_then(|sweep| sweep.at).is_some_and(|at| at <= Clock::Real.now() + time)
    }

    fn set_sweep(&mut self, after: Duration, ctx: Ctx<'_, '_, J>) {
        if let Some(sweep) = self.sweep.take() {
            ctx.cancel_timer(sweep.timer);
        }
        self.sweep = match ctx.send_after(after) {
            Ok(timer) => Some(Sweep { timer, at: Clock::Real.now().checked_add(after) }),
            Err(_) => None, // the runtime's timer is full: the next demand or ring looks again
        };
    }

    /// Reserves what is asked for. Unless told that there is something new it waits until half of what its consumers asked
    /// for is missing: one claim for many asks.
    fn claim(&mut self, something_new: bool, ctx: Ctx<'_, '_, J>) {
        if self.trouble.is_some() && !something_new {
            return; // the sweep that is set tries again
        }
        for _ in 0..ROUNDS {
            let wanted = ctx.demand();
            if wanted == 0 || ctx.is_stopping() {
                return;
            }
            if !something_new && wanted < ctx.me().stats().buffered {
                // Those who asked may have grown slow, and ask no more for a while.
                if !self.sweeps_within(SOON) {
                    self.set_sweep(SOON, ctx);
                }
                return;
            }
            let (limit, lease) = (wanted.min(MOST), self.queue.0.options.reservation);
            let per_key = self.queue.0.options.per_key;
            let claim = |store: &S, conn: &mut S::Connection| store.claim(conn, limit, lease, per_key);
            let Some(rows) = self.with("reserving", ctx, claim) else { return };
            let all = rows.len();
            add(&self.queue.0.figures.claimed, all);
            if all > 0 {
                self.queue.tell(&JobEvent::Claimed(all));
            }
            for row in rows {
                self.queue.0.figures.add_late(row.late);
                if let Some(job) = self.read(row, ctx) {
                    ctx.emit(job);
                }
            }
            ctx.flush();
            self.trouble = None;
            match per_key {
                None if all < limit => return,
                // Others of the same keys may have stood before those that can be had.
                Some(_) if all == 0 => return self.look_again_for_room(ctx),
                _ => {}
            }
        }
        // Others want something of this thread, too: what is left comes after that.
        self.hold.ring();
    }

    /// Jobs of a limit key may be kept back by those in other processes, which nobody tells of when they end.
    fn look_again_for_room(&mut self, ctx: Ctx<'_, '_, J>) {
        if !self.sweeps_within(ROOM) {
            self.set_sweep(ROOM, ctx);
        }
    }

    /// Reads a job's parameters. One that does not parse fails, as if a handler had said so.
    fn read(&mut self, mut row: Row, ctx: Ctx<'_, '_, J>) -> Option<Reserved<J>> {
        let slip = Slip::new(&mut row, &self.hold);
        let cause = match isolate(|| (self.queue.0.codec.decode)(&row.params)) {
            Ok(Ok(params)) => return Some(Reserved { params, slip }),
            Ok(Err(cause)) => format!("its parameters do not parse: {cause:#}"),
            Err(message) => format!("its parameters do not parse: panicked: {message}"),
        };
        let queue = self.queue.clone();
        let (started, last) =
            (Run { attempt: row.run.attempt + 1, ..row.run }, row.run.attempt + 1 >= row.max_attempts);
        let verdict = match last {
            true => Verdict::Failed,
            false => Verdict::Retry(queue.back_off(u32::try_from(started.attempt).unwrap_or(1))),
        };
        let failed = self.with("failing", ctx, |store, conn| {
            let begun = store.start(conn, &[row.run], queue.0.options.execution)?;
            Ok(!begun.is_empty() && store.fail(conn, started, verdict, &cause)?)
        });
        if failed == Some(true) {
            let (id, attempt, cause) = (started.id, u32::try_from(started.attempt).unwrap_or(1), &*cause);
            match verdict {
                Verdict::Failed => {
                    add(&queue.0.figures.failed, 1);
                    queue.tell(&JobEvent::Failed { id, attempt, cause });
                }
                Verdict::Retry(after) => {
                    add(&queue.0.figures.retried, 1);
                    queue.tell(&JobEvent::Retried { id, attempt, after, cause });
                }
            }
            let mut slip = slip;
            slip.gone = true;
            self.set_sweep(SOON, ctx);
        }
        None
    }

    fn give_back(&mut self, ctx: Ctx<'_, '_, J>) {
        let runs = self.hold.take_returned();
        if runs.is_empty() {
            return;
        }
        match self.with("giving back", ctx, |store, conn| store.give_back(conn, &runs)) {
            Some(n) => add(&self.queue.0.figures.given_back, n),
            None => self.hold.put_returned(runs),
        }
    }

    /// Makes available what is due, and says when it does so next. Returns whether the database is well.
    fn sweep(&mut self, ctx: Ctx<'_, '_, J>) -> bool {
        let poll = self.queue.0.options.poll;
        let Some(swept) = self.with("sweeping", ctx, |store, conn| store.sweep(conn)) else { return false };
        add(&self.queue.0.figures.failed, swept.failed);
        // What is due and was not to be had is locked by somebody, as by a handler that outlives its lease.
        let nothing = swept.due + swept.expired + swept.failed == 0;
        let least = if nothing { LOCKED } else { Duration::from_millis(1) };
        let next = swept.next.map_or(poll, |next| if next.is_zero() { least } else { next });
        self.set_sweep(next.max(Duration::from_millis(1)).min(poll), ctx);
        self.prune(ctx);
        true
    }

    /// Removes old failed jobs, at most once a `poll`.
    fn prune(&mut self, ctx: Ctx<'_, '_, J>) {
        let (now, poll, (age, keep)) = (Clock::Real.now(), self.queue.0.options.poll, self.queue.0.options.keep_failed);
        if (age, keep) != (None, None) && self.pruned.is_none_or(|at| now.saturating_duration_since(at) >= poll) {
            self.pruned = Some(now);
            self.with("pruning", ctx, |store, conn| store.prune(conn, age, keep));
        }
    }

    /// Extends the leases of what is in progress, and tells those who have lost theirs.
    fn beat(&mut self, ctx: Ctx<'_, '_, J>) {
        let (runs, execution) = (self.hold.in_progress(), self.queue.0.options.execution);
        if runs.is_empty() {
            return;
        }
        if let Some(still) = self.with("extending leases", ctx, |store, conn| store.extend(conn, &runs, execution)) {
            self.hold.keep(&runs, &still);
        }
    }

    fn listen(&mut self, ctx: Ctx<'_, '_, J>) {
        let Some(bell) = self.bell.clone() else { return };
        match self.queue.0.store.listen(Box::new(move || bell.ring())) {
            Ok(listening) => self.listening = listening,
            Err(cause) => ctx.report(&self.queue.failed("listening (so it only polls)", cause).into()),
        }
    }
}

impl<J: Send + 'static, S: Store> Producer for JobProducer<J, S> {
    type Event = Reserved<J>;

    fn init(&mut self, ctx: Ctx<'_, '_, J>) -> anyhow::Result<Init> {
        let queue = self.queue.clone();
        let mut conn = queue.0.store.connect().map_err(|cause| queue.failed("connecting", cause))?;
        queue.0.store.sweep(&mut conn).map_err(|cause| queue.failed("sweeping", cause))?;
        self.conn = Some(conn);
        let bell = ctx.doorbell();
        self.hold.set_bell(bell.clone());
        self.bell = Some(bell);
        queue.add_hold(&self.hold);
        self.listen(ctx);
        let _ = self.sweep(ctx); // after the bell: what came before it is found
        self.beat = Some(ctx.send_interval(queue.0.options.execution / 3)?);
        Ok(Init::Ready)
    }

    fn handle_demand(&mut self, _: usize, ctx: Ctx<'_, '_, J>) -> anyhow::Result<()> {
        self.claim(false, ctx);
        Ok(())
    }

    fn handle_timer(&mut self, timer: TimerId, ctx: Ctx<'_, '_, J>) -> anyhow::Result<()> {
        if Some(timer) == self.beat {
            self.beat(ctx);
        } else if self.bell.as_ref().is_some_and(|bell| bell.id() == timer) {
            if self.trouble.is_none() {
                self.give_back(ctx);
                self.claim(true, ctx);
            }
            // What came may be due later.
            if self.trouble.is_none() && !self.sweeps_within(SOON) {
                self.set_sweep(SOON, ctx);
            }
        } else {
            self.sweep = None;
            // What is worked on here must not be found expired, if that is only because the database was away.
            self.beat(ctx);
            self.give_back(ctx);
            if self.sweep(ctx) {
                if ctx.demand() == 0 {
                    self.trouble = None;
                }
                self.claim(true, ctx);
            }
        }
        Ok(())
    }

    fn terminate(&mut self, _: &ExitReason) {
        self.listening = None;
    }
}

impl<J, S: Store> Drop for JobProducer<J, S> {
    /// Gives back what stood in its lane when it ended, and what it had not got round to.
    fn drop(&mut self) {
        let runs = self.hold.take_returned();
        if let (Some(conn), false) = (&mut self.conn, runs.is_empty()) {
            match self.queue.0.store.give_back(conn, &runs) {
                Ok(n) => add(&self.queue.0.figures.given_back, n),
                Err(_) => self.hold.put_returned(runs), // the workers' handle tries again; else their reservations run out
            }
        }
    }
}

impl<J, S: Store> fmt::Debug for JobProducer<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobProducer({:?})", self.queue)
    }
}
