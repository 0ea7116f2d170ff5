//! Files with equal content: which files are worth comparing, and which of them turn out equal.
//!
//! Only files of equal size are hashed. To know them without holding a path for every file, the tree is walked again once
//! all sizes are known; and where more files share a size than shall be compared at once, it is walked several times, each
//! round taking a range of sizes. So memory is bounded by what one round compares, not by the tree. (Only if a single size
//! is shared by more files than that, they are one round all the same.) What has changed between the walks is taken as the
//! later walk finds it.
//!
//! Equal BLAKE3 digests (32 bytes) are taken for equal content. Hard links to one file are one copy: they take no space,
//! so the first by name stands for all.

use super::{failure::Failure, pieces};
use serde::{Serialize, Serializer};
use std::{
    collections::{HashMap, HashSet, hash_map},
    fs::{self, Metadata},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many files there are of each size.
#[derive(Debug, Default)]
pub(crate) struct Sizes(HashMap<u64, u32>);

impl Sizes {
    pub(crate) fn add(&mut self, bytes: u64, files: u32) {
        let known = self.0.entry(bytes).or_default();
        *known = known.saturating_add(files);
    }

    /// How to compare all files that share their size, at most `at_once` in a round unless a single size has more.
    pub(crate) fn rounds(mut self, at_once: usize) -> Vec<Round> {
        self.0.retain(|_, files| *files > 1);
        let mut shared: Vec<(u64, u64)> = self.0.iter().map(|(bytes, files)| (*bytes, u64::from(*files))).collect();
        shared.sort_unstable();
        let all = Arc::new(self);
        let mut rounds: Vec<Round> = Vec::new();
        for (bytes, files) in shared {
            match rounds.last_mut() {
                Some(round) if round.files + files <= at_once as u64 => {
                    round.range = *round.range.start()..=bytes;
                    round.files += files;
                }
                _ => rounds.push(Round { shared: Arc::clone(&all), range: bytes..=bytes, files }),
            }
        }
        rounds
    }
}

impl IntoIterator for Sizes {
    type Item = (u64, u32);
    type IntoIter = hash_map::IntoIter<u64, u32>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One walk that compares: the files of a range of sizes, those that are not alone with their size.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    shared: Arc<Sizes>,
    range: RangeInclusive<u64>,
    /// How many files the first walk found for it.
    pub(crate) files: u64,
}

impl Round {
    /// Hashes the file if this round compares it; `seen` hears the length of each piece. An error is a
    /// [`Failure`].
    pub(crate) fn print(&self, path: PathBuf, mut seen: impl FnMut(u64)) -> anyhow::Result<Option<Print>> {
        let failed = |e| Failure::new(&path, e);
        let meta = fs::metadata(&path).map_err(failed)?;
        let compared = meta.is_file() && self.range.contains(&meta.len()) && self.shared.0.contains_key(&meta.len());
        if !compared {
            return Ok(None);
        }
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        pieces::read(&path, |piece| {
            hasher.update(piece);
            bytes += piece.len() as u64;
            seen(piece.len() as u64);
        })
        .map_err(failed)?;
        let digest = *hasher.finalize().as_bytes();
        Ok(Some(Print { bytes, digest, inode: inode(&meta), path: path.into_boxed_path() }))
    }
}

/// What identifies a file's content, and the file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Print {
    // In this order equal content comes together, by name.
    bytes: u64,
    digest: [u8; 32],
    path: Box<Path>,
    inode: Option<(u64, u64)>,
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

/// Hard links cannot be told here, and count as copies.
#[cfg(not(unix))]
fn inode(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Files of equal content, two or more.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    /// Of each.
    pub(crate) bytes: u64,
    /// What all but one of them take.
    pub(crate) wasted: u64,
    #[serde(serialize_with = "lossy")]
    pub(crate) paths: Vec<Box<Path>>,
}

fn lossy<S: Serializer>(paths: &[Box<Path>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// The groups of equal files among `prints`.
pub(crate) fn groups(mut prints: Vec<Print>) -> Vec<Group> {
    prints.sort_unstable();
    let mut groups = Vec::new();
    let mut prints = prints.into_iter().peekable();
    while let Some(first) = prints.next() {
        let mut inodes: HashSet<(u64, u64)> = first.inode.into_iter().collect();
        let mut paths = vec![first.path];
        while let Some(next) = prints.next_if(|p| (p.bytes, p.digest) == (first.bytes, first.digest)) {
            if next.inode.is_none_or(|inode| inodes.insert(inode)) {
                paths.push(next.path);
            }
        }
        if paths.len() > 1 {
            groups.push(Group { bytes: first.bytes, wasted: first.bytes * (paths.len() as u64 - 1), paths });
        }
    }
    groups
}
