//! A run with every kind of mask, box, mode and list, synced by W&B's own client: what arrives,
//! file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use image::ColorType;
use serde_json::{Value as Json, json};
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxFormat, Classes, Domain, FileType, HostTensor, Image,
    ImageList, ImageMask, IntoWandbImage, Invalid, MaskOptions, Mode, Pixels, Position, Row, Run,
    RunMode,
};

use crate::client::{Client, Received, hashes, parse, sha256};
use crate::rows::plain_numbers;

const WIDTH: u32 = 4;
const HEIGHT: u32 = 3;
const ODD_LAYER: &str = "réponse/„1“ 🙂\n";

fn picture(shade: u8) -> Image {
    let bytes = (0..36_u8).map(|i| shade.wrapping_mul(37).wrapping_add(7 * i));
    Image::from(Pixels::new(WIDTH, HEIGHT, Mode::Rgb, bytes.collect()).unwrap())
}

fn names() -> Classes {
    Classes::from_names(["background", "cat", "dog"])
}

fn ids(seed: u8) -> Vec<u8> {
    (0..12_u8).map(|i| i * (seed % 3) % 3).collect()
}

fn mask(seed: u8) -> ImageMask {
    ImageMask::new(WIDTH, HEIGHT, ids(seed)).unwrap()
}

/// A grey PNG, and one with a palette, whose stored numbers are [`ids`].
fn mask_file(dir: &Path, name: &str, seed: u8, color: png::ColorType) -> ImageMask {
    let path = dir.join(name);
    let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), WIDTH, HEIGHT);
    encoder.set_color(color);
    if color == png::ColorType::Indexed {
        encoder.set_palette(vec![9_u8; 9]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&ids(seed)).unwrap();
    writer.finish().unwrap();
    ImageMask::from_path(path).unwrap()
}

fn with_masks(dir: &Path) -> Image {
    let tensor = HostTensor::new([3, 4], ids(2).into_iter().map(i64::from).collect()).unwrap();
    let mut ignored = vec![0_i32; 12];
    ignored[5] = -100;
    let ignored = HostTensor::new([3, 4], ignored).unwrap();
    let remap = MaskOptions::new().remap(-100, 255);
    let flags = HostTensor::new([3, 4], (0..12).map(|i| i % 5 == 0).collect()).unwrap();
    let layers = [
        (
            "grey file",
            mask_file(dir, "grey.png", 1, png::ColorType::Grayscale).class_labels(names()),
        ),
        (
            "palette file",
            mask_file(dir, "palette.png", 4, png::ColorType::Indexed),
        ),
        (
            "tensor",
            tensor.to_wandb_mask().unwrap().class_labels(names()),
        ),
        ("scores", scores().to_wandb_mask().unwrap()),
        ("flags", flags.to_wandb_mask().unwrap()),
        ("ignored", ignored.to_wandb_mask_with(&remap).unwrap()),
        (
            ODD_LAYER,
            mask(5).class_labels(Classes::new([(1_i64, "größer \"1\"\n🙂")]).unwrap()),
        ),
    ];
    let image = picture(1).caption("masks").grouping(7);
    layers
        .into_iter()
        .fold(image, |image, (key, mask)| image.masks(key, mask).unwrap())
}

/// The class of pixel `i` is `i` modulo 3.
fn scores() -> HostTensor {
    let score = |i: usize| f32::from(u8::from(i / 12 == i % 12 % 3));
    HostTensor::new([3, 3, 4], (0..36).map(score).collect()).unwrap()
}

fn with_boxes() -> Image {
    let mixed = BoundingBoxes2D::new([
        BoundingBox::new(Domain::Fraction, Position::corners(0.25, 0.0, 0.5, 1.0), 1)
            .caption("größer „1“\n🙂")
            .score("accuracy", 0.75)
            .score("loss", 1e-7),
        BoundingBox::new(Domain::Pixel, Position::corners(-1.0, 0.0, 9.0, 2.5), 2),
        BoundingBox::new(Domain::Fraction, Position::middle(0.5, 0.5, 0.25, 1.0), 0),
        BoundingBox::new(Domain::Pixel, Position::middle(2.0, 1.0, 3.0, 1.5), -3),
    ]);
    picture(2)
        .boxes("mixed", mixed.class_labels(names()))
        .unwrap()
        .boxes("none", BoundingBoxes2D::new([]))
        .unwrap()
        .boxes("detector", detections().invalid(Invalid::Skip).clip(true))
        .unwrap()
}

