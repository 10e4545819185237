use super::*;
use serde_json::{Value, json};
use std::fs;

/// Positions of every CLIP text encoder.
const LENGTH: usize = 77;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/tokens.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Compares with transformers' ids, recorded by `tests/golden/tokens.py`.
fn assert_golden(tokenizer: &Tokenizer, case: &Value) {
    let golden = golden();
    let prompts = golden["prompts"].as_array().unwrap();
    let rows = case["ids"].as_array().unwrap();
    assert_eq!(prompts.len(), rows.len());
    for (prompt, row) in prompts.iter().zip(rows) {
        let want: Vec<u32> = serde_json::from_value(row.clone()).unwrap();
        let got = tokenizer.encode(prompt.as_str().unwrap(), LENGTH).unwrap();
        assert_eq!(got.ids, want, "{prompt}");
    }
}

fn case(vocab_size: usize, pad_token: &str) -> Value {
    let golden = golden();
    let mut cases = golden["cases"].as_array().unwrap().iter();
    let found =
        cases.find(|case| case["vocab_size"] == vocab_size && case["pad_token"] == pad_token);
    found.unwrap().clone()
}

fn clip() -> Tokenizer {
    Tokenizer::bundled(49408, None).unwrap()
}

/// A model folder with these tokenizer files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokenizer")).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join("tokenizer").join(name), content).unwrap();
    }
    folder
}

