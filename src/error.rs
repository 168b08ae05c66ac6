//! What the world can do to a run. A caller's own mistake (a wrong shape) panics instead: see [`crate::tensor`].

use std::fmt;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can fail without the caller being at fault. Messages are lower case and say what to do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No adapter could be used; the text lists what was found and how to choose or install one.
    NoAdapter(String),
    /// The device is gone (driver reset, unplugged, hang). Tensors on it are lost: make a new [`crate::Gpu`] and upload again.
    DeviceLost(String),
    /// The device has no memory left for an allocation.
    OutOfMemory(String),
    /// The driver or wgpu refused a command.
    Gpu(String),
    /// Input data is wrong. `line` counts from 1, and 0 means the file as a whole.
    Data { path: PathBuf, line: u64, message: String },
    /// A file could not be read or written.
    File { path: PathBuf, message: String },
    /// A checkpoint or dataset folder is incomplete, damaged or of another version.
    Format { path: PathBuf, message: String },
    /// A configuration value is unknown or out of range.
    Config(String),
    /// The data is sound, but there is nothing in it to train on.
    NothingToLearn(String),
    /// Training produced a loss or scores that are not finite numbers.
    NotFinite { step: u64, message: String },
}

impl Error {
    pub fn data(path: &Path, line: u64, message: impl Into<String>) -> Self {
        Error::Data { path: path.into(), line, message: message.into() }
    }

    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or folder".into(),
            std::io::ErrorKind::StorageFull => "the disk is full; free some space and run again".into(),
            _ => error.to_string(),
        };
        Error::File { path: path.into(), message }
    }

    pub fn format(path: &Path, message: impl Into<String>) -> Self {
        Error::Format { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoAdapter(m) => write!(f, "no usable adapter: {m}"),
            Error::DeviceLost(m) => write!(f, "device lost: {m}"),
            Error::OutOfMemory(m) => write!(f, "out of device memory: {m}"),
            Error::Gpu(m) => write!(f, "gpu: {m}"),
            Error::Data { path, line: 0, message } => write!(f, "{}: {message}", path.display()),
            Error::Data { path, line, message } => write!(f, "{}:{line}: {message}", path.display()),
            Error::File { path, message } | Error::Format { path, message } => {
                write!(f, "{}: {message}", path.display())
            }
            Error::Config(m) => write!(f, "configuration: {m}"),
            Error::NothingToLearn(m) => write!(f, "nothing to learn: {m}"),
            Error::NotFinite { step, message } => write!(f, "step {step}: {message}"),
        }
    }
}

impl std::error::Error for Error {}
