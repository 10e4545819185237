//! The same with each rule switched off, for the kernels of CPUs and for those of GPUs.

use super::{Golden, assert_close, cases, model, unet_difference_as, vae_decoder_difference_as};
use crate::gpu::Device;
use crate::ops::testing;
use crate::tensor::{Caps, DType, Rule, Rules};

/// The largest relative difference in f16: each of some hundred operations leaves 2⁻¹¹ at most, and
/// they add up as a random walk does.
const F16_TOLERANCE: f64 = 1e-2;

/// The device with the kernels of CPUs, where it has them, and with those of GPUs.
fn kinds(device: &Device, rules: Rules) -> Vec<Caps> {
    let own = Caps {
        rules,
        ..device.caps()
    };
    let portable = Caps {
        simd: None,
        ..own.clone()
    };
    let has_both = own.simd.is_some();
    [own]
        .into_iter()
        .chain(has_both.then_some(portable))
        .collect()
}

#[test]
fn the_unet_agrees_with_diffusers_without_each_rule() {
    for (name, device) in cases(&["tiny_xl", "tiny_lcm"]) {
        let (model, golden) = (model(name), Golden::of(name));
        for rule in Rule::ALL {
            for caps in kinds(&device, Rules::all().without(rule)) {
                let error = unet_difference_as(&device, &model, &golden, (DType::F32, &caps));
                assert_close(&format!("{name} without {rule:?}: unet.output"), error);
            }
        }
    }
}

#[test]
fn the_vae_decoder_agrees_with_diffusers_without_each_rule() {
    for (name, device) in cases(&["tiny_a"]) {
        let (model, golden) = (model(name), Golden::of(name));
        for rule in Rule::ALL {
            for caps in kinds(&device, Rules::all().without(rule)) {
                let kind = (DType::F32, &caps);
                let error = vae_decoder_difference_as(&device, &model, &golden, kind);
                assert_close(&format!("{name} without {rule:?}: vae.decoded"), error);
            }
        }
    }
}

#[test]
fn networks_in_f16_are_near_diffusers_without_each_rule() {
    let Some(device) = testing::device().filter(|device| device.caps().f16) else {
        return;
    };
    for name in ["tiny_a", "tiny_xl"] {
        let (model, golden) = (model(name), Golden::of(name));
        for rule in Rule::ALL {
            for caps in kinds(device, Rules::all().without(rule)) {
                let kind = (DType::F16, &caps);
                let mut error = unet_difference_as(device, &model, &golden, kind);
                if golden.has("vae.latents") {
                    error = error.max(vae_decoder_difference_as(device, &model, &golden, kind));
                }
                assert!(
                    error < F16_TOLERANCE,
                    "{name} without {rule:?}: {error:.1e}"
                );
            }
        }
    }
}
