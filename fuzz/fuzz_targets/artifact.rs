#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wandb_image_fuzz::targets::artifact(data));
