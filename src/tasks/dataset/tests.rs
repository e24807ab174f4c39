//! Files of every layout, and what is learned of their rows.

use super::*;
use crate::tasks::{Suite, training_problems};
use serde_json::Value;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets").join(name)
}

/// A tokenizer of letters with the chat template ChatML, as Qwen's models have it.
fn chat() -> Tokenizer {
    with_template(
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}</s>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )
}

fn with_template(template: &str) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rows/bytelevel").join(name);
        std::fs::copy(from, folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
    Tokenizer::load(folder.path()).unwrap()
}

fn plain() -> Tokenizer {
    let words =
        ["<s>", "</s>", "<pad>", "p", "c", "x", "+", "=", "0", "1", "2", "3", "4", "5", "6", "7", "8"];
    let words = [&words[..], &["Q:", "é?", "A:", "yes", "no", "a", "b"]].concat();
    Tokenizer::word_level(&words, "<s>", "</s>", "<pad>").unwrap()
}

fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.jsonl");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn every_pass_holds_every_item_once_in_its_own_order() {
    let lines: String =
        (0..7).map(|index| format!("{{\"prompt\": \"p\", \"completion\": \"{index}\"}}\n")).collect();
    let (_folder, path) = file(&lines);
    let dataset = Dataset::documents(&path, &plain()).unwrap();
    let passes: Vec<Vec<Document>> = (0..3).map(|pass| dataset.take(1, 7 * pass, 7)).collect();
    assert_ne!(passes[0], passes[1]);
    for pass in &passes {
        let mut responses: Vec<&str> = pass.iter().map(|document| document.response.as_str()).collect();
        responses.sort_unstable();
        assert_eq!(responses, ["0", "1", "2", "3", "4", "5", "6"]);
    }
    assert_eq!(dataset.take(1, 3, 8), [&passes[0][3..], &passes[1][..4]].concat());
}

#[test]
fn documents_and_problems_of_one_file_come_in_the_same_order() {
    let row =
        |n: usize| format!("{{\"prompt\": \"{n} + 1 =\", \"completion\": \"x\", \"answer\": \"{n}\"}}\n");
    let (_folder, path) = file(&(0..9).map(row).collect::<String>());
    let dataset = Dataset::documents(&path, &plain()).unwrap();
    let suite = Suite::parse(&format!("{}:rows=all:reward=exact", path.display())).unwrap();
    let learned = dataset.take(5, 4, 20).into_iter().map(|document| document.prompt);
    let asked = training_problems(&suite, 5, 4, 20).into_iter().map(|problem| problem.prompt);
    assert_eq!(learned.collect::<Vec<_>>(), asked.collect::<Vec<_>>());
}

#[test]
fn both_formats_of_every_layout_give_the_same_documents() {
    for name in ["messages", "prompt_completion"] {
        let read = |kind| Dataset::documents(&fixture(&format!("{name}.{kind}")), &chat()).unwrap();
        assert_eq!(read("jsonl").items, read("parquet").items, "{name}");
    }
    let read = |kind| Dataset::pairs(&fixture(&format!("preferences.{kind}")), &chat()).unwrap();
    assert_eq!(read("jsonl").items, read("parquet").items);
    let pair = &read("parquet").items[0];
    assert_eq!(pair.chosen.prompt, "<|im_start|>user\n0 + 1</s>\n<|im_start|>assistant\n");
    assert_eq!((pair.chosen.response.as_str(), pair.rejected.response.as_str()), ("1\n", "2\n"));
}

#[test]
fn every_answer_of_a_conversation_is_learned_after_what_stands_before_it() {
    let data = Dataset::documents(&fixture("messages.parquet"), &chat()).unwrap();
    assert_eq!(data.len(), 4, "a row for each conversation");
    let tokenizer = chat();
    let lesson = data.items[1].lesson.as_ref().unwrap();
    let learned = lesson.learned().iter().map(|range| tokenizer.decode(&lesson.tokens()[range.clone()]));
    assert_eq!(learned.collect::<Vec<_>>(), ["8</s>\n", "9</s>\n"]);
    assert!(data.items[1].prompt.starts_with("<|im_start|>system\nBe brief.</s>\n"));
    let error = Dataset::documents(&fixture("messages.jsonl"), &plain()).unwrap_err().to_string();
    assert!(error.contains("row 1: the model has no chat template"), "{error}");
}

