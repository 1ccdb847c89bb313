//! Files that hold the contents of large artifacts, since no record could: a line of JSON for each
//! of them, packed by gzip.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::records::ArtifactManifestEntry;
use super::staging::{Begun, Staging};
use super::{Md5, Md5Hasher};
use crate::error::Result;
use crate::image::json::artifact::{ManifestLine, manifest_line, parse_line};

/// The longest line that is read, in bytes: paths of 4,096 bytes, escaped, are less.
const MAX_LINE: u64 = 1 << 20;
/// The most that is unpacked of one file, in bytes: over a million entries.
pub(super) const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes that wait to be written.
const PIECE: usize = 1 << 16;

/// A file that is being written.
pub(crate) struct ManifestFile {
    begun: Begun,
    packed: GzEncoder<Vec<u8>>,
    hasher: Md5Hasher,
}

impl ManifestFile {
    pub(crate) fn begin(staging: &Staging) -> Result<Self> {
        Ok(Self {
            begun: staging.begin()?,
            packed: GzEncoder::new(Vec::new(), Compression::fast()),
            hasher: Md5Hasher::default(),
        })
    }

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

    pub(super) fn add_line(&mut self, line: &str) -> Result<()> {
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

/// Hands over the lines of such a file, with what each says; returns early where the taker fails, and
/// where they are longer than the room for them, in bytes, which what was read is taken from.
pub(super) fn each_line<E: From<io::Error>>(
    file: impl Read,
    room: &mut u64,
    take: &mut dyn FnMut(&str, ManifestLine) -> Result<(), E>,
) -> Result<(), E> {
    let most = MAX_UNPACKED.min(*room);
    let unpacked = MultiGzDecoder::new(BufReader::new(file)).take(most + 1);
    let mut lines = BufReader::new(unpacked);
    let mut line = Vec::new();
    let mut read = 0;
    loop {
        line.clear();
        let n = lines
            .by_ref()
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)? as u64;
        read += n;
        *room = room.saturating_sub(n);
        if n == 0 {
            return Ok(());
        }
        if n > MAX_LINE || read > most {
            return Err(no_manifest("it is larger than any manifest").into());
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

/// The name under which such a file lies among the files of artifacts, where its path says one.
pub(super) fn name_of(path: &str) -> Option<&str> {
    let name = path.rsplit(['/', '\\']).next()?;
    let is_hash = name.len() == 2 * size_of::<Md5>() && name.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(name)
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
        check(&packed(&vec![b' '; 2 << 20]), "larger than any manifest");
        check(b"no gzip", "");
        assert!(read(&packed(b"\n\n")).unwrap().is_empty());
    }
}
