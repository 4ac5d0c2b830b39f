// Tiles of V vectors of columns, for step_register.cl, which has this text once for each V.
#define NAME(f) CAT(CAT(f, _), V)

#ifndef RULE
// h = act(x·W + b) for a packed group of ITEM_ROWS rows; w, b and h are at the tile's columns.
static inline void NAME(forward_packed)(
    const ulong from, const ulong end,
    global const ushort *index, global const uchar *values, global const float *table,
    global const float *w, const int ldw, global const float *b, const int relu,
    global float *h, const int ldh)
{
    vector sum[ITEM_ROWS][V];
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
        for (int v = 0; v < V; v++)
            sum[i][v] = 0.0f;
    for (ulong q = from; q < end; q++) {
        global const float *row = w + (ulong)index[q] * ldw;
        vector y[V];
#pragma unroll
        for (int v = 0; v < V; v++)
            y[v] = LOAD(v, row);
#pragma unroll
        for (int i = 0; i < ITEM_ROWS; i++) {
            const vector x = table[values[q * ITEM_ROWS + i]];
#pragma unroll
            for (int v = 0; v < V; v++)
                sum[i][v] = fma(x, y[v], sum[i][v]);
        }
    }
#pragma unroll
    for (int i = 0; i < ITEM_ROWS; i++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            vector s = sum[i][v] + LOAD(v, b);
            if (relu)
                s = select(s, (vector)0.0f, s < 0.0f);
            STORE(s, v, h + i * ldh);
        }
}
#endif

// sum[i] = Σ_k x[i·rows + k·terms]·y[k·ldy] for DENSE_ROWS rows i.
static inline void NAME(product)(
    const int count, global const float *x, const int rows, const int terms,
    global const float *y, const int ldy, vector sum[DENSE_ROWS][V])
{
#pragma unroll
    for (int i = 0; i < DENSE_ROWS; i++)
#pragma unroll
        for (int v = 0; v < V; v++)
            sum[i][v] = 0.0f;
    for (int k = 0; k < count; k++) {
        vector z[V];
#pragma unroll
        for (int v = 0; v < V; v++)
            z[v] = LOAD(v, y);
#pragma unroll
        for (int i = 0; i < DENSE_ROWS; i++) {
            const vector a = x[i * rows];
#pragma unroll
            for (int v = 0; v < V; v++)
                sum[i][v] = fma(a, z[v], sum[i][v]);
        }
        x += terms;
        y += ldy;
    }
}

#ifndef RULE
// h = act(x·W + b) for DENSE_ROWS rows.
static inline void NAME(forward_dense)(
    const int n, global const float *x, const int ldx, global const float *w, const int ldw,
    global const float *b, const int relu, global float *h, const int ldh)
{
    vector sum[DENSE_ROWS][V];
    NAME(product)(n, x, ldx, 1, w, ldw, sum);
#pragma unroll
    for (int i = 0; i < DENSE_ROWS; i++)
#pragma unroll
        for (int v = 0; v < V; v++) {
            vector s = sum[i][v] + LOAD(v, b);
            if (relu)
                s = select(s, (vector)0.0f, s < 0.0f);
            STORE(s, v, h + i * ldh);
        }
}

// dx = (dz·Wᵀ) ⊙ [x > 0] for DENSE_ROWS rows; wt is Wᵀ.
static inline void NAME(backward_dense)(
    const int p, global const float *dz, const int lddz, global const float *wt, const int ldwt,
    global const float *x, global float *dx, const int ldx)
{
    vector sum[DENSE_ROWS][V];
    NAME(product)(p, dz, lddz, 1, wt, ldwt, sum);
#pragma unroll
    for (int i = 0; i < DENSE_ROWS; i++)
#pragma unroll
        for (int v = 0; v < V; v++)
            STORE(select((vector)0.0f, sum[i][v], LOAD(v, x + i * ldx) > 0.0f), v, dx + i * ldx);
}

