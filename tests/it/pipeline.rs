//! What happens between `log` and the disk: order, overflow, accounting, faults, endings.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use wandb_image::sink::records::{HistoryRecord, Record, RecordType};
use wandb_image::sink::{Kept, MemorySink, RecordSink, StagedFile};
use wandb_image::{
    Artifact, Counts, DType, Error, HostTensor, Image, IntoWandbImage, Overflow, Result, Row, Run,
    RunBuilder, Snapshot, init,
};

/// Time enough for anything that ends at all.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// Time that is up at once.
pub(crate) const SHORT: Duration = Duration::from_millis(5);

/// A door that pictures wait behind when they are read.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Door>);

#[derive(Default)]
struct Door {
    is_open: Mutex<bool>,
    opened: Condvar,
    arrivals: AtomicUsize,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.is_open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }

    fn pass(&self) {
        self.0.arrivals.fetch_add(1, Ordering::SeqCst);
        let is_open = self.0.is_open.lock().unwrap();
        drop(
            self.0
                .opened
                .wait_while(is_open, |is_open| !*is_open)
                .unwrap(),
        );
    }

    /// Waits until so many pictures are in the making.
    fn await_arrivals(&self, arrivals: usize) {
        eventually(|| self.0.arrivals.load(Ordering::SeqCst) >= arrivals);
    }
}

/// A grey picture of 16×16 whose tensor, of 256 bytes, does something when it is read.
struct Sly<F>(u8, F);

const SIDE: usize = 16;
/// What one picture holds while it waits: its tensor, and its pixels.
const HELD: u64 = 512;

impl<F: Fn() -> Result<()> + Clone + Send + 'static> IntoWandbImage for Sly<F> {
    fn to_host(&self) -> Result<HostTensor> {
        HostTensor::new([SIDE, SIDE], vec![self.0; SIDE * SIDE])
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(vec![SIDE, SIDE])
    }
    fn dtype(&self) -> Result<DType> {
        Ok(DType::U8)
    }
    fn default_normalize(&self) -> wandb_image::Normalize {
        wandb_image::Normalize::Off
    }
    fn snapshot(&self) -> Result<Snapshot> {
        let (tensor, read) = (self.to_host()?, self.1.clone());
        Ok(Snapshot::new([SIDE, SIDE], DType::U8, move || {
            read().map(|()| tensor)
        }))
    }
}

pub(crate) fn behind(gate: &Gate, level: u8) -> Image {
    let gate = gate.clone();
    let pass = move || {
        gate.pass();
        Ok(())
    };
    Sly(level, pass).to_wandb_image().unwrap()
}

pub(crate) fn plain(level: u8) -> Image {
    Sly(level, || Ok(())).to_wandb_image().unwrap()
}

fn start(builder: RunBuilder) -> (Run, MemorySink) {
    let sink = MemorySink::new();
    (builder.start_on(sink.clone()).unwrap(), sink)
}

/// The value of a key at the top of a row, as JSON.
fn value<'a>(row: &'a HistoryRecord, path: &[&str]) -> Option<&'a str> {
    let item = row.item.iter().find(|item| item.path() == path)?;
    Some(&item.value_json)
}

fn number(row: &HistoryRecord, key: &str) -> u64 {
    value(row, &[key]).unwrap().parse().unwrap()
}

fn steps(sink: &MemorySink) -> Vec<u64> {
    sink.rows().iter().map(|row| number(row, "_step")).collect()
}

/// The rows that have a picture under the key `sample`.
fn steps_with_picture(sink: &MemorySink) -> Vec<u64> {
    let rows = sink.rows();
    let with = rows
        .iter()
        .filter(|row| value(row, &["sample", "path"]).is_some());
    with.map(|row| number(row, "_step")).collect()
}

/// The grey levels of the files, in the order in which they were written.
fn levels(sink: &MemorySink) -> Vec<u8> {
    let level = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_luma8().as_raw()[0];
    sink.files().iter().map(|file| level(&file.bytes)).collect()
}

fn check_sums(counts: Counts) {
    let Counts {
        accepted,
        written,
        dropped,
        failed,
        queued,
        ..
    } = counts;
    assert_eq!(accepted, written + dropped + failed + queued, "{counts:?}");
}

/// What became of the pictures: written, dropped, failed, queued.
fn check_pictures(run: &Run, expected: [u64; 4]) {
    let stats = run.stats();
    check_sums(stats.rows);
    check_sums(stats.pictures);
    let Counts {
        written,
        dropped,
        failed,
        queued,
        ..
    } = stats.pictures;
    assert_eq!([written, dropped, failed, queued], expected, "{stats:?}");
}

