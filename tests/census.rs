//! The example `census`, run as a program: its counts against `find` and `wc`, and what it does when things go wrong.
//!
//! Nothing here sleeps to order things. Where a test has to act while a census runs, it holds it at a gate: a huge sparse
//! file that a counter goes on reading until the test cuts it to nothing.

// The library keeps locks, threads and clocks behind one module of its own; tests need not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(target_os = "linux")] // `/proc`, and the options of GNU `find` and `wc`

#[allow(dead_code, reason = "the programs use all of it")]
#[path = "../examples/census/shared/mod.rs"]
mod shared;

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    env,
    ffi::{OsStr, OsString},
    fs::{self, File, Permissions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

// ---------------------------------------------------------------- counts

#[test]
fn counts_equal_find_and_wc() {
    let tree = Tree::of_all_kinds();
    for jobs in ["1", "2", "7"] {
        let run = run(census().args(["--json", "--jobs", jobs]).arg(tree.path()));
        assert_eq!((run.code(), &*run.stderr), (Some(0), ""));
        assert_counts_equal(&run.json(), tree.path());
    }
}

#[test]
fn the_default_path_is_the_current_directory() {
    let tree = Tree::of_all_kinds();
    let run = run(census().arg("--json").current_dir(tree.path()));
    assert_counts_equal(&run.json(), tree.path());
}

#[test]
fn several_paths_add_up_and_a_path_that_is_a_link_is_followed() {
    let tree = Tree::of_all_kinds();
    let links = tempfile::tempdir().unwrap();
    symlink(tree.path(), links.path().join("to-a-tree")).unwrap();
    symlink(tree.path().join("plain.txt"), links.path().join("to-a-file")).unwrap();
    let paths = [links.path().join("to-a-tree"), links.path().join("to-a-file"), tree.path().join("deep")];
    let run = run(census().arg("--json").args(&paths));
    assert_eq!((run.code(), &*run.stderr), (Some(0), ""));
    let files: usize = paths.iter().map(|path| find(path).len()).sum();
    assert_eq!(run.json()["files"], files);
}

#[test]
fn each_way_by_hand_gives_the_same_object() {
    let tree = Tree::of_all_kinds();
    let ours = run(census().arg("--json").arg(tree.path()));
    for way in ["one", "rayon", "crossbeam"] {
        let theirs = run(by_hand(way).arg("--json").arg(tree.path()));
        assert_eq!(theirs.stdout, ours.stdout, "{way}");
        assert_eq!(theirs.code(), Some(0));
    }
}

#[test]
fn the_object_has_all_fields() {
    let tree = Tree::of_all_kinds();
    let run = run(census().args(["--json", "--top", "3"]).arg(tree.path()));
    let json = run.json();
    let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["files", "bytes", "lines", "words", "types", "largest", "duplicates", "errors", "partial"];
    assert_eq!(BTreeSet::from_iter(fields), BTreeSet::from(wanted));
    assert_eq!((&json["errors"], &json["partial"]), (&Value::from(0), &Value::from(false)));
    assert_eq!(run.stdout.trim_end().lines().count(), 1, "one object and nothing else");

    // Types: by extension in lower case, and their sum is the total.
    assert_eq!(json["types"]["txt"]["files"], 8, "{}", json["types"]);
    for field in ["files", "bytes", "lines", "words"] {
        let sum: u64 = json["types"].as_object().unwrap().values().map(|tally| tally[field].as_u64().unwrap()).sum();
        assert_eq!(json[field], sum, "{field}");
    }

    // The largest: as `find` has them, the biggest first.
    let mut sizes: Vec<u64> = find(tree.path()).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let largest = json["largest"].as_array().unwrap();
    assert_eq!(largest.iter().map(|file| file["bytes"].as_u64().unwrap()).collect::<Vec<_>>(), sizes[..3]);
    assert_eq!(largest[0]["path"], tree.path().join("copies/long.log").to_str().unwrap());
}

#[test]
fn equal_content_is_found_and_hard_links_are_one_copy() {
    let tree = Tree::of_all_kinds();
    let mut by_content: BTreeMap<Vec<u8>, BTreeMap<u64, String>> = BTreeMap::new();
    for path in find(tree.path()) {
        let (content, inode) = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino());
        let known = by_content.entry(content).or_default().entry(inode).or_default();
        let name = path.to_string_lossy().into_owned();
        if known.is_empty() || name < *known {
            *known = name;
        }
    }
    let wanted: BTreeSet<(u64, BTreeSet<String>)> = by_content
        .into_iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(content, files)| (content.len() as u64, files.into_values().collect()))
        .collect();
    // However many walks it takes.
    for at_once in ["100000", "5", "1"] {
        let json = run(census().args(["--json", "--compare-at-once", at_once]).arg(tree.path())).json();
        let groups = json["duplicates"].as_array().unwrap();
        let found = groups.iter().map(|group| {
            let paths: BTreeSet<_> = strings(&group["paths"]).collect();
            let bytes = group["bytes"].as_u64().unwrap();
            assert_eq!(group["wasted"], bytes * (paths.len() as u64 - 1));
            (bytes, paths)
        });
        assert_eq!(found.collect::<BTreeSet<_>>(), wanted);
    }
}

