//! What the device can do at most, measured before anything is held against it.

use super::{Bench, Outcome, Subject, Work};
use aquatint::Precision;
use aquatint::bench::{Case, Operation, Replay};

/// Chains of multiply-adds in f32: 13 GFLOP.
const PEAK: Case = Case {
    operation: Operation::Peak { rounds: 64 },
    x: &[1 << 20],
};
/// 64 MiB of f32 to another 64 MiB: more than caches hold, and no more than every device binds.
const COPY: Case = Case {
    operation: Operation::Copy,
    x: &[1 << 24],
};

/// What a shader reaches that does nothing else, in a second of [`Bench::busy`].
#[derive(Clone, Copy)]
pub(crate) struct Peaks {
    /// By multiply-adds in f32, without matrix units.
    pub(crate) flops_per_second: f64,
    /// By reading and writing in turn.
    pub(crate) bytes_per_second: f64,
}

impl Bench {
    /// The device's peaks, measured when they are first asked for.
    pub(super) fn peaks(&self) -> Outcome<Peaks> {
        if let Some(peaks) = self.peaks.get() {
            return Ok(*peaks);
        }
        let peaks = Peaks {
            flops_per_second: self.peak(PEAK)?.flops,
            bytes_per_second: self.peak(COPY)?.bytes,
        };
        Ok(*self.peaks.get_or_init(|| peaks))
    }

    /// The work of a case in a second.
    fn peak(&self, case: Case) -> Outcome<Work> {
        let replay = Replay::of_case(&self.device, case, Precision::F32)?;
        let timing = self.measure(|replays| {
            for _ in 0..replays {
                replay.run()?;
            }
            Ok(replay.wait()?)
        })?;
        let step = replay.report().step;
        let [flops, bytes] = [step.flops as f64, step.bytes as f64];
        let subject = Subject {
            name: case.operation.name(),
            size: &case.to_string(),
            dtype: "f32",
        };
        self.report(&subject, &self.rates(&timing, Work { flops, bytes }))?;
        let seconds = self.busy(&timing);
        Ok(Work {
            flops: flops / seconds,
            bytes: bytes / seconds,
        })
    }
}
