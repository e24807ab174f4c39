//! What becomes of the files of a tokenizer.

use super::*;

#[test]
fn word_level_vocabularies_survive_a_save() -> Result<()> {
    let words = ["0", "1", "<pad>", "<bos>", "<eos>", ":", "make"];
    let tokenizer = Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?;
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path())?;
    let read = Tokenizer::load(folder.path())?;
    for tokenizer in [&tokenizer, &read] {
        let ids = tokenizer.encode("<bos> make 1 0 : <eos>")?;
        assert_eq!(ids, [3, 6, 1, 0, 5, 4]);
        assert_eq!(tokenizer.decode(&ids), "<bos> make 1 0 : <eos>");
        assert_eq!(tokenizer.decode_response(&ids[1..]), "make 1 0 :");
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(3), Some(4), Some(2)));
        assert_eq!(tokenizer.stop_tokens(), [4]);
        assert_eq!(tokenizer.vocabulary(), 7);
        assert!(tokenizer.encode("unknown").is_err());
    }
    Ok(())
}

#[test]
fn a_template_sees_the_special_tokens_that_the_repository_names() -> Result<()> {
    let words = ["0", "<pad>", "<bos>", "<eos>"];
    let folder = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
    Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?.save(folder.path())?;
    let write = |name: &str, document: Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, document.to_string()).map_err(|error| io("write", &path, error))
    };
    write("config.json", json!({"bos_token_id": 2, "eos_token_id": 3}))?;
    let template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token is defined }}";
    let mut config = json!({"bos_token": null, "eos_token": {"content": "<eos>"}, "chat_template": template});
    write("tokenizer_config.json", config.clone())?;
    let read = Tokenizer::load(folder.path())?;
    assert_eq!(read.render_chat(&json!([]), false)?, "|<eos>||False");
    // No begin token: `config.json` is not asked where there is none, here or in transformers.
    assert_eq!((read.bos(), read.eos()), (None, Some(3)));
    // As in repositories of before `added_tokens_decoder`; and the file beside it is not read in later ones.
    write("special_tokens_map.json", json!({"bos_token": "<bos>", "pad_token": "<pad>"}))?;
    let read = Tokenizer::load(folder.path())?;
    assert_eq!(read.render_chat(&json!([]), false)?, "<bos>|<eos>|<pad>|False");
    config["added_tokens_decoder"] = json!({});
    write("tokenizer_config.json", config)?;
    assert_eq!(Tokenizer::load(folder.path())?.render_chat(&json!([]), false)?, "|<eos>||False");
    Ok(())
}

#[test]
fn every_token_that_ends_a_turn_is_kept() -> Result<()> {
    let words = ["0", "1", "<pad>", "<bos>", "<eos>", "<turn>"];
    let folder = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
    Tokenizer::word_level(&words, "<bos>", "<eos>", "<pad>")?.save(folder.path())?;
    let path = folder.path().join("generation_config.json");
    std::fs::write(&path, "{\"eos_token_id\": [5, 4]}").map_err(|error| io("write", &path, error))?;
    let tokenizer = Tokenizer::load(folder.path())?;
    assert_eq!(tokenizer.stop_tokens(), [4, 5]);
    assert_eq!(tokenizer.decode_response(&[0, 1, 5]), "0 1");
    let copy = tempfile::tempdir().map_err(|error| io("create", Path::new("folder"), error))?;
    tokenizer.save(copy.path())?;
    assert_eq!(Tokenizer::load(copy.path())?.stop_tokens(), [4, 5]);
    Ok(())
}

fn write(folder: &Path, name: &str, document: &Value) {
    std::fs::write(folder.join(name), document.to_string()).unwrap();
}

