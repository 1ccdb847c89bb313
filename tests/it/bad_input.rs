//! Bad input is an error that says what was given, what was expected and what to do.

use wandb_image::{
    FileType, Grid, HostTensor, Image, ImageOptions, IntoWandbImage, Layout, Mode, Normalize,
    Pixels, Resize,
};

fn zeros(shape: &[usize]) -> HostTensor {
    HostTensor::new(shape, vec![0_u8; shape.iter().product()]).unwrap()
}

/// The error of `shape` under `options` contains each of `words`, as one image and as many.
fn check(shape: &[usize], options: &ImageOptions, words: &[&str]) {
    let tensor = zeros(shape);
    let one = tensor.to_wandb_image_with(options).unwrap_err();
    let many = tensor.to_wandb_images_with(options).unwrap_err();
    for error in [one.to_string(), many.to_string()] {
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    }
}

#[test]
fn a_rank_that_is_no_picture() {
    let options = ImageOptions::new();
    check(
        &[],
        &options,
        &["shape []", "rank 0", "rank 2 (height, width), 3", "reshape"],
    );
    check(&[5], &options, &["shape [5]", "rank 1", "reshape"]);
    check(
        &[1, 1, 1, 2, 2],
        &options,
        &["[1, 1, 1, 2, 2]", "rank 5", "select or reshape"],
    );
}

#[test]
fn an_empty_dimension() {
    let options = ImageOptions::new();
    for shape in [
        &[0, 4][..],
        &[3, 0, 4],
        &[3, 4, 0],
        &[0, 3, 4, 4],
        &[2, 0, 4, 4],
    ] {
        check(
            shape,
            &options,
            &[&format!("{shape:?}"), "empty", "at least 1"],
        );
    }
}

#[test]
fn channels_that_no_mode_has() {
    let options = ImageOptions::new();
    check(
        &[5, 4, 9],
        &options,
        &[
            "[5, 4, 9]",
            "(C, H, W)",
            "5 channels",
            "1 (L), 3 (RGB)",
            "select",
        ],
    );
    check(
        &[2, 4, 9],
        &options,
        &["2 channels", "ImageOptions::mode(Mode::La)"],
    );
    check(&[7, 5, 4, 9], &options, &["5 channels"]);
    let rgb = options.mode(Mode::Rgb);
    check(&[2, 4, 9], &rgb, &["2 channels"]);
}

#[test]
fn two_channels_are_grey_with_alpha_when_asked() {
    let options = ImageOptions::new().mode(Mode::La).normalize(Normalize::Off);
    let tensor = HostTensor::new([2, 1, 2], vec![10_u8, 20, 200, 255]).unwrap();
    let pixels = tensor
        .to_wandb_image_with(&options)
        .unwrap()
        .pixels()
        .unwrap();
    assert_eq!(
        (pixels.mode(), pixels.as_bytes()),
        (Mode::La, &[10, 200, 20, 255][..])
    );
}

#[test]
fn channels_last_read_as_channels_first_names_the_layout() {
    check(
        &[28, 28, 3],
        &ImageOptions::new(),
        &["[28, 28, 3]", "28 channels", "Layout::Hwc"],
    );
    check(&[2, 28, 28, 1], &ImageOptions::new(), &["Layout::Hwc"]);
    let hwc = ImageOptions::new().layout(Layout::Hwc);
    check(&[3, 28, 28], &hwc, &["(H, W, C)", "Layout::Chw"]);
}

#[test]
fn a_picture_over_the_greatest_dimension() {
    let options = ImageOptions::new();
    check(&[1, 65_501], &options, &["65501×1", "65500", "smaller"]);
    check(&[65_501, 1], &options, &["1×65501"]);
    let enlarged = options.clone().resize(Resize::Enlarge(u32::MAX));
    check(&[8, 8], &enlarged, &["65500"]);
    let huge = Resize::To {
        width: 65_500,
        height: 65_500,
    };
    let area = options.clone().resize(huge).mode(Mode::Rgba);
    check(&[8, 8], &area, &["65500×65500", "1 GiB"]);
    let grid = options.grid(Grid::new().padding(usize::MAX));
    let error = zeros(&[2, 1, 4, 4]).to_wandb_image_with(&grid).unwrap_err();
    assert!(
        error.to_string().contains("more or fewer of them a row"),
        "{error}"
    );
}

