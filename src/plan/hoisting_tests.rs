//! What is computed once per run: that it is, that steps find it, and that it is computed again when
//! it must be.

use super::{Plan, Residency, Runner};
use crate::gpu::{Device, block_on};
use crate::ops::{Linear, RowField, testing};
use crate::tensor::{Caps, DType, Recorder, Rule, Rules, Shape};
use crate::weights::Weights;
use std::sync::Arc;

/// Two roundings of values below 4 and an exponential within three units of the last place.
const TOLERANCE: f32 = 4e-6;

const LENGTH: usize = 5;

/// The rules that are tested here, without those of fusion, which would change the counts.
fn hoisting() -> Rules {
    let here = [Rule::Hoist, Rule::SinkSelections, Rule::BindSelections];
    let others = Rule::ALL.into_iter().filter(|rule| !here.contains(rule));
    others.fold(Rules::all(), Rules::without)
}

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
    assert_eq!(dispatches(hoisting()), [2, 2]);
    assert_eq!(dispatches(hoisting().without(Rule::Hoist)), [0, 4]);
}

#[test]
fn steps_find_what_the_prologue_left_until_its_inputs_change() {
    for device in devices() {
        for rules in [Rules::all(), Rules::all().without(Rule::Hoist)] {
            let residency = Arc::new(Residency::new(&device, &Weights::none()));
            let runner = Runner::new(&device, plan(&device, rules), &residency);
            let runner = block_on(runner).unwrap();
            let mut x = [-1.5, -0.25, 0.0, 0.5, 2.0];
            runner.write("x", &x).unwrap();
            for c in [0.75, 0.75, -2.0] {
                runner.write("c", &[c; LENGTH]).unwrap();
                for _ in 0..2 {
                    block_on(runner.run()).unwrap();
                    let found = block_on(runner.read("y")).unwrap();
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

/// y = x + silu(t[place] · w + c) of `[2, columns]`, with the rows of t, and w and c, per run.
fn plan_of_rows(device: &Device, rules: Rules, columns: usize) -> Plan {
    let recorder = Recorder::new(DType::F32);
    let x = recorder.input("x", [2, columns], DType::F32);
    let c = recorder.input_per_run("c", [2, columns], DType::F32);
    let t = recorder.input_per_run("t", [ROWS, 2, 1], DType::F32);
    let w = recorder.input_per_run("w", [columns, 1], DType::F32);
    let row = recorder.input("row", [RowField::COUNT], DType::F32);
    let t = t.select_row(row).apply(Linear::PLAIN, &[w]); // [2, columns]
    recorder.output("y", x + (t + c).silu());
    let caps = Caps {
        rules,
        ..device.caps()
    };
    Plan::lower(recorder.finish().unwrap(), &caps).unwrap()
}

const ROWS: usize = 4;
/// Rows of 1,024 bytes, which bindings may begin with, and of 24, which is for no adapter enough.
const COLUMNS: [usize; 2] = [128, 3];

#[test]
fn a_row_is_chosen_after_all_rows_are_computed() {
    let dispatches = |rules, columns| {
        let report = plan_of_rows(&Device::reference(), rules, columns).report();
        [report.prologue.dispatches, report.step.dispatches]
    };
    let without = |rule| hoisting().without(rule);
    let [bound, unaligned] = COLUMNS;
    // Product, sum and activation of all rows; the sum in each step, and where need be the choice.
    assert_eq!(dispatches(hoisting(), bound), [3, 1]);
    assert_eq!(dispatches(hoisting(), unaligned), [3, 2]);
    assert_eq!(dispatches(without(Rule::BindSelections), bound), [3, 2]);
    assert_eq!(dispatches(without(Rule::SinkSelections), bound), [0, 5]);
}

#[test]
fn each_step_gets_its_own_row() {
    let without = |rule| Rules::all().without(rule);
    let rules = [
        Rules::all(),
        without(Rule::BindSelections),
        without(Rule::SinkSelections),
    ];
    for device in devices() {
        for columns in COLUMNS {
            for rules in rules {
                check_rows(&device, rules, columns);
            }
        }
    }
}

fn check_rows(device: &Device, rules: Rules, columns: usize) {
    let values = |shape: &[usize], seed| testing::seeded(Shape::new(shape), seed);
    let [x, c] = [1, 2].map(|seed| values(&[2, columns], seed));
    let (t, w) = (values(&[ROWS, 2], 3), values(&[columns], 4));
    let residency = Arc::new(Residency::new(device, &Weights::none()));
    let runner = Runner::new(device, plan_of_rows(device, rules, columns), &residency);
    let runner = block_on(runner).unwrap();
    for (name, array) in [("x", &x), ("c", &c), ("t", &t), ("w", &w)] {
        runner.write(name, array.data()).unwrap();
    }
    for place in [2, 0, 3, 3, 1_u8] {
        let mut row = [0.0; RowField::COUNT];
        row[RowField::Place as usize] = f32::from(place);
        runner.write("row", &row).unwrap();
        block_on(runner.run()).unwrap();
        let found = block_on(runner.read("y")).unwrap();
        for (i, found) in found.into_iter().enumerate() {
            let (n, column) = (i / columns, i % columns);
            let chosen = t.data()[2 * usize::from(place) + n] * w.data()[column] + c.data()[i];
            let wanted = x.data()[i] + chosen / (1.0 + (-chosen).exp());
            assert!((found - wanted).abs() < TOLERANCE, "{found}, not {wanted}");
        }
    }
}
