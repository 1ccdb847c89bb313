//! Files that hold the contents of large artifacts, since no record could: a line of JSON for each
//! of them, packed by gzip.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::records::ArtifactManifestEntry;
use super::staging::{Begun, Staging};
use super::{Md5, Md5Hasher};
use crate::error::{Error, Result, beginning};
use crate::image::json::artifact::{ManifestLine, manifest_line, parse_line};

/// The longest line that is written and read, in bytes, its end included: paths of 4,096 bytes,
/// escaped, are less.
const MAX_LINE: u64 = 1 << 20;
/// The most that is written to one file and unpacked of it, in bytes: over a million entries.
pub(super) const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes that wait to be written.
const PIECE: usize = 1 << 16;

/// A file that is being written.
pub(crate) struct ManifestFile {
    begun: Begun,
    packed: GzEncoder<Vec<u8>>,
    hasher: Md5Hasher,
    /// The length of its lines, in bytes.
    unpacked: u64,
}

impl ManifestFile {
    pub(crate) fn begin(staging: &Staging) -> Result<Self> {
        Ok(Self {
            begun: staging.begin()?,
            packed: GzEncoder::new(Vec::new(), Compression::fast()),
            hasher: Md5Hasher::default(),
            unpacked: 0,
        })
    }

    /// Adds a line, where this crate doesn't refuse to read the file for it.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] for an entry, or a file, that is longer than is read.
    pub(crate) fn add(&mut self, entry: &ArtifactManifestEntry) -> Result<()> {
        let line = manifest_line(&ManifestLine {
            path: entry.path.clone(),
            digest: entry.digest.clone(),
            reference: entry.r#ref.clone(),
            size: entry.size,
            local_path: entry.local_path.clone(),
        });
        self.add_line(&line)
    }

    /// The same of a line as it stands.
    pub(super) fn add_line(&mut self, line: &str) -> Result<()> {
        self.unpacked = with_line(self.unpacked, line)?;
        let written = self.packed.write_all(line.as_bytes());
        let written = written.and_then(|()| self.packed.write_all(b"\n"));
        written.map_err(|source| self.begun.cannot_write(source))?;
        match self.packed.get_ref().len() < PIECE {
            true => Ok(()),
            false => {
                let piece = std::mem::take(self.packed.get_mut());
                self.put(&piece)
            }
        }
    }

    fn put(&mut self, piece: &[u8]) -> Result<()> {
        self.hasher.update(piece);
        self.begun.write(piece)
    }

    /// Gives the file the name of its MD5.
    pub(crate) fn finish(mut self, staging: &Staging) -> Result<String> {
        let ended = self.packed.try_finish();
        ended.map_err(|source| self.begun.cannot_write(source))?;
        let piece = std::mem::take(self.packed.get_mut());
        self.put(&piece)?;
        let name = self.hasher.finish().hex();
        staging.finish(self.begun, &name)?;
        Ok(name)
    }
}

/// The length of a file with one more line.
fn with_line(unpacked: u64, line: &str) -> Result<u64> {
    let len = line.len() as u64 + 1;
    let unpacked = unpacked.saturating_add(len);
    let reason = match (len, unpacked) {
        (..=MAX_LINE, ..=MAX_UNPACKED) => return Ok(unpacked),
        (..=MAX_LINE, _) => format!(
            "the list of its files is over {} MiB long, which is more than this crate writes and \
             reads of one: divide the files among several artifacts",
            MAX_UNPACKED >> 20
        ),
        _ => format!(
            "what its list of files says of one is over {} MiB long, which is more than this crate \
             writes and reads of one: shorten its path or address, {:?}",
            MAX_LINE >> 20,
            beginning(line)
        ),
    };
    Err(Error::Artifact { reason })
}

/// Hands over the lines of such a file, with what each says. Ends early where the taker fails, and
/// where they are longer than is written, or than the room for them, in bytes: with an error for which
/// [`is_too_long`] holds. What was read is taken from the room, packed or unpacked, whichever is more.
pub(super) fn each_line<E: From<io::Error>>(
    file: impl Read,
    room: &mut u64,
    take: &mut dyn FnMut(&str, ManifestLine) -> Result<(), E>,
) -> Result<(), E> {
    let most = MAX_UNPACKED.min(*room);
    let (packed, unpacked) = (Cell::new(0), Cell::new(0));
    let file = Metered {
        source: file,
        read: &packed,
        most,
    };
    let file = Metered {
        source: MultiGzDecoder::new(BufReader::new(file)),
        read: &unpacked,
        most,
    };
    let taken = each_line_in(file, take);
    *room = room.saturating_sub(packed.get().max(unpacked.get()));
    taken
}

/// Counts what is read through it, in bytes, and ends with an error where that is too much.
struct Metered<'a, R> {
    source: R,
    read: &'a Cell<u64>,
    most: u64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.read.set(self.read.get() + n as u64);
        match self.read.get() <= self.most {
            true => Ok(n),
            false => Err(too_long()),
        }
    }
}

fn too_long() -> io::Error {
    let text = "it is longer than is read of a list of files";
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Whether a list of files was too long, or a line of it.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge && error.raw_os_error().is_none()
}

