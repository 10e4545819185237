//! The benches' door to what is private: single operations and the denoising step, as plans that
//! are run again and again, and the way to the device without a file. No part of what versions promise; `benches/` is its only user.

use crate::error::{Error, Result};
use crate::gpu::{Device, StagingRing, block_on};
use crate::ops::{
    Conv2d, Conv2dGeometry, FmaPeak, GroupNorm, LayerNorm, Linear, Mask, Padding, RowField,
};
use crate::pipeline::{Guidance, Model, Precision, StepShape, ends};
use crate::plan::{Plan, PlanReport, Residency, Runner};
use crate::tensor::{DType, Layout, Param, Recorder, Shape, Tensor, Wrap};
use crate::tuning;
use crate::weights::Weights;
use std::fmt;
use std::sync::Arc;

/// How the weights of a case are stored: as in most checkpoints.
const WEIGHTS: DType = DType::F16;
/// Stable Diffusion's number of groups.
const NUM_GROUPS: usize = 32;
const EPS: f32 = 1e-5;

/// An operation, with what the shape of its first operand does not tell. Weights and biases come
/// with it.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// `[.., K]` → `[.., columns]`.
    Linear {
        /// Columns of the result.
        columns: usize,
    },
    /// `[N, H, W, C]` → `[N, H / stride, W / stride, channels]`, padded by half a kernel.
    Conv2d {
        /// Channels of the result.
        channels: usize,
        /// Height and width of the window.
        kernel: usize,
        /// Pixels between windows.
        stride: usize,
    },
    /// Of the queries `[N, L, H·D]` to `[N, keys, H·D]`.
    Attention {
        /// How many keys there are.
        keys: usize,
        /// H.
        num_heads: usize,
    },
    /// Of `[N, .., C]`, in 32 groups.
    GroupNorm,
    /// Of `[.., C]`.
    LayerNorm,
    /// `[.., 2D]` → `[.., D]`.
    Geglu,
    /// Of any shape.
    Silu,
    /// To another value of the same shape.
    Add,
    /// `[.., A]` → `[.., A + channels]`.
    Concat {
        /// Channels of the other value.
        channels: usize,
    },
    /// `[N, H, W, C]` → `[N, 2H, 2W, C]`.
    UpsampleNearest,
    /// Of any shape: the check that nothing has become NaN or infinite.
    CountNonfinite,
    /// So many multiply-adds, and no memory to speak of: what arithmetic can do at most.
    Peak {
        /// Rounds of 192 operations on each element.
        rounds: usize,
    },
    /// x, written elsewhere: what memory can do at most.
    Copy,
}

impl Operation {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Conv2d { .. } => "conv2d",
            Self::Attention { .. } => "attention",
            Self::GroupNorm => "group_norm",
            Self::LayerNorm => "layer_norm",
            Self::Geglu => "geglu",
            Self::Silu => "silu",
            Self::Add => "add",
            Self::Concat { .. } => "concat",
            Self::UpsampleNearest => "upsample_nearest",
            Self::CountNonfinite => "count_nonfinite",
            Self::Peak { .. } => "peak",
            Self::Copy => "copy",
        }
    }

    /// x → the result; every other operand is an input of its own.
    fn record<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let recorder = x.recorder();
        let (shape, width) = (x.shape(), x.shape().last());
        let other = |name, shape: Shape| recorder.input(name, shape, x.dtype());
        let weight = |shape: Shape| recorder.input("weight", shape, WEIGHTS);
        let bias = |length: usize| recorder.input("bias", [length], WEIGHTS);
        match *self {
            Self::Linear { columns } => x.apply(
                Linear::PLAIN,
                &[weight([columns, width].into()), bias(columns)],
            ),
            Self::Conv2d {
                channels,
                kernel,
                stride,
            } => {
                let padding = Padding::same(kernel / 2);
                let weight = weight([channels, kernel, kernel, width].into());
                x.apply(
                    Conv2d::plain(Conv2dGeometry { stride, padding }),
                    &[weight, bias(channels)],
                )
            }
            Self::Attention { keys, num_heads } => {
                let shape = Shape::from([shape.dim(0), keys, width]);
                x.attention(other("k", shape), other("v", shape), num_heads, Mask::None)
            }
            Self::GroupNorm => {
                let (num_groups, eps) = (NUM_GROUPS, EPS);
                x.apply(
                    GroupNorm::plain(num_groups, eps),
                    &[weight([width].into()), bias(width)],
                )
            }
            Self::LayerNorm => x.apply(
                LayerNorm { eps: EPS },
                &[weight([width].into()), bias(width)],
            ),
            Self::Geglu => x.geglu(),
            Self::Silu => x.silu(),
            Self::Add => x + other("other", shape),
            Self::Concat { channels } => x.concat(other("other", shape.with_last(channels))),
            Self::UpsampleNearest => x.upsample_nearest(2 * shape.dim(1), 2 * shape.dim(2)),
            Self::CountNonfinite => x.count_nonfinite(),
            Self::Peak { rounds } => x.apply(FmaPeak { rounds }, &[]),
            Self::Copy => x.scale(1.0),
        }
    }
}

