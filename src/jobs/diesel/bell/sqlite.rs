//! Looks whether somebody has committed to an SQLite file, and left a job there.
//!
//! Rings when a job is available, or due earlier than any was; what does neither, as the end of a job, does not ring. So
//! a queue that has nothing to do comes to rest. It looks with a connection of its own, which only reads.

use super::super::statements::{Bound, Number, Word};
use super::super::{Driver, StoreError};
use super::watch::{self, Watch, Woken};
use crate::jobs::store::{Listening, Ring};
use crate::sync::thread;
use diesel::SqliteConnection;
use std::path::PathBuf;
use std::time::Duration;

/// An event comes when a commit is written, which is before it can be seen: so it looks at once, then after pauses that
/// double from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// Shorter pauses are not cut short by events: with many commits it looks some thousand times a second, and not more.
const CALM: Duration = Duration::from_millis(1);

/// How long it waits for a database that is locked; seldom, for somebody who reads.
const PATIENCE: Duration = Duration::from_secs(1);

const FILE: &str = "SELECT file AS word, 0 AS v FROM pragma_database_list WHERE name = 'main'";
const VERSION: &str = "SELECT data_version AS v FROM pragma_data_version";

/// Starts the thread; none for a database that is no file.
pub(in crate::jobs::diesel) fn listen(
    path: &str,
    table: &str,
    statement: &str,
    ring: Ring,
) -> Result<Option<Box<dyn Listening>>, StoreError> {
    let mut conn = SqliteConnection::open(path, PATIENCE)?;
    let files: Vec<Word> = conn.rows(Bound { sql: FILE, binds: &[] })?;
    let Some(mut wal) = files.into_iter().find_map(|row| row.word).filter(|file| !file.is_empty()) else {
        return Ok(None);
    };
    wal.push_str("-wal");
    let mut look =
        Look { path: path.to_owned(), statement: statement.to_owned(), conn: None, version: None, due: None };
    look.see(&mut conn)?; // the first read makes the log, which is then there to be watched
    look.conn = Some(conn);
    let (watch, end) = watch::pair(PathBuf::from(wal)).map_err(StoreError::Listen)?;
    thread::spawn(format!("{table}-bell"), None, move || run(look, watch, &ring)).map_err(StoreError::Listen)?;
    Ok(Some(Box::new(end)))
}

fn run(mut look: Look, mut watch: Watch, ring: &Ring) {
    let mut pause = FIRST_PAUSE;
    loop {
        if look.finds_something() {
            ring();
        }
        let woken = match pause {
            _ if pause < CALM => watch.rest(pause),
            _ if pause < LAST_PAUSE => watch.wait(Some(pause)),
            _ => watch.wait(None),
        };
        match woken {
            Woken::Ended => return,
            Woken::Event => pause = FIRST_PAUSE,
            Woken::InVain => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

/// What it knows of the database.
struct Look {
    path: String,
    statement: String,
    conn: Option<SqliteConnection>,
    /// Of the database, as this connection sees it; others' commits change it.
    version: Option<i64>,
    /// When the next job was due; -1 if one was available.
    due: Option<i64>,
}

impl Look {
    /// Whether a job came. When it cannot look, one may have.
    fn finds_something(&mut self) -> bool {
        let conn = match self.conn.take() {
            Some(conn) => Ok(conn),
            None => {
                self.version = None;
                SqliteConnection::open(&self.path, PATIENCE)
            }
        };
        let found = conn.and_then(|mut conn| {
            let found = self.see(&mut conn)?;
            self.conn = Some(conn);
            Ok(found)
        });
        found.unwrap_or(true)
    }

    fn see(&mut self, conn: &mut SqliteConnection) -> Result<bool, StoreError> {
        let version = one(conn, VERSION)?;
        if version == self.version {
            return Ok(false);
        }
        let was = std::mem::replace(&mut self.due, one(conn, &self.statement)?);
        self.version = version;
        Ok(match (self.due, was) {
            (Some(due), Some(was)) => due < 0 || due < was,
            (due, None) => due.is_some(),
            (None, _) => false,
        })
    }
}

fn one(conn: &mut SqliteConnection, sql: &str) -> Result<Option<i64>, StoreError> {
    let rows: Vec<Number> = conn.rows(Bound { sql, binds: &[] })?;
    Ok(rows.into_iter().find_map(|row| row.v))
}
