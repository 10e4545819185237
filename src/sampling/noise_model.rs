//! The noise levels that a network was trained on, and the timesteps it knows them by.

use super::{SigmaRules, Space};
use crate::error::{Error, Result};

/// How a network's timesteps and noise levels σ belong together.
///
/// σ is the ratio of noise to signal for a network trained on betas, and the share of noise for a
/// flow network. Every network ends at σ = 0, the clean latent, which is not a timestep of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseModel {
    train_steps: usize,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// σ of each timestep, rising, and their logarithms.
    Discrete {
        sigmas: Vec<f64>,
        log_sigmas: Vec<f64>,
    },
    /// Any σ between the ends.
    Edm {
        sigma_min: f64,
        sigma_max: f64,
    },
    Flow {
        shift: f64,
    },
}

impl NoiseModel {
    /// Betas whose square roots rise linearly: Stable Diffusion 1.x has 0.00085 to 0.012 over 1000
    /// timesteps. Rombach et al. 2022 (arXiv 2112.10752).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless 0 < `beta_start` ≤ `beta_end` < 1, and there are at least two
    /// timesteps and so few that some signal is left after the last.
    pub fn scaled_linear(beta_start: f64, beta_end: f64, train_steps: usize) -> Result<Self> {
        let roots = Ramp::new(beta_start.sqrt(), beta_end.sqrt(), train_steps);
        Self::from_betas(beta_start, beta_end, train_steps, |i| roots.at(i).powi(2))
    }

    /// Betas that rise linearly. Ho et al. 2020 (arXiv 2006.11239).
    ///
    /// # Errors
    ///
    /// As [`scaled_linear`](Self::scaled_linear).
    pub fn linear(beta_start: f64, beta_end: f64, train_steps: usize) -> Result<Self> {
        let betas = Ramp::new(beta_start, beta_end, train_steps);
        Self::from_betas(beta_start, beta_end, train_steps, |i| betas.at(i))
    }

    /// Any σ from `sigma_min` to `sigma_max`, told the network as ln(σ)/4: networks that were trained
    /// or tuned after Karras et al. 2022 (arXiv 2206.00364), such as CosXL, whose range is 0.002 to
    /// 120. Checked against ComfyUI's `ModelSamplingContinuousEDM` (comfy/model_sampling.py).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless 0 < `sigma_min` < `sigma_max` < ∞.
    pub fn edm(sigma_min: f64, sigma_max: f64) -> Result<Self> {
        if !(0.0 < sigma_min && sigma_min < sigma_max && sigma_max.is_finite()) {
            return Err(Error::Unsupported(format!(
                "noise levels from {sigma_min} to {sigma_max}; expected 0 < sigma_min < sigma_max"
            )));
        }
        Ok(Self {
            train_steps: EDM_STEPS,
            kind: Kind::Edm {
                sigma_min,
                sigma_max,
            },
        })
    }

    /// The same network's noise levels rescaled so that the last leaves next to no signal, while the
    /// first stays: Lin et al. 2024 (arXiv 2305.08891), algorithm 1.
    ///
    /// How much is left instead of nothing, which would make σ infinite, is a matter of `rules`:
    /// diffusers' schedulers go up to σ = 4096, ComfyUI and A1111 to 4518.8.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a model without betas.
    pub fn with_zero_terminal_snr(&self, rules: SigmaRules) -> Result<Self> {
        let Kind::Discrete { sigmas, .. } = &self.kind else {
            return Err(Error::Unsupported(
                "a zero terminal signal-to-noise ratio without betas; expected a model with a \
                 scaled_linear or linear noise schedule"
                    .into(),
            ));
        };
        // √ᾱ, falling; shifted to end at 0 and scaled to begin where it began.
        let signals: Vec<f64> = sigmas.iter().map(|sigma| 1.0 / sigma.hypot(1.0)).collect();
        let (first, last) = (signals[0], signals[signals.len() - 1]);
        let scale = first / (first - last);
        let mut alpha_bars: Vec<f64> = signals
            .iter()
            .map(|signal| ((signal - last) * scale).powi(2))
            .collect();
        if let Some(last) = alpha_bars.last_mut() {
            *last = match rules {
                // scheduling_euler_discrete.py: `self.alphas_cumprod[-1] = 2**-24`.
                SigmaRules::Diffusers => 2.0_f64.powi(-24),
                // comfy/model_sampling.py: `rescale_zero_terminal_snr_sigmas`.
                SigmaRules::KDiffusion | SigmaRules::Comfy => 4.897_345_189_085_343_5e-8,
            };
        }
        let sigmas = alpha_bars.into_iter().map(sigma_of).collect();
        Ok(Self::discrete(sigmas))
    }

