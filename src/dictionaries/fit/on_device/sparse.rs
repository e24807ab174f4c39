//! What a step does with active features alone, as operations on tensors of any device.
//!
//! Entries are lists of indices and numbers on the host; what they point to is dense and stays where it is. On a GPU
//! each operation is one kernel of `kernels.cu`; the host's forms here are the same sums in the same order, so that
//! what is tested on the host is what a GPU is given. Sums over entries are the same to the bit.

use super::super::super::vectors::{add_scaled, dot};
use crate::error::Error;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Weighted sums of rows: row s of the result is the sum of `weights[e] x[columns[e]]` over the entries
/// `starts[s]..starts[s + 1]`, in their order (a sparse matrix in compressed rows, times a dense one).
pub(super) struct WeightedSums {
    /// One more than there are sums.
    pub(super) starts: Vec<u32>,
    pub(super) columns: Vec<u32>,
    pub(super) weights: Vec<f32>,
}

/// The inner product of row `left[e]` of one tensor with row `right[e]` of another, for each entry e.
pub(super) struct Dots {
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
}

/// How many products of each row are above their column's bound.
pub(super) struct CountAbove;

/// Where these are among all products, row by row and in the order of columns.
pub(super) struct KeepAbove {
    /// Where each row's begin, and the number of all.
    pub(super) starts: Vec<u32>,
}

impl WeightedSums {
    /// The sums, [sums, width], of rows of `x [rows, width]`.
    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let sums = self.starts.len().saturating_sub(1);
        if self.weights.is_empty() || sums == 0 {
            return Tensor::zeros((sums, width), x.dtype(), x.device());
        }
        let ascending = self.starts.is_sorted() && self.starts[sums] as usize == self.columns.len();
        if !ascending || self.columns.len() != self.weights.len() {
            return Err(misplaced("a weighted sum"));
        }
        below(&self.columns, rows, "a weighted sum")?;
        x.contiguous()?.apply_op1_no_bwd(self)
    }
}

impl Dots {
    /// The products, [entries], of rows of `a [_, width]` and `b [_, width]`.
    pub(super) fn of(&self, a: &Tensor, b: &Tensor) -> Result<Vec<f32>> {
        if self.left.is_empty() {
            return Ok(Vec::new());
        }
        if self.left.len() != self.right.len() || a.dim(1)? != b.dim(1)? {
            return Err(misplaced("an inner product"));
        }
        below(&self.left, a.dim(0)?, "an inner product")?;
        below(&self.right, b.dim(0)?, "an inner product")?;
        a.contiguous()?.apply_op2_no_bwd(&b.contiguous()?, self)?.to_vec1()
    }
}

/// Products above their bounds, row by row and in the order of columns.
pub(super) struct Above {
    /// Where each row's begin, and the number of all.
    starts: Vec<u32>,
    columns: Vec<u32>,
    products: Vec<f32>,
}

impl Above {
    /// The columns and products of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let ranges = self.starts.windows(2).map(|range| range[0] as usize..range[1] as usize);
        ranges.map(|range| (&self.columns[range.clone()], &self.products[range]))
    }
}

/// Those of `products [rows, columns]` that are above their column's of the `bounds [columns]`.
pub(super) fn above(products: &Tensor, bounds: &Tensor) -> Result<Above> {
    let (products, columns) = (products.contiguous()?, products.dim(1)?);
    if bounds.dims1()? != columns || products.elem_count() > u32::MAX as usize {
        return Err(misplaced("a bound"));
    }
    let counts: Vec<u32> = products.apply_op2_no_bwd(bounds, &CountAbove)?.to_vec1()?;
    let mut starts = vec![0u32];
    starts.extend(counts.iter().scan(0u32, |sum, count| {
        *sum += count;
        Some(*sum)
    }));
    let keep = KeepAbove { starts };
    if keep.kept() == 0 {
        return Ok(Above { starts: keep.starts, columns: Vec::new(), products: Vec::new() });
    }
    let places = products.apply_op2_no_bwd(bounds, &keep)?;
    let kept = products.flatten_all()?.index_select(&places, 0)?.to_vec1()?;
    let places: Vec<u32> = places.to_vec1()?;
    let columns = places.into_iter().map(|place| place % columns as u32).collect();
    Ok(Above { starts: keep.starts, columns, products: kept })
}

