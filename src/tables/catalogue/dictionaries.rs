//! Tables of dictionaries and their features.

use super::spec::{ColumnType, TableSpec, fixed, per_variant};

/// How well a dictionary reconstructs.
pub const DICTIONARIES: TableSpec = TableSpec {
    name: "dictionaries",
    about: "One row per dictionary and target: a variant, the difference of a variant from the first one, or, of \
            several variants, all joined.",
    columns: &[
        fixed("dictionary", ColumnType::Text, "the dictionary's kind"),
        fixed("hook", ColumnType::Text, "the hook point it writes"),
        fixed(
            "target",
            ColumnType::Text,
            "what is reconstructed: `rl`, the difference `rl-base`, or `all` variants joined",
        ),
        fixed("features", ColumnType::Integer, "number of features"),
        fixed("tokens", ColumnType::Integer, "held-out tokens it was measured on, first tokens left out"),
        fixed("fve", ColumnType::Float, "fraction of the target's variance explained"),
        fixed("mse", ColumnType::Float, "squared error per token, summed over dimensions"),
        fixed("cosine", ColumnType::Float, "mean cosine of target and reconstruction"),
        fixed("l0", ColumnType::Float, "mean number of active features per token"),
        fixed(
            "l1",
            ColumnType::Float,
            "mean over tokens of activation times the norm of what it writes here",
        ),
        fixed("dead", ColumnType::Integer, "features that never fire on these tokens"),
        fixed("dead_share", ColumnType::Float, "their share of all features"),
        fixed("dense", ColumnType::Integer, "features that fire on more than a tenth of these tokens"),
        fixed(
            "density",
            ColumnType::Text,
            "JSON list: number of features by firing rate, 0, then (0, 1e-5], (1e-5, 1e-4], (1e-4, 1e-3], (1e-3, .01], (.01, .1], (.1, 1]",
        ),
        fixed(
            "ce_recovered",
            ColumnType::Float,
            "share of the cross-entropy lost by mean ablation that splicing the reconstruction in recovers; null if not measured",
        ),
        fixed(
            "kl",
            ColumnType::Float,
            "mean KL divergence in nats of the spliced model's next token from the model's own; null if not measured",
        ),
        fixed(
            "stability",
            ColumnType::Float,
            "mean over the features that fire on these tokens of the largest decoder cosine with a feature of the same dictionary under another seed (MMCS), averaged over those; null with one seed",
        ),
        per_variant(
            "notes",
            ColumnType::Text,
            "what changes how its numbers are to be read, a line each; no such column if nothing does",
        ),
    ],
};

/// What the reader of other tables should know of the dictionary that they were made with.
pub const NOTES: TableSpec = TableSpec {
    name: "notes",
    about: "One row per note on the dictionary that the tables beside it were made with; no table if there is none.",
    columns: &[
        fixed("dictionary", ColumnType::Text, "the dictionary's kind"),
        fixed("hook", ColumnType::Text, "the hook point it reads"),
        fixed("note", ColumnType::Text, "what changes how its numbers are to be read, a sentence"),
    ],
};

