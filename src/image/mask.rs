//! Masks: how much each pixel of a picture may change.

use super::Image;
use super::rect::Rect;

/// How much each pixel of a picture may change: 0 not at all, 255 from the first step on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

impl Mask {
    /// A mask of the given values, `[height, width]`.
    pub(crate) fn new(width: usize, height: usize, values: Vec<u8>) -> Self {
        assert_eq!(values.len(), width * height, "a value for each pixel");
        Self {
            width,
            height,
            values,
        }
    }

    /// White where a picture is white: ITU-R 601's luma as PIL rounds it, times alpha.
    pub(crate) fn of_brightness(image: &Image) -> Self {
        let luma = |[red, green, blue, alpha]: [u8; 4]| {
            let [red, green, blue] = [red, green, blue].map(u32::from);
            let luma = (19_595 * red + 38_470 * green + 7_471 * blue + 0x8000) >> 16;
            byte((luma * u32::from(alpha) + 127) / 255)
        };
        Self::of(image, luma)
    }

    /// White where a picture is transparent.
    pub(crate) fn of_transparency(image: &Image) -> Self {
        Self::of(image, |[.., alpha]| u8::MAX - alpha)
    }

    fn of(image: &Image, value: impl Fn([u8; 4]) -> u8) -> Self {
        let (pixels, _) = image.pixels.as_chunks::<4>();
        let values = pixels.iter().map(|pixel| value(*pixel)).collect();
        Self::new(image.width, image.height, values)
    }

    /// White within a rectangle, black elsewhere.
    pub(crate) fn of_rect(width: usize, height: usize, rect: Rect) -> Self {
        let values = (0..height)
            .flat_map(|y| (0..width).map(move |x| if rect.contains(x, y) { u8::MAX } else { 0 }));
        Self::new(width, height, values.collect())
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Whether a pixel may change at all.
    pub(crate) fn is_free(&self, x: usize, y: usize) -> bool {
        self.values[y * self.width + x] > 0
    }

    /// Whether there is anything between black and white.
    pub(crate) fn is_soft(&self) -> bool {
        self.values
            .iter()
            .any(|value| !matches!(*value, 0 | u8::MAX))
    }

    /// As white as the whiter of the two.
    pub(crate) fn united(mut self, other: &Self) -> Self {
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            *value = (*value).max(*other);
        }
        self
    }

    /// Black within a rectangle, as far as that goes within the picture.
    pub(crate) fn keep(&mut self, rect: Rect) {
        let right = rect.right().min(self.width);
        for y in rect.top..rect.bottom().min(self.height) {
            self.values[y * self.width + rect.left..y * self.width + right].fill(0);
        }
    }

    /// How many pixels within a rectangle and the picture may change, and how many there are.
    pub(crate) fn count_free(&self, rect: Rect) -> [usize; 2] {
        let (right, bottom) = (rect.right().min(self.width), rect.bottom().min(self.height));
        let rows = (rect.top..bottom).map(|y| y * self.width);
        let rows = rows.map(|row| &self.values[row + rect.left..row + right]);
        let free = rows.flatten().filter(|value| **value > 0).count();
        [free, (right - rect.left) * (bottom - rect.top)]
    }

    /// Black for white.
    pub(crate) fn inverted(mut self) -> Self {
        self.values
            .iter_mut()
            .for_each(|value| *value = u8::MAX - *value);
        self
    }

    /// Each pixel as white as the whitest at most so far away, along both axes.
    pub(crate) fn grown(self, distance_px: usize) -> Self {
        if distance_px == 0 {
            return self;
        }
        let (width, height) = (self.width, self.height);
        let rows = self.values.chunks_exact(width);
        let rows: Vec<u8> = rows.flat_map(|row| running_max(row, distance_px)).collect();
        let mut values = vec![0; rows.len()];
        for x in 0..width {
            let column: Vec<u8> = (0..height).map(|y| rows[y * width + x]).collect();
            for (y, value) in running_max(&column, distance_px).into_iter().enumerate() {
                values[y * width + x] = value;
            }
        }
        Self::new(width, height, values)
    }

