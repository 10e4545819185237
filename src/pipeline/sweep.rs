//! Requests that differ in some settings: every combination of some values.

mod axis;

pub use axis::SweepAxis;

use super::request::{Request, drawn_seed};
use crate::error::{Error, Result};

/// The most combinations of one sweep.
pub const MAX_SWEEP_CELLS: usize = 400;
/// The most settings that vary at once: columns, rows, and blocks of rows.
pub const MAX_SWEEP_AXES: usize = 3;

/// Settings that change what plans look like: outermost, so that what is between is drawn by the same
/// plans. The first changes the most.
const SHAPING: [&str; 14] = [
    "precision",
    "width",
    "height",
    "seamless",
    "vae_tile",
    "clip_skip",
    "prompt_style",
    "dynamic_thresholding",
    "guidance_rescale",
    "guidance_scale",
    "prompt",
    "negative_prompt",
    "prompt_2",
    "negative_prompt_2",
];

/// Settings that vary, each over some values: all combinations are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    axes: Vec<SweepAxis>,
}

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepCell {
    /// What is asked for.
    pub request: Request,
    /// Which value of each axis it has: column, row, block.
    pub place: [usize; MAX_SWEEP_AXES],
    /// What it has of each axis, as in `steps: 20`.
    pub labels: Vec<String>,
}

impl Sweep {
    /// A sweep over these settings: the first goes along columns, the second along rows, the third
    /// along blocks of rows.
    ///
    /// # Errors
    /// [`Error::Request`] for `sweep`, if a setting is there twice, or there are too many settings or
    /// combinations.
    pub fn new(axes: impl Into<Vec<SweepAxis>>) -> Result<Self> {
        let axes: Vec<SweepAxis> = axes.into();
        let refuse = |reason: String| Err(Error::request("sweep", reason));
        if axes.len() > MAX_SWEEP_AXES {
            return refuse(format!(
                "varies at most {MAX_SWEEP_AXES} settings at once, not {}",
                axes.len()
            ));
        }
        for (at, axis) in axes.iter().enumerate() {
            if axes[..at].iter().any(|other| other.field() == axis.field()) {
                let field = axis.field();
                return refuse(format!(
                    "varies {field} twice; give all its values at once, as in {field}=A,B"
                ));
            }
        }
        let count = axes.iter().try_fold(1_usize, |count, axis| {
            count.checked_mul(axis.values().len())
        });
        if count.is_none_or(|count| count > MAX_SWEEP_CELLS) {
            let values = axes.iter().map(|axis| axis.values().len().to_string());
            let product = values.collect::<Vec<_>>().join(" × ");
            return refuse(format!(
                "has {product} combinations; at most {MAX_SWEEP_CELLS} are drawn at once"
            ));
        }
        Ok(Self { axes })
    }

    /// Whether nothing varies.
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    /// The settings that vary.
    pub fn axes(&self) -> &[SweepAxis] {
        &self.axes
    }

    /// The number of values along each of columns, rows and blocks, 1 where nothing varies.
    pub fn shape(&self) -> [usize; MAX_SWEEP_AXES] {
        [0, 1, 2].map(|at| self.axes.get(at).map_or(1, |axis| axis.values().len()))
    }

    /// Every combination, checked, in an order in which plans change as rarely as they can. Where the
    /// request has no seed, one is drawn for all.
    ///
    /// # Errors
    /// [`Error::Request`] with the setting, if a value means nothing to it or a combination is refused
    /// by [`Request::check`]; or if the request is for several pictures at once.
    pub fn cells(&self, request: &Request) -> Result<Vec<SweepCell>> {
        if request.batch_size != 1 {
            let reason = "is for one picture of each combination; vary seed or variation_seed instead \
                          of asking for several at once";
            return Err(Error::request("sweep", reason));
        }
        let request = self.with_seeds(request);
        let labels: Vec<_> = self.axes.iter().map(SweepAxis::labels).collect();
        let [columns, rows, blocks] = self.shape();
        let mut cells = Vec::with_capacity(columns * rows * blocks);
        for at in 0..columns * rows * blocks {
            let place = [at % columns, at / columns % rows, at / (columns * rows)];
            let mut cell = SweepCell {
                request: request.clone(),
                place,
                labels: Vec::new(),
            };
            for ((axis, labels), at) in self.axes.iter().zip(&labels).zip(place) {
                cell.request = axis.applied(&cell.request, &axis.values()[at])?;
                cell.labels.push(labels[at].clone());
            }
            cell.request.check()?;
            cells.push(cell);
        }
        cells.sort_by_key(|cell| {
            let shaping = SHAPING.iter();
            let axes =
                shaping.map(|field| self.axes.iter().position(|axis| axis.field() == *field));
            let places = axes.map(|axis| axis.map_or(0, |axis| cell.place[axis]));
            places.collect::<Vec<_>>()
        });
        Ok(cells)
    }

    /// The request with what would otherwise be drawn anew for every combination.
    fn with_seeds(&self, request: &Request) -> Request {
        let mut request = request.clone();
        request.seed = request.seed.or_else(|| Some(drawn_seed()));
        let mut fields = self.axes.iter().map(SweepAxis::field);
        if request.variation_strength.is_some() || fields.any(|field| field == "variation_strength")
        {
            request.variation_seed = request.variation_seed.or_else(|| Some(drawn_seed()));
        }
        request
    }
}

#[cfg(test)]
mod tests;
