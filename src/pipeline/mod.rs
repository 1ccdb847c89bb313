//! Between `log` and the disk: a bounded queue, workers that make pictures, and one writer that
//! keeps the rows in the order of their steps.
//!
//! `queue.rs` holds the state, `worker.rs` the threads, `writer.rs` what becomes of a row; here
//! stands who waits for what.

mod clock;
mod items;
mod labels;
mod notice;
mod overflow;
mod place;
mod queue;
mod report;
mod row;
mod stats;
mod summary;
mod voice;
mod worker;
mod writer;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use clock::Clock;
pub(crate) use items::whole;
pub(crate) use overflow::Limits;
pub use overflow::Overflow;
pub(crate) use queue::{ArtifactId, Call, TableId};
pub(crate) use row::{Pictures, Queued, QueuedRow};
pub use stats::{Counts, Stats};
pub(crate) use voice::Voice;
pub(crate) use writer::Writer;

pub(crate) use crate::sync;

use crate::artifact::workshop::Undone;
use crate::artifact::{Artifact, MadeArtifact};
use crate::error::{Error, Result, counts};
use crate::image::Image;
use crate::table::{MadeTable, Table};
use crate::tensor::pool;
use crate::value::Json;
use queue::{
    Done, Entry, Errand, Failure, InquiryId, Job, Load, Outcome, Phase, Picture, Place, State,
    Taker, Work,
};
use row::{PictureId, PreparedImage};
use sync::{Condvar, Instant, Mutex, MutexGuard};
use worker::Role;

/// The way from a run to its sink.
#[derive(Debug)]
pub(crate) struct Pipeline(Arc<Shared>);

/// What calls leave over that must not be done while others wait.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    warnings: Vec<String>,
    dropped: Vec<Picture>,
    refused: Vec<Image>,
    unused: Vec<Box<dyn Any + Send>>,
}

impl Leftovers {
    /// Something to be said.
    pub(crate) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Something to be dropped.
    pub(crate) fn drop(&mut self, unused: impl Any + Send) {
        self.unused.push(Box::new(unused));
    }
}

/// What callers, workers and the writer share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is a picture to make, or nothing will come any more.
    for_workers: Condvar,
    /// There may be an entry to write, or nothing will come any more.
    for_writer: Condvar,
    /// Something was made or written: there may be room, or what one waits for is done.
    for_callers: Condvar,
    voice: Voice,
}