    /// The smallest rectangle around all that may change; `None` where nothing may.
    pub(crate) fn bounds(&self) -> Option<Rect> {
        let free = (0..self.height)
            .flat_map(|y| (0..self.width).map(move |x| [x, y]))
            .filter(|[x, y]| self.is_free(*x, *y));
        free.fold(None, |bounds: Option<Rect>, [x, y]| {
            let pixel = Rect::new(x, y, 1, 1);
            Some(bounds.map_or(pixel, |bounds| bounds.around(pixel)))
        })
    }

    /// The part within a rectangle; black where that goes beyond.
    pub(crate) fn within(&self, rect: Rect) -> Self {
        let values = rect
            .pixels()
            .map(|[x, y]| match x < self.width && y < self.height {
                true => self.values[y * self.width + x],
                false => 0,
            });
        Self::new(rect.width, rect.height, values.collect())
    }

    /// The same in another size, each pixel the whitest of those that it covers: what is free here is
    /// free there.
    pub(crate) fn resized(&self, width: usize, height: usize) -> Self {
        let covered = |at: usize, count: usize, own: usize| {
            let start = at * own / count;
            start..((at + 1) * own).div_ceil(count).clamp(start + 1, own)
        };
        let values = (0..height).flat_map(|y| {
            let rows = covered(y, height, self.height);
            (0..width).map(move |x| {
                let columns = covered(x, width, self.width);
                let rows = rows.clone().map(|row| row * self.width);
                let rows = rows.map(|row| &self.values[row + columns.start..row + columns.end]);
                rows.flatten().copied().max().unwrap_or(0)
            })
        });
        Self::new(width, height, values.collect())
    }

    /// The values as shares of 1.
    pub(crate) fn shares(&self) -> Vec<f32> {
        self.values
            .iter()
            .map(|value| f32::from(*value) / 255.0)
            .collect()
    }

    /// 0 outside, and inside from a little more than 0 at the edge to 1 so far from it, whatever the
    /// values are. The picture's border is no edge.
    pub(crate) fn feathered(&self, distance_px: usize) -> Vec<f32> {
        let far = (distance_px + 1) as f32;
        let free = self.values.iter().map(|value| *value > 0);
        let mut distances: Vec<f32> = free.map(|free| if free { far } else { 0.0 }).collect();
        // From the top left down, and from the bottom right up: Rosenfeld & Pfaltz 1966, Sequential
        // Operations in Digital Picture Processing, with diagonal steps as long as straight ones.
        for _ in 0..2 {
            spread(&mut distances, self.width);
            distances.reverse();
        }
        distances.iter().map(|distance| distance / far).collect()
    }
}

/// Each distance at most one more than those left of it and above, corners included.
fn spread(distances: &mut [f32], width: usize) {
    for at in 0..distances.len() {
        let x = at % width;
        let mut nearest = if x > 0 { distances[at - 1] } else { f32::MAX };
        if at >= width {
            let above = at - width;
            let (left, right) = (x.min(1), (width - 1 - x).min(1));
            let above = &distances[above - left..=above + right];
            nearest = above.iter().copied().fold(nearest, f32::min);
        }
        distances[at] = distances[at].min(nearest + 1.0);
    }
}

/// Each value as large as the largest at most so far away: maxima over windows of twice the length each
/// time, and at last of two that overlap.
fn running_max(values: &[u8], distance: usize) -> Vec<u8> {
    let distance = distance.min(values.len());
    let window = 2 * distance + 1;
    let margin = vec![0; distance];
    let mut maxima = [&margin, values, &margin].concat();
    let larger = |maxima: &[u8], offset: usize| -> Vec<u8> {
        let others = &maxima[offset..];
        maxima
            .iter()
            .zip(others)
            .map(|(one, other)| *one.max(other))
            .collect()
    };
    let mut length = 1;
    while 2 * length <= window {
        maxima = larger(&maxima, length);
        length *= 2;
    }
    larger(&maxima, window - length)
}

fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of digits, 0 to 9 for 0 to 255.
    fn mask(rows: &[&str]) -> Mask {
        let digits = rows.iter().flat_map(|row| row.bytes());
        let values = digits
            .map(|digit| (digit - b'0') * 28)
            .map(|value| if value > 251 { 255 } else { value });
        Mask::new(rows[0].len(), rows.len(), values.collect())
    }

    fn support(mask: &Mask) -> Vec<String> {
        let rows = mask.values.chunks_exact(mask.width);
        let text = |row: &[u8]| {
            row.iter()
                .map(|value| if *value > 0 { '#' } else { '.' })
                .collect()
        };
        rows.map(text).collect()
    }

    #[test]
    fn brightness_counts_and_what_is_transparent_is_black() {
        let pixels = [
            [255; 4],
            [255, 255, 255, 0],
            [0, 0, 0, 255],
            [0, 255, 0, 255],
        ]
        .concat();
        let mask = Mask::of_brightness(&Image::from_rgba(4, 1, pixels).unwrap());
        // PIL 13.0.0: Image.new("RGB", (1, 1), (0, 255, 0)).convert("L") is 150.
        assert_eq!(mask.values, [255, 0, 0, 150]);
        assert!(mask.is_soft());
    }

    #[test]
    fn a_mask_grows_along_both_axes() {
        let grown = mask(&["0000", "0900", "0000", "0000"]).grown(1);
        assert_eq!(support(&grown), ["###.", "###.", "###.", "...."]);
    }

    #[test]
    fn a_running_maximum_reaches_as_far_as_it_is_told() {
        for distance in 0..12 {
            let maxima = running_max(&[0, 0, 9, 0, 0, 0, 0, 3], distance);
            let expected = (0..8_usize).map(|at| match (at.abs_diff(2), at.abs_diff(7)) {
                (far, _) if far <= distance => 9,
                (_, far) if far <= distance => 3,
                _ => 0,
            });
            assert_eq!(maxima, expected.collect::<Vec<u8>>(), "{distance}");
        }
    }

    #[test]
    fn a_smaller_mask_leaves_out_nothing_that_is_free() {
        let small = mask(&["00000", "00090", "00000"]).resized(2, 1);
        assert_eq!(support(&small), [".#"]);
        let middle = mask(&["00900"]).resized(2, 1);
        assert_eq!(support(&middle), ["##"]);
        assert_eq!(support(&mask(&["09"]).resized(4, 1)), ["..##"]);
    }

    #[test]
    fn bounds_are_tight_and_nothing_has_none() {
        let bounds = mask(&["0000", "0910", "0000"]).bounds();
        assert_eq!(bounds, Some(Rect::new(1, 1, 2, 1)));
        assert_eq!(mask(&["00", "00"]).bounds(), None);
    }

    #[test]
    fn a_feather_lies_inside_and_ends_at_the_edge() {
        let weights = mask(&["0099999"]).feathered(2);
        assert_eq!(weights, [0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0]);
        assert_eq!(mask(&["0111"]).feathered(0), [0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_feather_goes_by_the_longer_axis_to_the_nearest_that_is_kept() {
        const WIDTH: usize = 13;
        let kept = [[2, 3], [12, 0], [7, 9], [8, 9]];
        let pixels = Rect::new(0, 0, WIDTH, 11).pixels();
        let values = pixels.map(|pixel| if kept.contains(&pixel) { 0 } else { 9 });
        let weights = Mask::new(WIDTH, 11, values.collect()).feathered(4);
        for (i, weight) in weights.into_iter().enumerate() {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let distances = kept.map(|[left, top]| x.abs_diff(left).max(y.abs_diff(top)));
            let nearest = distances.into_iter().min().unwrap_or_default();
            assert_eq!(weight, nearest.min(5) as f32 / 5.0, "{x},{y}");
        }
    }
}
