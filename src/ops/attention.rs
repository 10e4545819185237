//! Scaled dot-product attention in one pass over the keys.

use super::arithmetic::dot;
use super::select::Family;
use crate::tensor::{
    Array, Caps, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor, View,
};
use rayon::prelude::*;

/// The operation's name.
const NAME: &str = "attention";
/// The most invocations that share four queries.
const MAX_COLUMNS: usize = 32;
/// Invocations of a workgroup of the kernel for GPUs.
const THREADS: usize = 64;
/// Fours of a head's channels that an invocation of it keeps of each of four queries: more registers
/// than these leave too few invocations on a GPU's core to hide its waits.
const MAX_SLOTS: usize = 5;
/// Channels of queries and keys that it has in workgroup memory at a time, at most.
const MAX_DEPTH: usize = 16;
/// Queries that an invocation of the kernel for CPUs answers: as many as workgroup memory holds.
const SIMD_QUERIES: [usize; 3] = [4, 2, 1];
/// The workgroup memory that every device grants, in bytes.
const WORKGROUP_BYTES: usize = 16 << 10;
/// The widest head of any model, the VAE's: 32 columns keep 4 slots of it each.
const MAX_HEAD_DIM: usize = 512;

/// Which keys a query may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// All of them.
    None,
    /// Those at its own position and before.
    Causal,
}

/// q `[N, Lq, H·D]`, k and v `[N, Lk, H·D]` → `[N, Lq, H·D]`: softmax(q·kᵀ/√D)·v for each head. The
/// three may come as one `[3, N, L, H·D]`.
/// Vaswani et al. 2017 (arXiv 1706.03762), eq. 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    /// H, the number of heads.
    pub(crate) num_heads: usize,
    /// Which keys a query may see.
    pub(crate) mask: Mask,
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let [q, k, v] = match *inputs {
            [joined] => [part(joined); 3],
            _ => [inputs[0], inputs[1], inputs[2]],
        };
        let fits = q.rank() == 3
            && k.rank() == 3
            && q.dim(0) == k.dim(0)
            && q.last() == k.last()
            && k == v;
        if !fits {
            return Err(format!("q {q}, k {k} and v {v} do not belong together"));
        }
        if q.last() % self.num_heads != 0 || q.last() / self.num_heads > MAX_HEAD_DIM {
            let heads = self.num_heads;
            return Err(format!(
                "{} channels do not make {heads} heads of at most {MAX_HEAD_DIM}",
                q.last()
            ));
        }
        Ok(q)
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let [(q, q_from), (k, k_from), (v, v_from)] = operands(io);
        let head_dim = q.shape.last() / self.num_heads;
        let (kernel, lanes, queries) = kernel(head_dim, caps);
        let query_blocks = q.shape.dim(1).div_ceil(queries);
        let dispatch = kernel
            .read("q", q_from, q.dtype, lanes)
            .read("k", k_from, k.dtype, lanes)
            .read("v", v_from, v.dtype, lanes)
            .write("y", io.output, lanes)
            .constant("HEAD_DIM", Const::U32(as_u32(head_dim)))
            .constant("CAUSAL", Const::Bool(self.mask == Mask::Causal))
            .param("batch", q.shape.dim(0))
            .param("queries", q.shape.dim(1))
            .param("keys", k.shape.dim(1))
            .param("heads", self.num_heads)
            .param("query_blocks", query_blocks)
            .groups(q.shape.dim(0) * self.num_heads * query_blocks);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        if let [joined] = *inputs {
            let shape = part(joined.shape());
            let parts = joined.data().chunks_exact(shape.len());
            let parts: Vec<Array> = parts.map(|part| Array::new(shape, part.to_vec())).collect();
            return self.reference(&parts.iter().collect::<Vec<_>>());
        }
        let (q, k, v) = (inputs[0], inputs[1], inputs[2]);
        let (queries, keys, channels) = (q.shape().dim(1), k.shape().dim(1), q.shape().last());
        let head_dim = channels / self.num_heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut y = Array::zeros(q.shape());
        y.data_mut()
            .par_chunks_exact_mut(channels)
            .enumerate()
            .for_each(|(row, y)| {
                let (n, query) = (row / queries, row % queries);
                let visible = if self.mask == Mask::Causal {
                    query + 1
                } else {
                    keys
                };
                for head in 0..self.num_heads {
                    let of =
                        |array: &Array, row: usize| row * array.shape().last() + head * head_dim;
                    let q = &q.data()[of(q, row)..][..head_dim];
                    let score = |key: usize| {
                        let k = &k.data()[of(k, n * keys + key)..][..head_dim];
                        scale * dot(q, k)
                    };
                    let scores: Vec<f32> = (0..visible).map(score).collect();
                    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let weights: Vec<f32> =
                        scores.iter().map(|score| (score - max).exp()).collect();
                    let sum: f32 = weights.iter().sum();
                    let y = &mut y[head * head_dim..][..head_dim];
                    for (key, weight) in weights.iter().enumerate() {
                        let v = &v.data()[of(v, n * keys + key)..][..head_dim];
                        for (y, v) in y.iter_mut().zip(v) {
                            *y += weight / sum * v;
                        }
                    }
                }
            });
        y
    }

    fn flops(&self, io: &Io) -> u64 {
        let [(q, _), (k, _), _] = operands(io);
        4 * (q.shape.len() * k.shape.dim(1)) as u64
    }
}

