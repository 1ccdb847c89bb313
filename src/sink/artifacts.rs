//! The files of artifacts as they are on disk, looked at and never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::digest::{DigestAlgorithm, FileDigest};
use super::fault::cut;
use super::log::io_error;
use super::manifest::{MAX_UNPACKED, each_line, hash_of, is_too_long};
use super::names::RUNS;
use super::records::{ArtifactManifestEntry, ArtifactRecord};
use super::stored::NO_FILE;
use super::{ARTIFACTS, FilePlace, ManifestHasher, Md5, Stamp};
use crate::error::{Error, Result};
use crate::image::json::artifact::ManifestLine;

/// The most that is read, in bytes, of files outside of the run, where a log that somebody else
/// wrote may name anything.
pub(super) const MAX_OUTSIDE: u64 = 16 << 30;

/// The most that is read, in bytes, packed or unpacked, of files of contents outside of the run, and
/// of the run's own beyond the first time that each is named.
pub(super) const MAX_CONTENTS: u64 = 4 << 30;

/// What stands where a record says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The file.
    Whole,
    /// A file as long as it is to be, whose bytes aren't compared with anything: there is no room
    /// for that, or nothing to compare them with.
    Uncompared,
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

impl State {
    /// Whether it is the file as far as that was looked at.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Whole | Self::Uncompared)
    }
}

/// A file of an artifact.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    pub(super) state: State,
    /// The file itself, wherever it is.
    pub(super) source: Option<Source>,
}

/// Where the bytes of a file are that its digest says: a log that somebody else wrote leads to no
/// other.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) digest: FileDigest,
    /// What it was before it was looked at.
    pub(super) stamp: Stamp,
    pub(super) is_outside: bool,
}

/// The most memory that what was seen takes, in bytes.
pub(super) const MAX_HELD: usize = 256 << 20;

/// What is read and kept of the files of a run's artifacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes outside of the run that are read.
    pub(super) outside: u64,
    /// Bytes of memory that what was seen takes.
    pub(super) held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outside: MAX_OUTSIDE,
            held: MAX_HELD,
        }
    }
}

/// Where a file lies, no link leading out of there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lies {
    /// Among the files of the run's artifacts.
    Own,
    /// Elsewhere in the run's directory.
    Inside,
    Outside,
}

/// The files of a run's artifacts. Each is read once, as far as there is room to keep what was seen.
pub(super) struct ArtifactFiles {
    run: PathBuf,
    limits: Limits,
    /// No link leads from there.
    real_run: Option<PathBuf>,
    /// The folder of its artifacts, where that lies in it.
    real_own: Option<PathBuf>,
    held: usize,
    seen: BTreeMap<[String; 2], Looked>,
    /// Of the files in the run's directory, and what they were then.
    hashes: BTreeMap<(DigestAlgorithm, PathBuf), (Stamp, FileDigest)>,
    /// The run's own files of contents that were read.
    read: BTreeSet<PathBuf>,
    /// Bytes of other contents that may still be read.
    contents: u64,
    /// Bytes outside of the run that may still be read.
    outside: u64,
    /// What is there and lies outside of the run's directory.
    pub(super) elsewhere: Elsewhere,
    /// What of that isn't compared, since there is no room for it.
    pub(super) beyond: Elsewhere,
    /// What has a path that only the process that wrote it could follow.
    pub(super) relative: Elsewhere,
}

/// Files outside of the run's directory: how many, and the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Elsewhere {
    pub(super) files: u64,
    pub(super) first: Option<PathBuf>,
}

impl Elsewhere {
    /// How many there are, and the first; none where there is none.
    pub(super) fn told(&self) -> Option<String> {
        let first = cut(self.first.as_ref()?.display().to_string());
        Some(match self.files {
            1 => format!("1 file, {first},"),
            n => format!("{n} files, the first being {first},"),
        })
    }

    pub(super) fn add(&mut self, file: &Path) {
        self.files += 1;
        self.first.get_or_insert_with(|| file.into());
    }
}

/// A file that an artifact's record names.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) path: String,
    pub(super) digest: String,
    pub(super) size: i64,
    /// Nothing where there is no file, as of a reference.
    pub(super) local_path: String,
    /// Nothing but for a reference.
    pub(super) reference: String,
    /// How the digest is made; none where that isn't known.
    pub(super) algorithm: Option<DigestAlgorithm>,
}

