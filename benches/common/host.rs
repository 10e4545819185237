//! An app that draws with a device of its own, and lends it.

use aquatint::wgpu;
use aquatint::{Device, DeviceOptions};
use std::error::Error;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How often it draws: sixty times a second.
const FRAME: Duration = Duration::from_micros(16_667);

/// A triangle that covers all, in stripes.
const SHADER: &str = "
    @vertex
    fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
        return vec4(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
    }

    @fragment
    fn colour(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
        return vec4(fract(at.xy / 64.0), 0.5, 1.0);
    }
";
const SIZE_PX: [u32; 2] = [320, 240];
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// The app. It draws into a texture in place of a window.
pub(crate) struct Host {
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
    view: wgpu::TextureView,
    pipeline: wgpu::RenderPipeline,
}

impl Host {
    /// Opens the adapter of that name; none where there is no such one.
    pub(crate) fn open(adapter: &str) -> Result<Option<Self>, Box<dyn Error>> {
        let instance = wgpu::InstanceDescriptor::new_without_display_handle();
        let instance = wgpu::Instance::new(instance);
        let adapters = instance.enumerate_adapters(wgpu::Backends::all());
        let mut adapters = pollster::block_on(adapters).into_iter();
        let Some(adapter) = adapters.find(|one| one.get_info().name == adapter) else {
            return Ok(None);
        };
        let asked_for = Device::descriptor(&adapter);
        let (device, queue) = pollster::block_on(adapter.request_device(&asked_for))?;
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("in place of a window"),
            size: wgpu::Extent3d {
                width: SIZE_PX[0],
                height: SIZE_PX[1],
                depth_or_array_layers: 1,
            },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        Ok(Some(Self {
            pipeline: pipeline(&device),
            view: texture.create_view(&wgpu::TextureViewDescriptor::default()),
            adapter,
            device,
            queue,
        }))
    }

    /// Lends its device, with the budget that is the default.
    pub(crate) fn share(&self) -> aquatint::Result<Device> {
        let options = DeviceOptions::default();
        Device::from_wgpu(&self.adapter, &self.device, &self.queue, &options)
    }

    /// Draws sixty frames a second, or as many as it can, while `goes_on` says so of those that were
    /// drawn. How long each took, in order of time taken.
    pub(crate) fn draw_while(
        &self,
        mut goes_on: impl FnMut(usize) -> bool,
    ) -> Result<Vec<Duration>, Box<dyn Error>> {
        let mut times = Vec::new();
        while goes_on(times.len()) {
            let start = Instant::now();
            self.draw()?;
            let took = start.elapsed();
            times.push(took);
            sleep(FRAME.saturating_sub(took));
        }
        times.sort();
        Ok(times)
    }

    /// Draws while work is done on another thread. The times as [`Host::draw_while`] tells them, and
    /// what came of the work.
    pub(crate) fn draw_during<T: Send>(
        &self,
        work: impl FnOnce() -> T + Send,
    ) -> Result<(Vec<Duration>, T), Box<dyn Error>> {
        thread::scope(|scope| {
            let worker = scope.spawn(work);
            let times = self.draw_while(|_| !worker.is_finished())?;
            let done = worker.join().map_err(|_| "the work panicked")?;
            Ok((times, done))
        })
    }

    /// Draws a frame and waits until it is there to be seen.
    fn draw(&self) -> Result<(), wgpu::PollError> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("a frame"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..wgpu::RenderPassDescriptor::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.draw(0..3, 0..1);
        drop(pass);
        let frame = self.queue.submit([encoder.finish()]);
        self.device.poll(wgpu::PollType::Wait {
            submission_index: Some(frame),
            timeout: None,
        })?;
        Ok(())
    }
}

fn pipeline(device: &wgpu::Device) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("a frame"),
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("a frame"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("corner"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("colour"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(FORMAT.into())],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        multiview_mask: None,
        cache: None,
    })
}

/// The time that this share of sorted times does not exceed.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}
