//! A builder that is not spawned is a warning; here an error, to see what it says.
#![deny(unused_must_use)]

fn main() {
    drawgate::for_each(|n: u64| println!("{n}"));
}