impl ArtifactFiles {
    /// Of the run in this folder.
    pub(super) fn new(run: PathBuf, limits: Limits) -> Self {
        let real_run = run.canonicalize().ok();
        let real_own = run.join(ARTIFACTS).canonicalize().ok();
        let is_inside = |own: &PathBuf| real_run.as_ref().is_some_and(|run| own.starts_with(run));
        Self {
            run,
            limits,
            real_own: real_own.filter(is_inside),
            real_run,
            held: 0,
            seen: BTreeMap::new(),
            hashes: BTreeMap::new(),
            read: BTreeSet::new(),
            contents: MAX_CONTENTS,
            outside: limits.outside,
            elsewhere: Elsewhere::default(),
            beyond: Elsewhere::default(),
            relative: Elsewhere::default(),
        }
    }

    /// The same for one artifact that was asked for: all of its files are read.
    pub(super) fn of_one(run: PathBuf) -> Self {
        let limits = Limits {
            outside: u64::MAX,
            ..Limits::default()
        };
        Self::new(run, limits)
    }

    /// Before the same files are looked at in the same order once more: there is room for as many.
    pub(super) fn begin_again(&mut self) {
        self.outside = self.limits.outside;
    }

    pub(super) fn look(&mut self, named: &Named) -> Looked {
        let algorithm = named.algorithm.map_or("", DigestAlgorithm::name);
        let key = [
            named.local_path.clone(),
            format!("{} {algorithm} {}", named.size, named.digest),
        ];
        if let Some(looked) = self.seen.get(&key) {
            return looked.clone();
        }
        let looked = self.look_now(named);
        self.held += 2 * (key[0].len() + key[1].len()) + size_of::<([String; 2], Looked)>();
        if self.held < self.limits.held {
            self.seen.insert(key, looked.clone());
        }
        looked
    }

    fn look_now(&mut self, named: &Named) -> Looked {
        let local = Path::new(&named.local_path);
        let digest = match named.algorithm {
            None => None,
            Some(algorithm) => match FileDigest::from_base64(algorithm, &named.digest) {
                Some(digest) => Some(digest),
                None => return no_digest(algorithm),
            },
        };
        let lies = self.lies(local);
        let stamp = Stamp::of(local).ok();
        let state = match local.is_absolute() {
            true => self.check(local, named.size, digest, lies),
            false => State::Unknown,
        };
        let given = match (stamp, digest) {
            (Some(stamp), Some(digest)) if state == State::Whole => Some(Source {
                path: local.into(),
                digest,
                stamp,
                is_outside: lies == Lies::Outside,
            }),
            _ => None,
        };
        let source = match lies {
            Lies::Own => given.or_else(|| self.copy_of(named, digest)),
            _ => self.copy_of(named, digest).or(given),
        };
        let state = match (&source, state) {
            (None, State::Missing) => self.changed_copy(named, digest),
            (_, state) => state,
        };
        if lies == Lies::Outside && state.is_there() && digest.is_some() {
            self.elsewhere.add(local);
            if source.is_none() {
                self.beyond.add(local);
            }
        }
        if state == State::Unknown && source.is_none() {
            self.relative.add(local);
        }
        Looked { state, source }
    }

    fn lies(&self, file: &Path) -> Lies {
        let real = file.canonicalize();
        let is_in = |folder: &Option<PathBuf>| match (&real, folder) {
            (Ok(file), Some(folder)) => file.starts_with(folder),
            _ => false,
        };
        match (is_in(&self.real_own), is_in(&self.real_run)) {
            (true, _) => Lies::Own,
            (false, true) => Lies::Inside,
            (false, false) => Lies::Outside,
        }
    }

    pub(super) fn is_outside(&self, file: &Path) -> bool {
        self.lies(file) == Lies::Outside
    }

    /// The file in the run's directory, wherever that was when the record was written.
    fn copy_of(&mut self, named: &Named, digest: Option<FileDigest>) -> Option<Source> {
        let digest = digest?;
        self.copies(named, digest).into_iter().find_map(|copy| {
            let (path, stamp, lies) = copy;
            let state = self.check(&path, named.size, Some(digest), lies);
            (state == State::Whole).then_some(Source {
                path,
                digest,
                stamp,
                is_outside: false,
            })
        })
    }

    /// What is wrong with the file in the run's directory; that it is missing where there is none.
    fn changed_copy(&mut self, named: &Named, digest: Option<FileDigest>) -> State {
        let copies = digest.map_or_else(Vec::new, |digest| self.copies(named, digest));
        let Some((path, _, lies)) = copies.into_iter().next() else {
            return State::Missing;
        };
        match self.check(&path, named.size, digest, lies) {
            State::Wrong(why) => State::Wrong(format!("{why}: {}", path.display())),
            state => state,
        }
    }

