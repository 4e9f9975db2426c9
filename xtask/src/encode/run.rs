//! Pictures through the encoder, a batch at a time.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use encoder::{Encoded, Model, NoTaps, TapSink, TapTensor};
use rayon::prelude::*;

use super::arguments::check_memory;
use super::input::{InputFile, PreparedInput, prepared};
use super::pictures::ChosenPreparation;
use super::summary::TreatmentCounts;
use crate::shell::console::tell;
use crate::shell::failure::Failure;
use crate::shell::progress::Progress;

/// Pictures on their way through the encoder, and what is to be said of them.
pub(crate) struct EncodingRun<'a> {
    pub(crate) model: &'a Model,
    pub(crate) pool: &'a rayon::ThreadPool,
    chosen: ChosenPreparation,
    /// How many pictures are encoded at once.
    batch: usize,
    counts: TreatmentCounts,
    /// The shape of all soft tokens.
    shape: Vec<usize>,
    /// The shape of what they are of, where it is the same for all, with all pictures as its batch.
    input: Vec<usize>,
    /// How many values of tokens are not finite.
    broken: usize,
}

impl<'a> EncodingRun<'a> {
    pub(crate) fn new(
        model: &'a Model,
        pool: &'a rayon::ThreadPool,
        chosen: ChosenPreparation,
        batch: usize,
    ) -> EncodingRun<'a> {
        EncodingRun {
            model,
            pool,
            chosen,
            batch,
            counts: TreatmentCounts::default(),
            shape: Vec::new(),
            input: Vec::new(),
            broken: 0,
        }
    }

    /// Reads a file and prepares what it holds.
    pub(crate) fn read(&mut self, file: &InputFile) -> Result<PreparedInput, Failure> {
        let input = prepared(&file.path, &self.chosen.preparation)?;
        input.treatments.iter().for_each(|treatments| self.counts.add(treatments));
        Ok(input)
    }

    /// Encodes one batch, of which `first` is the first file.
    pub(crate) fn encode_one(
        &mut self,
        first: &Path,
        input: &TapTensor,
        taps: &mut (dyn TapSink + Send),
    ) -> Result<Encoded, Failure> {
        let (model, pool) = (self.model, self.pool);
        check_memory(model, &input.shape).map_err(|failure| failure.of_file(first))?;
        let encoded = pool.install(|| model.encode(&input.shape, &input.data, taps));
        let encoded = encoded.map_err(|error| match error {
            error @ encoder::Error::Input { .. } => Failure::unreadable(error).of_file(first),
            error => Failure::unreadable(error),
        })?;
        self.note(&encoded, input);
        Ok(encoded)
    }

    /// Counts a batch that was encoded.
    pub(crate) fn note(&mut self, encoded: &Encoded, input: &TapTensor) {
        self.broken += encoded.data.iter().filter(|x| !x.is_finite()).count();
        add_batch(&mut self.shape, &encoded.shape);
        add_batch(&mut self.input, &input.shape);
    }

    /// Encodes files in their order and hands over the tokens, with the first file that they are of.
    pub(crate) fn encode<'f>(
        &mut self,
        files: &'f [InputFile],
        mut save: impl FnMut(&'f Path, &Encoded) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let pictures: usize = files.iter().map(|file| file.pictures).sum();
        let mut progress = Progress::new(pictures > 1);
        progress.begin(pictures, "pictures");
        for files in files.chunks(self.batch) {
            let preparation = self.chosen.preparation;
            let inputs: Result<Vec<PreparedInput>, Failure> = self
                .pool
                .install(|| files.par_iter().map(|file| prepared(&file.path, &preparation)).collect());
            let mut inputs = inputs?;
            inputs.iter().filter_map(|input| input.treatments.as_ref()).for_each(|treatments| {
                self.counts.add(treatments);
            });
            let mut start = 0;
            while let Some(first) = inputs.get(start) {
                let alike =
                    |input: &&PreparedInput| input.tensor.shape.get(1..) == first.tensor.shape.get(1..);
                let count = inputs[start..].iter().take_while(alike).count();
                // A file may hold many pictures.
                let joined = joined(inputs[start..start + count].iter_mut());
                for batch in parts(&joined, self.batch) {
                    let encoded = self.encode_one(&files[start].path, &batch, &mut NoTaps)?;
                    save(&files[start].path, &encoded)?;
                }
                let pictures: usize = files[start..start + count].iter().map(|file| file.pictures).sum();
                progress.advance(pictures);
                start += count;
            }
        }
        Ok(())
    }

    /// One line: what was encoded, how, and what was done to pictures.
    pub(crate) fn report(&self, loaded: Duration, encoded: Duration) {
        if self.broken > 0 {
            let values: usize = self.shape.iter().product();
            tell(&format!("warning: {} of {values} soft tokens' values are not finite", self.broken));
        }
        let seconds = encoded.as_secs_f64();
        let pictures = self.input.first().copied().unwrap_or_default();
        let rate = match pictures {
            0 | 1 => String::new(),
            _ => format!(", {:.2} pictures/s", pictures as f64 / seconds),
        };
        let input = match self.input.contains(&0) {
            true => format!("{pictures} pictures of several sizes"),
            false => format!("{:?}", self.input),
        };
        let said = self.counts.sentence(&self.chosen).map(|said| format!("; {said}")).unwrap_or_default();
        tell(&format!(
            "{:?} from {input} in {} on {} ({} threads): loaded in {:.2} s, encoded in {seconds:.2} s{rate}{said}",
            self.shape,
            self.model.precision(),
            self.model.isa(),
            self.pool.current_num_threads(),
            loaded.as_secs_f64(),
        ));
    }
}

