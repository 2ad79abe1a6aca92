// Adds the K directions of (B, K, L, D) in token order: out (B, L, D), float32 inside. With limb partners (LIMBS 1) a
// token also gets what merged directions gave to the tokens whose partner it is: for joint j of J the joints
// givers[first[j]] .. givers[first[j + 1] - 1] of the same frame; bit k of `merged` says that direction k merges.
// Macros besides common.cuh's: LIMBS, DIRECTIONS; RANK is any; WIDE 1: D is a multiple of 16 bytes.

extern "C" __constant__ int shared_bytes = 0;

extern "C" __global__ void __launch_bounds__(256) sum_directions(
    const Element* __restrict__ x, Element* __restrict__ out, const int* __restrict__ first,
    const int* __restrict__ givers, int J, int merged, int clip_size, int D, int packs) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= packs) return;
    const int clip = i / (clip_size / PACK), within = i % (clip_size / PACK) * PACK;
    x += (long long)clip * DIRECTIONS * clip_size + within;
    out += (long long)clip * clip_size + within;
    float sum[PACK];
#pragma unroll
    for (int p = 0; p < PACK; p++) sum[p] = 0;
    Pack<PACK> pack[DIRECTIONS];
#pragma unroll
    for (int k = 0; k < DIRECTIONS; k++) pack[k] = *reinterpret_cast<const Pack<PACK>*>(x + (long long)k * clip_size);
#pragma unroll
    for (int k = 0; k < DIRECTIONS; k++)
#pragma unroll
        for (int p = 0; p < PACK; p++) sum[p] += widen(pack[k].at[p]);
#if LIMBS
    const int j = within / D % J;
    for (int giver = first[j]; giver < first[j + 1]; giver++) {
        const Element* from = x + (givers[giver] - j) * D;
#pragma unroll
        for (int k = 0; k < DIRECTIONS; k++)
            if (merged >> k & 1) {
                const Pack<PACK> more = *reinterpret_cast<const Pack<PACK>*>(from + (long long)k * clip_size);
#pragma unroll
                for (int p = 0; p < PACK; p++) sum[p] += widen(more.at[p]);
            }
    }
#endif
    Pack<PACK> result;
#pragma unroll
    for (int p = 0; p < PACK; p++) result.at[p] = narrow(sum[p]);
    *reinterpret_cast<Pack<PACK>*>(out) = result;
}
