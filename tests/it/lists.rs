//! Lists of images, and the JSON of pictures that go into no row.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use wandb_image::sink::records::{HistoryRecord, Record, RecordType};
use wandb_image::sink::{Kept, MemorySink, RecordSink};
use wandb_image::{
    BoundingBox, BoundingBoxes2D, Classes, DType, Domain, Error, HostTensor, Image, ImageList,
    ImageMask, IntoWandbImage, Mode, Normalize, Overflow, Overlong, Pixels, Position, Result, Row,
    Run, RunBuilder, RunMode, Snapshot, Value, init,
};

use crate::rows::nested;
use crate::run::listening::Told;

const LONG: Duration = Duration::from_secs(60);

/// A picture of its own for each number.
fn image(number: usize) -> Image {
    let bytes = vec![(number / 256) as u8, (number % 256) as u8];
    Image::from(Pixels::new(2, 1, Mode::L, bytes).unwrap()).caption(number.to_string())
}

fn images(numbers: std::ops::Range<usize>) -> Vec<Image> {
    numbers.map(image).collect()
}

fn of_size(width: u32, height: u32) -> Image {
    let bytes = vec![200; (width * height) as usize];
    Image::from(Pixels::new(width, height, Mode::L, bytes).unwrap())
}

/// A picture of the level, whose tensor does something when it is read.
struct Sly<F>(u8, F);

impl<F: Fn() -> Result<()> + Clone + Send + 'static> IntoWandbImage for Sly<F> {
    fn to_host(&self) -> Result<HostTensor> {
        HostTensor::new([8, 8], vec![self.0; 64])
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(vec![8, 8])
    }
    fn dtype(&self) -> Result<DType> {
        Ok(DType::U8)
    }
    fn default_normalize(&self) -> Normalize {
        Normalize::Off
    }
    fn snapshot(&self) -> Result<Snapshot> {
        let (tensor, read) = (self.to_host()?, self.1.clone());
        Ok(Snapshot::new([8, 8], DType::U8, move || {
            read().map(|()| tensor)
        }))
    }
}

fn failing(level: u8) -> Image {
    let read = || Err(Error::device("out of memory"));
    Sly(level, read).to_wandb_image().unwrap()
}

/// Pictures that are made when the sender is gone. The receiver hears of each that a worker takes
/// in hand.
fn slow() -> (Sender<()>, Receiver<()>, impl Fn() -> Image) {
    let (sender, receiver) = channel();
    let (begin, begun) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    let picture = move || {
        let (receiver, begin) = (Arc::clone(&receiver), begin.clone());
        let read = move || {
            // Few listen.
            let _ = begin.send(());
            let _: Result<(), _> = receiver.lock().unwrap().recv();
            Ok(())
        };
        Sly(1, read).to_wandb_image().unwrap()
    };
    (sender, begun, picture)
}

/// The warnings and errors of runs that start meanwhile.
fn heard(work: impl FnOnce()) -> Vec<String> {
    let told = Told::default();
    tracing::subscriber::with_default(told.clone(), work);
    told.lines()
}

fn start(builder: RunBuilder) -> (Run, MemorySink) {
    let sink = MemorySink::new();
    (builder.start_on(sink.clone()).unwrap(), sink)
}

fn value<'a>(row: &'a HistoryRecord, path: &[&str]) -> Option<&'a str> {
    let item = row.item.iter().find(|item| item.path() == path)?;
    Some(&item.value_json)
}

/// The user's keys of a row.
fn keys(row: &HistoryRecord) -> Vec<&str> {
    let keys = row.item.iter().map(|item| item.path()[0]);
    let own: BTreeSet<&str> = keys.filter(|key| !key.starts_with('_')).collect();
    own.into_iter().collect()
}

/// The value of a key of a row, put together again.
fn json(row: &HistoryRecord, key: &str) -> serde_json::Value {
    nested(row)[key].take()
}

/// The captions of the list under a key.
fn captions(row: &HistoryRecord, key: &str) -> Vec<usize> {
    let captions: Vec<String> = serde_json::from_value(json(row, key)["captions"].clone()).unwrap();
    captions.iter().map(|text| text.parse().unwrap()).collect()
}

