//! What is wrong with a mask, a box, a label or a mode is said with the layer, the place in it and
//! what to do: each check that the Python SDK has, and those that it lacks. (What Rust's types rule
//! out needs no message: a position without a width, a caption that is no string.)

use std::fs;
use std::path::Path;

use wandb_image::sink::MemorySink;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxFormat, Classes, Domain, Error, FileType, HostTensor, Image,
    ImageList, ImageMask, IntoWandbImage, Mode, Overlong, Pixels, Position, Row, Value,
};

/// The error's text contains each of `words`.
fn check(error: &Error, words: &[&str]) {
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

fn check_err<T>(result: Result<T, Error>, words: &[&str]) {
    match result {
        Ok(_) => panic!("no error, but one with {words:?}"),
        Err(error) => check(&error, words),
    }
}

/// What `log` itself says.
fn check_log(value: impl Into<Value>, words: &[&str]) {
    let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
    check_err(run.log(Row::new().with("samples", value)), words);
    run.finish().unwrap();
}

/// What is found behind `log`: `finish` says it, with the key and the step.
fn check_finish(value: impl Into<Value>, words: &[&str]) {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log_at(3, Row::new().with("samples", value).with("loss", 0.5))
        .unwrap();
    let error = run.finish().unwrap_err();
    check(&error, words);
    check(&error, &["\"samples\"", "step 3"]);
    // The rest of the row is kept, and so is the run.
    let keys: Vec<String> = sink.rows()[0]
        .item
        .iter()
        .map(|item| item.key.clone())
        .collect();
    assert!(keys.contains(&"loss".to_owned()), "{keys:?}");
}

fn picture() -> Image {
    Image::from(Pixels::new(4, 3, Mode::L, vec![9; 12]).unwrap())
}

fn tensor<T: wandb_image::tensor::Element + Clone>(shape: &[usize], value: T) -> HostTensor {
    HostTensor::new(shape, vec![value; shape.iter().product()]).unwrap()
}

// ---- masks ----

#[test]
fn a_tensor_whose_shape_or_dtype_is_no_mask() {
    let check = |tensor: HostTensor, words: &[&str]| check_err(tensor.to_wandb_mask(), words);
    check(tensor(&[12], 0_i64), &["[12]", "i64", "(H, W)", "reshape"]);
    check(tensor(&[2, 3, 4], 0_i64), &["[2, 3, 4]", "to_wandb_masks"]);
    check(tensor(&[2, 3, 4], 0_u8), &["[2, 3, 4]", "one-hot", "float"]);
    check(
        tensor(&[3, 4], 0.5_f32),
        &["[3, 4]", "f32", "threshold", "bool", "cast"],
    );
    check(
        tensor(&[1, 3, 4], 0.5_f32),
        &["[1, 3, 4]", "1 channel", "threshold"],
    );
    check(
        tensor(&[2, 5, 3, 4], 0.5_f32),
        &["[2, 5, 3, 4]", "to_wandb_masks"],
    );
    check(tensor(&[0, 4], 0_u8), &["[0, 4]", "empty"]);
    let check = |tensor: HostTensor, words: &[&str]| check_err(tensor.to_wandb_masks(), words);
    check(tensor(&[3, 4], 0_i64), &["[3, 4]", "to_wandb_mask "]);
    check(tensor(&[2, 3, 3, 4], 0_i64), &["[2, 3, 3, 4]", "one-hot"]);
    check(
        tensor(&[2, 3, 4], 0.5_f32),
        &["[2, 3, 4]", "to_wandb_mask "],
    );
}

#[test]
fn an_id_that_a_mask_cannot_hold() {
    let check = |id: i64, words: &[&str]| {
        let mut ids = vec![0_i64; 12];
        ids[6] = id;
        let mask = HostTensor::new([3, 4], ids)
            .unwrap()
            .to_wandb_mask()
            .unwrap();
        let at = format!("id {id} at row 1, column 2");
        let words = [words, &[&at, "0 to 255", "MaskOptions::remap_outside(to)"]].concat();
        check_err(mask.ids(), &words);
        let image = picture().masks("truth", mask).unwrap();
        check_finish(image, &[&words[..], &["mask \"truth\""]].concat());
    };
    check(-100, &["MaskOptions::remap(-100, to)", "ignore index"]);
    check(256, &["MaskOptions::remap(256, to)"]);
    check(i64::MAX, &[]);
}

#[test]
fn an_id_in_a_batch_of_masks() {
    let mut ids = vec![0_i64; 24];
    ids[12 + 11] = 300;
    let batch = HostTensor::new([2, 3, 4], ids).unwrap();
    let masks = batch.to_wandb_masks().unwrap();
    assert!(masks[0].ids().is_ok());
    let words = ["id 300 at row 2, column 3 of mask 1"];
    check_err(masks[1].ids(), &words);
    let images = masks
        .into_iter()
        .map(|mask| picture().masks("truth", mask).unwrap());
    let in_list = [&words[..], &["image 1 of the list"]].concat();
    check_finish(images.collect::<Vec<_>>(), &in_list);
}

#[test]
fn a_mask_of_another_size() {
    let mask = ImageMask::new(3, 4, vec![0; 12]).unwrap();
    check_err(
        picture().masks("prediction", mask),
        &["mask \"prediction\"", "3×4", "4×3"],
    );
    check_err(ImageMask::new(3, 4, vec![0; 11]), &["3×4", "11", "12"]);
}

#[test]
fn a_key_that_no_layer_can_have() {
    let mask = || ImageMask::new(4, 3, vec![0; 12]).unwrap();
    let boxes = || BoundingBoxes2D::new([]);
    check_err(
        picture().masks("", mask()),
        &["mask \"\"", "key is empty", "prediction"],
    );
    check_err(
        picture().boxes("", boxes()),
        &["boxes \"\"", "key is empty", "prediction"],
    );
    let twice = picture().masks("m", mask()).unwrap().masks("m", mask());
    check_err(twice, &["mask \"m\"", "already"]);
    let twice = picture().boxes("b", boxes()).unwrap().boxes("b", boxes());
    check_err(twice, &["boxes \"b\"", "already"]);
    let both = picture()
        .masks("same", mask())
        .unwrap()
        .boxes("same", boxes());
    assert!(both.is_ok(), "a mask and boxes may share a key");
}

fn saved(dir: &Path, name: &str, image: &image::DynamicImage) -> std::path::PathBuf {
    let path = dir.join(name);
    image.save(&path).unwrap();
    path
}

#[test]
fn a_file_that_is_no_mask() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, image: image::DynamicImage, words: &[&str]| {
        let path = saved(dir.path(), name, &image);
        check_err(
            ImageMask::from_path(path),
            &[words, &[name, "mask"]].concat(),
        );
    };
    let instead = "ImageMask::new";
    check(
        "rgb.png",
        image::DynamicImage::new_rgb8(2, 2),
        &["RGB of 8 bits", "palette", instead],
    );
    check(
        "la.png",
        image::DynamicImage::new_luma_a8(2, 2),
        &["grey with alpha", instead],
    );
    check(
        "rgba.png",
        image::DynamicImage::new_rgba8(2, 2),
        &["RGBA", instead],
    );
    check(
        "deep.png",
        image::DynamicImage::new_luma16(2, 2),
        &["grey of 16 bits", instead],
    );
    check(
        "grey.jpg",
        image::DynamicImage::new_luma8(2, 2),
        &["PNG file"],
    );
    let damaged = saved(
        dir.path(),
        "damaged.png",
        &image::DynamicImage::new_luma8(9, 9),
    );
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() - 20]).unwrap();
    check_err(ImageMask::from_path(damaged), &["damaged.png"]);
    check_err(
        ImageMask::from_path("no/such.png"),
        &["could not read no/such.png"],
    );
}

