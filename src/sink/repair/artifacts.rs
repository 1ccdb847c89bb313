//! The artifacts of the clean run, and their files.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use super::Repair;
use super::edits::{content, replaced};
use crate::error::{Error, Result, counted};
use crate::image::json::artifact::line_with_local_path;
use crate::sink::artifacts::{
    Digested, MAX_OUTSIDE, Named, Source, State, algorithm_of, each_line_of, named_in,
};
use crate::sink::digest::{BothHasher, md5_of};
use crate::sink::fault::{Place, cut};
use crate::sink::log::io_error;
use crate::sink::records::ArtifactRecord;
use crate::sink::staging::each_piece;
use crate::sink::survey::{artifact_name, client_of};
use crate::sink::wire::{self, fields};
use crate::sink::{FilePlace, ManifestFile, Md5, RecordSink, StagedFile, Staging, Stamp};

// The fields of `Record`, of an artifact, of its manifest, and of an entry of that.
pub(super) const ARTIFACT: u32 = 8;
const MANIFEST: u32 = 12;
const CONTENTS: u32 = 4;
const CONTENTS_FILE: u32 = 5;
const LOCAL_PATH: u32 = 6;

impl Repair {
    /// Keeps an artifact whose files are all there, and brings them to the clean run.
    pub(super) fn artifact(
        &mut self,
        artifact: &ArtifactRecord,
        bytes: &[u8],
        place: Place,
    ) -> Result<()> {
        let number = place.record.unwrap_or_default();
        if let Some(why) = self.survey.left_out.remove(&number) {
            return self.left_out(artifact, why, place);
        }
        if self.survey.unread_artifacts.contains(&number) {
            self.repaired.artifacts += 1;
            let message = format!(
                "{} names its files where they were, since their list wasn't read to its end",
                artifact_name(artifact)
            );
            self.changed(place, message);
            return self.kept(bytes);
        }
        let manifest = content(&content(bytes, ARTIFACT), MANIFEST);
        let left_outside = self.left_outside.clone();
        let edited = self.with_own(artifact, &manifest);
        let edited = match not_brought(edited)? {
            Ok(edited) => edited,
            Err(why) => {
                self.left_outside = left_outside;
                let own = client_of(artifact);
                self.survey.leave_out_tables(|client| *client == own);
                return self.left_out(artifact, Some(why), place);
            }
        };
        self.repaired.artifacts += 1;
        match edited {
            None => self.kept(bytes),
            Some(manifest) => {
                let artifact = replaced(&content(bytes, ARTIFACT), MANIFEST, &manifest);
                self.kept(&replaced(bytes, ARTIFACT, &artifact))
            }
        }
    }

    /// Says why as far as that is kept: of no more than are told.
    fn left_out(
        &mut self,
        artifact: &ArtifactRecord,
        why: Option<String>,
        place: Place,
    ) -> Result<()> {
        self.usable += 1;
        self.repaired.artifacts_left_out += 1;
        let why = why.map_or_else(String::new, |why| format!(", since {why}"));
        self.missing(place, format!("{}{why}", artifact_name(artifact)));
        Ok(())
    }

    /// The manifest with the clean run's files in it; none where nothing of it changes.
    fn with_own(&mut self, artifact: &ArtifactRecord, manifest: &[u8]) -> Result<Option<Vec<u8>>> {
        let edited = self.with_own_files(artifact, manifest)?;
        let list = artifact.manifest.as_ref();
        let list = list.map_or("", |manifest| &manifest.manifest_file_path);
        match list.is_empty() {
            true => Ok(edited),
            false => {
                let manifest = edited.as_deref().unwrap_or(manifest);
                self.with_own_contents(artifact, list, manifest).map(Some)
            }
        }
    }

