//! Files of a model folder: tensors and settings, read with an error that names the file.

use crate::error::{Error, Result};
use crate::nn::read_numbers;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use std::borrow::Cow;
use std::fs;
use std::path::Path;

/// A file that every checkpoint has.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::format(path, "the checkpoint is incomplete: this file is missing"),
        _ => Error::file(path, &e),
    })
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e.to_string()))?;
    fs::write(path, text).map_err(|e| Error::file(path, &e))
}

/// Values of f32, each with its name and shape.
pub(super) fn write_tensors<'a>(path: &Path, list: &'a [(String, Vec<usize>, Vec<f32>)]) -> Result<()> {
    let part = |(name, shape, values): &'a (String, Vec<usize>, Vec<f32>)| -> Stored<'a> {
        (name.clone(), Dtype::F32, shape.clone(), Cow::Borrowed(bytemuck::cast_slice(values)))
    };
    write_stored(path, &list.iter().map(part).collect::<Vec<_>>())
}

/// A tensor as a file holds it: name, type, shape, bytes.
pub(super) type Stored<'a> = (String, Dtype, Vec<usize>, Cow<'a, [u8]>);

pub(super) fn write_stored(path: &Path, list: &[Stored]) -> Result<()> {
    let failed = |e: safetensors::SafeTensorError| Error::format(path, e.to_string());
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in list {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?));
    }
    let bytes = safetensors::serialize(views, None).map_err(failed)?;
    fs::write(path, bytes).map_err(|e| Error::file(path, &e))
}

/// The tensors called `names`, each of the shape given, in that order.
pub(super) fn read_tensors<'a>(
    path: &Path,
    names: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<Vec<Vec<f32>>> {
    tensors_of(path, &read(path)?, names)
}

/// The same of the bytes of a file.
pub(super) fn tensors_of<'a>(
    path: &Path,
    bytes: &[u8],
    names: impl Iterator<Item = (&'a str, &'a [usize])>,
) -> Result<Vec<Vec<f32>>> {
    let damaged = |e: String| Error::format(path, format!("damaged or cut short: {e}"));
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    names.map(|(name, shape)| read_numbers(&file, name, shape, &[Dtype::F32]).map_err(damaged)).collect()
}
