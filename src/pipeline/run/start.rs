//! Everything before the first step.

use super::{Canceller, Run};
use crate::error::{Error, Result};
use crate::ops::STATE_SLOTS;
use crate::pipeline::brownian::BrownianNoise;
use crate::pipeline::denoiser::Share;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::hires::Pass;
use crate::pipeline::latent::LatentShape;
use crate::pipeline::noise::RunNoise;
use crate::pipeline::plans::Placement;
use crate::pipeline::refiner::Planned;
use crate::pipeline::request::{Noise, Request};
use crate::pipeline::tasks::{Enlarged, First, Painting, Start};
use crate::pipeline::trace::Trace;
use crate::pipeline::vae::{Decoder, Encoder};

/// What a pass is given beside its request.
pub(super) struct Given {
    /// Whether it takes the encoder too.
    pub(super) encoder: bool,
    pub(super) painting: Option<Painting>,
    pub(super) trace: Option<Trace>,
    /// What is left of it, of a run that goes on.
    pub(super) noise: Option<RunNoise>,
}

impl Run {
    /// Everything before the first step of a resolved request: tokens, embeddings, the table, and
    /// memory for all parts, unless they take turns.
    pub(in crate::pipeline) async fn start(
        pipeline: &Pipeline,
        request: Request,
        placement: Placement,
        trace: Option<Trace>,
    ) -> Result<Self> {
        Self::start_pass(pipeline, request, placement, trace, None).await
    }

    /// As [`Run::start`], the second pass where there is something from a first.
    pub(super) async fn start_pass(
        pipeline: &Pipeline,
        request: Request,
        placement: Placement,
        trace: Option<Trace>,
        enlarged: Option<Enlarged>,
    ) -> Result<Self> {
        let pass = match enlarged {
            None => Pass::First,
            Some(_) => Pass::Second,
        };
        let given = Given {
            encoder: pass.encodes(&request),
            painting: Painting::of(pipeline.model(), &request)?,
            trace,
            noise: None,
        };
        let (mut run, encoder) = Self::ready(pipeline, request, placement, pass, given).await?;
        run.begin(enlarged, encoder).await?;
        Ok(run)
    }

    /// All parts of a pass at hand, the encoder's among them where it is asked for, and none of them begun.
    pub(super) async fn ready(
        pipeline: &Pipeline,
        request: Request,
        placement: Placement,
        pass: Pass,
        given: Given,
    ) -> Result<(Self, Option<Encoder>)> {
        let model = pipeline.model();
        let latent = model.latent_size(request.width(), request.height())?;
        let shape = LatentShape {
            batch: request.batch_size,
            chw: [model.config.vae.latent_channels, latent[0], latent[1]],
        };
        let planned = pipeline.planned(&request, pass)?;
        pipeline.rest_refiner(&request, pass, &planned, placement)?;
        let Planned { table, hand_over } = planned;
        let Given {
            encoder,
            painting,
            mut trace,
            noise,
        } = given;
        if let (Some(Noise::Recorded(_)), Some(2..)) =
            (&request.noise, painting.as_ref().map(Painting::round_count))
        {
            return Err(Error::Unsupported(
                "recorded noise for a picture that is drawn in several rounds; use a seed".into(),
            ));
        }
        let noise = match noise {
            Some(noise) => noise,
            None => RunNoise::start(&request, shape, table.noise_count())?,
        };
        let round = painting.as_ref().map_or(0, Painting::done);
        let brownian = BrownianNoise::of_round(&request, &table, shape, round);
        let share = Share::of(pipeline, &request, &table, shape)?;
        let refining = hand_over.map(|hand_over| hand_over.share(&request, &table, shape));
        let refining = refining.transpose()?;
        let mut vae = Decoder::parts(latent, placement);
        if pass.encodes(&request) {
            vae.extend(Encoder::parts(latent, placement));
        }
        share.make_room(&vae, placement);
        if let Some((_, share)) = &refining {
            share.make_room(&[], placement);
        }
        // All taken now, so that what does not fit is known before the first step.
        let reserved = share.reserve(placement).await?;
        let refining = match refining {
            Some((row, share)) => Some((row, share.reserve(placement).await?)),
            None => None,
        };
        let decoder = Decoder::take_what_fits(pipeline, latent, &request, placement).await?;
        let encoder = match encoder {
            true => Some(Encoder::take(pipeline, latent, request.precision, placement).await?),
            false => None,
        };
        let denoiser = reserved.condition(scope(pass), trace.as_mut()).await?;
        let refiner = match refining {
            Some((row, reserved)) => {
                Some((row, reserved.condition("refiner.", trace.as_mut()).await?))
            }
            None => None,
        };
        let steps_to_come = match pass {
            Pass::First => pipeline.second_step_count(&request)?,
            Pass::Second => 0,
        };
        let mut run = Self {
            pipeline: pipeline.clone(),
            asked: request.clone(),
            pass,
            steps_done: 0,
            steps_to_come,
            request,
            table,
            row: 0,
            shape,
            noise,
            brownian,
            denoiser,
            left: None,
            refiner,
            decoder,
            placement,
            painting,
            warnings: Vec::new(),
            trace,
            canceller: Canceller::default(),
            is_over: false,
            claim: None,
        };
        run.warnings = run.gathered_warnings()?;
        Ok((run, encoder))
    }

