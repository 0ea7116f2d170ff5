//! Reads a file in pieces, so that a big one takes no more memory than a small one.

use std::{cell::RefCell, fs::File, io, io::Read, path::Path};

/// Long enough that the calls cost little, short enough to stay in a core's own cache.
const PIECE: usize = 128 * 1024;

thread_local! {
    /// One buffer a thread, for all the files it reads.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into_boxed_slice());
}

/// Hands the content of the file at `path` to `piece`, in order, until the end of the file.
///
/// `piece` must not read another file by this function: the buffer is taken.
pub(crate) fn read(path: &Path, mut piece: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    BUFFER.with_borrow_mut(|buffer| {
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => piece(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    })
}
