//! One function a target: any bytes go in, and what comes out must have the properties that are
//! asserted here. `scripts/fuzz.sh` runs them under libFuzzer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use wandb_image::sink::records::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, HistoryRecord, Record, RecordType,
};
use wandb_image::sink::{FilePlace, MediaFile, RecordSink, image_path, logged, reader::LogReader};
use wandb_image::tensor::Elements;
use wandb_image::{
    Artifact, BoundingBoxes2D, BoxFormat, Cell, DType, Domain, Error, FileType, Grid, HostTensor,
    Image, ImageMask, ImageOptions, IntoWandbImage, Invalid, Layout, MaskOptions, Mode, Normalize,
    OpenArtifact, Pixels, PngEffort, Position, Resize, Snapshot, TableReader, to_uint8,
};

#[path = "reference.rs"]
mod reference;

// ---- choices from bytes ----

/// Choices, made by the bytes in order; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn u8(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.u8()))
    }

    fn f64(&mut self) -> f64 {
        match self.u8() {
            0 => f64::from_bits(self.u64()),
            1 => f64::NAN,
            2 => f64::INFINITY,
            3 => f64::NEG_INFINITY,
            4 => f64::MAX,
            byte => f64::from(byte) / 16.0 - 4.0,
        }
    }

    fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.u8()) % choices.len()].clone()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes whose length stands before them.
    fn piece(&mut self) -> &'a [u8] {
        let len = self.u16();
        self.take(len.into())
    }

    /// So many bytes, the rest over and over.
    fn filled(&mut self, len: usize) -> Vec<u8> {
        let rest = if self.0.is_empty() { &[7] } else { self.0 };
        rest.iter().copied().cycle().take(len).collect()
    }
}

// ---- the transaction log ----

const BLOCK: usize = 32 * 1024;
const FILE_HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];

/// Any log is read to its end or to its damage, what was whole before is read alike from the part
/// before, and what is written is read back.
pub fn log_reader(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() {
        0 => read_log(bytes.0),
        1 => read_log(&with_checksums(bytes.0.to_vec())),
        2 => read_row(bytes.0),
        _ => read_back(bytes),
    }
}

fn read_log(log: &[u8]) {
    let Ok(mut reader) = LogReader::from_reader("log", log) else {
        return;
    };
    let mut records = Vec::new();
    let mut ends = vec![reader.end()];
    let mut failed = false;
    while let Some(record) = reader.next() {
        assert!(!failed, "it goes on after an error");
        ends.push(reader.end());
        match record {
            Ok(record) => records.push(record),
            Err(_) => failed = true,
        }
    }
    let end = reader.end() as usize;
    assert!(
        end <= log.len() && ends.is_sorted(),
        "{ends:?} of {}",
        log.len()
    );
    let whole = LogReader::from_reader("log", &log[..end]).expect("it has a header");
    let again: Vec<Record> = whole.map(|record| record.expect("it was whole")).collect();
    assert!(
        again == records,
        "the whole part of the log reads otherwise"
    );
    let rows = records.iter().filter_map(row);
    rows.for_each(check_row);
}

fn row(record: &Record) -> Option<&HistoryRecord> {
    match &record.record_type {
        Some(RecordType::History(row)) => Some(row),
        _ => None,
    }
}

fn check_row(row: &HistoryRecord) {
    let text: usize = row.item.iter().map(|item| item.value_json.len()).sum();
    let files = logged::of_row(row, "no/such/folder");
    assert!(files.len() <= text, "more files than characters");
    assert!(files.iter().all(|file| !file.present));
}

