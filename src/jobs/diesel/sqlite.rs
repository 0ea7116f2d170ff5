//! Jobs in SQLite: its statements, and how it is reached.

use super::statements::{Bound, Statements};
use super::{Driver, Sql, StoreError, bell};
use crate::jobs::store::{Listening, Ring};
use crate::sync::Clock;
use diesel::connection::SimpleConnection;
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::{Error as DbError, QueryResult};
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use std::time::Duration;

/// Jobs in a table of an SQLite file. Several processes of one machine may work on it.
///
/// ```
/// use drawgate::jobs::{Queue, Sqlite};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("shop.db");
/// let queue: Queue<String, Sqlite> = Queue::builder(Sqlite::file(&path).table("mails")?).open()?;
/// queue.install()?;
/// queue.enqueue("to: mill@example.com".to_string())?;
/// assert_eq!(queue.counts()?.available, 1);
/// # anyhow::Ok(())
/// ```
pub type Sqlite = Sql<SqliteConnection>;

impl Sqlite {
    /// The database in this file, which need not be there yet, and a table named `jobs`. Nothing is opened yet. A
    /// database in memory is no place for a queue: each connection would have one of its own.
    pub fn file(path: impl AsRef<std::path::Path>) -> Self {
        // A path that is not UTF-8 cannot be opened, which is said then: no path holds a NUL.
        Self::new(path.as_ref().to_str().unwrap_or("not UTF-8\0"))
    }

    /// How long a connection waits while another one writes, before its statement fails. Defaults to 5 s.
    #[must_use]
    pub fn busy_timeout(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }
}

