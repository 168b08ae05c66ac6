//! Which adapter, with which features and limits.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Rewrites a kernel's source before it is compiled, given its name and composed text. For tests that break kernels.
pub type Patch = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// How to open a device. [`Options::from_env`] reads the variables; `Default` ignores them.
#[derive(Clone, Default)]
pub struct Options {
    /// Part of the adapter's name, or its index in [`adapters`]. `DESIREPATH_ADAPTER`.
    pub adapter: Option<String>,
    /// Ask for exactly WebGPU's default limits and no optional feature. `DESIREPATH_LIMITS=webgpu`.
    pub webgpu_limits: bool,
    /// Compile shaders with bounds checks and bounded loops. `DESIREPATH_CHECKED=1`.
    pub checked: bool,
    /// Choose the kernels that GPUs run, whatever the adapter: to test them on a driver on the CPU.
    /// `DESIREPATH_VARIANTS=gpu`.
    pub gpu_variants: bool,
    /// Fill new buffers with NaN and watch the bytes behind them: see [`Gpu::check_guards`](super::Gpu::check_guards).
    pub guard: bool,
    /// Bytes per binding to pretend, to exercise the splitting of large tables on small ones.
    pub max_binding: Option<u64>,
    /// Where the driver's pipeline cache is kept; `None` keeps none. `DESIREPATH_CACHE`, by default the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Let kernels that give the same bits race for a short while where an op first meets a size, and keep the outcome in
    /// `cache`. Off in `Default`; on in [`Options::from_env`] unless `DESIREPATH_AUTOTUNE=0`, and off where a variable
    /// above asks for limits or variants that are not the adapter's own.
    pub autotune: bool,
    /// Multiply matrices of f16, with sums in f32, where the adapter has units for it and they pass a test at the start:
    /// see [`mixed`](crate::ops::mixed). `DESIREPATH_PRECISION=mixed`.
    pub mixed_precision: bool,
    /// See [`Patch`].
    pub patch: Option<Patch>,
}

impl Options {
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = || {
            var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| var("HOME").map(|h| PathBuf::from(h).join(".cache")))
        };
        let is = |name: &str, value: &str| var(name).is_some_and(|v| v == value);
        let (webgpu_limits, gpu_variants) = (is("DESIREPATH_LIMITS", "webgpu"), is("DESIREPATH_VARIANTS", "gpu"));
        Options {
            adapter: var("DESIREPATH_ADAPTER"),
            webgpu_limits,
            checked: var("DESIREPATH_CHECKED").is_some_and(|v| v != "0"),
            gpu_variants,
            autotune: !is("DESIREPATH_AUTOTUNE", "0") && !webgpu_limits && !gpu_variants,
            mixed_precision: is("DESIREPATH_PRECISION", "mixed"),
            cache: var("DESIREPATH_CACHE").map(PathBuf::from).or_else(|| home().map(|h| h.join("desirepath"))),
            ..Options::default()
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("adapter", &self.adapter)
            .field("webgpu_limits", &self.webgpu_limits)
            .field("checked", &self.checked)
            .field("gpu_variants", &self.gpu_variants)
            .field("guard", &self.guard)
            .field("autotune", &self.autotune)
            .field("mixed_precision", &self.mixed_precision)
            .finish_non_exhaustive()
    }
}

/// What is known of an adapter, without naming wgpu.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterInfo {
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, …
    pub backend: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `other`.
    pub kind: &'static str,
    pub driver: String,
    /// A driver on the CPU: correct everywhere, and slow.
    pub software: bool,
    /// Whether ops choose the kernels made for such a driver: see [`Options::gpu_variants`].
    pub cpu_kernels: bool,
    pub subgroup_min: u32,
    pub subgroup_max: u32,
    pub f16: bool,
    /// Rows of the matrices that mixed precision multiplies at once; 0 where it was not asked for or is not offered.
    pub fragment: u32,
    pub subgroups: bool,
    pub timestamps: bool,
    pub max_binding: u64,
    pub max_buffer: u64,
    pub max_workgroup_memory: u32,
    pub max_invocations: u32,
    pub max_storage_buffers: u32,
}

impl AdapterInfo {
    /// Whether the kernels for eight lanes and broadcasts are chosen: on the CPU, where a barrier is a switch of
    /// coroutines, if subgroups are that wide.
    pub fn eight_lanes(&self) -> bool {
        self.cpu_kernels && self.has_eight_lanes()
    }

    /// Whether those kernels can run at all.
    pub fn has_eight_lanes(&self) -> bool {
        self.subgroups && self.subgroup_min >= 8
    }
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.kind)
    }
}

pub(super) fn describe(info: &wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits) -> AdapterInfo {
    use wgpu::DeviceType::*;
    AdapterInfo {
        name: info.name.clone(),
        backend: info.backend.to_string(),
        kind: match info.device_type {
            DiscreteGpu => "discrete GPU",
            IntegratedGpu => "integrated GPU",
            VirtualGpu => "virtual GPU",
            Cpu => "software",
            Other => "other",
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        software: info.device_type == Cpu,
        cpu_kernels: info.device_type == Cpu,
        subgroup_min: info.subgroup_min_size,
        subgroup_max: info.subgroup_max_size,
        fragment: 0, // what is asked for and opened decides
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
    }
}

fn rank(kind: wgpu::DeviceType) -> u32 {
    use wgpu::DeviceType::*;
    match kind {
        DiscreteGpu => 0,
        IntegratedGpu => 1,
        VirtualGpu => 2,
        Other => 3,
        Cpu => 4,
    }
}

async fn enumerate() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    adapters.sort_by_key(|a| rank(a.get_info().device_type)); // stable: the system's order within a kind
    (instance, adapters)
}

