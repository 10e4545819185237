//! Reading the `parameters` text of A1111 and its descendants: see [`Parameters`] for its form.
//!
//! Facts from A1111's `modules/infotext_utils.py` (`parse_generation_parameters`) and
//! `modules/processing.py` (`create_infotext`), version 1.10. Two liberties, for files that other
//! programs or older versions wrote: the settings need not stand on the last line, since versions
//! before 1.0 wrote remarks behind them, and a prompt keeps its spaces.
//!
//! [`Parameters`]: super::Parameters

/// What the settings begin with.
const FIRST_SETTING: &str = "Steps:";
/// What the negative prompt begins with.
const NEGATIVE_PROMPT: &str = "Negative prompt:";
/// A line with fewer pairs than this is a part of a prompt that has a colon in it, as in A1111.
const FEWEST_SETTINGS: usize = 3;

/// A `parameters` text, taken apart; nothing in it is understood yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Infotext {
    /// The prompt, which may have several lines.
    pub(crate) prompt: String,
    /// The negative prompt, likewise.
    pub(crate) negative_prompt: String,
    /// The settings in the text's order, names as they stand there. Empty where no line is one of
    /// settings: the text is a prompt alone then.
    pub(crate) settings: Vec<(String, String)>,
}

impl Infotext {
    /// Takes a text apart. Every text is one, a prompt if nothing else.
    pub(crate) fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.trim().lines().collect();
        let Some((at, settings)) = find_settings(&lines) else {
            return Self::of_prompts(&lines, Vec::new());
        };
        Self::of_prompts(&lines[..at], settings)
    }

    fn of_prompts(lines: &[&str], settings: Vec<(String, String)>) -> Self {
        let negative = lines
            .iter()
            .position(|line| line.trim_start().starts_with(NEGATIVE_PROMPT));
        let (prompt, negative) = lines.split_at(negative.unwrap_or(lines.len()));
        let negative = negative.join("\n");
        let negative = negative.trim_start();
        Self {
            prompt: prompt.join("\n"),
            negative_prompt: negative
                .strip_prefix(NEGATIVE_PROMPT)
                .unwrap_or(negative)
                .trim_start()
                .to_owned(),
            settings,
        }
    }

    /// The value of a setting; the last where it stands twice, as in A1111.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter().rev();
        let found = settings.find(|(existing, _)| existing == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The line of settings and what it says: the last that begins as one, else the text's last line.
fn find_settings(lines: &[&str]) -> Option<(usize, Vec<(String, String)>)> {
    let begins = |&at: &usize| lines[at].trim_start().starts_with(FIRST_SETTING);
    let candidates = (0..lines.len()).rev().filter(begins);
    candidates
        .chain(lines.len().checked_sub(1))
        .map(|at| (at, pairs(lines[at])))
        .find(|(_, pairs)| pairs.len() >= FEWEST_SETTINGS)
}

/// The settings of a line: `Steps: 20, Model: "a, b"` → (Steps, 20), (Model, a, b).
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(':') {
        // Words without a value, such as `Tiling`, may stand before the name.
        let name = before.rsplit(',').next().unwrap_or(before).trim();
        let (value, tail) = split_value(after.trim_start());
        if is_name(name) {
            pairs.push((name.to_owned(), value));
        }
        rest = tail;
    }
    pairs
}

/// A value and what follows its comma. A value with a comma or a colon in it is a JSON string.
fn split_value(text: &str) -> (String, &str) {
    if text.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
        if let Some(Ok(value)) = values.next() {
            let tail = text[values.byte_offset()..].trim_start();
            if tail.is_empty() || tail.starts_with(',') {
                return (value, tail);
            }
        }
    }
    let (value, tail) = text.split_once(',').unwrap_or((text, ""));
    (value.trim_end().to_owned(), tail)
}

