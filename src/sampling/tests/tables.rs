//! What every table keeps to, and which requests are refused.

use super::*;

#[test]
fn timestep_undoes_sigma_at_whole_timesteps_and_stays_in_range() {
    let linear = NoiseModel::linear(0.0001, 0.02, 1000).unwrap();
    let flow = NoiseModel::flow(3.0, 1000).unwrap();
    for model in [stable_diffusion(), linear, flow] {
        for timestep in [1.0, 2.0, 500.0, 998.0, 999.0] {
            assert_close(
                &[model.timestep(model.sigma(timestep))],
                &[timestep],
                1e-12,
                &model.space(),
            );
        }
        assert!(model.timestep(1e6) <= 1000.0);
        assert_eq!(model.timestep(0.0), 0.0);
    }
}

#[test]
fn karras_schedule_ends_at_zero() {
    let table = table("euler", "karras", 10).unwrap();
    let model = stable_diffusion();
    let last = table.rows[9];
    assert_close(
        &[table.rows[0].sigma, last.sigma],
        &[model.sigma_max(), model.sigma_min()],
        1e-12,
        &"ends",
    );
    assert_close(
        &[last.next.x, last.next.past[0]],
        &[0.0, 1.0],
        1e-12,
        &"the last step is the denoised latent",
    );
}

#[test]
fn every_combination_gives_finite_rows_from_one_step_to_a_thousand() {
    let models = [
        (
            stable_diffusion(),
            &[Prediction::Epsilon, Prediction::V, Prediction::Flow][..],
        ),
        (
            NoiseModel::flow(3.0, 1000).unwrap(),
            &[Prediction::V, Prediction::Flow][..],
        ),
    ];
    for (model, predictions) in &models {
        for (sampler, schedule) in SAMPLERS
            .iter()
            .flat_map(|a| SCHEDULES.iter().map(move |b| (a.name, b.name)))
        {
            let found = Sampler::find(sampler).unwrap();
            if found.networks == Networks::Betas && model.space() == Some(Space::Flow) {
                continue;
            }
            for (&prediction, steps) in predictions
                .iter()
                .flat_map(|p| [1, 2, 3, 61, 500, 501, 999, 1000].map(|n| (p, n)))
            {
                let options = Options::default();
                let table =
                    build(model, prediction, sampler, schedule, steps, 1.0, &options).unwrap();
                if schedule != "ddim_uniform" {
                    assert_eq!(table.step_count(), steps);
                }
                assert!(table.initial_scale.is_finite());
                for row in &table.rows {
                    let next = row.next;
                    let numbers = [
                        row.c_in, row.c_skip, row.c_out, next.x, next.saved, next.noise,
                    ];
                    assert!(
                        numbers.iter().chain(&next.past).all(|n| n.is_finite()),
                        "{sampler} {schedule} {prediction:?} {steps}: {row:?}"
                    );
                    assert!((0.0..=1000.0).contains(&row.timestep));
                }
            }
        }
    }
}

#[test]
fn no_row_reads_a_latent_that_does_not_exist_yet() {
    for sampler in SAMPLERS {
        let table = table(sampler.name, "karras", 5).unwrap();
        let mut is_saved = false;
        for (i, row) in table.rows.iter().enumerate() {
            let keep = row.keep.unwrap_or_default();
            for combination in [row.next, keep] {
                assert!(combination.saved == 0.0 || is_saved, "{}", sampler.name);
                let past = combination.past.iter();
                assert!(past.skip(i + 1).all(|&factor| factor == 0.0));
            }
            is_saved |= row.keep.is_some();
        }
    }
}

#[test]
fn heun_evaluates_twice_a_step_and_once_in_the_last() {
    let steps: Vec<_> = table("heun", "karras", 3)
        .unwrap()
        .rows
        .iter()
        .map(|row| row.step)
        .collect();
    assert_eq!(steps, [0, 0, 1, 1, 2]);
}

#[test]
fn ancestral_samplers_draw_no_noise_in_the_step_to_zero() {
    assert_eq!(
        table("euler_ancestral", "karras", 20)
            .unwrap()
            .noise_count(),
        19
    );
    assert_eq!(table("euler", "karras", 20).unwrap().noise_count(), 0);
    assert_eq!(table("ddim", "leading", 20).unwrap().noise_count(), 0);
}

#[test]
fn ddim_at_eta_one_is_euler_ancestral_in_the_other_space() {
    let options = Options {
        eta: Some(1.0),
        ..Options::default()
    };
    let model = stable_diffusion();
    let rows = |sampler| {
        let table = build(&model, Prediction::V, sampler, "karras", 9, 1.0, &options);
        table.unwrap().rows
    };
    let (ddim, ancestral) = (rows("ddim"), rows("euler_ancestral"));
    for (i, (found, row)) in ddim.iter().zip(&ancestral).enumerate() {
        let end = ancestral.get(i + 1).map_or(0.0, |next| next.sigma);
        let [from, to] = [row.sigma, end].map(|s| Space::VariancePreserving.level(s).signal);
        assert_close(
            &[found.next.x, found.next.past[0], found.next.noise],
            &[
                row.next.x * to / from,
                row.next.past[0] * to,
                row.next.noise * to,
            ],
            1e-12,
            &i,
        );
    }
}

