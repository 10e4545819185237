//! By how much two pictures differ.

use std::fmt;

use serde::Serialize;

use super::Image;
use crate::error::{Error, Result};

/// By how much two pictures of one size differ, over red, green, blue and alpha.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The largest difference of any value, 0 to 255; 0 for identical pictures.
    pub max: u8,
    /// The peak signal-to-noise ratio in decibels, `10·log₁₀(255² / mean squared difference)`; 30 is
    /// a visible difference, 50 is not. `None`, for infinity, between identical pictures.
    pub psnr_db: Option<f64>,
    /// The pixels that differ at all.
    pub differing_pixels: usize,
    /// All pixels.
    pub pixels: usize,
}

impl Difference {
    /// Whether every value of every pixel is the same.
    pub fn is_none(&self) -> bool {
        self.differing_pixels == 0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(psnr_db) = self.psnr_db else {
            return write!(f, "identical in all {} pixels", self.pixels);
        };
        let share = 100.0 * self.differing_pixels as f64 / self.pixels as f64;
        write!(
            f,
            "different: {} of {} pixels ({share:.2} %), by at most {} of 255, PSNR {psnr_db:.1} dB",
            self.differing_pixels, self.pixels, self.max
        )
    }
}

impl Image {
    /// By how much another picture of the same size differs from this one.
    ///
    /// # Errors
    /// [`Error::Request`] if the sizes differ.
    pub fn difference(&self, other: &Self) -> Result<Difference> {
        if (self.width, self.height) != (other.width, other.height) {
            let reason = format!(
                "{}×{} and {}×{} pixels cannot be compared; pictures of one size can",
                self.width, self.height, other.width, other.height
            );
            return Err(Error::request("image", reason));
        }
        let (ours, _) = self.pixels.as_chunks::<4>();
        let (theirs, _) = other.pixels.as_chunks::<4>();
        let values = self.pixels.iter().zip(&other.pixels);
        let differences = values.map(|(ours, theirs)| ours.abs_diff(*theirs));
        let squares: u64 = differences.clone().map(|d| u64::from(d).pow(2)).sum();
        let mean = squares as f64 / self.pixels.len() as f64;
        let peak = f64::from(u8::MAX);
        Ok(Difference {
            max: differences.max().unwrap_or(0),
            psnr_db: (squares > 0).then(|| 10.0 * (peak * peak / mean).log10()),
            differing_pixels: ours.iter().zip(theirs).filter(|(a, b)| a != b).count(),
            pixels: ours.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Image {
        let pixels = values.iter().flat_map(|&v| [v, v, v, 255]).collect();
        Image::from_rgba(values.len(), 1, pixels).unwrap()
    }

    #[test]
    fn a_picture_does_not_differ_from_itself() {
        let image = grey(&[1, 2, 3, 4]);
        let difference = image.difference(&image).unwrap();
        assert!(difference.is_none());
        assert_eq!((difference.max, difference.psnr_db), (0, None));
        assert_eq!(difference.to_string(), "identical in all 4 pixels");
    }

    #[test]
    fn a_difference_is_measured() {
        // By hand: 3 values of 16 differ by 10, so the mean square is 300/16 = 18.75, and
        // 10·log₁₀(65025/18.75) = 35.40 dB.
        let difference = grey(&[1, 2, 3, 4])
            .difference(&grey(&[1, 12, 3, 4]))
            .unwrap();
        assert_eq!(difference.max, 10);
        assert_eq!((difference.differing_pixels, difference.pixels), (1, 4));
        assert!((difference.psnr_db.unwrap() - 35.40).abs() < 0.005);
        assert_eq!(
            difference.to_string(),
            "different: 1 of 4 pixels (25.00 %), by at most 10 of 255, PSNR 35.4 dB"
        );
    }

    #[test]
    fn pictures_of_two_sizes_cannot_be_compared() {
        let failure = grey(&[1]).difference(&grey(&[1, 2])).unwrap_err();
        assert!(failure.to_string().contains("1×1 and 2×1"), "{failure}");
    }
}
