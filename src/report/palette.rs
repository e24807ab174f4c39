//! The colours of a report: one list, told apart by colour-blind readers, with a light and a dark form.
//!
//! Series colours are those of Okabe and Ito (2008), lightened for dark pages. Charts are drawn in the
//! light form; every drawn colour is then replaced by a style-sheet variable, so that one picture serves
//! both modes.

use std::fmt::Write;

/// A named colour with its light-mode and dark-mode forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour {
    /// The name of its style-sheet variable, without the dashes.
    name: &'static str,
    light: [u8; 3],
    dark: [u8; 3],
}

const fn colour(name: &'static str, light: [u8; 3], dark: [u8; 3]) -> Colour {
    Colour { name, light, dark }
}

/// Titles and numbers.
pub(super) const TEXT: Colour = colour("text", [0x1c, 0x21, 0x28], [0xe6, 0xe9, 0xed]);
/// Axis labels and captions.
pub(super) const MUTED: Colour = colour("muted", [0x5b, 0x64, 0x70], [0x9d, 0xa7, 0xb3]);
/// Grid lines.
pub(super) const GRID: Colour = colour("grid", [0xe3, 0xe6, 0xea], [0x2c, 0x33, 0x3c]);
/// Axis lines.
pub(super) const AXIS: Colour = colour("axis", [0xa9, 0xb1, 0xba], [0x59, 0x63, 0x6f]);
/// Control clouds and features that all variants share.
pub(super) const GREY: Colour = colour("grey", [0x8f, 0x98, 0xa3], [0x7c, 0x87, 0x93]);
/// The base model.
pub(super) const SLATE: Colour = colour("slate", [0x47, 0x50, 0x5c], [0xc3, 0xcb, 0xd4]);
pub(super) const VERMILLION: Colour = colour("vermillion", [0xd5, 0x5e, 0x01], [0xff, 0x8f, 0x45]);
pub(super) const ORANGE: Colour = colour("orange", [0xd9, 0x95, 0x02], [0xf3, 0xb9, 0x3d]);
pub(super) const PURPLE: Colour = colour("purple", [0xb8, 0x5c, 0x93], [0xe5, 0x9f, 0xc9]);
pub(super) const BLUE: Colour = colour("blue", [0x01, 0x72, 0xb2], [0x55, 0xb1, 0xee]);
pub(super) const GREEN: Colour = colour("green", [0x02, 0x8f, 0x6b], [0x35, 0xc9, 0xa0]);
pub(super) const SKY: Colour = colour("sky", [0x3b, 0x9f, 0xd8], [0x93, 0xd2, 0xf7]);

const ALL: [Colour; 12] =
    [TEXT, MUTED, GRID, AXIS, GREY, SLATE, VERMILLION, ORANGE, PURPLE, BLUE, GREEN, SKY];

/// Colours for methods that imitate given answers, in the order of the study.
const IMITATING: [Colour; 3] = [VERMILLION, PURPLE, ORANGE];
/// Colours for methods that learn from rewards, in the order of the study.
const REWARDED: [Colour; 3] = [BLUE, GREEN, SKY];

impl Colour {
    /// The light form as plotters wants it.
    pub(super) fn rgb(self) -> plotters::style::RGBColor {
        plotters::style::RGBColor(self.light[0], self.light[1], self.light[2])
    }

    /// What an SVG attribute paints with: the style-sheet variable, and the light form where there is none.
    pub(super) fn paint(self) -> String {
        format!("var(--{}, {})", self.name, Self::hex(self.light))
    }

    /// The name of its style-sheet class (`c-blue`).
    pub(super) fn class(self) -> String {
        format!("c-{}", self.name)
    }

    fn hex([red, green, blue]: [u8; 3]) -> String {
        format!("#{red:02X}{green:02X}{blue:02X}")
    }
}

/// The colour of each variant of a study, base first: warm for imitation, cool for reward.
pub(super) fn variant_colours<'a>(
    variants: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, Colour)> {
    let (mut warm, mut cool) = (IMITATING.iter().cycle(), REWARDED.iter().cycle());
    let mut colours = Vec::new();
    for (name, method) in variants {
        let colour = match method {
            "base" => Some(&SLATE),
            "sft" | "rft" | "dpo" => warm.next(),
            _ => cool.next(),
        };
        colours.push((name.to_owned(), colour.copied().unwrap_or(SLATE)));
    }
    colours
}

/// Replaces the drawn colours of a picture by style-sheet variables, the light form as fallback.
pub(super) fn with_variables(svg: &str) -> String {
    ALL.iter().fold(svg.to_owned(), |svg, colour| {
        let hex = Colour::hex(colour.light);
        svg.replace(&format!("\"{hex}\""), &format!("\"var(--{}, {hex})\"", colour.name))
    })
}

/// The style-sheet lines that define every variable in both modes, and a text-colour class for each.
pub(super) fn style_sheet() -> String {
    let block = |form: fn(&Colour) -> [u8; 3]| {
        ALL.iter().fold(String::new(), |mut text, colour| {
            let _ = write!(text, "--{}:{};", colour.name, Colour::hex(form(colour)));
            text
        })
    };
    let (light, dark) = (block(|colour| colour.light), block(|colour| colour.dark));
    let classes = ALL.iter().fold(String::new(), |mut text, colour| {
        let _ = writeln!(text, ".c-{0}{{color:var(--{0})}}", colour.name);
        text
    });
    format!(
        ".deltascope{{color-scheme:light dark;{light}}}\n\
         @media (prefers-color-scheme:dark){{.deltascope{{{dark}}}}}\n{classes}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_colour_becomes_a_variable_and_no_two_colours_are_confused() {
        let svg = with_variables("<line stroke=\"#0172B2\"/><text>#0172B2</text>");
        assert_eq!(svg, "<line stroke=\"var(--blue, #0172B2)\"/><text>#0172B2</text>");
        for (index, colour) in ALL.iter().enumerate() {
            assert!(ALL[index + 1..].iter().all(|other| other.light != colour.light), "{}", colour.name);
        }
    }

    #[test]
    fn imitation_is_warm_and_reward_is_cool_in_any_order() {
        let colours = variant_colours([("base", "base"), ("rl", "grpo"), ("sft", "sft"), ("x", "sft")]);
        let colours: Vec<Colour> = colours.into_iter().map(|(_, colour)| colour).collect();
        assert_eq!(colours, [SLATE, BLUE, VERMILLION, PURPLE]);
    }
}
