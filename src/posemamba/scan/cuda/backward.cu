// The selective scan, backward. A block of WARPS warps walks one direction of one clip from its end to its start for
// CHANNELS = 16 WARPS channels, TILE steps at a time, the tile's first state being known from the forward pass
// (`states`). A warp has 16 channels and all states: lane 4 g + t has channels g and g + 8, states 2t, 2t + 1, 2t + 8
// and 2t + 9, as in the forward kernel. It first walks the tile forwards and leaves the states before each GROUP of
// steps in shared memory; then, from the last group to the first, computes the group's states again, keeps them in
// registers, and walks back through them with the gradient of the state.
//
// Sums over states are products on the tensor cores with one column of eight kept, outer products likewise. Sums over
// channels need the channels along the other side of the matrix: it goes through `transpose`, as bfloat16, and for
// float32 in three parts of eight bits.
//
// Macros besides inputs.cuh's: WARPS, BLOCKS_PER_SM.

#define ROWS (THREADS / CHANNELS)             // steps that the first stage takes at a time, a channel to a thread
#define PAIR (WIDE ? 2 : 1)                   // channels of one output access
#define SUMS_ROW (WIDTH + (12 - WIDTH % 8) % 8)  // 4 modulo 8: a warp's sums then go to different banks
#define SUMS_PACK (RANK % 4 == 0 ? 4 : 1)
#define RANK_TILES ((RANK + 7) / 8)
#define TERMS (EXACT ? 3 : 1)  // bfloat16 parts of a number

struct Shared {
    Raw raw;
    __align__(16) float dt[TILE][CHANNEL_ROW];  // channel c at channel_place(c)
    __align__(16) float dtx[TILE][CHANNEL_ROW];  // later the gradient before the softplus
    __align__(16) float dy[TILE][CHANNEL_ROW];
    __align__(16) float slope[TILE][CHANNEL_ROW];  // of the softplus
    __align__(16) float x[TILE][CHANNEL_ROW];      // later du
    __align__(16) float row[TILE][NUMBERS_ROW];    // B, C, s
    __align__(16) float sums[WARPS][TILE][SUMS_ROW];  // of the projections' gradients, by warp
    float before[WARPS][TILE / GROUP][8][32];         // states before each group
    float weight[RANK][CHANNELS];
    Step at[TILE];
};
extern "C" __constant__ int shared_bytes = sizeof(Shared);

// sums (states, steps) += x (channels, states) transposed times b (channels, steps), x held like multiply_add's sums,
// of eight states each.
__device__ __forceinline__ void add_over_channels(
    float (&sums)[4], const float (&x)[2][4], const unsigned (&b)[TERMS][2], bool here) {
    float rest[2][4];
#pragma unroll
    for (int i = 0; i < 8; i++) rest[i / 4][i % 4] = x[i / 4][i % 4];
#pragma unroll
    for (int term = 0; term < TERMS; term++) {
        unsigned a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float(&pair)[4] = rest[i % 2];
            const unsigned packed = pack_pair(pair[i / 2 * 2], pair[i / 2 * 2 + 1]);
            if (term < TERMS - 1) pair[i / 2 * 2] -= low_of(packed), pair[i / 2 * 2 + 1] -= high_of(packed);
            a[i] = transpose(packed);
        }
#pragma unroll
        for (int other = 0; other < TERMS - term; other++)
            multiply_add(sums, a, here ? b[other][0] : 0u, here ? b[other][1] : 0u);
    }
}

// The right side for that: what a step (this lane's is the g-th) has for channels 2t, 2t + 8, 2t + 1, 2t + 9.
__device__ __forceinline__ void split(unsigned (&b)[TERMS][2], float4 x) {
#pragma unroll
    for (int term = 0; term < TERMS; term++) {
        b[term][0] = pack_pair(x.x, x.z), b[term][1] = pack_pair(x.y, x.w);
        x.x -= low_of(b[term][0]), x.z -= high_of(b[term][0]), x.y -= low_of(b[term][1]), x.w -= high_of(b[term][1]);
    }
}

