//! Figures as people read them.

/// A figure in two digits.
pub(super) fn figure(figure: Option<f64>) -> String {
    match figure {
        Some(0.0) => "0".to_string(),
        Some(figure) => format!("{figure:.1e}"),
        None => "-".to_string(),
    }
}

/// A share of a limit: in percent up to 1000, as a factor above.
pub fn share(used: f64) -> String {
    match used {
        used if used.is_infinite() => "-".to_string(),
        used if used < 10.0 => format!("{:.0} %", (used * 100.0).ceil()),
        used if used < 1e4 => format!("{used:.0}x"),
        used => format!("{used:.0e}x"),
    }
}
