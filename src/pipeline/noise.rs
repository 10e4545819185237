//! The noise of a run, drawn or recorded: which generators there are, and what each of them draws.

use super::latent::LatentShape;
use super::request::{Noise, Request};
use crate::error::{Error, Result};
use crate::sampling::{NoiseGenerator, NoiseSource, slerp};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How the pictures of a batch come to their noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchNoise {
    /// Picture `i` has a generator of its own, begun at `seed + i`, so that it can be made alone.
    #[default]
    Each,
    /// One generator, begun at `seed`, draws `[N, C, h, w]` at once for all; variations of one picture
    /// have one each all the same.
    Together,
    /// One picture alone out of a batch that was drawn together.
    PictureOf {
        /// Its place in that batch, from 0.
        index: usize,
        /// The pictures of that batch.
        count: usize,
    },
}

/// Where the noise of the steps comes from, after that of the first latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepNoise {
    /// From the generators of the first latent, which go on.
    #[default]
    Continued,
    /// From generators of a source of their own, begun anew: ComfyUI's, and A1111's where it has an
    /// *eta noise seed delta*.
    Anew {
        /// Whose generators.
        source: NoiseSource,
        /// Added to the seeds of the first latent.
        seed_offset: u64,
    },
}

/// The noise of a batch: generators, or a file.
#[derive(Clone, Debug)]
pub(super) enum RunNoise {
    /// Drawn.
    Drawn(Drawn),
    /// Read from a trace.
    Recorded(Recorded),
}

/// Which generators a batch has, and which part of what each draws is wanted.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    /// The seed of the first generator.
    seed: u64,
    /// From one seed to the next.
    stride: u64,
    /// Their number: one a picture, or one for all.
    generators: u64,
    /// Pictures that each generator draws at once, and those of them that are made.
    pictures: usize,
    wanted: Range<usize>,
}

impl Sharing {
    /// How the pictures of a resolved request share generators.
    pub(super) fn of(request: &Request) -> Self {
        let batch = request.batch_size;
        let is_varied = request.variation().is_some();
        let (generators, pictures, wanted) = match request.batch_noise.unwrap_or_default() {
            BatchNoise::Together if !is_varied => (1, batch, 0..batch),
            BatchNoise::Each | BatchNoise::Together => (batch, 1, 0..1),
            BatchNoise::PictureOf { index, count } => (batch, count, index..index + 1),
        };
        Self {
            seed: request.seed.unwrap_or_default(),
            stride: u64::from(!is_varied),
            generators: generators as u64,
            pictures,
            wanted,
        }
    }

    /// The generators' seeds.
    pub(super) fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.seed;
        let stride = self.stride;
        (0..self.generators).map(move |i| first.wrapping_add(i * stride))
    }

    /// How many values each generator draws at once.
    pub(super) fn drawn_len(&self, shape: LatentShape) -> usize {
        self.pictures * shape.picture_len()
    }

    /// Of what a generator drew at once, the pictures that are made.
    pub(super) fn wanted(&self, mut drawn: Vec<f32>, shape: LatentShape) -> Vec<f32> {
        let len = shape.picture_len();
        drawn.truncate(self.wanted.end * len);
        drawn.drain(..self.wanted.start * len);
        drawn
    }
}

/// Generators, those of the first latent and those of the steps.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    sharing: Sharing,
    generators: Vec<NoiseGenerator>,
    /// Those of the steps, where they are others.
    anew: Option<Vec<NoiseGenerator>>,
    variation: Option<Variation>,
}

/// What the first latent's noise is mixed with.
#[derive(Clone, Debug)]
struct Variation {
    strength: f64,
    /// One a picture.
    generators: Vec<NoiseGenerator>,
}

impl Variation {
    fn of(request: &Request, source: NoiseSource) -> Option<Self> {
        let (first, strength) = request.variation()?;
        let seeds = (0..request.batch_size as u64).map(|i| first.wrapping_add(i));
        Some(Self {
            strength,
            generators: seeds.map(|seed| source.generator(seed)).collect(),
        })
    }

    /// The noise mixed with the generators' next, `[N, C, h, w]`.
    fn mixed_into(&mut self, noise: &[f32], shape: LatentShape) -> Vec<f32> {
        let [_, height, width] = shape.chw;
        let other = self.generators.iter_mut();
        let other: Vec<f32> = other
            .flat_map(|generator| generator.normal(shape.picture_len()))
            .collect();
        slerp(self.strength, noise, &other, [height, width])
    }
}

