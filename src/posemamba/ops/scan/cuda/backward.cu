// The selective scan, backward. A block of WARPS warps walks one direction of one clip from its end to its start for
// CHANNELS channels, TILE steps at a time, the tile's first state being known from the forward pass (`states`). Stages:
//
//   step sizes   as in the forward kernel
//   recurrence   a warp has 16 channels and 16 / PARTS states: lane 4 g + t has channels g and g + 8, of every eight
//                states 2t and 2t + 1. It first walks the tile forwards and leaves the states before each GROUP of
//                steps in shared memory; then, from the last group to the first, computes the group's states again,
//                keeps them in registers, and walks back through them with the gradient of the state
//   gradients    of the step sizes and inputs, a thread a channel
//   outputs      sums over warps
//
// Sums over states are products on the tensor cores with one column of eight kept, outer products likewise. Sums over
// channels need the channels along the other side of the matrix: it goes through `transpose`, as bfloat16, and for
// float32 in three parts of eight bits.
//
// Macros besides inputs.cuh's: WARPS, PARTS (1 or 2 warps share 16 channels), BLOCKS_PER_SM.

#define STATE_TILES (2 / PARTS)               // of eight states
#define ROWS (THREADS / CHANNELS)             // steps that the first stage takes at a time, a channel to a thread
#define PAIR (WIDE ? 2 : 1)                   // channels of one output access
#define BATCH 4                               // steps that a thread works on side by side
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
    __align__(16) float sums[WARPS / PARTS][TILE][SUMS_ROW];  // of the projections' gradients, by sixteen channels
    // a warp's states before each group, by tile of states; later its share of the gradients of dt and of dt x, by lane
    float kept[WARPS][TILE / GROUP][2][4][40];
    float weight[RANK][CHANNELS];
    Step at[TILE];
};
extern "C" __constant__ int shared_bytes = sizeof(Shared);

// sums (states, steps) += x (channels, states) transposed times b (channels, steps), x held like multiply_add's sums,
// of eight states each.
__device__ __forceinline__ void add_over_channels(
    float (&sums)[4], const float (&x)[STATE_TILES][4], const unsigned (&b)[TERMS][2], bool here) {
    float rest[STATE_TILES][4];
#pragma unroll
    for (int i = 0; i < 4 * STATE_TILES; i++) rest[i / 4][i % 4] = x[i / 4][i % 4];
#pragma unroll
    for (int term = 0; term < TERMS; term++) {
        unsigned a[4] = {0, 0, 0, 0};  // by channels' half and tile of states
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i % 2 >= STATE_TILES) continue;
            float(&pair)[4] = rest[i % 2 % STATE_TILES];
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

    Inputs inputs(u, dy, proj, steps, clip, k, K, L, D, L, first_channel, merge_rows);

    // in the first and third stage this thread is channel `mine`, every ROWS-th step
    const int mine = thread % CHANNELS, my_row = thread / CHANNELS, my_place = channel_place(mine);
    const int my_channel = smaller(first_channel + mine, D - 1);  // channels past the end repeat the last one
    const bool real_channel = first_channel + mine < D;
    for (int r = my_row; r < RANK; r += ROWS) s.weight[r][mine] = weight[(k * RANK + r) * D + my_channel];
    const float my_bias = bias[k * D + my_channel], my_skip = skip[k * D + my_channel];
    float dskip_sum = 0, dbias_sum = 0;

    // in the second it has two channels by 2 STATE_TILES states, in the order of multiply_add's sums
    const int part = warp % PARTS, sixteen = warp / PARTS, spot = t * 8 + g;
    const int place = sixteen * 16 + 2 * g;  // of its channels
    auto state = [&](int q, int i) { return part * 8 + q * 8 + 2 * t + i % 2; };
    auto channel = [&](int i) { return first_channel + sixteen * 16 + g + i / 2 * 8; };
    float A[STATE_TILES][4], da_sum[STATE_TILES][4], carry[STATE_TILES][4], h_first[STATE_TILES][4];
#pragma unroll
    for (int q = 0; q < STATE_TILES; q++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            A[q][i] = a2[(k * STATES + state(q, i)) * D + smaller(channel(i), D - 1)];
            da_sum[q][i] = carry[q][i] = 0;
        }

    // in the fourth, products over its sixteen channels; part p has the p-th half of the tile
    float dweight_sum[RANK_TILES][4], column[RANK_TILES][2][2];  // column g of P_k: the right side for the gradient of s
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int r = 0; r < RANK_TILES; r++) {
            const int rank = r * 8 + g, c = first_channel + sixteen * 16 + i / 2 * 4 + t + i % 2 * 8;
            column[r][i / 2][i % 2] = rank < RANK && c < D ? for_product(weight[(k * RANK + rank) * D + c]) : 0.0f;
            dweight_sum[r][i] = 0;
        }

    auto read_states = [&](int tile) {
#pragma unroll
        for (int q = 0; q < STATE_TILES; q++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int c = smaller(channel(i), D - 1);
                h_first[q][i] = states[((long long)tile * STATES + state(q, i)) * D + c];
            }
    };
    auto widen_rows = [&]() {
        inputs.widen_rows(s.raw, s.row, [](int c) { return c < RANK ? 2 * STATES + c : c - RANK; });
    };
    // of a group that starts at `row`: what is multiplied to an outer product, four steps at a time
    struct Outer {
        float2 left[2];
        float right[2][STATE_TILES];
    };
    auto load_outer = [&](Outer& outer, const float (&x)[TILE][CHANNEL_ROW], int first, int row) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            outer.left[half] = *reinterpret_cast<const float2*>(&x[row + 4 * half + t][place]);
