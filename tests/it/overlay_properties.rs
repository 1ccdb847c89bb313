//! Any mask, any boxes and any text either are an error or come back equal from the files and the
//! JSON of a run. The seed is fixed: a failure can be run again.

use std::collections::BTreeMap;
use std::fs;

use fastrand::Rng;
use half::{bf16, f16};
use image::ColorType;
use serde_json::{Map, Value as Json, json};
use wandb_image::sink::MemorySink;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxFormat, Classes, Domain, HostTensor, Image, ImageList,
    ImageMask, IntoWandbImage, Invalid, Layout, MaskOptions, Mode, Pixels, Position, Row,
};

use crate::client::split_strings;
use crate::rows::{config, nested};

const SEED: u64 = 0x77616e6462;

// ---- a run, and what it kept ----

struct Kept {
    rows: Vec<Json>,
    files: BTreeMap<String, Vec<u8>>,
    config: Json,
}

/// Logs each value in a row of its own.
fn kept(rows: impl IntoIterator<Item = Row>) -> Kept {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    for row in rows {
        run.log(row).unwrap();
    }
    run.finish().unwrap();
    let files = sink.files().into_iter().map(|file| (file.path, file.bytes));
    Kept {
        rows: sink.rows().iter().map(nested).collect(),
        files: files.collect(),
        config: config(sink.records()),
    }
}

impl Kept {
    fn layer(&self, layer: &Json) -> &[u8] {
        &self.files[layer["path"].as_str().unwrap()]
    }

    fn check_ids(&self, layer: &Json, (width, height): (u32, u32), ids: &[u8]) {
        let mask = image::load_from_memory(self.layer(layer)).unwrap();
        assert_eq!(mask.color(), ColorType::L8);
        assert_eq!((mask.width(), mask.height()), (width, height));
        assert!(mask.as_bytes() == ids, "{width}×{height}: other ids");
    }

    fn labels(&self, kind: &str, key: &str, layer: &str) -> &Json {
        let key = format!("{key}_wandb_delimeter_{layer}");
        let entry = &self.config["_wandb"][kind][&key];
        assert_eq!((&entry["type"], &entry["key"]), (&json!(kind), &json!(key)));
        &entry["value"]
    }
}

fn picture(width: u32, height: u32) -> Image {
    let bytes = vec![9; (width * height) as usize];
    Image::from(Pixels::new(width, height, Mode::L, bytes).unwrap())
}

// ---- masks ----

fn size(rng: &mut Rng) -> (u32, u32) {
    match rng.u8(..8) {
        0 => (1, rng.u32(1..300)),
        1 => (rng.u32(1..300), 1),
        _ => (rng.u32(1..60), rng.u32(1..60)),
    }
}

fn ids(rng: &mut Rng, len: usize) -> Vec<u8> {
    let classes = *rng.choice(&[1, 2, 3, 20, 255]).unwrap();
    let first = rng.u8(..=255 - classes);
    (0..len).map(|_| first + rng.u8(..=classes)).collect()
}

/// The same ids by one of the ways to a mask.
fn mask(rng: &mut Rng, (width, height): (u32, u32), ids: &[u8]) -> ImageMask {
    let shape = [height as usize, width as usize];
    let wide = |id: &u8| i64::from(*id);
    match rng.u8(..6) {
        0 => ImageMask::new(width, height, ids.to_vec()).unwrap(),
        1 => file(width, height, ids),
        2 => to_mask(&HostTensor::new(shape, ids.to_vec()).unwrap()),
        3 => to_mask(&HostTensor::new(shape, ids.iter().map(wide).collect()).unwrap()),
        4 => {
            let ids = ids.iter().map(|id| u32::from(*id)).collect();
            to_mask(&HostTensor::new([1, shape[0], shape[1]], ids).unwrap())
        }
        _ => {
            let ids = [ids, ids]
                .concat()
                .iter()
                .map(|id| i16::from(*id))
                .collect();
            let batch = HostTensor::new([2, 1, shape[0], shape[1]], ids).unwrap();
            batch.to_wandb_masks().unwrap().remove(1)
        }
    }
}

fn to_mask(tensor: &HostTensor) -> ImageMask {
    tensor.to_wandb_mask().unwrap()
}