impl Pipeline {
    pub(crate) fn start(limits: Limits, voice: Voice, writer: Writer) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(limits)),
            for_workers: Condvar::new(),
            for_writer: Condvar::new(),
            for_callers: Condvar::new(),
            voice,
        });
        worker::spawn(&shared, limits.workers, writer)?;
        Ok(Self(shared))
    }

    /// Takes the pictures of one value, or drops them as the policy says. Only one thread calls
    /// this at a time; what is left over it hands to [`tidy`](Self::tidy) afterwards.
    pub(crate) fn accept(
        &self,
        key: &str,
        step: u64,
        images: Vec<Image>,
        leftovers: &mut Leftovers,
    ) -> Vec<PictureId> {
        let place = Place {
            key: key.into(),
            step,
            taker: Taker::Row,
        };
        self.take(&place, images, leftovers)
    }

    /// The same for a call that will wait for their JSON. They are dropped all together or not at
    /// all, now and later.
    pub(crate) fn accept_media(
        &self,
        key: &str,
        step: u64,
        images: Vec<Image>,
        leftovers: &mut Leftovers,
    ) -> Result<(Call, Vec<PictureId>)> {
        let place = Place {
            key: key.into(),
            step,
            taker: Taker::Call,
        };
        let ids = self.take(&place, images, leftovers);
        match Call::of(&ids) {
            Some(call) => Ok((call, ids)),
            None => Err(dropped(key, step)),
        }
    }

    fn take(&self, place: &Place, images: Vec<Image>, leftovers: &mut Leftovers) -> Vec<PictureId> {
        let load = Load::of(&images);
        let state = self.0.lock();
        let (mut state, dropped, is_first) = self.0.with_room(state, &load);
        let has_room = state.has_room(&load) || state.takes_beyond_bounds();
        if is_first && let Some(first) = dropped.first() {
            leftovers.warnings.push(first_drop(&first.place));
        }
        let ids = match has_room {
            true => state.accept(place, images),
            false => {
                if state.refuse(images.len() as u64) {
                    leftovers.warnings.push(first_drop(place));
                }
                leftovers.refused.extend(images);
                Vec::new()
            }
        };
        leftovers.dropped.extend(dropped);
        // A row may have waited for what was dropped.
        self.0.wake_writer(state);
        self.0.for_workers.notify_all();
        ids
    }

    /// Takes an artifact, which is finished in the background.
    pub(crate) fn give_artifact(&self, artifact: Artifact) {
        let (name, shared) = (artifact.name().to_owned(), Arc::clone(&self.0));
        let id = self.0.lock().accept_artifact(&name);
        let undone = artifact.finish(move |result| {
            shared.artifact_made(id, &name, result);
            // What was made last may end the threads, which sleep.
            shared.notify();
        });
        self.0.leave(undone);
    }

    /// The same of the table of a row.
    pub(crate) fn accept_table(&self, key: &str, step: u64, table: Table) -> TableId {
        let id = self.0.lock().accept_table(key, step);
        let shared = Arc::clone(&self.0);
        let undone = table.finish(key, move |result| {
            shared.table_made(id, result);
            shared.notify();
        });
        self.0.leave(undone);
        id
    }

    /// Forgets the table that was replaced under the same key and step.
    pub(crate) fn replace_table(&self, id: TableId) {
        self.0.lock().replace_table(id);
        self.0.for_callers.notify_all();
        self.0.for_writer.notify_one();
    }

    /// Forgets pictures that were replaced under the same key and step.
    pub(crate) fn replace(&self, ids: &[PictureId], leftovers: &mut Leftovers) {
        leftovers.dropped.extend(self.0.lock().replace(ids));
        self.0.for_callers.notify_all();
    }

    /// Drops pictures whose place in their row was taken.
    pub(crate) fn drop_pictures(&self, ids: &[PictureId], leftovers: &mut Leftovers) {
        leftovers.dropped.extend(self.0.lock().drop_all(ids).0);
        self.0.for_callers.notify_all();
    }

    /// Says and drops what is left over, where no other call has to wait for it: tensors and
    /// listeners may be the user's own.
    pub(crate) fn tidy(&self, leftovers: Leftovers) {
        for text in &leftovers.warnings {
            self.0.voice.warn(text);
        }
        drop(leftovers);
    }

    /// Counts a row that begins to gather values.
    pub(crate) fn open_row(&self) {
        self.0.lock().open_row();
    }

    /// Gives an open row to the writer.
    pub(crate) fn close_row(&self, row: QueuedRow) {
        self.0.give_in_time(Entry::Row(row));
    }

    /// Gives the writer the pictures of a call, under the one key of this row.
    pub(crate) fn give_media(&self, call: Call, row: QueuedRow) {
        self.0.give(Entry::Media { call, row });
    }

    /// Waits until the pictures of a call are written, and returns their JSON.
    pub(crate) fn answer(&self, call: Call, key: &str, step: u64) -> Result<Json> {
        let has_answer = |state: &State| state.has_answer(call);
        let mut state = self.0.wait_until(None, has_answer, |_, _| None).0;
        match state.take_answer(call) {
            Some(answer) => answer.map_err(|error| report::own(&error)),
            None => Err(dropped(key, step)),
        }
    }

    /// Whether this thread may wait for what is on its way: none of the pipeline's own may.
    pub(crate) fn may_wait() -> bool {
        !worker::is_ours()
    }

    pub(crate) fn set_summary(&self, key: &str, value: Json) {
        let key = key.into();
        self.0.give_in_time(Entry::Summary { key, value });
    }

    pub(crate) fn set_config(&self, key: &str, value: Json) {
        let key = key.into();
        self.0.give_in_time(Entry::Config { key, value });
    }

    /// Takes note of a failure that happened before anything was given.
    pub(crate) fn fail(&self, error: Error) {
        let error = Arc::new(error);
        self.0.lock().reports.fail(&error);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.0.lock().stats()
    }

    /// Begins to take note of what is lost, for a call that is to return it: before anything is
    /// given that it is about.
    pub(crate) fn inquire(&self) -> Inquiry<'_> {
        Inquiry {
            shared: &self.0,
            id: self.0.lock().reports.inquire(),
        }
    }

    /// That the time was up before anything could be done.
    pub(crate) fn late(&self, until: Deadline) -> Result<()> {
        let state = self.0.lock();
        Err(state
            .reports
            .totals()
            .unfinished(&state.stats(), until.timeout))
    }

    /// Whether callers may still log.
    pub(crate) fn is_running(&self) -> bool {
        self.0.lock().phase == Phase::Running
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.lock().phase == Phase::Ended
    }

    /// From here on nobody waits for room.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.0.for_callers.notify_all();
    }

    /// Waits until all is written, the exit record last. A run that lacks rows is no success. On
    /// a thread of the pipeline itself, it doesn't wait.
    pub(crate) fn finish(&self, exit_code: i32, until: Deadline) -> Result<()> {
        let number = self.0.lock().give_exit(exit_code);
        self.0.for_writer.notify_one();
        if worker::is_ours() {
            return Ok(());
        }
        let mut progress = Progress::new(until);
        let say = |state: &State, waited| progress.text(state, waited);
        let (state, is_done) = self
            .0
            .wait_until(Some(until), |state| state.has_done(number), say);
        let totals = state.reports.totals();
        match is_done {
            true => totals.result(),
            false => Err(totals.unfinished(&state.stats(), until.timeout)),
        }
    }
}

