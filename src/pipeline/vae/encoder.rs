//! Pictures to latents.

use super::plans::INNER;
use super::shared::{Moments as NormMoments, TileRunner};
use super::tiles::{Canvas, Tiles};
use crate::error::Result;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::plans::{Lease, Part, Placement, Stage};
use crate::pipeline::recordings::ends;
use crate::pipeline::request::Precision;

/// Where values stop being finite.
const STAGE: Stage = Stage {
    name: "vae_encoder",
    step: None,
};

/// diffusers `vae.py`, `DiagonalGaussianDistribution`: the log variances that count.
const LOG_VARIANCES: [f32; 2] = [-30.0, 20.0];

/// The encoder at one size, on loan from its pipeline.
#[derive(Debug)]
pub(in crate::pipeline) struct Encoder {
    work: Work,
    precision: Precision,
    scaling_factor: f32,
    /// The pixels of a latent's side.
    factor: usize,
    /// The channels between the encoder's halves.
    inner_channels: usize,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
enum Work {
    Whole(Lease),
    Tiled {
        outer: Lease,
        inner: Lease,
        tiles: Tiles,
    },
}

/// What a picture's latent is drawn from: a normal distribution of each value, `[h, w, C]`.
#[derive(Debug)]
pub(in crate::pipeline) struct Moments {
    mean: Vec<f32>,
    log_variance: Vec<f32>,
    scaling_factor: f32,
}

impl Encoder {
    /// The parts that pictures with latents of that height and width are encoded by.
    pub(in crate::pipeline) fn parts(latent: [usize; 2], placement: Placement) -> Vec<Part> {
        match placement.tiles(latent) {
            None => vec![Part::VaeEncoder(latent, placement.wrap)],
            Some(tiles) => vec![
                Part::VaeEncoderTile(tiles.tile),
                Part::VaeEncoderInner(latent),
            ],
        }
    }

    /// Takes its memory, unless parts take turns.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the model's VAE has no encoder; as [`Lease::take`].
    pub(in crate::pipeline) async fn take(
        pipeline: &Pipeline,
        latent: [usize; 2],
        precision: Precision,
        placement: Placement,
    ) -> Result<Self> {
        let model = pipeline.model();
        let inner_channels = model.require_encoder()?.inner_channels();
        let take = |part| Lease::take(pipeline, part, placement);
        let work = match placement.tiles(latent) {
            None => Work::Whole(take(Part::VaeEncoder(latent, placement.wrap)).await?),
            Some(tiles) => Work::Tiled {
                outer: take(Part::VaeEncoderTile(tiles.tile)).await?,
                inner: take(Part::VaeEncoderInner(latent)).await?,
                tiles,
            },
        };
        Ok(Self {
            work,
            precision,
            scaling_factor: model.config.vae.scaling_factor,
            factor: model.config.vae_scale_factor,
            inner_channels,
        })
    }

    /// Begins its turn. Dropping it ends the turn.
    ///
    /// # Errors
    /// As [`Lease::begin`].
    pub(in crate::pipeline) async fn begin(&mut self) -> Result<()> {
        match &mut self.work {
            Work::Whole(lease) => lease.begin().await,
            // Its halves have turns of their own.
            Work::Tiled { .. } => Ok(()),
        }
    }

    /// picture `[H, W, 3]`, −1 to 1 → its latent's moments `[h, w, C]`; encoded in f32 if f16
    /// overflows and may.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`] or
    /// [`crate::Error::Gpu`].
    pub(in crate::pipeline) async fn encode(&mut self, picture: &[f32]) -> Result<Moments> {
        let precision = self.precision;
        let lease = match &mut self.work {
            Work::Whole(lease) => {
                lease
                    .run_or_widen(ends::IMAGE, picture, precision, STAGE)
                    .await?;
                lease
            }
            Work::Tiled {
                outer,
                inner,
                tiles,
            } => {
                // Of the picture before this one.
                inner.end();
                outer.begin().await?;
                let mut tiled = TileRunner {
                    lease: &mut *outer,
                    input: ends::IMAGE,
                    precision,
                    stage: STAGE,
                };
                let mosaic = tiles.mosaic(picture, self.factor);
                let moments = NormMoments::of(&mut tiled, &mosaic).await?;
                let mut canvas = Canvas::new(*tiles, 1, self.inner_channels);
                for corner in tiles.corners() {
                    let tile = tiles.cut(picture, self.factor, corner);
                    tiled.run(&moments, &tile).await?;
                    canvas.add(&tiled.lease.runner().read(INNER).await?, corner);
                }
                outer.end();
                inner.begin().await?;
                inner
                    .run_or_widen(INNER, &canvas.values, precision, STAGE)
                    .await?;
                inner
            }
        };
        let [least, most] = LOG_VARIANCES;
        let log_variance = lease.runner().read(ends::LOG_VARIANCE).await?;
        let log_variance = log_variance.iter().map(|value| value.clamp(least, most));
        Ok(Moments {
            mean: lease.runner().read(ends::MEAN).await?,
            log_variance: log_variance.collect(),
            scaling_factor: self.scaling_factor,
        })
    }
}

impl Moments {
    /// The likeliest latent `[h, w, C]`, in the VAE's own scale.
    pub(in crate::pipeline) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The likeliest latent `[h, w, C]`, as the sampler has it: `mean · scaling_factor`.
    pub(in crate::pipeline) fn mode(&self) -> Vec<f32> {
        let mean = self.mean.iter();
        mean.map(|mean| mean * self.scaling_factor).collect()
    }

    /// unit normal `[h, w, C]` → a latent `[h, w, C]`, as the sampler has it:
    /// `(mean + deviation · unit_normal) · scaling_factor`.
    pub(in crate::pipeline) fn sample(&self, unit_normal: &[f32]) -> Vec<f32> {
        let deviations = self.log_variance.iter().map(|value| (value / 2.0).exp());
        let drawn = self.mean.iter().zip(deviations).zip(unit_normal);
        drawn
            .map(|((mean, deviation), normal)| (mean + deviation * normal) * self.scaling_factor)
            .collect()
    }
}
