//! Names and places; what files are is tested with the program, in `tests/suite/models.rs`.

use super::*;
use crate::error::Error;
use std::fs;
use tempfile::TempDir;

/// A folder with empty files.
fn folder(files: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

/// The files of a library, from the folder on, with slashes.
fn listed(library: &Library, folder: &TempDir) -> Vec<String> {
    let inside = |file: &LibraryFile| {
        let inside = file.path.strip_prefix(folder.path()).unwrap();
        inside.to_str().unwrap().replace('\\', "/")
    };
    let mut names: Vec<String> = library.files().iter().map(inside).collect();
    names.sort();
    names
}

#[track_caller]
fn refusal(library: &Library, name: &str) -> String {
    match library.find(name) {
        Err(error @ Error::NoSuchModel { .. }) => error.to_string(),
        other => panic!("{name:?} gave {other:?}"),
    }
}

#[test]
fn a_plain_folder_is_looked_through_to_the_bottom() {
    let folder = folder(&[
        "a.safetensors",
        "b.SafeTensors",
        "deep/er/c.ckpt",
        "d.gguf",
        "notes.txt",
        "words.bin",
        ".hidden/e.safetensors",
        "f.safetensors.part",
    ]);
    let library = Library::of_folders([folder.path()]);
    assert_eq!(
        listed(&library, &folder),
        ["a.safetensors", "b.SafeTensors", "d.gguf", "deep/er/c.ckpt"]
    );
    assert_eq!(library.places()[0].problem, None);
}

/// The folders as `facts` of A1111 1.10 and ComfyUI's `folder_paths.py` have them.
#[test]
fn other_programs_trees_are_read_by_their_layouts() {
    let a1111 = folder(&[
        "webui.safetensors",
        "models/Stable-diffusion/sub/model.safetensors",
        "models/VAE/vae.pt",
        "models/Lora/lora.safetensors",
        "models/LyCORIS/lyco.safetensors",
        "models/ControlNet/control.pth",
        "models/ESRGAN/upscaler.pth",
        "models/RealESRGAN/upscaler.safetensors",
        "embeddings/word.pt",
    ]);
    let comfyui = folder(&[
        "main.safetensors",
        "custom_nodes/x/y.safetensors",
        "models/checkpoints/model.safetensors",
        "models/vae/vae.safetensors",
        "models/loras/lora.safetensors",
        "models/embeddings/word.safetensors",
        "models/controlnet/control.safetensors",
        "models/unet/unet.safetensors",
        "models/clip/clip.safetensors",
        "models/clip_vision/vision.safetensors",
        "models/upscale_models/upscaler.safetensors",
        "models/diffusers/sd/model_index.json",
        "models/diffusers/sd/unet/diffusion_pytorch_model.safetensors",
    ]);
    assert_eq!(
        listed(&Library::of_folders([a1111.path()]), &a1111),
        [
            "embeddings/word.pt",
            "models/ControlNet/control.pth",
            "models/ESRGAN/upscaler.pth",
            "models/Lora/lora.safetensors",
            "models/LyCORIS/lyco.safetensors",
            "models/RealESRGAN/upscaler.safetensors",
            "models/Stable-diffusion/sub/model.safetensors",
            "models/VAE/vae.pt",
        ]
    );
    let expected = [
        "models/checkpoints/model.safetensors",
        "models/clip/clip.safetensors",
        "models/controlnet/control.safetensors",
        "models/diffusers/sd",
        "models/embeddings/word.safetensors",
        "models/loras/lora.safetensors",
        "models/unet/unet.safetensors",
        "models/upscale_models/upscaler.safetensors",
        "models/vae/vae.safetensors",
    ];
    let whole = Library::of_folders([comfyui.path()]);
    assert_eq!(listed(&whole, &comfyui), expected);
    // Some give the folder inside; nothing is found twice.
    let inside = comfyui.path().join("models");
    let both = Library::of_folders([comfyui.path(), inside.as_path()]);
    assert_eq!(listed(&both, &comfyui), expected);
    let library = Library::of_folders([inside.as_path()]);
    assert_eq!(listed(&library, &comfyui), expected);
}

#[test]
fn a_name_is_found_however_it_is_typed() {
    let folder = folder(&[
        "Dream Shaper.v8.safetensors",
        "xl/base.safetensors",
        "flow_v1.0/model_index.json",
    ]);
    let library = Library::of_folders([folder.path()]);
    for (typed, file) in [
        ("Dream Shaper.v8", "Dream Shaper.v8.safetensors"),
        ("dream shaper.V8", "Dream Shaper.v8.safetensors"),
        ("dream shaper.v8.SAFETENSORS", "Dream Shaper.v8.safetensors"),
        ("base", "xl/base.safetensors"),
        ("XL/base", "xl/base.safetensors"),
        ("xl\\base.safetensors", "xl/base.safetensors"),
        ("flow_v1.0", "flow_v1.0"),
    ] {
        assert_eq!(
            library.find(typed).unwrap(),
            folder.path().join(file),
            "{typed}"
        );
    }
}

#[test]
fn an_unknown_name_gets_the_nearest_ones() {
    let folder = folder(&[
        "dreamshaper_8.safetensors",
        "sd-v1-5.safetensors",
        "zavy.safetensors",
    ]);
    let library = Library::of_folders([folder.path()]);
    for (typed, hint) in [
        ("dremshaper_8", "did you mean \"dreamshaper_8\"?"),
        ("dreamshaper", "did you mean \"dreamshaper_8\"?"),
        ("SD v1.5.safetensors", "did you mean \"sd-v1-5\"?"),
        ("sdv14", "did you mean \"sd-v1-5\"?"),
    ] {
        let message = refusal(&library, typed);
        assert!(message.starts_with("unknown model"), "{message}");
        assert!(message.contains(hint), "{typed}: {message}");
    }
    let message = refusal(&library, "juggernaut");
    assert!(!message.contains("did you mean"), "{message}");
    assert!(message.contains("aquatint models"), "{message}");
    assert!(refusal(&library, "").contains("unknown model"));
    // What is read of a name is bounded, and a terminal does not obey it.
    let message = refusal(&library, &"\u{1b}[2J".repeat(100_000));
    assert!(
        message.len() < 2000 && !message.contains('\u{1b}'),
        "{message}"
    );
}

#[test]
fn a_name_of_several_models_is_told_with_their_paths() {
    let folder = folder(&["a/same.safetensors", "b/Same.ckpt", "c/other.safetensors"]);
    let library = Library::of_folders([folder.path()]);
    let message = refusal(&library, "same");
    for path in ["a/same.safetensors", "b/Same.ckpt"] {
        let path = folder.path().join(path).display().to_string();
        assert!(message.contains(&path), "{message}");
    }
    // With more of it, it is one.
    assert!(library.find("a/same").is_ok());
    assert!(library.find("Same.ckpt").is_ok());
}

#[test]
fn a_lora_is_no_model() {
    let folder = folder(&[
        "models/checkpoints/model.safetensors",
        "models/loras/detail.safetensors",
    ]);
    let library = Library::of_folders([folder.path()]);
    let message = refusal(&library, "detail");
    assert!(message.contains("is a LoRA, not a model"), "{message}");
}

#[test]
fn a_part_is_taken_from_the_folder_for_parts_before_a_model() {
    let folder = folder(&[
        "models/checkpoints/sdxl.safetensors",
        "models/checkpoints/alone.safetensors",
        "models/vae/sdxl.safetensors",
        "models/vae/mse.safetensors",
        "models/loras/detail.safetensors",
    ]);
    let library = Library::of_folders([folder.path()]);
    let models = folder.path().join("models");
    for (name, file) in [
        ("sdxl", "vae/sdxl.safetensors"),
        ("MSE", "vae/mse.safetensors"),
        ("alone", "checkpoints/alone.safetensors"),
    ] {
        assert_eq!(library.find_part(name).unwrap(), models.join(file));
    }
    assert_eq!(
        library.find("sdxl").unwrap(),
        models.join("checkpoints/sdxl.safetensors")
    );
    assert!(refusal(&library, "mse").contains("is a VAE, not a model"));
    let message = library.find_part("detail").unwrap_err().to_string();
    assert!(
        message.contains("is a LoRA, not a part of a model"),
        "{message}"
    );
    let message = library.find_part("mse2").unwrap_err().to_string();
    assert!(message.contains("did you mean \"mse\"?"), "{message}");
}

#[test]
fn the_platforms_folder_need_not_be_there() {
    let folder = folder(&[]);
    let missing = || folder.path().join("missing");
    let places =
        [PlaceOrigin::Data, PlaceOrigin::Added].map(|origin| Place::new(missing(), origin));
    let library = Library::of_places(places.to_vec());
    assert_eq!(library.places()[0].problem, None);
    assert!(library.places()[1].problem.is_some());
}

#[test]
fn where_there_are_no_models_it_says_where_it_looked() {
    let folder = folder(&[]);
    let missing = folder.path().join("unplugged");
    let library = Library::of_folders([folder.path(), &missing]);
    let message = refusal(&library, "sd15");
    let here = folder.path().display().to_string();
    for word in [
        "no models found",
        "looked in",
        "aquatint models add",
        &here,
        "unplugged",
    ] {
        assert!(message.contains(word), "no {word:?} in {message}");
    }
    assert_eq!(library.places()[0].problem, None);
    assert!(library.places()[1].problem.is_some());
}

/// A name from a picture or from the net must not reach files by way of `..`.
#[test]
fn a_name_never_leads_out_of_the_folders() {
    let outer = folder(&["secret.safetensors", "models/model.safetensors"]);
    let library = Library::of_folders([outer.path().join("models")]);
    let absolute = outer.path().join("secret.safetensors");
    for name in [
        "../secret",
        "..\\secret",
        "../secret.safetensors",
        "%2e%2e/secret",
        "model/../../secret",
        "secret\0",
        absolute.to_str().unwrap(),
    ] {
        refusal(&library, name);
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_circles_end() {
    let outer = folder(&["elsewhere/a.safetensors", "models/b.safetensors"]);
    let models = outer.path().join("models");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(outer.path().join(target), models.join(name)).unwrap();
    };
    link("elsewhere", "linked");
    link("models", "circle");
    link("gone.safetensors", "broken.safetensors");
    let library = Library::of_folders([&models]);
    assert_eq!(
        listed(&library, &outer),
        [
            "models/b.safetensors",
            "models/broken.safetensors",
            "models/linked/a.safetensors"
        ]
    );
    let broken = library
        .models()
        .into_iter()
        .find(|model| model.name == "broken");
    assert!(broken.unwrap().problem.is_some());
}

#[test]
fn added_folders_are_remembered_once_and_forgotten() {
    let home = folder(&["trees/a.safetensors"]);
    let tree = home.path().join("trees");
    let paths = Paths {
        variable: Some(std::env::join_paths(["/one", "", "/two"]).unwrap()),
        data: Some(home.path().join("data")),
        settings: Some(home.path().join("config/models.json")),
    };
    for _ in 0..2 {
        assert_eq!(paths.add(&tree).unwrap(), tree);
    }
    let places: Vec<_> = paths.places().unwrap();
    let found: Vec<_> = places
        .iter()
        .map(|place| (place.path.clone(), place.origin))
        .collect();
    assert_eq!(
        found,
        [
            ("/one".into(), PlaceOrigin::Environment),
            ("/two".into(), PlaceOrigin::Environment),
            (home.path().join("data"), PlaceOrigin::Data),
            (tree.clone(), PlaceOrigin::Added),
        ]
    );
    assert_eq!(paths.download_folder().unwrap(), Path::new("/one"));
    // Of a folder that is gone as well.
    fs::remove_dir_all(&tree).unwrap();
    paths.remove(&tree).unwrap();
    assert_eq!(paths.places().unwrap().len(), 3);
    assert!(matches!(paths.remove(&tree), Err(Error::Request { .. })));
    assert!(matches!(paths.add(&tree), Err(Error::Io { .. })));
}

#[test]
fn new_models_go_to_the_platforms_folder_unless_a_variable_names_another() {
    let data = PathBuf::from("/data");
    for variable in [None, Some("".into())] {
        let paths = Paths {
            variable,
            data: Some(data.clone()),
            settings: None,
        };
        assert_eq!(paths.download_folder().unwrap(), data);
        assert!(matches!(
            paths.add(Path::new(".")),
            Err(Error::Unsupported(_))
        ));
    }
    let nowhere = Paths {
        variable: None,
        data: None,
        settings: None,
    };
    assert!(matches!(
        nowhere.download_folder(),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn a_malformed_list_of_folders_is_named_with_the_remedy() {
    let home = folder(&[]);
    let settings = home.path().join("models.json");
    let paths = Paths {
        variable: None,
        data: None,
        settings: Some(settings.clone()),
    };
    for text in [
        "",
        "[]",
        "{\"folders\": 3}",
        "{\"folders\": [\"a\"",
        "\u{0}",
    ] {
        fs::write(&settings, text).unwrap();
        for error in [
            paths.places().unwrap_err(),
            paths.add(home.path()).unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(matches!(error, Error::BadFile { .. }), "{message}");
            assert!(message.contains("delete it"), "{message}");
        }
        assert_eq!(
            fs::read_to_string(&settings).unwrap(),
            text,
            "it was overwritten"
        );
    }
}
