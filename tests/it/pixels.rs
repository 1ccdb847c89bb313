//! What a user sees of the pixels, beyond parity: special values, options, files.

use half::f16;
use wandb_image::sink::MemorySink;
use wandb_image::{
    FileType, Grid, HostTensor, Image, ImageOptions, IntoWandbImage, Layout, Mode, Normalize,
    Pixels, PngEffort, Resize, Row,
};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

fn bytes(tensor: &impl IntoWandbImage, options: &ImageOptions) -> Vec<u8> {
    let image = tensor.to_wandb_image_with(options).unwrap();
    image.pixels().unwrap().as_bytes().to_vec()
}

fn check(values: &[f32], rule: Normalize, expected: &[u8]) {
    let tensor = HostTensor::new([1, values.len()], values.to_vec()).unwrap();
    let options = ImageOptions::new().normalize(rule.clone());
    assert_eq!(bytes(&tensor, &options), expected, "{values:?} by {rule:?}");
}

// The README's table of deliberate differences: one test per row.

#[test]
fn values_outside_saturate_where_the_sdk_wraps() {
    check(
        &[300.0, -1.0, 255.9, 256.0],
        Normalize::Off,
        &[255, 0, 255, 255],
    );
    check(&[1.5, -0.5], Normalize::Unit, &[255, 0]);
    check(&[3.0, -3.0], Normalize::Signed, &[255, 0]);
}

#[test]
fn nan_takes_no_part_in_the_range_and_becomes_0() {
    check(&[NAN, 1.0, 3.0], Normalize::MinMax, &[0, 0, 255]);
    check(&[NAN, NAN], Normalize::MinMax, &[0, 0]);
    check(&[NAN, 0.5], Normalize::Unit, &[0, 127]);
    check(&[NAN, -1.0, 1.0], Normalize::Guess, &[0, 0, 255]);
    check(&[NAN, -1.0, 1.0], Normalize::ToUint8, &[0, 0, 255]);
}

#[test]
fn infinity_clamps() {
    check(&[-INF, 1.0, 3.0, INF], Normalize::MinMax, &[0, 0, 255, 255]);
    check(&[-INF, 0.5, INF], Normalize::Unit, &[0, 127, 255]);
    check(&[-INF, 0.5, INF], Normalize::Off, &[0, 0, 255]);
}

#[test]
fn a_range_that_overflows_its_dtype_is_computed_wider() {
    let values = [-60_000.0, 0.0, 60_000.0].map(f16::from_f32).to_vec();
    let tensor = HostTensor::new([1, 3], values).unwrap();
    assert_eq!(bytes(&tensor, &ImageOptions::new()), [0, 127, 255]);
    check(
        &[f32::MIN, 0.0, f32::MAX],
        Normalize::MinMax,
        &[0, 127, 255],
    );
    let tensor = HostTensor::new([1, 3], vec![f64::MIN, 0.0, f64::MAX]).unwrap();
    assert_eq!(bytes(&tensor, &ImageOptions::new()), [0, 127, 255]);
}

#[test]
fn one_channel_is_grey() {
    let tensor = HostTensor::new([1, 1, 2], vec![0.0_f32, 1.0]).unwrap();
    let pixels = tensor.to_wandb_image().unwrap().pixels().unwrap();
    assert_eq!((pixels.mode(), pixels.as_bytes()), (Mode::L, &[0, 255][..]));
    assert_eq!(
        bytes(&tensor, &ImageOptions::new().mode(Mode::Rgb)),
        [0, 0, 0, 255, 255, 255]
    );
}

#[test]
fn a_picture_one_pixel_high_keeps_its_shape() {
    let tensor = HostTensor::new([3, 1, 2], vec![0_u8, 1, 2, 3, 4, 5]).unwrap();
    let options = ImageOptions::new().normalize(Normalize::Off);
    let image = tensor.to_wandb_image_with(&options).unwrap();
    assert_eq!((image.width(), image.height()), (2, 1));
    assert_eq!(bytes(&tensor, &options), [0, 2, 4, 1, 3, 5]);
}