pub(crate) fn check_error(result: Result<()>, expected: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in expected {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// Waits for what another thread does.
pub(crate) fn eventually(condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < LONG, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

// ---- order ----

#[test]
fn log_does_not_wait_for_a_picture_and_no_scalar_overtakes_it() {
    let (gate, (run, sink)) = (Gate::default(), start(init().workers(2)));
    run.log([("sample", behind(&gate, 1))]).unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.log([("sample", plain(2))]).unwrap();
    eventually(|| run.stats().queued_bytes < 2 * HELD);
    assert!(sink.rows().is_empty(), "a row overtook the first one");
    check_pictures(&run, [0, 0, 0, 2]);
    gate.open();
    run.finish().unwrap();
    assert_eq!(steps(&sink), [0, 1, 2]);
    assert_eq!(levels(&sink), [1, 2]);
    check_pictures(&run, [2, 0, 0, 0]);
}

#[test]
fn pictures_of_an_open_row_are_made_before_it_is_closed() {
    let (run, sink) = start(init());
    run.log_at(3, [("sample", plain(1))]).unwrap();
    eventually(|| !run.stats().encode_time.is_zero());
    assert!(sink.rows().is_empty());
    assert_eq!(run.stats().rows.queued, 1);
    run.log_at(3, [("loss", 1)]).unwrap();
    run.finish().unwrap();
    assert_eq!(run.stats().rows.written, 1);
    assert_eq!(steps_with_picture(&sink), [3]);
}

#[test]
fn a_picture_that_is_replaced_counts_no_more() {
    let (gate, (run, sink)) = (Gate::default(), start(init()));
    for level in 1..=3 {
        run.log_at(0, [("sample", behind(&gate, level))]).unwrap();
    }
    assert_eq!(run.stats().pictures.accepted, 1);
    gate.open();
    run.log_at(0, [("sample", behind(&gate, 4))]).unwrap();
    run.finish().unwrap();
    assert_eq!(levels(&sink), [4]);
    check_pictures(&run, [1, 0, 0, 0]);
    // A worker may have one in hand that nothing takes any more.
    eventually(|| run.stats().queued_bytes == 0);
}

#[test]
fn a_picture_that_stays_the_same_is_stored_once() {
    let (run, sink) = start(init());
    let list = |levels: &[u8]| -> Vec<Image> { levels.iter().map(|&level| plain(level)).collect() };
    for (step, levels) in [(0, [1, 2]), (10, [1, 3]), (20, [3, 1]), (30, [4, 4])] {
        let row = Row::new()
            .with("list", list(&levels))
            .with("sample", plain(7));
        run.log_at(step, row).unwrap();
    }
    run.finish().unwrap();
    let names = |row: &HistoryRecord, path: &[&str]| value(row, path).unwrap().to_owned();
    let rows = sink.rows();
    let of_key: Vec<_> = rows
        .iter()
        .map(|row| names(row, &["sample", "path"]))
        .collect();
    assert_eq!(of_key, vec![of_key[0].clone(); 4]);
    assert_eq!(levels(&sink), [1, 2, 7, 3, 4]);
    for row in &rows {
        let listed = names(row, &["list", "filenames"]);
        let listed: Vec<String> = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed.len(), 2);
        let files = sink.files();
        assert!(
            listed
                .iter()
                .all(|path| files.iter().any(|file| &file.path == path))
        );
    }
    assert_eq!(run.stats().pictures.written, 12);
}

// ---- overflow ----

/// Ten rows with a loss and a picture behind a closed gate, in a queue that holds three of them.
fn overflow(overflow: Overflow) -> (Gate, Run, MemorySink) {
    let builder = init().queue_bytes(3 * HELD).overflow(overflow);
    let (gate, (run, sink)) = (Gate::default(), start(builder.workers(1)));
    for i in 0..10 {
        let picture = behind(&gate, i);
        run.log(Row::new().with("loss", i).with("sample", picture))
            .unwrap();
        gate.await_arrivals(1);
    }
    assert!(run.stats().queued_bytes <= 3 * HELD);
    (gate, run, sink)
}

#[test]
fn a_full_queue_drops_pictures_and_never_scalars() {
    let (gate, run, sink) = overflow(Overflow::Wait(SHORT));
    check_pictures(&run, [0, 7, 0, 3]);
    gate.open();
    check_error(
        run.flush(LONG),
        &["7 pictures dropped, since the queue was full"],
    );
    run.flush(LONG).unwrap();
    assert_eq!(steps(&sink), (0..10).collect::<Vec<_>>());
    assert_eq!(steps_with_picture(&sink), [0, 1, 2]);
    run.log([("sample", plain(9))]).unwrap();
    check_error(run.finish(), &["7 pictures dropped"]);
    check_pictures(&run, [4, 7, 0, 0]);
    assert!(
        sink.rows()
            .iter()
            .take(10)
            .all(|row| value(row, &["loss"]).is_some())
    );
}

#[test]
fn the_oldest_pictures_are_dropped_where_that_is_asked_for() {
    let (gate, run, sink) = overflow(Overflow::DropOldest);
    check_pictures(&run, [0, 7, 0, 3]);
    gate.open();
    run.finish().unwrap_err();
    let with_picture = steps_with_picture(&sink);
    assert_eq!(with_picture[with_picture.len() - 2..], [8, 9]);
    assert_eq!(
        with_picture.len(),
        3,
        "the one in the making, and the last two"
    );
    assert_eq!(sink.rows().len(), 10);
}

/// The front row waits for a picture, and more rows than the queue's limit follow.
#[test]
fn pictures_are_not_dropped_to_make_room_for_rows() {
    let builder = init().queue_rows(4).overflow(Overflow::DropOldest);
    let (gate, (run, sink)) = (Gate::default(), start(builder.workers(1)));
    for i in 0..3 {
        run.log([("sample", behind(&gate, i))]).unwrap();
    }
    (0..5).for_each(|i| run.log([("loss", i)]).unwrap());
    run.log([("sample", plain(9))]).unwrap();
    check_pictures(&run, [0, 1, 0, 3]);
    gate.open();
    run.finish().unwrap_err();
    assert_eq!(levels(&sink), [0, 1, 2]);
}

/// The row at the front waits for nothing but pictures that are then dropped.
#[test]
fn a_row_whose_pictures_are_dropped_is_written() {
    let builder = init().queue_bytes(2 * HELD).overflow(Overflow::DropOldest);
    let (gate, (run, sink)) = (Gate::default(), start(builder.workers(1)));
    run.log_at(0, [("busy", behind(&gate, 0))]).unwrap();
    gate.await_arrivals(1);
    run.log_at(0, [("busy", behind(&gate, 1))]).unwrap();
    run.log_at(1, [("sample", behind(&gate, 2))]).unwrap();
    run.log_at(2, [("a", behind(&gate, 3))]).unwrap();
    run.log_at(2, [("b", behind(&gate, 4))]).unwrap();
    eventually(|| steps(&sink).contains(&0));
    gate.open();
    run.finish().unwrap_err();
    assert_eq!(steps(&sink), [0, 1, 2]);
}

#[test]
fn a_queue_that_blocks_drops_nothing() {
    let builder = init().queue_bytes(3 * HELD).overflow(Overflow::Block);
    let (gate, (run, sink)) = (Gate::default(), start(builder));
    let logging = {
        let (run, gate) = (run.clone(), gate.clone());
        thread::spawn(move || {
            for i in 0..10 {
                run.log([("sample", behind(&gate, i))]).unwrap();
            }
        })
    };
    eventually(|| run.stats().pictures.accepted == 3);
    check_error(run.flush(SHORT), &["3 pictures still on their way"]);
    assert!(!logging.is_finished());
    gate.open();
    logging.join().unwrap();
    run.finish().unwrap();
    assert_eq!(levels(&sink), (0..10).collect::<Vec<_>>());
}

#[test]
fn rows_without_pictures_wait_only_where_the_queue_blocks() {
    let rows = |overflow| {
        let builder = init().queue_rows(2).overflow(overflow);
        let (gate, (run, sink)) = (Gate::default(), start(builder));
        run.log([("sample", behind(&gate, 0))]).unwrap();
        let logging = {
            let run = run.clone();
            thread::spawn(move || (1..20).for_each(|i| run.log([("loss", i)]).unwrap()))
        };
        (gate, run, sink, logging)
    };
    let (gate, run, sink, logging) = rows(Overflow::default());
    logging.join().unwrap();
    assert!(sink.rows().is_empty());
    run.log([("sample", plain(1))]).unwrap();
    check_pictures(&run, [0, 1, 0, 1]);
    gate.open();
    run.finish().unwrap_err();
    assert_eq!(sink.rows().len(), 21);

    let (gate, run, sink, logging) = rows(Overflow::Block);
    eventually(|| run.stats().rows.queued >= 2);
    assert!(!logging.is_finished());
    gate.open();
    logging.join().unwrap();
    run.finish().unwrap();
    assert_eq!(sink.rows().len(), 20);
}

/// A text of which two have room in a queue of [`ROOM`] bytes.
const LONG_TEXT: usize = 60_000;
const ROOM: u64 = 130_000;
/// What it counts at least.
const COUNTED: u64 = 58_000;

/// Rows with long texts behind a picture that isn't made.
fn log_texts(run: &Run) {
    let text = "x".repeat(LONG_TEXT);
    (1..=4).for_each(|_| run.log([("text", text.as_str())]).unwrap());
}

fn texts(sink: &MemorySink) -> usize {
    let rows = sink.rows();
    let with = rows.iter().filter(|row| value(row, &["text"]).is_some());
    with.count()
}

#[test]
fn pictures_yield_to_long_texts() {
    for (overflow, dropped) in [(Overflow::Wait(SHORT), 1), (Overflow::DropOldest, 2)] {
        let builder = init().queue_bytes(ROOM).overflow(overflow).workers(1);
        let (gate, (run, sink)) = (Gate::default(), start(builder));
        run.log([("sample", behind(&gate, 0))]).unwrap();
        gate.await_arrivals(1);
        run.log([("sample", plain(1))]).unwrap();
        log_texts(&run);
        assert!(run.stats().queued_bytes >= 4 * COUNTED);
        run.log([("sample", plain(2))]).unwrap();
        check_pictures(&run, [0, dropped, 0, 3 - dropped]);
        gate.open();
        run.finish().unwrap_err();
        assert_eq!((steps(&sink).len(), texts(&sink)), (7, 4), "{overflow:?}");
        assert_eq!(run.stats().queued_bytes, 0);
    }
}

#[test]
fn a_queue_that_blocks_is_bounded_in_texts_too() {
    let builder = init().queue_bytes(ROOM).overflow(Overflow::Block);
    let (gate, (run, sink)) = (Gate::default(), start(builder));
    run.log([("sample", behind(&gate, 0))]).unwrap();
    let logging = {
        let run = run.clone();
        thread::spawn(move || log_texts(&run))
    };
    eventually(|| run.stats().queued_bytes > 2 * COUNTED);
    eventually(|| run.stats().rows.accepted == 4);
    assert!(run.stats().queued_bytes <= ROOM);
    assert!(!logging.is_finished());
    gate.open();
    logging.join().unwrap();
    run.finish().unwrap();
    assert_eq!(texts(&sink), 4);
}

/// Nothing but their row could make room for them.
#[test]
fn a_row_that_fills_a_queue_that_blocks_goes_through() {
    let (run, sink) = start(init().queue_bytes(HELD).overflow(Overflow::Block));
    let text = "x".repeat(LONG_TEXT);
    for level in 0..3 {
        let row = Row::new().with("sample", plain(level));
        run.log(row.with("text", text.as_str())).unwrap();
        run.summary("note", text.as_str()).unwrap();
    }
    run.finish().unwrap();
    assert_eq!((sink.files().len(), texts(&sink)), (3, 3));
}

#[test]
fn a_picture_larger_than_the_queue_is_taken_when_it_is_empty() {
    for overflow in [Overflow::default(), Overflow::Block, Overflow::DropOldest] {
        let (run, sink) = start(init().queue_bytes(1).overflow(overflow));
        for i in 0..3 {
            run.log([("sample", plain(i))]).unwrap();
            run.flush(LONG).unwrap();
        }
        assert_eq!(levels(&sink), [0, 1, 2], "{overflow:?}");
    }
}

#[test]
fn one_step_that_fills_a_queue_that_blocks_goes_through() {
    let (run, sink) = start(init().queue_bytes(HELD).overflow(Overflow::Block));
    for i in 0..50 {
        run.log_at(0, [(format!("sample {i}"), plain(i))]).unwrap();
    }
    run.finish().unwrap();
    assert_eq!(sink.files().len(), 50);
}

#[test]
fn a_queue_that_holds_nothing_is_refused() {
    let zeros: [fn(RunBuilder) -> RunBuilder; 3] = [
        |builder| builder.queue_bytes(0),
        |builder| builder.queue_rows(0),
        |builder| builder.workers(0),
    ];
    for zero in zeros {
        let error = zero(init()).start_on(MemorySink::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is 0, but it must be at least 1")
        );
    }
}

// ---- confirming ----

#[test]
fn flush_says_how_much_is_not_on_disk() {
    let (gate, (run, sink)) = (Gate::default(), start(init()));
    run.log(Row::new().with("loss", 1).with("sample", behind(&gate, 1)))
        .unwrap();
    run.log([("loss", 2)]).unwrap();
    check_error(
        run.flush(SHORT),
        &["2 rows and 1 picture still on their way after 0.005 s"],
    );
    gate.open();
    run.flush(LONG).unwrap();
    assert_eq!(steps(&sink), [0, 1]);
}

#[test]
fn finish_has_a_limit_and_can_be_called_again() {
    let (gate, (run, sink)) = (Gate::default(), start(init()));
    run.log([("sample", behind(&gate, 1))]).unwrap();
    check_error(
        run.finish_within(SHORT),
        &["1 row and 1 picture still on their way"],
    );
    assert!(matches!(
        run.log([("loss", 1)]),
        Err(Error::Finished { .. })
    ));
    gate.open();
    run.finish().unwrap();
    run.finish().unwrap();
    assert_eq!(levels(&sink), [1]);
    let is_exit = |record: &&RecordType| matches!(record, RecordType::Exit(_));
    assert_eq!(sink.records().iter().filter(is_exit).count(), 1);
}

#[test]
fn who_waits_for_room_is_let_go_by_finish() {
    let builder = init().queue_bytes(HELD).overflow(Overflow::Block);
    let (gate, (run, _sink)) = (Gate::default(), start(builder));
    run.log([("sample", behind(&gate, 0))]).unwrap();
    let waiting = {
        let (run, gate) = (run.clone(), gate.clone());
        thread::spawn(move || run.log([("sample", behind(&gate, 1))]))
    };
    eventually(|| run.stats().rows.accepted == 2);
    check_error(run.finish_within(SHORT), &["on their way"]);
    waiting.join().unwrap().unwrap();
    gate.open();
    check_error(run.finish(), &["1 picture dropped"]);
    check_pictures(&run, [1, 1, 0, 0]);
}

#[test]
fn a_run_that_is_dropped_with_a_full_queue_drains() {
    let (gate, (run, sink)) = (Gate::default(), start(init().queue_bytes(20 * HELD)));
    for i in 0..20 {
        run.log([("sample", behind(&gate, i))]).unwrap();
    }
    assert_eq!(run.stats().queued_bytes, 20 * HELD);
    let dropping = thread::spawn(move || drop(run));
    gate.open();
    dropping.join().unwrap();
    assert_eq!(levels(&sink), (0..20).collect::<Vec<_>>());
    assert!(matches!(sink.records().last(), Some(RecordType::Exit(_))));
}

#[test]
fn a_drop_after_a_finish_waits_no_longer_than_that() {
    let (gate, (run, sink)) = (Gate::default(), start(init()));
    run.log([("sample", behind(&gate, 1))]).unwrap();
    run.finish_within(SHORT).unwrap_err();
    drop(run);
    assert!(sink.rows().is_empty(), "the gate is closed");
    gate.open();
    eventually(|| matches!(sink.records().last(), Some(RecordType::Exit(_))));
}

#[test]
fn a_failure_that_is_told_late_is_the_exit_code() {
    let (gate, (run, sink)) = (Gate::default(), start(init().finish_timeout(SHORT)));
    run.log([("sample", behind(&gate, 1))]).unwrap();
    run.finish().unwrap_err();
    run.finish_with(3).unwrap_err();
    gate.open();
    run.finish_within(LONG).unwrap();
    let Some(RecordType::Exit(exit)) = sink.records().pop() else {
        panic!("no exit record");
    };
    assert_eq!(exit.exit_code, 3);
}

#[test]
fn a_drop_waits_no_longer_than_its_limit() {
    let (gate, (run, sink)) = (Gate::default(), start(init().finish_timeout(SHORT)));
    run.log([("sample", behind(&gate, 1))]).unwrap();
    drop(run);
    assert!(sink.rows().is_empty(), "the gate is closed");
    gate.open();
    eventually(|| matches!(sink.records().last(), Some(RecordType::Exit(_))));
    assert_eq!(levels(&sink), [1]);
}

#[test]
fn the_last_clone_may_die_on_a_worker() {
    let (run, sink) = start(init());
    let (sender, receiver) = mpsc::channel::<Run>();
    let receiver = Arc::new(Mutex::new(receiver));
    let take = move || {
        drop(receiver.lock().unwrap().recv());
        Ok(())
    };
    run.log([("sample", Sly(1, take).to_wandb_image().unwrap())])
        .unwrap();
    sender.send(run).unwrap();
    eventually(|| matches!(sink.records().last(), Some(RecordType::Exit(_))));
    assert_eq!(levels(&sink), [1]);
}

/// Logs a row when it is told something, once another thread logs too.
struct Counting {
    run: Mutex<Option<Run>>,
    logged: mpsc::Sender<Result<()>>,
}

impl Counting {
    fn log(&self) {
        let Some(run) = self.run.lock().unwrap().take() else {
            return;
        };
        eventually(|| run.stats().rows.accepted == 3);
        self.logged.send(run.log([("warnings", 1)])).unwrap();
    }
}

/// The writer says something of row 0 while row 2 waits for it.
#[test]
fn a_listener_that_logs_does_not_stop_the_run() {
    let (sender, receiver) = mpsc::channel();
    let counting = Arc::new(Counting {
        run: Mutex::new(None),
        logged: sender,
    });
    let heard = Arc::clone(&counting);
    let listener = crate::run::listening::Calls::new(move || heard.log());
    let builder = init().queue_rows(1).overflow(Overflow::Block);
    let (run, sink) = tracing::subscriber::with_default(listener, || start(builder));
    *counting.run.lock().unwrap() = Some(run.clone());
    let wide = wandb_image::Pixels::new(2, 1, wandb_image::Mode::L, vec![0, 1]).unwrap();
    let list = vec![plain(1), Image::from(wide)];
    let logging = thread::spawn(move || {
        run.log([("list", list)]).unwrap();
        (0..2).for_each(|i| run.log([("loss", i)]).unwrap());
        run.finish().unwrap();
    });
    let logged = receiver.recv_timeout(Duration::from_secs(20));
    let refused = logged.expect("the run stands still");
    check_error(refused, &["would wait for itself"]);
    logging.join().unwrap();
    assert_eq!(steps(&sink), [0, 1, 2]);
}

// ---- faults ----

/// Logs a loss and a picture that can't be made, twice, and one that can.
fn check_fault(read: fn() -> Result<()>, expected: &str) {
    let (run, sink) = start(init());
    for picture in [Sly(1, read).to_wandb_image(), Sly(2, read).to_wandb_image()] {
        let row = Row::new().with("loss", 1).with("sample", picture.unwrap());
        run.log(row).unwrap();
        run.flush(LONG).unwrap_err();
    }
    let list = vec![plain(3), Sly(4, read).to_wandb_image().unwrap(), plain(5)];
    run.log([("list", list)]).unwrap();
    check_error(
        run.finish(),
        &[
            "3 pictures failed",
            "the first failure: a picture of \"sample\" at step 0 was not written",
            expected,
        ],
    );
    check_pictures(&run, [2, 0, 3, 0]);
    assert_eq!(run.stats().queued_bytes, 0);
    let rows = sink.rows();
    assert_eq!(
        rows.iter()
            .filter(|row| value(row, &["loss"]) == Some("1"))
            .count(),
        2
    );
    assert_eq!(value(&rows[2], &["list", "count"]), Some("2"));
    assert_eq!(levels(&sink), [3, 5]);
}

#[test]
fn a_picture_that_cannot_be_made_costs_itself_alone() {
    check_fault(
        || Err(Error::device("out of memory")),
        "could not be read from its device: out of memory",
    );
}

#[test]
fn a_panic_of_a_worker_costs_its_picture_alone() {
    check_fault(
        || panic!("planned by the test"),
        "it panicked while a picture was made: planned by the test",
    );
}

/// A sink that does something before each record.
struct Wild<F>(MemorySink, F);

impl<F: FnMut(&Record) -> Result<()> + Send> RecordSink for Wild<F> {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.0.media(path, bytes)
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        (self.1)(record)?;
        self.0.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

fn is_row(record: &Record) -> bool {
    matches!(record.record_type, Some(RecordType::History(_)))
}

#[test]
fn a_panic_of_the_sink_costs_its_row_alone() {
    let sink = MemorySink::new();
    let mut rows = 0;
    let wild = Wild(sink.clone(), move |record: &Record| {
        rows += u64::from(is_row(record));
        assert!(!is_row(record) || rows != 2, "planned by the test");
        Ok(())
    });
    let run = init().start_on(wild).unwrap();
    for i in [0, 1, 1, 3] {
        run.log([("sample", plain(i))]).unwrap();
    }
    check_error(
        run.finish(),
        &["1 row and 1 picture failed", "planned by the test"],
    );
    assert_eq!(steps(&sink), [0, 2, 3]);
    assert_eq!(run.stats().rows.failed, 1);
    check_pictures(&run, [3, 0, 1, 0]);
    let is_files = |record: &&RecordType| matches!(record, RecordType::Files(_));
    let named = sink.records().iter().filter(is_files).count();
    assert_eq!(named, 4, "a row that failed may not have named its file");
}

#[test]
fn a_file_of_a_row_that_failed_is_not_taken_for_stored() {
    let sink = MemorySink::new();
    let mut refused = 0;
    let wild = Wild(sink.clone(), move |record: &Record| {
        let is_files = matches!(record.record_type, Some(RecordType::Files(_)));
        refused += u64::from(is_files);
        match is_files && refused == 1 {
            true => Err(Error::device("planned")),
            false => Ok(()),
        }
    });
    let run = init().start_on(wild).unwrap();
    for _ in 0..2 {
        run.log([("sample", plain(1))]).unwrap();
    }
    run.finish().unwrap_err();
    let named = sink
        .records()
        .into_iter()
        .filter_map(|record| match record {
            RecordType::Files(files) => Some(files.files[0].path.clone()),
            _ => None,
        });
    let row = &sink.rows()[0];
    let expected = value(row, &["sample", "path"]).unwrap();
    assert_eq!(
        named.map(|path| format!("{path:?}")).collect::<Vec<_>>(),
        [expected]
    );
}

/// Neither a listener that panics nor an error whose text does takes a thread along.
#[test]
fn what_is_told_may_panic() {
    let run = tracing::subscriber::with_default(crate::run::listening::Panics, || {
        start(init().queue_bytes(HELD).overflow(Overflow::Wait(SHORT))).0
    });
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("planned by the test")
        }
    }
    impl std::error::Error for Mute {}
    let gate = Gate::default();
    let list = vec![
        plain(1),
        Image::from(wandb_image::Pixels::new(2, 1, wandb_image::Mode::L, vec![0, 1]).unwrap()),
    ];
    run.log([("list", list)]).unwrap();
    let mute = Sly(1, || Err(Error::device(Mute)));
    run.log([("mute", mute.to_wandb_image().unwrap())]).unwrap();
    run.log([("sample", behind(&gate, 1))]).unwrap();
    run.log([("sample", behind(&gate, 2))]).unwrap();
    gate.open();
    run.finish_within(LONG).unwrap_err();
    assert_eq!(run.stats().rows.written, 4);
    assert_eq!(run.stats().pictures.queued, 0);
}

/// A failure and a drop are told once each, under their key.
#[test]
fn what_is_lost_is_told_once() {
    let told = crate::run::listening::Told::default();
    let run = tracing::subscriber::with_default(told.clone(), || {
        start(init().queue_bytes(HELD).overflow(Overflow::Wait(SHORT))).0
    });
    let gate = Gate::default();
    let fail = || Err(Error::device("planned"));
    for _ in 0..3 {
        run.log([("bad", Sly(1, fail).to_wandb_image().unwrap())])
            .unwrap();
        run.flush(LONG).unwrap_err();
    }
    for i in 0..4 {
        run.log([("sample", behind(&gate, i))]).unwrap();
    }
    gate.open();
    run.finish().unwrap_err();
    let told = told.lines();
    let of = |part: &str| told.iter().filter(|line| line.contains(part)).count();
    assert_eq!(
        of("a picture of \"bad\" at step 0 was not written"),
        1,
        "{told:?}"
    );
    assert_eq!(of("a picture of"), 1, "{told:?}");
    assert_eq!(
        of("pictures are dropped, first at step 4 under \"sample\""),
        1,
        "{told:?}"
    );
    assert_eq!(
        of(
            "of 7 rows and 7 pictures in all: 3 pictures dropped, since the queue was full; 3 pictures failed"
        ),
        1
    );
}

// ---- many threads ----

const THREADS: u64 = 8;
const ROWS: u64 = 250;

/// Logs rows with scalars, pictures, lists and pictures that fail.
fn log_from(run: &Run, thread: u64) {
    for i in 0..ROWS {
        let row = Row::new().with("thread", thread).with("i", i);
        let level = (thread * ROWS + i) as u8;
        let row = match i % 5 {
            0 => row.with("sample", plain(level)),
            1 => row.with("list", vec![plain(level), plain(level.wrapping_add(1))]),
            2 if i % 10 == 2 => {
                let fail = || Err(Error::device("planned"));
                row.with("bad", Sly(1, fail).to_wandb_image().unwrap())
            }
            _ => row,
        };
        run.log(row).unwrap();
    }
}

#[test]
fn every_row_of_eight_threads_is_on_disk_once_and_in_order() {
    let builder = init().workers(3).queue_bytes(40 * HELD);
    let (run, sink) = start(builder.overflow(Overflow::Block));
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = {
        let (run, is_over) = (run.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                let stats = run.stats();
                check_sums(stats.rows);
                check_sums(stats.pictures);
                assert!(stats.queued_bytes <= 40 * HELD, "{stats:?}");
            }
        })
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let run = &run;
            scope.spawn(move || log_from(run, thread));
        }
    });
    run.finish().unwrap_err();
    is_over.store(true, Ordering::SeqCst);
    watching.join().unwrap();

    let rows = sink.rows();
    assert_eq!(steps(&sink), (0..THREADS * ROWS).collect::<Vec<_>>());
    for thread in 0..THREADS {
        let own = rows.iter().filter(|row| number(row, "thread") == thread);
        let own: Vec<_> = own.map(|row| number(row, "i")).collect();
        assert_eq!(own, (0..ROWS).collect::<Vec<_>>(), "thread {thread}");
    }
    let each = THREADS * ROWS / 5;
    check_pictures(&run, [3 * each, 0, each / 2, 0]);
    check_files_come_before_rows(&sink);
}

