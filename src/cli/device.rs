//! Which device, and how much of it: the flags that say so, and how a model gets there.

use aquatint::{Device, DeviceOptions, LoadOptions, Model, Pipeline, kernel_report};
use clap::Args;

use super::failure::Outcome;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::values::bytes;

/// The name of the CPU interpreter among devices.
const REFERENCE: &str = "reference";

/// Which device, and how much of its memory.
#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// Graphics adapter to use: its index or a part of its name [default: the fastest kind]
    ///
    /// `aquatint devices` lists them. `reference` computes every operation by its plain
    /// definition on the CPU: slow, needs no driver, for checking. The same picture to the last bit
    /// is promised on the same device only.
    #[arg(long, value_name = "INDEX|NAME")]
    device: Option<String>,

    /// Most of the device's memory to use, as in 6GB or 800MiB [default: what the adapter says it has]
    ///
    /// Where weights and activations do not fit together, text encoder, UNet and decoder are on the
    /// device in turn, each read from the file again; the picture is the same. Where the decoder does
    /// not fit even so, it works in tiles (--vae-tile). What does not fit then is refused before
    /// anything runs, with what each part needs.
    #[arg(long, value_name = "LIMIT", value_parser = bytes)]
    vram: Option<u64>,

    /// Leave what `aquatint tune` found out of account
    #[arg(long)]
    no_tuning: bool,
}

impl DeviceArgs {
    /// The device of `--device`, or the best there is.
    pub(super) fn open(&self) -> Outcome<Device> {
        if self.device.as_deref() == Some(REFERENCE) {
            return Ok(Device::reference());
        }
        Ok(Device::open(&DeviceOptions {
            adapter: self.device.clone(),
            no_tuning: self.no_tuning,
            ..DeviceOptions::default()
        })?)
    }

    /// Says what earlier uses of the device left that does not hold.
    fn warn(&self, device: &Device, progress: &Progress) {
        if !self.no_tuning {
            for reason in kernel_report(device.info()).ignored {
                progress.note(format_args!("warning: {reason}"));
            }
        }
    }

    /// Puts a model on a device behind a progress bar, and a refiner after it, if there is one.
    pub(super) fn load(
        &self,
        device: &Device,
        model: Model,
        refiner: Option<Model>,
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Outcome<Pipeline> {
        self.warn(device, progress);
        let load = |model, vram_bytes| -> Outcome<Pipeline> {
            let options = LoadOptions {
                vram_bytes,
                ..LoadOptions::default()
            };
            let bar = progress.loading();
            let pipeline = Pipeline::with_options(device, model, &options, &mut |loaded| {
                interrupt.exit_if_asked();
                bar.show(&loaded);
            })?;
            interrupt.check()?;
            Ok(pipeline)
        };
        let pipeline = load(model, self.vram)?;
        let Some(refiner) = refiner else {
            return Ok(pipeline);
        };
        // The two share the memory: what is left decides whether the refiner is there from the start.
        let refiner = load(refiner, pipeline.left_bytes())?;
        Ok(pipeline.with_refiner(refiner)?)
    }
}
