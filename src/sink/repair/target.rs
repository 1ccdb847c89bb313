//! Where the clean run goes.

use std::path::{Path, PathBuf};

use super::unrepairable;
use crate::error::Result;
use crate::sink::names::{OFFLINE, RUNS, id_in_name, parent_of, real_name, resolved};
use crate::sink::records::RecordType;
use crate::sink::survey::{Class, Survey, classify};

/// Where the clean run goes.
pub(super) struct Target {
    pub(super) parent: PathBuf,
    pub(super) name: String,
    /// The run's id as the names of files take it.
    pub(super) log_id: String,
    pub(super) run_id: String,
}

impl Target {
    pub(super) fn new(survey: &Survey, log: &Path, out: &Path) -> Self {
        let named = id_in_name(log);
        let recorded = survey.report.run_id.clone();
        let is_name = |id: &String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            !id.is_empty() && id.chars().all(is_plain)
        };
        let safe = recorded.clone().filter(is_name);
        let log_id = named.or(safe).unwrap_or_else(|| "repaired".into());
        let run_id = recorded.unwrap_or_else(|| log_id.clone());
        let own = out.file_name().unwrap_or_default().to_string_lossy();
        let (parent, name) = match own.starts_with(OFFLINE) {
            true => (parent_of(out), own.into_owned()),
            false => (out.to_path_buf(), run_name(survey, log, &log_id)),
        };
        Self {
            parent: resolved(&parent).unwrap_or(parent),
            name,
            log_id,
            run_id,
        }
    }

    /// The damaged run is never touched.
    pub(super) fn refuse_inside(&self, run: &Path, survey: &Survey) -> Result<()> {
        let folder = parent_of(run);
        let is_of_run = |name: String| RUNS.iter().any(|run| name.starts_with(run));
        let place = match run.is_dir() {
            true => run,
            false if is_of_run(real_name(&folder)) => &folder,
            false => survey.files.dir(),
        };
        let existing = self
            .parent
            .ancestors()
            .find_map(|at| parent_or_dot(at).canonicalize().ok());
        let is_inside = match (existing, place.canonicalize()) {
            (Some(existing), Ok(place)) => existing.starts_with(place),
            _ => false,
        };
        match is_inside {
            true => Err(unrepairable(
                run,
                "the clean run would lie in it: choose another directory",
            )),
            false => Ok(()),
        }
    }

    /// A record names files by text.
    pub(super) fn refuse_unnameable(&self, run: &Path, survey: &Survey) -> Result<()> {
        let place = std::path::absolute(&self.parent).unwrap_or_else(|_| self.parent.clone());
        match survey.brings_artifacts && place.to_str().is_none() {
            true => Err(unrepairable(
                run,
                format!(
                    "the clean run would lie in {place:?}, which isn't UTF-8, and a record can't \
                     name an artifact's file there: choose another directory"
                ),
            )),
            false => Ok(()),
        }
    }
}

fn parent_or_dot(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

fn run_name(survey: &Survey, log: &Path, log_id: &str) -> String {
    let folder = real_name(&parent_of(log));
    if folder.starts_with(OFFLINE) {
        return folder;
    }
    match folder.strip_prefix("run-") {
        Some(rest) if !rest.is_empty() => format!("{OFFLINE}{rest}"),
        _ => format!("{OFFLINE}{}-{log_id}", started(survey)),
    }
}

/// When the run started, as the names of directories say it; in UTC.
fn started(survey: &Survey) -> String {
    let start = match survey.run.as_deref().map(classify) {
        Some(Class::Known(record)) => match *record {
            RecordType::Run(run) => run.start_time,
            _ => None,
        },
        _ => None,
    };
    let start = start.and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
    start
        .unwrap_or_default()
        .strftime("%Y%m%d_%H%M%S")
        .to_string()
}
