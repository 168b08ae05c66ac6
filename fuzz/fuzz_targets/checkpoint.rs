//! Any bytes as the files of a model folder: configuration, state, weights, counts.
#![no_main]

use desirepath::train::{Checkpoint, ItemBits, inspect_items, inspect_neighbours, inspect_weights};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let folder = std::env::temp_dir().join(format!("desirepath-fuzz-checkpoint-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    match kind % 5 {
        0 => {
            std::fs::write(folder.join("config.json"), bytes).expect("write");
            if let Ok(checkpoint) = Checkpoint::open(&folder) {
                assert!(checkpoint.config.validate().is_ok(), "an opened checkpoint can be built");
                let _ = (checkpoint.state(), Checkpoint::open_training(&folder), checkpoint.data());
            }
        }
        1 => {
            std::fs::write(folder.join("config.json"), CONFIG).expect("write");
            std::fs::write(folder.join("state.json"), bytes).expect("write");
            let _ = Checkpoint::open(&folder).expect("a good configuration").state();
        }
        2 => drop(inspect_weights(bytes, &[("item.table", &[3, 4]), ("item.bias", &[3])])),
        3 => drop(inspect_neighbours(bytes, 3)),
        _ => {
            for bits in [ItemBits::F32, ItemBits::F16, ItemBits::Int8] {
                let _ = inspect_items(bytes, [3, 4], bits);
            }
        }
    }
});

const CONFIG: &str = r#"{"format": 1, "version": "0", "fingerprint": "0", "seen": "keep", "model": {}, "train": {}}"#;
