//! Pillow reads from the files what was put into them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use wandb_image::{FileType, Image, Mode, Pixels, Row};

use crate::client::Client;

/// Prints the mode, the size and the greatest difference of a channel for each line
/// `FILE RAW MODE` of its input.
const SCRIPT: &str = r#"
import sys
from PIL import Image, ImageChops
for line in sys.stdin:
    file, raw, mode = line.split()
    picture = Image.open(file)
    picture.load()
    expected = Image.frombytes(mode, picture.size, open(raw, "rb").read())
    converted = picture.convert(mode)
    worst = max(high for _, high in [c.getextrema() for c in ImageChops.difference(converted, expected).split()])
    print(picture.format, picture.mode, picture.width, picture.height, worst)
"#;

#[test]
fn pillow_reads_what_was_logged() {
    let Some(client) = Client::find() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        (Mode::L, FileType::Png, "PNG L 37 23", 0),
        (Mode::La, FileType::Png, "PNG LA 37 23", 0),
        (Mode::Rgb, FileType::Png, "PNG RGB 37 23", 0),
        (Mode::Rgba, FileType::Png, "PNG RGBA 37 23", 0),
        (Mode::L, FileType::Bmp, "BMP L 37 23", 0),
        (Mode::Rgb, FileType::Bmp, "BMP RGB 37 23", 0),
        (Mode::Rgba, FileType::Bmp, "BMP RGBA 37 23", 0),
        (Mode::L, FileType::Jpg { quality: 95 }, "JPEG L 37 23", 8),
        (
            Mode::Rgb,
            FileType::Jpg { quality: 95 },
            "JPEG RGB 37 23",
            24,
        ),
    ];
    let mut lines = String::new();
    for (i, (mode, file_type, ..)) in cases.into_iter().enumerate() {
        lines += &logged(dir.path(), i, mode, file_type);
    }
    let answers = ask(&client, &lines);
    assert_eq!(answers.len(), cases.len(), "{answers:?}");
    for (answer, (_, _, expected, tolerance)) in answers.iter().zip(cases) {
        let (seen, worst) = answer.rsplit_once(' ').unwrap();
        assert_eq!(seen, expected);
        assert!(worst.parse::<i32>().unwrap() <= tolerance, "{answer}");
    }
}

/// Logs a picture to a run of its own; the line that asks for it.
fn logged(dir: &Path, i: usize, mode: Mode, file_type: FileType) -> String {
    let channels = mode.channels();
    let data: Vec<u8> = (0..37 * 23 * channels)
        .map(|i| (i / channels * 255 / 851 + i % channels * 40) as u8)
        .collect();
    let raw = dir.join(format!("{i}.raw"));
    fs::write(&raw, &data).unwrap();
    let image = Image::from(Pixels::new(37, 23, mode, data).unwrap()).file_type(file_type);
    let builder = wandb_image::init().dir(dir).run_id(format!("run{i}"));
    let run = builder.start().unwrap();
    run.log(Row::new().with("picture", image)).unwrap();
    run.finish().unwrap();
    let files = run.dir().unwrap().join("files/media/images");
    let file = fs::read_dir(files).unwrap().next().unwrap().unwrap().path();
    format!("{} {} {mode}\n", file.display(), raw.display())
}

fn ask(client: &Client, lines: &str) -> Vec<String> {
    let mut python = client.python();
    let python = python
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}
