//! An image as W&B's artifacts and tables hold it: its files without names yet, and what is said
//! of its classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::boxes::BoundingBox;
use super::classes::Classes;
use super::source::Source;
use super::{Image, Noticed, extension};
use crate::decode::PictureFile;
use crate::error::{Error, Result};

/// A picture with its overlays, made.
#[derive(Debug)]
pub(crate) struct ArtifactImage {
    pub(crate) picture: ArtifactPicture,
    pub(crate) format: String,
    /// Width and height in pixels, where the picture is here.
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) caption: Option<String>,
    pub(crate) grouping: Option<i64>,
    pub(crate) layers: ArtifactLayers,
    pub(crate) noticed: Noticed,
}

#[derive(Debug)]
pub(crate) enum ArtifactPicture {
    /// The bytes of a file that was read as it is, and its name.
    File { name: String, bytes: Arc<Vec<u8>> },
    /// The bytes of a file that was encoded here.
    Made(Arc<Vec<u8>>),
    /// One that stays where it is.
    Reference(String),
}

/// What lies over a picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArtifactLayers {
    /// The bytes of each mask's file.
    pub(crate) masks: Vec<(String, Vec<u8>)>,
    pub(crate) boxes: Vec<(String, Vec<BoundingBox>)>,
    /// The names of the classes of each mask; none where W&B numbers none.
    pub(crate) mask_names: BTreeMap<String, Classes>,
    pub(crate) box_names: BTreeMap<String, Classes>,
    pub(crate) score_names: BTreeSet<String>,
    /// The classes of all of it.
    pub(crate) classes: ClassSet,
}

/// Classes in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassSet(Vec<(i64, String)>);

impl ClassSet {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|(id, name)| (*id, &**name))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name that comes later holds, and stands where the first did: as in a `dict` of Python's.
    fn add(&mut self, classes: &Classes) {
        let mut places: BTreeMap<i64, usize> = self
            .0
            .iter()
            .enumerate()
            .map(|(at, one)| (one.0, at))
            .collect();
        for (id, name) in classes.iter() {
            match places.get(&id) {
                Some(&at) => self.0[at].1 = name.into(),
                None => {
                    places.insert(id, self.0.len());
                    self.0.push((id, name.into()));
                }
            }
        }
    }
}

impl ArtifactLayers {
    pub(super) fn add_boxes(&mut self, key: &str, boxes: Vec<BoundingBox>, names: Classes) {
        let scores = boxes.iter().flat_map(|one| one.scores().keys().cloned());
        self.score_names.extend(scores);
        self.classes.add(&names);
        self.box_names.insert(key.into(), names);
        self.boxes.push((key.into(), boxes));
    }

    pub(super) fn add_mask(&mut self, key: &str, bytes: Vec<u8>, names: Classes) {
        self.classes.add(&names);
        self.mask_names.insert(key.into(), names);
        self.masks.push((key.into(), bytes));
    }

    pub(super) fn add_classes(&mut self, classes: Option<&Classes>) {
        classes.iter().for_each(|classes| self.classes.add(classes));
    }

    /// Whether the image names a file of classes, also one without any: as the Python SDK has it
    /// of every image with layers.
    pub(crate) fn have_classes(&self) -> bool {
        !self.masks.is_empty() || !self.boxes.is_empty() || !self.classes.is_empty()
    }

    /// W&B draws no mask of an artifact without names of classes. Where there are boxes, they have
    /// names, and a layer without boxes needs none.
    fn check(&self) -> Result<()> {
        match !self.masks.is_empty() && self.classes.is_empty() {
            true => Err(Error::NoClasses),
            false => Ok(()),
        }
    }
}

impl Image {
    /// The image as an artifact holds it, made now.
    pub(crate) fn in_artifact(&self) -> Result<ArtifactImage> {
        let (layers, layers_noticed) = self.layers.in_artifact(self.frame())?;
        layers.check()?;
        let (picture, format, noticed) = self.picture_in_artifact()?;
        let size = match picture {
            ArtifactPicture::Reference(_) => None,
            _ => Some((self.width(), self.height())),
        };
        Ok(ArtifactImage {
            picture,
            format,
            size,
            caption: self.caption.clone(),
            grouping: self.shown_grouping(),
            layers,
            noticed: Noticed {
                layers: layers_noticed,
                left_out: self.layers.left_out().count(),
                ..noticed
            },
        })
    }

    fn picture_in_artifact(&self) -> Result<(ArtifactPicture, String, Noticed)> {
        if let Source::Reference(uri) = &self.source {
            let picture = ArtifactPicture::Reference(uri.to_string());
            return Ok((picture, extension(uri).into(), Noticed::default()));
        }
        let name = self.file_as_it_is().and_then(PictureFile::name);
        let (bytes, format, noticed) = self.encode_picture()?;
        Ok(match name {
            Some(name) => {
                let ending = Path::new(name)
                    .extension()
                    .and_then(|ending| ending.to_str());
                let format = ending.unwrap_or(format);
                let name = name.into();
                (
                    ArtifactPicture::File { name, bytes },
                    format.into(),
                    noticed,
                )
            }
            None => (ArtifactPicture::Made(bytes), format.into(), noticed),
        })
    }

    /// Refuses what [`in_artifact`](Self::in_artifact) would, as far as that is known without
    /// making anything.
    pub(crate) fn check_in_artifact(&self) -> Result<()> {
        match self.source {
            Source::Reference(_) => super::check_caption(self.caption_text())?,
            _ => self.check()?,
        }
        self.layers.check_in_artifact()
    }
}
