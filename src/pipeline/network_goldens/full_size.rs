//! The networks of whole checkpoints, at their full size, against torch.

use super::{Golden, unet_difference, vae_decoder_difference};
use crate::ops::testing;
use crate::pipeline::Model;
use std::path::PathBuf;
use std::time::Instant;

/// The variable that names the folder which `tests/golden/full_size.py` filled.
const FOLDER: &str = "AQUATINT_FULL_SIZE";

/// The largest relative difference ‖a−b‖/‖b‖ with f32 activations over f16 weights: what the
/// project promises for each step. Sums of up to 23,040 products are rounded in another order.
const TOLERANCE: f64 = 1e-3;

#[test]
#[ignore = "needs AQUATINT_FULL_SIZE=FOLDER, 2.1 GB made by tests/golden/full_size.py"]
fn stable_diffusion_1_5_agrees_with_torch() {
    compare("sd15");
}

#[test]
#[ignore = "needs AQUATINT_FULL_SIZE=FOLDER, 6.9 GB made by tests/golden/full_size.py"]
fn stable_diffusion_xl_agrees_with_torch() {
    compare("sdxl");
}

/// Runs one pass of the UNet and one of the VAE's decoder beside the recorded ones.
fn compare(name: &str) {
    let Some(device) = testing::device() else {
        return;
    };
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| panic!("{FOLDER} must name the folder of full_size.py"));
    let model = Model::open(folder.join(format!("{name}.safetensors"))).expect("the model opens");
    let golden = Golden::read(&folder.join(format!("{name}.reference.safetensors")));
    for (what, difference) in [
        ("unet", unet_difference as fn(_, _, _) -> f64),
        ("vae_decoder", vae_decoder_difference),
    ] {
        let start = Instant::now();
        let error = difference(device, &model, &golden);
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{name}: {what} differs by {error:.2e}; loaded and run in {seconds:.1} s");
        assert!(error < TOLERANCE, "{name}: {what} differs by {error:.2e}");
    }
}
