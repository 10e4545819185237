//! A picture from a prompt, in a few lines.
//!
//! ```text
//! cargo run --release --example minimal -- "a red apple" apple.png [model.safetensors]
//! ```

use aquatint::{Device, Model, Pipeline, Request};

fn main() -> aquatint::Result<()> {
    let mut args = std::env::args().skip(1);
    let prompt = args.next().unwrap_or_else(|| "a red apple".into());
    let file = args.next().unwrap_or_else(|| "apple.png".into());
    let model = match args.next() {
        Some(model) => Model::open(&*model)?,
        None => Model::demo()?,
    };
    draw(&Device::best()?, model, &prompt, &file)
}

pub(crate) fn draw(
    device: &Device,
    model: Model,
    prompt: &str,
    file: &str,
) -> aquatint::Result<()> {
    let pipeline = Pipeline::new(device, model)?;
    let images = pipeline.generate(&Request::new(prompt).seed(1))?;
    images[0].save_over(file)
}