// Sums over the lanes t of a channel.
__device__ __forceinline__ float sum_over_t(float x) {
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) scan_backward(
    const Element* __restrict__ u,      // (B, L, D)
    const Element* __restrict__ proj,   // (B, L, K, P)
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

    // in the first stage this thread is channel `mine`, every ROWS-th step
    const int mine = thread % CHANNELS, my_row = thread / CHANNELS, my_place = channel_place(mine);
    const int my_channel = smaller(first_channel + mine, D - 1);  // channels past the end repeat the last one
    for (int r = my_row; r < RANK; r += ROWS) s.weight[r][mine] = weight[(k * RANK + r) * D + my_channel];
    const float my_bias = bias[k * D + my_channel];

    // afterwards it has two channels by four states, in the order of multiply_add's sums
    const int place = warp * 16 + 2 * g;  // of its channels
    auto state = [&](int q, int i) { return q * 8 + 2 * t + i % 2; };
    auto channel = [&](int i) { return first_channel + warp * 16 + g + i / 2 * 8; };
    float A[2][4], da_sum[2][4], carry[2][4], h_first[2][4], my_skip[2];
    float dskip_sum[2] = {0, 0}, dbias_sum[2] = {0, 0}, dweight_sum[RANK_TILES][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int c = smaller(channel(i), D - 1);
        my_skip[i / 2] = skip[k * D + c];
#pragma unroll
        for (int q = 0; q < 2; q++) A[q][i] = a2[(k * STATES + state(q, i)) * D + c], da_sum[q][i] = carry[q][i] = 0;
#pragma unroll
        for (int r = 0; r < RANK_TILES; r++) dweight_sum[r][i] = 0;
    }
    float column[RANK_TILES][2][2];  // of P_k, rank g: the right side of the product for the gradient of s
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int r = 0; r < RANK_TILES; r++) {
            const int rank = r * 8 + g, c = first_channel + warp * 16 + i / 2 * 4 + t + i % 2 * 8;
            column[r][i / 2][i % 2] = rank < RANK && c < D ? for_product(weight[(k * RANK + rank) * D + c]) : 0.0f;
        }

    auto read_states = [&](int tile) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int c = smaller(channel(i % 4), D - 1);
            h_first[i / 4][i % 4] = tile > 0 ? states[((long long)tile * STATES + state(i / 4, i % 4)) * D + c] : 0.0f;
        }
    };
    auto widen_rows = [&]() {
        inputs.widen_rows(s.raw, s.row, [](int c) { return c < RANK ? 2 * STATES + c : c - RANK; });
    };
    // of a group that starts at `row`: what is multiplied to an outer product, four steps at a time
    struct Outer {
        float2 left[2];
        float right[2][2];
        __device__ __forceinline__ void load(const Shared& s, const float (&x)[TILE][CHANNEL_ROW], int first, int row) {
            const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, place = threadIdx.x / 32 * 16 + 2 * g;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                left[half] = *reinterpret_cast<const float2*>(&x[row + 4 * half + t][place]);
#pragma unroll
                for (int q = 0; q < 2; q++) right[half][q] = s.row[row + 4 * half + t][first + q * 8 + g];
            }
        }
        // sums += the product of step j
        __device__ __forceinline__ void add(float (&sums)[4], int j, int q) const {
            const bool here = threadIdx.x % 4 == j % 4;
            const float one_step[2] = {here ? left[j / 4].x : 0.0f, here ? left[j / 4].y : 0.0f};
            accumulate(sums, one_step, right[j / 4][q]);
        }
    };
    // one step forwards from h
    auto advance = [&](float (&h)[2][4], const float (&from)[2][4], float (&decay)[2][4], const Outer& input, int row, int j) {
        const float2 dt = *reinterpret_cast<const float2*>(&s.dt[row + j][place]);
#pragma unroll
        for (int q = 0; q < 2; q++) {
            float add[4] = {0, 0, 0, 0};
            input.add(add, j, q);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                decay[q][i] = exp2_fast((i < 2 ? dt.x : dt.y) * A[q][i]);
                h[q][i] = fmaf(decay[q][i], from[q][i], add[i]);
            }
        }
    };

    inputs.look_up((tiles - 1) * TILE);
    inputs.start(s.raw);
    read_states(tiles - 1);
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
#pragma unroll 4
            for (int row = my_row; row < TILE; row += ROWS) {
                const bool real = t0 + row < L && first_channel + mine < D;
                const float x = real ? inputs.read_u(s.raw, row, mine) : 0.0f;
                float slope, dt = softplus(step_size(&s.row[row][2 * STATES], my_weight, my_bias), slope);
                if (!real) dt = slope = 0;  // leaves the state alone, and gives no gradient
                s.dt[row][my_place] = dt;
                s.dtx[row][my_place] = for_product(dt * x);
                s.dy[row][my_place] = real ? widen(s.raw.dy[row][mine]) : 0.0f;
                s.slope[row][my_place] = slope;
                s.x[row][my_place] = x;
            }
        }
        if (thread < TILE) s.at[thread] = s.raw.at[thread];
        __syncthreads();
        float h[2][4];
