use super::*;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut stream = crate::rng::Stream::new(seed, "matmul", &[]);
    (0..count).map(|_| stream.normal()).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The definition, one element at a time.
fn by_definition(left: Matrix<'_>, right: Matrix<'_>, start: &[f32]) -> Vec<f32> {
    let at = |matrix: &Matrix<'_>, row: usize, column: usize| {
        matrix.data[row * matrix.row_stride + column * matrix.column_stride]
    };
    let block = left.columns.div_ceil(left.columns.div_ceil(BLOCK).max(1)).max(1);
    let mut out = start.to_vec();
    for (index, out) in out.iter_mut().enumerate() {
        let (row, column) = (index / right.columns, index % right.columns);
        let inner: Vec<usize> = (0..left.columns).collect();
        for block in inner.chunks(block) {
            *out += block
                .iter()
                .fold(0f32, |sum, inner| at(&left, row, *inner).mul_add(at(&right, *inner, column), sum));
        }
    }
    out
}

const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (5, 0, 3),
    (1, 8, 4),
    (2, 257, 17),
    (13, 80, 32),
    (97, 33, 15),
    (101, 600, 48),
    (300, 64, 126),
    (23, 1024, 40),
    (200, 513, 33),
];

#[test]
fn every_layout_of_every_shape_is_the_definition_bit_for_bit() {
    for (rows, inner, columns) in SHAPES {
        let (left, right) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
        let lefts = [
            Matrix { data: &left, rows, columns: inner, row_stride: inner, column_stride: 1 },
            Matrix { data: &left, rows, columns: inner, row_stride: 1, column_stride: rows },
        ];
        let rights = [
            Matrix { data: &right, rows: inner, columns, row_stride: columns, column_stride: 1 },
            Matrix { data: &right, rows: inner, columns, row_stride: 1, column_stride: inner },
        ];
        for left in lefts {
            for right in rights {
                let expected = by_definition(left, right, &vec![0.0; rows * columns]);
                let strides = [left.row_stride, left.column_stride, right.row_stride, right.column_stride];
                let shape = format!("{rows} x {inner} x {columns}, strides {strides:?}");
                assert!(bits(&fresh_product(left, right)) == bits(&expected), "{shape}");
                // Into a wider result, on top of what is there.
                let stride = columns + 3;
                let start = numbers(rows * stride, 3);
                let mut found = start.clone();
                product(&mut found, stride, left, right, true, Threads::One);
                for row in 0..rows {
                    let held = &start[row * stride..][..stride];
                    let found = &found[row * stride..][..stride];
                    assert_eq!(found[columns..], held[columns..], "beside the result: {shape}");
                    let left = Matrix {
                        data: &left.data[(row * left.row_stride).min(left.data.len())..],
                        rows: 1,
                        ..left
                    };
                    let expected = by_definition(left, right, &held[..columns]);
                    assert!(bits(&found[..columns]) == bits(&expected), "added: {shape}");
                }
            }
        }
    }
}

#[test]
fn the_portable_kernel_has_the_same_bits() {
    for (rows, inner, columns) in SHAPES.into_iter().filter(|shape| shape.1 > 0) {
        let (left, right) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
        let (left, right) = (Matrix::dense(&left, inner), Matrix::dense(&right, columns));
        let panels = Panels::pack(right, Threads::One);
        let mut found = vec![0f32; rows * columns];
        let target = Target { out: &Disjoint::new(&mut found), stride: columns, add: false };
        // SAFETY: the target is alive and this thread's own; the portable kernel needs nothing.
        unsafe { part::<Portable>(target, left, &panels, 0..rows, 0..panels.count(), &mut Vec::new()) };
        assert!(bits(&found) == bits(&fresh_product(left, right)), "{rows} x {inner} x {columns}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (inner, columns) = (700, 384);
    let (left, right) = (numbers(300 * inner, 1), numbers(inner * columns, 2));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bits(&fresh_product(Matrix::dense(&left, inner), Matrix::dense(&right, columns))))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}
