//! The progress bar: files, bytes and rate, on stderr, and only if that is a terminal.

use indicatif::{
    HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle,
};
use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Where bars are drawn, and lines are said above them.
#[derive(Clone)]
pub(crate) struct Progress(MultiProgress);

impl Progress {
    /// Hidden unless stderr is a terminal.
    pub(crate) fn new() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
    }

    /// While the number of files is not known yet.
    pub(crate) fn counting(&self) -> Bar {
        self.bar(ProgressBar::no_length(), "{spinner} counting  {pos} files  {read}")
    }

    /// While `files` files are compared.
    pub(crate) fn comparing(&self, files: u64) -> Bar {
        self.bar(ProgressBar::new(files), "{spinner} comparing  {wide_bar}  {pos}/{len} files  {read}")
    }

    /// Prints a line of its own to stderr, not across a bar.
    pub(crate) fn say(&self, line: &str) {
        // If stderr is gone, there is nobody to tell.
        self.0.suspend(|| drop(writeln!(io::stderr(), "census: {line}")));
    }

    fn bar(&self, bar: ProgressBar, template: &str) -> Bar {
        if self.0.is_hidden() {
            return Bar(None);
        }
        let bytes = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&bytes);
        let style = ProgressStyle::with_template(template).expect("bug: a template of ours does not parse");
        let style = style.with_key("read", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let bytes = read.load(Relaxed); // a figure to look at: it publishes nothing
            let rate = bytes as f64 / state.elapsed().as_secs_f64().max(0.001);
            let _ = write!(out, "{}  {}/s", HumanBytes(bytes), HumanBytes(rate as u64));
        });
        let bar = self.0.add(bar.with_style(style).with_finish(ProgressFinish::AndClear));
        bar.tick(); // seen at once, however short the rest
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(Some((bar, bytes)))
    }
}

/// One bar, told from any thread; it goes when its last clone is dropped.
#[derive(Clone)]
pub(crate) struct Bar(Option<(ProgressBar, Arc<AtomicU64>)>);

impl Bar {
    /// A piece of so many bytes was read.
    pub(crate) fn bytes(&self, n: u64) {
        if let Some((_, bytes)) = &self.0 {
            bytes.fetch_add(n, Relaxed); // a figure to look at: it publishes nothing
        }
    }

    /// A file is done.
    pub(crate) fn file(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.inc(1);
        }
    }
}