fn check_files_come_before_rows(sink: &MemorySink) {
    let mut files = std::collections::BTreeSet::new();
    for kept in sink.kept() {
        match kept {
            Kept::Media(file) => drop(files.insert(format!("{:?}", file.path))),
            Kept::Record(record) if is_row(&record) => {
                let Some(RecordType::History(row)) = record.record_type else {
                    continue;
                };
                let path = value(&row, &["sample", "path"]);
                assert!(path.is_none_or(|path| files.contains(path)), "{path:?}");
            }
            _ => {}
        }
    }
}

#[test]
fn threads_share_the_row_of_a_step() {
    let (run, sink) = start(init());
    for step in 0..50 {
        thread::scope(|scope| {
            for thread in 0..4 {
                let run = &run;
                let key = format!("sample {thread}");
                scope.spawn(move || run.log_at(step, [(key, plain(thread))]).unwrap());
            }
        });
    }
    run.finish().unwrap();
    assert_eq!(steps(&sink), (0..50).collect::<Vec<_>>());
    for row in sink.rows() {
        for thread in 0..4 {
            assert!(value(&row, &[&format!("sample {thread}"), "path"]).is_some());
        }
    }
}

// ---- what is handed over is a snapshot ----

/// Logs pictures while the only worker is busy, changes the tensors that they were made of, and
/// returns the first value of each picture.
#[cfg(any(feature = "candle", feature = "burn-example", feature = "tch"))]
fn firsts_after(pictures: Vec<Image>, change: impl FnOnce()) -> Vec<u8> {
    let (gate, (run, sink)) = (Gate::default(), start(init().workers(1)));
    run.log([("busy", behind(&gate, 99))]).unwrap();
    gate.await_arrivals(1);
    for (i, picture) in pictures.into_iter().enumerate() {
        run.log([(format!("sample {i}"), picture)]).unwrap();
    }
    change();
    gate.open();
    run.finish().unwrap();
    levels(&sink)[1..].to_vec()
}

