//! Downloads from a hub that cuts, forgets, lies and refuses. No test reaches the network.

mod folders;
mod refusals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::hub::{Answer, Asked, Server};
use crate::program::{aquatint, assert_refused, files, run_within, stderr, stdout};

/// The longest that any download or refusal may take, waits between tries included.
const LIMIT: Duration = Duration::from_secs(20);
/// The file that is asked for, and its place on the hub and in the models folder.
const REPO: &str = "someone/tiny";
const FILE: &str = "tiny.safetensors";
/// What makes a list of files a model of use.
const UNET_FILE: &str = "unet/diffusion_pytorch_model.safetensors";
const PATH: &str = "/someone/tiny/resolve/main/tiny.safetensors";
const TARGET: &str = "someone/tiny/tiny.safetensors";

/// A real, small checkpoint.
fn model() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read(root.join("tests/golden/data/models/tiny_a.safetensors")).unwrap()
}

fn sha256(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A models folder.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Puts what an earlier download left there.
    fn leave_part(&self, bytes: &[u8], tag: &str) {
        let part = self.path(&format!("{TARGET}.part"));
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, bytes).unwrap();
        fs::write(self.path(&format!("{TARGET}.part.json")), tag).unwrap();
    }

    /// The program, about to download from a server.
    fn program(&self, server: &Server, arguments: &[&str]) -> Command {
        let mut command = aquatint();
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy).env_remove(proxy.to_uppercase());
        }
        command
            .env("AQUATINT_MODELS", self.0.path())
            .env("HF_ENDPOINT", &server.address)
            .env_remove("HF_TOKEN")
            .args(["models", "pull"])
            .args(arguments);
        command
    }

    fn pull(&self, server: &Server, arguments: &[&str]) -> Output {
        run_within(LIMIT, &mut self.program(server, arguments))
    }

    /// A download that must succeed; returns what was said on stderr.
    #[track_caller]
    fn assert_pulled(&self, server: &Server, content: &[u8]) -> String {
        let output = self.pull(server, &[REPO, FILE]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(
            stdout(&output).trim_end(),
            self.path(TARGET).to_str().unwrap()
        );
        assert!(
            fs::read(self.path(TARGET)).unwrap() == content,
            "other bytes"
        );
        let left = files(self.path(TARGET).parent().unwrap());
        assert_eq!(left, [FILE], "something else was left");
        stderr(&output)
    }

    /// A download that must fail, and leave nothing.
    #[track_caller]
    fn assert_refused(&self, server: &Server, arguments: &[&str], code: i32, words: &[&str]) {
        assert_refused(&self.pull(server, arguments), code, words);
        assert_eq!(files(self.0.path()), [""; 0], "something was left");
    }
}

/// A hub that redirects to the bytes as Hugging Face does, and hands them out whole.
fn honest(content: Vec<u8>) -> impl Fn(&Asked, usize) -> Answer + Send {
    move |asked, _| match asked.path.as_str() {
        PATH => redirect(&content, "/bytes"),
        "/bytes" => Answer::file(asked, &content).header("ETag", "\"v1\""),
        _ => Answer::new(404, ""),
    }
}

/// What the hub itself answers for a large file.
fn redirect(content: &[u8], to: &str) -> Answer {
    Answer::new(302, "")
        .header("Location", to)
        .header("X-Linked-ETag", format!("\"{}\"", sha256(content)))
        .header("X-Linked-Size", content.len())
}

/// The parts that `Range` asked for, of those who asked for the bytes.
fn starts(server: &Server) -> Vec<Option<usize>> {
    let bytes = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/bytes");
    bytes.map(|asked| asked.start()).collect()
}

