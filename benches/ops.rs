//! Operations one by one, at the shapes that networks use them at, with guidance (a batch of two).
//! What a device cannot bind is said and skipped.

mod common;

use aquatint::Error;
use aquatint::bench::{Case, Operation, Operation::*, Replay};
use std::process::ExitCode;

const fn case(operation: Operation, x: &'static [usize]) -> Case {
    Case { operation, x }
}

const fn same(channels: usize) -> Operation {
    conv2d(channels, 3, 1)
}

const fn conv2d(channels: usize, kernel: usize, stride: usize) -> Operation {
    Conv2d {
        channels,
        kernel,
        stride,
    }
}

const fn attention(keys: usize, num_heads: usize) -> Operation {
    Attention { keys, num_heads }
}

/// The demo model at 128² (latents of 16²), and its VAE.
const DEMO: &[Case] = &[
    case(Linear { columns: 64 }, &[512, 64]),
    case(Linear { columns: 512 }, &[512, 64]),
    case(Linear { columns: 64 }, &[512, 256]),
    case(same(64), &[2, 16, 16, 64]),
    case(same(96), &[2, 4, 4, 192]),
    case(conv2d(64, 3, 2), &[2, 16, 16, 64]),
    case(same(16), &[1, 128, 128, 16]),
    case(attention(256, 2), &[2, 256, 64]),
    case(attention(77, 2), &[2, 256, 64]),
    case(GroupNorm, &[2, 256, 64]),
    case(LayerNorm, &[512, 64]),
    case(Geglu, &[512, 512]),
    case(Silu, &[512, 64]),
    case(Add, &[512, 64]),
    case(Concat { channels: 64 }, &[512, 64]),
    case(UpsampleNearest, &[2, 8, 8, 64]),
    case(CountNonfinite, &[1, 16, 16, 4]),
];

/// Stable Diffusion 1.5 at 512² (latents of 64²), level by level.
const SD15: &[Case] = &[
    case(Linear { columns: 1280 }, &[2, 320]), // time embedding
    case(Linear { columns: 320 }, &[8192, 320]), // attention's projections
    case(Linear { columns: 2560 }, &[8192, 320]), // into GEGLU
    case(Linear { columns: 320 }, &[8192, 1280]), // out of GEGLU
    case(Linear { columns: 320 }, &[154, 768]), // the text's keys and values
    case(Linear { columns: 5120 }, &[2048, 640]),
    case(Linear { columns: 10240 }, &[512, 1280]),
    case(conv2d(320, 3, 1), &[2, 64, 64, 4]), // conv_in
    case(same(320), &[2, 64, 64, 320]),
    case(conv2d(320, 3, 2), &[2, 64, 64, 320]),
    case(conv2d(320, 1, 1), &[2, 64, 64, 960]), // a shortcut
    case(same(640), &[2, 32, 32, 640]),
    case(same(1280), &[2, 16, 16, 1280]),
    case(same(1280), &[2, 8, 8, 2560]),
    case(attention(4096, 8), &[2, 4096, 320]),
    case(attention(1024, 8), &[2, 1024, 640]),
    case(attention(256, 8), &[2, 256, 1280]),
    case(attention(77, 8), &[2, 4096, 320]),
    case(GroupNorm, &[2, 4096, 320]),
    case(GroupNorm, &[2, 256, 1280]),
    case(LayerNorm, &[8192, 320]),
    case(Geglu, &[8192, 2560]),
    case(Silu, &[8192, 320]),
    case(Add, &[8192, 320]),
    case(Concat { channels: 320 }, &[8192, 640]),
    case(UpsampleNearest, &[2, 32, 32, 640]),
    case(CountNonfinite, &[1, 64, 64, 4]),
];

/// Stable Diffusion XL at 1024² (latents of 128²), level by level.
const SDXL: &[Case] = &[
    case(Linear { columns: 1280 }, &[2, 2816]), // sizes and pooled text
    case(Linear { columns: 640 }, &[8192, 640]), // attention's projections
    case(Linear { columns: 1280 }, &[2048, 1280]),
    case(Linear { columns: 5120 }, &[8192, 640]), // into GEGLU
    case(Linear { columns: 10240 }, &[2048, 1280]),
    case(Linear { columns: 640 }, &[8192, 2560]), // out of GEGLU
    case(Linear { columns: 1280 }, &[2048, 5120]),
    case(Linear { columns: 1280 }, &[154, 2048]), // the text's keys and values
    case(same(320), &[2, 128, 128, 320]),
    case(same(640), &[2, 64, 64, 640]),
    case(same(1280), &[2, 32, 32, 1280]),
    case(same(1280), &[2, 32, 32, 2560]),
    case(conv2d(640, 3, 2), &[2, 64, 64, 640]),
    case(conv2d(320, 1, 1), &[2, 128, 128, 960]), // a shortcut
    case(attention(4096, 10), &[2, 4096, 640]),
    case(attention(1024, 20), &[2, 1024, 1280]),
    case(attention(77, 20), &[2, 1024, 1280]),
    case(GroupNorm, &[2, 16_384, 320]),
    case(LayerNorm, &[2048, 1280]),
    case(Geglu, &[2048, 10240]),
    case(CountNonfinite, &[1, 128, 128, 4]),
];

/// Stable Diffusion's VAE decoder at 512²: its middle, and its last level; XL's at 1024².
const VAE: &[Case] = &[
    case(same(512), &[1, 64, 64, 512]),
    case(same(128), &[1, 512, 512, 128]),
    case(attention(4096, 1), &[1, 4096, 512]),
    case(GroupNorm, &[1, 262_144, 128]),
    case(same(128), &[1, 1024, 1024, 128]),
    case(attention(16_384, 1), &[1, 16_384, 512]),
    case(CountNonfinite, &[1, 512, 512, 3]),
];

/// A product that fills any device: too much for a processor.
const LARGE: &[Case] = &[case(Linear { columns: 8192 }, &[8192, 8192])];

fn main() -> ExitCode {
    common::main("ops", |bench| {
        let large: &[&[Case]] = match (bench.is_quick(), bench.device.info().software) {
            (true, _) => &[],
            (false, true) => &[SD15, SDXL, VAE],
            (false, false) => &[SD15, SDXL, VAE, LARGE],
        };
        for case in [DEMO].iter().chain(large).copied().flatten() {
            let (name, size) = (case.operation.name(), case.to_string());
            if bench.wants(name, &size) {
                match Replay::of_case(&bench.device, *case, bench.precision()) {
                    Err(Error::Unsupported(reason)) => {
                        println!("{name:<16} {size:<36} skipped: {reason}");
                    }
                    replay => bench.time(name, &size, &replay?)?,
                }
            }
        }
        Ok(())
    })
}
