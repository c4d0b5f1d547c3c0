//! In which numbers the frozen layers of a recipe's backbone are multiplied and what is trained, and whether they can be.

use burn::tensor::Device;

use super::{BackboneRecipe, Recipe};
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

impl Recipe {
    /// In the precision that a training was asked for: of frozen layers, and with [`PrecisionChoice::Bf16`] also of what is
    /// trained, so far as there is either. `Auto` leaves what is trained in f32.
    ///
    /// # Errors
    /// [`Error::Usage`] if bf16 is asked for and nothing can be in it.
    pub fn in_precision(mut self, choice: PrecisionChoice, device: &Device) -> Result<Self> {
        self.train.precision = Precision::F32;
        let frozen = choice.settled(&self.backbone, device);
        let of_trained = self.has_trained_products().and_then(|()| on_cpu(Precision::Bf16, device));
        if choice == PrecisionChoice::Bf16 && of_trained.is_ok() {
            self.train.precision = Precision::Bf16;
            self.backbone.precision = frozen.unwrap_or_default();
        } else {
            self.backbone.precision = frozen?;
        }
        Ok(self)
    }

    /// Whether a training on a device, on images or `on_features`, has products in `train.precision`.
    ///
    /// # Errors
    /// [`Error::Usage`] where it has none.
    pub(crate) fn check_trained_products(&self, on_features: bool, device: &Device) -> Result<()> {
        let precision = self.train.precision;
        if precision == Precision::F32 {
            return Ok(());
        }
        self.has_products(!on_features && self.backbone.freeze == Freeze::Trunk)
            .and_then(|()| on_cpu(precision, device))
            .map_err(|why| Error::Usage(format!("train.precision is \"{precision}\", but {why}")))
    }

    /// Whether there is something trained that another precision than f32 changes; why not.
    pub(super) fn has_trained_products(&self) -> std::result::Result<(), String> {
        self.has_products(self.backbone.freeze == Freeze::Trunk)
    }

    fn has_products(&self, trains_last_stage: bool) -> std::result::Result<(), String> {
        match trains_last_stage || self.method.propagates() {
            true => Ok(()),
            false => Err(format!(
                "it concerns a last stage that is trained (backbone.freeze = \"trunk\") and methods that pass states over the graph of categories; {} here has neither",
                self.method.name()
            )),
        }
    }
}

fn on_cpu(precision: Precision, device: &Device) -> std::result::Result<(), String> {
    match crate::device::name(device).as_str() {
        "cpu" => Ok(()),
        name => Err(format!("{precision} is computed on the CPU, not on {name}")),
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
        on_cpu(precision, device)
    }

    /// Whether there is something that another precision than f32 changes; why not.
    pub(super) fn has_rounded_layers(&self) -> std::result::Result<(), String> {
        if self.onnx.is_some() {
            return Err("a network in ONNX form is computed in the numbers of its file".into());
        }
        if self.freeze == Freeze::None {
            return Err(
                "a backbone that is trained whole is computed in f32, and backbone.freeze is \"none\"".into(),
            );
        }
        Ok(())
    }
}
