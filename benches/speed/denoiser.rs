//! The model of `examples/candle_digits.rs`.

use candle_core::{Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module, VarBuilder, conv2d, ops};

use crate::digits::SIDE;

pub(crate) struct Denoiser {
    encode: Conv2d,
    squeeze: Conv2d,
    expand: Conv2d,
    decode: Conv2d,
}

impl Denoiser {
    pub(crate) fn new(vb: VarBuilder) -> Result<Self> {
        let same = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let halved = Conv2dConfig { stride: 2, ..same };
        Ok(Self {
            encode: conv2d(1, 16, 3, same, vb.pp("encode"))?,
            squeeze: conv2d(16, 32, 3, halved, vb.pp("squeeze"))?,
            expand: conv2d(32, 16, 3, same, vb.pp("expand"))?,
            decode: conv2d(16, 1, 3, same, vb.pp("decode"))?,
        })
    }
}

impl Module for Denoiser {
    fn forward(&self, noisy: &Tensor) -> Result<Tensor> {
        let features = self.encode.forward(noisy)?.relu()?;
        let code = self.squeeze.forward(&features)?.relu()?;
        let wide = code.upsample_nearest2d(SIDE, SIDE)?;
        let features = self.expand.forward(&wide)?.relu()?;
        ops::sigmoid(&self.decode.forward(&features)?)
    }
}
