//! What the benches share: arguments, the device, timing, and lines of figures.

#![allow(dead_code, reason = "no bench needs all of it")]

pub(crate) mod checkpoint;
pub(crate) mod host;
mod peaks;

use aquatint::bench::Replay;
use aquatint::{AdapterInfo, Device, DeviceOptions, Error, Precision, Rule, Rules};
use peaks::Peaks;
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "\
Arguments, after `cargo bench --bench NAME --`:
  --quick           small sizes and few samples: all benches in under a minute on two cores
  --json FILE       append one line of JSON for every line of figures
  --device NAME     an adapter's index, or part of its name; else the best one
  --side PX         side of the pictures of full-size models: in place of 256, 512 or 1024
  --precision TYPE  how activations are stored: auto, f32 or f16; auto is f32 on software devices
  --without RULE    plans without a rule, such as Hoist; may be given several times
  FILTER            only lines whose name or size contains this";

/// The shortest time worth measuring: submitting and waiting take well under a hundredth of it.
const SAMPLE: Duration = Duration::from_millis(50);
/// How many samples make one line, if it is not long.
const MIN_SAMPLES: u32 = 3;
/// The most samples of one line.
const MAX_SAMPLES: u32 = 15;
/// The most replays of one sample.
const MAX_REPLAYS: u32 = 1000;

/// What the benches end with where something is wrong.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A bench under way.
pub(crate) struct Bench {
    name: &'static str,
    args: Args,
    /// When the program began.
    pub(crate) start: Instant,
    /// The device that it runs on.
    pub(crate) device: Device,
    peaks: OnceCell<Peaks>,
}

#[derive(Default)]
struct Args {
    quick: bool,
    json: Option<PathBuf>,
    device: Option<String>,
    side_px: Option<usize>,
    precision: Precision,
    rules: Rules,
    filter: Option<String>,
}

/// What a line of figures is about.
pub(crate) struct Subject<'a> {
    /// The operation, or the part of a model.
    pub(crate) name: &'a str,
    /// The shape, or the model and the picture's size.
    pub(crate) size: &'a str,
    /// How activations are stored, then how weights are.
    pub(crate) dtype: &'a str,
}

/// What is done in a time.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// Floating-point operations, a multiply-add being two.
    pub(crate) flops: f64,
    /// Bytes that are moved, each operand once.
    pub(crate) bytes: f64,
}

/// How long one replay takes.
pub(crate) struct Timing {
    /// By the clock on the wall: the median of the samples.
    pub(crate) wall: Duration,
    /// Of all threads of this program, in the mean; `None` where the system does not tell.
    pub(crate) cpu: Option<Duration>,
    /// How many samples there were.
    pub(crate) samples: u32,
}

