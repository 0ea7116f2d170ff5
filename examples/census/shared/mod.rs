//! What `census` and the programs by hand have in common: everything but how the work is spread over threads.
//!
//! None of it knows a thread, a channel or a stage, so a comparison of the programs compares their wiring alone.

pub(crate) mod copies; //  which files are worth comparing, and which turn out equal
pub(crate) mod count; //   bytes, lines and words of one file
pub(crate) mod failure; // what went wrong with one path, told once
pub(crate) mod memory; //  the peak memory of this process
pub(crate) mod options; // the part of the command line that all share
pub(crate) mod pieces; //  a file read in pieces, into one buffer a thread
pub(crate) mod report; //  the result, as text and as JSON
pub(crate) mod stock; //   totals, types, largest files, sizes
pub(crate) mod walk; //    the regular files below some paths
