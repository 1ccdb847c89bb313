//! Lays out an artifact of a run on disk in a folder, as a download of it would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use super::ManifestHasher;
use super::artifacts::{
    ArtifactFiles, Limits, MAX_CONTENTS, MAX_HELD, Named, Source, State, algorithm_of, named_in,
};
use super::digest::{DigestAlgorithm, FileDigest};
use super::disk::{self, Folder};
use super::fault::cut;
use super::log::io_error;
use super::logged::find_log;
use super::names::{name_of, parent_of, resolved};
use super::reader::LogReader;
use super::records::{ArtifactManifestEntry, ArtifactRecord, RecordType};
use super::stored::unsafe_path;
use crate::error::{Error, Result, beginning};

/// What [`extract`] laid out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Extracted {
    /// The folder.
    pub dir: PathBuf,
    /// The artifact's name.
    pub name: String,
    /// Which of its versions, from 0, as they are counted in this run.
    pub version: usize,
    /// Its type.
    pub kind: String,
    /// Files in the folder.
    pub files: u64,
    /// Of them all, in bytes.
    pub size: u64,
    /// References, whose files are elsewhere: they are left out.
    pub references: u64,
    /// Where the log could not be read on: a later version of the artifact may follow.
    pub damage: Option<Error>,
}

/// Lays out an artifact of a run that isn't synced, a table's too, in the folder `out`, as
/// `artifact.download()` of Python does: [`Artifact::open`](crate::Artifact::open) reads it there.
///
/// `run` is the directory of a run, or the `.wandb` file in it; whoever wrote it. `artifact` is a
/// name, `data`, for what was logged last under it; or a name with an alias, `data:best`, for the
/// last that has it, or with a version, `data:v0`. Versions are counted in this run, which W&B may
/// count otherwise: one for each digest. A table that was logged under a key is the artifact
/// `run-<run id>-<key>`.
///
/// `out` is made where it isn't there, and has to be empty. Files are copies, so that whoever works
/// with them changes nothing in the run; one that is named under many paths is copied to each. Each
/// is compared with its MD5, or its XXH128, and what is named with the artifact's digest. References
/// are left out, as their files are elsewhere.
///
/// ```
/// use wandb_image::sink::extract::extract;
/// use wandb_image::{Artifact, HostTensor, IntoWandbImage};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// let mut digits = Artifact::new("digits", "dataset")?;
/// digits.add(HostTensor::new([1, 2], vec![0.0_f32, 1.0])?.to_wandb_image()?, "zero")?;
/// run.log_artifact(digits)?;
/// run.finish()?;
///
/// let extracted = extract(run.dir().unwrap(), "digits:latest", dir.path().join("digits"))?;
/// assert_eq!(extracted.files, 2);
/// assert_eq!(Artifact::open(extracted.dir)?.get("zero")?.width(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Artifact`] for an artifact that isn't in the run, for a path that leads out of the folder
/// or that it can't have, for a file that is gone or was changed, for what isn't what the artifact's
/// digest was made of, and for names of files that take over 256 MiB of memory; [`Error::Io`] where
/// there is no run, where `out` isn't empty, and where the system refuses to read or write. Nothing
/// of it stays in `out` then. Damage of the log behind the artifact is no error, but
/// [`Extracted::damage`].
pub fn extract(run: impl AsRef<Path>, artifact: &str, out: impl AsRef<Path>) -> Result<Extracted> {
    let log = find_log(run)?;
    let mut wanted = Wanted::new(artifact);
    let damage = wanted.search(&log)?;
    let (version, record) = match wanted.found.take() {
        Some(found) => found,
        None => return Err(damage.unwrap_or_else(|| wanted.not_found(&log))),
    };
    let mut files = ArtifactFiles::of_one(parent_of(&log));
    let plan = Plan::of(&record, &mut files)?;
    let out = resolved(out.as_ref()).map_err(|source| io_error("find", out.as_ref(), source))?;
    let is_new = make_empty(&out)?;
    plan.lay_out(&out).inspect_err(|_| {
        if is_new {
            // It stays where another has put something into it.
            let _ = fs::remove_dir(&out);
        }
    })?;
    Ok(Extracted {
        dir: out,
        name: record.name,
        version,
        kind: record.r#type,
        files: plan.files.len() as u64,
        size: plan.size,
        references: plan.references,
        damage,
    })
}

