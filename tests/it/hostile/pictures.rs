//! Picture files that are damaged, rare, or not what their name says.

use std::fs;

use image::ImageFormat;
use wandb_image::{HostTensor, Image, ImageMask, IntoWandbImage, Mode, Pixels};

use super::png::{self, Header};

fn slope(width: u32, height: u32) -> image::DynamicImage {
    image::RgbImage::from_fn(width, height, |x, y| [x as u8 * 9, y as u8 * 7, 90].into()).into()
}

fn written(picture: &image::DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn pixels(file: &[u8]) -> Pixels {
    let image = Image::from_bytes(file).unwrap();
    let pixels = image.pixels().unwrap();
    assert_eq!(
        (image.width(), image.height()),
        (pixels.width(), pixels.height())
    );
    assert_eq!(image.mode(), pixels.mode());
    Pixels::clone(&pixels)
}

fn check(file: &[u8], mode: Mode, expected: &[u8]) {
    let pixels = pixels(file);
    assert_eq!((pixels.mode(), pixels.as_bytes()), (mode, expected));
}

fn refused(file: &[u8], expected: &str) {
    let error = Image::from_bytes(file).unwrap_err().to_string();
    assert!(
        error.starts_with("the file in memory can't be read as a picture: "),
        "{error}"
    );
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_file_that_is_cut_at_any_byte_is_refused() {
    let grey = image::DynamicImage::from(slope(13, 7).to_luma8());
    for picture in [slope(13, 7), grey] {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp] {
            let file = written(&picture, format);
            assert!(Image::from_bytes(&file[..]).is_ok());
            for len in 0..file.len() {
                let cut = Image::from_bytes(&file[..len]);
                assert!(cut.is_err(), "{format:?}: {len} of {} bytes", file.len());
            }
        }
    }
}

/// A PNG file has checksums: any change is seen but one of what nothing depends on.
#[test]
fn a_png_file_with_any_byte_changed_is_refused() {
    let file = written(&slope(13, 7), ImageFormat::Png);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        assert!(
            Image::from_bytes(changed).is_err(),
            "byte {at} of {}",
            file.len()
        );
    }
}

#[test]
fn what_follows_the_end_is_left_alone() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp] {
        let file = written(&slope(13, 7), format);
        let longer = [&file[..], b"and so on"].concat();
        assert_eq!(pixels(&longer), pixels(&file), "{format:?}");
    }
}

#[test]
fn the_content_and_not_the_name_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    for (name, format, extension) in [
        ("a.png", ImageFormat::Jpeg, "jpg"),
        ("b.jpg", ImageFormat::Png, "png"),
        ("c.gif", ImageFormat::Bmp, "bmp"),
        ("d", ImageFormat::Png, "png"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, written(&slope(3, 2), format)).unwrap();
        let image = Image::from_path(&path).unwrap();
        assert_eq!(image.format(), extension, "{name}");
        let json = run.media_json(&name[..1], 0, image).unwrap();
        assert_eq!(json["format"], extension);
        assert!(json["path"].as_str().unwrap().ends_with(extension));
    }
    run.finish().unwrap();
}

#[test]
fn other_formats_say_what_is_expected() {
    const EXPECTED: &str = "it is no PNG, JPEG or BMP file: convert it to one of these";
    for file in [
        &b"GIF89a\x01\0\x01\0\x80\0\0"[..],
        b"RIFF\x1a\0\0\0WEBPVP8L",
        b"II*\0\x08\0\0\0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x20ftypavif",
        b"P6 1 1 255 abc",
        b"",
        b"\x89PN",
    ] {
        refused(file, EXPECTED);
    }
}

#[test]
fn a_side_of_nothing_is_refused() {
    for (width, height) in [(0, 1), (1, 0), (0, 0)] {
        let file = png::file(Header::grey(width, height), &[], &png::packed(&[]));
        refused(&file, "");
        assert!(ImageMask::from_bytes(&file).is_err());
        let mut bmp = written(&slope(3, 2), ImageFormat::Bmp);
        bmp[18..22].copy_from_slice(&width.to_le_bytes());
        bmp[22..26].copy_from_slice(&height.to_le_bytes());
        refused(&bmp, "");
    }
}

