//! A second pass at a larger size: what AUTOMATIC1111 calls the hires fix.

use super::handle::Pipeline;
use super::memory::PartMemory;
use super::model::Model;
use super::request::{MAX_SIDE_PX, Noise, Request};
use super::tasks::{Task, check_strength};
use super::upscaler::Upscaler;
use crate::error::{Error, Result};
use crate::tensor::DType;
use serde::{Deserialize, Serialize};

/// The most times that a side may grow.
const MAX_SCALE: f64 = 8.0;

/// That a picture is drawn, enlarged, and drawn again from that: large ones keep the composition that the
/// model has at the size which it was made for.
///
/// The second pass has the same seed, whose noise is drawn anew at the larger size, as in A1111; and it is
/// the one that a refiner ends, as is A1111's default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hires {
    /// How many times as wide and high the picture becomes, over 1 and up to 8; to the nearest multiple of
    /// the model's latent factor.
    pub scale: f64,
    /// How much the second pass may change, over 0 and up to 1: the share of the noise that it begins with.
    pub strength: f64,
    /// The steps that the second pass does; as many as the first where `None`.
    pub steps: Option<usize>,
    /// How the picture is enlarged between the passes.
    pub resize: HiresResize,
}

/// How a picture is enlarged between two passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HiresResize {
    /// Its latent, each value between its neighbours: no decoding, but blurred, so that it takes a strength
    /// over 0.5 to become sharp. A1111's "Latent".
    #[default]
    Latent,
    /// Its pixels, by a Lanczos filter of three lobes: stays nearer to the first pass at a low strength.
    Lanczos,
    /// Its pixels, by the pipeline's upscaling network ([`Pipeline::with_upscaler`]), as often as the size
    /// takes, and from there to the size by that filter: sharp, with edges that a filter cannot make.
    Network,
}

/// What A1111 calls its filters that are none of these; every other name is a network's.
const OTHER_FILTERS: [&str; 2] = ["None", "Nearest"];

impl HiresResize {
    /// What A1111 calls it; a network has its own name.
    pub(super) fn a1111_name(self, network: &str) -> &str {
        match self {
            Self::Latent => "Latent",
            Self::Lanczos => "Lanczos",
            Self::Network => network,
        }
    }

    /// The one that A1111 calls so.
    pub(super) fn of_a1111(name: &str) -> Option<Self> {
        match name {
            "Latent" => Some(Self::Latent),
            "Lanczos" => Some(Self::Lanczos),
            other if other.starts_with("Latent (") || OTHER_FILTERS.contains(&other) => None,
            _ => Some(Self::Network),
        }
    }
}

impl Default for Hires {
    /// Twice the size, at A1111's strength.
    fn default() -> Self {
        Self {
            scale: 2.0,
            strength: 0.7,
            steps: None,
            resize: HiresResize::default(),
        }
    }
}

/// Which pass over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The one that every request has.
    First,
    /// The one at a larger size.
    Second,
}

impl Pass {
    /// The share of the noise that it begins with.
    pub(super) fn strength(self, request: &Request) -> f64 {
        match (self, &request.hires) {
            (Self::Second, Some(hires)) => hires.strength,
            _ => request.task.strength(),
        }
    }

    /// What that is called in a request.
    pub(super) fn strength_field(self) -> &'static str {
        match self {
            Self::First => "strength",
            Self::Second => "hires_strength",
        }
    }

    /// Whether it begins with pictures that are encoded.
    pub(super) fn encodes(self, request: &Request) -> bool {
        match (self, &request.hires) {
            (Self::Second, Some(hires)) => hires.resize != HiresResize::Latent,
            _ => !request.task.images().is_empty(),
        }
    }
}

impl Hires {
    /// That the numbers are in range, and that there is but this to be done.
    ///
    /// # Errors
    /// [`Error::Request`] with the field, what is allowed and what was given.
    pub(super) fn check(&self, request: &Request) -> Result<()> {
        self.check_scale()?;
        check_strength("hires_strength", self.strength)?;
        if self.steps == Some(0) {
            return Err(Error::request("hires_steps", "must be at least 1, not 0"));
        }
        let other = if request.task != Task::TextToImage {
            "a task that starts from a picture: give it a larger size"
        } else if request.sigmas.is_some() {
            "sigmas of its own, which say nothing of a second pass"
        } else if matches!(request.noise, Some(Noise::Recorded(_))) {
            "recorded noise, which has one size"
        } else {
            return Ok(());
        };
        Err(Error::request("hires", format!("does not go with {other}")))
    }
}

