//! The part of the command line that all programs share.

use clap::Args;
use std::{num::NonZeroUsize, path::PathBuf, thread};

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Files and directory trees to take stock of
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Threads that read files
    #[arg(long, value_name = "N", default_value_t = cores())]
    pub(crate) jobs: NonZeroUsize,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// How many of the largest files to name; in text, of the types and groups of equal files, too
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// How many files to compare in one walk when looking for equal ones: fewer take less memory and more walks
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(crate) compare_at_once: NonZeroUsize,
    /// Print this process's peak memory to stderr at the end (Linux)
    #[arg(long)]
    pub(crate) peak_memory: bool,
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