/// A call that will return what is lost. Others that return it too take nothing from it.
#[derive(Debug)]
pub(crate) struct Inquiry<'p> {
    shared: &'p Shared,
    id: InquiryId,
}

impl Inquiry<'_> {
    /// Waits until everything that was given is done, and returns the first failure.
    pub(crate) fn settle(&self) -> Result<()> {
        self.settle_when(State::is_settled)
    }

    /// The same, with a flush after it. The caller sees to it that nothing is given meanwhile.
    pub(crate) fn settle_flushed(&self) -> Result<()> {
        let is_written = |state: &State| state.last_artifact().is_none();
        drop(self.shared.wait_until(None, is_written, |_, _| None));
        let number = self.shared.give(Entry::Flush);
        self.settle_when(|state| state.is_settled() && state.has_done(number))
    }

    fn settle_when(&self, is_settled: impl Fn(&State) -> bool) -> Result<()> {
        let (mut state, _) = self.shared.wait_until(None, is_settled, |_, _| None);
        state.reports.take_unreported(self.id).first_failure()
    }

    /// Begins to flush what was given so far.
    pub(crate) fn begin_flush(&self) -> Flush {
        let mut state = self.shared.lock();
        let flush = Flush {
            entry: state.give(Entry::Flush, 0),
            artifact: state.last_artifact(),
        };
        self.shared.wake_writer(state);
        flush
    }

    /// Waits until everything that was given before it began is on disk, and for nothing else. Rows
    /// don't wait for artifacts, which are flushed by themselves once they are written.
    pub(crate) fn flush(&self, flush: &Flush, until: Deadline) -> Result<()> {
        let mut is_done = self.waits(until, |state| state.has_done(flush.entry));
        if let Some(last) = flush.artifact {
            is_done = is_done && self.flush_artifacts(last, until);
        }
        let mut state = self.shared.lock();
        let report = state.reports.take_unconfirmed(self.id);
        match is_done {
            true => report.result(),
            false => Err(report.unfinished(&state.stats(), until.timeout)),
        }
    }

    /// Of those up to this one. Whether it was done in time.
    fn flush_artifacts(&self, last: ArtifactId, until: Deadline) -> bool {
        self.waits(until, |state| !state.has_artifact_up_to(last)) && {
            let number = self.shared.ask_flush();
            self.waits(until, |state| state.has_flushed(number))
        }
    }

    /// Whether it was done in time.
    fn waits(&self, until: Deadline, is_done: impl Fn(&State) -> bool) -> bool {
        self.shared.wait_until(Some(until), is_done, |_, _| None).1
    }
}

