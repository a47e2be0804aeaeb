/* SPDX-License-Identifier: Apache-2.0 */
/* How fast this machine reads memory and multiplies, by loops that do nothing else. What they compute is used, from
 * values that the compiler does not know, so none of it can be left out. */
#include "cpu/kernels/kernels.h"
#include "base/base.h"
#include "socle/bench.h"

#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum {
    STEP = 256,          /* bytes read at once; one run of memory a thread, which prefetchers know best */
    PASSES = 12,         /* of each loop; the best counts, a pass being short so that some are undisturbed */
    PEAK_STEPS = 200000, /* steps of a pass of the multiply-add loop */
    MAX_THREADS = 256,
};

typedef struct loops {
    const char *isa;
    uint64_t (*read)(const char *p, int64_t bytes); /* bytes: a multiple of STEP */
    float (*peak)(int64_t steps, float a, float b);
    double flops; /* of one step of `peak` */
} loops;

/* clang-format off */

/* Chains of x = x a + b; as many as hide the latency of a multiply-add, each with a value of its own. */
#define PEAK(name, target, vec, chains, set, fma, sum)                                                             \
    target static float name(int64_t steps, float a, float b)                                                     \
    {                                                                                                              \
        vec va = set(a), vb = set(b), x[chains];                                                                   \
        UNROLL for (int i = 0; i < chains; i++) x[i] = set((float)i * b);                                          \
        for (int64_t s = 0; s < steps; s++) UNROLL for (int i = 0; i < chains; i++) x[i] = fma(x[i], va, vb);      \
        float total = 0;                                                                                           \
        UNROLL for (int i = 0; i < chains; i++) total += sum(x[i]);                                                \
        return total;                                                                                              \
    }

/* Keeps the bitwise "or" of all that is read. */
#define READ(name, target, vec, load, or, zero, fold)                                                              \
    target static uint64_t name(const char *p, int64_t bytes)                                                      \
    {                                                                                                              \
        enum { PARTS = STEP / (int)sizeof(vec) };                                                                  \
        vec got[4] = {zero, zero, zero, zero};                                                                     \
        for (int64_t i = 0; i < bytes; i += STEP)                                                                  \
            UNROLL for (int j = 0; j < PARTS; j++) got[j % 4] = or(got[j % 4], load(p + i + j * (int)sizeof(vec))); \
        return fold(or(or(got[0], got[1]), or(got[2], got[3])));                                                   \
    }

#define PLAIN
/* Four at a time: what every machine that is met has, and compilers know for all of them. */
typedef float float4 __attribute__((vector_size(16)));
typedef uint64_t word2 __attribute__((vector_size(16)));
#define SET_4(x) ((float4){(x), (x), (x), (x)})
#define MULTIPLY_ADD_4(x, a, b) ((x) * (a) + (b))
#define FIRST(x) ((x)[0])
#define LOAD_2(p) (*(const word2 *)(const void *)(p))
#define OR_2(a, b) ((a) | (b))
#define NONE_2 {0, 0}
#define FOLD_2(x) ((x)[0] | (x)[1])
PEAK(peak_portable, PLAIN, float4, 12, SET_4, MULTIPLY_ADD_4, FIRST)
READ(read_portable, PLAIN, word2, LOAD_2, OR_2, NONE_2, FOLD_2)

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define FIRST_256(v) _mm256_cvtss_f32(v)
#define LOAD_256(p) _mm256_load_si256((const __m256i *)(const void *)(p))
AVX2 static inline uint64_t fold_256(__m256i v)
{
    __m128i h = _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return (uint64_t)_mm_cvtsi128_si64(h) | (uint64_t)_mm_extract_epi64(h, 1);
}
PEAK(peak_avx2, AVX2, __m256, 12, _mm256_set1_ps, _mm256_fmadd_ps, FIRST_256)
READ(read_avx2, AVX2, __m256i, LOAD_256, _mm256_or_si256, _mm256_setzero_si256(), fold_256)

#define AVX512 __attribute__((target("avx512f,avx512dq,avx2,fma")))
#define FIRST_512(v) _mm512_cvtss_f32(v)
#define LOAD_512(p) _mm512_load_si512((const void *)(p))
AVX512 static inline uint64_t fold_512(__m512i v)
{
    return fold_256(_mm256_or_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1)));
}
PEAK(peak_avx512, AVX512, __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps, FIRST_512)
READ(read_avx512, AVX512, __m512i, LOAD_512, _mm512_or_si512, _mm512_setzero_si512(), fold_512)
#elif defined(__aarch64__)
#define FIRST_NEON(v) vgetq_lane_f32(v, 0)
#define FMA_NEON(x, a, b) vfmaq_f32(b, x, a)
#define LOAD_NEON(p) vld1q_u64((const uint64_t *)(const void *)(p))
#define FOLD_NEON(v) (vgetq_lane_u64(v, 0) | vgetq_lane_u64(v, 1))
PEAK(peak_neon, PLAIN, float32x4_t, 24, vdupq_n_f32, FMA_NEON, FIRST_NEON)
READ(read_neon, PLAIN, uint64x2_t, LOAD_NEON, vorrq_u64, vdupq_n_u64(0), FOLD_NEON)
#endif

