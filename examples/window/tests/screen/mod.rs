//! A screen that nobody sees: an X server that draws into memory, with a keyboard to type on.

use aquatint::Image;
use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::xproto::{
    ConnectionExt as _, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState,
    Screen as Root, Window,
};
use x11rb::protocol::xtest::{ConnectionExt as _, X11_EXTENSION_NAME};
use x11rb::rust_connection::RustConnection;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Keys, as X names them (X11/keysymdef.h); letters and spaces have the numbers of Latin-1.
pub(crate) const RETURN: u32 = 0xFF0D;
pub(crate) const ESCAPE: u32 = 0xFF1B;

const WIDTH: u16 = 1024;
const HEIGHT: u16 = 700;

/// An X server of our own. It ends with this.
pub(crate) struct Screen {
    server: Child,
    /// What programs take for `DISPLAY`.
    pub(crate) display: String,
    connection: RustConnection,
    root: Root,
}

impl Screen {
    /// Starts a server; none where the program is not installed.
    pub(crate) fn open() -> Outcome<Option<Self>> {
        let size = format!("{WIDTH}x{HEIGHT}x24");
        // The server chooses a free number, and writes it once it answers.
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", &size])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut server = match server {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            server => server?,
        };
        let mut number = String::new();
        let output = server.stdout.take().ok_or("the output is piped")?;
        BufReader::new(output).read_line(&mut number)?;
        let display = format!(":{}", number.trim());
        let (connection, index) = x11rb::connect(Some(&display))?;
        let root = connection.setup().roots[index].clone();
        let has_keyboard = connection.extension_information(X11_EXTENSION_NAME)?;
        has_keyboard.ok_or("the server lets nobody type")?;
        Ok(Some(Self {
            server,
            display,
            connection,
            root,
        }))
    }

    /// Waits for a program's window and gives it the keyboard, as a window manager would.
    pub(crate) fn wait_for_window(&self, patience: Duration) -> Outcome {
        let window = wait(patience, "a window", || self.window())?;
        let focus =
            self.connection
                .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME);
        Ok(focus?.check()?)
    }

    fn window(&self) -> Outcome<Option<Window>> {
        let windows = self
            .connection
            .query_tree(self.root.root)?
            .reply()?
            .children;
        for window in windows {
            let attributes = self.connection.get_window_attributes(window)?.reply()?;
            let size = self.connection.get_geometry(window)?.reply()?;
            // Programs have small windows that show nothing, too.
            if attributes.map_state == MapState::VIEWABLE && size.width > 100 {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    /// What a program's window has for a title.
    pub(crate) fn title(&self) -> Outcome<String> {
        let Some(window) = self.window()? else {
            return Ok(String::new());
        };
        let name = |name: &'static str| self.connection.intern_atom(false, name.as_bytes());
        let (property, text) = (name("_NET_WM_NAME")?, name("UTF8_STRING")?);
        let (property, text) = (property.reply()?.atom, text.reply()?.atom);
        let most = 1024;
        let title = self
            .connection
            .get_property(false, window, property, text, 0, most)?;
        Ok(String::from_utf8(title.reply()?.value)?)
    }

    /// Types on the keyboard. Takes small letters, spaces and keys by their number.
    pub(crate) fn type_keys(&self, keys: impl IntoIterator<Item = u32>) -> Outcome {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping = self
            .connection
            .get_keyboard_mapping(first, last - first + 1)?
            .reply()?;
        let mut symbols = mapping.keysyms.chunks(mapping.keysyms_per_keycode.into());
        let symbols: Vec<_> = symbols.by_ref().map(|symbols| symbols[0]).collect();
        for key in keys {
            let place = symbols.iter().position(|symbol| *symbol == key);
            let place = place.ok_or(format!("the keyboard has no key {key:#x}"))?;
            let code = first + u8::try_from(place)?;
            for event in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
                let (time, at) = (x11rb::CURRENT_TIME, x11rb::NONE);
                self.connection
                    .xtest_fake_input(event, code, time, at, 0, 0, 0)?
                    .check()?;
            }
        }
        Ok(())
    }

    /// What is on the screen.
    pub(crate) fn shot(&self) -> Outcome<Image> {
        let (format, all_planes) = (ImageFormat::Z_PIXMAP, !0);
        let root = self.root.root;
        let shot = self
            .connection
            .get_image(format, root, 0, 0, WIDTH, HEIGHT, all_planes)?;
        let mut pixels = shot.reply()?.data;
        for pixel in pixels.chunks_exact_mut(4) {
            pixel.swap(0, 2); // a server of 24 bits has blue first, and no alpha
            pixel[3] = 255;
        }
        Ok(Image::from_rgba(WIDTH.into(), HEIGHT.into(), pixels)?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

/// Ends a program, which may have ended by itself.
pub(crate) fn end(program: &mut Child) {
    if program.kill().is_ok() {
        program.wait().expect("a program that was killed ends");
    }
}

/// Tries again until there is something.
pub(crate) fn wait<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        sleep(Duration::from_millis(100));
    }
    Err(format!("{what} did not come in {patience:?}").into())
}
