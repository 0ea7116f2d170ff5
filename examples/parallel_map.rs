//! Ordered parallel map over a directory walk, with `?` in the handler, and a `for` loop that gets what comes out.
use anyhow::Context as _;
use std::{fs, path::PathBuf};

fn walk(root: PathBuf) -> impl Iterator<Item = std::io::Result<fs::DirEntry>> + Send {
    let mut dirs = vec![root];
    std::iter::from_fn(move || Some(fs::read_dir(dirs.pop()?))).flat_map(|dir| dir.into_iter().flatten())
}

fn main() -> anyhow::Result<()> {
    let counted = drawgate::from_iter(walk("src".into())).name("walk").parallel_map(8, |entry| {
        let path = entry?.path();
        let bytes = if path.is_file() { fs::read(&path).with_context(|| path.display().to_string())?.len() } else { 0 };
        anyhow::Ok((path, bytes))
    });
    let (mut bytes, mut failed) = (0, 0);
    let mut files = counted.name("read").stream()?;
    for file in &mut files {
        match file {
            Ok((path, len)) => {
                println!("{len:>9} {}", path.display());
                bytes += len;
            }
            Err(e) => {
                failed += 1;
                eprintln!("{e:#}");
            }
        }
    }
    files.finish()?; // a stage that failed or panicked is an error here, not a short list
    println!("{bytes:>9} bytes");
    anyhow::ensure!(failed == 0, "{failed} files could not be read");
    Ok(())
}
