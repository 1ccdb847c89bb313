//! Claims of more memory than there is: refused before anything is allocated. They run in a
//! process of its own, in which an allocation of the claimed size is the end of it.

#[cfg(target_os = "linux")]
use std::process::{Command, Output};

use wandb_image::sink::MemorySink;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, BoxFormat, DType, Domain, Error, Grid, HostTensor, Image,
    ImageList, ImageMask, ImageOptions, IntoWandbImage, MaskOptions, Mode, Pixels, Position,
    Resize, Result, Row, Run, Snapshot, Value,
};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;
use wandb_image::RunMode;
use wandb_image::sink::logged::{media, of_row};
use wandb_image::sink::records::RecordType;
use wandb_image::sink::repair::repair;
use wandb_image::sink::verify::{Fault, verify};

use super::png::{self, Header};
use crate::framed::{self, Framed};

/// The memory that the child may have, in KiB: less than any claim.
#[cfg(target_os = "linux")]
const MEMORY_KIB: u32 = 900_000;

/// That for the longest list of files, which is less than the claim too; libtorch takes some of it.
#[cfg(target_os = "linux")]
const MEMORY_OF_LIST_KIB: u32 = 1_600_000;

/// Runs an ignored test of this program in a process with so much memory, and it passes.
#[cfg(target_os = "linux")]
fn passes_within(memory_kib: u32, test: &str) {
    let output = within(memory_kib, test);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

#[cfg(target_os = "linux")]
fn within(memory_kib: u32, test: &str) -> Output {
    let limited = format!("ulimit -v {memory_kib} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(limited);
    command.arg(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        test,
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    // Otherwise each thread takes 64 MiB of addresses.
    command.env("MALLOC_ARENA_MAX", "1");
    command.output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn claims_are_refused_before_anything_is_allocated() {
    passes_within(MEMORY_KIB, "hostile::claims::all");
}

/// The test above can fail.
#[cfg(target_os = "linux")]
#[test]
fn an_allocation_of_a_claim_is_the_end() {
    let output = within(MEMORY_KIB, "hostile::claims::allocation");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{stderr}");
    assert!(
        stderr.contains("memory allocation of 1073741824 bytes"),
        "{stderr}"
    );
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by an_allocation_of_a_claim_is_the_end"]
fn allocation() {
    let claim = std::hint::black_box(1_usize << 30);
    assert_eq!(vec![1_u8; claim].len(), claim);
}

#[test]
#[cfg_attr(
    target_os = "linux",
    ignore = "run by claims_are_refused_before_anything_is_allocated"
)]
fn all() {
    tensors();
    candle_views();
    ndarray_views();
    tch_views();
    burn_views();
    options();
    lists();
    layers();
    values();
    png_files();
    other_picture_files();
    tensor_files();
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_takes_no_more_memory_than_is_said() {
    passes_within(MEMORY_KIB, "hostile::claims::logs");
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_of_files_takes_no_more_memory_than_is_said() {
    passes_within(MEMORY_OF_LIST_KIB, "hostile::claims::listed");
}

/// One entrance: it refuses with these words.
fn refused<T>(entrance: &str, made: Result<T>, expected: &str) {
    println!("{entrance}");
    match made {
        Ok(_) => panic!("{entrance}: it was taken"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(expected), "{entrance}: {text}");
            assert!(text.len() < 600, "{entrance}: {} bytes of text", text.len());
        }
    }
}

/// A tensor of a user's own, with nothing behind its shape.
struct Claim(Vec<usize>, DType);

impl IntoWandbImage for Claim {
    fn to_host(&self) -> Result<HostTensor> {
        panic!("it was read")
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.0.clone())
    }
    fn dtype(&self) -> Result<DType> {
        Ok(self.1)
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        let mut shape = self.0.clone();
        shape[0] = indices.len();
        Claim(shape, self.1).snapshot()
    }
    fn snapshot(&self) -> Result<Snapshot> {
        let (shape, dtype) = (self.0.clone(), self.1);
        Ok(Snapshot::new(shape, dtype, || panic!("it was read")))
    }
}

fn tensors() {
    const SIZE: &str = "it takes over 4 GiB";
    const COUNT: &str = "it holds over 100,000 images or masks";
    let huge = 1_usize << 40;
    let check = |shape: &[usize], expected: &str| {
        let claim = Claim(shape.to_vec(), DType::F32);
        let small = ImageOptions::new().resize(Resize::To {
            width: 4,
            height: 4,
        });
        refused("a tensor as a picture", claim.to_wandb_image(), expected);
        refused("a tensor as pictures", claim.to_wandb_images(), expected);
        refused(
            "a tensor made smaller",
            claim.to_wandb_image_with(&small),
            "too large",
        );
    };
    check(&[huge, huge], "the greatest dimension is 65500");
    check(&[usize::MAX, usize::MAX], "the greatest dimension is 65500");
    check(&[3, huge, huge], "the greatest dimension is 65500");
    check(&[huge, 3, 64, 64], SIZE);
    check(&[usize::MAX, 4, 65_000, 65_000], "1 GiB");
    check(&[usize::MAX, 1, 1, 1], SIZE);
    check(&[100_001, 1, 1, 1], COUNT);
    let first = |images, shape: &[usize]| {
        let options = ImageOptions::new().max_images(images);
        Claim(shape.to_vec(), DType::U8).to_wandb_images_with(&options)
    };
    let claim = [usize::MAX, 1, 64, 64];
    refused("the first images", first(usize::MAX - 1, &claim), SIZE);
    refused("the first images", first(huge, &claim), SIZE);
    refused("the first images", first(100_001, &[huge, 1, 1, 1]), COUNT);
    assert_eq!(first(3, &claim).unwrap().len(), 3);

    let masks = |dtype, shape: &[usize], expected: &str| {
        let claim = Claim(shape.to_vec(), dtype);
        refused("a tensor as masks", claim.to_wandb_masks(), expected);
    };
    masks(DType::I64, &[huge, 64, 64], SIZE);
    masks(DType::U8, &[100_001, 1, 1], COUNT);
    masks(DType::F32, &[2, huge, 64, 64], SIZE);
    let mask = Claim(vec![huge, huge], DType::U8).to_wandb_mask();
    refused(
        "a tensor as a mask",
        mask,
        "the greatest dimension is 65500",
    );
    let scores = Claim(vec![huge, 64, 64], DType::F16).to_wandb_mask();
    refused("scores as a mask", scores, SIZE);

    let host = HostTensor::new([huge, huge], vec![0_u8; 3]);
    refused("a host tensor", host, "more than fit into memory");
}

/// A view of over 4 GiB with one element behind it, a batch of images: no entrance copies it.
#[cfg(any(
    feature = "candle",
    feature = "burn-example",
    feature = "tch",
    feature = "ndarray"
))]
fn check_view(framework: &str, view: &impl IntoWandbImage) {
    const SIZE: &str = "it takes over 4 GiB";
    let check = |entrance: &str, made: Result<()>| {
        refused(&format!("a view of {framework} {entrance}"), made, SIZE);
    };
    let images = view.shape().unwrap()[0];
    // 4 GiB at most if each element were a byte.
    let most = ImageOptions::new().max_images(images - 1);
    check("as a picture", view.to_wandb_image().map(drop));
    check("as pictures", view.to_wandb_images().map(drop));
    check(
        "as the first pictures",
        view.to_wandb_images_with(&most).map(drop),
    );
    check("as a tensor", view.to_host().map(drop));
    check("as a snapshot", view.snapshot().map(drop));
    let all = Vec::from_iter(0..images);
    check("as a selection", view.select(&all).map(drop));
    check("again and again", view.select(&vec![0; images]).map(drop));
    check("as masks", view.to_wandb_masks().map(drop));
    check("as a mask", view.to_wandb_mask().map(drop));
    let boxes = BoundingBoxes2D::from_tensor(view, BoxFormat::Xyxy, Domain::Pixel);
    check("as boxes", boxes.map(drop));
}

