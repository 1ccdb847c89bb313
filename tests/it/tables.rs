//! Tables and artifacts on their way through a run: what is refused, what fails, what waits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value as Json, json};
use wandb_image::sink::records::{ArtifactRecord, RecordType};
use wandb_image::sink::{MemorySink, RecordSink};
use wandb_image::{
    Artifact, BoundingBox, BoundingBoxes2D, Cell, Classes, DType, Domain, Error, HostTensor, Image,
    ImageMask, IntoWandbImage, Mode, Normalize, Overflow, Pixels, Position, Row, Run, Snapshot,
    Table, Value,
};

use crate::rows::nested;
use crate::warnings::Warnings;

fn picture(value: u8) -> Image {
    Pixels::new(2, 1, Mode::L, vec![value, 0]).unwrap().into()
}

/// What becomes of a tensor that is held.
#[derive(Debug)]
enum Fate {
    Comes,
    Fails,
    Panics,
}

/// A tensor that comes when it is let go, or never.
struct Held(Arc<Mutex<Option<mpsc::Receiver<Fate>>>>);

impl Held {
    fn new() -> (Self, mpsc::Sender<Fate>) {
        let (sender, receiver) = mpsc::channel();
        (Self(Arc::new(Mutex::new(Some(receiver)))), sender)
    }
}

impl IntoWandbImage for Held {
    fn to_host(&self) -> wandb_image::Result<HostTensor> {
        unreachable!("the snapshot is asked for")
    }
    fn shape(&self) -> wandb_image::Result<Vec<usize>> {
        Ok(vec![1, 2])
    }
    fn dtype(&self) -> wandb_image::Result<DType> {
        Ok(DType::U8)
    }
    fn snapshot(&self) -> wandb_image::Result<Snapshot> {
        let receiver = self.0.lock().unwrap().take().unwrap();
        Ok(Snapshot::new([1, 2], DType::U8, move || {
            match receiver.recv() {
                Ok(Fate::Comes) => HostTensor::new([1, 2], vec![1_u8, 2]),
                Ok(Fate::Panics) => panic!("planned"),
                Ok(Fate::Fails) | Err(_) => Err(Error::device("it is gone")),
            }
        }))
    }
}

fn memory() -> (Run, MemorySink) {
    let sink = MemorySink::new();
    let builder = wandb_image::init().run_id("tables");
    (builder.start_on(sink.clone()).unwrap(), sink)
}

fn artifacts(sink: &MemorySink) -> Vec<ArtifactRecord> {
    let artifact = |record| match record {
        RecordType::Artifact(artifact) => Some(artifact),
        _ => None,
    };
    sink.records().into_iter().filter_map(artifact).collect()
}

fn file(sink: &MemorySink, path: &str) -> Vec<u8> {
    let found = sink.files().into_iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("no {path}")).bytes
}

/// The file of an artifact that a record names.
fn entry(sink: &MemorySink, artifact: &ArtifactRecord, path: &str) -> String {
    let entries = &artifact.manifest.as_ref().unwrap().contents;
    let entry = entries.iter().find(|entry| entry.path == path).unwrap();
    String::from_utf8(file(sink, &entry.local_path)).unwrap()
}

fn data(sink: &MemorySink, artifact: &ArtifactRecord, path: &str) -> Json {
    serde_json::from_str::<Json>(&entry(sink, artifact, path)).unwrap()["data"].clone()
}