#pragma unroll
        for (int i = 0; i < 8; i++) h[i / 4][i % 4] = h_first[i / 4][i % 4];
        if (tile > 0) {
            inputs.start(s.raw);
            read_states(tile - 1);
        }

#pragma unroll 1
        for (int group = 0; group < TILE / GROUP; group++) {
#pragma unroll
            for (int i = 0; i < 8; i++) s.before[warp][group][i][thread % 32] = h[i / 4][i % 4];
            if (group == TILE / GROUP - 1) break;
            Outer input;
            input.load(s, s.dtx, 0, group * GROUP);
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                float decay[2][4];
                advance(h, h, decay, input, group * GROUP, j);
            }
        }

#pragma unroll 1
        for (int group = TILE / GROUP - 1; group >= 0; group--) {
            const int row = group * GROUP;
            Outer input, output;
            input.load(s, s.dtx, 0, row);
            output.load(s, s.dy, STATES, row);
            unsigned dtx_step[TERMS][2], dy_step[TERMS][2];
            split(dtx_step, *reinterpret_cast<const float4*>(&s.dtx[row + g][warp * 16 + 4 * t]));
            split(dy_step, *reinterpret_cast<const float4*>(&s.dy[row + g][warp * 16 + 4 * t]));
            float2 B[2];
#pragma unroll
            for (int q = 0; q < 2; q++) B[q] = *reinterpret_cast<const float2*>(&s.row[row + g][q * 8 + 2 * t]);

            float hs[GROUP + 1][2][4], decay[GROUP][2][4];
#pragma unroll
            for (int i = 0; i < 8; i++) hs[0][i / 4][i % 4] = s.before[warp][group][i][thread % 32];
#pragma unroll
            for (int j = 0; j < GROUP; j++) advance(hs[j + 1], hs[j], decay[j], input, row, j);

            float dB[4] = {0, 0, 0, 0}, dC[4] = {0, 0, 0, 0}, ddt[4], ddtx[4];  // these of steps 2t, 2t + 1
#pragma unroll
            for (int j = GROUP - 1; j >= 0; j--) {
                const float2 dt = *reinterpret_cast<const float2*>(&s.dt[row + j][place]);
                float dh[2][4], over_states[4] = {0, 0, 0, 0}, decays[4] = {0, 0, 0, 0};
#pragma unroll
                for (int q = 0; q < 2; q++) {
                    float d[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) dh[q][i] = carry[q][i];
                    output.add(dh[q], j, q);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        carry[q][i] = decay[j][q][i] * dh[q][i];
                        const float gradient = carry[q][i] * hs[j][q][i];  // of dt A
                        da_sum[q][i] = fmaf(gradient, i < 2 ? dt.x : dt.y, da_sum[q][i]);
                        d[i] = gradient * A[q][i];
                    }
                    // the first four rows of the right side are the even states, the last four the odd ones
                    accumulate(over_states, {dh[q][0], dh[q][2], dh[q][1], dh[q][3]}, B[q].x, B[q].y);
                    accumulate(decays, {d[0], d[2], d[1], d[3]}, 1.0f, 1.0f);
                }
                if (t == j / 2) {
                    ddtx[j % 2] = over_states[j % 2], ddtx[2 + j % 2] = over_states[2 + j % 2];
                    ddt[j % 2] = decays[0], ddt[2 + j % 2] = decays[2];
                }
                add_over_channels(dB, dh, dtx_step, g == j);
                add_over_channels(dC, hs[j + 1], dy_step, g == j);
            }

            float dpre[4];  // channels g, g + 8, of each steps 2t, 2t + 1
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const int at = row + 2 * t + j;
                const float2 dt = *reinterpret_cast<const float2*>(&s.dt[at][place]);
                const float2 dy_at = *reinterpret_cast<const float2*>(&s.dy[at][place]);
                const float2 slope = *reinterpret_cast<const float2*>(&s.slope[at][place]);
                float2& x = *reinterpret_cast<float2*>(&s.x[at][place]);
                dpre[j] = fmaf(ddt[j], LN_2, ddtx[j] * x.x) * slope.x;
                dpre[2 + j] = fmaf(ddt[2 + j], LN_2, ddtx[2 + j] * x.y) * slope.y;
                dskip_sum[0] = fmaf(dy_at.x, x.x, dskip_sum[0]);
                dskip_sum[1] = fmaf(dy_at.y, x.y, dskip_sum[1]);
                dbias_sum[0] += dpre[j], dbias_sum[1] += dpre[2 + j];
                x = make_float2(fmaf(ddtx[j], dt.x, dy_at.x * my_skip[0]),
                                fmaf(ddtx[2 + j], dt.y, dy_at.y * my_skip[1]));
                dpre[j] = for_product(dpre[j]), dpre[2 + j] = for_product(dpre[2 + j]);
                *reinterpret_cast<float2*>(&s.dtx[at][place]) = make_float2(dpre[j], dpre[2 + j]);
            }
