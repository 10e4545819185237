//! How workgroups share the rows and channels of a group norm: whose kernel all its operations have.

use super::Activation;
use crate::tensor::{Caps, Const, Dispatch, Io, Lanes, Operand, Shape, View};

/// Invocations of a workgroup: on a CPU, where they run one after the other, and on a GPU, where loads
/// of many hide one another's delay.
const CPU_INVOCATIONS: usize = 64;
const GPU_INVOCATIONS: usize = 256;

/// The bytes of a row that a workgroup reads at least: two cache lines of a CPU, which fetches lines
/// in pairs, and a sector of a GPU's cache. More would leave fewer workgroups.
const CPU_BYTES: usize = 128;
const GPU_BYTES: usize = 32;

/// The most groups of channels in a workgroup, none of whose invocations has two.
const MAX_SET: usize = CPU_INVOCATIONS;

/// The most parts of the rows, and the fewest loads that an invocation is worth: who merges the parts
/// reads the moments of all.
const MAX_PARTS: usize = 128;
const MIN_LOADS: usize = 64;

/// The rows of a part where there are so many.
fn part_rows(positions: usize, parts: usize) -> usize {
    positions.div_ceil(parts)
}

/// What comes out of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Normalised(Option<Activation>),
    Coefficients,
    Moments,
}

/// What is bound beside x.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NormOperands {
    /// Places among the inputs.
    pub(super) weight: Option<usize>,
    pub(super) bias: Option<usize>,
    pub(super) beside: Option<usize>,
    /// `[N, parts, G, 2]`.
    pub(super) moments: Option<usize>,
    /// `[N, 1, G, 2]`.
    pub(super) given: Option<usize>,
}

/// Rows, channels and workgroups.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormGrid {
    shape: Shape,
    x_channels: usize,
    num_groups: usize,
    invocations: usize,
    lanes: Lanes,
    /// Neighbouring groups of one workgroup.
    set: usize,
    /// Parts of the rows, one a workgroup.
    parts: usize,
}

impl NormGrid {
    /// For x `[N, .., x_channels]` with so many channels beside it, and rows in so many parts. If there
    /// are several, a workgroup takes whole rows if it can; if not, as few channels as are read well.
    pub(super) fn new(
        x: View,
        beside: usize,
        num_groups: usize,
        parts: usize,
        caps: &Caps,
    ) -> Self {
        let (invocations, bytes) = match caps.simd {
            Some(_) => (CPU_INVOCATIONS, CPU_BYTES),
            None => (GPU_INVOCATIONS, GPU_BYTES),
        };
        let x_channels = x.shape.last();
        let shape = x.shape.with_last(x_channels + beside);
        let width = shape.last() / num_groups;
        let sets = |lanes: Lanes| {
            let fits = move |&set: &usize| {
                let is_whole =
                    num_groups.is_multiple_of(set) && (set * width).is_multiple_of(lanes.count());
                is_whole && (set == 1 || set * width / lanes.count() <= invocations)
            };
            (1..=num_groups.min(MAX_SET)).filter(fits)
        };
        let lanes = match Lanes::dividing(&[shape.last(), x_channels]) {
            Lanes::Four if sets(Lanes::Four).next().is_some() => Lanes::Four,
            _ => Lanes::One,
        };
        let is_wide = |&set: &usize| parts == 1 && set * width * x.dtype.size_bytes() >= bytes;
        let widest = sets(lanes).next_back().unwrap_or(1);
        Self {
            shape,
            x_channels,
            num_groups,
            invocations,
            lanes,
            set: sets(lanes).find(is_wide).unwrap_or(widest),
            parts,
        }
    }

    /// Lanes of a row that a workgroup reads.
    fn columns(&self) -> usize {
        self.set * (self.shape.last() / self.num_groups) / self.lanes.count()
    }

    fn positions(&self) -> usize {
        self.shape.len() / self.shape.dim(0) / self.shape.last()
    }

    /// How many parts the rows are worth.
    pub(super) fn worthwhile_parts(
        x: View,
        beside: usize,
        num_groups: usize,
        caps: &Caps,
    ) -> usize {
        let whole = Self::new(x, beside, num_groups, MAX_PARTS, caps);
        let loads = whole.positions() * whole.columns() / whole.invocations;
        let parts = (loads / MIN_LOADS).clamp(1, MAX_PARTS);
        whole
            .positions()
            .div_ceil(part_rows(whole.positions(), parts))
    }

    /// The kernel's run over x, the first input.
    pub(super) fn dispatch(
        &self,
        io: &Io,
        operands: NormOperands,
        outcome: Outcome,
        eps: f32,
    ) -> Dispatch {
        let lanes = self.lanes;
        let operand = |place: Option<usize>| {
            place.map(|place| (Operand::Input(place), io.inputs[place].dtype))
        };
        let (code, activation, written) = match outcome {
            Outcome::Normalised(activation) => (0, activation, lanes),
            Outcome::Coefficients => (1, None, lanes),
            Outcome::Moments => (2, None, Lanes::One),
        };
        let known = operands.moments.map(|place| io.inputs[place].shape.dim(1));
        let [positions, known] = [self.positions(), known.unwrap_or(1)];
        let columns = self.columns();
        let invocations = u32::try_from(self.invocations).unwrap_or(u32::MAX);
        Dispatch::new("group_norm", lanes)
            .read("x", Operand::Input(0), io.inputs[0].dtype, lanes)
            .write("y", io.output, written)
            .read_if("weight", operand(operands.weight), lanes)
            .read_if("bias", operand(operands.bias), lanes)
            .read_if("beside", operand(operands.beside), lanes)
            .read_if("moments", operand(operands.moments), Lanes::One)
            .read_if("given", operand(operands.given), Lanes::One)
            .constant("SIZE", Const::U32(invocations))
            .constant("WIDE", Const::Bool(columns > self.invocations))
            .constant("RESULT", Const::U32(code))
            .constant("ACTIVATION", Const::U32(Activation::code(activation)))
            .param("batch", self.shape.dim(0))
            .param("positions", positions)
            .param("channels", self.shape.last() / lanes.count())
            .param("x_channels", self.x_channels / lanes.count())
            .param("num_groups", self.num_groups)
            .param("set_groups", self.set)
            .param("parts", self.parts)
            .param("part_rows", part_rows(positions, self.parts))
            .param("moment_parts", known)
            .param("moment_rows", part_rows(positions, known))
            .param_f32("eps", eps)
            .groups(self.shape.dim(0) * self.parts * (self.num_groups / self.set))
    }
}