/// Three boxes: over the edge, not a number, inside.
fn detections() -> BoundingBoxes2D {
    let corners = vec![
        -1.0_f32,
        -1.0,
        2.0,
        2.0, // over the edge
        f32::NAN,
        0.0,
        1.0,
        1.0, //
        1.0,
        1.0,
        3.0,
        2.0,
    ];
    let corners = HostTensor::new([3, 4], corners).unwrap();
    let classes = HostTensor::new([3], vec![4_i64, 5, 6]).unwrap();
    let scores = HostTensor::new([3, 1], vec![0.5_f32, 0.25, 0.125]).unwrap();
    BoundingBoxes2D::from_tensor(&corners, BoxFormat::Xyxy, Domain::Pixel)
        .unwrap()
        .class_ids(&classes)
        .unwrap()
        .scores("confidence", &scores)
        .unwrap()
}

fn list() -> Vec<Image> {
    let truth = BoundingBox::new(Domain::Fraction, Position::corners(0.0, 0.0, 1.0, 1.0), 1);
    vec![
        picture(10),
        picture(11)
            .masks("m", mask(1).class_labels(names()))
            .unwrap(),
        picture(12)
            .caption("boxes")
            .boxes("b", BoundingBoxes2D::new([truth]))
            .unwrap(),
    ]
}

/// Of different sizes: 2×1 pixels with a mask and a box, and the whole size.
fn padded() -> ImageList {
    let small = Image::from(Pixels::new(2, 1, Mode::L, vec![200, 100]).unwrap());
    let whole = BoundingBox::new(Domain::Pixel, Position::corners(0.0, 0.0, 2.0, 1.0), 1);
    let small = small
        .masks("m", ImageMask::new(2, 1, vec![2, 1]).unwrap())
        .unwrap()
        .boxes("b", BoundingBoxes2D::new([whole]))
        .unwrap();
    ImageList::new([picture(20), small]).pad_to_largest(true)
}

fn modes() -> Row {
    let deep = Pixels::from_u16(2, 1, vec![258, 65_535]).unwrap();
    let la = Pixels::new(2, 1, Mode::La, vec![1, 2, 3, 4]).unwrap();
    Row::new()
        .with("deep", Image::from(deep))
        .with("la", Image::from(la))
        .with("grey", picture(30).convert(Mode::L))
        .with(
            "jpg",
            picture(31)
                .file_type(FileType::jpg())
                .masks("m", mask(2))
                .unwrap(),
        )
        .with(
            "bmp",
            picture(32)
                .file_type(FileType::Bmp)
                .masks("m", mask(4))
                .unwrap(),
        )
}

fn log_everything(run: &Run, dir: &Path) {
    run.log(
        Row::new()
            .with("val/masks", with_masks(dir))
            .with("boxes", with_boxes()),
    )
    .unwrap();
    let one_name = |name: &str| Classes::new([(1_i64, name)]).unwrap();
    let layer = |name: &str| picture(3).masks("same", mask(1).class_labels(one_name(name)));
    let row = Row::new().with("first", layer("cat").unwrap());
    run.log(row.with("second", layer("dog").unwrap())).unwrap();
    let later = picture(4).masks(
        "same",
        mask(1).class_labels(Classes::new([(2_i64, "new")]).unwrap()),
    );
    run.log([("first", later.unwrap())]).unwrap();
    run.log(Row::new().with("list", list()).with("padded", padded()))
        .unwrap();
    run.log(modes()).unwrap();
    let many = (0..110).map(|shade| picture(shade).masks("m", mask(shade)).unwrap());
    run.log(Row::new().with("many", many.collect::<Vec<_>>()))
        .unwrap();
    let of_image = picture(5).masks("m", mask(1)).unwrap().classes(names());
    let cell = run.media_json("cell", 6, of_image).unwrap();
    run.log(Row::new().with("embedded", json!({ "cell": cell })))
        .unwrap();
}

// ---- what arrives ----

struct Arrived {
    received: Received,
    rows: Vec<Json>,
    sent: BTreeMap<String, String>,
}

