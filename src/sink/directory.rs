//! The directory of an offline run, as `wandb sync` and `wandb leet` read it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use prost::Message;

use super::artifacts::{MAX_CONTENTS, each_own};
use super::claim::create_log;
use super::disk::{self, Folder};
use super::files::{Files, enter};
use super::latest::Made;
use super::log::{LogWriter, io_error};
use super::manifest::hash_of;
use super::names::resolved;
use super::reader::LogReader;
use super::records::{Record, RecordType};
use super::{Durability, FilePlace, Md5, RecordSink, StagedFile, staging};
use crate::error::{Error, Result};

/// How the name of a log ends until it holds the first records.
const PART: &str = ".part";

/// A run's own directory: `run-<id>.wandb`, `files/` and `logs/`.
///
/// It is held open, so a run goes on in it also where it is renamed (which Windows refuses). Where
/// it is deleted, it is made again: the records of its log are still there, since that is open.
pub(crate) struct Directory<F: Folder = Dir> {
    site: Site<F>,
    files: Files<F>,
    log: LogWriter<F::File>,
    durability: Durability,
    /// The log has its name: it holds the first records.
    has_named_log: bool,
    /// The names of its folders and its log outlast the power.
    has_synced_names: bool,
    /// The most that the log's name was seen to lead to.
    seen: Seen,
    state: State,
    /// What was lost since the last flush.
    loss: Option<Loss>,
    /// The files whose loss was told.
    told: Lost,
    /// Files were lost since that was last asked.
    has_lost: bool,
}

/// Whether the log is in its place.
enum State {
    There,
    /// It was deleted, and isn't made again yet.
    Gone {
        /// Why its records couldn't be copied to a new log. That is tried again at the next flush,
        /// since it takes long where the log does.
        refusal: Option<io::Error>,
    },
}

/// What the log's name leads to.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    #[default]
    Nothing,
    /// Something that has another number than the open log: on some file systems that is the log
    /// nevertheless.
    Something,
    Log,
}

/// Where a run is.
pub(super) struct Site<F> {
    /// The run's directory.
    pub(super) path: PathBuf,
    /// Its name.
    pub(super) name: String,
    /// The name of its log.
    pub(super) log: String,
    /// Opens the folder that it is in, and makes that where it is missing.
    pub(super) parent: Box<dyn FnMut() -> io::Result<F> + Send>,
}

/// Files that are gone: where they stand among those that the log names.
#[derive(Default)]
struct Lost {
    media: Vec<u64>,
    artifacts: Vec<u64>,
}

/// What was deleted while the run was written.
#[derive(Clone, Copy)]
enum Loss {
    /// Folders of media files, or of artifacts.
    Files,
    /// The log, which was made again.
    Log,
}

impl<F> Site<F> {
    pub(super) fn log(&self) -> PathBuf {
        self.path.join(&self.log)
    }

    /// Makes the run's directory, and returns the folder that it is in.
    fn make(&mut self) -> Result<F>
    where
        F: Folder,
    {
        let path = &self.path;
        let parent = (self.parent)().map_err(|source| {
            let parent = path.parent().unwrap_or(path);
            no_directory(parent, source)
        })?;
        parent
            .create_folder(&self.name)
            .map_err(|source| cannot_create(path, source))?;
        Ok(parent)
    }

    /// What the log is called until it holds the first records. `wandb sync` uploads nothing at
    /// all where one of the logs that it is given lacks them.
    fn unnamed_log(&self) -> String {
        format!("{}{PART}", self.log)
    }

    /// Gives the log its name.
    fn name_log(&self, run: &F) -> io::Result<()>
    where
        F: Folder,
    {
        run.rename(&self.unnamed_log(), run, &self.log)
    }
}

impl Site<Dir> {
    pub(super) fn new(
        parent: &Path,
        name: &str,
        log: String,
        durability: Durability,
    ) -> io::Result<Self> {
        let parent = resolved(parent)?;
        Ok(Self {
            path: parent.join(name),
            name: name.into(),
            log,
            parent: Box::new(move || make_folder(&parent, durability)),
        })
    }

    /// Of a run that is to be made.
    fn create(wandb_dir: &Path, name: &str, run_id: &str, durability: Durability) -> Result<Self> {
        let log = format!("run-{run_id}.wandb");
        Self::new(wandb_dir, name, log, durability)
            .map_err(|source| no_directory(wandb_dir, source))
    }
}

impl Directory {
    /// Makes `<wandb_dir>/<name>`, where nothing of that name may exist, and keeps other writers
    /// out as long as it lives.
    pub(crate) fn create(
        wandb_dir: &Path,
        name: &str,
        run_id: &str,
        durability: Durability,
    ) -> Result<Self> {
        let site = Site::create(wandb_dir, name, run_id, durability)?;
        Self::create_in(site, durability, Made::alone).map(|(directory, _)| directory)
    }

