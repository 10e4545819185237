//! Models put together from files of their parts, by the program's flags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use aquatint::{Image, Model, ModelFiles};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{DEMO, QUICK, aquatint, assert_refused, device, files, stderr, stdout};

/// Of Stable Diffusion XL's kind, as a folder.
const XL_FOLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/data/models/tiny_xl_folder"
);

/// Each part of the demo model, its flag and its prefix there.
const PARTS: [(&str, &str, &str); 3] = [
    ("unet", "--unet", "model.diffusion_model."),
    ("vae", "--vae", "first_stage_model."),
    (
        "text_encoder",
        "--text-encoder",
        "cond_stage_model.transformer.",
    ),
];

/// A folder with the demo model's parts as files of their own, and the flags that give them.
fn taken_apart() -> (TempDir, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let bytes = fs::read(DEMO).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let flags = PARTS.iter().flat_map(|(part, flag, prefix)| {
        let tensors = whole.iter();
        let mine = tensors.filter_map(|(name, view)| Some((name.strip_prefix(prefix)?, view)));
        let file = format!("{part}.safetensors");
        let bytes = safetensors::serialize(mine, metadata.clone()).unwrap();
        fs::write(folder.path().join(&file), bytes).unwrap();
        [(*flag).to_owned(), file]
    });
    let flags = flags.collect();
    (folder, flags)
}

