//! An offline run: rows and steps, pictures, keys, endings, and the log read back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wandb_image::sink::logged;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{HistoryRecord, Item, RecordType};
use wandb_image::sink::{Kept, MemorySink, RecordSink, records::Record};
use wandb_image::{
    DType, Error, FileType, HostTensor, Image, ImageOptions, IntoWandbImage, Mode, Normalize,
    Pixels, Result, Row, Run, RunMode, Snapshot, Value, init,
};

use crate::child;

const SOON: Duration = Duration::from_secs(60);

fn image(level: u8) -> Image {
    Image::from(Pixels::new(3, 2, Mode::L, vec![level; 6]).unwrap())
}

fn in_memory() -> (Run, MemorySink) {
    let sink = MemorySink::new();
    let run = init().synchronous(true).start_on(sink.clone()).unwrap();
    (run, sink)
}

fn offline(dir: &Path) -> Run {
    let builder = init().mode(RunMode::Offline).dir(dir);
    builder.synchronous(true).start().unwrap()
}

fn value<'a>(items: &'a [Item], path: &[&str]) -> Option<&'a str> {
    let item = items.iter().find(|item| item.path() == path)?;
    Some(&item.value_json)
}

fn step(row: &HistoryRecord) -> u64 {
    value(&row.item, &["_step"]).unwrap().parse().unwrap()
}

/// The step and the user's own items of each row, `key=value`.
fn rows(sink: &MemorySink) -> Vec<(u64, String)> {
    let own = |item: &&Item| !item.key.starts_with('_');
    let text = |item: &Item| format!("{}={}", item.path().join("."), item.value_json);
    let row = |row: &HistoryRecord| {
        let items: Vec<_> = row.item.iter().filter(own).map(text).collect();
        (step(row), items.join(" "))
    };
    sink.rows().iter().map(row).collect()
}

fn check_rows(sink: &MemorySink, expected: &[(u64, &str)]) {
    let rows = rows(sink);
    let rows: Vec<_> = rows.iter().map(|(step, items)| (*step, &**items)).collect();
    assert_eq!(rows, expected);
}

fn exit_codes(records: &[RecordType]) -> Vec<i32> {
    let code = |record: &RecordType| match record {
        RecordType::Exit(exit) => Some(exit.exit_code),
        _ => None,
    };
    records.iter().filter_map(code).collect()
}

/// The summary that the records add up to, for keys that aren't nested.
fn summary(records: &[RecordType], key: &str) -> Option<String> {
    let update = |record: &RecordType| match record {
        RecordType::Summary(summary) => value(&summary.update, &[key]).map(String::from),
        _ => None,
    };
    records.iter().filter_map(update).next_back()
}

fn records_on_disk(dir: &Path) -> Vec<RecordType> {
    let log = LogReader::open(logged::find_log(dir).unwrap()).unwrap();
    let records: Vec<Record> = log.collect::<Result<_>>().unwrap();
    let numbers: Vec<i64> = records.iter().map(|record| record.num).collect();
    assert_eq!(numbers, (1..=records.len() as i64).collect::<Vec<_>>());
    records
        .into_iter()
        .map(|record| record.record_type.unwrap())
        .collect()
}

