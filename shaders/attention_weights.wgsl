// The probabilities with which the last valid query of each row looks at the keys: softmax_j(q . k_j * scale + bias_j).
// One workgroup per (batch, head), one key per thread at a time; small, bound by latency.
// include: spacetime
// include: random
// include: attention
// include: lengths
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;            // [batch, len, ROWS * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;              // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;        // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;                // [heads, n]
@group(0) @binding(5) var<storage, read_write> weights: array<f32>;        // [batch, heads, len]

const ROWS: u32 = 3u;       // of dim numbers for each event: query, key and, but for the pointer, value
const THREADS: u32 = 64u;
var<workgroup> shares: array<vec2<f32>, THREADS>;   // each thread's largest score and sum of exp

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let pair = id.y * groups.x + id.x;
    if (pair >= params.batch * params.heads) {
        return;
    }
    let batch = pair / params.heads;
    let head = pair % params.heads;
    let length = length_at(batch);
    let rows = begin_of(batch);
    let last = max(length, 1u) - 1u;
    let to = pair * params.len;
    var most = MASKED;
    var sum = 0.0;
    for (var j = thread; j < length; j += THREADS) {
        let s = score(head, rows, last, j);
        weights[to + j] = s;
        let larger = max(most, s);
        sum = sum * exp(most - larger) + exp(s - larger);
        most = larger;
    }
    shares[thread] = vec2(most, sum);
    workgroupBarrier();
    most = MASKED;
    for (var t = 0u; t < THREADS; t++) {
        most = max(most, shares[t].x);
    }
    sum = 0.0;
    for (var t = 0u; t < THREADS; t++) {
        sum += shares[t].y * exp(shares[t].x - most);
    }
    for (var j = thread; j < params.len; j += THREADS) {
        // Each thread reads only what it wrote itself.
        if (j < length) {
            weights[to + j] = exp(weights[to + j] - most) / sum;
        } else {
            weights[to + j] = 0.0;
        }
    }
}

fn score(head: u32, rows: u32, i: u32, j: u32) -> f32 {
    let dim = params.heads * HD4;
    let query = (rows + i) * ROWS * dim + head * HD4;
    let key = (rows + j) * ROWS * dim + dim + head * HD4;
    var sum = 0.0;
    for (var d = 0u; d < HD4; d++) {
        sum += dot(qkv[query + d], qkv[key + d]);
    }
    sum *= params.scale;
    if (PARTS != 0u) {
        sum += bias(head, i, j, query_event(rows + i), key_event(rows + j));
    }
    return sum;
}
