//! A model to serve from alone: the vectors of its items as they are scored, in as many bits as wanted, and no state of the
//! training.

use super::checkpoint::{Checkpoint, FOLDER, link_folder};
use super::files::{Stored, read, read_tensors, tensors_of, write_json, write_stored};
use super::neighbours;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::model::Model;
use crate::ops::{ItemTable, MAX_INT8_DIM, Quantised};
use crate::tape::Tape;
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::path::Path;

const WEIGHTS: &str = "model.safetensors";
/// `[n_items + 1, dim]`: what the tables of items and categories and the maps of places and features come to.
const VECTORS: &str = "item.vectors";
/// `[n_items + 1]`: for int8, what one is worth in each row.
const SCALES: &str = "item.scales";
/// What items are read by, where they are scored by others.
const INPUTS: [&str; 2] = ["item.inputs", "item.inputs.scales"];

/// How an exported model keeps the vectors of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum ItemBits {
    /// 32 bits: nothing is lost
    F32,
    /// 16 bits
    F16,
    /// 8 bits, and a scale for each item; queries are rounded alike
    Int8,
}

/// Parameters that [`VECTORS`] and [`INPUTS`] stand for.
fn is_replaced(name: &str) -> bool {
    let tables = ["item.table", "item.output", "category.table"];
    tables.contains(&name) || name.starts_with("place.map") || name.starts_with("feature.map")
}

/// Writes `checkpoint` for serving, in place of an exported model that may be in `out`.
///
/// # Errors
/// When it is one for serving already, cannot be read, or `out` is something else or cannot be written.
pub fn export(gpu: &Gpu, checkpoint: &Checkpoint, bits: ItemBits, out: &Path) -> Result<()> {
    checkpoint.expect_trained()?;
    let dim = checkpoint.config.dim;
    if bits == ItemBits::Int8 && dim > MAX_INT8_DIM {
        return Err(Error::Config(format!(
            "int8 takes vectors of at most {MAX_INT8_DIM} numbers, and these have {dim}"
        )));
    }
    let model = checkpoint.load(gpu, &checkpoint.data()?)?;
    let inputs = model.vectors(&mut Tape::off());
    let outputs = model.outputs(&mut Tape::off(), &inputs);
    let shape = outputs.shape().to_vec();
    let mut tables = vec![([VECTORS, SCALES], outputs.to_vec::<f32>()?)];
    if !checkpoint.config.tied {
        tables.push((INPUTS, inputs.to_vec()?));
    }
    if tables.iter().flat_map(|(_, values)| values).any(|v| !v.is_finite()) {
        return Err(Error::format(checkpoint.folder(), "it has vectors that are no numbers: train it again"));
    }
    FOLDER.replace(out, |folder| {
        write_weights(&folder.join(WEIGHTS), &model, &shape, &tables, bits)?;
        let data = checkpoint.folder().join("data");
        link_folder(&data, &folder.join("data")).map_err(|e| Error::file(&data, &e))?;
        if let Some(counted) = &model.catalogue().neighbours {
            neighbours::save(folder, counted)?;
        }
        write_json(&folder.join("config.json"), &checkpoint.header(Some(bits)))
    })
}

