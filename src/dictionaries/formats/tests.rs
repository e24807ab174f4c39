//! What readers make of files that say more, less or other than they should.

use super::super::dictionary::Dictionary;
use super::super::reading::Declared;
use super::super::spec::{Activation, Kind};
use super::Format;
use crate::error::Result;
use crate::rng::Stream;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dictionaries").join(name)
}

/// A copy of a fixture whose configuration `change` has changed.
fn changed(name: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Dictionary> {
    let folder = tempfile::tempdir().unwrap();
    let mut change = Some(change);
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let copy = folder.path().join(path.file_name().unwrap());
        std::fs::copy(&path, &copy).unwrap();
        if path.extension().is_some_and(|extension| extension == "json") {
            let mut config: Map<String, Value> =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change.take().unwrap()(&mut config);
            std::fs::write(&copy, serde_json::to_vec(&config).unwrap()).unwrap();
        }
    }
    Dictionary::load(folder.path())
}

fn with(name: &str, key: &str, value: Value) -> Result<Dictionary> {
    changed(name, |config| {
        config.insert(key.to_owned(), value);
    })
}

fn complaint(found: Result<Dictionary>) -> String {
    found.unwrap_err().to_string()
}

#[test]
fn a_key_that_nobody_knows_is_refused_by_name() {
    for name in ["saelens-standard", "saelens-tanh_relu", "sparsify-topk", "sof-crosscoder"] {
        let found = complaint(with(name, "squash", json!(2)));
        assert!(found.contains("`squash`") && found.contains("is not known"), "{name}: {found}");
        with(name, "squash", json!(null)).unwrap();
    }
    let found = complaint(changed("dictionary_learning-topk", |config| {
        config["trainer"].as_object_mut().unwrap().insert("squash".to_owned(), json!(true));
    }));
    assert!(found.contains("`squash`"), "{found}");
    let found = complaint(with("saelens-tanh_relu", "activation_fn_kwargs", json!({"beta": 2.0})));
    assert!(found.contains("`beta`"), "{found}");
    // `k` is nothing to an SAE without TopK.
    assert!(complaint(with("saelens-standard", "k", json!(3))).contains("`k`"));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (name, key, value, named) in [
        ("saelens-transcoder", "apply_b_dec_to_input", json!(true), "apply_b_dec_to_input"),
        ("saelens-skip_transcoder-constantnorm", "apply_b_dec_to_input", json!(true), "apply_b_dec_to_input"),
        ("saelens-jumprelu", "activation_fn", json!("tanh-relu"), "`tanh-relu`"),
        ("saelens-gated", "activation_fn_str", json!("topk"), "`topk`"),
        ("saelens-standard", "activation_fn", json!("gelu"), "`gelu`"),
        ("saelens-standard", "normalize_activations", json!("covariance_whitening"), "covariance_whitening"),
        ("saelens-standard", "reshape_activations", json!("flatten"), "`flatten`"),
        ("saelens-standard", "architecture", json!("temporal"), "`temporal`"),
        ("saelens-standard", "apply_b_dec_to_input", json!("yes"), "true or false"),
        ("sparsify-topk", "activation", json!("groupmax"), "`groupmax`"),
        ("sparsify-topk", "num_latents", json!(95), "`num_latents` is 95"),
        ("sparsify-topk", "d_in", json!(25), "`d_in` is 25"),
        ("sparsify-topk", "signed", json!("no"), "true or false"),
        ("sof-crosscoder", "latent_processor", json!("f"), "latent_processor"),
        ("sof-crosscoder", "encoder_layers", json!([0]), "encoder_layers"),
        ("sof-crosscoder", "num_decoder_layers", json!(1), "num_decoder_layers"),
        ("sof-crosscoder", "code_normalization", json!("DECOUPLED"), "DECOUPLED"),
        ("sof-crosscoder", "code_normalization", json!("NONE"), "number 4 by the configuration"),
        ("sof-crosscoder", "dict_size", json!(95), "`dict_size` is 95"),
    ] {
        let found = complaint(with(name, key, value));
        assert!(found.contains(named), "{name}: {found}");
    }
    let found = complaint(changed("dictionary_learning-topk", |config| config["trainer"]["k"] = json!(4)));
    assert!(found.contains("`k` is 4"), "{found}");
}