    /// The same of the files that the record names itself.
    fn with_own_files(
        &mut self,
        artifact: &ArtifactRecord,
        manifest: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let (mut edited, mut has_changed) = (Vec::new(), false);
        let mut contents = named_in(artifact);
        for field in fields(manifest).flatten() {
            let entry = field.content.filter(|_| field.number == CONTENTS);
            let place = match entry.and_then(|_| contents.next()) {
                Some(named) => self.bring(&named)?,
                None => None,
            };
            match (entry, place) {
                (Some(entry), Some(place)) => {
                    has_changed = true;
                    let entry = replaced(entry, LOCAL_PATH, place.as_bytes());
                    wire::put(&mut edited, CONTENTS, &entry);
                }
                _ => edited.extend(field.raw),
            }
        }
        Ok(has_changed.then_some(edited))
    }

    /// The same of one whose contents are in a file: the clean run gets a file of its own.
    fn with_own_contents(
        &mut self,
        artifact: &ArtifactRecord,
        named: &str,
        manifest: &[u8],
    ) -> Result<Vec<u8>> {
        let Some(contents) = self.survey.artifacts.contents(named).place else {
            return Err(changed(Path::new(named)));
        };
        let algorithm = algorithm_of(artifact);
        let real = contents.canonicalize().unwrap_or_else(|_| contents.clone());
        let key = (algorithm, real);
        let list = match self.lists.get(&key) {
            Some(known) => known.clone(),
            None => {
                let list = not_brought(self.bring_list(&contents, artifact))?;
                self.lists.insert(key, list.clone());
                list
            }
        };
        let place = list.map_err(|reason| Error::Artifact { reason })?;
        Ok(replaced(manifest, CONTENTS_FILE, place.as_bytes()))
    }

    /// Brings what a list of files names, and makes one that says where it is.
    fn bring_list(&mut self, contents: &Path, artifact: &ArtifactRecord) -> Result<String> {
        let algorithm = algorithm_of(artifact);
        let is_outside = self.survey.artifacts.is_outside(contents);
        let mut digested = Digested::of(artifact);
        let staging = self.staging()?;
        let mut file = ManifestFile::begin(&staging)?;
        let read = each_line_of(contents, &mut |text, line| {
            let named = Named::of_line(line, algorithm);
            digested.add(&named);
            let place = self.bring(&named)?;
            let edited = place.and_then(|place| line_with_local_path(text, &place));
            file.add_line(edited.as_deref().unwrap_or(text))
        });
        read.map_err(|error| explained(error, contents))?;
        let digest = algorithm.and_then(|algorithm| digested.finish(algorithm));
        let is_same = digest.map(|digest| digest.eq_ignore_ascii_case(&artifact.digest));
        let is_known = !artifact.digest.is_empty() || is_outside;
        if is_known && !is_same.unwrap_or(!is_outside) {
            return Err(changed(contents));
        }
        let name = file.finish(&staging)?;
        self.take(&staging.path_of(&name), &name, None)
    }

    /// A folder beside the clean run.
    fn staging(&mut self) -> Result<Rc<Staging>> {
        if let Some(staging) = &self.staging {
            return Ok(staging.clone());
        }
        let path = self.directory.path();
        let staging = Rc::new(Staging::create_in(path.parent().unwrap_or(path))?);
        self.staging = Some(staging.clone());
        Ok(staging)
    }

    /// Brings a file to the clean run, and returns where it is there.
    fn bring(&mut self, named: &Named) -> Result<Option<String>> {
        if named.local_path.is_empty() {
            return Ok(None);
        }
        let looked = self.survey.artifacts.look(named);
        let path = Path::new(&named.local_path);
        match (looked.source, looked.state) {
            (Some(source), _) => {
                let brought = self.bring_from(&source).map(Some);
                brought.map_err(|error| explained(error, &source.path))
            }
            (None, State::Unknown) => {
                self.relative.add(path);
                Ok(None)
            }
            (None, state) if state.is_there() => {
                self.left_outside.add(path);
                Ok(None)
            }
            // It was there before.
            _ => Err(changed(path)),
        }
    }

