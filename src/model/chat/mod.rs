//! Chat templates, rendered as transformers renders them: Jinja with trimmed blocks, values printed as Python prints
//! them, the methods of its strings and dictionaries, `tojson` without HTML escapes, and `raise_exception`.
//!
//! `strftime_now` is left undefined: what a model is asked must not depend on the day. Templates that know it
//! test for it, and fall back to a fixed date; one that does not is refused.
//!
//! What is known to differ, for want of it in minijinja: a tuple prints as a list, and `~` writes lists, dictionaries
//! and numbers with an exponent in its own way. `%` between texts, `cycler`, and `varargs` of a macro are refused.

mod filters;
mod json;
mod methods;
mod text;

use crate::error::{Error, Result};
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};
use std::collections::BTreeMap;

/// Renders `messages` (role and content) with `template`. `tokens` are the special tokens by the names that templates
/// know (`bos_token`); those that are not among them are undefined, as in transformers.
///
/// # Errors
/// If the template is malformed, uses what is not known, or raises an exception.
pub fn render_chat(
    template: &str,
    messages: &serde_json::Value,
    add_generation_prompt: bool,
    tokens: &BTreeMap<String, String>,
) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    filters::add(&mut environment);
    environment.add_filter("tojson", json::to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.set_unknown_method_callback(methods::call);
    environment
        .set_formatter(|out, _, value| out.write_str(&text::text(value)).map_err(minijinja::Error::from));
    let failed = |error: minijinja::Error| {
        let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        let refused = Error::request(format!("chat template: {detail}"));
        // Called within a macro, it is undefined without a name.
        let nameless = template.contains("strftime_now") && detail.contains("undefined is not callable");
        match nameless || detail.contains("strftime_now") {
            true => refused.hint("no result depends on the day: write the date into the template"),
            false => refused,
        }
    };
    let template = without_generation_marks(template);
    environment.add_template("chat", &template).map_err(failed)?;
    let chat = environment.get_template("chat").map_err(failed)?;
    chat.render(context! {
        messages => Value::from_serialize(messages),
        add_generation_prompt,
        // Known to every template in transformers, and none unless they are given.
        tools => (),
        documents => (),
        ..Value::from_serialize(tokens)
    })
    .map_err(failed)
}

/// `{% generation %}` marks what an assistant wrote, for masks; the text is the same without. A condition
/// that always holds takes its place, so that blanks around it are trimmed alike.
fn without_generation_marks(template: &str) -> String {
    let mut pieces = template.split("{%");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let word = piece.trim_start_matches(['-', '+']).trim_start();
        let replaced =
            [("endgeneration", "endif"), ("generation", "if true")].iter().find_map(|(mark, instead)| {
                let rest = word.strip_prefix(mark)?;
                rest.trim_start().starts_with(['-', '+', '%']).then(|| piece.replacen(mark, instead, 1))
            });
        text += "{%";
        text += replaced.as_deref().unwrap_or(piece);
    }
    text
}

#[cfg(test)]
mod tests;
