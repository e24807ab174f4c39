//! Sparse operations against the same sums written out.

use super::sparse::{Dots, WeightedSums, above};
use crate::rng::Stream;
use candle_core::{Device, Tensor};

const ROWS: usize = 9;
const WIDTH: usize = 37;

/// A tensor [rows, columns] that begins in the middle of its storage, and its numbers.
fn drawn(seed: u64, rows: usize, columns: usize) -> (Tensor, Vec<Vec<f32>>) {
    let mut stream = Stream::new(seed, "test.sparse", &[]);
    let numbers: Vec<f32> = (0..(rows + 2) * columns).map(|_| stream.normal()).collect();
    let tensor = Tensor::from_vec(numbers, (rows + 2, columns), &Device::Cpu).unwrap();
    let tensor = tensor.narrow(0, 2, rows).unwrap();
    let rows = tensor.to_vec2().unwrap();
    (tensor, rows)
}

#[test]
fn sums_of_rows_take_their_entries_alone() {
    let (x, rows) = drawn(1, ROWS, WIDTH);
    // The second and the last sum are empty, and a row may come twice.
    let sums = WeightedSums {
        starts: vec![0, 3, 3, 7, 8, 8],
        columns: vec![4, 0, 8, 2, 2, 5, 1, 8],
        weights: vec![1.5, -2.0, 0.25, 3.0, -1.0, 0.5, 0.0, 4.0],
    };
    let found: Vec<Vec<f32>> = sums.of(&x).unwrap().to_vec2().unwrap();
    assert_eq!(found.len(), 5);
    for (sum, row) in found.iter().enumerate() {
        for (column, found) in row.iter().enumerate() {
            let entries = sums.starts[sum] as usize..sums.starts[sum + 1] as usize;
            let expected = entries.fold(0f32, |expected, entry| {
                sums.weights[entry].mul_add(rows[sums.columns[entry] as usize][column], expected)
            });
            assert_eq!(*found, expected, "sum {sum}, column {column}");
        }
    }
    let none = WeightedSums { starts: vec![0; 4], columns: Vec::new(), weights: Vec::new() };
    assert_eq!(none.of(&x).unwrap().to_vec2::<f32>().unwrap(), vec![vec![0.0; WIDTH]; 3]);
}

#[test]
fn inner_products_are_of_the_named_rows() {
    let ((a, of_a), (b, of_b)) = (drawn(2, ROWS, WIDTH), drawn(3, 4, WIDTH));
    let pairs = Dots { left: vec![8, 0, 3, 3], right: vec![0, 3, 2, 2] };
    let found = pairs.of(&a, &b).unwrap();
    for (entry, found) in found.iter().enumerate() {
        let pair = of_a[pairs.left[entry] as usize].iter().zip(&of_b[pairs.right[entry] as usize]);
        let expected: f64 = pair.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{entry}: {found} {expected}");
    }
    assert!(Dots { left: Vec::new(), right: Vec::new() }.of(&a, &b).unwrap().is_empty());
}

#[test]
fn what_is_above_its_bound_is_found_in_order() {
    let (x, rows) = drawn(4, ROWS, WIDTH);
    for bound in [f32::NEG_INFINITY, 0.4, 9.0] {
        // One column is never looked for, and a product at its bound is not above it.
        let mut bounds = vec![bound; WIDTH];
        (bounds[5], bounds[6]) = (f32::INFINITY, rows[3][6]);
        let found = above(&x, &Tensor::from_slice(&bounds, WIDTH, &Device::Cpu).unwrap()).unwrap();
        let found: Vec<Vec<(u32, f32)>> = found
            .rows()
            .map(|(columns, products)| columns.iter().copied().zip(products.iter().copied()).collect())
            .collect();
        let expected: Vec<Vec<(u32, f32)>> = rows
            .iter()
            .map(|row| {
                let kept = row.iter().enumerate().filter(|(column, product)| **product > bounds[*column]);
                kept.map(|(column, product)| (column as u32, *product)).collect()
            })
            .collect();
        assert_eq!(found, expected, "bound {bound}");
    }
}

#[test]
fn indices_outside_are_refused_before_a_device_sees_them() {
    let (x, _) = drawn(5, ROWS, WIDTH);
    let sums = |starts: &[u32], column: u32| WeightedSums {
        starts: starts.to_vec(),
        columns: vec![0, column],
        weights: vec![1.0, 1.0],
    };
    assert!(sums(&[0, 2], 8).of(&x).is_ok());
    assert!(sums(&[0, 2], 9).of(&x).is_err(), "no such row");
    assert!(sums(&[0, 3], 8).of(&x).is_err(), "no such entry");
    assert!(sums(&[2, 0, 2], 8).of(&x).is_err(), "a range that runs backwards");
    assert!(Dots { left: vec![9], right: vec![0] }.of(&x, &x).is_err());
    assert!(Dots { left: vec![0], right: vec![9] }.of(&x, &x).is_err());
    assert!(above(&x, &Tensor::zeros(WIDTH - 1, x.dtype(), &Device::Cpu).unwrap()).is_err());
}