fn check_error<T: std::fmt::Debug>(result: Result<T>, expected: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// What became of the pictures: accepted, written, dropped, failed. None is on its way, though one
/// that was replaced may still be in the making.
fn check_pictures(run: &Run, expected: [u64; 4]) {
    let began = std::time::Instant::now();
    while run.stats().queued_bytes > 0 && began.elapsed() < LONG {
        thread::sleep(Duration::from_millis(1));
    }
    let stats = run.stats();
    let counts = stats.pictures;
    let seen = [
        counts.accepted,
        counts.written,
        counts.dropped,
        counts.failed,
    ];
    assert_eq!((seen, counts.queued), (expected, 0), "{stats:?}");
    assert_eq!(stats.queued_bytes, 0);
}

// ---- lengths ----

/// A list of so many images takes these keys, with their images in order.
fn check_split(images_logged: usize, expected: &[(&str, usize)]) {
    let (run, sink) = start(init());
    run.log([("k", images(0..images_logged))]).unwrap();
    run.finish().unwrap();
    let row = &sink.rows()[0];
    let mut next = 0;
    for (key, len) in expected {
        assert_eq!(
            captions(row, key),
            (next..next + len).collect::<Vec<_>>(),
            "{key}"
        );
        assert_eq!(json(row, key)["count"], *len);
        let names = json(row, key)["filenames"].to_string();
        assert!(names.contains(&format!("media/images/{key}_0_")), "{names}");
        next += len;
    }
    let expected: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys(row), expected);
    assert_eq!(sink.files().len(), images_logged);
    check_pictures(&run, [images_logged as u64, images_logged as u64, 0, 0]);
}

#[test]
fn a_list_over_108_goes_on_under_more_keys() {
    check_split(1, &[("k", 1)]);
    check_split(108, &[("k", 108)]);
    check_split(109, &[("k", 108), ("k (2)", 1)]);
    check_split(250, &[("k", 108), ("k (2)", 108), ("k (3)", 34)]);
}

#[test]
fn a_batch_that_is_split_is_held_once() {
    let batch = HostTensor::new([120, 1, 1, 1], (0..120).collect::<Vec<u8>>()).unwrap();
    // The tensor's bytes and the pixels fit, and a second copy of the tensor wouldn't.
    let builder = init()
        .queue_bytes(120 + 120)
        .overflow(Overflow::Wait(Duration::ZERO));
    let (run, sink) = start(builder);
    run.log([("k", batch.to_wandb_images().unwrap())]).unwrap();
    run.finish().unwrap();
    assert_eq!(keys(&sink.rows()[0]), ["k", "k (2)"]);
    check_pictures(&run, [120, 120, 0, 0]);
}

/// Masks of one batch over pictures of one batch, each pair in a row of its own.
#[test]
fn a_batch_that_is_logged_over_many_rows_is_held_once() {
    let builder = init().overflow(Overflow::Wait(Duration::ZERO)).workers(1);
    let (run, sink) = start(builder);
    let (go, _, slow) = slow();
    run.log([("slow", slow())]).unwrap();
    let before = run.stats().queued_bytes;
    let pictures = HostTensor::new([16, 1, 4, 4], vec![7_u8; 256]).unwrap();
    let scores = HostTensor::new([16, 21, 4, 4], vec![0.5_f32; 16 * 21 * 16]).unwrap();
    let pairs = pictures.to_wandb_images().unwrap().into_iter();
    for (picture, mask) in pairs.zip(scores.to_wandb_masks().unwrap()) {
        run.log([("k", picture.masks("m", mask).unwrap())]).unwrap();
    }
    // Each has its own pixels, those of the picture and of the mask.
    let shared = 256 + 16 * 21 * 16 * 4;
    assert_eq!(run.stats().queued_bytes - before, shared + 16 * (16 + 16));
    drop(go);
    run.finish().unwrap();
    assert_eq!(sink.rows().len(), 17);
    check_pictures(&run, [17, 17, 0, 0]);
}

