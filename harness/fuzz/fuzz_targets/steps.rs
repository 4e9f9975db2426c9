//! The list of calls that lies beside a dump of vLLM, and the names of sglang's files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let name: String = String::from_utf8_lossy(bytes).chars().filter(|c| !"/\0".contains(*c)).take(40).collect();
    let tagged = format!("step=0___rank=0___name={name}___.pt");
    harness_fuzz::read(&[("module_calls.txt", bytes), (tagged.as_str(), bytes)]);
});