/// A log whose one record is a row of these items: keys and JSON.
fn read_row(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut row = HistoryRecord::default();
    while !bytes.0.is_empty() {
        let mut item = wandb_image::sink::records::Item::default();
        for _ in 0..bytes.u8() % 4 {
            let len = usize::from(bytes.u8() % 16);
            item.nested_key.push(text(bytes.take(len)));
        }
        if item.nested_key.is_empty() {
            item.key = "k".into();
        }
        item.value_json = text(bytes.piece());
        row.item.push(item);
    }
    check_row(&row);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The payloads that were written are read back; of a log that is cut, or of which a byte is
/// changed, those before it.
fn read_back(mut bytes: Bytes<'_>) {
    let cut = usize::from(bytes.u16());
    let repeats = usize::from(bytes.u8());
    let mut payloads = Vec::new();
    while !bytes.0.is_empty() {
        payloads.push(bytes.piece().repeat(1 + repeats));
    }
    let mut log = FILE_HEADER.to_vec();
    let places: Vec<_> = payloads
        .iter()
        .map(|payload| frame(&mut log, payload))
        .collect();
    let read = |log: &[u8]| -> (Vec<Vec<u8>>, bool) {
        let reader = LogReader::from_reader("log", log).expect("it has a header");
        let (mut read, mut failed) = (Vec::new(), false);
        for payload in reader.payloads() {
            match payload {
                Ok(payload) => read.push(payload),
                Err(_) => failed = true,
            }
        }
        (read, failed)
    };
    assert!(
        read(&log) == (payloads.clone(), false),
        "it reads otherwise"
    );
    let at = log.len().saturating_sub(cut).max(FILE_HEADER.len());
    let before = places.iter().filter(|place| place.end <= at).count();
    let (first, _) = read(&log[..at]);
    assert!(
        first == payloads[..before],
        "a log cut at {at} reads otherwise"
    );
    if places.iter().any(|place| place.contains(&at)) {
        let mut changed = log.clone();
        changed[at] ^= repeats as u8 | 1;
        assert!(
            read(&changed) == (payloads[..before].to_vec(), true),
            "a log with another byte at {at} reads otherwise"
        );
    }
    read_log(&log);
}

/// LevelDB's framing, written by what is said of it and not by what the crate does. Returns where
/// the record lies.
fn frame(log: &mut Vec<u8>, payload: &[u8]) -> Range<usize> {
    let mut rest = payload;
    let mut is_first = true;
    let left = BLOCK - log.len() % BLOCK;
    let start = log.len() + if left < 7 { left } else { 0 };
    loop {
        let left = BLOCK - log.len() % BLOCK;
        if left < 7 {
            log.resize(log.len() + left, 0);
            continue;
        }
        let (data, after) = rest.split_at(rest.len().min(left - 7));
        let kind = match (is_first, after.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        log.extend([0; 4]);
        log.extend((data.len() as u16).to_le_bytes());
        log.push(kind);
        log.extend(data);
        let at = log.len() - data.len() - 7;
        set_checksum(log, at);
        if after.is_empty() {
            return start..log.len();
        }
        (rest, is_first) = (after, false);
    }
}

/// The checksum of the chunk at `at` made right, and where the next one is.
fn set_checksum(log: &mut [u8], at: usize) -> usize {
    let len = usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
    let end = (at + 7 + len).min(log.len());
    let sum = crc32fast::hash(&log[at + 6..end]);
    log[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    end
}

/// Checksums are no obstacle to a fuzzer.
fn with_checksums(mut log: Vec<u8>) -> Vec<u8> {
    let mut at = FILE_HEADER.len();
    while at < log.len() {
        let left = BLOCK - at % BLOCK;
        at = match () {
            () if left < 7 => at + left,
            () if at + 7 > log.len() => log.len(),
            () => set_checksum(&mut log, at),
        };
    }
    log
}

/// Any run is verified, and repaired or refused: what repair writes is sound and names no file outside
/// of it, and nothing of a sound run is missing in it, nor a row that damage elsewhere left whole. An
/// artifact of it is laid out as it was logged, or nothing of it, and nowhere else.
pub fn repair(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.u8() {
        0 => check_repair(bytes.0, &[], None),
        1 => check_repair(&with_checksums(bytes.0.to_vec()), &[], None),
        _ => repair_of_records(bytes),
    }
}

/// A byte is changed, or none; then the length of the record that it lies in.
fn repair_of_records(mut bytes: Bytes<'_>) {
    let (change, at) = (bytes.u8(), usize::from(bytes.u16()));
    let chosen = log_of_records(bytes);
    let at = at % chosen.log.len();
    chosen.check_damaged(at, change);
    let hit = chosen.places.iter().find(|place| place.contains(&at));
    if let (Some(place), 1..) = (hit, change) {
        chosen.check_damaged(place.start + 4, change);
    }
}

/// Repairs the run of a log, with these among the files of its artifacts; of `whole` rows the marks
/// are known.
fn check_repair(log: &[u8], files: &[Vec<u8>], whole: Option<Vec<&str>>) {
    use wandb_image::sink::repair::repair;
    use wandb_image::sink::verify::{Fault, FaultKind, verify};

    let dir = tempfile::tempdir().expect("a directory can be made");
    let run = dir.path().join("offline-run-20260101_000000-a");
    let images = run.join("files/media/images");
    std::fs::create_dir_all(&images).expect("a directory can be made");
    std::fs::write(images.join("a.png"), "picture").expect("a file can be written");
    for file in files
        .iter()
        .map(|file| &**file)
        .chain([b"picture" as &[u8]])
    {
        let place = run.join(own_place(file));
        let folder = place.parent().expect("it lies in the run");
        std::fs::create_dir_all(folder).expect("a directory can be made");
        std::fs::write(place, file).expect("a file can be written");
    }
    std::fs::write(run.join("run-a.wandb"), log).expect("a file can be written");
    check_extract(&run, dir.path());
    let report = verify(&run).expect("it can be read");
    let Ok(repaired) = repair(&run, dir.path().join("out")) else {
        assert!(!report.is_sound(), "a sound run is not repaired");
        assert_eq!(whole.unwrap_or_default(), [""; 0], "rows were whole");
        return;
    };
    let again = verify(&repaired.dir).expect("it can be read");
    assert!(
        again.is_sound(),
        "what was repaired is not sound: {:?}",
        again.faults
    );
    let is_outside = |fault: &Fault| fault.kind == FaultKind::ArtifactOutside;
    assert!(!again.faults.iter().any(is_outside), "{:?}", again.faults);
    assert!(
        !report.is_sound() || repaired.missing.is_empty(),
        "{:?}",
        repaired.missing
    );
    let log = logged::find_log(&repaired.dir).expect("it was written");
    let records = LogReader::open(log).expect("it has a header");
    let records: Vec<Record> = records.map_while(Result::ok).collect();
    assert_eq!(records.len() as u64, repaired.records);
    if let Some(whole) = whole {
        let found: Vec<_> = records.iter().filter_map(row).filter_map(mark).collect();
        assert_eq!(found, whole, "the rows that were repaired, and those to be");
    }
}

/// Lays the last artifact of a run out in a folder of `dir`, in which nothing else is but the run.
fn check_extract(run: &Path, dir: &Path) {
    use wandb_image::sink::extract::{ArtifactLists, extract};

    let log = logged::find_log(run).expect("it was written");
    let records = LogReader::open(log).into_iter().flatten();
    let artifacts = records
        .map_while(Result::ok)
        .filter_map(|record| match record.record_type {
            Some(RecordType::Artifact(artifact)) => Some(artifact),
            _ => None,
        });
    let Some(artifact) = artifacts.last() else {
        return;
    };
    let before = files_below(dir);
    let out = dir.join("extracted");
    let extracted = extract(run, &artifact.name, &out);
    let (laid_out, others): (BTreeMap<_, _>, BTreeMap<_, _>) = files_below(dir)
        .into_iter()
        .partition(|(path, _)| path.starts_with(&out));
    assert!(others == before, "something outside of the folder changed");
    let Ok(extracted) = extracted else {
        assert!(!out.exists(), "{laid_out:?}");
        return;
    };
    let mut lists = ArtifactLists::open(run).expect("there is a log");
    let named = lists.files_of(&artifact).expect("it was laid out");
    let files = named.iter().filter(|entry| entry.r#ref.is_empty());
    let algorithm = &*artifact.digest_algorithm;
    assert!(["", "MANIFEST_MD5", "MANIFEST_XXH128"].contains(&algorithm));
    for entry in files.clone() {
        let file = &laid_out[&out.join(&entry.path)];
        assert_eq!(file.len() as i64, entry.size);
        let digest = base64(&md5(file));
        assert!(algorithm == "MANIFEST_XXH128" || digest == entry.digest);
    }
    assert_eq!(laid_out.len(), files.count());
    assert_eq!(laid_out.len() as u64, extracted.files);
    let size: usize = laid_out.values().map(Vec::len).sum();
    assert_eq!(size as u64, extracted.size);
    if algorithm != "MANIFEST_XXH128" && !artifact.digest.is_empty() {
        let digest = manifest_digest(&named);
        assert!(artifact.digest.eq_ignore_ascii_case(&digest));
    }
}

/// The files in a folder and in those in it, with their bytes.
fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => _ = files.insert(path.clone(), std::fs::read(path).expect("it can be read")),
        }
    }
    files
}

/// By MD5.
fn manifest_digest(entries: &[ArtifactManifestEntry]) -> String {
    let digests = entries.iter().map(|entry| (&*entry.path, &*entry.digest));
    let digests: BTreeMap<_, _> = digests.collect();
    let lines = digests
        .iter()
        .map(|(path, digest)| format!("{path}:{digest}\n"));
    let manifest = format!("wandb-artifact-manifest-v1\n{}", lines.collect::<String>());
    hex(&md5(manifest.as_bytes()))
}

/// The key under which each row has a number of its own.
const MARK: &str = "#";

fn mark(row: &HistoryRecord) -> Option<String> {
    let mut items = row.item.iter();
    let mark = items.find(|item| item.nested_key == [MARK])?;
    Some(mark.value_json.clone())
}

/// A log of records that were chosen.
struct Chosen {
    log: Vec<u8>,
    /// Of artifacts.
    files: Vec<Vec<u8>>,
    places: Vec<Range<usize>>,
    /// Where rows lie, each with its mark.
    rows: Vec<(Range<usize>, String)>,
}

impl Chosen {
    /// Every row that another byte doesn't hit is repaired, unless so much looks like a record that
    /// it needn't be found.
    fn check_damaged(&self, at: usize, change: u8) {
        let mut log = self.log.clone();
        log[at] ^= change;
        let is_hit = |place: &Range<usize>| change != 0 && place.contains(&at);
        let whole = self.rows.iter().filter(|(place, _)| !is_hit(place));
        let whole = whole.map(|(_, mark)| &**mark).collect();
        let is_searched = searched(&log) <= MOST_SEARCHED;
        check_repair(&log, &self.files, is_searched.then_some(whole));
    }
}

fn log_of_records(mut bytes: Bytes<'_>) -> Chosen {
    use prost::Message;
    use wandb_image::sink::records::{
        ConfigRecord, FilesRecord, HeaderRecord, RunExitRecord, RunRecord, SummaryRecord,
    };

    let mut log = FILE_HEADER.to_vec();
    let mut places = Vec::new();
    let mut num = 0;
    let mut rows = Vec::new();
    let mut files = Vec::new();
    while !bytes.0.is_empty() {
        num += i64::from(bytes.u8() % 3);
        let kind = bytes.u8();
        let record_type = match kind % 10 {
            _ if kind >= 240 => Some(RecordType::Artifact(artifact_of_pieces(
                &mut bytes, &mut files,
            ))),
            0 => None,
            1 => Some(RecordType::Header(HeaderRecord::default())),
            2 => Some(RecordType::Run(RunRecord {
                run_id: bytes.one_of(&["a", "a", "b", "", "../b"]).into(),
                ..RunRecord::default()
            })),
            3 => Some(RecordType::Exit(RunExitRecord::default())),
            4 => Some(RecordType::Files(FilesRecord::default())),
            5 => Some(RecordType::Summary(SummaryRecord::default())),
            6 => Some(RecordType::Config(ConfigRecord::default())),
            7 => {
                places.push(frame(&mut log, bytes.piece()));
                continue;
            }
            _ => Some(RecordType::History(row_of_pieces(&mut bytes, rows.len()))),
        };
        let record = Record {
            num,
            record_type,
            ..Record::default()
        };
        let place = frame(&mut log, &record.encode_to_vec());
        places.push(place.clone());
        rows.extend(row(&record).and_then(mark).map(|mark| (place, mark)));
    }
    Chosen {
        log,
        files,
        places,
        rows,
    }
}

/// Where a run has a file of an artifact.
fn own_place(file: &[u8]) -> String {
    FilePlace::Artifact(&hex(&md5(file))).path()
}

/// A file outside of the run.
const OUTSIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// An artifact of files that are there and of some that aren't, which its record names, or a file of
/// contents, whole or of any bytes.
fn artifact_of_pieces(bytes: &mut Bytes<'_>, files: &mut Vec<Vec<u8>>) -> ArtifactRecord {
    let entries: Vec<_> = (0..bytes.u8() % 4)
        .map(|_| entry_of_pieces(bytes))
        .collect();
    let of_name = bytes.one_of(&["t", "run-a-k", "", "../t", "source-a"]);
    let mut artifact = ArtifactRecord {
        run_id: "a".into(),
        r#type: bytes.one_of(&["dataset", "run_table", ""]).into(),
        name: of_name.into(),
        digest: match bytes.take(2) {
            [b'=', _] => manifest_digest(&entries),
            digest => text(digest),
        },
        digest_algorithm: digest_algorithm(bytes.u8()).into(),
        ..ArtifactRecord::default()
    };
    let mut manifest = ArtifactManifest::default();
    match bytes.u8() % 4 {
        0 => {}
        1 | 2 => manifest.contents = entries,
        _ => {
            let file = contents_file(&entries, bytes);
            manifest.manifest_file_path = format!("/moved/{}", own_place(&file));
            files.push(file);
        }
    }
    artifact.manifest = Some(manifest);
    artifact
}

/// One of those that are known, or another.
fn digest_algorithm(choice: u8) -> &'static str {
    match choice % 3 {
        _ if choice >= 240 => "MANIFEST_SHA512",
        0 => "MANIFEST_MD5",
        1 => "",
        _ => "MANIFEST_XXH128",
    }
}

