//! One setting that varies, and its values as a user types them.

use crate::error::{Error, Result};
use crate::nearest::edit_distance;
use crate::pipeline::request::Request;
use crate::pipeline::tasks::Task;
use serde_json::{Map, Number, Value};
use std::fmt;

/// The settings of a request that have one value; all but the number of pictures, which a grid has no
/// place for.
pub(super) const FIELDS: [&str; 31] = [
    "prompt",
    "negative_prompt",
    "prompt_2",
    "negative_prompt_2",
    "prompt_style",
    "clip_skip",
    "width",
    "height",
    "resize_mode",
    "steps",
    "guidance_scale",
    "sampler",
    "schedule",
    "sigma_rules",
    "eta",
    "guidance_rescale",
    "dynamic_thresholding",
    "threshold_max",
    "guidance_start",
    "guidance_end",
    "refiner_start",
    "noise_path",
    "prediction",
    "seed",
    "variation_strength",
    "variation_seed",
    "preset",
    "noise",
    "precision",
    "vae_tile",
    "seamless",
];
/// The settings of a task that have one value.
pub(super) const TASK_FIELDS: [&str; 2] = ["strength", "image_guidance_scale"];
/// How many names a message offers.
const OFFERED_NAMES: usize = 3;

/// A setting that varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepAxis {
    field: &'static str,
    values: Vec<String>,
}

impl SweepAxis {
    /// A setting by its name in a [`Request`] and its values as text, as in `sampler` and `euler`. The
    /// task's `strength` and `image_guidance_scale` are settings too; hyphens serve as underscores.
    ///
    /// # Errors
    /// [`Error::Request`] for `sweep`, if there is no such setting, with the nearest names, or there are
    /// no values.
    pub fn new<V: Into<String>>(field: &str, values: impl IntoIterator<Item = V>) -> Result<Self> {
        let wanted = field.trim().replace('-', "_");
        let known = || FIELDS.into_iter().chain(TASK_FIELDS);
        let Some(field) = known().find(|known| *known == wanted) else {
            let mut nearest: Vec<_> = known().collect();
            nearest.sort_by_key(|known| edit_distance(known, &wanted));
            let nearest = nearest[..OFFERED_NAMES].join(", ");
            let shown: String = wanted.chars().take(40).collect();
            let reason = format!("cannot vary {shown:?}; there are {nearest} and others");
            return Err(Error::request("sweep", reason));
        };
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            let reason = format!("needs values of {field}, as in {field}=A,B");
            return Err(Error::request("sweep", reason));
        }
        Ok(Self { field, values })
    }

    /// A setting and its values as `NAME=VALUE,VALUE,…`. A value in double quotes may hold commas; a
    /// backslash takes the comma, quotation mark or backslash behind it as it is.
    ///
    /// # Errors
    /// As [`SweepAxis::new`], and if a value is empty without quotes or a quotation mark has no end.
    pub fn parse(typed: &str) -> Result<Self> {
        let Some((field, values)) = typed.split_once('=') else {
            let reason = "must be a setting and its values, as in guidance_scale=3,5,7";
            return Err(Error::request("sweep", reason));
        };
        // An unknown name is the first thing to say.
        let field = Self::new(field, [""])?.field;
        let values = split(values)
            .map_err(|reason| Error::request("sweep", format!("{field}: {reason}")))?;
        Self::new(field, values)
    }

    /// The setting's name in a request.
    pub fn field(&self) -> &str {
        self.field
    }

    /// The values, as they were typed.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// What pictures with each of the values are labelled, as in `steps: 20`.
    pub fn labels(&self) -> Vec<String> {
        let values = self.values.iter();
        values
            .map(|value| format!("{}: {value}", self.field))
            .collect()
    }

    /// A request with one of the values.
    ///
    /// # Errors
    /// [`Error::Request`] with the setting, if the value means nothing to it.
    pub(super) fn applied(&self, request: &Request, value: &str) -> Result<Request> {
        if TASK_FIELDS.contains(&self.field) {
            return self.applied_to_task(request, value);
        }
        // A task's pictures are named in JSON, not carried.
        let bare = Request {
            task: Task::TextToImage,
            ..request.clone()
        };
        let fields: Map<String, Value> = serde_json::to_value(&bare)
            .and_then(serde_json::from_value)
            .map_err(|error| Error::request(self.field, error.to_string()))?;
        let mut refusal = String::new();
        for meant in meanings(value) {
            let mut fields = fields.clone();
            fields.insert(self.field.to_owned(), meant);
            match serde_json::from_value::<Request>(Value::Object(fields)) {
                Ok(changed) => {
                    return Ok(Request {
                        task: request.task.clone(),
                        ..changed
                    });
                }
                Err(error) => refusal = error.to_string(),
            }
        }
        let shown: String = value.chars().take(40).collect();
        Err(Error::request(
            self.field,
            format!("cannot be {shown:?}: {refusal}"),
        ))
    }

    fn applied_to_task(&self, request: &Request, value: &str) -> Result<Request> {
        let mut changed = request.clone();
        let place = match (&mut changed.task, self.field) {
            (Task::ImageToImage { strength, .. }, "strength") => strength,
            (Task::Inpaint(inpaint), "strength") => &mut inpaint.strength,
            (Task::Outpaint(outpaint), "strength") => &mut outpaint.strength,
            (
                Task::Instruct {
                    image_guidance_scale,
                    ..
                },
                "image_guidance_scale",
            ) => image_guidance_scale,
            _ => {
                let reason = "means nothing to this task; vary another setting";
                return Err(Error::request(self.field, reason));
            }
        };
        *place = value
            .trim()
            .parse()
            .map_err(|_| Error::request(self.field, format!("must be a number, not {value:?}")))?;
        Ok(changed)
    }
}