/// Whether this may be a setting's name: words, with hyphens and slashes between them.
fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(is_word)
        && name.chars().nth(1).is_some()
        && name.chars().all(|c| is_word(c) || " -/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in A1111's `parse_generation_parameters`, with the names that 1.10 adds.
    const BERET: &str = "girl with an artist's beret, ((eyeshadow)), (coquettish), detailed\n\
        Negative prompt: ugly, fat, (((deformed))), [blurry]\n\
        Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, \
        Size: 512x768, Model hash: 45dee52b, Model: anything-v3, Clip skip: 2, Version: v1.10.1";

    fn settings(line: &str) -> Vec<(String, String)> {
        Infotext::parse(line).settings
    }

    #[test]
    fn prompts_and_settings_are_told_apart() {
        let text = Infotext::parse(BERET);
        assert_eq!(
            text.prompt,
            "girl with an artist's beret, ((eyeshadow)), (coquettish), detailed"
        );
        assert_eq!(text.negative_prompt, "ugly, fat, (((deformed))), [blurry]");
        assert_eq!(text.settings.len(), 10);
        assert_eq!(text.get("Sampler"), Some("DPM++ 2M"));
        assert_eq!(text.get("Size"), Some("512x768"));
        assert_eq!(text.get("Version"), Some("v1.10.1"));
        assert_eq!(text.get("Variation seed"), None);
    }

    #[test]
    fn prompts_keep_their_lines() {
        let text = Infotext::parse(
            "a cat,\n  on a mat\nBREAK\nNegative prompt: a dog\n(blurry:1.2)\n\
             Steps: 20, Sampler: Euler a, Seed: 1",
        );
        assert_eq!(text.prompt, "a cat,\n  on a mat\nBREAK");
        assert_eq!(text.negative_prompt, "a dog\n(blurry:1.2)");
        assert_eq!(text.get("Seed"), Some("1"));
    }

    #[test]
    fn a_prompt_may_look_like_settings() {
        let text = Infotext::parse(
            "Steps: a ladder, Sampler: a cook, Seed: a nut\nSize: huge, a: b, cd: e\n\
             Steps: 20, Sampler: Euler, Seed: 1",
        );
        assert_eq!(
            text.prompt,
            "Steps: a ladder, Sampler: a cook, Seed: a nut\nSize: huge, a: b, cd: e"
        );
        assert_eq!(text.get("Sampler"), Some("Euler"));

        let alone = Infotext::parse("photo, time: 12:30, mood: calm");
        assert_eq!(alone.prompt, "photo, time: 12:30, mood: calm");
        assert_eq!(alone.settings, []);
    }

    #[test]
    fn a_quoted_value_may_hold_anything() {
        let settings = settings(
            r#"Steps: 20, Lora hashes: "add_detail: 7c6bad76eb54, x: 1", Model: "a \"b\"\nü", Tiling, RNG: NV"#,
        );
        let expected = [
            ("Steps", "20"),
            ("Lora hashes", "add_detail: 7c6bad76eb54, x: 1"),
            ("Model", "a \"b\"\nü"),
            ("RNG", "NV"),
        ];
        assert_eq!(
            settings,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_quote_that_does_not_end_is_a_value_like_others() {
        let found = settings(r#"Steps: 20, Model: "a, Seed: 1, VAE: "b"c, CFG scale: 7"#);
        assert_eq!(found[1], ("Model".to_owned(), "\"a".to_owned()));
        assert_eq!(found[3], ("VAE".to_owned(), "\"b\"c".to_owned()));
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn remarks_behind_the_settings_are_no_part_of_them() {
        // Versions before 1.0 wrote them so.
        let text = Infotext::parse(
            "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7\n\nWarning: too many input tokens",
        );
        assert_eq!(text.prompt, "a cat");
        assert_eq!(text.settings.len(), 3);
    }

    #[test]
    fn any_text_is_taken_apart() {
        for text in [
            "",
            "\n\n",
            ":::::",
            "Steps:",
            "Negative prompt:",
            "\"",
            "\u{202e}:\0, ",
        ] {
            let text = Infotext::parse(text);
            assert!(text.settings.is_empty(), "{text:?}");
        }
        assert_eq!(
            Infotext::parse("Negative prompt: Steps: 1").negative_prompt,
            "Steps: 1"
        );
    }

    #[test]
    fn a_long_text_is_read_in_one_pass() {
        for part in [
            "Steps: \"a, ",
            "ab:\"\\\",",
            "Steps: 1, b: 2\n",
            "Negative prompt:\n",
            ":",
        ] {
            let text = part.repeat((2 << 20) / part.len());
            let start = std::time::Instant::now();
            Infotext::parse(&text);
            assert!(
                start.elapsed() < std::time::Duration::from_secs(2),
                "{part:?}"
            );
        }
    }
}
