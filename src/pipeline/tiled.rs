//! Tiled denoising: the network sees the latent in windows that overlap, one after another, and the
//! whole is denoised by what it predicts of all of them (MultiDiffusion: Bar-Tal et al. 2023,
//! arXiv 2302.08113).

use super::model::Model;
use super::request::{Request, Seamless};
use super::tiling::{corners, starts, starts_around, weights, weights_around};
use crate::error::{Error, Result};
use crate::families::Defaults;
use crate::ops::WindowField;
use crate::tensor::Wrap;
use serde::{Deserialize, Serialize};

/// The least side of a window in pixels: what networks draw on less is no picture.
pub const MIN_LATENT_TILE_PX: usize = 64;

/// That the network sees the latent in windows, and how large they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TileLatents {
    /// The pixels of a window on a side, a multiple of the model's latent factor and at least
    /// [`MIN_LATENT_TILE_PX`]; those of the shorter side of the model's own size where `None`.
    pub size_px: Option<usize>,
    /// The pixels that neighbours share at least, fewer than a window has; a quarter of a window's
    /// where `None`.
    pub overlap_px: Option<usize>,
}

/// Where a step's windows lie, in latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Windows {
    /// Height and width of the latent.
    whole: [usize; 2],
    /// Height and width of a window: the whole's where that is smaller.
    pub(super) size: [usize; 2],
    /// What neighbours share at least.
    overlap: usize,
    /// Which edges of the latent join: windows go on there at the opposite one.
    wrap: Wrap,
}

impl TileLatents {
    /// That the numbers are in range.
    ///
    /// # Errors
    /// [`Error::Request`] with what is allowed and what was given.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(size) = self.size_px.filter(|size| *size < MIN_LATENT_TILE_PX) {
            let reason = format!("must be at least {MIN_LATENT_TILE_PX} pixels, not {size}");
            return Err(Error::request("tile_latents", reason));
        }
        match (self.size_px, self.overlap_px) {
            (Some(size), Some(overlap)) if overlap >= size => {
                let reason = format!("must be less than a tile's {size} pixels, not {overlap}");
                Err(Error::request("tile_overlap", reason))
            }
            _ => Ok(()),
        }
    }

    /// The same with everything filled in, for a model with these defaults.
    pub(super) fn resolved(self, defaults: &Defaults) -> Self {
        let own = defaults.width.min(defaults.height);
        let size = self.size_px.unwrap_or(own.max(MIN_LATENT_TILE_PX));
        Self {
            size_px: Some(size),
            overlap_px: Some(self.overlap_px.unwrap_or(size / 4)),
        }
    }
}

impl Model {
    /// The windows in which a resolved request has a latent seen; `None` where one is all of it, or
    /// none are asked for.
    ///
    /// # Errors
    /// As [`TileLatents::check`], and [`Error::Request`] if a window's side is no multiple of the latent
    /// factor.
    pub(super) fn windows(&self, request: &Request, whole: [usize; 2]) -> Result<Option<Windows>> {
        let Some(tile) = request.tile_latents else {
            return Ok(None);
        };
        let tile = tile.resolved(self.defaults());
        tile.check()?;
        let factor = self.config.vae_scale_factor;
        let [side, overlap] = [tile.size_px, tile.overlap_px].map(Option::unwrap_or_default);
        if !side.is_multiple_of(factor) {
            let below = side / factor * factor;
            let reason = format!(
                "must be a multiple of {factor} pixels for this model, not {side}; use {below} or {}",
                below + factor
            );
            return Err(Error::request("tile_latents", reason));
        }
        let side = side / factor;
        let windows = Windows {
            whole,
            size: whole.map(|whole| whole.min(side)),
            overlap: overlap.div_ceil(factor).min(side - 1),
            wrap: Seamless::wrap(request.seamless),
        };
        Ok((windows.size != whole).then_some(windows))
    }
}

