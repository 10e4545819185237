//! The swift parameter-free attention network (Wan et al. 2023, arXiv 2311.12770, SPAN). Checked against
//! spandrel 0.4.2.

use super::{IMAGE_CHANNELS, InputScaling, shuffled_scale};
use crate::error::Result;
use crate::nn::{Conv2d, Linear};
use crate::ops::{Conv2dGeometry, Padding};
use crate::tensor::Tensor;
use crate::weights::Scope;

/// Blocks that gate themselves.
const BLOCKS: usize = 6;
/// What colours are taken off and multiplied by, unless the file says `no_norm`: the mean of the
/// pictures that it was trained on (DIV2K), and the range of their bytes.
const INPUT: InputScaling = InputScaling {
    mean: [0.4488, 0.4371, 0.4040],
    factor: 255.0,
};

/// SPAN.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    input: InputScaling,
    conv_1: TripleConv,
    blocks: Vec<GatedBlock>,
    conv_2: TripleConv,
    conv_cat: Linear,
    upsampler: Conv2d,
    scale: usize,
}

impl Span {
    /// Loads `conv_1`, `block_1` to `block_6`, `conv_2`, `conv_cat` and `upsampler.0`.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let conv_1 = TripleConv::load(&scope.scope("conv_1"), IMAGE_CHANNELS)?;
        let width = conv_1.out_channels();
        let block = |n: usize| GatedBlock::load(&scope.scope(format!("block_{n}")), width);
        let upsampler = Conv2d::load(&scope.scope("upsampler.0"), width)?;
        let has_norm = !scope.has("no_norm");
        Ok(Self {
            input: if has_norm {
                INPUT
            } else {
                InputScaling::default()
            },
            conv_1,
            blocks: (1..=BLOCKS).map(block).collect::<Result<_>>()?,
            conv_2: TripleConv::load(&scope.scope("conv_2"), width)?,
            conv_cat: Linear::load_sized(&scope.scope("conv_cat"), 4 * width, width)?,
            scale: shuffled_scale(scope, upsampler.out_channels())?,
            upsampler,
        })
    }

    /// How many times as wide and high the result is.
    pub(crate) fn scale(&self) -> usize {
        self.scale
    }

    /// What becomes of colours before they enter.
    pub(crate) fn input(&self) -> InputScaling {
        self.input
    }

    /// pixels `[N, H, W, 3]` → `[N, scale·H, scale·W, 3]`
    pub(crate) fn forward<'g>(&self, pixels: Tensor<'g>) -> Tensor<'g> {
        let first = self.conv_1.forward(pixels);
        // What the blocks give, and what the first convolution in each gave.
        let mut given = Vec::with_capacity(BLOCKS);
        let mut x = first;
        for block in &self.blocks {
            let (h, inner) = block.forward(x);
            given.push((h, inner));
            x = h;
        }
        let (after_first, inner_of_last) = (given[0].0, given[BLOCKS - 1].1);
        let last = self.conv_2.forward(x);
        let joined = first.concat(last).concat(after_first).concat(inner_of_last); // [N, H, W, 4·C]
        self.upsampler
            .forward(self.conv_cat.forward(joined))
            .pixel_shuffle(self.scale)
    }
}

/// Three convolutions whose result gates itself.
#[derive(Clone, Debug)]
struct GatedBlock {
    convs: [TripleConv; 3],
}

impl GatedBlock {
    fn load(scope: &Scope, width: usize) -> Result<Self> {
        let conv = |name| TripleConv::load(&scope.scope(name), width);
        Ok(Self {
            convs: [conv("c1_r")?, conv("c2_r")?, conv("c3_r")?],
        })
    }

    /// x `[N, H, W, C]` → the same shape, and what the first convolution gave
    fn forward<'g>(&self, x: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let [c1, c2, c3] = &self.convs;
        // `SPAB` applies SiLU in place: what leaves the block is activated.
        let first = c1.forward(x).silu();
        let h = c3.forward(c2.forward(first).silu());
        (h.self_gate(x), first)
    }
}

/// A convolution of 3×3 between two of 1×1, beside one of 1×1 (`Conv3XC`).
///
/// Files also hold the one window that these make together, for use after training; what they hold
/// is as old as the last use, so it is not read.
#[derive(Clone, Debug)]
struct TripleConv {
    sk: Linear,
    conv: (Conv2d, Conv2d, Linear),
}

impl TripleConv {
    fn load(scope: &Scope, in_channels: usize) -> Result<Self> {
        let geometry = |pixels| Conv2dGeometry {
            stride: 1,
            padding: Padding::same(pixels),
        };
        // The zeros around the picture come before all three.
        let first = Conv2d::load(&scope.scope("conv.0"), in_channels)?.with_geometry(geometry(1));
        let second = Conv2d::load(&scope.scope("conv.1"), first.out_channels())?;
        let second = second.with_geometry(geometry(0));
        let third = Linear::load(&scope.scope("conv.2"), second.out_channels())?;
        let sk = Linear::load_sized(&scope.scope("sk"), in_channels, third.out_features())?;
        Ok(Self {
            sk,
            conv: (first, second, third),
        })
    }

    /// The channels of what comes out.
    fn out_channels(&self) -> usize {
        self.sk.out_features()
    }

    /// x `[N, H, W, C]` → `[N, H, W, C_out]`
    fn forward<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        let (first, second, third) = &self.conv;
        let h = second.forward(first.forward(x)); // [N, H+2, W+2, ·] → [N, H, W, ·]
        self.sk.forward(x) + third.forward(h)
    }
}
