//! CLIP's byte-pair encoding: vocabularies, and the rules that split text for them.
//!
//! `clip_merges.txt.gz` is the part of OpenAI CLIP's `bpe_simple_vocab_16e6.txt.gz` that its text
//! encoders use: lines 2 to 48895, as in open_clip_torch 3.3.0. Copyright (c) 2021 OpenAI and (c)
//! 2012-2021 Gabriel Ilharco, Mitchell Wortsman and others; MIT licence.

use crate::error::{Error, Result};
use crate::weights::{read_json, read_text};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence, replace::ReplacePattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// The merges of CLIP in order of rank, one a line.
const MERGES_GZ: &[u8] = include_bytes!("clip_merges.txt.gz");
/// Tokens that are no merge: 256 bytes, the same at the end of a word, start and end.
const BASE_TOKENS: usize = 514;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const WORD_END: &str = "</w>";

/// How CLIP cuts text into words, as in transformers' `CLIPTokenizer`.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The longest vocabulary file read; CLIP's are of 1 to 4 MB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What distinguishes one CLIP tokenizer from another.
pub(super) struct Vocabulary {
    tokens: Vocab,
    merges: Merges,
    /// Tokens that are found in the text before it is normalised and cut into words.
    special: Vec<Special>,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) pad: String,
}

/// A token that is matched as it stands in the text.
struct Special {
    content: String,
    /// Its id, where the file says one.
    id: Option<u32>,
    /// Whether it is looked for after normalisation instead.
    normalized: bool,
}

impl Vocabulary {
    /// The vocabulary of this size that begins CLIP's list of merges.
    pub(super) fn bundled(vocab_size: usize) -> Result<Self> {
        let mut text = String::new();
        GzDecoder::new(MERGES_GZ)
            .read_to_string(&mut text)
            .map_err(|error| {
                Error::Unsupported(format!("the bundled vocabulary is damaged: {error}"))
            })?;
        let most = BASE_TOKENS + text.lines().count();
        let count = vocab_size
            .checked_sub(BASE_TOKENS)
            .filter(|_| vocab_size <= most);
        let count = count.ok_or_else(|| {
            Error::Unsupported(format!(
                "a text encoder with a vocabulary of {vocab_size} tokens (CLIP's has {most}); \
                 use the model as a diffusers folder, which has its tokenizer"
            ))
        })?;
        let merges: Vec<_> = text.lines().take(count).filter_map(merge).collect();

        let bytes = byte_chars();
        let mut tokens: Vec<String> = bytes.iter().map(char::to_string).collect();
        tokens.extend(bytes.iter().map(|c| format!("{c}{WORD_END}")));
        tokens.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
        tokens.extend([START.to_owned(), END.to_owned()]);
        Ok(Self {
            tokens: tokens.into_iter().zip(0..).collect(),
            merges,
            special: Vec::new(),
            start: START.to_owned(),
            end: END.to_owned(),
            pad: END.to_owned(),
        }
        .with_named_special())
    }

    /// The vocabulary of a `tokenizer` folder, `None` if there is none.
    pub(super) fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let json = folder.join("tokenizer.json");
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let parsed = if let Some(value) = read_json(&json)? {
            parse_tokenizer_json(&value).map_err(|reason| malformed(&json, &reason))?
        } else if let (Some(vocabulary), Some(text)) =
            (read_json(&vocab)?, read_text(&merges, MAX_FILE_BYTES)?)
        {
            let tokens = parse_tokens(&vocabulary).map_err(|reason| malformed(&vocab, &reason))?;
            let pairs = parse_merges(&text).map_err(|reason| malformed(&merges, &reason))?;
            if pairs.is_empty() && tokens.len() > BASE_TOKENS {
                return Err(malformed(&merges, "it is empty"));
            }
            (tokens, pairs, Vec::new())
        } else {
            return Ok(None);
        };
        let (tokens, merges, special) = parsed;

        // Later files overrule earlier ones, as in transformers.
        let mut named = BTreeMap::new();
        for file in ["special_tokens_map.json", "tokenizer_config.json"] {
            let content = read_json(&folder.join(file))?.unwrap_or_default();
            for key in ["bos_token", "eos_token", "pad_token"] {
                named.extend(special_content(&content[key]).map(|token| (key, token.to_owned())));
            }
        }
        let end = named.remove("eos_token").unwrap_or_else(|| END.to_owned());
        Ok(Some(
            Self {
                tokens,
                merges,
                special,
                start: named
                    .remove("bos_token")
                    .unwrap_or_else(|| START.to_owned()),
                pad: named.remove("pad_token").unwrap_or_else(|| end.clone()),
                end,
            }
            .with_named_special(),
        ))
    }

    /// Start, end and padding are special tokens, whether or not the file lists them.
    fn with_named_special(mut self) -> Self {
        for content in [&self.start, &self.end, &self.pad] {
            if self
                .special
                .iter()
                .all(|special| special.content != *content)
            {
                self.special.push(Special {
                    content: content.clone(),
                    id: None,
                    normalized: false,
                });
            }
        }
        self
    }
}

