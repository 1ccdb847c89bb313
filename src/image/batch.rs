//! The snapshot that the images of one tensor share: read from its device once, when the first
//! of them is made.

use std::sync::OnceLock;

use super::reading::Reading;
use crate::error::Result;
use crate::pixels::{Observed, Pixels, Plan, Range};
use crate::tensor::Snapshot;

#[derive(Debug)]
pub(super) struct Batch {
    plan: Plan,
    reading: Reading,
    /// The range over the whole tensor, where all images share one.
    shared: OnceLock<Option<Range>>,
}

impl Batch {
    pub(super) fn new(snapshot: Snapshot, plan: Plan) -> Self {
        Self {
            plan,
            reading: Reading::new(snapshot),
            shared: OnceLock::new(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes that the tensor takes on the host.
    pub(super) fn size_bytes(&self) -> u64 {
        self.reading.size_bytes()
    }

    pub(super) fn render(&self, index: usize) -> Result<(Pixels, Observed)> {
        let tensor = self.reading.host()?;
        let shared = self.shared.get_or_init(|| self.plan.shared_range(tensor));
        self.plan.render(tensor, index, shared.as_ref())
    }
}
