//! What goes wrong, as an answer: a status, one sentence, and never a path or a name from the server's side.

use super::engine::Refusal;
use super::store::Unwritten;
use crate::error::Error;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that is no success.
#[derive(Debug)]
pub struct Refused {
    pub status: StatusCode,
    pub message: String,
}

impl Refused {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Refused {
        Refused { status, message: message.into() }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn unavailable(message: &str) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
            StatusCode::UNAUTHORIZED => {
                drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            _ => (),
        }
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::Busy => Refused::unavailable("too many requests wait; try again"),
            Refusal::Lost => Refused::unavailable("the device was lost and is being replaced; try again"),
            Refusal::Closed => Refused::unavailable("the server shuts down"),
            Refusal::Failed(error) => error.into(),
        }
    }
}

impl From<Unwritten> for Refused {
    fn from(why: Unwritten) -> Refused {
        match why {
            Unwritten::Busy => Refused::unavailable("too many writes wait; try again"),
            Unwritten::Closed => Refusal::Closed.into(),
            Unwritten::Full => Refused::new(StatusCode::INSUFFICIENT_STORAGE, "the disk is full: nothing was stored"),
            Unwritten::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        let internal = |message: &str| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, message);
        match error {
            Error::DeviceLost(_) => Refusal::Lost.into(),
            Error::OutOfMemory(_) => internal("the device has too little memory for this request"),
            Error::File { .. } => internal("a file could not be read or written; the server's log says which"),
            Error::Format { .. } | Error::Data { .. } => internal("a file is damaged; the server's log says which"),
            _ => internal("the request could not be computed; the server's log says why"),
        }
    }
}