fn check_error(result: Result<()>, expected: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn log_counts_steps() {
    let (run, sink) = in_memory();
    assert_eq!(run.step(), 0);
    run.log([("loss", 0.5)]).unwrap();
    run.log([("loss", 0.25)]).unwrap();
    assert_eq!(run.step(), 2);
    check_rows(&sink, &[(0, "loss=0.5"), (1, "loss=0.25")]);
}

#[test]
fn log_counts_from_the_starting_step() {
    let sink = MemorySink::new();
    let run = init()
        .starting_step(100)
        .synchronous(true)
        .start_on(sink.clone())
        .unwrap();
    check_error(
        run.log_at(7, [("a", 1)]),
        "step 7 lies before step 100, at which this run starts",
    );
    run.log([("a", 1)]).unwrap();
    check_rows(&sink, &[(100, "a=1")]);
}

#[test]
fn log_at_gathers_a_step_into_one_row() {
    let (run, sink) = in_memory();
    run.log_at(5, [("a", 1)]).unwrap();
    run.log_at(5, [("b", 2), ("c", 3)]).unwrap();
    run.log_at(5, [("b", 20)]).unwrap();
    check_rows(&sink, &[]);
    run.log_at(9, [("a", 4)]).unwrap();
    check_rows(&sink, &[(5, "a=1 b=20 c=3")]);
    assert_eq!(run.step(), 10);
    run.finish().unwrap();
    check_rows(&sink, &[(5, "a=1 b=20 c=3"), (9, "a=4")]);
}

#[test]
fn log_closes_an_open_row() {
    let (run, sink) = in_memory();
    run.log_at(5, [("a", 1)]).unwrap();
    run.log([("b", 2)]).unwrap();
    check_rows(&sink, &[(5, "a=1"), (6, "b=2")]);
}

#[test]
fn flush_writes_the_open_row_and_the_summary() {
    let (run, sink) = in_memory();
    run.log_at(5, [("a", 1)]).unwrap();
    run.flush(SOON).unwrap();
    check_rows(&sink, &[(5, "a=1")]);
    assert_eq!(summary(&sink.records(), "a").as_deref(), Some("1"));
    let n = sink.records().len();
    run.flush(SOON).unwrap();
    assert_eq!(sink.records().len(), n, "nothing had changed");
    check_error(
        run.log_at(5, [("b", 2)]),
        "up to step 5 are closed already; log at step 6 or later",
    );
}

#[test]
fn a_step_that_goes_back_is_an_error_that_names_both() {
    let (run, sink) = in_memory();
    run.log_at(3, [("a", 1)]).unwrap();
    let error = run.log_at(2, [("a", 2)]).unwrap_err();
    assert!(matches!(error, Error::Step { step: 2, last: 3 }), "{error}");
    run.log_at(4, [("a", 3)]).unwrap();
    let error = run.log_at(3, [("a", 4)]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::StepWritten {
                step: 3,
                last: 3,
                ..
            }
        ),
        "{error}"
    );
    run.log_at(20, [("a", 5)]).unwrap();
    check_error(run.log_at(1, [("a", 6)]), "log at step 20 or later");
    check_error(
        run.log_at(u64::MAX, [("a", 5)]),
        "the step is 18446744073709551615, but it must",
    );
    run.finish().unwrap();
    check_rows(&sink, &[(3, "a=1"), (4, "a=3"), (20, "a=5")]);
}

#[test]
fn the_greatest_step_has_none_after_it() {
    let (run, _sink) = in_memory();
    run.log_at(i64::MAX as u64, [("a", 1)]).unwrap();
    check_error(run.log([("a", 2)]), "the step is 9223372036854775808");
}

#[test]
fn nan_and_infinity_are_kept_wherever_they_stand() {
    #[derive(serde::Serialize)]
    struct Inner {
        worst: f32,
        list: Vec<f64>,
    }
    let inner = Inner {
        worst: f32::NEG_INFINITY,
        list: vec![1.0, f64::NAN],
    };
    let (run, sink) = in_memory();
    let row = Row::new()
        .with("loss", f64::NAN)
        .with("max", f32::INFINITY)
        .with("none", None::<f64>)
        .with("inner", Value::from_serialize(&inner).unwrap());
    run.log(row).unwrap();
    check_rows(
        &sink,
        &[(
            0,
            "inner.worst=-Infinity inner.list=[1.0,NaN] loss=NaN max=Infinity none=null",
        )],
    );
}

#[test]
fn a_row_tells_its_time() {
    let (run, sink) = in_memory();
    run.log([("a", 1)]).unwrap();
    run.log([("a", 2)]).unwrap();
    let times = |key| -> Vec<f64> {
        let time = |row: &HistoryRecord| value(&row.item, &[key]).unwrap().parse().unwrap();
        sink.rows().iter().map(time).collect()
    };
    let runtimes = times("_runtime");
    assert!(
        0.0 <= runtimes[0] && runtimes[0] <= runtimes[1],
        "{runtimes:?}"
    );
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let timestamps = times("_timestamp");
    assert!(
        timestamps[0] > 1.7e9 && timestamps[0] <= now,
        "{timestamps:?}"
    );
}

#[test]
fn a_summary_that_is_set_while_a_row_is_open_comes_after_it() {
    let (run, sink) = in_memory();
    run.log_at(99, [("accuracy", 0.8)]).unwrap();
    run.summary("accuracy", 0.93).unwrap();
    run.finish().unwrap();
    assert_eq!(
        summary(&sink.records(), "accuracy").as_deref(),
        Some("0.93")
    );
}

#[test]
fn the_summary_holds_the_last_value_of_each_key() {
    let (run, sink) = in_memory();
    run.log(Row::new().with("loss", 1.0).with("kept", "yes"))
        .unwrap();
    run.summary("best", 1).unwrap();
    run.summary("loss", 7).unwrap();
    run.log(Row::new().with("loss", 0.5).with("kept", None::<i32>))
        .unwrap();
    run.summary("best", 2).unwrap();
    run.finish().unwrap();
    let records = sink.records();
    let check = |key, expected| assert_eq!(summary(&records, key).as_deref(), Some(expected));
    check("loss", "0.5");
    check("kept", "\"yes\"");
    check("best", "2");
    check("_step", "1");
}

