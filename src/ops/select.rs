//! Which kernel computes a product or an attention, and in which tiles: by what the device can do,
//! by the shape, and by what was found on the device.

use crate::tensor::{Caps, Const, DType, Dispatch, Lanes};

/// A kind of kernel, of which operations have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// Cooperative matrices of halves.
    Cooperative,
    /// For adapters that are CPUs: subgroups, no workgroup memory.
    Simd,
    /// Tiles of registers, fed from workgroup memory.
    Tiled,
    /// Tiles of registers alone: what every device can do.
    Plain,
}

impl Family {
    /// The name in reports and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cooperative => "cooperative",
            Self::Simd => "simd",
            Self::Tiled => "tiled",
            Self::Plain => "plain",
        }
    }

    /// Whether it computes every shape of its operations.
    pub(crate) fn serves_every_shape(self) -> bool {
        self != Self::Cooperative
    }
}

/// A way to divide a result among workgroups, and a workgroup's part among its invocations.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    family: Family,
    name: &'static str,
    /// Rows and columns of the result that a workgroup makes. Of `simd` kernels, columns of a lane.
    rows: usize,
    columns: usize,
    workgroup_bytes: u64,
    /// What the shader's constants are, whose names the family has.
    shape: [u32; 4],
}

impl Tile {
    /// The family and the tile, as in `tiled/64x64`.
    fn name(&self) -> String {
        format!("{}/{}", self.family.name(), self.name)
    }
}

/// The tiles of `common/block_tile.wgsl`, the largest first; then those for few rows and few columns.
const TILED: [Tile; 5] = [
    tiled("128x64", [16, 8, 2, 2]),
    tiled("64x64", [8, 8, 2, 2]),
    tiled("32x32", [8, 8, 1, 1]),
    tiled("16x64", [4, 16, 1, 1]),
    tiled("64x16", [16, 4, 1, 1]),
];
const TILED_SHAPE: [&str; 4] = ["ROW_THREADS", "COLUMN_THREADS", "ROW_FOURS", "COLUMN_FOURS"];

/// The tiles of `common/coop_tile.wgsl` with matrices of 16×16, the largest first.
const COOPERATIVE_16: [Tile; 4] = [
    cooperative("128x128", 16, [4, 2, 2, 4]),
    cooperative("128x64", 16, [4, 2, 2, 2]),
    cooperative("64x64", 16, [2, 2, 2, 2]),
    cooperative("32x32", 16, [2, 2, 1, 1]),
];
/// The same with matrices of 8×8.
const COOPERATIVE_8: [Tile; 2] = [
    cooperative("64x64", 8, [2, 2, 4, 4]),
    cooperative("32x32", 8, [2, 2, 2, 2]),
];
const COOPERATIVE_SHAPE: [&str; 4] = [
    "ROW_SUBGROUPS",
    "COLUMN_SUBGROUPS",
    "ROW_MATRICES",
    "COLUMN_MATRICES",
];

/// The tiles of `common/simd_tile.wgsl`: the wide one, and one for results that are narrow.
const SIMD: [Tile; 2] = [simd("16x8", 8), simd("16x4", 4)];

/// The tile of `common/tile.wgsl`.
const PLAIN: Tile = Tile {
    family: Family::Plain,
    name: "32x32",
    rows: 32,
    columns: 32,
    workgroup_bytes: 0,
    shape: [0; 4],
};

/// Steps along a sum that are in workgroup memory at a time.
const TILED_DEPTH: usize = 16;
const COOPERATIVE_DEPTH: usize = 32;
/// Results of so few rows or columns have tiles of their own, and no use for cooperative matrices.
const FEW: usize = 16;
/// Workgroups that keep the largest devices busy, by count: two on each of 132 cores, or one where a
/// workgroup is four subgroups or more.
const ENOUGH_TILED: usize = 256;
const ENOUGH_COOPERATIVE: usize = 128;

const fn tiled(name: &'static str, shape: [u32; 4]) -> Tile {
    let (row_blocks, column_blocks) = (shape[0] * shape[2], shape[1] * shape[3]);
    Tile {
        family: Family::Tiled,
        name,
        rows: 4 * row_blocks as usize,
        columns: 4 * column_blocks as usize,
        workgroup_bytes: TILED_DEPTH as u64 * (row_blocks + column_blocks + 2) as u64 * 16,
        shape,
    }
}

