//! Latents to pictures.

use super::plans::INNER;
use super::shared::{Moments, TileRunner};
use super::tiles::{Canvas, Tiles};
use crate::error::{Error, Result};
use crate::gpu::Texture;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::plans::{Lease, Part, Placement, Stage};
use crate::pipeline::progress::TileProgress;
use crate::pipeline::recordings::ends;
use crate::pipeline::request::{Precision, Request};

/// Where values stop being finite.
const STAGE: Stage = Stage {
    name: "vae_decoder",
    step: None,
};
/// Red, green and blue.
const IMAGE_CHANNELS: usize = 3;

/// The decoder at one size, on loan from its pipeline.
#[derive(Debug)]
pub(in crate::pipeline) struct Decoder {
    work: Work,
    precision: Precision,
    /// The pixels of a latent's side.
    factor: usize,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
enum Work {
    Whole(Lease),
    Tiled {
        inner: Lease,
        outer: Lease,
        tiles: Tiles,
    },
}

/// A decoded picture.
#[derive(Debug)]
pub(in crate::pipeline) struct Decoded {
    /// Bytes `[H, W, 4]`.
    pub(in crate::pipeline) pixels: Vec<u8>,
    /// Before clamping, `[H, W, 3]`.
    pub(in crate::pipeline) values: Vec<f32>,
}

impl Decoder {
    /// The parts that latents of that height and width are decoded by.
    pub(in crate::pipeline) fn parts(latent: [usize; 2], placement: Placement) -> Vec<Part> {
        match placement.tiles(latent) {
            None => vec![Part::VaeDecoder(latent, placement.wrap)],
            Some(tiles) => vec![
                Part::VaeDecoderInner(latent),
                Part::VaeDecoderTile(tiles.tile),
            ],
        }
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
        let take = |part| Lease::take(pipeline, part, placement);
        let work = match placement.tiles(latent) {
            None => Work::Whole(take(Part::VaeDecoder(latent, placement.wrap)).await?),
            Some(tiles) => Work::Tiled {
                inner: take(Part::VaeDecoderInner(latent)).await?,
                outer: take(Part::VaeDecoderTile(tiles.tile)).await?,
                tiles,
            },
        };
        Ok(Self {
            work,
            precision,
            factor: pipeline.model().config.vae_scale_factor,
        })
    }

    /// As [`Decoder::take`]; in smaller tiles where the device turns out to have less memory than it
    /// said, unless tiles were asked for.
    ///
    /// # Errors
    /// As [`Decoder::take`].
    pub(in crate::pipeline) async fn take_what_fits(
        pipeline: &Pipeline,
        latent: [usize; 2],
        request: &Request,
        mut placement: Placement,
    ) -> Result<Self> {
        loop {
            let taken = Self::take(pipeline, latent, request.precision, placement).await;
            let smaller = placement.with_smaller_tiles(latent);
            match (taken, smaller) {
                (Err(Error::OutOfMemory { .. }), Some(smaller)) if request.vae_tile.is_none() => {
                    placement = smaller;
                }
                (taken, _) => return taken,
            }
        }
    }

    /// Ends its turn, where parts take turns.
    pub(in crate::pipeline) fn end(&mut self) {
        match &mut self.work {
            Work::Whole(lease) => lease.end(),
            Work::Tiled { inner, outer, .. } => {
                inner.end();
                outer.end();
            }
        }
    }

    /// Gives what it has on the device back: it decodes nothing more.
    pub(in crate::pipeline) fn give_back(&mut self) {
        match &mut self.work {
            Work::Whole(lease) => lease.give_back(),
            Work::Tiled { inner, outer, .. } => {
                inner.give_back();
                outer.give_back();
            }
        }
    }

    /// The most latents on a side of what it has at once, where it works in tiles.
    pub(in crate::pipeline) fn vae_tile(&self) -> Option<usize> {
        match &self.work {
            Work::Whole(_) => None,
            Work::Tiled { tiles, .. } => tiles.tile.into_iter().max(),
        }
    }

