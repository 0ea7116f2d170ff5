//! What the queue's own calls fail with.

use crate::error::BadOption;
use std::error::Error;
use std::fmt;

/// Why a call of a queue did not do what it should.
///
/// ```
/// use drawgate::jobs::{JobError, Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let store = Sqlite::file(dir.path().join("shop.db"));
/// let queue: Queue<u32, _> = Queue::builder(store).open()?;
/// let refused = queue.enqueue(1).unwrap_err(); // nobody has made the table
/// assert!(matches!(&refused, JobError::Store { table, doing: "enqueuing", .. } if table == "jobs"), "{refused}");
/// queue.install()?;
/// let id = queue.enqueue(1)?;
/// let refused = queue.requeue(id).unwrap_err(); // it waits, and has not failed
/// assert!(matches!(refused, JobError::NotFailed { id: job } if job == id));
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// An option is out of range.
    BadOption(BadOption),
    /// The database refused it, or cannot be reached.
    Store {
        /// The table.
        table: String,
        /// What was to be done.
        doing: &'static str,
        /// The database's own error.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The parameters cannot be written down, or hold what not both databases can: a NUL in a string.
    Params(anyhow::Error),
    /// Another job, which has not failed, has this unique key.
    Duplicate {
        /// The key.
        key: String,
        /// The number of that job, if it is still there.
        id: Option<i64>,
    },
    /// There is no failed job of this number.
    NotFailed {
        /// The number.
        id: i64,
    },
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadOption(cause) => fmt::Display::fmt(cause, f),
            Self::Store { table, doing, cause } => write!(f, "{doing} in table {table}: {cause}"),
            Self::Params(cause) => write!(f, "the parameters of a job: {cause:#}"),
            Self::Duplicate { key, id: Some(id) } => write!(f, "job {id} has the unique key {key:?} already"),
            Self::Duplicate { key, id: None } => write!(f, "a job has the unique key {key:?} already"),
            Self::NotFailed { id } => write!(f, "there is no failed job {id}"),
        }
    }
}
impl Error for JobError {}
impl From<BadOption> for JobError {
    fn from(cause: BadOption) -> Self {
        Self::BadOption(cause)
    }
}
