//! Reads a transaction log back, whoever wrote it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use prost::Message;

use super::framing::{CHUNK_HEADER, Chunk, FILE_HEADER, checksum, left_in_block};
use super::log::io_error;
use super::records::Record;
use crate::error::{Error, Result};

/// Reads the records of a `.wandb` file one by one, in order.
///
/// Iteration ends at the end of the log, or after the first error: [`Error::Log`] names the file
/// and the byte at which the damage begins. Every whole record before it has been returned by
/// then, also where the log is torn because its writer was killed.
pub struct LogReader<R = BufReader<File>> {
    path: PathBuf,
    input: R,
    /// Bytes read so far.
    offset: u64,
    /// The end of the last whole record.
    end: u64,
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
        Self::from_reader(path, BufReader::new(file))
    }
}

impl<R: Read> LogReader<R> {
    /// Reads a log from anywhere; errors call it `path`.
    ///
    /// # Errors
    ///
    /// Those of [`open`](LogReader::open).
    pub fn from_reader(path: impl Into<PathBuf>, input: R) -> Result<Self> {
        let mut reader = Self {
            path: path.into(),
            input,
            offset: 0,
            end: FILE_HEADER.len() as u64,
            ended: false,
        };
        let mut header = [0; FILE_HEADER.len()];
        let n = reader.read(&mut header)?;
        if n < header.len() || header != FILE_HEADER {
            return Err(reader.damaged(0, "it does not begin as a W&B transaction log does"));
        }
        Ok(reader)
    }

    /// The bytes of each record, not decoded.
    pub fn payloads(mut self) -> impl Iterator<Item = Result<Vec<u8>>> {
        std::iter::from_fn(move || self.next_payload().map(|next| next.map(|(_, bytes)| bytes)))
    }

    /// The byte after the last whole record that was returned: where a writer goes on.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn next_payload(&mut self) -> Option<Result<(u64, Vec<u8>)>> {
        if self.ended {
            return None;
        }
        let next = self.read_payload().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }

    /// The next record with the offset at which it begins; none at the end.
    fn read_payload(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        let mut whole = Vec::new();
        let mut start = None;
        loop {
            let Some((at, kind, data)) = self.read_chunk()? else {
                return match start {
                    None => Ok(None),
                    Some(start) => {
                        Err(self.damaged(start, "the last record has no end: it is torn"))
                    }
                };
            };
            match (kind, start) {
                (Chunk::Full, None) => return Ok(Some((at, data))),
                (Chunk::First, None) => start = Some(at),
                (Chunk::Middle, Some(_)) => {}
                (Chunk::Last, Some(start)) => {
                    whole.extend(data);
                    return Ok(Some((start, whole)));
                }
                _ => return Err(self.damaged(at, "a part of a record stands out of order")),
            }
            whole.extend(data);
        }
    }

    fn read_chunk(&mut self) -> Result<Option<(u64, Chunk, Vec<u8>)>> {
        if !self.skip_padding()? {
            return Ok(None);
        }
        let at = self.offset;
        let mut header = [0; CHUNK_HEADER as usize];
        match self.read(&mut header)? {
            0 => return Ok(None),
            n if n < header.len() => return Err(self.damaged(at, "the log is torn here")),
            _ => {}
        }
        let [c0, c1, c2, c3, l0, l1, kind] = header;
        let length = u16::from_le_bytes([l0, l1]);
        if u64::from(length) > left_in_block(at) - CHUNK_HEADER {
            return Err(self.damaged(at, format!("a chunk claims {length} bytes, past its block")));
        }
        let mut data = vec![0; length.into()];
        if self.read(&mut data)? < data.len() {
            return Err(self.damaged(at, "the log is torn here"));
        }
        if checksum(kind, &data) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(self.damaged(at, "the checksum does not match"));
        }
        match Chunk::from_byte(kind) {
            Some(kind) => Ok(Some((at, kind, data))),
            None => Err(self.damaged(at, format!("a chunk of the unknown kind {kind}"))),
        }
    }

    /// Whether there can be a chunk after the zeros at the end of a block.
    fn skip_padding(&mut self) -> Result<bool> {
        let left = left_in_block(self.offset);
        if left >= CHUNK_HEADER {
            return Ok(true);
        }
        let mut padding = [0; CHUNK_HEADER as usize];
        let n = self.read(&mut padding[..left as usize])?;
        Ok(n as u64 == left)
    }

    /// Fills the buffer as far as there is something.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(io_error("read", &self.path, source)),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    fn damaged(&self, offset: u64, reason: impl Into<String>) -> Error {
        Error::Log {
            path: self.path.clone(),
            offset,
            reason: reason.into(),
        }
    }
}

impl<R: Read> Iterator for LogReader<R> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoded = self.next_payload()?.and_then(|(offset, bytes)| {
            Record::decode(&bytes[..])
                .map_err(|error| self.damaged(offset, format!("no record of W&B: {error}")))
        });
        match decoded {
            Ok(_) => self.end = self.offset,
            Err(_) => self.ended = true,
        }
        Some(decoded)
    }
}

impl<R> std::fmt::Debug for LogReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "LogReader({} at byte {})",
            self.path.display(),
            self.offset
        )
    }
}