    /// The same for the run that is the latest from now on. What was made can be taken back.
    pub(crate) fn create_latest(
        wandb_dir: &Path,
        name: &str,
        run_id: &str,
        durability: Durability,
    ) -> Result<(Self, Made)> {
        let site = Site::create(wandb_dir, name, run_id, durability)?;
        staging::clear_left(wandb_dir);
        Self::create_in(site, durability, Made::latest)
    }
}

impl<F: Folder> Directory<F> {
    /// `lead` is called as soon as there is a directory, and before its name is synced.
    pub(super) fn create_in(
        mut site: Site<F>,
        durability: Durability,
        lead: impl FnOnce(&Path) -> Made,
    ) -> Result<(Self, Made)> {
        let parent = site.make()?;
        let made = lead(&site.path);
        match Self::fill(site, &parent, durability) {
            Ok(directory) => Ok((directory, made)),
            Err(error) => {
                made.take_back();
                Err(error)
            }
        }
    }

    fn fill(site: Site<F>, parent: &F, durability: Durability) -> Result<Self> {
        let cannot_create = |source| cannot_write("create", &site.path, source);
        let run = enter(parent, &site.name, durability).map_err(cannot_create)?;
        let (files, file) = furnish(run, &site, durability).map_err(cannot_create)?;
        let log = LogWriter::begin(&site.log(), file)?;
        let mut begun = Self::new(site, files, log, durability);
        begun.has_named_log = false;
        Ok(begun)
    }

    fn new(
        site: Site<F>,
        files: Files<F>,
        log: LogWriter<F::File>,
        durability: Durability,
    ) -> Self {
        Self {
            site,
            files,
            log,
            durability,
            has_named_log: true,
            has_synced_names: false,
            seen: Seen::Nothing,
            state: State::There,
            loss: None,
            told: Lost::default(),
            has_lost: false,
        }
    }

    /// Of a log that is in its place, and is gone on with.
    pub(super) fn resumed(
        site: Site<F>,
        files: Files<F>,
        log: LogWriter<F::File>,
        durability: Durability,
    ) -> Self {
        let mut resumed = Self::new(site, files, log, durability);
        resumed.seen = resumed.look_up_log().unwrap_or_default();
        resumed
    }

