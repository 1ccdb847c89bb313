//! The files of a run as they are on disk, looked at and never changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::media::{HASH_DIGITS, hex};
use super::names::parent_of;
use crate::image::json::NamedFile;

/// The longest path that is looked for, in bytes; Linux takes no longer one.
const MAX_PATH: usize = 4096;

/// What stands under a path of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// A path that doesn't lead into `files/`: why.
    Unsafe(&'static str),
    /// A link, its own or of a folder above it, that leads out of `files/`.
    Link,
    Missing,
    /// A folder, a device or a pipe, or what the system refuses to read: why.
    Unreadable(String),
    File {
        size: u64,
        sha256: String,
    },
}

/// The folder `files/` of a run. Each file is read once.
pub(super) struct Files {
    dir: PathBuf,
    seen: BTreeMap<String, Stored>,
}

impl Files {
    pub(super) fn new(dir: PathBuf) -> Self {
        let seen = BTreeMap::new();
        Self { dir, seen }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What stands there, its hash included.
    pub(super) fn look(&mut self, path: &str) -> &Stored {
        let dir = &self.dir;
        let seen = self.seen.entry(path.into());
        seen.or_insert_with(|| match place(dir, path) {
            Ok(place) => copy(&place, &mut io::sink()),
            Err(stored) => stored,
        })
    }

    /// Copies the file, and says what was copied.
    pub(super) fn copy(&self, path: &str, to: &mut impl Write) -> Stored {
        match place(&self.dir, path) {
            Ok(place) => copy(&place, to),
            Err(stored) => stored,
        }
    }

    /// What was found there, where it was looked at.
    pub(super) fn known(&self, path: &str) -> Option<&Stored> {
        self.seen.get(path)
    }
}

/// Why `wandb sync` wouldn't upload a file of this path.
pub(super) fn unsafe_path(path: &str) -> Option<&'static str> {
    let has = |part: fn(&Component) -> bool| Path::new(path).components().any(|c| part(&c));
    if path.is_empty() {
        return Some("is empty");
    }
    if path.len() > MAX_PATH {
        return Some("is over 4,096 bytes long");
    }
    if has(|part| matches!(part, Component::RootDir | Component::Prefix(_))) {
        return Some("is absolute");
    }
    if has(|part| matches!(part, Component::ParentDir)) {
        return Some("holds `..`");
    }
    path.contains('\0').then_some("holds NUL")
}

/// The bytes of a file that is there, in `dir` itself.
pub(super) fn length(dir: &Path, path: &str) -> Option<u64> {
    let place = place(dir, path).ok()?;
    Some(fs::metadata(place).ok()?.len())
}

/// Why what isn't a file can't be read.
pub(super) const NO_FILE: &str = "it is no file, but a folder or a device";

/// Where the file is, no link leading out of `dir`.
fn place(dir: &Path, path: &str) -> Result<PathBuf, Stored> {
    if let Some(reason) = unsafe_path(path) {
        return Err(Stored::Unsafe(reason));
    }
    let root = dir.canonicalize().map_err(not_there)?;
    let run = parent_of(dir).canonicalize().map_err(not_there)?;
    if !root.starts_with(run) {
        return Err(Stored::Link);
    }
    let place = match dir.join(path).canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_link_on_the_way(dir, path) => {
            return Err(Stored::Link);
        }
        other => other.map_err(not_there)?,
    };
    if !place.starts_with(&root) {
        return Err(Stored::Link);
    }
    match fs::metadata(&place) {
        Ok(found) if found.is_file() => Ok(place),
        Ok(_) => Err(Stored::Unreadable(NO_FILE.into())),
        Err(error) => Err(not_there(error)),
    }
}

fn is_link_on_the_way(dir: &Path, path: &str) -> bool {
    let mut at = dir.to_path_buf();
    Path::new(path).components().any(|part| {
        at.push(part);
        at.is_symlink()
    })
}

fn not_there(error: io::Error) -> Stored {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Stored::Missing,
        _ => Stored::Unreadable(error.to_string()),
    }
}

fn copy(from: &Path, to: &mut impl Write) -> Stored {
    match File::open(from).and_then(|file| copy_hashed(file, to)) {
        Ok(stored) => stored,
        Err(error) => not_there(error),
    }
}

fn copy_hashed(mut from: impl Read, to: &mut impl Write) -> io::Result<Stored> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        size += n as u64;
    }
    let sha256 = hex(&hasher.finalize());
    Ok(Stored::File { size, sha256 })
}