#[test]
fn text_says_the_same_as_json() {
    let tree = Tree::of_all_kinds();
    let json = run(census().arg("--json").arg(tree.path())).json();
    let text = run(census().arg(tree.path()));
    let all = text.stdout.lines().find(|line| line.starts_with("all ")).expect("a line of totals");
    let figures: Vec<u64> = all.split_whitespace().skip(1).map(|figure| figure.parse().unwrap()).collect();
    assert_eq!(figures, ["files", "bytes", "lines", "words"].map(|field| json[field].as_u64().unwrap()));
    assert!(text.stdout.contains("largest files") && text.stdout.contains("equal content: "), "{}", text.stdout);
    assert!(!text.stdout.contains("errors") && !text.stdout.contains("partial"), "{}", text.stdout);
    assert!(text.stdout.contains("a\\nb.txt"), "a newline in a name is shown, not printed: {}", text.stdout);
}

// ---------------------------------------------------------------- errors

#[test]
fn what_cannot_be_read_is_told_with_its_path_and_the_rest_counted() {
    let tree = Tree::of_all_kinds();
    // Reading address 0 of its own memory fails for root as for anybody.
    let paths = [tree.path(), Path::new("/nowhere/at/all"), Path::new("/proc/self/mem")];
    for mut program in [census(), by_hand("one"), by_hand("rayon"), by_hand("crossbeam")] {
        let run = run(program.arg("--json").args(paths));
        assert_eq!(run.code(), Some(1));
        assert_counts_equal(&run.json(), tree.path());
        assert_eq!(run.json()["errors"], 2);
        let told: Vec<_> = run.stderr.lines().collect();
        assert_eq!(told.len(), 2, "each once: {}", run.stderr);
        for path in &paths[1..] {
            assert!(told.iter().any(|line| line.contains(path.to_str().unwrap())), "{}", run.stderr);
        }
    }
}

#[test]
fn files_and_directories_without_permission_are_told() {
    let tree = Tree::of_all_kinds();
    let closed = ["secret.txt", "locked"].map(|name| tree.path().join(name));
    fs::write(&closed[0], "nobody reads this\n").unwrap();
    fs::create_dir(&closed[1]).unwrap();
    fs::write(closed[1].join("inside.txt"), "nor this\n").unwrap();
    let wanted: HashSet<PathBuf> = find(tree.path()).into_iter().filter(|p| !p.starts_with(&closed[1])).collect();
    for path in &closed {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    }
    let Some((mut program, _dir)) = unprivileged() else {
        eprintln!("skipped: root reads everything, and there is no setpriv to be somebody else");
        return;
    };
    let run = run(program.args(["--json"]).arg(tree.path()));
    assert_eq!(run.code(), Some(1), "{}", run.stderr);
    assert_eq!(run.json()["errors"], 2);
    assert_eq!(run.json()["files"], wanted.len() - 1, "all but the secret");
    for path in &closed {
        let line = run.stderr.lines().find(|line| line.contains(path.to_str().unwrap()));
        assert!(line.is_some_and(|line| line.contains("Permission denied")), "{}", run.stderr);
    }
    fs::set_permissions(&closed[1], Permissions::from_mode(0o755)).unwrap(); // so that it can be deleted
}