#[cfg(feature = "candle")]
fn candle_views() {
    use candle_core::{DType, Device, Tensor};
    let one = |dtype| Tensor::zeros((1, 1, 1, 1), dtype, &Device::Cpu).unwrap();
    let check = |dtype, shape: [usize; 4]| {
        check_view("candle", &one(dtype).broadcast_as(&shape).unwrap());
    };
    check(DType::F32, [1_000_000, 3, 1024, 1024]);
    check(DType::F64, [1_000, 3, 1024, 1024]);
    check(DType::F8E4M3, [1_000, 3, 1024, 1024]);
}

#[cfg(not(feature = "candle"))]
fn candle_views() {}

#[cfg(feature = "ndarray")]
fn ndarray_views() {
    let check = |shape: [usize; 4]| {
        let one = ndarray::Array4::<f64>::zeros((1, 1, 1, 1));
        check_view("ndarray", &one.broadcast(shape).unwrap());
    };
    check([1_000_000, 1024, 1024, 3]);
    check([1_000, 1024, 1024, 3]);
}

#[cfg(not(feature = "ndarray"))]
fn ndarray_views() {}

#[cfg(feature = "tch")]
fn tch_views() {
    use tch::{Device, Kind, Tensor};
    let check = |kind, shape: [i64; 4]| {
        let one = Tensor::zeros([1, 1, 1, 1], (kind, Device::Cpu));
        check_view("tch", &one.expand(shape, false));
    };
    check(Kind::Float, [1_000_000, 3, 1024, 1024]);
    check(Kind::Double, [1_000, 3, 1024, 1024]);
}

