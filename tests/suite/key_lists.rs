//! The tensors of published files: every list becomes a file, and a model is built over it. Nothing of a
//! file may be left over, and nothing that the networks need missing. Which values go where is tested
//! beside the names.

use std::path::PathBuf;

use crate::model_files::{MIXED, is_not_for_drawing, listed, write};
use aquatint::{Model, ModelFiles, Summary};
use tempfile::TempDir;

/// The list's file.
fn file_of(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(format!("{name}.safetensors"));
    if !path.exists() {
        write(&path, name, MIXED);
    }
    path
}

/// How many weights a list makes: none of what drawing has no use for, three of a fused projection.
fn weights_of(name: &str) -> usize {
    let count = |name: String| match name {
        name if is_not_for_drawing(&name) => 0,
        name if name.contains(".attn.in_proj_") => 3,
        _ => 1,
    };
    listed(name).into_keys().map(count).sum()
}

/// Asserts that lists make up a model of this family, the checkpoint's or UNet's first, and that
/// every tensor of theirs is one of its weights.
#[track_caller]
fn assert_complete(files: ModelFiles, lists: &[&str], family: &str) {
    let model = Model::open(files).unwrap_or_else(|error| panic!("{lists:?}: {error}"));
    let summary: Summary = model.summary();
    assert_eq!(summary.family, Some(family), "{lists:?}");
    assert_eq!(summary.leftovers, [""; 0], "{lists:?}");
    let wanted: usize = lists.iter().map(|list| weights_of(list)).sum();
    assert_eq!(summary.tensors.len(), wanted, "{lists:?}");
}

#[test]
fn single_files_are_whole() {
    for (list, family) in [
        ("full_sd15_v1-5-pruned-emaonly", "sd1"),
        ("full_sd21_v2-1_768", "sd2"),
        ("full_sdxl_base_1.0", "sdxl"),
    ] {
        let folder = TempDir::new().unwrap();
        let path = file_of(&folder, list);
        assert_complete(ModelFiles::new(path), &[list], family);
    }
}

#[test]
fn networks_of_sd1_are_whole_in_both_namings() {
    let folder = TempDir::new().unwrap();
    let file = |list| file_of(&folder, list);
    for unet in [
        "ldm_sd15_unet",
        "ldm_sd15_inpaint_unet",
        "ldm_bk_sdm_base_unet",
        "ldm_bk_sdm_small_unet",
        "ldm_bk_sdm_tiny_unet",
        "diffusers_sd15_unet",
        "diffusers_bk_sdm_base_unet",
        "diffusers_bk_sdm_small_unet",
        "diffusers_bk_sdm_tiny_unet",
    ] {
        for vae in ["ldm_vae_sd", "diffusers_vae_sd"] {
            let parts = ModelFiles::new(file(unet)).vae(file(vae));
            let parts = parts.text_encoder(file("clip_l_hf"));
            assert_complete(parts, &[unet, vae, "clip_l_hf"], "sd1");
        }
    }
}

#[test]
fn networks_of_sdxl_are_whole_in_both_namings() {
    const TEXT: [&str; 2] = ["clip_l_hf", "clip_g_hf_sdxl_text_encoder_2"];
    let folder = TempDir::new().unwrap();
    let file = |list| file_of(&folder, list);
    for unet in [
        "ldm_sdxl_base_unet",
        "ldm_ssd_1b_unet",
        "ldm_segmind_vega_unet",
        "ldm_koala_700m_unet",
        "ldm_koala_1b_unet",
        "diffusers_sdxl_unet",
        "diffusers_ssd_1b_unet",
        "diffusers_segmind_vega_unet",
        "diffusers_koala_700m_unet",
        "diffusers_koala_1b_unet",
    ] {
        let parts = ModelFiles::default()
            .unet(file(unet))
            .vae(file("diffusers_vae_sd"));
        let parts = parts
            .text_encoder(file(TEXT[0]))
            .text_encoder_2(file(TEXT[1]));
        assert_complete(parts, &[unet, "diffusers_vae_sd", TEXT[0], TEXT[1]], "sdxl");
    }
    let refiner = ModelFiles::default()
        .unet(file("ldm_sdxl_refiner_unet"))
        .vae(file("ldm_vae_sd"))
        .text_encoder_2(file(TEXT[1]));
    let lists = ["ldm_sdxl_refiner_unet", "ldm_vae_sd", TEXT[1]];
    assert_complete(refiner, &lists, "sdxl-refiner");
}

