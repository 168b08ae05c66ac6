// What kernels share that give a thread its own row and read the others in tiles. They bind `lengths`.
const TILE: u32 = 32u;              // a multiple of four
var<workgroup> shared_length: u32;

// The valid length of a row: through workgroup memory, so that the compiler knows it is the same for all threads.
fn length_of(batch: u32, thread: u32) -> u32 {
    if (thread == 0u) {
        shared_length = length_at(batch);
    }
    return workgroupUniformLoad(&shared_length);
}

fn event_or_none(row: u32) -> Event {
    if (PARTS == 0u) {
        return Event();
    }
    return query_event(row);
}

fn key_event_at(rows: u32, j: u32, length: u32) -> Event { return key_event(rows + min(j, length - 1u)); }

fn four_biases(head: u32, i: u32, j: u32, rows: u32, length: u32, q: Event) -> vec4<f32> {
    if (PARTS == 0u) {
        return vec4(0.0);
    }
    return vec4(bias(head, i, j, q, key_event_at(rows, j, length)),
                bias(head, i, j + 1u, q, key_event_at(rows, j + 1u, length)),
                bias(head, i, j + 2u, q, key_event_at(rows, j + 2u, length)),
                bias(head, i, j + 3u, q, key_event_at(rows, j + 3u, length)));
}

fn four_keeps(row: u32, j: u32) -> vec4<f32> {
    if (DROPOUT == 0u) {
        return vec4(1.0);
    }
    return vec4(keep(row, j), keep(row, j + 1u), keep(row, j + 2u), keep(row, j + 3u));
}
