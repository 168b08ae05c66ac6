// Where the events of a history lie. Each history has room for params.len of them, and `lengths` says how many there are;
// or, PACKED, they lie one history behind the other, and `lengths` says where each begins, and last where all end.
const PACKED: u32 = 0u;

fn begin_of(batch: u32) -> u32 {
    if (PACKED == 1u) {
        return lengths[batch];
    }
    return batch * params.len;
}

fn length_at(batch: u32) -> u32 {
    if (PACKED == 1u) {
        return lengths[batch + 1u] - lengths[batch];
    }
    return min(lengths[batch], params.len);
}

// Events that a history of this length has room for. Those behind the length become zeros.
fn room(length: u32) -> u32 {
    return select(params.len, length, PACKED == 1u);
}