#[test]
fn messages_with_a_response_and_preferences_without_a_prompt_are_read() {
    let (_folder, path) = file(
        "{\"message\": [{\"role\": \"user\", \"content\": \"q\"}], \"response\": \"r\", \"advantage\": 1.0}\n",
    );
    let data = Dataset::documents(&path, &chat()).unwrap();
    assert_eq!(data.items[0].response, "r\n");
    let [note] = data.notes() else { panic!("{:?}", data.notes()) };
    assert!(note.contains("columns left out: advantage;"), "{note}");
    let turn = |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
    let row = serde_json::json!({
        "chosen": [turn("user", "q"), turn("assistant", "good")],
        "rejected": [turn("user", "q"), turn("assistant", "bad")],
    });
    let (_folder, path) = file(&format!("{row}\n"));
    let pair = &Dataset::pairs(&path, &chat()).unwrap().items[0];
    assert_eq!((pair.chosen.response.as_str(), pair.rejected.response.as_str()), ("good\n", "bad\n"));
    assert!(pair.chosen.prompt.contains("user\nq</s>"));
    let texts = |chosen: &str, rejected: &str| {
        let row = serde_json::json!({ "chosen": chosen, "rejected": rejected });
        let (_folder, path) = file(&format!("{row}\n"));
        Dataset::pairs(&path, &plain()).map(|data| data.items[0].clone())
    };
    let pair = texts("Q: é? A: yes", "Q: é? A: no").unwrap();
    assert_eq!((pair.chosen.prompt.as_str(), pair.chosen.response.as_str()), ("Q: é? A:", "yes"));
    assert_eq!((pair.rejected.prompt.as_str(), pair.rejected.response.as_str()), ("Q: é? A:", "no"));
    assert!(texts("yes", "no").unwrap_err().to_string().contains("do not begin"));
    assert!(texts("a b", "a").is_err());
}

#[test]
fn a_message_that_calls_a_tool_needs_no_content() {
    let row = serde_json::json!({ "messages": [
        { "role": "user", "content": "q" },
        { "role": "assistant", "content": null, "tool_calls": [{ "function": { "name": "f" } }] },
        { "role": "tool", "content": "4" },
        { "role": "assistant", "content": "four" },
    ]});
    let (_folder, path) = file(&format!("{row}\n"));
    let data = Dataset::documents(&path, &chat()).unwrap();
    assert_eq!(data.len(), 1);
    let lesson = data.items[0].lesson.as_ref().unwrap();
    assert_eq!(lesson.learned().len(), 2, "the call, and the answer");
    assert!(data.notes()[0].contains("does not name it: `tool_calls` of a message"), "{:?}", data.notes());
}

#[test]
fn a_wrong_row_is_named() {
    let (_folder, path) = file("{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"prompt\": \"p\"}\n");
    let error = Dataset::documents(&path, &plain()).unwrap_err().to_string();
    assert!(error.contains("data.jsonl: row 2: expected `prompt` and `completion`"), "{error}");
    let (_folder, path) = file("{\"prompt\": 3, \"completion\": \"c\"}\n");
    let error = Dataset::documents(&path, &plain()).unwrap_err().to_string();
    assert!(error.contains("row 1: field `prompt`: expected a text or a list of messages"), "{error}");
    let (_folder, path) = file("");
    assert!(Dataset::pairs(&path, &plain()).unwrap_err().to_string().contains("at least one example"));
}
#[test]
fn rows_are_those_of_trl() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rows");
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("cases.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 190, "{}", cases.len());
    for case in cases {
        let place = tempfile::tempdir().unwrap();
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let from = folder.join(case["tokenizer"].as_str().unwrap()).join(name);
            std::fs::copy(from, place.path().join(name)).unwrap();
        }
        if let Some(template) = case["template"].as_str() {
            let template = golden["templates"][template].as_str().unwrap();
            std::fs::write(place.path().join("chat_template.jinja"), template).unwrap();
        }
        let tokenizer = Tokenizer::load(place.path()).unwrap();
        let (_folder, path) = file(&format!("{}\n", case["row"]));
        let lessons: Vec<Lesson> = match case["kind"].as_str() {
            Some("documents") => {
                let data = Dataset::documents(&path, &tokenizer).unwrap();
                data.items.into_iter().filter_map(|document| document.lesson).collect()
            }
            _ => {
                let pair = Dataset::pairs(&path, &tokenizer).unwrap().items[0].clone();
                pair.chosen.lesson.into_iter().chain(pair.rejected.lesson).collect()
            }
        };
        let made = lessons.iter().map(|lesson| {
            let is_learned = |place| lesson.learned().iter().any(|range| range.contains(&place));
            let mask: Vec<u8> = (0..lesson.tokens().len()).map(|place| u8::from(is_learned(place))).collect();
            serde_json::json!([lesson.tokens(), mask])
        });
        // A first token that TRL marks as learned has nothing before it to be predicted from.
        let mut expected = case["made"].clone();
        expected.as_array_mut().unwrap().iter_mut().for_each(|row| row[1][0] = 0.into());
        assert_eq!(Value::Array(made.collect()), expected, "{case}");
    }
}

