//! What is said on the way, on stderr: notes, and bars where somebody watches.

use std::fmt;

use aquatint::{LoadProgress, Step, TileProgress, UpscaleProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;
use super::values::Verbosity;

/// Notes and progress bars, as loud as the user wants them.
pub(super) struct Progress {
    verbosity: Verbosity,
}

impl Progress {
    /// Speaks as loudly as given. Bars appear on a terminal only.
    pub(super) fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// A line for everybody but `-q`.
    pub(super) fn note(&self, line: impl fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            say(line);
        }
    }

    /// A line for `-v`.
    pub(super) fn detail(&self, line: impl fmt::Display) {
        if self.verbosity >= Verbosity::Verbose {
            say(line);
        }
    }

    /// A bar for the bytes of a model on their way to the device.
    pub(super) fn loading(&self) -> Loading {
        Loading(self.bar("loading {wide_bar} {bytes}/{total_bytes}"))
    }

    /// A bar for files on their way from a hub.
    #[cfg(feature = "pull")]
    pub(super) fn downloading(&self) -> Downloading {
        Downloading(
            self.bar("{wide_msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec:>12} {eta:>4}"),
        )
    }

    /// A bar for the steps of a run.
    pub(super) fn stepping(&self) -> Stepping {
        Stepping(self.bar("{msg:>20} {wide_bar} step {pos}/{len} {eta:>4}"))
    }

    /// A bar for the tiles of a picture.
    pub(super) fn tiling(&self) -> Tiling {
        Tiling(self.bar("{wide_bar} tile {pos}/{len} {eta:>4}"))
    }

    fn bar(&self, template: &str) -> ProgressBar {
        let target = match self.verbosity {
            Verbosity::Quiet => ProgressDrawTarget::hidden(),
            // Hides itself where stderr is no terminal.
            Verbosity::Normal | Verbosity::Verbose => ProgressDrawTarget::stderr(),
        };
        let style =
            ProgressStyle::with_template(template).expect("the template is a valid constant");
        ProgressBar::with_draw_target(None, target).with_style(style)
    }
}

/// A bar for loading; goes when dropped.
pub(super) struct Loading(ProgressBar);

impl Loading {
    /// Shows how far the loading has come.
    pub(super) fn show(&self, progress: &LoadProgress) {
        self.0.set_length(progress.total_bytes);
        self.0.set_position(progress.done_bytes);
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar for downloads; goes when dropped.
#[cfg(feature = "pull")]
pub(super) struct Downloading(ProgressBar);

#[cfg(feature = "pull")]
impl Downloading {
    /// Shows which file is under way, and how far it has come.
    pub(super) fn show(&self, progress: &aquatint::PullProgress) {
        if self.0.message() != progress.file {
            self.0.set_message(progress.file.to_owned());
            // What an earlier download left says nothing of the speed of this one.
            self.0.set_position(progress.done_bytes);
            self.0.reset_eta();
        }
        if let Some(total) = progress.total_bytes {
            self.0.set_length(total);
        }
        self.0.set_position(progress.done_bytes);
    }
}

#[cfg(feature = "pull")]
impl Drop for Downloading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar for steps; goes when dropped.
pub(super) struct Stepping(ProgressBar);

impl Stepping {
    /// Shows the bar, before the first step is done.
    pub(super) fn start(&self, step_count: usize) {
        self.0.set_length(length(step_count));
        self.0.tick();
    }

    /// Shows a step that was done, and the noise level that it began at.
    pub(super) fn show(&self, step: &Step) {
        self.0.set_length(length(step.count));
        self.0.set_position(length(step.index + 1));
        self.0.set_message(format!("sigma {:.3}", step.sigma));
    }

    /// Shows that the steps are done and the picture is being decoded.
    pub(super) fn decoding(&self) {
        self.0.set_message("decoding");
        self.0.tick();
    }

    /// Shows how far a decoding in tiles is.
    pub(super) fn show_tile(&self, tiles: &TileProgress) {
        self.0
            .set_message(format!("tile {} of {}", tiles.done, tiles.count));
        self.0.tick();
    }
}

impl Drop for Stepping {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar for tiles; goes when dropped.
pub(super) struct Tiling(ProgressBar);

impl Tiling {
    /// Shows how many tiles are done.
    pub(super) fn show(&self, progress: &UpscaleProgress) {
        self.0.set_length(length(progress.count));
        self.0.set_position(length(progress.done));
    }
}

impl Drop for Tiling {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn length(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}