fn refused(result: wandb_image::Result<impl std::fmt::Debug>, expected: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn rows_that_do_not_fit_are_refused_and_leave_the_table_as_it_was() {
    refused(Table::new(Vec::<String>::new()), "no columns");
    refused(Table::new(["a", "b", "a"]), "two columns called \"a\"");
    refused(
        Table::new((0..10_001).map(|i| i.to_string())),
        "over 10000 columns",
    );
    let mut table = Table::new(["id", "picture"]).unwrap();
    refused(
        table.add_row((1,)),
        "row 0 of the table has 1 value, and the table has 2 columns, \"id\", \"picture\": give",
    );
    table.add_row((1, picture(1))).unwrap();
    refused(
        table.add_row(("one", picture(1))),
        "row 1 of the table, column \"id\": a text, where the rows before have a number",
    );
    refused(
        table.add_row((2, 3)),
        "column \"picture\": a number, where the rows before have an image",
    );
    refused(
        table.add_row((json!({"a": 1}), picture(1))),
        "column \"id\": a map, and a cell holds a number, a text,",
    );
    refused(
        table.add_row((json!([[1]]), picture(1))),
        "a list within a list",
    );
    refused(
        table.add_row((json!([1, "a"]), picture(1))),
        "a list of values of several kinds, and a cell holds",
    );
    let long = "x".repeat((16 << 20) + 1);
    let mut texts = Table::new(["text"]).unwrap();
    refused(texts.add_row((long,)), "16 MiB");
    refused(
        table.add_row((2, Image::from(image::DynamicImage::new_luma8(0, 0)))),
        "the image \"picture\"",
    );
    assert_eq!(table.len(), 1);
    table.add_row((None::<i32>, None::<Image>)).unwrap();
    let (run, sink) = memory();
    run.log(Row::new().with("t", table)).unwrap();
    run.finish().unwrap();
    let artifact = &artifacts(&sink)[0];
    assert_eq!(
        data(&sink, artifact, "t.table.json")
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_table_has_at_most_200_000_rows() {
    let mut table = Table::new(["n"]).unwrap();
    for n in 0..200_000 {
        table.add_row((n,)).unwrap();
    }
    refused(table.add_row((0,)), "200000 rows, the most that W&B takes");
    let (run, sink) = memory();
    run.log(Row::new().with("t", table)).unwrap();
    run.finish().unwrap();
    let artifact = &artifacts(&sink)[0];
    let rows = data(&sink, artifact, "t.table.json");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 200_000);
    assert!(rows.iter().enumerate().all(|(n, row)| row[0] == n));
    let row = nested(&sink.rows()[0]);
    assert_eq!(row["t"]["nrows"], 200_000);
    let shown = file(&sink, row["t"]["path"].as_str().unwrap());
    let shown: Json = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["data"].as_array().unwrap().len(), 10_000);
    assert_eq!(shown["data"][9_999][0], 9_999);
}

#[test]
fn rows_are_in_order_whatever_their_pictures_take() {
    let (held, release) = Held::new();
    let mut table = Table::new(["n", "picture"]).unwrap();
    let raw = wandb_image::ImageOptions::new().normalize(Normalize::Off);
    table
        .add_row((0, held.to_wandb_image_with(&raw).unwrap()))
        .unwrap();
    for n in 1..50_u8 {
        table.add_row((n, picture(n))).unwrap();
    }
    release.send(Fate::Comes).unwrap();
    let (run, sink) = memory();
    run.log(Row::new().with("t", table)).unwrap();
    run.finish().unwrap();
    let rows = data(&sink, &artifacts(&sink)[0], "t.table.json");
    let numbers: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_u64())
        .collect();
    assert_eq!(numbers, (0..50).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_picture_that_cannot_be_made_is_left_out_counted_and_returned() {
    let (held, release) = Held::new();
    let mut table = Table::new(["n", "picture"]).unwrap();
    table.add_row((0, held.to_wandb_image().unwrap())).unwrap();
    table.add_row((1, picture(1))).unwrap();
    release.send(Fate::Fails).unwrap();
    let (run, sink) = memory();
    run.log(Row::new().with("t", table).with("loss", 0.5))
        .unwrap();
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("1 picture failed"), "{error}");
    assert!(error.contains("a picture of the table \"t\""), "{error}");
    let rows = data(&sink, &artifacts(&sink)[0], "t.table.json");
    assert_eq!(rows[0], json!([0, null]));
    assert_eq!(rows[1][1]["_type"], "image-file");
    let stats = run.stats();
    assert_eq!((stats.artifacts.written, stats.artifacts.failed), (1, 0));
    assert_eq!((stats.pictures.failed, stats.rows.written), (1, 1));
}

#[test]
fn a_picture_whose_tensor_panics_is_left_out_as_well() {
    let (held, release) = Held::new();
    let mut table = Table::new(["picture"]).unwrap();
    table.add_row((held.to_wandb_image().unwrap(),)).unwrap();
    table.add_row((picture(1),)).unwrap();
    release.send(Fate::Panics).unwrap();
    let (run, sink) = memory();
    run.log(Row::new().with("t", table)).unwrap();
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("1 picture failed"), "{error}");
    assert!(error.contains("planned"), "{error}");
    let rows = data(&sink, &artifacts(&sink)[0], "t.table.json");
    assert_eq!(rows[0], json!([null]));
    assert_eq!(rows[1][0]["_type"], "image-file");
}

