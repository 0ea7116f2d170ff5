//! The two stores that come with the crate, over Diesel: one implementation, and what differs in `Driver`.

mod bell;
#[cfg(feature = "jobs-postgres")]
mod postgres;
#[cfg(feature = "jobs-sqlite")]
mod sqlite;
#[allow(
    missing_docs,
    missing_debug_implementations,
    unnameable_types,
    reason = "named by the hidden trait `Driver` only, which nobody outside can"
)]
mod statements;

#[cfg(feature = "jobs-postgres")]
pub use postgres::Postgres;
#[cfg(feature = "jobs-sqlite")]
pub use sqlite::Sqlite;

use super::store::{Due, Filter, JobRow, JobState, Listening, NewRow, Ring, Row, Run, Store, Swept, Verdict};
use crate::error::BadOption;
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::{Error as DbError, QueryResult};
use statements::{Bind, Bound, Claimed, Listed, Number, Statements, Word};
use std::fmt;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version of the table that this crate makes and knows.
const LAYOUT: i64 = 1;
/// The columns that EctoJob's table has not.
const ADDED: [&str; 3] = ["last_error", "unique_key", "limit_key"];
/// So many more jobs than are wanted are looked at, where some may be kept back by their limit key.
const SPARE: i64 = 1000;
/// The longest name of a channel in Postgres, which is the table's with its schema.
const CHANNEL: usize = 63;
/// The longest name of a table: Postgres cuts names at 63, and indexes add to it.
const LONGEST: usize = 40;

/// What a database, or the way to it, refuses.
///
/// ```
/// use drawgate::jobs::{JobError, Queue, Sqlite, StoreError};
/// # let dir = tempfile::tempdir()?;
/// let nowhere = Sqlite::file(dir.path().join("no such folder/shop.db"));
/// let queue: Queue<u32, _> = Queue::builder(nowhere).open()?; // nothing is connected yet
/// let Err(JobError::Store { cause, .. }) = queue.install() else { panic!("there is a folder") };
/// assert!(matches!(cause.downcast_ref(), Some(StoreError::Connect(_))), "{cause}");
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No connection.
    Connect(diesel::ConnectionError),
    /// A statement failed.
    Statement(DbError),
    /// The table was made by a newer version of this crate.
    Layout {
        /// The table.
        table: String,
        /// The version that it has.
        found: i64,
        /// The newest that this crate knows.
        known: i64,
    },
    /// It cannot be told of new jobs. The kind is `Unsupported` where the URL asks for what a listener cannot do, such as
    /// TLS, and `PermissionDenied` where the server does not let it in.
    Listen(std::io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) => write!(f, "no connection to the database: {cause}"),
            Self::Statement(cause) => fmt::Display::fmt(cause, f),
            Self::Listen(cause) => write!(f, "no listening for new jobs: {cause}"),
            Self::Layout { table, found, known } => {
                write!(f, "the table {table} has layout {found}, and this version knows none above {known}")
            }
        }
    }
}
impl std::error::Error for StoreError {}
impl From<diesel::ConnectionError> for StoreError {
    fn from(cause: diesel::ConnectionError) -> Self {
        Self::Connect(cause)
    }
}
impl From<DbError> for StoreError {
    fn from(cause: DbError) -> Self {
        Self::Statement(cause)
    }
}

/// A table of jobs, reached through connections `C` of Diesel's. Named by its aliases, [`Sqlite`](super::Sqlite) and
/// [`Postgres`](super::Postgres).
///
/// ```
/// use drawgate::jobs::{Sql, Sqlite, Store};
/// let store: Sql<diesel::SqliteConnection> = Sqlite::file("shop.db").table("mails")?;
/// assert_eq!(store.table_name(), "mails");
/// assert!(Sqlite::file("shop.db").table("mails; DROP TABLE orders").is_err());
/// # anyhow::Ok(())
/// ```
pub struct Sql<C> {
    url: String,
    table: String,
    /// How long a connection waits for another's transaction, where that has to be said.
    patience: Duration,
    statements: Statements<String>,
    conn: std::marker::PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for Sql<C> {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").field("table", &self.table).finish_non_exhaustive()
    }
}

