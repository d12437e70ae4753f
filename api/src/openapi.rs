//! `/openapi.json` and `/docs`: what the routes say of themselves, and what is true of all of them.
//!
//! Handlers describe what is their own; statuses, headers and security that follow from the kind of a
//! route are added here, from the one table of routes. `/docs` brings its page's scripts along and
//! fetches nothing.

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required,
    ResponseBuilder, Schema, Tag,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::App;
use crate::params::POSITION_MAX;
use crate::problem::{self, FieldError, Problem};
use crate::routes::{
    Access, BULK, CANCEL_BATCH, CLAIM, CLOSE_BATCH, JOBS_OF_BATCH, PREVIEW, RETRY_BATCH, ROUTES,
    Route, Routes,
};
use crate::texts::ID_PATTERN;
use crate::tickets::TICKET;

/// Paths whose body may be left out: nothing in it is required.
const OPTIONAL_BODIES: [&str; 11] = [
    "/requeue",
    "/start",
    "/resume",
    "/close",
    "/reopen",
    "/cancel",
    "/retry",
    "/configure",
    "/pause",
    "/trigger",
    "/tickets",
];

/// Name of the security scheme that every route takes.
const TOKEN: &str = "token";

/// What is said before any route is added.
pub(crate) fn preamble() -> OpenApi {
    let description = "Commands become events in a log that is never rewritten; queries read what \
        is folded from it. Every error is a problem (RFC 9457). Send `Idempotency-Key` with every \
        command that may be retried, and `Ledgerline-Min-Position` with a query that must see it.";
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("Ledgerline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(license))
        .build();
    let tag = |name: &str, description: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    };
    OpenApiBuilder::new()
        .info(info)
        .tags(Some([
            tag(
                "assignments",
                "work that somebody asks of a group, and that one person or agent does",
            ),
            tag(
                "jobs",
                "work for programs, handed out to one worker at a time",
            ),
            tag(
                "batches",
                "jobs that belong together, and what follows when all have ended",
            ),
            tag("queues", "how jobs are handed out, and how many wait"),
            tag("schedules", "jobs that are enqueued again and again"),
            tag("batch", "many commands in one request"),
            tag(
                "workload",
                "what each person and each group has to do, and has done",
            ),
            tag("events", "what has happened, as it happens or again"),
            tag("running", "how the service is"),
        ]))
        .build()
}

/// The description as it is served.
#[derive(Clone)]
struct Document(Bytes);

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "running",
    responses((status = 200, description = "this description", body = Object)))]
async fn document(Extension(Document(document)): Extension<Document>) -> Response {
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(document))
}

/// The router of all routes, with their description and the page that shows it.
pub(crate) fn serve(routes: Routes) -> axum::Router<App> {
    let (router, openapi) = routes.into_router().split_for_parts();
    let document = Document(Bytes::from(finished(openapi)));
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    router
        .layer(Extension(document))
        .merge(axum::Router::from(page))
}

/// The description as JSON, with what is true of every route.
pub(crate) fn finished(mut openapi: OpenApi) -> String {
    let components = openapi.components.get_or_insert_default();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components
        .schemas
        .insert(FieldError::name().into_owned(), FieldError::schema());
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("a JWT signed with Ed25519 (`EdDSA`), with issuer, audience, `sub`, `tenant`, `roles`, `exp`, `nbf`, `iat`"))
        .build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    let ticket =
        "from `/v1/tickets`: stands for the token once, where what is watched is opened by a page";
    let ticket = ApiKeyValue::with_description(TICKET, ticket);
    components.add_security_scheme(TICKET, SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    for row in ROUTES {
        let item = openapi.paths.paths.get_mut(row.path);
        let operation = item.and_then(|item| match row.method {
            "GET" => item.get.as_mut(),
            "PUT" => item.put.as_mut(),
            "DELETE" => item.delete.as_mut(),
            _ => item.post.as_mut(),
        });
        if let Some(operation) = operation {
            complete(row, operation);
        }
    }
    openapi
        .to_pretty_json()
        .expect("a description has only text, numbers and lists")
}

