//! Normalisations with a learned scale and offset.

use crate::error::Result;
use crate::tensor::{Param, Tensor};
use crate::weights::Scope;

/// What a group norm's weights do not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GroupNormSpec {
    /// How many groups the channels are split into.
    pub num_groups: usize,
    /// Added to the variance under the root.
    pub eps: f32,
}

/// Normalises each group of channels over height and width (Wu & He 2018, arXiv 1803.08494).
#[derive(Clone, Debug)]
pub(crate) struct GroupNorm {
    weight: Param,
    bias: Param,
    spec: GroupNormSpec,
}

impl GroupNorm {
    /// Loads `weight` and `bias`, both `[channels]`. Fails when the groups do not divide them.
    pub(crate) fn load(scope: &Scope, channels: usize, spec: GroupNormSpec) -> Result<Self> {
        let norm = Self {
            weight: scope.get("weight", [channels])?,
            bias: scope.get("bias", [channels])?,
            spec,
        };
        if spec.num_groups == 0 || !channels.is_multiple_of(spec.num_groups) {
            return Err(scope.unsupported(format_args!(
                "{channels} channels cannot be split into {} groups; \
                 norm_num_groups in the model's configuration must divide every width",
                spec.num_groups
            )));
        }
        Ok(norm)
    }

    /// x `[N, .., C]` → the same shape
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        x.recorder().at(&self.weight.name);
        x.group_norm(
            &self.weight,
            &self.bias,
            self.spec.num_groups,
            self.spec.eps,
        )
    }
}

/// Normalises the last axis (Ba et al. 2016, arXiv 1607.06450).
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    weight: Param,
    bias: Param,
    eps: f32,
}

impl LayerNorm {
    /// Loads `weight` and `bias`, both `[width]`.
    pub(crate) fn load(scope: &Scope, width: usize, eps: f32) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", [width])?,
            bias: scope.get("bias", [width])?,
            eps,
        })
    }

    /// x `[.., C]` → the same shape
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        x.recorder().at(&self.weight.name);
        x.layer_norm(&self.weight, &self.bias, self.eps)
    }
}
