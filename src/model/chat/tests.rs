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

/// Each takes the memory, the stack or the day, unless it is stopped.
#[test]
fn a_template_runs_on_fuel() {
    let render = |template: &str| render_chat(template, &json!([]), false, &BTreeMap::new());
    let doubled = |step: &str, last: &str| {
        format!(
            "{{% set n = namespace(x=[1], s='aaaaaaaa') %}}{{% for i in range(40) %}}{step}{{% endfor %}}{last}"
        )
    };
    let nested = "{% set n.x = [n.x, n.x] %}";
    for (template, why) in [
        ("{{ 'x' * 10**9 }}".to_owned(), "a text of more than"),
        ("{{ 'a'|indent(10**10, true) }}".to_owned(), "a text of more than"),
        ("{{ 'a'.ljust(10**10) }}".to_owned(), "a text of more than"),
        ("{{ '%9999999999d' % 1 }}".to_owned(), "a text of more than"),
        ("{{ {'a': 1}|tojson(indent=10**10) }}".to_owned(), "a text of more than"),
        ("{{ ('x' * 10**6)|replace('', 'y' * 10**6) }}".to_owned(), "more text"),
        ("{{ [1]|batch(10**9, 0)|list|length }}".to_owned(), "more text"),
        ("{{ range(10**9)|length }}".to_owned(), "more text"),
        ("{{ [1] * 10**9 }}".to_owned(), "more text"),
        (
            "{% for a in range(50000) %}{% for b in range(50000) %}{% endfor %}{% endfor %}".to_owned(),
            "more steps",
        ),
        ("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}".to_owned(), "recursion"),
        (doubled("{% set n.s = n.s + n.s %}", ""), "more"),
        (doubled("{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}", ""), "more text"),
        (doubled(nested, "{{ n.x }}"), "more text"),
        (doubled(nested, "{{ n.x|tojson }}"), "more text"),
        (doubled(nested, "{{ n.x == [n.x] }}"), "more text"),
        (doubled(nested, "{{ [n.x]|select('equalto', 1)|list }}"), "more text"),
        (doubled(nested, "{{ [n.x]|select == [[n.x]]|select }}"), "more text"),
        (doubled(nested, "{{ (n.x, 1) == (n.x, 2) }}"), "more text"),
        (doubled(nested, "{{ {n.x: 1} }}"), "cannot be a key"),
        ("{% set n = namespace() %}{% set n.n = n %}{{ n }}".to_owned(), "nest deeper"),
        (format!("{{{{ a{} }}}}", ".a".repeat(100_000)), "words and signs between braces"),
        ("x".repeat(600_000), "bytes"),
        ("{{ dict(*[1]) }}".to_owned(), "`*` before an argument"),
    ] {
        let started = std::time::Instant::now();
        let error = render(&template).unwrap_err().to_string();
        let start: String = template.chars().take(120).collect();
        assert!(error.contains(why), "{start}: {error}");
        // A second where nothing else runs.
        assert!(started.elapsed().as_secs() < 20, "{start}");
    }
    // What nests by many steps is taken apart again.
    let deep = "{% set n = namespace(x=[]) %}{% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}";
    assert_eq!(render(deep).unwrap(), "");
}

/// As jinja2 prints them.
#[test]
fn what_is_paid_for_is_what_it_was() {
    let render = |template: &str| render_chat(template, &json!([]), false, &BTreeMap::new()).unwrap();
    for (template, expected) in [
        (
            "{{ 'ab' * 3 }}{{ 2 * 'x' }}{{ 2 * 3 * 4 }}{{ 1.5 * 2 }}{{ [1, 2] * 2 }}{{ 'x' * -1 }}",
            "abababxx243.0[1, 2, 1, 2]",
        ),
        ("{{ (1 + 2) * 3 - 4 * 5 % 3 }}{{ 7 - 2 * 3 }}", "71"),
        (
            "{{ range(3)|list }}{{ range(1, 10, 4)|list }}{{ range(5, 0, -2)|list }}{{ range(3)|length }}",
            "[0, 1, 2][1, 5, 9][5, 3, 1]3",
        ),
        (
            "{{ 1 < 2 == true }}{{ 1 in [1, 2] and not 3 in [1, 2] }}{{ 3 not in (1, 2) }}{{ 'a' in 'cab' }}",
            "FalseTrueTrueTrue",
        ),
        (
            "{% set d = {'a': {'b': [5, 6]}, 1: 'one'} %}{{ d['a']['b'][-1] }}{{ d[1] }}{{ d['no'] is defined }}{{ d[(1, 2)] is defined }}",
            "6oneFalseFalse",
        ),
        (
            "{% set k = 'a' %}{% set i = 1 %}{{ {k: 1, k ~ 'b': 2} }}{{ [5, 6][i] }}{{ 'xyz'[i + 1] }}{{ 'xyz'[i:] }}",
            "{'a': 1, 'ab': 2}6zyz",
        ),
        ("{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}", "TrueFalseTrue"),
        (
            "{{ 1.5|round(70000) }}{{ 1.5|round(-400) }}{{ 2.675|round(2) }}{{ '%.3f' % 2.5 }}",
            "1.50.02.672.500",
        ),
        ("{{ [3, 1, 2]|sort }}{{ [1, 2]|sum }}{{ [0.5, 2]|sum(start=1) }}{{ [1, 2]|max }}", "[1, 2, 3]33.52"),
        ("{% for x in [1, 2, 3] if x != 2 %}{{ x }}{% endfor %}{{ 'b' if 1 == 1 else 'c' }}", "13b"),
    ] {
        assert_eq!(render(template), expected, "{template}");
    }
    assert!(render("{{ '%.70000f' % 1.5 }}").len() == 70_002);
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
