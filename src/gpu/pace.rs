//! How much work goes into one submission, and how many are under way.
//!
//! Desktop systems reset a device that is at one submission for long (Windows after 2 s, its
//! `TdrDelay`), and stutter before that; and a host that shares its device waits with its frames for
//! what was submitted before them. So a submission holds what the device was measured to do in a small
//! part of that time: few on fast devices, many on slow ones.

use super::device::{DeviceOptions, Gpu};
use super::wait::{Commands, come_back};
use crate::error::Result;
use crate::lock::lock;
use crate::tensor::Cost;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most submissions under way: one at work, and the next so that the device does not rest. They
/// share the budget.
const MAX_IN_FLIGHT: usize = 2;
/// Work per submission before anything is measured: 50 ms at 2 TFLOP/s, and 0.5 s on a device ten
/// times as slow; on adapters that are CPUs 50 ms at 10 GFLOP/s.
const WORK_AT_FIRST: u64 = 100_000_000_000;
const WORK_AT_FIRST_ON_CPUS: u64 = 500_000_000;
/// Bounds of what measuring makes of it: 50 ms at 0.1 and at 1,000 TFLOP/s. Less of it would be spent on
/// submitting, except on CPUs.
const LEAST_WORK: u64 = 5_000_000_000;
const LEAST_WORK_ON_CPUS: u64 = 10_000_000;
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
    /// The least that measuring makes of it.
    least: u64,
    /// How long a submission should take; for ever, where nothing watches over the device.
    target: Option<Duration>,
    in_flight: VecDeque<Flight>,
    /// What was submitted last, measured or not.
    last: Option<Commands>,
    /// How many were measured or are to be.
    count: u64,
}

/// A submission under way.
#[derive(Clone, Debug)]
struct Flight {
    commands: Commands,
    /// Its place among all.
    number: u64,
    work: u64,
    /// When the device could begin with it.
    since: Instant,
}

impl Pace {
    /// The pace of a device that nothing is known of. An adapter that is a CPU has no watchdog, and
    /// needs no more than one submission a run, unless a budget was asked for or a host waits.
    pub(super) fn new(budget: Option<Duration>, is_cpu: bool, is_shared: bool) -> Self {
        let is_unwatched = is_cpu && !is_shared && budget.is_none();
        let budget = budget.unwrap_or(DeviceOptions::DEFAULT_BUDGET);
        #[expect(clippy::cast_possible_truncation, reason = "it is a handful")]
        let target = budget / MAX_IN_FLIGHT as u32;
        let (work, least) = match is_cpu {
            _ if is_unwatched => (u64::MAX, u64::MAX),
            true => (WORK_AT_FIRST_ON_CPUS, LEAST_WORK_ON_CPUS),
            false => (WORK_AT_FIRST, LEAST_WORK),
        };
        Self(Mutex::new(State {
            work,
            least,
            target: (!is_unwatched).then_some(target),
            in_flight: VecDeque::new(),
            last: None,
            count: 0,
        }))
    }

    /// The work that a submission may hold now.
    pub(super) fn work(&self) -> u64 {
        lock(&self.0).work
    }

    /// The least work that a submission may ever hold.
    pub(super) fn least(&self) -> u64 {
        lock(&self.0).least
    }

    /// What was submitted last.
    pub(super) fn last(&self) -> Option<Commands> {
        lock(&self.0).last.clone()
    }

    /// The first of the submissions under way, where there are so many.
    fn first_of(&self, count: usize) -> Option<Flight> {
        let state = lock(&self.0);
        let is_full = state.in_flight.len() >= count;
        state.in_flight.front().filter(|_| is_full).cloned()
    }
}

impl State {
    /// Takes down that a submission is done, unless somebody else did.
    fn land(&mut self, flight: &Flight) {
        if self.in_flight.front().map(|first| first.number) != Some(flight.number) {
            return;
        }
        self.in_flight.pop_front();
        let now = Instant::now();
        self.learn(flight.work, now - flight.since);
        if let Some(next) = self.in_flight.front_mut() {
            next.since = now;
        }
    }

