//! What differs between the two databases, and the tables beside the queues'.

use crate::work::Way;
use anyhow::Context as _;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Integer};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, SqliteConnection};
use drawgate::jobs::{Postgres, Sqlite, Store};
use std::{fmt, path::PathBuf};

/// Jobs that were enqueued by a transaction that has committed, and what was done. No key keeps a job from being done
/// twice: nothing but the queue does.
const TABLES: &str = "
CREATE TABLE torture_ordered (way text NOT NULL, job bigint NOT NULL);
CREATE TABLE torture_done (way text NOT NULL, job bigint NOT NULL, attempt integer NOT NULL, worker bigint NOT NULL);
";

/// A line of either table.
#[derive(QueryableByName)]
pub(crate) struct Line {
    #[diesel(sql_type = BigInt)]
    pub(crate) job: i64,
    #[diesel(sql_type = Integer)]
    pub(crate) attempt: i32,
}

pub(crate) trait Database: fmt::Display {
    type Store: Store<Connection = Self::Conn>;
    type Conn: SimpleConnection + Send + 'static;
    /// Of the jobs that are worked on in this way: a queue each.
    fn store(&self, way: Way) -> anyhow::Result<Self::Store>;
    /// What makes another process find the same database.
    fn arguments(&self) -> Vec<String>;
    fn lines(conn: &mut Self::Conn, sql: &str) -> anyhow::Result<Vec<Line>>;
    /// Nothing of an earlier run is there after this.
    fn clear(&self) -> anyhow::Result<()>;

    fn connect(&self) -> anyhow::Result<Self::Conn> {
        Ok(self.store(Way::Plain)?.connect()?)
    }

    fn make_tables(&self) -> anyhow::Result<()> {
        self.clear()?;
        Ok(self.connect()?.batch_execute(TABLES)?)
    }
}

pub(crate) struct InSqlite {
    pub(crate) file: PathBuf,
}

impl Database for InSqlite {
    type Store = Sqlite;
    type Conn = SqliteConnection;
    fn store(&self, way: Way) -> anyhow::Result<Sqlite> {
        Ok(Sqlite::file(&self.file).table(&way.table())?)
    }
    fn arguments(&self) -> Vec<String> {
        vec!["--sqlite".into(), "--file".into(), self.file.display().to_string()]
    }
    fn lines(conn: &mut SqliteConnection, sql: &str) -> anyhow::Result<Vec<Line>> {
        Ok(diesel::sql_query(sql).load(conn)?)
    }
    fn clear(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.file.exists(), "{} is there already", self.file.display());
        Ok(())
    }
}

impl fmt::Display for InSqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLite ({})", self.file.display())
    }
}

pub(crate) struct InPostgres {
    pub(crate) url: String,
}

impl Database for InPostgres {
    type Store = Postgres;
    type Conn = PgConnection;
    fn store(&self, way: Way) -> anyhow::Result<Postgres> {
        Ok(Postgres::url(&self.url).table(&way.table())?)
    }
    fn arguments(&self) -> Vec<String> {
        vec!["--postgres".into(), "--url".into(), self.url.clone()]
    }
    fn lines(conn: &mut PgConnection, sql: &str) -> anyhow::Result<Vec<Line>> {
        Ok(diesel::sql_query(sql).load(conn)?)
    }
    fn clear(&self) -> anyhow::Result<()> {
        let mut tables: Vec<String> = vec!["torture_ordered".into(), "torture_done".into()];
        tables.extend(Way::ALL.iter().flat_map(|way| [way.table(), format!("{}_settings", way.table())]));
        let drop = format!("SET client_min_messages = warning; DROP TABLE IF EXISTS {}", tables.join(", "));
        self.connect()?.batch_execute(&drop).context("dropping the tables of an earlier run")
    }
}

impl fmt::Display for InPostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres") // the URL may hold a password
    }
}
