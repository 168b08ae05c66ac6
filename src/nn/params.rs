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
    /// Of a small one: which piece of shared memory it is in, and from which number on.
    place: Option<(usize, usize)>,
}

/// Numbers of a parameter that shares its memory with others, so that the optimizer takes several in one dispatch.
const SMALL: usize = 1 << 16;
/// Numbers of one piece of such memory.
const SHARED: usize = 1 << 18;
/// Parts begin where a binding may: at multiples of 256 bytes.
const ALIGN: usize = 64;

/// The parameters of a model by name, in the order in which they were made. One seed determines all their values.
#[derive(Debug)]
pub struct Params {
    gpu: Gpu,
    list: Vec<Param>,
    /// Memory that small parameters share, and how many numbers of the last piece are taken.
    shared: Vec<Tensor>,
    taken: usize,
    rng: ChaCha8Rng,
}

impl Params {
    pub fn new(gpu: &Gpu, seed: u64) -> Params {
        Params {
            gpu: gpu.clone(),
            list: Vec::new(),
            shared: Vec::new(),
            taken: SHARED,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
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
        let place = (n <= SMALL).then(|| self.share(n));
        let tensor = match place {
            Some((piece, start)) => self.shared[piece].row_range(start, n).reshape(shape).parameter(),
            None => Tensor::empty(&self.gpu, shape).parameter(),
        };
        tensor.write(&values);
        let decay = !matches!(init, Init::Zero | Init::One);
        assert!(self.list.iter().all(|p| p.name != name), "two parameters named {name}");
        self.list.push(Param { name: name.into(), tensor: tensor.clone(), decay, place });
        tensor
    }

    /// Room for `n` numbers in shared memory.
    fn share(&mut self, n: usize) -> (usize, usize) {
        if self.taken + n > SHARED {
            self.shared.push(Tensor::empty(&self.gpu, &[SHARED]));
            self.taken = 0;
        }
        let start = self.taken;
        self.taken = (start + n).next_multiple_of(ALIGN);
        (self.shared.len() - 1, start)
    }

    /// For each parameter the optimizer's moments `[2, n]`, zeros. Those of small parameters share memory as they do.
    pub fn moments(&self) -> Vec<Tensor> {
        let shared: Vec<Tensor> = self.shared.iter().map(|s| Tensor::zeros(&self.gpu, &[2 * s.len()])).collect();
        let of = |p: &Param| {
            let n = p.tensor.len();
            match p.place {
                Some((piece, start)) => shared[piece].row_range(2 * start, 2 * n).reshape(&[2, n]),
                None => Tensor::zeros(&self.gpu, &[2, n]),
            }
        };
        self.list.iter().map(of).collect()
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
