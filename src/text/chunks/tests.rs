use super::*;

const LENGTH: usize = 77;
/// CLIP's start and end tokens, and the ids of words that are one token each
/// (transformers' `CLIPTokenizer` of openai/clip-vit-large-patch14).
const START: u32 = 49406;
const END: u32 = 49407;
const COMMA: u32 = 267;
const CAT: u32 = 2368;
const DOG: u32 = 1929;

fn clip(pad_id: Option<u32>) -> Tokenizer {
    Tokenizer::bundled(49408, pad_id).unwrap()
}

fn read(style: PromptStyle, prompt: &str) -> Vec<Chunk> {
    clip(None)
        .read(style, "prompt", prompt, LENGTH)
        .unwrap()
        .chunks
}

/// The tokens between start and the first end.
fn words(chunk: &Chunk) -> &[u32] {
    assert_eq!((chunk.ids.len(), chunk.weights.len()), (LENGTH, LENGTH));
    assert_eq!(chunk.ids[0], START);
    let end = chunk.ids.iter().position(|&id| id == END).unwrap();
    &chunk.ids[1..end]
}

fn lengths(chunks: &[Chunk]) -> Vec<usize> {
    chunks.iter().map(|chunk| words(chunk).len()).collect()
}

#[test]
fn an_empty_prompt_is_one_chunk_of_padding() {
    for style in [PromptStyle::Plain, PromptStyle::A1111, PromptStyle::Comfy] {
        assert_eq!(read(style, ""), [clip(None).empty_chunk(LENGTH)]);
    }
    let padded = clip(Some(0)).empty_chunk(LENGTH);
    assert_eq!(padded.ids[..3], [START, END, 0]);
    assert_eq!(padded.ids[LENGTH - 1], 0);
}

#[test]
fn prompts_without_syntax_are_read_the_same_in_every_style() {
    let prompt = "a photo of a cat, in the rain";
    let plain = read(PromptStyle::Plain, prompt);
    assert_eq!(read(PromptStyle::A1111, prompt), plain);
    assert_eq!(read(PromptStyle::Comfy, prompt), plain);
}

#[test]
fn each_token_has_the_weight_of_its_piece() {
    let chunks = read(PromptStyle::A1111, "cat (dog:1.5)");
    assert_eq!(words(&chunks[0]), [CAT, DOG]);
    assert_eq!(chunks[0].weights[..4], [1.0, 1.0, 1.5, 1.0]);
}

#[test]
fn long_prompts_go_on_in_further_chunks() {
    let prompt = "cat ".repeat(151);
    for style in [PromptStyle::A1111, PromptStyle::Comfy] {
        assert_eq!(lengths(&read(style, &prompt)), [75, 75, 1]);
    }
    let plain = clip(None)
        .read(PromptStyle::Plain, "prompt", &prompt, LENGTH)
        .unwrap();
    assert_eq!(lengths(&plain.chunks), [75]);
    assert_eq!(plain.cut.unwrap().0, 75);
}

/// A1111's rule: the comma is at most 20 tokens back.
#[test]
fn a1111s_chunks_end_at_a_near_comma() {
    let near = format!("{},{}", "cat ".repeat(60), " dog".repeat(30));
    let chunks = read(PromptStyle::A1111, &near);
    assert_eq!(lengths(&chunks), [61, 30]);
    assert_eq!(words(&chunks[0])[60], COMMA);
    let far = format!("{},{}", "cat ".repeat(50), " dog".repeat(40));
    assert_eq!(lengths(&read(PromptStyle::A1111, &far)), [75, 16]);
}

#[test]
fn a1111s_breaks_begin_another_chunk() {
    let chunks = read(PromptStyle::A1111, "cat BREAK dog");
    assert_eq!(words(&chunks[0]), [CAT]);
    assert_eq!(words(&chunks[1]), [DOG]);
}

/// ComfyUI's rule: pieces of fewer than 8 tokens stay together, longer ones fill the chunk.
#[test]
fn comfys_short_pieces_are_not_split() {
    let filling = "cat ".repeat(72);
    let short = format!("{filling}({}:1.2)", "dog ".repeat(7));
    assert_eq!(lengths(&read(PromptStyle::Comfy, &short)), [72, 7]);
    let long = format!("{filling}({}:1.2)", "dog ".repeat(8));
    assert_eq!(lengths(&read(PromptStyle::Comfy, &long)), [75, 5]);
}

#[test]
fn text_encoders_of_hardly_any_length_end_too() {
    let tokenizer = clip(None);
    for length in [2, 3, 5, 9] {
        for style in [PromptStyle::A1111, PromptStyle::Comfy] {
            let read = tokenizer.read(style, "prompt", "cat, dog, cat, dog", length);
            let chunks = read.unwrap().chunks;
            assert!(chunks.iter().all(|chunk| chunk.ids.len() == length));
        }
    }
}

#[test]
fn strange_text_is_read_in_every_style() {
    for prompt in ["🦀 ❤️‍🔥", "שלום (עולם:1.2)", "a\0b\u{1}", "(((", "\u{202e}x"]
    {
        for style in [PromptStyle::A1111, PromptStyle::Comfy] {
            assert_eq!(read(style, prompt).len(), 1, "{prompt:?}");
        }
    }
}
