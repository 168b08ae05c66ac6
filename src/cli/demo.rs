use super::Common;
use desirepath::Result;

/// placeholder
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args, _: &Common) -> Result<()> {
    Ok(())
}
