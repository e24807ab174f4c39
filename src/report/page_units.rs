//! What panels and their ink share: units of the view box, and text that cannot leave its place.

/// Units of the view box in a pixel of the panel.
pub(super) const SCALE: f64 = 4.0;

/// Pixels of the panel in units of the view box.
pub(super) fn px(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

/// Escapes text for HTML and SVG.
pub(super) fn escape(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut safe, character| {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}
