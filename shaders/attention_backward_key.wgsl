// Gradient of attention with respect to keys and values.
//   p = exp(score - lse),  dv_j = sum_i keep_ij p_ij dy_i,  dk_j = scale sum_i p_ij (keep_ij dy_i . v_j - delta_i) q_i
// One workgroup per (batch, head, 64 keys), one key per thread; queries and their upstream gradients come in tiles
// through workgroup memory. Probabilities are computed anew. Bound by arithmetic and reads of workgroup memory.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_row
// include: attention_tile
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;        // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [heads, n]
@group(0) @binding(5) var<storage, read> stats: array<f32>;            // [2, batch, heads, len]: lse, delta
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;         // [batch, len, dim]
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>; // [batch, len, 3 * dim]: two thirds of it

var<workgroup> tile_stats: array<vec2<f32>, TILE>;  // lse, delta

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 63u) / 64u;
    let pair = group / tiles;
    let batch = pair / params.heads;
    if (batch >= params.batch) {
        return;
    }
    let head = pair % params.heads;
    let first = (group % tiles) * 64u;
    let j = first + thread;
    let dim = params.heads * HD4;
    let rows = begin_of(batch);
    let length = length_of(batch, thread);
    var dk = Row();
    var dv = Row();
    if (first < length) {
        let r = rows + min(j, length - 1u);
        var event = Event();
        if (PARTS != 0u) {
            event = key_event(r);
        }
        var k: Row;
        var v: Row;
        for (var d = 0u; d < HD4; d++) {
            let at = r * 3u * dim + dim + head * HD4 + d;
            k[d] = qkv[at];
            v[d] = qkv[at + dim];
        }
        let begin = select(0u, j, CAUSAL == 1u);
        for (var start = select(0u, first, CAUSAL == 1u); start < length; start += TILE) {
            workgroupBarrier(); // the tile before has been read
            load_queries(thread, pair, rows, start, length);
            workgroupBarrier();
            let end = select(0u, min(TILE, length - start), j < length);
            for (var t = max(begin, start) - start; t < end; t++) {
                let i = start + t;
                var s = 0.0;
                var dp = 0.0;
                for (var d = 0u; d < HD4; d++) {
                    s += dot(k[d], tile_a[t * HD4 + d]);
                    dp += dot(v[d], tile_b[t * HD4 + d]);
                }
                s *= params.scale; // as in the forward: large scores round alike only if computed alike
                if (PARTS != 0u) {
                    s += bias(head, i, j, query_event(rows + i), event);
                }
                let p = exp(s - tile_stats[t].x);
                let factor = keep(pair * params.len + i, j);
                let ds = p * (factor * dp - tile_stats[t].y);
                for (var d = 0u; d < HD4; d++) {
                    dk[d] += ds * tile_a[t * HD4 + d];
                    dv[d] += factor * p * tile_b[t * HD4 + d];
                }
            }
        }
    }
    if (j < room(length)) {
        let at = (rows + j) * 3u * dim + dim + head * HD4;
        for (var d = 0u; d < HD4; d++) {
            dqkv[at + d] = dk[d] * params.scale;
            dqkv[at + dim + d] = dv[d];
        }
    }
}

fn load_queries(thread: u32, pair: u32, rows: u32, start: u32, length: u32) {
    let dim = params.heads * HD4;
    let column = pair % params.heads * HD4;
    for (var at = thread; at < TILE * HD4; at += 64u) {
        let row = rows + min(start + at / HD4, length - 1u);
        tile_a[at] = qkv[row * 3u * dim + column + at % HD4];
        tile_b[at] = dy[row * dim + column + at % HD4];
    }
    if (thread < TILE) {
        let at = pair * params.len + min(start + thread, length - 1u);
        tile_stats[thread] = vec2(stats[at], stats[params.batch * params.heads * params.len + at]);
    }
}
