//! The fuzz targets' door to what reads other people's texts and files. Only `cargo fuzz` compiles
//! it, and `fuzz/` is its only user.

use crate::image::{Image, PARAMETERS_KEYWORD, PngInfo};
use crate::pipeline::Recipe;
use crate::text::{Edits, PromptStyle, Tokenizer, split_joined};
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

/// The vocabulary of CLIP.
const VOCABULARY: usize = 49_408;
/// The length that CLIP was trained for.
const MAX_LENGTH: usize = 77;

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::bundled(VOCABULARY, None).expect("the tokenizer inside is whole"));

/// Reads a picture of any kind, and a PNG file's texts and the recipe in them.
pub fn picture(bytes: &[u8]) {
    if let Ok(image) = Image::from_bytes(bytes, "picture") {
        assert_eq!(image.pixels().len(), 4 * image.width() * image.height());
    }
    if let Ok(info) = PngInfo::read(Cursor::new(bytes), Path::new("picture.png")) {
        recipe(&info);
    }
}

/// Reads a `parameters` text as a picture carries it.
pub fn parameters(text: &str) {
    let pixel = Image::from_rgba(1, 1, vec![0; 4]).expect("it is one pixel");
    let written = pixel.with_text(PARAMETERS_KEYWORD, text).to_png();
    let bytes = written.expect("any text can be written");
    let info = PngInfo::read(Cursor::new(bytes), Path::new("picture.png"));
    let info = info.expect("it was written here");
    assert_eq!(
        info.text(PARAMETERS_KEYWORD),
        Some(text.replace('\0', "").as_str())
    );
    recipe(&info);
}

/// What is read must be printable, and either right or refused.
fn recipe(info: &PngInfo) {
    if let Ok(recipe) = Recipe::read(info) {
        drop(recipe.request.check());
        let json = serde_json::to_string(&recipe).expect("a recipe is plain data");
        assert!(!json.is_empty());
    }
}

/// Splits a text at `AND` and follows its changes through a few steps.
pub fn edits(text: &str) {
    for part in split_joined(text) {
        let edits = Edits::parse(&part.text);
        let first = edits.text_at(0, 4);
        let constant = (1..4).all(|evaluation| edits.text_at(evaluation, 4) == first);
        assert!(constant || !edits.is_constant());
    }
}

/// Reads a text as a prompt of every style; ids must be whole sequences of known tokens, weights
/// numbers.
pub fn tokenizer(text: &str) {
    for style in [PromptStyle::Plain, PromptStyle::A1111, PromptStyle::Comfy] {
        let Ok(reading) = TOKENIZER.read(style, "prompt", text, MAX_LENGTH) else {
            continue;
        };
        assert!(!reading.chunks.is_empty());
        for chunk in reading.chunks {
            assert_eq!(chunk.ids.len(), MAX_LENGTH);
            assert_eq!(chunk.weights.len(), MAX_LENGTH);
            assert!(chunk.ids.iter().all(|&id| (id as usize) < VOCABULARY));
            assert!(chunk.weights.iter().all(|weight| weight.is_finite()));
        }
    }
}
