//! A sampler as data: rows of scalars that are known before a run.

use super::{Level, NoisePath, Space};

/// How many history entries a row may combine: its own and those of the rows before it.
pub const HISTORY: usize = 4;

/// A linear combination of what a row has before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Combination {
    /// The coefficient of the latent.
    pub x: f64,
    /// The coefficient of the saved latent.
    pub saved: f64,
    /// The coefficients of the history, this row's entry first.
    pub past: [f64; HISTORY],
    /// The coefficient of fresh noise; at 0 none is drawn.
    pub noise: f64,
}

/// What a row leaves in the history, of the latent and of the denoised latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The coefficient of the latent.
    pub x: f64,
    /// The coefficient of the denoised latent.
    pub denoised: f64,
}

impl Entry {
    /// The denoised latent as it is.
    pub const DENOISED: Self = Self {
        x: 0.0,
        denoised: 1.0,
    };
}

/// One evaluation of the network and the update of the latent after it.
///
/// With `F` the network's output under guidance, the row does
///
/// ```text
/// F    = F_uncond + guidance_scale · (F_cond − F_uncond)
/// D    = c_skip · x + c_out · F(c_in · x, timestep)
/// H_0  = entry.x · x + entry.denoised · D
/// x'   = next.x · x + next.saved · x_saved + Σ next.past[j] · H_j + next.noise · n
/// ```
///
/// where `H_j` is the entry of `j` rows before and `n` a fresh unit normal; `keep` is a combination
/// of the same for the saved latent. A coefficient of 0 means that its latent is not read: it need
/// not exist yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The user's step, from 0. A step may take more rows than one.
    pub step: usize,
    /// The noise level of the evaluation.
    pub sigma: f64,
    /// The timestep that the network is told.
    pub timestep: f64,
    /// The factor of the latent as the network's input.
    pub c_in: f64,
    /// The factor of the latent in `D`.
    pub c_skip: f64,
    /// The factor of the network's output in `D`.
    pub c_out: f64,
    /// The weight of the conditional over the unconditional prediction; at 1 the conditional alone.
    pub guidance_scale: f64,
    /// How much of the conditional prediction's spread is restored after guidance: Lin et al. 2024
    /// (arXiv 2305.08891), eq. 15 and 16. At 0 the guided prediction stays as it is.
    pub guidance_rescale: f64,
    /// What this row adds to the history.
    pub entry: Entry,
    /// Whether the next row finds the entry in its history.
    pub remembered: bool,
    /// The latent after the row.
    pub next: Combination,
    /// The saved latent after the row; `None` leaves it.
    pub keep: Option<Combination>,
    /// The noise levels that the noise lies between, the noisier first: where it is the increment of
    /// a Brownian motion, the motion's over these.
    pub noise_interval: [f64; 2],
}

/// A run as a sampler plans it.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The rows in the order of execution.
    pub rows: Vec<Row>,
    /// The first latent is this many unit normals.
    pub initial_scale: f64,
    /// The composition of the first latent of a run that starts from a picture.
    pub first: Level,
    /// The convention that latents are kept in.
    pub space: Space,
    /// How the noise of one row and that of another belong together.
    pub noise_path: NoisePath,
}

impl Table {
    /// How many rows draw noise, the first latent not counted.
    #[must_use]
    pub fn noise_count(&self) -> usize {
        self.rows.iter().filter(|row| row.next.noise != 0.0).count()
    }

    /// The lowest level over 0 and the highest that the run visits: the ends of its Brownian motion.
    #[must_use]
    pub fn sigma_range(&self) -> [f64; 2] {
        let levels = self.rows.iter().flat_map(|row| {
            let is_drawn = row.next.noise != 0.0;
            let drawn = row.noise_interval.into_iter().filter(move |_| is_drawn);
            drawn.chain([row.sigma])
        });
        let visited = levels.filter(|sigma| *sigma > 0.0);
        visited.fold([f64::INFINITY, 0.0], |[low, high], sigma| {
            [low.min(sigma), high.max(sigma)]
        })
    }

    /// The composition of the latent after a row: that of the next evaluation, or clean.
    #[must_use]
    pub fn level_after(&self, row: usize) -> Level {
        let next = self.rows.get(row + 1);
        self.space.level(next.map_or(0.0, |next| next.sigma))
    }

    /// The share of the steps that are still to be done after a row.
    #[must_use]
    pub fn share_left(&self, row: usize) -> f64 {
        let count = self.step_count().max(1) as f64;
        let next = self.rows.get(row + 1);
        next.map_or(0.0, |next| 1.0 - next.step as f64 / count)
    }

    /// How many steps the user sees.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.rows.last().map_or(0, |row| row.step + 1)
    }
}
