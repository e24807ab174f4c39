//! What changes from step to step: the step size, k, and the penalty's weight.

use super::settings::FitSettings;

/// Steps of one watch for twins.
const WATCHED: usize = 20;

/// The schedule of a fit. Steps count from 0.
#[derive(Clone, Debug)]
pub(super) struct Schedule<'a> {
    settings: &'a FitSettings,
    peak: f64,
    penalty: f64,
}

impl<'a> Schedule<'a> {
    /// The schedule for a dictionary whose outputs are `width` wide together and whose kind has a penalty of
    /// `penalty` by default.
    pub(super) fn new(settings: &'a FitSettings, width: usize, penalty: f64) -> Self {
        let peak = settings.learning_rate.unwrap_or(0.06 / (width as f64).sqrt());
        Self { settings, peak, penalty: settings.penalty.unwrap_or(penalty) }
    }

    /// Linear warm-up, constant, linear decay to zero.
    pub(super) fn learning_rate(&self, step: usize) -> f64 {
        let steps = self.settings.steps as f64;
        let done = (step as f64 + 0.5) / steps;
        let rising = if self.settings.warm_up > 0.0 { done / self.settings.warm_up } else { 1.0 };
        let falling = if self.settings.decay > 0.0 { (1.0 - done) / self.settings.decay } else { 1.0 };
        self.peak * rising.min(falling).clamp(0.0, 1.0)
    }

    /// Falls linearly from `k_start * k` to `k` over the first `k_anneal` of the steps.
    pub(super) fn k(&self, step: usize) -> usize {
        let annealed = self.settings.k_anneal * self.settings.steps as f64;
        if step as f64 >= annealed {
            return self.settings.k;
        }
        let k = self.settings.k as f64;
        let start = (k * self.settings.k_start).min(self.settings.features as f64 / 2.0).max(k);
        (start + (k - start) * step as f64 / annealed).round() as usize
    }

    /// Whether k has reached its final value.
    pub(super) fn annealed(&self, step: usize) -> bool {
        step as f64 >= self.settings.k_anneal * self.settings.steps as f64
    }

    /// What step `step` does about twins: `merges` watches end evenly spread between the end of annealing and the
    /// beginning of decay.
    pub(super) fn watching(&self, step: usize) -> Watching {
        let steps = self.settings.steps as f64;
        let (from, to) = (self.settings.k_anneal * steps, (1.0 - self.settings.decay) * steps);
        let merges = self.settings.merges;
        let stride = (to - from) / merges.max(1) as f64;
        if merges == 0 || stride < 1.0 || (step as f64) < from || step as f64 >= to {
            return Watching::default();
        }
        let index = (((step as f64 - from) / stride) as usize).min(merges - 1);
        let end = (from + stride * (index + 1) as f64).ceil() as usize - 1;
        let begin = (end + 1).saturating_sub(WATCHED).max((from + stride * index as f64).ceil() as usize);
        Watching {
            watches: (begin..=end).contains(&step),
            begins: step == begin,
            ends: step == end,
            last: index + 1 == merges,
        }
    }

    /// Rises linearly to `penalty` over the warm-up.
    pub(super) fn penalty(&self, step: usize) -> f64 {
        let rising = (step as f64 + 1.0) / (self.settings.warm_up * self.settings.steps as f64).max(1.0);
        self.penalty * rising.min(1.0)
    }
}

/// What a step does about features that may be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watching {
    /// Whether it is one of the steps of a watch, the first, or the last, after which twins are merged.
    pub(super) watches: bool,
    pub(super) begins: bool,
    pub(super) ends: bool,
    /// Whether this is the last watch of the fit.
    pub(super) last: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_rises_anneals_and_ends_at_zero() {
        let settings = FitSettings { steps: 1000, k: 10, ..FitSettings::default() };
        let schedule = Schedule::new(&settings, 100, 1.0);
        assert_eq!((schedule.k(0), schedule.k(150), schedule.k(300), schedule.k(999)), (40, 25, 10, 10));
        assert!(schedule.learning_rate(0) < 0.02 * 0.006);
        assert_eq!(schedule.learning_rate(500), 0.006);
        assert!(schedule.learning_rate(999) < 0.01 * 0.006);
    }

    #[test]
    fn twins_are_watched_for_between_annealing_and_decay() {
        for (steps, merges) in [(1000, 4), (40, 4), (7, 4), (1000, 1), (1000, 0), (333, 3)] {
            let settings = FitSettings { steps, merges, ..FitSettings::default() };
            let schedule = Schedule::new(&settings, 100, 1.0);
            let watched: Vec<Watching> = (0..steps).map(|step| schedule.watching(step)).collect();
            let count = |what: fn(&Watching) -> bool| watched.iter().filter(|step| what(step)).count();
            let expected = if steps == 7 { 0 } else { merges };
            assert_eq!(count(|step| step.begins), expected, "{steps} steps");
            assert_eq!(count(|step| step.ends), expected, "{steps} steps");
            assert!(count(|step| step.watches) <= expected * WATCHED);
            assert!(watched.iter().all(|step| step.watches || !(step.begins || step.ends)));
            assert!(
                watched[..steps * 3 / 10].iter().chain(&watched[steps - steps / 5..]).all(|s| !s.watches)
            );
        }
    }
}