const fn cooperative(name: &'static str, size: u32, shape: [u32; 4]) -> Tile {
    let (rows, columns) = (size * shape[0] * shape[2], size * shape[1] * shape[3]);
    let results = 4 * shape[0] * shape[1] * size * size;
    Tile {
        family: Family::Cooperative,
        name,
        rows: rows as usize,
        columns: columns as usize,
        workgroup_bytes: 2 * (COOPERATIVE_DEPTH as u64 + 8) * (rows + columns) as u64
            + results as u64,
        shape,
    }
}

const fn simd(name: &'static str, columns: usize) -> Tile {
    Tile {
        family: Family::Simd,
        name,
        rows: 16,
        columns,
        workgroup_bytes: 0,
        shape: [0; 4],
    }
}

/// A matrix product, as far as the choice of its kernel depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// `linear` or `conv2d`.
    pub(crate) operation: &'static str,
    /// Rows and columns of the result.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Steps along the sum that lie together.
    pub(crate) depth: usize,
    /// Whether both factors fit halves.
    pub(crate) halves: bool,
}

impl Product {
    /// The kernel and its tile on such a device.
    pub(super) fn tiling(self, caps: &Caps) -> Tiling {
        let candidates = self.candidates(caps);
        let chosen = caps.choice.tile(self.operation, self.class());
        let chosen = chosen.and_then(|name| candidates.iter().find(|tile| tile.name() == name));
        let tile = chosen
            .copied()
            .unwrap_or_else(|| self.by_table(&candidates, caps));
        Tiling {
            product: self,
            tile,
            simd: caps.simd,
            cooperative: caps.cooperative,
        }
    }

    /// What the device can use and may, the best family first; the plain kernel where there is nothing else.
    fn candidates(&self, caps: &Caps) -> Vec<Tile> {
        let small = self.rows <= FEW || self.columns <= FEW || self.depth < COOPERATIVE_DEPTH;
        let cooperative: &[Tile] = match caps.cooperative {
            Some(16) if self.halves && !small => &COOPERATIVE_16,
            Some(8) if self.halves && !small => &COOPERATIVE_8,
            _ => &[],
        };
        let (simd, tiled): (&[Tile], &[Tile]) = match caps.simd {
            Some(_) => (&SIMD, &[]),
            None => (&[], &TILED),
        };
        let families = [cooperative, simd, tiled].into_iter().flatten();
        let fits = |tile: &&Tile| {
            tile.workgroup_bytes <= caps.max_workgroup_bytes
                && caps.choice.allows(self.operation, tile.family.name())
        };
        let mut candidates: Vec<Tile> = families.chain([&PLAIN]).filter(fits).copied().collect();
        if candidates.is_empty() {
            candidates.push(PLAIN);
        }
        candidates
    }

    /// Of the best family, what the tables have for the shape.
    fn by_table(&self, candidates: &[Tile], caps: &Caps) -> Tile {
        let family = candidates[0].family;
        let tiles = candidates.iter().filter(|tile| tile.family == family);
        let tiles: Vec<Tile> = tiles.copied().collect();
        let named = |name: &str| tiles.iter().find(|tile| tile.name == name).copied();
        let found = match family {
            Family::Plain => None,
            Family::Simd => {
                let narrow = caps.simd.unwrap_or(1) as usize * 4;
                named(if self.columns <= narrow {
                    "16x4"
                } else {
                    "16x8"
                })
            }
            Family::Tiled if self.rows <= FEW => named("16x64"),
            Family::Tiled if self.columns <= FEW => named("64x16"),
            Family::Tiled => self.largest(&tiles, ENOUGH_TILED).or(named("32x32")),
            Family::Cooperative => self.largest(&tiles, ENOUGH_COOPERATIVE).or(named("32x32")),
        };
        found.unwrap_or(tiles[0])
    }

    /// The largest tile that makes enough workgroups, of which at most an eighth hangs over the edge.
    fn largest(&self, tiles: &[Tile], enough: usize) -> Option<Tile> {
        let fits = |tile: &&Tile| {
            let [down, across] = [
                self.rows.div_ceil(tile.rows),
                self.columns.div_ceil(tile.columns),
            ];
            let padded = down * tile.rows * across * tile.columns;
            down * across >= enough && padded * 8 <= self.rows * self.columns * 9
        };
        tiles.iter().find(fits).copied()
    }

    /// The tiles of all families that the device can use and may.
    pub(crate) fn tiles(&self, caps: &Caps) -> Vec<(Family, String)> {
        let candidates = self.candidates(caps).into_iter();
        candidates.map(|tile| (tile.family, tile.name())).collect()
    }

    /// The tile that is taken on such a device, and the class of the shape.
    pub(crate) fn table(&self, caps: &Caps) -> (String, &'static str) {
        (self.tiling(caps).tile.name(), self.class())
    }

