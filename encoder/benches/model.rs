//! The 300M model on a 768 x 768 image, batch 1, in every precision, on the best instruction set that the CPU has
//! (`ENCODER_MAX_ISA` caps it) and all threads.
//!
//! After criterion's figure, the fastest of its runs: the whole model and each stage, with GFLOP/s and the share of what
//! the f32 units of all threads can do at all, which bf16 can exceed where there are units for it. Stages have no figures of
//! criterion's own: each would be a run of the whole model again. What is in no stage is the check of the input and
//! its transposition. bf16x3 takes minutes on a CPU without AMX or AVX512-BF16.
//!
//! cargo bench -p encoder --features bench --bench model [-- FILTER]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use encoder::bench::f32_ceiling_of_all_threads;
use encoder::{Checkpoint, LoadOptions, Model, Precision, Step, TapTensor};

/// Where the weights and the input are, from the workspace.
const SET: &str = "fixtures/large/300m";

fn model(criterion: &mut Criterion) {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(SET);
    let weights = set.join("model.safetensors");
    if !weights.is_file() {
        println!("SKIPPED: {SET}/model.safetensors is missing; cargo xtask fixtures --preset 300m makes it");
        return;
    }
    let load = |precision| {
        let options = LoadOptions { precision, ..LoadOptions::default() };
        let model = Checkpoint::open(&weights).and_then(|checkpoint| Model::load(&checkpoint, &options));
        (or_fail(model), or_fail(encoder::input::read_image(&set.join("input.png"))))
    };
    let mut group = criterion.benchmark_group("model");
    // Flat: a run takes seconds. A warm-up is one run, which finds cold caches and unmapped memory.
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    for precision in Precision::ALL {
        // Loaded only if the filter lets it run.
        let (mut loaded, mut runs) = (None, Vec::new());
        group.bench_function(precision.name(), |bencher| {
            let (model, input) = loaded.get_or_insert_with(|| load(precision));
            bencher.iter_custom(|count| {
                let mut total = 0.0;
                for _ in 0..count {
                    let steps = run(model, input);
                    total += steps[0].seconds;
                    runs.push(steps);
                }
                Duration::from_secs_f64(total)
            });
        });
        if let Some((model, _)) = loaded {
            report(&model, &runs);
        }
    }
    group.finish();
}

/// One run: the whole model, then its stages.
fn run(model: &Model, input: &TapTensor) -> Vec<Step> {
    let started = Instant::now();
    let (_, steps) = or_fail(model.profile(&input.shape, &input.data));
    let seconds = started.elapsed().as_secs_f64();
    let mut stages = Step::by_stage(&steps);
    stages.insert(0, Step { seconds, ..Step::sum("whole model", &steps) });
    stages
}

/// Prints the fastest run.
fn report(model: &Model, runs: &[Vec<Step>]) {
    let fastest = runs.iter().min_by(|a, b| a[0].seconds.total_cmp(&b[0].seconds));
    let isa = model.isa();
    let (ceiling, threads) = f32_ceiling_of_all_threads(isa);
    println!(
        "    {isa} ({}), {threads} threads, f32 ceiling {:.1} GFLOP/s",
        model.arithmetic(),
        ceiling / 1e9
    );
    for Step { name, seconds, flop, .. } in fastest.into_iter().flatten() {
        let rate = flop / seconds;
        println!(
            "    {name:<12} {:>8.1} ms {:>8.1} GFLOP/s, {:>3.0} % of the f32 ceiling",
            seconds * 1e3,
            rate / 1e9,
            100.0 * rate / ceiling
        );
    }
}

fn or_fail<T>(result: Result<T, encoder::Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

criterion_group!(benches, model);
criterion_main!(benches);
