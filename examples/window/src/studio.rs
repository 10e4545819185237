//! The thread that makes pictures: it waits for the device, so that the window never has to.

use aquatint::{Device, Image, LoadProgress, Model, Pipeline, Request, Result, Step};
use eframe::egui;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// A step is done.
    Step(Step),
    /// The picture is done.
    Done(Image),
    Cancelled,
    Failed(String),
}

/// The window's end of the thread.
pub(crate) struct Studio {
    orders: Sender<Order>,
    news: Receiver<News>,
    is_cancelled: Arc<AtomicBool>,
}

impl Studio {
    /// Starts the thread, which wakes the window when there is news.
    pub(crate) fn open(device: Device, window: egui::Context) -> Self {
        let (orders, received) = channel();
        let (told, news) = channel();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let painter = Painter {
            device,
            pipeline: None,
            is_cancelled: Arc::clone(&is_cancelled),
            tell: Box::new(move |news| {
                // The window may be closed by now: then nobody is left to be told.
                if told.send(news).is_ok() {
                    window.request_repaint();
                }
            }),
        };
        thread::spawn(move || painter.work(&received));
        Self {
            orders,
            news,
            is_cancelled,
        }
    }

    /// Gives an order. It is begun when the one before is over.
    pub(crate) fn order(&self, order: Order) {
        self.is_cancelled.store(false, Ordering::Relaxed);
        self.orders
            .send(order)
            .expect("the thread waits for orders");
    }

    /// Cancels the order under way, which is over when [`News::Cancelled`] comes.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
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
    is_cancelled: Arc<AtomicBool>,
    tell: Box<dyn Fn(News) + Send>,
}

impl Painter {
    /// Works until the window is closed.
    fn work(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let news = match self.paint(order) {
                Ok(Some(picture)) => News::Done(picture),
                Ok(None) => News::Cancelled,
                Err(error) => News::Failed(error.to_string()),
            };
            (self.tell)(news);
        }
    }

    /// Makes a picture; none where it was cancelled.
    fn paint(&mut self, order: Order) -> Result<Option<Image>> {
        let mut run = self.load(order.model)?.start(&order.request)?;
        while let Some(step) = run.next_step()? {
            (self.tell)(News::Step(step));
            if self.is_cancelled.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some(run.finish()?.remove(0)))
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
