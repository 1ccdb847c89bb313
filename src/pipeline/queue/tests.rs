//! Random calls in any order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pictures::Making;
use super::*;
use crate::artifact::{Heading, MadeArtifact};
use crate::convert::IntoWandbImage;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::image::Seen;
use crate::memory::Held;
use crate::pipeline::clock::Clock;
use crate::pipeline::report::Report;
use crate::pipeline::row::{Pictures, PreparedImage};
use crate::pipeline::stats::Counts;
use crate::sink::{MediaKey, Staging};
use crate::table::{Lost, MadeTable, RunFile};
use crate::tensor::HostTensor;
use crate::value::Json;

/// A run of random calls, in any order in which callers, workers and the writer can make
/// them.
struct Play {
    state: State,
    random: fastrand::Rng,
    clock: Clock,
    open: Option<QueuedRow>,
    jobs: Vec<Job>,
    /// What the writer has in hand.
    in_hand: Option<InHand>,
    /// Calls that weren't answered, with the number of their pictures.
    calls: Vec<(Call, usize)>,
    /// Calls that got JSON, that failed, and whose pictures were dropped.
    answers: [u64; 3],
    steps: u64,
    /// Pictures that will be logged, of batches that were.
    again: [Image; 3],
    staging: Arc<Staging>,
    /// The artifacts that aren't made yet.
    artifacts: Vec<ArtifactId>,
    /// Those that are, in order.
    names: BTreeMap<ArtifactId, String>,
    made_artifacts: BTreeSet<ArtifactId>,
    /// The one that the writer has begun.
    begun: Option<ArtifactId>,
    /// What flushes wait for that have begun, and the artifacts that were on their way then.
    flushes: Vec<(ArtifactId, BTreeSet<ArtifactId>)>,
    /// How many entries go before its next files.
    entries_first: usize,
    /// What became of each table, by its number.
    tables: BTreeMap<TableId, Table>,
    /// What became of artifacts and tables: accepted, written, failed.
    parcels: [u64; 3],
    told: BTreeSet<String>,
}

/// What the writer takes at a time: the numbers of pictures and tables of a row or a call.
#[derive(Clone, Copy)]
enum InHand {
    Row {
        pictures: u64,
        tables: u64,
    },
    Call(Call, u64),
    /// Of the artifact that was begun.
    Files,
}

impl InHand {
    fn pictures(self) -> u64 {
        match self {
            InHand::Row { pictures, .. } | InHand::Call(_, pictures) => pictures,
            InHand::Files => 0,
        }
    }
}

/// A table of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    /// It is made, and a later one has its place or not.
    Making {
        step: u64,
        is_wanted: bool,
    },
    Made {
        step: u64,
    },
}

impl Play {
    fn new(seed: u64, overflow: Overflow, staging: &Arc<Staging>) -> Self {
        let limits = Limits {
            bytes: 3_500,
            rows: 20,
            overflow,
            workers: 2,
        };
        Self {
            state: State::new(limits),
            random: fastrand::Rng::with_seed(seed),
            clock: Clock::start(),
            open: None,
            jobs: Vec::new(),
            in_hand: None,
            calls: Vec::new(),
            answers: [0; 3],
            steps: 0,
            again: [1_u8, 2, 3].map(|level| {
                let dot = HostTensor::new([1, 1], vec![level]).unwrap();
                dot.to_wandb_image().unwrap()
            }),
            staging: Arc::clone(staging),
            artifacts: Vec::new(),
            names: BTreeMap::new(),
            made_artifacts: BTreeSet::new(),
            begun: None,
            flushes: Vec::new(),
            entries_first: 0,
            tables: BTreeMap::new(),
            parcels: [0; 3],
            told: BTreeSet::new(),
        }
    }

    fn images(&mut self) -> Vec<Image> {
        let n = self.random.usize(1..4);
        let batch = HostTensor::new([n, 1, 4, 4], vec![0.5_f32; 16 * n]).unwrap();
        let mut images = batch.to_wandb_images().unwrap();
        // One of them comes later, with others.
        let (kept, at) = (self.random.usize(..n), self.random.usize(..3));
        std::mem::swap(&mut self.again[at], &mut images[kept]);
        images
    }

    fn accept(&mut self, place: &Place) -> Vec<PictureId> {
        let images = self.images();
        let load = Load::of(&images);
        if self.state.limits.overflow == Overflow::DropOldest {
            self.state.make_room(&load);
        }
        match self.state.has_room(&load) {
            true => self.state.accept(place, images),
            false => {
                self.state.refuse(images.len() as u64);
                Vec::new()
            }
        }
    }

