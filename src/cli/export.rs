use super::Common;
use desirepath::train::{Checkpoint, ItemBits, export};
use desirepath::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Write a model for serving alone, with the vectors of its items in fewer bits.
///
/// `evaluate` and `recommend` read it like any other; it cannot be trained on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath export .out/ml-100k --items int8
  desirepath export .out/nyc --items f16 --out nyc-f16")]
pub struct Args {
    /// Folder that `train` wrote
    model: PathBuf,
    /// How to keep the vectors of the items
    #[arg(long, value_enum)]
    items: ItemBits,
    /// Folder to write [default: MODEL-int8 and the like]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the exported model in --out
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Summary<'a> {
    model: &'a Path,
    out: &'a Path,
    items: ItemBits,
    /// Of the weights, before and after.
    bytes_before: u64,
    bytes: u64,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let checkpoint = Checkpoint::open(&args.model)?;
    let name = serde_json::to_value(args.items).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default();
    let out = match &args.out {
        Some(out) => out.clone(),
        None => {
            let mut file = args.model.file_name().unwrap_or_default().to_os_string();
            file.push(format!("-{name}"));
            args.model.with_file_name(file)
        }
    };
    if Checkpoint::exists(&out) {
        let there = out.display();
        match Checkpoint::open(&out) {
            Ok(old) if old.items.is_none() => {
                return Err(Error::Config(format!("{there} is a model that can be trained on; choose another --out")));
            }
            _ if !args.force => return Err(Error::Config(format!("{there} exists; replace it with --force"))),
            _ => Checkpoint::replaceable(&out)?,
        }
    }
    export(&common.gpu()?, &checkpoint, args.items, &out)?;
    let size = |folder: &Path| {
        let file = folder.join("model.safetensors");
        std::fs::metadata(&file).map(|m| m.len()).map_err(|e| Error::file(&file, &e))
    };
    let (bytes_before, bytes) = (size(&args.model)?, size(&out)?);
    let summary = Summary { model: &args.model, out: &out, items: args.items, bytes_before, bytes };
    let text = format!("{} with items in {name}: {bytes} bytes of weights, {bytes_before} before\n", out.display());
    common.print(&summary, text)
}
