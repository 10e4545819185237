//! Putting a repainted part back into its picture, without a seam and without touching the rest.

use super::Image;
use super::mask::Mask;
use super::rect::Rect;

/// Red, green and blue.
const COLOURS: usize = 3;

impl Image {
    /// A part of the picture; its border is drawn on where the rectangle goes beyond.
    pub(crate) fn part(&self, rect: Rect) -> Self {
        let pixels = rect.pixels().flat_map(|[x, y]| {
            let (x, y) = (x.min(self.width - 1), y.min(self.height - 1));
            self.pixel(x, y)
        });
        Self {
            width: rect.width,
            height: rect.height,
            pixels: pixels.collect(),
            seed: None,
            texts: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The picture within a larger one, whose other pixels are black and transparent.
    pub(crate) fn on_canvas(&self, [width, height]: [usize; 2], [left, top]: [usize; 2]) -> Self {
        let own = Rect::new(left, top, self.width, self.height);
        let pixels =
            Rect::new(0, 0, width, height)
                .pixels()
                .flat_map(|[x, y]| match own.contains(x, y) {
                    true => self.pixel(x - left, y - top),
                    false => [0; 4],
                });
        Self {
            width,
            height,
            pixels: pixels.collect(),
            seed: None,
            texts: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 4] {
        let at = 4 * (y * self.width + x);
        [0, 1, 2, 3].map(|i| self.pixels[at + i])
    }

    /// The colours of what a mask frees drawn in from what is around it, smoothly.
    pub(crate) fn filled_in(&self, mask: &Mask) -> Self {
        let (pixels, _) = self.pixels.as_chunks::<4>();
        let colours = pixels
            .iter()
            .map(|[red, green, blue, _]| [*red, *green, *blue].map(f32::from));
        let known: Vec<bool> = mask.shares().iter().map(|share| *share == 0.0).collect();
        let drawn = extended(self.width, &colours.collect::<Vec<_>>(), &known);
        let mut filled = self.clone();
        for (pixel, colour) in filled.free_pixels(&known).zip(unknown(&drawn, &known)) {
            *pixel = opaque(*colour);
        }
        filled
    }

    /// The picture in one colour where a mask frees it.
    pub(crate) fn coloured_in(&self, mask: &Mask, [red, green, blue]: [u8; 3]) -> Self {
        let known: Vec<bool> = mask.shares().iter().map(|share| *share == 0.0).collect();
        let mut filled = self.clone();
        for pixel in filled.free_pixels(&known) {
            *pixel = [red, green, blue, u8::MAX];
        }
        filled
    }

    fn free_pixels(&mut self, known: &[bool]) -> impl Iterator<Item = &mut [u8; 4]> {
        let (pixels, _) = self.pixels.as_chunks_mut::<4>();
        let pixels = pixels.iter_mut().zip(known);
        pixels.filter(|(_, known)| !**known).map(|(pixel, _)| pixel)
    }

    /// Puts a part back that was repainted, where a mask frees it; `mask` and `part` lie at the
    /// rectangle, which may go beyond the picture. Everything else stays as it is to the last bit.
    ///
    /// What the network made of the known pixels differs a little from them, in colour most of all. That
    /// difference is drawn on into the mask and added there, as in seamless cloning (Pérez et al. 2003,
    /// Poisson Image Editing), so that no edge shows; and within `feather_px` of the edge what was
    /// there before shines through.
    pub(crate) fn put_back(&mut self, part: &Self, mask: &Mask, rect: Rect, feather_px: usize) {
        let inside = |[x, y]: [usize; 2]| x < self.width && y < self.height;
        let before = self.part(rect);
        let known: Vec<bool> = rect
            .pixels()
            .map(|[x, y]| inside([x, y]) && !mask.is_free(x - rect.left, y - rect.top))
            .collect();
        let pairs = || {
            let (before, _) = before.pixels.as_chunks::<4>();
            let (part, _) = part.pixels.as_chunks::<4>();
            before.iter().zip(part)
        };
        let differences = pairs()
            .map(|(before, part)| [0, 1, 2].map(|i| f32::from(before[i]) - f32::from(part[i])));
        let drawn = extended(rect.width, &differences.collect::<Vec<_>>(), &known);
        let weights = mask.feathered(feather_px);
        let blended = pairs().zip(drawn).zip(weights).zip(rect.pixels());
        for ((((before, part), difference), weight), [x, y]) in blended {
            if weight == 0.0 || !inside([x, y]) {
                continue;
            }
            let colour = [0, 1, 2].map(|i| {
                let new = f32::from(part[i]) + difference[i];
                f32::from(before[i]) + weight * (new - f32::from(before[i]))
            });
            let at = 4 * (y * self.width + x);
            self.pixels[at..at + 4].copy_from_slice(&opaque(colour));
        }
    }
}

fn unknown<'a, T>(values: &'a [T], known: &'a [bool]) -> impl Iterator<Item = &'a T> {
    let values = values.iter().zip(known);
    values.filter(|(_, known)| !**known).map(|(value, _)| value)
}

fn opaque(colour: [f32; COLOURS]) -> [u8; 4] {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a byte's range"
    )]
    let [red, green, blue] = colour.map(|value| value.round().clamp(0.0, 255.0) as u8);
    [red, green, blue, u8::MAX]
}

/// One size of a pyramid: colours, and how much of each is known.
struct Level {
    width: usize,
    height: usize,
    colours: Vec<[f32; COLOURS]>,
    weights: Vec<f32>,
}

/// The colours of known pixels drawn on smoothly to all others: Gortler et al. 1996, The Lumigraph,
/// §3.4 (pull and push). Zeros where nothing is known.
fn extended(width: usize, colours: &[[f32; COLOURS]], known: &[bool]) -> Vec<[f32; COLOURS]> {
    let weights = known.iter().map(|known| f32::from(u8::from(*known)));
    let mut levels = vec![Level {
        width,
        height: colours.len() / width,
        colours: colours.to_vec(),
        weights: weights.collect(),
    }];
    while let Some(coarser) = levels.last().and_then(Level::pulled) {
        levels.push(coarser);
    }
    let mut drawn = levels.pop().expect("there is the finest");
    for (colour, weight) in drawn.colours.iter_mut().zip(&drawn.weights) {
        if *weight == 0.0 {
            *colour = [0.0; COLOURS];
        }
    }
    while let Some(mut finer) = levels.pop() {
        finer.push(&drawn);
        drawn = finer;
    }
    drawn.colours
}

impl Level {
    /// Half the size, of the known of each four; `None` for a single pixel.
    fn pulled(&self) -> Option<Self> {
        if self.width == 1 && self.height == 1 {
            return None;
        }
        let [width, height] = [self.width, self.height].map(|side| side.div_ceil(2));
        let mut colours = vec![[0.0; COLOURS]; width * height];
        let mut weights = vec![0.0_f32; width * height];
        for (i, (colour, weight)) in self.colours.iter().zip(&self.weights).enumerate() {
            let at = i / self.width / 2 * width + i % self.width / 2;
            weights[at] += weight;
            for (sum, value) in colours[at].iter_mut().zip(colour) {
                *sum += weight * value;
            }
        }
        for (colour, weight) in colours.iter_mut().zip(&mut weights) {
            if *weight > 0.0 {
                colour.iter_mut().for_each(|sum| *sum /= *weight);
            }
            *weight = weight.min(1.0);
        }
        Some(Self {
            width,
            height,
            colours,
            weights,
        })
    }

