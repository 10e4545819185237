//! A host that draws with wgpu itself shares its device: it goes on with its frames while a picture is
//! made on another thread, and calls the rest of a second one off.
//!
//! ```text
//! cargo run --release --example own_device -- apple.png
//! ```

use aquatint::wgpu;
use aquatint::{Device, DeviceOptions, Error, Image, Model, Pipeline, Request};
use std::error::Error as StdError;
use std::thread;
use std::time::{Duration, Instant};

/// How often the host draws.
const FRAME: Duration = Duration::from_millis(16);

fn main() -> Result<(), Box<dyn StdError>> {
    let file = std::env::args().nth(1);
    share(file.as_deref().unwrap_or("apple.png"))
}

pub(crate) fn share(file: &str) -> Result<(), Box<dyn StdError>> {
    // The host opens its device with what aquatint can use, and whatever it needs itself.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: Device::required_features(&adapter),
        required_limits: Device::required_limits(&adapter),
        ..Default::default()
    }))?;

    // The host's frames wait for no more than this.
    let options = DeviceOptions {
        submission_budget: Some(Duration::from_millis(50)),
        ..DeviceOptions::default()
    };
    let shared = Device::from_wgpu(&adapter, &device, &queue, &options)?;
    let pipeline = Pipeline::new(&shared, Model::demo()?)?;

    let artist = pipeline.clone();
    let request = Request::new("a red apple").steps(8).seed(1);
    let worker = thread::spawn(move || -> aquatint::Result<Image> {
        Ok(artist.generate(&request)?.remove(0))
    });
    let mut frames = Frames::new(&device, &queue);
    while !worker.is_finished() {
        frames.draw();
        thread::sleep(FRAME);
    }
    let image = worker.join().map_err(|_| "the worker panicked")??;
    image.save_over(file)?;
    println!(
        "{file}: {} frames meanwhile, the slowest {:?}",
        frames.count, frames.slowest
    );

    // From any thread, a canceller calls a run off.
    let run = pipeline.start(&Request::new("a green pear").steps(50).seed(1))?;
    let canceller = run.canceller();
    let worker = thread::spawn(move || run.finish());
    thread::sleep(FRAME);
    canceller.cancel();
    match worker.join().map_err(|_| "the worker panicked")? {
        Err(Error::Cancelled) => println!("the second picture was called off"),
        Err(error) => return Err(error.into()),
        Ok(_) => println!("the second picture was done before it could be called off"),
    }
    Ok(())
}

/// What the host draws: here nothing but a colour.
struct Frames<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    view: wgpu::TextureView,
    count: u32,
    slowest: Duration,
}

impl<'a> Frames<'a> {
    fn new(device: &'a wgpu::Device, queue: &'a wgpu::Queue) -> Self {
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("the host's window"),
            size: wgpu::Extent3d {
                width: 320,
                height: 240,
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8UnormSrgb,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        Self {
            device,
            queue,
            view: target.create_view(&wgpu::TextureViewDescriptor::default()),
            count: 0,
            slowest: Duration::ZERO,
        }
    }

    /// Draws a frame and waits for it, as presenting it would.
    fn draw(&mut self) {
        let start = Instant::now();
        let mut encoder = self.device.create_command_encoder(&Default::default());
        drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("a frame"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLUE),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        }));
        let frame = self.queue.submit([encoder.finish()]);
        let done = self.device.poll(wgpu::PollType::Wait {
            submission_index: Some(frame),
            timeout: None,
        });
        assert!(done.is_ok(), "the frame is drawn");
        self.count += 1;
        self.slowest = self.slowest.max(start.elapsed());
    }
}
