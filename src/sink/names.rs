//! What the directories and the logs of runs are called.

use std::path::{Path, PathBuf};

/// How the directories begin that `wandb sync` takes for those of offline runs.
pub(super) const OFFLINE: &str = "offline-run-";

/// How the directories of runs begin, of offline and of online ones.
pub(super) const RUNS: [&str; 2] = [OFFLINE, "run-"];

/// What the name of a log ends with until its first records are written.
pub(super) const LOG_PART: &str = ".wandb.part";

/// What the directory of an offline run is called.
pub(crate) fn offline_name(stamp: &str, run_id: &str) -> String {
    format!("{OFFLINE}{stamp}-{run_id}")
}

/// The run id that the name of a log says, also of one that has its temporary name still.
pub(crate) fn id_in_name(log: &Path) -> Option<String> {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(LOG_PART).or(name.strip_suffix(".wandb"));
    let id = stem.unwrap_or(&name).strip_prefix("run-")?;
    (!id.is_empty()).then(|| id.into())
}

/// The name of what the path leads to, where it is a link.
pub(super) fn real_name(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.into());
    let name = real.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The folder that a path is in.
pub(super) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

/// The last name of a path, where it is text.
pub(super) fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}
