//! What is made from the registries and the command line: manual pages, completions, tables.

use std::fs;
use std::path::Path;

use aquatint::sampling::{SAMPLERS, SCHEDULES};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{assert_refused, files, run, stderr, stdout};

/// Every verb, as `--help` lists them.
fn verbs() -> Vec<String> {
    let help = stdout(&run(&["--help"]));
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = lines.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn completions_know_every_verb_and_sampler_flag() {
    let verbs = verbs();
    assert!(verbs.len() > 5, "{verbs:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&run(&["completions", shell]));
        for word in verbs
            .iter()
            .map(String::as_str)
            .chain(["sampler", "require-equal"])
        {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    assert_refused(&run(&["completions", "csh"]), 2, &["csh", "bash"]);
}

#[test]
fn every_verb_has_a_manual_page() {
    let page = stdout(&run(&["man"]));
    assert!(page.contains(".TH aquatint 1"), "{page}");
    let folder = TempDir::new().unwrap();
    let output = run(&["man", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let pages = files(folder.path());
    for verb in verbs().iter().filter(|verb| *verb != "help") {
        let name = format!("aquatint-{verb}.1");
        assert!(pages.contains(&name), "no {name} in {pages:?}");
    }
    let generate = fs::read_to_string(folder.path().join("aquatint-generate.1")).unwrap();
    for sampler in SAMPLERS {
        assert!(generate.contains(sampler.summary), "{}", sampler.name);
    }
    assert_refused(&run(&["man", "/no/such/folder"]), 1, &["/no/such/folder"]);
}

#[test]
fn samplers_are_listed_with_all_their_names() {
    let plain = stdout(&run(&["samplers"]));
    let json: Value = serde_json::from_slice(&run(&["samplers", "--json"]).stdout).unwrap();
    assert_eq!(json["samplers"].as_array().unwrap().len(), SAMPLERS.len());
    assert_eq!(json["schedules"].as_array().unwrap().len(), SCHEDULES.len());
    let samplers = SAMPLERS.iter().map(|entry| (entry.name, entry.aliases));
    let schedules = SCHEDULES.iter().map(|entry| (entry.name, entry.aliases));
    for (name, aliases) in samplers.chain(schedules) {
        for name in [name].iter().chain(aliases) {
            assert!(plain.contains(name), "no {name} in:\n{plain}");
        }
    }
}

#[test]
fn the_readmes_tables_are_those_of_the_registries() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap().replace("\r\n", "\n");
    for verb in ["families", "samplers"] {
        let start = format!("<!-- {verb}: written by `cargo xtask readme` -->\n");
        let (_, rest) = readme.split_once(&start).expect("the tables begin");
        let end = format!("<!-- end of {verb} -->");
        let (tables, _) = rest.split_once(&end).expect("the tables end");
        let expected = stdout(&run(&[verb, "--markdown"]));
        assert_eq!(tables.trim(), expected.trim(), "run `cargo xtask readme`");
    }
    let families: Value = serde_json::from_slice(&run(&["families", "--json"]).stdout).unwrap();
    let plain = stdout(&run(&["families"]));
    for family in families.as_array().unwrap() {
        assert!(
            plain.contains(family["known_by"].as_str().unwrap()),
            "{plain}"
        );
    }
}
