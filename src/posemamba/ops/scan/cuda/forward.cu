// The selective scan, forward. A block of WARPS warps walks one direction of one segment of one clip for CHANNELS
// channels, TILE steps at a time. A tile goes through three stages, through shared memory:
//
//   step sizes   a thread computes whole ones, none twice
//   recurrence   a warp has 16 channels and 16 / PARTS states: lane 4 g + t has channels g and g + 8, of every eight
//                states 2t and 2t + 1. What is an outer product or a sum over states is done on the tensor cores, for
//                eight steps' worth of operands at once, since reading operands from shared memory is what costs most:
//                dt x (channels) times B (states), with all but one step's dt x zeroed; states times C of eight steps,
//                of which one column is kept
//   outputs      parts are added, written in token order; the next tile's projections are widened
//
// Macros besides inputs.cuh's: WARPS, PARTS (1 or 2 warps share 16 channels), BLOCKS_PER_SM; OUTPUT 1: write outputs, 0:
// write the segment's last state, from a zero state, and the sum of its step sizes; KEEP 1: also write the state before
// each tile.

#define STATE_TILES (2 / PARTS)    // of eight states
#define ROWS (THREADS / CHANNELS)  // steps that the first stage takes at a time, a channel to a thread
#define PAIR (WIDE ? 2 : 1)        // channels of one output access
#define BATCH 4                    // steps that a thread works on side by side

