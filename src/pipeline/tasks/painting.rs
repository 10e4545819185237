//! Canvases of which parts are repainted, in one round or several.

use super::image_to_image::noised;
use super::inpaint::Fill;
use super::windows::windows;
use super::{First, Known, Start, Task};
use crate::error::Result;
use crate::families::Purpose;
use crate::image::{Image, Mask, Rect};
use crate::pipeline::model::Model;
use crate::pipeline::request::Request;
use crate::pipeline::vae::{Encoder, Moments};

/// From which value on a mask is white to a network that sees it (diffusers, `VaeImageProcessor.binarize`).
const SEEN_SHARE: f32 = 0.5;

/// The pictures of a run of which parts are repainted, and how far that is.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Painting {
    /// One for each picture that is made.
    canvases: Vec<Image>,
    /// What is still to be drawn of them.
    free: Mask,
    /// Where each round works, the first one first.
    rounds: Vec<Rect>,
    /// The rounds that are done.
    done: usize,
    fill: Fill,
    feather_px: usize,
    strength: f64,
    /// The width and height at which the network works.
    size: [usize; 2],
    /// Whether the network sees the mask and what is around it.
    is_seen: bool,
    /// Whether what is known is put back after each step.
    keeps_known: bool,
}

impl Painting {
    /// What a resolved request has to paint on, if it has.
    ///
    /// # Errors
    /// [`crate::Error::Request`] of the task's pictures.
    pub(in crate::pipeline) fn of(model: &Model, request: &Request) -> Result<Option<Self>> {
        let size = [request.width(), request.height()];
        let (canvas, free, rounds, fill, feather_px) = match &request.task {
            Task::Inpaint(inpaint) => {
                let (image, free) = (inpaint.image.image()?, inpaint.free()?);
                let rounds = vec![model.worked_on(inpaint.only_masked_padding_px, &free, size)];
                (
                    image.clone(),
                    free,
                    rounds,
                    inpaint.fill,
                    inpaint.mask_blur_px,
                )
            }
            Task::Outpaint(outpaint) => {
                let image = outpaint.image.image()?;
                let canvas = image.on_canvas(outpaint.canvas(), [outpaint.left, outpaint.top]);
                let free = outpaint.free();
                let rounds = windows(&free, size);
                (canvas, free, rounds, outpaint.fill, 0)
            }
            _ => return Ok(None),
        };
        let is_seen = model.config.purpose == Purpose::Inpaint;
        Ok(Some(Self {
            canvases: vec![canvas; request.batch_size],
            keeps_known: request.task.keeps_known(model)?,
            free,
            rounds,
            done: 0,
            fill,
            feather_px,
            strength: request.task.strength(),
            size,
            is_seen,
        }))
    }

    /// How many rounds there are.
    pub(in crate::pipeline) fn round_count(&self) -> usize {
        self.rounds.len()
    }

    /// The rounds that are done.
    pub(in crate::pipeline) fn done(&self) -> usize {
        self.done
    }

    /// What the next round starts from. Numbers are drawn in diffusers' order
    /// (pipeline_stable_diffusion_inpaint.py): for the picture's latent, for the noise, for the latent of
    /// what is around the mask, even where the network does not see that.
    ///
    /// # Errors
    /// As [`Encoder::encode`] and [`crate::pipeline::noise::RunNoise::encoder`].
    pub(in crate::pipeline) async fn prepare(
        &self,
        mut start: Start<'_>,
        encoder: &mut Encoder,
    ) -> Result<First> {
        encoder.begin().await?;
        let rect = self.rounds[self.done];
        let mask = self.free.within(rect);
        let is_whole = self.strength >= 1.0;
        let mut encoder_noise = Vec::new();
        let clean = match self.keeps_known || !is_whole {
            true => {
                let moments = self
                    .encoded(encoder, |canvas| self.filled(canvas, rect, &mask))
                    .await?;
                let (clean, drawn) = start.latents_of(&moments)?;
                encoder_noise.extend(drawn);
                clean
            }
            false => Vec::new(),
        };
        let unit_normal = start.noise.initial(start.shape);
        let shape = start.shape;
        let [_, height, width] = shape.chw;
        let shares = mask.resized(width, height).shares();
        let latents = match is_whole {
            true => {
                let scale = start.table.initial_scale;
                #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
                let scaled = |value: &f32| (f64::from(*value) * scale) as f32;
                unit_normal.iter().map(scaled).collect()
            }
            false => {
                let begun = match self.fill {
                    Fill::Noise => replaced(&clean, &unit_normal, &shares),
                    _ => clean.clone(),
                };
                noised(&begun, &unit_normal, start.table.first)
            }
        };
        let mut beside = Vec::new();
        if self.is_seen {
            let around = self
                .encoded(encoder, |canvas| self.around(canvas, rect, &mask))
                .await?;
            let (around, drawn) = start.latents_of(&around)?;
            encoder_noise.extend(drawn);
            beside = with_mask(&shape.channels_last(&around), &shares, shape.chw[0]);
        } else if start.draws_the_encoded() {
            encoder_noise.push(start.noise.encoder(shape)?);
        }
        Ok(First {
            known: self.keeps_known.then(|| Known {
                latents: shape.channels_last(&clean),
                noise: shape.channels_last(&unit_normal),
                mask: shares.repeat(shape.batch),
            }),
            latents,
            unit_normal,
            encoder_noise,
            beside,
        })
    }