#[test]
fn the_config_is_in_the_run_and_grows() {
    #[derive(serde::Serialize)]
    struct Config {
        learning_rate: f64,
        layers: Vec<usize>,
    }
    let config = Config {
        learning_rate: f64::NAN,
        layers: vec![1, 2],
    };
    let sink = MemorySink::new();
    let run = init()
        .config(&config)
        .unwrap()
        .start_on(sink.clone())
        .unwrap();
    run.config("later", 5).unwrap();
    check_error(run.config("_wandb", 1), "W&B's own");
    check_error(run.config("sample", image(0)), "takes no image");
    run.flush(SOON).unwrap();
    let config: Vec<Item> = sink
        .records()
        .into_iter()
        .filter_map(|record| match record {
            RecordType::Run(run) => run.config,
            RecordType::Config(config) => Some(config),
            _ => None,
        })
        .flat_map(|config| config.update)
        .collect();
    let config: Vec<_> = config
        .iter()
        .map(|item| (&*item.key, &*item.value_json))
        .collect();
    assert_eq!(
        config,
        [
            ("learning_rate", "NaN"),
            ("layers", "[1,2]"),
            ("later", "5")
        ]
    );
}

#[test]
fn a_config_that_cannot_be_written_is_refused() {
    check_error(
        init().config(&[1, 2]).map(drop),
        "the config is no struct or map",
    );
    check_error(
        init().config(&serde_json::json!({"_wandb": 1})).map(drop),
        "W&B's own",
    );
    check_error(
        init().config(&serde_json::json!({"": 1})).map(drop),
        "must not be empty",
    );
}

fn kinds(kept: &[Kept]) -> Vec<&'static str> {
    let kind = |kept: &Kept| match kept {
        Kept::Media(_) => "file",
        Kept::Record(record) => match record.record_type.as_ref().unwrap() {
            RecordType::Header(_) => "header",
            RecordType::Run(_) => "run",
            RecordType::Environment(_) => "environment",
            RecordType::Files(_) => "files",
            RecordType::History(_) => "history",
            RecordType::Summary(_) => "summary",
            RecordType::Config(_) => "config",
            RecordType::Exit(_) => "exit",
            RecordType::Metric(_) => "metric",
            RecordType::Artifact(_) => "artifact",
        },
        other => panic!("{other:?}"),
    };
    kept.iter().map(kind).collect()
}

#[test]
fn a_picture_is_there_before_the_row_that_names_it() {
    let (run, sink) = in_memory();
    run.log(
        Row::new()
            .with("a", image(1))
            .with("b", vec![image(2), image(3)]),
    )
    .unwrap();
    run.log([("loss", 1)]).unwrap();
    run.finish().unwrap();
    assert_eq!(
        kinds(&sink.kept()),
        [
            "header",
            "run",
            "environment",
            "file",
            "file",
            "file",
            "files",
            "history",
            "history",
            "summary",
            "exit"
        ]
    );
}

#[test]
fn an_image_is_flattened_and_its_file_is_named_by_its_content() {
    let (run, sink) = in_memory();
    run.log_at(4, [("val/samples", image(9).caption("nine"))])
        .unwrap();
    run.finish().unwrap();
    let file = &sink.files()[0];
    let row = &sink.rows()[0];
    let item = |key| value(&row.item, &["val/samples", key]).unwrap();
    let sha256 = item("sha256").trim_matches('"');
    assert_eq!(
        file.path,
        format!("media/images/val/samples_4_{}.png", &sha256[..20])
    );
    assert_eq!(item("path"), format!("{:?}", file.path));
    assert_eq!(item("size"), file.bytes.len().to_string());
    assert_eq!(
        [
            item("_type"),
            item("format"),
            item("width"),
            item("height"),
            item("caption")
        ],
        ["\"image-file\"", "\"png\"", "3", "2", "\"nine\""]
    );
}

#[test]
fn a_list_keeps_every_caption() {
    let (run, sink) = in_memory();
    run.log([("list", vec![image(1), image(2).caption("two")])])
        .unwrap();
    let row = &sink.rows()[0];
    let item = |key| value(&row.item, &["list", key]).unwrap();
    assert_eq!(item("_type"), "\"images/separated\"");
    assert_eq!((item("count"), item("captions")), ("2", "[null,\"two\"]"));
    let paths: Vec<String> = serde_json::from_str(item("filenames")).unwrap();
    let files: Vec<_> = sink.files().into_iter().map(|file| file.path).collect();
    assert_eq!(paths, files);
}

#[test]
fn equal_pictures_of_a_row_share_a_file() {
    let (run, sink) = in_memory();
    run.log([("list", vec![image(1), image(1)])]).unwrap();
    assert_eq!(sink.files().len(), 1);
    let row = &sink.rows()[0];
    let paths: Vec<String> =
        serde_json::from_str(value(&row.item, &["list", "filenames"]).unwrap()).unwrap();
    assert_eq!((paths.len(), &paths[0]), (2, &paths[1]));
}

