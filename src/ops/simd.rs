//! Vector arithmetic without target flags: the same loops compiled for AVX-512, for AVX2 and for the
//! baseline, chosen once at run time.
//!
//! Sums run in [`LANES`] fixed lanes that are folded in a fixed order, so a result depends on the numbers
//! alone: not on the instruction set's width, the thread count, or what else is in the batch. Fused
//! multiply-add is always used (`f32::mul_add`), in software where the processor lacks it.

/// The number of partial sums of every reduction.
pub(crate) const LANES: usize = 16;

/// Runs `work`, compiled for the widest vectors of this processor. Pass a closure marked
/// `#[inline(always)]` that calls only such functions, or it stays scalar.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    match Instructions::here() {
        // SAFETY: the features were just detected.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { with_avx512(work) },
        // SAFETY: the features were just detected.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { with_avx2(work) },
        Instructions::Baseline => work(),
    }
}

/// The vector instructions that [`vectorised`] compiles for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Baseline,
}

impl Instructions {
    /// The widest of this processor.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }

    /// For people and keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            Self::Baseline => "baseline",
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Sixteen numbers in registers: for loops that the compiler cannot be trusted to keep there by itself.
pub(crate) trait Vector: Copy {
    /// Vector registers of this size that the processor has.
    const REGISTERS: usize;

    /// Whether this processor has what the functions below need.
    fn here() -> bool;

    /// Sixteen zeros.
    ///
    /// # Safety
    /// [`Self::here`], for this function and all others.
    unsafe fn zero() -> Self;

    /// Sixteen times one number.
    ///
    /// # Safety
    /// See [`Self::zero`].
    unsafe fn splat(number: f32) -> Self;

    /// Reads sixteen numbers.
    ///
    /// # Safety
    /// They are there; see [`Self::zero`].
    unsafe fn load(from: *const f32) -> Self;

    /// Writes sixteen numbers.
    ///
    /// # Safety
    /// Their place is there; see [`Self::zero`].
    unsafe fn store(self, to: *mut f32);

    /// `self * factor + term`, rounded once.
    ///
    /// # Safety
    /// See [`Self::zero`].
    unsafe fn times_plus(self, factor: Self, term: Self) -> Self;

    /// `self + other`.
    ///
    /// # Safety
    /// See [`Self::zero`].
    unsafe fn plus(self, other: Self) -> Self;
}

/// One AVX-512 register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Wide(std::arch::x86_64::__m512);

#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Wide = Portable;

#[cfg(target_arch = "x86_64")]
impl Vector for Wide {
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn here() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the processor has AVX-512, here and below, by the caller's promise.
        unsafe { Self(std::arch::x86_64::_mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: as above.
        unsafe { Self(std::arch::x86_64::_mm512_set1_ps(number)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above; the numbers are there.
        unsafe { Self(std::arch::x86_64::_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above; the place is there.
        unsafe { std::arch::x86_64::_mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, term: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(std::arch::x86_64::_mm512_fmadd_ps(self.0, factor.0, term.0)) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(std::arch::x86_64::_mm512_add_ps(self.0, other.0)) }
    }
}

/// Whatever the compiler makes of sixteen numbers: two registers with AVX2, four with NEON.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Vector for Portable {
    const REGISTERS: usize = 8;

    #[inline(always)]
    fn here() -> bool {
        true
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        Self([number; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the numbers are there, by the caller's promise.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the place is there, by the caller's promise.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, mut term: Self) -> Self {
        for lane in 0..LANES {
            term.0[lane] = self.0[lane].mul_add(factor.0[lane], term.0[lane]);
        }
        term
    }

    #[inline(always)]
    unsafe fn plus(mut self, other: Self) -> Self {
        for lane in 0..LANES {
            self.0[lane] += other.0[lane];
        }
        self
    }
}

/// Folds the lanes pairwise, in one fixed order.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The sum of `map(index)` over `0..length`, in lanes.
#[inline(always)]
pub(crate) fn sum(length: usize, map: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = length / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += map(start + lane);
        }
        start += LANES;
    }
    for index in whole..length {
        lanes[index - whole] += map(index);
    }
    fold(lanes)
}

/// The dot product of two slices of one length, in lanes.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (left_blocks, left_rest) = left.as_chunks::<LANES>();
    let (right_blocks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..LANES {
            lanes[lane] = left[lane].mul_add(right[lane], lanes[lane]);
        }
    }
    for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] = left.mul_add(*right, lanes[lane]);
    }
    fold(lanes)
}

/// The largest element; negative infinity when there is none.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |most, value| if *value > most { *value } else { most })
}

/// `e^x` to 2 units in the last place, branch-free so that loops over it vectorise; 0 below -87.3.
///
/// Cephes `expf`: range reduction by powers of two, then a polynomial of degree 6 on ±ln 2 / 2.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// 1.5 · 2^23: adding it rounds to an integer and leaves that integer in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    let clamped = if x > 88.3 { 88.3 } else { x };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, SHIFT);
    let power = shifted - SHIFT;
    let rest = power.mul_add(2.121_944_4e-4, power.mul_add(-355.0 / 512.0, clamped));
    let mut series = 1.987_569_1e-4f32;
    for coefficient in [1.398_199_95e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        series = series.mul_add(rest, coefficient);
    }
    let mantissa = series.mul_add(rest * rest, rest) + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { mantissa * scale }
}

