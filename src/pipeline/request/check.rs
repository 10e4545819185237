//! What of a request can be checked without a model.

use super::{BatchNoise, MAX_BATCH_SIZE, MAX_SIDE_PX, Noise, Request};
use crate::error::{Error, Result};
use crate::sampling::{self, Choice};
use crate::text::MAX_PROMPT_BYTES;

/// The largest guidance scale: far beyond what any model answers sensibly.
const MAX_GUIDANCE_SCALE: f64 = 1000.0;

impl Request {
    /// Checks all that can be checked without a model.
    ///
    /// # Errors
    /// [`Error::Request`] with the field, what is allowed and what was given.
    pub fn check(&self) -> Result<()> {
        self.task.check()?;
        for (field, text) in [
            ("prompt", Some(&self.prompt)),
            ("negative_prompt", Some(&self.negative_prompt)),
            ("prompt_2", self.prompt_2.as_ref()),
            ("negative_prompt_2", self.negative_prompt_2.as_ref()),
        ] {
            if let Some(text) = text.filter(|text| text.len() > MAX_PROMPT_BYTES) {
                let reason = format!(
                    "must be at most {MAX_PROMPT_BYTES} bytes, not {}; shorten it",
                    text.len()
                );
                return Err(Error::request(field, reason));
            }
        }
        for (field, side) in [("width", self.width), ("height", self.height)] {
            if side.is_some_and(|side| !(1..=MAX_SIDE_PX).contains(&side)) {
                let found = side.unwrap_or_default();
                return Err(Error::request(
                    field,
                    format!("must be 1 to {MAX_SIDE_PX} pixels, not {found}"),
                ));
            }
        }
        self.check_told_sizes()?;
        self.tile_latents.map_or(Ok(()), |tile| tile.check())?;
        self.hires.map_or(Ok(()), |hires| hires.check(self))?;
        if self.clip_skip == Some(0) {
            let reason = "must be at least 1, the last layer, not 0";
            return Err(Error::request("clip_skip", reason));
        }
        if self.steps == Some(0) {
            return Err(Error::request("steps", "must be at least 1, not 0"));
        }
        if let Some(scale) = self
            .guidance_scale
            .filter(|scale| !(0.0..=MAX_GUIDANCE_SCALE).contains(scale))
        {
            let reason = format!("must be 0 to {MAX_GUIDANCE_SCALE}, not {scale}");
            return Err(Error::request("guidance_scale", reason));
        }
        if !(1..=MAX_BATCH_SIZE).contains(&self.batch_size) {
            let reason = format!("must be 1 to {MAX_BATCH_SIZE}, not {}", self.batch_size);
            return Err(Error::request("batch_size", reason));
        }
        if let Some(BatchNoise::PictureOf { index, count }) = self.batch_noise
            && !((self.batch_size == 1 || self.variation().is_some())
                && index < count
                && count <= MAX_BATCH_SIZE)
        {
            let reason = format!(
                "must be one picture of a batch of at most {MAX_BATCH_SIZE}, not {} from {index} of \
                 {count}",
                self.batch_size
            );
            return Err(Error::request("batch_noise", reason));
        }
        self.check_variation()?;
        self.check_seamless()?;
        self.check_sampling()
    }

    /// That the picture, whose edges are to join, is drawn and decoded from edge to edge.
    fn check_seamless(&self) -> Result<()> {
        if self.seamless.is_none() {
            return Ok(());
        }
        if self.vae_tile.is_some() {
            let reason = "goes without seamless, for which the picture is decoded whole; use one of \
                          the two";
            return Err(Error::request("vae_tile", reason));
        }
        if !self.task.is_whole() {
            let reason = "means nothing for a picture that is drawn in parts; leave it out, or out of \
                          inpaint the padding of only_masked";
            return Err(Error::request("seamless", reason));
        }
        Ok(())
    }

    fn check_variation(&self) -> Result<()> {
        let Some(strength) = self.variation_strength else {
            if self.variation_seed.is_some() {
                let reason = "means nothing without variation_strength";
                return Err(Error::request("variation_seed", reason));
            }
            return Ok(());
        };
        if !(0.0..=1.0).contains(&strength) {
            let reason = format!("must be 0 to 1, not {strength}");
            return Err(Error::request("variation_strength", reason));
        }
        if matches!(self.noise, Some(Noise::Recorded(_))) {
            let reason = "goes without recorded noise, which has no seed; use one of the two";
            return Err(Error::request("variation_strength", reason));
        }
        Ok(())
    }

    fn check_sampling(&self) -> Result<()> {
        for (field, share) in [
            ("guidance_rescale", self.guidance_rescale),
            ("guidance_start", self.guidance_start),
            ("guidance_end", self.guidance_end),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::request(
                    field,
                    format!("must be 0 to 1, not {share}"),
                ));
            }
        }
        if self.guidance_start > self.guidance_end {
            let (start, end) = (self.guidance_start, self.guidance_end);
            let reason = format!("must be at most guidance_end, {end}, not {start}");
            return Err(Error::request("guidance_start", reason));
        }
        self.check_thresholding()?;
        let is_share = |start: &f64| *start > 0.0 && *start < 1.0;
        if let Some(start) = self.refiner_start.filter(|start| !is_share(start)) {
            let reason = format!("must be between 0 and 1, not {start}");
            return Err(Error::request("refiner_start", reason));
        }
        if let Some(eta) = self.eta.filter(|eta| !(0.0..=1.0).contains(eta)) {
            return Err(Error::request("eta", format!("must be 0 to 1, not {eta}")));
        }
        if let Some(sigmas) = &self.sigmas {
            sampling::check_sigma_order(sigmas)?;
        }
        // Any model's default will do to see whether what was given has a meaning.
        let sampler = self.sampler.as_deref().unwrap_or("euler");
        Choice::find(sampler, self.schedule.as_deref(), "normal").map(|_| ())
    }

    fn check_thresholding(&self) -> Result<()> {
        if let Some(ratio) = self.dynamic_thresholding {
            if !(ratio > 0.0 && ratio <= 1.0) {
                let reason = format!("must be over 0 and at most 1, not {ratio}");
                return Err(Error::request("dynamic_thresholding", reason));
            }
            if self.guidance_rescale != 0.0 {
                let reason = "goes without guidance_rescale; use one of the two";
                return Err(Error::request("dynamic_thresholding", reason));
            }
        }
        let Some(max) = self.threshold_max else {
            return Ok(());
        };
        if self.dynamic_thresholding.is_none() {
            let reason = "means nothing without dynamic_thresholding";
            return Err(Error::request("threshold_max", reason));
        }
        if !(1.0..=f64::from(f32::MAX)).contains(&max) {
            let reason = format!("must be at least 1 and finite, not {max}");
            return Err(Error::request("threshold_max", reason));
        }
        Ok(())
    }

    /// That what the network is told of sizes is in the range that it can tell apart.
    fn check_told_sizes(&self) -> Result<()> {
        let told = [
            ("original_size", self.original_size, 1),
            ("crop", self.crop, 0),
            ("target_size", self.target_size, 1),
        ];
        for (field, pair, least) in told {
            let wrong = pair
                .into_iter()
                .flatten()
                .find(|side| !(least..=MAX_SIDE_PX).contains(side));
            if let Some(side) = wrong {
                let reason = format!("must be {least} to {MAX_SIDE_PX} pixels, not {side}");
                return Err(Error::request(field, reason));
            }
        }
        Ok(())
    }
}
