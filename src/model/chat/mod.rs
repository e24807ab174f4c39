//! Chat templates, rendered as transformers renders them: Jinja with trimmed blocks, values printed as Python prints
//! them, the methods of its strings and dictionaries, `tojson` without HTML escapes, and `raise_exception`.
//!
//! `strftime_now` is left undefined: what a model is asked must not depend on the day. Templates that know it
//! test for it, and fall back to a fixed date; one that does not is refused.
//!
//! What is written otherwise in minijinja is rewritten before (`source`), and messages are handed over as transformers
//! hands them (`messages`): without what is null, with reasoning under both of its names.
//!
//! A template is a program of somebody else's. It runs on fuel (`meter`): so many steps, so much text, widths and depths
//! that a conversation can ask for; and on a thread of its own, whose panic is an error.
//!
//! What is known to differ, for want of it in minijinja: values of different kinds can be compared, asked for with `in`
//! and sorted, where Python raises an error; a dictionary's entry comes before a method of its name; `*` makes a list of
//! a tuple; and the groups of `groupby` are lists. Refused by name are `cycler`, `joiner`, `varargs` and `kwargs` of a
//! macro, the filters `pprint`, `xmlattr`, `forceescape`, `striptags`, `urlize`, `urlencode`, `wordwrap`,
//! `filesizeformat` and `random`, the test `callable`, and the methods of a text that is marked as safe.

mod conversation;
mod filters;
mod json;
mod justified;
mod markup;
mod messages;
mod meter;
mod metered;
mod methods;
mod operators;
mod printf;
mod sequences;
mod slices;
mod source;
mod text;

pub use conversation::{Conversation, Ending};

use crate::error::{At, Error, Result};
use crate::foreign::guarded;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};
use serde_json::Map;
use std::collections::BTreeMap;
use std::path::Path;

/// Renders `messages` (role and content) with `template`. `tokens` are the special tokens by the names that templates
/// know (`bos_token`); those that are not among them are undefined, as in transformers.
///
/// # Errors
/// If the template is malformed, uses what is not known, raises an exception, or takes more steps, text or memory than any
/// conversation asks for.
pub fn render_chat(
    template: &str,
    messages: &serde_json::Value,
    add_generation_prompt: bool,
    tokens: &BTreeMap<String, String>,
) -> Result<String> {
    let messages = messages.as_array().ok_or_else(|| messages::wrong(messages))?;
    let ending = if add_generation_prompt { Ending::Answer } else { Ending::Closed };
    render_conversation(template, &Conversation::of(messages.clone()), ending, tokens)
}

/// Renders a whole conversation with `template`, as transformers' `apply_chat_template` does; see [`render_chat`].
///
/// # Errors
/// As [`render_chat`], and if the last message is to be continued and the template does not write it as it stands.
pub fn render_conversation(
    template: &str,
    conversation: &Conversation,
    ending: Ending,
    tokens: &BTreeMap<String, String>,
) -> Result<String> {
    match ending {
        Ending::Continued => {
            let (messages, said) = conversation::marked(&conversation.messages)?;
            conversation::cut_at_mark(&written(template, conversation, messages, ending, tokens)?, &said)
        }
        _ => {
            let messages = messages::known(&conversation.messages)?;
            written(template, conversation, messages, ending, tokens)
        }
    }
}

/// What the template writes of messages as it is to see them.
fn written(
    template: &str,
    conversation: &Conversation,
    messages: Vec<Map<String, serde_json::Value>>,
    ending: Ending,
    tokens: &BTreeMap<String, String>,
) -> Result<String> {
    let rendering =
        || guarded(Path::new("chat template"), || render(template, conversation, messages, ending, tokens));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat".to_owned()).stack_size(meter::STACK);
        let started = thread.spawn_scoped(scope, rendering);
        let started = started.map_err(|error| Error::work(format!("cannot start a thread: {error}")))?;
        started.join().unwrap_or_else(|_| Err(Error::work("the thread that renders the chat template ended")))
    })
}

fn render(
    template: &str,
    conversation: &Conversation,
    messages: Vec<Map<String, serde_json::Value>>,
    ending: Ending,
    tokens: &BTreeMap<String, String>,
) -> Result<String> {
    meter::fill();
    let source = source::rewritten(template).at("chat template")?;
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_debug(false);
    environment.set_fuel(Some(source.steps));
    filters::add(&mut environment);
    sequences::add(&mut environment);
    markup::add(&mut environment);
    operators::add_all(&mut environment);
    metered::add_comparisons(&mut environment);
    // Jinja2 has no such function.
    environment.remove_global("debug");
    for name in ["varargs", "kwargs"] {
        environment.add_function(format!("{name}_of_a_macro"), move || -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("`{name}` of a macro is not known"),
            ))
        });
    }
    metered::add_filter(&mut environment, "tojson", json::to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, _, value| {
        let text = text::text(value);
        match meter::is_empty() {
            true => Err(meter::spent()),
            false => out.write_str(&text).map_err(minijinja::Error::from),
        }
    });
    let failed = |error: minijinja::Error| {
        if error.kind() == ErrorKind::OutOfFuel {
            return Error::request("chat template: it takes more steps than any conversation asks for");
        }
        let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        let refused = Error::request(format!("chat template: {detail}"));
        // Called within a macro, it is undefined without a name.
        let nameless = template.contains("strftime_now") && detail.contains("undefined is not callable");
        match nameless || detail.contains("strftime_now") {
            true => refused.hint("no result depends on the day: write the date into the template"),
            false => refused,
        }
    };
    environment.add_template("chat", &source.text).map_err(failed)?;
    let chat = environment.get_template("chat").map_err(failed)?;
    // What the row states stands over the special tokens, as in transformers.
    let mut known: Map<String, serde_json::Value> =
        tokens.iter().map(|(name, token)| (name.clone(), token.clone().into())).collect();
    known.extend(conversation.variables.clone());
    let rendered = chat.render(context! {
        messages => Value::from_serialize(messages),
        add_generation_prompt => ending == Ending::Answer,
        // Known to every template in transformers, and none unless they are given.
        tools => Value::from_serialize(&conversation.tools),
        documents => Value::from_serialize(&conversation.documents),
        ..Value::from_serialize(known)
    });
    match rendered {
        Ok(_) if meter::is_empty() => Err(failed(meter::spent())),
        other => other.map_err(failed),
    }
}

#[cfg(test)]
mod tests;