    /// Where the file may be in the run's directory, as far as something is there.
    fn copies(&self, named: &Named, digest: FileDigest) -> Vec<(PathBuf, Stamp, Lies)> {
        let by_name = digest
            .md5()
            .map(|md5| FilePlace::Artifact(&md5.hex()).path());
        let places = by_name.map(PathBuf::from);
        let places = places.into_iter().chain(places_in_run(&named.local_path));
        let copies = places.filter_map(|place| {
            let path = self.run.join(place);
            let stamp = Stamp::of(&path).ok()?;
            let lies = Some(self.lies(&path)).filter(|lies| *lies != Lies::Outside)?;
            Some((path, stamp, lies))
        });
        copies.collect()
    }

    fn check(&mut self, path: &Path, size: i64, digest: Option<FileDigest>, lies: Lies) -> State {
        match length(path) {
            Err(state) => state,
            Ok(found) if u64::try_from(size) != Ok(found) => match lies {
                Lies::Outside => State::Wrong(OTHER_LENGTH.into()),
                _ => State::Wrong(format!("it has {found} bytes, but {size} were logged")),
            },
            Ok(found) => self.compare(path, found, digest, lies),
        }
    }

    fn compare(&mut self, path: &Path, len: u64, digest: Option<FileDigest>, lies: Lies) -> State {
        let Some(digest) = digest else {
            return State::Uncompared;
        };
        let found = match len {
            // One that says it is empty may be a system's, which a read waits for.
            0 => FileDigest::of(digest.algorithm(), io::empty()).map(Some),
            _ => self.hashed(digest.algorithm(), path, len, lies),
        };
        match found {
            Ok(Some(is)) => matches(is, digest, lies),
            Ok(None) => State::Uncompared,
            Err(error) => not_there(&error),
        }
    }

    /// The hash of a file; none of one outside for which there is no room. Each in the run's
    /// directory is read once, however often it is named.
    fn hashed(
        &mut self,
        algorithm: DigestAlgorithm,
        path: &Path,
        len: u64,
        lies: Lies,
    ) -> io::Result<Option<FileDigest>> {
        if lies == Lies::Outside {
            let Some(left) = self.outside.checked_sub(len) else {
                return Ok(None);
            };
            self.outside = left;
            return hashed(algorithm, path, len).map(Some);
        }
        let key = (algorithm, path.canonicalize()?);
        let stamp = Stamp::of(&key.1).map_err(io::Error::other)?;
        match self.hashes.get(&key) {
            Some((known, hash)) if stamp.is_untouched_since(known) => Ok(Some(*hash)),
            _ => {
                let hash = hashed(algorithm, &key.1, len)?;
                self.hashes.insert(key, (stamp, hash));
                Ok(Some(hash))
            }
        }
    }

    /// Counts a list of files that lies outside of the run.
    pub(super) fn saw_list(&mut self, list: &Path) {
        if self.is_outside(list) {
            self.elsewhere.add(list);
        }
    }

    /// A file of contents: among the run's own, or where the record says that it is.
    pub(super) fn contents(&mut self, named: &str) -> Contents {
        let (given, md5) = (Path::new(named), hash_of(named));
        let lies = self.lies(given);
        let state = match given.is_absolute() {
            true => self.check_contents(given, md5, lies),
            false => State::Missing,
        };
        let given = state.is_there().then(|| given.into());
        let place = match lies {
            Lies::Own => given,
            _ => md5.and_then(|md5| self.own_contents(md5)).or(given),
        };
        Contents { state, place }
    }

    fn own_contents(&mut self, md5: Md5) -> Option<PathBuf> {
        let path = self.run.join(FilePlace::Artifact(&md5.hex()).path());
        let is_own = self.lies(&path) == Lies::Own;
        let is_whole = is_own && self.check_contents(&path, Some(md5), Lies::Own) == State::Whole;
        is_whole.then_some(path)
    }

    /// The name of one that this crate wrote is its MD5.
    fn check_contents(&mut self, path: &Path, md5: Option<Md5>, lies: Lies) -> State {
        match length(path) {
            Err(state) => state,
            Ok(0) => State::Wrong("it is empty".into()),
            Ok(len) if len > MAX_UNPACKED => State::TooLong,
            Ok(len) => self.compare(path, len, md5.map(FileDigest::from), lies),
        }
    }

