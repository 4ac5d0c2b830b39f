// The three matrix products on tensor cores: a warp of 32 work-items multiplies
// fragments of 16 × 8 words by 8 words × 8 at a time and adds in float32
// (mma.sync of NVIDIA's PTX, sm_80 and later). A word is 32 bits along the sum: one
// number rounded to TF32, or two rounded to bfloat16.
//
// A number is rounded to TERMS such numbers that add up to it, v = v₀ + v₁ + …,
// each the rest of those before: 8 bits of bfloat16 each, so that three hold all 24
// of a float32. The product is then
//
//     Σ over p + q < TERMS of A_p·B_q
//
// which leaves out no more than 2⁻²³ of |a||b|: what float32 does, on units with
// many times its rate. Bytes are one such number as they are: over the input it is
// three products in place of six. (Splitting into two halves of float16 costs half as much and
// holds 22 bits, but its exponents reach from 2⁻¹⁴ to 2¹⁵ only: weights, activations
// and derivatives would need scales of their own, found anew in each iteration.)
// Tensor cores cut their sums off where float32 rounds them, always towards zero. Of
// several terms the small ones therefore come first, and the steps are added by
// float32 operations (Ootomo and Yokota, arXiv 2203.03341). With one term the sum stays in
// the tensor core: what it cuts off, 2⁻²³ of the sum a step, is little beside what
// rounding the operands costs.
//
// Tiles, splits, edges and epilogues are those of matmul_local.cl. The operands are
// rounded on their way from global to local memory, where they lie [term][i][word] and
// [term][j][word], rows 4 words longer than needed: the 32 words of a fragment that a
// warp reads at once then fall into 32 banks.
//
// Fragments, for work-item 4g + t of a warp (PTX ISA, m16n8k16 and m16n8k8): of A the
// words (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4), of B the words (t, g) and
// (t + 4, g), and of the sums (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
//
// Not measured on a device yet. Expected, from the instructions of a step (ptxas 11.8 for
// sm_90, 2 × 4 warps of 64 × 32 outputs): 481 with three terms, of them 96 products; 319
// and 48 over bytes; 243 and 32 with one term of bfloat16 and twice as many terms of the
// sum. At a product in 6 cycles, which others reach with mma.sync, that is 1.6 and 3 times
// the rate of matmul_local.cl, whose step issues 1166 for 1024 multiply-adds. Fragments
// by ldmatrix would save three quarters of the 72 reads, if OpenCL C takes it; wgmma,
// which has the full rate, needs operands that the copy engine lays out.
//
// Parameters:
//   ITEM_ROWS, ITEM_COLS    outputs of a warp, multiples of 16 and of 8
//   GROUP_ROWS, GROUP_COLS  warps of a work-group, whose columns are at most as many as
//                           its work-items
//   DEPTH                   words of the sum loaded at a time, a multiple of 8
//   ELEMENT                 TF32, BF16
//   TERMS                   1 to 3
//   A_TRANSPOSED, A_BYTES, B_TRANSPOSED, EPILOGUE   as in matmul_local.cl
//   PTX                     use mma.sync; otherwise the same fragments are multiplied
//                           by plain loops, on any device

#define TF32 1
#define BF16 2

// Numbers of a word.
#if ELEMENT == BF16
#define PER 2
#else
#define PER 1
#endif

// Terms of either operand.
#ifdef A_BYTES
#define A_TERMS 1
#else
#define A_TERMS TERMS
#endif
#define B_TERMS TERMS

#define TILE_ROWS (ITEM_ROWS * GROUP_ROWS)
#define TILE_COLS (ITEM_COLS * GROUP_COLS)
#define WARPS (GROUP_ROWS * GROUP_COLS)
#define GROUP_SIZE (32 * WARPS)
#define STEP (DEPTH * PER)
#define PITCH (DEPTH + 4)
#define ROW_FRAGMENTS (ITEM_ROWS / 16)
#define COL_FRAGMENTS (ITEM_COLS / 8)

