use super::*;
use crate::ops::testing::{self, cases, check_on, seeded_inputs};
use crate::ops::{Conv2d, Conv2dGeometry, Linear, Padding};
use crate::tensor::KernelChoice;
use std::sync::Arc;

/// As of the operations' own tests.
const F32_TOLERANCE: f32 = 2e-5;
const F16_TOLERANCE: f32 = 3e-3;

/// Every kernel, with one tile for all products.
fn forced(caps: &Caps, tile: &Tile) -> Caps {
    let of = |operation: &str| (operation.to_owned(), tile.name());
    Caps {
        choice: Arc::new(KernelChoice {
            tiles: [of("linear"), of("conv2d")].into(),
            ..KernelChoice::all()
        }),
        ..caps.clone()
    }
}

/// More than one tile, and parts of tiles, in both directions and along the sum.
#[test]
fn every_tile_agrees_with_the_reference() {
    let Some(device) = testing::device() else {
        return;
    };
    let caps = Caps {
        simd: None,
        ..device.caps()
    };
    let geometry = |stride| Conv2dGeometry {
        stride,
        padding: Padding::same(1),
    };
    let linear = cases("[[[2, 75, 52], [140, 52], [140]], [[131, 23], [70, 23]]]");
    let conv2d =
        cases("[[[2, 9, 13, 20], [72, 3, 3, 20], [72]], [[1, 9, 7, 36], [40, 3, 3, 36], [40]]]");
    let cooperative: &[Tile] = match caps.cooperative {
        Some(16) => &COOPERATIVE_16,
        Some(8) => &COOPERATIVE_8,
        _ => &[],
    };
    for tile in cooperative.iter().chain(&TILED).chain([&PLAIN]) {
        let caps = forced(&caps, tile);
        for (dtype, tolerance) in [(DType::F32, F32_TOLERANCE), (DType::F16, F16_TOLERANCE)] {
            for shapes in &linear {
                let inputs = seeded_inputs(shapes, dtype);
                check_on(device, &caps, &Linear::PLAIN, &inputs, tolerance);
            }
            for (shapes, stride) in conv2d.iter().flat_map(|shapes| [(shapes, 1), (shapes, 2)]) {
                let inputs = seeded_inputs(shapes, dtype);
                check_on(
                    device,
                    &caps,
                    &Conv2d::plain(geometry(stride)),
                    &inputs,
                    tolerance,
                );
            }
        }
    }
}

#[test]
fn tiles_follow_the_shape() {
    let caps = Caps::portable();
    let cooperative = Caps {
        cooperative: Some(16),
        max_workgroup_bytes: 48 << 10,
        ..caps.clone()
    };
    for (rows, columns, depth, tiled, matrices) in [
        (8192, 320, 320, "tiled/128x64", "cooperative/128x64"),
        (8192, 2560, 320, "tiled/128x64", "cooperative/128x128"),
        (2048, 640, 640, "tiled/64x64", "cooperative/128x64"),
        (512, 1280, 1280, "tiled/32x32", "cooperative/64x64"),
        (128, 1280, 1280, "tiled/32x32", "cooperative/32x32"),
        (2, 1280, 320, "tiled/16x64", "tiled/16x64"),
        (4096, 4, 320, "tiled/64x16", "tiled/64x16"),
        (8192, 320, 4, "tiled/128x64", "tiled/128x64"),
    ] {
        let product = Product {
            operation: "linear",
            rows,
            columns,
            depth,
            halves: true,
        };
        assert_eq!(product.table(&caps).0, tiled, "{product:?}");
        assert_eq!(product.table(&cooperative).0, matrices, "{product:?}");
        let wide = Product {
            halves: false,
            ..product
        };
        assert_eq!(wide.table(&cooperative).0, tiled, "{product:?}");
    }
}

#[test]
fn kernels_that_have_not_passed_are_not_used() {
    let product = Product {
        operation: "linear",
        rows: 64,
        columns: 64,
        depth: 64,
        halves: true,
    };
    let of = |passed: &[&str]| {
        let choice = KernelChoice {
            passed: passed.iter().map(|&name| name.to_owned()).collect(),
            tiles: [("linear/few".to_owned(), "tiled/64x64".to_owned())].into(),
            ..KernelChoice::default()
        };
        let caps = Caps {
            cooperative: Some(16),
            choice: Arc::new(choice),
            ..Caps::portable()
        };
        product.table(&caps).0
    };
    assert_eq!(of(&["linear/tiled", "linear/cooperative"]), "tiled/64x64");
    assert_eq!(of(&["linear/cooperative"]), "cooperative/32x32");
    assert_eq!(of(&["conv2d/tiled"]), "plain/32x32");
}
