//! The media files of a run, in its `files/`, and the files of its artifacts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};

use super::digest::md5_of;
use super::disk::{DiskFile, Folder, Identity};
use super::log::io_error;
use super::staging::each_piece;
use super::{ARTIFACTS, Durability, Md5, Md5Hasher, StagedFile};
use crate::error::Result;

/// The run's folder of media files.
const FILES: &str = "files";

/// What a file is called in `files/` until it is whole, one of an artifact too. One name is enough,
/// since one thread writes, and so what a killed process leaves is found.
pub(super) const PART: &str = ".media.part";

/// Folders that are kept open.
const MAX_OPEN: usize = 8;

/// Folders of media whose loss is noticed: the first that were written to. There is one for each
/// part of the keys before the last slash, and each is looked up for each row with pictures. Those
/// of artifacts are no more than 257, and come on top: while one is taken, and at each flush.
const MAX_KNOWN: usize = 256;

/// Writes below the `files/` of a run, in folders that it makes where they are missing.
pub(super) struct Files<F> {
    run: F,
    durability: Durability,
    /// `files/`, where it was opened.
    root: Option<F>,
    /// The folders that were written to last, the latest at the end.
    open: Vec<OpenFolder<F>>,
    /// The folders that were written to, by their path from the run's folder.
    known: BTreeMap<String, Identity>,
    /// Folders of artifacts, by the same paths, that got files since the last record of one: their
    /// names may not outlast the power.
    unsynced: BTreeSet<String>,
    has_lost: bool,
}

/// A folder with its path from the run's folder.
struct OpenFolder<F> {
    path: String,
    folder: F,
    identity: Identity,
}

impl<F: Folder> Files<F> {
    /// Those of the run that has this folder.
    pub(super) fn new(run: F, durability: Durability) -> Self {
        Self {
            run,
            durability,
            root: None,
            open: Vec::new(),
            known: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            has_lost: false,
        }
    }

    /// The run's folder.
    pub(super) fn run(&self) -> &F {
        &self.run
    }

    /// Makes `files/` where it is missing.
    pub(super) fn make(&mut self) -> io::Result<()> {
        let root = enter(&self.run, FILES, self.durability)?;
        self.root = Some(root);
        Ok(())
    }

    /// Removes what a killed process left.
    pub(super) fn clear(&self) -> io::Result<()> {
        match self.root.as_ref().map(|root| root.remove_file(PART)) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Looks for folders that were written to and aren't in their place any more: for those of
    /// artifacts only while files wait for the record that names them.
    pub(super) fn look(&mut self) {
        let is_taking = !self.unsynced.is_empty();
        self.look_for(|path| is_taking || !is_of_artifacts(path));
    }

    /// Looks for all of them.
    pub(super) fn look_for_all(&mut self) {
        self.look_for(|_| true);
    }

    fn look_for(&mut self, is_asked: impl Fn(&str) -> bool) {
        let run = &self.run;
        let before = self.known.len();
        self.known
            .retain(|path, known| !is_asked(path) || look_up(run, path, *known) != Found::Lost);
        if self.known.len() < before {
            self.has_lost = true;
            self.open.clear();
        }
    }

    /// Whether files may be gone, since this was last asked: their folder wasn't found in its place.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    /// Whether a media file is gone. Where that can't be asked, it isn't known to be.
    pub(super) fn lacks(&self, path: &str) -> bool {
        self.lacks_in_run(&format!("{FILES}/{path}"))
    }

    /// The same of a path from the run's own folder.
    pub(super) fn lacks_in_run(&self, path: &str) -> bool {
        let found = self.run.identity_of(path);
        found.is_err_and(|error| leads_nowhere(&error))
    }

    /// Opens a file by its path from the run's own folder.
    pub(super) fn open_in_run(&self, path: &str) -> io::Result<impl Read + use<F>> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = open_path(&self.run, folder)?;
        folder.as_ref().unwrap_or(&self.run).open_file(name)
    }