#[test]
fn what_is_noticed_of_a_tables_pictures_is_said_once_for_its_key() {
    let mut table = Table::new(["picture"]).unwrap();
    for _ in 0..3 {
        let values = HostTensor::new([1, 2], vec![0.5_f32, 1.5]).unwrap();
        let unit = wandb_image::ImageOptions::new().normalize(Normalize::Unit);
        table
            .add_row((values.to_wandb_image_with(&unit).unwrap(),))
            .unwrap();
    }
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let (run, _) = memory();
        run.log(Row::new().with("t", table)).unwrap();
        run.finish().unwrap();
    });
    let said = warnings.texts();
    let of_values = said.iter().filter(|text| text.contains("lie outside"));
    assert_eq!(of_values.count(), 1, "{said:?}");
    assert!(
        said.iter().any(|text| text.contains("in all 3 images")),
        "{said:?}"
    );
}

#[test]
fn what_is_noticed_of_an_artifacts_pictures_is_said_once_for_it() {
    let picture = || {
        let values = HostTensor::new([1, 2], vec![0.5_f32, 1.5]).unwrap();
        let unit = wandb_image::ImageOptions::new().normalize(Normalize::Unit);
        values.to_wandb_image_with(&unit).unwrap()
    };
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let (run, _) = memory();
        for name in ["first", "second"] {
            let mut artifact = Artifact::new("digits", "dataset").unwrap();
            let mut table = Table::new(["picture"]).unwrap();
            (0..3).for_each(|_| table.add_row((picture(),)).unwrap());
            artifact.add(table, name).unwrap();
            artifact.add(picture(), name).unwrap();
            run.log_artifact(artifact).unwrap();
        }
        run.finish().unwrap();
    });
    let said = warnings.texts();
    let of_values = said.iter().filter(|text| {
        text.contains("an image of the artifact \"digits\" was made of values from 0.5 to 1.5")
            && text.contains("said once per artifact")
    });
    assert_eq!(of_values.count(), 1, "{said:?}");
    let total = "the artifact \"digits\", in all 8 images logged: 8 values saturated";
    assert!(said.iter().any(|text| text.contains(total)), "{said:?}");
}

#[test]
fn a_row_that_is_refused_keeps_its_tables() {
    let (run, sink) = memory();
    let table = |n: i32| {
        let mut table = Table::new(["n"]).unwrap();
        table.add_row((n,)).unwrap();
        Value::from(table)
    };
    let (first, second) = (table(1), table(2));
    let row = Row::new()
        .with("a", first.clone())
        .with("b", second.clone());
    run.log_at(5, [("loss", 0.5)]).unwrap();
    refused(run.log_at(3, row.clone()), "step 3");
    refused(run.log_at(5, row.clone().with("_x", 1)), "begin with `_`");
    let twice = Row::new().with("c", second.clone()).with("d", second);
    refused(
        run.log_at(5, twice),
        "the table under \"d\" was logged or added already",
    );
    run.log_at(5, row.clone()).unwrap();
    refused(
        run.log_at(5, row),
        "the table under \"a\" was logged or added already",
    );
    run.finish().unwrap();
    let artifacts = artifacts(&sink);
    assert_eq!(artifacts.len(), 2);
    assert_eq!(data(&sink, &artifacts[0], "a.table.json"), json!([[1]]));
    assert_eq!(data(&sink, &artifacts[1], "b.table.json"), json!([[2]]));
    refused(run.log(Row::new().with("a", first)), "is finished");
}

#[test]
fn a_table_that_an_artifact_refuses_can_be_added_under_another_name() {
    let (run, sink) = memory();
    let mut artifact = Artifact::new("tables", "dataset").unwrap();
    let mut table = Table::new(["n"]).unwrap();
    table.add_row((1,)).unwrap();
    let media = wandb_image::ArtifactMedia::from(table);
    refused(artifact.add(media.clone(), "../t"), "`..`");
    artifact.add(Table::new(["n"]).unwrap(), "t").unwrap();
    refused(
        artifact.add(media.clone(), "t"),
        "holds \"t.table.json\" already",
    );
    artifact.add(media.clone(), "other").unwrap();
    refused(artifact.add(media, "third"), "was logged or added already");
    run.log_artifact(artifact).unwrap();
    run.finish().unwrap();
    let artifact = &artifacts(&sink)[0];
    assert_eq!(data(&sink, artifact, "other.table.json"), json!([[1]]));
    assert_eq!(data(&sink, artifact, "t.table.json"), json!([]));
    assert_eq!(artifact.manifest.as_ref().unwrap().contents.len(), 2);
}

/// Not a test: what the next makes of this binary.
#[test]
#[ignore = "nothing can start a thread in its process"]
fn child_without_threads() {
    let mut table = Table::new(["n"]).unwrap();
    refused(table.add_row((1,)), "could not start a thread");
    assert!(table.is_empty());
    let file = std::env::current_exe().unwrap();
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    refused(artifact.add_file_as(&file, "a"), "could not start a thread");
}

