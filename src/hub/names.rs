//! Names of repositories, revisions and files, which end up in addresses and paths.

use crate::error::{Error, Result, quoted};
use std::path::PathBuf;

/// The longest name of an owner or a repository: the hub's own limit.
const MAX_NAME_CHARS: usize = 96;
/// The longest path of a file in a repository.
const MAX_PATH_CHARS: usize = 512;

/// Characters that some file system takes for something else.
const RESERVED: &str = "<>:\"|?*\\";

/// A repository on a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    pub(super) owner: String,
    pub(super) name: String,
}

impl Repository {
    /// Reads `OWNER/REPO`.
    ///
    /// # Errors
    /// [`Error::Request`] if it is none.
    pub(super) fn parse(typed: &str) -> Result<Self> {
        let named = typed.split_once('/');
        let named = named.filter(|(owner, name)| is_name(owner) && is_name(name));
        let (owner, name) = named.ok_or_else(|| {
            let reason = format!(
                "must be OWNER/REPO, as in stabilityai/sdxl-turbo, not {}",
                shown(typed)
            );
            Error::request("repo", reason)
        })?;
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// `OWNER/REPO`
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// Letters, digits, dots, hyphens and underscores; nothing that leads elsewhere.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('.')
        && !name.ends_with('.')
}

/// A branch, tag or commit.
///
/// # Errors
/// [`Error::Request`] if it is none.
pub(super) fn check_revision(typed: &str) -> Result<()> {
    if !typed.is_empty() && typed.split('/').all(is_name) {
        return Ok(());
    }
    let reason = format!("must be a branch, tag or commit, not {}", shown(typed));
    Err(Error::request("revision", reason))
}

/// The path below a folder for a file of a repository; `None` if it would lead out of the folder,
/// or mean something else on some system.
pub(super) fn path_inside(file: &str) -> Option<PathBuf> {
    let is_plain = |piece: &str| {
        let is_odd = |c: char| c.is_control() || RESERVED.contains(c);
        !piece.is_empty()
            && !piece.starts_with('.')
            && !piece.ends_with(['.', ' '])
            && !piece.contains(is_odd)
    };
    let fits = file.len() <= MAX_PATH_CHARS && file.split('/').all(is_plain);
    fits.then(|| file.split('/').collect())
}

/// A path as it stands in an address: everything but plain letters as `%XX`, slashes included
/// unless they are `kept`.
pub(super) fn percent_encoded(path: &str, kept: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = path.bytes().map(|byte| match byte {
        byte if plain(byte) || kept.contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// A text from a person or a server, fit for a message.
pub(super) fn shown(text: &str) -> String {
    quoted(text, MAX_NAME_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        let repository = Repository::parse("stabilityai/sd-turbo_v1.0").unwrap();
        assert_eq!(repository.path(), "stabilityai/sd-turbo_v1.0");
        for typed in [
            "",
            "sdxl",
            "/sdxl",
            "a/",
            "a/b/c",
            "../b",
            "a/..",
            ".a/b",
            "a/b.",
            "a b/c",
            "a\\b/c",
            "a/%2e%2e",
            "a/b\0",
            "https://a/b",
        ] {
            assert!(
                matches!(Repository::parse(typed), Err(Error::Request { .. })),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn files_stay_in_their_folder() {
        assert_eq!(
            path_inside("unet/a b (1).safetensors"),
            Some("unet/a b (1).safetensors".into())
        );
        for name in [
            "",
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a//b",
            "..\\a",
            "C:\\a",
            "C:a",
            "a/.",
            ".git/config",
            "a\0b",
            "a\nb",
            "a/b/",
            "nul.",
            "a:stream",
        ] {
            assert_eq!(path_inside(name), None, "{name:?}");
        }
    }

    #[test]
    fn addresses_have_plain_letters_only() {
        assert_eq!(percent_encoded("a/b c#?é%", b"/"), "a/b%20c%23%3F%C3%A9%25");
        assert_eq!(percent_encoded("refs/pr/1", b""), "refs%2Fpr%2F1");
    }
}