#[test]
fn what_changes_how_numbers_are_read_is_noted() {
    let notes = |key: &str, value: Value| -> Vec<String> {
        let own = fixture("saelens-standard");
        assert!(Dictionary::load(&own).unwrap().notes().is_empty());
        let nested = changed("saelens-standard", |config| {
            config["metadata"].as_object_mut().unwrap().insert(key.to_owned(), value.clone());
        });
        // Versions before 6 have the same keys beside the others.
        let flat = changed("saelens-tanh_relu", |config| {
            config.insert(key.to_owned(), value);
        });
        let (nested, flat) = (nested.unwrap().notes().to_vec(), flat.unwrap().notes().to_vec());
        assert_eq!(nested, flat, "{key}");
        nested
    };
    for (key, value, said) in [
        (
            "model_from_pretrained_kwargs",
            json!({"center_writing_weights": true}),
            "mean 0 over its dimensions",
        ),
        ("model_from_pretrained_kwargs", json!({"fold_ln": true, "n_ctx": 64}), "`fold_ln` = true"),
        ("model_from_pretrained_kwargs", json!({"unheard_of": "x"}), "`unheard_of` = x"),
        ("hook_head_index", json!(3), "that head alone"),
        ("prepend_bos", json!(false), "without a begin token"),
        ("seqpos_slice", json!([1, null]), "positions"),
        ("exclude_special_tokens", json!(true), "special tokens"),
    ] {
        let found = notes(key, value);
        assert!(found.len() == 1 && found[0].contains(said), "{key}: {found:?}");
    }
    for (key, value) in [
        ("model_from_pretrained_kwargs", json!({})),
        ("model_from_pretrained_kwargs", json!({"n_ctx": 64, "fold_ln": false})),
        ("prepend_bos", json!(true)),
        ("seqpos_slice", json!([null])),
        ("context_size", json!(128)),
    ] {
        assert!(notes(key, value).is_empty(), "{key}");
    }
    for (key, value, said) in [
        ("dtype", json!("bfloat16"), "float32 is computed in"),
        ("normalize_activations", json!("expected_average_only_in"), "does not say by how much"),
        ("normalize_activations", json!(true), "does not say by how much"),
    ] {
        let found = with("saelens-standard", key, value).unwrap().notes().to_vec();
        assert!(found.len() == 1 && found[0].contains(said), "{key}: {found:?}");
    }
    let found = changed("saelens-standard", |config| config["metadata"]["mystery"] = json!(1)).unwrap();
    assert!(found.notes()[0].contains("`mystery`"), "{:?}", found.notes());
    let about = Dictionary::load(&fixture("saelens-standard")).unwrap().reading().clone();
    assert!(about.about.iter().any(|line| line == "dtype: float32"), "{about:?}");
    assert!(about.folded[0].contains("apply_b_dec_to_input"), "{about:?}");
}

#[test]
fn a_table_of_releases_overrides_a_configuration() {
    let declared = Declared {
        overrides: [("model_from_pretrained_kwargs".to_owned(), json!({"fold_ln": true}))]
            .into_iter()
            .collect(),
        ..Declared::default()
    };
    for name in ["saelens-standard", "saelens-tanh_relu", "gemma_scope", "sparsify-topk"] {
        let found = Dictionary::load_as(&fixture(name), &declared).unwrap();
        assert!(found.notes().iter().any(|note| note.contains("model_from_pretrained_kwargs")), "{name}");
    }
    // A factor is part of the weights where the configuration asks for it.
    let scaled = |how: &str| {
        let declared = Declared {
            overrides: [("normalize_activations".to_owned(), json!(how))].into_iter().collect(),
            norm_scaling_factor: Some(2.0),
            ..Declared::default()
        };
        Dictionary::load_as(&fixture("saelens-standard"), &declared).unwrap()
    };
    let (own, half) = (scaled("none"), scaled("expected_average_only_in"));
    let x: Vec<f32> = (0..48).map(|index| (index as f32 * 0.37).sin()).collect();
    let twice: Vec<f32> = x.iter().map(|value| value * 2.0).collect();
    let (a, b) = (own.codes(&twice).unwrap(), half.codes(&x).unwrap());
    assert_eq!(a.features, b.features);
    let (a, b) = (own.reconstruct(&a, &twice).unwrap(), half.reconstruct(&b, &x).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - 2.0 * b).abs() < 1e-4));
}

