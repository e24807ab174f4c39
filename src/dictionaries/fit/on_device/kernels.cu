// What a step of a fit does with active features alone, on an NVIDIA GPU. `sparse.rs` says what each kernel computes and
// does the same on the host, in the same order; `kernels.rs` launches them. No kernel uses atomics: a result does not
// depend on how blocks are scheduled.

// Threads of one warp. All kernels but the first run one warp a block.
#define WARP 32
#define ALL 0xffffffffu

// sums[s] = sum of weights[e] rows[columns[e]] over the entries e of s, in their order. A block has one s and blockDim.x
// of the width columns, whose sums its threads keep in registers.
extern "C" __global__ void weighted_sums(const unsigned *starts, const unsigned *columns, const float *weights,
                                         const float *rows, float *sums, const unsigned width) {
  const unsigned column = blockIdx.y * blockDim.x + threadIdx.x;
  if (column >= width) return;
  const unsigned end = starts[blockIdx.x + 1];
  float sum = 0.0f;
  for (unsigned entry = starts[blockIdx.x]; entry < end; ++entry) {
    sum = fmaf(weights[entry], rows[(size_t)columns[entry] * width + column], sum);
  }
  sums[(size_t)blockIdx.x * width + column] = sum;
}

// dots[e] = the inner product of a[left[e]] and b[right[e]]. A block has one e.
extern "C" __global__ void dots(const unsigned *left, const unsigned *right, const float *a, const float *b, float *dots,
                                const unsigned width) {
  const float *own = a + (size_t)left[blockIdx.x] * width;
  const float *other = b + (size_t)right[blockIdx.x] * width;
  float sum = 0.0f;
  for (unsigned column = threadIdx.x; column < width; column += WARP) {
    sum = fmaf(own[column], other[column], sum);
  }
  for (unsigned reach = WARP / 2; reach > 0; reach /= 2) {
    sum += __shfl_down_sync(ALL, sum, reach);
  }
  if (threadIdx.x == 0) dots[blockIdx.x] = sum;
}

// Of row s of products, those above their column's bound: bit l of the answer is that of column first + l.
__device__ unsigned above(const float *products, const float *bounds, const unsigned first, const unsigned width) {
  const unsigned column = first + threadIdx.x;
  const bool is_above = column < width && products[(size_t)blockIdx.x * width + column] > bounds[column];
  return __ballot_sync(ALL, is_above);
}

// counts[s] = how many products of row s are above their column's bound. A block has one s.
extern "C" __global__ void count_above(const float *products, const float *bounds, unsigned *counts,
                                       const unsigned width) {
  unsigned count = 0;
  for (unsigned first = 0; first < width; first += WARP) {
    count += __popc(above(products, bounds, first, width));
  }
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

// Writes where these are among all products, in order, from places[starts[s]] on. A block has one s.
extern "C" __global__ void keep_above(const float *products, const float *bounds, const unsigned *starts,
                                      unsigned *places, const unsigned width) {
  unsigned next = starts[blockIdx.x];
  for (unsigned first = 0; first < width; first += WARP) {
    const unsigned found = above(products, bounds, first, width);
    const unsigned before = found & ((1u << threadIdx.x) - 1u);
    if (found >> threadIdx.x & 1u) places[next + __popc(before)] = blockIdx.x * width + first + threadIdx.x;
    next += __popc(found);
  }
}
