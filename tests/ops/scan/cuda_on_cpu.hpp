// Just enough of CUDA to run the scan's kernels on a CPU: a block's threads are fibers that take turns at barriers,
// shuffles and warp-wide products. Stands in for device.cuh. Slow, for tests.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __constant__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct Index {
    int x, y, z;
};
static Index threadIdx, blockIdx, gridDim, blockDim;
__attribute__((aligned(128))) unsigned char memory[1 << 18];

inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
inline unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}
inline float __fdividef(float a, float b) { return a / b; }

namespace fibers {
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    long warp_turn = 0, block_turn = 0;
    bool done = false;
};
static std::vector<Fiber> all;
static ucontext_t scheduler;
static int current;
static float exchanged[2][1024][8];
static void (*body)();

inline void pass() { swapcontext(&all[current].context, &scheduler); }
inline void entry() {
    body();
    all[current].done = true;
    pass();
}
// Waits until all threads from `first` to `last` have come as far; threads that have ended count.
template <class Turn> void wait(int first, int last, Turn turn) {
    const long mine = ++turn(all[current]);
    auto behind = [&] {
        for (int i = first; i < last; i++)
            if (!all[i].done && turn(all[i]) < mine) return true;
        return false;
    };
    while (behind()) pass();
}
inline void warp() {
    const int first = current / 32 * 32;
    wait(first, std::min<int>(first + 32, all.size()), [](Fiber& f) -> long& { return f.warp_turn; });
}
template <class Function> void run_block(int threads, Function function) {
    static Function* kept;
    kept = &function;
    body = [] { (*kept)(); };
    all.assign(threads, Fiber());
    for (int i = 0; i < threads; i++) {
        getcontext(&all[i].context);
        all[i].stack.resize(1 << 16);
        all[i].context.uc_stack.ss_sp = all[i].stack.data();
        all[i].context.uc_stack.ss_size = all[i].stack.size();
        makecontext(&all[i].context, entry, 0);
    }
    for (bool running = true; running;) {
        running = false;
        for (current = 0; current < threads; current++)
            if (!all[current].done) {
                running = true;
                threadIdx = {current, 0, 0};
                swapcontext(&scheduler, &all[current].context);
            }
    }
}
template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}
template <class... A> void launch(void (*kernel)(A...), int x, int y, int z, int threads, void** arguments) {
    gridDim = {x, y, z}, blockDim = {threads, 1, 1};
    for (blockIdx.z = 0; blockIdx.z < z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < x; blockIdx.x++) {
                std::memset(memory, 0xff, sizeof memory);  // NaN: what is read before it is written shows
                run_block(threads, [&] { call(kernel, arguments, std::index_sequence_for<A...>()); });
            }
}
}  // namespace fibers

inline void __syncthreads() {
    fibers::wait(0, fibers::all.size(), [](fibers::Fiber& f) -> long& { return f.block_turn; });
    threadIdx.x = fibers::current;
}
inline void warp_barrier() { fibers::warp(), threadIdx.x = fibers::current; }
inline float exp2_fast(float x) { return std::exp2(x); }
inline unsigned short to_bfloat16(float x) {
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
inline float cut_to_tf32(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }
inline float round_to_tf32(float x) { return x * (1.0f + 0.7f / 2048); }
template <class... X> float (&exchange(X... x))[1024][8] {
    auto& buffer = fibers::exchanged[fibers::all[fibers::current].warp_turn % 2];
    const float values[] = {x...};
    std::copy(values, values + sizeof...(x), buffer[fibers::current]);
    warp_barrier();
    return buffer;
}
inline float shuffle_xor(float x, int mask) { return exchange(x)[fibers::current ^ mask][0]; }
template <int BYTES> void start_copy(void* to, const void* from) {
    if ((std::size_t)to % BYTES || (std::size_t)from % BYTES) std::abort();  // a GPU refuses this
    std::memcpy(to, from, BYTES);
}
inline void copies_done() {}
template <int COUNT> void add_to_global(float* to, const float (&x)[COUNT]) {
    if ((std::size_t)to % (COUNT * sizeof(float))) std::abort();
    for (int i = 0; i < COUNT; i++) to[i] += x[i];
}
inline void multiply_add(float (&sums)[4], const float (&a)[4], float b0, float b1) {
    auto& x = exchange(a[0], a[1], a[2], a[3], b0, b1);
    const int first = fibers::current / 32 * 32, g = fibers::current % 32 / 4, t = fibers::current % 4;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 8; k++) {
            const float left = x[first + 4 * g + k % 4][k / 4 * 2 + i / 2];
            sums[i] += cut_to_tf32(left) * cut_to_tf32(x[first + 4 * (2 * t + i % 2) + k % 4][4 + k / 4]);
        }
}
inline void multiply_add(float (&sums)[4], const float (&a)[2], float b) {
    multiply_add(sums, {a[0], a[1], 0.0f, 0.0f}, b, 0.0f);
}

inline void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
inline unsigned pack_pair(float low, float high) { return to_bfloat16(low) | (unsigned)to_bfloat16(high) << 16; }
inline float low_of(unsigned pair) { return __uint_as_float(pair << 16); }
inline float high_of(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
inline void multiply_add(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    auto& x = exchange(__uint_as_float(a[0]), __uint_as_float(a[1]), __uint_as_float(a[2]), __uint_as_float(a[3]),
                       __uint_as_float(b0), __uint_as_float(b1));
    const int first = fibers::current / 32 * 32, g = fibers::current % 32 / 4, t = fibers::current % 4;
    auto half = [](float pair, int k) { return k % 2 ? high_of(__float_as_uint(pair)) : low_of(__float_as_uint(pair)); };
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 16; k++)
            sums[i] += half(x[first + 4 * g + k % 8 / 2][k / 8 * 2 + i / 2], k) *
                       half(x[first + 4 * (2 * t + i % 2) + k % 8 / 2][4 + k / 8], k);
}
inline unsigned transpose(unsigned pair) {
    auto& x = exchange(__uint_as_float(pair));
    const int first = fibers::current / 32 * 32, g = fibers::current % 32 / 4, t = fibers::current % 4;
    auto at = [&](int row, int column) {
        const unsigned word = __float_as_uint(x[first + 4 * row + column / 2][0]);
        return column % 2 ? word >> 16 : word & 0xffff;
    };
    return at(2 * t, g) | at(2 * t + 1, g) << 16;
}
