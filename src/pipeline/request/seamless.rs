//! Pictures that can be laid side by side.

use crate::tensor::Wrap;
use serde::{Deserialize, Serialize};

/// Which edges of a picture go on at the opposite one, so that copies of it can be laid side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seamless {
    /// Left and right.
    X,
    /// Top and bottom.
    Y,
    /// All.
    Xy,
}

impl Seamless {
    /// Which edges join for networks.
    pub(in crate::pipeline) fn wrap(seamless: Option<Self>) -> Wrap {
        Wrap {
            rows: matches!(seamless, Some(Self::Y | Self::Xy)),
            columns: matches!(seamless, Some(Self::X | Self::Xy)),
        }
    }
}
