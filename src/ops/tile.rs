//! How matrix kernels divide their result into tiles: by what the device is.

use crate::tensor::{Caps, Const, Dispatch, Lanes};

/// Rows and columns that a workgroup of 8×8 invocations computes, 4×4 each (`common/tile.wgsl`).
const TILE: usize = 32;
/// Rows that a subgroup computes on a CPU (`common/simd_tile.wgsl`).
const SIMD_ROWS: usize = 16;
/// Columns that a lane of it computes; fewer where the whole tile would hang over the edge.
const SIMD_COLUMNS: [u32; 2] = [4, 8];

/// The kernel for a result of some rows and columns, and its grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    rows: usize,
    columns: usize,
    simd: Option<u32>,
}

impl Tiling {
    pub(super) fn of(rows: usize, columns: usize, caps: &Caps) -> Self {
        Self {
            rows,
            columns,
            simd: caps.simd,
        }
    }

    /// A dispatch of `portable`, or of `simd` on a CPU, with its grid and the constants of its tile.
    pub(super) fn dispatch(
        &self,
        portable: &'static str,
        simd: &'static str,
        lanes: Lanes,
    ) -> Dispatch {
        let groups = self.rows.div_ceil(self.row_tile()) * self.column_tiles();
        let Some(size) = self.simd else {
            return Dispatch::new(portable, lanes).groups(groups);
        };
        Dispatch::new(simd, lanes)
            .groups(groups)
            .constant("SIMD", Const::U32(size))
            .constant("COLUMNS", Const::U32(self.simd_columns(size)))
    }

    /// How many tiles there are in a row.
    pub(super) fn column_tiles(&self) -> usize {
        let tile = match self.simd {
            Some(size) => (size * self.simd_columns(size)) as usize,
            None => TILE,
        };
        self.columns.div_ceil(tile)
    }

    fn row_tile(&self) -> usize {
        match self.simd {
            Some(_) => SIMD_ROWS,
            None => TILE,
        }
    }

    fn simd_columns(&self, size: u32) -> u32 {
        let [narrow, wide] = SIMD_COLUMNS;
        let fits = self.columns <= (size * narrow) as usize;
        if fits { narrow } else { wide }
    }
}
