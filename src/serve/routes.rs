//! What each route does.

use super::App;
use super::engine::{Answer, Ask, Keeping, What};
use super::http::{Body, Name, Params};
use super::lenient::{Object, Whole};
use super::loaded::{Items, Loaded, Past};
use super::refuse::Refused;
use super::salt::Salt;
use super::store::Event;
use super::wire::{self, Accepted, PastEvent, Ranked, Weight};
use crate::eval::Seen;
use crate::model::Request;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

pub type Reply<T> = Result<Json<T>, Refused>;
type Of = State<Arc<App>>;

/// Users and items that `GET /examples` shows.
const EXAMPLES: usize = 20;
/// As long as no more requests than this wait, states are moved on before anybody asks.
const AT_LEISURE: i64 = 8;

pub async fn page() -> impl IntoResponse {
    // Nothing from elsewhere, and nobody frames it.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("page.html")))
}

pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}

pub async fn health() -> Json<Value> {
    Json(json!({ "health": "ok" }))
}

pub async fn ready(State(app): Of) -> Reply<Value> {
    app.home.current().map(|loaded| Json(json!({ "ready": true, "model": loaded.id })))
}

pub async fn metrics(State(app): Of) -> impl IntoResponse {
    let bytes = std::fs::metadata(app.store.path()).map_or(0, |m| m.len());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text(bytes))
}

pub async fn events(State(app): Of, Body(sent): Body<wire::Events>) -> Reply<Accepted> {
    wire::count("events", sent.events.len(), [1, app.limits.events])?;
    let mut events = Vec::with_capacity(sent.events.len());
    for (n, Object(e)) in sent.events.into_iter().enumerate() {
        let event = stored(&app.salt, e);
        let at = |r: Refused| Refused::new(r.status, format!("events[{n}]: {}", r.message));
        events.push(event.map_err(at)?);
    }
    let users: Vec<String> = events.iter().map(|e| e.user.clone()).collect();
    let accepted = events.len();
    let known = app.writer.events(events).await?.count;
    app.metrics.events.inc_by(accepted as u64 - known);
    if let Ok(loaded) = app.home.current()
        && loaded.steps
    {
        // The answer does not wait for it.
        drop(tokio::task::spawn_blocking(move || advance(&app, &loaded, users)));
    }
    Ok(Json(Accepted { accepted, known }))
}

pub(super) fn stored(salt: &Salt, event: wire::NewEvent) -> Result<Event, Refused> {
    wire::name("user", &event.user)?;
    wire::name("item", &event.item)?;
    event.key.iter().try_for_each(|key| wire::name("key", key))?;
    Ok(Event {
        user: salt.name(&event.user),
        item: event.item,
        time: wire::time(event.time)?,
        place: event.place.map(wire::place).transpose()?,
        rating: event.rating.map(|r| wire::number("rating", r)).transpose()?,
        key: event.key,
    })
}

/// Moves on the states of `users` for which nobody waits. Where many requests wait, or a state alone does not say what a long
/// history needs, the next request does it.
fn advance(app: &App, loaded: &Arc<Loaded>, mut users: Vec<String>) {
    users.sort_unstable();
    users.dedup();
    for name in users {
        if app.metrics.waiting.get() > AT_LEISURE {
            return;
        }
        let Ok(kept) = app.store.user(&name, app.limits.history) else { return };
        let past = loaded.past(&name, &kept);
        if past.items.is_empty() || past.items.len() > loaded.config.len {
            continue;
        }
        let keeping = Some(Keeping { name, state: kept.state, last: kept.last });
        let (reply, _) = oneshot::channel();
        let ask =
            Ask { loaded: loaded.clone(), past, keeping, request: Request::default(), what: What::Advance, reply };
        drop(app.engine.ask(ask));
    }
}

pub async fn get_recommend(State(app): Of, Params(query): Params<wire::Query>) -> Reply<wire::Answer> {
    recommend(&app, query.body()?).await
}

pub async fn post_recommend(State(app): Of, Body(sent): Body<wire::Recommend>) -> Reply<wire::Answer> {
    recommend(&app, sent).await
}

