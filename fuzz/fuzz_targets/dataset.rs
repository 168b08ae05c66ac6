//! Any bytes as a dataset folder: as they are, or as columns whose lengths and checksums hold.
#![no_main]

use desirepath::data::{Dataset, PrepareReport};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const COLUMNS: [&str; 11] = [
    "users",
    "items",
    "categories",
    "offsets",
    "item",
    "time",
    "item_category",
    "rating",
    "place",
    "item_place",
    "item_features",
];

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("desirepath-fuzz-dataset-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (index, columns) = match kind % 2 {
        0 => match rest.iter().position(|c| *c == 0) {
            Some(at) => (rest[..at].to_vec(), rest[at + 1..].to_vec()),
            None => (rest.to_vec(), Vec::new()),
        },
        _ => match sealed(rest) {
            Some(both) => both,
            None => return,
        },
    };
    std::fs::write(folder.join("dataset.json"), index).expect("write");
    std::fs::write(folder.join("columns.bin"), columns).expect("write");
    let _ = PrepareReport::load(&folder);
    if let Ok(dataset) = Dataset::load(&folder) {
        // What passes can be indexed without fear.
        for user in 1..=dataset.n_users() {
            for event in dataset.events_of(user) {
                let item = dataset.item[event] as usize - 1;
                let _ = (&dataset.items[item], dataset.time[event]);
                let category = dataset.item_category.as_ref().map_or(0, |c| c[item] as usize);
                assert!(category <= dataset.categories.len());
            }
        }
        let _ = dataset.merged(&dataset, &folder);
    }
});

/// Four counts, then columns: which one, two bytes of length, the bytes.
fn sealed(input: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (counts, mut rest) = input.split_at_checked(6)?;
    let (mut columns, mut bytes) = (Vec::new(), Vec::new());
    while let [which, low, high, more @ ..] = rest {
        let n = usize::from(u16::from_le_bytes([*low, *high])).min(more.len());
        let mut crc = flate2::Crc::new();
        crc.update(&more[..n]);
        columns.push(json!({"name": COLUMNS[*which as usize % COLUMNS.len()], "bytes": n, "crc32": crc.sum()}));
        bytes.extend_from_slice(&more[..n]);
        rest = &more[n..];
    }
    let index = json!({
        "kind": "desirepath dataset", "version": 1,
        "users": counts[0], "items": counts[1], "events": counts[2], "categories": counts[3],
        "feature_dim": counts[4], "has_time": counts[5] & 1 == 1, "columns": columns, "report": null,
    });
    Some((serde_json::to_vec(&index).ok()?, bytes))
}
