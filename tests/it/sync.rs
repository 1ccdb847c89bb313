//! What W&B's own client makes of a run: `wandb sync` to the stand-in backend, and `wandb leet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};
use wandb_image::{FileType, Image, Mode, Pixels, Row, Run, RunBuilder, RunMode};

use crate::client::{Client, Received, hashes, parse, sha256};

// ---- the run ----

#[derive(serde::Serialize)]
struct Config {
    learning_rate: f64,
    model: Model,
}

#[derive(serde::Serialize)]
struct Model {
    name: &'static str,
    layers: &'static [u32],
    dropout: f64,
}

const CONFIG: Config = Config {
    learning_rate: 0.125,
    model: Model {
        name: "größer",
        layers: &[8, 16],
        dropout: f64::NAN,
    },
};

#[derive(serde::Serialize)]
struct Scores {
    precision: f64,
    recall: f64,
    by_class: Vec<f64>,
}

const CAPTION: &str = "Ziffer „7“, 数字 \"seven\"\n🙂";
const UNICODE_KEY: &str = "größe/数字 🙂?";

fn picture(shade: u8) -> Image {
    let bytes = (0..24).map(|i| shade.wrapping_add(9 * i)).collect();
    Image::from(Pixels::new(4, 2, Mode::Rgb, bytes).unwrap())
}

fn builder(dir: &Path) -> RunBuilder {
    wandb_image::init()
        .mode(RunMode::Offline)
        .dir(dir)
        .project("digits")
        .entity("team")
}

/// Rows through `log` and `log_at`, each kind of value and of picture file among them.
fn write_run(dir: &Path) -> PathBuf {
    let run = builder(dir)
        .name("a run's name")
        .run_id("run1")
        .group("group")
        .job_type("train")
        .notes("two\nlines")
        .tags(["first", "zweiter"])
        .config(&CONFIG)
        .unwrap()
        .start()
        .unwrap();
    log_values(&run);
    log_pictures(&run);
    run.summary("best", 0.25).unwrap();
    run.finish().unwrap();
    run.dir().unwrap().to_owned()
}

fn log_values(run: &Run) {
    let scores = Scores {
        precision: 0.5,
        recall: f64::NAN,
        by_class: vec![1.5, f64::NEG_INFINITY],
    };
    let scores = wandb_image::Value::from_serialize(&scores).unwrap();
    let row = Row::new()
        .with("loss", f64::NAN)
        .with("grad", f64::INFINITY)
        .with("count", i64::MAX)
        .with("note", "\"quoted\" \\ NaN");
    run.log(row).unwrap();
    run.log(Row::new().with("loss", 0.5).with("scores", scores))
        .unwrap();
    run.log_at(10, Row::new().with("loss", 0.25)).unwrap();
    run.log_at(10, Row::new().with("val/accuracy", 0.75))
        .unwrap();
}

fn log_pictures(run: &Run) {
    let pictures = [
        picture(1).caption(CAPTION),
        picture(2),
        picture(3).caption("third"),
    ];
    let row = Row::new()
        .with("val/samples", picture(4))
        .with("list", pictures.to_vec());
    run.log_at(10, row).unwrap();
    let jpg = picture(5).file_type(FileType::Jpg { quality: 90 });
    let bmp = picture(6).file_type(FileType::Bmp);
    let row = Row::new()
        .with("jpg", jpg)
        .with("bmp", bmp)
        .with(UNICODE_KEY, picture(7).caption(CAPTION));
    run.log_at(20, row).unwrap();
}

