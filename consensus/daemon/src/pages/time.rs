//! Spans of time on pages.

/// How long ago, in the largest unit of which there is more than one.
#[must_use]
pub fn ago(seconds: u64) -> String {
    let units = [(24 * 60 * 60, "days"), (60 * 60, "hours"), (60, "minutes")];
    let unit = units.iter().find(|(unit, _)| seconds >= 2 * unit);
    let (count, unit) = unit.map_or((seconds, "seconds"), |(unit, name)| (seconds / unit, *name));
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_that_suits() {
        for (seconds, text) in [
            (0, "0 seconds ago"),
            (119, "119 seconds ago"),
            (120, "2 minutes ago"),
            (7_199, "119 minutes ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }
}
