//! Pictures in the window: one that is drawn from the device's own memory, and what it was on the way.

use aquatint::{Image, wgpu};
use eframe::egui::{
    self, Color32, ColorImage, Rect, TextureHandle, TextureId, TextureOptions, Vec2,
};
use eframe::egui_wgpu::RenderState;

/// A texture that the window's renderer knows. It is forgotten with this.
pub(crate) struct Shown {
    host: RenderState,
    id: TextureId,
    size: Vec2,
}

impl Shown {
    /// Makes a texture of the window's device known to its renderer. egui works in sRGB, so it gets the
    /// values as they are.
    pub(crate) fn new(host: &RenderState, texture: &wgpu::Texture) -> Self {
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let filter = wgpu::FilterMode::Linear;
        let id = host
            .renderer
            .write()
            .register_native_texture(&host.device, &view, filter);
        Self {
            host: host.clone(),
            id,
            size: Vec2::new(texture.width() as f32, texture.height() as f32),
        }
    }

    pub(crate) fn draw(&self, ui: &egui::Ui) {
        draw(ui, self.id, self.size);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.host.renderer.write().free_texture(&self.id);
    }
}

/// What a picture is becoming: smaller than it, and drawn at its size.
pub(crate) struct Preview {
    texture: TextureHandle,
    size: Vec2,
}

impl Preview {
    /// Uploads what a picture of that width and height is becoming.
    pub(crate) fn new(window: &egui::Context, image: &Image, [width, height]: [usize; 2]) -> Self {
        let size = [image.width(), image.height()];
        let pixels = ColorImage::from_rgba_unmultiplied(size, image.pixels());
        Self {
            texture: window.load_texture("preview", pixels, TextureOptions::LINEAR),
            size: Vec2::new(width as f32, height as f32),
        }
    }

    pub(crate) fn draw(&self, ui: &egui::Ui) {
        draw(ui, self.texture.id(), self.size);
    }
}

/// Draws a picture of that size, each of its pixels one of the screen's, or smaller where there is no room.
fn draw(ui: &egui::Ui, id: TextureId, size: Vec2) {
    let room = ui.max_rect();
    let size = size / ui.pixels_per_point();
    let scale = (room.size() / size).min_elem().min(1.0);
    let place = Rect::from_min_size(room.min, size * scale);
    let whole = Rect::from_min_size(egui::Pos2::ZERO, Vec2::splat(1.0));
    ui.painter().image(id, place, whole, Color32::WHITE);
}
