//! AUTOMATIC1111's prompts that are followed side by side, joined by `AND`
//! (`modules/prompt_parser.py`, `get_multicond_prompt_list`, 1.10).

use super::whole_words;

/// The word between two prompts.
const AND: &str = "AND";

/// One of the prompts that are followed side by side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joined {
    /// The prompt itself.
    pub text: String,
    /// How strongly it is followed, times the guidance scale.
    pub weight: f64,
}

impl Joined {
    /// A prompt that stands alone.
    pub(crate) fn alone(prompt: &str) -> Self {
        Self {
            text: prompt.to_owned(),
            weight: 1.0,
        }
    }
}

/// The prompts that `AND` joins, at least one. A number after a colon at the end of one is its
/// weight, and of one that stands alone as well.
pub(crate) fn split(prompt: &str) -> Vec<Joined> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in whole_words(prompt, AND) {
        parts.push(weighed(&prompt[start..at]));
        start = at + AND.len();
    }
    parts.push(weighed(&prompt[start..]));
    parts
}

/// A prompt without the space at its end, and its weight.
fn weighed(part: &str) -> Joined {
    let text = part.trim_end();
    let number = text.rsplit_once(':').and_then(|(before, number)| {
        let number = number.trim_start();
        let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
        let is_plain = digits.chars().all(|c| c == '.' || c.is_ascii_digit());
        let weight = is_plain.then(|| number.parse().ok()).flatten()?;
        Some((before.trim_end(), weight))
    });
    let (text, weight) = number.unwrap_or((text, 1.0));
    Joined {
        text: text.to_owned(),
        weight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from Python's `re` with `re_AND` and `re_weight` of that file.
    #[test]
    fn prompts_are_split_and_weighed_as_a1111_does() {
        let cases: [(&str, &[(&str, f64)]); 15] = [
            ("a cat", &[("a cat", 1.0)]),
            ("a cat AND a dog :1.2", &[("a cat", 1.0), (" a dog", 1.2)]),
            ("a cat :0.7 AND a dog", &[("a cat", 0.7), (" a dog", 1.0)]),
            ("SAND", &[("SAND", 1.0)]),
            ("AND", &[("", 1.0), ("", 1.0)]),
            (
                "a AND b AND c:-.5",
                &[("a", 1.0), (" b", 1.0), (" c", -0.5)],
            ),
            ("ratio 16:9", &[("ratio 16", 9.0)]),
            ("a : 2. ", &[("a", 2.0)]),
            ("a:1e3", &[("a:1e3", 1.0)]),
            ("a:+.5", &[("a", 0.5)]),
            ("a:.", &[("a:.", 1.0)]),
            ("a\n:3 AND\nb ", &[("a", 3.0), ("\nb", 1.0)]),
            ("x:1:2", &[("x:1", 2.0)]),
            ("aANDb AND_c AND", &[("aANDb AND_c", 1.0), ("", 1.0)]),
            ("(a AND b:1.2)", &[("(a", 1.0), (" b:1.2)", 1.0)]),
        ];
        for (prompt, want) in cases {
            let got = split(prompt);
            let got: Vec<(&str, f64)> = got.iter().map(|part| (&*part.text, part.weight)).collect();
            assert_eq!(got, want, "{prompt}");
        }
    }
}
