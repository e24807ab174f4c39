//! Training data from files, in the layouts of TRL and of Ren et al., as JSONL or Parquet.
//!
//! | fields | what is learned |
//! |---|---|
//! | `prompt`, `completion` (or `response`) | the completion |
//! | `messages` | every message of the assistant, after those before it |
//! | `text` | all of it |
//! | `messages` (or `message`), `response` | the response, after the messages |
//! | `prompt`, `chosen`, `rejected` | to prefer the chosen response |
//! | `chosen`, `rejected` | the same; the prompt is the messages, or the text, that both begin with |
//!
//! Each is a text, taken as it stands, or a list of messages, written by the chat template of the model that is
//! trained, with `tools` and `chat_template_kwargs` of the row ([`super::row`]). Which tokens these become and which of
//! them are learned is the matter of [`super::lesson`]. Every other column is named in a note. A file is gone through
//! in passes; the order within each is keyed by (seed, pass).

use super::columns::Columns;
use super::conversation::{Asked, assistant, is_assistant};
use super::lesson::Lesson;
use super::numbered;
use super::problem::{Document, Pair};
use super::row::Row;
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use crate::model::chat::Conversation;
use crate::tables;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The items of a file, in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    items: Vec<T>,
    reading: Reading,
}

/// How a file was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The rows of the file.
    pub(crate) rows: usize,
    /// The layouts that were met, with their rows.
    pub(crate) layouts: BTreeMap<&'static str, usize>,
    pub(crate) columns: Columns,
    /// Rows whose prompts alone are encoded in another way than before their answers.
    pub(crate) parted: usize,
    notes: Vec<String>,
}

impl Reading {
    /// Counts what the chat template does not read of a row's conversations, once a row.
    fn not_in_template(&mut self, all: &[&Asked], tokenizer: &Tokenizer) {
        let unread: BTreeSet<String> =
            all.iter().flat_map(|asked| asked.unread_by_template(tokenizer)).collect();
        self.columns.not_in_template(unread.into_iter().collect());
    }
}

impl Dataset<Document> {
    /// Reads prompts with their responses, for a model with this tokenizer.
    ///
    /// # Errors
    /// If the file cannot be read, a row lacks a field (the error names the row), there is none, or messages
    /// are given and the model has no chat template.
    pub fn documents(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row, reading| {
            let response = row.asked(&["completion", "response"])?;
            let prompt = row.asked(&["prompt", "messages", "message"])?;
            // A column counts as read only where it is learned from.
            let text = match (&prompt, &response) {
                (None, None) => row.asked(&["text"])?,
                _ => None,
            };
            let (layout, lessons) = match (prompt, response, text) {
                (Some(prompt), Some(response), _) => {
                    reading.not_in_template(&[&prompt, &response], tokenizer);
                    ("prompt and completion", vec![lesson(&prompt, &response, tokenizer)?])
                }
                (Some(prompt @ Asked::Messages(_)), None, _) => {
                    reading.not_in_template(&[&prompt], tokenizer);
                    let Asked::Messages(conversation) = prompt else { return Ok(Vec::new()) };
                    ("messages", Lesson::of_conversation(tokenizer, &conversation, is_assistant)?)
                }
                (None, None, Some(Asked::Text(text))) => {
                    ("text", vec![Lesson::of_texts(tokenizer, "", &text)?])
                }
                _ => {
                    return Err(Error::request(format!(
                        "expected `prompt` and `completion`, `messages`, or `text`; found {}",
                        found(row)
                    ))
                    .hint("the fields are those of TRL's datasets"));
                }
            };
            *reading.layouts.entry(layout).or_default() += 1;
            reading.parted += usize::from(lessons.iter().any(Lesson::is_parted));
            Ok(lessons.into_iter().map(|lesson| Document::of_lesson(lesson, tokenizer)).collect())
        })
    }
}

