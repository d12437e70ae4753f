//! Routes on jobs: commands, how workers get and keep them, queries, and the JSON of all of them.

pub(crate) mod bodies;
pub(crate) mod bulk;
pub(crate) mod claim;
pub(crate) mod commands;
pub(crate) mod heartbeat;
pub(crate) mod queries;
pub(crate) mod views;

use ::commands::Handler;
use ::commands::dispatch::DispatchError;
use domain::Token;
use domain::job::Job;

use crate::app::App;
use crate::auth::Roles;
use crate::command::Target;
use crate::problem::ApiError;
use crate::routes::WORKER_ROLES;
use crate::texts::parse_id;

impl Target for Job {
    const PATH: &'static str = "/v1/jobs";
    const ID: &'static str = "id";
    const ROLES: Roles = WORKER_ROLES;
    const MAY_BE_EARLIER: bool = false;

    fn parse_id(text: &str) -> Result<Token, String> {
        Ok(Token::from(parse_id(text)?))
    }

    fn handler(app: &App) -> &Handler<Self> {
        &app.jobs
    }
}

impl From<DispatchError> for ApiError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::NotInOffice => Self::Unavailable {
                what: "dispatcher",
                source: error.into(),
            },
            DispatchError::TooManyClaims => Self::TooManyClaims(error),
        }
    }
}
