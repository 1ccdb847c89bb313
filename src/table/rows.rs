//! The rows of a table on their way: made in any order, written in theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Lost;
use super::cell::{Cell, Kind};
use crate::artifact::workshop::Room;
use crate::artifact::{Digest, Entry, Files, Source, place};
use crate::background::guarded;
use crate::error::Result;
use crate::image::Seen;
use crate::image::json::table::{self as json, ImageType, ValueType};
use crate::sink::{Begun, Md5Hasher, Sha256Hasher, Staging};

/// The most rows of the file in the run, as in the Python SDK.
const MAX_RUN_ROWS: u64 = 10_000;
/// Rows are written together from so many bytes on.
const WRITTEN_FROM: usize = 1 << 16;
/// What the file of the run is called until it is taken.
const RUN_FILE: &str = "run.table.json";

/// What was made of the rows so far.
#[derive(Debug)]
pub(super) struct Rows(Mutex<Spool>);

#[derive(Debug)]
struct Spool {
    /// The row that is written next.
    next: u64,
    /// Rows that are made before others above them, with the room that they take.
    waiting: BTreeMap<u64, (MadeRow, Room)>,
    /// A row couldn't be written.
    is_lost: bool,
    in_artifact: Text,
    in_run: Text,
    /// Of the columns that hold images.
    types: Vec<ImageType>,
    lost: Lost,
    seen: Seen,
}

/// A text that is written to a temporary file as it grows.
#[derive(Debug, Default)]
struct Text {
    end: String,
    file: Option<Begun>,
}

/// A row as it is written.
#[derive(Debug, Default)]
struct MadeRow {
    in_artifact: String,
    in_run: String,
    images: Vec<(usize, ImageType)>,
    lost: Lost,
    seen: Seen,
}

