//! `torch.randn` on the CPU, bit for bit: Mersenne Twister, then Box-Muller as torch vectorises it.
//!
//! Checked against torch 2.15 on x86-64: `ATen/core/MT19937RNGEngine.h`,
//! `ATen/core/DistributionsHelper.h`, `ATen/native/cpu/DistributionTemplates.h` (`normal_fill`) and
//! `ATen/native/cpu/avx_mathfun.h`. torch's compiler contracts a product and the sum it feeds into
//! one fused multiply-add, which rounds once; [`f32::mul_add`] stands wherever it does so, and the
//! bits come out the same on every machine.

use std::f32::consts::FRAC_1_SQRT_2;

/// How many values one run of the vectorised Box-Muller makes: two AVX registers of f32.
const BLOCK: usize = 16;

/// The state of a `torch.Generator` on the CPU.
#[derive(Clone, Debug)]
pub(super) struct TorchCpu {
    engine: Mt19937,
    /// The second normal of the last scalar Box-Muller. It outlives the call that made it.
    spare: Option<f64>,
}

impl TorchCpu {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            engine: Mt19937::new(seed),
            spare: None,
        }
    }

    /// One call of `torch.randn`: under 16 values torch goes one by one in f64, from 16 on in blocks.
    pub(super) fn normal(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            (0..len).map(|_| self.scalar_normal()).collect()
        } else {
            self.block_normal(len)
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "torch computes in f64 and stores f32"
    )]
    fn scalar_normal(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare as f32;
        }
        let u1 = self.engine.uniform_f64();
        let u2 = self.engine.uniform_f64();
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = std::f64::consts::TAU * u1;
        self.spare = Some(radius * theta.sin());
        (radius * theta.cos()) as f32
    }

    fn block_normal(&mut self, len: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..len).map(|_| self.engine.uniform_f32()).collect();
        let (blocks, rest) = values.as_chunks_mut::<BLOCK>();
        blocks.iter_mut().for_each(box_muller);
        if !rest.is_empty() {
            // torch draws the last 16 values afresh rather than a part of a block.
            let mut last = std::array::from_fn(|_| self.engine.uniform_f32());
            box_muller(&mut last);
            values[len - BLOCK..].copy_from_slice(&last);
        }
        values
    }
}

/// Turns 16 uniforms into 16 normals: value j pairs with value j + 8.
fn box_muller(block: &mut [f32; BLOCK]) {
    let (firsts, seconds) = block.split_at_mut(BLOCK / 2);
    for (first, second) in firsts.iter_mut().zip(seconds) {
        let radius = (-2.0 * ln(1.0 - *first)).sqrt();
        let (sin, cos) = sin_cos(std::f32::consts::TAU * *second);
        // torch's `· std + mean` with 1 and 0: the sum turns −0 into 0.
        *first = (radius * cos) + 0.0;
        *second = (radius * sin) + 0.0;
    }
}

/// A polynomial in `x`, highest power first, by Horner's rule with fused steps.
fn polynomial(x: f32, coefficients: &[f32]) -> f32 {
    coefficients
        .iter()
        .copied()
        .reduce(|sum, coefficient| sum.mul_add(x, coefficient))
        .unwrap_or_default()
}

/// The natural logarithm of a normal `x` > 0: Cephes' `logf`, as avx_mathfun's `log256_ps`.
#[expect(
    clippy::excessive_precision,
    reason = "the constants stand as Cephes prints them"
)]
fn ln(x: f32) -> f32 {
    const P: [f32; 9] = [
        7.0376836292E-2,
        -1.1514610310E-1,
        1.1676998740E-1,
        -1.2420140846E-1,
        1.4249322787E-1,
        -1.6668057665E-1,
        2.0000714765E-1,
        -2.4999993993E-1,
        3.3333331174E-1,
    ];
    // ln 2 in two parts, the greater one short enough that its products with exponents are exact.
    const LN2_HIGH: f32 = 0.693359375;
    const LN2_LOW: f32 = -2.12194440e-4;

    // x = fraction · 2^exponent, fraction in [√½, √2), then the series runs around 1.
    let bits = x.to_bits();
    let biased = u16::try_from(bits >> 23).expect("a positive f32 has an exponent of 8 bits");
    let mut exponent = f32::from(biased) - 126.0;
    let mut fraction = f32::from_bits(bits & 0x807f_ffff | 0x3f00_0000);
    if fraction < FRAC_1_SQRT_2 {
        exponent -= 1.0;
        fraction = (fraction - 1.0) + fraction;
    } else {
        fraction -= 1.0;
    }
    let square = fraction * fraction;
    let series = polynomial(fraction, &P) * fraction;
    let tail = series.mul_add(square, exponent * LN2_LOW);
    let tail = square.mul_add(-0.5, tail);
    exponent.mul_add(LN2_HIGH, fraction + tail)
}

