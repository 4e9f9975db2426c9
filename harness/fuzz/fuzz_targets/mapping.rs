//! Mappings: read, and their mistakes shown.
#![no_main]

use std::path::Path;

use harness::mapping::Mapping;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = Mapping::parse(Path::new("fuzzed.toml"), text.to_string()) {
        harness::report::mistakes::mapping(&error, false);
    }
});
