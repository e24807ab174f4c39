use crate::model::Config;
use serde_json::{Map, Value, json};

fn document(family: &str, changes: &Value) -> String {
    let mut fields = match family {
        "gpt2" => json!({"n_embd": 24, "n_head": 4, "n_layer": 2, "n_positions": 32, "vocab_size": 9}),
        _ => json!({
            "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "max_position_embeddings": 32, "vocab_size": 9,
        }),
    };
    fields["model_type"] = json!(family);
    let none = Map::new();
    for (key, value) in changes.as_object().unwrap_or(&none) {
        fields[key] = value.clone();
    }
    fields.to_string()
}

#[test]
fn what_would_change_the_numbers_is_refused_by_name() {
    for (family, changes, name) in [
        ("llama", json!({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}), "rope_type"),
        ("llama", json!({"rope_parameters": {"rope_type": "longrope"}}), "rope_type"),
        ("llama", json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
        ("llama", json!({"hidden_act": "mish"}), "hidden_act"),
        ("llama", json!({"quantization_config": {"bits": 4}}), "quantization_config"),
        ("llama", json!({"num_key_value_heads": 3}), "num_key_value_heads"),
        ("llama", json!({"num_hidden_layers": 4_000_000_000_u32}), "num_hidden_layers"),
        ("mistral", json!({"per_layer_config": {"1": {"sliding_window": 3}}}), "per_layer_config"),
        ("mistral", json!({"sliding_window": 0.5}), "sliding_window"),
        ("qwen2", json!({"layer_types": ["full_attention", "chunked_attention"]}), "layer_types"),
        ("qwen3", json!({"layer_types": ["full_attention"]}), "layer_types"),
        ("gemma2", json!({"use_bidirectional_attention": true}), "use_bidirectional_attention"),
        ("gemma3_text", json!({"rope_parameters": {"rope_theta": 5.0}}), "rope_parameters.rope_theta"),
        ("gemma3_text", json!({"attn_logit_softcapping": 5.0}), "attn_logit_softcapping"),
        ("phi3", json!({"rope_scaling": {"type": "yarn", "factor": 2.0}}), "rope_type"),
        ("gpt_neox", json!({"head_dim": 8}), "head_dim"),
        ("gpt_neox", json!({"rope_theta": 500.0}), "rope_theta"),
        ("gpt_neox", json!({"rotary_pct": 0.5, "partial_rotary_factor": 0.25}), "partial_rotary_factor"),
        ("gpt2", json!({"num_attention_heads": 2}), "num_attention_heads"),
        ("gpt2", json!({"add_cross_attention": true}), "add_cross_attention"),
        ("bert", json!({}), "model_type"),
        ("llama", json!({"is_causal": false}), "is_causal"),
        ("gpt2", json!({"is_causal": null}), "is_causal"),
        ("llama", json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types"),
        ("olmo2", json!({"layer_types": ["sliding_attention", "full_attention"]}), "layer_types"),
        (
            "phi3",
            json!({"layer_types": ["sliding_attention", "sliding_attention"], "sliding_window": 5}),
            "layer_types",
        ),
        ("gpt_neox", json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types"),
        ("gpt2", json!({"layer_types": ["full_attention", "sliding_attention"]}), "layer_types"),
        ("llama", json!({"layer_types": ["full_attention"]}), "layer_types"),
        ("qwen2", json!({"layer_types": ["sliding_attention", "full_attention"]}), "layer_types"),
    ] {
        let error = Config::parse(&document(family, &changes)).err().map(|error| error.to_string());
        let named = format!("`{name}`");
        assert!(error.as_ref().is_some_and(|text| text.contains(&named)), "{family} {changes}: {error:?}");
    }
}

#[test]
fn missing_null_and_second_names_mean_what_transformers_takes_them_to_mean() {
    let read = |family: &str, changes: Value| Config::parse(&document(family, &changes)).unwrap();
    let heads = |family: &str, changes: Value| read(family, changes).key_heads;
    assert_eq!(heads("mistral", json!({"num_key_value_heads": null})), 4);
    assert_eq!(heads("llama", json!({"num_key_value_heads": null})), 4);
    assert_eq!(heads("qwen2", json!({"num_key_value_heads": null})), 4);
    let other = json!({"n_head": null, "num_attention_heads": 3});
    assert_eq!(read("gpt2", other).heads, 3);

    let rope = |family: &str, changes: Value| read(family, changes).blocks[0].rope.clone().unwrap();
    let both = json!({
        "rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 100.0,
        "rope_parameters": {"rope_type": "default", "rope_theta": 7.0},
    });
    let found = rope("llama", both);
    assert_eq!((found.theta, found.frequencies[0]), (100.0, 0.25));
    let yarn = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4});
    let beside = json!({"rope_scaling": yarn, "original_max_position_embeddings": 8});
    let among =
        json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 8}});
    assert_eq!(rope("llama", beside), rope("llama", among));
    assert_eq!(
        rope("gpt_neox", json!({})).frequencies.len(),
        1,
        "a quarter of 6, rounded down and up to a pair"
    );
    assert_eq!(read("gemma3_text", json!({})).blocks[1].rope.as_ref().unwrap().theta, 10_000.0);
    let windows: Vec<_> =
        read("qwen3", json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 0}))
            .blocks
            .iter()
            .map(|block| block.window)
            .collect();
    assert_eq!(windows, [Some(5), Some(5)]);
}