fn file(width: u32, height: u32, ids: &[u8]) -> ImageMask {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    image::GrayImage::from_raw(width, height, ids.to_vec())
        .unwrap()
        .save(&path)
        .unwrap();
    let mask = ImageMask::from_path(&path).unwrap();
    fs::remove_file(path).unwrap();
    mask
}

#[test]
fn any_ids_come_back() {
    let mut rng = Rng::with_seed(SEED);
    let mut cases = Vec::new();
    let rows: Vec<Row> = (0..300)
        .map(|case| {
            let (width, height) = size(&mut rng);
            let ids = ids(&mut rng, (width * height) as usize);
            let mask = mask(&mut rng, (width, height), &ids);
            let image = picture(width, height).masks("m", mask).unwrap();
            cases.push(((width, height), ids));
            Row::new().with(format!("case {case}"), image)
        })
        .collect();
    let kept = kept(rows);
    for (case, (size, ids)) in cases.iter().enumerate() {
        let key = format!("case {case}");
        kept.check_ids(&kept.rows[case][&key]["masks"]["m"], *size, ids);
        let names = ids
            .iter()
            .map(|id| (id.to_string(), json!(format!("class_{id}"))));
        let labels = kept.labels("mask/class_labels", &key, "m");
        assert_eq!(*labels, Json::Object(names.collect()), "{key}");
    }
}

/// An id, what it becomes under random options, and its place where it becomes none.
#[test]
fn any_id_is_kept_or_remapped_or_named_with_its_place() {
    let mut rng = Rng::with_seed(SEED);
    let (mut kept, mut refused) = (0, 0);
    for _ in 0..400 {
        let (width, height) = (rng.usize(1..20), rng.usize(1..20));
        let odd = [-100, -1, 256, 1000, i64::MIN, i64::MAX];
        let ids: Vec<i64> = (0..width * height)
            .map(|_| match rng.u8(..100) {
                0 => *rng.choice(&odd).unwrap(),
                _ => rng.i64(0..256),
            })
            .collect();
        let named: BTreeMap<i64, u8> = (0..rng.usize(..4))
            .map(|_| (*rng.choice(&[-100, 256, 255, 7]).unwrap(), rng.u8(..)))
            .collect();
        let outside = rng.bool().then(|| rng.u8(..));
        let mut options = MaskOptions::new();
        options = named
            .iter()
            .fold(options, |options, (&id, &to)| options.remap(id, to));
        options = outside
            .iter()
            .fold(options, |options, &to| options.remap_outside(to));
        let becomes = |id: &i64| {
            let named = named.get(id).copied();
            named.or_else(|| u8::try_from(*id).ok()).or(outside)
        };
        let tensor = HostTensor::new([height, width], ids.clone()).unwrap();
        let made = tensor.to_wandb_mask_with(&options).unwrap().ids();
        match ids.iter().position(|id| becomes(id).is_none()) {
            None => {
                let expected: Option<Vec<u8>> = ids.iter().map(becomes).collect();
                assert_eq!(made.unwrap().as_bytes(), expected.unwrap());
                kept += 1;
            }
            Some(at) => {
                let (id, row, column) = (ids[at], at / width, at % width);
                let error = made.unwrap_err().to_string();
                let place = format!("id {id} at row {row}, column {column} ");
                assert!(error.contains(&place), "{error:?} lacks {place:?}");
                refused += 1;
            }
        }
    }
    assert!(kept > 50 && refused > 50, "{kept} kept, {refused} refused");
}

fn score(rng: &mut Rng) -> f32 {
    match rng.u8(..10) {
        0 => f32::NAN,
        1 => *rng.choice(&[f32::INFINITY, f32::NEG_INFINITY]).unwrap(),
        2 => *rng.choice(&[0.0, -0.0]).unwrap(),
        // Few different ones, so that there are ties; exact in every float type.
        _ => f32::from(rng.i8(-4..4)) / 4.0,
    }
}

/// The first of the greatest, by the definition.
fn argmax(scores: &[f32]) -> u8 {
    let mut best = None;
    for (class, &score) in scores.iter().enumerate() {
        let is_better = |best: usize| score > scores[best];
        if !score.is_nan() && best.is_none_or(is_better) {
            best = Some(class);
        }
    }
    best.unwrap_or(0) as u8
}

