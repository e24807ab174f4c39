//! Checkpoints of the bare decoder, whose tensors lack the prefix of the whole model (`h.0.attn.c_attn.weight` of
//! GPT-2 on the hub), are the same models as those with it.

use crate::goldens::{folder, places};
use candle_core::Device;
use deltascope::Result;
use deltascope::model::conformance::compare_with_golden;
use deltascope::model::{Config, Model, save_tensors};
use std::path::{Path, PathBuf};

/// Every way in which the families store their projections.
const PREFIXES: [(&str, &str); 4] =
    [("llama", "model."), ("phi3", "model."), ("gpt2", "transformer."), ("gpt_neox", "gpt_neox.")];

/// A copy of a family's repository without the prefix.
fn bare(family: &str, prefix: &str) -> Result<tempfile::TempDir> {
    let copy = tempfile::tempdir().unwrap();
    Config::load(&folder(family))?.save(copy.path())?;
    let held = candle_core::safetensors::load(folder(family).join("model.safetensors"), &Device::Cpu)?;
    let without = |name: String| name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name);
    let tensors: Vec<_> = held.into_iter().map(|(name, tensor)| (without(name), tensor)).collect();
    save_tensors(&copy.path().join("model.safetensors"), &tensors)?;
    Ok(copy)
}

fn assert_agrees(model: &Model, repository: &Path, golden: &Path) -> Result<()> {
    let compared = compare_with_golden(model, repository, golden)?;
    let wrong: Vec<_> = compared.findings.iter().filter(|finding| !finding.passed).collect();
    assert!(wrong.is_empty(), "{}: {wrong:?}", golden.display());
    assert!(compared.findings.iter().any(|finding| finding.check.starts_with("grad.")), "no gradients");
    Ok(())
}

#[test]
fn bare_checkpoints_are_the_models_that_whole_ones_are() -> Result<()> {
    for (family, prefix) in PREFIXES {
        let repository = bare(family, prefix)?;
        for place in places() {
            let model = Model::load(repository.path(), &place)?;
            assert_agrees(&model, repository.path(), &folder(family).join("golden.safetensors"))?;
            let whole = Model::load(&folder(family), &place)?;
            assert_eq!(model.weights_hash()?, whole.weights_hash()?, "{family}: another name or number");
            assert_eq!(model.copy()?.weights_hash()?, whole.weights_hash()?, "{family}: copied");
        }
    }
    Ok(())
}

#[test]
fn adapters_fit_bare_checkpoints() -> Result<()> {
    for (family, prefix) in PREFIXES.into_iter().filter(|(family, _)| ["llama", "gpt_neox"].contains(family))
    {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/adapters");
        let adapter = fixtures.join(format!("lora-{family}"));
        let repository = bare(family, prefix)?;
        let model = Model::load(repository.path(), &Device::Cpu)?.with_adapter(&adapter)?;
        assert_agrees(&model, repository.path(), &adapter.join("golden.safetensors"))?;
    }
    Ok(())
}
