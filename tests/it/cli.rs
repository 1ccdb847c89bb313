//! The command `wandb-image`, run as a user runs it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use npyz::WriterBuilder;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;
use wandb_image::sink::records::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, Record, RecordType,
};
use wandb_image::{Artifact, Classes, Image, ImageMask, Mode, Pixels, Row, Run, Table};

use crate::child::without_wandb;
use crate::framed::{self, Framed};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/files");

/// A directory with the files of a user.
struct Desk(TempDir);

/// What a run of the command gave.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    fn safetensors(&self, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> &Self {
        self.write(name, &safetensors_of(tensors))
    }

    fn npy<T: npyz::AutoSerialize>(&self, name: &str, shape: &[u64], values: &[T]) -> &Self {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        self.write(name, &bytes)
    }

    fn picture(&self, name: &str) -> &Self {
        let picture = image::RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 200]));
        picture.save(self.path(name)).unwrap();
        self
    }

    /// A run of these records.
    fn run_of(&self, records: &[Record]) -> String {
        let run = self.path("offline-run-20250101_000000-r1");
        fs::create_dir_all(&run).unwrap();
        let log = [&[framed::run("r1")], records, &[framed::exit()]].concat();
        fs::write(run.join("run-r1.wandb"), Framed::of(&log).bytes).unwrap();
        run.to_str().unwrap().to_owned()
    }

    /// Writes a list of these files, each of which is `given`: where it is.
    fn list_of(&self, name: &str, paths: &[&str]) -> String {
        let mut list = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for path in paths {
            let file = self.path("given");
            let line = json!({"path": path, "digest": HELLO, "size": 6, "local_path": file});
            writeln!(list, "{line}").unwrap();
        }
        self.write(name, &list.finish().unwrap());
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs the command there, with no variable of W&B's set.
    fn command(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-image"));
        without_wandb(&mut command);
        command.current_dir(self.0.path()).args(args);
        command.envs(variables.iter().copied());
        Ran::from(command.output().unwrap())
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.command(args, &[])
    }

    /// Logs, and lists what the run holds.
    fn log(&self, args: &[&str]) -> Vec<Logged> {
        let ran = self.run(&[&["log"], args].concat());
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
        self.list(&ran.run_dir())
    }

    fn list(&self, run_dir: &Path) -> Vec<Logged> {
        let listed = self.run(&["ls", "--json", run_dir.to_str().unwrap()]);
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        let logged = |row: &Value| Logged {
            file: run_dir.join("files").join(row_text(row, "path")),
            row: row.clone(),
        };
        listed_rows(&listed).0.iter().map(logged).collect()
    }

    /// Nothing was logged: there is no run.
    fn has_no_run(&self) -> bool {
        !self.path("wandb").exists()
    }
}

/// The MD5 of `hello` and a line feed.
const HELLO: &str = "sZRqySSS0jR8YjW00mERhA==";

/// A record as whoever wrote it might have it.
fn artifact(name: &str, digest: &str, manifest: ArtifactManifest) -> Record {
    framed::record(RecordType::Artifact(ArtifactRecord {
        name: name.into(),
        r#type: "dataset".into(),
        digest: digest.into(),
        manifest: Some(manifest),
        ..ArtifactRecord::default()
    }))
}

fn in_list(list: &str) -> ArtifactManifest {
    ArtifactManifest {
        manifest_file_path: list.into(),
        ..ArtifactManifest::default()
    }
}

/// A file of six bytes, which is given.
fn entry(path: &str, given: &Path) -> ArtifactManifestEntry {
    ArtifactManifestEntry {
        path: path.into(),
        digest: HELLO.into(),
        size: 6,
        local_path: given.to_str().unwrap().into(),
        ..ArtifactManifestEntry::default()
    }
}

fn in_record(contents: Vec<ArtifactManifestEntry>) -> ArtifactManifest {
    ArtifactManifest {
        contents,
        ..ArtifactManifest::default()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    fn run_dir(&self) -> PathBuf {
        PathBuf::from(self.stdout.lines().last().unwrap())
    }
}

/// A row of `ls --json`.
struct Logged {
    row: Value,
    file: PathBuf,
}

impl Logged {
    fn key(&self) -> String {
        row_text(&self.row, "key")
    }

    fn size(&self) -> (u64, u64) {
        let side = |name| self.row[name].as_u64().unwrap();
        (side("width"), side("height"))
    }

    fn pixels(&self) -> Vec<u8> {
        image::open(&self.file).unwrap().into_bytes()
    }
}

/// What `ls --json` lists: the media files, and the artifacts.
fn listed_rows(ran: &Ran) -> (Vec<Value>, Vec<Value>) {
    let listed: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let is_media = |row: &Value| row_text(row, "kind") != "artifact";
    listed.into_iter().partition(is_media)
}

fn row_text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap().into()
}

fn keys(logged: &[Logged]) -> Vec<String> {
    logged.iter().map(Logged::key).collect()
}

fn safetensors_of(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let data: Vec<_> = tensors.iter().map(|(_, _, values)| bytes(values)).collect();
    let views = tensors.iter().zip(&data).map(|(&(name, shape, _), data)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn check_rule(rule: &[&str], values: [f32; 4], expected: [u8; 4]) {
    let desk = Desk::new();
    desk.safetensors("t.safetensors", &[("x", &[2, 2], &values)]);
    let logged = desk.log(&[rule, &["t.safetensors"]].concat());
    assert_eq!(logged[0].pixels(), expected, "{rule:?}");
}

#[test]
fn every_rule_makes_its_pixels() {
    let values = [-1.0, 0.0, 0.5, 1.0];
    check_rule(&[], values, [0, 127, 191, 255]);
    check_rule(
        &["--normalize", "min-max"],
        [-1.0, 0.0, 1.0, 4.0],
        [0, 51, 102, 255],
    );
    check_rule(&["--normalize", "range:-1,3"], values, [0, 63, 95, 127]);
    check_rule(&["--normalize", "unit"], values, [0, 0, 127, 255]);
    check_rule(&["--normalize", "signed"], values, [0, 127, 191, 255]);
    check_rule(
        &["--normalize", "mean-std:0.5/0.25"],
        values,
        [63, 127, 159, 191],
    );
    check_rule(
        &["--normalize", "guess"],
        [0.0, 0.25, 0.5, 1.0],
        [0, 63, 127, 255],
    );
    check_rule(
        &["--normalize", "guess"],
        [0.0, 2.0, 100.0, 300.0],
        [0, 2, 100, 255],
    );
    check_rule(
        &["--normalize", "to-uint8"],
        [0.0, 0.5, 1.0, 1.0],
        [0, 127, 255, 255],
    );
    check_rule(
        &["--normalize", "off"],
        [-5.0, 0.0, 200.5, 300.0],
        [0, 0, 200, 255],
    );
}

#[test]
fn an_array_is_treated_as_numpys_and_a_tensor_as_torchs() {
    let desk = Desk::new();
    let values = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
    desk.npy("array.npy", &[1, 2, 3], &values);
    let logged = desk.log(&["array.npy"]);
    assert_eq!(logged[0].size(), (2, 1));
    assert_eq!(logged[0].pixels(), [10, 20, 30, 40, 50, 60]);

    let as_tensor = ["--layout", "chw", "--normalize", "min-max", "array.npy"];
    let logged = desk.log(&as_tensor);
    assert_eq!(logged[0].size(), (3, 2));
    assert_eq!(logged[0].pixels(), [0, 51, 102, 153, 204, 255]);

    desk.safetensors(
        "t.safetensors",
        &[("x", &[1, 2, 3], &[10., 20., 30., 40., 50., 60.])],
    );
    let logged = desk.log(&["t.safetensors"]);
    assert_eq!(logged[0].size(), (3, 2));
    let logged = desk.log(&["--layout", "hwc", "t.safetensors"]);
    assert_eq!(logged[0].size(), (2, 1));
}

#[test]
fn a_batch_is_a_list_or_a_grid() {
    let desk = Desk::new();
    let values: Vec<f32> = (0..8).map(|i| i as f32).collect();
    desk.safetensors("t.safetensors", &[("x", &[2, 1, 2, 2], &values)]);
    for images in [&[][..], &["--images"]] {
        let logged = desk.log(&[images, &["t.safetensors"]].concat());
        assert_eq!(keys(&logged), ["x", "x"]);
        assert_eq!(logged[1].size(), (2, 2));
        assert_eq!(logged[1].pixels(), [0, 85, 170, 255]);
    }
    let logged = desk.log(&["--grid", "t.safetensors"]);
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].size(), (10, 6));
}