// A unit is what a work-item reads at a time: 4 numbers along the sum, or, where the
// operand lies across it, the words of 4 rows (columns) of the tile. (Remainders without
// %: see add_partials in reduce.cl.)
#define ALONG(q, tile) ((q) / (STEP / 4))
#define ALONG_TERM(q) (((q) - (q) / (STEP / 4) * (STEP / 4)) * 4)
#define ACROSS(q, tile) (((q) - (q) / ((tile) / 4) * ((tile) / 4)) * 4)
#define ACROSS_TERM(q, tile) ((q) / ((tile) / 4) * PER)
#ifdef A_TRANSPOSED
#define A_UNITS (TILE_ROWS / 4 * DEPTH)
#define A_NUMBERS (4 * PER)
#else
#define A_UNITS (TILE_ROWS * STEP / 4)
#define A_NUMBERS 4
#endif
#ifdef B_TRANSPOSED
#define B_UNITS (TILE_COLS * STEP / 4)
#define B_NUMBERS 4
#else
#define B_UNITS (TILE_COLS / 4 * DEPTH)
#define B_NUMBERS (4 * PER)
#endif
#define A_OWN ((A_UNITS + GROUP_SIZE - 1) / GROUP_SIZE)
#define B_OWN ((B_UNITS + GROUP_SIZE - 1) / GROUP_SIZE)

// Without PTX, barriers stand in the loops: they stay loops.
#ifdef PTX
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// Reads 4 numbers of A, zeros where they lie beyond an edge.
void fetch_a(global const A_ELEMENT *from, const int there, float *to)
{
    vstore4(there ? A_FOUR(from) : (float4)0.0f, 0, to);
}

// The same of B.
void fetch_b(global const float *from, const int there, float *to)
{
    vstore4(there ? *(global const float4 *)from : (float4)0.0f, 0, to);
}

#ifndef PTX
// Returns the bits of v rounded to the element as the instructions below do it: ties to
// even in bfloat16, away from zero in TF32.
uint rounded(const float v)
{
    const uint u = as_uint(v);
    if (v != v)
        return 0x7fc00000u;
#if ELEMENT == BF16
    return (u + 0x7fffu + ((u >> 16) & 1)) & 0xffff0000u;
#else
    return (u + 0x1000u) & 0xffffe000u;
#endif
}
#endif

// Returns the word of two numbers, the first in its lower half, or of the first alone.
// What is not finite stays so. (By integers it takes four times as many instructions as
// there are to spare beside the products.)
uint word(const float v, const float next)
{
    uint w;
#if defined(PTX) && ELEMENT == BF16
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(next), "f"(v));
#elif defined(PTX)
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(w) : "f"(v));
#elif ELEMENT == BF16
    w = rounded(v) >> 16 | rounded(next);
#else
    w = rounded(v);
#endif
    return w;
}

// The numbers of a word.
float first_of(const uint w) { return as_float(PER == 2 ? w << 16 : w); }
float second_of(const uint w) { return PER == 2 ? as_float(w & 0xffff0000u) : 0.0f; }

// Stores the terms of a word's numbers, size words apart.
void put(local uint *to, const int terms, const int size, float v, float next)
{
#pragma unroll
    for (int p = 0; p < terms; p++) {
        const uint w = word(v, next);
        to[p * size] = w;
        v -= first_of(w);
        next -= second_of(w);
    }
}

// Adds the product of two fragments to d. All work-items of a group call it together.
#ifdef PTX
void mma(float *d, const uint *a, const uint *b)
{
#if ELEMENT == BF16
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
#endif
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]),
                   "f"(d[0]), "f"(d[1]), "f"(d[2]), "f"(d[3]));
}
#define MMA(d, a, b) mma(d, a, b)
#else
// The fragments meet in local memory, as they do between the registers of a warp.
#define MMA(d, a, b) \
    do { \
        barrier(CLK_LOCAL_MEM_FENCE); \
        fa[g * 8 + q4] = (a)[0]; \
        fa[(g + 8) * 8 + q4] = (a)[1]; \
        fa[g * 8 + q4 + 4] = (a)[2]; \
        fa[(g + 8) * 8 + q4 + 4] = (a)[3]; \
        fb[g * 8 + q4] = (b)[0]; \
        fb[g * 8 + q4 + 4] = (b)[1]; \
        barrier(CLK_LOCAL_MEM_FENCE); \
        for (int r_ = 0; r_ < 4; r_++) \
            (d)[r_] += dot_words(fa + (g + 8 * (r_ / 2)) * 8, fb + (2 * q4 + r_ % 2) * 8); \
    } while (0)

float dot_words(local const uint *a, local const uint *b)
{
    float s = 0.0f;
    for (int w = 0; w < 8; w++) {
        s = fma(first_of(a[w]), first_of(b[w]), s);
        s = fma(second_of(a[w]), second_of(b[w]), s);
    }
    return s;
}
#endif

kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
void matmul(
    const int M, const int N, const int K, const int relu,
    global const A_ELEMENT *a, const ulong a_at, const int lda,  // M×K, or K×M if A_TRANSPOSED
    global const float *b, const ulong b_at, const int ldb,  // K×N, or N×K if B_TRANSPOSED
    global const float *e, const ulong e_at, const int lde,  // N (BIAS), M×N (MASK)
    global float *c, const ulong c_at, const int ldc)        // M×N
{
    local uint as[A_TERMS * TILE_ROWS * PITCH];
    local uint bs[B_TERMS * TILE_COLS * PITCH];
    const int t = get_local_id(0);
    const int warp = t >> 5;
    const int g = (t & 31) >> 2;
    const int q4 = t & 3;
#ifndef PTX
    local uint all_fa[WARPS * 16 * 8], all_fb[WARPS * 8 * 8];
    local uint *const fa = all_fa + warp * 16 * 8;
    local uint *const fb = all_fb + warp * 8 * 8;
#endif

    const int row0 = get_group_id(1) * TILE_ROWS;
    const int col0 = get_group_id(0) * TILE_COLS;
    const int split = get_group_id(2);
    const int splits = get_num_groups(2);
    const int first = (int)((long)split * K / splits);
    const int end = (int)((long)(split + 1) * K / splits);
    // Where the warp's part of the tile begins.
    a += a_at;
    b += b_at;
    const int warp_row = warp / GROUP_COLS * ITEM_ROWS;
    const int warp_col = (warp - warp / GROUP_COLS * GROUP_COLS) * ITEM_COLS;

    float sum[ROW_FRAGMENTS][COL_FRAGMENTS][4];
#pragma unroll
    for (int i = 0; i < ROW_FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; j++)
#pragma unroll
            for (int r = 0; r < 4; r++)
                sum[i][j][r] = 0.0f;
#if EPILOGUE == PARTIAL
    float bias = 0.0f;
#endif

    float next_a[A_OWN * A_NUMBERS], next_b[B_OWN * B_NUMBERS];
// Reads a unit: of rows (columns) from i on and of the sum's terms from k on.
#define FETCH_ALONG(read, from, stride, i, size, k, to) \
    read(from + (ulong)(i) * stride + (k), (i) < size && (k) < end, to)
#define FETCH_ACROSS(read, from, stride, i, size, k, to) \
    _Pragma("unroll") \
    for (int r = 0; r < PER; r++) \
        read(from + (ulong)((k) + r) * stride + (i), (i) < size && (k) + r < end, to + 4 * r)
#ifdef A_TRANSPOSED
#define FETCH_A(to) FETCH_ACROSS(fetch_a, a, lda, row0 + ACROSS(q, TILE_ROWS), M, low + ACROSS_TERM(q, TILE_ROWS), to)
#else
#define FETCH_A(to) FETCH_ALONG(fetch_a, a, lda, row0 + ALONG(q, TILE_ROWS), M, low + ALONG_TERM(q), to)
#endif
#ifdef B_TRANSPOSED
#define FETCH_B(to) FETCH_ALONG(fetch_b, b, ldb, col0 + ALONG(q, TILE_COLS), N, low + ALONG_TERM(q), to)
#else
#define FETCH_B(to) FETCH_ACROSS(fetch_b, b, ldb, col0 + ACROSS(q, TILE_COLS), N, low + ACROSS_TERM(q, TILE_COLS), to)
#endif
#define FETCH(LOW) \
    do { \
        const int low = LOW; \
        _Pragma("unroll") \
        for (int f = 0; f < A_OWN; f++) { \
            const int q = t + f * GROUP_SIZE; \
            if (A_UNITS % GROUP_SIZE == 0 || q < A_UNITS) \
                FETCH_A(next_a + f * A_NUMBERS); \
        } \
        _Pragma("unroll") \
        for (int f = 0; f < B_OWN; f++) { \
            const int q = t + f * GROUP_SIZE; \
            if (B_UNITS % GROUP_SIZE == 0 || q < B_UNITS) \
                FETCH_B(next_b + f * B_NUMBERS); \
        } \
    } while (0)

// Stores a unit of numbers v.
#define PUT_ALONG(to, terms, tile, v) \
    _Pragma("unroll") \
    for (int r = 0; r < 4 / PER; r++) \
        put(to + ALONG(q, tile) * PITCH + ALONG_TERM(q) / PER + r, terms, (tile) * PITCH, (v)[r * PER], (v)[r * PER + PER - 1])
#define PUT_ACROSS(to, terms, tile, v) \
    _Pragma("unroll") \
    for (int r = 0; r < 4; r++) \
        put(to + (ACROSS(q, tile) + r) * PITCH + ACROSS_TERM(q, tile) / PER, terms, (tile) * PITCH, (v)[r], (v)[r + 4 * (PER - 1)])

    FETCH(first);
    for (int begin = first; begin < end; begin += STEP) {
#pragma unroll
        for (int f = 0; f < A_OWN; f++) {
            const int q = t + f * GROUP_SIZE;
            if (q < A_UNITS)
#ifdef A_TRANSPOSED
                PUT_ACROSS(as, A_TERMS, TILE_ROWS, next_a + f * A_NUMBERS);
#else
                PUT_ALONG(as, A_TERMS, TILE_ROWS, next_a + f * A_NUMBERS);
#endif
        }
#pragma unroll
        for (int f = 0; f < B_OWN; f++) {
            const int q = t + f * GROUP_SIZE;
            if (q < B_UNITS)
#ifdef B_TRANSPOSED
                PUT_ALONG(bs, B_TERMS, TILE_COLS, next_b + f * B_NUMBERS);
#else
                PUT_ACROSS(bs, B_TERMS, TILE_COLS, next_b + f * B_NUMBERS);
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        FETCH(begin + STEP);  // beyond the end it gives zeros that nobody uses

#if EPILOGUE == PARTIAL
        if (row0 == 0 && t < TILE_COLS)
#pragma unroll
            for (int w = 0; w < DEPTH; w++)
#pragma unroll
                for (int p = B_TERMS - 1; p >= 0; p--)
                    bias += first_of(bs[(p * TILE_COLS + t) * PITCH + w]) + second_of(bs[(p * TILE_COLS + t) * PITCH + w]);
#endif
        UNROLL
        for (int w = 0; w < DEPTH; w += 8) {
            uint x[A_TERMS][ROW_FRAGMENTS][4], y[B_TERMS][COL_FRAGMENTS][2];
#pragma unroll
            for (int p = 0; p < A_TERMS; p++)
#pragma unroll
                for (int i = 0; i < ROW_FRAGMENTS; i++)
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        x[p][i][r] = as[(p * TILE_ROWS + warp_row + 16 * i + g + r % 2 * 8) * PITCH + w + q4 + r / 2 * 4];
#pragma unroll
            for (int p = 0; p < B_TERMS; p++)
#pragma unroll
                for (int j = 0; j < COL_FRAGMENTS; j++)
#pragma unroll
                    for (int r = 0; r < 2; r++)
                        y[p][j][r] = bs[(p * TILE_COLS + warp_col + 8 * j + g) * PITCH + w + q4 + r * 4];
            UNROLL
            for (int i = 0; i < ROW_FRAGMENTS; i++)
                UNROLL
                for (int j = 0; j < COL_FRAGMENTS; j++) {
#if TERMS == 1
                    MMA(sum[i][j], x[0][i], y[0][j]);
#else
                    float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
                    UNROLL
                    for (int order = TERMS - 1; order >= 0; order--)  // p + q
                        UNROLL
                        for (int p = 0; p <= order && p < A_TERMS; p++)
                            MMA(d, x[p][i], y[order - p][j]);
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        sum[i][j][r] += d[r];
#endif
                }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#if EPILOGUE == PARTIAL
    c += (ulong)split * (M + 1) * ldc;
#endif
    c += c_at;
#pragma unroll
    for (int i = 0; i < ROW_FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; j++)
#pragma unroll
            for (int r = 0; r < 4; r++) {
                const int row = row0 + warp_row + 16 * i + g + r / 2 * 8;
                const int col = col0 + warp_col + 8 * j + 2 * q4 + r % 2;
                if (row < M && col < N)
                    c[(ulong)row * ldc + col] = FINISH(sum[i][j][r], row, col);
            }
#if EPILOGUE == PARTIAL
    // Every row of tiles could sum the same; the first one does.
    if (row0 == 0 && t < TILE_COLS && col0 + t < N)
        c[(ulong)M * ldc + col0 + t] = bias;
#endif
}
