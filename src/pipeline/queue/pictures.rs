//! Pictures on their way, from the call that logs them to the row that takes them.

use std::sync::Arc;
use std::time::Duration;

use super::{Call, Failure, Progress, State, Waiter};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::memory::{Held, Load};
use crate::pipeline::row::{PictureId, Pictures, Prepared, PreparedImage};

/// Where a picture belongs.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Place {
    pub(in crate::pipeline) key: Arc<str>,
    pub(in crate::pipeline) step: u64,
    pub(in crate::pipeline) taker: Taker,
}

/// What takes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Taker {
    /// The row of their step.
    Row,
    /// A call that waits for their JSON.
    Call,
}

/// A picture on its way.
#[derive(Debug)]
pub(in crate::pipeline) struct Picture {
    pub(in crate::pipeline) place: Place,
    /// The first picture of the same value.
    value: PictureId,
    /// How many pictures the value has.
    siblings: usize,
    /// Memory of its own: its pixels, later its file.
    pub(super) bytes: u64,
    /// Memory that others may hold too, until it is made.
    pub(super) held: Vec<Held>,
    pub(super) making: Making,
}

#[derive(Debug)]
pub(super) enum Making {
    Waiting(Box<Image>),
    Working,
    /// Being made, though nothing takes it any more: it was replaced, or dropped with its list.
    Unwanted,
    Made(Box<PreparedImage>),
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

/// Work for a worker.
#[derive(Debug)]
pub(in crate::pipeline) struct Job {
    pub(in crate::pipeline) id: PictureId,
    pub(in crate::pipeline) image: Box<Image>,
}

impl State {
    /// Takes the pictures of one value, to be made.
    pub(in crate::pipeline) fn accept(
        &mut self,
        place: &Place,
        images: Vec<Image>,
    ) -> Vec<PictureId> {
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
    pub(in crate::pipeline) fn refuse(&mut self, pictures: u64) -> bool {
        self.stats.pictures.accept(pictures);
        self.count_dropped(pictures)
    }

    fn count_dropped(&mut self, pictures: u64) -> bool {
        let is_first = self.stats.pictures.dropped == 0;
        self.stats.pictures.drop(pictures);
        self.reports.note(|report| report.drop_pictures(pictures));
        is_first && pictures > 0
    }

    /// Drops pictures, the oldest first, until there is room for more: returns them, and whether
    /// they were the first ones. With one of a call go the others of its list, since
    /// nothing would name their files.
    pub(in crate::pipeline) fn make_room(&mut self, load: &Load) -> (Vec<Picture>, bool) {
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
    pub(in crate::pipeline) fn drop_all(&mut self, ids: &[PictureId]) -> (Vec<Picture>, bool) {
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
    pub(in crate::pipeline) fn replace(&mut self, ids: &[PictureId]) -> Vec<Picture> {
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

    /// Takes a picture out that no thread has in hand.
    pub(super) fn remove(&mut self, id: PictureId) -> Option<Picture> {
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

    pub(in crate::pipeline) fn next_job(&mut self) -> Option<Job> {
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
    pub(in crate::pipeline) fn made(
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

    /// Counts a picture as failed. Whether it is the first under its key.
    pub(super) fn fail_picture(&mut self, failure: &Failure) -> bool {
        self.stats.pictures.fail(1);
        self.reports
            .note(|report| report.fail_picture(&failure.error));
        self.reports.is_first(&failure.key)
    }

    pub(super) fn collect_pictures(&mut self, pictures: Pictures) -> Option<Prepared> {
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
}