/// With a stack that no system has room for.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_cannot_be_started_refuses_what_is_added() {
    let mut command = crate::child::of_this_binary(&[], "tables::child_without_threads");
    command.env("RUST_TEST_THREADS", "1");
    command.env("RUST_MIN_STACK", (1_u64 << 50).to_string());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_table_is_logged_once_and_no_media_of_its_own() {
    let value = Value::from(Table::new(["a"]).unwrap());
    let (run, sink) = memory();
    run.log(Row::new().with("t", value.clone())).unwrap();
    refused(
        run.log(Row::new().with("t", value)),
        "was logged or added already",
    );
    refused(run.summary("t", Table::new(["a"]).unwrap()), "no table");
    refused(run.config("t", Table::new(["a"]).unwrap()), "no table");
    refused(
        run.media_json("t", 0, Table::new(["a"]).unwrap()),
        "log it in a row",
    );
    run.finish().unwrap();
    assert_eq!(artifacts(&sink).len(), 1);
}

#[test]
fn a_table_that_is_replaced_in_its_row_is_not_written() {
    let (run, sink) = memory();
    let (held, release) = Held::new();
    let mut first = Table::new(["picture"]).unwrap();
    first.add_row((held.to_wandb_image().unwrap(),)).unwrap();
    run.log_at(0, Row::new().with("t", first)).unwrap();
    let mut second = Table::new(["n"]).unwrap();
    second.add_row((2,)).unwrap();
    run.log_at(0, Row::new().with("t", second)).unwrap();
    // All tables have as many threads as there are processors: on one, it waits behind the first.
    if std::thread::available_parallelism().unwrap().get() > 1 {
        run.flush(Duration::from_secs(60)).unwrap();
    }
    release.send(Fate::Comes).unwrap();
    run.finish().unwrap();
    let artifacts = artifacts(&sink);
    assert_eq!(artifacts.len(), 1);
    assert_eq!(data(&sink, &artifacts[0], "t.table.json"), json!([[2]]));
    let stats = run.stats().artifacts;
    assert_eq!((stats.accepted, stats.written, stats.queued), (1, 1, 0));
}

#[test]
fn an_artifact_holds_up_no_row_and_flush_waits_for_it() {
    let (run, sink) = memory();
    let (held, release) = Held::new();
    let mut artifact = Artifact::new("slow", "dataset").unwrap();
    artifact
        .add(held.to_wandb_image().unwrap(), "slow")
        .unwrap();
    run.log_artifact(artifact).unwrap();
    run.log([("loss", 0.5)]).unwrap();
    while sink.rows().is_empty() {
        std::thread::yield_now();
    }
    let error = run
        .flush(Duration::from_millis(50))
        .unwrap_err()
        .to_string();
    run.log([("loss", 0.4)]).unwrap();
    while sink.rows().len() < 2 {
        std::thread::yield_now();
    }
    assert!(error.contains("1 artifact still on their way"), "{error}");
    assert!(artifacts(&sink).is_empty());
    release.send(Fate::Comes).unwrap();
    run.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(artifacts(&sink).len(), 1);
    run.finish().unwrap();
    assert_eq!(run.stats().artifacts.written, 1);
}

/// W&B's latest version is the last in the log.
#[test]
fn versions_of_an_artifact_are_written_in_the_order_in_which_they_were_logged() {
    let (run, sink) = memory();
    let (held, release) = Held::new();
    let mut slow = Artifact::new("data", "dataset")
        .unwrap()
        .alias("first")
        .unwrap();
    slow.add(held.to_wandb_image().unwrap(), "slow").unwrap();
    run.log_artifact(slow).unwrap();
    for name in ["data", "other"] {
        let mut quick = Artifact::new(name, "dataset").unwrap();
        quick.add_reference("s3://bucket/key").unwrap();
        run.log_artifact(quick).unwrap();
    }
    while artifacts(&sink).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(artifacts(&sink)[0].name, "other");
    release.send(Fate::Comes).unwrap();
    run.finish().unwrap();
    let written = artifacts(&sink);
    let written = written.iter().map(|one| (&*one.name, one.aliases.len()));
    let written: Vec<_> = written.collect();
    assert_eq!(written, [("other", 1), ("data", 2), ("data", 1)]);
}