#pragma unroll
            for (int q = 0; q < STATE_TILES; q++)
                outer.right[half][q] = s.row[row + 4 * half + t][first + part * 8 + q * 8 + g];
        }
    };
    // sums += the product of step j
    auto add_outer = [&](float (&sums)[4], const Outer& outer, int j, int q) {
        const bool here = t == j % 4;
        const float one_step[2] = {here ? outer.left[j / 4].x : 0.0f, here ? outer.left[j / 4].y : 0.0f};
        accumulate(sums, one_step, outer.right[j / 4][q]);
    };
    // one step forwards
    auto advance = [&](float (&to)[STATE_TILES][4], const float (&from)[STATE_TILES][4], float (&decay)[STATE_TILES][4],
                       const Outer& input, int row, int j) {
        const float2 dt = *reinterpret_cast<const float2*>(&s.dt[row + j][place]);
#pragma unroll
        for (int q = 0; q < STATE_TILES; q++) {
            float add[4] = {0, 0, 0, 0};
            add_outer(add, input, j, q);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                decay[q][i] = exp2_fast((i < 2 ? dt.x : dt.y) * A[q][i]);
                to[q][i] = fmaf(decay[q][i], from[q][i], add[i]);
            }
        }
    };
    const int column_out = thread % (CHANNELS / PAIR) * PAIR;

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
#pragma unroll 1
            for (int row = my_row; row < TILE; row += ROWS * BATCH) {  // all reads before all writes, to overlap
                float x[BATCH], dy[BATCH], dt[BATCH], slope[BATCH];
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
                    x[i] = inputs.read_u(s.raw, row + i * ROWS, mine);
                    dy[i] = widen(s.raw.dy[row + i * ROWS][mine]);
                    dt[i] = step_size(&s.row[row + i * ROWS][2 * STATES], my_weight, my_bias);
                }
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
                    dt[i] = softplus(dt[i], slope[i]);
                    if (t0 + row + i * ROWS >= L || first_channel + mine >= D)
                        x[i] = dy[i] = dt[i] = slope[i] = 0;  // leaves the state alone, and gives no gradient
                }
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
                    s.dt[row + i * ROWS][my_place] = dt[i];
                    s.dtx[row + i * ROWS][my_place] = for_product(dt[i] * x[i]);
                    s.dy[row + i * ROWS][my_place] = dy[i];
                    s.slope[row + i * ROWS][my_place] = slope[i];
                    s.x[row + i * ROWS][my_place] = x[i];
                }
            }
        }
        if (thread < TILE) s.at[thread] = s.raw.at[thread];
        __syncthreads();
        float h[STATE_TILES][4];
#pragma unroll
        for (int i = 0; i < 4 * STATE_TILES; i++) h[i / 4][i % 4] = h_first[i / 4][i % 4];
        if (tile > 0) {
            inputs.start(s.raw);
            read_states(tile - 1);
        }

