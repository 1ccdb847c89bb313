//! What is added by its path or its address: the files of a folder, references.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, counted};
use crate::sink::{is_live_log, is_staging};

/// The name of a file, by which it is called in an artifact.
pub(super) fn name_of(path: &Path) -> Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| Error::ArtifactPath {
        path: path.display().to_string(),
        reason: "its name isn't UTF-8: give it another by add_file_as",
    })
}

/// What was found in a folder and those below.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// How many files were handed over.
    files: u64,
    /// The folders that were left out, without the links to them.
    left_out: BTreeSet<PathBuf>,
}

impl Walked {
    /// What is odd of a folder that was added to an artifact, in words.
    pub(super) fn sayings(&self, artifact: &str, folder: &Path) -> Vec<String> {
        let empty = (self.files == 0).then(|| {
            let folder = folder.display();
            format!(
                "the folder {folder} that was added to the artifact {artifact:?} holds no file that \
                 can be added: nothing was"
            )
        });
        let left_out = self.left_out.first().map(|first| {
            let others = match self.left_out.len() as u64 {
                1 => String::new(),
                n => format!(" and {}", counted(n - 1, "other folder")),
            };
            format!(
                "the artifact {artifact:?} was added without {}{others}: what a run that hasn't \
                 ended is writing can't be added",
                first.display()
            )
        });
        empty.into_iter().chain(left_out).collect()
    }
}

/// Hands over each file in a folder and in those below, in the order of their names, with its path
/// in the folder. Links are followed. What this crate is writing, runs and temporary files, is left
/// out.
pub(super) fn each_file(
    folder: &Path,
    take: &mut dyn FnMut(&Path, &str) -> Result<()>,
) -> Result<Walked> {
    let paths = listed(folder)?;
    if is_being_written(folder, &paths) {
        return Err(Error::Artifact {
            reason: format!(
                "{} is being written by a run, and files that change can't be added: add its files \
                 when it has ended, or single ones by Artifact::add_mutable_file",
                folder.display()
            ),
        });
    }
    let mut walk = Walk {
        above: Vec::new(),
        found: Walked::default(),
        take,
    };
    walk.folder(folder, "", paths)?;
    Ok(walk.found)
}

struct Walk<'t> {
    /// The folders that this one lies in, and itself.
    above: Vec<PathBuf>,
    found: Walked,
    take: &'t mut dyn FnMut(&Path, &str) -> Result<()>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, within: &str, paths: Vec<PathBuf>) -> Result<()> {
        let itself = fs::canonicalize(folder).map_err(|source| cannot_read(folder, source))?;
        if self.above.contains(&itself) {
            let text = "it is a link to a folder that it lies in: remove it";
            let source = io::Error::new(io::ErrorKind::InvalidInput, text);
            return Err(cannot_read(folder, source));
        }
        self.above.push(itself);
        for path in paths {
            let within = match within {
                "" => name_of(&path)?.to_owned(),
                _ => format!("{within}/{}", name_of(&path)?),
            };
            match path.is_dir() {
                true => self.below(path, &within)?,
                false => self.file(&path, &within)?,
            }
        }
        self.above.pop();
        Ok(())
    }

    fn below(&mut self, folder: PathBuf, within: &str) -> Result<()> {
        let paths = listed(&folder)?;
        match is_being_written(&folder, &paths) {
            true => {
                let itself = fs::canonicalize(&folder).unwrap_or(folder);
                self.found.left_out.insert(itself);
                Ok(())
            }
            false => self.folder(&folder, within, paths),
        }
    }

    fn file(&mut self, path: &Path, within: &str) -> Result<()> {
        (self.take)(path, within)?;
        self.found.files += 1;
        Ok(())
    }
}

/// What is in a folder, in the order of the names.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        let text = "it is a file: add it by Artifact::add_file";
        let source = io::Error::new(io::ErrorKind::NotADirectory, text);
        return Err(cannot_read(folder, source));
    }
    let entries = fs::read_dir(folder).map_err(|source| cannot_read(folder, source))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths
        .collect::<io::Result<_>>()
        .map_err(|source| cannot_read(folder, source))?;
    paths.sort();
    Ok(paths)
}

/// Whether a folder is that of a run that is being written, or of this crate's temporary files.
fn is_being_written(folder: &Path, paths: &[PathBuf]) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(is_staging) || paths.iter().any(|path| is_live_log(path))
}