impl Drawn {
    fn start(request: &Request, source: NoiseSource) -> Self {
        let sharing = Sharing::of(request);
        let generators = |source: NoiseSource, offset: u64| {
            let seeds = sharing.seeds().map(|seed| seed.wrapping_add(offset));
            seeds.map(|seed| source.generator(seed)).collect()
        };
        Self {
            generators: generators(source, 0),
            variation: Variation::of(request, source),
            anew: match request.step_noise.unwrap_or_default() {
                StepNoise::Continued => None,
                StepNoise::Anew {
                    source,
                    seed_offset,
                } => Some(generators(source, seed_offset)),
            },
            sharing,
        }
    }

    /// The next unit normal of the first latent's generators, `[N, C, h, w]`.
    fn initial(&mut self, shape: LatentShape) -> Vec<f32> {
        let noise = draw(&mut self.generators, &self.sharing, shape);
        match &mut self.variation {
            Some(variation) => variation.mixed_into(&noise, shape),
            None => noise,
        }
    }

    /// The next unit normal that a picture's latents are drawn from, `[N, C, h, w]`. A generator for the
    /// whole batch draws one for all, as diffusers encodes a picture once.
    fn encoder(&mut self, shape: LatentShape) -> Vec<f32> {
        match self.generators.as_mut_slice() {
            [one] if self.sharing.pictures > 1 => {
                one.normal(shape.picture_len()).repeat(shape.batch)
            }
            _ => draw(&mut self.generators, &self.sharing, shape),
        }
    }

    /// The next unit normal of the steps' generators, `[N, C, h, w]`.
    fn next(&mut self, shape: LatentShape) -> Vec<f32> {
        let generators = self.anew.as_mut().unwrap_or(&mut self.generators);
        draw(generators, &self.sharing, shape)
    }
}

fn draw(generators: &mut [NoiseGenerator], sharing: &Sharing, shape: LatentShape) -> Vec<f32> {
    let len = sharing.drawn_len(shape);
    let drawn = generators
        .iter_mut()
        .map(|generator| sharing.wanted(generator.normal(len), shape));
    drawn.flatten().collect()
}

/// Noise read from a file, checked: all that a run needs is there.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    initial: Vec<f32>,
    following: std::vec::IntoIter<Vec<f32>>,
    /// What pictures' latents were drawn from.
    encoder: std::vec::IntoIter<Vec<f32>>,
    path: PathBuf,
}

impl RunNoise {
    /// Starts the noise of a resolved request whose table draws `count` times.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadFile`] of recorded noise that is not what the run needs.
    pub(super) fn start(request: &Request, shape: LatentShape, count: usize) -> Result<Self> {
        let source = match request.noise.clone().unwrap_or_default() {
            Noise::TorchCpu => NoiseSource::TorchCpu,
            Noise::Philox => NoiseSource::Philox,
            Noise::Recorded(path) => {
                return Recorded::read(&path, shape, count).map(Self::Recorded);
            }
        };
        Ok(Self::Drawn(Drawn::start(request, source)))
    }

    /// The unit normal that the first latent is made of, `[N, C, h, w]`.
    pub(super) fn initial(&mut self, shape: LatentShape) -> Vec<f32> {
        match self {
            Self::Drawn(drawn) => drawn.initial(shape),
            Self::Recorded(recorded) => std::mem::take(&mut recorded.initial),
        }
    }

    /// The unit normal that pictures' latents are drawn from, `[N, C, h, w]`: the generators' next
    /// before the first latent's.
    ///
    /// # Errors
    /// [`Error::BadFile`] of recorded noise that has none.
    pub(super) fn encoder(&mut self, shape: LatentShape) -> Result<Vec<f32>> {
        match self {
            Self::Drawn(drawn) => Ok(drawn.encoder(shape)),
            Self::Recorded(recorded) => recorded.encoder(),
        }
    }

    /// The next unit normal, `[N, C, h, w]`.
    pub(super) fn next(&mut self, shape: LatentShape) -> Vec<f32> {
        match self {
            Self::Drawn(drawn) => drawn.next(shape),
            Self::Recorded(recorded) => {
                let next = recorded.following.next();
                next.expect("as many were read as the table draws")
            }
        }
    }
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
        let names = (0..).map(|i| format!("encoder_noise.{i:03}"));
        let encoder = names.take_while(|name| tensors.tensor(name).is_ok());
        let encoder: Result<Vec<_>> = encoder.map(|name| tensor(&name)).collect();
        Ok(Self {
            initial: tensor("latents_init")?,
            following: following?.into_iter(),
            encoder: encoder?.into_iter(),
            path: path.to_owned(),
        })
    }

    fn encoder(&mut self) -> Result<Vec<f32>> {
        self.encoder.next().ok_or_else(|| {
            let reason = "lacks the noise that the picture's latent is drawn from, tensors \
                          encoder_noise.000 and so on; record one with the same settings";
            Error::bad_file(&self.path, reason)
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

#[cfg(test)]
#[path = "noise_tests.rs"]
mod tests;
