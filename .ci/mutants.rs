//! Breaks the crate as `.ci/mutants` says, one breakage at a time, and requires each test named there to turn red.
//!
//! A mutant that does not fit the source, does not compile, hangs, or whose test is missing or fails without it is an
//! error of its own, never taken for red. Works on a copy of the tree, so that the checkout is not touched; builds one
//! mutant while others run. Needs nothing but the toolchain: `.ci/run mutants` compiles this file with rustc.
//!
//! The list is made of blocks of keys, a line each; a comment is a line that begins with `#`.
//!
//! | key               | what it says                                                                               |
//! |-------------------|--------------------------------------------------------------------------------------------|
//! | `mutant NAME`     | begins a block; lower-case letters, digits, hyphens                                        |
//! | `breaks F3 F6`    | which promises of docs/design.md it breaks                                                 |
//! | `file PATH`       | where the lines below are                                                                  |
//! | `inside TEXT`     | look only between this line and the `}` that closes it, at the same depth                  |
//! | `line TEXT`       | the line to break, whole but for the white space around it; must be there exactly once     |
//! | `with TEXT`       | what replaces it, repeated for several lines; empty or left out, the line is deleted       |
//! | `kind loom`       | what holds the tests: `loom` unless told, `lib` for unit tests, else a binary of `tests/`  |
//! | `preemptions 2`   | how many loom may use; 2 unless told                                                       |
//! | `says TEXT`       | what a red test must have printed, where red for another reason would prove nothing        |
//! | `red TEST`        | a test that must fail, by its full path; repeated for several                              |
//!
//! `line` and `with` may be repeated, to swap two steps; `file` and `inside` hold until the next one or the next block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const LIST: &str = ".ci/mutants";
/// What docs/design.md promises and loom models check: each needs a breakage.
const PROMISES: [&str; 6] = ["F1", "F2", "F3", "F4", "F5", "F6"];
const USAGE: &str = "usage: .ci/run mutants [--check] [--timeout SECONDS] [WORD...]
  --check    only see that each breakage still fits the source
  --timeout  what a test may take before it counts as hung; 120 unless told
  WORD       only mutants with this in their name";

type Result<T, E = String> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match work() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all is as it must be.
fn work() -> Result<bool> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.help {
        println!("{USAGE}");
        return Ok(true);
    }
    let mut mutants = parse(&read(LIST)?)?;
    if options.words.is_empty() {
        covers(&mutants)?;
    }
    mutants.retain(|m| options.words.is_empty() || options.words.iter().any(|w| m.name.contains(w.as_str())));
    let broken = fit(&mutants, |file| read(file))?;
    println!("{} mutants fit the source", mutants.len());
    if options.check {
        return Ok(true);
    }
    Bench::new(&options)?.try_all(&mutants, &broken)
}

struct Options {
    target: PathBuf,
    help: bool,
    check: bool,
    timeout: Duration,
    words: Vec<String>,
}

impl Options {
    /// The first argument is cargo's target directory, given by `.ci/run`.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let target = PathBuf::from(args.next().ok_or(USAGE)?);
        let mut options =
            Self { target, help: false, check: false, timeout: Duration::from_secs(120), words: Vec::new() };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--help" => options.help = true,
                "--check" => options.check = true,
                "--timeout" => {
                    let seconds = args.next().and_then(|s| s.parse().ok()).ok_or("--timeout takes seconds")?;
                    options.timeout = Duration::from_secs(seconds);
                }
                option if option.starts_with('-') => return Err(format!("no option '{option}'\n{USAGE}")),
                _ => options.words.push(arg),
            }
        }
        Ok(options)
    }
}

// --- the list ---

#[derive(Debug, Default, PartialEq)]
struct Mutant {
    name: String,
    breaks: Vec<String>,
    kind: Kind,
    preemptions: u32,
    edits: Vec<Edit>,
    says: Option<String>,
    red: Vec<String>,
}

