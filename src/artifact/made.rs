//! An artifact whose files all have their digests.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::draft::{Digest, Entry, Finished};
use crate::image::Seen;
use crate::sink::ManifestHasher;

/// What an artifact is called, and what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Heading {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    /// JSON, or nothing.
    pub(crate) metadata: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// By which what is logged names this version before the server does.
    pub(crate) client_id: String,
    /// The same for the latest version.
    pub(crate) sequence_client_id: String,
}

impl Heading {
    pub(crate) fn new(name: String, kind: String) -> Self {
        Self {
            name,
            kind,
            description: String::new(),
            metadata: String::new(),
            aliases: vec!["latest".into()],
            tags: Vec::new(),
            client_id: random_id(),
            sequence_client_id: random_id(),
        }
    }

    pub(super) fn add_alias(&mut self, alias: String) {
        if !self.aliases.contains(&alias) {
            self.aliases.push(alias);
        }
    }

    pub(super) fn add_tag(&mut self, tag: String) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }
}

/// As long as the Python SDK's, and of the same characters.
fn random_id() -> String {
    const LEN: usize = 128;
    const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = crate::random::generator();
    let digit = || char::from(CHARACTERS[random.usize(..CHARACTERS.len())]);
    std::iter::repeat_with(digit).take(LEN).collect()
}

/// An artifact that can be written: nothing in it can fail but the disk, and files that change.
#[derive(Debug)]
pub(crate) struct MadeArtifact {
    pub(crate) heading: Heading,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) seen: Seen,
    /// What else is to be said of it.
    pub(crate) sayings: Vec<String>,
}

impl MadeArtifact {
    /// So many files of so many bytes each, as it is said: all are one file of the crate's.
    #[cfg(test)]
    pub(crate) fn of_n_files(n: usize, size: u64) -> Self {
        use super::draft::Source;
        use crate::sink::{Md5, Stamp};
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let source = Source::User {
            path: path.into(),
            stamp: Stamp::of(path.as_ref()).unwrap(),
        };
        let file = |number: usize| {
            let entry = Entry {
                digest: Digest::Md5(Md5::of(&number.to_le_bytes())),
                size,
                source: source.clone(),
            };
            (format!("{number:06}"), entry)
        };
        let heading = Heading::new("a".into(), "dataset".into());
        Self::of_files(heading, (0..n).map(file))
    }

    #[cfg(test)]
    pub(crate) fn of_files(
        heading: Heading,
        files: impl IntoIterator<Item = (String, Entry)>,
    ) -> Self {
        Self {
            heading,
            entries: files.into_iter().collect(),
            seen: Seen::default(),
            sayings: Vec::new(),
        }
    }

    pub(super) fn new(
        heading: Heading,
        Finished { entries, seen }: Finished,
        mut sayings: Vec<String>,
    ) -> Self {
        sayings.extend(of_entries(&heading.name, &entries));
        Self {
            heading,
            entries,
            seen,
            sayings,
        }
    }
}

/// What is odd of the paths of an artifact, in words.
fn of_entries(name: &str, entries: &BTreeMap<String, Entry>) -> Option<String> {
    if entries.is_empty() {
        return Some(format!(
            "the artifact {name:?} holds no file: W&B keeps a version of it that is empty; add \
             files before it is logged"
        ));
    }
    let [one, other] = alike(entries)?;
    Some(format!(
        "the artifact {name:?} holds {one:?} and {other:?}, which are one file on disks that don't \
         tell capitals from small letters, such as those of Windows and macOS: one of them is lost \
         where it is downloaded to such a disk; rename one"
    ))
}

/// The first two paths that differ in capitals alone.
fn alike(entries: &BTreeMap<String, Entry>) -> Option<[&str; 2]> {
    let hash = |path: &str| {
        let mut hasher = DefaultHasher::new();
        path.to_lowercase().hash(&mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = entries.keys().map(|path| hash(path)).collect();
    hashes.sort_unstable();
    let mut twice = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
    twice.find_map(|pair| {
        let mut of_hash = entries.keys().filter(|path| hash(path) == pair[0]);
        let (one, other) = (of_hash.next()?, of_hash.next()?);
        (one.to_lowercase() == other.to_lowercase()).then_some([&**one, other])
    })
}

/// Of the manifest of these files: MD5 in hexadecimal digits.
pub(crate) fn manifest_digest(entries: &BTreeMap<String, Entry>) -> String {
    let mut hasher = ManifestHasher::default();
    for (path, entry) in entries {
        hasher.update(path, &entry.digest.text());
    }
    hasher.finish()
}

impl Digest {
    /// As manifests have it.
    pub(crate) fn text(&self) -> String {
        match self {
            Digest::Unknown => String::new(),
            Digest::Md5(digest) => digest.base64(),
            Digest::Address(uri) => uri.clone(),
        }
    }
}

impl Entry {
    /// That of a reference.
    pub(crate) fn address(&self) -> Option<&str> {
        match &self.digest {
            Digest::Address(uri) => Some(uri),
            Digest::Unknown | Digest::Md5(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_of_the_program_gives_no_id_twice_and_is_left_alone() {
        fastrand::seed(7);
        let number = fastrand::u64(..);
        fastrand::seed(7);
        let first = random_id();
        assert_eq!(fastrand::u64(..), number);
        fastrand::seed(7);
        assert_ne!(random_id(), first);
    }
}
