// The three matrix products for devices with many small cores (GPUs): a
// work-group computes a tile of TILE_ROWS × TILE_COLS outputs, DEPTH terms at a
// time through local memory; each of its GROUP_ROWS × GROUP_COLS work-items
// keeps ITEM_ROWS × ITEM_COLS outputs in registers.
//
//        DEPTH                    TILE_COLS
//      +------+                 +-----------+
//   A  |      | TILE_ROWS    B  |           | DEPTH      C = epilogue(A·B)
//      +------+                 +-----------+
//
// While a step is computed, the next one is on its way from global memory into
// registers. A work-item's outputs are runs of up to 4 neighbours, as far as 4 or 2
// divides ITEM_ROWS and ITEM_COLS: it reads them from local memory as vectors, and
// its runs lie GROUP_ROWS and GROUP_COLS runs apart, so that neighbouring
// work-items read and write neighbouring runs. With scalars, 16 loads from local
// memory feed 64 multiply-adds of an 8×8 tile, and a core of a GPU starts one such
// load for four of those: they would bound the kernel. As vectors they are 4.
//
// Operands are read from global memory 4 elements at a time along the direction
// that is contiguous there, where DEPTH or the tile is a multiple of 4: rows are
// padded with zeros to a multiple of 16. Elements beyond an edge are taken as zero
// and not stored. Global sizes are whole work-groups and no work-item returns
// before the last barrier. The sum of one output runs over k in order.
//
// Group ids: 0 tiles of columns, 1 tiles of rows, 2 splits of the sum.
//
// Parameters:
//   ITEM_ROWS, ITEM_COLS    outputs of a work-item
//   GROUP_ROWS, GROUP_COLS  work-items of a work-group
//   DEPTH                   terms of the sum loaded at a time
//   A_TRANSPOSED            A is stored K×M (weight gradient: x)
//   A_BYTES                 A holds bytes (the input: x)
//   B_TRANSPOSED            B is stored N×K (input gradient: W)
//   EPILOGUE                BIAS, MASK: as in matmul_register.cl
//                           PARTIAL: split s of the sum over K goes to
//                           C + s·(M+1)·ldc, a partial gradient whose row M, the
//                           bias gradient Σ rows of B, is summed on the way

#define TILE_ROWS (ITEM_ROWS * GROUP_ROWS)
#define TILE_COLS (ITEM_COLS * GROUP_COLS)
#define GROUP_SIZE (GROUP_ROWS * GROUP_COLS)

// Elements of a run of outputs, and of a run that is read from global memory.
#define RUN(n) ((n) % 4 == 0 ? 4 : (n) % 2 == 0 ? 2 : 1)
#define ROW_RUN RUN(ITEM_ROWS)
#define COL_RUN RUN(ITEM_COLS)
#ifdef A_TRANSPOSED
#define A_WIDTH TILE_ROWS
#else
#define A_WIDTH DEPTH
#endif
#ifdef B_TRANSPOSED
#define B_WIDTH DEPTH
#else
#define B_WIDTH TILE_COLS
#endif
#define A_RUN (A_WIDTH % 4 == 0 ? 4 : 1)
#define B_RUN (B_WIDTH % 4 == 0 ? 4 : 1)

// Runs of either tile: in all, and of a work-item.
#define A_RUNS (TILE_ROWS * DEPTH / A_RUN)
#define B_RUNS (TILE_COLS * DEPTH / B_RUN)
#define A_OWN ((A_RUNS + GROUP_SIZE - 1) / GROUP_SIZE)
#define B_OWN ((B_RUNS + GROUP_SIZE - 1) / GROUP_SIZE)
#define BIAS_OWN ((TILE_COLS + GROUP_SIZE - 1) / GROUP_SIZE)

// Where run q of a tile begins: along its contiguous direction, and across.
// (Remainders without %: see add_partials in reduce.cl.)
#define A_ACROSS(q) ((q) / (A_WIDTH / A_RUN))
#define A_ALONG(q) (((q) - A_ACROSS(q) * (A_WIDTH / A_RUN)) * A_RUN)
#define B_ACROSS(q) ((q) / (B_WIDTH / B_RUN))
#define B_ALONG(q) (((q) - B_ACROSS(q) * (B_WIDTH / B_RUN)) * B_RUN)