    fn log(&mut self) {
        if self.open.is_none() {
            self.state.open_row();
            self.steps += 1;
        }
        let key = ["a", "b"][self.random.usize(..2)];
        let media_key = MediaKey::new(key).unwrap();
        let step = self.steps;
        let value = match self.random.u8(..3) {
            0 => Queued::Table(media_key, self.accept_table(key)),
            _ => Queued::Pictures(Pictures {
                key: media_key,
                is_list: true,
                ids: self.accept(&Place {
                    key: key.into(),
                    step,
                    taker: Taker::Row,
                }),
            }),
        };
        let logged = self.clock.now();
        let row = self.open.get_or_insert_with(|| QueuedRow {
            step,
            logged,
            values: BTreeMap::new(),
        });
        if let Some(old) = row.values.insert(key.into(), value) {
            self.state.replace(old.pictures());
            old.table()
                .into_iter()
                .for_each(|id| self.replace_table(id));
        }
    }

    fn accept_table(&mut self, key: &str) -> TableId {
        let step = self.steps;
        let id = self.state.accept_table(key, step);
        let is_wanted = true;
        self.tables.insert(id, Table::Making { step, is_wanted });
        self.parcels[0] += 1;
        id
    }

    fn replace_table(&mut self, id: TableId) {
        self.state.replace_table(id);
        let errands = self.state.errands.len();
        match self.tables.remove(&id) {
            Some(Table::Making { step, is_wanted }) => {
                assert!(is_wanted && errands == 0);
                let is_wanted = false;
                self.tables.insert(id, Table::Making { step, is_wanted });
            }
            Some(Table::Made { .. }) => self.run_errand(),
            // It has failed before.
            None => return assert_eq!(errands, 0),
        }
        self.parcels[0] -= 1;
    }

    /// The writer removes the files of a table that nothing takes, before anything else.
    fn run_errand(&mut self) {
        let left = Arc::strong_count(&self.staging);
        let Some(Work::Errands(errands)) = self.state.next_work(true) else {
            panic!("there is one");
        };
        assert_eq!(Arc::strong_count(&self.staging), left);
        errands.into_iter().for_each(Errand::run);
        assert_eq!(Arc::strong_count(&self.staging), left - 1);
    }

    /// Any that is in the making.
    fn end_table(&mut self) {
        let is_making = |table: &Table| matches!(table, Table::Making { .. });
        let making = self.tables.iter().filter(|(_, table)| is_making(table));
        let Some((&id, &Table::Making { step, is_wanted })) =
            self.random.choice(making.collect::<Vec<_>>())
        else {
            return;
        };
        self.tables.remove(&id);
        let is_made = self.random.u8(..4) > 0;
        let lost = self.random.u64(..3) / 2;
        let result = match is_made {
            true => Ok(self.table(id, lost)),
            false => Err(Error::device("planned")),
        };
        let (failures, unwanted) = self.state.table_made(id, result);
        assert_eq!(
            unwanted.map(|table| table.rows),
            (!is_wanted && is_made).then_some(id)
        );
        match (is_wanted, is_made) {
            (true, true) => drop(self.tables.insert(id, Table::Made { step })),
            (true, false) => self.parcels[2] += 1,
            (false, _) => assert!(failures.is_empty()),
        }
        self.tell_first(failures);
    }

    /// A table of the number, some pictures of which couldn't be made.
    fn table(&self, id: TableId, lost: u64) -> MadeTable {
        MadeTable {
            entries: BTreeMap::new(),
            run_file: RunFile {
                staging: Arc::clone(&self.staging),
                name: String::new(),
                sha256: String::new(),
                size: 1,
            },
            columns: 1,
            rows: id,
            lost: Lost {
                pictures: lost,
                first: (lost > 0).then(planned),
            },
            seen: Seen::default(),
        }
    }

    fn artifact(&mut self) {
        let name = self.random.u8(..3).to_string();
        let id = self.state.accept_artifact(&name);
        self.artifacts.push(id);
        self.names.insert(id, name);
        self.parcels[0] += 1;
    }