fn check_key(key: &str, value: impl Into<Value>, expected: &str) {
    let (run, sink) = in_memory();
    check_error(
        run.log(Row::new().with("good", image(1)).with(key, value)),
        expected,
    );
    assert_eq!(
        kinds(&sink.kept()),
        ["header", "run", "environment"],
        "{key:?}"
    );
    assert_eq!(run.step(), 0);
}

#[test]
fn keys_that_cannot_be_are_refused_with_their_whole_row() {
    check_key(
        "",
        1,
        "the key \"\" can't be logged: a key must not be empty",
    );
    check_key("_step", 1, "W&B's own");
    check_key("_mine", image(1), "W&B's own");
    check_key("", image(1), "must not be empty");
    check_key("/a", image(1), "must not begin with a slash");
    check_key("a/", image(1), "no part between slashes may be empty");
    check_key("a//b", image(1), "no part between slashes may be empty");
    check_key("../a", image(1), "may be `.` or `..`");
    check_key("a/./b", vec![image(1)], "may be `.` or `..`");
    check_key("a\0", image(1), "NUL");
    check_key("list", Vec::<Image>::new(), "its list of images is empty");
}

#[test]
fn any_other_key_is_written_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let run = offline(dir.path());
    let long = "k".repeat(300);
    let keys = [
        "a b/c.d",
        r#"\:*?"<>|"#,
        "🙂é",
        "NUL",
        "end.",
        "a\tb",
        "%41",
        &long,
    ];
    for key in keys {
        run.log([(key, image(1))]).unwrap();
        run.log([(key, 1)]).unwrap();
    }
    run.finish().unwrap();
    let run_dir = run.dir().unwrap();
    let list = logged::media(run_dir).unwrap();
    let found: Vec<_> = list.files.iter().map(|media| &*media.key).collect();
    assert_eq!(found, keys);
    for media in &list.files {
        let file = fs::read(run_dir.join("files").join(&media.path)).unwrap();
        assert_eq!(Some(file.len() as u64), media.size, "{}", media.path);
        assert!(
            media.path.split('/').all(|name| name.len() <= 200),
            "{}",
            media.path
        );
    }
}

#[test]
fn scalars_take_keys_that_make_no_path() {
    let (run, sink) = in_memory();
    run.log([("/a", 1), ("..", 2)]).unwrap();
    check_rows(&sink, &[(0, "..=2 /a=1")]);
}

#[test]
fn an_image_that_cannot_be_made_keeps_the_row_out() {
    let (run, sink) = in_memory();
    let broken = Image::from(image_crate::empty());
    check_error(
        run.log_at(1, Row::new().with("good", image(1)).with("bad", broken)),
        "is empty",
    );
    run.log_at(1, [("later", 1)]).unwrap();
    run.finish().unwrap();
    check_rows(&sink, &[(1, "later=1")]);
    assert_eq!(sink.files(), []);
}

mod image_crate {
    /// A picture without pixels.
    pub(super) fn empty() -> image::DynamicImage {
        image::DynamicImage::new_luma8(0, 5)
    }
}

#[test]
fn a_finished_run_takes_nothing_more() {
    let (run, sink) = in_memory();
    run.log([("a", 1)]).unwrap();
    run.finish().unwrap();
    run.finish().unwrap();
    run.finish_with(3).unwrap();
    let n = sink.records().len();
    let finished = format!("the run {} is finished", run.run_id());
    check_error(run.log([("a", 2)]), &finished);
    check_error(run.log_at(9, [("a", 2)]), &finished);
    check_error(run.summary("a", 2), &finished);
    check_error(run.config("a", 2), &finished);
    check_error(run.flush(SOON), &finished);
    drop(run);
    assert_eq!(sink.records().len(), n);
    assert_eq!(exit_codes(&sink.records()), [0]);
}

#[test]
fn the_last_clone_finishes_the_run() {
    let (run, sink) = in_memory();
    let clone = run.clone();
    drop(run);
    clone.log_at(1, [("a", 1)]).unwrap();
    assert!(exit_codes(&sink.records()).is_empty());
    drop(clone);
    check_rows(&sink, &[(1, "a=1")]);
    assert_eq!(exit_codes(&sink.records()), [0]);
}

