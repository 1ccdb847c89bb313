//! Reads a transaction log back, whoever wrote it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;

use super::framing::FILE_HEADER;
use super::log::io_error;
use super::records::Record;
pub use super::scan::{Damage, MAX_RECORD};
use super::scan::{Found, NO_HEADER, Payload, Scanner};
use super::{weight, wire};
use crate::error::{Error, Result};

/// Reads the records of a `.wandb` file one by one, in order.
///
/// Iteration ends at the end of the log, or after the first error: [`Error::Log`] names the file
/// and the byte at which the damage begins. Every whole record before it has been returned by
/// then, also where the log is torn because its writer was killed. A record may be
/// [`MAX_RECORD`] bytes long.
///
/// # Limits
///
/// A record isn't read, which is [`Error::Log`] too, where a key in it, or a way of nested keys,
/// is over 65,536 bytes long, or where over 512 MiB of memory would be made of it, as it is judged
/// beforehand: of over a million leaves, 700,000 objects, a list of 8,000,000 numbers, or an
/// artifact of over 800,000 files.
/// [`payloads`](LogReader::payloads) gives such ones as well.
///
/// What lies behind damage is read by `repair`.
pub struct LogReader<R = File> {
    path: PathBuf,
    scanner: Scanner<R>,
    /// The end of the last whole record.
    end: u64,
    damage: Option<Damage>,
    ended: bool,
}

impl LogReader {
    /// Opens a `.wandb` file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it can't be read, [`Error::Log`] when it is no transaction log.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| io_error("read", path, source))?;
        Self::from_reader(path, file)
    }
}

impl<R: Read> LogReader<R> {
    /// Reads a log from anywhere; errors call it `path`. Reads whole blocks, so `input` needs no
    /// buffer.
    ///
    /// # Errors
    ///
    /// Those of [`open`](LogReader::open).
    pub fn from_reader(path: impl Into<PathBuf>, input: R) -> Result<Self> {
        let path = path.into();
        let scanner = Scanner::new(input).map_err(|source| io_error("read", &path, source))?;
        let reader = Self {
            path,
            scanner,
            end: FILE_HEADER.len() as u64,
            damage: None,
            ended: false,
        };
        match reader.scanner.begins_well() {
            true => Ok(reader),
            false => Err(reader.damaged(0, NO_HEADER)),
        }
    }

    /// The bytes of each record, not decoded.
    pub fn payloads(mut self) -> impl Iterator<Item = Result<Vec<u8>>> {
        std::iter::from_fn(move || {
            self.next_payload()
                .map(|next| next.map(|found| found.bytes))
        })
    }

    /// The byte after the last whole record that was returned: where a writer goes on.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The stretch that ended the iteration, where [`Error::Log`] did: whether whole records
    /// follow it, or it reaches to the end of the log, which was torn then.
    ///
    /// ```
    /// use wandb_image::sink::reader::LogReader;
    /// # let dir = tempfile::tempdir()?;
    /// # let run = wandb_image::init().dir(dir.path()).start()?;
    /// # run.log([("loss", 0.5)])?;
    /// # run.finish()?;
    /// # let log = wandb_image::sink::logged::find_log(run.dir().unwrap())?;
    ///
    /// let whole = std::fs::read(&log)?;
    /// std::fs::write(&log, &whole[..whole.len() - 3])?;
    ///
    /// let mut reader = LogReader::open(&log)?;
    /// let read = reader.by_ref().filter(Result::is_ok).count();
    /// let damage = reader.damage().unwrap();
    /// assert!(read > 0 && damage.at_end);
    /// assert_eq!((damage.from, damage.to), (reader.end(), whole.len() as u64 - 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    fn next_payload(&mut self) -> Option<Result<Payload>> {
        if self.ended {
            return None;
        }
        let next = self.read_payload().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }

    fn read_payload(&mut self) -> Result<Option<Payload>> {
        let found = self.scanner.next();
        match found.map_err(|source| io_error("read", &self.path, source))? {
            Some(Found::Record(record)) => Ok(Some(record)),
            Some(Found::Damage(damage)) => {
                let error = self.damaged(damage.from, &*damage.reason);
                self.damage = Some(damage);
                Err(error)
            }
            None => Ok(None),
        }
    }

    fn damaged(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::Log {
            path: self.path.clone(),
            offset,
            reason: reason.into(),
        }
    }

    /// A record that is whole, but no record of W&B. Whether others follow isn't known.
    fn undecodable(&mut self, record: &Payload, reason: String) -> Error {
        self.ended = true;
        self.damage = Some(Damage {
            from: record.start,
            to: record.end,
            reason: reason.clone(),
            at_end: false,
        });
        self.damaged(record.start, reason)
    }
}

/// A record, and the number of the field that says its type; none where it has none.
type Typed = (Record, Option<u32>);

fn decoded(record: &[u8]) -> std::result::Result<Typed, String> {
    if let Some(reason) = weight::excess(record) {
        return Err(format!("a record isn't read: {reason}"));
    }
    let number = wire::record_type(record).ok().flatten();
    let decoded = Record::decode(record).map(|record| (record, number));
    decoded.map_err(|error| format!("no record of W&B: {error}"))
}

impl<R: Read> LogReader<R> {
    pub(super) fn next_typed(&mut self) -> Option<Result<Typed>> {
        let found = self.next_payload()?;
        Some(found.and_then(|found| match decoded(&found.bytes) {
            Ok(record) => {
                self.end = found.end;
                Ok(record)
            }
            Err(reason) => Err(self.undecodable(&found, reason)),
        }))
    }
}

impl<R: Read> Iterator for LogReader<R> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_typed()?;
        Some(next.map(|(record, _)| record))
    }
}

impl<R> std::fmt::Debug for LogReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogReader({} at byte {})", self.path.display(), self.end)
    }
}
