//! Going on with a run that is on disk.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::builder::{Begun, RunBuilder, started};
use super::ledger::Ledger;
use super::settings::{self, Environment};
use super::{Run, RunMode, Shared, machine, start};
use crate::error::{Error, Result, counted};
use crate::pipeline::{Clock, Voice, Writer, whole};
use crate::sink::records::{ConfigRecord, Item, RunRecord};
use crate::sink::{self, Directory, Durability, Made, OpenDirectory, Resumed, Upload};

/// Goes on with the run that `given` names. Nothing is written before all is checked.
pub(super) fn start(
    builder: RunBuilder,
    environment: &Environment<impl Fn(&str) -> Option<OsString>>,
    mode: RunMode,
    given: &Path,
) -> Result<Run> {
    let watch = builder.check()?;
    let found = Found::open(given, builder.durability)?;
    found.check(&builder, environment.given_run_id())?;
    let voice = Voice::new(environment.is_silent());
    let lost = found.past.lost.told();
    let shared = match (&found.past.run, Upload::of(found.open.log())) {
        (None, Upload::Nothing) => found.begin_at_last(builder, environment, mode, &voice),
        (None, _) => Err(found.refused(NOTHING.into())),
        (Some(_), Upload::Nothing) => found.append(builder, mode, voice),
        (Some(record), upload) => found.go_elsewhere(builder, mode, voice, record, upload),
    }?;
    lost.for_each(|lost| shared.voice.warn(&lost));
    if let Some(dir) = &shared.dir {
        sink::link_latest(dir);
    }
    Ok(started(shared, watch))
}

/// A run on disk that nobody else writes to.
struct Found {
    /// Its directory.
    path: PathBuf,
    open: OpenDirectory,
    run_id: String,
    past: Resumed,
}

impl Found {
    fn open(given: &Path, durability: Durability) -> Result<Self> {
        let path = sink::run_directory(given)?;
        if sink::is_without_log(&path)? {
            let reason = never_began(sink::begun_log(&path)?.as_deref());
            return Err(Error::Resume { path, reason });
        }
        let open = open(&path, durability)?;
        let past = Resumed::read(&path, open.log())?;
        let recorded = past.run.as_ref().map(|run| run.run_id.clone());
        let run_id = recorded.or_else(|| sink::id_in_name(open.log()));
        let run_id = run_id.ok_or_else(|| Error::Resume {
            path: path.clone(),
            reason: NO_NAME.into(),
        })?;
        // It names files, and a log may come from anywhere.
        settings::check_run_id(&run_id)?;
        Ok(Self {
            path,
            open,
            run_id,
            past,
        })
    }

    fn refused(&self, reason: String) -> Error {
        Error::Resume {
            path: self.path.clone(),
            reason,
        }
    }

    /// Whether nothing that was given contradicts the run.
    fn check(&self, given: &RunBuilder, id_of_environment: Option<String>) -> Result<()> {
        let contradiction = other_id(given, id_of_environment, &self.run_id)
            .or_else(|| other_setting(given, self.past.run.as_ref()?))
            .or_else(|| other_place(given.dir.as_deref()?, &self.path))
            .or_else(|| earlier_step(given.starting_step?, self.past.next_step()));
        contradiction.map_or(Ok(()), |reason| Err(self.refused(reason)))
    }

    /// Begins a run that was killed before its first record: there is nothing but its directory.
    fn begin_at_last(
        self,
        mut builder: RunBuilder,
        environment: &Environment<impl Fn(&str) -> Option<OsString>>,
        mode: RunMode,
        voice: &Voice,
    ) -> Result<Shared> {
        builder.run_id = Some(self.run_id);
        let settings = environment.settings(&builder)?;
        let sink = self.open.append_after(self.past.len)?;
        let dir = sink.path().to_path_buf();
        voice.warn(EMPTY);
        builder.begin(mode, settings, Some(dir), Clock::start(), Box::new(sink))
    }

    /// Goes on in the run's own log.
    fn append(self, builder: RunBuilder, mode: RunMode, voice: Voice) -> Result<Shared> {
        let past = self.past;
        let sink = self.open.append_after(past.len)?;
        let dir = sink.path().to_path_buf();
        if past.torn_bytes > 0 {
            voice.warn(&torn(past.torn_bytes));
        }
        let clock = Clock::resumed(past.runtime);
        let mut writer = Writer::resumed(Box::new(sink), clock, self.run_id.clone(), &past, true);
        let mut config = config_of(&builder);
        config.retain(|item| !past.config.holds(item));
        if !config.is_empty() {
            writer.add_config(config)?;
        }
        let ledger = ledger(&builder, clock, &self.run_id, &past);
        builder.begun(Begun {
            mode,
            dir: Some(dir),
            run_id: self.run_id,
            is_resumed: true,
            voice,
            ledger,
            writer,
        })
    }

