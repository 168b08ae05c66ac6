// A lane's own row is a query and the others are keys.
fn sees(own: u32, others: vec4<u32>, length: u32) -> vec4<bool> {
    return others < vec4(select(length, min(length, own + 1u), CAUSAL == 1u));
}
fn keep_at(rows: u32, own: u32, other: u32) -> f32 { return keep(rows + own, other); }
fn bias_at(head: u32, own: u32, other: u32, e: Event, f: Event) -> f32 { return bias(head, own, other, e, f); }
fn own_event(row: u32) -> Event {
    if (PARTS == 0u) {
        return Event();
    }
    return query_event(row);
}