#[cfg(not(feature = "tch"))]
fn tch_views() {}

#[cfg(feature = "burn-example")]
fn burn_views() {
    let one = burn::tensor::Tensor::<4>::zeros([1, 1, 1, 1], &burn::tensor::Device::flex());
    check_view("burn", &one.clone().expand([1_000_000, 3, 1024, 1024]));
    check_view("burn", &one.expand([1_000, 3, 1024, 1024]));
}

#[cfg(not(feature = "burn-example"))]
fn burn_views() {}

fn grey(width: u32, height: u32) -> Pixels {
    let len = width as usize * height as usize;
    Pixels::new(width, height, Mode::L, vec![0; len]).unwrap()
}

fn options() {
    let tensor = HostTensor::new([2, 1, 8, 8], vec![0_u8; 128]).unwrap();
    let to = |width, height| ImageOptions::new().resize(Resize::To { width, height });
    let with = |options: &ImageOptions| tensor.to_wandb_image_with(options);
    let check_one = |options: &ImageOptions, expected: &str| {
        refused("a resized picture", with(options), expected);
        refused(
            "resized pictures",
            tensor.to_wandb_images_with(options),
            expected,
        );
    };
    check_one(&to(65_500, 65_500), "1 GiB");
    check_one(&to(u32::MAX, u32::MAX), "65500");
    check_one(
        &ImageOptions::new().resize(Resize::Enlarge(u32::MAX)),
        "65500",
    );
    // Both pictures are small, and what lies between them isn't.
    let wide = HostTensor::new([10, 65_500], vec![0_u8; 655_000]).unwrap();
    let made = wide.to_wandb_image_with(&to(10, 65_500));
    refused(
        "a picture turned from wide to high",
        made,
        "to resize it takes over 4 GiB",
    );
    let high = MaskOptions::new().resize(Resize::To {
        width: 10,
        height: 65_500,
    });
    let made = wide.to_wandb_mask_with(&high);
    refused(
        "a mask turned from wide to high",
        made,
        "to resize it takes over 4 GiB",
    );
    let mask = |resize| tensor_of_ids().to_wandb_mask_with(&MaskOptions::new().resize(resize));
    refused("an enlarged mask", mask(Resize::Enlarge(u32::MAX)), "65500");
    refused(
        "a resized mask",
        mask(Resize::To {
            width: 65_500,
            height: 65_500,
        }),
        "1 GiB",
    );

    let grid = |grid| ImageOptions::new().grid(grid);
    refused(
        "a grid",
        with(&grid(Grid::new().padding(usize::MAX))),
        "65500",
    );
    refused(
        "a grid",
        with(&grid(Grid::new().padding(30_000).nrow(1))),
        "65500",
    );
    refused("a grid", with(&grid(Grid::new().padding(20_000))), "1 GiB");
    let pair = || [Image::from(grey(1, 1)), Image::from(grey(1, 1))];
    let joined = Image::joined(pair(), Grid::new().padding(usize::MAX));
    refused("joined pictures", joined, "65500");
    let sides = [Image::from(grey(65_500, 1)), Image::from(grey(1, 65_500))];
    refused(
        "joined pictures",
        Image::joined(sides, Grid::new().nrow(1)),
        "65500",
    );

    let large = Image::from(grey(65_500, 5_000));
    refused(
        "a converted picture",
        large.clone().convert(Mode::Rgba).pixels(),
        "1 GiB",
    );
    let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
    refused(
        "a converted picture",
        run.log([("k", large.convert(Mode::Rgba))]),
        "1 GiB",
    );
    run.finish().unwrap();
}