// The tiles in local memory are [k][i] and [k][j]. Their rows are a run longer
// than needed: transposed stores then fall into more banks.
#define A_PITCH ((TILE_ROWS + 3) / 4 * 4 + 4)
#define B_PITCH ((TILE_COLS + 3) / 4 * 4 + 4)

// The i-th of a work-item's rows within its tile, and the j-th of its columns.
#define ROW_OF(i) ((i) / ROW_RUN * (GROUP_ROWS * ROW_RUN) + ty * ROW_RUN + (i) % ROW_RUN)
#define COL_OF(j) ((j) / COL_RUN * (GROUP_COLS * COL_RUN) + tx * COL_RUN + (j) % COL_RUN)

// Reads a run of A from global memory, zeros where it lies beyond an edge.
void fetch_a(const int run, global const A_ELEMENT *from, const int there, float *to)
{
    if (run == 4)
        vstore4(there ? A_FOUR(from) : (float4)0.0f, 0, to);
    else
        to[0] = there ? (float)from[0] : 0.0f;
}

// The same of B.
void fetch_b(const int run, global const float *from, const int there, float *to)
{
    if (run == 4)
        vstore4(there ? *(global const float4 *)from : (float4)0.0f, 0, to);
    else
        to[0] = there ? from[0] : 0.0f;
}

// Reads a run from local memory.
void take(const int run, local const float *from, float *to)
{
    if (run == 4)
        vstore4(*(local const float4 *)from, 0, to);
    else if (run == 2)
        vstore2(*(local const float2 *)from, 0, to);
    else
        to[0] = from[0];
}

