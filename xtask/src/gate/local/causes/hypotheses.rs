//! Everything that is tried on a part.

use encoder::Part;
use encoder::reference::{
    ActivationFunction, ImageForm, NamedConvolution, NormAxes, Operations, PoolingKind, PortChange, Site,
    StorageType, UpsamplingKind,
};

/// Every change of one thing that a part of these operations can have.
pub(in crate::gate::local) fn singles(part: &Part, operations: &Operations) -> Vec<PortChange> {
    let mut all = match part.site() {
        Site::Stem => of_stem(),
        Site::Block(_) => of_block(operations),
        Site::Fusion => of_fusion(),
        Site::Embedder => vec![PortChange::NoFactor],
        Site::Head => vec![PortChange::NoBias],
    };
    all.push(PortChange::MeanSubtracted);
    all.extend(of_norms(operations));
    for at in places(operations.activations.len()) {
        all.extend(ActivationFunction::ALL.map(|function| PortChange::Activation { at, function }));
    }
    all.extend(of_convolutions(&operations.convolutions));
    all
}

/// Types of two bytes, which parameters and caches are held in.
const HALVES: [StorageType; 2] = [StorageType::F16, StorageType::Bf16];

/// A norm's weight lost in one channel: one for each channel.
pub(super) fn lost_channels(operations: &Operations) -> Vec<PortChange> {
    let norms = operations.norms.iter().enumerate();
    let of = |norm: usize, channels: usize| {
        (0..channels).flat_map(move |channel| {
            [0.0, 1.0].map(|weight| PortChange::NormChannel { norm, channel, weight })
        })
    };
    norms.flat_map(|(number, norm)| of(number, norm.channels)).collect()
}

/// All of them, and each; of one, that is the same.
fn places(count: usize) -> impl Iterator<Item = Option<usize>> {
    (count > 1).then_some(None).into_iter().chain((0..count).map(Some))
}

fn of_stem() -> Vec<PortChange> {
    std::iter::once(PortChange::NoBias).chain(ImageForm::ALL.map(PortChange::Image)).collect()
}

fn of_block(operations: &Operations) -> Vec<PortChange> {
    let mut all = vec![
        PortChange::LayerScaleTimes(1.01),
        PortChange::NoLayerScale,
        PortChange::LayerScaleTwice,
        PortChange::LayerScaleAfterSkip,
        PortChange::NoSkip,
        PortChange::SkipTwice,
    ];
    all.extend([-2, -1, 1, 2].map(PortChange::WeightsOfBlock));
    all.extend(HALVES.map(PortChange::LayerScaleRounded));
    if operations.convolutions.iter().any(|convolution| convolution.name.contains(".attn.")) {
        all.extend([
            PortChange::ScoresTimes(1.01),
            PortChange::ScoresNotScaled,
            PortChange::SoftmaxOverQueries,
            PortChange::KeysAndValuesExchanged,
            PortChange::KeysAsValues,
            PortChange::QueriesInterleaved,
            PortChange::ResultsInterleaved,
            PortChange::KeysNotStrided,
            PortChange::SkipOfNormed,
        ]);
        all.extend([4.0, 100.0].map(PortChange::KeysPadded));
        all.extend(HALVES.map(PortChange::KeysAndValuesRounded));
        all.extend(HALVES.map(PortChange::ProbabilitiesRounded));
    }
    all
}

fn of_fusion() -> Vec<PortChange> {
    let pooling = [
        PoolingKind::Max,
        PoolingKind::First,
        PoolingKind::Bilinear,
        PoolingKind::Antialiased,
        PoolingKind::CornersAligned,
    ]
    .map(PortChange::Pooling);
    let kinds = [UpsamplingKind::NearestCentre, UpsamplingKind::Bilinear, UpsamplingKind::CornersAligned];
    let upsampling = kinds.map(PortChange::Upsampling);
    let others = [PortChange::PoolAfterNorm, PortChange::ConcatOrder];
    others.into_iter().chain(pooling).chain(upsampling).collect()
}

fn of_norms(operations: &Operations) -> Vec<PortChange> {
    let mut all = Vec::new();
    for norm in places(operations.norms.len()) {
        all.extend([1e-5, 1e-3, 1e-1].map(|value| PortChange::Epsilon { norm, value }));
        all.push(PortChange::EpsilonOutside { norm, value: 1e-4 });
        all.extend(HALVES.map(|to| PortChange::NormWeightRounded { norm, to }));
        all.extend([
            PortChange::NoNormWeight { norm },
            PortChange::NormWeightPlusOne { norm },
            PortChange::NoNorm { norm },
            PortChange::NormBySum { norm },
            PortChange::NormUnbiased { norm },
        ]);
        let axes = [NormAxes::Height, NormAxes::Width, NormAxes::Map, NormAxes::Everything];
        all.extend(axes.map(|axes| PortChange::NormOver { norm, axes }));
    }
    let channels = |norm: usize| operations.norms[norm].channels;
    for norm in 1..operations.norms.len() {
        let others = (0..norm).filter(|of| channels(*of) == channels(norm));
        all.extend(others.map(|of| PortChange::NormWeightOf { norm, of }));
    }
    let has_none = |norm: &usize| !operations.activations.contains(&operations.norms[*norm].name);
    let without = (0..operations.norms.len()).filter(has_none);
    all.extend(without.map(|norm| PortChange::ActivationAfterNorm { norm }));
    all
}

fn of_convolutions(convolutions: &[NamedConvolution]) -> Vec<PortChange> {
    let mut all = Vec::new();
    for convolution in places(convolutions.len()) {
        let any = |of: &dyn Fn(&NamedConvolution) -> bool| match convolution {
            Some(number) => of(&convolutions[number]),
            None => convolutions.iter().filter(|one| of(one)).count() > 1,
        };
        if any(&|one| one.kernel > 1 && one.stride > 1) {
            all.extend([
                PortChange::SymmetricPadding { convolution },
                PortChange::PaddingShifted { convolution },
                PortChange::StridePhase { convolution },
            ]);
        }
        if any(&|one| one.kernel > 1) {
            all.extend([
                PortChange::KernelFlipped { convolution },
                PortChange::KernelTransposed { convolution },
            ]);
        }
        if any(&|one| one.is_square) {
            all.push(PortChange::WeightTransposed { convolution });
        }
        all.extend(StorageType::ALL.map(|to| PortChange::WeightsRounded { convolution, to }));
    }
    all
}
