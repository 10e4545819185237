//! What a hub's refusals mean, and what to do about them.

use super::client::{Client, Failed, named};
use crate::error::Error;
use ureq::Body;
use ureq::http::Response;

/// What an answer other than the thing asked for means.
///
/// `X-Error-Code` is the hub's own word: without a token it says 401 of what does not exist, so as
/// not to tell what does.
pub(super) fn refusal(
    client: &Client,
    address: &str,
    repository: &str,
    response: &Response<Body>,
) -> Failed {
    let status = response.status().as_u16();
    let code = named(response, "x-error-code").unwrap_or_default();
    let page = client.address(repository);
    let reason = match (status, code) {
        (_, "GatedRepo") if client.has_token() => format!(
            "the repository asks for consent to its terms; accept them at {page} with the account \
             of HF_TOKEN"
        ),
        (_, "GatedRepo") => format!(
            "the repository asks for consent to its terms; accept them at {page}, and set HF_TOKEN \
             to a token of that account"
        ),
        (404, "EntryNotFound") => {
            format!("there is no such file in the repository; its files are listed at {page}")
        }
        (404, "RevisionNotFound") => {
            format!("there is no such revision of the repository; see {page}")
        }
        (401, _) if client.has_token() => "there is no such repository, or HF_TOKEN is refused; \
             check the name and the token"
            .to_owned(),
        (401, _) => "there is no such repository, or it is not public; check the name, or set \
             HF_TOKEN to a token that may read it"
            .to_owned(),
        (403, _) => format!("access is refused; see {page} for what it asks for, and set HF_TOKEN"),
        (404, _) => {
            "there is no such repository or file; check the names, which heed capitals".to_owned()
        }
        (429, _) => return Failed::Passing(format!("{address}: too many requests (429)")),
        (500.., _) => return Failed::Passing(format!("{address}: the server failed ({status})")),
        _ => format!("the server answered {status}; check HF_ENDPOINT"),
    };
    Failed::Final(Error::Download {
        url: address.to_owned(),
        reason,
    })
}
