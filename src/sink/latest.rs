//! `latest-run`, the link to the newest run of a folder: a convenience, so a failure to make it is
//! none of the run's.
//!
//! It leads to a run as soon as that has a directory. So a new run finds the one that was killed
//! before it, also one that was killed as it began, and removes what that left.

use std::path::{Path, PathBuf};

use super::directory;

/// The directory of a run that was made a moment ago, until it holds the first records.
pub(crate) struct Made {
    path: PathBuf,
    /// What `latest-run` led to before it, where there was such a link.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there are no links"))]
    before: Option<PathBuf>,
}

impl Made {
    /// Lets `latest-run` lead to this directory.
    pub(super) fn latest(path: &Path) -> Self {
        Self {
            path: path.into(),
            before: link_latest(path),
        }
    }

    /// Removes it, as if there had been no such run: best effort.
    pub(crate) fn take_back(&self) {
        directory::remove(&self.path);
        self.unlink();
    }
}

#[cfg(unix)]
mod link {
    use std::fs;
    use std::io;
    use std::path::{Path, PathBuf};

    use cap_std::fs::Dir;

    use super::super::directory::name_of;
    use super::super::disk::{self, Folder};
    use super::super::files;
    use super::super::names::LOG_PART;
    use super::Made;

    /// Lets `latest-run` lead to this run, and removes what a killed process left in the one that
    /// it led to. Returns where it led.
    pub(crate) fn link_latest(run: &Path) -> Option<PathBuf> {
        let latest = latest_of(run);
        let before = fs::read_link(&latest).ok();
        if let Some(before) = &before {
            // Before the link leads elsewhere: this process may be killed in between.
            let _ = clear(run, before);
        }
        lead_to(&latest, Path::new(run.file_name()?));
        before
    }

    impl Made {
        /// Puts the link back to where it led.
        pub(super) fn unlink(&self) {
            let latest = latest_of(&self.path);
            let name = self.path.file_name().map(Path::new);
            if fs::read_link(&latest).ok().as_deref() != name {
                return;
            }
            match &self.before {
                Some(before) => lead_to(&latest, before),
                None => drop(fs::remove_file(&latest)),
            }
        }
    }

    fn latest_of(run: &Path) -> PathBuf {
        run.with_file_name("latest-run")
    }

    fn lead_to(latest: &Path, to: &Path) {
        let temporary = latest.with_file_name(".latest-run.part");
        let _ = fs::remove_file(&temporary);
        let made = std::os::unix::fs::symlink(to, &temporary)
            .and_then(|()| fs::rename(&temporary, latest));
        if made.is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }

    /// Removes the temporary files of the run beside this one that a link leads to, unless a
    /// process writes to it.
    pub(super) fn clear(run: &Path, link: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (run.parent(), name_of(link)) else {
            return Ok(());
        };
        if Path::new(name) != link {
            return Ok(());
        }
        let run = Folder::open_folder(&disk::open_folder(parent)?, name)?;
        for entry in run.entries()? {
            let name = entry?.file_name();
            let name = name.to_str().unwrap_or_default();
            if name.ends_with(LOG_PART) {
                clear_log(&run, name)?;
            } else if name.ends_with(".wandb") {
                clear_media(&run, name)?;
            }
        }
        Ok(())
    }

    /// A start that goes on claims its log, and looks then whether it is still there.
    fn clear_log(run: &Dir, name: &str) -> io::Result<()> {
        let log = disk::open_log(run, name)?;
        disk::claim_strictly(&log)?;
        Folder::remove_file(run, name)
    }

    fn clear_media(run: &Dir, log: &str) -> io::Result<()> {
        let files = Folder::open_folder(run, "files")?;
        if files.identity_of(files::PART).is_err() {
            return Ok(());
        }
        let log = disk::open_log(run, log)?;
        disk::claim_strictly(&log)?;
        Folder::remove_file(&files, files::PART)
    }
}

#[cfg(unix)]
pub(crate) use link::link_latest;

/// Links need a privilege on Windows: there is no `latest-run`.
#[cfg(not(unix))]
pub(crate) fn link_latest(_run: &Path) -> Option<PathBuf> {
    None
}

#[cfg(not(unix))]
impl Made {
    fn unlink(&self) {}
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::error::Result;
    use crate::sink::reader::LogReader;
    use crate::sink::records::Record;
    use crate::sink::{Directory, Durability, RecordSink};