/// `[3, N, L, C]` → `[N, L, C]`
fn part(joined: Shape) -> Shape {
    Shape::new(&joined.dims()[1..])
}

/// Queries, keys and values, each with its place.
fn operands(io: &Io) -> [(View, Operand); 3] {
    let [joined] = *io.inputs else {
        return [0, 1, 2].map(|i| (io.inputs[i], Operand::Input(i)));
    };
    let view = View {
        shape: part(joined.shape),
        ..joined
    };
    let bytes = view.size_bytes();
    [0, 1, 2].map(|i| (view, Operand::InputBytes(0, i * bytes..(i + 1) * bytes)))
}

/// The kernel for heads of that width with what only one of the two needs, its lanes, and the queries
/// of a workgroup.
fn kernel(head_dim: usize, caps: &Caps) -> (Dispatch, Lanes, usize) {
    let lanes = Lanes::dividing(&[head_dim]);
    let simd = caps.simd.filter(|_| caps.choice.allows(NAME, "simd"));
    let simd = simd.and_then(|size| {
        let fits = |queries: &usize| size as usize * queries * head_dim * 4 <= WORKGROUP_BYTES;
        Some((size, SIMD_QUERIES.into_iter().find(fits)?))
    });
    let Some((size, queries)) = simd else {
        let tile = Tile::chosen(head_dim, caps);
        return (tile.dispatch(lanes), lanes, tile.queries());
    };
    let groups = head_dim / lanes.count();
    let dispatch = Dispatch::new("attention_simd", lanes)
        .constant("SIMD", Const::U32(size))
        .constant("COLUMNS", Const::U32(as_u32(queries)))
        .constant("GROUPS", Const::U32(as_u32(groups)))
        .param("groups", groups);
    (dispatch, lanes, size as usize * queries)
}

/// How the kernel for GPUs divides a block of queries and keys among its invocations.
#[derive(Clone, Copy, Debug)]
struct Tile {
    /// Invocations that share four queries.
    columns: usize,
    /// Fours of keys that each of them scores.
    key_fours: usize,
    /// Channels in workgroup memory at a time.
    depth: usize,
    /// Values in workgroup memory at a time.
    values: usize,
}

impl Tile {
    /// Of [`Tile::candidates`], what was found best, or the first.
    fn chosen(head_dim: usize, caps: &Caps) -> Self {
        let candidates = Self::candidates(head_dim);
        let named = caps.choice.tile(NAME, class(head_dim));
        let found = candidates.iter().find(|tile| named == Some(&tile.name()));
        *found.unwrap_or(&candidates[0])
    }

    /// Tiles for heads of that width: the more channels, the fewer queries; or half as many.
    fn candidates(head_dim: usize) -> Vec<Self> {
        let columns = least_columns(head_dim);
        let wider = (2 * columns <= MAX_COLUMNS).then_some(2 * columns);
        let all = [Some(columns), wider].into_iter().flatten();
        all.map(|columns| Self::of(head_dim, columns)).collect()
    }

    fn of(head_dim: usize, columns: usize) -> Self {
        let fours = head_dim.div_ceil(4);
        let key_fours = if columns == 4 { 2 } else { 1 };
        let divides = |depth: &usize| (4 * fours).is_multiple_of(*depth);
        let depth = (4..=MAX_DEPTH).rev().step_by(4).find(divides).unwrap_or(4);
        // What the shader has in workgroup memory, in fours of f32.
        let (rows, key_blocks) = (THREADS / columns, key_fours * columns);
        let (scores, weights) = (depth * (rows + key_blocks + 2), 4 * key_blocks * rows);
        let fits = |values: &usize| {
            16 * ((values * fours).max(scores) + weights + THREADS) <= WORKGROUP_BYTES
        };
        let mut counts = std::iter::successors(Some(4 * key_blocks), |values| Some(values / 2));
        Self {
            columns,
            key_fours,
            depth,
            values: counts.find(fits).unwrap_or(1),
        }
    }

