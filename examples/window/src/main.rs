//! A window with a prompt box, a list of the models on this machine, progress and the picture.
//!
//! ```text
//! cargo run --release --package aquatint-window
//! ```

mod app;
mod studio;

use app::App;
use eframe::egui;

fn main() -> eframe::Result {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default().with_inner_size([960.0, 640.0]),
        renderer: eframe::Renderer::Wgpu,
        // A picture is shown as it is.
        dithering: false,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "aquatint",
        options,
        Box::new(|context| Ok(Box::new(App::new(context)?))),
    )
}