/// Every adapter of this machine, best kind first: the order that an index in [`Options::adapter`] counts in.
pub async fn adapters() -> Vec<AdapterInfo> {
    let (_instance, list) = enumerate().await;
    list.iter().map(|a| describe(&a.get_info(), a.features(), &a.limits())).collect()
}

fn choose(names: &[String], wanted: Option<&str>) -> Result<usize> {
    let list = || {
        let rows: Vec<_> = names.iter().enumerate().map(|(i, n)| format!("{i}: {n}")).collect();
        rows.join(", ")
    };
    if names.is_empty() {
        return Err(Error::NoAdapter(
            "no Vulkan, Metal or DX12 driver was found; on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` \
             brings one that runs on the CPU"
                .into(),
        ));
    }
    let Some(wanted) = wanted else { return Ok(0) };
    // A number is an index, never a part of a name: those are full of version numbers.
    let found = match wanted.trim().parse::<usize>() {
        Ok(index) => (index < names.len()).then_some(index),
        Err(_) => names.iter().position(|n| n.to_lowercase().contains(&wanted.to_lowercase())),
    };
    found.ok_or_else(|| {
        Error::NoAdapter(format!("none is called {wanted:?}; choose a part of a name or an index from: {}", list()))
    })
}

pub(super) struct Opened {
    pub keep: (wgpu::Instance, wgpu::Adapter), // some drivers fault when these go before the device
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// Rows of the matrices that can be multiplied at once, or why none can.
    pub matrices: std::result::Result<u32, String>,
}

/// The matrices for mixed precision: 16x16x16 of f16 with sums in f32, and subgroups of 32 lanes, no others; products
/// on others have been seen wrong or far slower than none. Drivers on the CPU: 8x8x8 in subgroups of 8, to test with.
fn matrices(adapter: &wgpu::Adapter, options: &Options) -> std::result::Result<u32, String> {
    use wgpu::CooperativeScalarType::{F16, F32};
    if !options.mixed_precision || options.webgpu_limits {
        return Err("not asked for; DESIREPATH_PRECISION=mixed asks".into());
    }
    let info = adapter.get_info();
    let wanted =
        wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(wanted) {
        return Err("the driver offers no cooperative matrices of f16".into());
    }
    let (fragment, lanes) = if info.device_type == wgpu::DeviceType::Cpu { (8, 8) } else { (16, 32) };
    let list = adapter.cooperative_matrix_properties();
    let fits = |p: &wgpu::CooperativeMatrixProperties| {
        [p.m_size, p.n_size, p.k_size] == [fragment; 3] && p.ab_type == F16 && p.cr_type == F32
    };
    let limits = adapter.limits();
    if !list.iter().any(fits) {
        return Err(format!("the driver offers no {fragment}x{fragment}x{fragment} of f16 with sums in f32"));
    }
    if [info.subgroup_min_size, info.subgroup_max_size] != [lanes; 2] {
        let (min, max) = (info.subgroup_min_size, info.subgroup_max_size);
        return Err(format!("subgroups have {min} to {max} lanes, not {lanes}"));
    }
    if limits.max_compute_workgroup_storage_size < 32 << 10 || limits.max_storage_buffers_per_shader_stage < 9 {
        return Err("it takes 32 KiB of workgroup memory and 9 storage buffers".into());
    }
    Ok(fragment)
}

pub(super) async fn open(options: &Options) -> Result<Opened> {
    let (instance, mut list) = enumerate().await;
    let names: Vec<_> = list.iter().map(|a| a.get_info().name).collect();
    let adapter = list.swap_remove(choose(&names, options.adapter.as_deref())?);
    let useful = wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
        | wgpu::Features::TIMESTAMP_QUERY
        | wgpu::Features::PIPELINE_CACHE;
    let (required_features, required_limits) = match options.webgpu_limits {
        true => (wgpu::Features::empty(), wgpu::Limits::default()),
        false => (adapter.features() & useful, adapter.limits()),
    };
    let matrices = matrices(&adapter, options);
    let (required_features, experimental_features) = match &matrices {
        // SAFETY: what is experimental is matrices, and a wrong product of theirs is found by a test before any use.
        Ok(_) => (required_features | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, unsafe {
            wgpu::ExperimentalFeatures::enabled()
        }),
        Err(_) => (required_features, wgpu::ExperimentalFeatures::disabled()),
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("desirepath"),
        required_features,
        required_limits,
        experimental_features,
        memory_hints: wgpu::MemoryHints::MemoryUsage, // the pool above sub-allocates
        trace: wgpu::Trace::Off,
    };
    let name = adapter.get_info().name;
    let opened = adapter.request_device(&descriptor).await;
    let (device, queue) = opened.map_err(|e| Error::NoAdapter(format!("{name} refused to open: {e}")))?;
    Ok(Opened { keep: (instance, adapter), device, queue, matrices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_index_and_never_part_of_a_name() {
        let names = ["Radeon RX 5700", "llvmpipe (LLVM 15.0.6, 256 bits)"].map(String::from);
        assert_eq!(choose(&names, None).unwrap(), 0);
        assert_eq!(choose(&names, Some("1")).unwrap(), 1);
        assert_eq!(choose(&names, Some("LLVM")).unwrap(), 1);
        assert_eq!(choose(&names, Some("rx 57")).unwrap(), 0);
        for wanted in ["5", "15", "2", "geforce"] {
            assert!(matches!(choose(&names, Some(wanted)), Err(Error::NoAdapter(_))), "{wanted}");
        }
        assert!(matches!(choose(&[], None), Err(Error::NoAdapter(_))));
    }
}
