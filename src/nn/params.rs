use crate::gpu::Gpu;
use crate::tensor::Tensor;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a parameter starts. Weight decay applies to matrices and tables, not to biases and scales.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Zero,
    /// A matrix of zeros: unlike [`Init::Zero`] it decays.
    ZeroMatrix,
    One,
    /// Normal with this standard deviation; row 0 too, which padding never reads.
    Normal(f32),
    Uniform(f32),
    /// Uniform within `sqrt(6 / (in + out))`. Glorot & Bengio 2010.
    Xavier,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: String,
    pub tensor: Tensor,
    pub decay: bool,
}

/// The parameters of a model by name, in the order in which they were made. One seed determines all their values.
#[derive(Debug)]
pub struct Params {
    gpu: Gpu,
    list: Vec<Param>,
    rng: ChaCha8Rng,
}

impl Params {
    pub fn new(gpu: &Gpu, seed: u64) -> Params {
        Params { gpu: gpu.clone(), list: Vec::new(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub fn add(&mut self, name: &str, shape: &[usize], init: Init) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = match init {
            Init::Zero | Init::ZeroMatrix => vec![0.0; n],
            Init::One => vec![1.0; n],
            Init::Normal(deviation) => (0..n).map(|_| deviation * normal(&mut self.rng)).collect(),
            Init::Uniform(bound) => self.uniform(n, bound),
            Init::Xavier => self.uniform(n, (6.0 / shape.iter().sum::<usize>() as f32).sqrt()),
        };
        let tensor = Tensor::from_slice(&self.gpu, &values, shape).parameter();
        let decay = !matches!(init, Init::Zero | Init::One);
        assert!(self.list.iter().all(|p| p.name != name), "two parameters named {name}");
        self.list.push(Param { name: name.into(), tensor: tensor.clone(), decay });
        tensor
    }

    fn uniform(&mut self, n: usize, bound: f32) -> Vec<f32> {
        (0..n).map(|_| bound * (2.0 * self.rng.random::<f32>() - 1.0)).collect()
    }

    pub fn list(&self) -> &[Param] {
        &self.list
    }

    /// Numbers learned.
    pub fn count(&self) -> usize {
        self.list.iter().map(|p| p.tensor.len()).sum()
    }
}

/// Standard normal. Box & Muller 1958.
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}