fn panic_with(clone: Run) {
    let panicked = std::thread::spawn(move || {
        let _clone = clone;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    panicked.join().unwrap_err();
}

#[test]
fn a_panic_marks_the_run_failed() {
    let check = |end: fn(Run), expected: i32| {
        let (run, sink) = in_memory();
        panic_with(run.clone());
        run.log([("a", 1)]).unwrap();
        end(run);
        assert_eq!(exit_codes(&sink.records()), [expected]);
    };
    check(drop, 1);
    check(|run| run.finish().unwrap(), 1);
    check(|run| run.finish_with(0).unwrap(), 1);
    check(|run| run.finish_with(4).unwrap(), 4);
    let (run, sink) = in_memory();
    panic_with(run);
    assert_eq!(exit_codes(&sink.records()), [1]);
}

/// Refuses everything while it is broken.
struct Breakable {
    inner: MemorySink,
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Breakable {
    fn check(&self) -> Result<()> {
        if !self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::Io {
            action: "write to",
            path: "the/disk".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        })
    }
}

impl RecordSink for Breakable {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.check()?;
        self.inner.media(path, bytes)
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        self.check()?;
        self.inner.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.check()
    }
}

fn breakable() -> (Run, MemorySink, impl Fn(bool)) {
    let inner = MemorySink::new();
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sink = Breakable {
        inner: inner.clone(),
        broken: broken.clone(),
    };
    let set = move |to| broken.store(to, std::sync::atomic::Ordering::SeqCst);
    let run = init().synchronous(true).start_on(sink).unwrap();
    (run, inner, set)
}

#[test]
fn a_full_disk_fails_that_row_alone() {
    let (run, sink, set_broken) = breakable();
    run.log([("a", 1)]).unwrap();
    set_broken(true);
    check_error(
        run.log([("a", 2)]),
        "a row at step 1 was not written: could not write to the/disk",
    );
    set_broken(false);
    run.log([("a", 3)]).unwrap();
    check_rows(&sink, &[(0, "a=1"), (2, "a=3")]);
    check_error(run.finish(), "1 row failed");
    assert_eq!(exit_codes(&sink.records()), [1]);
}

#[test]
fn a_summary_waits_for_the_disk() {
    let (run, sink, set_broken) = breakable();
    run.log([("a", 1)]).unwrap();
    set_broken(true);
    check_error(run.flush(SOON), "could not write to the/disk");
    check_error(run.finish(), "could not write to the/disk");
    set_broken(false);
    run.log([("a", 2)]).unwrap();
    run.finish().unwrap();
    assert_eq!(summary(&sink.records(), "a").as_deref(), Some("2"));
    assert_eq!(exit_codes(&sink.records()), [0]);
}

#[test]
fn an_exit_code_outlives_a_full_disk() {
    let (run, sink, set_broken) = breakable();
    set_broken(true);
    check_error(run.finish_with(3), "the/disk");
    set_broken(false);
    drop(run);
    assert_eq!(exit_codes(&sink.records()), [3]);
}

#[test]
fn a_file_that_the_disk_refuses_costs_its_picture_alone() {
    let sink = MemorySink::new();
    let run = init().start_on(WithoutFiles(sink.clone())).unwrap();
    run.log_at(1, Row::new().with("sample", image(1)).with("a", 1))
        .unwrap();
    check_error(
        run.finish(),
        "1 picture failed; the first failure: a picture of \"sample\" at step 1 was \
         not written: could not write media/images/sample_1_",
    );
    check_rows(&sink, &[(1, "a=1")]);
    assert_eq!(exit_codes(&sink.records()), [0]);
}

/// Takes records, but no file.
struct WithoutFiles(MemorySink);

impl RecordSink for WithoutFiles {
    fn media(&mut self, path: &str, _: &[u8]) -> Result<()> {
        Err(Error::Io {
            action: "write",
            path: path.into(),
            source: std::io::ErrorKind::StorageFull.into(),
        })
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        self.0.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

#[test]
fn the_directory_is_what_wandb_reads() {
    let dir = tempfile::tempdir().unwrap();
    let run = init()
        .mode(RunMode::Offline)
        .dir(dir.path())
        .run_id("my-run")
        .project("digits")
        .name("first")
        .tags(["a", "b"])
        .start()
        .unwrap();
    run.log(Row::new().with("loss", 1).with("sample", image(1)))
        .unwrap();
    let run_dir = run.dir().unwrap().to_path_buf();
    assert!(run_dir.is_absolute());
    let name = run_dir.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("offline-run-") && name.ends_with("-my-run"),
        "{name}"
    );
    assert_eq!(run_dir.parent().unwrap(), dir.path().join("wandb"));
    assert!(run_dir.join("logs").is_dir());
    run.flush(SOON).unwrap();
    let before_the_end = records_on_disk(&run_dir);
    assert!(matches!(
        before_the_end[before_the_end.len() - 2..],
        [RecordType::History(_), RecordType::Summary(_)]
    ));
    run.finish().unwrap();
    let records = records_on_disk(&run_dir);
    assert_eq!(exit_codes(&records), [0]);
    let Some(RecordType::Run(run)) = records.get(1) else {
        panic!("{records:?}");
    };
    assert_eq!(
        (
            &*run.run_id,
            &*run.project,
            &*run.display_name,
            run.tags.len()
        ),
        ("my-run", "digits", "first", 2)
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    let error = init()
        .mode(RunMode::Offline)
        .dir(&file)
        .start()
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(&error, Error::RunDirectory { path, .. } if path.starts_with(&file)),
        "{error}"
    );
}

#[test]
fn a_disabled_run_writes_nothing_and_still_checks() {
    let dir = tempfile::tempdir().unwrap();
    let run = init()
        .mode(RunMode::Disabled)
        .dir(dir.path())
        .start()
        .unwrap();
    run.log(Row::new().with("a", 1).with("sample", image(1)))
        .unwrap();
    run.log_at(7, [("a", 1)]).unwrap();
    check_error(run.log([("", 1)]), "must not be empty");
    check_error(run.log([("/a", image(1))]), "begin with a slash");
    let poor = image(1).file_type(FileType::Jpg { quality: 0 });
    check_error(run.log([("a", poor)]), "the JPEG quality is 0");
    check_error(run.log_at(3, [("a", 1)]), "steps must rise");
    assert_eq!(
        (run.step(), run.dir(), run.mode()),
        (8, None, RunMode::Disabled)
    );
    run.finish().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_online_run_names_the_feature() {
    let start = init().mode(RunMode::Online).start().map(drop);
    check_error(
        start,
        "no feature `online` yet: run offline, which is the default, and upload with `wandb sync`",
    );
}

#[test]
fn threads_share_a_run() {
    let (run, sink) = in_memory();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..25 {
                    run.log([("i", i)]).unwrap();
                }
            });
        }
    });
    let steps: Vec<_> = sink.rows().iter().map(step).collect();
    assert_eq!(steps, (0..100).collect::<Vec<_>>());
}

