// Gradient of the pointer with respect to the keys, for drivers that run on the CPU.
//   p = exp(score - lse),  ds_tj = p_tj ([items_j = targets_t] - y_t) dy_t,  dk_j = scale sum_{t >= j} ds_tj q_t
// One workgroup of eight lanes per (batch, 16 keys), two keys per lane; lanes hold eight queries at a time and broadcast
// them, as in attention_subgroup.wgsl. Probabilities are computed anew. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_key
// include: pointer
// include: pointer_eight
@group(0) @binding(1) var<storage, read> qk: array<vec4<f32>>;         // [batch, len, 2 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [1, n]
@group(0) @binding(5) var<storage, read> kept: array<vec4<u32>>;       // [batch, len]
@group(0) @binding(6) var<storage, read> dy: array<f32>;               // [batch, len]
@group(0) @binding(7) var<storage, read_write> dqk: array<vec4<f32>>;  // [batch, len, 2 * dim]: the keys' half

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 15u) / 16u;
    let batch = group / tiles;
    if (batch >= params.batch) {
        return;
    }
    let length = length_at(batch);
    let first = (group % tiles) * 16u;
    let rows = begin_of(batch);
    let j0 = first + lane;
    let j1 = j0 + 8u;
    var dk0 = Row();
    var dk1 = Row();
    if (first < length) {
        let r0 = rows + min(j0, length - 1u);
        let r1 = rows + min(j1, length - 1u);
        let item0 = kept[r0].x;
        let item1 = kept[r1].x;
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        var k0: Row;
        load_half(r0, KEY, &k0);
        var k1: Row;
        load_half(r1, KEY, &k1);
        for (var i = first; i < length; i += 8u) {
            let r = rows + min(i + lane, length - 1u);
            var query: Row;
            load_half(r, QUERY, &query);
            let row = kept[r];
            let wanted = spread_ids(row.y);
            let lse = spread(lse_of(row));
            let mass = spread(mass_of(row));
            let up = spread(upstream(row, dy[r]));
            var s0: Eight;
            var s1: Eight;
            products(&k0, &k1, &query, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            if (PARTS != 0u) {
                let others = spread_events(context[3u * r], context[3u * r + 2u].x);
                plus0 = biases(0u, j0, i, e0, others);
                plus1 = biases(0u, j1, i, e1, others);
            }
            let p0 = chance(allowed(scaled(s0, params.scale, plus0), j0, i, length), lse);
            let p1 = chance(allowed(scaled(s1, params.scale, plus1), j1, i, length), lse);
            let ds0 = times(times(p0, less(matches(wanted, item0), mass)), up);
            let ds1 = times(times(p1, less(matches(wanted, item1), mass)), up);
            accumulate(&dk0, &dk1, ds0, ds1, &query);
        }
    }
    write(j0, rows, length, &dk0);
    write(j1, rows, length, &dk1);
}

fn less(a: Eight, b: Eight) -> Eight {
    return Eight(a.lo - b.lo, a.hi - b.hi);
}

fn write(j: u32, rows: u32, length: u32, dk: ptr<function, Row>) {
    if (j < room(length)) {
        for (var d = 0u; d < HD4; d++) {
            dqk[(rows + j) * 2u * HD4 + HD4 + d] = select(vec4(0.0), (*dk)[d] * params.scale, j < length);
        }
    }
}