    /// σ in (0, 1], timestep = σ · `train_steps`. `shift` > 1 visits high noise levels more densely:
    /// `σ' = shift·σ / (1 + (shift − 1)·σ)`. Esser et al. 2024 (arXiv 2403.03206), section 5.3.2.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] unless `shift` is finite and over 0 and there are at least two timesteps.
    pub fn flow(shift: f64, train_steps: usize) -> Result<Self> {
        check_train_steps(train_steps)?;
        if !(shift.is_finite() && shift > 0.0) {
            return Err(Error::Unsupported(format!(
                "a flow schedule with shift {shift}; expected a number over 0"
            )));
        }
        Ok(Self {
            train_steps,
            kind: Kind::Flow { shift },
        })
    }

    fn from_betas(
        beta_start: f64,
        beta_end: f64,
        train_steps: usize,
        beta: impl Fn(usize) -> f64,
    ) -> Result<Self> {
        check_train_steps(train_steps)?;
        if !(0.0 < beta_start && beta_start <= beta_end && beta_end < 1.0) {
            return Err(Error::Unsupported(format!(
                "a noise schedule with betas from {beta_start} to {beta_end}; \
                 expected 0 < beta_start <= beta_end < 1"
            )));
        }
        // ᾱ_t = Π (1 − β_s).
        let sigmas: Vec<f64> = (0..train_steps)
            .scan(1.0, |alpha_bar, i| {
                *alpha_bar *= 1.0 - beta(i);
                Some(sigma_of(*alpha_bar))
            })
            .collect();
        if !sigmas.iter().all(|sigma| sigma.is_finite()) {
            return Err(Error::Unsupported(format!(
                "a noise schedule with betas from {beta_start} to {beta_end} over {train_steps} \
                 timesteps: no signal is left at its end"
            )));
        }
        Ok(Self::discrete(sigmas))
    }

    fn discrete(sigmas: Vec<f64>) -> Self {
        let log_sigmas = sigmas.iter().map(|sigma| sigma.ln()).collect();
        Self {
            train_steps: sigmas.len(),
            kind: Kind::Discrete { sigmas, log_sigmas },
        }
    }

    /// How many timesteps the network was trained on: also the most steps a run may take.
    #[must_use]
    pub fn train_steps(&self) -> usize {
        self.train_steps
    }

    /// The lowest noise level that the network knows.
    #[must_use]
    pub fn sigma_min(&self) -> f64 {
        self.sigma_at(0.0)
    }

    /// The highest noise level that the network knows.
    #[must_use]
    pub fn sigma_max(&self) -> f64 {
        self.sigma_at(self.top())
    }

    /// The noise level of `timestep`, between whole timesteps by linear interpolation in σ
    /// (as diffusers); beyond the ends it is that of the nearest end.
    #[must_use]
    pub fn sigma(&self, timestep: f64) -> f64 {
        match &self.kind {
            Kind::Discrete { sigmas, .. } => interpolate(sigmas, timestep),
            &Kind::Edm {
                sigma_min,
                sigma_max,
            } => (timestep / EDM_TIMESTEP).exp().clamp(sigma_min, sigma_max),
            Kind::Flow { .. } => timestep.clamp(0.0, self.train_count()) / self.train_count(),
        }
    }

    /// The timestep of noise level `sigma`, by linear interpolation in log σ (as k-diffusion and
    /// diffusers' `_sigma_to_t`); beyond the ends it is that of the nearest end.
    #[must_use]
    pub fn timestep(&self, sigma: f64) -> f64 {
        match &self.kind {
            Kind::Discrete { log_sigmas, .. } => {
                let log_sigma = sigma.ln();
                let above = log_sigmas.partition_point(|&known| known <= log_sigma);
                let low = above.clamp(1, log_sigmas.len() - 1) - 1;
                let gap = log_sigmas[low + 1] - log_sigmas[low];
                low as f64 + ((log_sigma - log_sigmas[low]) / gap).clamp(0.0, 1.0)
            }
            &Kind::Edm {
                sigma_min,
                sigma_max,
            } => EDM_TIMESTEP * sigma.clamp(sigma_min, sigma_max).ln(),
            Kind::Flow { .. } => sigma.clamp(0.0, 1.0) * self.train_count(),
        }
    }

    /// The space of this model's latents where the sampler has no say: a flow model's own.
    pub(super) fn space(&self) -> Option<Space> {
        match self.kind {
            Kind::Discrete { .. } | Kind::Edm { .. } => None,
            Kind::Flow { .. } => Some(Space::Flow),
        }
    }

