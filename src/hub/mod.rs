//! Models from a hub that speaks Hugging Face's protocol, into a folder.
//!
//! Two kinds of question are asked, both GET: `/api/models/OWNER/REPO` for the list of a
//! repository's files, and `/OWNER/REPO/resolve/REVISION/FILE` for a file. Files arrive in a `.part`
//! beside their place, which a later download goes on with; what is in place is whole and checked.

mod answers;
mod choice;
mod client;
mod names;
mod partial;
mod transfer;

use crate::error::{Error, Result};
use answers::refusal;
use choice::DIFFUSERS_INDEX;
use client::Client;
use names::{Repository, check_revision, path_inside, percent_encoded, shown};
use serde::Deserialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use transfer::Transfer;

/// The hub that is asked where nothing else is said.
const ENDPOINT: &str = "https://huggingface.co";
/// The variable that names another.
const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";
/// The variable with the token of an account there.
const TOKEN_VARIABLE: &str = "HF_TOKEN";
/// The revision that is taken where nothing else is said.
const REVISION: &str = "main";

/// A hub of models.
///
/// ```no_run
/// use aquatint::{Hub, Library, Pull};
/// use std::ops::ControlFlow;
///
/// # fn main() -> aquatint::Result<()> {
/// let folder = Library::download_folder()?;
/// let pulled = Hub::from_env()?.pull(&Pull::new("stabilityai/sdxl-turbo"), &folder, &mut |at| {
///     println!("{}: {} bytes", at.file, at.done_bytes);
///     ControlFlow::Continue(()) // Break stops; the next pull goes on from there
/// })?;
/// println!("{}", pulled.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Hub {
    client: Client,
}

/// What to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The repository, `OWNER/REPO`.
    pub repo: String,
    /// A file of it; `None` for the model that it is.
    pub file: Option<String>,
    /// A branch, tag or commit.
    pub revision: String,
    /// The variant of a diffusers folder's weights, such as `fp16`, or `none` for those without;
    /// `None` takes `fp16` where there is one.
    pub variant: Option<String>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PullProgress<'a> {
    /// The file under way, by its path in the repository.
    pub file: &'a str,
    /// How much of it is there, in bytes.
    pub done_bytes: u64,
    /// How long it is, where that is known.
    pub total_bytes: Option<u64>,
}

/// What was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The model: a file, or a diffusers folder.
    pub path: PathBuf,
    /// All its files.
    pub files: Vec<PathBuf>,
    /// Those of whose content the hub told no checksum: small ones, as a rule.
    pub unchecked: Vec<PathBuf>,
}

impl Pull {
    /// The model that a repository is, in its main revision.
    pub fn new(repo: impl Into<String>) -> Self {
        Self {
            repo: repo.into(),
            file: None,
            revision: REVISION.to_owned(),
            variant: None,
        }
    }
}

/// The list of a repository's files, as far as it is of use.
#[derive(Default, Deserialize)]
struct Listing {
    /// The commit.
    #[serde(default)]
    sha: Option<String>,
    siblings: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "rfilename")]
    name: String,
    #[serde(default)]
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    #[serde(default)]
    sha256: Option<String>,
}

