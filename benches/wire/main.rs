//! How much a recording or a replaying retake costs, beside frozen baselines, in ratios of one run.
//!
//! `cargo bench --bench wire` runs everything; `-- record`, `-- stream`, `-- tls`, `-- disk`, `-- replay`, `-- start` one
//! part;
//! `--rounds N` (7 at least for figures to quote), `--quick` for a smoke test. The baselines live in this folder:
//! `floor` (a plain hyper proxy), `floor-tee` (the same, bodies appended to a file and `write(2)` awaited before the
//! last frame), `floor-tls` and `floor-tls-tee` (the same with TLS ended by CONNECT), `map` (answers from an in-memory hash map). Every figure is taken from interleaved runs of all subjects.

mod baseline;
mod contest;
mod figures;
mod load;
mod parts;
mod subject;
mod terminating;
mod tls;
mod trust;
mod upstream;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let word = args.first().map_or("", String::as_str);
    let flag = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let port = || flag("--port").and_then(|p| p.parse().ok()).unwrap_or(0);
    match word {
        "serve-upstream" => return upstream::serve(port(), flag("--shows").as_deref()),
        "serve-floor" => {
            return baseline::floor(port(), &flag("--upstream").unwrap_or_default(), flag("--tee"));
        }
        "serve-floor-tls" => {
            let file = |name| flag(name).unwrap_or_default();
            return terminating::floor(port(), &file("--trusted"), &file("--shows"), flag("--tee"));
        }
        "serve-map" => return baseline::map(port(), &flag("--bodies").unwrap_or_default()),
        "wait" => return subject::wait(),
        "stamp" => return println!("{}", subject::now_us()),
        _ => {}
    }
    let quick = args.iter().any(|a| a == "--quick");
    let rounds = flag("--rounds").and_then(|n| n.parse().ok()).unwrap_or(if quick { 1 } else { 7 });
    let wanted = |part: &str| word.is_empty() || word.starts_with("--") || word == part;
    let setup = parts::Setup { rounds, quick };
    if wanted("start") {
        parts::start(&setup);
    }
    if wanted("record") {
        contest::record(&setup);
    }
    if wanted("stream") {
        contest::stream(&setup);
    }
    if wanted("tls") {
        tls::all(&setup);
    }
    if wanted("disk") {
        parts::disk(&setup);
    }
    if wanted("replay") {
        parts::replay(&setup);
    }
}