    /// Whether timesteps are whole numbers in training, as they are where betas define them.
    pub(super) fn is_discrete(&self) -> bool {
        matches!(self.kind, Kind::Discrete { .. })
    }

    /// The highest place on the training grid; the lowest is 0.
    pub(super) fn top(&self) -> f64 {
        self.train_count() - 1.0
    }

    /// The lowest place that a range over the whole grid visits. diffusers' flow scheduler, and
    /// ComfyUI, count down to the lowest noise level after the shift, and then shift again.
    pub(super) fn bottom(&self) -> f64 {
        match self.kind {
            Kind::Discrete { .. } | Kind::Edm { .. } => 0.0,
            Kind::Flow { .. } => self.sigma_min() * self.train_count() - 1.0,
        }
    }

    /// The noise level at a place, as [`sigma_at`](Self::sigma_at), but between whole places by linear
    /// interpolation in log σ: k-diffusion's `t_to_sigma` (external.py), which ComfyUI has too.
    pub(super) fn sigma_between(&self, place: f64) -> f64 {
        match &self.kind {
            Kind::Discrete { log_sigmas, .. } => interpolate(log_sigmas, place).exp(),
            Kind::Edm { .. } | Kind::Flow { .. } => self.sigma_at(place),
        }
    }

    /// The noise level at a place of the training grid, the places being counted from 0 at the
    /// clean end. A schedule is laid on places; a flow model's shift acts between place and σ.
    pub(super) fn sigma_at(&self, place: f64) -> f64 {
        match self.kind {
            Kind::Discrete { .. } => self.sigma(place),
            Kind::Edm {
                sigma_min,
                sigma_max,
            } => {
                let share = place.clamp(0.0, self.top()) / self.top();
                let (low, high) = (sigma_min.ln(), sigma_max.ln());
                (low + share * (high - low)).exp()
            }
            Kind::Flow { shift } => {
                let sigma = (place.clamp(0.0, self.top()) + 1.0) / self.train_count();
                shift * sigma / (1.0 + (shift - 1.0) * sigma)
            }
        }
    }

    /// The timestep that the network is given at a place of the training grid.
    pub(super) fn timestep_at(&self, place: f64) -> f64 {
        match self.kind {
            Kind::Discrete { .. } => place.clamp(0.0, self.top()),
            Kind::Edm { .. } | Kind::Flow { .. } => self.timestep(self.sigma_at(place)),
        }
    }

    pub(super) fn train_count(&self) -> f64 {
        self.train_steps as f64
    }
}

/// How many places there are between the ends of a continuous range, as ComfyUI has it.
const EDM_STEPS: usize = 1000;
/// The factor of ln σ in the timestep of a continuous model: Karras et al. 2022, table 1, c_noise.
const EDM_TIMESTEP: f64 = 0.25;

/// σ² = (1 − ᾱ)/ᾱ.
fn sigma_of(alpha_bar: f64) -> f64 {
    ((1.0 - alpha_bar) / alpha_bar).sqrt()
}

/// Models are trained on 1000 timesteps; this keeps a damaged file from asking for all memory.
const MOST_TRAIN_STEPS: usize = 100_000;

fn check_train_steps(train_steps: usize) -> Result<()> {
    if (2..=MOST_TRAIN_STEPS).contains(&train_steps) {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "a noise schedule over {train_steps} timesteps; expected 2 to {MOST_TRAIN_STEPS}"
    )))
}

/// `count` evenly spaced numbers, rounded as numpy's and torch's `linspace` in f64 round them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    start: f64,
    end: f64,
    count: usize,
}

impl Ramp {
    pub(super) fn new(start: f64, end: f64, count: usize) -> Self {
        Self { start, end, count }
    }

    /// Number `i` from the start; of a ramp of one, the start.
    pub(super) fn at(self, i: usize) -> f64 {
        if i == 0 {
            return self.start;
        }
        if i + 1 == self.count {
            return self.end;
        }
        let step = (self.end - self.start) / (self.count - 1) as f64;
        i as f64 * step + self.start
    }
}

/// The value of a polyline through `values` at `place`, 0 being the first; flat beyond the ends.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the place is clamped to the indices of the slice"
)]
pub(super) fn interpolate(values: &[f64], place: f64) -> f64 {
    let place = place.clamp(0.0, (values.len() - 1) as f64);
    let low = place.floor() as usize;
    let Some(&above) = values.get(low + 1) else {
        return values[low];
    };
    values[low] + (above - values[low]) * place.fract()
}
