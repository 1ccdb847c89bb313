//! The files of an artifact while it is put together.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::image::place;
use super::names::added;
use super::workshop::{Group, Undone};
use crate::error::{Error, Result};
use crate::image::json::artifact::{IMAGE_FILE, with_suffix};
use crate::image::json::table::TABLE_FILE;
use crate::image::{Image, Seen};
use crate::memory::Load;
use crate::sink::{Md5, Md5Hasher, Staging, Stamp, read_whole};

/// What an artifact will hold. Files are hashed and pictures are made in the background.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    files: Arc<Files>,
    jobs: Group,
}

/// The files by their paths in the artifact.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The artifact whose files they are, where it has a name.
    artifact: Option<String>,
    entries: Mutex<BTreeMap<String, Entry>>,
    staging: Mutex<Option<Arc<Staging>>>,
    seen: Mutex<Seen>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Finished {
    /// In the order of their paths.
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// Of a file that isn't hashed yet.
    Unknown,
    Md5(Md5),
    /// That of a reference is its address.
    Address(String),
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The user's own file.
    User { path: PathBuf, stamp: Stamp },
    /// A file that was staged under this name.
    Staged(Arc<Staging>, String),
    /// Nowhere here.
    Reference,
}

impl Draft {
    /// That of the artifact of this name.
    pub(super) fn of_artifact(name: &str) -> Self {
        let files = Files {
            artifact: Some(name.into()),
            ..Files::default()
        };
        Self {
            files: Arc::new(files),
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(super) fn made_in(workshop: &Arc<super::workshop::Workshop>) -> Self {
        Self {
            files: Arc::default(),
            jobs: workshop.group(),
        }
    }

    pub(crate) fn files(&self) -> &Arc<Files> {
        &self.files
    }

    pub(crate) fn jobs(&self) -> &Group {
        &self.jobs
    }

    /// Adds a file of the user's, which stays where it is.
    pub(super) fn add_file(&self, path: &Path, name: &str) -> Result<()> {
        let stamp = Stamp::of(path)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let source = Source::User { path, stamp };
        let name = added(name)?;
        let entry = Entry {
            digest: Digest::Unknown,
            size: stamp.len,
            source,
        };
        match self.files.reserve(&name, entry)? {
            true => self.give(Load::default(), name, Files::hash),
            false => Ok(()),
        }
    }

    /// Has the file of this name made, which is free again where that is refused.
    fn give(
        &self,
        load: Load,
        name: String,
        make: impl FnOnce(&Files, &str) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (files, file) = (Arc::clone(&self.files), name.clone());
        let given = self.jobs.give(load, move |_room| make(&files, &file));
        given.inspect_err(|_| drop(self.files.lock().remove(&name)))
    }

    /// Adds a copy of a file, made now.
    pub(super) fn add_copy(&self, path: &Path, name: &str) -> Result<()> {
        let name = added(name)?;
        let entry = self.files.copy(path, Stamp::of(path)?)?;
        self.files.add_new(&name, entry)
    }

    pub(super) fn add_reference(&self, name: &str, uri: &str) -> Result<()> {
        let name = added(name)?;
        self.files.reserve(&name, Entry::reference(uri)).map(drop)
    }

    /// Makes an image in the background.
    pub(super) fn add_image(&self, image: Image, name: &str) -> Result<()> {
        let name = with_suffix(&added(name)?, IMAGE_FILE);
        image.check_in_artifact()?;
        self.reserve(&name)?;
        self.give(Load::of([&image]), name, move |files, name| {
            let made = image.in_artifact();
            drop(image);
            let made = made.map_err(|error| error.of_image(name, None))?;
            files.saw(&Seen::of(&made.noticed, &made.format));
            let json = place(files, &made)?;
            files.fill(name, json.to_python_text().as_bytes())
        })
    }

    /// Takes a name for a table, and returns its path.
    pub(super) fn reserve_table(&self, name: &str) -> Result<String> {
        let name = with_suffix(&added(name)?, TABLE_FILE);
        self.reserve(&name)?;
        Ok(name)
    }

    /// Takes a name for something that is made later.
    fn reserve(&self, name: &str) -> Result<()> {
        let entry = Entry {
            digest: Digest::Unknown,
            size: 0,
            source: Source::Reference,
        };
        self.files.reserve(name, entry).map(drop)
    }

    /// Does the work when all is made, and hands over what comes of it. Nothing waits for it.
    #[must_use]
    pub(crate) fn finish<T>(
        self,
        work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
        take: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Option<Undone> {
        let Self { files, jobs } = self;
        jobs.finish(move || work(&files), take)
    }

    /// The same as a part of another draft.
    pub(crate) fn finish_in(
        self,
        other: &Draft,
        work: impl FnOnce(&Files) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let Self { files, jobs } = self;
        jobs.finish_in(&other.jobs, move || work(&files))
    }
}

/// The path of a file that would be a folder above this one, or that this one would be a folder
/// above.
fn folder_or_file<'e>(entries: &'e BTreeMap<String, Entry>, name: &str) -> Option<&'e str> {
    let mut above = name.match_indices('/').map(|(at, _)| &name[..at]);
    if let Some((file, _)) = above.find_map(|folder| entries.get_key_value(folder)) {
        return Some(file);
    }
    let folder = format!("{name}/");
    let mut below = entries.range::<str, _>((Excluded(&*folder), Unbounded));
    let (first, _) = below.next()?;
    first.starts_with(&folder).then_some(first)
}

impl Entry {
    fn reference(uri: &str) -> Self {
        Self {
            digest: Digest::Address(uri.into()),
            size: 0,
            source: Source::Reference,
        }
    }
}

impl Files {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of them out.
    pub(crate) fn finished(&self) -> Finished {
        Finished {
            entries: std::mem::take(&mut self.lock()),
            seen: std::mem::take(&mut self.lock_seen()),
        }
    }

