//! The frames of an app that lends its device, while a picture is made on it.

#[path = "../../benches/common/host.rs"]
mod host;

use aquatint::{DeviceOptions, Model, Pipeline, Request};
use host::{Host, percentile};

/// How often it is tried. Other tests and programs take the processor away at times, which is no
/// fault of the picture that is made.
const TRIES: usize = 3;

#[test]
fn an_app_goes_on_drawing_while_a_picture_is_made_on_its_device() {
    let Some(device) = super::device::graphics() else {
        return;
    };
    let host = Host::open(&device.info().name).unwrap().unwrap();
    let pipeline = Pipeline::new(&host.share().unwrap(), Model::demo().unwrap()).unwrap();
    let request = Request::new("a slice of pizza on a light blue background").seed(42);
    pipeline.generate(&request).unwrap(); // by then the driver has compiled all kernels
    let slow: Vec<_> = (0..TRIES)
        .map(|_| {
            let (frames, picture) = host.draw_during(|| pipeline.generate(&request)).unwrap();
            picture.unwrap();
            percentile(&frames, 95)
        })
        .take_while(|time| *time >= 2 * DeviceOptions::DEFAULT_BUDGET)
        .collect();
    assert!(slow.len() < TRIES, "95 % of frames took up to {slow:?}");
}
