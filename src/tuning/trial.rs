//! One operation by one kernel on one device, run to look at what comes out and how long it takes.

use crate::error::Result;
use crate::gpu::{Device, block_on};
use crate::ops::select::{Family, Product, reductions};
use crate::ops::{
    Attention, Conv2d, Conv2dGeometry, LayerNorm, Linear, Mask, Padding, attention_table,
    attention_tiles,
};
use crate::plan::{Plan, Residency, Runner};
use crate::tensor::{Array, Caps, DType, KernelChoice, Op, Recorder, Shape};
use crate::weights::Weights;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest difference from the reference that a kernel may show, relative to the largest value:
/// half a step of what is stored, and as much again for sums in another order.
const F32_TOLERANCE: f32 = 2e-5;
const F16_TOLERANCE: f32 = 2e-3;

/// How weights are stored: as in most checkpoints.
const WEIGHTS: DType = DType::F16;

/// What is computed: an operation and the shapes of its operands.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) work: Work,
    pub(super) operands: Vec<Vec<usize>>,
}

/// An operation of which there are several kernels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// x `[.., K]`, weight `[N, K]`, bias `[N]`.
    Linear,
    /// x `[N, H, W, C]`, weight `[O, 3, 3, C]`, bias `[O]`; padded by one.
    Conv2d,
    /// q, k and v `[N, L, H·D]`.
    Attention {
        /// H.
        num_heads: usize,
    },
    /// x `[.., C]`, weight and bias `[C]`.
    LayerNorm,
}

impl Work {
    /// The operation's name.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Conv2d => "conv2d",
            Self::Attention { .. } => "attention",
            Self::LayerNorm => "layer_norm",
        }
    }
}

impl Trial {
    pub(super) fn new(work: Work, operands: &[&[usize]]) -> Self {
        let operands = operands.iter().map(|shape| shape.to_vec()).collect();
        Self { work, operands }
    }

    /// The width of a head, of attention.
    pub(super) fn head_dim(&self) -> usize {
        match self.work {
            Work::Attention { num_heads } => self.operands[0][2] / num_heads,
            _ => 0,
        }
    }

    /// The shapes, as in `4096×640 → 640`, or `1024×640, 10 heads`.
    pub(super) fn shape(&self) -> String {
        let axes: Vec<String> = self.operands[0].iter().map(usize::to_string).collect();
        let x = axes.join("×");
        match self.work {
            Work::Attention { num_heads } => format!("{x}, {num_heads} heads"),
            _ => format!("{x} → {}", self.operands[1][0]),
        }
    }

    /// The product that it is, unless it is attention, with factors of that type.
    fn product(&self, compute: DType) -> Product {
        let (x, weight) = (&self.operands[0], &self.operands[1]);
        let depth = x.last().copied().unwrap_or(1);
        Product {
            operation: self.work.operation(),
            rows: x.iter().product::<usize>() / depth,
            columns: weight[0],
            depth,
            halves: compute == DType::F16,
        }
    }

    /// The tiles of all families that may compute it on a device, the best family first, as in
    /// `tiled/64x64`.
    pub(super) fn tiles(&self, caps: &Caps) -> Vec<(Family, String)> {
        let compute = if caps.f16 { DType::F16 } else { DType::F32 };
        match self.work {
            Work::Attention { .. } => attention_tiles(self.head_dim(), caps),
            Work::LayerNorm => reductions(caps),
            _ => self.product(compute).tiles(caps),
        }
    }

    /// The tile that is taken where nothing was measured, and the class of shapes that share one.
    pub(super) fn table(&self, caps: &Caps) -> (String, String) {
        let choice = KernelChoice {
            tiles: BTreeMap::new(),
            ..(*caps.choice).clone()
        };
        let caps = Caps {
            choice: Arc::new(choice),
            ..caps.clone()
        };
        let compute = if caps.f16 { DType::F16 } else { DType::F32 };
        let (tile, class) = match self.work {
            Work::Attention { .. } => attention_table(self.head_dim(), &caps),
            _ => self.product(compute).table(&caps),
        };
        (tile, format!("{}/{class}", self.work.operation()))
    }