#[test]
fn keys_are_those_of_the_tensors_and_files() {
    let desk = Desk::new();
    let pixel: (&[usize], &[f32]) = (&[1, 1], &[1.0]);
    desk.safetensors(
        "t.safetensors",
        &[("out", pixel.0, pixel.1), ("in", pixel.0, pixel.1)],
    );
    desk.npy("field.v2.npy", &[1, 1], &[1_u8])
        .picture("cat.png");
    let files = ["t.safetensors", "field.v2.npy", "cat.png"];
    assert_eq!(keys(&desk.log(&files)), ["cat", "field.v2", "in", "out"]);

    let chosen = ["--tensor", "out", "t.safetensors"];
    assert_eq!(keys(&desk.log(&chosen)), ["out"]);

    let together = [&["--key", "val/all"][..], &files].concat();
    let logged = desk.log(&together);
    assert_eq!(keys(&logged), ["val/all"; 4]);
    assert!(
        logged[0].row["path"]
            .as_str()
            .unwrap()
            .starts_with("media/images/val/all_0_")
    );

    fs::create_dir(desk.path("other")).unwrap();
    desk.picture("other/cat.png");
    assert_eq!(
        keys(&desk.log(&["cat.png", "other/cat.png"])),
        ["cat", "cat"]
    );
}

#[test]
fn one_image_is_no_list_and_a_batch_of_one_is() {
    let kind = |shape: &[usize]| {
        let desk = Desk::new();
        desk.safetensors("t.safetensors", &[("x", shape, &[0.0, 1.0])]);
        let logged = desk.log(&["t.safetensors"]);
        // The size stands in the row of one image alone; a list leaves it to the file.
        let log = fs::read_dir(logged[0].file.ancestors().nth(4).unwrap()).unwrap();
        let log = log
            .map(|e| e.unwrap().path())
            .find(|p| p.extension().is_some_and(|e| e == "wandb"));
        let text = String::from_utf8_lossy(&fs::read(log.unwrap()).unwrap()).into_owned();
        text.contains("images/separated")
    };
    assert!(!kind(&[1, 2]));
    assert!(!kind(&[1, 1, 2]));
    assert!(kind(&[1, 1, 1, 2]));
}

#[test]
fn what_is_asked_of_the_picture_is_done() {
    let desk = Desk::new();
    desk.safetensors("t.safetensors", &[("x", &[2, 2], &[0.0, 1.0, 2.0, 3.0])]);
    let format = |args: &[&str]| {
        let logged = desk.log(&[args, &["t.safetensors"]].concat());
        let color = image::open(&logged[0].file).unwrap().color();
        (row_text(&logged[0].row, "format"), color)
    };
    assert_eq!(format(&[]), ("png".into(), image::ColorType::L8));
    assert_eq!(
        format(&["--mode", "RGBA"]),
        ("png".into(), image::ColorType::Rgba8)
    );
    assert_eq!(
        format(&["--mode", "LA"]),
        ("png".into(), image::ColorType::La8)
    );
    assert_eq!(format(&["--file-type", "jpg", "--quality", "40"]).0, "jpg");
    assert_eq!(
        format(&["--file-type", "bmp", "--mode", "RGB"]),
        ("bmp".into(), image::ColorType::Rgb8)
    );

    let step = ["--step", "41", "--caption", "two by two", "t.safetensors"];
    let row = &desk.log(&step)[0].row;
    assert_eq!(
        (&row["step"], &row["caption"]),
        (&json!(41), &json!("two by two"))
    );
}

#[test]
fn integers_keep_16_bits_when_asked() {
    let desk = Desk::new();
    let tensors = format!("{GOLDEN}/tensors.safetensors");
    let args = ["--mode", "I;16", "--tensor", "batch", "--grid", &tensors];
    let read = image::open(&desk.log(&args)[0].file).unwrap();
    assert_eq!(read.color(), image::ColorType::L16);
    let greatest = read.to_luma16().pixels().map(|pixel| pixel[0]).max();
    assert_eq!(greatest, Some(11), "the values are as they were");
}

#[test]
fn the_quality_of_a_jpeg_is_heeded() {
    let desk = Desk::new();
    let noise: Vec<f32> = (0..64 * 64).map(|i| (i * 7919 % 256) as f32).collect();
    desk.safetensors("t.safetensors", &[("x", &[64, 64], &noise)]);
    let size = |quality| {
        let args = ["--file-type", "jpg", "--quality", quality, "t.safetensors"];
        fs::metadata(&desk.log(&args)[0].file).unwrap().len()
    };
    assert!(size("10") < size("75") && size("75") < size("95"));
}

