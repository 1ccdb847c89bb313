//! What a user sees of the pixels, beyond parity: special values, options, files.

use half::f16;
use wandb_image::sink::MemorySink;
use wandb_image::tensor::Element;
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

// 16 bits.

fn sixteen() -> ImageOptions {
    ImageOptions::new().mode(Mode::I16)
}

/// The numbers of the pixels, and how many values lay outside.
fn check_sixteen<T: Element>(values: Vec<T>, expected: &[u16], outside: u64) {
    let n = values.len();
    let tensor = HostTensor::new([1, n.div_ceil(256), n.min(256)], values).unwrap();
    let image = tensor.to_wandb_image_with(&sixteen()).unwrap();
    let pixels = image.pixels().unwrap();
    assert_eq!((image.mode(), pixels.mode()), (Mode::I16, Mode::I16));
    assert_eq!(Vec::from_iter(pixels.samples()), expected, "{:?}", T::DTYPE);
    let seen = image.observed().unwrap().unwrap();
    assert_eq!(seen.expected, (0.0, 65_535.0), "{:?}", T::DTYPE);
    assert_eq!((seen.count, seen.outside), (n as u64, outside));
}

#[test]
fn integers_and_booleans_keep_16_bits_when_asked() {
    let all = Vec::from_iter(0..=u16::MAX);
    check_sixteen(all.clone(), &all, 0);
    check_sixteen(all.iter().map(|&x| u32::from(x)).collect(), &all, 0);
    check_sixteen(all.iter().map(|&x| i32::from(x)).collect(), &all, 0);
    check_sixteen(all.iter().map(|&x| u64::from(x)).collect(), &all, 0);
    check_sixteen(all.iter().map(|&x| i64::from(x)).collect(), &all, 0);
    check_sixteen(vec![0_u8, 7, 255], &[0, 7, 255], 0);
    check_sixteen(vec![false, true], &[0, 1], 0);
}

#[test]
fn what_16_bits_cannot_hold_saturates_and_is_counted() {
    check_sixteen(vec![-1_i8, 127], &[0, 127], 1);
    check_sixteen(vec![i16::MIN, 32_767], &[0, 32_767], 1);
    check_sixteen(
        vec![-1, 65_535, 65_536, i32::MAX],
        &[0, 65_535, 65_535, 65_535],
        3,
    );
    check_sixteen(vec![u32::MAX, 1], &[65_535, 1], 1);
    check_sixteen(vec![i64::MIN, 65_535, i64::MAX], &[0, 65_535, 65_535], 2);
    check_sixteen(vec![u64::MAX, 2], &[65_535, 2], 1);
}

#[test]
fn the_default_rule_of_an_array_does_not_stand_against_16_bits() {
    struct Array;
    impl IntoWandbImage for Array {
        fn to_host(&self) -> wandb_image::Result<HostTensor> {
            HostTensor::new([2, 1, 1], vec![300_u16, 2])
        }
        fn default_layout(&self) -> Layout {
            Layout::Hwc
        }
        fn default_normalize(&self) -> Normalize {
            Normalize::ToUint8
        }
    }
    for options in [sixteen(), sixteen().normalize(Normalize::Off)] {
        let image = Array.to_wandb_image_with(&options).unwrap();
        assert!(image.pixels().unwrap().samples().eq([300, 2]));
    }
}

#[test]
fn a_batch_of_16_bits_is_one_grid_or_many_images() {
    let batch = HostTensor::new([2, 1, 1, 2], vec![300_u16, 1, 65_535, 2]).unwrap();
    let images = batch.to_wandb_images_with(&sixteen()).unwrap();
    let samples = |image: &Image| Vec::from_iter(image.pixels().unwrap().samples());
    assert_eq!(
        Vec::from_iter(images.iter().map(samples)),
        [[300, 1], [65_535, 2]]
    );
    let shared = batch
        .to_wandb_images_with(&sixteen().scale_each(false))
        .unwrap();
    assert_eq!(
        Vec::from_iter(shared.iter().map(samples)),
        [[300, 1], [65_535, 2]]
    );
    for (pad_value, w) in [(0.0, 0), (0.5, 32_767), (1.0, 65_535)] {
        let grid = Grid::new().nrow(1).padding(1).pad_value(pad_value);
        let image = batch.to_wandb_image_with(&sixteen().grid(grid)).unwrap();
        let expected = [
            [w, w, w, w],
            [w, 300, 1, w],
            [w, w, w, w],
            [w, 65_535, 2, w],
            [w, w, w, w],
        ];
        assert_eq!(samples(&image), expected.concat());
    }
}

#[test]
fn pictures_of_16_bits_are_resized_in_16_bits() {
    let tensor = HostTensor::new([2, 2], vec![0_u16, 40_001, 0, 40_001]).unwrap();
    let check = |options: ImageOptions, expected: &[u16]| {
        let image = tensor.to_wandb_image_with(&options).unwrap();
        assert_eq!(Vec::from_iter(image.pixels().unwrap().samples()), expected);
    };
    let to = |width, height| sixteen().resize(Resize::To { width, height });
    check(sixteen().max_side(1), &[20_001]);
    check(to(1, 1), &[20_001]);
    check(to(3, 2), &[0, 40_001, 40_001, 0, 40_001, 40_001]);
    check(
        sixteen().resize(Resize::Enlarge(2)),
        &[0, 0, 40_001, 40_001].repeat(4),
    );
}

