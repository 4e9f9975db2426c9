//! Every kernel on layer shapes of the 300M model at 768 x 768, on one thread and on every instruction set that the CPU has.
//! After each figure of criterion's, of the fastest run: GFLOP/s and the share of what the f32 units can do at all, or, where
//! there are no products, GB/s and the share of what copying does. The ceiling, in parentheses, is measured on the spot.
//!
//! cargo bench -p encoder --features bench --bench kernels [-- FILTER]

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use encoder::bench::{Arithmetic, Problem};
use encoder::{Isa, Precision};
use rayon::ThreadPool;

/// (name, the kernel's problem)
type KernelCase<Of> = (&'static str, fn(Of) -> Problem);

/// Dependent on the instruction set and the precision.
const PRODUCTS: &[KernelCase<Arithmetic>] = &[
    ("stem 3x3 / 2", |a| Problem::convolution(a, 768, [3, 64], 3, 2)),
    ("edge residual 3x3 / 2, stage 0", |a| Problem::convolution(a, 384, [64, 256], 3, 2)),
    ("edge residual 3x3, stage 0", |a| Problem::convolution(a, 192, [128, 512], 3, 1)),
    ("block, stage 1", |a| Problem::block(a, 96 * 96, 256, 1024, 256)),
    ("block, stage 2", |a| Problem::block(a, 48 * 48, 640, 2560, 640)),
    ("block, stage 3", |a| Problem::block(a, 24 * 24, 1280, 2560, 1280)),
    ("narrow block, stage 2", |a| Problem::block(a, 48 * 48, 640, 1280, 640)),
    ("key projection, stage 2", |a| Problem::product(a, 24 * 24, 640, 64)),
    ("output projection, stage 2", |a| Problem::product(a, 48 * 48, 768, 640)),
    ("query projection, stage 2", |a| Problem::product(a, 48 * 48, 640, 768)),
    ("query projection, stage 3", |a| Problem::product(a, 24 * 24, 1280, 1536)),
    ("fusion", |a| Problem::block(a, 48 * 48, 1920, 3840, 2048)),
    ("embedder", |a| Problem::product(a, 256, 2048, 2048)),
    ("attention, stage 2", |a| Problem::attention(a, 48 * 48 * 12, 24 * 24, 64)),
    ("attention, stage 3", |a| Problem::attention(a, 24 * 24 * 16, 24 * 24, 96)),
    ("packing a weight, stage 3", |a| Problem::packing(a, 1280, 2560)),
];

/// Dependent on the instruction set.
const VECTORS: &[KernelCase<Isa>] = &[
    ("edge residual by Winograd, stage 0", |isa| Problem::winograd(isa, 192, [128, 512, 128])),
    ("depthwise 3x3, stage 1", |isa| Problem::depthwise(isa, 192, 128, 3, 1)),
    ("depthwise 5x5 / 2, stage 1", |isa| Problem::depthwise(isa, 192, 768, 5, 2)),
    ("depthwise 5x5 / 2, stage 2", |isa| Problem::depthwise(isa, 96, 1536, 5, 2)),
    ("depthwise 5x5 / 2, stage 3", |isa| Problem::depthwise(isa, 48, 3840, 5, 2)),
    ("depthwise 5x5, stage 2", |isa| Problem::depthwise(isa, 48, 640, 5, 1)),
    ("depthwise 3x3 / 2 of keys, stage 2", |isa| Problem::depthwise(isa, 48, 640, 3, 2)),
    ("norm, stage 2", |isa| Problem::rows(isa, 48 * 48, 640, false)),
    ("norm, stage 3", |isa| Problem::rows(isa, 24 * 24, 1280, false)),
    ("norm, fusion", |isa| Problem::rows(isa, 16 * 16, 2048, false)),
    ("norm and GELU, stage 2", |isa| Problem::rows(isa, 48 * 48, 2560, true)),
];

/// Independent of the instruction set.
const SCALARS: &[KernelCase<()>] = &[
    ("input from NCHW", |()| Problem::transpose(3, 768 * 768)),
    ("tap to NCHW, stage 2", |()| Problem::transpose(48 * 48, 640)),
    ("average pooling, fusion", |()| Problem::average_pool(48, 2048, 16)),
    // What an image of 640 x 640 takes: 16 divides the 48 pixels of one of 768.
    ("bilinear pooling, fusion of 640 x 640", |()| Problem::bilinear(40, 2048, 16)),
];

fn kernels(criterion: &mut Criterion) {
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else { return };
    let mut group = start_group(criterion, "any isa");
    for (name, make) in SCALARS {
        run(&mut group, &pool, name, || make(()));
    }
    group.finish();
    for isa in Isa::ALL {
        if !isa.is_available() {
            println!("SKIPPED: {isa} is not supported by this CPU");
            continue;
        }
        let mut group = start_group(criterion, isa.name());
        for (name, make) in VECTORS {
            run(&mut group, &pool, name, || make(isa));
        }
        group.finish();
        for precision in Precision::ALL {
            let mut group = start_group(criterion, &format!("{isa} {precision}"));
            for (name, make) in PRODUCTS {
                run(&mut group, &pool, name, || make(Arithmetic::new(isa, precision, false)));
            }
            group.finish();
        }
    }
}

fn start_group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group
}

fn run(group: &mut BenchmarkGroup<'_, WallTime>, pool: &ThreadPool, name: &str, make: impl Fn() -> Problem) {
    // Made only if the filter lets it run.
    let (mut made, mut fastest) = (None, f64::INFINITY);
    group.bench_function(name, |bencher| {
        let problem = made.get_or_insert_with(&make);
        bencher.iter_custom(|runs| {
            let mut total = Duration::ZERO;
            for _ in 0..runs {
                let started = Instant::now();
                pool.install(|| problem.run());
                let time = started.elapsed();
                fastest = fastest.min(time.as_secs_f64());
                total += time;
            }
            total
        });
    });
    if let Some(problem) = made {
        println!("    {}", problem.work.report(fastest));
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
