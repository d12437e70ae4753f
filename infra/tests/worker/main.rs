//! The built-in worker, over a journal in memory and a real dispatcher.
//!
//! The test program plays one part besides its own: the shim that becomes a program. It is a "test" that
//! does nothing unless it is started with arguments behind `--`.

mod attempts;
mod command;
mod http;
mod rig;
mod stop;

#[test]
fn a_process_becomes_a_program_when_told_to() {
    if let Some(arguments) = rig::own_arguments() {
        let error = infra::embedded::child_main(arguments);
        panic!("becoming a program failed: {error}");
    }
}
