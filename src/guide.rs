//! aquatint in your app: a walk through what an app does, from loading a model to mending what failed.
//!
//! Every piece of code here is compiled by the tests.
//!
//! # Load
//!
//! A [`Device`](crate::Device) is opened once; a [`Pipeline`](crate::Pipeline) is a model on it. Opening a
//! [`Model`](crate::Model) reads no weights: it says what a file is, and fails early where something is
//! missing.
//!
//! ```no_run
//! use aquatint::{Device, Model, Pipeline};
//!
//! # fn main() -> aquatint::Result<()> {
//! let device = Device::best()?; // or Device::select("nvidia"); Device::list() has all
//! let model = Model::open("sd-v1-5.safetensors")?; // a file or a diffusers folder
//! println!("{} on {}", model.name(), device.info().name);
//! let pipeline = Pipeline::with_progress(&device, model, &mut |loaded| {
//!     println!("{} of {} bytes", loaded.done_bytes, loaded.total_bytes);
//! })?;
//! # drop(pipeline);
//! # Ok(())
//! # }
//! ```
//!
//! `Device::reference()` computes on the CPU without any driver: slow, for tests. Parts from other files
//! are given by [`ModelFiles`](crate::ModelFiles); a [`Library`](crate::Library) finds the models that
//! other programs have on this machine. A pipeline may have a refiner
//! ([`Pipeline::with_refiner`](crate::Pipeline::with_refiner)).
//!
//! # Ask
//!
//! A [`Request`](crate::Request) is plain data: what is not said is the model's default, and serde makes
//! JSON of it, for files and other processes. Every picture carries its request in its file, from which
//! [`Recipe::read`](crate::Recipe::read) takes it back.
//!
//! ```no_run
//! use aquatint::{Image, Request, Task};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request::new("a lighthouse in a storm").size(768, 512).steps(28).seed(7);
//! let json = serde_json::to_string(&request)?;
//! let same: Request = serde_json::from_str(&json)?;
//! assert_eq!(same, request);
//!
//! let image = Image::open("photo.jpg")?.into();
//! let painted = request.task(Task::ImageToImage { image, strength: 0.6 });
//! # drop(painted);
//! # Ok(())
//! # }
//! ```
//!
//! # Progress and cancelling
//!
//! A [`Run`](crate::Run) is a loop of yours: between two steps you draw a bar, or stop by dropping it. Nothing
//! is left behind, and the pipeline makes the next picture. What is to stop it from another thread, even
//! in the middle of a step, takes its [`Canceller`](crate::Canceller).
//!
//! ```no_run
//! use aquatint::{Canceller, Image, Pipeline, Request, Result};
//!
//! fn draw(
//!     pipeline: &Pipeline,
//!     request: &Request,
//!     started: &mut dyn FnMut(Canceller), // to a button: canceller.cancel()
//! ) -> Result<Vec<Image>> {
//!     let mut run = pipeline.start(request)?;
//!     started(run.canceller());
//!     for warning in run.warnings() {
//!         println!("{warning}"); // such as where the prompt was cut
//!     }
//!     while let Some(step) = run.next_step()? { // Error::Cancelled, if it was called off
//!         println!("{} of {}", step.index + 1, step.count);
//!         show(&run.preview()?); // small pictures of what it is becoming
//!     }
//!     run.finish()
//! }
//! # fn show(_: &[Image]) {}
//! ```
//!
//! Calls block. An app with a window draws on a thread of its own: a pipeline is cheap to clone, and may be
//! sent to it.
//!
//! ```no_run
//! use aquatint::{Image, Pipeline, Request, Result};
//! use std::sync::mpsc::{self, Receiver};
//! use std::thread;
//!
//! fn draw_beside(pipeline: &Pipeline, request: Request) -> Receiver<Result<Vec<Image>>> {
//!     let (sender, receiver) = mpsc::channel();
//!     let pipeline = pipeline.clone();
//!     thread::spawn(move || {
//!         // Where the window is gone, nobody wants the picture.
//!         drop(sender.send(pipeline.generate(&request)));
//!     });
//!     receiver // receiver.try_recv() in each frame
//! }
//! ```
//!
//! The folder `examples/window` is such an app as a whole.
//!
//! Loading is called off by [`LoadOptions::canceller`](crate::LoadOptions::canceller), what comes before the
//! first step by [`Pipeline::start_with_canceller`](crate::Pipeline::start_with_canceller).
//!
//! Where there is an executor already, [`with_options_async`](crate::Pipeline::with_options_async),
//! [`start_async`](crate::Pipeline::start_async), [`generate_async`](crate::Pipeline::generate_async),
//! [`Run::next_step_async`](crate::Run::next_step_async) and [`Run::finish_async`](crate::Run::finish_async) wait as futures on any; dropping one cancels.
//!
//! # An app that draws with wgpu
//!
//! A host opens its device with what aquatint can use, and shares it. Its own frames go on meanwhile: no more
//! is on its way to the device at once than takes the budget.
//!
//! ```no_run
//! use aquatint::{Device, DeviceOptions, wgpu};
//! use std::time::Duration;
//!
//! fn share(
//!     adapter: &wgpu::Adapter,
//!     device: &wgpu::Device, // opened with Device::required_features and Device::required_limits
//!     queue: &wgpu::Queue,
//! ) -> aquatint::Result<Device> {
//!     let options = DeviceOptions {
//!         submission_budget: Some(Duration::from_millis(50)),
//!         ..DeviceOptions::default()
//!     };
//!     Device::from_wgpu(adapter, device, queue, &options)
//! }
//! ```
//!
//! [`Device::descriptor`](crate::Device::descriptor) says all at once what to ask an adapter for. The handlers
//! of the host stay its own; what goes wrong in aquatint is an error of the call that met it.
//!
//! The picture may stay on the device, as a texture that the host draws; nothing is read back. The run that
//! made it can be kept to save it later, with its texts.
//!
//! ```no_run
//! use aquatint::{Image, Pipeline, Request, Result, wgpu};
//!
//! fn draw(pipeline: &Pipeline, request: &Request) -> Result<(wgpu::TextureView, Image)> {
//!     let mut run = pipeline.start(request)?;
//!     let texture = run.finish_on_gpu()?.remove(0); // one for each picture of a batch
//!     let view = texture.create_view(&wgpu::TextureViewDescriptor {
//!         // For a renderer in linear light. Toolkits that work in sRGB, as egui does, take the default view.
//!         format: Some(wgpu::TextureFormat::Rgba8UnormSrgb),
//!         usage: Some(wgpu::TextureUsages::TEXTURE_BINDING),
//!         ..Default::default()
//!     });
//!     Ok((view, run.finish()?.remove(0))) // or drop the run, where nothing is to be saved
//! }
//! ```
//!
//! It is the same picture to the byte. egui shows it by `register_native_texture`, as `examples/window` does; a
//! device that aquatint opened itself is there for it too ([`Device::wgpu`](crate::Device::wgpu)).
//!
//! # Pixels
//!
//! An [`Image`](crate::Image) holds RGBA, 8 bits in sRGB, rows from the top, as most toolkits take them. It
//! is saved as PNG with the texts that make it again; what exists is not overwritten unless you say so.
//!
//! ```no_run
//! use aquatint::{Image, Result};
//!
//! fn show(image: &Image) -> Result<()> {
//!     let (width, height, pixels) = (image.width(), image.height(), image.pixels());
//!     assert_eq!(pixels.len(), 4 * width * height);
//!     image.save("lighthouse.png")?; // save_over replaces
//!     let clipboard = image.to_png()?;
//!     # drop(clipboard);
//!     Ok(())
//! }
//! ```
//!
//! # Memory
//!
//! What a request takes is known before anything runs. Under a limit, text encoder, UNet and VAE take turns
//! on the device, and the VAE works in tiles, before a request is refused.
//!
//! ```no_run
//! use aquatint::{Device, Error, LoadOptions, Model, Pipeline, Request, Residence};
//!
//! # fn main() -> aquatint::Result<()> {
//! let device = Device::best()?;
//! let options = LoadOptions { vram_bytes: Some(6_000_000_000), ..LoadOptions::default() };
//! let model = Model::open("sdxl.safetensors")?;
//! let pipeline = Pipeline::with_options(&device, model, &options, &mut |_| ())?;
//!
//! let request = Request::new("a castle").size(2048, 2048);
//! match pipeline.memory(&request) {
//!     Ok(memory) if memory.residence == Residence::InTurn => println!("slower: {memory}"),
//!     Ok(memory) => println!("{memory}"),
//!     Err(Error::OutOfMemory { needed_bytes, .. }) => println!("needs {needed_bytes:?}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Weights are the device's as long as any clone of the pipeline lives; dropping the last gives them back. Two
//! pipelines of the same file share them.
//!
//! # Several models
//!
//! [`Pipeline::swap`](crate::Pipeline::swap) loads another model under the same limit and gives back the one
//! before. Models that are not at work leave the device when others need it, the least recently used first,
//! and come back when they are drawn with.
//!
//! ```no_run
//! use aquatint::{Image, Model, Pipeline, Request, Result};
//! use std::collections::HashMap;
//! use std::mem;
//!
//! struct App {
//!     pipeline: Pipeline,
//!     others: HashMap<String, Pipeline>, // by the names of their models
//! }
//!
//! impl App {
//!     fn draw_with(&mut self, name: &str, request: &Request) -> Result<Vec<Image>> {
//!         if self.pipeline.model().name() != name {
//!             let last = match self.others.remove(name) {
//!                 Some(known) => mem::replace(&mut self.pipeline, known),
//!                 None => self.pipeline.swap(Model::open(format!("models/{name}.safetensors"))?)?,
//!             };
//!             self.others.insert(last.model().name().to_owned(), last);
//!         }
//!         self.pipeline.generate(request)
//!     }
//! }
//! ```
//!
//! # Errors, and what to do
//!
//! [`Error`](crate::Error) says what a caller can mend, and its message is fit for the app's user. A failed
//! run leaves the pipeline whole, but for a lost device, with which everything on it is gone.
//!
//! ```no_run
//! use aquatint::{Device, Error, Image, Pipeline, Request, Result};
//!
//! fn draw(pipeline: &mut Pipeline, file: &str, request: &Request) -> Result<Vec<Image>> {
//!     match pipeline.generate(request) {
//!         // A driver's reset, a laptop's dock: open it again, once.
//!         Err(Error::DeviceLost { .. }) => {
//!             *pipeline = Pipeline::load(&Device::best()?, file)?;
//!             pipeline.generate(request)
//!         }
//!         // Another program took the memory meanwhile.
//!         Err(Error::OutOfMemory { .. }) => {
//!             pipeline.generate(&request.clone().size(512, 512).batch_size(1))
//!         }
//!         // A field out of range: `field` names it, for the form.
//!         other => other,
//!     }
//! }
//! ```
//!
//! # A device that is lost
//!
//! A driver's reset takes everything that is on the device, and with it the run. A
//! [`Checkpoint`](crate::Checkpoint) is kept on the host, a megabyte or so for a picture, and a pipeline that
//! was loaded again from the same files goes on from it: with the same pictures, to the bit, if the device is
//! of the same kind.
//!
//! ```no_run
//! use aquatint::{Checkpoint, Device, Error, Image, Pipeline, Request, Result, Run};
//!
//! fn draw(pipeline: &mut Pipeline, file: &str, request: &Request) -> Result<Vec<Image>> {
//!     let mut kept = None;
//!     match pipeline.start(request).and_then(|run| finish(run, &mut kept)) {
//!         Err(Error::DeviceLost { .. }) => {
//!             *pipeline = Pipeline::load(&Device::best()?, file)?; // a host's: open it, and share it again
//!             match &kept {
//!                 Some(checkpoint) => pipeline.resume(checkpoint)?.finish(),
//!                 None => pipeline.generate(request),
//!             }
//!         }
//!         other => other,
//!     }
//! }
//!
//! fn finish(mut run: Run, kept: &mut Option<Checkpoint>) -> Result<Vec<Image>> {
//!     while run.next_step()?.is_some() {
//!         *kept = Some(run.checkpoint()?);
//!     }
//!     run.finish()
//! }
//! ```
//!
//! It serves as well to put a run off: keep it, drop it, and go on with it when the device is free.
//!
//! # From other languages
//!
//! `libaquatint_c` and `aquatint.h` (crate `aquatint-capi`, folder `capi`) are the same in C:
//!
//! ```text
//! AquatintError *error = aquatint_generate(pipeline, "{\"prompt\": \"a fox\", \"seed\": 7}", NULL, step, NULL, &images);
//! if (error != NULL) {
//!     fprintf(stderr, "%s\n", aquatint_error_message(error));
//!     aquatint_error_free(error);
//! }
//! ```
//!
//! Requests are the JSON from above; errors are values with a code; a callback hears of each step, and what
//! it returns cancels, as an `AquatintCanceller` does from another thread. `capi/examples/draw.c` is a whole program.
