//! The samplers: how to go from one noise level to the next.
//!
//! One file each. A sampler sees a latent only as a [`Level`] (so much signal, so much noise), and
//! its formulas hold in every space it is used in: nothing is written twice for the
//! variance-exploding and the variance-preserving convention.

mod adams_bashforth;
mod ddim;
mod ddpm;
mod deis;
mod dpm_2;
mod dpmpp_2m;
mod dpmpp_2m_sde;
mod dpmpp_2s_ancestral;
mod dpmpp_3m_sde;
mod dpmpp_sde;
mod er_sde;
mod euler;
mod euler_ancestral;
mod heun;
mod lcm;
mod pndm;
mod res_multistep;
mod restart;
mod tcd;
mod trajectory;
mod uni_pc;

pub(super) use self::trajectory::{Point, Trajectory};
use self::trajectory::{Step, Update, ancestral, ratio};
use super::{
    Grid, HISTORY, Level, Row, Space,
    registry::{self, Entry},
    table,
};
use crate::error::Result;

/// A named way to go from one noise level to the next.
#[derive(Debug)]
pub struct Sampler {
    /// The name, as requests and the command line have it.
    pub name: &'static str,
    /// What A1111, ComfyUI, sd.cpp and diffusers call it.
    pub aliases: &'static [&'static str],
    /// What it is good for, in one line.
    pub summary: &'static str,
    /// Where it was published.
    pub reference: &'static str,
    /// The space of its latents, except with flow models, which have their own.
    pub space: Space,
    /// How it takes a schedule.
    pub grid: Grid,
    /// Which networks it is for.
    pub networks: Networks,
    /// The default of eta, which is how much of the removed noise is replaced by fresh noise;
    /// `None` where the sampler adds none.
    pub eta: Option<f64>,
    rows: fn(&Trajectory<'_>) -> Vec<Row>,
}

/// Which networks a sampler is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Networks {
    /// Those trained on betas, and those trained on straight paths from noise.
    All,
    /// Those trained on betas: its formulas need some signal at every noise level.
    Betas,
}

/// All samplers, the oldest first.
pub static SAMPLERS: &[Sampler] = &[
    ddim::SAMPLER,
    ddpm::SAMPLER,
    pndm::SAMPLER,
    euler::SAMPLER,
    euler_ancestral::SAMPLER,
    heun::SAMPLER,
    dpm_2::SAMPLER,
    dpm_2::ANCESTRAL,
    adams_bashforth::LMS,
    dpmpp_2s_ancestral::SAMPLER,
    dpmpp_sde::SAMPLER,
    dpmpp_2m::SAMPLER,
    dpmpp_2m_sde::SAMPLER,
    dpmpp_2m_sde::HEUN,
    dpmpp_3m_sde::SAMPLER,
    uni_pc::SAMPLER,
    uni_pc::BH2,
    deis::SAMPLER,
    adams_bashforth::IPNDM,
    adams_bashforth::IPNDM_V,
    res_multistep::SAMPLER,
    res_multistep::ANCESTRAL,
    er_sde::SAMPLER,
    lcm::SAMPLER,
    tcd::SAMPLER,
    restart::SAMPLER,
];

impl Sampler {
    /// The sampler of this name or alias, however capitalised and spaced.
    ///
    /// # Errors
    ///
    /// [`Error::Request`](crate::error::Error::Request) with the known names, the nearest first.
    pub fn find(name: &str) -> Result<&'static Self> {
        registry::find("sampler", SAMPLERS, name)
    }

    pub(super) fn rows(&self, trajectory: &Trajectory<'_>) -> Vec<Row> {
        (self.rows)(trajectory)
    }
}

impl Entry for Sampler {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }
}