/// Runs a bench on the device that was asked for. Without any adapter it says so and ends well,
/// unless `AQUATINT_REQUIRE_GPU=1`.
pub(crate) fn main(name: &'static str, bench: impl FnOnce(&Bench) -> Outcome) -> ExitCode {
    let start = Instant::now();
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(reason) => {
            eprintln!("{reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let options = DeviceOptions {
        adapter: args.device.clone(),
        rules: args.rules,
        ..DeviceOptions::default()
    };
    let done = match Device::open(&options) {
        Err(error @ Error::NoAdapter(_)) => {
            let required = std::env::var("AQUATINT_REQUIRE_GPU").is_ok_and(|value| value == "1");
            println!("{name}: skipped: {error}");
            return if required {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
        Err(error) => Err(error.into()),
        Ok(device) => {
            let AdapterInfo {
                name: adapter,
                driver,
                ..
            } = device.info();
            println!("{name} on {adapter}, {driver}");
            bench(&Bench {
                name,
                args,
                start,
                device,
                peaks: OnceCell::new(),
            })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--bench" => {} // from cargo
                "--quick" => args.quick = true,
                "--json" => args.json = Some(value()?.into()),
                "--device" => args.device = Some(value()?),
                "--side" => {
                    let side = value()?.parse();
                    args.side_px = Some(side.map_err(|error| format!("--side: {error}"))?);
                }
                "--precision" => {
                    args.precision = serde_json::from_value(Value::String(value()?))
                        .map_err(|error| format!("--precision: {error}"))?;
                }
                "--without" => {
                    let name = value()?;
                    let named = |rule: &&Rule| format!("{rule:?}") == name;
                    let rule = Rule::ALL.iter().find(named);
                    let rule = rule.ok_or_else(|| format!("--without: one of {:?}", Rule::ALL))?;
                    args.rules = args.rules.without(*rule);
                }
                _ if word.starts_with('-') => return Err(format!("there is no {word}")),
                _ => args.filter = Some(word),
            }
        }
        Ok(args)
    }
}

impl Bench {
    /// Whether small sizes and few samples are asked for.
    pub(crate) fn is_quick(&self) -> bool {
        self.args.quick
    }

    /// How activations are to be stored.
    pub(crate) fn precision(&self) -> Precision {
        self.args.precision
    }

    /// The models to time with, each with its name and the side of its pictures in pixels: the demo
    /// model, and unless it shall be quick, those that the device has the strength for.
    pub(crate) fn models(
        &self,
        demo_side_px: usize,
    ) -> Outcome<Vec<(PathBuf, &'static str, usize)>> {
        let mut models = vec![(checkpoint::DEMO.into(), "demo", demo_side_px)];
        let side_px = |usual| self.args.side_px.unwrap_or(usual);
        match (self.is_quick(), self.device.info().software) {
            (true, _) => (),
            (false, true) => models.push((checkpoint::sd15()?, "SD 1.5", side_px(256))),
            (false, false) => models.extend([
                (checkpoint::sd15()?, "SD 1.5", side_px(512)),
                (checkpoint::sdxl()?, "SDXL", side_px(1024)),
            ]),
        }
        Ok(models)
    }

    /// How activations are stored, then how weights are.
    pub(crate) fn dtype(&self) -> Outcome<String> {
        let compute = aquatint::bench::compute(&self.device, self.args.precision)?;
        Ok(format!("{compute}/f16"))
    }

    /// Whether a line of that name and size is asked for.
    pub(crate) fn wants(&self, name: &str, size: &str) -> bool {
        let filter = self.args.filter.as_deref().unwrap_or_default();
        name.contains(filter) || size.contains(filter)
    }

    /// Times `sample`, which does its work as many times as it is told and waits for the end. The
    /// first run warms up: kernels are compiled and memory is touched. The second tells how many
    /// replays make a sample; where it took long, it is the only sample.
    pub(crate) fn measure(&self, mut sample: impl FnMut(u32) -> Outcome) -> Outcome<Timing> {
        let budget = Duration::from_millis(if self.is_quick() { 300 } else { 3000 });
        sample(1)?;
        let (one, cpu) = lap(1, &mut sample)?;
        let (mut walls, mut cpus) = (vec![one], vec![cpu]);
        if one < budget / 2 {
            let replays = count(SAMPLE, one).clamp(1, MAX_REPLAYS);
            let samples = count(budget, one * replays).clamp(MIN_SAMPLES, MAX_SAMPLES);
            let laps = (0..samples).map(|_| lap(replays, &mut sample));
            (walls, cpus) = laps.collect::<Outcome<Vec<_>>>()?.into_iter().unzip();
        }
        let samples = u32::try_from(walls.len())?;
        Ok(Timing {
            wall: median(walls),
            cpu: cpus
                .into_iter()
                .sum::<Option<Duration>>()
                .map(|sum| sum / samples),
            samples,
        })
    }

    /// Times a plan by submitting it some times and waiting for the device.
    pub(crate) fn time(&self, name: &str, size: &str, replay: &Replay) -> Outcome {
        self.time_with(name, size, replay, || Ok(()))
    }

    /// The same with something done after each submission.
    pub(crate) fn time_with(
        &self,
        name: &str,
        size: &str,
        replay: &Replay,
        mut after: impl FnMut() -> Outcome,
    ) -> Outcome {
        let timing = self.measure(|replays| {
            for _ in 0..replays {
                replay.run()?;
                after()?;
            }
            Ok(replay.wait()?)
        })?;
        let step = replay.report().step;
        let work = Work {
            flops: step.flops as f64,
            bytes: step.bytes as f64,
        };
        let dtype = &format!("{}/f16", replay.dtype());
        self.rate(&Subject { name, size, dtype }, &timing, work)
    }

    /// Reports a time with the work that was done in it, and what share that is of what the device
    /// can do.
    pub(crate) fn rate(&self, subject: &Subject, timing: &Timing, work: Work) -> Outcome {
        let peaks = self.peaks()?;
        let mut figures = self.rates(timing, work);
        let seconds = self.busy(timing);
        let shares = [
            ("of peak", work.flops / seconds / peaks.flops_per_second),
            ("of copy", work.bytes / seconds / peaks.bytes_per_second),
        ];
        let at = figures.len() - 1;
        figures.splice(at..at, shares.into_iter().filter(|(_, share)| *share > 0.0));
        self.report(subject, &figures)
    }

    /// The seconds that shares are of: where the device is a processor that others use as well, those
    /// that this program had it for.
    fn busy(&self, timing: &Timing) -> f64 {
        let cpu = timing.cpu.filter(|_| self.device.info().software);
        cpu.unwrap_or(timing.wall).as_secs_f64()
    }

    /// A time, work per second, and the number of samples.
    fn rates(&self, timing: &Timing, work: Work) -> Vec<(&'static str, f64)> {
        let (flops, bytes) = (work.flops / 1e9, work.bytes / 1e9);
        let seconds = timing.wall.as_secs_f64();
        let mut figures = vec![("ms", seconds * 1e3), ("GB/s", bytes / seconds)];
        if flops > 0.0 {
            figures.extend([("GFLOP", flops), ("GFLOP/s", flops / seconds)]);
            let cpu = timing.cpu.filter(|_| self.device.info().software);
            figures.extend(cpu.map(|cpu| ("GFLOP/CPU-s", flops / cpu.as_secs_f64())));
        }
        figures.push(("samples", f64::from(timing.samples)));
        figures
    }

    /// Prints a line of figures, each with its unit, and appends it to the file of `--json`.
    pub(crate) fn report(&self, subject: &Subject, figures: &[(&str, f64)]) -> Outcome {
        let Subject { name, size, dtype } = subject;
        let shown = figures
            .iter()
            .map(|(unit, value)| format!("{:>8} {unit}", digits(*value)));
        let shown: Vec<String> = shown.collect();
        println!("{name:<16} {size:<36} {dtype:<7} {}", shown.join(" "));
        let Some(path) = &self.args.json else {
            return Ok(());
        };
        let mut as_json = serde_json::Map::new();
        for (unit, value) in figures {
            as_json.insert((*unit).to_owned(), digits(*value).parse::<f64>()?.into());
        }
        let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        let command: Vec<String> = arguments.collect();
        let line = json!({
            "bench": self.name,
            "name": name,
            "size": size,
            "dtype": dtype,
            "device": self.device.info().name,
            "driver": self.device.info().driver,
            "cpus": std::thread::available_parallelism()?.get(),
            "figures": as_json,
            "command": format!("cargo bench --bench {} -- {}", self.name, command.join(" ")),
            "date": SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        });
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{line}")?)
    }
}

/// The middle one, or the upper of the two.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How often `part` fits, rounded up.
fn count(whole: Duration, part: Duration) -> u32 {
    let count = whole.as_nanos().div_ceil(part.as_nanos().max(1));
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The time of one of some replays, by the clock and on processors.
fn lap(
    replays: u32,
    sample: &mut impl FnMut(u32) -> Outcome,
) -> Outcome<(Duration, Option<Duration>)> {
    let (cpu, wall) = (cpu_time(), Instant::now());
    sample(replays)?;
    let wall = wall.elapsed();
    let cpu = cpu
        .zip(cpu_time())
        .map(|(from, to)| to.saturating_sub(from));
    Ok((wall / replays, cpu.map(|cpu| cpu / replays)))
}

/// Four significant digits; whole numbers as they are.
fn digits(value: f64) -> String {
    if value.fract() == 0.0 {
        return value.to_string();
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 9.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 9"
    )]
    let decimals = decimals as usize;
    format!("{value:.decimals$}")
}

/// Time that the threads of this program have spent on processors, from Linux' scheduler.
fn cpu_time() -> Option<Duration> {
    let mut total = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let figures = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += figures.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}