/// Stable Diffusion 2's text encoder has no list of its own: it is taken out of the whole file.
#[test]
fn networks_of_sd2_are_whole_in_both_namings() {
    let folder = TempDir::new().unwrap();
    let whole = file_of(&folder, "full_sd21_v2-1_768");
    let unet_count = weights_of("ldm_sd21_unet");
    for unet in ["ldm_sd21_unet", "diffusers_sd21_unet"] {
        let files = ModelFiles::new(&whole).unet(file_of(&folder, unet));
        assert_eq!(weights_of(unet), unet_count);
        assert_complete(files, &["full_sd21_v2-1_768"], "sd2");
    }
}

/// The encoders of Stable Diffusion 3's files are SDXL's.
#[test]
fn text_encoders_are_taken_out_of_another_familys_file() {
    let folder = TempDir::new().unwrap();
    let sd3 = file_of(&folder, "full_sd3_medium_incl_clips_t5xxl");
    let sdxl = file_of(&folder, "full_sdxl_base_1.0");
    let files = ModelFiles::new(sdxl)
        .text_encoder(&sd3)
        .text_encoder_2(&sd3);
    let model = Model::open(files).unwrap();
    let parts = model.summary().parts;
    let counts: Vec<_> = parts
        .iter()
        .map(|part| (part.name.as_str(), part.tensor_count))
        .collect();
    // With the projection of the first, which SDXL has no use for.
    let first = weights_of("clip_l_hf") + 1;
    let second = weights_of("clip_g_hf_sdxl_text_encoder_2");
    assert_eq!(
        counts[..2],
        [("text_encoder", first), ("text_encoder_2", second)]
    );
}

#[test]
fn lists_of_what_is_no_model_here_are_told_by_name() {
    for (list, words) in [
        ("flux1_dev", "a FLUX model"),
        ("flux1_schnell", "a FLUX model"),
        ("diffusers_flux1_dev_transformer", "a FLUX model"),
        ("diffusers_flux1_schnell_transformer", "a FLUX model"),
        ("mmdit_sd3_medium", "an SD 3 model"),
        ("mmdit_sd35_medium", "an SD 3 model"),
        ("mmdit_sd35_large", "an SD 3 model"),
        ("diffusers_sd3_medium_transformer", "an SD 3 model"),
        ("full_sd3_medium_incl_clips", "an SD 3 model"),
        ("full_sd3_medium_incl_clips_t5xxl", "an SD 3 model"),
        ("ldm_controlnet_sd15", "a ControlNet"),
        ("diffusers_controlnet_sd15", "a ControlNet"),
        ("diffusers_controlnet_sd21", "a ControlNet"),
        ("diffusers_controlnet_sdxl", "a ControlNet"),
        ("lora_derived_kohya_sd15_r16", "a LoRA"),
        ("lora_derived_kohya_sdxl_r16", "a LoRA"),
        ("t5xxl_encoder", "a T5 text encoder"),
        ("flux_ae_safetensors", "a VAE alone"),
        ("ldm_vae_16ch_sd3", "a VAE alone"),
        ("diffusers_vae_16ch", "a VAE alone"),
        ("clip_l_hf", "a text encoder alone"),
        (
            "ldm_sdxl_base_unet",
            "a UNet alone; add --vae PATH, --text-encoder PATH and --text-encoder-2 PATH",
        ),
        (
            "ldm_sdxl_refiner_unet",
            "a UNet alone; add --vae PATH and --text-encoder-2 PATH",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let path = file_of(&folder, list);
        let error = Model::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains(words), "{list}: {error}");
    }
}

#[test]
fn a_vae_of_another_family_is_refused_with_both_widths() {
    let folder = TempDir::new().unwrap();
    for vae in [
        "flux_ae_safetensors",
        "ldm_vae_16ch_sd3",
        "diffusers_vae_16ch",
    ] {
        let sd15 = file_of(&folder, "full_sd15_v1-5-pruned-emaonly");
        let files = ModelFiles::new(sd15).vae(file_of(&folder, vae));
        let error = Model::open(files).unwrap_err().to_string();
        let words = "takes 4 channels, beside a VAE whose latents have 16";
        assert!(error.contains(words), "{vae}: {error}");
    }
}