/// Has the file written ahead. That asks for the whole file once, and is refused at once when somebody else is at it.
fn write_ahead(conn: &mut SqliteConnection, patience: Duration) -> QueryResult<()> {
    let begun = Clock::Real.now();
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL") {
            Err(_) if Clock::Real.now().saturating_duration_since(begun) < patience => {
                let _ = crossbeam_channel::never::<()>().recv_timeout(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

impl Driver for SqliteConnection {
    const STATEMENTS: Statements<&'static str> = STATEMENTS;
    const PAIRS_AS_JSON: bool = true;
    const SCHEMAS: bool = false;

    fn open(path: &str, patience: Duration) -> Result<Self, StoreError> {
        let mut conn = Self::establish(path)?;
        conn.batch_execute(&format!("PRAGMA busy_timeout = {}", patience.as_millis().min(i32::MAX as u128)))?; // first: the next one may have to wait
        write_ahead(&mut conn, patience)?;
        conn.batch_execute("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON")?;
        Ok(conn)
    }

    fn transact<T, E: From<DbError>>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.immediate_transaction(f)
    }

    fn run(&mut self, statement: Bound<'_>) -> QueryResult<usize> {
        statement.execute(self)
    }

    fn rows<'q, R>(&mut self, statement: Bound<'q>) -> QueryResult<Vec<R>>
    where
        Bound<'q>: LoadQuery<'q, Self, R>,
    {
        statement.load(self)
    }

    fn listen(path: &str, table: &str, statement: &str, ring: Ring) -> Result<Option<Box<dyn Listening>>, StoreError> {
        bell::sqlite::listen(path, table, statement, ring)
    }
}

/// Milliseconds since 1970. Within one statement it stands still.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

// States are written out where an index is to serve: a bound value does not let it.
const STATEMENTS: Statements<&'static str> = Statements {
    // AUTOINCREMENT: a number that came again could mean another job.
    install: "
CREATE TABLE IF NOT EXISTS {t} (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  state        TEXT    NOT NULL DEFAULT 'AVAILABLE',
  expires      INTEGER,
  schedule     INTEGER NOT NULL,
  attempt      INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 5,
  params       TEXT    NOT NULL,
  notify       TEXT,
  priority     INTEGER NOT NULL DEFAULT 0,
  inserted_at  INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
) STRICT;
",
    has_column: "SELECT count(*) AS v FROM pragma_table_info('{n}') WHERE name = ?",
    add_column: "ALTER TABLE {t} ADD COLUMN",
    indexes: "
CREATE INDEX IF NOT EXISTS \"{n}_available\" ON {t} (priority, schedule, id) WHERE state = 'AVAILABLE';
CREATE INDEX IF NOT EXISTS \"{n}_due\" ON {t} (schedule) WHERE state IN ('SCHEDULED', 'RETRY');
CREATE INDEX IF NOT EXISTS \"{n}_expiry\" ON {t} (expires) WHERE state IN ('RESERVED', 'IN_PROGRESS');
CREATE UNIQUE INDEX IF NOT EXISTS \"{n}_unique\" ON {t} (unique_key) WHERE unique_key IS NOT NULL AND state <> 'FAILED';
CREATE TABLE IF NOT EXISTS {s} (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO {s} VALUES ('layout', '1') ON CONFLICT DO NOTHING;
",
    has_settings: "SELECT count(*) AS v FROM sqlite_master WHERE type = 'table' AND name = '{n}_settings'",
    layout: "SELECT value AS word, 0 AS v FROM {s} WHERE name = 'layout'",
    insert: concat!(
        "INSERT INTO {t}
  (state, schedule, priority, max_attempts, params, notify, unique_key, limit_key, inserted_at, updated_at)
 SELECT CASE WHEN d.at <= d.now THEN 'AVAILABLE' ELSE 'SCHEDULED' END, d.at, ?, ?, ?, ?, ?, ?, d.now, d.now
 FROM (SELECT coalesce(?, n.now + ?) AS at, n.now AS now FROM (SELECT ",
        now!(),
        " AS now) n) d WHERE true
 ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND state <> 'FAILED' DO NOTHING
 RETURNING id AS v, unique_key AS word"
    ),
    insert_many: concat!(
        "INSERT INTO {t}
  (state, schedule, priority, max_attempts, params, notify, unique_key, limit_key, inserted_at, updated_at)
 SELECT CASE WHEN d.at <= d.now THEN 'AVAILABLE' ELSE 'SCHEDULED' END, d.at, d.j ->> 'pr', d.j ->> 'm', d.j -> 'p',
  d.j ->> 'n', d.j ->> 'u', d.j ->> 'l', d.now, d.now
 FROM (SELECT e.value AS j, e.key AS number, coalesce(e.value ->> 'at', n.now + (e.value ->> 'd')) AS at, n.now AS now
  FROM (SELECT ",
        now!(),
        " AS now) n, json_each(?) e) d WHERE true ORDER BY d.number
 ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND state <> 'FAILED' DO NOTHING
 RETURNING id AS v, unique_key AS word"
    ),
    insert_alike: concat!(
        "INSERT INTO {t} (state, schedule, priority, max_attempts, params, inserted_at, updated_at)
 SELECT CASE WHEN d.at <= d.now THEN 'AVAILABLE' ELSE 'SCHEDULED' END, d.at, ?, ?, e.value, d.now, d.now
 FROM (SELECT coalesce(?, n.now + ?) AS at, n.now AS now FROM (SELECT ",
        now!(),
        " AS now) n) d, json_each(?) e ORDER BY e.key
 RETURNING id AS v, NULL AS word"
    ),
    find_unique: "SELECT id AS v FROM {t} WHERE unique_key = ? AND unique_key IS NOT NULL AND state <> 'FAILED'",
    claim: concat!(
        "WITH picked AS MATERIALIZED (SELECT id FROM {t}
  WHERE state = 'AVAILABLE' AND NOT EXISTS (SELECT 1 FROM {s} WHERE name = 'paused')
  ORDER BY priority, schedule, id LIMIT ?)
 UPDATE {t} SET state = 'RESERVED', expires = ",
        now!(),
        " + ?, updated_at = ",
        now!(),
        " WHERE id IN (SELECT id FROM picked)
 RETURNING id, attempt, max_attempts, priority, (",
        now!(),
        " - schedule) * 1000 AS late, params, notify"
    ),
    // Its transactions that write keep each other out from their beginning.
    claim_lock: "SELECT 1",
    claim_few: concat!(
        "WITH busy AS MATERIALIZED (SELECT limit_key, count(*) AS n FROM {t}
  WHERE state IN ('RESERVED', 'IN_PROGRESS') AND limit_key IS NOT NULL GROUP BY limit_key),
  near AS MATERIALIZED (SELECT id, priority, schedule, limit_key FROM {t}
   WHERE state = 'AVAILABLE' AND NOT EXISTS (SELECT 1 FROM {s} WHERE name = 'paused')
    AND (limit_key IS NULL OR limit_key NOT IN (SELECT b.limit_key FROM busy b WHERE b.n >= ?))
   ORDER BY priority, schedule, id LIMIT ?),
  placed AS (SELECT a.id, a.priority, a.schedule, CASE WHEN a.limit_key IS NULL THEN 0
    ELSE row_number() OVER (PARTITION BY a.limit_key ORDER BY a.priority, a.schedule, a.id) + coalesce(b.n, 0) END AS place
   FROM near a LEFT JOIN busy b ON b.limit_key = a.limit_key),
  picked AS MATERIALIZED (SELECT id FROM placed WHERE place <= ? ORDER BY priority, schedule, id LIMIT ?)
 UPDATE {t} SET state = 'RESERVED', expires = ",
        now!(),
        " + ?, updated_at = ",
        now!(),
        " WHERE id IN (SELECT id FROM picked)
 RETURNING id, attempt, max_attempts, priority, (",
        now!(),
        " - schedule) * 1000 AS late, params, notify"
    ),
    tick: "INSERT INTO {s} AS s VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
 WHERE s.value < excluded.value",
    now: concat!("SELECT ", now!(), " AS v"),
    start: concat!(
        "UPDATE {t} SET state = 'IN_PROGRESS', attempt = attempt + 1, expires = ",
        now!(),
        " + ? * min(attempt + 1, 100), updated_at = ",
        now!(),
        " WHERE (id, attempt) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
  AND state = 'RESERVED' AND expires >= ",
        now!(),
        " RETURNING id AS v"
    ),
    remove: "DELETE FROM {t} WHERE id = ? AND attempt = ? AND state = 'IN_PROGRESS'",
    remove_many: "DELETE FROM {t} WHERE (id, attempt) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
  AND state = 'IN_PROGRESS' RETURNING id AS v",
    fail: concat!(
        "UPDATE {t} SET state = CASE WHEN ? < 0 THEN 'FAILED' ELSE 'RETRY' END, expires = NULL,
  schedule = CASE WHEN ? < 0 THEN schedule ELSE ",
        now!(),
        " + ? END, last_error = ?, updated_at = ",
        now!(),
        " WHERE id = ? AND attempt = ? AND state = 'IN_PROGRESS'"
    ),
    give_back: concat!(
        "UPDATE {t} SET state = 'AVAILABLE', expires = NULL, updated_at = ",
        now!(),
        " WHERE (id, attempt) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) AND state = 'RESERVED'"
    ),
    extend: concat!(
        "UPDATE {t} SET expires = ",
        now!(),
        " + ? * min(attempt, 100), updated_at = ",
        now!(),
        " WHERE (id, attempt) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) AND state = 'IN_PROGRESS'
 RETURNING id AS v"
    ),
    expire: concat!(
        "UPDATE {t} SET state = CASE WHEN state = 'IN_PROGRESS' AND attempt >= max_attempts THEN 'FAILED'
   ELSE 'AVAILABLE' END, expires = NULL, updated_at = ",
        now!(),
        ", last_error = CASE WHEN state = 'IN_PROGRESS' THEN 'its worker was not heard of any more' ELSE last_error END
 WHERE id IN (SELECT id FROM {t} WHERE state IN ('RESERVED', 'IN_PROGRESS') AND expires < ",
        now!(),
        " ORDER BY expires LIMIT 500)
 RETURNING state AS word, id AS v"
    ),
    activate: concat!(
        "UPDATE {t} SET state = 'AVAILABLE', updated_at = ",
        now!(),
        " WHERE id IN (SELECT id FROM {t} WHERE state IN ('SCHEDULED', 'RETRY') AND schedule <= ",
        now!(),
        " ORDER BY schedule LIMIT 500)"
    ),
    next: concat!(
        "SELECT min(v) - ",
        now!(),
        " AS v FROM (SELECT min(schedule) AS v FROM {t} WHERE state IN ('SCHEDULED', 'RETRY')
  UNION ALL SELECT min(expires) + 1 FROM {t} WHERE state IN ('RESERVED', 'IN_PROGRESS'))"
    ),
    requeue: concat!(
        "UPDATE {t} SET state = 'SCHEDULED', attempt = 0, expires = NULL, schedule = ",
        now!(),
        ", updated_at = ",
        now!(),
        " WHERE id = ? AND state = 'FAILED'"
    ),
    cancel: "DELETE FROM {t} WHERE id = ? RETURNING state AS word, id AS v",
    pause: "INSERT INTO {s} VALUES ('paused', 'true') ON CONFLICT DO NOTHING",
    resume: "DELETE FROM {s} WHERE name = 'paused' RETURNING name AS word, 1 AS v",
    prune_older: concat!("DELETE FROM {t} WHERE state = 'FAILED' AND updated_at < ", now!(), " - ?"),
    prune_beyond: "DELETE FROM {t} WHERE id IN
  (SELECT id FROM {t} WHERE state = 'FAILED' ORDER BY updated_at DESC, id DESC LIMIT -1 OFFSET ?)",
    counts: "SELECT state AS word, count(*) AS v FROM {t} GROUP BY state",
    list:
        "SELECT id, state, attempt, max_attempts, priority, params, schedule, expires, last_error, notify, unique_key,
  limit_key, inserted_at, updated_at FROM {t} WHERE id > ? AND (? = '' OR state = ?) ORDER BY id LIMIT ?",
    // When the next job is due; -1 if one is available, and may be claimed.
    bell: "SELECT CASE
  WHEN EXISTS (SELECT 1 FROM {t} WHERE state = 'AVAILABLE') AND NOT EXISTS (SELECT 1 FROM {s} WHERE name = 'paused') THEN -1
  ELSE (SELECT min(schedule) FROM {t} WHERE state IN ('SCHEDULED', 'RETRY')) END AS v",
};
