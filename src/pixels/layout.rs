//! How the dimensions of a tensor are read.

/// The order of a tensor's dimensions.
///
/// Rank 2 is (H, W) in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Channels first: (C, H, W), batched (N, C, H, W). The default for tensors.
    #[default]
    Chw,
    /// Channels last: (H, W, C), batched (N, H, W, C). The default for ndarray's arrays.
    Hwc,
}

impl Layout {
    /// What the dimensions of a tensor of this rank are taken for.
    pub(crate) fn dimensions(self, rank: usize) -> &'static str {
        match (self, rank) {
            (_, ..=2) => "(H, W)",
            (Layout::Chw, 3) => "(C, H, W)",
            (Layout::Hwc, 3) => "(H, W, C)",
            (Layout::Chw, _) => "(N, C, H, W)",
            (Layout::Hwc, _) => "(N, H, W, C)",
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.dimensions(3))
    }
}
