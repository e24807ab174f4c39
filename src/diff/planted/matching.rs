//! One-to-one matching of planted features with dictionary features (Hungarian algorithm).

/// The assignment of rows to columns that maximises the summed score; a row may stay alone when there
/// are more rows than columns. `scores` is `[rows][columns]`; takes O(rows^2 columns).
///
/// Kuhn-Munkres with potentials and shortest augmenting paths.
pub(super) fn assign(scores: &[Vec<f64>]) -> Vec<Option<usize>> {
    let rows = scores.len();
    let columns = scores.first().map_or(0, Vec::len);
    if rows > columns {
        let transposed: Vec<Vec<f64>> =
            (0..columns).map(|column| scores.iter().map(|row| row[column]).collect()).collect();
        let mut assigned = vec![None; rows];
        for (column, row) in assign(&transposed).into_iter().enumerate() {
            if let Some(row) = row {
                assigned[row] = Some(column);
            }
        }
        return assigned;
    }
    // Index 0 of every vector is the virtual column from which a path starts.
    let mut row_potential = vec![0.0; rows + 1];
    let mut column_potential = vec![0.0; columns + 1];
    let mut row_of = vec![0_usize; columns + 1];
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut slack = vec![f64::INFINITY; columns + 1];
        let mut previous = vec![0_usize; columns + 1];
        let mut visited = vec![false; columns + 1];
        while row_of[column] != 0 {
            visited[column] = true;
            let here = row_of[column];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for candidate in (1..=columns).filter(|candidate| !visited[*candidate]) {
                let cost =
                    -scores[here - 1][candidate - 1] - row_potential[here] - column_potential[candidate];
                if cost < slack[candidate] {
                    slack[candidate] = cost;
                    previous[candidate] = column;
                }
                if slack[candidate] < delta {
                    delta = slack[candidate];
                    next = candidate;
                }
            }
            for candidate in 0..=columns {
                if visited[candidate] {
                    row_potential[row_of[candidate]] += delta;
                    column_potential[candidate] -= delta;
                } else {
                    slack[candidate] -= delta;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[previous[column]];
            column = previous[column];
        }
    }
    let mut assigned = vec![None; rows];
    for column in 1..=columns {
        if row_of[column] != 0 {
            assigned[row_of[column] - 1] = Some(column - 1);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::assign;
    use crate::rng::Stream;

    fn total(scores: &[Vec<f64>], assigned: &[Option<usize>]) -> f64 {
        assigned.iter().enumerate().filter_map(|(row, column)| column.map(|column| scores[row][column])).sum()
    }

    fn best_by_search(scores: &[Vec<f64>], row: usize, used: &mut Vec<bool>) -> f64 {
        if row == scores.len() {
            return 0.0;
        }
        let mut best = f64::NEG_INFINITY;
        for column in 0..used.len() {
            if !used[column] {
                used[column] = true;
                best = best.max(scores[row][column] + best_by_search(scores, row + 1, used));
                used[column] = false;
            }
        }
        best
    }

    #[test]
    fn finds_the_best_assignment() {
        for seed in 0..30 {
            let mut stream = Stream::new(seed, "assign", &[]);
            let (rows, columns) = (1 + stream.below(5), 5 + stream.below(2));
            let scores: Vec<Vec<f64>> =
                (0..rows).map(|_| (0..columns).map(|_| stream.uniform_f64() - 0.3).collect()).collect();
            let assigned = assign(&scores);
            let mut columns_used: Vec<usize> = assigned.iter().flatten().copied().collect();
            columns_used.sort_unstable();
            columns_used.dedup();
            assert_eq!(columns_used.len(), rows, "one to one");
            let best = best_by_search(&scores, 0, &mut vec![false; columns]);
            assert!((total(&scores, &assigned) - best).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_beyond_the_columns_stay_alone() {
        let assigned = assign(&[vec![0.1], vec![0.9], vec![0.5]]);
        assert_eq!(assigned, [None, Some(0), None]);
        assert!(assign(&[]).is_empty());
    }
}
