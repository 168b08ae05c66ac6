// Gradient of attention with respect to the queries and the bias table, for drivers that run on the CPU.
//   p = exp(score - lse),  ds_ij = p_ij (keep_ij dy_i . v_j - delta_i),  dq_i = scale sum_j ds_ij k_j,  dbias_ij = ds_ij
// One workgroup of eight lanes per (batch, head, group); it takes every `groups`-th 16 queries, two queries per lane, and
// eight keys at a time as in attention_subgroup.wgsl. Probabilities are computed anew. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_query
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;        // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [heads, n]
@group(0) @binding(5) var<storage, read> stats: array<f32>;            // [2, batch, heads, len]: lse, delta
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;         // [batch, len, dim]
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>; // [batch, len, 3 * dim]: the queries' third
// include: attention_bins
// include: attention_bins_eight

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let slot = group / params.groups;
    if (slot >= params.batches * params.heads) {
        return;
    }
    let pair = params.first_batch * params.heads + slot;
    let own = (group * 8u + lane) * table_bins();
    if (TABLE == 1u) {
        clear(own, table_bins());
    }
    for (var first = (group % params.groups) * 16u; first < params.len; first += params.groups * 16u) {
        tile(pair, first, lane, own);
    }
}

fn tile(pair: u32, first: u32, lane: u32, own: u32) {
    let batch = pair / params.heads;
    let head = pair % params.heads;
    let length = length_at(batch);
    let dim = params.heads * HD4;
    let rows = begin_of(batch);
    let i0 = first + lane;
    let i1 = i0 + 8u;
    // Rows of key categories start behind the threads' tables.
    let behind = params.batches * params.heads * params.groups * 8u * table_bins();
    let kinds0 = behind + ((pair - params.first_batch * params.heads) * params.len + i0) * params.categories;
    let kinds1 = kinds0 + 8u * params.categories;
    var dq0 = Row();
    var dq1 = Row();
    if (TABLE == 1u && (PARTS & CATEGORY) != 0u) {
        clear(kinds0, select(0u, params.categories, i0 < params.len));
        clear(kinds1, select(0u, params.categories, i1 < params.len));
    }
    if (first < length) {
        let r0 = rows + min(i0, length - 1u);
        let r1 = rows + min(i1, length - 1u);
        let stat = pair * params.len - rows;
        let half = params.batch * params.heads * params.len;
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        var q0: Row;
        var q1: Row;
        var g0: Row;
        var g1: Row;
        for (var d = 0u; d < HD4; d++) {
            q0[d] = qkv[r0 * 3u * dim + head * HD4 + d];
            q1[d] = qkv[r1 * 3u * dim + head * HD4 + d];
            g0[d] = dy[r0 * dim + head * HD4 + d];
            g1[d] = dy[r1 * dim + head * HD4 + d];
        }
        let end = select(length, min(length, first + 16u), CAUSAL == 1u);
        for (var j = 0u; j < end; j += 8u) {
            let r = rows + min(j + lane, length - 1u);
            var key: Row;
            var value: Row;
            for (var d = 0u; d < HD4; d++) {
                key[d] = qkv[r * 3u * dim + dim + head * HD4 + d];
                value[d] = qkv[r * 3u * dim + 2u * dim + head * HD4 + d];
            }
            var s0: Eight;
            var s1: Eight;
            products(&q0, &q1, &key, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            var others: Events;
            if (PARTS != 0u) {
                others = spread_events(context[3u * r + 1u], context[3u * r + 2u].y);
                plus0 = biases(head, i0, j, e0, others);
                plus1 = biases(head, i1, j, e1, others);
            }
            s0 = allowed(scaled(s0, params.scale, plus0), i0, j, length);
            s1 = allowed(scaled(s1, params.scale, plus1), i1, j, length);
            var t0: Eight;
            var t1: Eight;
            products(&g0, &g1, &value, &t0, &t1);
            if (DROPOUT != 0u) {
                t0 = times(t0, keeps(pair * params.len, i0, j));
                t1 = times(t1, keeps(pair * params.len, i1, j));
            }
            let ds0 = slope(s0, t0, stats[stat + r0], stats[half + stat + r0], i0 < length);
            let ds1 = slope(s1, t1, stats[stat + r1], stats[half + stat + r1], i1 < length);
            accumulate(&dq0, &dq1, ds0, ds1, &key);
            if (TABLE == 1u) {
                add_all(own, kinds0, i0, j, e0, others, ds0, i0 < length);
                add_all(own, kinds1, i1, j, e1, others, ds1, i1 < length);
            }
        }
    }
    write(i0, length, (rows + i0) * 3u * dim + head * HD4, &dq0);
    write(i1, length, (rows + i1) * 3u * dim + head * HD4, &dq1);
}

fn slope(s: Eight, t: Eight, lse: f32, delta: f32, valid: bool) -> Eight {
    let lo = exp(s.lo - lse) * (t.lo - delta);
    let hi = exp(s.hi - lse) * (t.hi - delta);
    return Eight(select(vec4(0.0), lo, valid), select(vec4(0.0), hi, valid));
}

fn write(i: u32, length: u32, at: u32, dq: ptr<function, Row>) {
    if (i < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqkv[at + d] = (*dq)[d] * params.scale;
        }
    }
}
