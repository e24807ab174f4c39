//! Chat templates: those of real models, and whatever asks for much.

use crate::readers::Seed;
use deltascope::model::chat::render_chat;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// What would take the memory, the stack or the day, each in its own way.
pub(crate) const HOSTILE: [&str; 68] = [
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * 'x' }}",
    "{{ [1] * 10**9 }}",
    "{{ [] * 10**12 }}",
    "{{ '' * 10**12 }}",
    "{{ ([1] * 10**6)|length }}",
    "{{ range(10**12)|length }}",
    "{{ range(0, 10**9, 1)|list }}",
    "{{ range(-9223372036854775808, 9223372036854775807)|first }}",
    "{{ 'a'|indent(10**10, true) }}",
    "{{ 'a\nb\nc'|indent('x' * 10**6) }}",
    "{{ 'a'|center(10**10) }}",
    "{{ 'a'.ljust(10**10) }}",
    "{{ 'a'.rjust(10**10, '🙂') }}",
    "{{ 'a'.center(10**10) }}",
    "{{ '1'.zfill(10**10) }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '%-99999999999s' % 1 }}",
    "{{ '%.70000f' % 1.5 }}",
    "{{ '%.99999999999f' % 1.5 }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ '%s'|format('x' * 9999999) }}",
    "{{ 1.5|round(70000) }}",
    "{{ 1.5|round(-70000) }}",
    "{{ 1.5|round(70000, 'ceil') }}",
    "{{ 1.5|round(-70000, 'floor') }}",
    "{{ 12345|round(-2147483648) }}",
    "{{ {'a': [1]}|tojson(indent=10**10) }}",
    "{{ {'a': [1]}|tojson(separators=('x' * 10**7, 'y' * 10**7)) }}",
    "{{ [1]|batch(10**9, 0)|list|length }}",
    "{{ [1, 2]|slice(10**9)|list|length }}",
    "{{ [1, 2]|slice(0)|list }}",
    "{{ [1, 2]|batch(0)|list }}",
    "{{ ('x' * 10**6)|replace('', 'y' * 10**6) }}",
    "{{ ('x' * 10**6).replace('x', 'y' * 10**6) }}",
    "{{ ('x' * 10**6)|list|join('y' * 10**6) }}",
    "{{ ('y' * 10**6).join(('x' * 10**6)|list) }}",
    "{% set n = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% set n = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(40) %}{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}{% endfor %}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s == n.t }}",
    "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s in [n.t] }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ {n.s: 1} }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ {'a': 1}[n.s] }}{{ {'a': 1}.get(n.s) }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ [n.s, n.s]|unique|list }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ [n.s, n.s]|sort }}{{ [n.s, [n.s]]|max }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ [n.s]|select('equalto', [n.s])|list }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(40) %}{% set n.s = [n.s, n.s] %}{% endfor %}{% for i in [1, 2] %}{{ loop.changed([n.s]) }}{% endfor %}",
    "{% set n = namespace(x=[], y=[]) %}{% for i in range(40000) %}{% set n.x = [n.x] %}{% set n.y = [n.y] %}{% endfor %}{{ n.x == n.y }}",
    "{% set n = namespace(x=[]) %}{% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}",
    "{% set n = namespace(x={}) %}{% for i in range(90000) %}{% set n.x = {'a': n.x} %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[]) %}{% for i in range(20000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x|tojson }}",
    "{% set n = namespace(x=()) %}{% for i in range(90000) %}{% set n.x = (n.x,) %}{% endfor %}{{ n.x }}",
    "{% set n = namespace() %}{% set n.n = n %}{{ n }}{{ n|tojson }}",
    "{% set n = namespace() %}{% set n.n = n %}{% set m = namespace() %}{% set m.n = m %}{{ n == m }}",
    "{% set n = namespace(x=1) %}{% for i in range(90000) %}{% set m = namespace() %}{% set m.x = n.x %}{% set n.x = m %}{% endfor %}",
    "{% for a in range(50000) %}{% for b in range(50000) %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f(n) %}{% call f(n) %}{{ f(n) }}{% endcall %}{% endmacro %}{{ f(1) }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}{% endfor %}",
    "{% include 'chat' %}",
    "{% extends 'chat' %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% set s = 'x' * 9999999 %}{% for i in range(99999) %}{{ s[i] }}{{ s|length }}{{ 'a' in s }}{{ s|upper|length }}{% endfor %}",
    "{% set l = range(99999) %}{% for i in l %}{{ l[i:] }}{{ l|sum }}{{ l|list|length }}{{ i in l }}{% endfor %}",
];

pub(crate) fn seeds() -> Vec<Seed> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(fixtures.join(name)).unwrap()).unwrap()
    };
    let python = read("chat_templates_python.json");
    let cases = python["cases"].as_array().unwrap().iter().filter_map(|case| case["template"].as_str());
    let real = read("adapters/chat_templates.json");
    let mut known: Vec<String> = cases.map(str::to_owned).collect();
    texts(&real, &mut known);
    let nested = [
        format!("{{{{ a{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(50_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(50_000)),
        format!("{{{{ 1{} }}}}", " + 1".repeat(3_000)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(50_000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(2_000)),
        format!("{}{}", "{% if 1 %}".repeat(20_000), "{% endif %}".repeat(20_000)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(20_000)),
        format!("{}{}", "{% for i in [1] %}".repeat(20_000), "{% endfor %}".repeat(20_000)),
        "{{".repeat(200_000),
        "{{}}".repeat(100_000),
        "{#".repeat(200_000),
        format!("{{% for i in range(99999) %}}{}{{% endfor %}}", "{ ".repeat(200_000)),
        format!(
            "{{% for i in range(9999) %}}{{% set x %}}{}{{% endset %}}{{% endfor %}}",
            "x".repeat(200_000)
        ),
    ];
    let hostile = HOSTILE.iter().map(|template| (*template).to_owned());
    hostile.chain(nested).chain(known).map(|template| Seed::one("x.jinja", template)).collect()
}

/// All texts with a tag.
fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if text.contains("{%") => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(keys) => keys.values().for_each(|item| texts(item, found)),
        _ => {}
    }
}

pub(crate) fn rendered(at: &Path) -> bool {
    let Ok(template) = String::from_utf8(std::fs::read(at.join("x.jinja")).unwrap()) else { return false };
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello\nthere", "tags": [1, {"a": [2.5, null, true]}]},
        {"role": "assistant", "content": "Hi <b>", "reasoning_content": "think"},
    ]);
    let tokens: BTreeMap<String, String> = [("bos_token".to_owned(), "<s>".to_owned())].into();
    render_chat(&template, &messages, true, &tokens).is_ok()
}