/// How a file differs from what a row says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Size { expected: u64, found: u64 },
    Hash { expected: String, found: String },
}

/// Whether the bytes are those that the row names: by size and hash, or where it says neither, as
/// in a list of images, by the hash in the file's name.
pub(super) fn mismatch(named: &NamedFile, size: u64, sha256: &str) -> Option<Mismatch> {
    if let Some(expected) = named.size.filter(|&expected| expected != size) {
        let found = size;
        return Some(Mismatch::Size { expected, found });
    }
    let expected = named.sha256.clone().or_else(|| hash_in_name(&named.path))?;
    let digits = sha256.get(..expected.len()).unwrap_or(sha256);
    (!expected.eq_ignore_ascii_case(digits)).then(|| Mismatch::Hash {
        expected,
        found: digits.into(),
    })
}

/// The beginning of the hash that W&B's names end with: `<key>_<step>_<hash>.<extension>`.
fn hash_in_name(path: &str) -> Option<String> {
    let name = path.strip_prefix("media/images/")?.rsplit('/').next()?;
    let (stem, _) = name.rsplit_once('.')?;
    let hash = stem.rsplit('_').next()?;
    let is_hash = hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| hash.into())
}

/// Every file below `files/`, relative to it with slashes. Links aren't followed: not one in the
/// place of `files/` itself either.
pub(super) fn all_below(files: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let root = files.to_path_buf();
    let mut folders = Vec::from_iter((!files.is_symlink()).then_some(root));
    while let Some(folder) = folders.pop() {
        // What can't be listed holds nothing that could be named.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.extend(relative(files, &entry.path())),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn relative(files: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(files).ok()?.iter();
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, size: Option<u64>, sha256: Option<&str>) -> NamedFile {
        NamedFile {
            key: "k".into(),
            kind: None,
            path: path.into(),
            sha256: sha256.map(Into::into),
            size,
            caption: None,
            width: None,
            height: None,
            format: None,
            artifact: None,
            has_layers: false,
        }
    }

    #[test]
    fn a_file_is_compared_with_what_names_it() {
        let hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let check = |named: NamedFile, is_equal: bool| {
            assert_eq!(mismatch(&named, 3, hash).is_none(), is_equal, "{named:?}");
        };
        check(named("a", Some(3), Some(hash)), true);
        check(named("a", None, Some(&hash.to_uppercase())), true);
        check(named("a", Some(4), Some(hash)), false);
        check(named("a", Some(3), Some(&hash.replace('0', "1"))), false);
        check(
            named("media/images/a/b_0_0123456789abcdef0123.png", None, None),
            true,
        );
        check(
            named("media/images/a/b_0_1123456789abcdef0123.png", None, None),
            false,
        );
        check(named("media/images/own_name.png", None, None), true);
        check(
            named("media/table/b_0_1123456789abcdef0123.json", None, None),
            true,
        );
    }

    #[test]
    fn paths_that_leave_the_run_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("folder")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        let mut files = Files::new(files);
        let mut check = |path: &str, expected: Stored| {
            assert_eq!(*files.look(path), expected, "{path}");
        };
        check("../secret", Stored::Unsafe("holds `..`"));
        check("/etc/hostname", Stored::Unsafe("is absolute"));
        check("", Stored::Unsafe("is empty"));
        check("a\0b", Stored::Unsafe("holds NUL"));
        check("none/at/all", Stored::Missing);
        check("folder", Stored::Unreadable(NO_FILE.into()));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_inside_alone() {
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("in")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(files.join("in/own"), "xy").unwrap();
        symlink(dir.path(), files.join("out")).unwrap();
        symlink("in/own", files.join("link")).unwrap();
        symlink("no/such", files.join("dangling")).unwrap();
        let mut files = Files::new(files);
        assert_eq!(*files.look("out/secret"), Stored::Link);
        assert_eq!(*files.look("dangling"), Stored::Link);
        let size = match files.look("link") {
            Stored::File { size, .. } => *size,
            other => panic!("{other:?}"),
        };
        assert_eq!(size, 2);
        assert_eq!(all_below(files.dir()), ["in/own"]);
        symlink("/", dir.path().join("all")).unwrap();
        let mut files = Files::new(dir.path().join("all"));
        assert_eq!(*files.look("etc/hostname"), Stored::Link);
    }
}
