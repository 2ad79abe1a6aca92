// A tile's inputs on their way from global to shared memory: raw copies, started one tile ahead, so that they take no
// registers and no time. Steps past the end repeat the last one; who reads them knows.
//
// Offsets within a clip are 32-bit: gpu.py refuses longer ones.
//
// Macros besides common.cuh's: THREADS, CHANNELS and TILE of a block; GRADIENT 1: dy is copied as well.

#define DIVIDES(count) (RANK % (count) == 0 && (count) * sizeof(Element) <= 16)
#define ROW_PACK (DIVIDES(8) ? 8 : DIVIDES(4) ? 4 : DIVIDES(2) ? 2 : 1)  // of a projection; 2N is a multiple of all
#define ROUNDS(count) (((count) + THREADS - 1) / THREADS)
#define INPUT_ROUNDS ROUNDS(TILE * CHANNELS / PACK)
#define ROW_ROUNDS ROUNDS(TILE * WIDTH / ROW_PACK)

struct __align__(16) Raw {
    Element u[2][TILE][CHANNELS];  // of the tokens, of their limb partners
    Element row[2][TILE][WIDTH];
    Element dy[GRADIENT ? TILE : 1][GRADIENT ? CHANNELS : 8];
    Step at[TILE];
};

struct Inputs {
    const Element *u, *dy, *proj;  // of this clip (and direction)
    const Step* steps;
    int stop, D, row_stride, first_channel;
    bool merged, merge_rows;
    Step x_step[INPUT_ROUNDS], row_step[ROW_ROUNDS];

    // Of direction k of a clip, from tensors of the whole batch; steps before `stop`, channels from `first` on.
    __device__ __forceinline__ Inputs(const Element* all_u, const Element* all_dy, const Element* all_proj,
                                      const Step* all_steps, int clip, int k, int K, int L, int D, int stop, int first,
                                      bool wanted)
        : u(all_u + (long long)clip * L * D), dy(GRADIENT ? all_dy + (long long)clip * L * D : nullptr),
          proj(all_proj + ((long long)clip * L * K + k) * WIDTH), steps(all_steps + (long long)k * L), stop(stop), D(D),
          row_stride(K * WIDTH), first_channel(first), merged(steps[0].limb >= 0), merge_rows(merged && wanted) {}

    // Reads which tokens the tile visits: ahead of `start`, which needs to know.
    __device__ __forceinline__ void look_up(int t0) {
#pragma unroll
        for (int i = 0; i < INPUT_ROUNDS; i++)
            x_step[i] = steps[smaller(t0 + (i * THREADS + (int)threadIdx.x) / (CHANNELS / PACK), stop - 1)];
#pragma unroll
        for (int i = 0; i < ROW_ROUNDS; i++)
            row_step[i] = steps[smaller(t0 + (i * THREADS + (int)threadIdx.x) / (WIDTH / ROW_PACK), stop - 1)];
    }

    __device__ __forceinline__ void start(Raw& raw) {
#pragma unroll
        for (int i = 0; i < INPUT_ROUNDS; i++) {
            const int pack = i * THREADS + threadIdx.x, row = pack / (CHANNELS / PACK);
            const int column = pack % (CHANNELS / PACK) * PACK, channel = smaller(first_channel + column, D - 1);
            if (row >= TILE) break;
            const int bytes = PACK * sizeof(Element);
            start_copy<bytes>(&raw.u[0][row][column], u + (x_step[i].token * D + channel));
            if (merged) start_copy<bytes>(&raw.u[1][row][column], u + (x_step[i].limb * D + channel));
            if (GRADIENT) start_copy<bytes>(&raw.dy[row][column], dy + (x_step[i].token * D + channel));
            if (column == 0) raw.at[row] = x_step[i];
        }
#pragma unroll
        for (int i = 0; i < ROW_ROUNDS; i++) {
            const int pack = i * THREADS + threadIdx.x, row = pack / (WIDTH / ROW_PACK);
            const int column = pack % (WIDTH / ROW_PACK) * ROW_PACK;
            if (row >= TILE) break;
            const int bytes = ROW_PACK * sizeof(Element);
            start_copy<bytes>(&raw.row[0][row][column], proj + (row_step[i].token * row_stride + column));
            if (merge_rows)
                start_copy<bytes>(&raw.row[1][row][column], proj + (row_step[i].limb * row_stride + column));
        }
    }

    // Projections widened, limb partners added, B and C rounded: into rows of `out`, column c at place(c).
    template <int COLUMNS, class Place>
    __device__ __forceinline__ void widen_rows(const Raw& raw, float (&out)[TILE][COLUMNS], Place place) const {
        for (int pack = threadIdx.x; pack < TILE * (WIDTH / ROW_PACK); pack += THREADS) {
            const int row = pack / (WIDTH / ROW_PACK), column = pack % (WIDTH / ROW_PACK) * ROW_PACK;
            const Pack<ROW_PACK> own = *reinterpret_cast<const Pack<ROW_PACK>*>(&raw.row[0][row][column]);
            float values[ROW_PACK];
#pragma unroll
            for (int i = 0; i < ROW_PACK; i++) values[i] = widen(own.at[i]);
            if (merge_rows) {
                const Pack<ROW_PACK> limb = *reinterpret_cast<const Pack<ROW_PACK>*>(&raw.row[1][row][column]);
#pragma unroll
                for (int i = 0; i < ROW_PACK; i++) values[i] += widen(limb.at[i]);
            }
#pragma unroll
            for (int i = 0; i < ROW_PACK; i++) 
                out[row][place(column + i)] = column + i < RANK ? values[i] : for_product(values[i]);
        }
    }

    __device__ __forceinline__ float read_u(const Raw& raw, int row, int column) const {
        const float x = widen(raw.u[0][row][column]);
        return merged ? x + widen(raw.u[1][row][column]) : x;
    }
};

// P_k s + b_k, the step size before the softplus.
__device__ __forceinline__ float step_size(const float* s, const float (&weight)[RANK], float bias) {
#pragma unroll
    for (int r = 0; r < RANK; r++) bias = fmaf(s[r], weight[r], bias);
    return bias;
}
