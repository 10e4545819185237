//! A window with a prompt box, a list of the models on this machine, progress, what the picture is becoming,
//! and the picture, which never leaves the device.
//!
//! ```text
//! cargo run --release --package aquatint-window
//! ```

mod app;
mod shown;
mod studio;

use app::App;
use aquatint::Device;
use eframe::egui;
use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetup, WgpuSetupCreateNew};
use std::sync::Arc;

fn main() -> eframe::Result {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default().with_inner_size([960.0, 640.0]),
        renderer: eframe::Renderer::Wgpu,
        // A picture is shown as it is.
        dithering: false,
        wgpu_options: on_a_device_to_share(),
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "aquatint",
        options,
        Box::new(|context| Ok(Box::new(App::new(context)?))),
    )
}

/// Has eframe open its device with what aquatint can use.
fn on_a_device_to_share() -> WgpuConfiguration {
    WgpuConfiguration {
        wgpu_setup: WgpuSetup::CreateNew(WgpuSetupCreateNew {
            device_descriptor: Arc::new(Device::descriptor),
            ..WgpuSetupCreateNew::without_display_handle()
        }),
        ..WgpuConfiguration::default()
    }
}
