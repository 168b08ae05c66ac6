//! One open encoder and pass; pipelines and bind groups found again instead of made again.

use super::bindings::{self, Bindings};
use super::fault::PATIENCE;
use super::profile::{Counts, Profile, SLOTS};
use super::{Buffer, Gpu, Options, Variant, kernel, pool};
use crate::error::{Error, Result};
use crate::fnv::Fnv;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Bytes for the parameters of one dispatch: also WebGPU's alignment of dynamic offsets.
const SLOT: usize = 256;
/// Dispatches per submission: enough to hide the cost of submitting, few enough to start the device early.
const BATCH: usize = 128;
/// Submissions that the host may run ahead.
const AHEAD: usize = 3;

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    layout_id: usize,
    /// For each storage binding: whether it is written.
    writes: Vec<bool>,
}

type PipelineKey = (&'static str, Vec<(&'static str, u32)>);

pub(super) struct Recorder {
    open: Option<(wgpu::CommandEncoder, Option<wgpu::ComputePass<'static>>)>,
    params: Vec<u8>,
    arena: wgpu::Buffer,
    batch: u64,
    in_batch: usize,
    pub counts: Counts,
    /// What this batch writes, to be marked if the device refuses the batch.
    written: Vec<Weak<pool::Raw>>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
    pipelines: HashMap<PipelineKey, Arc<Pipeline>>,
    layouts: HashMap<Vec<bool>, (wgpu::BindGroupLayout, wgpu::PipelineLayout, usize)>,
    bind_groups: Bindings<wgpu::BindGroup>,
    profile: Option<Profile>,
    cache: Option<(wgpu::PipelineCache, PathBuf)>,
}

impl Recorder {
    pub fn new(device: &wgpu::Device, options: &Options) -> Recorder {
        let arena = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: (BATCH * SLOT) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Recorder {
            open: None,
            params: Vec::with_capacity(BATCH * SLOT),
            arena,
            batch: 1,
            in_batch: 0,
            counts: Counts::default(),
            written: Vec::new(),
            in_flight: VecDeque::new(),
            pipelines: HashMap::new(),
            layouts: HashMap::new(),
            bind_groups: Bindings::new(),
            profile: None,
            cache: open_cache(device, options),
        }
    }

    /// Whether commands not yet submitted touch this memory.
    pub fn uses(&self, raw: &pool::Raw) -> bool {
        self.in_batch > 0 && raw.used.load(Ordering::Relaxed) == self.batch
    }

    pub fn dispatch(
        &mut self,
        gpu: &Gpu,
        variant: Variant,
        params: &[u8],
        buffers: &[&Buffer],
        groups: [u32; 3],
    ) -> Result<()> {
        assert!(params.len() <= SLOT, "{}: {} bytes of parameters", variant.kernel.name, params.len());
        let pipeline = self.pipeline(gpu, variant)?;
        let (name, n) = (variant.kernel.name, pipeline.writes.len());
        assert!(buffers.len() == n, "{name}: {} buffers for {n} bindings", buffers.len());
        let bind_group = self.bind(gpu, &pipeline, name, buffers)?;
        self.open(gpu)?;
        for (buffer, written) in buffers.iter().zip(&pipeline.writes) {
            buffer.raw.used.store(self.batch, Ordering::Relaxed);
            if *written {
                self.written.push(Arc::downgrade(&buffer.raw));
            }
        }
        let offset = self.params.len() as u32;
        self.params.extend_from_slice(params);
        self.params.resize(offset as usize + SLOT, 0);
        self.in_batch += 1;
        self.counts.dispatches += 1;
        self.counts.bound_bytes += distinct_bytes(buffers);
        let (encoder, pass) = self.open.as_mut().expect("opened above");
        let timestamps = self.profile.as_mut().map(|profile| {
            let at = 2 * profile.names.len() as u32;
            profile.names.push(name);
            (&profile.queries, at)
        });
        if timestamps.is_some() {
            *pass = None;
        }
        let pass = pass.get_or_insert_with(|| {
            let timestamp_writes = timestamps.map(|(query_set, at)| wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(at),
                end_of_pass_write_index: Some(at + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        });
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bind_group, &[offset]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
        let full = self.profile.as_ref().is_some_and(|p| p.names.len() as u32 >= SLOTS);
        if self.in_batch >= BATCH || full {
            self.flush(gpu);
        }
        Ok(())
    }

    /// Makes sure that there is an encoder to record into.
    fn open(&mut self, gpu: &Gpu) -> Result<()> {
        if self.open.is_none() {
            let (encoder, error) = gpu.guarded(|| gpu.inner.device.create_command_encoder(&Default::default()));
            if let Some(error) = error {
                return Err(error);
            }
            self.open = Some((encoder, None));
        }
        Ok(())
    }

    /// The bind group of these buffers.
    fn bind(&mut self, gpu: &Gpu, pipeline: &Pipeline, name: &str, buffers: &[&Buffer]) -> Result<wgpu::BindGroup> {
        let key = bindings::key(pipeline.layout_id, buffers, gpu);
        if let Some(found) = self.bind_groups.get(&key) {
            return Ok(found);
        }
        for (i, (_, _, len)) in key.1.iter().enumerate() {
            if *len > gpu.inner.info.max_binding {
                return Err(Error::OutOfMemory(format!(
                    "{name}: binding {} holds {len} bytes and {} allows {}; split the tensor or shrink the batch",
                    i + 1,
                    gpu.inner.info,
                    gpu.inner.info.max_binding
                )));
            }
        }
        let whole = |buffer, offset, size: u64| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
        };
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: whole(&self.arena, 0, SLOT as u64) }];
        for (i, (buffer, (_, offset, len))) in buffers.iter().zip(&key.1).enumerate() {
            let resource = whole(&buffer.raw.buffer, *offset, *len);
            entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
        }
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        let (group, error) = gpu.guarded(|| gpu.inner.device.create_bind_group(&descriptor));
        match error {
            Some(error) => Err(error),
            None => {
                self.bind_groups.insert(key, group.clone());
                Ok(group)
            }
        }
    }