/// A run of rows that fill several blocks of the log.
fn long_run(dir: &Path) -> PathBuf {
    let run = offline(dir);
    for i in 0..20_usize {
        run.log(Row::new().with("i", i).with("text", "x".repeat(i * 997)))
            .unwrap();
    }
    run.finish().unwrap();
    logged::find_log(run.dir().unwrap()).unwrap()
}

/// The records before the damage, and the damage.
fn read(bytes: &[u8]) -> (Vec<Record>, Option<Error>) {
    let mut records = Vec::new();
    let log = match LogReader::from_reader("some/run.wandb", bytes) {
        Ok(log) => log,
        Err(error) => return (records, Some(error)),
    };
    for record in log {
        match record {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

#[test]
fn a_log_is_read_back_over_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(long_run(dir.path())).unwrap();
    assert!(bytes.len() > 5 * 32 * 1024);
    let (records, damage) = read(&bytes);
    assert!(damage.is_none(), "{damage:?}");
    assert_eq!(records.len(), 3 + 20 + 2);
}

#[test]
fn a_torn_log_gives_every_whole_record_first() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(long_run(dir.path())).unwrap();
    let (whole, _) = read(&bytes);
    for end in (7..bytes.len()).step_by(61) {
        let (records, damage) = read(&bytes[..end]);
        assert_eq!(records, whole[..records.len()]);
        if let Some(damage) = damage {
            assert!(
                matches!(&damage, Error::Log { offset, .. } if *offset <= end as u64),
                "{damage}"
            );
        }
    }
}

fn check_damage(bytes: &[u8], records: usize, expected: &str) {
    let (read, damage) = read(bytes);
    let damage = damage.unwrap().to_string();
    assert_eq!((read.len(), &*damage), (records, expected));
}

#[test]
fn damage_is_told_with_path_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read(long_run(dir.path())).unwrap();
    let header_len = usize::from(u16::from_le_bytes([bytes[11], bytes[12]]));
    let second = 7 + 7 + header_len;
    let changed = |at: usize, to: u8| {
        let mut changed = bytes.clone();
        changed[at] = to;
        changed
    };
    let at = |offset: usize, reason: &str| {
        format!("some/run.wandb is damaged at byte {offset}: {reason}")
    };
    let no_log = at(0, "it does not begin as a W&B transaction log does");
    check_damage(b"", 0, &no_log);
    check_damage(&changed(0, b';'), 0, &no_log);
    check_damage(
        &changed(second + 9, !bytes[second + 9]),
        1,
        &at(second, "the checksum does not match"),
    );
    check_damage(&bytes[..second + 3], 1, &at(second, "the log is torn here"));
    check_damage(
        &bytes[..second + 20],
        1,
        &at(second, "the log is torn here"),
    );
    let claimed = 0xFF00 + usize::from(bytes[second + 4]);
    let past = at(
        second,
        &format!("a chunk claims {claimed} bytes, past its block"),
    );
    check_damage(&changed(second + 5, 0xFF), 1, &past);
}

#[test]
fn a_run_without_a_log_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = logged::media(dir.path()).unwrap_err().to_string();
    assert!(error.contains("holds no .wandb file"), "{error}");
}

