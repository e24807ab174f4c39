//! Launches `kernels.cu`, which the CUDA runtime compiler compiles when the first of its kernels is needed.
//!
//! Safety of every launch: a kernel reads and writes only below the lengths of its arguments, since the operations of
//! [`super::sparse`] check the indices that they are made of and the shapes that they are given.

use super::sparse::{CountAbove, Dots, KeepAbove, WeightedSums};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaView, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaDType, CudaDevice, WrapErr};
use candle_core::{CudaStorage, Layout, Result, Shape};
use std::sync::OnceLock;

const SOURCE: &str = include_str!("kernels.cu");
/// The name of their module on a device.
const MODULE: &str = "deltascope_fit";
/// Threads of one block: one warp, and as many as share the columns of a sum.
const WARP: u32 = 32;
const COLUMNS: u32 = 256;

/// The kernels in the assembly of the driver.
fn assembly() -> Result<&'static str> {
    static ASSEMBLY: OnceLock<String> = OnceLock::new();
    if let Some(found) = ASSEMBLY.get() {
        return Ok(found);
    }
    let compiled = compile_ptx(SOURCE).w()?;
    Ok(ASSEMBLY.get_or_init(|| compiled.to_src()))
}

/// The numbers of a contiguous tensor.
fn numbers<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(super::sparse::scattered)?;
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

/// One block for each row, or entry, and part of the columns.
fn blocks(rows: usize, parts: u32, threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (rows as u32, parts, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// Room for a result that its kernel fills.
fn room<T: DeviceRepr>(device: &CudaDevice, count: usize) -> Result<CudaSlice<T>> {
    // SAFETY: every kernel writes every number of its result before anything reads them.
    unsafe { device.alloc::<T>(count) }
}

fn answer<T: CudaDType>(
    slice: CudaSlice<T>,
    device: &CudaDevice,
    shape: impl Into<Shape>,
) -> (CudaStorage, Shape) {
    (CudaStorage::wrap_cuda_slice(slice, device.clone()), shape.into())
}

pub(super) fn weighted_sums(
    of: &WeightedSums,
    storage: &CudaStorage,
    layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    let (device, rows) = (storage.device(), numbers(storage, layout)?);
    let (sums, width) = (of.starts.len() - 1, layout.shape().dims2()?.1);
    let kernel = device.get_or_load_custom_func("weighted_sums", MODULE, assembly()?)?;
    let starts = device.clone_htod(&of.starts)?;
    let columns = device.clone_htod(&of.columns)?;
    let weights = device.clone_htod(&of.weights)?;
    let mut result = room::<f32>(device, sums * width)?;
    let (columns_each, width_each) = (COLUMNS, width as u32);
    let mut launch = kernel.builder();
    launch.arg(&starts).arg(&columns).arg(&weights).arg(&rows).arg(&mut result).arg(&width_each);
    // SAFETY: see above; columns are below the number of rows.
    unsafe { launch.launch(blocks(sums, width_each.div_ceil(columns_each), columns_each)) }.w()?;
    Ok(answer(result, device, (sums, width)))
}

pub(super) fn dots(
    of: &Dots,
    (a, of_a): (&CudaStorage, &Layout),
    (b, of_b): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let (device, count) = (a.device(), of.left.len());
    let (a, b, width) = (numbers(a, of_a)?, numbers(b, of_b)?, of_a.shape().dims2()?.1 as u32);
    let kernel = device.get_or_load_custom_func("dots", MODULE, assembly()?)?;
    let (left, right) = (device.clone_htod(&of.left)?, device.clone_htod(&of.right)?);
    let mut result = room::<f32>(device, count)?;
    let mut launch = kernel.builder();
    launch.arg(&left).arg(&right).arg(&a).arg(&b).arg(&mut result).arg(&width);
    // SAFETY: see above; both indices are below the numbers of rows, which are equally wide.
    unsafe { launch.launch(blocks(count, 1, WARP)) }.w()?;
    Ok(answer(result, device, count))
}

pub(super) fn count_above(
    _: &CountAbove,
    (products, of_products): (&CudaStorage, &Layout),
    (bounds, of_bounds): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let (device, (tokens, width)) = (products.device(), of_products.shape().dims2()?);
    let (products, bounds) = (numbers(products, of_products)?, numbers(bounds, of_bounds)?);
    let kernel = device.get_or_load_custom_func("count_above", MODULE, assembly()?)?;
    let mut result = room::<u32>(device, tokens)?;
    let width = width as u32;
    let mut launch = kernel.builder();
    launch.arg(&products).arg(&bounds).arg(&mut result).arg(&width);
    // SAFETY: see above; there is a bound for every column.
    unsafe { launch.launch(blocks(tokens, 1, WARP)) }.w()?;
    Ok(answer(result, device, tokens))
}

pub(super) fn keep_above(
    of: &KeepAbove,
    (products, of_products): (&CudaStorage, &Layout),
    (bounds, of_bounds): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    let (device, (tokens, width)) = (products.device(), of_products.shape().dims2()?);
    let (products, bounds) = (numbers(products, of_products)?, numbers(bounds, of_bounds)?);
    let kernel = device.get_or_load_custom_func("keep_above", MODULE, assembly()?)?;
    let starts = device.clone_htod(&of.starts)?;
    let mut result = room::<u32>(device, of.kept())?;
    let width = width as u32;
    let mut launch = kernel.builder();
    launch.arg(&products).arg(&bounds).arg(&starts).arg(&mut result).arg(&width);
    // SAFETY: see above; the starts are of the counts of the same products and bounds.
    unsafe { launch.launch(blocks(tokens, 1, WARP)) }.w()?;
    Ok(answer(result, device, of.kept()))
}
