//! What lies over a picture: masks and boxes, each under its key, and the names of their classes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::artifact::ArtifactLayers;
use super::boxes::{BoundingBox, BoundingBoxes2D, Domain};
use super::classes::Classes;
use super::frame::Frame;
use super::json;
use super::left_out::LeftOut;
use super::mask::ImageMask;
use crate::encode::{self, FileType, PngEffort};
use crate::error::{Error, Result, beginning};
use crate::pixels::Pixels;

/// The longest key of a layer, in bytes.
const MAX_KEY: usize = 1 << 10;

/// What a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LayerKind {
    Mask,
    Boxes,
}

impl LayerKind {
    fn name(self) -> &'static str {
        match self {
            LayerKind::Mask => "mask",
            LayerKind::Boxes => "boxes",
        }
    }
}

/// A layer as the bytes of a file, with the names of its classes.
#[derive(Clone, Debug)]
pub(crate) struct EncodedLayer {
    pub(crate) kind: LayerKind,
    pub(crate) key: String,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) names: Names,
}

/// What the classes of a layer are called.
#[derive(Clone, Debug)]
pub(crate) enum Names {
    Given(Classes),
    /// By their ids, which are these.
    Numbered(BTreeSet<i64>),
}

impl Names {
    /// All names, where these add to the known ones. A given name replaces a known one, a number
    /// stands where there is none.
    pub(crate) fn added_to(&self, known: &Classes) -> Option<Classes> {
        match self {
            Names::Given(names) if known.has(names) => None,
            Names::Given(names) => Some(known.clone().with(names)),
            Names::Numbered(ids) if ids.iter().all(|&id| known.get(id).is_some()) => None,
            Names::Numbered(ids) => Some(Classes::numbered(ids.iter().copied()).with(known)),
        }
    }
}

/// What a user should hear of the layers of one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayersNoticed {
    /// Pixels of masks whose scores were all NaN.
    pub(crate) unscored: u64,
    /// Boxes that were left out, since they can't be drawn or lie outside.
    pub(crate) skipped: u64,
    /// Layers of which all boxes lie within one pixel: more likely fractions.
    pub(crate) within_a_pixel: u32,
    /// Boxes that are kept, and lie wholly outside of the picture.
    pub(crate) outside: u64,
    /// Layers with ids that have no name, though others were given.
    pub(crate) unnamed: u32,
    /// The first of these ids.
    pub(crate) unnamed_id: Option<i64>,
}

impl LayersNoticed {
    pub(crate) fn add(&mut self, other: Self) {
        self.unscored += other.unscored;
        self.skipped += other.skipped;
        self.within_a_pixel += other.within_a_pixel;
        self.outside += other.outside;
        self.unnamed += other.unnamed;
        self.unnamed_id = self.unnamed_id.or(other.unnamed_id);
    }

    fn add_unnamed(&mut self, id: Option<i64>) {
        self.unnamed += u32::from(id.is_some());
        self.unnamed_id = self.unnamed_id.or(id);
    }

    pub(crate) fn any(self) -> bool {
        self != Self::default()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    masks: BTreeMap<String, ImageMask>,
    boxes: BTreeMap<String, BoundingBoxes2D>,
    classes: Option<Classes>,
    left_out: LeftOut,
}

impl Layers {
    /// The classes alone.
    pub(super) fn without_layers(&self) -> Self {
        Self {
            classes: self.classes.clone(),
            left_out: self.left_out.without_layers(),
            ..Self::default()
        }
    }

    pub(super) fn set_classes(&mut self, classes: Classes) {
        self.classes = Some(classes);
    }

    pub(super) fn set_left_out(&mut self, left_out: LeftOut) {
        self.left_out = left_out;
    }

    pub(super) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    pub(super) fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    pub(super) fn masks(&self) -> &BTreeMap<String, ImageMask> {
        &self.masks
    }

    pub(super) fn boxes(&self) -> &BTreeMap<String, BoundingBoxes2D> {
        &self.boxes
    }

