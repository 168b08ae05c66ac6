// Gradient of attention with respect to keys and values, for drivers that run on the CPU.
//   p = exp(score - lse),  dv_j = sum_i keep_ij p_ij dy_i,  dk_j = scale sum_i p_ij (keep_ij dy_i . v_j - delta_i) q_i
// One workgroup of eight lanes per (batch, head, 16 keys), two keys per lane; lanes hold eight queries at a time and
// broadcast them, as in attention_subgroup.wgsl. Probabilities are computed anew. Bound by loads.
// include: random
// include: spacetime
// include: attention
// include: lengths
// include: attention_eight
// include: attention_own_key
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;        // [batch, len, 3 * dim]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;          // [batch]
@group(0) @binding(3) var<storage, read> context: array<vec4<u32>>;    // [batch, len, 12]
@group(0) @binding(4) var<storage, read> table: array<f32>;            // [heads, n]
@group(0) @binding(5) var<storage, read> stats: array<f32>;            // [2, batch, heads, len]: lse, delta
@group(0) @binding(6) var<storage, read> dy: array<vec4<f32>>;         // [batch, len, dim]
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4<f32>>; // [batch, len, 3 * dim]: two thirds of it

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    let tiles = (params.len + 15u) / 16u;
    let pair = group / tiles;
    let batch = pair / params.heads;
    if (batch >= params.batch) {
        return;
    }
    let head = pair % params.heads;
    let length = length_at(batch);
    let first = (group % tiles) * 16u;
    let dim = params.heads * HD4;
    let rows = begin_of(batch);
    let j0 = first + lane;
    let j1 = j0 + 8u;
    var dk0 = Row();
    var dk1 = Row();
    var dv0 = Row();
    var dv1 = Row();
    if (first < length) {
        let r0 = rows + min(j0, length - 1u);
        let r1 = rows + min(j1, length - 1u);
        let e0 = own_event(r0);
        let e1 = own_event(r1);
        var k0: Row;
        var k1: Row;
        var v0: Row;
        var v1: Row;
        for (var d = 0u; d < HD4; d++) {
            let at = 3u * dim * r0 + dim + head * HD4 + d;
            k0[d] = qkv[at];
            v0[d] = qkv[at + dim];
        }
        for (var d = 0u; d < HD4; d++) {
            let at = 3u * dim * r1 + dim + head * HD4 + d;
            k1[d] = qkv[at];
            v1[d] = qkv[at + dim];
        }
        for (var i = select(0u, first, CAUSAL == 1u); i < length; i += 8u) {
            let r = rows + min(i + lane, length - 1u);
            var query: Row;
            var up: Row;
            for (var d = 0u; d < HD4; d++) {
                query[d] = qkv[r * 3u * dim + head * HD4 + d];
                up[d] = dy[r * dim + head * HD4 + d];
            }
            let stat = pair * params.len + r - rows;
            let lse = spread(stats[stat]);
            let delta = spread(stats[params.batch * params.heads * params.len + stat]);
            var s0: Eight;
            var s1: Eight;
            products(&k0, &k1, &query, &s0, &s1);
            var plus0 = Eight();
            var plus1 = Eight();
            if (PARTS != 0u) {
                let others = spread_events(context[3u * r], context[3u * r + 2u].x);
                plus0 = biases(head, j0, i, e0, others);
                plus1 = biases(head, j1, i, e1, others);
            }
            let p0 = chance(allowed(scaled(s0, params.scale, plus0), j0, i, length), lse);
            let p1 = chance(allowed(scaled(s1, params.scale, plus1), j1, i, length), lse);
            var t0: Eight;
            var t1: Eight;
            products(&v0, &v1, &up, &t0, &t1);
            var w0 = p0;
            var w1 = p1;
            if (DROPOUT != 0u) {
                let keep0 = keeps(pair * params.len, j0, i);
                let keep1 = keeps(pair * params.len, j1, i);
                w0 = times(p0, keep0);
                w1 = times(p1, keep1);
                t0 = times(t0, keep0);
                t1 = times(t1, keep1);
            }
            accumulate(&dv0, &dv1, w0, w1, &up);
            let ds0 = Eight(p0.lo * (t0.lo - delta.lo), p0.hi * (t0.hi - delta.hi));
            let ds1 = Eight(p1.lo * (t1.lo - delta.lo), p1.hi * (t1.hi - delta.hi));
            accumulate(&dk0, &dk1, ds0, ds1, &query);
        }
    }
    write(j0, length, (rows + j0) * 3u * dim + dim + head * HD4, dim, &dk0, &dv0);
    write(j1, length, (rows + j1) * 3u * dim + dim + head * HD4, dim, &dk1, &dv1);
}

fn write(j: u32, length: u32, at: u32, dim: u32, dk: ptr<function, Row>, dv: ptr<function, Row>) {
    if (j < room(length)) {
        let valid = j < length;
        for (var d = 0u; d < HD4; d++) {
            dqkv[at + d] = select(vec4(0.0), (*dk)[d] * params.scale, valid);
            dqkv[at + dim + d] = select(vec4(0.0), (*dv)[d], valid);
        }
    }
}
