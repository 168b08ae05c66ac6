//! How much a GRU's state that went on through all of a long history differs from the one of the model's window, which
//! training and `recommend` have: `cargo bench --all-features --bench states -- MODEL`, a folder that `train` wrote of a
//! model whose GRU alone reads the history (`--preset gru4rec`).

use desirepath::model::{History, Recommendation, Request, Serving};
use desirepath::train::{Checkpoint, history};
use desirepath::{Error, Gpu, Result};
use std::path::Path;

/// Users with more than twice the events of a window.
const USERS: usize = 64;
const TOP: usize = 10;

fn main() -> Result<()> {
    let Some(folder) = std::env::args().skip(1).find(|a| !a.starts_with("--")) else {
        println!("no model given: cargo bench --all-features --bench states -- MODEL");
        return Ok(());
    };
    let checkpoint = Checkpoint::open(Path::new(&folder))?;
    let (data, len, dim) = (checkpoint.data()?, checkpoint.config.len, checkpoint.config.dim);
    let gpu = Gpu::new()?;
    let model = Serving::new(checkpoint.load(&gpu, &data)?, 0)?;
    let long = (1..=data.n_users()).filter(|u| data.events_of(*u).len() > 2 * len).take(USERS);
    let users: Vec<u32> = long.map(|u| u as u32).collect();
    if users.is_empty() {
        return Err(Error::Config(format!("nobody has more than {} events", 2 * len)));
    }
    let whole: Vec<History> =
        users.iter().map(|u| history(&data, *u, data.events_of(*u as usize), Request::default())).collect();
    let window: Vec<History> = whole.iter().map(|h| h.last(len)).collect();
    let states = model.states_after(&window)?;
    let mut moved = Vec::new();
    for h in &whole {
        let mut state = model.states_after(&[h.first(1)])?;
        for count in 2..=h.items.len() {
            state = model.step(&state, &[h.first(count)])?;
        }
        moved.extend(state);
    }
    let exclude: Vec<Vec<u32>> = whole.iter().map(|h| h.items.to_vec()).collect();
    let best = |states: &Vec<f32>| model.recommend_from(states, &users, &exclude, TOP);
    let (a, b) = (best(&states)?, best(&moved)?);
    let items = |list: &[Recommendation]| list.iter().map(|r| r.item).collect::<Vec<_>>();
    let both = || a.iter().zip(&b).map(|(a, b)| (items(a), items(b)));
    let shared: usize = both().map(|(a, b)| a.iter().filter(|item| b.contains(item)).count()).sum();
    let first = both().filter(|(a, b)| a.first() == b.first()).count();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let gap = |(a, b): (&[f32], &[f32])| norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(a);
    let mut gaps: Vec<f32> = states.chunks(dim).zip(moved.chunks(dim)).map(gap).collect();
    gaps.sort_by(f32::total_cmp);
    println!(
        "{} users with more than {} events: median relative difference of the states {:.2e}, largest {:.2e}; of {TOP} \
         recommendations {:.2} are shared, the first is the same for {first}",
        users.len(),
        2 * len,
        gaps[gaps.len() / 2],
        gaps[gaps.len() - 1],
        shared as f64 / users.len() as f64,
    );
    Ok(())
}
