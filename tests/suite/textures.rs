//! Pictures that stay on the device, against those that are read back.

use crate::device::graphics;
use crate::embedding::{Host, pipeline};
use aquatint::{
    Device, Error, Hires, Image, Inpaint, LoadOptions, Model, Outpaint, Pipeline, Rect, Request,
    Residence, Task, wgpu,
};
use std::sync::atomic::Ordering;

/// Rows of 352 bytes, which are no multiple of the 256 that copies into textures want.
const ODD: [usize; 2] = [88, 72];

fn request() -> Request {
    Request::new("a red apple")
        .size(ODD[0], ODD[1])
        .steps(2)
        .seed(3)
}

/// A texture's pixels, row after row.
fn read(device: &wgpu::Device, queue: &wgpu::Queue, texture: &wgpu::Texture) -> Vec<u8> {
    assert_eq!(texture.format(), wgpu::TextureFormat::Rgba8Unorm);
    let row = 4 * texture.width();
    let aligned = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(aligned * texture.height()),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let to = wgpu::TexelCopyBufferInfo {
        buffer: &buffer,
        layout: wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(aligned),
            rows_per_image: None,
        },
    };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
    queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let range = buffer.get_mapped_range(..).unwrap();
    let rows = range.chunks_exact(aligned as usize);
    rows.flat_map(|bytes| &bytes[..row as usize])
        .copied()
        .collect()
}

/// That the textures of a request hold what its images do, and that the run still gives those.
fn check(pipeline: &Pipeline, request: &Request) -> Vec<Image> {
    let (device, queue) = pipeline.device().wgpu().unwrap();
    let expected = pipeline.generate(request).unwrap();
    let mut run = pipeline.start(request).unwrap();
    run.next_step().unwrap();
    let textures = run.finish_on_gpu().unwrap();
    assert_eq!(textures.len(), expected.len());
    for (texture, image) in textures.iter().zip(&expected) {
        let size = [texture.width() as usize, texture.height() as usize];
        assert_eq!(size, [image.width(), image.height()]);
        let found = read(device, queue, texture);
        assert!(found == image.pixels(), "the bytes differ");
    }
    assert!(run.next_step().unwrap().is_none());
    assert_eq!(run.preview().unwrap(), [], "nothing is under way");
    let kept = run.checkpoint().unwrap();
    assert_eq!(kept.steps_done(), kept.step_count());
    assert!(run.finish().unwrap() == expected, "with their texts");
    expected
}

#[test]
fn textures_hold_the_bytes_of_the_images() {
    let Some(device) = graphics() else {
        return;
    };
    let pipeline = pipeline(device);
    check(&pipeline, &request().batch_size(2));
    check(&pipeline, &request().size(64, 72));
    let tiled = request().size(104, 88).vae_tile(64);
    check(&pipeline, &tiled.batch_size(2));
}

#[test]
fn a_trace_has_the_pictures_once_after_textures() {
    let Some(device) = graphics() else {
        return;
    };
    let traced = |request: &Request, in_textures: bool| {
        let mut run = pipeline(device).start_traced(request).unwrap();
        if in_textures {
            run.finish_on_gpu().unwrap();
        }
        run.finish_traced().unwrap().1
    };
    for request in [request(), request().size(104, 88).vae_tile(64)] {
        assert!(traced(&request, true) == traced(&request, false));
    }
}

#[test]
fn parts_that_take_turns_leave_textures_too() {
    let Some(device) = graphics() else {
        return;
    };
    let memory = pipeline(device).memory(&request()).unwrap();
    let parts = memory.parts.iter().map(|part| part.total_bytes());
    let options = LoadOptions {
        vram_bytes: parts.max(),
        ..LoadOptions::default()
    };
    let model = Model::demo().unwrap();
    let limited = Pipeline::with_options(device, model, &options, &mut |_| ()).unwrap();
    let residence = limited.memory(&request()).unwrap().residence;
    assert_eq!(residence, Residence::InTurn);
    check(&limited, &request());
    check(&limited, &request().vae_tile(64));
}

