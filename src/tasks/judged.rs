//! What of a completion is judged: what a person would read.
//!
//! One place decides it, for evaluation, rewards, experiments, programs that judge and the built-in tasks alike:
//!
//! * **Special tokens** are left out (`:special=drop`), as `decode(skip_special_tokens=True)` does; `:special=keep` leaves
//!   them in. Of the built-in tasks they are words, and are kept. Tokens that end a completion are always left out.
//! * **A thought** is no part of the answer: what stands after the last `</think>` is judged, also where the prompt opened
//!   the thought (templates that end in `<think>`). Of models with channels (gpt-oss) the final channel is judged.
//! * **A thought that nothing closes** is no answer, and its completion counts as cut off, even if the model ended it by
//!   itself (`:thought=none`). With `:thought=judged` such a completion is judged as it stands; with `:thought=whole`
//!   every thought is judged with the answer.
//!
//! The tables keep the whole completion.

use crate::model::{Completion, Finish, Tokenizer};

/// The marks between which models think.
const THOUGHTS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
];

/// What opens a channel, the channel that is the answer, and what ends its header.
const CHANNEL: &str = "<|channel|>";
const FINAL: &str = "final";
const MESSAGE: &str = "<|message|>";

/// Whether special tokens are judged with the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Special {
    #[default]
    Drop,
    Keep,
}

/// What is made of thoughts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// One that nothing closes is no answer.
    #[default]
    None,
    /// One that nothing closes is judged.
    Judged,
    /// All are judged.
    Whole,
}

/// How completions of a suite are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) special: Special,
    pub(super) thoughts: Thoughts,
}

impl Policy {
    /// Of tasks whose special tokens are words.
    pub(super) const WORDS: Self = Self { special: Special::Keep, thoughts: Thoughts::None };

    /// Takes an option of a suite's name; whether it is one of these.
    pub(super) fn option(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("special", "drop") => self.special = Special::Drop,
            ("special", "keep") => self.special = Special::Keep,
            ("thought", "none") => self.thoughts = Thoughts::None,
            ("thought", "judged") => self.thoughts = Thoughts::Judged,
            ("thought", "whole") => self.thoughts = Thoughts::Whole,
            _ => return false,
        }
        true
    }
}

/// What is judged of one completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The text; nothing where there is no answer.
    pub text: String,
    /// Whether it stops inside a thought.
    pub thinking: bool,
    /// Whether it was cut off: it ran out of tokens, or stops inside a thought that is not judged.
    pub truncated: bool,
}

impl Judged {
    /// What is judged of a completion of a prompt with these tokens.
    pub(super) fn new(
        policy: Policy,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        completion: &Completion,
    ) -> Self {
        let opened = opens(tokenizer, prompt);
        let said: Vec<u32> =
            completion.tokens.iter().copied().filter(|id| !tokenizer.stop_tokens().contains(id)).collect();
        let whole = tokenizer.decode(&said);
        let Found { answer, thinking } = match policy.thoughts {
            Thoughts::Whole => Found { answer: Some(0), thinking: answer(&whole, opened).thinking },
            Thoughts::None => answer(&whole, opened),
            Thoughts::Judged => {
                let Found { answer, thinking } = answer(&whole, opened);
                Found { answer: answer.or(Some(0)), thinking }
            }
        };
        let text = answer.map(|start| text_after(start, &whole, &said, policy.special, tokenizer));
        let cut = completion.finish == Finish::Length || text.is_none();
        Self { text: text.unwrap_or_default(), thinking, truncated: cut }
    }
}

/// Where the answer begins in a completion, if it has one.
struct Found {
    answer: Option<usize>,
    thinking: bool,
}

/// Whether a prompt opens a thought that it does not close. What is said before a special token other than the marks
/// themselves is another turn's.
fn opens(tokenizer: &Tokenizer, prompt: &[u32]) -> bool {
    let is_mark = |text: &str| {
        [CHANNEL, MESSAGE].contains(&text)
            || THOUGHTS.iter().any(|(open, close)| [*open, *close].contains(&text))
    };
    let whole = tokenizer.decode(prompt);
    if !whole.contains(CHANNEL) && !THOUGHTS.iter().any(|(open, _)| whole.contains(open)) {
        return false;
    }
    let ends_turn = |id: &u32| {
        let text = tokenizer.decode(&[*id]);
        !text.is_empty() && tokenizer.decode_plain(&[*id]).is_empty() && !is_mark(text.trim())
    };
    let start = prompt.iter().rposition(ends_turn).map_or(0, |place| place + 1);
    let own = tokenizer.decode(prompt.get(start..).unwrap_or_default());
    answer(&own, false).thinking
}

/// Finds the answer after the thoughts of a completion; `opened` says whether the prompt began one.
fn answer(whole: &str, opened: bool) -> Found {
    if whole.contains(CHANNEL) {
        let last = whole.rfind(&format!("{CHANNEL}{FINAL}"));
        let body = last.and_then(|place| Some(place + whole.get(place..)?.find(MESSAGE)? + MESSAGE.len()));
        return Found { answer: body, thinking: body.is_none() };
    }
    let after = |mark: &str| whole.rfind(mark).map(|place| place + mark.len());
    let closed = THOUGHTS.iter().filter_map(|(_, close)| after(close)).max();
    let opened_again = THOUGHTS.iter().filter_map(|(open, _)| after(open)).max();
    let thinking = match (opened_again, closed) {
        (Some(open), Some(closed)) => open > closed,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => opened,
    };
    Found { answer: (!thinking).then_some(closed.unwrap_or(0)), thinking }
}

