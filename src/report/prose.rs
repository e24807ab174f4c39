//! Sentences as HTML: escaped, with what stands between backticks set as code.

use super::page_units::escape;

/// A sentence for the page.
pub(super) fn html(words: &str) -> String {
    let parts: Vec<&str> = words.split('`').collect();
    // An odd backtick closes nothing, and stays out.
    let pairs = (parts.len() - 1) / 2;
    let set = |(place, part): (usize, &&str)| {
        let safe = escape(part);
        if place % 2 == 1 && place / 2 < pairs { format!("<code>{safe}</code>") } else { safe }
    };
    parts.iter().enumerate().map(set).collect()
}

/// A sentence for an attribute, where nothing can be set.
pub(super) fn plain(words: &str) -> String {
    words.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_become_code_and_nothing_leaves_the_text() {
        assert_eq!(html("the key `a<b` & more"), "the key <code>a&lt;b</code> &amp; more");
        assert_eq!(html("odd ` one"), "odd  one");
        assert_eq!(html("`x` and `y"), "<code>x</code> and y");
    }
}