#[test]
fn a_list_that_is_split_is_said_once_per_key() {
    let said = heard(|| {
        let (run, _) = start(init());
        for _ in 0..2 {
            run.log(
                Row::new()
                    .with("a", images(0..109))
                    .with("b", images(0..217)),
            )
            .unwrap();
        }
        run.log([("c", images(0..108))]).unwrap();
        run.finish().unwrap();
    });
    let expected = [
        "a list of 109 images was logged under \"a\" as 2 lists, the last of them under \"a (2)\", \
         since W&B shows 108 of one",
        "a list of 217 images was logged under \"b\" as 3 lists, the last of them under \"b (3)\"",
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}");
        assert!(
            said.contains("Image::joined") && said.contains("Overlong::Error"),
            "{said}"
        );
    }
}

#[test]
fn a_list_over_108_is_an_error_when_asked() {
    let (run, sink) = start(init());
    let list = |n| ImageList::new(images(0..n)).overlong(Overlong::Error);
    let row = Row::new().with("a", 1).with("k", list(109));
    check_error(
        run.log(row),
        "the list under \"k\" has 109 images, but W&B shows 108 of one: give fewer, join them into \
         a grid (Image::joined), or leave it to Overlong::Split to use more keys",
    );
    assert_eq!(run.stats().rows.accepted, 0);
    run.log([("k", list(108))]).unwrap();
    run.finish().unwrap();
    assert_eq!((sink.rows().len(), sink.files().len()), (1, 108));
}

/// What stands under the keys of the open row when `calls` are logged at it one by one, and the
/// first error.
fn check_calls(calls: Vec<Row>, expected: &[&str], error: Option<&str>) {
    let (run, sink) = start(init());
    let results: Vec<Result<()>> = calls.into_iter().map(|row| run.log_at(3, row)).collect();
    run.finish().unwrap();
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), error.iter().len(), "{failed:?}");
    for (failed, expected) in failed.iter().zip(error) {
        let text = failed.to_string();
        assert!(text.contains(expected), "{text}");
    }
    let rows = sink.rows();
    let row = rows.first().map(keys).unwrap_or_default();
    assert_eq!(row, expected);
    let written = run.stats().pictures.written;
    check_pictures(&run, [written, written, 0, 0]);
    assert_eq!(written > 0, !sink.files().is_empty());
}

fn list(n: usize) -> Row {
    Row::new().with("k", images(0..n))
}

fn scalar(key: &str) -> Row {
    Row::new().with(key, 5)
}

#[test]
fn a_list_that_is_replaced_leaves_nothing_behind() {
    let ks = ["k", "k (2)", "k (3)"];
    check_calls(vec![list(300), list(200)], &ks[..2], None);
    check_calls(vec![list(300), list(3)], &ks[..1], None);
    check_calls(vec![list(3), list(300)], &ks, None);
    check_calls(vec![list(300), list(3), list(200)], &ks[..2], None);
    check_calls(vec![list(300), scalar("k")], &ks[..1], None);
    check_calls(
        vec![list(300), Row::new().with("k", image(7))],
        &ks[..1],
        None,
    );
    check_calls(
        vec![list(300), scalar("other")],
        &["k", "k (2)", "k (3)", "other"],
        None,
    );
    check_calls(vec![list(300), list(3), scalar("k (2)")], &ks[..2], None);
    check_calls(vec![list(300), list(3).with("k (2)", 5)], &ks[..2], None);
}

#[test]
fn a_value_of_its_own_under_a_key_of_a_list_is_an_error() {
    let refused = Some(
        "the key \"k (2)\" can't be logged: it has a value of its own in this row, but a list with \
         more images than W&B shows of one goes on under it",
    );
    check_calls(vec![list(109).with("k (2)", 5)], &[], refused);
    check_calls(
        vec![list(109).with("k (2)", image(1)), scalar("a")],
        &["a"],
        refused,
    );
    check_calls(vec![list(109), scalar("k (2)")], &["k", "k (2)"], refused);
    check_calls(vec![scalar("k (2)"), list(109)], &["k (2)"], refused);
    check_calls(
        vec![scalar("k (2)"), list(3), list(109).with("a", 1)],
        &["k", "k (2)"],
        refused,
    );
    check_calls(
        vec![scalar("k (3)"), list(109)],
        &["k", "k (2)", "k (3)"],
        None,
    );
}

