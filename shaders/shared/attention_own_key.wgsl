// A lane's own row is a key and the others are queries.
fn sees(own: u32, others: vec4<u32>, length: u32) -> vec4<bool> {
    return (others < vec4(length)) & ((others >= vec4(own)) | vec4(CAUSAL == 0u));
}
fn keep_at(rows: u32, own: u32, other: u32) -> f32 { return keep(rows + other, own); }
fn bias_at(head: u32, own: u32, other: u32, e: Event, f: Event) -> f32 { return bias(head, other, own, f, e); }
fn own_event(row: u32) -> Event {
    if (PARTS == 0u) {
        return Event();
    }
    return key_event(row);
}
