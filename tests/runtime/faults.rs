//! What the device refuses, and a device that goes away: errors, no panic, no waiting for ever, no wrong numbers.

use desirepath::gpu::{Kernel, wgpu};
use desirepath::{Error, Gpu, Options, Tape, Tensor, kernel, ops};
use std::sync::Arc;

static SCALE: Kernel = kernel!("scale");
static FILL: Kernel = kernel!("fill");

struct Host {
    _instance: wgpu::Instance,
    _adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

/// A device of the test's own. Unhandled errors on it panic: that is wgpu's default.
fn host(limits: wgpu::Limits) -> Host {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
    let adapter = adapter.expect("an adapter");
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    Host { _instance: instance, _adapter: adapter, device, queue }
}

fn twice(x: &Tensor) -> Tensor {
    ops::scale(&mut Tape::off(), x, 2.0)
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::DeviceLost(_))), "{result:?}");
}

#[test]
fn a_lost_device_is_an_error_for_ever() {
    let host = host(wgpu::Limits::default());
    let gpu = Gpu::from_wgpu(host.device.clone(), host.queue.clone());
    let x = Tensor::full(&gpu, &[1000], 3.0);
    assert_eq!(twice(&x).to_vec::<f32>().unwrap(), [6.0; 1000]);
    let y = twice(&x); // recorded, and never run
    host.device.destroy();
    assert_lost(gpu.sync());
    for _ in 0..3 {
        assert_lost(x.to_vec::<f32>());
        assert_lost(y.to_vec::<f32>());
        assert_lost(twice(&x).to_vec::<f32>());
        assert_lost(Tensor::full(&gpu, &[3], 1.0).to_vec::<f32>());
        assert_lost(Tensor::from_slice(&gpu, &[1.0f32; 5], &[5]).to_vec::<f32>());
        gpu.flush();
        assert_lost(gpu.sync());
        assert_lost(gpu.trim());
    }
}

#[test]
fn a_device_lost_before_a_read_is_an_error_of_the_read() {
    let host = host(wgpu::Limits::default());
    let gpu = Gpu::from_wgpu(host.device.clone(), host.queue.clone());
    let x = Tensor::full(&gpu, &[1000], 3.0);
    gpu.sync().unwrap();
    host.device.destroy();
    for _ in 0..600 {
        twice(&x); // more than the batches that may be under way
    }
    assert_lost(x.to_vec::<f32>());
    assert_lost(gpu.check_guards());
}

/// Nothing is under way that could fail: the read itself finds out.
#[test]
fn a_device_lost_while_idle_is_an_error_of_the_read() {
    for read_first in [false, true] {
        let host = host(wgpu::Limits::default());
        let gpu = Gpu::from_wgpu(host.device.clone(), host.queue.clone());
        let x = Tensor::full(&gpu, &[1000], 3.0);
        gpu.sync().unwrap();
        host.device.destroy();
        if read_first {
            assert_lost(x.to_vec::<f32>());
        }
        assert_lost(Tensor::from_slice(&gpu, &[1.0f32; 5], &[5]).to_vec::<f32>());
    }
}

/// One buffer cannot be read and written by one dispatch: the whole submission is refused.
#[test]
fn a_refused_submission_costs_what_it_should_have_written_and_no_more() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    let x = Tensor::full(&gpu, &[64], 3.0);
    gpu.sync().unwrap();
    let before = twice(&x);
    let [one, n] = [1.0f32.to_bits(), 16];
    gpu.dispatch(&SCALE, [n, one], &[&x, &x], 1u32);
    let error = gpu.sync().unwrap_err();
    assert!(matches!(error, Error::Gpu(_)), "{error}");
    gpu.sync().unwrap();
    assert_eq!(Tensor::full(&gpu, &[2], 5.0).to_vec::<f32>().unwrap(), [5.0; 2], "the device goes on");
    for lost in [&before, &x, &twice(&before)] {
        assert_eq!(lost.to_vec::<f32>().unwrap_err(), error, "what nobody computed is read");
    }
    x.write(&[1.0f32; 64]);
    assert_eq!(twice(&x).to_vec::<f32>().unwrap(), [2.0; 64], "what is written anew is good again");
}