#[test]
fn a_file_is_downloaded_and_can_be_used_by_its_name() {
    let (folder, server) = (Folder::new(), Server::start(honest(model())));
    let said = folder.assert_pulled(&server, &model());
    assert!(!said.contains("warning"), "{said}");
    let mut inspect = aquatint();
    let inspect = inspect.env("AQUATINT_MODELS", folder.0.path());
    let output = run_within(LIMIT, inspect.args(["inspect", "tiny"]));
    assert!(
        stdout(&output).contains("Stable Diffusion 1.x"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_that_is_there_is_not_downloaded_again_nor_replaced() {
    let (folder, server) = (Folder::new(), Server::start(honest(model())));
    folder.assert_pulled(&server, &model());
    folder.assert_pulled(&server, &model());
    fs::write(folder.path(TARGET), "mine").unwrap();
    let output = folder.pull(&server, &[REPO, FILE]);
    assert_refused(&output, 1, &["is there already", TARGET, "move it away"]);
    assert_eq!(fs::read(folder.path(TARGET)).unwrap(), b"mine");
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_ended() {
    let content = model();
    let served = content.clone();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, before| match asked.path.as_str() {
            PATH => redirect(&served, "/bytes"),
            _ if before < 3 => {
                let answer = Answer::file(asked, &served).header("ETag", "\"v1\"");
                answer.cut_after(100_000)
            }
            _ => Answer::file(asked, &served).header("ETag", "\"v1\""),
        }),
    );
    folder.assert_pulled(&server, &content);
    let expected = [None, Some(100_000), Some(200_000), Some(300_000)];
    assert_eq!(starts(&server), expected);
    let last = server.asked().pop().unwrap();
    assert_eq!(last.headers["if-range"], "\"v1\"");
}

#[test]
fn a_download_that_was_given_up_goes_on_another_time() {
    let content = model();
    let served = content.clone();
    // It sends half, then fails until asked for the sixth time.
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, before| match (asked.path.as_str(), before) {
            (PATH, _) => redirect(&served, "/bytes"),
            (_, 0) => Answer::file(asked, &served)
                .header("ETag", "\"v1\"")
                .cut_after(served.len() / 2),
            (_, 1..=4) => Answer::new(503, "busy"),
            _ => Answer::file(asked, &served).header("ETag", "\"v1\""),
        }),
    );
    let output = folder.pull(&server, &[REPO, FILE]);
    let kept = format!("{} bytes are kept", content.len() / 2);
    assert_refused(&output, 1, &["503", &kept, "try again"]);
    assert!(
        !folder.path(TARGET).exists(),
        "half a file must not look whole"
    );
    // What is half done is no model.
    let mut list = aquatint();
    let list = list.env("AQUATINT_MODELS", folder.0.path());
    let listed = run_within(LIMIT, list.args(["models", "--json"]));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["models"], json!([]));

    folder.assert_pulled(&server, &content);
    assert_eq!(starts(&server).last(), Some(&Some(content.len() / 2)));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_has_come() {
    /// Shells' exit code after SIGINT.
    const CANCELLED: i32 = 130;
    const PAUSE: Duration = Duration::from_millis(20);
    let content = model();
    let served = content.clone();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, before| match (asked.path.as_str(), before) {
            (PATH, _) => redirect(&served, "/bytes"),
            (_, 0) => Answer::file(asked, &served).dripping(PAUSE),
            _ => Answer::file(asked, &served),
        }),
    );
    let mut pull = folder.program(&server, &[REPO, FILE]);
    let pull = pull.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = pull.spawn().unwrap();
    let part = folder.path(&format!("{TARGET}.part"));
    let has_begun = || part.metadata().is_ok_and(|part| part.len() > 0);
    let started = Instant::now();
    while !has_begun() {
        assert!(started.elapsed() < LIMIT, "nothing came");
        thread::sleep(PAUSE);
    }
    let mut interrupt = Command::new("kill");
    let interrupt = interrupt.args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(CANCELLED), "{}", stderr(&output));
    assert!(!folder.path(TARGET).exists() && has_begun());
    folder.assert_pulled(&server, &content);
    assert!(starts(&server).last().unwrap().is_some(), "it began anew");
}

/// The hub has another version of the same length by now.
#[test]
fn a_part_that_is_whole_but_old_is_begun_anew() {
    let (old, new) = (vec![b'x'; model().len()], model());
    let (folder, server) = (Folder::new(), Server::start(honest(new.clone())));
    let tag = json!({"sha256": sha256(&old), "etag": "\"v0\""});
    folder.leave_part(&old, &tag.to_string());
    folder.assert_pulled(&server, &new);
}

#[test]
fn a_part_that_is_whole_becomes_the_file() {
    let content = model();
    let (folder, server) = (Folder::new(), Server::start(honest(content.clone())));
    let tag = json!({"sha256": sha256(&content), "etag": "\"v1\""});
    folder.leave_part(&content, &tag.to_string());
    folder.assert_pulled(&server, &content);
    assert_eq!(starts(&server), [Some(content.len())]);
}