    /// Brings the names of folders to where they outlast the power.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        self.root.iter().try_for_each(F::sync)?;
        self.run.sync()
    }

    /// Writes a file under another name first, so that one of this name is always whole.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let open = match self.take(folder) {
            Some(open) => open,
            None => self.open(folder)?,
        };
        let Some(root) = &self.root else {
            return Err(io::ErrorKind::NotFound.into());
        };
        fill(root, bytes, self.durability)
            .and_then(|()| root.rename(PART, &open.folder, name))
            // Best effort: the name is never read, and the next file takes it.
            .inspect_err(|_| drop(root.remove_file(PART)))?;
        self.durability
            .sync(&open.folder)
            .inspect_err(|_| drop(open.folder.remove_file(name)))?;
        self.keep(open);
        Ok(())
    }

    /// Takes over a file at a path below `files/`.
    pub(super) fn take_media(&mut self, path: &str, file: &StagedFile<'_>) -> Result<()> {
        let cannot = |source| io_error("take over", file.from, source);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let open = match self.take(folder) {
            Some(open) => open,
            None => self.open(folder).map_err(cannot)?,
        };
        self.hand_over(&open.folder, name, file)?;
        let synced = self.durability.sync(&open.folder);
        synced
            .inspect_err(|_| drop(open.folder.remove_file(name)))
            .map_err(cannot)?;
        self.keep(open);
        Ok(())
    }

    /// The same at a path in the run's own folder, for a file of an artifact. Its name outlasts the
    /// power after [`sync_artifacts`](Self::sync_artifacts).
    pub(super) fn take_artifact(&mut self, path: &str, file: &StagedFile<'_>) -> Result<()> {
        let cannot = |source| io_error("take over", file.from, source);
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.enter_artifacts(folders).map_err(cannot)?;
        self.hand_over(&folder, name, file)
    }

    /// Opens a folder of artifacts, and what is above it.
    fn enter_artifacts(&mut self, folders: &str) -> io::Result<F> {
        self.root = Some(enter(&self.run, FILES, Durability::Process)?);
        let mut here = None;
        let mut path = String::new();
        for part in folders.split('/') {
            let above = path.clone();
            path = if above.is_empty() {
                part.into()
            } else {
                format!("{above}/{part}")
            };
            // Asked before it is made again, as for those of media.
            let known = self.known.get(&path);
            self.has_lost |=
                known.is_some_and(|known| look_up(&self.run, &path, *known) == Found::Lost);
            let folder = enter(
                here.as_ref().unwrap_or(&self.run),
                part,
                Durability::Process,
            )?;
            self.known.insert(path.clone(), folder.identity()?);
            self.unsynced.extend([above, path.clone()]);
            here = Some(folder);
        }
        here.ok_or(io::ErrorKind::NotFound.into())
    }

    /// Brings the names of artifacts' files to where they outlast the power.
    pub(super) fn sync_artifacts(&mut self) -> io::Result<()> {
        if self.durability == Durability::Fsync {
            for path in &self.unsynced {
                open_path(&self.run, path)?
                    .map_or_else(|| self.run.sync(), |folder| folder.sync())?;
            }
        }
        self.unsynced.clear();
        Ok(())
    }

    /// Gives a file of elsewhere its place, that of whatever is there: one of the same name has the
    /// same bytes, or was written to since.
    fn hand_over(&self, folder: &F, name: &str, file: &StagedFile<'_>) -> Result<()> {
        let cannot = |source| io_error("take over", file.from, source);
        let root = self.root.as_ref().ok_or(io::ErrorKind::NotFound.into());
        let root = root.map_err(cannot)?;
        let is_untouched = file.check()?;
        let brought = match bring(root, file) {
            Err(_) if was_moved(folder, name, file) => return Ok(()),
            // Something was done to it since it was hashed: be it that it was linked.
            Ok(None) if !is_untouched => {
                let found = root.open_file(PART).and_then(md5_of).map(Some);
                found.map_err(|source| io_error("read", file.from, source))
            }
            brought => brought,
        };
        let taken = brought
            .and_then(|hash| hash.map_or(Ok(()), |hash| file.compare(hash)))
            .and_then(|()| match self.durability {
                Durability::Process => Ok(()),
                Durability::Fsync => root.sync_file(PART).map_err(cannot),
            })
            // What was taken is what it was, and nothing else is put in the place of that.
            .and_then(|()| file.check())
            .and_then(|_| root.rename(PART, folder, name).map_err(cannot));
        // Where both are links to one file, the system leaves both; else best effort.
        let _ = root.remove_file(PART);
        taken
    }

    /// The folder, where it is open and still in its place.
    fn take(&mut self, folder: &str) -> Option<OpenFolder<F>> {
        let path = path_of(folder);
        let index = self.open.iter().position(|open| open.path == path)?;
        let found = look_up(&self.run, &path, self.open[index].identity);
        if found == Found::There {
            return Some(self.open.remove(index));
        }
        self.has_lost |= found == Found::Lost;
        self.open.clear();
        None
    }

    /// Opens a folder from the run's own on, part by part, so that no link is followed.
    fn open(&mut self, folder: &str) -> io::Result<OpenFolder<F>> {
        let path = path_of(folder);
        // Asked before it is made again, since that may have the number of the one before.
        let known = self.known.get(&path).copied();
        let found = known.map(|known| look_up(&self.run, &path, known));
        self.has_lost |= found == Some(Found::Lost);
        self.root = Some(enter(&self.run, FILES, self.durability)?);
        // The folder itself, by another handle.
        let mut here = self.run.open_folder(FILES)?;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            here = enter(&here, part, self.durability)?;
        }
        Ok(OpenFolder {
            path,
            identity: here.identity()?,
            folder: here,
        })
    }

    fn keep(&mut self, open: OpenFolder<F>) {
        let of_artifacts = self.known.keys().filter(|path| is_of_artifacts(path));
        let media = self.known.len() - of_artifacts.count();
        if media < MAX_KNOWN || self.known.contains_key(&open.path) {
            self.known.insert(open.path.clone(), open.identity);
        }
        if self.open.len() == MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push(open);
    }
}

