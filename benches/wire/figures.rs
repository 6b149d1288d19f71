//! Medians, ranges, and how they are printed.

/// The median of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// `median (min–max)` with a unit.
pub fn show(figures: &[f64], unit: &str, digits: usize) -> String {
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.digits$}{unit} ({low:.digits$}–{high:.digits$})", median(figures))
}

/// One row of a part's table.
pub fn row(what: &str, cells: &[String]) {
    println!("| {what} | {} |", cells.join(" | "));
}

/// The head of a part's table.
pub fn head(title: &str, columns: &[&str]) {
    println!("\n### {title}\n\n| | {} |", columns.join(" | "));
    println!("| --- |{}", " --- |".repeat(columns.len()));
}

/// A ratio of round medians, pair by pair.
pub fn ratios(ours: &[f64], floor: &[f64]) -> Vec<f64> {
    ours.iter().zip(floor).map(|(a, b)| a / b).collect()
}