#[test]
fn a_directory_that_vanishes_while_it_runs_is_told_and_the_rest_counted() {
    const FILES: usize = 4000; // more than may be in flight
    let (gate, tree) = (Gate::closed(), tempfile::tempdir().unwrap());
    for name in ["a", "b"] {
        many_files(&tree.path().join(name), FILES);
    }
    let order: Vec<_> = fs::read_dir(tree.path()).unwrap().map(|entry| entry.unwrap().path()).collect();

    let running = Running::start(census().args(["--json", "--jobs", "1"]).args([gate.path(), tree.path()]));
    gate.wait_until_read_by(&running);
    // The walker waits in the first directory, because more files than may be in flight are in it; the listing that names
    // the second one has been read.
    running.wait_until_open(&order[0]);
    fs::remove_dir_all(&order[1]).unwrap();
    gate.open();

    let run = running.finish();
    assert_eq!(run.code(), Some(1));
    assert_eq!(run.json()["files"], 1 + FILES);
    assert_eq!(run.json()["errors"], 1);
    assert!(run.stderr.contains(order[1].to_str().unwrap()), "{}", run.stderr);
}

#[test]
fn the_walk_goes_on_after_a_directory_that_vanished() {
    let tree = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        many_files(&tree.path().join(name), 3);
    }
    let order: Vec<_> = fs::read_dir(tree.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut walk = shared::walk::walk(vec![tree.path().into()]);
    let first = walk.next().unwrap().unwrap();
    assert!(first.starts_with(&order[0]));
    fs::remove_dir_all(&order[1]).unwrap();
    let rest: Vec<_> = walk.collect();
    let failures: Vec<_> = rest.iter().filter_map(|path| path.as_ref().err()).map(ToString::to_string).collect();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].starts_with(order[1].to_str().unwrap()), "{failures:?}");
    assert_eq!(rest.len() - failures.len(), 2 + 3);

    // A file that vanished after it was listed is told the same way.
    fs::remove_file(&first).unwrap();
    let failure = shared::count::count(first.clone(), |_| ()).unwrap_err();
    assert!(failure.to_string().starts_with(first.to_str().unwrap()), "{failure}");
}