async fn recommend(app: &App, sent: wire::Recommend) -> Reply<wire::Answer> {
    let top =
        sent.top.map_or(Ok(10), |Whole(top)| wire::count("top", top.try_into().unwrap_or(0), [1, app.limits.top]))?;
    wire::count("exclude", sent.exclude.len(), [0, app.limits.items])?;
    let loaded = app.home.current()?;
    let (past, keeping, request) = whose(app, &loaded, sent.user, sent.history, sent.at, sent.near)?;
    let mut exclude: Vec<u32> = match loaded.seen {
        Seen::Filter => past.items.clone(),
        Seen::Keep => Vec::new(),
    };
    {
        let items = loaded.items();
        exclude.extend(sent.exclude.iter().filter_map(|name| items.id(name)));
        if let Some(category) = &sent.category {
            let unknown = || Refused::new(StatusCode::NOT_FOUND, format!("no category is called {category:?}"));
            exclude.extend(items.others(loaded.category(category).ok_or_else(unknown)?));
        }
    }
    exclude.sort_unstable();
    exclude.dedup();
    let cold = past.user == 0;
    if past.items.is_empty() {
        let items = loaded.items();
        let allowed = loaded.popular().iter().filter(|(item, _)| exclude.binary_search(item).is_err());
        let list = allowed.take(top).map(|(item, share)| prior(&items, *item, *share)).collect();
        let explain = sent.explain.then(Vec::new);
        return Ok(Json(wire::Answer { items: list, cold, model: loaded.id.clone(), explain }));
    }
    let what = What::Recommend { exclude, top, explain: sent.explain };
    let (past, answer) = ask(app, &loaded, past, keeping, request, what).await?;
    let explain = sent.explain.then(|| weights(&loaded, &past, answer.weights.as_deref().unwrap_or_default()));
    let items = loaded.items();
    let list = answer.items.iter().map(|r| ranked(&items, r.item, Some(r.score), r.probability)).collect();
    Ok(Json(wire::Answer { items: list, cold, model: loaded.id.clone(), explain }))
}

pub async fn score(State(app): Of, Body(sent): Body<wire::Score>) -> Reply<wire::Answer> {
    wire::count("items", sent.items.len(), [1, app.limits.items])?;
    let loaded = app.home.current()?;
    let (past, keeping, request) = whose(&app, &loaded, sent.user, sent.history, sent.at, sent.near)?;
    let cold = past.user == 0;
    let ids: Vec<Option<u32>> = sent.items.iter().map(|name| loaded.items().id(name)).collect();
    let known: Vec<u32> = ids.iter().flatten().copied().collect();
    let found: Vec<(f32, Option<f32>)> = if past.items.is_empty() || known.is_empty() {
        known.iter().map(|id| loaded.share(*id)).map(|s| (s.ln(), Some(s))).collect()
    } else {
        let (_, answer) = ask(&app, &loaded, past, keeping, request, What::Score { items: known }).await?;
        answer.items.iter().map(|r| (r.score, r.probability)).collect()
    };
    let mut found = found.into_iter();
    let items = loaded.items();
    let one = |(name, id): (&String, &Option<u32>)| match id.and_then(|id| found.next().map(|f| (id, f))) {
        Some((id, (score, probability))) => ranked(&items, id, Some(score), probability),
        None => Ranked { item: name.clone(), score: None, probability: None, cold: true },
    };
    let list = sent.items.iter().zip(&ids).map(one).collect();
    Ok(Json(wire::Answer { items: list, cold, model: loaded.id.clone(), explain: None }))
}

pub async fn similar(State(app): Of, Name(name): Name, Params(query): Params<wire::Similar>) -> Reply<Value> {
    let top = wire::count("top", query.top.unwrap_or(10), [1, app.limits.top])?;
    let loaded = app.home.current()?;
    let item = loaded.items().id(&name);
    let item = item.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, format!("no item is called {name:?}")))?;
    let cold = loaded.items().is_new(item);
    let what = What::Similar { item, top };
    let (_, answer) = ask(&app, &loaded, Past::default(), None, Request::default(), what).await?;
    let items = loaded.items();
    let list: Vec<Ranked> = answer.items.iter().map(|r| ranked(&items, r.item, Some(r.score), None)).collect();
    Ok(Json(json!({ "items": list, "cold": cold, "model": loaded.id })))
}

pub async fn put_item(State(app): Of, Name(name): Name, Body(sent): Body<wire::NewItem>) -> Reply<Value> {
    wire::name("item", &name)?;
    let loaded = app.home.current()?;
    let expected = loaded.feature_dim();
    if !sent.features.is_empty() && sent.features.len() != expected {
        let n = sent.features.len();
        let message = format!("features: {n} numbers, but the model's items have {expected}");
        return Err(Refused::new(StatusCode::CONFLICT, message));
    }
    let facts = sent.facts()?;
    app.writer.item(name.clone(), facts.clone()).await?;
    let (home, called) = (app.home.clone(), name.clone());
    let new = tokio::task::spawn_blocking(move || home.put(&called, &facts)).await;
    let new = new.map_err(|_| Refused::unavailable("the item is stored, and not yet in the catalogue"))??;
    Ok(Json(json!({ "item": name, "new": new })))
}

pub async fn delete_user(State(app): Of, Name(name): Name) -> Reply<Value> {
    wire::name("user", &name)?;
    let name = app.salt.name(&name);
    let in_model = app.home.current()?.knows(&name);
    let gone = app.writer.forget(name, in_model).await?.count;
    Ok(Json(json!({ "forgotten": gone })))
}

