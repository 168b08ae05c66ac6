//! A shape over device memory. Knows no gradients beyond whether it wants one.

use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use bytemuck::Pod;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A dense row-major array of 4-byte elements (`f32` or `u32`) on a device. Cheap to clone; clones share memory.
///
/// Dereferences to its [`Buffer`], so that `gpu.dispatch(…, &[&x, &y], …)` takes tensors as they are.
#[derive(Clone, Debug)]
pub struct Tensor {
    gpu: Gpu,
    buffer: Buffer,
    shape: Vec<usize>,
    id: u64,
    parameter: bool,
    /// Of a view: the id of the whole, and whether that is a parameter.
    whole: Option<(u64, bool)>,
}

impl Tensor {
    /// Uninitialised memory: for the output of a kernel that writes all of it.
    pub fn empty(gpu: &Gpu, shape: &[usize]) -> Tensor {
        let bytes = 4 * shape.iter().product::<usize>() as u64;
        Tensor::over(gpu, gpu.alloc(bytes), shape)
    }

    fn over(gpu: &Gpu, buffer: Buffer, shape: &[usize]) -> Tensor {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Tensor { gpu: gpu.clone(), buffer, shape: shape.to_vec(), id, parameter: false, whole: None }
    }

    /// # Panics
    /// When the number of elements is not the product of the shape.
    #[track_caller]
    pub fn from_slice<T: Pod>(gpu: &Gpu, data: &[T], shape: &[usize]) -> Tensor {
        assert!(size_of::<T>() == 4, "from_slice: elements of {} bytes, expected 4", size_of::<T>());
        let n: usize = shape.iter().product();
        assert!(data.len() == n, "from_slice: {} elements for shape {shape:?} of {n}", data.len());
        let tensor = Tensor::empty(gpu, shape);
        gpu.write(&tensor.buffer, bytemuck::cast_slice(data));
        tensor
    }

    pub fn zeros(gpu: &Gpu, shape: &[usize]) -> Tensor {
        Tensor::full(gpu, shape, 0.0)
    }

    /// Every element `value`.
    pub fn full(gpu: &Gpu, shape: &[usize], value: f32) -> Tensor {
        let tensor = Tensor::empty(gpu, shape);
        crate::ops::fill(gpu, &tensor, value);
        tensor
    }

    /// The same memory, marked as something to learn: tapes record what happens to it.
    pub fn parameter(mut self) -> Tensor {
        self.parameter = true;
        self
    }

    pub fn is_parameter(&self) -> bool {
        self.parameter
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a tape knows this value by; reshaped tensors share it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Of a view: what a tape knows the whole by, and whether that is a parameter.
    pub(crate) fn whole(&self) -> Option<(u64, bool)> {
        self.whole
    }

    /// `(rows, dim)`: the last axis, and everything before it as rows.
    #[track_caller]
    pub fn rows(&self) -> (usize, usize) {
        let dim = *self.shape.last().expect("rows: a tensor without axes");
        (self.shape[..self.shape.len() - 1].iter().product(), dim)
    }

    /// The same values in another shape.
    ///
    /// # Panics
    /// When the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        assert!(n == self.len(), "reshape: {:?} has {} elements, {shape:?} has {n}", self.shape, self.len());
        Tensor { shape: shape.to_vec(), ..self.clone() }
    }

    /// Rows `start..start + rows` along the first axis, as a view without a gradient: a tape that should
    /// differentiate through it panics.
    ///
    /// # Panics
    /// When the range leaves the tensor.
    #[track_caller]
    pub fn row_range(&self, start: usize, rows: usize) -> Tensor {
        assert!(start + rows <= self.shape[0], "row_range: {start}+{rows} leaves {:?}", self.shape);
        let row_bytes = 4 * self.shape[1..].iter().product::<usize>() as u64;
        let mut shape = self.shape.clone();
        shape[0] = rows;
        let buffer = self.buffer.slice(start as u64 * row_bytes, rows as u64 * row_bytes);
        // A parameter may itself be a part of memory that it shares with others.
        let whole = self.whole.filter(|_| !self.parameter).or(Some((self.id, self.parameter)));
        Tensor { whole, ..Tensor::over(&self.gpu, buffer, &shape) }
    }

    /// Copies `data` over the values.
    #[track_caller]
    pub fn write<T: Pod>(&self, data: &[T]) {
        assert!(size_of_val(data) == 4 * self.len(), "write: {} elements into {:?}", data.len(), self.shape);
        self.gpu.write(&self.buffer, bytemuck::cast_slice(data));
    }

    /// Reads the values back. Errors of everything recorded before come out here.
    pub async fn read<T: Pod>(&self) -> Result<Vec<T>> {
        let bytes = self.gpu.read(&self.buffer).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Blocking form of [`Tensor::read`].
    pub fn to_vec<T: Pod>(&self) -> Result<Vec<T>> {
        pollster::block_on(self.read())
    }

    /// [`Tensor::to_vec`] of several tensors of one device, which waits for it once.
    pub fn to_vecs<const N: usize>(tensors: [&Tensor; N]) -> Result<[Words; N]> {
        let Some(first) = tensors.first() else { return Ok(std::array::from_fn(|_| Words(Vec::new()))) };
        let bytes = pollster::block_on(first.gpu.read_all(&tensors.map(|t| &t.buffer)))?;
        let mut bytes = bytes.into_iter().map(Words);
        Ok(std::array::from_fn(|_| bytes.next().expect("as many as were asked for")))
    }

    /// The only value of a tensor with one element.
    #[track_caller]
    pub fn item(&self) -> Result<f32> {
        assert!(self.len() == 1, "item: a tensor of shape {:?}", self.shape);
        Ok(self.to_vec::<f32>()?[0])
    }

    /// A caller's mistake ends here: panics unless the shape is `expected`. `what` names op and tensor.
    #[track_caller]
    pub fn expect_shape(&self, what: &str, expected: &[usize]) {
        assert!(self.shape == expected, "{what}: expected shape {expected:?}, got {:?}", self.shape);
    }
}

/// What a tensor held, not yet said to be of one type or another.
#[derive(Debug, Clone)]
pub struct Words(Vec<u8>);

impl Words {
    pub fn of<T: Pod>(&self) -> Vec<T> {
        bytemuck::pod_collect_to_vec(&self.0)
    }
}

impl Deref for Tensor {
    type Target = Buffer;
    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}
