//! Operations, one a file: shape rule, lowering to a shader, and the definition in plain f32.

mod activation;
mod add_window;
mod arithmetic;
mod attention;
mod binary;
mod concat;
mod conv2d;
mod count_nonfinite;
mod cut_window;
mod dynamic_threshold;
mod embedding;
mod epilogue;
mod fma_peak;
mod geglu;
mod group_moments;
mod group_norm;
mod group_norm_shared;
mod joined_linear;
mod keep_known;
mod layer_norm;
mod leaky_relu;
mod linear;
mod load;
mod model_input;
mod norm_grid;
mod pixel_shuffle;
mod rescale_guidance;
mod sampler_step;
mod scale;
pub(crate) mod select;
mod select_row;
mod self_gate;
mod slice_last;
mod timestep_embedding;
mod to_rgba8;
mod upsample_nearest;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use activation::Activation;
pub(crate) use attention::{Attention, Mask, attention_table, attention_tiles};
pub(crate) use binary::Binary;
pub(crate) use concat::Concat;
pub(crate) use conv2d::{Conv2d, Conv2dGeometry, Padding};
pub(crate) use cut_window::WindowField;
pub(crate) use epilogue::Epilogue;
pub(crate) use fma_peak::FmaPeak;
pub(crate) use geglu::Geglu;
pub(crate) use group_moments::GroupMoments;
pub(crate) use group_norm::{GroupNorm, NormResult};
pub(crate) use group_norm_shared::{given_moments, own_moments};
pub(crate) use joined_linear::JoinedLinear;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
pub(crate) use load::{Load, NormInLoad};
#[cfg(test)]
pub(crate) use sampler_step::SamplerStep;
pub(crate) use sampler_step::{MAX_BRANCHES, RowField, STATE_SLOTS, StateSlot};
pub(crate) use scale::Scale;
pub(crate) use timestep_embedding::TimestepEmbedding;
pub(crate) use upsample_nearest::UpsampleNearest;

use crate::tensor::{Dispatch, Lanes};

/// Invocations in a workgroup of the element-wise shaders.
const ELEMENTWISE_GROUP: usize = 64;

/// A dispatch of an element-wise shader over `elements`, `lanes` at a time, with `Params.count`.
fn elementwise(shader: &'static str, lanes: Lanes, elements: usize) -> Dispatch {
    let count = elements / lanes.count();
    Dispatch::new(shader, lanes)
        .param("count", count)
        .groups(count.div_ceil(ELEMENTWISE_GROUP))
}