/// What runs the tests that must turn red.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    #[default]
    Loom,
    Lib,
    /// A file or folder of `tests/`.
    Binary(String),
}

#[derive(Debug, Default, PartialEq)]
struct Edit {
    file: String,
    inside: Option<String>,
    line: String,
    with: Vec<String>,
}

fn parse(text: &str) -> Result<Vec<Mutant>> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut names = BTreeSet::new();
    // Where the next `line` is looked for.
    let (mut file, mut inside) = (String::new(), None);
    for (number, line) in text.lines().enumerate() {
        let at = |why: &str| format!("{LIST}:{}: {why}", number + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        if value.is_empty() && key != "with" {
            return Err(at(&format!("'{key}' needs a value")));
        }
        if key == "mutant" {
            if let Some(last) = mutants.last() {
                last.complete().map_err(|why| at(&why))?;
            }
            if value.contains(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-') {
                return Err(at("a name is of lower-case letters, digits and hyphens"));
            }
            if !names.insert(value.to_owned()) {
                return Err(at(&format!("a second mutant '{value}'")));
            }
            mutants.push(Mutant { name: value.to_owned(), preemptions: 2, ..Mutant::default() });
            (file, inside) = (String::new(), None);
            continue;
        }
        let mutant = mutants.last_mut().ok_or_else(|| at("a block begins with 'mutant NAME'"))?;
        match key {
            "breaks" => mutant.breaks.extend(value.split_whitespace().map(str::to_owned)),
            "file" => (file, inside) = (value.to_owned(), None),
            "inside" => inside = Some(value.to_owned()),
            "line" if file.is_empty() => return Err(at("'file' comes before 'line'")),
            "line" => mutant.edits.push(Edit {
                file: file.clone(),
                inside: inside.clone(),
                line: value.to_owned(),
                with: Vec::new(),
            }),
            "with" => {
                let edit = mutant.edits.last_mut().ok_or_else(|| at("'line' comes before 'with'"))?;
                if !value.is_empty() {
                    edit.with.push(value.to_owned());
                }
            }
            "kind" => {
                mutant.kind = match value {
                    "loom" => Kind::Loom,
                    "lib" => Kind::Lib,
                    name => Kind::Binary(name.to_owned()),
                }
            }
            "preemptions" => mutant.preemptions = value.parse().map_err(|_| at("'preemptions' takes a number"))?,
            "says" => mutant.says = Some(value.to_owned()),
            "red" => mutant.red.push(value.to_owned()),
            _ => return Err(at(&format!("no key '{key}'"))),
        }
    }
    match mutants.last() {
        Some(last) => last.complete()?,
        None => return Err(format!("{LIST} holds no mutant")),
    }
    Ok(mutants)
}

impl Mutant {
    fn complete(&self) -> Result<()> {
        match self {
            m if m.edits.is_empty() => Err(format!("mutant '{}' has no 'line'", self.name)),
            m if m.red.is_empty() => Err(format!("mutant '{}' has no 'red'", self.name)),
            _ => Ok(()),
        }
    }
}

