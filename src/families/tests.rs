//! Recognition and configuration, on files of a few tensors made here.

use super::*;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::{BTreeMap, HashMap};

const CROSS_ATTENTION: &str =
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight";

/// As much of an SD 1.x model as recognition looks at.
fn tensors() -> BTreeMap<&'static str, Vec<usize>> {
    BTreeMap::from([
        (markers::UNET, vec![8, 4, 3, 3]),
        (CROSS_ATTENTION, vec![8, 16]),
        (markers::TEXT_ENCODER, vec![10, 16]),
        (markers::VAE, vec![8, 4, 3, 3]),
        ("vae.decoder.up_blocks.0.resnets.0.norm1.weight", vec![8]),
        ("vae.decoder.up_blocks.1.resnets.0.norm1.weight", vec![8]),
        ("vae.decoder.up_blocks.2.resnets.0.norm1.weight", vec![8]),
        ("vae.decoder.up_blocks.3.resnets.0.norm1.weight", vec![8]),
    ])
}

fn file(tensors: &BTreeMap<&str, Vec<usize>>, metadata: &[(&str, &str)]) -> Weights {
    let zeros = vec![0; 1 << 12];
    let views = tensors.iter().map(|(name, shape)| {
        let bytes = &zeros[..2 * shape.iter().product::<usize>()];
        let view = TensorView::new(Dtype::F16, shape.clone(), bytes);
        (*name, view.expect("the bytes are those of the shape"))
    });
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let bytes = serialize(views, Some(metadata)).expect("a sound file");
    Weights::from_static("made here", bytes.leak()).expect("a sound file")
}

fn configure_with(metadata: &[(&str, &str)]) -> Result<ModelConfig> {
    configure(&file(&tensors(), metadata))
}

fn refusal(weights: &Weights) -> String {
    configure(weights)
        .expect_err("it is no model for text to image")
        .to_string()
}

#[test]
fn a_plain_file_gets_what_its_family_has() -> Result<()> {
    let config = configure_with(&[])?;
    assert_eq!(config.family.name, "sd1");
    assert_eq!(config.vae_scale_factor, 8);
    assert_eq!(config.unet.cross_attention_dim, 16);
    assert_eq!((config.defaults.height, config.defaults.width), (512, 512));
    assert_eq!(config.scheduler, sd1::SD1.scheduler);
    Ok(())
}

#[test]
fn the_files_own_configuration_goes_before_the_familys() -> Result<()> {
    let config = configure_with(&[(
        "config",
        r#"{
            "unet": {"sample_size": [16, 24], "attention_head_dim": 2, "norm_num_groups": null},
            "vae": {"norm_num_groups": 8},
            "text_encoder": {"hidden_act": "gelu"},
            "scheduler": {"prediction_type": "v_prediction", "timestep_spacing": "trailing"},
            "defaults": {"steps": 12, "guidance_scale": 3.5, "sampler": "heun"}
        }"#,
    )])?;
    assert_eq!(config.unet.heads, LevelHeads::Count(PerLevel::Same(2)));
    assert_eq!(config.unet.norm_num_groups, 32);
    assert_eq!(config.vae.norm_num_groups, 8);
    assert_eq!(
        config.text_encoders[0].clip.activation,
        crate::networks::Activation::Gelu
    );
    assert_eq!(config.scheduler.prediction, Prediction::V);
    let expected = Defaults {
        width: 192,
        height: 128,
        steps: 12,
        guidance_scale: 3.5,
        sampler: "heun".into(),
        schedule: "trailing".into(),
    };
    assert_eq!(config.defaults, expected);
    Ok(())
}

#[test]
fn the_header_may_tell_the_prediction() -> Result<()> {
    let config = configure_with(&[("modelspec.prediction_type", "v")])?;
    assert_eq!(config.scheduler.prediction, Prediction::V);
    Ok(())
}

