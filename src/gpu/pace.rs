//! How much work goes into one submission, and how many are under way.
//!
//! Desktop systems reset a device that is at one submission for long (Windows after 2 s, its
//! `TdrDelay`), and stutter before that. So a submission holds what the device was measured to do in
//! a small part of that time: few on fast devices, many on slow ones.

use super::device::Gpu;
use crate::error::Result;
use crate::lock::lock;
use crate::tensor::Cost;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long one submission should take: long beside what submitting costs (0.3 ms), short beside any
/// watchdog's patience.
const TARGET: Duration = Duration::from_millis(50);
/// The most submissions under way: one at work, and the next so that the device does not rest.
const MAX_IN_FLIGHT: usize = 2;
/// Work per submission before anything is measured: 50 ms at 2 TFLOP/s, and 0.5 s on a device ten
/// times as slow.
const WORK_AT_FIRST: u64 = 100_000_000_000;
/// Bounds of what measuring makes of it: 50 ms at 0.1 and at 1,000 TFLOP/s.
const LEAST_WORK: u64 = 5_000_000_000;
const MOST_WORK: u64 = 50_000_000_000_000;
/// By how much one measurement changes it at most: one may be wrong.
const LARGEST_CHANGE: f64 = 4.0;
/// What moving a byte counts for, in floating-point operations: the balance of a mid-range card.
const FLOPS_PER_BYTE: u64 = 50;

/// Work as submissions are measured: operations and bytes in one number.
pub(super) fn work(cost: Cost) -> u64 {
    cost.flops + FLOPS_PER_BYTE * cost.bytes
}

/// The pace of a device.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The work that a submission may hold.
    work: u64,
    /// Whether nothing watches over this device.
    is_unwatched: bool,
    in_flight: VecDeque<Flight>,
}

/// A submission under way.
#[derive(Debug)]
struct Flight {
    commands: wgpu::SubmissionIndex,
    work: u64,
    /// When the device could begin with it.
    since: Instant,
}

impl Pace {
    /// The pace of a device that nothing is known of. An adapter that is a CPU has no watchdog, and
    /// needs no more than one submission a run.
    pub(super) fn new(is_cpu: bool) -> Self {
        Self(Mutex::new(State {
            work: if is_cpu { u64::MAX } else { WORK_AT_FIRST },
            is_unwatched: is_cpu,
            in_flight: VecDeque::new(),
        }))
    }

    /// The work that a submission may hold now.
    pub(super) fn work(&self) -> u64 {
        lock(&self.0).work
    }

    /// The least work that a submission may ever hold.
    pub(super) fn least(&self) -> u64 {
        let state = lock(&self.0);
        match state.is_unwatched {
            true => state.work,
            false => LEAST_WORK,
        }
    }

    /// Forgets what was under way: all of it is done.
    pub(super) fn all_done(&self) {
        lock(&self.0).in_flight.clear();
    }
}

impl State {
    /// Learns from a submission that took so long. Small ones say more of what a submission costs
    /// than of the device.
    fn learn(&mut self, work: u64, took: Duration) {
        if self.is_unwatched || work < self.work / 2 {
            return;
        }
        // Few dispatches cannot be cut, but one submission may have held far more than it should.
        let measured = work as f64 * (TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6));
        let (least, most) = (1.0 / LARGEST_CHANGE, LARGEST_CHANGE);
        let in_target = self.work as f64 * (measured / self.work as f64).clamp(least, most);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "work is positive and far below 2⁶³"
        )]
        let in_target = in_target as u64;
        self.work = in_target.clamp(LEAST_WORK, MOST_WORK);
    }
}

impl Gpu {
    /// Sets the work of a submission once and for all.
    #[cfg(test)]
    pub(crate) fn submit_at_most(&self, work: u64) {
        let mut state = lock(&self.pace.0);
        (state.work, state.is_unwatched) = (work, true);
    }

    /// Submits commands that hold so much work, once no more than one submission is under way before
    /// them.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer, work: u64) -> Result<()> {
        let mut state = lock(&self.pace.0);
        while state.in_flight.len() >= MAX_IN_FLIGHT
            && let Some(flight) = state.in_flight.pop_front()
        {
            self.wait_for(flight.commands)?;
            let now = Instant::now();
            state.learn(flight.work, now - flight.since);
            if let Some(next) = state.in_flight.front_mut() {
                next.since = now;
            }
        }
        let since = Instant::now();
        let commands = self.queue.submit([commands]);
        state.in_flight.push_back(Flight {
            commands,
            work,
            since,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The work of a submission on a device of that speed, after some were measured.
    fn settled(flops_per_second: f64) -> u64 {
        let pace = Pace::new(false);
        for _ in 0..10 {
            let work = pace.work();
            let took = Duration::from_secs_f64(work as f64 / flops_per_second);
            lock(&pace.0).learn(work, took);
        }
        pace.work()
    }

    #[test]
    fn a_submission_comes_to_take_the_time_it_should() {
        for flops_per_second in [0.2e12, 2e12, 300e12] {
            let took = settled(flops_per_second) as f64 / flops_per_second;
            assert!((took / TARGET.as_secs_f64() - 1.0).abs() < 0.01, "{took} s");
        }
        assert_eq!(settled(1e6), LEAST_WORK);
        assert_eq!(settled(1e18), MOST_WORK);
    }

    /// 1.2 TFLOP in one dispatch, as a convolution of the VAE at 1024² is, on a device of 0.12 TFLOP/s.
    #[test]
    fn a_dispatch_beyond_measure_does_not_quicken_the_pace() {
        let pace = Pace::new(false);
        let in_target = 6_000_000_000;
        lock(&pace.0).work = in_target;
        lock(&pace.0).learn(200 * in_target, 200 * TARGET);
        assert!(pace.work().abs_diff(in_target) <= 1, "{}", pace.work());
    }

    #[test]
    fn the_end_of_a_run_tells_nothing() {
        let pace = Pace::new(false);
        lock(&pace.0).learn(WORK_AT_FIRST / 3, Duration::from_secs(1));
        assert_eq!(pace.work(), WORK_AT_FIRST);
    }

    #[test]
    fn an_adapter_that_is_a_cpu_gets_all_at_once() {
        let pace = Pace::new(true);
        lock(&pace.0).learn(u64::MAX, Duration::from_secs(60));
        assert_eq!(pace.work(), u64::MAX);
    }
}
