//! Latents to pictures.

use crate::error::Result;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::plans::{Lease, Part, Placement, Stage};
use crate::pipeline::recordings::ends;
use crate::pipeline::request::Precision;

/// Where values stop being finite.
const STAGE: Stage = Stage {
    name: "vae_decoder",
    step: None,
};

/// The decoder at one size, on loan from its pipeline.
#[derive(Debug)]
pub(in crate::pipeline) struct Decoder {
    lease: Lease,
    precision: Precision,
}

impl Decoder {
    /// The part that latents of that height and width are decoded by.
    pub(in crate::pipeline) fn part(latent: [usize; 2]) -> Part {
        Part::VaeDecoder(latent)
    }

    /// Takes its memory, unless parts take turns.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub(in crate::pipeline) async fn take(
        pipeline: &Pipeline,
        latent: [usize; 2],
        precision: Precision,
        placement: Placement,
    ) -> Result<Self> {
        let lease = Lease::take(pipeline, Self::part(latent), placement).await?;
        Ok(Self { lease, precision })
    }

    /// Begins its turn.
    ///
    /// # Errors
    /// As [`Lease::begin`].
    pub(in crate::pipeline) async fn begin(&mut self) -> Result<()> {
        self.lease.begin().await
    }

    /// Ends its turn, where parts take turns.
    pub(in crate::pipeline) fn end(&mut self) {
        self.lease.end();
    }

    /// latent `[h, w, C]` as the sampler has it → bytes `[H, W, 4]`; decoded in f32 if f16 overflows
    /// and may.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`] or
    /// [`crate::Error::Gpu`].
    pub(in crate::pipeline) async fn decode(&mut self, latent: &[f32]) -> Result<Vec<u8>> {
        loop {
            self.lease.runner().write(ends::LATENT, latent)?;
            if self.lease.run().await? {
                let bytes = self.lease.runner().read(ends::PIXELS).await?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes come as 0..=255"
                )]
                return Ok(bytes.iter().map(|&byte| byte as u8).collect());
            }
            self.lease.widen(self.precision, STAGE).await?;
        }
    }

    /// The picture decoded last, before clamping, `[H, W, 3]`.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] or [`crate::Error::Gpu`].
    pub(in crate::pipeline) async fn decoded(&self) -> Result<Vec<f32>> {
        self.lease.runner().read(ends::DECODED).await
    }
}
