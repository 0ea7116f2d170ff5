//! Jobs that come back by the clock: cron expressions, each tick enqueued once over all processes.

use super::error::JobError;
use super::job::NewJob;
use super::queue::Queue;
use super::store::Store;
use crate::error::{BadOption, SpawnError};
use crate::registry::AsName;
use crate::stage::{Consumer, Context, Events, Init, StageRef, TimerId, consumer_with};
use crate::sync::isolate;
use crate::{Name, Runtime};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// How long it waits after the database failed it.
const PAUSE: Duration = Duration::from_secs(1);

impl<J: Send + 'static, S: Store> Queue<J, S> {
    /// Enqueues jobs by the clock. Say the same in each process: what a tick enqueues is there once.
    ///
    /// ```
    /// use drawgate::{ExitReason, jobs::{Queue, Sqlite}};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Sqlite::file(dir.path().join("shop.db"));
    /// let queue: Queue<String, _> = Queue::builder(store).open()?;
    /// queue.install()?;
    /// let clock = queue
    ///     .periodic()
    ///     .every("report", "0 9 * * MON-FRI", "Europe/Berlin", |_| "report".to_string())?
    ///     .every("clean", "*/10 * * * *", "UTC", |_| "clean".to_string())?
    ///     .spawn()?;
    /// assert!(clock.is_alive());
    /// clock.stop(ExitReason::Normal, std::time::Duration::from_secs(5))?;
    /// # anyhow::Ok(())
    /// ```
    pub fn periodic(&self) -> Periodic<J, S> {
        Periodic { queue: self.clone(), entries: Vec::new(), name: None, runtime: None }
    }
}

/// Jobs that come back by the clock, before it runs: [`Queue::periodic`].
///
/// ```
/// use drawgate::jobs::{Queue, Sqlite};
/// let queue: Queue<u32, _> = Queue::builder(Sqlite::file("shop.db")).open()?;
/// let refused = queue.periodic().every("never", "61 * * * *", "UTC", |_| 1).unwrap_err();
/// assert!(refused.to_string().contains("`cron` must be"), "{refused}");
/// # anyhow::Ok(())
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct Periodic<J, S: Store> {
    queue: Queue<J, S>,
    entries: Vec<Entry<J>>,
    name: Option<Name>,
    runtime: Option<Runtime>,
}

struct Entry<J> {
    name: String,
    cron: Cron,
    zone: Tz,
    make: Box<dyn FnMut(SystemTime) -> NewJob<J> + Send>,
    /// None after the last one.
    next: Option<DateTime<Tz>>,
}

impl<J> Entry<J> {
    fn after(&self, now: SystemTime) -> Option<DateTime<Tz>> {
        self.cron.find_next_occurrence(&self.local(now), false).ok()
    }
    /// The latest tick that has come.
    fn latest(&self, now: SystemTime) -> Option<DateTime<Tz>> {
        self.cron.find_previous_occurrence(&self.local(now), true).ok()
    }
    fn local(&self, time: SystemTime) -> DateTime<Tz> {
        DateTime::<Utc>::from(time).with_timezone(&self.zone)
    }
}