fn tensor_of_ids() -> HostTensor {
    HostTensor::new([8, 8], vec![0_u8; 64]).unwrap()
}

fn lists() {
    let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
    let sides = [Image::from(grey(65_500, 1)), Image::from(grey(1, 65_500))];
    let list = ImageList::new(sides).pad_to_largest(true);
    refused(
        "a padded list",
        run.log(Row::new().with("k", list)),
        "1 GiB",
    );
    let caption = Image::from(grey(1, 1)).caption("x".repeat(2 << 20));
    refused(
        "a caption",
        run.log([("k", caption)]),
        "it has at most 1 MiB",
    );
    assert_eq!(run.step(), 0);
    run.finish().unwrap();
}

fn layers() {
    let boxes = |rows| {
        let claim = Claim(vec![rows, 4], DType::U8);
        BoundingBoxes2D::from_tensor(&claim, BoxFormat::Xyxy, Domain::Pixel)
    };
    refused(
        "boxes of a tensor",
        boxes(1 << 60),
        "a layer has at most 1,000,000",
    );
    refused(
        "boxes of a tensor",
        boxes(1_000_001),
        "a layer has at most 1,000,000",
    );
    assert!(boxes(1_000_000).is_ok());
    let corner = Position::corners(0.0, 0.0, 1.0, 1.0);
    let one = BoundingBox::new(Domain::Pixel, corner, 0);
    let many = BoundingBoxes2D::new(std::iter::repeat_n(one, 1_000_001));
    let image = Image::from(grey(1, 1)).boxes("many", many);
    refused("boxes of a list", image, "a layer has at most 1,000,000");
    let mask = ImageMask::new(65_500, 65_500, vec![0; 9]);
    refused("a mask of ids", mask, "1 GiB");
}

fn values() {
    let run = wandb_image::init().start_on(MemorySink::new()).unwrap();
    let deep = (0..500).fold(serde_json::Value::Null, |value, _| vec![value].into());
    let serialized = Value::from_serialize(&deep);
    refused("a serialized value", serialized, "nested over 63 levels");
    refused(
        "a value of a row",
        run.log([("k", deep.clone())]),
        "nested over 63 levels",
    );
    refused(
        "a value of the summary",
        run.summary("k", deep.clone()),
        "nested over 63 levels",
    );
    refused(
        "a value of the config",
        run.config("k", deep.clone()),
        "nested over 63 levels",
    );
    let config = wandb_image::init().config(&serde_json::json!({ "k": deep }));
    refused("the config", config, "nested over 63 levels");
    let long = "x".repeat(17 << 20);
    refused("a text", run.log([("k", &*long)]), "over 16 MiB");
    refused(
        "a list",
        run.log([("k", vec![0_u8; 65 << 20])]),
        "over 2,000,000 values",
    );
    let serialized = Value::from_serialize(&vec![vec![0_u8; 1024]; 10_000]);
    refused("a serialized list", serialized, "over 2,000,000 values");
    let key = "k".repeat((1 << 16) + 1);
    const KEY: &str = "a key is at most 65,536 bytes long: shorten it";
    refused("a key", run.log([(&*key, 1)]), KEY);
    refused(
        "a key of an image",
        run.log([(&*key, Image::from(grey(1, 1)))]),
        KEY,
    );
    refused("a key of the summary", run.summary(&key, 1), KEY);
    refused("a key of the config", run.config(&key, 1), KEY);
    let config = wandb_image::init().config(&BTreeMap::from([(&*key, 1)]));
    refused("a key of the first config", config, KEY);
    ways(&run);
    texts();
    assert_eq!(run.step(), 0);
    run.finish().unwrap();
}

