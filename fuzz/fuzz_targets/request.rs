//! Any bytes as what a client sends: the first chooses the route, the rest are its body or query.
#![no_main]

use desirepath::serve::inspect_request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    inspect_request(bytes);
});
