//! The directory of a run that exists, to go on in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use super::directory::{Directory, Site, cannot_write};
use super::disk::{self, DiskFile};
use super::files::Files;
use super::log::{LogWriter, io_error};
use super::names::name_of;
use super::{Durability, logged};
use crate::error::{Error, Result};

/// A run that exists, its log open: no other process can write to it meanwhile.
pub(crate) struct OpenDirectory {
    site: Site<Dir>,
    run: Dir,
    file: File,
    log: PathBuf,
    durability: Durability,
}

impl OpenDirectory {
    /// Opens a run's directory. A link to it, such as `latest-run`, is followed; none in it is.
    pub(crate) fn open(run: &Path, durability: Durability) -> Result<Self> {
        let cannot_open = |source| cannot_open(run, source);
        let log = logged::find_log(run)?;
        let path = fs::canonicalize(run).map_err(cannot_open)?;
        let (Some(parent), Some(name), Some(log)) = (path.parent(), name_of(&path), name_of(&log))
        else {
            return Err(cannot_open(no_text()));
        };
        let folder = disk::open_folder(&path).map_err(cannot_open)?;
        let file = disk::open_log(&folder, log).map_err(cannot_open)?;
        file.claim().map_err(cannot_open)?;
        let site = Site::new(parent, name, log.into(), durability).map_err(cannot_open)?;
        Ok(Self {
            log: site.log(),
            site,
            run: folder,
            file,
            durability,
        })
    }

    /// The log, to be read as long as this lives.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Goes on after the last whole record, which ends at `len`, or from the very beginning where
    /// that is 0. What follows it is cut off, and the file that a killed process had begun is removed.
    pub(crate) fn append_after(self, len: u64) -> Result<Directory> {
        let mut files = Files::new(self.run, self.durability);
        files
            .make()
            .and_then(|()| files.clear())
            .map_err(|source| io_error("go on in", &self.site.path, source))?;
        // What is cut off doesn't come back, so nothing that may be refused follows.
        let log = LogWriter::resume(&self.log, self.file, len)?;
        Ok(Directory::resumed(self.site, files, log, self.durability))
    }
}

fn no_text() -> io::Error {
    let text = "the name of its directory, or of its log, isn't UTF-8: rename that";
    io::Error::new(io::ErrorKind::InvalidFilename, text)
}

fn cannot_open(run: &Path, source: io::Error) -> Error {
    cannot_write("open the log of the run", run, source)
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;
    use crate::sink::RecordSink;
    use crate::sink::reader::LogReader;
    use crate::sink::records::Record;

    #[test]
    fn a_run_that_exists_is_gone_on_with_after_a_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        let create = || Directory::create(dir.path(), "offline-run-1-a", "a", Durability::Fsync);
        let mut run = create().unwrap();
        let record = |num| Record {
            num,
            ..Record::default()
        };
        run.record(&record(1)).unwrap();
        run.flush().unwrap();
        let path = run.path().to_path_buf();
        let error = OpenDirectory::open(&path, Durability::Fsync).err().unwrap();
        assert!(matches!(error, Error::RunInUse { .. }), "{error}");
        drop(run);
        let log = path.join("run-a.wandb");
        let len = fs::metadata(&log).unwrap().len();
        let mut torn = File::options().append(true).open(&log).unwrap();
        io::Write::write_all(&mut torn, b"half of a rec").unwrap();
        fs::write(path.join("files").join(files::PART), b"half of a pict").unwrap();

        let open = OpenDirectory::open(&path, Durability::Fsync).unwrap();
        let mut reader = LogReader::open(open.log()).unwrap();
        assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 1);
        assert_eq!(reader.end(), len);
        let mut run = open.append_after(len).unwrap();
        assert!(!path.join("files").join(files::PART).exists());
        run.record(&record(2)).unwrap();
        run.media("media/images/a.png", b"picture").unwrap();
        run.flush().unwrap();
        let records: Result<Vec<_>> = LogReader::open(&log).unwrap().collect();
        assert_eq!(records.unwrap(), [record(1), record(2)]);
        assert!(create().is_err());
    }

    #[test]
    fn a_run_that_cannot_be_gone_on_with_keeps_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut run =
            Directory::create(dir.path(), "offline-run-1-a", "a", Durability::Process).unwrap();
        run.record(&Record::default()).unwrap();
        run.flush().unwrap();
        let path = run.path().to_path_buf();
        drop(run);
        let log = path.join("run-a.wandb");
        let before = fs::read(&log).unwrap();
        fs::remove_dir(path.join("files")).unwrap();
        fs::write(path.join("files"), "a file").unwrap();
        let open = OpenDirectory::open(&path, Durability::Process).unwrap();
        let error = open.append_after(7).err().unwrap();
        assert!(error.to_string().contains("go on in"), "{error}");
        assert_eq!(fs::read(&log).unwrap(), before);
    }

    /// Where a file system takes such names.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_run_whose_name_is_no_text_is_told_so() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join(OsStr::from_bytes(b"offline-run-1-\xFF"));
        fs::create_dir(&run).unwrap();
        fs::write(run.join("run-a.wandb"), "").unwrap();
        let error = OpenDirectory::open(&run, Durability::Process)
            .err()
            .unwrap();
        let error = error.to_string();
        assert!(error.contains("isn't UTF-8: rename that"), "{error}");
    }
}
