// One thread per Element of y, which adds up the terms of its segment in their order: term(at, column), or a row of partial
// that an earlier dispatch has summed.
const PARTIAL: u32 = 0x80000000u;
const PLUS: u32 = 0u;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let i = (group.y * groups.x + group.x) * 256u + thread;
    if (i >= params.segments * params.dim) {
        return;
    }
    let segment = i / params.dim;
    let column = i - segment * params.dim;
    let end = starts[segment + 1u];
    var sum = Element();
    for (var k = starts[segment]; k < end; k++) {
        let at = order[k];
        if (at < PARTIAL) {
            sum += term(at, column);
        } else {
            sum += partial[(at - PARTIAL) * params.dim + column];
        }
    }
    sum *= factor();
    if (PLUS == 1u) {
        sum += plus[i];
    }
    y[i] = sum;
}
