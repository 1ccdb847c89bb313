//! The transaction log: created once, appended to record by record.

use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};

use super::disk::{DiskFile, Identity};
use super::framing::{FILE_HEADER, are_whole, frame, left_in_block};
use super::scan::MAX_RECORD;
use super::{Durability, weight};
use crate::error::{Error, Result};

/// Writes each record with one call, so that nothing waits in this process.
///
/// A failed write is taken back, so that the log always ends with a whole record.
pub(super) struct LogWriter<F> {
    path: PathBuf,
    file: F,
    /// The end of the last whole record.
    len: u64,
    /// A failed call may have left bytes after `len`, or stand elsewhere in the file.
    torn: bool,
    /// What outlasts the power.
    synced: u64,
    identity: Option<Identity>,
    /// What follows `synced` may be forgotten though a later sync succeeds, since one failed.
    is_doubtful: bool,
    /// Where the file holds something else than was written.
    ruined_at: Option<u64>,
}

impl<F: DiskFile> LogWriter<F> {
    /// Begins a log in a new file.
    pub(super) fn begin(path: &Path, file: F) -> Result<Self> {
        let mut log = Self::at(path, file, 0);
        log.write(&FILE_HEADER)?;
        Ok(log)
    }

    /// Goes on with a log after `len` bytes, or begins it anew after none.
    pub(super) fn resume(path: &Path, file: F, len: u64) -> Result<Self> {
        let mut log = Self::at(path, file, len);
        log.torn = true;
        log.mend()?;
        if len == 0 {
            log.write(&FILE_HEADER)?;
        }
        Ok(log)
    }

    fn at(path: &Path, file: F, len: u64) -> Self {
        Self {
            path: path.into(),
            identity: file.identity().ok(),
            file,
            len,
            torn: false,
            synced: 0,
            is_doubtful: false,
            ruined_at: None,
        }
    }

