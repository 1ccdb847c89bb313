//! Memory of tensors that are pictures by now, for those that come next.
//!
//! A copy into fresh memory costs about twice a copy into memory that was used before, since the
//! system hands it out page by page; and the copy of a tensor is what `log` costs its caller.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Element, Elements};

/// The most memory that is kept, in bytes.
const MOST: usize = 32 << 20;

/// Smaller tensors come from the allocator's own stock.
const LEAST: usize = 64 << 10;

static POOL: Mutex<Pool> = Mutex::new(Pool {
    kept: VecDeque::new(),
    bytes: 0,
});

#[derive(Debug, Default)]
struct Pool {
    /// The latest first.
    kept: VecDeque<Elements>,
    bytes: usize,
}

/// These values, in memory that may have been used before.
pub(crate) fn copied<T: Element>(values: &[T]) -> Vec<T> {
    let mut copy = lock().take(values.len()).unwrap_or_default();
    copy.clear();
    copy.extend_from_slice(values);
    copy
}

/// This many values, whatever they are.
#[allow(dead_code, reason = "only some integrations need it")]
pub(crate) fn of_len<T: Element>(len: usize, value: T) -> Vec<T> {
    let mut values = lock().take(len).unwrap_or_default();
    values.resize(len, value);
    values
}

/// Keeps the memory for the tensors that come next.
pub(crate) fn give_back(elements: Elements) {
    let surplus = lock().keep(elements);
    drop(surplus);
}

/// Gives the memory to the system.
pub(crate) fn clear() {
    let pool = std::mem::take(&mut *lock());
    drop(pool);
}

fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Memory for this many values, which isn't much larger.
    fn take<T: Element>(&mut self, len: usize) -> Option<Vec<T>> {
        if len * size_of::<T>() < LEAST {
            return None;
        }
        let fits = |elements: &Elements| {
            let capacity = T::of_elements(elements).map_or(0, Vec::capacity);
            (len..=len.saturating_add(len / 8)).contains(&capacity)
        };
        let place = self.kept.iter().position(fits)?;
        let elements = self.kept.remove(place)?;
        self.bytes -= capacity(&elements);
        T::from_elements(elements)
    }

    /// Returns what there is too much of.
    fn keep(&mut self, elements: Elements) -> Vec<Elements> {
        let bytes = capacity(&elements);
        if !(LEAST..=MOST).contains(&bytes) {
            return vec![elements];
        }
        self.bytes += bytes;
        self.kept.push_front(elements);
        let mut surplus = Vec::new();
        while self.bytes > MOST {
            let Some(oldest) = self.kept.pop_back() else {
                break;
            };
            self.bytes -= capacity(&oldest);
            surplus.push(oldest);
        }
        surplus
    }
}

/// In bytes.
fn capacity(elements: &Elements) -> usize {
    super::each_dtype!(elements, v => v.capacity()) * elements.dtype().size()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 100_000;

    fn give(pool: &mut Pool, len: usize) -> usize {
        pool.keep(Elements::F32(vec![1.0; len])).len()
    }

    #[test]
    fn memory_is_used_again_where_it_fits() {
        let mut pool = Pool::default();
        assert_eq!(give(&mut pool, LEN), 0);
        assert!(pool.take::<f64>(LEN).is_none(), "another dtype");
        assert!(pool.take::<f32>(LEN + 1).is_none(), "too small");
        assert!(pool.take::<f32>(LEN - LEN / 8).is_none(), "too large");
        assert_eq!(pool.take::<f32>(LEN - 1).map(|v| v.len()), Some(LEN));
        assert!(pool.take::<f32>(LEN).is_none(), "taken");
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn little_is_not_kept_and_much_neither() {
        let mut pool = Pool::default();
        assert_eq!(give(&mut pool, 100), 1);
        assert_eq!(give(&mut pool, MOST / 4 + 1), 1);
        let given: usize = (0..100).map(|_| give(&mut pool, LEN)).sum();
        assert_eq!(given + pool.kept.len(), 100);
        assert!(pool.bytes <= MOST && pool.bytes + 4 * LEN > MOST);
    }

    #[test]
    fn what_comes_out_is_what_was_asked_for() {
        give_back(Elements::F32(vec![7.0; LEN]));
        let values: Vec<f32> = (0..LEN - 5).map(|i| i as f32).collect();
        assert_eq!(copied(&values), values);
        give_back(Elements::F32(vec![7.0; LEN]));
        assert_eq!(of_len(LEN, 0.0_f32).len(), LEN);
        assert_eq!(copied(&[1_u8, 2]), [1, 2]);
    }
}