/// Values are pixels, as they are.
#[cfg(any(feature = "candle", feature = "burn-example", feature = "tch"))]
fn as_it_is(tensor: &impl IntoWandbImage) -> Image {
    let off = wandb_image::ImageOptions::new().normalize(wandb_image::Normalize::Off);
    tensor.to_wandb_image_with(&off).unwrap()
}

#[cfg(feature = "candle-example")]
#[test]
fn an_optimiser_step_of_candle_after_log_is_not_seen() {
    use candle_core::{Device, Tensor, Var};
    use candle_nn::{AdamW, Optimizer};

    let values = Tensor::full(100_f32, (2, 2), &Device::Cpu).unwrap();
    let weights = Var::from_tensor(&values).unwrap();
    let views = [
        weights.as_tensor().clone(),
        weights.t().unwrap(),
        weights.detach(),
        weights.reshape((1, 2, 2)).unwrap(),
    ];
    let mut optimizer = AdamW::new_lr(vec![weights.clone()], 10.0).unwrap();
    let pictures = views.iter().map(as_it_is).collect();
    let firsts = firsts_after(pictures, || {
        let loss = weights.sqr().unwrap().sum_all().unwrap();
        optimizer.backward_step(&loss).unwrap();
        let now: f32 = weights.mean_all().unwrap().to_scalar().unwrap();
        assert!(now < 95.0, "the step changed nothing: {now}");
    });
    assert_eq!(firsts, [100; 4]);
}

