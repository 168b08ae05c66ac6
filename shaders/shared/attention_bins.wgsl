// The gradient of the bias table, kept apart so that no two threads add to one number: a table of time, place and
// position for each thread, and one of key categories for each row of queries.
const TABLE: u32 = 1u;              // whether that gradient is wanted
@group(0) @binding(8) var<storage, read_write> bins: array<f32>;
// [batches * heads * groups * threads, time + place + positions], then [batches * heads * len, categories]

fn table_bins() -> u32 { return params.time_knots + params.place_knots + params.positions; }

fn clear(start: u32, count: u32) {
    for (var b = 0u; b < count; b++) {
        bins[start + b] = 0.0;
    }
}

fn split(start: u32, p: f32, knots: u32, g: f32) {
    let below = min(u32(p), knots - 2u);
    let f = p - f32(below);
    bins[start + below] += (1.0 - f) * g;
    bins[start + below + 1u] += f * g;
}

// g is the gradient of the bias of query i and key j; `own` is where the thread's table starts, `row` that of the query.
fn add_bins(own: u32, row: u32, i: u32, j: u32, q: Event, k: Event, g: f32) {
    var start = own;
    if ((PARTS & TIME) != 0u) {
        split(start, time_knot(q, k), params.time_knots, g);
        start += params.time_knots;
    }
    if ((PARTS & PLACE) != 0u) {
        split(start, place_knot(q, k), params.place_knots, select(0.0, g, known(q, k)));
        start += params.place_knots;
    }
    if ((PARTS & POSITION) != 0u) {
        bins[start + position_bin(i, j)] += g;
    }
    if ((PARTS & CATEGORY) != 0u) {
        bins[row + min(k.category, params.categories - 1u)] += g;
    }
}