/// Each leaf of a value has all keys that lead to it.
fn ways(run: &Run) {
    let under = |key: String| {
        let entries = (0..100_000).map(|i| (i.to_string(), i.into()));
        let entries = serde_json::Map::from_iter(entries);
        serde_json::Map::from_iter([(key, entries.into())]).into()
    };
    let check = |value: serde_json::Value, expected: &str| {
        refused("keys of a value", run.log([("k", value.clone())]), expected);
        refused(
            "keys of the summary",
            run.summary("k", value.clone()),
            expected,
        );
        refused(
            "keys of the config",
            run.config("k", value.clone()),
            expected,
        );
        let serialized = Value::from_serialize(&value).unwrap();
        refused(
            "keys that are serialized",
            run.log([("k", serialized)]),
            expected,
        );
        let config = wandb_image::init().config(&BTreeMap::from([("k", value)]));
        refused("keys of the first config", config, expected);
    };
    check(
        under("k".repeat(1 << 20)),
        "take over 65,536 bytes: shorten them",
    );
    check(under("k".repeat(60_000)), "over 16 MiB");
    let key = "k".repeat(60_000);
    refused(
        "a key of many leaves",
        run.log([(key, under("k".into()))]),
        "over 16 MiB",
    );
    // These are taken.
    run.summary("k", under("k".into())).unwrap();
}

/// Few texts, over and over.
fn texts() {
    let text = "x".repeat(1 << 20);
    let texts = vec![&text; 1_999_999];
    refused(
        "serialized texts",
        Value::from_serialize(&texts),
        "over 16 MiB",
    );
    let config = wandb_image::init().config(&BTreeMap::from([("k", texts)]));
    refused("texts of the config", config, "over 16 MiB");
    let maps = vec![BTreeMap::from([(&text, 0)]); 10_000];
    refused(
        "serialized keys",
        Value::from_serialize(&maps),
        "over 16 MiB",
    );
}

fn check_file(entrance: &str, file: &[u8], expected: &str) {
    refused(entrance, Image::from_bytes(file), expected);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, file).unwrap();
    refused(entrance, Image::from_path(&path), expected);
}

fn png_files() {
    let row = png::packed(&[0, 7]);
    let claim = |width, height, expected: &str| {
        let file = png::file(Header::grey(width, height), &[], &row);
        check_file("a PNG file", &file, expected);
        refused("a PNG mask", ImageMask::from_bytes(&file), expected);
    };
    claim(65_000, 65_000, "the greatest size in memory is 1 GiB");
    claim(65_501, 1, "the greatest dimension is 65500");
    claim(
        i32::MAX as u32,
        i32::MAX as u32,
        "the greatest dimension is 65500",
    );
    let deep = Header {
        depth: 16,
        color: 6,
        ..Header::grey(12_000, 12_000)
    };
    check_file(
        "a PNG file of 16 bits",
        &png::file(deep, &[], &row),
        "1 GiB",
    );

    // A pixel, and a gigabyte after it.
    let bomb = png::file(Header::grey(1, 1), &[], &png::packed_zeros(1024));
    assert!(bomb.len() < 2 << 20);
    println!("a bomb of {} bytes", bomb.len());
    // Whether it is taken or not, it takes no memory.
    let _ = Image::from_bytes(bomb.clone());
    let _ = ImageMask::from_bytes(&bomb);
    let gigabyte = png::file(Header::grey(32_768, 32_769), &[], &png::packed_zeros(1024));
    check_file(
        "a gigabyte of zeros",
        &gigabyte,
        "the greatest size in memory is 1 GiB",
    );

    let zeros = png::packed_zeros(1024);
    let named = |prefix: &[u8]| [prefix, &zeros].concat();
    for chunk in [
        png::chunk(b"zTXt", &named(b"key\0\0")),
        png::chunk(b"iTXt", &named(b"key\0\x01\0\0\0")),
        png::chunk(b"iCCP", &named(b"name\0\0")),
    ] {
        println!("a bomb in {:?}", String::from_utf8_lossy(&chunk[4..8]));
        let file = png::file(Header::grey(1, 1), &[chunk], &row);
        let image = Image::from_bytes(file.clone()).unwrap();
        assert_eq!(image.pixels().unwrap().as_bytes(), [7]);
        assert_eq!(
            ImageMask::from_bytes(&file)
                .unwrap()
                .ids()
                .unwrap()
                .as_bytes(),
            [7]
        );
    }
    let mut long = png::file(Header::grey(1, 1), &[], &row);
    let idat = long.len() - 12 - 4 - row.len() - 8;
    long[idat..idat + 4].copy_from_slice(&(i32::MAX as u32).to_be_bytes());
    check_file("a chunk of 2 GiB", &long, "can't be read as a picture");
}