/// Reads what the artifacts of a run name, also where a record names its files in a list that lies in
/// a file of its own.
///
/// ```
/// use wandb_image::Artifact;
/// use wandb_image::sink::{extract::ArtifactLists, logged::find_log, reader::LogReader};
/// use wandb_image::sink::records::RecordType;
/// # let dir = tempfile::tempdir()?;
/// # let labels = dir.path().join("labels.csv");
/// # std::fs::write(&labels, "0,1")?;
///
/// let run = wandb_image::init()
/// #   .dir(dir.path())
///     .start()?;
/// let mut digits = Artifact::new("digits", "dataset")?;
/// digits.add_file(labels)?;
/// run.log_artifact(digits)?;
/// run.finish()?;
///
/// let run = run.dir().unwrap();
/// let mut lists = ArtifactLists::open(run)?;
/// for record in LogReader::open(find_log(run)?)? {
///     if let Some(RecordType::Artifact(artifact)) = record?.record_type {
///         assert_eq!(lists.files_of(&artifact)?[0].path, "labels.csv");
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ArtifactLists {
    files: ArtifactFiles,
    room: usize,
}

impl ArtifactLists {
    /// Of the directory of a run, or the `.wandb` file in it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where there is no run.
    pub fn open(run: impl AsRef<Path>) -> Result<Self> {
        let files = ArtifactFiles::new(parent_of(&find_log(run)?), Limits::default());
        let room = MAX_HELD;
        Ok(Self { files, room })
    }

    /// The files and references of an artifact of the run, in the order of their paths.
    ///
    /// A log that somebody else wrote may name any number of lists: no more is given out than takes
    /// 256 MiB of memory, and no more is read of them than 4 GiB, of all the artifacts together. What
    /// fails takes no room.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] where a list isn't there, isn't what was written, or is more than that.
    pub fn files_of(&mut self, artifact: &ArtifactRecord) -> Result<Vec<ArtifactManifestEntry>> {
        let contents = Contents::of(artifact, &mut self.files, self.room);
        let contents = contents.map_err(|what| Error::Artifact {
            reason: format!(
                "the files of the artifact {:?} aren't known: {what}",
                beginning(&artifact.name)
            ),
        })?;
        self.room = contents.room.unwrap_or_default();
        Ok(contents.into_named().map(Named::into_entry).collect())
    }
}

/// What an artifact names, as far as there is room for that.
struct Contents {
    /// By their paths, which they lack. Of two of a path the last holds, as in W&B's client.
    named: BTreeMap<String, Named>,
    /// Bytes that are left; none where there was too little.
    room: Option<usize>,
}

impl Contents {
    /// Or why it isn't known.
    fn of(
        artifact: &ArtifactRecord,
        files: &mut ArtifactFiles,
        room: usize,
    ) -> std::result::Result<Self, String> {
        let mut contents = Self {
            named: BTreeMap::new(),
            room: Some(room),
        };
        named_in(artifact).for_each(|named| contents.add(named));
        let algorithm = algorithm_of(artifact);
        let lists = artifact.manifest.iter();
        let lists = lists.map(|manifest| &*manifest.manifest_file_path);
        let mut outside = None;
        for list in lists.filter(|list| !list.is_empty()) {
            let found = files.contents(list);
            outside = outside.or(found
                .place
                .as_deref()
                .filter(|place| files.is_outside(place))
                .map(|_| list));
            let state = match &found.place {
                None => found.state,
                Some(place) => files.read_contents(place, &mut |_, line| {
                    contents.add(Named::of_line(line, algorithm));
                }),
            };
            let why = match state {
                State::Unknown => Some(format!(
                    "isn't read, as lists of over {} GiB were",
                    MAX_CONTENTS >> 30
                )),
                state => why_not(&state),
            };
            if let Some(why) = why {
                return Err(format!("the list of its files, {}, {why}", shown(list)));
            }
        }
        match (contents.room, outside) {
            (None, _) => Err(format!(
                "what is named takes over {} MiB of memory",
                MAX_HELD >> 20
            )),
            // A log that somebody else wrote leads to no list that it doesn't know.
            (_, Some(list)) if !contents.is_of(artifact, algorithm) => Err(format!(
                "the list of its files, {}, lies outside of the run and isn't what the artifact's \
                 digest was made of",
                shown(list)
            )),
            _ => Ok(contents),
        }
    }

    fn is_of(&self, artifact: &ArtifactRecord, algorithm: Option<DigestAlgorithm>) -> bool {
        let digest = algorithm.map(|algorithm| self.digest(algorithm));
        digest.is_some_and(|digest| digest.eq_ignore_ascii_case(&artifact.digest))
    }