#[test]
fn a_step_that_moved_on_has_no_say() {
    let (run, sink) = start(init());
    run.log_at(0, scalar("k (2)")).unwrap();
    run.log_at(1, list(109)).unwrap();
    run.log(scalar("k (2)")).unwrap();
    run.finish().unwrap();
    let rows = sink.rows();
    let all: Vec<_> = rows.iter().map(keys).collect();
    assert_eq!(all, [vec!["k (2)"], vec!["k", "k (2)"], vec!["k (2)"]]);
}

#[test]
fn a_list_is_dropped_whole() {
    let builder = init()
        .queue_bytes(300)
        .overflow(Overflow::Wait(Duration::ZERO));
    let (run, sink) = start(builder.workers(1));
    let (go, _, slow) = slow();
    run.log_at(0, Row::new().with("a", slow())).unwrap();
    run.log_at(0, list(109).with("loss", 1)).unwrap();
    drop(go);
    check_error(run.finish(), "109 pictures dropped");
    assert_eq!(keys(&sink.rows()[0]), ["a", "loss"]);
    check_pictures(&run, [110, 1, 109, 0]);
}

/// What is left of 109 pictures under `k` when a row without room for its own `k` comes to them.
fn check_no_room(row: Row, expected: &[&str], counted: [u64; 4]) {
    let builder = init()
        .queue_bytes(1000)
        .overflow(Overflow::Wait(Duration::ZERO));
    let (run, sink) = start(builder.workers(1));
    let (go, _, slow) = slow();
    run.log_at(0, [("a", slow())]).unwrap();
    run.log_at(1, list(109)).unwrap();
    run.log_at(1, row.with("k", of_size(50, 50))).unwrap();
    drop(go);
    check_error(run.finish(), "since the queue was full");
    assert_eq!(keys(&sink.rows()[1]), expected);
    check_pictures(&run, counted);
}

/// A value of its own may take a key of the list only because that was to be replaced.
#[test]
fn a_list_whose_successor_finds_no_room_stays_whole_or_goes_whole() {
    check_no_room(Row::new(), &["k", "k (2)"], [111, 110, 1, 0]);
    check_no_room(scalar("k (2)"), &["k (2)"], [111, 1, 110, 0]);
    check_no_room(
        Row::new().with("k (2)", image(1)),
        &["k (2)"],
        [112, 2, 110, 0],
    );
    check_no_room(
        Row::new().with("k (2)", of_size(50, 50)),
        &["k", "k (2)"],
        [112, 110, 2, 0],
    );
}

// ---- sizes ----

