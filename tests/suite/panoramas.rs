//! Pictures that the network sees in windows: against torch (`tests/golden/panoramas.py`), against the
//! same seen at once, and what is refused.

use crate::device;
use crate::goldens::{F32_PSNR, Golden, model, pipeline, traced};
use aquatint::{Device, PlanOptions, Precision, Request, Rules, Seamless, TileLatents};

fn goldens() -> Vec<(Golden, Request)> {
    let all = Golden::all_of("panoramas", 4).into_iter();
    let tiled = all.map(|golden| {
        let number = |field: &str| usize::try_from(golden.case[field].as_u64().unwrap()).unwrap();
        let request = golden
            .request()
            .tile_latents(tile(number("tile"), number("overlap")));
        (golden, request)
    });
    tiled.collect()
}

fn tile(size_px: usize, overlap_px: usize) -> TileLatents {
    TileLatents {
        size_px: Some(size_px),
        overlap_px: Some(overlap_px),
    }
}

#[test]
fn every_step_in_windows_agrees_with_torch() {
    for (golden, request) in goldens() {
        let request = request.precision(Precision::F32);
        let (images, trace) = traced(device::best(), &golden, &request);
        golden.check_trace(&trace);
        golden.check_images(&images, F32_PSNR);
    }
}

#[test]
fn the_interpreter_agrees_with_torch_in_windows() {
    let (golden, request) = goldens().remove(0);
    let (_, trace) = traced(&Device::reference(), &golden, &request);
    golden.check_trace(&trace);
}

#[test]
fn windows_agree_with_torch_in_f16() {
    for (golden, request) in goldens() {
        golden.check_in_f16(device::best(), request);
    }
}

fn request() -> Request {
    let request = Request::new("a row of houses").seed(4).steps(2);
    request.size(128, 64).precision(Precision::F32)
}

#[test]
fn a_window_as_large_as_the_picture_changes_nothing() {
    let pipeline = pipeline("tiny_bksdm");
    for request in [request(), request().seamless(Seamless::Xy)] {
        let whole = pipeline.generate(&request).unwrap();
        let windowed = pipeline.generate(&request.tile_latents(tile(128, 16)));
        assert!(
            windowed.unwrap()[0]
                .difference(&whole[0])
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn each_way_of_joining_edges_draws_another_picture() {
    // Where one window is as high as the picture, joining top and bottom is the network's affair, and those
    // of left and right is the windows'.
    let pipeline = pipeline("tiny_bksdm");
    let drawn = |seamless: Option<Seamless>| {
        let mut request = request().tile_latents(tile(64, 16));
        request.seamless = seamless;
        pipeline.generate(&request).unwrap().remove(0)
    };
    let apart = drawn(None);
    let all = [Seamless::X, Seamless::Y, Seamless::Xy].map(|seamless| drawn(Some(seamless)));
    for (i, one) in all.iter().enumerate() {
        for other in all[i + 1..].iter().chain([&apart]) {
            assert!(!one.difference(other).unwrap().is_none());
        }
    }
}

#[test]
fn memory_is_that_of_a_window() {
    let pipeline = pipeline("tiny_bksdm");
    let unet = |request: &Request| {
        let memory = pipeline.memory(request).unwrap();
        let parts = memory.parts.into_iter();
        let mut unet = parts.filter(|part| part.name == "unet");
        unet.next().unwrap().activation_bytes
    };
    let wide = request().size(1024, 64);
    let (whole, window) = (unet(&wide), unet(&request().size(64, 64)));
    let windowed = unet(&wide.tile_latents(tile(64, 16)));
    // The whole's are the state thrice, the sum twice, both in two branches, what is scaled, and noise: some
    // 20 latents of 16·256·4 values, which is much beside a network of 8 channels.
    let latent = 4 * 16 * 256 * 4;
    assert!(windowed < window + 24 * latent, "{windowed} {window}");
    assert!(windowed < whole, "{windowed} {whole}");
}

#[test]
fn a_plan_says_how_many_windows_there_are() {
    let options = |tile_latents| PlanOptions {
        width: 208,
        height: 64,
        batch_size: 1,
        precision: Precision::F32,
        rules: Rules::all(),
        vram_bytes: None,
        vae_tile: None,
        tile_latents,
    };
    let model = model("tiny_bksdm");
    let report = model.plan(&options(Some(tile(64, 16)))).unwrap();
    assert_eq!(report.latent_windows, 4);
    assert!(
        report.to_string().contains("4 runs of the unet"),
        "{report}"
    );
    assert_eq!(model.plan(&options(None)).unwrap().latent_windows, 1);
}

#[test]
fn windows_that_cannot_be_are_refused_with_what_can() {
    let pipeline = pipeline("tiny_bksdm");
    for (tile, expected) in [
        (
            tile(0, 0),
            "tile_latents: must be at least 64 pixels, not 0",
        ),
        (
            tile(63, 0),
            "tile_latents: must be at least 64 pixels, not 63",
        ),
        (
            tile(66, 0),
            "tile_latents: must be a multiple of 4 pixels for this model, not 66; use 64 or 68",
        ),
        (
            tile(64, 64),
            "tile_overlap: must be less than a tile's 64 pixels, not 64",
        ),
        (tile(usize::MAX, usize::MAX), "tile_overlap"),
    ] {
        let error = pipeline.resolve(&request().tile_latents(tile)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What is left open is filled in, so that the picture comes again whatever defaults become.
    let resolved = pipeline
        .resolve(&request().tile_latents(TileLatents::default()))
        .unwrap();
    let filled = resolved.tile_latents.unwrap();
    assert!(filled.size_px.is_some() && filled.overlap_px.is_some());
}
