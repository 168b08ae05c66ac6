// The ids that the eight lanes hold, to all.
struct EightIds { lo: vec4<u32>, hi: vec4<u32> }

fn spread_ids(id: u32) -> EightIds {
    return EightIds(vec4(subgroupBroadcast(id, 0u), subgroupBroadcast(id, 1u),
                         subgroupBroadcast(id, 2u), subgroupBroadcast(id, 3u)),
                    vec4(subgroupBroadcast(id, 4u), subgroupBroadcast(id, 5u),
                         subgroupBroadcast(id, 6u), subgroupBroadcast(id, 7u)));
}

// 1 where an id is the one asked for.
fn matches(ids: EightIds, id: u32) -> Eight {
    return Eight(select(vec4(0.0), vec4(1.0), ids.lo == vec4(id)), select(vec4(0.0), vec4(1.0), ids.hi == vec4(id)));
}