/// The text from byte `start` of `whole`, which is the text of `said`.
fn text_after(start: usize, whole: &str, said: &[u32], special: Special, tokenizer: &Tokenizer) -> String {
    let rest = whole.get(start..).unwrap_or_default();
    match special {
        Special::Keep => rest.to_owned(),
        Special::Drop if start == 0 => tokenizer.decode_plain(said),
        Special::Drop => {
            // The first token whose end is beyond the mark: it may hold the beginning of the answer.
            let (mut low, mut high) = (0, said.len());
            while low < high {
                let middle = (low + high) / 2;
                let length = tokenizer.decode(said.get(..middle).unwrap_or_default()).len();
                if length < start { low = middle + 1 } else { high = middle }
            }
            let before = tokenizer.decode(said.get(..low).unwrap_or_default());
            let within = before.get(start..).unwrap_or_default();
            within.to_owned() + &tokenizer.decode_plain(said.get(low..).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A tokenizer of letters and the marks that models think with.
    fn tokenizer() -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let special = [
            "<eos>",
            "<|im_start|>",
            "<|channel|>",
            "<|message|>",
            "<|start|>",
            "<|end|>",
            "<pad>",
            "[THINK]",
            "[/THINK]",
        ];
        let plain = [
            "<think>",
            "</think>",
            "assistant",
            "final",
            "analysis",
            "\\boxed{72}",
            "Let me see",
            "no",
            "\n",
            " ",
        ];
        let added: Vec<serde_json::Value> = special
            .iter()
            .chain(&plain)
            .enumerate()
            .map(|(id, content)| {
                serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": special.contains(content)})
            })
            .collect();
        let vocabulary: serde_json::Map<String, serde_json::Value> = special
            .iter()
            .chain(&plain)
            .enumerate()
            .map(|(id, word)| ((*word).to_owned(), id.into()))
            .collect();
        let document = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("tokenizer.json", document.to_string());
        write(
            "tokenizer_config.json",
            "{\"eos_token\": \"<eos>\", \"tokenizer_class\": \"PreTrainedTokenizerFast\"}".into(),
        );
        Tokenizer::load(Path::new(folder.path())).unwrap()
    }

    fn judged(policy: Policy, prompt: &str, said: &str, finish: Finish) -> Judged {
        let tokenizer = tokenizer();
        let ids = |text: &str| tokenizer.encode(text).unwrap();
        let (tokens, empty) = (ids(said), Vec::new());
        let completion = Completion {
            prompt: 0,
            sample: 0,
            tokens,
            log_probabilities: empty.clone(),
            entropies: empty,
            finish,
        };
        Judged::new(policy, &tokenizer, &ids(prompt), &completion)
    }

    fn answer_of(prompt: &str, said: &str) -> (String, bool) {
        let judged = judged(Policy::default(), prompt, said, Finish::Stop);
        (judged.text, judged.truncated)
    }

    #[test]
    fn the_answer_stands_after_the_thought_whoever_opened_it() {
        let right = ("\\boxed{72}".to_owned(), false);
        for (prompt, said) in [
            ("no", "\\boxed{72}<eos>"),
            ("no", "<think>no</think>\\boxed{72}<eos>"),
            ("no<think>\n", "Let me see</think>\\boxed{72}<eos>"),
            ("no<think>\n\n</think>\n", "\\boxed{72}<eos>"),
            ("no", "[THINK]no[/THINK]\\boxed{72}"),
            (
                "<|start|>assistant",
                "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{72}",
            ),
            ("no", "<|im_start|>\\boxed{72}<pad><eos>"),
            ("<think>no</think>", "<think>no</think>no</think>\\boxed{72}"),
        ] {
            assert_eq!(answer_of(prompt, said), right, "{prompt} | {said}");
        }
        assert_eq!(answer_of("no", "<think>no</think>\n\\boxed{72}").0.trim(), "\\boxed{72}");
    }

    #[test]
    fn a_thought_that_nothing_closes_is_no_answer_and_cut_off() {
        for (prompt, said) in [
            ("no", "<think>\\boxed{72}<eos>"),
            ("no<think>\n", "\\boxed{72}<eos>"),
            ("no", "<think>no</think>no<think>\\boxed{72}"),
            ("<|start|>assistant", "<|channel|>analysis<|message|>\\boxed{72}"),
            ("<|start|>assistant<|channel|>analysis<|message|>", "\\boxed{72}"),
        ] {
            assert_eq!(answer_of(prompt, said), (String::new(), true), "{prompt} | {said}");
            let judging = Policy { thoughts: Thoughts::Judged, ..Policy::default() };
            let found = judged(judging, prompt, said, Finish::Stop);
            assert!(
                found.text.contains("\\boxed{72}") && found.thinking && !found.truncated,
                "{prompt} | {said}"
            );
        }
    }

    #[test]
    fn switches_keep_what_is_left_out() {
        let keep = Policy { special: Special::Keep, ..Policy::default() };
        assert_eq!(judged(keep, "no", "<pad>no<eos>", Finish::Stop).text, "<pad>no");
        let whole = Policy { thoughts: Thoughts::Whole, ..Policy::default() };
        assert_eq!(
            judged(whole, "no", "<think>no</think>\\boxed{72}", Finish::Stop).text,
            "<think>no</think>\\boxed{72}"
        );
        assert!(judged(whole, "no", "no", Finish::Length).truncated);
    }
}