fn each_line_in<E: From<io::Error>>(
    unpacked: impl Read,
    take: &mut dyn FnMut(&str, ManifestLine) -> Result<(), E>,
) -> Result<(), E> {
    let mut lines = BufReader::new(unpacked);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = lines.by_ref().take(MAX_LINE + 1);
        let n = limited.read_until(b'\n', &mut line)? as u64;
        if n == 0 {
            return Ok(());
        }
        if n > MAX_LINE {
            return Err(too_long().into());
        }
        let text = std::str::from_utf8(&line).map_err(|_| no_manifest("a line isn't UTF-8"))?;
        let text = text.trim();
        if !text.is_empty() {
            let said = parse_line(text).ok_or_else(|| no_manifest("a line is no entry"))?;
            take(text, said)?;
        }
    }
}

fn no_manifest(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// The MD5 that the name of such a file is, where it is one: the Python SDK's names are others.
pub(super) fn hash_of(path: &str) -> Option<Md5> {
    Md5::from_hex(path.rsplit(['/', '\\']).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> ArtifactManifestEntry {
        ArtifactManifestEntry {
            path: path.into(),
            digest: "sZRqySSS0jR8YjW00mERhA==".into(),
            size: 6,
            local_path: "/at/a \"place\"".into(),
            ..ArtifactManifestEntry::default()
        }
    }

    fn read(packed: &[u8]) -> io::Result<Vec<ManifestLine>> {
        let mut lines = Vec::new();
        each_line::<io::Error>(packed, &mut MAX_UNPACKED.clone(), &mut |_, line| {
            lines.push(line);
            Ok(())
        })?;
        Ok(lines)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::create_in(dir.path()).unwrap();
        let mut file = ManifestFile::begin(&staging).unwrap();
        for i in 0..5_000 {
            file.add(&entry(&format!("{i}/\u{e4}"))).unwrap();
        }
        let name = file.finish(&staging).unwrap();
        let bytes = std::fs::read(staging.path_of(&name)).unwrap();
        assert_eq!(name, Md5::of(&bytes).hex());
        let lines = read(&bytes).unwrap();
        assert_eq!(lines.len(), 5_000);
        assert_eq!(lines[7].path, "7/\u{e4}");
        assert_eq!(
            (lines[7].size, &*lines[7].local_path),
            (6, "/at/a \"place\"")
        );
        assert!(read(&bytes[..bytes.len() / 2]).is_err());
    }

    #[test]
    fn what_is_no_manifest_is_refused_before_it_takes_memory() {
        let check = |bytes: &[u8], expected: &str| {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&packed(b"{}"), "no entry");
        check(&packed(&[0xFF, b'\n']), "UTF-8");
        check(&packed(&vec![b' '; 2 << 20]), "longer than is read");
        check(b"no gzip", "");
        assert!(read(&packed(b"\n\n")).unwrap().is_empty());
    }

    /// What is written is read: both ends of both limits.
    #[test]
    fn no_longer_line_or_file_is_written_than_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::create_in(dir.path()).unwrap();
        let mut file = ManifestFile::begin(&staging).unwrap();
        let spare = manifest_line(&ManifestLine::default()).len() + 1;
        let mut longest = ManifestLine {
            path: "p".repeat(MAX_LINE as usize - spare),
            ..ManifestLine::default()
        };
        file.add_line(&manifest_line(&longest)).unwrap();
        longest.path.push('p');
        let error = file.add_line(&manifest_line(&longest)).unwrap_err();
        assert!(error.to_string().contains("shorten its path"), "{error}");
        let name = file.finish(&staging).unwrap();
        let bytes = std::fs::read(staging.path_of(&name)).unwrap();
        assert_eq!(read(&bytes).unwrap().len(), 1);

        assert_eq!(with_line(MAX_UNPACKED - 3, "ab").unwrap(), MAX_UNPACKED);
        let error = with_line(MAX_UNPACKED - 2, "ab").unwrap_err().to_string();
        assert!(error.contains("divide the files"), "{error}");
    }

    /// What is left of so much room; none where a list is too long for it.
    fn left(list: &[u8], mut room: u64) -> Option<u64> {
        let read = each_line::<io::Error>(list, &mut room, &mut |_, _| Ok(()));
        assert!(read.as_ref().is_ok() || read.as_ref().is_err_and(is_too_long));
        read.ok().map(|()| room)
    }

    #[test]
    fn room_is_taken_by_what_is_more_of_the_packed_and_the_unpacked() {
        let line = b"{\"path\":\"a\",\"digest\":\"b\"}\n";
        let many = line.repeat(100);
        let list = packed(&many);
        let unpacked = many.len() as u64;
        assert_eq!(left(&list, unpacked + 4), Some(4));
        assert_eq!(left(&list, unpacked - 1), None);
        // Any number of these unpack to nothing.
        let empty = packed(b"").repeat(1000);
        let len = empty.len() as u64;
        assert_eq!(left(&empty, len + 4), Some(4));
        assert_eq!(left(&empty, len - 1), None);
    }
}