fn other_picture_files() {
    let jpeg_of = |is_progressive, colours, width: u16, height: u16| {
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
        encoder.set_progressive(is_progressive);
        encoder.encode(&[9; 8 * 8 * 4], 8, 8, colours).unwrap();
        let start = [0xff, if is_progressive { 0xc2 } else { 0xc0 }];
        let frame = file.windows(2).position(|marker| marker == start).unwrap();
        file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        file
    };
    let jpeg = |width, height| jpeg_of(false, jpeg_encoder::ColorType::Luma, width, height);
    let progressive = |colours, width, height, expected: &str| {
        assert!(Image::from_bytes(jpeg_of(true, colours, 8, 8)).is_ok());
        let file = jpeg_of(true, colours, width, height);
        check_file("a progressive JPEG file", &file, expected);
    };
    use jpeg_encoder::ColorType::{Cmyk, Luma, Rgb};
    const COEFFICIENTS: &str = "the coefficients of";
    progressive(Rgb, 13_400, 13_400, COEFFICIENTS);
    progressive(Cmyk, 11_600, 11_600, COEFFICIENTS);
    progressive(Luma, 65_500, 65_500, "pixels take over 1 GiB");
    assert!(Image::from_bytes(jpeg(8, 8)).is_ok());
    check_file("a JPEG file", &jpeg(65_500, 65_500), "over 1 GiB");
    check_file(
        "a JPEG file",
        &jpeg(65_535, 1),
        "can't be read as a picture",
    );

    let bmp = |width: i32, height: i32, bits: u16| {
        let mut file = b"BM".to_vec();
        file.extend(58_u32.to_le_bytes());
        file.extend([0; 4]);
        file.extend(54_u32.to_le_bytes());
        file.extend(40_u32.to_le_bytes());
        file.extend(width.to_le_bytes());
        file.extend(height.to_le_bytes());
        file.extend(1_u16.to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend([0; 24]);
        file.extend([9; 4]);
        file
    };
    assert!(Image::from_bytes(bmp(1, 1, 24)).is_ok());
    for (width, height) in [
        (65_000, 65_000),
        (65_000, -65_000),
        (65_501, 1),
        (i32::MAX, i32::MAX),
        (i32::MIN, i32::MIN),
    ] {
        for bits in [1, 8, 16, 24, 32] {
            let file = bmp(width, height, bits);
            check_file("a BMP file", &file, "can't be read as a picture");
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.png");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(5 << 30).unwrap();
    refused(
        "a long file",
        Image::from_path(&path),
        "over 268435456 bytes long",
    );
    refused(
        "a long mask",
        ImageMask::from_path(&path),
        "over 268435456 bytes long",
    );
}

#[cfg(not(feature = "cli"))]
fn tensor_files() {}

#[cfg(feature = "cli")]
fn tensor_files() {
    use wandb_image::decode::{npy_from_bytes, read_npy, read_safetensors, safetensors_from_bytes};

    let npy = |shape: &str, order: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let len = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), &[0; 16]].concat()
    };
    assert!(npy_from_bytes(&npy("(2, 2)", "True")).is_ok());
    for order in ["True", "False"] {
        let check = |shape: &str, expected: &str| {
            refused("an npy file", npy_from_bytes(&npy(shape, order)), expected);
        };
        check(
            "(1099511627776, 1099511627776)",
            "more elements than there can be",
        );
        check("(1099511627776, 1024)", "but 16 follow its header");
        check("(1099511627776, 0)", "but 16 follow its header");
        check(
            "(0, 18446744073709551615, 18446744073709551615)",
            "more elements",
        );
    }
    let long_header = [b"\x93NUMPY\x02\0", &u32::MAX.to_le_bytes()[..], &[b' '; 90]].concat();
    refused(
        "an npy header",
        npy_from_bytes(&long_header),
        "its header claims",
    );

    let safetensors = |header: &str| {
        let len = (header.len() as u64).to_le_bytes();
        let file = [&len[..], header.as_bytes(), &[0; 16]].concat();
        safetensors_from_bytes(&file, &[""; 0])
    };
    let info = |shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    assert!(safetensors(&info("[4]", "[0,16]")).is_ok());
    refused(
        "safetensors",
        safetensors(&info("[1099511627776]", "[0,4398046511104]")),
        "but 16 follow",
    );
    refused(
        "safetensors",
        safetensors(&info("[4]", "[0,18446744073709551615]")),
        "damaged",
    );
    refused(
        "safetensors",
        safetensors(&info("[1099511627776,1099511627776]", "[0,16]")),
        "damaged",
    );
    let length = safetensors_from_bytes(&u64::MAX.to_le_bytes(), &[""; 0]);
    refused("a safetensors header", length, "its header claims");

    // Files that are as long as they claim, and hold nothing.
    let dir = tempfile::tempdir().unwrap();
    let sparse = |start: &[u8]| {
        let path = dir.path().join("sparse");
        std::fs::write(&path, start).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(start.len() as u64 + (5 << 30)).unwrap();
        path
    };
    let array = npy("(1342177280,)", "False");
    let path = sparse(&array[..array.len() - 16]);
    refused("a long npy file", read_npy(path), "4 GiB");
    let header = info("[1342177280]", "[0,5368709120]");
    let len = (header.len() as u64).to_le_bytes();
    let path = sparse(&[&len[..], header.as_bytes()].concat());
    refused(
        "a long safetensors file",
        read_safetensors(path, &[""; 0]),
        "4 GiB",
    );
    for dtype in ["F8_E4M3", "F8_E5M2"] {
        // As F32 it takes four times as much.
        let header = info("[1342177280]", "[0,1342177280]").replace("F32", dtype);
        let len = (header.len() as u64).to_le_bytes();
        let path = sparse(&[&len[..], header.as_bytes()].concat());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(8 + header.len() as u64 + (5 << 28)).unwrap();
        refused(
            "a file of short floats",
            read_safetensors(path, &[""; 0]),
            "4 GiB",
        );
    }
    let path = sparse(&50_000_000_000_u64.to_le_bytes());
    refused(
        "a safetensors header",
        read_safetensors(path, &[""; 0]),
        "its header claims",
    );
}