#[test]
fn tensors_may_tell_of_the_noise() -> Result<()> {
    let marked = |markers: &[(&'static str, Vec<usize>)]| {
        let mut tensors = xl_tensors();
        tensors.extend(markers.iter().cloned());
        configure(&file(&tensors, &[]))
    };
    let plain = marked(&[])?.scheduler;
    assert_eq!(
        (plain.prediction, plain.zero_terminal_snr),
        (Prediction::Epsilon, false)
    );
    let noob = marked(&[("v_pred", vec![0]), ("ztsnr", vec![0])])?.scheduler;
    assert_eq!(
        (noob.prediction, noob.zero_terminal_snr),
        (Prediction::V, true)
    );
    // diffusers' schedulers end at 2⁻²⁴ of ᾱ: σ = √(2²⁴ − 1).
    let sigma_max = noob.noise_model(SigmaRules::Diffusers)?.sigma_max();
    assert!((sigma_max - 4096.0).abs() < 1e-3, "{sigma_max}");
    // The files here hold zeros, which are no range of noise levels.
    let refused = marked(&[("edm_vpred.sigma_max", vec![1])]);
    assert!(matches!(refused, Err(Error::BadFile { .. })), "{refused:?}");
    Ok(())
}

#[test]
fn wrong_fields_are_named() {
    for (config, named) in [
        (
            r#"{"unet": {"norm_num_groups": "32"}}"#,
            "unet configuration: norm_num_groups is \"32\"",
        ),
        (
            r#"{"unet": {"attention_head_dim": [8, 8]}}"#,
            "heads is given for 2 levels",
        ),
        (
            r#"{"unet": {"sample_size": [1, 2, 3]}}"#,
            "sample_size is [1,2,3]",
        ),
        (r#"{"unet": 3}"#, "unet configuration is 3"),
        (r#"{"vae": {"scaling_factor": 0}}"#, "scaling_factor is 0"),
        (r#"{"scheduler": {"beta_end": 2}}"#, "beta_end is 2"),
        (r#"{"defaults": {"steps": 0}}"#, "steps is 0"),
    ] {
        let error = configure_with(&[("config", config)]).expect_err(config);
        assert!(matches!(error, Error::BadFile { .. }), "{config}: {error}");
        assert!(error.to_string().contains(named), "{config}: {error}");
    }
}

#[test]
fn fields_that_ask_for_other_arithmetic_are_named() {
    for (config, named) in [
        (r#"{"unet": {"act_fn": "mish"}}"#, "act_fn is \"mish\""),
        (
            r#"{"unet": {"only_cross_attention": [false, true]}}"#,
            "only_cross_attention",
        ),
        (
            r#"{"text_encoder": {"hidden_act": "relu"}}"#,
            "hidden_act \"relu\"",
        ),
        (
            r#"{"scheduler": {"prediction_type": "sample"}}"#,
            "prediction_type \"sample\"",
        ),
    ] {
        let error = configure_with(&[("config", config)]).expect_err(config);
        assert!(matches!(error, Error::Unsupported(_)), "{config}: {error}");
        assert!(error.to_string().contains(named), "{config}: {error}");
    }
}

#[test]
fn what_a_unet_was_trained_for_is_read_from_its_channels() -> Result<()> {
    for (channels, purpose) in [
        (4, Purpose::TextToImage),
        (8, Purpose::Instruct),
        (9, Purpose::Inpaint),
    ] {
        let mut tensors = tensors();
        tensors.insert(markers::UNET, vec![8, channels, 3, 3]);
        let config = configure(&file(&tensors, &[]))?;
        assert_eq!(config.purpose, purpose);
        assert_eq!(config.unet.in_channels, channels);
    }
    let mut tensors = tensors();
    tensors.insert(markers::UNET, vec![8, 5, 3, 3]);
    let message = refusal(&file(&tensors, &[]));
    assert!(message.contains("takes 5 channels"), "{message}");
    Ok(())
}

#[test]
fn missing_parts_are_named() {
    for marker in markers::ALL {
        let mut tensors = tensors();
        tensors.remove(marker);
        let message = refusal(&file(&tensors, &[]));
        assert!(message.contains(marker), "{message}");
    }
}

/// As much of an SDXL model as recognition looks at: text encoders of 16 and 24, joined 40 wide.
fn xl_tensors() -> BTreeMap<&'static str, Vec<usize>> {
    let mut xl = tensors();
    xl.extend([
        (CROSS_ATTENTION, vec![8, 40]),
        (markers::TEXT_ENCODER_2, vec![10, 24]),
        ("text_encoder_2.text_projection.weight", vec![24, 24]),
        (markers::ADD_EMBEDDING, vec![8, 24 + 6 * 4]),
    ]);
    xl
}

#[test]
fn what_to_add_is_told_by_the_flags() {
    let only = |tensors: &BTreeMap<&'static str, Vec<usize>>, parts: &[&str]| {
        let is_there = |name: &&str| {
            parts
                .iter()
                .any(|part| name.starts_with(&format!("{part}.")))
        };
        let kept = tensors.iter().filter(|(name, _)| is_there(name));
        refusal(&file(
            &kept.map(|(name, shape)| (*name, shape.clone())).collect(),
            &[],
        ))
    };
    let mut refiner = xl_tensors();
    refiner.insert(CROSS_ATTENTION, vec![1, 1280]);
    for (tensors, parts, words) in [
        (
            tensors(),
            &["unet"][..],
            "a UNet alone; add --vae PATH and --text-encoder PATH, or",
        ),
        (
            tensors(),
            &["unet", "vae"],
            "a UNet and a VAE alone; add --text-encoder PATH, or",
        ),
        (
            xl_tensors(),
            &["unet"],
            "add --vae PATH, --text-encoder PATH and --text-encoder-2 PATH, or give a full checkpoint",
        ),
        (
            xl_tensors(),
            &["unet", "vae", "text_encoder"],
            "it has a UNet, a VAE and a text encoder alone; add --text-encoder-2 PATH, or",
        ),
        (
            refiner,
            &["unet"],
            "a UNet alone; add --vae PATH and --text-encoder-2 PATH, or",
        ),
    ] {
        let message = only(&tensors, parts);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn families_are_told_by_their_text_encoders() -> Result<()> {
    let mut sd2 = tensors();
    sd2.insert(CROSS_ATTENTION, vec![1, 1024]);
    sd2.insert(markers::TEXT_ENCODER, vec![1, 1024]);
    let mut refiner = xl_tensors();
    refiner.remove(markers::TEXT_ENCODER);
    refiner.insert(CROSS_ATTENTION, vec![8, 24]);
    refiner.insert(markers::ADD_EMBEDDING, vec![8, 24 + 5 * 4]);
    for (tensors, family, time_embed_dim) in [
        (tensors(), "sd1", None),
        (sd2, "sd2", None),
        (xl_tensors(), "sdxl", Some(4)),
        (refiner, "sdxl-refiner", Some(4)),
    ] {
        let config = configure(&file(&tensors, &[]))?;
        assert_eq!(config.family.name, family);
        let added = config.unet.added.map(|added| added.time_embed_dim);
        assert_eq!(added, time_embed_dim, "{family}");
    }
    Ok(())
}

#[test]
fn what_sdxl_lacks_is_named() {
    for marker in [markers::ADD_EMBEDDING, markers::VAE, markers::UNET] {
        let mut tensors = xl_tensors();
        tensors.remove(marker);
        let message = refusal(&file(&tensors, &[]));
        assert!(message.contains(marker), "{message}");
    }
}

#[test]
fn relatives_that_need_fewer_steps_are_told_by_name() -> Result<()> {
    let title = |title| configure(&file(&xl_tensors(), &[("modelspec.title", title)]));
    let plain = title("Juggernaut XL")?.defaults;
    assert_eq!((plain.steps, plain.width), (30, 1024));
    let lightning = title("SDXL Lightning 8-step")?.defaults;
    assert_eq!((lightning.steps, lightning.guidance_scale), (8, 1.0));
    let turbo = title("SDXL-Turbo")?.defaults;
    assert_eq!((turbo.steps, turbo.width), (1, 512));
    Ok(())
}

#[test]
fn a_text_encoder_of_another_width_is_refused() {
    let mut tensors = tensors();
    tensors.insert(markers::TEXT_ENCODER, vec![10, 12]);
    let message = refusal(&file(&tensors, &[]));
    assert!(message.contains("16 wide"), "{message}");
}
