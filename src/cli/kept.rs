//! What the runs of a verb have left so far, and the report of all.

use std::path::{Path, PathBuf};
use std::time::Instant;

use aquatint::{AdapterInfo, Image, Memory, Request, Trace};
use serde::Serialize;

use super::drawing::DrawArgs;
use super::failure::Outcome;
use super::fulfil::Drawn;
use super::output::{Facts, Pattern};
use super::progress::Progress;
use super::sweep::Queue;
use super::{print, print_json};

/// What the runs that are done have left.
pub(super) struct Kept<'a> {
    pub(super) args: &'a DrawArgs,
    output: &'a Pattern,
    model: &'a str,
    pub(super) queue: Queue,
    pub(super) saved: Vec<Saved>,
    paths: Vec<PathBuf>,
    /// Pictures that there were, with files or without.
    shown: usize,
    pub(super) trace: Option<Trace>,
    pub(super) warnings: Vec<String>,
    pub(super) failures: Vec<String>,
    pub(super) timings: Timings,
}

impl<'a> Kept<'a> {
    pub(super) fn new(
        args: &'a DrawArgs,
        output: &'a Pattern,
        model: &'a str,
        queue: Queue,
    ) -> Self {
        Self {
            args,
            output,
            model,
            queue,
            saved: Vec::new(),
            paths: Vec::new(),
            shown: 0,
            trace: None,
            warnings: Vec::new(),
            failures: Vec::new(),
            timings: Timings::default(),
        }
    }

    /// Whether there was no picture yet.
    pub(super) fn is_empty(&self) -> bool {
        self.shown == 0
    }

    /// Writes the pictures of a run and puts them into the grid.
    pub(super) fn keep(&mut self, drawn: Drawn, job: usize) -> Outcome {
        let saving = Instant::now();
        // Its place among all that are asked for, whatever became of those before it.
        let before = self.queue.jobs[..job].iter();
        let before: usize = before.map(|job| job.request.batch_size).sum();
        for (index, image) in (before..).zip(&drawn.images) {
            self.queue.show(image, job, index)?;
            if self.args.sweep.writes_pictures() {
                self.save(image, job, index)?;
            }
            self.shown += 1;
        }
        for warning in drawn.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.trace = drawn.trace;
        self.timings.steps_ms += drawn.steps_ms;
        self.timings.decode_ms += drawn.decode_ms;
        self.timings.save_ms += milliseconds(saving);
        Ok(())
    }

    fn save(&mut self, image: &Image, job: usize, index: usize) -> Outcome {
        let job = &self.queue.jobs[job];
        let (width, height) = (image.width(), image.height());
        let seed = image
            .seed()
            .or(job.request.seed)
            .expect("a picture made here has a seed");
        let taken = self.args.overwrite.then_some(self.paths.as_slice());
        let facts = Facts {
            seed,
            index,
            model: self.model,
            width,
            height,
        };
        let path = self.output.save(image, &facts, taken)?;
        self.paths.push(path.clone());
        self.saved.push(Saved {
            path,
            seed,
            width,
            height,
            cell: job.labels.clone(),
        });
        Ok(())
    }

    /// Writes the picture of all pictures, if there is one, and says where.
    pub(super) fn write_grid(&mut self) -> Outcome<Option<PathBuf>> {
        let saving = Instant::now();
        let first = &self.queue.jobs[0].request;
        let facts = Facts {
            seed: first.seed.unwrap_or_default(),
            index: 0,
            model: self.model,
            width: first.width.unwrap_or_default(),
            height: first.height.unwrap_or_default(),
        };
        let taken = self.args.overwrite.then_some(self.paths.as_slice());
        let path = self.queue.write_grid(self.output, &facts, taken)?;
        self.timings.save_ms += milliseconds(saving);
        Ok(path)
    }
}

/// A picture that was written.
#[derive(Serialize)]
pub(super) struct Saved {
    path: PathBuf,
    seed: u64,
    width: usize,
    height: usize,
    /// What it has of each setting that varies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cell: Vec<String>,
}

/// Everything that a program would want to know of a run: what `--json` prints.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) request: &'a Request,
    pub(super) model: &'a str,
    pub(super) device: &'a AdapterInfo,
    pub(super) memory: &'a Memory,
    pub(super) images: &'a [Saved],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grid: Option<PathBuf>,
    /// What went wrong with runs that others followed.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) failures: &'a [String],
    pub(super) trace: Option<&'a Path>,
    pub(super) warnings: &'a [String],
    pub(super) timings: Timings,
}

#[derive(Default, Serialize)]
pub(super) struct Timings {
    pub(super) load_ms: f64,
    pub(super) steps_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) save_ms: f64,
    pub(super) total_ms: f64,
}

impl Report<'_> {
    /// Prints the files' names, or all of it as JSON.
    pub(super) fn show(&self, json: bool, progress: &Progress) -> Outcome {
        let timings = &self.timings;
        progress.detail(format_args!(
            "load {:.0} ms · steps {:.0} ms · decode {:.0} ms · save {:.0} ms",
            timings.load_ms, timings.steps_ms, timings.decode_ms, timings.save_ms
        ));
        if json {
            return print_json(self);
        }
        let paths = self.images.iter().map(|saved| &saved.path);
        let paths: Vec<String> = paths
            .chain(&self.grid)
            .map(|path| path.display().to_string())
            .collect();
        print(paths.join("\n"))
    }
}

/// The time since a moment.
pub(super) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