#[test]
fn layers_slide_as_layer_types_says() {
    let windows = |family: &str, changes: Value| -> Vec<Option<usize>> {
        let config = Config::parse(&document(family, &changes)).unwrap();
        config.blocks.iter().map(|block| block.window).collect()
    };
    // transformers reads such a Mistral as Ministral.
    let types = json!({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 5});
    assert_eq!(windows("mistral", types), [None, Some(5)]);
    assert_eq!(windows("mistral", json!({"layer_types": null, "sliding_window": 5})), [Some(5), Some(5)]);
    assert_eq!(windows("llama", json!({"layer_types": ["full_attention", "full_attention"]})), [None, None]);
}

#[test]
fn a_weight_of_zero_is_none_in_yarn() {
    let factor = |weights: Value| {
        let mut yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8});
        weights.as_object().unwrap().iter().for_each(|(key, value)| yarn[key] = value.clone());
        let config = Config::parse(&document("llama", &json!({"rope_scaling": yarn}))).unwrap();
        config.blocks[0].rope.clone().unwrap()
    };
    let plain = factor(json!({}));
    assert_eq!(factor(json!({"mscale": 0, "mscale_all_dim": 0.7})), plain);
    assert_eq!(factor(json!({"mscale": 0.7, "mscale_all_dim": 0, "beta_fast": 0, "beta_slow": 0})), plain);
    assert_ne!(factor(json!({"mscale": 0.7, "mscale_all_dim": 1.0})), plain);
}

#[test]
fn dropout_is_known_with_its_defaults() {
    let dropout =
        |family: &str, changes: Value| Config::parse(&document(family, &changes)).unwrap().dropout();
    assert_eq!(dropout("llama", json!({})), []);
    assert_eq!(dropout("llama", json!({"attention_dropout": 0.2})), [("attention_dropout", 0.2)]);
    assert_eq!(dropout("phi3", json!({"resid_pdrop": 0.1, "embd_pdrop": 0.0})), [("resid_pdrop", 0.1)]);
    assert_eq!(
        dropout("gpt2", json!({"attn_pdrop": 0.0})),
        [("embd_pdrop", 0.1), ("resid_pdrop", 0.1)],
        "transformers takes a missing one for 0.1"
    );
}

#[test]
fn what_is_written_says_the_type_of_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse(&document("llama", &json!({"torch_dtype": "bfloat16"}))).unwrap();
    assert!(config.cast_as_a_whole().is_some());
    config.save(folder.path()).unwrap();
    assert!(Config::load(folder.path()).unwrap().cast_as_a_whole().is_none());
}

/// Whatever a field holds, a document is read or refused, at once and without much memory.
#[test]
fn no_size_is_believed_before_it_is_checked() {
    let values = [
        json!(0),
        json!(-1),
        json!(1),
        json!(3),
        json!(0.5),
        json!(4096),
        json!(1u64 << 32),
        json!(u64::MAX),
        json!(1e300),
        json!(null),
        json!(""),
        json!("x"),
        json!([]),
        json!([1]),
        json!({}),
        json!({"a": 1}),
        json!(true),
    ];
    for family in
        ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "olmo2", "phi3", "gpt2", "gpt_neox"]
    {
        let whole: Value = serde_json::from_str(&document(family, &json!({}))).unwrap();
        let mut keys: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
        keys.extend(
            [
                "head_dim",
                "rope_scaling",
                "rope_parameters",
                "layer_types",
                "sliding_window",
                "max_window_layers",
                "rotary_pct",
                "partial_rotary_factor",
                "num_key_value_heads",
                "rope_theta",
                "original_max_position_embeddings",
            ]
            .map(str::to_owned),
        );
        for key in keys {
            for value in &values {
                let _ = Config::parse(&document(family, &json!({ key.as_str(): value })));
            }
        }
        for kind in ["default", "linear", "llama3", "yarn", "longrope", "dynamic"] {
            for value in [0.0, 1e-30, 1.0, 1e30, -1.0] {
                let scaling = json!({"rope_type": kind, "factor": value, "low_freq_factor": value, "rope_theta": value,
                    "high_freq_factor": value, "original_max_position_embeddings": value as u64, "beta_fast": value});
                let _ = Config::parse(&document(family, &json!({"rope_scaling": scaling})));
            }
        }
    }
    let huge = json!({"model_type": "llama", "hidden_size": 4_294_967_296_u64, "num_attention_heads": 1,
        "num_hidden_layers": 1, "intermediate_size": 1, "vocab_size": 1});
    let error = Config::parse(&huge.to_string()).unwrap_err().to_string();
    assert!(error.contains("`head_dim`"), "{error}");
}