    /// Those that are made, and of whose names no earlier one is on its way.
    fn next_artifacts(&self) -> BTreeSet<ArtifactId> {
        let on_their_way = self.artifacts_on_their_way();
        let is_kept = |id: &ArtifactId| {
            let mut earlier = on_their_way.range(..id);
            earlier.any(|earlier| self.names[earlier] == self.names[id])
        };
        let made = self.made_artifacts.iter().copied();
        made.filter(|id| !is_kept(id)).collect()
    }

    fn artifacts_on_their_way(&self) -> BTreeSet<ArtifactId> {
        let made = self.made_artifacts.iter().chain(&self.begun);
        self.artifacts.iter().chain(made).copied().collect()
    }

    fn begin_flush(&mut self) {
        let before = self.artifacts_on_their_way();
        let last = self.state.last_artifact();
        assert_eq!(last, before.last().copied());
        self.flushes.extend(last.map(|last| (last, before)));
    }

    /// Each waits as long as one is on its way that was before it, and for no later one.
    fn check_flushes(&mut self) {
        let on_their_way = self.artifacts_on_their_way();
        let state = &self.state;
        self.flushes.retain(|(last, before)| {
            let waits = !before.is_disjoint(&on_their_way);
            assert_eq!(state.has_artifact_up_to(*last), waits);
            waits
        });
    }

    /// A flush comes when it is due, or asked for, whatever waits, and takes nothing.
    fn flush(&mut self) {
        let is_due = self.random.bool();
        let asked = (!is_due).then(|| self.state.ask_flush());
        assert!(matches!(self.state.next_work(is_due), Some(Work::Flush)));
        let later = self.state.ask_flush();
        assert!(self.state.flushed(done(Ok(()))).is_none());
        assert!(asked.is_none_or(|number| self.state.has_flushed(number)));
        assert!(!self.state.has_flushed(later));
        assert!(matches!(self.state.next_work(false), Some(Work::Flush)));
        assert!(self.state.flushed(done(Ok(()))).is_none());
        assert!(self.state.has_flushed(later));
    }

    /// Any that is in the making.
    fn end_artifact(&mut self) {
        if self.artifacts.is_empty() {
            return;
        }
        let index = self.random.usize(..self.artifacts.len());
        let id = self.artifacts.swap_remove(index);
        let heading = Heading::new(id.to_string(), "dataset".into());
        let is_made = self.random.u8(..4) > 0;
        let result = match is_made {
            true => Ok(MadeArtifact::of_files(heading, [])),
            false => Err(Error::device("planned")),
        };
        let failure = self.state.artifact_made(id, &self.names[&id], result);
        assert_eq!(failure.is_some(), !is_made);
        match is_made {
            true => assert!(self.made_artifacts.insert(id)),
            false => self.parcels[2] += 1,
        }
        self.tell_first(failure.into_iter().collect());
    }

    /// Tells failures that a flush waits for.
    fn tell_first(&mut self, failures: Vec<Failure>) {
        assert_eq!(self.state.telling, failures.len());
        self.state.told(failures.len());
        self.tell(failures);
    }

    /// Of each key, one failure is told; of those without a key, each.
    fn tell(&mut self, failures: impl IntoIterator<Item = Failure>) {
        for failure in failures {
            let key = failure.key.to_string();
            assert!(key.is_empty() || self.told.insert(key), "{failure:?}");
        }
    }

    /// At the step of a row that is open, written, or still to come.
    fn media(&mut self) {
        let step = self.random.u64(..self.steps + 3);
        let ids = self.accept(&Place {
            key: "m".into(),
            step,
            taker: Taker::Call,
        });
        let Some(call) = Call::of(&ids) else { return };
        let pictures = Queued::Pictures(Pictures {
            key: MediaKey::new("m").unwrap(),
            is_list: true,
            ids: ids.clone(),
        });
        let row = QueuedRow {
            step,
            logged: self.clock.now(),
            values: BTreeMap::from([("m".into(), pictures)]),
        };
        self.state.give(Entry::Media { call, row }, 0);
        self.calls.push((call, ids.len()));
    }

    /// Asks for what became of the calls, in any order.
    fn answer(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let asked = self.random.usize(..self.calls.len());
        let (call, pictures) = self.calls[asked];
        if !self.state.has_answer(call) {
            return;
        }
        self.calls.swap_remove(asked);
        match self.state.take_answer(call) {
            Some(Ok(json)) => {
                assert_eq!(json, Json::U64(pictures as u64));
                self.answers[0] += 1;
            }
            Some(Err(error)) => {
                assert!(error.to_string().contains("planned"), "{error}");
                self.answers[1] += 1;
            }
            None => self.answers[2] += 1,
        }
    }