fn cannot_read(folder: &Path, source: io::Error) -> Error {
    Error::Io {
        action: "read",
        path: folder.into(),
        source,
    }
}

/// The address of a file that stays where it is.
#[derive(Debug)]
pub(super) struct Reference {
    uri: String,
    /// In a bucket, which has no folders.
    key: Option<String>,
}

impl Reference {
    pub(super) fn new(uri: &str) -> Result<Self> {
        let buckets = ["s3://", "gs://"].into_iter();
        let mut in_bucket = buckets.filter_map(|scheme| Some((scheme, uri.strip_prefix(scheme)?)));
        if let Some((scheme, place)) = in_bucket.next() {
            // What follows asks for a version, and isn't part of the name.
            let place = place.split(['?', '#']).next().unwrap_or_default();
            let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
            return match bucket {
                "" => Err(refused(uri)),
                _ => Ok(Self {
                    uri: format!("{scheme}{bucket}/{key}"),
                    key: Some(if key.is_empty() { bucket } else { key }.into()),
                }),
            };
        }
        let is_address = ["http://", "https://"]
            .iter()
            .any(|scheme| uri.starts_with(scheme));
        match is_address {
            true => Ok(Self {
                uri: uri.into(),
                key: None,
            }),
            false => Err(refused(uri)),
        }
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// What it is called in an artifact unless something else is asked for.
    pub(super) fn name(&self) -> Result<String> {
        let last = || self.uri.rsplit('/').next().unwrap_or_default().to_owned();
        let key = self.key.as_deref().map(|key| key.trim_end_matches('/'));
        let name = key.map_or_else(last, Into::into);
        match name.is_empty() {
            true => Err(Error::Artifact {
                reason: format!(
                    "the address {:?} ends in a slash, and gives no name: name it by \
                     add_reference_as",
                    self.uri
                ),
            }),
            false => Ok(name),
        }
    }
}

fn refused(uri: &str) -> Error {
    Error::Artifact {
        reason: format!(
            "{uri:?} is no address that begins with s3://, gs://, http:// or https://: add a file \
             of this machine by add_file"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, kept: &str, name: &str) {
        let reference = Reference::new(uri).unwrap();
        assert_eq!((reference.uri(), &*reference.name().unwrap()), (kept, name));
    }

    #[test]
    fn references_are_named_as_the_sdk_names_them() {
        let http = "https://example.invalid/some/x.png?size=2";
        check(http, http, "x.png?size=2");
        check(
            "s3://bucket/some/key.png",
            "s3://bucket/some/key.png",
            "some/key.png",
        );
        check(
            "s3://bucket/key.png?versionId=1",
            "s3://bucket/key.png",
            "key.png",
        );
        check("s3://bucket", "s3://bucket/", "bucket");
        check(
            "gs://bucket/other/key.bin#7",
            "gs://bucket/other/key.bin",
            "other/key.bin",
        );
        for refused in ["file:///x", "x.png", "s3://", "ftp://a/b", ""] {
            assert!(Reference::new(refused).is_err(), "{refused}");
        }
        assert!(Reference::new("https://a/b/").unwrap().name().is_err());
    }

    #[test]
    fn a_folder_is_walked_in_order_and_a_circle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/c")).unwrap();
        for name in ["a.txt", "b/c/d.txt", "b/e.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let mut seen = Vec::new();
        let mut take = |_: &Path, within: &str| {
            seen.push(within.to_owned());
            Ok(())
        };
        each_file(dir.path(), &mut take).unwrap();
        assert_eq!(seen, ["a.txt", "b/c/d.txt", "b/e.txt"]);
        assert!(each_file(&dir.path().join("a.txt"), &mut |_, _| Ok(())).is_err());
    }

    #[test]
    fn temporary_folders_of_this_crate_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "a").unwrap();
        let staging = crate::sink::Staging::create_in(&dir.path().join("wandb")).unwrap();
        staging.keep("b.txt", b"b").unwrap();
        let mut seen = Vec::new();
        let mut take = |_: &Path, within: &str| {
            seen.push(within.to_owned());
            Ok(())
        };
        let walked = each_file(dir.path(), &mut take).unwrap();
        assert_eq!(seen, ["a.txt"]);
        let said = walked.sayings("x", dir.path());
        assert!(
            said.len() == 1 && said[0].contains(".wandb-image-"),
            "{said:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_above_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/up")).unwrap();
        let error = each_file(dir.path(), &mut |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("lies in"), "{error}");
    }
}
