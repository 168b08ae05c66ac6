
// Four numbers of the item whose words begin at `row`, from column k on. FORMAT 0 is f32; 1 is f16, two in a word; 2 is
// int8, four in a word, with the word behind them for what one is worth. Zeros fill up the last four.
fn item_at(row: u32, k: u32) -> vec4<f32> {
    if (FORMAT == 1u) {
        let i = row + k / 2u;
        return vec4(unpack2x16float(table[i]), unpack2x16float(table[i + 1u]));
    }
    if (FORMAT == 2u) {
        return vec4<f32>(unpack4xI8(table[row + k / 4u]));
    }
    let at = vec4(k) + vec4(0u, 1u, 2u, 3u);
    let i = vec4(row) + min(at, vec4(params.dim - 1u));
    let v = bitcast<vec4<f32>>(vec4(table[i.x], table[i.y], table[i.z], table[i.w]));
    return select(vec4(0.0), v, at < vec4(params.dim));
}

// What one is worth in that row.
fn worth_of_one(row: u32) -> f32 {
    return bitcast<f32>(table[row + params.row - 1u]);
}