#[test]
fn guidance_scale_is_on_every_row() {
    assert!(
        table("heun", "leading", 4)
            .unwrap()
            .rows
            .iter()
            .all(|row| row.guidance_scale == 7.5)
    );
    let (model, options) = (stable_diffusion(), Options::default());
    let refused = build(
        &model,
        Prediction::V,
        "euler",
        "karras",
        4,
        f64::NAN,
        &options,
    );
    assert_eq!(request_error(refused).0, "guidance_scale");
}

#[test]
fn zero_steps_and_more_steps_than_timesteps_are_refused() {
    for steps in [0, 1001, usize::MAX] {
        let (field, reason) = request_error(table("euler", "karras", steps));
        assert_eq!(field, "steps");
        assert!(reason.contains("1 to 1000"), "{reason}");
    }
}

#[test]
fn eta_is_refused_out_of_range_and_where_it_means_nothing() {
    let with_eta = |sampler, eta| {
        let options = Options {
            eta: Some(eta),
            ..Options::default()
        };
        build(
            &stable_diffusion(),
            Prediction::Epsilon,
            sampler,
            "leading",
            5,
            1.0,
            &options,
        )
    };
    assert_eq!(request_error(with_eta("ddim", 1.5)).0, "eta");
    assert_eq!(request_error(with_eta("ddim", f64::NAN)).0, "eta");
    assert!(
        request_error(with_eta("heun", 0.5))
            .1
            .contains("use ddim or euler_ancestral")
    );
    assert!(with_eta("euler_ancestral", 0.0).unwrap().noise_count() == 0);
}

#[test]
fn noise_models_that_cannot_be_are_refused() {
    for refused in [
        NoiseModel::scaled_linear(0.0, 0.012, 1000),
        NoiseModel::scaled_linear(0.012, 0.00085, 1000),
        NoiseModel::linear(f64::NAN, 0.02, 1000),
        NoiseModel::linear(0.1, 0.9, 50_000),
        NoiseModel::linear(0.0001, 0.02, usize::MAX),
        NoiseModel::flow(0.0, 1000),
        NoiseModel::flow(3.0, 1),
    ] {
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }
    let flow = NoiseModel::flow(1.0, 1000).unwrap();
    let epsilon = build(
        &flow,
        Prediction::Epsilon,
        "euler",
        "linspace",
        4,
        1.0,
        &Options::default(),
    );
    assert!(matches!(epsilon, Err(Error::Unsupported(_))));
}

#[test]
fn predictions_recover_the_clean_latent_in_every_space() {
    let (x_0, n) = (0.7, -1.3);
    for space in [
        Space::VarianceExploding,
        Space::VariancePreserving,
        Space::Flow,
    ] {
        let level = space.level(0.4);
        let x = level.signal * x_0 + level.noise * n;
        let preserving = level.signal.hypot(level.noise);
        for (prediction, output) in [
            (Prediction::Epsilon, n),
            (
                Prediction::V,
                (level.signal * n - level.noise * x_0) / preserving,
            ),
            (Prediction::Flow, n - x_0),
        ] {
            let Scalings { c_skip, c_out, .. } = prediction.scalings(level);
            assert_close(
                &[c_skip * x + c_out * output],
                &[x_0],
                1e-12,
                &(space, prediction),
            );
        }
    }
}

#[test]
fn predictions_are_named_as_in_scheduler_configurations() {
    for (text, prediction) in [
        ("epsilon", Prediction::Epsilon),
        ("v_prediction", Prediction::V),
        ("v", Prediction::V),
        ("flow", Prediction::Flow),
    ] {
        let read: Prediction = serde_json::from_value(text.into()).unwrap();
        assert_eq!(read, prediction);
    }
}

#[test]
fn a_step_between_equal_levels_leaves_the_latent_alone() {
    // `leading` with offset 1 asks for timestep 1000 and 999, which are both the noisiest.
    for model in [stable_diffusion(), NoiseModel::flow(1.0, 1000).unwrap()] {
        for sampler in ["euler", "euler_ancestral", "dpmpp_2m"] {
            let options = Options::default();
            let table = build(
                &model,
                Prediction::Flow,
                sampler,
                "leading",
                1000,
                1.0,
                &options,
            );
            let first = table.unwrap().rows[0];
            assert_close(
                &[first.next.x, first.next.past[0], first.next.noise],
                &[1.0, 0.0, 0.0],
                1e-12,
                &(sampler, &model.space()),
            );
        }
    }
}

#[test]
fn guidance_keeps_to_its_share_of_the_steps() {
    let options = Options {
        guidance_interval: [0.25, 0.75],
        ..Options::default()
    };
    let model = stable_diffusion();
    let epsilon = Prediction::Epsilon;
    let table = build(&model, epsilon, "heun", "karras", 8, 7.5, &options).unwrap();
    for row in &table.rows {
        let expected = if (2..6).contains(&row.step) { 7.5 } else { 1.0 };
        assert_eq!(row.guidance_scale, expected, "step {}", row.step);
    }
}
