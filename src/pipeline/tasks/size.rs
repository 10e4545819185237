//! The size of a picture that starts from another, where nobody says.

use crate::pipeline::model::Model;
use crate::pipeline::request::Request;

/// How many times fewer or more pixels than the model's own size the picture may have to keep its own.
const KEPT_TIMES: usize = 4;

impl Model {
    /// The request with the size of its task's picture where it says none: the picture's own to the
    /// nearest multiple of the latent factor; or its shape with as many pixels as the model's own size
    /// where that is four times smaller or larger. Where it says one side, the other is in proportion.
    pub(in crate::pipeline) fn sized(&self, request: &Request) -> Request {
        let mut sized = request.clone();
        let Some((_, image)) = request.task.images().first().copied() else {
            return sized;
        };
        let own = [image.width() as f64, image.height() as f64];
        let defaults = self.defaults();
        let best = (defaults.width * defaults.height) as f64;
        let times = KEPT_TIMES as f64;
        let pixels = own[0] * own[1];
        let scale = match (request.width, request.height) {
            (Some(width), None) => width as f64 / own[0],
            (None, Some(height)) => height as f64 / own[1],
            _ if (best / times..=best * times).contains(&pixels) => 1.0,
            _ => (best / pixels).sqrt(),
        };
        let [width, height] = own.map(|side| self.nearest_side(side * scale));
        sized.width = request.width.or(Some(width));
        sized.height = request.height.or(Some(height));
        sized
    }

    /// The nearest multiple of the latent factor.
    fn nearest_side(&self, side: f64) -> usize {
        let factor = self.config.vae_scale_factor;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sides are positive, and what is too long is refused later"
        )]
        let count = (side / factor as f64).round() as usize;
        count.max(1) * factor
    }
}
