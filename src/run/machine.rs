//! The machine and the program, as far as W&B shows them. Arguments may hold secrets: they stay
//! out.

pub(super) use crate::sink::host;
use crate::sink::records::{EnvironmentRecord, Timestamp};

pub(super) fn environment(started_at: Timestamp) -> EnvironmentRecord {
    let program = std::env::args_os().next().unwrap_or_default();
    let executable = std::env::current_exe().unwrap_or_default();
    EnvironmentRecord {
        os: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        started_at: Some(started_at),
        program: program.to_string_lossy().into_owned(),
        host: host(),
        executable: executable.to_string_lossy().into_owned(),
        cpu_count_logical: cpus(),
    }
}

fn cpus() -> u32 {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(u32::MAX)
}