    /// Whether the kernels that `choice` leaves agree with the reference.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`], [`crate::Error::Gpu`] if the driver refuses them.
    pub(super) fn agrees(&self, device: &Device, choice: KernelChoice) -> Result<bool> {
        let runner = self.runner(device, choice)?;
        block_on(runner.run())?;
        let found = block_on(runner.read("y"))?;
        let arrays: Vec<Array> = self.arrays().collect();
        let expected = self.reference(&arrays.iter().collect::<Vec<_>>());
        let tolerance = match compute(device) {
            DType::F16 => F16_TOLERANCE,
            _ => F32_TOLERANCE,
        };
        let largest = |largest: f32, value: &f32| largest.max(value.abs());
        let allowed = tolerance * expected.data().iter().fold(1.0, largest);
        let mut pairs = found.iter().zip(expected.data());
        // What is no number is within no distance.
        Ok(found.len() == expected.data().len()
            && pairs.all(|(found, expected)| (found - expected).abs() <= allowed))
    }

    /// How long the kernels that `choice` leaves take: the least of several runs, until the deadline.
    ///
    /// # Errors
    /// As [`Trial::agrees`].
    pub(super) fn time(
        &self,
        device: &Device,
        choice: KernelChoice,
        deadline: Instant,
    ) -> Result<Duration> {
        const RUNS: usize = 7;
        let runner = self.runner(device, choice)?;
        let timed = || -> Result<Duration> {
            let start = Instant::now();
            block_on(runner.run())?;
            block_on(runner.wait())?;
            Ok(start.elapsed())
        };
        timed()?; // compiles what the driver left for the first run
        let mut least = timed()?;
        for _ in 1..RUNS {
            if Instant::now() >= deadline {
                break;
            }
            least = least.min(timed()?);
        }
        Ok(least)
    }

    /// The plan on the device, its inputs filled.
    fn runner(&self, device: &Device, choice: KernelChoice) -> Result<Runner> {
        let compute = compute(device);
        let recorder = Recorder::new(compute);
        let inputs = self.operands.iter().enumerate().map(|(place, shape)| {
            let stored = match self.work {
                Work::Attention { .. } => compute,
                _ if place == 0 => compute,
                _ => WEIGHTS,
            };
            recorder.input(&place.to_string(), Shape::new(shape), stored)
        });
        let inputs: Vec<_> = inputs.collect();
        let (x, rest) = (inputs[0], &inputs[1..]);
        let y = match self.work {
            Work::Linear => x.apply(Linear::PLAIN, rest),
            Work::Conv2d => x.apply(convolution(), rest),
            Work::Attention { num_heads } => x.apply(attention(num_heads), rest),
            Work::LayerNorm => x.apply(LAYER_NORM, rest),
        };
        recorder.output("y", y);
        let caps = Caps {
            choice: Arc::new(choice),
            ..device.caps()
        };
        let plan = Plan::lower(recorder.finish()?, &caps)?;
        let residency = Arc::new(Residency::new(device, &Weights::none()));
        let runner = block_on(Runner::new(device, plan, &residency))?;
        for (place, array) in self.arrays().enumerate() {
            runner.write(&place.to_string(), array.data())?;
        }
        Ok(runner)
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        match self.work {
            Work::Linear => Linear::PLAIN.reference(inputs),
            Work::Conv2d => convolution().reference(inputs),
            Work::Attention { num_heads } => attention(num_heads).reference(inputs),
            Work::LayerNorm => LAYER_NORM.reference(inputs),
        }
    }

    fn arrays(&self) -> impl Iterator<Item = Array> {
        let shapes = (0..).zip(self.operands.iter());
        shapes.map(|(seed, shape)| scattered(Shape::new(shape), seed))
    }
}

/// The type of activations: what a picture is drawn in, where nobody says otherwise.
fn compute(device: &Device) -> DType {
    if device.caps().f16 && !device.info().software {
        DType::F16
    } else {
        DType::F32
    }
}

fn convolution() -> Conv2d {
    Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    })
}

const LAYER_NORM: LayerNorm = LayerNorm { eps: 1e-5 };

fn attention(num_heads: usize) -> Attention {
    Attention {
        num_heads,
        mask: Mask::None,
    }
}

/// Multiples of 2⁻⁸ all over −1..1, which every type of values holds exactly, by Weyl's sequence.
fn scattered(shape: Shape, seed: u32) -> Array {
    const GOLDEN_RATIO: u32 = 0x9e37_79b9; // of 2³²
    let value = |i: u32| {
        let bits = i.wrapping_add(seed << 20).wrapping_mul(GOLDEN_RATIO) >> 23;
        bits as f32 / 256.0 - 1.0
    };
    Array::new(shape, (0..).take(shape.len()).map(value).collect())
}
