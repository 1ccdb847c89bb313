//! The transaction log: created once, appended to record by record.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::framing::{FILE_HEADER, frame};
use crate::error::{Error, Result};

/// A file that can take back what was written after `len`.
pub(super) trait Rewind: Write {
    fn rewind_to(&mut self, len: u64) -> io::Result<()>;
}

impl Rewind for File {
    fn rewind_to(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

/// Writes each record with one call, so that nothing waits in this process.
///
/// A failed write is taken back, so that the log always ends with a whole record.
pub(super) struct LogWriter<F> {
    path: PathBuf,
    file: F,
    /// The end of the last whole record.
    len: u64,
    /// A failed write may have left bytes after `len`.
    torn: bool,
}

impl LogWriter<File> {
    /// A new log. One that exists is never touched.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|source| io_error("create", path, source))?;
        Self::begin(path, file)
    }
}

impl<F: Rewind> LogWriter<F> {
    fn begin(path: &Path, file: F) -> Result<Self> {
        let mut log = Self {
            path: path.into(),
            file,
            len: 0,
            torn: false,
        };
        log.write(&FILE_HEADER)?;
        Ok(log)
    }

    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        self.write(&frame(record, self.len))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.mend()?;
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(source) => {
                self.torn = true;
                // Tried again before the next record, which is refused where it fails again.
                let _ = self.mend();
                Err(io_error("write to", &self.path, source))
            }
        }
    }

    fn mend(&mut self) -> Result<()> {
        if self.torn {
            self.file
                .rewind_to(self.len)
                .map_err(|source| io_error("take back a torn record of", &self.path, source))?;
            self.torn = false;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.mend()?;
        self.file
            .flush()
            .map_err(|source| io_error("flush", &self.path, source))
    }
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::LogReader;
    use super::*;

    /// A file on a disk that is full after so many bytes.
    struct Full {
        bytes: Vec<u8>,
        room: usize,
        rewinds: bool,
    }

    impl Write for Full {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let n = data.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend(&data[..n]);
            self.room -= n;
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Rewind for Full {
        fn rewind_to(&mut self, len: u64) -> io::Result<()> {
            if !self.rewinds {
                return Err(io::ErrorKind::Other.into());
            }
            self.bytes.truncate(len as usize);
            Ok(())
        }
    }

    fn full(room: usize, rewinds: bool) -> LogWriter<Full> {
        let bytes = Vec::new();
        let file = Full {
            bytes,
            room,
            rewinds,
        };
        LogWriter::begin(Path::new("run.wandb"), file).unwrap()
    }

    fn payloads(log: &LogWriter<Full>) -> Vec<Vec<u8>> {
        let reader = LogReader::from_reader("run.wandb", &log.file.bytes[..]).unwrap();
        reader.payloads().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn a_torn_record_is_taken_back_and_later_ones_follow() {
        let mut log = full(7 + 12 + 3, true);
        log.append(b"first").unwrap();
        let error = log.append(b"second").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("could not write to run.wandb"),
            "{error}"
        );
        log.file.room = 1000;
        log.append(b"third").unwrap();
        assert_eq!(payloads(&log), [b"first", b"third"]);
    }

    #[test]
    fn records_are_refused_until_a_torn_one_is_taken_back() {
        let mut log = full(7 + 12 + 3, false);
        log.append(b"first").unwrap();
        log.append(b"second").unwrap_err();
        log.file.room = 1000;
        let error = log.append(b"third").unwrap_err();
        assert!(
            error.to_string().contains("take back a torn record"),
            "{error}"
        );
        log.file.rewinds = true;
        log.append(b"fourth").unwrap();
        assert_eq!(payloads(&log), [&b"first"[..], b"fourth"]);
    }

    #[test]
    fn a_real_file_takes_back_what_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.wandb");
        let mut log = LogWriter::create(&path).unwrap();
        log.append(b"first").unwrap();
        log.file.write_all(b"half of a rec").unwrap();
        log.torn = true;
        log.append(b"second").unwrap();
        let reader = LogReader::open(&path).unwrap();
        let payloads: Vec<_> = reader.payloads().collect::<Result<_>>().unwrap();
        assert_eq!(payloads, [&b"first"[..], b"second"]);
        assert!(
            LogWriter::create(&path).is_err(),
            "a log is never overwritten"
        );
    }
}