    /// What the encoder says of each canvas, in `[H, W, 3]`; once if all are still the same.
    async fn encoded(
        &self,
        encoder: &mut Encoder,
        picture: impl Fn(&Image) -> Result<Vec<f32>>,
    ) -> Result<Vec<Moments>> {
        let distinct = if self.done == 0 {
            1
        } else {
            self.canvases.len()
        };
        let mut moments = Vec::with_capacity(distinct);
        for canvas in &self.canvases[..distinct] {
            moments.push(encoder.encode(&picture(canvas)?).await?);
        }
        Ok(moments)
    }

    /// A canvas as a round begins with it.
    fn filled(&self, canvas: &Image, rect: Rect, mask: &Mask) -> Result<Vec<f32>> {
        let part = canvas.part(rect).without_alpha();
        let part = match self.fill {
            Fill::Original | Fill::Noise => part,
            Fill::Blur => part.filled_in(mask),
            Fill::Colour(colour) => part.coloured_in(mask, colour),
        };
        let [width, height] = self.size;
        Ok(part
            .resized(width, height, Default::default())?
            .to_unit_range())
    }

    /// A canvas as the network sees it, grey where the mask is white.
    fn around(&self, canvas: &Image, rect: Rect, mask: &Mask) -> Result<Vec<f32>> {
        let [width, height] = self.size;
        let part = canvas.part(rect).without_alpha();
        let mut values = part
            .resized(width, height, Default::default())?
            .to_unit_range();
        let shares = mask.resized(width, height).shares();
        for (pixel, share) in values.chunks_exact_mut(3).zip(shares) {
            if share >= SEEN_SHARE {
                pixel.fill(0.0);
            }
        }
        Ok(values)
    }

    /// Ends a round with its pictures, `[H, W, 4]` each.
    ///
    /// # Errors
    /// None where the pictures are of the round's size.
    pub(in crate::pipeline) fn put_back(&mut self, pictures: Vec<Vec<u8>>) -> Result<()> {
        let rect = self.rounds[self.done];
        let mask = self.free.within(rect);
        let [width, height] = self.size;
        for (canvas, pixels) in self.canvases.iter_mut().zip(pictures) {
            let part = Image::from_rgba(width, height, pixels)?;
            let part = part.resized(rect.width, rect.height, Default::default())?;
            canvas.put_back(&part, &mask, rect, self.feather_px);
        }
        self.free.keep(rect);
        self.done += 1;
        Ok(())
    }

    /// The pictures, once all rounds are done.
    pub(in crate::pipeline) fn pictures(&self) -> &[Image] {
        &self.canvases
    }
}

impl Model {
    /// Which part of a picture is worked on at a size: all of it, with its border drawn on where the size
    /// is its own made a multiple of the latent factor; or what is around a mask.
    fn worked_on(&self, padding_px: Option<usize>, free: &Mask, size: [usize; 2]) -> Rect {
        let whole = [free.width(), free.height()];
        match padding_px.and_then(|padding| Some((padding, free.bounds()?))) {
            Some((padding, bounds)) => bounds.padded(padding, whole).shaped(size, whole),
            None if whole.map(|side| self.next_side(side as f64)) == size => {
                Rect::new(0, 0, size[0], size[1])
            }
            None => Rect::new(0, 0, whole[0], whole[1]),
        }
    }
}

/// Latents `[N, C, h, w]` with others where a mask `[h, w]` is free.
fn replaced(clean: &[f32], others: &[f32], shares: &[f32]) -> Vec<f32> {
    let values = clean.iter().zip(others).zip(shares.iter().cycle());
    let chosen = values.map(|((clean, other), share)| if *share > 0.0 { *other } else { *clean });
    chosen.collect()
}

/// `[N, h, w, C]` and a mask `[h, w]` → `[N, h, w, 1 + C]`, the mask first.
fn with_mask(latents: &[f32], shares: &[f32], channels: usize) -> Vec<f32> {
    let pixels = latents.chunks_exact(channels).zip(shares.iter().cycle());
    let joined = pixels.flat_map(|(latent, share)| {
        let white = f32::from(u8::from(*share >= SEEN_SHARE));
        [white].into_iter().chain(latent.iter().copied())
    });
    joined.collect()
}
