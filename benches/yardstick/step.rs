//! `yardstick step`: one training step of SARB and one inference pass, as
//! `tools/peer_step.py` measures them.

use burn::module::Module;
use burn::tensor::Device;
use clap::Args;
use sarb::internals::{Freeze, Inference, Model, Normalization, Progress, Rates, adam, step};
use sarb::{Recipe, Result};

use super::Common;
use super::network::{Network, positive, wait};

/// Arguments of `yardstick step`.
#[derive(Debug, Clone, Args)]
pub struct Step {
    /// Images B
    #[arg(long, default_value_t = 8, value_parser = positive)]
    batch: usize,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    common: Common,
}

impl Step {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    fn measure(&self) -> Result<serde_json::Value> {
        let device = self.network.open_device()?;
        let mut found = self.network.describe();
        found["batch"] = self.batch.into();
        let mut model = self.network.model(Freeze::Trunk, &device.clone().autodiff());
        found["train_step_s"] = self.train(&mut model, &device)?.into();

        let inference = Inference::new(&model.valid());
        drop(model);
        let seconds = self.network.inference_s(&inference, self.batch, &device, &self.common)?;
        found["inference_s"] = seconds.into();
        Ok(found)
    }

    /// Seconds of a step with Adam and weight decay, as the paper trains.
    fn train(&self, model: &mut Model, device: &Device) -> Result<f64> {
        let mut adam = adam(&Recipe::default());
        let batch = self.network.batch(self.batch, &device.clone().autodiff());
        let trunk = model.fixed_trunk();
        let rates = Rates { rate: 1e-5, backbone_factor: 1.0 };
        let mut at = Progress { seed: 0, epoch: 1, step: 0, steps: usize::from(self.common.repeat) + 1 };
        self.common.best(|| {
            self.network.precision.wanted().during(|| {
                step(model, &mut adam, rates, trunk.as_ref(), &batch, Normalization::default(), at);
            });
            at.step += 1;
            wait(device)
        })
    }
}
