//! What is in SRC: directories and links are made at once, files that changed become jobs. And what is in DST only.

use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::store::{Entry, File, Manifest};
use crate::{Tree, names};
use drawgate::jobs::{NewJob, Queue, Store};
use std::{
    collections::HashMap,
    fs::{self, Metadata, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// How many jobs are enqueued in one statement.
const BATCH: usize = 500;

pub(crate) struct Scan<'a, S: Store> {
    pub(crate) tree: &'a Tree,
    pub(crate) queue: &'a Queue<File, S>,
    pub(crate) progress: &'a Progress,
    /// Of files.
    pub(crate) unchanged: u64,
    /// Of directories, links, and listings that fail. What becomes of files is in the queue.
    pub(crate) failures: u64,
    /// Directories that are open to us while it runs, and what their modes are to be.
    modes: Vec<(PathBuf, u32)>,
}

impl<'a, S: Store<Connection: Manifest>> Scan<'a, S> {
    pub(crate) fn new(tree: &'a Tree, queue: &'a Queue<File, S>, progress: &'a Progress) -> Self {
        Self { tree, queue, progress, unchanged: 0, failures: 0, modes: Vec::new() }
    }

    /// Lists SRC, until told to stop.
    pub(crate) fn source(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let mut manifest = self.queue.store().connect()?;
        let entries = manifest.entries()?.into_iter();
        let known: HashMap<String, Entry> = entries.map(|entry| (entry.path.clone(), entry)).collect();
        let mut changed = Vec::new();
        for found in WalkDir::new(&self.tree.src) {
            if interrupt.came() {
                return Ok(());
            }
            let done = found.map_err(io::Error::from).and_then(|found| {
                let path = found.path().strip_prefix(&self.tree.src).unwrap_or(Path::new("")).to_owned();
                if path.starts_with(".backup") {
                    return Ok(()); // SRC is a backup itself: that is not true of the copy
                }
                let (meta, name) = (found.metadata()?, names::encode(&path));
                if !meta.is_file() && known.contains_key(&name) {
                    manifest.forget(&name).map_err(io::Error::other)?; // it was a file
                }
                match (meta.file_type(), known.get(&name)) {
                    (kind, _) if kind.is_dir() => self.directory(&path, &meta)?,
                    (kind, _) if kind.is_symlink() => self.link(&path)?,
                    (kind, _) if !kind.is_file() => {
                        self.progress.say(format_args!("{name}: neither file, link nor directory; it is left out"));
                    }
                    (_, Some(entry)) if entry.is_of(&meta) && entry.is_in(&self.tree.dst) => self.unchanged += 1,
                    _ => changed.push(name),
                }
                Ok(())
            });
            self.mind(done);
            if changed.len() >= BATCH {
                self.enqueue(&mut changed)?;
            }
        }
        self.enqueue(&mut changed)
    }

    /// A file that is in the queue since an earlier run, or by another process, is not enqueued again: its path is
    /// unique.
    fn enqueue(&self, changed: &mut Vec<String>) -> anyhow::Result<()> {
        self.progress.expect(changed.len() as u64);
        let job = |path: String| NewJob::new(File { path: path.clone() }).unique(path);
        self.queue.enqueue_all(changed.drain(..).map(job))?;
        Ok(())
    }

    fn directory(&mut self, path: &Path, meta: &Metadata) -> io::Result<()> {
        let (to, mode) = (self.tree.dst.join(path), meta.permissions().mode() & 0o7777);
        match fs::symlink_metadata(&to) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => fs::remove_file(&to).and_then(|()| fs::create_dir(&to))?,
            Err(_) => match fs::create_dir(&to) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {} // another process was faster
                made => made?,
            },
        }
        let open = mode | 0o700;
        if fs::metadata(&to)?.permissions().mode() & 0o7777 != open {
            fs::set_permissions(&to, Permissions::from_mode(open))?;
        }
        if open != mode {
            self.modes.push((to, mode));
        }
        Ok(())
    }

    fn link(&self, path: &Path) -> io::Result<()> {
        let (target, to) = (fs::read_link(self.tree.src.join(path))?, self.tree.dst.join(path));
        if fs::read_link(&to).is_ok_and(|there| there == target) {
            return Ok(());
        }
        let unfinished = self.tree.unfinished.join(format!("link-{}", std::process::id()));
        let _ = fs::remove_file(&unfinished); // mostly there is none
        symlink(target, &unfinished)?;
        fs::rename(&unfinished, &to)
    }

    /// Tells of what is in DST only, or removes it. Before the rest: what was a directory may be a file now.
    pub(crate) fn leftovers(&mut self, delete: bool) -> anyhow::Result<()> {
        let mut manifest = self.queue.store().connect()?;
        for found in WalkDir::new(&self.tree.dst).min_depth(1).contents_first(true) {
            let done = found.map_err(io::Error::from).and_then(|found| {
                let path = found.path().strip_prefix(&self.tree.dst).unwrap_or(Path::new(""));
                let is_dir = found.file_type().is_dir();
                match fs::symlink_metadata(self.tree.src.join(path)) {
                    _ if path.starts_with(".backup") => {}
                    Ok(there) if there.is_dir() == is_dir => {}
                    Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {} // who knows
                    _ if !delete => self.progress.say(format_args!("{}: only in DST; kept", names::encode(path))),
                    _ if is_dir => fs::remove_dir(found.path())?,
                    _ => {
                        fs::remove_file(found.path())?;
                        manifest.forget(&names::encode(path)).map_err(io::Error::other)?;
                    }
                }
                Ok(())
            });
            self.mind(done);
        }
        Ok(())
    }

    /// Gives directories the modes that they are to have, at the end: nothing can be made in one that is read-only.
    pub(crate) fn modes(&mut self) {
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            self.mind(fs::set_permissions(path, Permissions::from_mode(mode)));
        }
    }

    fn mind(&mut self, done: io::Result<()>) {
        if let Err(cause) = done {
            self.failures += 1;
            self.progress.say(cause);
        }
    }
}