    fn add(&mut self, mut named: Named) {
        let texts = [
            &named.path,
            &named.digest,
            &named.local_path,
            &named.reference,
        ];
        let len = texts.map(String::len).iter().sum::<usize>() + size_of::<(String, Named)>();
        self.room = self.room.and_then(|room| room.checked_sub(len));
        match self.room {
            Some(_) => {
                let path = std::mem::take(&mut named.path);
                self.named.insert(path, named);
            }
            None => self.named.clear(),
        }
    }

    /// The digest of an artifact that names this.
    fn digest(&self, algorithm: DigestAlgorithm) -> String {
        let mut hasher = ManifestHasher::by(algorithm);
        for (path, named) in &self.named {
            hasher.update(path, &named.digest);
        }
        hasher.finish()
    }

    fn into_named(self) -> impl Iterator<Item = Named> {
        let named = self.named.into_iter();
        named.map(|(path, named)| Named { path, ..named })
    }
}

/// What a log says is its writer's, and isn't to speak to the terminal.
fn shown(path: &str) -> String {
    cut(path.into()).escape_debug().to_string()
}

/// Why a file can't be used; none where it can.
fn why_not(state: &State) -> Option<String> {
    match state {
        State::Whole | State::Uncompared => None,
        State::Missing => Some("isn't there".into()),
        State::Unknown => Some("isn't in the run, and its path says where it was alone".into()),
        State::TooLong => Some("is longer than is read".into()),
        State::Unreadable(why) => Some(format!("can't be read ({why})")),
        State::Wrong(why) => Some(format!("isn't what was logged ({why})")),
    }
}

fn unusable(artifact: &ArtifactRecord, what: &str) -> Error {
    Error::Artifact {
        reason: format!(
            "the artifact {:?} can't be laid out: {what}; nothing was written",
            beginning(&artifact.name)
        ),
    }
}

impl Named {
    fn into_entry(self) -> ArtifactManifestEntry {
        ArtifactManifestEntry {
            path: self.path,
            digest: self.digest,
            r#ref: self.reference,
            size: self.size,
            local_path: self.local_path,
        }
    }
}

/// The artifact that is asked for.
struct Wanted<'a> {
    name: &'a str,
    /// None for the last.
    version: Option<&'a str>,
    /// With its number.
    found: Option<(usize, ArtifactRecord)>,
    /// The digests of the name: a version each, by which it is counted.
    digests: BTreeMap<String, usize>,
    /// What may be asked for: as far as it is told.
    names: BTreeSet<String>,
    versions: BTreeSet<String>,
}

/// The most names that an error tells.
const MAX_NAMES: usize = 20;

impl<'a> Wanted<'a> {
    fn new(artifact: &'a str) -> Self {
        let (name, version) = match artifact.split_once(':') {
            Some((name, version)) => (name, Some(version)),
            None => (artifact, None),
        };
        Self {
            name,
            version: version.filter(|version| *version != "latest"),
            found: None,
            digests: BTreeMap::new(),
            names: BTreeSet::new(),
            versions: BTreeSet::new(),
        }
    }

    /// Goes through a log, as far as it is whole: what ended it otherwise.
    fn search(&mut self, log: &Path) -> Result<Option<Error>> {
        for record in LogReader::open(log)? {
            match record.map(|record| record.record_type) {
                Ok(Some(RecordType::Artifact(artifact))) => self.look(artifact),
                Ok(_) => {}
                Err(damage) => return Ok(Some(damage)),
            }
        }
        Ok(None)
    }

    fn look(&mut self, artifact: ArtifactRecord) {
        if artifact.name != self.name {
            tell(&mut self.names, [beginning(&artifact.name)]);
            return;
        }
        let next = self.digests.len();
        let number = *self.digests.entry(artifact.digest.clone()).or_insert(next);
        let version = format!("v{number}");
        let aliases = artifact.aliases.iter().map(|alias| beginning(alias));
        tell(&mut self.versions, aliases.chain([version.clone()]));
        let is_wanted = self.version.is_none_or(|wanted| {
            wanted == version || artifact.aliases.iter().any(|alias| alias == wanted)
        });
        if is_wanted {
            self.found = Some((number, artifact));
        }
    }

