//! What the tests share: the two databases, and ways to look behind a queue's back.

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection};
use drawgate::error::BadOption;
use drawgate::jobs::{JobRow, Postgres, Queue, QueueBuilder, Sqlite, Store};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// One of the two databases, and a table in it that no other test has.
pub(crate) trait Db: Send + Sync + Sized + 'static {
    type Conn: SimpleConnection + Connection + Send + 'static;
    type Store: Store<Connection = Self::Conn>;
    /// None where there is no such database.
    fn new() -> Option<Self>;
    fn store(&self) -> Self::Store;
    /// Another table in the same database.
    fn beside(&self, name: &str) -> Result<Self::Store, BadOption>;
    fn table(&self) -> &str;
    /// For a store in another process.
    fn url(&self) -> String;
    fn conn(&self) -> Self::Conn;
    /// A time column, so many seconds earlier.
    fn earlier(column: &str, seconds: u32) -> String;
    fn number(conn: &mut Self::Conn, sql: &str) -> i64;

    fn builder<J: Send + 'static>(&self) -> QueueBuilder<J, Self::Store> {
        Queue::builder(self.store())
    }

    /// An installed queue.
    fn queue<J>(&self) -> Queue<J, Self::Store>
    where
        J: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
    {
        let queue = self.builder().open().unwrap();
        queue.install().unwrap();
        queue
    }

    fn execute(&self, sql: &str) {
        self.conn().batch_execute(&sql.replace("{t}", self.table())).unwrap();
    }

    /// As if so many seconds had passed: every time in the table is that much earlier.
    fn pass(&self, seconds: u32) {
        let columns = ["schedule", "expires", "updated_at"]
            .map(|column| format!("{column} = {}", Self::earlier(column, seconds)));
        self.execute(&format!("UPDATE {{t}} SET {}", columns.join(", ")));
    }
}

static NUMBERS: AtomicU32 = AtomicU32::new(0);
fn number() -> u32 {
    NUMBERS.fetch_add(1, Relaxed)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    v: i64,
}

pub(crate) struct InSqlite {
    dir: tempfile::TempDir,
}

impl InSqlite {
    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("jobs.db")
    }
}

impl Db for InSqlite {
    type Conn = SqliteConnection;
    type Store = Sqlite;
    fn new() -> Option<Self> {
        Some(Self { dir: tempfile::tempdir().unwrap() })
    }
    fn store(&self) -> Sqlite {
        Sqlite::file(self.path()).table("mails").unwrap()
    }
    fn beside(&self, name: &str) -> Result<Sqlite, BadOption> {
        Sqlite::file(self.path()).table(name)
    }
    fn table(&self) -> &str {
        "mails"
    }
    fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }
    fn conn(&self) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(self.path().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 60000; PRAGMA journal_mode = WAL").unwrap();
        conn
    }
    fn earlier(column: &str, seconds: u32) -> String {
        format!("{column} - {seconds} * 1000")
    }
    fn number(conn: &mut SqliteConnection, sql: &str) -> i64 {
        diesel::sql_query(sql).get_result::<Number>(conn).unwrap().v
    }
}

pub(crate) struct InPostgres {
    table: String,
}

impl Db for InPostgres {
    type Conn = PgConnection;
    type Store = Postgres;
    fn new() -> Option<Self> {
        super::postgres::url().map(|_| Self { table: format!("mails_{}", number()) })
    }
    fn store(&self) -> Postgres {
        Postgres::url(super::postgres::url().unwrap()).table(&self.table).unwrap()
    }
    fn beside(&self, name: &str) -> Result<Postgres, BadOption> {
        let name = if name == "other" { format!("{}_{name}", self.table) } else { name.to_owned() };
        Postgres::url(super::postgres::url().unwrap()).table(&name)
    }
    fn table(&self) -> &str {
        &self.table
    }
    fn url(&self) -> String {
        super::postgres::url().unwrap().to_owned()
    }
    fn conn(&self) -> PgConnection {
        PgConnection::establish(super::postgres::url().unwrap()).unwrap()
    }
    fn earlier(column: &str, seconds: u32) -> String {
        format!("{column} - interval '{seconds} seconds'")
    }
    fn number(conn: &mut PgConnection, sql: &str) -> i64 {
        diesel::sql_query(sql).get_result::<Number>(conn).unwrap().v
    }
}

/// Makes a test of each of these functions for each database.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { crate::support::run(super::$name::<crate::support::InSqlite>); })*
        }
        mod postgres {
            $(#[test] fn $name() { crate::support::run(super::$name::<crate::support::InPostgres>); })*
        }
    };
}
pub(crate) use on_both;

/// Runs a test over its database, on a thread of its own: a hang is a failure with a name.
#[track_caller]
pub(crate) fn run<D: Db>(test: fn(&D)) {
    let Some(db) = D::new() else { return };
    let (done, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test(&db);
        let _ = done.send(());
    });
    match told.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs: not done within {LIMIT:?}"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// Looks until it is so; for what other threads bring about and no call waits for.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// The one job there is.
pub(crate) fn only<J: Send + 'static, S: Store>(queue: &Queue<J, S>) -> JobRow {
    let mut all = queue.list(&Default::default()).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}
