//! The example `backup`, run as a program: what it copies against `diff` and `stat`, also when it is killed again and
//! again.

// The library keeps locks, threads and clocks behind one module of its own; tests need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(target_os = "linux")] // the options of GNU `diff`

#[cfg(feature = "jobs-postgres")]
#[allow(dead_code, unreachable_pub, reason = "the tests of the queue use all of it")]
#[path = "jobs/postgres.rs"]
mod postgres;

use drawgate::jobs::{NewJob, Queue, Sqlite};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use walkdir::WalkDir;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn all_kinds_are_copied_and_a_second_run_copies_nothing() {
    let trees = Trees::of_all_kinds();
    let first = trees.backup(&[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_eq!(
        (first.copied(), &*first.stderr),
        (8, "backup: fifo: neither file, link nor directory; it is left out\n")
    );
    fs::remove_file(trees.src().join("fifo")).unwrap();
    trees.assert_same();

    let second = trees.backup(&["--jobs", "1"]);
    assert_eq!((second.code, second.copied()), (Some(0), 0));
    assert!(second.stdout.contains("8 unchanged, 0 failed"), "{}", second.stdout);

    let changed = trees.src().join("deep/er/file.txt");
    fs::write(&changed, "changed\n").unwrap();
    fs::set_permissions(trees.src().join("run.sh"), Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(trees.src().join("link")).unwrap();
    symlink("elsewhere", trees.src().join("link")).unwrap();
    assert_eq!(trees.backup(&[]).copied(), 2);
    trees.assert_same();
    assert!(trees.backup(&["--verify"]).stdout.contains("8 files are as they were copied, 0 are not"));
}

#[test]
fn killed_at_any_moment_it_goes_on_where_it_was() {
    const FILES: usize = 300;
    let (trees, mut rng) = (Trees::new(), fastrand::Rng::new());
    eprintln!("seed {}", rng.get_seed());
    let write = |n: usize, rng: &mut fastrand::Rng| {
        let path = trees.src().join(format!("{}/{n}.bin", n % 7));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..rng.usize(0..30_000)).map(|_| rng.u8(..)).collect();
        fs::write(path, bytes).unwrap();
    };
    (0..FILES).for_each(|n| write(n, &mut rng));
    let mut killed = 0;
    for _ in 0..40 {
        let mut running = trees.spawn(&["--jobs", "3"]);
        thread::sleep(Duration::from_micros(rng.u64(0..300_000)));
        running.kill().unwrap();
        if ended(running).status.code().is_none() {
            killed += 1;
        }
        (0..30).for_each(|_| write(rng.usize(0..FILES), &mut rng)); // so that there is always something to do
    }
    assert!(killed >= 20, "only {killed} of 40 were not done before");
    let last = trees.backup(&[]);
    assert_eq!((last.code, &*last.stderr), (Some(0), ""), "{}", last.stdout);
    trees.assert_same();
    assert!(trees.backup(&["--verify"]).stdout.contains("300 files are as they were copied, 0 are not"));
    assert_eq!(trees.backup(&[]).copied(), 0);
    let unfinished = fs::read_dir(trees.dst().join(".backup/unfinished")).unwrap();
    assert_eq!(unfinished.count(), 0, "nothing half done is left");
}

#[test]
fn ctrl_c_completes_what_runs_and_leaves_the_rest_in_the_queue() {
    let trees = Trees::new();
    for n in 0..1000 {
        fs::write(trees.src().join(format!("{n}")), vec![7; 100_000]).unwrap();
    }
    let running = trees.spawn(&["--jobs", "1"]);
    let copied = || fs::read_dir(trees.dst()).is_ok_and(|dir| dir.count() > 1);
    while !copied() {
        thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let ended = Ended::of(ended(running));
    assert_eq!(ended.code, Some(130), "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("stopping"), "{}", ended.stderr);
    let unfinished = fs::read_dir(trees.dst().join(".backup/unfinished")).unwrap();
    assert_eq!(unfinished.count(), 0, "what ran was completed");
    let rest = trees.backup(&[]);
    assert_eq!((rest.code, rest.copied() + ended.copied()), (Some(0), 1000));
    trees.assert_same();
}

#[test]
fn what_has_vanished_or_has_no_place_is_told_with_its_path() {
    let trees = Trees::new();
    fs::write(trees.src().join("here"), "here").unwrap();
    fs::write(trees.src().join("a name"), "a file").unwrap();
    fs::create_dir_all(trees.dst().join("a name/of a directory")).unwrap();
    fs::create_dir(trees.dst().join(".backup")).unwrap();
    let store = Sqlite::file(trees.dst().join(".backup/queue.db")).table("backup").unwrap();
    let queue: Queue<serde_json::Value, _> = Queue::builder(store).open().unwrap();
    queue.install().unwrap();
    queue.enqueue(NewJob::new(serde_json::json!({ "path": "gone" }))).unwrap(); // as if it had been there before
    let run = trees.backup(&[]);
    assert_eq!((run.code, run.copied()), (Some(1), 1));
    assert!(run.stdout.contains("2 failed"), "{}", run.stdout);
    assert!(run.stderr.contains("gone: it has vanished: No such file"), "{}", run.stderr);
    assert!(run.stderr.contains("a name: in the copy there is a directory of this name"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(trees.dst().join("here")).unwrap(), "here");

    let run = trees.backup(&["--delete"]);
    assert_eq!((run.code, run.copied()), (Some(0), 1), "{}", run.stderr);
    trees.assert_same();
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_path() {
    let trees = Trees::new();
    let closed = trees.src().join("closed");
    fs::write(&closed, "nobody reads this").unwrap();
    fs::write(trees.src().join("open"), "this").unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&closed).is_ok() {
        return; // root reads everything
    }
    let run = trees.backup(&[]);
    assert_eq!((run.code, run.copied()), (Some(1), 1));
    assert!(run.stderr.contains("closed: it cannot be read: Permission denied"), "{}", run.stderr);
}

#[test]
fn what_is_only_in_the_copy_is_told_and_goes_only_with_delete() {
    let trees = Trees::of_all_kinds();
    trees.backup(&[]);
    fs::remove_dir_all(trees.src().join("deep")).unwrap();
    for name in ["fifo", "link", "run.sh"] {
        fs::remove_file(trees.src().join(name)).unwrap();
    }
    fs::create_dir(trees.src().join("run.sh")).unwrap(); // what was a file is a directory
    let run = trees.backup(&[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for name in ["deep", "deep/er/file.txt", "link"] {
        assert!(run.stderr.contains(&format!("backup: {name}: only in DST; kept")), "{name} in {}", run.stderr);
    }
    assert!(trees.dst().join("deep/er/file.txt").exists());
    let run = trees.backup(&["--delete"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    trees.assert_same();
    let verified = trees.backup(&["--verify"]);
    assert_eq!(verified.code, Some(0), "the manifest has forgotten them: {}", verified.stderr);
}

#[test]
fn verify_finds_a_flipped_byte_and_a_missing_file() {
    let trees = Trees::new();
    for name in ["one", "two", "three"] {
        fs::write(trees.src().join(name), name.repeat(50_000)).unwrap();
    }
    trees.backup(&[]);
    let flipped = trees.dst().join("one");
    let mut bytes = fs::read(&flipped).unwrap();
    bytes[100_000] ^= 1;
    fs::write(flipped, bytes).unwrap();
    fs::remove_file(trees.dst().join("two")).unwrap();
    let run = trees.backup(&["--verify"]);
    assert_eq!((run.code, &*run.stdout), (Some(1), "1 files are as they were copied, 2 are not\n"));
    assert!(run.stderr.contains("one: its content is not what was copied"), "{}", run.stderr);
    assert!(run.stderr.contains("two: No such file"), "{}", run.stderr);
    assert_eq!(trees.backup(&[]).copied(), 2, "what is missing or was changed is copied again");
    trees.assert_same();
}

#[test]
fn source_and_destination_are_apart() {
    let trees = Trees::new();
    let inside = trees.src().join("inside");
    let run = Ended::of(ended(trees.command(&inside).spawn().unwrap()));
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("are not apart"), "{}", run.stderr);
}

#[cfg(feature = "jobs-postgres")]
#[test]
fn processes_share_the_work_on_postgres_and_one_may_die() {
    let Some(server) = postgres::Server::new(false) else { return };
    let trees = Trees::new();
    for n in 0..400 {
        fs::write(trees.src().join(format!("{n}")), vec![n as u8; 5000]).unwrap();
    }
    let arguments = ["--postgres", &server.url];
    let mut running: Vec<Child> = (0..3).map(|_| trees.spawn(&arguments)).collect();
    let mut dies = running.remove(0);
    while fs::read_dir(trees.dst()).map_or(0, |dir| dir.count()) < 50 {
        thread::yield_now();
    }
    dies.kill().unwrap();
    ended(dies);
    let mut copied = 0;
    for running in running {
        let run = Ended::of(ended(running));
        assert_eq!((run.code, &*run.stderr), (Some(0), ""));
        copied += run.copied();
    }
    assert!(copied <= 400, "none copies what another one has copied: {copied}");
    trees.assert_same();
    let verified = trees.backup(&["--verify", arguments[0], arguments[1]]);
    assert_eq!(verified.stdout, "400 files are as they were copied, 0 are not\n");
}

// ---------------------------------------------------------------- trees

/// What is copied, and where to.
struct Trees(TempDir);

impl Trees {
    fn new() -> Self {
        let trees = Self(tempfile::tempdir().unwrap());
        fs::create_dir(trees.src()).unwrap();
        fs::create_dir(trees.dst()).unwrap();
        trees
    }

    fn of_all_kinds() -> Self {
        let trees = Self::new();
        let src = trees.src();
        for dir in ["deep/er/est", "empty/too", "read-only"] {
            fs::create_dir_all(src.join(dir)).unwrap();
        }
        for (name, content) in [
            (&b"run.sh"[..], &b"#!/bin/sh\n"[..]),
            (b"nothing", b""),
            (b"deep/er/file.txt", b"one\n"),
            (b"deep/er/est/zeros", &[0; 300_000]),
            (b"read-only/file", b"two\n"),
            (b"caf\xe9", b"a name that is not UTF-8\n"),
            (b"back\\slash \\xe9", b"a name that is like how that is written\n"),
            (b"new\nline", b"three\n"),
        ] {
            fs::write(src.join(OsStr::from_bytes(name)), content).unwrap();
        }
        for (name, mode) in [("run.sh", 0o4755), ("nothing", 0o400), ("empty", 0o1777), ("read-only", 0o555)] {
            fs::set_permissions(src.join(name), Permissions::from_mode(mode)).unwrap();
        }
        for (name, to) in [("link", "run.sh"), ("dangling", "no/where"), ("deep/to-dir", "../empty")] {
            symlink(to, src.join(name)).unwrap();
        }
        assert!(Command::new("mkfifo").arg(src.join("fifo")).status().unwrap().success());
        trees
    }

    fn src(&self) -> PathBuf {
        self.0.path().join("src")
    }

    fn dst(&self) -> PathBuf {
        self.0.path().join("dst")
    }

    fn command(&self, dst: &Path) -> Command {
        let mut command = Command::new(example());
        command.arg(self.src()).arg(dst).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(&self.dst()).args(arguments).spawn().unwrap()
    }

    #[track_caller]
    fn backup(&self, arguments: &[&str]) -> Ended {
        Ended::of(ended(self.spawn(arguments)))
    }

    #[track_caller]
    fn assert_same(&self) {
        let mut diff = Command::new("diff");
        diff.args(["-r", "--no-dereference", "--exclude=.backup"]).arg(self.src()).arg(self.dst());
        let diff = diff.output().unwrap();
        assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
        assert_eq!(kinds(&self.src()), kinds(&self.dst()));
    }
}

/// Without permission to change them, nothing in them can be removed.
impl Drop for Trees {
    fn drop(&mut self) {
        for dir in [self.src(), self.dst()].map(|tree| tree.join("read-only")) {
            let _ = fs::set_permissions(dir, Permissions::from_mode(0o755));
        }
    }
}

/// What `diff` does not compare: each path's kind and mode, and a file's time.
fn kinds(tree: &Path) -> BTreeMap<PathBuf, (u32, Option<SystemTime>)> {
    let all = WalkDir::new(tree).into_iter().map(|entry| entry.unwrap());
    let all = all.map(|entry| (entry.path().strip_prefix(tree).unwrap().to_owned(), entry.metadata().unwrap()));
    let kind =
        |(path, meta): (PathBuf, fs::Metadata)| (path, (meta.mode(), meta.is_file().then(|| meta.modified().unwrap())));
    all.filter(|(path, _)| !path.starts_with(".backup")).map(kind).collect()
}

// ---------------------------------------------------------------- the program, run with a watchdog

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn copied(&self) -> u64 {
        let number = self.stdout.strip_prefix("copied ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{:?} {:?}", self.stdout, self.stderr))
    }
}

#[track_caller]
fn ended(running: Child) -> Output {
    let (id, (tell, told)) = (running.id(), mpsc::channel());
    thread::spawn(move || tell.send(running.wait_with_output()));
    told.recv_timeout(LIMIT).map(|output| output.unwrap()).unwrap_or_else(|_| {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("watchdog: no end in {LIMIT:?}");
    })
}

/// The program. `cargo test` has built it before the tests run, unless it was told to build some of them only: then it
/// may be missing or stale.
fn example() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let program = BUILT.get_or_init(|| {
        let deps = env::current_exe().unwrap();
        let target = deps.ancestors().nth(2).unwrap().to_owned();
        let program = target.join("examples/backup");
        let changed = ["src", "examples/backup"].iter().map(|dir| newest(Path::new(dir))).max().unwrap();
        let built = fs::metadata(&program).and_then(|meta| meta.modified()).ok();
        if built.is_none_or(|built| built < changed) {
            let features = if cfg!(feature = "jobs-postgres") { "jobs-sqlite,jobs-postgres" } else { "jobs-sqlite" };
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--example", "backup", "--features", features]);
            cargo.arg("--target-dir").arg(target.parent().unwrap());
            if target.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success(), "the example does not build");
        }
        program
    });
    program.clone()
}

fn newest(dir: &Path) -> SystemTime {
    let entries = WalkDir::new(dir).into_iter().map(|entry| entry.unwrap());
    entries.map(|entry| entry.metadata().unwrap().modified().unwrap()).max().unwrap()
}