#[test]
fn a_name_with_two_types_is_told_once() {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let (run, sink) = memory();
        for kind in ["dataset", "dataset", "model", "model"] {
            let mut artifact = Artifact::new("data", kind).unwrap();
            artifact.add_reference("s3://bucket/key").unwrap();
            run.log_artifact(artifact).unwrap();
        }
        run.finish().unwrap();
        assert_eq!(artifacts(&sink).len(), 4);
    });
    let said = warnings.texts();
    let expected = "the artifact \"data\" was logged with the type \"dataset\" before, and with \
                    \"model\" now";
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(expected), "{said:?}");
}

#[test]
fn the_end_waits_for_artifacts_and_comes_after_them() {
    let (run, sink) = memory();
    let (held, release) = Held::new();
    let mut artifact = Artifact::new("slow", "dataset").unwrap();
    artifact
        .add(held.to_wandb_image().unwrap(), "slow")
        .unwrap();
    run.log_artifact(artifact).unwrap();
    let error = run.finish_within(Duration::from_millis(50)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Incomplete {
                artifacts_queued: 1,
                ..
            }
        ),
        "{error}"
    );
    release.send(Fate::Comes).unwrap();
    run.finish().unwrap();
    let records = sink.records();
    let at = |is: fn(&RecordType) -> bool| records.iter().position(is).unwrap();
    let artifact = at(|record| matches!(record, RecordType::Artifact(_)));
    assert!(artifact < at(|record| matches!(record, RecordType::Exit(_))));
    let mut late = Artifact::new("late", "dataset").unwrap();
    late.add_reference("s3://bucket/key").unwrap();
    assert!(matches!(
        run.log_artifact(late),
        Err(Error::Finished { .. })
    ));
}

fn changed(dir: &Path) -> (Artifact, PathBuf) {
    let path = dir.join("weights.bin");
    fs::write(&path, "first").unwrap();
    let mut artifact = Artifact::new("weights", "model").unwrap();
    artifact.add_file(&path).unwrap();
    (artifact, path)
}

#[test]
fn a_file_that_changes_before_it_is_logged_fails_its_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let (run, sink) = memory();
    let (artifact, path) = changed(dir.path());
    fs::write(&path, "something else").unwrap();
    run.log_artifact(artifact).unwrap();
    run.log([("loss", 0.5)]).unwrap();
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("1 artifact failed"), "{error}");
    assert!(error.contains("weights.bin has changed"), "{error}");
    assert!(artifacts(&sink).is_empty());
    assert_eq!(run.stats().artifacts.failed, 1);
    assert_eq!(sink.rows().len(), 1);
}

#[test]
fn a_synchronous_run_returns_what_becomes_of_an_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init()
        .synchronous(true)
        .start_on(MemorySink::new())
        .unwrap();
    let (artifact, path) = changed(dir.path());
    fs::remove_file(path).unwrap();
    refused(run.log_artifact(artifact), "weights.bin");
    let mut fine = Artifact::new("fine", "model").unwrap();
    fine.add_reference("gs://bucket/key").unwrap();
    run.log_artifact(fine).unwrap();
    assert_eq!(run.stats().artifacts.written, 1);
}

fn check_copied(add: impl FnOnce(&mut Artifact, &Path) -> wandb_image::Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("models");
    fs::create_dir_all(folder.join("deep")).unwrap();
    let path = folder.join("deep/weights.bin");
    fs::write(&path, "first").unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    let mut artifact = Artifact::new("weights", "model").unwrap();
    add(&mut artifact, &folder).unwrap();
    fs::write(&path, "second").unwrap();
    run.log_artifact(artifact).unwrap();
    run.finish().unwrap();
    let hash = "8b04d5e3775d298e78455efc5ca404d5";
    let kept = run
        .dir()
        .unwrap()
        .join(format!("artifacts/{}/{hash}", &hash[..2]));
    assert_eq!(fs::read_to_string(kept).unwrap(), "first");
}

#[test]
fn a_mutable_file_is_copied_before_it_changes() {
    check_copied(|artifact, folder| {
        artifact.add_mutable_file(folder.join("deep/weights.bin"), "weights.bin")
    });
}

#[test]
fn files_of_a_mutable_folder_are_copied_before_they_change() {
    check_copied(|artifact, folder| artifact.add_mutable_dir(folder, "models"));
}