#[test]
fn a_picture_is_logged_as_it_is() {
    let desk = Desk::new();
    desk.picture("a.png")
        .picture("b.bmp")
        .picture("c.jpg")
        .picture("d.JPEG");
    let logged = desk.log(&["a.png", "b.bmp", "c.jpg", "d.JPEG"]);
    let same = |name: &str, logged: &Logged| {
        fs::read(desk.path(name)).unwrap() == fs::read(&logged.file).unwrap()
    };
    assert!(same("a.png", &logged[0]) && same("b.bmp", &logged[1]) && same("c.jpg", &logged[2]));
    assert_eq!(keys(&logged)[3], "d");

    let ran = desk.run(&["log", "--normalize", "unit", "a.png"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("note: a.png is a picture"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        row_text(&desk.log(&["--file-type", "bmp", "a.png"])[0].row, "format"),
        "bmp"
    );
}

#[test]
fn files_of_numpy_and_of_the_python_package_are_read() {
    let desk = Desk::new();
    let quarters: Vec<f64> = (0..18).map(|i| (f64::from(i) - 8.0) / 4.0).collect();
    let expected: Vec<u8> = quarters.iter().map(|x| ((x + 2.0) * 60.0) as u8).collect();
    let npy = format!("{GOLDEN}/fortran_big_endian.npy");
    let logged = desk.log(&["--normalize", "range:-2,2.25", &npy]);
    assert_eq!(
        (keys(&logged), logged[0].size()),
        (vec!["fortran_big_endian".into()], (3, 2))
    );
    assert_eq!(logged[0].pixels(), expected);

    let tensors = format!("{GOLDEN}/tensors.safetensors");
    let logged = desk.log(&[
        "--normalize",
        "range:-2,2.25",
        "--tensor",
        "image",
        &tensors,
    ]);
    assert_eq!(logged[0].size(), (3, 2));
    let half = |x: f64| half::f16::from_f64(x);
    let in_half = |&x: &f64| {
        let span = half(half(half(2.25).to_f64() - half(-2.0).to_f64()).to_f64());
        let part = half(half(x + 2.0).to_f64() / span.to_f64());
        half(part.to_f64() * 255.0).to_f64() as u8
    };
    assert_eq!(
        logged[0].pixels(),
        quarters.iter().map(in_half).collect::<Vec<_>>()
    );

    let logged = desk.log(&[&tensors]);
    assert_eq!(keys(&logged), ["batch", "batch", "image", "mask"]);
    assert_eq!(logged[1].pixels(), [0, 51, 102, 153, 204, 255]);
    assert_eq!(logged[3].pixels(), [255, 0, 0, 255]);
}

#[test]
fn the_directory_is_the_last_line_and_the_rest_is_on_stderr() {
    let desk = Desk::new();
    desk.picture("a.png");
    fs::create_dir(desk.path("runs")).unwrap();
    let ran = desk.run(&["log", "--dir", "runs", "--project", "digits", "a.png"]);
    assert_eq!(ran.stdout.lines().count(), 1);
    let run_dir = ran.run_dir();
    assert!(run_dir.is_absolute() && run_dir.join("files/media/images").is_dir());
    let wandb = fs::canonicalize(desk.path("runs/wandb")).unwrap();
    assert_eq!(fs::canonicalize(run_dir.parent().unwrap()).unwrap(), wandb);
    assert!(ran.stderr.contains("wandb sync"), "{}", ran.stderr);

    let silent = desk.command(&["log", "a.png"], &[("WANDB_SILENT", "true")]);
    assert_eq!((silent.code, &*silent.stderr), (Some(0), ""));
    let disabled = desk.command(&["log", "a.png"], &[("WANDB_MODE", "disabled")]);
    assert_eq!((disabled.code, &*disabled.stdout), (Some(0), ""));
    assert!(
        disabled.stderr.contains("nothing was written"),
        "{}",
        disabled.stderr
    );
}

fn check_usage(args: &[&str], expected: &str) {
    let desk = Desk::new();
    desk.picture("a.png");
    let ran = desk.run(args);
    assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{args:?}");
    assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
    assert!(desk.has_no_run());
}

#[test]
fn a_wrong_call_ends_with_2_and_says_what_is_allowed() {
    check_usage(&["log"], "<FILE>");
    check_usage(
        &["log", "--normalize", "minmax", "a.png"],
        "the rules are min-max, range:LOW,HIGH",
    );
    check_usage(
        &["log", "--normalize", "range:1,0", "a.png"],
        "LOW must be less than HIGH",
    );
    check_usage(
        &["log", "--layout", "nchw", "a.png"],
        "[possible values: chw, hwc]",
    );
    check_usage(
        &["log", "--mode", "CMYK", "a.png"],
        "[possible values: L, LA, RGB, RGBA, I;16]",
    );
    check_usage(
        &["log", "--file-type", "gif", "a.png"],
        "[possible values: png, jpg, bmp]",
    );
    check_usage(
        &["log", "--file-type", "jpg", "--quality", "0", "a.png"],
        "1..=100",
    );
    check_usage(
        &["log", "--file-type", "jpg", "--quality", "101", "a.png"],
        "1..=100",
    );
    check_usage(&["log", "--quality", "50", "a.png"], "--file-type");
    check_usage(
        &["log", "--file-type", "png", "--quality", "5", "a.png"],
        "needs --file-type jpg",
    );
    check_usage(
        &["log", "--grid", "--images", "a.png"],
        "cannot be used with",
    );
    check_usage(&["log", "--tensor", "x", "a.png"], "none is given");
    check_usage(&["log", "--step", "-1", "a.png"], "--step");
    check_usage(&["log", "--step", "9223372036854775808", "a.png"], "--step");
    check_usage(&["ls"], "<RUN>");
    check_usage(&["verify"], "<RUN>");
    check_usage(&["repair", "a"], "--out <DIR>");
    check_usage(&["mend", "a"], "unrecognized subcommand");
    check_usage(&[], "Usage: wandb-image");
}

fn check_error(desk: &Desk, args: &[&str], expected: &[&str]) {
    let ran = desk.run(&[&["log"], args].concat());
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(1), ""),
        "{args:?}: {}",
        ran.stderr
    );
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    for expected in expected {
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
    }
    assert!(desk.has_no_run(), "{args:?}");
}

#[test]
fn what_cannot_be_logged_is_an_error_and_leaves_no_run() {
    let desk = Desk::new();
    desk.picture("a.png")
        .write("notes.txt", b"x")
        .write("_own.npy", b"");
    desk.npy("_own.npy", &[1, 1], &[1_u8])
        .npy("vector.npy", &[3], &[1_u8, 2, 3]);
    desk.npy("empty.npy", &[0, 2], &[0_u8; 0])
        .npy("flat.npy", &[2, 2, 5], &[0_u8; 20]);
    let x: (&str, &[usize], &[f32]) = ("x", &[5, 4, 3], &[0.0; 60]);
    desk.safetensors("hwc.safetensors", &[x]);
    check_error(&desk, &["a.png", "none.png"], &["could not read none.png"]);
    check_error(&desk, &["a.png", "none.npy"], &["could not read none.npy"]);
    check_error(
        &desk,
        &["none.safetensors"],
        &["could not read none.safetensors"],
    );
    check_error(
        &desk,
        &["notes.txt"],
        &["notes.txt is of an unknown kind", ".safetensors, .npy"],
    );
    let grey = image::GrayAlphaImage::from_raw(1, 1, vec![1, 2]).unwrap();
    grey.save(desk.path("la.png")).unwrap();
    for file_type in ["jpg", "bmp"] {
        check_error(
            &desk,
            &["--file-type", file_type, "la.png"],
            &["mode LA", file_type],
        );
    }
    check_error(&desk, &["vector.npy"], &["vector.npy: ", "has rank 1"]);
    check_error(&desk, &["empty.npy"], &["empty.npy: ", "is empty"]);
    check_error(&desk, &["flat.npy"], &["flat.npy: ", "has 5 channels"]);
    check_error(
        &desk,
        &["a.png", "hwc.safetensors"],
        &[
            "the tensor \"x\" of hwc.safetensors",
            "help: --layout chw or --layout hwc",
        ],
    );
    check_error(
        &desk,
        &["--tensor", "y", "hwc.safetensors"],
        &["no tensor \"y\"; it holds \"x\""],
    );
    check_error(
        &desk,
        &[
            "--layout",
            "hwc",
            "--normalize",
            "mean-std:1,2/1",
            "hwc.safetensors",
        ],
        &["mean"],
    );
    check_error(&desk, &["_own.npy"], &["the key \"_own\"", "help: --key"]);
    check_error(&desk, &["--key", "../up", "a.png"], &["the key \"../up\""]);
    check_error(
        &desk,
        &["--key", "", "a.png"],
        &["the key \"\"", "must not be empty"],
    );
    check_error(
        &desk,
        &["--project", "a/b", "a.png"],
        &["the project is \"a/b\""],
    );
    check_error(&desk, &["--dir", "notes.txt", "a.png"], &["notes.txt"]);
    let online = desk.command(&["log", "a.png"], &[("WANDB_MODE", "online")]);
    assert_eq!(online.code, Some(1));
    assert!(
        online.stderr.contains("feature `online`"),
        "{}",
        online.stderr
    );
}

