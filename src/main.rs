//! The program `ledgerline`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Many small values of many threads: the system's allocator spends a tenth of a busy service.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // Before anything else: this process is to become a server, and must have no thread of ours.
    if arguments
        .next()
        .is_some_and(|first| first == ledgerline::CHILD_ARGUMENT)
    {
        return ledgerline::become_child(arguments);
    }
    // Reads `FAILPOINTS`, for tests that let it die at a certain point.
    #[cfg(feature = "failpoints")]
    let _points = fail::FailScenario::setup();
    ledgerline::cli::main()
}
