//! The files of an artifact while it is put together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::image::place;
use super::names::logical;
use super::workshop::Group;
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
        let name = logical(name)?;
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
        let name = logical(name)?;
        let entry = self.files.copy(path, Stamp::of(path)?)?;
        self.files.add_new(&name, entry)
    }

    pub(super) fn add_reference(&self, name: &str, uri: &str) -> Result<()> {
        let name = logical(name)?;
        self.files.reserve(&name, Entry::reference(uri)).map(drop)
    }

    /// Makes an image in the background.
    pub(super) fn add_image(&self, image: Image, name: &str) -> Result<()> {
        let name = logical(&with_suffix(name, IMAGE_FILE))?;
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
        let name = with_suffix(&logical(name)?, TABLE_FILE);
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
    pub(crate) fn finish<T>(
        self,
        work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
        take: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let Self { files, jobs } = self;
        jobs.finish(move || work(&files), take);
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

fn taken(name: &str) -> Error {
    Error::Artifact {
        reason: format!(
            "it holds {name:?} already, and a path names one file: add it under another name"
        ),
    }
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

    /// Takes a name for an entry. Whether it is new: the same file may be added again.
    fn reserve(&self, name: &str, entry: Entry) -> Result<bool> {
        let mut entries = self.lock();
        match entries.get(name) {
            None => {
                entries.insert(name.into(), entry);
                Ok(true)
            }
            Some(there) if there.is_same_as(&entry) => Ok(false),
            Some(_) => Err(taken(name)),
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
                Some(_) => Err(taken(path)),
                None => Ok(false),
            }
        };
        if !is_there(self)? {
            let entry = self.stage(digest, bytes)?;
            self.lock().insert(path.into(), entry);
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
            Some(there) if there.digest != entry.digest => Err(taken(name)),
            _ => {
                entries.insert(name.into(), entry);
                Ok(())
            }
        }
    }

    /// Gives a name, which may have been taken for it, a file that was staged.
    pub(crate) fn put(&self, name: &str, entry: Entry) -> Result<()> {
        let mut entries = self.lock();
        match entries.get(name) {
            Some(there) if ![&Digest::Unknown, &entry.digest].contains(&&there.digest) => {
                Err(taken(name))
            }
            _ => {
                entries.insert(name.into(), entry);
                Ok(())
            }
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
    use std::sync::Barrier;
    use std::thread;

    use super::super::workshop::Workshop;
    use super::*;
    use crate::tensor::{DType, HostTensor, Snapshot};

    fn draft(limit: u64, threads: usize) -> Draft {
        Draft {
            files: Arc::default(),
            jobs: Workshop::new(limit, threads).group(),
        }
    }

    #[test]
    fn files_are_hashed_on_several_threads_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let draft = draft(1, 2);
        let (both, ids) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(Vec::new())));
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
            let (both, ids) = (Arc::clone(&both), Arc::clone(&ids));
            let hash = move |files: &Files, name: &str| {
                files.hash(name)?;
                ids.lock().unwrap().push(thread::current().id());
                both.wait();
                Ok(())
            };
            draft.give(Load::default(), name.into(), hash).unwrap();
        }
        let (sender, end) = std::sync::mpsc::channel();
        let work = |files: &Files| Ok(files.finished());
        draft.finish(work, move |result| sender.send(result).unwrap());
        let entries = end.recv().unwrap().unwrap().entries;
        assert!(
            entries
                .values()
                .all(|entry| entry.digest.text().len() == 24)
        );
        let ids = ids.lock().unwrap();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    }

    /// A tensor that adds a picture to the artifact that waits for it.
    #[test]
    fn a_name_is_free_again_where_there_is_no_room() {
        let picture = |name: &'static str, draft: &Arc<Draft>| {
            let again = Arc::clone(draft);
            let read = move || {
                let inner = again.add_image(
                    crate::Pixels::new(1, 1, crate::Mode::L, vec![0])?.into(),
                    name,
                );
                assert!(inner.unwrap_err().to_string().contains("wait for itself"));
                HostTensor::new([1, 1], vec![0_u8])
            };
            let snapshot = Snapshot::new([1, 1], DType::U8, read);
            crate::IntoWandbImage::to_wandb_image(&Read(Mutex::new(Some(snapshot)))).unwrap()
        };
        let draft = Arc::new(draft(1, 1));
        draft.add_image(picture("inner", &draft), "outer").unwrap();
        while draft
            .files
            .lock()
            .get("outer.image-file.json")
            .is_some_and(|entry| entry.size == 0)
        {
            thread::yield_now();
        }
        let entries = draft.files.lock();
        assert!(!entries.contains_key("inner.image-file.json"));
    }

    struct Read(Mutex<Option<Snapshot>>);

    impl crate::IntoWandbImage for Read {
        fn to_host(&self) -> Result<HostTensor> {
            unreachable!("the snapshot is asked for")
        }
        fn shape(&self) -> Result<Vec<usize>> {
            Ok(vec![1, 1])
        }
        fn dtype(&self) -> Result<DType> {
            Ok(DType::U8)
        }
        fn snapshot(&self) -> Result<Snapshot> {
            Ok(self.0.lock().unwrap().take().unwrap())
        }
    }
}