fn entry_of_pieces(bytes: &mut Bytes<'_>) -> ArtifactManifestEntry {
    let outside = std::fs::read(OUTSIDE).expect("it can be read");
    let picture = base64(&md5(b"picture"));
    let digest = match bytes.u8() % 6 {
        0 => base64(&md5(b"other")),
        1 => text(bytes.piece()),
        2 => base64(&md5(&outside)),
        _ => picture,
    };
    let places = [
        format!("/moved/{}", own_place(b"picture")),
        "/moved/artifacts/other".into(),
        "artifacts/other".into(),
        "/".into(),
        String::new(),
        OUTSIDE.into(),
    ];
    let references = ["", "", "", "s3://bucket/key", "file:///etc/passwd"];
    ArtifactManifestEntry {
        path: artifact_path(bytes.u8()).into(),
        digest,
        r#ref: bytes.one_of(&references).into(),
        size: bytes.one_of(&[7, 7, 7, 0, -1, i64::MAX, outside.len() as i64]),
        local_path: bytes.one_of(&places),
    }
}

/// One of those that are refused, or of two that can't be together, or another.
fn artifact_path(choice: u8) -> &'static str {
    match choice % 5 {
        _ if choice >= 240 => "a.txt/b",
        0 => "a.txt",
        1 => "media/images/a.png",
        2 => "../a",
        3 => "/etc/passwd",
        _ => "",
    }
}

