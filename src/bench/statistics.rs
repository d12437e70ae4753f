//! Medians, percentiles and spreads of a few measurements.

use std::time::Duration;

/// The middle one, or the mean of the two in the middle; zero of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The distance from the lowest to the highest, as a part of the median.
pub(super) fn spread(values: &[f64]) -> f64 {
    match sorted(values)[..] {
        [lowest, .., highest] => (highest - lowest) / median(values).abs().max(f64::MIN_POSITIVE),
        _ => 0.0,
    }
}

/// The smallest value that `part` of the values do not exceed; zero of none.
pub(super) fn percentile(values: &[f64], part: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    let index = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(0.0)
}

/// In milliseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 3.0]), 3.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn nothing_measured_is_zero_everywhere() {
        assert_eq!(
            (median(&[]), percentile(&[], 0.5), spread(&[])),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn the_spread_is_a_part_of_the_median() {
        assert_eq!(spread(&[9.0, 10.0, 12.0]), 0.3);
    }
}