impl Hub {
    /// The hub of `$HF_ENDPOINT`, or <https://huggingface.co>, with the token of `$HF_TOKEN`.
    ///
    /// # Errors
    /// [`Error::Request`] if one of them cannot be what it should be.
    pub fn from_env() -> Result<Self> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut hub = Self::new(&set(ENDPOINT_VARIABLE).unwrap_or_else(|| ENDPOINT.to_owned()))?;
        if let Some(token) = set(TOKEN_VARIABLE) {
            hub.client.set_token(&token)?;
        }
        Ok(hub)
    }

    /// The hub at an address, such as <https://huggingface.co>.
    ///
    /// # Errors
    /// [`Error::Request`] if it is no address.
    pub fn new(endpoint: &str) -> Result<Self> {
        let client = Client::new(endpoint)?;
        Ok(Self { client })
    }

    /// The same with the token of an account, which goes to this hub alone and not to where it
    /// redirects.
    ///
    /// # Errors
    /// [`Error::Request`] if it cannot be a token.
    pub fn with_token(mut self, token: &str) -> Result<Self> {
        self.client.set_token(token)?;
        Ok(self)
    }

    /// Downloads a model to `folder/OWNER/REPO`, telling how far it is; what is there already is not
    /// downloaded again. [`ControlFlow::Break`] ends it, and what has come is kept for another time.
    ///
    /// # Errors
    /// [`Error::Request`] if names are malformed, or if there are several files to choose from;
    /// [`Error::Download`] if the hub refuses, fails, or gives what has another checksum or is no
    /// model; [`Error::Io`] if files cannot be written; [`Error::BadFile`] if a file is there
    /// already and is another; [`Error::Cancelled`].
    pub fn pull(
        &self,
        pull: &Pull,
        folder: &Path,
        progress: &mut dyn FnMut(&PullProgress) -> ControlFlow<()>,
    ) -> Result<Pulled> {
        let plan = self.plan(pull, folder)?;
        let mut unchecked = Vec::new();
        for planned in &plan.files {
            let transfer = Transfer {
                client: &self.client,
                repository: &plan.repository,
                file: &planned.name,
                address: self.client.address(&planned.path),
                target: &planned.target,
                listed_sha256: planned.sha256.as_deref(),
            };
            match transfer.run(progress) {
                Ok(true) => {}
                Ok(false) => unchecked.push(planned.target.clone()),
                Err(error) => {
                    remove_empty(&planned.target, folder);
                    return Err(error);
                }
            }
        }
        let files = plan.files.into_iter().map(|planned| planned.target);
        Ok(Pulled {
            path: plan.path,
            files: files.collect(),
            unchecked,
        })
    }

    /// Which files to download, and where they go.
    fn plan(&self, pull: &Pull, folder: &Path) -> Result<Plan> {
        let repository = Repository::parse(&pull.repo)?;
        let root = folder.join(&repository.owner).join(&repository.name);
        let repository = repository.path();
        check_revision(&pull.revision)?;
        let listing = match &pull.file {
            Some(file) => check_file(file).map(|()| Listing::default())?,
            None => self.list(&repository, &pull.revision)?,
        };
        let address = self.client.address(&repository);
        let names = listing.siblings.iter().map(|file| file.name.as_str());
        let names: Vec<&str> = names.collect();
        let chosen = match &pull.file {
            Some(file) => vec![file.as_str()],
            None => choice::choose(&address, &names, pull.variant.as_deref())?,
        };
        // The commit, so that all files belong together.
        let revision = listing.sha.as_deref().unwrap_or(&pull.revision);
        check_revision(revision)?;
        let revision = percent_encoded(revision, b"");
        let planned = chosen.into_iter().map(|name| {
            let inside = path_inside(name).ok_or_else(|| Error::Download {
                url: address.clone(),
                reason: format!(
                    "the repository has a file {} that would lie elsewhere; do not trust it",
                    shown(name)
                ),
            })?;
            let encoded = percent_encoded(name, b"/");
            Ok(Planned {
                name: name.to_owned(),
                path: format!("{repository}/resolve/{revision}/{encoded}"),
                target: root.join(inside),
                sha256: listing.sha256(name).map(str::to_ascii_lowercase),
            })
        });
        let files = planned.collect::<Result<Vec<_>>>()?;
        let path = match (&pull.file, files.as_slice()) {
            (None, [.., last]) if last.name == DIFFUSERS_INDEX => root,
            (_, [file, ..]) => file.target.clone(),
            (_, []) => root,
        };
        Ok(Plan {
            repository,
            path,
            files,
        })
    }

    /// The files of a repository.
    fn list(&self, repository: &str, revision: &str) -> Result<Listing> {
        let path = match revision {
            REVISION => format!("api/models/{repository}?blobs=true"),
            other => {
                let revision = percent_encoded(other, b"");
                format!("api/models/{repository}/revision/{revision}?blobs=true")
            }
        };
        let address = self.client.address(&path);
        let failed = |reason: String| Error::Download {
            url: address.clone(),
            reason,
        };
        let answer = self.client.get(&address, &[]);
        let answer = answer.map_err(|failed| failed.into_error(&address))?;
        if answer.response.status().as_u16() != 200 {
            let refused = refusal(&self.client, &address, repository, &answer.response);
            return Err(refused.into_error(&address));
        }
        let text = client::read_text(answer.response).map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| {
            failed(format!(
                "the answer is no list of files ({error}); check {ENDPOINT_VARIABLE}"
            ))
        })
    }
}

/// What a download is made of.
struct Plan {
    /// `OWNER/REPO`
    repository: String,
    /// The model.
    path: PathBuf,
    files: Vec<Planned>,
}

/// A file to download.
struct Planned {
    /// Its path in the repository.
    name: String,
    /// Its path on the hub.
    path: String,
    target: PathBuf,
    sha256: Option<String>,
}

/// Removes the folders on the way to a file that a failed download has left empty.
fn remove_empty(target: &Path, folder: &Path) {
    let inside = target
        .ancestors()
        .skip(1)
        .take_while(|above| *above != folder);
    for above in inside {
        // One that is not empty ends it, and nothing else is lost by one that stays.
        if std::fs::remove_dir(above).is_err() {
            return;
        }
    }
}

/// Endings of files that are downloaded when somebody names them.
const ENDINGS: &[&str] = &[".safetensors", ".json", ".txt"];

/// Checks a file that somebody names.
///
/// # Errors
/// [`Error::Request`] if it leads elsewhere, or is of a kind that nothing here reads.
fn check_file(file: &str) -> Result<()> {
    let reason = if path_inside(file).is_none() {
        format!(
            "must be the path of a file in the repository, as in vae/config.json, not {}",
            shown(file)
        )
    } else if ENDINGS.iter().any(|ending| file.ends_with(ending)) {
        return Ok(());
    } else {
        format!(
            "{} is none of {}, and nothing else is read here (pickles can run code)",
            shown(file),
            ENDINGS.join(", ")
        )
    };
    Err(Error::request("file", reason))
}

impl Listing {
    /// The checksum of a file, if the list has it.
    fn sha256(&self, file: &str) -> Option<&str> {
        let listed = self.siblings.iter().find(|listed| listed.name == file)?;
        listed.lfs.as_ref()?.sha256.as_deref()
    }
}
