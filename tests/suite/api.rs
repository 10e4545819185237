//! The public API: what apps can name is written down in `tests/api.txt`, so that a change of it is
//! seen where it is reviewed, and is meant.

mod listing;
mod seen;

use self::listing::listing;
use std::env;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Says that the listing is to be written in place of being compared: `cargo xtask api`.
const RENEW: &str = "AQUATINT_RENEW";

#[test]
fn the_public_api_is_the_one_that_is_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = listing(&root.join("src/lib.rs"), "aquatint");
    let path = root.join("tests/api.txt");
    if env::var_os(RENEW).is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let written = written.replace("\r\n", "\n");
    let mut lines = found.lines().zip(written.lines());
    let difference = lines.find(|(found, written)| found != written);
    assert!(
        found == written,
        "the public API is not what tests/api.txt says, first at {difference:?}; if that is meant, \
         run `cargo xtask api`, and give CHANGELOG.md a line"
    );
}

#[test]
fn handles_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<aquatint::Device>();
    shared::<aquatint::Error>();
    shared::<aquatint::Image>();
    shared::<aquatint::Model>();
    shared::<aquatint::Pipeline>();
    shared::<aquatint::Request>();
    shared::<aquatint::Upscaler>();
    fn sent<T: Send>() {}
    sent::<aquatint::Run>();
}

/// The listing of a crate of one module, `thing`, whose name `Thing` is public.
fn listing_of(thing: &str) -> String {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("lib.rs");
    fs::write(&root, "mod thing;\npub use thing::Thing;\n").unwrap();
    fs::write(folder.path().join("thing.rs"), thing).unwrap();
    listing(&root, "example")
}

#[test]
fn what_an_app_would_notice_changes_the_listing() {
    let thing = "/// A thing.\n#[derive(Clone)]\npub struct Thing { pub a: u32, b: u8 }\n\
                 impl Thing { pub fn get(&self) -> u32 { self.a } fn inner(&self) {} }\n\
                 impl From<u32> for Thing { fn from(a: u32) -> Self { todo!() } }\n\
                 pub struct Hidden;\n";
    let before = listing_of(thing);
    for (part, changed) in [
        ("#[derive(Clone)]", "#[derive(Clone, Copy)]"),
        ("pub a: u32", "pub a: u64"),
        (", b: u8", ""),
        ("get(&self)", "get(&mut self)"),
        ("-> u32", "-> Option<u32>"),
        ("fn inner", "pub fn inner"),
        ("impl From<u32> for Thing", "impl From<u16> for Thing"),
    ] {
        let after = listing_of(&thing.replace(part, changed));
        assert_ne!(after, before, "{changed} is not seen");
    }
    for (part, changed) in [
        ("/// A thing.", "/// Another."),
        ("b: u8", "c: u16"),
        ("{ self.a }", "{ 7 }"),
        ("fn inner(&self)", "fn other()"),
        (" fn inner", "} impl Thing { fn inner"),
        ("struct Hidden", "struct Gone"),
    ] {
        let after = listing_of(&thing.replace(part, changed));
        assert_eq!(after, before, "{changed} is nobody's business");
    }
}
