//! Pictures to latents.

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
    lease: Lease,
    precision: Precision,
    scaling_factor: f32,
}

/// What a picture's latent is drawn from: a normal distribution of each value, `[h, w, C]`.
#[derive(Debug)]
pub(in crate::pipeline) struct Moments {
    mean: Vec<f32>,
    log_variance: Vec<f32>,
    scaling_factor: f32,
}

impl Encoder {
    /// The part that pictures with latents of that height and width are encoded by.
    pub(in crate::pipeline) fn part(latent: [usize; 2]) -> Part {
        Part::VaeEncoder(latent)
    }

    /// Takes its memory, unless parts take turns: then [`Encoder::begin`] does.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] if the model's VAE has no encoder; as [`Lease::take`].
    pub(in crate::pipeline) async fn take(
        pipeline: &Pipeline,
        latent: [usize; 2],
        precision: Precision,
        placement: Placement,
    ) -> Result<Self> {
        pipeline.model().require_encoder()?;
        Ok(Self {
            lease: Lease::take(pipeline, Self::part(latent), placement).await?,
            precision,
            scaling_factor: pipeline.model().config.vae.scaling_factor,
        })
    }

    /// Begins its turn. Dropping it ends the turn.
    ///
    /// # Errors
    /// As [`Lease::begin`].
    pub(in crate::pipeline) async fn begin(&mut self) -> Result<()> {
        self.lease.begin().await
    }

    /// picture `[H, W, 3]`, −1 to 1 → its latent's moments `[h, w, C]`; encoded in f32 if f16
    /// overflows and may.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`] or
    /// [`crate::Error::Gpu`].
    pub(in crate::pipeline) async fn encode(&mut self, picture: &[f32]) -> Result<Moments> {
        loop {
            self.lease.runner().write(ends::IMAGE, picture)?;
            if self.lease.run().await? {
                let [least, most] = LOG_VARIANCES;
                let log_variance = self.lease.runner().read(ends::LOG_VARIANCE).await?;
                let log_variance = log_variance.iter().map(|value| value.clamp(least, most));
                return Ok(Moments {
                    mean: self.lease.runner().read(ends::MEAN).await?,
                    log_variance: log_variance.collect(),
                    scaling_factor: self.scaling_factor,
                });
            }
            self.lease.widen(self.precision, STAGE).await?;
        }
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