    /// What shapes have their tile chosen together: those that make about as many workgroups.
    fn class(&self) -> &'static str {
        if self.rows <= FEW {
            return "few-rows";
        }
        if self.columns <= FEW {
            return "few-columns";
        }
        match self.rows.div_ceil(64) * self.columns.div_ceil(64) {
            256.. => "many",
            64.. => "some",
            _ => "few",
        }
    }
}

/// A dispatch of a kernel that sums over a workgroup: with barriers, or on a CPU by a subgroup.
pub(super) fn reduction(dispatch: Dispatch, operation: &str, caps: &Caps) -> Dispatch {
    match caps.simd {
        Some(size) if caps.choice.allows(operation, Family::Simd.name()) => dispatch
            .import("reduce_simd")
            .constant("SIMD", Const::U32(size)),
        _ => dispatch.import("reduce"),
    }
}

/// The families of such kernels that a device can use, the best first.
pub(crate) fn reductions(caps: &Caps) -> Vec<(Family, String)> {
    let families = [caps.simd.map(|_| Family::Simd), Some(Family::Tiled)];
    let families = families.into_iter().flatten();
    families
        .map(|family| (family, family.name().to_owned()))
        .collect()
}

/// Every tile that a device with such capabilities may take for some product, as in `tiled/64x64`.
#[cfg(test)]
pub(crate) fn all_tiles(caps: &Caps) -> Vec<String> {
    let product = Product {
        operation: "linear",
        rows: 64,
        columns: 64,
        depth: 64,
        halves: true,
    };
    let tiles = product.tiles(caps).into_iter();
    tiles.map(|(_, name)| name).collect()
}

/// Whether a product of values of such types loses nothing by taking both as halves: the values are
/// halves already, and the weights no finer. Weights of bf16 lose what is smaller than halves tell.
pub(super) fn fits_halves(x: DType, weight: DType) -> bool {
    let coarse = [DType::F16, DType::Bf16, DType::F8E4m3, DType::F8E5m2];
    x == DType::F16 && coarse.contains(&weight)
}

/// The kernel for a product, and its grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    product: Product,
    tile: Tile,
    simd: Option<u32>,
    cooperative: Option<u32>,
}

impl Tiling {
    /// A dispatch of the kernel with its grid and the constants of its tile.
    pub(super) fn dispatch(&self, lanes: Lanes) -> Dispatch {
        let groups = self.product.rows.div_ceil(self.tile.rows) * self.column_tiles();
        let dispatch = Dispatch::new(self.shader(), lanes).groups(groups);
        let constants = |dispatch: Dispatch, names: [&'static str; 4], depth: usize| {
            let shape = names.into_iter().zip(self.tile.shape);
            let dispatch = shape.fold(dispatch, |dispatch, (name, value)| {
                dispatch.constant(name, Const::U32(value))
            });
            dispatch.constant("DEPTH", Const::U32(small(depth)))
        };
        match self.tile.family {
            Family::Plain => dispatch,
            Family::Simd => dispatch
                .constant("SIMD", Const::U32(self.simd.unwrap_or(1)))
                .constant("COLUMNS", Const::U32(small(self.tile.columns))),
            Family::Tiled => {
                let depth = self.product.depth.next_multiple_of(4).min(TILED_DEPTH);
                let dispatch = dispatch.import("outer").import("block_tile");
                constants(dispatch, TILED_SHAPE, depth)
            }
            Family::Cooperative => {
                let dispatch = dispatch
                    .import("coop_tile")
                    .constant("COOP", Const::U32(self.cooperative.unwrap_or(16)));
                constants(dispatch, COOPERATIVE_SHAPE, COOPERATIVE_DEPTH)
            }
        }
    }

    /// How many tiles there are in a row.
    pub(super) fn column_tiles(&self) -> usize {
        let lanes = match self.tile.family {
            Family::Simd => self.simd.unwrap_or(1) as usize,
            _ => 1,
        };
        self.product.columns.div_ceil(lanes * self.tile.columns)
    }

    fn shader(&self) -> &'static str {
        match (self.product.operation, self.tile.family) {
            ("conv2d", Family::Plain) => "conv2d",
            ("conv2d", Family::Simd) => "conv2d_simd",
            ("conv2d", _) => "conv2d_tile",
            (_, Family::Plain) => "linear",
            (_, Family::Simd) => "linear_simd",
            _ => "linear_tile",
        }
    }
}

fn small(value: usize) -> u32 {
    u32::try_from(value).expect("tiles are small")
}

#[cfg(test)]
mod tests;
