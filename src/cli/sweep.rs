//! Several requests after one model: what is drawn in turn, and the picture of all pictures.

use std::path::PathBuf;

use aquatint::{Error, Grid, GridLabels, Image, Pipeline, Request, Sweep, SweepAxis};
use clap::{Args, ValueEnum};

use super::failure::Outcome;
use super::output::{Facts, Pattern};

/// The keyword of the PNG text that a grid's file has: what varies in it.
const GRID_KEYWORD: &str = "Description";

/// Which settings vary, and whether there is a picture of all pictures.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Draw with each of some values of a setting, as in guidance_scale=3,5,7; again for more settings
    ///
    /// Every combination is drawn and checked before the first, and a grid of all is written beside
    /// them. The first setting goes along columns, the second along rows, the third along blocks of
    /// rows. Settings have the names of the flags: prompt, sampler, steps, seed, strength, … A value
    /// with commas goes in double quotes, or has a backslash before each.
    #[arg(long, value_name = "SETTING=VALUE,…", value_parser = axis)]
    #[arg(conflicts_with_all = ["trace", "variations"])]
    sweep: Vec<SweepAxis>,

    /// Also write one picture of all pictures; `only` writes nothing else
    #[arg(long, value_name = "WHAT", value_enum, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "too")]
    grid: Option<GridArg>,
}

/// What `--grid` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GridArg {
    /// The pictures and the grid
    Too,
    /// The grid alone
    Only,
}

/// What the library reads of a setting that varies; the reason without the field's name.
fn axis(typed: &str) -> Result<SweepAxis, String> {
    SweepAxis::parse(typed).map_err(|error| match error {
        Error::Request { reason, .. } => reason,
        other => other.to_string(),
    })
}

impl SweepArgs {
    /// What varies, checked against the request as far as that goes without a model.
    pub(super) fn sweep(&self, request: &Request) -> Outcome<Sweep> {
        let sweep = Sweep::new(self.sweep.clone())?;
        if sweep.is_empty() {
            request.check()?;
        } else {
            sweep.cells(request)?;
        }
        Ok(sweep)
    }

    /// Whether each picture has a file of its own.
    pub(super) fn writes_pictures(&self) -> bool {
        self.grid != Some(GridArg::Only)
    }

    /// Whether there is a picture of all pictures.
    pub(super) fn writes_grid(&self) -> bool {
        self.grid.is_some() || !self.sweep.is_empty()
    }
}

/// One run of many: what is asked for, filled in, and where its pictures go.
pub(super) struct Job {
    pub(super) request: Request,
    /// What it has of what varies.
    pub(super) labels: Vec<String>,
    place: [usize; 3],
}

/// All runs of a verb, each checked, and what comes of them together.
pub(super) struct Queue {
    pub(super) jobs: Vec<Job>,
    grid: Option<Grid>,
    /// The columns of a grid without labels.
    columns: Option<usize>,
    description: String,
}

impl Queue {
    /// The runs for a request, in turn where its pictures do not fit at once, or for all that varies.
    pub(super) fn of(
        pipeline: &Pipeline,
        request: &Request,
        sweep: &Sweep,
        args: &SweepArgs,
    ) -> Outcome<Self> {
        let mut jobs = Vec::new();
        if sweep.is_empty() {
            for request in pipeline.in_turn(request)? {
                jobs.push(Job {
                    request,
                    labels: Vec::new(),
                    place: [0; 3],
                });
            }
        } else {
            for cell in sweep.cells(request)? {
                jobs.push(Job {
                    request: pipeline.resolve(&cell.request)?,
                    labels: cell.labels,
                    place: cell.place,
                });
            }
        }
        let mut queue = Self {
            jobs,
            grid: None,
            columns: None,
            description: "pictures of one request".to_owned(),
        };
        if args.writes_grid() {
            queue.lay_out(sweep)?;
        }
        Ok(queue)
    }

    /// Makes an empty grid for all pictures.
    fn lay_out(&mut self, sweep: &Sweep) -> Outcome {
        let side = |side: fn(&Request) -> Option<usize>| {
            let sides = self.jobs.iter().filter_map(|job| side(&job.request));
            sides.max().unwrap_or(1)
        };
        let size = [
            side(|request| request.width),
            side(|request| request.height),
        ];
        let labels = |at: usize| {
            let axis = sweep.axes().get(at);
            axis.map_or_else(Vec::new, SweepAxis::labels)
        };
        let mut shape = sweep.shape();
        if sweep.is_empty() {
            let count: usize = self.jobs.iter().map(|job| job.request.batch_size).sum();
            let columns = (1..=count).find(|side| side * side >= count).unwrap_or(1);
            shape = [columns, count.div_ceil(columns), 1];
            self.columns = Some(columns);
        } else {
            let axes = sweep.axes().iter().map(ToString::to_string);
            self.description = axes.collect::<Vec<_>>().join("; ");
        }
        let labels = GridLabels {
            columns: labels(0),
            rows: labels(1),
            blocks: labels(2),
        };
        self.grid = Some(Grid::new(shape, &labels, size)?);
        Ok(())
    }

    /// Puts a picture into the grid, if there is one: the `index`th of all, of that run.
    pub(super) fn show(&mut self, image: &Image, job: usize, index: usize) -> Outcome {
        let place = match self.columns {
            Some(columns) => [index % columns, index / columns, 0],
            None => self.jobs[job].place,
        };
        match &mut self.grid {
            Some(grid) => Ok(grid.put(image, place)?),
            None => Ok(()),
        }
    }

    /// Writes the grid, if there is one, and says where.
    pub(super) fn write_grid(
        &mut self,
        pattern: &Pattern,
        facts: &Facts<'_>,
        overwrite: Option<&[PathBuf]>,
    ) -> Outcome<Option<PathBuf>> {
        let Some(grid) = self.grid.take() else {
            return Ok(None);
        };
        let image = grid
            .into_image()?
            .with_text(GRID_KEYWORD, &self.description);
        let pattern = pattern.with_ending("-grid");
        Ok(Some(pattern.save(&image, facts, overwrite)?))
    }
}