/// The file of a table in the run, staged.
#[derive(Debug)]
pub(crate) struct RunFile {
    pub(crate) staging: Arc<Staging>,
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

impl Rows {
    pub(super) fn new(columns: usize) -> Self {
        Self(Mutex::new(Spool {
            next: 0,
            waiting: BTreeMap::new(),
            is_lost: false,
            in_artifact: Text::default(),
            in_run: Text::default(),
            types: vec![ImageType::default(); columns],
            lost: Lost::default(),
            seen: Seen::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a row, and writes it when it is its turn.
    pub(super) fn take(&self, row: u64, cells: Vec<Cell>, files: &Files, room: Room) -> Result<()> {
        self.take_made(row, room, files, || MadeRow::new(cells, files))
    }

    fn take_made(
        &self,
        row: u64,
        room: Room,
        files: &Files,
        make: impl FnOnce() -> Result<MadeRow>,
    ) -> Result<()> {
        let made = guarded("a row of a table was made", make);
        let mut spool = self.lock();
        let taken = made.and_then(|made| spool.put(row, (made, room), files));
        if taken.is_err() {
            // Nothing waits for a row that doesn't come, nor takes the room of other tables.
            spool.is_lost = true;
            spool.waiting.clear();
        }
        taken
    }

    pub(super) fn lost(&self) -> Lost {
        self.lock().lost.clone()
    }

    pub(super) fn seen(&self) -> Seen {
        std::mem::take(&mut self.lock().seen)
    }

    /// Writes the table's file in its artifact.
    pub(super) fn assemble(
        &self,
        files: &Files,
        name: &str,
        columns: &[String],
        types: &[Option<ValueType>],
        rows: u64,
    ) -> Result<()> {
        let mut spool = self.lock();
        let types = types.iter().zip(&spool.types);
        let types: Vec<_> = types
            .map(|(of_values, of_images)| match of_values {
                Some(ValueType::Image(_)) => Some(ValueType::Image(of_images.clone())),
                other => other.clone(),
            })
            .collect();
        let (before, after) = json::file_around(columns, &types, rows);
        let staging = files.staging()?;
        let mut hasher = Md5Hasher::default();
        let (begun, size) = spool
            .in_artifact
            .join(&staging, [&before, &after], &mut |piece| {
                hasher.update(piece);
            })?;
        let digest = hasher.finish();
        let staged = digest.hex();
        staging.finish(begun, &staged)?;
        files.put(
            name,
            Entry {
                digest: Digest::Md5(digest),
                size,
                source: Source::Staged(staging, staged),
            },
        )
    }

    /// Writes the table's file in the run.
    pub(super) fn run_file(&self, files: &Files, columns: &[String]) -> Result<RunFile> {
        let mut spool = self.lock();
        let (before, after) = json::run_file_around(columns);
        let staging = files.staging()?;
        let mut hasher = Sha256Hasher::default();
        let (begun, size) = spool
            .in_run
            .join(&staging, [&before, &after], &mut |piece| {
                hasher.update(piece);
            })?;
        staging.finish(begun, RUN_FILE)?;
        Ok(RunFile {
            staging,
            name: RUN_FILE.into(),
            sha256: hasher.finish(),
            size,
        })
    }
}

impl Spool {
    fn put(&mut self, row: u64, made: (MadeRow, Room), files: &Files) -> Result<()> {
        if self.is_lost {
            return Ok(());
        }
        self.waiting.insert(row, made);
        self.write_ready(files)
    }

    fn write_ready(&mut self, files: &Files) -> Result<()> {
        while let Some((row, room)) = self.waiting.remove(&self.next) {
            let is_first = self.next == 0;
            let separator = |text| if is_first { "" } else { text };
            self.in_artifact
                .push([separator(", "), &row.in_artifact], files)?;
            if self.next < MAX_RUN_ROWS {
                self.in_run.push([separator(","), &row.in_run], files)?;
            }
            for (column, of_image) in row.images {
                self.types[column].add(of_image);
            }
            self.lost.add(row.lost);
            self.seen.add(&row.seen);
            self.next += 1;
            drop(room);
        }
        Ok(())
    }
}

impl Text {
    fn push(&mut self, texts: [&str; 2], files: &Files) -> Result<()> {
        texts.iter().for_each(|text| self.end.push_str(text));
        match self.end.len() {
            ..WRITTEN_FROM => Ok(()),
            _ => {
                let staging = files.staging()?;
                self.write(&staging)
            }
        }
    }

    fn write(&mut self, staging: &Staging) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(staging.begin()?),
        };
        file.write(self.end.as_bytes())?;
        self.end.clear();
        Ok(())
    }

    /// A file of all of it, with something before and after, and its length.
    fn join(
        &mut self,
        staging: &Staging,
        [before, after]: [&str; 2],
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<(Begun, u64)> {
        let mut all = staging.begin()?;
        let mut len = 0;
        let mut put = |piece: &[u8]| {
            seen(piece);
            len += piece.len() as u64;
            all.write(piece)
        };
        put(before.as_bytes())?;
        if let Some(file) = &mut self.file {
            file.read(&mut put)?;
        }
        put(self.end.as_bytes())?;
        put(after.as_bytes())?;
        Ok((all, len))
    }
}

impl MadeRow {
    fn new(cells: Vec<Cell>, files: &Files) -> Result<Self> {
        let mut row = Self::default();
        row.push(["[", "["]);
        for (column, cell) in cells.into_iter().enumerate() {
            if column > 0 {
                row.push([", ", ","]);
            }
            match cell.0 {
                Kind::Json(value) => {
                    let in_run = value.to_text();
                    row.push([&value.without_nan().to_python_text(), &in_run]);
                }
                Kind::Image(image) => {
                    let made = guarded("a picture was made", move || image.in_artifact());
                    row.push_image(column, made, files)?;
                }
            }
        }
        row.push(["]", "]"]);
        Ok(row)
    }

    fn push(&mut self, [in_artifact, in_run]: [&str; 2]) {
        self.in_artifact.push_str(in_artifact);
        self.in_run.push_str(in_run);
    }

    /// One that couldn't be made is left out.
    fn push_image(
        &mut self,
        column: usize,
        made: Result<crate::image::artifact::ArtifactImage>,
        files: &Files,
    ) -> Result<()> {
        match made {
            Ok(image) => {
                let json = place(files, &image)?;
                self.images.push((column, ImageType::of(&image)));
                self.seen.add(&Seen::of(&image.noticed, &image.format));
                self.push([&json.to_python_text(), &format!("\"{}\"", json::PICTURE)]);
            }
            Err(error) => {
                self.lost.add(Lost {
                    pictures: 1,
                    first: Some(Arc::new(error)),
                });
                self.push(["null", "null"]);
            }
        }
        Ok(())
    }
}

impl Lost {
    fn add(&mut self, later: Self) {
        self.pictures += later.pictures;
        self.first = self.first.take().or(later.first);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::artifact::workshop::Workshop;
    use crate::background;
    use crate::image::{Image, MEDIA_SUBDIR};
    use crate::memory::Load;
    use crate::sink::sha256;

    /// The table may be kept for long, and others wait for room meanwhile.
    fn check_lost(
        take_first: impl FnOnce(&Rows, Room, &Files) -> Result<()> + Send + 'static,
        expected: &str,
    ) {
        let load = || {
            let mut load = Load::default();
            load.add_bytes(5);
            load
        };
        let workshop = Workshop::new(10, 1);
        let group = workshop.group();
        let (rows, files) = (Arc::new(Rows::new(1)), Arc::new(Files::default()));
        let (of_second, of_first) = (Arc::clone(&rows), Arc::clone(&rows));
        let files_too = Arc::clone(&files);
        let second = move |room| of_second.take(1, vec![Cell::from(1)], &files_too, room);
        group.give(load(), second).unwrap();
        let first = move |room| take_first(&of_first, room, &files);
        group.give(load(), first).unwrap();
        let (sender, end) = mpsc::channel();
        let send = move |result: Result<()>| sender.send(result).unwrap();
        assert!(group.finish(|| Ok(()), send).is_none());
        let error = end.recv().unwrap().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let other = workshop.group();
        // This thread doesn't wait.
        let given = thread::spawn(move || {
            background::begin();
            (0..2).try_for_each(|_| other.give(load(), |_| Ok(())))
        });
        given.join().unwrap().unwrap();
        assert_eq!(rows.lock().waiting.len(), 0);
    }

    #[test]
    fn rows_behind_one_that_cannot_be_written_give_their_room_back() {
        let uri = "s3://bucket/x.png";
        let taken = format!("{MEDIA_SUBDIR}/{}/x.png", &sha256(uri.as_bytes())[..20]);
        let refused = move |rows: &Rows, room, files: &Files| {
            files.refer(&taken, "s3://bucket/other.png")?;
            let image = Image::from_reference(uri)?;
            rows.take(0, vec![image.into()], files, room)
        };
        check_lost(refused, "already");
        let panics =
            |rows: &Rows, room, files: &Files| rows.take_made(0, room, files, || panic!("oh no"));
        check_lost(panics, "oh no");
    }
}
