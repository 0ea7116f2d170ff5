//! The example `census` against the same work wired by hand: time, peak memory, lines of code.
//!
//! `cargo bench --bench census -- [--rounds N] [--quick] [--memory]`
//!
//! - Each round runs all programs once, one after another, beginning with another one each time; a round before the first
//!   warms the page cache and compares what they print. Figures are medians over the rounds, ratios are medians of the
//!   rounds' ratios, each with its quartiles: two programs are compared within a round, seconds apart.
//! - The tree is `CENSUS_TREE`, or one of 20 000 files that is made once below the target directory, always the same.
//! - `--memory` adds the peak on 100 000 small files and on one file of 2 GiB (a sparse one: it reads as zeros).
//! - `--quick` is to see that all this works: one round, small trees.
//!
//! Prints Markdown, and writes `census-bench.json` into the target directory.

// The library keeps locks, threads and clocks behind one module of its own; a bench need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use serde_json::{Value, json};
use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A way to take the census: how it is started, and the file that wires it.
struct Program {
    name: &'static str,
    example: &'static str,
    args: &'static [&'static str],
    wiring: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program { name: "census (drawgate)", example: "census", args: &[], wiring: "examples/census/flows.rs" },
    Program { name: "rayon", example: "by_hand", args: &["rayon"], wiring: "examples/by_hand/rayon_way.rs" },
    Program {
        name: "crossbeam",
        example: "by_hand",
        args: &["crossbeam"],
        wiring: "examples/by_hand/crossbeam_way.rs",
    },
    Program { name: "one thread", example: "by_hand", args: &["one"], wiring: "examples/by_hand/one_thread.rs" },
];
const CENSUS: usize = 0;
const ONE_THREAD: usize = 3;

fn main() -> Result<()> {
    let options = Options::from_args()?;
    let place = Place::find()?;
    place.build_examples()?;
    let tree = match env::var_os("CENSUS_TREE") {
        Some(tree) => PathBuf::from(tree),
        None => place.tree("mixed", if options.quick { 200 } else { 20_000 }, Sizes::Mixed)?,
    };

    let (found, series) = measure(&place, &tree, options.rounds)?;
    let lines = PROGRAMS.iter().map(|program| lines_of_code(program.wiring)).collect::<Result<Vec<_>>>()?;
    let mut result = json!({
        "machine": machine(),
        "tree": { "files": found["files"], "bytes": found["bytes"] },
        "rounds": options.rounds,
    });
    println!("{}\n", machine().as_str().unwrap_or_default());
    println!(
        "{} files, {} bytes; {} rounds in turn; median (quartiles)\n",
        found["files"], found["bytes"], options.rounds
    );
    println!("| program | time, s | time of census ÷ this | peak memory, MiB | lines that wire it |");
    println!("|---|---|---|---|---|");
    let mut programs = Vec::new();
    for (i, program) in PROGRAMS.iter().enumerate() {
        let seconds = Quartiles::of(series[i].iter().map(|run| run.seconds));
        let ratio = ratio(&series[CENSUS], &series[i]);
        let peak = Quartiles::of(series[i].iter().map(|run| run.peak_mib));
        println!("| {} | {seconds:.3} | {ratio} | {:.1} | {} |", program.name, peak.median, lines[i]);
        programs.push(json!({
            "name": program.name, "seconds": seconds.json(), "census_ratio": ratio.json(), "peak_mib": peak.median,
            "lines": lines[i], "runs": series[i].iter().map(|run| run.seconds).collect::<Vec<_>>(),
        }));
    }
    let median = |i: &usize| Quartiles::of(series[*i].iter().map(|run| run.seconds)).median;
    let fastest = (CENSUS + 1..PROGRAMS.len()).min_by(|a, b| median(a).total_cmp(&median(b))).unwrap_or(ONE_THREAD);
    let (to_fastest, speed_up) =
        (ratio(&series[CENSUS], &series[fastest]), ratio(&series[ONE_THREAD], &series[CENSUS]));
    println!("\nAgainst the fastest of the others, {}: {to_fastest} times its time.", PROGRAMS[fastest].name);
    println!("Against one thread: {speed_up} times as fast.");
    result["programs"] = programs.into();
    result["fastest"] = json!({ "name": PROGRAMS[fastest].name, "census_ratio": to_fastest.json() });
    result["speed_up"] = speed_up.json();

    if options.memory {
        result["memory"] = memory(&place, options.quick)?;
    }
    let file = place.target.join("census-bench.json");
    fs::write(&file, format!("{result:#}\n"))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

struct Options {
    rounds: usize,
    quick: bool,
    memory: bool,
}

impl Options {
    fn from_args() -> Result<Self> {
        let (mut rounds, mut quick, mut memory) = (None, false, false);
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            match &*arg {
                "--rounds" => rounds = Some(args.next().ok_or("--rounds needs a number")?.parse::<usize>()?.max(1)),
                "--quick" => quick = true,
                "--memory" => memory = true,
                "--bench" => {} // cargo says so
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(Self { rounds: rounds.unwrap_or(if quick { 1 } else { 9 }), quick, memory })
    }
}

// ---------------------------------------------------------------- runs

struct Run {
    seconds: f64,
    peak_mib: f64,
    printed: Value,
}

impl Program {
    fn run(&self, place: &Place, path: &Path) -> Result<Run> {
        let mut command = Command::new(place.examples.join(self.example));
        command.args(self.args).args(["--json", "--peak-memory"]).arg(path).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output()?;
        let seconds = start.elapsed().as_secs_f64();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("{} ended with {}: {stderr}", self.name, output.status).into());
        }
        let peak =
            stderr.lines().find_map(|line| line.strip_prefix("peak memory: ")?.strip_suffix(" KiB")?.parse().ok());
        let peak: f64 = peak.unwrap_or(f64::NAN); // not Linux
        Ok(Run { seconds, peak_mib: peak / 1024.0, printed: serde_json::from_slice(&output.stdout)? })
    }
}

