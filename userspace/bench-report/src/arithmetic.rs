// SPDX-License-Identifier: GPL-2.0

//! What is made of figures: ratios, growth, how far two runs differ.

use crate::figures::{At, Figure, Figures};

/// How many times the second the first is.
pub fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    let (of, to) = (of?, to?);
    (to > 0.0).then(|| of / to)
}

/// The largest divided by the smallest of some figures, if there are at least two: how much the
/// cost of something depends on the size of the table.
pub fn growth(figures: &[Option<f64>]) -> Option<f64> {
    let there: Vec<f64> = figures.iter().copied().flatten().collect();
    if there.len() < 2 {
        return None;
    }
    let largest = there.iter().copied().fold(f64::MIN, f64::max);
    let smallest = there.iter().copied().fold(f64::MAX, f64::min);
    ratio(Some(largest), Some(smallest))
}

/// The largest of what there is, with its name.
pub fn worst<N>(values: impl IntoIterator<Item = (N, Option<f64>)>) -> Option<(N, f64)> {
    let there = values
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    there.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// By how much the figures of a second run differ from those of the first, as a part of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// How many figures both have.
    pub count: usize,
    /// Half of the figures differ by less.
    pub median: f64,
    /// Nine out of ten figures differ by less.
    pub ninth: f64,
    /// The one that differs most.
    pub largest: (Figure, f64),
}

/// Compares two runs, as to one unit.
pub fn difference(first: &Figures, second: &Figures, unit: &str) -> Option<Difference> {
    let mut all: Vec<(Figure, f64)> = Vec::new();
    for figure in first.0.iter().filter(|figure| figure.unit == unit) {
        let at = At {
            module: &figure.module,
            gateways: &figure.gateways,
            sas: figure.sas,
            listeners: figure.listeners,
            cpus: figure.cpus,
            unit,
        };
        if let Some(ratio) = ratio(second.get(at, &figure.what), Some(figure.value)) {
            all.push((figure.clone(), (ratio - 1.0).abs()));
        }
    }
    all.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let part = |part: usize| all.get(all.len() * part / 10).map(|(_, by)| *by);
    Some(Difference {
        count: all.len(),
        median: part(5)?,
        ninth: part(9)?,
        largest: all.last()?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{INSTRUCTIONS, KLIPS, tests::figures};

    #[test]
    fn a_ratio_needs_both_figures() {
        assert_eq!(ratio(Some(6.0), Some(4.0)), Some(1.5));
        assert_eq!(ratio(None, Some(4.0)), None);
        assert_eq!(ratio(Some(6.0), None), None);
        assert_eq!(ratio(Some(6.0), Some(0.0)), None);
    }

    #[test]
    fn growth_is_between_the_extremes_wherever_they_are() {
        assert_eq!(growth(&[Some(2.0), Some(6.0), Some(3.0)]), Some(3.0));
        assert_eq!(growth(&[Some(6.0), None, Some(2.0)]), Some(3.0));
        assert_eq!(growth(&[Some(6.0), None]), None);
        assert_eq!(growth(&[]), None);
    }

    #[test]
    fn the_worst_is_named() {
        assert_eq!(
            worst([("a", Some(1.0)), ("b", Some(3.0)), ("c", None)]),
            Some(("b", 3.0))
        );
        assert_eq!(worst([("a", None)]), None);
    }

    #[test]
    fn runs_differ_by_what_both_have() {
        let values = |add: f64| {
            let nine = (1..10).map(move |sas| (sas, "GET", 100.0));
            let all: Vec<_> = nine.chain([(1, "ADD", add)]).collect();
            let mut all = figures(KLIPS, &all);
            all.extend(figures("other", &[(1, "GET", add)]));
            all
        };
        let first = Figures(values(50.0));
        let mut second = Figures(values(55.0));
        second.0.pop();
        let found = difference(&first, &second, INSTRUCTIONS).unwrap();
        assert_eq!((found.count, found.median), (10, 0.0));
        assert!((found.ninth - 0.1).abs() < 1e-9);
        assert_eq!(found.largest.0.what, "ADD");
        assert_eq!(difference(&first, &Figures::default(), INSTRUCTIONS), None);
        assert_eq!(difference(&first, &second, "B"), None);
    }
}
