//! Trains a linear layer and a GRU on a device that this program opened by itself.
#![cfg(test)]

use desirepath::ops::{self, Activation, AdamW, GruWeights, Update};
use desirepath::{Gpu, Tape, Tensor};

/// WebGPU's default limits and no feature: what any host can offer.
fn device() -> (wgpu::Instance, wgpu::Adapter, wgpu::Device, wgpu::Queue) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
    let adapter = adapter.expect("an adapter");
    let opened = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()));
    let (device, queue) = opened.expect("a device");
    (instance, adapter, device, queue)
}

/// Even noise in `[-1, 1)`.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn parameter(gpu: &Gpu, shape: &[usize], size: f32, seed: u32) -> Tensor {
    let values: Vec<f32> = noise(shape.iter().product(), seed).into_iter().map(|v| v * size).collect();
    Tensor::from_slice(gpu, &values, shape).parameter()
}

/// `mean((y − target)²)` over all elements.
fn squared_error(tape: &mut Tape, y: &Tensor, target: &Tensor) -> Tensor {
    let minus = ops::scale(&mut Tape::off(), target, -1.0);
    let difference = ops::add(tape, y, &minus);
    let rows = ops::dot(tape, &difference, &difference);
    ops::mean(tape, &rows, y.len() as f32)
}

/// First and last loss of `steps` steps of AdamW on `parameters`.
fn fit(gpu: &Gpu, parameters: &[&Tensor], steps: u32, loss: &dyn Fn(&mut Tape) -> Tensor) -> (f32, f32) {
    let moments: Vec<Tensor> = parameters.iter().map(|p| Tensor::zeros(gpu, &[2, p.len()])).collect();
    let mut seen = Vec::new();
    for step in 1..=steps {
        let mut tape = Tape::new(u64::from(step));
        let y = loss(&mut tape);
        let grads = tape.backward(&y);
        let update = |(i, p): (usize, &&'_ Tensor)| Update {
            parameter: parameters[i],
            gradient: grads.get(p).expect("a gradient of every parameter"),
            moments: &moments[i],
            decay: false,
        };
        let updates: Vec<Update> = parameters.iter().enumerate().map(update).collect();
        ops::adamw_all(gpu, &updates, &AdamW { lr: 0.03, step, ..AdamW::default() }, None);
        if step == 1 || step == steps {
            seen.push(y.item().expect("read"));
        }
    }
    (seen[0], seen[1])
}

#[test]
fn a_linear_layer_and_a_gru_learn_on_the_hosts_device() {
    let (_instance, _adapter, device, queue) = device();
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone());

    // y = W x + b with W and b unknown to the layer.
    let x = Tensor::from_slice(&gpu, &noise(64 * 5, 1), &[64, 5]);
    let (true_w, true_b) = (parameter(&gpu, &[3, 5], 1.0, 2), parameter(&gpu, &[3], 1.0, 3));
    let target = ops::linear(&mut Tape::off(), &x, &true_w, Some(&true_b), Activation::None, None);
    let (w, b) = (parameter(&gpu, &[3, 5], 0.1, 4), Tensor::zeros(&gpu, &[3]).parameter());
    let (before, after) = fit(&gpu, &[&w, &b], 200, &|tape| {
        let y = ops::linear(tape, &x, &w, Some(&b), Activation::None, None);
        squared_error(tape, &y, &target)
    });
    assert!(before > 0.3 && after < 1e-4, "linear: the loss went from {before} to {after}");
    let (found, truth) = (w.to_vec::<f32>().expect("read"), true_w.to_vec::<f32>().expect("read"));
    let worst = found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.05, "the layer found other weights, off by {worst}");

    // What was two steps ago: only a state can know.
    let (batch, len, dim) = (16, 12, 8);
    let inputs = noise(batch * len, 5);
    let late: Vec<f32> = (0..batch * len).map(|i| if i % len < 2 { 0.0 } else { 0.5 * inputs[i - 2] }).collect();
    let x = Tensor::from_slice(&gpu, &inputs, &[batch, len, 1]);
    let target = Tensor::from_slice(&gpu, &late, &[batch * len, 1]);
    let gru = GruWeights {
        w_ih: parameter(&gpu, &[3 * dim, 1], 0.5, 6),
        w_hh: parameter(&gpu, &[3 * dim, dim], 0.35, 7),
        b_ih: parameter(&gpu, &[3 * dim], 0.35, 8),
        b_hh: parameter(&gpu, &[3 * dim], 0.35, 9),
    };
    let out = parameter(&gpu, &[1, dim], 0.3, 10);
    let (before, after) = fit(&gpu, &[&gru.w_ih, &gru.w_hh, &gru.b_ih, &gru.b_hh, &out], 200, &|tape| {
        let h = ops::gru(tape, &x, &gru, None, None).reshape(&[batch * len, dim]);
        let y = ops::linear(tape, &h, &out, None, Activation::None, None);
        squared_error(tape, &y, &target)
    });
    assert!(before > 0.05 && after < 0.1 * before, "gru: the loss went from {before} to {after}");

    // The host goes on with its device.
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 16,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    queue.write_buffer(&buffer, 0, &[1; 16]);
    queue.submit([]);
    drop((x, target, gru, out, gpu));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device lives");
}
