//! The handler of a job: copies one file.
//!
//! What takes long, reading and writing, is in no transaction. The end is in one: [`Finish::commit`] removes the job,
//! which fails if somebody else has taken it over meanwhile; then the copy gets its name and its line in the manifest.
//! So nobody who was slow replaces a newer copy, and whatever has a line in the manifest is there.

use crate::progress::Progress;
use crate::store::{Entry, File, Manifest, stat};
use crate::{Tree, names};
use anyhow::{Context as _, bail, ensure};
use drawgate::jobs::{Finish, Job, Outcome, Store};
use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

pub(crate) struct Copier {
    pub(crate) tree: Tree,
    pub(crate) progress: Progress,
}

impl Copier {
    /// A disk that is full or fails may do better at the next attempt; a file that is gone or closed to us will not.
    pub(crate) fn work<S: Store<Connection: Manifest>>(
        &self,
        job: &Job<File>,
        finish: &mut Finish<'_, S>,
    ) -> anyhow::Result<Outcome> {
        match self.copy(job, finish) {
            Ok(()) => Ok(Outcome::Done),
            Err(cause) if cause.is::<Hopeless>() => Ok(Outcome::Discard(format!("{cause:#}"))),
            Err(cause) => {
                if !job.is_last_attempt() {
                    self.progress.say(format_args!("{}: {cause:#}; it will be tried again", job.path));
                }
                Err(cause)
            }
        }
    }

    fn copy<S: Store<Connection: Manifest>>(&self, job: &Job<File>, finish: &mut Finish<'_, S>) -> anyhow::Result<()> {
        let path = names::decode(&job.path);
        let (from, to) = (self.tree.src.join(&path), self.tree.dst.join(&path));
        let meta = fs::symlink_metadata(&from).map_err(of_source)?;
        if !meta.is_file() {
            bail!(Hopeless("it is no file any more"));
        }
        let copied = finish.connection()?.entry(&job.path)?;
        if copied.is_some_and(|entry| entry.is_of(&meta) && entry.is_in(&self.tree.dst)) {
            return Ok(()); // by another process, or by an earlier run's job while this one listed SRC
        }
        if fs::symlink_metadata(&to).is_ok_and(|there| there.is_dir()) {
            bail!(Hopeless("in the copy there is a directory of this name (--delete removes it)"));
        }

        let mut source = fs::File::open(&from).map_err(of_source)?;
        let unfinished = Unfinished::new(&self.tree, job);
        let mut target = fs::File::create(&unfinished.0).context("making the copy")?;
        let hash = self.pour(&mut source, &mut target, job)?;
        ensure!(stat(&source.metadata()?) == stat(&meta), "it changed while it was read");
        target.set_modified(meta.modified()?)?;
        target.set_permissions(meta.permissions())?;
        target.sync_all().context("writing the copy")?;

        let entry = Entry::new(&job.path, &meta, hash);
        finish.commit(|tx| {
            fs::rename(&unfinished.0, &to).context("naming the copy")?;
            Ok(tx.put(&entry)?)
        })?;
        self.progress.file();
        Ok(())
    }

    fn pour(&self, source: &mut fs::File, target: &mut fs::File, job: &Job<File>) -> anyhow::Result<blake3::Hash> {
        let (mut hasher, mut piece) = (blake3::Hasher::new(), vec![0; 128 * 1024]);
        loop {
            let n = match source.read(&mut piece) {
                Ok(0) => return Ok(hasher.finalize()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read.context("reading")?,
            };
            hasher.update(&piece[..n]);
            target.write_all(&piece[..n]).context("writing the copy")?;
            self.progress.add_bytes(n as u64);
            ensure!(!job.is_cancelled(), "somebody else copies it"); // our lease has expired
        }
    }
}

/// A copy without a name, which goes unless it gets one.
struct Unfinished(PathBuf);

impl Unfinished {
    /// By attempt: one that was taken over may still be at work on its own. What those before it left goes.
    fn new(tree: &Tree, job: &Job<File>) -> Self {
        let name = |attempt| tree.unfinished.join(format!("{}-{attempt}", job.id()));
        for earlier in 1..job.attempt() {
            let _ = fs::remove_file(name(earlier)); // mostly there is none
        }
        Self(name(job.attempt()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // if it got its name, there is none
    }
}

/// There is no use in trying again.
#[derive(Debug)]
struct Hopeless(&'static str);
impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl std::error::Error for Hopeless {}

fn of_source(cause: io::Error) -> anyhow::Error {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            anyhow::Error::new(cause).context(Hopeless("it has vanished"))
        }
        io::ErrorKind::PermissionDenied => anyhow::Error::new(cause).context(Hopeless("it cannot be read")),
        _ => anyhow::Error::new(cause).context("reading"),
    }
}
