//! Logs that are cut and flipped: every whole record before the damage is read, nothing else is.
//!
//! `WANDB_IMAGE_TORN=long` cuts at every byte of the whole log and flips every bit.

use std::fs;
use std::path::Path;

use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{Record, RecordType};
use wandb_image::{Error, Image, Mode, Pixels, Row, RunMode};

use crate::client::Client;
use crate::framed::{BLOCK, Framed, exit, files, item, row, run};
use crate::soak;

pub(crate) fn is_long() -> bool {
    std::env::var("WANDB_IMAGE_TORN").is_ok_and(|form| form == "long")
}

/// What reading a log gave.
struct Read {
    records: Vec<Record>,
    end: u64,
    error: Option<Error>,
    is_torn: bool,
}

fn read(bytes: &[u8]) -> Read {
    let mut read = Read {
        records: Vec::new(),
        end: 0,
        error: None,
        is_torn: false,
    };
    let mut reader = match LogReader::from_reader("run.wandb", bytes) {
        Ok(reader) => reader,
        Err(error) => {
            read.error = Some(error);
            return read;
        }
    };
    for next in reader.by_ref() {
        assert!(read.error.is_none(), "more comes after {:?}", read.error);
        match next {
            Ok(record) => read.records.push(record),
            Err(error) => read.error = Some(error),
        }
    }
    assert!(reader.next().is_none());
    read.end = reader.end();
    read.is_torn = reader.damage().is_some_and(|damage| damage.at_end);
    read
}

fn text(len: usize) -> String {
    format!("\"{}\"", "y".repeat(len))
}

/// A row after which the log ends so many bytes before the end of a block.
fn filling(records: &[Record], step: i64, left: usize) -> Record {
    let rest = BLOCK - Framed::of(records).bytes.len() % BLOCK;
    let fits = |filling: &Record| {
        let log = Framed::of(&[records, std::slice::from_ref(filling)].concat());
        log.bytes.len() % BLOCK == BLOCK - left
    };
    let filling = |len| row(step, vec![item(&["fill"], &text(len))]);
    let least = rest.checked_sub(100).unwrap_or(rest + BLOCK - 100);
    (least..least + 100).map(filling).find(fits).unwrap()
}

/// Rows over four blocks: one ends just before a block does, so that zeros follow, one leaves room
/// for a chunk without content, and the last three lie on a boundary.
fn spanning() -> (Vec<Record>, Framed) {
    let mut records = vec![run("torn"), row(0, vec![item(&["long"], &text(2 * BLOCK))])];
    for (step, left) in [(1, 3), (2, 7)] {
        let filling = filling(&records, step, left);
        records.push(filling);
    }
    records.push(files(&["media/images/a.png"]));
    let len = Framed::of(&records).bytes.len();
    let rest = BLOCK - len % BLOCK;
    records.push(row(3, vec![item(&["fill"], &text(rest - 1000))]));
    records.push(row(4, vec![item(&["loss"], "0.5")]));
    records.push(row(5, vec![item(&["text"], &text(1500))]));
    records.push(exit());
    let log = Framed::of(&records);
    (records, log)
}

/// The log is cut there: the whole records before come, then the byte at which the next began.
/// Gives how many came.
fn check_cut(records: &[Record], log: &Framed, cut: usize) -> usize {
    let whole = log.places.iter().take_while(|(_, end)| *end <= cut).count();
    let read = read(&log.bytes[..cut]);
    assert!(
        read.records == records[..whole],
        "cut at {cut}: other records"
    );
    let end = whole.checked_sub(1).map_or(7, |last| log.places[last].1);
    assert_eq!(read.end, end as u64, "cut at {cut}");
    match log.places.get(whole).filter(|(start, _)| *start < cut) {
        None => assert!(read.error.is_none(), "cut at {cut}: {:?}", read.error),
        Some((start, _)) => {
            let error = read.error.unwrap();
            assert!(
                matches!(&error, Error::Log { offset, .. } if *offset == *start as u64),
                "cut at {cut}, {start} expected: {error}"
            );
            assert!(read.is_torn, "cut at {cut}");
        }
    }
    whole
}

/// Cuts within the header of the file.
fn check_no_log(bytes: &[u8]) {
    let error = read(bytes).error.unwrap();
    assert!(matches!(error, Error::Log { offset: 0, .. }), "{error}");
}