/// What differs between the two databases.
#[doc(hidden)]
#[allow(missing_docs, unnameable_types, reason = "implemented and named in this folder only")]
pub trait Driver: diesel::Connection + Send + 'static {
    const STATEMENTS: Statements<&'static str>;
    /// Whether lists of runs are bound as one value in JSON; else as two arrays.
    const PAIRS_AS_JSON: bool;
    /// Whether a table's name may begin with a schema.
    const SCHEMAS: bool;
    fn open(url: &str, patience: Duration) -> Result<Self, StoreError>
    where
        Self: Sized;
    /// A transaction that writes. An `Ok` is committed.
    fn transact<T, E: From<DbError>>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E>;
    fn run(&mut self, statement: Bound<'_>) -> QueryResult<usize>;
    fn rows<'q, R>(&mut self, statement: Bound<'q>) -> QueryResult<Vec<R>>
    where
        Bound<'q>: LoadQuery<'q, Self, R>;
    /// The store's `listen`, for a table; `statement` is `Statements::bell`.
    fn listen(url: &str, table: &str, statement: &str, ring: Ring) -> Result<Option<Box<dyn Listening>>, StoreError>;
}

impl<C: Driver> Sql<C> {
    fn new(url: &str) -> Self {
        Self::with_table(url, None, "jobs")
    }

    /// The name of the table: letters, digits and underscores, at most 40, and in Postgres a schema and a dot before it, if
    /// it is not to be found by the search path. Defaults to `jobs`. A second table, with `_settings` behind the name, holds
    /// what is to be known of the queue by all processes.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn table(self, name: &str) -> Result<Self, BadOption> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        let is_name = |name: &str| {
            let mut letters = name.bytes();
            letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.len() <= LONGEST
        };
        if name.len() > CHANNEL || !is_name(table) || !schema.is_none_or(|schema| C::SCHEMAS && is_name(schema)) {
            let must = format!("at most {LONGEST} letters, digits and underscores, and no digit first");
            return Err(BadOption::new("table", must, name));
        }
        Ok(Self { patience: self.patience, ..Self::with_table(&self.url, schema, table) })
    }

    /// The version of the table, if there is one; an error if that is too new.
    fn layout(&self, conn: &mut C) -> Result<Option<i64>, StoreError>
    where
        for<'q> Bound<'q>: LoadQuery<'q, C, Number> + LoadQuery<'q, C, Word>,
    {
        let there: Vec<Number> = conn.rows(Bound { sql: &self.statements.has_settings, binds: &[] })?;
        if there.into_iter().all(|row| row.v == Some(0)) {
            return Ok(None);
        }
        let found: Vec<Word> = conn.rows(Bound { sql: &self.statements.layout, binds: &[] })?;
        match found.into_iter().find_map(|row| row.word?.parse().ok()) {
            Some(found) if found > LAYOUT => {
                Err(StoreError::Layout { table: self.table.clone(), found, known: LAYOUT })
            }
            found => Ok(found),
        }
    }

    fn with_table(url: &str, schema: Option<&str>, table: &str) -> Self {
        let quoted = |suffix: &str| match schema {
            Some(schema) => format!("\"{schema}\".\"{table}{suffix}\""),
            None => format!("\"{table}{suffix}\""),
        };
        let name = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
        let statements = C::STATEMENTS.of(|template| {
            template
                .replace("{t}", &quoted(""))
                .replace("{s}", &quoted("_settings"))
                .replace("{f}", &quoted("_ring"))
                .replace("{n}", table)
                .replace("{c}", &name)
        });
        Self { url: url.to_owned(), table: name, patience: PATIENCE, statements, conn: std::marker::PhantomData }
    }
}

