// activations — the functions between linear maps, of four numbers at a time.
//   source: Hendrycks & Gimpel 2016 (arXiv 1606.08415); erf within 1.5e-7: Abramowitz & Stegun 1964, formula 7.1.26

const IDENTITY = 0u;
const SILU = 1u;
const GELU = 2u;
const QUICK_GELU = 3u;

fn erf(x: vec4<f32>) -> vec4<f32> {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - p * exp(-a * a));
}

/// x,  x · σ(x),  x · Φ(x)  or  x · σ(1.702 x).
fn activated(function: u32, x: vec4<f32>) -> vec4<f32> {
    switch function {
        case SILU: { return x / (1.0 + exp(-x)); }
        case GELU: { return 0.5 * x * (1.0 + erf(x * 0.70710678)); }
        case QUICK_GELU: { return x / (1.0 + exp(-1.702 * x)); }
        default: { return x; }
    }
}