/// What a flush waits for: nothing that comes after it began.
#[derive(Debug)]
pub(crate) struct Flush {
    /// The entry behind all that was given.
    entry: u64,
    /// The last artifact that was on its way.
    artifact: Option<ArtifactId>,
}

impl Drop for Inquiry<'_> {
    fn drop(&mut self) {
        self.shared.lock().reports.end_inquiry(self.id);
    }
}

#[cfg(all(test, loom))]
impl Pipeline {
    /// Lets time pass: who waits with a limit wakes up.
    pub(crate) fn pass(&self, time: Duration) {
        let state = self.0.lock();
        sync::pass(time);
        drop(state);
        self.0.notify();
    }

    /// Takes an artifact that a thread of the test's makes, which tells what became of it.
    pub(crate) fn await_artifact(
        &self,
        name: &'static str,
    ) -> impl FnOnce(Result<MadeArtifact>) + Send + use<> {
        let id = self.0.lock().accept_artifact(name);
        let shared = Arc::clone(&self.0);
        move |result| shared.artifact_made(id, name, result)
    }

    /// The same of the table of a row.
    pub(crate) fn await_table(
        &self,
        key: &str,
        step: u64,
    ) -> (TableId, impl FnOnce(Result<MadeTable>) + Send + use<>) {
        let id = self.0.lock().accept_table(key, step);
        let shared = Arc::clone(&self.0);
        (id, move |result| shared.table_made(id, result))
    }
}

impl Drop for Pipeline {
    /// The threads end when they have done what there is.
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Shared {
    /// A panic elsewhere doesn't harm the state: each of its changes is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abandon(&self) {
        self.lock().abandon();
        self.notify();
    }

    /// Where there is an entry to write: waking a thread for nothing costs the caller.
    fn wake_writer(&self, state: MutexGuard<'_, State>) {
        let is_ready = state.has_ready_work();
        drop(state);
        if is_ready {
            self.for_writer.notify_one();
        }
    }

    fn notify(&self) {
        self.for_workers.notify_all();
        self.for_writer.notify_all();
        self.for_callers.notify_all();
    }

    // ---- callers ----

    fn give(&self, entry: Entry<QueuedRow>) -> u64 {
        let bytes = entry.size_bytes();
        let mut state = self.lock();
        let number = state.give(entry, bytes);
        self.wake_writer(state);
        number
    }

    fn ask_flush(&self) -> u64 {
        let number = self.lock().ask_flush();
        self.for_writer.notify_one();
        number
    }

    /// The same as `give`, once there is room where nothing may grow.
    fn give_in_time(&self, entry: Entry<QueuedRow>) {
        let bytes = entry.size_bytes();
        let mut state = self.with_room_for_entry(self.lock(), bytes);
        state.give(entry, bytes);
        self.wake_writer(state);
    }