    fn close(&mut self) {
        if let Some(row) = self.open.take() {
            let bytes = self.random.u64(..8) / 7 * 200;
            self.state.give(Entry::Row(row), bytes);
        }
    }

    fn begin_job(&mut self) {
        if self.jobs.len() < self.state.limits.workers {
            self.jobs.extend(self.state.next_job());
        }
    }

    fn end_job(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let job = self.jobs.swap_remove(self.random.usize(..self.jobs.len()));
        let result = match self.random.u8(..4) {
            0 => Err(Error::device("planned")),
            _ => PreparedImage::make(&job.image),
        };
        let failure = self.state.made(job.id, result, Duration::from_micros(1));
        self.tell_first(failure.into_iter().collect());
    }

    fn begin(&mut self) {
        self.flush();
        let next = self.next_artifacts();
        let has_files = self.begun.is_some() || !next.is_empty();
        let has_entry = self.state.has_ready_entry();
        let work = self.state.next_work(false);
        // Files, and then the entries that were there when these were taken.
        match &work {
            Some(Work::Files | Work::Artifact(_)) => assert!(self.entries_first == 0 || !has_entry),
            Some(Work::Entry(_)) => {
                assert!(self.entries_first > 0 || !has_files);
                self.entries_first = self.entries_first.saturating_sub(1);
            }
            _ => {}
        }
        let in_hand = match work {
            Some(Work::Entry(Entry::Row(row))) => self.begin_row(&row),
            Some(Work::Entry(Entry::Media { call, row })) => {
                // Whose list is dropped, in part even, has nothing written.
                let is_dropped = !self.state.calls.contains_key(&call);
                assert!(!is_dropped || row.pictures() == 0);
                InHand::Call(call, row.pictures() as u64)
            }
            Some(Work::Artifact(artifact)) => {
                assert!(self.begun.is_none());
                let id = artifact.heading.name.parse().unwrap();
                assert!(next.contains(&id), "{id} before {next:?}");
                assert!(self.made_artifacts.remove(&id));
                self.begun = Some(id);
                InHand::Files
            }
            Some(Work::Files) => {
                assert!(self.begun.is_some());
                InHand::Files
            }
            _ => return,
        };
        assert!(self.in_hand.replace(in_hand).is_none());
    }

    /// The row has the tables of its step that could be made, and none is in the making.
    fn begin_row(&mut self, row: &PreparedRow) -> InHand {
        let tables: BTreeSet<TableId> = row
            .values
            .values()
            .filter_map(Prepared::table)
            .map(|table| table.rows)
            .collect();
        let mut expected = BTreeSet::new();
        self.tables.retain(|id, table| match *table {
            Table::Making { step, is_wanted } => {
                assert!(step != row.step || !is_wanted);
                true
            }
            Table::Made { step } => step != row.step || !expected.insert(*id),
        });
        assert_eq!(tables, expected);
        InHand::Row {
            pictures: row.pictures() as u64,
            tables: tables.len() as u64,
        }
    }

    fn end(&mut self) {
        let Some(in_hand) = self.in_hand.take() else {
            return;
        };
        let failures = match in_hand {
            InHand::Row { pictures, tables } => self.end_row(pictures, tables),
            InHand::Call(call, pictures) => {
                let outcome = self.outcome(pictures, 0);
                let is_written = outcome.failure.is_none() && outcome.pictures_written > 0;
                let json = is_written.then_some(Json::U64(pictures));
                self.state.media_done(call, pictures, outcome, json)
            }
            InHand::Files => self.end_files(),
        };
        self.tell(failures);
    }

    fn end_row(&mut self, pictures: u64, tables: u64) -> Vec<Failure> {
        let outcome = self.outcome(pictures, tables);
        let written = outcome.tables_written;
        self.parcels[1] += written;
        self.parcels[2] += tables - written;
        self.state.row_done(pictures, tables, outcome)
    }

    fn end_files(&mut self) -> Vec<Failure> {
        self.entries_first = self.state.entries.len().min(parcels::MOST_FIRST);
        let result = match self.random.u8(..8) {
            0 => Err(planned()),
            1..4 => Ok(()),
            _ => {
                self.state.artifact_goes_on(1);
                return Vec::new();
            }
        };
        self.begun = None;
        self.parcels[if result.is_ok() { 1 } else { 2 }] += 1;
        let is_lost = result.is_err();
        let failure = self.state.artifact_done(done(result));
        assert_eq!(failure.is_some(), is_lost);
        failure.into_iter().collect()
    }

