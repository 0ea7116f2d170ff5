//! Programs of users that must compile, and ones that must not: then the compiler says what is wrong.

#![allow(missing_docs)]

use std::env;
use std::process::Command;

/// The release whose messages stand in `tests/probes/refused`.
const WRITTEN_WITH: &str = "rustc 1.95.0 ";

#[test]
fn programs_are_accepted_or_refused_with_a_message_that_helps() {
    let probes = trybuild::TestCases::new();
    probes.pass("tests/probes/accepted/*.rs");
    let version = rustc_version();
    if version.starts_with(WRITTEN_WITH) {
        probes.compile_fail("tests/probes/refused/*.rs");
    } else {
        eprintln!("the compiler's messages are not compared: they are those of {WRITTEN_WITH}and this is {version}");
    }
}

fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8(said.stdout).expect("rustc speaks UTF-8").trim().to_owned()
}