    fn not_found(&self, log: &Path) -> Error {
        let log = log.display();
        let reason = match (self.version, self.digests.len(), self.names.len()) {
            (_, 0, 0) => format!(
                "{log} holds no artifact at all, and so not {:?}",
                beginning(self.name)
            ),
            (_, 0, _) => format!(
                "{log} holds no artifact {:?}: give one of {}",
                beginning(self.name),
                listed(&self.names)
            ),
            (version, ..) => format!(
                "the artifact {:?} has no version and no alias {:?} in {log}: give one of {}",
                self.name,
                beginning(version.unwrap_or_default()),
                listed(&self.versions)
            ),
        };
        Error::Artifact { reason }
    }
}

/// Keeps one more than is told, which shows that there are more.
fn tell(told: &mut BTreeSet<String>, names: impl IntoIterator<Item = String>) {
    for name in names {
        if told.len() <= MAX_NAMES {
            told.insert(name);
        }
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    let told = names.iter().take(MAX_NAMES);
    let told: Vec<String> = told.map(|name| name.escape_debug().to_string()).collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    told.join(", ") + more
}

/// What goes where.
struct Plan {
    files: Vec<(String, Source, FileDigest)>,
    size: u64,
    references: u64,
}

impl Plan {
    fn of(artifact: &ArtifactRecord, files: &mut ArtifactFiles) -> Result<Self> {
        let Some(algorithm) = algorithm_of(artifact) else {
            let what = format!(
                "its digests are {:?}, and only MD5 and XXH128 are known here",
                beginning(&artifact.digest_algorithm)
            );
            return Err(unusable(artifact, &what));
        };
        let mut plan = Self {
            files: Vec::new(),
            size: 0,
            references: 0,
        };
        let contents = Contents::of(artifact, files, MAX_HELD);
        let contents = contents.map_err(|what| unusable(artifact, &what))?;
        let digest = contents.digest(algorithm);
        if !artifact.digest.is_empty() && !digest.eq_ignore_ascii_case(&artifact.digest) {
            let what = format!(
                "it has the digest {:?}, but what it names has {digest}, as another version would",
                beginning(&artifact.digest)
            );
            return Err(unusable(artifact, &what));
        }
        for named in contents.into_named() {
            match named.reference.is_empty() {
                true => plan.add(artifact, named, algorithm, files)?,
                false => plan.references += 1,
            }
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        artifact: &ArtifactRecord,
        named: Named,
        algorithm: DigestAlgorithm,
        files: &mut ArtifactFiles,
    ) -> Result<()> {
        let path = cut(named.path.clone());
        if let Some(reason) = unsafe_path(&named.path) {
            let what = format!("the path of its file {path:?} {reason}");
            return Err(unusable(artifact, &what));
        }
        if named.local_path.is_empty() {
            let what = format!("where its file {path:?} is isn't said, as of one that W&B has");
            return Err(unusable(artifact, &what));
        }
        let looked = files.look(&named);
        let digest = FileDigest::from_base64(algorithm, &named.digest);
        let (Some(source), Some(digest)) = (looked.source, digest) else {
            let why = why_not(&looked.state).unwrap_or_else(|| "can't be compared".into());
            let what = format!("its file {path:?}, {}, {why}", shown(&named.local_path));
            return Err(unusable(artifact, &what));
        };
        let size = named.size.max(0).cast_unsigned();
        self.size = self.size.saturating_add(size);
        self.files.push((named.path, source, digest));
        Ok(())
    }

    /// Where that fails, what it made is gone.
    fn lay_out(&self, out: &Path) -> Result<()> {
        let folder = disk::open_folder(out);
        let mut placed = Placed {
            out: folder.map_err(|source| io_error("open", out, source))?,
            made: Vec::new(),
        };
        let laid_out = self.files.iter().try_for_each(|(path, source, digest)| {
            let cannot = |error| io_error("write", &out.join(path), error);
            let given = given(source)?;
            match placed.place(Path::new(path), given, *digest) {
                Err(error) => Err(cannot(error)),
                Ok(true) => Ok(()),
                Ok(false) => Err(cannot(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} changed meanwhile", source.path.display()),
                ))),
            }
        });
        laid_out.inspect_err(|_| placed.take_back())
    }
}

/// The bytes of a file: no more than were there, and one. What says it is empty may be a system's
/// that never ends, and isn't opened.
fn given(source: &Source) -> Result<Box<dyn Read>> {
    if source.stamp.len == 0 {
        return Ok(Box::new(io::empty()));
    }
    let file = fs::File::open(&source.path);
    let file = file.map_err(|error| io_error("read", &source.path, error))?;
    Ok(Box::new(file.take(source.stamp.len.saturating_add(1))))
}

