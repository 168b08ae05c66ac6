// Matrix product by tiles in workgroup memory where rows of y are whole vec4. See shared/gemm_tile.wgsl.
//   y = activation(a b + bias) + residual
// include: gemm_load
// include: gemm_tile
// include: activation
@group(0) @binding(6) var<storage, read> residual: array<vec4<f32>>;   // [m, n]
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;    // [splits, m, n]
@group(0) @binding(8) var<storage, read_write> z: array<vec4<f32>>;    // [m, n], before the activation
// include: gemm_store4
