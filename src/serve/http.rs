//! Connections and what holds for every route: limits, tokens, times, and errors as JSON.

use super::App;
use super::access::Role;
use super::lenient::Object;
use super::refuse::Refused;
use super::routes;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 << 10;
/// Time for a request's head to come, and for a connection to lie idle.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// Time for requests under way when the server shuts down.
const DRAIN_TIME: Duration = Duration::from_secs(30);

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(routes::page))
        .route("/openapi.json", get(routes::openapi))
        .route("/health", get(routes::health))
        .route("/ready", get(routes::ready))
        .route("/metrics", get(routes::metrics))
        .route("/examples", get(routes::examples))
        .route("/events", post(routes::events))
        .route("/recommend", get(routes::get_recommend).post(routes::post_recommend))
        .route("/score", post(routes::score))
        .route("/similar/{item}", get(routes::similar))
        .route("/items/{id}", put(routes::put_item))
        .route("/users/{id}", delete(routes::delete_user))
        .route("/admin/reload", post(routes::reload))
        .route("/admin/compact", post(routes::compact))
        .fallback(routes::no_route)
        .method_not_allowed_fallback(routes::no_method)
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// What a route asks of who calls it.
fn needed(method: &Method, path: &str) -> Role {
    match (method.as_str(), path) {
        (_, "/" | "/health" | "/ready" | "/openapi.json") => Role::Open,
        ("GET" | "HEAD" | "POST", "/recommend" | "/score" | "/metrics") => Role::Read,
        ("GET" | "HEAD", path) if path.starts_with("/similar/") => Role::Read,
        ("POST", "/events") => Role::Write,
        _ => Role::Admin,
    }
}

/// Token, host and time; and the metrics of it.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "other".to_string(), |m| m.as_str().into());
    let method = request.method().clone();
    let response = match allowed(&app, &request) {
        Err(refused) => refused.into_response(),
        Ok(()) => match tokio::time::timeout(app.timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refused::new(StatusCode::GATEWAY_TIMEOUT, "it took too long").into_response(),
        },
    };
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.request(&route, status, took);
    tracing::debug!(%method, route, status, ms = took.as_secs_f64() * 1e3);
    response
}

fn allowed(app: &App, request: &Request) -> Result<(), Refused> {
    let needed = needed(request.method(), request.uri().path());
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    let Some(tokens) = &app.tokens else {
        // A page of another site must not reach a server on loopback by a name that it chose.
        let host = text(header::HOST).unwrap_or("localhost");
        let host = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
        let local =
            host == "localhost" || host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback());
        // Nor may it by a request without a body, which a browser sends anywhere without asking.
        let origin = request.headers().get(header::ORIGIN).map(|o| o.to_str().unwrap_or_default());
        let own = origin.is_none_or(|o| o.split_once("://").map(|(_, host)| host) == text(header::HOST));
        return match local && (own || request.method() == Method::OPTIONS) {
            true => Ok(()),
            false => Err(Refused::new(
                StatusCode::FORBIDDEN,
                "without tokens the server answers on localhost alone, and no page of another origin",
            )),
        };
    };
    if needed == Role::Open {
        return Ok(());
    }
    let token = text(header::AUTHORIZATION).and_then(|v| v.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map_or("", |(_, token)| token.trim());
    match tokens.role(token) {
        None => {
            Err(Refused::new(StatusCode::UNAUTHORIZED, "send a token that the server knows: Authorization: Bearer …"))
        }
        Some(role) if role < needed => Err(Refused::new(StatusCode::FORBIDDEN, "this token may not do that")),
        Some(_) => Ok(()),
    }
}

/// A body of JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Refused> {
        // What a form of another site can send is refused: only JSON makes a browser ask first.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let message = "expected Content-Type: application/json";
            return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|e: BytesRejection| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refused::new(e.status(), "the body is larger than the server takes"),
            _ => Refused::bad("the body was cut short"),
        })?;
        read_body(&bytes).map(Body)
    }
}

pub(super) fn read_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map(|Object(body)| body).map_err(|e| Refused::bad(format!("body: {e}")))
}

/// The query of the address.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, Refused> {
        read_query(&parts.uri).map(Params)
    }
}

/// What stands behind the question mark.
pub(super) fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refused> {
    let why = |e: &dyn std::error::Error| e.source().map_or_else(|| e.to_string(), ToString::to_string);
    Query::<T>::try_from_uri(uri).map(|Query(q)| q).map_err(|e| Refused::bad(format!("query: {}", why(&e))))
}

/// The name in the path.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Refused> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Name(name)).map_err(|_| Refused::bad("path: a name that is no UTF-8"))
    }
}

/// Serves until `stop`, then lets the requests under way end.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let service = TowerToHyperService::new(router(app.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(app.connections));
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let seat = seats.clone().acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, socket) = tokio::select! {
            (seat, accepted) = accepted => match accepted {
                Ok((socket, _)) => (seat, socket),
                Err(error) => {
                    // Too many open files, for one: it passes.
                    tracing::warn!("no connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        drop(socket.set_nodelay(true));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(socket), service.clone()));
        tokio::spawn(async move {
            drop(connection.await); // a client that goes away is its own affair
            drop(seat);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
}