#[test]
fn a_bad_command_line_is_exit_code_2() {
    for args in [&["--jobs", "0"][..], &["--jobs", "many"], &["--no-such-option"], &["--compare-at-once", "0"]] {
        let run = run(census().args(args));
        assert_eq!((run.code(), &*run.stdout), (Some(2), ""), "{args:?}");
        assert!(run.stderr.contains(args[0]), "{}", run.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let gate = Gate::closed();
    let mut child = census().arg(gate.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take()); // before there is anything to print
    gate.open();
    let run = Running::of(child).finish();
    assert_eq!((run.code(), &*run.stderr), (Some(0), ""));
}

// ---------------------------------------------------------------- Ctrl-C

#[test]
fn ctrl_c_stops_the_intake_and_prints_what_was_counted() {
    const FILES: usize = 8000;
    for json in [true, false] {
        let (gate, tree) = (Gate::closed(), tempfile::tempdir().unwrap());
        many_files(tree.path(), FILES);
        let format: &[&str] = if json { &["--json"] } else { &[] };
        let mut running = Running::start(census().args(["--jobs", "1"]).args(format).args([gate.path(), tree.path()]));
        gate.wait_until_read_by(&running);
        running.signal("INT");
        running.wait_for_line("stopping"); // the intake is closed; the file in hand is still being read
        gate.open();

        let run = running.finish();
        assert_eq!(run.code(), Some(130));
        if json {
            let json = run.json();
            assert_eq!(json["partial"], true);
            let files = json["files"].as_u64().unwrap();
            assert!((1..FILES as u64).contains(&files), "what was in flight and no more: {files}");
            assert_eq!(json["errors"], 0);
        } else {
            assert!(run.stdout.contains("partial: "), "{}", run.stdout);
        }
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let gate = Gate::closed();
    let mut running = Running::start(census().arg("--json").arg(gate.path()));
    gate.wait_until_read_by(&running);
    running.signal("INT");
    running.wait_for_line("stopping");
    running.signal("INT");
    let run = running.finish(); // the gate is still closed
    assert_eq!((run.code(), &*run.stdout), (Some(130), ""));
}

// ---------------------------------------------------------------- terminal and stages

#[test]
fn there_is_a_progress_bar_on_a_terminal_and_none_without() {
    let tree = Tree::of_all_kinds();
    let piped = run(census().arg(tree.path()));
    assert_eq!(piped.stderr, "");

    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: no `script` to make a terminal with");
        return;
    }
    let command = format!("'{}' '{}' > /dev/null", example("census").display(), tree.path().display());
    let terminal = run(Command::new("script").args(["-qec", &command, "/dev/null"]).env("TERM", "xterm"));
    assert_eq!(terminal.code(), Some(0), "{}", terminal.stdout);
    for part in ["counting", " files", "B/s"] {
        assert!(terminal.stdout.contains(part), "{part:?} in {:?}", terminal.stdout);
    }
}

#[test]
fn stages_ends_with_a_table_and_a_verdict() {
    let tree = Tree::of_all_kinds();
    let text = run(census().arg("--stages").arg(tree.path())).stdout;
    let (_, table) = text.split_once("\ncounting\n").expect("a table");
    let columns = ["stage", "threads", "in", "out", "busy", "idle", "held back", "waiting", "bottleneck"];
    for word in columns.into_iter().chain(["walk", "count", "merge"]) {
        assert!(table.contains(word), "{word:?} in {table}");
    }

    let json = run(census().args(["--stages", "--json"]).arg(tree.path()));
    assert_eq!(json.json()["files"], find(tree.path()).len(), "stdout is still one object");
    assert!(json.stderr.contains("merge"), "{}", json.stderr);
}

// ---------------------------------------------------------------- words and lines, piece by piece

#[test]
fn words_and_lines_are_the_same_however_the_content_is_cut() {
    let mut random = Random(7);
    for round in 0..400 {
        // Mostly text, at times mostly bytes that neither begin nor end a word, in runs long enough for whole blocks.
        let alphabet: &[u8] =
            [&b"ab \n"[..], b"a \t\xff\xc3\x00\r", b"\xff\x00", b"\x80\x80\x80\x80 a\x0b\x0c~!\x7f"][round % 4];
        let content: Vec<u8> = (0..random.below(1000)).map(|_| alphabet[random.below(alphabet.len())]).collect();
        let mut counter = shared::count::Counter::default();
        let mut rest = &content[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len()));
            counter.add(piece);
            rest = after;
        }
        assert_eq!(counter.counts(), plainly(&content), "{content:?}");
    }
}

/// What `shared::count` says a line and a word is, in the plainest words.
fn plainly(content: &[u8]) -> shared::count::Counts {
    let space = |b: &u8| b" \t\n\x0b\x0c\r".contains(b);
    let words = content.split(space).filter(|run| run.iter().any(u8::is_ascii_graphic)).count();
    let lines = content.iter().filter(|b| **b == b'\n').count();
    shared::count::Counts { bytes: content.len() as u64, lines: lines as u64, words: words as u64 }
}