    /// Makes room for pictures, or waits for it, as the policy says. Also returns the pictures
    /// that were dropped for it, and whether they were the first ones.
    fn with_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        load: &Load,
    ) -> (MutexGuard<'a, State>, Vec<Picture>, bool) {
        let limit = match state.limits.overflow {
            Overflow::Wait(limit) => Some(limit),
            Overflow::Block => None,
            Overflow::DropOldest => {
                let (dropped, is_first) = state.make_room(load);
                return (state, dropped, is_first);
            }
        };
        (self.wait_for_room(state, limit, load), Vec::new(), false)
    }

    fn wait_for_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        limit: Option<Duration>,
        load: &Load,
    ) -> MutexGuard<'a, State> {
        let must_wait = |state: &State| {
            let is_of_use = !state.is_idle() && state.phase == Phase::Running;
            !state.has_room(load) && is_of_use && !worker::is_ours()
        };
        while must_wait(&state) {
            let left = limit.map_or(TICK, |limit| limit.saturating_sub(state.waited));
            if left.is_zero() {
                break;
            }
            let began = Instant::now();
            state = self.wait_as_caller(state, left);
            state.waited += began.elapsed();
        }
        state
    }

    /// Waits, and lets the spare worker have the processor.
    fn wait_as_caller<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        state.waiting_callers += 1;
        self.for_workers.notify_all();
        let mut state = wait_at_most(&self.for_callers, state, limit);
        state.waiting_callers -= 1;
        state
    }

    /// Values are waited for only where nothing may be dropped and nothing may grow. Those that
    /// nothing under way could make room for are taken beyond the bound.
    fn with_room_for_entry<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        bytes: u64,
    ) -> MutexGuard<'a, State> {
        let must_wait = |state: &State| {
            state.limits.overflow == Overflow::Block
                && !state.has_room_for_entry(bytes)
                && !state.is_idle()
                && state.phase == Phase::Running
                && !worker::is_ours()
        };
        while must_wait(&state) {
            state = self.wait_as_caller(state, TICK);
        }
        state
    }

    /// Waits until it is done or the time is up; whether it is done. `progress` is asked every
    /// now and then for something to say. A thread of the pipeline never waits for itself.
    fn wait_until(
        &self,
        until: Option<Deadline>,
        is_done: impl Fn(&State) -> bool,
        mut progress: impl FnMut(&State, Duration) -> Option<String>,
    ) -> (MutexGuard<'_, State>, bool) {
        let began = Instant::now();
        let mut state = self.lock();
        while !is_done(&state) {
            let left = until.map_or(TICK, Deadline::left);
            if left.is_zero() || worker::is_ours() {
                return (state, false);
            }
            state = self.wait_as_caller(state, left.min(TICK));
            if let Some(text) = progress(&state, began.elapsed()) {
                drop(state);
                self.voice.line(&text);
                state = self.lock();
            }
        }
        (state, true)
    }

    // ---- workers ----

    /// None when nothing will come any more.
    fn wait_for_job(&self, role: Role) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.is_over() {
                return None;
            }
            let is_called = role == Role::Regular || state.waiting_callers > 0;
            if let Some(job) = is_called.then(|| state.next_job()).flatten() {
                return Some(job);
            }
            state = wait_long(&self.for_workers, state);
        }
    }

    fn made(&self, id: PictureId, result: Result<PreparedImage>, took: Duration) {
        let mut state = self.lock();
        let failure = state.made(id, result, took);
        self.wake_writer(state);
        self.for_callers.notify_all();
        self.tell_first(failure.into_iter().collect());
    }

    /// Tells failures that what confirms them waits for.
    fn tell_first(&self, failures: Vec<Failure>) {
        let n = failures.len();
        if n > 0 {
            self.tell(failures);
            self.lock().told(n);
            self.for_writer.notify_one();
        }
    }

    // ---- what is made elsewhere ----

    /// The writer tells what no thread could be started for, since a listener may be told that logs
    /// itself, and the caller keeps others from that.
    fn leave(&self, undone: Option<Undone>) {
        let Some(undone) = undone else {
            return;
        };
        self.lock().leave(Errand::new(move || undone.end()));
        self.for_writer.notify_one();
    }

    fn artifact_made(&self, id: ArtifactId, name: &str, result: Result<MadeArtifact>) {
        let failure = self.lock().artifact_made(id, name, result);
        self.for_callers.notify_all();
        self.for_writer.notify_one();
        self.tell_first(failure.into_iter().collect());
    }

    fn table_made(&self, id: TableId, result: Result<MadeTable>) {
        let (failures, unwanted) = self.lock().table_made(id, result);
        drop(unwanted);
        self.for_callers.notify_all();
        self.for_writer.notify_one();
        self.tell_first(failures);
    }

    // ---- the writer ----

    /// The next entry, unless a flush is due before it comes.
    fn wait_for_work(&self, flush_at: Option<Deadline>) -> Work {
        let mut state = self.lock();
        loop {
            let left = flush_at.map(Deadline::left);
            if let Some(work) = state.next_work(left == Some(Duration::ZERO)) {
                return work;
            }
            state = match left {
                Some(left) => wait_at_most(&self.for_writer, state, left),
                None => wait_long(&self.for_writer, state),
            };
        }
    }

    fn flushed(&self, done: Done) {
        let failure = self.lock().flushed(done);
        self.for_callers.notify_all();
        self.tell(failure);
    }

    fn row_done(&self, pictures: u64, tables: u64, outcome: Outcome) {
        let failures = self.lock().row_done(pictures, tables, outcome);
        self.for_callers.notify_all();
        self.tell(failures);
    }

    fn media_done(&self, call: Call, pictures: u64, outcome: Outcome, json: Option<Json>) {
        let failures = self.lock().media_done(call, pictures, outcome, json);
        self.for_callers.notify_all();
        self.tell(failures);
    }

    fn artifact_goes_on(&self, bytes_written: u64) {
        self.lock().artifact_goes_on(bytes_written);
        self.for_callers.notify_all();
    }

    fn artifact_done(&self, done: Done) {
        let failure = self.lock().artifact_done(done);
        self.for_callers.notify_all();
        self.tell(failure);
    }

    fn other_done(&self, is_flush: bool, done: Done) {
        let failure = self.lock().other_done(is_flush, done);
        self.for_callers.notify_all();
        self.tell(failure);
    }

    fn exit_done(&self, done: Done, has_exit: bool) {
        let failure = self.lock().exit_done(done, has_exit);
        pool::clear();
        self.notify();
        self.tell(failure);
    }

    fn tell(&self, failures: impl IntoIterator<Item = Failure>) {
        for failure in failures {
            // The text may be that of an error of the user's own.
            if let Ok(text) = catch_unwind(AssertUnwindSafe(|| told(&failure))) {
                self.voice.error(&text);
            }
        }
    }
}

