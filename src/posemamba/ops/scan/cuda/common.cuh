// What the scan's kernels share. Compiled at run time by NVRTC with these macros defined by gpu.py:
//   RANK    R, rank of the step size
//   HALF    1: activations are bfloat16, 0: float32
//   EXACT   1: products on the tensor cores as three of TF32, for float32; 0: as one, for bfloat16
//   WIDE    1: the inner width is a multiple of a block's channels, so 16-byte accesses stay inside; 0: one by one
// Shapes in comments: B clips, L tokens, D channels, K directions, N = 16 states, P = R + 2N numbers of a projection.

#define STATES 16
#define WIDTH (RANK + 2 * STATES)

#if HALF
struct Element {
    unsigned short bits;
};
__device__ __forceinline__ float widen(Element x) { return __uint_as_float((unsigned)x.bits << 16); }
__device__ __forceinline__ Element narrow(float x) { return {to_bfloat16(x)}; }
#else
typedef float Element;
__device__ __forceinline__ float widen(Element x) { return x; }
__device__ __forceinline__ Element narrow(float x) { return x; }
#endif

template <int COUNT> struct __align__(COUNT * sizeof(Element)) Pack {
    Element at[COUNT];
};

// One step of a direction: the token it visits and the limb partner merged with it, or -1.
struct __align__(8) Step {
    int token, limb;
};

#define PACK (WIDE ? 16 / (int)sizeof(Element) : 1)  // channels that one access takes
#define GROUP 8                                       // steps whose operands a product takes together
#define CHANNEL_ROW (CHANNELS + 8)                    // 8 modulo 32, so that lanes read from different banks, as is
#define NUMBERS_ROW (WIDTH <= 40 ? 40 : 72)           // this, of the row of a step's B, C and s
#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

// Softplus log(1 + e^x), exact to 2e-7 of its value also where it is tiny, and its derivative, the logistic function.
__device__ __forceinline__ float softplus(float x, float& slope) {
    float e = exp2_fast(-fabsf(x) * LOG2_E);
    slope = __fdividef(x > 0 ? 1.0f : e, 1.0f + e);
    float series = 0.005253457929939032f;
    series = fmaf(series, e, -0.02958850748836994f);
    series = fmaf(series, e, 0.07836166769266129f);
    series = fmaf(series, e, -0.13674770295619965f);
    series = fmaf(series, e, 0.19111430644989014f);
    series = fmaf(series, e, -0.24844369292259216f);
    series = fmaf(series, e, 0.33319270610809326f);
    series = fmaf(series, e, -0.49999502301216125f);
    series = fmaf(series, e, 1.0f);
    return fmaf(series, e, fmaxf(x, 0.0f));
}

__device__ __forceinline__ int smaller(int a, int b) { return a < b ? a : b; }

// sums += a b as in multiply_add, to float32's precision if EXACT.
__device__ __forceinline__ void accumulate(float (&sums)[4], const float (&a)[4], float b0, float b1) {
    if (!EXACT) return multiply_add(sums, a, b0, b1);
    float high[4], rest[4];
#pragma unroll
    for (int i = 0; i < 4; i++) high[i] = cut_to_tf32(a[i]), rest[i] = a[i] - high[i];
    const float b0_high = cut_to_tf32(b0), b1_high = cut_to_tf32(b1);
    multiply_add(sums, rest, b0_high, b1_high);
    multiply_add(sums, high, b0 - b0_high, b1 - b1_high);
    multiply_add(sums, high, b0_high, b1_high);
}
__device__ __forceinline__ void accumulate(float (&sums)[4], const float (&a)[2], float b) {
    if (!EXACT) return multiply_add(sums, a, b);
    const float high[2] = {cut_to_tf32(a[0]), cut_to_tf32(a[1])}, rest[2] = {a[0] - high[0], a[1] - high[1]};
    const float b_high = cut_to_tf32(b);
    multiply_add(sums, rest, b_high);
    multiply_add(sums, high, b - b_high);
    multiply_add(sums, high, b_high);
}
// Rounds what the tensor cores will cut, unless all of it is used.
__device__ __forceinline__ float for_product(float x) { return EXACT ? x : round_to_tf32(x); }

// Channels g and g + 8 of sixteen lie side by side in shared memory.
__device__ __forceinline__ int channel_place(int c) { return c / 16 * 16 + c % 8 * 2 + c % 16 / 8; }
