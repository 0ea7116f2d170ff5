//! The peak memory of this process, as the kernel has it.

use std::fs;

/// The most resident memory that this process ever had, in KiB; `None` where there is no `/proc`.
pub(crate) fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
