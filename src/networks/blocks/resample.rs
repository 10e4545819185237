//! Halving and doubling of height and width.

use crate::error::Result;
use crate::nn::Conv2d;
use crate::ops::{Conv2dGeometry, Padding};
use crate::tensor::Tensor;
use crate::weights::Scope;

/// A convolution of stride 2 (diffusers `downsampling.py`, `Downsample2D`).
#[derive(Clone, Debug)]
pub(crate) struct Downsample2d {
    conv: Conv2d,
}

impl Downsample2d {
    /// The UNet's padding: one pixel all around.
    pub(crate) const SYMMETRIC: Padding = Padding::same(1);
    /// The VAE's padding: one pixel below and at the right.
    pub(crate) const BOTTOM_RIGHT: Padding = Padding {
        top: 0,
        left: 0,
        bottom: 1,
        right: 1,
    };

    /// Loads a convolution of `channels` to `channels`.
    pub(crate) fn load(scope: &Scope, channels: usize, padding: Padding) -> Result<Self> {
        let conv = Conv2d::load_sized(&scope.scope("conv"), channels, channels)?;
        Ok(Self {
            conv: conv.with_geometry(Conv2dGeometry { stride: 2, padding }),
        })
    }

    /// x `[N, H, W, C]` → `[N, H/2, W/2, C]`; an odd size rounds up when symmetric, else down
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        self.conv.forward(x)
    }
}

/// Nearest neighbours, then a convolution (diffusers `upsampling.py`, `Upsample2D`).
#[derive(Clone, Debug)]
pub(crate) struct Upsample2d {
    conv: Conv2d,
}

impl Upsample2d {
    /// Loads a convolution of `channels` to `channels`.
    pub(crate) fn load(scope: &Scope, channels: usize) -> Result<Self> {
        Ok(Self {
            conv: Conv2d::load_sized(&scope.scope("conv"), channels, channels)?,
        })
    }

    /// x `[N, H, W, C]` → `[N, height, width, C]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>, height: usize, width: usize) -> Tensor<'g> {
        self.conv.forward(x.upsample_nearest(height, width))
    }
}
