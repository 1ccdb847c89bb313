//! The files of artifacts as they are on disk, looked at and never changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::log::io_error;
use super::manifest::{each_line, name_of};
use super::records::{ArtifactManifestEntry, ArtifactRecord};
use super::{ARTIFACTS, FilePlace, Md5, Md5Hasher};
use crate::error::{Error, Result};
use crate::image::json::artifact::ManifestLine;

/// The most that is read, in bytes, of files outside of the run, where a log that somebody else
/// wrote may name anything.
const MAX_OUTSIDE: u64 = 16 << 30;

/// The most that is read of files of contents together, in bytes, unpacked.
pub(super) const MAX_CONTENTS: u64 = 4 << 30;

/// What stands where a record says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The file, as far as was read of it.
    Whole,
    /// A path that only the process that wrote it could follow.
    Unknown,
    Missing,
    /// Why it isn't the file.
    Wrong(String),
}

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) state: State,
    /// Where the file lies among those of the run itself, whatever the record says.
    pub(super) own: Option<PathBuf>,
}

/// The most memory that what was seen takes, in bytes.
const MAX_HELD: usize = 256 << 20;

/// The files of a run's artifacts. Each is read once, as far as there is room to keep what was seen.
pub(super) struct ArtifactFiles {
    run: PathBuf,
    held: usize,
    seen: BTreeMap<[String; 2], Looked>,
    /// Of the run's own files.
    hashes: BTreeMap<PathBuf, Md5>,
    /// Bytes of contents, unpacked, that may still be read.
    pub(super) contents: u64,
    /// Bytes outside of the run that may still be read.
    outside: u64,
}

/// A file that an artifact's record names.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) path: String,
    pub(super) digest: String,
    pub(super) size: i64,
    /// Nothing where there is no file, as of a reference.
    pub(super) local_path: String,
    /// Whether the digest of a file is MD5.
    pub(super) is_md5: bool,
}

impl ArtifactFiles {
    /// Of the run in this folder.
    pub(super) fn new(run: PathBuf) -> Self {
        Self {
            run,
            held: 0,
            seen: BTreeMap::new(),
            hashes: BTreeMap::new(),
            contents: MAX_CONTENTS,
            outside: MAX_OUTSIDE,
        }
    }

    pub(super) fn look(&mut self, named: &Named) -> Looked {
        let key = [
            named.local_path.clone(),
            format!("{} {}", named.size, named.digest),
        ];
        if let Some(looked) = self.seen.get(&key) {
            return looked.clone();
        }
        let looked = self.look_now(named);
        self.held += 2 * (key[0].len() + key[1].len()) + size_of::<([String; 2], Looked)>();
        if self.held < MAX_HELD {
            self.seen.insert(key, looked.clone());
        }
        looked
    }

    fn look_now(&mut self, named: &Named) -> Looked {
        let local = Path::new(&named.local_path);
        let md5 = Md5::from_base64(&named.digest).filter(|_| named.is_md5);
        if named.is_md5 && md5.is_none() {
            let state = State::Wrong("its digest is no MD5 in base64".into());
            return Looked { state, own: None };
        }
        let is_own = self.is_own(local);
        let state = match local.is_absolute() {
            true => self.check(local, named.size, md5, is_own),
            false => State::Unknown,
        };
        let own = match (is_own && state == State::Whole, md5) {
            (true, _) => Some(local.into()),
            (false, Some(md5)) => self.own(named.size, md5),
            (false, None) => None,
        };
        Looked { state, own }
    }

    /// Whether it lies among the files of the run's artifacts, no link leading out of them, nor out
    /// of the run.
    fn is_own(&self, file: &Path) -> bool {
        let (run, own) = (
            self.run.canonicalize(),
            self.run.join(ARTIFACTS).canonicalize(),
        );
        match (file.canonicalize(), own, run) {
            (Ok(file), Ok(own), Ok(run)) => file.starts_with(&own) && own.starts_with(run),
            _ => false,
        }
    }

    fn own(&mut self, size: i64, md5: Md5) -> Option<PathBuf> {
        let hash = md5.hex();
        let path = self.run.join(FilePlace::Artifact(&hash).path());
        let is_whole =
            self.is_own(&path) && self.check(&path, size, Some(md5), true) == State::Whole;
        is_whole.then_some(path)
    }

