//! W&B's JSON keys: the only file that spells them, to write them and to read them back.

pub(crate) mod artifact;
mod damaged;
pub(crate) mod reading;
pub(crate) mod table;

pub(crate) use damaged::{Way, label_key, label_keys, without};

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::MEDIA_SUBDIR;
use super::boxes::{BoundingBox, Domain, Position};
use super::classes::Classes;
use super::layers::LayerKind;
use crate::value::Json;

/// Of a row: its step.
pub(crate) const STEP: &str = "_step";
/// Of a row: when it was logged, in seconds since 1970.
pub(crate) const TIMESTAMP: &str = "_timestamp";
/// Of a row: seconds since the run began.
pub(crate) const RUNTIME: &str = "_runtime";
/// Of the summary and the config: W&B's own part.
pub(crate) const WANDB: &str = "_wandb";
/// Of the summary's own part: whole seconds that the run took.
pub(crate) const WANDB_RUNTIME: &str = "runtime";

/// An image whose file has a name.
#[derive(Clone, Debug)]
pub(crate) struct LoggedImage {
    /// Relative to the run's `files/`.
    pub(crate) path: String,
    pub(crate) sha256: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) format: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) caption: Option<String>,
    pub(crate) grouping: Option<i64>,
    pub(crate) layers: Vec<LoggedLayer>,
}

/// A mask, or boxes, whose file has a name.
#[derive(Clone, Debug)]
pub(crate) struct LoggedLayer {
    pub(crate) kind: LayerKind,
    pub(crate) key: String,
    /// Relative to the run's `files/`.
    pub(crate) path: String,
    pub(crate) sha256: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// One image under a key.
pub(crate) fn image(image: &LoggedImage) -> Json {
    let mut entries = vec![
        ("_type", text("image-file")),
        ("path", text(&image.path)),
        ("sha256", text(&image.sha256)),
        ("size", Json::U64(image.size)),
    ];
    entries.extend(picture(image));
    entries.extend(
        image
            .caption
            .as_deref()
            .map(|caption| ("caption", text(caption))),
    );
    entries.extend(image.grouping.map(|group| ("grouping", Json::I64(group))));
    let layers = |kind| layers(kind, image);
    entries.extend(layers(LayerKind::Boxes).map(|boxes| ("boxes", boxes)));
    entries.extend(layers(LayerKind::Mask).map(|masks| ("masks", masks)));
    map(entries)
}

/// The layers of one kind by their keys; None where there are none.
fn layers(kind: LayerKind, image: &LoggedImage) -> Option<Json> {
    let layers = image.layers.iter().filter(|layer| layer.kind == kind);
    let layers: Vec<_> = layers.map(|layer| (&*layer.key, json_of(layer))).collect();
    (!layers.is_empty()).then(|| map(layers))
}

fn json_of(layer: &LoggedLayer) -> Json {
    map(vec![
        ("_type", text(type_of(layer.kind))),
        ("path", text(&layer.path)),
        ("sha256", text(&layer.sha256)),
        ("size", Json::U64(layer.size)),
    ])
}

fn type_of(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Mask => "mask",
        LayerKind::Boxes => "boxes2D",
    }
}

/// The folder of a layer's file, relative to the run's `files/`, and what its name ends with.
pub(crate) fn layer_place(kind: LayerKind) -> (String, &'static str) {
    match kind {
        LayerKind::Mask => (format!("{MEDIA_SUBDIR}/mask"), "mask.png"),
        LayerKind::Boxes => ("media/metadata/boxes2D".into(), "boxes2D.json"),
    }
}

/// The file of a layer of boxes.
pub(super) fn boxes(boxes: &[BoundingBox], classes: Option<&Classes>) -> Json {
    let mut entries = vec![("box_data", Json::List(boxes.iter().map(one_box).collect()))];
    entries.extend(classes.map(|classes| ("class_labels", names(classes))));
    map(entries)
}

fn one_box(one: &BoundingBox) -> Json {
    let mut entries = vec![
        ("position", position(one.position())),
        ("class_id", Json::I64(one.class_id())),
    ];
    entries.extend((one.domain() == Domain::Pixel).then(|| ("domain", text("pixel"))));
    entries.extend(
        one.caption_text()
            .map(|caption| ("box_caption", text(caption))),
    );
    let scores = one.scores().iter();
    let scores: Vec<_> = scores
        .map(|(name, score)| (&**name, Json::F64(*score)))
        .collect();
    entries.extend((!scores.is_empty()).then(|| ("scores", map(scores))));
    map(entries)
}

