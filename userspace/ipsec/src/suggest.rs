// SPDX-License-Identifier: GPL-2.0

//! What somebody may have meant.

/// The candidate, in small letters, that `word` is a misspelling of: at most a quarter of it is
/// wrong.
pub(crate) fn nearest<T: AsRef<str>>(
    word: &str,
    candidates: impl IntoIterator<Item = T>,
) -> Option<T> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, candidate.as_ref());
            (distance, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= word.len().div_ceil(4))
        .map(|(_, candidate)| candidate)
}
