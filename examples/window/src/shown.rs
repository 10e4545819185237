//! A picture that the window draws from the device's own memory.

use aquatint::wgpu;
use eframe::egui::{self, Color32, Rect, TextureId, Vec2};
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

    /// Draws it, each of its pixels one of the screen's, or smaller where there is no room.
    pub(crate) fn draw(&self, ui: &egui::Ui) {
        let room = ui.max_rect();
        let size = self.size / ui.pixels_per_point();
        let scale = (room.size() / size).min_elem().min(1.0);
        let place = Rect::from_min_size(room.min, size * scale);
        let whole = Rect::from_min_size(egui::Pos2::ZERO, Vec2::splat(1.0));
        ui.painter().image(self.id, place, whole, Color32::WHITE);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.host.renderer.write().free_texture(&self.id);
    }
}