/// The sine and cosine of `x` ≥ 0: Cephes' `sinf` and `cosf`, as avx_mathfun's `sincos256_ps`.
#[expect(
    clippy::excessive_precision,
    reason = "the constants stand as Cephes prints them"
)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "an angle of one turn at most is under 8 eighths, give or take"
)]
#[expect(clippy::cast_sign_loss, reason = "x is not negative")]
fn sin_cos(x: f32) -> (f32, f32) {
    const FOUR_OVER_PI: f32 = 1.27323954473516;
    // −π/4 in three parts, so that subtracting a multiple of it loses nothing.
    const MINUS_QUARTER_PI: [f32; 3] = [
        -0.78515625,
        -2.4187564849853515625e-4,
        -3.77489497744594108e-8,
    ];
    const SIN: [f32; 3] = [-1.9515295891E-4, 8.3321608736E-3, -1.6666654611E-1];
    const COS: [f32; 3] = [
        2.443315711809948E-5,
        -1.388731625493765E-3,
        4.166664568298827E-2,
    ];

    // The even eighth of a turn nearest to x; what is left lies in [−π/4, π/4].
    let octant = ((x * FOUR_OVER_PI) as u8 + 1) & !1;
    let left = MINUS_QUARTER_PI
        .iter()
        .fold(x, |left, part| f32::from(octant).mul_add(*part, left));
    let square = left * left;
    let cos = polynomial(square, &COS) * square;
    let cos = cos.mul_add(square, -(square * 0.5)) + 1.0;
    let sin = (polynomial(square, &SIN) * square).mul_add(left, left);
    match octant & 6 {
        0 => (sin, cos),
        2 => (cos, -sin),
        4 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The 32-bit Mersenne Twister (Matsumoto & Nishimura 1998), seeded as torch seeds it.
#[derive(Clone)]
struct Mt19937 {
    state: [u32; Self::LEN],
    next: usize,
}

impl Mt19937 {
    const LEN: usize = 624;
    const MIDDLE: usize = 397;
    const UPPER: u32 = 0x8000_0000;
    const LOWER: u32 = 0x7fff_ffff;
    const MATRIX: u32 = 0x9908_b0df;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "torch keeps the low 32 bits of a seed; an index is below 624"
    )]
    fn new(seed: u64) -> Self {
        let mut state = [seed as u32; Self::LEN];
        for i in 1..Self::LEN {
            let before = state[i - 1];
            state[i] = (before ^ (before >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self {
            state,
            next: Self::LEN,
        }
    }

    fn twist(&mut self) {
        for i in 0..Self::LEN {
            let joined =
                (self.state[i] & Self::UPPER) | (self.state[(i + 1) % Self::LEN] & Self::LOWER);
            let matrix = if joined & 1 == 1 { Self::MATRIX } else { 0 };
            self.state[i] = self.state[(i + Self::MIDDLE) % Self::LEN] ^ (joined >> 1) ^ matrix;
        }
        self.next = 0;
    }

    fn next_u32(&mut self) -> u32 {
        if self.next == Self::LEN {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// The low 24 bits, as a number in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit an f32")]
    fn uniform_f32(&mut self) -> f32 {
        const BITS: u32 = f32::MANTISSA_DIGITS;
        (self.next_u32() & ((1 << BITS) - 1)) as f32 / (1_u32 << BITS) as f32
    }

    /// The low 53 bits of two draws, the first one on top, as a number in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
    fn uniform_f64(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        let joined = u64::from(self.next_u32()) << 32 | u64::from(self.next_u32());
        (joined & ((1 << BITS) - 1)) as f64 / (1_u64 << BITS) as f64
    }
}

impl std::fmt::Debug for Mt19937 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mt19937")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
