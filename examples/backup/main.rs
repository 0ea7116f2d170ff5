//! Copies a directory tree, several files at once, and goes on where it was when it is ended at any moment.
//!
//! `cargo run --release --features jobs-sqlite --example backup -- SRC DST`
//!
//! Each file is a job of a queue in `DST/.backup/queue.db`; beside the queue's table stands the manifest, with each
//! file's size, time, mode and hash. A file is copied to a temporary name; then one transaction gives it its name,
//! writes it into the manifest, and removes the job. So a process that dies, also by `kill -9`, leaves nothing half
//! done, and the next run copies what is missing: files whose size, time and mode are those of the manifest are not
//! read again.
//!
//! - Names of any bytes, symbolic links, empty directories and permission bits are kept, and the times of files; not
//!   owners, hard links, nor the times of directories.
//! - The manifest is in memory while SRC is listed: some 200 bytes a file.
//! - Exit code: 0; 1 if something could not be copied, or was found to differ; 2 for a bad command line; 130 after
//!   Ctrl-C, which lets the copies that run end, and leaves the rest in the queue.
//!
//! Read `run.rs` first, then `copy.rs`: all that is to be known of `drawgate::jobs` is in these two and in `store.rs`.

// The library keeps locks, threads and clocks behind one module of its own; programs that use it need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod copy; // the handler of a job
mod interrupt; // Ctrl-C
mod names; // paths as text
mod progress; // the bar on a terminal
mod run; // a queue, workers, and the wait for their end
mod scan; // what is in SRC, and what only in DST
mod store; // the queue's options, and the manifest
mod verify; // what is in DST, against the manifest

use anyhow::{Context as _, ensure};
use clap::Parser;
use drawgate::jobs::{Sqlite, Store};
use progress::Progress;
use std::{
    fs,
    io::{self, Write as _},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    thread,
};
use store::Manifest;

/// Copy a directory tree, resumably and in parallel, with a manifest
#[derive(Parser)]
#[command(name = "backup", version)]
struct Args {
    /// The tree to copy
    src: PathBuf,
    /// The directory that holds the copy, and what is known of it in `.backup`
    dst: PathBuf,
    /// Files to copy at once
    #[arg(long, value_name = "N", default_value_t = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))]
    jobs: NonZeroUsize,
    /// Remove from DST whatever is not in SRC, whoever has put it there; else it is only told
    #[arg(long)]
    delete: bool,
    /// Copy nothing: read DST, and compare it with the manifest
    #[arg(long)]
    verify: bool,
    /// Keep queue and manifest in this database, which is for this pair of SRC and DST only; several processes, also of
    /// several machines, then share the work
    #[cfg(feature = "jobs-postgres")]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

/// Where things are. All paths are absolute, and none is in another.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) src: PathBuf,
    pub(crate) dst: PathBuf,
    /// Of unfinished copies: in DST, so that giving them their names moves no data.
    pub(crate) unfinished: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let progress = Progress::new();
    match begin(&args, &progress) {
        Ok(code) => code,
        Err(e) => {
            progress.say(format_args!("{e:#}"));
            ExitCode::FAILURE
        }
    }
}

fn begin(args: &Args, progress: &Progress) -> anyhow::Result<ExitCode> {
    let src = args.src.canonicalize().with_context(|| args.src.display().to_string())?;
    ensure!(src.is_dir(), "{} is not a directory", src.display());
    let unfinished = args.dst.join(".backup/unfinished");
    fs::create_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    let dst = args.dst.canonicalize()?;
    let apart = !src.starts_with(&dst) && !dst.starts_with(&src);
    ensure!(apart, "{} and {} are not apart", src.display(), dst.display());
    let tree = Tree { src, unfinished: dst.join(".backup/unfinished"), dst };

    #[cfg(feature = "jobs-postgres")]
    if let Some(url) = &args.postgres {
        return go(args, tree, drawgate::jobs::Postgres::url(url).table("backup")?, progress);
    }
    ensure!(tree.dst.to_str().is_some(), "SQLite takes only paths in UTF-8: {}", tree.dst.display());
    let file = tree.dst.join(".backup/queue.db");
    go(args, tree, Sqlite::file(file).table("backup")?, progress)
}

fn go<S>(args: &Args, tree: Tree, store: S, progress: &Progress) -> anyhow::Result<ExitCode>
where
    S: Store<Connection: Manifest>,
{
    let queue = store::open(store)?;
    if args.verify {
        let found = verify::verify(&tree, queue.store().connect()?.entries()?, args.jobs, progress)?;
        writeln!(io::stdout(), "{found}")?;
        return Ok(ExitCode::from(u8::from(found.wrong > 0)));
    }
    let summary = run::run(&tree, &queue, args.jobs, args.delete, progress)?;
    writeln!(io::stdout(), "{summary}")?;
    Ok(summary.exit_code())
}