#[test]
fn integers_and_booleans_are_pictures() {
    let ramp = HostTensor::new([1, 3], vec![i64::MIN, 0, i64::MAX]).unwrap();
    assert_eq!(bytes(&ramp, &ImageOptions::new()), [0, 127, 255]);
    let mask = HostTensor::new([1, 3], vec![true, true, true]).unwrap();
    assert_eq!(bytes(&mask, &ImageOptions::new()), [255, 255, 255]);
}

// Layout, batches, sizes.

#[test]
fn layouts_agree() {
    let chw: Vec<u8> = (0..24).collect();
    let hwc: Vec<u8> = (0..8).flat_map(|i| [i, i + 8, i + 16]).collect();
    let first = HostTensor::new([3, 2, 4], chw).unwrap();
    let last = HostTensor::new([2, 4, 3], hwc.clone()).unwrap();
    let rules = [
        Normalize::MinMax,
        Normalize::MeanStd {
            mean: vec![1.0, 2.0, 3.0],
            std: vec![0.1, 0.2, 0.3],
        },
        Normalize::Off,
    ];
    for rule in rules {
        let options = ImageOptions::new().normalize(rule);
        let expected = bytes(&first, &options);
        assert_eq!(bytes(&last, &options.layout(Layout::Hwc)), expected);
    }
    assert_eq!(
        bytes(&first, &ImageOptions::new().normalize(Normalize::Off)),
        hwc
    );
}

#[test]
fn a_picture_larger_than_a_block_is_woven_right() {
    for channels in [1, 3, 4] {
        let (height, width) = (51, 101);
        let n = channels * height * width;
        let values: Vec<u8> = (0..n).map(|i| (i * 7 % 251) as u8).collect();
        let at = |p: usize, c: usize| values[c * height * width + p];
        let expected: Vec<u8> = (0..height * width)
            .flat_map(|p| (0..channels).map(move |c| (p, c)))
            .map(|(p, c)| at(p, c))
            .collect();
        let tensor = HostTensor::new([channels, height, width], values.clone()).unwrap();
        assert_eq!(
            bytes(&tensor, &ImageOptions::new().normalize(Normalize::Off)),
            expected
        );
    }
}

#[test]
fn a_batch_is_one_grid_or_many_images() {
    let batch = HostTensor::new([3, 1, 1, 2], vec![0_u8, 1, 2, 3, 4, 5]).unwrap();
    let options = ImageOptions::new().normalize(Normalize::Off);
    let images = batch.to_wandb_images_with(&options).unwrap();
    let pixels = images
        .iter()
        .map(|image| image.pixels().unwrap().as_bytes().to_vec());
    assert_eq!(pixels.collect::<Vec<_>>(), [[0, 1], [2, 3], [4, 5]]);
    let grid = options.grid(Grid::new().nrow(2).padding(1).pad_value(1.0));
    let w = 255;
    assert_eq!(
        bytes(&batch, &grid),
        [
            [w, w, w, w, w, w, w],
            [w, 0, 1, w, 2, 3, w],
            [w, w, w, w, w, w, w],
            [w, 4, 5, w, w, w, w],
            [w, w, w, w, w, w, w],
        ]
        .concat()
    );
}

#[test]
fn max_images_keeps_the_first() {
    let batch = HostTensor::new([3, 1, 1, 1], vec![1_u8, 2, 3]).unwrap();
    let options = ImageOptions::new().normalize(Normalize::Off).max_images(2);
    let images = batch.to_wandb_images_with(&options).unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[1].pixels().unwrap().as_bytes(), [2]);
}