/// The sizes of the pictures of a list, and what is said of them.
fn check_sizes(list: impl Into<Value>, expected: &[(u32, u32)], warning: Option<&str>) {
    let (mut sink, list) = (MemorySink::new(), list.into());
    let said = heard(|| {
        let run;
        (run, sink) = start(init());
        for _ in 0..2 {
            run.log([("k", list.clone())]).unwrap();
        }
        run.finish().unwrap();
    });
    let sizes: Vec<(u32, u32)> = sink
        .files()
        .iter()
        .map(|file| image::load_from_memory(&file.bytes).unwrap().to_rgba8())
        .map(|picture| picture.dimensions())
        .collect();
    assert_eq!(sizes, expected);
    assert_eq!(said.len(), warning.iter().len(), "{said:?}");
    for (said, expected) in said.iter().zip(warning) {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn pictures_of_different_sizes_are_padded_when_asked() {
    let list = || vec![of_size(4, 1), of_size(1, 3)];
    check_sizes(
        list(),
        &[(4, 1), (1, 3)],
        Some("differ in size (4×1 and 1×3)"),
    );
    check_sizes(&list()[..], &[(4, 1), (1, 3)], Some("differ in size"));
    check_sizes(
        [of_size(4, 1), of_size(1, 3)],
        &[(4, 1), (1, 3)],
        Some("differ"),
    );
    let padded = ImageList::new(list()).pad_to_largest(true);
    check_sizes(padded, &[(4, 3), (4, 3)], None);
}

#[test]
fn padding_reaches_over_every_key_of_a_list_and_is_black() {
    let (run, sink) = start(init());
    let list = (0..108).map(image).chain([of_size(1, 3)]);
    let list = ImageList::new(list).pad_to_largest(true);
    run.log([("k", list)]).unwrap();
    run.finish().unwrap();
    let row = &sink.rows()[0];
    let size = |key: &str| {
        [
            json(row, key)["width"].clone(),
            json(row, key)["height"].clone(),
        ]
    };
    assert_eq!(
        (size("k"), size("k (2)")),
        ([2, 3].map(Into::into), [2, 3].map(Into::into))
    );
    let last = &sink.files()[108].bytes;
    let last = image::load_from_memory(last).unwrap().to_luma8();
    assert_eq!(last.into_raw(), [200, 0, 200, 0, 200, 0]);
}

#[test]
fn padding_over_the_limits_keeps_the_row_out() {
    let (run, _) = start(init());
    let list = ImageList::new([of_size(65_500, 1), of_size(1, 65_500)]).pad_to_largest(true);
    check_error(
        run.log(Row::new().with("a", 1).with("k", list)),
        "a picture of 65500×65500 pixels is too large",
    );
    assert_eq!(run.stats().rows.accepted, 0);
}

// ---- JSON to embed ----

/// A picture with all that can lie over it.
fn layered(level: u8) -> Image {
    let classes = Classes::from_names(["background", "cat"]);
    let mask = ImageMask::new(2, 2, vec![0, 1, 1, 0]).unwrap();
    let one = BoundingBox::new(Domain::Pixel, Position::corners(0.0, 0.0, 1.0, 1.0), 1);
    Image::from(Pixels::new(2, 2, Mode::L, vec![level; 4]).unwrap())
        .caption("a cat")
        .masks("truth", mask.class_labels(classes.clone()))
        .unwrap()
        .boxes("guess", BoundingBoxes2D::new([one]).class_labels(classes))
        .unwrap()
}

/// Files, and the records of files and of class labels, in order.
fn files_without_rows(sink: &MemorySink) -> Vec<Kept> {
    let stripped = |kept| match kept {
        Kept::Media(_) => Some(kept),
        Kept::Record(Record {
            record_type: Some(kind @ (RecordType::Files(_) | RecordType::Config(_))),
            ..
        }) => Some(Kept::Record(Record {
            record_type: Some(kind),
            ..Record::default()
        })),
        _ => None,
    };
    sink.kept().into_iter().filter_map(stripped).collect()
}

/// The same JSON, files and records as those of a row.
fn check_json(media: impl Into<Value>) {
    let media = media.into();
    let (logs, logged) = start(init());
    logs.log_at(5, [("k", media.clone())]).unwrap();
    logs.finish().unwrap();
    let (asks, asked) = start(init());
    let found = asks.media_json("k", 5, media).unwrap();
    assert_eq!(found, json(&logged.rows()[0], "k"));
    assert_eq!(
        files_without_rows(&asked),
        files_without_rows(&logged),
        "before the end"
    );
    assert_eq!(asks.stats().rows.accepted, 0);
    asks.finish().unwrap();
    assert!(asked.rows().is_empty());
    assert_eq!(asks.stats().pictures, logs.stats().pictures);
}

#[test]
fn media_json_is_what_a_row_would_hold() {
    check_json(image(1));
    check_json(layered(1));
    check_json(images(0..3));
    check_json(vec![layered(1), image(2), layered(3)]);
    check_json(ImageList::new([of_size(3, 1), of_size(1, 3)]).pad_to_largest(true));
    check_json(images(0..108));
}

#[test]
fn media_json_can_be_embedded() {
    let (run, sink) = start(init());
    let media = run.media_json("cells", 0, image(3)).unwrap();
    let table = serde_json::json!({"rows": {"first": media}});
    run.log([("table", table.clone())]).unwrap();
    run.finish().unwrap();
    let row = &sink.rows()[0];
    assert_eq!(json(row, "table"), table);
    let named = value(row, &["table", "rows", "first", "path"]).unwrap();
    assert_eq!(named, format!("{:?}", sink.files()[0].path));
}

#[test]
fn media_json_refuses_what_it_cannot_make() {
    let (run, sink) = start(init());
    let refused = |key: &str, step, media: Value, expected: &str| {
        check_error(run.media_json(key, step, media), expected);
    };
    refused(
        "k",
        0,
        0.5.into(),
        "0.5 under \"k\" is no image and no list of images",
    );
    refused("k", 0, "text".into(), "\"text\" under \"k\" is no image");
    refused(
        "k",
        0,
        Vec::<Image>::new().into(),
        "its list of images is empty",
    );
    refused("", 0, image(1).into(), "must not be empty");
    refused("_k", 0, image(1).into(), "W&B's own");
    refused("a/../b", 0, image(1).into(), "`.` or `..`");
    refused(
        "k",
        u64::MAX,
        image(1).into(),
        "the step is 18446744073709551615",
    );
    let overlong = "the list under \"k\" has 109 images, but W&B shows 108 of one";
    refused("k", 0, images(0..109).into(), overlong);
    let strict = ImageList::new(images(0..109)).overlong(Overlong::Error);
    refused("k", 0, strict.into(), overlong);
    check_pictures(&run, [0; 4]);
    run.finish().unwrap();
    refused("k", 0, image(1).into(), "is finished");
    assert!(sink.files().is_empty());
}

#[test]
fn the_step_of_media_json_is_free() {
    let (run, sink) = start(init());
    run.log_at(7, [("loss", 1)]).unwrap();
    for step in [9, 3, 7, i64::MAX as u64] {
        let json = run
            .media_json("k", step, image(step as usize % 256))
            .unwrap();
        let path = json["path"].as_str().unwrap();
        assert!(
            path.starts_with(&format!("media/images/k_{step}_")),
            "{path}"
        );
    }
    assert_eq!(run.step(), 8);
    run.log_at(7, [("more", 1)]).unwrap();
    run.finish().unwrap();
    assert_eq!(keys(&sink.rows()[0]), ["loss", "more"]);
}

#[test]
fn media_json_comes_in_order_with_the_rows_and_waits_for_no_open_one() {
    let (run, sink) = start(init());
    run.log([("k", image(1))]).unwrap();
    let (open, begun, slow) = slow();
    run.log_at(5, [("slow", slow())]).unwrap();
    begun.recv_timeout(LONG).unwrap();
    // The second worker makes it: the first one waits in the picture of the open row.
    run.media_json("k", 5, image(2)).unwrap();
    assert_eq!((sink.rows().len(), sink.files().len()), (1, 2));
    drop(open);
    run.log([("k", image(3))]).unwrap();
    run.finish().unwrap();
    check_pictures(&run, [4, 4, 0, 0]);
}

#[test]
fn media_json_of_many_threads_is_counted_once_each() {
    let (run, sink) = start(init().queue_bytes(2_000).overflow(Overflow::Block));
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let run = &run;
            scope.spawn(move || {
                for i in 0..25 {
                    let number = thread * 25 + i;
                    let json = run.media_json("k", number as u64, image(number)).unwrap();
                    assert_eq!(json["caption"], number.to_string());
                    run.log(Row::new().with("seen", json).with("own", image(number)))
                        .unwrap();
                }
            });
        }
    });
    run.flush(LONG).unwrap();
    run.finish().unwrap();
    check_pictures(&run, [200, 200, 0, 0]);
    assert_eq!(run.stats().rows.written, 100);
    let paths: BTreeSet<String> = sink.files().into_iter().map(|file| file.path).collect();
    for row in sink.rows() {
        let path = value(&row, &["seen", "path"]).unwrap();
        let path: String = serde_json::from_str(path).unwrap();
        assert!(paths.contains(&path), "{path}");
    }
}