fn position(position: Position) -> Json {
    let entries = match position {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => vec![
            ("minX", Json::F64(min_x)),
            ("minY", Json::F64(min_y)),
            ("maxX", Json::F64(max_x)),
            ("maxY", Json::F64(max_y)),
        ],
        Position::Middle {
            middle,
            width,
            height,
        } => vec![
            ("middle", Json::List(middle.map(Json::F64).to_vec())),
            ("width", Json::F64(width)),
            ("height", Json::F64(height)),
        ],
    };
    map(entries)
}

/// What the config calls a layer of the images under a key.
pub(crate) fn full_key(key: &str, layer: &str) -> String {
    format!("{key}_wandb_delimeter_{layer}")
}

/// The names of the classes of a layer, as the config holds them: the way to it, and the value.
pub(crate) fn class_labels(
    kind: LayerKind,
    full_key: &str,
    classes: &Classes,
) -> ([String; 3], Json) {
    let kind = labels_of(kind);
    let value = map(vec![
        ("type", text(kind)),
        ("key", text(full_key)),
        ("value", names(classes)),
    ]);
    ([WANDB.into(), kind.into(), full_key.into()], value)
}

fn labels_of(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Mask => "mask/class_labels",
        LayerKind::Boxes => "bounding_box/class_labels",
    }
}

/// The names of the classes of all layers that W&B's own part of a config holds.
pub(crate) fn class_names(wandb: &Value) -> BTreeMap<(LayerKind, String), Classes> {
    let kinds = [LayerKind::Mask, LayerKind::Boxes].into_iter();
    let layers = kinds.flat_map(|kind| {
        let layers = wandb.get(labels_of(kind)).and_then(Value::as_object);
        let layers = layers.into_iter().flatten();
        layers.filter_map(move |(full_key, layer)| {
            let names = layer.get("value")?.as_object()?;
            let names = names
                .iter()
                .filter_map(|(id, name)| Some((id.parse::<i64>().ok()?, name.as_str()?)));
            Some(((kind, full_key.clone()), Classes::of_distinct(names)))
        })
    });
    layers.collect()
}

fn names(classes: &Classes) -> Json {
    let names = classes
        .iter()
        .map(|(id, name)| (id.to_string(), text(name)));
    Json::Map(names.collect())
}

/// A list of images under a key; the first also says how W&B draws the others.
pub(crate) fn images(images: &[LoggedImage]) -> Json {
    let mut entries = vec![("_type", text("images/separated"))];
    entries.extend(images.first().into_iter().flat_map(picture));
    let filenames = images.iter().map(|image| text(&image.path)).collect();
    entries.push(("count", Json::U64(images.len() as u64)));
    entries.push(("filenames", Json::List(filenames)));
    if images.iter().any(|image| image.caption.is_some()) {
        let caption = |image: &LoggedImage| image.caption.as_deref().map_or(Json::Null, text);
        entries.push(("captions", Json::List(images.iter().map(caption).collect())));
    }
    entries.extend(all_layers(LayerKind::Boxes, images).map(|all| ("all_boxes", all)));
    entries.extend(all_layers(LayerKind::Mask, images).map(|all| ("all_masks", all)));
    map(entries)
}

/// The layers of one kind of each image, null where one has none; None where no image has any.
fn all_layers(kind: LayerKind, images: &[LoggedImage]) -> Option<Json> {
    let all: Vec<_> = images.iter().map(|image| layers(kind, image)).collect();
    let any = all.iter().any(Option::is_some);
    any.then(|| {
        Json::List(
            all.into_iter()
                .map(|one| one.unwrap_or(Json::Null))
                .collect(),
        )
    })
}

fn picture(image: &LoggedImage) -> [(&'static str, Json); 3] {
    [
        ("format", text(image.format)),
        ("width", Json::U64(image.width.into())),
        ("height", Json::U64(image.height.into())),
    ]
}

fn text(value: &str) -> Json {
    Json::String(value.into())
}

fn map(entries: Vec<(&str, Json)>) -> Json {
    Json::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
    )
}

