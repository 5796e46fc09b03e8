//! Whether rows are independent.

/// Judges rows in other selections than all of them in order, and compares the verdicts.
/// `judge` returns the verdicts of some rows as text.
pub(super) fn check_rows(rows: usize, judge: impl Fn(&[usize]) -> Vec<String>) {
    let all: Vec<usize> = (0..rows).collect();
    let expected = judge(&all);
    let check = |how: &str, selected: &[usize]| {
        let found = judge(selected);
        for (&row, found) in selected.iter().zip(&found) {
            let expected = &expected[row];
            assert!(
                found == expected,
                "row {row} has another verdict {how}: {found}, but among all rows: {expected}. A \
                 verdict may depend on its own row only"
            );
        }
    };
    let reversed: Vec<usize> = all.iter().rev().copied().collect();
    check("in reverse order", &reversed);
    // Rows from both halves alternate.
    let (first, second) = all.split_at(rows / 2);
    let mut mixed: Vec<usize> = Vec::new();
    for at in 0..second.len() {
        mixed.extend(second.get(at));
        mixed.extend(first.get(at));
    }
    check("in another order", &mixed);
    check("in the first half", first);
    check("in the second half", second);
    for row in 0..rows {
        check("alone", &[row]);
    }
}