/// Vectors of all items, under the names of them and of their scales.
type Table = ([&'static str; 2], Vec<f32>);

fn write_weights(path: &Path, model: &Model, shape: &[usize], tables: &[Table], bits: ItemBits) -> Result<()> {
    let mut parts: Vec<Stored> = Vec::new();
    for p in model.params().list().iter().filter(|p| !is_replaced(&p.name)) {
        let bytes = bytemuck::cast_slice(&p.tensor.to_vec::<f32>()?).to_vec();
        parts.push((p.name.clone(), Dtype::F32, p.tensor.shape().to_vec(), bytes.into()));
    }
    let mut put = |name: &str, dtype, shape: &[usize], bytes: &[u8]| {
        parts.push((name.into(), dtype, shape.to_vec(), bytes.to_vec().into()));
    };
    for ([name, of_scales], vectors) in tables {
        let quantised = match bits {
            ItemBits::F32 => None,
            ItemBits::F16 => Some(Quantised::f16(vectors)),
            ItemBits::Int8 => Some(Quantised::int8(vectors, shape[1])),
        };
        match &quantised {
            None => put(name, Dtype::F32, shape, bytemuck::cast_slice(vectors)),
            Some(Quantised::F16(values)) => put(name, Dtype::F16, shape, bytemuck::cast_slice(values)),
            Some(Quantised::Int8(values, scales)) => {
                put(name, Dtype::I8, shape, bytemuck::cast_slice(values));
                put(of_scales, Dtype::F32, &shape[..1], bytemuck::cast_slice(scales));
            }
        }
    }
    write_stored(path, &parts)
}

/// Puts the weights of the exported model in `folder` into `model`.
pub(super) fn load_into(folder: &Path, bits: ItemBits, model: &mut Model) -> Result<()> {
    let path = folder.join(WEIGHTS);
    let kept: Vec<_> = model.params().list().iter().filter(|p| !is_replaced(&p.name)).cloned().collect();
    let values = read_tensors(&path, kept.iter().map(|p| (p.name.as_str(), p.tensor.shape())))?;
    kept.iter().zip(&values).for_each(|(p, v)| p.tensor.write(v));
    let (rows, dim) = (model.catalogue().n_items + 1, model.config().dim);
    let bytes = read(&path)?;
    let table = |names| items(&path, &bytes, names, [rows, dim], bits);
    let (outputs, packed) = match table([VECTORS, SCALES])? {
        Vectors::Plain(values) => (values, None),
        Vectors::Packed(values) => (values.floats(dim), Some(ItemTable::new(model.gpu(), &values, dim))),
    };
    if model.config().tied {
        model.fix_items(&outputs, None, packed);
        return Ok(());
    }
    let inputs = match table(INPUTS)? {
        Vectors::Plain(values) => values,
        Vectors::Packed(values) => values.floats(dim),
    };
    model.fix_items(&inputs, Some(&outputs), packed);
    Ok(())
}

enum Vectors {
    Plain(Vec<f32>),
    Packed(Quantised),
}

/// The vectors of items in a file of `bytes`.
fn items(
    path: &Path,
    bytes: &[u8],
    [name, of_scales]: [&str; 2],
    [rows, dim]: [usize; 2],
    bits: ItemBits,
) -> Result<Vectors> {
    let damaged = |e: String| Error::format(path, format!("damaged or cut short: {e}"));
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let part = |name: &str, dtype: Dtype, shape: &[usize]| {
        let view = file.tensor(name).map_err(|e| damaged(e.to_string()))?;
        let found = (view.dtype(), view.shape());
        match found == (dtype, shape) {
            true => Ok(view.data().to_vec()),
            false => Err(damaged(format!("{name} is {found:?}, but {:?} is asked for", (dtype, shape)))),
        }
    };
    let floats = |bytes: Vec<u8>| bytemuck::pod_collect_to_vec::<u8, f32>(&bytes);
    let (shape, too_wide) = ([rows, dim], bits == ItemBits::Int8 && dim > MAX_INT8_DIM);
    let vectors = match bits {
        _ if too_wide => return Err(damaged(format!("int8 rows of {dim} numbers"))),
        ItemBits::F32 => Vectors::Plain(floats(part(name, Dtype::F32, &shape)?)),
        ItemBits::F16 => {
            let values: Vec<f16> = bytemuck::pod_collect_to_vec(&part(name, Dtype::F16, &shape)?);
            Vectors::Packed(Quantised::F16(values))
        }
        ItemBits::Int8 => {
            let values: Vec<i8> = bytemuck::pod_collect_to_vec(&part(name, Dtype::I8, &shape)?);
            Vectors::Packed(Quantised::Int8(values, floats(part(of_scales, Dtype::F32, &[rows])?)))
        }
    };
    let finite = match &vectors {
        Vectors::Plain(values) => values.iter().all(|v| v.is_finite()),
        Vectors::Packed(Quantised::F16(values)) => values.iter().all(|v| v.is_finite()),
        Vectors::Packed(Quantised::Int8(_, scales)) => scales.iter().all(|v| v.is_finite()),
    };
    if finite { Ok(vectors) } else { Err(damaged("a vector of an item is no number".into())) }
}

/// Whether `bytes` are weights with these tensors of f32: the reader of checkpoints without a device, for tests.
///
/// # Errors
/// When they are not.
#[doc(hidden)]
pub fn inspect_weights(bytes: &[u8], names: &[(&str, &[usize])]) -> Result<()> {
    tensors_of(Path::new("bytes"), bytes, names.iter().copied()).map(drop)
}

/// Whether `bytes` hold vectors of items as an exported model does.
///
/// # Errors
/// When they do not.
#[doc(hidden)]
pub fn inspect_items(bytes: &[u8], shape: [usize; 2], bits: ItemBits) -> Result<()> {
    items(Path::new("bytes"), bytes, [VECTORS, SCALES], shape, bits).map(drop)
}
