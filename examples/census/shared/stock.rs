//! The stock: what all files counted so far add up to.
//!
//! It holds no path but those of the largest files. What grows with the tree is a handful of bytes for each distinct size
//! and each distinct type.

use super::{
    copies::Sizes,
    count::{Counted, Counts},
};
use serde::Serialize;
use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ops::{Add, AddAssign},
    path::{Path, PathBuf},
};

/// What several files add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

impl Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            lines: self.lines + other.lines,
            words: self.words + other.words,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl From<Counts> for Tally {
    fn from(Counts { bytes, lines, words }: Counts) -> Self {
        Self { files: 1, bytes, lines, words }
    }
}

#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) total: Tally,
    /// By extension in lower case, "" for none.
    pub(crate) types: BTreeMap<String, Tally>,
    pub(crate) largest: Largest,
    pub(crate) sizes: Sizes,
}

impl Stock {
    /// `top`: how many of the largest files to remember.
    pub(crate) fn new(top: usize) -> Self {
        Self { total: Tally::default(), types: BTreeMap::new(), largest: Largest::new(top), sizes: Sizes::default() }
    }

    pub(crate) fn add(&mut self, Counted { path, counts }: Counted) {
        let file = Tally::from(counts);
        self.total += file;
        let kind = kind(&path);
        match self.types.get_mut(&*kind) {
            Some(tally) => *tally += file,
            None => drop(self.types.insert(kind.into_owned(), file)),
        }
        self.sizes.add(counts.bytes, 1);
        self.largest.offer(counts.bytes, path);
    }

    /// Two stocks of different files as one. A flow has one stage that adds up; without it, threads merge at the end.
    #[allow(dead_code, reason = "for the programs by hand")]
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.total += other.total;
        for (kind, tally) in other.types {
            *self.types.entry(kind).or_default() += tally;
        }
        for (bytes, files) in other.sizes {
            self.sizes.add(bytes, files);
        }
        for (bytes, path) in other.largest.into_sorted() {
            self.largest.offer(bytes, path);
        }
        self
    }
}

/// The type of a file: its extension in lower case, so that `JPG` and `jpg` are one.
fn kind(path: &Path) -> Cow<'_, str> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if extension.bytes().any(|b| b.is_ascii_uppercase()) { extension.to_ascii_lowercase().into() } else { extension }
}

/// The largest files, at most so many. Of equally large ones the first by name, whatever order they came in.
#[derive(Debug)]
pub(crate) struct Largest {
    keep: usize,
    /// The smallest on top, to be pushed out.
    heap: BinaryHeap<Reverse<(u64, Reverse<PathBuf>)>>,
}

impl Largest {
    fn new(keep: usize) -> Self {
        Self { keep, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, bytes: u64, path: PathBuf) {
        let file = Reverse((bytes, Reverse(path)));
        if self.heap.len() < self.keep {
            self.heap.push(file);
        } else if let Some(mut smallest) = self.heap.peek_mut() {
            if file < *smallest {
                *smallest = file;
            }
        }
    }

    /// The largest first.
    pub(crate) fn into_sorted(self) -> impl Iterator<Item = (u64, PathBuf)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse((bytes, Reverse(path)))| (bytes, path))
    }
}