/// Fails unless each promise has a mutant whose models turn red.
fn covers(mutants: &[Mutant]) -> Result<()> {
    let covered =
        |promise: &&str| mutants.iter().any(|m| m.kind == Kind::Loom && m.breaks.iter().any(|b| b == promise));
    let missing: Vec<_> = PROMISES.into_iter().filter(|promise| !covered(promise)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no loom mutant breaks {}", missing.join(", "))) }
}

/// The files as a mutant leaves them.
type Broken = BTreeMap<String, String>;

/// Applies each mutant in memory; tells all that do not fit, not only the first.
fn fit(mutants: &[Mutant], source: impl Fn(&str) -> Result<String>) -> Result<Vec<Broken>> {
    let mut broken = Vec::new();
    let mut misfits = Vec::new();
    for mutant in mutants {
        let mut files = Broken::new();
        for edit in &mutant.edits {
            let text = files.get(&edit.file).cloned().map_or_else(|| source(&edit.file), Ok);
            match text.and_then(|text| edit.apply(&text)) {
                Ok(text) => drop(files.insert(edit.file.clone(), text)),
                Err(why) => misfits.push(format!("mutant '{}', {}: {why}", mutant.name, edit.file)),
            }
        }
        broken.push(files);
    }
    if misfits.is_empty() { Ok(broken) } else { Err(misfits.join("\nerror: ")) }
}

impl Edit {
    fn apply(&self, text: &str) -> Result<String> {
        let lines: Vec<&str> = text.lines().collect();
        let (first, end) = match &self.inside {
            None => (0, lines.len()),
            Some(head) => {
                let head = only(&lines, 0..lines.len(), head)?;
                let close = format!("{}}}", indent(lines[head]));
                let end = (head + 1..lines.len()).find(|&i| lines[i].starts_with(&close));
                (head + 1, end.ok_or_else(|| format!("nothing closes '{}'", lines[head].trim()))?)
            }
        };
        let at = only(&lines, first..end, &self.line)?;
        let mut out: Vec<String> = lines[..at].iter().map(|line| line.to_string()).collect();
        out.extend(self.with.iter().map(|with| format!("{}{with}", indent(lines[at]))));
        out.extend(lines[at + 1..].iter().map(|line| line.to_string()));
        let out = out.join("\n") + "\n";
        if out == text { Err(format!("'{}' is replaced by itself", self.line)) } else { Ok(out) }
    }
}

/// Where `wanted` stands, which must be once; white space around a line does not matter.
fn only(lines: &[&str], mut range: std::ops::Range<usize>, wanted: &str) -> Result<usize> {
    let is = |&i: &usize| lines[i].trim() == wanted;
    let at = range.find(is).ok_or_else(|| format!("no line '{wanted}'"))?;
    match range.filter(is).count() {
        0 => Ok(at),
        more => Err(format!("{} lines '{wanted}': tell them apart with 'inside'", more + 1)),
    }
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

// --- trying ---

/// Where mutants are built and run.
struct Bench {
    /// The copy of the checkout that is broken.
    tree: PathBuf,
    /// cargo's target directory: the same as the checkout's, so that dependencies are built once.
    target: PathBuf,
    /// Test binaries that wait to be run.
    bin: PathBuf,
    /// What cargo and the tests printed, a file each.
    log: PathBuf,
    timeout: Duration,
}

/// One test to run in one process.
struct Job<'a> {
    /// What is broken; `None` is nothing.
    mutant: Option<&'a Mutant>,
    test: &'a str,
    preemptions: u32,
    binary: PathBuf,
    log: PathBuf,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    Red(String),
    Green,
    /// Neither: why it proves nothing.
    Void(String),
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        let target = &options.target;
        let target = target.canonicalize().map_err(|e| format!("{}: {e}", target.display()))?;
        let [tree, bin, log] = ["tree", "bin", "log"].map(|name| target.join("mutants").join(name));
        for dir in [&tree, &bin, &log] {
            match fs::remove_dir_all(dir) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(format!("{}: {e}", dir.display())),
                _ => fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?,
            }
        }
        copy_checkout(&tree)?;
        // A lint that a breakage offends is not what should stop it.
        let manifest = tree.join("Cargo.toml");
        write(&manifest, &read(&manifest)?.replace("\"deny\"", "\"warn\""))?;
        Ok(Self { tree, target, bin, log, timeout: options.timeout })
    }

    fn try_all(&self, mutants: &[Mutant], broken: &[Broken]) -> Result<bool> {
        let started = Instant::now();
        let widths = (
            mutants.iter().map(|m| m.name.len()).max().unwrap_or(0).max("(unbroken)".len()),
            mutants.iter().flat_map(|m| &m.red).map(String::len).max().unwrap_or(0),
        );
        println!("{:<w0$}  {:<w1$}  result  seconds  why", "mutant", "test", w0 = widths.0, w1 = widths.1);
        let tell = |job: &Job<'_>, end: &End, seconds: f64| {
            let (result, why) = match end {
                End::Red(why) if job.mutant.is_some() => ("red", why.as_str()),
                End::Red(why) => ("RED", why.as_str()),
                End::Green if job.mutant.is_some() => ("GREEN", ""),
                End::Green => ("green", ""),
                End::Void(why) => ("ERROR", why.as_str()),
            };
            let name = job.mutant.map_or("(unbroken)", |m| &m.name);
            println!("{name:<w0$}  {:<w1$}  {result:<6}  {seconds:7.1}  {why}", job.test, w0 = widths.0, w1 = widths.1);
        };

        // Unbroken, each test must be green.
        let kinds: BTreeSet<&Kind> = mutants.iter().map(|m| &m.kind).collect();
        let binaries = kinds.into_iter().map(|kind| Ok((kind, self.binary(kind, "unbroken")?)));
        let binaries = binaries.collect::<Result<BTreeMap<_, _>>>()?;
        let wanted: BTreeSet<(&Kind, u32, &str)> =
            mutants.iter().flat_map(|m| m.red.iter().map(|test| (&m.kind, m.preemptions, test.as_str()))).collect();
        let unbroken = self.on_workers(tell, |run| {
            for (kind, preemptions, test) in wanted {
                run(self.job(None, test, preemptions, &binaries[kind]));
            }
        });
        let sound: BTreeSet<(&Path, u32, &str)> = unbroken
            .iter()
            .filter(|(_, end)| *end == End::Green)
            .map(|(job, _)| (job.binary.as_path(), job.preemptions, job.test))
            .collect();
        let mut errors = unbroken.len() - sound.len();

        // Broken, each must be red.
        let ends = self.on_workers(tell, |run| {
            for (mutant, files) in mutants.iter().zip(broken) {
                let (tests, unsound): (Vec<&String>, Vec<&String>) = mutant
                    .red
                    .iter()
                    .partition(|test| sound.contains(&(&*binaries[&mutant.kind], mutant.preemptions, test.as_str())));
                let void = |test, why: String| {
                    tell(&self.job(Some(mutant), test, mutant.preemptions, Path::new("")), &End::Void(why), 0.0);
                };
                errors += unsound.len();
                unsound.iter().for_each(|test| void(test, "is not green unbroken".into()));
                if tests.is_empty() {
                    continue;
                }
                match self.broken_binary(mutant, files) {
                    Ok(binary) => {
                        tests.iter().for_each(|t| run(self.job(Some(mutant), t, mutant.preemptions, &binary)))
                    }
                    Err(why) => {
                        errors += 1;
                        void(tests[0], why);
                    }
                }
            }
        });
        // Only what was printed is worth keeping.
        let _ = fs::remove_dir_all(&self.bin);
        let red = ends.iter().filter(|(_, end)| matches!(end, End::Red(_))).count();
        let green = ends.iter().filter(|(_, end)| *end == End::Green).count();
        errors += ends.len() - red - green;
        println!(
            "{} mutants: {red} runs red, {green} green, {errors} errors; {:.0} s; what each printed: {}",
            mutants.len(),
            started.elapsed().as_secs_f64(),
            self.log.display()
        );
        Ok(green == 0 && errors == 0)
    }

    fn job<'a>(&self, mutant: Option<&'a Mutant>, test: &'a str, preemptions: u32, binary: &Path) -> Job<'a> {
        let name = mutant.map_or("unbroken", |m| &m.name);
        let log = self.log.join(format!("{name}.{}.{preemptions}", test.replace("::", ".")));
        Job { mutant, test, preemptions, binary: binary.to_owned(), log }
    }

    /// Runs what `feed` hands over, as many at a time as there are cores; tells each end as it comes.
    fn on_workers<'a>(
        &self,
        tell: impl Fn(&Job<'a>, &End, f64) + Sync,
        feed: impl FnOnce(&dyn Fn(Job<'a>)),
    ) -> Vec<(Job<'a>, End)> {
        let (jobs, queue) = mpsc::channel::<Job<'a>>();
        let (queue, ends) = (Mutex::new(queue), Mutex::new(Vec::new()));
        let next = || queue.lock().unwrap().recv();
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
                scope.spawn(|| {
                    while let Ok(job) = next() {
                        let started = Instant::now();
                        let end = self.run(&job).unwrap_or_else(End::Void);
                        tell(&job, &end, started.elapsed().as_secs_f64());
                        ends.lock().unwrap().push((job, end));
                    }
                });
            }
            feed(&|job| jobs.send(job).expect("workers outlive the feed"));
            drop(jobs);
        });
        ends.into_inner().unwrap()
    }

    fn run(&self, job: &Job<'_>) -> Result<End> {
        let log = File::create(&job.log).map_err(|e| format!("{}: {e}", job.log.display()))?;
        let both = log.try_clone().map_err(|e| e.to_string())?;
        let mut command = Command::new(&job.binary);
        command.args([job.test, "--exact", "--include-ignored", "--nocapture"]);
        command.current_dir(&self.tree).env("CARGO_MANIFEST_DIR", &self.tree);
        command.env("LOOM_MAX_PREEMPTIONS", job.preemptions.to_string());
        // Either would end an exploration early, and green.
        command.env_remove("LOOM_MAX_DURATION").env_remove("LOOM_MAX_PERMUTATIONS");
        command.stdin(Stdio::null()).stdout(log).stderr(both);
        let mut child = command.spawn().map_err(|e| format!("did not start: {e}"))?;
        let status = wait(&mut child, self.timeout).map_err(|e| e.to_string())?;
        let output = String::from_utf8_lossy(&fs::read(&job.log).map_err(|e| e.to_string())?).into_owned();
        Ok(judge(status, &output, job.mutant.and_then(|m| m.says.as_deref())))
    }

    fn broken_binary(&self, mutant: &Mutant, files: &Broken) -> Result<PathBuf> {
        for (file, text) in files {
            write(&self.tree.join(file), text)?;
        }
        let binary = self.binary(&mutant.kind, &mutant.name);
        for file in files.keys() {
            write(&self.tree.join(file), &read(file)?)?;
        }
        binary
    }

    /// Builds the tests of the tree as it is now.
    fn binary(&self, kind: &Kind, name: &str) -> Result<PathBuf> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.tree).stdin(Stdio::null());
        cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
        let (suffix, target) = match kind {
            Kind::Loom => {
                let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " --cfg drawgate_loom";
                cargo.args(["--lib", "--profile", "loom"]).env("RUSTFLAGS", flags);
                ("loom", self.target.join("loom"))
            }
            Kind::Lib => {
                cargo.args(["--lib", "--all-features"]);
                ("lib", self.target.clone())
            }
            Kind::Binary(name) => {
                cargo.args(["--all-features", "--test", name]);
                (name.as_str(), self.target.clone())
            }
        };
        cargo.arg("--target-dir").arg(target);
        let output = cargo.output().map_err(|e| format!("cargo did not start: {e}"))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        let log = self.log.join(format!("{name}.build.{suffix}"));
        write(&log, &messages)?;
        if !output.status.success() {
            let first = messages.lines().find(|line| line.starts_with("error")).unwrap_or("cargo failed");
            return Err(format!("does not compile: {first}; see {}", log.display()));
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        let (built, fresh) =
            executable(&stdout).ok_or_else(|| format!("cargo named no test binary; see {}", log.display()))?;
        if fresh {
            return Err("proves nothing: cargo sees no change in what it builds".into());
        }
        // Moved away, not copied: a file that is still open for writing cannot be run.
        let binary = self.bin.join(format!("{name}-{suffix}"));
        fs::rename(built, &binary).map_err(|e| format!("{built}: {e}"))?;
        Ok(binary)
    }
}

