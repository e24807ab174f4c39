//! Training data from files, in the layouts of TRL and of Ren et al., as JSONL or Parquet.
//!
//! | fields | what is learned |
//! |---|---|
//! | `prompt`, `completion` (or `response`) | the completion |
//! | `messages` | every message of the assistant, after those before it |
//! | `messages` (or `message`), `response` | the response, after the messages |
//! | `prompt`, `chosen`, `rejected` | to prefer the chosen response |
//! | `chosen`, `rejected` | the same; the prompt is the messages, or the text, that both begin with |
//!
//! Each is a text, taken as it stands, or a list of messages, written by the chat template of the model that is
//! trained. A file is gone through in passes; the order within each is keyed by (seed, pass).

use super::conversation::{Asked, answered, assistant, is_assistant};
use super::numbered;
use super::problem::{Document, Pair};
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use crate::tables;
use serde_json::Value;
use std::path::Path;

/// The items of a file, in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    items: Vec<T>,
}

impl Dataset<Document> {
    /// Reads prompts with their responses, for a model with this tokenizer.
    ///
    /// # Errors
    /// If the file cannot be read, a row lacks a field (the error names the row), there is none, or messages
    /// are given and the model has no chat template.
    pub fn documents(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row| {
            let response = optional(row, &["completion", "response"])?;
            match (optional(row, &["prompt", "messages", "message"])?, response) {
                (Some(prompt), Some(response)) => Ok(vec![document(&prompt, &response, tokenizer)?]),
                (Some(Asked::Messages(messages)), None) => turns(&messages, tokenizer),
                _ => Err(Error::request("expected `prompt` and `completion`, or `messages`")
                    .hint("the fields are those of TRL's datasets")),
            }
        })
    }
}

impl Dataset<Pair> {
    /// Reads preferences, for a model with this tokenizer.
    ///
    /// # Errors
    /// As [`Dataset::documents`].
    pub fn pairs(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row| {
            let needed = |name: &str| {
                optional(row, &[name])?.ok_or_else(|| {
                    Error::request(format!("expected a field `{name}`"))
                        .hint("the fields are those of TRL's preference datasets: prompt, chosen, rejected")
                })
            };
            let (mut chosen, mut rejected) = (needed("chosen")?, needed("rejected")?);
            let prompt = match optional(row, &["prompt"])? {
                Some(prompt) => prompt,
                None => shared_beginning(&mut chosen, &mut rejected)?,
            };
            let document = |response| document(&prompt, response, tokenizer);
            Ok(vec![Pair { chosen: document(&chosen)?, rejected: document(&rejected)? }])
        })
    }
}

/// The first of these fields that the row has.
fn optional(row: &Value, names: &[&str]) -> Result<Option<Asked>> {
    let found = names.iter().find_map(|name| Some((name, row.get(name).filter(|value| !value.is_null())?)));
    found.map(|(name, value)| Asked::read(value).at(format!("field `{name}`"))).transpose()
}

fn document(prompt: &Asked, response: &Asked, tokenizer: &Tokenizer) -> Result<Document> {
    match (prompt, response) {
        (Asked::Text(prompt), Asked::Text(response)) => {
            Ok(Document { prompt: prompt.clone(), response: response.clone() })
        }
        (Asked::Messages(before), Asked::Text(response)) => answered(before, &assistant(response), tokenizer),
        (Asked::Messages(before), Asked::Messages(after)) => match after.as_slice() {
            [answer] if is_assistant(answer) => answered(before, answer, tokenizer),
            _ => Err(Error::request(format!(
                "expected a response of one message by the assistant, found {} messages",
                after.len()
            ))),
        },
        (Asked::Text(_), Asked::Messages(_)) => {
            Err(Error::request("expected a prompt of messages, because the response is one; found a text"))
        }
    }
}

/// A document for every message of the assistant.
fn turns(messages: &[Value], tokenizer: &Tokenizer) -> Result<Vec<Document>> {
    let answers = messages.iter().enumerate().filter(|(place, message)| *place > 0 && is_assistant(message));
    let documents: Vec<Document> = answers
        .map(|(place, answer)| answered(&messages[..place], answer, tokenizer))
        .collect::<Result<_>>()?;
    match documents.is_empty() {
        true => Err(Error::request("expected a message by the assistant after another, found none")),
        false => Ok(documents),
    }
}

/// Takes what two conversations or texts begin with off both, and returns it. Of texts, a space at the end of it stays
/// with the responses, as in TRL's `extract_prompt`.
fn shared_beginning(chosen: &mut Asked, rejected: &mut Asked) -> Result<Asked> {
    let (one, two) = match (chosen, rejected) {
        (Asked::Messages(one), Asked::Messages(two)) => (one, two),
        (Asked::Text(one), Asked::Text(two)) => {
            let letters = one.char_indices().zip(two.chars());
            let shared = letters.take_while(|((_, one), two)| one == two).last();
            let end = shared.map_or(0, |((place, letter), _)| match letter {
                ' ' => place,
                letter => place + letter.len_utf8(),
            });
            if end == 0 || one.len() == end || two.len() == end {
                return Err(Error::request(
                    "`chosen` and `rejected` do not begin with the same text, or one ends with it",
                )
                .hint("give the prompt in a field `prompt`"));
            }
            let prompt = one[..end].to_owned();
            one.replace_range(..end, "");
            two.replace_range(..end, "");
            return Ok(Asked::Text(prompt));
        }
        _ => {
            return Err(Error::request(
                "expected two texts or two lists of messages in `chosen` and `rejected`",
            ));
        }
    };
    let shared = one.iter().zip(two.iter()).take_while(|(one, two)| one == two).count();
    let prompt: Vec<Value> = one.drain(..shared).collect();
    two.drain(..shared);
    match prompt.is_empty() {
        true => Err(Error::request("`chosen` and `rejected` do not begin with the same messages")),
        false => Ok(Asked::Messages(prompt)),
    }
}