#[test]
fn any_scores_give_the_first_maximum() {
    let mut rng = Rng::with_seed(SEED);
    for case in 0..300 {
        let [classes, height, width] = [rng.usize(2..9), rng.usize(1..9), rng.usize(1..9)];
        let pixels: Vec<Vec<f32>> = (0..height * width)
            .map(|_| (0..classes).map(|_| score(&mut rng)).collect())
            .collect();
        let planes = (0..classes).flat_map(|class| pixels.iter().map(move |pixel| pixel[class]));
        let (shape, values, layout) = match case % 2 {
            0 => ([classes, height, width], planes.collect(), Layout::Chw),
            _ => ([height, width, classes], pixels.concat(), Layout::Hwc),
        };
        let tensor = float_tensor(&mut rng, shape, values);
        let options = MaskOptions::new().layout(layout);
        let mask = tensor.to_wandb_mask_with(&options).unwrap();
        let expected: Vec<u8> = pixels.iter().map(|pixel| argmax(pixel)).collect();
        assert_eq!(mask.ids().unwrap().as_bytes(), expected, "{pixels:?}");
    }
}

fn float_tensor(rng: &mut Rng, shape: [usize; 3], values: Vec<f32>) -> HostTensor {
    match rng.u8(..4) {
        0 => HostTensor::new(shape, values),
        1 => HostTensor::new(shape, values.into_iter().map(f64::from).collect()),
        2 => HostTensor::new(shape, values.into_iter().map(f16::from_f32).collect()),
        _ => HostTensor::new(shape, values.into_iter().map(bf16::from_f32).collect()),
    }
    .unwrap()
}

fn any_tensor(rng: &mut Rng) -> HostTensor {
    let shape: Vec<usize> = (0..rng.usize(..6)).map(|_| rng.usize(..5)).collect();
    let len = shape.iter().product();
    let tensor = match rng.u8(..7) {
        0 => HostTensor::new(shape, vec![true; len]),
        1 => HostTensor::new(shape, (0..len).map(|_| rng.u8(..)).collect::<Vec<_>>()),
        2 => HostTensor::new(shape, (0..len).map(|_| rng.i8(..)).collect::<Vec<_>>()),
        3 => HostTensor::new(shape, (0..len).map(|_| rng.u64(..)).collect::<Vec<_>>()),
        4 => HostTensor::new(shape, (0..len).map(|_| rng.i64(..)).collect::<Vec<_>>()),
        5 => HostTensor::new(shape, (0..len).map(|_| score(rng)).collect::<Vec<_>>()),
        _ => HostTensor::new(shape, (0..len).map(|_| number(rng)).collect::<Vec<_>>()),
    };
    tensor.unwrap()
}

