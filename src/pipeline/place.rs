//! From the content of a file to its name: that of the row before where it is the same.

use std::collections::BTreeMap;

use crate::image::LayerKind;
use crate::sink::MediaKey;

/// What a file is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileKind {
    /// A picture in this format.
    Picture(&'static str),
    Layer(LayerKind),
}

/// The files that a row names under one key, by what they are and the hash of their content.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownFiles(BTreeMap<(FileKind, String), String>);

/// Names the files of one key in one row.
#[derive(Debug)]
pub(super) struct Namer<'k> {
    key: &'k MediaKey,
    step: u64,
    last: KnownFiles,
    now: KnownFiles,
}

/// A file with a name.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    kind: FileKind,
    sha256: String,
    pub(super) path: String,
    /// It is on disk already.
    pub(super) is_there: bool,
}

impl<'k> Namer<'k> {
    pub(super) fn new(key: &'k MediaKey, step: u64, last: KnownFiles) -> Self {
        Self {
            key,
            step,
            last,
            now: KnownFiles::default(),
        }
    }

    /// A file of an image whose files so far are `others`.
    pub(super) fn name(&self, kind: FileKind, sha256: &str, others: &[NamedFile]) -> NamedFile {
        let id = (kind, sha256.to_owned());
        let is_same = |other: &&NamedFile| (other.kind, &*other.sha256) == (kind, sha256);
        let before = others.iter().find(is_same).map(|other| &other.path);
        let known = before
            .or_else(|| self.now.0.get(&id))
            .or_else(|| self.last.0.get(&id));
        NamedFile {
            path: known.cloned().unwrap_or_else(|| self.path(kind, sha256)),
            is_there: known.is_some(),
            kind,
            sha256: id.1,
        }
    }

    fn path(&self, kind: FileKind, sha256: &str) -> String {
        match kind {
            FileKind::Picture(format) => self.key.image_path(self.step, sha256, format),
            FileKind::Layer(kind) => self.key.layer_path(kind, self.step, sha256),
        }
    }

    /// The row names these files.
    pub(super) fn keep(&mut self, files: Vec<NamedFile>) {
        let files = files.into_iter();
        let known = files.map(|file| ((file.kind, file.sha256), file.path));
        self.now.0.extend(known);
    }

    pub(super) fn into_known(self) -> KnownFiles {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: FileKind = FileKind::Picture("png");
    const MASK: FileKind = FileKind::Layer(LayerKind::Mask);

    fn check(namer: &mut Namer<'_>, kind: FileKind, sha256: &str, path: &str, is_there: bool) {
        let file = namer.name(kind, sha256, &[]);
        assert_eq!((&*file.path, file.is_there), (path, is_there));
        namer.keep(vec![file]);
    }

    #[test]
    fn a_layer_like_another_of_its_image_is_there() {
        let key = MediaKey::new("k").unwrap();
        let namer = Namer::new(&key, 1, KnownFiles::default());
        let first = namer.name(MASK, "aa", &[]);
        let second = namer.name(MASK, "aa", std::slice::from_ref(&first));
        let other = namer.name(PNG, "aa", std::slice::from_ref(&first));
        assert_eq!((&second.path, second.is_there), (&first.path, true));
        assert_eq!((first.is_there, other.is_there), (false, false));
    }

    #[test]
    fn what_the_last_row_or_this_one_names_is_there() {
        let key = MediaKey::new("k").unwrap();
        let mut first = Namer::new(&key, 1, KnownFiles::default());
        check(&mut first, PNG, "aa", "media/images/k_1_aa.png", false);
        check(&mut first, PNG, "aa", "media/images/k_1_aa.png", true);
        check(
            &mut first,
            MASK,
            "aa",
            "media/images/mask/k_1_aa.mask.png",
            false,
        );
        let mut second = Namer::new(&key, 2, first.into_known());
        check(&mut second, PNG, "bb", "media/images/k_2_bb.png", false);
        check(
            &mut second,
            MASK,
            "aa",
            "media/images/mask/k_1_aa.mask.png",
            true,
        );
        let mut third = Namer::new(&key, 3, second.into_known());
        check(&mut third, PNG, "aa", "media/images/k_3_aa.png", false);
        check(
            &mut third,
            MASK,
            "aa",
            "media/images/mask/k_1_aa.mask.png",
            true,
        );
    }
}
