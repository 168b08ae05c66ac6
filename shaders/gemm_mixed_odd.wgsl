enable f16;
enable wgpu_cooperative_matrix;
// Matrix product in mixed precision for any number of columns. See shared/gemm_mixed.wgsl.
//   y = activation(a b + bias) + residual
// include: gemm_load
// include: fragment16
// include: gemm_mixed
// include: activation
@group(0) @binding(6) var<storage, read> residual: array<f32>;   // [m, n]
@group(0) @binding(7) var<storage, read_write> y: array<f32>;    // [splits, m, n]
@group(0) @binding(8) var<storage, read_write> z: array<f32>;    // [m, n], before the activation
@group(0) @binding(9) var<storage, read> range: array<f32>;            // [2, 256], see gemm_range
// include: gemm_end
// include: gemm_store
