//! What follows the gradients: clipping and the step.

use super::{Report, Rng, floats, relative_error, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, AdamW};
use crate::{Tensor, reference};

/// `steps` steps on `n` weights with new gradients each time; with `clip`, clipped to a norm of 1 on the device.
pub fn adamw(gpu: &Gpu, n: usize, steps: u32, clip: bool) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let mut random = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.unit() as f32)).collect() };
    let mut expected = random(n);
    let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
    let parameter = upload(gpu, &expected, &[n]);
    let moments = Tensor::zeros(gpu, &[n, 2]);
    for step in 1..=steps {
        let gradient = random(n);
        let options = AdamW { lr: 0.02, decay: 0.1, step, ..AdamW::default() };
        let same = |x: f32| f64::from(x);
        let definition = reference::AdamW {
            lr: same(options.lr),
            beta1: same(options.beta1),
            beta2: same(options.beta2),
            eps: same(options.eps),
            weight_decay: same(options.decay),
        };
        let device = upload(gpu, &gradient, &[n]);
        let factor = clip.then(|| ops::clip_grad_norm(gpu, &[&device], 1.0));
        ops::adamw(gpu, &parameter, &device, &moments, &options, factor.as_ref());
        let mut gradients = [gradient];
        if clip {
            reference::clip_grad_norm(&mut gradients, 1.0);
        }
        reference::adamw(&mut expected, &gradients[0], &mut m, &mut v, step, &definition);
    }
    let both: Vec<f64> = m.iter().zip(&v).flat_map(|(m, v)| [*m, *v]).collect();
    let report = |what: &str, actual: &[f64], expected: &[f64], tolerance| Report {
        op: "adamw",
        what: what.into(),
        shape: format!("[{n}], {steps} steps, clip {clip}"),
        error: relative_error(actual, expected),
        tolerance,
    };
    gpu.check_guards()?;
    Ok(vec![
        report("parameter", &floats(&parameter)?, &expected, 3e-6),
        report("moments", &floats(&moments)?, &both, 2e-6),
    ])
}

/// Gradients of these sizes, their joint norm once below and once above the largest allowed.
pub fn clip_grad_norm(gpu: &Gpu, sizes: &[usize]) -> Result<Vec<Report>> {
    let mut rng = Rng::new(sizes.len() as u64);
    let mut reports = Vec::new();
    for max_norm in [0.5, 1e4] {
        let mut gradients: Vec<Vec<f64>> =
            sizes.iter().map(|n| (0..*n).map(|_| f64::from(rng.unit() as f32)).collect()).collect();
        let device: Vec<Tensor> = gradients.iter().map(|g| upload(gpu, g, &[g.len()])).collect();
        let y = floats(&ops::clip_grad_norm(gpu, &device.iter().collect::<Vec<_>>(), max_norm))?;
        let before: Vec<f64> = gradients.concat();
        let norm = reference::clip_grad_norm(&mut gradients, f64::from(max_norm));
        // The definition scales in place: the factor is what it did to the largest element.
        let at = (0..before.len()).max_by(|a, b| before[*a].abs().total_cmp(&before[*b].abs())).unwrap_or(0);
        let factor = gradients.concat()[at] / before[at];
        for (what, actual, expected) in [("factor", y[0], factor), ("norm", y[1], norm)] {
            reports.push(Report {
                op: "clip_grad_norm",
                what: what.into(),
                shape: format!("{sizes:?} to {max_norm}"),
                error: relative_error(&[actual], &[expected]),
                tolerance: 2e-6,
            });
        }
    }
    gpu.check_guards()?;
    Ok(reports)
}
