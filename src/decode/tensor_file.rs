//! What the readers of tensor files share: a file that can't claim more than it holds, and its
//! bytes as elements.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::picture::IN_MEMORY;
use crate::error::{Error, Result};
use crate::pixels::MAX_TENSOR_BYTES;

/// An open file with its length, or the bytes of one.
pub(super) struct TensorFile<F = File> {
    path: PathBuf,
    file: F,
    len: u64,
}

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = open().map_err(|source| cannot_read(path, source))?;
        let path = path.into();
        Ok(Self { path, file, len })
    }
}

impl<'b> TensorFile<Cursor<&'b [u8]>> {
    pub(super) fn in_memory(bytes: &'b [u8]) -> Self {
        Self {
            path: IN_MEMORY.into(),
            file: Cursor::new(bytes),
            len: bytes.len() as u64,
        }
    }
}

impl<F: Read + Seek> TensorFile<F> {
    /// Bytes of the whole file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The file as no tensor file, for this reason.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::TensorFile {
            path: self.path.clone(),
            reason: reason.into(),
        }
    }

    /// An error for tensors of this many bytes, where that is over the limit.
    pub(super) fn check_size(&self, bytes: u64) -> Result<()> {
        if bytes <= MAX_TENSOR_BYTES {
            return Ok(());
        }
        Err(self.refuse(format!(
            "{bytes} bytes of tensor were asked for, but at most {MAX_TENSOR_BYTES} (4 GiB) are \
             read at once: select fewer or smaller tensors"
        )))
    }

    /// Exactly `len` bytes from `offset`.
    pub(super) fn read(&mut self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| reserve(&mut bytes, len))
            .and_then(|()| self.file.by_ref().take(len).read_to_end(&mut bytes));
        let read = read.map_err(|source| cannot_read(&self.path, source))?;
        if (read as u64) < len {
            return Err(self.refuse(format!(
                "it ends at byte {}, where {len} bytes from byte {offset} were expected: it is cut \
                 short; copy it again",
                offset.saturating_add(read as u64),
            )));
        }
        Ok(bytes)
    }
}

fn reserve(bytes: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes
        .try_reserve_exact(len)
        .map_err(|_| io::ErrorKind::OutOfMemory.into())
}

fn cannot_read(path: &Path, source: io::Error) -> Error {
    Error::Io {
        action: "read",
        path: path.into(),
        source,
    }
}

/// The order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// The numbers in these bytes, `N` bytes each.
pub(super) fn numbers<T, const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    from_le_bytes: fn([u8; N]) -> T,
) -> Vec<T> {
    let chunks = bytes.as_chunks::<N>().0.iter();
    match order {
        ByteOrder::Little => chunks.map(|&chunk| from_le_bytes(chunk)).collect(),
        ByteOrder::Big => chunks
            .map(|&chunk| {
                let mut reversed = chunk;
                reversed.reverse();
                from_le_bytes(reversed)
            })
            .collect(),
    }
}

/// The booleans in these bytes, or why a byte is none.
pub(super) fn booleans(bytes: &[u8]) -> Result<Vec<bool>, String> {
    match bytes.iter().position(|&byte| byte > 1) {
        None => Ok(bytes.iter().map(|&byte| byte == 1).collect()),
        Some(i) => Err(format!(
            "element {i} is {}, but a boolean is 0 or 1: the file is damaged",
            bytes[i]
        )),
    }
}