/// What is refused names the tensor.
#[test]
fn a_tensor_that_is_too_large_is_named() {
    let error = Claim(vec![1 << 40, 3, 64, 64], DType::F32).to_wandb_image();
    assert!(matches!(&error, Err(Error::TensorTooLarge { shape, .. }) if shape[0] == 1 << 40));
    assert_eq!(
        error.unwrap_err().to_string(),
        "a tensor of shape [1099511627776, 3, 64, 64] is too large: it takes over 4 GiB; log \
         fewer of its images (ImageOptions::max_images takes the first), or select or resize them \
         first"
    );
}

/// A log with one record between those of a run.
fn log_of(dir: &Path, payload: &[u8]) -> PathBuf {
    let run = dir.join("offline-run-20250101_000000-r1");
    std::fs::create_dir_all(run.join("files")).unwrap();
    let mut log = Framed::of(&[framed::run("r1")]);
    log.push(payload);
    log.push(&framed::exit().encode_to_vec());
    std::fs::write(run.join("run-r1.wandb"), &log.bytes).unwrap();
    run
}

/// A record of the type 2, a row, that holds nothing but its items.
fn row_of(items: &[u8]) -> Vec<u8> {
    let mut record = vec![0x12];
    let mut length = items.len();
    while length >= 0x80 {
        record.push(length as u8 | 0x80);
        length >>= 7;
    }
    record.push(length as u8);
    record.extend(items);
    record
}

/// Every reader leaves the record out, and says so.
fn check_log(what: &str, record: &[u8], expected: &str) {
    println!("a log with {what}");
    let dir = tempfile::tempdir().unwrap();
    let run = log_of(dir.path(), record);
    let report = verify(&run).unwrap();
    let faults: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(expected), "{faults:?}");
    let repaired = repair(&run, dir.path().join("out")).unwrap();
    assert_eq!((repaired.missing_in_all, repaired.records), (1, 2));
    let media = media(&run).unwrap();
    let damage = media.damage.unwrap().to_string();
    assert!(
        damage.contains(expected) && media.files.is_empty(),
        "{damage}"
    );
    let resumed = wandb_image::init().mode(RunMode::Offline).resume(&run);
    refused("a run that goes on", resumed.start(), expected);
}