#[test]
fn options_with_a_value_they_cannot_have() {
    let options = ImageOptions::new;
    let rgb = [3, 4, 4];
    let mean_std = |mean: &[f64], std: &[f64]| {
        options().normalize(Normalize::MeanStd {
            mean: mean.into(),
            std: std.into(),
        })
    };
    check(
        &rgb,
        &mean_std(&[0.5; 2], &[0.5; 3]),
        &["mean", "2 values", "3 channels", "one for all"],
    );
    check(
        &rgb,
        &mean_std(&[0.5], &[0.5; 4]),
        &["std", "4 values", "3 channels"],
    );
    check(&rgb, &mean_std(&[], &[0.5]), &["mean", "0 values"]);
    check(&rgb, &mean_std(&[0.5], &[0.0]), &["std", "greater than 0"]);
    check(&rgb, &mean_std(&[f64::NAN], &[1.0]), &["mean", "finite"]);
    let range = |low, high| options().normalize(Normalize::ValueRange { low, high });
    check(
        &rgb,
        &range(1.0, 1.0),
        &["value range", "1 to 1", "low must be less than high"],
    );
    check(&rgb, &range(0.0, f64::INFINITY), &["finite"]);
    let jpg = |quality| options().file_type(FileType::Jpg { quality });
    check(
        &rgb,
        &jpg(0),
        &["quality", "is 0", "from 1 (smallest) to 100 (best)"],
    );
    check(&rgb, &jpg(101), &["quality", "is 101"]);
    check(
        &rgb,
        &options().max_images(0),
        &["max_images", "is 0", "at least 1"],
    );
    check(&rgb, &options().max_side(0), &["max_side", "at least 1"]);
    check(
        &rgb,
        &options().resize(Resize::Enlarge(0)),
        &["resize", "at least 1"],
    );
    let grid = |grid| {
        zeros(&[2, 1, 4, 4])
            .to_wandb_image_with(&options().grid(grid))
            .unwrap_err()
    };
    assert!(grid(Grid::new().nrow(0)).to_string().contains("at least 1"));
    assert!(
        grid(Grid::new().pad_value(255.0))
            .to_string()
            .contains("from 0 (black) to 1 (white)")
    );
    assert!(
        grid(Grid::new().pad_value(f64::NAN))
            .to_string()
            .contains("NaN")
    );
}

#[test]
fn a_mode_that_the_file_format_cannot_hold() {
    let la = ImageOptions::new().mode(Mode::La);
    for file_type in [FileType::jpg(), FileType::Bmp] {
        let options = la.clone().file_type(file_type);
        check(
            &[1, 4, 4],
            &options,
            &["mode LA", file_type.extension(), "FileType::Png"],
        );
    }
}

#[test]
fn pixels_of_a_wrong_length() {
    let error = Pixels::new(2, 2, Mode::Rgb, vec![0; 5])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "2×2 pixels of mode RGB are 12 bytes, but 5 were given"
    );
    assert!(Pixels::new(0, 2, Mode::L, vec![]).is_err());
    assert!(Pixels::new(65_501, 1, Mode::L, vec![0; 65_501]).is_err());
}

fn check_file(name: &str, bytes: &[u8], words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let error = Image::from_path(&path).unwrap_err().to_string();
    for word in words.iter().chain([&name]) {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

#[test]
fn a_file_that_is_no_picture_or_a_damaged_one() {
    let png = noise(image::ImageFormat::Png);
    check_file(
        "empty.png",
        b"",
        &["can't be read as a picture", "PNG, JPEG or BMP"],
    );
    check_file(
        "notes.txt",
        b"a picture is worth a thousand words",
        &["PNG, JPEG or BMP"],
    );
    check_file(
        "cut.png",
        &png[..png.len() / 2],
        &["can't be read as a picture"],
    );
    for format in [image::ImageFormat::Jpeg, image::ImageFormat::Bmp] {
        let file = noise(format);
        check_file(
            "cut",
            &file[..file.len() / 2],
            &["can't be read as a picture"],
        );
    }
    let mut flipped = png;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    check_file("flipped.png", &flipped, &["can't be read as a picture"]);
    let missing = Image::from_path("no/such/picture.png")
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("could not read no/such/picture.png"),
        "{missing}"
    );
}

/// A picture file of noise.
fn noise(format: image::ImageFormat) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let pixels = std::iter::repeat_with(|| random.u8(..))
        .take(64 * 64 * 3)
        .collect();
    let picture = image::RgbImage::from_raw(64, 64, pixels).unwrap();
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

#[test]
fn a_decoded_picture_without_pixels_is_refused_when_it_is_made() {
    let image = Image::from(image::DynamicImage::new_rgb8(0, 0));
    assert!(image.pixels().unwrap_err().to_string().contains("empty"));
}