    /// Of a row or a call, some of whose files, or all of which the disk may have refused.
    fn outcome(&mut self, pictures: u64, tables: u64) -> Outcome {
        let failure = |key: &str| Failure {
            key: key.into(),
            error: planned(),
        };
        let refused = self.random.u64(..=pictures.min(1));
        let tables_refused = self.random.u64(..=tables.min(1));
        let failure_of_all = (self.random.u8(..4) == 0).then(planned);
        // Some may be written before it is refused.
        let tables_written = match failure_of_all {
            None => tables - tables_refused,
            Some(_) => self.random.u64(..=tables - tables_refused),
        };
        Outcome {
            failure: failure_of_all,
            pictures_failed: vec![failure("a"); refused as usize],
            pictures_written: pictures - refused,
            tables_failed: vec![failure("b"); tables_refused as usize],
            tables_written,
            bytes_written: 1,
        }
    }

    fn turn(&mut self) {
        match self.random.u8(..21) {
            20 => self.begin_flush(),
            0 => self.media(),
            1 => self.answer(),
            2..=4 => self.log(),
            5 | 6 => self.close(),
            7 | 8 => self.begin_job(),
            9 | 10 => self.end_job(),
            11 => self.artifact(),
            12 => self.end_artifact(),
            13 | 14 => self.end_table(),
            15..=17 => self.begin(),
            _ => self.end(),
        }
    }

    fn check(&self) {
        let stats = self.state.stats();
        for counts in [stats.rows, stats.pictures, stats.artifacts] {
            let sum = counts.written + counts.dropped + counts.failed + counts.queued;
            assert_eq!(counts.accepted, sum, "{counts:?}");
        }
        let pictures: u64 = self.state.pictures.values().map(|p| p.bytes).sum();
        let is_unmade = |picture: &&Picture| !matches!(picture.making, Making::Made(_));
        let unmade = self.state.pictures.values().filter(is_unmade);
        let shared: BTreeSet<Held> = unmade.flat_map(|p| p.held.iter().copied()).collect();
        let shared: u64 = shared.iter().map(|held| held.1).sum();
        assert_eq!(self.state.memory.bytes(), shared);
        let values: u64 = self.state.entries.iter().map(|(_, bytes)| bytes).sum();
        let held = pictures + shared + values + self.state.in_hand;
        assert_eq!(stats.queued_bytes, held);
        let waits = |picture: &&Picture| matches!(picture.making, Making::Waiting(_));
        let waiting = self.state.pictures.values().filter(waits).count();
        assert_eq!(self.state.unmade, waiting);
        let awaited: usize = self.state.awaited.values().sum();
        let working = |picture: &&Picture| matches!(picture.making, Making::Working);
        let working = self.state.pictures.values().filter(working).count();
        let is_awaited = |table: &&Table| {
            matches!(
                table,
                Table::Making {
                    is_wanted: true,
                    ..
                }
            )
        };
        let tables = self.tables.values().filter(is_awaited).count();
        assert_eq!(awaited, waiting + working + tables);
        let unwanted = |picture: &&Picture| matches!(picture.making, Making::Unwanted);
        let unwanted = self.state.pictures.values().filter(unwanted).count();
        let kept = (self.state.pictures.len() - unwanted) as u64;
        let in_hand = self.in_hand.map_or(0, InHand::pictures);
        assert_eq!(stats.pictures.queued, kept + in_hand);
        let Counts {
            accepted,
            written,
            failed,
            ..
        } = stats.artifacts;
        assert_eq!([accepted, written, failed], self.parcels);
    }

    fn drain(&mut self) {
        self.close();
        while !self.state.is_settled() || self.in_hand.is_some() {
            self.begin_job();
            self.end_job();
            self.end_artifact();
            self.end_table();
            self.begin();
            self.end();
        }
        assert!(self.tables.is_empty() && self.made_artifacts.is_empty() && self.begun.is_none());
        while !self.calls.is_empty() {
            self.answer();
        }
        assert!(self.state.calls.is_empty());
    }
}