/// The rows of [`write_run`], without the places of their pictures.
fn expected_rows() -> Vec<Value> {
    let image =
        |format: &str| json!({"_type": "image-file", "format": format, "width": 4, "height": 2});
    let mut with_caption = image("png");
    with_caption["caption"] = CAPTION.into();
    let list = json!({
        "_type": "images/separated", "format": "png", "width": 4, "height": 2, "count": 3,
        "captions": [CAPTION, null, "third"],
    });
    let mut pictures = json!({"_step": 20, "jpg": image("jpg"), "bmp": image("bmp")});
    pictures[UNICODE_KEY] = with_caption;
    vec![
        json!({
            "_step": 0, "loss": "NaN", "grad": "Infinity", "count": i64::MAX,
            "note": "\"quoted\" \\ NaN",
        }),
        json!({
            "_step": 1, "loss": 0.5,
            "scores": {"precision": 0.5, "recall": "NaN", "by_class": [1.5, "-Infinity"]},
        }),
        json!({
            "_step": 10, "loss": 0.25, "val/accuracy": 0.75, "val/samples": image("png"),
            "list": list,
        }),
        pictures,
    ]
}

/// Takes the places of pictures out of a row: the paths, each with its hash and size where the
/// row has them.
fn take_places(value: &mut Value, places: &mut Vec<Place>) {
    if let Value::Object(entries) = value {
        let path = entries.remove("path");
        let sha256 = entries.remove("sha256");
        let size = entries.remove("size");
        places.extend(path.map(|path| Place { path, sha256, size }));
        for path in entries
            .remove("filenames")
            .iter()
            .flat_map(|list| list.as_array().unwrap())
        {
            let path = path.clone();
            places.push(Place {
                path,
                sha256: None,
                size: None,
            });
        }
        entries
            .values_mut()
            .for_each(|entry| take_places(entry, places));
    }
}

struct Place {
    path: Value,
    sha256: Option<Value>,
    size: Option<Value>,
}

/// Takes `key` out of `value`, which must have it as a number.
fn take_number(value: &mut Value, key: &str) -> f64 {
    let taken = value.as_object_mut().unwrap().remove(key);
    let number = taken.as_ref().and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("{key} is {taken:?} beside {value}"))
}

// ---- the tests ----

#[test]
fn a_run_arrives_whole() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = write_run(dir.path());
    let sent = hashes(&run.join("files"));
    assert_eq!(sent.len(), 7, "{sent:?}");

    let received = client.sync(&run);
    assert_eq!(received.media(), sent);
    check_rows(&received, &sent);
    check_summary(&received);
    check_settings(&received);
    assert_eq!(
        received.json("exit.json"),
        json!({"complete": true, "exitcode": 0})
    );
}

fn check_rows(received: &Received, sent: &BTreeMap<String, String>) {
    let mut rows = received.rows();
    let (mut places, mut last_runtime) = (Vec::new(), 0.0);
    for row in &mut rows {
        let runtime = take_number(row, "_runtime");
        assert!(
            runtime >= last_runtime,
            "_runtime fell from {last_runtime} to {runtime}"
        );
        assert!(take_number(row, "_timestamp") > 1.7e9);
        last_runtime = runtime;
        take_places(row, &mut places);
    }
    assert_eq!(rows, expected_rows());
    let named: Vec<&str> = places
        .iter()
        .map(|place| place.path.as_str().unwrap())
        .collect();
    assert_eq!(named.len(), sent.len());
    for place in &places {
        check_place(place, received, sent);
    }
}

fn check_place(place: &Place, received: &Received, sent: &BTreeMap<String, String>) {
    let path = place.path.as_str().unwrap();
    assert!(sent.contains_key(path), "{path} isn't among {sent:?}");
    let bytes = fs::read(received.dir.join("files").join(path)).unwrap();
    if let Some(hash) = &place.sha256 {
        assert_eq!(*hash, sha256(&bytes), "{path}");
    }
    if let Some(size) = &place.size {
        assert_eq!(*size, bytes.len(), "{path}");
    }
}

/// The last value of each key, and what was set.
fn check_summary(received: &Received) {
    let mut summary = received.json("summary.json");
    take_places(&mut summary, &mut Vec::new());
    for key in ["_runtime", "_timestamp"] {
        take_number(&mut summary, key);
    }
    summary.as_object_mut().unwrap().remove("_wandb");
    let mut expected = json!({"best": 0.25});
    for row in expected_rows() {
        let row = row.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(row);
    }
    assert_eq!(summary, expected);
}

