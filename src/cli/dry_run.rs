//! What would be drawn, in how many steps and how much memory: `--dry-run` of every verb that
//! draws but `replay`.

use std::fmt;

use aquatint::{AdapterInfo, Memory, PartMemory, Pipeline, Request};
use serde::Serialize;

use super::counted;
use super::failure::Outcome;
use super::sweep::Queue;

/// What drawing would take.
#[derive(Serialize)]
pub(super) struct Estimate<'a> {
    /// The first run's.
    request: &'a Request,
    model: &'a str,
    device: &'a AdapterInfo,
    runs: usize,
    pictures: usize,
    /// Of all runs.
    steps: usize,
    /// Of the run that takes most.
    memory: Memory,
    /// What a network does before the first run, if one does.
    upscaler: Option<Enlarging>,
}

/// What enlarging a picture by a network would take.
#[derive(Serialize)]
pub(super) struct Enlarging {
    pub(super) tiles: usize,
    pub(super) memory: PartMemory,
}

impl<'a> Estimate<'a> {
    /// That of all runs in a queue.
    pub(super) fn of(
        pipeline: &'a Pipeline,
        model: &'a str,
        queue: &'a Queue,
        upscaler: Option<Enlarging>,
    ) -> Outcome<Estimate<'a>> {
        let requests = || queue.jobs.iter().map(|job| &job.request);
        let steps = requests().map(|request| pipeline.step_count(request));
        let memory = requests().map(|request| pipeline.memory(request));
        let memory = memory.collect::<Result<Vec<_>, _>>()?.into_iter();
        let most = memory.max_by_key(Memory::resident_bytes);
        Ok(Self {
            request: &queue.jobs[0].request,
            model,
            device: pipeline.device().info(),
            runs: queue.jobs.len(),
            pictures: requests().map(|request| request.batch_size).sum(),
            steps: steps.sum::<Result<_, _>>()?,
            memory: most.expect("a queue has a run"),
            upscaler,
        })
    }
}

impl fmt::Display for Estimate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(upscaler) = &self.upscaler {
            writeln!(f, "{upscaler}")?;
        }
        let (runs, pictures, steps) = (self.runs, self.pictures, self.steps);
        writeln!(
            f,
            "{}, {}, {}",
            counted(runs, "run"),
            counted(pictures, "picture"),
            counted(steps, "step")
        )?;
        let parts = self.memory.parts.iter().map(part_line);
        writeln!(f, "{}", parts.collect::<Vec<_>>().join("\n"))?;
        write!(f, "memory {}", self.memory)
    }
}

impl fmt::Display for Enlarging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiles = counted(self.tiles, "tile");
        write!(f, "{tiles}\n{}", part_line(&self.memory))
    }
}

/// What a part takes, in a line.
fn part_line(part: &PartMemory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "{:<20} {:>8.1} MiB weights {:>8.1} MiB activations",
        part.name,
        mib(part.weight_bytes),
        mib(part.activation_bytes)
    )
}