/// The files that a tokenizer would have in a folder.
fn files_of(tokenizer: &Tokenizer) -> (String, String, String) {
    let json = tokenizer.inner.to_string(true).unwrap();
    let value: Value = serde_json::from_str(&json).unwrap();
    let merges = value["model"]["merges"].as_array().unwrap().iter();
    let lines = merges.map(|pair| {
        format!(
            "{} {}",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    });
    let merges = format!("#version: 0.2\n{}\n", lines.collect::<Vec<_>>().join("\n"));
    (json, value["model"]["vocab"].to_string(), merges)
}

#[test]
fn clips_vocabulary_gives_the_ids_of_transformers() {
    assert_eq!(clip().vocab_size(), 49408);
    assert_golden(&clip(), &case(49408, "<|endoftext|>"));
}

#[test]
fn the_demo_models_vocabulary_gives_the_ids_of_transformers() {
    let tokenizer = Tokenizer::bundled(3072, None).unwrap();
    assert_eq!(tokenizer.vocab_size(), 3072);
    assert_golden(&tokenizer, &case(3072, "<|endoftext|>"));
}

#[test]
fn a_folders_tokenizer_json_gives_the_ids_of_transformers() {
    let (json, ..) = files_of(&Tokenizer::bundled(3072, None).unwrap());
    let folder = folder(&[
        ("tokenizer.json", &json),
        ("vocab.json", "not read"),
        ("merges.txt", "not read"),
    ]);
    let tokenizer = Tokenizer::from_folder(folder.path(), "tokenizer")
        .unwrap()
        .unwrap();
    assert_eq!(tokenizer.vocab_size(), 3072);
    assert_golden(&tokenizer, &case(3072, "<|endoftext|>"));
}

#[test]
fn a_folders_vocabulary_and_merges_give_the_ids_of_transformers() {
    let (_, vocab, merges) = files_of(&clip());
    let config = r#"{"bos_token":{"content":"<|startoftext|>"},"pad_token":"!"}"#;
    let mut files = vec![
        ("vocab.json", vocab.as_str()),
        ("merges.txt", merges.as_str()),
    ];
    let plain = folder(&files);
    let tokenizer = Tokenizer::from_folder(plain.path(), "tokenizer")
        .unwrap()
        .unwrap();
    assert_golden(&tokenizer, &case(49408, "<|endoftext|>"));

    files.push(("tokenizer_config.json", config));
    let padded = folder(&files);
    let tokenizer = Tokenizer::from_folder(padded.path(), "tokenizer")
        .unwrap()
        .unwrap();
    assert_golden(&tokenizer, &case(49408, "!"));
}

#[test]
fn a_folder_without_a_tokenizer_has_none() {
    assert!(
        Tokenizer::from_folder(folder(&[]).path(), "tokenizer")
            .unwrap()
            .is_none()
    );
    assert!(
        Tokenizer::from_folder(tempfile::tempdir().unwrap().path(), "tokenizer")
            .unwrap()
            .is_none()
    );
    assert!(
        Tokenizer::from_folder(folder(&[("merges.txt", "")]).path(), "tokenizer")
            .unwrap()
            .is_none()
    );
}

#[test]
fn malformed_tokenizer_files_are_refused() {
    let (json, vocab, _) = files_of(&Tokenizer::bundled(600, None).unwrap());
    let sound: Value = serde_json::from_str(&json).unwrap();
    let with = |path: &str, value: Value| {
        let mut changed = sound.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed.to_string()
    };
    let bad_json = [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        with("/model/type", json!("Unigram")),
        with("/model/vocab", json!({"a": "b"})),
        with("/model/vocab", json!({"a": -1})),
        with("/model/vocab", json!({"a": 4_294_967_296u64})),
        with("/model/vocab", json!({})),
        with("/model/merges", json!(["a"])),
        with("/model/merges", json!([["a", "b", "c"]])),
        with("/model/merges", json!([["not", "there"]])),
        with("/added_tokens/0/id", json!(7)),
        with("/added_tokens/0/content", json!("")),
    ];
    for content in &bad_json {
        let error =
            Tokenizer::from_folder(folder(&[("tokenizer.json", content)]).path(), "tokenizer")
                .unwrap_err();
        assert!(matches!(error, Error::BadFile { .. }), "{error}");
        assert!(error.to_string().contains("tokenizer"), "{error}");
    }
    for (vocab, merges) in [
        ("", ""),
        (&vocab, "one"),
        (&vocab, "a b c"),
        (&vocab, "not there"),
        ("{}", ""),
    ] {
        let error = Tokenizer::from_folder(
            folder(&[("vocab.json", vocab), ("merges.txt", merges)]).path(),
            "tokenizer",
        )
        .unwrap_err();
        assert!(matches!(error, Error::BadFile { .. }), "{error}");
    }
}

#[test]
fn a_vocabulary_that_is_not_clips_is_not_bundled() {
    for size in [0, 513, 49409, usize::MAX] {
        assert!(
            matches!(Tokenizer::bundled(size, None), Err(Error::Unsupported(_))),
            "{size}"
        );
    }
    assert!(Tokenizer::bundled(514, None).is_ok());
}

#[test]
fn an_empty_prompt_is_start_and_end() {
    let tokens = clip().encode("", LENGTH).unwrap();
    assert_eq!((tokens.count, tokens.cut), (0, None));
    assert_eq!(tokens.ids[..3], [49406, 49407, 49407]);
    assert_eq!(tokens.ids.len(), LENGTH);
}

#[test]
fn seventy_five_tokens_fit_and_the_rest_is_told() {
    let words = |count| vec!["word"; count].join(" ");
    let fits = clip().encode(&words(75), LENGTH).unwrap();
    assert_eq!((fits.count, fits.cut), (75, None));
    let long = clip()
        .encode(&format!("{} and the Rest", words(75)), LENGTH)
        .unwrap();
    assert_eq!(long.ids, fits.ids);
    assert_eq!(long.cut.as_deref(), Some("and the Rest"));
}

#[test]
fn the_cut_is_found_behind_letters_of_many_bytes_and_forms() {
    let prompt = format!("{} größer", vec!["e\u{301}"; 75].join("  "));
    let tokens = clip().encode(&prompt, LENGTH).unwrap();
    assert_eq!((tokens.count, tokens.cut.as_deref()), (75, Some("größer")));
}

#[test]
fn text_is_cut_between_characters() {
    for prompt in [
        "🦊".repeat(200),
        "é".repeat(200),
        "e\u{301}\u{327}".repeat(200),
        "نص".repeat(200),
        "İ".repeat(200),
    ] {
        let tokens = clip().encode(&prompt, LENGTH).unwrap();
        let cut = tokens.cut.unwrap();
        assert!(!cut.is_empty() && prompt.ends_with(&cut));
    }
}

#[test]
fn a_prompt_beyond_the_limit_is_refused_unread() {
    let error = clip().encode(&"a".repeat(10 << 20), LENGTH).unwrap_err();
    assert!(matches!(
        error,
        Error::Request {
            field: "prompt",
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .contains("10485760 bytes long, at most 65536"),
        "{error}"
    );
    assert!(clip().encode(&"a".repeat(MAX_PROMPT_BYTES), LENGTH).is_ok());
}

#[test]
fn the_length_follows_the_position_table() {
    let short = clip().encode("a red apple", 4).unwrap();
    assert_eq!(short.ids.len(), 4);
    assert_eq!((short.count, short.cut.as_deref()), (2, Some("apple")));
}
