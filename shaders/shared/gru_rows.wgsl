// Rows of a batch as the GRU steps through them; those behind the batch have no steps. With shared/lengths.wgsl.
fn length_of(row: u32) -> u32 {
    if (row >= params.batch) {
        return 0u;
    }
    if (params.ragged == 0u) {
        return params.len;
    }
    return length_at(row);
}

// The place of step t of a row; of its last step from there on.
fn event(row: u32, t: u32) -> u32 {
    if (PACKED == 1u) {
        return begin_of(row) + min(t, max(length_at(row), 1u) - 1u);
    }
    return begin_of(row) + t;
}