/// What follows from the kind of a route.
fn complete(row: &Route, operation: &mut Operation) {
    operation.operation_id = Some(operation_id(row));
    // Whatever has no operation of its own takes no body: what is said to be refused really is.
    let statuses = statuses(row);
    for (status, description) in statuses {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_owned())
            .or_insert_with(|| problem_response(description));
    }
    if row.access != Access::Public {
        let ticket = row.is_watched().then_some(TICKET);
        let schemes = [TOKEN].into_iter().chain(ticket);
        let schemes = schemes.map(|name| SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
        operation.security = Some(schemes.collect());
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && OPTIONAL_BODIES.iter().any(|verb| row.path.ends_with(verb))
        && row.path != CLOSE_BATCH
    {
        body.required = Some(Required::False);
    }
    let parameters = operation.parameters.get_or_insert_default();
    parameters.extend(shared_parameters(row).into_iter().map(RefOr::T));
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            response.headers.insert(
                "X-Request-Id".to_owned(),
                RefOr::T(header(
                    "the request, as in the server's log",
                    SchemaType::new(Type::String),
                )),
            );
            if status.starts_with('2') && has_position(row) {
                let integer = SchemaType::new(Type::Integer);
                let position = header(
                    "the place in the journal that the answer belongs to",
                    integer,
                );
                response
                    .headers
                    .insert("Ledgerline-Position".to_owned(), RefOr::T(position));
            }
            if status.starts_with('2') && is_command(row) {
                let tag = header("the version, for `If-Match`", SchemaType::new(Type::String));
                response.headers.insert("ETag".to_owned(), RefOr::T(tag));
            }
            if status == "503" || status == "504" || status == "429" {
                let seconds = header("after so many seconds", SchemaType::new(Type::Integer));
                response
                    .headers
                    .entry("Retry-After".to_owned())
                    .or_insert(RefOr::T(seconds));
            }
        }
    }
}

/// `POST /v1/assignments/{id}/assign` is `post_assignments_id_assign`.
fn operation_id(row: &Route) -> String {
    let words = row
        .path
        .trim_start_matches("/v1")
        .split(['/', '.', '{', '}']);
    let words = words.filter(|word| !word.is_empty());
    words.fold(row.method.to_lowercase(), |id, word| id + "_" + word)
}

/// Whether it changes one aggregate and is answered with a receipt.
fn is_command(row: &Route) -> bool {
    let of_aggregates = [
        "/v1/assignments",
        "/v1/jobs",
        "/v1/batches",
        "/v1/queues",
        "/v1/schedules",
    ];
    row.method != "GET"
        && of_aggregates.iter().any(|path| row.path.starts_with(path))
        && !is_of_worker(row)
        && !is_bulk(row)
        && ![JOBS_OF_BATCH, PREVIEW].contains(&row.path)
}

/// Whether it changes whatever it finds by the read models.
fn is_bulk(row: &Route) -> bool {
    [BULK, CANCEL_BATCH, RETRY_BATCH].contains(&row.path)
}

/// Whether a worker gets or keeps jobs by it.
fn is_of_worker(row: &Route) -> bool {
    row.path == CLAIM || row.path.ends_with("/heartbeat")
}

/// Whether it reads the read models, and so can wait for a position.
fn is_read(row: &Route) -> bool {
    let of_models = [
        "/v1/assignments",
        "/v1/jobs",
        "/v1/batches",
        "/v1/queues",
        "/v1/schedules",
        "/v1/workers",
        "/v1/workload",
        "/v1/positions",
    ];
    let is_query = row.method == "GET" || is_bulk(row);
    is_query && of_models.iter().any(|path| row.path.starts_with(path))
}

fn has_position(row: &Route) -> bool {
    is_command(row) || is_read(row)
}

