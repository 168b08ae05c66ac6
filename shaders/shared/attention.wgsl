// What the kernels of attention share: parameters, dropout, and the learned bias of time, place, category and position.
// A kernel that takes this in binds `lengths: array<u32>`, `context: array<vec4<u32>>` and `table: array<f32>`.
struct Params {
    batch: u32, len: u32, heads: u32, scale: f32, dropout: f32, seed: u32,
    n: u32, time_knots: u32, place_knots: u32, categories: u32, positions: u32,
    time_unit: f32, time_per_octave: f32, place_unit: f32, place_per_octave: f32, groups: u32,
    first_batch: u32, batches: u32, // of this dispatch, in the kernels that fill bins
}
@group(0) @binding(0) var<uniform> params: Params;
const HEAD_DIM: u32 = 32u;
const CAUSAL: u32 = 1u;
const DROPOUT: u32 = 0u;
const PARTS: u32 = 15u;             // which parts of the bias there are: the bits below
const TIME: u32 = 1u;
const PLACE: u32 = 2u;
const CATEGORY: u32 = 4u;
const POSITION: u32 = 8u;
const HD4: u32 = HEAD_DIM / 4u;
const MASKED: f32 = -1e30;          // finite: infinity may be assumed absent
alias Row = array<vec4<f32>, HD4>;

struct Event { time: i32, place: vec3<f32>, category: u32 }

fn event_of(when_where: vec4<u32>, category: u32) -> Event {
    return Event(bitcast<i32>(when_where.x), bitcast<vec3<f32>>(when_where.yzw), category);
}
fn query_event(row: u32) -> Event { return event_of(context[3u * row], context[3u * row + 2u].x); }
fn key_event(row: u32) -> Event { return event_of(context[3u * row + 1u], context[3u * row + 2u].y); }

fn time_knot(q: Event, k: Event) -> f32 {
    // In integers: seconds of several years do not fit f32.
    return knot(f32(abs(q.time - k.time)), params.time_unit, params.time_per_octave, params.time_knots);
}
fn place_knot(q: Event, k: Event) -> f32 {
    return knot(chord_km(q.place, k.place), params.place_unit, params.place_per_octave, params.place_knots);
}
// Both places are known: the square of a unit vector is 1, that of an unknown place 0.
fn known(q: Event, k: Event) -> bool {
    return dot(q.place, q.place) * dot(k.place, k.place) > 0.5;
}
fn category_bin(q: Event, k: Event) -> u32 {
    let last = params.categories - 1u;
    return min(q.category, last) * params.categories + min(k.category, last);
}
fn position_bin(i: u32, j: u32) -> u32 {
    return min(max(i, j) - min(i, j), params.positions - 1u);
}
fn between(start: u32, p: f32, knots: u32) -> f32 {
    let below = min(u32(p), knots - 2u);
    return mix(table[start + below], table[start + below + 1u], p - f32(below));
}

// What is added to the score of query i and key j.
fn bias(head: u32, i: u32, j: u32, q: Event, k: Event) -> f32 {
    var sum = 0.0;
    var start = head * params.n;
    if ((PARTS & TIME) != 0u) {
        sum += between(start, time_knot(q, k), params.time_knots);
        start += params.time_knots;
    }
    if ((PARTS & PLACE) != 0u) {
        sum += select(0.0, between(start, place_knot(q, k), params.place_knots), known(q, k));
        start += params.place_knots;
    }
    if ((PARTS & CATEGORY) != 0u) {
        sum += table[start + category_bin(q, k)];
        start += params.categories * params.categories;
    }
    if ((PARTS & POSITION) != 0u) {
        sum += table[start + position_bin(i, j)];
    }
    return sum;
}

// The factor of dropout on the probability of key j in row `row` = (batch * heads + head) * len + i. Rows differ by the
// seed and keys by the index, so nothing overflows or repeats.
fn keep(row: u32, j: u32) -> f32 {
    if (DROPOUT == 0u) {
        return 1.0;
    }
    return dropout_factor(params.seed + row * 0x85EBCA6Bu, j, params.dropout);
}
