//! Where and how strongly features fire on selection tokens.

use crate::interventions::TextPart;

/// A group of tokens that is matched by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The suite.
    pub suite: String,
    /// Prompt or response.
    pub part: TextPart,
}

/// What matching needs to know of one feature beside its firing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureTraits {
    /// Its class (PROTOCOL 8).
    pub class: String,
    /// Whether the class is `shared`, or the like: present in all variants and the same in them.
    pub shared: bool,
    /// Mean code on the receiver's texts less that on the reference variant's texts, same prompts.
    pub shift: f64,
}

/// Firing of all features on the selection tokens of some cells.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// The cells.
    pub cells: Vec<Cell>,
    /// The cell of each token.
    pub cell_of_token: Vec<usize>,
    /// Per feature: the tokens where it fires, in order, with its code.
    pub firing: Vec<Vec<(u32, f32)>>,
    /// Per feature: class and shift.
    pub traits: Vec<FeatureTraits>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::interventions::FeatureDelta;
    use crate::rng::Stream;

    /// Numbers of a slope.
    pub(in crate::experiments::controls) const WIDTH: usize = 16;

    /// A stock of `features` features on two cells of 400 tokens, with rates and strengths that vary.
    pub(in crate::experiments::controls) fn random_stock(features: usize) -> (Stock, Vec<FeatureDelta>) {
        let cell = |part| Cell { suite: "suite".into(), part };
        let cell_of_token: Vec<usize> = (0..800).map(|token| usize::from(token >= 400)).collect();
        let mut stream = Stream::new(1, "stock", &[]);
        let mut deltas = Vec::new();
        let mut firing = Vec::new();
        let mut traits = Vec::new();
        for feature in 0..features {
            let (rate, strength) = (0.02 + 0.2 * stream.uniform(), 0.5 + stream.uniform());
            let fires = (0..800).filter(|_| stream.uniform() < rate).collect::<Vec<u32>>();
            firing
                .push(fires.into_iter().map(|token| (token, strength * (0.5 + stream.uniform()))).collect());
            deltas.push(FeatureDelta {
                constant: Vec::new(),
                slope: (0..WIDTH).map(|_| stream.normal()).collect(),
            });
            let class = if feature % 2 == 0 { "shared" } else { "specific" };
            traits.push(FeatureTraits {
                class: class.into(),
                shared: feature % 2 == 0,
                shift: f64::from(stream.normal()),
            });
        }
        (
            Stock {
                cells: vec![cell(TextPart::Prompt), cell(TextPart::Response)],
                cell_of_token,
                firing,
                traits,
            },
            deltas,
        )
    }
}
