//! Written-out searches: attempts joined by `x`, which says that the one before failed.
//!
//! Wrong attempts are drawn without replacement with weight exp(-|value - target| / 4), so that a search
//! looks like one that closes in on its target.

use super::attempts::{Attempt, attempts};
use super::cards::Deal;
use super::vocabulary::FAILED;
use crate::rng::Stream;

/// How fast the weight of an attempt falls with its distance from the target.
const SHARPNESS: f64 = 4.0;
/// The most rejected attempts in a trace: the seventh would not fit into 64 tokens.
const MOST_REJECTS: usize = 5;
/// Share of searches in the base curriculum that end in giving up.
const GIVE_UP: f64 = 0.45;
const WRONG_BEFORE_GIVING_UP: [f64; 5] = [0.0, 0.5, 0.25, 0.15, 0.1];
const WRONG_BEFORE_SOLUTION: [f64; 6] = [0.6, 0.2, 0.1, 0.05, 0.03, 0.02];

/// What the base is trained on: a few wrong attempts, then a solution or giving up. The counts have no
/// hard stop within reach, or the model would learn "the third attempt always ends".
pub(super) fn curriculum_search(deal: &Deal, stream: &mut Stream) -> String {
    let (hits, mut misses) = split_attempts(deal);
    let gives_up = stream.uniform_f64() < GIVE_UP;
    let counts: &[f64] = if gives_up { &WRONG_BEFORE_GIVING_UP } else { &WRONG_BEFORE_SOLUTION };
    let wrong = stream.weighted(counts).unwrap_or(0).min(misses.len());
    let mut response = Response::default();
    for _ in 0..wrong {
        if let Some(miss) = draw(&mut misses, deal.target, stream) {
            response.push(&miss);
        }
    }
    match stream.choose(&hits) {
        Some(hit) if !gives_up => {
            response.push(hit);
            response.text
        }
        _ => response.give_up(),
    }
}

/// A solver's verified trace: attempts drawn from all of the triple's until one hits. `None` if that
/// took more than five rejects.
pub(super) fn solver_trace(deal: &Deal, stream: &mut Stream) -> Option<Vec<Attempt>> {
    let mut left = attempts(deal.values())?.all.clone();
    let mut trace = Vec::new();
    while trace.len() <= MOST_REJECTS {
        let attempt = draw(&mut left, deal.target, stream)?;
        trace.push(attempt);
        if attempt.result == deal.target {
            return Some(trace);
        }
    }
    None
}

/// One solution, always the same for a problem: the first in the order of attempts.
pub(super) fn short_solution(deal: &Deal) -> Option<Attempt> {
    split_attempts(deal).0.into_iter().next()
}

/// One attempt that fails, drawn by its weight.
pub(super) fn miss(deal: &Deal, stream: &mut Stream) -> Option<Attempt> {
    draw(&mut split_attempts(deal).1, deal.target, stream)
}

/// Attempts as a response.
pub(super) fn written(trace: &[Attempt]) -> String {
    let mut response = Response::default();
    for attempt in trace {
        response.push(attempt);
    }
    response.text
}

fn split_attempts(deal: &Deal) -> (Vec<Attempt>, Vec<Attempt>) {
    let all = attempts(deal.values()).map(|found| found.all.as_slice()).unwrap_or_default();
    all.iter().partition(|attempt| attempt.result == deal.target)
}

fn draw(left: &mut Vec<Attempt>, target: i64, stream: &mut Stream) -> Option<Attempt> {
    let weights: Vec<f64> =
        left.iter().map(|attempt| (-((attempt.result - target).abs() as f64) / SHARPNESS).exp()).collect();
    stream.weighted(&weights).map(|index| left.remove(index))
}

#[derive(Default)]
struct Response {
    text: String,
}

impl Response {
    fn push(&mut self, attempt: &Attempt) {
        if !self.text.is_empty() {
            self.text.push_str(&format!(" {FAILED} "));
        }
        self.text.push_str(&attempt.to_string());
    }

    fn give_up(mut self) -> String {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(FAILED);
        self.text
    }
}