#[test]
fn sizes_are_known_before_the_pixels_are_made() {
    let tensor = HostTensor::new([5, 1, 10, 20], vec![0_u8; 1000]).unwrap();
    let options = [
        ImageOptions::new(),
        ImageOptions::new().resize(Resize::Enlarge(3)),
        ImageOptions::new()
            .resize(Resize::To {
                width: 7,
                height: 9,
            })
            .max_side(16),
        ImageOptions::new().max_side(8).mode(Mode::Rgba),
    ];
    for options in options {
        let mut images = tensor.to_wandb_images_with(&options).unwrap();
        images.push(tensor.to_wandb_image_with(&options).unwrap());
        for image in images {
            let pixels = image.pixels().unwrap();
            assert_eq!(
                (pixels.width(), pixels.height()),
                (image.width(), image.height())
            );
        }
    }
}

// Files: what is written is what other decoders read.

fn colours(mode: Mode) -> Pixels {
    let mut random = fastrand::Rng::with_seed(2);
    let data = std::iter::repeat_with(|| random.u8(..))
        .take(13 * 7 * mode.channels())
        .collect();
    Pixels::new(13, 7, mode, data).unwrap()
}

/// The bytes of the file that a run makes of it.
fn logged(image: Image) -> Vec<u8> {
    let sink = MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log(Row::new().with("picture", image)).unwrap();
    run.finish().unwrap();
    let [file] = <[_; 1]>::try_from(sink.files()).unwrap();
    file.bytes.to_vec()
}

#[test]
fn a_picture_file_is_logged_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format) in [("a.png", "png"), ("a.bmp", "bmp"), ("a.jpg", "jpg")] {
        let path = dir.path().join(name);
        image::RgbImage::from_raw(13, 7, colours(Mode::Rgb).into_bytes())
            .unwrap()
            .save(&path)
            .unwrap();
        let picture = Image::from_path(&path).unwrap();
        assert_eq!(
            (picture.format(), picture.width(), picture.height()),
            (format, 13, 7)
        );
        assert_eq!(logged(picture.clone()), std::fs::read(&path).unwrap());
        assert!(logged(picture.file_type(FileType::Bmp)).starts_with(b"BM"));
    }
}

/// A mask of a few classes, as a batch of two.
fn masks() -> HostTensor {
    let class = |i: usize| ((i % 96 / 16 + i / 96 / 16) % 5 * 50) as u8;
    HostTensor::new(
        [2, 1, 96, 96],
        (0..2 * 96 * 96).map(class).collect::<Vec<_>>(),
    )
    .unwrap()
}

#[test]
fn the_png_effort_of_the_options_reaches_the_file() {
    let size = |effort| {
        let options = ImageOptions::new().png_effort(effort);
        let grid = logged(masks().to_wandb_image_with(&options).unwrap());
        let first = masks().to_wandb_images_with(&options).unwrap().remove(0);
        (grid.len(), logged(first).len())
    };
    let [fast, auto, best] = [PngEffort::Fast, PngEffort::Auto, PngEffort::Best].map(size);
    assert!(
        best.0 < auto.0 && auto.0 < fast.0,
        "{best:?} {auto:?} {fast:?}"
    );
    assert!(
        best.1 < auto.1 && auto.1 < fast.1,
        "{best:?} {auto:?} {fast:?}"
    );
    assert_eq!(size(PngEffort::default()), auto);
}

#[test]
fn an_image_has_a_png_effort_of_its_own() {
    let image = |effort| {
        let options = ImageOptions::new().png_effort(PngEffort::Fast);
        let image = masks().to_wandb_image_with(&options).unwrap();
        logged(image.png_effort(effort))
    };
    assert!(image(PngEffort::Best).len() < image(PngEffort::Fast).len());
    let jpeg = |effort| {
        let image = masks().to_wandb_image().unwrap();
        logged(image.file_type(FileType::jpg()).png_effort(effort))
    };
    assert_eq!(jpeg(PngEffort::Best), jpeg(PngEffort::Fast));
}

#[test]
fn a_decoded_picture_is_never_normalised() {
    let picture = image::GrayImage::from_raw(2, 1, vec![100, 101]).unwrap();
    let image = Image::from(image::DynamicImage::from(picture));
    assert_eq!(image.pixels().unwrap().as_bytes(), [100, 101]);
}