/// The folder of an ended run.
fn written(dir: &Path) -> PathBuf {
    let run = wandb_image::init()
        .mode(RunMode::Offline)
        .dir(dir)
        .config(&json!({"learning_rate": 0.125}))
        .unwrap()
        .start()
        .unwrap();
    log_everything(&run, dir);
    run.finish().unwrap();
    run.dir().unwrap().to_owned()
}

fn arrived(client: &Client) -> Arrived {
    let dir = tempfile::tempdir().unwrap();
    let run = written(dir.path());
    let sent = hashes(&run.join("files"));
    let received = client.sync(&run);
    let rows = received.rows();
    Arrived {
        received,
        rows,
        sent,
    }
}

impl Arrived {
    fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.received.dir.join("files").join(path)).unwrap()
    }

    fn layer(&self, layer: &Json) -> Vec<u8> {
        self.bytes(layer["path"].as_str().unwrap())
    }

    fn check_ids(&self, layer: &Json, expected: &[u8]) {
        let mask = image::load_from_memory(&self.layer(layer)).unwrap();
        assert_eq!(mask.color(), ColorType::L8, "{layer}");
        assert_eq!(mask.as_bytes(), expected, "{layer}");
    }

    fn check_boxes(&self, layer: &Json, expected: Json) {
        let mut boxes = serde_json::from_slice(&self.layer(layer)).unwrap();
        plain_numbers(&mut boxes);
        assert_eq!(boxes, expected, "{layer}");
    }
}

/// The files that a row names, each with what it says of it.
fn named(value: &Json, found: &mut Vec<(String, Option<Json>, Option<Json>)>) {
    match value {
        Json::Object(object) => {
            let get = |key: &str| object.get(key).cloned();
            if let Some(path) = object.get("path") {
                found.push((path.as_str().unwrap().into(), get("sha256"), get("size")));
            }
            let names = object.get("filenames").and_then(Json::as_array);
            for name in names.into_iter().flatten() {
                found.push((name.as_str().unwrap().into(), None, None));
            }
            object.values().for_each(|value| named(value, found));
        }
        Json::Array(values) => values.iter().for_each(|value| named(value, found)),
        _ => {}
    }
}

#[test]
fn a_run_with_every_layer_mode_and_list_arrives_whole() {
    let Some(client) = Client::find() else { return };
    let arrived = arrived(&client);
    check_files(&arrived);
    check_masks(&arrived);
    check_boxes(&arrived);
    check_lists(&arrived);
    check_modes(&arrived);
    check_labels(&arrived);
    let exit = json!({"complete": true, "exitcode": 0});
    assert_eq!(arrived.received.json("exit.json"), exit);
}

fn check_files(arrived: &Arrived) {
    assert_eq!(arrived.rows.len(), 7);
    assert_eq!(arrived.received.media(), arrived.sent);
    let mut files = Vec::new();
    arrived.rows.iter().for_each(|row| named(row, &mut files));
    let paths: BTreeSet<&str> = files.iter().map(|(path, ..)| path.as_str()).collect();
    let sent: BTreeSet<&str> = arrived.sent.keys().map(String::as_str).collect();
    assert_eq!(paths, sent);
    for (path, hash, size) in &files {
        let bytes = arrived.bytes(path);
        let is_of_list = hash.is_none() && size.is_none();
        assert!(is_of_list || *hash == Some(json!(sha256(&bytes))), "{path}");
        assert!(is_of_list || *size == Some(json!(bytes.len())), "{path}");
    }
}

fn check_masks(arrived: &Arrived) {
    let image = &arrived.rows[0]["val/masks"];
    assert_eq!(
        (&image["grouping"], &image["caption"]),
        (&json!(7), &json!("masks"))
    );
    let masks = &image["masks"];
    let modulo: Vec<u8> = (0..12).map(|i| i % 3).collect();
    let flags: Vec<u8> = (0..12).map(|i| u8::from(i % 5 == 0)).collect();
    let mut ignored = [0; 12];
    ignored[5] = 255;
    let check = |key: &str, expected: &[u8]| arrived.check_ids(&masks[key], expected);
    check("grey file", &ids(1));
    check("palette file", &ids(4));
    check("tensor", &ids(2));
    check("scores", &modulo);
    check("flags", &flags);
    check("ignored", &ignored);
    check(ODD_LAYER, &ids(5));
    assert_eq!(masks.as_object().unwrap().len(), 7);
    arrived.check_ids(&arrived.rows[6]["embedded"]["cell"]["masks"]["m"], &ids(1));
}