impl<T: Clone> Dataset<T> {
    /// A dataset of these items.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(items: Vec<T>) -> Result<Self> {
        match items.is_empty() {
            true => Err(Error::request("expected at least one example, found none")),
            false => Ok(Self { items }),
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Always false: a dataset has at least one item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn read(path: &Path, items: impl Fn(&Value) -> Result<Vec<T>>) -> Result<Self> {
        let mut all = Vec::new();
        for (number, row) in tables::read_rows(path)?.iter().enumerate() {
            all.extend(items(row).at(format!("row {}", number + 1)).at(path.display())?);
        }
        Self::new(all).at(path.display())
    }

    /// Items `first .. first + count` of the passes over the file, one after another.
    pub fn take(&self, seed: u64, first: u64, count: usize) -> Vec<T> {
        self.numbered(seed, (first..).take(count))
    }

    /// The items with these numbers, ascending, in the same passes.
    pub(super) fn numbered(&self, seed: u64, numbers: impl Iterator<Item = u64>) -> Vec<T> {
        numbered::of_list(&self.items, seed, numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Suite, training_problems};

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets").join(name)
    }

    /// A tokenizer whose chat template is ChatML, as Qwen's models have it.
    fn chat() -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let words = ["a", "<s>", "<|im_end|>", "<pad>"];
        Tokenizer::word_level(&words, "<s>", "<|im_end|>", "<pad>").unwrap().save(folder.path()).unwrap();
        let template = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        std::fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
        Tokenizer::load(folder.path()).unwrap()
    }

    fn plain() -> Tokenizer {
        Tokenizer::word_level(&["<s>", "</s>", "<pad>"], "<s>", "</s>", "<pad>").unwrap()
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
            assert_eq!(read("jsonl"), read("parquet"), "{name}");
        }
        let read = |kind| Dataset::pairs(&fixture(&format!("preferences.{kind}")), &chat()).unwrap();
        assert_eq!(read("jsonl"), read("parquet"));
        let pair = &read("parquet").items[0];
        assert_eq!(pair.chosen.prompt, "<|im_start|>user\n0 + 1<|im_end|>\n<|im_start|>assistant\n");
        assert_eq!((pair.chosen.response.as_str(), pair.rejected.response.as_str()), ("1", "2"));
    }

    #[test]
    fn every_answer_of_a_conversation_is_learned_after_what_stands_before_it() {
        let data = Dataset::documents(&fixture("messages.parquet"), &chat()).unwrap();
        assert_eq!(data.len(), 5, "four conversations, one with two answers");
        let second = &data.items[2];
        assert_eq!(second.response, "9");
        assert!(second.prompt.starts_with("<|im_start|>system\nBe brief.<|im_end|>\n"), "{}", second.prompt);
        assert!(second.prompt.contains("assistant\n8<|im_end|>\n"), "{}", second.prompt);
        let error = Dataset::documents(&fixture("messages.jsonl"), &plain()).unwrap_err().to_string();
        assert!(error.contains("row 1: the model has no chat template"), "{error}");
    }

    #[test]
    fn messages_with_a_response_and_preferences_without_a_prompt_are_read() {
        let (_folder, path) = file(
            "{\"message\": [{\"role\": \"user\", \"content\": \"q\"}], \"response\": \"r\", \"advantage\": 1.0}\n",
        );
        let data = Dataset::documents(&path, &chat()).unwrap();
        assert_eq!(data.items[0].response, "r");
        let turn = |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
        let row = serde_json::json!({
            "chosen": [turn("user", "q"), turn("assistant", "good")],
            "rejected": [turn("user", "q"), turn("assistant", "bad")],
        });
        let (_folder, path) = file(&format!("{row}\n"));
        let pair = &Dataset::pairs(&path, &chat()).unwrap().items[0];
        assert_eq!((pair.chosen.response.as_str(), pair.rejected.response.as_str()), ("good", "bad"));
        assert!(pair.chosen.prompt.contains("user\nq<|im_end|>"));
        let texts = |chosen: &str, rejected: &str| {
            let row = serde_json::json!({ "chosen": chosen, "rejected": rejected });
            let (_folder, path) = file(&format!("{row}\n"));
            Dataset::pairs(&path, &plain()).map(|data| data.items[0].clone())
        };
        let pair = texts("Q: é? A: yes", "Q: é? A: no").unwrap();
        assert_eq!((pair.chosen.prompt.as_str(), pair.chosen.response.as_str()), ("Q: é? A:", " yes"));
        assert_eq!((pair.rejected.prompt.as_str(), pair.rejected.response.as_str()), ("Q: é? A:", " no"));
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
        assert_eq!((data.len(), data.items[1].response.as_str()), (2, "four"));
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
}