/// The natural logarithm of a normal positive number to about 1e-10, branch-free so that loops over it
/// vectorise: `ln m = 2 artanh((m − 1) / (m + 1))` for the mantissa m in [√½, √2).
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    /// The bits of √½.
    const LOWEST: u64 = 0x3FE6_A09E_667F_3BCD;
    let bits = x.to_bits();
    let power = (bits.wrapping_sub(LOWEST) as i64) >> 52;
    let mantissa = f64::from_bits(bits.wrapping_sub((power << 52) as u64));
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut series = 1.0 / 11.0;
    for divisor in [9.0, 7.0, 5.0, 3.0, 1.0] {
        series = f64::mul_add(series, square, 1.0 / divisor);
    }
    f64::mul_add(power as f64, std::f64::consts::LN_2, 2.0 * ratio * series)
}

/// `tanh x`, from [`exp`].
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// `1 / (1 + e^-x)`, from [`exp`].
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function: the rational approximation of Eigen and XLA, within 1e-6.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    const NUMERATOR: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const DENOMINATOR: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let polynomial = |coefficients: &[f32]| {
        coefficients.iter().fold(0f32, |total, coefficient| total.mul_add(square, *coefficient))
    };
    x * polynomial(&NUMERATOR) / polynomial(&DENOMINATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_approximations_hold_their_stated_errors() {
        for step in -8000..8000 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 2.5e-7 * exact, "exp({x})");
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 3e-7, "tanh({x})");
            let exact = candle_core::cpu::erf::erf_f64(f64::from(x));
            assert!((f64::from(erf(x)) - exact).abs() < 1e-6, "erf({x}) {} {exact}", erf(x));
        }
        for step in 1..20_000 {
            for x in [f64::from(step) * 1e-3, f64::from(step) * 1e-9, 1.0 - f64::from(step) * 1e-9] {
                assert!((ln(x) - x.ln()).abs() <= 1e-9 * x.ln().abs() + 1e-15, "ln({x})");
            }
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn reductions_do_not_depend_on_the_instruction_set() {
        let values: Vec<f32> = (0..1003).map(|index| (index as f32 * 0.37).sin()).collect();
        let baseline = (dot(&values, &values), max(&values), sum(values.len(), |index| values[index]));
        let wide = vectorised(
            #[inline(always)]
            || (dot(&values, &values), max(&values), sum(values.len(), |index| values[index])),
        );
        assert_eq!(baseline, wide);
    }
}