/// Tests that need a process of their own run this test binary again, at [`child`] alone.
#[cfg(unix)]
mod processes {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    const TASK: &str = "WANDB_IMAGE_TEST_TASK";

    /// Not a test: what [`spawn`] makes of this binary.
    #[test]
    #[ignore = "runs in a process of its own, which other tests start"]
    fn child() {
        match std::env::var(TASK).as_deref() {
            Ok("wait for a signal") => wait_for_a_signal(true),
            Ok("wait for a signal, unasked") => wait_for_a_signal(false),
            Ok("start") => {
                let run = init().start().unwrap();
                run.log([("a", 1)]).unwrap();
                run.finish().unwrap();
            }
            Ok("warn") => {
                let run = init().start().unwrap();
                for _ in 0..3 {
                    run.log([("see-through", transparent())]).unwrap();
                    run.log([("values", out_of_range())]).unwrap();
                }
                run.finish().unwrap();
            }
            Ok("log until a signal") => {
                let run = init().finish_on_signal().start().unwrap();
                run.log([("sample", slow())]).unwrap();
                println!("\nready");
                while run.log([("a", 1)]).is_ok() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                // As `?` does it in `main`: the run is dropped, and the process ends.
            }
            Ok("finish slowly") => {
                let run = init().start().unwrap();
                run.log([("sample", slow())]).unwrap();
                run.finish().unwrap();
            }
            Ok("drop") => drop(init().start().unwrap()),
            task => panic!("no task of a child: {task:?}"),
        }
    }

    fn out_of_range() -> Image {
        let values = vec![-0.5_f32, 0.5, 0.1, f32::NAN, 8.25, f32::INFINITY];
        let unit = ImageOptions::new().normalize(Normalize::Unit);
        let tensor = HostTensor::new([2, 3], values).unwrap();
        tensor.to_wandb_image_with(&unit).unwrap()
    }

    fn transparent() -> Image {
        let pixels = Pixels::new(1, 1, Mode::Rgba, vec![1, 2, 3, 4]).unwrap();
        Image::from(pixels).file_type(FileType::jpg())
    }

    /// A picture that takes more than a second to be read.
    fn slow() -> Image {
        struct Slow;
        impl IntoWandbImage for Slow {
            fn to_host(&self) -> Result<HostTensor> {
                HostTensor::new([1, 1], vec![0_u8])
            }
            fn snapshot(&self) -> Result<Snapshot> {
                Ok(Snapshot::new([1, 1], DType::U8, || {
                    std::thread::sleep(Duration::from_millis(1_700));
                    Slow.to_host()
                }))
            }
        }
        Slow.to_wandb_image().unwrap()
    }