fn check(overflow: Overflow) {
    let (mut seen, mut answers, mut has_rested) = ([0; 3], [0; 3], false);
    let mut parcels = [0; 3];
    let staging = Arc::new(Staging::create_in(&std::env::temp_dir()).unwrap());
    for seed in 0..60 {
        let mut play = Play::new(seed, overflow, &staging);
        for _ in 0..1200 {
            play.turn();
            play.check();
            play.check_flushes();
        }
        play.state.waited = Duration::from_secs(1);
        play.drain();
        play.check();
        play.check_flushes();
        assert!(play.flushes.is_empty());
        let stats = play.state.stats();
        assert_eq!((stats.rows.queued, stats.pictures.queued), (0, 0));
        assert_eq!(stats.artifacts.queued, 0);
        check_report(play.state.reports.totals(), &stats);
        assert_eq!((stats.queued_bytes, play.state.memory.bytes()), (0, 0));
        has_rested |= play.state.waited.is_zero();
        assert_eq!(stats.rows.accepted, play.steps);
        let Counts {
            written,
            dropped,
            failed,
            ..
        } = stats.pictures;
        seen = [seen[0] + written, seen[1] + dropped, seen[2] + failed];
        (0..3).for_each(|i| answers[i] += play.answers[i]);
        (0..3).for_each(|i| parcels[i] += play.parcels[i]);
    }
    assert!(parcels[1..].iter().all(|&n| n > 1000), "{parcels:?}");
    assert!(has_rested && seen.iter().all(|&n| n > 1000), "{seen:?}");
    assert!(answers[0] > 100 && answers[1] > 100, "{answers:?}");
    let drops_taken = overflow == Overflow::DropOldest;
    assert_eq!(drops_taken, answers[2] > 0, "{answers:?}");
}

/// Everything that was lost is reported, once.
fn check_report(report: Report, stats: &Stats) {
    let Error::Incomplete {
        rows_failed,
        pictures_failed,
        artifacts_failed,
        pictures_dropped,
        ..
    } = report.result().unwrap_err()
    else {
        panic!("something is lost");
    };
    assert_eq!(
        [
            rows_failed,
            pictures_failed,
            artifacts_failed,
            pictures_dropped
        ],
        [
            stats.rows.failed,
            stats.pictures.failed,
            stats.artifacts.failed,
            stats.pictures.dropped
        ]
    );
}

#[test]
fn nothing_is_lost_or_counted_twice_in_any_order() {
    check(Overflow::default());
    check(Overflow::DropOldest);
}

fn planned() -> Arc<Error> {
    Arc::new(planned_error())
}

/// A byte was written of it.
fn done(result: Result<(), Arc<Error>>) -> Done {
    Done {
        bytes_written: 1,
        result,
    }
}

fn planned_error() -> Error {
    Error::device("planned")
}

#[test]
fn no_flush_is_due_after_the_end() {
    for has_ended in [true, false] {
        let mut state = State::new(Limits::default());
        state.give_exit(0);
        state.abandon();
        assert!(matches!(state.next_work(true), Some(Work::Flush)));
        let exit = state.next_work(false);
        assert!(matches!(exit, Some(Work::Entry(Entry::Exit(0)))));
        let result = if has_ended { Ok(()) } else { Err(planned()) };
        state.exit_done(done(result), false);
        assert!(matches!(state.next_work(true), Some(Work::End)));
    }
}

/// What is accepted later is made later, or never.
#[test]
fn a_flush_waits_for_the_artifacts_before_it_and_for_no_later_one() {
    let mut state = State::new(Limits::default());
    assert_eq!(state.last_artifact(), None);
    let [first, second] = [state.accept_artifact("a"), state.accept_artifact("b")];
    let last = state.last_artifact().unwrap();
    let later = state.accept_artifact("a");
    let fail = |state: &mut State, id| drop(state.artifact_made(id, "a", Err(planned_error())));
    fail(&mut state, second);
    assert!(state.has_artifact_up_to(last));
    fail(&mut state, first);
    assert!(!state.has_artifact_up_to(last));
    assert_eq!(state.last_artifact(), Some(later));
}

/// The description of the one that is begun, and done with.
fn write_next(state: &mut State) -> Option<String> {
    let Some(Work::Artifact(artifact)) = state.next_work(false) else {
        return None;
    };
    assert!(state.artifact_done(done(Ok(()))).is_none());
    Some(artifact.heading.description)
}

fn version(of: &str) -> Result<MadeArtifact> {
    let mut heading = Heading::new("data".into(), "dataset".into());
    heading.description = of.into();
    Ok(MadeArtifact::of_files(heading, []))
}

