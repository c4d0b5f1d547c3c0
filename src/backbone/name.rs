//! The backbones by name, and what each is built of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::efficientnet_lite::{self, LiteConfig};
use super::resnet::ResNetConfig;
use crate::{Error, Result};

/// A backbone's name, as recipes spell it.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneName {
    /// `resnet18`.
    Resnet18,
    /// `resnet34`.
    Resnet34,
    /// `resnet50`.
    Resnet50,
    /// `resnet101`, the paper's.
    Resnet101,
    /// `resnet152`.
    Resnet152,
    /// `efficientnet-lite0`.
    EfficientnetLite0,
    /// `efficientnet-lite2`.
    EfficientnetLite2,
    /// `resnet-small`, ours, for small pictures and trained from scratch.
    ResnetSmall,
}

impl BackboneName {
    /// Every backbone.
    pub const ALL: [Self; 8] = [
        Self::Resnet18,
        Self::Resnet34,
        Self::Resnet50,
        Self::Resnet101,
        Self::Resnet152,
        Self::EfficientnetLite0,
        Self::EfficientnetLite2,
        Self::ResnetSmall,
    ];

    /// The name in recipes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::Resnet101 => "resnet101",
            Self::Resnet152 => "resnet152",
            Self::EfficientnetLite0 => "efficientnet-lite0",
            Self::EfficientnetLite2 => "efficientnet-lite2",
            Self::ResnetSmall => "resnet-small",
        }
    }

    /// The layers.
    pub(super) const fn layers(self) -> Layers {
        match self {
            Self::Resnet18 => Layers::ResNet(ResNetConfig::RESNET18),
            Self::Resnet34 => Layers::ResNet(ResNetConfig::RESNET34),
            Self::Resnet50 => Layers::ResNet(ResNetConfig::RESNET50),
            Self::Resnet101 => Layers::ResNet(ResNetConfig::RESNET101),
            Self::Resnet152 => Layers::ResNet(ResNetConfig::RESNET152),
            Self::ResnetSmall => Layers::ResNet(ResNetConfig::SMALL),
            Self::EfficientnetLite0 => Layers::EfficientNetLite(&LiteConfig::LITE0),
            Self::EfficientnetLite2 => Layers::EfficientNetLite(&LiteConfig::LITE2),
        }
    }

    /// What its official weights call the classifier.
    pub(crate) const fn classifier(self) -> &'static str {
        match self.layers() {
            Layers::ResNet(_) => "fc",
            Layers::EfficientNetLite(_) => "_fc",
        }
    }

    /// Side in pixels of the images that its official weights were trained with.
    pub const fn trained_px(self) -> usize {
        match self {
            Self::EfficientnetLite2 => 260,
            _ => 224,
        }
    }

    /// Channels F of its maps.
    pub const fn channels(self) -> usize {
        match self.layers() {
            Layers::ResNet(config) => config.channels(),
            Layers::EfficientNetLite(_) => efficientnet_lite::CHANNELS,
        }
    }

    /// Pixels of the image a position stands for, along one side and before pooling.
    pub(super) const fn reduction(self) -> usize {
        match self.layers() {
            Layers::ResNet(config) => config.reduction(),
            Layers::EfficientNetLite(_) => 32,
        }
    }
}

/// What a backbone is built of.
pub(super) enum Layers {
    ResNet(ResNetConfig),
    EfficientNetLite(&'static LiteConfig),
}

impl fmt::Display for BackboneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BackboneName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            Error::Recipe(format!("unknown backbone {text:?}; expected one of {names}"))
        })
    }
}
