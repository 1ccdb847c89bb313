//! Files of artifacts and tables, until a run takes them.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::disk;
use super::host::Machine;
use super::log::io_error;
use crate::error::{Error, Result};

/// How the name of such a folder begins: beside the runs, and where everybody's temporary files are.
/// The machine and the process that it belongs to follow, since on some file systems of a network a
/// lock is known to its own machine alone.
const STAGING: &str = ".wandb-image-";
/// Held by the process that the folder belongs to.
const LOCK: &str = "lock";
const PART: &str = "part-";

/// A folder of its own, removed with all that is still in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    lock: Option<File>,
    /// `wandb/` was made for it.
    made_parent: bool,
    /// The process that it belongs to: one that is forked from it leaves it alone.
    process: u32,
}

impl Staging {
    /// Makes one where runs are, so that their files needn't be copied: in `wandb/` of `WANDB_DIR`
    /// or of the current directory, else where the system keeps temporary files.
    pub(crate) fn create() -> Result<Self> {
        let dir = std::env::var_os("WANDB_DIR").filter(|dir| !dir.is_empty());
        let dir = dir.map_or_else(|| PathBuf::from("."), PathBuf::from);
        let dir = std::path::absolute(&dir).unwrap_or(dir).join("wandb");
        Self::create_in(&dir).or_else(|_| Self::create_in(&std::env::temp_dir()))
    }

    pub(crate) fn create_in(parent: &Path) -> Result<Self> {
        let made_parent = !parent.exists();
        let begun = begin_in(parent);
        let (path, lock) =
            begun.map_err(|source| io_error("create a folder in", parent, source))?;
        // Best effort: what stays is in nobody's way.
        let _ = clear_beside(&path);
        Ok(Self {
            path,
            lock: Some(lock),
            made_parent,
            process: std::process::id(),
        })
    }