    /// Hands over what a file of contents names, and returns how that went.
    pub(super) fn read_contents(
        &mut self,
        path: &Path,
        take: &mut dyn FnMut(&mut Self, ManifestLine),
    ) -> State {
        let is_own = self.lies(path) == Lies::Own;
        let own = is_own.then(|| path.canonicalize().ok());
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
    /// Where it is: among the run's own files, or there.
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
    let algorithm = algorithm_of(artifact);
    named.map(move |entry| Named::of_entry(entry, algorithm))
}

/// How the digests of its files are made; none of an artifact of another kind than is known here.
pub(super) fn algorithm_of(artifact: &ArtifactRecord) -> Option<DigestAlgorithm> {
    DigestAlgorithm::of_record(&artifact.digest_algorithm)
}

/// The digest of what an artifact names, as far as there is room for that.
#[derive(Default)]
pub(super) struct Digested {
    /// By their paths. Of two of a path the last holds, as in W&B's client.
    digests: BTreeMap<String, String>,
    held: usize,
}

impl Digested {
    /// Of what the artifact's record names itself.
    pub(super) fn of(artifact: &ArtifactRecord) -> Self {
        let mut digested = Self::default();
        named_in(artifact).for_each(|named| digested.add(&named));
        digested
    }

    pub(super) fn add(&mut self, named: &Named) {
        self.held += named.path.len() + named.digest.len() + size_of::<[String; 2]>();
        if self.held < MAX_HELD {
            self.digests
                .insert(named.path.clone(), named.digest.clone());
        }
    }

    /// None where there was too little room.
    pub(super) fn finish(self, algorithm: DigestAlgorithm) -> Option<String> {
        let mut hasher = ManifestHasher::by(algorithm);
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

impl Named {
    fn of_entry(entry: &ArtifactManifestEntry, algorithm: Option<DigestAlgorithm>) -> Self {
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
            reference: entry.r#ref.clone(),
            algorithm,
        }
    }

    pub(super) fn of_line(line: ManifestLine, algorithm: Option<DigestAlgorithm>) -> Self {
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
            reference: line.reference,
            algorithm,
        }
    }
}

fn no_digest(algorithm: DigestAlgorithm) -> Looked {
    let state = State::Wrong(format!("its digest is no {} in base64", algorithm.name()));
    Looked {
        state,
        source: None,
    }
}

// What is said of a file outside of the run. Its length and its digest are what guards it: who gets
// to see what is said of a log could write another that names it by them.
const OTHER_LENGTH: &str = "its length isn't that which was logged";
const OTHER_BYTES: &str = "its bytes aren't those that were logged";

fn matches(found: FileDigest, expected: FileDigest, lies: Lies) -> State {
    match lies {
        _ if found == expected => State::Whole,
        Lies::Outside => State::Wrong(OTHER_BYTES.into()),
        _ => State::Wrong(format!(
            "it has {} {}, but {} was logged",
            found.algorithm().name(),
            found.hex(),
            expected.hex()
        )),
    }
}

/// Where a file may be in the run's directory, which may have been elsewhere, or called otherwise,
/// when its path was written: what follows the name of a run in that.
fn places_in_run(file: &str) -> Vec<PathBuf> {
    let file = file.replace('\\', "/");
    let parts: Vec<_> = Path::new(&file).components().collect();
    let is_plain = |parts: &[Component]| {
        let is_name = |part: &Component| matches!(part, Component::Normal(_));
        !parts.is_empty() && parts.iter().all(is_name)
    };
    let is_run = |part: &Component| {
        let name = part.as_os_str().to_string_lossy();
        RUNS.iter().any(|run| name.starts_with(run))
    };
    let runs = (0..parts.len()).rev().filter(|&at| is_run(&parts[at]));
    let below = runs.map(|at| &parts[at + 1..]);
    below
        .filter(|parts| is_plain(parts))
        .map(|parts| parts.iter().collect())
        .take(MAX_PLACES)
        .collect()
}

/// The most places that are looked at for one file.
const MAX_PLACES: usize = 2;

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

/// A file that the record has among the run's own, by where the run was then, and where it is in the
/// run's directory.
pub(super) fn an_own(artifact: &ArtifactRecord) -> Option<(&str, String)> {
    let manifest = artifact.manifest.as_ref()?;
    let contents = manifest.contents.iter().map(|entry| &*entry.local_path);
    let mut files = contents.chain([&*manifest.manifest_file_path]);
    files.find_map(|file| Some((file, own_path(file)?)))
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
fn hashed(algorithm: DigestAlgorithm, path: &Path, len: u64) -> io::Result<FileDigest> {
    let file = File::open(path)?.take(len.saturating_add(1));
    FileDigest::of(algorithm, file)
}