/// The test binary that cargo's messages name, and whether it stood there before.
fn executable(messages: &str) -> Option<(&str, bool)> {
    let line = messages.lines().rfind(|l| l.contains("\"test\":true}") && l.contains("\"executable\":\""))?;
    let path = line.split_once("\"executable\":\"")?.1.split('"').next()?;
    Some((path, !line.contains("\"fresh\":false")))
}

/// Waits for the child's end; `None` if it took too long and was killed.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// What a test's exit and output mean. Loom aborts some failing models, so any exit but success is red, given that the
/// test was begun.
fn judge(status: Option<ExitStatus>, output: &str, says: Option<&str>) -> End {
    let Some(status) = status else { return End::Void("hung".into()) };
    if !output.contains("running 1 test\n") {
        return End::Void(if status.success() { "no such test".into() } else { format!("did not run: {status}") });
    }
    if status.success() {
        return End::Green;
    }
    let mut lines = output.lines().skip_while(|line| !line.contains(" panicked at ")).skip(1);
    let why = lines.next().map_or_else(|| status.to_string(), |line| line.trim().chars().take(90).collect());
    match says {
        Some(text) if !output.contains(text) => End::Void(format!("red without saying '{text}', but: {why}")),
        _ => End::Red(why),
    }
}

// --- files ---

