//! The queue's options, and the manifest: a table beside the queue's, in either database.

use crate::names;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use drawgate::jobs::{Queue, Store};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

/// A job: to copy one file.
#[derive(Serialize, Deserialize)]
pub(crate) struct File {
    /// Below SRC and DST, as `names` writes it.
    pub(crate) path: String,
}

/// How long after it was last heard of a process is taken for dead. Each extends its leases thrice as often. Short, so
/// that a run after a `kill -9` soon gets at what the dead one had begun; should a process be late, a file is copied
/// twice.
const LEASE: Duration = Duration::from_secs(2);

/// The queue in this store, and the manifest beside it.
pub(crate) fn open<S: Store<Connection: Manifest>>(store: S) -> anyhow::Result<Queue<File, S>> {
    let queue = Queue::builder(store)
        .reservation(LEASE)
        .execution(LEASE)
        // A kill counts as an attempt of what was begun, too.
        .max_attempts(5)
        .back_off(|attempt| Duration::from_millis(200) * attempt)
        .poll(Duration::from_secs(1))
        .open()?;
    queue.install()?;
    queue.store().connect()?.batch_execute(S::Connection::MAKE)?;
    Ok(queue)
}

diesel::table! {
    backup_manifest (path) {
        path -> Text,
        size -> BigInt,
        mtime -> BigInt,
        mode -> Integer,
        hash -> Text,
    }
}

/// What was copied.
#[derive(Clone, Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = backup_manifest)]
pub(crate) struct Entry {
    /// Below SRC and DST, as `names` writes it.
    pub(crate) path: String,
    pub(crate) size: i64,
    /// In nanoseconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) mode: i32,
    /// Blake3, in hexadecimal digits.
    pub(crate) hash: String,
}

impl Entry {
    pub(crate) fn new(path: &str, meta: &Metadata, hash: blake3::Hash) -> Self {
        let (size, mtime, mode) = stat(meta);
        Self { path: path.to_owned(), size, mtime, mode, hash: hash.to_hex().to_string() }
    }

    /// Whether a file that looks like this is the one that was copied.
    pub(crate) fn is_of(&self, meta: &Metadata) -> bool {
        meta.is_file() && stat(meta) == (self.size, self.mtime, self.mode)
    }

    /// Whether its copy is there, by size and time. It is not if somebody removed or changed it, nor after a power cut
    /// that came between what the manifest holds and the copy's new name.
    pub(crate) fn is_in(&self, dst: &Path) -> bool {
        let copy = fs::symlink_metadata(dst.join(names::decode(&self.path)));
        copy.is_ok_and(|copy| copy.is_file() && (stat(&copy).0, stat(&copy).1) == (self.size, self.mtime))
    }
}

/// Size, time and mode, as the manifest has them.
pub(crate) fn stat(meta: &Metadata) -> (i64, i64, i32) {
    let mtime = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    (i64::try_from(meta.len()).unwrap_or(i64::MAX), mtime, (meta.mode() & 0o7777) as i32)
}

/// What the manifest's table is asked.
pub(crate) trait Manifest: SimpleConnection + Send + 'static {
    const MAKE: &'static str;
    fn entry(&mut self, path: &str) -> QueryResult<Option<Entry>>;
    fn entries(&mut self) -> QueryResult<Vec<Entry>>;
    fn put(&mut self, entry: &Entry) -> QueryResult<()>;
    fn forget(&mut self, path: &str) -> QueryResult<()>;
}

/// The same words for both; Diesel makes of them what each database understands.
macro_rules! manifest_in {
    ($connection:ty, $make:expr) => {
        impl Manifest for $connection {
            const MAKE: &'static str = $make;
            fn entry(&mut self, path: &str) -> QueryResult<Option<Entry>> {
                backup_manifest::table.find(path).first(self).optional()
            }
            fn entries(&mut self) -> QueryResult<Vec<Entry>> {
                backup_manifest::table.order(backup_manifest::path).load(self)
            }
            fn put(&mut self, entry: &Entry) -> QueryResult<()> {
                let row = diesel::insert_into(backup_manifest::table).values(entry);
                row.on_conflict(backup_manifest::path).do_update().set(entry).execute(self).map(drop)
            }
            fn forget(&mut self, path: &str) -> QueryResult<()> {
                diesel::delete(backup_manifest::table.find(path)).execute(self).map(drop)
            }
        }
    };
}

manifest_in!(
    SqliteConnection,
    "CREATE TABLE IF NOT EXISTS backup_manifest
     (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, mode INTEGER NOT NULL, hash TEXT NOT NULL)"
);
#[cfg(feature = "jobs-postgres")]
manifest_in!(
    PgConnection,
    "BEGIN;
     SET LOCAL client_min_messages = warning;
     SELECT pg_advisory_xact_lock(hashtext('backup_manifest')); -- several processes may begin at once
     CREATE TABLE IF NOT EXISTS backup_manifest
     (path text PRIMARY KEY, size bigint NOT NULL, mtime bigint NOT NULL, mode integer NOT NULL, hash text NOT NULL);
     COMMIT"
);
