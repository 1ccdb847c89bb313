//! Random calls in any order.

use super::super::clock::Clock;
use super::super::stats::Counts;
use super::*;
use crate::convert::IntoWandbImage;
use crate::sink::MediaKey;
use crate::tensor::HostTensor;

/// A run of random calls, in any order in which callers, workers and the writer can make
/// them.
struct Play {
    state: State,
    random: fastrand::Rng,
    clock: Clock,
    open: Option<QueuedRow>,
    jobs: Vec<Job>,
    /// The pictures of the row that the writer has in hand.
    in_hand: Option<u64>,
    /// The call whose pictures those are.
    called: Option<Call>,
    /// Calls that weren't answered, with the number of their pictures.
    calls: Vec<(Call, usize)>,
    /// Calls that got JSON, that failed, and whose pictures were dropped.
    answers: [u64; 3],
    steps: u64,
    /// Pictures that will be logged, of batches that were.
    again: [Image; 3],
}

impl Play {
    fn new(seed: u64, overflow: Overflow) -> Self {
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
            called: None,
            calls: Vec::new(),
            answers: [0; 3],
            steps: 0,
            again: [1_u8, 2, 3].map(|level| {
                let dot = HostTensor::new([1, 1], vec![level]).unwrap();
                dot.to_wandb_image().unwrap()
            }),
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
        let ids = self.accept(&Place {
            key: key.into(),
            step: self.steps,
            taker: Taker::Row,
        });
        let (step, logged) = (self.steps, self.clock.now());
        let row = self.open.get_or_insert_with(|| QueuedRow {
            step,
            logged,
            values: BTreeMap::new(),
        });
        let pictures = Queued::Pictures(Pictures {
            key: MediaKey::new(key).unwrap(),
            is_list: true,
            ids,
        });
        if let Some(old) = row.values.insert(key.into(), pictures) {
            self.state.replace(old.pictures());
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
        if failure.is_some() {
            self.state.told();
        }
    }

    fn begin_row(&mut self) {
        // A flush comes when it is due, whatever waits, and takes nothing.
        assert!(matches!(self.state.next_work(true), Some(Work::Flush)));
        let (called, row) = match self.state.next_work(false) {
            Some(Work::Entry(Entry::Row(row))) => (None, row),
            Some(Work::Entry(Entry::Media { call, row })) => (Some(call), row),
            _ => return,
        };
        // Whose list is dropped, in part even, has nothing written.
        let is_dropped = called.is_some_and(|call| !self.state.calls.contains_key(&call));
        assert!(!is_dropped || row.pictures() == 0);
        self.called = called;
        self.in_hand = Some(row.pictures() as u64);
    }

    fn end_row(&mut self) {
        let Some(pictures) = self.in_hand.take() else {
            return;
        };
        let refused = self.random.u64(..=pictures.min(1));
        let error = || Arc::new(Error::device("planned"));
        let failure = Failure {
            key: "a".into(),
            error: error(),
        };
        let outcome = Outcome {
            failure: (self.random.u8(..4) == 0).then(error),
            pictures_failed: vec![failure; refused as usize],
            pictures_written: pictures - refused,
            bytes_written: 1,
            ..Outcome::default()
        };
        match self.called.take() {
            None => self.state.row_done(pictures, 0, outcome),
            Some(call) => {
                let is_written = outcome.failure.is_none() && pictures > refused;
                let json = is_written.then_some(Json::U64(pictures));
                self.state.media_done(call, pictures, outcome, json)
            }
        };
    }

    fn turn(&mut self) {
        match self.random.u8(..14) {
            0 => self.media(),
            1 => self.answer(),
            2 | 3 => self.log(),
            4 | 5 => self.close(),
            6 | 7 => self.begin_job(),
            8 | 9 => self.end_job(),
            10 | 11 => self.begin_row(),
            _ => self.end_row(),
        }
    }

    fn check(&self) {
        let stats = self.state.stats();
        for counts in [stats.rows, stats.pictures] {
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
        assert_eq!(awaited, waiting + working);
        let unwanted = |picture: &&Picture| matches!(picture.making, Making::Unwanted);
        let unwanted = self.state.pictures.values().filter(unwanted).count();
        let kept = (self.state.pictures.len() - unwanted) as u64;
        assert_eq!(stats.pictures.queued, kept + self.in_hand.unwrap_or(0));
    }

    fn drain(&mut self) {
        self.close();
        while !self.state.is_idle() {
            self.begin_job();
            self.end_job();
            self.begin_row();
            self.end_row();
        }
        while !self.calls.is_empty() {
            self.answer();
        }
        assert!(self.state.calls.is_empty());
    }
}

fn check(overflow: Overflow) {
    let (mut seen, mut answers, mut has_rested) = ([0; 3], [0; 3], false);
    for seed in 0..60 {
        let mut play = Play::new(seed, overflow);
        for _ in 0..1200 {
            play.turn();
            play.check();
        }
        play.state.waited = Duration::from_secs(1);
        play.drain();
        play.check();
        let stats = play.state.stats();
        assert_eq!((stats.rows.queued, stats.pictures.queued), (0, 0));
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
    }
    assert!(has_rested && seen.iter().all(|&n| n > 1000), "{seen:?}");
    assert!(answers[0] > 100 && answers[1] > 100, "{answers:?}");
    let drops_taken = overflow == Overflow::DropOldest;
    assert_eq!(drops_taken, answers[2] > 0, "{answers:?}");
}

#[test]
fn nothing_is_lost_or_counted_twice_in_any_order() {
    check(Overflow::default());
    check(Overflow::DropOldest);
}

fn planned() -> Arc<Error> {
    Arc::new(Error::device("planned"))
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
        let result = if has_ended { Ok(1) } else { Err(planned()) };
        state.exit_done(result, false);
        assert!(matches!(state.next_work(true), Some(Work::End)));
    }
}

/// What the next `flush` returns after these flushes: those that nobody asked for, and at the end
/// that of `flush` itself, where it was done before the time was up.
fn check_flushes(by_itself: &[bool], own: Option<bool>, is_failure: bool) {
    let mut state = State::new(Limits::default());
    let result = |is_good: bool| if is_good { Ok(1) } else { Err(planned()) };
    for is_good in by_itself {
        state.flushed(result(*is_good));
    }
    let inquiry = state.inquire();
    if let Some(is_good) = own {
        state.give(Entry::Flush, 0);
        state.next_work(false);
        state.other_done(true, result(is_good));
    }
    let report = state.take_unconfirmed(inquiry);
    assert_eq!(report.result().is_err(), is_failure);
    assert!(state.totals().result().is_ok(), "the end flushes again");
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
    assert!(state.flushed(Err(planned())).is_some());
    assert!(state.flushed(Err(planned())).is_none());
    assert!(state.flushed(Ok(5)).is_none());
    assert_eq!(state.stats().bytes_written, 5);
}

/// Calls that begin to ask and that are told, in this order, with a failure before, in between and
/// after. Of each, whether it is told of one.
#[test]
fn a_failure_is_told_to_every_call_that_covers_it_and_to_no_later_one() {
    let mut state = State::new(Limits::default());
    let is_told = |state: &mut State, inquiry| {
        let report = state.take_unreported(inquiry);
        state.end_inquiry(inquiry);
        report.result().is_err()
    };
    state.fail(&planned());
    let (first, second) = (state.inquire(), state.inquire());
    assert!(is_told(&mut state, second));
    assert!(is_told(&mut state, first));
    let (first, second) = (state.inquire(), state.inquire());
    assert!(!is_told(&mut state, second));
    state.fail(&planned());
    let third = state.inquire();
    assert!(is_told(&mut state, first));
    assert!(is_told(&mut state, third));
    let fourth = state.inquire();
    assert!(!is_told(&mut state, fourth));
    assert!(state.inquiries.is_empty());
    assert!(state.totals().result().is_err());
}
