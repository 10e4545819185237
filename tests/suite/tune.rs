//! What is found out about kernels: measured, kept, shown, left out of account, forgotten.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{QUICK, aquatint, device, files, stderr, stdout};

/// The program with a cache folder of its own.
fn run(cache: &TempDir, arguments: &[&str]) -> Output {
    let mut command = aquatint();
    command.env("XDG_CACHE_HOME", cache.path()).args(arguments);
    command.output().unwrap()
}

#[test]
fn what_tune_finds_is_kept_and_shown_until_it_is_forgotten() {
    if !device().is_empty() {
        eprintln!("skipped: no adapter");
        return;
    }
    let cache = TempDir::new().unwrap();
    let output = run(&cache, &["tune", "--seconds", "1", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let tuning: Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in ["adapter", "driver", "kernels", "shapes", "unmeasured"] {
        assert!(!tuning[field].is_null(), "no {field} in {tuning}");
    }
    assert!(!tuning["shapes"].as_array().unwrap().is_empty(), "{tuning}");
    let shown = |field: &str| {
        let devices: Value =
            serde_json::from_slice(&run(&cache, &["devices", "--json"]).stdout).unwrap();
        devices[0]["kernels"][field].clone()
    };
    assert_eq!(shown("tuning"), tuning);
    assert!(shown("passed").as_array().unwrap().len() >= 3);
    assert_eq!(shown("failed").as_array().unwrap().len(), 0);
    assert!(stdout(&run(&cache, &["devices"])).contains("tuned for"));

    let folder = cache.path().join("aquatint");
    let names = files(&folder);
    let name = names.iter().find(|name| name.ends_with(".tuning.json"));
    let file = folder.join(name.unwrap());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let said = stdout(&run(&cache, &["devices"]));
    assert!(said.contains("is ignored"), "{said}");
    let picture = cache.path().join("a.png");
    let draw: Vec<&str> = ["a fox", "-o", picture.to_str().unwrap()]
        .into_iter()
        .chain(QUICK)
        .collect();
    let said = stderr(&run(&cache, &draw));
    assert!(said.contains("is ignored"), "{said}");
    let said = stderr(&run(&cache, &[&draw[..], &["--no-tuning"]].concat()));
    assert!(!said.contains("is ignored"), "{said}");

    assert!(stdout(&run(&cache, &["tune", "--clear"])).contains("forgot"));
    assert!(!file.exists());
    assert!(stdout(&run(&cache, &["tune", "--clear"])).contains("nothing to forget"));
    assert_eq!(shown("tuning"), Value::Null);
}