/// A media file, as a value of a row names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// The way to it, joined by dots as W&B shows it.
    pub(crate) key: String,
    /// The `_type` of the value.
    pub(crate) kind: Option<String>,
    pub(crate) path: String,
    pub(crate) sha256: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) caption: Option<String>,
    pub(crate) width: Option<u64>,
    pub(crate) height: Option<u64>,
    pub(crate) format: Option<String>,
    /// The client id of the artifact that a table is of.
    pub(crate) artifact: Option<String>,
    /// Whether masks or boxes lie over it, or over another of its list.
    pub(crate) has_layers: bool,
}

/// The longest key of a media file, in bytes: no longer one is written.
const MAX_KEY: usize = 1 << 16;

/// The longest name of a file format, and of a type of values, in bytes.
const MAX_NAME: usize = 64;

/// Every file that a value names: images and their overlays, lists of images, and other media.
/// What lies under a longer key than is written is passed over.
pub(crate) fn each_named(key: &str, value: &Value, take: &mut dyn FnMut(NamedFile)) {
    if key.len() > MAX_KEY {
        return;
    }
    match value {
        Value::Object(map) => {
            named_by_one(key, map).into_iter().for_each(&mut *take);
            named_by_list(key, map).for_each(&mut *take);
            for (name, child) in map.iter().filter(|(_, child)| may_name(child)) {
                each_named(&format!("{key}.{name}"), child, take);
            }
        }
        Value::Array(values) => {
            let nested = values.iter().filter(|value| may_name(value));
            nested.for_each(|value| each_named(key, value, take));
        }
        _ => {}
    }
}

