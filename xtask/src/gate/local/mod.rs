//! Local judgement: each part of the model computed in f64 from the candidate's own tensors, with the weights that the port
//! read and the rounding of its runtime, and held against the candidate's own outputs.

pub(crate) mod causes;
mod computed;
mod floors;
mod oracle;
mod part_report;
mod parts;
pub(crate) mod planted;
mod repro;
mod resolution;
mod rounding_fit;
pub(crate) mod score;
#[cfg(test)]
mod simulated;
mod sources;
mod storage;
mod whole;

use std::path::Path;

use encoder::reference::{ReferenceModel, Rounding};
use encoder::{Checkpoint, TapTensor};
use harness::compare::comparison::Comparison;
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::compare::remark::{Remark, RemarkKind};
use harness::compare::terms::{KnownInput, Terms};
use harness::diagnosis;
use harness::provenance::Dump;
use harness::reference::{ComputedReference, Reference};
use harness::side::Side;
use harness::store::ComputedStore;
use harness::tensor::Tensor;

use self::oracle::Oracle;
use self::parts::CandidateTensors;
use self::rounding_fit::RoundingFit;
use self::sources::{NamedSources, expect_unit_range};
use self::whole::WholeRun;
use super::background::OpenedBackground;
use super::compare::{Gate, NamedInput};
use crate::encode::input::prepared;
use crate::shell::failure::Failure;
use crate::shell::paths;
use crate::shell::progress::Progress;

/// Which rounding model the candidate is computed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoundingChoice {
    /// The one that fits best.
    Auto,
    /// This one.
    Fixed(Rounding),
}

/// What local judgement starts from.
pub(crate) struct LocalSources<'a> {
    pub(crate) candidate: &'a Path,
    /// The weights as the port read them.
    pub(crate) weights: &'a Path,
    pub(crate) input: NamedInput<'a>,
    /// What weights do not show, where a set is compared with too.
    pub(crate) settings: encoder::Settings,
    pub(crate) rounding: RoundingChoice,
    /// An earlier dump of the same port.
    pub(crate) earlier: Option<&'a Path>,
    /// A part, or a tensor of one, of which everything is told.
    pub(crate) explained: Option<&'a str>,
    /// Whether it is shown how far the work is.
    pub(crate) with_progress: bool,
}

/// What a dump is judged by, opened.
struct OpenedOracle<'a> {
    oracle: Oracle<'a>,
    checkpoint: &'a Checkpoint,
    settings: encoder::Settings,
    dump: &'a Dump,
    /// The model's input.
    image: &'a TapTensor,
    fit: RoundingFit,
}

/// A dump that was judged part by part.
pub(crate) struct LocalJudgement {
    pub(crate) comparison: Comparison,
    /// What to do.
    pub(crate) advice: Vec<String>,
    /// Whether that is all there is to do about shapes.
    pub(crate) shapes_are_explained: bool,
    /// Everything that is known about the part that was asked for.
    pub(crate) part: Vec<String>,
}

