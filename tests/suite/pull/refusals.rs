//! Answers that end a download: what is said of them, and that nothing is left.

use super::*;

#[test]
fn a_wrong_checksum_is_told_and_nothing_is_kept() {
    let mut damaged = model();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let served = damaged.clone();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, _| match asked.path.as_str() {
            PATH => redirect(&model(), "/bytes"),
            _ => Answer::file(asked, &served),
        }),
    );
    let words = [
        "damaged",
        "SHA-256",
        &sha256(&model()),
        &sha256(&damaged),
        "again",
    ];
    folder.assert_refused(&server, &[REPO, FILE], 1, &words);
}

#[test]
fn what_is_no_model_is_told_though_the_hub_has_no_checksum() {
    let cut = model()[..500_000].to_vec();
    for (content, reason) in [
        (b"<!DOCTYPE html><html>log in</html>".to_vec(), "web page"),
        (
            b"version https://git-lfs.github.com/spec/v1".to_vec(),
            "LFS pointer",
        ),
        (b"PK\x03\x04 and the rest of a zip".to_vec(), "pickle"),
        (Vec::new(), "is empty"),
        (cut, "incomplete download"),
    ] {
        let (folder, server) = (
            Folder::new(),
            Server::start(move |_, _| Answer::new(200, content.clone())),
        );
        folder.assert_refused(&server, &[REPO, FILE], 1, &["no model", reason]);
    }
    let (folder, server) = (
        Folder::new(),
        Server::start(|_, _| Answer::new(200, model())),
    );
    let said = folder.assert_pulled(&server, &model());
    assert!(
        said.contains("warning") && said.contains("no checksum"),
        "{said}"
    );
}

#[test]
fn refusals_say_what_to_do() {
    let with = |status: u16, code: &'static str| {
        Server::start(move |_, _| Answer::new(status, "").header("X-Error-Code", code))
    };
    for (status, code, words) in [
        (401, "RepoNotFound", ["no such repository", "HF_TOKEN"]),
        (401, "GatedRepo", ["accept them at", "HF_TOKEN"]),
        (403, "GatedRepo", ["accept them at", "HF_TOKEN"]),
        (403, "", ["access is refused", "HF_TOKEN"]),
        (
            404,
            "EntryNotFound",
            ["no such file in the repository", "someone/tiny"],
        ),
        (
            404,
            "RevisionNotFound",
            ["no such revision", "someone/tiny"],
        ),
        (404, "", ["no such repository or file", "capitals"]),
        (418, "", ["answered 418", "HF_ENDPOINT"]),
        (429, "", ["too many requests", "try again"]),
        (500, "", ["the server failed (500)", "try again"]),
    ] {
        let (folder, server) = (Folder::new(), with(status, code));
        folder.assert_refused(&server, &[REPO, FILE], 1, &words);
        folder.assert_refused(&server, &[REPO], 1, &words);
    }
}

#[test]
fn a_hub_that_does_not_answer_is_told() {
    let (folder, server) = (Folder::new(), Server::nowhere());
    folder.assert_refused(&server, &[REPO, FILE], 1, &[&server.address, "try again"]);
    let mut clear = Server::start(|_, _| Answer::new(200, ""));
    clear.address = clear.address.replace("http:", "https:");
    folder.assert_refused(&clear, &[REPO, FILE], 1, &["https:", "check HF_ENDPOINT"]);
    let lost = Server::start(|_, _| Answer::new(302, "").header("Location", "/round/and/round"));
    folder.assert_refused(&lost, &[REPO, FILE], 1, &["redirects"]);
    let elsewhere =
        Server::start(|_, _| Answer::new(302, "").header("Location", "file:///etc/passwd"));
    folder.assert_refused(
        &elsewhere,
        &[REPO, FILE],
        1,
        &["not followed", "HF_ENDPOINT"],
    );
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let content = model();
    let served = content.clone();
    let elsewhere = Server::start(move |asked, _| Answer::file(asked, &served));
    let (linked, address) = (
        content.clone(),
        format!("{}/bytes?signed", elsewhere.address),
    );
    let hub = Server::start(move |asked, _| match asked.path.as_str() {
        PATH => Answer::new(307, "").header("Location", "/moved"),
        _ => redirect(&linked, &address),
    });
    let folder = Folder::new();
    let mut pull = folder.program(&hub, &[REPO, FILE]);
    let output = run_within(LIMIT, pull.env("HF_TOKEN", "hf_secret"));
    assert!(output.status.success(), "{}", stderr(&output));
    let asked = hub.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert_eq!(asked.headers["authorization"], "Bearer hf_secret");
    }
    // Another port is another server.
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].headers.contains_key("authorization"), "{asked:?}");

    let mut refused = folder.program(&Server::start(|_, _| Answer::new(401, "")), &[REPO]);
    let output = run_within(LIMIT, refused.env("HF_TOKEN", "hf_secret"));
    assert_refused(&output, 1, &["HF_TOKEN is refused"]);
    assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
}

#[test]
fn answers_that_are_no_list_are_told() {
    for answer in [
        "",
        "<html>",
        "[]",
        "{\"siblings\": 3}",
        "{\"siblings\": [{}]}",
    ] {
        let (folder, server) = (
            Folder::new(),
            Server::start(move |_, _| Answer::new(200, answer)),
        );
        folder.assert_refused(&server, &[REPO], 1, &["no list of files", "HF_ENDPOINT"]);
    }
    let none = Server::start(|_, _| Answer::new(200, "{\"siblings\": []}"));
    Folder::new().assert_refused(&none, &[REPO], 1, &["no safetensors"]);
}
