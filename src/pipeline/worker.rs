//! The threads: workers that make pictures, and the one that writes.

use std::sync::Arc;
use std::time::Duration;

use super::queue::{Call, Done, Entry, Errand, Job, Outcome, Work};
use super::row::{PreparedImage, PreparedRow};
use super::sync::{self, Instant};
use super::writer::Writer;
use super::{Deadline, Shared};
pub(super) use crate::background::is_here as is_ours;
use crate::background::{begin, guarded};
use crate::error::{Error, Result};
use crate::image::Image;

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
        begin();
        work(&shared);
        // What ends this thread ends the others, which may sleep.
        shared.notify();
    };
    sync::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(drop)
        .map_err(|source| Error::Thread {
            purpose: "for the run",
            source,
            advice: "choose fewer workers",
        })
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

/// The longest that something written waits for its flush, where nothing else takes long.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

fn write(shared: &Shared, mut writer: Writer) {
    let mut flush_at = None;
    loop {
        match shared.wait_for_work(flush_at) {
            Work::Entry(entry) => write_entry(shared, &mut writer, entry),
            Work::Artifact(artifact) => {
                let sayings = writer.begin_artifact(*artifact);
                sayings.iter().for_each(|text| shared.voice.warn(text));
                take_files(shared, &mut writer);
            }
            Work::Files => take_files(shared, &mut writer),
            Work::Flush => {
                flush(shared, &mut writer);
                flush_at = None;
            }
            Work::Errands(errands) => errands.into_iter().for_each(run),
            Work::End => return,
        }
        flush_at = writer
            .has_unflushed()
            .then(|| flush_at.unwrap_or_else(|| Deadline::after(FLUSH_AFTER)));
    }
}

fn run(errand: Errand) {
    // Where it panics, there is nobody to be told.
    let _ = guarded("something was cleared up", || {
        errand.run();
        Ok(())
    });
}

fn write_entry(shared: &Shared, writer: &mut Writer, entry: Entry<PreparedRow>) {
    match entry {
        Entry::Row(row) => write_row(shared, writer, &row),
        Entry::Media { call, row } => write_media(shared, writer, call, &row),
        Entry::Summary { key, value } => other(shared, writer, false, |writer| {
            writer.set_summary(&key, &value);
            Ok(())
        }),
        Entry::Config { key, value } => other(shared, writer, false, |writer| {
            writer.set_config(&key, &value)
        }),
        Entry::Flush => other(shared, writer, true, Writer::flush),
        Entry::Exit(code) => exit(shared, writer, code),
    }
}

/// A flush that is no entry.
fn flush(shared: &Shared, writer: &mut Writer) {
    let done = done(writer, "the run was flushed", Writer::flush);
    shared.flushed(done);
}

fn write_row(shared: &Shared, writer: &mut Writer, row: &PreparedRow) {
    let (bytes_written, written) =
        counted(writer, "a row was written", |writer| Ok(writer.row(row)));
    let (outcome, sayings) =
        written.unwrap_or_else(|error| (Outcome::of_row(row, error), Vec::new()));
    let outcome = Outcome {
        bytes_written,
        ..outcome
    };
    shared.row_done(row.pictures() as u64, row.tables(), outcome);
    sayings.iter().for_each(|text| shared.voice.warn(text));
}

fn write_media(shared: &Shared, writer: &mut Writer, call: Call, row: &PreparedRow) {
    let (bytes_written, written) = counted(writer, "a picture was written", |writer| {
        Ok(writer.media(row))
    });
    let (outcome, sayings, json) =
        written.unwrap_or_else(|error| (Outcome::of_call(row, error), Vec::new(), None));
    let outcome = Outcome {
        bytes_written,
        ..outcome
    };
    shared.media_done(call, row.pictures() as u64, outcome, json);
    sayings.iter().for_each(|text| shared.voice.warn(text));
}

fn take_files(shared: &Shared, writer: &mut Writer) {
    let mut is_written = true;
    let done = done(writer, "an artifact was written", |writer| {
        is_written = writer.take_files()?;
        Ok(())
    });
    match is_written {
        true => shared.artifact_done(done),
        false => shared.artifact_goes_on(done.bytes_written),
    }
}

fn other(
    shared: &Shared,
    writer: &mut Writer,
    is_flush: bool,
    work: impl FnOnce(&mut Writer) -> Result<()>,
) {
    let done = done(writer, "a record was written", work);
    shared.other_done(is_flush, done);
}

fn exit(shared: &Shared, writer: &mut Writer, code: i32) {
    let done = done(writer, "the end was written", |writer| writer.exit(code));
    if done.result.is_ok() {
        writer
            .totals()
            .iter()
            .for_each(|text| shared.voice.warn(text));
    }
    shared.exit_done(done, writer.has_exit());
}

fn done(
    writer: &mut Writer,
    when: &'static str,
    work: impl FnOnce(&mut Writer) -> Result<()>,
) -> Done {
    let (bytes_written, result) = counted(writer, when, work);
    Done {
        bytes_written,
        result: result.map_err(Arc::new),
    }
}

/// The bytes that it wrote, also where it has failed, and what came of it.
fn counted<T>(
    writer: &mut Writer,
    when: &'static str,
    work: impl FnOnce(&mut Writer) -> Result<T>,
) -> (u64, Result<T>) {
    let before = writer.bytes_written();
    let result = guarded(when, || work(writer));
    (writer.bytes_written() - before, result)
}
