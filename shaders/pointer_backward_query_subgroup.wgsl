// Gradient of the pointer with respect to the queries and the bias table, for drivers that run on the CPU.
//   p = exp(score - lse),  ds_tj = p_tj ([items_j = targets_t] - y_t) dy_t,  dq_t = scale sum_j ds_tj k_j,  dbias_tj = ds_tj
// One workgroup of eight lanes per (batch, group); it takes every `groups`-th 16 queries, two queries per lane, and eight
// keys at a time as in pointer_subgroup.wgsl. Probabilities are computed anew. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_query
// include: pointer
// include: pointer_eight
@group(0) @binding(1) var<storage, read> qk: array<vec4<f32>>;         // [batch, len, 2 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [1, n]
@group(0) @binding(5) var<storage, read> kept: array<vec4<u32>>;       // [batch, len]
@group(0) @binding(6) var<storage, read> dy: array<f32>;               // [batch, len]
@group(0) @binding(7) var<storage, read_write> dqk: array<vec4<f32>>;  // [batch, len, 2 * dim]: the queries' half
// include: attention_bins
// include: attention_bins_eight

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let batch = params.first_batch + group / params.groups;
    if (batch >= params.first_batch + params.batches) {
        return;
    }
    let own = (group * 8u + lane) * table_bins();
    if (TABLE == 1u) {
        clear(own, table_bins());
    }
    for (var first = (group % params.groups) * 16u; first < params.len; first += params.groups * 16u) {
        tile(batch, first, lane, own);
    }
}

fn tile(batch: u32, first: u32, lane: u32, own: u32) {
    let length = length_at(batch);
    let rows = begin_of(batch);
    let i0 = first + lane;
    let i1 = i0 + 8u;
    // Rows of key categories start behind the threads' tables.
    let behind = params.batches * params.groups * 8u * table_bins();
    let kinds0 = behind + ((batch - params.first_batch) * params.len + i0) * params.categories;
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
        let row0 = kept[r0];
        let row1 = kept[r1];
        let up0 = select(0.0, upstream(row0, dy[r0]), i0 < length);
        let up1 = select(0.0, upstream(row1, dy[r1]), i1 < length);
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        var q0: Row;
        load_half(r0, QUERY, &q0);
        var q1: Row;
        load_half(r1, QUERY, &q1);
        for (var j = 0u; j < min(length, first + 16u); j += 8u) {
            let r = rows + min(j + lane, length - 1u);
            var key: Row;
            load_half(r, KEY, &key);
            var s0: Eight;
            var s1: Eight;
            products(&q0, &q1, &key, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            var others: Events;
            if (PARTS != 0u) {
                others = spread_events(context[3u * r + 1u], context[3u * r + 2u].y);
                plus0 = biases(0u, i0, j, e0, others);
                plus1 = biases(0u, i1, j, e1, others);
            }
            let ids = spread_ids(kept[r].x);
            let ds0 = slope(allowed(scaled(s0, params.scale, plus0), i0, j, length), ids, row0, up0, i0 < length);
            let ds1 = slope(allowed(scaled(s1, params.scale, plus1), i1, j, length), ids, row1, up1, i1 < length);
            accumulate(&dq0, &dq1, ds0, ds1, &key);
            if (TABLE == 1u) {
                add_all(own, kinds0, i0, j, e0, others, ds0, i0 < length);
                add_all(own, kinds1, i1, j, e1, others, ds1, i1 < length);
            }
        }
    }
    write(i0, rows, length, &dq0);
    write(i1, rows, length, &dq1);
}

fn slope(s: Eight, ids: EightIds, row: vec4<u32>, up: f32, valid: bool) -> Eight {
    let found = matches(ids, row.y);
    let lo = exp(s.lo - lse_of(row)) * (found.lo - mass_of(row)) * up;
    let hi = exp(s.hi - lse_of(row)) * (found.hi - mass_of(row)) * up;
    return Eight(select(vec4(0.0), lo, valid), select(vec4(0.0), hi, valid));
}

fn write(i: u32, rows: u32, length: u32, dq: ptr<function, Row>) {
    if (i < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqk[(rows + i) * 2u * HD4 + d] = (*dq)[d] * params.scale;
        }
    }
}
