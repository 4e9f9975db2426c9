use crate::console::Outcome;

/// Plant faults and report which ones the gate sees.
///
/// Faults are planted in the tensors of every committed set and in the encoder's own computation, each at several
/// strengths. The score must not fall under the accepted one.
///
/// Example: cargo xtask selftest --verbose
#[derive(clap::Args)]
pub(crate) struct Selftest {
    /// A profile of the mapping.
    #[arg(long, value_name = "NAME", default_value = "f32")]
    profile: String,
    /// Show every fault in every layer.
    #[arg(long)]
    verbose: bool,
    /// Accept today's score; not where CI is set.
    #[arg(long)]
    accept: bool,
}

/// Faults are no part of a user's build: this one calls a build that has them.
#[cfg(not(feature = "faults"))]
impl Selftest {
    pub(crate) fn run(self) -> Outcome {
        let target = crate::paths::root().join("target").join("faults");
        let target = target.to_string_lossy();
        let mut arguments =
            vec!["run", "--locked", "--quiet", "--release", "--package", "xtask", "--features", "faults"];
        arguments.extend(["--target-dir", &target, "--", "selftest", "--profile", &self.profile]);
        arguments.extend(self.verbose.then_some("--verbose"));
        arguments.extend(self.accept.then_some("--accept"));
        crate::process::run_steps(&[crate::process::Step::cargo(&arguments)])
    }
}

#[cfg(feature = "faults")]
impl Selftest {
    pub(crate) fn run(self) -> Outcome {
        use std::process::ExitCode;
        use std::time::Instant;

        use harness::exit_code;
        use harness::mapping::Mapping;
        use harness::run::Terms;

        use crate::candidate::EncoderArguments;
        use crate::compare::Compare;
        use crate::console::{Failure, say};
        use crate::selftest::{Bench, Score, Verdict};
        use crate::{baselines, paths, selftest, set};

        let started = Instant::now();
        let mapping = Mapping::read(&paths::default_mapping())?;
        let profile = mapping.profile(&self.profile)?;
        let encoder = EncoderArguments::default();
        let pool = encoder.pool()?;
        let compare = Compare { mapping: &mapping, profile, pool: &pool, encoder: &encoder, strict: false };
        let mut findings = Vec::new();
        for path in set::committed()? {
            let reference = compare.reference(&path)?;
            let tolerances = baselines::tolerances(&reference, &self.profile)?;
            let terms = Terms {
                mapping: &mapping,
                profile,
                reference: &reference,
                tolerances: tolerances.as_ref(),
                baseline: None,
                measured: false,
            };
            findings.extend(pool.install(|| selftest::run(&Bench::new(terms, &reference)?))?);
        }
        for finding in &findings {
            if self.verbose {
                let verdict = match finding.verdict {
                    Verdict::Seen(Some(strength)) => format!("seen from {strength:.0e}"),
                    Verdict::Seen(None) => "seen".to_string(),
                    Verdict::Equivalent(floors) => format!("equivalent: {floors:.1e} noise floors"),
                    Verdict::Missed(floors) => format!("MISSED: {floors:.1} noise floors"),
                };
                say(&format!("{}: {} in {}: {verdict}", finding.fault, finding.layer, finding.set));
            }
        }
        let score = Score::of(&findings);
        say(&format!(
            "{:38} {:>7} {:>5} {:>6} {:>10} {:>8}",
            "fault", "planted", "seen", "equal", "everywhere", "anywhere"
        ));
        let strength = |strength: Option<f64>| strength.map_or("-".to_string(), |s| format!("{s:.0e}"));
        for (fault, entry) in &score.faults {
            let (everywhere, anywhere) = (strength(entry.everywhere), strength(entry.anywhere));
            say(&format!(
                "{fault:37} {:>7} {:>4} {:>5} {everywhere:>10} {anywhere:>8}",
                entry.planted, entry.seen, entry.equivalent
            ));
        }
        for (fault, entry) in &score.faults {
            let unseen = entry.planted - entry.seen;
            if let Some(bound) = entry.bound.filter(|_| unseen > 0) {
                say(&format!(
                    "not seen: {fault} in {unseen} places, which it changes by at most {bound:.1} noise floors"
                ));
            }
        }
        let (seen, all) = score.total();
        say(&format!("score: {seen} of {all} seen, {:.2} %", 100.0 * seen as f64 / all.max(1) as f64));
        say(&format!("{:.1} s", started.elapsed().as_secs_f64()));

        let path = paths::baselines().join(format!("selftest.{}.json", self.profile));
        if self.accept {
            if baselines::in_ci() {
                return Err(Failure::usage("CI is set: nothing is written", "accept where you work"));
            }
            let text = serde_json::to_string_pretty(&score).map_err(Failure::unreadable)? + "\n";
            std::fs::write(&path, text).map_err(|error| Failure::write(&path, &error))?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = std::fs::read(&path).map_err(|error| {
            Failure::unusable(format!("{}: cannot be read: {error}", path.display()))
                .help("cargo xtask selftest --accept")
        })?;
        let accepted: Score = serde_json::from_slice(&text).map_err(Failure::unreadable)?;
        let shortfalls = score.shortfalls(&accepted);
        for shortfall in &shortfalls {
            say(&format!("fell: {shortfall}"));
        }
        if shortfalls.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        say("next: cargo xtask selftest --verbose; if the loss is meant: cargo xtask selftest --accept");
        Ok(ExitCode::from(exit_code::NUMBERS))
    }
}