/// Makes a folder, or takes one that is empty. Whether it was made.
fn make_empty(out: &Path) -> Result<bool> {
    let refused = |text: &str| {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, text);
        io_error("write to", out, source)
    };
    match fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => Err(refused(
                "the folder isn't empty, and nothing is overwritten: give another",
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let cannot = |source| io_error("create", out, source);
            fs::create_dir_all(parent_of(out)).map_err(cannot)?;
            // Of two that make it at a time one alone has made it.
            fs::create_dir(out).map_err(cannot)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(refused("it is a file, or lies below one: give a folder"))
        }
        Err(error) => Err(io_error("open", out, error)),
    }
}

/// What was put into a folder.
struct Placed<'a> {
    out: Dir,
    /// In the order in which it was made: nothing that another put there.
    made: Vec<Made<'a>>,
}

/// Its path in the folder.
enum Made<'a> {
    Folder(&'a Path),
    File(&'a Path),
}

impl<'a> Placed<'a> {
    /// Copies a file to its place, no link on the way followed. Whether it has the bytes that it is
    /// to have.
    fn place(
        &mut self,
        path: &'a Path,
        mut given: impl Read,
        digest: FileDigest,
    ) -> io::Result<bool> {
        let mut folder = self.out.try_clone()?;
        for (part, name) in folders_of(path) {
            folder = self.enter(&folder, part, name)?;
        }
        let name = name_of(path).ok_or(io::ErrorKind::InvalidInput)?;
        let mut file = Folder::create_file(&folder, name)?;
        self.made.push(Made::File(path));
        io::copy(&mut given, &mut file)?;
        let found = Folder::open_file(&folder, name)?;
        Ok(FileDigest::of(digest.algorithm(), found)? == digest)
    }

    fn enter(&mut self, folder: &Dir, path: &'a Path, name: &str) -> io::Result<Dir> {
        match Folder::create_folder(folder, name) {
            Ok(()) => self.made.push(Made::Folder(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Folder::open_folder(folder, name)
    }

    /// Best effort: a folder into which another put something stays.
    fn take_back(&self) {
        for made in self.made.iter().rev() {
            let _ = self.remove(made);
        }
    }

    fn remove(&self, made: &Made) -> io::Result<()> {
        let (Made::Folder(path) | Made::File(path)) = *made;
        let mut folder = self.out.try_clone()?;
        for (_, name) in folders_of(path) {
            folder = Folder::open_folder(&folder, name)?;
        }
        let name = name_of(path).ok_or(io::ErrorKind::InvalidInput)?;
        match made {
            Made::Folder(_) => folder.remove_dir(name),
            Made::File(_) => Folder::remove_file(&folder, name),
        }
    }
}

/// The folders on the way to a file, the outermost first: the path and the name of each.
fn folders_of(path: &Path) -> impl Iterator<Item = (&Path, &str)> {
    let folders: Vec<_> = path.ancestors().skip(1).collect();
    let folders = folders.into_iter().rev();
    folders.filter_map(|folder| Some((folder, name_of(folder)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::records::ArtifactManifest;

    fn artifact(paths: &[&str]) -> ArtifactRecord {
        let entry = |path: &&str| ArtifactManifestEntry {
            path: path.to_string(),
            ..ArtifactManifestEntry::default()
        };
        ArtifactRecord {
            name: "data".into(),
            manifest: Some(ArtifactManifest {
                contents: paths.iter().map(entry).collect(),
                ..ArtifactManifest::default()
            }),
            ..ArtifactRecord::default()
        }
    }

    #[test]
    fn the_artifacts_of_a_run_share_the_memory_for_what_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut lists = ArtifactLists {
            files: ArtifactFiles::new(dir.path().into(), Limits::default()),
            room: 3 * (size_of::<(String, Named)>() + 1),
        };
        let paths = |found: Result<Vec<ArtifactManifestEntry>>| {
            let paths = found.unwrap().into_iter().map(|entry| entry.path);
            paths.collect::<Vec<_>>()
        };
        assert_eq!(paths(lists.files_of(&artifact(&["b", "a"]))), ["a", "b"]);
        let error = lists.files_of(&artifact(&["a", "b"])).unwrap_err();
        let expected = "aren't known: what is named takes over 256 MiB of memory";
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(paths(lists.files_of(&artifact(&["c"]))), ["c"]);
        assert!(lists.files_of(&artifact(&["d"])).is_err());
    }
}
