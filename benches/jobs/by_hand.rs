//! The same work without the library: one thread that claims a hundred at a time, threads that handle, Diesel's own queries.

use super::Result;
use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel::{PgConnection, SqliteConnection, sql_query};

diesel::table! {
    jobs (id) { id -> BigInt, attempt -> Integer, state -> Text, params -> Text, schedule -> BigInt, inserted_at -> BigInt, updated_at -> BigInt, }
}
diesel::table! {
    done (n) { n -> BigInt, }
}

#[derive(QueryableByName)]
pub(crate) struct Claimed {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Integer)]
    pub(crate) attempt: i32,
}

/// What differs between the databases.
pub(crate) trait ByHand: Connection + SimpleConnection + LoadConnection + Send + Sized + 'static {
    const CLAIM: &'static str;
    /// What the database does by itself from time to time.
    const TIDY: &'static str;
    fn claim(&mut self, limit: i64) -> QueryResult<Vec<Claimed>>;
    fn insert_done(&mut self, n: i64) -> QueryResult<usize>;
    fn remove(&mut self, id: i64, attempt: i32) -> QueryResult<usize>;
    fn remove_many(&mut self, ids: &[i64]) -> QueryResult<usize>;
    fn write_tx(&mut self, f: impl FnOnce(&mut Self) -> QueryResult<()>) -> QueryResult<()>;
    fn insert_one(&mut self, params: &str) -> QueryResult<usize>;
    fn insert_many(&mut self, params: &[String]) -> QueryResult<usize>;
}

impl ByHand for PgConnection {
    const TIDY: &'static str = "VACUUM ANALYZE jobs";
    const CLAIM: &'static str = "WITH picked AS MATERIALIZED (SELECT id FROM jobs WHERE state = 'AVAILABLE'
        ORDER BY priority, schedule, id LIMIT $1 FOR UPDATE SKIP LOCKED)
        UPDATE jobs j SET state = 'RESERVED', expires = statement_timestamp() + interval '60 s'
        FROM picked p WHERE j.id = p.id RETURNING j.id, j.attempt";
    fn claim(&mut self, limit: i64) -> QueryResult<Vec<Claimed>> {
        sql_query(Self::CLAIM).bind::<BigInt, _>(limit).load(self)
    }
    fn insert_done(&mut self, n: i64) -> QueryResult<usize> {
        diesel::insert_into(done::table).values(done::n.eq(n)).execute(self)
    }
    fn remove(&mut self, id: i64, attempt: i32) -> QueryResult<usize> {
        diesel::delete(jobs::table.filter(jobs::id.eq(id)).filter(jobs::attempt.eq(attempt))).execute(self)
    }
    fn remove_many(&mut self, ids: &[i64]) -> QueryResult<usize> {
        diesel::delete(jobs::table.filter(jobs::id.eq_any(ids))).execute(self)
    }
    fn write_tx(&mut self, f: impl FnOnce(&mut Self) -> QueryResult<()>) -> QueryResult<()> {
        self.transaction(f)
    }
    fn insert_one(&mut self, params: &str) -> QueryResult<usize> {
        // The column is JSON, which Diesel's `table!` would have to know: as a statement, prepared once by its text.
        sql_query("INSERT INTO jobs (params) VALUES ($1::jsonb)")
            .bind::<diesel::sql_types::Text, _>(params)
            .execute(self)
    }
    fn insert_many(&mut self, params: &[String]) -> QueryResult<usize> {
        sql_query("INSERT INTO jobs (params) SELECT unnest($1)::jsonb")
            .bind::<diesel::sql_types::Array<diesel::sql_types::Text>, _>(params)
            .execute(self)
    }
}

const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

impl ByHand for SqliteConnection {
    const TIDY: &'static str = "ANALYZE";
    const CLAIM: &'static str =
        "UPDATE jobs SET state = 'RESERVED', expires = CAST(unixepoch('subsec') * 1000 AS INTEGER) + 60000
        WHERE id IN (SELECT id FROM jobs WHERE state = 'AVAILABLE' ORDER BY priority, schedule, id LIMIT ?)
        RETURNING id, attempt";
    fn claim(&mut self, limit: i64) -> QueryResult<Vec<Claimed>> {
        sql_query(Self::CLAIM).bind::<BigInt, _>(limit).load(self)
    }
    fn insert_done(&mut self, n: i64) -> QueryResult<usize> {
        diesel::insert_into(done::table).values(done::n.eq(n)).execute(self)
    }
    fn remove(&mut self, id: i64, attempt: i32) -> QueryResult<usize> {
        diesel::delete(jobs::table.filter(jobs::id.eq(id)).filter(jobs::attempt.eq(attempt))).execute(self)
    }
    fn remove_many(&mut self, ids: &[i64]) -> QueryResult<usize> {
        let ids = serde_json::to_string(ids).unwrap_or_default();
        sql_query("DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))")
            .bind::<diesel::sql_types::Text, _>(ids)
            .execute(self)
    }
    fn write_tx(&mut self, f: impl FnOnce(&mut Self) -> QueryResult<()>) -> QueryResult<()> {
        self.immediate_transaction(f)
    }
    fn insert_one(&mut self, params: &str) -> QueryResult<usize> {
        sql_query(format!(
            "INSERT INTO jobs (params, schedule, inserted_at, updated_at) VALUES (?, {NOW}, {NOW}, {NOW})"
        ))
        .bind::<diesel::sql_types::Text, _>(params)
        .execute(self)
    }
    fn insert_many(&mut self, params: &[String]) -> QueryResult<usize> {
        let params = format!("[{}]", params.join(","));
        sql_query(format!(
            "INSERT INTO jobs (params, schedule, inserted_at, updated_at)
             SELECT value, {NOW}, {NOW}, {NOW} FROM json_each(?)"
        ))
        .bind::<diesel::sql_types::Text, _>(params)
        .execute(self)
    }
}

/// Drains the table: one thread claims, `threads` write a row and remove the job in a transaction each.
pub(crate) fn drain_in_transactions<C: ByHand>(open: &(dyn Fn() -> Result<C> + Sync), threads: usize) -> Result<u32> {
    let (jobs, taken) = crossbeam_channel::bounded::<Claimed>(100);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let taken = taken.clone();
                scope.spawn(move || -> std::result::Result<u32, String> {
                    let mut conn = open().map_err(|e| e.to_string())?;
                    let mut handled = 0;
                    for job in taken {
                        let done = conn.write_tx(|conn| {
                            conn.insert_done(job.id)?;
                            conn.remove(job.id, job.attempt).map(|_| ())
                        });
                        done.map_err(|e| e.to_string())?;
                        handled += 1;
                    }
                    Ok(handled)
                })
            })
            .collect();
        drop(taken);
        let mut conn = open()?;
        loop {
            let claimed = conn.claim(100)?;
            if claimed.is_empty() {
                break;
            }
            for job in claimed {
                jobs.send(job)?;
            }
        }
        drop(jobs);
        let mut handled = 0;
        for worker in workers {
            handled += worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok(handled)
    })
}

/// Drains the table on one connection: claims a hundred, removes them together.
pub(crate) fn drain_in_batches<C: ByHand>(conn: &mut C) -> Result<u32> {
    let mut handled = 0;
    loop {
        let claimed = conn.claim(100)?;
        if claimed.is_empty() {
            return Ok(handled);
        }
        let ids: Vec<i64> = claimed.iter().map(|job| std::hint::black_box(job.id)).collect();
        conn.remove_many(&ids)?;
        handled += ids.len() as u32;
    }
}