#[test]
fn rounds_take_each_shared_size_once_and_no_more_files_than_told() {
    let mut random = Random(11);
    for _ in 0..100 {
        let mut sizes = shared::copies::Sizes::default();
        let (mut shared_files, mut most_of_a_size) = (0, 0);
        for bytes in 0..random.below(50) {
            let files = random.below(5);
            (0..files).for_each(|_| sizes.add(bytes as u64, 1));
            shared_files += if files > 1 { files as u64 } else { 0 };
            most_of_a_size = most_of_a_size.max(files as u64);
        }
        let at_once = 1 + random.below(20);
        let rounds = sizes.rounds(at_once);
        assert_eq!(rounds.iter().map(|round| round.files).sum::<u64>(), shared_files);
        for round in &rounds {
            assert!(round.files <= most_of_a_size.max(at_once as u64));
        }
    }
}

/// A multiplicative generator: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

// ---------------------------------------------------------------- the trees

/// A tree with one of every kind that makes counting hard.
struct Tree(TempDir);

impl Tree {
    fn of_all_kinds() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(tree.path(), Permissions::from_mode(0o755)).unwrap(); // for whoever runs the census
        for dir in ["deep/er/est", "empty-dir", ".hidden", "copies", "links"] {
            fs::create_dir_all(tree.path().join(dir)).unwrap();
        }
        let many_scripts = "– naïve «élan» 漢字 — ok → x\n".repeat(100);
        let long: Vec<u8> = (0..150_000).flat_map(|n| [b'a', b" \nx\xe9\t"[n % 5]]).collect(); // of several pieces
        for (name, content) in [
            ("plain.txt", &b"two words\nand three more\n"[..]),
            ("empty.txt", b""),
            ("empty-too", b""),
            ("no-final-newline.txt", b"one\ntwo"),
            ("only-newlines.txt", b"\n\n\n"),
            ("crlf.TXT", b"a b\r\nc\r\n"),
            ("spaces.txt", b" \t\x0b\x0c a\x0bb \r c "),
            ("latin-1.txt", b"caf\xe9 na\xefve \xe0 \xff\xfe x\n"),
            ("a\nb.txt", b"a name of two lines\n"),
            ("deep/utf-8.md", many_scripts.as_bytes()),
            ("deep/er/binary.bin", b"\x00\x01\x02 \x00 \x7f\x80 \xff\n\x00a\x00"),
            ("deep/er/long.log", &long),
            ("deep/er/est/zeros.bin", &[0; 200_000]),
            ("deep/er/est/no-extension", b"x"),
            (".hidden/.dotfile", b"hidden\n"),
            ("copies/one.rs", b"fn main() {}\n"),
            ("copies/two.rs", b"fn main() {}\n"),
            ("copies/same-size.rs", b"fn niam() {}\n"),
            ("copies/long.log", &long),
        ] {
            fs::write(tree.path().join(name), content).unwrap();
        }
        let not_utf8 = tree.path().join(OsStr::from_bytes(b"d\xefr"));
        fs::create_dir(&not_utf8).unwrap();
        fs::write(not_utf8.join(OsStr::from_bytes(b"caf\xe9.t\xefp")), "in a name that is not UTF-8\n").unwrap();
        fs::write(not_utf8.join(OsStr::from_bytes(b"caf\xe8")), "fn main() {}\n").unwrap();
        fs::hard_link(tree.path().join("copies/one.rs"), tree.path().join("copies/a-hard-link.rs")).unwrap();
        fs::hard_link(tree.path().join("plain.txt"), tree.path().join("copies/linked-but-not-copied")).unwrap();
        for (to, name) in [
            ("..", "links/up"),
            (".", "links/self"),
            ("to-b", "links/to-a"),
            ("to-a", "links/to-b"),
            ("nowhere", "links/dangling"),
            ("../plain.txt", "links/to-file.txt"),
            ("/", "links/root"),
        ] {
            symlink(to, tree.path().join(name)).unwrap();
        }
        let fifo = tree.path().join("fifo.txt");
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn many_files(dir: &Path, n: usize) {
    fs::create_dir_all(dir).unwrap();
    for i in 0..n {
        fs::write(dir.join(format!("{i}.txt")), format!("file {i}\n")).unwrap();
    }
}

/// A file that a counter does not get to the end of until it is cut.
struct Gate {
    dir: TempDir,
    file: File,
}

impl Gate {
    fn closed() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("gate")).unwrap();
        file.set_len(1 << 40).unwrap(); // sparse: it takes no room, and a quarter of an hour to read
        Self { dir, file }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn wait_until_read_by(&self, running: &Running) {
        running.wait_until_open(&self.path().join("gate"));
    }

