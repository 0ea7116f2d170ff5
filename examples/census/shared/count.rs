//! Bytes, lines and words of one file, as `LC_ALL=C wc` of GNU coreutils 9.1 counts them.
//!
//! A line is a newline byte. A word is a run of bytes without white space (space, `\t`, `\n`, `\v`, `\f`, `\r`) that
//! holds at least one printable ASCII byte (`!` to `~`): other bytes neither begin a word nor end one. So `naïve` is one
//! word in any encoding, while a dash that is not ASCII, standing alone, is none. (Newer releases of `wc` count such a
//! run as well; the two differ on binaries and on scripts other than Latin.)
//!
//! The words of a block are counted without looking at the bytes in turn wherever that is the same, which the compiler
//! turns into vector code.

use super::{failure::Failure, pieces};
use std::path::PathBuf;

/// What a file holds. `lines` and `words` as the head of this file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

/// One file, counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) path: PathBuf,
    pub(crate) counts: Counts,
}

/// Counts the file at `path`; `seen` hears the length of each piece as it is read. An error is a [`Failure`].
pub(crate) fn count(path: PathBuf, mut seen: impl FnMut(u64)) -> anyhow::Result<Counted> {
    let mut counter = Counter::default();
    let read = pieces::read(&path, |piece| {
        counter.add(piece);
        seen(piece.len() as u64);
    });
    match read {
        Ok(()) => Ok(Counted { path, counts: counter.counts() }),
        Err(e) => Err(Failure::new(path, e).into()),
    }
}

/// Counts content that comes in pieces, cut anywhere.
#[derive(Debug)]
pub(crate) struct Counter {
    counts: Counts,
    /// Whether a printable byte would begin a word now.
    after_space: bool,
}

impl Default for Counter {
    fn default() -> Self {
        Self { counts: Counts::default(), after_space: true }
    }
}

/// So long that what is counted in one block fits a byte.
const BLOCK: usize = 128;

impl Counter {
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.counts.bytes += piece.len() as u64;
        let mut blocks = piece.chunks_exact(BLOCK);
        for block in &mut blocks {
            self.block(block);
        }
        self.lines(blocks.remainder());
        self.words_one_by_one(blocks.remainder());
    }

    fn block(&mut self, block: &[u8]) {
        self.lines(block);
        let pairs = || block.iter().zip(&block[1..]);
        // A word begins where a printable byte follows white space, unless other bytes stand between the two. So if no
        // other byte follows white space, the words are the places where printable follows space.
        let begun: u8 = pairs().map(|(a, b)| u8::from(is_space(*a) & is_printable(*b))).sum();
        let unclear: u8 = pairs().map(|(a, b)| u8::from(is_space(*a) & is_other(*b))).sum();
        let (first, last) = (block[0], block[BLOCK - 1]);
        if unclear == 0 && !(self.after_space && is_other(first)) {
            self.counts.words += u64::from(begun) + u64::from(self.after_space && is_printable(first));
            self.after_space = is_space(last); // other bytes at the end follow a printable one, here or before
        } else if !block.iter().fold(true, |all, b| all & is_other(*b)) {
            self.words_one_by_one(block);
        }
    }

    fn lines(&mut self, bytes: &[u8]) {
        let newlines: u8 = bytes.iter().map(|b| u8::from(*b == b'\n')).sum();
        self.counts.lines += u64::from(newlines);
    }

    fn words_one_by_one(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.counts.words += u64::from(self.after_space & is_printable(b));
            self.after_space = (self.after_space & is_other(b)) | is_space(b);
        }
    }
}

fn is_space(b: u8) -> bool {
    (b == b' ') | (b.wrapping_sub(b'\t') < 5)
}

fn is_printable(b: u8) -> bool {
    b.wrapping_sub(b'!') < 94
}

fn is_other(b: u8) -> bool {
    !is_space(b) & !is_printable(b)
}
