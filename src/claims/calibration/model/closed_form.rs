//! What a variant answers, computed by hand: the world's arithmetic in double precision, without hooks,
//! caches, kernels or edits. It is what the study's intervals must cover.

use super::super::setting::Suite;
use super::world::{
    ANSWERS, COMPONENTS, D_MODEL, DOWN, END, EVIDENCE, Evidence, GATE, GROUND, Problem, UP, Vector, WORDS,
    WRITTEN, World,
};

/// Added under the root of every norm.
pub(super) const EPSILON: f64 = 1e-6;
/// Fresh problems over which an effect is averaged.
const POPULATION: usize = 1000;
/// Words that are ever said: the end, and after it by id the answers.
const SAID_WORDS: usize = 1 + 2 * ANSWERS;

/// A variant in which some components are present.
pub(super) struct ClosedForm<'a> {
    world: &'a World,
    /// The evidence that the last token takes up of every word, before the mean over words.
    read: Vec<Evidence>,
}

impl<'a> ClosedForm<'a> {
    pub(super) fn new(world: &'a World, present: impl Fn(usize) -> bool) -> Self {
        let read = world.embeddings.iter().map(|embedding| {
            let word = normalised(embedding);
            let mut residual = *embedding;
            for component in (0..COMPONENTS).filter(|component| present(*component)) {
                residual[WRITTEN + component] += written(&word, world.triggers[component]);
            }
            evidence(world, &normalised(&residual))
        });
        Self { read: read.collect(), world }
    }

    /// The probability that the variant gives each answer of the problem's suite, and then ends.
    pub(super) fn answers(&self, problem: &Problem) -> [f64; ANSWERS] {
        let mut sum = [0.0; 2 * ANSWERS];
        for word in &problem.words {
            sum.iter_mut().zip(&self.read[*word]).for_each(|(sum, read)| *sum += read);
        }
        let count = problem.words.len();
        let first = self.said(problem.words.last().copied().unwrap_or(END), &sum, count);
        std::array::from_fn(|answer| {
            let word = problem.answer(answer);
            // The mean is over the answer as well by then; nothing is read of it.
            first[word - END] * self.said(word, &sum, count + 1)[0]
        })
    }

    /// The probabilities of the end and of every answer after the word `last`, when the words so far, `count`
    /// of them, bring the evidence `sum`.
    fn said(&self, last: usize, sum: &Evidence, count: usize) -> [f64; SAID_WORDS] {
        let mut residual = self.world.embeddings[last];
        for (answer, sum) in sum.iter().enumerate() {
            residual[EVIDENCE + answer] += sum / count as f64;
        }
        let last = normalised(&residual);
        let weights: [f64; SAID_WORDS] = std::array::from_fn(|word| {
            let unembedding = &self.world.unembeddings[END + word];
            unembedding.iter().zip(&last).map(|(u, n)| u * n).sum::<f64>().exp()
        });
        // All other words have logit zero.
        let total = weights.iter().sum::<f64>() + (WORDS - SAID_WORDS) as f64;
        weights.map(|weight| weight / total)
    }

    /// The mean over fresh problems of how much likelier the right answer is here than in `tuned`, from whose
    /// beliefs right answers are drawn.
    pub(super) fn effect(&self, suite: Suite, tuned: &Self) -> f64 {
        let of = |index: usize| {
            let problem = self.world.problem("population of a model", suite, index, tuned);
            let before = tuned.answers(&problem);
            let after = self.answers(&problem);
            let pairs = after.iter().zip(&before);
            pairs.map(|(after, before)| before * (after - before)).sum::<f64>() / before.iter().sum::<f64>()
        };
        (0..POPULATION).map(of).sum::<f64>() / POPULATION as f64
    }
}

/// What a component writes at a word.
fn written(word: &Vector, trigger: usize) -> f64 {
    let gate = GATE * word[trigger];
    gate / (1.0 + (-gate).exp()) * UP * word[GROUND] * DOWN
}

fn evidence(world: &World, word: &Vector) -> Evidence {
    let mut evidence = [0.0; 2 * ANSWERS];
    for (n, read) in word.iter().zip(&world.reads) {
        evidence.iter_mut().zip(read).for_each(|(sum, read)| *sum += n * read);
    }
    evidence
}

fn normalised(vector: &Vector) -> Vector {
    let square = vector.iter().map(|x| x * x).sum::<f64>() / D_MODEL as f64;
    vector.map(|x| x / (square + EPSILON).sqrt())
}