#pragma unroll 1
        for (int group = 0; group < TILE / GROUP; group++) {
#pragma unroll
            for (int i = 0; i < 4 * STATE_TILES; i++)
                s.kept[warp][group][i / 4][i % 4][spot] = h[i / 4][i % 4];
            if (group == TILE / GROUP - 1) break;
            Outer input;
            load_outer(input, s.dtx, 0, group * GROUP);
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                float decay[STATE_TILES][4];
                advance(h, h, decay, input, group * GROUP, j);
            }
        }

#pragma unroll 1
        for (int group = TILE / GROUP - 1; group >= 0; group--) {
            const int row = group * GROUP;
            Outer input, output;
            load_outer(input, s.dtx, 0, row);
            load_outer(output, s.dy, STATES, row);
            unsigned dtx_step[TERMS][2], dy_step[TERMS][2];
            split(dtx_step, *reinterpret_cast<const float4*>(&s.dtx[row + g][sixteen * 16 + 4 * t]));
            split(dy_step, *reinterpret_cast<const float4*>(&s.dy[row + g][sixteen * 16 + 4 * t]));
            float2 B[STATE_TILES];
#pragma unroll
            for (int q = 0; q < STATE_TILES; q++)
                B[q] = *reinterpret_cast<const float2*>(&s.row[row + g][part * 8 + q * 8 + 2 * t]);

            float hs[GROUP + 1][STATE_TILES][4], decay[GROUP][STATE_TILES][4];
#pragma unroll
            for (int i = 0; i < 4 * STATE_TILES; i++)
                hs[0][i / 4][i % 4] = s.kept[warp][group][i / 4][i % 4][spot];
#pragma unroll
            for (int j = 0; j < GROUP; j++) advance(hs[j + 1], hs[j], decay[j], input, row, j);

            float dB[4] = {0, 0, 0, 0}, dC[4] = {0, 0, 0, 0}, ddt[4], ddtx[4];  // these of steps 2t, 2t + 1
#pragma unroll
            for (int j = GROUP - 1; j >= 0; j--) {
                const float2 dt = *reinterpret_cast<const float2*>(&s.dt[row + j][place]);
                float dh[STATE_TILES][4], over_states[4] = {0, 0, 0, 0}, decays[4] = {0, 0, 0, 0};
#pragma unroll
                for (int q = 0; q < STATE_TILES; q++) {
                    float d[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) dh[q][i] = carry[q][i];
                    add_outer(dh[q], output, j, q);
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
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s.kept[warp][group][0][i][spot] = ddt[i];
                s.kept[warp][group][1][i][spot] = ddtx[i];
            }
#pragma unroll
            for (int i = 0; i < (STATE_TILES == 2 ? 4 : 2); i++) {
                const int at = row + 2 * t + i % 2, n = part * 8 + g + i / 2 * 8;
                s.sums[sixteen][at][RANK + n] = dB[i];
                s.sums[sixteen][at][RANK + STATES + n] = dC[i];
            }
        }
        __syncthreads();

#pragma unroll 1
        for (int row = my_row; row < TILE; row += ROWS * BATCH) {
            float dpre[BATCH], dx[BATCH];
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                const int at = row + i * ROWS;
                float ddt = 0, ddtx = 0;
#pragma unroll
                for (int p = 0; p < PARTS; p++) {
                    const float(&from)[2][4][40] = s.kept[mine / 16 * PARTS + p][at / GROUP];
                    const int i = mine % 16 / 8 * 2 + at % 2, lane_spot = at % GROUP / 2 * 8 + mine % 8;
                    ddt += from[0][i][lane_spot], ddtx += from[1][i][lane_spot];
                }
                const float x = s.x[at][my_place], dy = s.dy[at][my_place];
                dpre[i] = fmaf(ddt, LN_2, ddtx * x) * s.slope[at][my_place];
                dx[i] = fmaf(ddtx, s.dt[at][my_place], dy * my_skip);
                dskip_sum = fmaf(dy, x, dskip_sum);
                dbias_sum += dpre[i];
            }
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                s.dtx[row + i * ROWS][my_place] = for_product(dpre[i]);
                s.x[row + i * ROWS][my_place] = dx[i];
            }
        }
        __syncthreads();

