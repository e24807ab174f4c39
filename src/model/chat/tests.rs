//! Templates rendered beside transformers: `tests/fixtures/chat_templates_python.json` holds what it printed.

use super::render_chat;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn values_filters_and_methods_print_as_in_python() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chat_templates_python.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let tokens: BTreeMap<String, String> = serde_json::from_value(document["tokens"].clone()).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() > 40);
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