    /// Fills in what is not known from the next coarser one.
    fn push(&mut self, coarser: &Self) {
        for i in 0..self.colours.len() {
            let weight = self.weights[i];
            if weight < 1.0 {
                let drawn = coarser.between(i % self.width, i / self.width);
                for (value, drawn) in self.colours[i].iter_mut().zip(drawn) {
                    *value = weight * *value + (1.0 - weight) * drawn;
                }
            }
        }
    }

    /// The colour at a pixel of the next finer one, between the four around it.
    fn between(&self, x: usize, y: usize) -> [f32; COLOURS] {
        let neighbours = |at: usize, length: usize| {
            // The middle of a finer pixel is a quarter of a coarser one away from that one's.
            let near = at / 2;
            let far = if at.is_multiple_of(2) {
                near.saturating_sub(1)
            } else {
                (near + 1).min(length - 1)
            };
            [(near, 0.75_f32), (far, 0.25)]
        };
        let mut colour = [0.0; COLOURS];
        for (y, high) in neighbours(y, self.height) {
            for (x, wide) in neighbours(x, self.width) {
                let values = self.colours[y * self.width + x];
                for (sum, value) in colour.iter_mut().zip(values) {
                    *sum += high * wide * value;
                }
            }
        }
        colour
    }
}

#[cfg(test)]
#[path = "blend_tests.rs"]
mod tests;