    /// Refuses a record that no reader would take; nothing of it is written.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        if let Some(refusal) = refusal(record) {
            return Err(self.error("write to", refusal));
        }
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
                Err(self.error("write to", source))
            }
        }
    }

    fn mend(&mut self) -> Result<()> {
        if self.torn {
            self.file
                .rewind_to(self.len)
                .map_err(|source| self.error("take back a torn record of", source))?;
            self.torn = false;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.mend()?;
        self.file
            .flush()
            .map_err(|source| self.error("flush", source))
    }

    /// Brings all records to where they outlast the power.
    pub(super) fn sync(&mut self) -> Result<()> {
        if self.synced == self.len {
            return Ok(());
        }
        if self.is_doubtful {
            self.write_again()?;
        }
        let synced = self.file.sync();
        self.is_doubtful = synced.is_err();
        synced.map_err(|source| self.error("sync", source))?;
        self.synced = self.len;
        Ok(())
    }

    /// After a failed sync, the system takes what it couldn't write for written, and may forget it:
    /// what stood there before is read then.
    fn write_again(&mut self) -> Result<()> {
        if self.ruined_at.is_none() {
            self.torn = true;
            let written = self.write_again_from(self.synced);
            written.map_err(|source| self.error("write again to", source))?;
        }
        self.mend()?;
        match self.ruined_at {
            None => Ok(()),
            Some(at) => Err(self.error("sync", ruined(at))),
        }
    }

    /// Block by block, from the beginning of a record on, and as far as the log is what it was.
    fn write_again_from(&mut self, mut at: u64) -> io::Result<()> {
        while at < self.len {
            let part = self.read_part(at)?;
            if self.ruined_at.is_some() {
                return Ok(());
            }
            self.file.seek(SeekFrom::Start(at))?;
            self.file.write_all(&part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// The rest of the block that `at` lies in, and whether it is what was written.
    fn read_part(&mut self, at: u64) -> io::Result<Vec<u8>> {
        let mut part = vec![0; (self.len - at).min(left_in_block(at)) as usize];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut part)?;
        if !is_log(&part, at) {
            self.ruined_at.get_or_insert(at);
        }
        Ok(part)
    }

    /// That of its file, where the file system tells it.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Goes on in another file, which gets all records first. They are where `durability` wants
    /// them before that.
    pub(super) fn move_to(&mut self, mut file: F, durability: Durability) -> io::Result<()> {
        self.torn = true;
        self.copy_to(&mut file)?;
        if durability == Durability::Fsync {
            file.sync()?;
        }
        *self = Self {
            // What was lost before isn't in the copy either.
            ruined_at: self.ruined_at,
            is_doubtful: self.ruined_at.is_some(),
            ..Self::at(&self.path, file, self.len)
        };
        Ok(())
    }

    /// What a failed sync may have lost is looked at on the way.
    fn copy_to(&mut self, file: &mut F) -> io::Result<()> {
        let mut at = match self.is_doubtful {
            true => self.synced,
            false => self.len,
        };
        self.file.seek(SeekFrom::Start(0))?;
        if io::copy(&mut Read::take(&mut self.file, at), file)? < at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while at < self.len {
            let part = self.read_part(at)?;
            file.write_all(&part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn error(&self, action: &'static str, source: io::Error) -> Error {
        io_error(action, &self.path, source)
    }
}

/// Whether these bytes of a block are what a log has at `at`.
fn is_log(bytes: &[u8], at: u64) -> bool {
    match at {
        0 => bytes.strip_prefix(&FILE_HEADER).is_some_and(are_whole),
        _ => are_whole(bytes),
    }
}

fn ruined(at: u64) -> io::Error {
    let text = format!(
        "a sync before failed, and from byte {at} on the disk has not kept what was written: rows \
         since the last flush that succeeded may be lost; end the run, and see what \
         `wandb-image verify` finds"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Why a log's readers would take neither this record nor what follows it.
fn refusal(record: &[u8]) -> Option<io::Error> {
    let len = record.len();
    let reason = match len > MAX_RECORD {
        true => {
            format!("a record of {len} bytes is over the {MAX_RECORD} that a log's readers take")
        }
        false => format!(
            "a record of {len} bytes is one that a log's readers don't take: {}",
            weight::excess(record)?
        ),
    };
    let text = format!("{reason}: log fewer or smaller values in one row");
    Some(io::Error::new(io::ErrorKind::InvalidInput, text))
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
    use std::io::{Seek, Write};

    use prost::Message;

    use super::super::reader::LogReader;
    use super::super::records::{HistoryRecord, Item, Record, RecordType};
    use super::super::wire;
    use super::*;

    // Records of a type that isn't looked into, and of the lengths of their names.
    const FIRST: &[u8] = b"\x4A\x03fst";
    const SECOND: &[u8] = b"\x4A\x04scnd";
    const THIRD: &[u8] = b"\x4A\x03thd";
    const FOURTH: &[u8] = b"\x4A\x04frth";

    /// A file on a disk that is full after so many bytes.
    struct Full {
        bytes: Vec<u8>,
        room: usize,
        rewinds: bool,
    }

    impl Read for Full {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    impl Seek for Full {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
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

    impl DiskFile for Full {
        fn rewind_to(&mut self, len: u64) -> io::Result<()> {
            if !self.rewinds {
                return Err(io::ErrorKind::Other.into());
            }
            self.bytes.truncate(len as usize);
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn claim(&self) -> io::Result<()> {
            Ok(())
        }
        fn identity(&self) -> io::Result<Identity> {
            Err(io::ErrorKind::Unsupported.into())
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
        log.append(FIRST).unwrap();
        let error = log.append(SECOND).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("could not write to run.wandb"),
            "{error}"
        );
        log.file.room = 1000;
        log.append(THIRD).unwrap();
        assert_eq!(payloads(&log), [FIRST, THIRD]);
    }

    #[test]
    fn records_are_refused_until_a_torn_one_is_taken_back() {
        let mut log = full(7 + 12 + 3, false);
        log.append(FIRST).unwrap();
        log.append(SECOND).unwrap_err();
        log.file.room = 1000;
        let error = log.append(THIRD).unwrap_err();
        assert!(
            error.to_string().contains("take back a torn record"),
            "{error}"
        );
        log.file.rewinds = true;
        log.append(FOURTH).unwrap();
        assert_eq!(payloads(&log), [FIRST, FOURTH]);
    }

    #[test]
    fn a_record_that_no_reader_takes_is_refused_and_later_ones_follow() {
        let mut log = full(usize::MAX, true);
        log.append(FIRST).unwrap();
        let len = log.file.bytes.len();
        let error = log
            .append(&vec![0; MAX_RECORD + 1])
            .unwrap_err()
            .to_string();
        let expected = "a record of 67108865 bytes is over the 67108864 ";
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("log fewer or smaller values"), "{error}");
        assert_eq!(log.file.bytes.len(), len);
        let mut longest = Vec::new();
        wire::put(&mut longest, 9, &vec![0; MAX_RECORD - 5]);
        log.append(&longest).unwrap();
        log.append(SECOND).unwrap();
        let lengths: Vec<_> = payloads(&log).iter().map(Vec::len).collect();
        assert_eq!(lengths, [FIRST.len(), MAX_RECORD, SECOND.len()]);
    }

    /// The record of a row with one value.
    fn row(key: &str, value_json: &str) -> Vec<u8> {
        let item = Item {
            nested_key: vec!["a".into(), key.into()],
            value_json: value_json.into(),
            ..Item::default()
        };
        let row = HistoryRecord {
            item: vec![item],
            step: None,
        };
        let record = Record {
            record_type: Some(RecordType::History(row)),
            ..Record::default()
        };
        record.encode_to_vec()
    }

    #[test]
    fn a_record_that_no_reader_decodes_is_refused_and_later_ones_follow() {
        let objects = format!("[{}0]", "{},".repeat(900_000));
        for (refused, reason) in [
            (row("b", &objects), "over 512 MiB of memory"),
            (row(&"k".repeat(70_000), "0"), "over 65,536 bytes long"),
        ] {
            let mut log = full(usize::MAX, true);
            log.append(&row("b", "1")).unwrap();
            let len = log.file.bytes.len();
            let error = log.append(&refused).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("log fewer or smaller values"), "{error}");
            assert_eq!(log.file.bytes.len(), len);
            log.append(&row("b", "2")).unwrap();
            let reader = LogReader::from_reader("run.wandb", &log.file.bytes[..]).unwrap();
            assert_eq!(reader.map(Result::unwrap).count(), 2);
        }
    }

    #[test]
    fn a_real_file_takes_back_what_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.wandb");
        let mut log = LogWriter::begin(&path, std::fs::File::create(&path).unwrap()).unwrap();
        log.append(FIRST).unwrap();
        log.file.write_all(b"half of a rec").unwrap();
        log.torn = true;
        log.append(SECOND).unwrap();
        let reader = LogReader::open(&path).unwrap();
        let payloads: Vec<_> = reader.payloads().collect::<Result<_>>().unwrap();
        assert_eq!(payloads, [FIRST, SECOND]);
    }
}
