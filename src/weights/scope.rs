//! A place in the tree of weight names, from which a layer takes its own.

use super::Weights;
use crate::error::{Error, Result};
use crate::tensor::{Param, Shape};
use std::fmt::Display;
use std::sync::Arc;

/// What ComfyUI calls the scale of a quantised weight, in `scaled_fp8` files and in later ones.
const WEIGHT_SCALES: [&str; 2] = ["scale_weight", "weight_scale"];

/// The weight that a tensor of that name scales.
pub(crate) fn scaled_weight(name: &str) -> Option<String> {
    let (layer, leaf) = name.rsplit_once('.')?;
    WEIGHT_SCALES
        .contains(&leaf)
        .then(|| format!("{layer}.weight"))
}

/// The weights below one name, such as `unet.down_blocks.0`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    weights: Weights,
    path: Arc<str>,
}

impl Scope {
    pub(super) fn new(weights: Weights, path: &str) -> Self {
        Self {
            weights,
            path: path.into(),
        }
    }

    /// The scope of a child; `child` may contain dots, as `down_blocks.0`.
    #[must_use]
    pub(crate) fn scope(&self, child: impl Display) -> Self {
        Self {
            weights: self.weights.clone(),
            path: self.full(&child).into(),
        }
    }

    /// The weight `name`, which must have this shape.
    ///
    /// A convolution of 1×1 and a linear layer are the same matrix, so `[O, I]` and `[O, I, 1, 1]`
    /// fit each other; the returned weight has the shape asked for.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is no such tensor, [`Error::TensorMismatch`] if it is of
    /// another shape, empty or not of floats, [`Error::Unsupported`] if it is of floats that are not
    /// computed with here.
    pub(crate) fn get(&self, name: &str, shape: impl Into<Shape>) -> Result<Param> {
        let (name, shape) = (self.full(&name), shape.into());
        let found = self.weights.find(&name)?;
        let fits = found.shape == shape
            || matrix(found.shape).is_some_and(|axes| matrix(shape) == Some(axes));
        let dtype = found.dtype.dtype().filter(|_| fits && shape.len() > 0);
        let Some(dtype) = dtype else {
            return Err(self.mismatch(&name, shape)?);
        };
        Ok(self.weights.make_param(&name, shape, dtype))
    }

    /// The number that `weight` is multiplied by, as quantised checkpoints have it; 1 without one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is a scale that is not one finite number.
    pub(crate) fn weight_scale(&self) -> Result<f32> {
        let Some(name) = WEIGHT_SCALES.iter().find(|name| self.has(name)) else {
            return Ok(1.0);
        };
        match self.weights.values(&self.full(name)).as_deref() {
            Some(&[scale]) if scale.is_finite() => Ok(scale),
            _ => Err(self.unsupported(format_args!(
                "{name} is not one number for all of the weight; use an f16, bf16 or f32 version \
                 of the model"
            ))),
        }
    }

    /// That `weight` is what is stored, for layers that know no scale of it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is any.
    pub(crate) fn check_unscaled(&self) -> Result<()> {
        match WEIGHT_SCALES.iter().find(|name| self.has(name)) {
            None => Ok(()),
            Some(name) => Err(self.unsupported(format_args!(
                "{name} of a layer that is no product of matrices; use an f16, bf16 or f32 version \
                 of the model"
            ))),
        }
    }

    /// Whether there is exactly this tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.weights.contains(&self.full(&name))
    }

    /// Whether there is any tensor below this name.
    pub(crate) fn has_scope(&self, name: &str) -> bool {
        self.weights.contains_below(&self.full(&name))
    }

    /// The length of one axis of a tensor as stored, of whatever type; `None` if it is not there.
    pub(crate) fn axis(&self, name: &str, axis: usize) -> Option<usize> {
        let stored = self.weights.find(&self.full(&name));
        stored.map_or(None, |stored| Some(stored.shape.dim(axis)))
    }

    /// The shape of a tensor as stored.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Shape> {
        Ok(self.weights.find(&self.full(&name))?.shape)
    }

    /// How many numbered children there are: `child.0.…`, `child.1.…` and so on, without a gap.
    pub(crate) fn count(&self, child: &str) -> usize {
        (0..)
            .take_while(|n| self.has_scope(&format!("{child}.{n}")))
            .count()
    }

    /// The error for something at this place that is not supported, with the file's name.
    pub(crate) fn unsupported(&self, reason: impl Display) -> Error {
        let file = self.weights.path_of(&self.path).display();
        Error::Unsupported(format!("{file}: {}: {reason}", self.path))
    }

    /// The full name of this place, such as `unet.down_blocks.0`; empty at the root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn full(&self, name: &impl Display) -> String {
        if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Why the stored tensor cannot be the weight that was asked for.
    fn mismatch(&self, name: &str, shape: Shape) -> Result<Error> {
        let found = self.weights.find(name)?;
        let path = self.weights.path_of(name);
        let code = found.dtype.code().to_lowercase();
        if found.dtype.is_tiny_float() {
            return Ok(Error::Unsupported(format!(
                "{}: tensor {name} is stored as {code}; use an f16, bf16 or f32 version of the model",
                path.display()
            )));
        }
        let expected = if shape.len() > 0 {
            format!("{shape} of f32, f16, bf16 or 8-bit floats")
        } else {
            "at least one element".to_owned()
        };
        Ok(Error::TensorMismatch {
            path: path.to_owned(),
            tensor: name.to_owned(),
            expected,
            found: format!("{} of {code}", found.shape),
        })
    }
}

/// The rows and columns of `[O, I]` or `[O, I, 1, 1]`.
fn matrix(shape: Shape) -> Option<[usize; 2]> {
    match *shape.dims() {
        [rows, columns] | [rows, columns, 1, 1] => Some([rows, columns]),
        _ => None,
    }
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