/// What became of each feature of a dictionary.
pub const FEATURES: TableSpec = TableSpec {
    name: "features",
    about: "One row per feature of a dictionary, measured on tokens that it was not fitted to. In names of pairs, \
            `nu_*_<w>_<v>` and `beta_*_<w>_<v>` are of w along v's decoder.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature's index in the dictionary"),
        fixed("present", ColumnType::Text, "the variants in which it is present, joined by +"),
        fixed("change", ColumnType::Text, "same, reweighted or rotated, over these variants"),
        fixed(
            "class",
            ColumnType::Text,
            "shared, specific, lost, partial, undecided (always, if one variant is written) or dead",
        ),
        fixed("rate", ColumnType::Float, "share of tokens at which it fires (joint code)"),
        fixed("firings", ColumnType::Integer, "tokens at which it fired"),
        fixed("mean_active", ColumnType::Float, "mean of the code where it fires"),
        fixed("max_active", ColumnType::Float, "the largest code"),
        fixed(
            "histogram",
            ColumnType::Text,
            "JSON list: firings in each of 20 equal steps of the code from 0 to the largest",
        ),
        fixed("share_template", ColumnType::Float, "share of its summed activation on template tokens"),
        fixed("share_response", ColumnType::Float, "share of its summed activation on the response"),
        fixed(
            "share_first",
            ColumnType::Float,
            "share of its summed activation on the first 5 response tokens",
        ),
        fixed(
            "stability",
            ColumnType::Float,
            "largest decoder cosine with a feature of the same dictionary under another seed, averaged over those; null with one seed",
        ),
        fixed(
            "nearest",
            ColumnType::Text,
            "JSON list: the features whose decoders, all variants joined, have the largest cosine with its own",
        ),
        fixed("nearest_cosines", ColumnType::Text, "JSON list: these cosines"),
        per_variant("norm_", ColumnType::Float, "decoder norm"),
        per_variant(
            "mas_",
            ColumnType::Float,
            "share of the summed absolute decoder weights, corrected for width",
        ),
        per_variant(
            "rate_",
            ColumnType::Float,
            "firing rate when every input is read from this variant, of all in the store for a dictionary of one input; `rate_rl-base` for a difference",
        ),
        per_variant(
            "nrn_",
            ColumnType::Float,
            "of a pair a, b: |d_b|_1 / (|d_a|_1 + |d_b|_1); 1 = only in b",
        ),
        per_variant("cosine_", ColumnType::Float, "decoder cosine of a pair"),
        per_variant("encoder_cosine_", ColumnType::Float, "encoder cosine of a pair"),
        per_variant("beta_error_", ColumnType::Float, "latent scaling of w's error target along v's decoder"),
        per_variant("beta_reconstruction_", ColumnType::Float, "the same of w's reconstruction"),
        per_variant("nu_error_", ColumnType::Float, "beta_error of w over that of v, along v's decoder"),
        per_variant("nu_error_se_", ColumnType::Float, "its standard error, clustered by example"),
        per_variant(
            "nu_reconstruction_",
            ColumnType::Float,
            "beta_reconstruction of w over that of v; the target is what features write, without the bias that the published one has",
        ),
        per_variant("nu_reconstruction_se_", ColumnType::Float, "its standard error, clustered by example"),
        per_variant(
            "promoted_",
            ColumnType::Text,
            "JSON list: tokens that the variant's decoder promotes most (logit lens)",
        ),
        per_variant("suppressed_", ColumnType::Text, "JSON list: tokens that it suppresses most"),
        per_variant(
            "promoted_logits_",
            ColumnType::Text,
            "JSON list: the logits of the promoted tokens at an activation of 1, the final norm's division left out",
        ),
        per_variant("suppressed_logits_", ColumnType::Text, "JSON list: the same of the suppressed tokens"),
    ],
};

/// Where features fire.
pub const CONTEXTS: TableSpec = TableSpec {
    name: "contexts",
    about: "One row per place where a feature is active: the strongest, and one from each quarter below.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature"),
        fixed("rank", ColumnType::Integer, "0 for the strongest"),
        fixed("peak", ColumnType::Float, "its activation at the peak"),
        fixed("band", ColumnType::Text, "top, or the quarter of its positive activations: q4 (strong) to q1"),
        fixed("band_low", ColumnType::Float, "the weakest activation of the band"),
        fixed("band_high", ColumnType::Float, "the strongest activation of the band"),
        fixed("source", ColumnType::Text, "who wrote the text"),
        fixed("part", ColumnType::Text, "where in the example the peak lies: prompt, template or response"),
        fixed("problem", ColumnType::Text, "the problem that the text answers"),
        fixed("example", ColumnType::Integer, "the example's index in the activation store"),
        fixed("position", ColumnType::Integer, "the position of the peak in the example"),
        fixed("peak_index", ColumnType::Integer, "the index of the peak in `tokens`"),
        fixed("tokens", ColumnType::Text, "the tokens of the window, a JSON list"),
        fixed("activations", ColumnType::Text, "the feature's activation at each of them, a JSON list"),
    ],
};

/// What `fit` and `diff` find of planted activations.
pub const PLANTED: TableSpec = TableSpec {
    name: "planted",
    about: "One row per planted world, fit and fate (`check planted`); fate `all` sums a fit up.",
    columns: &[
        fixed("recipe", ColumnType::Text, "easy or hard"),
        fixed("seed", ColumnType::Integer, "the seed of the planted world"),
        fixed("fit_seed", ColumnType::Integer, "the seed of the fit"),
        fixed("k", ColumnType::Integer, "active features a token"),
        fixed("fate", ColumnType::Text, "variants in which the features are present, and the change; or all"),
        fixed("planted", ColumnType::Integer, "planted features"),
        fixed("hits", ColumnType::Integer, "of these, matched one to one with a score of at least .8"),
        fixed("right", ColumnType::Integer, "of these, given the right presence and change"),
        fixed("classed", ColumnType::Integer, "live features that were given a class"),
        fixed("misclassed", ColumnType::Integer, "of these, hits that are wrongly classed"),
        fixed(
            "duplicates",
            ColumnType::Integer,
            "of these, features whose planted feature is already matched",
        ),
        fixed(
            "splits",
            ColumnType::Integer,
            "of these, a planted direction that fires on a part of its tokens",
        ),
        fixed("mixtures", ColumnType::Integer, "of these, all others"),
        fixed("undecided", ColumnType::Integer, "live features left undecided"),
    ],
};

