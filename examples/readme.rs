//! The README's first example.
use std::{fs, path::PathBuf};

fn main() -> anyhow::Result<()> {
    let lines: usize =
        drawgate::from_iter(files(".".into())) // a thread that lists files, as fast as they are wanted
            .parallel_map(4, |path| anyhow::Ok(fs::read(path)?.iter().filter(|b| **b == b'\n').count()))
            .divert_errors(|e| eprintln!("skipped: {e}"))
            .fold(0, |sum, n| *sum += n) // a thread that adds up
            .run()?; // starts all of it, waits for the end, gives the sum
    println!("{lines} lines");
    Ok(())
}

fn files(root: PathBuf) -> impl Iterator<Item = PathBuf> + Send {
    fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_file())
}
