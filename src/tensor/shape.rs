//! Shapes: up to five axes, slowest first.

use std::fmt;

/// The most axes that a tensor here can have: `[slot, N, H, W, C]`.
pub(crate) const MAX_RANK: usize = 5;

/// The lengths of a tensor's axes, slowest first. Small and `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape of the given axes.
    ///
    /// # Panics
    /// If there are more than [`MAX_RANK`] axes: files with such tensors are refused at the door.
    pub(crate) fn new(axes: &[usize]) -> Self {
        assert!(
            axes.len() <= MAX_RANK,
            "a shape has at most {MAX_RANK} axes, not {axes:?}"
        );
        let mut dims = [1; MAX_RANK];
        dims[..axes.len()].copy_from_slice(axes);
        Self {
            dims,
            rank: axes.len(),
        }
    }

    /// The axes, slowest first.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// The number of axes.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// The length of one axis, 1 past the last.
    pub(crate) fn dim(&self, axis: usize) -> usize {
        self.dims().get(axis).copied().unwrap_or(1)
    }

    /// The length of the last axis: channels, in the layouts used here.
    pub(crate) fn last(&self) -> usize {
        self.dims().last().copied().unwrap_or(1)
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// The number of rows when the last axis is taken as columns.
    pub(crate) fn rows(&self) -> usize {
        self.dims().iter().rev().skip(1).product()
    }

    /// The same shape with one more axis in front.
    ///
    /// # Panics
    /// If it has [`MAX_RANK`] axes already.
    pub(crate) fn with_leading(self, length: usize) -> Self {
        let axes: Vec<usize> = [length].iter().chain(self.dims()).copied().collect();
        Self::new(&axes)
    }

    /// The same shape with another last axis.
    pub(crate) fn with_last(mut self, length: usize) -> Self {
        if self.rank > 0 {
            self.dims[self.rank - 1] = length;
        }
        self
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        Self::new(&axes)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}