/// The first frame is the picture, as in Pillow, and the file is logged with all of them.
#[test]
fn of_an_animation_the_first_frame_is_the_picture() {
    let frame = |number: u32, delay: u16| {
        let mut data = [
            number.to_be_bytes(),
            2_u32.to_be_bytes(),
            1_u32.to_be_bytes(),
        ]
        .concat();
        data.extend([0; 8]);
        data.extend(delay.to_be_bytes());
        data.extend([0, 100, 0, 0]);
        png::chunk(b"fcTL", &data)
    };
    let animation = [2_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat();
    let chunks = [png::chunk(b"acTL", &animation), frame(0, 5)];
    let mut file = png::file(Header::grey(2, 1), &chunks, &png::packed(&[0, 7, 8]));
    let second = [&2_u32.to_be_bytes()[..], &png::packed(&[0, 9, 10])].concat();
    let end = file.len() - 12;
    file.splice(
        end..end,
        [frame(1, 5), png::chunk(b"fdAT", &second)].concat(),
    );
    check(&file, Mode::L, &[7, 8]);

    let sink = wandb_image::sink::MemorySink::new();
    let run = wandb_image::init().start_on(sink.clone()).unwrap();
    run.log([("k", Image::from_bytes(&file[..]).unwrap())])
        .unwrap();
    run.finish().unwrap();
    assert_eq!(sink.files()[0].bytes, file);
}

// ---- kinds of PNG ----

/// The bits of a picture of samples as Adam7 stores them, without filters.
fn interlaced(header: Header, channels: usize, samples: &[u16]) -> Vec<u8> {
    let (width, height) = (header.size.0 as usize, header.size.1 as usize);
    let passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ];
    let mut stored = Vec::new();
    for (left, top, across, down) in passes {
        for y in (top..height).step_by(down) {
            let row: Vec<u16> = (left..width)
                .step_by(across)
                .flat_map(|x| &samples[(y * width + x) * channels..][..channels])
                .copied()
                .collect();
            if !row.is_empty() {
                stored.push(0);
                stored.extend(bits(&row, header.depth));
            }
        }
    }
    stored
}

/// Samples of this many bits, packed from the highest bit on.
fn bits(samples: &[u16], depth: u8) -> Vec<u8> {
    if depth == 16 {
        return samples
            .iter()
            .flat_map(|sample| sample.to_be_bytes())
            .collect();
    }
    let per_byte = 8 / usize::from(depth);
    let byte = |chunk: &[u16]| {
        let packed = chunk.iter().fold(0, |byte, sample| byte << depth | sample);
        (packed << (usize::from(depth) * (per_byte - chunk.len()))) as u8
    };
    samples.chunks(per_byte).map(byte).collect()
}

#[test]
fn an_interlaced_file_is_put_in_order() {
    let kinds = [
        (0, 1, 1, Mode::L),
        (0, 1, 2, Mode::L),
        (0, 1, 4, Mode::L),
        (0, 1, 8, Mode::L),
        (0, 1, 16, Mode::I16),
        (2, 3, 8, Mode::Rgb),
        (4, 2, 8, Mode::La),
        (6, 4, 8, Mode::Rgba),
    ];
    let mut rng = fastrand::Rng::with_seed(3);
    for (color, channels, depth, mode) in kinds {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (3, 5), (8, 8), (17, 11)] {
            let header = Header {
                size: (width, height),
                depth,
                color,
                is_interlaced: true,
            };
            let len = (width * height) as usize * channels;
            let greatest = if depth == 16 {
                u16::MAX
            } else {
                (1 << depth) - 1
            };
            let samples: Vec<u16> = (0..len).map(|_| rng.u16(..=greatest)).collect();
            let data = png::packed(&interlaced(header, channels, &samples));
            let read = pixels(&png::file(header, &[], &data));
            let to_eight = |sample: u16| match depth {
                16 => sample,
                _ => sample * (255 / greatest),
            };
            assert_eq!(
                (read.width(), read.height(), read.mode()),
                (width, height, mode)
            );
            let expected = samples.iter().map(|&sample| to_eight(sample));
            assert!(
                read.samples().eq(expected),
                "{color} {depth} {width}×{height}"
            );
        }
    }
}

#[test]
fn a_palette_with_transparency_becomes_rgba() {
    let palette = png::chunk(b"PLTE", &[10, 20, 30, 40, 50, 60, 70, 80, 90]);
    let indexed = |width, depth| Header {
        size: (width, 1),
        depth,
        color: 3,
        is_interlaced: false,
    };
    let data = png::packed(&[0, 0b0001_1000]);
    let file = |chunks: &[Vec<u8>]| png::file(indexed(3, 2), chunks, &data);
    let opaque = file(std::slice::from_ref(&palette));
    check(&opaque, Mode::Rgb, &[10, 20, 30, 40, 50, 60, 70, 80, 90]);
    // The third colour has no alpha of its own: it is opaque.
    let transparency = png::chunk(b"tRNS", &[0, 128]);
    check(
        &file(&[palette.clone(), transparency]),
        Mode::Rgba,
        &[10, 20, 30, 0, 40, 50, 60, 128, 70, 80, 90, 255],
    );
    let ids = ImageMask::from_bytes(&opaque).unwrap();
    assert_eq!(ids.ids().unwrap().as_bytes(), [0, 1, 2]);
    // An index past the palette is black, as in libpng.
    let past = png::file(indexed(1, 8), &[palette], &png::packed(&[0, 200]));
    check(&past, Mode::Rgb, &[0, 0, 0]);
    // Without one there are no colours; found by fuzzing, which made a mask of it.
    let none = png::file(indexed(1, 8), &[], &png::packed(&[0, 0]));
    refused(&none, "");
    let error = ImageMask::from_bytes(&none).unwrap_err().to_string();
    assert!(error.contains("its palette is missing"), "{error}");
}

