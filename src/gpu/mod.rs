//! The only code that names wgpu. It knows buffers, kernels and dispatches, and no shapes.
//!
//! Commands gather in one open encoder and pass, go to the device in batches, and never run further ahead of it than a
//! few batches. Nothing here panics for what the world does: errors stick and come out of the next read or
//! [`Gpu::sync`].

mod adapter;
mod autotune;
mod bindings;
mod fault;
mod kernel;
mod pool;
mod profile;
mod record;
mod transfer;

pub use adapter::{AdapterInfo, Options, Patch, adapters};
pub use autotune::{Choice, race};
pub use kernel::{Kernel, Variant, compose};
pub use pool::{Buffer, Memory, SENTINEL};
pub use profile::Timing;
/// For hosts that own the device: see [`Gpu::from_wgpu`].
pub use wgpu;

use crate::error::{Error, Result};
use autotune::Choices;
use bytemuck::Pod;
use fault::Fault;
use pool::Pool;
use record::Recorder;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A device. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: AdapterInfo,
    options: Options,
    pool: Arc<Pool>,
    recorder: Mutex<Recorder>,
    fault: Arc<Fault>,
    choices: Choices,
    /// Whether mixed precision is on, or why not.
    mixed: OnceLock<std::result::Result<(), String>>,
    _keep: Option<(wgpu::Instance, wgpu::Adapter)>,
}

/// Workgroups of a dispatch. A count beyond the device's limit of 65,535 is folded over y, so a kernel that maps one
/// group to one row reads `group.y * num_workgroups.x + group.x` and checks it against its count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups(pub [u32; 3]);

impl From<u32> for Groups {
    fn from(n: u32) -> Self {
        const MAX: u32 = 65_535;
        let y = n.div_ceil(MAX).max(1);
        Groups([n.div_ceil(y), if n == 0 { 0 } else { y }, 1])
    }
}

impl From<usize> for Groups {
    fn from(n: usize) -> Self {
        Groups::from(n as u32)
    }
}

impl From<[u32; 3]> for Groups {
    fn from(n: [u32; 3]) -> Self {
        Groups(n)
    }
}

impl Gpu {
    /// The best adapter, or the one that the environment names: see [`Options`]. Blocks.
    pub fn new() -> Result<Gpu> {
        Gpu::open(Options::from_env())
    }

    /// Blocking form of [`Gpu::open_async`].
    pub fn open(options: Options) -> Result<Gpu> {
        pollster::block_on(Gpu::open_async(options))
    }