    fn wait_for_a_signal(asked: bool) {
        let builder = if asked {
            init().finish_on_signal()
        } else {
            init()
        };
        let run = builder.start().unwrap();
        run.log([("a", 1)]).unwrap();
        run.flush(SOON).unwrap();
        run.log_at(5, [("b", 2)]).unwrap();
        println!("\nready");
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    fn spawn(task: &str, dir: &Path, variables: &[(&str, &str)]) -> Child {
        child::of_this_binary(&[], "run::processes::child")
            .env(TASK, task)
            .env("WANDB_DIR", dir)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn the_run_in(dir: &Path) -> PathBuf {
        dir.join("wandb")
            .join(fs::read_link(dir.join("wandb/latest-run")).unwrap())
    }

    /// The records of a run in a process that got a signal, and what ended the process.
    fn signalled(task: &str, signal: i32) -> (Vec<RecordType>, Option<i32>) {
        use std::os::unix::process::ExitStatusExt;
        let dir = tempfile::tempdir().unwrap();
        let mut child = spawn(task, dir.path(), &[]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines
            .map(|line| line.unwrap())
            .find(|line| line == "ready")
            .unwrap();
        let kill = Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        (records_on_disk(&the_run_in(dir.path())), status.signal())
    }

    #[test]
    fn a_signal_ends_the_run() {
        for signal in [2, 15] {
            let (records, ended_by) = signalled("wait for a signal", signal);
            assert_eq!(ended_by, Some(signal));
            assert_eq!(exit_codes(&records), [255]);
            assert_eq!(summary(&records, "b").as_deref(), Some("2"));
        }
    }

    #[test]
    fn a_program_that_returns_while_a_signal_ends_its_run_loses_nothing() {
        let (records, _) = signalled("log until a signal", 15);
        assert_eq!(exit_codes(&records), [255]);
        let pictures = records
            .iter()
            .filter(|record| matches!(record, RecordType::Files(_)));
        assert_eq!(pictures.count(), 1);
    }

    #[test]
    fn a_signal_unasked_for_costs_what_the_docs_say() {
        let (records, ended_by) = signalled("wait for a signal, unasked", 15);
        assert_eq!(ended_by, Some(15));
        assert!(exit_codes(&records).is_empty());
        let rows = records
            .iter()
            .filter(|record| matches!(record, RecordType::History(_)));
        assert_eq!(rows.count(), 1, "the row that `flush` confirmed");
    }

    fn stderr_of(task: &str, variables: &[(&str, &str)]) -> (String, PathBuf, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let output = spawn(task, dir.path(), variables)
            .wait_with_output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        (stderr, the_run_in(dir.path()), dir)
    }

    #[test]
    fn start_and_finish_say_where_the_run_is() {
        let (stderr, run_dir, _dir) = stderr_of("start", &[("WANDB_RUN_ID", "from-env")]);
        let sync = format!("wandb sync {}", run_dir.display());
        assert_eq!(stderr.matches(&sync).count(), 2, "{stderr}");
        assert!(
            stderr.lines().all(|line| line.starts_with("wandb-image: ")),
            "{stderr}"
        );
        assert!(run_dir.join("run-from-env.wandb").exists());
    }

    #[test]
    fn silence_is_kept() {
        let (stderr, _, _dir) = stderr_of("warn", &[("WANDB_SILENT", "true")]);
        assert_eq!(stderr, "");
    }

    #[test]
    fn what_was_noticed_is_said_once_per_key_and_in_all() {
        let (stderr, _, _dir) = stderr_of("warn", &[]);
        assert_eq!(
            warnings(&stderr),
            [
                ALPHA,
                VALUES,
                "\"see-through\", in all 3 images logged: 3 images lost their alpha",
                "\"values\", in all 3 images logged: 6 values saturated, 3 NaN became 0, 3 infinite \
                 values clamped",
            ]
        );
    }

    const ALPHA: &str = "an image of \"see-through\" has transparency, which a jpg file can't hold: \
                         its alpha was dropped; use FileType::Png to keep it";
    const VALUES: &str = "an image of \"values\" was made of values from -0.5 to 8.25: 2 of 6 lie \
                          outside the 0 to 1 that its rule expects and were saturated, 1 of 6 are \
                          NaN and became 0, 1 of 6 are infinite and were clamped; this is said once \
                          per key, with totals at the end";

    fn warnings(stderr: &str) -> Vec<&str> {
        let lines = stderr.lines();
        lines
            .filter_map(|line| line.strip_prefix("wandb-image: warning: "))
            .collect()
    }

    #[test]
    fn an_end_that_takes_long_says_how_far_it_is() {
        let (stderr, _, _dir) = stderr_of("finish slowly", &[]);
        let expected = "finishing: 1 row and 1 picture left after ";
        assert!(stderr.contains(expected), "{stderr}");
        let (stderr, _, _dir) = stderr_of("start", &[]);
        assert!(!stderr.contains("finishing"), "{stderr}");
    }

    #[test]
    fn a_run_dropped_without_its_end_says_so() {
        let (stderr, _, _dir) = stderr_of("drop", &[]);
        assert!(
            stderr.contains("dropped without finish(), and is recorded as a success"),
            "{stderr}"
        );
    }
}

/// A subscriber of `tracing` that keeps warnings and errors.
pub(super) mod listening {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    #[derive(Clone, Default)]
    pub(crate) struct Told(Arc<Mutex<Vec<String>>>, Duration);

    impl Told {
        /// Takes its time with each line.
        pub(crate) fn slowly() -> Self {
            Self(Arc::default(), Duration::from_millis(200))
        }

        pub(crate) fn lines(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Subscriber for Told {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::WARN
        }
        fn event(&self, event: &Event<'_>) {
            std::thread::sleep(self.1);
            event.record(&mut Message(self));
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// A subscriber that panics whenever it is told anything.
    pub(crate) struct Panics;

    impl Subscriber for Panics {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, _: &Event<'_>) {
            panic!("planned by the test")
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// A subscriber that does something whenever it is told anything.
    pub(crate) struct Calls(Box<dyn Fn() + Send + Sync>);

    impl Calls {
        pub(crate) fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
            Self(Box::new(call))
        }
    }

    impl Subscriber for Calls {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, _: &Event<'_>) {
            (self.0)();
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    struct Message<'a>(&'a Told);

    impl Visit for Message<'_> {
        fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
            self.0.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

#[test]
fn warnings_go_to_tracing_where_somebody_listens() {
    let told = listening::Told::default();
    let wide = Image::from(Pixels::new(2, 1, Mode::L, vec![0, 1]).unwrap());
    tracing::subscriber::with_default(told.clone(), || {
        let (run, _sink) = in_memory();
        for _ in 0..2 {
            run.log([("list", vec![image(1), wide.clone()])]).unwrap();
        }
    });
    let warnings = told.lines();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("differ in size (3×2 and 2×1)"),
        "{warnings:?}"
    );
}
