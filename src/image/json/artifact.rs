//! The JSON files of artifacts.

use super::{layer_place, map, names, one_box, text};
use crate::image::LayerKind;
use crate::image::artifact::{ArtifactImage, ClassSet};
use crate::value::Json;
use crate::value::python::repr;

/// How the name of an image's file ends.
pub(crate) const IMAGE_FILE: &str = "image-file.json";
/// How the name of a file of classes ends.
const CLASSES_FILE: &str = "classes.json";
const CLASSES_FOLDER: &str = "media/classes";

/// A file of an artifact, as an image names it.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) path: String,
    pub(crate) sha256: String,
}

/// The file of classes that an image names.
#[derive(Clone, Debug)]
pub(crate) struct PlacedClasses {
    pub(crate) path: String,
    /// MD5 in base64.
    pub(crate) digest: String,
}

/// The name of a thing in an artifact, with the ending that says what it is.
pub(crate) fn with_suffix(name: &str, suffix: &str) -> String {
    match name.ends_with(suffix) {
        true => name.into(),
        false => format!("{name}.{suffix}"),
    }
}

/// An image whose files have names: those of its masks in their order.
pub(crate) fn image(
    image: &ArtifactImage,
    picture: &Placed,
    masks: &[Placed],
    classes: Option<&PlacedClasses>,
) -> Json {
    let mut entries = vec![
        ("_type", text("image-file")),
        ("path", text(&picture.path)),
        ("sha256", text(&picture.sha256)),
        ("format", text(&image.format)),
    ];
    entries.extend(
        image
            .caption
            .as_deref()
            .map(|caption| ("caption", text(caption))),
    );
    if let Some((width, height)) = image.size {
        entries.push(("width", Json::U64(width.into())));
        entries.push(("height", Json::U64(height.into())));
    }
    entries.extend(image.grouping.map(|group| ("grouping", Json::I64(group))));
    entries.extend(classes.map(|classes| ("classes", named_classes(classes))));
    let boxes = image.layers.boxes.iter();
    let boxes: Vec<_> = boxes
        .map(|(key, boxes)| (&**key, Json::List(boxes.iter().map(one_box).collect())))
        .collect();
    entries.extend((!boxes.is_empty()).then(|| ("boxes", map(boxes))));
    let masks = image.layers.masks.iter().zip(masks);
    let masks: Vec<_> = masks
        .map(|((key, _), mask)| (&**key, one_mask(mask)))
        .collect();
    entries.extend((!masks.is_empty()).then(|| ("masks", map(masks))));
    map(entries)
}

fn named_classes(classes: &PlacedClasses) -> Json {
    map(vec![
        ("type", text("classes-file")),
        ("path", text(&classes.path)),
        ("digest", text(&classes.digest)),
    ])
}

fn one_mask(mask: &Placed) -> Json {
    map(vec![
        ("_type", text(super::type_of(LayerKind::Mask))),
        ("path", text(&mask.path)),
        ("sha256", text(&mask.sha256)),
    ])
}

/// The folder of a mask's file in an artifact, and what its name ends with.
pub(crate) fn mask_place() -> (String, &'static str) {
    layer_place(LayerKind::Mask)
}

/// The file of the classes, and its name: by the hash of their list as Python shows it.
pub(crate) fn classes(classes: &ClassSet, md5_hex: impl FnOnce(&[u8]) -> String) -> (String, Json) {
    let shown = classes
        .iter()
        .map(|(id, name)| format!("{{'id': {id}, 'name': {}}}", repr(name)));
    let shown = format!("[{}]", shown.collect::<Vec<_>>().join(", "));
    let hash = md5_hex(shown.as_bytes());
    let set = classes.iter();
    let set = set.map(|(id, name)| map(vec![("id", Json::I64(id)), ("name", text(name))]));
    let json = map(vec![
        ("_type", text("classes")),
        ("class_set", Json::List(set.collect())),
    ]);
    let path = format!("{CLASSES_FOLDER}/{hash}_cls.{CLASSES_FILE}");
    (path, json)
}

/// The names of classes by their ids, which are texts.
pub(super) fn class_map(classes: &crate::image::classes::Classes) -> Json {
    names(classes)
}
