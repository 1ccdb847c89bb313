//! Logs made for tests, record by record, with the framing written here anew.

use prost::Message;
use wandb_image::sink::records::{
    FilesItem, FilesRecord, HistoryRecord, Item, Record, RecordType, RunExitRecord, RunRecord,
};

pub(crate) const BLOCK: usize = 32 * 1024;

/// A log, and where its records lie.
#[derive(Clone)]
pub(crate) struct Framed {
    pub(crate) bytes: Vec<u8>,
    /// The first byte of each record, and the byte after it.
    pub(crate) places: Vec<(usize, usize)>,
}

impl Framed {
    pub(crate) fn new() -> Self {
        Self {
            bytes: b":W&B\xE1\xBE\x00".to_vec(),
            places: Vec::new(),
        }
    }

    pub(crate) fn of(records: &[Record]) -> Self {
        let mut log = Self::new();
        for record in records {
            log.push(&record.encode_to_vec());
        }
        log
    }

    pub(crate) fn push(&mut self, record: &[u8]) {
        self.pad();
        let start = self.bytes.len();
        let mut rest = record;
        let mut is_first = true;
        loop {
            self.pad();
            let room = BLOCK - self.bytes.len() % BLOCK - 7;
            let (data, after) = rest.split_at(rest.len().min(room));
            let kind = match (is_first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            self.chunk(kind, data);
            (rest, is_first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
        self.places.push((start, self.bytes.len()));
    }

    pub(crate) fn chunk(&mut self, kind: u8, data: &[u8]) {
        let checksum = crc32fast::hash(&[&[kind], data].concat());
        self.bytes.extend(checksum.to_le_bytes());
        self.bytes.extend((data.len() as u16).to_le_bytes());
        self.bytes.push(kind);
        self.bytes.extend(data);
    }

    /// The zeros at the end of a block that has no room for a chunk.
    fn pad(&mut self) {
        let left = BLOCK - self.bytes.len() % BLOCK;
        if left < 7 {
            self.bytes.resize(self.bytes.len() + left, 0);
        }
    }
}

pub(crate) fn record(record_type: impl Into<Option<RecordType>>) -> Record {
    Record {
        record_type: record_type.into(),
        ..Record::default()
    }
}

pub(crate) fn run(run_id: &str) -> Record {
    record(RecordType::Run(RunRecord {
        run_id: run_id.into(),
        project: "digits".into(),
        ..RunRecord::default()
    }))
}

pub(crate) fn item(path: &[&str], value_json: &str) -> Item {
    Item {
        nested_key: path.iter().map(ToString::to_string).collect(),
        value_json: value_json.into(),
        ..Item::default()
    }
}

/// A row of these items, and its step.
pub(crate) fn row(step: i64, mut item: Vec<Item>) -> Record {
    item.push(self::item(&["_step"], &step.to_string()));
    record(RecordType::History(HistoryRecord { item, step: None }))
}

pub(crate) fn files(paths: &[&str]) -> Record {
    let item = |path: &&str| FilesItem {
        path: path.to_string(),
        policy: 0,
        r#type: 2,
    };
    let files = paths.iter().map(item).collect();
    record(RecordType::Files(FilesRecord { files }))
}

pub(crate) fn exit() -> Record {
    record(RecordType::Exit(RunExitRecord {
        exit_code: 0,
        runtime: 1,
    }))
}
