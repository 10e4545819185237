//! The noise of a run, drawn or recorded, for each picture of its own.

use super::latent::LatentShape;
use super::request::{Noise, Request};
use crate::error::{Error, Result};
use crate::sampling::{NoiseGenerator, NoiseSource};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// The noise of a batch: one generator a picture, or a file.
#[derive(Debug)]
pub(super) enum RunNoise {
    /// Drawn from `seed + i` for picture `i`.
    Drawn(Vec<NoiseGenerator>),
    /// Read from a trace.
    Recorded(Recorded),
}

/// Noise read from a file, checked: all that a run needs is there.
#[derive(Debug)]
pub(super) struct Recorded {
    initial: Vec<f32>,
    following: std::vec::IntoIter<Vec<f32>>,
}

impl RunNoise {
    /// Starts the noise of a resolved request whose table draws `count` times.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadFile`] of recorded noise that is not what the run needs.
    pub(super) fn start(request: &Request, shape: LatentShape, count: usize) -> Result<Self> {
        let seed = request.seed.unwrap_or_default();
        let source = match &request.noise {
            Noise::TorchCpu => NoiseSource::TorchCpu,
            Noise::Philox => NoiseSource::Philox,
            Noise::Recorded(path) => return Recorded::read(path, shape, count).map(Self::Recorded),
        };
        let seeds = (0..request.batch_size as u64).map(|i| seed.wrapping_add(i));
        Ok(Self::Drawn(
            seeds.map(|seed| source.generator(seed)).collect(),
        ))
    }

    /// The unit normal that the first latent is made of, `[N, C, h, w]`.
    pub(super) fn initial(&mut self, shape: LatentShape) -> Vec<f32> {
        match self {
            Self::Drawn(generators) => draw(generators, shape),
            Self::Recorded(recorded) => std::mem::take(&mut recorded.initial),
        }
    }

    /// The next unit normal, `[N, C, h, w]`.
    pub(super) fn next(&mut self, shape: LatentShape) -> Vec<f32> {
        match self {
            Self::Drawn(generators) => draw(generators, shape),
            Self::Recorded(recorded) => {
                let next = recorded.following.next();
                next.expect("as many were read as the table draws")
            }
        }
    }
}

fn draw(generators: &mut [NoiseGenerator], shape: LatentShape) -> Vec<f32> {
    let drawn = generators
        .iter_mut()
        .map(|generator| generator.normal(shape.picture_len()));
    drawn.flatten().collect()
}

impl Recorded {
    fn read(path: &Path, shape: LatentShape, count: usize) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
        if !metadata.is_file() {
            return Err(Error::bad_file(
                path,
                "is not a file; give a trace, as --trace writes it",
            ));
        }
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| {
            Error::bad_file(
                path,
                format!("holds no recorded noise ({error}); give a trace, as --trace writes it"),
            )
        })?;
        let tensor = |name: &str| {
            normal(&tensors, name, shape).map_err(|reason| Error::bad_file(path, reason))
        };
        let following: Result<Vec<_>> = (0..count)
            .map(|i| tensor(&format!("noise.{i:03}")))
            .collect();
        Ok(Self {
            initial: tensor("latents_init")?,
            following: following?.into_iter(),
        })
    }
}

/// A recorded tensor as f32, or why the run cannot use it.
fn normal(
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: LatentShape,
) -> std::result::Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|_| {
        format!("has no tensor {name}; this run needs it: record one with the same settings")
    })?;
    let expected = shape.nchw();
    if tensor.shape() != expected || tensor.dtype() != Dtype::F32 {
        let (found, dtype) = (tensor.shape(), tensor.dtype());
        return Err(format!(
            "tensor {name} is {dtype:?} {found:?}, expected F32 {expected:?}; record one with the same settings"
        ));
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(format!(
            "tensor {name} has values that are not finite; record it again"
        ))
    }
}
