// erf — the error function of each lane, within 1.5e-7.
//   source: Abramowitz & Stegun 1964, formula 7.1.26
fn erf(x: lane) -> lane {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - p * exp(-a * a));
}

fn gelu(x: lane) -> lane {
    return 0.5 * x * (1.0 + erf(x * 0.70710678));
}
