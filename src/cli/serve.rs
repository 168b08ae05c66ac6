use super::Common;
use desirepath::serve::{Gather, Limits, Open, ServeOptions, Server, asked_to_stop};
use desirepath::{Error, Result};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Serve a model over HTTP: events in, recommendations that already know them out.
///
/// An event is answered for once it is on disk; nothing of it is lost by a kill. GET / is a page to try it with,
/// GET /openapi.json describes every route, GET /metrics is for Prometheus. SIGTERM ends it once all that was asked is
/// answered, SIGHUP loads the model anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  desirepath serve .out/demo/model --store demo.store
  curl 'localhost:8080/recommend?user=ada&top=3'
  desirepath serve .out/shop --store shop.store --listen 0.0.0.0:8080 --token-file tokens --salt-file salt --log json

A token file has lines `read TOKEN`, `write TOKEN` or `admin TOKEN`; each may do what those before it may:
  echo \"admin $(head -c 24 /dev/urandom | base64)\" > tokens")]
pub struct Args {
    /// Folder that `train` wrote
    model: PathBuf,
    /// File for the histories of users; made where there is none
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Milliseconds that a request waits for others to share a batch with
    #[arg(long, value_name = "MS", default_value_t = 2)]
    wait: u64,
    /// Requests of one batch on the device
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Requests that may wait for the device; more are answered with 503
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    queue: u16,
    /// Tokens without which nobody may ask; needed to listen beyond this machine
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Secret bytes: users are stored under hashes keyed with it, and not under their names
    #[arg(long, value_name = "FILE")]
    salt_file: Option<PathBuf>,
    /// Most bytes of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body)]
    max_body: usize,
    /// Most events of one request
    #[arg(long, value_name = "N", default_value_t = Limits::default().events)]
    max_events: usize,
    /// Most events of a history that are looked at, and that a request may bring
    #[arg(long, value_name = "N", default_value_t = Limits::default().history)]
    max_history: usize,
    /// Most recommendations of one request
    #[arg(long, value_name = "N", default_value_t = Limits::default().top)]
    max_top: usize,
    /// Most connections at once
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_connections: usize,
    /// Seconds after which a request is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
    /// Seconds after which the store is written anew where a user was forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    compact_after: u64,
    /// How to log
    #[arg(long, value_enum, default_value_t = Log::Plain)]
    log: Log,
    /// What to log: error, warn, info, debug (every request)
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: tracing_subscriber::filter::LevelFilter,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Log {
    Plain,
    Json,
    Off,
}

pub fn run(args: &Args, common: &Common) -> Result<()> {
    let range = |name: &str, n: usize, most: usize| match (1..=most).contains(&n) {
        true => Ok(n),
        false => Err(Error::Config(format!("{name} {n}: expected 1 to {most}"))),
    };
    let defaults = Limits::default();
    let limits = Limits {
        body: range("--max-body", args.max_body, 1 << 30)?,
        events: range("--max-events", args.max_events, 1 << 20)?,
        history: range("--max-history", args.max_history, 1 << 20)?,
        top: range("--max-top", args.max_top, defaults.top)?,
        ..defaults
    };
    log(args);
    let adapter = common.options();
    let open: Open = Arc::new(move || Common::open(adapter.clone()));
    let options = ServeOptions {
        listen: args.listen,
        gather: Gather {
            wait: Duration::from_millis(args.wait.min(1000)),
            batch: args.batch.into(),
            queue: args.queue.into(),
        },
        limits,
        timeout: Duration::from_secs(args.timeout.clamp(1, 3600)),
        connections: range("--max-connections", args.max_connections, 1 << 16)?,
        token_file: args.token_file.clone(),
        salt_file: args.salt_file.clone(),
        compact_after: Duration::from_secs(args.compact_after.clamp(1, 86_400)),
        ..ServeOptions::new(&args.model, &args.store, open)
    };
    let server = Server::start(&options)?;
    let address = server.address();
    common.print(&json!({ "listening": address.to_string() }), format!("listening on http://{address}\n"))?;
    server.run(asked_to_stop());
    Ok(())
}

/// Logs go to standard error.
fn log(args: &Args) {
    let builder =
        tracing_subscriber::fmt().with_max_level(args.log_level).with_writer(std::io::stderr).with_target(false);
    match args.log {
        Log::Plain => builder.with_ansi(false).init(),
        Log::Json => builder.json().init(),
        Log::Off => (),
    }
}