/// No panic, and an error that says what to do; what is taken is made, or says where it can't be.
#[test]
fn any_tensor_is_masks_or_an_error() {
    let mut rng = Rng::with_seed(SEED);
    let (mut made, mut refused) = (0, 0);
    for _ in 0..2000 {
        let tensor = any_tensor(&mut rng);
        let layout = *rng.choice(&[Layout::Chw, Layout::Hwc]).unwrap();
        let options = MaskOptions::new().layout(layout);
        let one = tensor.to_wandb_mask_with(&options).map(|mask| vec![mask]);
        for masks in [one, tensor.to_wandb_masks_with(&options)] {
            for result in
                masks.map_or_else(|error| vec![Err(error)], |m| m.iter().map(ids_of).collect())
            {
                match result {
                    Ok(()) => made += 1,
                    Err(error) => {
                        assert!(error.to_string().len() > 40, "{error}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(
        made > 200 && refused > 200,
        "{made} made, {refused} refused"
    );
}

fn ids_of(mask: &ImageMask) -> wandb_image::Result<()> {
    let ids = mask.ids()?;
    assert_eq!((ids.width(), ids.height()), (mask.width(), mask.height()));
    Ok(())
}

/// A PNG of any kind, and what its first samples are.
fn any_png(rng: &mut Rng) -> Vec<u8> {
    let colors = [
        png::ColorType::Grayscale,
        png::ColorType::Indexed,
        png::ColorType::Rgb,
        png::ColorType::GrayscaleAlpha,
    ];
    let (color, width, height) = (*rng.choice(&colors).unwrap(), rng.u32(1..40), rng.u32(1..9));
    let (samples, bits, depth) = match color {
        png::ColorType::Grayscale | png::ColorType::Indexed => *rng
            .choice(&[
                (1, 1, png::BitDepth::One),
                (1, 4, png::BitDepth::Four),
                (1, 8, png::BitDepth::Eight),
            ])
            .unwrap(),
        color => (color.samples(), 8, png::BitDepth::Eight),
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_palette(vec![7_u8; 768]);
    let line = (width as usize * samples * bits).div_ceil(8);
    let data: Vec<u8> = (0..line * height as usize).map(|_| rng.u8(..)).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// No panic on a file that is damaged anywhere.
#[test]
fn any_damage_to_a_file_is_an_error_or_changes_nothing_but_ids() {
    let mut rng = Rng::with_seed(SEED);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    let (mut read, mut refused) = (0, 0);
    for _ in 0..800 {
        let mut bytes = any_png(&mut rng);
        for _ in 0..rng.usize(..3) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..3) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = rng.u8(..),
                _ => bytes.insert(at, rng.u8(..)),
            }
        }
        fs::write(&path, &bytes).unwrap();
        match ImageMask::from_path(&path).and_then(|mask| ids_of(&mask)) {
            Ok(()) => read += 1,
            Err(error) => {
                assert!(error.to_string().contains("mask.png"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(
        read > 100 && refused > 100,
        "{read} read, {refused} refused"
    );
}

// ---- boxes ----

fn number(rng: &mut Rng) -> f64 {
    let odd = [
        0.0,
        -0.0,
        1.0,
        0.1,
        1.0 / 3.0,
        5e-324,
        1e-7,
        1e21,
        f64::MIN,
        f64::MAX,
    ];
    match rng.u8(..40) {
        0 => *rng
            .choice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
            .unwrap(),
        1 => f64::from_bits(rng.u64(..)),
        2..6 => *rng.choice(&odd).unwrap(),
        _ => rng.f64() * 3.0 - 1.0,
    }
}

fn position(rng: &mut Rng) -> Position {
    let [a, b, c, d] = [(); 4].map(|()| number(rng));
    match rng.u8(..10) {
        0 => Position::corners(a, b, c, d),
        1..5 => Position::corners(a.min(c), b.min(d), a.max(c), b.max(d)),
        5 => Position::middle(a, b, c, d),
        _ => Position::middle(a, b, c.abs(), d.abs()),
    }
}

fn one_box(rng: &mut Rng) -> BoundingBox {
    let domain = *rng.choice(&[Domain::Fraction, Domain::Pixel]).unwrap();
    let class_id = *rng.choice(&[0, 1, -1, i64::MIN, i64::MAX]).unwrap();
    let mut one = BoundingBox::new(domain, position(rng), class_id);
    if rng.bool() {
        one = one.caption(text(rng));
    }
    for _ in 0..rng.usize(..3) {
        one = one.score(text(rng), number(rng));
    }
    one
}

/// What the README and the docs say of a box that can be drawn.
fn is_valid(one: &BoundingBox) -> bool {
    let (numbers, is_ordered, edges) = match one.position() {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => {
            let edges = [min_x, min_y, max_x, max_y];
            (edges, min_x <= max_x && min_y <= max_y, edges)
        }
        Position::Middle {
            middle: [x, y],
            width: w,
            height: h,
        } => {
            let edges = [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0];
            ([x, y, w, h], w >= 0.0 && h >= 0.0, edges)
        }
    };
    let is_inside = |edge: &f64| match one.domain() {
        Domain::Fraction => (-1.0..=2.0).contains(edge),
        Domain::Pixel => edge.is_finite(),
    };
    let mut all = numbers.iter().chain(one.scores().values());
    let are_named = one.scores().keys().all(|name| !name.is_empty());
    all.all(|number| number.is_finite()) && is_ordered && are_named && edges.iter().all(is_inside)
}

/// A box as its JSON says it, with its numbers as they are spelt: `serde_json` may read another
/// one than was written, in the last bit.
fn check_box(spelt: &Json, one: &BoundingBox) {
    let check = |spelt: &Json, expected: f64| {
        let read: f64 = spelt.as_str().unwrap().parse().unwrap();
        assert_eq!(read.to_bits(), expected.to_bits(), "{spelt} for {one:?}");
    };
    let place = &spelt["position"];
    match one.position() {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => {
            let names = ["minX", "minY", "maxX", "maxY"];
            let numbers = [min_x, min_y, max_x, max_y];
            names
                .iter()
                .zip(numbers)
                .for_each(|(name, number)| check(&place[name], number));
        }
        Position::Middle {
            middle,
            width,
            height,
        } => {
            check(&place["middle"][0], middle[0]);
            check(&place["middle"][1], middle[1]);
            check(&place["width"], width);
            check(&place["height"], height);
        }
    }
    let domain = (one.domain() == Domain::Pixel).then_some("pixel");
    assert_eq!(spelt["domain"].as_str(), domain);
    assert_eq!(spelt["class_id"], one.class_id().to_string());
    assert_eq!(spelt["box_caption"].as_str(), one.caption_text());
    let scores = spelt["scores"].as_object().cloned().unwrap_or_default();
    assert_eq!(scores.len(), one.scores().len());
    for (name, score) in one.scores() {
        check(&scores[name], *score);
    }
}

/// JSON whose numbers are strings, as they are spelt.
fn with_spelt_numbers(bytes: &[u8]) -> Json {
    let text = std::str::from_utf8(bytes).unwrap();
    let pieces = split_strings(text).into_iter().enumerate();
    let spelt: String = pieces
        .map(|(index, piece)| match index % 2 {
            0 => quoted_numbers(piece),
            _ => piece.to_owned(),
        })
        .collect();
    serde_json::from_str(&spelt).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn quoted_numbers(piece: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (mut quoted, mut is_inside) = (String::new(), false);
    for c in piece.chars() {
        if is_part(c) != is_inside {
            quoted.push('"');
            is_inside = !is_inside;
        }
        quoted.push(c);
    }
    assert!(!is_inside, "{piece}");
    quoted
}

#[test]
fn any_boxes_come_back_or_the_first_that_cannot_be_drawn_is_named() {
    let mut rng = Rng::with_seed(SEED);
    let (mut rows, mut cases, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..600 {
        let boxes: Vec<BoundingBox> = (0..rng.usize(..4)).map(|_| one_box(&mut rng)).collect();
        let layer = BoundingBoxes2D::new(boxes.clone());
        let given = picture(7, 5).boxes("layer", layer.clone());
        let first_invalid = boxes.iter().position(|one| !is_valid(one));
        assert_eq!(
            given.is_ok(),
            first_invalid.is_none(),
            "{boxes:?}: {given:?}"
        );
        let image = given.unwrap_or_else(|error| {
            let error = error.to_string();
            let expected = format!("boxes \"layer\": box {} ", first_invalid.unwrap());
            assert!(error.starts_with(&expected), "{error:?} lacks {expected:?}");
            refused += 1;
            let layer = layer.invalid(Invalid::Skip);
            picture(7, 5).boxes("layer", layer).unwrap()
        });
        rows.push(Row::new().with("boxes", image));
        cases.push(boxes);
    }
    assert!(refused > 100 && refused < 500, "{refused} refused");
    let kept = kept(rows);
    for (case, boxes) in cases.iter().enumerate() {
        let file = kept.layer(&kept.rows[case]["boxes"]["boxes"]["layer"]);
        let spelt = with_spelt_numbers(file);
        let spelt = spelt["box_data"].as_array().unwrap();
        let valid: Vec<&BoundingBox> = boxes.iter().filter(|one| is_valid(one)).collect();
        assert_eq!(spelt.len(), valid.len(), "{boxes:?}");
        spelt
            .iter()
            .zip(valid)
            .for_each(|(spelt, one)| check_box(spelt, one));
    }
}

#[test]
fn any_boxes_that_are_clipped_lie_in_the_picture() {
    let mut rng = Rng::with_seed(SEED);
    for _ in 0..600 {
        let boxes: Vec<BoundingBox> = (0..rng.usize(1..4)).map(|_| one_box(&mut rng)).collect();
        let layer = BoundingBoxes2D::new(boxes.clone());
        let layer = layer.invalid(Invalid::Skip).clip(true);
        for one in layer.boxes_in(7, 5).unwrap() {
            assert!(is_valid(&one), "{one:?} of {boxes:?}");
            let [width, height] = match one.domain() {
                Domain::Fraction => [1.0, 1.0],
                Domain::Pixel => [7.0, 5.0],
            };
            let [min_x, min_y, max_x, max_y] = edges(one.position());
            // A box that is given by its middle has its edges by a sum, which rounds.
            let near = |edge: f64, limit: f64| (-1e-9..=limit + 1e-9).contains(&edge);
            let is_inside = [near(min_x, width), near(max_x, width), near(min_y, height)];
            assert!(is_inside == [true; 3] && near(max_y, height), "{one:?}");
        }
    }
}

fn edges(position: Position) -> [f64; 4] {
    match position {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => [min_x, min_y, max_x, max_y],
        Position::Middle {
            middle: [x, y],
            width: w,
            height: h,
        } => [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0],
    }
}

/// A row of numbers in a format, and the edges that it means.
fn edges_of(format: BoxFormat, [a, b, c, d]: [f64; 4]) -> [f64; 4] {
    match format {
        BoxFormat::Xyxy => [a, b, c, d],
        BoxFormat::Xywh => [a, b, a + c, b + d],
        BoxFormat::Cxcywh => edges(Position::middle(a, b, c, d)),
        other => panic!("a new format, {other:?}"),
    }
}

#[test]
fn any_boxes_of_a_tensor_are_those_of_its_rows() {
    let mut rng = Rng::with_seed(SEED);
    let formats = [BoxFormat::Xyxy, BoxFormat::Xywh, BoxFormat::Cxcywh];
    for _ in 0..500 {
        let (format, n) = (*rng.choice(&formats).unwrap(), rng.usize(..6));
        let rows: Vec<[f64; 4]> = (0..n)
            .map(|_| {
                let mut quarter = || f64::from(rng.i32(0..20)) / 4.0;
                let [a, b, c, d] = [quarter(), quarter(), quarter(), quarter()];
                match format {
                    BoxFormat::Xyxy => [a, b, a + c, b + d],
                    _ => [a, b, c, d],
                }
            })
            .collect();
        let ids: Vec<i32> = (0..n).map(|_| rng.i32(..)).collect();
        let scores: Vec<f64> = (0..n).map(|_| rng.f64()).collect();
        // Quarters are exact in every float type.
        let numbers = rows.concat().into_iter().map(f16::from_f64);
        let numbers = HostTensor::new([n, 4], numbers.collect()).unwrap();
        let boxes = BoundingBoxes2D::from_tensor(&numbers, format, Domain::Pixel)
            .unwrap()
            .class_ids(&HostTensor::new([n], ids.clone()).unwrap())
            .unwrap()
            .scores("score", &HostTensor::new([n, 1], scores.clone()).unwrap())
            .unwrap()
            .boxes_in(7, 5)
            .unwrap();
        assert_eq!(boxes.len(), n);
        for (i, one) in boxes.iter().enumerate() {
            assert_eq!(
                edges(one.position()),
                edges_of(format, rows[i]),
                "{format:?}"
            );
            assert_eq!(one.class_id(), i64::from(ids[i]));
            assert_eq!(one.scores()["score"].to_bits(), scores[i].to_bits());
        }
    }
}

/// Whatever shapes and dtypes come together, there is no panic.
#[test]
fn any_tensors_are_boxes_or_an_error() {
    let mut rng = Rng::with_seed(SEED);
    let formats = [BoxFormat::Xyxy, BoxFormat::Xywh, BoxFormat::Cxcywh];
    let (mut made, mut refused) = (0, 0);
    for _ in 0..2000 {
        let tensor = match rng.bool() {
            true => any_tensor(&mut rng),
            false => {
                let numbers = (0..12).map(|_| number(&mut rng)).collect();
                HostTensor::new([3, 4], numbers).unwrap()
            }
        };
        let (format, invalid) = (*rng.choice(&formats).unwrap(), rng.bool());
        let invalid = if invalid {
            Invalid::Skip
        } else {
            Invalid::Error
        };
        let (ids, scores) = (any_tensor(&mut rng), any_tensor(&mut rng));
        let (with_ids, with_scores) = (rng.bool(), rng.bool());
        let boxes = BoundingBoxes2D::from_tensor(&tensor, format, Domain::Pixel)
            .and_then(|boxes| {
                if with_ids {
                    boxes.class_ids(&ids)
                } else {
                    Ok(boxes)
                }
            })
            .and_then(|boxes| {
                if with_scores {
                    boxes.scores("s", &scores)
                } else {
                    Ok(boxes)
                }
            })
            .and_then(|boxes| boxes.invalid(invalid).clip(rng.bool()).boxes_in(7, 5));
        match boxes {
            Ok(boxes) => {
                assert!(boxes.iter().all(is_valid), "{boxes:?}");
                made += 1;
            }
            Err(error) => {
                assert!(error.to_string().len() > 40, "{error}");
                refused += 1;
            }
        }
    }
    assert!(
        made > 100 && refused > 200,
        "{made} made, {refused} refused"
    );
}

/// Beside a larger picture they are moved by its margins, 1 and 2 pixels; whatever their numbers
/// are, the file stays JSON.
#[test]
fn any_boxes_of_a_padded_picture_are_moved() {
    let mut rng = Rng::with_seed(SEED);
    let (mut rows, mut cases) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let boxes: Vec<BoundingBox> = (0..3).map(|_| one_box(&mut rng)).collect();
        let layer = BoundingBoxes2D::new(boxes.clone()).invalid(Invalid::Skip);
        let small = picture(7, 5).boxes("layer", layer).unwrap();
        let list = ImageList::new([small, picture(9, 9)]).pad_to_largest(true);
        rows.push(Row::new().with("list", list));
        cases.push(boxes.into_iter().filter(is_valid).collect::<Vec<_>>());
    }
    let kept = kept(rows);
    for (row, boxes) in kept.rows.iter().zip(&cases) {
        let file = kept.layer(&row["list"]["all_boxes"][0]["layer"]);
        let spelt = with_spelt_numbers(file);
        let spelt = spelt["box_data"].as_array().unwrap();
        assert_eq!(spelt.len(), boxes.len());
        for (spelt, one) in spelt.iter().zip(boxes) {
            check_moved(spelt, one);
        }
    }
}

fn check_moved(spelt: &Json, one: &BoundingBox) {
    let [x, y] = match one.domain() {
        Domain::Pixel => [(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)],
        Domain::Fraction => [(7.0, 1.0, 9.0), (5.0, 2.0, 9.0)],
    };
    let check = |spelt: &Json, number: f64, (from, before, to): (f64, f64, f64)| {
        let moved: f64 = spelt.as_str().unwrap().parse().unwrap();
        let expected = (number * from + before) / to;
        assert!(moved.is_finite(), "{spelt} for {one:?}");
        let allowed = f64::EPSILON * expected.abs().max(1.0) * 4.0;
        assert!(
            (moved - expected).abs() <= allowed,
            "{spelt}, not {expected}, for {one:?}"
        );
    };
    let length = |(from, _, to): (f64, f64, f64)| (from, 0.0, to);
    let place = &spelt["position"];
    match one.position() {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => {
            check(&place["minX"], min_x, x);
            check(&place["minY"], min_y, y);
            check(&place["maxX"], max_x, x);
            check(&place["maxY"], max_y, y);
        }
        Position::Middle {
            middle,
            width,
            height,
        } => {
            check(&place["middle"][0], middle[0], x);
            check(&place["middle"][1], middle[1], y);
            check(&place["width"], width, length(x));
            check(&place["height"], height, length(y));
        }
    }
}

// ---- texts ----

fn text(rng: &mut Rng) -> String {
    const PIECES: &[&str] = &[
        "cat",
        " ",
        "\"",
        "\\",
        "\\\"",
        "'",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\u{1}",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{80}",
        "é",
        "e\u{301}",
        "漢字",
        "🙂",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "שלום",
        "مرحبا",
        "\u{202e}",
        "\u{2066}",
        "\u{200f}",
        "\u{2028}",
        "\u{2029}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10ffff}",
        "</script>",
        "{{}}",
        "%s",
        "${x}",
        "NaN",
        "null",
        "_type",
        "_wandb_delimeter_",
        "a/b",
        "../x",
        "a.b",
    ];
    let piece = |rng: &mut Rng| match rng.u8(..4) {
        0 => rng.char(..).to_string(),
        _ => (*rng.choice(PIECES).unwrap()).to_owned(),
    };
    let pieces = match rng.u8(..100) {
        0 => 30_000,
        _ => rng.usize(..12),
    };
    (0..pieces).map(|_| piece(rng)).collect()
}

fn layer_name(rng: &mut Rng) -> String {
    let mut name = text(rng);
    while name.len() > 1024 {
        name.pop();
    }
    match &*name {
        "" => "m".into(),
        _ => name,
    }
}

fn classes(rng: &mut Rng) -> Classes {
    let mut names = BTreeMap::new();
    for _ in 0..rng.usize(1..4) {
        names.insert(
            *rng.choice(&[0, 7, -1, i64::MIN, i64::MAX]).unwrap(),
            text(rng),
        );
    }
    Classes::new(names).unwrap()
}

fn as_json(classes: &Classes) -> Json {
    let names = classes
        .iter()
        .map(|(id, name)| (id.to_string(), json!(name)));
    Json::Object(names.collect::<Map<_, _>>())
}

#[test]
fn any_texts_come_back() {
    let mut rng = Rng::with_seed(SEED);
    let mut cases = vec![["x".repeat(100_000), "שלום 🙂\n\"".repeat(68), "m".into()]];
    cases.extend((1..300).map(|_| [text(&mut rng), layer_name(&mut rng), layer_name(&mut rng)]));
    assert!((1_000..=1_024).contains(&cases[0][1].len()));
    let labels: Vec<Classes> = cases.iter().map(|_| classes(&mut rng)).collect();
    let rows = cases
        .iter()
        .zip(&labels)
        .enumerate()
        .map(|(case, (texts, labels))| {
            let [caption, mask, layer] = texts;
            let ids = ImageMask::new(1, 1, vec![7]).unwrap();
            let one = BoundingBox::new(Domain::Pixel, Position::corners(0.0, 0.0, 1.0, 1.0), 7);
            let boxes = BoundingBoxes2D::new([one.caption(caption).score(layer, 0.5)]);
            let image = picture(1, 1)
                .caption(caption)
                .masks(mask, ids.class_labels(labels.clone()))
                .unwrap()
                .boxes(layer, boxes.class_labels(labels.clone()))
                .unwrap();
            let value: wandb_image::Value = match case % 2 {
                0 => image.into(),
                _ => vec![image].into(),
            };
            Row::new().with(format!("case {case}"), value)
        });
    let kept = kept(rows.collect::<Vec<_>>());
    for (case, (texts, labels)) in cases.iter().zip(&labels).enumerate() {
        check_texts(&kept, case, texts, labels);
    }
}

fn check_texts(kept: &Kept, case: usize, [caption, mask, layer]: &[String; 3], labels: &Classes) {
    let key = format!("case {case}");
    let value = &kept.rows[case][&key];
    let (captioned, masks, boxes) = match case % 2 {
        0 => (&value["caption"], &value["masks"], &value["boxes"]),
        _ => (
            &value["captions"][0],
            &value["all_masks"][0],
            &value["all_boxes"][0],
        ),
    };
    assert!(captioned == caption, "{caption:?}");
    assert!(masks.as_object().unwrap().keys().eq([mask]), "{mask:?}");
    assert!(boxes.as_object().unwrap().keys().eq([layer]), "{layer:?}");
    kept.check_ids(&masks[mask], (1, 1), &[7]);
    let file: Json = serde_json::from_slice(kept.layer(&boxes[layer])).unwrap();
    let one = &file["box_data"][0];
    assert!(one["box_caption"] == **caption, "{caption:?}");
    assert!(
        one["scores"].as_object().unwrap().keys().eq([layer]),
        "{layer:?}"
    );
    let expected = as_json(labels);
    assert!(file["class_labels"] == expected, "{labels:?}");
    assert!(*kept.labels("mask/class_labels", &key, mask) == expected);
    assert!(*kept.labels("bounding_box/class_labels", &key, layer) == expected);
}
