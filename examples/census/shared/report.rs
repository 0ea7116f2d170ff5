//! The result of a census: as text for people, as one JSON object for programs.

use super::{
    copies::Group,
    failure::Shown,
    memory,
    options::Options,
    stock::{Stock, Tally},
};
use indicatif::HumanBytes;
use serde::{Serialize, Serializer};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// What `--json` prints, field by field. Names that are not UTF-8 are shown with replacement characters.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    total: Tally,
    types: BTreeMap<String, Tally>,
    largest: Vec<LargeFile>,
    /// What wastes most first.
    duplicates: Vec<Group>,
    /// How many failures were told on stderr.
    errors: u64,
    /// It was stopped early, and this is what was counted until then.
    partial: bool,
}

#[derive(Debug, Serialize)]
struct LargeFile {
    #[serde(serialize_with = "lossy")]
    path: PathBuf,
    bytes: u64,
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl Report {
    pub(crate) fn new(stock: Stock, mut duplicates: Vec<Group>, errors: u64, partial: bool) -> Self {
        duplicates.sort_by(|a, b| (Reverse(a.wasted), &a.paths).cmp(&(Reverse(b.wasted), &b.paths)));
        let largest = stock.largest.into_sorted().map(|(bytes, path)| LargeFile { path, bytes }).collect();
        Self { total: stock.total, types: stock.types, largest, duplicates, errors, partial }
    }

    /// Prints it to stdout; a reader that has gone away (`census | head`) is no failure.
    pub(crate) fn print(&self, options: &Options) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let printed = if options.json { self.json(&mut out) } else { self.text(&mut out, options.top) };
        let printed = printed.and_then(|()| out.flush());
        if options.peak_memory {
            if let Some(kib) = memory::peak_kib() {
                let _ = writeln!(io::stderr(), "peak memory: {kib} KiB"); // nobody left to tell
            }
        }
        printed.or_else(|e| if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(e) })
    }

    /// 0; or 1 if there were failures; or 130, as after any Ctrl-C, if it is partial.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self { partial: true, .. } => 130,
            Self { errors: 0, .. } => 0,
            _ => 1,
        }
    }

    fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    fn text(&self, out: &mut impl Write, top: usize) -> io::Result<()> {
        writeln!(out, "{:12} {:>10} {:>16} {:>12} {:>12}", "", "files", "bytes", "lines", "words")?;
        let mut types: Vec<_> = self.types.iter().collect();
        types.sort_by_key(|(_, tally)| Reverse(tally.bytes));
        for (kind, tally) in types.iter().take(top) {
            row(out, if kind.is_empty() { "(none)" } else { kind }, tally)?;
        }
        let rest = types.iter().skip(top).fold(Tally::default(), |sum, (_, tally)| sum + **tally);
        if rest.files > 0 {
            row(out, &format!("{} others", types.len() - top), &rest)?;
        }
        row(out, "all", &self.total)?;

        if !self.largest.is_empty() {
            writeln!(out, "\nlargest files")?;
        }
        for LargeFile { path, bytes } in &self.largest {
            writeln!(out, "{:>12}  {}", HumanBytes(*bytes).to_string(), Shown(path))?;
        }

        if !self.duplicates.is_empty() {
            let wasted = HumanBytes(self.duplicates.iter().map(|group| group.wasted).sum());
            writeln!(out, "\nequal content: {} groups, {wasted} could be freed", self.duplicates.len())?;
        }
        for Group { bytes, paths, .. } in self.duplicates.iter().take(top) {
            writeln!(out, "{:>12}  {} times", HumanBytes(*bytes).to_string(), paths.len())?;
            for path in paths.iter().take(top) {
                writeln!(out, "{:14}{}", "", Shown(path))?;
            }
            if paths.len() > top {
                writeln!(out, "{:14}and {} more", "", paths.len() - top)?;
            }
        }
        if self.errors > 0 {
            writeln!(out, "\n{} errors, told on stderr", self.errors)?;
        }
        if self.partial {
            writeln!(out, "\npartial: stopped early, this is what was counted until then")?;
        }
        Ok(())
    }
}

fn row(out: &mut impl Write, kind: &str, tally: &Tally) -> io::Result<()> {
    let Tally { files, bytes, lines, words } = tally;
    let kind = Shown(kind.as_ref()).to_string();
    writeln!(out, "{kind:12} {files:>10} {bytes:>16} {lines:>12} {words:>12}")
}