    fn create(dir: &Path, number: u32) -> Result<(Directory, Made)> {
        let name = format!("offline-run-{number}-a");
        Directory::create_latest(dir, &name, "a", Durability::Process)
    }

    fn check_latest(dir: &Path, expected: Option<&str>) {
        let led = fs::read_link(dir.join("latest-run")).ok();
        assert_eq!(led.as_deref(), expected.map(Path::new));
        assert!(!dir.join(".latest-run.part").is_symlink());
    }

    #[test]
    fn it_leads_to_the_latest_run_from_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        for number in 1..3 {
            let (run, _) = create(dir.path(), number).unwrap();
            check_latest(dir.path(), Some(&format!("offline-run-{number}-a")));
            assert!(!run.path().join("run-a.wandb").exists());
        }
    }

    #[test]
    fn it_is_put_back_where_a_start_fails() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), 1).unwrap().1.take_back();
        check_latest(dir.path(), None);
        let _first = create(dir.path(), 1).unwrap();
        create(dir.path(), 2).unwrap().1.take_back();
        check_latest(dir.path(), Some("offline-run-1-a"));
        assert!(!dir.path().join("offline-run-2-a").exists());
        let (_, second) = create(dir.path(), 2).unwrap();
        let _third = create(dir.path(), 3).unwrap();
        second.take_back();
        check_latest(dir.path(), Some("offline-run-3-a"));
        assert!(create(dir.path(), 1).is_err());
        check_latest(dir.path(), Some("offline-run-3-a"));
    }

    /// A directory as a kill leaves it, and the files in it that are to go.
    fn killed(run: &Path) -> [PathBuf; 2] {
        fs::create_dir_all(run.join("files")).unwrap();
        fs::write(run.join("run-k.wandb"), "").unwrap();
        let left = [run.join("run-a.wandb.part"), run.join("files/.media.part")];
        left.iter()
            .for_each(|path| fs::write(path, "half").unwrap());
        left
    }

    #[test]
    fn what_a_killed_process_left_is_removed_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let left = killed(&dir.path().join("offline-run-1-a"));
        symlink("offline-run-1-a", dir.path().join("latest-run")).unwrap();
        symlink("offline-run-1-a", dir.path().join(".latest-run.part")).unwrap();
        let _run = create(dir.path(), 2).unwrap();
        check_latest(dir.path(), Some("offline-run-2-a"));
        for path in left {
            assert!(!path.exists(), "{}", path.display());
        }
        assert!(dir.path().join("offline-run-1-a/run-k.wandb").exists());
    }

    #[test]
    fn nothing_is_removed_where_a_link_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let left = killed(&dir.path().join("elsewhere"));
        let runs = dir.path().join("wandb");
        fs::create_dir(&runs).unwrap();
        symlink("../elsewhere", runs.join("offline-run-1-a")).unwrap();
        for link in ["../elsewhere", "offline-run-1-a"] {
            let _ = fs::remove_file(runs.join("latest-run"));
            symlink(link, runs.join("latest-run")).unwrap();
            create(&runs, 2).unwrap().1.take_back();
            check_latest(&runs, Some(link));
        }
        assert!(left.iter().all(|path| path.exists()));
    }

    #[test]
    fn a_run_that_is_written_keeps_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let (mut begins, _) = create(dir.path(), 1).unwrap();
        let (mut goes_on, _) = create(dir.path(), 2).unwrap();
        assert!(begins.path().join("run-a.wandb.part").exists());
        begins.flush().unwrap();
        goes_on.flush().unwrap();
        let part = goes_on.path().join("files/.media.part");
        fs::write(&part, "half").unwrap();
        let _third = create(dir.path(), 3).unwrap();
        assert!(part.exists());
    }

    #[test]
    fn a_start_outlives_others_that_take_it_for_a_killed_one() {
        let dir = tempfile::tempdir().unwrap();
        let (latest, is_over) = (dir.path().join("latest-run"), AtomicBool::new(false));
        let clear_on = || {
            while !is_over.load(Ordering::SeqCst) {
                let to = fs::read_link(&latest).unwrap_or_default();
                let _ = link::clear(&latest, &to);
            }
        };
        thread::scope(|scope| {
            scope.spawn(clear_on);
            scope.spawn(clear_on);
            for number in 0..500 {
                let (mut run, _) = create(dir.path(), number).unwrap();
                run.record(&Record::default()).unwrap();
                run.flush().unwrap();
                let log = LogReader::open(run.path().join("run-a.wandb"));
                assert_eq!(log.unwrap().count(), 1);
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }
}
