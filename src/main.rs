//! The `retake` command.

fn main() {
    let name = std::env::args_os().next().unwrap_or_default();
    std::process::exit(match retake::shell::Part::called(&name) {
        Some(part) => part.play(),
        None => retake::cli::main(),
    });
}