    /// Adds a mask to a picture of this size, where it is known.
    pub(super) fn add_mask(
        &mut self,
        key: String,
        mask: ImageMask,
        size: Option<(u32, u32)>,
    ) -> Result<()> {
        check_key(LayerKind::Mask, &key, self.masks.contains_key(&key))?;
        match size {
            Some(picture) if picture != mask.size() => {
                let mask = mask.size();
                Err(of_layer(
                    LayerKind::Mask,
                    &key,
                    Error::MaskSize { mask, picture },
                ))
            }
            _ => {
                self.masks.insert(key, mask);
                Ok(())
            }
        }
    }

    pub(super) fn add_boxes(&mut self, key: String, boxes: BoundingBoxes2D) -> Result<()> {
        check_key(LayerKind::Boxes, &key, self.boxes.contains_key(&key))?;
        boxes
            .check()
            .map_err(|error| of_layer(LayerKind::Boxes, &key, error))?;
        self.boxes.insert(key, boxes);
        Ok(())
    }

    /// Whether the same is shown over a picture in this frame as those show over the other, which
    /// is of the same size.
    pub(super) fn show_those_of(&self, frame: Frame, others: &Self, other: Frame) -> bool {
        let alike = |own: Option<&Classes>, of_other: Option<&Classes>| {
            frame == other && self.named(own) == others.named(of_other)
        };
        let masks = |one: &ImageMask, other: &ImageMask| {
            alike(one.labels(), other.labels()) && one.covers_as(other)
        };
        let boxes = |one: &BoundingBoxes2D, other: &BoundingBoxes2D| {
            alike(one.labels(), other.labels()) && one.show_as(other, frame.picture())
        };
        self.all_classes() == others.all_classes()
            && same_layers(&self.masks, &others.masks, masks)
            && same_layers(&self.boxes, &others.boxes, boxes)
    }

    /// All names that were given, with layers or for all of them.
    fn all_classes(&self) -> Classes {
        let of_masks = self.masks.values().filter_map(ImageMask::labels);
        let of_boxes = self.boxes.values().filter_map(BoundingBoxes2D::labels);
        let given = of_masks.chain(of_boxes).chain(&self.classes);
        given.fold(Classes::default(), Classes::with)
    }

    /// As in [`Image::held`](super::Image::held).
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, u64)> {
        let masks = self.masks.values().flat_map(ImageMask::held);
        masks.chain(self.boxes.values().flat_map(BoundingBoxes2D::held))
    }

    /// The bytes of a made mask are those of its pixels.
    pub(super) fn mask_bytes(&self, frame: Frame) -> u64 {
        let (width, height) = frame.size();
        self.masks.len() as u64 * u64::from(width) * u64::from(height)
    }

    /// The files of all layers over a picture in its frame.
    pub(super) fn encode(&self, frame: Frame) -> Result<(Vec<EncodedLayer>, LayersNoticed)> {
        let mut noticed = LayersNoticed::default();
        let mut layers = Vec::new();
        for (key, mask) in &self.masks {
            let ids = made_ids(key, mask, frame, &mut noticed)?;
            noticed.add_unnamed(self.unnamed_in_mask(mask, &ids));
            layers.push(self.mask_file(key, mask, &ids)?);
        }
        for (key, boxes) in &self.boxes {
            let made = made_boxes(key, boxes, frame, &mut noticed)?;
            noticed.add_unnamed(self.unnamed_in_boxes(boxes, &made));
            layers.push(self.boxes_file(key, boxes, &made));
        }
        Ok((layers, noticed))
    }