/// Runs a verb in a folder.
fn run_in(folder: &Path, arguments: &[&str], flags: &[String]) -> Output {
    let mut command = aquatint();
    command.current_dir(folder).args(arguments).args(flags);
    command.output().unwrap()
}

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str], flags: &[String]) -> String {
    let output = run_in(folder, arguments, flags);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// What draws a picture into a file.
fn draw(file: &'static str) -> Vec<&'static str> {
    let asked = ["generate", "a cat", "-s", "5", "-o", file];
    [&asked, &QUICK, device()].concat()
}

#[test]
fn parts_alone_draw_the_picture_of_the_whole_model() {
    let (folder, parts) = taken_apart();
    succeed(folder.path(), &draw("whole.png"), &[]);
    succeed(folder.path(), &draw("parts.png"), &parts);
    let open = |name| Image::open(folder.path().join(name)).unwrap();
    let difference = open("parts.png").difference(&open("whole.png")).unwrap();
    assert!(difference.is_none(), "{difference}");

    let replay = [&["replay", "parts.png", "--require-equal"], device()].concat();
    let said = succeed(folder.path(), &replay, &parts);
    assert!(said.contains("identical in all 4096 pixels"), "{said}");
    let said = succeed(folder.path(), &["inspect", "parts.png"], &[]);
    for line in [
        "unet             unet.safetensors",
        "vae              vae.safetensors",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let forgotten = run_in(folder.path(), &replay[..2], &parts[..2]);
    let warning = "the picture's vae was \"vae.safetensors\"; give it with --vae PATH";
    assert!(
        stderr(&forgotten).contains(warning),
        "{}",
        stderr(&forgotten)
    );
    // What lies among the models on this machine is found by the name in the picture.
    let replay = [&["replay", "parts.png", "--require-equal"], device()].concat();
    let mut by_name = aquatint();
    by_name.current_dir(folder.path()).args(replay);
    let by_name = by_name.env("AQUATINT_MODELS", folder.path()).output();
    let by_name = by_name.unwrap();
    assert!(by_name.status.success(), "{}", stderr(&by_name));
    let plan = |flags: &[String]| succeed(folder.path(), &["plan", "--json"], flags);
    assert_eq!(plan(&parts), plan(&[]));
}

#[test]
fn a_part_takes_the_place_of_the_models_own() {
    let (folder, _) = taken_apart();
    // Half as bright a picture: the VAE's last layer.
    let path = folder.path().join("vae.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let start = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let last = whole
        .tensor("decoder.conv_out.weight")
        .unwrap()
        .data()
        .as_ptr();
    let offset = last as usize - bytes.as_ptr() as usize;
    assert!(offset >= start);
    bytes[offset..offset + 64].fill(0);
    fs::write(&path, bytes).unwrap();
    let vae = ["-m", DEMO, "--vae", "vae.safetensors"].map(str::to_owned);
    succeed(folder.path(), &draw("own.png"), &[]);
    succeed(folder.path(), &draw("other.png"), &vae);
    let open = |name| Image::open(folder.path().join(name)).unwrap();
    assert!(
        !open("own.png")
            .difference(&open("other.png"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_second_text_encoder_is_for_models_that_have_one() {
    let folder = TempDir::new().unwrap();
    let flags = ["-m", DEMO, "--text-encoder-2", XL_FOLDER].map(str::to_owned);
    let output = run_in(folder.path(), &draw("a.png"), &flags);
    let words = [
        "second text encoder",
        "Stable Diffusion 1.x does not have",
        "leave it out",
    ];
    assert_refused(&output, 1, &words);
}

#[test]
fn what_the_files_lack_is_told_with_the_flags_that_give_it() {
    let (folder, parts) = taken_apart();
    let unet = &parts[..2];
    let output = run_in(folder.path(), &draw("a.png"), unet);
    let words = [
        "unet.safetensors: missing tensor",
        "add --vae PATH and --text-encoder PATH",
    ];
    assert_refused(&output, 1, &words);
    let described = succeed(folder.path(), &["inspect"], unet);
    assert!(
        described.contains("no picture") && described.contains(words[1]),
        "{described}"
    );
    let swapped = ["-m", DEMO, "--vae", "text_encoder.safetensors"].map(str::to_owned);
    let output = run_in(folder.path(), &draw("a.png"), &swapped);
    let words = ["text_encoder.safetensors: was given as a VAE, but has a text encoder"];
    assert_refused(&output, 1, &words);
    let absent = ["-m", DEMO, "--vae", "no/such/file"].map(str::to_owned);
    assert_refused(
        &run_in(folder.path(), &draw("a.png"), &absent),
        1,
        &["no/such/file"],
    );
    assert!(!files(folder.path()).contains(&"a.png".to_owned()));
}

#[test]
fn inspect_describes_a_model_with_its_parts() {
    let (folder, parts) = taken_apart();
    let json: Value =
        serde_json::from_str(&succeed(folder.path(), &["inspect", "--json"], &parts)).unwrap();
    assert_eq!(json["family"], "sd1");
    assert_eq!(json["path"], "unet.safetensors");
    let tensors = |flags: &[String]| {
        let said = succeed(folder.path(), &["inspect", "--tensors"], flags);
        let lines = said.lines().filter(|line| line.starts_with("f16 "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tensors(&parts), tensors(&[]));
}

/// The parts' folders beside the single file; a file alone would not tell how few heads they have.
#[test]
fn both_text_encoders_of_sdxl_are_given_apart() {
    let part = |name: &str| PathBuf::from(XL_FOLDER).join(name);
    let files = ModelFiles::new(part("../tiny_xl.safetensors"))
        .text_encoder(part("text_encoder"))
        .text_encoder_2(part("text_encoder_2"))
        .vae(part("vae"));
    let model = Model::open(files).unwrap();
    let of_folder = Model::open(XL_FOLDER).unwrap();
    let parts = |model: &Model| {
        let parts = model.summary().parts;
        let counts = parts.into_iter().map(|part| (part.name, part.tensor_count));
        counts.collect::<Vec<_>>()
    };
    assert_eq!(parts(&model), parts(&of_folder));
    // The other way round the widths tell.
    let swapped = ModelFiles::new(XL_FOLDER).text_encoder(part("text_encoder_2"));
    let error = Model::open(swapped).unwrap_err().to_string();
    assert!(error.contains("they are of different models"), "{error}");
}