    /// Makes the first latent, and begins with it.
    async fn begin(&mut self, enlarged: Option<Enlarged>, encoder: Option<Encoder>) -> Result<()> {
        let start = Start {
            model: self.pipeline.model(),
            request: &self.request,
            table: &self.table,
            shape: self.shape,
            noise: &mut self.noise,
        };
        let mut first = match enlarged {
            None => {
                let (task, painting) = (&self.request.task, self.painting.as_ref());
                task.prepare(start, painting, encoder).await?
            }
            Some(enlarged) => enlarged.prepare(start, encoder).await?,
        };
        self.denoiser.give(&mut first);
        if let Some(trace) = &mut self.trace {
            let (scope, shape) = (scope(self.pass), self.shape.nchw());
            trace.add(format!("{scope}latents_init"), &shape, &first.unit_normal);
            for (i, normal) in first.encoder_noise.iter().enumerate() {
                trace.add(format!("{scope}encoder_noise.{i:03}"), &shape, normal);
            }
        }
        let state = state_of(self.shape, &first);
        self.denoiser.begin(self.row, &state).await
    }

    /// What the user should know of a run that is about to begin.
    fn gathered_warnings(&self) -> Result<Vec<String>> {
        let (request, device) = (&self.request, self.pipeline.device());
        let mut warnings = request.task.warnings();
        warnings.extend(self.denoiser.warnings().iter().cloned());
        if let Some((_, refiner)) = &self.refiner {
            let new = refiner.warnings().iter();
            let new: Vec<_> = new.filter(|new| !warnings.contains(new)).collect();
            warnings.extend(new.into_iter().cloned());
        }
        if request.precision.compute_on(device)? != self.placement.compute {
            let limit = "activations are stored in f16, since f32 would not fit; the picture may \
                         differ a little";
            warnings.push(limit.to_owned());
        }
        if let (Some(side), None) = (self.decoder.vae_tile(), request.vae_tile) {
            warnings.push(format!(
                "the picture is decoded in tiles of {} pixels, since all of it would not fit; it may \
                 differ a little",
                side * self.pipeline.model().config.vae_scale_factor
            ));
        }
        Ok(warnings)
    }
}

/// What stands before the names of a pass in a trace.
fn scope(pass: Pass) -> &'static str {
    match pass {
        Pass::First => "",
        Pass::Second => "hires.",
    }
}

/// The state that a run or a round begins with.
pub(super) fn state_of(shape: LatentShape, first: &First) -> Vec<f32> {
    let mut state = shape.channels_last(&first.latents);
    state.resize(STATE_SLOTS * shape.len(), 0.0);
    state
}