    pub async fn open_async(options: Options) -> Result<Gpu> {
        let opened = adapter::open(&options).await?;
        let gpu = Gpu::build(opened.device, opened.queue, options, Some(opened.keep), opened.matrices);
        let (on_error, on_loss) = (gpu.inner.fault.clone(), gpu.inner.fault.clone());
        gpu.inner.device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| on_error.set(e.into())));
        gpu.inner.device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                on_loss.set(Error::DeviceLost(message));
            }
        });
        Ok(gpu)
    }

    /// Runs on a device that the host owns. The host's error and device-lost handlers stay in place.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Gpu {
        Gpu::from_wgpu_with(device, queue, Options::default())
    }

    /// [`Gpu::from_wgpu`] with options; those that choose an adapter and its limits do nothing, since the host did that.
    pub fn from_wgpu_with(device: wgpu::Device, queue: wgpu::Queue, options: Options) -> Gpu {
        let unknown = Err("the host opened the device: which matrices it multiplies is unknown".to_string());
        Gpu::build(device, queue, options, None, unknown)
    }

    fn build(
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: Options,
        keep: Option<(wgpu::Instance, wgpu::Adapter)>,
        matrices: std::result::Result<u32, String>,
    ) -> Gpu {
        let mut info = adapter::describe(&device.adapter_info(), device.features(), &device.limits());
        info.max_binding = options.max_binding.unwrap_or(info.max_binding).min(info.max_binding);
        info.cpu_kernels &= !options.gpu_variants;
        let mixed = OnceLock::new();
        match matrices {
            Ok(fragment) => info.fragment = fragment,
            Err(reason) => drop(mixed.set(Err(reason))),
        }
        let choices = Choices::open(&options, &format!("{} {}", info.name, info.driver));
        let pool = Pool::new(options.guard);
        let fault = Arc::new(Fault::default());
        let (recorder, error) = fault::guarded(&device, || Mutex::new(Recorder::new(&device, &options)));
        if let Some(error) = error {
            fault.set(error);
        }
        Gpu {
            inner: Arc::new(Inner { device, queue, info, options, pool, recorder, fault, choices, mixed, _keep: keep }),
        }
    }

    pub fn info(&self) -> &AdapterInfo {
        &self.inner.info
    }

    /// Whether products may run in mixed precision, or why not: asked for, offered by the adapter, and right in `test`,
    /// which runs once per device.
    pub fn mixed(&self, test: impl FnOnce() -> std::result::Result<(), String>) -> &std::result::Result<(), String> {
        let failed = || Err("the device had failed before it was tested".to_string());
        self.inner.mixed.get_or_init(|| self.apart(test).unwrap_or_else(failed))
    }

    /// Whether both are the same device.
    pub fn is(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub fn memory(&self) -> Memory {
        self.inner.pool.memory()
    }

    /// Starts the high-water mark anew at what is live now.
    pub fn reset_peak(&self) {
        self.inner.pool.set_peak(0);
    }

    /// Gives pooled memory that nothing uses back to the driver.
    pub fn trim(&self) -> Result<()> {
        self.release();
        self.inner.fault.take()
    }

    /// Waits for the device and gives back what it no longer needs.
    fn release(&self) {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.wait_all(self);
        recorder.forget_bindings();
        self.inner.pool.trim();
        self.poll(wgpu::PollType::Poll); // lets wgpu free it
    }

    /// Memory of at least `bytes`, with whatever was in it before. A refusal sticks as [`Error::OutOfMemory`].
    pub fn alloc(&self, bytes: u64) -> Buffer {
        let buffer = self.inner.pool.take(bytes, |capacity| {
            let made = self.create(bytes, capacity);
            if let (_, Some(error)) = &made {
                self.inner.fault.set(error.clone());
            }
            made
        });
        if self.inner.options.guard && !buffer.raw.refused {
            self.poison(&buffer);
            self.inner.pool.watch(&buffer);
        }
        buffer
    }

    /// Memory from the driver, or a stand-in and why.
    fn create(&self, bytes: u64, capacity: u64) -> (wgpu::Buffer, Option<Error>) {
        let (device, limit) = (&self.inner.device, self.inner.device.limits().max_buffer_size);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let make = |size| {
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            self.guarded(|| device.create_buffer(&descriptor))
        };
        if bytes > limit {
            let message = format!(
                "{bytes} bytes in one piece, but {} allows {limit}; use fewer items, or a smaller dim, batch or length (a \
                 table to score with may be of fewer bits: export --items f16 or int8)",
                self.inner.info
            );
            return (make(256).0, Some(Error::OutOfMemory(message)));
        }
        let mut made = make(capacity.min(limit));
        if matches!(made.1, Some(Error::OutOfMemory(_))) {
            // Free buffers of other sizes, and those that bind groups hold, may be all that is in the way.
            self.release();
            made = make(capacity.min(limit));
        }
        let (buffer, error) = made;
        let with_advice = |error| match error {
            Error::OutOfMemory(_) => Error::OutOfMemory(format!(
                "{capacity} bytes more than the {} in use; use a smaller batch, length or dim",
                self.inner.pool.memory().reserved
            )),
            other => other,
        };
        (buffer, error.map(with_advice))
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        // A caller's mistake panics before anything is recorded: others go on.
        self.inner.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records one dispatch: `params` at binding 0, `buffers` at 1, 2, …, in the order of the shader's bindings.
    ///
    /// # Panics
    /// When the number of buffers is not what the shader binds.
    #[track_caller]
    pub fn dispatch<'a, P: Pod>(
        &self,
        kernel: impl Into<Variant<'a>>,
        params: P,
        buffers: &[&Buffer],
        groups: impl Into<Groups>,
    ) {
        let variant: Variant = kernel.into();
        let Groups([x, y, z]) = groups.into();
        if [x, y, z].contains(&0) {
            return;
        }
        let failed = buffers.iter().find_map(|b| b.raw.failure.get()).or_else(|| self.inner.fault.loss());
        if let Some(error) = failed {
            return variant.fail(buffers, &error);
        }
        let mut recorder = self.recorder();
        let recorded = recorder.dispatch(self, variant, bytemuck::bytes_of(&params), buffers, [x, y, z]);
        if let Err(error) = recorded {
            variant.fail(buffers, &error);
            self.inner.fault.set(error);
        }
    }

    /// Sends everything recorded so far to the device, without waiting for it.
    pub fn flush(&self) {
        self.recorder().flush(self);
    }

    /// Sends everything and waits. The first error since the last time comes out here.
    pub fn sync(&self) -> Result<()> {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.wait_all(self);
        drop(recorder);
        self.inner.fault.take()
    }

    /// Starts (or stops) timing every dispatch on the device. Costs a pass per dispatch while on.
    pub fn set_profiling(&self, on: bool) {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.set_profiling(self, on && self.inner.info.timestamps);
    }

    /// Time per kernel since profiling began or this was last called, longest first. Blocks.
    pub fn take_timings(&self) -> Result<Vec<Timing>> {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.wait_all(self);
        let timings = recorder.counts.take_timings();
        drop(recorder);
        self.inner.fault.take()?;
        Ok(timings)
    }

    /// Dispatches recorded since the device was opened.
    pub fn dispatches(&self) -> u64 {
        self.recorder().counts.dispatches
    }

    /// Bytes of the buffers that dispatches bound since the device was opened, each buffer once a dispatch: what they
    /// move if each reads or writes all of its buffers once.
    pub fn bound_bytes(&self) -> u64 {
        self.recorder().counts.bound_bytes
    }

    /// Keeps what the driver compiled on disk for the next start, where there is a cache. Also done when the device goes.
    pub fn save_cache(&self) {
        self.recorder().save_cache();
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.inner.info)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(recorder) = self.recorder.get_mut() {
            recorder.save_cache();
        }
    }
}