    fn pipeline(&mut self, gpu: &Gpu, variant: Variant) -> Result<Arc<Pipeline>> {
        let key = (variant.kernel.name, variant.consts.to_vec());
        if let Some(found) = self.pipelines.get(&key) {
            return Ok(found.clone());
        }
        let mut source = kernel::compose(variant.kernel, variant.consts);
        if let Some(patch) = &gpu.inner.options.patch {
            source = patch(variant.kernel.name, &source);
        }
        let writes = kernel::writes(variant.kernel.name, &source);
        let device = &gpu.inner.device;
        let at_kernel = |error| Error::Gpu(format!("kernel {}: {error}", variant.kernel.name));
        if !self.layouts.contains_key(&writes) {
            let (made, error) = gpu.guarded(|| make_layout(device, &writes, self.layouts.len()));
            if let Some(error) = error {
                return Err(at_kernel(error));
            }
            self.layouts.insert(writes.clone(), made);
        }
        let (layout, pipeline_layout, layout_id) = self.layouts[&writes].clone();
        let checks = match gpu.inner.options.checked {
            true => wgpu::ShaderRuntimeChecks::checked(),
            false => wgpu::ShaderRuntimeChecks::unchecked(),
        };
        let (pipeline, error) = gpu.guarded(|| {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(variant.kernel.name),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            };
            // SAFETY: every kernel keeps its own bounds (tests run them checked, guarded and with poisoned padding).
            let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(variant.kernel.name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.cache.as_ref().map(|(cache, _)| cache),
            })
        });
        if let Some(error) = error {
            return Err(at_kernel(error));
        }
        let made = Arc::new(Pipeline { pipeline, layout, layout_id, writes });
        self.pipelines.insert(key, made.clone());
        Ok(made)
    }

    pub fn flush(&mut self, gpu: &Gpu) {
        let Some((mut encoder, pass)) = self.open.take() else { return };
        let (index, error) = gpu.guarded(|| {
            drop(pass);
            if let Some(profile) = &self.profile {
                profile.resolve(&mut encoder);
            }
            gpu.inner.queue.write_buffer(&self.arena, 0, &self.params);
            gpu.inner.queue.submit([encoder.finish()])
        });
        self.params.clear();
        self.in_batch = 0;
        self.batch += 1;
        match error {
            // A refused submission has no place in the queue: nobody may wait for it.
            Some(error) => {
                self.written.drain(..).filter_map(|raw| raw.upgrade()).for_each(|raw| raw.failure.set(&error));
                self.profile.iter_mut().for_each(|profile| profile.names.clear());
                gpu.inner.fault.set(error);
            }
            None => {
                self.written.clear();
                self.in_flight.push_back(index);
                self.profile(gpu);
            }
        }
        while self.in_flight.len() > AHEAD {
            if let Some(oldest) = self.in_flight.pop_front() {
                self.wait(gpu, oldest);
            }
        }
        gpu.poll(wgpu::PollType::Poll); // lets wgpu release what it holds
    }

    /// Collects the timings of the batch just submitted, if they are taken.
    fn profile(&mut self, gpu: &Gpu) {
        let Some(mut profile) = self.profile.take() else { return };
        let ((), error) = gpu.guarded(|| profile.map());
        self.wait_all(gpu);
        match error {
            Some(error) => gpu.inner.fault.set(error),
            None => profile.collect(f64::from(gpu.inner.queue.get_timestamp_period()), &mut self.counts),
        }
        profile.names.clear();
        self.profile = Some(profile);
    }

    /// Waits for a submission. One that does not come ends the waiting for those behind it, too.
    pub fn wait(&mut self, gpu: &Gpu, index: wgpu::SubmissionIndex) {
        let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(PATIENCE) };
        if !gpu.poll(wait) {
            self.in_flight.clear();
        }
    }

    pub fn wait_all(&mut self, gpu: &Gpu) {
        while let Some(index) = self.in_flight.pop_front() {
            self.wait(gpu, index);
        }
    }

    pub fn forget_bindings(&mut self) {
        self.bind_groups.clear();
    }

    pub fn set_profiling(&mut self, gpu: &Gpu, on: bool) {
        self.profile = None;
        self.counts.times.clear();
        if on {
            let (profile, error) = gpu.guarded(|| Profile::new(&gpu.inner.device));
            match error {
                Some(error) => gpu.inner.fault.set(error),
                None => self.profile = Some(profile),
            }
        }
    }

    pub fn save_cache(&self) {
        let Some((cache, path)) = &self.cache else { return };
        let Some(data) = cache.get_data() else { return };
        let mut bytes = checksum(&data).to_le_bytes().to_vec();
        bytes.extend_from_slice(&data);
        replace(path, &bytes);
    }
}

