//! What a queue has done in this process, in figures.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a queue has done in this process, since it was opened. Of all processes together [`Queue::counts`](super::Queue::counts) knows what
/// stands in the table.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = drawgate::jobs::Sqlite::file(dir.path().join("shop.db"));
/// let queue: drawgate::jobs::Queue<u32, _> = drawgate::jobs::Queue::builder(store).open()?;
/// queue.install()?;
/// queue.enqueue_all([1, 2, 3])?;
/// assert_eq!((queue.stats().enqueued, queue.stats().started), (3, 0));
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Jobs enqueued; those in a transaction that was rolled back count, too.
    pub enqueued: u64,
    /// Jobs reserved.
    pub claimed: u64,
    /// Runs begun.
    pub started: u64,
    /// Jobs done, and removed.
    pub done: u64,
    /// Runs after which the job was to be tried again.
    pub retried: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Runs whose job somebody else had taken over, or cancelled, when they ended or before.
    pub lost: u64,
    /// Jobs that were reserved, not begun, and given back.
    pub given_back: u64,
    /// Statements that failed because of the database.
    pub troubles: u64,
    /// From when a job was due until it was reserved, added up.
    pub late: Duration,
    /// From when a run began until its handler returned, added up.
    pub worked: Duration,
}

/// Something happened to a job in this process: what [`on_event`](super::QueueBuilder::on_event) hears.
///
/// ```
/// use drawgate::jobs::{JobEvent, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let (log, lines) = std::sync::mpsc::channel();
/// let queue: Queue<u32, _> = Queue::builder(store)
///     .max_attempts(1)
///     .on_event(move |event| {
///         if let JobEvent::Failed { attempt, cause, .. } = event {
///             let _ = log.send(format!("failed after {attempt}: {cause}"));
///         }
///     })
///     .open()?;
/// queue.install()?;
/// let workers = queue.work(|n, _| Ok(anyhow::ensure!(**n < 9, "{} is too many", **n))).threads(1).spawn()?;
/// queue.enqueue(12)?;
/// assert_eq!(lines.recv()?, "failed after 1: 12 is too many");
/// workers.stop(std::time::Duration::from_secs(5))?;
/// # anyhow::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum JobEvent<'a> {
    /// So many were reserved.
    Claimed(usize),
    /// It is done. One that was to be removed with others is told of when it is.
    Done {
        /// Its number.
        id: i64,
        /// Which attempt that was, from 1.
        attempt: u32,
    },
    /// It failed, and is tried again.
    Retried {
        /// Its number.
        id: i64,
        /// Which attempt that was, from 1.
        attempt: u32,
        /// After so long.
        after: Duration,
        /// Why.
        cause: &'a str,
    },
    /// It failed for good.
    Failed {
        /// Its number.
        id: i64,
        /// Which attempt that was, from 1.
        attempt: u32,
        /// Why.
        cause: &'a str,
    },
    /// It was taken over by somebody else, or cancelled, before it ended.
    Lost {
        /// Its number.
        id: i64,
        /// Which attempt that was, from 1.
        attempt: u32,
    },
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) enqueued: AtomicU64,
    pub(super) claimed: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) given_back: AtomicU64,
    pub(super) troubles: AtomicU64,
    late: AtomicU64,
    worked: AtomicU64,
}

/// Adds to a figure, by which nothing is decided.
pub(super) fn add(figure: &AtomicU64, n: usize) {
    // ORDERING: Relaxed: only counted.
    figure.fetch_add(n as u64, Relaxed);
}

impl Figures {
    pub(super) fn add_late(&self, time: Duration) {
        self.late.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(0), Relaxed);
    }
    pub(super) fn add_worked(&self, time: Duration) {
        self.worked.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(0), Relaxed);
    }

    pub(super) fn read(&self) -> QueueStats {
        let n = |figure: &AtomicU64| figure.load(Relaxed);
        QueueStats {
            enqueued: n(&self.enqueued),
            claimed: n(&self.claimed),
            started: n(&self.started),
            done: n(&self.done),
            retried: n(&self.retried),
            failed: n(&self.failed),
            lost: n(&self.lost),
            given_back: n(&self.given_back),
            troubles: n(&self.troubles),
            late: Duration::from_nanos(n(&self.late)),
            worked: Duration::from_nanos(n(&self.worked)),
        }
    }
}
