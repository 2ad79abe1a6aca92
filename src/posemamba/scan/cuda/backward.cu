// The selective scan, backward. A block of WARPS warps walks one direction of one clip from its end to its start for
// 4 WARPS channels, TILE steps at a time, the tile's first state being known from the forward pass (`states`).
//
// Lane 4 g + t of a warp has states g and g + 8 of the warp's channel t. The states of the tile are computed again,
// forwards, and stay in registers; then the gradient of the state runs backwards through them. On this layout sums
// over the warp's channels are products on the tensor cores (a step's gradients times a column that is zero but for
// that step), and sums over states go through shared memory, after which lane g finishes step g of eight.
//
// Macros besides inputs.cuh's: WARPS, BLOCKS_PER_SM; EXACT 1: products on the tensor cores as three of TF32, for float32.

#define SUMS_ROW (WIDTH + (12 - WIDTH % 8) % 8)  // 4 modulo 8: a warp's sums then go to different banks
#define SUMS_PACK (RANK % 4 == 0 ? 4 : 1)
#define GROUP 8

struct Shared {
    Raw raw;
    __align__(16) float4 steps[TILE][CHANNELS];             // dt, dt x, dy, derivative of the softplus
    __align__(16) float row[TILE][(WIDTH + 3) / 4 * 4];     // B(g), B(g+8), C(g), C(g+8) for g in 0..7, then s
    float x[TILE][CHANNELS];                                // later du
    __align__(16) float sums[WARPS][TILE][SUMS_ROW];        // of the projections' gradients, by warp
    __align__(16) float2 part[WARPS][GROUP][4][10];         // of a step's ddt and ddtx, by lane g; 8 used
    float weight[RANK][CHANNELS];
    Step at[TILE];
};
extern "C" __constant__ int shared_bytes = sizeof(Shared);

__device__ __forceinline__ float sum_over_groups(float x) {
    x += shuffle_xor(x, 4);
    x += shuffle_xor(x, 8);
    return x + shuffle_xor(x, 16);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) scan_backward(
    const Element* __restrict__ u,      // (B, L, D)
    const Element* __restrict__ proj,   // (B, L, K, P), limb partners not yet added
    const float* __restrict__ weight,   // (K, R, D)
    const float* __restrict__ bias,     // (K, D)
    const float* __restrict__ a2,       // (K, N, D), A log2(e)
    const float* __restrict__ skip,     // (K, D)
    const Step* __restrict__ steps,     // (K, L)
    const Element* __restrict__ dy,     // (B, L, D)
    const float* __restrict__ states,   // (B, K, tiles, N, D), before each tile
    Element* __restrict__ du,           // (B, K, L, D), limb partners not yet credited
    float* __restrict__ dproj,          // (B, L, K, P), zero before
    float* __restrict__ dweight,        // (B, K, R, D)
    float* __restrict__ da,             // (B, K, N, D)
    float* __restrict__ dskip,          // (B, K, D)
    float* __restrict__ dbias,          // (B, K, D)
    int L, int D,
    int merge_rows) {                   // 1: limb partners' projections are added, and credited, here
    extern __shared__ __align__(16) unsigned char memory[];
    Shared& s = *reinterpret_cast<Shared*>(memory);
    const int thread = threadIdx.x, warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
    const int k = blockIdx.y, K = gridDim.y, clip = blockIdx.z;
    const int first_channel = blockIdx.x * CHANNELS;
    const long long clip_k = (long long)clip * K + k;
    const int tiles = (L + TILE - 1) / TILE;
    dproj += ((long long)clip * L * K + k) * WIDTH;
    du += clip_k * L * D;
    states += clip_k * tiles * STATES * D;

    Inputs inputs;
    inputs.u = u + (long long)clip * L * D;
    inputs.dy = dy + (long long)clip * L * D;
    inputs.proj = proj + ((long long)clip * L * K + k) * WIDTH;
    inputs.steps = steps + (long long)k * L;
    inputs.stop = L, inputs.D = D, inputs.row_stride = K * WIDTH, inputs.first_channel = first_channel;
    inputs.merged = inputs.steps[0].limb >= 0;
    inputs.merge_rows = inputs.merged && merge_rows;

    // where it computes step sizes this thread is channel `mine`, every 8th step
    const int mine = thread % CHANNELS, my_row = thread / CHANNELS, ROWS = THREADS / CHANNELS;
    const int my_channel = smaller(first_channel + mine, D - 1);  // channels past the end repeat the last one
    for (int r = my_row; r < RANK; r += ROWS) s.weight[r][mine] = weight[(k * RANK + r) * D + my_channel];
    const float my_bias = bias[k * D + my_channel];

    // where it walks it has states g and g + 8 of channel `channel`
    const int local = warp * 4 + t, channel = smaller(first_channel + local, D - 1);
    const bool real_channel = first_channel + local < D;
    const float skip_here = skip[k * D + channel];
    float A[2], carry[2] = {0, 0}, da_sum[2] = {0, 0}, h_first[2], dweight_sum[RANK], dskip_sum = 0, dbias_sum = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) A[i] = a2[(k * STATES + g + 8 * i) * D + channel];