/// Puts a file of the cache in place as a whole. Losing it costs some work at the next start, so failures are not worth a
/// word.
pub(super) fn replace(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = path.parent().map(std::fs::create_dir_all).transpose();
    if written.is_ok() && std::fs::write(&temporary, bytes).is_ok() {
        let _ = std::fs::rename(&temporary, path);
    }
}

/// Bytes of these buffers. One that stands in for others that a variant does not use counts once.
fn distinct_bytes(buffers: &[&Buffer]) -> u64 {
    let same = |a: &Buffer, b: &Buffer| a.raw.id == b.raw.id && a.offset == b.offset;
    let new = |(i, b): &(usize, &&Buffer)| !buffers[..*i].iter().any(|earlier| same(earlier, b));
    buffers.iter().enumerate().filter(new).map(|(_, b)| b.len).sum()
}

fn make_layout(
    device: &wgpu::Device,
    writes: &[bool],
    id: usize,
) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout, usize) {
    let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    };
    let storage =
        |(i, write): (usize, &bool)| entry(i as u32 + 1, wgpu::BufferBindingType::Storage { read_only: !write }, false);
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true)];
    entries.extend(writes.iter().enumerate().map(storage));
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    (layout, pipeline_layout, id)
}

fn open_cache(device: &wgpu::Device, options: &Options) -> Option<(wgpu::PipelineCache, PathBuf)> {
    let folder = options.cache.as_ref()?;
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    let name = wgpu::util::pipeline_cache_key(&device.adapter_info())?;
    let path = folder.join(format!("{name}.bin"));
    let stored = std::fs::read(&path).ok().filter(|b| b.len() > 8);
    let data = stored.as_ref().and_then(|b| {
        let (sum, data) = b.split_at(8);
        (checksum(data).to_le_bytes() == sum).then_some(data)
    });
    let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: true };
    // SAFETY: the data came from `get_data` of this driver, and its checksum holds.
    Some((unsafe { device.create_pipeline_cache(&descriptor) }, path))
}

pub(super) fn checksum(data: &[u8]) -> u64 {
    Fnv::new().bytes(data).value()
}