    /// Takes note of what was noticed of pictures.
    pub(crate) fn saw(&self, seen: &Seen) {
        self.lock_seen().add(seen);
    }

    fn lock_seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self, name: &str) -> Error {
        Error::Artifact {
            reason: format!(
                "{} holds {name:?} already, and a path names one file: add it under another name",
                self.shown()
            ),
        }
    }

    fn shown(&self) -> String {
        let name = self.artifact.as_ref();
        name.map_or_else(|| "it".into(), |name| format!("the artifact {name:?}"))
    }

    /// Puts an entry under a path that is free, or was taken for it.
    fn insert(
        &self,
        entries: &mut BTreeMap<String, Entry>,
        name: &str,
        entry: Entry,
    ) -> Result<()> {
        let beside = folder_or_file(entries, name);
        if let Some(beside) = beside.filter(|_| !entries.contains_key(name)) {
            let [folder, file] = match beside.len() < name.len() {
                true => [beside, name],
                false => [name, beside],
            };
            return Err(Error::Artifact {
                reason: format!(
                    "{} can't hold both {folder:?} and {file:?}, since {folder:?} would be a file \
                     and a folder, which nobody could download: add one of them under another name",
                    self.shown()
                ),
            });
        }
        entries.insert(name.into(), entry);
        Ok(())
    }

    /// Takes a name for an entry. Whether it is new: the same file may be added again.
    fn reserve(&self, name: &str, entry: Entry) -> Result<bool> {
        let mut entries = self.lock();
        match entries.get(name) {
            None => self.insert(&mut entries, name, entry).map(|()| true),
            Some(there) if there.is_same_as(&entry) => Ok(false),
            Some(_) => Err(self.taken(name)),
        }
    }

    /// Keeps bytes under a path. The same content may be there already, for another image.
    pub(crate) fn add(&self, path: &str, bytes: &[u8]) -> Result<Md5> {
        let digest = Md5::of(bytes);
        self.add_hashed(path, bytes, digest)?;
        Ok(digest)
    }

    /// The same of bytes whose digest this is.
    pub(crate) fn add_hashed(&self, path: &str, bytes: &[u8], digest: Md5) -> Result<()> {
        let is_there = |files: &Self| {
            let entries = files.lock();
            let there = entries.get(path).map(|there| there.digest.clone());
            match there {
                Some(Digest::Md5(there)) if there == digest => Ok(true),
                Some(_) => Err(files.taken(path)),
                None => Ok(false),
            }
        };
        if !is_there(self)? {
            let entry = self.stage(digest, bytes)?;
            self.insert(&mut self.lock(), path, entry)?;
        }
        Ok(())
    }

    /// An address that an image names.
    pub(crate) fn refer(&self, path: &str, uri: &str) -> Result<()> {
        self.reserve(path, Entry::reference(uri)).map(drop)
    }

    /// Gives a name that was taken its bytes.
    pub(crate) fn fill(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let entry = self.stage(Md5::of(bytes), bytes)?;
        self.lock().insert(name.into(), entry);
        Ok(())
    }

    /// Gives a file a name that nothing else has.
    fn add_new(&self, name: &str, entry: Entry) -> Result<()> {
        let mut entries = self.lock();
        match entries.get(name) {
            Some(there) if there.digest != entry.digest => Err(self.taken(name)),
            _ => self.insert(&mut entries, name, entry),
        }
    }

    /// Gives a name, which may have been taken for it, a file that was staged.
    pub(crate) fn put(&self, name: &str, entry: Entry) -> Result<()> {
        let mut entries = self.lock();
        match entries.get(name) {
            Some(there) if ![&Digest::Unknown, &entry.digest].contains(&&there.digest) => {
                Err(self.taken(name))
            }
            _ => self.insert(&mut entries, name, entry),
        }
    }

    fn stage(&self, digest: Md5, bytes: &[u8]) -> Result<Entry> {
        let staging = self.staging()?;
        let name = digest.hex();
        staging.keep(&name, bytes)?;
        Ok(Entry {
            digest: Digest::Md5(digest),
            size: bytes.len() as u64,
            source: Source::Staged(staging, name),
        })
    }

