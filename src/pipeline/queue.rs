//! The queue's state: what is on its way, what it holds, and what became of the rest. Plain data;
//! who waits for what stands in `mod.rs`.

mod calls;
mod done;
mod entry;
mod parcels;
mod pictures;
mod reports;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) use calls::Call;
use calls::Progress;
pub(super) use entry::{Done, Entry, Errand, Failure, Outcome, Work};
use parcels::Parcels;
pub(crate) use parcels::{ArtifactId, TableId};
pub(super) use pictures::{Job, Picture, Place, Taker};
pub(super) use reports::InquiryId;
use reports::Reports;

use super::overflow::{Limits, Overflow};
use super::row::{PictureId, Prepared, PreparedRow, Queued, QueuedRow};
use super::stats::Stats;
pub(super) use crate::memory::Load;
use crate::memory::{Held, Memory};

/// What isn't written before its pictures are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiter {
    /// The row of this step.
    Row(u64),
    Call(Call),
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

/// Flushes that are no entries, since nothing that waits goes before them.
#[derive(Debug, Default)]
struct Asked {
    /// So many were asked for.
    given: u64,
    /// So many of them the writer has begun: one for all that were asked for by then.
    begun: u64,
    done: u64,
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
    errands: Vec<Errand>,
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
    asked: Asked,
    /// The number of the entry that ends the run, until that has failed.
    exit: Option<u64>,
    exit_code: i32,
    /// Nobody can give anything any more.
    is_orphan: bool,
    stats: Stats,
    pub(super) reports: Reports,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Running,
            waited: Duration::ZERO,
            entries: VecDeque::new(),
            pictures: BTreeMap::new(),
            parcels: Parcels::default(),
            errands: Vec::new(),
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
            asked: Asked::default(),
            exit: None,
            exit_code: 0,
            is_orphan: false,
            stats: Stats::default(),
            reports: Reports::default(),
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

    /// Leaves something to the writer.
    pub(super) fn leave(&mut self, errand: Errand) {
        self.errands.push(errand);
    }

    /// Whether the writer is done with the entry of this number, or with all that it takes.
    pub(super) fn has_done(&self, number: u64) -> bool {
        self.done >= number || self.phase == Phase::Ended
    }

    /// Asks for a flush of what is written by now, whatever waits. Returns its number, for
    /// `has_flushed`.
    pub(super) fn ask_flush(&mut self) -> u64 {
        self.asked.given += 1;
        self.asked.given
    }

    /// Whether the flush of this number was tried, or none can be any more.
    pub(super) fn has_flushed(&self, number: u64) -> bool {
        self.asked.done >= number || self.phase == Phase::Ended
    }

    /// So many failures of what was made elsewhere are told.
    pub(super) fn told(&mut self, failures: usize) {
        self.telling -= failures;
    }

    // ---- writing ----

    /// Whether there is something that can be written now.
    pub(super) fn has_ready_work(&self) -> bool {
        !self.is_writing && (self.parcels.has_files() || self.has_ready_entry())
    }

    fn has_ready_entry(&self) -> bool {
        !self.entries.is_empty() && !self.is_held_up()
    }

    /// What the writer can do now: errands first. A flush that is due, or was asked for, comes before
    /// the next entry, and none after the end. What one that was asked for confirms is also told.
    pub(super) fn next_work(&mut self, is_flush_due: bool) -> Option<Work> {
        if !self.errands.is_empty() {
            return Some(Work::Errands(std::mem::take(&mut self.errands)));
        }
        let asked = match self.telling {
            0 => self.asked.given,
            _ => self.asked.begun,
        };
        let is_asked = asked > self.asked.begun;
        if (is_flush_due || is_asked) && !self.is_over() {
            self.asked.begun = asked;
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
            0 => i32::from(self.reports.lacks_rows()),
            code => code,
        }
    }
}

#[cfg(test)]
mod tests;