    /// Keeps a file under a name, whole or not at all.
    pub(crate) fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut begun = self.begin()?;
        begun.write(bytes)?;
        self.finish(begun, name)
    }

    /// A file to be written to, that has no name yet.
    pub(crate) fn begin(&self) -> Result<Begun> {
        let path = self.path.join(format!("{PART}{}", random_name()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = file.map_err(|source| io_error("create", &path, source))?;
        Ok(Begun { path, file })
    }

    /// Gives the file a name.
    pub(crate) fn finish(&self, begun: Begun, name: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::rename(&begun.path, &path).map_err(|source| io_error("name", &path, source))
    }

    /// Best effort: what stays goes with the folder.
    pub(super) fn discard(begun: Begun) {
        drop(begun.file);
        let _ = fs::remove_file(begun.path);
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Staging {
    /// Best effort: what stays is removed by the next one.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        drop(self.lock.take());
        let _ = remove_own(&self.path);
        if let Some(parent) = self.path.parent().filter(|_| self.made_parent) {
            // Only where nothing else is in it.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// A file that has no name yet. Dropped without one, it goes with its folder.
#[derive(Debug)]
pub(crate) struct Begun {
    path: PathBuf,
    file: File,
}

impl Begun {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| self.cannot_write(source))
    }

    pub(super) fn cannot_write(&self, source: io::Error) -> Error {
        io_error("write", &self.path, source)
    }

    /// Hands over all that was written, piece by piece.
    pub(crate) fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let cannot = |source| io_error("read", &self.path, source);
        self.file.rewind().map_err(cannot)?;
        each_piece(&mut self.file, take, &self.path).map(drop)
    }
}

fn random_name() -> String {
    let mut random = crate::random::generator();
    std::iter::repeat_with(|| random.alphanumeric())
        .take(16)
        .collect()
}

fn new_name(machine: &Machine) -> String {
    let (machine, process) = (machine.text(), std::process::id());
    format!("{STAGING}{machine}-{process}-{}", random_name())
}

/// The machine of which such a folder is; none where it isn't one.
fn machine_of(name: &str) -> Option<Machine> {
    let mut parts = name.strip_prefix(STAGING)?.rsplitn(3, '-');
    let (_, process, machine) = (parts.next()?, parts.next()?, parts.next()?);
    process.parse::<u32>().ok()?;
    Machine::parse(machine)
}

/// Whether a folder of this name is such a one.
pub(crate) fn is_staging(name: &str) -> bool {
    machine_of(name).is_some()
}

/// Makes a folder that is locked. Until it is, another process may take it for what a killed one
/// left, and remove it.
fn begin_in(parent: &Path) -> io::Result<(PathBuf, File)> {
    for _ in 0..TRIES {
        let path = parent.join(new_name(&Machine::this()));
        fs::create_dir_all(parent)?;
        match make_private(&path) {
            // Another has made that folder too, and removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            made => made?,
        }
        let claimed = claim_new(&path);
        if let Some(lock) = claimed.inspect_err(|_| drop(fs::remove_dir_all(&path)))? {
            return Ok((path, lock));
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

const TRIES: usize = 100;

/// None where another process has taken it. A file system without locks doesn't keep anybody from
/// staging files.
fn claim_new(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    let file = match File::create_new(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        made => made?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(_)) | Ok(()) => Ok(path.exists().then_some(file)),
    }
}

/// For its owner alone, since the folder for temporary files is everybody's.
#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

/// Removes what killed processes of this machine left in a folder of runs. Best effort.
pub(super) fn clear_left(parent: &Path) {
    let is_any = disk::open_folder(parent).is_ok_and(|parent| !staged_in(&parent).is_empty());
    if is_any {
        // It clears what lies beside it.
        drop(Staging::create_in(parent));
    }
}

/// The names of such folders of this machine.
fn staged_in(parent: &Dir) -> Vec<String> {
    let entries = parent.entries().into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let this = Machine::this();
    let is_of_this =
        |name: &String| machine_of(name).is_some_and(|machine| machine.is_same_as(&this));
    names.filter(is_of_this).collect()
}

/// Removes what killed processes of this machine and this user left beside a folder of this process.
fn clear_beside(own: &Path) -> io::Result<()> {
    let (parent, own) = open_parent(own)?;
    let owner = disk::owner(&parent.open_dir_nofollow(&own)?)?;
    let left = staged_in(&parent).into_iter().filter(|name| *name != own);
    left.for_each(|name| drop(clear(&parent, &name, owner)));
    Ok(())
}

fn open_parent(folder: &Path) -> io::Result<(Dir, String)> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let (Some(parent), Some(name)) = (folder.parent(), name) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Ok((disk::open_folder(parent)?, name.into()))
}

/// Anybody may have planted something of that name, and may put a link in its place meanwhile: it is
/// looked at by its handle, a link isn't followed, and a pipe not waited for.
fn clear(parent: &Dir, name: &str, owner: u32) -> io::Result<()> {
    let folder = parent.open_dir_nofollow(name)?;
    if disk::owner(&folder)? != owner {
        return Ok(());
    }
    match folder.symlink_metadata(LOCK) {
        // Killed before it had one, or when it had none any more: then nothing is in it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return parent.remove_dir(name),
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(()),
    }
    let lock = disk::open_to_lock(&folder, LOCK)?;
    match lock.try_lock() {
        Ok(()) => remove(parent, name, folder),
        Err(_) => Ok(()),
    }
}

/// Removes such a folder, its lock last: what is left where the process is killed meanwhile is
/// found by that, or is empty.
fn remove(parent: &Dir, name: &str, folder: Dir) -> io::Result<()> {
    for entry in folder.entries()? {
        let name = entry?.file_name();
        if name != LOCK {
            folder.remove_file_or_symlink(name)?;
        }
    }
    folder.remove_file_or_symlink(LOCK)?;
    drop(folder);
    parent.remove_dir(name)
}

fn remove_own(folder: &Path) -> io::Result<()> {
    let (parent, name) = open_parent(folder)?;
    let folder = parent.open_dir_nofollow(&name)?;
    remove(&parent, &name, folder)
}

/// What a file of the user's was when it was added: by which a change is noticed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    modified: Option<SystemTime>,
    node: node::Node,
}

impl Stamp {
    /// Of the file at the path, links followed.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let cannot = |source| io_error("read", path, source);
        let metadata = fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() {
            let text = match metadata.is_dir() {
                true => "it is a folder: add all that is in it by Artifact::add_dir",
                false => "it is a device, a pipe or a socket, and no file: leave it out",
            };
            return Err(cannot(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        Ok(Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            node: node::Node::of(&metadata),
        })
    }

    /// Whether nobody has written to the file in between as far as its length and its time say.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        (self.len, self.modified) == (other.len, other.modified)
    }

    /// Whether nothing at all was done to the file in between, not even a link to it made, nor
    /// another put in its place. Where not, its bytes say whether it is what it was: some disks, as
    /// those of a network, number one file anew.
    pub(super) fn is_untouched_since(&self, earlier: &Self) -> bool {
        self.is_same_as(earlier) && self.node == earlier.node
    }

    /// Whether it is one file by its number, whatever was done to it.
    pub(super) fn is_of_same_file_as(&self, other: &Self) -> bool {
        self.node.is_same_file_as(&other.node)
    }

    /// What the file is now; refused where it isn't what it was.
    pub(crate) fn check(self, path: &Path) -> Result<Self> {
        let now = Self::of(path)?;
        match now.is_same_as(&self) {
            true => Ok(now),
            false => Err(Error::FileChanged { path: path.into() }),
        }
    }
}

/// What the system knows of a file beyond its length and its time.
#[cfg(unix)]
mod node {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Node {
        device: u64,
        number: u64,
        /// When it was last written to, linked or given to somebody, in seconds and nanoseconds:
        /// nobody can set that.
        touched: (i64, i64),
    }

    impl Node {
        pub(super) fn of(file: &Metadata) -> Self {
            Self {
                device: file.dev(),
                number: file.ino(),
                touched: (file.ctime(), file.ctime_nsec()),
            }
        }

        pub(super) fn is_same_file_as(&self, other: &Self) -> bool {
            (self.device, self.number) == (other.device, other.number)
        }
    }
}

#[cfg(not(unix))]
mod node {
    use std::fs::Metadata;
    use std::time::SystemTime;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Node {
        made: Option<SystemTime>,
    }

    impl Node {
        pub(super) fn of(file: &Metadata) -> Self {
            let made = file.created().ok();
            Self { made }
        }

        pub(super) fn is_same_file_as(&self, other: &Self) -> bool {
            self == other
        }
    }
}

/// Reads a file of the user's in pieces, and refuses one that changes meanwhile. Returns what it was
/// before it was read.
pub(crate) fn read_whole(
    path: &Path,
    stamp: Stamp,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Stamp> {
    let cannot = |source| io_error("read", path, source);
    let before = stamp.check(path)?;
    let mut file = File::open(path).map_err(cannot)?;
    match each_piece(&mut file, take, path)? == stamp.len {
        true => stamp.check(path).map(|_| before),
        false => Err(Error::FileChanged { path: path.into() }),
    }
}

/// Hands over a file from here to its end, and returns its length.
pub(super) fn each_piece(
    file: &mut impl Read,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
    path: &Path,
) -> Result<u64> {
    const PIECE: usize = 1 << 17;
    let mut piece = vec![0; PIECE];
    let mut len = 0;
    loop {
        let read = match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|source| io_error("read", path, source))?,
        };
        if read == 0 {
            return Ok(len);
        }
        len += read as u64;
        take(&piece[..read])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_staging_folder_goes_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("wandb");
        let staging = Staging::create_in(&parent).unwrap();
        staging.keep("a", b"bytes").unwrap();
        assert_eq!(fs::read(staging.path_of("a")).unwrap(), b"bytes");
        drop(staging.begin().unwrap());
        drop(staging);
        assert!(!parent.exists());
    }

    /// Its own process id is another then.
    #[test]
    fn a_process_that_was_forked_leaves_the_folder_to_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::create_in(dir.path()).unwrap();
        staging.keep("a", b"bytes").unwrap();
        let path = staging.path_of("a");
        staging.process += 1;
        drop(staging);
        assert_eq!(fs::read(path).unwrap(), b"bytes");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let used = Staging::create_in(dir.path()).unwrap();
        let left = dir.path().join(new_name(&Machine::this()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::create_dir(dir.path().join("offline-run-1")).unwrap();
        let other = Staging::create_in(dir.path()).unwrap();
        assert!(used.path.exists() && other.path.exists() && !left.exists());
        assert_eq!(names(dir.path()).len(), 3);
    }

    /// Another machine's lock may be none here: its folder is in use for all that is known.
    #[test]
    fn a_folder_of_another_machine_stays() {
        let dir = tempfile::tempdir().unwrap();
        let other = Machine::parse("elsewhere-0").unwrap();
        let names = [new_name(&other), ".wandb-image-notes".into()];
        let [other, notes] = names.map(|name| dir.path().join(name));
        for folder in [&other, &notes] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(other.join(LOCK), "").unwrap();
        let _staging = Staging::create_in(dir.path()).unwrap();
        assert!(other.join(LOCK).exists() && notes.exists());
    }

    #[test]
    fn a_folder_whose_process_was_killed_before_it_had_a_lock_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [empty, others] = [(); 2].map(|()| dir.path().join(new_name(&Machine::this())));
        fs::create_dir(&empty).unwrap();
        fs::create_dir(&others).unwrap();
        fs::write(others.join("file"), "mine").unwrap();
        let _staging = Staging::create_in(dir.path()).unwrap();
        assert!(!empty.exists());
        assert!(others.join("file").exists());
    }

    /// Root alone can give a folder away: for others there is nothing to see.
    #[cfg(unix)]
    #[test]
    fn what_another_user_left_stays() {
        let dir = tempfile::tempdir().unwrap();
        let [locked, empty] = [(); 2].map(|()| dir.path().join(new_name(&Machine::this())));
        for folder in [&locked, &empty] {
            fs::create_dir(folder).unwrap();
            if std::os::unix::fs::chown(folder, Some(4711), None).is_err() {
                return;
            }
        }
        fs::write(locked.join(LOCK), "").unwrap();
        let _staging = Staging::create_in(dir.path()).unwrap();
        assert!(locked.join(LOCK).exists() && empty.exists());
    }

    #[test]
    fn a_run_that_starts_clears_what_was_left_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(new_name(&Machine::this()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        clear_left(dir.path());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    /// A file in the place of which there is a folder can't be removed: as where a kill comes then.
    #[test]
    fn the_lock_is_the_last_that_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let staging = Staging::create_in(dir.path()).unwrap();
        staging.keep("a", b"bytes").unwrap();
        fs::create_dir(staging.path_of("stays")).unwrap();
        let path = staging.path.clone();
        drop(staging);
        assert!(path.join(LOCK).exists());
        fs::remove_dir(path.join("stays")).unwrap();
        let _other = Staging::create_in(dir.path()).unwrap();
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_planted_beside_it_is_neither_followed_nor_waited_for() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let mine = tempfile::tempdir().unwrap();
        fs::write(mine.path().join(LOCK), "").unwrap();
        let [link, piped, linked] = [(); 3].map(|()| dir.path().join(new_name(&Machine::this())));
        symlink(mine.path(), link).unwrap();
        fs::create_dir(&piped).unwrap();
        let pipe = std::process::Command::new("mkfifo")
            .arg(piped.join(LOCK))
            .status();
        assert!(pipe.unwrap().success());
        fs::create_dir(&linked).unwrap();
        symlink(mine.path().join(LOCK), linked.join(LOCK)).unwrap();
        let staging = Staging::create_in(dir.path()).unwrap();
        assert!(mine.path().join(LOCK).exists());
        assert_eq!(names(dir.path()).len(), 4);
        let mode = fs::metadata(&staging.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    /// Several processes of a sweep begin at the same moment; here they are threads.
    #[test]
    fn many_that_begin_together_take_nothing_from_one_another() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let staging = Staging::create_in(dir.path()).unwrap();
                        staging.keep("a", b"bytes").unwrap();
                        assert_eq!(fs::read(staging.path_of("a")).unwrap(), b"bytes");
                    }
                });
            }
        });
    }

    /// As where an editor puts a new file in the place of the old, and keeps its time; or where a
    /// disk numbers the old one anew.
    #[cfg(unix)]
    #[test]
    fn another_file_of_the_same_length_and_time_is_to_be_compared() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other] = ["f", "g"].map(|name| dir.path().join(name));
        fs::write(&path, "one").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        fs::write(&other, "two").unwrap();
        let file = File::options().write(true).open(&other).unwrap();
        file.set_modified(stamp.modified.unwrap()).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!stamp.check(&path).unwrap().is_untouched_since(&stamp));
    }

    /// A link to it changes nothing of a file, and time that is set back hides a change.
    #[cfg(unix)]
    #[test]
    fn what_was_done_to_a_file_shows_also_where_its_time_is_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "one").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        assert!(stamp.check(&path).unwrap().is_untouched_since(&stamp));
        // Times are as fine as the system's clock ticks.
        while Stamp::of(&path).unwrap().node == stamp.node {
            let mut file = File::options().write(true).open(&path).unwrap();
            file.write_all(b"two").unwrap();
            file.set_modified(stamp.modified.unwrap()).unwrap();
        }
        assert!(!stamp.check(&path).unwrap().is_untouched_since(&stamp));
    }

    #[test]
    fn a_file_that_changes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "one").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        let mut read = Vec::new();
        let mut take = |piece: &[u8]| {
            read.extend_from_slice(piece);
            Ok(())
        };
        read_whole(&path, stamp, &mut take).unwrap();
        assert_eq!(read, b"one");
        fs::write(&path, "other").unwrap();
        let error = read_whole(&path, stamp, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::FileChanged { .. }), "{error}");
        fs::write(&path, "one").unwrap();
        let longer = &mut |_: &[u8]| {
            fs::write(&path, "one and more").unwrap();
            Ok(())
        };
        let stamp = Stamp::of(&path).unwrap();
        let error = read_whole(&path, stamp, longer).unwrap_err();
        assert!(matches!(error, Error::FileChanged { .. }), "{error}");
    }
}