    /// The family, queries and keys, as in `tiled/64x32`.
    fn name(&self) -> String {
        let keys = 4 * self.key_fours * self.columns;
        format!("{}/{}x{keys}", Family::Tiled.name(), self.queries())
    }

    /// Queries that a workgroup answers.
    fn queries(&self) -> usize {
        4 * THREADS / self.columns
    }

    fn dispatch(&self, lanes: Lanes) -> Dispatch {
        Dispatch::new("attention", lanes)
            .constant("THREADS", Const::U32(as_u32(THREADS)))
            .constant("COLUMNS", Const::U32(as_u32(self.columns)))
            .constant("KEY_FOURS", Const::U32(as_u32(self.key_fours)))
            .constant("DEPTH", Const::U32(as_u32(self.depth)))
            .constant("VALUES", Const::U32(as_u32(self.values)))
    }
}

/// The fewest invocations that share four queries' answers in registers.
fn least_columns(head_dim: usize) -> usize {
    let slots = head_dim.div_ceil(4).div_ceil(MAX_SLOTS);
    slots.next_power_of_two().max(4)
}

/// What widths of heads have their tile chosen together.
fn class(head_dim: usize) -> &'static str {
    match least_columns(head_dim) {
        4 => "narrow",
        8 => "middle",
        _ => "wide",
    }
}

/// The tiles for heads of that width that a device can use and may, the best family first.
pub(crate) fn attention_tiles(head_dim: usize, caps: &Caps) -> Vec<(Family, String)> {
    if caps.simd.is_some() && caps.choice.allows(NAME, "simd") {
        let simd = (Family::Simd, "simd".to_owned());
        let rest = tiled(head_dim).take(usize::from(caps.choice.all));
        return [simd].into_iter().chain(rest).collect();
    }
    tiled(head_dim).collect()
}

fn tiled(head_dim: usize) -> impl Iterator<Item = (Family, String)> {
    let tiles = Tile::candidates(head_dim).into_iter();
    tiles.map(|tile| (Family::Tiled, tile.name()))
}

/// The tile that is taken on such a device, and the class of such heads.
pub(crate) fn attention_table(head_dim: usize, caps: &Caps) -> (String, &'static str) {
    let is_simd = caps.simd.is_some() && caps.choice.allows(NAME, "simd");
    let tile = match is_simd {
        true => "simd".to_owned(),
        false => Tile::chosen(head_dim, caps).name(),
    };
    (tile, class(head_dim))
}

fn as_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a head is at most 512 wide")
}

impl<'g> Tensor<'g> {
    /// q `[N, Lq, H·D]`, k and v `[N, Lk, H·D]` → `[N, Lq, H·D]`.
    pub(crate) fn attention(
        self,
        k: Tensor<'g>,
        v: Tensor<'g>,
        num_heads: usize,
        mask: Mask,
    ) -> Tensor<'g> {
        self.apply(Attention { num_heads, mask }, &[k, v])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const ONE_HEAD: Attention = Attention {
        num_heads: 1,
        mask: Mask::None,
    };
    const TWO_HEADS: Attention = Attention {
        num_heads: 2,
        mask: Mask::None,
    };
    const CAUSAL: Attention = Attention {
        num_heads: 2,
        mask: Mask::Causal,
    };

    op_test!(attention_of_one_head: [ONE_HEAD], [
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
        [[2, 13, 512], [2, 13, 512], [2, 13, 512]]
    ], f32 = 2e-5, f16 = 2e-3);
    op_test!(attention_of_two_heads: [TWO_HEADS], [
        [[1, 5, 10], [1, 77, 10], [1, 77, 10]],
        [[2, 117, 16], [2, 117, 16], [2, 117, 16]],
        [[1, 3, 320], [1, 65, 320], [1, 65, 320]],
        [[1, 70, 80], [1, 77, 80], [1, 77, 80]],
        [[1, 65, 128], [1, 100, 128], [1, 100, 128]],
        [[1, 33, 160], [1, 34, 160], [1, 34, 160]],
        [[1, 67, 16], [1, 4096, 16], [1, 4096, 16]],
        [[1, 131071, 2], [1, 2, 2], [1, 2, 2]]
    ], f32 = 2e-5, f16 = 2e-3);
    // Parts of 256 bytes, at which bindings may begin.
    op_test!(joined_attention: [TWO_HEADS, CAUSAL], [[[3, 2, 4, 64]], [[3, 1, 16, 64]]], f32 = 2e-5, f16 = 2e-3);
    op_test!(causal_attention: [CAUSAL], [[[2, 77, 32], [2, 77, 32], [2, 77, 32]]], f32 = 2e-5, f16 = 2e-3);
}