#pragma unroll
    for (int r = 0; r < RANK; r++) dweight_sum[r] = 0;
    float weight_column[(RANK + 7) / 8];  // of P_k, ranks g, g + 8, ..: the right side of the product for ds
#pragma unroll
    for (int i = 0; i < (RANK + 7) / 8; i++)
        weight_column[i] = g + 8 * i < RANK && real_channel ? weight[(k * RANK + g + 8 * i) * D + channel] : 0.0f;

    auto read_state = [&](int t0) {
#pragma unroll
        for (int i = 0; i < 2; i++)
            h_first[i] = t0 > 0 ? states[((long long)(t0 / TILE) * STATES + g + 8 * i) * D + channel] : 0.0f;
    };

    auto widen_rows = [&]() {  // n = c - R is the state of B, or 16 + the state of C
        inputs.widen_rows(s.raw, s.row, [](int c) { return c < RANK ? 2 * STATES + c : (c - RANK) % 8 * 4 + (c - RANK) / 8; });
    };
    inputs.look_up((tiles - 1) * TILE);
    inputs.start(s.raw);
    read_state((tiles - 1) * TILE);
    copies_done();
    __syncthreads();
    widen_rows();
    __syncthreads();
    for (int tile = tiles - 1; tile >= 0; tile--) {
        const int t0 = tile * TILE;
        inputs.look_up(tile > 0 ? t0 - TILE : 0);
        {
            float my_weight[RANK];
#pragma unroll
            for (int r = 0; r < RANK; r++) my_weight[r] = s.weight[r][mine];
#pragma unroll
            for (int row = my_row; row < TILE; row += ROWS) {
                const bool real = t0 + row < L && first_channel + mine < D;
                const float x = real ? inputs.read_u(s.raw, row, mine) : 0.0f;
                float slope, dt = softplus(step_size(&s.row[row][2 * STATES], my_weight, my_bias), slope);
                if (!real) dt = slope = 0;
                s.steps[row][mine] = make_float4(dt, dt * x, real ? widen(s.raw.dy[row][mine]) : 0.0f, slope);
                s.x[row][mine] = x;
            }
        }
        if (thread < TILE) s.at[thread] = s.raw.at[thread];
        __syncthreads();
        float h_0[2] = {h_first[0], h_first[1]};
        if (tile > 0) {
            inputs.start(s.raw);
            read_state(t0 - TILE);
        }

        float h[TILE][2];
#pragma unroll
        for (int row = 0; row < TILE; row++) {
            const float dt = s.steps[row][local].x, dtx = s.steps[row][local].y;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float before = row > 0 ? h[row - 1][i] : h_0[i];
                h[row][i] = fmaf(exp2_fast(dt * A[i]), before, dtx * s.row[row][4 * g + i]);
            }
        }