/// What all programs found, and the runs of each.
fn measure(place: &Place, tree: &Path, rounds: usize) -> Result<(Value, Vec<Vec<Run>>)> {
    let warm = PROGRAMS.iter().map(|program| program.run(place, tree)).collect::<Result<Vec<_>>>()?;
    for (program, run) in PROGRAMS.iter().zip(&warm) {
        if run.printed != warm[CENSUS].printed {
            return Err(format!("{} does not find what census finds", program.name).into());
        }
    }
    let mut series: Vec<Vec<Run>> = PROGRAMS.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..PROGRAMS.len() {
            let i = (round + turn) % PROGRAMS.len();
            series[i].push(PROGRAMS[i].run(place, tree)?);
        }
    }
    let found = warm.into_iter().next().map(|run| run.printed).unwrap_or_default();
    Ok((found, series))
}

/// Peak memory where it could grow: many files, and a long one.
fn memory(place: &Place, quick: bool) -> Result<Value> {
    let (files, bytes) = if quick { (1000, 1 << 26) } else { (100_000, 1 << 31) };
    let many = place.tree("small", files, Sizes::Small)?;
    let long = place.bench.join("long");
    fs::create_dir_all(&long)?;
    File::create(long.join("file"))?.set_len(bytes)?;
    println!("\n| peak memory, MiB | {files} small files | one file of {} MiB |", bytes >> 20);
    println!("|---|---|---|");
    let mut peaks = Vec::new();
    for program in &PROGRAMS {
        let (many, long) = (program.run(place, &many)?.peak_mib, program.run(place, &long)?.peak_mib);
        println!("| {} | {many:.1} | {long:.1} |", program.name);
        peaks.push(json!({ "name": program.name, "many_files_mib": many, "long_file_mib": long }));
    }
    fs::remove_dir_all(&long)?;
    Ok(json!({ "files": files, "long_file_bytes": bytes, "programs": peaks }))
}

