//! What is computed once per run: that it is, that steps find it, and that it is computed again when
//! it must be.

use super::{Plan, Residency, Runner};
use crate::gpu::Device;
use crate::ops::testing;
use crate::tensor::{Caps, DType, Recorder, Rule, Rules};
use crate::weights::Weights;
use std::sync::Arc;

/// Two roundings of values below 4 and an exponential within three units of the last place.
const TOLERANCE: f32 = 4e-6;

const LENGTH: usize = 5;

/// y = x + silu(silu(c)) · x, with c per run and x fed back: x' = y.
fn plan(device: &Device, rules: Rules) -> Plan {
    let recorder = Recorder::new(DType::F32);
    let x = recorder.input("x", [LENGTH], DType::F32);
    let c = recorder.input_per_run("c", [LENGTH], DType::F32);
    let y = x + x * c.silu().silu();
    recorder.output("y", y);
    recorder.feed_back("x", y);
    let caps = Caps {
        rules,
        ..device.caps()
    };
    Plan::lower(recorder.finish().unwrap(), &caps).unwrap()
}

fn expected(x: f32, c: f32) -> f32 {
    let silu = |x: f32| x / (1.0 + (-x).exp());
    x + x * silu(silu(c))
}

fn devices() -> Vec<Device> {
    let device = testing::device().cloned();
    device.into_iter().chain([Device::reference()]).collect()
}

#[test]
fn what_depends_on_inputs_per_run_alone_is_no_part_of_a_step() {
    let dispatches = |rules| {
        let report = plan(&Device::reference(), rules).report();
        [report.prologue.dispatches, report.step.dispatches]
    };
    assert_eq!(dispatches(Rules::all()), [2, 2]);
    assert_eq!(dispatches(Rules::all().without(Rule::Hoist)), [0, 4]);
}

#[test]
fn steps_find_what_the_prologue_left_until_its_inputs_change() {
    for device in devices() {
        for rules in [Rules::all(), Rules::all().without(Rule::Hoist)] {
            let residency = Arc::new(Residency::new(&device, &Weights::none()));
            let runner = Runner::new(&device, plan(&device, rules), &residency);
            let runner = pollster::block_on(runner).unwrap();
            let mut x = [-1.5, -0.25, 0.0, 0.5, 2.0];
            runner.write("x", &x).unwrap();
            for c in [0.75, 0.75, -2.0] {
                runner.write("c", &[c; LENGTH]).unwrap();
                for _ in 0..2 {
                    runner.run().unwrap();
                    let found = pollster::block_on(runner.read("y")).unwrap();
                    for (found, x) in found.into_iter().zip(&mut x) {
                        let wanted = expected(*x, c);
                        assert!((found - wanted).abs() < TOLERANCE, "{found}, not {wanted}");
                        *x = found;
                    }
                }
            }
        }
    }
}