/// How much of planted activations each kind of dictionary finds.
pub const PLANTED_KINDS: TableSpec = TableSpec {
    name: "planted_kinds",
    about: "One row per planted world, kind of dictionary and fit (`check planted --kinds`).",
    columns: &[
        fixed("recipe", ColumnType::Text, "easy or hard"),
        fixed("seed", ColumnType::Integer, "the seed of the planted world"),
        fixed("fit_seed", ColumnType::Integer, "the seed of the fit"),
        fixed("kind", ColumnType::Text, "the kind of dictionary"),
        fixed("k", ColumnType::Integer, "active features a token, for the kinds that keep the largest"),
        fixed("planted", ColumnType::Integer, "planted features in what the kind reads"),
        fixed("found", ColumnType::Integer, "of these, matched by some feature with a score of at least .8"),
        fixed(
            "live",
            ColumnType::Integer,
            "features that fire on at least 10 held-out tokens, as `diff` asks",
        ),
        fixed("hits", ColumnType::Integer, "of these, features that match a planted one"),
        fixed(
            "hit_firings",
            ColumnType::Float,
            "share of all firings that are of features that match a planted one",
        ),
        fixed("fve", ColumnType::Float, "fraction of variance explained, the smallest over what is written"),
        fixed("l0", ColumnType::Float, "mean number of active features per token"),
        fixed("planted_l0", ColumnType::Float, "mean number of planted features that are active per token"),
    ],
};

/// What a variant's own activations say of the joint code.
pub const READOUTS: TableSpec = TableSpec {
    name: "readouts",
    about: "One row per feature, variant and readout: how well it stands for the joint code on held-out tokens.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature"),
        fixed("variant", ColumnType::Text, "the variant that is read"),
        fixed(
            "readout",
            ColumnType::Text,
            "own (an encoder of the variant alone, fitted to the joint code), swap (the joint encoder with the variant in base's place too; base in every other's) or alone (in every place)",
        ),
        fixed("f1", ColumnType::Float, "F1 of firing against the joint code"),
        fixed("r2", ColumnType::Float, "share of the joint code's variance that it explains"),
        fixed("rate", ColumnType::Float, "share of tokens at which it fires"),
        fixed("joint_rate", ColumnType::Float, "share of tokens at which the joint code fires"),
        fixed(
            "sufficient",
            ColumnType::Boolean,
            "F1 of at least .9 for a feature that fires: it may support a claim",
        ),
    ],
};

/// How much more a variant uses each feature.
pub const SHIFTS: TableSpec = TableSpec {
    name: "shifts",
    about: "One row per feature that moves, variant and suite: mean joint code on its own answers, against base's.",
    columns: &[
        fixed("feature", ColumnType::Integer, "the feature"),
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("suite", ColumnType::Text, "the suite whose selection half it answers"),
        fixed("mean", ColumnType::Float, "mean code over the tokens of its own answers, prompts included"),
        fixed("mean_base", ColumnType::Float, "the same of base's answers to the same prompts"),
        fixed("shift", ColumnType::Float, "mean less mean_base"),
    ],
};

/// How the features of a variant come about while it is trained.
pub const DYNAMICS: TableSpec = TableSpec {
    name: "dynamics",
    about: "One row per variant and checkpoint: which of the features that rise most are there already (Shi et al.), whatever their class.",
    columns: &[
        fixed("variant", ColumnType::Text, "the variant"),
        fixed("checkpoint", ColumnType::Integer, "the checkpoint's step"),
        fixed("top", ColumnType::Integer, "features compared: those that rise most over base, at most 50"),
        fixed("overlap", ColumnType::Float, "share of them that are also the variant's final ones"),
        fixed(
            "rise",
            ColumnType::Float,
            "mean rise of the final ones at this checkpoint over their final rise: 1 = fully there",
        ),
        fixed("tokens", ColumnType::Integer, "tokens read"),
    ],
};