kernel __attribute__((reqd_work_group_size(GROUP_COLS, GROUP_ROWS, 1)))
void matmul(
    const int M, const int N, const int K, const int relu,
    global const A_ELEMENT *a, const ulong a_at, const int lda,  // M×K, or K×M if A_TRANSPOSED
    global const float *b, const ulong b_at, const int ldb,  // K×N, or N×K if B_TRANSPOSED
    global const float *e, const ulong e_at, const int lde,  // N (BIAS), M×N (MASK)
    global float *c, const ulong c_at, const int ldc)        // M×N
{
    local float as[DEPTH * A_PITCH] __attribute__((aligned(16)));
    local float bs[DEPTH * B_PITCH] __attribute__((aligned(16)));

    const int tx = get_local_id(0);
    const int ty = get_local_id(1);
    const int t = ty * GROUP_COLS + tx;
    const int row0 = get_group_id(1) * TILE_ROWS;
    const int col0 = get_group_id(0) * TILE_COLS;
    const int split = get_group_id(2);
    const int splits = get_num_groups(2);
    const int first = (int)((long)split * K / splits);
    const int end = (int)((long)(split + 1) * K / splits);
    a += a_at;
    b += b_at;

    float sum[ITEM_ROWS][ITEM_COLS];
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
        for (int j = 0; j < ITEM_COLS; j++)
            sum[i][j] = 0.0f;
#if EPILOGUE == PARTIAL
    // The first row of tiles sums the rows of B too, a work-item a column. Where every
    // work-item adds what it has in registers, an eighth more instructions in all
    // tiles do it.
    float bias[BIAS_OWN];
#pragma unroll
    for (int f = 0; f < BIAS_OWN; f++)
        bias[f] = 0.0f;
#endif

    float next_a[A_OWN * A_RUN], next_b[B_OWN * B_RUN];
#ifdef A_TRANSPOSED
#define A_ROW A_ALONG(q)
#define A_TERM A_ACROSS(q)
#define A_FROM ((ulong)(low + A_TERM) * lda + (row0 + A_ROW))
#define A_TO(r) (A_TERM * A_PITCH + A_ROW + (r))
#else
#define A_ROW A_ACROSS(q)
#define A_TERM A_ALONG(q)
#define A_FROM ((ulong)(row0 + A_ROW) * lda + (low + A_TERM))
#define A_TO(r) ((A_TERM + (r)) * A_PITCH + A_ROW)
#endif
#ifdef B_TRANSPOSED
#define B_COL B_ACROSS(q)
#define B_TERM B_ALONG(q)
#define B_FROM ((ulong)(col0 + B_COL) * ldb + (low + B_TERM))
#define B_TO(r) ((B_TERM + (r)) * B_PITCH + B_COL)
#else
#define B_COL B_ALONG(q)
#define B_TERM B_ACROSS(q)
#define B_FROM ((ulong)(low + B_TERM) * ldb + (col0 + B_COL))
#define B_TO(r) (B_TERM * B_PITCH + B_COL + (r))
#endif
#define FETCH(LOW) \
    do { \
        const int low = LOW; \
        _Pragma("unroll") \
        for (int f = 0; f < A_OWN; f++) { \
            const int q = t + f * GROUP_SIZE; \
            fetch_a(A_RUN, a + A_FROM, row0 + A_ROW < M && low + A_TERM < end, next_a + f * A_RUN); \
        } \
        _Pragma("unroll") \
        for (int f = 0; f < B_OWN; f++) { \
            const int q = t + f * GROUP_SIZE; \
            fetch_b(B_RUN, b + B_FROM, col0 + B_COL < N && low + B_TERM < end, next_b + f * B_RUN); \
        } \
    } while (0)

    FETCH(first);
    for (int begin = first; begin < end; begin += DEPTH) {
#pragma unroll
        for (int f = 0; f < A_OWN; f++) {
            const int q = t + f * GROUP_SIZE;
            if (q < A_RUNS)
#pragma unroll
                for (int r = 0; r < A_RUN; r++)
                    as[A_TO(r)] = next_a[f * A_RUN + r];
        }
#pragma unroll
        for (int f = 0; f < B_OWN; f++) {
            const int q = t + f * GROUP_SIZE;
            if (q < B_RUNS)
#pragma unroll
                for (int r = 0; r < B_RUN; r++)
                    bs[B_TO(r)] = next_b[f * B_RUN + r];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        FETCH(begin + DEPTH);  // beyond the end it gives zeros that nobody uses

#if EPILOGUE == PARTIAL
        if (row0 == 0)
#pragma unroll
            for (int f = 0; f < BIAS_OWN; f++)
                if (t + f * GROUP_SIZE < TILE_COLS)
#pragma unroll
                    for (int k = 0; k < DEPTH; k++)
                        bias[f] += bs[k * B_PITCH + t + f * GROUP_SIZE];
#endif
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float x[ITEM_ROWS], y[ITEM_COLS];
#pragma unroll
            for (int i = 0; i < ITEM_ROWS; i += ROW_RUN)
                take(ROW_RUN, as + k * A_PITCH + ROW_OF(i), x + i);
#pragma unroll
            for (int j = 0; j < ITEM_COLS; j += COL_RUN)
                take(COL_RUN, bs + k * B_PITCH + COL_OF(j), y + j);
#pragma unroll
            for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
                for (int j = 0; j < ITEM_COLS; j++)
                    sum[i][j] = fma(x[i], y[j], sum[i][j]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#if EPILOGUE == PARTIAL
    c += (ulong)split * (M + 1) * ldc;
#endif
    c += c_at;
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++) {
        const int row = row0 + ROW_OF(i);
#pragma unroll
        for (int j = 0; j < ITEM_COLS; j++) {
            const int col = col0 + COL_OF(j);
            if (row < M && col < N)
                c[(ulong)row * ldc + col] = FINISH(sum[i][j], row, col);
        }
    }
#if EPILOGUE == PARTIAL
    if (row0 == 0)
#pragma unroll
        for (int f = 0; f < BIAS_OWN; f++) {
            const int j = t + f * GROUP_SIZE;
            if (j < TILE_COLS && col0 + j < N)
                c[(ulong)M * ldc + col0 + j] = bias[f];
        }
#endif
}