fn check_boxes(arrived: &Arrived) {
    let boxes = &arrived.rows[0]["boxes"]["boxes"];
    let corners = |min_x: f64, min_y: f64, max_x: f64, max_y: f64| {
        let mut corners = json!({"minX": min_x, "minY": min_y, "maxX": max_x, "maxY": max_y});
        plain_numbers(&mut corners);
        corners
    };
    let mixed = json!([
        {
            "position": corners(0.25, 0.0, 0.5, 1.0), "class_id": 1,
            "box_caption": "größer „1“\n🙂", "scores": {"accuracy": 0.75, "loss": 1e-7},
        },
        {"position": corners(-1.0, 0.0, 9.0, 2.5), "class_id": 2, "domain": "pixel"},
        {"position": {"middle": [0.5, 0.5], "width": 0.25, "height": 1}, "class_id": 0},
        {"position": {"middle": [2, 1], "width": 3, "height": 1.5}, "class_id": -3, "domain": "pixel"},
    ]);
    let labels = json!({"0": "background", "1": "cat", "2": "dog"});
    arrived.check_boxes(
        &boxes["mixed"],
        json!({"box_data": mixed, "class_labels": labels}),
    );
    arrived.check_boxes(&boxes["none"], json!({"box_data": []}));
    let detected = |position: Json, class_id: i64, score: f64| {
        json!({
            "position": position, "class_id": class_id, "domain": "pixel",
            "scores": {"confidence": score},
        })
    };
    let detected = [
        detected(corners(0.0, 0.0, 2.0, 2.0), 4, 0.5),
        detected(corners(1.0, 1.0, 3.0, 2.0), 6, 0.125),
    ];
    arrived.check_boxes(&boxes["detector"], json!({"box_data": detected}));
}

fn check_lists(arrived: &Arrived) {
    let list = &arrived.rows[3]["list"];
    assert_eq!(list["captions"], json!([null, null, "boxes"]));
    let (masks, boxes) = (&list["all_masks"], &list["all_boxes"]);
    assert_eq!((&masks[0], &masks[2]), (&Json::Null, &Json::Null));
    assert_eq!((&boxes[0], &boxes[1]), (&Json::Null, &Json::Null));
    arrived.check_ids(&masks[1]["m"], &ids(1));
    let whole = json!({"minX": 0, "minY": 0, "maxX": 1, "maxY": 1});
    let truth = json!([{"position": whole, "class_id": 1}]);
    arrived.check_boxes(&boxes[2]["b"], json!({"box_data": truth}));

    let padded = &arrived.rows[3]["padded"];
    assert_eq!(
        (&padded["width"], &padded["height"]),
        (&json!(4), &json!(3))
    );
    let small = arrived.bytes(padded["filenames"][1].as_str().unwrap());
    let small = image::load_from_memory(&small).unwrap();
    assert_eq!((small.width(), small.height()), (4, 3));
    arrived.check_ids(
        &padded["all_masks"][1]["m"],
        &[0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0],
    );
    let moved = json!({"minX": 1, "minY": 1, "maxX": 3, "maxY": 2});
    let moved = json!([{"position": moved, "class_id": 1, "domain": "pixel"}]);
    arrived.check_boxes(&padded["all_boxes"][1]["b"], json!({"box_data": moved}));

    let (many, rest) = (&arrived.rows[5]["many"], &arrived.rows[5]["many (2)"]);
    assert_eq!((&many["count"], &rest["count"]), (&json!(108), &json!(2)));
    for (i, layers) in [many, rest]
        .into_iter()
        .flat_map(|list| list["all_masks"].as_array().unwrap())
        .enumerate()
    {
        arrived.check_ids(&layers["m"], &ids(i as u8));
    }
}

