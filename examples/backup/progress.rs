//! What is told while it runs: lines on stderr, and, if that is a terminal, a bar with files, bytes and rate.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt::{self, Display},
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    bytes: Arc<AtomicU64>,
    files: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        Self { bar, bytes: Arc::default(), files: Arc::default() }
    }

    /// Shows the bar.
    pub(crate) fn begin(&self, doing: &str) {
        if self.bar.is_hidden() {
            return;
        }
        let bytes = Arc::clone(&self.bytes);
        let template = format!("{{spinner}} {doing}  {{wide_bar}}  {{pos}}/{{len}} files  {{bytes_and_rate}}");
        let style = ProgressStyle::with_template(&template).expect("bug: a template of ours does not parse");
        let rate = move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let bytes = bytes.load(Relaxed); // a figure to look at: it publishes nothing
            let rate = bytes as f64 / state.elapsed().as_secs_f64().max(0.001);
            let _ = write!(out, "{}  {}/s", HumanBytes(bytes), HumanBytes(rate as u64));
        };
        self.bar.set_style(style.with_key("bytes_and_rate", rate));
        self.bar.enable_steady_tick(Duration::from_millis(100));
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// So many files more are to be done.
    pub(crate) fn expect(&self, files: u64) {
        self.bar.inc_length(files);
    }

    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Relaxed); // likewise, once the threads that count have been waited for
        self.bar.inc(1);
    }

    pub(crate) fn add_bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Relaxed); // a figure to look at: it publishes nothing
    }

    pub(crate) fn files(&self) -> u64 {
        self.files.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Prints a line of its own to stderr, not across the bar. Control characters of names do not reach the terminal.
    pub(crate) fn say(&self, line: impl Display) {
        let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        let line: String = line.to_string().chars().map(shown).collect();
        // If stderr is gone, there is nobody to tell.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "backup: {line}")));
    }
}