#[test]
#[cfg_attr(
    target_os = "linux",
    ignore = "run by a_log_takes_no_more_memory_than_is_said"
)]
fn logs() {
    // 64 MiB in all: 32 of a key, and values that each name a file under it.
    let key = "k".repeat(32 << 20);
    let one = r#"{"_type":"a","path":"b"},"#;
    let mut values = String::from("[");
    values.extend(std::iter::repeat_n(one, (31 << 20) / one.len()));
    values += "0]";
    let row = |key: &str, values: &str| framed::row(0, vec![framed::item(&[key], values)]);
    let record = row(&key, &values).encode_to_vec();
    drop(key);
    check_log(
        "a key of 32 MiB",
        &record,
        "a key in it is over 65,536 bytes",
    );
    let record = row("k", &values).encode_to_vec();
    drop(values);
    check_log("1.3 million files", &record, "over 512 MiB of memory");
    let record = row_of(&[0x0a, 0].repeat((64 << 20) / 2 - 8));
    check_log("33 million items", &record, "over 512 MiB of memory");

    // As many as are read, where there is time.
    let times = if crate::torn::is_long() { 15 } else { 1 };
    let (files, items) = (20_000 * times, 100_000 * times);
    println!("a log with {files} files");
    let values: Vec<_> = (0..files)
        .map(|i| format!(r#"{{"_type":"a","path":"{i}"}}"#))
        .collect();
    let values = format!("[{}]", values.join(","));
    let dir = tempfile::tempdir().unwrap();
    let run = log_of(dir.path(), &row(&"k".repeat(200), &values).encode_to_vec());
    drop(values);
    assert_eq!(media(&run).unwrap().files.len() as u64, files);
    check_told(&run, files);
    let repaired = repair(&run, dir.path().join("out")).unwrap();
    assert_eq!(repaired.missing.len(), 1000);
    assert_eq!(repaired.missing_in_all, files);
    let resumed = wandb_image::init().mode(RunMode::Offline).resume(&run);
    resumed.start().unwrap().finish().unwrap();

    println!("a log with {items} items");
    let run = log_of(dir.path(), &row_of(&[0x0a, 0].repeat(items as usize)));
    check_told(&run, items);
    let repaired = repair(&run, dir.path().join("out 2")).unwrap();
    assert_eq!(repaired.missing_in_all, items);
}

/// The keys of rows that each take little in the log are 120 MiB a row in the list.
#[test]
#[cfg_attr(
    target_os = "linux",
    ignore = "run by a_list_of_files_takes_no_more_memory_than_is_said"
)]
fn listed() {
    let (files, key) = (2_000, "k".repeat(60 << 10));
    let names = serde_json::json!({ "_type": "images/separated", "filenames": vec!["a"; files] });
    let row = framed::row(0, vec![framed::item(&[&key], &names.to_string())]);
    let of_a_row = of_row(
        match &row.record_type {
            Some(RecordType::History(row)) => row,
            _ => unreachable!(),
        },
        "no/such",
    );
    assert_eq!(of_a_row.len(), files);
    drop(of_a_row);
    let dir = tempfile::tempdir().unwrap();
    let mut log = Framed::of(&[framed::run("r1")]);
    (0..60).for_each(|_| log.push(&row.encode_to_vec()));
    let path = dir.path().join("run-r1.wandb");
    std::fs::write(&path, &log.bytes).unwrap();
    let listed = media(&path).unwrap();
    assert!((4 * files..5 * files).contains(&listed.files.len()));
    let damage = listed.damage.unwrap().to_string();
    assert!(
        damage.contains("would take over 512 MiB of memory"),
        "{damage}"
    );
}

/// A thousand of a kind are told, and the others counted.
fn check_told(run: &Path, count: u64) {
    let report = verify(run).unwrap();
    let last = report.faults.last().unwrap();
    assert_eq!(last.count, count - 1000, "{last}");
    assert!(
        last.to_string()
            .contains(&format!("and {} more", count - 1000))
    );
    let kind = |fault: &&Fault| fault.kind == last.kind;
    assert_eq!(report.faults.iter().filter(kind).count(), 1001);
}
