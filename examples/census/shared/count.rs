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
    /// The last byte that was white space or printable: white space if the next printable one begins a word.
    last: u8,
}

impl Default for Counter {
    fn default() -> Self {
        Self { counts: Counts::default(), last: b' ' }
    }
}

/// So long that a count of one block's bytes fits a byte.
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
        self.one_by_one(blocks.remainder());
    }

    /// A word begins where a printable byte follows white space, unless other bytes stand between the two. So if no
    /// other byte follows white space in this block, its words are the places where printable follows space.
    fn block(&mut self, block: &[u8]) {
        let pairs = || block.iter().zip(&block[1..]);
        let begun: u8 = pairs().map(|(a, b)| u8::from(is_space(*a) & is_printable(*b))).sum();
        let unclear: u8 = pairs().map(|(a, b)| u8::from(is_space(*a) & !is_space(*b) & !is_printable(*b))).sum();
        let first = block[0];
        let first_is_other = !is_space(first) && !is_printable(first);
        if unclear > 0 || (first_is_other && is_space(self.last)) {
            return self.one_by_one(block);
        }
        let newlines: u8 = block.iter().map(|b| u8::from(*b == b'\n')).sum();
        self.counts.lines += u64::from(newlines);
        self.counts.words += u64::from(begun) + u64::from(is_space(self.last) && is_printable(first));
        // Other bytes at the end follow a printable one, here or before this block: none of them follows white space.
        self.last = if is_space(block[BLOCK - 1]) { b' ' } else { b'a' };
    }

    fn one_by_one(&mut self, bytes: &[u8]) {
        for &b in bytes {
            let (space, printable) = (is_space(b), is_printable(b));
            self.counts.lines += u64::from(b == b'\n');
            self.counts.words += u64::from(printable & is_space(self.last));
            self.last = if space | printable { b } else { self.last };
        }
    }
}

fn is_space(b: u8) -> bool {
    (b == b' ') | (b.wrapping_sub(b'\t') < 5)
}

fn is_printable(b: u8) -> bool {
    b.wrapping_sub(b'!') < 94
}
