//! The window as somebody uses it: a prompt is typed, its picture called off and asked for again, and what
//! is on the screen on the way and then is compared with the picture that the library makes.
#![cfg(target_os = "linux")]

mod screen;

use aquatint::{Device, Error, Image, Model, Pipeline, Request};
use screen::{ESCAPE, Outcome, RETURN, Screen, end, wait};
use std::env;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

const PROMPT: &str = "a slice of pizza on a light blue background";
/// The window begins with this one.
const SEED: u64 = 0;

/// By how much a channel on the screen may differ. The picture's pixels lie on the screen's and its
/// texture is drawn unchanged, so nothing but the rounding of a sampler's arithmetic is left.
const TOLERANCE: u8 = 1;

/// How long a window takes to open and a picture to be made, at most, where other tests and a cold
/// cache of shaders are in the way.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_picture_is_called_off_and_one_asked_for_again_appears() -> Outcome {
    let Some((screen, device)) = screen_and_device()? else {
        return Ok(());
    };
    let expected = expected(&device)?;
    let folder = tempfile::tempdir()?;
    let mut window = Program::start(&screen, folder.path())?;
    screen.wait_for_window(PATIENCE)?;
    wait(PATIENCE, "the window's first frame", || {
        window.check()?;
        Ok(is_drawn(&screen.shot()?).then_some(()))
    })?;
    let empty = screen.shot()?;
    assert!(place_of(&expected, &empty).is_none(), "not asked for");

    screen.type_keys(PROMPT.bytes().map(u32::from))?;
    screen.type_keys([RETURN])?;
    wait_for_title(&screen, &mut window, "step")?;
    screen.type_keys([ESCAPE])?;
    wait_for_title(&screen, &mut window, "cancelled")?;
    let cancelled = screen.shot()?;
    assert!(place_of(&expected, &cancelled).is_none(), "called off");

    screen.type_keys([RETURN])?;
    let mut before = cancelled.clone();
    let place = wait(PATIENCE, "the picture", || {
        window.check()?;
        let shot = screen.shot()?;
        shot.save_over(kept("window.png"))?;
        let place = place_of(&expected, &shot);
        if place.is_none() {
            before = shot;
        }
        Ok(place)
    });
    let seen = kept("window.png");
    let place = place.map_err(|error| format!("{error}; the screen is in {}", seen.display()))?;
    println!("the picture is at {place:?} of {}", seen.display());
    wait_for_title(&screen, &mut window, "done")?;

    before.save_over(kept("preview.png"))?;
    let middle = |shot| middle_of(&expected, place, shot);
    assert_eq!(middle(&cancelled), middle(&empty), "nothing is left of it");
    assert_ne!(middle(&before), middle(&empty), "there was a preview");
    Ok(())
}

/// Waits until the window says so in its title.
fn wait_for_title(screen: &Screen, window: &mut Program, part: &str) -> Outcome {
    wait(PATIENCE, part, || {
        window.check()?;
        Ok(screen.title()?.contains(part).then_some(()))
    })
}

/// What the test needs; none, with a word why, where it is not to be had.
fn screen_and_device() -> Outcome<Option<(Screen, Device)>> {
    let device = match Device::best() {
        Err(Error::NoAdapter(_)) => return skip("no adapter"),
        device => device?,
    };
    match Screen::open()? {
        Some(screen) => Ok(Some((screen, device))),
        None => skip("no Xvfb"),
    }
}

fn skip<T>(reason: &str) -> Outcome<Option<T>> {
    if env::var_os("AQUATINT_REQUIRE_GPU").is_some_and(|value| value == "1") {
        return Err(reason.into());
    }
    println!("skipped: {reason}");
    Ok(None)
}

/// The picture as the library makes it, on a device of its own.
fn expected(device: &Device) -> Outcome<Image> {
    let pipeline = Pipeline::new(device, Model::demo()?)?;
    let request = Request::new(PROMPT).seed(SEED);
    Ok(pipeline.generate(&request)?.remove(0))
}

/// The window's program. It ends with this.
struct Program(Child);

impl Program {
    /// Starts it with no models but its own.
    fn start(screen: &Screen, folder: &Path) -> Outcome<Self> {
        let program = Command::new(env!("CARGO_BIN_EXE_aquatint-window"))
            .env("DISPLAY", &screen.display)
            .env("AQUATINT_MODELS", folder)
            .env("XDG_DATA_HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("WINIT_X11_SCALE_FACTOR", "1")
            .env_remove("WAYLAND_DISPLAY")
            .spawn()?;
        Ok(Self(program))
    }

    /// That it runs still.
    fn check(&mut self) -> Outcome {
        match self.0.try_wait()? {
            Some(status) => Err(format!("the window ended: {status}").into()),
            None => Ok(()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Whether there is something on a screen that is black before.
fn is_drawn(shot: &Image) -> bool {
    let mut pixels = shot.pixels().chunks_exact(4);
    pixels.any(|pixel| pixel[0] > 100)
}

/// Where a picture is on the screen, in pixels from the left and from the top.
fn place_of(picture: &Image, shot: &Image) -> Option<(usize, usize)> {
    let rows = 0..=shot.height() - picture.height();
    let mut places = rows.flat_map(|y| (0..=shot.width() - picture.width()).map(move |x| (x, y)));
    places.find(|place| is_at(picture, shot, *place))
}

/// The pixel on the screen in the middle of a picture at that place.
fn middle_of<'s>(picture: &Image, (left, top): (usize, usize), shot: &'s Image) -> &'s [u8] {
    let (x, y) = (left + picture.width() / 2, top + picture.height() / 2);
    &shot.pixels()[4 * (y * shot.width() + x)..][..4]
}

fn is_at(picture: &Image, shot: &Image, (left, top): (usize, usize)) -> bool {
    let row = |image: &Image, x: usize, y: usize, width: usize| {
        let start = (y * image.width() + x) * 4;
        start..start + width * 4
    };
    (0..picture.height()).all(|y| {
        let one = &picture.pixels()[row(picture, 0, y, picture.width())];
        let other = &shot.pixels()[row(shot, left, top + y, picture.width())];
        let mut channels = one.iter().zip(other);
        channels.all(|(one, other)| one.abs_diff(*other) <= TOLERANCE)
    })
}

/// A file that stays after the test, to be looked at.
fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