/// Runs as they are bound: one value or two.
struct Pairs(Vec<String>);
impl Pairs {
    fn of<C: Driver>(runs: &[Run]) -> Self {
        let list = |open: char, close: char, item: &dyn Fn(&Run, &mut String)| {
            let mut all = String::from(open);
            for (i, run) in runs.iter().enumerate() {
                if i > 0 {
                    all.push(',');
                }
                item(run, &mut all);
            }
            all.push(close);
            all
        };
        let id = |run: &Run, all: &mut String| all.push_str(&run.id.to_string());
        let attempt = |run: &Run, all: &mut String| all.push_str(&run.attempt.to_string());
        let pair = |run: &Run, all: &mut String| {
            let _ = write!(all, "[{},{}]", run.id, run.attempt); // to a string that does not fail
        };
        match C::PAIRS_AS_JSON {
            true => Self(vec![list('[', ']', &pair)]),
            false => Self(vec![list('{', '}', &id), list('{', '}', &attempt)]),
        }
    }
    fn binds(&self) -> impl Iterator<Item = Bind<'_>> {
        self.0.iter().map(|text| Bind::Text(text))
    }
}

/// At most a hundred years: what is added to a time must still be one.
fn millis(time: Duration) -> i64 {
    const LONGEST: i64 = 100 * 366 * 86_400_000;
    i64::try_from(time.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}
/// Milliseconds since 1970, where a due time is one; and those from now, where it is a delay.
fn due(due: Due) -> (Option<i64>, i64) {
    match due {
        Due::Now => (None, 0),
        Due::In(delay) => (None, millis(delay)),
        Due::At(time) => (Some(since_1970(time)), 0),
    }
}
/// At most the year 9999.
fn since_1970(time: SystemTime) -> i64 {
    const LAST: i64 = 253_402_300_799_000;
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(time.as_millis()).unwrap_or(LAST).min(LAST)
}
fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// The rows of a bulk insert, as one value.
fn as_json(rows: &[NewRow<'_>]) -> String {
    let text =
        |text: Option<&str>| text.map_or_else(|| "null".to_owned(), |text| serde_json::Value::from(text).to_string());
    let mut all = String::from("[");
    for (i, row) in rows.iter().enumerate() {
        let (at, delay) = due(row.due);
        let at = at.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let (comma, notify) = (if i > 0 { "," } else { "" }, text(row.notify));
        let (unique, limit) = (text(row.unique_key), text(row.limit_key));
        let NewRow { params, priority, max_attempts, .. } = row;
        let _ = write!(
            all,
            "{comma}{{\"p\":{params},\"at\":{at},\"d\":{delay},\"pr\":{priority},\"m\":{max_attempts},\"n\":{notify},\"u\":{unique},\"l\":{limit}}}"
        );
    }
    all.push(']');
    all
}

impl NewRow<'_> {
    /// Whether it has nothing but parameters, a time, and numbers.
    fn is_plain(&self) -> bool {
        self.notify.or(self.unique_key).or(self.limit_key).is_none()
    }
    /// Whether it differs in its parameters alone.
    fn is_like(&self, other: &Self) -> bool {
        let options = |row: &Self| (row.due, row.priority, row.max_attempts, row.is_plain());
        options(self) == options(other)
    }
}

/// Which number each row got: the numbers come in the order of the rows, without those whose key is taken.
fn match_up(rows: &[NewRow<'_>], mut inserted: Vec<Word>) -> Vec<Option<i64>> {
    inserted.sort_by_key(|row| row.v);
    let mut inserted = inserted.into_iter().peekable();
    let number = |row: &NewRow<'_>| Some(inserted.next_if(|new| new.word.as_deref() == row.unique_key)?.v);
    rows.iter().map(number).collect()
}

/// How long a connection to SQLite waits for another's transaction, unless told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a batch of a sweep is.
const BATCH: usize = 500;

impl<C: Driver> Store for Sql<C>
where
    for<'q> Bound<'q>:
        LoadQuery<'q, C, Number> + LoadQuery<'q, C, Word> + LoadQuery<'q, C, Claimed> + LoadQuery<'q, C, Listed>,
{
    type Connection = C;
    type Error = StoreError;

    fn table_name(&self) -> &str {
        &self.table
    }

    fn connect(&self) -> Result<C, StoreError> {
        C::open(&self.url, self.patience)
    }

    fn is_broken(&self, conn: &mut C) -> bool {
        // A transaction, since that is what it has to be good for: after one whose end failed no statement says so.
        conn.transaction(|_| Ok::<_, DbError>(())).is_err()
    }

    fn install(&self, conn: &mut C) -> Result<(), StoreError> {
        conn.transact(|conn| {
            if self.layout(conn)? == Some(LAYOUT) {
                return Ok(()); // what changes tables waits for everybody, also if there is nothing to change
            }
            conn.batch_execute(&self.statements.install)?;
            for column in ADDED {
                let binds = [Bind::Text(column)];
                let there: Vec<Number> = conn.rows(Bound { sql: &self.statements.has_column, binds: &binds })?;
                if there.into_iter().all(|row| row.v == Some(0)) {
                    conn.batch_execute(&format!("{} {column} text", self.statements.add_column))?;
                }
            }
            conn.batch_execute(&self.statements.indexes)?;
            self.layout(conn).map(|_| ())
        })
    }

    fn transaction(&self, conn: &mut C, f: &mut dyn FnMut(&mut C) -> anyhow::Result<()>) -> anyhow::Result<()> {
        conn.transact(f)
    }

    fn insert(&self, conn: &mut C, rows: &[NewRow<'_>]) -> Result<Vec<Option<i64>>, StoreError> {
        let inserted = match rows {
            [] => Vec::new(),
            [row] => {
                let (at, delay) = due(row.due);
                let binds = [
                    Bind::Int(row.priority),
                    Bind::Int(row.max_attempts),
                    Bind::Text(row.params),
                    Bind::MaybeText(row.notify),
                    Bind::MaybeText(row.unique_key),
                    Bind::MaybeText(row.limit_key),
                    Bind::MaybeBig(at),
                    Bind::Big(delay),
                ];
                conn.rows(Bound { sql: &self.statements.insert, binds: &binds })?
            }
            [first, rest @ ..] if first.is_plain() && rest.iter().all(|row| row.is_like(first)) => {
                let (at, delay) = due(first.due);
                let params: Vec<&str> = rows.iter().map(|row| row.params).collect();
                let params = serde_json::Value::from(params).to_string();
                let binds = [
                    Bind::Int(first.priority),
                    Bind::Int(first.max_attempts),
                    Bind::MaybeBig(at),
                    Bind::Big(delay),
                    Bind::Text(&params),
                ];
                conn.rows(Bound { sql: &self.statements.insert_alike, binds: &binds })?
            }
            rows => conn.rows(Bound { sql: &self.statements.insert_many, binds: &[Bind::Text(&as_json(rows))] })?,
        };
        Ok(match_up(rows, inserted))
    }

    fn find_unique(&self, conn: &mut C, key: &str) -> Result<Option<i64>, StoreError> {
        let found: Vec<Number> = conn.rows(Bound { sql: &self.statements.find_unique, binds: &[Bind::Text(key)] })?;
        Ok(found.into_iter().find_map(|row| row.v))
    }

    fn claim(&self, conn: &mut C, limit: usize, lease: Duration, per_key: Option<u32>) -> Result<Vec<Row>, StoreError> {
        let (limit, lease) = (i64::try_from(limit).unwrap_or(i64::MAX - SPARE), millis(lease));
        let claimed: Vec<Claimed> = match per_key {
            None => {
                let binds = [Bind::Big(limit), Bind::Big(lease)];
                conn.rows(Bound { sql: &self.statements.claim, binds: &binds })?
            }
            Some(per_key) => {
                let per_key = Bind::Big(per_key.into());
                let binds = [per_key, Bind::Big(limit + SPARE), per_key, Bind::Big(limit), Bind::Big(lease)];
                conn.transact(|conn| {
                    // One at a time: two claims that do not see each other would go beyond the limit.
                    conn.batch_execute(&self.statements.claim_lock)?;
                    conn.rows(Bound { sql: &self.statements.claim_few, binds: &binds })
                })?
            }
        };
        let row = |row: Claimed| Row {
            run: Run { id: row.id, attempt: row.attempt },
            max_attempts: row.max_attempts,
            priority: row.priority,
            late: Duration::from_micros(u64::try_from(row.late).unwrap_or(0)),
            params: row.params,
            notify: row.notify,
        };
        let mut rows: Vec<Row> = claimed.into_iter().map(row).collect();
        // RETURNING has no order.
        rows.sort_by_key(|row| (row.priority, std::cmp::Reverse(row.late), row.run.id));
        Ok(rows)
    }

    fn tick(&self, conn: &mut C, name: &str, tick: SystemTime) -> Result<bool, StoreError> {
        let tick = since_1970(tick);
        // Of one length, so that later ones are greater as text.
        let (name, tick) = (format!("tick {name}"), format!("{tick:020}"));
        let binds = [Bind::Text(&name), Bind::Text(&tick)];
        Ok(conn.run(Bound { sql: &self.statements.tick, binds: &binds })? > 0)
    }

    fn now(&self, conn: &mut C) -> Result<SystemTime, StoreError> {
        let now: Vec<Number> = conn.rows(Bound { sql: &self.statements.now, binds: &[] })?;
        Ok(time(now.into_iter().find_map(|row| row.v).unwrap_or(0)))
    }

    fn start(&self, conn: &mut C, runs: &[Run], timeout: Duration) -> Result<Vec<i64>, StoreError> {
        let pairs = Pairs::of::<C>(runs);
        let binds: Vec<_> = std::iter::once(Bind::Big(millis(timeout))).chain(pairs.binds()).collect();
        let started: Vec<Number> = conn.rows(Bound { sql: &self.statements.start, binds: &binds })?;
        Ok(started.into_iter().filter_map(|row| row.v).collect())
    }

    fn remove(&self, conn: &mut C, runs: &[Run]) -> Result<Vec<i64>, StoreError> {
        Ok(match runs {
            [] => Vec::new(),
            [run] => {
                let binds = [Bind::Big(run.id), Bind::Int(run.attempt)];
                let removed = conn.run(Bound { sql: &self.statements.remove, binds: &binds })?;
                vec![run.id; removed]
            }
            runs => {
                let pairs = Pairs::of::<C>(runs);
                let binds: Vec<_> = pairs.binds().collect();
                let removed: Vec<Number> = conn.rows(Bound { sql: &self.statements.remove_many, binds: &binds })?;
                removed.into_iter().filter_map(|row| row.v).collect()
            }
        })
    }

    fn fail(&self, conn: &mut C, run: Run, verdict: Verdict, cause: &str) -> Result<bool, StoreError> {
        let delay = match verdict {
            Verdict::Retry(delay) => millis(delay),
            Verdict::Failed => -1,
        };
        let binds = [
            Bind::Big(delay),
            Bind::Big(delay),
            Bind::Big(delay),
            Bind::Text(&cause.replace('\0', "\u{FFFD}")), // Postgres' text holds none
            Bind::Big(run.id),
            Bind::Int(run.attempt),
        ];
        Ok(conn.run(Bound { sql: &self.statements.fail, binds: &binds })? > 0)
    }

    fn give_back(&self, conn: &mut C, runs: &[Run]) -> Result<usize, StoreError> {
        let pairs = Pairs::of::<C>(runs);
        let binds: Vec<_> = pairs.binds().collect();
        Ok(conn.run(Bound { sql: &self.statements.give_back, binds: &binds })?)
    }

    fn extend(&self, conn: &mut C, runs: &[Run], timeout: Duration) -> Result<Vec<i64>, StoreError> {
        let (pairs, timeout) = (Pairs::of::<C>(runs), std::iter::once(Bind::Big(millis(timeout))));
        let binds: Vec<_> = match C::PAIRS_AS_JSON {
            true => timeout.chain(pairs.binds()).collect(),
            false => pairs.binds().chain(timeout).collect(),
        };
        let held: Vec<Number> = conn.rows(Bound { sql: &self.statements.extend, binds: &binds })?;
        Ok(held.into_iter().filter_map(|row| row.v).collect())
    }

    fn sweep(&self, conn: &mut C) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        loop {
            let expired: Vec<Word> = conn.rows(Bound { sql: &self.statements.expire, binds: &[] })?;
            let failed = expired.iter().filter(|row| row.word.as_deref() == Some("FAILED")).count();
            swept.failed += failed;
            swept.expired += expired.len() - failed;
            if expired.len() < BATCH {
                break;
            }
        }
        loop {
            let due = conn.run(Bound { sql: &self.statements.activate, binds: &[] })?;
            swept.due += due;
            if due < BATCH {
                break;
            }
        }
        let next: Vec<Number> = conn.rows(Bound { sql: &self.statements.next, binds: &[] })?;
        let next = next.into_iter().find_map(|row| row.v);
        swept.next = next.map(|next| Duration::from_millis(u64::try_from(next).unwrap_or(0)));
        Ok(swept)
    }

    fn requeue(&self, conn: &mut C, id: i64) -> Result<bool, StoreError> {
        Ok(conn.run(Bound { sql: &self.statements.requeue, binds: &[Bind::Big(id)] })? > 0)
    }

    fn cancel(&self, conn: &mut C, id: i64) -> Result<Option<JobState>, StoreError> {
        let gone: Vec<Word> = conn.rows(Bound { sql: &self.statements.cancel, binds: &[Bind::Big(id)] })?;
        Ok(gone.into_iter().find_map(|row| JobState::from_name(&row.word?)))
    }

    fn set_paused(&self, conn: &mut C, paused: bool) -> Result<(), StoreError> {
        match paused {
            true => drop(conn.run(Bound { sql: &self.statements.pause, binds: &[] })?),
            false => drop::<Vec<Word>>(conn.rows(Bound { sql: &self.statements.resume, binds: &[] })?),
        }
        Ok(())
    }

    fn prune(&self, conn: &mut C, age: Option<Duration>, keep: Option<usize>) -> Result<usize, StoreError> {
        let mut gone = 0;
        if let Some(age) = age {
            gone += conn.run(Bound { sql: &self.statements.prune_older, binds: &[Bind::Big(millis(age))] })?;
        }
        if let Some(keep) = keep {
            let keep = i64::try_from(keep).unwrap_or(i64::MAX);
            gone += conn.run(Bound { sql: &self.statements.prune_beyond, binds: &[Bind::Big(keep)] })?;
        }
        Ok(gone)
    }

    fn counts(&self, conn: &mut C) -> Result<Vec<(JobState, u64)>, StoreError> {
        let counts: Vec<Word> = conn.rows(Bound { sql: &self.statements.counts, binds: &[] })?;
        let count = |row: Word| Some((JobState::from_name(&row.word?)?, u64::try_from(row.v).ok()?));
        Ok(counts.into_iter().filter_map(count).collect())
    }

    fn list(&self, conn: &mut C, filter: &Filter) -> Result<Vec<JobRow>, StoreError> {
        let state = filter.state.map_or("", JobState::as_str);
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let binds = [Bind::Big(filter.after), Bind::Text(state), Bind::Text(state), Bind::Big(limit)];
        let listed: Vec<Listed> = conn.rows(Bound { sql: &self.statements.list, binds: &binds })?;
        let row = |row: Listed| {
            Some(JobRow {
                id: row.id,
                state: JobState::from_name(&row.state)?,
                attempt: row.attempt,
                max_attempts: row.max_attempts,
                priority: row.priority,
                params: row.params,
                schedule: time(row.schedule),
                expires: row.expires.map(time),
                last_error: row.last_error,
                notify: row.notify,
                unique_key: row.unique_key,
                limit_key: row.limit_key,
                inserted_at: time(row.inserted_at),
                updated_at: time(row.updated_at),
            })
        };
        Ok(listed.into_iter().filter_map(row).collect())
    }

    fn listen(&self, ring: Ring) -> Result<Option<Box<dyn Listening>>, StoreError> {
        C::listen(&self.url, &self.table, &self.statements.bell, ring)
    }
}
