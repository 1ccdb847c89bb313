//! The queue's state: what is on its way, what it holds, and what became of the rest. Plain data;
//! who waits for what stands in `mod.rs`.

mod memory;
mod parcels;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(super) use memory::Load;
use memory::{Held, Memory};

use parcels::Parcels;

use super::overflow::{Limits, Overflow};
use super::report::Report;
use super::row::{
    PictureId, Pictures, Prepared, PreparedImage, PreparedRow, Queued, QueuedRow, beyond_scalars,
    size_of_value,
};
use super::stats::Stats;
use crate::artifact::MadeArtifact;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::value::Json;

/// Kinds of failures that are told once. No key of a picture holds NUL.
const OF_ROWS: &str = "\0row";
const OF_CALLS: &str = "\0call";
const OF_RECORDS: &str = "\0record";

/// What the writer takes, in order.
#[derive(Debug)]
pub(super) enum Entry<R> {
    Row(R),
    /// Pictures of no row, under the one key of this one, for a call that waits for their JSON.
    Media {
        call: Call,
        row: R,
    },
    Summary {
        key: String,
        value: Json,
    },
    Config {
        key: String,
        value: Json,
    },
    Flush,
    Exit(i32),
}

impl Entry<QueuedRow> {
    /// The memory that its values take, pictures aside, beyond that of a few scalars.
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Entry::Row(row) | Entry::Media { row, .. } => row.size_bytes(),
            Entry::Summary { key, value } | Entry::Config { key, value } => {
                beyond_scalars(size_of_value(key, value))
            }
            Entry::Flush | Entry::Exit(_) => 0,
        }
    }
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Work {
    Entry(Entry<PreparedRow>),
    /// An artifact to begin with.
    Artifact(Box<MadeArtifact>),
    /// More files of the artifact that was begun.
    Files,
    /// A flush that nobody asked for.
    Flush,
    /// Nothing will come any more.
    End,
}

/// Where a picture belongs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key: Arc<str>,
    pub(super) step: u64,
    pub(super) taker: Taker,
}

/// What takes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    /// The row of their step.
    Row,
    /// A call that waits for their JSON.
    Call,
}

/// A call that waits for the JSON of its pictures: the number of the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(PictureId);

/// How far such a call is.
#[derive(Debug)]
enum Progress {
    /// Its pictures are on their way. What happened to the first that failed, where one has.
    Making(Option<Arc<Error>>),
    Done(Result<Json, Arc<Error>>),
}

impl Call {
    /// That which waits for these pictures.
    pub(super) fn of(ids: &[PictureId]) -> Option<Self> {
        ids.first().copied().map(Self)
    }
}

impl Picture {
    fn waiter(&self) -> Waiter {
        match self.place.taker {
            Taker::Row => Waiter::Row(self.place.step),
            Taker::Call => Waiter::Call(Call(self.value)),
        }
    }

    /// The error with the place in its list of the picture of this number, where it is in one.
    fn of_its_list(&self, id: PictureId, error: Error) -> Error {
        match self.siblings {
            ..=1 => error,
            _ => error.of_listed(&self.place.key, (id - self.value) as usize),
        }
    }
}

/// What isn't written before its pictures are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiter {
    /// The row of this step.
    Row(u64),
    Call(Call),
}

/// A picture on its way.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) place: Place,
    /// The first picture of the same value.
    value: PictureId,
    /// How many pictures the value has.
    siblings: usize,
    /// Memory of its own: its pixels, later its file.
    bytes: u64,
    /// Memory that others may hold too, until it is made.
    held: Vec<Held>,
    making: Making,
}

#[derive(Debug)]
enum Making {
    Waiting(Box<Image>),
    Working,
    /// Being made, though nothing takes it any more: it was replaced, or dropped with its list.
    Unwanted,
    Made(Box<PreparedImage>),
}

/// Work for a worker.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: PictureId,
    pub(super) image: Box<Image>,
}

/// What the writer made of an entry.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The row's own failure. Its pictures have failed with it.
    pub(super) failure: Option<Arc<Error>>,
    pub(super) pictures_failed: Vec<Failure>,
    pub(super) pictures_written: u64,
    pub(super) tables_failed: Vec<Failure>,
    pub(super) tables_written: u64,
    pub(super) bytes_written: u64,
}