/// JSON lines, packed: those of entries, and any others.
fn contents_file(entries: &[ArtifactManifestEntry], bytes: &mut Bytes<'_>) -> Vec<u8> {
    use std::io::Write;

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for entry in entries {
        let line = serde_json::json!({
            "path": entry.path,
            "digest": entry.digest,
            "ref": entry.r#ref,
            "size": entry.size,
            "local_path": entry.local_path,
        });
        writeln!(packed, "{line}").expect("it is memory");
    }
    packed.write_all(bytes.piece()).expect("it is memory");
    let mut file = packed.finish().expect("it is memory");
    let cut = usize::from(bytes.u8());
    file.truncate(file.len().saturating_sub(cut / 8 * usize::from(cut > 127)));
    file
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;

    md5::Md5::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;

    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// How many bytes behind damage are compared with a checksum, before a block is given up.
const MOST_SEARCHED: usize = 4 << 20;

/// How many there could be at most.
fn searched(log: &[u8]) -> usize {
    let claims = log.windows(7).enumerate().map(|(at, chunk)| {
        let len = usize::from(u16::from_le_bytes([chunk[4], chunk[5]]));
        let end = at + 7 + len;
        let fits = end <= log.len() && end <= (at / BLOCK + 1) * BLOCK;
        if fits && matches!(chunk[6], 1..=4) {
            len
        } else {
            0
        }
    });
    claims.sum()
}

/// A row of what rows hold, and of what they don't.
fn row_of_pieces(bytes: &mut Bytes<'_>, number: usize) -> HistoryRecord {
    let mut row = HistoryRecord::default();
    row.item.push(wandb_image::sink::records::Item {
        nested_key: vec![MARK.into()],
        value_json: number.to_string(),
        ..Default::default()
    });
    for _ in 0..bytes.u8() % 6 {
        let mut item = wandb_image::sink::records::Item::default();
        for _ in 0..1 + bytes.u8() % 3 {
            let key = bytes.one_of(&[
                "_step", "k", "k", "_type", "path", "sha256", "size", "masks",
            ]);
            item.nested_key.push(key.into());
        }
        item.value_json = match bytes.u8() % 12 {
            0 => text(bytes.piece()),
            1 => "\"image-file\"".into(),
            2 => "\"media/images/a.png\"".into(),
            3 => "\"../../run-a.wandb\"".into(),
            4 => "7".into(),
            5 => "{\"_type\":\"image-file\",\"path\":\"media/images/a.png\",\"size\":7}".into(),
            6 => "{\"_type\":\"images/separated\",\"filenames\":[\"media/images/a.png\",\"b\"]}"
                .into(),
            7 => "{\"_type\":\"image-file\",\"path\":\"media/images/b.png\"}".into(),
            8 => "[NaN,{\"_type\":\"mask\",\"path\":\"/etc/passwd\"}]".into(),
            9 => table_value(bytes.u8()),
            _ => bytes.u8().to_string(),
        };
        row.item.push(item);
    }
    row
}

/// A table whose file is there, and one whose isn't.
fn table_value(choice: u8) -> String {
    let name = if choice & 1 == 0 { "a" } else { "b" };
    let key = if choice & 2 == 0 { "k" } else { "other" };
    format!(
        r#"{{"_type":"table-file","path":"media/images/{name}.png","size":7,"ncols":1,"nrows":1,"artifact_path":"wandb-client-artifact://c/{key}.table.json"}}"#
    )
}

// ---- what is read back of artifacts ----

/// Any JSON is read as a table or an image of a downloaded artifact, or refused; a table that is one
/// has the cells that stand in it, and no image is of a file that its JSON doesn't name.
pub fn artifact(data: &[u8]) {
    let mut bytes = Bytes(data);
    let dir = tempfile::tempdir().expect("a directory can be made");
    for (name, value) in [("seven.png", 7), ("mask.png", 1)] {
        let pixels = image::GrayImage::from_pixel(3, 2, image::Luma([value]));
        pixels
            .save(dir.path().join(name))
            .expect("a file can be written");
    }
    let classes = dir.path().join("classes.json");
    let some = r#"{"_type":"classes","class_set":[{"id":1,"name":"one"}]}"#;
    std::fs::write(&classes, some).expect("a file can be written");
    let opened = Artifact::open(dir.path()).expect("it is there");
    match bytes.u8() {
        0 => check_table(bytes.0, &opened),
        1 => check_image_json(bytes.0, &opened),
        2 => {
            std::fs::write(&classes, bytes.0).expect("a file can be written");
            let json =
                r#"{"_type":"image-file","path":"seven.png","classes":{"path":"classes.json"}}"#;
            check_image_json(json.as_bytes(), &opened);
        }
        3 => check_image_json(image_of_pieces(&mut bytes).to_string().as_bytes(), &opened),
        _ => check_table_of_pieces(bytes, &opened),
    }
}

/// Other tokens than JSON's, such as NaN, are read too: of these nothing is known here.
fn check_table(text: &[u8], artifact: &OpenArtifact) {
    let Ok(table) = TableReader::from_json(text, artifact) else {
        return;
    };
    let rows: Vec<_> = table.rows().collect();
    assert_eq!(rows.len(), table.len());
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(text) else {
        return;
    };
    assert_eq!(json["_type"], "table");
    let data = json["data"].as_array().expect("it is a table");
    assert_eq!(data.len(), rows.len(), "rows");
    for (row, values) in rows.iter().zip(data) {
        let values = values.as_array().map_or(&[] as &[_], Vec::as_slice);
        match row {
            Ok(cells) => {
                assert_eq!(cells.len(), table.columns().len());
                assert_eq!(cells.len(), values.len());
                cells
                    .iter()
                    .zip(values)
                    .for_each(|(cell, value)| check_cell(cell, value));
            }
            Err(Error::ArtifactJson { .. } | Error::Cell { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn check_cell(cell: &Cell, value: &serde_json::Value) {
    match cell.image() {
        Some(image) => check_read_image(image, value),
        None => assert_eq!(cell.to_json().as_ref(), Some(value)),
    }
}

fn check_image_json(text: &[u8], artifact: &OpenArtifact) {
    let Ok(json) = serde_json::from_slice(text) else {
        return;
    };
    if let Ok(image) = Image::from_json(&json, artifact) {
        check_read_image(&image, &json);
    }
}

/// It is one of both pictures that are there, with what its JSON says.
fn check_read_image(image: &Image, json: &serde_json::Value) {
    let path = json["path"].as_str().expect("an image has a path");
    let name = std::path::Path::new(path).file_name();
    let value = match name.and_then(|name| name.to_str()) {
        Some("seven.png") => 7,
        Some("mask.png") => 1,
        other => panic!("{other:?}"),
    };
    assert_eq!((image.width(), image.height()), (3, 2));
    let pixels = image.pixels().expect("it is a picture");
    assert_eq!(pixels.as_bytes(), [value; 6]);
    if let Some(caption) = json["caption"].as_str() {
        assert_eq!(image.caption_text(), Some(caption));
    }
    for (key, boxes) in image.box_layers() {
        let given = json["boxes"][key]
            .as_array()
            .expect("a layer of boxes is a list");
        if let Ok(boxes) = boxes.boxes_in(3, 2) {
            assert!(boxes.len() <= given.len());
            let is_drawn = |(low, high): (f64, f64)| low.is_finite() && low <= high;
            let all_drawn = boxes.iter().all(|one| {
                let (across, down) = edges(one.position());
                is_drawn(across) && is_drawn(down)
            });
            assert!(all_drawn, "{boxes:?}");
        }
    }
    for mask in image.mask_layers().values() {
        assert_eq!((mask.width(), mask.height()), (3, 2));
    }
}

/// A table that is one is read whole.
fn check_table_of_pieces(mut bytes: Bytes<'_>, artifact: &OpenArtifact) {
    let columns: Vec<_> = (0..1 + bytes.u8() % 3).map(|i| format!("c{i}")).collect();
    let mut data = Vec::new();
    while !bytes.0.is_empty() {
        let row: Vec<_> = columns
            .iter()
            .map(|_| value_of_pieces(&mut bytes, 0))
            .collect();
        data.push(row);
    }
    let rows = data.len();
    let json = serde_json::json!({"_type": "table", "columns": columns, "data": data, "ncols": columns.len()});
    let text = json.to_string();
    let table = TableReader::from_json(&text[..], artifact).expect("it is a table");
    assert_eq!((table.columns(), table.len()), (&columns[..], rows));
    for (row, values) in table.rows().zip(&data) {
        let is_readable = values.iter().all(|value| value["_type"] != "image-file");
        assert!(row.is_ok() || !is_readable, "{:?} of {values:?}", row.err());
    }
    check_table(text.as_bytes(), artifact);
}

fn value_of_pieces(bytes: &mut Bytes<'_>, depth: usize) -> serde_json::Value {
    use serde_json::json;

    match bytes.u8() % 10 {
        0 => json!(null),
        1 => json!(bytes.flag()),
        2 => json!(bytes.u64().cast_signed()),
        3 => json!(bytes.u64()),
        4 => json!(bytes.f64()),
        5 => json!(text(bytes.piece())),
        6 if depth < 3 => (0..bytes.u8() % 4)
            .map(|_| value_of_pieces(bytes, depth + 1))
            .collect(),
        7 if depth < 3 => {
            let key = bytes.one_of(&["_type", "path", "k", "\u{0}"]);
            json!({ key: value_of_pieces(bytes, depth + 1) })
        }
        8 if depth == 0 => image_of_pieces(bytes),
        _ => json!(bytes.u8()),
    }
}

/// The JSON of an image, or almost.
fn image_of_pieces(bytes: &mut Bytes<'_>) -> serde_json::Value {
    use serde_json::json;

    let mut image = json!({
        "_type": "image-file",
        "path": bytes.one_of(&["seven.png", "mask.png", "./seven.png", "../seven.png", "none.png", "classes.json"]),
    });
    for _ in 0..bytes.u8() % 6 {
        let (key, value) = match bytes.u8() % 9 {
            0 => ("caption", value_of_pieces(bytes, 1)),
            1 => ("grouping", value_of_pieces(bytes, 1)),
            2 => ("sha256", json!(text(bytes.take(3)))),
            3 => (
                "classes",
                json!({ "path": bytes.one_of(&["classes.json", "seven.png", "../x"]) }),
            ),
            4 => ("width", value_of_pieces(bytes, 1)),
            5 => (
                "boxes",
                json!({ "b": [box_of_pieces(bytes), box_of_pieces(bytes)] }),
            ),
            6 => (
                "masks",
                json!({ "m": { "path": bytes.one_of(&["mask.png", "classes.json", "/etc/passwd"]) } }),
            ),
            7 => ("boxes", value_of_pieces(bytes, 1)),
            _ => ("masks", value_of_pieces(bytes, 1)),
        };
        image[key] = value;
    }
    image
}

fn box_of_pieces(bytes: &mut Bytes<'_>) -> serde_json::Value {
    use serde_json::json;

    let edge = |bytes: &mut Bytes<'_>| match bytes.u8() {
        255 => value_of_pieces(bytes, 1),
        254 => json!(bytes.f64()),
        byte => json!(f64::from(byte) / 128.0),
    };
    let corners = ["minX", "minY", "maxX", "maxY"].map(|name| (name.to_owned(), edge(bytes)));
    let middle = json!({ "middle": [edge(bytes), edge(bytes)], "width": edge(bytes), "height": edge(bytes) });
    let position = if bytes.flag() {
        corners.into_iter().collect()
    } else {
        middle
    };
    let mut one =
        json!({ "position": position, "class_id": bytes.one_of(&[0, 1, 7, -1, i64::MAX]) });
    match bytes.u8() % 6 {
        0 => one["domain"] = json!("pixel"),
        1 => one["scores"] = json!({ "s": edge(bytes) }),
        2 => one["box_caption"] = value_of_pieces(bytes, 1),
        3 => one["class_id"] = value_of_pieces(bytes, 1),
        4 => one["domain"] = value_of_pieces(bytes, 1),
        _ => {}
    }
    one
}

// ---- picture files ----

/// What a fuzzer decodes at most, so that it is quick; the limits themselves are tested.
const MOST_PIXELS: u64 = 1 << 20;

/// The same of a tensor.
const MOST_MADE_PIXELS: u64 = 1 << 13;

/// Any bytes are a picture or an error, as an image and as a mask; a picture decodes to what
/// another reader makes of it.
pub fn picture(data: &[u8]) {
    let (is_fixed, file) = data.split_first().unwrap_or((&0, &[]));
    let file = match is_fixed & 1 {
        0 => file.to_vec(),
        _ => with_chunk_checksums(file.to_vec()),
    };
    if claimed_pixels(&file).is_some_and(|pixels| pixels > MOST_PIXELS) {
        return;
    }
    let image = Image::from_bytes(&file[..]);
    if let Ok(image) = &image {
        check_picture(image, &file);
    }
    if let Ok(mask) = ImageMask::from_bytes(&file) {
        let image = image.expect("a mask is a picture");
        assert_eq!(
            (mask.width(), mask.height()),
            (image.width(), image.height())
        );
        let ids = mask.ids().expect("a mask from a file has its ids");
        assert_eq!(ids.mode(), Mode::L);
        assert!(image.masks("m", mask).is_ok());
    }
}

fn check_picture(image: &Image, file: &[u8]) {
    let pixels = image.pixels().expect("it was decoded before");
    assert_eq!(
        (pixels.width(), pixels.height()),
        (image.width(), image.height())
    );
    assert_eq!(pixels.mode(), image.mode());
    let other = image::load_from_memory(file);
    match (image.format(), other) {
        ("jpg", Ok(other)) => check_near(&pixels, &Image::from(other)),
        // Another reader may be stricter.
        ("jpg", Err(_)) => {}
        (_, Ok(other)) => {
            let other = Image::from(other).pixels().expect("it has pixels");
            assert!(other == pixels, "another reader gives other pixels");
        }
        (format, Err(error)) => panic!("no {format} for another reader: {error}"),
    }
}

/// Two readers of JPEG round, but not in the same way.
fn check_near(pixels: &Pixels, other: &Image) {
    const MOST_LEVELS: u64 = 3;
    let other = other.pixels().expect("it has pixels");
    assert_eq!(
        (pixels.width(), pixels.height(), pixels.mode()),
        (other.width(), other.height(), other.mode())
    );
    let pairs = pixels.as_bytes().iter().zip(other.as_bytes());
    let apart: u64 = pairs
        .map(|(one, other)| u64::from(one.abs_diff(*other)))
        .sum();
    assert!(
        apart <= MOST_LEVELS * pixels.as_bytes().len() as u64,
        "{apart} levels apart, of {} samples",
        pixels.as_bytes().len()
    );
}

fn claimed_pixels(file: &[u8]) -> Option<u64> {
    let reader = image::ImageReader::new(std::io::Cursor::new(file));
    let (width, height) = reader.with_guessed_format().ok()?.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

/// The checksums of a PNG file's chunks made right.
fn with_chunk_checksums(mut file: Vec<u8>) -> Vec<u8> {
    let mut at = 8;
    while let Some(&[a, b, c, d]) = file.get(at..at + 4).and_then(|len| len.first_chunk()) {
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let end = at + 8 + len;
        let Some(body) = file.get(at + 4..end) else {
            break;
        };
        let sum = crc32fast::hash(body).to_be_bytes();
        let Some(place) = file.get_mut(end..end + 4) else {
            break;
        };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
    file
}

// ---- tensor files ----

/// The elements in little-endian bytes: equal also where they are NaN.
fn bits(tensor: &HostTensor) -> Vec<u8> {
    macro_rules! bits {
        ($($variant:ident),*) => {
            match tensor.elements() {
                Elements::Bool(values) => values.iter().map(|&value| value.into()).collect(),
                $(Elements::$variant(values) => {
                    values.iter().flat_map(|value| value.to_le_bytes()).collect()
                })*
                _ => panic!("{}", tensor.dtype()),
            }
        };
    }
    bits!(U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64)
}

#[cfg(feature = "cli")]
fn check_tensor(tensor: &HostTensor) {
    let elements: usize = tensor.shape().iter().product();
    assert_eq!(tensor.size_bytes(), elements * tensor.dtype().size());
    assert_eq!(bits(tensor).len(), tensor.size_bytes());
    if let Ok(image) = tensor.to_wandb_image() {
        image.pixels().expect("its shape was checked");
    }
}

/// Any file, its length made right or not, is an error or tensors that fill the file: each the same
/// by its name, and by another writer.
#[cfg(feature = "cli")]
pub fn safetensors(data: &[u8]) {
    use wandb_image::decode::safetensors_from_bytes;

    let mut bytes = Bytes(data);
    let file = match bytes.u8() {
        0 => bytes.0.to_vec(),
        _ => {
            let header = bytes.piece();
            let len = (header.len() as u64).to_le_bytes();
            [&len[..], header, bytes.0].concat()
        }
    };
    let Ok(tensors) = safetensors_from_bytes(&file, &[""; 0]) else {
        return;
    };
    assert!(tensors.is_sorted_by(|one, other| one.0 < other.0));
    let read: usize = tensors.iter().map(|(_, tensor)| tensor.size_bytes()).sum();
    assert!(read <= file.len() * 4, "more was read than there is");
    for (name, tensor) in &tensors {
        check_tensor(tensor);
        let alone = safetensors_from_bytes(&file, &[name]).expect("it was read before");
        assert_eq!(alone[0].1.shape(), tensor.shape());
        assert!(
            bits(&alone[0].1) == bits(tensor),
            "{name:?} alone is another"
        );
    }
    let other = safetensors::SafeTensors::deserialize(&file);
    let other = other.expect("another reader takes it");
    assert_eq!(other.len(), tensors.len());
    for (name, tensor) in &tensors {
        let other = other.tensor(name).expect("it has the same names");
        assert_eq!(tensor.shape(), other.shape());
        check_elements(tensor, other.dtype(), other.data());
    }
}

/// The elements are the file's, or its floats of 8 bits.
#[cfg(feature = "cli")]
fn check_elements(tensor: &HostTensor, dtype: safetensors::Dtype, data: &[u8]) {
    use safetensors::Dtype;

    let small = |mantissa_bits, bias| {
        let values = data.iter();
        values.map(move |&byte| reference::small_float(byte, mantissa_bits, bias))
    };
    let expected: Vec<f32> = match dtype {
        Dtype::F8_E4M3 => {
            let is_nan = data.iter().map(|byte| byte & 0x7F == 0x7F);
            let values = small(3, 7).zip(is_nan);
            values
                .map(|(value, is_nan)| if is_nan { f32::NAN } else { value })
                .collect()
        }
        Dtype::F8_E5M2 => {
            let special = |byte: u8| match byte & 0x7F {
                0x7C => f32::INFINITY.copysign(f32::from(byte as i8)),
                _ => f32::NAN,
            };
            let pairs = small(2, 15).zip(data);
            let finite = |byte: u8| byte & 0x7F < 0x7C;
            pairs
                .map(|(value, &byte)| if finite(byte) { value } else { special(byte) })
                .collect()
        }
        _ => {
            assert_eq!(
                format!("{:?}", tensor.dtype()),
                format!("{dtype:?}").replace("BOOL", "Bool")
            );
            assert!(bits(tensor) == data, "other elements were read");
            return;
        }
    };
    let Elements::F32(values) = tensor.elements() else {
        panic!("{dtype:?} became {}", tensor.dtype());
    };
    let is_same = |(one, other): (&f32, &f32)| one == other || one.is_nan() && other.is_nan();
    assert!(values.len() == expected.len() && values.iter().zip(&expected).all(is_same));
}

/// Any file, its length made right or not, is an error or an array whose elements are those that
/// follow the header, in the order that it says. A file as NumPy writes it is read.
#[cfg(feature = "cli")]
pub fn npy(data: &[u8]) {
    let mut bytes = Bytes(data);
    let file = match bytes.u8() {
        0 => bytes.0.to_vec(),
        version @ 1..=3 => {
            let header = bytes.piece();
            let len = (header.len() as u32).to_le_bytes();
            let len = if version == 1 { &len[..2] } else { &len[..] };
            [b"\x93NUMPY", &[version, 0][..], len, header, bytes.0].concat()
        }
        choice => {
            let (file, shape) = npy_file(choice, &mut bytes);
            check_shape(&file, shape);
            file
        }
    };
    let Ok(array) = wandb_image::decode::npy_from_bytes(&file) else {
        return;
    };
    check_tensor(&array);
    let (header, elements) = file.split_at(file.len() - array.size_bytes());
    let orders = orders(header);
    let is_so = |&(is_big, is_fortran): &(bool, bool)| {
        bits(&array) == in_order(elements, &array, is_big, is_fortran)
    };
    assert!(orders.iter().any(is_so), "it is none of {orders:?}");
}

/// The elements of a file, of the array's shape and dtype, little-endian and in C order.
#[cfg(feature = "cli")]
fn in_order(elements: &[u8], array: &HostTensor, is_big: bool, is_fortran: bool) -> Vec<u8> {
    let size = array.dtype().size();
    let place = |at| match is_fortran {
        true => reference::in_fortran_order(at, array.shape()),
        false => at,
    };
    let element = |at| {
        let mut element = elements[place(at) * size..][..size].to_vec();
        if is_big {
            element.reverse();
        }
        element
    };
    (0..elements.len() / size).flat_map(element).collect()
}

/// Whether the numbers may be big-endian and in Fortran order: one answer, where the header says
/// one thing and once.
#[cfg(feature = "cli")]
fn orders(header: &[u8]) -> Vec<(bool, bool)> {
    let says = |text: &str| {
        header
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    let is_big = [(says("'<") || says("'|"), false), (says("'>"), true)];
    let is_fortran = [(says("False"), false), (says("True"), true)];
    let mut orders = Vec::new();
    for (_, is_big) in is_big.into_iter().filter(|(is_said, _)| *is_said) {
        let fortran = is_fortran.into_iter().filter(|(is_said, _)| *is_said);
        orders.extend(fortran.map(|(_, is_fortran)| (is_big, is_fortran)));
    }
    orders
}

/// The shape is read, where there is such a dtype.
#[cfg(feature = "cli")]
fn check_shape(file: &[u8], shape: Option<Vec<usize>>) {
    let Some(shape) = shape else {
        return;
    };
    let array = wandb_image::decode::npy_from_bytes(file);
    let array = array.expect("it is as NumPy writes it");
    assert_eq!(array.shape(), shape);
}

/// A file as NumPy writes it, and its shape, where NumPy has that dtype and a picture is made of
/// it.
#[cfg(feature = "cli")]
fn npy_file(choice: u8, bytes: &mut Bytes<'_>) -> (Vec<u8>, Option<Vec<usize>>) {
    let (order, size) = (["<", ">"][usize::from(choice & 1)], 1 << (choice >> 1 & 3));
    let kind = bytes.one_of(&["u", "i", "f", "b"]);
    let fortran = bytes.one_of(&["True", "False"]);
    let dims: Vec<usize> = (0..bytes.u8() % 5)
        .map(|_| (bytes.u8() % 6).into())
        .collect();
    let shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let order = if size == 1 && kind != "f" { "|" } else { order };
    let header = format!(
        "{{'descr': '{order}{kind}{size}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n"
    );
    let data = bytes.filled(dims.iter().product::<usize>() * size);
    let len = (header.len() as u16).to_le_bytes();
    let is_read = match kind {
        "b" => size == 1 && data.iter().all(|&byte| byte < 2),
        "f" => size > 1,
        _ => true,
    };
    let file = [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &data].concat();
    (file, is_read.then_some(dims))
}

// ---- keys ----

/// The longest name of a file or folder, and the longest path that a key makes.
const MAX_NAME: usize = 200;
const MAX_PATH: usize = 900;

/// A key is refused for a reason, or makes a path inside of the run that every system takes; two
/// keys never have the same file unless its bytes are the same, nor one a file where the other has
/// a folder.
pub fn key(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (step, seed) = (bytes.u64() >> (bytes.u8() % 64), bytes.u8());
    let extension = bytes.one_of(&["png", "jpg", "bmp"]);
    let first = text(bytes.piece());
    // Half of them name what the first one does, so that files and folders could meet.
    let hash = hash(seed);
    let made = image_path(&first, step, &hash, extension);
    let second = match (&made, seed & 1) {
        (Ok(path), 1) => {
            let path = path.strip_prefix("media/images/").expect("it lies there");
            format!("{path}{}", text(bytes.0))
        }
        _ => text(bytes.0),
    };
    let other_hash = self::hash(seed.wrapping_add(1));
    let mut paths = Vec::new();
    for (key, hash) in [(&first, &hash), (&second, &hash), (&second, &other_hash)] {
        match image_path(key, step, hash, extension) {
            Ok(path) => {
                assert!(!makes_no_path(key), "{key:?} was taken");
                check_path(&path);
                assert_eq!(
                    image_path(key, step, hash, extension).ok(),
                    Some(path.clone())
                );
                paths.push((path, hash));
            }
            Err(error) => assert!(makes_no_path(key) || key.len() > 200, "{error}"),
        }
    }
    for (one, hash) in &paths {
        for (other, other_hash) in &paths {
            let (one, other) = (folded(one), folded(other));
            assert!(
                one != other || hash == other_hash,
                "two pictures have the file {one}"
            );
            assert!(
                !other.starts_with(&format!("{one}/")),
                "{one} is a file and a folder"
            );
        }
    }
}

fn hash(seed: u8) -> String {
    format!("{seed:02x}").repeat(32)
}

/// As a case-insensitive file system sees it, or one that is more lenient than any.
fn folded(path: &str) -> String {
    path.to_uppercase().to_lowercase()
}

fn makes_no_path(key: &str) -> bool {
    key.contains('\0') || key.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn check_path(path: &str) {
    assert!(path.starts_with("media/images/"), "{path}");
    assert!(path.len() <= MAX_PATH, "{} bytes", path.len());
    for part in path.split('/') {
        assert!(!matches!(part, "" | "." | ".."), "{path}");
        assert!(part.len() <= MAX_NAME, "{part}");
        assert!(!part.ends_with(['.', ' ']), "{part}");
        let is_refused = |c: char| c.is_control() || r#"\:*?"<>|"#.contains(c);
        assert!(!part.contains(is_refused), "{part:?}");
        assert!(!is_device(part), "{part}");
    }
}

/// Windows takes such a name for a device, whatever follows its first dot.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|device| {
        let number = stem.strip_prefix(device).unwrap_or_default();
        number.chars().count() == 1 && number.contains(|c: char| "0123456789¹²³".contains(c))
    });
    numbered || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&&*stem)
}

// ---- tensors ----

const DTYPES: [DType; 13] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::U16,
    DType::I16,
    DType::U32,
    DType::I32,
    DType::U64,
    DType::I64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
];

/// A tensor of this shape whose elements are the bytes, over and over.
fn tensor(shape: &[usize], dtype: DType, bytes: &mut Bytes<'_>) -> HostTensor {
    let len = shape.iter().product::<usize>();
    let data = bytes.filled(len * dtype.size());
    macro_rules! numbers {
        ($t:ty) => {{
            let (chunks, _) = data.as_chunks();
            let values = chunks
                .iter()
                .map(|&chunk| <$t>::from_le_bytes(chunk))
                .collect();
            HostTensor::new(shape, values)
        }};
    }
    let tensor = match dtype {
        DType::Bool => HostTensor::new(shape, data.iter().map(|byte| byte & 1 == 1).collect()),
        DType::U8 => HostTensor::new(shape, data),
        DType::I8 => numbers!(i8),
        DType::U16 => numbers!(u16),
        DType::I16 => numbers!(i16),
        DType::U32 => numbers!(u32),
        DType::I32 => numbers!(i32),
        DType::U64 => numbers!(u64),
        DType::I64 => numbers!(i64),
        DType::F16 => numbers!(f16),
        DType::BF16 => numbers!(bf16),
        DType::F32 => numbers!(f32),
        DType::F64 => numbers!(f64),
        other => panic!("{other}"),
    };
    tensor.expect("the elements fill the shape")
}

fn small_shape(bytes: &mut Bytes<'_>) -> Vec<usize> {
    const MOST_ELEMENTS: usize = 1 << 14;
    let rank = bytes.u8() % 6;
    let dims: Vec<usize> = (0..rank)
        .map(|_| match bytes.u8() {
            byte @ 0..=250 => usize::from(byte % 8),
            byte => usize::from(byte - 250) * 9,
        })
        .collect();
    match dims.iter().product() {
        ..=MOST_ELEMENTS => dims,
        _ => dims.iter().map(|dim| dim % 8).collect(),
    }
}

/// Any tensor under any options is an error or a picture of the size that was foretold, with the
/// pixels that the rules say: the same each time, from a snapshot that is read later, and as an
/// image of a batch.
pub fn normalize(data: &[u8]) {
    let mut bytes = Bytes(data);
    let dtype = bytes.one_of(&DTYPES);
    let shape = small_shape(&mut bytes);
    let asked = options(&mut bytes);
    let tensor = tensor(&shape, dtype, &mut bytes);
    if bytes.u8() == 0 {
        claim(&shape, dtype, &asked.options, &mut bytes);
    }
    // Any bits are, as floats, mostly far from each other.
    let seed = crc32fast::hash(data);
    let ranges = RANGES.iter().cycle().skip(seed as usize % RANGES.len());
    let is_tiny = shape.iter().product::<usize>() <= 32;
    let ranges = ranges.take(if is_tiny { RANGES.len() } else { 1 });
    let likely = ranges.map(|range| likely(&shape, dtype, *range, seed));
    for tensor in std::iter::once(tensor).chain(likely) {
        check_to_uint8(&tensor);
        if let Ok(image) = tensor.to_wandb_image_with(&asked.options) {
            check_image(&image);
            check_again(&image, &tensor, &asked);
        }
        if let Ok(images) = tensor.to_wandb_images_with(&asked.options) {
            images.iter().for_each(check_image);
            check_batch(&images, &tensor, &asked);
        }
    }
}

/// Those of values as a model puts them out, and as it shouldn't.
const RANGES: [(f64, f64); 8] = [
    (0.0, 1.0),
    (-1.0, 1.0),
    (-3.0, 3.0),
    (0.0, 255.0),
    (0.0, 1.6e-5),
    (100.0, 100.5),
    (-4e4, 6e4),
    (-3e38, 3e38),
];

/// A tensor of values within a range, and perhaps of some that are in none.
fn likely(shape: &[usize], dtype: DType, (low, high): (f64, f64), seed: u32) -> HostTensor {
    const ODD: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
    let mut state = u64::from(seed);
    let has_odd = seed & 1 == 0;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    };
    let mut value = || match random() {
        bits if has_odd && bits % 8 == 0 => ODD[(bits >> 8) as usize % ODD.len()],
        bits => low + (high - low) * ((bits >> 11) as f64 / (1_u64 << 53) as f64),
    };
    let len = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..len).map(|_| value()).collect();
    macro_rules! cast {
        ($cast:expr) => {
            HostTensor::new(shape, values.into_iter().map($cast).collect())
        };
    }
    let tensor = match dtype {
        DType::Bool => cast!(|x| x > low.midpoint(high)),
        DType::U8 => cast!(|x| x as u8),
        DType::I8 => cast!(|x| x as i8),
        DType::U16 => cast!(|x| x as u16),
        DType::I16 => cast!(|x| x as i16),
        DType::U32 => cast!(|x| x as u32),
        DType::I32 => cast!(|x| x as i32),
        DType::U64 => cast!(|x| x as u64),
        DType::I64 => cast!(|x| x as i64),
        DType::F16 => cast!(f16::from_f64),
        DType::BF16 => cast!(bf16::from_f64),
        DType::F32 => cast!(|x| x as f32),
        DType::F64 => cast!(|x| x),
        other => panic!("{other}"),
    };
    tensor.expect("the elements fill the shape")
}

fn check_to_uint8(tensor: &HostTensor) {
    let values = reference::numbers(tensor);
    let rule = reference::Rule {
        normalize: Normalize::ToUint8,
        dtype: tensor.dtype(),
        range: reference::range(&values, tensor.dtype()),
    };
    let bytes = to_uint8(tensor);
    assert_eq!(bytes.shape(), tensor.shape());
    assert_eq!(bits(&bytes), rule.pixels(&values, 1, Layout::Hwc));
}

fn check_again(image: &Image, tensor: &HostTensor, asked: &Asked) {
    if !is_small(image) {
        return;
    }
    let again = tensor.to_wandb_image_with(&asked.options);
    let again = again.expect("it was one before");
    assert!(*image == again, "it isn't the same twice");
    let later = Later(tensor.to_host().expect("it is on the host"));
    let later = later.to_wandb_image_with(&asked.options);
    let later = later.expect("a snapshot has the same shape");
    assert!(*image == later, "it is another through a snapshot");
}

/// A tensor whose elements come when its picture is made.
struct Later(HostTensor);

impl IntoWandbImage for Later {
    fn to_host(&self) -> wandb_image::Result<HostTensor> {
        self.0.to_host()
    }
    fn snapshot(&self) -> wandb_image::Result<Snapshot> {
        let tensor = self.0.to_host()?;
        let (shape, dtype) = (tensor.shape().to_vec(), tensor.dtype());
        Ok(Snapshot::new(shape, dtype, move || Ok(tensor)))
    }
}

/// Each image of a batch is the one that its own values make, alone or by the range of all. A
/// tensor of rank 2 or 3 is a batch of one.
fn check_batch(images: &[Image], tensor: &HostTensor, asked: &Asked) {
    let shape = tensor.shape();
    let there = if shape.len() == 4 { shape[0] } else { 1 };
    let limit = asked.max_images.unwrap_or(there);
    assert_eq!(images.len(), there.min(limit));
    let values = reference::numbers(tensor);
    let image_len = values.len() / there;
    let taken = &values[..images.len() * image_len];
    let range = |values| reference::range(values, tensor.dtype());
    for (index, image) in images.iter().enumerate() {
        if !is_small(image) {
            continue;
        }
        let own = &taken[index * image_len..][..image_len];
        check_seen(image, own, range(own), asked, shape.len());
        let ranged = if asked.is_ranged_together { taken } else { own };
        let rule = reference::Rule {
            normalize: asked.rule(image.mode()),
            dtype: tensor.dtype(),
            range: range(ranged),
        };
        check_pixels(image, own, shape, asked, &rule);
        if shape.len() == 4 && !asked.is_ranged_together {
            let alone = tensor.select(&[index]).and_then(Snapshot::into_host);
            let alone = alone.expect("it is there");
            let alone = alone.to_wandb_images_with(&asked.options);
            let alone = alone.expect("it is one of a batch");
            assert!(alone[0] == *image, "image {index} is another alone");
        }
    }
}

fn check_seen(image: &Image, values: &[f64], range: (f64, f64), asked: &Asked, rank: usize) {
    let seen = image.observed().expect("it was made before");
    let seen = seen.expect("it has values");
    let count = |is: fn(&&f64) -> bool| values.iter().filter(is).count() as u64;
    assert_eq!(seen.count, values.len() as u64);
    assert_eq!(seen.nan, count(|value| value.is_nan()));
    assert_eq!(seen.infinite, count(|value| value.is_infinite()));
    if rank < 4 || !asked.is_ranged_together {
        assert_eq!((seen.min, seen.max), range);
    }
}

/// The pixels of a picture that is neither resized nor converted are what the rule says.
fn check_pixels(
    image: &Image,
    values: &[f64],
    shape: &[usize],
    asked: &Asked,
    rule: &reference::Rule,
) {
    let (channels, height, width) = match (shape, asked.layout) {
        (&[height, width], _) => (1, height, width),
        (&[.., height, width, channels], Layout::Hwc) => (channels, height, width),
        (&[.., channels, height, width], _) => (channels, height, width),
        _ => panic!("a picture of shape {shape:?}"),
    };
    let is_sized = (image.width(), image.height()) == (width as u32, height as u32);
    assert!(is_sized || asked.is_resized || asked.is_limited);
    if asked.is_resized || !is_sized || image.mode().channels() != channels {
        return;
    }
    let expected = match image.mode() {
        Mode::I16 => values
            .iter()
            .flat_map(|&x| (x as u16).to_le_bytes())
            .collect(),
        _ => rule.pixels(values, channels, asked.layout),
    };
    let pixels = image.pixels().expect("it was made before");
    assert!(
        pixels.as_bytes() == expected,
        "{rule:?} makes {:?} of {values:?}, not {expected:?}",
        pixels.as_bytes()
    );
}

/// Options, and what of them can't be read back.
struct Asked {
    options: ImageOptions,
    layout: Layout,
    rule: Option<Normalize>,
    is_ranged_together: bool,
    is_resized: bool,
    is_limited: bool,
    max_images: Option<usize>,
}

impl Asked {
    /// As documented, with the default for tensors.
    fn rule(&self, mode: Mode) -> Normalize {
        let default = if mode == Mode::I16 {
            Normalize::Off
        } else {
            Normalize::MinMax
        };
        self.rule.clone().unwrap_or(default)
    }
}

fn options(bytes: &mut Bytes<'_>) -> Asked {
    let layout = bytes.one_of(&[Layout::Chw, Layout::Hwc]);
    let mut options = ImageOptions::new().layout(layout).file_type(bytes.one_of(&[
        FileType::Png,
        FileType::jpg(),
        FileType::Bmp,
    ]));
    let rule = match bytes.u8() % 9 {
        0 => None,
        1 => Some(Normalize::MinMax),
        2 => Some(Normalize::ValueRange {
            low: bytes.f64(),
            high: bytes.f64(),
        }),
        3 => Some(Normalize::Unit),
        4 => Some(Normalize::Signed),
        5 => Some(Normalize::MeanStd {
            mean: (0..bytes.u8() % 5).map(|_| bytes.f64()).collect(),
            std: (0..bytes.u8() % 5).map(|_| bytes.f64()).collect(),
        }),
        6 => Some(Normalize::Guess),
        7 => Some(Normalize::ToUint8),
        _ => Some(Normalize::Off),
    };
    if let Some(rule) = &rule {
        options = options.normalize(rule.clone());
    }
    let modes = [Mode::L, Mode::I16, Mode::La, Mode::Rgb, Mode::Rgba];
    if bytes.flag() {
        options = options.mode(bytes.one_of(&modes));
    }
    let scale_each = bytes.flag().then(|| bytes.flag());
    if let Some(scale_each) = scale_each {
        options = options.scale_each(scale_each);
    }
    let is_resized = bytes.flag();
    if is_resized {
        options = options.resize(resize(bytes));
    }
    let is_limited = bytes.flag();
    if is_limited {
        options = options.max_side(bytes.u8().into());
    }
    let max_images = bytes.flag().then(|| bytes.u8().into());
    if let Some(limit) = max_images {
        options = options.max_images(limit);
    }
    if bytes.flag() {
        let grid = Grid::new()
            .nrow(bytes.u8().into())
            .padding(usize::from(bytes.u8() % 20));
        options = options.grid(grid.pad_value(bytes.f64()));
    }
    Asked {
        options,
        layout,
        rule,
        is_ranged_together: scale_each == Some(false),
        is_resized,
        is_limited,
        max_images,
    }
}

fn resize(bytes: &mut Bytes<'_>) -> Resize {
    match bytes.flag() {
        true => Resize::Enlarge(u32::from(bytes.u8() % 12)),
        false => Resize::To {
            width: u32::from(bytes.u8() % 100),
            height: u32::from(bytes.u16() % 300),
        },
    }
}

/// Whether it is quick to make.
fn is_small(image: &Image) -> bool {
    u64::from(image.width()) * u64::from(image.height()) <= MOST_MADE_PIXELS
}

fn check_image(image: &Image) {
    if !is_small(image) {
        return;
    }
    let pixels = image
        .pixels()
        .expect("what can't be made is refused before");
    assert_eq!(
        (pixels.width(), pixels.height()),
        (image.width(), image.height())
    );
    assert_eq!(pixels.mode(), image.mode());
    let seen = image
        .observed()
        .expect("it was made before")
        .expect("it has values");
    assert!(
        seen.nan + seen.infinite + seen.outside <= seen.count,
        "{seen:?}"
    );
    assert!(seen.min <= seen.max, "{seen:?}");
}

/// A tensor that claims to be larger than it is fails, and takes no memory for the claim.
fn claim(shape: &[usize], dtype: DType, options: &ImageOptions, bytes: &mut Bytes<'_>) {
    let mut claimed = shape.to_vec();
    if let Some(dim) = claimed.get_mut(usize::from(bytes.u8()) % shape.len().max(1)) {
        *dim = (bytes.u64() >> (bytes.u8() % 64)) as usize;
    }
    let claim = Claim(claimed, dtype);
    if let Ok(image) = claim.to_wandb_image_with(options) {
        assert!(image.pixels().is_err());
    }
    if let Ok(images) = claim.to_wandb_images_with(options) {
        assert!(images[0].pixels().is_err());
    }
    if let Ok(mask) = claim.to_wandb_mask() {
        assert!(mask.ids().is_err());
    }
    if let Ok(masks) = claim.to_wandb_masks() {
        assert!(masks[0].ids().is_err());
    }
}

/// A shape with nothing behind it.
struct Claim(Vec<usize>, DType);

impl IntoWandbImage for Claim {
    fn to_host(&self) -> wandb_image::Result<HostTensor> {
        Err(wandb_image::Error::device("there is nothing"))
    }
    fn shape(&self) -> wandb_image::Result<Vec<usize>> {
        Ok(self.0.clone())
    }
    fn dtype(&self) -> wandb_image::Result<DType> {
        Ok(self.1)
    }
    fn select(&self, indices: &[usize]) -> wandb_image::Result<Snapshot> {
        let mut shape = self.0.clone();
        shape[0] = indices.len();
        Claim(shape, self.1).snapshot()
    }
    fn snapshot(&self) -> wandb_image::Result<Snapshot> {
        let read = || Err(wandb_image::Error::device("there is nothing"));
        Ok(Snapshot::new(self.0.clone(), self.1, read))
    }
}

// ---- masks and boxes ----

/// Any tensor is an error, or a mask of the size that was foretold, whose ids are those of the
/// tensor; and boxes that can be drawn, inside of the picture where that was asked for.
pub fn layers(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.flag() {
        true => masks(bytes),
        false => boxes(bytes),
    }
}

fn masks(mut bytes: Bytes<'_>) {
    let dtype = bytes.one_of(&DTYPES);
    let shape = small_shape(&mut bytes);
    let mut options = MaskOptions::new();
    let mut kept = true;
    for _ in 0..bytes.u8() % 3 {
        kept = false;
        options = options.remap(i64::from(bytes.u8()) - 9, bytes.u8());
    }
    if bytes.flag() {
        options = options.remap_outside(bytes.u8());
    }
    if bytes.flag() {
        options = options.layout(bytes.one_of(&[Layout::Chw, Layout::Hwc]));
    }
    if bytes.flag() {
        kept = false;
        options = options.resize(resize(&mut bytes));
    }
    let tensor = tensor(&shape, dtype, &mut bytes);
    let made = tensor.to_wandb_mask_with(&options).into_iter();
    for mask in made.chain(tensor.to_wandb_masks_with(&options).into_iter().flatten()) {
        if u64::from(mask.width()) * u64::from(mask.height()) > MOST_MADE_PIXELS {
            continue;
        }
        let Ok(ids) = mask.ids() else {
            continue;
        };
        assert_eq!((ids.width(), ids.height()), (mask.width(), mask.height()));
        assert!(mask.ids().is_ok_and(|again| again == ids));
        if let (Elements::U8(values), true, 2) = (tensor.elements(), kept, shape.len()) {
            assert_eq!(ids.as_bytes(), values);
        }
        let picture = Pixels::new(ids.width(), ids.height(), Mode::L, ids.as_bytes().to_vec());
        let image = Image::from(picture.expect("it has the size of its mask"));
        let image = image
            .masks("m", mask.clone())
            .expect("it has the size of its picture");
        assert!(image.mask_layers()["m"] == mask);
    }
}

fn boxes(mut bytes: Bytes<'_>) {
    let dtype = bytes.one_of(&DTYPES);
    let shape = match bytes.u8() {
        0..=7 => small_shape(&mut bytes),
        n => vec![usize::from(n % 8), 4],
    };
    let format = bytes.one_of(&[BoxFormat::Xyxy, BoxFormat::Xywh, BoxFormat::Cxcywh]);
    let domain = bytes.one_of(&[Domain::Pixel, Domain::Fraction]);
    let (clips, skips) = (bytes.flag(), bytes.flag());
    let size = (u32::from(bytes.u16()).max(1), u32::from(bytes.u8()).max(1));
    let (id_dtype, score_dtype) = (bytes.one_of(&DTYPES), bytes.one_of(&DTYPES));
    let tensor = tensor(&shape, dtype, &mut bytes);
    let Ok(mut boxes) = BoundingBoxes2D::from_tensor(&tensor, format, domain) else {
        assert!(shape.len() != 2 || shape[1] != 4 || dtype == DType::Bool);
        return;
    };
    bytes.u8();
    let ids = self::tensor(&shape[..1], id_dtype, &mut bytes);
    let scores = self::tensor(&shape[..1], score_dtype, &mut bytes);
    boxes = boxes.clone().class_ids(&ids).unwrap_or(boxes);
    boxes = boxes.clone().scores("s", &scores).unwrap_or(boxes);
    let invalid = if skips { Invalid::Skip } else { Invalid::Error };
    boxes = boxes.clip(clips).invalid(invalid);
    let Ok(made) = boxes.boxes_in(size.0, size.1) else {
        assert!(!skips, "what can't be drawn is skipped");
        return;
    };
    assert!(made.len() <= shape[0]);
    for one in &made {
        let (x, y) = edges(one.position());
        assert!(
            [x.0, x.1, y.0, y.1].iter().all(|edge| edge.is_finite()),
            "{one:?}"
        );
        assert!(x.0 <= x.1 && y.0 <= y.1, "{one:?}");
        assert!(
            one.scores().values().all(|score| score.is_finite()),
            "{one:?}"
        );
        let limits = match domain {
            Domain::Fraction => (1.0, 1.0),
            Domain::Pixel => (f64::from(size.0), f64::from(size.1)),
        };
        let near = 1e-6 * (limits.0 + limits.1);
        let inside = |edges: (f64, f64), limit| edges.0 >= -near && edges.1 <= limit + near;
        assert!(
            !clips || inside(x, limits.0) && inside(y, limits.1),
            "{one:?} in {size:?}"
        );
    }
    // A layer of the boxes that were made is taken as it is.
    let again = BoundingBoxes2D::new(made.clone());
    let again = again.boxes_in(size.0, size.1).expect("they can be drawn");
    assert_eq!(again, made);
}

fn edges(position: Position) -> ((f64, f64), (f64, f64)) {
    match position {
        Position::Corners {
            min_x,
            min_y,
            max_x,
            max_y,
        } => ((min_x, max_x), (min_y, max_y)),
        Position::Middle {
            middle: [x, y],
            width,
            height,
        } => (
            (x - width / 2.0, x + width / 2.0),
            (y - height / 2.0, y + height / 2.0),
        ),
    }
}

// ---- the files that are written ----

/// A sink that keeps the files of one image.
#[derive(Clone, Default)]
struct LastFiles(std::sync::Arc<std::sync::Mutex<Vec<MediaFile>>>);

impl LastFiles {
    fn take(&self) -> Vec<MediaFile> {
        std::mem::take(&mut self.0.lock().expect("nothing panics with it"))
    }
}

impl RecordSink for LastFiles {
    fn media(&mut self, path: &str, bytes: &[u8]) -> wandb_image::Result<()> {
        let (path, bytes) = (path.into(), bytes.into());
        self.0
            .lock()
            .expect("nothing panics with it")
            .push(MediaFile { path, bytes });
        Ok(())
    }
    fn record(&mut self, _: &Record) -> wandb_image::Result<()> {
        Ok(())
    }
    fn flush(&mut self) -> wandb_image::Result<()> {
        Ok(())
    }
}

/// The files of any picture with any mask and boxes are read back as what they were made of, and
/// the JSON names them all.
pub fn files(data: &[u8]) {
    static RUN: std::sync::LazyLock<(wandb_image::Run, LastFiles)> =
        std::sync::LazyLock::new(|| {
            let sink = LastFiles::default();
            let run = wandb_image::init().synchronous(true).start_on(sink.clone());
            (run.expect("it starts"), sink)
        });
    let (run, sink) = &*RUN;
    let mut bytes = Bytes(data);
    let mode = bytes.one_of(&[Mode::L, Mode::I16, Mode::La, Mode::Rgb, Mode::Rgba]);
    let (width, height) = (
        1 + u32::from(bytes.u8() % 70),
        1 + u32::from(bytes.u8() % 70),
    );
    let file_type = bytes.one_of(&[
        FileType::Png,
        FileType::Png,
        FileType::Bmp,
        FileType::Jpg { quality: 90 },
    ]);
    let effort = bytes.one_of(&[PngEffort::Auto, PngEffort::Fast, PngEffort::Balanced]);
    let ids = bytes.flag().then(|| bytes.u8());
    let corners = bytes.flag().then(|| [bytes.u8(), bytes.u8()]);
    let caption = bytes.flag().then(|| text(bytes.piece()));
    let len = width as usize * height as usize;
    let data = bytes.filled(len * mode.bytes_per_pixel());
    let given = Pixels::new(width, height, mode, data).expect("the bytes fill it");
    let mut image = Image::from(given.clone())
        .file_type(file_type)
        .png_effort(effort);
    if let Some(caption) = caption.clone() {
        image = image.caption(caption);
    }
    let ids = ids.map(|top| {
        let ids = bytes
            .filled(len)
            .iter()
            .map(|id| id.min(&top))
            .copied()
            .collect();
        ImageMask::new(width, height, ids).expect("the ids fill it")
    });
    if let Some(mask) = ids.clone() {
        image = image
            .masks("m", mask)
            .expect("it has the size of its picture");
    }
    if let Some([x, y]) = corners.map(|corner| corner.map(f64::from)) {
        let position = Position::corners(x, y, x + 1.0, y + 2.0);
        let one = wandb_image::BoundingBox::new(Domain::Pixel, position, 3);
        let one = one.caption(caption.clone().unwrap_or_default());
        image = image
            .boxes("b", BoundingBoxes2D::new([one]))
            .expect("it can be drawn");
    }
    let Ok(json) = run.media_json("key", 7, image) else {
        let is_deep = matches!(mode, Mode::I16 | Mode::La);
        assert!(
            is_deep && file_type != FileType::Png,
            "{mode} as {file_type:?}"
        );
        return;
    };
    let files = sink.take();
    let text = json.to_string();
    let named: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
    assert!(
        named.iter().all(|path| text.contains(&***path)),
        "{text} lacks a file"
    );
    assert_eq!(json["caption"].as_str(), caption.as_deref());
    for file in &files {
        match &*file.path {
            path if path.ends_with(".mask.png") => {
                let read = ImageMask::from_bytes(&file.bytes).expect("a mask was written");
                assert!(ids.as_ref() == Some(&read), "other ids were written");
            }
            path if path.ends_with(".json") => {
                let read: serde_json::Value =
                    serde_json::from_slice(&file.bytes).expect("JSON was written");
                assert_eq!(read["box_data"][0]["class_id"], 3);
            }
            _ => check_written(&given, file_type, &file.bytes),
        }
    }
}

fn check_written(given: &Pixels, file_type: FileType, bytes: &[u8]) {
    let read = Image::from_bytes(bytes).expect("a picture was written");
    assert_eq!(
        (read.width(), read.height()),
        (given.width(), given.height())
    );
    let read = read.pixels().expect("it was decoded before");
    match (file_type, given.mode()) {
        (FileType::Png, _) => assert!(*read == *given, "other pixels were written"),
        (FileType::Bmp, mode) => {
            let mode = if mode == Mode::Rgba { mode } else { Mode::Rgb };
            let expected = given.clone().convert(mode);
            assert!(*read == expected, "other pixels were written");
        }
        _ => {}
    }
}
