//! DPM-Solver++(2M): Lu et al. 2022 (arXiv 2211.01095), algorithm 2. Checked against k-diffusion's
//! `sample_dpmpp_2m` and diffusers' `DPMSolverMultistepScheduler` (`dpmsolver++`, order 2,
//! midpoint, `final_sigmas_type = "zero"`).

use super::{Grid, Level, Networks, Row, Sampler, Space, Trajectory};

pub(super) const SAMPLER: Sampler = Sampler {
    name: "dpmpp_2m",
    aliases: &["DPM++ 2M", "k_dpmpp_2m", "DPMSolverMultistepScheduler"],
    summary: "second order from one evaluation a step: good pictures in 20 steps, deterministic",
    reference: "Lu et al. 2022, arXiv 2211.01095",
    space: Space::VariancePreserving,
    grid: Grid::DPM_SOLVER,
    networks: Networks::All,
    eta: None,
    rows,
};

fn rows(trajectory: &Trajectory<'_>) -> Vec<Row> {
    let mut rows = trajectory.first_order_rows();
    for step in trajectory.steps().skip(1) {
        let before = trajectory.points[step.index - 1].level;
        if let Some(weight) = extrapolation(before, step.point.level, step.end) {
            // D becomes D_0 + weight·(D_0 − D_1).
            let [denoised, previous, ..] = &mut rows[step.index].next.past;
            *previous = -weight * *denoised;
            *denoised *= 1.0 + weight;
        }
    }
    rows
}

/// How far to extrapolate `D` past this row's, in units of its last change: `1/(2r)`, where r is
/// the ratio of the last step in log SNR to this one.
///
/// `None` where the step is of the first order: the last one, whose log SNR has no end, and one
/// after a step that went nowhere (as many steps as timesteps leave duplicates).
fn extrapolation(before: Level, from: Level, to: Level) -> Option<f64> {
    let last_step = from.log_snr() - before.log_snr();
    let this_step = to.log_snr() - from.log_snr();
    (last_step > 0.0 && this_step.is_finite()).then(|| this_step / (2.0 * last_step))
}
