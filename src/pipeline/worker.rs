//! The threads: workers that make pictures, and the one that writes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::background::step_back;
use super::queue::{Call, Entry, Job, Outcome};
use super::row::{PreparedImage, PreparedRow};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::image::Image;

thread_local! {
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread belongs to a pipeline, and must not wait for one.
pub(super) fn is_ours() -> bool {
    IS_OURS.get()
}

/// When a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Whenever there is a picture to make.
    Regular,
    /// While a caller waits, whose processor is free meanwhile.
    Spare,
}

/// Starts all threads, or none that stays.
pub(super) fn spawn(shared: &Arc<Shared>, workers: usize, writer: Writer) -> Result<()> {
    let roles = std::iter::repeat_n(Role::Regular, workers).chain([Role::Spare]);
    let spawned = roles
        .map(|role| move |shared: &Shared| make_pictures(shared, role))
        .try_for_each(|work| spawn_one(shared, "wandb-image-worker", work))
        .and_then(|()| spawn_one(shared, "wandb-image-writer", |shared| write(shared, writer)));
    spawned.inspect_err(|_| shared.abandon())
}

fn spawn_one(
    shared: &Arc<Shared>,
    name: &str,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> Result<()> {
    let shared = Arc::clone(shared);
    let run = move || {
        IS_OURS.set(true);
        step_back();
        work(&shared);
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(drop)
        .map_err(|source| Error::Thread { source })
}

fn make_pictures(shared: &Shared, role: Role) {
    while let Some(Job { id, image }) = shared.wait_for_job(role) {
        let (result, took) = timed(|| make(image));
        shared.made(id, result, took);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

/// A tensor of the user's own may panic when it is read, and when it is dropped.
fn make(image: Box<Image>) -> Result<PreparedImage> {
    guarded("a picture was made", move || PreparedImage::make(&image))
}

fn guarded<T>(when: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::panicked(when, &*panic)))
}

fn write(shared: &Shared, mut writer: Writer) {
    while let Some(entry) = shared.wait_for_entry() {
        match entry {
            Entry::Row(row) => write_row(shared, &mut writer, &row),
            Entry::Media { call, row } => write_media(shared, &mut writer, call, &row),
            Entry::Summary { key, value } => other(shared, &mut writer, false, |writer| {
                writer.set_summary(&key, &value);
                Ok(())
            }),
            Entry::Config { key, value } => other(shared, &mut writer, false, |writer| {
                writer.set_config(&key, &value)
            }),
            Entry::Flush => other(shared, &mut writer, true, Writer::flush),
            Entry::Exit(code) => exit(shared, &mut writer, code),
        }
    }
}

fn write_row(shared: &Shared, writer: &mut Writer, row: &PreparedRow) {
    let written = guarded("a row was written", || Ok(writer.row(row)));
    let (outcome, sayings) =
        written.unwrap_or_else(|error| (Outcome::of_row(row, error), Vec::new()));
    shared.row_done(row.pictures() as u64, outcome);
    sayings.iter().for_each(|text| shared.voice.warn(text));
}

fn write_media(shared: &Shared, writer: &mut Writer, call: Call, row: &PreparedRow) {
    let written = guarded("a picture was written", || Ok(writer.media(row)));
    let (outcome, sayings, json) =
        written.unwrap_or_else(|error| (Outcome::of_call(row, error), Vec::new(), None));
    shared.media_done(call, row.pictures() as u64, outcome, json);
    sayings.iter().for_each(|text| shared.voice.warn(text));
}

fn other(
    shared: &Shared,
    writer: &mut Writer,
    is_flush: bool,
    work: impl FnOnce(&mut Writer) -> Result<()>,
) {
    let before = writer.bytes_written();
    let result = guarded("a record was written", || work(writer));
    let result = result.map(|()| writer.bytes_written() - before);
    shared.other_done(is_flush, result.map_err(Arc::new));
}

fn exit(shared: &Shared, writer: &mut Writer, code: i32) {
    let before = writer.bytes_written();
    let result = guarded("the end was written", || writer.exit(code));
    if result.is_ok() {
        writer
            .totals()
            .iter()
            .for_each(|text| shared.voice.warn(text));
    }
    let result = result.map(|()| writer.bytes_written() - before);
    shared.exit_done(result.map_err(Arc::new));
}
