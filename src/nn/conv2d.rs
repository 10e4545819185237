//! A convolution over height and width.

use crate::error::Result;
use crate::ops::{Conv2dGeometry, Padding};
use crate::tensor::{Param, Tensor};
use crate::weights::Scope;

/// The widest window known: networks here have 3×3, and a few elsewhere 5×5 or 7×7.
const MAX_KERNEL: usize = 7;

/// A square convolution of `[N, H, W, C]`; unless told otherwise it keeps height and width.
#[derive(Clone, Debug)]
pub(crate) struct Conv2d {
    weight: Param,
    bias: Option<Param>,
    geometry: Conv2dGeometry,
}

impl Conv2d {
    /// Loads `weight` `[O, in_channels, K, K]` and `bias` `[O]`; the file decides O and K.
    pub(crate) fn load(scope: &Scope, in_channels: usize) -> Result<Self> {
        let out_channels = scope.shape("weight")?.dim(0);
        Self::load_sized(scope, in_channels, out_channels)
    }

    /// Loads `weight` `[out_channels, in_channels, K, K]` and `bias` `[out_channels]`; the file
    /// decides K.
    pub(crate) fn load_sized(
        scope: &Scope,
        in_channels: usize,
        out_channels: usize,
    ) -> Result<Self> {
        let bias = scope.get("bias", [out_channels]);
        let unbiased = Self::load_weight(scope, in_channels, out_channels)?;
        Ok(Self {
            bias: Some(bias?),
            ..unbiased
        })
    }

    /// Loads `weight` `[O, in_channels, K, K]` of a convolution that adds nothing; the file decides O and K.
    pub(crate) fn load_unbiased(scope: &Scope, in_channels: usize) -> Result<Self> {
        let out_channels = scope.shape("weight")?.dim(0);
        Self::load_weight(scope, in_channels, out_channels)
    }

    fn load_weight(scope: &Scope, in_channels: usize, out_channels: usize) -> Result<Self> {
        let kernel = scope.shape("weight")?.dim(2);
        if kernel.is_multiple_of(2) || kernel > MAX_KERNEL {
            return Err(scope.unsupported(format_args!(
                "a convolution of {kernel}×{kernel} pixels; only odd windows of up to {MAX_KERNEL} \
                 are known, so use a model of a known family"
            )));
        }
        let weight = scope.get("weight", [out_channels, in_channels, kernel, kernel])?;
        scope.check_unscaled()?;
        Ok(Self {
            weight: weight.channels_last(),
            bias: None,
            geometry: Conv2dGeometry {
                stride: 1,
                padding: Padding::same(kernel.saturating_sub(1) / 2),
            },
        })
    }

    /// The same weights with another stride and padding.
    pub(crate) fn with_geometry(self, geometry: Conv2dGeometry) -> Self {
        Self { geometry, ..self }
    }

    /// The channels of what comes out.
    pub(crate) fn out_channels(&self) -> usize {
        self.weight.shape.dim(0)
    }

    /// x `[N, H, W, C]` → `[N, H', W', O]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        x.recorder().at(&self.weight.name);
        x.conv2d(&self.weight, self.bias.as_ref(), self.geometry)
    }
}