// ---- boxes ----

fn corners(domain: Domain, numbers: [f64; 4]) -> BoundingBox {
    let [min_x, min_y, max_x, max_y] = numbers;
    BoundingBox::new(domain, Position::corners(min_x, min_y, max_x, max_y), 0)
}

fn middle(domain: Domain, [x, y, width, height]: [f64; 4]) -> BoundingBox {
    BoundingBox::new(domain, Position::middle(x, y, width, height), 0)
}

/// Given as the second of two boxes.
fn check_box(wrong: BoundingBox, words: &[&str]) {
    let right = corners(Domain::Pixel, [0.0, 0.0, 1.0, 1.0]);
    let boxes = BoundingBoxes2D::new([right, wrong]);
    let words = [words, &["boxes \"prediction\": box 1 has"]].concat();
    check_err(picture().boxes("prediction", boxes), &words);
}

#[test]
fn a_number_of_a_box_that_is_not_finite() {
    let skip = "Invalid::Skip";
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let given = wrong.to_string();
        for (at, name) in ["min_x", "min_y", "max_x", "max_y"].into_iter().enumerate() {
            let mut numbers = [0.0, 0.0, 1.0, 1.0];
            numbers[at] = wrong;
            let words = [&format!("{name} of {given}"), "finite", skip];
            check_box(corners(Domain::Pixel, numbers), &words);
        }
        for (at, name) in ["middle x", "middle y", "width", "height"]
            .into_iter()
            .enumerate()
        {
            let mut numbers = [0.0, 0.0, 1.0, 1.0];
            numbers[at] = wrong;
            let words = [&format!("{name} of {given}"), "finite", skip];
            check_box(middle(Domain::Fraction, numbers), &words);
        }
        let scored = corners(Domain::Pixel, [0.0, 0.0, 1.0, 1.0]).score("iou \"3\"", wrong);
        check_box(scored, &[r#"score "iou \"3\"" of"#, &given, "finite", skip]);
    }
}

#[test]
fn a_box_whose_size_is_negative() {
    let corners = |numbers| corners(Domain::Pixel, numbers);
    let middle = |numbers| middle(Domain::Pixel, numbers);
    let hints = ["swap", "Position::middle", "Invalid::Skip"];
    let check = |wrong, words: &[&str]| check_box(wrong, words);
    check(
        corners([3.0, 0.0, 1.0, 1.0]),
        &[&hints[..], &["max_x of 1", "min_x of 3"]].concat(),
    );
    check(
        corners([0.0, 2.5, 1.0, 1.0]),
        &[&hints[..], &["max_y of 1", "min_y of 2.5"]].concat(),
    );
    check(
        middle([1.0, 1.0, -2.0, 1.0]),
        &["width of -2", "at least 0", "Position::corners"],
    );
    check(
        middle([1.0, 1.0, 2.0, -0.5]),
        &["height of -0.5", "at least 0", "Position::corners"],
    );
}

#[test]
fn pixels_given_as_fractions() {
    let words = ["Domain::Fraction", "is it Domain::Pixel?"];
    let check = |wrong, place: &str| check_box(wrong, &[&words[..], &[place]].concat());
    let numbers = [10.0, 20.0, 30.0, 40.0];
    check(corners(Domain::Fraction, numbers), "x from 10 to 30");
    check(
        middle(Domain::Fraction, [0.5, 20.0, 1.0, 4.0]),
        "y from 18 to 22",
    );
    let pixels = BoundingBoxes2D::new([corners(Domain::Pixel, numbers)]);
    assert!(picture().boxes("prediction", pixels).is_ok());
}

#[test]
fn a_tensor_that_is_no_boxes() {
    let from =
        |tensor: HostTensor| BoundingBoxes2D::from_tensor(&tensor, BoxFormat::Xyxy, Domain::Pixel);
    let check = |tensor, words: &[&str]| check_err(from(tensor), words);
    check(tensor(&[4], 0_f32), &["[4]", "boxes", "(N, 4)", "reshape"]);
    check(
        tensor(&[2, 6], 0_f32),
        &["[2, 6]", "(N, 4)", "narrow", "scores"],
    );
    check(tensor(&[1, 2, 4], 0_f32), &["[1, 2, 4]", "select one"]);
    check(tensor(&[2, 3], 0_f32), &["[2, 3]", "(N, 4)"]);
    check(tensor(&[2, 4], false), &["bool", "integer or a float"]);
    let boxes = || from(tensor(&[2, 4], 0_f32)).unwrap();
    let check = |tensor: HostTensor, words: &[&str]| check_err(boxes().class_ids(&tensor), words);
    check(tensor(&[3], 0_i64), &["[3]", "class ids of 2 boxes", "(2)"]);
    check(
        tensor(&[2], 0.5_f32),
        &["f32", "class ids", "integer", "cast"],
    );
    let check = |tensor: HostTensor, words: &[&str]| {
        check_err(boxes().scores("iou", &tensor), words);
    };
    check(tensor(&[1], 0_f32), &["[1]", "\"iou\"", "2 boxes", "(2)"]);
    check(tensor(&[2], true), &["bool", "\"iou\"", "cast"]);
}

#[test]
fn a_number_in_a_tensor_of_boxes() {
    let check = |format, numbers: [f32; 4], words: &[&str]| {
        let numbers = [[0.0, 0.0, 1.0, 1.0], numbers].concat();
        let tensor = HostTensor::new([2, 4], numbers).unwrap();
        let boxes = BoundingBoxes2D::from_tensor(&tensor, format, Domain::Pixel).unwrap();
        let image = picture().boxes("prediction", boxes).unwrap();
        check_finish(
            image,
            &[words, &["boxes \"prediction\": box 1 has"]].concat(),
        );
    };
    check(
        BoxFormat::Xyxy,
        [0.0, f32::NAN, 1.0, 1.0],
        &["min_y of NaN"],
    );
    check(
        BoxFormat::Xyxy,
        [3.0, 0.0, 1.0, 1.0],
        &["max_x of 1", "min_x of 3", "BoxFormat::Xywh"],
    );
    check(
        BoxFormat::Xywh,
        [3.0, 0.0, -1.0, 1.0],
        &["width of -1", "BoxFormat::Xyxy"],
    );
    check(
        BoxFormat::Cxcywh,
        [3.0, 0.0, 1.0, -1.0],
        &["height of -1", "BoxFormat::Xyxy"],
    );
}

#[test]
fn a_score_in_a_tensor() {
    let boxes = tensor(&[2, 4], 0_f32);
    let scores = HostTensor::new([2], vec![0.5, f32::NAN]).unwrap();
    let boxes = BoundingBoxes2D::from_tensor(&boxes, BoxFormat::Xyxy, Domain::Pixel).unwrap();
    let image = picture()
        .boxes("p", boxes.scores("iou", &scores).unwrap())
        .unwrap();
    check_finish(image, &["boxes \"p\": box 1 has", "score \"iou\" of NaN"]);
}

// ---- classes, modes, lists ----

#[test]
fn a_class_that_has_two_names() {
    check_err(
        Classes::new([(0_i64, "cat"), (1, "dog"), (0, "hound")]),
        &["class id 0", "\"cat\"", "\"hound\""],
    );
}

#[test]
fn a_mode_that_a_file_cannot_hold() {
    let check = |mode, name: &str| {
        for file_type in [FileType::jpg(), FileType::Bmp] {
            let image = picture().convert(mode).file_type(file_type);
            check_log(image, &[name, "FileType::Png"]);
        }
        let list = vec![picture(), picture().convert(mode).file_type(FileType::Bmp)];
        check_log(list, &["image 1 of the list", name, "FileType::Png"]);
    };
    check(Mode::La, "LA");
    check(Mode::I16, "I;16");
}

#[test]
fn a_reference_that_is_none() {
    for uri in [
        "",
        "cat.png",
        "file:///cat.png",
        "ftp://host/cat.png",
        "https:/cat.png",
    ] {
        let words = [uri, "https://", "s3://", "gs://", "Image::from_path"];
        check_err(Image::from_reference(uri), &words);
    }
}

#[test]
fn a_reference_has_no_pixels() {
    let image = || Image::from_reference("s3://bucket/cat.png").unwrap();
    let words = ["s3://bucket/cat.png", "no pixels", "Image::from_path"];
    check_err(image().pixels(), &words);
    check_err(image().to_data_array(), &words);
    check_log(image(), &words);
    let in_list = [&words[..], &["image 1 of the list"]].concat();
    check_log(vec![picture(), image()], &in_list);
    let grid = wandb_image::Grid::new();
    check_err(Image::joined([picture(), image()], grid), &words);
}

#[test]
fn a_list_of_too_many_images() {
    let list = ImageList::new(vec![picture(); 109]).overlong(Overlong::Error);
    check_log(
        list,
        &["\"samples\"", "109 images", "108", "Overlong::Split"],
    );
}

// ---- what is only said ----

fn check_said(boxes: BoundingBoxes2D, expected: Option<&str>) {
    let told = crate::run::listening::Told::default();
    tracing::subscriber::with_default(told.clone(), || {
        let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
        let image = picture().boxes("found", boxes).unwrap();
        run.log([("samples", vec![image.clone(), image])]).unwrap();
        run.finish().unwrap();
    });
    let lines = told.lines();
    let said: Vec<_> = lines
        .iter()
        .filter(|l| l.contains("over an image"))
        .collect();
    match expected {
        Some(text) => assert!(said.len() == 1 && said[0].contains(text), "{lines:?}"),
        None => assert!(said.is_empty(), "{lines:?}"),
    }
}

#[test]
fn layers_that_look_wrong_are_said_once_per_key() {
    let boxes = |domain, max| {
        let position = Position::corners(0.0, 0.25, max, 1.0);
        BoundingBoxes2D::new([BoundingBox::new(domain, position, 1)])
    };
    let expected = "\"samples\": 1 layer of boxes lies within one pixel (is it Domain::Fraction?)";
    check_said(boxes(Domain::Pixel, 0.75), Some(expected));
    check_said(boxes(Domain::Pixel, 2.0), None);
    check_said(boxes(Domain::Fraction, 0.75), None);
    let first_pixel = Position::corners(0.0, 0.0, 1.0, 1.0);
    let first_pixel = BoundingBox::new(Domain::Pixel, first_pixel, 1);
    check_said(BoundingBoxes2D::new([first_pixel]), None);
    check_said(BoundingBoxes2D::new([]), None);
    let outside = Position::corners(8.0, 8.0, 9.0, 9.0);
    let outside = BoundingBoxes2D::new([BoundingBox::new(Domain::Pixel, outside, 1)]).clip(true);
    let expected = "1 box that can't be drawn, or lies outside, was left out";
    check_said(outside, Some(expected));
}