    fn bring_from(&mut self, source: &Source) -> Result<String> {
        if let Some(place) = self.brought.get(&source.digest) {
            return Ok(place.clone());
        }
        let place = match source.is_outside {
            true => self.copy_from(source)?,
            false => self.link_from(source)?,
        };
        self.brought.insert(source.digest, place.clone());
        Ok(place)
    }

    /// The file itself stays its owner's, who may go on writing to it. What is compared is the copy.
    fn copy_from(&mut self, source: &Source) -> Result<String> {
        let staging = self.staging()?;
        let mut begun = staging.begin()?;
        let md5 = match read(source, &mut |piece| begun.write(piece)) {
            Ok(md5) => md5,
            Err(error) => {
                Staging::discard(begun);
                return Err(error);
            }
        };
        let name = md5.hex();
        staging.finish(begun, &name)?;
        keep_permissions(&source.path, &staging.path_of(&name));
        if let Some(place) = self.brought.get(&md5.into()) {
            return Ok(place.clone());
        }
        let place = self.take(&staging.path_of(&name), &name, None)?;
        self.brought.insert(md5.into(), place.clone());
        self.from_outside.add(&source.path);
        Ok(place)
    }

    fn link_from(&mut self, source: &Source) -> Result<String> {
        let md5 = match source.digest.md5() {
            Some(md5) => md5,
            None => read(source, &mut |_| Ok(()))?,
        };
        if let Some(place) = self.brought.get(&md5.into()) {
            return Ok(place.clone());
        }
        let place = self.take(&source.path, &md5.hex(), Some(source.stamp))?;
        let brought = Path::new(&place);
        if !is_linked(source, brought) && !is_copy(source, md5, brought)? {
            fs::remove_file(brought).map_err(|error| io_error("remove", brought, error))?;
            return Err(changed(&source.path));
        }
        self.brought.insert(md5.into(), place.clone());
        Ok(place)
    }

    /// A file without a stamp is a temporary one of this process.
    fn take(&mut self, from: &Path, hash: &str, stamp: Option<Stamp>) -> Result<String> {
        let place = self.directory.take_file(&StagedFile {
            from,
            place: FilePlace::Artifact(hash),
            may_move: stamp.is_none(),
            stamp,
        })?;
        place.into_os_string().into_string().map_err(|path| Error::Artifact {
            reason: format!(
                "the clean run's directory {path:?} isn't UTF-8, and a record can't name a file in \
                 it: choose another"
            ),
        })
    }

    /// Says what lies otherwise than before: in the clean run.
    pub(super) fn artifacts_at_end(&mut self) {
        let outside = std::mem::take(&mut self.from_outside);
        if let Some(first) = outside.first {
            let message = format!(
                "{} of artifacts from outside of the run's directory, the first being {}: the \
                 clean run has them in its own",
                counted(outside.files, "file"),
                cut(first.display().to_string())
            );
            self.changed(Place::default(), message);
        }
        if let Some(files) = std::mem::take(&mut self.relative).told() {
            let message = format!(
                "the artifacts name {files} by relative paths, in the clean run too: sync it from the \
                 folder in which the program ran"
            );
            self.changed(Place::default(), message);
        }
        let outside = std::mem::take(&mut self.left_outside);
        if let Some(first) = outside.first {
            let message = format!(
                "{} of artifacts outside of the run's directory, the first being {}: the clean run \
                 names them where they are, since at most {} GiB there are compared; see that they \
                 stay until it is synced",
                counted(outside.files, "file"),
                cut(first.display().to_string()),
                MAX_OUTSIDE >> 30
            );
            self.changed(Place::default(), message);
        }
    }
}