#[cfg(feature = "candle-example")]
#[test]
fn a_write_in_place_of_candle_after_log_is_not_seen() {
    use candle_core::{Device, Tensor};

    let tensor = Tensor::full(100_f32, (2, 2), &Device::Cpu).unwrap();
    let pictures = vec![as_it_is(&tensor), as_it_is(&tensor.t().unwrap())];
    let firsts = firsts_after(pictures, || {
        let zeros = Tensor::zeros_like(&tensor).unwrap();
        tensor.slice_set(&zeros, 0, 0).unwrap();
    });
    assert_eq!(firsts, [100; 2]);
}

#[cfg(feature = "tch")]
#[test]
fn a_write_in_place_of_tch_after_log_is_not_seen() {
    use tch::{Device, Kind, Tensor};

    let mut tensor = Tensor::full([2, 2], 100.0, (Kind::Float, Device::Cpu));
    let pictures = [tensor.shallow_clone(), tensor.tr(), tensor.detach()];
    let pictures = pictures.iter().map(as_it_is).collect();
    let firsts = firsts_after(pictures, || drop(tensor.zero_()));
    assert_eq!(firsts, [100; 3]);
}

#[cfg(feature = "burn-example")]
#[test]
fn a_burn_tensor_that_is_reused_after_log_is_not_seen() {
    use burn::tensor::{Device, Tensor};

    let tensor = Tensor::<2>::full([2, 2], 100.0, &Device::flex());
    let pictures = vec![as_it_is(&tensor), as_it_is(&tensor.clone().transpose())];
    let firsts = firsts_after(pictures, || {
        // The only handle that is left to the caller: burn may now write in place.
        let changed = tensor.mul_scalar(0.0).add_scalar(7.0);
        assert_eq!(changed.mean().into_scalar::<f32>(), 7.0);
    });
    assert_eq!(firsts, [100; 2]);
}