    /// Appends a record that is encoded.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        self.log.append(record)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.site.path
    }

    /// Notices a directory that was deleted, and makes it again where that can be; and folders of
    /// media files that are gone.
    fn notice(&mut self, look: fn(&mut Files<F>)) -> Result<()> {
        if matches!(self.state, State::There) && self.has_lost_log() {
            self.state = State::Gone { refusal: None };
            self.has_lost = true;
        }
        self.there()?;
        look(&mut self.files);
        self.notice_files();
        Ok(())
    }

    fn notice_files(&mut self) {
        if self.files.take_lost() {
            self.has_lost = true;
            self.loss = self.loss.or(Some(Loss::Files));
        }
    }

    /// Whether the log's name leads to less than before.
    fn has_lost_log(&mut self) -> bool {
        let seen = self.look_up_log().unwrap_or(self.seen);
        let is_lost = seen < self.seen;
        self.seen = self.seen.max(seen);
        is_lost
    }

    /// None where it can't be asked.
    fn look_up_log(&self) -> Option<Seen> {
        let name = match self.has_named_log {
            true => self.site.log.clone(),
            false => self.site.unnamed_log(),
        };
        match self.files.run().identity_of(&name) {
            Ok(found) if Some(found) == self.log.identity() => Some(Seen::Log),
            Ok(_) => Some(Seen::Something),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Seen::Nothing),
            Err(_) => None,
        }
    }

    /// What can't be made again is tried again before each record, and each picture.
    fn there(&mut self) -> Result<()> {
        if matches!(self.state, State::There) {
            return Ok(());
        }
        self.make_again()
            .map_err(|source| Error::RunDirectoryGone {
                path: self.site.path.clone(),
                source,
            })?;
        self.state = State::There;
        self.has_named_log = true;
        self.has_synced_names = false;
        self.loss = Some(Loss::Log);
        self.seen = self.look_up_log().unwrap_or_default();
        Ok(())
    }

    fn make_again(&mut self) -> io::Result<()> {
        if let State::Gone {
            refusal: Some(refusal),
        } = &self.state
        {
            return Err(same(refusal));
        }
        let parent = (self.site.parent)()?;
        let run = enter(&parent, &self.site.name, self.durability)?;
        // One that was made before and couldn't be removed.
        remove_file(&run, &self.site.unnamed_log())?;
        let (files, file) = furnish(run, &self.site, self.durability)?;
        self.copy_log(file)
            .and_then(|()| self.site.name_log(files.run()))
            // Best effort: nothing reads it, and the next time it is removed.
            .inspect_err(|_| drop(files.run().remove_file(&self.site.unnamed_log())))?;
        self.files = files;
        Ok(())
    }

    fn copy_log(&mut self, file: F::File) -> io::Result<()> {
        let copied = self.log.move_to(file, self.durability);
        let refusal = copied.as_ref().err().map(same);
        self.state = State::Gone { refusal };
        copied
    }

    /// At the first flush, which comes after the first records.
    fn name_log(&mut self) -> Result<()> {
        if !self.has_named_log {
            let named = self.site.name_log(self.files.run());
            named.map_err(|source| io_error("name", &self.site.log(), source))?;
            self.has_named_log = true;
        }
        Ok(())
    }

    /// Brings the names of what was made to where they outlast the power.
    fn sync_names(&mut self) -> Result<()> {
        if self.has_synced_names {
            return Ok(());
        }
        let synced = self.files.sync_names();
        let synced = synced.and_then(|()| (self.site.parent)()?.sync());
        synced.map_err(|source| io_error("sync", &self.site.path, source))?;
        self.has_synced_names = true;
        Ok(())
    }

    /// Tells once what was lost. Folders that were moved away and back cost nothing.
    fn tell(&mut self) -> Result<()> {
        let Some(loss) = self.loss else {
            return Ok(());
        };
        let lost = self.lost_files()?;
        let media_lost = new_in(&lost.media, &self.told.media);
        let artifact_files_lost = new_in(&lost.artifacts, &self.told.artifacts);
        self.told = lost;
        self.loss = None;
        match (loss, media_lost + artifact_files_lost) {
            (Loss::Files, 0) => Ok(()),
            _ => Err(Error::RunDirectoryLost {
                path: self.site.path.clone(),
                log_restored: matches!(loss, Loss::Log),
                media_lost,
                artifact_files_lost,
            }),
        }
    }

    /// The files that the log names and that are gone.
    fn lost_files(&self) -> Result<Lost> {
        let path = self.site.log();
        let file = self.files.run().open_file(&self.site.log);
        let file = file.map_err(|source| io_error("read", &path, source))?;
        let (mut lost, mut media, mut of_artifacts) = (Lost::default(), 0.., 0..);
        let mut room = MAX_CONTENTS;
        // Each takes less room than what names it in the log.
        let mut looked_up: BTreeMap<Md5, bool> = BTreeMap::new();
        let mut is_gone = |file: &str| {
            let hash = hash_of(file)?;
            let is_gone = looked_up.entry(hash);
            Some(*is_gone.or_insert_with(|| self.files.lacks_in_run(file)))
        };
        for record in LogReader::from_reader(path, file)? {
            match record?.record_type {
                Some(RecordType::Files(record)) => {
                    let numbered = media.by_ref().zip(&record.files);
                    let gone = numbered.filter(|(_, file)| self.files.lacks(&file.path));
                    lost.media.extend(gone.map(|(number, _)| number));
                }
                Some(RecordType::Artifact(record)) => {
                    let open = |path: &str| self.files.open_in_run(path);
                    each_own(&record, open, &mut room, &mut |file| {
                        let number = of_artifacts.next().filter(|_| is_gone(file) == Some(true));
                        lost.artifacts.extend(number);
                    });
                }
                _ => {}
            }
        }
        Ok(lost)
    }
}

/// How many are in the first list alone; both are sorted.
fn new_in(lost: &[u64], told: &[u64]) -> u64 {
    let is_new = |file: &&u64| told.binary_search(file).is_err();
    lost.iter().filter(is_new).count() as u64
}

/// Makes what a run's directory holds. Its folders may be there where it is made again; a log of
/// this name may not, since another process could be writing to it.
fn furnish<F: Folder>(
    run: F,
    site: &Site<F>,
    durability: Durability,
) -> io::Result<(Files<F>, F::File)> {
    enter(&run, "logs", durability)?;
    let mut files = Files::new(run, durability);
    files.make()?;
    let file = create_log(files.run(), &site.unnamed_log())?;
    Ok((files, file))
}

