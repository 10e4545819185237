//! What each rule makes of the patterns that it looks for, and what it leaves.

use super::fuse;
use crate::ops::{Conv2dGeometry, Linear, Mask, Padding};
use crate::tensor::{Caps, DType, Layout, NodeKind, Param, Recorder, Rule, Rules, Shape, Tensor};

const WIDTH: usize = 8;

/// A weight that no file holds.
fn param(shape: impl Into<Shape>) -> Param {
    Param {
        name: "weight".into(),
        shape: shape.into(),
        dtype: DType::F16,
        layout: Layout::AsStored,
    }
}

fn linear_to(x: Tensor<'_>, columns: usize) -> Tensor<'_> {
    let weight = param([columns, x.shape().last()]);
    x.linear(Linear::PLAIN, &weight, Some(&param([columns])))
}

fn linear(x: Tensor<'_>) -> Tensor<'_> {
    linear_to(x, WIDTH)
}

fn conv2d(x: Tensor<'_>) -> Tensor<'_> {
    let same = Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    };
    let weight = param([WIDTH, 3, 3, x.shape().last()]);
    x.conv2d(&weight, Some(&param([WIDTH])), same)
}

fn norm(x: Tensor<'_>) -> Tensor<'_> {
    let channels = param([x.shape().last()]);
    x.group_norm(&channels, &channels, 2, 1e-5)
}

/// The operations of what `record` makes of x `[2, side, side, 8]`, after fusion.
fn fused_on(
    caps: &Caps,
    side: usize,
    record: impl Fn(Tensor<'_>) -> Tensor<'_>,
) -> Vec<&'static str> {
    let recorder = Recorder::new(DType::F32);
    let x = recorder.input("x", [2, side, side, WIDTH], DType::F32);
    recorder.output("y", record(x));
    let recording = fuse(recorder.finish().unwrap(), caps);
    let nodes = recording.nodes.iter();
    let names = nodes.filter_map(|node| match &node.kind {
        NodeKind::Op(op, _) => Some(op.name()),
        _ => None,
    });
    names.collect()
}

fn fused(record: impl Fn(Tensor<'_>) -> Tensor<'_>) -> Vec<&'static str> {
    fused_on(&Caps::portable(), 4, record)
}

#[test]
fn all_that_follows_a_product_is_taken_in_through_reshapes() {
    let found = fused(|x| {
        let h = linear(x.reshape([2, 16, WIDTH])).gelu().scale(0.5);
        (x + h.reshape(x.shape())).to(DType::F16)
    });
    assert_eq!(found, ["linear"]);
}

#[test]
fn a_vector_for_each_sample_is_taken_in() {
    let found = fused(|x| {
        let vector = x.reshape([2, 16 * WIDTH]).slice_last(0, WIDTH);
        linear(x) + vector.over_hw()
    });
    assert_eq!(found, ["slice_last", "linear"]);
}

#[test]
fn what_somebody_else_reads_stays() {
    let found = fused(|x| {
        let h = linear(x);
        h.silu().upsample_nearest(8, 8) + h.upsample_nearest(8, 8)
    });
    assert_eq!(found[..2], ["linear", "silu"]);
}

#[test]
fn what_comes_out_of_order_stays() {
    assert_eq!(fused(|x| (linear(x) + x).silu()), ["linear", "silu"]);
    assert_eq!(fused(|x| (linear(x) + x).scale(0.5)), ["linear", "scale"]);
}

#[test]
fn of_two_products_the_later_takes_in_the_other() {
    let found = fused(|x| linear(x).silu() + linear(x));
    assert_eq!(found, ["linear", "linear"]);
}

#[test]
fn a_gate_is_opened_in_the_projection() {
    let found = fused(|x| linear(linear_to(x, 4 * WIDTH).geglu()) + x);
    assert_eq!(found, ["linear", "linear"]);
}

fn attend(x: Tensor<'_>) -> Tensor<'_> {
    let x = x.reshape([2, x.dim(1) * x.dim(2), WIDTH]);
    linear(x).attention(linear(x), linear(x), 2, Mask::None)
}

#[test]
fn an_attention_to_itself_has_one_projection_where_weights_can_be_chosen() {
    assert_eq!(fused(attend), ["joined_linear", "attention"]);
    let simd = Caps {
        simd: Some(8),
        ..Caps::portable()
    };
    assert_eq!(fused_on(&simd, 4, attend).len(), 4);
    // 2 · 9 · 8 f32 end at no multiple of 256 bytes.
    assert_eq!(fused_on(&Caps::portable(), 3, attend).len(), 4);
}

#[test]
fn an_enlarged_picture_is_not_stored() {
    assert_eq!(fused(|x| conv2d(x.upsample_nearest(9, 7))), ["conv2d"]);
}

#[test]
fn skips_are_read_where_they_lie() {
    let found = fused(|x| {
        let joined = x.silu().concat(x);
        let h = conv2d(norm(joined).silu());
        linear(joined) + h
    });
    assert_eq!(found, ["silu", "group_norm", "conv2d", "linear"]);
}

fn residual_block(x: Tensor<'_>) -> Tensor<'_> {
    let joined = x.concat(x);
    let h = conv2d(norm(joined).silu());
    let h = conv2d(norm(h).silu());
    linear(joined) + h
}

#[test]
fn a_large_residual_block_is_statistics_and_convolutions() {
    let found = fused_on(&Caps::portable(), 1024, residual_block);
    let of_one = ["group_moments", "group_norm", "conv2d"];
    let expected = [&["group_norm", "conv2d"][..], &of_one, &["linear"]].concat();
    assert_eq!(found, expected);
    let stored = fused_on(&Caps::portable(), 1024, |x| norm(x).silu());
    assert_eq!(stored, ["group_moments", "group_norm"]);
    let fewer = fused_on(&Caps::portable(), 128, |x| norm(x).silu());
    assert_eq!(fewer, ["group_norm"]);
}

fn everything(x: Tensor<'_>) -> Tensor<'_> {
    conv2d(norm(x.concat(x)).silu().upsample_nearest(8, 8)).silu()
}

#[test]
fn a_rule_that_is_off_leaves_its_pattern() {
    let off = |rule| Caps {
        rules: Rules::all().without(rule),
        ..Caps::portable()
    };
    assert_eq!(fused(everything), ["group_norm", "conv2d"]);
    for (rule, left) in [
        (Rule::SiluInNorm, "silu"),
        (Rule::UpsampleInConv, "upsample_nearest"),
        (Rule::ConcatInPlace, "concat"),
        (Rule::Epilogue, "silu"),
    ] {
        let found = fused_on(&off(rule), 4, everything);
        assert_eq!(found.len(), 3, "{rule:?}");
        assert!(found.contains(&left), "{rule:?}");
    }
}
