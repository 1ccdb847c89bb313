//! `latest-run`, the link to the newest run of a folder: a convenience, so a failure to make it is
//! none of the run's.
//!
//! A new run removes what those left that were killed before it: those beside it, and that which
//! the link leads to, as it does as soon as a run has a directory.

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
    /// No link leads to it.
    pub(super) fn alone(path: &Path) -> Self {
        Self {
            path: path.into(),
            before: None,
        }
    }

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
    use std::fs::{self, File};
    use std::io;
    use std::path::{Path, PathBuf};

    use cap_std::fs::Dir;

    use super::super::disk::{self, Folder};
    use super::super::names::{LOG_PART, OFFLINE, name_of};
    use super::super::scan::{Found, Scanner};
    use super::super::{files, wire};
    use super::Made;

    /// How many runs beside a new one are looked at: the latest, by their names.
    const MAX_BESIDE: usize = 1000;

    /// The field of a record that is a row.
    const HISTORY: u32 = 2;

    /// Lets `latest-run` lead to this run, and removes what killed processes left in those beside
    /// it. Returns where it led.
    pub(crate) fn link_latest(run: &Path) -> Option<PathBuf> {
        let latest = latest_of(run);
        let before = fs::read_link(&latest).ok();
        // Before the link leads elsewhere: this process may be killed in between.
        let _ = clear_beside(run, before.as_deref());
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

    /// Removes the temporary files of the runs beside this one, and of that which a link beside it
    /// leads to, unless a process writes to them.
    fn clear_beside(run: &Path, link: Option<&Path>) -> io::Result<()> {
        let parent = run.parent().unwrap_or(run);
        let name = name_of(run).unwrap_or_default();
        let mut beside = latest_beside(parent, name)?;
        beside.extend(link.and_then(linked).map(String::from));
        for name in beside {
            clear(parent, &name);
        }
        Ok(())
    }

    /// The runs in a folder but one.
    fn latest_beside(parent: &Path, but: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(parent)?.filter_map(io::Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let is_other = |name: &String| name.starts_with(OFFLINE) && name != but;
        let mut runs: Vec<_> = names.filter(is_other).collect();
        runs.sort_unstable();
        Ok(runs.split_off(runs.len().saturating_sub(MAX_BESIDE)))
    }

    /// What a link leads to in its own folder.
    pub(super) fn linked(link: &Path) -> Option<&str> {
        name_of(link).filter(|name| Path::new(name) == link)
    }

    /// Removes the temporary files of a run, unless a process writes to it: best effort. A run that
    /// has none costs two look-ups, and there may be many.
    pub(super) fn clear(parent: &Path, name: &str) {
        let path = parent.join(name);
        if left_by(name).any(|left| path.join(left).symlink_metadata().is_ok()) {
            let _ = clear_run(parent, name);
        }
    }

    /// Where the temporary files of a run are, by the name of its directory.
    fn left_by(name: &str) -> impl Iterator<Item = PathBuf> {
        let named = name
            .strip_prefix(OFFLINE)
            .and_then(|rest| rest.split_once('-'));
        let log = named.map(|(_, run_id)| PathBuf::from(format!("run-{run_id}{LOG_PART}")));
        log.into_iter()
            .chain([Path::new("files").join(files::PART)])
    }

    fn clear_run(parent: &Path, name: &str) -> io::Result<()> {
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

    /// A start that goes on claims its log, and looks then whether it is still there. One with rows
    /// is that of a run whose directory was deleted, and may be all that is left of it.
    fn clear_log(run: &Dir, name: &str) -> io::Result<()> {
        let log = disk::open_log(run, name)?;
        disk::claim_strictly(&log)?;
        match holds_rows(&log)? {
            true => Ok(()),
            false => Folder::remove_file(run, name),
        }
    }

    fn holds_rows(log: &File) -> io::Result<bool> {
        let mut scanner = Scanner::new(log)?;
        while let Some(found) = scanner.next()? {
            let is_row = |bytes: &[u8]| matches!(wire::record_type(bytes), Ok(Some(HISTORY)));
            if matches!(found, Found::Record(record) if is_row(&record.bytes)) {
                return Ok(true);
            }
        }
        Ok(false)
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
    use crate::sink::records::{HistoryRecord, Record, RecordType};
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

    /// A sweep of several that are killed together.
    #[test]
    fn what_all_killed_processes_left_is_removed_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let runs = (1..5).map(|number| dir.path().join(format!("offline-run-{number}-a")));
        let left: Vec<_> = runs.flat_map(|run| killed(&run)).collect();
        symlink("offline-run-2-a", dir.path().join("latest-run")).unwrap();
        let mine = killed(&dir.path().join("offline-runs"));
        let _run = create(dir.path(), 5).unwrap();
        for path in left {
            assert!(!path.exists(), "{}", path.display());
        }
        assert!(mine.iter().all(|path| path.exists()));
    }

    /// A process dies before the log that it has made again gets its name.
    #[test]
    fn a_log_with_rows_is_never_removed() {
        let row = Record {
            record_type: Some(RecordType::History(HistoryRecord::default())),
            ..Record::default()
        };
        for (damaged, has_rows) in [(false, true), (true, true), (false, false)] {
            let dir = tempfile::tempdir().unwrap();
            let (mut run, _) = create(dir.path(), 1).unwrap();
            run.record(&Record::default()).unwrap();
            (0..2).for_each(|_| run.record(&row).unwrap());
            let log = run.path().join("run-a.wandb.part");
            drop(run);
            let mut bytes = fs::read(&log).unwrap();
            bytes[20] ^= u8::from(damaged);
            bytes.truncate(if has_rows { bytes.len() } else { 18 });
            fs::write(&log, bytes).unwrap();
            let _second = create(dir.path(), 2).unwrap();
            assert_eq!(log.exists(), has_rows);
        }
    }

    /// Ends the others' loops also where an assertion fails.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_start_outlives_others_that_take_it_for_a_killed_one() {
        let dir = tempfile::tempdir().unwrap();
        let (latest, is_over) = (dir.path().join("latest-run"), AtomicBool::new(false));
        let clear_on = || {
            while !is_over.load(Ordering::SeqCst) {
                let to = fs::read_link(&latest).unwrap_or_default();
                link::clear(dir.path(), link::linked(&to).unwrap_or_default());
            }
        };
        thread::scope(|scope| {
            let _over = Over(&is_over);
            scope.spawn(clear_on);
            scope.spawn(clear_on);
            for number in 0..500 {
                let (mut run, _) = create(dir.path(), number).unwrap();
                run.record(&Record::default()).unwrap();
                run.flush().unwrap();
                let log = LogReader::open(run.path().join("run-a.wandb"));
                assert_eq!(log.unwrap().count(), 1);
            }
        });
    }
}
