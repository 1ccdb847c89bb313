//! The JSON files of artifacts.

use super::{layer_place, map, names, one_box, text};
use crate::image::LayerKind;
use crate::image::artifact::{ArtifactImage, ClassSet};
use crate::value::Json;
use crate::value::python::repr;

/// What an image is called.
pub(super) const IMAGE_TYPE: &str = "image-file";
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
        ("_type", text(IMAGE_TYPE)),
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

/// What a line of a file of an artifact's contents says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ManifestLine {
    pub(crate) path: String,
    pub(crate) digest: String,
    /// The address of a reference; else nothing.
    pub(crate) reference: String,
    /// In bytes.
    pub(crate) size: i64,
    pub(crate) local_path: String,
}

const LOCAL_PATH: &str = "local_path";

/// As the Python SDK writes it.
pub(crate) fn manifest_line(line: &ManifestLine) -> String {
    let mut entries = vec![
        ("path", text(&line.path)),
        ("digest", text(&line.digest)),
        ("skip_cache", Json::Bool(false)),
    ];
    match line.reference.is_empty() {
        true => {
            entries.push(("size", Json::I64(line.size)));
            entries.push((LOCAL_PATH, text(&line.local_path)));
        }
        false => entries.push(("ref", text(&line.reference))),
    }
    entries.push(("extra", map(Vec::new())));
    map(entries).to_text()
}

/// None where it is no such line.
pub(crate) fn parse_line(text: &str) -> Option<ManifestLine> {
    let said: serde_json::Value = serde_json::from_str(text).ok()?;
    let text = |key: &str| said.get(key).and_then(|value| value.as_str());
    Some(ManifestLine {
        path: text("path")?.into(),
        digest: text("digest")?.into(),
        reference: text("ref").unwrap_or_default().into(),
        size: said
            .get("size")
            .and_then(|size| size.as_i64())
            .unwrap_or_default(),
        local_path: text(LOCAL_PATH).unwrap_or_default().into(),
    })
}

/// The line with another place of its file; all else in it stays.
pub(crate) fn line_with_local_path(text: &str, path: &str) -> Option<String> {
    let mut said: serde_json::Value = serde_json::from_str(text).ok()?;
    said.as_object_mut()?.insert(LOCAL_PATH.into(), path.into());
    Some(said.to_string())
}

/// The names of classes by their ids, which are texts.
pub(super) fn class_map(classes: &crate::image::classes::Classes) -> Json {
    names(classes)
}