/// Repositories of six kinds of tokenizer under many configurations, with what `AutoTokenizer` (transformers 5.24) makes
/// of texts with odd spaces and special tokens in them.
#[test]
fn tokens_are_those_of_auto_tokenizer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let ids = |value: &Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let texts: Vec<&str> =
        golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in golden["cases"].as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let mut document = golden["bases"][case["base"].as_str().unwrap()].clone();
        for (key, value) in case["change"].as_object().unwrap() {
            document[key] = value.clone();
        }
        write(folder.path(), "tokenizer.json", &document);
        write(
            folder.path(),
            "config.json",
            &json!({"model_type": case["family"], "bos_token_id": 1, "eos_token_id": 2}),
        );
        if !case["config"].is_null() {
            write(folder.path(), "tokenizer_config.json", &case["config"]);
        }
        for (name, document) in case["files"].as_object().unwrap() {
            write(folder.path(), name, document);
        }
        let read = Tokenizer::load(folder.path()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        read.save(copy.path()).unwrap();
        write(copy.path(), "config.json", &json!({"model_type": case["family"]}));
        let again = Tokenizer::load(copy.path()).unwrap();
        let name = case["name"].as_str().unwrap();
        let mut compare = |what: &str, ours: String, theirs: String| {
            compared += 1;
            if ours != theirs {
                wrong.push(format!("{name}, {what}: {ours}, right {theirs}"));
            }
        };
        for (index, text) in texts.iter().enumerate() {
            let theirs = ids(&case["ids"][index]);
            compare(text, format!("{:?}", read.encode(text).unwrap()), format!("{theirs:?}"));
            compare(
                &format!("saved, {text}"),
                format!("{:?}", again.encode(text).unwrap()),
                format!("{theirs:?}"),
            );
            let decoded = case["decoded"][index].as_str().unwrap();
            compare(&format!("decoded, {text}"), read.decode(&theirs), decoded.to_owned());
        }
        for (index, text) in texts[3..5].iter().enumerate() {
            let around = &read.0.around;
            let whole = [around.before.as_slice(), &read.encode(text).unwrap(), &around.after].concat();
            compare(
                &format!("whole, {text}"),
                format!("{whole:?}"),
                format!("{:?}", ids(&case["whole"][index])),
            );
        }
        for (key, found) in [("bos", read.bos()), ("eos", read.eos())] {
            // A token that only the class has, and no file, is none here.
            if let Some(theirs) =
                case[key].as_str().filter(|text| document.to_string().contains(&format!("\"{text}\"")))
            {
                compare(key, found.and_then(|id| read.token(id)).unwrap_or_default(), theirs.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    println!("{compared} compared");
}

fn of_words(files: &[(&str, Value)]) -> Result<Tokenizer> {
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::word_level(&["a", "b", "<pad>", "<bos>", "<eos>"], "<bos>", "<eos>", "<pad>")?
        .save(folder.path())?;
    files.iter().for_each(|(name, document)| write(folder.path(), name, document));
    Tokenizer::load(folder.path())
}

#[test]
fn a_text_that_begins_with_the_begin_token_gets_no_second_one() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    Tokenizer::word_level(&["a", "b", "<pad>", "<bos>", "<eos>"], "<bos>", "<eos>", "<pad>")?
        .save(folder.path())?;
    let text = std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document["post_processor"] = json!({"type": "BertProcessing", "cls": ["<bos>", 3], "sep": ["<eos>", 4]});
    write(folder.path(), "tokenizer.json", &document);
    let read = Tokenizer::load(folder.path())?;
    assert_eq!(read.encode_begun("a b")?, [3, 0, 1]);
    assert_eq!(read.encode_begun("<bos> a b")?, [3, 0, 1]);
    assert_eq!(read.encode_begun("")?, [3]);
    assert_eq!(read.encode("a b")?, [0, 1]);
    let rule = read.rule();
    assert!(rule.contains("`<bos>` is put before") && rule.contains("`<eos>`, which"), "{rule}");
    assert_eq!(of_words(&[])?.encode_begun("a")?, [0]);
    assert!(of_words(&[])?.rule().contains("none is put before"));
    Ok(())
}

#[test]
fn null_means_none_and_what_is_missing_is_asked_of_the_model_but_for_the_begin() -> Result<()> {
    let config = json!({"model_type": "llama", "bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 2});
    let special = |tokenizer: &Tokenizer| (tokenizer.bos(), tokenizer.eos(), tokenizer.pad());
    let missing = of_words(&[("config.json", config.clone()), ("tokenizer_config.json", json!({}))])?;
    assert_eq!(special(&missing), (None, Some(4), Some(2)));
    let nulls = json!({"bos_token": null, "eos_token": null, "pad_token": null});
    let none = of_words(&[("config.json", config), ("tokenizer_config.json", nulls)])?;
    assert_eq!((special(&none), none.stop_tokens()), ((None, None, None), &[4][..]));
    for ids in [json!(-1), json!(2.5), json!(1u64 << 32), json!([4, "x"])] {
        let files = [("config.json", json!({"eos_token_id": ids}))];
        let error = of_words(&files).err().unwrap().to_string();
        assert!(error.contains("`eos_token_id`"), "{error}");
    }
    Ok(())
}

#[test]
fn every_key_is_read_harmless_or_named() -> Result<()> {
    let notes =
        |config: Value| of_words(&[("tokenizer_config.json", config)]).map(|read| read.notes().to_vec());
    assert!(notes(json!({"model_max_length": 5, "padding_side": "left", "spin": false}))?.is_empty());
    assert!(notes(json!({"spin": "up"}))?[0].contains("not known: spin"));
    assert!(notes(json!({"add_bos_token": true}))?[0].contains("`add_bos_token`"));
    for (config, expected) in [
        (json!({"tokenizer_class": "BertTokenizer"}), "`tokenizer_class`: `BertTokenizer`"),
        (
            json!({"tokenizer_class": "XlmTokenizer", "auto_map": {"AutoTokenizer": ["a.B", null]}}),
            "`auto_map`",
        ),
        (json!({"tokenizer_class": "LlamaTokenizer"}), "takes the vocabulary and merges of a BPE"),
        (json!({"added_tokens_decoder": {"x": {"content": "y"}}}), "expected an id, found `x`"),
        (json!({"added_tokens_decoder": {"7": {"content": "y", "spin": 1}}}), "`spin`"),
        (json!({"bos_token": 5}), "`bos_token`"),
        (json!({"fast_tokenizer_files": ["a.json", "b.json"]}), "`fast_tokenizer_files`"),
    ] {
        let error = notes(config.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{config}: {error}");
    }
    Ok(())
}

/// Documents that made the library panic or allocate without end: each loads and encodes, or is refused, quickly.
#[test]
fn hostile_documents_neither_panic_nor_allocate() {
    let vocabulary = json!({"a": 0, "b": 1, "\u{120}": 2, "\u{120}\u{120}": 3});
    let plain = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["\u{120}", "\u{120}"]]},
    });
    let template = |ids: Value| {
        json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"x": ids}})
    };
    let changes = [
        (
            "/padding",
            json!({"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 4_294_967_296_u64,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}),
        ),
        (
            "/padding",
            json!({"strategy": {"Fixed": 8_589_934_592_u64}, "direction": "Left", "pad_to_multiple_of": 0,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}),
        ),
        (
            "/truncation",
            json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 5}),
        ),
        ("/truncation", json!({"direction": "Left", "max_length": 0, "strategy": "OnlySecond", "stride": 0})),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "LA=="})),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8AAA=="})),
        (
            "/normalizer",
            json!({"type": "Sequence", "normalizers":
            vec![json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}); 40]}),
        ),
        ("/model/continuing_subword_prefix", json!("\u{120}\u{120}\u{120}")),
        ("/model/dropout", json!(0.5)),
        ("/model/merges", json!([["a", "zz"]])),
        ("/model/unk_token", json!("missing")),
        ("/pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
        (
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated",
            "invert": false}),
        ),
        ("/decoder", json!({"type": "Strip", "content": "a", "start": 0, "stop": 3})),
        ("/decoder", json!({"type": "Strip", "content": "a", "start": 0, "stop": u64::MAX})),
        ("/post_processor", template(json!({"id": "x", "ids": vec![0; 9000], "tokens": ["a"]}))),
        ("/post_processor", template(json!({"id": "x", "ids": [0, 1], "tokens": ["a"]}))),
        (
            "/added_tokens",
            json!([{"id": 4_294_967_295_u32, "content": "q", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}]),
        ),
        ("/added_tokens", json!([{"id": -4, "content": "q"}])),
    ];
    for (place, value) in changes {
        let mut document = plain.clone();
        document["model"]["continuing_subword_prefix"] = json!("");
        document["model"]["dropout"] = Value::Null;
        document["model"]["unk_token"] = Value::Null;
        *document.pointer_mut(place).unwrap() = value.clone();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "tokenizer.json", &document);
        let Ok(read) = Tokenizer::load(folder.path()) else { continue };
        for text in ["", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "b a  \u{120}", "é"] {
            if let Ok(ids) = read.encode_begun(text) {
                assert!(ids.len() < 100, "{place} {value}");
            }
        }
        read.decode(&[0, 1, 2, 3, 900]);
        read.decode(&[]);
    }
    let folder = tempfile::tempdir().unwrap();
    for cut in ["", "{", "[]", "{\"model\": {}}", "null"] {
        std::fs::write(folder.path().join("tokenizer.json"), cut).unwrap();
        assert!(Tokenizer::load(folder.path()).is_err(), "{cut}");
    }
}