impl Gate<'_> {
    /// Judges each part of a dump by itself.
    pub(crate) fn local(&self, sources: LocalSources<'_>) -> Result<LocalJudgement, Failure> {
        self.pool.install(|| self.judged_locally(&sources))
    }

    /// Writes a part that fails as a case of its own into a folder.
    pub(crate) fn repro(
        &self,
        sources: LocalSources<'_>,
        layer: &str,
        out: &Path,
    ) -> Result<Vec<String>, Failure> {
        self.pool.install(|| {
            self.with_oracle(&sources, |opened| repro::write(&opened.oracle, layer, opened.settings, out))
        })
    }

    fn judged_locally(&self, sources: &LocalSources<'_>) -> Result<LocalJudgement, Failure> {
        self.with_oracle(sources, |opened| self.judged_by(sources, opened))
    }

    /// Opens everything, chooses the rounding model, and hands it all on.
    fn with_oracle<T>(
        &self,
        sources: &LocalSources<'_>,
        act: impl FnOnce(OpenedOracle<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (dump, record) = self.dump(sources.candidate)?;
        let checkpoint = self.encoder.open_named(sources.weights)?;
        let settings = self.encoder.settings(sources.settings);
        let model = |rounding: Rounding| {
            ReferenceModel::new(&checkpoint, &settings, rounding).map_err(|error| {
                Failure::unreadable(error).or_help(|| paths::unreadable_help(sources.weights))
            })
        };
        let exact = model(Rounding::Exact)?;
        let NamedInput { path, pictures } = sources.input;
        let chosen = pictures.choose(sources.weights, &checkpoint, exact.architecture())?;
        let image = prepared(path, &chosen.preparation)?.tensor;
        if chosen.preparation.normalisation.is_none() {
            expect_unit_range(path, &image)?;
        }
        if let Some(record) = record {
            let named =
                NamedSources { checkpoint: &checkpoint, input: path, image: &image, settings: &settings };
            named.check(&record)?;
        }
        let tensors = CandidateTensors::find(self.mapping, &dump, &exact, &image)?;
        let fit = match sources.rounding {
            RoundingChoice::Fixed(rounding) => RoundingFit { rounding, next: None, is_told_apart: true },
            RoundingChoice::Auto => {
                rounding_fit::best_fit(&tensors, &Rounding::possible_with(&checkpoint), model)?
            }
        };
        let model = model(fit.rounding)?;
        let oracle = Oracle { model: &model, tensors: &tensors };
        act(OpenedOracle { oracle, checkpoint: &checkpoint, settings, dump: &dump, image: &image, fit })
    }

    fn judged_by(
        &self,
        sources: &LocalSources<'_>,
        opened: OpenedOracle<'_>,
    ) -> Result<LocalJudgement, Failure> {
        let OpenedOracle { oracle, checkpoint, settings, dump, image, fit } = opened;
        let tensors = oracle.tensors;
        let known = KnownInput {
            name: sources.input.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            tensor: Tensor::from_f32(image.shape.clone(), image.data.clone())
                .ok_or_else(|| Failure::unusable("an input of another size than its shape"))?,
        };
        let mut store = ComputedStore::new(sources.weights);
        let mut whole = WholeRun::of(image, fit.is_told_apart);
        let mut progress = Progress::new(sources.with_progress);
        progress.begin(tensors.parts.len(), "parts");
        let computed = oracle.all(&mut store, &mut |number, own| {
            progress.advance(1);
            whole.step(&oracle, number, own)
        })?;
        let weights = sources.weights.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let title =
            format!("each part in f64 from its own tensors, with {weights}, rounded as {}", fit.rounding);
        let naming = &self.mapping.reference.naming;
        let reference = Reference::computed(
            store,
            ComputedReference {
                title,
                floors: computed.floors(tensors),
                names: tensors.all_references.clone(),
            },
            naming,
        );
        let dumped = dump.names().iter().any(|name| self.mapping.input.candidate.contains(name));
        let terms = Terms {
            mapping: self.mapping,
            profile: self.profile,
            reference: &reference,
            tolerances: None,
            input: dumped.then_some(&known),
            known: None,
        };
        let mut comparison = terms.compare_dump(dump);
        comparison.missing.extend(tensors.missing_at_the_end());
        comparison.not_as_recorded = dump.differences(Side::Candidate);
        let joined = computed.joined(tensors);
        let rounding = fit.rounding.to_string();
        let is_known = fit.is_told_apart;
        let next = fit.next.map(|(rounding, times)| (rounding.to_string(), times));
        let local =
            RemarkKind::JudgedLocally { parts: computed.judged(tensors), joined, rounding, is_known, next };
        comparison.remarks.insert(0, Remark::from(local));
        let found = causes::explain(&oracle, &computed, &comparison, &mut progress)?;
        comparison.explanations.extend(found);
        let earlier = self.earlier(sources.earlier)?;
        let opened = OpenedBackground::open(self.encoder, &[sources.weights], earlier);
        opened.with(|background| diagnosis::explain_values(&terms, dump, background, &mut comparison));
        whole.tell(&oracle, &computed, &mut comparison)?;
        terms.keep_maps(dump, self.maps, &mut comparison);
        let part = match sources.explained {
            Some(asked) => part_report::lines(&oracle, &computed, &comparison, asked)?,
            None => Vec::new(),
        };
        let rounding = fit.rounding;
        let advice = resolution::advice(&oracle, &settings, |settings| {
            ReferenceModel::new(checkpoint, settings, rounding).map_err(Failure::unreadable)
        })?;
        let shapes_are_explained = advice.is_some();
        let picture = self.advice_about_picture(&comparison, tensors, dumped);
        let advice = advice.into_iter().chain(picture).collect();
        self.refuse_weak(&comparison)?;
        Ok(LocalJudgement { comparison, advice, shapes_are_explained, part })
    }

    /// What to do where the first part is wrong and nothing explains it: another picture looks the same, and is not known.
    fn advice_about_picture(
        &self,
        comparison: &Comparison,
        tensors: &CandidateTensors<'_>,
        dumped: bool,
    ) -> Option<String> {
        let first = tensors.parts.first()?;
        let is_unexplained = |found: &Explanation| matches!(&found.kind, ExplanationKind::PartUnexplained { part, .. } if *part == first.name);
        let name = self.mapping.input.candidate.first()?;
        (!dumped && comparison.explanations.iter().any(is_unexplained)).then(|| {
            format!(
                "was the port given the input of --input? That is not known: dump what it took under the name {name}, and it is \
                 looked at too"
            )
        })
    }
}
