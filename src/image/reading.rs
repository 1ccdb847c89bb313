//! A snapshot that is read from its device once, when the first of those that share it needs it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::tensor::{HostTensor, Snapshot};

#[derive(Debug)]
pub(super) struct Reading {
    size_bytes: u64,
    snapshot: Mutex<Option<Snapshot>>,
    host: OnceLock<Result<HostTensor, Arc<Error>>>,
}

/// Its memory serves the next tensors.
impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(Ok(tensor)) = self.host.take() {
            tensor.recycle();
        }
    }
}

impl Reading {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            size_bytes: snapshot.size_bytes() as u64,
            snapshot: Mutex::new(Some(snapshot)),
            host: OnceLock::new(),
        }
    }

    /// Bytes that the tensor takes on the host.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The tensor, of the shape and dtype that its snapshot promised.
    ///
    /// # Errors
    ///
    /// The failure of the one read, for all who ask.
    pub(super) fn host(&self) -> Result<&HostTensor> {
        match self.host.get_or_init(|| self.read()) {
            Ok(tensor) => Ok(tensor),
            Err(error) => Err(Error::Shared(Arc::clone(error))),
        }
    }

    fn read(&self) -> Result<HostTensor, Arc<Error>> {
        let snapshot = self
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| Error::device("an earlier read of it panicked"))?;
        let expected = (snapshot.shape().to_vec(), snapshot.dtype());
        let tensor = snapshot.into_host()?;
        if (tensor.shape().to_vec(), tensor.dtype()) != expected {
            let (shape, dtype) = expected;
            return Err(Arc::new(Error::device(format!(
                "it arrived as {:?} of {}, where its snapshot had promised {shape:?} of {dtype}",
                tensor.shape(),
                tensor.dtype(),
            ))));
        }
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::tensor::DType;

    #[test]
    fn a_snapshot_is_read_once() {
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reads);
        let reading = Reading::new(Snapshot::new([2], DType::U8, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            HostTensor::new([2], vec![7_u8, 8])
        }));
        assert_eq!(reads.load(Ordering::Relaxed), 0);
        assert_eq!(reading.host().unwrap().shape(), [2]);
        assert_eq!(reading.host().unwrap().shape(), [2]);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(reading.size_bytes(), 2);
    }

    #[test]
    fn a_failure_is_everyones() {
        let reading = Reading::new(Snapshot::new([2], DType::U8, || Err(Error::device("gone"))));
        for _ in 0..2 {
            let error = reading.host().unwrap_err();
            assert!(error.to_string().ends_with("from its device: gone"));
        }
    }

    #[test]
    fn another_tensor_than_promised_is_a_failure() {
        let other = || HostTensor::new([3], vec![0_i8; 3]);
        let error = Reading::new(Snapshot::new([2], DType::U8, other));
        assert!(
            error
                .host()
                .unwrap_err()
                .to_string()
                .ends_with("it arrived as [3] of i8, where its snapshot had promised [2] of u8")
        );
    }
}
