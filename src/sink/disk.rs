//! What the sink asks of a disk, and the real one.
//!
//! A folder is a handle, and names are looked up in it. So whatever is renamed or planted while a
//! run is written, nothing leads out of the run.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use cap_fs_ext::{DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};

/// What a name leads to, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(super) device: u64,
    pub(super) number: u64,
}

/// An open folder. A name is that of a file or folder in it.
pub(crate) trait Folder: Send + Sized {
    type File: DiskFile;

    /// Opens a folder. A link is an error.
    fn open_folder(&self, name: &str) -> io::Result<Self>;

    fn create_folder(&self, name: &str) -> io::Result<()>;

    /// Makes a file to write to, where nothing of that name may exist.
    fn create_file(&self, name: &str) -> io::Result<Self::File>;

    /// Makes a log, where nothing of that name may exist.
    fn create_log(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file to read it, and nothing else. A link is an error.
    fn open_file(&self, name: &str) -> io::Result<impl Read + use<Self>>;

    /// Brings what was written to a file to where it outlasts the power, by whichever handle. A link
    /// is an error.
    fn sync_file(&self, name: &str) -> io::Result<()>;

    /// Gives a file the place of whatever is called `new` in another folder, also of a link.
    fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()>;

    /// Gives a file that lies elsewhere a place here, where nothing of that name may exist: linked,
    /// or moved where it may be and can't be linked. A link is followed.
    fn take(&self, name: &str, from: &Path, may_move: bool) -> io::Result<()>;

    /// Removes a file, or a link itself.
    fn remove_file(&self, name: &str) -> io::Result<()>;

    fn identity(&self) -> io::Result<Identity>;

    /// What is at the end of a path, whose parts are separated by slashes.
    fn identity_of(&self, path: &str) -> io::Result<Identity>;

    fn is_link(&self, name: &str) -> bool;

    /// Brings the names in this folder to where they outlast the power.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Read + Write + Seek + Send {
    /// Takes back what was written after `len`, and goes on there.
    fn rewind_to(&mut self, len: u64) -> io::Result<()>;

    /// Brings what was written to where it outlasts the power.
    fn sync(&self) -> io::Result<()>;

    /// Keeps other writers out as long as this is open: `WouldBlock` where there is one.
    fn claim(&self) -> io::Result<()>;

    fn identity(&self) -> io::Result<Identity>;
}

impl Folder for Dir {
    type File = File;

    fn open_folder(&self, name: &str) -> io::Result<Self> {
        self.open_dir_nofollow(name)
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        self.create_dir(name)
    }

    fn create_file(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        open(self, name, options.write(true).create_new(true))
    }

    fn create_log(&self, name: &str) -> io::Result<File> {
        open(self, name, log_options().create_new(true))
    }

    fn open_file(&self, name: &str) -> io::Result<impl Read + use<>> {
        open(self, name, OpenOptions::new().read(true))
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        open(self, name, &mut sync_options())?.sync_data()
    }

    fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        self.rename(name, to, new)
    }

    fn take(&self, name: &str, from: &Path, may_move: bool) -> io::Result<()> {
        let from = std::fs::canonicalize(from)?;
        let (Some(parent), Some(from)) = (from.parent(), from.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = open_folder(parent)?;
        // Linked first also where it may be moved: then it can be taken once more.
        match parent.hard_link(from, self, name) {
            Err(error) if may_move && !is_final(&error) => parent.rename(from, self, name),
            linked => linked,
        }
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        self.remove_file_or_symlink(name)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.dir_metadata().map(|metadata| identity(&metadata))
    }

    fn identity_of(&self, path: &str) -> io::Result<Identity> {
        self.symlink_metadata(path)
            .map(|metadata| identity(&metadata))
    }

    fn is_link(&self, name: &str) -> bool {
        self.symlink_metadata(name)
            .is_ok_and(|metadata| metadata.is_symlink())
    }

    fn sync(&self) -> io::Result<()> {
        sync_folder(self)
    }
}

impl DiskFile for File {
    fn rewind_to(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn claim(&self) -> io::Result<()> {
        lock(self)
    }

    fn identity(&self) -> io::Result<Identity> {
        Metadata::from_file(self).map(|metadata| identity(&metadata))
    }
}

/// Whether another way to take a file would meet the same.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotFound};
    matches!(error.kind(), AlreadyExists | NotFound)
}

/// The folder of that path, links followed: it is the user's own way to it.
pub(super) fn open_folder(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Whose it is.
#[cfg(unix)]
pub(super) fn owner(folder: &Dir) -> io::Result<u32> {
    let metadata = folder.dir_metadata()?;
    Ok(cap_std::fs::MetadataExt::uid(&metadata))
}

/// Users have no numbers here, nor a folder for temporary files in common.
#[cfg(not(unix))]
pub(super) fn owner(_: &Dir) -> io::Result<u32> {
    Ok(0)
}

/// Opens a file to lock it. A link is an error.
pub(super) fn open_to_lock(folder: &Dir, name: &str) -> io::Result<File> {
    open(folder, name, OpenOptions::new().read(true))
}

/// Opens a log to go on with it. A link is an error.
pub(super) fn open_log(run: &Dir, name: &str) -> io::Result<File> {
    open(run, name, &mut log_options())
}

fn open(folder: &Dir, name: &str, options: &mut OpenOptions) -> io::Result<File> {
    let file = folder.open_with(name, options.follow(FollowSymlinks::No))?;
    Ok(file.into_std())
}

fn identity(metadata: &Metadata) -> Identity {
    Identity {
        device: metadata.dev(),
        number: metadata.ino(),
    }
}

#[cfg(not(windows))]
fn log_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Others may read the log, rename and delete it, but not write to it.
#[cfg(windows)]
fn log_options() -> OpenOptions {
    use cap_std::fs::OpenOptionsExt;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_DELETE: u32 = 4;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
    options
}

/// A file may be its owner's to read alone.
#[cfg(not(windows))]
fn sync_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    options
}

/// The system syncs by such handles alone by which one may write.
#[cfg(windows)]
fn sync_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

/// A file system without locks, as some in a network, doesn't keep a run from being written.
#[cfg(not(windows))]
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(std::fs::TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

/// The way in which it was opened keeps others out; a lock would keep readers out too.
#[cfg(windows)]
fn lock(_: &File) -> io::Result<()> {
    Ok(())
}

/// As [`lock`], but an error also where the file system has no locks: nothing shows then that no
/// other process writes to it.
#[cfg(unix)]
pub(super) fn claim_strictly(log: &File) -> io::Result<()> {
    log.try_lock().map_err(io::Error::from)
}

/// Whether a log couldn't be opened since another writes to it.
#[cfg(not(windows))]
pub(super) fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether a log couldn't be opened since another writes to it.
#[cfg(windows)]
pub(super) fn is_in_use(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

/// The handle of a folder may serve to look names up alone, so it is opened once more. Some file
/// systems have no such call: then nothing more can be done.
#[cfg(not(windows))]
fn sync_folder(folder: &Dir) -> io::Result<()> {
    match folder.open(".")?.sync_all() {
        Err(error) if is_unsupported(&error) => Ok(()),
        synced => synced,
    }
}

#[cfg(not(windows))]
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// Windows has no such call: what becomes of a name is the file system's.
#[cfg(windows)]
fn sync_folder(_: &Dir) -> io::Result<()> {
    Ok(())
}