#pragma unroll
        for (int row = part * 16; row < TILE; row += 16 * PARTS) {
#pragma unroll
            for (int r = 0; r < RANK_TILES; r++) {
                float ds[4] = {0, 0, 0, 0};  // steps g, g + 8, ranks 2t, 2t + 1
                float dw[4] = {0, 0, 0, 0};  // by itself: tensor cores round sums down, which adds up over a clip
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int at = sixteen * 16 + 2 * (half * 4 + t);
                    const float2 upper = *reinterpret_cast<const float2*>(&s.dtx[row + g][at]);
                    const float2 lower = *reinterpret_cast<const float2*>(&s.dtx[row + g + 8][at]);
                    accumulate(ds, {upper.x, lower.x, upper.y, lower.y}, column[r][half][0], column[r][half][1]);
                    const int step = row + half * 8 + t;
                    const float2 early = *reinterpret_cast<const float2*>(&s.dtx[step][place]);
                    const float2 late = *reinterpret_cast<const float2*>(&s.dtx[step + 4][place]);
                    accumulate(dw, {early.x, early.y, late.x, late.y}, s.row[step][2 * STATES + r * 8 + g],
                               s.row[step + 4][2 * STATES + r * 8 + g]);
                }
#pragma unroll
                for (int i = 0; i < 4; i++) dweight_sum[r][i] += dw[i];
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (r * 8 + 2 * t + i % 2 < RANK) s.sums[sixteen][row + g + i / 2 * 8][r * 8 + 2 * t + i % 2] = ds[i];
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
            for (int w = 0; w < WARPS / PARTS; w++)
#pragma unroll
                for (int j = 0; j < SUMS_PACK; j++) sum[j] += s.sums[w][row][column + j];
            const Step at = s.at[row];
            add_to_global<SUMS_PACK>(dproj + (at.token * K * WIDTH + column), sum);
            if (inputs.merge_rows) add_to_global<SUMS_PACK>(dproj + (at.limb * K * WIDTH + column), sum);
        }
        if (first_channel + column_out < D) {
            const int step = THREADS / (CHANNELS / PAIR);
#pragma unroll 1
            for (int row = thread / (CHANNELS / PAIR); row < TILE; row += step * BATCH) {
                Pack<PAIR> pack[BATCH];
                int at[BATCH];
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
#pragma unroll
                    for (int j = 0; j < PAIR; j++)
                        pack[i].at[j] = narrow(s.x[row + i * step][channel_place(column_out + j)]);
                    at[i] = s.at[row + i * step].token * D + first_channel + column_out;
                }
#pragma unroll
                for (int i = 0; i < BATCH; i++)
                    if (row + i * step < count) *reinterpret_cast<Pack<PAIR>*>(du + at[i]) = pack[i];
            }
        }
        if (tile > 0) widen_rows();
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < 4 * STATE_TILES; i++)
        if (channel(i % 4) < D) da[(clip_k * STATES + state(i / 4, i % 4)) * D + channel(i % 4)] = da_sum[i / 4][i % 4];

    // what parts and threads have of the other parameters' gradients, added through memory that is no longer needed
    float(&dweights)[PARTS][RANK_TILES * 8][CHANNELS] = *reinterpret_cast<float(*)[PARTS][RANK_TILES * 8][CHANNELS]>(&s.dt);
#pragma unroll
    for (int i = 0; i < 4; i++)  // ranks 2t, 2t + 1
#pragma unroll
        for (int r = 0; r < RANK_TILES; r++)
            dweights[part][r * 8 + 2 * t + i % 2][sixteen * 16 + g + i / 2 * 8] = dweight_sum[r][i];
    s.x[my_row][mine] = dskip_sum;
    s.dy[my_row][mine] = dbias_sum;
    __syncthreads();
    if (real_channel) {
        for (int r = my_row; r < RANK; r += ROWS) {
            float sum = 0;
            for (int p = 0; p < PARTS; p++) sum += dweights[p][r][mine];
            dweight[(clip_k * RANK + r) * D + my_channel] = sum;
        }
        if (my_row == 0) {
            float skips = 0, biases = 0;
            for (int row = 0; row < ROWS; row++) skips += s.x[row][mine], biases += s.dy[row][mine];
            dskip[clip_k * D + my_channel] = skips;
            dbias[clip_k * D + my_channel] = biases;
        }
    }
}
