//! The sigmoid output, held against what nobody trained on.

use super::Trainer;
use crate::error::Result;
use crate::eval::Case;
use crate::eval::calibration::{line, said};

impl Trainer<'_> {
    /// Puts the sigmoid output of `weights`, those of the model as it is, where the ratings of the validation want it. The
    /// scores are learned for the ranking, and grow more certain of what was trained than of what comes.
    pub(super) fn calibrate(&self, cases: &[Case], weights: &mut [Vec<f32>]) -> Result<()> {
        let (Some(like), Some(_)) = (self.judging.like, self.dataset.rating.as_ref()) else { return Ok(()) };
        if self.model.config().output_weight == 0.0 {
            return Ok(());
        }
        let said = said(&self.model, self.dataset, cases, like, &mut |_| ())?;
        if said.is_empty() {
            return Ok(());
        }
        let [a, b] = line(&said);
        for (param, values) in self.model.params().list().iter().zip(weights) {
            match param.name.as_str() {
                "output.weight" => values[0] = (a * f64::from(values[0])) as f32,
                "output.bias" => values[0] = (a * f64::from(values[0]) + b) as f32,
                _ => {}
            }
        }
        Ok(())
    }
}