#[test]
fn too_many_workgroups_are_an_error_and_the_device_goes_on() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    let x = Tensor::empty(&gpu, &[4]);
    gpu.dispatch(&FILL, [4, 1.0f32.to_bits()], &[&x], [1 << 20, 1, 1]);
    gpu.dispatch(&FILL, [4, 1.0f32.to_bits()], &[&x], [1 << 20, 1 << 20, 1 << 20]);
    assert!(gpu.sync().is_err());
    assert!(x.to_vec::<f32>().is_err());
    assert_eq!(Tensor::full(&gpu, &[2], 5.0).to_vec::<f32>().unwrap(), [5.0; 2]);
}

#[test]
fn what_was_not_computed_is_never_read() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    let refused = Tensor::empty(&gpu, &[1 << 20, 1 << 20]);
    let small = Tensor::full(&gpu, &[1], 1.0);
    gpu.dispatch(&SCALE, [1, 0], &[&refused, &small], 1u32);
    let next = twice(&small);
    assert!(matches!(gpu.sync(), Err(Error::OutOfMemory(_))));
    gpu.sync().unwrap(); // the error is taken
    for _ in 0..2 {
        assert!(matches!(refused.to_vec::<f32>(), Err(Error::OutOfMemory(_))));
        assert!(matches!(small.item(), Err(Error::OutOfMemory(_))));
        assert!(matches!(next.item(), Err(Error::OutOfMemory(_))));
    }
    assert_eq!(Tensor::full(&gpu, &[2], 5.0).to_vec::<f32>().unwrap(), [5.0; 2]);
}

#[test]
fn what_exceeds_a_binding_or_does_not_compile_is_never_read() {
    let break_scale = |name: &str, source: &str| match name {
        "scale" => source.replace("params.factor", "params.nonsense"),
        _ => source.to_string(),
    };
    let options = Options { max_binding: Some(4096), patch: Some(Arc::new(break_scale)), ..Options::from_env() };
    let gpu = Gpu::open(options).unwrap();
    let large = Tensor::from_slice(&gpu, &[7.0f32; 2048], &[2048]);
    gpu.dispatch(&FILL, [512, 0], &[&large], 1u32);
    let y = twice(&Tensor::full(&gpu, &[4], 1.0));
    assert!(gpu.sync().is_err());
    assert!(matches!(large.to_vec::<f32>(), Err(Error::OutOfMemory(_))));
    let error = y.to_vec::<f32>().unwrap_err();
    assert!(error.to_string().contains("kernel scale"), "{error}");
}

/// Two storage buffers where the kernel has more: an error, though the host handles none.
#[test]
fn a_host_with_small_limits_gets_errors() {
    let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 1, ..wgpu::Limits::default() };
    let host = host(limits);
    let gpu = Gpu::from_wgpu(host.device.clone(), host.queue.clone());
    let x = Tensor::full(&gpu, &[8], 1.0);
    assert_eq!(x.to_vec::<f32>().unwrap(), [1.0; 8]);
    let error = twice(&x).to_vec::<f32>().unwrap_err();
    assert!(error.to_string().contains("kernel scale"), "{error}");
    assert_eq!(x.to_vec::<f32>().unwrap(), [1.0; 8]);
}

#[test]
fn a_host_chooses_options() {
    let host = host(wgpu::Limits::default());
    let options = Options { guard: true, gpu_variants: true, ..Options::default() };
    let gpu = Gpu::from_wgpu_with(host.device.clone(), host.queue.clone(), options);
    assert!(!gpu.info().cpu_kernels);
    let x = Tensor::empty(&gpu, &[5]);
    assert_eq!(x.to_vec::<u32>().unwrap(), [desirepath::gpu::SENTINEL; 5]);
}