/// One that fails: its error is returned, counted, told once, and kept for the end.
fn check_failure(builder: RunBuilder) {
    let said = heard(|| {
        let (run, sink) = start(builder);
        for _ in 0..2 {
            let error = run.media_json("k", 4, failing(1)).unwrap_err();
            assert!(matches!(error, Error::Unwritten { step: 4, .. }), "{error}");
            check_error::<()>(
                Err(error),
                "a picture of \"k\" at step 4 was not written: the tensor",
            );
        }
        let list = vec![image(1), failing(2), image(3)];
        check_error(run.media_json("k", 4, list), "out of memory");
        check_pictures(&run, [5, 2, 0, 3]);
        run.log([("loss", 0.5)]).unwrap();
        run.media_json("k", 4, image(4)).unwrap();
        check_error(run.finish(), "3 pictures failed");
        assert_eq!((sink.rows().len(), sink.files().len()), (1, 3));
        assert_eq!(run.stats().rows.written, 1);
    });
    let told = said
        .iter()
        .filter(|said| said.contains("a picture of \"k\" at step 4"));
    assert_eq!(told.count(), 1, "{said:?}");
}

#[test]
fn a_picture_of_media_json_that_fails_is_the_error() {
    check_failure(init());
    check_failure(init().synchronous(true));
}

