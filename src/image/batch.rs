//! The snapshot that the images of one tensor share: read from its device once, when the first
//! of them is made.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::pixels::{Observed, Pixels, Plan, Range};
use crate::tensor::{HostTensor, Snapshot};

#[derive(Debug)]
pub(super) struct Batch {
    plan: Plan,
    size_bytes: u64,
    snapshot: Mutex<Option<Snapshot>>,
    host: OnceLock<Result<OnHost, Arc<Error>>>,
}

#[derive(Debug)]
struct OnHost {
    tensor: HostTensor,
    /// The range over the whole tensor, where all images share one.
    shared: Option<Range>,
}

/// Its memory serves the next tensors.
impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(Ok(on_host)) = self.host.take() {
            on_host.tensor.recycle();
        }
    }
}

impl Batch {
    pub(super) fn new(snapshot: Snapshot, plan: Plan) -> Self {
        Self {
            plan,
            size_bytes: snapshot.size_bytes() as u64,
            snapshot: Mutex::new(Some(snapshot)),
            host: OnceLock::new(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes that the tensor takes on the host.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn render(&self, index: usize) -> Result<(Pixels, Observed)> {
        match self.host.get_or_init(|| self.read()) {
            Ok(on_host) => self
                .plan
                .render(&on_host.tensor, index, on_host.shared.as_ref()),
            Err(error) => Err(Error::Shared(Arc::clone(error))),
        }
    }

    fn read(&self) -> Result<OnHost, Arc<Error>> {
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
        let shared = self.plan.shared_range(&tensor);
        Ok(OnHost { tensor, shared })
    }
}
