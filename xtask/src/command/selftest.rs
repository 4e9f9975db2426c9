#[cfg(feature = "faults")]
use crate::committed::figures;
use crate::shell::ci;
use crate::shell::failure::{CommandResult, Failure};

/// Plant faults and report which ones the gate sees.
///
/// Faults are planted in the tensors of every committed set and in the encoder's own computation, each at several
/// strengths. The score must not fall under the accepted one.
///
/// With --ports they are planted in the parts of a simulated port instead, each thing that a port may do otherwise in each
/// kind of part: whether it is seen there, and whether it is called by its name.
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
    /// Plant faults in simulated ports, and ask for their causes.
    #[arg(long, conflicts_with = "profile")]
    ports: bool,
}

impl Selftest {
    /// What would not be written in the end is not begun.
    fn refuse_in_ci(&self) -> Result<(), Failure> {
        if self.accept {
            ci::refuse()?;
        }
        Ok(())
    }
}

/// Faults are no part of a user's build: this one calls a build that has them.
#[cfg(not(feature = "faults"))]
impl Selftest {
    pub(crate) fn run(self) -> CommandResult {
        use crate::shell::process::{ProgramStep, run_steps};

        self.refuse_in_ci()?;
        if self.ports {
            return super::selftest_ports::run(self.verbose, self.accept);
        }
        crate::shell::paths::sources()?;
        let mut selftest = vec!["selftest", "--profile", self.profile.as_str()];
        selftest.extend(self.verbose.then_some("--verbose"));
        selftest.extend(self.accept.then_some("--accept"));
        if cfg!(debug_assertions) {
            // As the tests are built, in features too, of which dependencies have more where any test is asked for: what this
            // build depends on is there.
            let build = ["build", "--locked", "--quiet", "--workspace", "--features", "xtask/faults"];
            let targets = ["--bin", "xtask", "--test", "words"];
            return run_steps(&[
                ProgramStep::cargo(&[&build[..], &targets].concat()),
                ProgramStep::own(&selftest),
            ]);
        }
        let run =
            ["run", "--locked", "--quiet", "--release", "--package", "xtask", "--features", "faults", "--"];
        run_steps(&[ProgramStep::cargo(&[&run[..], &selftest].concat())])
    }
}

#[cfg(feature = "faults")]
impl Selftest {
    pub(crate) fn run(self) -> CommandResult {
        use std::process::ExitCode;
        use std::time::Instant;

        use harness::compare::terms::Terms;
        use harness::exit_code;

        use crate::committed::set;
        use crate::encode::arguments::EncoderArguments;
        use crate::gate::compare::Gate;
        use crate::selftest;
        use crate::selftest::{Score, TestBed, Verdict};
        use crate::shell::console::say;
        use crate::shell::paths;

        self.refuse_in_ci()?;
        if self.ports {
            return super::selftest_ports::run(self.verbose, self.accept);
        }
        let path = paths::baselines().unwrap_or_default().join(format!("selftest.{}.json", self.profile));
        let accepted = self.accepted(&path)?;
        let started = Instant::now();
        let mapping = paths::mapping(None)?;
        let profile = mapping.profile(&self.profile)?;
        let encoder = EncoderArguments::default();
        let pool = encoder.pool()?;
        let compare = Gate::new(&mapping, profile, &pool, &encoder);
        let mut findings = Vec::new();
        for path in set::committed()? {
            let reference = compare.reference(&path)?;
            let tolerances = crate::gate::limits::tolerances(&reference, &self.profile)?;
            let terms = Terms {
                input: None,
                mapping: &mapping,
                profile,
                reference: &reference,
                tolerances: tolerances.as_ref(),
                known: None,
            };
            findings.extend(pool.install(|| selftest::run(&TestBed::new(terms, &reference)?))?);
        }
        selftest::settle(&mut findings);
        let rank = |finding: &selftest::Planted| match finding.verdict {
            Verdict::Seen { .. } => 0,
            Verdict::Equivalent { .. } => 1,
            Verdict::Unseen { .. } => 2,
        };
        // The missed ones stand last, next to the table.
        for kind in if self.verbose { 0..3 } else { 1..3 } {
            findings
                .iter()
                .filter(|finding| rank(finding) == kind)
                .for_each(|finding| say(&described(finding)));
        }
        let score = Score::of(&findings);
        say(&table(&score));
        let (seen, all) = score.total();
        let (missed, equivalent) = score.faults.values().fold((0, 0), |(missed, equivalent), entry| {
            (missed + entry.missed, equivalent + entry.equivalent)
        });
        say(&format!(
            "score: {seen} of {all} seen, {:.2} %; {missed} missed, {equivalent} equivalent",
            100.0 * seen as f64 / all.max(1) as f64
        ));
        say(&format!("{:.1} s", started.elapsed().as_secs_f64()));

        let shortfalls = accepted.as_ref().map(|accepted| score.shortfalls(accepted)).unwrap_or_default();
        for shortfall in &shortfalls {
            say(&format!("fell: {shortfall}"));
        }
        if self.accept {
            let text = serde_json::to_string_pretty(&score).map_err(Failure::unreadable)?;
            harness::files::atomic::write(&path, |out| writeln!(out, "{text}"))
                .map_err(|error| Failure::write(&path, &error))?;
            say(&format!("{}: accepted", paths::shown(&path)));
            return Ok(ExitCode::SUCCESS);
        }
        if shortfalls.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let option = figures::option(&self.profile);
        say(&format!(
            "next: cargo xtask selftest{option} --verbose\n      if the loss is meant: cargo xtask selftest{option} --accept"
        ));
        Ok(ExitCode::from(exit_code::NUMBERS))
    }
}