/// A picture that isn't in its row.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) key: Arc<str>,
    pub(super) error: Arc<Error>,
}

impl Failure {
    pub(super) fn of_picture(key: &Arc<str>, step: u64, error: Error) -> Self {
        Self {
            key: Arc::clone(key),
            error: unwritten(format!("a picture of {key:?}"), step, error),
        }
    }
}

impl Outcome {
    /// Of a row that isn't written.
    pub(super) fn of_row(row: &PreparedRow, error: Error) -> Self {
        Self::failed(unwritten("a row".into(), row.step, error))
    }

    /// Of the pictures of a call, which aren't written.
    pub(super) fn of_call(row: &PreparedRow, error: Error) -> Self {
        let keys: Vec<&str> = row.values.keys().map(String::as_str).collect();
        let what = format!("the media of {:?}", keys.concat());
        Self::failed(unwritten(what, row.step, error))
    }

    fn failed(failure: Arc<Error>) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

/// Whether it is told once, and what it tells can't be made good: files that are gone, and values
/// that no record takes.
fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::RunDirectoryLost { .. } | Error::Value { .. })
}

fn unwritten(what: String, step: u64, error: Error) -> Arc<Error> {
    Arc::new(Error::Unwritten {
        what,
        step,
        source: Arc::new(error),
    })
}

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// `finish` was called: who waits for room waits no longer. It may be called again.
    Closing,
    /// The exit record is on disk.
    Ended,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    /// How long callers have waited for room since the queue was last empty.
    pub(super) waited: Duration,
    /// Each with the bytes that it counts.
    entries: VecDeque<(Entry<QueuedRow>, u64)>,
    pictures: BTreeMap<PictureId, Picture>,
    parcels: Parcels,
    /// What the pictures that aren't made yet hold together.
    memory: Memory,
    /// Pictures to be made, the oldest first. Some of them are gone.
    waiting: VecDeque<PictureId>,
    next_id: PictureId,
    /// Entries that were given, and that are done.
    given: u64,
    done: u64,
    /// The writer has an entry in hand.
    is_writing: bool,
    in_hand: u64,
    /// Failures of what was made elsewhere that a thread is about to tell.
    telling: usize,
    /// Callers that wait, and whose processors are free meanwhile.
    pub(super) waiting_callers: usize,
    /// Pictures that no worker has begun, and those that one makes.
    unmade: usize,
    /// Pictures that aren't made yet, of each row and call that waits for them.
    awaited: BTreeMap<Waiter, usize>,
    /// Calls that wait for their pictures' JSON. One whose pictures were dropped isn't here.
    calls: BTreeMap<Call, Progress>,
    working: usize,
    bytes: u64,
    /// The number of the entry that ends the run, until that has failed.
    exit: Option<u64>,
    exit_code: i32,
    exit_failure: Option<Arc<Error>>,
    /// Why the last flush that nobody asked for has failed, until one succeeds.
    flush_failure: Option<Arc<Error>>,
    /// Nobody can give anything any more.
    is_orphan: bool,
    stats: Stats,
    totals: Report,
    /// What no call was told of.
    unreported: Report,
    /// What each call that will ask is to be told.
    inquiries: BTreeMap<InquiryId, Report>,
    next_inquiry: InquiryId,
    said: BTreeSet<String>,
}

