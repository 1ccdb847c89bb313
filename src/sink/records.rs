//! The records of a transaction log: W&B's protobuf messages, as far as they are used here.
//!
//! Names and numbers are W&B's; a reader passes over fields that aren't listed. The messages
//! implement `prost::Message`.
#![allow(missing_docs, reason = "the fields have W&B's names, and its meaning")]

use prost::{Message, Oneof};

/// One entry of the log.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// Counts from 1.
    #[prost(int64, tag = "1")]
    pub num: i64,
    /// What it is; none for a type that isn't listed here.
    #[prost(oneof = "RecordType", tags = "2, 3, 5, 6, 8, 12, 17, 18, 21, 26")]
    pub record_type: Option<RecordType>,
    #[prost(message, optional, tag = "200")]
    pub info: Option<RecordInfo>,
}

/// What a [`Record`] holds.
#[derive(Clone, PartialEq, Oneof)]
pub enum RecordType {
    #[prost(message, tag = "2")]
    History(HistoryRecord),
    #[prost(message, tag = "3")]
    Summary(SummaryRecord),
    #[prost(message, tag = "5")]
    Config(ConfigRecord),
    #[prost(message, tag = "6")]
    Files(FilesRecord),
    #[prost(message, tag = "8")]
    Artifact(ArtifactRecord),
    /// What the Python SDK was told of a metric, as it stands.
    #[prost(bytes = "vec", tag = "12")]
    Metric(Vec<u8>),
    #[prost(message, tag = "17")]
    Run(RunRecord),
    #[prost(message, tag = "18")]
    Exit(RunExitRecord),
    #[prost(message, tag = "21")]
    Header(HeaderRecord),
    #[prost(message, tag = "26")]
    Environment(EnvironmentRecord),
}

#[derive(Clone, PartialEq, Message)]
pub struct RecordInfo {
    /// The run's id.
    #[prost(string, tag = "1")]
    pub stream_id: String,
}

/// Who wrote the log.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderRecord {
    #[prost(message, optional, tag = "1")]
    pub version_info: Option<VersionInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct VersionInfo {
    #[prost(string, tag = "1")]
    pub producer: String,
    #[prost(string, tag = "2")]
    pub min_consumer: String,
}

