//! Pillow reads from the files what was put into them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use wandb_image::{FileType, Image, Mode, Pixels, Row};

use crate::client::Client;

/// Prints the mode, the size and the greatest difference of a channel (of 16 bits, how many bytes
/// differ) for each line `FILE RAW MODE` of its input.
const SCRIPT: &str = r#"
import sys
from PIL import Image, ImageChops
for line in sys.stdin:
    file, raw, mode = line.split()
    picture = Image.open(file)
    picture.load()
    expected = Image.frombytes(mode, picture.size, open(raw, "rb").read())
    converted = picture.convert(mode)
    if mode == "I;16":
        worst = sum(a != b for a, b in zip(converted.tobytes(), expected.tobytes()))
    else:
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
        (Mode::I16, FileType::Png, "PNG I;16 37 23", 0),
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
    let answers = ask(&client, SCRIPT, &lines);
    assert_eq!(answers.len(), cases.len(), "{answers:?}");
    for (answer, (_, _, expected, tolerance)) in answers.iter().zip(cases) {
        let (seen, worst) = answer.rsplit_once(' ').unwrap();
        assert_eq!(seen, expected);
        assert!(worst.parse::<i32>().unwrap() <= tolerance, "{answer}");
    }
}

/// Logs a picture to a run of its own; the line that asks for it.
fn logged(dir: &Path, i: usize, mode: Mode, file_type: FileType) -> String {
    let step = mode.bytes_per_pixel();
    let data: Vec<u8> = (0..37 * 23 * step)
        .map(|i| (i / step * 255 / 851 + i % step * 40) as u8)
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

fn ask(client: &Client, script: &str, lines: &str) -> Vec<String> {
    let mut python = client.python();
    let python = python
        .args(["-c", script])
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

/// Prints how many bytes of a converted picture differ for each line
/// `WIDTH HEIGHT FROM RAW TO CONVERTED` of its input.
const CONVERT: &str = r#"
import sys
from PIL import Image
for line in sys.stdin:
    width, height, mode, raw, to, converted = line.split()
    picture = Image.frombytes(mode, (int(width), int(height)), open(raw, "rb").read())
    expected, given = picture.convert(to).tobytes(), open(converted, "rb").read()
    same = expected == given
    print(0 if same else sum(a != b for a, b in zip(expected, given)) + abs(len(expected) - len(given)))
"#;

const MODES: [Mode; 5] = [Mode::L, Mode::I16, Mode::La, Mode::Rgb, Mode::Rgba];

/// Every grey, with every alpha; of colours a dense sample.
fn every_value(mode: Mode) -> Pixels {
    let all = || 0..=u8::MAX;
    let some = |step| all().step_by(step);
    let colours = |step| {
        some(step)
            .flat_map(move |r| some(step).flat_map(move |g| some(step).map(move |b| [r, g, b])))
    };
    let pairs = || all().flat_map(|a| all().map(move |b| [a, b]));
    let data = match mode {
        Mode::L => all().collect(),
        Mode::I16 | Mode::La => Vec::from_iter(pairs()).into_flattened(),
        Mode::Rgb => Vec::from_iter(colours(3)).into_flattened(),
        Mode::Rgba => {
            let alphas = |[r, g, b]: [u8; 3]| some(51).map(move |a| [r, g, b, a]);
            Vec::from_iter(colours(15).flat_map(alphas)).into_flattened()
        }
        other => panic!("no values of {other}"),
    };
    let n = data.len() / mode.bytes_per_pixel();
    let width = (1..=n)
        .rev()
        .find(|w| n.is_multiple_of(*w) && w * w <= n)
        .unwrap();
    Pixels::new(width as u32, (n / width) as u32, mode, data).unwrap()
}

#[test]
fn every_mode_becomes_every_other_as_in_pillow() {
    let Some(client) = Client::find() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    let pairs = MODES.map(|from| MODES.map(|to| (from, to))).concat();
    for (i, (from, to)) in pairs.iter().enumerate() {
        let pixels = every_value(*from);
        let (width, height) = (pixels.width(), pixels.height());
        let [raw, converted] =
            ["raw", "converted"].map(|end| dir.path().join(format!("{i}.{end}")));
        fs::write(&raw, pixels.as_bytes()).unwrap();
        fs::write(&converted, pixels.convert(*to).as_bytes()).unwrap();
        let (raw, converted) = (raw.display(), converted.display());
        lines += &format!("{width} {height} {from} {raw} {to} {converted}\n");
    }
    let answers = ask(&client, CONVERT, &lines);
    assert_eq!(answers.len(), pairs.len(), "{answers:?}");
    for (answer, (from, to)) in answers.iter().zip(pairs) {
        assert_eq!(answer, "0", "{from} → {to}");
    }
}
