//! The files of artifacts as they are on disk, looked at and never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::digest::md5_of;
use super::log::io_error;
use super::manifest::{MAX_UNPACKED, each_line, hash_of, is_too_long};
use super::records::{ArtifactManifestEntry, ArtifactRecord};
use super::stored::NO_FILE;
use super::{ARTIFACTS, FilePlace, ManifestHasher, Md5};
use crate::error::{Error, Result};
use crate::image::json::artifact::ManifestLine;

/// The most that is read, in bytes, of files outside of the run, where a log that somebody else
/// wrote may name anything.
const MAX_OUTSIDE: u64 = 16 << 30;

/// The most that is read, in bytes, packed or unpacked, of files of contents outside of the run, and
/// of the run's own beyond the first time that each is named.
pub(super) const MAX_CONTENTS: u64 = 4 << 30;

/// What stands where a record says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The file, as far as was read of it.
    Whole,
    /// A path that only the process that wrote it could follow.
    Unknown,
    Missing,
    /// It can't be read, or is no file: why.
    Unreadable(String),
    /// A list of files that is longer than is read.
    TooLong,
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
    /// The run's own files of contents that were read.
    read: BTreeSet<PathBuf>,
    /// Bytes of other contents that may still be read.
    contents: u64,
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
            read: BTreeSet::new(),
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
        match length(path) {
            Err(state) => state,
            Ok(found) if u64::try_from(size) != Ok(found) => {
                State::Wrong(format!("it has {found} bytes, but {size} were logged"))
            }
            Ok(found) => self.compare(path, found, md5, is_own),
        }
    }

    fn compare(&mut self, path: &Path, len: u64, md5: Option<Md5>, is_own: bool) -> State {
        match md5 {
            None => State::Whole,
            // One that says it is empty may be a system's, which a read waits for.
            Some(md5) if len == 0 => matches(Md5::of(&[]), md5),
            Some(md5) => match self.hashed(path, len, is_own) {
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

    /// A file of contents: where the record says that it is, or among the run's own.
    pub(super) fn contents(&mut self, named: &str) -> Contents {
        let (given, md5) = (Path::new(named), hash_of(named));
        let is_own = self.is_own(given);
        let state = match given.is_absolute() {
            true => self.check_contents(given, md5, is_own),
            false => State::Missing,
        };
        if state == State::Whole {
            let place = Some(given.into());
            return Contents { state, place };
        }
        let own = md5.filter(|_| !is_own).and_then(|md5| {
            let path = self.run.join(FilePlace::Artifact(&md5.hex()).path());
            let is_whole =
                self.is_own(&path) && self.check_contents(&path, Some(md5), true) == State::Whole;
            is_whole.then_some(path)
        });
        Contents { state, place: own }
    }

    /// The name of one that this crate wrote is its MD5.
    fn check_contents(&mut self, path: &Path, md5: Option<Md5>, is_own: bool) -> State {
        match length(path) {
            Err(state) => state,
            Ok(0) => State::Wrong("it is empty".into()),
            Ok(len) if len > MAX_UNPACKED => State::TooLong,
            Ok(len) => self.compare(path, len, md5, is_own),
        }
    }

    /// Hands over what a file of contents names, and returns how that went.
    pub(super) fn read_contents(
        &mut self,
        path: &Path,
        take: &mut dyn FnMut(&mut Self, ManifestLine),
    ) -> State {
        let own = self.is_own(path).then(|| path.canonicalize().ok());
        let is_first = own.flatten().is_some_and(|own| self.read.insert(own));
        let most = if is_first {
            MAX_UNPACKED
        } else {
            self.contents
        };
        let mut room = most;
        let read = File::open(path).and_then(|file| {
            each_line(file, &mut room, &mut |_, line| {
                take(self, line);
                Ok(())
            })
        });
        if !is_first {
            self.contents = room;
        }
        match read {
            Ok(_) => State::Whole,
            Err(error) if is_too_long(&error) && most < MAX_UNPACKED => State::Unknown,
            Err(error) if is_too_long(&error) => State::TooLong,
            Err(error) if is_no_contents(&error) => {
                State::Wrong(format!("it is no list of files: {error}"))
            }
            Err(error) => not_there(&error),
        }
    }
}

/// A file of contents.
pub(super) struct Contents {
    /// What stands where the record says that it is.
    pub(super) state: State,
    /// Where it is: there, or among the run's own files.
    pub(super) place: Option<PathBuf>,
}

/// Whether the bytes that were read make no file of contents.
fn is_no_contents(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let kinds = [InvalidData, InvalidInput, UnexpectedEof];
    kinds.contains(&error.kind()) && error.raw_os_error().is_none()
}

/// The files that an artifact's record names itself.
pub(super) fn named_in(artifact: &ArtifactRecord) -> impl Iterator<Item = Named> {
    let manifest = artifact.manifest.iter();
    let named = manifest.flat_map(|manifest| &manifest.contents);
    named.map(Named::from)
}

/// Whether the digests of its files are MD5; the SDK can make others, which aren't compared.
pub(super) fn is_md5(artifact: &ArtifactRecord) -> bool {
    matches!(&*artifact.digest_algorithm, "" | "MANIFEST_MD5")
}

/// The digest of what an artifact names, as far as there is room for that.
#[derive(Default)]
pub(super) struct Digested {
    /// By their paths. Of two of a path the last holds, as in W&B's client.
    digests: BTreeMap<String, String>,
    held: usize,
}

impl Digested {
    pub(super) fn add(&mut self, named: &Named) {
        self.held += named.path.len() + named.digest.len() + size_of::<[String; 2]>();
        if self.held < MAX_HELD {
            self.digests
                .insert(named.path.clone(), named.digest.clone());
        }
    }

    /// None where there was too little room.
    pub(super) fn finish(self) -> Option<String> {
        let mut hasher = ManifestHasher::default();
        for (path, digest) in &self.digests {
            hasher.update(path, digest);
        }
        (self.held < MAX_HELD).then(|| hasher.finish())
    }
}

/// Hands over the lines of a file of contents.
pub(super) fn each_line_of(
    path: &Path,
    take: &mut dyn FnMut(&str, ManifestLine) -> Result<()>,
) -> Result<()> {
    let cannot = |source| io_error("read", path, source);
    let file = File::open(path).map_err(cannot)?;
    let taken = each_line(file, &mut MAX_UNPACKED.clone(), &mut |text, line| {
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
        _ => State::Unreadable(error.to_string()),
    }
}

/// How long a file is.
fn length(path: &Path) -> Result<u64, State> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Ok(_) => Err(State::Unreadable(NO_FILE.into())),
        Err(error) => Err(not_there(&error)),
    }
}

/// Hands over the files of an artifact that are the run's own, by their paths in its directory. That
/// of its contents comes first; `open` opens it by such a path, and it is read within the room.
pub(super) fn each_own<R: Read>(
    artifact: &ArtifactRecord,
    open: impl Fn(&str) -> io::Result<R>,
    room: &mut u64,
    take: &mut dyn FnMut(&str),
) {
    let mut take_own = |file: &str| own_path(file).iter().for_each(|path| take(path));
    if let Some(manifest) = &artifact.manifest {
        let contents = &manifest.manifest_file_path;
        take_own(contents);
        if let Some(Ok(file)) = own_path(contents).map(|path| open(&path)) {
            // Where it can't be read, what it names isn't known to be gone.
            let _ = each_line::<io::Error>(file, room, &mut |_, line| {
                take_own(&line.local_path);
                Ok(())
            });
        }
    }
    named_in(artifact).for_each(|named| take_own(&named.local_path));
}

/// Where one of a run's own files of artifacts is in its directory, wherever that was when the
/// record was written. None of a file that lies elsewhere.
fn own_path(file: &str) -> Option<String> {
    let hash = hash_of(file)?.hex();
    let path = FilePlace::Artifact(&hash).path();
    let above = file.replace('\\', "/");
    let is_own = above
        .strip_suffix(&path)
        .is_some_and(|run| run.ends_with('/'));
    is_own.then_some(path)
}

/// No more than its length is read, and one byte.
fn hashed(path: &Path, len: u64) -> io::Result<Md5> {
    md5_of(File::open(path)?.take(len.saturating_add(1)))
}