#[test]
fn painted_pictures_are_textures_too() {
    let Some(device) = graphics() else {
        return;
    };
    let pipeline = pipeline(device);
    // A side that is no multiple of the latent factor.
    let pixels = (0..4 * 90 * 70).map(|i| (i % 251) as u8 | if i % 4 == 3 { 255 } else { 0 });
    let image = Image::from_rgba(90, 70, pixels.collect()).unwrap();
    let mut inpaint = Inpaint::new(image.clone());
    inpaint.mask_rect = Some(Rect::new(20, 10, 40, 40));
    let painted = Request::new("a red apple").steps(2).seed(3);
    let painted = painted.task(Task::Inpaint(inpaint));
    let pictures = check(&pipeline, &painted);
    assert_eq!(pictures[0].pixels()[..4], image.pixels()[..4]);
    // Two rounds.
    let outpaint = Outpaint::new(image, [40, 40, 0, 0]);
    let wider = Request::new("a red apple").steps(2).seed(3);
    check(&pipeline, &wider.task(Task::Outpaint(outpaint)));
}

#[test]
fn a_host_draws_a_texture_of_its_own_device() {
    let Some(host) = Host::open(Device::descriptor) else {
        return;
    };
    let pipeline = pipeline(&host.share().unwrap());
    let expected = pipeline.generate(&request()).unwrap();
    let run = pollster::block_on(pipeline.start_async(&request()));
    let textures = pollster::block_on(run.unwrap().finish_on_gpu_async()).unwrap();
    for format in [
        wgpu::TextureFormat::Rgba8Unorm,
        wgpu::TextureFormat::Rgba8UnormSrgb,
    ] {
        drop(textures[0].create_view(&wgpu::TextureViewDescriptor {
            format: Some(format),
            usage: Some(wgpu::TextureUsages::TEXTURE_BINDING),
            ..Default::default()
        }));
    }
    // The run is gone, and the texture is the host's.
    drop(pipeline);
    let found = read(&host.device, &host.queue, &textures[0]);
    assert!(found == expected[0].pixels());
    assert_eq!(host.errors.load(Ordering::SeqCst), 0);
}

#[test]
fn a_picture_too_large_for_a_texture_is_refused_before_any_step() {
    let Some(host) = Host::open(|adapter| wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits {
            max_texture_dimension_2d: 80,
            ..Device::required_limits(adapter)
        },
        ..Device::descriptor(adapter)
    }) else {
        return;
    };
    let pipeline = pipeline(&host.share().unwrap());
    let mut run = pipeline.start(&request()).unwrap();
    let error = run.finish_on_gpu().unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    let error = error.to_string();
    assert!(error.contains("88×72") && error.contains("80"), "{error}");
    assert_eq!(run.next_step().unwrap().unwrap().index, 0, "none was done");
    let image = run.finish().unwrap().remove(0);
    let expected = pipeline.generate(&request()).unwrap().remove(0);
    assert!(image == expected);
    // What the second pass makes of it is the picture's size.
    let hires = request().size(64, 64).hires(Hires {
        scale: 1.5,
        ..Hires::default()
    });
    let error = pipeline.start(&hires).unwrap().finish_on_gpu().unwrap_err();
    assert!(error.to_string().contains("96×96"), "{error}");
    assert_eq!(host.errors.load(Ordering::SeqCst), 0);
}

#[test]
fn what_was_called_off_gives_no_texture() {
    let Some(device) = graphics() else {
        return;
    };
    let pipeline = pipeline(device);
    let mut run = pipeline.start(&request()).unwrap();
    while run.next_step().unwrap().is_some() {}
    run.canceller().cancel();
    let error = run.finish_on_gpu().unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}

#[test]
fn the_interpreter_has_no_textures() {
    let device = Device::reference();
    assert!(device.wgpu().is_none());
    let pipeline = pipeline(&device);
    let request = Request::new("").size(8, 8).steps(1);
    let mut run = pipeline.start(&request).unwrap();
    let error = run.finish_on_gpu().unwrap_err();
    assert!(error.to_string().contains("Run::finish"), "{error}");
    assert_eq!(run.finish().unwrap().len(), 1);
}