/// Hands over the bytes of a file, and returns their MD5 where they have the digest that was logged.
/// No more is read than was there, and one byte; of what says it is empty, nothing.
fn read(source: &Source, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Md5> {
    let path = &source.path;
    source.stamp.check(path)?;
    let most = match source.stamp.len {
        0 => 0,
        len => len.saturating_add(1),
    };
    let file = File::open(path).map_err(|error| io_error("read", path, error))?;
    let mut hasher = BothHasher::new(source.digest.algorithm());
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        take(piece)
    };
    each_piece(&mut file.take(most), &mut take, path)?;
    match hasher.finish() {
        (md5, found) if found == source.digest => Ok(md5),
        _ => Err(changed(path)),
    }
}

/// Has a copy read by those alone who may read the file. Best effort: else by those who may read what
/// this process writes.
#[cfg(unix)]
fn keep_permissions(file: &Path, copy: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(found) = fs::metadata(file) {
        let mode = found.permissions().mode() & 0o777;
        let _ = fs::set_permissions(copy, fs::Permissions::from_mode(mode));
    }
}

#[cfg(not(unix))]
fn keep_permissions(_file: &Path, _copy: &Path) {}

/// Whether a file of the clean run is that which was looked at, and no other that took its place.
fn is_linked(source: &Source, place: &Path) -> bool {
    Stamp::of(place).is_ok_and(|now| now.is_of_same_file_as(&source.stamp))
}

/// Whether it has the same bytes, as where the disk has no links. It may be a link to what took the
/// place of the file, which then is what can't be read.
fn is_copy(source: &Source, md5: Md5, place: &Path) -> Result<bool> {
    if !place.is_file() {
        return Ok(false);
    }
    let found = File::open(place).and_then(md5_of);
    let found = found.map_err(|error| io_error("read", &source.path, error))?;
    Ok(found == md5)
}

/// A file that can't be read costs its artifact, and not the whole repair.
fn explained(error: Error, file: &Path) -> Error {
    match error {
        // It was deleted meanwhile, or something else has its place.
        Error::Io { path, .. } if path == file && !file.is_file() => changed(file),
        Error::Io {
            action: "read",
            path,
            source,
        } if path == file => Error::Artifact {
            reason: format!("its file {file:?} can't be read ({source})"),
        },
        error => error,
    }
}

fn changed(path: &Path) -> Error {
    Error::FileChanged { path: path.into() }
}