/// The median, and between which values half of all are.
struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        // Between two values in proportion, as spreadsheets do.
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    fn json(&self) -> Value {
        json!({ "q1": self.low, "median": self.median, "q3": self.high })
    }
}

impl std::fmt::Display for Quartiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

/// Of the times, round by round.
fn ratio(of: &[Run], to: &[Run]) -> Quartiles {
    Quartiles::of(of.iter().zip(to).map(|(of, to)| of.seconds / to.seconds))
}

/// Lines that are neither blank nor only a comment.
fn lines_of_code(file: &str) -> Result<usize> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count())
}

/// What the figures come from, in a line.
fn machine() -> Value {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, cpu)| cpu);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut line = format!("{cpu}, {cores} cores");
    for (name, value) in [
        ("", said("uname", &["-sr"])),
        ("", said("rustc", &["--version"])),
        ("commit ", said("git", &["rev-parse", "--short", "HEAD"])),
    ] {
        let _ = write!(line, ", {name}{}", value.as_deref().unwrap_or("unknown")); // into a `String`
    }
    line.into()
}

// ---------------------------------------------------------------- the place and its trees

/// Where cargo builds.
struct Place {
    target: PathBuf,
    examples: PathBuf,
    bench: PathBuf,
}

/// How long the files of a tree are.
#[derive(Clone, Copy)]
enum Sizes {
    /// Up to 4 KB.
    Small,
    /// As in source trees: half of them below 2 KiB, 11 KiB on average, one in a hundred up to 1 MiB.
    Mixed,
}

impl Place {
    /// From where this program is: `<target>/release/deps/`.
    fn find() -> Result<Self> {
        let program = env::current_exe()?;
        let profile = program.ancestors().nth(2).ok_or("not below a target directory")?;
        let target = profile.parent().ok_or("not below a target directory")?.to_owned();
        Ok(Self { examples: profile.join("examples"), bench: target.join("census-bench"), target })
    }

    /// `cargo bench` does not build them.
    fn build_examples(&self) -> Result<()> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--release", "--example", "census", "--example", "by_hand", "--target-dir"]);
        match cargo.arg(&self.target).current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
            true => Ok(()),
            false => Err("the examples do not build".into()),
        }
    }

    /// A tree of `n` files in directories of 100: text of made-up words, every tenth file one of a few contents. It is kept
    /// for the next time, under another name until it is whole.
    fn tree(&self, name: &str, n: usize, sizes: Sizes) -> io::Result<PathBuf> {
        let tree = self.bench.join(format!("{name}-{n}"));
        if tree.exists() {
            return Ok(tree);
        }
        let unfinished = self.bench.join("unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut random = Random(1);
        for i in 0..n {
            let dir = unfinished.join(format!("{}/{}", i / 10_000, i / 100 % 100));
            if i % 100 == 0 {
                fs::create_dir_all(&dir)?;
            }
            let length = match sizes {
                Sizes::Small => random.below(4000),
                Sizes::Mixed if i % 100 == 1 => random.below(1 << 20),
                Sizes::Mixed => {
                    let magnitude = 128 << random.below(10);
                    random.below(magnitude)
                }
            };
            let text = if i % 10 == 0 { text(&mut Random(i as u64 / 10 % 8), 2000) } else { text(&mut random, length) };
            let extension = ["rs", "txt", "md", "json", "c"][i % 5];
            fs::write(dir.join(format!("file-{i}.{extension}")), text)?;
        }
        fs::rename(unfinished, &tree)?;
        Ok(tree)
    }
}

fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let byte = |_| match random.below(60) {
        n @ 0..50 => b'a' + (n % 26) as u8,
        50..58 => b' ',
        _ => b'\n',
    };
    (0..length).map(byte).collect()
}

/// A multiplicative generator: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }
}
