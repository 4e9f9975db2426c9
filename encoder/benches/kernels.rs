//! Every kernel on the layer shapes of the 300M model at 768 x 768, on one thread and on every instruction set that the
//! CPU has. After each figure of criterion's: GFLOP/s, and the share of what the f32 units can do at all.
//!
//! cargo bench -p encoder --features bench --bench kernels [-- FILTER]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use encoder::bench::{Arithmetic, Problem, Work, ceiling};
use encoder::{Isa, Precision};

/// (name, the kernel's problem)
type Case = (&'static str, Box<dyn Fn(Arithmetic, Isa) -> Problem>);

fn cases() -> Vec<Case> {
    fn case(name: &'static str, make: impl Fn(Arithmetic, Isa) -> Problem + 'static) -> Case {
        (name, Box::new(make))
    }
    vec![
        case("stem 3x3", |a, _| Problem::convolution(a, 768, [3, 64], 3, 2)),
        case("edge residual 3x3, stage 0", |a, _| Problem::convolution(a, 192, [128, 512], 3, 1)),
        case("depthwise 3x3, stage 1", |_, isa| Problem::depthwise(isa, 192, 128, 3, 1)),
        case("block, stage 1", |a, _| Problem::block(a, 96 * 96, 256, 1024, 256)),
        case("block, stage 2", |a, _| Problem::block(a, 48 * 48, 640, 2560, 640)),
        case("block, stage 3", |a, _| Problem::block(a, 24 * 24, 1280, 2560, 1280)),
        case("narrow block, stage 2", |a, _| Problem::block(a, 48 * 48, 640, 1280, 640)),
        case("key projection, stage 2", |a, _| Problem::product(a, 24 * 24, 640, 64)),
        case("output projection, stage 2", |a, _| Problem::product(a, 48 * 48, 768, 640)),
        case("query projection, stage 2", |a, _| Problem::product(a, 48 * 48, 640, 768)),
        case("query projection, stage 3", |a, _| Problem::product(a, 24 * 24, 1280, 1536)),
        case("fusion", |a, _| Problem::block(a, 48 * 48, 1920, 3840, 2048)),
        case("embedder", |a, _| Problem::product(a, 256, 2048, 2048)),
        case("attention, stage 2", |a, _| Problem::attention(a, 48 * 48 * 12, 24 * 24, 64)),
        case("attention, stage 3", |a, _| Problem::attention(a, 24 * 24 * 16, 24 * 24, 96)),
        case("depthwise 5x5 / 2, stage 1", |_, isa| Problem::depthwise(isa, 192, 768, 5, 2)),
        case("depthwise 5x5, stage 2", |_, isa| Problem::depthwise(isa, 48, 640, 5, 1)),
        case("norm", |_, isa| Problem::rows(isa, 48 * 48, 640, false)),
        case("norm and GELU", |_, isa| Problem::rows(isa, 48 * 48, 2560, true)),
    ]
}

fn kernels(criterion: &mut Criterion) {
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else { return };
    for isa in Isa::ALL {
        if !isa.is_available() {
            println!("SKIPPED: this CPU has no {isa}");
            continue;
        }
        let ceiling = ceiling(isa);
        println!("{isa}: {:.1} GFLOP/s in registers, one thread", ceiling / 1e9);
        for precision in Precision::ALL {
            let mut group = criterion.benchmark_group(format!("{isa} {precision}"));
            group.sample_size(10).warm_up_time(Duration::from_millis(500));
            for (name, make) in cases() {
                let arithmetic = Arithmetic::new(isa, precision, false);
                // Made only if the filter lets it run.
                let (mut problem, mut fastest) = (None, f64::INFINITY);
                let work = std::cell::Cell::new(Work::Elements(0));
                group.bench_function(name, |bencher| {
                    let problem: &mut Problem = problem.get_or_insert_with(|| make(arithmetic, isa));
                    work.set(problem.work);
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
                match work.get() {
                    _ if fastest.is_infinite() => {}
                    Work::Elements(elements) => {
                        println!("    {:.2} elements a nanosecond", elements as f64 / fastest / 1e9);
                    }
                    Work::Flop(flop) => {
                        let (rate, of) = (flop as f64 / fastest, 100.0 * flop as f64 / fastest / ceiling);
                        println!("    {:.1} GFLOP/s, {of:.0} % of the f32 ceiling", rate / 1e9);
                    }
                }
            }
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
