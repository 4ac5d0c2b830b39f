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
// A work-item's outputs lie GROUP_ROWS rows and GROUP_COLS columns apart, so
// that neighbouring work-items read neighbouring elements of B's tile (no bank
// conflicts) and write neighbouring elements of C (coalesced).
//
// Elements beyond an edge are loaded as zero and not stored. Global sizes are
// whole work-groups and no work-item returns before the last barrier.
//
// Group ids: 0 tiles of columns, 1 tiles of rows, 2 splits of the sum.
//
// Parameters:
//   ITEM_ROWS, ITEM_COLS    outputs of a work-item
//   GROUP_ROWS, GROUP_COLS  work-items of a work-group
//   DEPTH                   terms of the sum loaded at a time
//   A_TRANSPOSED            A is stored K×M (weight gradient: x)
//   B_TRANSPOSED            B is stored N×K (input gradient: W)
//   EPILOGUE                BIAS, BIAS_RELU, MASK: as in matmul_register.cl
//                           PARTIAL: split s of the sum over K goes to
//                           C + s·(M+1)·ldc, a partial gradient whose row M, the
//                           bias gradient Σ rows of B, is summed on the way

#define TILE_ROWS (ITEM_ROWS * GROUP_ROWS)
#define TILE_COLS (ITEM_COLS * GROUP_COLS)
#define GROUP_SIZE (GROUP_ROWS * GROUP_COLS)

kernel __attribute__((reqd_work_group_size(GROUP_COLS, GROUP_ROWS, 1)))
void matmul(
    const int M, const int N, const int K,
    global const float *a, const ulong a_at, const int lda,  // M×K, or K×M if A_TRANSPOSED
    global const float *b, const ulong b_at, const int ldb,  // K×N, or N×K if B_TRANSPOSED
    global const float *e, const ulong e_at, const int lde,  // N (BIAS…), M×N (MASK)
    global float *c, const ulong c_at, const int ldc)        // M×N
{
    // One column more than needed: the transposed stores then fall into
    // different banks.
    local float as[DEPTH][TILE_ROWS + 1];
    local float bs[DEPTH][TILE_COLS + 1];

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
    float bias[ITEM_COLS];
#pragma unroll
    for (int j = 0; j < ITEM_COLS; j++)
        bias[j] = 0.0f;
#endif

    for (int low = first; low < end; low += DEPTH) {
        // Neighbouring work-items load along the direction that is contiguous in
        // memory.
        for (int q = t; q < TILE_ROWS * DEPTH; q += GROUP_SIZE) {
#ifdef A_TRANSPOSED
            const int i = q % TILE_ROWS, k = q / TILE_ROWS;
            const ulong at = (ulong)(low + k) * lda + (row0 + i);
#else
            const int i = q / DEPTH, k = q % DEPTH;
            const ulong at = (ulong)(row0 + i) * lda + (low + k);
#endif
            as[k][i] = row0 + i < M && low + k < end ? a[at] : 0.0f;
        }
        for (int q = t; q < TILE_COLS * DEPTH; q += GROUP_SIZE) {
#ifdef B_TRANSPOSED
            const int j = q / DEPTH, k = q % DEPTH;
            const ulong at = (ulong)(col0 + j) * ldb + (low + k);
#else
            const int j = q % TILE_COLS, k = q / TILE_COLS;
            const ulong at = (ulong)(low + k) * ldb + (col0 + j);
#endif
            bs[k][j] = col0 + j < N && low + k < end ? b[at] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);

#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float x[ITEM_ROWS], y[ITEM_COLS];
#pragma unroll
            for (int i = 0; i < ITEM_ROWS; i++)
                x[i] = as[k][ty + i * GROUP_ROWS];
#pragma unroll
            for (int j = 0; j < ITEM_COLS; j++)
                y[j] = bs[k][tx + j * GROUP_COLS];
#pragma unroll
            for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
                for (int j = 0; j < ITEM_COLS; j++)
                    sum[i][j] = fma(x[i], y[j], sum[i][j]);
#if EPILOGUE == PARTIAL
#pragma unroll
            for (int j = 0; j < ITEM_COLS; j++)
                bias[j] += y[j];
#endif
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#if EPILOGUE == PARTIAL
    c += (ulong)split * (M + 1) * ldc;
#endif
    c += c_at;
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++) {
        const int row = row0 + ty + i * GROUP_ROWS;
#pragma unroll
        for (int j = 0; j < ITEM_COLS; j++) {
            const int col = col0 + tx + j * GROUP_COLS;
            if (row < M && col < N) {
                float s = sum[i][j];
#if EPILOGUE == MASK
                s = e[e_at + (ulong)row * lde + col] > 0.0f ? s : 0.0f;
#elif EPILOGUE != PARTIAL
                s += e[e_at + col];
#if EPILOGUE == BIAS_RELU
                s = RELU(s);
#endif
#endif
                c[(ulong)row * ldc + col] = s;
            }
        }
    }
#if EPILOGUE == PARTIAL
    // Every row of tiles summed the same; the first one stores.
    if (row0 == 0 && ty == 0)
#pragma unroll
        for (int j = 0; j < ITEM_COLS; j++) {
            const int col = col0 + tx + j * GROUP_COLS;
            if (col < N)
                c[(ulong)M * ldc + col] = bias[j];
        }
#endif
}