struct Shared {
    Raw raw;
    __align__(16) float dt[TILE][CHANNEL_ROW];   // channel c at channel_place(c)
    __align__(16) float dtx[TILE][CHANNEL_ROW];
    __align__(16) float row[TILE][NUMBERS_ROW];  // B, C, s
    __align__(16) float out[PARTS][OUTPUT ? TILE : 1][CHANNEL_ROW];
    __align__(16) float x[TILE][CHANNELS];
    float weight[RANK][CHANNELS];
    int token[TILE];
};
extern "C" __constant__ int shared_bytes = sizeof(Shared);

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) scan_forward(
    const Element* __restrict__ u,      // (B, L, D)
    const Element* __restrict__ proj,   // (B, L, K, P)
    const float* __restrict__ weight,   // (K, R, D)
    const float* __restrict__ bias,     // (K, D)
    const float* __restrict__ a2,       // (K, N, D), A log2(e)
    const float* __restrict__ skip,     // (K, D)
    const Step* __restrict__ steps,     // (K, L)
    const float* __restrict__ enter,    // (B, K, segments, N, D), states that enter segments after the first
    Element* __restrict__ y,            // (B, K, L, D)
    float* __restrict__ states,         // (B, K, tiles, N, D), before each tile
    float* __restrict__ last,           // (B, K, segments, N, D)
    float* __restrict__ dt_sum,         // (B, K, segments, D)
    int L, int D, int segment, int segments,
    int merge_rows) {                   // 1: limb partners' projections are added here; 0: they are in proj
    extern __shared__ __align__(16) unsigned char memory[];
    Shared& s = *reinterpret_cast<Shared*>(memory);
    const int thread = threadIdx.x, k = blockIdx.y, K = gridDim.y;
    const int clip = blockIdx.z / segments, i_segment = blockIdx.z % segments;
    const int first_channel = blockIdx.x * CHANNELS;
    const long long clip_k = (long long)clip * K + k;
    const int start = i_segment * segment, stop = smaller(start + segment, L);
    y += clip_k * L * D;

    Inputs inputs(u, nullptr, proj, steps, clip, k, K, L, D, stop, first_channel, merge_rows);

    // in the first stage this thread is channel `mine`, every ROWS-th step
    const int mine = thread % CHANNELS, my_row = thread / CHANNELS, my_place = channel_place(mine);
    const int my_channel = smaller(first_channel + mine, D - 1);  // channels past the end repeat the last one
    for (int r = my_row; r < RANK; r += ROWS) s.weight[r][mine] = weight[(k * RANK + r) * D + my_channel];
    const float my_bias = bias[k * D + my_channel];
    float my_sum = 0;

    // in the third, PAIR channels
    const int column = thread % (CHANNELS / PAIR) * PAIR;
    float my_skip[PAIR];
#pragma unroll
    for (int j = 0; j < PAIR; j++) my_skip[j] = skip[k * D + smaller(first_channel + column + j, D - 1)];

    // in the second it has two channels by 2 STATE_TILES states, in the order of multiply_add's sums
    const int g = thread % 32 / 4, t = thread % 4, part = thread / 32 % PARTS;
    const int place = thread / 32 / PARTS * 16 + 2 * g;  // of its channels
    float h[STATE_TILES][4], A[STATE_TILES][4];
    const long long state_base = (clip_k * segments + i_segment) * STATES;
    auto state = [&](int q, int i) { return part * 8 + q * 8 + 2 * t + i % 2; };
    auto channel = [&](int i) { return first_channel + thread / 32 / PARTS * 16 + g + i / 2 * 8; };
#pragma unroll
    for (int q = 0; q < STATE_TILES; q++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int c = smaller(channel(i), D - 1);
            A[q][i] = a2[(k * STATES + state(q, i)) * D + c];
            h[q][i] = OUTPUT && i_segment > 0 ? enter[(state_base + state(q, i)) * D + c] : 0.0f;
        }

    auto widen_rows = [&]() {
        inputs.widen_rows(s.raw, s.row, [](int c) { return c < RANK ? 2 * STATES + c : c - RANK; });
    };
    inputs.look_up(start);
    inputs.start(s.raw);
    copies_done();
    __syncthreads();
    widen_rows();
    __syncthreads();
    for (int t0 = start; t0 < stop; t0 += TILE) {
        inputs.look_up(t0 + TILE);
        float my_weight[RANK];
#pragma unroll
        for (int r = 0; r < RANK; r++) my_weight[r] = s.weight[r][mine];
#pragma unroll 1
        for (int row = my_row; row < TILE; row += ROWS * BATCH) {  // all reads before all writes, to overlap
            float x[BATCH], dt[BATCH], slope;
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                x[i] = inputs.read_u(s.raw, row + i * ROWS, mine);
                dt[i] = step_size(&s.row[row + i * ROWS][2 * STATES], my_weight, my_bias);
            }
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                dt[i] = softplus(dt[i], slope);
                if (t0 + row + i * ROWS >= stop) dt[i] = 0;  // leaves the state alone
            }
#pragma unroll
            for (int i = 0; i < BATCH; i++) {
                s.dt[row + i * ROWS][my_place] = dt[i];
                s.dtx[row + i * ROWS][my_place] = for_product(dt[i] * x[i]);
                s.x[row + i * ROWS][mine] = x[i];
                if (!OUTPUT) my_sum += dt[i];
            }
        }
        if (thread < TILE) s.token[thread] = s.raw.at[thread].token;
        __syncthreads();
        if (t0 + TILE < stop) inputs.start(s.raw);

#if KEEP
        const long long tile = clip_k * ((L + TILE - 1) / TILE) + t0 / TILE;
