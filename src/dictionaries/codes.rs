//! Sparse codes: which features fire at each token, and how strongly.

/// The codes of some tokens, in compressed rows: token `t` has entries `starts[t]..starts[t + 1]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Codes {
    /// Where each token's entries start; one more than there are tokens.
    pub starts: Vec<usize>,
    /// The active features, ascending within a token.
    pub features: Vec<u32>,
    /// Their activations, none of them 0: positive, but where a dictionary keeps signs.
    pub values: Vec<f32>,
}

impl Codes {
    /// No tokens yet.
    pub fn new() -> Self {
        Self { starts: vec![0], features: Vec::new(), values: Vec::new() }
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The active features of one token with their activations. Empty for a token that is not there.
    pub fn token(&self, token: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let start = self.starts.get(token).copied().unwrap_or(0);
        let end = self.starts.get(token + 1).copied().unwrap_or(start);
        let features = self.features.get(start..end).unwrap_or(&[]);
        let values = self.values.get(start..end).unwrap_or(&[]);
        features.iter().map(|feature| *feature as usize).zip(values.iter().copied())
    }

    /// The active features of one token, and their activations. Empty for a token that is not there.
    pub fn entries(&self, token: usize) -> (&[u32], &[f32]) {
        let bounds = self.starts.get(token).copied().zip(self.starts.get(token + 1).copied());
        let (start, end) = bounds.unwrap_or((0, 0));
        (self.features.get(start..end).unwrap_or(&[]), self.values.get(start..end).unwrap_or(&[]))
    }

    /// Appends one token.
    pub(crate) fn push(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) {
        for (feature, value) in entries {
            self.features.push(feature);
            self.values.push(value);
        }
        self.starts.push(self.features.len());
    }

    /// The same as a dense `[tokens, features]` matrix.
    pub fn dense(&self, features: usize) -> Vec<f32> {
        let mut dense = vec![0.0; self.tokens() * features];
        for (token, row) in dense.chunks_exact_mut(features.max(1)).enumerate() {
            for (feature, value) in self.token(token) {
                if let Some(cell) = row.get_mut(feature) {
                    *cell = value;
                }
            }
        }
        dense
    }
}