#[test]
fn what_has_no_16_bits_says_what_to_do() {
    let check = |tensor: HostTensor, options: &ImageOptions, expected: &[&str]| {
        let error = tensor.to_wandb_image_with(options).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
    };
    let floats = HostTensor::new([1, 2], vec![0.5_f32, 1.0]).unwrap();
    check(
        floats,
        &sixteen(),
        &[
            "I;16 for a tensor of dtype f32",
            "scale",
            "cast them to u16",
        ],
    );
    let colour = HostTensor::new([3, 1, 1], vec![1_u8, 2, 3]).unwrap();
    check(
        colour,
        &sixteen(),
        &["[3, 1, 1]", "3 channels", "select one channel"],
    );
    let grey = || HostTensor::new([1, 1], vec![1_u8]).unwrap();
    check(
        grey(),
        &sixteen().normalize(Normalize::MinMax),
        &["the rule MinMax", "leave `normalize` out"],
    );
    for file_type in [FileType::jpg(), FileType::Bmp] {
        check(
            grey(),
            &sixteen().file_type(file_type),
            &[
                "mode I;16",
                file_type.extension(),
                "FileType::Png",
                "16 bits",
            ],
        );
    }
}

#[test]
fn the_run_says_what_16_bits_could_not_hold() {
    let told = crate::run::listening::Told::default();
    let run = tracing::subscriber::with_default(told.clone(), || {
        let sink = MemorySink::new();
        wandb_image::init().start_on(sink).unwrap()
    });
    let tensor = HostTensor::new([1, 2], vec![70_000_i32, 2]).unwrap();
    let image = tensor.to_wandb_image_with(&sixteen()).unwrap();
    run.log([("depth", image)]).unwrap();
    run.finish().unwrap();
    let told = told.lines().join("\n");
    let expected =
        "values from 2 to 70000: 1 of 2 lie outside the 0 to 65535 that its rule expects";
    assert!(told.contains(expected), "{told}");
}

/// Every sample of 16 bits.
fn all_of_16_bits() -> Pixels {
    Pixels::from_u16(256, 256, Vec::from_iter(0..=u16::MAX)).unwrap()
}

#[test]
fn a_file_of_16_bits_is_lossless_and_is_read_with_16_bits() {
    let dir = tempfile::tempdir().unwrap();
    for effort in [
        PngEffort::Auto,
        PngEffort::Fast,
        PngEffort::Balanced,
        PngEffort::Best,
    ] {
        let file = logged(Image::from(all_of_16_bits()).png_effort(effort));
        let read = image::load_from_memory(&file).unwrap();
        assert_eq!(read.color(), image::ColorType::L16);
        assert!(read.to_luma16().into_raw().into_iter().eq(0..=u16::MAX));
        assert_eq!(*Image::from(read).pixels().unwrap(), all_of_16_bits());
        let path = dir.path().join("deep.png");
        std::fs::write(&path, &file).unwrap();
        let read = Image::from_path(&path).unwrap();
        assert_eq!(read.mode(), Mode::I16);
        assert_eq!(*read.pixels().unwrap(), all_of_16_bits());
    }
}

#[test]
fn other_pictures_of_16_bits_become_8_bits() {
    use image::{DynamicImage, ImageBuffer, LumaA, Rgb, Rgba};
    let check = |picture: DynamicImage, mode: Mode, expected: &[u8]| {
        let pixels = Image::from(picture).pixels().unwrap();
        assert_eq!((pixels.mode(), pixels.as_bytes()), (mode, expected));
    };
    let (black, white) = (0, u16::MAX);
    check(
        ImageBuffer::from_pixel(1, 1, LumaA([white, black])).into(),
        Mode::La,
        &[255, 0],
    );
    check(
        ImageBuffer::from_pixel(1, 1, Rgb([white, black, white])).into(),
        Mode::Rgb,
        &[255, 0, 255],
    );
    check(
        ImageBuffer::from_pixel(1, 1, Rgba([white, black, white, black])).into(),
        Mode::Rgba,
        &[255, 0, 255, 0],
    );
}

#[test]
fn joined_pictures_keep_16_bits_where_all_have_them() {
    let deep = || Image::from(Pixels::from_u16(1, 1, vec![300]).unwrap());
    let wide = || Image::from(Pixels::from_u16(1, 2, vec![7, 40_000]).unwrap());
    let check = |images: Vec<Image>, grid: Grid, mode: Mode, expected: &[u16]| {
        let pixels = Image::joined(images, grid).unwrap().pixels().unwrap();
        assert_eq!(pixels.mode(), mode);
        assert_eq!(Vec::from_iter(pixels.samples()), expected);
    };
    let bare = Grid::new().padding(0);
    check(vec![deep()], bare, Mode::I16, &[300]);
    check(vec![deep(), wide()], bare, Mode::I16, &[300, 7, 0, 40_000]);
    let framed = Grid::new().padding(1).pad_value(1.0);
    let w = 65_535;
    let expected = [[w, w, w, w, w], [w, 300, w, 300, w], [w, w, w, w, w]].concat();
    check(vec![deep(), deep()], framed, Mode::I16, &expected);
    let of =
        |mode: Mode, bytes: &[u8]| Image::from(Pixels::new(1, 1, mode, bytes.to_vec()).unwrap());
    check(vec![deep(), of(Mode::L, &[9])], bare, Mode::L, &[255, 9]);
    check(
        vec![of(Mode::Rgba, &[1, 2, 3, 4]), deep()],
        bare,
        Mode::Rgba,
        &[1, 2, 3, 4, 255, 255, 255, 255],
    );
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
