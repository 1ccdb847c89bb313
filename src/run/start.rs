//! The records at the beginning of a log.

use super::machine;
use super::settings::Settings;
use crate::pipeline::whole;
use crate::sink::PRODUCER;
use crate::sink::records::{ConfigRecord, HeaderRecord, Item, RunRecord, Timestamp, VersionInfo};
use crate::value::Json;

/// The oldest W&B tool that reads this log: the number that the Python SDK writes.
const MIN_CONSUMER: &str = "0.70.0";

pub(super) fn header() -> HeaderRecord {
    HeaderRecord {
        version_info: Some(VersionInfo {
            producer: format!("{PRODUCER} {}", env!("CARGO_PKG_VERSION")),
            min_consumer: MIN_CONSUMER.into(),
        }),
    }
}

pub(super) fn run(
    settings: &Settings,
    config: &[(String, Json)],
    starting_step: u64,
    start_time: Timestamp,
) -> RunRecord {
    let update: Vec<Item> = config
        .iter()
        .map(|(key, value)| whole(key, value))
        .collect();
    RunRecord {
        run_id: settings.run_id.clone(),
        entity: settings.entity.clone(),
        project: settings.project.clone(),
        config: Some(ConfigRecord {
            update,
            ..ConfigRecord::default()
        }),
        run_group: settings.group.clone(),
        job_type: settings.job_type.clone(),
        display_name: settings.name.clone(),
        notes: settings.notes.clone(),
        tags: settings.tags.clone(),
        host: machine::host(),
        starting_step: starting_step.cast_signed(),
        start_time: Some(start_time),
    }
}