#[test]
fn a_path_names_one_file() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    artifact.add_file_as(dir.path().join("a"), "x").unwrap();
    artifact.add_file_as(dir.path().join("a"), "./x").unwrap();
    refused(
        artifact.add_file_as(dir.path().join("b"), "x"),
        "holds \"x\" already",
    );
    refused(
        artifact.add_reference_as("s3://bucket/x", "x"),
        "holds \"x\" already",
    );
    artifact.add(picture(1), "p").unwrap();
    refused(
        artifact.add(picture(2), "p"),
        "holds \"p.image-file.json\" already",
    );
    refused(
        artifact.add_file(dir.path()),
        "it is a folder: add all that is in it by Artifact::add_dir",
    );
    refused(
        artifact.add_dir(dir.path().join("a")),
        "it is a file: add it by Artifact::add_file",
    );
    refused(artifact.add_file(dir.path().join("none")), "could not read");
    refused(artifact.add_dir(dir.path().join("none")), "could not read");
}

#[test]
fn a_path_is_that_of_a_file_wherever_it_is_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, "a").unwrap();
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    for (path, expected) in [("dir/", "ends with a slash"), ("dir\\a", "a backslash")] {
        refused(artifact.add_file_as(&file, path), expected);
        refused(artifact.add_mutable_file(&file, path), expected);
        refused(artifact.add_reference_as("s3://bucket/a", path), expected);
        refused(artifact.add(picture(1), path), expected);
        refused(artifact.add(Table::new(["n"]).unwrap(), path), expected);
    }
    artifact.add_dir_as(dir.path(), "dir/").unwrap();
    artifact.add_reference("s3://bucket/folder/").unwrap();
    let (run, sink) = memory();
    run.log_artifact(artifact).unwrap();
    run.finish().unwrap();
    assert_eq!(paths(&artifacts(&sink)[0]), ["dir/a", "folder"]);
}

fn paths(artifact: &ArtifactRecord) -> Vec<&str> {
    let entries = artifact.manifest.as_ref().unwrap().contents.iter();
    entries.map(|entry| &*entry.path).collect()
}

#[test]
fn no_path_is_a_file_and_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, "a").unwrap();
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    for name in ["labels.csv", "x/y/z", "x/y!", "x/y.z"] {
        artifact.add_file_as(&file, name).unwrap();
    }
    let both = |folder: &str, file: &str| {
        format!("the artifact \"files\" can't hold both {folder:?} and {file:?}, since {folder:?}")
    };
    for (name, expected) in [
        ("labels.csv/x", both("labels.csv", "labels.csv/x")),
        ("labels.csv/x/y", both("labels.csv", "labels.csv/x/y")),
        ("x", both("x", "x/y!")),
        ("x/y", both("x/y", "x/y/z")),
    ] {
        refused(artifact.add_file_as(&file, name), &expected);
        refused(artifact.add_mutable_file(&file, name), &expected);
        refused(artifact.add_reference_as("s3://bucket/a", name), &expected);
    }
    artifact.add_file_as(&file, "labels").unwrap();
    artifact.add_file_as(&file, "x/y/z2").unwrap();
    artifact.add_file_as(&file, "media").unwrap();
    artifact.add(picture(1), "picture").unwrap();
    let (run, sink) = memory();
    run.log_artifact(artifact).unwrap();
    refused(
        run.finish(),
        "can't hold both \"media\" and \"media/images/",
    );
    assert!(artifacts(&sink).is_empty());
}

/// What a run says of an artifact that is filled in a folder.
fn said_of(fill: impl FnOnce(&mut Artifact)) -> (Vec<String>, MemorySink) {
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    fill(&mut artifact);
    let warnings = Warnings::default();
    let sink = tracing::subscriber::with_default(warnings.clone(), || {
        let (run, sink) = memory();
        run.log_artifact(artifact).unwrap();
        run.finish().unwrap();
        sink
    });
    (warnings.texts(), sink)
}