/// The statuses that a route may answer with beside its own.
fn statuses(row: &Route) -> Vec<(&'static str, &'static str)> {
    let mut statuses = vec![
        ("400", "the request is malformed"),
        ("500", "the server made a mistake"),
        (
            "503",
            "something needed is away, or the server is full; try again",
        ),
    ];
    if row.access != Access::Public {
        statuses.push(("401", "there is no valid token"));
        statuses.push(("403", "the token does not allow it"));
    }
    // A queue is never unknown, and never says no.
    let is_of_queue = row.path.starts_with("/v1/queues/");
    if row.path.contains('{') && !is_of_queue {
        statuses.push(("404", "there is no such thing in the caller's tenant"));
    }
    let takes_body = row.method != "GET" && !row.path.ends_with("/rebuild");
    if takes_body {
        statuses.push(("413", "the body is larger than the limit"));
        statuses.push(("415", "the content type is not taken"));
    }
    if is_command(row) && !is_of_queue {
        statuses.push(("409", "a rule refuses it; `type` names the rule"));
    }
    if is_command(row) {
        statuses.push(("412", "it has another version than was expected"));
        statuses.push((
            "422",
            "a field breaks a rule, or the key stands for another request",
        ));
    }
    if is_read(row) {
        statuses.push(("422", "the cursor is not of this list"));
        statuses.push((
            "504",
            "the read side did not get as far as was asked in time",
        ));
    }
    if is_of_worker(row) || is_bulk(row) || row.path == PREVIEW {
        statuses.push(("422", "a field breaks a rule"));
    }
    if row.path.ends_with("/heartbeat") {
        statuses.push(("409", "the attempt does not run; the worker should stop"));
    }
    if row.path == "/v1/tickets" {
        statuses.push(("422", "a field breaks a rule"));
    }
    if row.path == "/v1/replays" {
        statuses.push(("409", "a replay of this name is running"));
        statuses.push(("422", "a field breaks a rule"));
    }
    let limited = [
        "/v1/replays",
        "/v1/events",
        "/v1/tickets",
        "/v1/commands",
        "/v1/batches",
        JOBS_OF_BATCH,
        CLAIM,
    ];
    if limited.contains(&row.path) && row.method == "POST"
        || row.path == "/v1/events"
        || row.is_watched()
    {
        statuses.push(("429", "there are as many as the limit"));
    }
    statuses
}

fn problem_response(description: &str) -> RefOr<utoipa::openapi::Response> {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    RefOr::T(
        ResponseBuilder::new()
            .description(description)
            .content(problem::MEDIA_TYPE, content)
            .build(),
    )
}

fn shared_parameters(row: &Route) -> Vec<Parameter> {
    let mut parameters = vec![parameter(
        "X-Correlation-Id",
        "what ties requests of one errand together; the request's id if nothing is said",
        text()
            .pattern(Some("^[!-~]([ -~]*[!-~])?$"))
            .max_length(Some(200)),
    )];
    // A batch that jobs name as their parent, without there being one, has any id; that is described there.
    if row.path.contains("{id}") && row.path != "/v1/batches/{id}/watch" {
        let id = text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
            .pattern(Some(ID_PATTERN));
        let mut path = parameter("id", "which one", id);
        path.parameter_in = ParameterIn::Path;
        path.required = Required::True;
        parameters.push(path);
    }
    if is_command(row) {
        parameters.push(parameter(
            "Idempotency-Key",
            "the caller's own name for the command: a retry under it is answered as the first try",
            text().pattern(Some("^[!-~]{1,200}$")),
        ));
        if row.path.contains('{') {
            parameters.push(parameter(
                "If-Match",
                "the version that the decision is made on",
                text()
                    .pattern(Some("^(\\*|\"[0-9]{1,15}\")$"))
                    .examples(["\"7\""]),
            ));
        }
    }
    if row.is_watched() {
        let place = || text().pattern(Some(r"^[0-9]{1,15}(\.[0-9]{1,9})?$"));
        let about =
            "go on behind this event (`12.0`) or position (`12`), without the state before it";
        let mut after = parameter("after", about, place());
        after.parameter_in = ParameterIn::Query;
        let about = "the same, from a client of server-sent events that comes back";
        parameters.extend([after, parameter("Last-Event-ID", about, place())]);
    }
    if is_read(row) {
        let about = "answer only once the read side has reached this position";
        let by_header = parameter("Ledgerline-Min-Position", about, a_position());
        let mut by_query = parameter("min_position", about, a_position());
        by_query.parameter_in = ParameterIn::Query;
        parameters.extend([by_header, by_query]);
    }
    parameters
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn a_position() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let greatest = usize::try_from(POSITION_MAX).unwrap_or(usize::MAX);
    number.minimum(Some(0_usize)).maximum(Some(greatest))
}

/// An optional header; callers move it elsewhere.
fn parameter(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::from(schema.build())))
        .build()
}

fn header(description: &str, kind: SchemaType) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .build()
}