#pragma unroll
        for (int q = 0; q < STATE_TILES; q++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (channel(i) < D) states[(tile * STATES + state(q, i)) * D + channel(i)] = h[q][i];
#endif

#pragma unroll 1
        for (int row = 0; row < TILE; row += GROUP) {
            float2 dtx[2], C[STATE_TILES];
            float B[2][STATE_TILES], out[4];
#pragma unroll
            for (int half = 0; half < 2; half++) {  // of the group's steps
                dtx[half] = *reinterpret_cast<const float2*>(&s.dtx[row + 4 * half + t][place]);
#pragma unroll
                for (int q = 0; q < STATE_TILES; q++) B[half][q] = s.row[row + 4 * half + t][part * 8 + q * 8 + g];
            }
#pragma unroll
            for (int q = 0; OUTPUT && q < STATE_TILES; q++)
                C[q] = *reinterpret_cast<const float2*>(&s.row[row + g][STATES + part * 8 + q * 8 + 2 * t]);
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                const float2 dt = *reinterpret_cast<const float2*>(&s.dt[row + j][place]);
                const bool here = t == j % 4;
                const float one_step[2] = {here ? dtx[j / 4].x : 0.0f, here ? dtx[j / 4].y : 0.0f};
                float all_steps[4] = {0, 0, 0, 0};
#pragma unroll
                for (int q = 0; q < STATE_TILES; q++) {
                    float input[4] = {0, 0, 0, 0};
                    accumulate(input, one_step, B[j / 4][q]);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const float decay = exp2_fast((i < 2 ? dt.x : dt.y) * A[q][i]);
                        h[q][i] = fmaf(decay, h[q][i], input[i]);
                    }
                    // the first four rows of C's states are the even ones, the last four the odd ones
                    if (OUTPUT) accumulate(all_steps, {h[q][0], h[q][2], h[q][1], h[q][3]}, C[q].x, C[q].y);
                }
                if (OUTPUT && t == j / 2) out[j % 2] = all_steps[j % 2], out[2 + j % 2] = all_steps[2 + j % 2];
            }
            if (OUTPUT) {  // steps 2t and 2t + 1, channels g and g + 8
                *reinterpret_cast<float2*>(&s.out[part][row + 2 * t][place]) = make_float2(out[0], out[2]);
                *reinterpret_cast<float2*>(&s.out[part][row + 2 * t + 1][place]) = make_float2(out[1], out[3]);
            }
        }
        copies_done();
        __syncthreads();
        if (t0 + TILE < stop) widen_rows();
#if OUTPUT
        if (first_channel + column < D) {
            const int step = THREADS / (CHANNELS / PAIR);
#pragma unroll 1
            for (int row = thread / (CHANNELS / PAIR); row < TILE; row += step * BATCH) {
                Pack<PAIR> pack[BATCH];
                int at[BATCH];
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
#pragma unroll
                    for (int j = 0; j < PAIR; j++) {
                        float sum = my_skip[j] * s.x[row + i * step][column + j];
#pragma unroll
                        for (int p = 0; p < PARTS; p++) sum += s.out[p][row + i * step][channel_place(column + j)];
                        pack[i].at[j] = narrow(sum);
                    }
                    at[i] = s.token[row + i * step] * D + first_channel + column;
                }
#pragma unroll
                for (int i = 0; i < BATCH; i++)
                    if (t0 + row + i * step < stop) *reinterpret_cast<Pack<PAIR>*>(y + at[i]) = pack[i];
            }
        }
#endif
        __syncthreads();
    }

#if !OUTPUT
#pragma unroll
    for (int q = 0; q < STATE_TILES; q++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (channel(i) < D) last[(state_base + state(q, i)) * D + channel(i)] = h[q][i];
    s.x[my_row][mine] = my_sum;
    __syncthreads();
    if (my_row == 0 && first_channel + mine < D) {
        float total = 0;
#pragma unroll
        for (int row = 0; row < ROWS; row++) total += s.x[row][mine];
        dt_sum[(clip_k * segments + i_segment) * D + my_channel] = total;
    }
#endif
}

// From the segments' own last states to the true state that enters each: a thread for each clip, direction, state and
// channel.
extern "C" __global__ void scan_carry(
    const float* __restrict__ last, const float* __restrict__ dt_sum, const float* __restrict__ a2,
    float* __restrict__ enter, int D, int K, int segments, int total) {
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= total) return;
    const int channel = i % D, n = i / D % STATES, clip_k = i / D / STATES, k = clip_k % K;
    const float A = a2[(k * STATES + n) * D + channel];
    float h = 0;
    for (int j = 0; j < segments; j++) {
        const long long base = (long long)clip_k * segments + j;
        const long long at = (base * STATES + n) * D + channel;
        enter[at] = h;
        h = fmaf(exp2_fast(A * dt_sum[base * D + channel]), h, last[at]);
    }
}