/// Why an artifact's files couldn't be brought to the clean run, where that is no failure of the
/// whole repair.
fn not_brought<T>(brought: Result<T>) -> Result<std::result::Result<T, String>> {
    match brought {
        Err(Error::Artifact { reason }) => Ok(Err(reason)),
        Err(Error::FileChanged { path }) => Ok(Err(format!(
            "its file {path:?} changed while it was copied"
        ))),
        brought => brought.map(Ok),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use prost::Message;

    use super::super::{Repaired, write};
    use super::*;
    use crate::sink::artifacts::Limits;
    use crate::sink::digest::xxh128;
    use crate::sink::directory::Directory;
    use crate::sink::records::{
        ArtifactManifest, ArtifactManifestEntry, Record, RecordType, RunRecord,
    };
    use crate::sink::survey::{survey, survey_within};
    use crate::sink::verify::verify;
    use crate::sink::{Durability, logged::find_log, reader::LogReader};
    use crate::{Artifact, Table};

    /// A run whose log names these files, by their XXH128 or by their MD5.
    fn naming(dir: &Path, by_xxh128: bool, files: &[(&Path, &str)]) -> PathBuf {
        let mut log = Directory::create(dir, NAME, "a", Durability::Process).unwrap();
        let entry = |(path, text): &(&Path, &str)| {
            fs::write(path, text).unwrap();
            let md5 = Md5::of(text.as_bytes()).base64();
            ArtifactManifestEntry {
                path: path.file_name().unwrap().to_str().unwrap().into(),
                digest: if by_xxh128 {
                    xxh128(text.as_bytes())
                } else {
                    md5
                },
                size: text.len() as i64,
                local_path: path.to_str().unwrap().into(),
                ..ArtifactManifestEntry::default()
            }
        };
        let artifact = ArtifactRecord {
            name: "data".into(),
            digest_algorithm: if by_xxh128 { "MANIFEST_XXH128" } else { "" }.into(),
            manifest: Some(ArtifactManifest {
                contents: files.iter().map(entry).collect(),
                ..ArtifactManifest::default()
            }),
            ..ArtifactRecord::default()
        };
        let run = RunRecord {
            run_id: "a".into(),
            ..RunRecord::default()
        };
        for record in [RecordType::Run(run), RecordType::Artifact(artifact)] {
            let record = Record {
                record_type: Some(record),
                ..Record::default()
            };
            log.append(&record.encode_to_vec()).unwrap();
        }
        log.flush().unwrap();
        dir.join(NAME)
    }

    const NAME: &str = "offline-run-20250101_000000-a";

    fn places(run: &Path) -> Vec<String> {
        let records = LogReader::open(find_log(run).unwrap()).unwrap();
        let artifacts = records.filter_map(|record| match record.unwrap().record_type {
            Some(RecordType::Artifact(artifact)) => artifact.manifest,
            _ => None,
        });
        let entries = artifacts.flat_map(|manifest| manifest.contents);
        entries.map(|entry| entry.local_path).collect()
    }

    fn told(changes: &[super::super::Change]) -> String {
        let told: Vec<_> = changes.iter().map(ToString::to_string).collect();
        told.join("; ")
    }

    #[test]
    fn a_file_outside_that_is_not_compared_stays_where_it_is_and_is_told() {
        let [dir, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [small, large] = ["small", "large"].map(|name| dir.path().join(name));
        let files: [(&Path, _); 2] = [(&large, "too large"), (&small, "small")];
        let run = naming(dir.path(), false, &files);
        let limits = Limits {
            outside: 8,
            ..Limits::default()
        };
        let surveyed = survey_within(&run, limits).unwrap();
        let noted: Vec<_> = surveyed
            .report
            .faults
            .iter()
            .map(ToString::to_string)
            .collect();
        let noted = noted.join("; ");
        assert!(
            noted.contains("name 2 files outside of this directory"),
            "{noted}"
        );
        let expected = format!(
            "brings them along, for a run that goes elsewhere, but for 1 file beyond the 16 GiB that \
             are compared, the first being {}",
            large.display()
        );
        assert!(noted.contains(&expected), "{noted}");
        let repaired = write(surveyed, &run, out.path()).unwrap();
        assert_eq!((repaired.artifacts, repaired.changed_in_all), (1, 2));
        let changed = told(&repaired.changed);
        let expected = format!(
            "1 file of artifacts outside of the run's directory, the first being {}: the clean run \
             names them where they are",
            large.display()
        );
        assert!(changed.contains(&expected), "{changed}");
        let [first, second] = places(&repaired.dir).try_into().unwrap();
        assert_eq!(Path::new(&first), large);
        assert!(Path::new(&second).starts_with(&repaired.dir), "{second}");
    }

    /// What was seen is forgotten where it is too much, and looked at once more.
    #[test]
    fn as_much_outside_is_compared_when_it_is_brought_as_before() {
        let [dir, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = dir.path().join("file");
        let run = naming(dir.path(), false, &[(&file, "hello\n")]);
        let limits = Limits {
            outside: 6,
            held: 0,
        };
        let surveyed = survey_within(&run, limits).unwrap();
        let repaired = write(surveyed, &run, out.path()).unwrap();
        let place = places(&repaired.dir).remove(0);
        assert!(Path::new(&place).starts_with(&repaired.dir), "{place}");
    }

    /// What is made of a run whose file is changed after it was looked at.
    fn changed_meanwhile(is_inside: bool, by_xxh128: bool, change: impl Fn(&Path)) -> Repaired {
        let [dir, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = match is_inside {
            true => dir.path().join(NAME).join("given"),
            false => dir.path().join("given"),
        };
        let run = naming(dir.path(), by_xxh128, &[(&file, "hello\n")]);
        let surveyed = survey(&run).unwrap();
        change(&file);
        let repaired = write(surveyed, &run, out.path()).unwrap();
        assert!(verify(&repaired.dir).unwrap().is_sound());
        let files = all_below(&repaired.dir.join("artifacts"));
        assert!(
            !files
                .iter()
                .any(|file| fs::read(file).unwrap() == b"SECRET")
        );
        repaired
    }

    fn all_below(folder: &Path) -> Vec<PathBuf> {
        let folders = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        files.map(|file| file.path()).collect()
    }

    const ALL: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

    #[test]
    fn what_takes_the_place_of_a_file_meanwhile_is_not_brought() {
        for (is_inside, by_xxh128) in ALL {
            let elsewhere = tempfile::tempdir().unwrap();
            let secret = elsewhere.path().join("secret");
            fs::write(&secret, "SECRET").unwrap();
            let repaired = changed_meanwhile(is_inside, by_xxh128, |file| {
                let time = fs::metadata(file).unwrap().modified().unwrap();
                let opened = File::options().write(true).open(&secret).unwrap();
                opened.set_modified(time).unwrap();
                fs::remove_file(file).unwrap();
                symlink(&secret, file).unwrap();
            });
            assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
            let missing = told(&repaired.missing);
            assert!(missing.contains("changed while it was copied"), "{missing}");
        }
    }

    #[test]
    fn a_file_that_can_not_be_read_a_second_time_costs_its_artifact_alone() {
        for (is_inside, by_xxh128) in ALL {
            let repaired = changed_meanwhile(is_inside, by_xxh128, |file| {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            });
            assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
        }
        // Those that the system refuses to read, which it refuses root nowhere.
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let file = tempfile::NamedTempFile::new().unwrap();
        let of = |action, path| {
            not_brought::<()>(Err(explained(
                io_error(action, path, refused()),
                file.path(),
            )))
        };
        let why = of("read", file.path()).unwrap().unwrap_err();
        assert!(why.contains("can't be read (permission denied)"), "{why}");
        // The disk of the clean run.
        assert!(of("take over", file.path()).is_err());
        assert!(of("read", Path::new("/another")).is_err());
    }

    #[test]
    fn a_file_that_changes_while_it_is_copied_costs_its_artifact_and_its_table_alone() {
        let [dir, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = dir.path().join("a");
        fs::write(&file, "hello\n").unwrap();
        let run = crate::init().dir(dir.path()).start().unwrap();
        let mut artifact = Artifact::new("data", "dataset").unwrap();
        artifact.add_file(&file).unwrap();
        run.log_artifact(artifact).unwrap();
        let mut table = Table::new(["n"]).unwrap();
        table.add_row([1_i64]).unwrap();
        run.log([("t", table)]).unwrap();
        run.finish().unwrap();
        let run = run.dir().unwrap();

        let surveyed = survey(run).unwrap();
        let folders = fs::read_dir(run.join("artifacts")).unwrap().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
        for file in files.map(|file| file.path()) {
            let len = fs::metadata(&file).unwrap().len();
            fs::remove_file(&file).unwrap();
            fs::write(file, vec![b'x'; len as usize]).unwrap();
        }
        let repaired = write(surveyed, run, out.path()).unwrap();
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 2));
        let missing: Vec<_> = repaired.missing.iter().map(ToString::to_string).collect();
        let has = |text: &str| missing.iter().any(|one| one.contains(text));
        assert!(has("changed while it was copied"), "{missing:?}");
        assert!(
            has("is of a table whose artifact is left out"),
            "{missing:?}"
        );
        assert!(verify(&repaired.dir).unwrap().is_sound());
    }
}
