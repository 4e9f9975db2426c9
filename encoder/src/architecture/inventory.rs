//! What of a model's tensors a checkpoint has, also where no model can be read off it.

use std::collections::BTreeSet;

use super::Architecture;
use super::names::{self, Depthwise, Module};
use crate::checkpoint::Checkpoint;

impl Architecture {
    /// timm's names of the tensors that the others of a checkpoint call for, in the order of execution.
    ///
    /// A block or a stage of which nothing is there is given by what its names begin with.
    pub fn missing_tensors(checkpoint: &Checkpoint) -> Vec<String> {
        let mut inventory = Inventory { checkpoint, missing: Vec::new() };
        inventory.need([names::stem::CONVOLUTION, names::stem::NORM].map(String::from));
        let blocks: BTreeSet<(usize, usize)> = checkpoint.names().filter_map(names::block_of).collect();
        let stages = blocks.iter().map(|(stage, _)| stage + 1).max().unwrap_or(1);
        for stage in 0..stages {
            let indices: Vec<usize> = blocks.range((stage, 0)..(stage + 1, 0)).map(|(_, i)| *i).collect();
            let Some(last) = indices.last() else {
                inventory.missing.push(format!("{}*", names::stage_prefix(stage)));
                continue;
            };
            // A number that a hostile name makes up is not counted up to.
            for index in 0..=(*last).min(2 * indices.len()) {
                match indices.binary_search(&index) {
                    Ok(_) => inventory.block(&Module::block(stage, index)),
                    Err(_) => inventory.missing.push(format!("{}*", Module::block(stage, index).prefix())),
                }
            }
        }
        if checkpoint.names().any(|name| name.starts_with(names::fusion::MODULE)) {
            inventory.inverted_residual(&Module::feed_forward());
            inventory.need([names::fusion::NORM.to_string()]);
        }
        let embedder = [names::embedder::SOFT_NORM, names::embedder::PROJECTION].map(String::from);
        // A head beside an embedder is not read.
        if !embedder.iter().any(|name| inventory.has(name)) {
            inventory.all_or_none([names::head::CONVOLUTION, names::head::NORM].map(String::from).into());
            let classifier = [names::head::CLASSIFIER, names::head::CLASSIFIER_BIAS];
            inventory.all_or_none(classifier.map(String::from).into());
        }
        inventory.all_or_none(embedder.into());
        inventory.missing
    }

    /// timm's names of the encoder's tensors that the model does not read.
    pub fn unused_tensors(&self, checkpoint: &Checkpoint) -> Vec<String> {
        let used: BTreeSet<String> = self.tensor_names().collect();
        checkpoint.names().filter(|name| !used.contains(*name)).map(String::from).collect()
    }
}

struct Inventory<'a> {
    checkpoint: &'a Checkpoint,
    missing: Vec<String>,
}

impl Inventory<'_> {
    fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(name).is_some()
    }

    fn need(&mut self, names: impl IntoIterator<Item = String>) {
        let missing: Vec<String> = names.into_iter().filter(|name| !self.has(name)).collect();
        self.missing.extend(missing);
    }

    /// Tensors that belong together.
    fn all_or_none(&mut self, names: Vec<String>) {
        if names.iter().any(|name| self.has(name)) {
            self.need(names);
        }
    }

    fn depthwise(&mut self, module: &Module, depthwise: &[Depthwise]) {
        let names = depthwise.iter().flat_map(|one| [one.convolution, one.norm]);
        self.all_or_none(names.map(|name| module.name_of(name)).collect());
    }

    fn block(&mut self, module: &Module) {
        let has = |name: &str| self.has(&module.name_of(name));
        let of_attention = module.name_of(names::attention::PREFIX);
        if has(names::edge_residual::EXPANSION) || has(names::edge_residual::PROJECTION) {
            use names::edge_residual::*;
            self.need(
                [EXPANSION, EXPANSION_NORM, PROJECTION, PROJECTION_NORM].map(|name| module.name_of(name)),
            );
        } else if self.checkpoint.names().any(|name| name.starts_with(&of_attention)) {
            use names::attention::*;
            self.need([NORM, QUERY].map(|name| module.name_of(name)));
            self.depthwise(module, &[KEY.downsample, VALUE.downsample]);
            let projections = [KEY.projection, VALUE.projection, OUTPUT];
            self.need(projections.map(|name| module.name_of(name)));
        } else {
            self.inverted_residual(module);
        }
    }

    fn inverted_residual(&mut self, module: &Module) {
        use names::inverted_residual::*;
        self.depthwise(module, &[START]);
        self.need([EXPANSION, EXPANSION_NORM].map(|name| module.name_of(name)));
        self.depthwise(module, &[MIDDLE]);
        self.need([PROJECTION, PROJECTION_NORM].map(|name| module.name_of(name)));
        self.depthwise(module, &[END]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        let tensor = |name: &&str| (name.to_string(), vec![1], vec![1.0]);
        Architecture::missing_tensors(&Checkpoint::from_tensors(names.iter().map(tensor)).unwrap())
    }

    #[test]
    fn what_the_others_call_for_is_missed() {
        assert_eq!(of(&[]), ["conv_stem.conv.weight", "conv_stem.bn.weight", "blocks.0.*"]);
        let found = of(&[
            "conv_stem.conv.weight",
            "conv_stem.bn.weight",
            "blocks.0.1.conv_exp.weight",
            "blocks.2.0.pw_exp.conv.weight",
            "blocks.2.0.dw_mid.bn.weight",
            "blocks.2.1.attn.key.down_conv.weight",
            "embed_vision.soft_embedding_norm.weight",
        ]);
        let expected = [
            "blocks.0.0.*",
            "blocks.0.1.bn1.weight",
            "blocks.0.1.conv_pwl.weight",
            "blocks.0.1.bn2.weight",
            "blocks.1.*",
            "blocks.2.0.pw_exp.bn.weight",
            "blocks.2.0.dw_mid.conv.weight",
            "blocks.2.0.pw_proj.conv.weight",
            "blocks.2.0.pw_proj.bn.weight",
            "blocks.2.1.norm.weight",
            "blocks.2.1.attn.query.proj.weight",
            "blocks.2.1.attn.key.norm.weight",
            "blocks.2.1.attn.value.down_conv.weight",
            "blocks.2.1.attn.value.norm.weight",
            "blocks.2.1.attn.key.proj.weight",
            "blocks.2.1.attn.value.proj.weight",
            "blocks.2.1.attn.output.proj.weight",
            "embed_vision.embedding_projection.weight",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_head_is_called_for_unless_there_is_an_embedder() {
        let of_head = ["norm_head.weight", "classifier.weight"];
        let missing = of(&of_head);
        assert_eq!(missing[missing.len() - 2..], ["conv_head.weight", "classifier.bias"]);
        let embedder =
            ["embed_vision.soft_embedding_norm.weight", "embed_vision.embedding_projection.weight"];
        assert_eq!(of(&[&of_head[..], &embedder].concat()), of(&embedder));
    }

    #[test]
    fn a_number_that_is_made_up_is_not_counted_up_to() {
        assert!(of(&["blocks.0.99999999999.conv_exp.weight", "blocks.99999999999.0.bn1.weight"]).len() < 20);
    }
}