    /// A new directory of the run, beside that of before, and when it was made. Another of this
    /// second's name is waited out.
    fn directory_beside(&self, durability: Durability) -> Result<(Clock, Directory, Made)> {
        let wandb_dir = self.path.parent().unwrap_or(&self.path);
        let create = || {
            let clock = Clock::resumed(self.past.runtime);
            let name = sink::offline_name(&clock.stamp(), &self.run_id);
            let created = Directory::create_latest(wandb_dir, &name, &self.run_id, durability);
            created.map(|(sink, made)| (clock, sink, made))
        };
        match create() {
            Err(Error::RunExists { .. }) => {
                thread::sleep(SECOND);
                create()
            }
            made => made,
        }
    }

    /// Goes on in a new directory, which holds all but the rows.
    fn go_elsewhere(
        &self,
        builder: RunBuilder,
        mode: RunMode,
        voice: Voice,
        record: &RunRecord,
        upload: Upload,
    ) -> Result<Shared> {
        let Self { path, run_id, .. } = self;
        let past = &self.past;
        if let Some(there) = sink::continuation(path, run_id, past) {
            return Err(self.refused(continued(&there)));
        }
        let (clock, sink, made) = self.directory_beside(builder.durability)?;
        let dir = sink.path().to_path_buf();
        let ledger = ledger(&builder, clock, run_id, past);
        let record = moved(record, past, &builder, ledger.next_step());
        let mut writer = Writer::resumed(Box::new(sink), clock, run_id.clone(), past, false);
        let environment = machine::environment(clock.begun_at());
        let begun = writer
            .begin(start::header(), record, environment)
            .and_then(|()| writer.define_metrics(&past.metrics))
            .and_then(|()| {
                builder.begun(Begun {
                    mode,
                    dir: Some(dir),
                    run_id: run_id.clone(),
                    is_resumed: true,
                    voice,
                    ledger,
                    writer,
                })
            });
        begun
            .inspect(|shared| say_upload(&shared.voice, path, upload))
            .inspect_err(|_| made.take_back())
    }
}

/// The second in a directory's name.
const SECOND: Duration = Duration::from_secs(1);

/// A process that is just ending may hold the log for a moment longer, and so may a child that it
/// is forking.
fn open(run: &Path, durability: Durability) -> Result<OpenDirectory> {
    for _ in 0..10 {
        match OpenDirectory::open(run, durability) {
            Err(Error::RunInUse { .. }) => thread::sleep(Duration::from_millis(20)),
            opened => return opened,
        }
    }
    OpenDirectory::open(run, durability)
}

fn ledger(builder: &RunBuilder, clock: Clock, run_id: &str, past: &Resumed) -> Ledger {
    let first = builder.starting_step.unwrap_or(past.starting_step);
    Ledger::new(clock, run_id.into(), first).resumed(past.last_step)
}

/// The record of a run that goes on in another log, at this step.
fn moved(record: &RunRecord, past: &Resumed, builder: &RunBuilder, step: u64) -> RunRecord {
    let mut config = past.config.clone();
    config.apply(&config_of(builder), &[]);
    RunRecord {
        config: Some(ConfigRecord {
            update: config.items(),
            ..ConfigRecord::default()
        }),
        starting_step: step.cast_signed(),
        ..record.clone()
    }
}

fn config_of(builder: &RunBuilder) -> Vec<Item> {
    let items = builder.config.iter().map(|(key, value)| whole(key, value));
    items.collect()
}

// What was given and is otherwise in the run is said with both.

fn other_id(given: &RunBuilder, of_environment: Option<String>, own: &str) -> Option<String> {
    match &given.run_id {
        Some(id) => differs("run id", "run_id", Some(id), own),
        None => differs("run id", "WANDB_RUN_ID", of_environment.as_ref(), own),
    }
}

