//! Plain f32 arrays: what the reference of each operation computes with.

use super::Shape;

/// A dense array of f32, last axis fastest. Integers are held exactly up to 2²⁴.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    shape: Shape,
    data: Vec<f32>,
}

impl Array {
    /// An array of the given shape and elements.
    ///
    /// # Panics
    /// If the number of elements is not that of the shape.
    pub(crate) fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.len(),
            data.len(),
            "an array of shape {shape} needs that many elements"
        );
        Self { shape, data }
    }

    /// An array of zeros.
    pub(crate) fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self {
            shape,
            data: vec![0.0; shape.len()],
        }
    }

    /// The array's shape.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The elements, last axis fastest.
    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    /// The elements, last axis fastest, to write.
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The same elements under another shape.
    pub(crate) fn reshaped(self, shape: Shape) -> Self {
        Self::new(shape, self.data)
    }

    /// The array that `f` makes of each element.
    pub(crate) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self {
            shape: self.shape,
            data: self.data.iter().map(|&value| f(value)).collect(),
        }
    }
}
