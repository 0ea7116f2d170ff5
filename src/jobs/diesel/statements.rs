//! The statements of a store, and how values get into them.
//!
//! `?` stands for a value in both databases; `{t}` for the table, `{n}` for its bare name, `{s}` for the table of its
//! settings, `{f}` for the trigger's function, `{c}` for the channel.

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Integer, Nullable, Text, Untyped};
use diesel::{QueryableByName, RunQueryDsl};

/// All statements: as templates, or for one table.
#[derive(Clone, Copy, Debug)]
pub struct Statements<T> {
    pub install: T,
    pub has_column: T,
    pub add_column: T,
    pub indexes: T,
    pub has_settings: T,
    pub layout: T,
    pub insert: T,
    pub insert_many: T,
    pub insert_alike: T,
    pub find_unique: T,
    pub claim: T,
    pub claim_lock: T,
    pub claim_few: T,
    pub tick: T,
    pub now: T,
    pub start: T,
    pub remove: T,
    pub remove_many: T,
    pub fail: T,
    pub give_back: T,
    pub extend: T,
    pub expire: T,
    pub activate: T,
    pub next: T,
    pub requeue: T,
    pub cancel: T,
    pub pause: T,
    pub resume: T,
    pub prune_older: T,
    pub prune_beyond: T,
    pub counts: T,
    pub list: T,
    /// What the bell's own connection runs.
    pub bell: T,
}

impl Statements<&'static str> {
    pub fn of(self, fill: impl Fn(&str) -> String) -> Statements<String> {
        Statements {
            install: fill(self.install),
            has_column: fill(self.has_column),
            add_column: fill(self.add_column),
            indexes: fill(self.indexes),
            has_settings: fill(self.has_settings),
            layout: fill(self.layout),
            insert: fill(self.insert),
            insert_many: fill(self.insert_many),
            insert_alike: fill(self.insert_alike),
            find_unique: fill(self.find_unique),
            claim: fill(self.claim),
            claim_lock: fill(self.claim_lock),
            claim_few: fill(self.claim_few),
            tick: fill(self.tick),
            now: fill(self.now),
            start: fill(self.start),
            remove: fill(self.remove),
            remove_many: fill(self.remove_many),
            fail: fill(self.fail),
            give_back: fill(self.give_back),
            extend: fill(self.extend),
            expire: fill(self.expire),
            activate: fill(self.activate),
            next: fill(self.next),
            requeue: fill(self.requeue),
            cancel: fill(self.cancel),
            pause: fill(self.pause),
            resume: fill(self.resume),
            prune_older: fill(self.prune_older),
            prune_beyond: fill(self.prune_beyond),
            counts: fill(self.counts),
            list: fill(self.list),
            bell: fill(self.bell),
        }
    }
}

/// A value of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Bind<'a> {
    Big(i64),
    MaybeBig(Option<i64>),
    Int(i32),
    Text(&'a str),
    MaybeText(Option<&'a str>),
}

/// A statement with its values. Unlike Diesel's `sql_query` it is prepared once a connection: half the time of each.
pub struct Bound<'a> {
    pub sql: &'a str,
    pub binds: &'a [Bind<'a>],
}

impl<DB> QueryFragment<DB> for Bound<'_>
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Integer> + HasSqlType<Text>,
    i64: ToSql<BigInt, DB>,
    i32: ToSql<Integer, DB>,
    str: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let mut parts = self.sql.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for (bind, rest) in self.binds.iter().zip(parts) {
            match bind {
                Bind::Big(n) => out.push_bind_param::<BigInt, _>(n)?,
                Bind::MaybeBig(n) => out.push_bind_param::<Nullable<BigInt>, _>(n)?,
                Bind::Int(n) => out.push_bind_param::<Integer, _>(n)?,
                Bind::Text(s) => out.push_bind_param::<Text, str>(s)?,
                Bind::MaybeText(s) => out.push_bind_param::<Nullable<Text>, _>(s)?,
            }
            out.push_sql(rest);
        }
        Ok(())
    }
}
impl QueryId for Bound<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl Query for Bound<'_> {
    type SqlType = Untyped;
}
impl<C> RunQueryDsl<C> for Bound<'_> {}

/// A row of one number.
#[derive(QueryableByName)]
pub struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    pub v: Option<i64>,
}

/// A row of one word, and a number beside it.
#[derive(QueryableByName)]
pub struct Word {
    #[diesel(sql_type = Nullable<Text>)]
    pub word: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub v: i64,
}

/// A job that was claimed.
#[derive(QueryableByName)]
pub struct Claimed {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Integer)]
    pub attempt: i32,
    #[diesel(sql_type = Integer)]
    pub max_attempts: i32,
    #[diesel(sql_type = Integer)]
    pub priority: i32,
    /// In microseconds.
    #[diesel(sql_type = BigInt)]
    pub late: i64,
    #[diesel(sql_type = Text)]
    pub params: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub notify: Option<String>,
}

/// A job as it stands; times in milliseconds since 1970.
#[derive(QueryableByName)]
pub struct Listed {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Integer)]
    pub attempt: i32,
    #[diesel(sql_type = Integer)]
    pub max_attempts: i32,
    #[diesel(sql_type = Integer)]
    pub priority: i32,
    #[diesel(sql_type = Text)]
    pub params: String,
    #[diesel(sql_type = BigInt)]
    pub schedule: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub expires: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub notify: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub unique_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub limit_key: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub inserted_at: i64,
    #[diesel(sql_type = BigInt)]
    pub updated_at: i64,
}