    /// Learns from a submission that took so long. Small ones say more of what a submission costs
    /// than of the device.
    fn learn(&mut self, work: u64, took: Duration) {
        let Some(target) = self.target else { return };
        if work < self.work / 2 {
            return;
        }
        // Few dispatches cannot be cut, but one submission may have held far more than it should.
        let measured = work as f64 * (target.as_secs_f64() / took.as_secs_f64().max(1e-6));
        let (least, most) = (1.0 / LARGEST_CHANGE, LARGEST_CHANGE);
        let in_target = self.work as f64 * (measured / self.work as f64).clamp(least, most);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "work is positive and far below 2⁶³"
        )]
        let in_target = in_target as u64;
        self.work = in_target.clamp(self.least, MOST_WORK);
    }
}

impl Gpu {
    /// Sets the work of a submission once and for all.
    #[cfg(test)]
    pub(crate) fn submit_at_most(&self, work: u64) {
        let mut state = lock(&self.pace.0);
        (state.work, state.least, state.target) = (work, work, None);
    }

    /// Submits commands that hold so much work, once no more than one submission is under way before
    /// them.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub(super) async fn submit(
        self: &Arc<Self>,
        commands: wgpu::CommandBuffer,
        work: u64,
    ) -> Result<()> {
        // Drivers of CPUs do the work in the call, so that there is never anything to wait for.
        come_back().await;
        while let Some(flight) = self.pace.first_of(MAX_IN_FLIGHT) {
            self.landing(&flight).await?;
        }
        let since = Instant::now();
        // Not under the lock: wgpu calls callbacks while it submits, and a host's may come back here.
        let commands = self.send(commands)?;
        let mut state = lock(&self.pace.0);
        state.count += 1;
        let flight = Flight {
            commands: commands.clone(),
            number: state.count,
            work,
            since,
        };
        state.in_flight.push_back(flight);
        state.last = Some(commands);
        Ok(())
    }

    /// Submits commands that are too short to be measured.
    ///
    /// # Errors
    /// As [`Gpu::guarded`].
    pub(super) fn submit_short(&self, commands: wgpu::CommandBuffer) -> Result<Commands> {
        let commands = self.send(commands)?;
        lock(&self.pace.0).last = Some(commands.clone());
        Ok(commands)
    }

    /// Waits until all that is measured is done.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub(super) async fn landed(self: &Arc<Self>) -> Result<()> {
        let last = lock(&self.pace.0).count;
        while let Some(flight) = self.pace.first_of(1)
            && flight.number <= last
        {
            self.landing(&flight).await?;
        }
        Ok(())
    }

    async fn landing(self: &Arc<Self>, flight: &Flight) -> Result<()> {
        let done = self.done(flight.commands.clone()).await;
        // Failed ones are over too.
        lock(&self.pace.0).land(flight);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the budget.
    const TARGET: Duration = Duration::from_millis(50);

    /// The work of a submission on a device of that speed, after some were measured.
    fn settled(flops_per_second: f64) -> u64 {
        let pace = Pace::new(None, false, false);
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
        let pace = Pace::new(None, false, false);
        let in_target = 6_000_000_000;
        lock(&pace.0).work = in_target;
        lock(&pace.0).learn(200 * in_target, 200 * TARGET);
        assert!(pace.work().abs_diff(in_target) <= 1, "{}", pace.work());
    }

    #[test]
    fn the_end_of_a_run_tells_nothing() {
        let pace = Pace::new(None, false, false);
        lock(&pace.0).learn(WORK_AT_FIRST / 3, Duration::from_secs(1));
        assert_eq!(pace.work(), WORK_AT_FIRST);
    }

    #[test]
    fn an_adapter_that_is_a_cpu_gets_all_at_once() {
        let pace = Pace::new(None, true, false);
        lock(&pace.0).learn(u64::MAX, Duration::from_secs(60));
        assert_eq!(pace.work(), u64::MAX);
    }

    #[test]
    fn a_budget_holds_on_cpus_too_and_is_shared_by_what_is_under_way() {
        let budget = Duration::from_millis(20);
        for (asked, is_shared, target) in [
            (Some(budget), false, budget / 2),
            (Some(budget), true, budget / 2),
            (None, true, TARGET),
        ] {
            let pace = Pace::new(asked, true, is_shared);
            let flops_per_second = 20e9;
            for _ in 0..10 {
                let took = Duration::from_secs_f64(pace.work() as f64 / flops_per_second);
                let work = pace.work();
                lock(&pace.0).learn(work, took);
            }
            let took = pace.work() as f64 / flops_per_second;
            assert!((took / target.as_secs_f64() - 1.0).abs() < 0.01, "{took} s");
        }
    }
}