impl KeepAbove {
    pub(super) fn kept(&self) -> usize {
        self.starts.last().copied().unwrap_or(0) as usize
    }
}

impl CustomOp1 for WeightedSums {
    fn name(&self) -> &'static str {
        "weighted sums"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, width) = (numbers(storage, layout)?, layout.shape().dims2()?.1);
        let sums = self.starts.len() - 1;
        let mut result = vec![0f32; sums * width];
        let rows = result.par_chunks_exact_mut(width.max(1)).zip(self.starts.par_windows(2));
        rows.for_each(|(sum, range)| {
            for entry in range[0] as usize..range[1] as usize {
                let row = self.columns[entry] as usize * width;
                add_scaled(sum, self.weights[entry], &x[row..row + width]);
            }
        });
        Ok((CpuStorage::F32(result), (sums, width).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        super::kernels::weighted_sums(self, storage, layout)
    }
}

impl CustomOp2 for Dots {
    fn name(&self) -> &'static str {
        "inner products of rows"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        of_a: &Layout,
        b: &CpuStorage,
        of_b: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b, width) = (numbers(a, of_a)?, numbers(b, of_b)?, of_a.shape().dims2()?.1);
        let row = |index: &u32| *index as usize * width..(*index as usize + 1) * width;
        let pairs = self.left.par_iter().zip(&self.right);
        let result: Vec<f32> = pairs.map(|(left, right)| dot(&a[row(left)], &b[row(right)])).collect();
        let count = result.len();
        Ok((CpuStorage::F32(result), count.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        of_a: &Layout,
        b: &CudaStorage,
        of_b: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::kernels::dots(self, (a, of_a), (b, of_b))
    }
}

impl CustomOp2 for CountAbove {
    fn name(&self) -> &'static str {
        "products above their bounds"
    }

    fn cpu_fwd(
        &self,
        products: &CpuStorage,
        of_products: &Layout,
        bounds: &CpuStorage,
        of_bounds: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (products, bounds) = (numbers(products, of_products)?, numbers(bounds, of_bounds)?);
        let rows = products.par_chunks_exact(bounds.len().max(1));
        let counts: Vec<u32> = rows.map(|row| columns_above(row, bounds).count() as u32).collect();
        let tokens = counts.len();
        Ok((CpuStorage::U32(counts), tokens.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        products: &CudaStorage,
        of_products: &Layout,
        bounds: &CudaStorage,
        of_bounds: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::kernels::count_above(self, (products, of_products), (bounds, of_bounds))
    }
}

impl CustomOp2 for KeepAbove {
    fn name(&self) -> &'static str {
        "places of products above their bounds"
    }

    fn cpu_fwd(
        &self,
        products: &CpuStorage,
        of_products: &Layout,
        bounds: &CpuStorage,
        of_bounds: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (products, bounds) = (numbers(products, of_products)?, numbers(bounds, of_bounds)?);
        let width = bounds.len();
        let rows = products.par_chunks_exact(width.max(1)).enumerate();
        let places = rows.flat_map_iter(|(row, products)| {
            columns_above(products, bounds).map(move |column| (row * width + column) as u32)
        });
        Ok((CpuStorage::U32(places.collect()), self.kept().into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        products: &CudaStorage,
        of_products: &Layout,
        bounds: &CudaStorage,
        of_bounds: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        super::kernels::keep_above(self, (products, of_products), (bounds, of_bounds))
    }
}

/// The columns whose product is above its bound.
fn columns_above<'a>(products: &'a [f32], bounds: &'a [f32]) -> impl Iterator<Item = usize> + 'a {
    let pairs = products.iter().zip(bounds).enumerate();
    pairs.filter(|(_, (product, bound))| product > bound).map(|(column, _)| column)
}

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(scattered)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

pub(super) fn scattered() -> candle_core::Error {
    candle_core::Error::wrap(Error::work("a sparse operation was given a tensor that is not contiguous"))
}

fn misplaced(what: &str) -> candle_core::Error {
    candle_core::Error::wrap(Error::work(format!("{what} was asked for with indices that do not fit")))
}

fn below(indices: &[u32], count: usize, what: &str) -> Result<()> {
    let fit = indices.par_iter().all(|index| (*index as usize) < count);
    if fit { Ok(()) } else { Err(misplaced(what)) }
}