    /// The same as an artifact holds them.
    pub(super) fn in_artifact(&self, frame: Frame) -> Result<(ArtifactLayers, LayersNoticed)> {
        let mut noticed = LayersNoticed::default();
        let mut layers = ArtifactLayers::default();
        for (key, boxes) in &self.boxes {
            let made = made_boxes(key, boxes, frame, &mut noticed)?;
            noticed.add_unnamed(self.unnamed_in_boxes(boxes, &made));
            let names = self.names_in_artifact(boxes.labels(), &ids_of(&made));
            layers.add_boxes(key, made, names);
        }
        for (key, mask) in &self.masks {
            let ids = made_ids(key, mask, frame, &mut noticed)?;
            noticed.add_unnamed(self.unnamed_in_mask(mask, &ids));
            let names = match (mask.is_file(), mask.labels()) {
                (true, None) => Classes::default(),
                (_, labels) => self.names_in_artifact(labels, &ids_in(&ids)),
            };
            layers.add_mask(key, mask_bytes(&ids)?, names);
        }
        layers.add_classes(self.classes.as_ref());
        Ok((layers, noticed))
    }

    /// Refuses masks of which no class has a name, as far as that is known without making the
    /// layers.
    pub(super) fn check_in_artifact(&self) -> Result<()> {
        let is_nameless = |labels: Option<&Classes>| labels.is_none_or(Classes::is_empty);
        let masks_are =
            (self.masks.values()).all(|mask| mask.is_file() && is_nameless(mask.labels()));
        let boxes_are =
            (self.boxes.values()).all(|boxes| boxes.is_empty() && is_nameless(boxes.labels()));
        let are_nameless = masks_are && boxes_are && is_nameless(self.classes.as_ref());
        match are_nameless && !self.masks.is_empty() {
            true => Err(Error::NoClasses),
            false => Ok(()),
        }
    }

    fn unnamed_in_mask(&self, mask: &ImageMask, made: &Pixels) -> Option<i64> {
        self.unnamed_of(LayerKind::Mask, mask.labels(), || ids_in(made))
    }

    fn unnamed_in_boxes(&self, boxes: &BoundingBoxes2D, made: &[BoundingBox]) -> Option<i64> {
        self.unnamed_of(LayerKind::Boxes, boxes.labels(), || ids_of(made))
    }

    /// An id that has no name, though others were given. 0 of a mask is none such, nor is 255: by
    /// custom the background, and what is ignored.
    fn unnamed_of(
        &self,
        kind: LayerKind,
        own: Option<&Classes>,
        ids: impl FnOnce() -> BTreeSet<i64>,
    ) -> Option<i64> {
        let given: Vec<&Classes> = own.into_iter().chain(&self.classes).collect();
        if given.iter().all(|classes| classes.is_empty()) {
            return None;
        }
        let is_custom = |id: &i64| kind == LayerKind::Mask && [0, 255].contains(id);
        let is_named = |id: &i64| given.iter().any(|classes| classes.get(*id).is_some());
        let mut unnamed = ids().into_iter();
        unnamed.find(|id| !is_custom(id) && !is_named(id))
    }

    /// The layer's own names, else a name for each of its ids.
    fn names_in_artifact(&self, own: Option<&Classes>, ids: &BTreeSet<i64>) -> Classes {
        let own = own.filter(|own| !own.is_empty());
        let numbered = || {
            let all = self.classes.clone().unwrap_or_default();
            let known = ids.iter().filter_map(|&id| Some((id, all.get(id)?)));
            Classes::numbered(ids.iter().copied()).with(&Classes::of_distinct(known))
        };
        own.cloned().unwrap_or_else(numbered)
    }

    fn mask_file(&self, key: &str, mask: &ImageMask, ids: &Pixels) -> Result<EncodedLayer> {
        let names = match self.named(mask.labels()) {
            Some(classes) => Names::Given(classes),
            None => Names::Numbered(ids_in(ids)),
        };
        Ok(EncodedLayer {
            kind: LayerKind::Mask,
            key: key.into(),
            bytes: Arc::new(mask_bytes(ids)?),
            names,
        })
    }

    fn boxes_file(&self, key: &str, boxes: &BoundingBoxes2D, made: &[BoundingBox]) -> EncodedLayer {
        let named = self.named(boxes.labels());
        let bytes = json::boxes(made, named.as_ref()).to_text().into_bytes();
        let names = match named {
            Some(classes) => Names::Given(classes),
            None => Names::Numbered(ids_of(made)),
        };
        EncodedLayer {
            kind: LayerKind::Boxes,
            key: key.into(),
            bytes: Arc::new(bytes),
            names,
        }
    }

