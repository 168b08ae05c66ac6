// Matrix product on software adapters without subgroups for any number of columns. See shared/gemm_registers.wgsl.
//   y = activation(a b + bias) + residual
// include: gemm_load
// include: gemm_registers
// include: activation
@group(0) @binding(6) var<storage, read> residual: array<f32>;   // [m, n]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;    // [splits, m, n]
@group(0) @binding(8) var<storage, read_write> z: array<f32>;    // [m, n], before the activation
// include: gemm_end
// include: gemm_store
