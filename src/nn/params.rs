use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::tensor::Tensor;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, SafeTensors};

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

    /// Sets the parameters below `prefix` from the bytes of a safetensors file, for example a state dict that PyTorch saved:
    /// the tensor `weight_ih_l0` becomes the parameter `{prefix}weight_ih_l0`. Other parameters stay as they are.
    ///
    /// # Errors
    /// When these are no such bytes, lack one of the parameters or have one in another shape, or hold anything but numbers
    /// of 32 or 64 bits. Nothing is changed then.
    pub fn load(&self, prefix: &str, bytes: &[u8]) -> Result<()> {
        let bad = |what: String| Error::Config(format!("state dict: {what}"));
        let file = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
        let mut found = Vec::new();
        for param in &self.list {
            let Some(name) = param.name.strip_prefix(prefix) else { continue };
            let types = [Dtype::F32, Dtype::F64];
            found.push((param, read_numbers(&file, name, param.tensor.shape(), &types).map_err(bad)?));
        }
        if found.is_empty() {
            return Err(bad(format!("no parameter's name begins with {prefix:?}")));
        }
        found.into_iter().for_each(|(param, values)| param.tensor.write(&values));
        Ok(())
    }

    pub fn list(&self) -> &[Param] {
        &self.list
    }

    /// Numbers learned.
    pub fn count(&self) -> usize {
        self.list.iter().map(|p| p.tensor.len()).sum()
    }
}

/// The tensor `name` of `file`, which must be of one of `types` (F32, F64), or what is wrong with it.
pub(crate) fn read_numbers(
    file: &SafeTensors,
    name: &str,
    shape: &[usize],
    types: &[Dtype],
) -> std::result::Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|e| e.to_string())?;
    if view.shape() != shape || !types.contains(&view.dtype()) {
        return Err(format!("{name} is {:?} {:?}, but {types:?} {shape:?} is asked for", view.dtype(), view.shape()));
    }
    Ok(match view.dtype() {
        Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(view.data()).iter().map(|v| *v as f32).collect(),
        _ => bytemuck::pod_collect_to_vec(view.data()),
    })
}

/// Standard normal. Box & Muller 1958.
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}