#[test]
fn what_a_row_says_is_read_refused_or_named() {
    let tokenizer = with_template(
        "{% if tools %}T{{ tools | length }}{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    );
    let read = |rest: &str| {
        let row =
            "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\", \"weight\": 0}], \"completion\": \"r\"";
        let (_folder, path) = file(&format!("{row}{rest}}}\n"));
        Dataset::documents(&path, &tokenizer)
    };
    let data = read(", \"id\": 7, \"tools\": \"[{}, {}]\", \"label\": false").unwrap();
    assert!(data.items[0].prompt.starts_with("T2[user]q"), "{}", data.items[0].prompt);
    let notes = data.notes().join("\n");
    assert!(notes.contains("columns left out: label;") && notes.contains("`weight` of a message"), "{notes}");
    let notes = read(", \"chat_template_kwargs\": {\"enable_thinking\": true}").unwrap().notes().join("\n");
    assert!(notes.contains("`enable_thinking`") && !notes.contains("left out"), "{notes}");
    for (rest, said) in [
        (", \"tools\": \"add\"", "field `tools`: expected JSON"),
        (", \"tools\": [\"add\"]", "field `tools`: expected a list of objects"),
        (", \"chat_template_kwargs\": [1]", "expected an object"),
        (", \"chat_template_kwargs\": {\"tokenize\": false}", "`tokenize` is decided by"),
    ] {
        let error = read(rest).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let image =
        "{\"prompt\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}], \"completion\": \"r\"}\n";
    let (_folder, path) = file(image);
    let error = Dataset::documents(&path, &tokenizer).unwrap_err().to_string();
    assert!(error.contains("parts of a message that are text"), "{error}");
}

#[test]
fn a_prompt_that_is_not_what_stands_before_its_answer_is_counted() {
    let rows = [("the", "re is"), ("the:", " yes")].map(|(prompt, completion)| {
        format!("{{\"prompt\": \"{prompt}\", \"completion\": \"{completion}\"}}\n")
    });
    let (_folder, path) = file(&rows.concat());
    let data = Dataset::documents(&path, &chat()).unwrap();
    assert!(data.notes()[0].contains("in 1 of 2 rows the prompt alone"), "{:?}", data.notes());
}

#[test]
fn rows_that_are_cut_or_have_nothing_left_are_counted() {
    let rows = ["0", "0 1 2 3", "0 1 2 3 4 5 6 7 8"]
        .map(|prompt| format!("{{\"prompt\": \"{prompt}\", \"completion\": \"1 2\"}}\n"));
    let (_folder, path) = file(&rows.concat());
    let data = Dataset::documents(&path, &plain()).unwrap().within(6, "data.jsonl").unwrap();
    assert_eq!(data.len(), 2);
    assert_eq!(
        data.notes(),
        [
            "data.jsonl: 1 of 3 rows left out: their prompts alone fill max_tokens = 6",
            "data.jsonl: 1 of 3 rows are cut at max_tokens = 6",
        ]
    );
    let error = Dataset::documents(&path, &plain()).unwrap().within(1, "data.jsonl").unwrap_err();
    assert!(error.to_string().contains("raise `max_tokens`"), "{error}");
}
