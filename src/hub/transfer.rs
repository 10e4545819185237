//! One file from a hub to disk: goes on where it was cut, and is there whole and checked, or not at
//! all.

use super::PullProgress;
use super::answers::refusal;
use super::client::{Answer, Client, Failed, text};
use super::partial::{Partial, Tag, sha256_of};
use crate::error::{Error, Result};
use crate::weights::Contents;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, RANGE};

/// Tries without a new byte after which it is given up.
const MAX_FRUITLESS_TRIES: u32 = 4;
/// How often a file is begun anew because the server does not go on where it was cut.
const MAX_RESTARTS: u32 = 3;
/// The wait before the second fruitless try; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How much is read from the network at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A callback that is told how far a download is, and may end it.
pub(super) type Tell<'t> = &'t mut dyn FnMut(&PullProgress) -> ControlFlow<()>;

/// A file to download.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    /// `OWNER/REPO`
    pub(super) repository: &'a str,
    /// The file's path in the repository.
    pub(super) file: &'a str,
    /// The file's address on the hub.
    pub(super) address: String,
    /// Where it goes.
    pub(super) target: &'a Path,
    /// What the list of files says of it.
    pub(super) listed_sha256: Option<&'a str>,
}

/// How a try ended that did not fail for good.
enum Tried {
    /// All of the file is there.
    Whole,
    /// The connection ended early, for this reason.
    Cut(String),
    /// The server began anew, or must be asked anew.
    Restarted,
}

impl Transfer<'_> {
    /// Downloads the file, unless it is there already. Returns whether its checksum was known.
    ///
    /// # Errors
    /// [`Error::Download`] if the hub refuses or the way to it fails for good, or if the checksum is
    /// wrong; [`Error::Io`] if the file cannot be written; [`Error::BadFile`] if it is there
    /// already and another, or no model; [`Error::Cancelled`] if `tell` says so.
    pub(super) fn run(&self, tell: Tell) -> Result<bool> {
        if self.target.exists() {
            return self.compare();
        }
        let mut partial = Partial::open(self.target)?;
        match self.fetch(&mut partial, tell) {
            Ok(()) => self.check_and_finish(partial),
            Err(error) => {
                if partial.bytes() == 0 {
                    partial.discard()?;
                }
                Err(error)
            }
        }
    }

    /// Tries until all of the file is there, as long as something comes.
    fn fetch(&self, partial: &mut Partial, tell: Tell) -> Result<()> {
        let (mut fruitless, mut restarts) = (0, 0);
        let mut most = partial.bytes();
        loop {
            let reason = match self.attempt(partial, tell) {
                Ok(Tried::Whole) => return Ok(()),
                Ok(Tried::Restarted) if restarts < MAX_RESTARTS => {
                    restarts += 1;
                    continue;
                }
                Ok(Tried::Restarted) => {
                    let reason = "the server gives other bytes than it was asked for";
                    return Err(self.failed(reason.to_owned()));
                }
                Ok(Tried::Cut(reason)) | Err(Failed::Passing(reason)) => reason,
                Err(Failed::Final(error)) => return Err(error),
            };
            // A server that begins anew each time gets nowhere by more bytes than last time.
            fruitless = match partial.bytes() > most {
                true => 0,
                false => fruitless + 1,
            };
            most = most.max(partial.bytes());
            if fruitless == MAX_FRUITLESS_TRIES {
                return Err(self.failed(match partial.bytes() {
                    0 => format!("{reason}; try again later"),
                    kept => {
                        format!("{reason}; {kept} bytes are kept, try again to go on from there")
                    }
                }));
            }
            if fruitless > 0 {
                thread::sleep(FIRST_WAIT * (1 << (fruitless - 1)));
            }
        }
    }

    /// Asks once for what is missing, and takes what comes.
    fn attempt(&self, partial: &mut Partial, tell: Tell) -> std::result::Result<Tried, Failed> {
        let answer = self.client.get(&self.address, &rest_of(partial))?;
        let etag = text(&answer.response, &ETAG).map(str::to_owned);
        let tag = Tag {
            sha256: answer.linked.sha256.clone(),
            etag,
        };
        match answer.response.status().as_u16() {
            200 => partial.restart(tag)?,
            206 if goes_on(&answer, partial, &tag) => {}
            416 if is_whole(&answer, partial, &tag) => return Ok(Tried::Whole),
            206 | 416 => {
                partial.restart(Tag::default())?;
                return Ok(Tried::Restarted);
            }
            _ => return Err(self.refusal(&answer)),
        }
        let begun_at = partial.bytes();
        let length = text(&answer.response, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let length: Option<u64> = length;
        let total_bytes = length.map(|length| length.saturating_add(begun_at));
        let total_bytes = total_bytes.or(answer.linked.size_bytes);
        Ok(self.take(answer, partial, total_bytes, tell)?)
    }

    /// Writes a body to the part as it comes.
    fn take(
        &self,
        answer: Answer,
        partial: &mut Partial,
        total_bytes: Option<u64>,
        tell: Tell,
    ) -> Result<Tried> {
        let mut body = answer.response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let progress = PullProgress {
                file: self.file,
                done_bytes: partial.bytes(),
                total_bytes,
            };
            if tell(&progress).is_break() {
                return Err(Error::Cancelled);
            }
            match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => partial.append(&chunk[..count])?,
                Err(error) => return Ok(Tried::Cut(format!("the connection was cut ({error})"))),
            }
        }
        match total_bytes {
            Some(total) if partial.bytes() < total => {
                Ok(Tried::Cut("the connection was cut".to_owned()))
            }
            _ => Ok(Tried::Whole),
        }
    }

    /// Compares the part with every checksum that is known, and makes it the file.
    fn check_and_finish(&self, partial: Partial) -> Result<bool> {
        let found = partial.sha256();
        let linked = partial.tag().sha256.clone();
        let known = || linked.as_deref().into_iter().chain(self.listed_sha256);
        if let Some(expected) = known().find(|expected| **expected != found) {
            let reason = format!(
                "the file is damaged: its SHA-256 is {found}, and the hub says {expected}; it was \
                 removed, download it again"
            );
            partial.discard()?;
            return Err(self.failed(reason));
        }
        let is_checked = known().next().is_some();
        if self.file.ends_with(".safetensors")
            && let Err(error) = Contents::read(partial.path())
        {
            let Error::BadFile { reason, .. } = error else {
                return Err(error);
            };
            partial.discard()?;
            return Err(self.failed(format!("what came is no model: it {reason}")));
        }
        partial.finish()?;
        Ok(is_checked)
    }

    /// Compares a file that is there with the hub's.
    fn compare(&self) -> Result<bool> {
        let answer = self.client.get(&self.address, &[]);
        let answer = answer.map_err(|failed| failed.into_error(&self.address))?;
        if answer.response.status().as_u16() != 200 {
            return Err(self.refusal(&answer).into_error(&self.address));
        }
        let io = |error| Error::io(self.target, error);
        let length = self.target.metadata().map_err(io)?.len();
        let own = text(&answer.response, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let expected: Option<u64> = answer.linked.size_bytes.or(own);
        let same_length = expected.is_none_or(|expected| expected == length);
        let sha256 = answer.linked.sha256.as_deref().or(self.listed_sha256);
        let is_same = match sha256.filter(|_| same_length) {
            Some(expected) => sha256_of(self.target)? == expected,
            None => same_length,
        };
        if is_same {
            return Ok(sha256.is_some());
        }
        let reason = "is there already, and is not the hub's file of that name; move it away to \
                      download that one";
        Err(Error::bad_file(self.target, reason))
    }

    fn refusal(&self, answer: &Answer) -> Failed {
        refusal(
            self.client,
            &self.address,
            self.repository,
            &answer.response,
        )
    }

    fn failed(&self, reason: String) -> Error {
        Error::Download {
            url: self.address.clone(),
            reason,
        }
    }
}

