//! What colours latents stand for, roughly: pictures under way without a decoder.

/// A linear map from a latent to the colour of its pixels, −1 to 1 and a little beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LatentRgb {
    /// What each channel of a latent, as the sampler has it, adds to red, green and blue.
    pub(crate) factors: [[f32; 3]; LATENT_CHANNELS],
    /// The colour of a latent of zeros.
    pub(crate) bias: [f32; 3],
}

/// The channels of the latents of all families here.
pub(crate) const LATENT_CHANNELS: usize = 4;

impl LatentRgb {
    /// Of the VAE of Stable Diffusion 1.x and 2.x: ComfyUI's `SD15` (`comfy/latent_formats.py`, commit
    /// 9a9a69f).
    pub(super) const STABLE_DIFFUSION: Self = Self {
        factors: [
            [0.3512, 0.2297, 0.3227],
            [0.3250, 0.4974, 0.2350],
            [-0.2829, 0.1762, 0.2721],
            [-0.2120, -0.2616, -0.7177],
        ],
        bias: [0.0; 3],
    };

    /// Of the VAE of Stable Diffusion XL: ComfyUI's `SDXL`, from the same file.
    pub(super) const STABLE_DIFFUSION_XL: Self = Self {
        factors: [
            [0.3651, 0.4232, 0.4341],
            [-0.2533, -0.0042, 0.1068],
            [0.1076, 0.1111, -0.0362],
            [-0.3165, -0.2492, -0.2188],
        ],
        bias: [0.1084, -0.0175, -0.0011],
    };

    /// latents `[h, w, 4]` → colours `[h, w, 3]`
    pub(crate) fn colours(&self, latents: &[f32]) -> Vec<f32> {
        let colour = |latent: &[f32]| {
            let mut colour = self.bias;
            for (value, factors) in latent.iter().zip(self.factors) {
                for (sum, factor) in colour.iter_mut().zip(factors) {
                    *sum += value * factor;
                }
            }
            colour
        };
        latents
            .chunks_exact(LATENT_CHANNELS)
            .flat_map(colour)
            .collect()
    }
}