    /// latents `[h, w, C]` as the sampler has them → their pictures; decoded in f32 if f16 overflows
    /// and may. `progress` hears of every tile that is done.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`] or
    /// [`crate::Error::Gpu`].
    pub(in crate::pipeline) async fn decode(
        &mut self,
        latents: &[&[f32]],
        progress: &mut (impl FnMut(TileProgress) + ?Sized),
    ) -> Result<Vec<Decoded>> {
        let mut decoded = Vec::with_capacity(latents.len());
        match &mut self.work {
            Work::Whole(lease) => {
                lease.begin().await?;
                for latent in latents {
                    lease
                        .run_or_widen(ends::LATENT, latent, self.precision, STAGE)
                        .await?;
                    let bytes = lease.runner().read(ends::PIXELS).await?;
                    decoded.push(Decoded {
                        pixels: bytes.into_iter().map(byte).collect(),
                        values: lease.runner().read(ends::DECODED).await?,
                    });
                }
            }
            Work::Tiled {
                inner,
                outer,
                tiles,
            } => {
                outer.end(); // of what was decoded before
                inner.begin().await?;
                let mut inners = Vec::with_capacity(latents.len());
                for latent in latents {
                    inner
                        .run_or_widen(ends::LATENT, latent, self.precision, STAGE)
                        .await?;
                    inners.push(inner.runner().read(INNER).await?);
                }
                inner.end();
                outer.begin().await?;
                let count = tiles.count() * inners.len();
                let mut done = 0;
                for values in inners {
                    let mut tiled = TileRunner {
                        lease: &mut *outer,
                        input: INNER,
                        precision: self.precision,
                        stage: STAGE,
                    };
                    let moments = Moments::of(&mut tiled, &tiles.mosaic(&values, 1)).await?;
                    let mut canvas = Canvas::new(*tiles, self.factor, IMAGE_CHANNELS);
                    for corner in tiles.corners() {
                        let tile = tiles.cut(&values, 1, corner);
                        tiled.run(&moments, &tile).await?;
                        canvas.add(&tiled.lease.runner().read(ends::DECODED).await?, corner);
                        done += 1;
                        progress(TileProgress { done, count });
                    }
                    decoded.push(Decoded::of(canvas.values));
                }
            }
        }
        Ok(decoded)
    }

    /// As [`Decoder::decode`], into textures of the device; `None` of one that works in tiles, which the CPU
    /// puts together.
    ///
    /// # Errors
    /// As [`Decoder::decode`] and [`crate::plan::Runner::texture`].
    pub(in crate::pipeline) async fn decode_on_gpu(
        &mut self,
        latents: &[&[f32]],
    ) -> Result<Option<Vec<Texture>>> {
        let Work::Whole(lease) = &mut self.work else {
            return Ok(None);
        };
        lease.begin().await?;
        let mut textures = Vec::with_capacity(latents.len());
        for latent in latents {
            lease
                .run_or_widen(ends::LATENT, latent, self.precision, STAGE)
                .await?;
            textures.push(lease.runner().texture(ends::PIXELS)?);
        }
        Ok(Some(textures))
    }
}

impl Decoded {
    fn of(values: Vec<f32>) -> Self {
        Self {
            pixels: rgba8(&values),
            values,
        }
    }
}

/// colours `[H, W, 3]`, −1 to 1 → bytes `[H, W, 4]`, as the operation `to_rgba8` has them
pub(in crate::pipeline) fn rgba8(colours: &[f32]) -> Vec<u8> {
    let level = |value: f32| byte(((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round());
    let pixels = colours.chunks_exact(IMAGE_CHANNELS);
    let pixels = pixels.flat_map(|rgb| [level(rgb[0]), level(rgb[1]), level(rgb[2]), u8::MAX]);
    pixels.collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes come as 0..=255"
)]
fn byte(value: f32) -> u8 {
    value as u8
}
