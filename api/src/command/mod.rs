//! Commands over HTTP, whichever aggregate they are for: a small body becomes a command, and its answer
//! is a receipt.
//!
//! - [`body`]: what the body of a command is.
//! - [`issue`]: from a body, a caller and a key to what the handler takes.
//! - [`call`]: one command in a request of its own; a batch has many in one.
//! - [`receipt`]: the answer.
//!
//! What belongs to one kind of aggregate stands in its own module, and here only as a [`Target`].

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod issue;
pub(crate) mod receipt;

use commands::Handler;
use domain::{Aggregate, Token};

pub(crate) use self::body::{Body, By, Common};
pub(crate) use self::call::Call;
pub(crate) use self::receipt::{ReceiptBody, answer_with, etag};
use crate::app::App;
use crate::auth::Roles;

/// An aggregate that commands over HTTP are for.
pub(crate) trait Target: Aggregate {
    /// The path of all of its kind, which the path of one begins with.
    const PATH: &'static str;
    /// What the paths of its commands call its id.
    const ID: &'static str;
    /// Who may ask for its commands, where nothing else is said of one.
    const ROLES: Roles;
    /// Whether a command may say that it happened earlier than it is recorded.
    const MAY_BE_EARLIER: bool;

    /// The id that `text` names, or the rule that it breaks.
    fn parse_id(text: &str) -> Result<Token, String>;

    /// Who carries out its commands.
    fn handler(app: &App) -> &Handler<Self>;
}
