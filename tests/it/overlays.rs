//! Masks, boxes, class labels and modes equal to those of the real SDK 0.31.0, but for hashes and
//! sizes of files (`scripts/golden/overlays.py` makes them again), and each difference that is
//! meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use image::{ColorType, DynamicImage};
use prost::Message;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{Item, Record, RecordType};
use wandb_image::sink::{MediaFile, MemorySink};
use wandb_image::{
    BoundingBox, BoundingBoxes2D, Classes, Domain, HostTensor, Image, ImageMask, IntoWandbImage,
    Layout, Mode, Pixels, Position, Row, Value,
};

use crate::rows::{config, forget_files, golden_file, nested, plain_numbers};

// ---- the golden file ----

#[derive(Deserialize)]
struct Golden {
    labels: BTreeMap<String, BTreeMap<String, Json>>,
    methods: Methods,
    cases: Vec<Case>,
    modes: Vec<ModeCase>,
    conversions: Vec<Conversion>,
    copies: Vec<Copied>,
    #[serde(skip)]
    bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    step: u64,
    values: Vec<Logged>,
    row: Json,
    files: Vec<LayerFile>,
}

#[derive(Deserialize)]
struct Logged {
    key: String,
    list: bool,
    images: Vec<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    pixels: Array,
    masks: BTreeMap<String, MaskSpec>,
    boxes: BTreeMap<String, BoxesSpec>,
    caption: Option<String>,
    grouping: Option<i64>,
    classes: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct MaskSpec {
    ids: Option<Array>,
    png: Option<Array>,
    class_labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct BoxesSpec {
    box_data: Vec<Json>,
    class_labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct LayerFile {
    path: String,
    shows: Json,
}

#[derive(Clone, Deserialize)]
struct Array {
    shape: Vec<usize>,
    dtype: String,
    offset: usize,
    len: usize,
}

#[derive(Deserialize)]
struct ModeCase {
    mode: String,
    key: String,
    step: u64,
    input: Array,
    output: Array,
    data_array: Json,
    row: Json,
}

#[derive(Deserialize)]
struct Conversion {
    mode: String,
    to: String,
    input: Array,
    output: Array,
}

#[derive(Deserialize)]
struct Copied {
    step: u64,
    input: Array,
    options: Options,
    row: Json,
}

#[derive(Deserialize)]
struct Options {
    caption: Option<String>,
    grouping: Option<i64>,
}

#[derive(Deserialize)]
struct Methods {
    media_subdir: String,
    captions: Vec<Captions>,
    guesses: Vec<Guess>,
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Captions {
    captions: Vec<Option<String>>,
    all_captions: Json,
}

#[derive(Deserialize)]
struct Guess {
    shape: Vec<usize>,
    channels_first: bool,
    mode: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    uri: String,
    format: String,
}

impl Golden {
    fn read() -> Self {
        let text = fs::read(golden_file("overlays_0.31.0.json")).unwrap();
        let mut golden: Self = serde_json::from_slice(&text).unwrap();
        golden.bytes = fs::read(golden_file("overlays.bin")).unwrap();
        golden
    }

    fn case(&self, name: &str) -> &Case {
        self.cases.iter().find(|case| case.name == name).unwrap()
    }

    fn bytes(&self, array: &Array) -> &[u8] {
        &self.bytes[array.offset..array.offset + array.len]
    }

    fn pixels(&self, array: &Array) -> Pixels {
        let mode = match (array.dtype.as_str(), &array.shape[2..]) {
            ("u16", []) => Mode::I16,
            ("u8", []) => Mode::L,
            ("u8", [2]) => Mode::La,
            ("u8", [3]) => Mode::Rgb,
            ("u8", [4]) => Mode::Rgba,
            other => panic!("{other:?}"),
        };
        let [height, width] = [array.shape[0] as u32, array.shape[1] as u32];
        Pixels::new(width, height, mode, self.bytes(array).to_vec()).unwrap()
    }

    fn mask(&self, spec: &MaskSpec) -> ImageMask {
        let mask = match (&spec.ids, &spec.png) {
            (Some(ids), None) => tensor(ids, self.bytes(ids)).to_wandb_mask().unwrap(),
            (None, Some(png)) => mask_of_file(self.bytes(png)),
            _ => panic!("a mask has either ids or a file"),
        };
        match &spec.class_labels {
            Some(labels) => mask.class_labels(classes(labels)),
            None => mask,
        }
    }

    fn image(&self, spec: &Spec) -> wandb_image::Result<Image> {
        let mut image = Image::from(self.pixels(&spec.pixels));
        if let Some(caption) = &spec.caption {
            image = image.caption(caption);
        }
        if let Some(grouping) = spec.grouping {
            image = image.grouping(grouping);
        }
        if let Some(labels) = &spec.classes {
            image = image.classes(classes(labels));
        }
        for (key, mask) in &spec.masks {
            image = image.masks(key, self.mask(mask))?;
        }
        for (key, spec) in &spec.boxes {
            image = image.boxes(key, boxes(spec))?;
        }
        Ok(image)
    }

    fn row(&self, case: &Case) -> Row {
        case.values.iter().fold(Row::new(), |row, logged| {
            let images = logged.images.iter().map(|spec| self.image(spec).unwrap());
            let mut images: Vec<Image> = images.collect();
            let value: Value = match logged.list {
                true => images.into(),
                false => images.remove(0).into(),
            };
            row.with(&logged.key, value)
        })
    }
}

fn tensor(array: &Array, bytes: &[u8]) -> HostTensor {
    fn of<const N: usize, T>(bytes: &[u8], value: fn([u8; N]) -> T) -> Vec<T> {
        let values = bytes.chunks_exact(N);
        values.map(|b| value(b.try_into().unwrap())).collect()
    }
    let shape = array.shape.clone();
    match array.dtype.as_str() {
        "bool" => HostTensor::new(shape, of(bytes, |[b]| b != 0)),
        "u8" => HostTensor::new(shape, bytes.to_vec()),
        "i8" => HostTensor::new(shape, of(bytes, i8::from_le_bytes)),
        "u16" => HostTensor::new(shape, of(bytes, u16::from_le_bytes)),
        "i16" => HostTensor::new(shape, of(bytes, i16::from_le_bytes)),
        "u32" => HostTensor::new(shape, of(bytes, u32::from_le_bytes)),
        "i32" => HostTensor::new(shape, of(bytes, i32::from_le_bytes)),
        "i64" => HostTensor::new(shape, of(bytes, i64::from_le_bytes)),
        other => panic!("{other}"),
    }
    .unwrap()
}

fn mask_of_file(png: &[u8]) -> ImageMask {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    fs::write(&path, png).unwrap();
    ImageMask::from_path(path).unwrap()
}

fn classes(labels: &BTreeMap<String, String>) -> Classes {
    let labels = labels.iter();
    Classes::new(labels.map(|(id, name)| (id.parse::<i64>().unwrap(), name))).unwrap()
}

fn boxes(spec: &BoxesSpec) -> BoundingBoxes2D {
    let boxes = BoundingBoxes2D::new(spec.box_data.iter().map(bounding_box));
    match &spec.class_labels {
        Some(labels) => boxes.class_labels(classes(labels)),
        None => boxes,
    }
}

fn bounding_box(data: &Json) -> BoundingBox {
    let domain = match data["domain"].as_str() {
        Some("pixel") => Domain::Pixel,
        None => Domain::Fraction,
        other => panic!("{other:?}"),
    };
    let class_id = data["class_id"].as_i64().unwrap();
    let mut one = BoundingBox::new(domain, position(&data["position"]), class_id);
    if let Some(caption) = data["box_caption"].as_str() {
        one = one.caption(caption);
    }
    for (name, score) in data["scores"].as_object().into_iter().flatten() {
        one = one.score(name, score.as_f64().unwrap());
    }
    one
}

fn position(data: &Json) -> Position {
    let number = |key: &str| data[key].as_f64().unwrap();
    match data["middle"].as_array() {
        Some(middle) => {
            let [x, y] = [0, 1].map(|i| middle[i].as_f64().unwrap());
            Position::middle(x, y, number("width"), number("height"))
        }
        None => Position::corners(
            number("minX"),
            number("minY"),
            number("maxX"),
            number("maxY"),
        ),
    }
}

// ---- what this crate makes of it ----

/// Logs a row of a run of its own.
fn log(step: u64, row: Row) -> MemorySink {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log_at(step, row).unwrap();
    run.finish().unwrap();
    sink
}

fn only_row(sink: &MemorySink) -> Json {
    let rows = sink.rows();
    assert_eq!(rows.len(), 1);
    nested(&rows[0])
}

fn comparable(mut row: Json) -> Json {
    forget_files(&mut row);
    row
}

/// The ways to all that is no object: the items that the SDK makes of a row. `wandb leet` shows no
/// picture whose object is one item.
fn leaves(value: &Json) -> BTreeSet<Vec<&str>> {
    let Json::Object(object) = value else {
        return [Vec::new()].into();
    };
    let below = object.iter().flat_map(|(key, value)| {
        let leaves = leaves(value).into_iter();
        leaves.map(|leaf| [vec![key.as_str()], leaf].concat())
    });
    below.collect()
}

/// The paths of masks and boxes in a row.
fn layer_paths(value: &Json) -> Vec<&str> {
    match value {
        Json::Object(object) => {
            let kind = object.get("_type").and_then(Json::as_str);
            let is_layer = matches!(kind, Some("mask" | "boxes2D"));
            let own = is_layer.then(|| object["path"].as_str().unwrap());
            let inner = object.values().flat_map(layer_paths);
            own.into_iter().chain(inner).collect()
        }
        Json::Array(values) => values.iter().flat_map(layer_paths).collect(),
        _ => Vec::new(),
    }
}

fn bytes_of<'f>(files: &'f [MediaFile], path: &str) -> &'f [u8] {
    let file = files.iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("no file {path}")).bytes
}

/// A picture read by other means than this crate's.
fn decoded(png: &[u8]) -> DynamicImage {
    image::load_from_memory(png).unwrap()
}

fn check_layer(golden: &Golden, name: &str, ours: &[u8], expected: &LayerFile) {
    if expected.path.ends_with(".json") {
        let ours = said_by(serde_json::from_slice(ours).unwrap());
        return assert_eq!(ours, said_by(expected.shows.clone()), "{name}");
    }
    let ids: Array = serde_json::from_value(expected.shows.clone()).unwrap();
    let ours = decoded(ours);
    assert_eq!(ours.color(), ColorType::L8, "{name}");
    assert_eq!(ours.as_bytes(), golden.bytes(&ids), "{name}");
}

/// Boxes without the scores that are an empty object, which say nothing.
fn said_by(mut boxes: Json) -> Json {
    plain_numbers(&mut boxes);
    for one in boxes["box_data"].as_array_mut().unwrap() {
        let one = one.as_object_mut().unwrap();
        if one.get("scores") == Some(&json!({})) {
            one.remove("scores");
        }
    }
    boxes
}

/// The class labels in a config, of each layer by kind and full key.
fn labels(config: &Json) -> BTreeMap<String, BTreeMap<String, Json>> {
    let kinds = ["mask/class_labels", "bounding_box/class_labels"];
    let of = |kind: &str| {
        config["_wandb"][kind]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    let labels = |kind: &str| (kind.to_owned(), of(kind).into_iter().collect());
    kinds.map(labels).into()
}

// ---- equal ----

/// Rows that differ on purpose: each has a test below.
const OTHER_ROWS: &[&str] = &["mask of another size", "more than 108"];

/// Rows that are equal but for the class labels in the config: each has a test below.
const OTHER_LABELS: &[&str] = &[
    "mask from a file",
    "mask from a file, labels",
    "classes of the image alone",
    "no names of that layer",
];

/// The SDK names the file of a mask that was a file as a picture: `.png`.
const OTHER_NAME: &[&str] = &["mask from a file", "mask from a file, labels"];

#[test]
fn rows_files_and_labels_equal_those_of_the_python_sdk() {
    let golden = Golden::read();
    let cases: Vec<&Case> = golden
        .cases
        .iter()
        .filter(|case| !OTHER_ROWS.contains(&case.name.as_str()))
        .collect();
    assert_eq!(cases.len(), golden.cases.len() - OTHER_ROWS.len());
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    for case in &cases {
        run.log_at(case.step, golden.row(case)).unwrap();
    }
    run.finish().unwrap();

    let (rows, files) = (sink.rows(), sink.files());
    assert_eq!(rows.len(), cases.len());
    for (case, row) in cases.iter().zip(&rows) {
        let items: BTreeSet<Vec<&str>> = row.item.iter().map(Item::path).collect();
        assert_eq!(items, leaves(&case.row), "{}", case.name);
        check_case(&golden, case, nested(row), &files);
    }
    check_labels(&golden, &config(sink.records()));
}

fn check_case(golden: &Golden, case: &Case, row: Json, files: &[MediaFile]) {
    let paths = layer_paths(&row);
    assert_eq!(paths.len(), case.files.len(), "{}", case.name);
    // Both rows have their keys in order, so that their layers are.
    for (path, expected) in paths.iter().zip(&case.files) {
        check_layer(golden, &case.name, bytes_of(files, path), expected);
    }
    let mut expected = comparable(case.row.clone());
    if OTHER_NAME.contains(&case.name.as_str()) {
        let key = &case.values[0].key;
        let path = &mut expected[key]["masks"]["m"]["path"];
        *path = json!(path.as_str().unwrap().replace(".png", ".mask.png"));
    }
    assert_eq!(comparable(row), expected, "{}", case.name);
}

fn check_labels(golden: &Golden, config: &Json) {
    let (mut ours, mut expected) = (labels(config), golden.labels.clone());
    for case in &golden.cases {
        let is_other = |names: &[&str]| names.contains(&case.name.as_str());
        if is_other(OTHER_LABELS) || is_other(OTHER_ROWS) {
            let keys: Vec<String> = case
                .values
                .iter()
                .map(|value| full_key(&value.key))
                .collect();
            for labels in ours.values_mut().chain(expected.values_mut()) {
                labels.retain(|layer, _| !keys.iter().any(|key| layer.starts_with(key)));
            }
        }
    }
    for labels in ours.values_mut().chain(expected.values_mut()) {
        labels.retain(|_, entry| names_something(entry));
    }
    assert!(expected["mask/class_labels"].len() > 20);
    assert_eq!(ours, expected);
}

fn full_key(key: &str) -> String {
    format!("{key}_wandb_delimeter_")
}

/// Labels of no class leave nothing of `value` behind when the SDK's run is synced.
fn names_something(entry: &Json) -> bool {
    entry["value"].as_object().is_some_and(|v| !v.is_empty())
}

fn mode_named(name: &str) -> Mode {
    match name {
        "L" => Mode::L,
        "LA" => Mode::La,
        "RGB" => Mode::Rgb,
        "RGBA" => Mode::Rgba,
        "I;16" => Mode::I16,
        other => panic!("{other}"),
    }
}

fn color_of(mode: Mode) -> ColorType {
    match mode {
        Mode::L => ColorType::L8,
        Mode::La => ColorType::La8,
        Mode::Rgb => ColorType::Rgb8,
        Mode::Rgba => ColorType::Rgba8,
        Mode::I16 => ColorType::L16,
        other => panic!("{other:?}"),
    }
}

/// The one picture that was logged shows `expected`, in that mode.
fn check_picture(golden: &Golden, name: &str, sink: &MemorySink, expected: &Array) {
    let files = sink.files();
    assert_eq!(files.len(), 1, "{name}");
    let (ours, expected) = (decoded(&files[0].bytes), golden.pixels(expected));
    assert_eq!(ours.color(), color_of(expected.mode()), "{name}");
    // `image` has samples of 16 bits in the machine's order.
    let ours: Vec<u16> = match ours {
        DynamicImage::ImageLuma16(grey) => grey.into_raw(),
        ours => ours.as_bytes().iter().copied().map(u16::from).collect(),
    };
    assert!(expected.samples().eq(ours), "{name}");
}

#[test]
fn each_mode_is_logged_as_by_the_python_sdk() {
    let golden = Golden::read();
    assert_eq!(golden.modes.len(), 5);
    for case in &golden.modes {
        let image = Image::from(golden.pixels(&case.input));
        assert_eq!(image.mode(), mode_named(&case.mode));
        let sink = log(case.step, Row::new().with(&case.key, image.clone()));
        check_picture(&golden, &case.mode, &sink, &case.output);
        assert_eq!(
            comparable(only_row(&sink)),
            comparable(case.row.clone()),
            "{}",
            case.mode
        );
        check_data_array(&case.mode, &image, &case.data_array);
    }
}

/// Pillow gives a number for one channel, here it is a list of one.
fn check_data_array(name: &str, image: &Image, expected: &Json) {
    let as_list = |pixel: &Json| match pixel {
        Json::Number(_) => json!([pixel]),
        _ => pixel.clone(),
    };
    let rows = expected.as_array().unwrap().iter();
    let rows = rows.map(|row| {
        row.as_array()
            .unwrap()
            .iter()
            .map(as_list)
            .collect::<Vec<_>>()
    });
    assert_eq!(
        json!(image.to_data_array().unwrap()),
        json!(rows.collect::<Vec<_>>()),
        "{name}"
    );
}

#[test]
fn modes_are_converted_as_by_the_python_sdk() {
    let golden = Golden::read();
    assert_eq!(golden.conversions.len(), 26);
    for case in &golden.conversions {
        let name = format!("{} to {}", case.mode, case.to);
        let pixels = golden.pixels(&case.input);
        assert_eq!(pixels.mode(), mode_named(&case.mode), "{name}");
        let image = Image::from(pixels).convert(mode_named(&case.to));
        let sink = log(0, Row::new().with("converted", image));
        check_picture(&golden, &name, &sink, &case.output);
    }
}

// ---- the small methods ----

#[test]
fn the_folder_of_pictures_is_the_one_of_the_python_sdk() {
    assert_eq!(Image::media_subdir(), Golden::read().methods.media_subdir);
}

fn dot() -> Image {
    Image::from(Pixels::new(1, 1, Mode::L, vec![7]).unwrap())
}

#[test]
fn all_captions_are_those_of_the_python_sdk() {
    let golden = Golden::read();
    for case in &golden.methods.captions {
        let images = case.captions.iter().map(|caption| match caption {
            Some(caption) => dot().caption(caption),
            None => dot(),
        });
        let images: Vec<Image> = images.collect();
        let is_lost = case.captions[0].is_none() && case.captions.iter().any(Option::is_some);
        let expected = match (is_lost, &case.all_captions) {
            // Kept, though the first has none: the SDK loses them.
            (true, _) => json!(case.captions),
            (_, Json::Bool(false)) => Json::Null,
            (_, captions) => captions.clone(),
        };
        assert_eq!(
            json!(Image::all_captions(&images)),
            expected,
            "{:?}",
            case.captions
        );
    }
}

#[test]
fn the_mode_is_guessed_as_by_the_python_sdk() {
    let golden = Golden::read();
    for case in &golden.methods.guesses {
        let layout = match case.channels_first {
            true => Layout::Chw,
            false => Layout::Hwc,
        };
        let guessed = Mode::guess(&case.shape, layout).ok();
        let expected = case.mode.as_deref().map(mode_named);
        assert_eq!(guessed, expected, "{:?}, {layout:?}", case.shape);
    }
}

#[test]
fn a_reference_is_kept_and_logging_it_is_an_error() {
    let golden = Golden::read();
    assert_eq!(golden.methods.references.len(), 4);
    for case in &golden.methods.references {
        let image = Image::from_reference(&case.uri).unwrap();
        assert_eq!(image.format(), case.format);
        let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
        let error = run.log([("reference", image)]).unwrap_err().to_string();
        for word in [case.uri.as_str(), "reference", "Image::from_path"] {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
        run.finish().unwrap();
    }
}

/// What every image of `copies` was copied from, as the script says it.
fn original(pixels: Pixels) -> Image {
    let (width, height) = (pixels.width(), pixels.height());
    let ids = vec![1; (width * height) as usize];
    let cat = BoundingBox::new(Domain::Fraction, Position::corners(0.0, 0.0, 1.0, 1.0), 1);
    Image::from(pixels)
        .caption("first")
        .grouping(2)
        .masks("m", ImageMask::new(width, height, ids).unwrap())
        .unwrap()
        .boxes("p", BoundingBoxes2D::new([cat]))
        .unwrap()
}

#[test]
fn a_copy_has_the_picture_without_its_layers() {
    let golden = Golden::read();
    assert_eq!(golden.copies.len(), 3);
    for case in &golden.copies {
        let mut copy = Image::from_image(&original(golden.pixels(&case.input)));
        if let Some(grouping) = case.options.grouping {
            copy = copy.grouping(grouping);
        }
        let sink = log(case.step, Row::new().with("copy", copy));
        check_picture(&golden, "copy", &sink, &case.input);
        assert_eq!(comparable(only_row(&sink)), comparable(case.row.clone()));
    }
}

// ---- differences that are meant ----

/// The SDK loses the new caption: `wandb.Image(image, caption="second")` shows `first`.
#[test]
fn a_copy_takes_a_new_caption() {
    let golden = Golden::read();
    let with_caption = |case: &&Copied| case.options.caption.is_some();
    let case = golden.copies.iter().find(with_caption).unwrap();
    assert_eq!(case.row["copy"]["caption"], "first");
    let original = original(golden.pixels(&case.input));
    let copy = Image::from_image(&original).caption("second");
    let sink = log(case.step, Row::new().with("copy", copy));
    assert_eq!(only_row(&sink)["copy"]["caption"], "second");
}

/// The labels of one layer, after one row alone.
fn labels_after(row: Row, kind: &str, layer: &str) -> Json {
    let sink = log(0, row);
    config(sink.records())["_wandb"][kind][layer]["value"].clone()
}

/// The SDK loses them, online too.
#[test]
fn labels_of_a_mask_from_a_file_are_kept() {
    let golden = Golden::read();
    let case = golden.case("mask from a file, labels");
    let layer = full_key(&case.values[0].key) + "m";
    assert!(!golden.labels["mask/class_labels"].contains_key(&layer));
    let given = &case.values[0].images[0].masks["m"].class_labels;
    assert_eq!(
        labels_after(golden.row(case), "mask/class_labels", &layer),
        json!(given)
    );
}

/// The SDK names none.
#[test]
fn classes_of_a_mask_from_a_file_have_names() {
    let golden = Golden::read();
    let case = golden.case("mask from a file");
    let layer = full_key(&case.values[0].key) + "m";
    assert!(!golden.labels["mask/class_labels"].contains_key(&layer));
    let named = labels_after(golden.row(case), "mask/class_labels", &layer);
    let png = case.values[0].images[0].masks["m"].png.as_ref().unwrap();
    let ids = decoded(golden.bytes(png)).into_bytes();
    let expected = ids
        .iter()
        .map(|id| (id.to_string(), json!(format!("class_{id}"))));
    assert_eq!(named, Json::Object(expected.collect()));
}

/// The SDK uses them in artifacts alone, and calls the classes `class_0`, `class_1`, ….
#[test]
fn classes_of_an_image_name_those_of_layers_without_labels() {
    let golden = Golden::read();
    let case = golden.case("classes of the image alone");
    let layer = full_key(&case.values[0].key) + "m";
    let theirs = &golden.labels["mask/class_labels"][&layer]["value"];
    assert_eq!(
        *theirs,
        json!({"0": "class_0", "1": "class_1", "5": "class_5"})
    );
    let given = &case.values[0].images[0].classes;
    assert_eq!(
        labels_after(golden.row(case), "mask/class_labels", &layer),
        json!(given)
    );
}

/// The SDK calls them `class_0`, `class_1`, … again as soon as a picture comes without names.
#[test]
fn names_that_were_given_are_not_replaced_by_numbers() {
    let golden = Golden::read();
    let (layer, kind) = ("named_wandb_delimeter_m", "mask/class_labels");
    let numbered = json!({"0": "class_0", "1": "class_1", "5": "class_5"});
    assert_eq!(golden.labels[kind][layer]["value"], numbered);
    let cases = ["names of a layer", "no names of that layer"].map(|name| golden.case(name));
    for [first, second] in [cases, [cases[1], cases[0]]] {
        let sink = MemorySink::new();
        let run = wandb_image::init().start_on(sink.clone()).unwrap();
        run.log(golden.row(first)).unwrap();
        run.log(golden.row(second)).unwrap();
        run.finish().unwrap();
        let named = &config(sink.records())["_wandb"][kind][layer]["value"];
        assert_eq!(*named, json!({"0": "class_0", "1": "cat", "5": "class_5"}));
    }
}

/// The SDK logs it, and W&B stretches it.
#[test]
fn a_mask_of_another_size_than_its_image_is_an_error() {
    let golden = Golden::read();
    let case = golden.case("mask of another size");
    assert_eq!(case.files.len(), 1);
    let error = golden.image(&case.values[0].images[0]).unwrap_err();
    let error = error.to_string();
    for word in ["mask \"m\"", "4×3", "6×5"] {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

/// The SDK drops all beyond the first 108.
#[test]
fn more_than_108_images_go_on_under_a_second_key() {
    let golden = Golden::read();
    let case = golden.case("more than 108");
    let key = &case.values[0].key;
    assert_eq!(case.values[0].images.len(), 110);
    let row = comparable(only_row(&log(case.step, golden.row(case))));
    let mut expected = comparable(case.row.clone());
    assert_eq!(row[key], expected[key]);
    let rest = format!("{key} (2)");
    expected[&rest] = row[&rest].clone();
    assert_eq!(row, expected);
    assert_eq!(row[&rest]["count"], 2);
    assert_eq!(row[&rest]["filenames"].as_array().unwrap().len(), 2);
}

/// The SDK itself drops none: W&B's client merges what comes later into the config.
#[test]
fn labels_of_a_layer_add_up_over_rows() {
    let golden = Golden::read();
    let rows = [
        "labels of a layer, first row",
        "labels of a layer, second row",
    ];
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    for name in rows {
        run.log(golden.row(golden.case(name))).unwrap();
    }
    run.finish().unwrap();
    let layer = "later_wandb_delimeter_m";
    let added = &config(sink.records())["_wandb"]["mask/class_labels"][layer]["value"];
    assert_eq!(*added, json!({"0": "zero", "1": "new", "2": "two"}));
    assert_eq!(*added, golden.labels["mask/class_labels"][layer]["value"]);
}

/// As they are in one of the SDK 0.31.0; earlier ones lost them.
#[test]
fn class_labels_are_in_the_log_of_an_offline_run() {
    let golden = Golden::read();
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init()
        .mode(wandb_image::RunMode::Offline)
        .dir(dir.path())
        .start()
        .unwrap();
    let case = golden.case("one mask, labels");
    run.log(golden.row(case)).unwrap();
    run.finish().unwrap();
    let log = find_log(run.dir().unwrap()).unwrap();
    let records = LogReader::open(log).unwrap().payloads().map(|payload| {
        let record = Record::decode(payload.unwrap().as_slice()).unwrap();
        record.record_type.unwrap()
    });
    let layer = "a_wandb_delimeter_prediction";
    assert_eq!(
        labels(&config(records))["mask/class_labels"][layer],
        golden.labels["mask/class_labels"][layer]
    );
}

/// A run that is killed has the labels of the rows that it wrote.
#[test]
fn class_labels_stand_before_the_row_that_needs_them() {
    let golden = Golden::read();
    let sink = log(0, golden.row(golden.case("all of it")));
    let records = sink.records();
    let position = |is_wanted: fn(&RecordType) -> bool| records.iter().rposition(is_wanted);
    let config = position(|record| matches!(record, RecordType::Config(_)));
    let row = position(|record| matches!(record, RecordType::History(_)));
    assert!(config.is_some() && config < row, "{config:?}, {row:?}");
}
