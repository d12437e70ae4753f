//! Routes on batches of jobs: opening them with their jobs or before them, what is told to all of their
//! jobs, queries, and the JSON of all of them.
//!
//! Not to be confused with [`crate::batch`], which carries out many commands of any kind in one request.

pub(crate) mod all;
pub(crate) mod bodies;
pub(crate) mod commands;
pub(crate) mod jobs;
pub(crate) mod open;
pub(crate) mod queries;
mod views;

use ::commands::Handler;
use domain::Token;
use domain::batch::Batch;

use crate::app::App;
use crate::auth::Roles;
use crate::command::Target;
use crate::routes::WORKER_ROLES;
use crate::texts::parse_id;

impl Target for Batch {
    const PATH: &'static str = "/v1/batches";
    const ID: &'static str = "id";
    const ROLES: Roles = WORKER_ROLES;
    const MAY_BE_EARLIER: bool = false;

    fn parse_id(text: &str) -> Result<Token, String> {
        Ok(Token::from(parse_id(text)?))
    }

    fn handler(app: &App) -> &Handler<Self> {
        &app.batches
    }
}
