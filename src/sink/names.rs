//! What the directories and the logs of runs are called.

use std::io;
use std::path::{Component, Path, PathBuf};

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

/// The whole path without `..`, which leads to the folder above what is there, be it a link.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let mut resolved = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                resolved = resolved.canonicalize().unwrap_or(resolved);
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    Ok(resolved)
}

/// The last name of a path, where it is text.
pub(super) fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_path_has_no_folder_above_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(
                resolved(&root.join(path)).unwrap(),
                root.join(expected),
                "{path}"
            );
        };
        check("a/b", "a/b");
        check("a/../c/d", "c/d");
        check("none/../c", "c");
        check("a/b/../../x/.", "x");
    }

    #[cfg(unix)]
    #[test]
    fn above_a_link_is_what_is_above_that_which_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink(root.join("a/b"), root.join("link")).unwrap();
        assert_eq!(resolved(&root.join("link/../c")).unwrap(), root.join("a/c"));
        assert_eq!(resolved(&root.join("link/c")).unwrap(), root.join("link/c"));
    }
}
