//! The `retake` command.

fn main() {
    std::process::exit(retake::cli::main());
}