#[test]
fn a_transcoder_of_gemma_scope_is_declared() {
    let dir = fixture("gemma_scope-transcoder");
    let sae = Dictionary::load(&dir).unwrap();
    assert_eq!(sae.kind(), Kind::Jumprelu);
    assert!(sae.notes()[0].contains("--transcoder"), "{:?}", sae.notes());
    let declared = Declared { transcoder: true, ..Declared::default() };
    let transcoder = Dictionary::load_as(&dir, &declared).unwrap();
    assert_eq!(transcoder.kind(), Kind::Transcoder);
    assert!(transcoder.notes().is_empty());
    // It stays one where it is written, and nothing that says otherwise becomes one.
    let folder = tempfile::tempdir().unwrap();
    transcoder.save(folder.path()).unwrap();
    assert_eq!(Dictionary::load(folder.path()).unwrap().kind(), Kind::Transcoder);
    Dictionary::load_as(&fixture("saelens-transcoder"), &declared).unwrap();
    for name in ["saelens-jumprelu", "sparsify-topk", "dictionary_learning-gated"] {
        let found = complaint(Dictionary::load_as(&fixture(name), &declared));
        assert!(found.contains("its files say"), "{name}: {found}");
    }
}

#[test]
fn signs_become_features_of_their_own() {
    for name in ["sparsify-signed", "saelens-abstopk", "sparsify-signed_transcoder"] {
        let signed = Dictionary::load(&fixture(name)).unwrap();
        assert!(matches!(signed.spec().activation, Activation::SignedTopk { .. }));
        assert!(signed.spec().check_positive("it").unwrap_err().to_string().contains("--split-signs"));
        let split = signed.split_signs().unwrap();
        split.spec().check_positive("it").unwrap();
        let x: Vec<f32> =
            (0..20 * signed.spec().d_in).map(|index| (index as f32 * 0.71).sin() * 2.0).collect();
        let (a, b) = (signed.codes(&x).unwrap(), split.codes(&x).unwrap());
        assert!(a.values.iter().any(|value| *value < 0.0) && b.values.iter().all(|value| *value > 0.0));
        let features = signed.features();
        for token in 0..20 {
            let mut folded: Vec<(usize, f32)> = b
                .token(token)
                .map(
                    |(feature, value)| {
                        if feature < features { (feature, value) } else { (feature - features, -value) }
                    },
                )
                .collect();
            folded.sort_by_key(|(feature, _)| *feature);
            assert_eq!(folded, a.token(token).collect::<Vec<_>>(), "{name}");
        }
        let (a, b) = (signed.reconstruct(&a, &x).unwrap(), split.reconstruct(&b, &x).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    }
}

#[test]
fn a_submodule_between_whose_sides_it_maps_is_a_transcoder() {
    let io = |io: &str| changed("dictionary_learning-batchtopk", |config| config["buffer"]["io"] = json!(io));
    assert_eq!(io("in").unwrap().kind(), Kind::BatchTopk);
    assert_eq!(io("in_and_out").unwrap().kind(), Kind::Transcoder);
    assert!(complaint(io("sideways")).contains("`sideways`"));
}

#[test]
fn two_dictionaries_in_a_folder_are_none() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["saelens-standard", "gemma_scope"] {
        for entry in std::fs::read_dir(fixture(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    assert!(complaint(Dictionary::load(folder.path())).contains("SAELens and Gemma Scope"));
}

#[test]
fn sizes_that_no_memory_holds_are_refused() {
    for size in
        [json!(0), json!(u64::MAX), json!(1u64 << 62), json!(1u64 << 33), json!(-1), json!(1.5), json!("24")]
    {
        for (name, keys) in [
            ("saelens-standard", &["d_in", "d_sae"][..]),
            ("saelens-transcoder", &["d_in", "d_sae", "d_out"]),
            ("saelens-topk", &["k", "d_in"]),
            ("sparsify-topk", &["k", "d_in", "num_latents"]),
            ("sof-crosscoder", &["activation_dim", "dict_size", "num_layers"]),
        ] {
            for key in keys {
                // No latents are as many as the width and the expansion make.
                let found = with(name, key, size.clone());
                assert!(found.is_err(), "{name}: {key} = {size}");
                assert!(
                    !found.unwrap_err().to_string().contains("something impossible"),
                    "{name}: {key} = {size}"
                );
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    Dictionary::load(&fixture("sof-crosscoder")).unwrap().save_as(folder.path(), Format::Deltascope).unwrap();
    let path = folder.path().join("dictionary.json");
    let spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for key in ["d_in", "d_out", "features"] {
        for size in [0, 1 << 40, u64::MAX] {
            let mut spec = spec.clone();
            spec[key] = json!(size);
            std::fs::write(&path, spec.to_string()).unwrap();
            let found = complaint(Dictionary::load(folder.path()));
            assert!(!found.contains("something impossible"), "{key} = {size}: {found}");
        }
    }
}

/// Whatever a file is changed to, there is a dictionary or an error, and no library or reader ends in a panic that only
/// the door catches.
#[test]
fn no_damage_to_any_file_brings_more_than_an_error() {
    let mut stream = Stream::new(3, "test.dictionaries", &[]);
    let (mut read, mut refused) = (0, 0);
    for name in [
        "saelens-topk-layernorm",
        "saelens-jumprelu_skip_transcoder",
        "saelens-tanh_relu",
        "sparsify-signed",
        "dictionary_learning-matryoshka",
        "gemma_scope-compressed",
        "sof-batchtopk_crosscoder",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(fixture(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "golden.safetensors" {
                files.push((folder.path().join(path.file_name().unwrap()), std::fs::read(&path).unwrap()));
            }
        }
        files.sort();
        files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        for (path, sound) in &files {
            for _ in 0..250 {
                let mut bytes = sound.clone();
                // Mostly headers and configurations: the numbers may be anything.
                let within = bytes.len().min(700);
                for _ in 0..=stream.below(3) {
                    let place = stream.below(within);
                    match stream.below(5) {
                        0 => bytes[place] = stream.below(256) as u8,
                        1 => bytes[place] = b"0123456789"[stream.below(10)],
                        2 => bytes[place] ^= 1 << stream.below(8),
                        3 => drop(bytes.splice(place..place, b"9999999".iter().copied())),
                        _ => bytes.truncate(
                            bytes.len().max(2) - 1 - stream.below(within.min(bytes.len() - 1).max(1)),
                        ),
                    }
                    if bytes.len() < within {
                        break;
                    }
                }
                std::fs::write(path, &bytes).unwrap();
                match Dictionary::load(folder.path()) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        refused += 1;
                        assert!(!error.to_string().contains("something impossible"), "{name}: {error}");
                    }
                }
            }
            std::fs::write(path, sound).unwrap();
        }
    }
    println!("{read} read, {refused} refused");
    assert!(refused > 1000 && read > 100, "{read} read, {refused} refused");
}

#[test]
#[cfg(unix)]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        fixture("saelens-standard/sae_weights.safetensors"),
        folder.path().join("sae_weights.safetensors"),
    )
    .unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("cfg.json")).unwrap();
    assert!(complaint(Dictionary::load(folder.path())).contains("expected a dictionary"));
}