    /// The layer's own names, else those of the image.
    fn named(&self, own: Option<&Classes>) -> Option<Classes> {
        own.or(self.classes.as_ref()).cloned()
    }
}

/// The ids of a mask in the frame of its picture.
fn made_ids(
    key: &str,
    mask: &ImageMask,
    frame: Frame,
    noticed: &mut LayersNoticed,
) -> Result<Arc<Pixels>> {
    let made = mask
        .make()
        .and_then(|(ids, unscored)| Ok((frame.around(ids)?, unscored)));
    let (ids, unscored) = made.map_err(|error| of_layer(LayerKind::Mask, key, error))?;
    noticed.unscored += unscored;
    Ok(ids)
}

fn mask_bytes(ids: &Pixels) -> Result<Vec<u8>> {
    encode::encode(ids, FileType::Png, PngEffort::Balanced)
}

/// The boxes of a layer in the frame of their picture.
fn made_boxes(
    key: &str,
    boxes: &BoundingBoxes2D,
    frame: Frame,
    noticed: &mut LayersNoticed,
) -> Result<Vec<BoundingBox>> {
    let made = boxes
        .make(frame.picture())
        .map_err(|error| of_layer(LayerKind::Boxes, key, error))?;
    noticed.skipped += made.skipped;
    noticed.outside += made.outside;
    noticed.within_a_pixel += u32::from(lie_within_a_pixel(&made.boxes));
    Ok(made.boxes.into_iter().map(|one| frame.moved(one)).collect())
}

/// Whether both have the same keys, and equal layers under them.
fn same_layers<L>(
    one: &BTreeMap<String, L>,
    other: &BTreeMap<String, L>,
    equal: impl Fn(&L, &L) -> bool,
) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| one.0 == other.0 && equal(one.1, other.1))
}

/// Whether boxes that were given in pixels look like fractions of the picture: none reaches over
/// the first pixel, and not all fill it.
fn lie_within_a_pixel(boxes: &[BoundingBox]) -> bool {
    let edges = |one: &BoundingBox| {
        let spans = one.position().spans().into_iter();
        spans.flat_map(|(min, max)| [min, max]).collect::<Vec<_>>()
    };
    let edges: Vec<f64> = boxes.iter().flat_map(edges).collect();
    boxes.iter().all(|one| one.domain() == Domain::Pixel)
        && edges.iter().all(|edge| (0.0..=1.0).contains(edge))
        && edges.iter().any(|edge| edge.fract() != 0.0)
}

fn ids_of(boxes: &[BoundingBox]) -> BTreeSet<i64> {
    boxes.iter().map(BoundingBox::class_id).collect()
}

fn ids_in(ids: &Pixels) -> BTreeSet<i64> {
    let mut seen = [false; 256];
    for id in ids.as_bytes() {
        seen[usize::from(*id)] = true;
    }
    (0..)
        .zip(seen)
        .filter(|(_, seen)| *seen)
        .map(|(id, _)| id)
        .collect()
}

fn check_key(kind: LayerKind, key: &str, is_taken: bool) -> Result<()> {
    let reason = match key {
        "" => "its key is empty: give it one, such as \"prediction\"",
        _ if key.len() > MAX_KEY => "its key is over 1,024 bytes long: shorten it",
        _ if is_taken => {
            "the image has one of this key already: give each a key of its own, such as \
             \"prediction\" and \"truth\""
        }
        _ => return Ok(()),
    };
    Err(of_layer(kind, &beginning(key), Error::LayerKey { reason }))
}

pub(crate) fn of_layer(kind: LayerKind, key: &str, error: Error) -> Error {
    Error::Layer {
        kind: kind.name(),
        layer: key.into(),
        source: Arc::new(error),
    }
}
