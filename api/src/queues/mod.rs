//! Routes on queues: how they are handed out, and what they have.
//!
//! A queue needs no making and is never unknown: one of which nothing was said has no limits.

pub(crate) mod bodies;
pub(crate) mod commands;
pub(crate) mod queries;

use ::commands::Handler;
use domain::Token;
use domain::queue::Queue;

use crate::app::App;
use crate::auth::Roles;
use crate::command::Target;
use crate::routes::OPERATOR_ROLES;

impl Target for Queue {
    const PATH: &'static str = "/v1/queues";
    const ID: &'static str = "name";
    const ROLES: Roles = OPERATOR_ROLES;
    const MAY_BE_EARLIER: bool = false;

    fn parse_id(text: &str) -> Result<Token, String> {
        Token::new(text).map_err(|rule| rule.to_string())
    }

    fn handler(app: &App) -> &Handler<Self> {
        &app.queues
    }
}
