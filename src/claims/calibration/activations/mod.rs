//! A whole study in a world of activations, by the rules that real ones follow: select on one half, draw
//! matched controls, measure on the other half with the same random numbers, decide.

mod world;

use super::super::{ClaimSettings, Power};
use super::judge::Evidence;
use super::setting::{Finding, Method, Planting, Suite};
use crate::error::Result;
use crate::experiments::controls::{Cell, Cloud, ControlSet, FeatureTraits, Stock, Wanted, balance, draw};
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::interventions::{CodeBank, Decoders, Edit, FeatureDelta, Positions, Reference, TextPart, Writer};
use crate::rng::Stream;
use crate::stats::{Alternative, Summary, sign_flip};
use std::ops::Range;
use world::{CANDIDATES, FEATURES, Problem, SAMPLES, SET_SIZE, TOKENS, World};

/// The variants of a world.
const BASE: &str = "base";
const TUNED: &str = "tuned";
/// Problems in each half of each suite.
const PROBLEMS: usize = 40;
/// Fresh problems over which the true effect is averaged.
const POPULATION: usize = 1500;
/// Relative gap that a matched control may have.
const TOLERANCE: f64 = 0.2;

/// Runs one study.
pub(super) fn study(
    seed: u64,
    planting: Planting,
    method: Method,
    settings: &ClaimSettings,
) -> Result<Finding> {
    let world = World::new(seed, planting);
    let halves: [[Vec<Problem>; 2]; 2] = Suite::BOTH.map(|suite| {
        let of = |source: Suite, half: Range<usize>| half.map(|index| world.problem(source, index)).collect();
        let mut measuring: Vec<Problem> = of(planting.measures(suite), PROBLEMS..2 * PROBLEMS);
        if planting == Planting::PermutedPairs {
            world.pair_anew(&mut measuring);
        }
        [of(suite, 0..PROBLEMS), measuring]
    });
    let dose = if method == Method::EditDisabled { 0.0 } else { 1.0 };
    let zero = |set: &[u32]| {
        let bank = CodeBank::new(seed, Vec::new());
        Writer::new(&Edit::Zero, dose, set, TUNED, &world, &Reference::default(), &bank)
    };
    let [[selection, _], _] = &halves;
    let mut best = (f64::INFINITY, 0);
    for candidate in 0..CANDIDATES {
        let writer = zero(&World::candidate(candidate))?;
        let effect = mean(&differences(&world, &writer, selection));
        if effect < best.0 {
            best = (effect, candidate);
        }
    }
    let set = World::candidate(best.1);
    let count = Power::of(1, settings).needed_controls;
    let (stock, deltas) = stock(&world, &halves);
    let controls = match method {
        Method::ControlsUnmatched => blind(&stock, &deltas, &set, count, seed),
        _ => {
            let wanted = Wanted { count, tolerance: TOLERANCE, positions: Positions::All, seed, key: 0 };
            draw(&stock, &deltas, &set, wanted)?
        }
    };

    let writer = zero(&set)?;
    let mut evidence = Evidence::default();
    for (suite, [selection, measuring]) in Suite::BOTH.into_iter().zip(&halves) {
        let measured = if method == Method::HalvesMadeOne { selection } else { measuring };
        let rows = differences(&world, &writer, measured);
        evidence.add_effect(suite, Asked::Declared, &rows, seed);
        let set_effect = mean(&rows);
        for control in &controls {
            let writer = match &control.direction {
                Some(direction) => writer.borrowed_by(direction),
                None => zero(&control.features)?,
            };
            let effect = mean(&differences(&world, &writer, measured));
            evidence.add_control(suite, control, effect, set_effect);
        }
        if suite == Suite::Transfer {
            let in_base: Vec<(f64, f64)> = measured
                .iter()
                .map(|problem| {
                    let [before, after] = world.in_base(world.change(problem, &writer));
                    (world.sampled(problem, before), world.sampled(problem, after))
                })
                .collect();
            evidence.add_effect(suite, Asked::InBase, &in_base, seed);
            // Base's decoders are the tuned variant's: where the skill is shared, nothing of it is transplanted.
            if planting == Planting::SharedSkill {
                let idle: Vec<(f64, f64)> = rows.iter().map(|(baseline, _)| (*baseline, *baseline)).collect();
                evidence.add_effect(suite, Asked::Transplant, &idle, seed);
            }
        }
    }
    let judged = evidence.judge(method, [BASE, TUNED], settings, seed)?;
    let truth = match planting {
        Planting::Transfer => Suite::BOTH.map(|suite| truth(&world, suite, &writer)),
        _ => [0.0; 2],
    };
    Ok(Finding { judged, chose_planted: best.1 == 0, truth })
}

/// Sets of the tested set's size drawn from all other features, whatever these write: what controls must
/// not be. That they pass for matched is the mutation.
fn blind(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], count: usize, seed: u64) -> Vec<ControlSet> {
    let others: Vec<u32> = (0..FEATURES as u32).filter(|feature| !set.contains(feature)).collect();
    (0..count as u64)
        .map(|draw| {
            let mut features = others.clone();
            Stream::new(seed, "blind control", &[draw]).shuffle(&mut features);
            features.truncate(SET_SIZE);
            features.sort_unstable();
            let balance = balance(stock, deltas, set, &features);
            ControlSet {
                cloud: Cloud::Any,
                draw,
                features,
                direction: None,
                balance,
                matched: true,
                likeness: None,
            }
        })
        .collect()
}

