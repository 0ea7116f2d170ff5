//! What no compiler checks: the files agree with each other.

#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of this repository.
fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file under a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("a folder of ours can be listed").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_version_has_a_heading_in_the_changelog() {
    let heading = concat!("## ", env!("CARGO_PKG_VERSION"));
    let is_heading =
        |line: &str| line.strip_prefix(heading).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    assert!(read("CHANGELOG.md").lines().any(is_heading), "CHANGELOG.md has no line '{heading}'");
}

#[test]
fn every_source_file_opens_with_a_sentence_that_says_what_it_is() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(!files.is_empty());
    let says = |text: &str| text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 10);
    let mute: Vec<_> = files.iter().filter(|path| !says(&read(path))).collect();
    assert!(mute.is_empty(), "these open with no `//!` sentence: {mute:?}");
}

/// The public item that a line at the top level of a file begins.
fn item(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = ["struct ", "enum ", "trait ", "type ", "fn "].iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Whether doc lines hold a code block that asserts something.
fn asserts(docs: &[&str]) -> bool {
    let mut code = false;
    docs.iter().filter_map(|line| line.strip_prefix("///")).any(|line| {
        code ^= line.starts_with(" ```");
        code && line.contains("assert")
    })
}

#[test]
fn every_public_item_has_an_example_that_asserts() {
    // Of `src/jobs/diesel/statements.rs`, a private module: nobody outside can name them.
    let statements = ["Bind", "Bound", "Claimed", "Listed", "Number", "Statements", "Word"];
    let others = [
        "One",              // a bound inside: nobody outside can name it
        "check_dispatcher", // is an assertion by itself
    ];
    let mut exempt = [&statements[..], &others].concat();
    exempt.sort_unstable();
    let mut without = Vec::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = read(path);
        let mut above = Vec::new(); // docs and attributes; what is indented may be the inside of an attribute
        for line in text.lines() {
            if ["///", "#[", ")]", "    "].iter().any(|start| line.starts_with(start)) {
                above.push(line);
                continue;
            }
            let shown = asserts(&above) || above.contains(&"#[doc(hidden)]");
            without.extend(item(line).filter(|_| !shown).map(String::from));
            above.clear();
        }
    }
    without.sort();
    assert_eq!(without, exempt, "on the left, what has no example that asserts; on the right, what needs none");
}

#[test]
fn the_readme_shows_the_example_that_is_compiled() {
    let example = read("examples/readme.rs");
    let (about, program) = example.split_once('\n').expect("the example has lines");
    assert!(about.starts_with("//!"));
    assert!(read("README.md").contains(program.trim()), "README.md and examples/readme.rs differ");
}
