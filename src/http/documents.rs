//! What the service says about itself: its OpenAPI document and its problem catalogue.

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{Components, Object, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr, Required};
use utoipa::{OpenApi, ToSchema};

use super::problem::{self, Problem};
use super::written::Written;
use crate::app::App;
use crate::notices::Message;
use crate::proposals::View;

/// An API without operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chancery",
        description = "Signs Polymarket CLOB orders and issues client assertions with keys that stay in their device.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(problem::Document<'_>, Message)),
)]
pub(super) struct Api;

/// What the names in paths stand for.
const IN_PATHS: [(&str, &str); 23] = [
    ("apiKey", "The API key's id"),
    ("approver_key", "The id of the key"),
    ("caller", "The caller's name"),
    ("client", "The client's name"),
    ("credential", "The credential's id"),
    ("device", "The device's name"),
    ("export", "The export's id"),
    ("halt", "The id of the halt"),
    ("id", "A name or an id, as the scope has it; all for global"),
    ("key", "The key's name"),
    ("leaf", "The leaf's index in the log"),
    ("operation", "The operation's id"),
    ("person", "The person's name"),
    ("proposal", "The proposal's id"),
    ("recipient", "The recipient's name"),
    ("rotation", "The rotation's id"),
    ("scope", "global, caller, key, caller-key, wallet or market"),
    ("sealing_key", "The sealing key's id"),
    ("search", "The search's id"),
    ("signature", "The id from the answer"),
    ("token", "The token's id"),
    ("version", "The version with which it came"),
    ("wallet", "The wallet's name"),
];

/// Where an order is asked for, which is signed once and on market data.
const ORDERS: [&str; 3] = ["/orders", "/market-orders", "/orders/batch"];
/// Where something is signed that may be signed again.
const AGAIN: [&str; 3] = ["/l2-headers", "/builder-headers", "/assertions"];

/// What holds for every operation is said here, once: who may ask, the headers that are taken, what
/// the names in the path stand for, and how a refusal looks.
pub(super) fn complete(mut document: Document) -> Document {
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", scheme);
    let certificate = SecurityScheme::MutualTls {
        description: Some("A certificate of the caller, where the service speaks TLS.".to_owned()),
        deprecated: None,
        extensions: None,
    };
    components.add_security_scheme("certificate", certificate);
    let either = ["token", "certificate"];
    let either = either.map(|it| SecurityRequirement::new(it, Vec::<String>::new()));
    document.security = Some(either.into());
    close_variants(components);
    for (path, item) in &mut document.paths.paths {
        for operation in [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.delete,
        ] {
            let Some(operation) = operation else { continue };
            if operation.security.is_some() {
                continue; // for everybody, who is not refused
            }
            let makes = operation.responses.responses.contains_key("201");
            let parameters = operation.parameters.get_or_insert_default();
            let mut own = std::mem::take(parameters);
            own.retain(|it| !matches!(it, RefOr::T(it) if it.parameter_in == ParameterIn::Path));
            parameters.extend(in_path(path).map(RefOr::T));
            parameters.extend(own);
            parameters.extend(in_headers(path, makes).into_iter().map(RefOr::T));
            if parameters.is_empty() {
                operation.parameters = None;
            }
            let responses = &mut operation.responses.responses;
            if makes {
                responses.insert("202".to_owned(), proposed());
            }
            responses
                .entry("default".to_owned())
                .or_insert_with(refusal);
        }
    }
    document
}

/// A variant with a body of its own is that body with the tag in it: nothing could be both of two closed
/// objects.
fn close_variants(components: &mut Components) {
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::OneOf(one_of)) = schema else {
            continue;
        };
        for item in &mut one_of.items {
            let RefOr::T(Schema::AllOf(all_of)) = &*item else {
                continue;
            };
            if let [RefOr::Ref(body), RefOr::T(Schema::Object(tag))] = all_of.items.as_slice()
                && let Some(name) = body.ref_location.strip_prefix("#/components/schemas/")
                && let Some(RefOr::T(Schema::Object(body))) = known.get(name)
            {
                let mut whole = body.clone();
                whole.description.clone_from(&all_of.description);
                whole.required.extend(tag.required.iter().cloned());
                whole.properties.extend(tag.properties.clone());
                *item = RefOr::T(Schema::Object(whole));
            }
        }
    }
}

fn in_path(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{'));
    names.map(|name| {
        let name = name.trim_end_matches('}');
        let known = IN_PATHS.iter().find(|it| it.0 == name);
        let (name, means) = known.expect("a name in a path stands in the list");
        parameter(name, ParameterIn::Path, Type::String, true, means)
    })
}

fn in_headers(path: &str, makes: bool) -> Vec<Parameter> {
    let ends = |with: &[&str]| with.iter().any(|end| path.ends_with(end));
    let header =
        |name, holds, required, means| parameter(name, ParameterIn::Header, holds, required, means);
    let (order, again) = (ends(&ORDERS), ends(&AGAIN));
    let mut taken = Vec::new();
    if order || again || makes {
        let means = if again {
            "To get the same answer again after it was lost"
        } else {
            "Fresh for each new request; the same to repeat one"
        };
        taken.push(header("Idempotency-Key", Type::String, !again, means));
    }
    let waits = order || again || ends(&["/tokens"]) && !makes || ends(&["/operations"]) && makes;
    if waits {
        let means = "How long you wait, in milliseconds: 1 to 60000";
        taken.push(header("Chancery-Deadline-Ms", Type::Integer, false, means));
    }
    if order {
        let means =
            "`no-cache`: ask the CLOB again for what is remembered of it, its order version too";
        taken.push(header("Cache-Control", Type::String, false, means));
    }
    taken
}

fn parameter(
    name: &str,
    within: ParameterIn,
    holds: Type,
    required: bool,
    means: &str,
) -> Parameter {
    let required = if required {
        Required::True
    } else {
        Required::False
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(within)
        .required(required)
        .description(Some(means))
        .schema(Some(Object::with_type(holds)))
        .build()
}

/// What loosens, where nobody has agreed to it yet.
fn proposed() -> RefOr<utoipa::openapi::Response> {
    let view = Ref::from_schema_name(View::name());
    let response = ResponseBuilder::new()
        .description(
            "Others have to approve it: repeat the request, with the same key, when they have",
        )
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(view)).build(),
        );
    response.build().into()
}

fn refusal() -> RefOr<utoipa::openapi::Response> {
    let document = Ref::from_schema_name(problem::Document::name());
    let response = ResponseBuilder::new().description("A problem").content(
        "application/problem+json",
        ContentBuilder::new().schema(Some(document)).build(),
    );
    response.build().into()
}

/// Where the documents are, for whoever asks.
pub(super) fn routes(document: &Document) -> Router<App> {
    let document = Written::json(document);
    let problems = Written::json(&problem::CATALOGUE);
    Router::new()
        .route(
            "/openapi.json",
            get(async move |asked: HeaderMap| document.to(&asked)),
        )
        .route(
            "/problems",
            get(async move |asked: HeaderMap| problems.to(&asked)),
        )
        .route("/problems/{name}", get(show_problem))
}

async fn show_problem(Path(name): Path<String>) -> Response {
    match problem::CATALOGUE.iter().find(|kind| kind.name == name) {
        Some(kind) => Json(kind).into_response(),
        None => Problem::not_found("problem").into_response(),
    }
}
