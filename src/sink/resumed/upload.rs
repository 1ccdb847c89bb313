//! What of a run was uploaded.

use std::fs;
use std::path::{Path, PathBuf};

/// What was uploaded of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    Nothing,
    /// `wandb sync` began, and did not come to the end of the log: some rows may be there.
    Part,
    /// All, unless more was written since: `wandb sync` passes the run over.
    All {
        has_more: bool,
    },
}

impl Upload {
    /// What the files say that `wandb sync` leaves beside a log.
    pub(crate) fn of(log: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = log.as_os_str().to_owned();
            name.push(ending);
            fs::metadata(PathBuf::from(name)).ok()
        };
        let log = fs::metadata(log);
        match (beside(".synced"), beside(".syncstate")) {
            (Some(synced), _) => {
                let times = (log.and_then(|log| log.modified()), synced.modified());
                let has_more = matches!(times, (Ok(written), Ok(uploaded)) if written > uploaded);
                Upload::All { has_more }
            }
            (None, Some(_)) => Upload::Part,
            (None, None) => Upload::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sync_leaves_beside_a_log_says_what_was_uploaded() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("run-a.wandb");
        let make = |ending: &str| fs::File::create(dir.path().join(ending)).unwrap();
        let written = make("run-a.wandb");
        let check = |expected| assert_eq!(Upload::of(&log), expected);
        check(Upload::Nothing);
        make("run-a.wandb.syncstate");
        check(Upload::Part);
        let synced = make("run-a.wandb.synced");
        let ended = written.metadata().unwrap().modified().unwrap();
        let second = std::time::Duration::from_secs(1);
        synced.set_modified(ended + second).unwrap();
        check(Upload::All { has_more: false });
        synced.set_modified(ended - second).unwrap();
        check(Upload::All { has_more: true });
    }
}