    fn open(&self) {
        self.file.set_len(0).unwrap();
    }
}

// ---------------------------------------------------------------- what find and wc say

fn find(path: &Path) -> Vec<PathBuf> {
    let found = Command::new("find").arg("-H").arg(path).args(["-type", "f", "-print0"]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let paths = found.stdout.split(|b| *b == 0).filter(|path| !path.is_empty());
    paths.map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))).collect()
}

/// Lines, words and bytes of all of them, in one call.
fn wc(paths: &[PathBuf]) -> [u64; 3] {
    let mut wc = Command::new("wc");
    let mut wc =
        wc.arg("--files0-from=-").env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut names = wc.stdin.take().unwrap();
    let null = [PathBuf::from("/dev/null"), PathBuf::from("/dev/null")]; // with two there is always a total
    for path in paths.iter().chain(&null) {
        names.write_all(path.as_os_str().as_bytes()).unwrap();
        names.write_all(b"\0").unwrap();
    }
    drop(names);
    let said = wc.wait_with_output().unwrap();
    assert!(said.status.success());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let total = said.lines().last().unwrap().strip_suffix(" total").unwrap();
    let figures: Vec<u64> = total.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    figures.try_into().unwrap()
}

/// Newer releases of `wc` count runs of unprintable bytes as words, too. Then words are compared by `plainly`.
fn words(paths: &[PathBuf], by_wc: u64) -> u64 {
    static WC_NEEDS_A_PRINTABLE_BYTE: OnceLock<bool> = OnceLock::new();
    let same = WC_NEEDS_A_PRINTABLE_BYTE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("probe"), b"\xff \x01 \xe9").unwrap();
        wc(&[dir.path().join("probe")])[1] == 0
    });
    if *same { by_wc } else { paths.iter().map(|path| plainly(&fs::read(path).unwrap()).words).sum() }
}

fn assert_counts_equal(json: &Value, tree: &Path) {
    let mut by_type: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in find(tree) {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        by_type.entry(extension).or_default().push(path);
    }
    let all: Vec<PathBuf> = by_type.values().flatten().cloned().collect();
    assert!(all.len() > 20, "the tree is there");
    let types = json["types"].as_object().unwrap();
    assert_eq!(types.keys().collect::<Vec<_>>(), by_type.keys().collect::<Vec<_>>());
    let types = by_type.iter().map(|(kind, paths)| (&**kind, &types[kind], paths));
    for (kind, tally, paths) in types.chain([("all", json, &all)]) {
        let [lines, by_wc, bytes] = wc(paths);
        for (field, figure) in
            [("files", paths.len() as u64), ("bytes", bytes), ("lines", lines), ("words", words(paths, by_wc))]
        {
            assert_eq!(tally[field], figure, "{field} of {kind:?}");
        }
    }
}

fn strings(array: &Value) -> impl Iterator<Item = String> {
    array.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned())
}

// ---------------------------------------------------------------- programs, run with a watchdog

fn census() -> Command {
    Command::new(example("census"))
}

fn by_hand(way: &str) -> Command {
    let mut command = Command::new(example("by_hand"));
    command.arg(way);
    command
}

/// The census as a user whom permissions stop, with the directory that holds it; `None` if that cannot be had.
fn unprivileged() -> Option<(Command, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout != b"0\n" {
        return Some((census(), dir));
    }
    Command::new("setpriv").arg("--version").output().ok()?;
    let program = dir.path().join("census"); // where it was built, that user may not be let in
    fs::copy(example("census"), &program).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    Some((command, dir))
}

