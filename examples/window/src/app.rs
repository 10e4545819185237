//! What the window shows.

use crate::shown::{Preview, Shown};
use crate::studio::{News, Order, Studio};
use aquatint::{Canceller, Device, DeviceOptions, Library, ModelKind, Request};
use eframe::egui::{self, Key, ViewportCommand};
use eframe::egui_wgpu::RenderState;
use std::path::PathBuf;

/// The window.
pub(crate) struct App {
    /// What the window is drawn with.
    host: RenderState,
    studio: Studio,
    models: Vec<Choice>,
    chosen: usize,
    prompt: String,
    seed: u64,
    state: State,
    /// Calls off the run under way.
    canceller: Option<Canceller>,
    /// The picture that was drawn last.
    picture: Option<Shown>,
    /// What the one under way is becoming, and how wide and high it is to be.
    preview: Option<Preview>,
    size: [usize; 2],
}

/// A model to choose.
struct Choice {
    name: String,
    /// None for the demo model.
    path: Option<PathBuf>,
}

/// What is going on.
enum State {
    /// Nothing; what there is to say of the last picture.
    Idle(String),
    /// A picture is being made: how much of it is done, and what.
    Busy(f32, String),
}

impl App {
    /// A window on the device that eframe opened.
    pub(crate) fn new(context: &eframe::CreationContext<'_>) -> aquatint::Result<Self> {
        let host = context.wgpu_render_state.as_ref();
        let host = host.expect("the window is drawn with wgpu");
        let options = DeviceOptions::default();
        let device = Device::from_wgpu(&host.adapter, &host.device, &host.queue, &options)?;
        Ok(Self {
            host: host.clone(),
            studio: Studio::open(device, context.egui_ctx.clone()),
            models: models(),
            chosen: 0,
            prompt: String::new(),
            seed: 0,
            state: State::Idle(String::new()),
            canceller: None,
            picture: None,
            preview: None,
            size: [0; 2],
        })
    }

    fn draw(&mut self) {
        let request = Request::new(self.prompt.trim()).seed(self.seed);
        let model = self.models[self.chosen].path.clone();
        self.studio.order(Order { model, request });
        self.canceller = None;
        self.state = State::Busy(0.0, "starting".into());
    }

    /// Takes in what the studio has to tell. The window's title says so too, to who looks elsewhere.
    fn hear(&mut self, window: &egui::Context) {
        for news in self.studio.news() {
            self.state = match news {
                News::Loading(progress) => {
                    let share = progress.done_bytes as f32 / progress.total_bytes.max(1) as f32;
                    State::Busy(share, "loading the model".into())
                }
                News::Started(canceller, size) => {
                    self.canceller = Some(canceller);
                    self.size = size;
                    State::Busy(0.0, "drawing".into())
                }
                News::Step(step, preview) => {
                    let preview = preview.map(|image| Preview::new(window, &image, self.size));
                    self.preview = preview.or(self.preview.take());
                    let done = step.index + 1;
                    let share = done as f32 / step.count as f32;
                    State::Busy(share, format!("step {done} of {}", step.count))
                }
                News::Done(picture) => {
                    self.picture = Some(Shown::new(&self.host, &picture));
                    State::Idle("done".into())
                }
                News::Cancelled => State::Idle("cancelled".into()),
                News::Failed(reason) => State::Idle(reason),
            };
            if matches!(self.state, State::Idle(_)) {
                self.preview = None;
            }
            let (State::Idle(said) | State::Busy(_, said)) = &self.state;
            let title = format!("aquatint: {said}");
            window.send_viewport_cmd(ViewportCommand::Title(title));
        }
    }

    /// The column of what can be chosen and typed.
    fn controls(&mut self, ui: &mut egui::Ui) {
        ui.add_space(8.0);
        ui.label("Model");
        egui::ComboBox::from_id_salt("model")
            .width(ui.available_width())
            .selected_text(&self.models[self.chosen].name)
            .show_ui(ui, |ui| {
                for (index, model) in self.models.iter().enumerate() {
                    ui.selectable_value(&mut self.chosen, index, &model.name);
                }
            });
        ui.add_space(8.0);
        ui.label("Prompt");
        let prompt = egui::TextEdit::singleline(&mut self.prompt).desired_width(f32::INFINITY);
        let prompt = ui.add(prompt);
        let is_entered = prompt.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if is_entered || ui.memory(|memory| memory.focused().is_none()) {
            prompt.request_focus();
        }
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.label("Seed");
            ui.add(egui::DragValue::new(&mut self.seed));
        });
        ui.add_space(8.0);
        match &self.state {
            State::Idle(said) => {
                let said = said.clone();
                if ui.button("Draw").clicked() || is_entered {
                    self.draw();
                }
                ui.label(said);
            }
            State::Busy(share, doing) => {
                ui.add(egui::ProgressBar::new(*share).text(doing.as_str()));
                let is_escape = ui.input(|input| input.key_pressed(Key::Escape));
                if let Some(canceller) = &self.canceller
                    && (ui.button("Cancel").clicked() || is_escape)
                {
                    canceller.cancel();
                }
            }
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        self.hear(ui.ctx());
        egui::Panel::left("controls")
            .default_size(300.0)
            .show(ui, |ui| self.controls(ui));
        egui::CentralPanel::default().show(ui, |ui| match (&self.preview, &self.picture) {
            (Some(preview), _) => preview.draw(ui),
            (None, Some(picture)) => picture.draw(ui),
            (None, None) => (),
        });
    }
}

/// The demo model, and all on this machine.
fn models() -> Vec<Choice> {
    let mut choices = vec![Choice {
        name: "demo".into(),
        path: None,
    }];
    let found = Library::open().map(|library| library.models());
    let found = found.unwrap_or_default().into_iter();
    let found = found.filter(|model| model.kind == ModelKind::Model && model.problem.is_none());
    choices.extend(found.map(|model| Choice {
        name: model.name,
        path: Some(model.path),
    }));
    choices
}