#[test]
fn a_transparent_colour_becomes_alpha() {
    let grey = png::chunk(b"tRNS", &[0, 7]);
    let file = png::file(Header::grey(2, 1), &[grey], &png::packed(&[0, 7, 8]));
    check(&file, Mode::La, &[7, 0, 8, 255]);
    let red = png::chunk(b"tRNS", &[0, 255, 0, 0, 0, 0]);
    let header = Header {
        color: 2,
        ..Header::grey(2, 1)
    };
    let file = png::file(header, &[red], &png::packed(&[0, 255, 0, 0, 0, 0, 9]));
    check(&file, Mode::Rgba, &[255, 0, 0, 0, 0, 0, 9, 255]);
}

#[test]
fn sixteen_bits_are_kept_in_grey_and_rounded_in_colour() {
    let deep = |color| Header {
        depth: 16,
        color,
        ..Header::grey(1, 1)
    };
    let file = |color, samples: &[u16]| {
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_be_bytes())
            .collect();
        png::file(deep(color), &[], &png::packed(&[&[0], &bytes[..]].concat()))
    };
    let grey = pixels(&file(0, &[40_000]));
    assert!(grey.mode() == Mode::I16 && grey.samples().eq([40_000]));
    check(&file(4, &[65_535, 257]), Mode::La, &[255, 1]);
    check(&file(2, &[0, 128 * 257, 65_535]), Mode::Rgb, &[0, 128, 255]);
    check(
        &file(6, &[0, 257, 514, 65_535]),
        Mode::Rgba,
        &[0, 1, 2, 255],
    );
}

// ---- JPEG ----

/// Eight rows of inks, as Pillow 13 writes them: with Adobe's marker, inverted.
const CMYK: &[u8] = include_bytes!("cmyk.jpg");

/// What Pillow 13 makes of the file as RGB, row by row.
const RGB: [[u8; 3]; 8] = [
    [255, 255, 255],
    [0, 255, 255],
    [255, 0, 255],
    [255, 255, 0],
    [0, 0, 0],
    [119, 179, 209],
    [0, 0, 0],
    [207, 46, 139],
];

#[test]
fn a_cmyk_file_has_the_colours_that_pillow_sees() {
    let read = pixels(CMYK);
    assert_eq!(
        (read.width(), read.height(), read.mode()),
        (8, 8, Mode::Rgb)
    );
    for (row, expected) in read.as_bytes().chunks(8 * 3).zip(RGB) {
        let pixel = row.as_chunks::<3>().0[0];
        let worst = pixel.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
        assert!(worst <= Some(3), "{pixel:?} is not {expected:?}");
    }
}

/// A tensor's snapshot may give another one than it had promised; its picture is an error then.
#[test]
fn a_snapshot_that_lies_is_an_error() {
    let lie = || HostTensor::new([1, 2], vec![7_u8, 8]);
    let snapshot = wandb_image::Snapshot::new([60_000, 60_000], wandb_image::DType::U8, lie);
    struct Liar(std::cell::RefCell<Option<wandb_image::Snapshot>>);
    impl IntoWandbImage for Liar {
        fn to_host(&self) -> wandb_image::Result<HostTensor> {
            HostTensor::new([1, 2], vec![7_u8, 8])
        }
        fn snapshot(&self) -> wandb_image::Result<wandb_image::Snapshot> {
            Ok(self.0.take().unwrap())
        }
    }
    let error = Liar(Some(snapshot).into()).to_wandb_image().unwrap_err();
    assert!(error.to_string().contains("1 GiB"), "{error}");
    let snapshot = wandb_image::Snapshot::new([600, 600], wandb_image::DType::U8, lie);
    let image = Liar(Some(snapshot).into()).to_wandb_image().unwrap();
    let error = image.pixels().unwrap_err().to_string();
    assert!(error.contains("it arrived as [1, 2] of u8"), "{error}");
}
