//! A client that knows just enough, and holds every answer against the OpenAPI file.

use crate::contract;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub text: String,
}

impl Reply {
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// Refused with `status` and a message that has `says`.
    #[track_caller]
    pub fn refused(&self, status: u16, says: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        let error: Value = serde_json::from_str(&self.text).expect("JSON");
        let error = error["error"].as_str().expect("a message");
        assert!(error.contains(says), "{error:?} does not say {says:?}");
        assert!(!error.contains("/tmp") && !error.contains("src/"), "a path: {error}");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Reply {
    try_ask(to, method, path, headers, body).expect("an answer")
}

/// `None` where the server is not there, or went away.
pub fn try_ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Option<Reply> {
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut head = String::new();
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {to}\r\n");
    }
    if body.is_some() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
        head += "Content-Type: application/json\r\n";
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let sent =
        format!("{method} {path} HTTP/1.1\r\n{head}Connection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let reply = raw(to, sent.as_bytes())?;
    contract::holds(method, path, &reply);
    Some(reply)
}

/// Sends bytes as they are and reads what comes until the server closes.
pub fn raw(to: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    let mut socket = TcpStream::connect(to).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    drop(socket.write_all(bytes)); // a server that has read enough may close before the end
    let mut all = Vec::new();
    socket.read_to_end(&mut all).ok();
    let text = String::from_utf8_lossy(&all).into_owned();
    let (head, text) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, head: head.into(), text: text.into() })
}
