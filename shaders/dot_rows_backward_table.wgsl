// Gradient of products with rows of a table with respect to the table: each row that ids name gets dy[r, j] x[r], summed
// over order[starts[s] .. starts[s + 1]] in that order, so the same bits come out every time. With PLUS, what reached the
// table on another way is added.
// One thread per Element of the table, which loops over its segment; long segments are cut first, into rows of `partial`
// that a second dispatch adds up. Bound by memory.
struct Params { segments: u32, per_row: u32, dim: u32 } // dim counts Elements
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [n]
@group(0) @binding(2) var<storage, read> x: array<Element>;          // [n / per_row, dim]
@group(0) @binding(3) var<storage, read> partial: array<Element>;    // [chunks, dim]
@group(0) @binding(4) var<storage, read> order: array<u32>;          // positions in dy, or PARTIAL + rows of partial
@group(0) @binding(5) var<storage, read> starts: array<u32>;         // [segments + 1]
@group(0) @binding(6) var<storage, read> plus: array<Element>;       // [segments, dim]
@group(0) @binding(7) var<storage, read_write> y: array<Element>;    // [segments, dim]

// include: element
// include: segments

fn term(at: u32, column: u32) -> Element {
    return dy[at] * x[at / params.per_row * params.dim + column];
}

fn factor() -> f32 {
    return 1.0;
}