#[test]
fn paths_that_differ_in_capitals_alone_are_told_with_both_names() {
    let add = |artifact: &mut Artifact, names: &[&str]| {
        let addresses = names.iter();
        let mut addresses = addresses.map(|name| (format!("s3://bucket/{name}"), name));
        addresses
            .try_for_each(|(uri, name)| artifact.add_reference_as(&uri, name))
            .unwrap();
    };
    let (said, sink) = said_of(|artifact| add(artifact, &["a/É.png", "A/é.png", "b"]));
    let both = "the artifact \"files\" holds \"A/é.png\" and \"a/É.png\"";
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(both), "{said:?}");
    assert_eq!(paths(&artifacts(&sink)[0]).len(), 3);
    let (said, _) = said_of(|artifact| add(artifact, &["a/x", "A/y", "b"]));
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn an_artifact_without_files_is_logged_and_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    let (said, sink) = said_of(|artifact| artifact.add_dir(dir.path()).unwrap());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains(&format!("the folder {} ", dir.path().display())),
        "{said:?}"
    );
    assert!(
        said[1].contains("the artifact \"files\" holds no file"),
        "{said:?}"
    );
    assert!(paths(&artifacts(&sink)[0]).is_empty());
    fs::write(dir.path().join("a/.hidden"), "a").unwrap();
    let (said, sink) = said_of(|artifact| artifact.add_dir(dir.path()).unwrap());
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(paths(&artifacts(&sink)[0]), ["a/.hidden"]);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_being_written_is_left_out_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data.txt"), "a").unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    let mut ended = run.dir().unwrap().to_owned();
    run.log([("loss", 0.5)]).unwrap();
    run.finish().unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    let live = run.dir().unwrap().to_owned();
    run.log([("loss", 0.5)]).unwrap();
    let fill = |artifact: &mut Artifact| {
        refused(artifact.add_dir(&live), "is being written by a run");
        artifact.add_dir(dir.path()).unwrap();
    };
    let (said, sink) = said_of(fill);
    assert_eq!(said.len(), 1, "{said:?}");
    let live_name = live.file_name().unwrap().to_str().unwrap();
    assert!(
        said[0].contains(&format!("{live_name}: what a run")),
        "{said:?}"
    );
    let artifact = artifacts(&sink).remove(0);
    let paths = paths(&artifact);
    let is_in = |name: &str| paths.iter().any(|path| path.contains(name));
    assert!(
        is_in("data.txt") && !is_in(live_name) && !is_in("latest-run"),
        "{paths:?}"
    );
    ended.pop();
    assert!(is_in("offline-run-") && is_in(".wandb"), "{paths:?}");
    run.finish().unwrap();
}

#[test]
fn classes_without_a_name_and_boxes_outside_are_told_once() {
    let corners = Position::corners;
    let boxes = BoundingBoxes2D::new([
        BoundingBox::new(Domain::Pixel, corners(0.0, 0.0, 1.0, 1.0), 7),
        BoundingBox::new(Domain::Pixel, corners(5.0, 0.0, 9.0, 1.0), 1),
        BoundingBox::new(Domain::Fraction, corners(-0.5, 0.0, -0.25, 1.0), 1),
    ]);
    let mask = |id| ImageMask::new(2, 1, vec![id, 255]).unwrap();
    let cat = || Classes::new([(1, "cat")]).unwrap();
    let image = |id| picture(1).masks("m", mask(id)).unwrap();
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let (run, _) = memory();
        let both = image(3).boxes("b", boxes).unwrap().classes(cat());
        for _ in 0..2 {
            run.log(
                Row::new()
                    .with("row", &both)
                    .with("fine", image(0).classes(cat())),
            )
            .unwrap();
        }
        let mut table = Table::new(["picture"]).unwrap();
        table.add_row((both,)).unwrap();
        table.add_row((image(0).classes(cat()),)).unwrap();
        table.add_row((image(3),)).unwrap();
        run.log(Row::new().with("table", table)).unwrap();
        run.finish().unwrap();
    });
    let said = warnings.texts();
    let parts = "2 boxes lie wholly outside of their pictures, 2 layers have classes without a \
                 name, such as";
    for (key, id) in [("row", 3), ("table", 7)] {
        let first = format!("over an image of {key:?}: {parts} {id} ");
        let first = said.iter().filter(|text| text.contains(&first));
        assert_eq!(first.count(), 1, "{key}: {said:?}");
    }
    assert!(
        said.iter().all(|text| !text.contains("\"fine\"")),
        "{said:?}"
    );
    let total = "\"row\", in all 2 images logged: 4 boxes lie";
    assert!(said.iter().any(|text| text.contains(total)), "{said:?}");
}

#[test]
fn the_same_content_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    let mut artifact = Artifact::new("twice", "dataset").unwrap();
    artifact.add(picture(1).caption("one"), "one").unwrap();
    artifact.add(picture(1).caption("two"), "two").unwrap();
    run.log_artifact(artifact).unwrap();
    let mut again = Artifact::new("again", "dataset").unwrap();
    again.add(picture(1), "one").unwrap();
    run.log_artifact(again).unwrap();
    run.finish().unwrap();
    let kept = run.dir().unwrap().join("artifacts");
    let folders = fs::read_dir(kept).unwrap().flatten();
    let files = folders.map(|folder| fs::read_dir(folder.path()).unwrap().count());
    // One picture, and three files of JSON.
    assert_eq!(files.sum::<usize>(), 4);
}