fn check_damaged(name: &str, bytes: &[u8]) {
    let desk = Desk::new();
    desk.picture("whole.png").write(name, bytes);
    let ran = desk.run(&["log", "whole.png", name]);
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(1), ""),
        "{name}: {}",
        ran.stderr
    );
    let told = ran.stderr.strip_prefix("error: ").unwrap();
    assert!(told.contains(name) && !told.contains("panicked"), "{told}");
    assert!(desk.has_no_run());
}

#[test]
fn a_damaged_file_is_an_error_wherever_it_is_cut() {
    let desk = Desk::new();
    desk.npy("a.npy", &[2, 2], &[1.0_f32, 2.0, 3.0, 4.0])
        .picture("a.png");
    let npy = fs::read(desk.path("a.npy")).unwrap();
    let tensors = safetensors_of(&[("x", &[2, 2], &[0.0; 4])]);
    for (name, whole) in [("a.npy", npy), ("a.safetensors", tensors)] {
        for len in [0, 1, 7, 8, 9, 11, 20, whole.len() / 2, whole.len() - 1] {
            check_damaged(name, &whole[..len]);
        }
        check_damaged(name, &[&whole[..], b"more"].concat());
        check_damaged(name, &[0xFF; 64]);
    }
    let png = fs::read(desk.path("a.png")).unwrap();
    check_damaged("a.png", &png[..png.len() / 2]);
    check_damaged("a.png", b"not a picture");
    check_damaged("a.npy", &png);
}

#[test]
fn a_header_that_lies_is_an_error() {
    let header = |shape: &str| {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let len = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &[0; 32]].concat()
    };
    for shape in [
        "(1000000, 1000000)",
        "(4294967296, 4294967296, 4)",
        "(99999999999999999999,)",
    ] {
        check_damaged("a.npy", &header(shape));
    }
    check_damaged("a.npy", &header(&"(".repeat(30_000)));
    let lie = |info: &str| {
        let header = format!("{{\"x\":{{\"dtype\":\"F32\",{info}}}}}");
        [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            &[0; 16],
        ]
        .concat()
    };
    check_damaged(
        "a.safetensors",
        &lie(r#""shape":[2,2],"data_offsets":[0,400]"#),
    );
    check_damaged(
        "a.safetensors",
        &lie(r#""shape":[9,9],"data_offsets":[0,16]"#),
    );
    check_damaged(
        "a.safetensors",
        &lie(r#""shape":[2,2],"data_offsets":[16,0]"#),
    );
    let huge = r#""shape":[18446744073709551615,18446744073709551615],"data_offsets":[0,16]"#;
    check_damaged("a.safetensors", &lie(huge));
}

#[test]
fn ls_tells_a_person_and_a_program_what_there_is() {
    let desk = Desk::new();
    desk.safetensors(
        "t.safetensors",
        &[("x", &[2, 1, 1, 2], &[0.0, 1.0, 2.0, 3.0])],
    );
    desk.picture("cat.png");
    let files = [
        "log",
        "--caption",
        "a\nb",
        "--step",
        "7",
        "t.safetensors",
        "cat.png",
    ];
    let run_dir = desk.run(&files).run_dir();
    let logged = desk.list(&run_dir);
    let path = row_text(&logged[0].row, "path");
    let expected = json!({
        "kind": "image-file", "key": "cat", "step": 7, "path": path, "caption": "a\nb",
        "size": fs::metadata(&logged[0].file).unwrap().len(),
        "width": 3, "height": 2, "format": "png", "present": true,
    });
    assert_eq!(logged[0].row, expected);
    let size = fs::metadata(&logged[1].file).unwrap().len();
    assert_eq!(logged[1].row["kind"], "images/separated");
    assert_eq!(
        (keys(&logged)[2].as_str(), &logged[1].row["size"]),
        ("x", &json!(size))
    );

    let run = run_dir.to_str().unwrap();
    let table = desk.run(&["ls", run]).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("KEY  STEP  PATH"), "{table}");
    assert!(
        lines[1].starts_with(&format!("cat     7  {path}")),
        "{table}"
    );
    assert!(lines[1].ends_with("  a\\nb"), "{table}");

    let log = fs::read_dir(&run_dir).unwrap().map(|e| e.unwrap().path());
    let log = log
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "wandb"))
        .unwrap();
    assert_eq!(desk.run(&["ls", log.to_str().unwrap()]).stdout, table);

    fs::remove_file(&logged[0].file).unwrap();
    assert_eq!(desk.list(&run_dir)[0].row["present"], json!(false));
    assert!(desk.run(&["ls", run]).stdout.contains("(missing)"));
    torn(&desk, &run_dir, &log);
}

