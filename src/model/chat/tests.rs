//! Templates rendered beside transformers: `tests/fixtures/chat_templates_python.json` holds what it (5.24, with
//! jinja2 3.1) printed, and templates that it refuses.

use super::{Conversation, Ending, render_chat, render_conversation};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn values_filters_and_methods_print_as_in_python() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat_templates_python.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tokens: BTreeMap<String, String> = serde_json::from_value(document["tokens"].clone()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() > 90);
    let mut wrong = Vec::new();
    for case in cases {
        let (template, expected) = (case["template"].as_str().unwrap(), case["expected"].as_str().unwrap());
        match render_chat(template, &document["messages"], false, &tokens) {
            Ok(found) if found == expected => {}
            Ok(found) => wrong.push(format!("{template}\n  expected {expected}\n  found    {found}")),
            Err(error) => wrong.push(format!("{template}\n  expected {expected}\n  {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    let refused = document["refused"].as_array().unwrap();
    assert!(refused.len() > 20);
    for template in refused {
        let found = render_chat(template.as_str().unwrap(), &document["messages"], false, &tokens);
        assert!(found.is_err(), "{template}: transformers refuses it, found {found:?}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    for (template, name) in [
        ("{{ cycler('a') }}", "cycler"),
        ("{{ joiner() }}", "joiner"),
        ("{% macro f() %}{{ varargs }}{% endmacro %}{{ f() }}", "varargs"),
        ("{% macro f() %}{{ kwargs }}{% endmacro %}{{ f() }}", "kwargs"),
        ("{{ messages|pprint }}", "pprint"),
        ("{{ {}|xmlattr }}", "xmlattr"),
        ("{{ ('a'|safe).strip() }}", "strip"),
        ("{{ '%x' % 3 }}", "%x"),
    ] {
        let error = render_chat(template, &json!([]), false, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains(name), "{template}: {error}");
    }
}

#[test]
fn messages_are_handed_over_as_transformers_hands_them() {
    let render = |message: Value| render_chat("{{ messages }}", &json!([message]), false, &BTreeMap::new());
    // What it printed, as `apply_chat_template`.
    for (message, expected) in [
        (json!({"role": "a", "content": null, "x": [null]}), "[{'role': 'a', 'x': [None]}]"),
        (
            json!({"role": "a", "reasoning": "r", "content": "c"}),
            "[{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'content': 'c', 'reasoning_content': 'r'}]",
        ),
        (
            json!({"reasoning_content": "r", "role": "a", "thinking": "t"}),
            "[{'thinking': 't', 'reasoning_content': 'r', 'role': 'a'}]",
        ),
        (
            json!({"role": "a", "thinking": "t", "reasoning": "r"}),
            "[{'thinking': 't', 'role': 'a', 'reasoning': 'r', 'reasoning_content': 't'}]",
        ),
    ] {
        assert_eq!(render(message).unwrap(), expected);
    }
    assert!(render(json!("text")).unwrap_err().to_string().contains("expected messages"));
}

#[test]
fn what_would_depend_on_the_day_is_refused_unless_the_template_has_a_date_of_its_own() {
    let render = |template: &str| render_chat(template, &json!([]), false, &BTreeMap::new());
    let error = render("{{ strftime_now('%Y') }}").unwrap_err().to_string();
    assert!(
        error.contains("strftime_now") && error.contains("hint: no result depends on the day"),
        "{error}"
    );
    let dated = "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}2024{% endif %}";
    assert_eq!(render(dated).unwrap(), "2024");
}

/// `tests/fixtures/rows/rendered.json` holds templates, what they are given, and what transformers 5.24 rendered:
/// messages whose last is continued, and what may stand beside messages.
#[test]
fn a_last_message_is_continued_and_what_stands_beside_messages_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rows/rendered.json");
    let cases: Vec<(String, Value, String)> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 8);
    let tokens: BTreeMap<String, String> = [("bos_token".to_owned(), "<s>".to_owned())].into();
    for (template, given, expected) in cases {
        let (conversation, ending) = match given {
            Value::Array(messages) => {
                let conversation = Conversation::of(messages);
                let ending = conversation.asking();
                assert_eq!(ending, Ending::Continued);
                (conversation, ending)
            }
            Value::Object(mut variables) => {
                let mut list =
                    |name: &str| variables.shift_remove(name).map(|all| all.as_array().unwrap().clone());
                let (tools, documents) = (list("tools"), list("documents"));
                (Conversation { tools, documents, variables, ..Conversation::default() }, Ending::Closed)
            }
            other => panic!("{other}"),
        };
        assert_eq!(
            render_conversation(&template, &conversation, ending, &tokens).unwrap(),
            expected,
            "{template}"
        );
    }
    let silent = "{% for m in messages %}{{ m.role }}{{ m.content | length }}{% endfor %}";
    let begun = Conversation::of(vec![json!({"role": "assistant", "content": "x"})]);
    let error = render_conversation(silent, &begun, Ending::Continued, &tokens).unwrap_err().to_string();
    assert!(error.contains("cannot be continued"), "{error}");
    let calls = Conversation::of(vec![json!({"role": "assistant", "tool_calls": []})]);
    let error = render_conversation(silent, &calls, Ending::Continued, &tokens).unwrap_err().to_string();
    assert!(error.contains("no text to continue"), "{error}");
}
