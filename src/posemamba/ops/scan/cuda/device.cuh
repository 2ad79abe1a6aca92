// Instructions of the GPU (compute capability 8.0 and up) that C++ has no word for. Tests replace this file by plain C++ to run the kernels on a CPU.

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ unsigned short to_bfloat16(float x) {
    unsigned short y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

// Lanes of a warp see each other's shared memory after this; the compiler also forgets what it read from there.
__device__ __forceinline__ void warp_barrier() { __syncwarp(); }

// Copies BYTES from global to shared memory; done, for this thread, after `copies_done`.
template <int BYTES> __device__ __forceinline__ void start_copy(void* to, const void* from) {
    if constexpr (BYTES >= 4) {
        const unsigned address = (unsigned)__cvta_generic_to_shared(to);
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address), "l"(from), "n"(BYTES));
    } else {
        *(unsigned short*)to = *(const unsigned short*)from;
    }
}
__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Adds COUNT neighbouring numbers to global memory, one after another for other threads.
template <int COUNT> __device__ __forceinline__ void add_to_global(float* to, const float (&x)[COUNT]) {
#if __CUDA_ARCH__ >= 900
    if constexpr (COUNT == 4) {
        asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(x[0]), "f"(x[1]), "f"(x[2]), "f"(x[3])
                     : "memory");
        return;
    }
#endif
    for (int i = 0; i < COUNT; i++) atomicAdd(to + i, x[i]);
}

// The tensor cores cut float32 to TF32, 10 bits after the leading one; this makes it, on average, a rounding. What has
// no more bits, such as a bfloat16, stays what it is.
__device__ __forceinline__ float round_to_tf32(float x) { return x * (1.0f + 0.7f / 2048); }
__device__ __forceinline__ float cut_to_tf32(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

// Products on the tensor cores, which cut float32 to TF32. Lane 4 g + t holds of sums (16, 8) the elements (g, 2t),
// (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
// sums += a (16, 8) b (8, 8): the lane holds a (g, t), a (g + 8, t), a (g, t + 4), a (g + 8, t + 4); b (t, g), b (t + 4, g).
__device__ __forceinline__ void multiply_add(float (&sums)[4], const float (&a)[4], float b0, float b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}
// sums += a (16, 4) b (4, 8): the lane holds a (g, t), a (g + 8, t); b (t, g).
__device__ __forceinline__ void multiply_add(float (&sums)[4], const float (&a)[2], float b) {
    asm("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(b)));
}
// sums += a (16, 16) b (16, 8) of pairs of bfloat16: a (g, 2t..), a (g + 8, 2t..), a (g, 2t + 8..), a (g + 8, 2t + 8..);
// b (2t.., g), b (2t + 8.., g).
__device__ __forceinline__ void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two bfloat16 in a word, and out of it.
__device__ __forceinline__ unsigned pack_pair(float low, float high) {
    unsigned y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
__device__ __forceinline__ float low_of(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_of(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// Of an 8 x 8 matrix whose row g lane 4 g + t holds columns 2t and 2t + 1 of: its transpose, held likewise.
__device__ __forceinline__ unsigned transpose(unsigned pair) {
    unsigned y;
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(pair));
    return y;
}