fn read(path: impl AsRef<Path>) -> Result<String> {
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.as_ref().display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Copies what git tracks or would; every copy is new to cargo.
fn copy_checkout(to: &Path) -> Result<()> {
    let list = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output();
    let list = list.map_err(|e| format!("git did not start: {e}"))?;
    if !list.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&list.stderr)));
    }
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let files: BTreeSet<&str> = list.split_terminator('\0').chain(["Cargo.lock"]).collect();
    for file in files {
        let copied = match fs::read(file) {
            Ok(bytes) => {
                let copy = to.join(file);
                fs::create_dir_all(copy.parent().unwrap_or(to)).and_then(|()| fs::write(copy, bytes))
            }
            // Deleted but still tracked, or a link to a directory: the crate does not build from it.
            Err(_) => Ok(()),
        };
        copied.map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "
# a comment
mutant no-wake
  breaks F3 F6
  file   src/gate.rs
  inside fn open(&self) {
  line   self.opened.notify_all();
  with
  red    loom_tests::opening_wakes
mutant swapped
  file   src/gate.rs
  line   let a = 1;
  with   let b = 2;
  with   let a = 1;
  line   let b = 3;
  kind   it
  says   deadlock
  preemptions 3
  red    one
  red    two
";
    const GATE: &str = "impl Gate {
    fn open(&self) {
        let a = 1;
        if a == 1 {
            self.opened.notify_all();
        }
        let b = 3;
    }
    fn close(
        &self,
    ) {
        self.opened.notify_all();
    }
}
";

    fn edit(inside: Option<&str>, line: &str, with: &[&str]) -> Result<String> {
        let with = with.iter().map(|s| s.to_string()).collect();
        Edit { file: String::new(), inside: inside.map(str::to_owned), line: line.into(), with }.apply(GATE)
    }

    #[test]
    fn the_list_is_read() {
        let mutants = parse(LIST).unwrap();
        assert_eq!(mutants.len(), 2);
        let (a, b) = (&mutants[0], &mutants[1]);
        assert_eq!((&*a.name, &a.kind, a.preemptions, &a.says), ("no-wake", &Kind::Loom, 2, &None));
        assert_eq!(
            (&*a.breaks, a.edits[0].inside.as_deref()),
            (&["F3".into(), "F6".into()][..], Some("fn open(&self) {"))
        );
        assert!(a.edits[0].with.is_empty());
        assert_eq!((&b.kind, b.preemptions, b.says.as_deref()), (&Kind::Binary("it".into()), 3, Some("deadlock")));
        assert_eq!((b.edits.len(), b.edits[0].with.len(), b.edits[1].with.len(), b.red.len()), (2, 2, 0, 2));
        assert_eq!(covers(&mutants).unwrap_err(), "no loom mutant breaks F1, F2, F4, F5");
    }

    #[test]
    fn a_wrong_list_is_told_with_its_line() {
        for (text, told) in [
            ("", "holds no mutant"),
            ("red x", ":1: a block begins"),
            ("mutant a\nmutant b", ":2: mutant 'a' has no 'line'"),
            ("mutant a\nfile f\nline x", "mutant 'a' has no 'red'"),
            ("mutant a\nline x", ":2: 'file' comes"),
            ("mutant a\nfile f\nwith x", ":3: 'line' comes"),
            ("mutant a\ncolour red", ":2: no key 'colour'"),
            ("mutant a\nfile f\nline x\nred y\nmutant a", ":5: a second mutant"),
            ("mutant a\npreemptions few", ":2: 'preemptions'"),
            ("mutant A", ":1: a name"),
            ("mutant a\nfile", ":2: 'file' needs a value"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(told), "{text:?}: {why}");
        }
    }

    #[test]
    fn an_edit_finds_one_line_or_says_why_not() {
        let deleted = edit(Some("fn open(&self) {"), "self.opened.notify_all();", &[]).unwrap();
        assert_eq!(deleted, GATE.replacen("            self.opened.notify_all();\n", "", 1));
        let replaced = edit(None, "let b = 3;", &["let b = 4;", "drop(b);"]).unwrap();
        assert_eq!(replaced, GATE.replace("let b = 3;", "let b = 4;\n        drop(b);"));
        let why = |inside, line, with: &[&str]| edit(inside, line, with).unwrap_err();
        assert!(why(None, "self.opened.notify_all();", &[]).starts_with("2 lines"));
        assert!(why(None, "let c = 3;", &[]).starts_with("no line"));
        assert!(why(Some("fn shut(&self) {"), "let a = 1;", &[]).starts_with("no line 'fn shut"));
        assert!(why(Some("fn close("), "let a = 1;", &[]).starts_with("no line 'let a"));
        assert!(why(None, "let a = 1;", &["let a = 1;"]).contains("by itself"));
    }

    #[test]
    #[cfg(unix)]
    fn only_a_test_that_began_and_failed_is_red() {
        use std::os::unix::process::ExitStatusExt;
        let [fine, failed, aborted] = [0, 101 << 8, 6].map(|raw| Some(ExitStatus::from_raw(raw)));
        let began = "\nrunning 1 test\nthread 'x' (1) panicked at src/lib.rs:1:1:\ndeadlock; threads = []\n";
        assert_eq!(judge(fine, began, None), End::Green);
        assert_eq!(judge(failed, began, None), End::Red("deadlock; threads = []".into()));
        assert!(matches!(judge(aborted, "running 1 test\n", None), End::Red(why) if why.contains("signal")));
        assert!(matches!(judge(failed, began, Some("lost")), End::Void(why) if why.contains("'lost'")));
        assert_eq!(judge(failed, began, Some("deadlock")), End::Red("deadlock; threads = []".into()));
        assert_eq!(judge(fine, "\nrunning 0 tests\n", None), End::Void("no such test".into()));
        assert!(matches!(judge(failed, "cannot load", None), End::Void(_)));
        assert_eq!(judge(None, began, None), End::Void("hung".into()));
    }

    #[test]
    fn the_binary_is_the_one_that_holds_tests() {
        let message = |test, path, fresh| {
            format!("{{\"profile\":{{\"test\":{test}}},\"executable\":{path},\"fresh\":{fresh}}}\n")
        };
        let tool = message("false", "\"/t/tool\"", "false");
        let all = message("true", "\"/t/it\"", "false") + &tool + &message("true", "null", "true");
        assert_eq!(executable(&all), Some(("/t/it", false)));
        assert_eq!(executable(&message("true", "\"/t/it\"", "true")), Some(("/t/it", true)));
        assert_eq!(executable(&tool), None);
    }
}