/// A sink that refuses what it is told to.
struct Full<F>(MemorySink, F);

impl<F: FnMut(&str) -> bool + Send> Full<F> {
    fn check(&mut self, what: &str) -> Result<()> {
        match (self.1)(what) {
            true => Err(Error::device("the disk is full")),
            false => Ok(()),
        }
    }
}

impl<F: FnMut(&str) -> bool + Send> RecordSink for Full<F> {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.check("media")?;
        self.0.media(path, bytes)
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        let is_files = matches!(record.record_type, Some(RecordType::Files(_)));
        self.check(if is_files { "files" } else { "" })?;
        self.0.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// A disk that refuses the second file, or record of files.
fn check_full(refused: &'static str, expected: &str, counted: [u64; 4]) {
    let sink = MemorySink::new();
    let mut seen = 0;
    let full = Full(sink.clone(), move |what: &str| {
        seen += u64::from(what == refused);
        what == refused && seen == 2
    });
    let run = init().start_on(full).unwrap();
    run.media_json("k", 0, image(1)).unwrap();
    let error = run.media_json("k", 2, images(2..4)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(expected) && text.contains("the disk is full"),
        "{text}"
    );
    check_pictures(&run, counted);
    let retried = run.media_json("k", 2, images(2..4)).unwrap();
    assert_eq!(retried["count"], 2);
    check_error(run.finish(), expected);
    assert!(matches!(sink.records().last(), Some(RecordType::Exit(exit)) if exit.exit_code == 0));
}

#[test]
fn media_json_says_what_the_disk_refused() {
    check_full(
        "media",
        "a picture of \"k\" at step 2 was not written",
        [3, 2, 0, 1],
    );
    check_full(
        "files",
        "the media of \"k\" at step 2 was not written",
        [3, 1, 0, 2],
    );
}

#[test]
fn media_json_that_finds_no_room_says_so() {
    let builder = init()
        .queue_bytes(200)
        .overflow(Overflow::Wait(Duration::ZERO));
    let (run, sink) = start(builder.workers(1));
    let (open, begun, slow) = slow();
    run.log([("slow", slow())]).unwrap();
    begun.recv_timeout(LONG).unwrap();
    let error = run.media_json("k", 3, images(0..50)).unwrap_err();
    assert!(
        matches!(&error, Error::Dropped { key, step: 3 } if key == "k"),
        "{error}"
    );
    check_error::<()>(Err(error), "was dropped, since the queue was full");
    drop(open);
    check_error(run.finish(), "50 pictures dropped");
    check_pictures(&run, [51, 1, 50, 0]);
    assert_eq!(sink.files().len(), 1);
}

/// Two pictures are in the hands of both workers while a call waits: a later one drops its own.
#[test]
fn media_json_that_is_dropped_while_it_waits_says_so() {
    let builder = init().queue_bytes(400).overflow(Overflow::DropOldest);
    let (run, _) = start(builder.workers(1));
    let (open, begun, slow) = slow();
    run.log([("slow", slow())]).unwrap();
    begun.recv_timeout(LONG).unwrap();
    run.log([("slow", slow())]).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| run.media_json("k", 3, images(0..2)));
        while run.stats().pictures.accepted < 4 {
            thread::sleep(Duration::from_millis(1));
        }
        run.log([("large", of_size(20, 20))]).unwrap();
        drop(open);
        check_error(
            asked.join().unwrap(),
            "the media of \"k\" at step 3 was dropped",
        );
    });
    run.finish().unwrap_err();
}

