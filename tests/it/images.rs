//! What an image is made of, what it shows, and when two are equal.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use wandb_image::sink::records::Record;
use wandb_image::sink::{MemorySink, RecordSink};
use wandb_image::{
    BoundingBox, BoundingBoxes2D, Classes, Domain, FileType, HostTensor, Image, ImageMask,
    ImageOptions, IntoWandbImage, Mode, Normalize, Pixels, Position,
};

fn grey(bytes: [u8; 2]) -> Image {
    Image::from(Pixels::new(2, 1, Mode::L, bytes.to_vec()).unwrap())
}

fn mask(ids: [u8; 2]) -> ImageMask {
    ImageMask::new(2, 1, ids.to_vec()).unwrap()
}

fn boxes(class_id: i64) -> BoundingBoxes2D {
    let position = Position::corners(0.0, 0.0, 1.0, 1.0);
    BoundingBoxes2D::new([BoundingBox::new(Domain::Pixel, position, class_id)])
}

fn tensor(values: [f32; 2]) -> Image {
    let off = ImageOptions::new().normalize(Normalize::Off);
    let tensor = HostTensor::new([1, 2], values.to_vec()).unwrap();
    tensor.to_wandb_image_with(&off).unwrap()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples/data")
        .join(name)
}

fn check_equal(one: &Image, other: &Image, expected: bool) {
    assert_eq!(one == other, expected, "{one:?} {other:?}");
    assert_eq!(other == one, expected, "{one:?} {other:?}");
}

#[test]
fn images_are_equal_by_everything_that_is_shown() {
    let plain = grey([7, 9]);
    check_equal(&plain, &grey([7, 9]), true);
    check_equal(&plain, &tensor([7.0, 9.0]), true);
    check_equal(&plain, &plain.clone().file_type(FileType::Bmp), true);
    check_equal(&plain, &plain.clone().grouping(0), true);
    check_equal(&plain, &grey([7, 8]), false);
    check_equal(&plain, &tensor([7.0, 8.0]), false);
    check_equal(&plain, &plain.clone().convert(Mode::Rgb), false);
    let wide = Image::from(Pixels::new(1, 2, Mode::L, vec![7, 9]).unwrap());
    check_equal(&plain, &wide, false);
    for other in [
        plain.clone().caption("a caption"),
        plain.clone().grouping(3),
        plain.clone().masks("m", mask([0, 1])).unwrap(),
        plain.clone().boxes("m", boxes(1)).unwrap(),
    ] {
        check_equal(&plain, &other, false);
        check_equal(&other, &other.clone(), true);
    }
    let with = |ids| plain.clone().masks("m", mask(ids)).unwrap();
    check_equal(&with([0, 1]), &with([0, 1]), true);
    check_equal(&with([0, 1]), &with([0, 2]), false);
    let with = |id| plain.clone().boxes("m", boxes(id)).unwrap();
    check_equal(&with(1), &with(1), true);
    check_equal(&with(1), &with(2), false);
    check_layers(&plain);
    let reference = |uri| Image::from_reference(uri).unwrap();
    check_equal(&reference("s3://a"), &reference("s3://a"), true);
    check_equal(&reference("s3://a"), &reference("s3://b"), false);
}

/// By what layers look like over the picture, not by how they were given.
fn check_layers(plain: &Image) {
    let sky = || Classes::from_names(["sky"]);
    let sea = || Classes::from_names(["sea"]);
    let masked = |mask| plain.clone().masks("m", mask).unwrap();
    let boxed = |boxes| plain.clone().boxes("m", boxes).unwrap();
    check_equal(plain, &plain.clone().classes(sky()), false);
    for (bare, labelled) in [
        (
            masked(mask([0, 1])),
            masked(mask([0, 1]).class_labels(sky())),
        ),
        (boxed(boxes(1)), boxed(boxes(1).class_labels(sky()))),
    ] {
        check_equal(&bare, &labelled, false);
        check_equal(&bare.clone().classes(sky()), &labelled, true);
        check_equal(&bare.clone().classes(sea()), &labelled, false);
        check_equal(&bare, &bare.clone().classes(Classes::default()), false);
        check_equal(&labelled, &labelled.clone().classes(sea()), false);
    }
    let within = BoundingBoxes2D::new([reaching(1.0)]);
    check_equal(
        &boxed(within.clone()),
        &boxed(within.clone().clip(true)),
        true,
    );
    let beyond = BoundingBoxes2D::new([reaching(5.0)]);
    check_equal(
        &boxed(beyond.clone()),
        &boxed(beyond.clone().clip(true)),
        false,
    );
    check_equal(
        &boxed(beyond.clip(true)),
        &boxed(BoundingBoxes2D::new([reaching(2.0)])),
        true,
    );
    let other_key = plain.clone().masks("n", mask([0, 1])).unwrap();
    check_equal(&masked(mask([0, 1])), &other_key, false);
}

/// A box from the left edge to this column.
fn reaching(max_x: f64) -> BoundingBox {
    BoundingBox::new(Domain::Pixel, Position::corners(0.0, 0.0, max_x, 1.0), 1)
}