/// The longest that a caller sleeps at a time.
const TICK: Duration = Duration::from_millis(500);

fn wait_long<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

fn wait_at_most<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    limit: Duration,
) -> MutexGuard<'a, State> {
    let woken = condition.wait_timeout(state, limit);
    woken.unwrap_or_else(PoisonError::into_inner).0
}

fn first_drop(place: &Place) -> String {
    format!(
        "the queue is full, and pictures are dropped, first at step {} under {:?}: log fewer or \
         smaller ones, or choose a larger queue_bytes, more workers or another Overflow; this is \
         said once, with totals at the end",
        place.step, place.key
    )
}

fn dropped(key: &str, step: u64) -> Error {
    Error::Dropped {
        key: key.into(),
        step,
    }
}

/// What a person hears of a failure, once per key.
fn told(Failure { key, error }: &Failure) -> String {
    let next = match &**key {
        "" => "training goes on, and further failures are counted",
        _ => "what else was logged is kept, and further failures under this key are counted",
    };
    format!("{error}; {next}")
}

/// Tells how far the end is, after a second and then ever more rarely.
struct Progress {
    until: Deadline,
    next: Duration,
}

impl Progress {
    fn new(until: Deadline) -> Self {
        let next = Duration::from_secs(1);
        Self { until, next }
    }

    fn text(&mut self, state: &State, waited: Duration) -> Option<String> {
        if waited < self.next {
            return None;
        }
        self.next = (self.next * 2).min(self.next + Duration::from_secs(10));
        let stats = state.stats();
        Some(format!(
            "finishing: {} left after {} s, of at most {} s",
            counts(
                stats.rows.queued,
                stats.pictures.queued,
                stats.artifacts.queued
            ),
            waited.as_secs(),
            self.until.timeout.as_secs(),
        ))
    }
}

/// When a wait is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    began: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self {
            began: Instant::now(),
            timeout,
        }
    }

    /// Its time is up.
    pub(crate) fn now() -> Self {
        Self::after(Duration::ZERO)
    }

    pub(crate) fn left(self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed())
    }
}