/// One picture of the list is in the hands of a worker, one waits: both go, and so does their room.
#[test]
fn a_list_of_media_json_is_dropped_whole() {
    let builder = init().queue_bytes(580).overflow(Overflow::DropOldest);
    let (run, sink) = start(builder.workers(1));
    let (open, begun, slow) = slow();
    run.log([("slow", slow())]).unwrap();
    begun.recv_timeout(LONG).unwrap();
    thread::scope(|scope| {
        let list = vec![slow(), of_size(4, 4), of_size(4, 4)];
        let asked = scope.spawn(|| run.media_json("c", 3, list));
        while run.stats().pictures.accepted < 4 {
            thread::sleep(Duration::from_millis(1));
        }
        run.log([("large", of_size(12, 12))]).unwrap();
        drop(open);
        check_error(
            asked.join().unwrap(),
            "the media of \"c\" at step 3 was dropped",
        );
    });
    check_error(run.finish(), "3 pictures dropped");
    check_pictures(&run, [5, 2, 3, 0]);
    assert_eq!(sink.files().len(), 2);
    let kept = format!("{:?}", sink.kept());
    assert!(!kept.contains("media/images/c_"), "{kept}");
}

#[test]
fn a_disabled_run_gives_the_json_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = init()
        .mode(RunMode::Disabled)
        .dir(dir.path())
        .start()
        .unwrap();
    let (other, _) = start(init());
    let media = || vec![layered(1), image(2)];
    assert_eq!(
        run.media_json("k", 3, media()).unwrap(),
        other.media_json("k", 3, media()).unwrap()
    );
    check_error(run.media_json("k", 3, 1), "is no image");
    run.finish().unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn media_json_on_a_thread_of_the_run_is_refused() {
    let (run, _) = start(init().workers(1));
    let (tell, told) = channel();
    let clone = run.clone();
    let (clone, tell) = (Arc::new(clone), Mutex::new(tell));
    let tell = Arc::new(tell);
    let read = move || {
        let error = clone.media_json("k", 0, image(1)).unwrap_err();
        tell.lock().unwrap().send(error.to_string()).unwrap();
        Ok(())
    };
    run.log([("sly", Sly(1, read).to_wandb_image().unwrap())])
        .unwrap();
    let said = told.recv_timeout(LONG).unwrap();
    assert!(said.contains("which would wait for itself"), "{said}");
    run.flush(LONG).unwrap();
    check_pictures(&run, [1, 1, 0, 0]);
}

#[test]
fn an_error_says_which_image_of_the_list_it_is() {
    let (run, _) = start(init());
    let reference = Image::from_reference("s3://bucket/a.png").unwrap();
    let refused = run.log([("k", vec![image(0), reference])]).unwrap_err();
    let expected = "image 1 of the list \"k\": the image is a reference to s3://bucket/a.png";
    assert!(refused.to_string().starts_with(expected), "{refused}");
    run.log([("k", vec![image(0), image(1), failing(7)])])
        .unwrap();
    let failed = run.flush(LONG).unwrap_err().to_string();
    let expected = "image 2 of the list \"k\": the tensor could not be read";
    assert!(failed.contains(expected), "{failed}");
}

#[test]
fn what_failed_is_told_before_the_end_is_confirmed() {
    for flushes in [true, false] {
        let told = Told::slowly();
        tracing::subscriber::with_default(told.clone(), || {
            let (run, _) = start(init());
            run.log([("k", failing(7))]).unwrap();
            let result = match flushes {
                true => run.flush(LONG),
                false => run.finish(),
            };
            result.unwrap_err();
            let lines = told.lines();
            let is_told = lines.iter().any(|line| line.contains("a picture of \"k\""));
            assert!(is_told, "{lines:?}");
        });
    }
}
