//! The only code that names wgpu. It knows buffers, kernels and dispatches, and no shapes.
//!
//! Commands gather in one open encoder and pass, go to the device in batches, and never run further ahead of it than a
//! few batches. Nothing here panics for what the world does: errors stick and come out of the next read or
//! [`Gpu::sync`].

mod adapter;
mod kernel;
mod pool;
mod profile;
mod record;

pub use adapter::{AdapterInfo, Options, Patch, adapters};
pub use kernel::{Kernel, Variant, compose};
pub use pool::{Buffer, Memory, SENTINEL};
pub use profile::Timing;
/// For hosts that own the device: see [`Gpu::from_wgpu`].
pub use wgpu;

use crate::error::{Error, Result};
use bytemuck::Pod;
use pool::Pool;
use record::Recorder;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

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
    _keep: Option<(wgpu::Instance, wgpu::Adapter)>,
}

/// The first error since it was last taken. A lost device stays lost.
#[derive(Default)]
struct Fault {
    first: Mutex<Option<Error>>,
    lost: AtomicBool,
}

impl Fault {
    fn set(&self, error: Error) {
        if matches!(error, Error::DeviceLost(_)) {
            self.lost.store(true, Ordering::SeqCst);
        }
        self.first.lock().expect("fault lock").get_or_insert(error);
    }

    fn take(&self) -> Result<()> {
        let taken = self.first.lock().expect("fault lock").take();
        match taken {
            Some(error) => Err(error),
            None if self.lost.load(Ordering::SeqCst) => Err(Error::DeviceLost("it was lost before".into())),
            None => Ok(()),
        }
    }
}

