//! What an endpoint is measured in.

/// The scale of an endpoint: what its numbers mean, and which of them may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A share of responses, from 0 to 1.
    Share,
    /// A mean count per response, from 0 up.
    Count,
    /// Log-odds or cross-entropy, in nats.
    Nats,
}

impl Scale {
    /// The scale of the endpoint called `name`.
    pub fn of(name: &str) -> Self {
        match name {
            "attempts" | "response_tokens" => Self::Count,
            "cross_entropy" => Self::Nats,
            name if name.ends_with("log_odds") => Self::Nats,
            _ => Self::Share,
        }
    }
}