#[test]
fn a_disabled_run_takes_tables_and_artifacts() {
    let run = wandb_image::init()
        .mode(wandb_image::RunMode::Disabled)
        .start()
        .unwrap();
    run.log(Row::new().with("t", Table::new(["a"]).unwrap()))
        .unwrap();
    run.log_artifact(Artifact::new("a", "dataset").unwrap())
        .unwrap();
    run.finish().unwrap();
}

/// A sink from before there were artifacts.
struct Old;

impl RecordSink for Old {
    fn media(&mut self, _: &str, _: &[u8]) -> wandb_image::Result<()> {
        Ok(())
    }
    fn record(&mut self, _: &wandb_image::sink::records::Record) -> wandb_image::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> wandb_image::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_takes_no_files_costs_the_table_alone() {
    let run = wandb_image::init()
        .overflow(Overflow::Block)
        .start_on(Old)
        .unwrap();
    let mut table = Table::new(["a"]).unwrap();
    table.add_row(vec![Cell::from(1)]).unwrap();
    run.log(Row::new().with("t", table).with("loss", 0.5))
        .unwrap();
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("takes no artifacts and tables"), "{error}");
    let stats = run.stats();
    assert_eq!((stats.artifacts.failed, stats.rows.written), (1, 1));
}

/// A tensor whose reading logs into the run that waits for it.
struct Logging(Run);

impl IntoWandbImage for Logging {
    fn to_host(&self) -> wandb_image::Result<HostTensor> {
        let picture = picture(1);
        refused(
            self.0.media_json("inner", 0, picture),
            "would wait for itself",
        );
        HostTensor::new([1, 2], vec![1_u8, 2])
    }
    fn shape(&self) -> wandb_image::Result<Vec<usize>> {
        Ok(vec![1, 2])
    }
    fn dtype(&self) -> wandb_image::Result<DType> {
        Ok(DType::U8)
    }
    fn snapshot(&self) -> wandb_image::Result<Snapshot> {
        let run = self.0.clone();
        let read = move || Logging(run).to_host();
        Ok(Snapshot::new([1, 2], DType::U8, read))
    }
}

#[test]
fn a_tensor_of_a_table_that_logs_while_it_is_read_waits_for_nobody() {
    let (run, sink) = memory();
    let mut table = Table::new(["picture"]).unwrap();
    let picture = Logging(run.clone()).to_wandb_image().unwrap();
    table.add_row((picture,)).unwrap();
    run.log(Row::new().with("t", table)).unwrap();
    run.finish().unwrap();
    let rows = data(&sink, &artifacts(&sink)[0], "t.table.json");
    assert_eq!(rows[0][0]["_type"], "image-file");
}

#[test]
fn pictures_have_room_while_an_artifact_is_made() {
    let (held, release) = Held::new();
    let sink = MemorySink::new();
    let run = wandb_image::init()
        .queue_bytes(1)
        .overflow(Overflow::Block)
        .start_on(sink.clone())
        .unwrap();
    let mut artifact = Artifact::new("slow", "dataset").unwrap();
    artifact
        .add(held.to_wandb_image().unwrap(), "slow")
        .unwrap();
    run.log_artifact(artifact).unwrap();
    for value in 0..3 {
        run.log_at(0, Row::new().with(format!("p{value}"), picture(value)))
            .unwrap();
    }
    run.log_at(1, [("loss", 0.5)]).unwrap();
    release.send(Fate::Comes).unwrap();
    run.finish().unwrap();
    assert_eq!(run.stats().pictures.written, 3);
}

#[test]
fn a_key_whose_artifact_would_have_a_longer_name_is_refused() {
    let (run, _) = memory();
    let table = || Table::new(["a"]).unwrap();
    let long = "k".repeat(128 - "run-tables-".len());
    run.log(Row::new().with(long.clone(), table())).unwrap();
    let longer = run.log(Row::new().with(long + "k", table()));
    refused(longer, "over 128 characters long");
    run.finish().unwrap();
}

#[test]
fn a_copy_takes_no_name_of_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "a").unwrap();
    let mut artifact = Artifact::new("files", "dataset").unwrap();
    artifact.add(picture(1), "p").unwrap();
    refused(
        artifact.add_mutable_file(&path, "p.image-file.json"),
        "already",
    );
    artifact.add_mutable_file(&path, "a").unwrap();
    artifact.add_mutable_file(&path, "a").unwrap();
    fs::write(&path, "other").unwrap();
    refused(artifact.add_mutable_file(&path, "a"), "holds \"a\" already");
}
