//! How samplers take a schedule: what diffusers' schedulers do not agree on.

/// How a sampler takes a schedule, as diffusers' scheduler of its name does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Which points `linspace` and `leading` lay out.
    pub points: PointCount,
    /// Whether timesteps between the whole ones are used.
    pub timesteps: Timesteps,
    /// Where a step ends.
    pub step_end: StepEnd,
}

/// Which points `linspace` and `leading` lay out over the training grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointCount {
    /// One for each step.
    Steps,
    /// One for each step and one more at the clean end, where the network is not evaluated.
    StepsAndEnd,
}

/// Whether timesteps between the whole ones are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timesteps {
    /// The nearest whole timestep, a tie going to the even one; the noise level of a schedule of
    /// noise levels stays as it is.
    Whole,
    /// Any.
    Fractional,
}

/// Where a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// At the next step's noise level; the last step at 0.
    NextPoint,
    /// At the timestep ⌊train steps ÷ steps⌋ below, whatever the next step's is; the last step at
    /// the noise level of timestep 0. So DDIM in diffusers (`set_alpha_to_one = false`), whose
    /// steps therefore leave small gaps with all spacings but `leading`. With schedules of noise
    /// levels, and for flow models, the same as [`NextPoint`](Self::NextPoint).
    Stride,
}

impl Grid {
    /// Of k-diffusion's samplers and diffusers' ports of them.
    pub const K_DIFFUSION: Self = Self {
        points: PointCount::Steps,
        timesteps: Timesteps::Fractional,
        step_end: StepEnd::NextPoint,
    };
    /// Of diffusers' `DDIMScheduler`.
    pub const DDIM: Self = Self {
        points: PointCount::Steps,
        timesteps: Timesteps::Whole,
        step_end: StepEnd::Stride,
    };
    /// Of diffusers' `DPMSolverMultistepScheduler`.
    pub const DPM_SOLVER: Self = Self {
        points: PointCount::StepsAndEnd,
        timesteps: Timesteps::Whole,
        step_end: StepEnd::NextPoint,
    };
}
