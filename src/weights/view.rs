//! What of a stored tensor has a name of its own.

use super::Stored;
use super::header::quoted;
use crate::tensor::Shape;

/// The part of a file's tensor that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// All of it.
    Whole,
    /// The first, second or third third of its rows: queries, keys, values.
    Third(usize),
    /// All of it, a matrix whose rows are the name's columns.
    Transposed,
}

impl View {
    /// The shape of what the name stands for; `None` where a tensor of that shape has no such part.
    pub(super) fn shape(self, stored: Shape) -> Option<Shape> {
        match (self, stored.dims()) {
            (Self::Whole, _) => Some(stored),
            (Self::Third(_), &[rows]) if rows.is_multiple_of(3) => Some(Shape::from([rows / 3])),
            (Self::Third(_), &[rows, columns]) if rows.is_multiple_of(3) => {
                Some(Shape::from([rows / 3, columns]))
            }
            (Self::Transposed, &[rows, columns]) => Some(Shape::from([columns, rows])),
            _ => None,
        }
    }

    /// The tensor as the name has it; nothing is moved.
    ///
    /// # Errors
    /// The reason, where the tensor cannot be seen so.
    pub(super) fn of(self, whole: Stored) -> Result<Stored, String> {
        let shape = self.shape(whole.shape).ok_or_else(|| {
            format!(
                "tensor {} of shape {} is not what its name says; the file is damaged: get it again",
                quoted(&whole.file_name),
                whole.shape
            )
        })?;
        let range = match self {
            Self::Third(third) => {
                let (start, bytes) = (whole.range.start, whole.range.len() / 3);
                start + third * bytes..start + (third + 1) * bytes
            }
            _ => whole.range,
        };
        Ok(Stored {
            range,
            shape,
            transposed: self == Self::Transposed,
            ..whole
        })
    }
}
