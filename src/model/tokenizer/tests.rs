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
    let mut config =
        json!({"bos_token": null, "eos_token": {"content": "<eos>"}, "chat_template": template});
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