#pragma unroll
        for (int group = TILE / GROUP - 1; group >= 0; group--) {
            warp_barrier();
            float dB[4] = {0, 0, 0, 0}, dC[4] = {0, 0, 0, 0};
#pragma unroll
            for (int pair = GROUP / 2 - 1; pair >= 0; pair--) {
                float dh[4], hs[4], dtx[2], dy[2];  // of two steps, each with states g and g + 8
#pragma unroll
                for (int j = 1; j >= 0; j--) {
                    const int row = group * GROUP + pair * 2 + j;
                    const float4 step = s.steps[row][local];
                    const float4 BC = *reinterpret_cast<const float4*>(&s.row[row][4 * g]);
                    const float B[2] = {BC.x, BC.y}, C[2] = {BC.z, BC.w};
                    float ddt = 0, ddtx = 0;
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        const float a = exp2_fast(step.x * A[i]);
                        const float gradient = fmaf(step.z, C[i], carry[i]);
                        carry[i] = a * gradient;
                        ddtx = fmaf(gradient, B[i], ddtx);
                        // carry times the state before: the gradient of dt A
                        const float d = carry[i] * (row > 0 ? h[row > 0 ? row - 1 : 0][i] : h_0[i]);
                        ddt = fmaf(d, A[i], ddt);
                        da_sum[i] = fmaf(d, step.x, da_sum[i]);
                        dh[2 * j + i] = gradient;
                        hs[2 * j + i] = h[row][i];
                    }
                    s.part[warp][pair * 2 + j][t][g] = make_float2(ddt, ddtx);
                    dtx[j] = g == pair * 2 + j ? step.y : 0.0f;
                    dy[j] = g == pair * 2 + j ? step.z : 0.0f;
                }
                accumulate(dB, dh, dtx[0], dtx[1]);
                accumulate(dC, hs, dy[0], dy[1]);
            }
            warp_barrier();
            // now lane g has step g of the group
            const int row = group * GROUP + g;
            float ddt_here = 0, ddtx_here = 0;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float4 two = *reinterpret_cast<const float4*>(&s.part[warp][g][t][2 * i]);
                ddt_here += two.x + two.z;
                ddtx_here += two.y + two.w;
            }
            const float4 step = s.steps[row][local];
            const float x = s.x[row][local];
            const float dpre = fmaf(ddt_here, LN_2, ddtx_here * x) * step.w;
            s.x[row][local] = fmaf(ddtx_here, step.x, step.z * skip_here);
            dskip_sum = fmaf(step.z, x, dskip_sum);
            dbias_sum += dpre;
#pragma unroll
            for (int r = 0; r < RANK; r++) dweight_sum[r] = fmaf(dpre, s.row[row][2 * STATES + r], dweight_sum[r]);
            float(&sums)[TILE][SUMS_ROW] = s.sums[warp];
#pragma unroll
            for (int i = 0; i < (RANK + 7) / 8; i++) {
                float ds[4] = {0, 0, 0, 0};
                accumulate(ds, {dpre, 0.0f, 0.0f, 0.0f}, weight_column[i], 0.0f);
#pragma unroll
                for (int j = 0; j < 2; j++)
                    if (8 * i + 2 * t + j < RANK) sums[row][8 * i + 2 * t + j] = ds[j];
            }
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int step_of = group * GROUP + 2 * t + j % 2, n = g + j / 2 * 8;
                sums[step_of][RANK + n] = dB[j];
                sums[step_of][RANK + STATES + n] = dC[j];
            }
        }
        copies_done();
        __syncthreads();

        const int count = smaller(TILE, L - t0);
        for (int pack = thread; pack < count * (WIDTH / SUMS_PACK); pack += THREADS) {
            const int row = pack / (WIDTH / SUMS_PACK), column = pack % (WIDTH / SUMS_PACK) * SUMS_PACK;
            float sum[SUMS_PACK];
#pragma unroll
            for (int j = 0; j < SUMS_PACK; j++) sum[j] = 0;
#pragma unroll
            for (int w = 0; w < WARPS; w++)
#pragma unroll
                for (int j = 0; j < SUMS_PACK; j++) sum[j] += s.sums[w][row][column + j];
            const Step at = s.at[row];
            add_to_global<SUMS_PACK>(dproj + (at.token * K * WIDTH + column), sum);
            if (inputs.merge_rows) add_to_global<SUMS_PACK>(dproj + (at.limb * K * WIDTH + column), sum);
        }
        if (tile > 0) widen_rows();
        for (int pack = thread; pack < count * CHANNELS / PACK; pack += THREADS) {
            const int row = pack / (CHANNELS / PACK), column = pack % (CHANNELS / PACK) * PACK;
            Pack<PACK> packed;
#pragma unroll
            for (int j = 0; j < PACK; j++) packed.at[j] = narrow(s.x[row][column + j]);
            if (first_channel + column < D)
                *reinterpret_cast<Pack<PACK>*>(du + (s.at[row].token * D + first_channel + column)) = packed;
        }
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < 2; i++)
        if (real_channel) da[(clip_k * STATES + g + 8 * i) * D + channel] = da_sum[i];
#pragma unroll
    for (int r = 0; r < RANK; r++) dweight_sum[r] = sum_over_groups(dweight_sum[r]);
    dskip_sum = sum_over_groups(dskip_sum);
    dbias_sum = sum_over_groups(dbias_sum);
    if (g == 0 && real_channel) {
#pragma unroll
        for (int r = 0; r < RANK; r++) dweight[(clip_k * RANK + r) * D + channel] = dweight_sum[r];
        dskip[clip_k * D + channel] = dskip_sum;
        dbias[clip_k * D + channel] = dbias_sum;
    }
}