/// The run. It stands before all history and files.
#[derive(Clone, PartialEq, Message)]
pub struct RunRecord {
    #[prost(string, tag = "1")]
    pub run_id: String,
    #[prost(string, tag = "2")]
    pub entity: String,
    #[prost(string, tag = "3")]
    pub project: String,
    #[prost(message, optional, tag = "4")]
    pub config: Option<ConfigRecord>,
    #[prost(string, tag = "6")]
    pub run_group: String,
    #[prost(string, tag = "7")]
    pub job_type: String,
    #[prost(string, tag = "8")]
    pub display_name: String,
    #[prost(string, tag = "9")]
    pub notes: String,
    #[prost(string, repeated, tag = "10")]
    pub tags: Vec<String>,
    #[prost(string, tag = "13")]
    pub host: String,
    #[prost(int64, tag = "14")]
    pub starting_step: i64,
    #[prost(message, optional, tag = "17")]
    pub start_time: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    /// Since 1970, UTC.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A leaf of the config, the summary or a history row.
#[derive(Clone, PartialEq, Message)]
pub struct Item {
    /// A top-level key; empty where `nested_key` is set.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The way to a nested leaf.
    #[prost(string, repeated, tag = "2")]
    pub nested_key: Vec<String>,
    /// JSON, with the tokens `NaN`, `Infinity` and `-Infinity`.
    #[prost(string, tag = "16")]
    pub value_json: String,
}

impl Item {
    /// The keys from the top down to this leaf.
    pub fn path(&self) -> Vec<&str> {
        if self.nested_key.is_empty() {
            return vec![&self.key];
        }
        self.nested_key.iter().map(String::as_str).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct ConfigRecord {
    #[prost(message, repeated, tag = "1")]
    pub update: Vec<Item>,
    #[prost(message, repeated, tag = "2")]
    pub remove: Vec<Item>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SummaryRecord {
    #[prost(message, repeated, tag = "1")]
    pub update: Vec<Item>,
    #[prost(message, repeated, tag = "2")]
    pub remove: Vec<Item>,
}

/// A row.
#[derive(Clone, PartialEq, Message)]
pub struct HistoryRecord {
    #[prost(message, repeated, tag = "1")]
    pub item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    pub step: Option<HistoryStep>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct HistoryStep {
    #[prost(int64, tag = "1")]
    pub num: i64,
}

/// Files to upload.
#[derive(Clone, PartialEq, Message)]
pub struct FilesRecord {
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FilesItem>,
}

#[derive(Clone, PartialEq, Message)]
pub struct FilesItem {
    /// Relative to the run's `files/`, with slashes.
    #[prost(string, tag = "1")]
    pub path: String,
    /// 0: upload now.
    #[prost(int32, tag = "2")]
    pub policy: i32,
    /// [`FILE_TYPE_MEDIA`] for pictures.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
}

/// `FilesItem.FileType.MEDIA`.
pub const FILE_TYPE_MEDIA: i32 = 2;

/// The end of a run. What follows it is ignored.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RunExitRecord {
    #[prost(int32, tag = "1")]
    pub exit_code: i32,
    /// In seconds.
    #[prost(int32, tag = "2")]
    pub runtime: i32,
}

/// The machine and the program.
#[derive(Clone, PartialEq, Message)]
pub struct EnvironmentRecord {
    #[prost(string, tag = "1")]
    pub os: String,
    #[prost(message, optional, tag = "3")]
    pub started_at: Option<Timestamp>,
    #[prost(string, tag = "6")]
    pub program: String,
    #[prost(string, tag = "12")]
    pub host: String,
    #[prost(string, tag = "14")]
    pub executable: String,
    #[prost(uint32, tag = "17")]
    pub cpu_count_logical: u32,
}

/// An artifact that the run has made.
#[derive(Clone, PartialEq, Message)]
pub struct ArtifactRecord {
    #[prost(string, tag = "1")]
    pub run_id: String,
    #[prost(string, tag = "2")]
    pub project: String,
    #[prost(string, tag = "3")]
    pub entity: String,
    #[prost(string, tag = "4")]
    pub r#type: String,
    #[prost(string, tag = "5")]
    pub name: String,
    /// Of the manifest: MD5 in hexadecimal digits.
    #[prost(string, tag = "6")]
    pub digest: String,
    #[prost(string, tag = "7")]
    pub description: String,
    /// JSON.
    #[prost(string, tag = "8")]
    pub metadata: String,
    #[prost(string, repeated, tag = "11")]
    pub aliases: Vec<String>,
    #[prost(message, optional, tag = "12")]
    pub manifest: Option<ArtifactManifest>,
    /// Nothing will be added to it.
    #[prost(bool, tag = "14")]
    pub finalize: bool,
    /// By which what is logged elsewhere names it before the server does.
    #[prost(string, tag = "15")]
    pub client_id: String,
    /// The same for all versions of it.
    #[prost(string, tag = "16")]
    pub sequence_client_id: String,
    #[prost(string, repeated, tag = "19")]
    pub tags: Vec<String>,
    #[prost(string, tag = "20")]
    pub digest_algorithm: String,
}

/// What an artifact holds.
#[derive(Clone, PartialEq, Message)]
pub struct ArtifactManifest {
    #[prost(int32, tag = "1")]
    pub version: i32,
    #[prost(string, tag = "2")]
    pub storage_policy: String,
    #[prost(message, repeated, tag = "3")]
    pub storage_policy_config: Vec<StoragePolicyConfigItem>,
    /// In the order of their paths.
    #[prost(message, repeated, tag = "4")]
    pub contents: Vec<ArtifactManifestEntry>,
    /// A file that holds the contents instead: a line of JSON each, packed by gzip.
    #[prost(string, tag = "5")]
    pub manifest_file_path: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct StoragePolicyConfigItem {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value_json: String,
}

/// A file of an artifact, or a reference.
#[derive(Clone, PartialEq, Message)]
pub struct ArtifactManifestEntry {
    /// In the artifact, with slashes.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Of a file MD5 in base64, of a reference its address.
    #[prost(string, tag = "2")]
    pub digest: String,
    /// The address of a reference.
    #[prost(string, tag = "3")]
    pub r#ref: String,
    /// In bytes.
    #[prost(int64, tag = "4")]
    pub size: i64,
    /// Where the file is until it is uploaded.
    #[prost(string, tag = "6")]
    pub local_path: String,
}
