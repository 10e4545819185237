//! Every operation at inputs that make its shader variants, for tests that look at all of them.

use super::{
    Activation, Conv2d, Conv2dGeometry, Epilogue, FmaPeak, GroupNorm, JoinedLinear, Linear, Load,
    Mask, NormInLoad, NormResult, Padding, RowField, STATE_SLOTS, TimestepEmbedding, WindowField,
};
use crate::tensor::{DType, Layout, Param, Recorder, Shape, Tensor, Wrap};

/// The widths of the heads in the demo model, SD 1, SD 2 and their VAEs, and one that is odd.
const HEAD_DIMS: [usize; 8] = [5, 32, 40, 48, 64, 80, 160, 512];
/// Channels that are read one at a time, and four at a time.
const CHANNELS: [usize; 2] = [3, 8];

/// The types of what networks read from a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightTypes {
    /// Matrices, windows, tables, and the scales of norms.
    pub(crate) weight: DType,
    /// Biases.
    pub(crate) bias: DType,
}

/// Records every operation with the recorder's type of activations, once for each of its variants.
pub(crate) fn record(recorder: &Recorder, types: WeightTypes) {
    for channels in CHANNELS {
        elementwise(recorder, types, channels);
        channel_ranges(recorder, channels);
        norms(recorder, types, channels);
        sampling(recorder, channels);
        for out_channels in CHANNELS {
            products(recorder, types, channels, out_channels);
            fused_products(recorder, types, channels, out_channels);
        }
    }
    attention(recorder);
    ends(recorder);
}

fn elementwise(recorder: &Recorder, types: WeightTypes, channels: usize) {
    let x = activations(recorder, [2, 3, 1, channels]);
    let row = activations(recorder, [2, 1, 1, channels]);
    let table = recorder.param(&param(types.weight, [2, 3, 1, channels]));
    for function in [Tensor::silu, Tensor::gelu, Tensor::quick_gelu] {
        function(x);
    }
    for other in [x, row, table] {
        let (_sum, _product) = (x + other, x * other);
    }
    x.scale(0.5);
    x.apply(FmaPeak { rounds: 1 }, &[]);
    x.upsample_nearest(4, 2);
    x.leaky_relu(0.2);
    x.prelu(&param(types.weight, [channels]));
    x.self_gate(x);
    activations(recorder, [1, 2, 4, 4 * channels]).pixel_shuffle(2);
    activations(recorder, [1, 2, 4, channels]).pixel_unshuffle(2);
}

/// Operations on a range of the channels.
fn channel_ranges(recorder: &Recorder, channels: usize) {
    let x = activations(recorder, [2, 3, 2 * channels]);
    x.geglu();
    x.slice_last(channels, channels);
    x.concat(activations(recorder, [2, 3, channels]));
}

fn norms(recorder: &Recorder, types: WeightTypes, channels: usize) {
    let x = activations(recorder, [2, 3, channels]);
    let weight = param(types.weight, [channels]);
    let bias = param(types.bias, [channels]);
    x.group_norm(&weight, &bias, 1, 1e-5);
    x.group_norm_shared([&weight, &bias], 1, 1e-5, channels);
    x.layer_norm(&weight, &bias, 1e-5);
    let activated = GroupNorm {
        activation: Some(Activation::Silu),
        ..GroupNorm::plain(1, 1e-5)
    };
    let coefficients = GroupNorm {
        result: NormResult::Coefficients,
        ..GroupNorm::plain(1, 1e-5)
    };
    let [weight_2, bias_2] =
        [types.weight, types.bias].map(|dtype| recorder.param(&param(dtype, [2 * channels])));
    for norm in [activated, coefficients] {
        x.apply(norm, &[recorder.param(&weight), recorder.param(&bias)]);
        let of_two = GroupNorm {
            beside: true,
            ..norm
        };
        x.apply(of_two, &[weight_2, bias_2, x]);
    }
}

fn products(recorder: &Recorder, types: WeightTypes, channels: usize, out_channels: usize) {
    let same = Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    };
    let x = activations(recorder, [1, 5, 7, channels]);
    let matrix = param(types.weight, [out_channels, channels]);
    let window = param(types.weight, [out_channels, 3, 3, channels]);
    let bias = param(types.bias, [out_channels]);
    for bias in [None, Some(&bias)] {
        x.linear(Linear::PLAIN, &matrix, bias);
        x.conv2d(&window, bias, same);
    }
    let seamless = Conv2d {
        wrap: Wrap {
            rows: true,
            columns: true,
        },
        ..Conv2d::plain(same)
    };
    x.apply(seamless, &[recorder.param(&window)]);
    let ids = recorder.input("ids", [2, 3], DType::U32);
    ids.embedding(&matrix);
}

/// Records products that are large enough for every tile.
pub(crate) fn record_large(recorder: &Recorder, weight: DType) {
    let types = WeightTypes {
        weight,
        bias: DType::F32,
    };
    products(recorder, types, 64, 68);
    fused_products(recorder, types, 64, 68);
}

