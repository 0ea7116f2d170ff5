//! The regular files below some paths: what `find -H PATH... -type f` lists.
//!
//! A symbolic link met on the way is neither followed nor counted, so a loop of links is harmless; one that is named
//! as a PATH is followed, because somebody asked for it. A directory is read as the walk goes on and at most ten are
//! open at a time (of those further up the entries still to come are held), so memory does not grow with the number of
//! files. A directory that cannot be read, or that vanished since it was listed, is a failure
//! with its path, and the walk goes on after it.

use super::failure::Failure;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

pub(crate) fn walk(roots: Vec<PathBuf>) -> impl Iterator<Item = Result<PathBuf, Failure>> + Send {
    roots.into_iter().flat_map(|root| {
        WalkDir::new(&root).into_iter().filter_map(move |entry| match entry {
            Ok(entry) if is_file(&entry) => Some(Ok(entry.into_path())),
            Ok(_) => None,
            Err(e) => Some(Err(failure(e, &root))),
        })
    })
}

/// By what the directory said, without a call of its own; only a PATH that is a link is looked up.
fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_file() || (entry.depth() == 0 && entry.path_is_symlink() && entry.path().is_file())
}

/// An error in the midst of a listing does not say where; then the PATH is named that it was met below.
fn failure(e: walkdir::Error, root: &Path) -> Failure {
    let path = e.path().unwrap_or(root).to_path_buf();
    let cause = e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links"));
    Failure::new(path, cause)
}