/// Adds to the batch of a shape; extents that are not the same everywhere become 0.
fn add_batch(all: &mut Vec<usize>, shape: &[usize]) {
    if all.is_empty() {
        *all = shape.to_vec();
        return;
    }
    for (axis, (sum, extent)) in all.iter_mut().zip(shape).enumerate() {
        match axis {
            0 => *sum += extent,
            _ if sum != extent => *sum = 0,
            _ => {}
        }
    }
}

/// Inputs of one size as a batch.
fn joined<'a>(inputs: impl Iterator<Item = &'a mut PreparedInput>) -> TapTensor {
    let mut joined = TapTensor { shape: Vec::new(), data: Vec::new() };
    for PreparedInput { tensor, .. } in inputs {
        add_batch(&mut joined.shape, &tensor.shape);
        match joined.data.is_empty() {
            true => joined.data = std::mem::take(&mut tensor.data),
            false => joined.data.append(&mut tensor.data),
        }
    }
    joined
}

/// An input in parts of at most so many pictures.
fn parts(input: &TapTensor, most: usize) -> impl Iterator<Item = Cow<'_, TapTensor>> {
    let TapTensor { shape, data } = input;
    let pictures = shape.first().copied().unwrap_or_default();
    let each = data.len() / pictures.max(1);
    // What has other axes than pictures have, the model refuses as it is.
    let is_whole = shape.len() != 4 || pictures <= most || each == 0;
    let part = move |data: &[f32]| {
        let mut shape = shape.clone();
        shape[0] = data.len() / each;
        Cow::Owned(TapTensor { shape, data: data.to_vec() })
    };
    let of_parts = if is_whole { &[] } else { data.as_slice() };
    let whole = is_whole.then_some(Cow::Borrowed(input));
    whole.into_iter().chain(of_parts.chunks((most * each).max(1)).map(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_many_pictures_is_taken_in_parts() {
        let input = TapTensor { shape: vec![5, 1, 1, 2], data: (0..10u8).map(f32::from).collect() };
        let found: Vec<_> = parts(&input, 2).collect();
        let shapes: Vec<usize> = found.iter().map(|part| part.shape[0]).collect();
        assert_eq!(shapes, [2, 2, 1]);
        assert!(found.iter().flat_map(|part| part.data.clone()).eq((0..10u8).map(f32::from)));
        let empty = TapTensor { shape: vec![4, 0], data: Vec::new() };
        assert_eq!(parts(&empty, 2).count(), 1, "the model refuses it");
    }
}