/// The headers that ask for what is missing of the same version (RFC 9110 §14.2 and §13.1.5).
fn rest_of(partial: &Partial) -> Vec<(HeaderName, String)> {
    if partial.bytes() == 0 {
        return Vec::new();
    }
    let mut headers = vec![(RANGE, format!("bytes={}-", partial.bytes()))];
    if let Some(etag) = partial.tag().strong_etag() {
        headers.push((IF_RANGE, etag.to_owned()));
    }
    headers
}

/// Whether a partial answer goes on where the part ends, with the same version.
fn goes_on(answer: &Answer, partial: &Partial, tag: &Tag) -> bool {
    let starts = range(answer).and_then(|(start, _)| start);
    starts == Some(partial.bytes()) && is_same(partial.tag(), tag)
}

/// Whether there is nothing to come after the part, by the answer to who asked for it.
fn is_whole(answer: &Answer, partial: &Partial, tag: &Tag) -> bool {
    let all = range(answer).and_then(|(_, all)| all);
    all == Some(partial.bytes()) && is_same(partial.tag(), tag)
}

/// Whether two tags are of one version, as far as they tell. A hub's mirrors may each have an entity
/// tag of their own for the same bytes.
fn is_same(kept: &Tag, now: &Tag) -> bool {
    let same = |kept: &Option<String>, now: &Option<String>| match (kept, now) {
        (Some(kept), Some(now)) => Some(kept == now),
        _ => None,
    };
    let by_content = same(&kept.sha256, &now.sha256);
    by_content
        .or_else(|| same(&kept.etag, &now.etag))
        .unwrap_or(true)
}

/// The first byte and the length of the whole file, as `Content-Range` has them:
/// `bytes 5-9/10`, or `bytes */10`.
fn range(answer: &Answer) -> Option<(Option<u64>, Option<u64>)> {
    let range = text(&answer.response, &CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (span, all) = range.split_once('/')?;
    let start = span.split_once('-').map(|(start, _)| start);
    Some((start.and_then(|start| start.parse().ok()), all.parse().ok()))
}
