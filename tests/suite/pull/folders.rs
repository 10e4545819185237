//! Whole repositories: which of their files are downloaded, and to where.

use super::*;

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// A repository with a diffusers folder, as the hub lists it.
fn folder_hub(extra: &'static [&'static str]) -> (Server, Arc<Files>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/models/tiny_c");
    let mut contents = Vec::new();
    for folder in ["", "scheduler", "text_encoder", "tokenizer", "unet", "vae"] {
        for file in fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(&root).unwrap();
                let name = name.to_str().unwrap().replace('\\', "/");
                contents.push((name, fs::read(path).unwrap()));
            }
        }
    }
    let contents = Arc::new(contents);
    let served = Arc::clone(&contents);
    let server = Server::start(move |asked, _| {
        if asked.path == "/api/models/someone/tiny?blobs=true" {
            let siblings = served.iter().map(|(name, content)| {
                let lfs = json!({"sha256": sha256(content), "size": content.len()});
                let lfs = name.ends_with(".safetensors").then_some(lfs);
                json!({"rfilename": name, "lfs": lfs})
            });
            let extra = extra.iter().map(|name| json!({"rfilename": name}));
            let siblings: Vec<Value> = siblings.chain(extra).collect();
            return Answer::new(
                200,
                json!({"sha": "abc123", "siblings": siblings}).to_string(),
            );
        }
        let name = asked.path.strip_prefix("/someone/tiny/resolve/abc123/");
        let found = served
            .iter()
            .find(|(known, _)| Some(known.as_str()) == name);
        found.map_or_else(
            || Answer::new(404, ""),
            |(_, content)| Answer::file(asked, content),
        )
    });
    (server, contents)
}

#[test]
fn a_diffusers_folder_is_downloaded_without_what_is_of_no_use() {
    let (server, contents) = folder_hub(&[
        "README.md",
        "tiny.ckpt",
        "unet/diffusion_pytorch_model.bin",
        "safety_checker/model.safetensors",
        "samples/../odd.png",
    ]);
    let folder = Folder::new();
    let output = folder.pull(&server, &[REPO]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output).trim_end(),
        folder.path(REPO).to_str().unwrap()
    );
    assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    for (name, content) in contents.iter() {
        let path = folder.path(REPO).join(name);
        assert!(
            &fs::read(path).unwrap() == content,
            "{name} has other bytes"
        );
    }
    assert!(!folder.path("someone/tiny/README.md").exists());
    assert!(!folder.path("someone/tiny/safety_checker").exists());
    // The index comes last: a folder that has it is whole.
    let last = server.asked().pop().unwrap();
    assert!(last.path.ends_with("/model_index.json"), "{}", last.path);

    let mut plan = aquatint();
    let plan = plan.env("AQUATINT_MODELS", folder.0.path());
    let output = run_within(LIMIT, plan.args(["plan", "-m", "tiny"]));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let listing = |files: &[&str]| {
        let siblings: Vec<Value> = files
            .iter()
            .map(|name| json!({"rfilename": name}))
            .collect();
        let listing = json!({ "siblings": siblings }).to_string();
        Server::start(move |asked, _| match asked.path.starts_with("/api/") {
            true => Answer::new(200, listing.clone()),
            false => Answer::new(200, "{}"),
        })
    };
    for name in [
        "tokenizer/..\\evil.json",
        "tokenizer/C:evil.json",
        "tokenizer/a\u{0}b.json",
        "scheduler/...json",
        "tokenizer/.json",
    ] {
        let server = listing(&[name, UNET_FILE, "model_index.json"]);
        let words = ["would lie elsewhere", "do not trust"];
        Folder::new().assert_refused(&server, &[REPO], 1, &words);
    }
    let server = listing(&["..\\evil.safetensors"]);
    Folder::new().assert_refused(&server, &[REPO], 1, &["would lie elsewhere"]);
    // What lies in no folder of a model is not downloaded at all.
    let (folder, server) = (
        Folder::new(),
        listing(&[
            "tokenizer/../../../evil.json",
            "/evil.json",
            "model_index.json",
        ]),
    );
    folder.assert_refused(&server, &[REPO], 1, &["without a UNet"]);
    let (folder, server) = (Folder::new(), Server::start(|_, _| Answer::new(200, "{}")));
    for file in [
        "../evil.json",
        "/etc/evil.json",
        "a\\b.json",
        "a//b.json",
        "",
    ] {
        folder.assert_refused(&server, &[REPO, file], 2, &["file"]);
    }
    for repo in ["tiny", "../tiny", "a/b/c", "a/..", "https://x/y"] {
        folder.assert_refused(&server, &[repo], 2, &["OWNER/REPO"]);
    }
    folder.assert_refused(&server, &[REPO, "tiny.ckpt"], 2, &["pickles"]);
    folder.assert_refused(
        &server,
        &[REPO, FILE, "--revision", "../x"],
        2,
        &["revision"],
    );
    assert!(
        server.asked().is_empty(),
        "nothing of that is worth a question"
    );
}