fn other_setting(given: &RunBuilder, run: &RunRecord) -> Option<String> {
    let settings = [
        ("project", &given.project, &run.project),
        ("entity", &given.entity, &run.entity),
        ("name", &given.name, &run.display_name),
        ("group", &given.group, &run.run_group),
        ("job_type", &given.job_type, &run.job_type),
        ("notes", &given.notes, &run.notes),
    ];
    let texts = settings
        .into_iter()
        .find_map(|(name, given, own)| differs(name, name, given.as_ref(), own));
    let tags = given.tags.as_ref().filter(|tags| **tags != run.tags);
    texts.or_else(|| tags.map(|tags| contradicts("tags", "tags", tags, &run.tags)))
}

fn differs(what: &str, setter: &str, given: Option<&String>, own: &str) -> Option<String> {
    let other = given.filter(|given| *given != own);
    other.map(|other| contradicts(what, setter, other, own))
}

fn contradicts<T: std::fmt::Debug + ?Sized>(
    what: &str,
    setter: &str,
    given: &(impl std::fmt::Debug + ?Sized),
    own: &T,
) -> String {
    format!("its {what} is {own:?}, but {setter} is {given:?}: leave it out, or start a new run")
}

fn other_place(dir: &Path, run: &Path) -> Option<String> {
    let is_same = fs::canonicalize(dir.join("wandb")).is_ok_and(|dir| run.parent() == Some(&dir));
    let dir = dir.display();
    (!is_same).then(|| format!("it doesn't lie in the folder wandb of dir {dir}: leave dir out"))
}

fn earlier_step(given: u64, next: u64) -> Option<String> {
    (given < next).then(|| {
        format!("its next step is {next}, but starting_step is {given}: leave it out, or give a later one")
    })
}

fn never_began(part: Option<&Path>) -> String {
    let killed = "as where its process was killed while it started";
    match part {
        None => format!("it has no .wandb file, {killed}: it holds no row, so start a new run"),
        Some(part) => format!(
            "its log has its temporary name still, {killed}, or where its directory was deleted \
             while it was written: start a new run; if the log holds rows, `wandb-image repair {} \
             --out DIR` writes a run of them, which can be continued",
            part.display()
        ),
    }
}

const NOTHING: &str = "its log holds nothing, and was synced so: start a new run";

const NO_NAME: &str = "its log has no run record, and isn't called run-….wandb either: start a \
                       new run";

fn continued(there: &Path) -> String {
    format!(
        "it was synced, and {} goes on with it already: resume that one",
        there.display()
    )
}

const EMPTY: &str = "the log holds no record, as where the process was killed at its start, or the \
                     file was emptied: the run begins anew, and nothing of before is in it";

fn torn(bytes: u64) -> String {
    format!(
        "the log ended with {} of no whole record, as a kill or a power cut leaves them: they are \
         cut off, and the run goes on after the last whole record",
        counted(bytes, "byte")
    )
}

fn say_upload(voice: &Voice, run: &Path, upload: Upload) {
    let run = run.display();
    match upload {
        Upload::Nothing => {}
        Upload::All { has_more: false } => voice.line(&format!(
            "{run} was synced: the run goes on in a new directory, since a second sync of that \
             one would upload its rows again"
        )),
        Upload::All { has_more: true } => voice.warn(&format!(
            "{run} was synced, and written to after that: the run goes on in a new directory, and \
             rows that were not uploaded stay in that one, since a second sync of it \
             (--include-synced) uploads all of its rows again"
        )),
        Upload::Part => voice.warn(&format!(
            "a sync of {run} began, and did not come to the end of its log: the run goes on in a \
             new directory. If the sync has said that the log ends with an incomplete record, \
             all rows are uploaded, and that directory is done with; else sync it once more \
             before the new one, which uploads rows again that had arrived"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: Option<&str>, of_environment: Option<&str>, expected: Option<&str>) {
        let builder = given.map_or_else(RunBuilder::new, |id| RunBuilder::new().run_id(id));
        let found = other_id(&builder, of_environment.map(Into::into), "own");
        let found = found.as_deref().and_then(|text| text.split(':').next());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_id_must_be_its_own_wherever_it_comes_from() {
        check(None, None, None);
        check(Some("own"), Some("x"), None);
        check(None, Some("own"), None);
        check(
            Some("x"),
            Some("own"),
            Some("its run id is \"own\", but run_id is \"x\""),
        );
        check(
            None,
            Some("x"),
            Some("its run id is \"own\", but WANDB_RUN_ID is \"x\""),
        );
    }
}