impl Dataset<Pair> {
    /// Reads preferences, for a model with this tokenizer.
    ///
    /// # Errors
    /// As [`Dataset::documents`].
    pub fn pairs(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row, reading| {
            let needed = |name: &str| {
                row.asked(&[name])?.ok_or_else(|| {
                    Error::request(format!("expected a field `{name}`, found {}", found(row)))
                        .hint("the fields are those of TRL's preference datasets: prompt, chosen, rejected")
                })
            };
            let (mut chosen, mut rejected) = (needed("chosen")?, needed("rejected")?);
            let (layout, prompt) = match row.asked(&["prompt"])? {
                // As data sets have it that name the first message beside two whole conversations.
                Some(Asked::Text(text)) if begins_with(&chosen, &text) && begins_with(&rejected, &text) => {
                    ("chosen and rejected", shared_beginning(&mut chosen, &mut rejected)?)
                }
                Some(prompt) => ("prompt, chosen and rejected", prompt),
                None => ("chosen and rejected", shared_beginning(&mut chosen, &mut rejected)?),
            };
            reading.not_in_template(&[&prompt, &chosen, &rejected], tokenizer);
            *reading.layouts.entry(layout).or_default() += 1;
            let lesson =
                |response, name: &str| lesson(&prompt, response, tokenizer).at(format!("field `{name}`"));
            let (chosen, rejected) =
                Lesson::alike(lesson(&chosen, "chosen")?, lesson(&rejected, "rejected")?);
            reading.parted += usize::from(chosen.is_parted() || rejected.is_parted());
            let document = |lesson| Document::of_lesson(lesson, tokenizer);
            Ok(vec![Pair { chosen: document(chosen), rejected: document(rejected) }])
        })
    }
}

/// The columns of a row, for a message.
fn found(row: &Row) -> String {
    let columns = row.columns();
    if columns.is_empty() { "nothing".to_owned() } else { format!("`{}`", columns.join("`, `")) }
}

/// Whether messages begin with one that says `text`.
fn begins_with(asked: &Asked, text: &str) -> bool {
    let Asked::Messages(conversation) = asked else { return false };
    let says = |message: &Value| message.get("content").and_then(Value::as_str) == Some(text);
    conversation.messages.len() > 1 && conversation.messages.iter().take(2).any(says)
}

pub(super) fn lesson(prompt: &Asked, response: &Asked, tokenizer: &Tokenizer) -> Result<Lesson> {
    match (prompt, response) {
        (Asked::Words(prompt) | Asked::Text(prompt), Asked::Text(response)) => {
            Lesson::of_texts(tokenizer, prompt, response)
        }
        (Asked::Messages(before), Asked::Text(response)) => {
            Lesson::of_messages(tokenizer, before, &[assistant(response)])
        }
        (Asked::Messages(before), Asked::Messages(after)) => {
            Lesson::of_messages(tokenizer, before, &after.messages)
        }
        _ => Err(Error::request("expected a prompt of messages, because the response is one; found a text")),
    }
}