#[cfg(feature = "faults")]
impl Selftest {
    /// The accepted score; there need not be one where today's is to be accepted.
    fn accepted(&self, path: &std::path::Path) -> Result<Option<crate::selftest::Score>, Failure> {
        let unusable = |error: String| {
            let option = figures::option(&self.profile);
            Failure::usage(
                format!("{}: {error}", crate::shell::paths::shown(path)),
                format!(
                    "git restore baselines, or take today's score: cargo xtask selftest{option} --accept"
                ),
            )
        };
        if !figures::is_there(path)? {
            return match self.accept {
                true => Ok(None),
                false => Err(unusable("expected an accepted score, found no such file".to_string())),
            };
        }
        let text = harness::files::regular::read(path)
            .map_err(|error| unusable(format!("cannot be read: {error}")))?;
        match serde_json::from_slice(&text) {
            Ok(score) => Ok(Some(score)),
            Err(_) if self.accept => Ok(None),
            Err(error) => Err(unusable(format!("expected an accepted score, found {error}"))),
        }
    }
}

/// One planted fault and what became of it.
#[cfg(feature = "faults")]
fn described(finding: &crate::selftest::Planted) -> String {
    use crate::selftest::Verdict;

    let verdict = match &finding.verdict {
        Verdict::Seen { strength, late } => {
            let from = strength.map_or(String::new(), |strength| format!(" from {strength:.0e}"));
            let late = match late {
                0 => String::new(),
                late => format!(", {late} layers behind {}", finding.planted),
            };
            format!("seen{from}{late}")
        }
        Verdict::Equivalent { effect, seen_in } => {
            format!("equivalent: {}; seen in {} of {seen_in}", moved(effect), finding.place)
        }
        Verdict::Unseen { floors, effect } => {
            let moved = effect.as_ref().map_or(String::new(), |effect| format!("; {}", moved(effect)));
            format!("MISSED: {floors:.1} noise floors{moved}")
        }
    };
    format!("{}: {} in {}: {verdict}", finding.fault, finding.layer, finding.set)
}

/// What a fault does when nothing is rounded.
#[cfg(feature = "faults")]
fn moved(effect: &crate::selftest::Effect) -> String {
    let crate::selftest::Effect { layer, rel_l2, rel_linf, limit } = effect;
    format!(
        "in f64 moves {layer} by rel_l2 {rel_l2:.1e} (limit {:.1e}), rel_linf {rel_linf:.1e} (limit {:.1e})",
        limit.rel_l2, limit.rel_linf
    )
}

/// The score, fault by fault.
#[cfg(feature = "faults")]
fn table(score: &crate::selftest::Score) -> String {
    let mut lines = vec![format!(
        "{:36} {:>7} {:>5} {:>6} {:>10} {:>10} {:>8}",
        "fault", "planted", "seen", "missed", "equivalent", "everywhere", "anywhere"
    )];
    let strength = |strength: Option<f64>| strength.map_or("-".to_string(), |s| format!("{s:.0e}"));
    for (fault, entry) in &score.faults {
        let everywhere = entry.everywhere.filter(|_| entry.missed == 0);
        let (everywhere, anywhere) = (strength(everywhere), strength(entry.anywhere));
        lines.push(format!(
            "{fault:36} {:>7} {:>5} {:>6} {:>10} {everywhere:>10} {anywhere:>8}",
            entry.planted, entry.seen, entry.missed, entry.equivalent
        ));
    }
    lines.join("\n")
}
