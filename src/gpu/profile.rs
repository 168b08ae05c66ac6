//! Time on the device per kernel, from timestamps around each dispatch.

use std::collections::HashMap;

/// Timed dispatches per batch: two timestamps each.
pub(super) const SLOTS: u32 = 512;

/// What one kernel cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    pub kernel: &'static str,
    pub dispatches: u64,
    pub nanoseconds: f64,
}

/// What was asked of the device since it was opened; its times since they were last taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub dispatches: u64,
    /// Bytes of the buffers of all dispatches, each counted once a dispatch.
    pub bound_bytes: u64,
    /// Of each kernel the dispatches timed, and their nanoseconds.
    pub times: HashMap<&'static str, (u64, f64)>,
}

impl Counts {
    pub fn take_timings(&mut self) -> Vec<Timing> {
        let timing = |(kernel, (dispatches, nanoseconds))| Timing { kernel, dispatches, nanoseconds };
        let mut list: Vec<_> = self.times.drain().map(timing).collect();
        list.sort_by(|a, b| b.nanoseconds.total_cmp(&a.nanoseconds).then(a.kernel.cmp(b.kernel)));
        list
    }
}

pub(super) struct Profile {
    pub queries: wgpu::QuerySet,
    resolve: wgpu::Buffer,
    staging: wgpu::Buffer,
    pub names: Vec<&'static str>,
}

impl Profile {
    pub fn new(device: &wgpu::Device) -> Profile {
        let buffer = |usage| {
            let size = u64::from(SLOTS) * 16;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        Profile {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: SLOTS * 2,
            }),
            resolve: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
            names: Vec::new(),
        }
    }

    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        let n = self.names.len() as u32;
        if n > 0 {
            encoder.resolve_query_set(&self.queries, 0..2 * n, &self.resolve, 0);
            encoder.copy_buffer_to_buffer(&self.resolve, 0, &self.staging, 0, u64::from(n) * 16);
        }
    }

    /// Asks for the timestamps of the batch that was just submitted.
    pub fn map(&self) {
        if !self.names.is_empty() {
            self.staging.slice(..self.names.len() as u64 * 16).map_async(wgpu::MapMode::Read, |_| ());
        }
    }

    /// Adds them up; the caller has waited for the batch. Nothing is there if the device did not answer.
    pub fn collect(&mut self, nanoseconds_per_tick: f64, counts: &mut Counts) {
        if self.names.is_empty() {
            return;
        }
        if let Ok(view) = self.staging.slice(..self.names.len() as u64 * 16).get_mapped_range() {
            let ticks: &[u64] = bytemuck::cast_slice(&view);
            for (name, pair) in self.names.iter().zip(ticks.chunks_exact(2)) {
                let sum = counts.times.entry(name).or_default();
                sum.0 += 1;
                sum.1 += pair[1].saturating_sub(pair[0]) as f64 * nanoseconds_per_tick;
            }
        }
        self.staging.unmap();
    }
}
