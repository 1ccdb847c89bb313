//! [`OpenArtifact`]: the folder of an artifact that was downloaded.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde_json::Value;

use super::names::logical;
use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::sink::{Md5, sha256, xxh128};
use crate::table::TableReader;
use crate::value::scan;

/// The longest JSON of an image or of classes, in bytes.
const MAX_JSON: u64 = 256 << 20;
/// The longest JSON of a table, in bytes.
const MAX_TABLE: u64 = 1 << 30;
/// The paths of all files take so many bytes at most.
const MAX_PATHS: usize = 512 << 20;
/// The longest path, in bytes.
const MAX_PATH: usize = 4096;

/// The folder of an artifact that was downloaded, to read back what is in it:
/// [`Artifact::open`](crate::Artifact::open). What the artifact that
/// `run.use_artifact(…)` returns is in Python, once `download()` has run.
///
/// It reads what this crate wrote and what the Python SDK wrote. No path, and no link in the folder,
/// leads out of it; links within it are followed. A clone is cheap: it shares the open folder.
///
/// # What is checked
///
/// Where the JSON of an image names a hash, the file must have it: SHA-256 of its picture and its
/// masks, MD5 or XXH128 of its classes. A downloaded folder holds no digests of anything else, which
/// is taken as it is: the JSON of an image or of a table (one that is cut short is an error, a number
/// that was changed in it isn't noticed), and the files of [`path`](Self::path), which aren't read
/// here at all. `artifact.verify(folder)` in Python asks the server for those.
///
/// ```
/// use wandb_image::Artifact;
/// # let dir = tempfile::tempdir()?;
/// # let download = dir.path();
/// # std::fs::create_dir_all(download.join("media/images"))?;
/// # image::GrayImage::new(3, 2).save(download.join("media/images/zero.png"))?;
/// # let json = r#"{"_type": "image-file", "path": "media/images/zero.png", "caption": "a zero"}"#;
/// # std::fs::write(download.join("zero.image-file.json"), json)?;
///
/// let digits = Artifact::open(download)?;
/// assert_eq!(digits.files()?, ["media/images/zero.png", "zero.image-file.json"]);
/// let zero = digits.get("zero")?;
/// assert_eq!((zero.caption_text(), zero.width()), (Some("a zero"), 3));
///
/// let error = digits.get("one").unwrap_err().to_string();
/// assert!(error.starts_with("\"one.image-file.json\""), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenArtifact(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    dir: Dir,
}

/// What was found in a folder so far.
struct Found {
    files: Vec<String>,
    /// Those that aren't listed yet.
    folders: Vec<String>,
    /// The bytes that their paths may take still.
    room: usize,
}

impl Found {
    fn take(&mut self, path: String, is_folder: bool) -> Result<(), &'static str> {
        let taken = path.len() + size_of::<String>();
        let room = self.room.checked_sub(taken);
        self.room =
            room.ok_or("with it there are too many files: their paths take over 512 MiB")?;
        let all = match is_folder {
            true if path.len() > MAX_PATH => return Err("paths in it are over 4,096 bytes long"),
            true => &mut self.folders,
            false => &mut self.files,
        };
        all.push(path);
        Ok(())
    }
}

/// What may bring a file that isn't there.
pub(super) const AGAIN: &str = "download the whole artifact again; where it is a reference, whose file stays \
                     elsewhere, it was not downloaded with it";

