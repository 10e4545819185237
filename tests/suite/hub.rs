//! A hub on this machine, for tests of downloads: it speaks as much HTTP as they need, and
//! misbehaves as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The path and the query.
    pub(crate) path: String,
    /// The headers, with their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Asked {
    /// The first byte that a `Range` asks for.
    pub(crate) fn start(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// What is answered.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut_after: Option<usize>,
    /// The pause after each [`DROP_BYTES`].
    pause: Option<Duration>,
}

/// How much comes at once of what comes slowly.
const DROP_BYTES: usize = 10_000;

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut_after: None,
            pause: None,
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Ends the connection after so many bytes of the body, though its length promises all.
    #[must_use]
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Sends the body drop by drop, with pauses.
    #[must_use]
    pub(crate) fn dripping(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// A file, or the rest of it that was asked for.
    pub(crate) fn file(asked: &Asked, content: &[u8]) -> Self {
        match asked.start() {
            None => Self::new(200, content),
            Some(start) if start < content.len() => Self::new(206, &content[start..]).header(
                "Content-Range",
                format!("bytes {start}-{}/{}", content.len() - 1, content.len()),
            ),
            Some(_) => {
                Self::new(416, "").header("Content-Range", format!("bytes */{}", content.len()))
            }
        }
    }

    fn write(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        write!(stream, "HTTP/1.1 {} Said\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        let length = self.body.len();
        write!(
            stream,
            "Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        let sent = self.cut_after.unwrap_or(length).min(length);
        for bytes in self.body[..sent].chunks(DROP_BYTES) {
            stream.write_all(bytes)?;
            if let Some(pause) = self.pause {
                thread::sleep(pause);
            }
        }
        stream.flush()
    }
}

/// A server that answers as `answer` says, until the test ends.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` is told what is asked, and how often that path was asked for before.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let answered = match read(&stream) {
                    Some(request) => {
                        let mut log = log.lock().unwrap();
                        let same = log.iter().filter(|asked| asked.path == request.path);
                        let before = same.count();
                        log.push(request.clone());
                        drop(log);
                        answer(&request, before)
                    }
                    // To what is no HTTP, such as TLS, in the clear.
                    None => Answer::new(400, ""),
                };
                if answered.write(&mut stream).is_err() {
                    // One that hangs up, as one may, is not waited for.
                }
            }
        });
        Self { address, asked }
    }

    /// One at an address where nobody listens.
    pub(crate) fn nowhere() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            // Free again as soon as this returns.
            address: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
        }
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a request without a body.
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next()?.ok()?;
    let path = line.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Asked { path, headers })
}