/// The whole way from text to ids: transformers' `CLIPTokenizer` (5.23) around a vocabulary.
pub(super) fn pipeline(vocabulary: Vocabulary) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.tokens, vocabulary.merges)
        .unk_token(vocabulary.end.clone())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(WORD_END.to_owned())
        .build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Sequence::new(vec![
        NFC.into(),
        Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?.into(),
        Lowercase.into(),
    ])))?;
    let words = Split::new(
        SplitPattern::Regex(WORDS.to_owned()),
        SplitDelimiterBehavior::Removed,
        true,
    )?;
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        words.into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    for special in vocabulary.special {
        if tokenizer.token_to_id(&special.content).is_none() && special.id.is_none() {
            return Err(format!("the token {:?} is not in the vocabulary", special.content).into());
        }
        let token = AddedToken::from(special.content.clone(), true).normalized(special.normalized);
        tokenizer.add_special_tokens([token])?;
        let given = tokenizer.token_to_id(&special.content);
        if special.id.is_some() && special.id != given {
            return Err(format!(
                "the token {:?} has another id than the file says",
                special.content
            )
            .into());
        }
    }
    Ok(tokenizer)
}

/// What a vocabulary file says.
type Parsed = (Vocab, Merges, Vec<Special>);

/// The vocabulary, merges and special tokens of a `tokenizer.json`.
fn parse_tokenizer_json(value: &Value) -> std::result::Result<Parsed, String> {
    let model = &value["model"];
    if let Some(kind) = model["type"].as_str().filter(|kind| *kind != "BPE") {
        return Err(format!("a model of type {kind:?}, expected \"BPE\""));
    }
    let tokens = parse_tokens(&model["vocab"])?;
    let merges = model["merges"].as_array().ok_or("no list \"merges\"")?;
    let merges = merges.iter().map(json_merge).collect::<Option<_>>();
    let added = value["added_tokens"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let special = added.iter().map(json_special).collect::<Option<_>>();
    Ok((
        tokens,
        merges.ok_or("a merge that is not of two tokens")?,
        special.ok_or("an added token without content and id")?,
    ))
}

/// A merge of `tokenizer.json`: `"a b"`, or since tokenizers 0.20 `["a", "b"]`.
fn json_merge(value: &Value) -> Option<(String, String)> {
    match value {
        Value::String(line) => merge(line),
        Value::Array(pair) => match &pair[..] {
            [Value::String(left), Value::String(right)] => Some((left.clone(), right.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn json_special(value: &Value) -> Option<Special> {
    Some(Special {
        content: value["content"]
            .as_str()
            .filter(|content| !content.is_empty())?
            .to_owned(),
        id: Some(json_id(&value["id"])?),
        normalized: value["normalized"].as_bool().unwrap_or(false),
    })
}

/// A special token of a configuration: its text, or an object with it.
fn special_content(value: &Value) -> Option<&str> {
    let content = value.as_str().or_else(|| value["content"].as_str());
    content.filter(|content| !content.is_empty())
}

fn json_id(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn parse_tokens(value: &Value) -> std::result::Result<Vocab, String> {
    let tokens = value.as_object().ok_or("no object of tokens and ids")?;
    let mut taken = HashSet::new();
    let ids = tokens.iter().map(|(token, id)| {
        let id = json_id(id).ok_or_else(|| format!("the token {token:?} has no id"))?;
        if !taken.insert(id) {
            return Err(format!("the token {token:?} has the id of another, {id}"));
        }
        Ok((token.clone(), id))
    });
    ids.collect()
}

/// The merges of a `merges.txt`, whose first line may be `#version: 0.2`.
fn parse_merges(text: &str) -> std::result::Result<Merges, String> {
    let lines = text.lines().enumerate();
    let merges = lines
        .filter(|(n, line)| !line.is_empty() && (*n > 0 || !line.starts_with("#version")))
        .map(|(n, line)| merge(line).ok_or_else(|| format!("line {} is not of two tokens", n + 1)));
    merges.collect()
}

/// The two tokens of a line.
fn merge(line: &str) -> Option<(String, String)> {
    let (left, right) = line.split_once(' ')?;
    let is_pair = !left.is_empty() && !right.is_empty() && !right.contains(' ');
    is_pair.then(|| (left.to_owned(), right.to_owned()))
}

/// The characters that stand for the 256 bytes, in the order of CLIP's vocabulary: printable
/// Latin-1 for itself, then the others from U+0100 on.
fn byte_chars() -> Vec<char> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printable = (0..=u8::MAX).filter(is_printable).map(char::from);
    let others = (0..=u8::MAX).filter(|byte| !is_printable(byte));
    let others = others.zip('\u{100}'..).map(|(_, stand_in)| stand_in);
    printable.chain(others).collect()
}

fn malformed(path: &Path, reason: &str) -> Error {
    Error::bad_file(path, format!("is malformed ({reason}); download it again"))
}
