//! A run of the whole model against runs of its parts, each on the tensors of the whole run.

use std::collections::BTreeMap;

use encoder::{DenseTensor, Part};

/// Number types whose bits can be compared.
pub(crate) trait Bits: Copy {
    fn bits(self) -> u64;
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

type Named<T> = Vec<(String, DenseTensor<T>)>;

/// Every way in which the parts differ from the `whole` run on `input`: tensors with other bits, tensors that a part
/// gives and does not announce, and tensors of the whole run that no part gives.
pub(crate) fn differences<T: Bits>(
    input: DenseTensor<T>,
    whole: Named<T>,
    parts: &[Part],
    run_part: impl Fn(&Part, &BTreeMap<String, DenseTensor<T>>) -> Result<Named<T>, encoder::Error>,
) -> Vec<String> {
    let names: Vec<String> = whole.iter().map(|(name, _)| name.clone()).collect();
    let mut tensors: BTreeMap<String, DenseTensor<T>> = whole.into_iter().collect();
    tensors.insert(encoder::tap::INPUT.to_string(), input);
    let (mut differences, mut given) = (Vec::new(), Vec::new());
    for part in parts {
        // Nothing but what the part says it takes.
        let inputs = part.inputs.iter().map(|name| {
            let DenseTensor { shape, data } = &tensors[name];
            (name.clone(), DenseTensor { shape: shape.clone(), data: data.clone() })
        });
        let outputs = match run_part(part, &inputs.collect()) {
            Ok(outputs) => outputs,
            Err(error) => {
                differences.push(format!("{}: {error}", part.name));
                continue;
            }
        };
        let announced: Vec<&String> =
            part.outputs.iter().filter(|name| tensors.contains_key(*name)).collect();
        let found: Vec<&String> = outputs.iter().map(|(name, _)| name).collect();
        if found != announced {
            differences.push(format!("{}: expected {announced:?}, found {found:?}", part.name));
        }
        for (name, output) in outputs {
            if let Some(difference) = tensors.get(&name).and_then(|of_whole| difference(of_whole, &output)) {
                differences.push(format!("{}: {name}: {difference}", part.name));
            }
            given.push(name);
        }
    }
    if given != names {
        differences.push(format!("the whole gives {names:?}, its parts {given:?}"));
    }
    differences
}

fn difference<T: Bits>(whole: &DenseTensor<T>, part: &DenseTensor<T>) -> Option<String> {
    if whole.shape != part.shape {
        return Some(format!("shape {:?} in the whole, {:?} alone", whole.shape, part.shape));
    }
    let pairs = whole.data.iter().zip(&part.data);
    let different = pairs.filter(|(whole, part)| whole.bits() != part.bits()).count();
    (different > 0).then(|| format!("{different} of {} elements differ", whole.data.len()))
}