fn check_settings(received: &Received) {
    let mut config = received.json("config.json");
    config.as_object_mut().unwrap().remove("_wandb");
    let model = json!({"name": "größer", "layers": [8, 16], "dropout": "NaN"});
    let expected = json!({"learning_rate": {"value": 0.125}, "model": {"value": model}});
    assert_eq!(config, expected);

    let run = received.json("run.json");
    let check = |key: &str, expected: Value| assert_eq!(run[key], expected, "{key} in {run}");
    check("name", json!("run1"));
    check("displayName", json!("a run's name"));
    check("project", json!("digits"));
    check("entity", json!("team"));
    check("groupName", json!("group"));
    check("jobType", json!("train"));
    check("notes", json!("two\nlines"));
    check("tags", json!(["first", "zweiter"]));
}

#[test]
fn a_run_whose_thread_panicked_arrives_as_failed() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    let path = run.dir().unwrap().to_owned();
    let training = thread::spawn(move || {
        let row = Row::new().with("loss", 0.5).with("sample", picture(1));
        run.log_at(3, row).unwrap();
        panic!("this panic is meant: the training fails");
    });
    assert!(training.join().is_err());

    let received = client.sync(&path);
    assert_eq!(
        received.json("exit.json"),
        json!({"complete": true, "exitcode": 1})
    );
    let rows = received.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["_step"], &rows[0]["loss"]),
        (&json!(3), &json!(0.5))
    );
    assert_eq!(received.json("summary.json")["loss"], 0.5);
    assert_eq!(received.media(), hashes(&path.join("files")));
    assert_eq!(received.media().len(), 1);
}

#[test]
fn leet_finds_the_metrics_and_the_pictures() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = write_run(dir.path());
    let records = client.wandb(&["leet", "inspect", "--json"], &run, None);
    let records: Vec<Value> = records.lines().map(parse).collect();
    let of_type = |kind: &str| -> Vec<&Value> {
        let records = records.iter().filter(|record| record["type"] == kind);
        records.map(|record| &record[kind]).collect()
    };
    check_leet_history(&of_type("history"));
    let files = of_type("files");
    let files: Vec<&str> = files
        .iter()
        .flat_map(|record| record["files"].as_array().unwrap())
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(files.len(), hashes(&run.join("files")).len(), "{files:?}");

    let state = client.wandb(&["leet", "inspect", "--summary", "--json"], &run, None);
    let state = parse(&state);
    let check = |key: &str, expected: Value| assert_eq!(state[key], expected, "{key} in {state}");
    check("state", json!("finished"));
    check("exit_code", json!(0));
    check("step", json!(20));
    check("run_id", json!("run1"));
    assert_eq!(state["config"]["learning_rate"], 0.125);
    assert_eq!(state["summary"]["val/accuracy"], 0.75);
    assert_eq!(state["summary"]["list"]["count"], 3);
}

/// leet draws a picture only from leaves of their own: `samples._type`, `samples.path`, …
fn check_leet_history(rows: &[&Value]) {
    let items: Vec<&Value> = rows.iter().map(|row| &row["item"]).collect();
    let steps: Vec<&Value> = items.iter().map(|item| &item["_step"]).collect();
    assert_eq!(steps, [0, 1, 10, 20]);
    let check = |row: usize, key: &str, expected: Value| {
        assert_eq!(items[row][key], expected, "{key} in {}", items[row]);
    };
    check(0, "loss", json!("NaN"));
    check(1, "scores.precision", json!(0.5));
    check(2, "val/samples._type", json!("image-file"));
    check(2, "list._type", json!("images/separated"));
    check(2, "list.captions", json!([CAPTION, null, "third"]));
    check(3, "jpg.format", json!("jpg"));
    check(3, &format!("{UNICODE_KEY}.caption"), json!(CAPTION));
    let path = items[2]["val/samples.path"].as_str().unwrap();
    assert!(path.starts_with("media/images/val/samples_10_"), "{path}");
}