/// Where cargo put the example. `cargo test` builds it; with `--test census` alone it may be missing or old.
fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let deps = env::current_exe().unwrap();
        let target = deps.ancestors().nth(2).unwrap().to_owned();
        let examples = target.join("examples");
        let built = |name: &str| fs::metadata(examples.join(name)).and_then(|meta| meta.modified()).ok();
        let sources = ["src", "examples/census", "examples/by_hand"].iter().map(|dir| newest(Path::new(dir)));
        let changed = sources.max().unwrap();
        if built("census").min(built("by_hand")).is_none_or(|built| built < changed) {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--example", "census", "--example", "by_hand"]);
            cargo.arg("--target-dir").arg(target.parent().unwrap());
            if target.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success(), "the examples do not build");
        }
        examples
    });
    dir.join(name)
}

fn newest(dir: &Path) -> SystemTime {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let times = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What a program said, and how it ended.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn code(&self) -> Option<i32> {
        self.status.code()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e} in {:?}, stderr {:?}", self.stdout, self.stderr))
    }
}

#[track_caller]
fn run(command: &mut Command) -> Ended {
    Running::start(command).finish()
}

/// Longer than any of these takes on a slow machine under load; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// A program that runs, its output being read so that it cannot block on it.
struct Running {
    child: Child,
    started: Instant,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::of(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    fn of(mut child: Child) -> Self {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take().unwrap());
        let stdout =
            lines_of(stdout.map(|out| Box::new(out) as Box<dyn Read + Send>).unwrap_or(Box::new(std::io::empty())));
        Self { child, started: Instant::now(), stdout, stderr: lines_of(Box::new(stderr)), seen: String::new() }
    }

    fn left(&self) -> Duration {
        LIMIT.saturating_sub(self.started.elapsed())
    }

    #[track_caller]
    fn hangs(&self, at: &str) -> ! {
        panic!("watchdog: no end of {at} in {LIMIT:?}; stderr until then: {}", self.seen);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Reads stderr up to a line that contains `part`.
    #[track_caller]
    fn wait_for_line(&mut self, part: &str) {
        loop {
            match self.stderr.recv_timeout(self.left()) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    if line.contains(part) {
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.hangs("waiting for a line"),
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("no {part:?} in {:?}", self.seen),
            }
        }
    }

    /// Looks until the program has `path` open.
    #[track_caller]
    fn wait_until_open(&self, path: &Path) {
        let path = path.canonicalize().unwrap();
        let fds = PathBuf::from(format!("/proc/{}/fd", self.child.id()));
        let open = || {
            fs::read_dir(&fds)
                .into_iter()
                .flatten()
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == path))
        };
        while !open() {
            assert!(!self.left().is_zero(), "watchdog: {} was not opened in {LIMIT:?}", path.display());
            thread::yield_now();
        }
    }

    /// Waits for the end of its output and of itself.
    #[track_caller]
    fn finish(mut self) -> Ended {
        let stdout = self.rest("stdout", |running| &running.stdout);
        let stderr = self.seen.clone() + &self.rest("stderr", |running| &running.stderr);
        // It has closed both, so it is about to end, and what it would do before that has no bound to wait for.
        let status = self.child.wait().unwrap();
        Ended { status, stdout, stderr }
    }

    #[track_caller]
    fn rest(&mut self, what: &str, of: impl Fn(&Self) -> &mpsc::Receiver<String>) -> String {
        let mut rest = String::new();
        loop {
            match of(self).recv_timeout(self.left()) {
                Ok(line) => rest.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => return rest,
                Err(mpsc::RecvTimeoutError::Timeout) => self.hangs(what),
            }
        }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// The lines as they come; the channel ends with the pipe. What is not UTF-8 is replaced.
fn lines_of(pipe: Box<dyn Read + Send>) -> mpsc::Receiver<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if tx.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    rx
}