/// The number of a call that will ask what was lost.
pub(super) type InquiryId = u64;

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Running,
            waited: Duration::ZERO,
            entries: VecDeque::new(),
            pictures: BTreeMap::new(),
            parcels: Parcels::default(),
            memory: Memory::default(),
            waiting: VecDeque::new(),
            next_id: 0,
            given: 0,
            done: 0,
            is_writing: false,
            in_hand: 0,
            telling: 0,
            waiting_callers: 0,
            unmade: 0,
            awaited: BTreeMap::new(),
            calls: BTreeMap::new(),
            working: 0,
            bytes: 0,
            exit: None,
            exit_code: 0,
            exit_failure: None,
            flush_failure: None,
            is_orphan: false,
            stats: Stats::default(),
            totals: Report::default(),
            unreported: Report::default(),
            inquiries: BTreeMap::new(),
            next_inquiry: 0,
            said: BTreeSet::new(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            queued_bytes: self.bytes,
            ..self.stats
        }
    }

    // ---- taking ----

    pub(super) fn has_room(&self, load: &Load) -> bool {
        self.has_room_for_rows() && self.has_room_for_bytes(self.memory.added_by(load))
    }

    /// Whether the writer can be given an entry of so many bytes.
    pub(super) fn has_room_for_entry(&self, bytes: u64) -> bool {
        self.has_room_for_rows() && (bytes == 0 || self.has_room_for_bytes(bytes))
    }

    fn has_room_for_bytes(&self, bytes: u64) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= self.limits.bytes
    }

    fn has_room_for_rows(&self) -> bool {
        self.entries.len() < self.limits.rows
    }

    /// Nothing is under way that could make room.
    pub(super) fn is_idle(&self) -> bool {
        let is_making = self.unmade + self.working > 0 || self.parcels.any_table();
        self.entries.is_empty() && !self.is_writing && !is_making
    }

    /// Nothing is under way at all, artifacts included, which take no room.
    pub(super) fn is_settled(&self) -> bool {
        self.is_idle() && !self.parcels.any_artifact()
    }

    /// Whether artifacts are made, or wait to be written.
    pub(super) fn has_artifacts(&self) -> bool {
        self.parcels.any_artifact() && self.phase != Phase::Ended
    }

    /// Waiting for room would be forever.
    pub(super) fn takes_beyond_bounds(&self) -> bool {
        self.limits.overflow == Overflow::Block && self.phase == Phase::Running && self.is_idle()
    }

    pub(super) fn abandon(&mut self) {
        self.is_orphan = true;
    }

    /// No thread is needed any more.
    pub(super) fn is_over(&self) -> bool {
        let is_empty = self.entries.is_empty() && self.unmade == 0 && !self.parcels.any();
        self.phase == Phase::Ended || (self.is_orphan && is_empty)
    }

    /// Takes the pictures of one value, to be made.
    pub(super) fn accept(&mut self, place: &Place, images: Vec<Image>) -> Vec<PictureId> {
        let (value, n) = (self.next_id, images.len());
        self.stats.pictures.accept(n as u64);
        if place.taker == Taker::Call {
            self.calls.insert(Call(value), Progress::Making(None));
        }
        let ids = images
            .into_iter()
            .map(|image| self.accept_one(place, (value, n), image));
        ids.collect()
    }

    fn accept_one(
        &mut self,
        place: &Place,
        (value, siblings): (PictureId, usize),
        image: Image,
    ) -> PictureId {
        let id = self.next_id;
        self.next_id += 1;
        let picture = Picture {
            place: place.clone(),
            value,
            siblings,
            bytes: image.made_bytes(),
            held: image.held(),
            making: Making::Waiting(Box::new(image)),
        };
        self.bytes += picture.bytes + self.memory.hold(&picture.held);
        *self.awaited.entry(picture.waiter()).or_default() += 1;
        self.pictures.insert(id, picture);
        self.waiting.push_back(id);
        self.unmade += 1;
        id
    }

    /// Counts pictures for which there is no room. Whether it is the first time.
    pub(super) fn refuse(&mut self, pictures: u64) -> bool {
        self.stats.pictures.accept(pictures);
        self.count_dropped(pictures)
    }

    fn count_dropped(&mut self, pictures: u64) -> bool {
        let is_first = self.stats.pictures.dropped == 0;
        self.stats.pictures.drop(pictures);
        self.report(|report| report.drop_pictures(pictures));
        is_first && pictures > 0
    }

    /// Drops pictures, the oldest first, until there is room for more: returns them, and whether
    /// they were the first ones. With one of a call go the others of its list, since
    /// nothing would name their files.
    pub(super) fn make_room(&mut self, load: &Load) -> (Vec<Picture>, bool) {
        let (mut dropped, mut is_first) = (Vec::new(), false);
        // Pictures take the room of rows to no purpose.
        while self.has_room_for_rows() && !self.has_room(load) {
            let Some(id) = self.oldest() else { break };
            let (pictures, is_first_now) = self.drop_all(&self.dropped_with(id));
            dropped.extend(pictures);
            is_first |= is_first_now;
        }
        (dropped, is_first)
    }

    /// Drops those of the pictures that are still here. Returns those that no worker has in hand,
    /// and whether they were the first ones.
    pub(super) fn drop_all(&mut self, ids: &[PictureId]) -> (Vec<Picture>, bool) {
        let (dropped, n) = self.withdraw(ids);
        (dropped, self.count_dropped(n))
    }

    /// The picture, and what is of no use without it.
    fn dropped_with(&self, id: PictureId) -> Vec<PictureId> {
        let Some(picture) = self.pictures.get(&id) else {
            return Vec::new();
        };
        match picture.place.taker {
            Taker::Row => vec![id],
            Taker::Call => {
                let pictures = self.pictures.range(picture.value..);
                let of_value = pictures.take_while(|(_, other)| other.value == picture.value);
                of_value.map(|(id, _)| *id).collect()
            }
        }
    }

    /// The oldest picture that no thread has in hand.
    fn oldest(&self) -> Option<PictureId> {
        let mut free = self
            .pictures
            .iter()
            .filter(|(_, picture)| matches!(picture.making, Making::Waiting(_) | Making::Made(_)));
        free.next().map(|(id, _)| *id)
    }

    /// Forgets pictures that a later call of the same step has replaced, and returns them.
    pub(super) fn replace(&mut self, ids: &[PictureId]) -> Vec<Picture> {
        let (replaced, n) = self.withdraw(ids);
        self.stats.pictures.take_back(n);
        replaced
    }

    /// Takes pictures out. Returns those that no worker has in hand, and the number of all.
    fn withdraw(&mut self, ids: &[PictureId]) -> (Vec<Picture>, u64) {
        let (mut withdrawn, mut n) = (Vec::new(), 0);
        for &id in ids {
            let Some(picture) = self.pictures.get_mut(&id) else {
                continue;
            };
            n += 1;
            match picture.making {
                Making::Working => {
                    picture.making = Making::Unwanted;
                    let waiter = picture.waiter();
                    self.await_no_longer(waiter);
                }
                _ => withdrawn.extend(self.remove(id)),
            }
        }
        (withdrawn, n)
    }

    /// It waits for one picture less.
    fn await_no_longer(&mut self, waiter: Waiter) {
        let Some(awaited) = self.awaited.get_mut(&waiter) else {
            return;
        };
        *awaited -= 1;
        if *awaited == 0 {
            self.awaited.remove(&waiter);
        }
    }

    /// Takes a picture out that no thread has in hand.
    fn remove(&mut self, id: PictureId) -> Option<Picture> {
        let picture = self.pictures.remove(&id)?;
        self.release(picture.bytes);
        if matches!(picture.making, Making::Waiting(_)) {
            self.unmade -= 1;
            self.let_go(&picture.held);
            self.await_no_longer(picture.waiter());
        }
        while self
            .waiting
            .front()
            .is_some_and(|id| !self.pictures.contains_key(id))
        {
            self.waiting.pop_front();
        }
        Some(picture)
    }

    fn release(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    fn let_go(&mut self, held: &[Held]) {
        let bytes = self.memory.let_go(held);
        self.release(bytes);
    }

    /// Something is done: where all is, a burst may be waited for again.
    fn rest(&mut self) {
        if self.is_idle() {
            self.waited = Duration::ZERO;
        }
    }

    /// A row that gathers values is on its way from its first value on.
    pub(super) fn open_row(&mut self) {
        self.stats.rows.accept(1);
    }

    /// Gives the writer an entry, of so many bytes. Returns its number, for `has_done`.
    pub(super) fn give(&mut self, entry: Entry<QueuedRow>, bytes: u64) -> u64 {
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        self.given += 1;
        self.given
    }

    /// Whether nothing more happens to the pictures of a call.
    pub(super) fn has_answer(&self, call: Call) -> bool {
        !matches!(self.calls.get(&call), Some(Progress::Making(_))) || self.phase == Phase::Ended
    }

    /// What became of the pictures of a call. None where some were dropped.
    pub(super) fn take_answer(&mut self, call: Call) -> Option<Result<Json, Arc<Error>>> {
        match self.calls.remove(&call)? {
            Progress::Making(_) => None,
            Progress::Done(result) => Some(result),
        }
    }

    /// Whether the writer is done with the entry of this number, or with all that it takes.
    pub(super) fn has_done(&self, number: u64) -> bool {
        self.done >= number || self.phase == Phase::Ended
    }

    // ---- making ----

    pub(super) fn next_job(&mut self) -> Option<Job> {
        while let Some(id) = self.waiting.pop_front() {
            let Some(picture) = self.pictures.get_mut(&id) else {
                continue;
            };
            if let Making::Waiting(image) = std::mem::replace(&mut picture.making, Making::Working)
            {
                self.unmade -= 1;
                self.working += 1;
                return Some(Job { id, image });
            }
        }
        None
    }

    /// Takes what a worker made. A failure is returned where it is the first under its key.
    pub(super) fn made(
        &mut self,
        id: PictureId,
        result: Result<PreparedImage>,
        took: Duration,
    ) -> Option<Failure> {
        self.working -= 1;
        self.stats.encode_time += took;
        let picture = self.pictures.get_mut(&id)?;
        let (place, waiter) = (picture.place.clone(), picture.waiter());
        let (pixels, held) = (picture.bytes, std::mem::take(&mut picture.held));
        let failure = match (&picture.making, result) {
            (Making::Working, Ok(prepared)) => {
                let bytes = prepared.size_bytes();
                picture.bytes = bytes;
                picture.making = Making::Made(Box::new(prepared));
                self.bytes += bytes;
                self.await_no_longer(waiter);
                None
            }
            (Making::Working, Err(error)) => {
                let (value, error) = (picture.value, picture.of_its_list(id, error));
                self.pictures.remove(&id);
                self.await_no_longer(waiter);
                let failure = Failure::of_picture(&place.key, place.step, error);
                self.lose(Call(value), &failure.error);
                Some(failure)
            }
            _ => {
                self.pictures.remove(&id);
                None
            }
        };
        self.release(pixels);
        self.let_go(&held);
        self.rest();
        let to_tell = failure.filter(|failure| self.fail_picture(failure));
        self.telling += usize::from(to_tell.is_some());
        to_tell
    }

    /// So many failures of what was made elsewhere are told.
    pub(super) fn told(&mut self, failures: usize) {
        self.telling -= failures;
    }

    /// Takes note that a call gets no JSON, where pictures are those of one.
    fn lose(&mut self, call: Call, error: &Arc<Error>) {
        if let Some(Progress::Making(lost)) = self.calls.get_mut(&call) {
            lost.get_or_insert_with(|| Arc::clone(error));
        }
    }

    /// Counts a picture as failed. Whether it is the first under its key.
    fn fail_picture(&mut self, failure: &Failure) -> bool {
        self.stats.pictures.fail(1);
        self.report(|report| report.fail_picture(&failure.error));
        self.said.insert(failure.key.to_string())
    }

    pub(super) fn fail(&mut self, error: &Arc<Error>) {
        self.report(|report| report.fail(error));
    }

    fn report(&mut self, change: impl Fn(&mut Report)) {
        change(&mut self.totals);
        self.report_once(change);
    }

    /// The same of what doesn't count at the end.
    fn report_once(&mut self, change: impl Fn(&mut Report)) {
        change(&mut self.unreported);
        self.inquiries.values_mut().for_each(change);
    }

    // ---- writing ----

    /// Whether there is something that can be written now.
    pub(super) fn has_ready_work(&self) -> bool {
        !self.is_writing && (self.parcels.has_files() || self.has_ready_entry())
    }

    fn has_ready_entry(&self) -> bool {
        !self.entries.is_empty() && !self.is_held_up()
    }

    /// What the writer can do now. A flush that is due comes before the next entry, and none after
    /// the end.
    pub(super) fn next_work(&mut self, is_flush_due: bool) -> Option<Work> {
        if is_flush_due && !self.is_over() {
            return Some(Work::Flush);
        }
        let work = match self.has_ready_work() {
            false => None,
            true if self.is_turn_of_files() => self.parcels.next_files(),
            true => self.next_entry().map(Work::Entry),
        };
        self.is_writing |= work.is_some();
        work.or_else(|| self.is_over().then_some(Work::End))
    }

    /// An artifact comes before all that waits, as soon as it is made. After a few of its files, and
    /// after the last, the entries that have come meanwhile go first, as far as they are ready.
    fn is_turn_of_files(&self) -> bool {
        let has_turn = self.parcels.entries_first == 0 || !self.has_ready_entry();
        self.parcels.has_files() && has_turn
    }

    fn next_entry(&mut self) -> Option<Entry<PreparedRow>> {
        let (entry, bytes) = self.entries.pop_front()?;
        self.parcels.entries_first = self.parcels.entries_first.saturating_sub(1);
        self.in_hand += bytes;
        Some(match entry {
            Entry::Row(row) => Entry::Row(self.collect(row)),
            Entry::Media { call, row } => Entry::Media {
                call,
                row: self.collect_for(call, row),
            },
            Entry::Summary { key, value } => Entry::Summary { key, value },
            Entry::Config { key, value } => Entry::Config { key, value },
            Entry::Flush => Entry::Flush,
            Entry::Exit(_) => Entry::Exit(self.exit_code()),
        })
    }

    /// A picture of the next entry isn't made yet. What a flush or the end confirms is also told.
    fn is_held_up(&self) -> bool {
        match self.entries.front().map(|(entry, _)| entry) {
            Some(Entry::Flush) => self.telling > 0,
            Some(Entry::Exit(_)) => self.telling > 0 || self.parcels.any_artifact(),
            Some(Entry::Row(row)) => self.awaited.contains_key(&Waiter::Row(row.step)),
            Some(Entry::Media { call, .. }) => self.awaited.contains_key(&Waiter::Call(*call)),
            _ => false,
        }
    }

    /// The row with its pictures. Those that are gone, and keys without any, are left out.
    fn collect(&mut self, row: QueuedRow) -> PreparedRow {
        let mut values = BTreeMap::new();
        for (key, value) in row.values {
            let prepared = match value {
                Queued::Json(json) => Some(Prepared::Json(json)),
                Queued::Pictures(pictures) => self.collect_pictures(pictures),
                Queued::Table(key, id) => {
                    let table = self.parcels.take_table(id);
                    table.map(|table| Prepared::Table(key, table))
                }
            };
            values.extend(prepared.map(|value| (key, value)));
        }
        PreparedRow {
            step: row.step,
            logged: row.logged,
            values,
        }
    }

    /// The same for a call, which gets no JSON where some are gone.
    fn collect_for(&mut self, call: Call, row: QueuedRow) -> PreparedRow {
        let expected = row.values.values().map(|value| value.pictures().len());
        let expected: usize = expected.sum();
        let row = self.collect(row);
        let is_dropped = row.pictures() < expected;
        if is_dropped && matches!(self.calls.get(&call), Some(Progress::Making(None))) {
            self.calls.remove(&call);
        }
        row
    }

    fn collect_pictures(&mut self, pictures: Pictures) -> Option<Prepared> {
        let ids = pictures.ids.iter();
        let mut images: Vec<_> = ids.filter_map(|id| self.take_made(*id)).collect();
        match pictures.is_list {
            true if images.is_empty() => None,
            true => Some(Prepared::Images(pictures.key, images)),
            false => images
                .pop()
                .map(|image| Prepared::Image(pictures.key, image)),
        }
    }

    /// The picture, where it is made. One that a worker still has in hand stays here.
    fn take_made(&mut self, id: PictureId) -> Option<PreparedImage> {
        let picture = self.pictures.get(&id)?;
        if !matches!(picture.making, Making::Made(_)) {
            return None;
        }
        let picture = self.pictures.remove(&id)?;
        let Making::Made(image) = picture.making else {
            return None;
        };
        self.in_hand += picture.bytes;
        Some(*image)
    }

    /// Takes what the writer made of a row. Failures are returned that are the first of their
    /// kind.
    pub(super) fn row_done(
        &mut self,
        pictures: u64,
        tables: u64,
        mut outcome: Outcome,
    ) -> Vec<Failure> {
        let of_tables = self.tables_done(tables, &mut outcome);
        match &outcome.failure {
            None => self.stats.rows.write(1),
            Some(_) => {
                self.stats.rows.fail(1);
                self.report(Report::fail_row);
            }
        }
        let mut firsts = self.pictures_done(OF_ROWS, pictures, outcome);
        firsts.extend(of_tables);
        firsts
    }

    /// Takes what became of the tables of a row, which fail with it.
    fn tables_done(&mut self, tables: u64, outcome: &mut Outcome) -> Vec<Failure> {
        let mut firsts = std::mem::take(&mut outcome.tables_failed);
        let failed = firsts.len() as u64;
        firsts.retain(|failure| self.fail_artifact(&failure.key, &failure.error));
        match &outcome.failure {
            None => self.stats.artifacts.write(outcome.tables_written),
            Some(error) => {
                let lost = tables - failed;
                self.stats.artifacts.fail(lost);
                (0..lost).for_each(|_| self.report(|report| report.fail_artifact(error)));
            }
        }
        firsts
    }

    /// The same of the pictures of a call, with their JSON.
    pub(super) fn media_done(
        &mut self,
        call: Call,
        pictures: u64,
        outcome: Outcome,
        json: Option<Json>,
    ) -> Vec<Failure> {
        let failed = outcome.pictures_failed.iter().map(|failure| &failure.error);
        if let Some(error) = failed.chain(&outcome.failure).next() {
            self.lose(call, error);
        }
        if let Some(Progress::Making(lost)) = self.calls.remove(&call) {
            let result = lost.map(Err).or(json.map(Ok));
            let progress = result.map(|result| (call, Progress::Done(result)));
            self.calls.extend(progress);
        }
        self.pictures_done(OF_CALLS, pictures, outcome)
    }

    fn pictures_done(&mut self, kind: &str, pictures: u64, outcome: Outcome) -> Vec<Failure> {
        self.entry_done(outcome.bytes_written);
        let failed = outcome.pictures_failed.len() as u64;
        let mut firsts = outcome.pictures_failed;
        firsts.retain(|failure| self.fail_picture(failure));
        match outcome.failure {
            None => self.stats.pictures.write(outcome.pictures_written),
            Some(error) => {
                let lost = pictures - failed;
                self.stats.pictures.fail(lost);
                self.report(|report| report.fail_pictures(lost, &error));
                firsts.extend(self.first_failure(kind, error));
            }
        }
        firsts
    }

    /// Takes what became of the config or of a flush. What a flush couldn't write is written by
    /// the next one, which makes up for those before it.
    pub(super) fn other_done(
        &mut self,
        is_flush: bool,
        result: Result<u64, Arc<Error>>,
    ) -> Option<Failure> {
        self.entry_done(*result.as_ref().unwrap_or(&0));
        if is_flush && result.is_ok() {
            self.flush_failure = None;
        }
        let error = result.err()?;
        match !is_flush || is_lasting(&error) {
            true => self.fail(&error),
            false => self.report_once(|report| report.fail(&error)),
        }
        self.record_failure(error)
    }

    /// What is told of a record or a flush that failed: each time what can't be made good.
    fn record_failure(&mut self, error: Arc<Error>) -> Option<Failure> {
        match is_lasting(&error) {
            true => Some(Failure {
                key: "".into(),
                error,
            }),
            false => self.first_failure(OF_RECORDS, error),
        }
    }

    /// Takes what became of a flush that nobody asked for.
    pub(super) fn flushed(&mut self, result: Result<u64, Arc<Error>>) -> Option<Failure> {
        self.stats.bytes_written += result.as_ref().unwrap_or(&0);
        self.flush_failure = None;
        let error = result.err()?;
        match is_lasting(&error) {
            true => self.fail(&error),
            false => self.flush_failure = Some(Arc::clone(&error)),
        }
        self.record_failure(error)
    }

    /// Ends the run, or lets it go on where its end can't be written: with rows only if the exit
    /// record isn't either, since nothing that follows it would be uploaded. A failure is returned
    /// where nobody is left to ask for it.
    pub(super) fn exit_done(
        &mut self,
        result: Result<u64, Arc<Error>>,
        has_exit: bool,
    ) -> Option<Failure> {
        self.entry_done(*result.as_ref().unwrap_or(&0));
        let (lasting, failure): (Vec<_>, Vec<_>) = result
            .err()
            .into_iter()
            .partition(|error| is_lasting(error));
        // `finish` returns the first failure alone.
        let is_told = !self.totals.has_failure();
        lasting.iter().for_each(|error| self.totals.fail(error));
        self.exit_failure = failure.into_iter().next();
        let Some(error) = self.exit_failure.clone() else {
            self.phase = Phase::Ended;
            let untold = lasting.into_iter().find(|_| !is_told);
            return untold.and_then(|error| self.record_failure(error));
        };
        self.phase = match has_exit {
            true => Phase::Closing,
            false => Phase::Running,
        };
        self.exit = None;
        self.is_orphan.then(|| Failure {
            key: "".into(),
            error,
        })
    }

    fn entry_done(&mut self, bytes_written: u64) {
        self.done += 1;
        self.written(bytes_written);
    }

    /// The writer has nothing in hand.
    fn written(&mut self, bytes_written: u64) {
        self.is_writing = false;
        self.stats.bytes_written += bytes_written;
        let in_hand = std::mem::take(&mut self.in_hand);
        self.release(in_hand);
        self.rest();
    }

    /// The failure, where it is the first of its kind.
    fn first_failure(&mut self, kind: &str, error: Arc<Error>) -> Option<Failure> {
        let is_first = self.said.insert(kind.into());
        is_first.then(|| Failure {
            key: "".into(),
            error,
        })
    }

    // ---- confirming ----

    /// Gives the entry that ends the run, or the number of the one that was given. A failure
    /// that is told later stays one.
    pub(super) fn give_exit(&mut self, exit_code: i32) -> u64 {
        if exit_code != 0 || self.exit.is_none() {
            self.exit_code = exit_code;
        }
        if let Some(number) = self.exit {
            return number;
        }
        let number = self.give(Entry::Exit(exit_code), 0);
        self.exit = Some(number);
        number
    }

    /// A run that lacks rows is no success.
    fn exit_code(&self) -> i32 {
        match self.exit_code {
            0 => i32::from(self.totals.lacks_rows()),
            code => code,
        }
    }

    /// Begins to take note of what is lost for a call that will ask: from now on, and what no call
    /// was told of yet.
    pub(super) fn inquire(&mut self) -> InquiryId {
        let id = self.next_inquiry;
        self.next_inquiry += 1;
        self.inquiries.insert(id, self.unreported.clone());
        id
    }

    /// What was lost. A later call isn't told of it, but one that has begun to inquire is.
    pub(super) fn take_unreported(&mut self, inquiry: InquiryId) -> Report {
        self.unreported = Report::default();
        let report = self.inquiries.get_mut(&inquiry);
        report.map(std::mem::take).unwrap_or_default()
    }

    /// The same, and what a flush that nobody asked for couldn't write.
    pub(super) fn take_unconfirmed(&mut self, inquiry: InquiryId) -> Report {
        let mut report = self.take_unreported(inquiry);
        if let Some(error) = &self.flush_failure {
            report.fail(error);
        }
        report
    }

    /// The call has ended.
    pub(super) fn end_inquiry(&mut self, inquiry: InquiryId) {
        self.inquiries.remove(&inquiry);
    }

    /// What was lost in all, and the end where it couldn't be written.
    pub(super) fn totals(&self) -> Report {
        let mut report = self.totals.clone();
        if let Some(error) = &self.exit_failure {
            report.fail(error);
        }
        report
    }
}

#[cfg(test)]
mod tests;
