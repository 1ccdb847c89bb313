//! The run's directory: its logs, its name, what lies in it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::Survey;
use crate::error::counted;
use crate::sink::fault::{FaultKind, Place};
use crate::sink::logged::{self, check_file};
use crate::sink::names::{LOG_PART, OFFLINE, RUNS, real_name};
use crate::sink::resumed::Upload;
use crate::sink::{files, stored};

impl Survey {
    pub(super) fn log_files(&mut self, logs: &[PathBuf], own: Option<&Path>) {
        let Some(own) = own else {
            let message = format!(
                "the directory holds no .wandb file, which is a run's log: {}",
                logged::what_to_give(&self.report.run, &RUNS)
            );
            return self.fault(FaultKind::NoLog, Place::default(), message);
        };
        if logs.len() > 1 {
            let names: Vec<_> = logs.iter().map(|log| real_name(log)).collect();
            let message = format!(
                "the directory holds {} .wandb files ({}), but a run's has one, and `wandb sync` \
                 uploads each: move the others away; what follows is of {}",
                logs.len(),
                names.join(", "),
                real_name(own),
            );
            self.fault(FaultKind::SeveralLogs, Place::default(), message);
        }
    }

    /// A log that never got its own name.
    pub(super) fn begun_log(&mut self, part: &Path) {
        let message = format!(
            "the log has its temporary name still: the run was killed while it started, and holds \
             no rows; or its directory was deleted while it was written, and then it may hold all \
             of them: give {} itself to see",
            real_name(part)
        );
        let place = Place::of_path(real_name(part));
        self.fault(FaultKind::BegunLog, place, message);
    }

    pub(super) fn directory(&mut self, folder: &Path, log: &Path) {
        let name = real_name(folder);
        if !name.starts_with(OFFLINE) {
            let message = format!(
                "the directory is named {name:?}, and `wandb sync` passes over what isn't named \
                 offline-run-…: rename it, or give `wandb sync` the .wandb file"
            );
            self.fault(FaultKind::NotOffline, Place::default(), message);
        }
        if matches!(self.upload, Upload::All { .. }) {
            let message = "the run was synced before, so `wandb sync` passes over it; with \
                           --include-synced its rows would be appended again";
            self.fault(FaultKind::Synced, Place::default(), message);
        }
        if is_locked(log) {
            let message = "the run is being written: what it lacks at its end may still come";
            self.fault(FaultKind::BeingWritten, Place::default(), message);
        }
    }

    /// The media files that no row names.
    pub(super) fn left_files(&mut self) {
        let (mut unnamed, mut listed) = (Vec::new(), Vec::new());
        for path in stored::all_below(self.files.dir()) {
            let is_named = self.whole.contains(&path) || self.broken.contains(&path);
            match path == files::PART {
                true => self.temporary(path),
                false if is_named || !path.starts_with("media/") => {}
                false if self.listed.contains(&path) => listed.push(path),
                false => unnamed.push(path),
            }
        }
        if let Some(message) = no_row_names(&unnamed) {
            self.left_behind = Some(format!("{message}; they stay in the damaged run"));
            self.fault(FaultKind::UnnamedFiles, Place::default(), message);
        }
        if let Some(message) = no_row_names(&listed) {
            let message = format!("{message}; W&B gets the files alone");
            self.fault(FaultKind::UnnamedFiles, Place::default(), message);
        }
    }

    fn temporary(&mut self, path: String) {
        let message = "a temporary file was left when its writer was killed: delete it";
        let place = Place::of_path(path);
        self.fault(FaultKind::TemporaryFile, place, message);
    }
}

fn no_row_names(files: &[String]) -> Option<String> {
    let first = files.first()?;
    Some(format!(
        "no row names {}, the first being {first}: what would have named them was lost, or never \
         written",
        counted(files.len() as u64, "media file")
    ))
}

/// Whether this is the log of a run that is being written, by this process or another.
pub(crate) fn is_live_log(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".wandb") || name.ends_with(LOG_PART)) && is_locked(path)
}

/// Whether another process holds the log, as one that writes it does.
pub(in crate::sink) fn is_locked(log: &Path) -> bool {
    let opened = check_file(log).ok().and_then(|()| File::open(log).ok());
    let Some(file) = opened else {
        return false;
    };
    let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    // Closing it takes the lock back too.
    let _ = file.unlock();
    is_held
}