fn is_missing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl OpenArtifact {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let dir = Dir::open_ambient_dir(path, ambient_authority());
        let dir = dir.map_err(|source| Error::Io {
            action: "open the artifact in",
            path: path.into(),
            source,
        })?;
        let path = path.into();
        Ok(Self(Arc::new(Opened { path, dir })))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.0.path
    }

    /// The image that was [added](crate::Artifact::add) under this name: that of
    /// `<name>.image-file.json`, whose ending may be left out.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactPath`] for a name that leads out of the folder, [`Error::ArtifactFile`] for
    /// one that isn't there or isn't an image's, and, in [`Error::Image`], what
    /// [`Image::from_json`] refuses.
    pub fn get(&self, name: &str) -> Result<Image> {
        let path = self.find(name, Wanted::Image)?;
        let text = self.text(&path, MAX_JSON)?;
        let json = scan::parse(&text);
        let json: Value = json.map_err(|reason| self.unreadable(&path, reason))?;
        drop(text);
        Image::from_json(&json, self).map_err(|error| self.of_file(&path, error))
    }

    /// The table that was [added](crate::Artifact::add) under this name, or logged under it as a
    /// key: that of `<name>.table.json`, whose ending may be left out. Its rows are read when
    /// they are asked for. `artifact.get(name)` in Python.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactPath`] for a name that leads out of the folder, [`Error::ArtifactFile`] for
    /// one that isn't there or isn't a table's, or over 1 GiB long.
    pub fn table(&self, name: &str) -> Result<TableReader> {
        let path = self.find(name, Wanted::Table)?;
        let text = self.text(&path, MAX_TABLE)?;
        TableReader::new(text, self).map_err(|error| self.of_file(&path, error))
    }

    /// Where a file of the artifact is on this machine. It is there, and in the folder.
    /// `artifact.get_entry(name).download()` in Python.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactPath`] for a path that leads out of the folder, [`Error::ArtifactFile`] for
    /// a file that isn't there, or to which a link leads that leaves the folder.
    ///
    /// ```
    /// # use wandb_image::Artifact;
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("labels.csv"), "0,1")?;
    /// let digits = Artifact::open(dir.path())?;
    /// assert_eq!(std::fs::read(digits.path("labels.csv")?)?, b"0,1");
    /// let error = digits.path("../labels.csv").unwrap_err();
    /// assert!(error.to_string().contains("`..`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "get_entry")]
    #[doc(alias = "get_path")]
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let name = self.find(name, Wanted::File)?;
        self.open_file(&name)?;
        Ok(self.0.path.join(name))
    }

    /// The names of all images, sorted: those that [`get`](Self::get) takes. Pictures in the cells of
    /// tables aren't among them.
    ///
    /// # Errors
    ///
    /// As for [`files`](Self::files), of whose list this is a part.
    ///
    /// ```
    /// use wandb_image::Artifact;
    /// # let dir = tempfile::tempdir()?;
    /// # let download = dir.path();
    /// # image::GrayImage::new(3, 2).save(download.join("zero.png"))?;
    /// # let json = r#"{"_type": "image-file", "path": "zero.png", "caption": "a zero"}"#;
    /// # std::fs::write(download.join("zero.image-file.json"), json)?;
    /// # let json = r#"{"_type": "table", "columns": ["n"], "data": [[1], [2]], "nrows": 2, "ncols": 1}"#;
    /// # std::fs::write(download.join("counts.table.json"), json)?;
    ///
    /// let digits = Artifact::open(download)?;
    /// for name in digits.images()? {
    ///     let image = digits.get(&name)?;
    ///     println!("{name}: {}", image.caption_text().unwrap_or_default());
    /// }
    /// for name in digits.tables()? {
    ///     println!("{name}: {} rows", digits.table(&name)?.len());
    /// }
    /// # assert_eq!((digits.images()?, digits.tables()?), (vec!["zero".into()], vec!["counts".into()]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn images(&self) -> Result<Vec<String>> {
        Ok(Wanted::Image.names_in(&self.files()?))
    }

    /// The names of all tables, sorted: those that [`table`](Self::table) takes.
    ///
    /// # Errors
    ///
    /// As for [`files`](Self::files), of whose list this is a part.
    pub fn tables(&self) -> Result<Vec<String>> {
        Ok(Wanted::Table.names_in(&self.files()?))
    }

    /// The path of what a caller names. Where nothing is there, the error says what is.
    fn find(&self, name: &str, wanted: Wanted) -> Result<String> {
        let path = logical(&wanted.path_of(name))?;
        let is_missing = |error: &io::Error| is_missing(error.kind());
        match self.0.dir.symlink_metadata(&path) {
            Err(error) if is_missing(&error) => {
                let files = self.files().unwrap_or_default();
                Err(self.unreadable(&path, wanted.missing(name, &files)))
            }
            _ => Ok(path),
        }
    }

    /// The paths of all files, relative to the folder, with slashes, sorted. Links aren't among
    /// them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a folder that can't be listed, [`Error::ArtifactFile`] for a name that
    /// isn't UTF-8, and for so many files that their paths take over 512 MiB.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut found = Found {
            files: Vec::new(),
            folders: vec![String::new()],
            room: MAX_PATHS,
        };
        while let Some(folder) = found.folders.pop() {
            self.list(&folder, &mut found)?;
        }
        found.files.sort();
        Ok(found.files)
    }

    fn list(&self, folder: &str, found: &mut Found) -> Result<()> {
        let failed = |source| Error::Io {
            action: "list",
            path: self.0.path.join(folder),
            source,
        };
        let of_folder = if folder.is_empty() { "." } else { folder };
        for entry in self.0.dir.read_dir(of_folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.file_name();
            let within = |name: &str| match folder {
                "" => name.to_owned(),
                _ => format!("{folder}/{name}"),
            };
            let path = within(&name.to_string_lossy());
            if name.to_str().is_none() {
                return Err(self.unreadable(&path, "its name isn't UTF-8: rename it"));
            }
            if kind.is_dir() || kind.is_file() {
                let taken = found.take(path, kind.is_dir());
                taken.map_err(|reason| self.unreadable(folder, reason))?;
            }
        }
        Ok(())
    }

    /// The bytes of a file whose sha256 is this, where that is known.
    pub(crate) fn hashed(&self, path: &str, hash: Option<&str>, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.bytes(path, limit)?;
        if let Some(hash) = hash {
            self.check_hash(path, hash, [("SHA-256", sha256(&bytes))])?;
        }
        Ok(bytes)
    }

    /// The text of a file whose digest is this, where that is known: MD5 or XXH128, as the artifact
    /// was made. Both have 128 bits, and nothing in the folder says which it is.
    pub(crate) fn digested(&self, path: &str, digest: Option<&str>) -> Result<String> {
        let text = self.text(path, MAX_JSON)?;
        if let Some(digest) = digest {
            let (md5, xxh128) = (Md5::of(text.as_bytes()).base64(), xxh128(text.as_bytes()));
            self.check_hash(path, digest, [("MD5", md5), ("XXH128", xxh128)])?;
        }
        Ok(text)
    }

    /// Refuses a file of which no hash is the expected one.
    fn check_hash<const N: usize>(
        &self,
        path: &str,
        expected: &str,
        hashes: [(&str, String); N],
    ) -> Result<()> {
        if hashes.iter().any(|(_, hash)| hash == expected) {
            return Ok(());
        }
        let found = hashes.map(|(name, hash)| format!("its {name} is {hash}"));
        let reason = format!(
            "{}, but {} is what the artifact says: it was changed or damaged, so download it again",
            found.join(" and "),
            crate::error::beginning(expected)
        );
        Err(self.unreadable(path, reason))
    }

    fn text(&self, path: &str, limit: u64) -> Result<String> {
        let text = scan::utf8(self.bytes(path, limit)?);
        text.map_err(|reason| self.unreadable(path, reason))
    }

    fn bytes(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let path = logical(path)?;
        let (file, len) = self.open_file(&path)?;
        let too_long = || {
            let reason = format!("it is over {limit} bytes long, which is more than is read");
            self.unreadable(&path, reason)
        };
        if len > limit {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(&path, &error))?;
        match bytes.len() as u64 > limit {
            true => Err(too_long()),
            false => Ok(bytes),
        }
    }

    /// A file under a path that [`logical`] gave, and its length.
    fn open_file(&self, path: &str) -> Result<(File, u64)> {
        let failed = |error| self.failed(path, &error);
        // What is no file may wait for ever when it is opened.
        let found = self.0.dir.metadata(path).map_err(failed)?;
        if !found.is_file() {
            return Err(self.unreadable(path, "it is a folder or a device, and no file"));
        }
        let file = self.0.dir.open(path).map_err(failed)?;
        Ok((file.into_std(), found.len()))
    }

    fn failed(&self, path: &str, error: &io::Error) -> Error {
        let reason = match error.kind() {
            kind if is_missing(kind) => format!("it isn't there: {AGAIN}"),
            // So cap-std says it, and the system has a number.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                "a link leads out of the folder, and isn't followed: put the file itself there"
                    .into()
            }
            _ => error.to_string(),
        };
        self.unreadable(path, reason)
    }

    pub(crate) fn unreadable(&self, path: &str, reason: impl Into<String>) -> Error {
        Error::ArtifactFile {
            dir: self.0.path.clone(),
            path: crate::error::beginning(path),
            reason: reason.into(),
        }
    }

    /// The error of an image or a table whose JSON this file is.
    fn of_file(&self, path: &str, error: Error) -> Error {
        match error {
            Error::ArtifactJson { reason } => self.unreadable(path, reason),
            other => other.of_image(path, None),
        }
    }
}