/// An operation at one shape.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The operation.
    pub operation: Operation,
    /// The shape of its first operand.
    pub x: &'static [usize],
}

/// The shape: `8192×320 → 2560`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self.x.iter().map(usize::to_string).collect();
        f.write_str(&axes.join("×"))?;
        match self.operation {
            Operation::Linear { columns } => write!(f, " → {columns}"),
            Operation::Conv2d {
                channels,
                kernel,
                stride,
            } => write!(f, " → {channels}, {kernel}×{kernel} / {stride}"),
            Operation::Attention { keys, num_heads } => {
                write!(f, ", {keys} keys, {num_heads} heads")
            }
            Operation::Concat { channels } => write!(f, " + {channels}"),
            Operation::Peak { rounds } => write!(f, ", {rounds} rounds"),
            _ => Ok(()),
        }
    }
}

/// A plan on a device, its inputs filled once, to be run any number of times.
#[derive(Debug)]
pub struct Replay {
    runner: Runner,
    compute: DType,
}

impl Replay {
    /// A plan of one operation.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`], [`crate::Error::Unsupported`] if a binding is too large for
    /// the device, [`crate::Error::Request`] if it cannot store f16 and shall.
    pub fn of_case(device: &Device, case: Case, precision: Precision) -> Result<Self> {
        let compute = precision.compute_on(device)?;
        let recorder = Recorder::new(compute);
        let x = recorder.input("x", Shape::new(case.x), compute);
        recorder.output("y", case.operation.record(x));
        let plan = Plan::lower(recorder.finish()?, &tuning::caps(device)?)?;
        Self::new(device, plan, &Weights::none(), compute)
    }

    /// The plan of one denoising step with guidance, for one picture of that size in pixels. Only
    /// the UNet's weights go to the device.
    ///
    /// # Errors
    /// As [`Replay::of_case`], and the model file's errors.
    pub fn of_step(
        device: &Device,
        model: &Model,
        [width, height]: [usize; 2],
        precision: Precision,
    ) -> Result<Self> {
        let compute = precision.compute_on(device)?;
        let shape = StepShape {
            batch: 1,
            branches: 2,
            chunks: 1,
            latent: model.latent_size(width, height)?,
            guidance: Guidance::Plain,
            keeps_known: false,
            windows: None,
            wrap: Wrap::NONE,
        };
        let plan = model.step_plan(shape, compute, &tuning::caps(device)?)?;
        let replay = Self::new(device, plan, &model.weights, compute)?;
        // x' = x: the network does all its work, and however many runs leave the state as it is.
        let mut row = [0.0; RowField::COUNT];
        row[RowField::CIn as usize] = 1.0;
        row[RowField::Next as usize] = 1.0;
        replay.runner.write(ends::ROW, &row)?;
        Ok(replay)
    }