/// Removes a file where there is one.
fn remove_file<F: Folder>(folder: &F, name: &str) -> io::Result<()> {
    match folder.remove_file(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The same error once more.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

pub(super) fn cannot_write(action: &'static str, run: &Path, source: io::Error) -> Error {
    match disk::is_in_use(&source) {
        true => Error::RunInUse { path: run.into() },
        false => io_error(action, run, source),
    }
}

/// The folder of that path, made where it is missing.
fn make_folder(path: &Path, durability: Durability) -> io::Result<Dir> {
    let naming = naming(path);
    fs::create_dir_all(path)?;
    for folder in naming {
        durability.sync(&disk::open_folder(folder)?)?;
    }
    disk::open_folder(path)
}

/// The folders whose names for what is on the way to this path may not outlast the power. The one
/// that it lies in is among them also where the path exists: another run may have made that a
/// moment ago.
fn naming(path: &Path) -> Vec<&Path> {
    let missing = path.ancestors().take_while(|path| !path.exists()).count();
    path.ancestors().skip(1).take(missing.max(1)).collect()
}

/// Takes back a directory that was made a moment ago and holds no row yet: best effort.
pub(crate) fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

fn cannot_create(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::RunExists { path: path.into() },
        _ => no_directory(path, source),
    }
}

fn no_directory(path: &Path, source: io::Error) -> Error {
    Error::RunDirectory {
        path: path.into(),
        source,
    }
}

impl<F: Folder> RecordSink for Directory<F> {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.there()?;
        let written = self.files.write(path, bytes);
        self.notice_files();
        written.map_err(|source| {
            let path = self.site.path.join("files").join(path);
            io_error("write", &path, source)
        })
    }

    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        self.there()?;
        let taken = match file.place {
            FilePlace::Media(path) => self.files.take_media(path, file),
            place => self.files.take_artifact(&place.path(), file),
        };
        self.notice_files();
        taken?;
        Ok(self.site.path.join(file.place.path()))
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.there()?;
        if matches!(record.record_type, Some(RecordType::Artifact(_))) {
            let synced = self.files.sync_artifacts();
            synced.map_err(|source| io_error("sync", &self.site.path, source))?;
        }
        self.log.append(&record.encode_to_vec())
    }

    fn flush(&mut self) -> Result<()> {
        if let State::Gone { refusal } = &mut self.state {
            *refusal = None;
        }
        self.notice(Files::look_for_all)?;
        self.log.flush()?;
        let is_synced = self.durability == Durability::Fsync;
        if is_synced {
            self.log.sync()?;
        }
        self.name_log()?;
        if is_synced {
            self.sync_names()?;
        }
        self.tell()
    }

    fn has_lost(&mut self) -> bool {
        // Where it can't be made again, the next record says so.
        let _ = self.notice(Files::look);
        std::mem::take(&mut self.has_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_exists_is_never_touched() {
        let dir = tempfile::tempdir().unwrap();
        let mut run =
            Directory::create(dir.path(), "offline-run-1-a", "a", Durability::Process).unwrap();
        run.flush().unwrap();
        let error = Directory::create(dir.path(), "offline-run-1-a", "a", Durability::Process)
            .err()
            .unwrap();
        assert!(matches!(&error, Error::RunExists { path } if path.ends_with("offline-run-1-a")));
        assert!(dir.path().join("offline-run-1-a/run-a.wandb").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Directory::create(
            &file.join("wandb"),
            "offline-run-1-a",
            "a",
            Durability::Process,
        )
        .err()
        .unwrap();
        assert!(
            matches!(&error, Error::RunDirectory { path, .. } if path.starts_with(&file)),
            "{error}"
        );
    }

    #[test]
    fn a_file_is_written_once_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut run =
            Directory::create(dir.path(), "offline-run-1-a", "a", Durability::Process).unwrap();
        run.media("media/images/a/b.png", b"picture").unwrap();
        run.media("media/images/a/b.png", b"picture").unwrap();
        let folder = run.path().join("files/media/images/a");
        let names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["b.png"]);
        assert_eq!(fs::read(folder.join("b.png")).unwrap(), b"picture");
    }

    #[test]
    fn the_folder_that_wandb_lies_in_is_always_synced() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        let wandb = project.join("wandb");
        assert_eq!(naming(&wandb), [&project, dir.path()]);
        fs::create_dir_all(&wandb).unwrap();
        assert_eq!(naming(&wandb), [&project]);
    }

    #[test]
    fn a_log_has_its_name_when_it_holds_the_first_records() {
        for durability in [Durability::Process, Durability::Fsync] {
            let dir = tempfile::tempdir().unwrap();
            let mut run =
                Directory::create(dir.path(), "offline-run-1-a", "a", durability).unwrap();
            let log = run.path().join("run-a.wandb");
            run.record(&Record::default()).unwrap();
            assert!(!log.exists());
            run.flush().unwrap();
            run.record(&Record::default()).unwrap();
            assert_eq!(LogReader::open(&log).unwrap().count(), 2);
            let names = fs::read_dir(run.path()).unwrap();
            assert_eq!(names.count(), 3, "the log, files/ and logs/");
        }
    }
}