/// What rules make of products and of what stands around them.
fn fused_products(recorder: &Recorder, types: WeightTypes, channels: usize, out_channels: usize) {
    let x = activations(recorder, [2, 5, 7, channels]);
    let matrix = recorder.param(&param(types.weight, [out_channels, channels]));
    let bias = recorder.param(&param(types.bias, [out_channels]));
    let vector = activations(recorder, [2, 1, 1, out_channels]);
    let residual = activations(recorder, [2, 5, 7, out_channels]);
    for activation in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
        let epilogue = Epilogue {
            vector: true,
            residual: true,
            activation: Some(activation),
            ..Epilogue::NONE
        };
        let linear = Linear {
            epilogue,
            ..Linear::PLAIN
        };
        x.apply(linear, &[matrix, bias, vector, residual]);
    }
    let gated = Linear {
        epilogue: Epilogue {
            gated: true,
            ..Epilogue::NONE
        },
        ..Linear::PLAIN
    };
    let matrix_4 = recorder.param(&param(types.weight, [4 * out_channels, channels]));
    let bias_4 = recorder.param(&param(types.bias, [4 * out_channels]));
    x.apply(gated, &[matrix_4, bias_4]);
    let joined = JoinedLinear { weight_scale: 1.0 };
    x.apply(joined, &[matrix, matrix, matrix]);
    x.apply(joined, &[matrix, matrix, matrix, bias, bias, bias]);
    let window = recorder.param(&param(types.weight, [out_channels, 3, 3, channels]));
    let same = Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    });
    let enlarged = Conv2d {
        enlarged: Some([9, 13]),
        ..same
    };
    x.apply(enlarged, &[window, bias]);
    loads(recorder, types, channels, out_channels);
}

/// Products of rows that are made while they are loaded.
fn loads(recorder: &Recorder, types: WeightTypes, channels: usize, out_channels: usize) {
    let x = activations(recorder, [2, 5, 7, channels]);
    let matrix = recorder.param(&param(types.weight, [out_channels, 2 * channels]));
    let window = recorder.param(&param(types.weight, [out_channels, 3, 3, 2 * channels]));
    let coefficients = recorder.input("norm", [2, 2, 2 * channels], DType::F32);
    let same = Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    };
    for activation in [None, Some(Activation::Silu)] {
        let load = Load {
            beside: true,
            norm: Some(NormInLoad { activation }),
        };
        let linear = Linear {
            load,
            ..Linear::PLAIN
        };
        x.apply(linear, &[matrix, x, coefficients]);
        let conv2d = Conv2d {
            load,
            ..Conv2d::plain(same)
        };
        x.apply(conv2d, &[window, x, coefficients]);
    }
}

fn attention(recorder: &Recorder) {
    for head_dim in HEAD_DIMS {
        let x = activations(recorder, [1, 3, 2 * head_dim]);
        for mask in [Mask::None, Mask::Causal] {
            x.attention(x, x, 2, mask);
        }
    }
}

fn sampling(recorder: &Recorder, channels: usize) {
    let latent = [1, 3, 3, channels];
    let state = recorder.input("state", [STATE_SLOTS, 1, 3, 3, channels], DType::F32);
    let row = recorder.input("row", [RowField::COUNT], DType::F32);
    let noise = recorder.input("noise", latent, DType::F32);
    for branches in [1, 2] {
        state.model_input(row, branches);
        let output = activations(recorder, [branches, 3, 3, channels]);
        state.sampler_step(output, noise, row);
        state.dynamic_threshold(output, row);
    }
    activations(recorder, [2, 3, 3, channels]).rescale_guidance(row);
    let mask = recorder.input("mask", [1, 3, 3, 1], DType::F32);
    state.keep_known(noise, noise, mask, row);
    activations(recorder, [3, 1, channels]).select_row(row);
    let window = recorder.input("window", [WindowField::count([2, 2])], DType::F32);
    let whole = activations(recorder, [1, 3, 3, channels]);
    let sum = recorder.input("sum", latent, DType::F32);
    sum.add_window(whole.cut_window(window, [2, 2]), window);
}

/// What stands at the ends of plans: embedded timesteps, changes of type, pictures, checks.
fn ends(recorder: &Recorder) {
    let timestep = recorder.input("timestep", [2], DType::F32);
    for flip_sin_to_cos in [false, true] {
        timestep.timestep_embedding(TimestepEmbedding {
            dim: 8,
            flip_sin_to_cos,
            freq_shift: 0.0,
            max_period: 10_000.0,
        });
    }
    let picture = activations(recorder, [1, 3, 5, 3]);
    picture.to_rgba8();
    for channels in CHANNELS {
        let x = activations(recorder, [1, channels]);
        let latent = recorder.input("latent", [1, channels], DType::F32);
        for value in [x.to(DType::F32), latent.to(recorder.compute())] {
            value.count_nonfinite();
        }
    }
}

/// A value of the recorder's type.
fn activations(recorder: &Recorder, shape: impl Into<Shape>) -> Tensor<'_> {
    recorder.input("x", shape, recorder.compute())
}

/// A weight that no file holds.
fn param(dtype: DType, shape: impl Into<Shape>) -> Param {
    Param {
        name: "weight".into(),
        shape: shape.into(),
        dtype,
        layout: Layout::AsStored,
    }
}
