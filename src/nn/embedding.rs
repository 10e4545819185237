//! A table of vectors, one row per id or position.

use crate::error::Result;
use crate::tensor::{Param, Tensor};
use crate::weights::Scope;

/// `weight` `[rows, C]`, from which rows are taken.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    weight: Param,
}

impl Embedding {
    /// Loads `weight` `[rows, C]`; the file decides both.
    pub(crate) fn load(scope: &Scope) -> Result<Self> {
        let width = scope.shape("weight")?.dim(1);
        Self::load_sized(scope, width)
    }

    /// Loads `weight` `[rows, width]`; the file decides the rows.
    pub(crate) fn load_sized(scope: &Scope, width: usize) -> Result<Self> {
        let rows = scope.shape("weight")?.dim(0);
        scope.check_unscaled()?;
        Ok(Self {
            weight: scope.get("weight", [rows, width])?,
        })
    }

    /// The width of a row.
    pub(crate) fn width(&self) -> usize {
        self.weight.shape.dim(1)
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.weight.shape.dim(0)
    }

    /// ids `[N, L]` u32 → `[N, L, C]`
    pub(crate) fn forward<'g>(&self, ids: Tensor<'g>) -> Tensor<'g> {
        ids.recorder().at(&self.weight.name);
        ids.embedding(&self.weight)
    }

    /// Adds row l to position l: x `[N, L, C]` → the same shape, L at most [`Embedding::rows`]
    pub(crate) fn add_positions<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        x.recorder().at(&self.weight.name);
        let (length, width) = (x.dim(1), self.width());
        let mut table = x.recorder().param(&self.weight); // [rows, C]
        if length != self.rows() {
            // The first L rows are the first L·C elements.
            table = table
                .reshape([1, self.rows() * width])
                .slice_last(0, length * width); // [1, L·C]
        }
        x + table.reshape([1, length, width])
    }
}