/* clang-format on */

static loops choose(void)
{
    unsigned levels = sc_cpu_detect();
    (void)levels;
#if defined(__x86_64__)
    if (levels & SC_CPU(AVX512)) return (loops){"AVX-512", read_avx512, peak_avx512, 2.0 * 16 * 16};
    if (levels & SC_CPU(AVX2)) return (loops){"AVX2", read_avx2, peak_avx2, 2.0 * 12 * 8};
#elif defined(__aarch64__)
    if (levels & SC_CPU(NEON)) return (loops){"NEON", read_neon, peak_neon, 2.0 * 24 * 4};
#endif
    return (loops){"portable", read_portable, peak_portable, 2.0 * 12 * 4};
}

typedef struct job {
    loops use;
    sc_pool *pool;
    int threads;
    char *memory;
    int64_t share;                               /* bytes of each thread */
    double start[MAX_THREADS], end[MAX_THREADS]; /* of a pass */
    double read_seconds, peak_seconds;
    _Atomic uint64_t sink;
} job;

/* After a pass: from the first beginning to the last end, which leaves out waking up. */
static void keep_best(job *j, int member, double *best)
{
    sc_pool_barrier(j->pool);
    if (member > 0) return;
    double from = j->start[0], to = j->end[0];
    for (int i = 1; i < j->threads; i++) {
        from = SC_MIN(from, j->start[i]);
        to = SC_MAX(to, j->end[i]);
    }
    *best = SC_MIN(*best, to - from);
}

static void work(void *arg, int member)
{
    job *j = arg;
    bool mine = member < j->threads;
    char *p = j->memory + j->share * member;
    uint64_t seen = 0;
    if (mine) memset(p, 1, (size_t)j->share); /* by the thread that will read it */
    for (int i = 0; i < PASSES; i++) {
        sc_pool_barrier(j->pool);
        if (mine) {
            j->start[member] = sc_now();
            seen |= j->use.read(p, j->share);
            j->end[member] = sc_now();
        }
        keep_best(j, member, &j->read_seconds);
    }
    /* The values go to 0.5 and stay there: no denormals, no infinities. They depend on what was read. */
    float a = 0.5f * (float)(seen & 1), b = 0.25f, got = 0;
    for (int i = 0; i < PASSES; i++) {
        sc_pool_barrier(j->pool);
        if (mine) {
            j->start[member] = sc_now();
            got += j->use.peak(PEAK_STEPS, a, b);
            j->end[member] = sc_now();
        }
        keep_best(j, member, &j->peak_seconds);
    }
    atomic_fetch_add(&j->sink, seen + (uint64_t)got);
}

/* Four times the last cache, at least 128 MiB. */
static int64_t memory_to_read(void)
{
    int64_t cache = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    cache = SC_MAX(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
#endif
    int64_t want = SC_MIN(SC_MAX(4 * cache, (int64_t)128 << 20), (int64_t)1 << 30);
    return SC_MIN(want, sc_memory_size() / 4);
}

sc_status sc_measure_limits(sc_context *ctx, int threads, sc_limits *out)
{
    int most = sc_pool_threads(ctx->pool);
    if (threads < 0 || threads > most)
        return sc_fail(SC_EINVAL, "limits for %d threads, the context has %d", threads, most);
    job j = {.use = choose(), .pool = ctx->pool, .threads = threads ? threads : most};
    j.share = memory_to_read() / j.threads / 4096 * 4096;
    int64_t size = j.share * j.threads;
    j.memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (j.memory == MAP_FAILED)
        return sc_fail(SC_ENOMEM, "no %lld bytes to measure the memory with", (long long)size);
#if defined(MADV_HUGEPAGE)
    (void)madvise(j.memory, (size_t)size, MADV_HUGEPAGE); /* only faster */
#endif
    j.read_seconds = j.peak_seconds = 1e30;
    sc_pool_run(j.pool, work, &j);
    munmap(j.memory, (size_t)size);
    *out = (sc_limits){.threads = j.threads,
                       .isa = j.use.isa,
                       .bandwidth_gbs = (double)size / j.read_seconds * 1e-9,
                       .peak_gflops = PEAK_STEPS * j.use.flops * j.threads / j.peak_seconds * 1e-9,
                       .read_bytes = size};
    return SC_OK;
}