#[test]
fn layers_and_labels_can_be_had_back() {
    let sky = Classes::from_names(["sky"]);
    let image = grey([7, 9]);
    assert!(image.mask_layers().is_empty() && image.box_layers().is_empty());
    assert_eq!(image.grouping_number(), None);
    let image = image
        .masks("m", mask([0, 1]).class_labels(sky.clone()))
        .unwrap();
    let image = image.boxes("b", boxes(1)).unwrap().grouping(0);
    assert_eq!(image.mask_layers().keys().collect::<Vec<_>>(), ["m"]);
    assert_eq!(image.mask_layers()["m"].labels(), Some(&sky));
    assert_eq!(image.box_layers()["b"], boxes(1));
    assert_eq!(image.box_layers()["b"].labels(), None);
    assert_eq!(image.grouping_number(), Some(0));
}

/// The paths of the files that it is given, each time that it is.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<String>>>);

impl RecordSink for Written {
    fn media(&mut self, path: &str, _: &[u8]) -> wandb_image::Result<()> {
        self.0.lock().unwrap().push(path.into());
        Ok(())
    }
    fn record(&mut self, _: &Record) -> wandb_image::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> wandb_image::Result<()> {
        Ok(())
    }
}

#[test]
fn layers_of_the_same_bytes_are_written_once() {
    let check = |second: ImageMask, expected| {
        let written = Written::default();
        let run = wandb_image::init().start_on(written.clone()).unwrap();
        let image = grey([7, 9]).masks("m", mask([0, 1])).unwrap();
        run.log([("k", image.masks("n", second).unwrap())]).unwrap();
        run.finish().unwrap();
        assert_eq!(written.0.lock().unwrap().len(), expected);
    };
    check(mask([0, 1]), 2);
    check(mask([0, 2]), 3);
}

#[test]
fn a_copy_of_an_image_leaves_masks_and_boxes_out() {
    let image = grey([7, 9])
        .caption("both")
        .grouping(3)
        .classes(Classes::from_names(["sky"]));
    let laden = image.clone().masks("m", mask([0, 1])).unwrap();
    let laden = laden.boxes("b", boxes(1)).unwrap();
    check_equal(&Image::from_image(&laden), &image, true);
    let list = [laden, image];
    let masks = Image::all_masks(&list).unwrap();
    assert_eq!(masks[0].unwrap()["m"], mask([0, 1]));
    assert_eq!(masks[1], None);
    let boxes_of = Image::all_boxes(&list).unwrap();
    assert_eq!(boxes_of[0].unwrap()["b"], boxes(1));
    assert_eq!((boxes_of[1], Image::all_boxes(&list[1..])), (None, None));
    assert_eq!(list[1].class_set(), Some(&Classes::from_names(["sky"])));
}

fn check_refused(image: Image, expected: &str) {
    let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
    let error = run.log([("k", image)]).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_reference_is_kept_and_not_logged() {
    for uri in [
        "https://a/b.png",
        "http://a/b.png?c=d.e",
        "s3://a/b.png",
        "gs://a/b.png#f",
    ] {
        let image = Image::from_reference(uri).unwrap();
        assert_eq!(
            (image.width(), image.height(), image.format()),
            (0, 0, "png")
        );
        let error = image.pixels().unwrap_err().to_string();
        assert!(
            error.contains(uri) && error.contains("download it"),
            "{error}"
        );
        let image = image.masks("m", mask([0, 1])).unwrap();
        check_refused(image, uri);
    }
    let error = Image::from_reference("b.png").unwrap_err().to_string();
    assert!(
        error.contains("\"b.png\"") && error.contains("Image::from_path"),
        "{error}"
    );
    let error = Image::from_path("https://a/b.png").unwrap_err().to_string();
    assert!(error.contains("Image::from_reference"), "{error}");
}

/// The file that a run holds of an image.
fn logged(image: Image) -> (String, Vec<u8>) {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log([("k", image)]).unwrap();
    run.finish().unwrap();
    let file = sink.files().remove(0);
    (file.path, file.bytes)
}

#[test]
fn a_file_is_copied_as_it_is_until_it_is_changed() {
    let path = file("flower.jpg");
    let image = || Image::from_path(&path).unwrap();
    assert_eq!(logged(image()).1, std::fs::read(&path).unwrap());
    let (name, bytes) = logged(image().convert(Mode::L));
    assert!(name.ends_with(".jpg"));
    let read = image::load_from_memory(&bytes).unwrap();
    assert_eq!(read.color(), image::ColorType::L8);
    let size = (image().width(), image().height());
    assert_eq!((read.width(), read.height()), size);
    let data = image().convert(Mode::L).to_data_array().unwrap();
    assert_eq!((data[0].len() as u32, data.len() as u32), size);
    check_refused(image().convert(Mode::La), "use FileType::Png");
    let (name, _) = logged(image().convert(Mode::La).file_type(FileType::Png));
    assert!(name.ends_with(".png"));
}
