// Sums of rows by segment: y[s] = factor times the sum of the rows that order[starts[s] .. starts[s + 1]] names, in that
// order, so the same bits come out every time. A segment without rows gives zeros. With PLUS, what reached the table on
// another way is added.
// One thread per Element of y, which loops over its segment; long segments are cut first, into rows of `partial` that a
// second dispatch adds up. A dy beyond one binding comes in pieces: rows of others do not count. Bound by memory.
struct Params { segments: u32, dim: u32, factor: f32, first: u32, n: u32 } // dim counts Elements; first and n, rows of dy
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Element>;         // [n, dim], rows `first..` of the whole
@group(0) @binding(2) var<storage, read> partial: array<Element>;    // [chunks, dim]
@group(0) @binding(3) var<storage, read> order: array<u32>;      // rows of dy, or PARTIAL + rows of partial
@group(0) @binding(4) var<storage, read> starts: array<u32>;     // [segments + 1]
@group(0) @binding(5) var<storage, read> plus: array<Element>;       // [segments, dim]
@group(0) @binding(6) var<storage, read_write> y: array<Element>;    // [segments, dim]

// include: element
// include: segments

fn term(row: u32, column: u32) -> Element {
    let here = row - params.first; // wraps to a huge number below the piece
    if (here < params.n) {
        return dy[here * params.dim + column];
    }
    return Element();
}

fn factor() -> f32 {
    return params.factor;
}
