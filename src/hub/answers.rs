//! What a hub's refusals mean, and what to do about them.

use super::client::{Client, Failed, named};
use crate::error::Error;
use ureq::Body;
use ureq::http::Response;

/// What an answer other than the thing asked for means.
pub(super) fn refusal(
    client: &Client,
    address: &str,
    repository: &str,
    response: &Response<Body>,
) -> Failed {
    let code = named(response, "x-error-code").unwrap_or_default();
    match response.status().as_u16() {
        429 => Failed::Passing("the server had too many requests (429)".to_owned()),
        status @ 500.. => Failed::Passing(format!("the server failed ({status})")),
        status => Failed::Final(Error::Download {
            url: address.to_owned(),
            reason: reason(
                status,
                code,
                client.has_token(),
                &client.address(repository),
            ),
        }),
    }
}

/// What a status means, and what to do. `code` is the hub's own word: without a token it says 401 of
/// what does not exist, so as not to tell what does. `page` is the repository's.
fn reason(status: u16, code: &str, has_token: bool, page: &str) -> String {
    match (status, code) {
        (_, "GatedRepo") if has_token => format!(
            "the repository asks for consent to its terms; accept them at {page} with the \
             account of HF_TOKEN"
        ),
        (_, "GatedRepo") => format!(
            "the repository asks for consent to its terms; accept them at {page}, and set \
             HF_TOKEN to a token of that account"
        ),
        (404, "EntryNotFound") => {
            format!("there is no such file in the repository; its files stand at {page}")
        }
        (404, "RevisionNotFound") => {
            format!("there is no such revision of the repository; see {page}")
        }
        (403, _) => format!("access is refused; see {page} for what it asks for, and set HF_TOKEN"),
        (401, _) if has_token => {
            "there is no such repository, or HF_TOKEN is refused; check the name and the token"
                .to_owned()
        }
        (401, _) => "there is no such repository, or it is not public; check the name, or set \
             HF_TOKEN to a token that may read it"
            .to_owned(),
        (404, _) => {
            "there is no such repository or file; check the names, which heed capitals".to_owned()
        }
        _ => format!("the server answered {status}; check HF_ENDPOINT"),
    }
}
