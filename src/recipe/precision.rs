//! In which numbers the frozen layers of a recipe's backbone are multiplied, and whether they can be.

use burn::tensor::Device;

use super::BackboneRecipe;
use crate::backbone::Freeze;
use crate::kernels::precision::Precision;
use crate::{Error, Result};

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionChoice {
    /// 24 bits of each factor.
    F32,
    /// 8 bits of each factor.
    Bf16,
    /// Bf16 where this processor is faster with it and the backbone can be computed in it, else f32.
    Auto,
}

impl PrecisionChoice {
    /// The precision that it means on this processor.
    pub fn wanted(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Auto => Precision::fastest(),
        }
    }

    /// The precision that it means for a backbone on a device; `Auto` is f32 where bf16 cannot be.
    ///
    /// # Errors
    /// [`Error::Usage`] if bf16 is asked for and cannot be.
    pub fn settled(self, recipe: &BackboneRecipe, device: &Device) -> Result<Precision> {
        match recipe.check_precision(self.wanted(), device) {
            Ok(()) => Ok(self.wanted()),
            Err(_) if self == Self::Auto => Ok(Precision::F32),
            Err(why) => Err(Error::Usage(format!("--precision: {why}"))),
        }
    }
}

impl BackboneRecipe {
    /// Whether a device can compute the backbone in a precision; why not.
    pub(crate) fn check_precision(
        &self,
        precision: Precision,
        device: &Device,
    ) -> std::result::Result<(), String> {
        if precision == Precision::F32 {
            return Ok(());
        }
        self.has_rounded_layers()?;
        match crate::device::name(device).as_str() {
            "cpu" => Ok(()),
            name => Err(format!("{precision} is computed on the CPU, not on {name}")),
        }
    }

    /// Whether there is something that another precision than f32 changes; why not.
    pub(super) fn has_rounded_layers(&self) -> std::result::Result<(), String> {
        if self.onnx.is_some() {
            return Err("a network in ONNX form is computed in the numbers of its file".into());
        }
        if self.freeze == Freeze::None {
            return Err("layers that are trained are computed in f32, and backbone.freeze is \"none\"".into());
        }
        Ok(())
    }
}
