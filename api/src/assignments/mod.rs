//! Routes on assignments: commands, queries, and the JSON of both.

pub(crate) mod bodies;
pub(crate) mod commands;
pub(crate) mod queries;
mod views;

use ::commands::Handler;
use domain::Token;
use domain::assignment::Assignment;

use crate::app::App;
use crate::auth::Roles;
use crate::command::Target;
use crate::routes::WORKER_ROLES;
use crate::texts::parse_id;

impl Target for Assignment {
    const PATH: &'static str = "/v1/assignments";
    const ID: &'static str = "id";
    const ROLES: Roles = WORKER_ROLES;
    const MAY_BE_EARLIER: bool = true;

    fn parse_id(text: &str) -> Result<Token, String> {
        Ok(Token::from(parse_id(text)?))
    }

    fn handler(app: &App) -> &Handler<Self> {
        &app.assignments
    }
}
