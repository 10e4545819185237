//! The noise of a run, drawn or recorded, for each picture of its own.

use super::latent::LatentShape;
use super::request::{Noise, Request};
use crate::error::{Error, Result};
use crate::sampling::NoiseGenerator;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// The noise of a batch: one generator a picture, or a file.
#[derive(Debug)]
pub(super) enum RunNoise {
    /// Drawn from `seed + i` for picture `i`.
    Drawn(Vec<NoiseGenerator>),
    /// Read from a trace.
    Recorded(Recorded),
}

/// Noise read from a file.
#[derive(Debug)]
pub(super) struct Recorded {
    path: PathBuf,
    bytes: Vec<u8>,
    drawn: usize,
}

impl RunNoise {
    /// Starts the noise of a resolved request.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadFile`] of the recorded noise.
    pub(super) fn start(request: &Request) -> Result<Self> {
        let seed = request.seed.unwrap_or_default();
        match (&request.noise, request.noise.source()) {
            (Noise::Recorded(path), _) => Recorded::open(path).map(Self::Recorded),
            (_, source) => {
                let source = source.unwrap_or_default();
                let seeds = (0..request.batch_size as u64).map(|i| seed.wrapping_add(i));
                Ok(Self::Drawn(
                    seeds.map(|seed| source.generator(seed)).collect(),
                ))
            }
        }
    }

    /// The unit normal that the first latent is made of, `[N, C, h, w]`.
    ///
    /// # Errors
    /// [`Error::BadFile`] if recorded noise lacks it or has another shape.
    pub(super) fn initial(&mut self, shape: LatentShape) -> Result<Vec<f32>> {
        match self {
            Self::Drawn(generators) => Ok(draw(generators, shape)),
            Self::Recorded(recorded) => recorded.tensor("latents_init", shape),
        }
    }

    /// The next unit normal, `[N, C, h, w]`.
    ///
    /// # Errors
    /// As [`RunNoise::initial`].
    pub(super) fn next(&mut self, shape: LatentShape) -> Result<Vec<f32>> {
        match self {
            Self::Drawn(generators) => Ok(draw(generators, shape)),
            Self::Recorded(recorded) => {
                let name = format!("noise.{:03}", recorded.drawn);
                recorded.drawn += 1;
                recorded.tensor(&name, shape)
            }
        }
    }
}

fn draw(generators: &mut [NoiseGenerator], shape: LatentShape) -> Vec<f32> {
    generators
        .iter_mut()
        .flat_map(|generator| generator.normal(shape.picture_len()))
        .collect()
}

impl Recorded {
    fn open(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
        if !size.is_file() {
            return Err(Error::bad_file(
                path,
                "is not a file; give a trace, as --trace writes it",
            ));
        }
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let recorded = Self {
            path: path.to_owned(),
            bytes,
            drawn: 0,
        };
        recorded.parse()?;
        Ok(recorded)
    }

    fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|error| {
            Error::bad_file(
                &self.path,
                format!("holds no recorded noise ({error}); give a trace, as --trace writes it"),
            )
        })
    }

    /// A recorded tensor as f32, checked against the run's shape.
    fn tensor(&self, name: &str, shape: LatentShape) -> Result<Vec<f32>> {
        let tensors = self.parse()?;
        let Ok(tensor) = tensors.tensor(name) else {
            let reason = format!(
                "has no tensor {name}; this run needs it: record one with the same settings"
            );
            return Err(Error::bad_file(&self.path, reason));
        };
        let expected = shape.nchw();
        if tensor.shape() != expected || tensor.dtype() != Dtype::F32 {
            let (found, dtype) = (tensor.shape(), tensor.dtype());
            let reason = format!("tensor {name} is {dtype:?} {found:?}, expected F32 {expected:?}");
            return Err(Error::bad_file(&self.path, reason));
        }
        Ok(bytemuck::pod_collect_to_vec(tensor.data()))
    }
}