fn may_name(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn named_by_one(key: &str, map: &Map<String, Value>) -> Option<NamedFile> {
    text_of(map, "_type")?;
    Some(NamedFile {
        path: text_of(map, "path")?,
        sha256: text_of(map, "sha256"),
        size: number_of(map, "size"),
        caption: text_of(map, "caption"),
        ..described(key, map)
    })
}

fn named_by_list(key: &str, map: &Map<String, Value>) -> impl Iterator<Item = NamedFile> {
    let paths = map.get("filenames").and_then(Value::as_array);
    let paths = paths.into_iter().flatten().enumerate();
    let caption = |i: usize| Some(map.get("captions")?.get(i)?.as_str()?.into());
    paths.filter_map(move |(i, path)| {
        Some(NamedFile {
            path: path.as_str()?.into(),
            caption: caption(i),
            ..described(key, map)
        })
    })
}

fn described(key: &str, map: &Map<String, Value>) -> NamedFile {
    NamedFile {
        key: key.into(),
        kind: name_of(map, "_type"),
        path: String::new(),
        sha256: None,
        size: None,
        caption: None,
        width: number_of(map, "width"),
        height: number_of(map, "height"),
        format: name_of(map, "format"),
        artifact: table::client_id_of(map),
        has_layers: damaged::has_layers(map),
    }
}

fn name_of(map: &Map<String, Value>, key: &str) -> Option<String> {
    text_of(map, key).filter(|name| name.len() <= MAX_NAME)
}

fn text_of(map: &Map<String, Value>, key: &str) -> Option<String> {
    Some(map.get(key)?.as_str()?.into())
}

fn number_of(map: &Map<String, Value>, key: &str) -> Option<u64> {
    map.get(key)?.as_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn logged(path: &str, caption: Option<&str>) -> LoggedImage {
        LoggedImage {
            path: path.into(),
            sha256: "fe21".into(),
            size: 77,
            format: "png",
            width: 5,
            height: 4,
            caption: caption.map(Into::into),
            grouping: None,
            layers: Vec::new(),
        }
    }

    fn layer(kind: LayerKind, key: &str) -> LoggedLayer {
        LoggedLayer {
            kind,
            key: key.into(),
            path: format!("{key}.file"),
            sha256: "ab".into(),
            size: 7,
        }
    }

    #[test]
    fn layers_stand_by_their_keys_and_null_where_one_of_a_list_has_none() {
        let mut first = logged("a.png", None);
        first.layers = vec![
            layer(LayerKind::Mask, "m"),
            layer(LayerKind::Mask, "n"),
            layer(LayerKind::Boxes, "m"),
        ];
        first.grouping = Some(3);
        let file = |kind: &str, key: &str| {
            format!(r#"{{"_type":"{kind}","path":"{key}.file","sha256":"ab","size":7}}"#)
        };
        let boxes = format!(r#"{{"m":{}}}"#, file("boxes2D", "m"));
        let masks = format!(r#"{{"m":{},"n":{}}}"#, file("mask", "m"), file("mask", "n"));
        let text = image(&first).to_text();
        let expected = format!(r#","grouping":3,"boxes":{boxes},"masks":{masks}}}"#);
        assert!(text.ends_with(&expected), "{text}");
        let text = images(&[logged("b.png", None), first]).to_text();
        let expected = format!(r#","all_boxes":[null,{boxes}],"all_masks":[null,{masks}]}}"#);
        assert!(text.ends_with(&expected), "{text}");
    }

    #[test]
    fn an_image_is_written_as_the_sdk_does() {
        assert_eq!(
            image(&logged("a.png", Some("cap"))).to_text(),
            r#"{"_type":"image-file","path":"a.png","sha256":"fe21","size":77,"format":"png","width":5,"height":4,"caption":"cap"}"#
        );
        assert!(!image(&logged("a.png", None)).to_text().contains("caption"));
    }

    fn check_captions(captions: [Option<&str>; 2], expected: &str) {
        let list = captions.map(|caption| logged("a.png", caption));
        assert_eq!(
            images(&list).to_text(),
            format!(
                r#"{{"_type":"images/separated","format":"png","width":5,"height":4,"count":2,"filenames":["a.png","a.png"]{expected}}}"#
            )
        );
    }

    #[test]
    fn a_list_keeps_the_captions_that_there_are() {
        check_captions([None, None], "");
        check_captions([Some("q"), None], r#","captions":["q",null]"#);
        check_captions([None, Some("z")], r#","captions":[null,"z"]"#);
    }

    #[test]
    fn names_of_classes_are_read_back() {
        let classes = Classes::new([(0, "sky"), (-3, "sea")]).unwrap();
        let check = |kind| {
            let (way, value) = class_labels(kind, &full_key("k", "m"), &classes);
            let mut config = json!({});
            config[&way[1]][&way[2]] = value.into();
            let expected = [((kind, "k_wandb_delimeter_m".to_owned()), classes.clone())];
            assert_eq!(class_names(&config), expected.into());
        };
        check(LayerKind::Mask);
        check(LayerKind::Boxes);
        assert!(class_names(&json!({"mask/class_labels": {"k": {"value": 1}, "l": 2}})).is_empty());
        assert!(class_names(&json!(null)).is_empty());
    }

    fn named_files(key: &str, value: &Value) -> Vec<NamedFile> {
        let mut found = Vec::new();
        each_named(key, value, &mut |file| found.push(file));
        found
    }

    fn check_named(value: &Value, expected: &[(&str, &str, Option<u64>, Option<&str>)]) {
        let found = named_files("k", value);
        let found: Vec<_> = found
            .iter()
            .map(|f| (&*f.key, &*f.path, f.size, f.caption.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn images_lists_and_overlays_are_found() {
        let image = json!({"_type": "image-file", "path": "a.png", "size": 7, "caption": "c",
            "masks": {"truth": {"_type": "mask", "path": "m.png", "size": 3}}});
        let overlay = ("k.masks.truth", "m.png", Some(3), None);
        check_named(&image, &[("k", "a.png", Some(7), Some("c")), overlay]);

        let list = json!({"_type": "images/separated", "filenames": ["a.png", "b.png"],
            "captions": ["one", null], "width": 4, "format": "png",
            "all_masks": [null, {"truth": {"_type": "mask", "path": "m.png"}}]});
        let expected = [
            ("k", "a.png", None, Some("one")),
            ("k", "b.png", None, None),
            ("k.all_masks.truth", "m.png", None, None),
        ];
        check_named(&list, &expected);
        assert_eq!(named_files("k", &list)[1].width, Some(4));
        let with_layers = |value| {
            named_files("k", value)
                .into_iter()
                .map(|file| file.has_layers)
        };
        assert!(with_layers(&image).eq([true, false]));
        assert!(with_layers(&list).eq([true, true, false]));
        let plain = json!({"_type": "image-file", "path": "a.png"});
        assert!(with_layers(&plain).eq([false]));
    }

    #[test]
    fn other_values_name_no_file() {
        check_named(&json!({"path": "a.png"}), &[]);
        check_named(&json!({"_type": "histogram", "values": [1, 2]}), &[]);
        check_named(&json!([1, "a.png", null]), &[]);
    }
}