/// The log ends in the middle of a record: what was whole is listed, and the damage told.
fn torn(desk: &Desk, run_dir: &Path, log: &Path) {
    let whole = fs::read(log).unwrap();
    fs::write(log, &whole[..whole.len() - 3]).unwrap();
    let ran = desk.run(&["ls", "--json", run_dir.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is damaged at byte "), "{}", ran.stderr);
    assert_eq!(listed_rows(&ran).0.len(), 3);
    let ran = desk.run(&["ls", run_dir.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 4));
}

#[test]
fn ls_of_a_run_without_media_is_empty() {
    let desk = Desk::new();
    let run = wandb_image::init()
        .dir(desk.0.path())
        .run_id("empty")
        .start()
        .unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.finish().unwrap();
    let run_dir = run.dir().unwrap().to_str().unwrap();
    let ran = desk.run(&["ls", run_dir]);
    assert_eq!(
        (ran.code, &*ran.stdout, &*ran.stderr),
        (Some(0), "", "no media\n")
    );
    let ran = desk.run(&["ls", "--json", run_dir]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "no media\n"));
    assert_eq!(ran.stdout, "[]\n");
}

/// A run with an artifact and a table.
fn run_with_artifacts(desk: &Desk) -> String {
    let given = desk.path("notes.txt");
    fs::write(&given, "hello").unwrap();
    let run = wandb_image::init().dir(desk.0.path()).run_id("arts");
    let run = run.start().unwrap();
    let data = Artifact::new("data", "dataset").unwrap();
    let mut data = data.alias("best").unwrap().tag("small").unwrap();
    data.add_file(&given).unwrap();
    data.add_reference("s3://bucket/key.png").unwrap();
    run.log_artifact(data).unwrap();
    ended_with_table(&run)
}

/// Ends a run with a table: its directory.
fn ended_with_table(run: &Run) -> String {
    // Else the table may come first.
    run.flush(std::time::Duration::from_secs(60)).unwrap();
    let mut table = Table::new(["n"]).unwrap();
    table.add_row((1,)).unwrap();
    run.log(Row::new().with("predictions", table)).unwrap();
    run.finish().unwrap();
    run.dir().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn ls_lists_tables_and_artifacts() {
    let desk = Desk::new();
    let run = run_with_artifacts(&desk);
    let shown = desk.run(&["ls", &run]).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 6, "{shown}");
    assert!(lines[1].starts_with("predictions     0  media/table/predictions_0_"));
    assert_eq!(lines[2], "");
    let words = |line: &str| {
        line.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let headings = "ARTIFACT VERSION TYPE FILES REFERENCES BYTES ALIASES";
    assert_eq!(words(lines[3]).join(" "), headings);
    assert_eq!(
        words(lines[4]).join(" "),
        "data v0 dataset 1 1 5 latest, best"
    );
    assert!(
        words(lines[5])
            .join(" ")
            .starts_with("run-arts-predictions v0 run_table 1 0 ")
    );

    let listed = desk.run(&["ls", "--json", &run]);
    let (media, artifacts) = listed_rows(&listed);
    let [data, table] = &artifacts[..] else {
        panic!("{}", listed.stdout)
    };
    let expected = json!({
        "kind": "artifact", "name": "data", "type": "dataset", "version": 0,
        "digest": data["digest"],
        "aliases": ["latest", "best"], "tags": ["small"],
        "files": 1, "size": 5, "references": 1, "missing": 0,
    });
    assert_eq!(*data, expected);
    assert_eq!(row_text(data, "digest").len(), 32);
    assert_eq!(table["type"], "run_table");
    assert_eq!(media[0]["key"], "predictions");
    assert_eq!(media[0]["kind"], "table-file");

    fs::remove_dir_all(Path::new(&run).join("artifacts")).unwrap();
    let listed = desk.run(&["ls", "--json", &run]);
    assert_eq!(listed_rows(&listed).1[0]["missing"], 1);
    assert!(desk.run(&["ls", &run]).stdout.contains("1 (1 missing)"));
}

/// A folder has the place of a file, which nobody can read.
#[test]
fn what_can_not_be_read_of_an_artifact_is_told_by_verify_and_repair() {
    let desk = Desk::new();
    let run = run_with_artifacts(&desk);
    let log = wandb_image::sink::logged::find_log(&run).unwrap();
    let mut file = Path::new(&run).join("artifacts");
    for part in ["5d", "5d41402abc4b2a76b9719d911017c592"] {
        file.push(part);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let ran = desk.run(&["verify", log.to_str().unwrap()]);
    let expected = "which can't be read: `wandb sync` will not upload the artifact";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    assert!(!ran.stdout.contains("written to"), "{}", ran.stdout);
    let ran = desk.run(&["verify", "--json", &run]);
    assert!(
        ran.stdout.contains("\"artifact-unreadable\""),
        "{}",
        ran.stdout
    );
    let ran = desk.run(&["repair", &run, "-o", "clean"]);
    let expected = "is no file, but a folder or a device) can't be read\n";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    let expected = ", 1 artifact (1 left out); 1 thing missing\n";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
}

/// Two versions of an artifact of a picture with a mask, a file and a reference.
fn run_with_versions(desk: &Desk) -> String {
    let run = wandb_image::init().dir(desk.0.path()).run_id("arts");
    let run = run.start().unwrap();
    for (n, alias) in ["best", "worse"].into_iter().enumerate() {
        let n = n as u8;
        let mask = ImageMask::new(3, 2, vec![n, 1, 2, 3, 4, n]).unwrap();
        let picture = Pixels::new(3, 2, Mode::L, vec![n; 6]).unwrap();
        let classes = Classes::new((0..5).map(|id| (id, format!("class {id}")))).unwrap();
        let image = Image::from(picture).classes(classes).masks("truth", mask);
        let given = desk.path("notes.txt");
        fs::write(&given, format!("version {n}")).unwrap();
        let mut data = Artifact::new("data", "dataset").unwrap();
        data = data.alias(alias).unwrap();
        data.add(image.unwrap(), &format!("image {n}")).unwrap();
        data.add_mutable_file(&given, "notes.txt").unwrap();
        data.add_reference("s3://bucket/key.png").unwrap();
        run.log_artifact(data).unwrap();
    }
    ended_with_table(&run)
}

#[test]
fn extract_lays_out_an_artifact_as_a_download_would() {
    let desk = Desk::new();
    let run = run_with_versions(&desk);
    for (asked, n) in [
        ("data", 1),
        ("data:latest", 1),
        ("data:v0", 0),
        ("data:best", 0),
        ("data:worse", 1),
    ] {
        let out = format!("out {}", asked.replace(':', "-"));
        let ran = desk.run(&["extract", &run, asked, "-o", &out]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stdout, format!("{}\n", desk.path(&out).display()));
        assert!(
            ran.stderr
                .starts_with(&format!("data:v{n} (dataset): 5 files, ")),
            "{}",
            ran.stderr
        );
        let expected = "; left out: 1 reference, whose files are elsewhere\n";
        assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
        let open = Artifact::open(desk.path(&out)).unwrap();
        let image = open.get(&format!("image {n}")).unwrap();
        let ids = image.mask_layers()["truth"].ids().unwrap();
        assert_eq!(ids.as_bytes(), [n, 1, 2, 3, 4, n]);
        assert_eq!(image.class_set().unwrap().get(4), Some("class 4"));
        let notes = fs::read_to_string(open.path("notes.txt").unwrap()).unwrap();
        assert_eq!(notes, format!("version {n}"));
        assert_eq!(open.files().unwrap().len(), 5);
        // The run stays as it is for `wandb sync`, whatever is done with its files.
        fs::write(open.path("notes.txt").unwrap(), "mine").unwrap();
    }
    assert_eq!(desk.run(&["verify", &run]).code, Some(0));
    let ran = desk.run(&["extract", &run, "run-arts-predictions", "-o", "a/../table"]);
    let lines = (ran.code, &*ran.stdout);
    assert_eq!(
        lines,
        (Some(0), &*format!("{}\n", desk.path("table").display()))
    );
    let table = Artifact::open(desk.path("table")).unwrap();
    assert_eq!(table.table("predictions").unwrap().columns(), ["n"]);
}

/// An alias is that of the last version that has it.
#[test]
fn ls_numbers_versions_as_extract_takes_them() {
    let desk = Desk::new();
    let run = run_with_versions(&desk);
    let shown = desk.run(&["ls", &run]).stdout;
    let words = |line: &str| {
        line.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let data = shown.lines().filter(|line| line.starts_with("data "));
    let data: Vec<_> = data.map(words).collect();
    let shown = |at: usize| (&*data[at][1], data[at][6..].join(" "));
    assert_eq!(shown(0), ("v0", "best".into()));
    assert_eq!(shown(1), ("v1", "latest, worse".into()));
    let stored = desk.run(&["ls", "--json", &run]);
    let (_, artifacts) = listed_rows(&stored);
    let versions: Vec<_> = artifacts
        .iter()
        .map(|one| one["version"].as_u64())
        .collect();
    assert_eq!(versions, [Some(0), Some(1), Some(0)]);
    assert_eq!(artifacts[0]["aliases"], json!(["latest", "best"]));
}

#[test]
fn extract_says_what_there_is_and_overwrites_nothing() {
    let desk = Desk::new();
    let run = run_with_versions(&desk);
    let refused = |artifact: &str, out: &str, expected: &str| {
        let ran = desk.run(&["extract", &run, artifact, "-o", out]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    };
    let expected = "holds no artifact \"dat\": give one of data, run-arts-predictions\n";
    refused("dat", "out", expected);
    let expected = "the artifact \"data\" has no version and no alias \"v2\" in ";
    refused("data:v2", "out", expected);
    refused(
        "data:v2",
        "out",
        ": give one of best, latest, v0, v1, worse\n",
    );
    fs::create_dir(desk.path("full")).unwrap();
    desk.write("full/notes.txt", b"mine");
    refused(
        "data",
        "full",
        "the folder isn't empty, and nothing is overwritten",
    );
    refused(
        "data",
        "full/notes.txt",
        "it is a file, or lies below one: give a folder",
    );
    assert_eq!(fs::read(desk.path("full/notes.txt")).unwrap(), b"mine");

    let stored = desk.run(&["ls", "--files", "--json", &run]);
    let (_, artifacts) = listed_rows(&stored);
    let notes = artifacts[1]["contents"].as_array().unwrap();
    let notes = notes
        .iter()
        .find(|file| file["path"] == "notes.txt")
        .unwrap();
    assert_eq!(notes["size"], 9);
    let bytes = STANDARD.decode(row_text(notes, "digest")).unwrap();
    let hex = hex(&bytes);
    let place = Path::new(&run).join("artifacts").join(&hex[..2]).join(&hex);
    fs::write(&place, "version X").unwrap();
    refused("data", "out", "isn't what was logged (it has MD5 ");
    fs::remove_file(&place).unwrap();
    refused("data", "out", "isn't there; nothing was written\n");
    assert!(!desk.path("out").exists());
    fs::create_dir(desk.path("out")).unwrap();
    let ran = desk.run(&["extract", &run, "data:best", "-o", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// A log that somebody else wrote names what it likes.
#[test]
fn extract_writes_nothing_outside_of_its_folder() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    for (path, expected) in [
        ("../x", "the path of its file \"../x\" holds `..`; nothing"),
        (
            "/tmp/x",
            "the path of its file \"/tmp/x\" is absolute; nothing",
        ),
        ("a/../../x", "\"a/../../x\" holds `..`; nothing"),
        ("", "the path of its file \"\" is empty; nothing"),
    ] {
        let entries = ["first", path].map(|path| entry(path, &desk.path("given")));
        let run = desk.run_of(&[artifact("data", "", in_record(entries.into()))]);
        let ran = desk.run(&["extract", &run, "data", "-o", "out"]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert!(!desk.path("out").exists());
    }
    assert!(!desk.path("x").exists());
}

/// One puts its files into the folder, and those of it stay.
#[test]
fn of_extracts_into_one_folder_none_takes_the_files_of_another() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    let paths = ["a/b", "a/c", "d"];
    let entries = paths.map(|path| entry(path, &desk.path("given")));
    let run = desk.run_of(&[artifact("data", "", in_record(entries.into()))]);
    for round in 0..40 {
        let out = desk.path(&format!("out {round}"));
        if round % 2 == 1 {
            fs::create_dir(&out).unwrap();
        }
        let start = std::sync::Barrier::new(8);
        let laid_out = std::thread::scope(|scope| {
            let extract = || {
                start.wait();
                wandb_image::sink::extract::extract(&run, "data", &out).is_ok()
            };
            let extracts: Vec<_> = (0..8).map(|_| scope.spawn(extract)).collect();
            let laid_out = extracts.into_iter().map(|extract| extract.join().unwrap());
            laid_out.filter(|is_laid_out| *is_laid_out).count()
        });
        assert_eq!(laid_out, 1, "in round {round}");
        for path in paths {
            assert_eq!(fs::read(out.join(path)).unwrap(), b"hello\n");
        }
    }
}

/// A name is that of a file and of a folder.
#[test]
fn what_extract_began_is_taken_back() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    let entries = ["a/b/c", "d", "d/e"].map(|path| entry(path, &desk.path("given")));
    let run = desk.run_of(&[artifact("data", "", in_record(entries.into()))]);
    fs::create_dir(desk.path("there")).unwrap();
    for (out, is_there) in [("there", true), ("new", false)] {
        let ran = desk.run(&["extract", &run, "data", "-o", out]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
        assert!(ran.stderr.contains("could not write"), "{}", ran.stderr);
        let left = fs::read_dir(desk.path(out));
        assert_eq!(left.map(Iterator::count).ok(), is_there.then_some(0));
    }
}

/// As in the Python SDK's folder for what it is about to upload, where its name says nothing of it.
/// Some of a system never end.
#[cfg(target_os = "linux")]
#[test]
fn extract_reads_nothing_of_what_says_it_is_empty() {
    let desk = Desk::new();
    let mut empty = entry("empty", Path::new("/proc/version"));
    (empty.size, empty.digest) = (0, "1B2M2Y8AsgTpgAmY7PhCfg==".into());
    let run = desk.run_of(&[artifact("data", "", in_record(vec![empty]))]);
    let ran = desk.run(&["extract", &run, "data", "-o", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read(desk.path("out/empty")).unwrap(), b"");
    let shown = desk.run(&["ls", &run]).stdout;
    assert!(shown.starts_with("ARTIFACT  "), "{shown}");
}

#[test]
fn extract_refuses_a_list_of_another_version() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    let list = desk.list_of("list.gz", &["a", "b"]);
    let run = desk.run_of(&[artifact("data", &digest_of(&["a", "b"]), in_list(&list))]);
    let ran = desk.run(&["extract", &run, "data", "-o", "out"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    desk.list_of("list.gz", &["a", "c"]);
    let ran = desk.run(&["extract", &run, "data", "-o", "other"]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    let expected = "the artifact \"data\" can't be laid out: the list of its files, ";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert!(!desk.path("other").exists());
    let ran = desk.run(&["ls", "--files", &run]);
    let expected = "lies outside of the run and isn't what the artifact's digest was made of";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    assert!(!ran.stdout.contains(HELLO), "{}", ran.stdout);
    assert!(desk.run(&["verify", &run]).stdout.contains("the digest"));
}

/// The digest of an artifact of these files, each of which is `given`.
fn digest_of(paths: &[&str]) -> String {
    let lines: String = paths
        .iter()
        .map(|path| format!("{path}:{HELLO}\n"))
        .collect();
    hex(&Md5::digest(format!("wandb-artifact-manifest-v1\n{lines}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn ls_lists_the_files_of_artifacts_where_they_are_asked_for() {
    let desk = Desk::new();
    let run = run_with_artifacts(&desk);
    let shown = desk.run(&["ls", "--files", &run]).stdout;
    let lines: Vec<String> = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let at = lines
        .iter()
        .position(|line| line == "ARTIFACT FILE BYTES DIGEST");
    let files = &lines[at.unwrap() + 1..];
    assert_eq!(files[0], "data:v0 key.png ? s3://bucket/key.png");
    assert_eq!(files[1], "data:v0 notes.txt 5 XUFAKrxLKna5cZ2REBfFkg==");
    let table = "run-arts-predictions:v0 predictions.table.json ";
    assert!(files[2].starts_with(table), "{}", files[2]);
    assert_eq!(files.len(), 3);
}

/// As the record of an artifact of many files names them.
#[test]
fn the_files_of_a_list_are_listed_and_laid_out() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    let list = desk.list_of("list.gz", &["b/a", "c"]);
    let run = desk.run_of(&[artifact("data", &digest_of(&["b/a", "c"]), in_list(&list))]);
    assert!(desk.run(&["ls", &run]).stdout.contains(" ? "));
    let shown = desk.run(&["ls", "--files", &run]).stdout;
    let expected = "\ndata:v0   b/a       6  sZRqySSS0jR8YjW00mERhA==\ndata:v0   c         6  ";
    assert!(shown.contains(expected), "{shown}");
    let ran = desk.run(&["extract", &run, "data", "--out", "out"]);
    let expected = "data:v0 (dataset): 2 files, 12 bytes\n";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    assert_eq!(fs::read(desk.path("out/b/a")).unwrap(), b"hello\n");

    fs::remove_file(&list).unwrap();
    let ran = desk.run(&["extract", &run, "data", "--out", "none"]);
    assert!(
        ran.stderr.contains("the list of its files, "),
        "{}",
        ran.stderr
    );
}

/// As after `wandb sync`, which deletes the lists of the Python SDK.
#[test]
fn ls_lists_all_but_the_files_whose_list_is_gone() {
    let desk = Desk::new();
    desk.write("given", b"hello\n");
    let lists = ["gone.gz", "list.gz"].map(|name| desk.list_of(name, &["a"]));
    let own = in_record(vec![entry("b", &desk.path("given"))]);
    let item = |name: &str, value: &str| framed::item(&["cat", name], &format!("{value:?}"));
    let cat = [("_type", "image-file"), ("path", "media/images/cat.png")];
    let cat = cat.map(|(name, value)| item(name, value));
    let run = desk.run_of(&[
        framed::row(0, cat.into()),
        artifact("gone", &digest_of(&["a"]), in_list(&lists[0])),
        artifact("listed", &digest_of(&["a"]), in_list(&lists[1])),
        artifact("own", "", own),
    ]);
    fs::remove_file(&lists[0]).unwrap();
    let shown = desk.run(&["ls", "--files", &run]);
    let expected = "\
KEY  STEP  PATH                            BYTES  CAPTION
cat     0  media/images/cat.png (missing)      ?

ARTIFACT  VERSION  TYPE     FILES  REFERENCES  BYTES  ALIASES
gone      v0       dataset      ?           ?      ?
listed    v0       dataset      1           0      6
own       v0       dataset      1           0      6

ARTIFACT   FILE  BYTES  DIGEST
listed:v0  a         6  sZRqySSS0jR8YjW00mERhA==
own:v0     b         6  sZRqySSS0jR8YjW00mERhA==
";
    assert_eq!((&*shown.stdout, shown.code), (expected, Some(1)));
    let expected = format!(
        "error: the files of the artifact \"gone\" aren't \
         known: the list of its files, {}, isn't there\n",
        lists[0]
    );
    assert_eq!(shown.stderr, expected);

    let shown = desk.run(&["ls", "--files", "--json", &run]);
    let (media, artifacts) = listed_rows(&shown);
    assert_eq!(shown.code, Some(1));
    assert_eq!((media.len(), artifacts.len()), (1, 3));
    assert_eq!(artifacts[0].get("contents"), None);
    assert_eq!(artifacts[1]["contents"][0]["path"], "a");
}

fn check_no_run(run: &str, expected: &str) {
    let desk = Desk::new();
    fs::create_dir(desk.path("folder")).unwrap();
    desk.write("text.wandb", b"no log");
    let ran = desk.run(&["ls", run]);
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    assert!(
        ran.stderr.starts_with("error: ") && ran.stderr.contains(expected),
        "{}",
        ran.stderr
    );
}

#[test]
fn ls_of_what_is_no_run_says_so() {
    check_no_run("none", "could not find the log of the run none");
    check_no_run("folder", "holds no .wandb file");
    check_no_run("text.wandb", "text.wandb is damaged at byte 0");
}

/// A desk with a run of two pictures, and the run's directory there.
fn desk_with_run() -> (Desk, String) {
    let desk = Desk::new();
    desk.picture("cat.png").picture("dog.png");
    let run_dir = desk.run(&["log", "cat.png", "dog.png"]).run_dir();
    let run_dir = run_dir.to_str().unwrap().to_owned();
    (desk, run_dir)
}

#[test]
fn verify_names_faults_and_its_exit_code_tells() {
    let (desk, run) = desk_with_run();
    let ran = desk.run(&["verify", &run]);
    let sound = format!("{run}: sound, 1 row (step 0), 2 media files\n");
    assert_eq!(
        (ran.code, &*ran.stdout, &*ran.stderr),
        (Some(0), &*sound, "")
    );

    let lost = &desk.list(Path::new(&run))[1];
    fs::remove_file(&lost.file).unwrap();
    let ran = desk.run(&["verify", &run]);
    let path = row_text(&lost.row, "path");
    let heading = format!("{run}: 1 fault, 1 row (step 0), 1 media file\n");
    let fault = format!("  fault: step 0, \"dog\", {path}, record ");
    assert!(
        ran.stdout.starts_with(&(heading + &fault)),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains(": the media file is not there: "),
        "{}",
        ran.stdout
    );
    assert_eq!(
        (ran.code, &*ran.stderr),
        (Some(1), "error: the run is not sound\n")
    );

    let ran = desk.run(&["verify", "--json", &run]);
    let reports: Value = serde_json::from_str(&ran.stdout).unwrap();
    let fault = &reports[0]["faults"][0];
    assert_eq!(
        (ran.code, &fault["kind"]),
        (Some(1), &json!("missing-file"))
    );
    assert_eq!((&fault["key"], &fault["step"]), (&json!("dog"), &json!(0)));
    assert_eq!(
        (&reports[0]["rows"], &fault["path"]),
        (&json!(1), &json!(path))
    );
}

#[test]
fn verify_goes_through_all_runs() {
    let (desk, run) = desk_with_run();
    let ran = desk.run(&["verify", "none", &run, &run]);
    let expected = "error: could not find the log of the run none: ";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    assert!(
        ran.stderr.ends_with("error: 1 of 3 runs are not sound\n"),
        "{}",
        ran.stderr
    );
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(1), 2));
}

#[test]
fn repair_writes_a_clean_run_and_says_what_is_missing() {
    let (desk, run) = desk_with_run();
    let lost = &desk.list(Path::new(&run))[1];
    fs::remove_file(&lost.file).unwrap();
    let ran = desk.run(&["repair", &run, "-o", "clean"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let name = Path::new(&run).file_name().unwrap();
    assert_eq!(
        ran.stdout,
        format!("{}\n", desk.path("clean").join(name).display())
    );
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert!(
        lines[0].starts_with("missing: step 0, \"dog\", "),
        "{}",
        ran.stderr
    );
    assert!(lines[1].starts_with("kept: 1 row, "), "{}", ran.stderr);
    assert!(
        lines[1].ends_with(" 1 file; 1 thing missing"),
        "{}",
        ran.stderr
    );
    assert_eq!(desk.run(&["verify", ran.stdout.trim_end()]).code, Some(0));
    let clean = desk.list(&desk.path(ran.stdout.trim_end()));
    assert_eq!(keys(&clean), ["cat"]);

    let next = format!("next: `wandb sync {}`", ran.stdout.trim_end());
    assert!(lines[2].starts_with(&next), "{}", ran.stderr);
    assert_eq!(lines.len(), 3, "{}", ran.stderr);

    let mut mark = wandb_image::sink::logged::find_log(Path::new(&run))
        .unwrap()
        .into_os_string();
    mark.push(".syncstate");
    fs::write(mark, "").unwrap();
    let ran = desk.run(&["repair", &run, "-o", "clean after a sync"]);
    let expected = "\nwarning: a sync of the damaged run began, and has uploaded rows of it: \
                    delete the run on the server before the clean one is synced";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);

    let again = desk.run(&["repair", &run, "-o", "clean"]);
    assert_eq!((again.code, &*again.stdout), (Some(1), ""));
    let expected = "exists already, and nothing is overwritten: choose another --out\n";
    assert!(again.stderr.ends_with(expected), "{}", again.stderr);
}

#[test]
fn a_run_can_be_verified_from_within() {
    let (desk, run) = desk_with_run();
    let log = fs::read_dir(&run).unwrap().map(|e| e.unwrap().path());
    let log = log.filter(|path| path.extension().is_some_and(|ext| ext == "wandb"));
    let log = log.last().unwrap();
    let here = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-image"));
        Ran::from(command.current_dir(&run).args(args).output().unwrap())
    };
    let log = log.file_name().unwrap().to_str().unwrap();
    let ran = here(&["verify", log, "."]);
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (Some(0), 2),
        "{}",
        ran.stdout
    );
    let out = desk.path("clean");
    let ran = here(&["repair", log, "-o", out.to_str().unwrap()]);
    let name = Path::new(&run).file_name().unwrap();
    assert_eq!(
        Path::new(ran.stdout.trim_end()),
        out.join(name),
        "{}",
        ran.stderr
    );
}

#[test]
fn repair_of_a_sound_run_says_that_there_was_nothing_to_do() {
    let (desk, run) = desk_with_run();
    fs::create_dir(desk.path("a")).unwrap();
    let ran = desk.run(&["repair", &run, "-o", "a/../clean"]);
    let name = Path::new(&run).file_name().unwrap();
    let clean = desk.path("clean").join(name);
    assert_eq!(
        ran.stdout,
        format!("{}\n", clean.display()),
        "{}",
        ran.stderr
    );
    let expected = format!(
        "nothing to repair: the copy has all 1 row, 7 records, 2 files\n\
         next: `wandb sync {}`, or resume it, and not the run that it was made of too, since both \
         have the same run id\n",
        clean.display()
    );
    assert_eq!(ran.stderr, expected);
}

#[cfg(unix)]
#[test]
fn repair_of_a_run_that_is_being_written_says_so() {
    let desk = Desk::new();
    let run = wandb_image::init().dir(desk.path("")).start().unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.flush(std::time::Duration::from_secs(60)).unwrap();
    let dir = run.dir().unwrap().display().to_string();
    let warnings = |out: &str| {
        let ran = desk.run(&["repair", &dir, "-o", out]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
            .matches("warning: the run is being written")
            .count()
    };
    assert_eq!(warnings("live"), 1);
    run.finish().unwrap();
    assert_eq!(warnings("ended"), 0);
}

#[test]
fn repair_of_what_holds_nothing_says_so() {
    let desk = Desk::new();
    fs::create_dir(desk.path("folder")).unwrap();
    desk.write("run-a.wandb", b":W&B\xE1\xBE\x00");
    for (run, expected) in [
        (
            "folder",
            "error: folder can't be repaired: it has no .wandb file: give the directory",
        ),
        (
            "run-a.wandb",
            "error: run-a.wandb can't be repaired: its log holds no record",
        ),
        ("none", "error: could not find the log of the run none"),
    ] {
        let ran = desk.run(&["repair", run, "-o", "clean"]);
        assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
        assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
        assert!(!desk.path("clean").exists());
    }
    let ran = desk.run(&["verify", "none"]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1));
}

fn check_help(args: &[&str], expected: &[&str]) {
    let ran = Desk::new().run(args);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    for expected in expected {
        assert!(ran.stdout.contains(expected), "{expected}: {}", ran.stdout);
    }
}

#[test]
fn help_shows_examples() {
    check_help(&["--help"], &["log", "ls", "extract", "verify", "repair"]);
    check_help(
        &["log", "--help"],
        &["Examples:", "mean-std:M,…/S,…", "under that key"],
    );
    check_help(&["ls", "--help"], &["Examples:", "present"]);
    check_help(&["extract", "--help"], &["Examples:", "data:best"]);
    check_help(&["verify", "--help"], &["Examples:", "missing-file"]);
    check_help(&["repair", "--help"], &["Examples:", "wandb sync"]);
    check_help(&["--version"], &[env!("CARGO_PKG_VERSION")]);
}
