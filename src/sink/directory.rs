//! The directory of an offline run, as `wandb sync` and `wandb leet` read it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use prost::Message;

use super::log::{LogWriter, io_error};
use super::records::Record;
use super::{RecordSink, media};
use crate::error::{Error, Result};

/// A run's own directory: `run-<id>.wandb`, `files/` and `logs/`.
pub(crate) struct Directory {
    path: PathBuf,
    files: PathBuf,
    log: LogWriter<File>,
}

impl Directory {
    /// Makes `<wandb_dir>/<name>`, where nothing of that name may exist.
    pub(crate) fn create(wandb_dir: &Path, name: &str, run_id: &str) -> Result<Self> {
        fs::create_dir_all(wandb_dir).map_err(|source| no_directory(wandb_dir, source))?;
        let path = wandb_dir.join(name);
        fs::create_dir(&path).map_err(|source| cannot_create(&path, source))?;
        Self::fill(&path, run_id).inspect_err(|_| remove(&path))
    }

    fn fill(path: &Path, run_id: &str) -> Result<Self> {
        let files = path.join("files");
        for folder in [&files, &path.join("logs")] {
            fs::create_dir(folder).map_err(|source| io_error("create", folder, source))?;
        }
        let log = LogWriter::create(&path.join(format!("run-{run_id}.wandb")))?;
        Ok(Self {
            path: path.into(),
            files,
            log,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
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

/// `latest-run`, a convenience: a failure to make it is none of the run's.
#[cfg(unix)]
pub(crate) fn link_latest(run: &Path) {
    let Some(name) = run.file_name() else {
        return;
    };
    let latest = run.with_file_name("latest-run");
    let temporary = run.with_file_name(format!(".latest-{}", name.display()));
    let made =
        std::os::unix::fs::symlink(name, &temporary).and_then(|()| fs::rename(&temporary, &latest));
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
}

/// Links need a privilege on Windows: there is no `latest-run`.
#[cfg(not(unix))]
pub(crate) fn link_latest(_run: &Path) {}

impl RecordSink for Directory {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        media::write(&self.files, path, bytes)
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.log.append(&record.encode_to_vec())
    }

    fn flush(&mut self) -> Result<()> {
        self.log.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_exists_is_never_touched() {
        let dir = tempfile::tempdir().unwrap();
        Directory::create(dir.path(), "offline-run-1-a", "a").unwrap();
        let error = Directory::create(dir.path(), "offline-run-1-a", "a")
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
        let error = Directory::create(&file.join("wandb"), "offline-run-1-a", "a")
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
        let mut run = Directory::create(dir.path(), "offline-run-1-a", "a").unwrap();
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

    #[cfg(unix)]
    #[test]
    fn the_latest_run_is_linked() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["offline-run-1-a", "offline-run-2-b"] {
            let run = Directory::create(dir.path(), name, "a").unwrap();
            link_latest(run.path());
            assert_eq!(
                fs::read_link(dir.path().join("latest-run")).unwrap(),
                Path::new(name)
            );
        }
    }
}
