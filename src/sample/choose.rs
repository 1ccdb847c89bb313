//! [`Choose`]: which images of a batch.

/// Which images of a batch are logged, where it holds more than are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choose {
    /// The first ones. The default.
    #[default]
    First,
    /// Evenly spaced, the first and the last among them.
    Even,
    /// A random choice made of this seed: the same one throughout a run, and in the next run, for
    /// batches of the same size. In the order of the batch.
    Seeded(u64),
}

impl Choose {
    /// At most `limit` of the indices below `images`, ascending.
    pub(super) fn indices(self, images: usize, limit: usize) -> Vec<usize> {
        let wanted = limit.min(images);
        match self {
            _ if wanted == images => (0..images).collect(),
            Choose::First => (0..wanted).collect(),
            Choose::Even => (0..wanted).map(|i| even(i, wanted, images)).collect(),
            Choose::Seeded(seed) => seeded(seed, wanted, images),
        }
    }
}

fn even(i: usize, wanted: usize, images: usize) -> usize {
    let spaces = (wanted as u128 - 1).max(1);
    (i as u128 * (images as u128 - 1) / spaces) as usize
}

/// Floyd's method: as many draws as are wanted, whatever the size of the batch.
fn seeded(seed: u64, wanted: usize, images: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chosen = std::collections::BTreeSet::new();
    for last in images - wanted..images {
        let drawn = random.usize(..=last);
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(choose: Choose, images: usize, limit: usize, expected: &[usize]) {
        assert_eq!(choose.indices(images, limit), expected, "{choose:?}");
    }

    #[test]
    fn images_are_chosen() {
        for choose in [Choose::First, Choose::Even, Choose::Seeded(7)] {
            check(choose, 3, 3, &[0, 1, 2]);
            check(choose, 3, usize::MAX, &[0, 1, 2]);
            check(choose, 0, 4, &[]);
            check(choose, 4, 0, &[]);
        }
        check(Choose::First, 10, 4, &[0, 1, 2, 3]);
        check(Choose::Even, 10, 4, &[0, 3, 6, 9]);
        check(Choose::Even, 10, 3, &[0, 4, 9]);
        check(Choose::Even, 10, 1, &[0]);
        check(Choose::Even, 10, 9, &[0, 1, 2, 3, 4, 5, 6, 7, 9]);
    }

    #[test]
    fn a_seeded_choice_stays_the_same_and_differs_by_seed() {
        let choice = |seed| Choose::Seeded(seed).indices(1000, 16);
        assert_eq!(choice(7), choice(7));
        assert_ne!(choice(7), choice(8));
        assert!(choice(7).is_sorted_by(|a, b| a < b) && choice(7).len() == 16);
    }

    #[test]
    fn a_seeded_choice_is_fair() {
        let mut counts = [0_u32; 10];
        for seed in 0..10_000 {
            Choose::Seeded(seed)
                .indices(10, 3)
                .into_iter()
                .for_each(|i| counts[i] += 1);
        }
        // 3,000 expected for each; the standard deviation is 46.
        assert!(
            counts.iter().all(|n| (2800..3200).contains(n)),
            "{counts:?}"
        );
    }
}