impl<J: Send + 'static, S: Store> Periodic<J, S> {
    /// Enqueues what `make` returns at each tick of a cron expression (minute, hour, day of the month, month, day of the week;
    /// with a sixth field before them, seconds) in a time zone of the IANA database. The name says which ticks are the same
    /// in several processes. `make` gets the time of the tick. Of ticks that passed while the database was away the latest
    /// is made up for; those while no process was there are not.
    ///
    /// # Errors
    /// Says what is wrong with the expression, or the zone.
    pub fn every<N: Into<NewJob<J>>>(
        mut self,
        name: &str,
        cron: &str,
        zone: &str,
        mut make: impl FnMut(SystemTime) -> N + Send + 'static,
    ) -> Result<Self, JobError> {
        let pattern = croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Optional).build();
        let parsed = pattern.parse(cron);
        let parsed = parsed.map_err(|cause| BadOption::new("cron", format!("an expression ({cause})"), cron))?;
        let zone = Tz::from_str(zone).map_err(|_| BadOption::new("zone", "one of the IANA database", zone))?;
        let make = Box::new(move |time| make(time).into());
        self.entries.push(Entry { name: name.to_owned(), cron: parsed, zone, make, next: None });
        Ok(self)
    }

    /// Registers its stage under this name. Defaults to none.
    pub fn name(mut self, name: impl AsName) -> Self {
        self.name = Some(name.to_name());
        self
    }

    /// Defaults to [`Runtime::global`].
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Starts it: a stage that sleeps until the next tick, with a connection of the queue's while it enqueues. It goes by
    /// the database's clock, and lives until it is stopped.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn spawn(self) -> Result<StageRef, SpawnError> {
        let runtime = self.runtime.unwrap_or_else(|| Runtime::global().clone());
        let (queue, entries) = (self.queue, self.entries);
        let mut stage = consumer_with(move || Ok(Ticking { queue, entries, trouble: false })).runtime(&runtime);
        if let Some(name) = self.name {
            stage = stage.name(name);
        }
        Ok(StageRef::clone(&*stage.spawn()?))
    }
}

impl<J, S: Store> fmt::Debug for Periodic<J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.entries.iter().map(|entry| &entry.name).collect();
        f.debug_struct("Periodic").field("queue", &self.queue).field("entries", &names).finish_non_exhaustive()
    }
}

struct Ticking<J, S: Store> {
    queue: Queue<J, S>,
    entries: Vec<Entry<J>>,
    /// Whether the last try failed, which is told once.
    trouble: bool,
}

impl<J: Send + 'static, S: Store> Ticking<J, S> {
    /// Enqueues what is due. Returns how long it is until the next tick.
    fn tick(&mut self, ctx: &Context<'_>) -> Result<Option<Duration>, JobError> {
        let now = self.queue.with("looking at the clock", |store, conn| store.now(conn))?;
        let mut refused = None;
        for entry in &mut self.entries {
            let due = entry.next.as_ref().is_some_and(|next| SystemTime::from(*next) <= now);
            if let Some(tick) = entry.latest(now).filter(|_| due).map(SystemTime::from) {
                match isolate(|| (entry.make)(tick)) {
                    Ok(job) => match self.queue.enqueue_once(&entry.name, tick, job) {
                        Err(cause @ JobError::Store { .. }) => return Err(cause), // is tried again
                        Err(cause) => refused = Some(cause),
                        Ok(()) => {}
                    },
                    Err(message) => refused = Some(JobError::Params(anyhow::anyhow!("panicked: {message}"))),
                }
            }
            if due || entry.next.is_none() {
                entry.next = entry.after(now);
            }
        }
        if let Some(cause) = refused {
            ctx.report(&cause.into()); // this tick of it is left out
        }
        let next = self.entries.iter().filter_map(|entry| entry.next.map(SystemTime::from)).min();
        // A little later than the tick, so that the database's clock, which is coarser, has seen it.
        Ok(next.map(|next| next.duration_since(now).unwrap_or_default() + Duration::from_millis(1)))
    }

    fn go_on(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        match self.tick(ctx) {
            Ok(next) => {
                self.trouble = false;
                // In steps: the timer's clock and the database's drift apart, and zones change theirs.
                next.map(|next| ctx.send_after(next.min(Duration::from_secs(3600)))).transpose()?;
            }
            Err(cause) => {
                if !std::mem::replace(&mut self.trouble, true) {
                    ctx.report(&cause.into());
                }
                ctx.send_after(PAUSE)?;
            }
        }
        Ok(())
    }
}

impl<J: Send + 'static, S: Store> Consumer for Ticking<J, S> {
    type Event = Infallible;

    fn init(&mut self, ctx: &mut Context<'_>) -> anyhow::Result<Init> {
        let next = self.tick(ctx)?;
        next.map(|next| ctx.send_after(next.min(Duration::from_secs(3600)))).transpose()?;
        Ok(Init::Ready)
    }

    fn handle_events(&mut self, _: Events<'_, Infallible>, _: &mut Context<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    fn handle_timer(&mut self, _: TimerId, ctx: &mut Context<'_>) -> anyhow::Result<()> {
        self.go_on(ctx)
    }
}