impl fmt::Display for SweepAxis {
    /// The name and the values, as they can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self.values.iter().map(|value| {
            let plain =
                !value.is_empty() && value.trim() == value && !value.contains([',', '"', '\\']);
            if plain {
                value.clone()
            } else {
                format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
            }
        });
        write!(f, "{}={}", self.field, quoted.collect::<Vec<_>>().join(","))
    }
}

/// What a text may stand for, the likeliest first: a number, a name as JSON has it, or itself.
fn meanings(value: &str) -> Vec<Value> {
    let whole = value.parse::<u64>().ok().map(Value::from);
    let number = value.parse().ok().and_then(Number::from_f64);
    let name = value.to_ascii_lowercase().replace('-', "_");
    [whole, number.map(Value::Number)]
        .into_iter()
        .flatten()
        .chain([Value::from(value), Value::from(name)])
        .collect()
}

/// Values between commas, without quotes and backslashes.
fn split(typed: &str) -> std::result::Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut rest = typed.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let is_quoted = rest.next_if_eq(&'"').is_some();
        let mut value = String::new();
        let mut is_closed = false;
        while let Some(c) = rest.next_if(|c| is_quoted || *c != ',') {
            match c {
                '"' if is_quoted => {
                    is_closed = true;
                    break;
                }
                '\\' => match rest.next_if(|next| matches!(next, ',' | '"' | '\\')) {
                    Some(escaped) => value.push(escaped),
                    None => value.push(c),
                },
                c => value.push(c),
            }
        }
        if is_quoted && !is_closed {
            return Err("a quotation mark has no end".to_owned());
        }
        if !is_quoted {
            value.truncate(value.trim_end().len());
            if value.is_empty() {
                return Err("a value is empty; write \"\" if that is meant".to_owned());
            }
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        values.push(value);
        match rest.next() {
            None => return Ok(values),
            Some(',') => {}
            Some(other) => {
                return Err(format!(
                    "expected a comma behind a quoted value, not {other:?}"
                ));
            }
        }
    }
}