#[test]
fn a_part_of_nobody_knows_what_is_begun_anew() {
    let content = model();
    for tag in [
        "",
        "{",
        "null",
        "{\"sha256\": null, \"etag\": \"W/\\\"weak\\\"\"}",
    ] {
        let (folder, server) = (Folder::new(), Server::start(honest(content.clone())));
        folder.leave_part(b"other bytes", tag);
        folder.assert_pulled(&server, &content);
        assert_eq!(starts(&server), [None]);
    }
}

#[test]
fn a_server_that_ignores_range_is_begun_anew() {
    let content = model();
    let served = content.clone();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, before| match asked.path.as_str() {
            PATH => redirect(&served, "/bytes"),
            _ if before == 0 => Answer::new(200, served.clone()).cut_after(100_000),
            _ => Answer::new(200, served.clone()),
        }),
    );
    folder.assert_pulled(&server, &content);
    assert_eq!(starts(&server), [None, Some(100_000)]);
}

#[test]
fn a_server_that_ignores_range_and_always_cuts_is_given_up() {
    let content = model();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, _| match asked.path.as_str() {
            PATH => redirect(&content, "/bytes"),
            _ => Answer::new(200, content.clone()).cut_after(100_000),
        }),
    );
    let output = folder.pull(&server, &[REPO, FILE]);
    assert_refused(&output, 1, &["cut", "100000 bytes are kept"]);
    assert!(!folder.path(TARGET).exists());
}

/// By the standard's answer, 200 with the whole new file; and by servers that overlook If-Range.
#[test]
fn a_file_that_changes_on_the_way_is_begun_anew() {
    let (old, new) = (vec![b'x'; 500_000], model());
    for heeds_if_range in [true, false] {
        let (old, served) = (old.clone(), new.clone());
        let (folder, server) = (
            Folder::new(),
            Server::start(move |asked, before| match (asked.path.as_str(), before) {
                (PATH, 0) => redirect(&old, "/bytes"),
                (PATH, _) => redirect(&served, "/bytes"),
                (_, 0) => Answer::new(200, old.clone())
                    .header("ETag", "\"old\"")
                    .cut_after(100_000),
                (_, 1) if heeds_if_range => {
                    assert_eq!(asked.headers["if-range"], "\"old\"");
                    Answer::new(200, served.clone()).header("ETag", "\"new\"")
                }
                _ => Answer::file(asked, &served).header("ETag", "\"new\""),
            }),
        );
        folder.assert_pulled(&server, &new);
    }
}

#[test]
fn a_server_that_goes_on_elsewhere_is_not_believed() {
    let content = model();
    let served = content.clone();
    let (folder, server) = (
        Folder::new(),
        Server::start(move |asked, before| match (asked.path.as_str(), before) {
            (PATH, _) => redirect(&served, "/bytes"),
            (_, 0) => Answer::new(200, served.clone())
                .header("ETag", "\"v1\"")
                .cut_after(100_000),
            (_, 1) => Answer::new(206, &served[5..])
                .header("ETag", "\"v1\"")
                .header("Content-Range", format!("bytes 5-{0}/{0}", served.len())),
            _ => Answer::file(asked, &served).header("ETag", "\"v1\""),
        }),
    );
    folder.assert_pulled(&server, &content);
    assert_eq!(starts(&server), [None, Some(100_000), None]);
}

/// A limit of the shell stands for a full disk: both end a write in the middle of a file.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_the_download_goes_on_when_there_is_room() {
    let content = model();
    let (folder, server) = (Folder::new(), Server::start(honest(content.clone())));
    let pull = folder.program(&server, &[REPO, FILE]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 800; exec \"$@\"", "sh"])
        .arg(pull.get_program())
        .args(pull.get_args());
    for (name, value) in pull.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = run_within(LIMIT, &mut limited);
    assert_refused(&output, 1, &[TARGET, "free some space"]);
    assert!(!folder.path(TARGET).exists());
    folder.assert_pulled(&server, &content);
    assert!(starts(&server).last().unwrap().is_some(), "it began anew");
}