/// (baseline, edited) of every problem.
fn differences(world: &World, writer: &Writer, problems: &[Problem]) -> Vec<(f64, f64)> {
    problems
        .iter()
        .map(|problem| {
            let change = world.change(problem, writer);
            (world.sampled(problem, 0.0), world.sampled(problem, change))
        })
        .collect()
}

fn mean(differences: &[(f64, f64)]) -> f64 {
    differences.iter().map(|(baseline, edited)| edited - baseline).sum::<f64>() / differences.len() as f64
}

fn truth(world: &World, suite: Suite, writer: &Writer) -> f64 {
    let effect = |index: usize| {
        let problem = world.problem(suite, 2 * PROBLEMS + index);
        let change = world.change(&problem, writer);
        world.expected(&problem, change) - world.expected(&problem, 0.0)
    };
    (0..POPULATION).map(effect).sum::<f64>() / POPULATION as f64
}

/// Where every feature fires on the selection half of both suites.
fn stock(world: &World, halves: &[[Vec<Problem>; 2]; 2]) -> (Stock, Vec<FeatureDelta>) {
    let mut stock = Stock { firing: vec![Vec::new(); FEATURES], ..Stock::default() };
    for ([selection, _], name) in halves.iter().zip(["transfer", "safety"]) {
        let first = stock.cells.len();
        stock.cells.push(Cell { suite: name.into(), part: TextPart::Prompt });
        stock.cells.push(Cell { suite: name.into(), part: TextPart::Response });
        for problem in selection {
            for (position, token) in problem.codes.iter().enumerate() {
                let place = stock.cell_of_token.len() as u32;
                stock.cell_of_token.push(first + usize::from(position >= TOKENS / 2));
                for (feature, code) in token.features.iter().zip(&token.values) {
                    stock.firing[*feature as usize].push((place, *code));
                }
            }
        }
    }
    stock.traits = vec![FeatureTraits { class: "shared".into(), shared: true, shift: 0.0 }; FEATURES];
    let write = |feature: usize| FeatureDelta {
        constant: Vec::new(),
        slope: world.decoder(feature as u32, 1).iter().map(|x| -x).collect(),
    };
    let deltas = (0..FEATURES).map(write).collect();
    (stock, deltas)
}

/// A condition of the one hypothesis.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Declared,
    InBase,
    Transplant,
}

impl Asked {
    /// Condition, receiver and edit.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Declared => ("chosen", TUNED, "zero"),
            Self::InBase => ("chosen in base", BASE, "zero"),
            Self::Transplant => ("chosen from base", TUNED, "transplant"),
        }
    }
}

/// Name, axis and endpoint.
fn names(suite: Suite) -> (&'static str, &'static str, &'static str) {
    match suite {
        Suite::Transfer => ("planted suite", "transfer", "pass"),
        Suite::Safety => ("other suite", "safety", "refuse"),
    }
}

impl Evidence {
    fn add_effect(&mut self, suite: Suite, asked: Asked, rows: &[(f64, f64)], seed: u64) {
        let (name, axis, endpoint) = names(suite);
        let (condition, receiver, edit) = asked.names();
        for (problem, (baseline, edited)) in rows.iter().enumerate() {
            self.differences.push(DifferenceRow {
                condition: condition.into(),
                suite: name.into(),
                endpoint: endpoint.into(),
                problem: format!("{name} {problem}"),
                baseline: *baseline,
                edited: *edited,
            });
        }
        let values: Vec<f64> = rows.iter().map(|(baseline, edited)| edited - baseline).collect();
        let interval = Summary::of(&values).interval(0.95);
        let baseline = rows.iter().map(|row| row.0).sum::<f64>() / rows.len() as f64;
        self.effects.push(EffectRow {
            hypothesis: "chosen".into(),
            condition: condition.into(),
            set: "chosen".into(),
            set_size: Some(SET_SIZE as u64),
            receiver: receiver.into(),
            donor: (asked == Asked::Transplant).then(|| BASE.into()),
            edit: edit.into(),
            readout: "joint".into(),
            positions: "all".into(),
            suite: name.into(),
            axis: axis.into(),
            endpoint: endpoint.into(),
            kind: "necessary".into(),
            declared: suite == Suite::Transfer && asked == Asked::Declared,
            direction: "decrease".into(),
            baseline,
            edited: baseline + interval.mean,
            headroom: Some(baseline),
            effect: interval.mean,
            ci_low: interval.low,
            ci_high: interval.high,
            p_zero: sign_flip(&values, Alternative::TwoSided, seed),
            problems: rows.len() as u64,
            samples: SAMPLES as u64,
            ..EffectRow::default()
        });
    }

    fn add_control(&mut self, suite: Suite, control: &ControlSet, effect: f64, set_effect: f64) {
        let (name, _, endpoint) = names(suite);
        self.controls.push(ControlRow {
            hypothesis: "chosen".into(),
            condition: "chosen".into(),
            cloud: control.cloud.name().into(),
            draw: control.draw,
            suite: name.into(),
            endpoint: endpoint.into(),
            effect,
            set_effect,
            balance: control.balance.worst,
            matched: control.matched,
            alike: control.likeness.map(|likeness| likeness.among),
            like_set: control.likeness.map(|likeness| likeness.to_set),
        });
    }
}