impl From<wgpu::Error> for Error {
    fn from(e: wgpu::Error) -> Self {
        match e {
            wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory("the driver refused an allocation".into()),
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Error::Gpu(description)
            }
        }
    }
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
        let gpu = Gpu::build(opened.device, opened.queue, options, Some(opened.keep));
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
        Gpu::build(device, queue, Options::default(), None)
    }

    fn build(
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: Options,
        keep: Option<(wgpu::Instance, wgpu::Adapter)>,
    ) -> Gpu {
        let mut info = adapter::describe(&device.adapter_info(), device.features(), &device.limits());
        info.max_binding = options.max_binding.unwrap_or(info.max_binding).min(info.max_binding);
        let pool = Pool::new(options.guard);
        let recorder = Mutex::new(Recorder::new(&device, &queue, &options));
        let fault = Arc::new(Fault::default());
        Gpu { inner: Arc::new(Inner { device, queue, info, options, pool, recorder, fault, _keep: keep }) }
    }

    pub fn info(&self) -> &AdapterInfo {
        &self.inner.info
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
        self.inner.pool.reset_peak();
    }

    /// Gives pooled memory that nothing uses back to the driver.
    pub fn trim(&self) -> Result<()> {
        self.sync()?;
        self.recorder().forget_bindings();
        self.inner.pool.trim();
        let _ = self.inner.device.poll(wgpu::PollType::Poll);
        Ok(())
    }

    /// Memory of at least `bytes`, with whatever was in it before. A refusal sticks as [`Error::OutOfMemory`].
    pub fn alloc(&self, bytes: u64) -> Buffer {
        let limit = self.inner.device.limits().max_buffer_size;
        let buffer = self.inner.pool.take(bytes, |capacity| {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let make = |size| wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            if bytes > limit {
                self.inner.fault.set(Error::OutOfMemory(format!(
                    "{bytes} bytes in one piece, but {} allows {limit}; use a smaller batch or split the table",
                    self.inner.info
                )));
                return (self.inner.device.create_buffer(&make(256)), true);
            }
            let (buffer, error) = self.guarded(|| self.inner.device.create_buffer(&make(capacity.min(limit))));
            if let Some(error) = &error {
                let live = self.inner.pool.memory();
                self.inner.fault.set(match error {
                    Error::OutOfMemory(_) => Error::OutOfMemory(format!(
                        "{capacity} bytes more than the {} in use; use a smaller batch, length or dim",
                        live.reserved
                    )),
                    other => other.clone(),
                });
            }
            (buffer, error.is_some())
        });
        if self.inner.options.guard && !buffer.raw.failed {
            self.poison(&buffer);
            self.inner.pool.watch(&buffer);
        }
        buffer
    }

    /// Runs `work` and returns the first error that wgpu reports meanwhile.
    fn guarded<T>(&self, work: impl FnOnce() -> T) -> (T, Option<Error>) {
        let scope = |filter| self.inner.device.push_error_scope(filter);
        let memory = scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = scope(wgpu::ErrorFilter::Internal);
        let validation = scope(wgpu::ErrorFilter::Validation);
        let value = work();
        let mut first = None;
        for scope in [validation, internal, memory] {
            first = first.or(pollster::block_on(scope.pop()));
        }
        (value, first.map(Error::from))
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.inner.recorder.lock().expect("recorder lock")
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
        let failed = buffers.iter().any(|b| b.raw.failed) || self.inner.fault.lost.load(Ordering::Relaxed);
        if x * y * z == 0 || failed {
            return;
        }
        let mut recorder = self.recorder();
        let recorded = recorder.dispatch(self, variant, bytemuck::bytes_of(&params), buffers, [x, y, z]);
        if let Err(error) = recorded {
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

    /// Copies `bytes` into `buffer`, in order with the dispatches before and after.
    ///
    /// # Panics
    /// When the bytes do not fit, or their number is not a multiple of 4.
    #[track_caller]
    pub fn write(&self, buffer: &Buffer, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= buffer.len, "write: {} bytes into a buffer of {}", bytes.len(), buffer.len);
        assert!(bytes.len().is_multiple_of(4), "write: {} bytes is not a multiple of 4", bytes.len());
        if buffer.raw.failed || bytes.is_empty() {
            return;
        }
        // An upload runs before the next submission: commands recorded but not submitted must go first.
        let mut recorder = self.recorder();
        if recorder.uses(&buffer.raw) {
            recorder.flush(self);
        }
        let write = || self.inner.queue.write_buffer(&buffer.raw.buffer, buffer.offset, bytes);
        if let ((), Some(error)) = self.guarded(write) {
            self.inner.fault.set(error);
        }
    }

    /// Reads `buffer` back. On the web this yields to the browser; natively it blocks.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<u8>> {
        if buffer.len == 0 || buffer.raw.failed {
            self.sync()?;
            return Ok(Vec::new());
        }
        let size = buffer.len.next_multiple_of(4);
        let (staging, ready) = {
            let mut recorder = self.recorder();
            recorder.flush(self);
            let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let ((staging, index), error) = self.guarded(|| {
                let staging = self.inner.device.create_buffer(&descriptor);
                let mut encoder = self.inner.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&buffer.raw.buffer, buffer.offset, &staging, 0, size);
                let index = self.inner.queue.submit([encoder.finish()]);
                (staging, index)
            });
            if let Some(error) = error {
                self.inner.fault.set(error);
            }
            let ready = Arc::new(Mutex::new(None));
            let told = ready.clone();
            staging.slice(..).map_async(wgpu::MapMode::Read, move |r| *told.lock().expect("map lock") = Some(r));
            recorder.wait(self, index);
            (staging, ready)
        };
        self.inner.fault.take()?;
        let mapped = std::future::poll_fn(|cx| {
            let _ = self.inner.device.poll(wgpu::PollType::Poll);
            match ready.lock().expect("map lock").take() {
                Some(result) => std::task::Poll::Ready(result),
                None => {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            }
        });
        mapped.await.map_err(|e| Error::Gpu(format!("read-back failed: {e}")))?;
        let view = staging.slice(..).get_mapped_range();
        let view = view.map_err(|e| Error::Gpu(format!("read-back failed: {e}")))?;
        Ok(view[..buffer.len as usize].to_vec())
    }

    /// Fills a whole buffer, tail and all, with [`SENTINEL`].
    fn poison(&self, buffer: &Buffer) {
        let whole = Buffer { raw: buffer.raw.clone(), offset: 0, len: buffer.raw.capacity };
        self.write(&whole, bytemuck::cast_slice(&vec![SENTINEL; buffer.raw.capacity as usize / 4]));
    }

    /// In guard mode: fails when a kernel wrote behind the end of any live tensor. Blocks.
    pub fn check_guards(&self) -> Result<()> {
        for raw in self.inner.pool.alive() {
            let guard = pool::GUARD_BYTES;
            let tail = Buffer { offset: raw.capacity - guard, len: guard, raw };
            let bytes = pollster::block_on(self.read(&tail))?;
            if bytemuck::cast_slice::<u8, u32>(&bytes).iter().any(|w| *w != SENTINEL) {
                return Err(Error::Gpu(format!("a kernel wrote behind a buffer of {} bytes", tail.raw.capacity)));
            }
        }
        Ok(())
    }

    /// Starts (or stops) timing every dispatch on the device. Costs a pass per dispatch while on.
    pub fn set_profiling(&self, on: bool) {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.set_profiling(&self.inner.device, on && self.inner.info.timestamps);
    }

    /// Time per kernel since profiling began or this was last called, longest first. Blocks.
    pub fn take_timings(&self) -> Result<Vec<Timing>> {
        let mut recorder = self.recorder();
        recorder.flush(self);
        recorder.wait_all(self);
        Ok(recorder.take_timings())
    }

    /// Dispatches recorded since the device was opened.
    pub fn dispatches(&self) -> u64 {
        self.recorder().dispatches
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