fn check_modes(arrived: &Arrived) {
    let row = &arrived.rows[4];
    let check = |key: &str, color: ColorType, format: &str| {
        let file = arrived.layer(&row[key]);
        let image = image::load_from_memory(&file).unwrap();
        assert_eq!(
            (image.color(), &row[key]["format"]),
            (color, &json!(format)),
            "{key}"
        );
        image
    };
    let deep = check("deep", ColorType::L16, "png").into_luma16();
    assert_eq!(deep.into_raw(), [258, 65_535]);
    let la = check("la", ColorType::La8, "png");
    assert_eq!(la.as_bytes(), [1, 2, 3, 4]);
    check("grey", ColorType::L8, "png");
    check("jpg", ColorType::Rgb8, "jpg");
    check("bmp", ColorType::Rgb8, "bmp");
    arrived.check_ids(&row["jpg"]["masks"]["m"], &ids(2));
    arrived.check_ids(&row["bmp"]["masks"]["m"], &ids(4));
}

/// The labels of every layer of every key, and nothing of the rest is lost.
fn check_labels(arrived: &Arrived) {
    let config = arrived.received.json("config.json");
    assert_eq!(config["learning_rate"]["value"], 0.125);
    let config = &config["_wandb"]["value"];
    assert_eq!(config["t"]["12"], "0.31.0");
    let names = json!({"0": "background", "1": "cat", "2": "dog"});
    let numbered = json!({"0": "class_0", "1": "class_1", "2": "class_2"});
    let odd = json!({"1": "größer \"1\"\n🙂"});
    let check = |kind: &str, expected: &[(&str, &str, &Json)]| {
        let expected = expected.iter().map(|&(key, layer, names)| {
            let key = format!("{key}_wandb_delimeter_{layer}");
            (
                key.clone(),
                json!({"type": kind, "key": key, "value": names}),
            )
        });
        let mut arrived = config[kind].as_object().unwrap().clone();
        // Of no class: `value` is left out on the way, as it is by the SDK.
        arrived.retain(|_, labels| labels.get("value").is_some());
        assert_eq!(
            Json::Object(arrived),
            Json::Object(expected.collect()),
            "{kind}"
        );
    };
    check(
        "mask/class_labels",
        &[
            ("val/masks", "grey file", &names),
            ("val/masks", "palette file", &numbered),
            ("val/masks", "tensor", &names),
            ("val/masks", "scores", &numbered),
            (
                "val/masks",
                "flags",
                &json!({"0": "class_0", "1": "class_1"}),
            ),
            (
                "val/masks",
                "ignored",
                &json!({"0": "class_0", "255": "class_255"}),
            ),
            ("val/masks", ODD_LAYER, &odd),
            ("first", "same", &json!({"1": "cat", "2": "new"})),
            ("second", "same", &json!({"1": "dog"})),
            ("list", "m", &names),
            // The margin is of class 0.
            ("padded", "m", &numbered),
            ("jpg", "m", &numbered),
            ("bmp", "m", &numbered),
            ("many", "m", &numbered),
            ("many (2)", "m", &numbered),
            ("cell", "m", &names),
        ],
    );
    check(
        "bounding_box/class_labels",
        &[
            ("boxes", "mixed", &names),
            (
                "boxes",
                "detector",
                &json!({"4": "class_4", "6": "class_6"}),
            ),
            ("list", "b", &json!({"1": "class_1"})),
            ("padded", "b", &json!({"1": "class_1"})),
        ],
    );
}

/// W&B's terminal viewer draws a picture from leaves of their own, with layers beside them.
#[test]
fn leet_finds_pictures_that_have_layers() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let records = client.wandb(&["leet", "inspect", "--json"], &written(dir.path()), None);
    let rows: Vec<Json> = records
        .lines()
        .map(parse)
        .filter(|record| record["type"] == "history")
        .map(|record| record["history"]["item"].clone())
        .collect();
    assert_eq!(rows.len(), 7);
    let check = |row: usize, leaf: &str, expected: Json| {
        assert_eq!(rows[row][leaf], expected, "{leaf} in {}", rows[row]);
    };
    check(0, "val/masks._type", json!("image-file"));
    check(0, "val/masks.masks.tensor._type", json!("mask"));
    check(0, "boxes.boxes.detector._type", json!("boxes2D"));
    check(3, "list._type", json!("images/separated"));
    check(3, "list.captions", json!([null, null, "boxes"]));
    let path = rows[0]["val/masks.path"].as_str().unwrap();
    assert!(path.starts_with("media/images/val/masks_0_"), "{path}");
}