pub async fn reload(State(app): Of) -> Reply<Value> {
    let home = app.home.clone();
    let loaded = tokio::task::spawn_blocking(move || home.reload()).await;
    let model = loaded.map_err(|_| Refused::unavailable("the model was not loaded"))?.map_err(|e| {
        tracing::error!("not loaded: {e}");
        Refused::new(StatusCode::CONFLICT, "the new model could not be loaded, and the old one serves; see the log")
    })?;
    Ok(Json(json!({ "model": model })))
}

pub async fn compact(State(app): Of) -> Reply<Value> {
    let bytes = app.writer.compact().await?.count;
    Ok(Json(json!({ "bytes": bytes })))
}

/// For somebody who looks around: names of the model's own data.
pub async fn examples(State(app): Of) -> Reply<Value> {
    let loaded = app.home.current()?;
    let items = loaded.items();
    let popular: Vec<&str> = loaded.popular().iter().take(EXAMPLES).map(|(item, _)| items.name(*item)).collect();
    let mut users = if app.salt.is_set() { Vec::new() } else { loaded.some_users(2 * EXAMPLES) };
    users.retain(|user| app.store.user(user, 1).is_ok_and(|kept| !kept.forgotten));
    users.truncate(EXAMPLES);
    Ok(Json(json!({ "users": users, "items": popular, "categories": loaded.categories(), "model": loaded.id })))
}

pub async fn no_route() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no such route; GET /openapi.json lists them")
}

pub async fn no_method() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "no such method on this route; GET /openapi.json lists them")
}

/// The history that a request is about, and when and where it was asked.
fn whose(
    app: &App,
    loaded: &Loaded,
    user: Option<String>,
    history: Option<Vec<Object<PastEvent>>>,
    at: Option<Whole>,
    near: Option<[f64; 2]>,
) -> Result<(Past, Option<Keeping>, Request), Refused> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let time = at.map(wire::time).transpose()?.or(loaded.has_time.then_some(now));
    let request = Request { time, place: near.map(wire::place).transpose()? };
    match (user, history) {
        (Some(user), None) => {
            wire::name("user", &user)?;
            let name = app.salt.name(&user);
            let kept = app.store.user(&name, app.limits.history)?;
            let past = loaded.past(&name, &kept);
            Ok((past, Some(Keeping { name, state: kept.state, last: kept.last }), request))
        }
        (None, Some(list)) => {
            wire::count("history", list.len(), [0, app.limits.history])?;
            let items = loaded.items();
            Ok((told(list, time.unwrap_or(now), |name| items.id(name))?, None, request))
        }
        (Some(_), Some(_)) => Err(Refused::bad("user and history: give one of them")),
        (None, None) => Err(Refused::bad("give a user or a history")),
    }
}

/// A history that was sent. Items that nobody knows say nothing.
pub(super) fn told(
    list: Vec<Object<PastEvent>>,
    otherwise: i64,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Past, Refused> {
    let mut events = Vec::with_capacity(list.len());
    for Object(e) in list {
        wire::name("item", &e.item)?;
        let place = e.place.map(wire::place).transpose()?;
        let rating = e.rating.map(|r| wire::number("rating", r)).transpose()?;
        events.push((e.item, e.time.map(wire::time).transpose()?.unwrap_or(otherwise), place, rating));
    }
    events.sort_by_key(|e| e.1);
    let mut past = Past::default();
    for (item, time, place, rating) in events {
        if let Some(id) = id(&item) {
            past.push(id, time, place, rating);
        }
    }
    Ok(past)
}

async fn ask(
    app: &App,
    loaded: &Arc<Loaded>,
    past: Past,
    keeping: Option<Keeping>,
    request: Request,
    what: What,
) -> Result<(Past, Answer), Refused> {
    let (reply, answer) = oneshot::channel();
    let explained = matches!(what, What::Recommend { explain: true, .. }).then(|| past.clone()).unwrap_or_default();
    app.engine.ask(Ask { loaded: loaded.clone(), past, keeping, request, what, reply })?;
    let answer = answer.await.map_err(|_| Refused::unavailable("the server shuts down"))??;
    Ok((explained, answer))
}

fn ranked(items: &Items, id: u32, score: Option<f32>, probability: Option<f32>) -> Ranked {
    Ranked { item: items.name(id).to_string(), score, probability, cold: items.is_new(id) }
}

/// An item by its share of all events, where nothing is known of who asks.
fn prior(items: &Items, id: u32, share: f32) -> Ranked {
    ranked(items, id, Some(share.ln()), Some(share))
}

/// The newest events of `past` with the share of attention that each got, heaviest first.
fn weights(loaded: &Loaded, past: &Past, weights: &[f32]) -> Vec<Weight> {
    let items = loaded.items();
    let from = past.items.len() - weights.len();
    let one = |(t, weight): (usize, &f32)| Weight {
        item: items.name(past.items[from + t]).to_string(),
        time: past.times[from + t],
        weight: *weight,
    };
    let mut list: Vec<Weight> = weights.iter().enumerate().map(one).collect();
    list.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    list
}
