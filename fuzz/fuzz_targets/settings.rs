//! Any text as a file of settings, and as KEY=VALUE.
#![no_main]

use desirepath::model::Config;
use desirepath::train::{TrainOptions, read_settings, set};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (mut config, mut options) = (Config::default(), TrainOptions::default());
    if read_settings(text, true, &mut config, &mut options).is_ok() {
        let _ = (config.validate(), options.validate());
        if options.validate().is_ok() {
            let rate = options.rate(1, 100);
            assert!(rate.is_finite() && rate >= 0.0, "a rate of {rate} from {options:?}");
        }
    }
    if let Some((key, value)) = text.split_once('=') {
        let _ = set(&mut config, &mut options, key, value);
    }
});
