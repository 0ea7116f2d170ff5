//! Rounds, medians, rows of the table, and what the system says about this process.

use super::{Result, Scale};
use serde_json::{Value, json};
use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Figures of ours and of the baseline, round by round.
pub(crate) struct Rounds<F> {
    pub(crate) ours: Vec<F>,
    pub(crate) baseline: Vec<F>,
}

/// Runs the two in turn.
pub(crate) fn in_turn<F>(
    scale: Scale,
    mut ours: impl FnMut() -> Result<F>,
    mut baseline: impl FnMut() -> Result<F>,
) -> Result<Rounds<F>> {
    let mut rounds = Rounds { ours: Vec::new(), baseline: Vec::new() };
    for round in 0..scale.rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                rounds.ours.push(ours()?);
            } else {
                rounds.baseline.push(baseline()?);
            }
        }
    }
    Ok(rounds)
}

impl<F> Rounds<F> {
    /// One figure of each round.
    pub(crate) fn figure(&self, of: impl Fn(&F) -> f64) -> Rounds<f64> {
        Rounds { ours: self.ours.iter().map(&of).collect(), baseline: self.baseline.iter().map(&of).collect() }
    }
}

/// What a target asks for.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: shown because one wants to know.
    Shown,
}

impl Reach {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::Shown => None,
        }
    }
}
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::Shown => Ok(()),
        }
    }
}

/// A row of the table.
pub(crate) struct Row {
    id: &'static str,
    case: String,
    unit: &'static str,
    reach: Reach,
    figure: f64,
    baseline: Option<f64>,
    ratio: Option<Quartiles>,
}

impl Row {
    pub(crate) const HEAD: &str = "| target | case | ours | baseline | unit | ratio | reach | met |\n\
                                   |---|---|---|---|---|---|---|---|";

    /// Ours against the baseline, from the rounds.
    pub(crate) fn ratio(
        id: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        rounds: &Rounds<f64>,
        reach: Reach,
    ) -> Self {
        let ratios = rounds.ours.iter().zip(&rounds.baseline).map(|(ours, baseline)| ours / baseline);
        Self {
            id,
            case: case.into(),
            unit,
            reach,
            figure: Quartiles::of(&rounds.ours).median,
            baseline: Some(Quartiles::of(&rounds.baseline).median),
            ratio: Some(Quartiles::of(&ratios.collect::<Vec<_>>())),
        }
    }

    /// A figure without a baseline: what is to be reached is about itself.
    pub(crate) fn alone(
        id: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        reach: Reach,
    ) -> Self {
        Self { id, case: case.into(), unit, reach, figure: Quartiles::of(ours).median, baseline: None, ratio: None }
    }

    fn met(&self) -> Option<bool> {
        self.reach.met(self.ratio.as_ref().map_or(self.figure, |ratio| ratio.median))
    }

    pub(crate) fn json(&self) -> Value {
        let reach = Some(self.reach.to_string()).filter(|reach| !reach.is_empty());
        json!({
            "id": self.id, "case": self.case, "figure": self.figure, "baseline": self.baseline, "unit": self.unit,
            "ratio": self.ratio.as_ref().map(|ratio| ratio.median),
            "quartiles": self.ratio.as_ref().map(|ratio| [ratio.low, ratio.high]),
            "reach": reach, "met": self.met(),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (figure, baseline) = (short(self.figure), self.baseline.map(short).unwrap_or_default());
        let ratio = self.ratio.as_ref().map(Quartiles::to_string).unwrap_or_default();
        let met = self.met().map_or("", |met| if met { "yes" } else { "no" });
        let Self { id, case, unit, reach, .. } = self;
        write!(f, "| {id} | {case} | {figure} | {baseline} | {unit} | {ratio} | {reach} | {met} |")
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize };
    format!("{value:.digits$}")
}

/// The median, and between which values half of all are.
pub(crate) struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        // Between two values in proportion, as spreadsheets do.
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}
impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.low, self.high)
    }
}

/// Millions of events a second.
pub(crate) fn rate(events: u64, since: Instant) -> f64 {
    events as f64 / since.elapsed().as_secs_f64() / 1e6
}

/// How long events took, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// From nanoseconds.
    pub(crate) fn of(mut nanos: Vec<u64>) -> Result<Self> {
        nanos.sort_unstable();
        let last = nanos.len().checked_sub(1).ok_or("no event came through")?;
        let at = |part: f64| nanos[(part * last as f64).round() as usize] as f64 / 1e3;
        Ok(Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) })
    }

    /// The four rows of a latency target.
    pub(crate) fn rows(id: &'static str, case: &str, rounds: &Rounds<Self>, p50: Reach, p99: Reach) -> Vec<Row> {
        type Of = fn(&Latency) -> f64;
        let figures: [(&str, Of, Reach); 4] = [
            ("p50", |l| l.p50, p50),
            ("p99", |l| l.p99, p99),
            ("p99.9", |l| l.p999, Reach::Shown),
            ("max", |l| l.max, Reach::Shown),
        ];
        let row = |(name, of, reach)| Row::ratio(id, format!("{case}, {name}"), "µs", &rounds.figure(of), reach);
        figures.map(row).into()
    }
}

/// The nanoseconds of one run, measured from one moment.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
    #[inline]
    pub(crate) fn nanos(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
    /// Sleeps, and spins for the last part, since sleeps end late.
    pub(crate) fn wait_until(self, nanos: u64) {
        let early = nanos.saturating_sub(200_000);
        thread::sleep(Duration::from_nanos(early.saturating_sub(self.nanos())));
        while self.nanos() < nanos {
            std::hint::spin_loop();
        }
    }
}

/// CPU that the living threads of this process have used, in seconds.
pub(crate) fn cpu() -> Result<f64> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split(' ').next().ok_or("an empty schedstat")?.parse::<u64>()?;
    }
    Ok(nanos as f64 / 1e9)
}

/// `VmRSS`, `VmHWM`: in MB.
pub(crate) fn memory(what: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no such line")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// This program again, for one part, in a process of its own; on the first core only if `pinned`.
pub(crate) fn child(pinned: bool, args: &[&str]) -> Result<Value> {
    let program = env::current_exe()?;
    let mut command = match pinned {
        true => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        }
        false => Command::new(program),
    };
    let output = command.arg("--child").args(args).output()?;
    if !output.status.success() {
        return Err(
            format!("{args:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A number in what a child printed.
pub(crate) fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or(f64::NAN)
}

/// What the figures come from, in a line.
pub(crate) fn machine() -> String {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
        output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, cpu)| cpu);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {} cores, {}, {}, commit {}, load {}",
        cpu.unwrap_or("unknown CPU"),
        thread::available_parallelism().map_or(1, usize::from),
        said("uname", &["-sr"]),
        said("rustc", &["--version"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        load.split(' ').next().unwrap_or("unknown"),
    )
}
