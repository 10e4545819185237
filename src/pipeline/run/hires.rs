//! From one pass over a picture to the next, which is larger.

use super::Run;
use crate::error::Result;
use crate::image::{Image, ResizeMode};
use crate::pipeline::hires::{HiresResize, Pass};
use crate::pipeline::latent::LatentShape;
use crate::pipeline::request::Request;
use crate::pipeline::tasks::Enlarged;

impl Run {
    /// Ends the first pass and begins the second one, if there is one. What the first one had on the device
    /// is free then.
    pub(super) async fn next_pass(&mut self) -> Result<()> {
        let Some(hires) = self.asked.hires.filter(|_| self.pass == Pass::First) else {
            return Ok(());
        };
        let pipeline = self.pipeline.clone();
        let model = pipeline.model();
        let Some(second) = model.second_pass(&self.asked)? else {
            return Ok(());
        };
        let enlarged = match hires.resize {
            HiresResize::Latent => {
                let [height, width] = model.latent_size(second.width(), second.height())?;
                let latents = self.denoiser.leave().await?;
                let latents = self.shape.channels_first(&latents[..self.shape.len()]);
                Enlarged::Latents(between(&latents, self.shape, [height, width]))
            }
            HiresResize::Lanczos | HiresResize::Network => {
                let pictures = self.decode(&mut |_| ()).await?;
                self.denoiser.give_back();
                self.decoder.give_back();
                Enlarged::Pictures(self.enlarged(pictures, &second).await?)
            }
        };
        self.denoiser.give_back();
        self.decoder.give_back();
        let (placement, _) = pipeline.fit_pass(&second, Pass::Second)?;
        let trace = self.trace.take();
        let mut next =
            Self::start_pass(&pipeline, second, placement, trace, Some(enlarged)).await?;
        next.asked = self.asked.clone();
        next.steps_done = self.table.step_count();
        next.canceller = self.canceller.clone();
        next.is_over = self.is_over;
        next.claim = self.claim.take();
        let heard = std::mem::take(&mut self.warnings);
        let new = std::mem::take(&mut next.warnings).into_iter();
        let new: Vec<_> = new.filter(|new| !heard.contains(new)).collect();
        next.warnings = [heard, new].concat();
        *self = next;
        Ok(())
    }

    /// Pictures of this pass, `[H, W, 4]` each, in the size of the next one; by a network first, where
    /// there is one.
    async fn enlarged(&self, pictures: Vec<Vec<u8>>, second: &Request) -> Result<Vec<Image>> {
        let network = self.pipeline.enlarging(&self.asked)?;
        // Also where it fails, or is called off.
        let _leaving = network.map(|(upscaler, _)| upscaler.leave_after());
        let mut enlarged = Vec::with_capacity(pictures.len());
        for pixels in pictures {
            let (width, height) = (self.request.width(), self.request.height());
            let mut picture = Image::from_rgba(width, height, pixels)?;
            if let Some((upscaler, to)) = network {
                let (compute, precision) = (self.placement.compute, self.request.precision);
                picture = upscaler.upscale_to(picture, to, compute, precision).await?;
            }
            let (width, height) = (second.width(), second.height());
            enlarged.push(picture.resized(width, height, ResizeMode::Stretch)?);
        }
        Ok(enlarged)
    }
}

/// latents `[N, C, h, w]` → `[N, C, h', w']`, each value between its nearest, as torch's `interpolate` has
/// it with `mode="bilinear"` and without aligned corners.
fn between(latents: &[f32], shape: LatentShape, size: [usize; 2]) -> Vec<f32> {
    let [channels, height, width] = shape.chw;
    let [rows, columns] = [(height, size[0]), (width, size[1])].map(|(from, to)| places(from, to));
    let mut enlarged = Vec::with_capacity(shape.batch * channels * size[0] * size[1]);
    for plane in latents.chunks_exact(height * width) {
        for (top, bottom, down) in &rows {
            let across = |row: usize, &(left, right, share): &(usize, usize, f32)| {
                let [left, right] = [left, right].map(|column| plane[row * width + column]);
                left * (1.0 - share) + right * share
            };
            let values = columns
                .iter()
                .map(|column| across(*top, column) * (1.0 - down) + across(*bottom, column) * down);
            enlarged.extend(values);
        }
    }
    enlarged
}

/// For each place of an axis, the two of a shorter one that it lies between, and the share of the second.
fn places(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    let place = |i: usize| {
        let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in an axis of latents"
        )]
        let first = (at.floor() as usize).min(from - 1);
        (first, (first + 1).min(from - 1), at - first as f32)
    };
    (0..to).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_enlarged_as_torch_does_it() {
        // torch 2.15.0: interpolate(arange(6).reshape(1, 1, 2, 3).float() ** 2, (3, 5), mode="bilinear")
        #[rustfmt::skip]
        let expected: [f32; 15] = [
            0.0, 0.4, 1.0, 2.8, 4.0,
            4.5, 6.1, 8.5, 12.1, 14.5,
            9.0, 11.8, 16.0, 21.4, 25.0,
        ];
        let shape = LatentShape {
            batch: 1,
            chw: [1, 2, 3],
        };
        let latents = [0.0, 1.0, 4.0, 9.0, 16.0, 25.0];
        let found = between(&latents, shape, [3, 5]);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