    /// The plan that decodes a latent to one picture of that size in pixels. Only the decoder's
    /// weights go to the device.
    ///
    /// # Errors
    /// As [`Replay::of_step`].
    pub fn of_decoder(
        device: &Device,
        model: &Model,
        [width, height]: [usize; 2],
        precision: Precision,
    ) -> Result<Self> {
        let compute = precision.compute_on(device)?;
        let latent = model.latent_size(width, height)?;
        let plan = model.vae_decoder_plan(latent, Wrap::NONE, compute, &tuning::caps(device)?)?;
        Self::new(device, plan, &model.weights, compute)
    }

    fn new(device: &Device, plan: Plan, weights: &Weights, compute: DType) -> Result<Self> {
        let residency = Arc::new(Residency::new(device, weights));
        let runner = block_on(Runner::new(device, plan, &residency))?;
        for (name, end) in &runner.plan().inputs {
            runner.write(name, &scattered(end.view.shape.len()))?;
        }
        Ok(Self { runner, compute })
    }

    /// The plan's costs.
    pub fn report(&self) -> PlanReport {
        self.runner.plan().report()
    }

    /// The type in which activations are stored: `f32` or `f16`.
    pub fn dtype(&self) -> &'static str {
        self.compute.name()
    }

    /// Submits one run.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub fn run(&self) -> Result<()> {
        block_on(self.runner.run())
    }

    /// Whether all that the last run of a step or decoding left is finite, as runs ask after each.
    ///
    /// # Errors
    /// As [`Replay::wait`].
    pub fn is_finite(&self) -> Result<bool> {
        let counts = block_on(self.runner.read(ends::NONFINITE))?;
        Ok(counts.iter().all(|count| *count == 0.0))
    }

    /// Encodes one run, as each step does, and throws it away.
    ///
    /// # Errors
    /// None that preparing it did not find.
    pub fn encode(&self) -> Result<()> {
        self.runner.encode_only()
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub fn wait(&self) -> Result<()> {
        block_on(self.runner.wait())
    }
}

/// How a device stores activations where that is asked for: `f32` or `f16`.
///
/// # Errors
/// [`Error::Request`] if it cannot store f16 and shall.
pub fn compute(device: &Device, precision: Precision) -> Result<&'static str> {
    Ok(precision.compute_on(device)?.name())
}

/// Fills as much of the device as a model's weights take, weight by weight, with bytes that are in
/// memory already and lie as they shall: what loading takes where files cost nothing.
///
/// # Errors
/// [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`], [`crate::Error::Gpu`];
/// [`crate::Error::Unsupported`] for the interpreter, which copies nothing.
pub fn copy_weights(device: &Device, model: &Model) -> Result<()> {
    let gpu = device.gpu();
    let gpu = gpu.ok_or_else(|| Error::Unsupported("a copy to the interpreter".into()))?;
    let params = model.params()?;
    let bytes = vec![1; params.iter().map(Param::size_bytes).max().unwrap_or(0)];
    let total = params.iter().map(|param| param.size_bytes() as u64).sum();
    let mut ring = StagingRing::new(gpu, total);
    let mut buffers = Vec::with_capacity(params.len());
    for mut param in params {
        param.layout = Layout::AsStored;
        let upload = ring.upload(&param, &bytes[..param.size_bytes()]);
        buffers.push(block_on(upload)?);
    }
    block_on(ring.finish())
}

/// Values all over −1..1, by Weyl's sequence. Zeros would not do: a device that clocks by its power
/// is faster on them.
fn scattered(length: usize) -> Vec<f32> {
    const GOLDEN_RATIO: u32 = 0x9e37_79b9; // of 2³²
    let value = |i: u32| (i.wrapping_mul(GOLDEN_RATIO) >> 8) as f32 / 8_388_608.0 - 1.0;
    (0..).take(length).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceOptions;
    use crate::ops::testing;

    #[test]
    fn a_decoder_is_measured_with_the_kernels_that_pictures_get() {
        if testing::device().is_none() {
            return;
        }
        let device = Device::open(&DeviceOptions::default()).expect("it opened before");
        let model = Model::demo().expect("it is built in");
        Replay::of_decoder(&device, &model, [64, 64], Precision::F32).expect("it is small");
        assert!(device.has_choice());
    }
}