/// Takes what two conversations or texts begin with off both, and returns it. Of texts, a space at the end of it stays
/// with the responses, as in TRL's `extract_prompt`.
fn shared_beginning(chosen: &mut Asked, rejected: &mut Asked) -> Result<Asked> {
    let (one, two): (&mut Conversation, &mut Conversation) = match (chosen, rejected) {
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
    let alike = one.messages.iter().zip(&two.messages).take_while(|(one, two)| one == two).count();
    let prompt: Vec<Value> = one.messages.drain(..alike).collect();
    two.messages.drain(..alike);
    if prompt.is_empty() {
        return Err(Error::request("`chosen` and `rejected` do not begin with the same messages"));
    }
    if one.messages.is_empty() || two.messages.is_empty() {
        return Err(Error::request(
            "`chosen` or `rejected` says nothing after the messages that both begin with",
        ));
    }
    Ok(Asked::Messages(one.with_messages(prompt)))
}

impl<T: Clone> Dataset<T> {
    /// A dataset of these items.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(items: Vec<T>) -> Result<Self> {
        match items.is_empty() {
            true => Err(Error::request("expected at least one example, found none")),
            false => Ok(Self { items, reading: Reading::default() }),
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

    fn read(path: &Path, items: impl Fn(&Row, &mut Reading) -> Result<Vec<T>>) -> Result<Self> {
        let (rows, unreadable) = tables::read_rows_and_notes(path)?;
        let columns = Columns::of_file(unreadable);
        let (mut all, mut reading) = (Vec::new(), Reading { columns, ..Reading::default() });
        for (number, row) in rows.iter().enumerate() {
            let place = || format!("row {}", number + 1);
            let row = Row::new(row).at(place()).at(path.display())?;
            all.extend(items(&row, &mut reading).at(place()).at(path.display())?);
            reading.rows += 1;
            reading.columns.count(&row);
        }
        reading.notes = reading.columns.notes(&path.display().to_string());
        if reading.parted > 0 {
            reading.notes.push(format!(
                "{}: in {} of {} rows the prompt alone becomes other tokens than before its answer (a token reaches over the seam, or the chat template writes the prompt anew once it is answered): the answer is learned after other tokens than a model is asked with, as in TRL",
                path.display(),
                reading.parted,
                reading.rows
            ));
        }
        Ok(Self { reading, ..Self::new(all).at(path.display())? })
    }

    /// What an answer must say of how the file was read: columns that were left out, rows that were cut.
    pub fn notes(&self) -> &[String] {
        &self.reading.notes
    }

    /// How the file was read.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The items in file order.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    /// Leaves out the items of which no token is learned within `limit` tokens, as TRL does, and says how many these
    /// are and how many are cut. `lessons` are those of an item.
    fn fit(&mut self, limit: usize, file: &str, lessons: impl Fn(&T) -> Vec<&Lesson>) -> Result<()> {
        let before = self.items.len();
        self.items.retain(|item| lessons(item).iter().all(|lesson| lesson.begins() < limit));
        let left_out = before - self.items.len();
        let is_cut = |item: &&T| lessons(item).iter().any(|lesson| lesson.tokens().len() > limit);
        let cut = self.items.iter().filter(is_cut).count();
        if self.items.is_empty() {
            return Err(Error::request(format!("every row's prompt has {limit} tokens or more"))
                .hint("raise `max_tokens`")
                .at(file));
        }
        if left_out > 0 {
            self.reading.notes.push(format!(
                "{file}: {left_out} of {before} rows left out: their prompts alone fill max_tokens = {limit}"
            ));
        }
        if cut > 0 {
            self.reading
                .notes
                .push(format!("{file}: {cut} of {before} rows are cut at max_tokens = {limit}"));
        }
        Ok(())
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

impl Dataset<Document> {
    /// Leaves out the rows that a limit on their tokens leaves nothing to learn of, and counts those that it cuts.
    ///
    /// # Errors
    /// If none is left.
    pub(crate) fn within(mut self, limit: usize, file: &str) -> Result<Self> {
        self.fit(limit, file, |document| document.lesson.iter().collect())?;
        Ok(self)
    }
}

impl Dataset<Pair> {
    /// As for documents: a pair is left out where either response is.
    ///
    /// # Errors
    /// As for documents.
    pub(crate) fn within(mut self, limit: usize, file: &str) -> Result<Self> {
        self.fit(limit, file, |pair| pair.chosen.lesson.iter().chain(&pair.rejected.lesson).collect())?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Suite, training_problems};

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
        assert!(
            data.notes()[0].contains("does not name it: `tool_calls` of a message"),
            "{:?}",
            data.notes()
        );
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
                let mask: Vec<u8> =
                    (0..lesson.tokens().len()).map(|place| u8::from(is_learned(place))).collect();
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
            let row = "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\", \"weight\": 0}], \"completion\": \"r\"";
            let (_folder, path) = file(&format!("{row}{rest}}}\n"));
            Dataset::documents(&path, &tokenizer)
        };
        let data = read(", \"id\": 7, \"tools\": \"[{}, {}]\", \"label\": false").unwrap();
        assert!(data.items[0].prompt.starts_with("T2[user]q"), "{}", data.items[0].prompt);
        let notes = data.notes().join("\n");
        assert!(
            notes.contains("columns left out: label;") && notes.contains("`weight` of a message"),
            "{notes}"
        );
        let notes =
            read(", \"chat_template_kwargs\": {\"enable_thinking\": true}").unwrap().notes().join("\n");
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
        let image = "{\"prompt\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}], \"completion\": \"r\"}\n";
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
}