/// Keeps an artifact's files waiting.
struct Slow {
    kept: MemorySink,
    gate: Gate,
}

impl RecordSink for Slow {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.kept.media(path, bytes)
    }
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        self.gate.pass();
        self.kept.take_file(file)
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        self.kept.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.kept.flush()
    }
}

#[test]
fn rows_are_written_between_the_files_of_an_artifact() {
    const FILES: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut artifact = Artifact::new("many", "dataset").unwrap();
    for number in 0..FILES {
        let path = dir.path().join(number.to_string());
        std::fs::write(&path, number.to_string()).unwrap();
        artifact.add_file(&path).unwrap();
    }
    let (kept, gate) = (MemorySink::new(), Gate::default());
    let slow = Slow {
        kept: kept.clone(),
        gate: gate.clone(),
    };
    let run = init().start_on(slow).unwrap();
    run.log_artifact(artifact).unwrap();
    gate.await_arrivals(1);
    run.log([("loss", 0.5)]).unwrap();
    run.log([("loss", 0.25)]).unwrap();
    gate.open();
    run.flush(LONG).unwrap();
    let of_artifact =
        |kept: &Kept| matches!(kept, Kept::Media(file) if file.path.starts_with("artifacts/"));
    let of_rows = |kept: &Kept| matches!(kept, Kept::Record(record) if matches!(record.record_type, Some(RecordType::History(_))));
    let all = kept.kept();
    let files = all.iter().filter(|kept| of_artifact(kept)).count();
    let last_row = all.iter().rposition(of_rows).unwrap();
    let last_file = all.iter().rposition(of_artifact).unwrap();
    assert_eq!((files, steps(&kept)), (FILES, vec![0, 1]));
    assert!(last_row < last_file, "{last_row} {last_file}");
    let is_record = |kept: &Kept| matches!(kept, Kept::Record(record) if matches!(record.record_type, Some(RecordType::Artifact(_))));
    assert!(
        all[last_file..].iter().any(is_record),
        "the flush confirmed it"
    );
    run.finish().unwrap();
}
