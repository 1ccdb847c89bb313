//! [`Keep`]: which of the samples that are offered stay, and those that do.

use std::cmp::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::image::Image;

/// Which of the samples that [`SampleLogger::offer`](crate::SampleLogger::offer) is shown in an
/// epoch are kept. The default is `Highest(16)`.
///
/// NaN counts as higher than every number: a loss that is NaN is what people look for. Of equal
/// scores, the earlier stays. A number of 0 keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// So many of the highest scores, highest first: the worst by their loss, or the best by their
    /// accuracy.
    #[doc(alias = "Worst")]
    Highest(usize),
    /// So many of the lowest scores, lowest first: the best by their loss, or the worst by their
    /// accuracy.
    #[doc(alias = "Best")]
    Lowest(usize),
    /// So many of all, each with the same chance, in the order in which they came. The score is
    /// only shown.
    Reservoir {
        /// How many, at most.
        samples: usize,
        /// Chooses them: in one thread, the same offers give the same choice.
        seed: u64,
    },
}

impl Default for Keep {
    fn default() -> Self {
        Keep::Highest(16)
    }
}

impl Keep {
    fn limit(self) -> usize {
        match self {
            Keep::Highest(samples) | Keep::Lowest(samples) | Keep::Reservoir { samples, .. } => {
                samples
            }
        }
    }

    fn seed(self) -> u64 {
        match self {
            Keep::Reservoir { seed, .. } => seed,
            Keep::Highest(_) | Keep::Lowest(_) => 0,
        }
    }
}

/// The samples kept of an epoch.
#[derive(Debug)]
pub(super) struct Kept {
    keep: Keep,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// Offers of the run so far.
    offers: u64,
    epoch: Epoch,
}

/// What a moment between two ends of epochs has seen.
#[derive(Debug, Default)]
struct Epoch {
    /// The number of the first offer.
    first: u64,
    last_step: Option<u64>,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    place: Place,
    pictures: Vec<Image>,
}

/// A sample that may be kept, once it is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of the offer.
    offer: u64,
    score: f64,
    /// Of a reservoir: the place in it.
    slot: usize,
}

/// What is logged at the end of an epoch.
#[derive(Debug)]
pub(super) struct Harvest {
    /// The last step at which a sample was offered.
    pub(super) step: u64,
    pub(super) pictures: Vec<Image>,
}

impl Kept {
    pub(super) fn new(keep: Keep) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(keep.seed()),
            offers: 0,
            epoch: Epoch::default(),
        };
        Self {
            keep,
            state: Mutex::new(state),
        }
    }

    /// A place for a sample of this score, where it would be kept now.
    pub(super) fn place(&self, step: u64, score: f64) -> Option<Place> {
        let mut state = self.state();
        let offer = state.offers;
        state.offers += 1;
        state.epoch.last_step = state.epoch.last_step.max(Some(step));
        let slot = match self.keep {
            Keep::Highest(_) | Keep::Lowest(_) => 0,
            Keep::Reservoir { samples, .. } => state.draw(offer, samples),
        };
        let place = Place { offer, score, slot };
        self.room(&state.epoch, place).map(|_| place)
    }

    /// Keeps the sample, unless others have taken its place since, or the epoch has ended.
    pub(super) fn put(&self, place: Place, pictures: Vec<Image>) -> bool {
        let mut state = self.state();
        let epoch = &mut state.epoch;
        let Some(room) = self.room(epoch, place) else {
            return false;
        };
        let held = Held { place, pictures };
        let replaced = match room {
            Room::Free => {
                epoch.held.push(held);
                None
            }
            Room::Instead(index) => Some(std::mem::replace(&mut epoch.held[index], held)),
        };
        // Tensors of the user's own are dropped where nobody waits for that.
        drop(state);
        drop(replaced);
        true
    }

    fn room(&self, epoch: &Epoch, place: Place) -> Option<Room> {
        let limit = self.keep.limit();
        if place.offer < epoch.first || limit == 0 {
            return None;
        }
        if let Keep::Reservoir { .. } = self.keep {
            return room_in_reservoir(epoch, place, limit);
        }
        if epoch.held.len() < limit {
            return Some(Room::Free);
        }
        let order = |a: &Place, b: &Place| self.order(a, b);
        let last = (0..epoch.held.len())
            .max_by(|&a, &b| order(&epoch.held[a].place, &epoch.held[b].place))?;
        let earns = order(&place, &epoch.held[last].place) == Ordering::Less;
        earns.then_some(Room::Instead(last))
    }

    /// The order in the row. What comes last is the first to go.
    fn order(&self, a: &Place, b: &Place) -> Ordering {
        let by_score = match self.keep {
            Keep::Highest(_) => nan_highest(b.score, a.score),
            Keep::Lowest(_) => nan_highest(a.score, b.score),
            Keep::Reservoir { .. } => Ordering::Equal,
        };
        by_score.then(a.offer.cmp(&b.offer))
    }

    /// Begins the next epoch, and gives what was kept of this one, if anything was.
    pub(super) fn end_epoch(&self) -> Option<Harvest> {
        let mut held = {
            let mut state = self.state();
            let next = Epoch {
                first: state.offers,
                ..Epoch::default()
            };
            std::mem::replace(&mut state.epoch, next)
        };
        held.held.sort_by(|a, b| self.order(&a.place, &b.place));
        let pictures: Vec<Image> = held.held.into_iter().flat_map(|h| h.pictures).collect();
        let step = held.last_step?;
        (!pictures.is_empty()).then_some(Harvest { step, pictures })
    }

    /// Nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Algorithm R: the first offers of an epoch fill the reservoir; after that, the n-th takes a
    /// place among n, and stays where that is in it.
    fn draw(&mut self, offer: u64, samples: usize) -> usize {
        let before = offer - self.epoch.first;
        let slot = match usize::try_from(before) {
            Ok(before) if before < samples => return before,
            _ => self.random.u64(..=before),
        };
        usize::try_from(slot).unwrap_or(usize::MAX)
    }
}

enum Room {
    Free,
    /// Of the sample at this index.
    Instead(usize),
}

fn room_in_reservoir(epoch: &Epoch, place: Place, limit: usize) -> Option<Room> {
    if place.slot >= limit {
        return None;
    }
    let taken = |held: &Held| held.place.slot == place.slot;
    match epoch.held.iter().position(taken) {
        None => Some(Room::Free),
        Some(index) if epoch.held[index].place.offer < place.offer => Some(Room::Instead(index)),
        Some(_) => None,
    }
}

fn nan_highest(a: f64, b: f64) -> Ordering {
    let by_nan = a.is_nan().cmp(&b.is_nan());
    by_nan.then(a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}