#pragma unroll
            for (int r = 0; r < RANK_TILES; r++)
                accumulate(dweight_sum[r], {dpre[0], dpre[2], dpre[1], dpre[3]},
                           s.row[row + 2 * t][2 * STATES + r * 8 + g], s.row[row + 2 * t + 1][2 * STATES + r * 8 + g]);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s.sums[warp][row + 2 * t + i % 2][RANK + g + i / 2 * 8] = dB[i];
                s.sums[warp][row + 2 * t + i % 2][RANK + STATES + g + i / 2 * 8] = dC[i];
            }
        }
        warp_barrier();
#pragma unroll
        for (int row = 0; row < TILE; row += 16)
#pragma unroll
            for (int r = 0; r < RANK_TILES; r++) {
                float ds[4] = {0, 0, 0, 0};  // steps g, g + 8, ranks 2t, 2t + 1
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int at = warp * 16 + 2 * (half * 4 + t);
                    const float2 upper = *reinterpret_cast<const float2*>(&s.dtx[row + g][at]);
                    const float2 lower = *reinterpret_cast<const float2*>(&s.dtx[row + g + 8][at]);
                    accumulate(ds, {upper.x, lower.x, upper.y, lower.y}, column[r][half][0], column[r][half][1]);
                }
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (r * 8 + 2 * t + i % 2 < RANK) s.sums[warp][row + g + i / 2 * 8][r * 8 + 2 * t + i % 2] = ds[i];
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
        const int column = thread % (CHANNELS / PAIR) * PAIR;
        if (first_channel + column < D)
#pragma unroll 4
            for (int row = thread / (CHANNELS / PAIR); row < TILE; row += THREADS / (CHANNELS / PAIR)) {
                if (row >= count) break;
                Pack<PAIR> pack;
#pragma unroll
                for (int j = 0; j < PAIR; j++) pack.at[j] = narrow(s.x[row][channel_place(column + j)]);
                *reinterpret_cast<Pack<PAIR>*>(du + (s.at[row].token * D + first_channel + column)) = pack;
            }
        if (tile > 0) widen_rows();
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < 8; i++)
        if (channel(i % 4) < D) da[(clip_k * STATES + state(i / 4, i % 4)) * D + channel(i % 4)] = da_sum[i / 4][i % 4];
#pragma unroll
    for (int i = 0; i < 4; i++)  // ranks 2t, 2t + 1
#pragma unroll
        for (int r = 0; r < RANK_TILES; r++)
            if (r * 8 + 2 * t + i % 2 < RANK && channel(i) < D)
                dweight[(clip_k * RANK + r * 8 + 2 * t + i % 2) * D + channel(i)] = dweight_sum[r][i];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        dskip_sum[i] = sum_over_t(dskip_sum[i]);
        dbias_sum[i] = sum_over_t(dbias_sum[i]);
        if (t == 0 && channel(2 * i) < D) {
            dskip[clip_k * D + channel(2 * i)] = dskip_sum[i];
            dbias[clip_k * D + channel(2 * i)] = dbias_sum[i];
        }
    }
}