/// Whether a file that isn't where it was has the place already that it is to have: it was moved
/// there, since another of the same bytes is to have that too.
fn was_moved<F: Folder>(folder: &F, name: &str, file: &StagedFile<'_>) -> bool {
    let is_gone = || !file.from.try_exists().unwrap_or(true);
    let is_whole = || {
        let found = folder.open_file(name).and_then(md5_of);
        found.is_ok_and(|found| file.compare(found).is_ok())
    };
    file.may_move && is_gone() && is_whole()
}

/// Brings a file of elsewhere to `files/`: linked, and copied where that can't be, as on another
/// disk. The hash of what was copied.
fn bring<F: Folder>(root: &F, file: &StagedFile<'_>) -> Result<Option<Md5>> {
    let cannot = |source| io_error("take over", file.from, source);
    let take = || root.take(PART, file.from, file.may_move);
    let taken = take().or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => root.remove_file(PART).and_then(|()| take()),
        _ => Err(error),
    });
    match taken {
        // One that has taken its place since it was looked at.
        Ok(()) if root.is_link(PART) => Err(cannot(io::ErrorKind::NotFound.into())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => copy(root, file).map(Some),
        taken => taken.map(|()| None).map_err(cannot),
    }
}

fn copy<F: Folder>(root: &F, file: &StagedFile<'_>) -> Result<Md5> {
    let cannot = |source| io_error("take over", file.from, source);
    let source = File::open(file.from);
    let mut source = source.map_err(|source| io_error("read", file.from, source))?;
    let mut to = create(root).map_err(cannot)?;
    let mut hasher = Md5Hasher::default();
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        to.write_all(piece).map_err(cannot)
    };
    each_piece(&mut source, &mut take, file.from)?;
    Ok(hasher.finish())
}

/// What has become of a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    Lost,
    /// It can't be asked for at the moment: a permission, a handle or the network is missing.
    Unknown,
}

fn look_up<F: Folder>(run: &F, path: &str, identity: Identity) -> Found {
    match run.identity_of(path) {
        Ok(found) if found == identity => Found::There,
        Ok(_) => Found::Lost,
        Err(error) if leads_nowhere(&error) => Found::Lost,
        Err(_) => Found::Unknown,
    }
}

/// Whether a look-up failed since there is no such name in the run: also where a link on the way
/// leads out of it, for which there is no number of the system's.
fn leads_nowhere(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => true,
        io::ErrorKind::PermissionDenied => error.raw_os_error().is_none(),
        _ => false,
    }
}

/// Of a path from the run's folder.
fn is_of_artifacts(path: &str) -> bool {
    path.starts_with(ARTIFACTS)
}

fn path_of(folder: &str) -> String {
    match folder {
        "" => FILES.into(),
        folder => format!("{FILES}/{folder}"),
    }
}

/// Opens a folder, and makes it where it is missing. Its name outlasts the power then, whoever
/// made it.
pub(super) fn enter<F: Folder>(parent: &F, name: &str, durability: Durability) -> io::Result<F> {
    let opened = parent.open_folder(name).or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        parent.create_folder(name)?;
        parent.open_folder(name)
    });
    let folder = opened.map_err(|error| explained(parent, name, error))?;
    durability.sync(parent)?;
    Ok(folder)
}

/// The system's words for it differ, and none says what to do.
fn explained<F: Folder>(parent: &F, name: &str, error: io::Error) -> io::Error {
    if !parent.is_link(name) {
        return error;
    }
    let text = format!("{name:?} is a link, and a run follows none: remove it, or rename it");
    io::Error::new(error.kind(), text)
}

/// The folder at the end of a path, no link on the way followed; none at the end of no path.
fn open_path<F: Folder>(run: &F, path: &str) -> io::Result<Option<F>> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.try_fold(None, |here: Option<F>, part| {
        here.as_ref().unwrap_or(run).open_folder(part).map(Some)
    })
}

/// Makes the file that has no name yet, in the place of one that was left.
fn create<F: Folder>(root: &F) -> io::Result<F::File> {
    match root.create_file(PART) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            root.remove_file(PART)?;
            root.create_file(PART)
        }
        created => created,
    }
}

fn fill<F: Folder>(root: &F, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = create(root)?;
    file.write_all(bytes)?;
    match durability {
        Durability::Process => Ok(()),
        Durability::Fsync => file.sync(),
    }
}
