//! Clocks, and what Linux says of this process.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use crate::Result;

/// What `work` gives, and its seconds. Dropping the value isn't among them.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let value = black_box(work());
    (began.elapsed().as_secs_f64(), value)
}

/// Resident memory now, in bytes.
pub(crate) fn resident_bytes() -> Result<u64> {
    status("VmRSS:")
}

/// The most that resident memory has been, in bytes.
pub(crate) fn peak_bytes() -> Result<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    Ok(kib
        .ok_or("no such line in /proc/self/status")?
        .parse::<u64>()?
        * 1024)
}

/// Open file descriptors, without the one that counts them.
pub(crate) fn open_files() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count() - 1)
}
