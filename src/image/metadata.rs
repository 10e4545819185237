//! The `parameters` text that AUTOMATIC1111's web UI writes into its pictures, and that picture
//! viewers, model sites and other runtimes read back.
//!
//! The form follows `create_infotext` in that program's `modules/processing.py` (version 1.10):
//! the prompt, the negative prompt on a line of its own, then one line of `Name: value` pairs.

use std::fmt;

/// What went into one picture, to be written as A1111's `parameters` text.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// The negative prompt; empty for none.
    pub negative_prompt: &'a str,
    /// The number of steps.
    pub steps: usize,
    /// The sampler's name here, such as `dpmpp_2m`; written as `DPM++ 2M`.
    pub sampler: &'a str,
    /// The schedule's name here, such as `karras`; written as `Karras`.
    pub schedule: &'a str,
    /// The guidance scale.
    pub guidance_scale: f64,
    /// This picture's own seed.
    pub seed: u64,
    /// The seed of the noise that was mixed into the seed's own, and how much of it.
    pub variation: Option<(u64, f64)>,
    /// The text encoder's layer whose vectors were taken, counted from 1 for the last; `None` for the
    /// model's own.
    pub clip_skip: Option<usize>,
    /// Whose noise the seed stands for, as A1111 calls it: `CPU` or `NV`; `None` for recorded noise.
    pub rng: Option<&'a str>,
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
    /// The model's name.
    pub model: &'a str,
    /// Parts that were not the model's own, and the names of their files: `VAE`, as A1111 has it.
    pub parts: &'a [(&'a str, String)],
    /// How much of a picture that it was made from could change, where it was.
    pub strength: Option<f64>,
    /// The second pass at a larger size, where there was one.
    pub hires: Option<HiresParameters<'a>>,
    /// How strongly a picture was kept that was edited by instruction.
    pub image_guidance_scale: Option<f64>,
    /// The name of the model that did the last steps, and after which share of the noise.
    pub refiner: Option<(&'a str, f64)>,
}

/// What went into a second pass at a larger size.
#[derive(Clone, Copy, Debug)]
pub struct HiresParameters<'a> {
    /// How many times as wide and high the picture became.
    pub scale: f64,
    /// How much of it could change.
    pub strength: f64,
    /// The number of steps, where that was another than the first pass's.
    pub steps: Option<usize>,
    /// How it was enlarged, as A1111 calls it.
    pub upscaler: &'a str,
}

impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prompt.is_empty() {
            writeln!(f, "{}", self.prompt)?;
        }
        if !self.negative_prompt.is_empty() {
            writeln!(f, "Negative prompt: {}", self.negative_prompt)?;
        }
        write!(
            f,
            "Steps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {}, Size: {}x{}, \
             Model: {}, ",
            self.steps,
            display_name(self.sampler),
            display_name(self.schedule),
            self.guidance_scale,
            self.seed,
            self.width,
            self.height,
            quoted(self.model),
        )?;
        for (part, name) in self.parts {
            write!(f, "{part}: {}, ", quoted(name))?;
        }
        if let Some((refiner, start)) = self.refiner {
            write!(
                f,
                "Refiner: {}, Refiner switch at: {start}, ",
                quoted(refiner)
            )?;
        }
        if let Some((seed, strength)) = self.variation {
            write!(
                f,
                "Variation seed: {seed}, Variation seed strength: {strength}, "
            )?;
        }
        if let Some(strength) = self.strength {
            write!(f, "Denoising strength: {strength}, ")?;
        }
        if let Some(hires) = self.hires {
            let HiresParameters {
                scale,
                strength,
                steps,
                upscaler,
            } = hires;
            write!(
                f,
                "Denoising strength: {strength}, Hires upscale: {scale}, "
            )?;
            if let Some(steps) = steps {
                write!(f, "Hires steps: {steps}, ")?;
            }
            write!(f, "Hires upscaler: {}, ", quoted(upscaler))?;
        }
        if let Some(scale) = self.image_guidance_scale {
            write!(f, "Image CFG scale: {scale}, ")?;
        }
        if let Some(layer) = self.clip_skip {
            write!(f, "Clip skip: {layer}, ")?;
        }
        if let Some(rng) = self.rng {
            write!(f, "RNG: {rng}, ")?;
        }
        write!(f, "Version: aquatint {}", env!("CARGO_PKG_VERSION"))
    }
}

/// A sampler's or schedule's name as A1111 shows it: `euler_ancestral` → `Euler a`.
fn display_name(name: &str) -> String {
    let words: Vec<String> = name.split('_').map(display_word).collect();
    words.join(" ")
}

fn display_word(word: &str) -> String {
    const ACRONYMS: [&str; 6] = ["ddim", "deis", "dpm", "lcm", "lms", "sde"];
    match word {
        "ancestral" => "a".to_owned(),
        "dpmpp" => "DPM++".to_owned(),
        "unipc" => "UniPC".to_owned(),
        _ if ACRONYMS.contains(&word) || word.starts_with(|first: char| first.is_ascii_digit()) => {
            word.to_uppercase()
        }
        _ => {
            let mut letters = word.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            first.chain(letters).collect()
        }
    }
}

/// A value that readers would cut at a comma, colon or line break goes as a JSON string.
fn quoted(value: &str) -> String {
    if value.contains([',', ':', '\n']) {
        serde_json::Value::from(value).to_string()
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIZZA: Parameters<'_> = Parameters {
        prompt: "a slice of pizza",
        negative_prompt: "blurry",
        steps: 20,
        sampler: "euler",
        schedule: "leading",
        guidance_scale: 3.5,
        seed: 42,
        variation: None,
        clip_skip: None,
        rng: Some("CPU"),
        width: 128,
        height: 96,
        model: "tiny-emoji-sd",
        parts: &[],
        strength: None,
        hires: None,
        image_guidance_scale: None,
        refiner: None,
    };

    #[test]
    fn the_text_has_the_form_that_others_read() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            PIZZA.to_string(),
            format!(
                "a slice of pizza\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, \
                 Schedule type: Leading, CFG scale: 3.5, Seed: 42, Size: 128x96, \
                 Model: tiny-emoji-sd, RNG: CPU, Version: aquatint {version}"
            )
        );
    }

    #[test]
    fn empty_prompts_leave_no_empty_lines() {
        let text = Parameters {
            prompt: "",
            negative_prompt: "",
            ..PIZZA
        }
        .to_string();
        assert!(text.starts_with("Steps: 20"), "{text}");
    }

    #[test]
    fn samplers_bear_the_names_that_a1111_shows() {
        // As in that program's modules/sd_samplers_kdiffusion.py and sd_samplers_timesteps.py.
        let names = [
            ("ddim", "DDIM"),
            ("dpmpp_2m", "DPM++ 2M"),
            ("dpmpp_2m_sde", "DPM++ 2M SDE"),
            ("dpmpp_2s_ancestral", "DPM++ 2S a"),
            ("euler", "Euler"),
            ("euler_ancestral", "Euler a"),
            ("heun", "Heun"),
            ("karras", "Karras"),
            ("lms", "LMS"),
        ];
        for (ours, theirs) in names {
            assert_eq!(display_name(ours), theirs);
        }
    }

    #[test]
    fn a_name_with_a_comma_is_quoted() {
        assert_eq!(quoted("a, \"b\""), r#""a, \"b\"""#);
    }
}