    fn check(&mut self, path: &Path, size: i64, md5: Option<Md5>, is_own: bool) -> State {
        let found = match fs::metadata(path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return State::Wrong("it is no file, but a folder or a device".into()),
            Err(error) => return not_there(&error),
        };
        if u64::try_from(size) != Ok(found) {
            return State::Wrong(format!("it has {found} bytes, but {size} were logged"));
        }
        match md5 {
            None => State::Whole,
            // One that says it is empty may be a system's, which a read waits for.
            Some(md5) if found == 0 => matches(Md5::of(&[]), md5),
            Some(md5) => match self.hashed(path, found, is_own) {
                Ok(Some(is)) => matches(is, md5),
                Ok(None) => State::Whole,
                Err(error) => not_there(&error),
            },
        }
    }

    /// The hash of a file; none of one outside for which there is no room. Each of the run's own is
    /// read once, however often it is named.
    fn hashed(&mut self, path: &Path, len: u64, is_own: bool) -> io::Result<Option<Md5>> {
        if !is_own {
            let Some(left) = self.outside.checked_sub(len) else {
                return Ok(None);
            };
            self.outside = left;
            return hashed(path, len).map(Some);
        }
        let path = path.canonicalize()?;
        if let Some(known) = self.hashes.get(&path) {
            return Ok(Some(*known));
        }
        let hash = hashed(&path, len)?;
        self.hashes.insert(path, hash);
        Ok(Some(hash))
    }

    /// Where a file of contents is: as the record says, or among the run's own.
    pub(super) fn manifest(&self, named: &str) -> Option<PathBuf> {
        let own = name_of(named).map(|name| self.run.join(FilePlace::Artifact(name).path()));
        let own = own.filter(|path| self.is_own(path));
        let given = Some(PathBuf::from(named)).filter(|path| path.is_absolute());
        let mut places = given.into_iter().chain(own);
        places.find(|path| path.is_file())
    }
}

/// Hands over what an artifact holds: what its record says, or the file of contents that it names.
pub(super) fn each_named(
    artifact: &ArtifactRecord,
    contents: Option<&Path>,
    room: &mut u64,
    take: &mut dyn FnMut(Named) -> Result<()>,
) -> Result<()> {
    let named = artifact
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.contents);
    let is_md5 = is_md5(artifact);
    let mut take = |named: Named| take(Named { is_md5, ..named });
    named.map(Named::from).try_for_each(&mut take)?;
    contents.map_or(Ok(()), |path| {
        each_line_of(path, room, &mut |_, line| take(line.into()))
    })
}

/// Whether the digests of its files are MD5; the SDK can make others, which aren't compared.
fn is_md5(artifact: &ArtifactRecord) -> bool {
    matches!(&*artifact.digest_algorithm, "" | "MANIFEST_MD5")
}

/// Hands over the lines of a file of contents, within the room for them.
pub(super) fn each_line_of(
    path: &Path,
    room: &mut u64,
    take: &mut dyn FnMut(&str, ManifestLine) -> Result<()>,
) -> Result<()> {
    let cannot = |source| io_error("read", path, source);
    let file = File::open(path).map_err(cannot)?;
    let taken = each_line(file, room, &mut |text, line| {
        take(text, line).map_err(Stopped::Taker)
    });
    taken.map_err(|stopped| match stopped {
        Stopped::Taker(error) => error,
        Stopped::File(source) => cannot(source),
    })
}

enum Stopped {
    File(io::Error),
    Taker(Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<&ArtifactManifestEntry> for Named {
    fn from(entry: &ArtifactManifestEntry) -> Self {
        let is_file = entry.r#ref.is_empty();
        Self {
            path: entry.path.clone(),
            digest: entry.digest.clone(),
            size: entry.size,
            local_path: if is_file {
                entry.local_path.clone()
            } else {
                String::new()
            },
            is_md5: true,
        }
    }
}

impl From<ManifestLine> for Named {
    fn from(line: ManifestLine) -> Self {
        let is_file = line.reference.is_empty();
        Self {
            path: line.path,
            digest: line.digest,
            size: line.size,
            local_path: if is_file {
                line.local_path
            } else {
                String::new()
            },
            is_md5: true,
        }
    }
}

fn matches(found: Md5, expected: Md5) -> State {
    match found == expected {
        true => State::Whole,
        false => State::Wrong(format!(
            "it has MD5 {}, but {} was logged",
            found.hex(),
            expected.hex()
        )),
    }
}

fn not_there(error: &io::Error) -> State {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => State::Missing,
        _ => State::Wrong(format!("it can't be read: {error}")),
    }
}

/// No more than its length is read, and one byte.
fn hashed(path: &Path, len: u64) -> io::Result<Md5> {
    let mut file = File::open(path)?.take(len.saturating_add(1));
    let (mut hasher, mut piece) = (Md5Hasher::default(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