    /// The folder of what is made here, which is made when it is needed.
    pub(crate) fn staging(&self) -> Result<Arc<Staging>> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = &*staging {
            return Ok(Arc::clone(staging));
        }
        let made = Arc::new(Staging::create()?);
        *staging = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Hashes a file of the user's.
    fn hash(&self, name: &str) -> Result<()> {
        let Some(Source::User { path, stamp }) = self.source_of(name) else {
            return Ok(());
        };
        let mut hasher = Md5Hasher::default();
        let stamp = read_whole(&path, stamp, &mut |piece| {
            hasher.update(piece);
            Ok(())
        })?;
        let entry = Entry {
            digest: Digest::Md5(hasher.finish()),
            size: stamp.len,
            source: Source::User { path, stamp },
        };
        self.lock().insert(name.into(), entry);
        Ok(())
    }

    fn copy(&self, path: &Path, stamp: Stamp) -> Result<Entry> {
        let staging = self.staging()?;
        let mut begun = staging.begin()?;
        let mut hasher = Md5Hasher::default();
        read_whole(path, stamp, &mut |piece| {
            hasher.update(piece);
            begun.write(piece)
        })?;
        let digest = hasher.finish();
        let name = digest.hex();
        staging.finish(begun, &name)?;
        Ok(Entry {
            digest: Digest::Md5(digest),
            size: stamp.len,
            source: Source::Staged(staging, name),
        })
    }

    fn source_of(&self, name: &str) -> Option<Source> {
        self.lock().get(name).map(|entry| entry.source.clone())
    }
}

impl Entry {
    /// Whether both are the same unchanged file, or the same reference.
    fn is_same_as(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (
                Source::User { path, stamp },
                Source::User {
                    path: other,
                    stamp: other_stamp,
                },
            ) => path == other && stamp.is_same_as(other_stamp),
            (Source::Reference, Source::Reference) => {
                matches!(self.digest, Digest::Address(_)) && self.digest == other.digest
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::workshop::Workshop;
    use super::*;
    use crate::convert::image_read_by;
    use crate::tensor::HostTensor;

    /// What takes longer never comes.
    const LONG: Duration = Duration::from_secs(20);

    fn draft(limit: u64, threads: usize) -> Draft {
        Draft::made_in(&Workshop::new(limit, threads))
    }

    #[test]
    fn files_are_hashed_on_several_threads_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let draft = draft(1, 2);
        let hashed = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        for name in ["a", "b"] {
            let path = dir.path().join(name);
            std::fs::write(&path, name).unwrap();
            let stamp = Stamp::of(&path).unwrap();
            let entry = Entry {
                digest: Digest::Unknown,
                size: 1,
                source: Source::User { path, stamp },
            };
            assert!(draft.files.reserve(name, entry).unwrap());
            let hashed = Arc::clone(&hashed);
            let hash = move |files: &Files, name: &str| {
                files.hash(name)?;
                let (threads, both) = &*hashed;
                let mut threads = threads.lock().unwrap();
                threads.push(thread::current().id());
                both.notify_all();
                let is_alone = |threads: &mut Vec<_>| threads.len() < 2;
                drop(both.wait_timeout_while(threads, LONG, is_alone));
                Ok(())
            };
            draft.give(Load::default(), name.into(), hash).unwrap();
        }
        let (sender, end) = std::sync::mpsc::channel();
        let work = |files: &Files| Ok(files.finished());
        let undone = draft.finish(work, move |result| sender.send(result).unwrap());
        assert!(undone.is_none());
        let entries = end.recv_timeout(3 * LONG).unwrap().unwrap().entries;
        assert!(
            entries
                .values()
                .all(|entry| entry.digest.text().len() == 24)
        );
        let ids = hashed.0.lock().unwrap();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    }

    /// A tensor that adds a picture to the artifact that waits for it.
    #[test]
    fn a_name_is_free_again_where_there_is_no_room() {
        let picture = |name: &'static str, draft: &Arc<Draft>| {
            let again = Arc::clone(draft);
            image_read_by(move || {
                let inner = again.add_image(
                    crate::Pixels::new(1, 1, crate::Mode::L, vec![0])?.into(),
                    name,
                );
                assert!(inner.unwrap_err().to_string().contains("wait for itself"));
                HostTensor::new([1, 1], vec![0_u8])
            })
        };
        let draft = Arc::new(draft(1, 1));
        draft.add_image(picture("inner", &draft), "outer").unwrap();
        let began = Instant::now();
        let is_unmade = |files: &Files| {
            let entries = files.lock();
            let outer = entries.get("outer.image-file.json");
            outer.is_some_and(|entry| entry.size == 0)
        };
        while is_unmade(&draft.files) {
            assert!(began.elapsed() < LONG, "it isn't made");
            thread::yield_now();
        }
        let entries = draft.files.lock();
        assert!(!entries.contains_key("inner.image-file.json"));
    }
}
