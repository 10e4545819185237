//! The size at which a network works on a picture, where nobody says.

use super::Task;
use crate::error::Result;
use crate::pipeline::model::Model;
use crate::pipeline::request::Request;

/// How many times fewer or more pixels than the model's own size a picture may have to keep its own.
const KEPT_TIMES: usize = 4;
/// How many times more pixels than that a picture may have to be drawn on in one piece.
const WHOLE_TIMES: usize = 2;

impl Model {
    /// The request with the size of its task's picture where it says none: the picture's own to a
    /// multiple of the latent factor; or its shape with as many pixels as the model's own size where that
    /// is four times smaller or larger. Where it says one side, the other is in proportion. What is
    /// worked on in parts has the model's own size, and what is drawn on in one piece the canvas's, each
    /// side unless the request says it.
    ///
    /// # Errors
    /// As [`super::Inpaint::free`].
    pub(in crate::pipeline) fn sized(&self, request: &Request) -> Result<Request> {
        let defaults = self.defaults();
        let best = [defaults.width, defaults.height];
        let [width, height] = match &request.task {
            Task::TextToImage => return Ok(request.clone()),
            Task::ImageToImage { image, .. } | Task::Instruct { image, .. } => {
                self.near([image.width(), image.height()], request, Self::nearest_side)
            }
            Task::Inpaint(inpaint) => {
                inpaint.free()?; // there must be something to do
                let image = &inpaint.image;
                match inpaint.only_masked_padding_px {
                    Some(_) => best,
                    None => self.near([image.width(), image.height()], request, Self::next_side),
                }
            }
            Task::Outpaint(outpaint) => {
                let canvas = outpaint.canvas();
                let whole = canvas.map(|side| self.next_side(side as f64));
                if canvas[0].saturating_mul(canvas[1]) <= WHOLE_TIMES * best[0] * best[1] {
                    whole
                } else {
                    [whole[0].min(best[0]), whole[1].min(best[1])]
                }
            }
        };
        Ok(Request {
            width: request.width.or(Some(width)),
            height: request.height.or(Some(height)),
            ..request.clone()
        })
    }

    /// A picture's own size, or one of its shape that suits the model; `round` makes a side a multiple of
    /// the latent factor.
    fn near(
        &self,
        own: [usize; 2],
        request: &Request,
        round: fn(&Self, f64) -> usize,
    ) -> [usize; 2] {
        let own = own.map(|side| side as f64);
        let (best, times) = (
            (self.defaults().width * self.defaults().height) as f64,
            KEPT_TIMES as f64,
        );
        let pixels = own[0] * own[1];
        let scale = match (request.width, request.height) {
            (Some(width), None) => width as f64 / own[0],
            (None, Some(height)) => height as f64 / own[1],
            _ if (best / times..=best * times).contains(&pixels) => {
                return own.map(|side| round(self, side));
            }
            _ => (best / pixels).sqrt(),
        };
        own.map(|side| self.nearest_side(side * scale))
    }

    /// The nearest multiple of the latent factor.
    pub(in crate::pipeline) fn nearest_side(&self, side: f64) -> usize {
        self.multiple((side / self.config.vae_scale_factor as f64).round())
    }

    /// The next multiple of the latent factor.
    pub(super) fn next_side(&self, side: f64) -> usize {
        self.multiple((side / self.config.vae_scale_factor as f64).ceil())
    }

    fn multiple(&self, count: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sides are positive, and what is too long is refused later"
        )]
        let count = count as usize;
        count.max(1).saturating_mul(self.config.vae_scale_factor)
    }
}
