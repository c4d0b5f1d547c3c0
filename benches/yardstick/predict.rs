//! `yardstick predict`: images to scores, for each of several batch sizes.

use burn::module::Module;
use clap::Args;
use sarb::Result;
use sarb::internals::{Freeze, Inference};

use super::Common;
use super::network::{Network, positive};

/// Arguments of `yardstick predict`.
#[derive(Debug, Clone, Args)]
pub struct Predict {
    /// Images in a batch; may be given several times
    #[arg(long, default_values_t = [1, 8], value_parser = positive)]
    batch: Vec<usize>,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    common: Common,
}

impl Predict {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    fn measure(&self) -> Result<serde_json::Value> {
        let device = self.network.open_device()?;
        let inference = Inference::new(&self.network.model(Freeze::All, &device).valid());
        let mut found = self.network.describe();
        for &batch in &self.batch {
            let seconds = self.network.inference_s(&inference, batch, &device, &self.common)?;
            found[format!("inference_s_batch_{batch}")] = seconds.into();
        }
        Ok(found)
    }
}