#else
// Updates one row of the tile by its gradient g, which becomes the new parameters; theta, a
// and b are at its first element. wrong is as of update.cl.
static inline void NAME(apply)(
    vector g[V], global float *theta, global float *a, global float *b, vector *wrong, FACTORS)
{
#pragma unroll
    for (int v = 0; v < V; v++) {
        vector y = LOAD(v, theta), s = 0.0f, t = 0.0f;
#if STATES > 0
        s = LOAD(v, a);
#endif
#if STATES > 1
        t = LOAD(v, b);
#endif
        APPLY(vector, y, g[v], s, t);
        *wrong += NOT_FINITE(y, g[v], s, t);
        STORE(y, v, theta);
#if STATES > 0
        STORE(s, v, a);
#endif
#if STATES > 1
        STORE(t, v, b);
#endif
        g[v] = y;
    }
}

// b by its gradient, the sum of the rows of dz.
static inline void NAME(step_bias)(
    const int B, global const float *dz, const int lddz,
    global float *theta, global float *a, global float *b, vector *wrong, FACTORS)
{
    vector sum[V];
#pragma unroll
    for (int v = 0; v < V; v++)
        sum[v] = 0.0f;
    for (int i = 0; i < B; i++)
#pragma unroll
        for (int v = 0; v < V; v++)
            sum[v] += LOAD(v, dz + (ulong)i * lddz);
    NAME(apply)(sum, theta, a, b, wrong, FACTOR_NAMES);
}

// The weights of features first … end−1 by their gradients, of a feature at a time over its
// entries: starts, rows and values are the feature-major index of the block.
static inline void NAME(step_packed)(
    const int first, const int end,
    global const uint *starts, global const ushort *rows, global const uchar *values, global const float *table,
    global const float *dz, const int lddz,
    global float *theta, global float *a, global float *b, const int ldw, vector *wrong, FACTORS)
{
    for (int j = first; j < end; j++) {
        const uint last = starts[j + 1];
        uint q = starts[j];
#if RULE == GD
        if (q == last && decay == 0.0f)
            continue; // nothing changes
#endif
        vector sum[V];
#pragma unroll
        for (int v = 0; v < V; v++)
            sum[v] = 0.0f;
        for (; q < last; q++) {
            const vector x = table[values[q]];
            global const float *row = dz + (ulong)rows[q] * lddz;
#pragma unroll
            for (int v = 0; v < V; v++)
                sum[v] = fma(x, LOAD(v, row), sum[v]);
        }
        const ulong at = (ulong)j * ldw;
        NAME(apply)(sum, theta + at, a + at, b + at, wrong, FACTOR_NAMES);
    }
}

// The weights of DENSE_ROWS inputs of a layer from the first on, less those beyond n, by
// their gradients over B rows; wt receives them too, transposed.
static inline void NAME(step_dense)(
    const int B, const int n, const int first,
    global const float *x, const int ldx, global const float *dz, const int lddz,
    global float *theta, global float *a, global float *b, const int ldw,
    global float *wt, const int ldwt, vector *wrong, FACTORS)
{
    vector sum[DENSE_ROWS][V];
    NAME(product)(B, x + first, 1, ldx, dz, lddz, sum);
#pragma unroll
    for (int i = 0; i < DENSE_ROWS; i++) {
        const int j = first + i;
        if (j >= n)
            continue;
        const ulong at = (ulong)j * ldw;
        NAME(apply)(sum[i], theta + at, a + at, b + at, wrong, FACTOR_NAMES);
#if RULE != SUM
#pragma unroll
        for (int v = 0; v < V; v++) {
            union {
                vector v;
                float s[WIDTH];
            } y;
            y.v = sum[i][v];
#pragma unroll
            for (int c = 0; c < WIDTH; c++)
                wt[(ulong)(v * WIDTH + c) * ldwt + j] = y.s[c];
        }
#endif
    }
}
#endif
#undef NAME
