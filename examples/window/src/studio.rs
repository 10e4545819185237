//! The thread that makes pictures: it waits for the device, so that the window never has to.

use aquatint::{
    Canceller, Device, Error, Image, LoadProgress, Model, Pipeline, Request, Result, Run, Step,
    wgpu,
};
use eframe::egui;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A picture to make.
pub(crate) struct Order {
    /// The model's file or folder; none for the demo model.
    pub(crate) model: Option<PathBuf>,
    pub(crate) request: Request,
}

/// What the window hears of the order that it gave last.
pub(crate) enum News {
    /// Weights are on their way to the device.
    Loading(LoadProgress),
    /// The run of a picture of that width and height has begun, and can be called off.
    Started(Canceller, [usize; 2]),
    /// A step is done, after which the picture is becoming this.
    Step(Step, Option<Image>),
    /// The picture is done, and on the device.
    Done(wgpu::Texture),
    Cancelled,
    Failed(String),
}

/// The window's end of the thread.
pub(crate) struct Studio {
    orders: Sender<Order>,
    news: Receiver<News>,
}

impl Studio {
    /// Starts the thread, which wakes the window when there is news.
    pub(crate) fn open(device: Device, window: egui::Context) -> Self {
        let (orders, received) = channel();
        let (told, news) = channel();
        let painter = Painter {
            device,
            pipeline: None,
            tell: Box::new(move |news| {
                // The window may be closed by now: then nobody is left to be told.
                if told.send(news).is_ok() {
                    window.request_repaint();
                }
            }),
        };
        thread::spawn(move || painter.work(&received));
        Self { orders, news }
    }

    /// Gives an order. It is begun when the one before is over.
    pub(crate) fn order(&self, order: Order) {
        self.orders
            .send(order)
            .expect("the thread waits for orders");
    }

    /// What happened since it was asked last.
    pub(crate) fn news(&self) -> impl Iterator<Item = News> {
        self.news.try_iter()
    }
}

/// What the thread works with.
struct Painter {
    device: Device,
    /// The model that was used last.
    pipeline: Option<(Option<PathBuf>, Pipeline)>,
    tell: Box<dyn Fn(News) + Send>,
}

impl Painter {
    /// Works until the window is closed.
    fn work(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let news = match self.paint(order) {
                Ok(picture) => News::Done(picture),
                Err(Error::Cancelled) => News::Cancelled,
                Err(error) => News::Failed(error.to_string()),
            };
            (self.tell)(news);
        }
    }

    fn paint(&mut self, order: Order) -> Result<wgpu::Texture> {
        let mut run = self.load(order.model)?.start(&order.request)?;
        let size = [run.request().width, run.request().height];
        let size = size.map(Option::unwrap_or_default); // defaults are filled in
        (self.tell)(News::Started(run.canceller(), size));
        while let Some(step) = run.next_step()? {
            (self.tell)(News::Step(step, preview(&run)?));
        }
        Ok(run.finish_on_gpu()?.remove(0))
    }

    /// The pipeline of a model: the one at hand, or a new one in its place.
    fn load(&mut self, path: Option<PathBuf>) -> Result<&Pipeline> {
        let at_hand = self.pipeline.take().filter(|(last, _)| *last == path);
        let pipeline = match at_hand {
            Some((_, pipeline)) => pipeline,
            None => {
                let model = match &path {
                    Some(path) => Model::open(path)?,
                    None => Model::demo()?,
                };
                let mut tell = |progress| (self.tell)(News::Loading(progress));
                Pipeline::with_progress(&self.device, model, &mut tell)?
            }
        };
        Ok(&self.pipeline.insert((path, pipeline)).1)
    }
}

/// What the picture is becoming, where that can be told of the model.
fn preview(run: &Run) -> Result<Option<Image>> {
    match run.preview() {
        Ok(mut previews) => Ok(previews.pop()),
        Err(Error::Unsupported(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