#[test]
fn a_log_that_is_cut_gives_every_whole_record() {
    let (records, log) = spanning();
    assert!(log.bytes.len() > 4 * BLOCK);
    for cut in 0..7 {
        check_no_log(&log.bytes[..cut]);
    }
    let last_three = log.places[log.places.len() - 3].0;
    assert!(
        last_three / BLOCK < log.bytes.len() / BLOCK,
        "no boundary in the last three"
    );
    let boundaries = (1..=log.bytes.len() / BLOCK).flat_map(|n| n * BLOCK - 10..=n * BLOCK + 10);
    let edges = log
        .places
        .iter()
        .flat_map(|&(start, end)| [start, start + 1, end - 1, end]);
    let mut cuts: Vec<usize> = (last_three..=log.bytes.len())
        .chain(boundaries)
        .chain(edges)
        .filter(|&cut| cut >= 7 && cut <= log.bytes.len())
        .collect();
    if is_long() {
        cuts = (7..=log.bytes.len()).collect();
    }
    let found: usize = cuts.iter().map(|&cut| check_cut(&records, &log, cut)).sum();
    soak::report(&[
        ("torn_logs", cuts.len() as u64),
        ("records_found", found as u64),
    ]);
}

/// A run of this crate's own, with pictures, as a kill would leave it.
fn small() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let builder = wandb_image::init().mode(RunMode::Offline).dir(dir.path());
    let run = builder.run_id("torn").synchronous(true).start().unwrap();
    log_rows(&run, 2);
    fs::read(find_log(run.dir().unwrap()).unwrap()).unwrap()
}

fn log_rows(run: &wandb_image::Run, rows: u8) {
    for n in 0..rows {
        let pixels = Pixels::new(4, 2, Mode::L, vec![n; 8]).unwrap();
        let row = Row::new()
            .with("loss", n)
            .with("image", Image::from(pixels));
        run.log(row).unwrap();
    }
}

/// Where each record of a whole log begins and ends, as its chunks say.
pub(crate) fn places(log: &[u8]) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let (mut at, mut start) = (7, 7);
    while at < log.len() {
        let left = BLOCK - at % BLOCK;
        if left < 7 {
            at += left;
            continue;
        }
        let kind = log[at + 6];
        if kind < 3 {
            start = at;
        }
        at += 7 + usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
        if kind == 1 || kind == 4 {
            places.push((start, at));
        }
    }
    places
}

/// A byte is changed: what lies before comes back equal, and the record it is in never does.
fn check_flip(log: &[u8], places: &[(usize, usize)], records: &[Record], at: usize, mask: u8) {
    let mut flipped = log.to_vec();
    flipped[at] ^= mask;
    let hit = places.partition_point(|(_, end)| *end <= at);
    let read = read(&flipped);
    assert!(
        read.records == records[..hit],
        "byte {at} ^ {mask:#x}: other records"
    );
    let start = places[hit].0;
    let error = read.error.unwrap();
    assert!(
        matches!(&error, Error::Log { offset, .. } if *offset == start as u64),
        "byte {at} ^ {mask:#x}, {start} expected: {error}"
    );
}

fn check_flips(log: &[u8], stride: usize) {
    let places = places(log);
    let records = read(log).records;
    assert_eq!(records.len(), places.len());
    let masks: Vec<u8> = match is_long() {
        true => (0..8).map(|bit| 1 << bit).chain([0xFF]).collect(),
        false => vec![0x01, 0x80],
    };
    for mask in masks {
        for at in 0..7 {
            let mut flipped = log.to_vec();
            flipped[at] ^= mask;
            check_no_log(&flipped);
        }
        for at in places
            .iter()
            .flat_map(|&(start, end)| start..end)
            .step_by(stride)
        {
            check_flip(log, &places, &records, at, mask);
        }
    }
}

#[test]
fn a_byte_that_is_flipped_never_gives_a_wrong_record() {
    check_flips(&small(), 1);
    let records = [run("torn"), row(0, vec![item(&["long"], &text(BLOCK))])];
    let log = Framed::of(&records).bytes;
    check_flips(&log, if is_long() { 7 } else { 997 });
}

// ---- what W&B's own client makes of it ----

#[test]
fn wandb_sync_uploads_every_row_before_the_cut() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (index, left) in [1, 9, 60, 400, 1200].into_iter().enumerate() {
        let dir = dir.path().join(index.to_string());
        check_synced(&client, &dir, left);
    }
}

/// A run whose log lost that many bytes: what this crate reads of it is what arrives.
fn check_synced(client: &Client, dir: &Path, lost: usize) {
    let builder = wandb_image::init().mode(RunMode::Offline).dir(dir);
    let run = builder.run_id("torn").synchronous(true).start().unwrap();
    log_rows(&run, 8);
    run.finish().unwrap();
    let dir = run.dir().unwrap();
    let path = find_log(dir).unwrap();
    let log = fs::read(&path).unwrap();
    let cut = &log[..log.len() - lost];
    fs::write(&path, cut).unwrap();
    let is_row = |record: &&Record| matches!(record.record_type, Some(RecordType::History(_)));
    let rows = read(cut).records.iter().filter(is_row).count();
    let received = client.sync(dir).rows();
    assert_eq!(received.len(), rows, "{lost} bytes lost");
    let steps: Vec<_> = received.iter().map(|row| row["_step"].as_u64()).collect();
    assert_eq!(steps, (0..rows as u64).map(Some).collect::<Vec<_>>());
}
