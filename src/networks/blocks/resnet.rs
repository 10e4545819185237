//! The residual block of UNet and VAE.

use crate::error::Result;
use crate::nn::{Conv2d, GroupNorm, GroupNormSpec, Linear};
use crate::tensor::Tensor;
use crate::weights::Scope;

/// Two convolutions around a residual connection, with the timestep added between them
/// (Ho et al. 2020, arXiv 2006.11239, appendix B; diffusers `resnet.py`, `ResnetBlock2D`).
#[derive(Clone, Debug)]
pub(crate) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Linear>,
}

impl ResnetBlock {
    /// Loads a block that takes `in_channels`, and a timestep embedding of `temb_width` if any.
    pub(crate) fn load(
        scope: &Scope,
        in_channels: usize,
        temb_width: Option<usize>,
        norm: GroupNormSpec,
    ) -> Result<Self> {
        let conv1 = Conv2d::load(&scope.scope("conv1"), in_channels)?;
        let out_channels = conv1.out_channels();
        let project =
            |width| Linear::load_sized(&scope.scope("time_emb_proj"), width, out_channels);
        let shortcut =
            || Linear::load_sized(&scope.scope("conv_shortcut"), in_channels, out_channels);
        Ok(Self {
            norm1: GroupNorm::load(&scope.scope("norm1"), in_channels, norm)?,
            conv1,
            time_emb_proj: temb_width.map(project).transpose()?,
            norm2: GroupNorm::load(&scope.scope("norm2"), out_channels, norm)?,
            conv2: Conv2d::load_sized(&scope.scope("conv2"), out_channels, out_channels)?,
            conv_shortcut: (in_channels != out_channels).then(shortcut).transpose()?,
        })
    }

    /// The channels of what comes out.
    pub(crate) fn out_channels(&self) -> usize {
        self.conv2.out_channels()
    }

    /// x `[N, H, W, C]`, temb `[N, E]` after its activation → `[N, H, W, C_out]`
    pub(crate) fn forward<'g>(&self, x: Tensor<'g>, temb: Option<Tensor<'g>>) -> Tensor<'g> {
        let mut h = self.conv1.forward(self.norm1.forward(x).silu());
        if let (Some(proj), Some(temb)) = (&self.time_emb_proj, temb) {
            h = h + proj.forward(temb).over_hw(); // [N, 1, 1, C_out]
        }
        let h = self.conv2.forward(self.norm2.forward(h).silu());
        self.shortcut(x) + h
    }

    /// x `[N, H, W, C]` → `[N, H, W, C_out]`
    fn shortcut<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        match &self.conv_shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }
}