impl Hires {
    fn check_scale(&self) -> Result<()> {
        if self.scale > 1.0 && self.scale <= MAX_SCALE {
            return Ok(());
        }
        let reason = format!("must be over 1 and at most {MAX_SCALE}, not {}", self.scale);
        Err(Error::request("hires", reason))
    }
}

impl Model {
    /// The width and height that a second pass makes of a first one's.
    ///
    /// # Errors
    /// [`Error::Request`] if the scale is out of range or a side becomes too long.
    pub fn hires_size(&self, hires: &Hires, [width, height]: [usize; 2]) -> Result<[usize; 2]> {
        hires.check_scale()?;
        let [width, height] =
            [width, height].map(|side| self.nearest_side(side as f64 * hires.scale));
        if width.max(height) > MAX_SIDE_PX {
            let reason = format!(
                "makes the picture {width}×{height}, where a side has at most {MAX_SIDE_PX} pixels; use a \
                 smaller one"
            );
            return Err(Error::request("hires", reason));
        }
        Ok([width, height])
    }

    /// The second pass of a resolved request, if it has one.
    ///
    /// # Errors
    /// [`Error::Request`] if a side becomes too long.
    pub(super) fn second_pass(&self, request: &Request) -> Result<Option<Request>> {
        let Some(hires) = request.hires else {
            return Ok(None);
        };
        let [width, height] = self.hires_size(&hires, [request.width(), request.height()])?;
        Ok(Some(Request {
            width: Some(width),
            height: Some(height),
            steps: hires.steps.or(request.steps),
            ..request.clone()
        }))
    }
}

impl Pipeline {
    /// Gives second passes a network to enlarge pictures by, for [`HiresResize::Network`]. It is on the
    /// device while it works, and its weights come from the file each time.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is on another device.
    pub fn with_upscaler(self, upscaler: Upscaler) -> Result<Self> {
        if !self.device().is_same(upscaler.device()) {
            return Err(Error::Unsupported(
                "an upscaler on another device than the model; open both on one".into(),
            ));
        }
        Ok(self.enlarged_by(upscaler))
    }

    /// The steps of the second pass of a resolved request; none where there is no such pass.
    ///
    /// # Errors
    /// As [`Pipeline::planned`].
    pub(super) fn second_step_count(&self, request: &Request) -> Result<usize> {
        let Some(second) = self.model().second_pass(request)? else {
            return Ok(0);
        };
        Ok(self.planned(&second, Pass::Second)?.table.step_count())
    }

    /// What enlarges pictures between the passes of a request, and to which width and height; `None`
    /// where no network does.
    ///
    /// # Errors
    /// [`Error::Request`] if one is asked for and there is none, or if a side becomes too long.
    pub(super) fn enlarging(&self, request: &Request) -> Result<Option<(&Upscaler, [usize; 2])>> {
        let hires = request.hires.as_ref();
        if hires.is_none_or(|hires| hires.resize != HiresResize::Network) {
            return Ok(None);
        }
        let upscaler = self.upscaler().ok_or_else(|| {
            let reason =
                "is an upscaling network, but there is none; give one, or use latent or lanczos";
            Error::request("hires_resize", reason)
        })?;
        let second = self.model().second_pass(request)?;
        Ok(second.map(|second| (upscaler, [second.width(), second.height()])))
    }

    /// What that takes on the device while it works.
    ///
    /// # Errors
    /// As [`Pipeline::enlarging`], and [`Error::Request`] if what comes out is too large to be held.
    pub(super) fn enlarging_memory(
        &self,
        request: &Request,
        compute: DType,
    ) -> Result<Option<PartMemory>> {
        let Some((upscaler, to)) = self.enlarging(request)? else {
            return Ok(None);
        };
        let from = [request.width(), request.height()];
        Ok(Some(upscaler.memory_to(from, to, compute)?))
    }
}
