//! A linear map of the last axis.

use crate::error::Result;
use crate::ops;
use crate::tensor::{Param, Tensor};
use crate::weights::Scope;

/// `y = x · weightᵀ + bias` over the last axis.
///
/// A 1×1 convolution is the same map, since channels are the last axis: a weight stored as
/// `[O, I, 1, 1]` loads here as `[O, I]`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    weight: Param,
    bias: Option<Param>,
    op: ops::Linear,
}

impl Linear {
    /// Loads `weight` `[O, in_features]` and `bias` `[O]`; the file decides O.
    pub(crate) fn load(scope: &Scope, in_features: usize) -> Result<Self> {
        let out_features = scope.shape("weight")?.dim(0);
        Self::load_sized(scope, in_features, out_features)
    }

    /// Loads `weight` `[out_features, in_features]` and `bias` `[out_features]`.
    pub(crate) fn load_sized(
        scope: &Scope,
        in_features: usize,
        out_features: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", [out_features, in_features])?,
            bias: Some(scope.get("bias", [out_features])?),
            op: scaled(scope)?,
        })
    }

    /// Loads `weight` `[out_features, in_features]` of a map that has no bias.
    pub(crate) fn load_without_bias(
        scope: &Scope,
        in_features: usize,
        out_features: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", [out_features, in_features])?,
            bias: None,
            op: scaled(scope)?,
        })
    }

    /// Loads `weight` `[O, in_features]` of a map that has no bias; the file decides O.
    pub(crate) fn load_unbiased(scope: &Scope, in_features: usize) -> Result<Self> {
        let out_features = scope.shape("weight")?.dim(0);
        Self::load_without_bias(scope, in_features, out_features)
    }

    /// The width of what comes out.
    pub(crate) fn out_features(&self) -> usize {
        self.weight.shape.dim(0)
    }

    /// x `[.., I]` → `[.., O]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        x.recorder().at(&self.weight.name);
        x.linear(self.op, &self.weight, self.bias.as_ref())
    }
}

/// The product with a scope's weight, which may be scaled.
fn scaled(scope: &Scope) -> Result<ops::Linear> {
    let weight_scale = scope.weight_scale()?;
    Ok(ops::Linear {
        weight_scale,
        ..ops::Linear::PLAIN
    })
}