/// Else the latest version would be an earlier one.
#[test]
fn the_versions_of_an_artifact_are_written_in_the_order_in_which_they_were_logged() {
    let mut state = State::new(Limits::default());
    let [first, second, third] = ["data"; 3].map(|name| state.accept_artifact(name));
    let other = state.accept_artifact("other");
    state.artifact_made(third, "data", version("third"));
    state.artifact_made(second, "data", version("second"));
    assert!(write_next(&mut state).is_none());
    state.artifact_made(other, "other", version("other"));
    assert_eq!(write_next(&mut state).as_deref(), Some("other"));
    assert!(
        state
            .artifact_made(first, "data", Err(planned_error()))
            .is_some()
    );
    state.told(1);
    for expected in [Some("second"), Some("third"), None] {
        assert_eq!(write_next(&mut state).as_deref(), expected);
    }
    assert!(state.is_settled());
}

#[test]
fn a_flush_that_was_asked_for_comes_after_the_failures_that_are_being_told() {
    let mut state = State::new(Limits::default());
    let id = state.accept_artifact("a");
    assert!(state.artifact_made(id, "a", Err(planned_error())).is_some());
    let number = state.ask_flush();
    assert!(state.next_work(false).is_none());
    // One that is due by itself is not the one that was asked for.
    assert!(matches!(state.next_work(true), Some(Work::Flush)));
    assert!(state.flushed(done(Ok(()))).is_none());
    assert!(!state.has_flushed(number));
    state.told(1);
    assert!(matches!(state.next_work(false), Some(Work::Flush)));
    assert!(state.flushed(done(Ok(()))).is_none());
    assert!(state.has_flushed(number));
}

/// What the next `flush` returns after these flushes: those that nobody asked for, and at the end
/// that of `flush` itself, where it was done before the time was up.
fn check_flushes(by_itself: &[bool], own: Option<bool>, is_failure: bool) {
    let mut state = State::new(Limits::default());
    let result = |is_good: bool| done(if is_good { Ok(()) } else { Err(planned()) });
    for is_good in by_itself {
        state.flushed(result(*is_good));
    }
    let inquiry = state.reports.inquire();
    if let Some(is_good) = own {
        state.give(Entry::Flush, 0);
        state.next_work(false);
        state.other_done(true, result(is_good));
    }
    let report = state.reports.take_unconfirmed(inquiry);
    assert_eq!(report.result().is_err(), is_failure);
    assert!(
        state.reports.totals().result().is_ok(),
        "the end flushes again"
    );
}

#[test]
fn a_flush_that_failed_by_itself_is_returned_until_one_succeeds() {
    check_flushes(&[], None, false);
    check_flushes(&[false], None, true);
    check_flushes(&[false, true], None, false);
    check_flushes(&[false], Some(true), false);
    check_flushes(&[true], Some(false), true);
}

#[test]
fn flushes_that_fail_by_themselves_are_told_once() {
    let mut state = State::new(Limits::default());
    assert!(state.flushed(done(Err(planned()))).is_some());
    assert!(state.flushed(done(Err(planned()))).is_none());
    assert!(state.flushed(done(Ok(()))).is_none());
    assert_eq!(state.stats().bytes_written, 3);
}

/// Calls that begin to ask and that are told, in this order, with a failure before, in between and
/// after. Of each, whether it is told of one.
#[test]
fn a_failure_is_told_to_every_call_that_covers_it_and_to_no_later_one() {
    let mut state = State::new(Limits::default());
    let is_told = |state: &mut State, inquiry| {
        let report = state.reports.take_unreported(inquiry);
        state.reports.end_inquiry(inquiry);
        report.result().is_err()
    };
    state.reports.fail(&planned());
    let (first, second) = (state.reports.inquire(), state.reports.inquire());
    assert!(is_told(&mut state, second));
    assert!(is_told(&mut state, first));
    let (first, second) = (state.reports.inquire(), state.reports.inquire());
    assert!(!is_told(&mut state, second));
    state.reports.fail(&planned());
    let third = state.reports.inquire();
    assert!(is_told(&mut state, first));
    assert!(is_told(&mut state, third));
    let fourth = state.reports.inquire();
    assert!(!is_told(&mut state, fourth));
    assert!(!state.reports.has_inquiries());
    assert!(state.reports.totals().result().is_err());
}
