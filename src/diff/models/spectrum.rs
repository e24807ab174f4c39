//! Singular values and left singular vectors of small matrices, by Jacobi rotations of the Gram matrix.

/// Squared singular values, largest first, and the left singular vectors in the same order.
#[derive(Clone, Debug)]
pub(super) struct Spectrum {
    pub(super) squares: Vec<f64>,
    /// `[count][rows]`
    pub(super) vectors: Vec<Vec<f64>>,
}

/// Sweeps after which the rotations have long converged (quadratically) for any matrix of f32 numbers.
const SWEEPS: usize = 30;

/// The spectrum of a `[rows, columns]` matrix. Takes O(rows^2 columns + rows^3).
pub(super) fn spectrum(matrix: &[f32], rows: usize, columns: usize) -> Spectrum {
    let row = |index: usize| &matrix[index * columns..(index + 1) * columns];
    let mut gram = vec![vec![0.0; rows]; rows];
    for a in 0..rows {
        for b in a..rows {
            let product = row(a).iter().zip(row(b)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            gram[a][b] = product;
            gram[b][a] = product;
        }
    }
    symmetric(gram)
}

/// Eigenvalues and eigenvectors of a symmetric matrix (cyclic Jacobi).
pub(super) fn symmetric(mut matrix: Vec<Vec<f64>>) -> Spectrum {
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|row| (0..size).map(|column| f64::from(u8::from(row == column))).collect()).collect();
    let scale: f64 = matrix.iter().flatten().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..size).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| matrix[a][b].powi(2)).sum();
        if off <= 1e-22 * scale {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| matrix[*b][*b].total_cmp(&matrix[*a][*a]));
    Spectrum {
        squares: order.iter().map(|index| matrix[*index][*index].max(0.0)).collect(),
        vectors: order.iter().map(|index| vectors[*index].clone()).collect(),
    }
}

/// One rotation that zeroes `matrix[p][q]`; `vectors` holds eigenvectors as rows.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let off = matrix[p][q];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let cosine = 1.0 / (t * t + 1.0).sqrt();
    let sine = t * cosine;
    for row in matrix.iter_mut() {
        let (a, b) = (row[p], row[q]);
        row[p] = cosine * a - sine * b;
        row[q] = sine * a + cosine * b;
    }
    let turn = |rows: &mut [Vec<f64>]| {
        let (head, tail) = rows.split_at_mut(q);
        for (a, b) in head[p].iter_mut().zip(tail[0].iter_mut()) {
            (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
        }
    };
    turn(matrix);
    turn(vectors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_known_matrix_has_its_known_spectrum() {
        let found = spectrum(&[3.0, 0.0, 0.0, 0.0, -4.0, 0.0], 2, 3);
        assert!((found.squares[0] - 16.0).abs() < 1e-9 && (found.squares[1] - 9.0).abs() < 1e-9);
        assert!((found.vectors[0][1].abs() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn eigenvectors_rebuild_the_gram_matrix() {
        let mut stream = Stream::new(2, "spectrum", &[]);
        let (rows, columns) = (9, 5);
        let matrix: Vec<f32> = (0..rows * columns).map(|_| stream.normal()).collect();
        let found = spectrum(&matrix, rows, columns);
        for a in 0..rows {
            for b in 0..rows {
                let gram: f64 =
                    (0..columns).map(|c| f64::from(matrix[a * columns + c] * matrix[b * columns + c])).sum();
                let rebuilt: f64 =
                    found.squares.iter().zip(&found.vectors).map(|(s, v)| s * v[a] * v[b]).sum();
                assert!((gram - rebuilt).abs() < 1e-5, "{gram} {rebuilt}");
            }
        }
        assert!(found.squares[columns] < 1e-6, "the rank is that of the columns");
    }
}