impl Windows {
    /// One window, which is all of a latent.
    #[cfg(test)]
    pub(super) fn one(whole: [usize; 2]) -> Self {
        Self {
            whole,
            size: whole,
            overlap: 0,
            wrap: Wrap::NONE,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.starts().iter().map(Vec::len).product()
    }

    /// Where they begin along height and width.
    fn starts(&self) -> [Vec<usize>; 2] {
        [0, 1].map(|axis| match self.goes_around()[axis] {
            true => starts_around(self.whole[axis], self.size[axis], self.overlap),
            false => starts(self.whole[axis], self.size[axis], self.overlap),
        })
    }

    /// Along which axes windows go on at the opposite edge: those that join and take several.
    fn goes_around(&self) -> [bool; 2] {
        let Wrap { rows, columns } = self.wrap;
        [
            rows && self.size[0] < self.whole[0],
            columns && self.size[1] < self.whole[1],
        ]
    }

    /// Which edges of a window join for the network: those that join and take one window.
    pub(super) fn wrap_within(&self) -> Wrap {
        let [around_rows, around_columns] = self.goes_around();
        Wrap {
            rows: self.wrap.rows && !around_rows,
            columns: self.wrap.columns && !around_columns,
        }
    }

    /// How much a window that begins there counts at each of its places along an axis.
    fn weights(&self, starts: &[usize], axis: usize, start: usize) -> Vec<f32> {
        match self.goes_around()[axis] {
            true => weights_around(starts, self.whole[axis], self.size[axis], start),
            false => weights(starts, self.size[axis], start, 1),
        }
    }

    /// Each window as the device gets it ([`WindowField`]). Over every place, the weights of all
    /// windows sum to 1.
    pub(super) fn described(&self) -> Vec<Vec<f32>> {
        let starts = self.starts();
        let corners = corners(starts.clone()).into_iter().enumerate();
        let described = corners.map(|(i, corner)| {
            let weights = [0, 1].map(|axis| self.weights(&starts[axis], axis, corner[axis]));
            let mut values = vec![0.0; WindowField::Weights as usize];
            values[WindowField::Top as usize] = corner[0] as f32;
            values[WindowField::Left as usize] = corner[1] as f32;
            values[WindowField::IsFirst as usize] = f32::from(u8::from(i == 0));
            values.extend(weights.concat());
            values
        });
        described.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{self, seeded};
    use crate::ops::{RowField, STATE_SLOTS};
    use crate::pipeline::recordings::{Guidance, StepShape, ends};
    use crate::plan::{Residency, Runner};
    use crate::tensor::DType;
    use std::sync::Arc;

    /// The same sums in another order of two.
    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn edges_join_within_a_window_that_reaches_both_and_around_windows_elsewhere() {
        let wrap = |rows, columns| Wrap { rows, columns };
        for (whole, joining, within) in [
            ([16, 48], wrap(true, true), wrap(true, false)),
            ([48, 16], wrap(true, true), wrap(false, true)),
            ([48, 48], wrap(true, true), wrap(false, false)),
            ([16, 48], wrap(false, true), wrap(false, false)),
            ([48, 16], wrap(true, false), wrap(false, false)),
            ([16, 48], wrap(true, false), wrap(true, false)),
            ([48, 16], wrap(false, true), wrap(false, true)),
        ] {
            let windows = Windows {
                whole,
                size: [16, 16],
                overlap: 4,
                wrap: joining,
            };
            assert_eq!(windows.wrap_within(), within, "{whole:?} {joining:?}");
        }
    }

    #[test]
    fn a_step_in_one_window_is_a_step() {
        let Some(device) = testing::device() else {
            return;
        };
        let model = Model::demo().unwrap();
        let shape = |windows| StepShape {
            batch: 2,
            branches: 2,
            chunks: 1,
            latent: [8, 12],
            guidance: Guidance::Plain,
            keeps_known: true,
            wrap: crate::tensor::Wrap::NONE,
            windows,
        };
        let residency = Arc::new(Residency::new(device, &model.weights));
        let after = [None, Some(Windows::one([8, 12]))].map(|windows| {
            let plan = model.step_plan(shape(windows), DType::F32, &device.caps());
            let inputs = plan.as_ref().unwrap().inputs.clone();
            let runner = Runner::new(device, plan.unwrap(), &residency);
            let runner = pollster::block_on(runner).unwrap();
            for (name, end) in &inputs {
                let values = match name.as_str() {
                    ends::SUM => vec![f32::NAN; end.view.shape.len()],
                    name => seeded(end.view.shape, name.len() as u64).data().to_vec(),
                };
                runner.write(name, &values).unwrap();
            }
            let mut row = seeded([RowField::COUNT].into(), 1);
            row.data_mut()[RowField::Place as usize] = 3.0;
            runner.write(ends::ROW, row.data()).unwrap();
            if let Some(windows) = windows {
                runner.write(ends::WINDOW, &windows.described()[0]).unwrap();
            }
            pollster::block_on(runner.run()).unwrap();
            pollster::block_on(runner.read(ends::STATE)).unwrap()
        });
        let [whole, windowed] = after;
        assert_eq!(whole.len(), STATE_SLOTS * 2 * 8 * 12 * 4);
        let largest = whole
            .iter()
            .fold(1.0_f32, |most, value| most.max(value.abs()));
        for (windowed, whole) in windowed.iter().zip(&whole) {
            assert!(
                (windowed - whole).abs() <= TOLERANCE * largest,
                "{windowed} {whole}"
            );
        }
    }

    #[test]
    fn the_weights_over_every_place_sum_to_one() {
        let around = |rows, columns| Wrap { rows, columns };
        for (whole, size, overlap, wrap) in [
            ([16, 48], [16, 16], 4, Wrap::NONE),
            ([37, 29], [16, 16], 15, Wrap::NONE),
            ([64, 20], [9, 20], 0, Wrap::NONE),
            ([5, 300], [5, 64], 8, Wrap::NONE),
            ([16, 48], [16, 16], 4, around(true, true)),
            ([37, 29], [16, 16], 15, around(true, true)),
            ([64, 20], [9, 20], 0, around(true, false)),
            ([5, 300], [5, 64], 8, around(false, true)),
        ] {
            let windows = Windows {
                whole,
                size,
                overlap,
                wrap,
            };
            let described = windows.described();
            assert_eq!(described.len(), windows.count());
            let mut sums = vec![0.0; whole[0] * whole[1]];
            let corners = corners(windows.starts());
            for ([top, left], window) in corners.into_iter().zip(&described) {
                let (fields, weights) = window.split_at(WindowField::Weights as usize);
                assert_eq!(fields[..2], [top as f32, left as f32]);
                let (rows, columns) = weights.split_at(size[0]);
                for (y, row) in rows.iter().enumerate() {
                    for (x, column) in columns.iter().enumerate() {
                        let place = [(top + y) % whole[0], (left + x) % whole[1]];
                        sums[place[0] * whole[1] + place[1]] += row * column;
                    }
                }
            }
            assert!(
                sums.iter().all(|sum: &f32| (sum - 1.0).abs() < 1e-5),
                "{windows:?}"
            );
        }
    }

    #[test]
    fn only_the_first_window_begins_a_sum() {
        let windows = Windows {
            whole: [8, 20],
            size: [8, 8],
            overlap: 2,
            wrap: Wrap::NONE,
        };
        let first: Vec<f32> = windows.described().iter().map(|window| window[2]).collect();
        assert_eq!(first, [1.0, 0.0, 0.0]);
    }
}
