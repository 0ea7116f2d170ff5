//! A run: workers begin at once, while SRC is still listed; then it waits until the queue is empty, or for Ctrl-C.

use crate::Tree;
use crate::copy::Copier;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::scan::Scan;
use crate::store::{File, Manifest};
use drawgate::jobs::{Filter, JobState, Queue, Store};
use indicatif::HumanBytes;
use std::{fmt, fs, num::NonZeroUsize, process::ExitCode, time::Duration};

/// For the copies that run when it is to stop: as good as no limit. A second Ctrl-C ends them.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Summary {
    copied: u64,
    bytes: u64,
    unchanged: u64,
    failed: u64,
    /// None unless Ctrl-C came.
    left: Option<u64>,
}

pub(crate) fn run<S: Store<Connection: Manifest>>(
    tree: &Tree,
    queue: &Queue<File, S>,
    jobs: NonZeroUsize,
    delete: bool,
    progress: &Progress,
) -> anyhow::Result<Summary> {
    let tell = progress.clone();
    let interrupt = Interrupt::listen(move || tell.say("stopping; the copies that run are completed"))?;
    queue.prune(None, Some(0))?; // what failed in an earlier run is found again, if it is still there
    let mut scan = Scan::new(tree, queue, progress);
    scan.leftovers(delete)?;

    let copier = Copier { tree: tree.clone(), progress: progress.clone() };
    let workers = queue.work(move |job, finish| copier.work(job, finish)).threads(jobs.get()).spawn()?;
    progress.begin("copying");
    scan.source(&interrupt)?;
    let left = wait(queue, &interrupt)?;
    workers.stop(A_DAY)?;
    progress.end();

    scan.modes();
    if left == 0 {
        forget_unfinished(tree);
    }
    let failed = tell_failures(queue, progress)? + scan.failures;
    let left = if interrupt.came() { Some(waiting(queue)?) } else { None };
    Ok(Summary { copied: progress.files(), bytes: progress.bytes(), unchanged: scan.unchanged, failed, left })
}

/// Waits until nothing is left to be done, by whatever process, or until it is to stop. Returns how much is left.
fn wait<S: Store>(queue: &Queue<File, S>, interrupt: &Interrupt) -> anyhow::Result<u64> {
    loop {
        let left = waiting(queue)?;
        if left == 0 || interrupt.came() {
            return Ok(left);
        }
        let pause = if left > 1000 { 1000 } else { 20 }; // counting many takes its time
        interrupt.comes_within(Duration::from_millis(pause));
    }
}

fn waiting<S: Store>(queue: &Queue<File, S>) -> anyhow::Result<u64> {
    let counts = queue.counts()?;
    Ok(counts.total() - counts.failed)
}

/// What a `kill -9` left, at a job's last attempt, or in a directory that is gone.
fn forget_unfinished(tree: &Tree) {
    for left in fs::read_dir(&tree.unfinished).into_iter().flatten().flatten() {
        let _ = fs::remove_file(left.path()); // the next run tries again
    }
}

fn tell_failures<S: Store>(queue: &Queue<File, S>, progress: &Progress) -> anyhow::Result<u64> {
    let (mut filter, mut failed) = (Filter::new().state(JobState::Failed), 0);
    loop {
        let page = queue.list(&filter)?;
        let Some(last) = page.last() else { return Ok(failed) };
        filter = filter.after(last.id);
        for job in &page {
            let file: File = serde_json::from_str(&job.params)?;
            progress.say(format_args!("{}: {}", file.path, job.last_error.as_deref().unwrap_or("failed")));
            failed += 1;
        }
    }
}

impl Summary {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.left {
            Some(_) => 130.into(),
            None => u8::from(self.failed > 0).into(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copied, bytes, unchanged, failed, left } = self;
        write!(f, "copied {copied} files ({}), {unchanged} unchanged, {failed} failed", HumanBytes(*bytes))?;
        match left {
            Some(left) => write!(f, "; stopped, {left} are still in the queue"),
            None => Ok(()),
        }
    }
}
