//! Reads DST again, several files at once, and compares it with the manifest. The flow needs no queue.

use crate::progress::Progress;
use crate::store::{Entry, stat};
use crate::{Tree, names};
use drawgate::flow::Parallel;
use std::{fmt, fs, io::Read as _, num::NonZeroUsize, path::Path};

pub(crate) struct Verified {
    right: u64,
    pub(crate) wrong: u64,
}

pub(crate) fn verify(
    tree: &Tree,
    entries: Vec<Entry>,
    jobs: NonZeroUsize,
    progress: &Progress,
) -> anyhow::Result<Verified> {
    progress.begin("verifying");
    progress.expect(entries.len() as u64);
    let (dst, bar, tell) = (tree.dst.clone(), progress.clone(), progress.clone());
    let verified = drawgate::from_iter(entries)
        .parallel_map_unordered_with(Parallel::new(jobs.get()), move |entry| {
            let found = compare(&dst, &entry, &bar);
            bar.file();
            (entry.path, found)
        })
        .fold(Verified { right: 0, wrong: 0 }, move |sum, (path, found)| match found {
            Ok(()) => sum.right += 1,
            Err(cause) => {
                tell.say(format_args!("{path}: {cause:#}"));
                sum.wrong += 1;
            }
        })
        .spawn()?
        .join()?;
    progress.end();
    Ok(verified)
}

fn compare(dst: &Path, entry: &Entry, progress: &Progress) -> anyhow::Result<()> {
    let path = dst.join(names::decode(&entry.path));
    let meta = fs::symlink_metadata(&path)?;
    anyhow::ensure!(meta.is_file(), "it is no file");
    let (size, _, mode) = stat(&meta);
    anyhow::ensure!(size == entry.size, "it has {size} bytes, and had {}", entry.size);
    anyhow::ensure!(mode == entry.mode, "its mode is {mode:o}, and was {:o}", entry.mode);
    let (mut file, mut hasher, mut piece) = (fs::File::open(path)?, blake3::Hasher::new(), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => hasher.update(&piece[..n]),
        };
    }
    progress.add_bytes(size.unsigned_abs());
    anyhow::ensure!(hasher.finalize().to_hex().as_str() == entry.hash, "its content is not what was copied");
    Ok(())
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files are as they were copied, {} are not", self.right, self.wrong)
    }
}
