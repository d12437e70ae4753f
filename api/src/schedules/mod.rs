//! Routes on schedules: commands, queries, the next times of one, and the JSON of all of them.
//!
//! Nothing fires here: a schedule decides on its times when it is told to, which no route does.

pub(crate) mod bodies;
pub(crate) mod commands;
pub(crate) mod next;
pub(crate) mod queries;
mod recurrence;
mod views;

use ::commands::Handler;
use domain::Token;
use domain::schedule::Schedule;

use crate::app::App;
use crate::auth::Roles;
use crate::command::Target;
use crate::routes::OPERATOR_ROLES;
use crate::texts::parse_id;

impl Target for Schedule {
    const PATH: &'static str = "/v1/schedules";
    const ID: &'static str = "id";
    const ROLES: Roles = OPERATOR_ROLES;
    const MAY_BE_EARLIER: bool = false;

    fn parse_id(text: &str) -> Result<Token, String> {
        Ok(Token::from(parse_id(text)?))
    }

    fn handler(app: &App) -> &Handler<Self> {
        &app.schedules
    }
}
